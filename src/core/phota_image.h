
/*
 * The canonical form of an image field's text, written as the text streams by:
 * a URL, its scheme in small letters, without the parameters that only sign it
 * and without a query that is empty; or base64 without what doesn't change the
 * bytes it stands for.  Keeps no more than a URL parameter's name.
 */


#ifndef _PHOTA_IMAGE_H_INCLUDED_
#define _PHOTA_IMAGE_H_INCLUDED_


#include "phota_core.h"


#define PHOTA_IMAGE_NAME  128       /* of a URL parameter; longer are kept */
#define PHOTA_IMAGE_HEAD  8         /* "https://" */


/* receives 'u' or 'b', then the canonical text */
typedef void (*phota_image_pt)(void *ctx, const u_char *p, size_t n);


typedef struct {
    phota_image_pt      write;
    void               *ctx;
    const phota_str_t  *signing;
    unsigned            nsigning;

    const char         *fault;      /* a static text, once it is invalid */
    uint64_t            fault_offset;

    /* private */

    unsigned            state;
    unsigned            head_len;
    unsigned            header_len; /* of "data:...;base64," */
    unsigned            matched;    /* bytes of ";base64," */
    unsigned            tail_len;
    unsigned            pad;
    unsigned            name_len;
    unsigned            some:1;     /* there was a character of base64 */
    unsigned            kept:1;     /* a parameter was written */
    u_char              tail[4];
    u_char              head[PHOTA_IMAGE_HEAD];
    uint64_t            offsets[PHOTA_IMAGE_HEAD];
    u_char              name[PHOTA_IMAGE_NAME];
} phota_image_t;


/* signing: see phota_fingerprint_create() */
void phota_image_init(phota_image_t *img, const phota_str_t *signing,
    unsigned nsigning, phota_image_pt write, void *ctx);

/* a new text begins */
void phota_image_begin(phota_image_t *img);

/*
 * offset: where the bytes stand in the body.  PHOTA_OK, or PHOTA_INVALID with
 * fault and fault_offset set.
 */
int phota_image_update(phota_image_t *img, const u_char *p, size_t n,
    uint64_t offset);

/* the text ended at offset; also PHOTA_DECLINED when there was no image */
int phota_image_final(phota_image_t *img, uint64_t offset);


#endif /* _PHOTA_IMAGE_H_INCLUDED_ */
