
/*
 * phota_callbacks: where the upstream says that a job has ended.  A body counts
 * only when its account has a secret and the signature fits; without a secret
 * it merely has the job asked for at once.  What is told twice, late, or in the
 * wrong order finds the job ended, and changes nothing; what is told before the
 * job is in the books is to be told again.
 */


#include "ngx_http_phota_signature.h"


#define NGX_HTTP_PHOTA_CALLBACK_MAX  (32 * 1024 * 1024)

/* ms: what is to be asked for within that time isn't hurried */

#define NGX_HTTP_PHOTA_CALLBACK_SOON  1000


/*
 * On the heap: from the time that all of a body has come it is worked off
 * whether or not its sender is still there.
 */

typedef struct {
    ngx_thread_task_t          task;
    ngx_http_phota_job_t       job;
    ngx_http_request_t        *r;               /* NULL: it has gone */
    phota_id_t                 charge;
    u_char                    *text;
    size_t                     len;
    int                        fd;              /* of the rest, or -1 */
    off_t                      from;            /* in it */
    size_t                     at;              /* in text */
    size_t                     rest;
    ngx_http_phota_signed_t    sign;
    int                        rc;
    unsigned                   busy:1;          /* not the request's alone */
} ngx_http_phota_callback_t;


static ngx_int_t ngx_http_phota_callback_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_phota_callback_find(ngx_http_request_t *r,
    phota_id_t *charge);
static int ngx_http_phota_callback_row(const phota_id_t *charge,
    phota_job_t *row);
static int ngx_http_phota_callback_early(const phota_id_t *charge,
    MDB_txn *txn);
static ngx_http_phota_callback_t *ngx_http_phota_callback_create(
    ngx_http_request_t *r, const phota_id_t *charge);
static void ngx_http_phota_callback_gone(void *data);
static void ngx_http_phota_callback_free(ngx_http_phota_callback_t *cb);
static ngx_int_t ngx_http_phota_callback_hint(ngx_http_request_t *r,
    ngx_http_phota_callback_t *cb, const phota_job_t *row);
static int ngx_http_phota_callback_hurry(ngx_http_phota_job_t *job,
    MDB_txn *txn);
static void ngx_http_phota_callback_hurried(ngx_http_phota_job_t *job);
static void ngx_http_phota_callback_read(ngx_http_request_t *r);
static ngx_int_t ngx_http_phota_callback_body(ngx_http_request_t *r,
    ngx_http_phota_callback_t *cb);
static ngx_int_t ngx_http_phota_callback_take(ngx_http_request_t *r,
    ngx_http_phota_callback_t *cb);
static void ngx_http_phota_callback_thread(void *data, ngx_log_t *log);
static int ngx_http_phota_callback_load(ngx_http_phota_callback_t *cb,
    ngx_log_t *log);
static void ngx_http_phota_callback_checked(ngx_event_t *ev);
static void ngx_http_phota_callback_forged(const phota_id_t *charge,
    const char *why);
static void ngx_http_phota_callback_news(ngx_http_phota_callback_t *cb);
static void ngx_http_phota_callback_written(ngx_http_phota_news_t *news);
static void ngx_http_phota_callback_end(ngx_http_phota_callback_t *cb,
    ngx_uint_t status);
static void ngx_http_phota_callback_wait(ngx_http_request_t *r);
static ngx_int_t ngx_http_phota_callback_answer(ngx_http_request_t *r,
    ngx_uint_t status);
static ngx_int_t ngx_http_phota_callback_thank(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);


char *
ngx_http_phota_callbacks(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_phota_loc_conf_t *plcf = conf;

    char                        *rv;
    ngx_http_phota_main_conf_t  *pmcf;

    rv = ngx_http_phota_serve_here(cf, ngx_http_phota_callback_handler);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    plcf->callbacks = 1;

    pmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_phota_module);
    pmcf->called_back = 1;

    return NGX_CONF_OK;
}


char *
ngx_http_phota_callbacks_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_phota_main_conf_t *pmcf = conf;

    ngx_str_t      *value;
    phota_url_t     url;
    phota_error_t   err;

    if (pmcf->callbacks_url.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (phota_url_parse(value[1].data, value[1].len, &url, &err) != PHOTA_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", err.text);
        return NGX_CONF_ERROR;
    }

    if (value[1].data[value[1].len - 1] != '/'
        || ngx_strlchr(value[1].data, value[1].data + value[1].len, '?')
        || ngx_strlchr(value[1].data, value[1].data + value[1].len, '"'))
    {
        return "must be a URL that ends with \"/\", without a query";
    }

    pmcf->callbacks_url = value[1];

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_phota_callback_handler(ngx_http_request_t *r)
{
    int                         rc;
    phota_id_t                  charge;
    phota_job_t                 row;
    ngx_http_phota_ctx_t       *ctx;
    ngx_http_phota_callback_t  *cb;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_phota_ctx_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->answered = 1;

    ngx_http_set_ctx(r, ctx, ngx_http_phota_module);

    if (ngx_http_phota_callback_find(r, &charge) != NGX_OK) {
        return ngx_http_phota_callback_answer(r, NGX_HTTP_NOT_FOUND);
    }

    rc = ngx_http_phota_callback_row(&charge, &row);

    if (rc != PHOTA_OK) {
        return ngx_http_phota_callback_answer(r,
                                   (rc == PHOTA_DECLINED)
                                   ? NGX_HTTP_OK
                                   : NGX_HTTP_SERVICE_UNAVAILABLE);
    }

    cb = ngx_http_phota_callback_create(r, &charge);
    if (cb == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_phota_signature_secret(&cb->sign, &row) != NGX_OK) {
        return ngx_http_phota_callback_hint(r, cb, &row);
    }

    if (r->headers_in.content_length_n > NGX_HTTP_PHOTA_CALLBACK_MAX) {
        return ngx_http_phota_callback_answer(r,
                                          NGX_HTTP_REQUEST_ENTITY_TOO_LARGE);
    }

    if (ngx_http_phota_signature_read(r, &cb->sign) != NGX_OK) {
        ngx_http_phota_callback_forged(&charge, "it has none");
        return ngx_http_phota_callback_answer(r, NGX_HTTP_UNAUTHORIZED);
    }

    rc = ngx_http_read_client_request_body(r, ngx_http_phota_callback_read);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


/* by the name, which nobody guesses */

static ngx_int_t
ngx_http_phota_callback_find(ngx_http_request_t *r, phota_id_t *charge)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r->method != NGX_HTTP_POST || r->uri.len < clcf->name.len) {
        return NGX_DECLINED;
    }

    if (phota_callback_parse(ngx_http_phota_aliases,
                             r->uri.data + clcf->name.len,
                             r->uri.len - clcf->name.len, charge)
        != PHOTA_OK)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static int
ngx_http_phota_callback_row(const phota_id_t *charge, phota_job_t *row)
{
    int       rc;
    MDB_txn  *txn;

    txn = ngx_http_phota_read_books();

    if (txn == NULL || ngx_http_phota_worker.directory == NULL) {

        if (txn) {
            ngx_http_phota_read_end(txn);
        }

        return PHOTA_ERROR;
    }

    rc = phota_job_get(&ngx_http_phota_worker.jobs, txn, charge, row, NULL);

    if (rc == PHOTA_DECLINED
        && ngx_http_phota_callback_early(charge, txn))
    {
        rc = PHOTA_ERROR;
    }

    ngx_http_phota_read_end(txn);

    return rc;
}


/* before its 202 is written: whose worker has gone is never written */

static int
ngx_http_phota_callback_early(const phota_id_t *charge, MDB_txn *txn)
{
    phota_charge_t   row;
    phota_ledger_t  *ledger;

    ledger = &ngx_http_phota_worker.ledger;

    return phota_ledger_get(ledger, txn, charge, &row) == PHOTA_OK
           && row.state == PHOTA_STATE_HELD
           && row.owner.slot != PHOTA_OWNER_JOB
           && phota_ledger_alive(ledger, txn, &row.owner);
}


static ngx_http_phota_callback_t *
ngx_http_phota_callback_create(ngx_http_request_t *r,
    const phota_id_t *charge)
{
    ngx_http_cleanup_t         *cln;
    ngx_http_phota_callback_t  *cb;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    cb = ngx_calloc(sizeof(ngx_http_phota_callback_t), r->connection->log);
    if (cb == NULL) {
        return NULL;
    }

    cb->r = r;
    cb->charge = *charge;
    cb->fd = -1;

    cln->handler = ngx_http_phota_callback_gone;
    cln->data = cb;

    return cb;
}


static void
ngx_http_phota_callback_gone(void *data)
{
    ngx_http_phota_callback_t *cb = data;

    cb->r = NULL;

    if (!cb->busy) {
        ngx_http_phota_callback_free(cb);
    }
}


static void
ngx_http_phota_callback_free(ngx_http_phota_callback_t *cb)
{
    if (cb->fd != -1 && close(cb->fd) == -1) {
        ngx_http_phota_say(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno, NULL,
                           "the file of a callback's body can't be closed",
                           NULL);
    }

    if (cb->text) {
        ngx_free(cb->text);
    }

    phota_cleanse(cb->sign.secret, sizeof(cb->sign.secret));

    ngx_free(cb);
}


/* a body that can't be checked: the upstream is asked instead */

static ngx_int_t
ngx_http_phota_callback_hint(ngx_http_request_t *r,
    ngx_http_phota_callback_t *cb, const phota_job_t *row)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    /* as often as it comes: the job is asked for once, and then again */

    if (row->state != PHOTA_JOB_OPEN
        || row->due <= phota_now() + NGX_HTTP_PHOTA_CALLBACK_SOON)
    {
        return ngx_http_phota_callback_answer(r, NGX_HTTP_OK);
    }

    cb->busy = 1;

    cb->job.run = ngx_http_phota_callback_hurry;
    cb->job.done = ngx_http_phota_callback_hurried;

    ngx_http_phota_post(&ngx_http_phota_worker.books_writer, &cb->job);

    r->main->count++;

    ngx_http_phota_callback_wait(r);

    return NGX_DONE;
}


static int
ngx_http_phota_callback_hurry(ngx_http_phota_job_t *job, MDB_txn *txn)
{
    int                         rc;
    uint64_t                    now;
    phota_job_t                 row;
    ngx_http_phota_callback_t  *cb;

    cb = (ngx_http_phota_callback_t *)
             ((u_char *) job - offsetof(ngx_http_phota_callback_t, job));

    rc = phota_job_get(&ngx_http_phota_worker.jobs, txn, &cb->charge, &row,
                       &job->err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    now = phota_now();

    if (row.state != PHOTA_JOB_OPEN
        || row.due <= now + NGX_HTTP_PHOTA_CALLBACK_SOON)
    {
        return PHOTA_DECLINED;
    }

    return phota_job_hurry(&ngx_http_phota_worker.jobs, txn, &cb->charge, now,
                           &job->err);
}


static void
ngx_http_phota_callback_hurried(ngx_http_phota_job_t *job)
{
    ngx_http_phota_callback_t  *cb;

    cb = (ngx_http_phota_callback_t *)
             ((u_char *) job - offsetof(ngx_http_phota_callback_t, job));

    ngx_http_phota_callback_end(cb, (job->rc == PHOTA_ERROR)
                                    ? NGX_HTTP_SERVICE_UNAVAILABLE
                                    : NGX_HTTP_OK);
}


static void
ngx_http_phota_callback_read(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_http_cleanup_t  *cln;

    for (cln = r->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_phota_callback_gone) {
            break;
        }
    }

    rc = cln ? ngx_http_phota_callback_body(r, cln->data)
             : NGX_HTTP_INTERNAL_SERVER_ERROR;

    if (rc == NGX_AGAIN) {
        ngx_http_phota_callback_wait(r);
        return;
    }

    ngx_http_finalize_request(r, rc);
}


/* NGX_AGAIN: a thread looks at it; otherwise how the request ends */

static ngx_int_t
ngx_http_phota_callback_body(ngx_http_request_t *r,
    ngx_http_phota_callback_t *cb)
{
    ngx_int_t  rc;

    rc = ngx_http_phota_callback_take(r, cb);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED)
               ? ngx_http_phota_callback_answer(r,
                                           NGX_HTTP_REQUEST_ENTITY_TOO_LARGE)
               : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cb->task.ctx = cb;
    cb->task.handler = ngx_http_phota_callback_thread;
    cb->task.event.data = cb;
    cb->task.event.handler = ngx_http_phota_callback_checked;
    cb->task.event.log = ngx_cycle->log;

    if (ngx_thread_task_post(ngx_http_phota_worker.conf->pool, &cb->task)
        != NGX_OK)
    {
        return ngx_http_phota_callback_answer(r,
                                              NGX_HTTP_SERVICE_UNAVAILABLE);
    }

    cb->busy = 1;

    ngx_http_phota_job_begin();

    return NGX_AGAIN;
}


/* what lies in memory is taken, of what lies in a file where it lies */

static ngx_int_t
ngx_http_phota_callback_take(ngx_http_request_t *r,
    ngx_http_phota_callback_t *cb)
{
    off_t         len;
    size_t        n;
    u_char       *p;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    len = 0;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);
    }

    if (len > NGX_HTTP_PHOTA_CALLBACK_MAX) {
        return NGX_DECLINED;
    }

    cb->text = ngx_alloc(len + 1, r->connection->log);
    if (cb->text == NULL) {
        return NGX_ERROR;
    }

    cb->len = len;

    p = cb->text;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;
        n = ngx_buf_size(b);

        if (ngx_buf_in_memory(b)) {
            ngx_memcpy(p, b->pos, n);

        } else if (b->in_file) {

            /* nginx keeps a body in one piece of one file, if in any */

            if (cb->fd != -1) {
                return NGX_ERROR;
            }

            /* the request may take its own descriptor with it */

            cb->fd = fcntl(b->file->fd, F_DUPFD_CLOEXEC, 0);

            if (cb->fd == -1) {
                ngx_http_phota_say_some(NGX_LOG_ERR, r->connection->log,
                                        ngx_errno, NULL, "the file of a "
                                        "callback's body can't be kept open",
                                        NULL);
                return NGX_ERROR;
            }

            cb->from = b->file_pos;
            cb->at = p - cb->text;
            cb->rest = n;
        }

        p += n;
    }

    return NGX_OK;
}


static void
ngx_http_phota_callback_thread(void *data, ngx_log_t *log)
{
    ngx_http_phota_callback_t *cb = data;

    cb->rc = ngx_http_phota_callback_load(cb, log);

    if (cb->rc == PHOTA_OK) {
        cb->rc = ngx_http_phota_signature_check(&cb->sign, cb->text, cb->len);
    }
}


static int
ngx_http_phota_callback_load(ngx_http_phota_callback_t *cb, ngx_log_t *log)
{
    ssize_t  n;

    while (cb->rest) {
        n = pread(cb->fd, cb->text + cb->at, cb->rest, cb->from);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            ngx_http_phota_say(NGX_LOG_ERR, log, (n == -1) ? errno : 0, NULL,
                               "the file of a callback's body can't be read",
                               NULL);
            return PHOTA_ERROR;
        }

        cb->from += n;
        cb->at += n;
        cb->rest -= n;
    }

    return PHOTA_OK;
}


static void
ngx_http_phota_callback_checked(ngx_event_t *ev)
{
    ngx_http_phota_callback_t  *cb;

    cb = ev->data;

    ngx_http_phota_job_end();

    switch (cb->rc) {

    case PHOTA_OK:
        ngx_http_phota_callback_news(cb);
        break;

    case PHOTA_INVALID:
        ngx_http_phota_callback_forged(&cb->charge, "it doesn't fit");
        ngx_http_phota_callback_end(cb, NGX_HTTP_UNAUTHORIZED);
        break;

    default:
        ngx_http_phota_callback_end(cb, NGX_HTTP_SERVICE_UNAVAILABLE);
    }
}


static void
ngx_http_phota_callback_forged(const phota_id_t *charge, const char *why)
{
    ngx_http_phota_about_t  about;

    ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0,
                            ngx_http_phota_about_id(&about, 0, charge),
                            "a callback is refused for its signature", "%s",
                            why);
}


static void
ngx_http_phota_callback_news(ngx_http_phota_callback_t *cb)
{
    ngx_http_phota_news_t  *news;

    news = ngx_calloc(sizeof(ngx_http_phota_news_t), ngx_cycle->log);

    if (news == NULL) {
        ngx_http_phota_callback_end(cb, NGX_HTTP_SERVICE_UNAVAILABLE);
        return;
    }

    news->done = ngx_http_phota_callback_written;
    news->data = cb;
    news->charge = cb->charge;
    news->status = NGX_HTTP_OK;
    news->called_back = 1;
    news->text = cb->text;
    news->len = cb->len;

    cb->text = NULL;

    ngx_http_phota_news_post(news);
}


static void
ngx_http_phota_callback_written(ngx_http_phota_news_t *news)
{
    int                         rc;
    ngx_http_phota_callback_t  *cb;

    cb = news->data;
    rc = news->job.rc;

    ngx_http_phota_news_free(news);

    /* the upstream tells it again only where that can help */

    ngx_http_phota_callback_end(cb, (rc == PHOTA_ERROR)
                                    ? NGX_HTTP_SERVICE_UNAVAILABLE
                                    : NGX_HTTP_OK);
}


static void
ngx_http_phota_callback_end(ngx_http_phota_callback_t *cb, ngx_uint_t status)
{
    ngx_connection_t    *c;
    ngx_http_cleanup_t  *cln;
    ngx_http_request_t  *r;

    r = cb->r;

    if (r) {
        for (cln = r->cleanup; cln; cln = cln->next) {
            if (cln->handler == ngx_http_phota_callback_gone) {
                cln->handler = NULL;
            }
        }
    }

    ngx_http_phota_callback_free(cb);

    if (r == NULL || ngx_http_phota_worker.exiting) {
        return;
    }

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_finalize_request(r, ngx_http_phota_callback_answer(r, status));

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_phota_callback_wait(ngx_http_request_t *r)
{
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
}


static ngx_int_t
ngx_http_phota_callback_answer(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_http_phota_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    switch (status) {

    case NGX_HTTP_OK:
        return ngx_http_phota_callback_thank(r, ctx);

    case NGX_HTTP_UNAUTHORIZED:
        ngx_http_phota_refuse(ctx, status, "UNAUTHORIZED",
                              "the signature does not fit");
        break;

    case NGX_HTTP_NOT_FOUND:
        ngx_http_phota_refuse(ctx, status, "NOT_FOUND",
                              "there is no such resource");
        break;

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        ngx_http_phota_refuse(ctx, status, "BODY_TOO_LARGE",
                              "the request body is too large");
        break;

    default:
        ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "BOOKS_UNAVAILABLE",
                              "it could not be written, try again");
        ctx->refusal.retry_after = 1;
    }

    return ngx_http_phota_send_error(r, ctx);
}


static ngx_int_t
ngx_http_phota_callback_thank(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t   rc;
    ngx_buf_t  *b;

    static ngx_str_t  text = ngx_string("{\"received\":true}");

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    b = ngx_create_temp_buf(r->pool, text.len);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last = ngx_cpymem(b->last, text.data, text.len);
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    r->headers_out.status = NGX_HTTP_OK;

    if (ngx_http_phota_common_headers(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_phota_send_json(r, b);

    if (rc == NGX_OK && ngx_http_phota_linger(r) != NGX_OK) {
        return NGX_ERROR;
    }

    return rc;
}
