
/*
 * A cache in a directory of its own for each test, and a clock that is ours.
 */


#ifndef _PHOTA_TEST_RESULTS_H_INCLUDED_
#define _PHOTA_TEST_RESULTS_H_INCLUDED_


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "phota_cache.h"
#include "phota_seal.h"


#define TEST_MAX     (16u << 20)
#define TEST_GRACE   (15 * 60 * 1000)
#define TEST_MONTH   (30ull * 86400 * 1000)

#define TEST(name)                                                            \
    cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)


/* a body that any offset of can be made anew */

typedef struct {
    uint32_t        seed;
    uint64_t        fail;           /* at this offset, 0 never */
    unsigned        calls;
} test_body_t;


static char           test_dir[64];
static int64_t        test_clock;       /* ms added to the real one */
static phota_store_t  test_store;
static phota_cache_t  test_cache;
static phota_error_t  test_err;


/* takes the place of libc's for this program */

int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int64_t  ms;

    if (syscall(SYS_clock_gettime, id, ts) != 0) {
        return -1;
    }

    if (id == CLOCK_REALTIME) {
        ms = (int64_t) ts->tv_sec * 1000 + ts->tv_nsec / 1000000 + test_clock;
        ts->tv_sec = ms / 1000;
        ts->tv_nsec = ms % 1000 * 1000000;
    }

    return 0;
}


static inline void
test_open(uint64_t max_size, size_t map, unsigned flags)
{
    assert_int_equal(phota_store_open(&test_store, test_dir, "cache",
                                      PHOTA_CACHE_SCHEMA, map,
                                      flags | PHOTA_STORE_NOMETASYNC,
                                      &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_cache_open(&test_cache, &test_store, max_size,
                                      &test_err),
                     PHOTA_OK);
}


static inline int
test_setup(void **state)
{
    (void) state;

    test_clock = 0;

    memcpy(test_dir, "/tmp/phota-cache.XXXXXX",
           sizeof("/tmp/phota-cache.XXXXXX"));

    if (mkdtemp(test_dir) == NULL) {
        return -1;
    }

    test_open(TEST_MAX, phota_cache_map(TEST_MAX), PHOTA_STORE_CREATE);

    return 0;
}


static inline int
test_teardown(void **state)
{
    size_t  i;
    char    path[256];

    static const char  *names[] = {
        "cache/data.mdb", "cache/lock.mdb", "cache", ""
    };

    (void) state;

    phota_store_close(&test_store);

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void) snprintf(path, sizeof(path), "%s/%s", test_dir, names[i]);
        (void) remove(path);
    }

    return 0;
}


static inline MDB_txn *
test_begin(int write)
{
    MDB_txn  *txn;

    assert_int_equal(phota_store_begin(&test_store, write, &txn, &test_err),
                     PHOTA_OK);

    return txn;
}


static inline int
test_read(void *ctx, u_char *buf, size_t len, uint64_t offset)
{
    size_t        i;
    test_body_t  *body;

    body = ctx;
    body->calls++;

    if (body->fail != 0 && offset + len > body->fail) {
        return PHOTA_ERROR;
    }

    for (i = 0; i < len; i++) {
        buf[i] = (u_char) (((offset + i) * 2654435761u + body->seed) >> 11);
    }

    return PHOTA_OK;
}


static inline void
test_key(phota_cache_key_t *key, uint32_t n)
{
    memset(key, 0, sizeof(phota_cache_key_t));
    memcpy(key->fingerprint, &n, sizeof(n));
    key->mode = 1;
    key->outputs = 2;
}


static inline int
test_store_one(uint32_t n, uint32_t seed, uint64_t length,
    phota_result_t *result)
{
    test_body_t        body;
    phota_cache_key_t  key;

    memset(&body, 0, sizeof(test_body_t));
    memset(result, 0, sizeof(phota_result_t));

    body.seed = seed;
    test_key(&key, n);

    assert_int_equal(phota_id_create(&result->id, phota_now()), PHOTA_OK);
    result->expires = phota_now() + TEST_MONTH;
    result->length = length;
    result->tenant = 3;
    result->status = 200;
    result->outputs = 2;
    result->identity_low = 1;
    result->identity_high = 2;
    result->cost = 270000;
    memcpy(result->content_type, "application/json", 17);
    memcpy(result->request_id, "req-7", 6);

    return phota_cache_store(&test_cache, &key, result, test_read, &body,
                             &test_err);
}


/* PHOTA_DECLINED for a miss, or when a chunk is gone or of a wrong length */

static inline int
test_load(const phota_result_t *result, uint32_t seed)
{
    int            rc;
    size_t         len;
    u_char         want[PHOTA_CHUNK], digest[PHOTA_SHA256_LEN], *all;
    MDB_txn       *txn;
    uint32_t       index;
    uint64_t       offset;
    test_body_t    body;
    const u_char  *p;

    memset(&body, 0, sizeof(test_body_t));
    body.seed = seed;

    all = malloc(result->length + 1);
    assert_non_null(all);

    rc = PHOTA_OK;
    offset = 0;
    txn = test_begin(0);

    for (index = 0; offset < result->length; index++) {

        rc = phota_cache_chunk(&test_cache, txn, result, index, &p, &len);

        if (rc != PHOTA_OK) {
            break;
        }

        assert_true(len <= PHOTA_CHUNK);
        assert_int_equal(test_read(&body, want, len, offset), PHOTA_OK);
        assert_memory_equal(p, want, len);
        memcpy(all + offset, p, len);
        offset += len;
    }

    if (rc == PHOTA_OK) {
        assert_int_equal(phota_cache_chunk(&test_cache, txn, result, index,
                                           &p, &len),
                         PHOTA_DECLINED);
        assert_int_equal(phota_sha256(digest, all, result->length), PHOTA_OK);
        assert_memory_equal(digest, result->digest, PHOTA_SHA256_LEN);
    }

    phota_store_abort(txn);
    free(all);

    return rc;
}


static inline int
test_find(uint32_t n, phota_result_t *result)
{
    int                rc;
    MDB_txn           *txn;
    phota_cache_key_t  key;

    test_key(&key, n);

    txn = test_begin(0);
    rc = phota_cache_find(&test_cache, txn, &key, phota_now(), result);
    phota_store_abort(txn);

    return rc;
}


static inline void
test_stats(uint64_t results, uint64_t bytes)
{
    uint64_t  r, b;

    assert_int_equal(phota_cache_stats(&test_cache, &r, &b, &test_err),
                     PHOTA_OK);
    assert_true(r == results);
    assert_true(b == bytes);
}


static inline size_t
test_entries(MDB_dbi dbi)
{
    MDB_stat   st;
    MDB_txn   *txn;

    txn = test_begin(0);
    assert_int_equal(mdb_stat(txn, dbi, &st), 0);
    phota_store_abort(txn);

    return st.ms_entries;
}


static inline unsigned
test_sweep(void)
{
    int       more;
    unsigned  n;

    n = 0;

    do {
        assert_int_equal(phota_cache_sweep(&test_cache, phota_now(), &more,
                                           &test_err),
                         PHOTA_OK);
        n++;
        assert_true(n < 1000);
    } while (more);

    return n;
}


/* every table has as much as it should when nothing is left */

static inline void
test_all_gone(void)
{
    assert_int_equal(test_entries(test_cache.results), 0);
    assert_int_equal(test_entries(test_cache.chunks), 0);
    assert_int_equal(test_entries(test_cache.charges), 0);
    assert_int_equal(test_entries(test_cache.order), 0);
    assert_int_equal(test_entries(test_cache.expiry), 0);
    assert_int_equal(test_entries(test_cache.garbage), 0);
    test_stats(0, 0);
}


#endif /* _PHOTA_TEST_RESULTS_H_INCLUDED_ */
