
/*
 * ledger: a random history against a model, what verify finds, who is alive,
 * and what a killed writer leaves behind.  Real files, real processes; the
 * clock is ours.
 */


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
#define TEST_TENANTS  4


typedef struct {
    phota_charge_t   charges[TEST_CHARGES];
    unsigned         n;
    uint64_t         entries;
    phota_usage_t    usage[TEST_TENANTS][4];
} test_model_t;


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


static void
test_open(unsigned flags)
{
    assert_int_equal(phota_store_open(&test_store, test_dir, "books",
                                      PHOTA_BOOKS_SCHEMA, TEST_MAP, flags,
                                      &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_ledger_open(&test_ledger, &test_store, &test_err),
                     PHOTA_OK);
}


static void
test_close(void)
{
    phota_ledger_close(&test_ledger);
    phota_store_close(&test_store);
}


static int
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


static int
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


static MDB_txn *
test_begin(int write)
{
    MDB_txn  *txn;

    assert_int_equal(phota_store_begin(&test_store, write, &txn, &test_err),
                     PHOTA_OK);

    return txn;
}


static void
test_commit(MDB_txn *txn)
{
    assert_int_equal(phota_store_commit(txn, &test_err), PHOTA_OK);
}


static void
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


static void
test_hold(phota_charge_t *charge)
{
    MDB_txn  *txn;

    txn = test_begin(1);
    assert_int_equal(phota_ledger_hold(&test_ledger, txn, charge, &test_err),
                     PHOTA_OK);
    test_commit(txn);
}


static void
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


static int
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


static int
test_verify(uint64_t *entries)
{
    u_char  chain[PHOTA_SHA256_LEN];

    return phota_ledger_verify(&test_ledger, entries, chain, &test_err);
}


static void
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


static int
test_collect(void *ctx, const phota_charge_t *charge)
{
    test_list_t  *list;

    list = ctx;

    assert_true(list->n < TEST_CHARGES);
    list->charges[list->n++] = *charge;

    return PHOTA_OK;
}


static void
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


/* what verify must find: each damage on fresh books of ten entries */

static void
test_ten(phota_id_t *first)
{
    int              i;
    phota_charge_t   charge;
    phota_outcome_t  outcome;

    test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 0);

    for (i = 0; i < 6; i++) {
        test_charge(&charge, 1, 0, 1);
        test_hold(&charge);

        if (i == 0) {
            *first = charge.id;
        }

        if (i < 4) {
            assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);
        }
    }

    test_verify_ok(10);
}


static void
test_entry_get(MDB_txn *txn, uint8_t n, MDB_val *value, u_char *copy)
{
    MDB_val  key;
    u_char   name[8];

    memset(name, 0, sizeof(name));
    name[7] = n;
    key.mv_data = name;
    key.mv_size = sizeof(name);

    assert_int_equal(mdb_get(txn, test_ledger.entries, &key, value), 0);
    assert_true(value->mv_size < 1024);
    memcpy(copy, value->mv_data, value->mv_size);
    value->mv_data = copy;
}


static void
test_entry_put(MDB_txn *txn, uint8_t n, MDB_val *value)
{
    MDB_val  key;
    u_char   name[8];

    memset(name, 0, sizeof(name));
    name[7] = n;
    key.mv_data = name;
    key.mv_size = sizeof(name);

    if (value == NULL) {
        assert_int_equal(mdb_del(txn, test_ledger.entries, &key, NULL), 0);
        return;
    }

    assert_int_equal(mdb_put(txn, test_ledger.entries, &key, value, 0), 0);
}


static void
test_found(const char *text)
{
    uint64_t  entries;

    assert_int_equal(test_verify(&entries), PHOTA_INVALID);

    if (strstr(test_err.text, text) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", text, test_err.text);
    }
}


static void
test_verify_bytes(void **state)
{
    size_t      i, len;
    u_char      buf[1024], keep[1024];
    MDB_val     value;
    MDB_txn    *txn;
    phota_id_t  id;

    (void) state;

    test_ten(&id);

    txn = test_begin(0);
    test_entry_get(txn, 5, &value, keep);
    phota_store_abort(txn);
    len = value.mv_size;

    /* every byte of an entry, and every length */

    for (i = 0; i < len; i++) {
        memcpy(buf, keep, len);
        buf[i] ^= 0x04;

        txn = test_begin(1);
        value.mv_data = buf;
        value.mv_size = len;
        test_entry_put(txn, 5, &value);
        test_commit(txn);

        test_found("entry 5");
    }

    for (i = 0; i < len; i += 7) {
        txn = test_begin(1);
        value.mv_data = keep;
        value.mv_size = i;
        test_entry_put(txn, 5, &value);
        test_commit(txn);

        test_found("entry 5");
    }

    txn = test_begin(1);
    value.mv_data = keep;
    value.mv_size = len;
    test_entry_put(txn, 5, &value);
    test_commit(txn);

    test_verify_ok(10);
}


static void
test_verify_missing(void **state)
{
    MDB_txn     *txn;
    phota_id_t   id;

    (void) state;

    test_ten(&id);

    txn = test_begin(1);
    test_entry_put(txn, 4, NULL);
    test_commit(txn);

    test_found("entry 4 is missing");
}


static void
test_verify_cut(void **state)
{
    MDB_txn     *txn;
    phota_id_t   id;

    (void) state;

    test_ten(&id);

    txn = test_begin(1);
    test_entry_put(txn, 10, NULL);
    test_commit(txn);

    test_found("ends with entry 9, and should with 10");
}


static void
test_verify_swapped(void **state)
{
    u_char       three[1024], four[1024];
    MDB_val      a, b;
    MDB_txn     *txn;
    phota_id_t   id;

    (void) state;

    test_ten(&id);

    txn = test_begin(1);
    test_entry_get(txn, 3, &a, three);
    test_entry_get(txn, 4, &b, four);
    test_entry_put(txn, 3, &b);
    test_entry_put(txn, 4, &a);
    test_commit(txn);

    test_found("entry 3");
}


static void
test_verify_end(void **state)
{
    u_char       buf[1024];
    MDB_val      key, value;
    MDB_txn     *txn;
    phota_id_t   id;

    (void) state;

    test_ten(&id);

    txn = test_begin(1);
    key.mv_data = "chain";
    key.mv_size = 5;
    assert_int_equal(mdb_get(txn, test_store.meta, &key, &value), 0);
    memcpy(buf, value.mv_data, value.mv_size);
    value.mv_data = buf;
    buf[value.mv_size - 1] ^= 1;
    assert_int_equal(mdb_put(txn, test_store.meta, &key, &value, 0), 0);
    test_commit(txn);
    test_found("entry 10 is not the one that was written last");

    txn = test_begin(1);
    value.mv_size--;
    assert_int_equal(mdb_put(txn, test_store.meta, &key, &value, 0), 0);
    test_commit(txn);
    test_found("the chain's end is damaged");
}


/* the views: a byte of a charge, a charge, an open one, a roll-up */

static void
test_verify_views(void **state)
{
    size_t       i, len;
    u_char       buf[1024], keep[1024], row[9];
    MDB_dbi      dbi;
    MDB_val      key, value;
    MDB_txn     *txn;
    MDB_cursor  *cursor;
    phota_id_t   id;

    (void) state;

    test_ten(&id);

    key.mv_data = id.b;
    key.mv_size = sizeof(phota_id_t);
    dbi = test_ledger.charges;

    txn = test_begin(0);
    assert_int_equal(mdb_get(txn, dbi, &key, &value), 0);
    len = value.mv_size;
    memcpy(keep, value.mv_data, len);
    phota_store_abort(txn);

    for (i = 0; i < len; i++) {
        memcpy(buf, keep, len);
        buf[i] ^= 0x10;
        value.mv_data = buf;

        txn = test_begin(1);
        assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
        test_commit(txn);

        test_found("charge ch_");
    }

    txn = test_begin(1);
    assert_int_equal(mdb_del(txn, dbi, &key, NULL), 0);
    test_commit(txn);
    test_found("is missing");

    value.mv_data = keep;
    txn = test_begin(1);
    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    test_commit(txn);
    test_verify_ok(10);

    /* one too many */

    memset(buf, 0x77, sizeof(phota_id_t));
    key.mv_data = buf;

    txn = test_begin(1);
    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    test_commit(txn);
    test_found("there are 7 charges, 6 holds");

    txn = test_begin(1);
    assert_int_equal(mdb_del(txn, dbi, &key, NULL), 0);
    value.mv_size = 0;
    assert_int_equal(mdb_put(txn, test_ledger.open, &key, &value, 0), 0);
    test_commit(txn);
    test_found("3 charges are listed as open, 2 are");

    txn = test_begin(1);
    assert_int_equal(mdb_del(txn, test_ledger.open, &key, NULL), 0);
    test_commit(txn);
    test_verify_ok(10);

    /* the roll-up, which is one row */

    txn = test_begin(1);
    assert_int_equal(mdb_cursor_open(txn, test_ledger.rollups, &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_FIRST), 0);
    memcpy(row, key.mv_data, 9);
    memcpy(keep, value.mv_data, value.mv_size);
    mdb_cursor_close(cursor);
    key.mv_data = row;
    value.mv_data = keep;
    keep[1]++;
    assert_int_equal(mdb_put(txn, test_ledger.rollups, &key, &value, 0), 0);
    test_commit(txn);
    test_found("roll-up");

    txn = test_begin(1);
    assert_int_equal(mdb_del(txn, test_ledger.rollups, &key, NULL), 0);
    test_commit(txn);
    test_found("roll-up");

    txn = test_begin(1);
    keep[1]--;
    assert_int_equal(mdb_put(txn, test_ledger.rollups, &key, &value, 0), 0);
    row[3]++;
    assert_int_equal(mdb_put(txn, test_ledger.rollups, &key, &value, 0), 0);
    test_commit(txn);
    test_found("roll-up");
}


/* damaged records: refused by those who read and write, never a crash */

static void
test_damaged(void **state)
{
    size_t            i, len;
    u_char            keep[1024];
    MDB_val           key, value;
    MDB_txn          *txn;
    phota_id_t        id;
    test_list_t      *list;
    phota_charge_t    charge;
    phota_outcome_t   outcome;

    (void) state;

    list = calloc(1, sizeof(test_list_t));
    assert_non_null(list);

    test_ten(&id);

    key.mv_data = id.b;
    key.mv_size = sizeof(phota_id_t);

    txn = test_begin(0);
    assert_int_equal(mdb_get(txn, test_ledger.charges, &key, &value), 0);
    len = value.mv_size;
    memcpy(keep, value.mv_data, len);
    phota_store_abort(txn);

    test_outcome(&outcome, PHOTA_STATE_VOID, 0, 0, 0);

    for (i = 0; i < len; i++) {
        value.mv_data = keep;
        value.mv_size = i;

        txn = test_begin(1);
        assert_int_equal(mdb_put(txn, test_ledger.charges, &key, &value, 0),
                         0);
        assert_int_equal(phota_ledger_get(&test_ledger, txn, &id, &charge),
                         PHOTA_ERROR);
        assert_int_equal(phota_ledger_end(&test_ledger, txn, &id, &outcome,
                                          NULL, &test_err),
                         PHOTA_ERROR);
        test_commit(txn);
    }

    assert_int_equal(phota_ledger_each(&test_ledger, 0, 0, test_collect, list,
                                       &test_err),
                     PHOTA_ERROR);
    assert_non_null(strstr(test_err.text, "ch_"));

    free(list);
}


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
            || phota_ledger_hold(&ledger, txn, &charge, NULL) != PHOTA_OK
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

            if (phota_ledger_hold(&ledger, txn, &charges[k], NULL) != PHOTA_OK
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
    int       fds[2], i, rc;
    pid_t     pid;
    unsigned  n;
    uint64_t  entries;

    (void) state;

    n = 0;

    for (i = 0; i < 20; i++) {

        /* the pipe holds what was said before the end */

        pid = test_fork_writer(fds, 1 + (unsigned) i % 5, 1000);

        (void) usleep(3000 + (useconds_t) (i * 1700));
        test_kill(pid);

        test_close();
        test_open(0);

        n += test_acknowledged(fds[0]);

        rc = test_verify(&entries);

        if (rc != PHOTA_OK) {
            fail_msg("%s", test_err.text);
        }

        assert_true(entries >= n);
    }

    assert_true(n > 0);
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


#define TEST(name)                                                            \
    cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)


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
        TEST(test_verify_bytes),
        TEST(test_verify_missing),
        TEST(test_verify_cut),
        TEST(test_verify_swapped),
        TEST(test_verify_end),
        TEST(test_verify_views),
        TEST(test_damaged),
        TEST(test_owners),
        TEST(test_read_only),
        TEST(test_end_while_listed),
        TEST(test_killed_writer),
        TEST(test_two_writers)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
