
/*
 * What a client says about one request in its headers: Cache-Control as
 * RFC 9111 has it for requests, Idempotency-Key, and those of our own.
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
static ngx_int_t ngx_http_phota_trial_header(ngx_http_phota_ctx_t *ctx,
    ngx_str_t *value);
static ngx_int_t ngx_http_phota_variation(ngx_http_phota_ctx_t *ctx,
    ngx_str_t *value);
static ngx_int_t ngx_http_phota_known(ngx_http_phota_ctx_t *ctx,
    ngx_str_t *value);
static ngx_int_t ngx_http_phota_known_as(ngx_http_phota_ctx_t *ctx,
    u_char *p, size_t len);
static ngx_int_t ngx_http_phota_ill(ngx_http_phota_ctx_t *ctx,
    const char *field, const char *detail);
static ngx_uint_t ngx_http_phota_printable(ngx_str_t *value, size_t max);
static ngx_uint_t ngx_http_phota_named(ngx_table_elt_t *h, const char *name);


ngx_int_t
ngx_http_phota_read_controls(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t         rc;
    ngx_uint_t        i, k;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static const struct {
        const char   *name;
        ngx_int_t   (*read)(ngx_http_phota_ctx_t *ctx, ngx_str_t *value);
    } controls[] = {
        { "Phota-Tag", ngx_http_phota_tag },
        { "Phota-Dry-Run", ngx_http_phota_trial_header },
        { "Phota-Variation", ngx_http_phota_variation },
        { "Phota-Fingerprint", ngx_http_phota_known },
        { "Idempotency-Key", ngx_http_phota_key }
    };

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

        for (k = 0; k < sizeof(controls) / sizeof(controls[0]); k++) {

            if (!ngx_http_phota_named(&h[i], controls[k].name)) {
                continue;
            }

            rc = controls[k].read(ctx, &h[i].value);

            if (rc != NGX_OK) {
                return rc;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_ill(ngx_http_phota_ctx_t *ctx, const char *field,
    const char *detail)
{
    ngx_http_phota_refuse(ctx, 422, "INVALID_REQUEST", detail);
    ctx->refusal.field = field;

    return NGX_DECLINED;
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

        /* more than 68 years are as many: what else they are is RFC 9111's */

        if (n != NGX_ERROR) {
            ctx->max_age = ngx_min(n, NGX_MAX_INT32_VALUE);
        }
    }
}


static ngx_int_t
ngx_http_phota_tag(ngx_http_phota_ctx_t *ctx, ngx_str_t *value)
{
    if (!ngx_http_phota_printable(value, PHOTA_NAME_MAX)) {
        return ngx_http_phota_ill(ctx, "Phota-Tag",
                                  "Phota-Tag takes 1 to 64 printable "
                                  "characters");
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
        return ngx_http_phota_ill(ctx, "Idempotency-Key",
                                  "Idempotency-Key takes 1 to 255 printable "
                                  "characters");
    }

    if (phota_replay_digest(digest, value->data, value->len) != PHOTA_OK) {
        return NGX_ERROR;
    }

    if (ctx->keyed
        && ngx_memcmp(ctx->replay_key, digest, PHOTA_SHA256_LEN) != 0)
    {
        return ngx_http_phota_ill(ctx, "Idempotency-Key",
                                  "two Idempotency-Keys: which one counts?");
    }

    ngx_memcpy(ctx->replay_key, digest, PHOTA_SHA256_LEN);
    ctx->keyed = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_trial_header(ngx_http_phota_ctx_t *ctx, ngx_str_t *value)
{
    if (value->len == 1 && value->data[0] == '0') {
        return NGX_OK;
    }

    if (value->len != 1 || value->data[0] != '1') {

        /* who asks for a trial must not find it bought */

        return ngx_http_phota_ill(ctx, "Phota-Dry-Run",
                                  "Phota-Dry-Run is 1 or 0; nothing was "
                                  "bought");
    }

    ctx->trial = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_variation(ngx_http_phota_ctx_t *ctx, ngx_str_t *value)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    if (n == NGX_ERROR || n < 1 || value->len > 9) {
        return ngx_http_phota_ill(ctx, "Phota-Variation",
                                  "Phota-Variation is a number from 1 on");
    }

    ctx->variation = n;

    return NGX_OK;
}


/* a fingerprint, and what else of a body decides how it is answered */

static ngx_int_t
ngx_http_phota_known(ngx_http_phota_ctx_t *ctx, ngx_str_t *value)
{
    size_t   len;
    u_char  *p, *last, *end;

    p = value->data;
    last = p + value->len;
    end = ngx_strlchr(p, last, ';');
    end = end ? end : last;

    for (len = end - p; len && p[len - 1] == ' '; len--) { /* void */ }

    if (phota_hex_parse(ctx->scan.digest, PHOTA_SHA256_LEN, (char *) p, len)
        != PHOTA_OK)
    {
        return ngx_http_phota_ill(ctx, "Phota-Fingerprint",
                                  "Phota-Fingerprint begins with the 64 hex "
                                  "digits of an earlier answer");
    }

    ctx->named = 1;
    ctx->scanned = 1;
    ctx->scan.outputs = 1;
    ctx->scan.mode = PHOTA_MODE_BYTES;

    while (end < last) {

        for (p = end + 1; p < last && *p == ' '; p++) { /* void */ }

        end = ngx_strlchr(p, last, ';');
        end = end ? end : last;

        for (len = end - p; len && p[len - 1] == ' '; len--) { /* void */ }

        if (ngx_http_phota_known_as(ctx, p, len) != NGX_OK) {
            return ngx_http_phota_ill(ctx, "Phota-Fingerprint",
                                      "after the digits may follow "
                                      "\"; outputs=N\" and \"; mode=urls\" or "
                                      "\"; mode=bytes\"");
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_known_as(ngx_http_phota_ctx_t *ctx, u_char *p, size_t len)
{
    ngx_int_t  n;

    if (len == sizeof("mode=urls") - 1
        && ngx_strncmp(p, "mode=urls", len) == 0)
    {
        ctx->scan.mode = PHOTA_MODE_URLS;
        return NGX_OK;
    }

    if (len == sizeof("mode=bytes") - 1
        && ngx_strncmp(p, "mode=bytes", len) == 0)
    {
        ctx->scan.mode = PHOTA_MODE_BYTES;
        return NGX_OK;
    }

    if (len > sizeof("outputs=") - 1 && len < sizeof("outputs=") + 3
        && ngx_strncmp(p, "outputs=", sizeof("outputs=") - 1) == 0)
    {
        n = ngx_atoi(p + sizeof("outputs=") - 1,
                     len - (sizeof("outputs=") - 1));

        if (n > 0 && n <= PHOTA_PICTURES_MAX) {
            ctx->scan.outputs = n;
            return NGX_OK;
        }
    }

    return NGX_ERROR;
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
