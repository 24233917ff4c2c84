
/*
 * What entries add up to: details by day, tenant, operation, token and tag, and
 * roll-ups, which are sums of those.  Free hits that have no entry yet are what
 * a row itself says they are; only that the tables agree on them can be told.
 */


#include <stdlib.h>
#include <string.h>

#include "phota_order.h"
#include "phota_verify.h"


typedef struct {
    phota_verify_part_t  *part;
    phota_sums_t          rollups;
    unsigned              details;      /* which kind is walked */
    uint64_t              loose;        /* details that have loose hits */
} phota_verify_tables_t;


static int phota_verify_roll_up(phota_verify_tables_t *t);
static int phota_verify_table(phota_verify_tables_t *t, unsigned details,
    phota_sums_t *sums);
static int phota_verify_table_row(phota_verify_tables_t *t,
    const MDB_val *key, const MDB_val *value, phota_sums_t *sums);
static int phota_verify_row_equal(const phota_rollup_t *row,
    const phota_rollup_t *expected);
static int phota_verify_row_loose(phota_verify_tables_t *t, u_char *key,
    size_t len, const phota_rollup_t *row);
static int phota_verify_table_end(phota_verify_tables_t *t,
    phota_sums_t *sums);
static int phota_verify_loose(phota_verify_tables_t *t);
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
phota_verify_sums(phota_verify_part_t *part)
{
    int                    rc;
    phota_verify_tables_t  t;

    memset(&t, 0, sizeof(phota_verify_tables_t));

    t.part = part;

    rc = phota_verify_roll_up(&t);

    if (rc == PHOTA_OK) {
        rc = phota_verify_table(&t, 1, &part->details);
    }

    if (rc == PHOTA_OK) {
        rc = phota_verify_table(&t, 0, &t.rollups);
    }

    if (rc == PHOTA_OK) {
        rc = phota_verify_loose(&t);
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

    for (i = 0; i < t->part->details.count; i++) {

        slot = &t->part->details.slots[i];
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
phota_verify_table(phota_verify_tables_t *t, unsigned details,
    phota_sums_t *sums)
{
    int          rc, found;
    MDB_val      key, value;
    MDB_cursor  *cursor;

    t->details = details;

    rc = mdb_cursor_open(t->part->txn, t->part->snapshot->ledger->rollups,
                         &cursor);
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
    size_t                len;
    u_char                buf[PHOTA_DETAIL_KEY_MAX];
    phota_rollup_t        row, *expected;
    phota_rollup_name_t   name;

    if (phota_rollup_row_key(buf, &len, key) != PHOTA_OK
        || phota_rollup_name(&name, buf, len) != PHOTA_OK
        || phota_rollup_decode(&row, value->mv_data, value->mv_size)
           != PHOTA_OK)
    {
        phota_error(&t->part->err, "a roll-up is damaged");
        return PHOTA_INVALID;
    }

    if (t->details != (len != PHOTA_ROLLUP_KEY)) {
        return PHOTA_OK;
    }

    expected = phota_sums_get(sums, buf, len);

    if (expected == NULL) {
        phota_error(&t->part->err, "no memory");
        return PHOTA_ERROR;
    }

    if (t->details) {
        expected->loose_hits = row.loose_hits;
        expected->loose_saved = row.loose_saved;
    }

    if (!phota_verify_row_equal(&row, expected)) {
        return phota_verify_bad_row(t, buf, len);
    }

    memset(expected, 0, sizeof(phota_rollup_t));

    return t->details ? phota_verify_row_loose(t, buf, len, &row) : PHOTA_OK;
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
phota_verify_row_loose(phota_verify_tables_t *t, u_char *key, size_t len,
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

    name.mv_data = key;
    name.mv_size = len;

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

    rollup = phota_sums_get(&t->rollups, key, PHOTA_ROLLUP_KEY);

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

    for (i = 0; i < sums->count; i++) {
        slot = &sums->slots[i];

        if (!phota_sum_zero(&slot->rollup.sum)
            || slot->rollup.loose_hits != 0
            || slot->rollup.loose_saved != 0)
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
