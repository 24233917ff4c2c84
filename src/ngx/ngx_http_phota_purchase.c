
/*
 * Buying: the hold is durable before the first byte goes up, the call runs in
 * a subrequest of ours that no client can abort, and charge and picture are
 * posted from its post-subrequest handler, because with a dead client the
 * parent is never resumed.  A purchase lives on the heap and is counted: the
 * request's pool and every job under way hold it.
 */


#include "ngx_http_phota_module.h"


static void ngx_http_phota_purchase_detach(void *data);
static ngx_int_t ngx_http_phota_called(ngx_http_request_t *sr, void *data,
    ngx_int_t rc);
static ngx_int_t ngx_http_phota_relayed(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static int ngx_http_phota_settle_run(ngx_http_phota_job_t *job,
    MDB_txn *txn);
static int ngx_http_phota_settle_write(ngx_http_phota_purchase_t *p,
    MDB_txn *txn, phota_charge_t *charge, phota_error_t *err);
static void ngx_http_phota_settle_done(ngx_http_phota_job_t *job);
static int ngx_http_phota_undo_run(ngx_http_phota_job_t *job, MDB_txn *txn);
static void ngx_http_phota_undo_done(ngx_http_phota_job_t *job);


ngx_http_phota_purchase_t *
ngx_http_phota_purchase_create(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_uint_t spool)
{
    ngx_pool_cleanup_t         *pcln;
    ngx_http_cleanup_t         *cln;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_phota_purchase_t  *p;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    pcln = ngx_pool_cleanup_add(r->pool, 0);
    cln = ngx_http_cleanup_add(r, 0);

    if (pcln == NULL || cln == NULL) {
        return NULL;
    }

    p = ngx_calloc(sizeof(ngx_http_phota_purchase_t), r->connection->log);
    if (p == NULL) {
        return NULL;
    }

    /*
     * set by ngx_calloc():
     *
     *     p->status = 0;
     *     p->received = 0;
     *     p->pending = 0;
     *     all bits = 0;
     */

    if (spool) {
        p->spool = ngx_http_phota_spool_create(r->connection->log,
                                         &clcf->client_body_temp_path->name);
        if (p->spool == NULL) {
            ngx_free(p);
            return NULL;
        }
    }

    p->r = r;
    p->refs = 1;
    p->length = -1;

    /*
     * The request's cleanup runs before the LOG phase, which still asks for
     * the charge: there the client is only forgotten.
     */

    cln->handler = ngx_http_phota_purchase_detach;
    cln->data = p;

    pcln->handler = ngx_http_phota_purchase_release;
    pcln->data = p;

    ctx->purchase = p;

    return p;
}


static void
ngx_http_phota_purchase_detach(void *data)
{
    ngx_http_phota_purchase_t *p = data;

    p->r = NULL;

    if (p->held && p->called && !p->ended) {

        /* torn down in the middle of the call, as by a forced shutdown */

        p->outcome.state = PHOTA_STATE_UNKNOWN;
        p->outcome.reason = PHOTA_REASON_ABANDONED;
        p->outcome.status = p->status;

        if (p->key_asked && !p->key_given) {
            p->outcome.state = PHOTA_STATE_VOID;
            p->outcome.reason = PHOTA_REASON_NOT_SENT;
        }

        ngx_http_phota_end(p);
    }
}


void
ngx_http_phota_purchase_release(void *data)
{
    ngx_http_phota_purchase_t *p = data;

    if (--p->refs) {
        return;
    }

    ngx_http_phota_purchase_land(p);

    if (p->deposits) {
        ngx_free(p->deposits);
    }

    if (p->answer) {
        phota_answer_destroy(p->answer);
    }

    if (p->job) {
        ngx_free(p->job);
    }

    if (p->profile) {
        ngx_free(p->profile);
    }

    if (p->training) {
        ngx_free(p->training);
    }

    if (p->spool) {
        ngx_http_phota_spool_free(p->spool);
    }

    ngx_free(p);
}


/* a request that buys nothing, with the tenant's own key */

ngx_int_t
ngx_http_phota_relay(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    if (ngx_http_phota_have_key(r, ctx) != NGX_OK) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_BAD_GATEWAY, "UPSTREAM_AUTH",
                              "no upstream key is set for the tenant");
        return NGX_DECLINED;
    }

    if (ngx_http_phota_purchase_create(r, ctx, 1) == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_phota_call(r, ctx);
}


/*
 * By the main request: an internal redirect within the operator's location
 * takes the subrequest's own contexts away.
 */

ngx_http_phota_ctx_t *
ngx_http_phota_caller(ngx_http_request_t *r)
{
    ngx_http_phota_ctx_t  *ctx;

    if (r == r->main) {
        return NULL;
    }

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_phota_module);

    return (ctx && ctx->call == r) ? ctx : NULL;
}


/* the client's call, by the path that it has called itself */

ngx_int_t
ngx_http_phota_call(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_http_phota_target_t     target;
    ngx_http_phota_loc_conf_t  *plcf;

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    ngx_memzero(&target, sizeof(ngx_http_phota_target_t));

    if (ngx_http_phota_inside(r->pool, &plcf->pass, r->uri.data, r->uri.len,
                              &target.uri)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    target.args = r->args;

    if (ctx->purchase->metered) {
        target.method = r->method;
        target.method_name = r->method_name;
        target.clients = 1;

        if (ngx_http_phota_rewrite(r, ctx, &target.body, &target.length)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else if (r->method == NGX_HTTP_DELETE) {
        target.method = r->method;
        target.method_name = r->method_name;

    } else {

        /* for HEAD too */

        target.method = NGX_HTTP_GET;
        target.method_name = ngx_http_core_get_method;

        if (ngx_http_phota_alias_args(r, ctx, &target.args) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_phota_launch(r, ctx, &target);
}


ngx_int_t
ngx_http_phota_inside(ngx_pool_t *pool, ngx_str_t *prefix, u_char *path,
    size_t len, ngx_str_t *uri)
{
    /* the path's own slash is the prefix's */

    if (len && path[0] == '/') {
        path++;
        len--;
    }

    uri->len = prefix->len + len;

    uri->data = ngx_pnalloc(pool, uri->len);
    if (uri->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ngx_cpymem(uri->data, prefix->data, prefix->len), path, len);

    return NGX_OK;
}


ngx_int_t
ngx_http_phota_launch(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_target_t *target)
{
    ngx_http_request_t          *sr;
    ngx_http_post_subrequest_t  *ps;

    ps = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));
    if (ps == NULL) {
        return NGX_ERROR;
    }

    ps->handler = ngx_http_phota_called;
    ps->data = ctx;

    if (ngx_http_subrequest(r, &target->uri, &target->args, &sr, ps,
                            NGX_HTTP_SUBREQUEST_WAITED)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    sr->method = target->method;
    sr->method_name = target->method_name;

    if (target->body || !target->clients) {

        /*
         * Proxy writes the one header that counts by the number alone; a body
         * that isn't meant to go up would be somebody's smuggling.
         */

        sr->request_body = target->body;
        sr->headers_in.content_length_n = target->body ? target->length : -1;
        sr->headers_in.content_length = NULL;
        sr->headers_in.chunked = 0;
    }

    ngx_http_set_ctx(sr, ctx, ngx_http_phota_module);

    ctx->call = sr;
    ctx->state = NGX_HTTP_PHOTA_CALL;

    ctx->purchase->called = 1;

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_phota_called(ngx_http_request_t *sr, void *data, ngx_int_t rc)
{
    ngx_http_phota_ctx_t *ctx = data;

    ngx_uint_t                  sent;
    ngx_http_request_t         *r;
    ngx_http_phota_about_t      about;
    ngx_http_variable_value_t  *v;
    ngx_http_phota_purchase_t  *p;

    if (ctx->state != NGX_HTTP_PHOTA_CALL) {
        return NGX_OK;
    }

    r = sr->main;
    p = ctx->purchase;

    /* main and subrequest share their variables: a log must not find it */

    v = &r->variables[ngx_http_phota_worker.conf->upstream_key];
    v->valid = 0;

    sent = (sr->upstream && sr->upstream->request_body_sent);

    ngx_http_phota_judge(p, ctx, rc, sent);

    if (!(ctx->errand && ctx->errand->outbound)) {
        ngx_http_phota_meter_upstream(p);
    }

    if (p->metered && p->outcome.state == PHOTA_STATE_SETTLED
        && p->delivery.profile[0]
        && ngx_http_phota_profile_made(p, ctx) != NGX_OK)
    {
        ngx_http_phota_say(NGX_LOG_ALERT, r->connection->log, 0,
                           ngx_http_phota_about_purchase(&about, p),
                           "whose a trained profile is can't be noted",
                           "no memory, photactl profile adopt \"%s\"",
                           p->delivery.profile);
    }

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "phota called: rc:%i status:%ui sent:%ui state:%d",
                   rc, p->status, sent, p->outcome.state);

    if (!p->key_asked && sr->upstream
        && !(ctx->errand && ctx->errand->outbound))
    {
        ngx_http_phota_say_some(NGX_LOG_ERR, r->connection->log, 0,
                                ngx_http_phota_about(&about, ctx),
                                "a location does not hand on "
                                "$phota_upstream_key",
                                "include phota_params, that of \"%V\"",
                                &sr->uri);
    }

    if (ctx->errand) {

        /* which its own handler ends, once nginx has come back to it */

        ctx->state = NGX_HTTP_PHOTA_ANSWER;
        return NGX_OK;
    }

    ctx->state = NGX_HTTP_PHOTA_SETTLE;

    if (p->metered) {
        ngx_http_phota_end(p);

    } else if (ngx_http_phota_relayed(r, ctx) != NGX_AGAIN) {
        ctx->state = NGX_HTTP_PHOTA_ANSWER;
    }

    r->write_event_handler = ngx_http_core_run_phases;

    /* no error page is made of it: the main request answers */

    return NGX_OK;
}


/* NGX_AGAIN: something is to be done before it is told */

static ngx_int_t
ngx_http_phota_relayed(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    if (ctx->route == NULL) {
        return NGX_OK;
    }

    switch (ctx->route->id) {

    case PHOTA_ROUTE_JOB:
        return ngx_http_phota_async_polled(r, ctx);

    case PHOTA_ROUTE_PROFILES:
        return ngx_http_phota_filter_profiles(r, ctx);

    case PHOTA_ROUTE_PROFILE_STATUS:
        return ngx_http_phota_training_told(r, ctx);

    case PHOTA_ROUTE_PROFILE_DELETE:
        return ngx_http_phota_forget_profile(r, ctx);

    default:
        return NGX_OK;
    }
}


void
ngx_http_phota_end(ngx_http_phota_purchase_t *p)
{
    ngx_http_phota_about_t  about;

    p->ended = 1;

    /* not limited: there is one for each such charge in the books */

    if (p->outcome.state == PHOTA_STATE_UNKNOWN) {
        ngx_http_phota_say(NGX_LOG_ERR, ngx_cycle->log, 0,
                           ngx_http_phota_about_purchase(&about, p),
                           "a charge is unknown", "%s, upstream status %ui, "
                           "upstream request \"%s\"",
                           phota_reason_name(p->outcome.reason), p->status,
                           p->outcome.request_id);
    }

    /* before the settle: from then on the charge is the thread's */

    if (p->outcome.state == PHOTA_STATE_SETTLED) {
        ngx_http_phota_store(p);
    }

    p->settle.run = ngx_http_phota_settle_run;
    p->settle.done = ngx_http_phota_settle_done;
    p->settle.meter = NGX_HTTP_PHOTA_METER_SETTLE;

    p->refs++;
    p->pending++;

    ngx_http_phota_post(&ngx_http_phota_worker.books_writer, &p->settle);
}


static int
ngx_http_phota_settle_run(ngx_http_phota_job_t *job, MDB_txn *txn)
{
    int                         rc;
    phota_charge_t              charge;
    ngx_http_phota_purchase_t  *p;

    p = (ngx_http_phota_purchase_t *)
            ((u_char *) job - offsetof(ngx_http_phota_purchase_t, settle));

    rc = ngx_http_phota_settle_write(p, txn, &charge, &job->err);

    /* the event loop reads it only after done() */

    if (rc == PHOTA_OK || rc == PHOTA_REFUSED) {
        p->charge = charge;
    }

    return rc;
}


/* the charge, and what is written with it or not at all */

static int
ngx_http_phota_settle_write(ngx_http_phota_purchase_t *p, MDB_txn *txn,
    phota_charge_t *charge, phota_error_t *err)
{
    int  rc;

    if (p->job) {
        return ngx_http_phota_async_write(p, txn, charge, err);
    }

    rc = phota_ledger_end(&ngx_http_phota_worker.ledger, txn, &p->charge.id,
                          &p->outcome, charge, err);

    if (rc == PHOTA_OK && p->profile) {
        rc = ngx_http_phota_profile_write(p, txn, err);
    }

    return rc;
}


static void
ngx_http_phota_settle_done(ngx_http_phota_job_t *job)
{
    ngx_http_phota_about_t      about;
    ngx_http_phota_purchase_t  *p;

    p = (ngx_http_phota_purchase_t *)
            ((u_char *) job - offsetof(ngx_http_phota_purchase_t, settle));

    if (job->rc == PHOTA_OK || job->rc == PHOTA_REFUSED) {
        p->settled = 1;
        ngx_http_phota_meter_charge(&p->charge, p->cache);

    } else if (job->rc != PHOTA_ERROR) {

        /* there is no such hold, or no such outcome: never by trying again */

        ngx_http_phota_say(NGX_LOG_ALERT, ngx_cycle->log, 0,
                           ngx_http_phota_about_purchase(&about, p),
                           "a charge can't be settled", "%s", job->err.text);

    } else {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0,
                                ngx_http_phota_about_purchase(&about, p),
                                "a charge could not be settled, its hold "
                                "stays and it is tried again", "%s",
                                job->err.text);

        p->refs++;
        ngx_queue_insert_tail(&ngx_http_phota_worker.unsettled, &p->retry);
    }

    ngx_http_phota_purchase_job_done(p);
}


/*
 * A commit that failed may be durable all the same, when LMDB could not take
 * its head back: what is in the books then was never sent.
 */

void
ngx_http_phota_undo(ngx_http_phota_purchase_t *p)
{
    p->r = NULL;

    p->outcome.state = PHOTA_STATE_VOID;
    p->outcome.reason = PHOTA_REASON_NOT_SENT;

    p->settle.run = ngx_http_phota_undo_run;
    p->settle.done = ngx_http_phota_undo_done;

    p->refs++;
    ngx_queue_insert_tail(&ngx_http_phota_worker.unsettled, &p->retry);
}


static int
ngx_http_phota_undo_run(ngx_http_phota_job_t *job, MDB_txn *txn)
{
    phota_ledger_t             *ledger;
    ngx_http_phota_purchase_t  *p;

    p = (ngx_http_phota_purchase_t *)
            ((u_char *) job - offsetof(ngx_http_phota_purchase_t, settle));

    ledger = &ngx_http_phota_worker.ledger;

    if (p->serves) {
        return phota_ledger_reverse(ledger, txn, &p->charge.id,
                                    PHOTA_REASON_NOT_SENT, "", "", NULL,
                                    &job->err);
    }

    return phota_ledger_end(ledger, txn, &p->charge.id, &p->outcome, NULL,
                            &job->err);
}


static void
ngx_http_phota_undo_done(ngx_http_phota_job_t *job)
{
    ngx_http_phota_about_t      about;
    ngx_http_phota_purchase_t  *p;

    p = (ngx_http_phota_purchase_t *)
            ((u_char *) job - offsetof(ngx_http_phota_purchase_t, settle));

    if (job->rc == PHOTA_ERROR) {
        p->refs++;
        ngx_queue_insert_tail(&ngx_http_phota_worker.unsettled, &p->retry);

    } else if (job->rc == PHOTA_OK) {
        ngx_http_phota_say(NGX_LOG_WARN, ngx_cycle->log, 0,
                           ngx_http_phota_about_purchase(&about, p),
                           "a charge that could not be written was found in "
                           "the books and taken back", NULL);
    }

    ngx_http_phota_purchase_job_done(p);
}


void
ngx_http_phota_settle_again(ngx_queue_t *q)
{
    ngx_http_phota_purchase_t  *p;

    p = ngx_queue_data(q, ngx_http_phota_purchase_t, retry);

    /* the queue's reference becomes the job's */

    p->pending++;

    ngx_http_phota_post(&ngx_http_phota_worker.books_writer, &p->settle);
}


void
ngx_http_phota_purchase_job_done(ngx_http_phota_purchase_t *p)
{
    ngx_http_request_t    *r;
    ngx_http_phota_ctx_t  *ctx;

    r = p->r;

    if (--p->pending == 0 && p->ended) {

        /* charge and pictures are where others look for them */

        ngx_http_phota_purchase_land(p);
    }

    if (p->pending == 0 && r && !ngx_http_phota_worker.exiting) {
        ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

        /* a void that a refusal or a late retry does not wait for */

        if (ctx && ctx->state == NGX_HTTP_PHOTA_SETTLE) {
            ngx_http_phota_purchase_release(p);
            ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
            return;
        }
    }

    ngx_http_phota_purchase_release(p);
}
