
/*
 * hash: the digest with a key is what its header says, for texts of all lengths
 * around its blocks, wherever they lie and however they are cut.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "phota_hash.h"


#define TEST_MAX  (20 * PHOTA_HASH_BLOCK)


static phota_hash_key_t  test_key;
static u_char            test_text[TEST_MAX + 64];


static uint32_t
test_word(const u_char *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16
           | (uint32_t) p[3] << 24;
}


static void
test_plain(const u_char *p, size_t len, u_char digest[32])
{
    size_t       pos, n, kept;
    u_char       block[PHOTA_HASH_BLOCK], all[32 + 8 * 32 + 8];
    uint64_t     sum;
    uint32_t     a, b;
    unsigned     i, k, lane;

    memset(all, 0, 32);
    kept = 32;

    for (pos = 0; pos < len; pos += n) {
        n = (len - pos < sizeof(block)) ? len - pos : sizeof(block);
        memset(block, 0, sizeof(block));
        memcpy(block, p + pos, n);

        for (lane = 0; lane < 4; lane++) {
            sum = 0;

            for (i = 0; i < (n + 15) / 16 * 4; i += 2) {
                a = test_word(block + 4 * i) + test_key.words[i + 4 * lane];
                b = test_word(block + 4 * i + 4)
                    + test_key.words[i + 4 * lane + 1];
                sum += (uint64_t) a * b;
            }

            for (k = 0; k < 8; k++) {
                all[kept++] = (u_char) (sum >> (8 * k));
            }
        }

        if (kept == 32 + 8 * 32) {
            assert_int_equal(EVP_Digest(all, kept, all, NULL, EVP_sha256(),
                                        NULL), 1);
            kept = 32;
        }
    }

    for (k = 0; k < 8; k++) {
        all[kept++] = (u_char) ((uint64_t) len >> (8 * k));
    }

    assert_int_equal(EVP_Digest(all, kept, digest, NULL, EVP_sha256(), NULL),
                     1);
}


static void
test_same(size_t at, size_t len, size_t cut)
{
    size_t        pos, n;
    u_char        one[32], other[32];
    phota_hash_t  h;

    phota_hash_init(&h);

    for (pos = 0; pos < len; pos += n) {
        n = (cut && cut < len - pos) ? cut : len - pos;
        phota_hash_update(&h, &test_key, test_text + at + pos, n);
    }

    assert_int_equal(phota_hash_final(&h, &test_key, one), PHOTA_OK);

    test_plain(test_text + at, len, other);
    assert_memory_equal(one, other, 32);
}


static int
test_setup(void **state)
{
    size_t          i;
    uint64_t        seed;
    phota_master_t  master;

    (void) state;

    memset(&master, 0, sizeof(phota_master_t));
    memset(master.b, 7, PHOTA_MASTER_LEN);

    seed = 1;

    for (i = 0; i < sizeof(test_text); i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        test_text[i] = (u_char) (seed >> 56);
    }

    return phota_hash_key_init(&test_key, &master) == PHOTA_OK ? 0 : -1;
}


static void
test_lengths(void **state)
{
    size_t  len;

    (void) state;

    for (len = 0; len <= 2 * PHOTA_HASH_BLOCK + 40; len++) {
        test_same(0, len, 0);
    }

    for (len = 7 * PHOTA_HASH_BLOCK; len <= TEST_MAX; len += 509) {
        test_same(0, len, 0);
    }

    for (len = 1; len <= TEST_MAX / PHOTA_HASH_BLOCK; len++) {
        test_same(0, len * PHOTA_HASH_BLOCK, 0);
    }
}


static void
test_places(void **state)
{
    size_t  at;

    (void) state;

    for (at = 0; at < 64; at++) {
        test_same(at, PHOTA_HASH_BLOCK + 333, 0);
        test_same(at, at, 0);
    }
}


static void
test_cuts(void **state)
{
    size_t  cut;

    (void) state;

    for (cut = 1; cut < 300; cut++) {
        test_same(1, 3 * PHOTA_HASH_BLOCK + 5, cut);
    }

    for (cut = PHOTA_HASH_BLOCK - 17; cut < PHOTA_HASH_BLOCK + 18; cut++) {
        test_same(3, TEST_MAX - 1, cut);
    }
}


/* for each way that this machine has */

static void
test_ways(void **state)
{
    size_t    at, n, units;
    uint64_t  was[PHOTA_HASH_LANES], is[PHOTA_HASH_LANES];
    unsigned  way, ways;

    (void) state;

    units = PHOTA_HASH_BLOCK / PHOTA_HASH_UNIT;
    ways = 0;

    for (way = PHOTA_HASH_SSE2; way < PHOTA_HASH_WAYS; way++) {

        memset(is, 0, sizeof(is));

        if (phota_hash_add(way, is, test_key.words, test_text, 1)
            == PHOTA_DECLINED)
        {
            continue;
        }

        ways++;

        for (n = 0; n <= units; n++) {
            for (at = 0; at < 33; at++) {
                memset(was, 5, sizeof(was));
                memset(is, 5, sizeof(is));

                assert_int_equal(phota_hash_add(PHOTA_HASH_PLAIN, was,
                                     test_key.words + 4 * (units - n),
                                     test_text + at, n), PHOTA_OK);
                assert_int_equal(phota_hash_add(way, is,
                                     test_key.words + 4 * (units - n),
                                     test_text + at, n), PHOTA_OK);
                assert_memory_equal(was, is, sizeof(was));
            }
        }
    }

#if defined(__x86_64__)
    assert_true(ways >= 1);
#endif

    memset(is, 0, sizeof(is));

    assert_int_equal(phota_hash_add(PHOTA_HASH_WAYS, is, test_key.words,
                                    test_text, 1), PHOTA_DECLINED);
}


/* a bit anywhere, a zero more at the end, two words that change places */

static void
test_changes(void **state)
{
    u_char        text[3000], was[32], is[32];
    size_t        i, len;
    phota_hash_t  h;

    (void) state;

    memcpy(text, test_text, sizeof(text));
    test_plain(text, sizeof(text), was);

    for (i = 0; i < sizeof(text); i++) {
        text[i] ^= (u_char) (1 << (i % 8));

        phota_hash_init(&h);
        phota_hash_update(&h, &test_key, text, sizeof(text));
        assert_int_equal(phota_hash_final(&h, &test_key, is), PHOTA_OK);
        assert_memory_not_equal(was, is, 32);

        text[i] ^= (u_char) (1 << (i % 8));
    }

    memset(text, 0, sizeof(text));

    for (len = 0; len < sizeof(text); len++) {
        phota_hash_init(&h);
        phota_hash_update(&h, &test_key, text, len);
        assert_int_equal(phota_hash_final(&h, &test_key, is), PHOTA_OK);
        assert_memory_not_equal(was, is, 32);
        memcpy(was, is, 32);
    }
}


/* also SHA-256 and HMAC of phota_seal.c, whose contexts are used again */

static void
test_shown(void **state)
{
    u_char    one[32], other[32];
    size_t    len;
    unsigned  n;

    (void) state;

    for (len = 0; len < 300; len++) {
        assert_int_equal(phota_hmac(one, test_key.prf, test_text, len),
                         PHOTA_OK);
        assert_non_null(HMAC(EVP_sha256(), test_key.prf, 32, test_text, len,
                             other, &n));
        assert_memory_equal(one, other, 32);

        assert_int_equal(phota_sha256(one, test_text, len), PHOTA_OK);
        assert_int_equal(EVP_Digest(test_text, len, other, NULL, EVP_sha256(),
                                    NULL), 1);
        assert_memory_equal(one, other, 32);
    }

    assert_int_equal(phota_hash_show(&test_key, other, one), PHOTA_OK);
    assert_non_null(HMAC(EVP_sha256(), test_key.prf, 32, other, 32, other,
                         &n));
    assert_memory_equal(one, other, 32);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_ways),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_shown)
    };

    return cmocka_run_group_tests_name("hash", tests, test_setup, NULL);
}
