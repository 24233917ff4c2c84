
/*
 * What entries add up to: details by day, tenant, operation, token and tag,
 * roll-ups, which are sums of those, and the counters of the budgets.  Free
 * hits that have no entry yet are what a row itself says they are; only that
 * the tables agree on them can be told.
 */


#include <stdlib.h>
#include <string.h>

#include "phota_order.h"
#include "phota_verify.h"


#define PHOTA_COUNTERS_MIN  64


typedef struct {
    phota_verify_part_t  *part;
    phota_sums_t          rollups;
    MDB_dbi               table;        /* which is walked */
    uint64_t              loose;        /* details that have loose hits */
} phota_verify_tables_t;


static int phota_verify_spend(phota_verify_part_t *part,
    const phota_charge_t *charge, const phota_windows_t *windows,
    int64_t spent, int64_t held);
static int phota_verify_spend_one(phota_verify_part_t *part, unsigned scope,
    uint32_t id, const phota_windows_t *windows, int64_t spent,
    int64_t held);
static void phota_verify_spend_add(phota_verify_part_t *part,
    const phota_counter_t *counter, int64_t spent, int64_t held);
static phota_counter_t *phota_counters_slot(const phota_counters_t *counters,
    unsigned scope, uint32_t id, unsigned period, uint32_t window);
static uint64_t phota_counters_hash(unsigned scope, uint32_t id,
    unsigned period, uint32_t window);
static int phota_counters_add(void *ctx, const phota_budget_row_t *row);
static int phota_counters_grow(phota_counters_t *counters);
static int phota_verify_roll_up(phota_verify_tables_t *t);
static int phota_verify_table(phota_verify_tables_t *t, MDB_dbi table,
    phota_sums_t *sums);
static int phota_verify_table_row(phota_verify_tables_t *t,
    const MDB_val *key, const MDB_val *value, phota_sums_t *sums);
static int phota_verify_row_equal(const phota_rollup_t *row,
    const phota_rollup_t *expected);
static int phota_verify_row_loose(phota_verify_tables_t *t,
    const MDB_val *key, const phota_rollup_t *row);
static int phota_verify_table_end(phota_verify_tables_t *t,
    phota_sums_t *sums);
static int phota_verify_loose(phota_verify_tables_t *t);
static int phota_verify_budgets(phota_verify_part_t *part);
static int phota_verify_stale(const phota_counters_t *counters,
    const phota_budget_row_t *row);
static int phota_verify_bad_row(phota_verify_tables_t *t, const void *key,
    size_t len);
static int phota_verify_fail(phota_verify_part_t *part, int rc);


int
phota_verify_sum(phota_verify_part_t *part, const phota_entry_t *entry,
    const phota_windows_t *windows)
{
    size_t                 len;
    u_char                 key[PHOTA_DETAIL_KEY_MAX];
    phota_rollup_t        *row;
    phota_rollup_name_t    name;
    const phota_charge_t  *charge;

    if (phota_sum_zero(&entry->delta)) {
        return PHOTA_OK;
    }

    charge = &entry->charge;

    name.day = entry->day;
    name.tenant = charge->tenant;
    name.token = charge->token;
    name.operation = charge->operation;
    memcpy(name.tag, charge->tag, sizeof(name.tag));

    len = phota_rollup_key(key, &name);
    row = phota_sums_get(&part->details, key, len);

    if (row == NULL) {
        phota_error(&part->err, "no memory");
        return PHOTA_ERROR;
    }

    phota_sum_add(&row->sum, &entry->delta);

    return phota_verify_spend(part, charge, windows, entry->delta.price, 0);
}


int
phota_verify_held(phota_verify_part_t *part, const phota_charge_t *charge)
{
    return phota_verify_spend(part, charge, &charge->windows, 0,
                              charge->held);
}


static int
phota_verify_spend(phota_verify_part_t *part, const phota_charge_t *charge,
    const phota_windows_t *windows, int64_t spent, int64_t held)
{
    int  rc;

    if (spent == 0 && held == 0) {
        return PHOTA_OK;
    }

    rc = phota_verify_spend_one(part, PHOTA_BUDGET_TENANT, charge->tenant,
                                windows, spent, held);

    if (rc == PHOTA_OK) {
        rc = phota_verify_spend_one(part, PHOTA_BUDGET_TOKEN, charge->token,
                                    windows, spent, held);
    }

    return rc;
}


static int
phota_verify_spend_one(phota_verify_part_t *part, unsigned scope,
    uint32_t id, const phota_windows_t *windows, int64_t spent, int64_t held)
{
    phota_counter_t         *counter;
    const phota_counters_t  *counters;

    if (id == 0) {
        return PHOTA_OK;
    }

    counters = &part->snapshot->counters;

    counter = phota_counters_slot(counters, scope, id, PHOTA_BUDGET_TOTAL, 0);

    if (counter == NULL) {
        phota_error(&part->err, "entry %llu: the total of %s %u is missing "
                    "in the budgets", (unsigned long long) part->sequence,
                    phota_budget_scope_name(scope), (unsigned) id);
        return PHOTA_INVALID;
    }

    phota_verify_spend_add(part, counter, spent, held);

    if (windows == NULL) {
        return PHOTA_OK;
    }

    counter = phota_counters_slot(counters, scope, id, PHOTA_BUDGET_DAY,
                                  windows->day);
    phota_verify_spend_add(part, counter, spent, held);

    counter = phota_counters_slot(counters, scope, id, PHOTA_BUDGET_MONTH,
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
phota_verify_counted(const phota_snapshot_t *s, uint32_t tenant,
    uint32_t token, const phota_windows_t *windows)
{
    const phota_counters_t  *c;

    c = &s->counters;

    return phota_counters_slot(c, PHOTA_BUDGET_TENANT, tenant,
                               PHOTA_BUDGET_DAY, windows->day) != NULL
           || phota_counters_slot(c, PHOTA_BUDGET_TENANT, tenant,
                                  PHOTA_BUDGET_MONTH, windows->month) != NULL
           || phota_counters_slot(c, PHOTA_BUDGET_TOKEN, token,
                                  PHOTA_BUDGET_DAY, windows->day) != NULL
           || phota_counters_slot(c, PHOTA_BUDGET_TOKEN, token,
                                  PHOTA_BUDGET_MONTH, windows->month) != NULL;
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

    return (rc == PHOTA_OK) ? PHOTA_OK : PHOTA_INVALID;
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

    i = (size_t) phota_counters_hash(row->scope, row->id, row->period,
                                     row->window);

    while (counters->slots[i & (counters->size - 1)].row.scope != 0) {
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
        if (counters->slots[i].row.scope != 0) {
            (void) phota_counters_add(&bigger, &counters->slots[i].row);
        }
    }

    free(counters->slots);
    *counters = bigger;

    return PHOTA_OK;
}


/* NULL where there is none */

static phota_counter_t *
phota_counters_slot(const phota_counters_t *counters, unsigned scope,
    uint32_t id, unsigned period, uint32_t window)
{
    size_t            i;
    phota_counter_t  *slot;

    if (counters->size == 0) {
        return NULL;
    }

    i = (size_t) phota_counters_hash(scope, id, period, window);

    for ( ;; i++) {
        slot = &counters->slots[i & (counters->size - 1)];

        if (slot->row.scope == 0) {
            return NULL;
        }

        if (slot->row.id == id && slot->row.window == window
            && slot->row.scope == scope && slot->row.period == period)
        {
            return slot;
        }
    }
}


static uint64_t
phota_counters_hash(unsigned scope, uint32_t id, unsigned period,
    uint32_t window)
{
    uint64_t  hash;

    hash = (uint64_t) id << 32 | window;
    hash = (hash ^ (scope << 4 | period)) * 0x9e3779b97f4a7c15;

    return hash ^ hash >> 32;
}


int
phota_verify_sums(phota_verify_part_t *part)
{
    int                    rc;
    phota_verify_tables_t  t;

    memset(&t, 0, sizeof(phota_verify_tables_t));

    t.part = part;

    rc = phota_verify_roll_up(&t);

    if (rc == PHOTA_OK) {
        rc = phota_verify_table(&t, part->snapshot->ledger->details,
                                &part->details);
    }

    if (rc == PHOTA_OK) {
        rc = phota_verify_table(&t, part->snapshot->ledger->rollups,
                                &t.rollups);
    }

    if (rc == PHOTA_OK) {
        rc = phota_verify_loose(&t);
    }

    if (rc == PHOTA_OK) {
        rc = phota_verify_budgets(part);
    }

    phota_sums_free(&t.rollups);

    return rc;
}


static int
phota_verify_roll_up(phota_verify_tables_t *t)
{
    size_t              i;
    phota_rollup_t     *row;
    phota_sums_slot_t  *slot;

    for (i = 0; i < t->part->details.size; i++) {
        slot = &t->part->details.slots[i];

        if (slot->len == 0) {
            continue;
        }

        row = phota_sums_get(&t->rollups, slot->key, PHOTA_ROLLUP_KEY);

        if (row == NULL) {
            phota_error(&t->part->err, "no memory");
            return PHOTA_ERROR;
        }

        phota_sum_add(&row->sum, &slot->rollup.sum);
    }

    return PHOTA_OK;
}


/* rows are taken off their sums: in the end nothing may be left */

static int
phota_verify_table(phota_verify_tables_t *t, MDB_dbi table,
    phota_sums_t *sums)
{
    int          rc, found;
    MDB_val      key, value;
    MDB_cursor  *cursor;

    t->table = table;

    rc = mdb_cursor_open(t->part->txn, table, &cursor);
    if (rc != 0) {
        return phota_verify_fail(t->part, rc);
    }

    rc = PHOTA_OK;

    while (rc == PHOTA_OK) {

        found = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);

        if (found == MDB_NOTFOUND) {
            rc = phota_verify_table_end(t, sums);
            break;
        }

        rc = (found == 0) ? phota_verify_table_row(t, &key, &value, sums)
                          : phota_verify_fail(t->part, found);
    }

    mdb_cursor_close(cursor);

    return rc;
}


static int
phota_verify_table_row(phota_verify_tables_t *t, const MDB_val *key,
    const MDB_val *value, phota_sums_t *sums)
{
    int                   details;
    phota_rollup_t        row, *expected;
    phota_rollup_name_t   name;

    details = (t->table == t->part->snapshot->ledger->details);

    if (phota_rollup_name(&name, key->mv_data, key->mv_size) != PHOTA_OK
        || details != (key->mv_size != PHOTA_ROLLUP_KEY)
        || phota_rollup_decode(&row, value->mv_data, value->mv_size)
           != PHOTA_OK)
    {
        phota_error(&t->part->err, "a roll-up is damaged");
        return PHOTA_INVALID;
    }

    expected = phota_sums_get(sums, key->mv_data, key->mv_size);

    if (expected == NULL) {
        phota_error(&t->part->err, "no memory");
        return PHOTA_ERROR;
    }

    if (details) {
        expected->loose_hits = row.loose_hits;
        expected->loose_saved = row.loose_saved;
    }

    if (!phota_verify_row_equal(&row, expected)) {
        return phota_verify_bad_row(t, key->mv_data, key->mv_size);
    }

    memset(expected, 0, sizeof(phota_rollup_t));

    return details ? phota_verify_row_loose(t, key, &row) : PHOTA_OK;
}


static int
phota_verify_row_equal(const phota_rollup_t *row,
    const phota_rollup_t *expected)
{
    phota_sum_t         loose, sum;
    const phota_sum_t  *found;

    memset(&loose, 0, sizeof(phota_sum_t));

    loose.calls = expected->loose_hits;
    loose.hits = expected->loose_hits;
    loose.saved = expected->loose_saved;

    sum = expected->sum;
    phota_sum_add(&sum, &loose);

    found = &row->sum;

    return found->calls == sum.calls
           && found->hits == sum.hits
           && found->outputs == sum.outputs
           && found->identity_outputs == sum.identity_outputs
           && found->cost == sum.cost
           && found->price == sum.price
           && found->saved == sum.saved
           && row->loose_hits == expected->loose_hits
           && row->loose_saved == expected->loose_saved;
}


/* they count in the roll-up too, and wait in a list of their own */

static int
phota_verify_row_loose(phota_verify_tables_t *t, const MDB_val *key,
    const phota_rollup_t *row)
{
    int              rc;
    MDB_val          name, value;
    phota_sum_t      loose, more;
    phota_rollup_t  *rollup;

    if (row->loose_hits == 0 && row->loose_saved == 0) {
        return PHOTA_OK;
    }

    t->loose++;

    name = *key;
    rc = mdb_get(t->part->txn, t->part->snapshot->ledger->loose, &name,
                 &value);

    if (rc == MDB_NOTFOUND) {
        phota_error(&t->part->err, "hits without an entry are not listed as "
                    "such");
        return PHOTA_INVALID;
    }

    if (rc != 0) {
        return phota_verify_fail(t->part, rc);
    }

    rollup = phota_sums_get(&t->rollups, key->mv_data, PHOTA_ROLLUP_KEY);

    if (rollup == NULL) {
        phota_error(&t->part->err, "no memory");
        return PHOTA_ERROR;
    }

    /* by the sums' own way of adding */

    memset(&loose, 0, sizeof(phota_sum_t));
    memset(&more, 0, sizeof(phota_sum_t));

    loose.hits = rollup->loose_hits;
    loose.saved = rollup->loose_saved;
    more.hits = row->loose_hits;
    more.saved = row->loose_saved;

    phota_sum_add(&loose, &more);

    rollup->loose_hits = loose.hits;
    rollup->loose_saved = loose.saved;

    return PHOTA_OK;
}


static int
phota_verify_table_end(phota_verify_tables_t *t, phota_sums_t *sums)
{
    size_t              i;
    phota_sums_slot_t  *slot;

    for (i = 0; i < sums->size; i++) {
        slot = &sums->slots[i];

        if (slot->len != 0
            && (!phota_sum_zero(&slot->rollup.sum)
                || slot->rollup.loose_hits != 0
                || slot->rollup.loose_saved != 0))
        {
            return phota_verify_bad_row(t, slot->key, slot->len);
        }
    }

    return PHOTA_OK;
}


static int
phota_verify_loose(phota_verify_tables_t *t)
{
    int       rc;
    MDB_stat  loose;

    rc = mdb_stat(t->part->txn, t->part->snapshot->ledger->loose, &loose);

    if (rc != 0) {
        return phota_verify_fail(t->part, rc);
    }

    if (loose.ms_entries != t->loose) {
        phota_error(&t->part->err, "%llu sums are listed as having hits "
                    "without an entry, %llu have",
                    (unsigned long long) loose.ms_entries,
                    (unsigned long long) t->loose);
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


static int
phota_verify_budgets(phota_verify_part_t *part)
{
    size_t                     i;
    char                       found[PHOTA_USD_TEXT], sum[PHOTA_USD_TEXT];
    const phota_spending_t    *spending;
    const phota_counters_t    *counters;
    const phota_budget_row_t  *row;

    counters = &part->snapshot->counters;

    for (i = 0; i < counters->size; i++) {
        row = &counters->slots[i].row;
        spending = &part->spending[i];

        if (row->scope == 0
            || (row->spending.spent == spending->spent
                && row->spending.held == spending->held)
            || phota_verify_stale(counters, row))
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

        phota_error(&part->err, "the budget of %s %u, %s %u, counts %s %s, "
                    "its entries say %s", phota_budget_scope_name(row->scope),
                    (unsigned) row->id, phota_budget_period_name(row->period),
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
    size_t                     i;
    uint64_t                   keep;
    const phota_budget_row_t  *other;

    if (row->period == PHOTA_BUDGET_TOTAL) {
        return 0;
    }

    keep = (row->period == PHOTA_BUDGET_DAY) ? PHOTA_BUDGET_DAYS
                                             : PHOTA_BUDGET_MONTHS;

    for (i = 0; i < counters->size; i++) {
        other = &counters->slots[i].row;

        if (other->scope == row->scope && other->id == row->id
            && other->period == row->period
            && other->window > row->window + keep)
        {
            return 1;
        }
    }

    return 0;
}


static int
phota_verify_bad_row(phota_verify_tables_t *t, const void *key, size_t len)
{
    char                 day[PHOTA_TIME_TEXT];
    phota_rollup_name_t  name;

    (void) phota_rollup_name(&name, key, len);
    phota_time_format(day, (uint64_t) name.day * PHOTA_DAY);

    if (len == PHOTA_ROLLUP_KEY) {
        phota_error(&t->part->err, "the roll-up of %.10s, tenant %u, %s is "
                    "not the sum of its entries", day, (unsigned) name.tenant,
                    phota_operation_name(name.operation));

    } else {
        phota_error(&t->part->err, "the roll-up of %.10s, tenant %u, %s, "
                    "token %u, tag \"%s\" is not the sum of its entries", day,
                    (unsigned) name.tenant,
                    phota_operation_name(name.operation),
                    (unsigned) name.token, name.tag);
    }

    return PHOTA_INVALID;
}


static int
phota_verify_fail(phota_verify_part_t *part, int rc)
{
    return phota_store_fail(&part->err, part->snapshot->ledger->store->path,
                            rc);
}
