
/*
 * Budgets: counters of what is spent and held, by tenant and by token, in a
 * day, a month and in all.  A counter is one record: read and written once by
 * each entry.  Days and months that nobody will ask for again are removed when
 * a new one begins, so that the table grows with tenants, not with time.
 */


#include <stdio.h>
#include <string.h>

#include "phota_budget.h"
#include "phota_order.h"
#include "phota_record.h"


#define PHOTA_BUDGET_VERSION  1
#define PHOTA_BUDGET_PREFIX   5         /* tenant 4, period 1 */
#define PHOTA_BUDGET_KEY      (PHOTA_BUDGET_PREFIX + 8)     /* window, token */
#define PHOTA_BUDGET_LEN      (1 + 2 * 8)


/* a counter, and what it is asked or told */

typedef struct {
    uint32_t        tenant;
    unsigned        period;
    uint32_t        window;
    uint32_t        token;          /* 0: the tenant's own */
} phota_budget_name_t;


static void phota_budget_name(phota_budget_name_t *name, uint32_t tenant,
    uint32_t token, unsigned period, const phota_windows_t *windows);
static void phota_budget_key(u_char key[PHOTA_BUDGET_KEY],
    const phota_budget_name_t *name);
static int64_t phota_budget_limit(const phota_limits_t *limits,
    unsigned period);
static int64_t phota_budget_left(int64_t limit,
    const phota_spending_t *spending);
static int phota_budget_ask(phota_budgets_t *b, MDB_txn *txn,
    const phota_budget_name_t *name, int64_t limit, int64_t amount,
    phota_shortage_t *shortage, phota_error_t *err);
static int phota_budget_read(phota_budgets_t *b, MDB_txn *txn,
    const u_char key[PHOTA_BUDGET_KEY], phota_spending_t *spending,
    phota_error_t *err);
static int phota_budget_add(phota_budgets_t *b, MDB_txn *txn,
    const phota_budget_name_t *name, int64_t spent, int64_t held,
    unsigned fresh, phota_error_t *err);
static int phota_budget_overflow(const phota_budget_name_t *name,
    phota_error_t *err);
static int phota_budget_may_make(const phota_budget_name_t *name,
    unsigned fresh);
static int phota_budget_write(phota_budgets_t *b, MDB_txn *txn,
    const u_char key[PHOTA_BUDGET_KEY], const phota_spending_t *spending,
    phota_error_t *err);
static int phota_budget_trim(phota_budgets_t *b, MDB_txn *txn,
    const phota_budget_name_t *name, phota_error_t *err);
static int phota_budget_decode(phota_spending_t *spending,
    const MDB_val *value);
static int phota_budget_row(phota_budget_row_t *row, const MDB_val *key,
    const MDB_val *value);
static int phota_budget_fail(phota_budgets_t *b, int rc, phota_error_t *err);


int
phota_budgets_open(phota_budgets_t *b, phota_store_t *store,
    phota_error_t *err)
{
    b->store = store;

    return phota_store_table(store, "budgets", &b->budgets, err);
}


int
phota_budget_get(phota_budgets_t *b, MDB_txn *txn, uint32_t tenant,
    uint32_t token, unsigned period, uint32_t window,
    phota_spending_t *spending, phota_error_t *err)
{
    int                  rc;
    u_char               key[PHOTA_BUDGET_KEY];
    phota_budget_name_t  name;

    name.tenant = tenant;
    name.period = period;
    name.window = window;
    name.token = token;

    phota_budget_key(key, &name);

    rc = phota_budget_read(b, txn, key, spending, err);

    return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
}


int
phota_budget_check(phota_budgets_t *b, MDB_txn *txn, uint32_t tenant,
    const phota_limits_t *tenant_limits, uint32_t token,
    const phota_limits_t *token_limits, const phota_windows_t *windows,
    int64_t amount, phota_shortage_t *shortage, phota_error_t *err)
{
    int                  rc, exceeded;
    int64_t              limit;
    unsigned             scope, period;
    phota_budget_name_t  name;

    if (amount < 0) {
        phota_error(err, "a budget is asked for a negative amount");
        return PHOTA_INVALID;
    }

    exceeded = 0;
    memset(shortage, 0, sizeof(phota_shortage_t));

    /* of limits that leave the same the one that resets last is named */

    for (period = PHOTA_BUDGET_DAY; period <= PHOTA_BUDGET_TOTAL; period++) {

        for (scope = PHOTA_BUDGET_TENANT; scope <= PHOTA_BUDGET_TOKEN;
             scope++)
        {
            if (scope == PHOTA_BUDGET_TENANT) {
                phota_budget_name(&name, tenant, 0, period, windows);
                limit = phota_budget_limit(tenant_limits, period);

            } else {
                phota_budget_name(&name, tenant, token, period, windows);
                limit = (token != 0) ? phota_budget_limit(token_limits, period)
                                     : -1;
            }

            rc = phota_budget_ask(b, txn, &name, limit, amount, shortage,
                                  err);

            if (rc == PHOTA_EXCEEDED) {
                exceeded = 1;

            } else if (rc != PHOTA_OK) {
                return rc;
            }
        }
    }

    return exceeded ? PHOTA_EXCEEDED : PHOTA_OK;
}


static void
phota_budget_name(phota_budget_name_t *name, uint32_t tenant, uint32_t token,
    unsigned period, const phota_windows_t *windows)
{
    name->tenant = tenant;
    name->token = token;
    name->period = period;

    switch (period) {

    case PHOTA_BUDGET_DAY:
        name->window = windows->day;
        break;

    case PHOTA_BUDGET_MONTH:
        name->window = windows->month;
        break;

    default: /* PHOTA_BUDGET_TOTAL */
        name->window = 0;
    }
}


/*
 * Backwards in time: a tenant's totals, its newest month and its newest day,
 * which a charge counts in, are neighbours, mostly in one page.
 */

static void
phota_budget_key(u_char key[PHOTA_BUDGET_KEY],
    const phota_budget_name_t *name)
{
    phota_put_be(key, name->tenant, 4);
    key[4] = (u_char) ~name->period;
    phota_put_be(key + PHOTA_BUDGET_PREFIX, ~name->window, 4);
    phota_put_be(key + PHOTA_BUDGET_PREFIX + 4, name->token, 4);
}


static int64_t
phota_budget_limit(const phota_limits_t *limits, unsigned period)
{
    if (limits == NULL) {
        return -1;
    }

    switch (period) {

    case PHOTA_BUDGET_DAY:
        return limits->day;

    case PHOTA_BUDGET_MONTH:
        return limits->month;

    default: /* PHOTA_BUDGET_TOTAL */
        return limits->total;
    }
}


/* PHOTA_EXCEEDED when it forbids; shortage keeps the one that leaves least */

static int
phota_budget_ask(phota_budgets_t *b, MDB_txn *txn,
    const phota_budget_name_t *name, int64_t limit, int64_t amount,
    phota_shortage_t *shortage, phota_error_t *err)
{
    int64_t           left;
    uint32_t          id;
    phota_spending_t  spending;

    if (limit < 0 || name->tenant == 0) {
        return PHOTA_OK;
    }

    if (phota_budget_get(b, txn, name->tenant, name->token, name->period,
                         name->window, &spending, err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    left = phota_budget_left(limit, &spending);

    if (amount <= left) {
        return PHOTA_OK;
    }

    if (shortage->scope == 0 || left <= shortage->left) {
        shortage->scope = (uint8_t) phota_budget_scope(name->tenant,
                                                       name->token, &id);
        shortage->period = (uint8_t) name->period;
        shortage->limit = limit;
        shortage->left = left;
    }

    return PHOTA_EXCEEDED;
}


/* wider than a counter, for reversals may take one below zero */

static int64_t
phota_budget_left(int64_t limit, const phota_spending_t *spending)
{
    __int128  left;

    left = (__int128) limit - spending->spent - spending->held;

    if (left < 0) {
        return 0;
    }

    return (left > INT64_MAX) ? INT64_MAX : (int64_t) left;
}


/* PHOTA_DECLINED, and zeros, where there is none */

static int
phota_budget_read(phota_budgets_t *b, MDB_txn *txn,
    const u_char key[PHOTA_BUDGET_KEY], phota_spending_t *spending,
    phota_error_t *err)
{
    int      rc;
    MDB_val  name, value;

    memset(spending, 0, sizeof(phota_spending_t));

    name.mv_data = (void *) key;
    name.mv_size = PHOTA_BUDGET_KEY;

    rc = mdb_get(txn, b->budgets, &name, &value);

    if (rc == MDB_NOTFOUND) {
        return PHOTA_DECLINED;
    }

    if (rc == 0 && phota_budget_decode(spending, &value) != PHOTA_OK) {
        rc = MDB_CORRUPTED;
    }

    return (rc == 0) ? PHOTA_OK : phota_budget_fail(b, rc, err);
}


int
phota_budget_post(phota_budgets_t *b, MDB_txn *txn, uint32_t tenant,
    uint32_t token, const phota_windows_t *windows, int64_t spent,
    int64_t held, unsigned fresh, phota_error_t *err)
{
    unsigned             period;
    phota_budget_name_t  name;

    /* a fresh nothing makes rows too: what it comes to later counts in them */

    if (tenant == 0 || (spent == 0 && held == 0 && !fresh)) {
        return PHOTA_OK;
    }

    for (period = PHOTA_BUDGET_DAY; period <= PHOTA_BUDGET_TOTAL; period++) {

        phota_budget_name(&name, tenant, 0, period, windows);

        if (phota_budget_add(b, txn, &name, spent, held, fresh, err)
            != PHOTA_OK)
        {
            return PHOTA_ERROR;
        }

        name.token = token;

        if (token != 0
            && phota_budget_add(b, txn, &name, spent, held, fresh, err)
               != PHOTA_OK)
        {
            return PHOTA_ERROR;
        }
    }

    return PHOTA_OK;
}


static int
phota_budget_add(phota_budgets_t *b, MDB_txn *txn,
    const phota_budget_name_t *name, int64_t spent, int64_t held,
    unsigned fresh, phota_error_t *err)
{
    int               rc, made;
    u_char            key[PHOTA_BUDGET_KEY];
    phota_spending_t  spending;

    phota_budget_key(key, name);

    rc = phota_budget_read(b, txn, key, &spending, err);

    made = (rc == PHOTA_DECLINED);

    if (made && !phota_budget_may_make(name, fresh)) {
        return PHOTA_OK;
    }

    if (rc != PHOTA_OK && !made) {
        return rc;
    }

    if (__builtin_add_overflow(spending.spent, spent, &spending.spent)
        || __builtin_add_overflow(spending.held, held, &spending.held))
    {
        return phota_budget_overflow(name, err);
    }

    if (phota_budget_write(b, txn, key, &spending, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    if (!made || name->period == PHOTA_BUDGET_TOTAL) {
        return PHOTA_OK;
    }

    return phota_budget_trim(b, txn, name, err);
}


static int
phota_budget_overflow(const phota_budget_name_t *name, phota_error_t *err)
{
    uint32_t  id;
    unsigned  scope;

    scope = phota_budget_scope(name->tenant, name->token, &id);

    phota_error(err, "the %s counter of %s %u overflows",
                phota_budget_period_name(name->period),
                phota_budget_scope_name(scope), (unsigned) id);

    return PHOTA_ERROR;
}


static int
phota_budget_may_make(const phota_budget_name_t *name, unsigned fresh)
{
    switch (name->period) {

    case PHOTA_BUDGET_DAY:
        return (fresh & PHOTA_BUDGET_FRESH_DAY) != 0;

    case PHOTA_BUDGET_MONTH:
        return (fresh & PHOTA_BUDGET_FRESH_MONTH) != 0;

    default: /* PHOTA_BUDGET_TOTAL */
        return 1;
    }
}


static int
phota_budget_write(phota_budgets_t *b, MDB_txn *txn,
    const u_char key[PHOTA_BUDGET_KEY], const phota_spending_t *spending,
    phota_error_t *err)
{
    int             rc;
    u_char          buf[PHOTA_BUDGET_LEN];
    MDB_val         name, value;
    phota_writer_t  w;

    phota_write_init(&w, buf, sizeof(buf));

    phota_write_number(&w, PHOTA_BUDGET_VERSION, 1);
    phota_write_number(&w, (uint64_t) spending->spent, 8);
    phota_write_number(&w, (uint64_t) spending->held, 8);

    name.mv_data = (void *) key;
    name.mv_size = PHOTA_BUDGET_KEY;
    value.mv_data = buf;
    value.mv_size = sizeof(buf);

    rc = mdb_put(txn, b->budgets, &name, &value, 0);

    return (rc == 0) ? PHOTA_OK : phota_budget_fail(b, rc, err);
}


/* those of the tenant and period whose window is too old by now */

static int
phota_budget_trim(phota_budgets_t *b, MDB_txn *txn,
    const phota_budget_name_t *name, phota_error_t *err)
{
    int                  rc;
    u_char               first[PHOTA_BUDGET_KEY];
    MDB_val              key, value;
    uint32_t             keep;
    MDB_cursor          *cursor;
    phota_budget_name_t  newest;

    keep = (name->period == PHOTA_BUDGET_DAY) ? PHOTA_BUDGET_DAYS
                                              : PHOTA_BUDGET_MONTHS;
    if (name->window <= keep) {
        return PHOTA_OK;
    }

    newest = *name;
    newest.window -= keep + 1;
    newest.token = 0;

    phota_budget_key(first, &newest);

    rc = mdb_cursor_open(txn, b->budgets, &cursor);
    if (rc != 0) {
        return phota_budget_fail(b, rc, err);
    }

    do {
        key.mv_data = first;
        key.mv_size = sizeof(first);

        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

        if (rc == 0
            && (key.mv_size != PHOTA_BUDGET_KEY
                || memcmp(key.mv_data, first, PHOTA_BUDGET_PREFIX) != 0))
        {
            break;
        }

        if (rc == 0) {
            rc = mdb_cursor_del(cursor, 0);
        }

    } while (rc == 0);

    mdb_cursor_close(cursor);

    return (rc == 0 || rc == MDB_NOTFOUND) ? PHOTA_OK
                                           : phota_budget_fail(b, rc, err);
}


int
phota_budget_each(phota_budgets_t *b, MDB_txn *txn, phota_budget_pt handler,
    void *ctx, phota_error_t *err)
{
    int                  rc;
    MDB_val              key, value;
    MDB_cursor          *cursor;
    phota_budget_row_t   row;

    rc = mdb_cursor_open(txn, b->budgets, &cursor);
    if (rc != 0) {
        return phota_budget_fail(b, rc, err);
    }

    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);

    while (rc == 0) {

        if (phota_budget_row(&row, &key, &value) != PHOTA_OK) {
            rc = MDB_CORRUPTED;
            break;
        }

        rc = handler(ctx, &row);

        if (rc != PHOTA_OK) {
            mdb_cursor_close(cursor);
            return rc;
        }

        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? PHOTA_OK : phota_budget_fail(b, rc, err);
}


static int
phota_budget_row(phota_budget_row_t *row, const MDB_val *key,
    const MDB_val *value)
{
    const u_char  *p;

    p = key->mv_data;

    if (key->mv_size != PHOTA_BUDGET_KEY) {
        return PHOTA_INVALID;
    }

    row->tenant = (uint32_t) phota_get_be(p, 4);
    row->period = (uint8_t) ~p[4];
    row->window = ~(uint32_t) phota_get_be(p + PHOTA_BUDGET_PREFIX, 4);
    row->token = (uint32_t) phota_get_be(p + PHOTA_BUDGET_PREFIX + 4, 4);

    if (row->period < PHOTA_BUDGET_DAY || row->period > PHOTA_BUDGET_TOTAL) {
        return PHOTA_INVALID;
    }

    return phota_budget_decode(&row->spending, value);
}


static int
phota_budget_decode(phota_spending_t *spending, const MDB_val *value)
{
    phota_reader_t  r;

    phota_read_init(&r, value->mv_data, value->mv_size);

    if (phota_read_number(&r, 1) != PHOTA_BUDGET_VERSION) {
        return PHOTA_ERROR;
    }

    spending->spent = (int64_t) phota_read_number(&r, 8);
    spending->held = (int64_t) phota_read_number(&r, 8);

    return phota_read_end(&r);
}


static int
phota_budget_fail(phota_budgets_t *b, int rc, phota_error_t *err)
{
    char  what[sizeof(b->store->path) + 64];

    (void) snprintf(what, sizeof(what), "%.120s, table \"budgets\"",
                    b->store->path);

    return phota_store_fail(err, what, rc);
}


const char *
phota_budget_scope_name(unsigned scope)
{
    static const char  *names[] = { "?", "tenant", "token" };

    return (scope <= PHOTA_BUDGET_TOKEN) ? names[scope] : names[0];
}


unsigned
phota_budget_scope(uint32_t tenant, uint32_t token, uint32_t *id)
{
    *id = (token != 0) ? token : tenant;

    return (token != 0) ? PHOTA_BUDGET_TOKEN : PHOTA_BUDGET_TENANT;
}


const char *
phota_budget_period_name(unsigned period)
{
    static const char  *names[] = { "?", "day", "month", "total" };

    return (period <= PHOTA_BUDGET_TOTAL) ? names[period] : names[0];
}
