
/*
 * Answers made of stored pictures, and what they are worth: hits, joins,
 * replays, and purchases that are told otherwise than the upstream told them.
 */


#include "ngx_http_phota_module.h"


static ngx_int_t ngx_http_phota_hit_status(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);


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
        *cost = p->charge.cost;
        *price = p->charge.price;
        *saved = p->charge.saved;
        return NGX_OK;
    }

    *saved = ctx->hit->saved;

    return NGX_OK;
}


ngx_int_t
ngx_http_phota_send_hit(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t              rc;
    ngx_uint_t             i;
    ngx_http_phota_hit_t  *hit;

    hit = ctx->hit;

    if (ctx->named) {

        /* the body was not asked for, and is not awaited */

        r->expect_tested = 1;

        rc = ngx_http_discard_request_body(r);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ctx->told) {

        /* its result is told later, for as long as links live */

        hit->linked = phota_now() + NGX_HTTP_PHOTA_LINK_SPARE
                 + (uint64_t) ngx_http_phota_worker.conf->results_valid
                   * 1000;

        rc = ngx_http_phota_send_told(r, ctx);

    } else if (ngx_http_phota_hit_status(r, ctx) == NGX_OK) {
        rc = ngx_http_send_header(r);

    } else {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    /* links are links, however the answer came to be */

    for (i = 0; i < hit->nresults; i++) {
        ngx_http_phota_count_use(&hit->results[i], hit->linked);
    }

    if (!ctx->replay && !ctx->bought && ctx->purchase == NULL) {
        ngx_http_phota_count_hit(ctx, hit->saved);
    }

    if (ctx->told) {
        return rc;
    }

    if (r->header_only) {
        return rc;
    }

    if (ctx->named && ngx_http_phota_linger(r) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_phota_send(r, ctx, &hit->rendering, 0);
}


static ngx_int_t
ngx_http_phota_hit_status(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    int                     n;
    char                    buf[64];
    int64_t                 cost, price, saved;
    uint64_t                now, age;
    ngx_http_phota_hit_t   *hit;
    const phota_result_t   *last;

    hit = ctx->hit;
    last = hit->picks[hit->npicks - 1].result;

    r->headers_out.status = last->status;
    r->headers_out.content_length_n = hit->rendering.length;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->disable_not_modified = 1;

    if (ngx_http_phota_common_headers(r, ctx) != NGX_OK
        || ngx_http_phota_cache_status(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->bought) {

        if (ngx_http_phota_upstream_headers(r, ctx, 0) != NGX_OK) {
            return NGX_ERROR;
        }

    } else {
        now = phota_now();
        age = (now > hit->stored) ? (now - hit->stored) / 1000 : 0;

        n = snprintf(buf, sizeof(buf), "%llu", (unsigned long long) age);

        if (ngx_http_phota_header(r, "Age", (u_char *) buf, n) != NGX_OK) {
            return NGX_ERROR;
        }

        if (last->request_id[0]
            && ngx_http_phota_header(r, "X-Request-Id",
                                     (u_char *) last->request_id,
                                     ngx_strlen(last->request_id))
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_http_phota_charge_headers(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    (void) ngx_http_phota_hit_money(ctx, &cost, &price, &saved);

    return ngx_http_phota_money_headers(r, cost, price, saved);
}
