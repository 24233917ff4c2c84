
/*
 * phota_api: photactl's commands over HTTP, for operators with tokens of their
 * own.  A path is a command, its parameters stand in the query of a GET or the
 * body of a POST; who may do it is decided before a byte of a body is read, and
 * nothing of it runs in the event loop.
 */


#include "ngx_http_phota_run.h"


/*
 * At once in a worker.  What waits for the lock to write keeps nobody from
 * reading.
 */

#define NGX_HTTP_PHOTA_API_READS   4
#define NGX_HTTP_PHOTA_API_WRITES  2


static ngx_int_t ngx_http_phota_api_find(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_phota_run_t *run);
static ngx_int_t ngx_http_phota_api_method(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_phota_run_t *run);
static ngx_int_t ngx_http_phota_api_allow(ngx_http_request_t *r,
    unsigned flags);
static ngx_int_t ngx_http_phota_api_permit(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_phota_run_t *run);
static void ngx_http_phota_api_who(ngx_http_phota_ctx_t *ctx,
    photactl_t *ctl);
static void ngx_http_phota_api_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_phota_api_take(ngx_http_request_t *r,
    ngx_http_phota_run_t *run);
static ngx_uint_t ngx_http_phota_api_csv(ngx_http_request_t *r,
    ngx_http_phota_run_t *run);
static ngx_int_t ngx_http_phota_api_go(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_phota_run_t *run);
static void ngx_http_phota_api_done(ngx_http_request_t *r,
    ngx_http_phota_run_t *run);
static ngx_int_t ngx_http_phota_api_answer(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);


static ngx_uint_t  ngx_http_phota_api_reads = NGX_HTTP_PHOTA_API_READS;
static ngx_uint_t  ngx_http_phota_api_writes = NGX_HTTP_PHOTA_API_WRITES;


char *
ngx_http_phota_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_phota_loc_conf_t *plcf = conf;

    char                        *rv;
    ngx_str_t                   *value;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_phota_main_conf_t  *pmcf;

    if (plcf->api) {
        return "is duplicate";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    rv = ngx_http_phota_serve_here(cf, ngx_http_phota_api_handler);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    plcf->api = PHOTA_SCOPE_READ;
    plcf->api_name = clcf->name;

    if (cf->args->nelts == 2) {
        value = cf->args->elts;

        if (ngx_strcmp(value[1].data, "write") != 0) {
            return "knows no other word than \"write\"";
        }

        plcf->api = PHOTA_SCOPE_WRITE;
    }

    pmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_phota_module);
    pmcf->operated = 1;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_phota_api_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_http_phota_ctx_t  *ctx;
    ngx_http_phota_run_t  *run;

    ctx = ngx_http_phota_resolve_operator(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->refusal.status) {
        return ngx_http_phota_api_answer(r, ctx);
    }

    /* nothing stands in for a token, whatever rule let the request in */

    if (ctx->admin == NULL) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_UNAUTHORIZED, "UNAUTHORIZED",
                              "an operator's token is required");
        return ngx_http_phota_api_answer(r, ctx);
    }

    run = ngx_http_phota_run_create(r);
    if (run == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    run->done = ngx_http_phota_api_done;

    if (ngx_http_phota_api_find(r, ctx, run) != NGX_OK
        || ngx_http_phota_api_method(r, ctx, run) != NGX_OK
        || ngx_http_phota_api_permit(r, ctx, run) != NGX_OK)
    {
        return ngx_http_phota_api_answer(r, ctx);
    }

    run->places = run->call.post ? &ngx_http_phota_api_writes
                                 : &ngx_http_phota_api_reads;

    ngx_http_phota_api_who(ctx, &run->call.ctl);

    if (!run->call.post) {
        rc = ngx_http_discard_request_body(r);

        if (rc != NGX_OK) {
            return rc;
        }

        r->main->count++;

        rc = ngx_http_phota_api_go(r, ctx, run);

        if (rc != NGX_AGAIN) {
            ngx_http_finalize_request(r, rc);
        }

        return NGX_DONE;
    }

    ctx->run = run;

    rc = ngx_http_read_client_request_body(r, ngx_http_phota_api_body);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static ngx_int_t
ngx_http_phota_api_find(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_run_t *run)
{
    size_t                      skip;
    ngx_http_phota_loc_conf_t  *plcf;

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);
    skip = plcf->api_name.len;

    if (r->uri.len > skip
        && photactl_call_find(&run->call, r->uri.data + skip,
                              r->uri.len - skip)
           == PHOTA_OK)
    {
        return NGX_OK;
    }

    ngx_http_phota_refuse(ctx, NGX_HTTP_NOT_FOUND, "NOT_FOUND",
                          "there is no such command");

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_phota_api_method(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_run_t *run)
{
    unsigned  flags;

    flags = run->call.ctl.command->flags;

    if ((flags & PHOTACTL_GET)
        && (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)))
    {
        return NGX_OK;
    }

    if ((flags & PHOTACTL_POST) && r->method == NGX_HTTP_POST) {
        run->call.post = 1;
        return NGX_OK;
    }

    ngx_http_phota_refuse(ctx, NGX_HTTP_NOT_ALLOWED, "OPERATION_NOT_ALLOWED",
                          (flags & PHOTACTL_POST)
                          ? "the command changes something: POST"
                          : "the command only reads: GET");

    return (ngx_http_phota_api_allow(r, flags) == NGX_OK) ? NGX_DECLINED
                                                          : NGX_ERROR;
}


static ngx_int_t
ngx_http_phota_api_allow(ngx_http_request_t *r, unsigned flags)
{
    const char  *allow;

    allow = (flags & PHOTACTL_GET)
            ? ((flags & PHOTACTL_POST) ? "GET, HEAD, POST" : "GET, HEAD")
            : "POST";

    return ngx_http_phota_header(r, "Allow", (u_char *) allow,
                                 ngx_strlen(allow));
}


static ngx_int_t
ngx_http_phota_api_permit(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_run_t *run)
{
    ngx_http_phota_loc_conf_t  *plcf;

    if (!run->call.post) {
        return NGX_OK;
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    if (plcf->api != PHOTA_SCOPE_WRITE) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_FORBIDDEN,
                              "OPERATION_NOT_ALLOWED",
                              "changes are off here (phota_api write)");
        return NGX_DECLINED;
    }

    if (ctx->admin->scope != PHOTA_SCOPE_WRITE) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_FORBIDDEN,
                              "OPERATION_NOT_ALLOWED",
                              "the token may only read");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* for entries: who it was that changed something */

static void
ngx_http_phota_api_who(ngx_http_phota_ctx_t *ctx, photactl_t *ctl)
{
    if (ctx->admin->label[0]) {
        (void) snprintf(ctl->by, sizeof(ctl->by), "api %.59s",
                        ctx->admin->label);

    } else {
        (void) snprintf(ctl->by, sizeof(ctl->by), "api token %u",
                        ctx->admin->id);
    }
}


static void
ngx_http_phota_api_body(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_http_phota_ctx_t  *ctx;
    ngx_http_phota_run_t  *run;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    run = ctx->run;
    ctx->run = NULL;

    rc = ngx_http_phota_api_take(r, run);

    if (rc == NGX_OK) {
        rc = ngx_http_phota_api_go(r, ctx, run);
    }

    if (rc != NGX_AGAIN) {
        ngx_http_finalize_request(r, rc);
    }
}


/* the thread has the body for its own, and nginx's copy forgets it */

static ngx_int_t
ngx_http_phota_api_take(ngx_http_request_t *r, ngx_http_phota_run_t *run)
{
    u_char                   *p;
    ngx_chain_t              *cl;
    ngx_http_request_body_t  *rb;

    rb = r->request_body;

    run->csv = ngx_http_phota_api_csv(r, run);

    if (rb == NULL) {
        return NGX_OK;
    }

    if (rb->temp_file) {
        run->len = rb->temp_file->file.offset;
        run->fd = dup(rb->temp_file->file.fd);

        return (run->fd != -1) ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (cl = rb->bufs; cl; cl = cl->next) {
        run->len += cl->buf->last - cl->buf->pos;
    }

    if (run->len == 0) {
        return NGX_OK;
    }

    run->body = ngx_alloc(run->len, r->connection->log);
    if (run->body == NULL) {
        run->len = 0;
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = run->body;

    for (cl = rb->bufs; cl; cl = cl->next) {
        p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
        phota_cleanse(cl->buf->pos, cl->buf->last - cl->buf->pos);
    }

    return NGX_OK;
}


/* what a command reads may be the body itself: parameters are a query then */

static ngx_uint_t
ngx_http_phota_api_csv(ngx_http_request_t *r, ngx_http_phota_run_t *run)
{
    ngx_table_elt_t  *type;

    type = r->headers_in.content_type;

    return (type && type->value.len >= sizeof("text/csv") - 1
            && ngx_strncasecmp(type->value.data, (u_char *) "text/csv",
                               sizeof("text/csv") - 1)
               == 0
            && run->call.ctl.command->input);
}


static ngx_int_t
ngx_http_phota_api_go(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_run_t *run)
{
    int        rc;
    ngx_int_t  posted;

    if (run->call.post && !run->csv && r->args.len) {
        ngx_http_phota_refuse(ctx, 422, "INVALID_REQUEST",
                              "parameters of a POST stand in its body");
        return ngx_http_phota_api_answer(r, ctx);
    }

    rc = photactl_call_query(&run->call, r->args.data, r->args.len);

    if (rc != PHOTA_OK) {
        run->rc = photactl_call_answer(&run->call, rc);
        ngx_http_phota_run_judge(run, ctx);
        return ngx_http_phota_api_answer(r, ctx);
    }

    posted = ngx_http_phota_run_post(run, ctx);

    if (posted != NGX_AGAIN) {
        return ngx_http_phota_api_answer(r, ctx);
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_AGAIN;
}


static void
ngx_http_phota_api_done(ngx_http_request_t *r, ngx_http_phota_run_t *run)
{
    ngx_connection_t      *c;
    ngx_http_phota_ctx_t  *ctx;

    c = r->connection;
    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    ngx_http_set_log_request(c->log, r);

    ngx_http_phota_run_judge(run, ctx);

    ngx_http_finalize_request(r, ngx_http_phota_api_answer(r, ctx));

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_phota_api_answer(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    static ngx_str_t  store = ngx_string("private, no-store");
    static ngx_str_t  bearer = ngx_string("Bearer realm=\"phota\"");

    ctx->answered = 1;

    if (ctx->refusal.status == 0) {
        return ngx_http_phota_run_send(r, ctx);
    }

    if (ngx_http_phota_header(r, "Cache-Control", store.data, store.len)
        != NGX_OK
        || (ctx->refusal.status == NGX_HTTP_UNAUTHORIZED
            && ngx_http_phota_header(r, "WWW-Authenticate", bearer.data,
                                     bearer.len)
               != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_phota_send_error(r, ctx);
}
