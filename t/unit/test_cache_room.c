
/*
 * cache: what expires, what goes for want of room, and that nothing is pulled
 * away that is being sent.
 */


#include <pthread.h>
#include <sys/stat.h>

#include "results.h"


static void
test_expire(void **state)
{
    MDB_txn         *txn;
    unsigned         i;
    phota_result_t   result, found;
    phota_picture_t  picture;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 5 << 20, &result), PHOTA_OK);
    assert_int_equal(test_store_one(2, 2, 5 << 20, &result), PHOTA_OK);

    test_clock += TEST_MONTH - 120000;
    assert_int_equal(test_find(1, &found), PHOTA_OK);

    test_clock += 240000;
    assert_int_equal(test_find(1, &found), PHOTA_DECLINED);
    test_stats(2, 2);

    /* no hit any more, but there for who has just seen it */

    assert_int_equal(test_sweep(), 1);
    test_stats(0, 0);
    assert_int_equal(test_load(3, &result.pictures[0], 2), PHOTA_OK);

    txn = test_begin(0);
    assert_int_equal(phota_cache_picture(&test_cache, txn, 3,
                                         result.pictures[0].digest, &picture),
                     PHOTA_DECLINED);
    phota_store_abort(txn);

    /* 162 chunks, 64 at a time */

    test_clock += TEST_GRACE + 1000;
    assert_int_equal(test_sweep(), 3);
    test_all_gone();

    for (i = 0; i < 2; i++) {
        assert_int_equal(test_sweep(), 1);
    }
}


static void
test_linked(void **state)
{
    uint64_t        until;
    phota_result_t  result, found;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 100000, &result), PHOTA_OK);

    until = result.expires + 86400 * 1000;

    test_clock += TEST_MONTH - 60000;
    assert_int_equal(test_find(1, &found), PHOTA_OK);
    test_touch(&found, until);

    test_clock += 120000;
    (void) test_sweep();
    assert_int_equal(test_find(1, &found), PHOTA_DECLINED);
    test_stats(1, 1);
    assert_int_equal(test_load(3, &result.pictures[0], 1), PHOTA_OK);

    /* the clock of the links is kept: no other touch moves it back */

    test_touch(&result, 5);

    test_clock += 86400 * 1000 - 120000;
    (void) test_sweep();
    assert_int_equal(test_load(3, &result.pictures[0], 1), PHOTA_OK);

    test_clock += 240000;
    (void) test_sweep();
    test_clock += TEST_GRACE + 1000;
    (void) test_sweep();
    assert_int_equal(test_load(3, &result.pictures[0], 1), PHOTA_DECLINED);
    assert_int_equal(test_entries(test_cache.expiry), 0);
    assert_int_equal(test_entries(test_cache.order), 0);
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

    test_empty();
    assert_int_equal(test_entries(test_cache.results), 0);
    assert_int_equal(test_entries(test_cache.charges), 200);

    test_clock += 2 * 86400000ll - TEST_GRACE - 60 * 1000;
    (void) test_sweep();

    txn = test_begin(0);
    assert_int_equal(phota_cache_find_charge(&test_cache, txn, &first.id,
                                             &found),
                     PHOTA_OK);
    phota_store_abort(txn);
    assert_int_equal(found.outputs, 1);

    test_clock += 120 * 1000;
    assert_int_equal(test_store_one(0, 0, 100, &result), PHOTA_OK);

    assert_int_equal(phota_cache_sweep(&test_cache, phota_now(), &more,
                                       &test_err),
                     PHOTA_OK);
    assert_int_equal(more, 1);
    assert_int_equal(test_entries(test_cache.charges), 201 - 64);

    (void) test_sweep();
    assert_int_equal(test_entries(test_cache.charges), 1);
}


static void
test_evict(void **state)
{
    uint32_t              i;
    uint64_t              now;
    phota_use_t           uses[2];
    phota_result_t        results[16], found;
    phota_cache_totals_t  totals;

    (void) state;

    for (i = 0; i < 14; i++) {
        assert_int_equal(test_store_one(i, i, 1 << 20, &results[i]),
                         PHOTA_OK);
        test_clock += 1000;
    }

    (void) test_sweep();
    test_stats(14, 14);

    /* 0 and 1 are the oldest; 0 is used, within a minute it isn't noted */

    memset(uses, 0, sizeof(uses));
    uses[0].key = results[0].key;
    uses[0].id = results[0].id;
    uses[1].key = results[0].key;
    uses[1].key.number[3] = 9;
    now = phota_now();

    assert_int_equal(phota_cache_touch(&test_cache, uses, 2,
                                       results[0].stored + 59000, &test_err),
                     PHOTA_OK);
    assert_int_equal(test_find(0, &found), PHOTA_OK);
    assert_true(found.used == results[0].used);

    test_clock += 60000;
    now = phota_now();
    assert_int_equal(phota_cache_touch(&test_cache, uses, 2, now, &test_err),
                     PHOTA_OK);
    assert_int_equal(test_find(0, &found), PHOTA_OK);
    assert_true(found.used == now);
    assert_int_equal(test_entries(test_cache.order), 14);

    /* the order is the file's, not the process's */

    phota_store_close(&test_store);
    test_open(TEST_MAX, 0, 0);

    for (i = 14; i < 17; i++) {
        test_clock += 1000;
        assert_int_equal(test_store_one(i, i, 1 << 20, &found), PHOTA_OK);
        (void) test_sweep();
    }

    assert_int_equal(test_find(1, &found), PHOTA_DECLINED);
    assert_int_equal(test_find(2, &found), PHOTA_DECLINED);
    assert_int_equal(test_find(0, &found), PHOTA_OK);
    assert_int_equal(test_find(16, &found), PHOTA_OK);

    test_totals(&totals);
    assert_true(totals.bytes <= TEST_MAX);
    assert_int_equal(totals.results, totals.pictures);
}


/* LRU never takes more than it must, and all of it goes at most once */

static void
test_evict_bounds(void **state)
{
    uint32_t              i;
    phota_result_t        result;
    phota_cache_totals_t  totals;

    (void) state;

    for (i = 0; i < 60; i++) {
        test_clock += 20000;
        assert_int_equal(test_store_one(i, i, 400000 + 50000 * (i % 7),
                                        &result),
                         PHOTA_OK);
        (void) test_sweep();

        test_totals(&totals);
        assert_true(totals.bytes + totals.garbage <= TEST_MAX);

        if (i > 40) {
            assert_true(totals.bytes >= TEST_MAX / 10 * 8);
        }
    }

    test_stats(totals.results, totals.pictures);
}


static void
test_sent(void **state)
{
    int              more;
    unsigned         i;
    phota_result_t   results[8];

    (void) state;

    for (i = 0; i < 8; i++) {
        assert_int_equal(test_store_one(i, i, 100000, &results[i]), PHOTA_OK);
    }

    /* the first four are being sent for a minute */

    for (i = 0; i < 4; i++) {
        phota_beat(&test_beats, results[i].pictures[0].digest,
                   (uint32_t) (phota_now() / 1000) + 60);
    }

    test_cache.max_size = 0;
    (void) test_sweep();
    test_stats(0, 0);

    for (i = 0; i < 8; i++) {
        assert_int_equal(test_load(3, &results[i].pictures[0], i), PHOTA_OK);
    }

    /* they stay, hide nothing that lies behind them and spin nobody */

    test_clock += TEST_GRACE + 1000;
    assert_int_equal(phota_cache_sweep(&test_cache, phota_now(), &more,
                                       &test_err),
                     PHOTA_OK);
    assert_int_equal(more, 0);
    assert_int_equal(test_entries(test_cache.garbage), 4);

    for (i = 0; i < 8; i++) {
        assert_int_equal(test_load(3, &results[i].pictures[0], i),
                         (i < 4) ? PHOTA_OK : PHOTA_DECLINED);
    }

    test_clock += 60 * 1000;
    (void) test_sweep();
    test_all_gone();
}


/* what is being sent takes room that others need: more of these go */

static void
test_sent_crowds(void **state)
{
    uint32_t              i;
    phota_result_t        results[15], result;
    phota_cache_totals_t  totals;

    (void) state;

    for (i = 0; i < 14; i++) {
        assert_int_equal(test_store_one(i, i, 1 << 20, &results[i]),
                         PHOTA_OK);
        test_clock += 1000;
    }

    for (i = 0; i < 6; i++) {
        phota_beat(&test_beats, results[i].pictures[0].digest,
                   (uint32_t) (phota_now() / 1000) + 3600);
    }

    for (i = 20; i < 40; i++) {
        assert_int_equal(test_store_one(i, i, 1 << 20, &result), PHOTA_OK);
        test_clock += 15000;
        (void) test_sweep();
        test_totals(&totals);
        assert_true(totals.bytes + totals.garbage <= TEST_MAX / 10 * 11);
    }

    assert_true(totals.garbage >= 6 << 20);

    for (i = 0; i < 6; i++) {
        assert_int_equal(test_load(3, &results[i].pictures[0], i), PHOTA_OK);
    }

    /* all of it is: then nothing can be stored, and nobody is cut off */

    test_cache.max_size = 6 << 20;
    (void) test_sweep();
    test_clock += TEST_GRACE + 1000;
    (void) test_sweep();

    assert_int_equal(test_store_one(50, 50, 1 << 20, &result),
                     PHOTA_DECLINED);
    assert_non_null(strstr(test_err.text, "being sent"));

    test_clock += 3600 * 1000;
    assert_int_equal(test_store_one(50, 50, 1 << 20, &result), PHOTA_OK);
    (void) test_sweep();
    assert_int_equal(test_entries(test_cache.garbage), 0);
}


/* stored again before it was collected: it comes back to life */

static void
test_revive(void **state)
{
    phota_result_t        result, again;
    phota_cache_totals_t  totals;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 300000, &result), PHOTA_OK);

    test_cache.max_size = 0;
    (void) test_sweep();
    test_cache.max_size = TEST_MAX;

    test_totals(&totals);
    assert_int_equal(totals.pictures, 0);
    assert_int_equal(totals.bytes, 0);
    assert_int_equal(totals.garbage, phota_picture_size(300000));

    assert_int_equal(test_store_one(2, 1, 300000, &again), PHOTA_OK);
    test_totals(&totals);
    assert_int_equal(totals.garbage, 0);
    assert_int_equal(test_entries(test_cache.garbage), 0);

    test_clock += TEST_GRACE + 1000;
    (void) test_sweep();
    test_stats(1, 1);
    assert_int_equal(test_load(3, &again.pictures[0], 1), PHOTA_OK);

    test_empty();
    test_all_gone();
}


/* half of its chunks were deleted when it is bought again */

static void
test_revive_half(void **state)
{
    int              more;
    phota_result_t   result, again;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 6 << 20, &result), PHOTA_OK);

    test_cache.max_size = 0;
    (void) test_sweep();
    test_clock += TEST_GRACE + 1000;
    assert_int_equal(phota_cache_sweep(&test_cache, phota_now(), &more,
                                       &test_err),
                     PHOTA_OK);
    assert_int_equal(more, 1);
    test_cache.max_size = TEST_MAX;

    assert_int_equal(test_load(3, &result.pictures[0], 1), PHOTA_DECLINED);
    assert_int_equal(test_store_one(2, 1, 6 << 20, &again), PHOTA_OK);
    assert_int_equal(test_load(3, &again.pictures[0], 1), PHOTA_OK);
    test_stats(1, 1);

    test_empty();
    test_all_gone();
}


/* somebody reads an old state all the time: the map fills up, and no more */

static void
test_map_full(void **state)
{
    int             rc;
    uint32_t        i, tries;
    MDB_txn        *reader;
    phota_result_t  result, found;

    (void) state;

    phota_store_close(&test_store);
    (void) test_teardown(NULL);
    memcpy(test_dir, "/tmp/phota-cache.XXXXXX",
           sizeof("/tmp/phota-cache.XXXXXX"));
    assert_non_null(mkdtemp(test_dir));
    test_open(64 << 20, 16 << 20, PHOTA_STORE_CREATE);

    reader = NULL;
    tries = 0;
    rc = PHOTA_OK;

    for (i = 0; rc == PHOTA_OK; i++) {
        rc = test_store_one(i, i, 1 << 20, &result);

        if (i == 2) {
            reader = test_begin(0);
        }

        test_clock += 1000;
        assert_true(i < 100);
    }

    assert_int_equal(rc, PHOTA_ERROR);
    assert_true(test_cache.full != 0);

    /* tried once in a minute, and what is left is whole */

    for (tries = 0; tries < 3; tries++) {
        assert_int_equal(test_store_one(200, 200, 1 << 20, &result),
                         PHOTA_ERROR);
    }

    for (i = 0; i < 100; i++) {
        if (test_find(i, &found) == PHOTA_OK) {
            assert_int_equal(test_load(3, &found.pictures[0], i), PHOTA_OK);
        }
    }

    phota_store_abort(reader);
    test_clock += 61000;
    assert_int_equal(test_store_one(201, 201, 1 << 20, &result), PHOTA_OK);
    assert_int_equal(test_load(3, &result.pictures[0], 201), PHOTA_OK);
}


static int
test_read_and_die(void *ctx, u_char *buf, size_t len, uint64_t offset)
{
    if (offset > 1 << 20) {
        _exit(7);
    }

    return test_read(ctx, buf, len, offset);
}


/* as by kill -9, in the middle of a store: nothing of it is there */

static void
test_killed(void **state)
{
    int              status;
    pid_t            pid;
    uint64_t         seed, length;
    phota_result_t   result;
    phota_deposit_t  deposit;

    static test_answer_t  answer;   /* the child leaves it behind */

    (void) state;

    assert_int_equal(test_store_one(1, 1, 1 << 20, &result), PHOTA_OK);
    phota_store_close(&test_store);

    seed = 2;
    length = 3 << 20;
    test_answer(&answer, 1, &seed, &length);

    pid = fork();
    assert_true(pid != -1);

    if (pid == 0) {
        test_open(TEST_MAX, 0, 0);
        test_deposit(&deposit, 2, 3);
        (void) phota_cache_store(&test_cache, &deposit, 1, 0,
                                 &answer.unpacked, test_read_and_die, &answer,
                                 &test_err);
        _exit(8);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);

    test_open(TEST_MAX, 0, 0);
    test_stats(1, 1);
    assert_int_equal(test_find(2, &result), PHOTA_DECLINED);
    assert_int_equal(test_find(1, &result), PHOTA_OK);
    assert_int_equal(test_load(3, &result.pictures[0], 1), PHOTA_OK);

    assert_int_equal(test_store_one(2, 2, 3 << 20, &result), PHOTA_OK);
    assert_int_equal(test_load(3, &result.pictures[0], 2), PHOTA_OK);
    test_stats(2, 2);

    free(answer.text);
}


/* random sizes at the limit: the file is bounded, not only what is in it */

static void
test_growth(void **state)
{
    char            path[256];
    uint32_t        i, x;
    struct stat     st;
    phota_result_t  result;

    (void) state;

    phota_store_close(&test_store);
    test_open(64 << 20, 0, 0);

    x = 1;

    for (i = 0; i < 150; i++) {
        x = x * 1664525 + 1013904223;
        assert_int_equal(test_store_one(i, i, 200000 + x % 5800000, &result),
                         PHOTA_OK);
        test_clock += 60000;
        (void) test_sweep();
    }

    (void) snprintf(path, sizeof(path), "%s/cache/data.mdb", test_dir);
    assert_int_equal(stat(path, &st), 0);
    print_message("file: %.3f of the limit\n",
                  (double) st.st_blocks * 512 / (64 << 20));
    assert_true(st.st_blocks * 512 <= (64 << 20) / 10 * 11);
}


/* another has the writer's lock, and the clock goes on meanwhile */

static void *
test_minute_later(void *ctx)
{
    (void) ctx;

    (void) usleep(100000);
    test_clock += 60 * 1000;

    return NULL;
}


/* what goes has its grace from when it goes, however long others took */

static void
test_late(void **state)
{
    int              status, ready[2];
    char             byte;
    pid_t            pid;
    pthread_t        thread;
    test_answer_t    answer;
    phota_result_t   result;
    phota_deposit_t  deposit;
    const uint64_t   seed = 2, len = 100000;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 100000, &result), PHOTA_OK);

    assert_int_equal(pipe(ready), 0);
    (void) fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        test_open(TEST_MAX, phota_cache_map(TEST_MAX), 0);
        (void) test_begin(1);
        (void) !write(ready[1], "", 1);
        (void) usleep(300000);
        _exit(0);
    }

    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(pthread_create(&thread, NULL, test_minute_later, NULL),
                     0);

    test_answer(&answer, 1, &seed, &len);
    test_deposit(&deposit, 1, 3);
    deposit.since = UINT64_MAX;
    assert_int_equal(test_store_answer(&deposit, &answer), PHOTA_OK);
    free(answer.text);

    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void) close(ready[0]);
    (void) close(ready[1]);

    (void) test_sweep();
    assert_int_equal(test_entries(test_cache.results), 2);

    test_clock += TEST_GRACE + 1000;
    (void) test_sweep();
    assert_int_equal(test_entries(test_cache.results), 1);
}


/* who reads slowly keeps what has gone, and what shares its slot, an hour */

static void
test_sent_for_ever(void **state)
{
    unsigned        minute;
    phota_result_t  result;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 100000, &result), PHOTA_OK);
    phota_beat(&test_beats, result.pictures[0].digest,
               (uint32_t) (phota_now() / 1000) + 90);
    test_empty();

    for (minute = 0; minute < 70; minute++) {
        phota_beat(&test_beats, result.pictures[0].digest,
                   (uint32_t) (phota_now() / 1000) + 90);
        (void) test_sweep();

        assert_int_equal(test_load(3, &result.pictures[0], 1),
                         (minute <= 59) ? PHOTA_OK : PHOTA_DECLINED);
        test_clock += 60 * 1000;
    }

    test_all_gone();
}


/* what was said while the clock was a year ahead holds nothing up after it */

static void
test_clock_back(void **state)
{
    phota_result_t  result;

    (void) state;

    test_clock = 365 * 86400000ll;

    assert_int_equal(test_store_one(1, 1, 100000, &result), PHOTA_OK);
    phota_beat(&test_beats, result.pictures[0].digest,
               (uint32_t) (phota_now() / 1000) + 60);
    test_cache.max_size = 0;
    (void) test_sweep();
    assert_true(test_entries(test_cache.garbage) != 0);

    test_clock = 0;
    (void) test_sweep();
    test_cache.max_size = TEST_MAX;
    test_all_gone();

    /* and its slot is good for what is sent now */

    assert_int_equal(test_store_one(1, 1, 100000, &result), PHOTA_OK);
    phota_beat(&test_beats, result.pictures[0].digest,
               (uint32_t) (phota_now() / 1000) + 60);
    test_empty();
    assert_int_equal(test_load(3, &result.pictures[0], 1), PHOTA_OK);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_expire),
        TEST(test_linked),
        TEST(test_charges),
        TEST(test_evict),
        TEST(test_evict_bounds),
        TEST(test_sent),
        TEST(test_sent_crowds),
        TEST(test_late),
        TEST(test_sent_for_ever),
        TEST(test_clock_back),
        TEST(test_revive),
        TEST(test_revive_half),
        TEST(test_map_full),
        TEST(test_killed),
        TEST(test_growth)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
