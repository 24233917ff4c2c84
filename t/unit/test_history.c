
/*
 * history: all that can be written, at random, under a clock that jumps,
 * against a model of the books that is as plain as can be.
 */


#include "books.h"
#include "phota_ledger_record.h"


#define TEST_TENANTS   4                /* 0: nobody */
#define TEST_ROWS      4096
#define TEST_COUNTERS  1024


typedef struct {
    uint32_t          tenant;
    uint32_t          token;
    uint8_t           period;
    uint32_t          window;
    phota_spending_t  spending;
} test_counter_t;


typedef struct {
    phota_charge_t    charges[TEST_CHARGES];
    unsigned          n;
    uint64_t          entries;
    phota_usage_t     rows[TEST_ROWS];
    unsigned          nrows;
    test_counter_t    counters[TEST_COUNTERS];
    unsigned          ncounters;
    int64_t           seen;             /* calls, by the handler */
    unsigned          by;
} test_model_t;


static const char  *test_tags[] = { "", "x", "a longer one" };


static void
test_model_row(test_model_t *model, uint32_t day, const phota_usage_t *name,
    const phota_sum_t *sum, int64_t sign)
{
    unsigned        i;
    phota_usage_t  *row;

    for (i = 0; i < model->nrows; i++) {
        row = &model->rows[i];

        if (row->day == day && row->tenant == name->tenant
            && row->token == name->token && row->operation == name->operation
            && strcmp(row->tag, name->tag) == 0)
        {
            break;
        }
    }

    assert_true(i < TEST_ROWS);
    row = &model->rows[i];

    if (i == model->nrows) {
        model->nrows++;
        *row = *name;
        row->day = day;
    }

    row->sum.calls += sign * sum->calls;
    row->sum.hits += sign * sum->hits;
    row->sum.outputs += sign * sum->outputs;
    row->sum.identity_outputs += sign * sum->identity_outputs;
    row->sum.cost += sign * sum->cost;
    row->sum.price += sign * sum->price;
    row->sum.saved += sign * sum->saved;
}


static uint32_t
test_model_day(uint64_t time)
{
    MDB_txn        *txn;
    uint64_t        now, end;
    phota_chain_t   chain;

    now = phota_now();
    end = (time / TEST_DAY + 1) * TEST_DAY;

    /* a clock that was set back a little opens no day again */

    assert_int_equal(phota_store_begin(&test_store, 0, &txn, &test_err),
                     PHOTA_OK);
    assert_true(phota_chain_read(&test_ledger, txn, &chain) != PHOTA_ERROR);
    phota_store_abort(txn);

    if (chain.time > now && chain.time - now <= TEST_DAY) {
        now = chain.time;
    }

    return (uint32_t) ((now < end + TEST_HOUR ? time : now) / TEST_DAY);
}


/* what a charge stands for, added or taken away */

static void
test_model_count(test_model_t *model, const phota_charge_t *charge,
    int64_t sign)
{
    phota_sum_t    sum;
    phota_usage_t  name;

    if (charge->state != PHOTA_STATE_SETTLED) {
        return;
    }

    memset(&sum, 0, sizeof(phota_sum_t));
    memset(&name, 0, sizeof(phota_usage_t));

    name.tenant = charge->tenant;
    name.token = charge->token;
    name.operation = charge->operation;
    memcpy(name.tag, charge->tag, sizeof(name.tag));

    sum.calls = 1;
    sum.cost = charge->cost;
    sum.price = charge->price;
    sum.saved = charge->saved;

    if (charge->cached == PHOTA_CACHED_HIT) {
        sum.hits = 1;

    } else {
        sum.outputs = charge->outputs;
        sum.identity_outputs = charge->identity_low;
    }

    test_model_row(model, test_model_day(charge->time), &name, &sum, sign);
}


static test_counter_t *
test_model_counter(test_model_t *model, uint32_t tenant, uint32_t token,
    unsigned period, uint32_t window)
{
    unsigned         i;
    test_counter_t  *c;

    for (i = 0; i < model->ncounters; i++) {
        c = &model->counters[i];

        if (c->tenant == tenant && c->token == token && c->period == period
            && c->window == window)
        {
            return c;
        }
    }

    assert_true(i < TEST_COUNTERS);
    c = &model->counters[i];
    model->ncounters++;

    c->tenant = tenant;
    c->token = token;
    c->period = (uint8_t) period;
    c->window = window;

    return c;
}


static void
test_model_spend(test_model_t *model, const phota_charge_t *charge,
    int64_t sign)
{
    int64_t          spent, held;
    unsigned         scope, period;
    uint32_t         token, window;
    test_counter_t  *c;

    spent = (charge->state == PHOTA_STATE_SETTLED) ? charge->price : 0;
    held = (charge->state == PHOTA_STATE_HELD
            || charge->state == PHOTA_STATE_UNKNOWN) ? charge->held : 0;

    for (scope = PHOTA_BUDGET_TENANT; scope <= PHOTA_BUDGET_TOKEN; scope++) {

        token = (scope == PHOTA_BUDGET_TENANT) ? 0 : charge->token;

        if (charge->tenant == 0
            || (scope == PHOTA_BUDGET_TOKEN && token == 0))
        {
            continue;
        }

        for (period = PHOTA_BUDGET_DAY; period <= PHOTA_BUDGET_TOTAL;
             period++)
        {
            window = (period == PHOTA_BUDGET_DAY) ? charge->windows.day
                     : (period == PHOTA_BUDGET_MONTH) ? charge->windows.month
                     : 0;

            c = test_model_counter(model, charge->tenant, token, period,
                                   window);
            c->spending.spent += sign * spent;
            c->spending.held += sign * held;
        }
    }
}


/* from one view to the next; NULL: it begins */

static void
test_model_move(test_model_t *model, phota_charge_t *charge,
    const phota_charge_t *next)
{
    if (charge->state != 0) {
        test_model_count(model, charge, -1);
        test_model_spend(model, charge, -1);
    }

    *charge = *next;

    test_model_count(model, charge, 1);
    test_model_spend(model, charge, 1);

    model->entries++;
}


static int64_t
test_model_price(const phota_charge_t *charge, int64_t cost)
{
    const phota_terms_t  *terms;

    if (charge->tenant == 0) {
        return 0;
    }

    terms = &charge->terms;

    if (terms->flags & PHOTA_TERMS_FIXED) {
        return (terms->fixed * (charge->outputs - charge->identity_low)
                + terms->fixed_identity * charge->identity_low)
               * terms->share / PHOTA_PPM;
    }

    /* what is drawn are whole cents and quarters: nothing is rounded */

    return cost / 10000 * ((PHOTA_PPM + terms->markup) / 250000)
           * (terms->share / 250000) * 625;
}


static void
test_model_amounts(phota_charge_t *charge)
{
    int64_t  rate, identity;

    rate = charge->terms.rate;
    identity = charge->terms.identity_rate;

    if (!(charge->flags & PHOTA_CHARGE_BILLED)) {
        charge->cost = (charge->outputs - charge->identity_low) * rate
                       + charge->identity_low * identity;
        charge->cost_high = (charge->outputs - charge->identity_high) * rate
                            + charge->identity_high * identity;
    }

    charge->price = test_model_price(charge, charge->cost);
}


/* a charge to begin with, of terms that are drawn */

static void
test_model_draw(test_model_t *model, phota_charge_t *charge)
{
    memset(&model->charges[model->n], 0, sizeof(phota_charge_t));

    test_charge(charge, (uint32_t) (rand() % TEST_TENANTS),
                (uint8_t) (rand() % 4), (uint32_t) (rand() % 4) + 1);

    charge->token = (uint32_t) (rand() % 3);
    charge->asked_identity = (uint32_t) rand() % (charge->asked + 1);
    charge->terms.rate = (int64_t) (rand() % 100) * 10000;
    charge->terms.identity_rate = charge->terms.rate
                                  + (int64_t) (rand() % 10) * 10000;
    charge->terms.markup = (rand() % 5 - 2) * 250000;

    memset(charge->tag, 0, sizeof(charge->tag));
    (void) snprintf(charge->tag, sizeof(charge->tag), "%s",
                    test_tags[rand() % 3]);

    if (rand() % 4 == 0) {
        charge->terms.flags = PHOTA_TERMS_FIXED;
        charge->terms.fixed = 200000;
        charge->terms.fixed_identity = 300000;
    }
}


static void
test_model_hold(test_model_t *model, MDB_txn *txn)
{
    int64_t         cost;
    phota_charge_t  charge, view;

    test_model_draw(model, &charge);
    view = charge;

    assert_int_equal(phota_ledger_hold(&test_ledger, txn, &view, NULL,
                                       &test_err),
                     PHOTA_OK);

    charge.state = PHOTA_STATE_HELD;
    charge.time = view.time;
    charge.updated = view.updated;
    charge.owner = test_ledger.self;

    charge.outputs = charge.asked;
    charge.identity_low = charge.asked_identity;
    cost = (charge.asked - charge.asked_identity) * charge.terms.rate
           + charge.asked_identity * charge.terms.identity_rate;
    charge.held = test_model_price(&charge, cost);
    charge.outputs = 0;
    charge.identity_low = 0;

    test_same(&charge, &view);
    test_model_move(model, &model->charges[model->n++], &charge);
}


static void
test_model_sell(test_model_t *model, MDB_txn *txn)
{
    phota_charge_t  charge, view;

    test_model_draw(model, &charge);

    charge.cached = PHOTA_CACHED_HIT;
    charge.terms.share = PHOTA_PPM / 4;
    charge.outputs = (uint32_t) (rand() % 4);
    charge.identity_low = (uint32_t) rand() % (charge.outputs + 1);
    charge.saved = (int64_t) (rand() % 100) * 40000;
    view = charge;

    assert_int_equal(phota_ledger_sell(&test_ledger, txn, &view, NULL,
                                       &test_err),
                     PHOTA_OK);

    charge.state = PHOTA_STATE_SETTLED;
    charge.reason = PHOTA_REASON_SERVED;
    charge.time = view.time;
    charge.updated = view.updated;
    charge.owner = test_ledger.self;
    charge.identity_high = charge.identity_low;
    charge.price = test_model_price(&charge, charge.saved);

    test_same(&charge, &view);
    test_model_move(model, &model->charges[model->n++], &charge);
}


static void
test_model_book(test_model_t *model, MDB_txn *txn)
{
    phota_charge_t   charge, view;
    phota_outcome_t  outcome;

    test_model_draw(model, &charge);

    test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 0);
    outcome.reason = PHOTA_REASON_BILL;
    outcome.billed = 1;
    outcome.cost = (int64_t) (rand() % 50) * 40000;
    view = charge;

    assert_int_equal(phota_ledger_book(&test_ledger, txn, &view, &outcome,
                                       &test_err),
                     PHOTA_OK);

    charge.state = PHOTA_STATE_SETTLED;
    charge.reason = PHOTA_REASON_BILL;
    charge.flags = PHOTA_CHARGE_BILLED;
    charge.status = 200;
    charge.time = view.time;
    charge.updated = view.updated;
    charge.token = (charge.tenant != 0) ? charge.token : 0;
    charge.asked = 0;
    charge.asked_identity = 0;
    charge.outputs = 1;
    charge.cost = outcome.cost;
    charge.cost_high = outcome.cost;
    charge.price = test_model_price(&charge, charge.cost);

    test_same(&charge, &view);
    test_model_move(model, &model->charges[model->n++], &charge);
}


static void
test_model_drawn_end(phota_outcome_t *outcome)
{
    test_outcome(outcome, (uint8_t) (PHOTA_STATE_SETTLED + rand() % 3), 0, 0,
                 0);

    outcome->outputs = (uint32_t) (rand() % 4) + 1;
    outcome->identity_high = (uint32_t) rand() % (outcome->outputs + 1);
    outcome->identity_low = (uint32_t) rand() % (outcome->identity_high + 1);
    outcome->billed = (rand() % 3 == 0);
    outcome->cost = (int64_t) (rand() % 50) * 40000;

    (void) snprintf(outcome->request_id, sizeof(outcome->request_id),
                    "req-%d", rand());
}


static void
test_model_apply(phota_charge_t *next, const phota_outcome_t *outcome)
{
    next->state = outcome->state;
    next->reason = outcome->reason;
    next->status = outcome->status;
    memcpy(next->request_id, outcome->request_id, sizeof(next->request_id));

    if (outcome->state != PHOTA_STATE_SETTLED) {
        return;
    }

    next->outputs = outcome->outputs;
    next->identity_low = outcome->identity_low;
    next->identity_high = outcome->identity_high;
    next->flags = 0;

    if (outcome->billed) {
        next->flags = PHOTA_CHARGE_BILLED;
        next->cost = outcome->cost;
        next->cost_high = outcome->cost;
    }

    test_model_amounts(next);
}


static void
test_model_end(test_model_t *model, MDB_txn *txn)
{
    int               rc, allowed;
    phota_charge_t   *charge, next, view;
    phota_outcome_t   outcome;

    charge = &model->charges[rand() % model->n];
    test_model_drawn_end(&outcome);

    allowed = charge->state == PHOTA_STATE_HELD
              || (charge->state == PHOTA_STATE_UNKNOWN
                  && outcome.state != PHOTA_STATE_UNKNOWN);

    rc = phota_ledger_end(&test_ledger, txn, &charge->id, &outcome, &view,
                          &test_err);

    assert_int_equal(rc, allowed ? PHOTA_OK : PHOTA_REFUSED);

    next = *charge;

    if (allowed) {
        test_model_apply(&next, &outcome);
        next.updated = view.updated;
        test_model_move(model, charge, &next);
    }

    test_same(&next, &view);
}


static void
test_model_correct(test_model_t *model, MDB_txn *txn)
{
    int               rc, allowed;
    phota_charge_t   *charge, next, view;
    phota_outcome_t   outcome;

    charge = &model->charges[rand() % model->n];
    test_model_drawn_end(&outcome);
    outcome.state = PHOTA_STATE_SETTLED;
    outcome.identity_high = outcome.identity_low;

    next = *charge;
    test_model_apply(&next, &outcome);

    allowed = charge->cached != PHOTA_CACHED_HIT
              && (charge->state == PHOTA_STATE_VOID
                  || (charge->state == PHOTA_STATE_SETTLED
                      && (next.outputs != charge->outputs
                          || next.identity_low != charge->identity_low
                          || next.identity_high != charge->identity_high
                          || next.cost != charge->cost
                          || next.cost_high != charge->cost_high)));

    rc = phota_ledger_correct(&test_ledger, txn, &charge->id, &outcome, &view,
                              &test_err);

    assert_int_equal(rc, allowed ? PHOTA_OK : PHOTA_REFUSED);

    if (!allowed) {
        test_same(charge, &view);
        return;
    }

    next.updated = view.updated;
    test_same(&next, &view);
    test_model_move(model, charge, &next);
}


static void
test_model_reverse(test_model_t *model, MDB_txn *txn)
{
    int              rc;
    phota_charge_t  *charge, next, view;

    charge = &model->charges[rand() % model->n];

    rc = phota_ledger_reverse(&test_ledger, txn, &charge->id,
                              PHOTA_REASON_OPERATOR, "me", "why", &view,
                              &test_err);

    if (charge->state != PHOTA_STATE_SETTLED) {
        assert_int_equal(rc, PHOTA_REFUSED);
        test_same(charge, &view);
        return;
    }

    assert_int_equal(rc, PHOTA_OK);

    next = *charge;
    next.state = PHOTA_STATE_REVERSED;
    next.reason = PHOTA_REASON_OPERATOR;
    next.flags = 0;
    next.updated = view.updated;
    next.outputs = 0;
    next.identity_low = 0;
    next.identity_high = 0;
    next.cost = 0;
    next.cost_high = 0;
    next.price = 0;
    next.saved = 0;

    test_same(&next, &view);
    test_model_move(model, charge, &next);
}


static void
test_model_hit(test_model_t *model, MDB_txn *txn)
{
    uint64_t       time;
    phota_sum_t    sum;
    phota_usage_t  name;

    memset(&name, 0, sizeof(phota_usage_t));
    memset(&sum, 0, sizeof(phota_sum_t));

    time = phota_now() - (uint64_t) (rand() % 3) * TEST_DAY / 2;
    name.tenant = (uint32_t) (rand() % TEST_TENANTS);
    name.token = (uint32_t) (rand() % 3);
    name.operation = (uint8_t) (rand() % 4);
    (void) snprintf(name.tag, sizeof(name.tag), "%s", test_tags[rand() % 3]);

    sum.calls = 2;
    sum.hits = 2;
    sum.saved = 240000;

    assert_int_equal(phota_ledger_hit(&test_ledger, txn, time, name.tenant,
                                      name.token, name.operation, name.tag,
                                      2, 240000, &test_err),
                     PHOTA_OK);

    test_model_row(model, test_model_day(time), &name, &sum, 1);
}


/* entries of free hits: as many as there are loose rows, at most four */

static void
test_model_tally(test_model_t *model, MDB_txn *txn)
{
    int       more;
    MDB_stat  stat;
    uint64_t  loose;

    assert_int_equal(mdb_stat(txn, test_ledger.loose, &stat), 0);
    loose = stat.ms_entries;

    assert_int_equal(phota_ledger_tally(&test_ledger, txn, 4, &more,
                                        &test_err),
                     PHOTA_OK);

    assert_int_equal(more, loose > 4);
    model->entries += (loose > 4) ? 4 : loose;
}


static int
test_usage_check(void *ctx, const phota_usage_t *usage)
{
    unsigned        i;
    phota_sum_t     sum;
    test_model_t   *model;
    phota_usage_t  *row;

    model = ctx;
    memset(&sum, 0, sizeof(phota_sum_t));

    for (i = 0; i < model->nrows; i++) {
        row = &model->rows[i];

        if (row->tenant == usage->tenant && row->operation == usage->operation
            && (model->by != PHOTA_USAGE_DAY || row->day == usage->day)
            && (model->by != PHOTA_USAGE_TOKEN || row->token == usage->token)
            && (model->by != PHOTA_USAGE_TAG
                || strcmp(row->tag, usage->tag) == 0))
        {
            phota_sum_add(&sum, &row->sum);
        }
    }

    assert_memory_equal(&sum, &usage->sum, sizeof(phota_sum_t));
    model->seen += sum.calls;

    return PHOTA_OK;
}


/* what usage doesn't name, the model has nothing of */

static void
test_model_usage(test_model_t *model)
{
    int64_t   calls;
    unsigned  i;

    calls = 0;

    for (i = 0; i < model->nrows; i++) {
        calls += model->rows[i].sum.calls;
    }

    for (model->by = PHOTA_USAGE_OPERATION; model->by <= PHOTA_USAGE_TAG;
         model->by++)
    {
        model->seen = 0;
        assert_int_equal(phota_ledger_usage(&test_ledger, 0, 0, model->by,
                                            test_usage_check, model,
                                            &test_err),
                         PHOTA_OK);
        assert_true(model->seen == calls);
    }
}


static void
test_model_budgets(test_model_t *model)
{
    unsigned         i;
    MDB_txn         *txn;
    test_counter_t  *c;

    phota_spending_t  spending;

    txn = test_begin(0);

    for (i = 0; i < model->ncounters; i++) {
        c = &model->counters[i];

        assert_int_equal(phota_budget_get(&test_ledger.budgets, txn, c->tenant,
                                          c->token, c->period, c->window,
                                          &spending, &test_err),
                         PHOTA_OK);
        assert_true(spending.spent == c->spending.spent);
        assert_true(spending.held == c->spending.held);
    }

    phota_store_abort(txn);
}


static void
test_model_charges(test_model_t *model)
{
    unsigned         i, k;
    MDB_txn         *txn;
    test_list_t     *list;
    phota_charge_t  *charge;

    list = calloc(1, sizeof(test_list_t));
    assert_non_null(list);

    assert_int_equal(phota_ledger_each(&test_ledger, 0, 0, test_collect, list,
                                       &test_err),
                     PHOTA_OK);
    assert_int_equal(list->n, model->n);

    for (i = 0; i < model->n; i++) {

        /* ids of one ms sort by chance */

        for (k = 0; k < model->n; k++) {
            if (memcmp(&model->charges[i].id, &list->charges[k].id, 16) == 0) {
                break;
            }
        }

        assert_true(k < model->n);
        test_same(&model->charges[i], &list->charges[k]);
        assert_true(i == 0 || memcmp(&list->charges[i - 1].id,
                                     &list->charges[i].id, 16) < 0);
    }

    list->n = 0;
    txn = test_begin(0);
    assert_int_equal(phota_ledger_each_open(&test_ledger, txn, test_collect,
                                            list, &test_err),
                     PHOTA_OK);
    phota_store_abort(txn);

    for (i = 0, k = 0; i < model->n; i++) {
        charge = &model->charges[i];
        k += (charge->state == PHOTA_STATE_HELD
              || charge->state == PHOTA_STATE_UNKNOWN);
    }

    assert_int_equal(list->n, k);

    free(list);
}


static void
test_model_check(test_model_t *model)
{
    test_verify_ok(model->entries);

    test_model_usage(model);
    test_model_budgets(model);
    test_model_charges(model);
}


static void
test_model_step(test_model_t *model, MDB_txn *txn)
{
    int  kind;

    kind = rand() % 16;

    if (kind < 6) {

        if (model->n == TEST_CHARGES) {
            return;
        }

        switch (kind) {

        case 0:
            test_model_book(model, txn);
            break;

        case 1:
            test_model_sell(model, txn);
            break;

        default:
            test_model_hold(model, txn);
        }

        return;
    }

    if (kind < 8) {
        test_model_hit(model, txn);
        return;
    }

    if (kind == 8) {
        test_model_tally(model, txn);
        return;
    }

    if (model->n == 0) {
        return;
    }

    switch (kind) {

    case 9:
        test_model_reverse(model, txn);
        break;

    case 10:
    case 11:
        test_model_correct(model, txn);
        break;

    default:
        test_model_end(model, txn);
    }
}


/* who owned them has gone with the descriptor of the locks */

static void
test_model_restart(test_model_t *model)
{
    unsigned  i;

    test_close();
    test_open(0);

    for (i = 0; i < model->n; i++) {
        if (model->charges[i].state == PHOTA_STATE_HELD) {
            model->charges[i].state = PHOTA_STATE_UNKNOWN;
            model->charges[i].reason = PHOTA_REASON_ABANDONED;
        }
    }
}


static void
test_history(void **state)
{
    int            i, k;
    MDB_txn       *txn;
    test_model_t  *model;

    (void) state;

    srand(20261121);

    model = calloc(1, sizeof(test_model_t));
    assert_non_null(model);

    for (i = 0; i < 1500; i++) {

        txn = test_begin(1);

        for (k = rand() % 3; k >= 0; k--) {
            test_model_step(model, txn);
        }

        test_commit(txn);

        /* days go by, and now and then the clock is set back */

        if (i % 97 == 0) {
            test_clock += TEST_DAY / 3;
        }

        if (i % 300 == 299) {
            test_clock -= TEST_DAY / 2;
        }

        if (i % 100 == 0) {
            test_model_check(model);
        }
    }

    assert_true(model->n == TEST_CHARGES);

    test_model_check(model);
    test_model_restart(model);
    test_model_check(model);

    free(model);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_history)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
