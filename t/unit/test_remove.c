
/*
 * Removing a tenant who has profiles and jobs: they go in the transaction in
 * which it goes, and what its open jobs cost is unknown from then on.
 */


#include "../../src/command/photactl_remove.c"

#include "books.h"


static photactl_t  test_ctl;
static unsigned    test_purges;
static uint32_t    test_acme, test_bolt;


/* of photactl_purge.c: the cache has tests of its own */

int
photactl_purge(photactl_t *ctl, const phota_purge_t *purge, uint64_t *results)
{
    (void) ctl;

    assert_int_equal(purge->tenant, test_acme);
    test_purges++;
    *results = 0;

    return PHOTA_OK;
}


static int
remove_setup(void **state)
{
    static char  *args[] = { (char *) "acme", NULL };

    if (test_setup(state) != PHOTA_OK) {
        return -1;
    }

    test_purges = 0;

    memset(&test_ctl, 0, sizeof(photactl_t));
    test_ctl.args = args;
    test_ctl.nargs = 1;
    memcpy(test_ctl.by, "operator ann", sizeof("operator ann"));

    if (photactl_attach(&test_ctl, &test_store) != PHOTA_OK) {
        return -1;
    }

    /* a process has one lock */

    test_ctl.ledger = test_ledger;

    return phota_tenant_add(&test_ctl.tenants, "acme", &test_acme, &test_err)
           | phota_tenant_add(&test_ctl.tenants, "bolt", &test_bolt,
                              &test_err);
}


#define CASE(name)                                                            \
    cmocka_unit_test_setup_teardown(name, remove_setup, test_teardown)


/* a charge that is a job's, as the gateway writes both */

static void
job(uint32_t tenant, const char *upstream, phota_charge_t *charge)
{
    MDB_txn      *txn;
    phota_job_t   row;

    test_charge(charge, tenant, PHOTA_OP_EDIT, 1);
    test_hold(charge);

    memset(&row, 0, sizeof(phota_job_t));
    row.charge = charge->id;
    row.tenant = tenant;
    row.operation = PHOTA_OP_EDIT;
    row.storable = 1;
    row.due = phota_now();
    (void) snprintf(row.upstream, sizeof(row.upstream), "%s", upstream);

    txn = test_begin(1);
    assert_int_equal(phota_ledger_accept(&test_ledger, txn, &charge->id, 202,
                                         "req", charge, &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_job_put(&test_ctl.jobs, txn, &row,
                                   (const u_char *) "{}", 2, &test_err),
                     PHOTA_OK);
    test_commit(txn);
}


static void
profile(uint32_t tenant, const char *id)
{
    MDB_txn          *txn;
    phota_profile_t   row;

    memset(&row, 0, sizeof(phota_profile_t));
    row.tenant = tenant;
    (void) snprintf(row.id, sizeof(row.id), "%s", id);

    txn = test_begin(1);
    assert_int_equal(phota_profile_put(&test_ctl.profiles, txn, &row,
                                       &test_err),
                     PHOTA_OK);
    test_commit(txn);
}


static size_t
rows(MDB_dbi table)
{
    MDB_txn   *txn;
    MDB_stat   st;

    txn = test_begin(0);
    assert_int_equal(mdb_stat(txn, table, &st), 0);
    phota_store_abort(txn);

    return st.ms_entries;
}


static void
view(const phota_charge_t *charge, phota_charge_t *now)
{
    MDB_txn  *txn;

    txn = test_begin(0);
    assert_int_equal(phota_ledger_get(&test_ledger, txn, &charge->id, now),
                     PHOTA_OK);
    phota_store_abort(txn);
}


static void
test_gone(void **state)
{
    phota_entry_t   entry;
    phota_charge_t  own, second, other, now;

    (void) state;

    job(test_acme, "job-1", &own);
    job(test_bolt, "job-1", &other);
    job(test_acme, "job-2", &second);
    profile(test_acme, "p-1");
    profile(test_acme, "p-2");
    profile(test_bolt, "p-3");

    if (photactl_tenant_remove(&test_ctl) != PHOTA_OK) {
        fail_msg("%s", test_ctl.err.text);
    }

    assert_int_equal(test_purges, 1);

    view(&own, &now);
    assert_int_equal(now.state, PHOTA_STATE_UNKNOWN);
    assert_int_equal(now.reason, PHOTA_REASON_JOB_LOST);
    test_spent(&own, 0, 2 * own.held);
    view(&second, &now);
    assert_int_equal(now.state, PHOTA_STATE_UNKNOWN);
    view(&other, &now);
    assert_int_equal(now.state, PHOTA_STATE_HELD);

    test_entry(8, &entry);
    assert_string_equal(entry.by, "operator ann");
    assert_string_equal(entry.note, "tenant removed");

    assert_int_equal(rows(test_ctl.jobs.jobs), 1);
    assert_int_equal(rows(test_ctl.jobs.texts), 1);
    assert_int_equal(rows(test_ctl.jobs.names), 1);
    assert_int_equal(rows(test_ctl.jobs.due), 1);
    assert_int_equal(rows(test_ctl.jobs.open), 1);
    assert_int_equal(rows(test_ctl.profiles.profiles), 1);
    assert_int_equal(rows(test_ctl.profiles.owned), 1);

    test_verify_ok(8);
}


/* what a worker holds keeps all of it where it is */

static void
test_refused(void **state)
{
    phota_charge_t  own, held, now;

    (void) state;

    job(test_acme, "job-1", &own);
    profile(test_acme, "p-1");
    test_charge(&held, test_acme, PHOTA_OP_EDIT, 1);
    test_hold(&held);

    assert_int_equal(photactl_tenant_remove(&test_ctl), PHOTA_REFUSED);
    assert_non_null(strstr(test_ctl.err.text, "1 charges are held"));
    assert_int_equal(test_purges, 0);

    view(&own, &now);
    assert_int_equal(now.state, PHOTA_STATE_HELD);
    assert_int_equal(rows(test_ctl.jobs.jobs), 1);
    assert_int_equal(rows(test_ctl.profiles.profiles), 1);
    test_verify_ok(3);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        CASE(test_gone),
        CASE(test_refused)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
