
/*
 * ledger: what limits allow, whose charges may be resolved, when they expire,
 * on which day they count, and lists.
 */


#include "books.h"


static int
test_resolve(const phota_id_t *id, const phota_outcome_t *outcome)
{
    MDB_txn  *txn;

    txn = test_begin(1);

    return test_wrote(txn, phota_ledger_resolve(&test_ledger, txn, id,
                                                outcome, NULL, &test_err));
}


/* with room for exactly k, exactly k */

static void
test_limits(void **state)
{
    unsigned            i, n;
    MDB_txn            *txn;
    phota_limits_t      tenant, token;
    phota_charge_t      charges[10];
    phota_outcome_t     outcome;
    phota_allowance_t   allowance;

    (void) state;

    tenant.day = -1;
    tenant.month = 4 * 180000 + 1;
    tenant.total = -1;
    token.day = 10000000;
    token.month = -1;
    token.total = 3 * 180000 + 179999;
    allowance.tenant = &tenant;
    allowance.token = &token;

    n = 0;
    txn = test_begin(1);

    for (i = 0; i < 10; i++) {
        test_charge(&charges[i], 1, 0, 1);

        switch (phota_ledger_hold(&test_ledger, txn, &charges[i], &allowance,
                                  &test_err))
        {
        case PHOTA_OK:
            assert_int_equal(i, n);
            n++;
            break;

        case PHOTA_EXCEEDED:
            assert_int_equal(allowance.shortage.scope, PHOTA_BUDGET_TOKEN);
            assert_int_equal(allowance.shortage.period, PHOTA_BUDGET_TOTAL);
            assert_true(allowance.shortage.limit == token.total);
            assert_true(allowance.shortage.left == 179999);
            assert_non_null(strstr(test_err.text, "0.179999"));
            break;

        default:
            fail_msg("%s", test_err.text);
        }
    }

    test_commit(txn);
    assert_int_equal(n, 3);
    test_spent(&charges[0], 0, 3 * 180000);

    /* a void gives it back at once, a settle what it didn't take */

    test_outcome(&outcome, PHOTA_STATE_VOID, 0, 0, 0);
    assert_int_equal(test_end(&charges[0].id, &outcome, NULL), PHOTA_OK);
    test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 1);
    assert_int_equal(test_end(&charges[1].id, &outcome, NULL), PHOTA_OK);
    test_spent(&charges[0], 144000, 180000);

    txn = test_begin(1);
    assert_int_equal(phota_ledger_hold(&test_ledger, txn, &charges[9],
                                       &allowance, &test_err),
                     PHOTA_OK);
    test_commit(txn);
    test_spent(&charges[0], 144000, 360000);

    test_verify_ok(6);
}


static void
test_in_flight(void **state)
{
    phota_charge_t   charge;
    phota_outcome_t  outcome;

    (void) state;

    test_charge(&charge, 1, 0, 1);
    test_hold(&charge);
    test_bill(&outcome, 120000);
    assert_int_equal(test_resolve(&charge.id, &outcome), PHOTA_REFUSED);
    assert_non_null(strstr(test_err.text, "in flight"));

    /* its owner has gone */

    test_close();
    test_open(0);
    assert_int_equal(phota_ledger_own(&test_ledger, &test_err), PHOTA_OK);

    assert_int_equal(test_resolve(&charge.id, &outcome), PHOTA_OK);
    assert_int_equal(test_resolve(&charge.id, &outcome), PHOTA_REFUSED);
    assert_non_null(strstr(test_err.text, "settled"));

    /* what is written as unknown, whoever lives */

    test_charge(&charge, 1, 0, 1);
    test_hold(&charge);
    test_outcome(&outcome, PHOTA_STATE_UNKNOWN, 0, 0, 0);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);
    test_outcome(&outcome, PHOTA_STATE_VOID, 0, 0, 0);
    assert_int_equal(test_resolve(&charge.id, &outcome), PHOTA_OK);

    test_verify_ok(5);
}


static unsigned
test_expired(unsigned limit)
{
    MDB_txn   *txn;
    unsigned   done;

    txn = test_begin(1);
    assert_int_equal(phota_ledger_expire(&test_ledger, txn, phota_now(),
                                         limit, &done, &test_err),
                     PHOTA_OK);
    test_commit(txn);

    return done;
}


static int
test_set_deadline(uint64_t after, uint8_t state)
{
    MDB_txn           *txn;
    phota_deadline_t   deadline;

    deadline.after = after;
    deadline.state = state;

    txn = test_begin(1);

    return test_wrote(txn, phota_ledger_set_deadline(&test_ledger, txn,
                                                     &deadline, &test_err));
}


static void
test_deadline(void **state)
{
    unsigned           i;
    MDB_txn           *txn;
    phota_entry_t      entry;
    phota_charge_t     charges[5], view;
    phota_outcome_t    outcome;
    phota_deadline_t   deadline;

    (void) state;

    assert_int_equal(test_set_deadline(1, PHOTA_STATE_UNKNOWN),
                     PHOTA_INVALID);

    test_outcome(&outcome, PHOTA_STATE_UNKNOWN, 0, 0, 0);

    for (i = 0; i < 5; i++) {
        test_charge(&charges[i], 1, 0, 2);
        charges[i].asked_identity = 1;
        test_hold(&charges[i]);

        if (i < 3) {
            assert_int_equal(test_end(&charges[i].id, &outcome, NULL),
                             PHOTA_OK);
        }

        test_clock += (int64_t) TEST_HOUR;
    }

    /* none is set */

    assert_int_equal(test_expired(10), 0);
    assert_int_equal(test_set_deadline(3 * TEST_HOUR + TEST_HOUR / 2,
                                       PHOTA_STATE_SETTLED),
                     PHOTA_OK);

    txn = test_begin(0);
    assert_int_equal(phota_ledger_deadline(&test_ledger, txn, &deadline,
                                           &test_err),
                     PHOTA_OK);
    phota_store_abort(txn);
    assert_true(deadline.after == 3 * TEST_HOUR + TEST_HOUR / 2);
    assert_int_equal(deadline.state, PHOTA_STATE_SETTLED);

    /* two are old enough */

    assert_int_equal(test_expired(1), 1);
    assert_int_equal(test_expired(10), 1);
    assert_int_equal(test_expired(10), 0);

    test_entry(9, &entry);
    assert_int_equal(entry.type, PHOTA_ENTRY_SETTLED);
    assert_string_equal(entry.by, "deadline");
    assert_int_equal(entry.charge.reason, PHOTA_REASON_DEADLINE);
    assert_int_equal(entry.charge.outputs, 2);
    assert_true(entry.charge.cost == 270000);
    assert_true(entry.charge.cost_high == 270000);

    /* those of the living are left alone, those of the dead are not */

    assert_int_equal(test_set_deadline(TEST_HOUR / 2, PHOTA_STATE_VOID),
                     PHOTA_OK);
    assert_int_equal(test_expired(10), 1);

    test_close();
    test_open(0);
    assert_int_equal(test_expired(10), 2);

    txn = test_begin(0);
    assert_int_equal(phota_ledger_get(&test_ledger, txn, &charges[4].id,
                                      &view),
                     PHOTA_OK);
    phota_store_abort(txn);
    assert_int_equal(view.state, PHOTA_STATE_VOID);

    test_verify_ok(13);
}


/* a charge counts on its own day until an hour after that has ended */

static void
test_posting_day(void **state)
{
    uint32_t         day;
    phota_entry_t    entry;
    phota_charge_t   charge, late;
    phota_outcome_t  outcome;

    (void) state;

    day = (uint32_t) (TEST_NOON / TEST_DAY);
    test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 0);

    test_charge(&charge, 1, 0, 1);
    test_hold(&charge);
    test_charge(&late, 1, 0, 1);
    test_hold(&late);

    test_clock = 12 * (int64_t) TEST_HOUR + 59 * 60000;
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);
    test_entry(3, &entry);
    assert_int_equal(entry.day, day);

    test_clock = 13 * (int64_t) TEST_HOUR;
    assert_int_equal(test_end(&late.id, &outcome, NULL), PHOTA_OK);
    test_entry(4, &entry);
    assert_int_equal(entry.day, day + 1);

    /* what was sold is taken back on the day on which that is done */

    test_clock = 5 * (int64_t) TEST_DAY;
    assert_int_equal(test_reverse(&charge.id, "", "", NULL), PHOTA_OK);
    test_entry(5, &entry);
    assert_int_equal(entry.day, day + 5);

    test_verify_ok(5);
}


/* archived days take nothing, whatever the clock says */

static void
test_closed(void **state)
{
    uint32_t         day;
    MDB_txn         *txn;
    phota_entry_t    entry;
    phota_chain_t    chain;
    phota_charge_t   charge;
    phota_outcome_t  outcome;

    (void) state;

    day = (uint32_t) (TEST_NOON / TEST_DAY);
    test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 0);

    test_charge(&charge, 1, 0, 1);
    test_hold(&charge);

    txn = test_begin(1);
    assert_int_equal(phota_chain_read(&test_ledger, txn, &chain), PHOTA_OK);
    chain.closed = day + 3;
    assert_int_equal(phota_chain_write(&test_ledger, txn, &chain), 0);
    test_commit(txn);

    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);
    test_entry(2, &entry);
    assert_int_equal(entry.day, day + 3);

    test_clock = 7 * (int64_t) TEST_DAY;
    assert_int_equal(test_reverse(&charge.id, "", "", NULL), PHOTA_OK);
    test_entry(3, &entry);
    assert_int_equal(entry.day, day + 7);
}


static int
test_usage_calls(void *ctx, const phota_usage_t *usage)
{
    int64_t  *calls;

    calls = ctx;
    *calls += usage->sum.calls;

    return PHOTA_OK;
}


/*
 * An entry under a clock that is a year ahead dates those that follow, but not
 * the money: sums and lists of a day agree.
 */

static void
test_wrong_clock(void **state)
{
    int64_t          calls;
    uint64_t         now, day;
    test_list_t     *list;
    phota_charge_t   ahead, charge, view;
    phota_outcome_t  outcome;

    (void) state;

    list = calloc(1, sizeof(test_list_t));
    assert_non_null(list);

    test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 0);

    test_clock = 365 * (int64_t) TEST_DAY;
    test_charge(&ahead, 1, 0, 1);
    test_hold(&ahead);
    test_clock = 0;

    now = phota_now();
    day = now / TEST_DAY * TEST_DAY;

    test_charge(&charge, 1, 0, 1);
    test_hold(&charge);
    assert_int_equal(test_end(&charge.id, &outcome, &view), PHOTA_OK);
    assert_true(view.updated >= ahead.updated);
    assert_true(view.updated - view.time > 364 * TEST_DAY);

    assert_int_equal(phota_ledger_each(&test_ledger, day, day + TEST_DAY,
                                       test_collect, list, &test_err),
                     PHOTA_OK);
    assert_int_equal(list->n, 1);

    calls = 0;
    assert_int_equal(phota_ledger_usage(&test_ledger, day, day + TEST_DAY,
                                        PHOTA_USAGE_OPERATION,
                                        test_usage_calls, &calls, &test_err),
                     PHOTA_OK);
    assert_true(calls == 1);

    /* settled out of the order of their days; an old one counts today */

    assert_int_equal(test_end(&ahead.id, &outcome, NULL), PHOTA_OK);

    test_charge(&charge, 2, 1, 1);
    assert_int_equal(phota_id_create(&charge.id, now - 2 * TEST_DAY),
                     PHOTA_OK);
    test_hold(&charge);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);

    calls = 0;
    assert_int_equal(phota_ledger_usage(&test_ledger, day, day + TEST_DAY,
                                        PHOTA_USAGE_OPERATION,
                                        test_usage_calls, &calls, &test_err),
                     PHOTA_OK);
    assert_true(calls == 2);

    test_verify_ok(6);
    free(list);
}


static void
test_each_range(void **state)
{
    unsigned         i;
    uint64_t         start;
    test_list_t     *list;
    phota_charge_t   charge;

    (void) state;

    list = calloc(1, sizeof(test_list_t));
    assert_non_null(list);

    start = phota_now() / 1000 * 1000;

    for (i = 0; i < 100; i++) {
        test_charge(&charge, 1, 0, 1);
        assert_int_equal(phota_id_create(&charge.id, start + i * 10),
                         PHOTA_OK);
        test_hold(&charge);
        assert_true(charge.time == start + i * 10);
    }

    assert_int_equal(phota_ledger_each(&test_ledger, start + 100, start + 900,
                                       test_collect, list, &test_err),
                     PHOTA_OK);
    assert_int_equal(list->n, 80);
    assert_true(list->charges[0].time == start + 100);
    assert_true(list->charges[79].time == start + 890);

    list->n = 0;
    assert_int_equal(phota_ledger_each(&test_ledger, start + 991, 0,
                                       test_collect, list, &test_err),
                     PHOTA_OK);
    assert_int_equal(list->n, 0);

    free(list);
}


/* recovery as a worker does it: ends what it is shown, while it is shown it */

static int
test_recover(void *ctx, const phota_charge_t *charge)
{
    phota_outcome_t  outcome;

    test_outcome(&outcome, PHOTA_STATE_VOID, 0, 0, 0);

    return phota_ledger_end(&test_ledger, ctx, &charge->id, &outcome, NULL,
                            &test_err);
}


static void
test_end_while_listed(void **state)
{
    int              i;
    MDB_txn         *txn;
    test_list_t     *list;
    phota_charge_t   charge;

    (void) state;

    list = calloc(1, sizeof(test_list_t));
    assert_non_null(list);

    for (i = 0; i < 200; i++) {
        test_charge(&charge, 1, 0, 1);
        test_hold(&charge);
    }

    txn = test_begin(1);
    assert_int_equal(phota_ledger_each_open(&test_ledger, txn, test_recover,
                                            txn, &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_ledger_each_open(&test_ledger, txn, test_collect,
                                            list, &test_err),
                     PHOTA_OK);
    test_commit(txn);

    assert_int_equal(list->n, 0);
    test_verify_ok(400);
    free(list);
}


/* a store that was closed and opened: who holds is still the same */

static void
test_reopened(void **state)
{
    phota_owner_t    self;
    phota_charge_t   charge;
    phota_outcome_t  outcome;

    (void) state;

    test_charge(&charge, 1, 0, 1);
    test_hold(&charge);
    self = test_ledger.self;

    phota_store_close(&test_store);
    assert_int_equal(phota_store_open(&test_store, test_dir, "books",
                                      PHOTA_BOOKS_SCHEMA, TEST_MAP, 0,
                                      &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_ledger_reopen(&test_ledger, &test_err), PHOTA_OK);

    assert_true(test_ledger.self.epoch == self.epoch);
    test_outcome(&outcome, PHOTA_STATE_VOID, 0, 0, 0);
    assert_int_equal(test_resolve(&charge.id, &outcome), PHOTA_REFUSED);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);

    test_charge(&charge, 1, 0, 1);
    test_hold(&charge);
    assert_true(charge.owner.epoch == self.epoch);

    test_verify_ok(3);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_limits),
        TEST(test_in_flight),
        TEST(test_deadline),
        TEST(test_posting_day),
        TEST(test_closed),
        TEST(test_wrong_clock),
        TEST(test_each_range),
        TEST(test_end_while_listed),
        TEST(test_reopened)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
