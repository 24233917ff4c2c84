
/*
 * ledger: how a charge begins, ends, is corrected and taken back, on which day
 * it counts, and what its limits allow.
 */


#include "books.h"


static phota_spending_t
test_spending(unsigned scope, uint32_t id, unsigned period, uint32_t window)
{
    MDB_txn           *txn;
    phota_spending_t   spending;

    txn = test_begin(0);
    assert_int_equal(phota_budget_get(&test_ledger.budgets, txn, scope, id,
                                      period, window, &spending, &test_err),
                     PHOTA_OK);
    phota_store_abort(txn);

    return spending;
}


/* of all six counters of a charge's tenant and token */

static void
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

            spending = test_spending(scope, (scope == PHOTA_BUDGET_TENANT)
                                            ? charge->tenant : charge->token,
                                     period, window);

            assert_true(spending.spent == spent);
            assert_true(spending.held == held);
        }
    }
}


static int
test_correct(const phota_id_t *id, const phota_outcome_t *outcome,
    phota_charge_t *view)
{
    MDB_txn  *txn;

    txn = test_begin(1);

    return test_wrote(txn, phota_ledger_correct(&test_ledger, txn, id,
                                                outcome, view, &test_err));
}


static int
test_reverse(const phota_id_t *id, const char *by, const char *note,
    phota_charge_t *view)
{
    MDB_txn  *txn;

    txn = test_begin(1);

    return test_wrote(txn, phota_ledger_reverse(&test_ledger, txn, id,
                                                PHOTA_REASON_OPERATOR, by,
                                                note, view, &test_err));
}


static int
test_resolve(const phota_id_t *id, const phota_outcome_t *outcome)
{
    MDB_txn  *txn;

    txn = test_begin(1);

    return test_wrote(txn, phota_ledger_resolve(&test_ledger, txn, id,
                                                outcome, NULL, &test_err));
}


/* settled at a cost that somebody else gave */

static void
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


static void
test_life(void **state)
{
    MDB_txn          *txn;
    phota_id_t        none;
    phota_entry_t     entry;
    phota_charge_t    charge, view;
    phota_outcome_t   outcome;

    (void) state;

    test_charge(&charge, 1, 0, 2);
    test_hold(&charge);

    assert_int_equal(charge.state, PHOTA_STATE_HELD);
    assert_true(charge.updated >= charge.time);
    assert_true(charge.owner.epoch == 1);
    assert_true(charge.held == 360000);
    test_spent(&charge, 0, 360000);

    txn = test_begin(1);
    assert_int_equal(phota_ledger_hold(&test_ledger, txn, &charge, NULL,
                                       &test_err),
                     PHOTA_REFUSED);
    test_commit(txn);

    /* more delivered than held for: a settle is never capped */

    test_outcome(&outcome, PHOTA_STATE_SETTLED, 4, 1, 3);
    memcpy(outcome.request_id, "req-1", 6);
    assert_int_equal(test_end(&charge.id, &outcome, &view), PHOTA_OK);

    assert_int_equal(view.state, PHOTA_STATE_SETTLED);
    assert_true(view.cost == 3 * 120000 + 150000);
    assert_true(view.cost_high == 120000 + 3 * 150000);
    assert_true(view.price == view.cost * 6 / 5);
    assert_true(view.saved == 0);
    assert_true(view.held == 360000);
    assert_string_equal(view.request_id, "req-1");
    assert_string_equal(view.tag, "tag-2");
    test_spent(&view, view.price, 0);

    txn = test_begin(0);
    assert_int_equal(phota_ledger_get(&test_ledger, txn, &charge.id, &charge),
                     PHOTA_OK);
    phota_store_abort(txn);
    test_same(&charge, &view);

    /* an end is an end */

    memset(&view, 0, sizeof(phota_charge_t));
    assert_int_equal(test_end(&charge.id, &outcome, &view), PHOTA_REFUSED);
    test_same(&charge, &view);
    outcome.state = PHOTA_STATE_VOID;
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_REFUSED);
    outcome.state = PHOTA_STATE_UNKNOWN;
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_REFUSED);

    memset(&none, 0x55, sizeof(phota_id_t));
    assert_int_equal(test_end(&none, &outcome, NULL), PHOTA_DECLINED);
    assert_non_null(strstr(test_err.text, "archived"));

    txn = test_begin(0);
    assert_int_equal(phota_ledger_get(&test_ledger, txn, &none, &view),
                     PHOTA_DECLINED);
    phota_store_abort(txn);

    /* an entry is understood alone */

    test_entry(1, &entry);
    assert_int_equal(entry.type, PHOTA_ENTRY_HELD);
    assert_int_equal(entry.first, 1);
    assert_int_equal(entry.day, TEST_NOON / TEST_DAY);
    assert_true(entry.charge.time == charge.time);
    assert_true(entry.charge.held == 360000);
    assert_int_equal(entry.charge.asked, 2);
    assert_int_equal(entry.charge.windows.day, charge.windows.day);
    assert_true(phota_sum_zero(&entry.delta));

    test_entry(2, &entry);
    assert_int_equal(entry.type, PHOTA_ENTRY_SETTLED);
    assert_int_equal(entry.first, 0);
    assert_true(entry.delta.calls == 1 && entry.delta.hits == 0);
    assert_true(entry.delta.outputs == 4);
    assert_true(entry.delta.identity_outputs == 1);
    assert_true(entry.delta.cost == charge.cost);
    assert_true(entry.delta.price == charge.price);
    assert_string_equal(entry.by, "");
    assert_string_equal(entry.charge.tag, "tag-2");
    assert_memory_equal(entry.charge.fingerprint, charge.fingerprint,
                        PHOTA_SHA256_LEN);
    test_same_terms(&entry.charge.terms, &charge.terms);

    test_verify_ok(2);
}


static void
test_unknown(void **state)
{
    phota_entry_t    entry;
    phota_charge_t   charge, view;
    phota_outcome_t  outcome;

    (void) state;

    test_charge(&charge, 1, 0, 1);
    test_hold(&charge);

    test_outcome(&outcome, PHOTA_STATE_UNKNOWN, 3, 0, 0);
    memcpy(outcome.request_id, "req-2", 6);
    assert_int_equal(test_end(&charge.id, &outcome, &view), PHOTA_OK);

    assert_int_equal(view.state, PHOTA_STATE_UNKNOWN);
    assert_int_equal(view.outputs, 0);
    assert_true(view.cost == 0 && view.price == 0 && view.held == 180000);
    test_spent(&view, 0, 180000);

    assert_int_equal(test_end(&charge.id, &outcome, &view), PHOTA_REFUSED);

    /* who resolves it may know less of the upstream than was known */

    test_outcome(&outcome, PHOTA_STATE_VOID, 0, 0, 0);
    outcome.status = 0;
    outcome.reason = PHOTA_REASON_OPERATOR;
    memcpy(outcome.by, "alice", sizeof("alice"));
    memcpy(outcome.note, "asked the vendor", sizeof("asked the vendor"));
    assert_int_equal(test_end(&charge.id, &outcome, &view), PHOTA_OK);

    assert_int_equal(view.state, PHOTA_STATE_VOID);
    assert_int_equal(view.status, 500);
    assert_int_equal(view.reason, PHOTA_REASON_OPERATOR);
    assert_string_equal(view.request_id, "req-2");
    test_spent(&view, 0, 0);

    test_entry(3, &entry);
    assert_int_equal(entry.type, PHOTA_ENTRY_VOID);
    assert_string_equal(entry.by, "alice");
    assert_string_equal(entry.note, "asked the vendor");

    test_verify_ok(3);
}


/* what is refused as it stands */

static void
test_hold_invalid(phota_charge_t *charge)
{
    MDB_txn  *txn;

    txn = test_begin(1);
    assert_int_equal(phota_ledger_hold(&test_ledger, txn, charge, NULL,
                                       &test_err),
                     PHOTA_INVALID);
    test_commit(txn);
}


static void
test_invalid(void **state)
{
    phota_owner_t    self;
    phota_charge_t   charge;
    phota_outcome_t  outcome;

    (void) state;

    test_charge(&charge, 1, 0, 1);

    charge.terms.rate = -1;
    test_hold_invalid(&charge);
    charge.terms.rate = INT64_MAX;
    charge.asked_identity = 0;
    test_hold_invalid(&charge);
    charge.terms.rate = PHOTA_AMOUNT_MAX / 2;

    charge.terms.markup = -PHOTA_PPM - 1;
    test_hold_invalid(&charge);
    charge.terms.markup = 0;

    charge.asked_identity = 2;
    test_hold_invalid(&charge);
    charge.asked_identity = 0;

    charge.cached = PHOTA_CACHED_HIT;
    test_hold_invalid(&charge);
    charge.cached = PHOTA_CACHED_BYPASS;

    memset(charge.tag, 'x', sizeof(charge.tag));
    test_hold_invalid(&charge);
    charge.tag[64] = '\0';

    self = test_ledger.self;
    test_ledger.self.epoch = 0;
    test_hold_invalid(&charge);
    test_ledger.self = self;

    test_verify_ok(0);
    test_hold(&charge);

    test_outcome(&outcome, PHOTA_STATE_SETTLED, 3, 0, 0);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);
    test_outcome(&outcome, PHOTA_STATE_SETTLED, 2, 2, 1);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);
    test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 2);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);
    test_outcome(&outcome, PHOTA_STATE_HELD, 1, 0, 0);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);
    test_outcome(&outcome, PHOTA_STATE_REVERSED, 1, 0, 0);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);
    test_bill(&outcome, -1);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);
    test_bill(&outcome, PHOTA_AMOUNT_MAX + 1);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);

    test_outcome(&outcome, PHOTA_STATE_VOID, 0, 0, 0);
    outcome.by[0] = '\n';
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);
    memset(outcome.by, 'x', sizeof(outcome.by));
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);
    outcome.by[PHOTA_NAME_MAX] = '\0';
    outcome.note[0] = (char) 0xc3;
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);
    memset(outcome.note, 'x', sizeof(outcome.note));
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);
    outcome.note[PHOTA_NOTE_MAX] = '\0';
    memset(outcome.request_id, 'x', sizeof(outcome.request_id));
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);

    /* nothing of it was written, and the longest of all can be */

    test_verify_ok(1);
    outcome.request_id[PHOTA_REQUEST_ID_MAX] = '\0';
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);
    test_verify_ok(2);
}


static void
test_names(void **state)
{
    (void) state;

    assert_string_equal(phota_state_name(PHOTA_STATE_HELD), "held");
    assert_string_equal(phota_state_name(PHOTA_STATE_VOID), "void");
    assert_string_equal(phota_state_name(PHOTA_STATE_REVERSED), "reversed");
    assert_string_equal(phota_state_name(99), "?");
    assert_string_equal(phota_cached_name(PHOTA_CACHED_BYPASS), "bypass");
    assert_string_equal(phota_cached_name(99), "?");
    assert_string_equal(phota_reason_name(PHOTA_REASON_NONE), "none");
    assert_string_equal(phota_reason_name(PHOTA_REASON_OPERATOR),
                        "operator");
    assert_string_equal(phota_reason_name(PHOTA_REASON_SERVED), "served");
    assert_string_equal(phota_reason_name(99), "?");
    assert_string_equal(phota_entry_name(PHOTA_ENTRY_HELD), "held");
    assert_string_equal(phota_entry_name(PHOTA_ENTRY_CORRECTED),
                        "corrected");
    assert_string_equal(phota_entry_name(PHOTA_ENTRY_HITS), "hits");
    assert_string_equal(phota_entry_name(99), "?");
}


/* a bill says an amount, and sometimes for how many */

static void
test_billed(void **state)
{
    phota_charge_t   charge, view;
    phota_outcome_t  outcome;

    (void) state;

    test_charge(&charge, 1, 0, 3);
    test_hold(&charge);
    test_bill(&outcome, 120000 + 150000);
    assert_int_equal(test_end(&charge.id, &outcome, &view), PHOTA_OK);
    assert_int_equal(view.flags, PHOTA_CHARGE_BILLED);
    assert_int_equal(view.outputs, 2);
    assert_int_equal(view.identity_low, 1);
    assert_int_equal(view.identity_high, 1);
    assert_true(view.cost == 270000 && view.cost_high == 270000);
    assert_true(view.price == 324000);

    /* an amount that no outputs explain stands all the same */

    test_charge(&charge, 1, 0, 3);
    test_hold(&charge);
    test_bill(&outcome, 77);
    assert_int_equal(test_end(&charge.id, &outcome, &view), PHOTA_OK);
    assert_int_equal(view.outputs, 0);
    assert_true(view.cost == 77 && view.cost_high == 77);
    assert_true(view.price == 92);

    test_charge(&charge, 1, 0, 3);
    test_hold(&charge);
    test_bill(&outcome, 99);
    outcome.outputs = 2;
    outcome.identity_high = 1;
    assert_int_equal(test_end(&charge.id, &outcome, &view), PHOTA_OK);
    assert_int_equal(view.outputs, 2);
    assert_true(view.cost == 99 && view.cost_high == 99);

    test_verify_ok(6);
}


static void
test_corrections(void **state)
{
    phota_entry_t    entry;
    phota_charge_t   charge, view, again;
    phota_outcome_t  outcome;

    (void) state;

    test_charge(&charge, 1, 0, 2);
    test_hold(&charge);

    test_bill(&outcome, 240000);
    assert_int_equal(test_correct(&charge.id, &outcome, &view),
                     PHOTA_REFUSED);
    assert_int_equal(view.state, PHOTA_STATE_HELD);

    test_outcome(&outcome, PHOTA_STATE_SETTLED, 2, 0, 2);
    memcpy(outcome.request_id, "req-3", 6);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);

    /* the bill agrees with the lower bound: there are no bounds any more */

    test_bill(&outcome, 240000);
    assert_int_equal(test_correct(&charge.id, &outcome, &view), PHOTA_OK);
    assert_true(view.cost == 240000 && view.cost_high == 240000);
    assert_int_equal(view.state, PHOTA_STATE_SETTLED);
    assert_int_equal(view.identity_high, 0);
    assert_int_equal(view.reason, PHOTA_REASON_BILL);
    assert_string_equal(view.request_id, "req-3");
    test_entry(3, &entry);
    assert_int_equal(entry.type, PHOTA_ENTRY_CORRECTED);
    assert_true(phota_sum_zero(&entry.delta));

    assert_int_equal(test_correct(&charge.id, &outcome, &again),
                     PHOTA_REFUSED);
    test_same(&view, &again);

    /* more, less, and something that only the vendor understands */

    test_bill(&outcome, 300000);
    assert_int_equal(test_correct(&charge.id, &outcome, &view), PHOTA_OK);
    assert_int_equal(view.identity_low, 2);
    assert_true(view.price == 360000);
    test_spent(&view, 360000, 0);

    test_bill(&outcome, 130000);
    assert_int_equal(test_correct(&charge.id, &outcome, &view), PHOTA_OK);
    assert_int_equal(view.outputs, 2);
    assert_true(view.cost == 130000 && view.price == 156000);
    test_spent(&view, 156000, 0);

    test_entry(5, &entry);
    assert_true(entry.delta.calls == 0 && entry.delta.cost == -170000);
    assert_true(entry.delta.price == -204000);
    assert_string_equal(entry.by, "reconcile");
    assert_string_equal(entry.note, "bill of May");

    outcome.state = PHOTA_STATE_VOID;
    assert_int_equal(test_correct(&charge.id, &outcome, NULL),
                     PHOTA_INVALID);

    /* by the terms, when there is no bill */

    test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 0);
    assert_int_equal(test_correct(&charge.id, &outcome, &view), PHOTA_OK);
    assert_int_equal(view.flags, 0);
    assert_true(view.cost == 120000 && view.price == 144000);

    test_verify_ok(6);
}


/* what was void was bought all the same */

static void
test_correct_void(void **state)
{
    phota_entry_t    entry;
    phota_charge_t   charge, view;
    phota_outcome_t  outcome;

    (void) state;

    test_charge(&charge, 1, 0, 2);
    test_hold(&charge);
    test_outcome(&outcome, PHOTA_STATE_VOID, 0, 0, 0);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);

    test_bill(&outcome, 240000);
    outcome.status = 200;
    memcpy(outcome.request_id, "req-4", 6);
    assert_int_equal(test_correct(&charge.id, &outcome, &view), PHOTA_OK);
    assert_int_equal(view.state, PHOTA_STATE_SETTLED);
    assert_int_equal(view.outputs, 2);
    assert_int_equal(view.status, 200);
    assert_string_equal(view.request_id, "req-4");
    test_spent(&view, 288000, 0);

    test_entry(3, &entry);
    assert_int_equal(entry.type, PHOTA_ENTRY_CORRECTED);
    assert_true(entry.delta.calls == 1 && entry.delta.outputs == 2);
    assert_true(entry.delta.cost == 240000);

    test_verify_ok(3);
}


static void
test_reversals(void **state)
{
    phota_entry_t    entry;
    phota_charge_t   charge, view, settled;
    phota_outcome_t  outcome;

    (void) state;

    test_charge(&charge, 1, 0, 2);
    test_hold(&charge);
    assert_int_equal(test_reverse(&charge.id, "bob", "", &view),
                     PHOTA_REFUSED);

    test_bill(&outcome, 270000);
    assert_int_equal(test_end(&charge.id, &outcome, &settled), PHOTA_OK);

    assert_int_equal(test_reverse(&charge.id, "b\tb", "", NULL),
                     PHOTA_INVALID);
    assert_int_equal(test_reverse(&charge.id, "bob", "\x7f", NULL),
                     PHOTA_INVALID);
    test_verify_ok(2);

    assert_int_equal(test_reverse(&charge.id, "bob", "blurred", &view),
                     PHOTA_OK);
    assert_int_equal(view.state, PHOTA_STATE_REVERSED);
    assert_int_equal(view.reason, PHOTA_REASON_OPERATOR);
    assert_int_equal(view.outputs, 0);
    assert_int_equal(view.identity_high, 0);
    assert_true(view.cost == 0 && view.cost_high == 0);
    assert_true(view.price == 0 && view.saved == 0);
    test_spent(&view, 0, 0);

    test_entry(3, &entry);
    assert_int_equal(entry.type, PHOTA_ENTRY_REVERSED);
    assert_true(entry.delta.calls == -1 && entry.delta.outputs == -2);
    assert_true(entry.delta.identity_outputs == -1);
    assert_true(entry.delta.cost == -270000);
    assert_true(entry.delta.price == -settled.price);
    assert_string_equal(entry.by, "bob");
    assert_string_equal(entry.note, "blurred");

    /* once */

    assert_int_equal(test_reverse(&charge.id, "bob", "", &settled),
                     PHOTA_REFUSED);
    test_same(&view, &settled);
    assert_int_equal(test_correct(&charge.id, &outcome, NULL),
                     PHOTA_REFUSED);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_REFUSED);

    test_verify_ok(3);
}


/* hits and joins that have a price */

static void
test_sales(void **state)
{
    MDB_txn            *txn;
    phota_entry_t       entry;
    phota_limits_t      limits;
    phota_charge_t      hit, view;
    phota_outcome_t     outcome;
    phota_allowance_t   allowance;

    (void) state;

    limits.day = 120000;
    limits.month = -1;
    limits.total = -1;
    allowance.tenant = &limits;
    allowance.token = NULL;

    test_hit(&hit, 1, 0);
    txn = test_begin(1);
    assert_int_equal(phota_ledger_sell(&test_ledger, txn, &hit, &allowance,
                                       &test_err),
                     PHOTA_OK);
    test_commit(txn);

    assert_int_equal(hit.state, PHOTA_STATE_SETTLED);
    assert_int_equal(hit.reason, PHOTA_REASON_SERVED);
    assert_true(hit.cost == 0 && hit.cost_high == 0 && hit.held == 0);
    assert_true(hit.price == 120000 && hit.saved == 240000);
    test_spent(&hit, 120000, 0);

    test_entry(1, &entry);
    assert_int_equal(entry.type, PHOTA_ENTRY_SETTLED);
    assert_int_equal(entry.first, 1);
    assert_true(entry.delta.calls == 1 && entry.delta.hits == 1);
    assert_true(entry.delta.outputs == 0 && entry.delta.cost == 0);
    assert_true(entry.delta.price == 120000);
    assert_true(entry.delta.saved == 240000);

    /* the limit is reached, the books stay as they are */

    test_hit(&view, 1, 0);
    txn = test_begin(1);
    assert_int_equal(phota_ledger_sell(&test_ledger, txn, &view, &allowance,
                                       &test_err),
                     PHOTA_EXCEEDED);
    assert_int_equal(allowance.shortage.scope, PHOTA_BUDGET_TENANT);
    assert_int_equal(allowance.shortage.period, PHOTA_BUDGET_DAY);
    assert_true(allowance.shortage.left == 0);
    assert_int_equal(phota_ledger_sell(&test_ledger, txn, &hit, NULL,
                                       &test_err),
                     PHOTA_REFUSED);
    view.cached = PHOTA_CACHED_MISS;
    assert_int_equal(phota_ledger_sell(&test_ledger, txn, &view, NULL,
                                       &test_err),
                     PHOTA_INVALID);
    view.cached = PHOTA_CACHED_JOIN;
    view.saved = -1;
    assert_int_equal(phota_ledger_sell(&test_ledger, txn, &view, NULL,
                                       &test_err),
                     PHOTA_INVALID);
    test_commit(txn);
    test_verify_ok(1);

    /* a bill knows nothing of it, the operator may take it back */

    test_bill(&outcome, 240000);
    assert_int_equal(test_correct(&hit.id, &outcome, NULL), PHOTA_REFUSED);
    assert_int_equal(test_reverse(&hit.id, "", "", &view), PHOTA_OK);
    test_spent(&hit, 0, 0);
    test_entry(2, &entry);
    assert_true(entry.delta.calls == -1 && entry.delta.hits == -1);
    assert_true(entry.delta.saved == -240000);

    test_verify_ok(2);
}


static int
test_book(phota_charge_t *charge, const phota_outcome_t *outcome)
{
    MDB_txn  *txn;

    txn = test_begin(1);

    return test_wrote(txn, phota_ledger_book(&test_ledger, txn, charge,
                                             outcome, &test_err));
}


/* what only the bill knows of */

static void
test_booked(void **state)
{
    phota_entry_t     entry;
    phota_charge_t    charge;
    phota_outcome_t   outcome;
    phota_spending_t  spending;

    (void) state;

    test_charge(&charge, 0, PHOTA_OP_OTHER, 1);
    charge.tag[0] = '\0';
    test_bill(&outcome, 120000);
    memcpy(outcome.request_id, "req-9", 6);

    outcome.billed = 0;
    assert_int_equal(test_book(&charge, &outcome), PHOTA_INVALID);
    outcome.billed = 1;
    outcome.state = PHOTA_STATE_VOID;
    assert_int_equal(test_book(&charge, &outcome), PHOTA_INVALID);
    outcome.state = PHOTA_STATE_SETTLED;

    assert_int_equal(test_book(&charge, &outcome), PHOTA_OK);
    assert_int_equal(charge.state, PHOTA_STATE_SETTLED);
    assert_int_equal(charge.flags, PHOTA_CHARGE_BILLED);
    assert_true(charge.cost == 120000 && charge.price == 0);
    assert_true(charge.owner.epoch == 0);
    assert_string_equal(charge.request_id, "req-9");
    assert_int_equal(test_book(&charge, &outcome), PHOTA_REFUSED);

    test_entry(1, &entry);
    assert_int_equal(entry.first, 1);
    assert_string_equal(entry.by, "reconcile");
    assert_int_equal(entry.charge.operation, PHOTA_OP_OTHER);

    test_charge(&charge, 3, 0, 1);
    outcome.outputs = 1;
    assert_int_equal(test_book(&charge, &outcome), PHOTA_OK);
    assert_int_equal(charge.token, 0);
    assert_true(charge.price == 144000);
    spending = test_spending(PHOTA_BUDGET_TENANT, 3, PHOTA_BUDGET_DAY,
                             charge.windows.day);
    assert_true(spending.spent == 144000);

    test_verify_ok(2);
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
        TEST(test_life),
        TEST(test_unknown),
        TEST(test_invalid),
        TEST(test_names),
        TEST(test_billed),
        TEST(test_corrections),
        TEST(test_correct_void),
        TEST(test_reversals),
        TEST(test_sales),
        TEST(test_booked),
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
