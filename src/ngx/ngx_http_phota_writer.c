
/*
 * Queues of work for the writer threads.  One task at a time takes all that
 * waits, so that the n-th charge of a commit is free, and the event loop never
 * waits for LMDB's lock or for fsync.  No more than one thread per queue is
 * ever in LMDB's way.
 */


#include "ngx_http_phota_module.h"


static void ngx_http_phota_writer_gathered(ngx_event_t *ev);
static void ngx_http_phota_writer_next(ngx_http_phota_writer_t *w);
static void ngx_http_phota_writer_post(ngx_http_phota_writer_t *w);
static void ngx_http_phota_writer_thread(void *data, ngx_log_t *log);
static void ngx_http_phota_writer_each(ngx_http_phota_writer_t *w);
static void ngx_http_phota_writer_group(ngx_http_phota_writer_t *w);
static void ngx_http_phota_writer_single(ngx_http_phota_writer_t *w,
    ngx_http_phota_job_t *job);
static void ngx_http_phota_writer_done(ngx_event_t *ev);


void
ngx_http_phota_writer_init(ngx_http_phota_writer_t *w, phota_store_t *store,
    ngx_log_t *log)
{
    ngx_memzero(w, sizeof(ngx_http_phota_writer_t));

    ngx_queue_init(&w->waiting);
    ngx_queue_init(&w->taken);

    w->store = store;

    w->task.ctx = w;
    w->task.handler = ngx_http_phota_writer_thread;
    w->task.event.data = w;
    w->task.event.handler = ngx_http_phota_writer_done;
    w->task.event.log = log;

    w->gather.data = w;
    w->gather.handler = ngx_http_phota_writer_gathered;
    w->gather.log = log;
}


void
ngx_http_phota_post(ngx_http_phota_writer_t *w, ngx_http_phota_job_t *job)
{
    job->rc = PHOTA_ERROR;
    job->err.text[0] = '\0';

    if (job->meter) {
        job->posted = ngx_http_phota_meter_clock();
    }

    ngx_queue_insert_tail(&w->waiting, &job->queue);
    ngx_http_phota_job_begin();

    /* what comes in this round of the event loop or the next has one commit */

    if (!w->busy) {
        ngx_post_event(&w->gather, &ngx_posted_next_events);
    }
}


static void
ngx_http_phota_writer_gathered(ngx_event_t *ev)
{
    ngx_http_phota_writer_t *w = ev->data;

    ngx_http_phota_writer_next(w);
}


/* the next group, if there is one and nothing is in its way */

static void
ngx_http_phota_writer_next(ngx_http_phota_writer_t *w)
{
    if (!w->busy && !w->paused && !ngx_queue_empty(&w->waiting)
        && !ngx_http_phota_worker.exiting)
    {
        ngx_http_phota_writer_post(w);
    }
}


static void
ngx_http_phota_writer_post(ngx_http_phota_writer_t *w)
{
    /*
     * The list is taken when the task is posted, not when it runs: a thread
     * never touches the event loop's list, so there is no lock.
     */

    ngx_queue_add(&w->taken, &w->waiting);
    ngx_queue_init(&w->waiting);

    w->busy = 1;

    if (ngx_thread_task_post(ngx_http_phota_worker.conf->pool, &w->task)
        != NGX_OK)
    {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0, NULL,
                                "the thread pool refuses work", NULL);

        /* not from here: the caller isn't ready for done() yet */
        w->task.event.complete = 1;
        ngx_post_event(&w->task.event, &ngx_posted_events);
    }
}


static void
ngx_http_phota_writer_thread(void *data, ngx_log_t *log)
{
    ngx_http_phota_writer_t *w = data;

    uint64_t      begun;
    ngx_uint_t    n;
    ngx_queue_t  *q;

    n = 0;

    for (q = ngx_queue_head(&w->taken);
         q != ngx_queue_sentinel(&w->taken);
         q = ngx_queue_next(q))
    {
        n++;
    }

    begun = ngx_http_phota_meter_clock();

    if (w->store) {
        ngx_http_phota_writer_group(w);

        ngx_http_phota_meter_observe(NGX_HTTP_PHOTA_METER_BOOKS,
                                     ngx_http_phota_meter_clock() - begun);
        ngx_http_phota_meter_observe(NGX_HTTP_PHOTA_METER_GROUP_BOOKS, n);
        return;
    }

    ngx_http_phota_writer_each(w);

    ngx_http_phota_meter_removed(&ngx_http_phota_worker.cache);

    ngx_http_phota_meter_observe(NGX_HTTP_PHOTA_METER_CACHE_WRITE,
                                 ngx_http_phota_meter_clock() - begun);
    ngx_http_phota_meter_observe(NGX_HTTP_PHOTA_METER_GROUP_CACHE, n);
}


/* jobs with transactions of their own, those that can share one together */

static void
ngx_http_phota_writer_each(ngx_http_phota_writer_t *w)
{
    ngx_uint_t             n;
    ngx_queue_t           *q;
    ngx_http_phota_job_t  *job, *jobs[NGX_HTTP_PHOTA_TOGETHER];

    n = 0;

    for (q = ngx_queue_head(&w->taken);
         q != ngx_queue_sentinel(&w->taken);
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, ngx_http_phota_job_t, queue);

        if (n && (n == NGX_HTTP_PHOTA_TOGETHER
                  || job->run_all != jobs[0]->run_all))
        {
            jobs[0]->run_all(jobs, n);
            n = 0;
        }

        if (job->run_all) {
            jobs[n++] = job;

        } else {
            job->rc = job->run(job, NULL);
        }
    }

    if (n) {
        jobs[0]->run_all(jobs, n);
    }
}


static void
ngx_http_phota_writer_group(ngx_http_phota_writer_t *w)
{
    int                    rc;
    MDB_txn               *txn;
    ngx_queue_t           *q;
    phota_error_t          err;
    ngx_http_phota_job_t  *job;

    rc = phota_store_begin(w->store, 1, &txn, &err);

    if (rc == PHOTA_OK) {

        for (q = ngx_queue_head(&w->taken);
             q != ngx_queue_sentinel(&w->taken);
             q = ngx_queue_next(q))
        {
            job = ngx_queue_data(q, ngx_http_phota_job_t, queue);
            job->rc = job->run(job, txn);

            if (job->rc == PHOTA_ERROR) {
                break;
            }
        }

        if (q == ngx_queue_sentinel(&w->taken)
            && phota_store_commit(txn, &err) == PHOTA_OK)
        {
            return;
        }

        if (q != ngx_queue_sentinel(&w->taken)) {
            phota_store_abort(txn);
        }
    }

    /* the group failed as one: nobody's trouble may be another's */

    for (q = ngx_queue_head(&w->taken);
         q != ngx_queue_sentinel(&w->taken);
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, ngx_http_phota_job_t, queue);
        ngx_http_phota_writer_single(w, job);
    }
}


static void
ngx_http_phota_writer_single(ngx_http_phota_writer_t *w,
    ngx_http_phota_job_t *job)
{
    MDB_txn  *txn;

    job->rc = phota_store_begin(w->store, 1, &txn, &job->err);

    if (job->rc != PHOTA_OK) {
        job->rc = PHOTA_ERROR;
        return;
    }

    job->rc = job->run(job, txn);

    if (job->rc == PHOTA_ERROR) {
        phota_store_abort(txn);
        return;
    }

    if (phota_store_commit(txn, &job->err) != PHOTA_OK) {
        job->rc = PHOTA_ERROR;
    }
}


static void
ngx_http_phota_writer_done(ngx_event_t *ev)
{
    ngx_http_phota_writer_t *w = ev->data;

    ngx_queue_t           *q, done;
    ngx_http_phota_job_t  *job;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ev->log, 0, "phota writer done");

    ngx_queue_init(&done);

    if (!ngx_queue_empty(&w->taken)) {
        ngx_queue_add(&done, &w->taken);
        ngx_queue_init(&w->taken);
    }

    w->busy = 0;

    /* the thread works on while the event loop hears of the last group */

    ngx_http_phota_writer_next(w);

    while (!ngx_queue_empty(&done)) {
        q = ngx_queue_head(&done);
        ngx_queue_remove(q);

        job = ngx_queue_data(q, ngx_http_phota_job_t, queue);

        if (job->meter && job->rc == PHOTA_OK) {
            ngx_http_phota_meter_observe(job->meter,
                                         ngx_http_phota_meter_clock()
                                         - job->posted);
        }

        ngx_http_phota_job_end();
        job->done(job);
    }
}


/*
 * What waits is told that it failed: a client shall not wait for a disk.  The
 * settles among it come back, since their purchases try again.
 */

ngx_int_t
ngx_http_phota_writer_pause(ngx_http_phota_writer_t *w, const char *why)
{
    ngx_queue_t           *q;
    ngx_http_phota_job_t  *job;

    w->paused = 1;

    if (w->busy) {
        return NGX_AGAIN;
    }

    for (q = ngx_queue_head(&w->waiting);
         q != ngx_queue_sentinel(&w->waiting);
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, ngx_http_phota_job_t, queue);
        phota_error(&job->err, "%s", why);
    }

    if (!ngx_queue_empty(&w->waiting)) {
        ngx_queue_add(&w->taken, &w->waiting);
        ngx_queue_init(&w->waiting);

        ngx_http_phota_writer_done(&w->task.event);
    }

    return NGX_OK;
}


void
ngx_http_phota_writer_go_on(ngx_http_phota_writer_t *w)
{
    w->paused = 0;

    ngx_http_phota_writer_next(w);
}


void
ngx_http_phota_writer_flush(ngx_http_phota_writer_t *w)
{
    /*
     * What the thread had taken is finished, but nobody was told.  A job's
     * done() may post another, which is run here as well.
     */

    ngx_http_phota_writer_done(&w->task.event);

    while (!ngx_queue_empty(&w->waiting)) {
        ngx_queue_add(&w->taken, &w->waiting);
        ngx_queue_init(&w->waiting);

        ngx_http_phota_writer_thread(w, ngx_cycle->log);
        ngx_http_phota_writer_done(&w->task.event);
    }
}
