
/*
 * The body of a request: read, scanned as it arrives, and kept until it is
 * known that nobody buys with it.  One that nginx would put into a file lies in
 * memory of the worker instead, while phota_body_memory has room for all of it:
 * nginx is made to read into it, so that a byte which turns out to be a hit's
 * is copied once, by the kernel.
 */


#include "ngx_http_phota_module.h"

#include <sys/mman.h>


#define NGX_HTTP_PHOTA_BODY_CHUNK  (256 * 1024)
#define NGX_HTTP_PHOTA_BODY_ARENA  (2 * 1024 * 1024)    /* a huge page */


/* chunks that nobody uses, one after the other; they are never given back */

typedef struct ngx_http_phota_chunk_s  ngx_http_phota_chunk_t;

struct ngx_http_phota_chunk_s {
    ngx_http_phota_chunk_t     *next;
};


struct ngx_http_phota_kept_s {
    u_char                    **chunks;
    ngx_uint_t                  n;          /* that are promised to it */
    ngx_uint_t                  used;
    u_char                     *pos;        /* where the next byte goes */
    u_char                     *end;        /* of the last chunk */
};


static ngx_int_t ngx_http_phota_body_keep(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static ngx_int_t ngx_http_phota_body_room(ngx_uint_t n, ngx_log_t *log);
static ngx_int_t ngx_http_phota_body_take(ngx_http_phota_kept_t *kept);
static ngx_int_t ngx_http_phota_body_add(ngx_http_phota_kept_t *kept,
    ngx_buf_t *b);
static ngx_int_t ngx_http_phota_body_aim(ngx_http_request_t *r,
    ngx_http_phota_kept_t *kept);
static ngx_int_t ngx_http_phota_body_hand_over(ngx_http_request_t *r,
    ngx_http_phota_kept_t *kept);
static void ngx_http_phota_body_free(void *data);
static void ngx_http_phota_body_reader(ngx_http_request_t *r);
static void ngx_http_phota_body_done(ngx_http_request_t *r);
static ngx_int_t ngx_http_phota_scan(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_buf_t *b);


static ngx_http_phota_chunk_t  *ngx_http_phota_body_chunks;     /* free */
static ngx_uint_t               ngx_http_phota_body_made;
static ngx_uint_t               ngx_http_phota_body_promised;


ngx_int_t
ngx_http_phota_read_body(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t                   rc;
    ngx_array_t                *signing;
    ngx_pool_cleanup_t         *cln;
    ngx_http_phota_loc_conf_t  *plcf;

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);
    signing = plcf->signing;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    ctx->fingerprint = phota_fingerprint_create(ctx->operation,
                                         &ngx_http_phota_worker.keyring.hash,
                                         signing ? signing->elts : NULL,
                                         signing ? signing->nelts : 0);
    if (ctx->fingerprint == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_phota_forget_fingerprint;
    cln->data = ctx;

    if (ngx_http_phota_body_keep(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->state = NGX_HTTP_PHOTA_BODY;

    rc = ngx_http_read_client_request_body(r, ngx_http_phota_body_done);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    if (ctx->state == NGX_HTTP_PHOTA_BODY) {
        ctx->body_reader = r->read_event_handler;
        r->read_event_handler = ngx_http_phota_body_reader;
    }

    ngx_http_finalize_request(r, NGX_DONE);

    return NGX_DONE;
}


/* nginx closes on a body that stalls without a word; a tenant gets a 408 */

static void
ngx_http_phota_body_reader(ngx_http_request_t *r)
{
    ngx_http_phota_ctx_t    *ctx;
    ngx_http_phota_about_t   about;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    if (!r->connection->read->timedout) {
        ctx->body_reader(r);
        return;
    }

    ngx_http_phota_say_some(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                            ngx_http_phota_about(&about, ctx),
                            "a body did not arrive in time", NULL);

    r->connection->read->timedout = 0;
    r->read_event_handler = ngx_http_block_reading;
    r->keepalive = 0;

    ngx_http_phota_refuse(ctx, NGX_HTTP_REQUEST_TIME_OUT, "TIMEOUT",
                          "the body did not arrive in time");

    ctx->state = NGX_HTTP_PHOTA_ANSWER;

    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}


void
ngx_http_phota_forget_fingerprint(void *data)
{
    ngx_http_phota_ctx_t *ctx = data;

    if (ctx->fingerprint) {
        phota_fingerprint_destroy(ctx->fingerprint);
        ctx->fingerprint = NULL;
    }
}


static void
ngx_http_phota_body_done(ngx_http_request_t *r)
{
    ngx_http_phota_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    if (ctx->kept
        && ngx_http_phota_body_hand_over(r, ctx->kept) != NGX_OK)
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ctx->state = NGX_HTTP_PHOTA_DECIDE;

    /* the body reader has replaced it */

    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}


ngx_int_t
ngx_http_phota_body_filter(ngx_http_request_t *r, ngx_chain_t **in)
{
    ngx_buf_t                  *b;
    ngx_int_t                   rc;
    ngx_chain_t                *cl;
    ngx_http_phota_ctx_t       *ctx;
    ngx_http_phota_loc_conf_t  *plcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    if (ctx == NULL || ctx->fingerprint == NULL) {
        return NGX_OK;
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    for (cl = *in; cl; cl = cl->next) {
        b = cl->buf;

        ctx->received += b->last - b->pos;

        if (!ctx->spoilt) {
            rc = ngx_http_phota_scan(r, ctx, b);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        if (ctx->spoilt) {

            /*
             * The refusal waits until the upload has ended, which every
             * client survives; nothing of it is kept meanwhile.
             */

            b->pos = b->last;

        } else if (ctx->kept
                   && ngx_http_phota_body_add(ctx->kept, b) != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    /* an upload without end has had its chance to be answered politely */

    if (ctx->received > 2 * (off_t) plcf->max_body + 65536) {
        r->keepalive = 0;
        r->lingering_close = 1;
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    if (ctx->kept) {

        /* nothing is left to nginx but that it has ended */

        while (*in && !(*in)->buf->last_buf) {
            *in = (*in)->next;
        }

        return ngx_http_phota_body_aim(r, ctx->kept);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_scan(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_buf_t *b)
{
    int                         rc;
    ngx_http_phota_loc_conf_t  *plcf;

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    if (ctx->received > (off_t) plcf->max_body) {
        ctx->spoilt = 1;

        ngx_http_phota_refuse(ctx, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                              "BODY_TOO_LARGE",
                              "the body is larger than phota_max_body");
        return NGX_OK;
    }

    rc = phota_fingerprint_update(ctx->fingerprint, b->pos, b->last - b->pos);

    if (rc == PHOTA_INVALID) {
        ctx->spoilt = 1;
        ngx_http_phota_refuse_body(ctx);
        return NGX_OK;
    }

    return (rc == PHOTA_OK) ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


void
ngx_http_phota_refuse_body(ngx_http_phota_ctx_t *ctx)
{
    const phota_fault_t  *fault;

    fault = phota_fingerprint_fault(ctx->fingerprint);

    ngx_http_phota_refuse(ctx, 422, "INVALID_REQUEST", fault->detail);

    /* the fingerprint goes before the answer does */

    ngx_memcpy(ctx->field, fault->field, sizeof(ctx->field));

    ctx->refusal.field = ctx->field;
    ctx->refusal.offset = fault->offset;
}


/* promises it memory, if nginx would need a file and there is room */

static ngx_int_t
ngx_http_phota_body_keep(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    off_t                      length;
    ngx_uint_t                 n;
    ngx_pool_cleanup_t        *cln;
    ngx_http_phota_kept_t     *kept;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    length = r->headers_in.content_length_n;

    if (length <= (off_t) (clcf->client_body_buffer_size
                           + clcf->client_body_buffer_size / 4)
        || r->request_body_in_file_only || r->request_body_in_single_buf)
    {
        return NGX_OK;
    }

    n = (ngx_uint_t) ((length + NGX_HTTP_PHOTA_BODY_CHUNK - 1)
                      / NGX_HTTP_PHOTA_BODY_CHUNK);

    if (ngx_http_phota_body_room(n, r->connection->log) != NGX_OK) {
        return NGX_OK;
    }

    kept = ngx_pcalloc(r->pool, sizeof(ngx_http_phota_kept_t));
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (kept == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    kept->chunks = ngx_palloc(r->pool, n * sizeof(u_char *));
    if (kept->chunks == NULL) {
        return NGX_ERROR;
    }

    kept->n = n;
    ngx_http_phota_body_promised += n;

    cln->handler = ngx_http_phota_body_free;
    cln->data = kept;

    ctx->kept = kept;

    return NGX_OK;
}


/* that there are so many chunks more than are promised; NGX_DECLINED */

static ngx_int_t
ngx_http_phota_body_room(ngx_uint_t n, ngx_log_t *log)
{
    u_char                  *arena;
    size_t                   at, most;
    ngx_http_phota_chunk_t  *chunk;

    most = ngx_http_phota_worker.conf->body_memory / NGX_HTTP_PHOTA_BODY_CHUNK;

    if (ngx_http_phota_body_promised + n > most) {
        return NGX_DECLINED;
    }

    while (ngx_http_phota_body_made < ngx_http_phota_body_promised + n) {

        arena = ngx_memalign(NGX_HTTP_PHOTA_BODY_ARENA,
                             NGX_HTTP_PHOTA_BODY_ARENA, log);
        if (arena == NULL) {
            return NGX_DECLINED;
        }

        /* where there are none, small pages do */

        (void) madvise(arena, NGX_HTTP_PHOTA_BODY_ARENA, MADV_HUGEPAGE);

        for (at = 0;
             at < NGX_HTTP_PHOTA_BODY_ARENA;
             at += NGX_HTTP_PHOTA_BODY_CHUNK)
        {
            chunk = (ngx_http_phota_chunk_t *) (arena + at);
            chunk->next = ngx_http_phota_body_chunks;

            ngx_http_phota_body_chunks = chunk;
            ngx_http_phota_body_made++;
        }
    }

    return NGX_OK;
}


/* one of those that are promised, when the last one is full */

static ngx_int_t
ngx_http_phota_body_take(ngx_http_phota_kept_t *kept)
{
    ngx_http_phota_chunk_t  *chunk;

    if (kept->pos != kept->end) {
        return NGX_OK;
    }

    chunk = ngx_http_phota_body_chunks;

    if (kept->used == kept->n || chunk == NULL) {
        return NGX_ERROR;
    }

    ngx_http_phota_body_chunks = chunk->next;

    kept->pos = (u_char *) chunk;
    kept->end = kept->pos + NGX_HTTP_PHOTA_BODY_CHUNK;
    kept->chunks[kept->used++] = kept->pos;

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_body_add(ngx_http_phota_kept_t *kept, ngx_buf_t *b)
{
    size_t  n;

    if (b->pos == kept->pos) {

        /* it was read into its place */

        kept->pos = b->last;
        b->pos = b->last;
    }

    while (b->pos < b->last) {

        if (ngx_http_phota_body_take(kept) != NGX_OK) {
            return NGX_ERROR;
        }

        n = ngx_min(b->last - b->pos, kept->end - kept->pos);

        kept->pos = ngx_cpymem(kept->pos, b->pos, n);
        b->pos += n;
    }

    return NGX_OK;
}


/*
 * Has nginx read what comes next to where it is to lie.  HTTP/2 has it in
 * frames among those of other requests, from where it is copied.
 */

static ngx_int_t
ngx_http_phota_body_aim(ngx_http_request_t *r, ngx_http_phota_kept_t *kept)
{
    ngx_buf_t                *b;
    ngx_http_request_body_t  *rb;

    rb = r->request_body;
    b = rb->buf;

#if (NGX_HTTP_V2)
    if (r->stream) {
        return NGX_OK;
    }
#endif

    if (b == NULL || b->pos != b->last || rb->rest == 0) {
        return NGX_OK;
    }

    if (ngx_http_phota_body_take(kept) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->start = kept->pos;
    b->pos = kept->pos;
    b->last = kept->pos;
    b->end = kept->end;

    return NGX_OK;
}


/* the whole of it, for the call */

static ngx_int_t
ngx_http_phota_body_hand_over(ngx_http_request_t *r,
    ngx_http_phota_kept_t *kept)
{
    ngx_buf_t     *b;
    ngx_uint_t     i;
    ngx_chain_t  **last;

    last = &r->request_body->bufs;
    *last = NULL;

    for (i = 0; i < kept->used; i++) {

        *last = ngx_alloc_chain_link(r->pool);
        b = ngx_calloc_buf(r->pool);

        if (*last == NULL || b == NULL) {
            r->request_body->bufs = NULL;
            return NGX_ERROR;
        }

        b->temporary = 1;
        b->start = kept->chunks[i];
        b->pos = b->start;
        b->end = b->start + NGX_HTTP_PHOTA_BODY_CHUNK;
        b->last = (i + 1 < kept->used) ? b->end : kept->pos;

        (*last)->buf = b;
        (*last)->next = NULL;
        last = &(*last)->next;
    }

    return NGX_OK;
}


/* nobody will buy with it any more, nor read what is still to come */

void
ngx_http_phota_body_release(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_buf_t  *b;

    if (ctx->kept == NULL) {
        return;
    }

    if (r->request_body) {
        r->request_body->bufs = NULL;
        b = r->request_body->buf;

        if (b) {
            b->pos = b->start;
            b->last = b->start;
            b->end = b->start;
        }
    }

    ngx_http_phota_body_free(ctx->kept);
    ctx->kept = NULL;
}


static void
ngx_http_phota_body_free(void *data)
{
    ngx_http_phota_kept_t *kept = data;

    ngx_http_phota_chunk_t  *chunk;

    ngx_http_phota_body_promised -= kept->n;
    kept->n = 0;

    while (kept->used) {
        chunk = (ngx_http_phota_chunk_t *) kept->chunks[--kept->used];
        chunk->next = ngx_http_phota_body_chunks;
        ngx_http_phota_body_chunks = chunk;
    }
}
