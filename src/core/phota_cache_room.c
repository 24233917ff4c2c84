
/*
 * Making room in the cache.  A result that goes leaves its tables at once; its
 * chunks become garbage, which is deleted when it is due, or earlier when too
 * much of it waits, and never more than a batch in a transaction: the writer's
 * lock is for those who buy.  That a charge bought it is known for longer.
 */


#include <string.h>

#include "phota_cache_record.h"
#include "phota_order.h"
#include "phota_record.h"


#define PHOTA_CACHE_GRACE   (15 * 60 * 1000)
#define PHOTA_CACHE_BOUGHT  (2 * 86400 * 1000)


static int phota_cache_first(MDB_txn *txn, MDB_dbi dbi,
    phota_moment_t *moment);
static int phota_cache_expire(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t now, int *more);
static int phota_cache_expire_one(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, const phota_moment_t *moment,
    uint64_t now);
static int phota_cache_evict(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t limit, uint64_t now, int *more);
static int phota_cache_collect(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t now, int force, int *more);
static int phota_cache_collect_one(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, const phota_moment_t *moment,
    unsigned *left);
static int phota_cache_detach(phota_cache_t *c, MDB_txn *txn,
    const phota_cache_key_t *key, const phota_id_t *id, uint64_t *length);
static int phota_cache_measure(phota_cache_t *c, MDB_txn *txn,
    const phota_id_t *id, uint64_t *length);
static int phota_cache_drop(phota_cache_t *c, MDB_txn *txn,
    const phota_id_t *id, unsigned *left);
static int phota_cache_get_moment(MDB_txn *txn, MDB_dbi dbi,
    const phota_moment_t *moment, MDB_val *value);
static int phota_cache_del_moment(MDB_txn *txn, MDB_dbi dbi,
    const phota_moment_t *moment);
static int phota_cache_add_garbage(phota_cache_t *c, MDB_txn *txn,
    const phota_moment_t *moment, uint64_t length);


static inline uint64_t
phota_cache_less(uint64_t n, uint64_t less)
{
    return (n > less) ? n - less : 0;
}


int
phota_cache_pass(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t limit, uint64_t now, int force,
    int *more)
{
    int  rc;

    *more = 0;

    rc = phota_cache_expire(c, txn, totals, now, more);

    if (rc == 0) {
        rc = phota_cache_evict(c, txn, totals, limit, now, more);
    }

    if (rc == 0) {
        rc = phota_cache_collect(c, txn, totals, now, force, more);
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
    int             rc;
    unsigned        n;
    phota_moment_t  moment;

    for (n = 0; n < PHOTA_CACHE_BATCH; n++) {

        rc = phota_cache_first(txn, c->expiry, &moment);

        if (rc != 0) {
            return (rc == MDB_NOTFOUND) ? 0 : rc;
        }

        if (moment.time > now) {
            return 0;
        }

        rc = phota_cache_expire_one(c, txn, totals, &moment, now);

        if (rc != 0) {
            return rc;
        }
    }

    *more = 1;

    return 0;
}


static int
phota_cache_expire_one(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, const phota_moment_t *moment, uint64_t now)
{
    int                rc;
    MDB_val            value;
    phota_moment_t     used;
    phota_result_t     result;
    phota_cache_key_t  key;

    rc = phota_cache_get_moment(txn, c->expiry, moment, &value);

    if (rc == 0 && phota_cache_key_decode(&key, &value) == 0
        && phota_result_read(c, txn, &key, &result) == 0
        && memcmp(&result.id, &moment->id, sizeof(phota_id_t)) == 0)
    {
        used.time = result.used;
        used.id = result.id;

        rc = phota_cache_retire(c, txn, totals, &used, now, 0);
    }

    if (rc != 0) {
        return rc;
    }

    /* still there when it led to nothing: the order will find the rest */

    return phota_cache_del_moment(txn, c->expiry, moment);
}


static int
phota_cache_evict(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t limit, uint64_t now, int *more)
{
    int             rc;
    unsigned        n;
    phota_moment_t  moment;

    for (n = 0; totals->bytes > limit; n++) {

        if (n == PHOTA_CACHE_BATCH) {
            *more = 1;
            return 0;
        }

        rc = phota_cache_first(txn, c->order, &moment);

        if (rc == MDB_NOTFOUND) {

            /* the count was wrong, and now it is known */

            totals->bytes = 0;
            totals->results = 0;
            return 0;
        }

        if (rc == 0) {
            rc = phota_cache_retire(c, txn, totals, &moment, now, 0);
        }

        if (rc != 0) {
            return rc;
        }
    }

    return 0;
}


static int
phota_cache_collect(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t now, int force, int *more)
{
    int             rc;
    unsigned        left;
    phota_moment_t  moment;

    left = PHOTA_CACHE_BATCH;

    for ( ;; ) {

        rc = phota_cache_first(txn, c->garbage, &moment);

        if (rc == MDB_NOTFOUND) {
            totals->garbage = 0;
            return 0;
        }

        if (rc != 0) {
            return rc;
        }

        if (!force && moment.time > now
            && totals->garbage <= c->max_size / 4)
        {
            return 0;
        }

        if (left == 0) {
            *more = 1;
            return 0;
        }

        rc = phota_cache_collect_one(c, txn, totals, &moment, &left);

        if (rc != 0) {
            return rc;
        }
    }
}


static int
phota_cache_collect_one(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, const phota_moment_t *moment,
    unsigned *left)
{
    int      rc;
    MDB_val  value;

    rc = phota_cache_drop(c, txn, &moment->id, left);

    if (rc != 0 || *left == 0) {
        return rc;
    }

    rc = phota_cache_get_moment(txn, c->garbage, moment, &value);

    if (rc != 0) {
        return rc;
    }

    if (value.mv_size == 8) {
        totals->garbage = phota_cache_less(totals->garbage,
                                           phota_get_le(value.mv_data, 8));
    }

    /* an entry is work too, though it may have had no chunks */

    (*left)--;

    return phota_cache_del_moment(txn, c->garbage, moment);
}


/*
 * The first key of order, expiry or garbage; those that are none are deleted
 * on the way.
 */

static int
phota_cache_first(MDB_txn *txn, MDB_dbi dbi, phota_moment_t *moment)
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

        if (rc != 0 || phota_moment_decode(moment, &key) == 0) {
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
phota_cache_retire(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, const phota_moment_t *moment,
    uint64_t now, int grace)
{
    int                rc;
    MDB_val            value;
    uint64_t           length;
    phota_moment_t     due;
    phota_cache_key_t  key;

    rc = phota_cache_get_moment(txn, c->order, moment, &value);

    if (rc != 0) {
        return (rc == MDB_NOTFOUND) ? 0 : rc;
    }

    length = 0;

    if (phota_cache_key_decode(&key, &value) == 0) {
        rc = phota_cache_detach(c, txn, &key, &moment->id, &length);

    } else {
        rc = phota_cache_measure(c, txn, &moment->id, &length);
    }

    if (rc == 0) {
        rc = phota_cache_del_moment(txn, c->order, moment);
    }

    if (rc != 0 && rc != MDB_NOTFOUND) {
        return rc;
    }

    totals->results = phota_cache_less(totals->results, 1);
    totals->bytes = phota_cache_less(totals->bytes, length);
    totals->garbage += length;

    due.id = moment->id;
    due.time = (grace || moment->time + PHOTA_CACHE_GRACE > now)
               ? now + PHOTA_CACHE_GRACE : now;

    return phota_cache_add_garbage(c, txn, &due, length);
}


/*
 * Takes out the result of this id under a key, if that is what lies there: its
 * record may be damaged, or another's.
 */

static int
phota_cache_detach(phota_cache_t *c, MDB_txn *txn,
    const phota_cache_key_t *key, const phota_id_t *id, uint64_t *length)
{
    int             rc;
    MDB_val         name;
    phota_moment_t  moment;
    phota_result_t  result;

    name.mv_data = (void *) key;
    name.mv_size = sizeof(phota_cache_key_t);

    rc = phota_result_read(c, txn, key, &result);

    if (rc == MDB_CORRUPTED) {
        rc = mdb_del(txn, c->results, &name, NULL);

        return (rc == 0) ? phota_cache_measure(c, txn, id, length) : rc;
    }

    if (rc == MDB_NOTFOUND
        || (rc == 0 && memcmp(&result.id, id, sizeof(phota_id_t)) != 0))
    {
        return phota_cache_measure(c, txn, id, length);
    }

    if (rc != 0) {
        return rc;
    }

    *length = result.length;

    moment.time = result.expires;
    moment.id = result.id;

    rc = phota_cache_del_moment(txn, c->expiry, &moment);

    return (rc == 0) ? mdb_del(txn, c->results, &name, NULL) : rc;
}


/* the bytes of whatever chunks there are */

static int
phota_cache_measure(phota_cache_t *c, MDB_txn *txn, const phota_id_t *id,
    uint64_t *length)
{
    int          rc;
    u_char       name[PHOTA_CHUNK_KEY];
    MDB_val      key, value;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, c->chunks, &cursor);

    if (rc != 0) {
        return rc;
    }

    phota_chunk_key(name, id, 0);

    key.mv_data = name;
    key.mv_size = sizeof(name);

    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

    while (rc == 0 && key.mv_size >= sizeof(phota_id_t)
           && memcmp(key.mv_data, id->b, sizeof(phota_id_t)) == 0)
    {
        *length += value.mv_size;

        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


/* deletes chunks, at most *left, which is lowered; 0 when some may remain */

static int
phota_cache_drop(phota_cache_t *c, MDB_txn *txn, const phota_id_t *id,
    unsigned *left)
{
    int          rc;
    u_char       name[PHOTA_CHUNK_KEY];
    MDB_val      key, value;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, c->chunks, &cursor);

    if (rc != 0) {
        return rc;
    }

    while (*left) {
        phota_chunk_key(name, id, 0);

        key.mv_data = name;
        key.mv_size = sizeof(name);

        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

        if (rc != 0 || key.mv_size < sizeof(phota_id_t)
            || memcmp(key.mv_data, id->b, sizeof(phota_id_t)) != 0)
        {
            break;
        }

        rc = mdb_cursor_del(cursor, 0);

        if (rc != 0) {
            break;
        }

        (*left)--;
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


static int
phota_cache_get_moment(MDB_txn *txn, MDB_dbi dbi,
    const phota_moment_t *moment, MDB_val *value)
{
    u_char   name[PHOTA_MOMENT_LEN];
    MDB_val  key;

    phota_moment_encode(name, moment);

    key.mv_data = name;
    key.mv_size = sizeof(name);

    return mdb_get(txn, dbi, &key, value);
}


/* 0 also when it isn't there */

static int
phota_cache_del_moment(MDB_txn *txn, MDB_dbi dbi,
    const phota_moment_t *moment)
{
    int      rc;
    u_char   name[PHOTA_MOMENT_LEN];
    MDB_val  key;

    phota_moment_encode(name, moment);

    key.mv_data = name;
    key.mv_size = sizeof(name);

    rc = mdb_del(txn, dbi, &key, NULL);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


static int
phota_cache_add_garbage(phota_cache_t *c, MDB_txn *txn,
    const phota_moment_t *moment, uint64_t length)
{
    u_char   name[PHOTA_MOMENT_LEN], bytes[8];
    MDB_val  key, value;

    phota_moment_encode(name, moment);
    phota_put_le(bytes, length, sizeof(bytes));

    key.mv_data = name;
    key.mv_size = sizeof(name);
    value.mv_data = bytes;
    value.mv_size = sizeof(bytes);

    return mdb_put(txn, c->garbage, &key, &value, 0);
}
