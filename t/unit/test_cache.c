
/*
 * cache: bodies of many sizes there and back, what is replaced, expires or
 * goes for want of room, and damage, which is a miss.
 */


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


static void
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


static int
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


static int
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


static MDB_txn *
test_begin(int write)
{
    MDB_txn  *txn;

    assert_int_equal(phota_store_begin(&test_store, write, &txn, &test_err),
                     PHOTA_OK);

    return txn;
}


static int
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


static void
test_key(phota_cache_key_t *key, uint32_t n)
{
    memset(key, 0, sizeof(phota_cache_key_t));
    memcpy(key->fingerprint, &n, sizeof(n));
    key->mode = 1;
    key->outputs = 2;
}


static int
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

static int
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


static int
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


static void
test_stats(uint64_t results, uint64_t bytes)
{
    uint64_t  r, b;

    assert_int_equal(phota_cache_stats(&test_cache, &r, &b, &test_err),
                     PHOTA_OK);
    assert_true(r == results);
    assert_true(b == bytes);
}


static size_t
test_entries(MDB_dbi dbi)
{
    MDB_stat   st;
    MDB_txn   *txn;

    txn = test_begin(0);
    assert_int_equal(mdb_stat(txn, dbi, &st), 0);
    phota_store_abort(txn);

    return st.ms_entries;
}


static unsigned
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

static void
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


static void
test_sizes(void **state)
{
    size_t          i;
    uint64_t        total;
    MDB_txn        *txn;
    phota_id_t      none;
    phota_result_t  stored, found;

    static const uint64_t  sizes[] = {
        0, 1, 100, 4000, 65519, 65520, 65521, 131040, 1 << 20, 5 << 20
    };

    (void) state;

    total = 0;

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(test_store_one((uint32_t) i, 77, sizes[i], &stored),
                         PHOTA_OK);
        total += sizes[i];

        assert_int_equal(test_find((uint32_t) i, &found), PHOTA_OK);
        assert_memory_equal(&found, &stored, sizeof(phota_result_t));
        assert_int_equal(test_load(&found, 77), PHOTA_OK);

        txn = test_begin(0);
        assert_int_equal(phota_cache_find_charge(&test_cache, txn, &stored.id,
                                                 &found),
                         PHOTA_OK);
        assert_memory_equal(&found, &stored, sizeof(phota_result_t));

        memset(&none, 0, sizeof(phota_id_t));
        assert_int_equal(phota_cache_find_charge(&test_cache, txn, &none,
                                                 &found),
                         PHOTA_DECLINED);
        phota_store_abort(txn);
    }

    test_stats(i, total);
    assert_int_equal(test_find(99, &found), PHOTA_DECLINED);

    /* and after a restart */

    phota_store_close(&test_store);
    test_open(TEST_MAX, 0, 0);

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(test_find((uint32_t) i, &found), PHOTA_OK);
        assert_int_equal(test_load(&found, 77), PHOTA_OK);
    }
}


static void
test_page_fit(void **state)
{
    MDB_stat        st;
    MDB_txn        *txn;
    phota_result_t  result;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 10 * PHOTA_CHUNK, &result),
                     PHOTA_OK);

    txn = test_begin(0);
    assert_int_equal(mdb_stat(txn, test_cache.chunks, &st), 0);
    phota_store_abort(txn);

    /* a chunk and LMDB's header: 64 KB, no page more */

    assert_int_equal(st.ms_overflow_pages * st.ms_psize, 10 * 65536);
}


static void
test_too_large(void **state)
{
    phota_result_t  result;

    (void) state;

    assert_int_equal(test_store_one(1, 1, TEST_MAX + 1, &result),
                     PHOTA_DECLINED);
    assert_int_equal(test_store_one(1, 1, TEST_MAX, &result), PHOTA_OK);
    assert_int_equal(test_load(&result, 1), PHOTA_OK);
    test_stats(1, TEST_MAX);
}


static void
test_read_fails(void **state)
{
    test_body_t        body;
    phota_result_t     result;
    phota_cache_key_t  key;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 1000, &result), PHOTA_OK);

    memset(&body, 0, sizeof(test_body_t));
    body.fail = 70000;
    test_key(&key, 1);

    assert_int_equal(phota_id_create(&result.id, 5), PHOTA_OK);
    result.length = 200000;
    assert_int_equal(phota_cache_store(&test_cache, &key, &result, test_read,
                                       &body, &test_err),
                     PHOTA_ERROR);
    assert_non_null(strstr(test_err.text, "can't be read"));
    assert_int_equal(body.calls, 2);

    /* what was there is there */

    assert_int_equal(test_find(1, &result), PHOTA_OK);
    assert_int_equal(result.length, 1000);
    assert_int_equal(test_load(&result, 1), PHOTA_OK);
    test_stats(1, 1000);
}


static void
test_same_charge(void **state)
{
    test_body_t        body;
    phota_result_t     result, again;
    phota_cache_key_t  key;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 100000, &result), PHOTA_OK);

    again = result;
    memset(again.digest, 0, PHOTA_SHA256_LEN);
    memset(&body, 0, sizeof(test_body_t));
    test_key(&key, 1);

    assert_int_equal(phota_cache_store(&test_cache, &key, &again, test_read,
                                       &body, &test_err),
                     PHOTA_OK);
    assert_int_equal(body.calls, 0);
    assert_memory_equal(again.digest, result.digest, PHOTA_SHA256_LEN);
    test_stats(1, 100000);

    /* one charge buys one result */

    test_key(&key, 2);
    assert_int_equal(phota_cache_store(&test_cache, &key, &again, test_read,
                                       &body, &test_err),
                     PHOTA_ERROR);
    test_stats(1, 100000);
}


static void
test_replace(void **state)
{
    MDB_txn         *txn;
    phota_result_t   old, new, found;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 2 << 20, &old), PHOTA_OK);
    assert_int_equal(test_store_one(1, 2, 1 << 20, &new), PHOTA_OK);

    assert_int_equal(test_find(1, &found), PHOTA_OK);
    assert_memory_equal(&found.id, &new.id, sizeof(phota_id_t));
    assert_int_equal(test_load(&found, 2), PHOTA_OK);
    test_stats(1, 1 << 20);

    txn = test_begin(0);
    assert_int_equal(phota_cache_find_charge(&test_cache, txn, &old.id,
                                             &found),
                     PHOTA_DECLINED);
    phota_store_abort(txn);

    /* who is sending the old one may finish, for a while */

    (void) test_sweep();
    assert_int_equal(test_load(&old, 1), PHOTA_OK);

    test_clock += TEST_GRACE - 1000;
    (void) test_sweep();
    assert_int_equal(test_load(&old, 1), PHOTA_OK);

    test_clock += 2000;
    (void) test_sweep();
    assert_int_equal(test_load(&old, 1), PHOTA_DECLINED);
    assert_int_equal(test_load(&new, 2), PHOTA_OK);
    assert_int_equal(test_entries(test_cache.garbage), 0);
}


static void
test_expire(void **state)
{
    phota_result_t  result, found;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 5 << 20, &result), PHOTA_OK);
    assert_int_equal(test_store_one(2, 1, 5 << 20, &result), PHOTA_OK);

    test_clock += TEST_MONTH - 1000;
    assert_int_equal(test_find(1, &found), PHOTA_OK);

    test_clock += 2000;
    assert_int_equal(test_find(1, &found), PHOTA_DECLINED);
    test_stats(2, 10 << 20);

    /* 162 chunks, 64 at a time */

    assert_int_equal(test_sweep(), 3);
    test_all_gone();
    assert_int_equal(test_sweep(), 1);
}


static void
test_evict(void **state)
{
    uint32_t           i;
    phota_result_t     result;
    phota_cache_key_t  keys[2];

    (void) state;

    for (i = 0; i < 16; i++) {
        assert_int_equal(test_store_one(i, i, 1 << 20, &result), PHOTA_OK);
        test_clock += 1000;
    }

    test_stats(16, TEST_MAX);

    /* 0 and 1 are the oldest; 0 is used, within a minute it isn't noted */

    test_key(&keys[0], 0);
    test_key(&keys[1], 777);

    assert_int_equal(phota_cache_touch(&test_cache, keys, 2, phota_now(),
                                       &test_err),
                     PHOTA_OK);
    assert_int_equal(test_find(0, &result), PHOTA_OK);
    assert_true(result.used == result.stored);

    test_clock += 60 * 1000;
    assert_int_equal(phota_cache_touch(&test_cache, keys, 2, phota_now(),
                                       &test_err),
                     PHOTA_OK);
    assert_int_equal(test_find(0, &result), PHOTA_OK);
    assert_true(result.used > result.stored);

    assert_int_equal(test_store_one(100, 100, 1 << 20, &result), PHOTA_OK);
    assert_int_equal(test_find(0, &result), PHOTA_OK);
    assert_int_equal(test_find(1, &result), PHOTA_DECLINED);
    assert_int_equal(test_find(2, &result), PHOTA_OK);
    test_stats(16, TEST_MAX);

    /* more than one has to go */

    assert_int_equal(test_store_one(101, 101, (5 << 20) - 1, &result),
                     PHOTA_OK);

    for (i = 2; i < 7; i++) {
        assert_int_equal(test_find(i, &result), PHOTA_DECLINED);
    }

    assert_int_equal(test_find(7, &result), PHOTA_OK);
    assert_int_equal(test_load(&result, 7), PHOTA_OK);
    test_stats(12, TEST_MAX - 1);
}


/* used lately: its chunks stay for those who send them; else they go at once */

static void
test_evict_garbage(void **state)
{
    uint32_t        i;
    phota_result_t  first, result;

    (void) state;

    assert_int_equal(test_store_one(0, 0, 1 << 20, &first), PHOTA_OK);

    for (i = 1; i < 17; i++) {
        assert_int_equal(test_store_one(i, i, 1 << 20, &result), PHOTA_OK);
    }

    assert_int_equal(test_find(0, &result), PHOTA_DECLINED);
    (void) test_sweep();
    assert_int_equal(test_load(&first, 0), PHOTA_OK);

    /* a quarter of the cache may wait, the oldest goes then */

    for (i = 17; i < 40; i++) {
        assert_int_equal(test_store_one(i, i, 1 << 20, &result), PHOTA_OK);
    }

    assert_int_equal(test_load(&first, 0), PHOTA_DECLINED);
    assert_true(test_entries(test_cache.chunks) <= (16 + 5) * 17);

    test_clock += TEST_GRACE + 1000;
    (void) test_sweep();
    assert_int_equal(test_entries(test_cache.garbage), 0);
    assert_int_equal(test_entries(test_cache.chunks), 16 * 17);

    assert_int_equal(test_find(24, &first), PHOTA_OK);
    assert_int_equal(test_store_one(50, 50, 1 << 20, &result), PHOTA_OK);
    (void) test_sweep();
    assert_int_equal(test_load(&first, 24), PHOTA_DECLINED);
    assert_int_equal(test_entries(test_cache.garbage), 0);
}


/* a smaller cache after a restart */

static void
test_shrink(void **state)
{
    uint32_t        i;
    uint64_t        results, bytes;
    phota_result_t  result;

    (void) state;

    for (i = 0; i < 300; i++) {
        assert_int_equal(test_store_one(i, i, 40000, &result), PHOTA_OK);
    }

    phota_store_close(&test_store);
    test_open(1 << 20, 0, 0);
    test_clock += TEST_GRACE + 1000;

    assert_true(test_sweep() > 3);
    assert_int_equal(phota_cache_stats(&test_cache, &results, &bytes,
                                       &test_err),
                     PHOTA_OK);
    assert_true(results == 26 && bytes == 26 * 40000);
    assert_int_equal(test_entries(test_cache.chunks), 26);
    assert_int_equal(test_find(299, &result), PHOTA_OK);
    assert_int_equal(test_load(&result, 299), PHOTA_OK);
}


/* a map that is too small for max_size: what is old makes way all the same */

static void
test_map_full(void **state)
{
    uint32_t        i;
    phota_result_t  result;

    (void) state;

    (void) test_teardown(NULL);
    test_clock = 0;
    memcpy(test_dir, "/tmp/phota-cache.XXXXXX",
           sizeof("/tmp/phota-cache.XXXXXX"));
    assert_non_null(mkdtemp(test_dir));
    test_open(TEST_MAX, 4 << 20, PHOTA_STORE_CREATE);

    for (i = 0; i < 60; i++) {
        if (test_store_one(i, i, 300000, &result) != PHOTA_OK) {
            fail_msg("%u: %s", i, test_err.text);
        }

        assert_int_equal(test_find(i, &result), PHOTA_OK);
        assert_int_equal(test_load(&result, i), PHOTA_OK);
    }

    assert_int_equal(test_store_one(i, i, 5 << 20, &result), PHOTA_ERROR);
    assert_non_null(strstr(test_err.text, "MDB_MAP_FULL"));
}


static void
test_put(MDB_dbi dbi, MDB_val *key, MDB_val *value)
{
    MDB_txn  *txn;

    txn = test_begin(1);
    assert_int_equal(mdb_put(txn, dbi, key, value, 0), 0);
    assert_int_equal(phota_store_commit(txn, &test_err), PHOTA_OK);
}


static void
test_damaged_record(void **state)
{
    size_t             i, len;
    u_char             keep[1024], buf[1024];
    MDB_val            name, value;
    MDB_txn           *txn;
    phota_result_t     result, found;
    phota_cache_key_t  key;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 100000, &result), PHOTA_OK);

    test_key(&key, 1);
    name.mv_data = &key;
    name.mv_size = sizeof(phota_cache_key_t);

    txn = test_begin(0);
    assert_int_equal(mdb_get(txn, test_cache.results, &name, &value), 0);
    len = value.mv_size;
    memcpy(keep, value.mv_data, len);
    phota_store_abort(txn);

    for (i = 0; i < len; i++) {
        memcpy(buf, keep, len);
        buf[i] ^= 0x20;
        value.mv_data = buf;
        value.mv_size = len;
        test_put(test_cache.results, &name, &value);
        assert_int_equal(test_find(1, &found), PHOTA_DECLINED);

        value.mv_data = keep;
        value.mv_size = i;
        test_put(test_cache.results, &name, &value);
        assert_int_equal(test_find(1, &found), PHOTA_DECLINED);

        txn = test_begin(0);
        assert_int_equal(phota_cache_find_charge(&test_cache, txn, &result.id,
                                                 &found),
                         PHOTA_DECLINED);
        phota_store_abort(txn);
    }

    assert_int_equal(phota_cache_touch(&test_cache, &key, 1,
                                       phota_now() + 100000, &test_err),
                     PHOTA_OK);

    /* another's record under this key is none */

    value.mv_data = keep;
    value.mv_size = len;
    test_put(test_cache.results, &name, &value);
    assert_int_equal(test_find(1, &found), PHOTA_OK);

    test_key(&key, 2);
    test_put(test_cache.results, &name, &value);
    assert_int_equal(test_find(2, &found), PHOTA_DECLINED);

    /* bought anew over a damaged one; all of it goes in the end */

    test_key(&key, 1);
    value.mv_size = 20;
    test_put(test_cache.results, &name, &value);
    assert_int_equal(test_store_one(1, 2, 200000, &result), PHOTA_OK);
    assert_int_equal(test_find(1, &found), PHOTA_OK);
    assert_int_equal(test_load(&found, 2), PHOTA_OK);
    test_stats(2, 300000);

    assert_int_equal(test_store_one(2, 2, 100, &result), PHOTA_OK);

    /* the damaged one's expiry can't be found before it comes */

    test_clock += TEST_MONTH + 1000;
    test_cache.max_size = 0;
    (void) test_sweep();
    test_all_gone();
}


static void
test_damaged_chunk(void **state)
{
    u_char          name[20], *big;
    MDB_val         key, value;
    MDB_txn        *txn;
    phota_result_t  result;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 200000, &result), PHOTA_OK);
    assert_int_equal(test_load(&result, 1), PHOTA_OK);

    memcpy(name, &result.id, sizeof(phota_id_t));
    memset(name + 16, 0, 4);
    name[19] = 2;

    big = calloc(1, PHOTA_CHUNK + 1);
    assert_non_null(big);

    key.mv_data = name;
    key.mv_size = sizeof(name);
    value.mv_data = big;

    value.mv_size = PHOTA_CHUNK + 1;
    test_put(test_cache.chunks, &key, &value);
    assert_int_equal(test_load(&result, 1), PHOTA_DECLINED);

    value.mv_size = PHOTA_CHUNK - 1;
    test_put(test_cache.chunks, &key, &value);
    assert_int_equal(test_load(&result, 1), PHOTA_DECLINED);

    value.mv_size = 0;
    test_put(test_cache.chunks, &key, &value);
    assert_int_equal(test_load(&result, 1), PHOTA_DECLINED);

    txn = test_begin(1);
    assert_int_equal(mdb_del(txn, test_cache.chunks, &key, NULL), 0);
    assert_int_equal(phota_store_commit(txn, &test_err), PHOTA_OK);
    assert_int_equal(test_load(&result, 1), PHOTA_DECLINED);

    /* a length that the record can't have meant */

    result.length = UINT64_MAX;
    txn = test_begin(0);
    assert_int_equal(phota_cache_chunk(&test_cache, txn, &result, UINT32_MAX,
                                       (const u_char **) &value.mv_data,
                                       &value.mv_size),
                     PHOTA_DECLINED);
    phota_store_abort(txn);

    free(big);

    test_clock += TEST_GRACE + 1000;
    test_cache.max_size = 0;
    (void) test_sweep();
    test_all_gone();
}


/* keys and values that are none, in every index: swept away, never a crash */

static void
test_damaged_index(void **state)
{
    size_t          i;
    u_char          junk[64];
    MDB_val         key, value;
    MDB_dbi         tables[4];
    phota_result_t  result;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 1000, &result), PHOTA_OK);

    tables[0] = test_cache.order;
    tables[1] = test_cache.expiry;
    tables[2] = test_cache.garbage;
    tables[3] = test_cache.charges;

    memset(junk, 0, sizeof(junk));
    key.mv_data = junk;
    value.mv_data = junk;

    for (i = 0; i < 4; i++) {

        for (key.mv_size = 1; key.mv_size < 40; key.mv_size += 5) {
            value.mv_size = key.mv_size / 2;
            test_put(tables[i], &key, &value);
        }

        /* the form is right, what it names isn't there */

        key.mv_size = (i == 3) ? 16 : 24;
        value.mv_size = (i == 2) ? 8 : 34;
        test_put(tables[i], &key, &value);
    }

    test_clock += TEST_MONTH + TEST_GRACE;
    assert_int_equal(test_store_one(2, 1, 1000, &result), PHOTA_OK);

    test_clock += TEST_GRACE + 1000;
    test_cache.max_size = 0;
    (void) test_sweep();

    assert_int_equal(test_entries(test_cache.results), 0);
    assert_int_equal(test_entries(test_cache.chunks), 0);
    assert_int_equal(test_entries(test_cache.order), 0);
    assert_int_equal(test_entries(test_cache.expiry), 0);
    assert_int_equal(test_entries(test_cache.garbage), 0);
}


static void
test_two_processes(void **state)
{
    int              i, status;
    pid_t            pid;
    uint64_t         results, bytes;
    phota_result_t   result;

    (void) state;

    phota_store_close(&test_store);

    pid = fork();
    assert_true(pid >= 0);

    test_open(TEST_MAX, 0, 0);

    for (i = 0; i < 40; i++) {
        if (test_store_one((uint32_t) (i % 7), (uint32_t) (i % 7), 700000,
                           &result)
            != PHOTA_OK)
        {
            if (pid == 0) {
                _exit(1);
            }

            fail_msg("%s", test_err.text);
        }
    }

    if (pid == 0) {
        phota_store_close(&test_store);
        _exit(0);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);

    assert_int_equal(phota_cache_stats(&test_cache, &results, &bytes,
                                       &test_err),
                     PHOTA_OK);
    assert_true(results == 7 && bytes == 7 * 700000);

    for (i = 0; i < 7; i++) {
        assert_int_equal(test_find((uint32_t) i, &result), PHOTA_OK);
        assert_int_equal(test_load(&result, (uint32_t) i), PHOTA_OK);
    }
}


static void
test_map(void **state)
{
    (void) state;

    assert_true(phota_cache_map(0) == (size_t) 1 << 30);
    assert_true(phota_cache_map((uint64_t) 10 << 30) == (size_t) 40 << 30);
    assert_true(phota_cache_map(((uint64_t) 1 << 30) + 1) % 4096 == 0);
}


#define TEST(name)                                                            \
    cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_sizes),
        TEST(test_page_fit),
        TEST(test_too_large),
        TEST(test_read_fails),
        TEST(test_same_charge),
        TEST(test_replace),
        TEST(test_expire),
        TEST(test_evict),
        TEST(test_evict_garbage),
        TEST(test_shrink),
        TEST(test_map_full),
        TEST(test_damaged_record),
        TEST(test_damaged_chunk),
        TEST(test_damaged_index),
        TEST(test_two_processes),
        cmocka_unit_test(test_map)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
