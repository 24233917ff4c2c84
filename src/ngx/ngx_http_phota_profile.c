
/*
 * Profiles: who trains one owns it, from the transaction that settles it; their
 * list shows a tenant its own; a training that ends in error is given back
 * where the price list says so; and one that is deleted takes with it what was
 * made with it: such results leave the cache before the client is told.
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


/* bytes of a list that is looked through */

#define NGX_HTTP_PHOTA_LIST_MAX      (16 * 1024 * 1024)


typedef struct {
    ngx_thread_task_t           task;
    ngx_http_phota_purchase_t  *p;
    MDB_txn                    *txn;
    uint32_t                    tenant;
    ngx_str_t                   wanted;     /* tag, len 0: any */
    u_char                      tag[PHOTA_PROFILE_TAG_MAX + 1];
    phota_profile_t             profile;
    u_char                     *out;
    size_t                      len;
    int                         rc;
} ngx_http_phota_list_t;


static void ngx_http_phota_list_thread(void *data, ngx_log_t *log);
static int ngx_http_phota_list_keep(void *ctx, const phota_str_t *id,
    const phota_str_t *own, phota_str_t *tag);
static void ngx_http_phota_list_done(ngx_event_t *ev);
static void ngx_http_phota_list_refuse(ngx_http_phota_ctx_t *ctx);
static ngx_int_t ngx_http_phota_forget_post(ngx_http_phota_forget_t *forget);
static void ngx_http_phota_forget_again(ngx_event_t *ev);
static void ngx_http_phota_forget_thread(void *data, ngx_log_t *log);
static void ngx_http_phota_forget_done(ngx_event_t *ev);
static void ngx_http_phota_forget_end(ngx_http_phota_forget_t *forget);


ngx_int_t
ngx_http_phota_profile_made(ngx_http_phota_purchase_t *p,
    ngx_http_phota_ctx_t *ctx)
{
    phota_profile_t            *profile;
    ngx_http_phota_loc_conf_t  *plcf;

    profile = ngx_calloc(sizeof(phota_profile_t), ngx_cycle->log);
    if (profile == NULL) {
        return NGX_ERROR;
    }

    profile->tenant = p->charge.tenant;
    profile->created = phota_now();
    profile->charge = p->charge.id;

    ngx_memcpy(profile->id, p->delivery.profile, sizeof(profile->id));

    if (ctx->upward && ctx->upward->tag.len < sizeof(profile->tag)) {
        ngx_memcpy(profile->tag, ctx->upward->tag.data,
                   ctx->upward->tag.len);
    }

    p->profile = profile;

    if (!p->refund) {
        return NGX_OK;
    }

    p->training = ngx_calloc(sizeof(phota_job_t), ngx_cycle->log);
    if (p->training == NULL) {
        return NGX_ERROR;
    }

    plcf = ngx_http_get_module_loc_conf(ctx->call->main,
                                        ngx_http_phota_module);

    p->training->charge = p->charge.id;
    p->training->tenant = p->charge.tenant;
    p->training->provider = p->charge.provider;
    p->training->operation = p->charge.operation;
    p->training->kind = PHOTA_JOB_TRAINING;
    p->training->submitted = profile->created;
    p->training->due = profile->created
               + (uint64_t) ngx_http_phota_worker.conf->job_poll * 1000;

    ngx_memcpy(p->training->upstream, profile->id, sizeof(profile->id));

    if (plcf->pass.len < sizeof(p->training->door)) {
        ngx_memcpy(p->training->door, plcf->pass.data, plcf->pass.len);
    }

    return NGX_OK;
}


int
ngx_http_phota_profile_write(ngx_http_phota_purchase_t *p, MDB_txn *txn,
    phota_error_t *err)
{
    int                     rc;
    ngx_http_phota_about_t  about;

    rc = phota_profile_put(&ngx_http_phota_worker.profiles, txn, p->profile,
                           err);

    if (rc == PHOTA_ERROR) {
        return rc;
    }

    if (rc != PHOTA_OK) {

        /* what isn't an id, or is another's: the charge stands all the same */

        ngx_http_phota_say(NGX_LOG_ALERT, ngx_cycle->log, 0,
                           ngx_http_phota_about_purchase(&about, p),
                           "whose a trained profile is can't be noted",
                           "%s, photactl profile adopt", err->text);
    }

    if (p->training == NULL) {
        return PHOTA_OK;
    }

    return phota_job_put(&ngx_http_phota_worker.jobs, txn, p->training, NULL,
                         0, err);
}


ngx_int_t
ngx_http_phota_profile_again(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    const phota_charge_t *charge)
{
    int               rc;
    size_t            len;
    u_char           *text, *last;
    MDB_txn          *txn;
    phota_profile_t   profile;

    txn = ngx_http_phota_read_books();
    rc = PHOTA_ERROR;

    if (txn) {
        rc = phota_profile_trained(&ngx_http_phota_worker.profiles, txn,
                                   ctx->tenant.id, &charge->id, &profile,
                                   NULL);
        ngx_http_phota_read_end(txn);
    }

    if (rc == PHOTA_ERROR) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "BOOKS_UNAVAILABLE",
                              "the books cannot be read; nothing was bought");
        ctx->refusal.retry_after = 1;
        return NGX_DECLINED;
    }

    if (rc != PHOTA_OK) {
        return NGX_DECLINED;
    }

    len = ngx_strlen(profile.id);
    text = ngx_pnalloc(r->pool, sizeof("{\"profile_id\":\"\"}") + len
                       + ngx_escape_json(NULL, (u_char *) profile.id, len));

    if (text == NULL) {
        return NGX_ERROR;
    }

    last = ngx_cpymem(text, "{\"profile_id\":\"",
                      sizeof("{\"profile_id\":\"") - 1);
    last = (u_char *) ngx_escape_json(last, (u_char *) profile.id, len);
    last = ngx_cpymem(last, "\"}", sizeof("\"}") - 1);

    if (charge->request_id[0] && !ctx->trial
        && ngx_http_phota_header(r, "X-Request-Id",
                                 (u_char *) charge->request_id,
                                 ngx_strlen(charge->request_id))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_phota_tell(r, ctx, NGX_HTTP_OK, text, last - text);
}


/* --- the list */

ngx_int_t
ngx_http_phota_filter_profiles(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx)
{
    ngx_http_phota_list_t      *list;
    ngx_http_phota_purchase_t  *p;

    p = ctx->purchase;

    if (!phota_tenant_fenced(&ctx->tenant) || !p->complete || p->lost
        || p->status != NGX_HTTP_OK)
    {
        return NGX_DECLINED;
    }

    list = ngx_calloc(sizeof(ngx_http_phota_list_t), ngx_cycle->log);

    if (list == NULL) {
        ngx_http_phota_list_refuse(ctx);
        return NGX_DECLINED;
    }

    list->p = p;
    list->tenant = ctx->tenant.id;

    /* the request's memory lives as long as it has a purchase to wait for */

    list->wanted.data = list->tag;
    list->wanted.len = ngx_min(ctx->listed.len, sizeof(list->tag));
    ngx_memcpy(list->tag, ctx->listed.data, list->wanted.len);

    list->task.ctx = list;
    list->task.handler = ngx_http_phota_list_thread;
    list->task.event.data = list;
    list->task.event.handler = ngx_http_phota_list_done;
    list->task.event.log = ngx_cycle->log;

    if (ngx_thread_task_post(ngx_http_phota_worker.conf->pool, &list->task)
        != NGX_OK)
    {
        ngx_free(list);
        ngx_http_phota_list_refuse(ctx);
        return NGX_DECLINED;
    }

    p->refs++;

    ngx_http_phota_worker.asking++;
    ngx_http_phota_job_begin();

    return NGX_AGAIN;
}


static void
ngx_http_phota_list_thread(void *data, ngx_log_t *log)
{
    ngx_http_phota_list_t *list = data;

    off_t    size;
    u_char  *text;

    list->rc = PHOTA_ERROR;

    size = ngx_http_phota_spool_size(list->p->spool);

    if (size == 0 || size > NGX_HTTP_PHOTA_LIST_MAX) {
        list->rc = PHOTA_INVALID;
        return;
    }

    text = ngx_alloc(size, log);
    if (text == NULL) {
        return;
    }

    if (ngx_http_phota_spool_read(list->p->spool, text, size, 0) == PHOTA_OK
        && phota_store_begin(&ngx_http_phota_worker.books, 0, &list->txn,
                             NULL)
           == PHOTA_OK)
    {
        list->rc = phota_profiles_filter(text, size, ngx_http_phota_list_keep,
                                         list, &list->out, &list->len);
        phota_store_abort(list->txn);
    }

    ngx_free(text);
}


static int
ngx_http_phota_list_keep(void *ctx, const phota_str_t *id,
    const phota_str_t *own, phota_str_t *tag)
{
    ngx_http_phota_list_t *list = ctx;

    int          rc;
    phota_str_t  told;

    rc = phota_profile_get(&ngx_http_phota_worker.profiles, list->txn,
                           id->data, id->len, &list->profile, NULL);

    if (rc != PHOTA_OK) {
        return rc;
    }

    if (list->profile.tenant != list->tenant) {
        return PHOTA_DECLINED;
    }

    /* one that was adopted without a tag keeps the account's */

    told = *own;

    if (list->profile.tag[0]) {
        tag->data = (u_char *) list->profile.tag;
        tag->len = ngx_strlen(list->profile.tag);

        told = *tag;
    }

    if (list->wanted.len
        && (told.len != list->wanted.len
            || ngx_memcmp(told.data, list->wanted.data, told.len) != 0))
    {
        return PHOTA_DECLINED;
    }

    return PHOTA_OK;
}


static void
ngx_http_phota_list_done(ngx_event_t *ev)
{
    ngx_int_t                   rc;
    ngx_http_request_t         *r;
    ngx_http_phota_ctx_t       *ctx;
    ngx_http_phota_list_t      *list;
    ngx_http_phota_purchase_t  *p;

    list = ev->data;
    p = list->p;
    r = p->r;

    ngx_http_phota_worker.asking--;
    ngx_http_phota_job_end();

    if (r && !ngx_http_phota_worker.exiting) {
        ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

        rc = NGX_ERROR;

        if (list->rc == PHOTA_OK) {
            rc = ngx_http_phota_tell(r, ctx, NGX_HTTP_OK, list->out,
                                     list->len);
        }

        if (rc != NGX_OK) {
            ngx_http_phota_list_refuse(ctx);
        }
    }

    if (list->out) {
        ngx_free(list->out);
    }

    ngx_free(list);

    ngx_http_phota_purchase_release(p);

    if (r && !ngx_http_phota_worker.exiting) {
        ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
    }
}


/* nothing of a list goes out that nobody has looked through */

static void
ngx_http_phota_list_refuse(ngx_http_phota_ctx_t *ctx)
{
    ngx_http_phota_refuse(ctx, NGX_HTTP_BAD_GATEWAY, "UPSTREAM_FAILED",
                          "the upstream's list of profiles could not be "
                          "read");
}


/* --- how a training ended */

ngx_int_t
ngx_http_phota_training_told(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    int                         rc;
    MDB_txn                    *txn;
    phota_job_t                 row;
    phota_profile_t             profile;
    ngx_http_phota_news_t      *news;
    ngx_http_phota_purchase_t  *p;

    p = ctx->purchase;

    if (!p->complete || p->lost || p->status != NGX_HTTP_OK) {
        return NGX_DECLINED;
    }

    txn = ngx_http_phota_read_books();
    if (txn == NULL) {
        return NGX_DECLINED;
    }

    rc = phota_profile_get(&ngx_http_phota_worker.profiles, txn,
                           ctx->route_id.data, ctx->route_id.len, &profile,
                           NULL);

    /* most are never given back: then there is nothing to write */

    if (rc == PHOTA_OK && profile.tenant == ctx->tenant.id) {
        rc = phota_job_get(&ngx_http_phota_worker.jobs, txn, &profile.charge,
                           &row, NULL);

    } else {
        rc = PHOTA_DECLINED;
    }

    ngx_http_phota_read_end(txn);

    if (rc != PHOTA_OK) {
        return NGX_DECLINED;
    }

    news = ngx_calloc(sizeof(ngx_http_phota_news_t), ngx_cycle->log);
    if (news == NULL) {
        return NGX_DECLINED;
    }

    /* the answer is told as it is; the gateway asks again if this is lost */

    news->done = ngx_http_phota_news_free;
    news->charge = profile.charge;
    news->status = p->status;
    news->by_tenant = 1;
    news->spool = p->spool;

    ngx_http_phota_spool_hold(p->spool);

    ngx_http_phota_news_post(news);

    return NGX_DECLINED;
}


/* --- one that is gone */

ngx_int_t
ngx_http_phota_forget_profile(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx)
{
    ngx_http_phota_forget_t    *forget;
    ngx_http_phota_purchase_t  *p;

    p = ctx->purchase;

    /* who asks again, for he was never told, finds it gone already */

    if (!p->complete
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
    forget->purge.mark = phota_profile_mark(ctx->route_id.data,
                                            ctx->route_id.len);

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

    return NGX_AGAIN;
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
    ngx_http_phota_about_t      about;
    ngx_http_phota_purchase_t  *p;

    p = forget->p;
    r = p->r;

    if (forget->rc == PHOTA_OK) {
        ngx_http_phota_say_some(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                                ngx_http_phota_about_id(&about,
                                                        forget->purge.tenant,
                                                        NULL),
                                "results of a deleted profile were removed "
                                "from the cache", "%uL of them",
                                forget->results);

    } else {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0,
                                ngx_http_phota_about_id(&about,
                                                        forget->purge.tenant,
                                                        NULL),
                                "results of a deleted profile could not be "
                                "removed from the cache", "%s",
                                forget->err.text);
    }

    ngx_free(forget);

    ngx_http_phota_purchase_release(p);

    if (r && !ngx_http_phota_worker.exiting) {
        ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
    }
}
