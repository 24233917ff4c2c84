
/*
 * What isn't asked and answered in one breath, and who may ask for it: jobs and
 * what is told of them, calls of the gateway's own, callbacks in and out,
 * profiles, and the fences around all that carries an id.
 */


#ifndef _NGX_HTTP_PHOTA_ASYNC_H_INCLUDED_
#define _NGX_HTTP_PHOTA_ASYNC_H_INCLUDED_


#include "ngx_http_phota_module.h"


/*
 * A call that no client waits for: a request of the gateway's own, with a
 * connection that leads nowhere, through the same locations as any other.
 * done() is called once, when nothing of it is under way any more; purchase has
 * status and spool then, and lives as long as done() runs, or is held.
 */

struct ngx_http_phota_errand_s {
    void                      (*done)(ngx_http_phota_errand_t *errand);
    void                       *data;
    ngx_http_request_t         *r;
    ngx_http_phota_ctx_t       *ctx;
    ngx_http_phota_purchase_t  *purchase;
    ngx_socket_t                peer;           /* of the connection */
    ngx_event_t                 end;
    ngx_event_t                 timer;
    off_t                       limit;          /* bytes of an answer */
    ngx_uint_t                  status;         /* that it began with, 0 none */
    ngx_str_t                   url;            /* outbound: as it was told */
    ngx_str_t                   host;           /* for Host and TLS */
    ngx_str_t                   resolved;       /* with an address for host */
    const char                 *trouble;        /* why it could not go out */
    unsigned                    outbound:1;     /* there is no key for it */
    unsigned                    complete:1;     /* there is an answer */
};


/*
 * What is heard of a job, by a poll or a callback: read and written into the
 * books by the writer's thread.  text is taken over, or made from spool.
 */

struct ngx_http_phota_news_s {
    ngx_http_phota_job_t        job;
    void                      (*done)(ngx_http_phota_news_t *news);
    void                       *data;
    phota_id_t                  charge;
    ngx_uint_t                  status;         /* HTTP's; 0: there was no
                                                   answer */
    ngx_http_phota_spool_t     *spool;          /* held, or NULL */
    u_char                     *text;
    size_t                      len;
    uint64_t                    delay;          /* ms until the next poll; 0:
                                                   as it stands */
    unsigned                    overdue:1;      /* what is pending is lost */
    unsigned                    called_back:1;  /* its words aren't a poll's */
    unsigned                    by_tenant:1;    /* by his poll, not by ours */
    unsigned                    ended:1;        /* by this */
    unsigned                    whole:1;        /* text has the result */
    phota_charge_t              sold;           /* state 0: nothing was */
    phota_job_t                 row;            /* as it is now */
};


/* ngx_http_phota_fence.c */

/* of other paths than operations: whose id it is; NGX_DECLINED: refused */
ngx_int_t ngx_http_phota_fence_route(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* the profiles that a body names; NGX_DECLINED: refused */
ngx_int_t ngx_http_phota_fence_body(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* what of a body goes up otherwise: ctx->upward; NGX_DECLINED: refused */
ngx_int_t ngx_http_phota_alias_body(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* the query of a list of profiles, but for the tag: ctx->listed */
ngx_int_t ngx_http_phota_alias_args(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_str_t *args);

/* ngx_http_phota_async.c */

/*
 * Of a call that the upstream took on as a job: p->job.  NGX_DECLINED: it isn't
 * one, or can't be followed.
 */
ngx_int_t ngx_http_phota_async_accept(ngx_http_phota_purchase_t *p,
    ngx_http_phota_ctx_t *ctx);

/* in the writer's transaction: the hold becomes a job's */
int ngx_http_phota_async_write(ngx_http_phota_purchase_t *p, MDB_txn *txn,
    phota_charge_t *charge, phota_error_t *err);

/*
 * A tenant asks for a job of his: NGX_AGAIN; NGX_DECLINED: refused, or
 * ctx->told or ctx->hit has the answer; NGX_ERROR.
 */
ngx_int_t ngx_http_phota_async_poll(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* after the upstream was asked: as of ngx_http_phota_filter_profiles() */
ngx_int_t ngx_http_phota_async_polled(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* the row of a charge, in ctx->job; NGX_DECLINED: it is no job's */
ngx_int_t ngx_http_phota_async_find(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, const phota_id_t *charge);

/* ngx_http_phota_tell.c */

/* ctx->told: the upstream's 202, a job's that is open, that of a hit */
ngx_int_t ngx_http_phota_tell_handle(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* ctx->handle: the name of a job that ctx->hit is the result of */
ngx_int_t ngx_http_phota_tell_repeat(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* ctx->told: what the upstream said of ctx->job; NGX_DECLINED: it is no JSON */
ngx_int_t ngx_http_phota_tell_job(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_uint_t status, const u_char *text,
    size_t len);

/* ctx->told, a text in the request's pool */
ngx_int_t ngx_http_phota_tell(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_uint_t status, const u_char *text,
    size_t len);
ngx_int_t ngx_http_phota_send_told(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* of a job that is answered by what is stored: ctx->hit as its result */
ngx_int_t ngx_http_phota_send_result(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/*
 * What the tenant of a job is told of a text, where no request asks; *out is to
 * be freed.  PHOTA_INVALID: it is no JSON.
 */
int ngx_http_phota_tell_receiver(const phota_job_t *row,
    const phota_tenant_t *tenant, const u_char *text, size_t len,
    u_char **out, size_t *out_len);

/* ngx_http_phota_repeat.c */

/*
 * A hit that is asked for as a job, with a callback: NGX_AGAIN while that is
 * written; NGX_DECLINED: there is nothing to write.
 */
ngx_int_t ngx_http_phota_repeat(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* ngx_http_phota_news.c */

/* what was heard of a job is written: news->done() is called, and frees it */
void ngx_http_phota_news_post(ngx_http_phota_news_t *news);
void ngx_http_phota_news_free(ngx_http_phota_news_t *news);

/* ngx_http_phota_follow.c */

/* by the worker's tick: does what is due for jobs */
void ngx_http_phota_follow(void);

/* ngx_http_phota_callback.c */

char *ngx_http_phota_callbacks(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_phota_callbacks_url(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_phota_signature(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* GET webhook-secret: ctx->told */
ngx_int_t ngx_http_phota_tell_secret(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* ngx_http_phota_errand.c */

/*
 * A request of the gateway's own, by the door that a job came by (or the first
 * of its provider); NULL: there is none, or no memory.  Its pool is r->pool.
 */
ngx_http_phota_errand_t *ngx_http_phota_errand_create(ngx_uint_t provider,
    const char *door);

/* NGX_AGAIN: done() will be called; otherwise it is gone, and never is */
ngx_int_t ngx_http_phota_errand_go(ngx_http_phota_errand_t *errand,
    ngx_http_phota_target_t *target);
void ngx_http_phota_errand_free(ngx_http_phota_errand_t *errand);

/* from now on it has so much time, whatever it waits for */
void ngx_http_phota_errand_begin(ngx_http_phota_errand_t *errand);

/* ngx_http_phota_outbound.c */

char *ngx_http_phota_outbound(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_phota_outbound_allow(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_phota_outbound_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

/* whether a tenant may have the gateway go there: NULL, or why not */
const char *ngx_http_phota_outbound_fault(ngx_str_t *text);

/*
 * Goes to a URL that isn't ours: its name is resolved, its address looked at,
 * and only then called.  target: method, body and length; uri and args are
 * filled in.  errand->url is set; NGX_AGAIN: done() will be called, trouble
 * says why there is no answer, whatever the status; otherwise as
 * ngx_http_phota_errand_go().
 */
ngx_int_t ngx_http_phota_outbound_go(ngx_http_phota_errand_t *errand,
    ngx_http_phota_target_t *target);

/* ngx_http_phota_profile.c */

/*
 * After the upstream was asked, all three: NGX_AGAIN when something is to be
 * done before it is told, and the request is resumed then; NGX_DECLINED.  The
 * list of profiles without what isn't the tenant's; how a training ended; a
 * profile that is gone.
 */
ngx_int_t ngx_http_phota_filter_profiles(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

ngx_int_t ngx_http_phota_training_told(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
ngx_int_t ngx_http_phota_forget_profile(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/*
 * Of a training that was bought: p->profile.  And whose it is, with the watch
 * over it when it may be given back: in the transaction of its settle.
 */
ngx_int_t ngx_http_phota_profile_made(ngx_http_phota_purchase_t *p,
    ngx_http_phota_ctx_t *ctx);
int ngx_http_phota_profile_write(ngx_http_phota_purchase_t *p, MDB_txn *txn,
    phota_error_t *err);

/*
 * ctx->told: what the training of a settled charge was answered; NGX_DECLINED:
 * its profile isn't known, or the books can't be read, with a refusal.
 */
ngx_int_t ngx_http_phota_profile_again(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, const phota_charge_t *charge);


#endif /* _NGX_HTTP_PHOTA_ASYNC_H_INCLUDED_ */
