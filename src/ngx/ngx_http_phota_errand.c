
/*
 * Errands: calls that no client waits for.  Each is a request that nginx takes
 * for any other, on a connection of which the other end is ours and silent; its
 * subrequest goes through the operator's own locations, so that TLS, names,
 * timeouts and logs are theirs.  Nothing of it is seen in the access log.
 */


#include "ngx_http_phota_module.h"


/* ms, of all of it: upstreams are patient, strangers mustn't be waited for */

#define NGX_HTTP_PHOTA_ERRAND_OUTBOUND  120000
#define NGX_HTTP_PHOTA_ERRAND_POLL      900000


static ngx_connection_t *ngx_http_phota_errand_connect(
    ngx_http_phota_errand_t *errand, ngx_http_conf_ctx_t *conf_ctx);
static ngx_int_t ngx_http_phota_errand_request(
    ngx_http_phota_errand_t *errand, ngx_connection_t *c);
static u_char *ngx_http_phota_errand_log(ngx_log_t *log, u_char *buf,
    size_t len);
static void ngx_http_phota_errand_wake(ngx_http_request_t *r);
static void ngx_http_phota_errand_closed(ngx_event_t *rev);
static void ngx_http_phota_errand_late(ngx_event_t *ev);
static void ngx_http_phota_errand_stop(ngx_http_phota_errand_t *errand,
    const char *trouble);
static void ngx_http_phota_errand_gone(void *data);
static void ngx_http_phota_errand_end(ngx_event_t *ev);


/* for what asks who the client is, as a variable of a log may */

static struct sockaddr_in  ngx_http_phota_nobody = {
    .sin_family = AF_INET
};


ngx_http_phota_errand_t *
ngx_http_phota_errand_create(ngx_uint_t provider, const char *prefix)
{
    ngx_connection_t         *c;
    ngx_http_phota_door_t    *door;
    ngx_http_phota_errand_t  *errand;

    door = ngx_http_phota_door(provider, prefix);
    if (door == NULL) {
        return NULL;
    }

    errand = ngx_calloc(sizeof(ngx_http_phota_errand_t), ngx_cycle->log);
    if (errand == NULL) {
        return NULL;
    }

    c = ngx_http_phota_errand_connect(errand, door->conf_ctx);

    if (c == NULL) {
        ngx_free(errand);
        return NULL;
    }

    if (ngx_http_phota_errand_request(errand, c) != NGX_OK) {

        if (errand->r) {
            ngx_http_free_request(errand->r, 0);
        }

        ngx_http_close_connection(c);
        ngx_close_socket(errand->peer);
        ngx_free(errand);
        return NULL;
    }

    return errand;
}


static ngx_connection_t *
ngx_http_phota_errand_connect(ngx_http_phota_errand_t *errand,
    ngx_http_conf_ctx_t *conf_ctx)
{
    int                     fds[2];
    ngx_log_t              *log;
    ngx_pool_t             *pool;
    ngx_connection_t       *c;
    ngx_http_log_ctx_t     *ctx;
    ngx_http_connection_t  *hc;

    if (socketpair(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0, fds)
        == -1)
    {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, ngx_socket_errno,
                                NULL, "a call of the gateway's own could not "
                                "be made", "socketpair() failed");
        return NULL;
    }

    errand->peer = fds[1];

    c = ngx_get_connection(fds[0], ngx_cycle->log);
    pool = ngx_create_pool(1024, ngx_cycle->log);

    if (c == NULL || pool == NULL) {
        goto failed;
    }

    log = ngx_palloc(pool, sizeof(ngx_log_t));
    ctx = ngx_pcalloc(pool, sizeof(ngx_http_log_ctx_t));
    hc = ngx_pcalloc(pool, sizeof(ngx_http_connection_t));
    c->buffer = ngx_create_temp_buf(pool, 16);

    if (log == NULL || ctx == NULL || hc == NULL || c->buffer == NULL) {
        goto failed;
    }

    *log = *ngx_cycle->log;

    log->connection = c->number;
    log->handler = ngx_http_phota_errand_log;
    log->action = NULL;
    log->data = ctx;

    ctx->connection = c;

    hc->conf_ctx = conf_ctx;

    c->log = log;
    c->log_error = NGX_ERROR_INFO;
    c->read->log = log;
    c->write->log = log;
    c->pool = pool;
    c->data = hc;

    c->type = SOCK_STREAM;
    c->sockaddr = (struct sockaddr *) &ngx_http_phota_nobody;
    c->socklen = sizeof(ngx_http_phota_nobody);
    c->local_sockaddr = c->sockaddr;
    c->local_socklen = c->socklen;
    ngx_str_set(&c->addr_text, "0.0.0.0");

    c->recv = ngx_recv;
    c->send = ngx_send;
    c->recv_chain = ngx_recv_chain;
    c->send_chain = ngx_send_chain;

    c->read->handler = ngx_http_phota_errand_closed;
    c->write->handler = ngx_http_empty_handler;
    c->write->ready = 1;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif

    return c;

failed:

    if (pool) {
        ngx_destroy_pool(pool);
    }

    if (c) {
        ngx_free_connection(c);
    }

    ngx_close_socket(fds[0]);
    ngx_close_socket(fds[1]);

    return NULL;
}


static ngx_int_t
ngx_http_phota_errand_request(ngx_http_phota_errand_t *errand,
    ngx_connection_t *c)
{
    ngx_http_request_t    *r;
    ngx_http_cleanup_t    *cln;
    ngx_http_phota_ctx_t  *ctx;

    r = ngx_http_create_request(c);
    if (r == NULL) {
        return NGX_ERROR;
    }

    c->data = r;
    errand->r = r;

    r->logged = 1;
    r->http_state = NGX_HTTP_PROCESS_REQUEST_STATE;
    r->method = NGX_HTTP_GET;
    r->method_name = ngx_http_core_get_method;
    r->http_version = NGX_HTTP_VERSION_11;
    r->internal = 1;

    ngx_str_set(&r->http_protocol, "HTTP/1.1");
    ngx_str_set(&r->uri, "/");
    r->unparsed_uri = r->uri;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_phota_errand_wake;

    if (ngx_list_init(&r->headers_in.headers, r->pool, 8,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_phota_ctx_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (ctx == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    ctx->max_age = -1;
    ctx->resolved = 1;
    ctx->authorized = 1;
    ctx->errand = errand;

    ngx_http_set_ctx(r, ctx, ngx_http_phota_module);

    errand->ctx = ctx;
    errand->purchase = ngx_http_phota_purchase_create(r, ctx, 1);

    if (errand->purchase == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_phota_errand_gone;
    cln->data = errand;

    errand->end.handler = ngx_http_phota_errand_end;
    errand->end.data = errand;
    errand->end.log = ngx_cycle->log;

    errand->timer.handler = ngx_http_phota_errand_late;
    errand->timer.data = errand;
    errand->timer.log = ngx_cycle->log;

    return NGX_OK;
}


static u_char *
ngx_http_phota_errand_log(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char              *p;
    ngx_http_request_t  *r;
    ngx_http_log_ctx_t  *ctx;

    ctx = log->data;
    r = ctx->current_request;

    p = buf;

    if (log->action) {
        p = ngx_snprintf(buf, len, " while %s", log->action);
        len -= p - buf;
    }

    if (r && r != r->main) {
        p = ngx_snprintf(p, len, ", call of the gateway's own: \"%V\"",
                         &r->uri);
    }

    return p;
}


void
ngx_http_phota_errand_begin(ngx_http_phota_errand_t *errand)
{
    ngx_add_timer(&errand->timer,
                  errand->outbound ? NGX_HTTP_PHOTA_ERRAND_OUTBOUND
                                   : NGX_HTTP_PHOTA_ERRAND_POLL);
}


ngx_int_t
ngx_http_phota_errand_go(ngx_http_phota_errand_t *errand,
    ngx_http_phota_target_t *target)
{
    ngx_connection_t  *c;

    c = errand->r->connection;

    if (ngx_http_phota_launch(errand->r, errand->ctx, target) != NGX_AGAIN) {
        ngx_http_phota_errand_free(errand);
        return NGX_ERROR;
    }

    ngx_http_phota_errand_begin(errand);

    /* there may be an answer already: done() is called from the event loop */

    ngx_http_run_posted_requests(c);

    return NGX_AGAIN;
}


/* the subrequest has ended */

static void
ngx_http_phota_errand_wake(ngx_http_request_t *r)
{
    ngx_http_phota_ctx_t     *ctx;
    ngx_http_phota_errand_t  *errand;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);
    errand = ctx->errand;

    if (ctx->state == NGX_HTTP_PHOTA_CALL) {
        return;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    errand->complete = errand->purchase->complete;

    ngx_post_event(&errand->end, &ngx_posted_events);
}


/* by nginx itself, when worker_shutdown_timeout is over */

static void
ngx_http_phota_errand_closed(ngx_event_t *rev)
{
    ngx_connection_t      *c;
    ngx_http_request_t    *r;
    ngx_http_phota_ctx_t  *ctx;

    c = rev->data;

    if (!c->close) {
        return;
    }

    r = c->data;
    ctx = ngx_http_get_module_ctx(r->main, ngx_http_phota_module);

    ngx_http_phota_errand_stop(ctx->errand, "the gateway was stopped");
}


static void
ngx_http_phota_errand_late(ngx_event_t *ev)
{
    ngx_http_phota_errand_stop(ev->data, "it took too long");
}


/* what it leaves half done is torn down with its request */

static void
ngx_http_phota_errand_stop(ngx_http_phota_errand_t *errand,
    const char *trouble)
{
    errand->complete = 0;

    if (errand->status == 0) {
        errand->trouble = trouble;
    }

    ngx_post_event(&errand->end, &ngx_posted_events);
}


/* nginx has torn it down itself, as for want of memory */

static void
ngx_http_phota_errand_gone(void *data)
{
    ngx_http_phota_errand_t *errand = data;

    errand->r = NULL;

    if (!errand->end.posted) {
        ngx_post_event(&errand->end, &ngx_posted_events);
    }
}


static void
ngx_http_phota_errand_end(ngx_event_t *ev)
{
    ngx_http_phota_errand_t  *errand;

    errand = ev->data;

    if (errand->timer.timer_set) {
        ngx_del_timer(&errand->timer);
    }

    if (errand->r) {
        errand->done(errand);
        ngx_http_phota_errand_free(errand);
        return;
    }

    /* its request's pool has let the purchase go */

    errand->purchase = NULL;
    errand->complete = 0;

    errand->done(errand);

    ngx_close_socket(errand->peer);
    ngx_free(errand);
}


void
ngx_http_phota_errand_free(ngx_http_phota_errand_t *errand)
{
    ngx_connection_t    *c;
    ngx_http_cleanup_t  *cln;
    ngx_http_request_t  *r;

    r = errand->r;
    c = r->connection;

    for (cln = r->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_phota_errand_gone) {
            cln->handler = NULL;
        }
    }

    if (errand->end.posted) {
        ngx_delete_posted_event(&errand->end);
    }

    if (errand->timer.timer_set) {
        ngx_del_timer(&errand->timer);
    }

    ngx_http_free_request(r, 0);
    ngx_http_close_connection(c);

    ngx_close_socket(errand->peer);
    ngx_free(errand);
}
