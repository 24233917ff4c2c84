
/*
 * cache: those who meet at it.  Of two who write it anew at once neither takes
 * what the other has made; a purge has waited for who was storing.
 */


#include <sys/resource.h>

#include "cached.h"


#define TEST_ROUNDS  15


/* on a disk that is full for this one only */

static pid_t
test_compact_start(int full)
{
    int            rc;
    pid_t          pid;
    uint64_t       before, after;
    struct rlimit  limit;

    (void) fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);

    if (pid != 0) {
        return pid;
    }

    if (full) {
        (void) signal(SIGXFSZ, SIG_IGN);
        limit.rlim_cur = limit.rlim_max = 300000;
        (void) setrlimit(RLIMIT_FSIZE, &limit);
    }

    rc = phota_cache_compact(test_dir, &before, &after, &test_err);

    if ((rc == PHOTA_OK) == full) {
        print_message("  compact: %d, %s\n", rc, test_err.text);
        (void) fflush(NULL);
    }

    _exit((rc == PHOTA_OK) == full);
}


/* both wait for the writer's lock when they begin */

static void
test_two_compacts(void **state)
{
    int         status;
    pid_t       pids[2];
    char        path[128];
    MDB_txn    *txn;
    unsigned    i, k;
    test_buy_t  buy;

    (void) state;

    memset(&buy, 0, sizeof(buy));

    for (i = 1; i <= 20; i++) {
        buy.n = i;
        buy.tenant = 1;
        buy.scope = 1;
        buy.seeds[0] = i;
        test_buy(&buy);
    }

    (void) snprintf(path, sizeof(path), "%s/cache.new", test_dir);

    for (i = 0; i < TEST_ROUNDS; i++) {
        assert_int_equal(phota_store_begin(&test_store, 1, &txn, &test_err),
                         PHOTA_OK);

        pids[0] = test_compact_start(1);
        pids[1] = test_compact_start(0);
        (void) usleep(10000);
        phota_store_abort(txn);

        for (k = 0; k < 2; k++) {
            assert_int_equal(waitpid(pids[k], &status, 0), pids[k]);
            assert_int_equal(status, 0);
        }

        phota_store_close(&test_store);
        test_open(0);
        assert_int_equal(test_entries(test_cache.results), 20);
        assert_int_equal(access(path, F_OK), -1);
    }

    test_sound();
}


static int
test_answer_slowly(void *ctx, u_char *buf, size_t len, uint64_t offset)
{
    if (offset == 0) {
        (void) usleep(300000);
    }

    return test_answer_read(ctx, buf, len, offset);
}


/* has the writer's lock while it reads the answer the second time */

static pid_t
test_store_slowly(uint32_t tenant)
{
    int                       ready[2];
    char                      byte;
    pid_t                     pid;
    test_buy_t                buy;
    test_answer_t             answer;
    static phota_deposit_t    deposit;
    static phota_unpacked_t   unpacked;

    assert_int_equal(pipe(ready), 0);
    (void) fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);

    if (pid != 0) {
        (void) close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        (void) close(ready[0]);
        (void) usleep(50000);

        return pid;
    }

    memset(&buy, 0, sizeof(buy));
    buy.seeds[0] = 5;

    test_open(0);
    test_answer_make(&answer, &buy);
    assert_int_equal(phota_unpack(PHOTA_ANSWER_IMAGES, test_answer_read,
                                  &answer, answer.len, &unpacked, &test_err),
                     PHOTA_OK);

    memset(&deposit, 0, sizeof(deposit));
    deposit.result.id.b[0] = 1;
    deposit.result.expires = phota_now() + TEST_MONTH;
    deposit.result.tenant = tenant;
    deposit.result.scope = tenant;

    (void) !write(ready[1], "", 1);

    _exit(phota_cache_store(&test_cache, &deposit, 1, 0, &unpacked,
                            test_answer_slowly, &answer, &test_err)
          != PHOTA_OK);
}


/* so that of two purges the second finds it */

static void
test_purge_waits(void **state)
{
    int            status;
    pid_t          pid;
    phota_purge_t  purge;

    (void) state;

    memset(&purge, 0, sizeof(purge));
    purge.tenant = 7;

    pid = test_store_slowly(7);

    assert_true(test_purge(&purge) == 0);
    assert_true(test_purge(&purge) == 1);

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(test_entries(test_cache.results), 0);
    test_sound();
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_two_compacts),
        TEST(test_purge_waits)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
