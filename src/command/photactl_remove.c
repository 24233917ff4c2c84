
/*
 * photactl tenant remove: all that is a tenant's own goes, and its money stays
 * in the books under its number: of a job that isn't over nobody will hear any
 * more, so what it cost is unknown.  First its part of the books, in one
 * transaction, then what it has in the cache; in between a mark keeps its name,
 * so that a removal that was broken off can be run again.
 */


#include <string.h>
#include <time.h>

#include "phota_replay.h"
#include "photactl_cache.h"
#include "photactl_books.h"


#define PHOTACTL_REMOVE_WAIT    2       /* s: workers know within one */
#define PHOTACTL_REMOVE_PURGES  60


/* its charges that are open: a job's are ended, if there is a transaction */

typedef struct {
    photactl_t        *ctl;
    MDB_txn           *txn;
    uint32_t           tenant;
    uint64_t           n;               /* all but jobs */
} photactl_remove_open_t;


static int photactl_remove_suspend(photactl_t *ctl);
static int photactl_remove_books(photactl_t *ctl, uint32_t *id);
static int photactl_remove_rows(photactl_t *ctl, MDB_txn *txn, uint32_t *id);
static int photactl_remove_open(photactl_t *ctl, MDB_txn *txn, uint32_t id,
    int end);
static int photactl_remove_charge(void *ctx, const phota_charge_t *charge);
static int photactl_remove_stop(void *ctx, phota_tenant_t *tenant,
    phota_error_t *err);
static int photactl_remove_results(photactl_t *ctl, uint32_t id);
static void photactl_remove_wait(unsigned s);


int
photactl_tenant_remove(photactl_t *ctl)
{
    int       rc;
    uint32_t  id;

    id = 0;

    rc = photactl_remove_suspend(ctl);

    if (rc == PHOTA_OK) {
        rc = photactl_remove_books(ctl, &id);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_remove_results(ctl, id);
    }

    if (rc == PHOTA_OK) {
        rc = phota_tenant_forget(&ctl->tenants, ctl->args[0], &ctl->err);
    }

    return rc;
}


/*
 * Workers that don't know yet could begin another call for it, whose charge
 * would be nobody's and whose result would come when all is removed.
 */

static int
photactl_remove_suspend(photactl_t *ctl)
{
    int              rc;
    MDB_txn         *txn;
    phota_tenant_t   tenant;

    rc = phota_tenant_get(&ctl->tenants, ctl->args[0], &tenant, &ctl->err);

    if (rc == PHOTA_DECLINED) {

        /* its part of the books may be gone, and that be all so far */

        return PHOTA_OK;
    }

    if (rc == PHOTA_OK) {
        rc = phota_store_begin(ctl->store, 0, &txn, &ctl->err);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = photactl_remove_open(ctl, txn, tenant.id, 0);

    phota_store_abort(txn);

    if (rc != PHOTA_OK || (tenant.flags & PHOTA_TENANT_SUSPENDED)
        || !photactl_inhabited(ctl))
    {
        return rc;
    }

    rc = phota_tenant_edit(&ctl->tenants, ctl->args[0], photactl_remove_stop,
                           NULL, NULL, &ctl->err);

    if (rc == PHOTA_OK) {
        photactl_remove_wait(PHOTACTL_REMOVE_WAIT);
    }

    return rc;
}


static int
photactl_remove_stop(void *ctx, phota_tenant_t *tenant, phota_error_t *err)
{
    (void) ctx;
    (void) err;

    tenant->flags |= PHOTA_TENANT_SUSPENDED;

    return PHOTA_OK;
}


static int
photactl_remove_books(photactl_t *ctl, uint32_t *id)
{
    int       rc;
    MDB_txn  *txn;

    rc = phota_store_begin(ctl->store, 1, &txn, &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = photactl_remove_rows(ctl, txn, id);

    if (rc == PHOTA_OK && phota_store_touch(ctl->store, txn) != PHOTA_OK) {
        phota_error(&ctl->err, "books: the generation can't be raised");
        rc = PHOTA_ERROR;
    }

    if (rc != PHOTA_OK) {
        phota_store_abort(txn);
        return rc;
    }

    return phota_store_commit(txn, &ctl->err);
}


/*
 * What it spent stays with its charges: the budgets' counters are sums of
 * these, and have no name.
 */

static int
photactl_remove_rows(photactl_t *ctl, MDB_txn *txn, uint32_t *id)
{
    int  rc, begun;

    rc = phota_tenant_remove(&ctl->tenants, txn, ctl->args[0], id, &begun,
                             &ctl->err);

    if (rc != PHOTA_OK || begun) {
        return rc;
    }

    rc = photactl_remove_open(ctl, txn, *id, 1);

    if (rc == PHOTA_OK) {
        rc = phota_price_forget(&ctl->prices, txn, *id, &ctl->err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_replay_remove(&ctl->replays, txn, *id, &ctl->err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_profiles_forget(&ctl->profiles, txn, *id, &ctl->err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_jobs_forget(&ctl->jobs, txn, *id, &ctl->err);
    }

    return rc;
}


static int
photactl_remove_open(photactl_t *ctl, MDB_txn *txn, uint32_t id, int end)
{
    int                     rc;
    photactl_remove_open_t  open;

    open.ctl = ctl;
    open.txn = end ? txn : NULL;
    open.tenant = id;
    open.n = 0;

    rc = phota_ledger_each_open(&ctl->ledger, txn, photactl_remove_charge,
                                &open, &ctl->err);

    if (rc == PHOTA_OK && open.n != 0) {
        phota_error(&ctl->err, "tenant \"%.64s\": %llu charges are held or "
                    "unknown (photactl holds list)%s", ctl->args[0],
                    (unsigned long long) open.n,
                    end ? "; it is suspended now" : "");
        rc = PHOTA_REFUSED;
    }

    return rc;
}


static int
photactl_remove_charge(void *ctx, const phota_charge_t *charge)
{
    photactl_remove_open_t  *open = ctx;

    photactl_t       *ctl;
    phota_outcome_t   outcome;

    if (charge->tenant != open->tenant) {
        return PHOTA_OK;
    }

    if (charge->state != PHOTA_STATE_HELD
        || charge->owner.slot != PHOTA_OWNER_JOB)
    {
        open->n++;
        return PHOTA_OK;
    }

    if (open->txn == NULL) {
        return PHOTA_OK;
    }

    ctl = open->ctl;

    memset(&outcome, 0, sizeof(phota_outcome_t));

    outcome.state = PHOTA_STATE_UNKNOWN;
    outcome.reason = PHOTA_REASON_JOB_LOST;
    memcpy(outcome.by, ctl->by, sizeof(outcome.by));
    memcpy(outcome.note, "tenant removed", sizeof("tenant removed"));

    return phota_ledger_end(&ctl->ledger, open->txn, &charge->id, &outcome,
                            NULL, &ctl->err);
}


/* a worker may be storing the result of a charge that has just ended */

static int
photactl_remove_results(photactl_t *ctl, uint32_t id)
{
    int            rc;
    unsigned       i;
    uint64_t       results;
    phota_purge_t  purge;

    memset(&purge, 0, sizeof(purge));
    purge.tenant = id;

    for (i = 0; i < PHOTACTL_REMOVE_PURGES; i++) {

        rc = photactl_purge(ctl, &purge, &results);

        /* refused: it was compacted meanwhile */

        if ((rc != PHOTA_OK && (rc != PHOTA_REFUSED || ctl->lent))
            || !photactl_inhabited(ctl)
            || (i != 0 && rc == PHOTA_OK && results == 0))
        {
            return rc;
        }

        photactl_remove_wait(1);
    }

    phota_error(&ctl->err, "results of tenant \"%.64s\" keep coming: run it "
                "again", ctl->args[0]);

    return PHOTA_REFUSED;
}


static void
photactl_remove_wait(unsigned s)
{
    struct timespec  ts;

    ts.tv_sec = (time_t) s;
    ts.tv_nsec = 0;

    (void) nanosleep(&ts, NULL);
}
