
/*
 * cache: purges by each of their conditions, across tenants and scopes; what
 * was purged is in no file after a compact; and whatever kills them leaves a
 * cache that is sound.
 */


#include <errno.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "cached.h"


#define TEST_MANY    300
#define TEST_ROUNDS  40
#define TEST_KILLED  150


static int  test_no_exchange;       /* the file system can't */


/* takes libc's place */

int
renameat2(int olddir, const char *old, int newdir, const char *new,
    unsigned flags)
{
    if (test_no_exchange) {
        errno = EINVAL;
        return -1;
    }

    return (int) syscall(SYS_renameat2, olddir, old, newdir, new, flags);
}


/* tenants 1 and 2 have scopes of their own, 3 and 4 share one */

static const test_buy_t  test_bought[] = {
    { .n = 1, .tenant = 1, .scope = 1, .seeds = { 11 }, .tag = "red",
      .stored = 1000000, .mark = 77 },
    { .n = 1, .tenant = 1, .scope = 1, .seeds = { 12, 13 } },
    { .n = 2, .tenant = 1, .scope = 1, .seeds = { 11, 14 }, .tag = "blue" },
    { .n = 3, .tenant = 2, .scope = 2, .seeds = { 11 }, .tag = "red" },
    { .n = 4, .tenant = 2, .scope = 2, .seeds = { 21 }, .mark = 77,
      .stored = 2000000 },
    { .n = 5, .tenant = 3, .scope = 0, .seeds = { 31, 32 } },
    { .n = 6, .tenant = 4, .scope = 0, .seeds = { 32, 33 }, .unmarked = 1 }
};


static void
test_buy_all(void)
{
    size_t  i;

    for (i = 0; i < sizeof(test_bought) / sizeof(test_bought[0]); i++) {
        test_buy(&test_bought[i]);
    }
}


static int
test_setup_bought(void **state)
{
    if (test_setup(state) != 0) {
        return -1;
    }

    test_buy_all();

    return 0;
}


/* a bit for each fingerprint that has a result */

static unsigned
test_left(void)
{
    unsigned  i, left;

    left = 0;

    for (i = 1; i <= 6; i++) {
        left |= (unsigned) test_has(i) << i;
    }

    return left;
}


#define BITS(a, b, c, d, e, f)                                                \
    (a << 1 | b << 2 | c << 3 | d << 4 | e << 5 | f << 6)


static void
test_by_tenant(void **state)
{
    phota_purge_t         purge = { .tenant = 1 };
    phota_cache_totals_t  totals;

    (void) state;

    assert_int_equal(test_left(), BITS(1, 1, 1, 1, 1, 1));
    assert_int_equal(test_purge(&purge), 3);
    assert_int_equal(test_left(), BITS(0, 0, 1, 1, 1, 1));
    assert_int_equal(test_purge(&purge), 0);
    test_sound();

    assert_int_equal(phota_cache_stats(&test_cache, &totals, &test_err),
                     PHOTA_OK);
    assert_true(totals.results == 4);
    assert_true(totals.pictures == 5);
    assert_true(totals.garbage != 0);

    test_sweep();
    test_sound();
    assert_int_equal(test_entries(test_cache.pictures), 5);

    /* a tenant of a shared scope: what another holds too stays */

    purge.tenant = 3;
    assert_int_equal(test_purge(&purge), 1);
    assert_int_equal(test_left(), BITS(0, 0, 1, 1, 0, 1));
    test_sweep();
    test_sound();
    assert_int_equal(test_entries(test_cache.pictures), 4);

    purge.tenant = 99;
    assert_int_equal(test_purge(&purge), 0);
}


static void
test_by_fingerprint(void **state)
{
    u_char         fingerprint[PHOTA_SHA256_LEN];
    phota_purge_t  purge = { .fingerprint = fingerprint };

    (void) state;

    test_fingerprint(fingerprint, 1);
    assert_int_equal(test_purge(&purge), 2);
    assert_int_equal(test_left(), BITS(0, 1, 1, 1, 1, 1));
    test_sound();

    test_fingerprint(fingerprint, 7);
    assert_int_equal(test_purge(&purge), 0);

    /* another's: both have to hold */

    purge.tenant = 1;
    test_fingerprint(fingerprint, 3);
    assert_int_equal(test_purge(&purge), 0);

    purge.tenant = 2;
    assert_int_equal(test_purge(&purge), 1);
    assert_int_equal(test_left(), BITS(0, 1, 0, 1, 1, 1));
    test_sound();
}


/* one with more profiles than are kept may have any of them */

static void
test_by_profile(void **state)
{
    phota_purge_t  purge = { .profile = 1, .mark = 77 };

    (void) state;

    assert_int_equal(test_purge(&purge), 3);
    assert_int_equal(test_left(), BITS(1, 1, 1, 0, 1, 0));
    test_sound();

    purge.mark = 78;
    assert_int_equal(test_purge(&purge), 0);
}


static void
test_by_tag(void **state)
{
    phota_purge_t  purge = { .tag = "red" };

    (void) state;

    purge.tenant = 2;
    assert_int_equal(test_purge(&purge), 1);
    assert_int_equal(test_left(), BITS(1, 1, 0, 1, 1, 1));

    purge.tenant = 0;
    assert_int_equal(test_purge(&purge), 1);
    assert_int_equal(test_left(), BITS(1, 1, 0, 1, 1, 1));

    purge.tag = "re";
    assert_int_equal(test_purge(&purge), 0);
    test_sound();
}


static void
test_by_age(void **state)
{
    phota_purge_t  purge = { .before = 1000000 };

    (void) state;

    assert_int_equal(test_purge(&purge), 0);

    purge.before = 1000001;
    assert_int_equal(test_purge(&purge), 1);
    assert_int_equal(test_left(), BITS(1, 1, 1, 1, 1, 1));

    purge.before = phota_now() - 3600000;
    assert_int_equal(test_purge(&purge), 1);
    assert_int_equal(test_left(), BITS(1, 1, 1, 0, 1, 1));
    test_sound();
}


static void
test_all(void **state)
{
    phota_purge_t         purge;
    phota_cache_totals_t  totals;

    (void) state;

    memset(&purge, 0, sizeof(purge));

    assert_int_equal(test_purge(&purge), 7);
    assert_int_equal(test_left(), 0);
    test_sound();

    test_sweep();
    test_sound();

    assert_int_equal(phota_cache_stats(&test_cache, &totals, &test_err),
                     PHOTA_OK);
    assert_true(totals.results == 0 && totals.pictures == 0
                && totals.bytes == 0 && totals.garbage == 0);
    assert_int_equal(test_entries(test_cache.chunks), 0);
    assert_int_equal(test_entries(test_cache.order), 0);
    assert_int_equal(test_entries(test_cache.expiry), 0);

    /* what was paid is known for recovery all the same */

    assert_int_equal(test_entries(test_cache.charges), 7);
}


/* one that can't be read is nobody's, and goes with any purge */

static void
test_damaged(void **state)
{
    u_char         key[sizeof(phota_cache_key_t)];
    MDB_txn       *txn;
    MDB_val        name, value;
    phota_purge_t  purge = { .tenant = 99 };

    (void) state;

    test_fingerprint(key, 3);
    phota_put_be(key + PHOTA_SHA256_LEN, 1, 4);

    name.mv_data = key;
    name.mv_size = sizeof(key);
    value.mv_data = "nothing";
    value.mv_size = 7;

    assert_int_equal(phota_store_begin(&test_store, 1, &txn, &test_err),
                     PHOTA_OK);
    assert_int_equal(mdb_put(txn, test_cache.results, &name, &value, 0), 0);
    assert_int_equal(phota_store_commit(txn, &test_err), PHOTA_OK);

    assert_int_equal(test_purge(&purge), 1);
    assert_int_equal(test_left(), BITS(1, 1, 0, 1, 1, 1));
}


/* many transactions, each of them bounded */

static void
test_many(void **state)
{
    unsigned       i;
    test_buy_t     buy;
    phota_purge_t  purge = { .tenant = 1 };

    (void) state;

    memset(&buy, 0, sizeof(buy));

    for (i = 1; i <= TEST_MANY; i++) {
        buy.n = i;
        buy.tenant = 1 + i % 3;
        buy.scope = buy.tenant;
        buy.seeds[0] = 1 + i % 7;
        test_buy(&buy);
    }

    assert_int_equal(test_purge(&purge), TEST_MANY / 3);
    test_sound();

    purge.tenant = 0;
    assert_int_equal(test_purge(&purge), TEST_MANY - TEST_MANY / 3);
    assert_int_equal(test_entries(test_cache.results), 0);
    test_sweep();
    test_sound();
}


static int
test_each_one(void *ctx, const phota_result_t *result)
{
    uint64_t  *sum = ctx;

    assert_non_null(result->skeleton);
    assert_true(memchr(result->skeleton, '{', result->skeleton_len) != NULL);

    *sum = *sum * 10 + phota_get_be(result->key.fingerprint, 4);

    return (*sum == 11) ? PHOTA_REFUSED : PHOTA_OK;
}


static void
test_each(void **state)
{
    uint64_t  sum;

    (void) state;

    sum = 9;
    assert_int_equal(phota_cache_each(&test_cache, 0, test_each_one, &sum,
                                      &test_err), PHOTA_OK);
    assert_true(sum == 91123456);

    sum = 0;
    assert_int_equal(phota_cache_each(&test_cache, 2, test_each_one, &sum,
                                      &test_err), PHOTA_OK);
    assert_true(sum == 34);

    sum = 0;
    assert_int_equal(phota_cache_each(&test_cache, 0, test_each_one, &sum,
                                      &test_err), PHOTA_REFUSED);
    assert_true(sum == 11);
}


static void
test_compact_now(void)
{
    uint64_t  before, after;

    phota_store_close(&test_store);

    if (phota_cache_compact(test_dir, &before, &after, &test_err)
        != PHOTA_OK)
    {
        fail_msg("%s", test_err.text);
    }

    assert_true(after != 0);
    test_open(0);
}


static void
test_erased(void **state)
{
    unsigned       i, n;
    phota_purge_t  purge = { .tenant = 1 };

    static const uint32_t  gone[] = { 12, 13, 14 };
    static const uint32_t  kept[] = { 11, 21, 31, 32, 33 };

    (void) state;

    for (i = 0; i < 3; i++) {
        assert_true(test_search(gone[i]) > 0);
    }

    assert_int_equal(test_purge(&purge), 3);

    /* not yet: bytes stay in pages that are free */

    n = 0;

    for (i = 0; i < 3; i++) {
        n += test_search(gone[i]);
    }

    assert_true(n > 0);

    /* garbage need not have been deleted before */

    test_compact_now();

    for (i = 0; i < 3; i++) {
        assert_int_equal(test_search(gone[i]), 0);
    }

    for (i = 0; i < 5; i++) {
        assert_true(test_search(kept[i]) > 0);
    }

    assert_int_equal(test_left(), BITS(0, 0, 1, 1, 1, 1));
    assert_int_equal(test_entries(test_cache.charges), 7);
    assert_int_equal(test_entries(test_cache.garbage), 0);
    test_sound();

    /* and it goes on */

    test_buy_all();
    assert_int_equal(test_left(), BITS(1, 1, 1, 1, 1, 1));

    purge.tenant = 0;
    (void) test_purge(&purge);
    test_sweep();
    test_compact_now();

    for (i = 0; i < 5; i++) {
        assert_int_equal(test_search(kept[i]), 0);
    }

    test_sound();
}


/* what a killed one leaves is no obstacle, what isn't its own is no victim */

static void
test_compact_leftovers(void **state)
{
    char      path[128];
    FILE     *file;
    uint64_t  before, after;

    (void) state;

    (void) snprintf(path, sizeof(path), "%s/cache.new", test_dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void) snprintf(path, sizeof(path), "%s/cache.new/cache", test_dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void) snprintf(path, sizeof(path), "%s/cache.new/cache/data.mdb",
                    test_dir);
    file = fopen(path, "w");
    assert_non_null(file);
    (void) fputs("half of it", file);
    (void) fclose(file);

    test_compact_now();
    assert_int_equal(test_left(), BITS(1, 1, 1, 1, 1, 1));
    test_sound();

    (void) snprintf(path, sizeof(path), "%s/cache.new", test_dir);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(mkdir(path, 0700), 0);
    (void) snprintf(path, sizeof(path), "%s/cache.new/1", test_dir);
    file = fopen(path, "w");
    assert_non_null(file);
    (void) fclose(file);
    (void) snprintf(path, sizeof(path), "%s/cache.new/mine", test_dir);
    file = fopen(path, "w");
    assert_non_null(file);
    (void) fclose(file);

    phota_store_close(&test_store);
    assert_int_equal(phota_cache_compact(test_dir, &before, &after,
                                         &test_err), PHOTA_ERROR);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(remove(path), 0);

    test_open(0);
    assert_int_equal(test_left(), BITS(1, 1, 1, 1, 1, 1));
    test_sound();
}


/* modes are the old one's; an environment that is open tells that it moved */

static void
test_compact_place(void **state)
{
    char           path[128];
    pid_t          pid;
    int            status;
    struct stat    st;
    uint64_t       before, after;
    phota_purge_t  purge;

    (void) state;

    (void) snprintf(path, sizeof(path), "%s/cache", test_dir);
    assert_int_equal(chmod(path, 0750), 0);

    assert_int_equal(phota_store_moved(&test_store), 0);

    (void) fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        _exit(phota_cache_compact(test_dir, &before, &after, NULL)
              != PHOTA_OK);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);

    assert_int_equal(phota_store_moved(&test_store), 1);

    /* what is open is whole and can be read to the end */

    assert_int_equal(test_left(), BITS(1, 1, 1, 1, 1, 1));
    test_sound();

    /* but nothing can be removed from it any more */

    memset(&purge, 0, sizeof(purge));
    assert_int_equal(phota_cache_purge(&test_cache, &purge, &before,
                                       &test_err), PHOTA_REFUSED);
    assert_true(before == 0);

    phota_store_close(&test_store);
    test_open(0);
    assert_int_equal(phota_store_moved(&test_store), 0);
    assert_int_equal(test_left(), BITS(1, 1, 1, 1, 1, 1));

    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
    (void) snprintf(path, sizeof(path), "%s/cache/data.mdb", test_dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    test_sound();
}


/* what can't be done leaves all as it was, and nothing beside */

static void
test_compact_fails(void **state)
{
    char           path[128];
    int            rc, status;
    pid_t          pid;
    uint64_t       before, after;
    struct rlimit  limit;

    (void) state;

    phota_store_close(&test_store);
    (void) snprintf(path, sizeof(path), "%s/cache.new", test_dir);

    test_no_exchange = 1;
    rc = phota_cache_compact(test_dir, &before, &after, &test_err);
    test_no_exchange = 0;

    assert_int_equal(rc, PHOTA_REFUSED);
    assert_non_null(strstr(test_err.text, "can't exchange"));
    assert_int_equal(access(path, F_OK), -1);

    /* as on a disk that is full */

    (void) fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        (void) signal(SIGXFSZ, SIG_IGN);
        limit.rlim_cur = limit.rlim_max = 300000;
        (void) setrlimit(RLIMIT_FSIZE, &limit);
        _exit(phota_cache_compact(test_dir, &before, &after, &test_err)
              != PHOTA_ERROR);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(access(path, F_OK), -1);

    test_open(0);
    assert_int_equal(test_left(), BITS(1, 1, 1, 1, 1, 1));
    test_sound();
}


/*
 * Another buys all the while, and asks as nginx does whether it has bought into
 * what was replaced: nothing that it has told of is lost.
 */

static void
test_compact_beside(void **state)
{
    int         told, status, pipes[2];
    pid_t       pid;
    unsigned    i, n, rounds, bought;
    uint64_t    before, after;
    test_buy_t  buy;

    (void) state;

    phota_store_close(&test_store);
    assert_int_equal(pipe(pipes), 0);

    (void) fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        memset(&buy, 0, sizeof(buy));
        test_open(0);

        for (i = 10; ; i++) {
            buy.n = i;
            buy.tenant = 5;
            buy.scope = 5;
            buy.seeds[0] = 1 + i % 31;

            test_buy(&buy);

            while (phota_store_moved(&test_store)) {
                phota_store_close(&test_store);
                test_open(0);
                test_buy(&buy);
            }

            (void) !write(pipes[1], &i, sizeof(i));
        }
    }

    told = 0;

    for (i = 0; i < TEST_ROUNDS || told < 20 * (int) sizeof(i); i++) {
        assert_int_equal(ioctl(pipes[0], FIONREAD, &told), 0);

        if (phota_cache_compact(test_dir, &before, &after, &test_err)
            != PHOTA_OK)
        {
            (void) kill(pid, SIGKILL);
            fail_msg("%s", test_err.text);
        }

        (void) usleep(5000);
    }

    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    (void) kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);

    test_open(0);
    test_sound();

    n = 0;
    rounds = i;
    (void) close(pipes[1]);

    while (read(pipes[0], &bought, sizeof(bought)) == sizeof(bought)) {
        assert_true(test_has(bought));
        n++;
    }

    (void) close(pipes[0]);
    print_message("  %u bought during %u compacts\n", n, rounds);
    assert_true(n != 0);
}


/* a process of its own that does it until it is killed */

static void
test_kill(int compact, unsigned us)
{
    int            status;
    u_char         fingerprint[PHOTA_SHA256_LEN];
    pid_t          pid;
    uint64_t       n, before, after;
    unsigned       i;
    phota_purge_t  purge;

    phota_store_close(&test_store);

    (void) fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        memset(&purge, 0, sizeof(purge));

        if (compact) {
            for ( ;; ) {
                if (phota_cache_compact(test_dir, &before, &after, NULL)
                    != PHOTA_OK)
                {
                    _exit(1);
                }
            }
        }

        test_open(0);

        /* one after the other, so that there are many moments to die at */

        for (i = 1; i <= TEST_KILLED; i++) {
            test_fingerprint(fingerprint, i);
            purge.fingerprint = (i % 50) ? fingerprint : NULL;
            purge.tenant = (i % 50) ? 0 : 1;
            (void) phota_cache_purge(&test_cache, &purge, &n, NULL);

            if (i % 25 == 0) {
                test_sweep();
            }
        }

        _exit(0);
    }

    (void) usleep(us);
    (void) kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);

    if (compact) {
        assert_true(WIFSIGNALED(status));
    }

    test_open(0);
}


static void
test_killed_purge(void **state)
{
    size_t      left;
    unsigned    i, round, broken;
    test_buy_t  buy;

    (void) state;

    memset(&buy, 0, sizeof(buy));
    srandom(7);
    broken = 0;

    for (round = 0; round < TEST_ROUNDS; round++) {

        for (i = 1; i <= TEST_KILLED; i++) {
            buy.n = i;
            buy.tenant = 1 + i % 3;
            buy.scope = i % 2;
            buy.seeds[0] = 1 + (round + i) % 23;
            buy.seeds[1] = 1 + i % 11;

            if (!test_has(i)) {
                test_buy(&buy);
            }
        }

        test_kill(0, 500 + (unsigned) random() % 15000);

        left = test_entries(test_cache.results);
        broken += (left != 0 && left < TEST_KILLED);
        test_sound();
    }

    print_message("  %u of %u purges were broken off\n", broken, TEST_ROUNDS);
    assert_true(broken != 0);
}


static void
test_killed_compact(void **state)
{
    char      path[128];
    unsigned  round, beside;

    (void) state;

    srandom(8);
    beside = 0;

    (void) snprintf(path, sizeof(path), "%s/cache.new", test_dir);

    for (round = 0; round < 3 * TEST_ROUNDS; round++) {
        test_kill(1, 500 + (unsigned) random() % 30000);

        beside += (access(path, F_OK) == 0);
        assert_int_equal(test_left(), BITS(1, 1, 1, 1, 1, 1));
        test_sound();
    }

    print_message("  %u of %u compacts left something beside\n", beside,
                  3 * TEST_ROUNDS);

    test_compact_now();
    assert_int_equal(access(path, F_OK), -1);
    test_sound();
}


#define BOUGHT(name)                                                          \
    cmocka_unit_test_setup_teardown(name, test_setup_bought, test_teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        BOUGHT(test_by_tenant),
        BOUGHT(test_by_fingerprint),
        BOUGHT(test_by_profile),
        BOUGHT(test_by_tag),
        BOUGHT(test_by_age),
        BOUGHT(test_all),
        BOUGHT(test_damaged),
        BOUGHT(test_each),
        BOUGHT(test_erased),
        BOUGHT(test_compact_leftovers),
        BOUGHT(test_compact_place),
        BOUGHT(test_compact_fails),
        BOUGHT(test_compact_beside),
        BOUGHT(test_killed_compact),
        TEST(test_many),
        TEST(test_killed_purge)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
