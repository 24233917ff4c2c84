
/*
 * Bought results: finding them, reading their chunks, storing them, and keeping
 * the used ones young.  What is damaged counts as absent.
 */


#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <openssl/evp.h>

#include "phota_cache_record.h"


#define PHOTA_CACHE_COARSE  (60 * 1000)     /* ms between two touches */
#define PHOTA_CACHE_FULL    (60 * 1000)     /* ms without another try */


typedef struct {
    const phota_cache_key_t  *key;
    phota_result_t           *result;
    phota_cache_read_pt       read;
    void                     *ctx;
    EVP_MD_CTX               *digest;
    uint64_t                  now;
    unsigned                  unread:1;     /* read failed */
} phota_cache_job_t;


static int phota_cache_store_try(phota_cache_t *c, phota_cache_job_t *job,
    int force);
static int phota_cache_begin_with_room(phota_cache_t *c,
    phota_cache_job_t *job, int force, MDB_txn **txn,
    phota_cache_totals_t *totals);
static uint64_t phota_cache_limit(phota_cache_t *c, phota_cache_job_t *job,
    const phota_cache_totals_t *totals, int force);
static int phota_cache_write(phota_cache_t *c, MDB_txn *txn,
    phota_cache_job_t *job, phota_cache_totals_t *totals);
static int phota_cache_known(phota_cache_t *c, MDB_txn *txn,
    phota_cache_job_t *job);
static int phota_cache_replace(phota_cache_t *c, MDB_txn *txn,
    phota_cache_job_t *job, phota_cache_totals_t *totals);
static int phota_cache_write_chunks(phota_cache_t *c, MDB_txn *txn,
    phota_cache_job_t *job);
static int phota_cache_write_indexes(phota_cache_t *c, MDB_txn *txn,
    phota_cache_job_t *job);
static int phota_cache_put_moment(MDB_txn *txn, MDB_dbi dbi, uint64_t time,
    const phota_id_t *id, const phota_cache_key_t *key);
static int phota_cache_touch_one(phota_cache_t *c, MDB_txn *txn,
    const phota_cache_key_t *key, uint64_t now);
static uint32_t phota_cache_chunk_len(const phota_result_t *result,
    uint32_t index);
static int phota_cache_fail(phota_cache_t *c, int rc, phota_error_t *err);


int
phota_cache_open(phota_cache_t *c, phota_store_t *store, uint64_t max_size,
    phota_error_t *err)
{
    int     rc;
    size_t  i;

    const struct {
        const char  *name;
        MDB_dbi     *dbi;
    } tables[] = {
        { "results", &c->results },
        { "chunks", &c->chunks },
        { "charges", &c->charges },
        { "order", &c->order },
        { "expiry", &c->expiry },
        { "garbage", &c->garbage }
    };

    memset(c, 0, sizeof(phota_cache_t));

    c->store = store;
    c->max_size = max_size;

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
phota_cache_find(phota_cache_t *c, MDB_txn *txn,
    const phota_cache_key_t *key, uint64_t now, phota_result_t *result)
{
    if (phota_result_read(c, txn, key, result) != 0
        || result->expires <= now)
    {
        return PHOTA_DECLINED;
    }

    return PHOTA_OK;
}


int
phota_cache_find_charge(phota_cache_t *c, MDB_txn *txn, const phota_id_t *id,
    phota_result_t *result)
{
    return (phota_bought_read(c, txn, id, result) == 0) ? PHOTA_OK
                                                        : PHOTA_DECLINED;
}


int
phota_cache_chunk(phota_cache_t *c, MDB_txn *txn,
    const phota_result_t *result, uint32_t index, const u_char **p,
    size_t *len)
{
    u_char   name[PHOTA_CHUNK_KEY];
    MDB_val  key, value;

    phota_chunk_key(name, &result->id, index);

    key.mv_data = name;
    key.mv_size = sizeof(name);

    if (mdb_get(txn, c->chunks, &key, &value) != 0 || value.mv_size == 0
        || value.mv_size != phota_cache_chunk_len(result, index))
    {
        return PHOTA_DECLINED;
    }

    *p = value.mv_data;
    *len = value.mv_size;

    return PHOTA_OK;
}


/* 0 behind the end */

static uint32_t
phota_cache_chunk_len(const phota_result_t *result, uint32_t index)
{
    uint64_t  offset;

    offset = (uint64_t) index * PHOTA_CHUNK;

    if (offset >= result->length) {
        return 0;
    }

    return (result->length - offset > PHOTA_CHUNK)
           ? PHOTA_CHUNK : (uint32_t) (result->length - offset);
}


int
phota_cache_store(phota_cache_t *c, const phota_cache_key_t *key,
    phota_result_t *result, phota_cache_read_pt read, void *ctx,
    phota_error_t *err)
{
    int                rc;
    phota_cache_job_t  job;

    if (result->length > c->max_size) {
        phota_error(err, "a result of %llu bytes is larger than the cache",
                    (unsigned long long) result->length);
        return PHOTA_DECLINED;
    }

    memset(&job, 0, sizeof(phota_cache_job_t));

    job.key = key;
    job.result = result;
    job.read = read;
    job.ctx = ctx;
    job.now = phota_now();
    job.digest = EVP_MD_CTX_new();

    if (job.digest == NULL) {
        phota_error(err, "no memory");
        return PHOTA_ERROR;
    }

    if (result->stored == 0) {
        result->stored = job.now;
    }

    result->used = result->stored;

    rc = phota_cache_store_try(c, &job, 0);

    if (rc == MDB_MAP_FULL && job.now - c->full >= PHOTA_CACHE_FULL) {

        /*
         * Once more, without garbage and the oldest quarter.  Two passes: LMDB
         * reuses pages in the transaction after the next one.  What an old
         * reader keeps isn't to be had by purging yet more.
         */

        rc = phota_cache_store_try(c, &job, 2);

        if (rc == MDB_MAP_FULL) {
            c->full = job.now;
        }
    }

    EVP_MD_CTX_free(job.digest);

    if (job.unread) {
        phota_error(err, "the body of a result can't be read");
        return PHOTA_ERROR;
    }

    return (rc == 0) ? PHOTA_OK : phota_cache_fail(c, rc, err);
}


/* an MDB code */

static int
phota_cache_store_try(phota_cache_t *c, phota_cache_job_t *job, int force)
{
    int                   rc;
    MDB_txn              *txn;
    phota_cache_totals_t  totals;

    rc = phota_cache_begin_with_room(c, job, force, &txn, &totals);

    if (rc != 0) {
        return rc;
    }

    rc = phota_cache_known(c, txn, job);

    if (rc != MDB_NOTFOUND) {
        phota_store_abort(txn);
        return rc;
    }

    rc = phota_cache_write(c, txn, job, &totals);

    if (rc != 0) {
        phota_store_abort(txn);
        return rc;
    }

    return mdb_txn_commit(txn);
}


/*
 * A write transaction in which there is room: usually the first, and nothing
 * had to be done; else the one after as many bounded ones as it takes.
 */

static int
phota_cache_begin_with_room(phota_cache_t *c, phota_cache_job_t *job,
    int force, MDB_txn **txn, phota_cache_totals_t *totals)
{
    int       rc, more;
    unsigned  limited;
    uint64_t  limit;

    limit = 0;
    limited = 0;

    for ( ;; ) {
        rc = mdb_txn_begin(c->store->env, NULL, 0, txn);

        if (rc != 0) {
            return rc;
        }

        rc = phota_totals_read(c, *txn, totals);

        if (rc == 0 && !limited) {
            limit = phota_cache_limit(c, job, totals, force);
            limited = 1;
        }

        if (rc == 0 && !force && totals->bytes <= limit
            && totals->garbage <= c->max_size / 4)
        {
            return 0;
        }

        if (rc == 0) {
            rc = phota_cache_pass(c, *txn, totals, limit, job->now, force,
                                  &more);
        }

        if (rc == 0) {
            rc = phota_totals_write(c, *txn, totals);
        }

        if (rc != 0) {
            phota_store_abort(*txn);
            return rc;
        }

        rc = mdb_txn_commit(*txn);

        if (rc != 0) {
            return rc;
        }

        if (force && !more) {
            force--;
        }
    }
}


/* of what is there when it begins: passes don't each take a quarter */

static uint64_t
phota_cache_limit(phota_cache_t *c, phota_cache_job_t *job,
    const phota_cache_totals_t *totals, int force)
{
    uint64_t  limit, rest;

    limit = c->max_size - job->result->length;
    rest = totals->bytes - totals->bytes / 4;

    return (force && rest < limit) ? rest : limit;
}


/* 0 when this charge's result is stored already, MDB_NOTFOUND otherwise */

static int
phota_cache_known(phota_cache_t *c, MDB_txn *txn, phota_cache_job_t *job)
{
    phota_result_t  result;

    if (phota_result_read(c, txn, job->key, &result) != 0
        || memcmp(&result.id, &job->result->id, sizeof(phota_id_t)) != 0)
    {
        return MDB_NOTFOUND;
    }

    memcpy(job->result->digest, result.digest, PHOTA_SHA256_LEN);

    return 0;
}


static int
phota_cache_write(phota_cache_t *c, MDB_txn *txn, phota_cache_job_t *job,
    phota_cache_totals_t *totals)
{
    int  rc;

    rc = phota_cache_replace(c, txn, job, totals);

    if (rc == 0) {
        rc = phota_cache_write_chunks(c, txn, job);
    }

    if (rc == 0) {
        rc = phota_result_write(c, txn, job->key, job->result, 0);
    }

    if (rc == 0) {
        rc = phota_cache_write_indexes(c, txn, job);
    }

    totals->results++;
    totals->bytes += job->result->length;

    return (rc == 0) ? phota_totals_write(c, txn, totals) : rc;
}


static int
phota_cache_replace(phota_cache_t *c, MDB_txn *txn, phota_cache_job_t *job,
    phota_cache_totals_t *totals)
{
    int             rc;
    phota_moment_t  moment;
    phota_result_t  old;

    rc = phota_result_read(c, txn, job->key, &old);

    if (rc != 0) {

        /* what belongs to a damaged one is found when its turn comes */

        return (rc == MDB_NOTFOUND || rc == MDB_CORRUPTED) ? 0 : rc;
    }

    moment.time = old.used;
    moment.id = old.id;

    return phota_cache_retire(c, txn, totals, &moment, job->now, 1);
}


static int
phota_cache_write_chunks(phota_cache_t *c, MDB_txn *txn,
    phota_cache_job_t *job)
{
    int              rc;
    u_char           name[PHOTA_CHUNK_KEY];
    MDB_val          key, value;
    uint32_t         index, len;
    phota_result_t  *result;

    result = job->result;

    if (!EVP_DigestInit_ex(job->digest, EVP_sha256(), NULL)) {
        return MDB_PANIC;
    }

    for (index = 0; /* void */ ; index++) {

        len = phota_cache_chunk_len(result, index);

        if (len == 0) {
            break;
        }

        phota_chunk_key(name, &result->id, index);

        key.mv_data = name;
        key.mv_size = sizeof(name);
        value.mv_data = NULL;
        value.mv_size = len;

        rc = mdb_put(txn, c->chunks, &key, &value,
                     MDB_RESERVE|MDB_NOOVERWRITE);

        if (rc != 0) {
            return rc;
        }

        if (job->read(job->ctx, value.mv_data, len,
                      (uint64_t) index * PHOTA_CHUNK) != PHOTA_OK)
        {
            job->unread = 1;
            return MDB_BAD_TXN;
        }

        if (!EVP_DigestUpdate(job->digest, value.mv_data, len)) {
            return MDB_PANIC;
        }
    }

    return EVP_DigestFinal_ex(job->digest, result->digest, NULL) ? 0
                                                                 : MDB_PANIC;
}


static int
phota_cache_write_indexes(phota_cache_t *c, MDB_txn *txn,
    phota_cache_job_t *job)
{
    int              rc;
    phota_result_t  *result;

    result = job->result;

    rc = phota_bought_write(c, txn, result);

    if (rc == 0) {
        rc = phota_cache_put_moment(txn, c->order, result->used,
                                    &result->id, job->key);
    }

    if (rc == 0) {
        rc = phota_cache_put_moment(txn, c->expiry, result->expires,
                                    &result->id, job->key);
    }

    return rc;
}


static int
phota_cache_put_moment(MDB_txn *txn, MDB_dbi dbi, uint64_t time,
    const phota_id_t *id, const phota_cache_key_t *key)
{
    u_char          buf[PHOTA_MOMENT_LEN];
    MDB_val         name, value;
    phota_moment_t  moment;

    moment.time = time;
    moment.id = *id;

    phota_moment_encode(buf, &moment);

    name.mv_data = buf;
    name.mv_size = sizeof(buf);
    value.mv_data = (void *) key;
    value.mv_size = sizeof(phota_cache_key_t);

    return mdb_put(txn, dbi, &name, &value, 0);
}


int
phota_cache_touch(phota_cache_t *c, const phota_cache_key_t *keys, unsigned n,
    uint64_t now, phota_error_t *err)
{
    int       rc;
    MDB_txn  *txn;
    unsigned  i;

    if (phota_store_begin(c->store, 1, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    for (i = 0; i < n; i++) {

        rc = phota_cache_touch_one(c, txn, &keys[i], now);

        if (rc != 0) {
            phota_store_abort(txn);
            return phota_cache_fail(c, rc, err);
        }
    }

    return phota_store_commit(txn, err);
}


static int
phota_cache_touch_one(phota_cache_t *c, MDB_txn *txn,
    const phota_cache_key_t *key, uint64_t now)
{
    int             rc;
    u_char          buf[PHOTA_MOMENT_LEN];
    MDB_val         name;
    phota_moment_t  moment;
    phota_result_t  result;

    rc = phota_result_read(c, txn, key, &result);

    if (rc != 0) {
        return (rc == MDB_NOTFOUND || rc == MDB_CORRUPTED) ? 0 : rc;
    }

    if (result.used + PHOTA_CACHE_COARSE >= now) {
        return 0;
    }

    moment.time = result.used;
    moment.id = result.id;

    phota_moment_encode(buf, &moment);

    name.mv_data = buf;
    name.mv_size = sizeof(buf);

    rc = mdb_del(txn, c->order, &name, NULL);

    if (rc != 0 && rc != MDB_NOTFOUND) {
        return rc;
    }

    result.used = now;

    rc = phota_result_write(c, txn, key, &result, 0);

    if (rc != 0) {
        return rc;
    }

    return phota_cache_put_moment(txn, c->order, now, &result.id, key);
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
        rc = phota_cache_pass(c, txn, &totals, c->max_size, now, 0, more);
    }

    if (rc == 0) {
        rc = phota_cache_prune(c, txn, now, more);
    }

    if (rc == 0 && memcmp(&totals, &before, sizeof(totals)) != 0) {
        rc = phota_totals_write(c, txn, &totals);
    }

    if (rc != 0) {
        phota_store_abort(txn);
        return phota_cache_fail(c, rc, err);
    }

    return phota_store_commit(txn, err);
}


int
phota_cache_stats(phota_cache_t *c, uint64_t *results, uint64_t *bytes,
    phota_error_t *err)
{
    int                   rc;
    MDB_txn              *txn;
    phota_cache_totals_t  totals;

    if (phota_store_begin(c->store, 0, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = phota_totals_read(c, txn, &totals);

    phota_store_abort(txn);

    if (rc != 0) {
        return phota_cache_fail(c, rc, err);
    }

    *results = totals.results;
    *bytes = totals.bytes;

    return PHOTA_OK;
}


static int
phota_cache_fail(phota_cache_t *c, int rc, phota_error_t *err)
{
    return phota_store_fail(err, c->store->path, rc);
}
