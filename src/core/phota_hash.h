
/*
 * A digest with a secret key, at the speed of memory: for what is compared and
 * never has to be checked by others.  What names stored bytes is SHA-256.
 *
 * Text is cut into blocks of 2048 bytes, 512 words of 32 bits, with zeros to
 * the next whole four words.  With the words k of the key, for t from 0 to 3,
 *
 *     NH[t] = sum of (m[2i] + k[2i + 4t]) * (m[2i + 1] + k[2i + 1 + 4t])
 *
 * sums of words modulo 2^32, sums of products modulo 2^64.  The digest is
 * SHA-256 over the NH of all blocks and the length of the text, and what is
 * shown of it goes through HMAC-SHA-256 with a key of its own.
 *
 * Two texts of unlike lengths differ in what SHA-256 is given.  Two of one
 * length differ in some block, and NH has the same four sums for two unlike
 * blocks with at most one of 2^128 keys, however long the text: each sum with
 * one of 2^32, since in the last pair that differs one word of the key decides,
 * and for each t that is a word of which the sums before know nothing (Black,
 * Halevi, Krawczyk, Krovetz, Rogaway, "UMAC", 1999, on NH and on keys that are
 * moved along).  So two texts meet with a chance of 2^-128, or SHA-256 was
 * broken, as long as they were chosen without knowledge of the key.  Of the
 * sums nothing is shown but an HMAC of their digest, which tells no more than
 * whether two texts met: among q texts, chosen by who sees all of that, two
 * meet with a chance below q^2 / 2^129, which is 2^-45 for a hundred thousand
 * a second for a year.
 */


#ifndef _PHOTA_HASH_H_INCLUDED_
#define _PHOTA_HASH_H_INCLUDED_


#include "phota_seal.h"


#define PHOTA_HASH_BLOCK  2048
#define PHOTA_HASH_UNIT   16            /* bytes that are summed up at once */
#define PHOTA_HASH_LANES  4
#define PHOTA_HASH_SUMS   (8 * PHOTA_HASH_LANES)
#define PHOTA_HASH_KEPT   8             /* blocks whose sums are gathered */

#define PHOTA_HASH_WORDS  (PHOTA_HASH_BLOCK / 4 + 4 * (PHOTA_HASH_LANES - 1))


typedef struct {
    uint32_t           words[PHOTA_HASH_WORDS];
    u_char             prf[32];
} phota_hash_key_t;


typedef struct {
    uint64_t           len;             /* bytes, up to now */
    uint64_t           sums[PHOTA_HASH_LANES];      /* of the block */
    unsigned           at;              /* bytes of the block summed up */
    unsigned           ncarry;
    unsigned           nkept;
    unsigned           failed:1;
    u_char             carry[PHOTA_HASH_UNIT];
    u_char             kept[PHOTA_SHA256_LEN
                            + PHOTA_HASH_KEPT * PHOTA_HASH_SUMS + 8];
} phota_hash_t;


/* ways to the same sums; which of them there are depends on the machine */

typedef enum {
    PHOTA_HASH_PLAIN = 0,
    PHOTA_HASH_SSE2,
    PHOTA_HASH_AVX2,
    PHOTA_HASH_WAYS
} phota_hash_way_e;


int phota_hash_key_init(phota_hash_key_t *key, const phota_master_t *master);

void phota_hash_init(phota_hash_t *h);

/* a failure is remembered, and told by the last */
void phota_hash_update(phota_hash_t *h, const phota_hash_key_t *key,
    const u_char *p, size_t n);
int phota_hash_final(phota_hash_t *h, const phota_hash_key_t *key,
    u_char digest[PHOTA_SHA256_LEN]);

/* what may be shown of a digest */
int phota_hash_show(const phota_hash_key_t *key,
    const u_char digest[PHOTA_SHA256_LEN], u_char shown[PHOTA_SHA256_LEN]);

/*
 * For tests.  Adds n units of a block, of which the first has the key's words
 * from words on.  PHOTA_DECLINED when this machine hasn't that way.
 */
int phota_hash_add(phota_hash_way_e way, uint64_t sums[PHOTA_HASH_LANES],
    const uint32_t *words, const u_char *p, size_t n);


#endif /* _PHOTA_HASH_H_INCLUDED_ */
