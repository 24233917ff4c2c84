
/*
 * Locations that the module serves itself, and directives that say which
 * operations are answered from the cache, for how long, and by which URLs.
 */


#include "ngx_http_phota_module.h"


static ngx_uint_t ngx_http_phota_operations(ngx_conf_t *cf, ngx_str_t *name);


char *
ngx_http_phota_serve_here(ngx_conf_t *cf, ngx_http_handler_pt handler)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->exact_match || clcf->named || clcf->noname
#if (NGX_PCRE)
        || clcf->regex
#endif
        || clcf->name.len == 0
        || clcf->name.data[clcf->name.len - 1] != '/')
    {
        return "needs a prefix location that ends with \"/\"";
    }

    if (clcf->handler) {
        return "is duplicate, or the location has a handler already";
    }

    clcf->handler = handler;

    return NGX_CONF_OK;
}


char *
ngx_http_phota_cache(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_phota_loc_conf_t *plcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i, bits;

    if (plcf->cached_set) {
        return "is duplicate";
    }

    plcf->cached_set = 1;
    plcf->cached = 0;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        bits = ngx_http_phota_operations(cf, &value[i]);

        if (bits == 0) {
            return NGX_CONF_ERROR;
        }

        plcf->cached |= bits;
    }

    return NGX_CONF_OK;
}


/*
 * A bit for each operation that is meant, of whatever provider: which of them a
 * door has, its provider says.  What makes no picture is not kept.
 */

static ngx_uint_t
ngx_http_phota_operations(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t                i, bits;
    const phota_operation_t  *op;

    bits = 0;

    for (i = 0; i < PHOTA_OP_MAX; i++) {
        op = &phota_operations[i];

        if (op->answer != PHOTA_ANSWER_PROFILE
            && ((op->name.len == name->len
                 && ngx_memcmp(op->name.data, name->data, name->len) == 0)
                || (op->label.len == name->len
                    && ngx_memcmp(op->label.data, name->data, name->len)
                       == 0)))
        {
            bits |= 1 << i;
        }
    }

    if (bits == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown operation \"%V\"", name);
    }

    return bits;
}


char *
ngx_http_phota_cache_valid(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_phota_loc_conf_t *plcf = conf;

    time_t       valid;
    ngx_str_t   *value;
    ngx_uint_t   i, k, n, bits;

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    valid = ngx_parse_time(&value[n], 1);

    if (valid == (time_t) NGX_ERROR || valid == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time value \"%V\"", &value[n]);
        return NGX_CONF_ERROR;
    }

    if (n == 1) {
        for (i = 0; i < PHOTA_OP_MAX; i++) {
            if (plcf->valid[i] == NGX_CONF_UNSET) {
                plcf->valid[i] = valid;
            }
        }

        return NGX_CONF_OK;
    }

    for (i = 1; i < n; i++) {
        bits = ngx_http_phota_operations(cf, &value[i]);

        if (bits == 0) {
            return NGX_CONF_ERROR;
        }

        for (k = 0; k < PHOTA_OP_MAX; k++) {
            if (bits & (1 << k)) {
                plcf->valid[k] = valid;
            }
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_phota_signing_params(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_phota_loc_conf_t *plcf = conf;

    ngx_str_t    *value;
    ngx_uint_t    i;
    phota_str_t  *param;

    if (plcf->signing != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    plcf->signing = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                     sizeof(phota_str_t));
    if (plcf->signing == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        param = ngx_array_push(plcf->signing);

        param->len = value[i].len;
        param->data = value[i].data;
    }

    return NGX_CONF_OK;
}
