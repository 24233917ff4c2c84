
/*
 * Making room in the cache: results that have expired or were not used for
 * longest leave their tables, never more than a batch in a transaction, for
 * the writer's lock is for those who buy.  That a charge bought one is known
 * longer.
 */


#include <string.h>

#include "phota_cache_record.h"
#include "phota_order.h"


#define PHOTA_CACHE_BOUGHT  (2 * 86400 * 1000)


static int phota_cache_expire(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t now, int *more);
static int phota_cache_evict(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t limit, uint64_t now, int *more);
static int phota_cache_take(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, MDB_dbi dbi, const phota_moment_t *moment,
    const phota_cache_key_t *key, uint64_t now);
static int phota_cache_evict_lost(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t now, int *more);
static int phota_cache_evict_any(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t now);
static int phota_cache_drop_any(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals);
static int phota_cache_first(MDB_txn *txn, MDB_dbi dbi,
    phota_moment_t *moment, phota_cache_key_t *result);
static int phota_moment_put(MDB_txn *txn, MDB_dbi dbi, uint64_t time,
    const phota_result_t *result);
static int phota_moment_delete(MDB_txn *txn, MDB_dbi dbi, uint64_t time,
    const phota_id_t *id);


int
phota_cache_pass(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t limit, uint64_t now, int *more)
{
    int       rc;
    uint64_t  sent;

    *more = 0;

    rc = phota_cache_collect(c, txn, totals, now, now, &sent, more);

    if (rc == 0) {
        rc = phota_cache_expire(c, txn, totals, now, more);
    }

    if (rc == 0) {

        /* in place of what can't be deleted others go, but never most of it */

        limit -= (sent < limit / 2) ? sent : limit / 2;

        rc = phota_cache_evict(c, txn, totals, limit, now, more);
    }

    return rc;
}


/* ids begin with their time: the oldest lie first */

int
phota_cache_prune(phota_cache_t *c, MDB_txn *txn, uint64_t now, int *more)
{
    int          rc;
    MDB_val      key, value;
    unsigned     n;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, c->charges, &cursor);

    if (rc != 0) {
        return rc;
    }

    for (n = 0; /* void */ ; n++) {

        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);

        if (rc != 0
            || (key.mv_size == sizeof(phota_id_t)
                && phota_get_be(key.mv_data, 6) + PHOTA_CACHE_BOUGHT >= now))
        {
            break;
        }

        if (n == PHOTA_CACHE_BATCH) {
            *more = 1;
            break;
        }

        rc = mdb_cursor_del(cursor, 0);

        if (rc != 0) {
            break;
        }
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


static int
phota_cache_expire(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t now, int *more)
{
    int                rc;
    unsigned           n;
    phota_moment_t     moment;
    phota_cache_key_t  key;

    for (n = 0; n < PHOTA_CACHE_BATCH; n++) {

        rc = phota_cache_first(txn, c->expiry, &moment, &key);

        if (rc != 0) {
            return (rc == MDB_NOTFOUND) ? 0 : rc;
        }

        if (moment.time > now) {
            return 0;
        }

        rc = phota_cache_take(c, txn, totals, c->expiry, &moment, &key, now);

        if (rc != 0) {
            return rc;
        }
    }

    *more = 1;

    return 0;
}


static int
phota_cache_evict(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t limit, uint64_t now, int *more)
{
    int                rc;
    unsigned           n;
    phota_moment_t     moment;
    phota_cache_key_t  key;

    for (n = 0; totals->bytes > limit; n++) {

        if (n == PHOTA_CACHE_BATCH) {
            *more = 1;
            return 0;
        }

        rc = phota_cache_first(txn, c->order, &moment, &key);

        if (rc == MDB_NOTFOUND) {
            return phota_cache_evict_lost(c, txn, totals, now, more);
        }

        if (rc == 0) {
            rc = phota_cache_take(c, txn, totals, c->order, &moment, &key,
                                  now);
        }

        if (rc != 0) {
            return rc;
        }
    }

    return 0;
}


/* the result to which an entry of order or expiry leads, and the entry */

static int
phota_cache_take(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, MDB_dbi dbi, const phota_moment_t *moment,
    const phota_cache_key_t *key, uint64_t now)
{
    int             rc;
    phota_result_t  result;

    rc = phota_result_read(c, txn, key, &result);

    /* another may lie there now, or it has been used since */

    if (rc == MDB_CORRUPTED
        || (rc == 0
            && memcmp(&result.id, &moment->id, sizeof(phota_id_t)) == 0
            && moment->time == ((dbi == c->order)
                                ? result.used : phota_result_until(&result))))
    {
        rc = phota_cache_retire(c, txn, totals, key, now);

        if (dbi == c->order) {
            c->evicted++;

        } else {
            c->expired++;
        }
    }

    if (rc != 0 && rc != MDB_NOTFOUND) {
        return rc;
    }

    return phota_moment_delete(txn, dbi, moment->time, &moment->id);
}


/*
 * There is more than there may be, and nothing in the order: what its damage
 * has hidden goes, first come, first served, and then the count is right.
 */

static int
phota_cache_evict_lost(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t now, int *more)
{
    int       rc;
    unsigned  n;

    for (n = 0; n < PHOTA_CACHE_BATCH; n++) {

        rc = phota_cache_evict_any(c, txn, totals, now);

        if (rc == MDB_NOTFOUND) {
            rc = phota_cache_drop_any(c, txn, totals);
        }

        if (rc == MDB_NOTFOUND) {
            totals->results = 0;
            totals->pictures = 0;
            totals->bytes = 0;
            return 0;
        }

        if (rc != 0) {
            return rc;
        }
    }

    *more = 1;

    return 0;
}


static int
phota_cache_evict_any(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t now)
{
    int                rc;
    MDB_val            name, value;
    MDB_cursor        *cursor;
    phota_cache_key_t  key;

    rc = mdb_cursor_open(txn, c->results, &cursor);

    if (rc != 0) {
        return rc;
    }

    rc = mdb_cursor_get(cursor, &name, &value, MDB_FIRST);

    if (rc == 0 && phota_cache_key_decode(&key, &name) == 0) {
        rc = phota_cache_retire(c, txn, totals, &key, now);

    } else if (rc == 0) {
        rc = mdb_cursor_del(cursor, 0);
    }

    mdb_cursor_close(cursor);

    return rc;
}


/* a picture that is said to be held, when there are no results any more */

static int
phota_cache_drop_any(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals)
{
    int           rc;
    u_char        digest[PHOTA_SHA256_LEN];
    MDB_val       key, value;
    uint32_t      scope;
    MDB_cursor   *cursor;
    phota_kept_t  kept;

    rc = mdb_cursor_open(txn, c->pictures, &cursor);

    if (rc != 0) {
        return rc;
    }

    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);

    while (rc == 0) {

        if (phota_picture_key_decode(&scope, digest, &key) != 0) {
            rc = mdb_cursor_del(cursor, 0);
            break;
        }

        if (phota_kept_decode(&kept, scope, digest, &value) != 0
            || kept.refs)
        {
            rc = phota_cache_drop_picture(c, txn, totals, scope, digest);
            break;
        }

        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }

    mdb_cursor_close(cursor);

    return rc;
}


int
phota_cache_retire(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, const phota_cache_key_t *key, uint64_t now)
{
    int             rc;
    MDB_val         name, value;
    unsigned        i;
    phota_result_t  result;

    name.mv_data = (void *) key;
    name.mv_size = sizeof(phota_cache_key_t);

    rc = mdb_get(txn, c->results, &name, &value);

    if (rc != 0) {
        return (rc == MDB_NOTFOUND) ? 0 : rc;
    }

    totals->results = phota_cache_less(totals->results, 1);
    totals->bytes = phota_cache_less(totals->bytes,
                                     phota_result_size(value.mv_size));

    if (phota_result_decode(&result, key, &value) != 0) {

        /* its entries lead to nothing, and go when their turn comes */

        return mdb_del(txn, c->results, &name, NULL);
    }

    rc = phota_cache_unlist(c, txn, &result);

    for (i = 0; rc == 0 && i < result.npictures; i++) {

        if (!phota_result_repeats(&result, i)) {
            rc = phota_cache_release(c, txn, totals, result.scope,
                                     result.pictures[i].digest, now);
        }
    }

    return (rc == 0) ? mdb_del(txn, c->results, &name, NULL) : rc;
}


/*
 * The first entry of order or expiry; those that are none are deleted on the
 * way.
 */

static int
phota_cache_first(MDB_txn *txn, MDB_dbi dbi, phota_moment_t *moment,
    phota_cache_key_t *result)
{
    int          rc;
    MDB_val      key, value;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, dbi, &cursor);

    if (rc != 0) {
        return rc;
    }

    for ( ;; ) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);

        if (rc != 0
            || (phota_moment_decode(moment, &key) == 0
                && phota_cache_key_decode(result, &value) == 0))
        {
            break;
        }

        rc = mdb_cursor_del(cursor, 0);

        if (rc != 0) {
            break;
        }
    }

    mdb_cursor_close(cursor);

    return rc;
}


int
phota_cache_list(phota_cache_t *c, MDB_txn *txn, const phota_result_t *result)
{
    int  rc;

    rc = phota_moment_put(txn, c->order, result->used, result);

    return (rc == 0) ? phota_moment_put(txn, c->expiry,
                                        phota_result_until(result), result)
                     : rc;
}


int
phota_cache_unlist(phota_cache_t *c, MDB_txn *txn,
    const phota_result_t *result)
{
    int  rc;

    rc = phota_moment_delete(txn, c->order, result->used, &result->id);

    return (rc == 0) ? phota_moment_delete(txn, c->expiry,
                                           phota_result_until(result),
                                           &result->id)
                     : rc;
}


int
phota_cache_relist(phota_cache_t *c, MDB_txn *txn, const phota_result_t *old,
    const phota_result_t *result)
{
    int  rc;

    rc = 0;

    if (old->used != result->used) {
        rc = phota_moment_delete(txn, c->order, old->used, &old->id);

        if (rc == 0) {
            rc = phota_moment_put(txn, c->order, result->used, result);
        }
    }

    if (rc == 0 && phota_result_until(old) != phota_result_until(result)) {
        rc = phota_moment_delete(txn, c->expiry, phota_result_until(old),
                                 &old->id);

        if (rc == 0) {
            rc = phota_moment_put(txn, c->expiry, phota_result_until(result),
                                  result);
        }
    }

    return rc;
}


static int
phota_moment_put(MDB_txn *txn, MDB_dbi dbi, uint64_t time,
    const phota_result_t *result)
{
    u_char          name[PHOTA_MOMENT_LEN];
    MDB_val         key, value;
    phota_moment_t  moment;

    moment.time = time;
    moment.id = result->id;

    phota_moment_encode(name, &moment);

    key.mv_data = name;
    key.mv_size = sizeof(name);
    value.mv_data = (void *) &result->key;
    value.mv_size = sizeof(phota_cache_key_t);

    return mdb_put(txn, dbi, &key, &value, 0);
}


/* 0 also when it isn't there */

static int
phota_moment_delete(MDB_txn *txn, MDB_dbi dbi, uint64_t time,
    const phota_id_t *id)
{
    int             rc;
    u_char          name[PHOTA_MOMENT_LEN];
    MDB_val         key;
    phota_moment_t  moment;

    moment.time = time;
    moment.id = *id;

    phota_moment_encode(name, &moment);

    key.mv_data = name;
    key.mv_size = sizeof(name);

    rc = mdb_del(txn, dbi, &key, NULL);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}
