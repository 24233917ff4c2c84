
/*
 * Jobs: a call that the upstream takes on is held in the books as one, under a
 * name of the gateway's, until the first word of its end, whoever hears it.
 * A tenant's poll is answered from the books once they know the end; until then
 * the upstream is asked.  What isn't the tenant's job looks like none.
 */


#include "ngx_http_phota_module.h"


/* bytes of a handle; what is longer is no job that can be followed */

#define NGX_HTTP_PHOTA_HANDLE_MAX  (256 * 1024)


static ngx_int_t ngx_http_phota_async_row(ngx_http_phota_purchase_t *p,
    ngx_http_phota_ctx_t *ctx, const phota_report_t *report);
static void ngx_http_phota_async_copy(char *to, size_t size,
    const u_char *from, size_t len);
static int ngx_http_phota_async_duplicate(ngx_http_phota_purchase_t *p,
    MDB_txn *txn, const phota_id_t *other, phota_charge_t *charge,
    phota_error_t *err);
static ngx_int_t ngx_http_phota_async_bought(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static void ngx_http_phota_async_warm(ngx_http_request_t *r, ngx_int_t rc);
static ngx_int_t ngx_http_phota_async_ended(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static ngx_int_t ngx_http_phota_async_stored(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static void ngx_http_phota_async_fetched(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_int_t ngx_http_phota_async_found(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static void ngx_http_phota_async_proved(ngx_http_request_t *r, ngx_int_t rc);
static ngx_int_t ngx_http_phota_async_ask(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static void ngx_http_phota_async_heard(ngx_http_phota_news_t *news);
static ngx_uint_t ngx_http_phota_async_passes(ngx_http_phota_news_t *news,
    const ngx_http_phota_ctx_t *ctx);
static void ngx_http_phota_async_none(ngx_http_phota_ctx_t *ctx);
static void ngx_http_phota_async_unreadable(ngx_http_phota_ctx_t *ctx);


ngx_int_t
ngx_http_phota_async_accept(ngx_http_phota_purchase_t *p,
    ngx_http_phota_ctx_t *ctx)
{
    off_t            size;
    u_char          *text;
    ngx_int_t        rc;
    phota_report_t   report;

    /* no other kind has a path that a job could be polled by */

    if (phota_operations[p->charge.operation].answer != PHOTA_ANSWER_IMAGES) {
        return NGX_DECLINED;
    }

    size = ngx_http_phota_spool_size(p->spool);

    if (p->lost || size == 0 || size > NGX_HTTP_PHOTA_HANDLE_MAX) {
        return NGX_DECLINED;
    }

    text = ngx_alloc(size, ngx_cycle->log);
    if (text == NULL) {
        return NGX_DECLINED;
    }

    rc = NGX_DECLINED;

    if (ngx_http_phota_spool_read(p->spool, text, size, 0) == PHOTA_OK
        && phota_report_read(p->status, text, size, &report) == PHOTA_OK)
    {
        /* a submit that is repeated may be told the end of it */

        if (report.id.len) {
            rc = ngx_http_phota_async_row(p, ctx, &report);
        }

        phota_report_free(&report);
    }

    ngx_free(text);

    return rc;
}


static ngx_int_t
ngx_http_phota_async_row(ngx_http_phota_purchase_t *p,
    ngx_http_phota_ctx_t *ctx, const phota_report_t *report)
{
    phota_job_t                *row;
    ngx_http_phota_upward_t    *upward;
    ngx_http_phota_loc_conf_t  *plcf;

    row = ngx_calloc(sizeof(phota_job_t), ngx_cycle->log);
    if (row == NULL) {
        return NGX_DECLINED;
    }

    plcf = ngx_http_get_module_loc_conf(ctx->call->main,
                                        ngx_http_phota_module);
    upward = ctx->upward;

    row->charge = p->charge.id;
    row->tenant = p->charge.tenant;
    row->provider = p->charge.provider;
    row->operation = p->charge.operation;
    row->kind = PHOTA_JOB_IMAGES;
    row->state = PHOTA_JOB_OPEN;
    row->submitted = phota_now();
    row->due = row->submitted
               + (uint64_t) ngx_http_phota_worker.conf->job_poll * 1000;
    row->asked = p->charge.asked;
    row->scope = p->scope;
    row->since = p->since;
    row->valid = p->valid;
    row->storable = p->storable;
    row->links = (p->scan.mode == PHOTA_MODE_URLS);
    row->nmarks = p->scan.nmarks;
    row->unmarked = p->scan.unmarked;

    ngx_memcpy(row->marks, p->scan.marks, sizeof(row->marks));
    ngx_memcpy(row->fingerprint, p->charge.fingerprint, PHOTA_SHA256_LEN);
    ngx_memcpy(row->tag, p->charge.tag, sizeof(row->tag));

    ngx_http_phota_async_copy(row->upstream, sizeof(row->upstream),
                              report->id.data, report->id.len);
    ngx_http_phota_async_copy(row->door, sizeof(row->door), plcf->pass.data,
                              plcf->pass.len);

    if (upward) {
        ngx_http_phota_async_copy(row->request_id, sizeof(row->request_id),
                                  upward->request_id.data,
                                  upward->request_id.len);
        ngx_http_phota_async_copy(row->callback, sizeof(row->callback),
                                  upward->callback.data,
                                  upward->callback.len);
    }

    if (row->callback[0]) {
        row->delivery = PHOTA_DELIVERY_WAITING;
    }

    p->job = row;

    return NGX_OK;
}


/* a text that doesn't fit was refused before */

static void
ngx_http_phota_async_copy(char *to, size_t size, const u_char *from,
    size_t len)
{
    if (len < size) {
        ngx_memcpy(to, from, len);
        to[len] = '\0';
    }
}


int
ngx_http_phota_async_write(ngx_http_phota_purchase_t *p, MDB_txn *txn,
    phota_charge_t *charge, phota_error_t *err)
{
    int                       rc;
    phota_id_t                other;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    rc = phota_job_named(&worker->jobs, txn, p->job->tenant,
                         p->job->provider, p->job->upstream, &other);

    if (rc == PHOTA_ERROR) {
        phota_error(err, "the jobs cannot be read");
        return rc;
    }

    if (rc == PHOTA_OK
        && ngx_memcmp(&other, &p->charge.id, sizeof(phota_id_t)) != 0)
    {
        return ngx_http_phota_async_duplicate(p, txn, &other, charge, err);
    }

    if (p->named) {
        rc = ngx_http_phota_name_known(p, txn, err);

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    rc = phota_ledger_accept(&worker->ledger, txn, &p->charge.id, p->status,
                             p->outcome.request_id, charge, err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_job_put(&worker->jobs, txn, p->job, NULL, 0, err);

    /* without its row nobody would follow it: both are written, or none */

    return (rc == PHOTA_OK) ? PHOTA_OK : PHOTA_ERROR;
}


/* a client_request_id was sent again: the upstream knows what it was */

static int
ngx_http_phota_async_duplicate(ngx_http_phota_purchase_t *p, MDB_txn *txn,
    const phota_id_t *other, phota_charge_t *charge, phota_error_t *err)
{
    phota_outcome_t  outcome;

    outcome = p->outcome;
    outcome.state = PHOTA_STATE_VOID;
    outcome.reason = PHOTA_REASON_DUPLICATE;

    p->job->charge = *other;

    return phota_ledger_end(&ngx_http_phota_worker.ledger, txn,
                            &p->charge.id, &outcome, charge, err);
}


ngx_int_t
ngx_http_phota_async_poll(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    phota_ticket_t  *ticket;

    ticket = ngx_pcalloc(r->pool, sizeof(phota_ticket_t));
    if (ticket == NULL) {
        return NGX_ERROR;
    }

    if (phota_ticket_parse(ngx_http_phota_aliases,
                           ctx->route_id.data, ctx->route_id.len,
                           phota_now() / 1000, ticket)
        != PHOTA_OK)
    {
        if (!phota_tenant_fenced(&ctx->tenant)) {

            /* a job of his own account's, from before */

            return ngx_http_phota_relay(r, ctx);
        }

        ngx_http_phota_async_none(ctx);
        return NGX_DECLINED;
    }

    ctx->ticket = ticket;

    return ticket->bought ? ngx_http_phota_async_bought(r, ctx)
                          : ngx_http_phota_async_stored(r, ctx);
}


static ngx_int_t
ngx_http_phota_async_bought(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_phota_async_find(r, ctx, &ctx->ticket->charge);

    if (rc == NGX_ERROR) {
        return rc;
    }

    if (rc == NGX_DECLINED || ctx->job->tenant != ctx->tenant.id
        || ctx->job->kind != PHOTA_JOB_IMAGES)
    {
        if (ctx->refusal.status == 0) {
            ngx_http_phota_async_none(ctx);
        }

        return NGX_DECLINED;
    }

    if (ctx->job->state == PHOTA_JOB_OPEN) {
        return ngx_http_phota_async_ask(r, ctx);
    }

    if (ctx->job->stored) {
        rc = ngx_http_phota_fetch(r, ctx->job->fingerprint, 0, NULL,
                                  ngx_http_phota_async_warm);

        if (rc == NGX_AGAIN) {
            ctx->state = NGX_HTTP_PHOTA_PROVE;
            r->write_event_handler = ngx_http_core_run_phases;
            return NGX_AGAIN;
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_http_phota_async_ended(r, ctx);
}


static void
ngx_http_phota_async_warm(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_connection_t      *c;
    ngx_http_phota_ctx_t  *ctx;

    c = r->connection;
    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    rc = ngx_http_phota_async_ended(r, ctx);

    if (rc == NGX_AGAIN) {
        ngx_http_run_posted_requests(c);
        return;
    }

    if (rc == NGX_ERROR) {
        ngx_http_phota_async_unreadable(ctx);
    }

    ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
}


/* from what is kept of it, or the upstream tells it once more */

static ngx_int_t
ngx_http_phota_async_ended(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    size_t         len;
    MDB_txn       *txn;
    ngx_int_t      rc;
    const u_char  *text;

    txn = ngx_http_phota_read_books();

    if (txn == NULL) {
        ngx_http_phota_async_unreadable(ctx);
        return NGX_DECLINED;
    }

    if (phota_job_text(&ngx_http_phota_worker.jobs, txn, &ctx->job->charge,
                       &text, &len)
        == PHOTA_OK)
    {
        rc = ngx_http_phota_tell_job(r, ctx, NGX_HTTP_OK, text, len);

    } else {

        /* it was too long to be kept, or there was none */

        rc = NGX_AGAIN;
    }

    ngx_http_phota_read_end(txn);

    if (rc == NGX_AGAIN) {
        return ngx_http_phota_async_ask(r, ctx);
    }

    return (rc == NGX_ERROR) ? rc : NGX_DECLINED;
}


ngx_int_t
ngx_http_phota_async_find(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    const phota_id_t *charge)
{
    int           rc;
    MDB_txn      *txn;
    phota_job_t  *row;

    row = ngx_palloc(r->pool, sizeof(phota_job_t));
    if (row == NULL) {
        return NGX_ERROR;
    }

    txn = ngx_http_phota_read_books();

    if (txn == NULL) {
        ngx_http_phota_async_unreadable(ctx);
        return NGX_DECLINED;
    }

    rc = phota_job_get(&ngx_http_phota_worker.jobs, txn, charge, row, NULL);

    ngx_http_phota_read_end(txn);

    if (rc == PHOTA_OK) {
        ctx->job = row;
        return NGX_OK;
    }

    if (rc == PHOTA_ERROR) {
        ngx_http_phota_async_unreadable(ctx);
    }

    return NGX_DECLINED;
}


/* one that was never bought: all of it stands in its name */

static ngx_int_t
ngx_http_phota_async_stored(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t        rc;
    phota_ticket_t  *ticket;

    ticket = ctx->ticket;

    if (ticket->tenant != ctx->tenant.id || ticket->operation >= PHOTA_OP_MAX)
    {
        ngx_http_phota_async_none(ctx);
        return NGX_DECLINED;
    }

    ctx->operation = &phota_operations[ticket->operation];
    ctx->scan.outputs = ticket->outputs;
    ctx->scan.mode = ticket->links ? PHOTA_MODE_URLS : PHOTA_MODE_BYTES;
    ctx->variation = ticket->first + 1;

    ngx_memcpy(ctx->scan.digest, ticket->fingerprint, PHOTA_SHA256_LEN);

    rc = ngx_http_phota_fetch(r, ctx->scan.digest, 0, NULL,
                              ngx_http_phota_async_fetched);

    if (rc == NGX_AGAIN) {
        ctx->state = NGX_HTTP_PHOTA_PROVE;
        r->write_event_handler = ngx_http_core_run_phases;
        return NGX_AGAIN;
    }

    return (rc == NGX_OK) ? ngx_http_phota_async_found(r, ctx) : rc;
}


static void
ngx_http_phota_async_fetched(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_phota_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    if (ngx_http_phota_async_found(r, ctx) != NGX_AGAIN) {
        ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
    }
}


static ngx_int_t
ngx_http_phota_async_found(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_phota_lookup(r, ctx);

    if (rc == NGX_OK) {
        rc = ngx_http_phota_prove(r, ctx->hit->pictures, ctx->hit->outputs,
                                  ctx->scan.digest,
                                  ngx_http_phota_async_proved);
    }

    if (rc == NGX_AGAIN) {
        ctx->state = NGX_HTTP_PHOTA_PROVE;
        r->write_event_handler = ngx_http_core_run_phases;
        return NGX_AGAIN;
    }

    if (rc != NGX_OK) {

        /* purged, evicted or damaged since */

        ctx->hit = NULL;
        ngx_http_phota_async_none(ctx);
    }

    return NGX_DECLINED;
}


static void
ngx_http_phota_async_proved(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_phota_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    if (rc != NGX_OK) {
        ctx->hit = NULL;
        ngx_http_phota_async_none(ctx);
    }

    ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
}


static ngx_int_t
ngx_http_phota_async_ask(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_str_t                   path;
    phota_str_t                 name;
    ngx_http_phota_target_t     target;
    ngx_http_phota_loc_conf_t  *plcf;

    if (ngx_http_phota_have_key(r, ctx) != NGX_OK) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_BAD_GATEWAY, "UPSTREAM_AUTH",
                              "no upstream key is set for the tenant");
        return NGX_DECLINED;
    }

    if (ngx_http_phota_purchase_create(r, ctx, 1) == NULL) {
        return NGX_ERROR;
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    name.data = (u_char *) ctx->job->upstream;
    name.len = ngx_strlen(ctx->job->upstream);

    ngx_memzero(&target, sizeof(ngx_http_phota_target_t));

    target.method = NGX_HTTP_GET;
    target.method_name = ngx_http_core_get_method;

    if (ngx_http_phota_route_path(r->pool, ctx->job->provider,
                                  PHOTA_ROUTE_JOB, &name, &path)
        != NGX_OK
        || ngx_http_phota_inside(r->pool, &plcf->pass, path.data, path.len,
                                 &target.uri)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_phota_launch(r, ctx, &target);
}


ngx_int_t
ngx_http_phota_async_polled(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_http_phota_news_t      *news;
    ngx_http_phota_purchase_t  *p;

    p = ctx->purchase;

    if (ctx->job == NULL || !p->complete || p->lost
        || (p->key_asked && !p->key_given))
    {
        return NGX_DECLINED;
    }

    news = ngx_calloc(sizeof(ngx_http_phota_news_t), ngx_cycle->log);

    if (news == NULL) {
        ngx_http_phota_async_unreadable(ctx);
        return NGX_DECLINED;
    }

    news->done = ngx_http_phota_async_heard;
    news->data = p;
    news->charge = ctx->job->charge;
    news->status = p->status;
    news->by_tenant = 1;
    news->spool = p->spool;

    ngx_http_phota_spool_hold(p->spool);
    p->refs++;

    ngx_http_phota_news_post(news);

    return NGX_AGAIN;
}


static void
ngx_http_phota_async_heard(ngx_http_phota_news_t *news)
{
    ngx_int_t                   rc;
    ngx_http_request_t         *r;
    ngx_http_phota_ctx_t       *ctx;
    ngx_http_phota_purchase_t  *p;

    p = news->data;
    r = p->r;

    if (r == NULL || ngx_http_phota_worker.exiting) {
        ngx_http_phota_purchase_release(p);
        ngx_http_phota_news_free(news);
        return;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    if (news->job.rc == PHOTA_ERROR) {
        ngx_http_phota_async_unreadable(ctx);

    } else {

        if (news->job.rc == PHOTA_OK) {
            *ctx->job = news->row;
        }

        rc = NGX_DECLINED;

        if (news->text) {
            rc = ngx_http_phota_tell_job(r, ctx, p->status, news->text,
                                         news->len);
        }

        if (rc == NGX_ERROR
            || (rc == NGX_DECLINED && !ngx_http_phota_async_passes(news, ctx)))
        {
            ngx_http_phota_refuse(ctx, NGX_HTTP_BAD_GATEWAY,
                                  "UPSTREAM_FAILED",
                                  "the upstream's answer could not be read");
        }
    }

    ngx_http_phota_news_free(news);
    ngx_http_phota_purchase_release(p);

    ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
}


/* an error that is no JSON, as a proxy's page: when it names no job */

static ngx_uint_t
ngx_http_phota_async_passes(ngx_http_phota_news_t *news,
    const ngx_http_phota_ctx_t *ctx)
{
    const char  *name;

    if (news->status < NGX_HTTP_BAD_REQUEST) {
        return 0;
    }

    if (news->status > NGX_HTTP_BAD_REQUEST
        && news->status <= NGX_HTTP_FORBIDDEN)
    {
        /* told in the gateway's own words */

        return 1;
    }

    if (news->text == NULL) {
        return (ngx_http_phota_spool_size(news->spool) == 0);
    }

    name = ctx->job->upstream;

    return (memmem(news->text, news->len, name, ngx_strlen(name)) == NULL);
}


static void
ngx_http_phota_async_none(ngx_http_phota_ctx_t *ctx)
{
    ngx_http_phota_refuse(ctx, NGX_HTTP_NOT_FOUND, "NOT_FOUND",
                          "there is no such job");
}


static void
ngx_http_phota_async_unreadable(ngx_http_phota_ctx_t *ctx)
{
    ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                          "BOOKS_UNAVAILABLE",
                          "the books cannot be read or written now");
    ctx->refusal.retry_after = 1;
}
