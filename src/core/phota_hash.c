
/*
 * The digest with a key: sums of products as the text streams by, of which
 * SHA-256 sees one byte in 64.
 */


#include "phota_hash.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "phota_record.h"


static void phota_hash_units(phota_hash_t *h, const phota_hash_key_t *key,
    const u_char *p, size_t n);
static void phota_hash_plain(uint64_t sums[PHOTA_HASH_LANES],
    const uint32_t *words, const u_char *p, size_t n);
#if defined(__x86_64__)
static void phota_hash_sse2(uint64_t sums[PHOTA_HASH_LANES],
    const uint32_t *words, const u_char *p, size_t n);
static uint64_t phota_hash_across(__m128i v);
static void phota_hash_avx2(uint64_t sums[PHOTA_HASH_LANES],
    const uint32_t *words, const u_char *p, size_t n);
#endif
static uint32_t phota_hash_word(const u_char *p);
static void phota_hash_block(phota_hash_t *h);
static void phota_hash_fold(phota_hash_t *h);


int
phota_hash_key_init(phota_hash_key_t *key, const phota_master_t *master)
{
    int       rc;
    u_char    bytes[4 * PHOTA_HASH_WORDS];
    unsigned  i;

    rc = phota_master_derive(master, "fingerprint words", bytes,
                             sizeof(bytes));

    if (rc == PHOTA_OK) {
        rc = phota_master_derive(master, "fingerprint", key->prf,
                                 sizeof(key->prf));
    }

    /* the same whatever the machine's order of bytes is */

    for (i = 0; i < PHOTA_HASH_WORDS; i++) {
        key->words[i] = phota_hash_word(bytes + 4 * i);
    }

    phota_cleanse(bytes, sizeof(bytes));

    return rc;
}


void
phota_hash_init(phota_hash_t *h)
{
    memset(h, 0, offsetof(phota_hash_t, kept) + PHOTA_SHA256_LEN);
}


void
phota_hash_update(phota_hash_t *h, const phota_hash_key_t *key,
    const u_char *p, size_t n)
{
    size_t  take;

    h->len += n;

    if (h->ncarry) {
        take = sizeof(h->carry) - h->ncarry;

        if (take > n) {
            take = n;
        }

        memcpy(h->carry + h->ncarry, p, take);
        h->ncarry += take;
        p += take;
        n -= take;

        if (h->ncarry < sizeof(h->carry)) {
            return;
        }

        phota_hash_units(h, key, h->carry, 1);
        h->ncarry = 0;
    }

    if (n >= sizeof(h->carry)) {
        take = n / sizeof(h->carry);
        phota_hash_units(h, key, p, take);
        p += take * sizeof(h->carry);
        n -= take * sizeof(h->carry);
    }

    if (n) {
        memcpy(h->carry, p, n);
        h->ncarry = n;
    }
}


int
phota_hash_final(phota_hash_t *h, const phota_hash_key_t *key,
    u_char digest[PHOTA_SHA256_LEN])
{
    size_t  n;

    if (h->ncarry) {
        memset(h->carry + h->ncarry, 0, sizeof(h->carry) - h->ncarry);
        phota_hash_units(h, key, h->carry, 1);
    }

    if (h->at) {
        phota_hash_block(h);
    }

    n = PHOTA_SHA256_LEN + h->nkept * PHOTA_HASH_SUMS;

    phota_put_le(h->kept + n, h->len, 8);

    return (h->failed || phota_sha256(digest, h->kept, n + 8) != PHOTA_OK)
           ? PHOTA_ERROR : PHOTA_OK;
}


int
phota_hash_show(const phota_hash_key_t *key,
    const u_char digest[PHOTA_SHA256_LEN], u_char shown[PHOTA_SHA256_LEN])
{
    return phota_hmac(shown, key->prf, digest, PHOTA_SHA256_LEN);
}


static void
phota_hash_units(phota_hash_t *h, const phota_hash_key_t *key,
    const u_char *p, size_t n)
{
    size_t             take;
    phota_hash_way_e   way;

    way = PHOTA_HASH_PLAIN;

#if defined(__x86_64__)
    way = __builtin_cpu_supports("avx2") ? PHOTA_HASH_AVX2 : PHOTA_HASH_SSE2;
#endif

    while (n) {
        take = (PHOTA_HASH_BLOCK - h->at) / PHOTA_HASH_UNIT;

        if (take > n) {
            take = n;
        }

        (void) phota_hash_add(way, h->sums, key->words + h->at / 4, p, take);

        p += take * PHOTA_HASH_UNIT;
        n -= take;
        h->at += (unsigned) take * PHOTA_HASH_UNIT;

        if (h->at == PHOTA_HASH_BLOCK) {
            phota_hash_block(h);
        }
    }
}


int
phota_hash_add(phota_hash_way_e way, uint64_t sums[PHOTA_HASH_LANES],
    const uint32_t *words, const u_char *p, size_t n)
{
    switch (way) {

    case PHOTA_HASH_PLAIN:
        phota_hash_plain(sums, words, p, n);
        return PHOTA_OK;

#if defined(__x86_64__)

    case PHOTA_HASH_SSE2:
        phota_hash_sse2(sums, words, p, n);
        return PHOTA_OK;

    case PHOTA_HASH_AVX2:
        if (__builtin_cpu_supports("avx2")) {
            phota_hash_avx2(sums, words, p, n);
            return PHOTA_OK;
        }

        break;

#endif

    default:
        break;
    }

    return PHOTA_DECLINED;
}


static void
phota_hash_plain(uint64_t sums[PHOTA_HASH_LANES], const uint32_t *words,
    const u_char *p, size_t n)
{
    size_t    i;
    uint32_t  a, b;
    unsigned  t;

    for (i = 0; i < 4 * n; i += 2) {
        a = phota_hash_word(p + 4 * i);
        b = phota_hash_word(p + 4 * i + 4);

        for (t = 0; t < PHOTA_HASH_LANES; t++) {
            sums[t] += (uint64_t) (uint32_t) (a + words[i + 4 * t])
                       * (uint32_t) (b + words[i + 4 * t + 1]);
        }
    }
}


#if defined(__x86_64__)

static void
phota_hash_sse2(uint64_t sums[PHOTA_HASH_LANES], const uint32_t *words,
    const u_char *p, size_t n)
{
    size_t          i;
    __m128i         m, w, a, b, c, d;
    const __m128i  *k;

    /* four by name: what is in an array the compiler keeps in memory */

    a = b = c = d = _mm_setzero_si128();

    for (i = 0; i < n; i++) {
        m = _mm_loadu_si128((const __m128i *) (p + 16 * i));
        k = (const __m128i *) (words + 4 * i);

        w = _mm_add_epi32(m, _mm_loadu_si128(k));
        a = _mm_add_epi64(a, _mm_mul_epu32(w, _mm_srli_epi64(w, 32)));

        w = _mm_add_epi32(m, _mm_loadu_si128(k + 1));
        b = _mm_add_epi64(b, _mm_mul_epu32(w, _mm_srli_epi64(w, 32)));

        w = _mm_add_epi32(m, _mm_loadu_si128(k + 2));
        c = _mm_add_epi64(c, _mm_mul_epu32(w, _mm_srli_epi64(w, 32)));

        w = _mm_add_epi32(m, _mm_loadu_si128(k + 3));
        d = _mm_add_epi64(d, _mm_mul_epu32(w, _mm_srli_epi64(w, 32)));
    }

    sums[0] += phota_hash_across(a);
    sums[1] += phota_hash_across(b);
    sums[2] += phota_hash_across(c);
    sums[3] += phota_hash_across(d);
}


static uint64_t
phota_hash_across(__m128i v)
{
    return (uint64_t) _mm_cvtsi128_si64(v)
           + (uint64_t) _mm_cvtsi128_si64(_mm_unpackhi_epi64(v, v));
}


__attribute__((target("avx2")))
static void
phota_hash_avx2(uint64_t sums[PHOTA_HASH_LANES], const uint32_t *words,
    const u_char *p, size_t n)
{
    size_t          i;
    __m256i         m, w, a, b, c, d;
    const __m128i  *k;

    a = b = c = d = _mm256_setzero_si256();

    for (i = 0; i + 2 <= n; i += 2) {
        m = _mm256_loadu_si256((const __m256i *) (p + 16 * i));
        k = (const __m128i *) (words + 4 * i);

        w = _mm256_add_epi32(m, _mm256_loadu_si256((const __m256i *) k));
        a = _mm256_add_epi64(a, _mm256_mul_epu32(w, _mm256_srli_epi64(w, 32)));

        w = _mm256_add_epi32(m, _mm256_loadu_si256((const __m256i *) (k + 1)));
        b = _mm256_add_epi64(b, _mm256_mul_epu32(w, _mm256_srli_epi64(w, 32)));

        w = _mm256_add_epi32(m, _mm256_loadu_si256((const __m256i *) (k + 2)));
        c = _mm256_add_epi64(c, _mm256_mul_epu32(w, _mm256_srli_epi64(w, 32)));

        w = _mm256_add_epi32(m, _mm256_loadu_si256((const __m256i *) (k + 3)));
        d = _mm256_add_epi64(d, _mm256_mul_epu32(w, _mm256_srli_epi64(w, 32)));
    }

    sums[0] += phota_hash_across(_mm_add_epi64(_mm256_castsi256_si128(a),
                                               _mm256_extracti128_si256(a, 1)));
    sums[1] += phota_hash_across(_mm_add_epi64(_mm256_castsi256_si128(b),
                                               _mm256_extracti128_si256(b, 1)));
    sums[2] += phota_hash_across(_mm_add_epi64(_mm256_castsi256_si128(c),
                                               _mm256_extracti128_si256(c, 1)));
    sums[3] += phota_hash_across(_mm_add_epi64(_mm256_castsi256_si128(d),
                                               _mm256_extracti128_si256(d, 1)));

    if (i < n) {
        phota_hash_sse2(sums, words + 4 * i, p + 16 * i, 1);
    }
}

#endif


static uint32_t
phota_hash_word(const u_char *p)
{
    uint32_t  word;

    memcpy(&word, p, sizeof(word));

#if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
    word = __builtin_bswap32(word);
#endif

    return word;
}


static void
phota_hash_block(phota_hash_t *h)
{
    u_char    *p;
    unsigned   i;

    p = h->kept + PHOTA_SHA256_LEN + h->nkept * PHOTA_HASH_SUMS;

    for (i = 0; i < PHOTA_HASH_LANES; i++) {
        phota_put_le(p + 8 * i, h->sums[i], 8);
    }

    memset(h->sums, 0, sizeof(h->sums));
    h->at = 0;

    if (++h->nkept == PHOTA_HASH_KEPT) {
        phota_hash_fold(h);
    }
}


/* its length is fixed, and how many there were the length says */

static void
phota_hash_fold(phota_hash_t *h)
{
    u_char  digest[PHOTA_SHA256_LEN];

    if (phota_sha256(digest, h->kept,
                     PHOTA_SHA256_LEN + PHOTA_HASH_KEPT * PHOTA_HASH_SUMS)
        != PHOTA_OK)
    {
        h->failed = 1;
        return;
    }

    memcpy(h->kept, digest, PHOTA_SHA256_LEN);
    h->nkept = 0;
}
