
/*
 * Configuration: what directives have said, of the whole and of a location.
 */


#ifndef _NGX_HTTP_PHOTA_CONF_H_INCLUDED_
#define _NGX_HTTP_PHOTA_CONF_H_INCLUDED_


typedef struct {
    ngx_str_t                   data;
    off_t                       cache_max_size;
    size_t                      spool_memory;
    size_t                      body_memory;
    size_t                      hot_memory;
    size_t                      zone_size;
    ngx_str_t                   results;        /* the location that has them,
                                                   len 0: none */
    ngx_str_t                   results_url;    /* len 0: as the request */
    time_t                      results_valid;  /* s, how long links live */
    ngx_str_t                   callbacks_url;  /* len 0: none are asked for */
    ngx_uint_t                  called_back;    /* there is phota_callbacks */
    ngx_array_t                *outbound_allow; /* phota_net_t, or NULL */
    phota_scheme_t              scheme;         /* of the upstream's */
    ngx_str_t                   signature;      /* header that has it */
    ngx_str_t                   timestamp;      /* header, len 0: none */
    time_t                      job_poll;       /* s, until the first poll */
    time_t                      job_limit;      /* s, then it is lost */
    phota_master_t             *master;
    ngx_shm_zone_t             *zone;
    ngx_thread_pool_t          *pool;
    ngx_int_t                   request_id;     /* index of $request_id */
    ngx_int_t                   upstream_key;   /* $phota_upstream_key */
    ngx_array_t                 doors;          /* ngx_http_phota_door_t */
    ngx_uint_t                  operated;       /* there is a phota_api */
    ngx_uint_t                  measured;       /* there is a phota_metrics */
} ngx_http_phota_main_conf_t;


/*
 * A phota_pass as it was written: for the check of where it leads, and for the
 * calls that no client makes.
 */

typedef struct {
    ngx_str_t                   prefix;
    ngx_http_conf_ctx_t        *conf_ctx;
    ngx_http_core_srv_conf_t   *server;
    u_char                     *file;
    ngx_uint_t                  line;
} ngx_http_phota_door_t;


typedef struct {
    ngx_str_t                   pass;           /* data NULL: no door */
    ngx_str_t                   outbound;       /* len 0: none */
    ngx_flag_t                  callbacks;      /* the upstream's come here */
    size_t                      max_body;
    ngx_uint_t                  provider;
    ngx_uint_t                  cached;         /* a bit per operation */
    ngx_uint_t                  variations;
    ngx_flag_t                  top_up;
    ngx_flag_t                  usage;          /* tenants may ask for it */
    ngx_uint_t                  api;            /* phota_scope_e, 0: none */
    ngx_str_t                   api_name;       /* of its location */
    ngx_array_t                *signing;        /* phota_str_t */
    ngx_http_phota_page_t      *page;           /* phota_dashboard, or NULL */
    ngx_uint_t                  metrics;        /* NGX_HTTP_PHOTA_METRICS_... */
    time_t                      valid[PHOTA_OP_MAX];
    unsigned                    cached_set:1;
} ngx_http_phota_loc_conf_t;


/* ngx_http_phota_door.c */

char *ngx_http_phota_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_phota_provider(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* that the ways out of it are there, and internal */
ngx_int_t ngx_http_phota_check_door(ngx_conf_t *cf,
    ngx_http_phota_door_t *door);

/* ngx_http_phota_directive.c */

/*
 * Takes the location of the directive for this handler: a prefix that ends with
 * "/" and has none yet.  NGX_CONF_OK, or what is wrong with it.
 */
char *ngx_http_phota_serve_here(ngx_conf_t *cf, ngx_http_handler_pt handler);

char *ngx_http_phota_cache(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_phota_cache_valid(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_phota_signing_params(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_PHOTA_CONF_H_INCLUDED_ */
