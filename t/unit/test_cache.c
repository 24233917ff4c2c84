
/*
 * cache: bodies of many sizes there and back, and what is replaced, expires or
 * goes for want of room.
 */


#include "results.h"


/* of a charge is known what the ledger needs */

static void
test_bought(const phota_result_t *stored, const phota_result_t *found)
{
    phota_result_t  want;

    want = *stored;
    want.expires = 0;
    want.used = 0;
    want.length = 0;
    memset(want.digest, 0, sizeof(want.digest));
    memset(want.content_type, 0, sizeof(want.content_type));

    assert_memory_equal(found, &want, sizeof(phota_result_t));
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
        test_bought(&stored, &found);

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
    test_clock += 2 * TEST_GRACE;
    assert_int_equal(test_store_one(1, 2, 1 << 20, &new), PHOTA_OK);

    assert_int_equal(test_find(1, &found), PHOTA_OK);
    assert_memory_equal(&found.id, &new.id, sizeof(phota_id_t));
    assert_int_equal(test_load(&found, 2), PHOTA_OK);
    test_stats(1, 1 << 20);

    /* the charge that bought it bought it all the same */

    txn = test_begin(0);
    assert_int_equal(phota_cache_find_charge(&test_cache, txn, &old.id,
                                             &found),
                     PHOTA_OK);
    phota_store_abort(txn);
    test_bought(&old, &found);

    /* who is sending the old one may finish, for a while */

    (void) test_sweep();
    assert_int_equal(test_load(&old, 1), PHOTA_OK);

    test_clock += TEST_GRACE - 120000;
    (void) test_sweep();
    assert_int_equal(test_load(&old, 1), PHOTA_OK);

    test_clock += 240000;
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

    test_clock += TEST_MONTH - 120000;
    assert_int_equal(test_find(1, &found), PHOTA_OK);

    test_clock += 240000;
    assert_int_equal(test_find(1, &found), PHOTA_DECLINED);
    test_stats(2, 10 << 20);

    /* 162 chunks, 64 at a time */

    assert_int_equal(test_sweep(), 3);
    test_all_gone();
    assert_int_equal(test_sweep(), 1);
}


/* expired or evicted: known for two days, then taken out a batch at a time */

static void
test_charges(void **state)
{
    int             more;
    uint32_t        i;
    MDB_txn        *txn;
    phota_result_t  first, result, found;

    (void) state;

    assert_int_equal(test_store_one(0, 0, 100, &first), PHOTA_OK);

    for (i = 1; i < 200; i++) {
        assert_int_equal(test_store_one(i, i, 100, &result), PHOTA_OK);
    }

    test_clock += TEST_GRACE + 1000;
    test_cache.max_size = 0;
    (void) test_sweep();
    test_cache.max_size = TEST_MAX;
    assert_int_equal(test_entries(test_cache.results), 0);
    assert_int_equal(test_entries(test_cache.charges), 200);

    test_clock += 2 * 86400000ll - TEST_GRACE - 60 * 1000;
    (void) test_sweep();

    txn = test_begin(0);
    assert_int_equal(phota_cache_find_charge(&test_cache, txn, &first.id,
                                             &found),
                     PHOTA_OK);
    phota_store_abort(txn);
    test_bought(&first, &found);

    test_clock += 120 * 1000;
    assert_int_equal(test_store_one(0, 0, 100, &result), PHOTA_OK);

    assert_int_equal(phota_cache_sweep(&test_cache, phota_now(), &more,
                                       &test_err),
                     PHOTA_OK);
    assert_int_equal(more, 1);
    assert_int_equal(test_entries(test_cache.charges), 201 - 64);

    (void) test_sweep();
    assert_int_equal(test_entries(test_cache.charges), 1);

    txn = test_begin(0);
    assert_int_equal(phota_cache_find_charge(&test_cache, txn, &first.id,
                                             &found),
                     PHOTA_DECLINED);
    assert_int_equal(phota_cache_find_charge(&test_cache, txn, &result.id,
                                             &found),
                     PHOTA_OK);
    phota_store_abort(txn);
}


static void
test_evict(void **state)
{
    uint32_t           i;
    uint64_t           now;
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

    assert_int_equal(test_find(0, &result), PHOTA_OK);
    now = result.stored + 60 * 1000;

    assert_int_equal(phota_cache_touch(&test_cache, keys, 2, now, &test_err),
                     PHOTA_OK);
    assert_int_equal(test_find(0, &result), PHOTA_OK);
    assert_true(result.used == result.stored);

    assert_int_equal(phota_cache_touch(&test_cache, keys, 2, now + 1,
                                       &test_err),
                     PHOTA_OK);
    assert_int_equal(test_find(0, &result), PHOTA_OK);
    assert_true(result.used == now + 1);
    test_clock += 60 * 1000;

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
    uint64_t        before, after, again, results;
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

    /* what can never have room takes a quarter with it, and that once */

    assert_int_equal(phota_cache_stats(&test_cache, &results, &before,
                                       &test_err),
                     PHOTA_OK);

    assert_int_equal(test_store_one(i, i, 5 << 20, &result), PHOTA_ERROR);
    assert_non_null(strstr(test_err.text, "MDB_MAP_FULL"));

    assert_int_equal(phota_cache_stats(&test_cache, &results, &after,
                                       &test_err),
                     PHOTA_OK);
    assert_true(after < before);
    assert_true(after + 300000 > before - before / 4);

    test_clock += 50 * 1000;
    assert_int_equal(test_store_one(i, i, 5 << 20, &result), PHOTA_ERROR);
    assert_int_equal(phota_cache_stats(&test_cache, &results, &again,
                                       &test_err),
                     PHOTA_OK);
    assert_true(again == after);

    test_clock += 15 * 1000;
    assert_int_equal(test_store_one(i, i, 5 << 20, &result), PHOTA_ERROR);
    assert_int_equal(phota_cache_stats(&test_cache, &results, &again,
                                       &test_err),
                     PHOTA_OK);
    assert_true(again < after);
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
        TEST(test_charges),
        TEST(test_evict),
        TEST(test_evict_garbage),
        TEST(test_shrink),
        TEST(test_map_full),
        TEST(test_two_processes),
        cmocka_unit_test(test_map)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
