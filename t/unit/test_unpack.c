
/*
 * unpack: what answers are made of: pictures with their digests, a skeleton
 * that is JSON and has its places, counts and marks; and which answers can't
 * be kept.  jansson and OpenSSL say what is right.
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

#include "phota_record.h"
#include "phota_unpack.h"


#define TEST_PIECE  49152
#define TEST_LOAD   (JSON_ALLOW_NUL|JSON_DECODE_INT_AS_REAL)


/* 3 x 2 pixels of red, each a whole file */

static const u_char  test_jpeg[] =
    "\xff\xd8\xff\xe0\x00\x10\x4a\x46\x49\x46\x00\x01\x01\x00\x00\x01\x00\x01"
    "\x00\x00\xff\xdb\x00\x43\x00\x03\x02\x02\x02\x02\x02\x03\x02\x02\x02\x03"
    "\x03\x03\x03\x04\x06\x04\x04\x04\x04\x04\x08\x06\x06\x05\x06\x09\x08\x0a"
    "\x0a\x09\x08\x09\x09\x0a\x0c\x0f\x0c\x0a\x0b\x0e\x0b\x09\x09\x0d\x11\x0d"
    "\x0e\x0f\x10\x10\x11\x10\x0a\x0c\x12\x13\x12\x10\x13\x0f\x10\x10\x10\xff"
    "\xdb\x00\x43\x01\x03\x03\x03\x04\x03\x04\x08\x04\x04\x08\x10\x0b\x09\x0b"
    "\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10"
    "\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10"
    "\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\xff\xc0\x00\x11"
    "\x08\x00\x02\x00\x03\x03\x01\x11\x00\x02\x11\x01\x03\x11\x01\xff\xc4\x00"
    "\x14\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    "\x08\xff\xc4\x00\x14\x10\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    "\x00\x00\x00\x00\x00\xff\xc4\x00\x15\x01\x01\x01\x00\x00\x00\x00\x00\x00"
    "\x00\x00\x00\x00\x00\x00\x00\x00\x07\x09\xff\xc4\x00\x14\x11\x01\x00\x00"
    "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xda\x00\x0c"
    "\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00\x3a\x03\x15\x4d\xff\xd9";

static const u_char  test_png[] =
    "\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00"
    "\x00\x03\x00\x00\x00\x02\x01\x03\x00\x00\x00\xa7\xba\xf4\x59\x00\x00\x00"
    "\x03\x50\x4c\x54\x45\xff\x00\x00\x19\xe2\x09\x37\x00\x00\x00\x0c\x49\x44"
    "\x41\x54\x08\xd7\x63\x60\x60\x60\x00\x00\x00\x04\x00\x01\x27\x34\x27\x0a"
    "\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";


typedef struct {
    const u_char      *text;
    uint64_t           length;
    uint64_t           fail;        /* reads fail from here on; 0: none do */
    uint64_t           next;        /* where the next read begins */
} test_answer_t;


typedef struct {
    u_char            *bytes[PHOTA_PICTURES_MAX];
    size_t             len[PHOTA_PICTURES_MAX];
    unsigned           calls;
    unsigned           fail;        /* the call that fails; 0: none does */
} test_pictures_t;


static phota_answer_e    test_kind;
static phota_error_t     test_err;
static phota_unpacked_t  test_u;


static int
test_read(void *ctx, u_char *buf, size_t len, uint64_t offset)
{
    test_answer_t  *answer = ctx;

    assert_true(len > 0 && offset + len <= answer->length);
    assert_int_equal(offset, answer->next);

    if (answer->fail && offset + len > answer->fail) {
        return PHOTA_ERROR;
    }

    answer->next = offset + len;
    memcpy(buf, answer->text + offset, len);

    return PHOTA_OK;
}


static int
test_unpack_n(const char *text, size_t len)
{
    test_answer_t  answer = { (const u_char *) text, len, 0, 0 };

    memset(&test_u, 0xaa, sizeof(test_u));
    memset(&test_err, 0, sizeof(test_err));

    return phota_unpack(test_kind, test_read, &answer, len, &test_u,
                        &test_err);
}


static int
test_picture(void *ctx, unsigned picture, const u_char *p, size_t n)
{
    test_pictures_t  *pictures = ctx;

    assert_true(n > 0 && n <= TEST_PIECE);
    assert_true(picture < PHOTA_PICTURES_MAX);

    if (++pictures->calls == pictures->fail) {
        return PHOTA_REFUSED;
    }

    pictures->bytes[picture] = realloc(pictures->bytes[picture],
                                       pictures->len[picture] + n);
    assert_non_null(pictures->bytes[picture]);

    memcpy(pictures->bytes[picture] + pictures->len[picture], p, n);
    pictures->len[picture] += n;

    return PHOTA_OK;
}


/* of an answer that was taken apart: both times the same, and consistent */

static void
test_check_pictures(const char *text, size_t len)
{
    u_char            digest[PHOTA_SHA256_LEN];
    unsigned          i;
    test_answer_t     answer = { (const u_char *) text, len, 0, 0 };
    test_pictures_t   pictures;
    phota_picture_t  *picture;

    memset(&pictures, 0, sizeof(pictures));

    assert_int_equal(phota_unpack_pictures(test_kind, test_read, &answer, len,
                                           test_picture, &pictures),
                     PHOTA_OK);

    for (i = 0; i < test_u.npictures; i++) {
        picture = &test_u.pictures[i];

        assert_int_equal(pictures.len[i], picture->length);
        assert_int_equal(EVP_Digest(pictures.bytes[i], pictures.len[i],
                                    digest, NULL, EVP_sha256(), NULL), 1);
        assert_memory_equal(digest, picture->digest, PHOTA_SHA256_LEN);
        assert_int_equal(picture->type,
                         phota_picture_type(pictures.bytes[i],
                                            pictures.len[i]));
        free(pictures.bytes[i]);
    }

    for ( /* void */ ; i < PHOTA_PICTURES_MAX; i++) {
        assert_null(pictures.bytes[i]);
    }
}


/* the skeleton is the answer, as JSON, but for what was in its body */

static void
test_check_body(const char *text, size_t len)
{
    json_t  *skeleton, *answer;

    assert_int_equal(test_u.npictures, 1);
    assert_int_equal(test_u.urls_at, 0);
    assert_int_equal(test_u.counts_at, 0);
    assert_int_equal(test_u.counts_len, 0);
    assert_int_equal(test_u.subjects_len, 0);
    assert_int_equal(test_u.nmarks, 0);
    assert_int_equal(test_u.unmarked, 0);
    assert_true(test_u.images_at > 0
                && test_u.images_at < test_u.skeleton_len);
    assert_memory_equal(test_u.skeleton + test_u.images_at - 1, "\"\"", 2);

    answer = json_loadb(text, len, TEST_LOAD, NULL);
    skeleton = json_loadb((const char *) test_u.skeleton,
                          test_u.skeleton_len,
                          JSON_REJECT_DUPLICATES|TEST_LOAD, NULL);
    assert_non_null(answer);
    assert_non_null(skeleton);

    json_object_set_new(answer, "body", json_string(""));
    assert_true(json_equal(answer, skeleton));

    json_decref(answer);
    json_decref(skeleton);
}


/* the skeleton is the answer, as JSON, but for what was in its lists */

static void
test_check_skeleton(const char *text, size_t len)
{
    json_t        *skeleton, *answer;
    const u_char  *s;

    s = test_u.skeleton;

    assert_true(test_u.skeleton_len <= PHOTA_SKELETON_MAX);

    if (test_kind == PHOTA_ANSWER_BODY) {
        test_check_body(text, len);
        return;
    }

    assert_memory_equal(s + test_u.images_at - 1, "[]", 2);
    assert_memory_equal(s + test_u.urls_at - 1, "[]", 2);
    assert_int_not_equal(test_u.images_at, test_u.urls_at);

    answer = json_loadb(text, len, TEST_LOAD, NULL);
    skeleton = json_loadb((const char *) s, test_u.skeleton_len,
                          JSON_REJECT_DUPLICATES|TEST_LOAD, NULL);
    assert_non_null(answer);
    assert_non_null(skeleton);

    json_object_set_new(answer, "images", json_array());
    json_object_set_new(answer, "download_urls", json_array());

    assert_true(json_equal(answer, skeleton));

    json_decref(answer);

    if (test_u.counts_len) {
        answer = json_loadb((const char *) s + test_u.counts_at,
                            test_u.counts_len, TEST_LOAD, NULL);
        assert_true(json_equal(answer, json_object_get(
                                           json_object_get(skeleton,
                                                           "known_subjects"),
                                           "counts")));
        json_decref(answer);

    } else {
        assert_int_equal(test_u.subjects_len, 0);
    }

    json_decref(skeleton);
}


static void
test_ok_n(const char *text, size_t len)
{
    int  rc;

    rc = test_unpack_n(text, len);

    if (rc != PHOTA_OK) {
        print_message("%s\n", test_err.text);
    }

    assert_int_equal(rc, PHOTA_OK);
    assert_string_equal(test_err.text, "");
    assert_int_equal(test_u.length, len);

    test_check_pictures(text, len);
    test_check_skeleton(text, len);
}


static void
test_ok(const char *text)
{
    test_ok_n(text, strlen(text));
}


static void
test_skeleton_is(const char *text)
{
    assert_int_equal(test_u.skeleton_len, strlen(text));
    assert_memory_equal(test_u.skeleton, text, strlen(text));
}


static void
test_digest_is(unsigned i, const void *p, size_t len)
{
    u_char  digest[PHOTA_SHA256_LEN];

    assert_int_equal(EVP_Digest(p, len, digest, NULL, EVP_sha256(), NULL), 1);
    assert_memory_equal(test_u.pictures[i].digest, digest, PHOTA_SHA256_LEN);
    assert_int_equal(test_u.pictures[i].length, len);
}


static void
test_fails(const char *text, int rc, const char *err)
{
    size_t           i;
    test_answer_t    answer = { (const u_char *) text, strlen(text), 0, 0 };
    test_pictures_t  pictures;

    assert_int_equal(test_unpack_n(text, answer.length), rc);
    assert_string_equal(test_err.text, err);

    /* the second time ends as the first one did */

    memset(&pictures, 0, sizeof(pictures));

    assert_int_equal(phota_unpack_pictures(test_kind, test_read, &answer,
                                           answer.length, test_picture,
                                           &pictures), rc);

    for (i = 0; i < PHOTA_PICTURES_MAX; i++) {
        free(pictures.bytes[i]);
    }

    /* nobody has to ask why */

    answer.next = 0;
    assert_int_equal(phota_unpack(test_kind, test_read, &answer,
                                  answer.length, &test_u, NULL), rc);
}


static void
test_files(void **state)
{
    char  text[4096], jpeg[512], png[256];

    (void) state;

    EVP_EncodeBlock((u_char *) jpeg, test_jpeg, sizeof(test_jpeg) - 1);
    EVP_EncodeBlock((u_char *) png, test_png, sizeof(test_png) - 1);

    snprintf(text, sizeof(text), "{\"images\":[\"%s\", \"data:image/png;"
             "base64,%s\"],\"download_urls\":[],\"known_subjects\":"
             "{\"counts\":{\"prof_a\":2}}}", jpeg, png);

    test_ok(text);

    assert_int_equal(test_u.npictures, 2);
    test_digest_is(0, test_jpeg, sizeof(test_jpeg) - 1);
    test_digest_is(1, test_png, sizeof(test_png) - 1);
    assert_int_equal(test_u.pictures[0].type, PHOTA_PICTURE_JPEG);
    assert_int_equal(test_u.pictures[1].type, PHOTA_PICTURE_PNG);
    assert_int_equal(test_u.pictures[0].prefixed, 0);
    assert_int_equal(test_u.pictures[1].prefixed, 1);

    test_skeleton_is("{\"images\":[],\"download_urls\":[],\"known_subjects\":"
                     "{\"counts\":{\"prof_a\":2}}}");
    assert_int_equal(test_u.images_at, 11);
    assert_int_equal(test_u.urls_at, 30);
    assert_int_equal(test_u.counts_at, 59);
    assert_int_equal(test_u.counts_len, 12);
    assert_int_equal(test_u.subjects_len, 12);
    assert_memory_equal(test_u.subjects, "\x02\x00\x00\x00\x06\x00prof_a",
                        12);
    assert_int_equal(test_u.nmarks, 1);
    assert_int_equal(test_u.unmarked, 0);
    assert_true(test_u.marks[0] == phota_profile_mark((u_char *) "prof_a",
                                                      6));
}


static void
test_skeletons(void **state)
{
    unsigned  i;

    static const struct {
        const char  *text;
        const char  *skeleton;
    } answers[] = {
        { "{\"images\":[\"QUJD\"]}",
          "{\"images\":[],\"download_urls\":[]}" },
        { " \n{ \"images\" : [ \"QUJD\" , \"QUJD\" ] } \r\n ",
          "{ \"images\" : [] ,\"download_urls\":[]}" },
        { "{\"download_urls\":null,\"images\":[\"QUJD\"]}",
          "{\"download_urls\":[],\"images\":[]}" },
        { "{\"images\":[\"QUJD\"],\"download_urls\": null ,\"x\":null}",
          "{\"images\":[],\"download_urls\": [] ,\"x\":null}" },
        { "{\"download_urls\":[ \n ],\"images\":[\"QUJD\"]}",
          "{\"download_urls\":[],\"images\":[]}" },
        { "{\"a\":{\"images\":[\"no\",1],\"download_urls\":null},"
          "\"images\":[\"QUJD\"]}",
          "{\"a\":{\"images\":[\"no\",1],\"download_urls\":null},"
          "\"images\":[],\"download_urls\":[]}" },
        { "{\"\\u0069mages\":[\"QUJD\"],\"\xc3\xa9\\n\":\"\\u00e9\"}",
          "{\"\\u0069mages\":[],\"\xc3\xa9\\n\":\"\\u00e9\","
          "\"download_urls\":[]}" },
        { "{\"known_subjects\":null,\"images\":[\"QUJD\"],\"n\":-1.50e+3}",
          "{\"known_subjects\":null,\"images\":[],\"n\":-1.50e+3,"
          "\"download_urls\":[]}" },
        { "{\"counts\":{\"a\":1},\"images\":[\"QUJD\"],\"counts\":2}",
          NULL }
    };

    (void) state;

    for (i = 0; answers[i].skeleton; i++) {
        test_ok(answers[i].text);
        test_skeleton_is(answers[i].skeleton);
        test_digest_is(0, "ABC", 3);
        assert_int_equal(test_u.counts_len, 0);
        assert_int_equal(test_u.nmarks, 0);
        assert_int_equal(test_u.unmarked, 0);
    }

    /* names that mean nothing here may come twice, and stay */

    assert_int_equal(test_unpack_n(answers[i].text, strlen(answers[i].text)),
                     PHOTA_OK);
    assert_int_equal(test_u.counts_len, 0);
    assert_int_equal(test_u.nmarks, 0);
    test_skeleton_is("{\"counts\":{\"a\":1},\"images\":[],\"counts\":2,"
                     "\"download_urls\":[]}");
}


static void
test_elements(void **state)
{
    char      text[256];
    unsigned  i;

    static const struct {
        const char  *element;
        const char  *bytes;
        unsigned     prefixed;
    } elements[] = {
        { "QUJD", "ABC", 0 },
        { "QUI=", "AB", 0 },
        { "QUI", "AB", 0 },
        { "QQ==", "A", 0 },
        { "QUJD\\nQUJD\\r\\n", "ABCABC", 0 },
        { " Q\\tU J\\u0044 ", "ABC", 0 },
        { "Pz8_", "???", 0 },
        { "Pz8/", "???", 0 },
        { "Pz8\\/", "???", 0 },
        { "Pj4-", ">>>", 0 },
        { "Pj4\\u002b", ">>>", 0 },
        { "data:image/jpeg;base64,QUJD", "ABC", 1 },
        { "DATA:image\\/jpeg;charset=x;Base64,QUJD", "ABC", 1 },
        { "\\u0064ata:;base64,QUJD", "ABC", 1 },
        { "datadata", "\x75\xab\x5a\x75\xab\x5a", 0 },
        { "https///", "\x86\xdb\x69\xb3\xff\xff", 0 }
    };

    (void) state;

    for (i = 0; i < sizeof(elements) / sizeof(elements[0]); i++) {
        snprintf(text, sizeof(text), "{\"images\":[\"%s\"]}",
                 elements[i].element);

        test_ok(text);
        test_digest_is(0, elements[i].bytes, strlen(elements[i].bytes));
        assert_int_equal(test_u.pictures[0].prefixed, elements[i].prefixed);
        assert_int_equal(test_u.pictures[0].type, PHOTA_PICTURE_OTHER);
    }
}


static void
test_declined(void **state)
{
    unsigned  i;

    static const struct {
        const char  *text;
        const char  *err;
    } answers[] = {
        { "{\"images\":[\"QUJD\",\"https://x/1\"]}", "images.1 is a link" },
        { "{\"images\":[\"HTTP:\\/\\/x\"]}", "images.0 is a link" },
        { "{\"images\":[\"QUJD\",\"QUJD\",\"QU!D\"]}",
          "images.2 is no base64 at byte 28" },
        { "{\"images\":[\"QUJDQ\"]}", "images.0 is no base64 at byte 17" },
        { "{\"images\":[\"QQ=\"]}", "images.0 is no base64 at byte 15" },
        { "{\"images\":[\"data:image/png,QUJD\"]}",
          "images.0 is no base64 at byte 16" },
        { "{\"images\":[\"data:\"]}", "images.0 is no base64 at byte 16" },
        { "{\"images\":[\"\\u00e9\"]}", "images.0 is no base64 at byte 12" },
        { "{\"images\":[\"\"]}", "images.0 is empty" },
        { "{\"images\":[\"QUJD\",\" \\n\"]}", "images.1 is empty" },
        { "{\"images\":[\"data:;base64,\"]}", "images.0 is empty" },
        { "{\"images\":[null]}", "images.0 is no string" },
        { "{\"images\":[1]}", "images.0 is no string" },
        { "{\"images\":[true]}", "images.0 is no string" },
        { "{\"images\":[[\"QUJD\"]]}", "images.0 is no string" },
        { "{\"images\":[{\"a\":\"QUJD\"}]}", "images.0 is no string" },
        { "{\"images\":\"QUJD\"}", "images is no list" },
        { "{\"images\":{}}", "images is no list" },
        { "{\"images\":[\"QUJD\"],\"download_urls\":0}",
          "download_urls is no list" },
        { "{\"images\":[\"QUJD\"],\"download_urls\":[\"https://x\"]}",
          "download_urls has links" },
        { "{\"download_urls\":[null]}", "download_urls has links" },
        { "{}", "answer: no pictures" },
        { "{\"a\":1}", "answer: no pictures" },
        { "{\"images\":null}", "answer: no pictures" },
        { "{\"images\":[],\"download_urls\":[]}", "answer: no pictures" },
        { "{\"images\":[\"QQ\",\"QQ\",\"QQ\",\"QQ\",\"QQ\",\"QQ\",\"QQ\","
          "\"QQ\",\"QQ\",\"QQ\",\"QQ\",\"QQ\",\"QQ\",\"QQ\",\"QQ\",\"QQ\","
          "\"QQ\"]}", "images has more than 16" }
    };

    (void) state;

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        test_fails(answers[i].text, PHOTA_DECLINED, answers[i].err);
    }
}


/* what there was is kept even where there are no pictures */

static void
test_empty(void **state)
{
    (void) state;

    assert_int_equal(test_unpack_n("{}", 2), PHOTA_DECLINED);
    test_skeleton_is("{\"images\":[],\"download_urls\":[]}");

    assert_int_equal(test_unpack_n("{\"images\":null}", 15), PHOTA_DECLINED);
    test_skeleton_is("{\"images\":[],\"download_urls\":[]}");
}


static void
test_invalid(void **state)
{
    unsigned  i;

    static const struct {
        const char  *text;
        const char  *err;
    } answers[] = {
        { "", "answer: unexpected end at byte 0" },
        { "  ", "answer: unexpected end at byte 2" },
        { "[\"QUJD\"]", "answer: not an object" },
        { "\"images\"", "answer: not an object" },
        { "null", "answer: not an object" },
        { "{\"images\":[\"QUJD\"]", "answer: unexpected end at byte 18" },
        { "{\"images\":[\"QUJD\"", "answer: unexpected end at byte 17" },
        { "{\"images\":[\"QUJD", "answer: unexpected end at byte 16" },
        { "{\"images\":[\"QUJD\"]}}",
          "answer: unexpected character at byte 19" },
        { "{\"images\":[\"QUJD\",]}",
          "answer: unexpected character at byte 18" },
        { "{\"images\":[\"QU\nJD\"]}",
          "answer: control character in a string at byte 14" },
        { "{\"images\":[],\"images\":[\"QUJD\"]}",
          "answer: two members of one name at byte 13" },
        { "{\"images\":[\"QUJD\"],\"im\\u0061ges\":[]}",
          "answer: two members of one name at byte 19" },
        { "{\"download_urls\":null,\"download_urls\":[]}",
          "answer: two members of one name at byte 22" },
        { "{\"known_subjects\":1,\"known_subjects\":1}",
          "answer: two members of one name at byte 20" },
        { "{\"known_subjects\":{\"counts\":{},\"counts\":{}}}",
          "answer: two members of one name at byte 31" }
    };

    (void) state;

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        test_fails(answers[i].text, PHOTA_INVALID, answers[i].err);
    }
}


static void
test_counts(void **state)
{
    char      text[512];
    unsigned  i;

    static const struct {
        const char  *subjects;
        const char  *counts;        /* NULL: not to be added up */
        const char  *sums;
        size_t       sums_len;
        unsigned     nmarks;
        unsigned     unmarked;
    } answers[] = {
        { "{\"counts\":{}}", "{}", "", 0, 0, 0 },
        { "{\"counts\":{ }}", "{ }", "", 0, 0, 0 },
        { "{\"counts\":{\"a\":1, \"b\" : 258}}", "{\"a\":1, \"b\" : 258}",
          "\x01\x00\x00\x00\x01\x00" "a\x02\x01\x00\x00\x01\x00" "b", 14, 2,
          0 },
        { "{\"counts\":{\"a\":0}}", "{\"a\":0}",
          "\x00\x00\x00\x00\x01\x00" "a", 7, 0, 0 },
        { "{\"counts\":{\"\":4294967295}}", "{\"\":4294967295}",
          "\xff\xff\xff\xff\x00\x00", 6, 1, 0 },
        { "{\"counts\":{\"\\u0061\\\"\":1}}", "{\"\\u0061\\\"\":1}",
          "\x01\x00\x00\x00\x08\x00\\u0061\\\"", 14, 1, 0 },
        { "{\"counts\":{\"a\":4294967296}}", NULL, "", 0, 1, 0 },
        { "{\"counts\":{\"a\":99999999999999999999999}}", NULL, "", 0, 1,
          0 },
        { "{\"counts\":{\"a\":-1}}", NULL, "", 0, 1, 0 },
        { "{\"counts\":{\"a\":1.0,\"b\":1}}", NULL, "", 0, 2, 0 },
        { "{\"counts\":{\"a\":1,\"b\":1e1}}", NULL, "", 0, 2, 0 },
        { "{\"counts\":{\"a\":null}}", NULL, "", 0, 1, 0 },
        { "{\"counts\":{\"a\":true,\"b\":2}}", NULL, "", 0, 2, 0 },
        { "{\"counts\":{\"a\":\"2\"}}", NULL, "", 0, 1, 1 },
        { "{\"counts\":{\"a\":[1]}}", NULL, "", 0, 1, 0 },
        { "{\"counts\":{\"a\":{\"n\":1}}}", NULL, "", 0, 1, 1 },
        { "{\"counts\":{\"a\":1},\"more\":{\"b\":2}}", "{\"a\":1}",
          "\x01\x00\x00\x00\x01\x00" "a", 7, 1, 1 },
        { "{\"counts\":null}", NULL, "", 0, 0, 0 },
        { "{\"counts\":[]}", NULL, "", 0, 0, 0 },
        { "{\"counts\":[\"a\"]}", NULL, "", 0, 0, 1 },
        { "{\"counts\":[{\"a\":1}]}", NULL, "", 0, 0, 1 },
        { "{\"a\":1}", NULL, "", 0, 0, 1 },
        { "{}", NULL, "", 0, 0, 0 },
        { "[]", NULL, "", 0, 0, 0 },
        { "[{\"counts\":{\"a\":1}}]", NULL, "", 0, 0, 1 },
        { "\"a\"", NULL, "", 0, 0, 1 },
        { "null", NULL, "", 0, 0, 0 },
        { "7", NULL, "", 0, 0, 0 }
    };

    (void) state;

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        snprintf(text, sizeof(text), "{\"images\":[\"QUJD\"],"
                 "\"known_subjects\":%s}", answers[i].subjects);
        test_ok(text);

        if (answers[i].counts) {
            assert_int_equal(test_u.counts_len, strlen(answers[i].counts));
            assert_memory_equal(test_u.skeleton + test_u.counts_at,
                                answers[i].counts, test_u.counts_len);

        } else {
            assert_int_equal(test_u.counts_len, 0);
        }

        assert_int_equal(test_u.subjects_len, answers[i].sums_len);
        assert_memory_equal(test_u.subjects, answers[i].sums,
                            answers[i].sums_len);
        assert_int_equal(test_u.nmarks, answers[i].nmarks);
        assert_int_equal(test_u.unmarked, answers[i].unmarked);
    }

    /* whichever a client reads: no sum would be what it says */

    snprintf(text, sizeof(text), "{\"known_subjects\":{\"counts\":{\"a\":1,"
             "\"\\u0061\":2}},\"images\":[\"QQ\"]}");

    assert_int_equal(test_unpack_n(text, strlen(text)), PHOTA_OK);
    assert_int_equal(test_u.counts_len, 0);
    assert_int_equal(test_u.subjects_len, 0);
    assert_int_equal(test_u.nmarks, 1);
}


/* marks are of names, not of how they are written */

static void
test_marks(void **state)
{
    char      text[8192];
    size_t    len;
    uint64_t  mark;
    unsigned  i, n;

    (void) state;

    test_ok("{\"images\":[\"QQ\"],\"known_subjects\":{\"counts\":"
            "{\"pr\\u00f6f\":1}}}");

    mark = phota_profile_mark((const u_char *) "pr\xc3\xb6" "f", 5);

    assert_int_equal(test_u.nmarks, 1);
    assert_true(test_u.marks[0] == mark);
    assert_true(phota_profile_mark((const u_char *) "prof", 4) != mark);

    /* stored: never another */

    assert_true(phota_profile_mark((const u_char *) "", 0)
                == 0x2d06800538d394c2);

    for (n = PHOTA_MARKS_MAX - 1; n <= PHOTA_MARKS_MAX + 1; n++) {
        len = snprintf(text, sizeof(text), "{\"images\":[\"QQ\"],"
                       "\"known_subjects\":{\"counts\":{");

        for (i = 0; i < n; i++) {
            len += snprintf(text + len, sizeof(text) - len, "%s\"prof_%u\":1",
                            i ? "," : "", i);
        }

        snprintf(text + len, sizeof(text) - len, "}}}");

        test_ok(text);

        assert_int_equal(test_u.nmarks,
                         n < PHOTA_MARKS_MAX ? n : PHOTA_MARKS_MAX);
        assert_int_equal(test_u.unmarked, n > PHOTA_MARKS_MAX);
        assert_true(test_u.counts_len != 0);
    }
}


/* an answer whose counts have n names of len bytes each */

static size_t
test_names(char *text, unsigned n, size_t len)
{
    char      *p;
    unsigned   i;

    p = text + snprintf(text, 100, "{\"images\":[\"QQ\"],\"known_subjects\":"
                       "{\"counts\":{");

    for (i = 0; i < n; i++) {
        p += snprintf(p, len + 16, "%s\"%0*u\":1", i ? "," : "", (int) len, i);
    }

    memcpy(p, "}}}", 3);
    p += 3;

    return p - text;
}


static void
test_limits(void **state)
{
    char   *text;
    size_t  n, len, head;

    static const char  front[] =
        "{\"images\":[],\"download_urls\":[],\"x\":\"";

    (void) state;

    text = malloc(3 * PHOTA_SKELETON_MAX);
    assert_non_null(text);

    /* a skeleton as long as may be, and one byte more */

    head = sizeof(front) - 1 + 2;

    for (n = PHOTA_SKELETON_MAX - 1; n <= PHOTA_SKELETON_MAX + 1; n++) {
        len = snprintf(text, 100, "{\"images\":[\"QQ\"],\"download_urls\":[],"
                      "\"x\":\"");
        memset(text + len, 'a', n - head);
        len += n - head;
        memcpy(text + len, "\"}", 2);
        len += 2;

        if (n <= PHOTA_SKELETON_MAX) {
            test_ok_n(text, len);
            assert_int_equal(test_u.skeleton_len, n);
            continue;
        }

        assert_int_equal(test_unpack_n(text, len), PHOTA_DECLINED);
        assert_string_equal(test_err.text, "answer: over 8192 bytes of text "
                            "beside its pictures");
    }

    /* more subjects than can be added up; names as long as may be */

    test_ok_n(text, test_names(text, 700, 4));
    assert_int_equal(test_u.counts_len, 0);
    assert_int_equal(test_u.nmarks, PHOTA_MARKS_MAX);
    assert_int_equal(test_u.unmarked, 1);

    test_ok_n(text, test_names(text, 1, PHOTA_SUBJECTS_MAX - 6));
    assert_int_equal(test_u.subjects_len, PHOTA_SUBJECTS_MAX);
    assert_int_equal(phota_get_le(test_u.subjects + 4, 2),
                     PHOTA_SUBJECTS_MAX - 6);

    test_ok_n(text, test_names(text, 1, PHOTA_SUBJECTS_MAX - 5));
    assert_int_equal(test_u.counts_len, 0);
    assert_int_equal(test_u.nmarks, 1);

    len = test_names(text, 1, PHOTA_SKELETON_MAX + 1);
    assert_int_equal(test_unpack_n(text, len), PHOTA_DECLINED);

    free(text);
}


/* wherever the pieces that are read end: in names, in null, in an escape */

static void
test_seams(void **state)
{
    char             *text, *p;
    size_t            pad, n;
    phota_unpacked_t  first;

    static const char  head[] = "{\"images\":[\"";

    static const char  tail[] =
        "\",\"QUJ\\u0044R\\/8=\",\"data:image/png;base64,iVBORw0KGgo=\"] , "
        "\"download_urls\" : null,\"known_subjects\":{\"counts\":{"
        "\"pr\\u00f6f\\ud83d\\ude00\":123, \"\xf0\x9f\x98\x80\" : 77}},"
        "\"x\":[null,true,-1.5e3]}";

    (void) state;

    text = malloc(2 * 65536);
    assert_non_null(text);
    memset(&first, 0, sizeof(first));

    n = 65536 - (sizeof(head) - 1) - (sizeof(tail) - 1);
    n -= n % 4;

    /* white space before it moves all */

    for (pad = 0; pad < sizeof(tail) + sizeof(head) + 8; pad++) {
        memset(text, ' ', pad);
        p = text + pad;
        memcpy(p, head, sizeof(head) - 1);
        p += sizeof(head) - 1;
        memset(p, 'A', n);
        p += n;
        memcpy(p, tail, sizeof(tail) - 1);
        p += sizeof(tail) - 1;

        test_ok_n(text, p - text);

        if (pad == 0) {
            first = test_u;
        }

        first.length = test_u.length;
        assert_memory_equal(&test_u, &first, sizeof(phota_unpacked_t));
    }

    assert_int_equal(first.npictures, 3);
    assert_int_equal(first.pictures[0].length, n / 4 * 3);
    assert_int_equal(first.pictures[2].type, PHOTA_PICTURE_PNG);
    assert_int_equal(first.nmarks, 2);
    assert_int_equal(first.subjects_len, 12 + 21 + 4);
    test_digest_is(1, "ABCG\xff", 5);

    free(text);
}


/* bytes of many pieces, whose last is full, almost full, or almost empty */

static void
test_large(void **state)
{
    char    *text, *p;
    u_char  *bytes;
    size_t   i, n, max;

    static const char  head[] = "{\"images\":[\"";

    (void) state;

    max = 4 * TEST_PIECE + 3;
    bytes = malloc(max);
    text = malloc(sizeof(head) + 2 * max);
    assert_non_null(bytes);
    assert_non_null(text);

    for (i = 0; i < max; i++) {
        bytes[i] = (u_char) (i * i >> 7 ^ i);
    }

    memcpy(text, head, sizeof(head) - 1);

    for (n = max - 6; n <= max; n++) {
        p = text + sizeof(head) - 1;
        p += EVP_EncodeBlock((u_char *) p, bytes, (int) n);
        memcpy(p, "\"]}", 3);
        p += 3;

        test_ok_n(text, p - text);
        test_digest_is(0, bytes, n);

        if (n % 3) {
            continue;
        }

        /* lines, as MIME has them */

        p = text + sizeof(head) - 1;

        for (i = 0; i < n; i += 57) {
            p += EVP_EncodeBlock((u_char *) p, bytes + i,
                                 (int) (n - i < 57 ? n - i : 57));
            memcpy(p, "\\r\\n", 4);
            p += 4;
        }

        memcpy(p, "\"]}", 3);
        p += 3;

        test_ok_n(text, p - text);
        test_digest_is(0, bytes, n);
    }

    free(text);
    free(bytes);
}


static void
test_failures(void **state)
{
    char             *text;
    size_t            n;
    test_answer_t     answer;
    test_pictures_t   pictures;

    (void) state;

    n = 200000;
    text = malloc(n);
    assert_non_null(text);
    memset(text, 'A', n);
    memcpy(text, "{\"images\":[\"", 12);
    memcpy(text + n - 4, "\"]} ", 4);

    test_ok_n(text, n);

    answer.text = (u_char *) text;
    answer.length = n;
    answer.fail = 100000;
    answer.next = 0;

    assert_int_equal(phota_unpack(test_kind, test_read, &answer, n, &test_u,
                                  &test_err),
                     PHOTA_ERROR);
    assert_string_equal(test_err.text,
                        "answer: can't be read at byte 65536");

    memset(&pictures, 0, sizeof(pictures));
    answer.next = 0;

    assert_int_equal(phota_unpack_pictures(test_kind, test_read, &answer, n,
                                           test_picture, &pictures),
                     PHOTA_ERROR);

    /* what the handler says is what the caller hears, at each of its calls */

    answer.fail = 0;

    for (pictures.fail = 1; pictures.fail <= 4; pictures.fail++) {
        pictures.calls = 0;
        answer.next = 0;

        assert_int_equal(phota_unpack_pictures(test_kind, test_read, &answer,
                                               n, test_picture, &pictures),
                         PHOTA_REFUSED);
        assert_int_equal(pictures.calls, pictures.fail);
    }

    free(pictures.bytes[0]);
    free(text);
}


static void
test_bodies(void **state)
{
    char    *text;
    size_t   i, n, at;

    static const struct {
        const char  *text;
        const char  *skeleton;
    } answers[] = {
        { "{\"status_code\":200,\"body\":\"QUJD\"}",
          "{\"status_code\":200,\"body\":\"\"}" },
        { " { \"body\" : \"QUJD\" ,\n\"status_code\" : 200 }\n ",
          "{ \"body\" : \"\" ,\n\"status_code\" : 200 }" },
        { "{\"b\\u006fdy\":\"data:image/png;base64,QU\\u004aD\"}",
          "{\"b\\u006fdy\":\"\"}" },
        { "{\"status_code\":null,\"images\":[\"\"],\"body\":\"Q\\nUJ\\nD\","
          "\"known_subjects\":{\"counts\":{\"a\":1}},\"images\":\"\"}",
          NULL },
        { "{\"x\":{\"body\":\"\",\"status_code\":1},\"body\":\"QUJD\"}",
          "{\"x\":{\"body\":\"\",\"status_code\":1},\"body\":\"\"}" }
    };

    (void) state;

    test_kind = PHOTA_ANSWER_BODY;

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {

        if (answers[i].skeleton == NULL) {
            assert_int_equal(test_unpack_n(answers[i].text,
                                           strlen(answers[i].text)),
                             PHOTA_OK);
        } else {
            test_ok(answers[i].text);
            test_skeleton_is(answers[i].skeleton);
        }

        assert_int_equal(test_u.urls_at, 0);
        assert_int_equal(test_u.pictures[0].prefixed, i == 2);
        test_digest_is(0, "ABC", 3);
    }

    /* across the end of a piece, in every way */

    n = 2 * 65536 + 64;
    text = malloc(n);
    assert_non_null(text);

    for (at = 65536 - 16; at <= 65536 + 2; at++) {
        memset(text, ' ', n);
        memcpy(text + at, "{\"body\":\"QUJD\"}", 15);
        test_ok_n(text, n);
        test_skeleton_is("{\"body\":\"\"}");

        if ((at - 9) % 4 == 1) {
            continue;
        }

        memset(text, 'A', n);
        memcpy(text, "{\"body\":\"", 9);
        memcpy(text + at, "\",\"status_code\":200}", 20);
        memset(text + at + 20, ' ', n - at - 20);
        test_ok_n(text, n);
        test_skeleton_is("{\"body\":\"\",\"status_code\":200}");
    }

    free(text);
    test_kind = PHOTA_ANSWER_IMAGES;
}


static void
test_no_bodies(void **state)
{
    (void) state;

    test_kind = PHOTA_ANSWER_BODY;

    test_fails("{}", PHOTA_DECLINED, "answer: no pictures");
    test_fails("{\"status_code\":200}", PHOTA_DECLINED,
               "answer: no pictures");
    test_fails("{\"body\":null,\"images\":[\"QUJD\"]}", PHOTA_DECLINED,
               "answer: no pictures");
    test_fails("{\"body\":\"\"}", PHOTA_DECLINED, "body is empty");
    test_fails("{\"body\":[\"QUJD\"]}", PHOTA_DECLINED, "body is no string");
    test_fails("{\"body\":{\"body\":\"QUJD\"}}", PHOTA_DECLINED,
               "body is no string");
    test_fails("{\"body\":17}", PHOTA_DECLINED, "body is no string");
    test_fails("{\"body\":\"https://x/1.png\"}", PHOTA_DECLINED,
               "body is a link");
    test_fails("{\"body\":\"Unauthorized!\"}", PHOTA_DECLINED,
               "body is no base64 at byte 21");
    test_fails("{\"body\":\"QUJD\",\"status_code\":401}", PHOTA_DECLINED,
               "answer: status_code isn't 200");
    test_fails("{\"status_code\":500}", PHOTA_DECLINED,
               "answer: status_code isn't 200");
    test_fails("{\"status_code\":200.0,\"body\":\"QUJD\"}", PHOTA_DECLINED,
               "answer: status_code isn't 200");
    test_fails("{\"status_code\":\"200\",\"body\":\"QUJD\"}",
               PHOTA_DECLINED, "answer: status_code isn't 200");
    test_fails("{\"body\":\"QUJD\",\"body\":\"QUJD\"}", PHOTA_INVALID,
               "answer: two members of one name at byte 15");
    test_fails("[\"QUJD\"]", PHOTA_INVALID, "answer: not an object");
    test_fails("{\"body\":\"QUJD\"", PHOTA_INVALID,
               "answer: unexpected end at byte 14");

    test_kind = PHOTA_ANSWER_PROFILE;

    test_fails("{\"profile_id\":\"prof_1\"}", PHOTA_DECLINED,
               "answer: no pictures");
    test_fails("{\"images\":[\"QUJD\"],\"body\":\"QUJD\"}", PHOTA_DECLINED,
               "answer: no pictures");

    test_kind = PHOTA_ANSWER_IMAGES;

    test_fails("{\"status_code\":200,\"body\":\"QUJD\"}", PHOTA_DECLINED,
               "answer: no pictures");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_skeletons),
        cmocka_unit_test(test_elements),
        cmocka_unit_test(test_declined),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_seams),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_no_bodies)
    };

    return cmocka_run_group_tests_name("unpack", tests, NULL, NULL);
}
