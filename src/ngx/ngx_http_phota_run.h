
/*
 * Commands of photactl in a worker: each runs in a thread, with the worker's
 * own books and cache, and outlives a client that leaves.  Only so many at once
 * per worker, of operators and of tenants, who don't take each other's places.
 */


#ifndef _NGX_HTTP_PHOTA_RUN_H_INCLUDED_
#define _NGX_HTTP_PHOTA_RUN_H_INCLUDED_


#include "ngx_http_phota_module.h"
#include "photactl_call.h"


#define NGX_HTTP_PHOTA_RUN_ETAG  34     /* 32 hex digits between quotes */


struct ngx_http_phota_run_s {
    ngx_thread_task_t     task;
    photactl_call_t       call;
    ngx_http_request_t   *r;            /* NULL: the client has left */
    void                (*done)(ngx_http_request_t *r,
                              ngx_http_phota_run_t *run);
    ngx_uint_t           *places;       /* that it takes one of */
    u_char               *body;
    size_t                len;
    int                   fd;           /* the same in a file, or -1 */
    int                   rc;
    char                  etag[NGX_HTTP_PHOTA_RUN_ETAG + 1];
    unsigned              csv:1;        /* the body is what is read */
    unsigned              reading:1;    /* has the cache, too */
    unsigned              posted:1;
};


/* its memory is the request's from now on; NULL: no memory */
ngx_http_phota_run_t *ngx_http_phota_run_create(ngx_http_request_t *r);

/*
 * NGX_AGAIN: done() comes, unless the client leaves; NGX_DECLINED with a
 * refusal in ctx.
 */
ngx_int_t ngx_http_phota_run_post(ngx_http_phota_run_t *run,
    ngx_http_phota_ctx_t *ctx);

/* what the command said in HTTP's words: an answer, or a refusal in ctx */
void ngx_http_phota_run_judge(ngx_http_phota_run_t *run,
    ngx_http_phota_ctx_t *ctx);

/* sends ctx->run's answer */
ngx_int_t ngx_http_phota_run_send(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* ngx_http_phota_usage.c: a tenant asks for its own, where phota_usage is on */

ngx_uint_t ngx_http_phota_usage_asked(ngx_http_request_t *r);
ngx_int_t ngx_http_phota_usage(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* ngx_http_phota_api.c */

char *ngx_http_phota_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_phota_api_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_PHOTA_RUN_H_INCLUDED_ */
