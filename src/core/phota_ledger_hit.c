
/*
 * Free hits: counted in the roll-ups at once, and in an entry now and then, so
 * that a hit writes no entry of its own and the chain knows of it all the same.
 * Until then they are loose: the roll-ups' rows say how many of theirs are.
 */


#include <string.h>

#include "phota_ledger_post.h"
#include "phota_order.h"
#include "phota_rollup.h"


#define PHOTA_HIT_DETAILS  500          /* rows of a tenant and day */
#define PHOTA_HIT_PREFIX   9            /* of the key of such a row */


static int phota_hit_check(uint64_t time, const char *tag, uint64_t hits,
    int64_t saved, phota_error_t *err);
static int phota_hit_name(phota_ledger_t *l, MDB_txn *txn,
    phota_rollup_name_t *name, phota_error_t *err);
static int phota_hit_full(phota_ledger_t *l, MDB_txn *txn,
    const u_char *prefix, phota_error_t *err);
static int phota_hit_loose(phota_ledger_t *l, MDB_txn *txn,
    const phota_rollup_name_t *name, phota_error_t *err);
static int phota_hit_add(phota_ledger_t *l, MDB_txn *txn,
    const phota_rollup_name_t *name, int64_t hits, int64_t saved,
    phota_error_t *err);
static int phota_hit_add_row(phota_ledger_t *l, MDB_txn *txn,
    const u_char *key, size_t len, int64_t hits, int64_t saved,
    phota_error_t *err);
static int phota_tally_next(phota_ledger_t *l, MDB_txn *txn, MDB_val *key,
    phota_error_t *err);
static int phota_tally_one(phota_ledger_t *l, MDB_txn *txn,
    phota_chain_t *chain, const u_char *key, size_t len, phota_error_t *err);
static int phota_tally_move(phota_ledger_t *l, MDB_txn *txn,
    phota_rollup_name_t *name, uint32_t day, const phota_rollup_t *row,
    phota_error_t *err);
static int phota_tally_firm(phota_ledger_t *l, MDB_txn *txn,
    const u_char *key, size_t len, const phota_sum_t *delta,
    phota_error_t *err);


int
phota_ledger_hit(phota_ledger_t *l, MDB_txn *txn, uint64_t time,
    uint32_t tenant, uint32_t token, uint8_t operation, const char *tag,
    uint64_t hits, int64_t saved, phota_error_t *err)
{
    phota_chain_t        chain;
    phota_rollup_name_t  name;

    if (phota_hit_check(time, tag, hits, saved, err) != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    if (hits == 0) {
        return PHOTA_OK;
    }

    if (phota_ledger_chain(l, txn, &chain, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    memset(&name, 0, sizeof(phota_rollup_name_t));

    name.day = phota_ledger_day(&chain, time);
    name.tenant = tenant;
    name.token = token;
    name.operation = operation;
    memcpy(name.tag, tag, strlen(tag));

    if (phota_hit_name(l, txn, &name, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    if (phota_hit_add(l, txn, &name, (int64_t) hits, saved, err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    return phota_hit_loose(l, txn, &name, err);
}


static int
phota_hit_check(uint64_t time, const char *tag, uint64_t hits, int64_t saved,
    phota_error_t *err)
{
    if (time >> 48 != 0 || hits > (uint64_t) PHOTA_AMOUNT_MAX || saved < 0
        || saved > PHOTA_AMOUNT_MAX || (hits == 0 && saved != 0))
    {
        phota_error(err, "free hits out of range");
        return PHOTA_INVALID;
    }

    if (strlen(tag) > PHOTA_NAME_MAX) {
        phota_error(err, "free hits with a tag that is too long");
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


/* tags come from clients: no more rows than a tenant can have a use for */

static int
phota_hit_name(phota_ledger_t *l, MDB_txn *txn, phota_rollup_name_t *name,
    phota_error_t *err)
{
    int      rc;
    u_char   buf[PHOTA_DETAIL_KEY_MAX], row[PHOTA_ROLLUP_ROW_MAX];
    MDB_val  key, value;

    if (name->tag[0] == '\0') {
        return PHOTA_OK;
    }

    key.mv_data = row;
    key.mv_size = phota_rollup_row(row, buf, phota_rollup_key(buf, name));

    rc = mdb_get(txn, l->rollups, &key, &value);

    if (rc == 0) {
        return PHOTA_OK;
    }

    if (rc != MDB_NOTFOUND) {
        return phota_ledger_fail(l, "rollups", rc, err);
    }

    rc = phota_hit_full(l, txn, row, err);

    if (rc != PHOTA_EXCEEDED) {
        return rc;
    }

    memset(name->tag, 0, sizeof(name->tag));
    memcpy(name->tag, PHOTA_TAG_OTHER, sizeof(PHOTA_TAG_OTHER));

    return PHOTA_OK;
}


/* PHOTA_EXCEEDED when day and tenant, the prefix, have details enough */

static int
phota_hit_full(phota_ledger_t *l, MDB_txn *txn, const u_char *prefix,
    phota_error_t *err)
{
    int          rc;
    MDB_val      key, value;
    unsigned     n;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, l->rollups, &cursor);

    if (rc != 0) {
        return phota_ledger_fail(l, "rollups", rc, err);
    }

    n = 0;

    key.mv_data = (void *) prefix;
    key.mv_size = PHOTA_HIT_PREFIX;

    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

    while (rc == 0 && n < PHOTA_HIT_DETAILS && key.mv_size >= PHOTA_HIT_PREFIX
           && memcmp(key.mv_data, prefix, PHOTA_HIT_PREFIX) == 0)
    {
        n++;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }

    mdb_cursor_close(cursor);

    if (rc != 0 && rc != MDB_NOTFOUND) {
        return phota_ledger_fail(l, "rollups", rc, err);
    }

    return (n < PHOTA_HIT_DETAILS) ? PHOTA_OK : PHOTA_EXCEEDED;
}


static int
phota_hit_loose(phota_ledger_t *l, MDB_txn *txn,
    const phota_rollup_name_t *name, phota_error_t *err)
{
    int      rc;
    u_char   buf[PHOTA_DETAIL_KEY_MAX];
    MDB_val  key, value;

    key.mv_data = buf;
    key.mv_size = phota_rollup_key(buf, name);
    value.mv_data = NULL;
    value.mv_size = 0;

    rc = mdb_put(txn, l->loose, &key, &value, 0);

    return (rc == 0) ? PHOTA_OK : phota_ledger_fail(l, "loose", rc, err);
}


/* with a minus: they move to another day */

static int
phota_hit_add(phota_ledger_t *l, MDB_txn *txn,
    const phota_rollup_name_t *name, int64_t hits, int64_t saved,
    phota_error_t *err)
{
    size_t  len;
    u_char  key[PHOTA_DETAIL_KEY_MAX];

    len = phota_rollup_key(key, name);

    if (phota_hit_add_row(l, txn, key, PHOTA_ROLLUP_KEY, hits, saved, err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    return phota_hit_add_row(l, txn, key, len, hits, saved, err);
}


static int
phota_hit_add_row(phota_ledger_t *l, MDB_txn *txn, const u_char *key,
    size_t len, int64_t hits, int64_t saved, phota_error_t *err)
{
    phota_sum_t     sum;
    phota_rollup_t  row;

    if (phota_rollup_get(l, txn, key, len, &row, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    memset(&sum, 0, sizeof(phota_sum_t));

    sum.calls = hits;
    sum.hits = hits;
    sum.saved = saved;

    phota_sum_add(&row.sum, &sum);

    row.loose_hits += hits;
    row.loose_saved += saved;

    if (hits > 0 || row.loose_hits != 0 || !phota_sum_zero(&row.sum)) {
        return phota_rollup_put(l, txn, key, len, &row, err);
    }

    /* all that it was made for has gone elsewhere */

    return phota_rollup_del(l, txn, key, len, err);
}


int
phota_ledger_tally(phota_ledger_t *l, MDB_txn *txn, unsigned limit,
    int *more, phota_error_t *err)
{
    int            rc;
    u_char         buf[PHOTA_DETAIL_KEY_MAX];
    MDB_val        key;
    unsigned       n;
    phota_chain_t  chain;

    *more = 0;

    if (phota_ledger_chain(l, txn, &chain, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    for (n = 0; /* void */ ; n++) {

        rc = phota_tally_next(l, txn, &key, err);

        if (rc == PHOTA_DECLINED) {
            break;
        }

        if (rc != PHOTA_OK) {
            return rc;
        }

        if (n == limit) {
            *more = 1;
            break;
        }

        memcpy(buf, key.mv_data, key.mv_size);

        if (phota_tally_one(l, txn, &chain, buf, key.mv_size, err)
            != PHOTA_OK)
        {
            return PHOTA_ERROR;
        }
    }

    return (n == 0) ? PHOTA_OK : phota_ledger_set_chain(l, txn, &chain, err);
}


/* the first that is loose, PHOTA_DECLINED when nothing is */

static int
phota_tally_next(phota_ledger_t *l, MDB_txn *txn, MDB_val *key,
    phota_error_t *err)
{
    int          rc;
    MDB_val      value;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, l->loose, &cursor);

    if (rc != 0) {
        return phota_ledger_fail(l, "loose", rc, err);
    }

    rc = mdb_cursor_get(cursor, key, &value, MDB_FIRST);

    mdb_cursor_close(cursor);

    if (rc == MDB_NOTFOUND) {
        return PHOTA_DECLINED;
    }

    if (rc == 0 && (key->mv_size < PHOTA_DETAIL_KEY
                    || key->mv_size > PHOTA_DETAIL_KEY_MAX))
    {
        rc = MDB_CORRUPTED;
    }

    return (rc == 0) ? PHOTA_OK : phota_ledger_fail(l, "loose", rc, err);
}


static int
phota_tally_one(phota_ledger_t *l, MDB_txn *txn, phota_chain_t *chain,
    const u_char *key, size_t len, phota_error_t *err)
{
    int                   rc;
    u_char                buf[PHOTA_DETAIL_KEY_MAX];
    MDB_val               loose;
    phota_entry_t         entry;
    phota_rollup_t        row;
    phota_charge_t       *charge;
    phota_rollup_name_t   name;

    if (phota_rollup_name(&name, key, len) != PHOTA_OK) {
        return phota_ledger_fail(l, "loose", MDB_CORRUPTED, err);
    }

    if (phota_rollup_get(l, txn, key, len, &row, err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    loose.mv_data = (void *) key;
    loose.mv_size = len;

    rc = mdb_del(txn, l->loose, &loose, NULL);

    if (rc != 0) {
        return phota_ledger_fail(l, "loose", rc, err);
    }

    if (row.loose_hits == 0 && row.loose_saved == 0) {
        return PHOTA_OK;
    }

    /* a day in the archive gets no entry any more */

    if (name.day < chain->closed
        && phota_tally_move(l, txn, &name,
                            phota_ledger_day(chain, (uint64_t) name.day
                                                    * PHOTA_DAY),
                            &row, err)
           != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    memset(&entry, 0, sizeof(phota_entry_t));

    entry.type = PHOTA_ENTRY_HITS;
    entry.day = name.day;
    entry.delta.calls = row.loose_hits;
    entry.delta.hits = row.loose_hits;
    entry.delta.saved = row.loose_saved;

    charge = &entry.charge;

    charge->tenant = name.tenant;
    charge->token = name.token;
    charge->operation = name.operation;
    memcpy(charge->tag, name.tag, sizeof(charge->tag));

    len = phota_rollup_key(buf, &name);

    if (phota_ledger_append(l, txn, chain, &entry, err) != PHOTA_OK
        || phota_tally_firm(l, txn, buf, PHOTA_ROLLUP_KEY, &entry.delta, err)
           != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    return phota_tally_firm(l, txn, buf, len, &entry.delta, err);
}


static int
phota_tally_move(phota_ledger_t *l, MDB_txn *txn, phota_rollup_name_t *name,
    uint32_t day, const phota_rollup_t *row, phota_error_t *err)
{
    if (phota_hit_add(l, txn, name, -row->loose_hits, -row->loose_saved, err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    name->day = day;

    return phota_hit_add(l, txn, name, row->loose_hits, row->loose_saved,
                         err);
}


static int
phota_tally_firm(phota_ledger_t *l, MDB_txn *txn, const u_char *key,
    size_t len, const phota_sum_t *delta, phota_error_t *err)
{
    phota_rollup_t  row;

    if (phota_rollup_get(l, txn, key, len, &row, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    row.loose_hits -= delta->hits;
    row.loose_saved -= delta->saved;

    return phota_rollup_put(l, txn, key, len, &row, err);
}
