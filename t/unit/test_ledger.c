
/*
 * ledger: how a charge begins, ends, is corrected, taken back and sold, and
 * what it refuses.
 */


#include "books.h"
#include "phota_zone.h"


static int
test_correct(const phota_id_t *id, const phota_outcome_t *outcome,
    phota_charge_t *view)
{
    MDB_txn  *txn;

    txn = test_begin(1);

    return test_wrote(txn, phota_ledger_correct(&test_ledger, txn, id,
                                                outcome, view, &test_err));
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
    assert_int_equal(charge.token, 0);
    assert_string_equal(charge.request_id, "req-9");
    assert_int_equal(test_book(&charge, &outcome), PHOTA_REFUSED);

    test_entry(1, &entry);
    assert_int_equal(entry.first, 1);
    assert_string_equal(entry.by, "reconcile");
    assert_int_equal(entry.charge.operation, PHOTA_OP_OTHER);

    test_charge(&charge, 3, 0, 1);
    outcome.outputs = 1;
    assert_int_equal(test_book(&charge, &outcome), PHOTA_OK);
    assert_int_equal(charge.token, 7);
    assert_true(charge.price == 144000);
    spending = test_spending(3, 0, PHOTA_BUDGET_DAY,
                             charge.windows.day);
    assert_true(spending.spent == 144000);
    spending = test_spending(3, 7, PHOTA_BUDGET_DAY,
                             charge.windows.day);
    assert_true(spending.spent == 144000);

    test_verify_ok(2);
}


/* a month of a bill, of whose days some are too long ago for a counter */

static void
test_booked_late(void **state)
{
    uint64_t          now, time;
    unsigned          i, days, late;
    phota_charge_t    charge;
    phota_outcome_t   outcome;
    phota_spending_t  spending;

    (void) state;

    now = phota_now();
    time = phota_zone_month_end(NULL, now - 60 * TEST_DAY);
    late = phota_zone_month(NULL, time);
    days = 0;

    for (i = 0; phota_zone_month(NULL, time) == late; time += TEST_DAY) {
        test_charge(&charge, 3, 0, 1);
        assert_int_equal(phota_id_create(&charge.id, time), PHOTA_OK);
        charge.windows.day = phota_zone_day(NULL, time);
        charge.windows.month = phota_zone_month(NULL, time);
        test_bill(&outcome, 100000);
        outcome.outputs = 1;
        assert_int_equal(test_book(&charge, &outcome), PHOTA_OK);
        i++;
        test_verify_ok(i);

        spending = test_spending(3, 0, PHOTA_BUDGET_DAY,
                                 charge.windows.day);
        days += (spending.spent != 0);
    }

    assert_true(days != 0 && days < i);

    spending = test_spending(3, 0, PHOTA_BUDGET_MONTH, late);
    assert_true(spending.spent == (int64_t) i * 120000);
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
        TEST(test_booked_late)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
