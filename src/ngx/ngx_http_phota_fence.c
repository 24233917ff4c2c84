
/*
 * Fences: tenants that share an account don't see each other.  A profile or job
 * that isn't the tenant's own looks like one that doesn't exist, before a byte
 * goes up; what an account has one namespace for goes up under names that no
 * other tenant has.  A tenant with an account of its own is exempt.
 */


#include "ngx_http_phota_module.h"


/* characters, as the upstream documents it */

#define NGX_HTTP_PHOTA_TAG_MAX  128


static ngx_int_t ngx_http_phota_fence_profile(ngx_http_phota_ctx_t *ctx,
    const phota_str_t *id);
static void ngx_http_phota_fence_unreadable(ngx_http_phota_ctx_t *ctx);
static void ngx_http_phota_fence_field(ngx_http_phota_ctx_t *ctx,
    const char *field, uint64_t offset, const char *detail);
static ngx_int_t ngx_http_phota_alias_text(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, phota_spot_e spot, ngx_str_t *text);
static ngx_int_t ngx_http_phota_alias_callback(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_phota_upward_t *upward);
static ngx_uint_t ngx_http_phota_alias_present(ngx_http_phota_ctx_t *ctx,
    phota_spot_e spot);
static ngx_int_t ngx_http_phota_alias_query(ngx_http_request_t *r,
    u_char *value, size_t len, ngx_str_t *text);


ngx_int_t
ngx_http_phota_fence_route(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    switch (ctx->route->id) {

    case PHOTA_ROUTE_JOB:
        return ngx_http_phota_async_poll(r, ctx);

    case PHOTA_ROUTE_SECRET:
        return (ngx_http_phota_tell_secret(r, ctx) == NGX_OK) ? NGX_DECLINED
                                                              : NGX_ERROR;

    case PHOTA_ROUTE_PROFILES:
        break;

    default:

        if (phota_tenant_fenced(&ctx->tenant)
            && ngx_http_phota_fence_profile(ctx, &ctx->route_id) != NGX_OK)
        {
            if (ctx->refusal.status == 0) {
                ngx_http_phota_refuse(ctx, NGX_HTTP_NOT_FOUND, "NOT_FOUND",
                                      "there is no such profile");
            }

            return NGX_DECLINED;
        }
    }

    return ngx_http_phota_relay(r, ctx);
}


/* NGX_OK when it is the tenant's; NGX_DECLINED, with a refusal if unknown */

static ngx_int_t
ngx_http_phota_fence_profile(ngx_http_phota_ctx_t *ctx,
    const phota_str_t *id)
{
    int               rc;
    MDB_txn          *txn;
    phota_profile_t   profile;

    txn = ngx_http_phota_read_books();

    if (txn == NULL) {
        ngx_http_phota_fence_unreadable(ctx);
        return NGX_DECLINED;
    }

    rc = phota_profile_get(&ngx_http_phota_worker.profiles, txn, id->data,
                           id->len, &profile, NULL);

    ngx_http_phota_read_end(txn);

    if (rc == PHOTA_ERROR) {
        ngx_http_phota_fence_unreadable(ctx);
        return NGX_DECLINED;
    }

    return (rc == PHOTA_OK && profile.tenant == ctx->tenant.id)
           ? NGX_OK : NGX_DECLINED;
}


static void
ngx_http_phota_fence_unreadable(ngx_http_phota_ctx_t *ctx)
{
    ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                          "BOOKS_UNAVAILABLE",
                          "the books cannot be read; nothing was bought");
    ctx->refusal.retry_after = 1;
}


ngx_int_t
ngx_http_phota_fence_body(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    unsigned       i;
    phota_named_t  named;

    if (!phota_tenant_fenced(&ctx->tenant)) {
        return NGX_OK;
    }

    for (i = 0;
         phota_fingerprint_named(ctx->fingerprint, i, &named) == PHOTA_OK;
         i++)
    {
        if (ngx_http_phota_fence_profile(ctx, &named.id) == NGX_OK) {
            continue;
        }

        if (ctx->refusal.status == 0) {
            ngx_http_phota_fence_field(ctx, named.prompt ? "prompt"
                                                         : "profile_ids",
                                       named.offset,
                                       "there is no such profile; nothing "
                                       "was bought");
        }

        return NGX_DECLINED;
    }

    if (ctx->scan.vague) {

        /* what only the upstream could read may be anybody's */

        ngx_http_phota_fence_field(ctx, "profile_ids", 0,
                                   "it cannot be read which profiles are "
                                   "named; nothing was bought");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static void
ngx_http_phota_fence_field(ngx_http_phota_ctx_t *ctx, const char *field,
    uint64_t offset, const char *detail)
{
    ngx_http_phota_refuse(ctx, 422, "INVALID_REQUEST", detail);

    ctx->refusal.field = field;
    ctx->refusal.offset = offset;
}


ngx_int_t
ngx_http_phota_alias_body(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    u_char                   *p;
    ngx_http_phota_upward_t  *upward;

    if (!ngx_http_phota_alias_present(ctx, PHOTA_SPOT_REQUEST_ID)
        && !ngx_http_phota_alias_present(ctx, PHOTA_SPOT_TAG)
        && !ngx_http_phota_alias_present(ctx, PHOTA_SPOT_CALLBACK))
    {
        return NGX_OK;
    }

    upward = ngx_pcalloc(r->pool, sizeof(ngx_http_phota_upward_t));
    if (upward == NULL) {
        return NGX_ERROR;
    }

    ctx->upward = upward;

    if (ngx_http_phota_alias_text(r, ctx, PHOTA_SPOT_REQUEST_ID,
                                  &upward->request_id)
        != NGX_OK
        || ngx_http_phota_alias_text(r, ctx, PHOTA_SPOT_TAG, &upward->tag)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->scan.nameless && phota_tenant_fenced(&ctx->tenant)) {

        /* the account may have a job of that name, of whatever tenant */

        ngx_http_phota_fence_field(ctx, "client_request_id",
                                   ctx->scan.spots[PHOTA_SPOT_REQUEST_ID].at,
                                   "it must be a string that isn't empty");
        return NGX_DECLINED;
    }

    if (upward->request_id.len > PHOTA_JOB_ID_MAX) {
        ngx_http_phota_fence_field(ctx, "client_request_id",
                                   ctx->scan.spots[PHOTA_SPOT_REQUEST_ID].at,
                                   "it is longer than 255 bytes");
        return NGX_DECLINED;
    }

    if (ngx_utf8_length(upward->tag.data, upward->tag.len)
        > NGX_HTTP_PHOTA_TAG_MAX)
    {
        ngx_http_phota_fence_field(ctx, "tag",
                                   ctx->scan.spots[PHOTA_SPOT_TAG].at,
                                   "it is longer than 128 characters");
        return NGX_DECLINED;
    }

    if (upward->request_id.len && phota_tenant_fenced(&ctx->tenant)) {
        p = ngx_pnalloc(r->pool, PHOTA_ALIAS_UUID);

        if (p == NULL
            || phota_alias_request(ngx_http_phota_aliases,
                                   ctx->tenant.id, upward->request_id.data,
                                   upward->request_id.len, (char *) p)
               != PHOTA_OK)
        {
            return NGX_ERROR;
        }

        upward->alias.data = p;
        upward->alias.len = ngx_strlen(p);
    }

    return ngx_http_phota_alias_callback(r, ctx, upward);
}


static ngx_uint_t
ngx_http_phota_alias_present(ngx_http_phota_ctx_t *ctx, phota_spot_e spot)
{
    return ctx->scan.spots[spot].end != 0;
}


/* the fingerprint goes when the body has been decided about */

static ngx_int_t
ngx_http_phota_alias_text(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    phota_spot_e spot, ngx_str_t *text)
{
    phota_str_t  found;

    if (phota_fingerprint_text(ctx->fingerprint, spot, &found) != PHOTA_OK
        || found.len == 0)
    {
        return NGX_OK;
    }

    text->data = ngx_pnalloc(r->pool, found.len);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    text->len = found.len;
    ngx_memcpy(text->data, found.data, found.len);

    return NGX_OK;
}


/* only a job has one: what else is to become of it the upstream says */

static ngx_int_t
ngx_http_phota_alias_callback(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_phota_upward_t *upward)
{
    const char                 *fault;
    ngx_http_phota_loc_conf_t  *plcf;

    if (!ctx->scan.async) {
        return NGX_OK;
    }

    if (ngx_http_phota_alias_text(r, ctx, PHOTA_SPOT_CALLBACK,
                                  &upward->callback)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (upward->callback.len == 0) {
        return NGX_OK;
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    fault = plcf->outbound.len
            ? ngx_http_phota_outbound_fault(&upward->callback)
            : "callbacks are not delivered here; nothing was bought";

    if (fault) {
        ngx_http_phota_fence_field(ctx, "callback_url",
                                   ctx->scan.spots[PHOTA_SPOT_CALLBACK].at,
                                   fault);
        return NGX_DECLINED;
    }

    upward->called_back = 1;

    return NGX_OK;
}


/*
 * By which tag profiles are listed is looked at here, not by the upstream:
 * those that were adopted have tags of their own.
 */

ngx_int_t
ngx_http_phota_alias_args(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_str_t *args)
{
    u_char  *p, *last, *next, *end, *out;

    if (ctx->route == NULL || ctx->route->id != PHOTA_ROUTE_PROFILES
        || !phota_tenant_fenced(&ctx->tenant) || args->len == 0)
    {
        return NGX_OK;
    }

    out = ngx_pnalloc(r->pool, args->len);
    if (out == NULL) {
        return NGX_ERROR;
    }

    p = args->data;
    last = p + args->len;

    args->data = out;

    for ( /* void */ ; p < last; p = next) {

        end = ngx_strlchr(p, last, '&');
        next = end ? end + 1 : last;
        end = end ? end : last;

        /* an empty one is the upstream's to refuse */

        if ((size_t) (end - p) <= sizeof("tag=") - 1
            || ngx_strncmp(p, "tag=", sizeof("tag=") - 1) != 0)
        {
            out = ngx_cpymem(out, p, next - p);
            continue;
        }

        p += sizeof("tag=") - 1;

        if (ngx_http_phota_alias_query(r, p, end - p, &ctx->listed)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (out > args->data && out[-1] == '&') {
        out--;
    }

    args->len = out - args->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_alias_query(ngx_http_request_t *r, u_char *value, size_t len,
    ngx_str_t *text)
{
    u_char  *src, *dst;
    size_t   i;

    text->data = ngx_pnalloc(r->pool, len);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < len; i++) {
        text->data[i] = (value[i] == '+') ? ' ' : value[i];
    }

    src = text->data;
    dst = text->data;

    ngx_unescape_uri(&dst, &src, len, 0);

    text->len = dst - text->data;

    return NGX_OK;
}
