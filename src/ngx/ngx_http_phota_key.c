
/*
 * The upstream key: unsealed for a moment, and handed only to a call that the
 * module made itself, through a location that loses no money.
 */


#include "ngx_http_phota_module.h"


ngx_int_t
ngx_http_phota_have_key(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    int                         rc;
    size_t                      len;
    u_char                      key[PHOTA_KEY_MAX];
    ngx_http_phota_about_t      about;
    ngx_http_phota_worker_t    *worker;
    ngx_http_phota_loc_conf_t  *plcf;

    worker = &ngx_http_phota_worker;
    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    len = sizeof(key);
    rc = phota_directory_key(worker->directory, worker->conf->master,
                             &ctx->tenant, plcf->provider, PHOTA_SECRET_KEY,
                             key, &len);

    phota_cleanse(key, sizeof(key));

    if (rc == PHOTA_INVALID) {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0,
                                ngx_http_phota_about(&about, ctx),
                                "the master key does not open the upstream "
                                "key", NULL);
    }

    return (rc == PHOTA_OK) ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_phota_upstream_key(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    size_t                      len;
    u_char                     *key;
    ngx_http_phota_ctx_t       *ctx;
    ngx_http_phota_about_t      about;
    ngx_http_phota_worker_t    *worker;
    ngx_http_phota_loc_conf_t  *plcf;
    ngx_http_phota_purchase_t  *p;

    v->len = 0;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = (u_char *) "";

    ctx = ngx_http_phota_caller(r);

    /* anywhere but in the call that the module made there is no key */

    if (ctx == NULL || ctx->state != NGX_HTTP_PHOTA_CALL
        || r->upstream == NULL || r->upstream->peer.connection)
    {
        return NGX_OK;
    }

    if (ctx->errand && ctx->errand->outbound) {
        ngx_http_phota_say_some(NGX_LOG_ALERT, r->connection->log, 0,
                                ngx_http_phota_about(&about, ctx),
                                "a location for calls to others has asked for "
                                "the upstream key", "\"%V\"", &r->uri);
        return NGX_OK;
    }

    /* a try_files on the way here has taken it away; from now on it stays */

    ngx_http_set_ctx(r, ctx, ngx_http_phota_module);

    p = ctx->purchase;
    p->key_asked = 1;

    p->unsafe = ngx_http_phota_unsafe(r, r->upstream->conf);

    if (p->unsafe) {
        ngx_http_phota_say_some(NGX_LOG_ERR, r->connection->log, 0,
                                ngx_http_phota_about(&about, ctx),
                                "a location gets no key", "%s, that of \"%V\"",
                                p->unsafe, &r->uri);
        return NGX_OK;
    }

    key = ngx_pnalloc(r->pool, PHOTA_KEY_MAX);
    if (key == NULL) {
        return NGX_ERROR;
    }

    worker = &ngx_http_phota_worker;
    len = PHOTA_KEY_MAX;

    /* of the door's provider, wherever the call has come to */

    plcf = ngx_http_get_module_loc_conf(r->main, ngx_http_phota_module);

    if (phota_directory_key(worker->directory, worker->conf->master,
                            &ctx->tenant, plcf->provider, PHOTA_SECRET_KEY,
                            key, &len)
        != PHOTA_OK)
    {
        return NGX_OK;
    }

    p->key_given = 1;

    v->data = key;
    v->len = len;

    return NGX_OK;
}


const char *
ngx_http_phota_unsafe(ngx_http_request_t *r, ngx_http_upstream_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!conf->ignore_client_abort) {
        return "it needs \"proxy_ignore_client_abort on\"";
    }

    if (!(conf->next_upstream & NGX_HTTP_UPSTREAM_FT_OFF)) {
        return "it needs \"proxy_next_upstream off\"";
    }

    if (conf->store) {
        return "it needs \"proxy_store off\"";
    }

    if (conf->intercept_errors && clcf->error_pages) {
        return "it needs \"proxy_intercept_errors off\"";
    }

#if (NGX_HTTP_CACHE)
    if (conf->cache) {
        return "it needs \"proxy_cache off\"";
    }
#endif

    return NULL;
}
