
/*
 * SHA-256, and HMAC with it, for texts that come whole.  Fetching an algorithm
 * costs more than hashing a token, and so does making a context: the one is
 * done once, the other once in a thread.
 */


#include "phota_seal.h"

#include <pthread.h>
#include <string.h>

#include <openssl/evp.h>


#define PHOTA_SHA256_BLOCK   64


static void phota_sha256_fetch(void);
static void phota_sha256_forget(void *ctx);
static EVP_MD_CTX *phota_sha256_begin(void);
static int phota_hmac_half(u_char out[PHOTA_SHA256_LEN], const u_char key[32],
    u_char pad, const void *p, size_t len);


static EVP_MD          *phota_sha256_md;
static pthread_key_t    phota_sha256_key;
static pthread_once_t   phota_sha256_once = PTHREAD_ONCE_INIT;


static void
phota_sha256_fetch(void)
{
    if (pthread_key_create(&phota_sha256_key, phota_sha256_forget) == 0) {
        phota_sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
    }
}


static void
phota_sha256_forget(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}


static EVP_MD_CTX *
phota_sha256_begin(void)
{
    EVP_MD_CTX  *ctx;

    if (pthread_once(&phota_sha256_once, phota_sha256_fetch) != 0
        || phota_sha256_md == NULL)
    {
        return NULL;
    }

    ctx = pthread_getspecific(phota_sha256_key);

    if (ctx == NULL) {
        ctx = EVP_MD_CTX_new();

        if (ctx == NULL || pthread_setspecific(phota_sha256_key, ctx) != 0) {
            EVP_MD_CTX_free(ctx);
            return NULL;
        }
    }

    return (EVP_DigestInit_ex2(ctx, phota_sha256_md, NULL) == 1) ? ctx : NULL;
}


int
phota_sha256(u_char out[PHOTA_SHA256_LEN], const void *p, size_t len)
{
    EVP_MD_CTX  *ctx;

    ctx = phota_sha256_begin();

    return (ctx != NULL
            && EVP_DigestUpdate(ctx, p, len) == 1
            && EVP_DigestFinal_ex(ctx, out, NULL) == 1)
           ? PHOTA_OK : PHOTA_ERROR;
}


int
phota_hmac(u_char out[PHOTA_SHA256_LEN], const u_char key[32], const void *p,
    size_t len)
{
    int     rc;
    u_char  inner[PHOTA_SHA256_LEN];

    rc = phota_hmac_half(inner, key, 0x36, p, len);

    if (rc == PHOTA_OK) {
        rc = phota_hmac_half(out, key, 0x5c, inner, sizeof(inner));
    }

    phota_cleanse(inner, sizeof(inner));

    return rc;
}


static int
phota_hmac_half(u_char out[PHOTA_SHA256_LEN], const u_char key[32], u_char pad,
    const void *p, size_t len)
{
    int          rc;
    size_t       i;
    u_char       block[PHOTA_SHA256_BLOCK];
    EVP_MD_CTX  *ctx;

    memset(block, pad, sizeof(block));

    for (i = 0; i < 32; i++) {
        block[i] ^= key[i];
    }

    ctx = phota_sha256_begin();

    rc = (ctx != NULL
          && EVP_DigestUpdate(ctx, block, sizeof(block)) == 1
          && EVP_DigestUpdate(ctx, p, len) == 1
          && EVP_DigestFinal_ex(ctx, out, NULL) == 1)
         ? PHOTA_OK : PHOTA_ERROR;

    phota_cleanse(block, sizeof(block));

    return rc;
}
