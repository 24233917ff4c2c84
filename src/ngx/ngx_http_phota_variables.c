
/*
 * $phota_*: what a log line, a limit or a map may know about a request; "-"
 * where there is nothing to know.  The getters make no state.
 */


#include "ngx_http_phota_module.h"


typedef enum {
    NGX_HTTP_PHOTA_VAR_TENANT = 0,
    NGX_HTTP_PHOTA_VAR_TOKEN_ID,
    NGX_HTTP_PHOTA_VAR_OPERATION,
    NGX_HTTP_PHOTA_VAR_CACHE_STATUS,
    NGX_HTTP_PHOTA_VAR_FINGERPRINT,
    NGX_HTTP_PHOTA_VAR_CHARGE_ID,
    NGX_HTTP_PHOTA_VAR_OUTPUTS,
    NGX_HTTP_PHOTA_VAR_COST,
    NGX_HTTP_PHOTA_VAR_PRICE,
    NGX_HTTP_PHOTA_VAR_SAVED
} ngx_http_phota_var_e;


static ngx_int_t ngx_http_phota_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void ngx_http_phota_about_request(ngx_http_phota_ctx_t *ctx,
    ngx_uint_t var, char *buf, size_t size);
static void ngx_http_phota_about_hit(ngx_http_phota_ctx_t *ctx,
    ngx_uint_t var, char *buf, size_t size);
static void ngx_http_phota_about_charge(ngx_http_phota_purchase_t *p,
    ngx_uint_t var, char *buf, size_t size);


static ngx_http_variable_t  ngx_http_phota_vars[] = {

    { ngx_string("phota_tenant"), NULL, ngx_http_phota_variable,
      NGX_HTTP_PHOTA_VAR_TENANT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("phota_token_id"), NULL, ngx_http_phota_variable,
      NGX_HTTP_PHOTA_VAR_TOKEN_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("phota_operation"), NULL, ngx_http_phota_variable,
      NGX_HTTP_PHOTA_VAR_OPERATION, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("phota_cache_status"), NULL, ngx_http_phota_variable,
      NGX_HTTP_PHOTA_VAR_CACHE_STATUS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("phota_fingerprint"), NULL, ngx_http_phota_variable,
      NGX_HTTP_PHOTA_VAR_FINGERPRINT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("phota_charge_id"), NULL, ngx_http_phota_variable,
      NGX_HTTP_PHOTA_VAR_CHARGE_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("phota_outputs"), NULL, ngx_http_phota_variable,
      NGX_HTTP_PHOTA_VAR_OUTPUTS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("phota_cost"), NULL, ngx_http_phota_variable,
      NGX_HTTP_PHOTA_VAR_COST, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("phota_price"), NULL, ngx_http_phota_variable,
      NGX_HTTP_PHOTA_VAR_PRICE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("phota_saved"), NULL, ngx_http_phota_variable,
      NGX_HTTP_PHOTA_VAR_SAVED, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("phota_upstream_key"), NULL, ngx_http_phota_upstream_key,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("phota_outbound_url"), NULL,
      ngx_http_phota_outbound_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("phota_outbound_host"), NULL,
      ngx_http_phota_outbound_variable, 1, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("phota_outbound_name"), NULL,
      ngx_http_phota_outbound_variable, 2, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_phota_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_phota_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    char                   buf[PHOTA_SHA256_LEN * 2 + 1];
    size_t                 len;
    ngx_http_phota_ctx_t  *ctx;

    ctx = ngx_http_phota_resolve(r);

    buf[0] = '-';
    buf[1] = '\0';

    if (ctx) {
        if (data <= NGX_HTTP_PHOTA_VAR_FINGERPRINT) {
            ngx_http_phota_about_request(ctx, data, buf, sizeof(buf));

        } else if (ctx->hit) {
            ngx_http_phota_about_hit(ctx, data, buf, sizeof(buf));

        } else if (ctx->purchase && ctx->purchase->held) {
            ngx_http_phota_about_charge(ctx->purchase, data, buf,
                                        sizeof(buf));
        }
    }

    len = ngx_strlen(buf);

    v->data = ngx_pnalloc(r->pool, len);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(v->data, buf, len);

    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static void
ngx_http_phota_about_request(ngx_http_phota_ctx_t *ctx, ngx_uint_t var,
    char *buf, size_t size)
{
    static const char  *names[] = {
        "-", "HIT", "MISS", "JOIN", "BYPASS", "REFRESH"
    };

    switch (var) {

    case NGX_HTTP_PHOTA_VAR_TENANT:
        if (ctx->tenant.id) {
            (void) snprintf(buf, size, "%s", ctx->tenant.name);
        }

        break;

    case NGX_HTTP_PHOTA_VAR_TOKEN_ID:
        if (ctx->tenant.id) {
            (void) snprintf(buf, size, "%u", ctx->token);
        }

        break;

    case NGX_HTTP_PHOTA_VAR_OPERATION:
        if (ctx->operation) {
            (void) snprintf(buf, size, "%s",
                            phota_operation_name(ctx->operation->id));
        }

        break;

    case NGX_HTTP_PHOTA_VAR_CACHE_STATUS:
        (void) snprintf(buf, size, "%s", names[ctx->cache]);
        break;

    default: /* NGX_HTTP_PHOTA_VAR_FINGERPRINT */
        if (ctx->scanned) {
            phota_hex_format(buf, ctx->scan.digest, PHOTA_SHA256_LEN);
        }
    }
}


static void
ngx_http_phota_about_hit(ngx_http_phota_ctx_t *ctx, ngx_uint_t var, char *buf,
    size_t size)
{
    int64_t  cost, price, saved;

    (void) ngx_http_phota_hit_money(ctx, &cost, &price, &saved);

    switch (var) {

    case NGX_HTTP_PHOTA_VAR_CHARGE_ID:
        if (ctx->replay) {
            phota_id_format(buf, &ctx->replayed);

        } else if (ctx->purchase && ctx->purchase->held) {
            phota_id_format(buf, &ctx->purchase->charge.id);
        }

        break;

    case NGX_HTTP_PHOTA_VAR_OUTPUTS:
        (void) snprintf(buf, size, "%u", (unsigned) ctx->hit->outputs);
        break;

    case NGX_HTTP_PHOTA_VAR_COST:
        phota_usd_format(buf, cost);
        break;

    case NGX_HTTP_PHOTA_VAR_PRICE:
        phota_usd_format(buf, price);
        break;

    default: /* NGX_HTTP_PHOTA_VAR_SAVED */
        phota_usd_format(buf, saved);
    }
}


static void
ngx_http_phota_about_charge(ngx_http_phota_purchase_t *p, ngx_uint_t var,
    char *buf, size_t size)
{
    if (var == NGX_HTTP_PHOTA_VAR_CHARGE_ID) {
        phota_id_format(buf, &p->charge.id);
        return;
    }

    if (!p->settled || p->charge.state == PHOTA_STATE_HELD) {
        return;
    }

    switch (var) {

    case NGX_HTTP_PHOTA_VAR_OUTPUTS:
        (void) snprintf(buf, size, "%u", p->charge.outputs);
        break;

    case NGX_HTTP_PHOTA_VAR_COST:
        phota_usd_format(buf, p->charge.cost);
        break;

    case NGX_HTTP_PHOTA_VAR_PRICE:
        phota_usd_format(buf, p->charge.price);
        break;

    default: /* NGX_HTTP_PHOTA_VAR_SAVED */
        phota_usd_format(buf, p->charge.saved);
    }
}
