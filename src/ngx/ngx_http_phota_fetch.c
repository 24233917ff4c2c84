
/*
 * The pictures of a job that is done: fetched from the upstream's links while
 * they live, or taken from what it said, and stored as those of any purchase.
 * What can't be had was paid for all the same, and is told by those links.
 */


#include "ngx_http_phota_follow.h"


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
static void ngx_http_phota_follow_kept(phota_job_t *row, void *data);


void
ngx_http_phota_follow_fetch(ngx_http_phota_follow_t *f)
{
    if (phota_report_read(NGX_HTTP_OK, f->text, f->len, &f->report)
        != PHOTA_OK)
    {
        ngx_http_phota_follow_unfetched(f, "there is no memory");
        return;
    }

    f->reported = 1;

    if (f->report.result_len == 0
        || (f->report.nlinks
            && f->report.nlinks != f->report.delivery.outputs))
    {
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
    ngx_uint_t              level;
    ngx_http_phota_about_t  about;

    f->row.fetches++;

    level = (f->row.fetches < NGX_HTTP_PHOTA_FETCHES) ? NGX_LOG_NOTICE
                                                      : NGX_LOG_WARN;

    ngx_http_phota_say_some(level, ngx_cycle->log, 0,
                            ngx_http_phota_about_job(&about, &f->row),
                            "a job's picture could not be stored", "%s", why);

    ngx_http_phota_follow_write(f, ngx_http_phota_follow_missed);
}


static void
ngx_http_phota_follow_kept(phota_job_t *row, void *data)
{
    row->stored = 1;
    row->due = phota_now();
}
