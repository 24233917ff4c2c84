
/*
 * Who calls, and whether this path is his.  One function finds the token,
 * looks its tenant up in the worker's directory and masks the token in place,
 * so that no log line can show it.  ACCESS only decides: the refusal itself is
 * sent by the content handler, since stock access rules run after ours.
 */


#include "ngx_http_phota_module.h"


#define NGX_HTTP_PHOTA_TOKEN_NONE   0
#define NGX_HTTP_PHOTA_TOKEN_GOOD   1
#define NGX_HTTP_PHOTA_TOKEN_BAD    2


typedef struct {
    ngx_uint_t  state;
    ngx_uint_t  admin;              /* an operator's is looked for */
    u_char      digest[PHOTA_SHA256_LEN];
} ngx_http_phota_credential_t;


static ngx_int_t ngx_http_phota_identify_operator(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_phota_credential_t *cred);
static void ngx_http_phota_credentials(ngx_http_request_t *r,
    ngx_http_phota_credential_t *cred);
static ngx_uint_t ngx_http_phota_carries_token(ngx_table_elt_t *h,
    ngx_str_t *token);
static void ngx_http_phota_take(ngx_http_phota_credential_t *cred,
    ngx_str_t *token);
static void ngx_http_phota_mask(ngx_str_t *token);
static void ngx_http_phota_mask_within(ngx_str_t *text);
static void ngx_http_phota_identify(ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_credential_t *cred);
static ngx_uint_t ngx_http_phota_unprintable(ngx_http_request_t *r);
static ngx_uint_t ngx_http_phota_forbidden(ngx_http_request_t *r);


ngx_http_phota_ctx_t *
ngx_http_phota_resolve(ngx_http_request_t *r)
{
    ngx_http_phota_ctx_t         *ctx;
    ngx_http_phota_loc_conf_t    *plcf;
    ngx_http_phota_credential_t   cred;

    r = r->main;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    if (ctx && ctx->resolved) {
        return ctx;
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    if (plcf->pass.data == NULL) {
        return ctx;
    }

    if (ctx == NULL) {
        ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_phota_ctx_t));
        if (ctx == NULL) {
            return NULL;
        }

        ctx->max_age = -1;

        ngx_http_set_ctx(r, ctx, ngx_http_phota_module);
    }

    ctx->resolved = 1;

    ngx_memzero(&cred, sizeof(ngx_http_phota_credential_t));

    ngx_http_phota_credentials(r, &cred);
    ngx_http_phota_identify(ctx, &cred);

    return ctx;
}


/* an operator's context: his token, or a refusal */

ngx_http_phota_ctx_t *
ngx_http_phota_resolve_operator(ngx_http_request_t *r)
{
    ngx_http_phota_ctx_t         *ctx;
    ngx_http_phota_credential_t   cred;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    if (ctx && ctx->resolved) {
        return ctx;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_phota_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ctx->resolved = 1;
    ctx->max_age = -1;

    ngx_http_set_ctx(r, ctx, ngx_http_phota_module);

    ngx_memzero(&cred, sizeof(ngx_http_phota_credential_t));
    cred.admin = 1;

    ngx_http_phota_credentials(r, &cred);

    return (ngx_http_phota_identify_operator(r, ctx, &cred) == NGX_OK)
           ? ctx : NULL;
}


static ngx_int_t
ngx_http_phota_identify_operator(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_phota_credential_t *cred)
{
    const phota_token_t      *token;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (worker->directory == NULL) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "BOOKS_UNAVAILABLE",
                              "the books cannot be read");
        ctx->refusal.retry_after = 1;
        return NGX_OK;
    }

    if (cred->state != NGX_HTTP_PHOTA_TOKEN_GOOD
        || phota_directory_admin(worker->directory, cred->digest,
                                 phota_now(), &token)
           != PHOTA_OK)
    {
        ngx_http_phota_refuse(ctx, NGX_HTTP_UNAUTHORIZED, "UNAUTHORIZED",
                              "an operator's token is required in "
                              "Authorization: Bearer");
        return NGX_OK;
    }

    /* a copy: the directory may go while the request is here */

    ctx->admin = ngx_palloc(r->pool, sizeof(phota_token_t));
    if (ctx->admin == NULL) {
        return NGX_ERROR;
    }

    *ctx->admin = *token;
    ctx->token = token->id;

    return NGX_OK;
}


static void
ngx_http_phota_credentials(ngx_http_request_t *r,
    ngx_http_phota_credential_t *cred)
{
    ngx_str_t         token;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    /* a token in the wrong place lets nobody in, and is no less a secret */

    ngx_http_phota_mask_within(&r->request_line);
    ngx_http_phota_mask_within(&r->unparsed_uri);
    ngx_http_phota_mask_within(&r->args);
    ngx_http_phota_mask_within(&r->uri);

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

        if (!ngx_http_phota_carries_token(&h[i], &token)) {
            ngx_http_phota_mask_within(&h[i].value);
            continue;
        }

        if (cred) {
            ngx_http_phota_take(cred, &token);
        }

        ngx_http_phota_mask(&token);
    }
}


static ngx_uint_t
ngx_http_phota_carries_token(ngx_table_elt_t *h, ngx_str_t *token)
{
    ngx_uint_t          i;
    const phota_str_t  *name;

    *token = h->value;

    /* where the clients of any vendor have their key */

    for (i = 0; i < PHOTA_PROVIDER_MAX; i++) {
        name = &phota_providers[i].key_header;

        if (h->key.len == name->len
            && ngx_strncasecmp(h->key.data, (u_char *) name->data, name->len)
               == 0)
        {
            return token->len != 0;
        }
    }

    if (h->key.len != sizeof("authorization") - 1
        || ngx_strncasecmp(h->key.data, (u_char *) "authorization",
                           sizeof("authorization") - 1)
           != 0
        || token->len < sizeof("Bearer ") - 1
        || ngx_strncasecmp(token->data, (u_char *) "Bearer ",
                           sizeof("Bearer ") - 1)
           != 0)
    {
        return 0;
    }

    token->data += sizeof("Bearer ") - 1;
    token->len -= sizeof("Bearer ") - 1;

    while (token->len && token->data[0] == ' ') {
        token->data++;
        token->len--;
    }

    return token->len != 0;
}


static void
ngx_http_phota_take(ngx_http_phota_credential_t *cred, ngx_str_t *token)
{
    u_char  digest[PHOTA_SHA256_LEN];

    if (cred->state == NGX_HTTP_PHOTA_TOKEN_BAD) {
        return;
    }

    if ((cred->admin ? phota_admin_digest(token->data, token->len, digest)
                     : phota_token_digest(token->data, token->len, digest))
        != PHOTA_OK)
    {
        cred->state = NGX_HTTP_PHOTA_TOKEN_BAD;
        return;
    }

    if (cred->state == NGX_HTTP_PHOTA_TOKEN_GOOD
        && phota_memcmp(cred->digest, digest, PHOTA_SHA256_LEN) != 0)
    {
        cred->state = NGX_HTTP_PHOTA_TOKEN_BAD;
        return;
    }

    cred->state = NGX_HTTP_PHOTA_TOKEN_GOOD;
    ngx_memcpy(cred->digest, digest, PHOTA_SHA256_LEN);
}


static void
ngx_http_phota_mask(ngx_str_t *token)
{
    ngx_memset(token->data, '*', token->len);
}


static void
ngx_http_phota_mask_within(ngx_str_t *text)
{
    u_char  *p, *last;

    p = text->data;
    last = p + text->len;

    while (last - p >= PHOTA_TOKEN_LEN) {

        p = ngx_strlchr(p, last - PHOTA_TOKEN_LEN + 1, 'p');

        if (p == NULL) {
            return;
        }

        if (phota_token_begins(p)) {
            ngx_memset(p, '*', PHOTA_TOKEN_LEN);
            p += PHOTA_TOKEN_LEN;
            continue;
        }

        p++;
    }
}


static void
ngx_http_phota_identify(ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_credential_t *cred)
{
    const phota_token_t      *token;
    const phota_tenant_t     *tenant;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (worker->directory == NULL) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "BOOKS_UNAVAILABLE",
                              "the books cannot be read; nothing was bought");
        ctx->refusal.retry_after = 1;
        return;
    }

    if (cred->state != NGX_HTTP_PHOTA_TOKEN_GOOD
        || phota_directory_find(worker->directory, cred->digest,
                                phota_now(), &tenant, &token)
           != PHOTA_OK)
    {
        ngx_http_phota_refuse(ctx, NGX_HTTP_UNAUTHORIZED, "UNAUTHORIZED",
                              "a valid token is required in X-API-Key or "
                              "Authorization: Bearer");
        return;
    }

    ctx->tenant = *tenant;
    ctx->token = token->id;
    ctx->token_limits = token->limits;

    if (tenant->flags & PHOTA_TENANT_SUSPENDED) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_FORBIDDEN, "TENANT_SUSPENDED",
                              "the tenant is suspended");
    }
}


/* whoever was let in and is gone since buys nothing, and is told why */

ngx_uint_t
ngx_http_phota_removed(ngx_http_phota_ctx_t *ctx)
{
    const phota_tenant_t  *tenant;

    if (phota_directory_tenant(ngx_http_phota_worker.directory,
                               ctx->tenant.id, &tenant)
        == PHOTA_OK)
    {
        return 0;
    }

    ngx_http_phota_refuse(ctx, NGX_HTTP_UNAUTHORIZED, "UNAUTHORIZED",
                          "the tenant was removed; nothing was bought");

    return 1;
}


ngx_int_t
ngx_http_phota_preaccess(ngx_http_request_t *r)
{
    ngx_http_phota_loc_conf_t  *plcf;

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    if (plcf->pass.data && r == r->main && ngx_http_phota_resolve(r) == NULL)
    {
        return NGX_ERROR;
    }

    if (plcf->api && r == r->main
        && ngx_http_phota_resolve_operator(r) == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_phota_access(ngx_http_request_t *r)
{
    ngx_http_phota_ctx_t       *ctx;
    ngx_http_phota_loc_conf_t  *plcf;

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    if (plcf->pass.data == NULL || r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_phota_resolve(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_http_phota_authorize(r, ctx);

    return NGX_DECLINED;
}


void
ngx_http_phota_authorize(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    phota_str_t                 method;
    const phota_operation_t    *op;
    ngx_http_phota_loc_conf_t  *plcf;

    if (ctx->authorized || ctx->refusal.status) {
        return;
    }

    ctx->authorized = 1;

    /* no path of the vendor's */

    if (ngx_http_phota_usage_asked(r)) {
        ctx->usage = 1;
        return;
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    op = phota_operation_by_path(plcf->provider, r->uri.data, r->uri.len);

    if (op && r->method == NGX_HTTP_POST) {
        ctx->operation = op;
        return;
    }

    method.data = r->method_name.data;
    method.len = r->method_name.len;

    if (ngx_http_phota_unprintable(r)) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_FORBIDDEN, "OPERATION_NOT_ALLOWED",
                              "the path has control characters");
        return;
    }

    ctx->route = phota_route_find(plcf->provider, &method, r->uri.data,
                                  r->uri.len, &ctx->route_id);
    if (ctx->route) {
        return;
    }

    if (!phota_tenant_fenced(&ctx->tenant)
        && (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))
        && !ngx_http_phota_forbidden(r))
    {
        return;
    }

    ngx_http_phota_refuse(ctx, NGX_HTTP_FORBIDDEN, "OPERATION_NOT_ALLOWED",
                          "this method and path are not offered to the "
                          "tenant");
}


/*
 * nginx writes the path of a subrequest into the error log as it stands: with
 * the end of a line in it the rest would be a line of the client's own.
 */

static ngx_uint_t
ngx_http_phota_unprintable(ngx_http_request_t *r)
{
    size_t  i;

    for (i = 0; i < r->uri.len; i++) {
        if (r->uri.data[i] < ' ' || r->uri.data[i] == 0x7f) {
            return 1;
        }
    }

    return 0;
}


/* what belongs to the account as a whole stays with whoever owns it */

static ngx_uint_t
ngx_http_phota_forbidden(ngx_http_request_t *r)
{
    u_char  *p, *last;

    static u_char  name[] = "webhook-secret";

    last = r->uri.data + r->uri.len;

    for (p = r->uri.data; p < last; p++) {
        if (*p != '/') {
            continue;
        }

        if ((size_t) (last - p) >= sizeof(name)
            && ngx_strncasecmp(p + 1, name, sizeof(name) - 1) == 0
            && (p + sizeof(name) == last || p[sizeof(name)] == '/'))
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_phota_log(ngx_http_request_t *r)
{
    ngx_http_phota_ctx_t  *ctx;

    /*
     * A request that was refused before its door was known, or that hit no
     * door at all, is masked here; no state is made, nobody would free it.
     */

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_phota_module);

    if (ctx == NULL || !ctx->resolved) {
        ngx_http_phota_credentials(r->main, NULL);
    }

    if (ctx && r == r->main) {
        ngx_http_phota_meter_request(r, ctx);
    }

    return NGX_OK;
}
