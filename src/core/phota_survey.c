
/*
 * Sums of the books as they are now, at a cost that doesn't grow with their
 * age: what was booked on days that have closed is read once, and again now and
 * then, and the last days each time.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "phota_survey.h"


#define PHOTA_SURVEY_DAY      ((uint64_t) 86400000)     /* ms */

/* days that may still change: yesterday's closes an hour after its end */

#define PHOTA_SURVEY_DAYS     2

/* ms for which something is kept, or so many times what it took */

#define PHOTA_SURVEY_SUMMED   600000
#define PHOTA_SURVEY_LISTED   2000
#define PHOTA_SURVEY_SHARE    50


/* a table of reader slots, line by line */

typedef struct {
    unsigned         readers;
    uint64_t         oldest;
} phota_survey_readers_t;


static int phota_survey_sum(phota_survey_t *survey, phota_survey_kept_t *kept,
    phota_ledger_t *l, phota_error_t *err);
static int phota_survey_row(void *ctx, const phota_usage_t *usage);
static int phota_survey_add(phota_survey_sums_t *sums, uint32_t tenant,
    unsigned operation, const phota_sum_t *sum);
static int phota_survey_merge(phota_survey_sums_t *to,
    const phota_survey_sums_t *a, const phota_survey_sums_t *b);
static int phota_survey_order(const phota_survey_sum_t *a,
    const phota_survey_sum_t *b);
static int phota_survey_holds(phota_survey_t *survey, phota_ledger_t *l,
    phota_error_t *err);
static int phota_survey_open(void *ctx, const phota_charge_t *charge);
static void phota_survey_list(phota_survey_kept_t *kept, phota_jobs_t *j);
static int phota_survey_job(void *ctx, const phota_job_t *job);
static int phota_survey_budgets(phota_survey_t *survey, phota_ledger_t *l,
    phota_tenants_t *t, phota_error_t *err);
static int phota_survey_tenant(void *ctx, const phota_tenant_t *tenant);
static int phota_survey_spent(phota_survey_t *survey, phota_ledger_t *l,
    phota_directory_t *directory, phota_error_t *err);
static int phota_survey_reader(const char *line, void *ctx);


int
phota_survey_books(phota_survey_t *survey, phota_survey_kept_t *kept,
    phota_ledger_t *l, phota_jobs_t *j, phota_tenants_t *t, int tenants,
    phota_error_t *err)
{
    int  rc;

    rc = phota_survey_sum(survey, kept, l, err);

    if (rc == PHOTA_OK) {
        rc = phota_survey_holds(survey, l, err);
    }

    phota_survey_list(kept, j);

    if (rc == PHOTA_OK && tenants) {
        rc = phota_survey_budgets(survey, l, t, err);
    }

    return rc;
}


void
phota_survey_free(phota_survey_t *survey)
{
    free(survey->sums.rows);
    free(survey->tenants);
    memset(survey, 0, sizeof(phota_survey_t));
}


static int
phota_survey_sum(phota_survey_t *survey, phota_survey_kept_t *kept,
    phota_ledger_t *l, phota_error_t *err)
{
    int                  rc;
    uint32_t             day;
    uint64_t             now, from, took;
    phota_survey_sums_t  last;

    now = phota_now();
    day = (uint32_t) (now / PHOTA_SURVEY_DAY) - PHOTA_SURVEY_DAYS + 1;
    from = day * PHOTA_SURVEY_DAY;
    took = kept->sum_took * PHOTA_SURVEY_SHARE;

    if (kept->day != day || now < kept->summed
        || now - kept->summed > PHOTA_SURVEY_SUMMED + took)
    {
        kept->day = 0;
        kept->closed.n = 0;

        rc = phota_ledger_usage(l, 0, from, PHOTA_USAGE_OPERATION,
                                phota_survey_row, &kept->closed, err);

        if (rc != PHOTA_OK) {
            return rc;
        }

        kept->day = day;
        kept->summed = now;
        kept->sum_took = phota_now() - now;
    }

    memset(&last, 0, sizeof(last));

    rc = phota_ledger_usage(l, from, 0, PHOTA_USAGE_OPERATION,
                            phota_survey_row, &last, err);

    if (rc == PHOTA_OK
        && phota_survey_merge(&survey->sums, &kept->closed, &last)
           != PHOTA_OK)
    {
        rc = PHOTA_ERROR;
        phota_error(err, "no memory for the sums");
    }

    free(last.rows);

    return rc;
}


static int
phota_survey_row(void *ctx, const phota_usage_t *usage)
{
    return phota_survey_add(ctx, usage->tenant, usage->operation,
                            &usage->sum);
}


/* behind the others, to the last where that is its own */

static int
phota_survey_add(phota_survey_sums_t *sums, uint32_t tenant,
    unsigned operation, const phota_sum_t *sum)
{
    size_t               size;
    phota_survey_sum_t  *row, *rows;

    if (sums->n == sums->size) {
        size = sums->size ? 2 * sums->size : 64;

        rows = realloc(sums->rows, size * sizeof(phota_survey_sum_t));
        if (rows == NULL) {
            return PHOTA_ERROR;
        }

        sums->rows = rows;
        sums->size = size;
    }

    row = (sums->n == 0) ? NULL : &sums->rows[sums->n - 1];

    if (row != NULL && row->tenant == tenant && row->operation == operation) {
        phota_survey_plus(&row->sum, sum);
        return PHOTA_OK;
    }

    row = &sums->rows[sums->n++];

    row->tenant = tenant;
    row->operation = (uint8_t) operation;
    row->sum = *sum;

    return PHOTA_OK;
}


void
phota_survey_plus(phota_sum_t *to, const phota_sum_t *sum)
{
    to->calls += sum->calls;
    to->hits += sum->hits;
    to->outputs += sum->outputs;
    to->identity_outputs += sum->identity_outputs;
    to->cost += sum->cost;
    to->price += sum->price;
    to->saved += sum->saved;
}


static int
phota_survey_merge(phota_survey_sums_t *to, const phota_survey_sums_t *a,
    const phota_survey_sums_t *b)
{
    size_t                     i, k;
    const phota_survey_sum_t  *row;

    i = 0;
    k = 0;

    while (i < a->n || k < b->n) {

        if (k == b->n
            || (i < a->n
                && phota_survey_order(&a->rows[i], &b->rows[k]) <= 0))
        {
            row = &a->rows[i++];

        } else {
            row = &b->rows[k++];
        }

        if (phota_survey_add(to, row->tenant, row->operation, &row->sum)
            != PHOTA_OK)
        {
            return PHOTA_ERROR;
        }
    }

    return PHOTA_OK;
}


static int
phota_survey_order(const phota_survey_sum_t *a, const phota_survey_sum_t *b)
{
    if (a->tenant != b->tenant) {
        return (a->tenant < b->tenant) ? -1 : 1;
    }

    return (int) a->operation - (int) b->operation;
}


static int
phota_survey_holds(phota_survey_t *survey, phota_ledger_t *l,
    phota_error_t *err)
{
    int       rc;
    MDB_txn  *txn;

    if (phota_store_begin(l->store, 0, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = phota_ledger_each_open(l, txn, phota_survey_open, survey, err);

    phota_store_abort(txn);

    /* those that are damaged are missing; the others are there */

    return (rc == PHOTA_INVALID) ? PHOTA_OK : rc;
}


static int
phota_survey_open(void *ctx, const phota_charge_t *charge)
{
    phota_survey_t  *survey = ctx;

    phota_survey_open_t  *open;

    open = &survey->open[(charge->state == PHOTA_STATE_UNKNOWN)
                             ? PHOTA_SURVEY_UNKNOWN
                         : (charge->owner.slot == PHOTA_OWNER_JOB)
                             ? PHOTA_SURVEY_JOB : PHOTA_SURVEY_HELD];

    open->count++;
    open->amount += charge->held;

    if (open->oldest == 0 || charge->time < open->oldest) {
        open->oldest = charge->time;
    }

    return PHOTA_OK;
}


/* rows stay for days after their end: they aren't all read each time */

static void
phota_survey_list(phota_survey_kept_t *kept, phota_jobs_t *j)
{
    uint64_t       now;
    phota_error_t  err;

    now = phota_now();

    if (kept->listed != 0 && now >= kept->listed
        && now - kept->listed < PHOTA_SURVEY_LISTED
                                + kept->list_took * PHOTA_SURVEY_SHARE)
    {
        return;
    }

    kept->listed = 0;
    kept->jobs_open = 0;
    kept->waiting = 0;
    kept->given_up = 0;

    /* a row that is damaged is missing; the others are there */

    (void) phota_jobs_each(j, 0, phota_survey_job, kept, &err);

    kept->list_took = phota_now() - now;
    kept->listed = now;
}


static int
phota_survey_job(void *ctx, const phota_job_t *job)
{
    phota_survey_kept_t  *kept = ctx;

    if (job->state == PHOTA_JOB_OPEN) {
        kept->jobs_open++;
        return PHOTA_OK;
    }

    if (job->callback[0] == '\0') {
        return PHOTA_OK;
    }

    if (job->delivery == PHOTA_DELIVERY_WAITING) {
        kept->waiting++;

    } else if (job->delivery == PHOTA_DELIVERY_GIVEN_UP) {
        kept->given_up++;
    }

    return PHOTA_OK;
}


static int
phota_survey_budgets(phota_survey_t *survey, phota_ledger_t *l,
    phota_tenants_t *t, phota_error_t *err)
{
    int                 rc;
    phota_directory_t  *directory;

    rc = phota_directory_load(t, &directory, err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_tenant_each(t, phota_survey_tenant, survey, err);

    if (rc == PHOTA_OK) {
        rc = phota_survey_spent(survey, l, directory, err);
    }

    phota_directory_destroy(directory);

    return rc;
}


static int
phota_survey_tenant(void *ctx, const phota_tenant_t *tenant)
{
    phota_survey_t  *survey = ctx;

    size_t                  size;
    phota_survey_tenant_t  *row, *rows;

    if (survey->ntenants == survey->size) {
        size = survey->size ? 2 * survey->size : 16;

        rows = realloc(survey->tenants, size * sizeof(phota_survey_tenant_t));
        if (rows == NULL) {
            return PHOTA_ERROR;
        }

        survey->tenants = rows;
        survey->size = size;
    }

    row = &survey->tenants[survey->ntenants++];

    memset(row, 0, sizeof(phota_survey_tenant_t));
    memcpy(row->name, tenant->name, sizeof(row->name));

    row->id = tenant->id;
    row->limits[0] = tenant->limits.day;
    row->limits[1] = tenant->limits.month;
    row->limits[2] = tenant->limits.total;

    return PHOTA_OK;
}


static int
phota_survey_spent(phota_survey_t *survey, phota_ledger_t *l,
    phota_directory_t *directory, phota_error_t *err)
{
    int                     rc;
    size_t                  i;
    MDB_txn                *txn;
    unsigned                k;
    uint32_t                windows[3];
    uint64_t                now;
    phota_spending_t        spending;
    const phota_zone_t     *zone;
    const phota_tenant_t   *tenant;
    phota_survey_tenant_t  *row;

    static const unsigned  periods[] = {
        PHOTA_BUDGET_DAY, PHOTA_BUDGET_MONTH, PHOTA_BUDGET_TOTAL
    };

    if (phota_store_begin(l->store, 0, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = PHOTA_OK;
    now = phota_now();

    for (i = 0; rc == PHOTA_OK && i < survey->ntenants; i++) {
        row = &survey->tenants[i];

        if (phota_directory_tenant(directory, row->id, &tenant) != PHOTA_OK) {

            /* younger than the directory: it has no spending yet */

            continue;
        }

        zone = phota_directory_zone(directory, tenant);

        windows[0] = phota_zone_day(zone, now);
        windows[1] = phota_zone_month(zone, now);
        windows[2] = 0;

        for (k = 0; rc == PHOTA_OK && k < 3; k++) {
            rc = phota_budget_get(&l->budgets, txn, row->id, 0, periods[k],
                                  windows[k], &spending, err);

            if (rc == PHOTA_OK) {
                row->used[k] = spending.spent + spending.held;
            }
        }
    }

    phota_store_abort(txn);

    return rc;
}


void
phota_survey_store(phota_survey_store_t *survey, phota_store_t *store)
{
    MDB_stat                stat;
    MDB_envinfo             info;
    phota_survey_readers_t  readers;

    memset(survey, 0, sizeof(phota_survey_store_t));
    memset(&readers, 0, sizeof(readers));

    /* before the last transaction is asked for: a lag is never less than 0 */

    (void) mdb_reader_list(store->env, phota_survey_reader, &readers);

    if (mdb_env_info(store->env, &info) != 0
        || mdb_env_stat(store->env, &stat) != 0)
    {
        return;
    }

    survey->readers = readers.readers;
    survey->map = info.me_mapsize;
    survey->used = ((uint64_t) info.me_last_pgno + 1) * stat.ms_psize;

    if (readers.readers != 0 && info.me_last_txnid > readers.oldest) {
        survey->lag = info.me_last_txnid - readers.oldest;
    }
}


/* "  pid thread txnid"; a slot at rest has "-", and the first line has words */

static int
phota_survey_reader(const char *line, void *ctx)
{
    phota_survey_readers_t  *readers = ctx;

    unsigned long       pid, thread;
    unsigned long long  txnid;

    if (sscanf(line, "%lu %lx %llu", &pid, &thread, &txnid) != 3) {
        return 0;
    }

    if (readers->readers++ == 0 || txnid < readers->oldest) {
        readers->oldest = txnid;
    }

    return 0;
}
