
/*
 * What was used: sums of roll-ups over days, by tenant and operation and, if
 * asked for, by day, token or tag.  In one transaction, so that they are of one
 * moment.
 */


#include <errno.h>
#include <string.h>

#include "phota_ledger_record.h"
#include "phota_order.h"
#include "phota_rollup.h"


static int phota_ledger_sum(phota_ledger_t *l, uint32_t tenant, uint64_t from,
    uint64_t to, unsigned by, phota_sums_t *sums, phota_error_t *err);
static int phota_ledger_sum_days(MDB_cursor *cursor, uint64_t first,
    uint64_t last, unsigned by, phota_sums_t *sums);
static int phota_ledger_sum_tenant(MDB_cursor *cursor, uint32_t tenant,
    uint64_t first, uint64_t last, unsigned by, phota_sums_t *sums);
static int phota_ledger_sum_seek(MDB_cursor *cursor, uint64_t day,
    unsigned details, uint32_t tenant, MDB_val *key, MDB_val *value);
static int phota_ledger_sum_row(const phota_rollup_name_t *name,
    const MDB_val *value, unsigned by, phota_sums_t *sums);
static size_t phota_usage_key(u_char key[PHOTA_DETAIL_KEY_MAX], unsigned by,
    const phota_rollup_name_t *name);
static void phota_usage_of(phota_usage_t *usage, unsigned by,
    const phota_sums_slot_t *slot);


int
phota_ledger_usage(phota_ledger_t *l, uint64_t from, uint64_t to,
    unsigned by, phota_usage_pt handler, void *ctx, phota_error_t *err)
{
    return phota_ledger_usage_of(l, 0, from, to, by, handler, ctx, err);
}


int
phota_ledger_usage_of(phota_ledger_t *l, uint32_t tenant, uint64_t from,
    uint64_t to, unsigned by, phota_usage_pt handler, void *ctx,
    phota_error_t *err)
{
    int            rc;
    size_t         i;
    phota_sums_t   sums;
    phota_usage_t  usage;

    if (by > PHOTA_USAGE_TAG) {
        phota_error(err, "usage is not listed by that");
        return PHOTA_INVALID;
    }

    memset(&sums, 0, sizeof(phota_sums_t));

    rc = phota_ledger_sum(l, tenant, from, to, by, &sums, err);

    phota_sums_sort(&sums);

    for (i = 0; rc == PHOTA_OK && i < sums.count; i++) {

        phota_usage_of(&usage, by, &sums.slots[i]);

        rc = handler(ctx, &usage);
    }

    phota_sums_free(&sums);

    return rc;
}


/* tenant 0: all of them */

static int
phota_ledger_sum(phota_ledger_t *l, uint32_t tenant, uint64_t from,
    uint64_t to, unsigned by, phota_sums_t *sums, phota_error_t *err)
{
    int          rc;
    MDB_txn     *txn;
    uint64_t     first, last;
    MDB_cursor  *cursor;

    first = from / PHOTA_DAY;
    last = (to == 0) ? UINT32_MAX : (to - 1) / PHOTA_DAY;

    if (first > UINT32_MAX) {
        return PHOTA_OK;
    }

    if (phota_store_begin(l->store, 0, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = mdb_cursor_open(txn, l->rollups, &cursor);

    if (rc == 0) {
        rc = tenant ? phota_ledger_sum_tenant(cursor, tenant, first, last, by,
                                              sums)
                    : phota_ledger_sum_days(cursor, first, last, by, sums);
        mdb_cursor_close(cursor);
    }

    phota_store_abort(txn);

    return (rc == 0) ? PHOTA_OK : phota_store_fail(err, l->store->path, rc);
}


static int
phota_ledger_sum_days(MDB_cursor *cursor, uint64_t first, uint64_t last,
    unsigned by, phota_sums_t *sums)
{
    int                  rc;
    size_t               len;
    u_char               buf[PHOTA_DETAIL_KEY_MAX];
    MDB_val              key, value;
    unsigned             details;
    phota_rollup_name_t  name;

    details = (by == PHOTA_USAGE_TOKEN || by == PHOTA_USAGE_TAG);

    rc = phota_ledger_sum_seek(cursor, first, details, 0, &key, &value);

    while (rc == 0) {

        if (phota_rollup_row_key(buf, &len, &key) != PHOTA_OK
            || phota_rollup_name(&name, buf, len) != PHOTA_OK)
        {
            return MDB_CORRUPTED;
        }

        if (name.day > last) {
            return 0;
        }

        /* details are as many as clients have tags: they are passed over */

        if (details != (len != PHOTA_ROLLUP_KEY)) {
            rc = phota_ledger_sum_seek(cursor, (uint64_t) name.day + !details,
                                       details, 0, &key, &value);
            continue;
        }

        rc = phota_ledger_sum_row(&name, &value, by, sums);

        if (rc == 0) {
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        }
    }

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


/* day by day to the tenant's rows, and behind them to the next day's */

static int
phota_ledger_sum_tenant(MDB_cursor *cursor, uint32_t tenant, uint64_t first,
    uint64_t last, unsigned by, phota_sums_t *sums)
{
    int                  rc;
    size_t               len;
    u_char               buf[PHOTA_DETAIL_KEY_MAX];
    MDB_val              key, value;
    uint64_t             day;
    unsigned             details;
    phota_rollup_name_t  name;

    day = first;
    details = (by == PHOTA_USAGE_TOKEN || by == PHOTA_USAGE_TAG);

    rc = phota_ledger_sum_seek(cursor, day, details, tenant, &key, &value);

    while (rc == 0) {

        if (phota_rollup_row_key(buf, &len, &key) != PHOTA_OK
            || phota_rollup_name(&name, buf, len) != PHOTA_OK)
        {
            return MDB_CORRUPTED;
        }

        if (name.day > last) {
            return 0;
        }

        if (name.day == day && name.tenant == tenant
            && details == (len != PHOTA_ROLLUP_KEY))
        {
            rc = phota_ledger_sum_row(&name, &value, by, sums);

            if (rc == 0) {
                rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
            }

            continue;
        }

        day = (name.day > day) ? name.day : day + 1;

        rc = phota_ledger_sum_seek(cursor, day, details, tenant, &key,
                                   &value);
    }

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


/* to the first row of its kind from a day and tenant on, or what follows */

static int
phota_ledger_sum_seek(MDB_cursor *cursor, uint64_t day, unsigned details,
    uint32_t tenant, MDB_val *key, MDB_val *value)
{
    u_char  start[9];

    if (day > UINT32_MAX) {
        return MDB_NOTFOUND;
    }

    phota_put_be(start, day, 4);
    start[4] = (u_char) details;
    phota_put_be(start + 5, tenant, 4);

    key->mv_data = start;
    key->mv_size = sizeof(start);

    return mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
}


static int
phota_ledger_sum_row(const phota_rollup_name_t *name, const MDB_val *value,
    unsigned by, phota_sums_t *sums)
{
    size_t           len;
    u_char           key[PHOTA_DETAIL_KEY_MAX];
    phota_rollup_t   row, *sum;

    if (phota_rollup_decode(&row, value->mv_data, value->mv_size)
        != PHOTA_OK)
    {
        return MDB_CORRUPTED;
    }

    len = phota_usage_key(key, by, name);

    sum = phota_sums_get(sums, key, len);

    if (sum == NULL) {
        return ENOMEM;
    }

    phota_sum_add(&sum->sum, &row.sum);

    return 0;
}


/* tenant, operation, and what by adds: in the order of the rows */

static size_t
phota_usage_key(u_char key[PHOTA_DETAIL_KEY_MAX], unsigned by,
    const phota_rollup_name_t *name)
{
    size_t  len;

    phota_put_be(key, name->tenant, 4);
    key[4] = name->operation;

    switch (by) {

    case PHOTA_USAGE_DAY:
        phota_put_be(key + 5, name->day, 4);
        return 9;

    case PHOTA_USAGE_TOKEN:
        phota_put_be(key + 5, name->token, 4);
        return 9;

    case PHOTA_USAGE_TAG:
        len = strlen(name->tag);
        memcpy(key + 5, name->tag, len);
        return 5 + len;

    default: /* PHOTA_USAGE_OPERATION */
        return 5;
    }
}


static void
phota_usage_of(phota_usage_t *usage, unsigned by,
    const phota_sums_slot_t *slot)
{
    memset(usage, 0, sizeof(phota_usage_t));

    usage->tenant = (uint32_t) phota_get_be(slot->key, 4);
    usage->operation = slot->key[4];
    usage->sum = slot->rollup.sum;

    switch (by) {

    case PHOTA_USAGE_DAY:
        usage->day = (uint32_t) phota_get_be(slot->key + 5, 4);
        break;

    case PHOTA_USAGE_TOKEN:
        usage->token = (uint32_t) phota_get_be(slot->key + 5, 4);
        break;

    case PHOTA_USAGE_TAG:
        memcpy(usage->tag, slot->key + 5, slot->len - 5u);
        break;

    default: /* PHOTA_USAGE_OPERATION */
        break;
    }
}
