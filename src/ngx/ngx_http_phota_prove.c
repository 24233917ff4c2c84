
/*
 * What threads read of the cache, so that the event loop finds it in memory and
 * knows it to be sound.  Pools that nobody has asked for lately are looked at
 * by a thread first.  Pictures are what was stored: before a worker sends one
 * for the first time, a thread reads it whole and holds it against its digest.
 * What is damaged is removed before anybody is told, so that it is a miss and
 * can be bought again.  Afterwards its chunks are held against their checksums
 * before each answer.
 */


#include "ngx_http_phota_module.h"

#include <sys/resource.h>


/* pictures that are remembered as sound, pools and pictures as looked at */

#define NGX_HTTP_PHOTA_PROVEN  262144
#define NGX_HTTP_PHOTA_SEEN    65536

/* bytes of a picture that is read where the event loop is: some 20 us */

#define NGX_HTTP_PHOTA_SMALL   16384

/*
 * s: what was in memory then is taken to be still there; less for a while after
 * something had to come from the disk
 */

#define NGX_HTTP_PHOTA_LATELY  60
#define NGX_HTTP_PHOTA_HASTY   1
#define NGX_HTTP_PHOTA_COLD    60


/* bytes of a picture for which that holds as it does for a pool */

#define NGX_HTTP_PHOTA_FEW_PAGES  65536


typedef struct {
    uint64_t                   name;
    time_t                     time;
} ngx_http_phota_seen_t;


/* a look that a thread takes */

typedef struct {
    ngx_thread_task_t          task;
    ngx_http_request_t        *r;           /* NULL: the client left */
    ngx_http_phota_proven_pt   handler;
    u_char                     fingerprint[PHOTA_SHA256_LEN];
    u_char                     digest[PHOTA_SHA256_LEN];
    uint32_t                   scope;
    unsigned                   pool:1;      /* else it is a picture */
    unsigned                   cold:1;      /* it had to wait for the disk */
} ngx_http_phota_look_t;


typedef struct {
    uint32_t                   scope;
    phota_picture_t            picture;
} ngx_http_phota_claim_t;


/* what a thread reads, and then what the cache's writer removes */

typedef struct {
    ngx_thread_task_t          task;
    ngx_http_phota_job_t       job;
    ngx_http_request_t        *r;           /* NULL: the client left */
    ngx_http_phota_proven_pt   handler;
    ngx_http_phota_claim_t     claims[PHOTA_PICTURES_MAX];
    ngx_uint_t                 n;
    ngx_uint_t                 sound;       /* of them, from the first on */
    int                        rc;
    phota_error_t              err;
    u_char                     fingerprint[PHOTA_SHA256_LEN];
} ngx_http_phota_proof_t;


typedef struct {
    ngx_http_phota_job_t       job;
    u_char                     fingerprint[PHOTA_SHA256_LEN];
    uint32_t                   scope;
    phota_picture_t            picture;
    unsigned                   whole:1;     /* no picture, the pool alone */
} ngx_http_phota_mending_t;


static uint64_t ngx_http_phota_proven_name(const u_char *digest);
static ngx_uint_t ngx_http_phota_seen_lately(const u_char *digest);
static void ngx_http_phota_see(const u_char *digest);
static void ngx_http_phota_fetch_forget(void *data);
static void ngx_http_phota_fetch_thread(void *data, ngx_log_t *log);
static void ngx_http_phota_fetch_pool(MDB_txn *txn, const u_char *fingerprint);
static void ngx_http_phota_fetch_done(ngx_event_t *ev);
static void ngx_http_phota_prove_off(ngx_http_request_t *r, void *data);
static ngx_uint_t ngx_http_phota_still_sound(const phota_piece_t *piece,
    ngx_uint_t proven);
static void ngx_http_phota_prove_forget(void *data);
static void ngx_http_phota_prove_thread(void *data, ngx_log_t *log);
static void ngx_http_phota_prove_done(ngx_event_t *ev);
static void ngx_http_phota_prove_tell(ngx_http_phota_proof_t *proof,
    ngx_int_t rc);
static int ngx_http_phota_proof_mend(ngx_http_phota_job_t *job, MDB_txn *txn);
static void ngx_http_phota_proof_mended(ngx_http_phota_job_t *job);
static int ngx_http_phota_mend_run(ngx_http_phota_job_t *job, MDB_txn *txn);
static void ngx_http_phota_mend_done(ngx_http_phota_job_t *job);


static uint64_t               ngx_http_phota_proven[NGX_HTTP_PHOTA_PROVEN];
static ngx_http_phota_seen_t  ngx_http_phota_seen[NGX_HTTP_PHOTA_SEEN];
static ngx_uint_t             ngx_http_phota_mending;
static time_t                 ngx_http_phota_cold;


/* digests are evenly spread: their own bytes are the hash */

static uint64_t
ngx_http_phota_proven_name(const u_char *digest)
{
    uint64_t  name;

    ngx_memcpy(&name, digest, sizeof(name));

    return name ? name : 1;
}


/* a pool or a picture: it is looked at once more, so that it stays so */

static ngx_uint_t
ngx_http_phota_seen_lately(const u_char *digest)
{
    time_t                  lately;
    uint64_t                name;
    ngx_http_phota_seen_t  *seen;

    name = ngx_http_phota_proven_name(digest);
    seen = &ngx_http_phota_seen[name % NGX_HTTP_PHOTA_SEEN];

    if (ngx_http_phota_in_memory()) {
        return 1;
    }

    lately = (ngx_time() < ngx_http_phota_cold) ? NGX_HTTP_PHOTA_HASTY
                                                : NGX_HTTP_PHOTA_LATELY;

    if (seen->name != name || ngx_time() - seen->time >= lately) {
        return 0;
    }

    seen->time = ngx_time();

    return 1;
}


static void
ngx_http_phota_see(const u_char *digest)
{
    uint64_t                name;
    ngx_http_phota_seen_t  *seen;

    name = ngx_http_phota_proven_name(digest);
    seen = &ngx_http_phota_seen[name % NGX_HTTP_PHOTA_SEEN];

    seen->name = name;
    seen->time = ngx_time();
}


ngx_int_t
ngx_http_phota_fetch(ngx_http_request_t *r, const u_char *fingerprint,
    uint32_t scope, const u_char *digest, ngx_http_phota_proven_pt handler)
{
    ngx_http_cleanup_t     *cln;
    ngx_http_phota_look_t  *look;

    if (!ngx_http_phota_worker.cache_open
        || ngx_http_phota_seen_lately(fingerprint ? fingerprint : digest))
    {
        return NGX_OK;
    }

    look = ngx_calloc(sizeof(ngx_http_phota_look_t), r->connection->log);
    if (look == NULL) {
        return NGX_ERROR;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        ngx_free(look);
        return NGX_ERROR;
    }

    look->r = r;
    look->handler = handler;
    look->scope = scope;

    if (fingerprint) {
        look->pool = 1;
        ngx_memcpy(look->fingerprint, fingerprint, PHOTA_SHA256_LEN);

    } else {
        ngx_memcpy(look->digest, digest, PHOTA_SHA256_LEN);
    }

    look->task.ctx = look;
    look->task.handler = ngx_http_phota_fetch_thread;
    look->task.event.data = look;
    look->task.event.handler = ngx_http_phota_fetch_done;
    look->task.event.log = ngx_cycle->log;

    if (ngx_thread_task_post(ngx_http_phota_worker.conf->pool, &look->task)
        != NGX_OK)
    {
        ngx_free(look);
        return NGX_ERROR;
    }

    ngx_http_phota_worker.reading++;
    ngx_http_phota_job_begin();

    cln->handler = ngx_http_phota_fetch_forget;
    cln->data = look;

    return NGX_AGAIN;
}


static void
ngx_http_phota_fetch_forget(void *data)
{
    ngx_http_phota_look_t *look = data;

    look->r = NULL;
}


/* what it finds doesn't matter: the pages are in memory then */

static void
ngx_http_phota_fetch_thread(void *data, ngx_log_t *log)
{
    ngx_http_phota_look_t *look = data;

    MDB_txn          *txn;
    struct rusage     before, after;
    phota_picture_t   picture;

    if (phota_store_begin(&ngx_http_phota_worker.cache_store, 0, &txn, NULL)
        != PHOTA_OK)
    {
        return;
    }

    (void) getrusage(RUSAGE_THREAD, &before);

    if (look->pool) {
        ngx_http_phota_fetch_pool(txn, look->fingerprint);

    } else {
        (void) phota_cache_picture(&ngx_http_phota_worker.cache, txn,
                                   look->scope, look->digest, &picture);
    }

    (void) getrusage(RUSAGE_THREAD, &after);

    look->cold = (after.ru_majflt != before.ru_majflt);

    phota_store_abort(txn);
}


static void
ngx_http_phota_fetch_pool(MDB_txn *txn, const u_char *fingerprint)
{
    unsigned          i, k, n, damaged;
    phota_result_t   *results;
    phota_picture_t   picture;

    results = ngx_alloc(PHOTA_POOL_MAX * sizeof(phota_result_t),
                        ngx_cycle->log);
    if (results == NULL) {
        return;
    }

    if (phota_cache_pool(&ngx_http_phota_worker.cache, txn, fingerprint,
                         phota_now(), 0, results, &n, &damaged)
        == PHOTA_OK)
    {
        for (i = 0; i < n; i++) {
            for (k = 0; k < results[i].npictures; k++) {
                (void) phota_cache_picture(&ngx_http_phota_worker.cache, txn,
                                           results[i].scope,
                                           results[i].pictures[k].digest,
                                           &picture);
            }
        }
    }

    ngx_free(results);
}


static void
ngx_http_phota_fetch_done(ngx_event_t *ev)
{
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_phota_look_t     *look;
    ngx_http_phota_proven_pt   handler;

    look = ev->data;
    r = look->r;
    handler = look->handler;

    ngx_http_phota_worker.reading--;
    ngx_http_phota_job_end();

    ngx_http_phota_see(look->pool ? look->fingerprint : look->digest);

    if (look->cold) {
        ngx_http_phota_feel_cold();
    }

    if (r) {
        ngx_http_phota_prove_off(r, look);
    }

    ngx_free(look);

    if (r == NULL || ngx_http_phota_worker.exiting) {
        return;
    }

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    handler(r, NGX_OK);

    ngx_http_run_posted_requests(c);
}


void
ngx_http_phota_feel_cold(void)
{
    ngx_http_phota_cold = ngx_time() + NGX_HTTP_PHOTA_COLD;

    ngx_http_phota_memory_doubt();
}


/* the request needn't tell it any more that it ends */

static void
ngx_http_phota_prove_off(ngx_http_request_t *r, void *data)
{
    ngx_http_cleanup_t  *cln;

    for (cln = r->main->cleanup; cln; cln = cln->next) {
        if (cln->data == data) {
            cln->handler = NULL;
        }
    }
}


void
ngx_http_phota_doubt(const u_char *digest)
{
    uint64_t  name;

    name = ngx_http_phota_proven_name(digest);

    if (ngx_http_phota_proven[name % NGX_HTTP_PHOTA_PROVEN] == name) {
        ngx_http_phota_proven[name % NGX_HTTP_PHOTA_PROVEN] = 0;
    }

    ngx_http_phota_hot_doubt(digest);
}


void
ngx_http_phota_written(const phota_deposit_t *deposit)
{
    uint64_t    name;
    ngx_uint_t  i;

    for (i = 0; i < deposit->result.npictures; i++) {

        if (deposit->written & 1u << i) {
            name = ngx_http_phota_proven_name(
                       deposit->result.pictures[i].digest);

            ngx_http_phota_proven[name % NGX_HTTP_PHOTA_PROVEN] = name;
        }
    }
}


ngx_int_t
ngx_http_phota_prove(ngx_http_request_t *r, const phota_piece_t *pictures,
    ngx_uint_t n, const u_char *fingerprint, ngx_http_phota_proven_pt handler)
{
    uint64_t                 name, *slot;
    ngx_uint_t               i;
    ngx_http_cleanup_t      *cln;
    ngx_http_phota_claim_t  *claim;
    ngx_http_phota_proof_t  *proof;

    proof = NULL;

    for (i = 0; i < n; i++) {
        /* raw pictures, which are in no pool, are not sent from there */

        if (fingerprint
            && ngx_http_phota_hot_hold(r, pictures[i].scope,
                                       pictures[i].picture))
        {
            continue;
        }

        name = ngx_http_phota_proven_name(pictures[i].picture->digest);

        slot = &ngx_http_phota_proven[name % NGX_HTTP_PHOTA_PROVEN];

        if ((*slot == name
             || pictures[i].picture->length <= NGX_HTTP_PHOTA_SMALL)
            && ngx_http_phota_still_sound(&pictures[i], *slot == name))
        {
            *slot = name;
            continue;
        }

        if (proof == NULL) {
            proof = ngx_calloc(sizeof(ngx_http_phota_proof_t),
                               r->connection->log);
            if (proof == NULL) {
                return NGX_ERROR;
            }
        }

        claim = &proof->claims[proof->n++];

        claim->scope = pictures[i].scope;
        claim->picture = *pictures[i].picture;
    }

    if (proof == NULL) {
        return NGX_OK;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        ngx_free(proof);
        return NGX_ERROR;
    }

    proof->r = r;
    proof->handler = handler;

    if (fingerprint) {
        ngx_memcpy(proof->fingerprint, fingerprint, PHOTA_SHA256_LEN);
    }

    proof->task.ctx = proof;
    proof->task.handler = ngx_http_phota_prove_thread;
    proof->task.event.data = proof;
    proof->task.event.handler = ngx_http_phota_prove_done;
    proof->task.event.log = ngx_cycle->log;

    if (ngx_thread_task_post(ngx_http_phota_worker.conf->pool, &proof->task)
        != NGX_OK)
    {
        ngx_free(proof);
        return NGX_ERROR;
    }

    ngx_http_phota_worker.reading++;
    ngx_http_phota_job_begin();

    cln->handler = ngx_http_phota_prove_forget;
    cln->data = proof;

    return NGX_AGAIN;
}


/*
 * Once more by checksums, which takes some 70 us for a megabyte, before a byte
 * of the answer goes out: later it could only break off.  What isn't in memory
 * a thread has to read.  A picture of one chunk that nobody has proven yet is
 * held against its digest at once: a thread would cost more.
 */

static ngx_uint_t
ngx_http_phota_still_sound(const phota_piece_t *piece, ngx_uint_t proven)
{
    size_t         len;
    u_char         digest[PHOTA_SHA256_LEN];
    MDB_txn       *txn;
    uint32_t       index;
    ngx_uint_t     sound, seen;
    const u_char  *p;

    txn = ngx_http_phota_read_cache();
    if (txn == NULL) {
        return 0;
    }

    sound = 1;
    seen = (piece->picture->length <= NGX_HTTP_PHOTA_FEW_PAGES
            && ngx_http_phota_seen_lately(piece->picture->digest));

    for (index = 0;
         sound && phota_cache_chunk_len(piece->picture, index) != 0;
         index++)
    {
        sound = (phota_cache_chunk(&ngx_http_phota_worker.cache, txn,
                                   piece->scope, piece->picture, index, &p,
                                   &len)
                 == PHOTA_OK
                 && (seen || ngx_http_phota_resident(p, len))
                 && phota_cache_sound(piece->scope, piece->picture, index, p,
                                      len)
                    == PHOTA_OK
                 && (proven
                     || (phota_sha256(digest, p, len) == PHOTA_OK
                         && ngx_memcmp(digest, piece->picture->digest,
                                       PHOTA_SHA256_LEN)
                            == 0)));
    }

    ngx_http_phota_read_end(txn);

    if (sound && !seen) {
        ngx_http_phota_see(piece->picture->digest);
    }

    return sound;
}


/* the request ends while it is being read for */

static void
ngx_http_phota_prove_forget(void *data)
{
    ngx_http_phota_proof_t *proof = data;

    proof->r = NULL;
}


static void
ngx_http_phota_prove_thread(void *data, ngx_log_t *log)
{
    ngx_http_phota_proof_t *proof = data;

    ngx_http_phota_claim_t  *claim;

    for (proof->sound = 0; proof->sound < proof->n; proof->sound++) {
        claim = &proof->claims[proof->sound];

        proof->rc = phota_cache_prove(&ngx_http_phota_worker.cache,
                                      claim->scope, &claim->picture,
                                      &proof->err);

        if (proof->rc != PHOTA_OK) {
            return;
        }
    }
}


static void
ngx_http_phota_prove_done(ngx_event_t *ev)
{
    uint64_t                 name;
    ngx_uint_t               i;
    ngx_http_phota_ctx_t    *ctx;
    ngx_http_phota_proof_t  *proof;
    ngx_http_phota_about_t   about;

    proof = ev->data;

    ngx_http_phota_worker.reading--;
    ngx_http_phota_job_end();

    for (i = 0; i < proof->sound; i++) {
        name = ngx_http_phota_proven_name(proof->claims[i].picture.digest);
        ngx_http_phota_proven[name % NGX_HTTP_PHOTA_PROVEN] = name;
    }

    if (proof->sound == proof->n) {
        ngx_http_phota_prove_tell(proof, NGX_OK);
        return;
    }

    ctx = proof->r ? ngx_http_get_module_ctx(proof->r, ngx_http_phota_module)
                   : NULL;

    ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0,
                            ngx_http_phota_about(&about, ctx),
                            "a stored picture is damaged and not shown", "%s",
                            proof->err.text);

    if (proof->rc != PHOTA_DECLINED) {

        /* it couldn't be read, which doesn't say that it is damaged */

        ngx_http_phota_prove_tell(proof, NGX_ERROR);
        return;
    }

    proof->job.run = ngx_http_phota_proof_mend;
    proof->job.done = ngx_http_phota_proof_mended;

    ngx_http_phota_post(&ngx_http_phota_worker.cache_writer, &proof->job);
}


/* the proof is gone afterwards */

static void
ngx_http_phota_prove_tell(ngx_http_phota_proof_t *proof, ngx_int_t rc)
{
    ngx_uint_t                 i;
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_phota_proven_pt   handler;

    r = proof->r;
    handler = proof->handler;

    if (r) {
        ngx_http_phota_prove_off(r, proof);
    }

    if (rc == NGX_DECLINED) {
        for (i = 0; i < proof->n; i++) {
            ngx_http_phota_doubt(proof->claims[i].picture.digest);
        }
    }

    ngx_free(proof);

    if (r == NULL || ngx_http_phota_worker.exiting) {
        return;
    }

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    handler(r, rc);

    ngx_http_run_posted_requests(c);
}


static int
ngx_http_phota_proof_mend(ngx_http_phota_job_t *job, MDB_txn *txn)
{
    ngx_http_phota_claim_t  *claim;
    ngx_http_phota_proof_t  *proof;

    proof = (ngx_http_phota_proof_t *)
                ((u_char *) job - offsetof(ngx_http_phota_proof_t, job));

    claim = &proof->claims[proof->sound];

    return phota_cache_mend(&ngx_http_phota_worker.cache, proof->fingerprint,
                            claim->scope, &claim->picture, &job->err);
}


static void
ngx_http_phota_proof_mended(ngx_http_phota_job_t *job)
{
    ngx_http_phota_proof_t  *proof;

    proof = (ngx_http_phota_proof_t *)
                ((u_char *) job - offsetof(ngx_http_phota_proof_t, job));

    if (job->rc != PHOTA_OK) {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0, NULL,
                                "a damaged picture could not be removed", "%s",
                                job->err.text);
    }

    ngx_http_phota_prove_tell(proof, (job->rc == PHOTA_OK) ? NGX_DECLINED
                                                           : NGX_ABORT);
}


void
ngx_http_phota_mend_cache(const u_char *fingerprint, uint32_t scope,
    const phota_picture_t *picture)
{
    ngx_http_phota_mending_t  *mending;

    /* one at a time: what is still wrong then is found again */

    if (ngx_http_phota_mending || !ngx_http_phota_worker.cache_open) {
        return;
    }

    mending = ngx_calloc(sizeof(ngx_http_phota_mending_t), ngx_cycle->log);
    if (mending == NULL) {
        return;
    }

    if (fingerprint) {
        ngx_memcpy(mending->fingerprint, fingerprint, PHOTA_SHA256_LEN);
    }

    mending->scope = scope;

    if (picture) {
        mending->picture = *picture;
        ngx_http_phota_doubt(picture->digest);

    } else {
        mending->whole = 1;
    }

    mending->job.run = ngx_http_phota_mend_run;
    mending->job.done = ngx_http_phota_mend_done;

    ngx_http_phota_mending = 1;

    ngx_http_phota_post(&ngx_http_phota_worker.cache_writer, &mending->job);
}


static int
ngx_http_phota_mend_run(ngx_http_phota_job_t *job, MDB_txn *txn)
{
    ngx_http_phota_mending_t  *mending;

    mending = (ngx_http_phota_mending_t *)
                  ((u_char *) job - offsetof(ngx_http_phota_mending_t, job));

    return phota_cache_mend(&ngx_http_phota_worker.cache,
                            mending->fingerprint, mending->scope,
                            mending->whole ? NULL : &mending->picture,
                            &job->err);
}


static void
ngx_http_phota_mend_done(ngx_http_phota_job_t *job)
{
    ngx_http_phota_mending_t  *mending;

    mending = (ngx_http_phota_mending_t *)
                  ((u_char *) job - offsetof(ngx_http_phota_mending_t, job));

    ngx_http_phota_mending = 0;

    if (job->rc == PHOTA_OK) {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0, NULL,
                                "damaged results of the cache were removed",
                                NULL);

    } else {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0, NULL,
                                "damaged results of the cache could not be "
                                "removed", "%s", job->err.text);
    }

    ngx_free(mending);
}
