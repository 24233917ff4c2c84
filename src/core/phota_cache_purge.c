
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
    uint32_t              tenant;
    unsigned              ended:1;
    unsigned              found:1;

    /* zeros: before the first, as numbers are from 1 */
    phota_cache_key_t     last;

    phota_result_t        result;
    u_char                text[PHOTA_SKELETON_MAX + PHOTA_SUBJECTS_MAX];
} phota_each_walk_t;


/* an MDB code */
typedef int (*phota_purge_scan_pt)(void *walk, MDB_cursor *cursor);


static int phota_purge_results(phota_purge_walk_t *walk, phota_error_t *err);
static int phota_purge_look(phota_cache_t *c, phota_purge_scan_pt scan,
    void *walk, phota_error_t *err);
static int phota_purge_scan(void *data, MDB_cursor *cursor);
static int phota_purge_wants(const phota_purge_walk_t *walk,
    const MDB_val *key, const MDB_val *value);
static int phota_purge_matches(const phota_purge_t *purge,
    const phota_result_t *result);
static int phota_purge_take(phota_purge_walk_t *walk, phota_error_t *err);
static int phota_purge_take_one(phota_purge_walk_t *walk, MDB_txn *txn,
    phota_cache_totals_t *totals, const phota_cache_key_t *key);
static int phota_purge_next(MDB_cursor *cursor,
    const phota_cache_key_t *after, MDB_val *key, MDB_val *value);
static int phota_each_scan(void *data, MDB_cursor *cursor);
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

    rc = phota_purge_results(walk, err);

    *results = walk->removed;

    free(walk);

    return rc;
}


static int
phota_purge_results(phota_purge_walk_t *walk, phota_error_t *err)
{
    int  rc;

    while (!walk->ended) {
        walk->nkeys = 0;

        rc = phota_purge_look(walk->cache, phota_purge_scan, walk, err);

        /*
         * At the end also when there is nothing to take: who has the lock then
         * may store what the next purge has to find.
         */

        if (rc == PHOTA_OK && (walk->nkeys != 0 || walk->ended)) {
            rc = phota_purge_take(walk, err);
        }

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return PHOTA_OK;
}


/* a read transaction for one look at the results, of either walk */

static int
phota_purge_look(phota_cache_t *c, phota_purge_scan_pt scan, void *walk,
    phota_error_t *err)
{
    int          rc;
    MDB_txn     *txn;
    MDB_cursor  *cursor;

    if (phota_store_begin(c->store, 0, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = mdb_cursor_open(txn, c->results, &cursor);

    if (rc == 0) {
        rc = scan(walk, cursor);
        mdb_cursor_close(cursor);
    }

    phota_store_abort(txn);

    return (rc == 0) ? PHOTA_OK : phota_store_fail(err, c->store->path, rc);
}


static int
phota_purge_scan(void *data, MDB_cursor *cursor)
{
    phota_purge_walk_t *walk = data;

    int       rc;
    MDB_val   key, value;
    unsigned  n;

    rc = phota_purge_next(cursor, &walk->last, &key, &value);

    for (n = 0; rc == 0; n++) {

        if (key.mv_size != sizeof(phota_cache_key_t)) {

            /* of a foreign size: none of ours, phota_cache_check() sees it */

            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
            continue;
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

    /* the answer to an Idempotency-Key lies under a fingerprint of its own */

    if (purge->fingerprint != NULL
        && memcmp(result->key.fingerprint, purge->fingerprint,
                  PHOTA_SHA256_LEN) != 0
        && memcmp(result->origin, purge->fingerprint, PHOTA_SHA256_LEN) != 0)
    {
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

    /* it may have begun long ago, and what goes now has its grace from now */

    walk->now = phota_now();

    /* who waited for the lock while it was compacted would purge a ghost */

    if (phota_store_moved(c->store)) {
        phota_store_abort(txn);
        phota_error(err, "\"%.160s\" was replaced meanwhile: run it again",
                    c->store->path);
        return PHOTA_REFUSED;
    }

    /* nothing is written for nothing: the disk may be full */

    if (walk->nkeys == 0) {
        phota_store_abort(txn);
        return PHOTA_OK;
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
    int             rc;
    phota_result_t  result;

    rc = phota_result_read(walk->cache, txn, key, &result);

    if (rc == MDB_NOTFOUND
        || (rc == 0 && !phota_purge_matches(walk->purge, &result)))
    {
        return 0;
    }

    if (rc != 0 && rc != MDB_CORRUPTED) {
        return rc;
    }

    rc = phota_cache_retire(walk->cache, txn, totals, key, walk->now);

    if (rc == 0) {
        walk->removed++;
    }

    return rc;
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

    walk->tenant = tenant;

    do {
        rc = phota_purge_look(c, phota_each_scan, walk, err);

        if (rc == PHOTA_OK && walk->found) {
            rc = handler(ctx, &walk->result);
        }

    } while (rc == PHOTA_OK && !walk->ended);

    free(walk);

    return rc;
}


static int
phota_each_scan(void *data, MDB_cursor *cursor)
{
    phota_each_walk_t *walk = data;

    int        rc;
    MDB_val    key, value;
    unsigned   n;

    walk->found = 0;

    rc = phota_purge_next(cursor, &walk->last, &key, &value);

    for (n = 0; rc == 0 && n < PHOTA_PURGE_LOOKS; /* void */ ) {

        /* only ours are counted: the next look begins behind the last */

        if (key.mv_size == sizeof(phota_cache_key_t)) {
            n++;
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
