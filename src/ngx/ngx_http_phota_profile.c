
/*
 * A profile that is deleted upstream takes with it what was made with it: the
 * results that named or showed it leave the cache before the client is told.
 * Only a tenant with an account of its own may delete profiles.
 */


#include "ngx_http_phota_module.h"


/* ms between two tries, and how many there are */

#define NGX_HTTP_PHOTA_FORGET        100
#define NGX_HTTP_PHOTA_FORGET_TRIES  100


typedef struct {
    ngx_thread_task_t           task;
    ngx_event_t                 timer;
    ngx_uint_t                  tries;
    ngx_http_phota_purchase_t  *p;
    phota_purge_t               purge;
    uint64_t                    results;
    int                         rc;
    phota_error_t               err;
} ngx_http_phota_forget_t;


static ngx_int_t ngx_http_phota_forget_post(ngx_http_phota_forget_t *forget);
static void ngx_http_phota_forget_again(ngx_event_t *ev);
static void ngx_http_phota_forget_thread(void *data, ngx_log_t *log);
static void ngx_http_phota_forget_done(ngx_event_t *ev);
static void ngx_http_phota_forget_end(ngx_http_phota_forget_t *forget);


static ngx_str_t  ngx_http_phota_profiles =
                                         ngx_string("/v1/phota/profiles/");


ngx_int_t
ngx_http_phota_profile(ngx_http_request_t *r, ngx_str_t *id)
{
    ngx_str_t  *prefix;

    prefix = &ngx_http_phota_profiles;

    if (r->method != NGX_HTTP_DELETE || r->uri.len <= prefix->len
        || ngx_strncmp(r->uri.data, prefix->data, prefix->len) != 0)
    {
        return NGX_DECLINED;
    }

    id->data = r->uri.data + prefix->len;
    id->len = r->uri.len - prefix->len;

    return (ngx_strlchr(id->data, id->data + id->len, '/') == NULL)
           ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_phota_forget_profile(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx)
{
    ngx_str_t                   id;
    ngx_http_phota_forget_t    *forget;
    ngx_http_phota_purchase_t  *p;

    p = ctx->purchase;

    /* who asks again, for he was never told, finds it gone already */

    if (ngx_http_phota_profile(r, &id) != NGX_OK || !p->complete
        || ((p->status < 200 || p->status >= 300)
            && p->status != NGX_HTTP_NOT_FOUND)
        || !ngx_http_phota_worker.cache_open)
    {
        return NGX_DECLINED;
    }

    forget = ngx_calloc(sizeof(ngx_http_phota_forget_t), ngx_cycle->log);
    if (forget == NULL) {
        return NGX_DECLINED;
    }

    forget->p = p;
    forget->purge.tenant = ctx->tenant.id;
    forget->purge.profile = 1;
    forget->purge.mark = phota_profile_mark(id.data, id.len);

    forget->task.ctx = forget;
    forget->task.handler = ngx_http_phota_forget_thread;
    forget->task.event.data = forget;
    forget->task.event.handler = ngx_http_phota_forget_done;
    forget->task.event.log = ngx_cycle->log;

    forget->timer.handler = ngx_http_phota_forget_again;
    forget->timer.data = forget;
    forget->timer.log = ngx_cycle->log;

    if (ngx_http_phota_forget_post(forget) != NGX_OK) {
        ngx_free(forget);
        return NGX_DECLINED;
    }

    p->refs++;

    return NGX_OK;
}


/* not by the cache's writer: it has purchases to store meanwhile */

static ngx_int_t
ngx_http_phota_forget_post(ngx_http_phota_forget_t *forget)
{
    if (ngx_thread_task_post(ngx_http_phota_worker.conf->pool, &forget->task)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    forget->tries++;

    ngx_http_phota_worker.reading++;
    ngx_http_phota_job_begin();

    return NGX_OK;
}


static void
ngx_http_phota_forget_again(ngx_event_t *ev)
{
    ngx_http_phota_forget_t  *forget;

    forget = ev->data;

    if (ngx_http_phota_forget_post(forget) != NGX_OK) {
        ngx_http_phota_forget_end(forget);
    }
}


static void
ngx_http_phota_forget_thread(void *data, ngx_log_t *log)
{
    ngx_http_phota_forget_t *forget = data;

    forget->rc = phota_cache_purge(&ngx_http_phota_worker.cache,
                                   &forget->purge, &forget->results,
                                   &forget->err);
}


static void
ngx_http_phota_forget_done(ngx_event_t *ev)
{
    ngx_http_phota_forget_t  *forget;

    forget = ev->data;

    ngx_http_phota_worker.reading--;
    ngx_http_phota_job_end();

    if (forget->rc == PHOTA_REFUSED && !ngx_http_phota_worker.exiting
        && forget->tries < NGX_HTTP_PHOTA_FORGET_TRIES)
    {
        /* compacted while we waited: again, in the one that is read now */

        ngx_http_phota_cache_moved();
        ngx_add_timer(&forget->timer, NGX_HTTP_PHOTA_FORGET);
        return;
    }

    ngx_http_phota_forget_end(forget);
}


static void
ngx_http_phota_forget_end(ngx_http_phota_forget_t *forget)
{
    ngx_http_request_t         *r;
    ngx_http_phota_purchase_t  *p;

    p = forget->p;
    r = p->r;

    if (forget->rc == PHOTA_OK) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "phota: with a profile of tenant #%uD %uL results were "
                      "removed from the cache", forget->purge.tenant,
                      forget->results);

    } else {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "phota: results of a deleted profile of tenant #%uD "
                      "could not be removed from the cache: %s",
                      forget->purge.tenant, forget->err.text);
    }

    ngx_free(forget);

    ngx_http_phota_purchase_release(p);

    if (r && !ngx_http_phota_worker.exiting) {
        ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
    }
}
