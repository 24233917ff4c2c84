
/*
 * What a client says about one request in its headers: Cache-Control as
 * RFC 9111 has it for requests, Idempotency-Key and Phota-Tag.
 */


#include "ngx_http_phota_module.h"


static void ngx_http_phota_cache_control(ngx_http_phota_ctx_t *ctx,
    ngx_str_t *value);
static void ngx_http_phota_cache_directive(ngx_http_phota_ctx_t *ctx,
    u_char *p, size_t len);
static ngx_int_t ngx_http_phota_tag(ngx_http_phota_ctx_t *ctx,
    ngx_str_t *value);
static ngx_int_t ngx_http_phota_key(ngx_http_phota_ctx_t *ctx,
    ngx_str_t *value);
static ngx_uint_t ngx_http_phota_printable(ngx_str_t *value, size_t max);
static ngx_uint_t ngx_http_phota_named(ngx_table_elt_t *h, const char *name);


ngx_int_t
ngx_http_phota_read_controls(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (ngx_http_phota_named(&h[i], "Cache-Control")) {
            ngx_http_phota_cache_control(ctx, &h[i].value);
            continue;
        }

        if (ngx_http_phota_named(&h[i], "Phota-Dry-Run")) {

            /* who asks for a trial must not find it bought */

            ngx_http_phota_refuse(ctx, 422, "INVALID_REQUEST",
                                  "trials are not offered; nothing was "
                                  "bought");
            ctx->refusal.field = "Phota-Dry-Run";
            return NGX_DECLINED;
        }

        if (ngx_http_phota_named(&h[i], "Phota-Tag")
            && ngx_http_phota_tag(ctx, &h[i].value) != NGX_OK)
        {
            return NGX_DECLINED;
        }

        if (ngx_http_phota_named(&h[i], "Idempotency-Key")
            && ngx_http_phota_key(ctx, &h[i].value) != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static void
ngx_http_phota_cache_control(ngx_http_phota_ctx_t *ctx, ngx_str_t *value)
{
    u_char  *p, *start, *last;

    p = value->data;
    last = p + value->len;

    while (p < last) {

        while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        start = p;

        while (p < last && *p != ',') {
            p++;
        }

        while (p > start && (p[-1] == ' ' || p[-1] == '\t')) {
            p--;
        }

        ngx_http_phota_cache_directive(ctx, start, p - start);

        while (p < last && *p != ',') {
            p++;
        }
    }
}


static void
ngx_http_phota_cache_directive(ngx_http_phota_ctx_t *ctx, u_char *p,
    size_t len)
{
    ngx_int_t  n;

    if (len == sizeof("no-cache") - 1
        && ngx_strncasecmp(p, (u_char *) "no-cache", len) == 0)
    {
        ctx->no_cache = 1;

    } else if (len == sizeof("no-store") - 1
               && ngx_strncasecmp(p, (u_char *) "no-store", len) == 0)
    {
        ctx->no_store = 1;

    } else if (len == sizeof("only-if-cached") - 1
               && ngx_strncasecmp(p, (u_char *) "only-if-cached", len) == 0)
    {
        ctx->only_if_cached = 1;

    } else if (len > sizeof("max-age=") - 1
               && ngx_strncasecmp(p, (u_char *) "max-age=",
                                  sizeof("max-age=") - 1)
                  == 0)
    {
        n = ngx_atoi(p + sizeof("max-age=") - 1,
                     len - (sizeof("max-age=") - 1));

        if (n != NGX_ERROR) {
            ctx->max_age = n;
        }
    }
}


static ngx_int_t
ngx_http_phota_tag(ngx_http_phota_ctx_t *ctx, ngx_str_t *value)
{
    if (!ngx_http_phota_printable(value, PHOTA_NAME_MAX)) {
        ngx_http_phota_refuse(ctx, 422, "INVALID_REQUEST",
                              "Phota-Tag takes 1 to 64 printable characters");
        ctx->refusal.field = "Phota-Tag";
        return NGX_DECLINED;
    }

    ngx_memcpy(ctx->tag, value->data, value->len);
    ctx->tag[value->len] = '\0';

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_key(ngx_http_phota_ctx_t *ctx, ngx_str_t *value)
{
    u_char  digest[PHOTA_SHA256_LEN];

    if (!ngx_http_phota_printable(value, PHOTA_REPLAY_KEY_MAX)) {
        ngx_http_phota_refuse(ctx, 422, "INVALID_REQUEST",
                              "Idempotency-Key takes 1 to 255 printable "
                              "characters");
        ctx->refusal.field = "Idempotency-Key";
        return NGX_DECLINED;
    }

    if (phota_replay_digest(digest, value->data, value->len) != PHOTA_OK) {
        return NGX_ERROR;
    }

    if (ctx->keyed
        && ngx_memcmp(ctx->replay_key, digest, PHOTA_SHA256_LEN) != 0)
    {
        ngx_http_phota_refuse(ctx, 422, "INVALID_REQUEST",
                              "two Idempotency-Keys: which one counts?");
        ctx->refusal.field = "Idempotency-Key";
        return NGX_DECLINED;
    }

    ngx_memcpy(ctx->replay_key, digest, PHOTA_SHA256_LEN);
    ctx->keyed = 1;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_phota_printable(ngx_str_t *value, size_t max)
{
    size_t  i;

    for (i = 0; i < value->len; i++) {
        if (value->data[i] < 0x20 || value->data[i] > 0x7e) {
            return 0;
        }
    }

    return value->len != 0 && value->len <= max;
}


static ngx_uint_t
ngx_http_phota_named(ngx_table_elt_t *h, const char *name)
{
    size_t  len;

    len = ngx_strlen(name);

    return h->key.len == len
           && ngx_strncasecmp(h->key.data, (u_char *) name, len) == 0;
}
