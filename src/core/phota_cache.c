
/*
 * Bought results: finding them, keeping the used ones young, and taking out
 * what is damaged.  What is damaged counts as absent.
 */


#include <string.h>
#include <unistd.h>

#include "phota_cache_record.h"


#define PHOTA_CACHE_MEND    256             /* results of one fingerprint */


static int phota_cache_pool_take(phota_cache_t *c, MDB_txn *txn,
    const phota_cache_key_t *key, const MDB_val *value, uint64_t now,
    uint64_t since, phota_result_t *result);
static int phota_cache_pool_holds(phota_cache_t *c, MDB_txn *txn,
    const phota_result_t *result);
static int phota_pool_seek(MDB_cursor *cursor, phota_cache_key_t *key,
    MDB_val *value, MDB_cursor_op op);
static int phota_cache_touch_one(phota_cache_t *c, MDB_txn *txn,
    const phota_use_t *use, uint64_t now);
static int phota_cache_touch_find(phota_cache_t *c, MDB_txn *txn,
    const phota_use_t *use, phota_result_t *result);
static int phota_cache_mend_pool(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, const u_char *fingerprint, uint64_t now);
static int phota_cache_sick(phota_cache_t *c, MDB_txn *txn,
    const phota_cache_key_t *key);


int
phota_cache_open(phota_cache_t *c, phota_store_t *store, uint64_t max_size,
    phota_beats_t *beats, phota_error_t *err)
{
    int     rc;
    size_t  i;

    const struct {
        const char  *name;
        MDB_dbi     *dbi;
    } tables[] = {
        { "results", &c->results },
        { "pictures", &c->pictures },
        { "chunks", &c->chunks },
        { "charges", &c->charges },
        { "order", &c->order },
        { "expiry", &c->expiry },
        { "garbage", &c->garbage }
    };

    memset(c, 0, sizeof(phota_cache_t));

    c->store = store;
    c->max_size = max_size;
    c->coarse = PHOTA_CACHE_COARSE;
    c->beats = beats;

    for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {

        rc = phota_store_table(store, tables[i].name, tables[i].dbi, err);

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return PHOTA_OK;
}


size_t
phota_cache_map(uint64_t max_size)
{
    size_t  map, page;

    map = (size_t) 1 << 30;
    page = (size_t) sysconf(_SC_PAGESIZE);

    if (max_size > map / 4) {

        /* fragments, garbage, and what a reader of an old snapshot keeps */

        map = (max_size > SIZE_MAX / 8) ? SIZE_MAX / 2 : (size_t) max_size * 4;
    }

    return (map + page - 1) / page * page;
}


int
phota_cache_pool(phota_cache_t *c, MDB_txn *txn,
    const u_char fingerprint[PHOTA_SHA256_LEN], uint64_t now, uint64_t since,
    phota_result_t *results, unsigned *n, unsigned *damaged)
{
    int                rc;
    MDB_val            value;
    MDB_cursor        *cursor;
    phota_cache_key_t  key;

    *n = 0;
    *damaged = 0;

    if (mdb_cursor_open(txn, c->results, &cursor) != 0) {
        return PHOTA_ERROR;
    }

    rc = phota_pool_first(cursor, fingerprint, &key, &value);

    while (rc == 0 && !phota_pool_left(&key) && *n < PHOTA_POOL_MAX) {

        switch (phota_cache_pool_take(c, txn, &key, &value, now, since,
                                      &results[*n]))
        {
        case PHOTA_OK:
            (*n)++;
            break;

        case PHOTA_INVALID:
            (*damaged)++;
            break;

        default: /* PHOTA_DECLINED */
            break;
        }

        rc = phota_pool_next(cursor, &key, &value);
    }

    mdb_cursor_close(cursor);

    return (rc == 0 || rc == MDB_NOTFOUND) ? PHOTA_OK : PHOTA_ERROR;
}


static int
phota_cache_pool_take(phota_cache_t *c, MDB_txn *txn,
    const phota_cache_key_t *key, const MDB_val *value, uint64_t now,
    uint64_t since, phota_result_t *result)
{
    if (phota_result_decode(result, key, value) != 0) {
        return PHOTA_INVALID;
    }

    if (result->expires <= now || result->stored < since) {
        return PHOTA_DECLINED;
    }

    return phota_cache_pool_holds(c, txn, result) ? PHOTA_OK : PHOTA_INVALID;
}


/* by the records alone: the chunks may be on the disk */

static int
phota_cache_pool_holds(phota_cache_t *c, MDB_txn *txn,
    const phota_result_t *result)
{
    unsigned      i;
    phota_kept_t  kept;

    for (i = 0; i < result->npictures; i++) {

        if (phota_kept_read(c, txn, result->scope, result->pictures[i].digest,
                            &kept) != 0
            || kept.refs == 0
            || kept.picture.length != result->pictures[i].length)
        {
            return 0;
        }
    }

    return 1;
}


int
phota_pool_first(MDB_cursor *cursor,
    const u_char fingerprint[PHOTA_SHA256_LEN], phota_cache_key_t *key,
    MDB_val *value)
{
    memcpy(key->fingerprint, fingerprint, PHOTA_SHA256_LEN);
    memset(key->number, 0, sizeof(key->number));

    return phota_pool_seek(cursor, key, value, MDB_SET_RANGE);
}


int
phota_pool_next(MDB_cursor *cursor, phota_cache_key_t *key, MDB_val *value)
{
    return phota_pool_seek(cursor, key, value, MDB_NEXT);
}


/* MDB_NOTFOUND where the next record is another fingerprint's */

static int
phota_pool_seek(MDB_cursor *cursor, phota_cache_key_t *key, MDB_val *value,
    MDB_cursor_op op)
{
    int      rc;
    MDB_val  name;

    name.mv_data = key;
    name.mv_size = sizeof(phota_cache_key_t);

    rc = mdb_cursor_get(cursor, &name, value, op);

    if (rc != 0) {
        return rc;
    }

    if (name.mv_size != sizeof(phota_cache_key_t)
        || memcmp(name.mv_data, key->fingerprint, PHOTA_SHA256_LEN) != 0)
    {
        return MDB_NOTFOUND;
    }

    memcpy(key, name.mv_data, sizeof(phota_cache_key_t));

    return 0;
}


int
phota_cache_find_charge(phota_cache_t *c, MDB_txn *txn, const phota_id_t *id,
    phota_result_t *result)
{
    return (phota_bought_read(c, txn, id, result) == 0) ? PHOTA_OK
                                                        : PHOTA_DECLINED;
}


int
phota_cache_touch(phota_cache_t *c, const phota_use_t *uses, unsigned n,
    uint64_t now, phota_error_t *err)
{
    int                   rc;
    MDB_txn              *txn;
    unsigned              i;
    phota_cache_totals_t  totals;

    if (phota_store_begin(c->store, 1, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = phota_totals_read(c, txn, &totals);

    if (rc == 0) {
        phota_cache_weigh(c, &totals);
    }

    for (i = 0; rc == 0 && i < n; i++) {
        rc = phota_cache_touch_one(c, txn, &uses[i], now);
    }

    if (rc != 0) {
        phota_store_abort(txn);
        return phota_store_fail(err, c->store->path, rc);
    }

    return phota_store_commit(txn, err);
}


static int
phota_cache_touch_one(phota_cache_t *c, MDB_txn *txn, const phota_use_t *use,
    uint64_t now)
{
    int             rc;
    phota_result_t  result, old;

    rc = phota_cache_touch_find(c, txn, use, &result);

    if (rc != 0) {
        return (rc == MDB_NOTFOUND || rc == MDB_CORRUPTED) ? 0 : rc;
    }

    old = result;

    if (result.used + c->coarse < now) {
        result.used = now;
    }

    if (use->linked > result.linked) {

        /* more than that, so that it isn't written for every link */

        result.linked = use->linked + PHOTA_CACHE_COARSE;
    }

    if (result.used == old.used && result.linked == old.linked) {
        return 0;
    }

    rc = phota_result_write(c, txn, &result);

    return (rc == 0) ? phota_cache_relist(c, txn, &old, &result) : rc;
}


/* in its pool, or beside it if it has left since */

static int
phota_cache_touch_find(phota_cache_t *c, MDB_txn *txn, const phota_use_t *use,
    phota_result_t *result)
{
    int                rc;
    phota_cache_key_t  key;

    key = use->key;

    rc = phota_result_read(c, txn, &key, result);

    if (rc == MDB_NOTFOUND) {
        phota_pool_leave(&key);
        rc = phota_result_read(c, txn, &key, result);
    }

    if (rc == 0 && memcmp(&result->id, &use->id, sizeof(phota_id_t)) != 0) {
        rc = MDB_NOTFOUND;
    }

    return rc;
}


int
phota_cache_mend(phota_cache_t *c, const u_char fingerprint[PHOTA_SHA256_LEN],
    uint32_t scope, const phota_picture_t *picture, phota_error_t *err)
{
    int                   rc;
    MDB_txn              *txn;
    phota_cache_totals_t  totals;

    if (phota_store_begin(c->store, 1, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = phota_totals_read(c, txn, &totals);

    if (rc == 0 && picture != NULL) {
        rc = phota_cache_hollow(c, txn, &totals, scope, picture->digest);
    }

    if (rc == 0 && fingerprint != NULL) {
        rc = phota_cache_mend_pool(c, txn, &totals, fingerprint, phota_now());
    }

    if (rc == 0) {
        rc = phota_totals_write(c, txn, &totals);
    }

    if (rc != 0) {
        phota_store_abort(txn);
        return phota_store_fail(err, c->store->path, rc);
    }

    return phota_store_commit(txn, err);
}


static int
phota_cache_mend_pool(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, const u_char *fingerprint, uint64_t now)
{
    int                rc;
    MDB_val            value;
    unsigned           i, n;
    MDB_cursor        *cursor;
    phota_cache_key_t  key, sick[PHOTA_CACHE_MEND];

    rc = mdb_cursor_open(txn, c->results, &cursor);

    if (rc != 0) {
        return rc;
    }

    n = 0;
    rc = phota_pool_first(cursor, fingerprint, &key, &value);

    while (rc == 0 && n < PHOTA_CACHE_MEND) {

        if (phota_cache_sick(c, txn, &key)) {
            sick[n++] = key;
        }

        rc = phota_pool_next(cursor, &key, &value);
    }

    mdb_cursor_close(cursor);

    if (rc == MDB_NOTFOUND) {
        rc = 0;
    }

    for (i = 0; rc == 0 && i < n; i++) {
        rc = phota_cache_retire(c, txn, totals, &sick[i], now);
    }

    return rc;
}


static int
phota_cache_sick(phota_cache_t *c, MDB_txn *txn, const phota_cache_key_t *key)
{
    unsigned         i;
    phota_result_t   result;
    phota_picture_t  picture;

    if (phota_result_read(c, txn, key, &result) != 0) {
        return 1;
    }

    for (i = 0; i < result.npictures; i++) {

        if (phota_cache_picture(c, txn, result.scope,
                                result.pictures[i].digest, &picture)
            != PHOTA_OK
            || picture.length != result.pictures[i].length)
        {
            return 1;
        }
    }

    return 0;
}


int
phota_cache_sweep(phota_cache_t *c, uint64_t now, int *more,
    phota_error_t *err)
{
    int                   rc;
    MDB_txn              *txn;
    phota_cache_totals_t  totals, before;

    if (phota_store_begin(c->store, 1, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = phota_totals_read(c, txn, &totals);

    before = totals;

    if (rc == 0) {
        phota_cache_weigh(c, &totals);
        rc = phota_cache_pass(c, txn, &totals, phota_cache_low(c), now, more);
    }

    if (rc == 0) {
        rc = phota_cache_prune(c, txn, now, more);
    }

    if (rc == 0 && memcmp(&totals, &before, sizeof(totals)) != 0) {
        rc = phota_totals_write(c, txn, &totals);
    }

    if (rc != 0) {
        phota_store_abort(txn);
        return phota_store_fail(err, c->store->path, rc);
    }

    return phota_store_commit(txn, err);
}


int
phota_cache_stats(phota_cache_t *c, phota_cache_totals_t *totals,
    phota_error_t *err)
{
    int       rc;
    MDB_txn  *txn;

    if (phota_store_begin(c->store, 0, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = phota_totals_read(c, txn, totals);

    phota_store_abort(txn);

    return (rc == 0) ? PHOTA_OK : phota_store_fail(err, c->store->path, rc);
}
