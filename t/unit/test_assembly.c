
/*
 * assembly: an answer put together from a result's text and files is, byte for
 * byte, what a naive build gives, wherever it is read from and in whatever
 * pieces; and what is taken apart again are the files.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "phota_assembly.h"


#define TEST_FILES  4
#define TEST_PART   3072            /* bytes that are encoded at once */
#define TEST_ROOM   65536


typedef struct {
    const u_char  *bytes;
    size_t         len;
    unsigned       fail:1;
} test_file_t;


typedef struct {
    u_char         text[TEST_ROOM];
    size_t         len;
} test_whole_t;


typedef struct {
    u_char         bytes[TEST_FILES][TEST_ROOM / 4];
    size_t         len[TEST_FILES];
} test_taken_t;


static u_char            test_bytes[TEST_ROOM / 4];
static test_file_t       test_files[TEST_FILES];
static phota_error_t     test_err;
static phota_unpacked_t  test_u;


static int
test_setup(void **state)
{
    size_t    i;
    uint32_t  x;

    (void) state;

    x = 1;

    for (i = 0; i < sizeof(test_bytes); i++) {
        x = x * 1664525 + 1013904223;
        test_bytes[i] = (u_char) (x >> 24);
    }

    return 0;
}


/* never beyond the file, never nothing */

static int
test_read(void *ctx, u_char *buf, size_t len, uint64_t offset)
{
    test_file_t  *file = ctx;

    assert_true(len > 0 && offset < file->len && len <= file->len - offset);

    if (file->fail) {
        return PHOTA_ERROR;
    }

    memcpy(buf, file->bytes + offset, len);

    return PHOTA_OK;
}


static int
test_init(phota_assembly_t *a, const char *result)
{
    int      rc;
    size_t   len;
    u_char  *copy;

    /* in memory of its own, so that a step outside of it is seen */

    len = strlen(result);
    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, result, len);

    rc = phota_assembly_init(a, copy, len);
    free(copy);

    return rc;
}


static void
test_add(phota_assembly_t *a, const size_t *lengths, unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        test_files[i].bytes = test_bytes + i;
        test_files[i].len = lengths[i];
        test_files[i].fail = 0;

        assert_int_equal(phota_assembly_add(a, test_read, &test_files[i],
                                            lengths[i]),
                         PHOTA_OK);
    }
}


static void
test_put(test_whole_t *whole, const void *p, size_t len)
{
    assert_true(len <= sizeof(whole->text) - whole->len);
    memcpy(whole->text + whole->len, p, len);
    whole->len += len;
}


/* expected: the text with a '@' where the elements are */

static void
test_naive(test_whole_t *whole, const char *expected, unsigned n)
{
    u_char       text[TEST_ROOM];
    unsigned     i;
    const char  *at;

    whole->len = 0;
    at = strchr(expected, '@');
    assert_non_null(at);

    test_put(whole, expected, (size_t) (at - expected));

    for (i = 0; i < n; i++) {
        test_put(whole, i ? ",\"" : "\"", i ? 2 : 1);
        test_put(whole, text, (size_t) EVP_EncodeBlock(text,
                                                       test_files[i].bytes,
                                                       (int)
                                                       test_files[i].len));
        test_put(whole, "\"", 1);
    }

    test_put(whole, at + 1, strlen(at + 1));
}


static void
test_piece(phota_assembly_t *a, const test_whole_t *whole, size_t at,
    size_t len)
{
    u_char  *buf;

    buf = malloc(len ? len : 1);
    assert_non_null(buf);

    assert_int_equal(phota_assembly_read(a, buf, len, at), PHOTA_OK);
    assert_memory_equal(buf, whole->text + at, len);

    free(buf);
}


/* each start with some lengths, and all in pieces of each length */

static void
test_reads(phota_assembly_t *a, const test_whole_t *whole, size_t step)
{
    u_char  c;
    size_t  i, at, n;

    assert_int_equal(phota_assembly_length(a), whole->len);

    test_piece(a, whole, 0, whole->len);
    test_piece(a, whole, 0, 0);

    for (at = 0; at < whole->len; at += step) {

        for (i = 1; i <= 9 && i <= whole->len - at; i++) {
            test_piece(a, whole, at, i);
        }

        test_piece(a, whole, at, whole->len - at);
        test_piece(a, whole, 0, at);
    }

    for (n = 1; n < 70; n += (n < 9) ? 1 : 7) {
        for (at = 0; at < whole->len; at += i) {
            i = (n < whole->len - at) ? n : whole->len - at;
            test_piece(a, whole, at, i);
        }
    }

    assert_int_equal(phota_assembly_read(a, &c, 1, whole->len), PHOTA_ERROR);
    assert_int_equal(phota_assembly_read(a, &c, 1, UINT64_MAX), PHOTA_ERROR);
}


static int
test_take(void *ctx, unsigned picture, const u_char *p, size_t n)
{
    test_taken_t  *taken = ctx;

    assert_true(picture < TEST_FILES);
    assert_true(n <= sizeof(taken->bytes[0]) - taken->len[picture]);

    memcpy(taken->bytes[picture] + taken->len[picture], p, n);
    taken->len[picture] += n;

    return PHOTA_OK;
}


static void
test_unpacks(phota_assembly_t *a, const size_t *lengths, unsigned n)
{
    u_char         digest[PHOTA_SHA256_LEN];
    unsigned       i;
    uint64_t       len;

    static test_taken_t  taken;

    memset(&taken, 0, sizeof(taken));
    len = phota_assembly_length(a);

    assert_int_equal(phota_unpack(PHOTA_ANSWER_IMAGES, phota_assembly_read, a,
                                  len, &test_u, &test_err),
                     PHOTA_OK);
    assert_int_equal(test_u.npictures, n);

    assert_int_equal(phota_unpack_pictures(PHOTA_ANSWER_IMAGES,
                                           phota_assembly_read, a, len,
                                           test_take, &taken),
                     PHOTA_OK);

    for (i = 0; i < n; i++) {
        assert_int_equal(test_u.pictures[i].length, lengths[i]);
        assert_int_equal(EVP_Digest(test_files[i].bytes, lengths[i], digest,
                                    NULL, EVP_sha256(), NULL),
                         1);
        assert_memory_equal(test_u.pictures[i].digest, digest,
                            sizeof(digest));
        assert_int_equal(taken.len[i], lengths[i]);
        assert_memory_equal(taken.bytes[i], test_files[i].bytes, lengths[i]);
    }
}


static void
test_texts(void **state)
{
    size_t            i;
    json_t           *json;
    unsigned          n;
    phota_assembly_t  a;

    static test_whole_t  whole;

    static const size_t  lengths[TEST_FILES] = { 1, 2, 3, 4 };

    static const struct {
        const char  *result;
        const char  *expected;
    } texts[] = {
        { "{\"images\":[],\"download_urls\":[\"https://a/1\"]}",
          "{\"images\":[@],\"download_urls\":[]}" },
        { "{\"download_urls\":[\"https://a/1\",\"b\"],\"images\":[]}",
          "{\"download_urls\":[],\"images\":[@]}" },
        { "{\"images\":[\"http://a\"],\"x\":{\"images\":[1]}}",
          "{\"images\":[@],\"x\":{\"images\":[1]}}" },
        { " { \"images\" : [ ] , \"download_urls\" : [ \"a\" ] , \"z\": 1 } ",
          " { \"images\" : [@] , \"download_urls\" : [] , \"z\": 1 } " },
        { "{\"download_urls\":[\"a\"]}",
          "{\"images\":[@],\"download_urls\":[]}" },
        { " \n{ \"download_urls\":[\"a\"]}",
          "{\"images\":[@], \"download_urls\":[]}" },
        { "{\"images\":null,\"download_urls\":[[\"a\"],{\"b\":[]}]}",
          "{\"images\":[@],\"download_urls\":[]}" },
        { "{\"images\":[\"a\"],\"download_urls\":null}",
          "{\"images\":[@],\"download_urls\":[]}" },
        { "{\"download_urls\":null,\"images\":null}",
          "{\"download_urls\":[],\"images\":[@]}" },
        { "{\"known_subjects\":{\"counts\":{\"a\":1}},"
          "\"i\\u006dages\":[],\"download_urls\":[\"\\\"]}\"],\"n\":null}",
          "{\"known_subjects\":{\"counts\":{\"a\":1}},"
          "\"i\\u006dages\":[@],\"download_urls\":[],\"n\":null}" },
        { "{\"images_of_a_long_name\":[1],\"download_urls_\":[2],"
          "\"images\":[]}",
          "{\"images_of_a_long_name\":[1],\"download_urls_\":[2],"
          "\"images\":[@]}" }
    };

    (void) state;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {

        for (n = 0; n <= TEST_FILES; n++) {
            assert_int_equal(test_init(&a, texts[i].result), PHOTA_OK);
            test_add(&a, lengths, n);
            test_naive(&whole, texts[i].expected, n);
            test_reads(&a, &whole, 1);

            json = json_loadb((char *) whole.text, whole.len,
                              JSON_REJECT_DUPLICATES, NULL);
            assert_non_null(json);
            assert_int_equal(json_array_size(json_object_get(json, "images")),
                             n);
            json_decref(json);

            if (n != 0) {
                test_unpacks(&a, lengths, n);
            }

            phota_assembly_free(&a);
        }
    }
}


static void
test_lengths(void **state)
{
    size_t            i, lengths[TEST_FILES];
    unsigned          n, k;
    phota_assembly_t  a;

    static test_whole_t  whole;

    static const size_t  sizes[] = {
        1, 2, 3, 4, 5, TEST_PART - 1, TEST_PART, TEST_PART + 1,
        TEST_PART + 2, 2 * TEST_PART, 2 * TEST_PART + 1
    };

    (void) state;

    n = sizeof(sizes) / sizeof(sizes[0]);

    for (i = 0; i < n; i++) {
        for (k = 0; k < 3; k++) {
            lengths[k] = sizes[(i + k * k) % n];
        }

        assert_int_equal(test_init(&a, "{\"images\":[],"
                                   "\"download_urls\":[\"a\"]}"),
                         PHOTA_OK);
        test_add(&a, lengths, 3);
        test_naive(&whole, "{\"images\":[@],\"download_urls\":[]}", 3);
        test_reads(&a, &whole, 61);
        test_unpacks(&a, lengths, 3);
        phota_assembly_free(&a);
    }
}


/* a file of nothing is told as such: it is no picture */

static void
test_empty(void **state)
{
    phota_assembly_t  a;

    static test_whole_t  whole;

    static const size_t  lengths[TEST_FILES] = { 0, 3, 0, 0 };

    (void) state;

    assert_int_equal(test_init(&a, "{\"images\":[]}"), PHOTA_OK);
    test_add(&a, lengths, TEST_FILES);
    test_naive(&whole, "{\"images\":[@]}", TEST_FILES);
    test_reads(&a, &whole, 1);

    assert_int_equal(phota_unpack(PHOTA_ANSWER_IMAGES, phota_assembly_read,
                                  &a, whole.len, &test_u, &test_err),
                     PHOTA_DECLINED);
    phota_assembly_free(&a);
}


/* neither list, no list, or two of one name: no answer is made of it */

static void
test_refused(void **state)
{
    size_t            i;
    phota_assembly_t  a;

    static const char  *texts[] = {
        "", "null", "[]", "\"images\"", "[{\"images\":[]}]", "{}",
        "{\"image\":[]}", "{\"images\":[]", "{\"images\":[]}}",
        "{\"x\":{\"images\":[]}}", "{\"images\":\"\"}", "{\"images\":{}}",
        "{\"images\":1,\"download_urls\":[\"a\"]}",
        "{\"images\":[],\"download_urls\":true}",
        "{\"images\":[],\"x\":\"............................................"
        "............................................................\","
        "\"images\":\"\"}",
        "{\"images\":[],\"images\":[]}",
        "{\"images\":null,\"images\":[]}",
        "{\"download_urls\":[\"a\"],\"download_\\u0075rls\":[\"a\"]}"
    };

    (void) state;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(test_init(&a, texts[i]), PHOTA_INVALID);
        assert_null(a.text);
        phota_assembly_free(&a);
    }
}


static void
test_failures(void **state)
{
    u_char            buf[64];
    unsigned          i;
    phota_assembly_t  a;

    static const size_t  lengths[TEST_FILES] = { 3, 3, 3, 3 };

    (void) state;

    assert_int_equal(test_init(&a, "{\"images\":[]}"), PHOTA_OK);
    test_add(&a, lengths, TEST_FILES);
    test_files[1].fail = 1;

    /* before the file that can't be read, and behind it */

    assert_int_equal(phota_assembly_read(&a, buf, 19, 0), PHOTA_OK);
    assert_int_equal(phota_assembly_read(&a, buf, 20, 0), PHOTA_ERROR);
    assert_int_equal(phota_assembly_read(&a, buf, 8, 23), PHOTA_OK);

    for (i = TEST_FILES; i < PHOTA_PICTURES_MAX; i++) {
        assert_int_equal(phota_assembly_add(&a, test_read, &test_files[0], 3),
                         PHOTA_OK);
    }

    assert_int_equal(phota_assembly_add(&a, test_read, &test_files[0], 3),
                     PHOTA_INVALID);
    phota_assembly_free(&a);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_failures)
    };

    return cmocka_run_group_tests(tests, test_setup, NULL);
}
