
/*
 * Storing what was bought: first there must be room, then pictures, results and
 * the record for recovery are written in one transaction, so that after a crash
 * there is all of it or nothing.  A picture that is there already is held once
 * more.
 */


#include <string.h>

#include "phota_cache_record.h"
#include "phota_order.h"


#define PHOTA_CACHE_FULL    (60 * 1000)     /* ms without another try */
#define PHOTA_CACHE_HASTE   (8 * 1000)      /* of its grace, when room lacks */
#define PHOTA_CACHE_PARTED  64              /* results that leave at once */
#define PHOTA_NUMBER_MAX    0x7fffffff

#define PHOTA_NO_ROOM       (-20000)        /* beside LMDB's own codes */
#define PHOTA_TOO_LARGE     (-20001)


typedef struct {
    phota_cache_t           *cache;
    MDB_txn                 *txn;
    phota_cache_totals_t     totals;

    phota_deposit_t         *deposits;
    unsigned                 ndeposits;
    unsigned                 bought;
    uint64_t                 now;

    const phota_unpacked_t  *unpacked;
    phota_read_pt            read;
    void                    *ctx;
} phota_cache_job_t;


/* the records of a fingerprint, as they are when one is added */

typedef struct {
    phota_cache_key_t        keys[PHOTA_POOL_MAX];
    unsigned                 nkeys;         /* live ones, oldest first */
    phota_cache_key_t        gone[PHOTA_CACHE_PARTED];
    unsigned                 ngone;
    uint32_t                 number;        /* the highest */
    unsigned                 known:1;       /* the id is there */
} phota_pool_t;


static void phota_deposit_next(phota_cache_job_t *job, phota_bought_t *one);
static void phota_deposit_prepare(phota_cache_job_t *job,
    phota_deposit_t *deposit);
static void phota_deposit_mark(phota_result_t *result,
    const phota_unpacked_t *unpacked);
static int phota_deposit_try(phota_cache_job_t *job, int force);
static int phota_deposit_make_room(phota_cache_job_t *job, int force);
static int phota_deposit_begin(phota_cache_job_t *job, uint64_t *need);
static int phota_deposit_need(phota_cache_job_t *job, uint64_t *need);
static int phota_deposit_pass(phota_cache_job_t *job, uint64_t rest,
    uint64_t need, int urgent, int *more);
static int phota_deposit_write(phota_cache_job_t *job);
static int phota_deposit_put(phota_cache_job_t *job, phota_deposit_t *deposit);
static int phota_deposit_result(phota_cache_job_t *job,
    const phota_result_t *result);
static int phota_deposit_survey(phota_cache_job_t *job,
    phota_deposit_t *deposit, phota_pool_t *pool);
static void phota_deposit_survey_one(phota_cache_job_t *job,
    phota_deposit_t *deposit, phota_pool_t *pool,
    const phota_cache_key_t *key, const MDB_val *value);
static int phota_deposit_part(phota_cache_job_t *job,
    const phota_cache_key_t *key);
static int phota_deposit_say(phota_cache_job_t *job, int rc,
    phota_error_t *err);


int
phota_cache_store(phota_cache_t *c, phota_deposit_t *deposits,
    unsigned ndeposits, unsigned bought, const phota_unpacked_t *unpacked,
    phota_read_pt read, void *ctx, phota_error_t *err)
{
    int                rc;
    unsigned           i;
    phota_cache_job_t  job;

    memset(&job, 0, sizeof(phota_cache_job_t));

    job.cache = c;
    job.deposits = deposits;
    job.ndeposits = ndeposits;
    job.bought = bought;
    job.unpacked = unpacked;
    job.read = read;
    job.ctx = ctx;
    job.now = phota_now();

    for (i = 0; i < ndeposits; i++) {
        phota_deposit_prepare(&job, &deposits[i]);
    }

    rc = phota_deposit_try(&job, 0);

    if (rc == MDB_MAP_FULL && job.now - c->full >= PHOTA_CACHE_FULL) {

        /*
         * Once more, without garbage and the oldest quarter.  What an old
         * reader keeps isn't to be had by purging yet more.
         */

        rc = phota_deposit_try(&job, 1);

        if (rc == MDB_MAP_FULL) {
            c->full = job.now;
        }
    }

    return (rc == 0) ? PHOTA_OK : phota_deposit_say(&job, rc, err);
}


int
phota_cache_store_together(phota_cache_t *c, phota_bought_t *all, unsigned n)
{
    int                rc;
    unsigned           i, k;
    uint64_t           need, sum;
    phota_cache_job_t  job;

    memset(&job, 0, sizeof(phota_cache_job_t));

    job.cache = c;
    job.now = phota_now();

    for (i = 0; i < n; i++) {
        phota_deposit_next(&job, &all[i]);

        for (k = 0; k < job.ndeposits; k++) {
            phota_deposit_prepare(&job, &job.deposits[k]);
        }
    }

    /* with the last answer's need, and then that of the others */

    rc = phota_deposit_begin(&job, &need);

    if (rc != 0) {
        return PHOTA_DECLINED;
    }

    sum = job.totals.bytes + job.totals.garbage + need;

    for (i = 0; rc == 0 && i < n - 1; i++) {
        phota_deposit_next(&job, &all[i]);

        rc = phota_deposit_need(&job, &need);
        sum += need;
    }

    if (rc == 0 && sum > c->max_size) {
        rc = PHOTA_NO_ROOM;
    }

    for (i = 0; rc == 0 && i < n; i++) {
        phota_deposit_next(&job, &all[i]);

        rc = phota_deposit_write(&job);
    }

    if (rc == 0) {
        rc = phota_totals_write(c, job.txn, &job.totals);
    }

    if (rc != 0) {
        phota_store_abort(job.txn);
        return PHOTA_DECLINED;
    }

    rc = mdb_txn_commit(job.txn);

    return (rc == 0) ? PHOTA_OK : PHOTA_DECLINED;
}


static void
phota_deposit_next(phota_cache_job_t *job, phota_bought_t *one)
{
    job->deposits = one->deposits;
    job->ndeposits = one->ndeposits;
    job->bought = one->bought;
    job->unpacked = one->unpacked;
    job->read = one->read;
    job->ctx = one->ctx;
}


static void
phota_deposit_prepare(phota_cache_job_t *job, phota_deposit_t *deposit)
{
    phota_result_t          *result;
    const phota_unpacked_t  *unpacked;

    result = &deposit->result;
    unpacked = job->unpacked;

    deposit->written = 0;

    memcpy(result->key.fingerprint, deposit->fingerprint, PHOTA_SHA256_LEN);
    memset(result->key.number, 0, sizeof(result->key.number));

    if (result->stored == 0) {
        result->stored = job->now;
    }

    result->used = job->now;
    result->outputs = unpacked->npictures;
    result->npictures = unpacked->npictures;

    memcpy(result->pictures, unpacked->pictures, sizeof(result->pictures));

    result->images_at = unpacked->images_at;
    result->urls_at = unpacked->urls_at;
    result->counts_at = unpacked->counts_at;
    result->counts_len = unpacked->counts_len;
    result->skeleton_len = unpacked->skeleton_len;
    result->subjects_len = unpacked->subjects_len;
    result->skeleton = unpacked->skeleton;
    result->subjects = unpacked->subjects;

    phota_deposit_mark(result, unpacked);
}


/* beside the profiles that were named, those that were recognised */

static void
phota_deposit_mark(phota_result_t *result, const phota_unpacked_t *unpacked)
{
    unsigned  i, k;

    result->unmarked |= unpacked->unmarked;

    for (i = 0; i < unpacked->nmarks; i++) {

        for (k = 0; k < result->nmarks; k++) {
            if (result->marks[k] == unpacked->marks[i]) {
                break;
            }
        }

        if (k < result->nmarks) {
            continue;
        }

        if (result->nmarks == PHOTA_MARKS_MAX) {
            result->unmarked = 1;
            return;
        }

        result->marks[result->nmarks++] = unpacked->marks[i];
    }
}


/* an MDB code, or one of ours */

static int
phota_deposit_try(phota_cache_job_t *job, int force)
{
    int  rc;

    rc = phota_deposit_make_room(job, force);

    if (rc != 0) {
        return rc;
    }

    rc = phota_deposit_write(job);

    if (rc == 0) {
        rc = phota_totals_write(job->cache, job->txn, &job->totals);
    }

    if (rc != 0) {
        phota_store_abort(job->txn);
        return rc;
    }

    return mdb_txn_commit(job->txn);
}


/*
 * A write transaction in which there is room: usually the first, and nothing
 * had to be done.  Else the one after as many bounded ones as it takes, and one
 * more, for LMDB uses a transaction's pages again in the next but one.
 */

static int
phota_deposit_make_room(phota_cache_job_t *job, int force)
{
    int             rc, more;
    unsigned        passes, calm;
    uint64_t        need, sum, rest;
    phota_cache_t  *c;

    c = job->cache;
    calm = 0;
    rest = UINT64_MAX;

    for (passes = 0; /* void */ ; passes++) {

        rc = phota_deposit_begin(job, &need);

        if (rc != 0) {
            return rc;
        }

        sum = job->totals.bytes + job->totals.garbage + need;

        if (passes == 0) {

            if (sum <= c->max_size && !force) {
                return 0;
            }

            if (need > c->max_size) {
                phota_store_abort(job->txn);
                return PHOTA_TOO_LARGE;
            }

            /* passes don't each take a quarter */

            rest = force ? job->totals.bytes - job->totals.bytes / 4
                         : UINT64_MAX;
        }

        if (calm == 2) {

            if (sum <= c->max_size + c->max_size / 10) {
                return 0;
            }

            phota_store_abort(job->txn);
            return PHOTA_NO_ROOM;
        }

        rc = phota_deposit_pass(job, rest, need, calm || force, &more);

        if (rc != 0) {
            return rc;
        }

        calm += !more;
    }
}


static int
phota_deposit_begin(phota_cache_job_t *job, uint64_t *need)
{
    int             rc;
    phota_cache_t  *c;

    c = job->cache;

    rc = mdb_txn_begin(c->store->env, NULL, 0, &job->txn);

    if (rc != 0) {

        if (rc == MDB_PANIC || rc == MDB_MAP_RESIZED) {
            c->store->broken = 1;
        }

        return rc;
    }

    /* who had the lock may have had it long */

    job->now = phota_now();

    rc = phota_totals_read(c, job->txn, &job->totals);

    if (rc == 0) {
        phota_cache_weigh(c, &job->totals);
        rc = phota_deposit_need(job, need);
    }

    if (rc != 0) {
        phota_store_abort(job->txn);
    }

    return rc;
}


/* bytes that it will take; pictures that are there take none */

static int
phota_deposit_need(phota_cache_job_t *job, uint64_t *need)
{
    int              rc;
    unsigned         i, k;
    phota_kept_t     kept;
    phota_result_t  *result;

    *need = 0;

    for (i = 0; i < job->ndeposits; i++) {
        result = &job->deposits[i].result;

        *need += phota_result_size(result->skeleton_len
                                   + result->subjects_len + 2048);

        for (k = 0; k < result->npictures; k++) {

            if (phota_result_repeats(result, k)
                || (i > 0 && result->scope == job->deposits[0].result.scope))
            {
                continue;
            }

            rc = phota_kept_read(job->cache, job->txn, result->scope,
                                 result->pictures[k].digest, &kept);

            if (rc == MDB_NOTFOUND || rc == MDB_CORRUPTED
                || (rc == 0 && kept.picture.length == 0))
            {
                *need += phota_picture_size(result->pictures[k].length);

            } else if (rc != 0) {
                return rc;
            }
        }
    }

    return 0;
}


static int
phota_deposit_pass(phota_cache_job_t *job, uint64_t rest, uint64_t need,
    int urgent, int *more)
{
    int                    rc;
    uint64_t               limit, sent;
    phota_cache_t         *c;
    phota_cache_totals_t  *totals;

    c = job->cache;
    totals = &job->totals;

    limit = phota_cache_less(phota_cache_low(c), need);
    limit = (rest < limit) ? rest : limit;

    rc = phota_cache_pass(c, job->txn, totals, limit, job->now, more);

    if (rc == 0 && (urgent || totals->bytes + totals->garbage + need
                              > c->max_size))
    {
        /*
         * What was bought is worth more than the grace of what has gone: who
         * sends that has said so by now.
         */

        rc = phota_cache_collect(c, job->txn, totals,
                                 urgent ? UINT64_MAX
                                        : job->now + PHOTA_CACHE_HASTE,
                                 job->now, &sent, more);
    }

    if (rc == 0) {
        rc = phota_totals_write(c, job->txn, totals);
    }

    if (rc != 0) {
        phota_store_abort(job->txn);
        return rc;
    }

    return mdb_txn_commit(job->txn);
}


static int
phota_deposit_write(phota_cache_job_t *job)
{
    int       rc;
    unsigned  i;

    for (i = 0; i < job->ndeposits; i++) {

        rc = phota_deposit_put(job, &job->deposits[i]);

        if (rc != 0) {
            return rc;
        }
    }

    if (job->bought >= job->ndeposits) {
        return 0;
    }

    rc = phota_bought_write(job->cache, job->txn,
                            &job->deposits[job->bought].result);

    /* what a charge bought is said once */

    return (rc == MDB_KEYEXIST) ? 0 : rc;
}


static int
phota_deposit_put(phota_cache_job_t *job, phota_deposit_t *deposit)
{
    int              rc;
    unsigned         i;
    phota_pool_t     pool;
    phota_result_t  *result;

    result = &deposit->result;

    rc = phota_deposit_survey(job, deposit, &pool);

    if (rc != 0 || pool.known) {
        return rc;
    }

    for (i = 0; rc == 0 && i < pool.ngone; i++) {
        rc = phota_deposit_part(job, &pool.gone[i]);
    }

    if (pool.number == PHOTA_NUMBER_MAX) {
        return MDB_BAD_VALSIZE;
    }

    phota_put_be(result->key.number, pool.number + 1, 4);

    if (rc == 0) {
        rc = phota_cache_hold(job->cache, job->txn, &job->totals, result,
                              job->unpacked, job->read, job->ctx,
                              &deposit->written);
    }

    return (rc == 0) ? phota_deposit_result(job, result) : rc;
}


static int
phota_deposit_result(phota_cache_job_t *job, const phota_result_t *result)
{
    int      rc;
    MDB_val  key, value;

    rc = phota_result_write(job->cache, job->txn, result);

    if (rc == 0) {
        rc = phota_cache_list(job->cache, job->txn, result);
    }

    if (rc != 0) {
        return rc;
    }

    key.mv_data = (void *) &result->key;
    key.mv_size = sizeof(phota_cache_key_t);

    rc = mdb_get(job->txn, job->cache->results, &key, &value);

    if (rc == 0) {
        job->totals.results++;
        job->totals.bytes += phota_result_size(value.mv_size);
    }

    return rc;
}


static int
phota_deposit_survey(phota_cache_job_t *job, phota_deposit_t *deposit,
    phota_pool_t *pool)
{
    int                rc;
    MDB_val            value;
    MDB_cursor        *cursor;
    phota_cache_key_t  key;

    memset(pool, 0, sizeof(phota_pool_t));

    rc = mdb_cursor_open(job->txn, job->cache->results, &cursor);

    if (rc != 0) {
        return rc;
    }

    rc = phota_pool_first(cursor, deposit->fingerprint, &key, &value);

    while (rc == 0) {
        phota_deposit_survey_one(job, deposit, pool, &key, &value);
        rc = phota_pool_next(cursor, &key, &value);
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


static void
phota_deposit_survey_one(phota_cache_job_t *job, phota_deposit_t *deposit,
    phota_pool_t *pool, const phota_cache_key_t *key, const MDB_val *value)
{
    int                dead;
    uint32_t           number;
    phota_result_t     result;
    phota_cache_key_t  gone;

    number = (uint32_t) phota_get_be(key->number, 4) & PHOTA_NUMBER_MAX;

    if (number > pool->number) {
        pool->number = number;
    }

    dead = phota_result_decode(&result, key, value) != 0;

    if (!dead && memcmp(&result.id, &deposit->result.id, sizeof(phota_id_t))
                 == 0)
    {
        deposit->result.key = result.key;
        deposit->result.stored = result.stored;
        pool->known = 1;
        return;
    }

    if (phota_pool_left(key)) {
        return;
    }

    gone = *key;

    if (!dead && result.expires > job->now && result.stored >= deposit->since)
    {
        if (pool->nkeys < PHOTA_POOL_MAX - 1) {
            pool->keys[pool->nkeys++] = *key;
            return;
        }

        /* the oldest makes place */

        gone = pool->keys[0];

        memmove(&pool->keys[0], &pool->keys[1],
                (pool->nkeys - 1) * sizeof(phota_cache_key_t));
        pool->keys[pool->nkeys - 1] = *key;
    }

    if (pool->ngone < PHOTA_CACHE_PARTED) {
        pool->gone[pool->ngone++] = gone;
    }
}


/*
 * Out of the pool.  Links to its pictures may have been promised, or be in the
 * making: until they end it stays beside it.
 */

static int
phota_deposit_part(phota_cache_job_t *job, const phota_cache_key_t *key)
{
    int              rc;
    MDB_val          name;
    phota_cache_t   *c;
    phota_result_t   result, old;

    c = job->cache;

    rc = phota_result_read(c, job->txn, key, &result);

    if (rc == MDB_CORRUPTED) {
        return phota_cache_retire(c, job->txn, &job->totals, key, job->now);
    }

    if (rc != 0) {
        return rc;
    }

    old = result;

    phota_pool_leave(&result.key);

    if (result.expires > job->now) {
        result.expires = job->now;
    }

    if (result.linked < job->now + PHOTA_CACHE_GRACE) {
        result.linked = job->now + PHOTA_CACHE_GRACE;
    }

    rc = phota_result_write(c, job->txn, &result);

    if (rc == 0) {
        rc = phota_cache_unlist(c, job->txn, &old);
    }

    if (rc == 0) {
        rc = phota_cache_list(c, job->txn, &result);
    }

    name.mv_data = (void *) key;
    name.mv_size = sizeof(phota_cache_key_t);

    return (rc == 0) ? mdb_del(job->txn, c->results, &name, NULL) : rc;
}


static int
phota_deposit_say(phota_cache_job_t *job, int rc, phota_error_t *err)
{
    switch (rc) {

    case PHOTA_TOO_LARGE:
        phota_error(err, "a result is larger than the cache");
        return PHOTA_DECLINED;

    case PHOTA_NO_ROOM:
        phota_error(err, "the cache is full of pictures that are being sent");
        return PHOTA_DECLINED;

    case PHOTA_CACHE_UNREAD:
        phota_error(err, "the body of a result can't be read");
        return PHOTA_ERROR;

    case PHOTA_CACHE_CHANGED:
        phota_error(err, "the body of a result isn't what it was before");
        return PHOTA_ERROR;

    default:
        return phota_store_fail(err, job->cache->store->path, rc);
    }
}
