
/*
 * cache: pictures of many sizes there and back, pools of results, pictures that
 * several of them hold.
 */


#include "results.h"


static void
test_same(const phota_result_t *found, const phota_result_t *stored)
{
    phota_result_t  want;

    want = *stored;
    want.skeleton = found->skeleton;
    want.subjects = found->subjects;

    assert_memory_equal(found, &want, sizeof(phota_result_t));
}


/* of a charge is known what the ledger needs */

static void
test_bought(const phota_result_t *stored, const phota_result_t *found)
{
    phota_result_t  want;

    memset(&want, 0, sizeof(phota_result_t));

    want.id = stored->id;
    want.stored = stored->stored;
    want.tenant = stored->tenant;
    want.status = stored->status;
    want.outputs = stored->outputs;
    want.identity_low = stored->identity_low;
    want.identity_high = stored->identity_high;
    want.cost = stored->cost;
    memcpy(want.request_id, stored->request_id, sizeof(want.request_id));

    assert_memory_equal(found, &want, sizeof(phota_result_t));
}


static void
test_sizes(void **state)
{
    uint32_t         i;
    MDB_txn         *txn;
    unsigned         damaged;
    phota_id_t       none;
    phota_result_t   stored, found, results[PHOTA_POOL_MAX];
    phota_picture_t  picture;

    static const uint64_t  sizes[] = {
        1, 100, 4000, PHOTA_CHUNK - 1, PHOTA_CHUNK, PHOTA_CHUNK + 1,
        2 * PHOTA_CHUNK, 1 << 20, 5 << 20
    };

    (void) state;

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(test_store_one(i, i, sizes[i], &stored), PHOTA_OK);

        assert_int_equal(test_pool(i, 0, results, &damaged), 1);
        assert_int_equal(damaged, 0);
        test_same(&results[0], &stored);
        assert_int_equal(test_load(3, &stored.pictures[0], i), PHOTA_OK);

        txn = test_begin(0);
        memset(&picture, 0, sizeof(picture));
        assert_int_equal(phota_cache_picture(&test_cache, txn, 3,
                                             stored.pictures[0].digest,
                                             &picture),
                         PHOTA_OK);
        assert_memory_equal(&picture, &stored.pictures[0], sizeof(picture));

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

    test_stats(i, i);
    assert_int_equal(test_find(99, &found), PHOTA_DECLINED);

    /* and after a restart */

    phota_store_close(&test_store);
    test_open(TEST_MAX, 0, 0);

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(test_find(i, &found), PHOTA_OK);
        assert_int_equal(test_load(3, &found.pictures[0], i), PHOTA_OK);
    }

    test_stats(i, i);
}


/* all that was around the pictures is there too */

static void
test_whole_result(void **state)
{
    u_char            fingerprint[PHOTA_SHA256_LEN];
    MDB_txn          *txn;
    unsigned          i, n, damaged;
    test_answer_t     answer;
    phota_deposit_t   deposit;
    phota_result_t    results[PHOTA_POOL_MAX];

    static const uint64_t  seeds[] = { 1, 2, 3, 1 };
    static const uint64_t  lengths[] = { 300000, 1000, 65508, 300000 };

    (void) state;

    test_answer(&answer, 4, seeds, lengths);
    test_deposit(&deposit, 5, 3);
    assert_int_equal(test_store_answer(&deposit, &answer), PHOTA_OK);

    test_fingerprint(fingerprint, 5);

    txn = test_begin(0);
    assert_int_equal(phota_cache_pool(&test_cache, txn, fingerprint,
                                      phota_now(), 0, results, &n, &damaged),
                     PHOTA_OK);
    assert_int_equal(n, 1);
    test_same(&results[0], &deposit.result);
    assert_int_equal(results[0].outputs, 4);
    assert_int_equal(results[0].skeleton_len, answer.unpacked.skeleton_len);
    assert_memory_equal(results[0].skeleton, answer.unpacked.skeleton,
                        results[0].skeleton_len);
    assert_int_equal(results[0].subjects_len, answer.unpacked.subjects_len);
    assert_memory_equal(results[0].subjects, answer.unpacked.subjects,
                        results[0].subjects_len);
    assert_int_equal(results[0].nmarks, 1 + answer.unpacked.nmarks);
    phota_store_abort(txn);

    for (i = 0; i < 4; i++) {
        assert_int_equal(test_load(3, &results[0].pictures[i], seeds[i]),
                         PHOTA_OK);
    }

    /* the same picture twice is one, and goes as one */

    test_stats(1, 3);
    test_empty();
    test_all_gone();

    free(answer.text);
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
    assert_int_equal(phota_picture_size(10 * PHOTA_CHUNK), 10 * 65536);
    assert_int_equal(phota_picture_size(PHOTA_CHUNK + 1), 65536 + 4096);
    assert_int_equal(phota_picture_size(4096 - 24), 4096);
    assert_int_equal(phota_picture_size(4096 - 23), 8192);
    assert_int_equal(phota_picture_size(0), 0);
}


static void
test_too_large(void **state)
{
    phota_result_t  result;

    (void) state;

    assert_int_equal(test_store_one(1, 1, TEST_MAX + 1, &result),
                     PHOTA_DECLINED);
    assert_non_null(strstr(test_err.text, "larger than the cache"));
    assert_int_equal(test_store_one(1, 1, TEST_MAX - 100000, &result),
                     PHOTA_OK);
    assert_int_equal(test_load(3, &result.pictures[0], 1), PHOTA_OK);

    /* what doesn't fit in any case pushes nothing out */

    assert_int_equal(test_store_one(2, 2, TEST_MAX + 1, &result),
                     PHOTA_DECLINED);
    test_stats(1, 1);
}


static void
test_read_fails(void **state)
{
    uint64_t         seed, length;
    test_answer_t    answer, other;
    phota_result_t   result;
    phota_deposit_t  deposit;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 1000, &result), PHOTA_OK);

    seed = 2;
    length = 200000;
    test_answer(&answer, 1, &seed, &length);
    test_deposit(&deposit, 1, 3);
    answer.fail = 150000;

    assert_int_equal(test_store_answer(&deposit, &answer), PHOTA_ERROR);
    assert_non_null(strstr(test_err.text, "can't be read"));

    /* another answer than was taken apart: its bytes, its length */

    seed = 3;
    test_answer(&other, 1, &seed, &length);
    other.unpacked = answer.unpacked;
    assert_int_equal(test_store_answer(&deposit, &other), PHOTA_ERROR);
    assert_non_null(strstr(test_err.text, "isn't what it was"));
    free(other.text);

    length = 199999;
    test_answer(&other, 1, &seed, &length);
    other.unpacked = answer.unpacked;
    other.unpacked.length = other.len;
    assert_int_equal(test_store_answer(&deposit, &other), PHOTA_ERROR);
    free(other.text);

    length = 200001;
    test_answer(&other, 1, &seed, &length);
    other.unpacked = answer.unpacked;
    other.unpacked.length = other.len;
    assert_int_equal(test_store_answer(&deposit, &other), PHOTA_ERROR);
    free(other.text);

    /* what was there is there, and no more */

    assert_int_equal(test_find(1, &result), PHOTA_OK);
    assert_int_equal(test_load(3, &result.pictures[0], 1), PHOTA_OK);
    test_stats(1, 1);
    assert_int_equal(test_entries(test_cache.charges), 1);

    answer.fail = 0;
    assert_int_equal(test_store_answer(&deposit, &answer), PHOTA_OK);
    test_stats(2, 2);
    free(answer.text);
}


static void
test_same_id(void **state)
{
    uint64_t         seed, length;
    test_answer_t    answer;
    phota_deposit_t  deposit, again;

    (void) state;

    seed = 1;
    length = 100000;
    test_answer(&answer, 1, &seed, &length);
    test_deposit(&deposit, 1, 3);
    again = deposit;

    assert_int_equal(test_store_answer(&deposit, &answer), PHOTA_OK);
    answer.calls = 0;
    assert_int_equal(test_store_answer(&again, &answer), PHOTA_OK);
    assert_int_equal(answer.calls, 0);
    assert_memory_equal(&again.result.key, &deposit.result.key,
                        sizeof(phota_cache_key_t));
    test_stats(1, 1);
    assert_int_equal(test_entries(test_cache.order), 1);

    free(answer.text);
}


/* a request and what an Idempotency-Key repeats: one picture, two results */

static void
test_two_deposits(void **state)
{
    MDB_txn          *txn;
    uint64_t          seed, length;
    unsigned          damaged;
    phota_kept_t      kept;
    test_answer_t     answer;
    phota_result_t    results[PHOTA_POOL_MAX], found;
    phota_deposit_t   deposits[2];

    (void) state;

    seed = 1;
    length = 100000;
    test_answer(&answer, 1, &seed, &length);
    test_deposit(&deposits[0], 1, 3);
    test_deposit(&deposits[1], 2, 3);

    assert_int_equal(phota_cache_store(&test_cache, deposits, 2, 0,
                                       &answer.unpacked, test_read, &answer,
                                       &test_err),
                     PHOTA_OK);
    test_stats(2, 1);
    assert_int_equal(test_entries(test_cache.charges), 1);
    assert_int_equal(test_entries(test_cache.chunks), 2);
    assert_int_equal(test_pool(1, 0, results, &damaged), 1);
    assert_int_equal(test_pool(2, 0, results, &damaged), 1);

    txn = test_begin(0);
    assert_int_equal(phota_kept_read(&test_cache, txn, 3,
                                     answer.unpacked.pictures[0].digest,
                                     &kept), 0);
    assert_int_equal(kept.refs, 2);
    assert_int_equal(phota_cache_find_charge(&test_cache, txn,
                                             &deposits[0].result.id, &found),
                     PHOTA_OK);
    assert_int_equal(phota_cache_find_charge(&test_cache, txn,
                                             &deposits[1].result.id, &found),
                     PHOTA_DECLINED);
    phota_store_abort(txn);

    /* once more in a scope of its own, and one with both */

    test_deposit(&deposits[0], 3, PHOTA_SHARED);
    test_deposit(&deposits[1], 4, 3);
    assert_int_equal(phota_cache_store(&test_cache, deposits, 2, 0,
                                       &answer.unpacked, test_read, &answer,
                                       &test_err),
                     PHOTA_OK);
    test_stats(4, 2);
    assert_int_equal(test_load(PHOTA_SHARED, &answer.unpacked.pictures[0], 1),
                     PHOTA_OK);

    test_empty();
    test_all_gone();
    free(answer.text);
}


/* all of them or none */

static void
test_together(void **state)
{
    unsigned          i, damaged;
    uint64_t          seed, length, max;
    test_answer_t     answers[3];
    phota_bought_t    all[3];
    phota_result_t    results[PHOTA_POOL_MAX];
    phota_deposit_t   deposits[3];

    (void) state;

    length = 100000;

    /* the third has the picture of the first */

    for (i = 0; i < 3; i++) {
        seed = 1 + i % 2;
        test_answer(&answers[i], 1, &seed, &length);
        test_deposit(&deposits[i], i, 3);

        all[i].deposits = &deposits[i];
        all[i].ndeposits = 1;
        all[i].bought = 0;
        all[i].unpacked = &answers[i].unpacked;
        all[i].read = test_read;
        all[i].ctx = &answers[i];
    }

    answers[1].fail = 70000;
    assert_int_equal(phota_cache_store_together(&test_cache, all, 3),
                     PHOTA_DECLINED);
    test_stats(0, 0);
    test_all_gone();
    answers[1].fail = 0;

    max = test_cache.max_size;
    test_cache.max_size = 250000;
    assert_int_equal(phota_cache_store_together(&test_cache, all, 3),
                     PHOTA_DECLINED);
    test_stats(0, 0);
    test_cache.max_size = max;

    assert_int_equal(phota_cache_store_together(&test_cache, all, 3),
                     PHOTA_OK);
    test_stats(3, 2);
    assert_int_equal(deposits[0].written, 1);
    assert_int_equal(deposits[1].written, 1);
    assert_int_equal(deposits[2].written, 0);
    assert_int_equal(test_entries(test_cache.charges), 3);

    for (i = 0; i < 3; i++) {
        assert_int_equal(test_pool(i, 0, results, &damaged), 1);
        assert_int_equal(test_load(3, &answers[i].unpacked.pictures[0],
                                   1 + i % 2),
                         PHOTA_OK);
        free(answers[i].text);
    }

    /* nor twice */

    assert_int_equal(phota_cache_store_together(&test_cache, all, 1),
                     PHOTA_OK);
    test_stats(3, 2);

    test_empty();
    test_all_gone();
}


static void
test_scopes(void **state)
{
    MDB_txn          *txn;
    uint64_t          seed, length;
    test_answer_t     answer;
    phota_deposit_t   deposit;
    phota_picture_t   picture;

    (void) state;

    seed = 1;
    length = 200000;
    test_answer(&answer, 1, &seed, &length);

    test_deposit(&deposit, 1, 3);
    assert_int_equal(test_store_answer(&deposit, &answer), PHOTA_OK);

    txn = test_begin(0);
    assert_int_equal(phota_cache_picture(&test_cache, txn, 4,
                                         answer.unpacked.pictures[0].digest,
                                         &picture),
                     PHOTA_DECLINED);
    phota_store_abort(txn);
    assert_int_equal(test_load(4, &answer.unpacked.pictures[0], 1),
                     PHOTA_DECLINED);

    /* the other's copy is its own */

    test_deposit(&deposit, 2, 4);
    assert_int_equal(test_store_answer(&deposit, &answer), PHOTA_OK);
    test_stats(2, 2);
    assert_int_equal(test_entries(test_cache.chunks), 8);

    /* and in one the same picture is held by many */

    test_deposit(&deposit, 3, 4);
    answer.calls = 0;
    assert_int_equal(test_store_answer(&deposit, &answer), PHOTA_OK);
    assert_int_equal(answer.calls, 0);
    test_stats(3, 2);

    free(answer.text);
}


static void
test_pools(void **state)
{
    uint32_t        i;
    unsigned        n, damaged;
    phota_result_t  stored[PHOTA_POOL_MAX + 3], results[PHOTA_POOL_MAX];

    (void) state;

    for (i = 0; i < PHOTA_POOL_MAX + 3; i++) {
        assert_int_equal(test_store_one(7, i, 1000, &stored[i]), PHOTA_OK);
        assert_int_equal(phota_get_be(stored[i].key.number, 4), i + 1);
        test_clock += 1000;
    }

    assert_int_equal(test_store_one(8, 50, 1000, &results[0]), PHOTA_OK);

    /* the oldest have left it; what they held is there for a while */

    n = test_pool(7, 0, results, &damaged);
    assert_int_equal(n, PHOTA_POOL_MAX);

    for (i = 0; i < n; i++) {
        test_same(&results[i], &stored[i + 3]);
    }

    test_stats(PHOTA_POOL_MAX + 4, PHOTA_POOL_MAX + 4);
    assert_int_equal(test_pool(7, stored[10].stored, results, &damaged), 9);
    test_same(&results[0], &stored[10]);
    assert_int_equal(damaged, 0);

    test_clock += TEST_GRACE + 1000;
    (void) test_sweep();
    test_stats(PHOTA_POOL_MAX + 1, PHOTA_POOL_MAX + 1);
    assert_int_equal(test_pool(7, 0, results, &damaged), PHOTA_POOL_MAX);
}


/* bought again on demand: what was stored before is no hit any more */

static void
test_replace(void **state)
{
    uint64_t         seed, length, linked;
    unsigned         damaged;
    test_answer_t    answer;
    phota_result_t   old, results[PHOTA_POOL_MAX];
    phota_deposit_t  deposit;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 100000, &old), PHOTA_OK);
    linked = phota_now() + 3600 * 1000;
    test_touch(&old, linked);

    test_clock += 5000;
    assert_int_equal(test_store_one(1, 2, 100000, &old), PHOTA_OK);

    test_clock += 5000;
    seed = 3;
    length = 100000;
    test_answer(&answer, 1, &seed, &length);
    test_deposit(&deposit, 1, 3);
    deposit.since = phota_now();
    assert_int_equal(test_store_answer(&deposit, &answer), PHOTA_OK);

    assert_int_equal(test_pool(1, 0, results, &damaged), 1);
    test_same(&results[0], &deposit.result);

    /* a link that is given this very moment counts, wherever it is now */

    test_touch(&old, linked);

    /* pictures stay as long as links to them were promised */

    test_clock += 3590 * 1000 - 10000;
    (void) test_sweep();
    test_stats(3, 3);
    assert_int_equal(test_load(3, &old.pictures[0], 2), PHOTA_OK);

    test_clock += 200 * 1000;
    (void) test_sweep();
    test_stats(1, 1);
    assert_int_equal(test_load(3, &old.pictures[0], 2), PHOTA_OK);

    test_clock += TEST_GRACE + 1000;
    (void) test_sweep();
    assert_int_equal(test_load(3, &old.pictures[0], 2), PHOTA_DECLINED);
    assert_int_equal(test_entries(test_cache.garbage), 0);
    assert_int_equal(test_load(3, &results[0].pictures[0], 3), PHOTA_OK);
    test_stats(1, 1);

    /* the charge that bought it bought it all the same */

    assert_int_equal(test_entries(test_cache.charges), 3);
    free(answer.text);
}


static void
test_marks(void **state)
{
    uint32_t         i;
    uint64_t         seed, length;
    unsigned         damaged;
    test_answer_t    answer;
    phota_result_t   results[PHOTA_POOL_MAX];
    phota_deposit_t  deposit;

    (void) state;

    seed = 1;
    length = 1000;
    test_answer(&answer, 1, &seed, &length);
    answer.unpacked.nmarks = 2;
    answer.unpacked.marks[0] = 99;
    answer.unpacked.marks[1] = 100;

    test_deposit(&deposit, 1, 3);
    assert_int_equal(test_store_answer(&deposit, &answer), PHOTA_OK);
    assert_int_equal(test_pool(1, 0, results, &damaged), 1);
    assert_int_equal(results[0].nmarks, 2);
    assert_int_equal(results[0].marks[1], 100);
    assert_int_equal(results[0].unmarked, 0);

    /* more than there is room for: then any may be in it */

    test_deposit(&deposit, 2, 3);

    for (i = 0; i < PHOTA_MARKS_MAX; i++) {
        deposit.result.marks[i] = 1000 + i;
    }

    deposit.result.nmarks = PHOTA_MARKS_MAX;
    assert_int_equal(test_store_answer(&deposit, &answer), PHOTA_OK);
    assert_int_equal(test_pool(2, 0, results, &damaged), 1);
    assert_int_equal(results[0].nmarks, PHOTA_MARKS_MAX);
    assert_int_equal(results[0].unmarked, 1);

    free(answer.text);
}


/* a picture in a body: there and back, and no other result is taken for it */

static void
test_body(void **state)
{
    size_t            len;
    u_char           *p, buf[PHOTA_RESULT_MAX];
    unsigned          damaged;
    test_answer_t     answer;
    phota_result_t    r, results[PHOTA_POOL_MAX];
    phota_deposit_t   deposit;

    (void) state;

    memset(&answer, 0, sizeof(answer));
    answer.text = malloc(200000);
    p = malloc(100000);
    assert_true(answer.text && p);

    test_picture(p, 100000, 7);
    test_append(&answer, "{\"status_code\":200,\"body\":\"");
    answer.len += phota_base64_encode(answer.text + answer.len, p, 100000);
    test_append(&answer, "\"}");
    free(p);

    assert_int_equal(phota_unpack(PHOTA_ANSWER_BODY, test_read, &answer,
                                  answer.len, &answer.unpacked, &test_err),
                     PHOTA_OK);

    test_deposit(&deposit, 1, 3);
    assert_int_equal(test_store_answer(&deposit, &answer), PHOTA_OK);
    assert_int_equal(test_pool(1, 0, results, &damaged), 1);
    assert_int_equal(phota_result_kind(&results[0]), PHOTA_ANSWER_BODY);
    assert_int_equal(results[0].npictures, 1);
    assert_int_equal(test_load(3, &results[0].pictures[0], 7), PHOTA_OK);

    r = results[0];
    r.skeleton = answer.unpacked.skeleton;
    r.subjects = answer.unpacked.subjects;
    len = sizeof(buf);
    assert_int_equal(phota_result_encode(&r, buf, &len), 0);

    r.images_at--;
    assert_int_not_equal(phota_result_encode(&r, buf, &len), 0);
    r.images_at = 0;
    assert_int_not_equal(phota_result_encode(&r, buf, &len), 0);
    r.images_at = r.skeleton_len;
    assert_int_not_equal(phota_result_encode(&r, buf, &len), 0);
    r.images_at = UINT32_MAX;
    assert_int_not_equal(phota_result_encode(&r, buf, &len), 0);

    r.images_at = results[0].images_at;
    r.counts_at = 1;
    assert_int_not_equal(phota_result_encode(&r, buf, &len), 0);
    r.counts_at = 0;
    r.urls_at = r.images_at;
    assert_int_not_equal(phota_result_encode(&r, buf, &len), 0);
    r.urls_at = 0;
    r.npictures = r.outputs = 2;
    r.pictures[1] = r.pictures[0];
    assert_int_not_equal(phota_result_encode(&r, buf, &len), 0);

    free(answer.text);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_sizes),
        TEST(test_whole_result),
        TEST(test_page_fit),
        TEST(test_too_large),
        TEST(test_read_fails),
        TEST(test_same_id),
        TEST(test_two_deposits),
        TEST(test_together),
        TEST(test_scopes),
        TEST(test_pools),
        TEST(test_replace),
        TEST(test_marks),
        TEST(test_body)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
