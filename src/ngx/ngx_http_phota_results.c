
/*
 * phota_results: stored pictures at signed links.  A link says for whom it was
 * made, which picture it is for and until when; a bad one learns nothing, not
 * even whether there is such a picture.  Ranges and conditions are nginx's.
 */


#include "ngx_http_phota_module.h"


static ngx_int_t ngx_http_phota_results_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_phota_results_find(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static ngx_int_t ngx_http_phota_results_wait(ngx_http_request_t *r);
static void ngx_http_phota_results_fetched(ngx_http_request_t *r,
    ngx_int_t rc);
static void ngx_http_phota_results_proved(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_int_t ngx_http_phota_results_send(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static ngx_int_t ngx_http_phota_results_headers(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static ngx_int_t ngx_http_phota_results_refuse(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_uint_t status, const char *code,
    const char *detail);


char *
ngx_http_phota_results(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                        *rv;
    size_t                       i;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_phota_main_conf_t  *pmcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->name.len > 512) {
        return "needs a location with a shorter name";
    }

    for (i = 0; i < clcf->name.len; i++) {
        if (clcf->name.data[i] <= 0x20 || clcf->name.data[i] >= 0x7f
            || clcf->name.data[i] == '"' || clcf->name.data[i] == '\\'
            || clcf->name.data[i] == '%' || clcf->name.data[i] == '?')
        {
            return "needs a location whose name is part of a URL as it "
                   "stands";
        }
    }

    rv = ngx_http_phota_serve_here(cf, ngx_http_phota_results_handler);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    pmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_phota_module);

    /* links lead to the first, where nothing else is said */

    if (pmcf->results.len == 0) {
        pmcf->results = clcf->name;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_phota_results_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_phota_main_conf_t *pmcf = conf;

    size_t      i;
    ngx_str_t  *value;

    if (pmcf->results_url.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if ((ngx_strncmp(value[1].data, "http://", 7) != 0
         && ngx_strncmp(value[1].data, "https://", 8) != 0)
        || value[1].data[value[1].len - 1] != '/'
        || value[1].len > 512)
    {
        return "must begin with \"http://\" or \"https://\" and end with "
               "\"/\"";
    }

    for (i = 0; i < value[1].len; i++) {
        if (value[1].data[i] <= 0x20 || value[1].data[i] >= 0x7f
            || value[1].data[i] == '"' || value[1].data[i] == '\\')
        {
            return "has characters that no URL has";
        }
    }

    pmcf->results_url = value[1];

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_http_phota_has_links(void)
{
    return ngx_http_phota_worker.conf->results.len
           || ngx_http_phota_worker.conf->results_url.len;
}


ngx_int_t
ngx_http_phota_results_base(ngx_http_request_t *r, phota_str_t *base)
{
    ngx_http_phota_main_conf_t  *pmcf;

    pmcf = ngx_http_phota_worker.conf;

    if (pmcf->results_url.len) {
        base->data = pmcf->results_url.data;
        base->len = pmcf->results_url.len;
        return NGX_OK;
    }

    return ngx_http_phota_absolute(r, &pmcf->results, base);
}


ngx_int_t
ngx_http_phota_absolute(ngx_http_request_t *r, ngx_str_t *path,
    phota_str_t *url)
{
    u_char      *p;
    size_t       len;
    ngx_str_t   *host;
    ngx_uint_t   i, https;

    https = 0;

#if (NGX_HTTP_SSL)
    https = (r->connection->ssl != NULL);
#endif

    /* with its port, as the client has written it */

    host = &r->headers_in.server;

    if (r->headers_in.host && r->headers_in.host->value.len) {
        host = &r->headers_in.host->value;
    }

    len = sizeof("https://") - 1 + host->len + path->len;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    url->data = p;

    p = https ? ngx_cpymem(p, "https://", sizeof("https://") - 1)
              : ngx_cpymem(p, "http://", sizeof("http://") - 1);

    /* nginx has checked it; what JSON would have to escape is no host's */

    for (i = 0; i < host->len; i++) {
        *p++ = (host->data[i] > 0x20 && host->data[i] < 0x7f
                && host->data[i] != '"' && host->data[i] != '\\')
               ? host->data[i] : '-';
    }

    p = ngx_cpymem(p, path->data, path->len);

    url->len = p - url->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_results_handler(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    phota_link_t               link;
    ngx_http_phota_ctx_t      *ctx;
    ngx_http_phota_hit_t      *hit;
    ngx_http_core_loc_conf_t  *clcf;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_phota_ctx_t));
    hit = ngx_pcalloc(r->pool, sizeof(ngx_http_phota_hit_t));

    if (ctx == NULL || hit == NULL) {
        return NGX_ERROR;
    }

    /* not resolved: a token that is no use here is masked before the log */

    ctx->answered = 1;
    ctx->hit = hit;

    ngx_http_set_ctx(r, ctx, ngx_http_phota_module);

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r->uri.len < clcf->name.len
        || phota_link_parse(&ngx_http_phota_worker.keyring.linker,
                            r->uri.data + clcf->name.len,
                            r->uri.len - clcf->name.len,
                            r->args.data, r->args.len, phota_now() / 1000,
                            &link)
           != PHOTA_OK)
    {
        return ngx_http_phota_results_refuse(r, ctx, NGX_HTTP_FORBIDDEN,
                                       "OPERATION_NOT_ALLOWED",
                                       "the link is not valid or has expired");
    }

    hit->results = ngx_pcalloc(r->pool, sizeof(phota_result_t));
    if (hit->results == NULL) {
        return NGX_ERROR;
    }

    hit->results->scope = link.scope;
    hit->results->tenant = link.tenant;
    hit->linked = link.expires * 1000;

    ngx_memcpy(hit->results->pictures[0].digest, link.digest,
               PHOTA_SHA256_LEN);

    rc = ngx_http_phota_fetch(r, NULL, link.scope, link.digest,
                              ngx_http_phota_results_fetched);

    return (rc == NGX_AGAIN) ? ngx_http_phota_results_wait(r)
           : (rc == NGX_OK) ? ngx_http_phota_results_find(r, ctx) : rc;
}


static ngx_int_t
ngx_http_phota_results_wait(ngx_http_request_t *r)
{
    r->main->count++;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


static void
ngx_http_phota_results_fetched(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_phota_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    ngx_http_finalize_request(r, ngx_http_phota_results_find(r, ctx));
}


static ngx_int_t
ngx_http_phota_results_find(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    int                    rc;
    MDB_txn               *txn;
    ngx_int_t              proven;
    phota_piece_t         *piece;
    phota_result_t        *result;
    phota_picture_t       *picture;
    ngx_http_phota_hit_t  *hit;

    hit = ctx->hit;
    result = hit->results;
    picture = &result->pictures[0];

    txn = ngx_http_phota_read_cache();

    if (txn == NULL) {
        return ngx_http_phota_results_refuse(r, ctx,
                                       NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "UNAVAILABLE",
                                       "the cache cannot be read now");
    }

    piece = &hit->rendering.pieces[0];

    piece->picture = picture;
    piece->scope = result->scope;

    if (ngx_http_phota_pin(r, piece, 1) != NGX_OK) {
        ngx_http_phota_read_end(txn);
        return NGX_ERROR;
    }

    rc = phota_cache_picture(&ngx_http_phota_worker.cache, txn,
                             result->scope, picture->digest, picture);

    ngx_http_phota_read_end(txn);

    if (rc != PHOTA_OK) {
        return ngx_http_phota_results_refuse(r, ctx, NGX_HTTP_NOT_FOUND,
                                       "NOT_FOUND",
                                       "the picture is not stored any more");
    }

    hit->rendering.npieces = 1;
    hit->rendering.length = picture->length;

    proven = ngx_http_phota_prove(r, piece, 1, NULL,
                                  ngx_http_phota_results_proved);

    if (proven == NGX_AGAIN) {
        return ngx_http_phota_results_wait(r);
    }

    return (proven == NGX_OK) ? ngx_http_phota_results_send(r, ctx)
                              : NGX_ERROR;
}


static void
ngx_http_phota_results_proved(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_phota_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    if (rc == NGX_OK) {
        rc = ngx_http_phota_results_send(r, ctx);

    } else {
        rc = ngx_http_phota_results_refuse(r, ctx, NGX_HTTP_NOT_FOUND,
                                       "NOT_FOUND",
                                       "the picture is not stored any more");
    }

    ngx_http_finalize_request(r, rc);
}


static ngx_int_t
ngx_http_phota_results_send(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (ngx_http_phota_results_headers(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_phota_send(r, ctx, &ctx->hit->rendering, 1);
}


static ngx_int_t
ngx_http_phota_results_headers(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx)
{
    int                    n;
    char                   buf[PHOTA_SHA256_LEN * 2 + 3];
    uint64_t               now, left;
    ngx_table_elt_t       *etag;
    phota_picture_t       *picture;
    ngx_http_phota_hit_t  *hit;

    hit = ctx->hit;
    picture = &hit->results->pictures[0];

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = picture->length;
    r->headers_out.content_type.data =
                                (u_char *) phota_picture_mime(picture->type);
    r->headers_out.content_type.len =
                              ngx_strlen(phota_picture_mime(picture->type));
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    /* its parts of an answer that is made on the way: one range at most */

    r->allow_ranges = 1;
    r->single_range = 1;

    now = phota_now();
    left = (hit->linked > now) ? (hit->linked - now) / 1000 : 0;

    n = snprintf(buf, sizeof(buf), "private, max-age=%llu",
                 (unsigned long long) left);

    if (ngx_http_phota_header(r, "Cache-Control", (u_char *) buf, n)
        != NGX_OK
        || ngx_http_phota_header(r, "X-Content-Type-Options",
                                 (u_char *) "nosniff", sizeof("nosniff") - 1)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    buf[0] = '"';
    phota_hex_format(buf + 1, picture->digest, PHOTA_SHA256_LEN);
    buf[PHOTA_SHA256_LEN * 2 + 1] = '"';

    if (ngx_http_phota_header(r, "ETag", (u_char *) buf,
                              PHOTA_SHA256_LEN * 2 + 2)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* the last one that was pushed */

    etag = r->headers_out.headers.last->elts;
    r->headers_out.etag = &etag[r->headers_out.headers.last->nelts - 1];

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_results_refuse(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_uint_t status, const char *code,
    const char *detail)
{
    static ngx_str_t  store = ngx_string("no-store");

    ngx_http_phota_refuse(ctx, status, code, detail);

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        ctx->refusal.retry_after = 1;
    }

    if (ngx_http_phota_header(r, "Cache-Control", store.data, store.len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->hit = NULL;

    return ngx_http_phota_send_error(r, ctx);
}
