
/*
 * What the tests of the fingerprint share: a body is read whole and cut in many
 * ways, and all of them must have one outcome.
 */


#ifndef _PHOTA_TEST_FINGERPRINT_H_INCLUDED_
#define _PHOTA_TEST_FINGERPRINT_H_INCLUDED_


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "phota_fingerprint.h"


#define REMIX     (&phota_operations[PHOTA_OP_REMIX])
#define ENHANCE   (&phota_operations[PHOTA_OP_ENHANCE])
#define EDIT      (&phota_operations[PHOTA_OP_EDIT])
#define GENERATE  (&phota_operations[PHOTA_OP_GENERATE])
#define TRAINING  (&phota_operations[PHOTA_OP_TRAINING])
#define PHOTIO    (&phota_operations[PHOTA_OP_PHOTIO_REMIX])


#define TEST_NAMED  8           /* of the profiles, the first ones */


typedef struct {
    uint64_t        offset;
    unsigned        prompt;
    size_t          len;
    u_char          id[256];
} test_named_t;


typedef struct {
    int             rc;
    phota_scan_t    scan;
    phota_fault_t   fault;
    unsigned        nnamed;     /* of all */
    test_named_t    named[TEST_NAMED];
    int             rcs[PHOTA_SPOT_MAX];
    size_t          lens[PHOTA_SPOT_MAX];
    u_char          texts[PHOTA_SPOT_MAX][PHOTA_SPOT_TEXT];
} test_result_t;


typedef struct {
    char           *data;
    size_t          len;
    size_t          size;
} test_body_t;


static const phota_str_t  test_scope = phota_string("acme");
static const phota_str_t  test_none = { 0, NULL };


/* of a master key that is all zeros */

static inline const phota_hash_key_t *
test_key(void)
{
    static int               made;
    static phota_hash_key_t  key;
    static phota_master_t    master;

    if (!made) {
        assert_int_equal(phota_hash_key_init(&key, &master), PHOTA_OK);
        made = 1;
    }

    return &key;
}


static inline void
test_told(test_result_t *res, phota_fingerprint_t *fp)
{
    unsigned        i;
    phota_str_t     text;
    test_named_t   *told;
    phota_named_t   named;

    for (i = 0; phota_fingerprint_named(fp, i, &named) == PHOTA_OK; i++) {

        if (i >= TEST_NAMED) {
            continue;
        }

        told = &res->named[i];

        told->offset = named.offset;
        told->prompt = named.prompt;
        told->len = named.id.len;

        memcpy(told->id, named.id.data,
               (told->len < sizeof(told->id)) ? told->len : sizeof(told->id));
    }

    res->nnamed = i;

    for (i = 0; i < PHOTA_SPOT_MAX; i++) {
        res->rcs[i] = phota_fingerprint_text(fp, i, &text);

        if (res->rcs[i] == PHOTA_OK) {
            res->lens[i] = text.len;
            assert_true(text.len <= PHOTA_SPOT_TEXT);
            memcpy(res->texts[i], text.data, text.len);
        }
    }
}


static inline void
test_feed(test_result_t *res, const phota_operation_t *op, const char *text,
    size_t len, const size_t *cuts, unsigned ncuts)
{
    size_t                pos, n;
    u_char               *copy;
    unsigned              i;
    phota_fingerprint_t  *fp;

    memset(res, 0, sizeof(test_result_t));

    fp = phota_fingerprint_create(op, test_key(), NULL, 0);
    assert_non_null(fp);

    for (i = 0, pos = 0; i <= ncuts && res->rc == PHOTA_OK; i++) {
        n = ((i == ncuts) ? len : cuts[i]) - pos;
        copy = malloc(n ? n : 1);
        assert_non_null(copy);
        memcpy(copy, text + pos, n);

        res->rc = phota_fingerprint_update(fp, copy, n);

        free(copy);
        pos += n;
    }

    if (res->rc == PHOTA_OK) {
        res->rc = phota_fingerprint_final(fp, &test_scope, &test_none,
                                          &res->scan);
    }

    if (res->rc == PHOTA_OK) {
        test_told(res, fp);
    }

    if (res->rc == PHOTA_INVALID) {
        res->fault = *phota_fingerprint_fault(fp);
        assert_int_equal(phota_fingerprint_update(fp, (u_char *) " ", 1),
                         PHOTA_INVALID);
    }

    phota_fingerprint_destroy(fp);
}


static inline void
test_same_result(const test_result_t *a, const test_result_t *b)
{
    assert_int_equal(a->rc, b->rc);

    if (a->rc == PHOTA_OK) {
        assert_memory_equal(&a->scan, &b->scan, sizeof(phota_scan_t));
        assert_int_equal(a->nnamed, b->nnamed);
        assert_memory_equal(a->named, b->named, sizeof(a->named));
        assert_memory_equal(a->rcs, b->rcs, sizeof(a->rcs));
        assert_memory_equal(a->lens, b->lens, sizeof(a->lens));
        assert_memory_equal(a->texts, b->texts, sizeof(a->texts));
        return;
    }

    assert_string_equal(a->fault.detail, b->fault.detail);
    assert_string_equal(a->fault.field, b->fault.field);
    assert_int_equal(a->fault.offset, b->fault.offset);
}


/* the result, once it has shown not to depend on how the body is cut */

static inline void
test_run_text(test_result_t *res, const phota_operation_t *op,
    const char *text, size_t len)
{
    size_t          i, *cuts;
    unsigned        n, round;
    test_result_t   cut;

    static unsigned  seed = 7;

    test_feed(res, op, text, len, NULL, 0);

    for (i = 0; i <= len && len < 400; i++) {
        test_feed(&cut, op, text, len, &i, 1);
        test_same_result(res, &cut);
    }

    cuts = malloc((len + 1) * sizeof(size_t));
    assert_non_null(cuts);

    for (i = 0; i < len; i++) {
        cuts[i] = i;
    }

    test_feed(&cut, op, text, len, cuts, len);
    test_same_result(res, &cut);

    for (round = 0; round < 4; round++) {

        for (i = 0, n = 0; i < len; i++) {
            if (rand_r(&seed) % 7 == 0) {
                cuts[n++] = i;
            }
        }

        test_feed(&cut, op, text, len, cuts, n);
        test_same_result(res, &cut);
    }

    free(cuts);
}


static inline void
test_run(test_result_t *res, const phota_operation_t *op, const char *text)
{
    test_run_text(res, op, text, strlen(text));
}


static inline void
test_accepted(test_result_t *res, const phota_operation_t *op,
    const char *text)
{
    test_run(res, op, text);

    if (res->rc != PHOTA_OK) {
        fail_msg("%s: %s, \"%s\" at %u", text, res->fault.detail,
                 res->fault.field, (unsigned) res->fault.offset);
    }
}


static inline void
test_one(const phota_operation_t *op, const char *a, const char *b)
{
    test_result_t  first, second;

    test_accepted(&first, op, a);
    test_accepted(&second, op, b);

    if (memcmp(first.scan.digest, second.scan.digest, PHOTA_SHA256_LEN)) {
        fail_msg("two fingerprints:\n%s\n%s", a, b);
    }
}


static inline void
test_two(const phota_operation_t *op, const char *a, const char *b)
{
    test_result_t  first, second;

    test_accepted(&first, op, a);
    test_accepted(&second, op, b);

    if (memcmp(first.scan.digest, second.scan.digest, PHOTA_SHA256_LEN) == 0) {
        fail_msg("one fingerprint:\n%s\n%s", a, b);
    }
}


static inline void
test_result_is(const test_result_t *res, const char *text,
    const char *detail, const char *field, uint64_t offset)
{
    if (res->rc != PHOTA_INVALID) {
        fail_msg("%s: %d, expected %s", text, res->rc, detail);
    }

    if (strcmp(res->fault.detail, detail) != 0
        || strcmp(res->fault.field, field) != 0
        || res->fault.offset != offset)
    {
        fail_msg("%s:\n%s, \"%s\" at %u; expected %s, \"%s\" at %u", text,
                 res->fault.detail, res->fault.field,
                 (unsigned) res->fault.offset, detail, field,
                 (unsigned) offset);
    }
}


static inline void
test_fault(const phota_operation_t *op, const char *text, const char *detail,
    const char *field, uint64_t offset)
{
    test_result_t  res;

    test_run(&res, op, text);
    test_result_is(&res, text, detail, field, offset);
}


static inline void
test_add(test_body_t *b, const char *fmt, ...)
{
    int      n;
    va_list  args;

    if (b->size - b->len < 4096) {
        b->size = b->size * 2 + 8192;
        b->data = realloc(b->data, b->size);
        assert_non_null(b->data);
    }

    va_start(args, fmt);
    n = vsnprintf(b->data + b->len, b->size - b->len, fmt, args);
    va_end(args);

    assert_true(n >= 0 && (size_t) n < b->size - b->len);
    b->len += n;
}


static inline void
test_run_body(test_result_t *res, const phota_operation_t *op,
    test_body_t *body)
{
    test_run_text(res, op, body->data, body->len);

    free(body->data);
    memset(body, 0, sizeof(test_body_t));
}


#endif /* _PHOTA_TEST_FINGERPRINT_H_INCLUDED_ */
