
/*
 * Links to stored pictures: signed by HMAC-SHA-256 with a key derived from the
 * master key, over tenant, picture and the second on which they expire.  Who
 * has one may see that picture until then, and nothing else.
 *
 *     BASE 7/DIGEST.jpg?Expires=1764000000&Signature=...
 *     BASE 7/shared/DIGEST.jpg?Expires=...
 *
 * 7 is the tenant's id, DIGEST the picture's SHA-256 in hex.  What changes from
 * link to link stands in parameters that fingerprints leave out, so that a
 * picture of ours as input of another call counts as the same one again.
 */


#ifndef _PHOTA_LINK_H_INCLUDED_
#define _PHOTA_LINK_H_INCLUDED_


#include "phota_picture.h"
#include "phota_seal.h"


#define PHOTA_LINK_ROOM  256        /* bytes of a link beside its base */


typedef struct {
    u_char              key[32];
    u_char              other[32];  /* that has signed, or will */
    unsigned            two:1;
} phota_linker_t;


/* what a link says */

typedef struct {
    uint32_t            tenant;     /* for whom it was made */
    uint32_t            scope;      /* the tenant, or PHOTA_SHARED */
    uint64_t            expires;    /* s since 1970 */
    u_char              digest[PHOTA_SHA256_LEN];
    uint8_t             type;       /* phota_picture_type_e */
} phota_link_t;


/* of two master keys the one that seals signs, and both are read */
int phota_link_init(phota_linker_t *linker, const phota_master_t *master);

/*
 * buf has base->len + PHOTA_LINK_ROOM bytes; *len: how many it has become, no
 * NUL.  base is written as it stands and must need no escapes in JSON.
 */
int phota_link_format(const phota_linker_t *linker, const phota_str_t *base,
    const phota_link_t *link, u_char *buf, size_t *len);

/*
 * path: what follows the base, args: what follows the '?'; other parameters are
 * passed over.  now: s.  PHOTA_INVALID when it isn't one, is signed otherwise
 * or has expired; the signature is compared in constant time.
 */
int phota_link_parse(const phota_linker_t *linker, const u_char *path,
    size_t len, const u_char *args, size_t args_len, uint64_t now,
    phota_link_t *link);


#endif /* _PHOTA_LINK_H_INCLUDED_ */
