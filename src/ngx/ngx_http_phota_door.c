
/*
 * Doors: the locations that tenants call, with the provider behind each and
 * the internal locations that lead out of it.  They are looked at when nginx
 * starts, and found again for calls that no client makes.
 */


#include "ngx_http_phota_module.h"


static ngx_int_t ngx_http_phota_check_way(ngx_conf_t *cf,
    ngx_http_phota_door_t *door, const char *directive, ngx_str_t *prefix);
static ngx_http_core_loc_conf_t *ngx_http_phota_find_location(
    ngx_http_location_tree_node_t *node, ngx_str_t *uri,
    ngx_http_core_loc_conf_t *best);


char *
ngx_http_phota_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_phota_loc_conf_t *plcf = conf;

    ngx_str_t                   *value;
    ngx_http_phota_door_t       *door;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_phota_main_conf_t  *pmcf;

    if (plcf->pass.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len < 2 || value[1].data[0] != '/'
        || value[1].data[value[1].len - 1] != '/')
    {
        return "must name an internal location that begins and ends "
               "with \"/\"";
    }

    plcf->pass = value[1];

    pmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_phota_module);

    door = ngx_array_push(&pmcf->doors);
    if (door == NULL) {
        return NGX_CONF_ERROR;
    }

    door->prefix = value[1];
    door->conf_ctx = cf->ctx;
    door->server = ngx_http_conf_get_module_srv_conf(cf,
                                                     ngx_http_core_module);
    door->file = cf->conf_file->file.name.data;
    door->line = cf->conf_file->line;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_phota_content;

    return NGX_CONF_OK;
}


char *
ngx_http_phota_provider(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_phota_loc_conf_t *plcf = conf;

    ngx_str_t               *value;
    const phota_provider_t  *provider;

    if (plcf->provider != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    provider = phota_provider_by_name(value[1].data, value[1].len);

    if (provider == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "unknown provider \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    plcf->provider = provider->id;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_phota_check_door(ngx_conf_t *cf, ngx_http_phota_door_t *door)
{
    ngx_http_phota_loc_conf_t  *plcf;

    plcf = door->conf_ctx->loc_conf[ngx_http_phota_module.ctx_index];

    if (ngx_http_phota_check_way(cf, door, "phota_pass", &door->prefix)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return plcf->outbound.len
           ? ngx_http_phota_check_way(cf, door, "phota_outbound",
                                      &plcf->outbound)
           : NGX_OK;
}


static ngx_int_t
ngx_http_phota_check_way(ngx_conf_t *cf, ngx_http_phota_door_t *door,
    const char *directive, ngx_str_t *prefix)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = door->server->ctx->loc_conf[ngx_http_core_module.ctx_index];

    clcf = ngx_http_phota_find_location(clcf->static_locations, prefix, NULL);

    if (clcf == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "no location matches \"%s %V\" in %s:%ui",
                      directive, prefix, door->file, door->line);
        return NGX_ERROR;
    }

    if (!clcf->internal) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" of \"%s %V\" in %s:%ui must be "
                      "internal: clients could call it past the books",
                      &clcf->name, directive, prefix, door->file, door->line);
        return NGX_ERROR;
    }

    /* the door has let the body in already */

    clcf->client_max_body_size = 0;

    return NGX_OK;
}


/* the longest prefix location that takes the uri */

static ngx_http_core_loc_conf_t *
ngx_http_phota_find_location(ngx_http_location_tree_node_t *node,
    ngx_str_t *uri, ngx_http_core_loc_conf_t *best)
{
    ngx_http_core_loc_conf_t  *clcf;

    if (node == NULL) {
        return best;
    }

    clcf = node->inclusive;

    if (clcf
        && clcf->name.len <= uri->len
        && ngx_strncmp(clcf->name.data, uri->data, clcf->name.len) == 0
        && (best == NULL || clcf->name.len > best->name.len))
    {
        best = clcf;
    }

    best = ngx_http_phota_find_location(node->left, uri, best);
    best = ngx_http_phota_find_location(node->right, uri, best);

    return ngx_http_phota_find_location(node->tree, uri, best);
}


ngx_http_phota_door_t *
ngx_http_phota_door(ngx_uint_t provider, const char *prefix)
{
    size_t                      len;
    ngx_uint_t                  i;
    ngx_array_t                *doors;
    ngx_http_phota_door_t      *door, *other;
    ngx_http_phota_loc_conf_t  *plcf;

    len = ngx_strlen(prefix);
    doors = &ngx_http_phota_worker.conf->doors;
    door = doors->elts;
    other = NULL;

    for (i = 0; i < doors->nelts; i++) {
        plcf = door[i].conf_ctx->loc_conf[ngx_http_phota_module.ctx_index];

        if (plcf->provider != provider) {
            continue;
        }

        if (door[i].prefix.len == len
            && ngx_memcmp(door[i].prefix.data, prefix, len) == 0)
        {
            return &door[i];
        }

        if (other == NULL) {
            other = &door[i];
        }
    }

    return other;
}


ngx_int_t
ngx_http_phota_route_path(ngx_pool_t *pool, ngx_uint_t provider,
    phota_route_e id, const phota_str_t *name, ngx_str_t *path)
{
    u_char               *p;
    unsigned              i;
    const phota_route_t  *route;

    for (i = 0; i < phota_nroutes; i++) {
        route = &phota_routes[i];

        if (route->id != id || route->provider != provider) {
            continue;
        }

        path->len = route->before.len + name->len + route->after.len;

        path->data = ngx_pnalloc(pool, path->len);
        if (path->data == NULL) {
            return NGX_ERROR;
        }

        p = ngx_cpymem(path->data, route->before.data, route->before.len);
        p = ngx_cpymem(p, name->data, name->len);
        ngx_memcpy(p, route->after.data, route->after.len);

        return NGX_OK;
    }

    return NGX_ERROR;
}
