
/*
 * Books in a directory of their own for each test, and a clock that is ours.
 */


#ifndef _PHOTA_TEST_BOOKS_H_INCLUDED_
#define _PHOTA_TEST_BOOKS_H_INCLUDED_


#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "phota_ledger.h"
#include "phota_seal.h"


#define TEST_MAP      ((size_t) 256 << 20)
#define TEST_DAY      86400000ull
#define TEST_CHARGES  600

#define TEST(name)                                                            \
    cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)


typedef struct {
    phota_charge_t   charges[TEST_CHARGES];
    unsigned         n;
} test_list_t;


static char            test_dir[64];
static int64_t         test_clock;          /* ms added to the real one */
static phota_store_t   test_store;
static phota_ledger_t  test_ledger;
static phota_error_t   test_err;


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
test_open(unsigned flags)
{
    assert_int_equal(phota_store_open(&test_store, test_dir, "books",
                                      PHOTA_BOOKS_SCHEMA, TEST_MAP, flags,
                                      &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_ledger_open(&test_ledger, &test_store, &test_err),
                     PHOTA_OK);
}


static inline void
test_close(void)
{
    phota_ledger_close(&test_ledger);
    phota_store_close(&test_store);
}


static inline int
test_setup(void **state)
{
    (void) state;

    test_clock = 0;

    memcpy(test_dir, "/tmp/phota-ledger.XXXXXX",
           sizeof("/tmp/phota-ledger.XXXXXX"));

    if (mkdtemp(test_dir) == NULL) {
        return -1;
    }

    test_open(PHOTA_STORE_CREATE);

    return phota_ledger_own(&test_ledger, &test_err);
}


static inline int
test_teardown(void **state)
{
    size_t  i;
    char    path[256];

    static const char  *names[] = {
        "books/data.mdb", "books/lock.mdb", "books/owners", "books", ""
    };

    (void) state;

    test_close();

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


static inline void
test_commit(MDB_txn *txn)
{
    assert_int_equal(phota_store_commit(txn, &test_err), PHOTA_OK);
}


static inline void
test_charge(phota_charge_t *charge, uint32_t tenant, uint8_t operation,
    uint32_t asked)
{
    memset(charge, 0, sizeof(phota_charge_t));

    assert_int_equal(phota_id_create(&charge->id, phota_now()), PHOTA_OK);

    charge->tenant = tenant;
    charge->token = 7;
    charge->operation = operation;
    charge->cached = PHOTA_CACHED_MISS;
    charge->price_version = 1;
    charge->asked = asked;
    charge->rate = 120000;
    charge->identity_rate = 150000;
    charge->held = (int64_t) asked * 150000;

    memset(charge->fingerprint, (int) tenant, PHOTA_SHA256_LEN);
    (void) snprintf(charge->tag, sizeof(charge->tag), "tag-%u", asked);
}


static inline void
test_hold(phota_charge_t *charge)
{
    MDB_txn  *txn;

    txn = test_begin(1);
    assert_int_equal(phota_ledger_hold(&test_ledger, txn, charge, &test_err),
                     PHOTA_OK);
    test_commit(txn);
}


static inline void
test_outcome(phota_outcome_t *outcome, uint8_t state, uint32_t outputs,
    uint32_t low, uint32_t high)
{
    memset(outcome, 0, sizeof(phota_outcome_t));

    outcome->state = state;
    outcome->reason = (state == PHOTA_STATE_SETTLED)
                      ? PHOTA_REASON_DELIVERED : PHOTA_REASON_SERVER_ERROR;
    outcome->status = (state == PHOTA_STATE_SETTLED) ? 200 : 500;
    outcome->outputs = outputs;
    outcome->identity_low = low;
    outcome->identity_high = high;
}


static inline int
test_end(const phota_id_t *id, const phota_outcome_t *outcome,
    phota_charge_t *view)
{
    int       rc;
    MDB_txn  *txn;

    txn = test_begin(1);
    rc = phota_ledger_end(&test_ledger, txn, id, outcome, view, &test_err);
    test_commit(txn);

    return rc;
}


static inline int
test_verify(uint64_t *entries)
{
    u_char  chain[PHOTA_SHA256_LEN];

    return phota_ledger_verify(&test_ledger, entries, chain, &test_err);
}


static inline void
test_verify_ok(uint64_t count)
{
    int       rc;
    uint64_t  entries;

    rc = test_verify(&entries);

    if (rc != PHOTA_OK) {
        fail_msg("%s", test_err.text);
    }

    assert_true(entries == count);
}


static inline int
test_collect(void *ctx, const phota_charge_t *charge)
{
    test_list_t  *list;

    list = ctx;

    assert_true(list->n < TEST_CHARGES);
    list->charges[list->n++] = *charge;

    return PHOTA_OK;
}


static inline void
test_same(const phota_charge_t *a, const phota_charge_t *b)
{
    assert_memory_equal(&a->id, &b->id, sizeof(phota_id_t));
    assert_true(a->time == b->time);
    assert_true(a->updated == b->updated);
    assert_int_equal(a->tenant, b->tenant);
    assert_int_equal(a->token, b->token);
    assert_int_equal(a->price_version, b->price_version);
    assert_int_equal(a->operation, b->operation);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->cached, b->cached);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->owner.slot, b->owner.slot);
    assert_true(a->owner.epoch == b->owner.epoch);
    assert_int_equal(a->asked, b->asked);
    assert_int_equal(a->outputs, b->outputs);
    assert_int_equal(a->identity_low, b->identity_low);
    assert_int_equal(a->identity_high, b->identity_high);
    assert_int_equal(a->status, b->status);
    assert_true(a->rate == b->rate);
    assert_true(a->identity_rate == b->identity_rate);
    assert_true(a->held == b->held);
    assert_true(a->cost == b->cost);
    assert_true(a->cost_high == b->cost_high);
    assert_true(a->price == b->price);
    assert_true(a->saved == b->saved);
    assert_memory_equal(a->fingerprint, b->fingerprint, PHOTA_SHA256_LEN);
    assert_string_equal(a->request_id, b->request_id);
    assert_string_equal(a->tag, b->tag);
}


#endif /* _PHOTA_TEST_BOOKS_H_INCLUDED_ */
