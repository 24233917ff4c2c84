
/*
 * What the client is sent: errors in one shape, headers that say what it cost,
 * bought answers from their spool.  The content handler comes here once, with
 * everything decided.
 */


#include "ngx_http_phota_module.h"


/* ms */

#define NGX_HTTP_PHOTA_LINGER  100


static void ngx_http_phota_refuse_unsettled(ngx_http_phota_purchase_t *p,
    ngx_http_phota_ctx_t *ctx);
static void ngx_http_phota_linger_end(ngx_event_t *ev);
static void ngx_http_phota_linger_cleanup(void *data);
static ngx_int_t ngx_http_phota_send_purchase(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static void ngx_http_phota_release_spool(void *data);
static u_char *ngx_http_phota_escape(u_char *p, u_char *last,
    const char *text);


void
ngx_http_phota_refuse(ngx_http_phota_ctx_t *ctx, ngx_uint_t status,
    const char *code, const char *detail)
{
    ngx_memzero(&ctx->refusal, sizeof(ngx_http_phota_refusal_t));

    ctx->refusal.status = status;
    ctx->refusal.code = code;
    ctx->refusal.detail = detail;
}


ngx_int_t
ngx_http_phota_content(ngx_http_request_t *r)
{
    ngx_http_phota_ctx_t       *ctx;
    ngx_http_phota_purchase_t  *p;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    if (ctx == NULL || ctx->state != NGX_HTTP_PHOTA_ANSWER) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->answered = 1;

    p = ctx->purchase;

    if (p && !p->serves && ctx->refusal.status == 0) {
        ngx_http_phota_translate(p, ctx);

        if ((p->outcome.state == PHOTA_STATE_SETTLED
             || p->outcome.state == PHOTA_STATE_HELD)
            && p->metered && !p->settled)
        {
            ngx_http_phota_refuse_unsettled(p, ctx);
        }
    }

    if (ctx->refusal.status == 0 && ctx->told == NULL && ctx->route == NULL
        && !ctx->trial
        && (ctx->job || (p && p->job) || (ctx->hit && ctx->scan.async)))
    {
        if (ngx_http_phota_tell_handle(r, ctx) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (ctx->refusal.status) {
        return ngx_http_phota_send_error(r, ctx);
    }

    if (ctx->trial) {
        return ngx_http_phota_send_trial(r, ctx);
    }

    if (ctx->run) {
        return ngx_http_phota_run_send(r, ctx);
    }

    if (ctx->hit && ctx->ticket) {
        return ngx_http_phota_send_result(r, ctx);
    }

    if (ctx->hit) {
        return ngx_http_phota_send_hit(r, ctx);
    }

    if (ctx->told) {
        return ngx_http_phota_send_told(r, ctx);
    }

    if (p) {
        return ngx_http_phota_send_purchase(r, ctx);
    }

    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* an answer that isn't in the books isn't given */

static void
ngx_http_phota_refuse_unsettled(ngx_http_phota_purchase_t *p,
    ngx_http_phota_ctx_t *ctx)
{
    if (p->stored || p->keyed) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "BOOKS_UNAVAILABLE",
                              "the charge could not be written yet; the "
                              "result is kept, try again");
        ctx->refusal.retry_after = 1;
        return;
    }

    /* who tries again on his own would pay twice */

    ngx_http_phota_refuse(ctx, NGX_HTTP_BAD_GATEWAY, "OUTCOME_UNKNOWN",
                          "the call was bought, but its charge could not be "
                          "written yet and its result is not kept; another "
                          "request buys anew");
}


ngx_int_t
ngx_http_phota_send_error(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_buf_t  *b;
    ngx_int_t   rc;

    /* no "100 Continue" for what is refused */

    r->expect_tested = 1;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    b = ngx_http_phota_error_body(r, &ctx->refusal);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = ctx->refusal.status;

    if (ngx_http_phota_common_headers(r, ctx) != NGX_OK
        || ngx_http_phota_charge_headers(r, ctx) != NGX_OK
        || ngx_http_phota_amount_headers(r, ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_phota_send_json(r, b);

    if (rc == NGX_OK && ngx_http_phota_linger(r) != NGX_OK) {
        return NGX_ERROR;
    }

    return rc;
}


ngx_int_t
ngx_http_phota_send_json(ngx_http_request_t *r, ngx_buf_t *b)
{
    ngx_int_t    rc;
    ngx_chain_t  out;

    r->headers_out.content_length_n = b->last - b->pos;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->disable_not_modified = 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


/*
 * On HTTP/2 nginx follows END_STREAM at once with RST_STREAM, and curl that
 * still sends then drops the complete answer: the stream stays for a moment.
 */

ngx_int_t
ngx_http_phota_linger(ngx_http_request_t *r)
{
#if (NGX_HTTP_V2)

    ngx_event_t         *ev;
    ngx_http_cleanup_t  *cln;

    if (r->stream == NULL || r->stream->in_closed) {
        return NGX_OK;
    }

    cln = ngx_http_cleanup_add(r, sizeof(ngx_event_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    ev = cln->data;

    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = ngx_http_phota_linger_end;
    ev->data = r;
    ev->log = ngx_cycle->log;

    cln->handler = ngx_http_phota_linger_cleanup;

    r->main->count++;

    ngx_add_timer(ev, NGX_HTTP_PHOTA_LINGER);

#endif

    return NGX_OK;
}


static void
ngx_http_phota_linger_end(ngx_event_t *ev)
{
    ngx_http_request_t *r = ev->data;

    ngx_http_set_log_request(r->connection->log, r);

    ngx_http_finalize_request(r, NGX_DONE);
}


static void
ngx_http_phota_linger_cleanup(void *data)
{
    ngx_event_t *ev = data;

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }
}


ngx_buf_t *
ngx_http_phota_error_body(ngx_http_request_t *r,
    const ngx_http_phota_refusal_t *refusal)
{
    u_char                     *p, *last;
    size_t                      len;
    ngx_buf_t                  *b;
    ngx_http_variable_value_t  *id;

    id = ngx_http_phota_request_id(r);
    if (id == NULL) {
        return NULL;
    }

    /* an escaped byte takes six at most */

    len = 256 + id->len + NGX_INT64_LEN
          + 6 * (ngx_strlen(refusal->code) + ngx_strlen(refusal->detail)
                 + (refusal->field ? ngx_strlen(refusal->field) : 0));

    b = ngx_create_temp_buf(r->pool, len);
    if (b == NULL) {
        return NULL;
    }

    p = b->last;
    last = b->end;

    p = ngx_slprintf(p, last, "{\"code\":\"%s\",\"detail\":\"",
                     refusal->code);
    p = ngx_http_phota_escape(p, last, refusal->detail);
    p = ngx_slprintf(p, last, "\",\"request_id\":\"%*s\"", (size_t) id->len,
                     id->data);

    if (refusal->status == 422 && refusal->field) {
        p = ngx_slprintf(p, last, ",\"field\":\"");
        p = ngx_http_phota_escape(p, last, refusal->field);
        *p++ = '"';

        if (refusal->offset != NGX_HTTP_PHOTA_NO_OFFSET) {
            p = ngx_slprintf(p, last, ",\"offset\":%uL", refusal->offset);
        }
    }

    if (refusal->left) {
        p = ngx_slprintf(p, last, ",\"left\":\"%s\"", refusal->left);
    }

    if (refusal->resets) {
        p = ngx_slprintf(p, last, ",\"resets_at\":\"%s\"", refusal->resets);
    }

    *p++ = '}';

    b->last = p;
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    return b;
}


static u_char *
ngx_http_phota_escape(u_char *p, u_char *last, const char *text)
{
    size_t     n;
    u_char    *s, *end, *next;
    uint32_t   ch;

    s = (u_char *) text;
    end = s + ngx_strlen(text);

    while (s < end) {

        if (*s < 0x80) {
            if (*s < 0x20 || *s == '"' || *s == '\\' || *s == 0x7f) {
                p = ngx_slprintf(p, last, "\\u%04xd", (ngx_int_t) *s);

            } else {
                *p++ = *s;
            }

            s++;
            continue;
        }

        next = s;
        n = end - s;
        ch = ngx_utf8_decode(&next, n);

        if (ch > 0x10ffff) {
            *p++ = '?';
            s++;
            continue;
        }

        p = ngx_cpymem(p, s, next - s);
        s = next;
    }

    return p;
}


static ngx_int_t
ngx_http_phota_send_purchase(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    size_t                      len;
    ngx_int_t                   rc;
    ngx_chain_t                *out;
    ngx_pool_cleanup_t         *cln;
    ngx_http_phota_purchase_t  *p;

    p = ctx->purchase;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_phota_release_spool;
    cln->data = p->spool;

    ngx_http_phota_spool_hold(p->spool);

    out = ngx_http_phota_spool_chain(p->spool, r->pool);
    if (out == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = p->status;
    r->headers_out.content_length_n = ngx_http_phota_spool_size(p->spool);

    len = ngx_strlen(p->content_type);

    if (len) {
        r->headers_out.content_type.data = (u_char *) p->content_type;
        r->headers_out.content_type.len = len;
        r->headers_out.content_type_len = len;
    }

    if (ngx_http_phota_common_headers(r, ctx) != NGX_OK
        || ngx_http_phota_cache_status(r, ctx) != NGX_OK
        || ngx_http_phota_charge_headers(r, ctx) != NGX_OK
        || ngx_http_phota_amount_headers(r, ctx) != NGX_OK
        || ngx_http_phota_upstream_headers(r, ctx, 1) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* a POST's answer has neither ranges nor conditions */

    r->disable_not_modified = 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, out);
}


static void
ngx_http_phota_release_spool(void *data)
{
    ngx_http_phota_spool_free(data);
}


