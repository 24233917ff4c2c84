
/*
 * Taking results out of the cache because somebody says so, and looking at all
 * that there are.  Both walk the results in short transactions and remember
 * where they were, so that nginx' writers get in between, and what comes or
 * goes meanwhile doesn't matter.  A purge looks without the writer's lock and
 * looks again under it.
 */


#include <stdlib.h>
#include <string.h>

#include "phota_cache_record.h"
#include "phota_order.h"


#define PHOTA_PURGE_LOOKS  200      /* records in one transaction */


typedef struct {
    phota_cache_t        *cache;
    const phota_purge_t  *purge;
    uint64_t              now;
    uint64_t              removed;
    unsigned              ended:1;  /* there is nothing behind keys */

    /* the last one that was looked at, and those that have to go */
    phota_cache_key_t     last;
    phota_cache_key_t     keys[PHOTA_CACHE_BATCH];
    unsigned              nkeys;
} phota_purge_walk_t;


typedef struct {
    phota_cache_t        *cache;
    uint32_t              tenant;
    unsigned              ended:1;
    unsigned              found:1;

    /* zeros: before the first, as numbers are from 1 */
    phota_cache_key_t     last;

    phota_result_t        result;
    u_char                text[PHOTA_SKELETON_MAX + PHOTA_SUBJECTS_MAX];
} phota_each_walk_t;


/* garbage that waits for its links to end, by its keys */

typedef struct {
    u_char                keys[PHOTA_CACHE_BATCH][PHOTA_GARBAGE_KEY];
    unsigned              nkeys;
} phota_purge_waste_t;


static int phota_purge_results(phota_purge_walk_t *walk, phota_error_t *err);
static int phota_purge_look(phota_purge_walk_t *walk, phota_error_t *err);
static int phota_purge_scan(phota_purge_walk_t *walk, MDB_cursor *cursor);
static int phota_purge_wants(const phota_purge_walk_t *walk,
    const MDB_val *key, const MDB_val *value);
static int phota_purge_matches(const phota_purge_t *purge,
    const phota_result_t *result);
static int phota_purge_take(phota_purge_walk_t *walk, phota_error_t *err);
static int phota_purge_take_one(phota_purge_walk_t *walk, MDB_txn *txn,
    phota_cache_totals_t *totals, const phota_cache_key_t *key);
static int phota_purge_garbage(phota_purge_walk_t *walk, phota_error_t *err);
static int phota_purge_waste(phota_purge_walk_t *walk,
    phota_purge_waste_t *waste, phota_error_t *err);
static int phota_purge_hasten(phota_purge_walk_t *walk,
    const phota_purge_waste_t *waste, phota_error_t *err);
static int phota_purge_hasten_one(phota_cache_t *c, MDB_txn *txn,
    uint32_t scope, const u_char digest[PHOTA_SHA256_LEN], uint64_t now);
static int phota_purge_next(MDB_cursor *cursor,
    const phota_cache_key_t *after, MDB_val *key, MDB_val *value);
static int phota_each_look(phota_each_walk_t *walk, phota_error_t *err);
static int phota_each_scan(phota_each_walk_t *walk, MDB_cursor *cursor);
static int phota_each_copy(phota_result_t *result,
    u_char text[PHOTA_SKELETON_MAX + PHOTA_SUBJECTS_MAX]);


int
phota_cache_purge(phota_cache_t *c, const phota_purge_t *purge,
    uint64_t *results, phota_error_t *err)
{
    int                  rc;
    phota_purge_walk_t  *walk;

    *results = 0;

    walk = calloc(1, sizeof(phota_purge_walk_t));

    if (walk == NULL) {
        phota_error(err, "no memory");
        return PHOTA_ERROR;
    }

    walk->cache = c;
    walk->purge = purge;
    walk->now = phota_now();

    rc = phota_purge_results(walk, err);

    *results = walk->removed;

    /*
     * Pictures whose results went long ago wait for their links to end.  Whose
     * they are is known as far as the scope tells.
     */

    if (rc == PHOTA_OK && purge->fingerprint == NULL && purge->tag == NULL
        && purge->before == 0 && !purge->profile)
    {
        rc = phota_purge_garbage(walk, err);
    }

    free(walk);

    return rc;
}


static int
phota_purge_results(phota_purge_walk_t *walk, phota_error_t *err)
{
    int  rc;

    if (walk->purge->fingerprint != NULL) {
        memcpy(walk->last.fingerprint, walk->purge->fingerprint,
               PHOTA_SHA256_LEN);
    }

    while (!walk->ended) {
        walk->nkeys = 0;

        rc = phota_purge_look(walk, err);

        if (rc == PHOTA_OK && walk->nkeys != 0) {
            rc = phota_purge_take(walk, err);
        }

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return PHOTA_OK;
}


static int
phota_purge_look(phota_purge_walk_t *walk, phota_error_t *err)
{
    int          rc;
    MDB_txn     *txn;
    MDB_cursor  *cursor;

    if (phota_store_begin(walk->cache->store, 0, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = mdb_cursor_open(txn, walk->cache->results, &cursor);

    if (rc == 0) {
        rc = phota_purge_scan(walk, cursor);
        mdb_cursor_close(cursor);
    }

    phota_store_abort(txn);

    return (rc == 0) ? PHOTA_OK
                     : phota_store_fail(err, walk->cache->store->path, rc);
}


static int
phota_purge_scan(phota_purge_walk_t *walk, MDB_cursor *cursor)
{
    int            rc;
    MDB_val        key, value;
    unsigned       n;
    const u_char  *fingerprint;

    fingerprint = walk->purge->fingerprint;

    rc = phota_purge_next(cursor, &walk->last, &key, &value);

    for (n = 0; rc == 0; n++) {

        if (key.mv_size != sizeof(phota_cache_key_t)) {

            /* of a foreign size: none of ours, phota_cache_check() sees it */

            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
            continue;
        }

        if (fingerprint != NULL
            && memcmp(key.mv_data, fingerprint, PHOTA_SHA256_LEN) != 0)
        {
            rc = MDB_NOTFOUND;
            break;
        }

        if (n == PHOTA_PURGE_LOOKS || walk->nkeys == PHOTA_CACHE_BATCH) {
            return 0;
        }

        memcpy(&walk->last, key.mv_data, sizeof(phota_cache_key_t));

        if (phota_purge_wants(walk, &key, &value)) {
            walk->keys[walk->nkeys++] = walk->last;
        }

        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }

    if (rc == MDB_NOTFOUND) {
        walk->ended = 1;
        return 0;
    }

    return rc;
}


/*
 * One that is damaged can't be told from those that must go, and is of no use
 * to anybody.
 */

static int
phota_purge_wants(const phota_purge_walk_t *walk, const MDB_val *key,
    const MDB_val *value)
{
    phota_result_t     result;
    phota_cache_key_t  name;

    memcpy(&name, key->mv_data, sizeof(phota_cache_key_t));

    return phota_result_decode(&result, &name, value) != 0
           || phota_purge_matches(walk->purge, &result);
}


static int
phota_purge_matches(const phota_purge_t *purge, const phota_result_t *result)
{
    unsigned  i;

    if (purge->tenant != 0 && result->tenant != purge->tenant) {
        return 0;
    }

    if (purge->before != 0 && result->stored >= purge->before) {
        return 0;
    }

    if (purge->tag != NULL && strcmp(result->tag, purge->tag) != 0) {
        return 0;
    }

    if (!purge->profile || result->unmarked) {
        return 1;
    }

    for (i = 0; i < result->nmarks; i++) {
        if (result->marks[i] == purge->mark) {
            return 1;
        }
    }

    return 0;
}


static int
phota_purge_take(phota_purge_walk_t *walk, phota_error_t *err)
{
    int                    rc;
    MDB_txn               *txn;
    unsigned               i;
    uint64_t               removed;
    phota_cache_t         *c;
    phota_cache_totals_t   totals;

    c = walk->cache;
    removed = walk->removed;

    if (phota_store_begin(c->store, 1, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = phota_totals_read(c, txn, &totals);

    for (i = 0; rc == 0 && i < walk->nkeys; i++) {
        rc = phota_purge_take_one(walk, txn, &totals, &walk->keys[i]);
    }

    if (rc == 0) {
        rc = phota_totals_write(c, txn, &totals);
    }

    if (rc != 0) {
        walk->removed = removed;
        phota_store_abort(txn);
        return phota_store_fail(err, c->store->path, rc);
    }

    if (phota_store_commit(txn, err) != PHOTA_OK) {
        walk->removed = removed;
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


/* under the writer's lock: another may lie there now, or none */

static int
phota_purge_take_one(phota_purge_walk_t *walk, MDB_txn *txn,
    phota_cache_totals_t *totals, const phota_cache_key_t *key)
{
    int              rc;
    unsigned         i;
    phota_cache_t   *c;
    phota_result_t   result;

    c = walk->cache;

    rc = phota_result_read(c, txn, key, &result);

    if (rc == MDB_CORRUPTED) {
        result.npictures = 0;

    } else if (rc != 0 || !phota_purge_matches(walk->purge, &result)) {
        return (rc == MDB_NOTFOUND) ? 0 : rc;
    }

    rc = phota_cache_retire(c, txn, totals, key, walk->now);

    /* no link keeps what was purged; the batch bounds this work too */

    for (i = 0; rc == 0 && i < result.npictures; i++) {
        rc = phota_purge_hasten_one(c, txn, result.scope,
                                    result.pictures[i].digest, walk->now);
    }

    if (rc == 0) {
        walk->removed++;
    }

    return rc;
}


static int
phota_purge_garbage(phota_purge_walk_t *walk, phota_error_t *err)
{
    int                   rc;
    phota_purge_waste_t  *waste;

    waste = malloc(sizeof(phota_purge_waste_t));

    if (waste == NULL) {
        phota_error(err, "no memory");
        return PHOTA_ERROR;
    }

    /* what was hastened isn't found again */

    do {
        rc = phota_purge_waste(walk, waste, err);

        if (rc == PHOTA_OK && waste->nkeys != 0) {
            rc = phota_purge_hasten(walk, waste, err);
        }

    } while (rc == PHOTA_OK && waste->nkeys == PHOTA_CACHE_BATCH);

    free(waste);

    return rc;
}


static int
phota_purge_waste(phota_purge_walk_t *walk, phota_purge_waste_t *waste,
    phota_error_t *err)
{
    int             rc;
    u_char          from[PHOTA_GARBAGE_KEY];
    MDB_val         key, value;
    MDB_txn        *txn;
    uint32_t        scope;
    MDB_cursor     *cursor;
    const u_char   *p;

    waste->nkeys = 0;

    if (phota_store_begin(walk->cache->store, 0, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = mdb_cursor_open(txn, walk->cache->garbage, &cursor);

    if (rc != 0) {
        phota_store_abort(txn);
        return phota_store_fail(err, walk->cache->store->path, rc);
    }

    memset(from, 0, sizeof(from));
    phota_put_be(from, walk->now + 1, 8);

    key.mv_data = from;
    key.mv_size = sizeof(from);

    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

    while (rc == 0 && waste->nkeys < PHOTA_CACHE_BATCH) {
        p = key.mv_data;

        if (key.mv_size == PHOTA_GARBAGE_KEY) {
            scope = (uint32_t) phota_get_be(p + 8, 4);

            if (walk->purge->tenant == 0 || walk->purge->tenant == scope) {
                memcpy(waste->keys[waste->nkeys++], p, PHOTA_GARBAGE_KEY);
            }
        }

        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }

    mdb_cursor_close(cursor);
    phota_store_abort(txn);

    return (rc == 0 || rc == MDB_NOTFOUND)
           ? PHOTA_OK : phota_store_fail(err, walk->cache->store->path, rc);
}


static int
phota_purge_hasten(phota_purge_walk_t *walk, const phota_purge_waste_t *waste,
    phota_error_t *err)
{
    int             rc;
    MDB_val         key;
    MDB_txn        *txn;
    unsigned        i;
    uint32_t        scope;
    phota_cache_t  *c;

    c = walk->cache;

    if (phota_store_begin(c->store, 1, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = 0;

    for (i = 0; rc == 0 && i < waste->nkeys; i++) {
        scope = (uint32_t) phota_get_be(waste->keys[i] + 8, 4);

        rc = phota_purge_hasten_one(c, txn, scope, waste->keys[i] + 12,
                                    walk->now);

        /* one that belongs to no picture would be found for ever */

        key.mv_data = (void *) waste->keys[i];
        key.mv_size = PHOTA_GARBAGE_KEY;

        if (rc == 0) {
            rc = mdb_del(txn, c->garbage, &key, NULL);
            rc = (rc == MDB_NOTFOUND) ? 0 : rc;
        }
    }

    if (rc != 0) {
        phota_store_abort(txn);
        return phota_store_fail(err, c->store->path, rc);
    }

    return phota_store_commit(txn, err);
}


/* an MDB code; nothing is done where somebody holds it, or it is due */

static int
phota_purge_hasten_one(phota_cache_t *c, MDB_txn *txn, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN], uint64_t now)
{
    int           rc;
    u_char        name[PHOTA_GARBAGE_KEY], bytes[8];
    MDB_val       key, value;
    phota_kept_t  kept;

    rc = phota_kept_read(c, txn, scope, digest, &kept);

    if (rc != 0 || kept.refs != 0 || kept.due <= now) {
        return (rc == MDB_NOTFOUND || rc == MDB_CORRUPTED) ? 0 : rc;
    }

    phota_garbage_key(name, kept.due, scope, digest);

    key.mv_data = name;
    key.mv_size = sizeof(name);

    rc = mdb_get(txn, c->garbage, &key, &value);

    if (rc != 0 || value.mv_size != sizeof(bytes)) {
        return (rc == MDB_NOTFOUND) ? 0 : rc;
    }

    memcpy(bytes, value.mv_data, sizeof(bytes));

    rc = mdb_del(txn, c->garbage, &key, NULL);

    if (rc != 0) {
        return rc;
    }

    phota_garbage_key(name, now, scope, digest);

    value.mv_data = bytes;
    value.mv_size = sizeof(bytes);

    rc = mdb_put(txn, c->garbage, &key, &value, 0);

    kept.due = now;

    return (rc == 0) ? phota_kept_write(c, txn, scope, &kept) : rc;
}


/* an MDB code: the first record behind a key */

static int
phota_purge_next(MDB_cursor *cursor, const phota_cache_key_t *after,
    MDB_val *key, MDB_val *value)
{
    int  rc;

    key->mv_data = (void *) after;
    key->mv_size = sizeof(phota_cache_key_t);

    rc = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);

    if (rc == 0 && key->mv_size == sizeof(phota_cache_key_t)
        && memcmp(key->mv_data, after, sizeof(phota_cache_key_t)) == 0)
    {
        rc = mdb_cursor_get(cursor, key, value, MDB_NEXT);
    }

    return rc;
}


int
phota_cache_each(phota_cache_t *c, uint32_t tenant, phota_result_pt handler,
    void *ctx, phota_error_t *err)
{
    int                 rc;
    phota_each_walk_t  *walk;

    walk = calloc(1, sizeof(phota_each_walk_t));

    if (walk == NULL) {
        phota_error(err, "no memory");
        return PHOTA_ERROR;
    }

    walk->cache = c;
    walk->tenant = tenant;

    do {
        rc = phota_each_look(walk, err);

        if (rc == PHOTA_OK && walk->found) {
            rc = handler(ctx, &walk->result);
        }

    } while (rc == PHOTA_OK && !walk->ended);

    free(walk);

    return rc;
}


static int
phota_each_look(phota_each_walk_t *walk, phota_error_t *err)
{
    int          rc;
    MDB_txn     *txn;
    MDB_cursor  *cursor;

    if (phota_store_begin(walk->cache->store, 0, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = mdb_cursor_open(txn, walk->cache->results, &cursor);

    if (rc == 0) {
        rc = phota_each_scan(walk, cursor);
        mdb_cursor_close(cursor);
    }

    phota_store_abort(txn);

    return (rc == 0) ? PHOTA_OK
                     : phota_store_fail(err, walk->cache->store->path, rc);
}


static int
phota_each_scan(phota_each_walk_t *walk, MDB_cursor *cursor)
{
    int        rc;
    MDB_val    key, value;
    unsigned   n;

    walk->found = 0;

    rc = phota_purge_next(cursor, &walk->last, &key, &value);

    for (n = 0; rc == 0 && n < PHOTA_PURGE_LOOKS; n++) {

        if (key.mv_size == sizeof(phota_cache_key_t)) {
            memcpy(&walk->last, key.mv_data, sizeof(phota_cache_key_t));

            if (phota_result_decode(&walk->result, &walk->last, &value) == 0
                && (walk->tenant == 0
                    || walk->result.tenant == walk->tenant)
                && phota_each_copy(&walk->result, walk->text) == PHOTA_OK)
            {
                walk->found = 1;
                return 0;
            }
        }

        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }

    if (rc == MDB_NOTFOUND) {
        walk->ended = 1;
        return 0;
    }

    return rc;
}


/* the text pointers of a record are the map's, and that only for a while */

static int
phota_each_copy(phota_result_t *result,
    u_char text[PHOTA_SKELETON_MAX + PHOTA_SUBJECTS_MAX])
{
    if (result->skeleton_len > PHOTA_SKELETON_MAX
        || result->subjects_len > PHOTA_SUBJECTS_MAX)
    {
        return PHOTA_ERROR;
    }

    if (result->skeleton_len != 0) {
        memcpy(text, result->skeleton, result->skeleton_len);
    }

    if (result->subjects_len != 0) {
        memcpy(text + result->skeleton_len, result->subjects,
               result->subjects_len);
    }

    result->skeleton = text;
    result->subjects = text + result->skeleton_len;

    return PHOTA_OK;
}
