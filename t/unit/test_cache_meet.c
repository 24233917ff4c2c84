
/*
 * cache: those who meet at it.  Of two who write it anew at once neither takes
 * what the other has made.
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


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_two_compacts)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
