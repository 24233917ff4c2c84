
/*
 * The headers of an answer: whose request it was, what it cost, where it came
 * from, and what of the upstream's own is passed on.
 */


#include "ngx_http_phota_module.h"


#define NGX_HTTP_PHOTA_ID  16           /* bytes of a request's id */


static void ngx_http_phota_source(ngx_http_phota_ctx_t *ctx, char *buf,
    size_t size);
static ngx_uint_t ngx_http_phota_passes(ngx_str_t *key, ngx_uint_t whole);


/*
 * The value of $request_id as nginx itself makes it, of random bytes that are
 * fetched for many requests at once.
 */

ngx_http_variable_value_t *
ngx_http_phota_request_id(ngx_http_request_t *r)
{
    u_char                     *id;
    ngx_http_variable_value_t  *v;

    static size_t  left;
    static u_char  bytes[NGX_HTTP_PHOTA_ID * 64];

    r = r->main;
    v = &r->variables[ngx_http_phota_worker.conf->request_id];

    if (v->valid || v->not_found) {
        return v->not_found ? NULL : v;
    }

    if (left == 0) {
        if (phota_random(bytes, sizeof(bytes)) != PHOTA_OK) {
            return NULL;
        }

        left = sizeof(bytes);
    }

    id = ngx_pnalloc(r->pool, 2 * NGX_HTTP_PHOTA_ID);
    if (id == NULL) {
        return NULL;
    }

    left -= NGX_HTTP_PHOTA_ID;
    (void) ngx_hex_dump(id, &bytes[left], NGX_HTTP_PHOTA_ID);

    v->data = id;
    v->len = 2 * NGX_HTTP_PHOTA_ID;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return v;
}


ngx_int_t
ngx_http_phota_header(ngx_http_request_t *r, const char *name,
    const u_char *value, size_t len)
{
    u_char           *p;
    ngx_table_elt_t  *h;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, value, len);

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    h->key.len = ngx_strlen(name);
    h->key.data = (u_char *) name;
    h->value.len = len;
    h->value.data = p;

#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return NGX_OK;
}


ngx_int_t
ngx_http_phota_common_headers(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx)
{
    char                        buf[PHOTA_SHA256_LEN * 2 + 1];
    ngx_int_t                   rc;
    ngx_http_variable_value_t  *id;

    id = ngx_http_phota_request_id(r);
    if (id == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_phota_header(r, "Phota-Request-Id", id->data, id->len);

    if (rc == NGX_OK && ctx->refusal.status) {
        rc = ngx_http_phota_header(r, "X-Request-Id", id->data, id->len);
    }

    if (rc == NGX_OK && ctx->refusal.retry_after) {
        (void) snprintf(buf, sizeof(buf), "%u",
                        (unsigned) ctx->refusal.retry_after);
        rc = ngx_http_phota_header(r, "Retry-After", (u_char *) buf,
                                   ngx_strlen(buf));
    }

    if (rc == NGX_OK && ctx->scanned) {
        phota_hex_format(buf, ctx->scan.digest, PHOTA_SHA256_LEN);
        rc = ngx_http_phota_header(r, "Phota-Fingerprint", (u_char *) buf,
                                   PHOTA_SHA256_LEN * 2);
    }

    if (rc == NGX_OK && ctx->refusal.status
        && (ctx->only_if_cached || ctx->named))
    {
        rc = ngx_http_phota_header(r, "Cache-Status",
                                   (u_char *) "phota; detail=none",
                                   sizeof("phota; detail=none") - 1);
    }

    return rc;
}


ngx_int_t
ngx_http_phota_cache_status(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    int   n;
    char  buf[256], key[PHOTA_SHA256_LEN * 2 + 1];

    ngx_http_phota_source(ctx, buf, sizeof(buf));

    n = ngx_strlen(buf);

    if (ctx->trial) {
        n += snprintf(buf + n, sizeof(buf) - n, "; detail=dry-run");

    } else if (ctx->replay) {
        n += snprintf(buf + n, sizeof(buf) - n, "; detail=replay");
    }

    if (ctx->scanned) {
        phota_hex_format(key, ctx->scan.digest, PHOTA_SHA256_LEN);
        n += snprintf(buf + n, sizeof(buf) - n, "; key=\"%s\"", key);
    }

    return ngx_http_phota_header(r, "Cache-Status", (u_char *) buf, n);
}


/* RFC 9211: where the answer comes from */

static void
ngx_http_phota_source(ngx_http_phota_ctx_t *ctx, char *buf, size_t size)
{
    uint64_t                    now, ttl;
    const char                 *fwd;
    ngx_http_phota_purchase_t  *p;

    p = ctx->purchase;

    if (ctx->joined) {
        (void) snprintf(buf, size, "phota; fwd=uri-miss; collapsed");
        return;
    }

    if (ctx->replay && ctx->hit == NULL) {
        (void) snprintf(buf, size, "phota; hit; ttl=0");
        return;
    }

    if (ctx->hit && !ctx->bought) {
        now = phota_now();
        ttl = (ctx->hit->expires > now) ? (ctx->hit->expires - now) / 1000
                                        : 0;

        (void) snprintf(buf, size, "phota; hit; ttl=%llu",
                        (unsigned long long) ttl);
        return;
    }

    switch (ctx->cache) {

    case NGX_HTTP_PHOTA_CACHE_MISS:
        fwd = ctx->pooled ? "miss" : "uri-miss";
        break;

    case NGX_HTTP_PHOTA_CACHE_REFRESH:
        fwd = "request";
        break;

    default:
        fwd = "bypass";
    }

    (void) snprintf(buf, size, "phota; fwd=%s%s", fwd,
                    (p && p->stored && p->storable) ? "; stored" : "");
}


ngx_int_t
ngx_http_phota_money_headers(ngx_http_request_t *r, int64_t cost,
    int64_t price, int64_t saved)
{
    char        buf[PHOTA_USD_TEXT];
    ngx_uint_t  i;

    struct {
        const char  *name;
        int64_t      amount;
    } columns[] = {
        { "Phota-Cost", cost },
        { "Phota-Price", price },
        { "Phota-Saved", saved }
    };

    for (i = 0; i < 3; i++) {
        phota_usd_format(buf, columns[i].amount);

        if (ngx_http_phota_header(r, columns[i].name, (u_char *) buf,
                                  ngx_strlen(buf))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_phota_charge_headers(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx)
{
    char              text[PHOTA_ID_TEXT];
    const phota_id_t  *id;

    if (ctx->replay) {
        id = &ctx->replayed;

    } else if (ctx->purchase && ctx->purchase->held) {
        id = &ctx->purchase->charge.id;

    } else {
        return NGX_OK;
    }

    phota_id_format(text, id);

    return ngx_http_phota_header(r, "Phota-Charge-Id", (u_char *) text,
                                 ngx_strlen(text));
}


ngx_int_t
ngx_http_phota_amount_headers(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx)
{
    ngx_http_phota_purchase_t  *p;

    p = ctx->purchase;

    /* what is unknown is not said to cost nothing */

    if (p == NULL || !p->held || !p->settled || p->pending
        || p->charge.state == PHOTA_STATE_UNKNOWN
        || p->charge.state == PHOTA_STATE_HELD)
    {
        return NGX_OK;
    }

    return ngx_http_phota_money_headers(r, p->charge.cost, p->charge.price,
                                        p->charge.saved);
}


/* whole: the answer goes out as it came, with all that is said of it */

ngx_int_t
ngx_http_phota_upstream_headers(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_uint_t whole)
{
    ngx_uint_t                  i;
    ngx_list_part_t            *part;
    ngx_table_elt_t            *h, *copy;
    ngx_http_phota_purchase_t  *p;

    p = ctx->purchase;

    if (p->outcome.request_id[0]
        && ngx_http_phota_header(r, "X-Request-Id",
                                 (u_char *) p->outcome.request_id,
                                 ngx_strlen(p->outcome.request_id))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->call == NULL) {

        /* another's call was joined: this is what is known of it */

        return p->retry_after[0]
               ? ngx_http_phota_header(r, "Retry-After",
                                       (u_char *) p->retry_after,
                                       ngx_strlen(p->retry_after))
               : NGX_OK;
    }

    part = &ctx->call->headers_out.headers.part;
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

        if (h[i].hash == 0 || !ngx_http_phota_passes(&h[i].key, whole)) {
            continue;
        }

        copy = ngx_list_push(&r->headers_out.headers);
        if (copy == NULL) {
            return NGX_ERROR;
        }

        *copy = h[i];

#if (nginx_version >= 1023000)
        copy->next = NULL;
#endif
    }

    return NGX_OK;
}


/* not Location: who follows it would carry his token to the upstream */

static ngx_uint_t
ngx_http_phota_passes(ngx_str_t *key, ngx_uint_t whole)
{
    ngx_uint_t  i;

    static ngx_str_t  names[] = {
        ngx_string("Retry-After"),
        ngx_string("Cache-Control"),
        ngx_string("Content-Disposition"),
        ngx_string("Content-Encoding"),
        ngx_string("ETag"),
        ngx_null_string
    };

    if (key->len > sizeof("X-Phota-") - 1
        && ngx_strncasecmp(key->data, (u_char *) "X-Phota-",
                           sizeof("X-Phota-") - 1)
           == 0)
    {
        return 1;
    }

    if (!whole) {
        return 0;
    }

    for (i = 0; names[i].len; i++) {
        if (key->len == names[i].len
            && ngx_strncasecmp(key->data, names[i].data, names[i].len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
