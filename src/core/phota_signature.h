
/*
 * Signatures of callbacks.  Ours: HMAC-SHA-256 over "TIME.BODY", told as
 * "t=TIME,v1=HEX".  The upstream's, which is documented in name only: a scheme
 * says how it is read, and the one place that would change is here.
 */


#ifndef _PHOTA_SIGNATURE_H_INCLUDED_
#define _PHOTA_SIGNATURE_H_INCLUDED_


#include "phota_seal.h"


#define PHOTA_SIGNATURE_TEXT  128


typedef enum {
    PHOTA_SIGNED_BODY = 0,      /* the body alone */
    PHOTA_SIGNED_TIMED          /* TIME, a dot, the body */
} phota_signed_e;


typedef struct {
    phota_signed_e   over;
    const char      *hash;          /* OpenSSL's name: "SHA256", "SHA512" */
    unsigned         base64:1;      /* else hex; either alphabet */
    uint64_t         tolerance;     /* s that TIME may be off, 0: any */
} phota_scheme_t;


/* what a tenant gets; time: s since 1970 */
int phota_sign(const char *secret, uint64_t time, const u_char *body,
    size_t len, char text[PHOTA_SIGNATURE_TEXT]);

/*
 * header: as it came: the digest alone, or behind "sha256=", "sha512=" or
 * "v1=", among parts that commas separate; TIME is a part "t=TIME", or
 * timestamp, the value of a header of its own, len 0 where there is none; in s
 * or ms.  Where the body alone is signed no TIME is looked at.  now: s.
 * PHOTA_OK; PHOTA_INVALID when no part of it fits, or TIME is missing or too
 * far off; compared in constant time.
 */
int phota_sign_check(const phota_scheme_t *scheme, const u_char *secret,
    size_t secret_len, const phota_str_t *header, const phota_str_t *timestamp,
    const u_char *body, size_t len, uint64_t now);


#endif /* _PHOTA_SIGNATURE_H_INCLUDED_ */
