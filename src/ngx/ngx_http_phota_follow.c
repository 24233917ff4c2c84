
/*
 * Jobs are followed though nobody asks: by one worker, from the times that
 * stand in the books, so that a restart loses none.  An open job is polled; of
 * one that has ended the pictures are fetched into the cache and the tenant is
 * called back; in the end it is forgotten.  How many at once, how often and how
 * long is bounded.
 */


#include "ngx_http_phota_follow.h"


#define NGX_HTTP_PHOTA_FOLLOWED   8         /* at once */
#define NGX_HTTP_PHOTA_DELIVERED  16        /* besides, to receivers */
#define NGX_HTTP_PHOTA_OF_ONE     4         /* of these, one tenant's */
#define NGX_HTTP_PHOTA_POLLED     (16 * 1024 * 1024)    /* bytes of a poll */
#define NGX_HTTP_PHOTA_POLL_MAX   120000    /* ms between two polls */
#define NGX_HTTP_PHOTA_LATER      10000     /* ms, when it can't be tried */
#define NGX_HTTP_PHOTA_SOON       1000      /* ms, when others are in the way */
#define NGX_HTTP_PHOTA_REPEAT_KEPT  86400000    /* ms, stored results' rows */


static ngx_uint_t ngx_http_phota_follow_look(MDB_txn *txn,
    const phota_id_t *id, ngx_queue_t *found);
static ngx_int_t ngx_http_phota_follow_read(ngx_http_phota_follow_t *f,
    MDB_txn *txn, const phota_id_t *id);
static void ngx_http_phota_follow_step(ngx_http_phota_follow_t *f);
static ngx_uint_t ngx_http_phota_follow_crowded(
    const ngx_http_phota_follow_t *f);
static void ngx_http_phota_follow_poll(ngx_http_phota_follow_t *f);
static ngx_int_t ngx_http_phota_follow_path(ngx_http_phota_follow_t *f,
    ngx_http_phota_errand_t *errand, ngx_str_t *uri);
static void ngx_http_phota_follow_polled(ngx_http_phota_errand_t *errand);
static void ngx_http_phota_follow_heard(ngx_http_phota_news_t *news);
static void ngx_http_phota_follow_on(ngx_http_phota_follow_t *f);
static int ngx_http_phota_follow_write_run(ngx_http_phota_job_t *job,
    MDB_txn *txn);
static int ngx_http_phota_follow_lose(ngx_http_phota_follow_t *f,
    MDB_txn *txn, phota_error_t *err);
static void ngx_http_phota_follow_written(ngx_http_phota_job_t *job);
static void ngx_http_phota_follow_soon(phota_job_t *row, void *data);
static void ngx_http_phota_follow_rest(phota_job_t *row, void *data);
static uint64_t ngx_http_phota_follow_until(const phota_job_t *row);
static void ngx_http_phota_follow_free(ngx_http_phota_follow_t *f);


static ngx_queue_t  ngx_http_phota_followed;
static ngx_uint_t   ngx_http_phota_nfollowed;
static ngx_msec_t   ngx_http_phota_follow_at;   /* 0: now */


void
ngx_http_phota_follow(void)
{
    MDB_txn                  *txn;
    unsigned                  i, n;
    phota_id_t                ids[NGX_HTTP_PHOTA_FOLLOWED
                                  + NGX_HTTP_PHOTA_DELIVERED];
    ngx_uint_t                room;
    ngx_queue_t               found, *q;
    ngx_http_phota_follow_t  *f;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (ngx_worker != 0 || !worker->books_open || worker->directory == NULL
        || worker->exiting || ngx_exiting || ngx_terminate)
    {
        return;
    }

    if (ngx_http_phota_followed.next == NULL) {
        ngx_queue_init(&ngx_http_phota_followed);
    }

    if (ngx_http_phota_follow_at
        && (ngx_msec_int_t) (ngx_http_phota_follow_at - ngx_current_msec) > 0)
    {
        return;
    }

    ngx_http_phota_follow_at = 0;

    if (ngx_http_phota_nfollowed >= NGX_HTTP_PHOTA_FOLLOWED) {
        return;
    }

    txn = ngx_http_phota_read_books();
    if (txn == NULL) {
        return;
    }

    ngx_queue_init(&found);

    n = NGX_HTTP_PHOTA_FOLLOWED + NGX_HTTP_PHOTA_DELIVERED;
    room = NGX_HTTP_PHOTA_FOLLOWED - ngx_http_phota_nfollowed;

    if (phota_jobs_due(&worker->jobs, txn, phota_now(), ids, &n)
        == PHOTA_OK)
    {
        for (i = 0; i < n && room; i++) {
            room -= ngx_http_phota_follow_look(txn, &ids[i], &found);
        }
    }

    ngx_http_phota_read_end(txn);

    while (!ngx_queue_empty(&found)) {
        q = ngx_queue_head(&found);
        ngx_queue_remove(q);

        f = ngx_queue_data(q, ngx_http_phota_follow_t, queue);

        ngx_queue_insert_tail(&ngx_http_phota_followed, &f->queue);
        ngx_http_phota_nfollowed++;

        ngx_http_phota_follow_step(f);
    }
}


/* 1 when it is found: what is under way already is due until it is written */

static ngx_uint_t
ngx_http_phota_follow_look(MDB_txn *txn, const phota_id_t *id,
    ngx_queue_t *found)
{
    ngx_queue_t              *q;
    ngx_http_phota_follow_t  *f;

    for (q = ngx_queue_head(&ngx_http_phota_followed);
         q != ngx_queue_sentinel(&ngx_http_phota_followed);
         q = ngx_queue_next(q))
    {
        f = ngx_queue_data(q, ngx_http_phota_follow_t, queue);

        if (ngx_memcmp(&f->row.charge, id, sizeof(phota_id_t)) == 0) {
            return 0;
        }
    }

    f = ngx_calloc(sizeof(ngx_http_phota_follow_t), ngx_cycle->log);
    if (f == NULL) {
        return 0;
    }

    f->row.charge = *id;

    if (ngx_http_phota_follow_read(f, txn, id) != NGX_OK) {
        ngx_http_phota_follow_free(f);
        return 0;
    }

    ngx_queue_insert_tail(found, &f->queue);

    return 1;
}


static ngx_int_t
ngx_http_phota_follow_read(ngx_http_phota_follow_t *f, MDB_txn *txn,
    const phota_id_t *id)
{
    int                       rc;
    size_t                    len;
    const u_char             *text;
    const phota_tenant_t     *tenant;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    rc = phota_job_get(&worker->jobs, txn, id, &f->row, NULL);

    if (rc == PHOTA_ERROR) {
        f->row.charge = *id;
        f->damaged = 1;
        return NGX_OK;
    }

    if (rc != PHOTA_OK) {
        return NGX_ERROR;
    }

    if (phota_directory_tenant(worker->directory, f->row.tenant, &tenant)
        == PHOTA_OK)
    {
        f->tenant = *tenant;
        f->known = 1;
    }

    if (f->row.state == PHOTA_JOB_OPEN) {
        return NGX_OK;
    }

    /* archived charges have no pictures to be stored any more */

    if (phota_ledger_get(&worker->ledger, txn, id, &f->charge) != PHOTA_OK) {
        f->row.storable = 0;
    }

    if (phota_job_text(&worker->jobs, txn, id, &text, &len) != PHOTA_OK) {
        return NGX_OK;
    }

    f->text = ngx_alloc(len, ngx_cycle->log);
    if (f->text == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(f->text, text, len);
    f->len = len;

    return NGX_OK;
}


static void
ngx_http_phota_follow_step(ngx_http_phota_follow_t *f)
{
    phota_job_t  *row;
    ngx_uint_t    wanted;

    row = &f->row;

    if (f->damaged) {
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_rest);
        return;
    }

    if (!f->known) {
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_later);
        return;
    }

    if (row->state == PHOTA_JOB_OPEN) {
        ngx_http_phota_follow_poll(f);
        return;
    }

    wanted = (row->storable && !row->stored && row->state == PHOTA_JOB_DONE
              && row->fetches < NGX_HTTP_PHOTA_FETCHES);

    if (f->text == NULL && row->state == PHOTA_JOB_DONE
        && row->kind == PHOTA_JOB_IMAGES
        && row->fetches < NGX_HTTP_PHOTA_FETCHES
        && (wanted || row->delivery == PHOTA_DELIVERY_WAITING))
    {
        /* a callback has ended it: what a poll says of it is wanted */

        row->fetches++;
        ngx_http_phota_follow_poll(f);
        return;
    }

    if (wanted && f->text && ngx_http_phota_worker.cache_open) {
        ngx_http_phota_follow_fetch(f);
        return;
    }

    if (row->delivery == PHOTA_DELIVERY_WAITING) {

        if (ngx_http_phota_follow_crowded(f)) {
            ngx_http_phota_follow_write(f, ngx_http_phota_follow_soon);
            return;
        }

        f->delivers = 1;
        ngx_http_phota_nfollowed--;

        ngx_http_phota_follow_deliver(f);
        return;
    }

    if (phota_now() >= ngx_http_phota_follow_until(row)) {
        f->remove = 1;
    }

    ngx_http_phota_follow_write(f, ngx_http_phota_follow_rest);
}


/* receivers may be slow: they hold up neither polls nor other tenants' */

static ngx_uint_t
ngx_http_phota_follow_crowded(const ngx_http_phota_follow_t *f)
{
    ngx_uint_t                all, own;
    ngx_queue_t              *q;
    ngx_http_phota_follow_t  *other;

    all = 0;
    own = 0;

    for (q = ngx_queue_head(&ngx_http_phota_followed);
         q != ngx_queue_sentinel(&ngx_http_phota_followed);
         q = ngx_queue_next(q))
    {
        other = ngx_queue_data(q, ngx_http_phota_follow_t, queue);

        if (other->delivers) {
            all++;
            own += (other->row.tenant == f->row.tenant);
        }
    }

    return all >= NGX_HTTP_PHOTA_DELIVERED || own >= NGX_HTTP_PHOTA_OF_ONE;
}


static void
ngx_http_phota_follow_poll(ngx_http_phota_follow_t *f)
{
    ngx_http_phota_target_t   target;
    ngx_http_phota_errand_t  *errand;

    errand = ngx_http_phota_errand_create(f->row.provider, f->row.door);

    if (errand == NULL) {
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_later);
        return;
    }

    errand->done = ngx_http_phota_follow_polled;
    errand->data = f;
    errand->limit = NGX_HTTP_PHOTA_POLLED;
    errand->ctx->tenant = f->tenant;

    ngx_memzero(&target, sizeof(ngx_http_phota_target_t));

    target.method = NGX_HTTP_GET;
    target.method_name = ngx_http_core_get_method;

    if (ngx_http_phota_follow_path(f, errand, &target.uri) != NGX_OK) {
        ngx_http_phota_errand_free(errand);
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_later);
        return;
    }

    if (ngx_http_phota_errand_go(errand, &target) != NGX_AGAIN) {
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_later);
    }
}


static ngx_int_t
ngx_http_phota_follow_path(ngx_http_phota_follow_t *f,
    ngx_http_phota_errand_t *errand, ngx_str_t *uri)
{
    ngx_str_t                   path;
    phota_str_t                 name;
    phota_route_e               id;
    ngx_http_phota_loc_conf_t  *plcf;

    id = (f->row.kind == PHOTA_JOB_TRAINING) ? PHOTA_ROUTE_PROFILE_STATUS
                                             : PHOTA_ROUTE_JOB;

    name.data = (u_char *) f->row.upstream;
    name.len = ngx_strlen(f->row.upstream);

    if (ngx_http_phota_route_path(errand->r->pool, f->row.provider, id,
                                  &name, &path)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    plcf = ngx_http_get_module_loc_conf(errand->r, ngx_http_phota_module);

    return ngx_http_phota_inside(errand->r->pool, &plcf->pass, path.data,
                                 path.len, uri);
}


static void
ngx_http_phota_follow_polled(ngx_http_phota_errand_t *errand)
{
    uint64_t                    now, limit, first;
    ngx_http_phota_news_t      *news;
    ngx_http_phota_about_t      about;
    ngx_http_phota_follow_t    *f;
    ngx_http_phota_purchase_t  *p;

    f = errand->data;
    p = errand->purchase;

    news = ngx_calloc(sizeof(ngx_http_phota_news_t), ngx_cycle->log);

    if (news == NULL) {
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_later);
        return;
    }

    news->done = ngx_http_phota_follow_heard;
    news->data = f;
    news->charge = f->row.charge;

    if (errand->complete && !p->lost && p->key_given) {
        ngx_http_phota_account_trouble(p->status,
                                       ngx_http_phota_about_job(&about,
                                                                &f->row));

        news->status = p->status;
        news->spool = p->spool;

        ngx_http_phota_spool_hold(p->spool);
    }

    now = phota_now();
    limit = (uint64_t) ngx_http_phota_worker.conf->job_limit * 1000;
    first = (uint64_t) ngx_http_phota_worker.conf->job_poll * 1000;

    news->overdue = (now > f->row.submitted + limit);
    news->delay = ngx_http_phota_follow_delay(f->row.polls, first,
                                              ngx_max(first,
                                                  NGX_HTTP_PHOTA_POLL_MAX));

    ngx_http_phota_news_post(news);
}


static void
ngx_http_phota_follow_heard(ngx_http_phota_news_t *news)
{
    ngx_http_phota_follow_t  *f;

    f = news->data;

    if (news->job.rc == PHOTA_OK && news->row.state == PHOTA_JOB_DONE
        && news->row.kind == PHOTA_JOB_IMAGES && news->whole && news->text
        && f->text == NULL && !ngx_http_phota_worker.exiting)
    {
        /* on with it, while what is too long to be kept is at hand */

        f->text = news->text;
        f->len = news->len;
        news->text = NULL;

        news->row.fetches = f->row.fetches;
        f->row = news->row;

        ngx_http_phota_news_free(news);
        ngx_http_phota_follow_on(f);
        return;
    }

    if (news->job.rc == PHOTA_OK && !news->ended
        && f->row.state != PHOTA_JOB_OPEN && !ngx_http_phota_worker.exiting)
    {
        /* its text was wanted: whether it was had, the row tells */

        ngx_http_phota_news_free(news);
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_missed);
        return;
    }

    if (news->job.rc == PHOTA_DECLINED || news->job.rc == PHOTA_OK
        || ngx_http_phota_worker.exiting)
    {
        ngx_http_phota_news_free(news);
        ngx_http_phota_follow_free(f);
        return;
    }

    ngx_http_phota_news_free(news);
    ngx_http_phota_follow_write(f, ngx_http_phota_follow_later);
}


static void
ngx_http_phota_follow_on(ngx_http_phota_follow_t *f)
{
    MDB_txn  *txn;

    txn = ngx_http_phota_read_books();

    if (txn == NULL
        || phota_ledger_get(&ngx_http_phota_worker.ledger, txn,
                            &f->row.charge, &f->charge)
           != PHOTA_OK)
    {
        f->row.storable = 0;
    }

    if (txn) {
        ngx_http_phota_read_end(txn);
    }

    ngx_http_phota_follow_step(f);
}


void
ngx_http_phota_follow_write(ngx_http_phota_follow_t *f,
    void (*change)(phota_job_t *row, void *data))
{
    if (ngx_http_phota_worker.exiting) {
        ngx_http_phota_follow_free(f);
        return;
    }

    f->change = change;
    f->write.run = ngx_http_phota_follow_write_run;
    f->write.done = ngx_http_phota_follow_written;

    ngx_http_phota_post(&ngx_http_phota_worker.books_writer, &f->write);
}


/* on the row as it is now: others may have written it meanwhile */

static int
ngx_http_phota_follow_write_run(ngx_http_phota_job_t *job, MDB_txn *txn)
{
    int                       rc;
    phota_job_t               row;
    phota_jobs_t             *jobs;
    ngx_http_phota_follow_t  *f;

    f = (ngx_http_phota_follow_t *)
            ((u_char *) job - offsetof(ngx_http_phota_follow_t, write));

    jobs = &ngx_http_phota_worker.jobs;

    if (f->remove) {
        rc = phota_job_remove(jobs, txn, &f->row.charge, &job->err);
        return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
    }

    rc = phota_job_get(jobs, txn, &f->row.charge, &row, &job->err);

    if (rc == PHOTA_ERROR && f->damaged) {
        return ngx_http_phota_follow_lose(f, txn, &job->err);
    }

    if (rc != PHOTA_OK) {
        return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
    }

    f->change(&row, f);

    return phota_job_put(jobs, txn, &row, NULL, 0, &job->err);
}


/* a row that can't be read: nobody knows what to ask for any more */

static int
ngx_http_phota_follow_lose(ngx_http_phota_follow_t *f, MDB_txn *txn,
    phota_error_t *err)
{
    int                     rc;
    phota_outcome_t         outcome;
    ngx_http_phota_about_t  about;

    ngx_memzero(&outcome, sizeof(phota_outcome_t));

    outcome.state = PHOTA_STATE_UNKNOWN;
    outcome.reason = PHOTA_REASON_JOB_LOST;

    rc = phota_ledger_end(&ngx_http_phota_worker.ledger, txn, &f->row.charge,
                          &outcome, NULL, err);

    if (rc == PHOTA_ERROR) {
        return rc;
    }

    ngx_http_phota_say(NGX_LOG_ALERT, ngx_cycle->log, 0,
                       ngx_http_phota_about_id(&about, 0, &f->row.charge),
                       "the record of a job is damaged", "it is not followed "
                       "any more, and its charge is unknown if it was open");

    return phota_job_remove(&ngx_http_phota_worker.jobs, txn, &f->row.charge,
                            err);
}


static void
ngx_http_phota_follow_written(ngx_http_phota_job_t *job)
{
    ngx_http_phota_about_t    about;
    ngx_http_phota_follow_t  *f;

    f = (ngx_http_phota_follow_t *)
            ((u_char *) job - offsetof(ngx_http_phota_follow_t, write));

    if (job->rc != PHOTA_OK) {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0,
                                ngx_http_phota_about_job(&about, &f->row),
                                "a job could not be written, it is done again",
                                "%s", job->err.text);

        /* not at once: the upstream would be asked as often */

        ngx_http_phota_follow_at = ngx_current_msec + NGX_HTTP_PHOTA_LATER;
    }

    ngx_http_phota_follow_free(f);
}


void
ngx_http_phota_follow_later(phota_job_t *row, void *data)
{
    row->due = phota_now() + NGX_HTTP_PHOTA_LATER;
}


static void
ngx_http_phota_follow_soon(phota_job_t *row, void *data)
{
    row->due = phota_now() + NGX_HTTP_PHOTA_SOON;
}


static void
ngx_http_phota_follow_rest(phota_job_t *row, void *data)
{
    row->due = (row->delivery == PHOTA_DELIVERY_WAITING)
               ? phota_now() : ngx_http_phota_follow_until(row);
}


/* nobody polls for a stored result by its row, and nobody has paid for it */

static uint64_t
ngx_http_phota_follow_until(const phota_job_t *row)
{
    return row->ended + (row->kind == PHOTA_JOB_STORED
                         ? NGX_HTTP_PHOTA_REPEAT_KEPT : PHOTA_JOB_KEPT);
}


void
ngx_http_phota_follow_missed(phota_job_t *row, void *data)
{
    ngx_http_phota_follow_t *f = data;

    row->fetches = f->row.fetches;
    row->due = phota_now();

    if (row->fetches < NGX_HTTP_PHOTA_FETCHES) {
        row->due += ngx_http_phota_follow_delay(2 * row->fetches, 1000,
                                                NGX_HTTP_PHOTA_POLL_MAX);
    }
}


/* half as long again with each of n */

uint64_t
ngx_http_phota_follow_delay(ngx_uint_t n, uint64_t first, uint64_t most)
{
    uint64_t  delay;

    delay = first;

    while (n-- && delay < most) {
        delay += delay / 2;
    }

    return ngx_min(delay, most);
}


static void
ngx_http_phota_follow_free(ngx_http_phota_follow_t *f)
{
    ngx_uint_t  i;

    if (f->queue.next) {
        ngx_queue_remove(&f->queue);

        if (!f->delivers) {
            ngx_http_phota_nfollowed--;
        }
    }

    for (i = 0; i < f->nfiles; i++) {
        ngx_http_phota_spool_free(f->files[i]);
    }

    if (f->reported) {
        phota_report_free(&f->report);
    }

    phota_assembly_free(&f->assembly);

    if (f->text) {
        ngx_free(f->text);
    }

    ngx_free(f);
}
