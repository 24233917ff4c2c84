
/*
 * ledger: a charge that is a job's: it outlives its worker, ends once, and
 * verify knows by which entry it became one.
 */


#include "books.h"
#include "phota_operation.h"


static int
test_accept(const phota_id_t *id, unsigned status, const char *request_id,
    phota_charge_t *view)
{
    MDB_txn  *txn;

    txn = test_begin(1);

    return test_wrote(txn, phota_ledger_accept(&test_ledger, txn, id, status,
                                               request_id, view, &test_err));
}


static int
test_resolve(const phota_id_t *id, const phota_outcome_t *outcome)
{
    MDB_txn  *txn;

    txn = test_begin(1);

    return test_wrote(txn, phota_ledger_resolve(&test_ledger, txn, id,
                                                outcome, NULL, &test_err));
}


static void
test_view(const phota_id_t *id, phota_charge_t *view)
{
    MDB_txn  *txn;

    txn = test_begin(0);
    assert_int_equal(phota_ledger_get(&test_ledger, txn, id, view), PHOTA_OK);
    phota_store_abort(txn);
}


/* as lists show it, and whether it is among the open ones */

static unsigned
test_shown(const phota_id_t *id, unsigned *open)
{
    MDB_txn      *txn;
    unsigned      i, state;
    test_list_t  *list;

    list = calloc(2, sizeof(test_list_t));
    assert_non_null(list);

    assert_int_equal(phota_ledger_each(&test_ledger, 0, 0, test_collect,
                                       &list[0], &test_err),
                     PHOTA_OK);

    txn = test_begin(0);
    assert_int_equal(phota_ledger_each_open(&test_ledger, txn, test_collect,
                                            &list[1], &test_err),
                     PHOTA_OK);
    phota_store_abort(txn);

    state = 0;
    *open = 0;

    for (i = 0; i < list[0].n; i++) {
        if (memcmp(&list[0].charges[i].id, id, sizeof(phota_id_t)) == 0) {
            state = list[0].charges[i].state;
        }
    }

    for (i = 0; i < list[1].n; i++) {
        if (memcmp(&list[1].charges[i].id, id, sizeof(phota_id_t)) == 0) {
            *open = list[1].charges[i].state;
        }
    }

    free(list);

    return state;
}


static void
test_life(void **state)
{
    unsigned         open;
    uint64_t         epoch;
    phota_entry_t    entry;
    phota_charge_t   charge, view, again;
    phota_outcome_t  outcome;

    (void) state;

    test_charge(&charge, 1, 0, 2);
    test_hold(&charge);
    epoch = charge.owner.epoch;

    assert_int_equal(test_accept(&charge.id, 202, "req-1", &view), PHOTA_OK);
    assert_int_equal(view.state, PHOTA_STATE_HELD);
    assert_int_equal(view.reason, PHOTA_REASON_ACCEPTED);
    assert_int_equal(view.owner.slot, PHOTA_OWNER_JOB);
    assert_true(view.owner.epoch == 2);
    assert_int_equal(view.status, 202);
    assert_string_equal(view.request_id, "req-1");
    assert_true(view.held == charge.held);
    test_spent(&charge, 0, charge.held);

    test_view(&charge.id, &again);
    test_same(&view, &again);

    test_entry(2, &entry);
    assert_int_equal(entry.type, PHOTA_ENTRY_ACCEPTED);
    assert_string_equal(phota_entry_name(entry.type), "accepted");
    assert_int_equal(entry.charge.state, PHOTA_STATE_HELD);
    assert_int_equal(entry.charge.owner.slot, PHOTA_OWNER_JOB);
    assert_true(entry.charge.owner.epoch == 2);
    assert_true(phota_sum_zero(&entry.delta));
    assert_true(entry.charge.updated == view.updated);

    test_verify_ok(2);

    memset(&again, 0, sizeof(phota_charge_t));
    assert_int_equal(test_accept(&charge.id, 202, "", &again),
                     PHOTA_REFUSED);
    test_same(&view, &again);

    /* its worker dies, and another takes the slot */

    test_close();
    test_open(0);
    assert_int_equal(phota_ledger_own(&test_ledger, &test_err), PHOTA_OK);
    assert_true(test_ledger.self.epoch > epoch);

    assert_int_equal(test_shown(&charge.id, &open), PHOTA_STATE_HELD);
    assert_int_equal(open, PHOTA_STATE_HELD);

    test_outcome(&outcome, PHOTA_STATE_SETTLED, 2, 0, 0);
    assert_int_equal(test_end(&charge.id, &outcome, &view), PHOTA_OK);
    assert_int_equal(view.owner.slot, PHOTA_OWNER_JOB);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_REFUSED);
    assert_int_equal(test_accept(&charge.id, 202, "", NULL), PHOTA_REFUSED);
    test_spent(&charge, view.price, 0);
    test_verify_ok(3);
}


static void
test_refused(void **state)
{
    char             longer[PHOTA_REQUEST_ID_MAX + 2];
    phota_id_t       none;
    phota_charge_t   charge, view;
    phota_outcome_t  outcome;

    (void) state;

    memset(&none, 0x55, sizeof(phota_id_t));
    assert_int_equal(test_accept(&none, 202, "", NULL), PHOTA_DECLINED);

    test_charge(&charge, 1, 0, 1);
    test_hold(&charge);

    memset(longer, 'r', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(test_accept(&charge.id, 202, longer, NULL),
                     PHOTA_INVALID);
    longer[PHOTA_REQUEST_ID_MAX] = '\0';
    assert_int_equal(test_accept(&charge.id, 202, longer, &view), PHOTA_OK);
    assert_string_equal(view.request_id, longer);

    test_charge(&charge, 1, 0, 1);
    test_hold(&charge);
    test_outcome(&outcome, PHOTA_STATE_VOID, 0, 0, 0);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);

    memset(&view, 0, sizeof(phota_charge_t));
    assert_int_equal(test_accept(&charge.id, 202, "", &view), PHOTA_REFUSED);
    assert_int_equal(view.state, PHOTA_STATE_VOID);
    assert_non_null(strstr(test_err.text, "void"));

    test_verify_ok(4);
}


/* what was given up as unknown may turn out to be a job, and more than once */

static void
test_unknown(void **state)
{
    unsigned         open;
    phota_charge_t   charge, view;
    phota_outcome_t  outcome;

    (void) state;

    test_charge(&charge, 1, 0, 1);
    test_hold(&charge);

    test_outcome(&outcome, PHOTA_STATE_UNKNOWN, 0, 0, 0);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);
    assert_int_equal(test_accept(&charge.id, 0, NULL, &view), PHOTA_OK);
    assert_int_equal(view.state, PHOTA_STATE_HELD);
    assert_int_equal(view.status, 500);
    assert_true(view.owner.epoch == 3);
    test_spent(&charge, 0, charge.held);
    test_verify_ok(3);

    outcome.reason = PHOTA_REASON_JOB_LOST;
    assert_int_equal(test_end(&charge.id, &outcome, &view), PHOTA_OK);
    assert_int_equal(test_shown(&charge.id, &open), PHOTA_STATE_UNKNOWN);
    assert_int_equal(open, PHOTA_STATE_UNKNOWN);
    assert_string_equal(phota_reason_name(view.reason), "job_lost");

    assert_int_equal(test_accept(&charge.id, 202, NULL, &view), PHOTA_OK);
    assert_true(view.owner.epoch == 5);
    test_verify_ok(5);

    outcome.state = PHOTA_STATE_VOID;
    outcome.reason = PHOTA_REASON_JOB_FAILED;
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);
    test_spent(&charge, 0, 0);
    test_verify_ok(6);
}


/* no worker owns it: an operator may say what became of it */

static void
test_resolved(void **state)
{
    phota_charge_t   charge;
    phota_outcome_t  outcome;

    (void) state;

    test_charge(&charge, 1, 0, 1);
    test_hold(&charge);
    test_outcome(&outcome, PHOTA_STATE_VOID, 0, 0, 0);

    assert_int_equal(test_resolve(&charge.id, &outcome), PHOTA_REFUSED);
    assert_int_equal(test_accept(&charge.id, 202, "", NULL), PHOTA_OK);
    assert_int_equal(test_resolve(&charge.id, &outcome), PHOTA_OK);

    test_verify_ok(3);
}


/* the deadline is for what is unknown; a training may be given back */

static void
test_training(void **state)
{
    MDB_txn           *txn;
    unsigned           done;
    phota_charge_t     charge, view;
    phota_outcome_t    outcome;
    phota_deadline_t   deadline;

    (void) state;

    test_charge(&charge, 1, PHOTA_OP_TRAINING, 1);
    test_hold(&charge);
    assert_int_equal(test_accept(&charge.id, 200, "req", NULL), PHOTA_OK);

    deadline.after = 1;
    deadline.state = PHOTA_STATE_VOID;

    txn = test_begin(1);
    assert_int_equal(phota_ledger_set_deadline(&test_ledger, txn, &deadline,
                                               &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_ledger_expire(&test_ledger, txn,
                                         phota_now() + TEST_DAY, 10, &done,
                                         &test_err),
                     PHOTA_OK);
    test_commit(txn);
    assert_int_equal(done, 0);

    test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 0);
    assert_int_equal(test_end(&charge.id, &outcome, &view), PHOTA_OK);
    test_spent(&charge, view.price, 0);

    txn = test_begin(1);
    assert_int_equal(phota_ledger_reverse(&test_ledger, txn, &charge.id,
                                          PHOTA_REASON_TRAINING, "",
                                          "ended in ERROR", &view,
                                          &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_ledger_reverse(&test_ledger, txn, &charge.id,
                                          PHOTA_REASON_TRAINING, "", "",
                                          &view, &test_err),
                     PHOTA_REFUSED);
    test_commit(txn);

    assert_int_equal(view.state, PHOTA_STATE_REVERSED);
    assert_string_equal(phota_reason_name(view.reason), "training");
    test_spent(&charge, 0, 0);
    test_verify_ok(4);
}


/* of a day that is archived, while the job isn't over */

static void
test_archived(void **state)
{
    char             path[1200];
    unsigned         open;
    uint64_t         n;
    phota_charge_t   charge, ended;
    phota_outcome_t  outcome;

    (void) state;

    test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 0);

    test_charge(&charge, 1, 0, 1);
    test_hold(&charge);
    assert_int_equal(test_accept(&charge.id, 202, "", NULL), PHOTA_OK);

    test_charge(&ended, 1, 0, 1);
    test_hold(&ended);
    assert_int_equal(test_accept(&ended.id, 202, "", NULL), PHOTA_OK);
    assert_int_equal(test_end(&ended.id, &outcome, NULL), PHOTA_OK);

    test_clock += TEST_DAY;
    assert_int_equal(phota_ledger_archive(&test_ledger,
                                          TEST_NOON + TEST_DAY / 2, &n, path,
                                          sizeof(path), &test_err),
                     PHOTA_OK);
    assert_true(n == 5);
    test_verify_ok(5);

    assert_int_equal(test_shown(&charge.id, &open), PHOTA_STATE_HELD);
    assert_int_equal(test_shown(&ended.id, &open), 0);

    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);
    test_verify_ok(6);
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
test_forge(const phota_id_t *id, uint32_t slot, uint64_t epoch)
{
    size_t           len;
    u_char           buf[PHOTA_LEDGER_RECORD];
    MDB_val          key, value;
    MDB_txn         *txn;
    phota_span_t     span;
    phota_charge_t   charge;

    txn = test_begin(1);
    assert_int_equal(phota_charge_read(&test_ledger, txn, id, &charge, &span),
                     PHOTA_OK);

    charge.owner.slot = slot;
    charge.owner.epoch = epoch;

    len = sizeof(buf);
    assert_int_equal(phota_charge_encode(&charge, &span, buf, &len),
                     PHOTA_OK);

    key.mv_data = (void *) id->b;
    key.mv_size = sizeof(phota_id_t);
    value.mv_data = buf;
    value.mv_size = len;

    assert_int_equal(mdb_put(txn, test_ledger.open, &key, &value, 0), 0);
    test_commit(txn);
}


static void
test_forged(void **state)
{
    phota_owner_t    owner;
    phota_charge_t   charge, held, twice;
    phota_outcome_t  outcome;

    (void) state;

    test_charge(&charge, 1, 0, 1);
    test_hold(&charge);
    owner = charge.owner;
    assert_int_equal(test_accept(&charge.id, 202, "", NULL), PHOTA_OK);

    test_charge(&held, 1, 0, 1);
    test_hold(&held);

    test_charge(&twice, 1, 0, 1);
    test_hold(&twice);
    test_outcome(&outcome, PHOTA_STATE_UNKNOWN, 0, 0, 0);
    assert_int_equal(test_accept(&twice.id, 202, "", NULL), PHOTA_OK);
    assert_int_equal(test_end(&twice.id, &outcome, NULL), PHOTA_OK);
    assert_int_equal(test_accept(&twice.id, 202, "", NULL), PHOTA_OK);

    test_verify_ok(7);

    /* a job that is a dead worker's again: it would read as unknown */

    test_forge(&charge.id, owner.slot, owner.epoch);
    test_found("entry 2: charge");
    test_forge(&charge.id, 3, 2);
    test_found("differs from it");

    /* by an entry that accepted nothing, another's, or one that isn't there */

    test_forge(&charge.id, PHOTA_OWNER_JOB, 1);
    test_found("differs from it");
    test_forge(&charge.id, PHOTA_OWNER_JOB, 5);
    test_found("has no such entry");
    test_forge(&charge.id, PHOTA_OWNER_JOB, 99);
    test_found("has no such entry");
    test_forge(&charge.id, PHOTA_OWNER_JOB, 2);
    test_verify_ok(7);

    /* a worker's that would live for ever */

    test_forge(&held.id, PHOTA_OWNER_JOB, 4);
    test_found("has no such entry");
    test_forge(&held.id, PHOTA_OWNER_JOB, 2);
    test_found("differs from it");
    test_forge(&held.id, owner.slot, owner.epoch);
    test_verify_ok(7);

    /* the first of two that accepted it */

    test_forge(&twice.id, PHOTA_OWNER_JOB, 5);
    test_found("entry 7: charge");
    test_forge(&twice.id, PHOTA_OWNER_JOB, 7);
    test_verify_ok(7);
}


static void
test_bytes(void **state)
{
    size_t          i, len;
    u_char          name[8], buf[PHOTA_LEDGER_RECORD];
    MDB_val         key, value;
    MDB_txn        *txn;
    uint64_t        entries;
    phota_charge_t  charge;

    (void) state;

    assert_int_equal(mdb_env_set_flags(test_store.env, MDB_NOSYNC, 1), 0);

    test_charge(&charge, 1, 0, 1);
    test_hold(&charge);
    assert_int_equal(test_accept(&charge.id, 202, "req", NULL), PHOTA_OK);

    phota_put_be(name, 2, sizeof(name));
    key.mv_data = name;
    key.mv_size = sizeof(name);

    txn = test_begin(0);
    assert_int_equal(mdb_get(txn, test_ledger.entries, &key, &value), 0);
    len = value.mv_size;
    memcpy(buf, value.mv_data, len);
    phota_store_abort(txn);

    for (i = 0; i < len; i++) {
        buf[i] ^= 0x04;
        value.mv_data = buf;
        value.mv_size = len;

        txn = test_begin(1);
        assert_int_equal(mdb_put(txn, test_ledger.entries, &key, &value, 0),
                         0);
        test_commit(txn);

        assert_int_equal(test_verify(&entries), PHOTA_INVALID);
        buf[i] ^= 0x04;
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_life),
        TEST(test_refused),
        TEST(test_unknown),
        TEST(test_resolved),
        TEST(test_training),
        TEST(test_archived),
        TEST(test_forged),
        TEST(test_bytes)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
