
/*
 * What entries add to the counters of the budgets.  Totals are exact for good;
 * those of days and months as long as they are kept.
 */


#include <stdlib.h>

#include "phota_verify.h"


#define PHOTA_COUNTERS_MIN  64


static int phota_verify_spend_one(phota_verify_part_t *part, uint32_t tenant,
    uint32_t token, const phota_windows_t *windows, int64_t spent,
    int64_t held);
static void phota_verify_spend_add(phota_verify_part_t *part,
    const phota_counter_t *counter, int64_t spent, int64_t held);
static int phota_verify_window(phota_verify_part_t *part, uint32_t tenant,
    uint32_t token, const phota_windows_t *windows);
static phota_counter_t *phota_counters_slot(const phota_counters_t *counters,
    uint32_t tenant, uint32_t token, unsigned period, uint32_t window);
static uint64_t phota_counters_hash(uint32_t tenant, uint32_t token,
    unsigned period, uint32_t window);
static int phota_counters_add(void *ctx, const phota_budget_row_t *row);
static int phota_counters_grow(phota_counters_t *counters);
static void phota_counters_newest(phota_counters_t *counters);
static int phota_verify_stale(const phota_counters_t *counters,
    const phota_budget_row_t *row);


int
phota_verify_held(phota_verify_part_t *part, const phota_charge_t *charge)
{
    return phota_verify_spend(part, charge, &charge->windows, 0,
                              charge->held);
}


int
phota_verify_spend(phota_verify_part_t *part, const phota_charge_t *charge,
    const phota_windows_t *windows, int64_t spent, int64_t held)
{
    int  rc;

    if (charge->tenant == 0 || (spent == 0 && held == 0)) {
        return PHOTA_OK;
    }

    rc = phota_verify_spend_one(part, charge->tenant, 0, windows, spent,
                                held);

    if (rc == PHOTA_OK && charge->token != 0) {
        rc = phota_verify_spend_one(part, charge->tenant, charge->token,
                                    windows, spent, held);
    }

    return rc;
}


static int
phota_verify_spend_one(phota_verify_part_t *part, uint32_t tenant,
    uint32_t token, const phota_windows_t *windows, int64_t spent,
    int64_t held)
{
    uint32_t                 id;
    unsigned                 scope;
    phota_counter_t         *counter;
    const phota_counters_t  *counters;

    counters = &part->snapshot->counters;

    counter = phota_counters_slot(counters, tenant, token, PHOTA_BUDGET_TOTAL,
                                  0);

    if (counter == NULL) {
        scope = phota_budget_scope(tenant, token, &id);
        phota_error(&part->err, "entry %llu: the total of %s %u is missing "
                    "in the budgets", (unsigned long long) part->sequence,
                    phota_budget_scope_name(scope), (unsigned) id);
        return PHOTA_INVALID;
    }

    phota_verify_spend_add(part, counter, spent, held);

    if (windows == NULL) {
        return PHOTA_OK;
    }

    counter = phota_counters_slot(counters, tenant, token, PHOTA_BUDGET_DAY,
                                  windows->day);
    phota_verify_spend_add(part, counter, spent, held);

    counter = phota_counters_slot(counters, tenant, token, PHOTA_BUDGET_MONTH,
                                  windows->month);
    phota_verify_spend_add(part, counter, spent, held);

    return PHOTA_OK;
}


/* a window that is no longer kept has no counter */

static void
phota_verify_spend_add(phota_verify_part_t *part,
    const phota_counter_t *counter, int64_t spent, int64_t held)
{
    size_t  i;

    if (counter != NULL) {
        i = (size_t) (counter - part->snapshot->counters.slots);
        phota_verify_spending_add(&part->spending[i], spent, held);
    }
}


void
phota_verify_spending_add(phota_spending_t *to, int64_t spent, int64_t held)
{
    to->spent = (int64_t) ((uint64_t) to->spent + (uint64_t) spent);
    to->held = (int64_t) ((uint64_t) to->held + (uint64_t) held);
}


int
phota_verify_windows(phota_verify_part_t *part, const phota_entry_t *entry)
{
    int                    rc;
    const phota_charge_t  *charge;

    charge = &entry->charge;

    /* what was found on a bill makes no counters for windows long past */

    if (charge->tenant == 0 || !entry->first
        || (entry->type != PHOTA_ENTRY_HELD
            && charge->cached != PHOTA_CACHED_HIT
            && charge->cached != PHOTA_CACHED_JOIN)
        || (charge->held == 0 && charge->price == 0))
    {
        return PHOTA_OK;
    }

    rc = phota_verify_window(part, charge->tenant, 0, &charge->windows);

    if (rc == PHOTA_OK && charge->token != 0) {
        rc = phota_verify_window(part, charge->tenant, charge->token,
                                 &charge->windows);
    }

    return rc;
}


static int
phota_verify_window(phota_verify_part_t *part, uint32_t tenant,
    uint32_t token, const phota_windows_t *windows)
{
    uint32_t                 id;
    unsigned                 scope;
    const phota_counter_t   *own;
    const phota_counters_t  *c;

    c = &part->snapshot->counters;

    own = phota_counters_slot(c, tenant, 0, PHOTA_BUDGET_TOTAL, 0);

    if (own != NULL
        && phota_counters_slot(c, tenant, token, PHOTA_BUDGET_TOTAL, 0) != NULL
        && ((uint64_t) windows->day + PHOTA_BUDGET_DAYS < own->newest_day
            || phota_counters_slot(c, tenant, token, PHOTA_BUDGET_DAY,
                                   windows->day) != NULL)
        && ((uint64_t) windows->month + PHOTA_BUDGET_MONTHS
            < own->newest_month
            || phota_counters_slot(c, tenant, token, PHOTA_BUDGET_MONTH,
                                   windows->month) != NULL))
    {
        return PHOTA_OK;
    }

    scope = phota_budget_scope(tenant, token, &id);

    phota_error(&part->err, "entry %llu: a counter of %s %u, day %u, month "
                "%u is missing in the budgets",
                (unsigned long long) part->sequence,
                phota_budget_scope_name(scope), (unsigned) id,
                (unsigned) windows->day, (unsigned) windows->month);

    return PHOTA_INVALID;
}


int
phota_verify_counted(const phota_snapshot_t *s, uint32_t tenant,
    uint32_t token, const phota_windows_t *windows)
{
    const phota_counters_t  *c;

    c = &s->counters;

    return phota_counters_slot(c, tenant, 0, PHOTA_BUDGET_DAY, windows->day)
           != NULL
           || phota_counters_slot(c, tenant, 0, PHOTA_BUDGET_MONTH,
                                  windows->month) != NULL
           || phota_counters_slot(c, tenant, token, PHOTA_BUDGET_DAY,
                                  windows->day) != NULL
           || phota_counters_slot(c, tenant, token, PHOTA_BUDGET_MONTH,
                                  windows->month) != NULL;
}


int
phota_verify_counters(phota_snapshot_t *s, MDB_txn *txn, phota_error_t *err)
{
    int  rc;

    rc = phota_budget_each(&s->ledger->budgets, txn, phota_counters_add,
                           &s->counters, err);

    if (rc == PHOTA_DECLINED) {
        phota_error(err, "no memory");
        return PHOTA_ERROR;
    }

    phota_counters_newest(&s->counters);

    return (rc == PHOTA_OK) ? PHOTA_OK : PHOTA_INVALID;
}


/* by tenant, as old rows are removed */

static void
phota_counters_newest(phota_counters_t *counters)
{
    size_t                     i;
    phota_counter_t           *total;
    const phota_budget_row_t  *row;

    for (i = 0; i < counters->size; i++) {
        row = &counters->slots[i].row;

        if (row->period == 0) {
            continue;
        }

        total = phota_counters_slot(counters, row->tenant, 0,
                                    PHOTA_BUDGET_TOTAL, 0);

        if (total == NULL) {
            continue;
        }

        if (row->period == PHOTA_BUDGET_DAY
            && row->window > total->newest_day)
        {
            total->newest_day = row->window;
        }

        if (row->period == PHOTA_BUDGET_MONTH
            && row->window > total->newest_month)
        {
            total->newest_month = row->window;
        }
    }
}


static int
phota_counters_add(void *ctx, const phota_budget_row_t *row)
{
    size_t             i;
    phota_counters_t  *counters;

    counters = ctx;

    if (counters->count * 2 >= counters->size
        && phota_counters_grow(counters) != PHOTA_OK)
    {
        return PHOTA_DECLINED;
    }

    i = (size_t) phota_counters_hash(row->tenant, row->token, row->period,
                                     row->window);

    while (counters->slots[i & (counters->size - 1)].row.period != 0) {
        i++;
    }

    counters->slots[i & (counters->size - 1)].row = *row;
    counters->count++;

    return PHOTA_OK;
}


static int
phota_counters_grow(phota_counters_t *counters)
{
    size_t            i;
    phota_counters_t  bigger;

    bigger.count = 0;
    bigger.size = counters->size ? counters->size * 2 : PHOTA_COUNTERS_MIN;
    bigger.slots = calloc(bigger.size, sizeof(phota_counter_t));

    if (bigger.slots == NULL) {
        return PHOTA_ERROR;
    }

    for (i = 0; i < counters->size; i++) {
        if (counters->slots[i].row.period != 0) {
            (void) phota_counters_add(&bigger, &counters->slots[i].row);
        }
    }

    free(counters->slots);
    *counters = bigger;

    return PHOTA_OK;
}


/* NULL where there is none */

static phota_counter_t *
phota_counters_slot(const phota_counters_t *counters, uint32_t tenant,
    uint32_t token, unsigned period, uint32_t window)
{
    size_t            i;
    phota_counter_t  *slot;

    if (counters->size == 0) {
        return NULL;
    }

    i = (size_t) phota_counters_hash(tenant, token, period, window);

    for ( ;; i++) {
        slot = &counters->slots[i & (counters->size - 1)];

        if (slot->row.period == 0) {
            return NULL;
        }

        if (slot->row.tenant == tenant && slot->row.window == window
            && slot->row.token == token && slot->row.period == period)
        {
            return slot;
        }
    }
}


static uint64_t
phota_counters_hash(uint32_t tenant, uint32_t token, unsigned period,
    uint32_t window)
{
    uint64_t  hash;

    hash = ((uint64_t) tenant << 32 | token) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 32;
    hash = (hash ^ ((uint64_t) window << 8 | period)) * 0x9e3779b97f4a7c15;

    return hash ^ hash >> 32;
}


int
phota_verify_budgets(phota_verify_part_t *part)
{
    size_t                     i;
    char                       found[PHOTA_USD_TEXT], sum[PHOTA_USD_TEXT];
    uint32_t                   id;
    unsigned                   scope;
    const phota_spending_t    *spending;
    const phota_counters_t    *counters;
    const phota_budget_row_t  *row;

    counters = &part->snapshot->counters;

    for (i = 0; i < counters->size; i++) {
        row = &counters->slots[i].row;
        spending = &part->spending[i];

        if (row->period == 0
            || (row->spending.spent == spending->spent
                && row->spending.held == spending->held)
            || ((spending->spent != 0 || spending->held != 0)
                && phota_verify_stale(counters, row)))
        {
            continue;
        }

        if (row->spending.spent != spending->spent) {
            phota_usd_format(found, row->spending.spent);
            phota_usd_format(sum, spending->spent);

        } else {
            phota_usd_format(found, row->spending.held);
            phota_usd_format(sum, spending->held);
        }

        scope = phota_budget_scope(row->tenant, row->token, &id);

        phota_error(&part->err, "the budget of %s %u, %s %u, counts %s %s, "
                    "its entries say %s", phota_budget_scope_name(scope),
                    (unsigned) id, phota_budget_period_name(row->period),
                    (unsigned) row->window, found,
                    (row->spending.spent != spending->spent) ? "spent"
                                                             : "held", sum);
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


/*
 * A window so old that its counter was removed once, and made anew for a clock
 * that had been set back, doesn't know what was before.
 */

static int
phota_verify_stale(const phota_counters_t *counters,
    const phota_budget_row_t *row)
{
    const phota_counter_t  *total;

    total = phota_counters_slot(counters, row->tenant, 0, PHOTA_BUDGET_TOTAL,
                                0);

    if (total == NULL) {
        return 0;
    }

    switch (row->period) {

    case PHOTA_BUDGET_DAY:
        return (uint64_t) row->window + PHOTA_BUDGET_DAYS
               < total->newest_day;

    case PHOTA_BUDGET_MONTH:
        return (uint64_t) row->window + PHOTA_BUDGET_MONTHS
               < total->newest_month;

    default: /* PHOTA_BUDGET_TOTAL */
        return 0;
    }
}
