
/*
 * Running a command: the call is filled here, runs in a thread of the pool and
 * comes back as an answer or as a refusal.  A thread never sees the request.
 */


#include "ngx_http_phota_run.h"


static void ngx_http_phota_run_lend(ngx_http_phota_run_t *run);
static void ngx_http_phota_run_thread(void *data, ngx_log_t *log);
static int ngx_http_phota_run_body(ngx_http_phota_run_t *run, ngx_log_t *log);
static int ngx_http_phota_run_read(ngx_http_phota_run_t *run, ngx_log_t *log);
static void ngx_http_phota_run_tag(ngx_http_phota_run_t *run);
static void ngx_http_phota_run_done(ngx_event_t *ev);
static void ngx_http_phota_run_tell(ngx_http_phota_run_t *run);
static void ngx_http_phota_run_gone(void *data);
static void ngx_http_phota_run_free(void *data);


ngx_http_phota_run_t *
ngx_http_phota_run_create(ngx_http_request_t *r)
{
    ngx_http_cleanup_t    *cln;
    ngx_http_phota_run_t  *run;

    /* on the heap: it may outlive the request */

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    run = ngx_calloc(sizeof(ngx_http_phota_run_t), ngx_cycle->log);
    if (run == NULL) {
        return NULL;
    }

    photactl_call_init(&run->call);

    run->r = r;
    run->fd = -1;

    cln->handler = ngx_http_phota_run_gone;
    cln->data = run;

    return run;
}


/* the request ends: what isn't in a thread any more goes with it */

static void
ngx_http_phota_run_gone(void *data)
{
    ngx_http_phota_run_t *run = data;

    run->r = NULL;

    if (!run->posted) {
        ngx_http_phota_run_free(run);
    }
}


static void
ngx_http_phota_run_free(void *data)
{
    ngx_http_phota_run_t *run = data;

    photactl_call_free(&run->call);

    if (run->body) {
        phota_cleanse(run->body, run->len);
        ngx_free(run->body);
    }

    if (run->fd != -1) {
        (void) ngx_close_file(run->fd);
    }

    ngx_free(run);
}


ngx_int_t
ngx_http_phota_run_post(ngx_http_phota_run_t *run, ngx_http_phota_ctx_t *ctx)
{
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (!worker->books_open || worker->exiting) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "BOOKS_UNAVAILABLE", "the books are closed");
        ctx->refusal.retry_after = 1;
        return NGX_DECLINED;
    }

    if (*run->places == 0) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "UNAVAILABLE", "as many commands run as may at "
                              "once");
        ctx->refusal.retry_after = 1;
        return NGX_DECLINED;
    }

    ngx_http_phota_run_lend(run);

    run->task.ctx = run;
    run->task.handler = ngx_http_phota_run_thread;
    run->task.event.data = run;
    run->task.event.handler = ngx_http_phota_run_done;
    run->task.event.log = ngx_cycle->log;

    if (ngx_thread_task_post(worker->conf->pool, &run->task) != NGX_OK) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "UNAVAILABLE", "no thread takes the command");
        ctx->refusal.retry_after = 1;
        return NGX_DECLINED;
    }

    run->posted = 1;
    (*run->places)--;

    /* neither environment is closed while a thread has it */

    worker->asking++;
    worker->reading += run->reading;

    ngx_http_phota_job_begin();

    return NGX_AGAIN;
}


/* what the worker has open: LMDB must not be opened twice in a process */

static void
ngx_http_phota_run_lend(ngx_http_phota_run_t *run)
{
    photactl_t               *ctl;
    ngx_http_phota_worker_t  *worker;

    ctl = &run->call.ctl;
    worker = &ngx_http_phota_worker;

    ctl->data = (char *) worker->conf->data.data;

    if (worker->conf->results.len) {
        ctl->links = (char *) worker->conf->results.data;
    }

    ctl->store = &worker->books;
    ctl->tenants = worker->tenants;
    ctl->prices = worker->prices;
    ctl->ledger = worker->ledger;
    ctl->jobs = worker->jobs;
    ctl->profiles = worker->profiles;
    ctl->replays = worker->replays;

    if (ctl->command && (ctl->command->flags & PHOTACTL_CACHE)
        && worker->cache_open)
    {
        ctl->cache_store = &worker->cache_store;
        ctl->cache = worker->cache;
        run->reading = 1;
    }
}


static void
ngx_http_phota_run_thread(void *data, ngx_log_t *log)
{
    ngx_http_phota_run_t *run = data;

    photactl_call_t  *call;

    call = &run->call;

    run->rc = ngx_http_phota_run_body(run, log);

    if (run->rc == PHOTA_OK && photactl_needs_master(&call->ctl)) {
        call->ctl.master = *ngx_http_phota_worker.conf->master;
    }

    run->rc = (run->rc == PHOTA_OK)
              ? photactl_call_run(call) : photactl_call_answer(call, run->rc);

    if (run->rc == PHOTA_OK && !call->post) {
        ngx_http_phota_run_tag(run);
    }
}


static int
ngx_http_phota_run_body(ngx_http_phota_run_t *run, ngx_log_t *log)
{
    int               rc;
    photactl_call_t  *call;

    call = &run->call;

    if (run->csv && run->fd != -1) {
        call->file = fdopen(run->fd, "r");

        if (call->file == NULL) {
            phota_error(&call->ctl.err, "no memory for the body");
            return PHOTA_ERROR;
        }

        run->fd = -1;
        rewind(call->file);

        return PHOTA_OK;
    }

    if (run->fd != -1) {
        rc = ngx_http_phota_run_read(run, log);

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    if (run->csv) {
        call->input = (char *) run->body;
        call->input_len = run->len;
        return PHOTA_OK;
    }

    if (run->len > PHOTACTL_CALL_JSON) {
        return photactl_wrong(&call->ctl, "the body has more than %d bytes",
                              PHOTACTL_CALL_JSON);
    }

    return photactl_call_json(call, (char *) run->body, run->len);
}


/* parameters that nginx has put into a file */

static int
ngx_http_phota_run_read(ngx_http_phota_run_t *run, ngx_log_t *log)
{
    size_t            len;
    ssize_t           n;
    photactl_call_t  *call;

    call = &run->call;
    len = run->len;

    if (len > PHOTACTL_CALL_JSON) {
        return PHOTA_OK;
    }

    run->body = ngx_alloc(len, log);
    if (run->body == NULL) {
        run->len = 0;
        phota_error(&call->ctl.err, "no memory for the body");
        return PHOTA_ERROR;
    }

    n = pread(run->fd, run->body, len, 0);

    if (n != (ssize_t) len) {
        phota_error(&call->ctl.err, "the body can't be read");
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


static void
ngx_http_phota_run_tag(ngx_http_phota_run_t *run)
{
    u_char  digest[PHOTA_SHA256_LEN];

    if (phota_sha256(digest, run->call.out.data, run->call.out.len)
        != PHOTA_OK)
    {
        return;
    }

    run->etag[0] = '"';
    phota_hex_format(run->etag + 1, digest, 16);
    run->etag[NGX_HTTP_PHOTA_RUN_ETAG - 1] = '"';
    run->etag[NGX_HTTP_PHOTA_RUN_ETAG] = '\0';
}


static void
ngx_http_phota_run_done(ngx_event_t *ev)
{
    ngx_http_phota_run_t *run = ev->data;

    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    run->posted = 0;
    (*run->places)++;

    worker->asking--;
    worker->reading -= run->reading;

    ngx_http_phota_job_end();

    if (run->rc == PHOTA_OK && run->call.post) {
        ngx_http_phota_run_tell(run);
    }

    if (run->r == NULL) {
        ngx_http_phota_run_free(run);
        return;
    }

    run->done(run->r, run);
}


/* who changed what is said whether his client is still there or not */

static void
ngx_http_phota_run_tell(ngx_http_phota_run_t *run)
{
    photactl_t                *ctl;
    const photactl_command_t  *cmd;

    ctl = &run->call.ctl;
    cmd = ctl->command;

    ngx_http_phota_say(NGX_LOG_NOTICE, ngx_cycle->log, 0, NULL,
                       "the books were changed over the API",
                       "%s has done %s%s%s%s%s", ctl->by, cmd->name,
                       cmd->verb ? " " : "", cmd->verb ? cmd->verb : "",
                       ctl->nargs ? " " : "", ctl->nargs ? ctl->args[0] : "");
}


void
ngx_http_phota_run_judge(ngx_http_phota_run_t *run, ngx_http_phota_ctx_t *ctx)
{
    ngx_uint_t                 i;
    photactl_call_t           *call;
    ngx_http_phota_refusal_t  *refusal;

    static struct {
        int          rc;
        ngx_uint_t   status;
        const char  *code;
    } names[] = {
        { PHOTACTL_USAGE, 422, "INVALID_REQUEST" },
        { PHOTA_INVALID, 422, "INVALID_REQUEST" },
        { PHOTA_DECLINED, NGX_HTTP_NOT_FOUND, "NOT_FOUND" },
        { PHOTA_REFUSED, NGX_HTTP_CONFLICT, "CONFLICT" },
        { PHOTA_EXCEEDED, NGX_HTTP_CONFLICT, "CONFLICT" },
        { PHOTA_ERROR, NGX_HTTP_SERVICE_UNAVAILABLE, "BOOKS_UNAVAILABLE" }
    };

    if (run->rc == PHOTA_OK) {
        ctx->run = run;
        return;
    }

    call = &run->call;

    for (i = 0; i < sizeof(names) / sizeof(names[0]) - 1; i++) {
        if (names[i].rc == run->rc) {
            break;
        }
    }

    ngx_http_phota_refuse(ctx, names[i].status, names[i].code,
                          call->ctl.err.text);

    refusal = &ctx->refusal;

    if (call->field[0]) {
        refusal->field = call->field;
        refusal->offset = NGX_HTTP_PHOTA_NO_OFFSET;
    }

    if (refusal->status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        refusal->retry_after = 1;
    }
}


ngx_int_t
ngx_http_phota_run_send(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t              rc;
    ngx_str_t             *control;
    ngx_buf_t             *b;
    ngx_chain_t            out;
    photactl_t            *ctl;
    ngx_table_elt_t       *etag;
    ngx_http_phota_run_t  *run;

    static ngx_str_t  cache = ngx_string("private, no-cache");
    static ngx_str_t  store = ngx_string("private, no-store");
    static ngx_str_t  nosniff = ngx_string("nosniff");

    run = ctx->run;
    ctl = &run->call.ctl;
    control = run->call.post ? &store : &cache;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* it goes with the request, as all that is sent of it */

    b->memory = 1;
    b->pos = (u_char *) run->call.out.data;
    b->last = b->pos + run->call.out.len;
    b->last_buf = 1;
    b->last_in_chain = 1;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = run->call.out.len;

    if (ctl->plain) {
        ngx_str_set(&r->headers_out.content_type, "text/csv; charset=utf-8");

    } else {
        ngx_str_set(&r->headers_out.content_type, "application/json");
    }

    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_phota_common_headers(r, ctx);

    if (rc == NGX_OK) {
        rc = ngx_http_phota_header(r, "Cache-Control", control->data,
                                   control->len);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_phota_header(r, "X-Content-Type-Options", nosniff.data,
                                   nosniff.len);
    }

    if (rc == NGX_OK && ctl->plain && ctl->cursor[0]) {
        rc = ngx_http_phota_header(r, ctl->page.more ? "Phota-Next"
                                                     : "Phota-Cursor",
                                   (u_char *) ctl->cursor,
                                   ngx_strlen(ctl->cursor));
    }

    if (rc == NGX_OK && run->etag[0]) {
        rc = ngx_http_phota_header(r, "ETag", (u_char *) run->etag,
                                   NGX_HTTP_PHOTA_RUN_ETAG);

        if (rc == NGX_OK) {

            /* the last one that was pushed */

            etag = r->headers_out.headers.last->elts;
            r->headers_out.etag =
                        &etag[r->headers_out.headers.last->nelts - 1];
        }
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->disable_not_modified = run->call.post;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
