
/*
 * Everything cryptographic, each step done by OpenSSL: the master key and what
 * is derived from it, sealing of upstream keys, tokens and their checksum.
 */


#ifndef _PHOTA_SEAL_H_INCLUDED_
#define _PHOTA_SEAL_H_INCLUDED_


#include "phota_core.h"


#define PHOTA_MASTER_LEN     32
#define PHOTA_MASTER_ID      8
#define PHOTA_TOKEN_LEN      54         /* phg_ or pha_ + 43 + _ + 6 */
#define PHOTA_KEY_MAX        512        /* an upstream key, bytes */
#define PHOTA_SEALED_MAX     (PHOTA_KEY_MAX + 64)
#define PHOTA_SEAL_MAX       4096       /* anything that is sealed, bytes */
#define PHOTA_SEAL_OVERHEAD  32


/* one seals, and while it is being replaced the other one opens as well */

typedef struct {
    u_char          b[PHOTA_MASTER_LEN];
    u_char          other[PHOTA_MASTER_LEN];
    unsigned        two:1;          /* there is another */
} phota_master_t;


/* what a text is sealed for: elsewhere it doesn't open */

typedef struct {
    uint32_t        tenant;
    uint32_t        version;        /* of this text */
    uint8_t         provider;
    uint8_t         what;
} phota_seal_t;


/*
 * Reads 64 hex digits.  Refused when the group may write the file, or others
 * may read or write it, or it isn't a regular file.  PHOTA_INVALID, err says
 * which.
 */
int phota_master_read(phota_master_t *master, const char *path,
    phota_error_t *err);

/* the other one; PHOTA_INVALID when it is the same key */
int phota_master_add(phota_master_t *master, const char *path,
    phota_error_t *err);

/* of two the other one seals from now on */
void phota_master_turn(phota_master_t *master);

/* by which the one that seals is known where it may not be shown */
int phota_master_id(const phota_master_t *master,
    u_char id[PHOTA_MASTER_ID]);

/* a new file, 0600, never over an old one (PHOTA_REFUSED) */
int phota_master_create(const char *path, phota_error_t *err);

/*
 * HKDF-SHA-256 of the master key, of two the one that seals; label names the
 * use ("seal", "urls")
 */
int phota_master_derive(const phota_master_t *master, const char *label,
    u_char *out, size_t len);

void phota_cleanse(void *p, size_t len);

int phota_random(void *p, size_t len);

int phota_sha256(u_char out[PHOTA_SHA256_LEN], const void *p, size_t len);

/* HMAC-SHA-256 */
int phota_hmac(u_char out[PHOTA_SHA256_LEN], const u_char key[32],
    const void *p, size_t len);

/* 0 when equal, in constant time */
int phota_memcmp(const void *a, const void *b, size_t len);

/*
 * AES-256-GCM under the derived key "seal", a fresh nonce each time; what it is
 * sealed for is bound as associated data.  *out_len is the room in, the length
 * out; a seal adds PHOTA_SEAL_OVERHEAD bytes.
 */
int phota_seal(const phota_master_t *master, const phota_seal_t *bound,
    const u_char *plain, size_t len, u_char *out, size_t *out_len);

/* by either key; PHOTA_INVALID: sealed otherwise, or for anything else */
int phota_unseal(const phota_master_t *master, const phota_seal_t *bound,
    const u_char *sealed, size_t len, u_char *out, size_t *out_len);

/* of a key as books of schema 2 have it, bound to tenant and version alone */
int phota_unseal_2(const phota_master_t *master, const phota_seal_t *bound,
    const u_char *sealed, size_t len, u_char *out, size_t *out_len);

/* a new token: buf has PHOTA_TOKEN_LEN + 1; digest is what may be stored */
int phota_token_create(char *buf, u_char digest[PHOTA_SHA256_LEN]);

/* form and checksum only; digest is its SHA-256.  PHOTA_INVALID otherwise */
int phota_token_digest(const u_char *token, size_t len,
    u_char digest[PHOTA_SHA256_LEN]);

/* the same of operators' tokens: neither kind is ever taken for the other */
int phota_admin_create(char *buf, u_char digest[PHOTA_SHA256_LEN]);
int phota_admin_digest(const u_char *token, size_t len,
    u_char digest[PHOTA_SHA256_LEN]);

/* whether a token of either kind begins here: four bytes are looked at */
int phota_token_begins(const u_char *text);


#endif /* _PHOTA_SEAL_H_INCLUDED_ */
