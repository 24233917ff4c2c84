
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

#include "phota_cache_record.h"
#include "phota_order.h"


#define TEST_MAX     (16u << 20)
#define TEST_GRACE   (10 * 1000)
#define TEST_MONTH   (30ull * 86400 * 1000)

#define TEST(name)                                                            \
    cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)


/* an answer of the upstream with pictures that any seed makes anew */

typedef struct {
    u_char           *text;
    size_t            len;
    uint64_t          fail;         /* reading fails at this offset, 0: never */
    unsigned          calls;
    phota_unpacked_t  unpacked;
} test_answer_t;


static char           test_dir[64];
static int64_t        test_clock;       /* ms added to the real one */
static phota_store_t  test_store;
static phota_cache_t  test_cache;
static phota_beats_t  test_beats;
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
                                      &test_beats, &test_err),
                     PHOTA_OK);
}


static inline int
test_setup(void **state)
{
    (void) state;

    test_clock = 0;
    memset(&test_beats, 0, sizeof(test_beats));

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
    test_answer_t  *answer;

    answer = ctx;
    answer->calls++;

    if ((answer->fail != 0 && offset + len > answer->fail)
        || offset + len > answer->len)
    {
        return PHOTA_ERROR;
    }

    memcpy(buf, answer->text + offset, len);

    return PHOTA_OK;
}


static inline void
test_picture(u_char *p, size_t len, uint64_t seed)
{
    size_t    i;
    uint64_t  x;

    x = seed * 0x9e3779b97f4a7c15u + 1;

    for (i = 0; i < len; i++) {

        if (i % 8 == 0) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
        }

        p[i] = (u_char) (x >> i % 8 * 8);
    }
}


static inline void
test_append(test_answer_t *answer, const char *text)
{
    size_t  len;

    len = strlen(text);
    memcpy(answer->text + answer->len, text, len);
    answer->len += len;
}


/* n pictures of these lengths; what is left when it is taken apart */

static inline void
test_answer(test_answer_t *answer, unsigned n, const uint64_t *seeds,
    const uint64_t *lengths)
{
    size_t    room;
    u_char   *p;
    unsigned  i;

    memset(answer, 0, sizeof(test_answer_t));

    room = 1024;

    for (i = 0; i < n; i++) {
        room += phota_base64_length(lengths[i]) + 8;
    }

    answer->text = malloc(room);
    assert_non_null(answer->text);

    test_append(answer, "{\"images\":[");

    for (i = 0; i < n; i++) {
        p = malloc(lengths[i]);
        assert_non_null(p);
        test_picture(p, lengths[i], seeds[i]);

        test_append(answer, i ? ",\"" : "\"");
        answer->len += phota_base64_encode(answer->text + answer->len, p,
                                           lengths[i]);
        test_append(answer, "\"");
        free(p);
    }

    test_append(answer, "],\"download_urls\":[],\"known_subjects\":"
                        "{\"counts\":{\"anna\":2,\"b\\u00e9\":1}}}");

    assert_int_equal(phota_unpack(PHOTA_ANSWER_IMAGES, test_read, answer,
                                  answer->len, &answer->unpacked, &test_err),
                     PHOTA_OK);
    assert_int_equal(answer->unpacked.npictures, n);

    answer->calls = 0;
}


static inline void
test_fingerprint(u_char fingerprint[PHOTA_SHA256_LEN], uint32_t n)
{
    memset(fingerprint, 7, PHOTA_SHA256_LEN);
    memcpy(fingerprint, &n, sizeof(n));
}


/* what a caller fills */

static inline void
test_deposit(phota_deposit_t *deposit, uint32_t n, uint32_t scope)
{
    phota_result_t  *result;

    memset(deposit, 0, sizeof(phota_deposit_t));

    test_fingerprint(deposit->fingerprint, n);

    result = &deposit->result;

    assert_int_equal(phota_id_create(&result->id, phota_now()), PHOTA_OK);
    result->expires = phota_now() + TEST_MONTH;
    result->tenant = scope ? scope : 3;
    result->scope = scope;
    result->status = 200;
    result->identity_low = 1;
    result->identity_high = 2;
    result->cost = 270000;
    result->operation = 4;
    memcpy(result->tag, "spring", 7);
    memcpy(result->request_id, "req-7", 6);
    result->nmarks = 1;
    result->marks[0] = 99;
}


static inline int
test_store_answer(phota_deposit_t *deposit, test_answer_t *answer)
{
    return phota_cache_store(&test_cache, deposit, 1, 0, &answer->unpacked,
                             test_read, answer, &test_err);
}


/* one picture, fingerprint n of tenant 3 */

static inline int
test_store_one(uint32_t n, uint64_t seed, uint64_t length,
    phota_result_t *result)
{
    int              rc;
    test_answer_t    answer;
    phota_deposit_t  deposit;

    test_answer(&answer, 1, &seed, &length);
    test_deposit(&deposit, n, 3);

    rc = test_store_answer(&deposit, &answer);

    *result = deposit.result;
    result->skeleton = NULL;
    result->subjects = NULL;

    free(answer.text);

    return rc;
}


/* PHOTA_DECLINED for a miss, or when a chunk is gone or damaged */

static inline int
test_load(uint32_t scope, const phota_picture_t *picture, uint64_t seed)
{
    int            rc;
    size_t         len;
    u_char        *want;
    MDB_txn       *txn;
    uint32_t       index;
    uint64_t       offset;
    const u_char  *p;

    want = malloc(picture->length);
    assert_non_null(want);
    test_picture(want, picture->length, seed);

    rc = PHOTA_OK;
    offset = 0;
    txn = test_begin(0);

    for (index = 0; offset < picture->length; index++) {

        rc = phota_cache_chunk(&test_cache, txn, scope, picture, index, &p,
                               &len);

        if (rc == PHOTA_OK) {
            rc = phota_cache_sound(scope, picture, index, p, len);
        }

        if (rc != PHOTA_OK) {
            break;
        }

        assert_int_equal(len, phota_cache_chunk_len(picture, index));
        assert_true(offset + len <= picture->length);
        assert_memory_equal(p, want + offset, len);
        offset += len;
    }

    if (rc == PHOTA_OK) {
        assert_int_equal(phota_cache_chunk(&test_cache, txn, scope, picture,
                                           index, &p, &len),
                         PHOTA_DECLINED);
    }

    phota_store_abort(txn);
    free(want);

    assert_int_equal(phota_cache_prove(&test_cache, scope, picture,
                                       &test_err),
                     rc);

    return rc;
}


/* how many results the pool has */

static inline unsigned
test_pool(uint32_t n, uint64_t since, phota_result_t *results,
    unsigned *damaged)
{
    u_char    fingerprint[PHOTA_SHA256_LEN];
    MDB_txn  *txn;
    unsigned  found;

    test_fingerprint(fingerprint, n);

    txn = test_begin(0);
    assert_int_equal(phota_cache_pool(&test_cache, txn, fingerprint,
                                      phota_now(), since, results, &found,
                                      damaged),
                     PHOTA_OK);
    phota_store_abort(txn);

    return found;
}


/* the first of a pool, PHOTA_DECLINED when there is none */

static inline int
test_find(uint32_t n, phota_result_t *result)
{
    unsigned        damaged;
    phota_result_t  results[PHOTA_POOL_MAX];

    if (test_pool(n, 0, results, &damaged) == 0) {
        return PHOTA_DECLINED;
    }

    *result = results[0];
    result->skeleton = NULL;
    result->subjects = NULL;

    return PHOTA_OK;
}


static inline void
test_totals(phota_cache_totals_t *totals)
{
    assert_int_equal(phota_cache_stats(&test_cache, totals, &test_err),
                     PHOTA_OK);
}


/* the totals are what is counted */

static inline void
test_stats(uint64_t results, uint64_t pictures)
{
    MDB_txn               *txn;
    phota_cache_totals_t   totals, counted;

    test_totals(&totals);

    txn = test_begin(0);
    assert_int_equal(phota_totals_count(&test_cache, txn, &counted), 0);
    phota_store_abort(txn);

    assert_int_equal(totals.results, results);
    assert_int_equal(totals.pictures, pictures);
    assert_memory_equal(&totals, &counted, sizeof(totals));
}


static inline void
test_touch(const phota_result_t *result, uint64_t linked)
{
    phota_use_t  use;

    use.key = result->key;
    use.id = result->id;
    use.linked = linked;

    assert_int_equal(phota_cache_touch(&test_cache, &use, 1, phota_now(),
                                       &test_err),
                     PHOTA_OK);
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


/* all that can be, though nothing has expired */

static inline void
test_empty(void)
{
    uint64_t  max;

    max = test_cache.max_size;
    test_cache.max_size = 0;
    (void) test_sweep();
    test_clock += TEST_GRACE + 1000;
    (void) test_sweep();
    test_cache.max_size = max;
}


/* every table has as much as it should when nothing is left */

static inline void
test_all_gone(void)
{
    assert_int_equal(test_entries(test_cache.results), 0);
    assert_int_equal(test_entries(test_cache.pictures), 0);
    assert_int_equal(test_entries(test_cache.chunks), 0);
    assert_int_equal(test_entries(test_cache.order), 0);
    assert_int_equal(test_entries(test_cache.expiry), 0);
    assert_int_equal(test_entries(test_cache.garbage), 0);
    test_stats(0, 0);
}


#endif /* _PHOTA_TEST_RESULTS_H_INCLUDED_ */
