
/*
 * Books in a directory of their own for each test, and a clock that is ours.
 */


#ifndef _PHOTA_TEST_BOOKS_H_INCLUDED_
#define _PHOTA_TEST_BOOKS_H_INCLUDED_


#include <ftw.h>
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

#include "phota_ledger_record.h"
#include "phota_order.h"
#include "phota_rollup.h"
#include "phota_seal.h"


#define TEST_MAP      ((size_t) 256 << 20)
#define TEST_DAY      86400000ull
#define TEST_HOUR     3600000ull
#define TEST_NOON     (20700 * TEST_DAY + 12 * TEST_HOUR)
#define TEST_CHARGES  600

#define TEST(name)                                                            \
    cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)


typedef struct {
    phota_charge_t   charges[TEST_CHARGES];
    unsigned         n;
} test_list_t;


static char            test_dir[64];
static int64_t         test_clock;          /* ms added to ours */
static phota_store_t   test_store;
static phota_ledger_t  test_ledger;
static phota_error_t   test_err;


/* takes the place of libc's for this program: it begins at a noon */

int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int64_t  ms;

    static int64_t  start;

    if (syscall(SYS_clock_gettime, id, ts) != 0) {
        return -1;
    }

    if (id == CLOCK_REALTIME) {
        ms = (int64_t) ts->tv_sec * 1000 + ts->tv_nsec / 1000000;
        start = start ? start : ms;
        ms = ms - start + (int64_t) TEST_NOON + test_clock;
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
test_remove(const char *path, const struct stat *sb, int type,
    struct FTW *ftw)
{
    (void) sb;
    (void) type;
    (void) ftw;

    return remove(path);
}


static inline int
test_teardown(void **state)
{
    (void) state;

    test_close();

    return nftw(test_dir, test_remove, 8, FTW_DEPTH|FTW_PHYS);
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


/* 0.12 an output, 0.15 with a profile, and 20 % more */

static inline void
test_charge(phota_charge_t *charge, uint32_t tenant, uint8_t operation,
    uint32_t asked)
{
    uint64_t  now;

    memset(charge, 0, sizeof(phota_charge_t));

    now = phota_now();
    assert_int_equal(phota_id_create(&charge->id, now), PHOTA_OK);

    charge->tenant = tenant;
    charge->token = 7;
    charge->operation = operation;
    charge->cached = PHOTA_CACHED_MISS;
    charge->windows.day = (uint32_t) (now / TEST_DAY);
    charge->windows.month = (uint32_t) (now / TEST_DAY / 30);
    charge->terms.rate = 120000;
    charge->terms.identity_rate = 150000;
    charge->terms.markup = 200000;
    charge->terms.share = PHOTA_PPM;
    charge->terms.version = 1;
    charge->asked = asked;
    charge->asked_identity = asked;

    memset(charge->fingerprint, (int) tenant, PHOTA_SHA256_LEN);
    (void) snprintf(charge->tag, sizeof(charge->tag), "tag-%u", asked);
}


/* of 0.24 saved half is the price */

static inline void
test_hit(phota_charge_t *charge, uint32_t tenant, uint8_t operation)
{
    test_charge(charge, tenant, operation, 2);

    charge->cached = PHOTA_CACHED_HIT;
    charge->terms.rate = 0;
    charge->terms.identity_rate = 0;
    charge->terms.markup = 0;
    charge->terms.version = 0;
    charge->terms.share = PHOTA_PPM / 2;
    charge->asked_identity = 0;
    charge->outputs = 2;
    charge->saved = 240000;
}


static inline void
test_hold(phota_charge_t *charge)
{
    MDB_txn  *txn;

    txn = test_begin(1);
    assert_int_equal(phota_ledger_hold(&test_ledger, txn, charge, NULL,
                                       &test_err),
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


/* how a write ended; it is committed all the same, as a worker does */

static inline int
test_wrote(MDB_txn *txn, int rc)
{
    test_commit(txn);

    return rc;
}


/* an entry as it is written */

static inline void
test_entry(uint64_t sequence, phota_entry_t *entry)
{
    u_char    name[8];
    MDB_txn  *txn;
    MDB_val   key, value;

    phota_put_be(name, sequence, sizeof(name));

    key.mv_data = name;
    key.mv_size = sizeof(name);

    txn = test_begin(0);
    assert_int_equal(mdb_get(txn, test_ledger.entries, &key, &value), 0);
    assert_int_equal(phota_entry_decode(entry, value.mv_data, value.mv_size),
                     PHOTA_OK);
    phota_store_abort(txn);

    assert_true(entry->sequence == sequence);
}


static inline phota_spending_t
test_spending(uint32_t tenant, uint32_t token, unsigned period,
    uint32_t window)
{
    MDB_txn           *txn;
    phota_spending_t   spending;

    txn = test_begin(0);
    assert_int_equal(phota_budget_get(&test_ledger.budgets, txn, tenant,
                                      token, period, window, &spending,
                                      &test_err),
                     PHOTA_OK);
    phota_store_abort(txn);

    return spending;
}


/* of all six counters of a charge's tenant and token */

static inline void
test_spent(const phota_charge_t *charge, int64_t spent, int64_t held)
{
    unsigned          scope, period;
    uint32_t          window;
    phota_spending_t  spending;

    for (scope = PHOTA_BUDGET_TENANT; scope <= PHOTA_BUDGET_TOKEN; scope++) {

        for (period = PHOTA_BUDGET_DAY; period <= PHOTA_BUDGET_TOTAL;
             period++)
        {
            window = (period == PHOTA_BUDGET_DAY) ? charge->windows.day
                     : (period == PHOTA_BUDGET_MONTH) ? charge->windows.month
                     : 0;

            spending = test_spending(charge->tenant,
                                     (scope == PHOTA_BUDGET_TENANT)
                                     ? 0 : charge->token, period, window);

            assert_true(spending.spent == spent);
            assert_true(spending.held == held);
        }
    }
}


/* settled at a cost that somebody else gave */

static inline void
test_bill(phota_outcome_t *outcome, int64_t cost)
{
    test_outcome(outcome, PHOTA_STATE_SETTLED, 0, 0, 0);

    outcome->reason = PHOTA_REASON_BILL;
    outcome->status = 0;
    outcome->billed = 1;
    outcome->cost = cost;
    memcpy(outcome->by, "reconcile", sizeof("reconcile"));
    memcpy(outcome->note, "bill of May", sizeof("bill of May"));
}


static inline int
test_reverse(const phota_id_t *id, const char *by, const char *note,
    phota_charge_t *view)
{
    MDB_txn  *txn;

    txn = test_begin(1);

    return test_wrote(txn, phota_ledger_reverse(&test_ledger, txn, id,
                                                PHOTA_REASON_OPERATOR, by,
                                                note, view, &test_err));
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
test_same_terms(const phota_terms_t *a, const phota_terms_t *b)
{
    assert_true(a->rate == b->rate);
    assert_true(a->identity_rate == b->identity_rate);
    assert_true(a->fixed == b->fixed);
    assert_true(a->fixed_identity == b->fixed_identity);
    assert_int_equal(a->markup, b->markup);
    assert_int_equal(a->share, b->share);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->flags, b->flags);
}


static inline void
test_same(const phota_charge_t *a, const phota_charge_t *b)
{
    assert_memory_equal(&a->id, &b->id, sizeof(phota_id_t));
    assert_true(a->time == b->time);
    assert_true(a->updated == b->updated);
    assert_int_equal(a->tenant, b->tenant);
    assert_int_equal(a->token, b->token);
    assert_int_equal(a->operation, b->operation);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->cached, b->cached);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->owner.slot, b->owner.slot);
    assert_true(a->owner.epoch == b->owner.epoch);
    assert_int_equal(a->windows.day, b->windows.day);
    assert_int_equal(a->windows.month, b->windows.month);
    test_same_terms(&a->terms, &b->terms);
    assert_int_equal(a->asked, b->asked);
    assert_int_equal(a->asked_identity, b->asked_identity);
    assert_int_equal(a->outputs, b->outputs);
    assert_int_equal(a->identity_low, b->identity_low);
    assert_int_equal(a->identity_high, b->identity_high);
    assert_int_equal(a->status, b->status);
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
