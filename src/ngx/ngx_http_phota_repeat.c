
/*
 * A stored result that is asked for as a job: it is finished before it begins,
 * and its name says all that is needed to find it again.  Only the tenant's
 * callback has to be remembered: it is written before the handle is told.
 */


#include "ngx_http_phota_module.h"


/* callbacks that a tenant may wait for: stored results cost nothing */

#define NGX_HTTP_PHOTA_REPEATS  100


typedef struct {
    ngx_http_phota_job_t   job;
    ngx_http_request_t    *r;               /* NULL: the client left */
    phota_job_t            row;
    u_char                *text;            /* NULL: a name must do */
    size_t                 len;
} ngx_http_phota_repeat_t;


static ngx_http_phota_repeat_t *ngx_http_phota_repeat_create(
    ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx);
static void ngx_http_phota_repeat_copy(char *to, size_t size,
    const ngx_str_t *from);
static ngx_int_t ngx_http_phota_repeat_text(ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_repeat_t *repeat);
static int ngx_http_phota_repeat_run(ngx_http_phota_job_t *job, MDB_txn *txn);
static void ngx_http_phota_repeat_done(ngx_http_phota_job_t *job);
static void ngx_http_phota_repeat_gone(void *data);


ngx_int_t
ngx_http_phota_repeat(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_http_cleanup_t       *cln;
    ngx_http_phota_repeat_t  *repeat;

    if (ctx->hit == NULL || !ctx->scan.async || ctx->route || ctx->trial
        || ctx->replay || ctx->refusal.status || ctx->repeated
        || ctx->upward == NULL || !ctx->upward->called_back)
    {
        return NGX_DECLINED;
    }

    ctx->repeated = 1;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    repeat = ngx_http_phota_repeat_create(r, ctx);
    if (repeat == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_phota_repeat_gone;
    cln->data = repeat;

    repeat->job.run = ngx_http_phota_repeat_run;
    repeat->job.done = ngx_http_phota_repeat_done;

    ctx->state = NGX_HTTP_PHOTA_SETTLE;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_phota_post(&ngx_http_phota_worker.books_writer, &repeat->job);

    return NGX_AGAIN;
}


static ngx_http_phota_repeat_t *
ngx_http_phota_repeat_create(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    uint64_t                    now;
    phota_job_t                *row;
    ngx_str_t                   name;
    ngx_http_phota_repeat_t    *repeat;
    ngx_http_phota_loc_conf_t  *plcf;

    if (ngx_http_phota_tell_repeat(r, ctx) != NGX_OK) {
        return NULL;
    }

    repeat = ngx_calloc(sizeof(ngx_http_phota_repeat_t), ngx_cycle->log);
    if (repeat == NULL) {
        return NULL;
    }

    now = phota_now();
    row = &repeat->row;

    if (phota_id_create(&row->charge, now) != PHOTA_OK
        || ngx_http_phota_repeat_text(ctx, repeat) != NGX_OK)
    {
        ngx_free(repeat);
        return NULL;
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    repeat->r = r;

    row->tenant = ctx->tenant.id;
    row->provider = ctx->operation->provider;
    row->operation = ctx->operation->id;
    row->kind = PHOTA_JOB_STORED;
    row->state = PHOTA_JOB_DONE;
    row->delivery = PHOTA_DELIVERY_WAITING;
    row->submitted = now;
    row->ended = now;
    row->due = now;
    row->asked = ctx->scan.outputs;
    row->scope = ngx_http_phota_scope(ctx);

    ngx_memcpy(row->fingerprint, ctx->scan.digest, PHOTA_SHA256_LEN);
    ngx_memcpy(row->tag, ctx->tag, sizeof(row->tag));

    name.data = (u_char *) ctx->handle.data;
    name.len = ctx->handle.len;

    ngx_http_phota_repeat_copy(row->upstream, sizeof(row->upstream), &name);
    ngx_http_phota_repeat_copy(row->door, sizeof(row->door), &plcf->pass);
    ngx_http_phota_repeat_copy(row->request_id, sizeof(row->request_id),
                               &ctx->upward->request_id);
    ngx_http_phota_repeat_copy(row->callback, sizeof(row->callback),
                               &ctx->upward->callback);

    return repeat;
}


static void
ngx_http_phota_repeat_copy(char *to, size_t size, const ngx_str_t *from)
{
    if (from->len < size) {
        ngx_memcpy(to, from->data, from->len);
        to[from->len] = '\0';
    }
}


/* what a poll would tell, where that is all text */

static ngx_int_t
ngx_http_phota_repeat_text(ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_repeat_t *repeat)
{
    u_char               *p;
    size_t                len, part;
    ngx_uint_t            i;
    phota_str_t           request_id;
    phota_rendering_t    *rendering;

    rendering = &ctx->hit->rendering;

    for (i = 0; i < rendering->npieces; i++) {
        if (rendering->pieces[i].text == NULL) {
            return NGX_OK;
        }
    }

    request_id.data = ctx->upward->request_id.data;
    request_id.len = ctx->upward->request_id.len;

    /* an escaped byte takes six at most */

    len = 256 + ctx->handle.len + 6 * request_id.len
          + (size_t) rendering->length;

    p = ngx_alloc(len, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    repeat->text = p;
    part = len;

    if (phota_job_before(&ctx->handle, &request_id, p, &part) != PHOTA_OK) {
        ngx_free(p);
        return NGX_ERROR;
    }

    p += part;

    for (i = 0; i < rendering->npieces; i++) {
        p = ngx_cpymem(p, rendering->pieces[i].text,
                       rendering->pieces[i].len);
    }

    part = repeat->text + len - p;

    if (phota_job_behind(p, &part) != PHOTA_OK) {
        ngx_free(repeat->text);
        return NGX_ERROR;
    }

    repeat->len = p + part - repeat->text;

    return NGX_OK;
}


static int
ngx_http_phota_repeat_run(ngx_http_phota_job_t *job, MDB_txn *txn)
{
    int                       rc;
    unsigned                  n;
    ngx_http_phota_repeat_t  *repeat;

    repeat = (ngx_http_phota_repeat_t *)
                 ((u_char *) job - offsetof(ngx_http_phota_repeat_t, job));

    n = NGX_HTTP_PHOTA_REPEATS;

    rc = phota_jobs_waiting(&ngx_http_phota_worker.jobs, txn,
                            repeat->row.tenant, &n);

    if (rc != PHOTA_OK || n == NGX_HTTP_PHOTA_REPEATS) {
        phota_error(&job->err, (rc == PHOTA_OK)
                               ? "too many of the tenant's wait already"
                               : "the jobs cannot be read");
        return (rc == PHOTA_OK) ? PHOTA_REFUSED : rc;
    }

    return phota_job_put(&ngx_http_phota_worker.jobs, txn, &repeat->row,
                         repeat->text, repeat->len, &job->err);
}


static void
ngx_http_phota_repeat_done(ngx_http_phota_job_t *job)
{
    ngx_uint_t                level;
    ngx_http_request_t       *r;
    ngx_http_cleanup_t       *cln;
    ngx_http_phota_about_t    about;
    ngx_http_phota_repeat_t  *repeat;

    repeat = (ngx_http_phota_repeat_t *)
                 ((u_char *) job - offsetof(ngx_http_phota_repeat_t, job));

    r = repeat->r;

    if (job->rc != PHOTA_OK) {

        /* callbacks are a courtesy: what the client polls is there */

        level = (job->rc == PHOTA_REFUSED) ? NGX_LOG_NOTICE : NGX_LOG_ERR;

        ngx_http_phota_say_some(level, ngx_cycle->log, 0,
                                ngx_http_phota_about_job(&about, &repeat->row),
                                "a callback for a stored result could not be "
                                "written down, it is not made", "%s",
                                job->err.text);
    }

    if (r) {
        for (cln = r->cleanup; cln; cln = cln->next) {
            if (cln->data == repeat) {
                cln->handler = NULL;
            }
        }
    }

    if (repeat->text) {
        ngx_free(repeat->text);
    }

    ngx_free(repeat);

    if (r && !ngx_http_phota_worker.exiting) {
        ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
    }
}


static void
ngx_http_phota_repeat_gone(void *data)
{
    ngx_http_phota_repeat_t *repeat = data;

    repeat->r = NULL;
}
