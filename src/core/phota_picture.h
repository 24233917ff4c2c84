
/*
 * A bought picture: what it is called and what it is, and base64 both ways, for
 * that is how pictures travel in JSON.  Stored and named are the decoded bytes.
 */


#ifndef _PHOTA_PICTURE_H_INCLUDED_
#define _PHOTA_PICTURE_H_INCLUDED_


#include "phota_core.h"


#define PHOTA_PICTURES_MAX   16     /* in one result */
#define PHOTA_SHARED         0      /* the scope of tenants that share; else it
                                       is the tenant's id */
#define PHOTA_PICTURE_HEAD   32     /* bytes that tell a picture's type */


/* stored: never renumber */

typedef enum {
    PHOTA_PICTURE_OTHER = 0,
    PHOTA_PICTURE_JPEG,
    PHOTA_PICTURE_PNG,
    PHOTA_PICTURE_WEBP,
    PHOTA_PICTURE_GIF,
    PHOTA_PICTURE_HEIC,
    PHOTA_PICTURE_AVIF
} phota_picture_type_e;


typedef struct {
    u_char          digest[PHOTA_SHA256_LEN];
    uint64_t        length;         /* bytes, never 0 */
    uint8_t         type;           /* phota_picture_type_e */
    unsigned        prefixed:1;     /* "data:...;base64," stood before it */
} phota_picture_t;


/* a decoder of base64 that comes in pieces */

typedef struct {
    uint32_t        bits;
    unsigned        count;          /* characters in bits */
    unsigned        padding;
    unsigned        ended:1;
} phota_base64_t;


/* by the first bytes: n is PHOTA_PICTURE_HEAD, or all there is */
uint8_t phota_picture_type(const u_char *head, size_t n);

/*
 * XXH3 of the next piece and all before it, of which sum told (0: none):
 * against accidents, not against people.
 */
uint64_t phota_picture_sum(uint64_t sum, const u_char *p, size_t n);

/* "image/jpeg"; "application/octet-stream" for what isn't known */
const char *phota_picture_mime(unsigned type);

/* "jpg"; "bin" for what isn't known */
const char *phota_picture_extension(unsigned type);

/* by its extension; PHOTA_DECLINED for any other text */
int phota_picture_by_extension(const u_char *p, size_t len, uint8_t *type);


/* characters that n bytes become, with padding */
#define phota_base64_length(n)  (((n) + 2) / 3 * 4)

/*
 * Standard alphabet, padded, no line breaks, no NUL; out has room for
 * phota_base64_length(n) characters, which are returned.
 */
size_t phota_base64_encode(u_char *out, const u_char *p, size_t n);

void phota_base64_init(phota_base64_t *b);

/*
 * Both alphabets, white space anywhere, padding or none.  out has room for
 * (n + 3) / 4 * 3 bytes; *len: how many were written.  PHOTA_INVALID for any
 * other character, or for text after the padding.
 */
int phota_base64_update(phota_base64_t *b, const u_char *p, size_t n,
    u_char *out, size_t *len);

/* what is left: at most 2 bytes */
int phota_base64_final(phota_base64_t *b, u_char *out, size_t *len);


#endif /* _PHOTA_PICTURE_H_INCLUDED_ */
