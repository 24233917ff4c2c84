
/*
 * /v1/phota/usage: what a tenant has used and what is left of its budgets, with
 * its own token, through its own door.  It is answered here and never goes up.
 */


#include "ngx_http_phota_run.h"


#define NGX_HTTP_PHOTA_USAGE_RUNS  4        /* at once in a worker */


static void ngx_http_phota_usage_done(ngx_http_request_t *r,
    ngx_http_phota_run_t *run);


static ngx_str_t   ngx_http_phota_usage_path = ngx_string("/v1/phota/usage");
static ngx_uint_t  ngx_http_phota_usage_places = NGX_HTTP_PHOTA_USAGE_RUNS;


ngx_uint_t
ngx_http_phota_usage_asked(ngx_http_request_t *r)
{
    ngx_str_t                  *path;
    ngx_http_phota_loc_conf_t  *plcf;

    path = &ngx_http_phota_usage_path;
    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    return plcf->usage && (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))
           && r->uri.len == path->len
           && ngx_memcmp(r->uri.data, path->data, path->len) == 0;
}


ngx_int_t
ngx_http_phota_usage(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    int                    rc;
    ngx_int_t              posted;
    photactl_t            *ctl;
    ngx_http_phota_run_t  *run;

    run = ngx_http_phota_run_create(r);
    if (run == NULL) {
        return NGX_ERROR;
    }

    run->done = ngx_http_phota_usage_done;
    run->places = &ngx_http_phota_usage_places;

    ctl = &run->call.ctl;

    ctl->command = &photactl_own_usage;
    ctl->own = ctx->tenant;
    ctl->own_token = ctx->token;
    ctl->own_limits = ctx->token_limits;

    rc = photactl_call_query(&run->call, r->args.data, r->args.len);

    if (rc != PHOTA_OK) {
        run->rc = photactl_call_answer(&run->call, rc);
        ngx_http_phota_run_judge(run, ctx);
        return NGX_DECLINED;
    }

    posted = ngx_http_phota_run_post(run, ctx);

    if (posted == NGX_AGAIN) {
        ctx->state = NGX_HTTP_PHOTA_PROVE;
        r->write_event_handler = ngx_http_core_run_phases;
    }

    return posted;
}


static void
ngx_http_phota_usage_done(ngx_http_request_t *r, ngx_http_phota_run_t *run)
{
    ngx_http_phota_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    ngx_http_phota_run_judge(run, ctx);
    ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
}
