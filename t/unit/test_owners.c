
/*
 * owners: who is alive, what a killed writer leaves behind, and two that write
 * at once.  Real processes.
 */


#include "books.h"

#include <sys/resource.h>


/* a process that owns a slot and holds; told by a byte, ended by SIGKILL */

static pid_t
test_child_holder(phota_id_t *id)
{
    int              fds[2];
    pid_t            pid;
    MDB_txn         *txn;
    phota_store_t    store;
    phota_ledger_t   ledger;
    phota_charge_t   charge;

    assert_int_equal(pipe(fds), 0);

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        test_charge(&charge, 1, 0, 1);

        if (phota_store_open(&store, test_dir, "books", PHOTA_BOOKS_SCHEMA,
                             TEST_MAP, 0, NULL) != PHOTA_OK
            || phota_ledger_open(&ledger, &store, NULL) != PHOTA_OK
            || phota_ledger_own(&ledger, NULL) != PHOTA_OK
            || phota_store_begin(&store, 1, &txn, NULL) != PHOTA_OK
            || phota_ledger_hold(&ledger, txn, &charge, NULL, NULL) != PHOTA_OK
            || phota_store_commit(txn, NULL) != PHOTA_OK
            || write(fds[1], &charge.id, sizeof(phota_id_t))
               != sizeof(phota_id_t))
        {
            _exit(1);
        }

        for ( ;; ) {
            (void) pause();
        }
    }

    assert_int_equal(read(fds[0], id, sizeof(phota_id_t)),
                     sizeof(phota_id_t));
    (void) close(fds[0]);
    (void) close(fds[1]);

    return pid;
}


static void
test_kill(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}


static void
test_listed(const test_list_t *list, const phota_id_t *id, unsigned state,
    unsigned reason)
{
    unsigned  i;

    for (i = 0; i < list->n; i++) {
        if (memcmp(&list->charges[i].id, id, sizeof(phota_id_t)) == 0) {
            assert_int_equal(list->charges[i].state, state);
            assert_int_equal(list->charges[i].reason, reason);
            return;
        }
    }

    fail_msg("a charge is not listed");
}


static void
test_reads_as(const phota_id_t *id, unsigned state, unsigned reason)
{
    MDB_txn      *txn;
    test_list_t  *list;

    list = calloc(1, sizeof(test_list_t));
    assert_non_null(list);

    txn = test_begin(0);
    assert_int_equal(phota_ledger_each_open(&test_ledger, txn, test_collect,
                                            list, &test_err),
                     PHOTA_OK);
    phota_store_abort(txn);

    test_listed(list, id, state, reason);

    list->n = 0;
    assert_int_equal(phota_ledger_each(&test_ledger, 0, 0, test_collect, list,
                                       &test_err),
                     PHOTA_OK);

    test_listed(list, id, state, reason);
    free(list);
}


static void
test_owners(void **state)
{
    pid_t            one, two;
    MDB_txn         *txn;
    phota_id_t       first, second, third;
    phota_owner_t    gone;
    phota_charge_t   charge;

    (void) state;

    assert_int_equal(test_ledger.self.slot, 0);
    assert_true(test_ledger.self.epoch == 1);

    one = test_child_holder(&first);
    two = test_child_holder(&second);

    test_reads_as(&first, PHOTA_STATE_HELD, PHOTA_REASON_NONE);
    test_reads_as(&second, PHOTA_STATE_HELD, PHOTA_REASON_NONE);

    txn = test_begin(0);
    assert_int_equal(phota_ledger_get(&test_ledger, txn, &first, &charge),
                     PHOTA_OK);
    gone = charge.owner;
    assert_int_equal(gone.slot, 1);
    assert_true(gone.epoch == 2);
    phota_store_abort(txn);

    test_kill(one);

    test_reads_as(&first, PHOTA_STATE_UNKNOWN, PHOTA_REASON_ABANDONED);
    test_reads_as(&second, PHOTA_STATE_HELD, PHOTA_REASON_NONE);

    txn = test_begin(0);
    assert_int_equal(phota_ledger_get(&test_ledger, txn, &first, &charge),
                     PHOTA_OK);
    assert_int_equal(charge.state, PHOTA_STATE_HELD);
    phota_store_abort(txn);

    /* its slot is taken again, its holds are not */

    one = test_child_holder(&third);

    txn = test_begin(0);
    assert_int_equal(phota_ledger_get(&test_ledger, txn, &third, &charge),
                     PHOTA_OK);
    assert_int_equal(charge.owner.slot, gone.slot);
    assert_true(charge.owner.epoch == 4);
    assert_int_equal(phota_ledger_alive(&test_ledger, txn, &charge.owner), 1);
    assert_int_equal(phota_ledger_alive(&test_ledger, txn, &gone), 0);
    assert_int_equal(phota_ledger_alive(&test_ledger, txn,
                                        &test_ledger.self), 1);
    gone = test_ledger.self;
    gone.epoch += 100;
    assert_int_equal(phota_ledger_alive(&test_ledger, txn, &gone), 0);
    gone.slot = 5000;
    assert_int_equal(phota_ledger_alive(&test_ledger, txn, &gone), 0);
    phota_store_abort(txn);

    test_reads_as(&first, PHOTA_STATE_UNKNOWN, PHOTA_REASON_ABANDONED);
    test_reads_as(&third, PHOTA_STATE_HELD, PHOTA_REASON_NONE);

    test_kill(one);
    test_kill(two);

    test_reads_as(&second, PHOTA_STATE_UNKNOWN, PHOTA_REASON_ABANDONED);
    test_verify_ok(3);
}


/* one who only looks: sees the living, and writes nothing */

static void
test_read_only(void **state)
{
    pid_t       pid;
    phota_id_t  id;

    (void) state;

    pid = test_child_holder(&id);

    test_close();
    test_open(PHOTA_STORE_RDONLY);

    test_reads_as(&id, PHOTA_STATE_HELD, PHOTA_REASON_NONE);
    test_kill(pid);
    test_reads_as(&id, PHOTA_STATE_UNKNOWN, PHOTA_REASON_ABANDONED);
    test_verify_ok(1);
}


/*
 * Whoever can't be asked about lives; without the file of locks nobody does.
 * What was good enough to ask with isn't kept when it comes to owning.
 */

static void
test_not_asked(void **state)
{
    char           path[128];
    pid_t          pid;
    phota_id_t     id;
    struct rlimit  limit, none;

    (void) state;

    (void) snprintf(path, sizeof(path), "%s/books/owners", test_dir);

    pid = test_child_holder(&id);
    test_kill(pid);

    test_close();
    test_open(0);

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 3;

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    test_reads_as(&id, PHOTA_STATE_HELD, PHOTA_REASON_NONE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);

    assert_int_equal(chmod(path, 0444), 0);

    if (geteuid() == 0) {
        assert_int_equal(chmod(test_dir, 0755), 0);
        (void) snprintf(path, sizeof(path), "%s/books", test_dir);
        assert_int_equal(chmod(path, 0755), 0);
        assert_int_equal(seteuid(65534), 0);
    }

    test_reads_as(&id, PHOTA_STATE_UNKNOWN, PHOTA_REASON_ABANDONED);

    if (getuid() == 0) {
        assert_int_equal(seteuid(0), 0);
    }

    (void) snprintf(path, sizeof(path), "%s/books/owners", test_dir);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(phota_ledger_own(&test_ledger, &test_err), PHOTA_OK);

    test_close();
    test_open(0);
    assert_int_equal(unlink(path), 0);
    test_reads_as(&id, PHOTA_STATE_UNKNOWN, PHOTA_REASON_ABANDONED);
}


/* writes until it is killed, and says what is durable after each commit */

static void
test_writer(int fd, unsigned batch, unsigned rounds)
{
    unsigned         i, k;
    MDB_txn         *txn;
    phota_store_t    store;
    phota_ledger_t   ledger;
    phota_charge_t   charges[16];
    phota_outcome_t  outcome;

    if (phota_store_open(&store, test_dir, "books", PHOTA_BOOKS_SCHEMA,
                         TEST_MAP, 0, NULL) != PHOTA_OK
        || phota_ledger_open(&ledger, &store, NULL) != PHOTA_OK
        || phota_ledger_own(&ledger, NULL) != PHOTA_OK)
    {
        _exit(1);
    }

    test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 0);

    for (i = 0; i < rounds; i++) {

        if (phota_store_begin(&store, 1, &txn, NULL) != PHOTA_OK) {
            _exit(2);
        }

        for (k = 0; k < batch; k++) {
            test_charge(&charges[k], 1, 0, 1);

            if (phota_ledger_hold(&ledger, txn, &charges[k], NULL, NULL)
                != PHOTA_OK
                || (k % 2 == 0
                    && phota_ledger_end(&ledger, txn, &charges[k].id,
                                        &outcome, NULL, NULL) != PHOTA_OK))
            {
                _exit(3);
            }
        }

        if (phota_store_commit(txn, NULL) != PHOTA_OK) {
            _exit(4);
        }

        for (k = 0; k < batch; k++) {
            if (write(fd, &charges[k].id, sizeof(phota_id_t))
                != sizeof(phota_id_t))
            {
                _exit(5);
            }
        }
    }

    phota_ledger_close(&ledger);
    phota_store_close(&store);
    _exit(0);
}


static pid_t
test_fork_writer(int fds[2], unsigned batch, unsigned rounds)
{
    pid_t  pid;

    assert_int_equal(pipe(fds), 0);

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        test_writer(fds[1], batch, rounds);
    }

    (void) close(fds[1]);

    return pid;
}


/* all ids that were acknowledged are there */

static unsigned
test_acknowledged(int fd)
{
    MDB_txn         *txn;
    unsigned         n;
    phota_id_t       id;
    phota_charge_t   charge;

    txn = test_begin(0);

    for (n = 0; read(fd, &id, sizeof(phota_id_t)) == sizeof(phota_id_t); n++) {
        assert_int_equal(phota_ledger_get(&test_ledger, txn, &id, &charge),
                         PHOTA_OK);
    }

    phota_store_abort(txn);
    (void) close(fd);

    return n;
}


static void
test_killed_writer(void **state)
{
    int         fds[2], i, rc;
    pid_t       pid;
    unsigned    n;
    uint64_t    entries;
    phota_id_t  id;

    (void) state;

    n = 0;

    for (i = 0; i < 20; i++) {

        /* the pipe holds what was said before the end */

        pid = test_fork_writer(fds, 1 + (unsigned) i % 5, 1000);

        assert_int_equal(read(fds[0], &id, sizeof(phota_id_t)),
                         sizeof(phota_id_t));
        (void) usleep((useconds_t) (i * 700));
        test_kill(pid);

        test_close();
        test_open(0);

        n += 1 + test_acknowledged(fds[0]);

        rc = test_verify(&entries);

        if (rc != PHOTA_OK) {
            fail_msg("%s", test_err.text);
        }

        assert_true(entries >= n);
    }
}


static void
test_two_writers(void **state)
{
    int       one[2], two[2], status;
    pid_t     a, b;
    uint64_t  entries;

    (void) state;

    /* 200 rounds of 4 holds and 2 ends each: fits in the pipes */

    a = test_fork_writer(one, 4, 200);
    b = test_fork_writer(two, 4, 200);

    assert_int_equal(waitpid(a, &status, 0), a);
    assert_int_equal(status, 0);
    assert_int_equal(waitpid(b, &status, 0), b);
    assert_int_equal(status, 0);

    assert_int_equal(test_acknowledged(one[0]), 800);
    assert_int_equal(test_acknowledged(two[0]), 800);

    assert_int_equal(test_verify(&entries), PHOTA_OK);
    assert_true(entries == 2 * 200 * 6);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_owners),
        TEST(test_read_only),
        TEST(test_not_asked),
        TEST(test_killed_writer),
        TEST(test_two_writers)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
