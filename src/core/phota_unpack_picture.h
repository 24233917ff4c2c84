
/*
 * A picture while it is taken out of an answer: its text goes in, its bytes are
 * digested or handed on.  Known to phota_unpack alone.
 */


#ifndef _PHOTA_UNPACK_PICTURE_H_INCLUDED_
#define _PHOTA_UNPACK_PICTURE_H_INCLUDED_


#include <openssl/evp.h>

#include "phota_image.h"
#include "phota_unpack.h"


#define PHOTA_TAKING_OUT     49152      /* bytes that are handed on at once */
#define PHOTA_TAKING_PREFIX  5          /* "data:" */


typedef struct {
    phota_answer_e         kind;
    phota_unpacked_t      *unpacked;
    phota_error_t         *err;
    EVP_MD                *md;
    EVP_MD_CTX            *digest;      /* NULL: not wanted */
    phota_picture_pt       handler;
    void                  *data;

    /* private */

    phota_image_t          image;
    phota_base64_t         base64;
    int                    rc;          /* of the picture's bytes, once it
                                           isn't PHOTA_OK */
    unsigned               told:1;      /* what kind of image it is */
    unsigned               prefix_len;
    size_t                 out_len;
    u_char                 prefix[PHOTA_TAKING_PREFIX];
    u_char                *out;         /* PHOTA_TAKING_OUT bytes */
} phota_taking_t;


/*
 * t is zeroed; md, digest, handler are set by who wants them; out has room for
 * PHOTA_TAKING_OUT bytes
 */
void phota_taking_init(phota_taking_t *t, phota_answer_e kind,
    phota_unpacked_t *unpacked, u_char *out, phota_error_t *err);

/*
 * The next picture: where its text begins, its pieces, where it ends; then it
 * is one more.  PHOTA_DECLINED when it is no base64, is a link or is empty, err
 * says so; PHOTA_ERROR; or what the handler returned.
 */
int phota_taking_begin(phota_taking_t *t);
int phota_taking_piece(phota_taking_t *t, const u_char *p, size_t len,
    uint64_t offset);
int phota_taking_end(phota_taking_t *t, uint64_t offset);

/* "images.2 is no string" */
void phota_taking_complain(phota_taking_t *t, const char *what);


#endif /* _PHOTA_UNPACK_PICTURE_H_INCLUDED_ */
