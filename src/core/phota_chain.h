
/*
 * The hash of an entry: over its predecessor's and its own record.  One digest
 * context is used for all, fetched once, as a chain has millions of links.
 */


#ifndef _PHOTA_CHAIN_H_INCLUDED_
#define _PHOTA_CHAIN_H_INCLUDED_


#include <openssl/evp.h>

#include "phota_core.h"


typedef struct {
    EVP_MD         *md;
    EVP_MD_CTX     *ctx;
} phota_hasher_t;


static inline void
phota_hasher_free(phota_hasher_t *h)
{
    EVP_MD_CTX_free(h->ctx);
    EVP_MD_free(h->md);

    h->ctx = NULL;
    h->md = NULL;
}


static inline int
phota_hasher_init(phota_hasher_t *h, phota_error_t *err)
{
    h->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    h->ctx = EVP_MD_CTX_new();

    if (h->md == NULL || h->ctx == NULL
        || !EVP_DigestInit_ex2(h->ctx, h->md, NULL))
    {
        phota_hasher_free(h);
        phota_error(err, "OpenSSL has no SHA-256, or no memory");
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


/* hash may be the place of previous */

static inline int
phota_hasher_link(phota_hasher_t *h, const u_char previous[PHOTA_SHA256_LEN],
    const void *record, size_t covered, u_char hash[PHOTA_SHA256_LEN])
{
    if (!EVP_DigestInit_ex2(h->ctx, NULL, NULL)
        || !EVP_DigestUpdate(h->ctx, previous, PHOTA_SHA256_LEN)
        || !EVP_DigestUpdate(h->ctx, record, covered)
        || !EVP_DigestFinal_ex(h->ctx, hash, NULL))
    {
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


#endif /* _PHOTA_CHAIN_H_INCLUDED_ */
