
/*
 * Hits: looked up and sent out of LMDB chunk by chunk, each under a read
 * transaction that lives for one copy, so that a slow client pins no page.  A
 * chunk that isn't in memory is fetched by a thread, never by the event loop.
 */


#include "ngx_http_phota_module.h"

#include <sys/mman.h>


/* what a client gets at a time once its socket has refused a write */

#define NGX_HTTP_PHOTA_SLICE  16384

/* buffers that a fast client may take before others have their turn */

#define NGX_HTTP_PHOTA_BURST  8


typedef struct {
    ngx_thread_task_t         task;
    ngx_http_phota_hit_t     *hit;          /* NULL: the client left */
    phota_result_t            result;
    uint32_t                  index;
} ngx_http_phota_warm_t;


struct ngx_http_phota_hit_s {
    ngx_http_request_t       *r;
    phota_cache_key_t         key;
    phota_result_t            result;
    uint64_t                  offset;       /* of the next byte to send */
    ngx_chain_t              *free;
    ngx_chain_t              *busy;
    ngx_http_phota_warm_t    *warming;
    unsigned                  slow:1;
    unsigned                  warm:1;       /* a thread has just read it */
};


static ngx_int_t ngx_http_phota_hit_headers(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static void ngx_http_phota_hit_writer(ngx_http_request_t *r);
static ngx_int_t ngx_http_phota_hit_pump(ngx_http_request_t *r,
    ngx_http_phota_hit_t *hit);
static ngx_int_t ngx_http_phota_hit_next(ngx_http_request_t *r,
    ngx_http_phota_hit_t *hit, ngx_chain_t **out);
static ngx_int_t ngx_http_phota_hit_fill(ngx_http_request_t *r,
    ngx_http_phota_hit_t *hit, ngx_buf_t *b);
static ngx_uint_t ngx_http_phota_resident(const u_char *p, size_t len);
static ngx_int_t ngx_http_phota_hit_warm(ngx_http_request_t *r,
    ngx_http_phota_hit_t *hit);
static void ngx_http_phota_warm_thread(void *data, ngx_log_t *log);
static void ngx_http_phota_warm_done(ngx_event_t *ev);
static void ngx_http_phota_hit_cleanup(void *data);


ngx_int_t
ngx_http_phota_lookup(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    uint64_t            now;
    ngx_int_t           rc;
    phota_result_t     *result;
    phota_cache_key_t   key;

    if (ctx->scan.mode == PHOTA_MODE_OTHER || ctx->scan.outputs == 0) {
        return NGX_DECLINED;
    }

    ngx_memcpy(key.fingerprint, ctx->scan.digest, PHOTA_SHA256_LEN);
    key.mode = (u_char) ctx->scan.mode;
    key.outputs = (u_char) ctx->scan.outputs;

    rc = ngx_http_phota_find(r, ctx, &key);

    if (rc != NGX_OK) {
        return rc;
    }

    result = &ctx->hit->result;
    now = phota_now();

    if (ctx->max_age >= 0
        && now > result->stored
        && now - result->stored > (uint64_t) ctx->max_age * 1000)
    {
        ctx->hit = NULL;
        ctx->cache = NGX_HTTP_PHOTA_CACHE_REFRESH;
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_phota_find(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    const phota_cache_key_t *key)
{
    int                    rc;
    size_t                 len;
    MDB_txn               *txn;
    const u_char          *p;
    phota_result_t         result;
    ngx_http_phota_hit_t  *hit;

    txn = ngx_http_phota_read_cache();
    if (txn == NULL) {
        return NGX_DECLINED;
    }

    rc = phota_cache_find(&ngx_http_phota_worker.cache, txn, key, phota_now(),
                          &result);

    if (rc == PHOTA_OK && result.length == 0) {
        rc = PHOTA_DECLINED;
    }

    if (rc == PHOTA_OK) {

        /* chunks go from first to last: both ends stand for the whole */

        rc = phota_cache_chunk(&ngx_http_phota_worker.cache, txn, &result, 0,
                               &p, &len);

        if (rc == PHOTA_OK) {
            rc = phota_cache_chunk(&ngx_http_phota_worker.cache, txn,
                                   &result,
                                   (result.length - 1) / PHOTA_CHUNK,
                                   &p, &len);
        }
    }

    mdb_txn_reset(txn);

    if (rc != PHOTA_OK) {
        return NGX_DECLINED;
    }

    if (result.tenant != ctx->tenant.id
        && !(ctx->tenant.flags & PHOTA_TENANT_SHARED))
    {
        /* the fingerprint's scope forbids it; money and pictures want two */

        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "phota: a result of another tenant was not shown");
        return NGX_DECLINED;
    }

    hit = ngx_pcalloc(r->pool, sizeof(ngx_http_phota_hit_t));
    if (hit == NULL) {
        return NGX_ERROR;
    }

    hit->r = r;
    hit->key = *key;
    hit->result = result;

    ctx->hit = hit;

    return NGX_OK;
}


phota_result_t *
ngx_http_phota_hit_result(ngx_http_phota_hit_t *hit)
{
    return &hit->result;
}


ngx_int_t
ngx_http_phota_hit_money(ngx_http_phota_ctx_t *ctx, int64_t *cost,
    int64_t *price, int64_t *saved)
{
    ngx_http_phota_purchase_t  *p;

    p = ctx->purchase;

    *cost = 0;
    *price = 0;
    *saved = 0;

    if (ctx->hit == NULL) {
        return NGX_DECLINED;
    }

    if (ctx->replay) {

        /* paid, or saved, and counted, the first time */

        return NGX_OK;
    }

    if (p && p->settled) {
        *price = p->charge.price;
        *saved = p->charge.saved;
        return NGX_OK;
    }

    *saved = ctx->hit->result.cost;

    return NGX_OK;
}


ngx_int_t
ngx_http_phota_send_hit(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t              rc;
    ngx_http_phota_hit_t  *hit;

    hit = ctx->hit;

    if (ngx_http_phota_hit_headers(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    if (!ctx->replay) {
        ngx_http_phota_count_use(&hit->key, hit->result.used);

        if (ctx->purchase == NULL) {
            ngx_http_phota_count_hit(ctx, hit->result.cost);
        }
    }

    if (r->header_only) {
        return rc;
    }

    r->main->count++;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_phota_hit_writer;

    ngx_http_phota_hit_writer(r);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_phota_hit_headers(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    int              n;
    char             buf[64];
    int64_t          cost, price, saved;
    uint64_t         now, age, ttl;
    phota_result_t  *result;

    result = &ctx->hit->result;

    r->headers_out.status = result->status;
    r->headers_out.content_length_n = result->length;
    r->headers_out.content_type.data = (u_char *) result->content_type;
    r->headers_out.content_type.len = ngx_strlen(result->content_type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->disable_not_modified = 1;

    now = phota_now();
    age = (now > result->stored) ? (now - result->stored) / 1000 : 0;
    ttl = (result->expires > now) ? (result->expires - now) / 1000 : 0;

    n = snprintf(buf, sizeof(buf), "phota; hit; ttl=%llu%s",
                 (unsigned long long) ttl,
                 ctx->replay ? "; detail=replay" : "");

    if (ngx_http_phota_common_headers(r, ctx) != NGX_OK
        || ngx_http_phota_header(r, "Cache-Status", (u_char *) buf, n)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = snprintf(buf, sizeof(buf), "%llu", (unsigned long long) age);

    if (ngx_http_phota_header(r, "Age", (u_char *) buf, n) != NGX_OK) {
        return NGX_ERROR;
    }

    if (result->request_id[0]
        && ngx_http_phota_header(r, "X-Request-Id",
                                 (u_char *) result->request_id,
                                 ngx_strlen(result->request_id))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_phota_charge_headers(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    (void) ngx_http_phota_hit_money(ctx, &cost, &price, &saved);

    return ngx_http_phota_money_headers(r, cost, price, saved);
}


static void
ngx_http_phota_hit_writer(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_event_t               *wev;
    ngx_connection_t          *c;
    ngx_http_phota_ctx_t      *ctx;
    ngx_http_core_loc_conf_t  *clcf;

    c = r->connection;
    wev = c->write;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (wev->timedout) {
        c->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (wev->delayed) {
        if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_ERROR);
        }

        return;
    }

    rc = ngx_http_phota_hit_pump(r, ctx->hit);

    if (rc == NGX_DONE) {
        return;
    }

    if (rc == NGX_AGAIN) {

        /* the socket refused a write */

        ctx->hit->slow = 1;

        /* limit_rate has set a timer of its own, and its delay is not ours */

        if (!wev->delayed) {
            ngx_add_timer(wev, clcf->send_timeout);
        }

        if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_ERROR);
        }

        return;
    }

    if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }

    ngx_http_finalize_request(r, rc);
}


/*
 * NGX_OK: all is handed over; NGX_AGAIN: wait for the socket; NGX_DONE: some
 * other event goes on with it; NGX_ERROR.
 */

static ngx_int_t
ngx_http_phota_hit_pump(ngx_http_request_t *r, ngx_http_phota_hit_t *hit)
{
    ngx_int_t                  rc;
    ngx_uint_t                 burst;
    ngx_chain_t               *out;
    ngx_http_core_loc_conf_t  *clcf;

    out = NULL;

    for (burst = 0; /* void */ ; burst++) {

        /* at first there is nothing to push: the header waits for the body */

        if (out || hit->busy || r->connection->buffered) {
            rc = ngx_http_output_filter(r, out);

            if (rc == NGX_ERROR) {
                return NGX_ERROR;
            }

            ngx_chain_update_chains(r->pool, &hit->free, &hit->busy, &out,
                                    (ngx_buf_tag_t) &ngx_http_phota_module);
        }

        if (hit->offset == hit->result.length) {

            /* what is left in buffers is nginx's to send */

            return NGX_OK;
        }

        if (hit->busy || r->connection->buffered) {
            return NGX_AGAIN;
        }

        if (burst == NGX_HTTP_PHOTA_BURST) {

            /* a worker that quits waits for timers, not for posted events */

            if (!r->connection->write->timer_set) {
                clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
                ngx_add_timer(r->connection->write, clcf->send_timeout);
            }

            ngx_post_event(r->connection->write, &ngx_posted_next_events);
            return NGX_DONE;
        }

        rc = ngx_http_phota_hit_next(r, hit, &out);

        if (rc != NGX_OK) {
            return rc;
        }
    }
}


static ngx_int_t
ngx_http_phota_hit_next(ngx_http_request_t *r, ngx_http_phota_hit_t *hit,
    ngx_chain_t **out)
{
    size_t        size;
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ngx_chain_get_free_buf(r->pool, &hit->free);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b = cl->buf;

    size = hit->slow ? NGX_HTTP_PHOTA_SLICE : PHOTA_CHUNK;
    size = ngx_min(size, hit->result.length);

    if (b->start && (size_t) (b->end - b->start) > size) {

        /* a slow client has no use for the large one */

        (void) ngx_pfree(r->pool, b->start);
        b->start = NULL;
    }

    if (b->start == NULL) {
        b->start = ngx_palloc(r->pool, size);
        if (b->start == NULL) {
            return NGX_ERROR;
        }

        b->end = b->start + size;
        b->tag = (ngx_buf_tag_t) &ngx_http_phota_module;
        b->temporary = 1;
    }

    b->pos = b->start;
    b->last = b->start;

    rc = ngx_http_phota_hit_fill(r, hit, b);

    if (rc != NGX_OK) {
        cl->next = hit->free;
        hit->free = cl;

        return (rc == NGX_AGAIN) ? ngx_http_phota_hit_warm(r, hit)
                                 : NGX_ERROR;
    }

    b->last_buf = (hit->offset == hit->result.length);
    b->last_in_chain = b->last_buf;
    b->flush = 0;

    *out = cl;

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_hit_fill(ngx_http_request_t *r, ngx_http_phota_hit_t *hit,
    ngx_buf_t *b)
{
    int            rc;
    size_t         len, skip;
    MDB_txn       *txn;
    const u_char  *p;

    txn = ngx_http_phota_read_cache();
    if (txn == NULL) {
        return NGX_ERROR;
    }

    rc = phota_cache_chunk(&ngx_http_phota_worker.cache, txn, &hit->result,
                           (uint32_t) (hit->offset / PHOTA_CHUNK), &p, &len);

    if (rc != PHOTA_OK) {
        mdb_txn_reset(txn);

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "phota: a stored result ended early");
        return NGX_ERROR;
    }

    skip = hit->offset % PHOTA_CHUNK;
    p += skip;
    len = ngx_min(len - skip, (size_t) (b->end - b->last));

    if (!hit->warm && !ngx_http_phota_resident(p, len)) {
        mdb_txn_reset(txn);
        return NGX_AGAIN;
    }

    b->last = ngx_cpymem(b->last, p, len);

    mdb_txn_reset(txn);

    hit->offset += len;
    hit->warm = 0;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_phota_resident(const u_char *p, size_t len)
{
    u_char      pages[PHOTA_CHUNK / 4096 + 2], *start;
    ngx_uint_t  i, n;

    start = (u_char *) ((uintptr_t) p & ~((uintptr_t) ngx_pagesize - 1));
    n = (p + len - start + ngx_pagesize - 1) / ngx_pagesize;

    if (n > sizeof(pages)
        || mincore(start, p + len - start, pages) == -1)
    {
        return 1;
    }

    for (i = 0; i < n; i++) {
        if (!(pages[i] & 1)) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_phota_hit_warm(ngx_http_request_t *r, ngx_http_phota_hit_t *hit)
{
    ngx_http_cleanup_t     *cln;
    ngx_http_phota_warm_t  *warm;

    cln = ngx_http_cleanup_add(r, 0);
    warm = ngx_calloc(sizeof(ngx_http_phota_warm_t), r->connection->log);

    if (cln == NULL || warm == NULL) {
        ngx_free(warm);
        return NGX_ERROR;
    }

    warm->hit = hit;
    warm->result = hit->result;
    warm->index = (uint32_t) (hit->offset / PHOTA_CHUNK);

    warm->task.ctx = warm;
    warm->task.handler = ngx_http_phota_warm_thread;
    warm->task.event.data = warm;
    warm->task.event.handler = ngx_http_phota_warm_done;
    warm->task.event.log = ngx_cycle->log;

    if (ngx_thread_task_post(ngx_http_phota_worker.conf->pool, &warm->task)
        != NGX_OK)
    {
        ngx_free(warm);
        return NGX_ERROR;
    }

    ngx_http_phota_worker.warming++;
    ngx_http_phota_job_begin();

    cln->handler = ngx_http_phota_hit_cleanup;
    cln->data = hit;

    hit->warming = warm;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


static void
ngx_http_phota_warm_thread(void *data, ngx_log_t *log)
{
    ngx_http_phota_warm_t *warm = data;

    size_t                 i, len;
    MDB_txn               *txn;
    const u_char          *p;
    volatile u_char        sink;

    if (phota_store_begin(&ngx_http_phota_worker.cache_store, 0, &txn, NULL)
        != PHOTA_OK)
    {
        return;
    }

    if (phota_cache_chunk(&ngx_http_phota_worker.cache, txn, &warm->result,
                          warm->index, &p, &len)
        == PHOTA_OK)
    {
        for (i = 0; i < len; i += 4096) {
            sink = p[i];
        }

        if (len) {
            sink = p[len - 1];
        }

        (void) sink;
    }

    phota_store_abort(txn);
}


static void
ngx_http_phota_warm_done(ngx_event_t *ev)
{
    ngx_connection_t       *c;
    ngx_http_request_t     *r;
    ngx_http_phota_hit_t   *hit;
    ngx_http_phota_warm_t  *warm;

    warm = ev->data;
    hit = warm->hit;

    ngx_http_phota_worker.warming--;
    ngx_http_phota_job_end();
    ngx_free(warm);

    if (hit == NULL) {
        return;
    }

    r = hit->r;
    c = r->connection;

    hit->warming = NULL;
    hit->warm = 1;

    ngx_http_set_log_request(c->log, r);

    r->write_event_handler = ngx_http_phota_hit_writer;
    ngx_http_phota_hit_writer(r);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_phota_hit_cleanup(void *data)
{
    ngx_http_phota_hit_t *hit = data;

    if (hit->warming) {
        hit->warming->hit = NULL;
        hit->warming = NULL;
    }
}
