
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
static int ngx_http_phota_settle_run(ngx_http_phota_job_t *job,
    MDB_txn *txn);
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

    if (p->spool) {
        ngx_http_phota_spool_free(p->spool);
    }

    ngx_free(p);
}


/* a request that buys nothing, with the tenant's own key */

ngx_int_t
ngx_http_phota_relay(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    if (ngx_http_phota_have_key(ctx) != NGX_OK) {
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


ngx_int_t
ngx_http_phota_call(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    off_t                        length;
    ngx_str_t                    uri;
    ngx_http_request_t          *sr;
    ngx_http_request_body_t     *body;
    ngx_http_phota_purchase_t   *p;
    ngx_http_phota_loc_conf_t   *plcf;
    ngx_http_post_subrequest_t  *ps;

    p = ctx->purchase;
    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    uri.len = plcf->pass.len + r->uri.len - 1;

    uri.data = ngx_pnalloc(r->pool, uri.len);
    if (uri.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ngx_cpymem(uri.data, plcf->pass.data, plcf->pass.len),
               r->uri.data + 1, r->uri.len - 1);

    ps = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));
    if (ps == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_phota_rewrite(r, p, &body, &length) != NGX_OK) {
        return NGX_ERROR;
    }

    ps->handler = ngx_http_phota_called;
    ps->data = ctx;

    if (ngx_http_subrequest(r, &uri, &r->args, &sr, ps,
                            NGX_HTTP_SUBREQUEST_WAITED)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (p->metered) {
        sr->method = r->method;
        sr->method_name = r->method_name;

        if (body) {

            /* proxy writes the one header that counts by the number alone */

            sr->request_body = body;
            sr->headers_in.content_length_n = length;
            sr->headers_in.content_length = NULL;
            sr->headers_in.chunked = 0;
        }

    } else {

        /* a GET, for HEAD too; a body would be somebody's smuggling */

        if (r->method == NGX_HTTP_DELETE) {
            sr->method = r->method;
            sr->method_name = r->method_name;
        }

        sr->request_body = NULL;
        sr->headers_in.content_length = NULL;
        sr->headers_in.content_length_n = -1;
        sr->headers_in.chunked = 0;
    }

    ngx_http_set_ctx(sr, ctx, ngx_http_phota_module);

    ctx->call = sr;
    ctx->state = NGX_HTTP_PHOTA_CALL;

    p->called = 1;

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_phota_called(ngx_http_request_t *sr, void *data, ngx_int_t rc)
{
    ngx_http_phota_ctx_t *ctx = data;

    ngx_uint_t                  sent;
    ngx_http_request_t         *r;
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

    ngx_http_phota_judge(p, rc, sent);

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "phota called: rc:%i status:%ui sent:%ui state:%d",
                   rc, p->status, sent, p->outcome.state);

    if (!p->key_asked && sr->upstream) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "phota: location of \"%V\" does not hand on "
                      "$phota_upstream_key: include phota_params", &sr->uri);
    }

    if (p->metered) {
        ctx->state = NGX_HTTP_PHOTA_SETTLE;
        ngx_http_phota_end(p);

    } else if (ngx_http_phota_forget_profile(r, ctx) == NGX_OK) {
        ctx->state = NGX_HTTP_PHOTA_SETTLE;

    } else {
        ctx->state = NGX_HTTP_PHOTA_ANSWER;
    }

    r->write_event_handler = ngx_http_core_run_phases;

    /* no error page is made of it: the main request answers */

    return NGX_OK;
}


void
ngx_http_phota_end(ngx_http_phota_purchase_t *p)
{
    char  id[PHOTA_ID_TEXT];

    p->ended = 1;

    if (p->outcome.state == PHOTA_STATE_UNKNOWN) {
        phota_id_format(id, &p->charge.id);

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "phota: charge %s of tenant #%uD is unknown: %s, "
                      "upstream status %ui, upstream request \"%s\"",
                      id, p->charge.tenant,
                      phota_reason_name(p->outcome.reason), p->status,
                      p->outcome.request_id);
    }

    /* before the settle: from then on the charge is the thread's */

    if (p->outcome.state == PHOTA_STATE_SETTLED) {
        ngx_http_phota_store(p);
    }

    p->settle.run = ngx_http_phota_settle_run;
    p->settle.done = ngx_http_phota_settle_done;

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

    rc = phota_ledger_end(&ngx_http_phota_worker.ledger, txn, &p->charge.id,
                          &p->outcome, &charge, &job->err);

    /* the event loop reads it only after done() */

    if (rc == PHOTA_OK || rc == PHOTA_REFUSED) {
        p->charge = charge;
    }

    return rc;
}


static void
ngx_http_phota_settle_done(ngx_http_phota_job_t *job)
{
    ngx_http_phota_purchase_t  *p;

    p = (ngx_http_phota_purchase_t *)
            ((u_char *) job - offsetof(ngx_http_phota_purchase_t, settle));

    if (job->rc == PHOTA_OK || job->rc == PHOTA_REFUSED) {
        p->settled = 1;

    } else if (job->rc != PHOTA_ERROR) {

        /* there is no such hold, or no such outcome: never by trying again */

        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "phota: a charge can't be settled: %s", job->err.text);

    } else {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "phota: a charge could not be settled, its hold stays "
                      "and it is tried again: %s", job->err.text);

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
    ngx_http_phota_purchase_t  *p;

    p = (ngx_http_phota_purchase_t *)
            ((u_char *) job - offsetof(ngx_http_phota_purchase_t, settle));

    if (job->rc == PHOTA_ERROR) {
        p->refs++;
        ngx_queue_insert_tail(&ngx_http_phota_worker.unsettled, &p->retry);

    } else if (job->rc == PHOTA_OK) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "phota: a charge that could not be written was found "
                      "in the books and taken back");
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
