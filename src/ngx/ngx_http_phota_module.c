
/*
 * Directives, configuration and the places in nginx where the module comes in:
 * PREACCESS and ACCESS know the tenant, PRECONTENT reads, decides and buys, the
 * content handler answers, LOG masks what is left.
 */


#include "ngx_http_phota_module.h"


static char *ngx_http_phota_master_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_phota_check_second(ngx_conf_t *cf, void *post,
    void *data);
static void *ngx_http_phota_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_phota_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_phota_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_phota_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static void ngx_http_phota_forget_master(void *data);
static ngx_int_t ngx_http_phota_init(ngx_conf_t *cf);


static ngx_conf_num_bounds_t  ngx_http_phota_variations_bounds = {
    ngx_conf_check_num_bounds, 1, PHOTA_PICTURES_MAX
};


static ngx_conf_post_t  ngx_http_phota_second_post = {
    ngx_http_phota_check_second
};


static ngx_command_t  ngx_http_phota_commands[] = {

    { ngx_string("phota_data"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_phota_main_conf_t, data),
      NULL },

    { ngx_string("phota_master_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_phota_master_key,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("phota_cache_max_size"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_off_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_phota_main_conf_t, cache_max_size),
      NULL },

    { ngx_string("phota_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_phota_main_conf_t, zone_size),
      NULL },

    { ngx_string("phota_results"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_phota_results,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("phota_results_url"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_phota_results_url,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("phota_results_valid"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_phota_main_conf_t, results_valid),
      &ngx_http_phota_second_post },

    { ngx_string("phota_dashboard"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_phota_dashboard,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("phota_spool_memory"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_phota_main_conf_t, spool_memory),
      NULL },

    { ngx_string("phota_body_memory"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_phota_main_conf_t, body_memory),
      NULL },

    { ngx_string("phota_hot_memory"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_phota_main_conf_t, hot_memory),
      NULL },

    { ngx_string("phota_pass"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_phota_pass,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("phota_max_body"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_phota_loc_conf_t, max_body),
      NULL },

    { ngx_string("phota_provider"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_phota_provider,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("phota_outbound"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_phota_outbound,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("phota_outbound_allow"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_phota_outbound_allow,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("phota_callbacks"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_phota_callbacks,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("phota_callbacks_url"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_phota_callbacks_url,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("phota_callback_signature"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_phota_signature,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("phota_job_poll"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_phota_main_conf_t, job_poll),
      &ngx_http_phota_second_post },

    { ngx_string("phota_job_limit"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_phota_main_conf_t, job_limit),
      &ngx_http_phota_second_post },

    { ngx_string("phota_cache"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_phota_cache,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("phota_cache_valid"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_phota_cache_valid,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("phota_cache_variations"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_phota_loc_conf_t, variations),
      &ngx_http_phota_variations_bounds },

    { ngx_string("phota_cache_top_up"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_phota_loc_conf_t, top_up),
      NULL },

    { ngx_string("phota_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_phota_metrics,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("phota_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_phota_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("phota_usage"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_phota_loc_conf_t, usage),
      NULL },

    { ngx_string("phota_signing_params"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_phota_signing_params,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_phota_module_ctx = {
    ngx_http_phota_add_variables,          /* preconfiguration */
    ngx_http_phota_init,                   /* postconfiguration */

    ngx_http_phota_create_main_conf,       /* create main configuration */
    ngx_http_phota_init_main_conf,         /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_phota_create_loc_conf,        /* create location configuration */
    ngx_http_phota_merge_loc_conf          /* merge location configuration */
};


ngx_module_t  ngx_http_phota_module = {
    NGX_MODULE_V1,
    &ngx_http_phota_module_ctx,            /* module context */
    ngx_http_phota_commands,               /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_phota_init_module,            /* init module */
    ngx_http_phota_init_process,           /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_phota_exit_process,           /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_phota_master_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_phota_main_conf_t *pmcf = conf;

    int                  rc;
    ngx_str_t           *value, path, old;
    phota_error_t        err;
    ngx_pool_cleanup_t  *cln;

    if (pmcf->master) {
        return "is duplicate";
    }

    value = cf->args->elts;
    path = value[1];
    ngx_str_null(&old);

    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts > 2) {
        old = value[2];

        if (ngx_conf_full_name(cf->cycle, &old, 1) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(phota_master_t));
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_phota_forget_master;
    pmcf->master = cln->data;

    rc = phota_master_read(pmcf->master, (char *) path.data, &err);

    if (rc == PHOTA_OK && old.len) {
        rc = phota_master_add(pmcf->master, (char *) old.data, &err);
    }

    if (rc != PHOTA_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", err.text);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void
ngx_http_phota_forget_master(void *data)
{
    phota_cleanse(data, sizeof(phota_master_t));
}


static char *
ngx_http_phota_check_second(ngx_conf_t *cf, void *post, void *data)
{
    time_t *time = data;

    return (*time < 1) ? "must be a second at least" : NGX_CONF_OK;
}


static void *
ngx_http_phota_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_phota_main_conf_t  *pmcf;

    pmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_phota_main_conf_t));
    if (pmcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     pmcf->data = { 0, NULL };
     *     pmcf->master = NULL;
     *     pmcf->pool = NULL;
     */

    pmcf->cache_max_size = NGX_CONF_UNSET;
    pmcf->spool_memory = NGX_CONF_UNSET_SIZE;
    pmcf->body_memory = NGX_CONF_UNSET_SIZE;
    pmcf->hot_memory = NGX_CONF_UNSET_SIZE;
    pmcf->zone_size = NGX_CONF_UNSET_SIZE;
    pmcf->results_valid = NGX_CONF_UNSET;
    pmcf->job_poll = NGX_CONF_UNSET;
    pmcf->job_limit = NGX_CONF_UNSET;

    if (ngx_array_init(&pmcf->doors, cf->pool, 4,
                       sizeof(ngx_http_phota_door_t))
        != NGX_OK)
    {
        return NULL;
    }

    return pmcf;
}


static char *
ngx_http_phota_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_phota_main_conf_t *pmcf = conf;

    ngx_str_t  id = ngx_string("request_id");
    ngx_str_t  key = ngx_string("phota_upstream_key");

    if (pmcf->cache_max_size == NGX_CONF_UNSET) {
        pmcf->cache_max_size = (off_t) 10 * 1024 * 1024 * 1024;
    }

    ngx_conf_init_size_value(pmcf->spool_memory, 64 * 1024 * 1024);
    ngx_conf_init_size_value(pmcf->body_memory, 64 * 1024 * 1024);
    ngx_conf_init_size_value(pmcf->hot_memory, 32 * 1024 * 1024);
    ngx_conf_init_size_value(pmcf->zone_size, 16 * 1024 * 1024);
    ngx_conf_init_value(pmcf->results_valid, 24 * 60 * 60);
    ngx_conf_init_value(pmcf->job_poll, 10);
    ngx_conf_init_value(pmcf->job_limit, 24 * 60 * 60);

    if (pmcf->signature.len == 0) {

        /* the simplest reading of what is documented */

        ngx_str_set(&pmcf->signature, "X-Phota-Signature");
        pmcf->scheme.hash = "SHA256";
    }

    if (!ngx_http_phota_usable(pmcf)) {
        return NGX_CONF_OK;
    }

    if (pmcf->master == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"phota_data\" needs \"phota_master_key\" beside it");
        return NGX_CONF_ERROR;
    }

    if (ngx_conf_full_name(cf->cycle, &pmcf->data, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    pmcf->zone = ngx_http_phota_zone_create(cf, pmcf->zone_size);
    if (pmcf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    /* the pool "default": the only one that nginx makes by itself */

    pmcf->pool = ngx_thread_pool_add(cf, NULL);
    if (pmcf->pool == NULL) {
        return NGX_CONF_ERROR;
    }

    pmcf->request_id = ngx_http_get_variable_index(cf, &id);
    pmcf->upstream_key = ngx_http_get_variable_index(cf, &key);

    if (pmcf->request_id == NGX_ERROR || pmcf->upstream_key == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_phota_create_loc_conf(ngx_conf_t *cf)
{
    ngx_uint_t                  i;
    ngx_http_phota_loc_conf_t  *plcf;

    plcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_phota_loc_conf_t));
    if (plcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     plcf->pass = { 0, NULL };
     *     plcf->api = 0;
     *     plcf->page = NULL;
     *     plcf->metrics = 0;
     *     plcf->cached = 0;
     *     plcf->cached_set = 0;
     */

    plcf->max_body = NGX_CONF_UNSET_SIZE;
    plcf->provider = NGX_CONF_UNSET_UINT;
    plcf->signing = NGX_CONF_UNSET_PTR;
    plcf->variations = NGX_CONF_UNSET_UINT;
    plcf->top_up = NGX_CONF_UNSET;
    plcf->usage = NGX_CONF_UNSET;

    for (i = 0; i < PHOTA_OP_MAX; i++) {
        plcf->valid[i] = NGX_CONF_UNSET;
    }

    return plcf;
}


static char *
ngx_http_phota_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_phota_loc_conf_t *prev = parent;
    ngx_http_phota_loc_conf_t *conf = child;

    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    ngx_conf_merge_size_value(conf->max_body, prev->max_body,
                              32 * 1024 * 1024);
    ngx_conf_merge_uint_value(conf->provider, prev->provider,
                              PHOTA_PROVIDER_PHOTA);
    ngx_conf_merge_ptr_value(conf->signing, prev->signing, NULL);
    ngx_conf_merge_uint_value(conf->variations, prev->variations, 1);
    ngx_conf_merge_value(conf->top_up, prev->top_up, 1);
    ngx_conf_merge_value(conf->usage, prev->usage, 1);

    for (i = 0; i < PHOTA_OP_MAX; i++) {
        ngx_conf_merge_value(conf->valid[i], prev->valid[i],
                             30 * 24 * 60 * 60);
    }

    if (!conf->cached_set) {
        conf->cached_set = prev->cached_set;
        conf->cached = prev->cached;
    }

    if (!conf->cached_set) {
        for (i = 0; i < PHOTA_OP_MAX; i++) {
            if (phota_operations[i].cached) {
                conf->cached |= 1 << phota_operations[i].id;
            }
        }
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->pass.data == NULL && clcf->noname && prev->pass.data) {

        /* an "if" or "limit_except" within a door is the same door */

        conf->pass = prev->pass;
        clcf->handler = ngx_http_phota_content;
    }

    if (conf->api == 0 && clcf->noname && prev->api) {
        conf->api = prev->api;
        conf->api_name = prev->api_name;
        clcf->handler = ngx_http_phota_api_handler;
    }

    if (conf->api) {

        /* a bill is larger than nginx's default */

        clcf->client_max_body_size = conf->max_body;
    }

    if (conf->page == NULL && clcf->noname && prev->page) {
        conf->page = prev->page;
        clcf->handler = ngx_http_phota_page_handler;
    }

    if (conf->metrics == 0 && clcf->noname && prev->metrics) {
        conf->metrics = prev->metrics;
        clcf->handler = ngx_http_phota_metrics_handler;
    }

    if (conf->pass.data) {

        /* the module's own limit says 413 in the contract's shape */

        clcf->client_max_body_size = 0;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_phota_init(ngx_conf_t *cf)
{
    ngx_uint_t                   i;
    ngx_array_t                 *logs;
    ngx_http_phota_door_t       *door;
    ngx_http_handler_pt         *h;
    ngx_http_core_main_conf_t   *cmcf;
    ngx_http_phota_main_conf_t  *pmcf;

    static struct {
        ngx_uint_t           phase;
        ngx_http_handler_pt  handler;
    } phases[] = {
        { NGX_HTTP_PREACCESS_PHASE, ngx_http_phota_preaccess },
        { NGX_HTTP_ACCESS_PHASE, ngx_http_phota_access },
        { NGX_HTTP_PRECONTENT_PHASE, ngx_http_phota_precontent }
    };

    pmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_phota_module);

    if (!ngx_http_phota_usable(pmcf)) {

        if (pmcf->doors.nelts) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"phota_pass\" needs \"phota_data\" and "
                          "\"phota_master_key\" in http");
            return NGX_ERROR;
        }

        if (pmcf->results.len || pmcf->called_back || pmcf->operated
            || pmcf->measured)
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"%s\" needs \"phota_data\" and "
                          "\"phota_master_key\" in http",
                          pmcf->operated ? "phota_api"
                          : pmcf->measured ? "phota_metrics"
                          : pmcf->called_back ? "phota_callbacks"
                                              : "phota_results");
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    door = pmcf->doors.elts;

    for (i = 0; i < pmcf->doors.nelts; i++) {
        if (ngx_http_phota_check_door(cf, &door[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    for (i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        h = ngx_array_push(&cmcf->phases[phases[i].phase].handlers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        *h = phases[i].handler;
    }

    /*
     * LOG handlers run in the order of this array, and access_log has been
     * here before: what it may not see is masked by whoever comes first.
     */

    logs = &cmcf->phases[NGX_HTTP_LOG_PHASE].handlers;

    if (ngx_array_push(logs) == NULL) {
        return NGX_ERROR;
    }

    h = logs->elts;

    ngx_memmove(&h[1], h, (logs->nelts - 1) * sizeof(ngx_http_handler_pt));

    h[0] = ngx_http_phota_log;

    return NGX_OK;
}
