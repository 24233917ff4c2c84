
/*
 * ledger: the life of a charge, lists and sums, and a random history against
 * a model.
 */


#include "books.h"


#define TEST_TENANTS  4


typedef struct {
    phota_charge_t   charges[TEST_CHARGES];
    unsigned         n;
    uint64_t         entries;
    phota_usage_t    usage[TEST_TENANTS][4];
} test_model_t;


static void
test_life(void **state)
{
    MDB_txn          *txn;
    phota_id_t        none;
    phota_charge_t    charge, view;
    phota_outcome_t   outcome;

    (void) state;

    test_charge(&charge, 1, 0, 2);
    test_hold(&charge);

    assert_int_equal(charge.state, PHOTA_STATE_HELD);
    assert_true(charge.updated >= charge.time);
    assert_true(charge.owner.epoch == 1);

    txn = test_begin(1);
    assert_int_equal(phota_ledger_hold(&test_ledger, txn, &charge, &test_err),
                     PHOTA_REFUSED);
    test_commit(txn);

    /* more delivered than held for: a settle is never capped */

    test_outcome(&outcome, PHOTA_STATE_SETTLED, 4, 1, 3);
    memcpy(outcome.request_id, "req-1", 6);
    assert_int_equal(test_end(&charge.id, &outcome, &view), PHOTA_OK);

    assert_int_equal(view.state, PHOTA_STATE_SETTLED);
    assert_true(view.cost == 3 * 120000 + 150000);
    assert_true(view.cost_high == 120000 + 3 * 150000);
    assert_true(view.price == view.cost);
    assert_true(view.held == 300000);
    assert_string_equal(view.request_id, "req-1");
    assert_string_equal(view.tag, "tag-2");

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

    txn = test_begin(0);
    assert_int_equal(phota_ledger_get(&test_ledger, txn, &none, &view),
                     PHOTA_DECLINED);
    phota_store_abort(txn);

    test_verify_ok(2);
}


static void
test_unknown(void **state)
{
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
    assert_true(view.cost == 0 && view.price == 0 && view.held == 150000);

    assert_int_equal(test_end(&charge.id, &outcome, &view), PHOTA_REFUSED);

    /* who resolves it may know less of the upstream than was known */

    test_outcome(&outcome, PHOTA_STATE_VOID, 0, 0, 0);
    outcome.status = 0;
    outcome.reason = PHOTA_REASON_OPERATOR;
    assert_int_equal(test_end(&charge.id, &outcome, &view), PHOTA_OK);

    assert_int_equal(view.state, PHOTA_STATE_VOID);
    assert_int_equal(view.status, 500);
    assert_int_equal(view.reason, PHOTA_REASON_OPERATOR);
    assert_string_equal(view.request_id, "req-2");

    test_verify_ok(3);
}


static void
test_invalid(void **state)
{
    MDB_txn          *txn;
    phota_owner_t     self;
    phota_charge_t    charge;
    phota_outcome_t   outcome;

    (void) state;

    test_charge(&charge, 1, 0, 1);
    txn = test_begin(1);

    charge.rate = -1;
    assert_int_equal(phota_ledger_hold(&test_ledger, txn, &charge, &test_err),
                     PHOTA_INVALID);
    charge.rate = INT64_MAX;

    memset(charge.tag, 'x', sizeof(charge.tag));
    assert_int_equal(phota_ledger_hold(&test_ledger, txn, &charge, &test_err),
                     PHOTA_INVALID);
    charge.tag[64] = '\0';

    self = test_ledger.self;
    test_ledger.self.epoch = 0;
    assert_int_equal(phota_ledger_hold(&test_ledger, txn, &charge, &test_err),
                     PHOTA_INVALID);
    test_ledger.self = self;

    assert_int_equal(phota_ledger_hold(&test_ledger, txn, &charge, &test_err),
                     PHOTA_OK);
    test_commit(txn);

    test_outcome(&outcome, PHOTA_STATE_SETTLED, 2, 0, 0);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);
    test_outcome(&outcome, PHOTA_STATE_SETTLED, 2, 2, 1);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);
    test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 2);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);
    test_outcome(&outcome, PHOTA_STATE_HELD, 1, 0, 0);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);
    test_outcome(&outcome, PHOTA_STATE_REVERSED, 1, 0, 0);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);

    test_outcome(&outcome, PHOTA_STATE_VOID, 0, 0, 0);
    memset(outcome.request_id, 'x', sizeof(outcome.request_id));
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_INVALID);

    /* nothing of it was written, and the hold can still end */

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
    assert_string_equal(phota_reason_name(99), "?");
}


/* the model: what the books should say, kept as plainly as can be */

static int
test_usage_check(void *ctx, const phota_usage_t *usage)
{
    test_model_t   *model;
    phota_usage_t  *mine;

    model = ctx;

    assert_true(usage->tenant < TEST_TENANTS && usage->operation < 4);
    mine = &model->usage[usage->tenant][usage->operation];

    assert_true(usage->calls == mine->calls);
    assert_true(usage->hits == mine->hits);
    assert_true(usage->outputs == mine->outputs);
    assert_true(usage->identity_outputs == mine->identity_outputs);
    assert_true(usage->cost == mine->cost);
    assert_true(usage->price == mine->price);
    assert_true(usage->saved == mine->saved);

    mine->calls = UINT64_MAX;

    return PHOTA_OK;
}


static void
test_model_check(test_model_t *model)
{
    unsigned         i, k;
    MDB_txn         *txn;
    test_list_t     *list;
    test_model_t    *copy;
    phota_charge_t  *charge;

    test_verify_ok(model->entries);

    list = calloc(1, sizeof(test_list_t));
    copy = malloc(sizeof(test_model_t));
    assert_non_null(list);
    assert_non_null(copy);
    *copy = *model;

    assert_int_equal(phota_ledger_usage(&test_ledger, 0, 0, test_usage_check,
                                        copy, &test_err),
                     PHOTA_OK);

    /* what usage did not name, the model has nothing of */

    for (i = 0; i < TEST_TENANTS; i++) {
        for (k = 0; k < 4; k++) {
            assert_true(copy->usage[i][k].calls == 0
                        || copy->usage[i][k].calls == UINT64_MAX);
        }
    }

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
    free(copy);
}


static void
test_model_hold(test_model_t *model, MDB_txn *txn)
{
    phota_charge_t  *charge;

    charge = &model->charges[model->n];

    test_charge(charge, (uint32_t) (rand() % TEST_TENANTS),
                (uint8_t) (rand() % 4), (uint32_t) (rand() % 4) + 1);
    charge->rate = rand() % 1000000;
    charge->identity_rate = rand() % 1000000;

    assert_int_equal(phota_ledger_hold(&test_ledger, txn, charge, &test_err),
                     PHOTA_OK);
    model->entries++;
    model->n++;
}


static void
test_model_end(test_model_t *model, MDB_txn *txn)
{
    int               rc, allowed;
    phota_usage_t    *usage;
    phota_charge_t   *charge, view;
    phota_outcome_t   outcome;

    charge = &model->charges[rand() % model->n];

    test_outcome(&outcome, (uint8_t) (PHOTA_STATE_SETTLED + rand() % 3), 0, 0,
                 0);
    outcome.outputs = (uint32_t) (rand() % 5);
    outcome.identity_high = (uint32_t) rand() % (outcome.outputs + 1);
    outcome.identity_low = (uint32_t) rand() % (outcome.identity_high + 1);
    (void) snprintf(outcome.request_id, sizeof(outcome.request_id), "req-%d",
                    rand());

    allowed = charge->state == PHOTA_STATE_HELD
              || (charge->state == PHOTA_STATE_UNKNOWN
                  && outcome.state != PHOTA_STATE_UNKNOWN);

    rc = phota_ledger_end(&test_ledger, txn, &charge->id, &outcome, &view,
                          &test_err);

    assert_int_equal(rc, allowed ? PHOTA_OK : PHOTA_REFUSED);

    if (!allowed) {
        test_same(charge, &view);
        return;
    }

    model->entries++;

    charge->state = outcome.state;
    charge->reason = outcome.reason;
    charge->status = outcome.status;
    charge->updated = view.updated;
    memcpy(charge->request_id, outcome.request_id,
           sizeof(charge->request_id));

    if (outcome.state == PHOTA_STATE_SETTLED) {
        charge->outputs = outcome.outputs;
        charge->identity_low = outcome.identity_low;
        charge->identity_high = outcome.identity_high;
        charge->cost = (outcome.outputs - outcome.identity_low) * charge->rate
                       + outcome.identity_low * charge->identity_rate;
        charge->cost_high = (outcome.outputs - outcome.identity_high)
                            * charge->rate
                            + outcome.identity_high * charge->identity_rate;
        charge->price = charge->cost;

        usage = &model->usage[charge->tenant][charge->operation];
        usage->calls++;
        usage->outputs += charge->outputs;
        usage->identity_outputs += charge->identity_low;
        usage->cost += charge->cost;
        usage->price += charge->price;
    }

    test_same(charge, &view);
}


static void
test_model_hit(test_model_t *model, MDB_txn *txn)
{
    uint32_t        tenant;
    uint8_t         operation;
    phota_usage_t  *usage;

    tenant = (uint32_t) (rand() % TEST_TENANTS);
    operation = (uint8_t) (rand() % 4);

    assert_int_equal(phota_ledger_hit(&test_ledger, txn,
                                      phota_now()
                                      - (uint64_t) (rand() % 3) * TEST_DAY,
                                      tenant, operation, 2, 240000,
                                      &test_err),
                     PHOTA_OK);

    usage = &model->usage[tenant][operation];
    usage->calls += 2;
    usage->hits += 2;
    usage->saved += 240000;
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

            switch (rand() % 8) {

            case 0:
                test_model_hit(model, txn);
                break;

            case 1:
            case 2:
                if (model->n < TEST_CHARGES) {
                    test_model_hold(model, txn);
                }
                break;

            default:
                if (model->n != 0) {
                    test_model_end(model, txn);
                }
            }
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

    test_close();
    test_open(0);

    for (i = 0; i < (int) model->n; i++) {

        /* who owned them has gone with the descriptor of the locks */

        if (model->charges[i].state == PHOTA_STATE_HELD) {
            model->charges[i].state = PHOTA_STATE_UNKNOWN;
            model->charges[i].reason = PHOTA_REASON_ABANDONED;
        }
    }

    test_model_check(model);
    free(model);
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


static int
test_usage_sum(void *ctx, const phota_usage_t *usage)
{
    uint64_t  *calls;

    calls = ctx;
    *calls += usage->calls;

    return PHOTA_OK;
}


static void
test_usage_days(void **state)
{
    MDB_txn   *txn;
    uint64_t   calls, day;

    (void) state;

    day = 20000 * TEST_DAY;
    txn = test_begin(1);

    assert_int_equal(phota_ledger_hit(&test_ledger, txn, day, 1, 0, 1, 5,
                                      &test_err), PHOTA_OK);
    assert_int_equal(phota_ledger_hit(&test_ledger, txn, day + TEST_DAY - 1,
                                      1, 0, 10, 5, &test_err), PHOTA_OK);
    assert_int_equal(phota_ledger_hit(&test_ledger, txn, day + TEST_DAY, 2, 1,
                                      100, 5, &test_err), PHOTA_OK);
    test_commit(txn);

    calls = 0;
    assert_int_equal(phota_ledger_usage(&test_ledger, day, day + TEST_DAY,
                                        test_usage_sum, &calls, &test_err),
                     PHOTA_OK);
    assert_true(calls == 11);

    calls = 0;
    assert_int_equal(phota_ledger_usage(&test_ledger, day + 5,
                                        day + TEST_DAY + 1, test_usage_sum,
                                        &calls, &test_err),
                     PHOTA_OK);
    assert_true(calls == 111);

    calls = 0;
    assert_int_equal(phota_ledger_usage(&test_ledger, day + TEST_DAY, 0,
                                        test_usage_sum, &calls, &test_err),
                     PHOTA_OK);
    assert_true(calls == 100);

    test_verify_ok(0);
}


/*
 * An entry under a clock that is a year ahead dates those that follow, but not
 * the money: sums and lists of a day agree.
 */

static void
test_wrong_clock(void **state)
{
    uint64_t         now, day, calls;
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
    assert_int_equal(phota_id_create(&charge.id, now), PHOTA_OK);
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
                                        test_usage_sum, &calls, &test_err),
                     PHOTA_OK);
    assert_true(calls == 1);

    /* settled out of the order of their days */

    assert_int_equal(test_end(&ahead.id, &outcome, NULL), PHOTA_OK);

    test_charge(&charge, 2, 1, 1);
    assert_int_equal(phota_id_create(&charge.id, now - 2 * TEST_DAY),
                     PHOTA_OK);
    test_hold(&charge);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);

    calls = 0;
    assert_int_equal(phota_ledger_usage(&test_ledger, day - 2 * TEST_DAY,
                                        day - TEST_DAY, test_usage_sum,
                                        &calls, &test_err),
                     PHOTA_OK);
    assert_true(calls == 1);

    test_verify_ok(6);
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


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_life),
        TEST(test_unknown),
        TEST(test_invalid),
        TEST(test_names),
        TEST(test_history),
        TEST(test_each_range),
        TEST(test_usage_days),
        TEST(test_wrong_clock),
        TEST(test_end_while_listed)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
