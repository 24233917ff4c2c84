
/*
 * What a purchase leaves in the cache: its pictures, in the pool of its
 * fingerprint and, where the request had an Idempotency-Key, under the name of
 * its charge.  And the body of a call that differs from the client's: a request
 * for links asks the upstream for the bytes, since its links would die with it;
 * one for more pictures than there are asks for the rest.
 */


#include "ngx_http_phota_module.h"


/* bytes of what is put in the place of a value: a URL of ours at the most */

#define NGX_HTTP_PHOTA_EDIT_MAX  (PHOTA_URL_MAX + PHOTA_CALLBACK_NAME + 2)

/* bytes of answers that are stored in one transaction */

#define NGX_HTTP_PHOTA_STORE_SIZE  (16 * 1024 * 1024)


#define ngx_http_phota_stored_by(job)                                         \
    ((ngx_http_phota_purchase_t *)                                            \
         ((u_char *) (job) - offsetof(ngx_http_phota_purchase_t, store)))


typedef struct {
    phota_spot_t               spot;
    ngx_str_t                  text;
} ngx_http_phota_edit_t;


typedef struct {
    ngx_http_phota_edit_t      edits[PHOTA_SPOT_MAX];
    ngx_uint_t                 n;
} ngx_http_phota_edits_t;


static ngx_int_t ngx_http_phota_deposit(ngx_http_phota_purchase_t *p);
static void ngx_http_phota_store_all(ngx_http_phota_job_t **jobs,
    ngx_uint_t n);
static void ngx_http_phota_store_some(ngx_http_phota_job_t **jobs,
    ngx_uint_t n);
static void ngx_http_phota_store_done(ngx_http_phota_job_t *job);
static ngx_int_t ngx_http_phota_edits(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_phota_edits_t *edits);
static ngx_int_t ngx_http_phota_edit_tag(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_phota_edits_t *edits);
static ngx_int_t ngx_http_phota_edit_callback(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_phota_edits_t *edits);
static ngx_int_t ngx_http_phota_edit(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_phota_edits_t *edits,
    phota_spot_e spot, const char *fmt, ...);
static ngx_chain_t **ngx_http_phota_cut(ngx_pool_t *pool, ngx_chain_t *in,
    uint64_t from, uint64_t to, ngx_chain_t **last);
static ngx_chain_t **ngx_http_phota_paste(ngx_pool_t *pool, ngx_str_t *text,
    ngx_chain_t **last);


void
ngx_http_phota_store(ngx_http_phota_purchase_t *p)
{
    /* a profile stands in the books, and is no picture */

    if ((!p->storable && !p->keyed) || p->lost || p->delivery.profile[0]
        || !ngx_http_phota_worker.cache_open)
    {
        return;
    }

    if (ngx_http_phota_deposit(p) != NGX_OK) {
        return;
    }

    p->store.run_all = ngx_http_phota_store_all;
    p->store.done = ngx_http_phota_store_done;

    p->refs++;
    p->pending++;

    ngx_http_phota_post(&ngx_http_phota_worker.cache_writer, &p->store);
}


/* the one that names the charge comes first: by it a crash is made good */

static ngx_int_t
ngx_http_phota_deposit(ngx_http_phota_purchase_t *p)
{
    uint64_t          now;
    phota_result_t   *result;
    phota_deposit_t  *deposit, *copy;

    /* freed with the purchase */

    p->deposits = ngx_calloc(2 * sizeof(phota_deposit_t), ngx_cycle->log);
    if (p->deposits == NULL) {
        return NGX_ERROR;
    }

    now = phota_now();
    deposit = p->deposits;
    result = &deposit->result;

    result->id = p->charge.id;
    result->stored = now;
    result->expires = now + (uint64_t) p->valid * 1000;
    result->tenant = p->charge.tenant;
    result->scope = p->scope;
    result->status = p->status;
    result->identity_low = p->delivery.identity_low;
    result->identity_high = p->delivery.identity_high;
    result->operation = p->charge.operation;

    /* as the settle will have it */

    if (phota_terms_cost(&p->charge.terms, p->delivery.outputs,
                         result->identity_low, &result->cost)
        != PHOTA_OK)
    {
        return NGX_ERROR;
    }

    if (p->scan.mode == PHOTA_MODE_URLS) {
        result->linked = now
                 + (uint64_t) ngx_http_phota_worker.conf->results_valid * 1000
                 + NGX_HTTP_PHOTA_LINK_SPARE;
    }

    ngx_memcpy(result->tag, p->charge.tag, sizeof(result->tag));
    ngx_memcpy(result->request_id, p->outcome.request_id,
               sizeof(result->request_id));
    ngx_memcpy(result->marks, p->scan.marks, sizeof(result->marks));

    result->nmarks = p->scan.nmarks;
    result->unmarked = p->scan.unmarked;

    ngx_memcpy(deposit->fingerprint, p->charge.fingerprint, PHOTA_SHA256_LEN);
    ngx_memcpy(result->origin, p->charge.fingerprint, PHOTA_SHA256_LEN);

    deposit->since = p->since;
    p->ndeposits = 1;

    if (!p->keyed) {
        return NGX_OK;
    }

    copy = deposit;

    if (p->storable) {
        copy = &p->deposits[1];

        *copy = *deposit;

        if (phota_id_create(&copy->result.id, now) != PHOTA_OK) {
            return NGX_OK;
        }

        p->ndeposits = 2;
    }

    copy->since = 0;
    copy->result.expires = now + PHOTA_REPLAY_VALID;

    return ngx_http_phota_replay_where(&p->charge.id, copy->fingerprint);
}


/* in one transaction, as long as that isn't too large */

static void
ngx_http_phota_store_all(ngx_http_phota_job_t **jobs, ngx_uint_t n)
{
    off_t                       size;
    ngx_uint_t                  i, first;
    ngx_http_phota_purchase_t  *p;

    size = 0;
    first = 0;

    for (i = 0; i < n; i++) {
        p = ngx_http_phota_stored_by(jobs[i]);
        size += ngx_http_phota_spool_size(p->spool);

        if (i > first && size > NGX_HTTP_PHOTA_STORE_SIZE) {
            ngx_http_phota_store_some(&jobs[first], i - first);

            first = i;
            size = ngx_http_phota_spool_size(p->spool);
        }
    }

    ngx_http_phota_store_some(&jobs[first], n - first);
}


static void
ngx_http_phota_store_some(ngx_http_phota_job_t **jobs, ngx_uint_t n)
{
    ngx_uint_t                  i, nall;
    phota_bought_t              all[NGX_HTTP_PHOTA_TOGETHER], *one;
    phota_unpacked_t           *unpacked;
    ngx_http_phota_job_t       *job, *storing[NGX_HTTP_PHOTA_TOGETHER];
    ngx_http_phota_worker_t    *worker;
    ngx_http_phota_purchase_t  *p;

    worker = &ngx_http_phota_worker;
    nall = 0;

    unpacked = ngx_alloc(n * sizeof(phota_unpacked_t), ngx_cycle->log);

    for (i = 0; i < n; i++) {
        job = jobs[i];
        p = ngx_http_phota_stored_by(job);

        if (unpacked == NULL) {
            phota_error(&job->err, "no memory");
            continue;
        }

        job->rc = phota_unpack(phota_operations[p->charge.operation].answer,
                               ngx_http_phota_spool_read, p->spool,
                               ngx_http_phota_spool_size(p->spool),
                               &unpacked[i], &job->err);

        if (job->rc == PHOTA_OK) {
            one = &all[nall];
            storing[nall++] = job;

            one->deposits = p->deposits;
            one->ndeposits = p->ndeposits;
            one->bought = 0;
            one->unpacked = &unpacked[i];
            one->read = ngx_http_phota_spool_read;
            one->ctx = p->spool;
        }
    }

    if (nall < 2
        || phota_cache_store_together(&worker->cache, all, nall) != PHOTA_OK)
    {
        /* nobody's trouble may be another's */

        for (i = 0; i < nall; i++) {
            one = &all[i];
            job = storing[i];

            job->rc = phota_cache_store(&worker->cache, one->deposits,
                                        one->ndeposits, one->bought,
                                        one->unpacked, one->read, one->ctx,
                                        &job->err);
        }
    }

    ngx_free(unpacked);

    if (nall == 0 || !phota_store_moved(&worker->cache_store)) {
        return;
    }

    /* compacted while we waited for the lock: nobody will look there */

    for (i = 0; i < nall; i++) {
        job = storing[i];

        if (job->rc == PHOTA_OK) {
            p = ngx_http_phota_stored_by(job);

            p->moved = 1;
            phota_error(&job->err, "the cache was replaced meanwhile");
            job->rc = PHOTA_ERROR;
        }
    }
}


static void
ngx_http_phota_store_done(ngx_http_phota_job_t *job)
{
    ngx_uint_t                  i;
    ngx_http_phota_about_t      about;
    ngx_http_phota_purchase_t  *p;

    p = ngx_http_phota_stored_by(job);

    if (p->moved && !ngx_http_phota_worker.exiting) {

        /* once more, into the new one */

        p->moved = 0;

        ngx_http_phota_cache_moved();
        ngx_http_phota_post(&ngx_http_phota_worker.cache_writer, &p->store);
        return;
    }

    if (job->rc == PHOTA_OK) {
        p->stored = 1;

        for (i = 0; i < p->ndeposits; i++) {
            ngx_http_phota_written(&p->deposits[i]);
        }

    } else {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0,
                                ngx_http_phota_about_purchase(&about, p),
                                "a bought result could not be stored", "%s",
                                job->err.text);
    }

    ngx_http_phota_purchase_job_done(p);
}


ngx_int_t
ngx_http_phota_rewrite(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_http_request_body_t **body, off_t *length)
{
    uint64_t                  from;
    ngx_int_t                 rc;
    ngx_uint_t                i;
    ngx_chain_t              *cl, **last;
    ngx_http_phota_edits_t    edits;
    ngx_http_request_body_t  *rb;

    *body = NULL;

    rc = ngx_http_phota_edits(r, ctx, &edits);

    if (rc != NGX_OK || edits.n == 0) {
        return rc;
    }

    rb = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));
    if (rb == NULL) {
        return NGX_ERROR;
    }

    last = &rb->bufs;
    from = 0;

    for (i = 0; i < edits.n && last; i++) {
        last = ngx_http_phota_cut(r->pool, r->request_body->bufs, from,
                                  edits.edits[i].spot.at, last);

        if (last) {
            last = ngx_http_phota_paste(r->pool, &edits.edits[i].text, last);
        }

        from = edits.edits[i].spot.end;
    }

    if (last) {
        last = ngx_http_phota_cut(r->pool, r->request_body->bufs, from,
                                  UINT64_MAX, last);
    }

    if (last == NULL) {
        return NGX_ERROR;
    }

    *last = NULL;
    *length = 0;

    for (cl = rb->bufs; cl; cl = cl->next) {
        *length += ngx_buf_size(cl->buf);
    }

    rb->temp_file = r->request_body->temp_file;

    *body = rb;

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_edits(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_edits_t *edits)
{
    ngx_int_t                   rc;
    ngx_http_phota_upward_t    *upward;
    ngx_http_phota_purchase_t  *p;

    p = ctx->purchase;
    upward = ctx->upward;

    edits->n = 0;
    rc = NGX_OK;

    if (p->partial) {
        rc = ngx_http_phota_edit(r, ctx, edits, PHOTA_SPOT_COUNT, "%uD",
                                 p->charge.asked);
    }

    if (p->unlinked && rc == NGX_OK) {
        rc = ngx_http_phota_edit(r, ctx, edits, PHOTA_SPOT_MODE,
                                 "\"bytes\"");
    }

    if (upward && upward->alias.len && rc == NGX_OK) {
        rc = ngx_http_phota_edit(r, ctx, edits, PHOTA_SPOT_REQUEST_ID,
                                 "\"%V\"", &upward->alias);
    }

    if (upward && upward->tag.len && phota_tenant_fenced(&ctx->tenant)
        && rc == NGX_OK)
    {
        rc = ngx_http_phota_edit_tag(r, ctx, edits);
    }

    if (upward && upward->called_back && rc == NGX_OK) {
        rc = ngx_http_phota_edit_callback(r, ctx, edits);
    }

    return rc;
}


static ngx_int_t
ngx_http_phota_edit_tag(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_edits_t *edits)
{
    char        alias[PHOTA_ALIAS_TAG];
    ngx_str_t  *tag;

    tag = &ctx->upward->tag;

    if (phota_alias_tag(ngx_http_phota_aliases, ctx->tenant.id,
                        ctx->tenant.name, tag->data, tag->len, alias)
        != PHOTA_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_phota_edit(r, ctx, edits, PHOTA_SPOT_TAG, "\"%s\"",
                               alias);
}


/* the upstream calls the gateway, or nobody: then the job is polled */

static ngx_int_t
ngx_http_phota_edit_callback(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_edits_t *edits)
{
    char                         name[PHOTA_CALLBACK_NAME];
    ngx_http_phota_main_conf_t  *pmcf;

    pmcf = ngx_http_phota_worker.conf;

    if (pmcf->callbacks_url.len == 0) {
        return ngx_http_phota_edit(r, ctx, edits, PHOTA_SPOT_CALLBACK,
                                   "null");
    }

    if (phota_callback_format(ngx_http_phota_aliases,
                              &ctx->purchase->charge.id, name)
        != PHOTA_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_phota_edit(r, ctx, edits, PHOTA_SPOT_CALLBACK,
                               "\"%V%s\"", &pmcf->callbacks_url, name);
}


/* in their order in the body; what is put there needs no escapes */

static ngx_int_t
ngx_http_phota_edit(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_edits_t *edits, phota_spot_e spot, const char *fmt, ...)
{
    u_char                 *p;
    va_list                 args;
    ngx_uint_t              i;
    ngx_http_phota_edit_t   edit;

    p = ngx_pnalloc(r->pool, NGX_HTTP_PHOTA_EDIT_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    edit.spot = ctx->scan.spots[spot];
    edit.text.data = p;

    va_start(args, fmt);
    p = ngx_vslprintf(p, p + NGX_HTTP_PHOTA_EDIT_MAX, fmt, args);
    va_end(args);

    edit.text.len = p - edit.text.data;

    for (i = edits->n++; i && edits->edits[i - 1].spot.at > edit.spot.at; i--)
    {
        edits->edits[i] = edits->edits[i - 1];
    }

    edits->edits[i] = edit;

    return NGX_OK;
}


/* buffers of their own for a part of what others hold; NULL: no memory */

static ngx_chain_t **
ngx_http_phota_cut(ngx_pool_t *pool, ngx_chain_t *in, uint64_t from,
    uint64_t to, ngx_chain_t **last)
{
    uint64_t      start, size, skip, end;
    ngx_buf_t    *b, *part;
    ngx_chain_t  *cl, *out;

    start = 0;

    for (cl = in; cl && start < to; cl = cl->next, start += size) {
        b = cl->buf;
        size = ngx_buf_size(b);

        if (start + size <= from || size == 0) {
            continue;
        }

        skip = (from > start) ? from - start : 0;
        end = ngx_min(size, to - start);

        if (skip >= end) {
            continue;
        }

        part = ngx_calloc_buf(pool);
        out = ngx_alloc_chain_link(pool);

        if (part == NULL || out == NULL) {
            return NULL;
        }

        if (ngx_buf_in_memory(b)) {
            part->memory = 1;
            part->pos = b->pos + skip;
            part->last = b->pos + end;

        } else {
            part->in_file = 1;
            part->file = b->file;
            part->file_pos = b->file_pos + skip;
            part->file_last = b->file_pos + end;
        }

        out->buf = part;
        *last = out;
        last = &out->next;
    }

    return last;
}


static ngx_chain_t **
ngx_http_phota_paste(ngx_pool_t *pool, ngx_str_t *text, ngx_chain_t **last)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    b = ngx_calloc_buf(pool);
    cl = ngx_alloc_chain_link(pool);

    if (b == NULL || cl == NULL) {
        return NULL;
    }

    b->memory = 1;
    b->pos = text->data;
    b->last = text->data + text->len;

    cl->buf = b;
    *last = cl;

    return &cl->next;
}
