
/*
 * Jobs are followed though nobody asks: by one worker, from the times that
 * stand in the books, so that a restart loses none.  An open job is polled; of
 * one that has ended the pictures are fetched into the cache and the tenant is
 * called back; in the end it is forgotten.  How many at once, how often and how
 * long is bounded.
 */


#include "ngx_http_phota_module.h"


#define NGX_HTTP_PHOTA_FOLLOWED   16        /* at once */
#define NGX_HTTP_PHOTA_POLL_MAX   120000    /* ms between two polls */
#define NGX_HTTP_PHOTA_FETCHES    4         /* tries to get its pictures */
#define NGX_HTTP_PHOTA_TRIES      12        /* of a delivery, in some days */
#define NGX_HTTP_PHOTA_LATER      10000     /* ms, when it can't be tried */


typedef struct {
    ngx_queue_t                 queue;
    phota_job_t                 row;
    phota_charge_t              charge;
    phota_tenant_t              tenant;
    u_char                     *text;       /* what the upstream said */
    size_t                      len;

    phota_report_t              report;     /* of the text */
    ngx_http_phota_spool_t     *files[PHOTA_PICTURES_MAX];
    ngx_uint_t                  nfiles;
    phota_assembly_t            assembly;
    phota_deposit_t             deposit;
    ngx_http_phota_job_t        store;

    void                      (*change)(phota_job_t *row, void *data);
    ngx_http_phota_job_t        write;

    ngx_uint_t                  answered;   /* the receiver's status */
    const char                 *trouble;

    unsigned                    known:1;    /* the tenant is */
    unsigned                    reported:1;
    unsigned                    remove:1;
    unsigned                    moved:1;    /* the cache is another now */
} ngx_http_phota_follow_t;


static void ngx_http_phota_follow_look(MDB_txn *txn, const phota_id_t *id,
    ngx_queue_t *found);
static ngx_int_t ngx_http_phota_follow_read(ngx_http_phota_follow_t *f,
    MDB_txn *txn, const phota_id_t *id);
static void ngx_http_phota_follow_step(ngx_http_phota_follow_t *f);
static void ngx_http_phota_follow_poll(ngx_http_phota_follow_t *f);
static ngx_int_t ngx_http_phota_follow_path(ngx_http_phota_follow_t *f,
    ngx_http_phota_errand_t *errand, ngx_str_t *uri);
static void ngx_http_phota_follow_polled(ngx_http_phota_errand_t *errand);
static void ngx_http_phota_follow_heard(ngx_http_phota_news_t *news);
static void ngx_http_phota_follow_fetch(ngx_http_phota_follow_t *f);
static void ngx_http_phota_follow_next(ngx_http_phota_follow_t *f);
static void ngx_http_phota_follow_fetched(ngx_http_phota_errand_t *errand);
static void ngx_http_phota_follow_store(ngx_http_phota_follow_t *f);
static void ngx_http_phota_follow_deposit(ngx_http_phota_follow_t *f);
static int ngx_http_phota_follow_store_run(ngx_http_phota_job_t *job,
    MDB_txn *txn);
static int ngx_http_phota_follow_slice(void *ctx, u_char *buf, size_t len,
    uint64_t offset);
static void ngx_http_phota_follow_stored(ngx_http_phota_job_t *job);
static void ngx_http_phota_follow_unfetched(ngx_http_phota_follow_t *f,
    const char *why);
static void ngx_http_phota_follow_deliver(ngx_http_phota_follow_t *f);
static ngx_int_t ngx_http_phota_follow_letter(ngx_http_phota_follow_t *f,
    ngx_http_phota_errand_t *errand, ngx_http_phota_target_t *target);
static ngx_int_t ngx_http_phota_follow_header(
    ngx_http_phota_errand_t *errand, const char *name, const char *value);
static void ngx_http_phota_follow_delivered(ngx_http_phota_errand_t *errand);
static void ngx_http_phota_follow_write(ngx_http_phota_follow_t *f,
    void (*change)(phota_job_t *row, void *data));
static int ngx_http_phota_follow_write_run(ngx_http_phota_job_t *job,
    MDB_txn *txn);
static void ngx_http_phota_follow_written(ngx_http_phota_job_t *job);
static void ngx_http_phota_follow_later(phota_job_t *row, void *data);
static void ngx_http_phota_follow_rest(phota_job_t *row, void *data);
static void ngx_http_phota_follow_kept(phota_job_t *row, void *data);
static void ngx_http_phota_follow_missed(phota_job_t *row, void *data);
static void ngx_http_phota_follow_told(phota_job_t *row, void *data);
static uint64_t ngx_http_phota_follow_delay(ngx_uint_t n, uint64_t first,
    uint64_t most);
static void ngx_http_phota_follow_free(ngx_http_phota_follow_t *f);


static ngx_queue_t  ngx_http_phota_followed;
static ngx_uint_t   ngx_http_phota_nfollowed;


void
ngx_http_phota_follow(void)
{
    MDB_txn                  *txn;
    unsigned                  i, n;
    phota_id_t                ids[NGX_HTTP_PHOTA_FOLLOWED];
    ngx_queue_t               found, *q;
    ngx_http_phota_follow_t  *f;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (ngx_worker != 0 || !worker->books_open || worker->directory == NULL
        || worker->exiting || ngx_exiting || ngx_terminate)
    {
        return;
    }

    if (ngx_http_phota_followed.next == NULL) {
        ngx_queue_init(&ngx_http_phota_followed);
    }

    if (ngx_http_phota_nfollowed >= NGX_HTTP_PHOTA_FOLLOWED) {
        return;
    }

    txn = ngx_http_phota_read_books();
    if (txn == NULL) {
        return;
    }

    ngx_queue_init(&found);

    n = NGX_HTTP_PHOTA_FOLLOWED;

    if (phota_jobs_due(&worker->jobs, txn, phota_now(), ids, &n)
        == PHOTA_OK)
    {
        for (i = 0; i < n; i++) {
            ngx_http_phota_follow_look(txn, &ids[i], &found);
        }
    }

    ngx_http_phota_read_end(txn);

    while (!ngx_queue_empty(&found)) {
        q = ngx_queue_head(&found);
        ngx_queue_remove(q);

        f = ngx_queue_data(q, ngx_http_phota_follow_t, queue);

        ngx_queue_insert_tail(&ngx_http_phota_followed, &f->queue);
        ngx_http_phota_nfollowed++;

        ngx_http_phota_follow_step(f);
    }
}


/* what is under way already is due until it is written */

static void
ngx_http_phota_follow_look(MDB_txn *txn, const phota_id_t *id,
    ngx_queue_t *found)
{
    ngx_queue_t              *q;
    ngx_http_phota_follow_t  *f;

    for (q = ngx_queue_head(&ngx_http_phota_followed);
         q != ngx_queue_sentinel(&ngx_http_phota_followed);
         q = ngx_queue_next(q))
    {
        f = ngx_queue_data(q, ngx_http_phota_follow_t, queue);

        if (ngx_memcmp(&f->row.charge, id, sizeof(phota_id_t)) == 0) {
            return;
        }
    }

    f = ngx_calloc(sizeof(ngx_http_phota_follow_t), ngx_cycle->log);
    if (f == NULL) {
        return;
    }

    if (ngx_http_phota_follow_read(f, txn, id) != NGX_OK) {
        ngx_http_phota_follow_free(f);
        return;
    }

    ngx_queue_insert_tail(found, &f->queue);
}


static ngx_int_t
ngx_http_phota_follow_read(ngx_http_phota_follow_t *f, MDB_txn *txn,
    const phota_id_t *id)
{
    size_t                    len;
    const u_char             *text;
    const phota_tenant_t     *tenant;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (phota_job_get(&worker->jobs, txn, id, &f->row, NULL) != PHOTA_OK) {
        return NGX_ERROR;
    }

    if (phota_directory_tenant(worker->directory, f->row.tenant, &tenant)
        == PHOTA_OK)
    {
        f->tenant = *tenant;
        f->known = 1;
    }

    if (f->row.state == PHOTA_JOB_OPEN) {
        return NGX_OK;
    }

    /* archived charges have no pictures to be stored any more */

    if (phota_ledger_get(&worker->ledger, txn, id, &f->charge) != PHOTA_OK) {
        f->row.storable = 0;
    }

    if (phota_job_text(&worker->jobs, txn, id, &text, &len) != PHOTA_OK) {
        return NGX_OK;
    }

    f->text = ngx_alloc(len, ngx_cycle->log);
    if (f->text == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(f->text, text, len);
    f->len = len;

    return NGX_OK;
}


static void
ngx_http_phota_follow_step(ngx_http_phota_follow_t *f)
{
    phota_job_t  *row;
    ngx_uint_t    wanted;

    row = &f->row;

    if (!f->known) {
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_later);
        return;
    }

    if (row->state == PHOTA_JOB_OPEN) {
        ngx_http_phota_follow_poll(f);
        return;
    }

    wanted = (row->storable && !row->stored && row->state == PHOTA_JOB_DONE
              && row->fetches < NGX_HTTP_PHOTA_FETCHES);

    if (f->text == NULL && row->state == PHOTA_JOB_DONE
        && row->fetches < NGX_HTTP_PHOTA_FETCHES
        && (wanted || row->delivery == PHOTA_DELIVERY_WAITING))
    {
        /* a callback has ended it: what a poll says of it is wanted */

        row->fetches++;
        ngx_http_phota_follow_poll(f);
        return;
    }

    if (wanted && f->text && ngx_http_phota_worker.cache_open) {
        ngx_http_phota_follow_fetch(f);
        return;
    }

    if (row->delivery == PHOTA_DELIVERY_WAITING) {
        ngx_http_phota_follow_deliver(f);
        return;
    }

    if (phota_now() >= row->ended + PHOTA_JOB_KEPT) {
        f->remove = 1;
    }

    ngx_http_phota_follow_write(f, ngx_http_phota_follow_rest);
}


/* --- what has become of it */

static void
ngx_http_phota_follow_poll(ngx_http_phota_follow_t *f)
{
    ngx_http_phota_target_t   target;
    ngx_http_phota_errand_t  *errand;

    errand = ngx_http_phota_errand_create(f->row.provider, f->row.door);

    if (errand == NULL) {
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_later);
        return;
    }

    errand->done = ngx_http_phota_follow_polled;
    errand->data = f;
    errand->limit = PHOTA_REPORT_MAX;
    errand->ctx->tenant = f->tenant;

    ngx_memzero(&target, sizeof(ngx_http_phota_target_t));

    target.method = NGX_HTTP_GET;
    target.method_name = ngx_http_core_get_method;

    if (ngx_http_phota_follow_path(f, errand, &target.uri) != NGX_OK) {
        ngx_http_phota_errand_free(errand);
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_later);
        return;
    }

    if (ngx_http_phota_errand_go(errand, &target) != NGX_AGAIN) {
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_later);
    }
}


static ngx_int_t
ngx_http_phota_follow_path(ngx_http_phota_follow_t *f,
    ngx_http_phota_errand_t *errand, ngx_str_t *uri)
{
    u_char                     *path, *p;
    size_t                      len;
    unsigned                    i;
    phota_route_e               id;
    const phota_route_t        *route;
    ngx_http_phota_loc_conf_t  *plcf;

    id = (f->row.kind == PHOTA_JOB_TRAINING) ? PHOTA_ROUTE_PROFILE_STATUS
                                             : PHOTA_ROUTE_JOB;

    for (i = 0; i < phota_nroutes; i++) {
        route = &phota_routes[i];

        if (route->id != id || route->provider != f->row.provider) {
            continue;
        }

        plcf = ngx_http_get_module_loc_conf(errand->r, ngx_http_phota_module);

        len = route->before.len + ngx_strlen(f->row.upstream)
              + route->after.len;

        path = ngx_pnalloc(errand->r->pool, len);
        if (path == NULL) {
            return NGX_ERROR;
        }

        p = ngx_cpymem(path, route->before.data, route->before.len);
        p = ngx_cpymem(p, f->row.upstream, ngx_strlen(f->row.upstream));
        ngx_memcpy(p, route->after.data, route->after.len);

        return ngx_http_phota_inside(errand->r->pool, &plcf->pass, path, len,
                                     uri);
    }

    return NGX_ERROR;
}


static void
ngx_http_phota_follow_polled(ngx_http_phota_errand_t *errand)
{
    uint64_t                    now, limit, first;
    ngx_http_phota_news_t      *news;
    ngx_http_phota_follow_t    *f;
    ngx_http_phota_purchase_t  *p;

    f = errand->data;
    p = errand->purchase;

    news = ngx_calloc(sizeof(ngx_http_phota_news_t), ngx_cycle->log);

    if (news == NULL) {
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_later);
        return;
    }

    news->done = ngx_http_phota_follow_heard;
    news->data = f;
    news->charge = f->row.charge;

    if (errand->complete && !p->lost && p->key_given) {
        news->status = p->status;
        news->spool = p->spool;

        ngx_http_phota_spool_hold(p->spool);
    }

    now = phota_now();
    limit = (uint64_t) ngx_http_phota_worker.conf->job_limit * 1000;
    first = (uint64_t) ngx_http_phota_worker.conf->job_poll * 1000;

    news->overdue = (now > f->row.submitted + limit);
    news->delay = ngx_http_phota_follow_delay(f->row.polls, first,
                                              ngx_max(first,
                                                  NGX_HTTP_PHOTA_POLL_MAX));

    ngx_http_phota_news_post(news);
}


static void
ngx_http_phota_follow_heard(ngx_http_phota_news_t *news)
{
    ngx_http_phota_follow_t  *f;

    f = news->data;

    if (news->job.rc == PHOTA_OK && !news->ended
        && f->row.state != PHOTA_JOB_OPEN && !ngx_http_phota_worker.exiting)
    {
        /* its text was wanted: whether it was had, the row tells */

        ngx_http_phota_news_free(news);
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_missed);
        return;
    }

    if (news->job.rc == PHOTA_DECLINED || news->job.rc == PHOTA_OK
        || ngx_http_phota_worker.exiting)
    {
        ngx_http_phota_news_free(news);
        ngx_http_phota_follow_free(f);
        return;
    }

    ngx_http_phota_news_free(news);
    ngx_http_phota_follow_write(f, ngx_http_phota_follow_later);
}


/* --- its pictures */

static void
ngx_http_phota_follow_fetch(ngx_http_phota_follow_t *f)
{
    if (phota_report_read(NGX_HTTP_OK, f->text, f->len, &f->report)
        != PHOTA_OK)
    {
        ngx_http_phota_follow_unfetched(f, "there is no memory");
        return;
    }

    f->reported = 1;

    if (f->report.result_len == 0) {
        f->row.fetches = NGX_HTTP_PHOTA_FETCHES;
        ngx_http_phota_follow_unfetched(f, "the result can't be read");
        return;
    }

    if (f->report.nlinks == 0) {
        ngx_http_phota_follow_store(f);
        return;
    }

    if (phota_assembly_init(&f->assembly, f->text + f->report.result_at,
                            f->report.result_len)
        != PHOTA_OK)
    {
        ngx_http_phota_follow_unfetched(f, "the result can't be read");
        return;
    }

    ngx_http_phota_follow_next(f);
}


static void
ngx_http_phota_follow_next(ngx_http_phota_follow_t *f)
{
    const phota_str_t          *link;
    ngx_http_phota_target_t     target;
    ngx_http_phota_errand_t    *errand;
    ngx_http_phota_loc_conf_t  *plcf;

    if (f->nfiles == f->report.nlinks) {
        ngx_http_phota_follow_store(f);
        return;
    }

    errand = ngx_http_phota_errand_create(f->row.provider, f->row.door);

    if (errand == NULL) {
        ngx_http_phota_follow_unfetched(f, "there is no door for it");
        return;
    }

    plcf = ngx_http_get_module_loc_conf(errand->r, ngx_http_phota_module);

    if (plcf->outbound.len == 0) {
        ngx_http_phota_errand_free(errand);

        f->row.fetches = NGX_HTTP_PHOTA_FETCHES;
        ngx_http_phota_follow_unfetched(f, "there is no phota_outbound");
        return;
    }

    link = &f->report.links[f->nfiles];

    errand->done = ngx_http_phota_follow_fetched;
    errand->data = f;
    errand->outbound = 1;
    errand->limit = PHOTA_REPORT_MAX;
    errand->ctx->tenant = f->tenant;
    errand->url.data = (u_char *) link->data;
    errand->url.len = link->len;

    ngx_memzero(&target, sizeof(ngx_http_phota_target_t));

    target.method = NGX_HTTP_GET;
    target.method_name = ngx_http_core_get_method;

    if (ngx_http_phota_outbound_go(errand, &target) != NGX_AGAIN) {
        ngx_http_phota_follow_unfetched(f, "it could not be asked for");
    }
}


static void
ngx_http_phota_follow_fetched(ngx_http_phota_errand_t *errand)
{
    ngx_http_phota_follow_t    *f;
    ngx_http_phota_purchase_t  *p;

    f = errand->data;
    p = errand->purchase;

    if (!errand->complete || p->status != NGX_HTTP_OK || p->lost
        || ngx_http_phota_spool_size(p->spool) == 0)
    {
        ngx_http_phota_follow_unfetched(f, errand->trouble ? errand->trouble
                                        : "its host did not give it");
        return;
    }

    f->files[f->nfiles++] = p->spool;
    ngx_http_phota_spool_hold(p->spool);

    if (phota_assembly_add(&f->assembly, ngx_http_phota_spool_read, p->spool,
                           ngx_http_phota_spool_size(p->spool))
        != PHOTA_OK)
    {
        ngx_http_phota_follow_unfetched(f, "there are too many");
        return;
    }

    ngx_http_phota_follow_next(f);
}


static void
ngx_http_phota_follow_store(ngx_http_phota_follow_t *f)
{
    if (!ngx_http_phota_worker.cache_open) {
        ngx_http_phota_follow_unfetched(f, "the cache is closed");
        return;
    }

    ngx_http_phota_follow_deposit(f);

    f->store.run = ngx_http_phota_follow_store_run;
    f->store.done = ngx_http_phota_follow_stored;

    ngx_http_phota_post(&ngx_http_phota_worker.cache_writer, &f->store);
}


static void
ngx_http_phota_follow_deposit(ngx_http_phota_follow_t *f)
{
    uint64_t         now;
    phota_job_t     *row;
    phota_result_t  *result;

    now = phota_now();
    row = &f->row;
    result = &f->deposit.result;

    result->id = row->charge;
    result->stored = now;
    result->expires = now + row->valid * 1000;
    result->tenant = row->tenant;
    result->scope = row->scope;
    result->status = NGX_HTTP_OK;
    result->identity_low = f->charge.identity_low;
    result->identity_high = f->charge.identity_high;
    result->cost = f->charge.cost;
    result->operation = row->operation;
    result->nmarks = row->nmarks;
    result->unmarked = row->unmarked;

    if (row->links) {
        result->linked = now
                 + (uint64_t) ngx_http_phota_worker.conf->results_valid * 1000
                 + NGX_HTTP_PHOTA_LINK_SPARE;
    }

    ngx_memcpy(result->tag, row->tag, sizeof(result->tag));
    ngx_memcpy(result->request_id, f->charge.request_id,
               sizeof(result->request_id));
    ngx_memcpy(result->marks, row->marks, sizeof(result->marks));
    ngx_memcpy(result->origin, row->fingerprint, PHOTA_SHA256_LEN);
    ngx_memcpy(f->deposit.fingerprint, row->fingerprint, PHOTA_SHA256_LEN);

    f->deposit.since = row->since;
}


static int
ngx_http_phota_follow_store_run(ngx_http_phota_job_t *job, MDB_txn *txn)
{
    int                       rc;
    void                     *ctx;
    uint64_t                  length;
    phota_read_pt             read;
    phota_answer_e            kind;
    phota_unpacked_t         *unpacked;
    ngx_http_phota_follow_t  *f;
    ngx_http_phota_worker_t  *worker;

    f = (ngx_http_phota_follow_t *)
            ((u_char *) job - offsetof(ngx_http_phota_follow_t, store));

    worker = &ngx_http_phota_worker;
    kind = phota_operations[f->row.operation].answer;

    if (f->nfiles) {
        read = phota_assembly_read;
        ctx = &f->assembly;
        length = phota_assembly_length(&f->assembly);

    } else {
        read = ngx_http_phota_follow_slice;
        ctx = f;
        length = f->report.result_len;
    }

    unpacked = ngx_alloc(sizeof(phota_unpacked_t), ngx_cycle->log);
    if (unpacked == NULL) {
        phota_error(&job->err, "no memory");
        return PHOTA_ERROR;
    }

    rc = phota_unpack(kind, read, ctx, length, unpacked, &job->err);

    if (rc == PHOTA_OK) {
        rc = phota_cache_store(&worker->cache, &f->deposit, 1, 0, unpacked,
                               read, ctx, &job->err);
    }

    ngx_free(unpacked);

    if (rc == PHOTA_OK && phota_store_moved(&worker->cache_store)) {
        f->moved = 1;
        phota_error(&job->err, "the cache was replaced meanwhile");
        return PHOTA_ERROR;
    }

    return rc;
}


static int
ngx_http_phota_follow_slice(void *ctx, u_char *buf, size_t len,
    uint64_t offset)
{
    ngx_http_phota_follow_t *f = ctx;

    if (offset > f->report.result_len
        || len > f->report.result_len - offset)
    {
        return PHOTA_ERROR;
    }

    ngx_memcpy(buf, f->text + f->report.result_at + offset, len);

    return PHOTA_OK;
}


static void
ngx_http_phota_follow_stored(ngx_http_phota_job_t *job)
{
    ngx_http_phota_follow_t  *f;

    f = (ngx_http_phota_follow_t *)
            ((u_char *) job - offsetof(ngx_http_phota_follow_t, store));

    if (f->moved && !ngx_http_phota_worker.exiting) {
        ngx_http_phota_cache_moved();
    }

    if (job->rc == PHOTA_OK) {
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_kept);
        return;
    }

    ngx_http_phota_follow_unfetched(f, job->err.text);
}


/* it was paid for, and is told by the upstream's own links while they live */

static void
ngx_http_phota_follow_unfetched(ngx_http_phota_follow_t *f, const char *why)
{
    char        id[PHOTA_ID_TEXT];
    ngx_uint_t  level;

    f->row.fetches++;

    phota_id_format(id, &f->row.charge);

    level = (f->row.fetches < NGX_HTTP_PHOTA_FETCHES) ? NGX_LOG_NOTICE
                                                      : NGX_LOG_WARN;

    ngx_log_error(level, ngx_cycle->log, 0,
                  "phota: a picture of job %s could not be stored: %s", id,
                  why);

    ngx_http_phota_follow_write(f, ngx_http_phota_follow_missed);
}


/* --- the tenant's callback */

static void
ngx_http_phota_follow_deliver(ngx_http_phota_follow_t *f)
{
    size_t                      len;
    ngx_http_phota_target_t     target;
    ngx_http_phota_errand_t    *errand;
    ngx_http_phota_loc_conf_t  *plcf;

    errand = ngx_http_phota_errand_create(f->row.provider, f->row.door);

    if (errand == NULL) {
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_later);
        return;
    }

    plcf = ngx_http_get_module_loc_conf(errand->r, ngx_http_phota_module);
    len = ngx_strlen(f->row.callback);

    errand->done = ngx_http_phota_follow_delivered;
    errand->data = f;
    errand->outbound = 1;
    errand->limit = 65536;
    errand->ctx->tenant = f->tenant;

    ngx_memzero(&target, sizeof(ngx_http_phota_target_t));

    errand->url.data = ngx_pnalloc(errand->r->pool, len);

    if (errand->url.data == NULL || plcf->outbound.len == 0
        || ngx_http_phota_follow_letter(f, errand, &target) != NGX_OK)
    {
        f->trouble = plcf->outbound.len ? "it could not be written"
                                        : "there is no phota_outbound";
        ngx_http_phota_errand_free(errand);
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_told);
        return;
    }

    errand->url.len = len;
    ngx_memcpy(errand->url.data, f->row.callback, len);

    if (ngx_http_phota_outbound_go(errand, &target) != NGX_AGAIN) {
        f->trouble = "it could not be sent";
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_told);
    }
}


/* what a poll would tell, signed with the tenant's own secret */

static ngx_int_t
ngx_http_phota_follow_letter(ngx_http_phota_follow_t *f,
    ngx_http_phota_errand_t *errand, ngx_http_phota_target_t *target)
{
    int                           rc;
    char                          signature[PHOTA_SIGNATURE_TEXT];
    char                          secret[PHOTA_ALIAS_SECRET];
    u_char                       *out, *last;
    size_t                        len;
    ngx_buf_t                    *b;
    ngx_chain_t                  *cl;
    char                          name[PHOTA_JOB_NAME];
    phota_ticket_t                ticket;
    ngx_http_request_body_t      *body;
    ngx_http_phota_main_conf_t   *pmcf;

    pmcf = ngx_http_phota_worker.conf;
    out = NULL;
    rc = PHOTA_INVALID;

    ngx_memzero(&ticket, sizeof(phota_ticket_t));

    ticket.bought = 1;
    ticket.charge = f->row.charge;

    if (phota_ticket_format(&pmcf->aliases, &ticket, name) != PHOTA_OK) {
        return NGX_ERROR;
    }

    if (f->text) {
        rc = ngx_http_phota_tell_receiver(&f->row, &f->tenant, f->text,
                                          f->len, &out, &len);
    }

    if (rc == PHOTA_ERROR) {
        return NGX_ERROR;
    }

    if (rc != PHOTA_OK) {
        len = sizeof("{\"job_id\":\"\",\"status\":\"\"}") + PHOTA_JOB_NAME
              + 16;

        out = ngx_alloc(len, ngx_cycle->log);
        if (out == NULL) {
            return NGX_ERROR;
        }

        last = ngx_slprintf(out, out + len,
                            "{\"job_id\":\"%s\",\"status\":\"%s\"}", name,
                            f->row.state == PHOTA_JOB_DONE ? "completed"
                            : f->row.state == PHOTA_JOB_FAILED ? "failed"
                                                               : "expired");
        len = last - out;
    }

    b = ngx_create_temp_buf(errand->r->pool, len);
    cl = ngx_alloc_chain_link(errand->r->pool);
    body = ngx_pcalloc(errand->r->pool, sizeof(ngx_http_request_body_t));

    if (b == NULL || cl == NULL || body == NULL) {
        ngx_free(out);
        return NGX_ERROR;
    }

    b->last = ngx_cpymem(b->last, out, len);
    b->last_buf = 1;

    ngx_free(out);

    cl->buf = b;
    cl->next = NULL;
    body->bufs = cl;

    rc = phota_alias_secret(&pmcf->aliases, f->row.tenant, secret);

    if (rc == PHOTA_OK) {
        rc = phota_sign(secret, phota_now() / 1000, b->pos, len, signature);
    }

    phota_cleanse(secret, sizeof(secret));

    target->method = NGX_HTTP_POST;
    ngx_str_set(&target->method_name, "POST");
    target->body = body;
    target->length = len;

    if (rc != PHOTA_OK
        || ngx_http_phota_follow_header(errand, "Content-Type",
                                        "application/json")
           != NGX_OK
        || ngx_http_phota_follow_header(errand, "User-Agent", "nginx-phota")
           != NGX_OK
        || ngx_http_phota_follow_header(errand, "X-Phota-Job-Id", name)
           != NGX_OK
        || ngx_http_phota_follow_header(errand, "X-Phota-Signature",
                                        signature)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_follow_header(ngx_http_phota_errand_t *errand,
    const char *name, const char *value)
{
    size_t            len;
    ngx_pool_t       *pool;
    ngx_table_elt_t  *h;

    pool = errand->r->pool;
    len = ngx_strlen(value);

    h = ngx_list_push(&errand->r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->key.len = ngx_strlen(name);
    h->key.data = (u_char *) name;
    h->value.len = len;
    h->value.data = ngx_pnalloc(pool, len);
    h->lowcase_key = ngx_pnalloc(pool, h->key.len);

    if (h->value.data == NULL || h->lowcase_key == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(h->value.data, value, len);
    h->hash = ngx_hash_strlow(h->lowcase_key, h->key.data, h->key.len);

    return NGX_OK;
}


static void
ngx_http_phota_follow_delivered(ngx_http_phota_errand_t *errand)
{
    ngx_http_phota_follow_t  *f;

    f = errand->data;

    /* who has said that it is well has it, whatever becomes of the rest */

    f->answered = errand->purchase ? errand->purchase->status : 0;

    if (f->answered == 0) {
        f->trouble = errand->trouble ? errand->trouble
                                     : "the receiver did not answer";

    } else if (f->answered < 200 || f->answered >= 300) {
        f->trouble = "the receiver refused it";
    }

    ngx_http_phota_follow_write(f, ngx_http_phota_follow_told);
}


/* --- the books */

static void
ngx_http_phota_follow_write(ngx_http_phota_follow_t *f,
    void (*change)(phota_job_t *row, void *data))
{
    if (ngx_http_phota_worker.exiting) {
        ngx_http_phota_follow_free(f);
        return;
    }

    f->change = change;
    f->write.run = ngx_http_phota_follow_write_run;
    f->write.done = ngx_http_phota_follow_written;

    ngx_http_phota_post(&ngx_http_phota_worker.books_writer, &f->write);
}


/* on the row as it is now: others may have written it meanwhile */

static int
ngx_http_phota_follow_write_run(ngx_http_phota_job_t *job, MDB_txn *txn)
{
    int                       rc;
    phota_job_t               row;
    phota_jobs_t             *jobs;
    ngx_http_phota_follow_t  *f;

    f = (ngx_http_phota_follow_t *)
            ((u_char *) job - offsetof(ngx_http_phota_follow_t, write));

    jobs = &ngx_http_phota_worker.jobs;

    if (f->remove) {
        rc = phota_job_remove(jobs, txn, &f->row.charge, &job->err);
        return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
    }

    rc = phota_job_get(jobs, txn, &f->row.charge, &row, &job->err);

    if (rc != PHOTA_OK) {
        return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
    }

    f->change(&row, f);

    return phota_job_put(jobs, txn, &row, NULL, 0, &job->err);
}


static void
ngx_http_phota_follow_written(ngx_http_phota_job_t *job)
{
    ngx_http_phota_follow_t  *f;

    f = (ngx_http_phota_follow_t *)
            ((u_char *) job - offsetof(ngx_http_phota_follow_t, write));

    if (job->rc != PHOTA_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "phota: a job could not be written, it is done again: "
                      "%s", job->err.text);
    }

    ngx_http_phota_follow_free(f);
}


static void
ngx_http_phota_follow_later(phota_job_t *row, void *data)
{
    row->due = phota_now() + NGX_HTTP_PHOTA_LATER;
}


static void
ngx_http_phota_follow_rest(phota_job_t *row, void *data)
{
    row->due = (row->delivery == PHOTA_DELIVERY_WAITING)
               ? phota_now() : row->ended + PHOTA_JOB_KEPT;
}


static void
ngx_http_phota_follow_kept(phota_job_t *row, void *data)
{
    row->stored = 1;
    row->due = phota_now();
}


static void
ngx_http_phota_follow_missed(phota_job_t *row, void *data)
{
    ngx_http_phota_follow_t *f = data;

    row->fetches = f->row.fetches;
    row->due = phota_now();

    if (f->nfiles < f->report.nlinks) {
        row->due += ngx_http_phota_follow_delay(row->fetches, 1000,
                                                NGX_HTTP_PHOTA_POLL_MAX);
    }
}


static void
ngx_http_phota_follow_told(phota_job_t *row, void *data)
{
    ngx_http_phota_follow_t *f = data;

    uint64_t  now;

    now = phota_now();

    row->tries++;
    row->answered = f->answered;
    row->due = now;

    if (f->trouble == NULL) {
        row->delivery = PHOTA_DELIVERY_DONE;
        row->trouble[0] = '\0';
        return;
    }

    (void) snprintf(row->trouble, sizeof(row->trouble), "%s", f->trouble);

    if (row->tries >= NGX_HTTP_PHOTA_TRIES) {
        row->delivery = PHOTA_DELIVERY_GIVEN_UP;
        return;
    }

    /* 5 s, then twice as long each time, 12 h at the most */

    row->due = now + ngx_http_phota_follow_delay(2 * (row->tries - 1), 5000,
                                                 43200000);
}


/* half as long again with each of n */

static uint64_t
ngx_http_phota_follow_delay(ngx_uint_t n, uint64_t first, uint64_t most)
{
    uint64_t  delay;

    delay = first;

    while (n-- && delay < most) {
        delay += delay / 2;
    }

    return ngx_min(delay, most);
}


static void
ngx_http_phota_follow_free(ngx_http_phota_follow_t *f)
{
    ngx_uint_t  i;

    if (f->queue.next) {
        ngx_queue_remove(&f->queue);
        ngx_http_phota_nfollowed--;
    }

    for (i = 0; i < f->nfiles; i++) {
        ngx_http_phota_spool_free(f->files[i]);
    }

    if (f->reported) {
        phota_report_free(&f->report);
    }

    phota_assembly_free(&f->assembly);

    if (f->text) {
        ngx_free(f->text);
    }

    ngx_free(f);
}
