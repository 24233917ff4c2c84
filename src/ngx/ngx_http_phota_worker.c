
/*
 * A worker's life: by the tick of a timer it has books and cache looked after,
 * free hits written, holds of the dead resolved, and the cache kept at its
 * size; it leaves nothing undone when it exits.
 */


#include "ngx_http_phota_module.h"
#include "ngx_http_phota_zone.h"

#include <malloc.h>


/* ms */

#define NGX_HTTP_PHOTA_TICK       400
#define NGX_HTTP_PHOTA_RECOVERY   10000
#define NGX_HTTP_PHOTA_TALLY      3600000
#define NGX_HTTP_PHOTA_GUARD      60000


/* bytes: what is larger has pages of its own, what is less free is kept */

#define NGX_HTTP_PHOTA_MMAPPED  (32 * 1024 * 1024)
#define NGX_HTTP_PHOTA_KEPT     (16 * 1024 * 1024)


/* entries for free hits in one transaction */

#define NGX_HTTP_PHOTA_TALLIES    200


static void ngx_http_phota_keep_memory(void);
static void ngx_http_phota_tick(ngx_event_t *ev);
static void ngx_http_phota_recovery(void);
static void ngx_http_phota_recovered(ngx_http_phota_job_t *job);
static void ngx_http_phota_tally(void);
static int ngx_http_phota_tally_run(ngx_http_phota_job_t *job, MDB_txn *txn);
static void ngx_http_phota_tallied(ngx_http_phota_job_t *job);
static void ngx_http_phota_sweep(void);
static int ngx_http_phota_sweep_run(ngx_http_phota_job_t *job, MDB_txn *txn);
static void ngx_http_phota_swept(ngx_http_phota_job_t *job);
static void ngx_http_phota_settle_unsettled(void);
static void ngx_http_phota_guard(ngx_event_t *ev);


ngx_http_phota_worker_t  ngx_http_phota_worker;


static ngx_http_phota_job_t    ngx_http_phota_recovery_job;
static ngx_http_phota_job_t    ngx_http_phota_sweep_job;
static ngx_http_phota_job_t    ngx_http_phota_tally_job;
static ngx_event_t             ngx_http_phota_timer;
static ngx_msec_t              ngx_http_phota_tick_due;
static ngx_msec_t              ngx_http_phota_recovery_at;
static ngx_msec_t              ngx_http_phota_tally_at;
static ngx_uint_t              ngx_http_phota_tallying;
static int                     ngx_http_phota_tally_more;
static ngx_uint_t              ngx_http_phota_sweeping;
static int                     ngx_http_phota_sweep_more;


ngx_int_t
ngx_http_phota_init_module(ngx_cycle_t *cycle)
{
    ngx_http_phota_main_conf_t  *pmcf;

    pmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_phota_module);

    if (pmcf == NULL || !ngx_http_phota_usable(pmcf)) {
        return NGX_OK;
    }

    return ngx_http_phota_wake_create(cycle);
}


ngx_int_t
ngx_http_phota_init_process(ngx_cycle_t *cycle)
{
    ngx_http_phota_worker_t     *worker;
    ngx_http_phota_main_conf_t  *pmcf;
    phota_error_t                err;

    /* helpers of the cache run it too, and leave without exit_process */

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    pmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_phota_module);

    if (pmcf == NULL || !ngx_http_phota_usable(pmcf)) {
        return NGX_OK;
    }

    worker = &ngx_http_phota_worker;

    ngx_memzero(worker, sizeof(ngx_http_phota_worker_t));

    ngx_http_phota_keep_memory();

    worker->conf = pmcf;

    if (phota_keyring_init(&worker->keyring, pmcf->master, &err)
        != PHOTA_OK)
    {
        ngx_http_phota_say(NGX_LOG_EMERG, cycle->log, 0, NULL,
                           "the worker can't begin", "%s", err.text);
        return NGX_ERROR;
    }

    worker->active = 1;

    ngx_queue_init(&worker->unsettled);

    ngx_http_phota_writer_init(&worker->books_writer, &worker->books,
                               cycle->log);
    ngx_http_phota_writer_init(&worker->cache_writer, NULL, cycle->log);
    ngx_http_phota_count_init();
    ngx_http_phota_hot_init();

    worker->exit_guard.handler = ngx_http_phota_guard;
    worker->exit_guard.data = worker;
    worker->exit_guard.log = cycle->log;

    ngx_http_phota_recovery_job.run = ngx_http_phota_recover;
    ngx_http_phota_recovery_job.done = ngx_http_phota_recovered;
    ngx_http_phota_tally_job.run = ngx_http_phota_tally_run;
    ngx_http_phota_tally_job.done = ngx_http_phota_tallied;
    ngx_http_phota_sweep_job.run = ngx_http_phota_sweep_run;
    ngx_http_phota_sweep_job.done = ngx_http_phota_swept;

    ngx_http_phota_zone_attach(pmcf->zone);

    if (ngx_http_phota_wake_listen(cycle, ngx_http_phota_flight_woken)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_phota_care_init(cycle);

    ngx_http_phota_timer.handler = ngx_http_phota_tick;
    ngx_http_phota_timer.data = worker;
    ngx_http_phota_timer.log = cycle->log;
    ngx_http_phota_timer.cancelable = 1;

    ngx_http_phota_meter_tick(0);
    ngx_http_phota_tick_due = ngx_current_msec + NGX_HTTP_PHOTA_TICK;

    ngx_add_timer(&ngx_http_phota_timer, NGX_HTTP_PHOTA_TICK);

    return NGX_OK;
}


/*
 * The pages of one purchase are the next one's: given back to the kernel they
 * would come again one by one, and be cleared.  One writer at a time and the
 * event loop need no more arenas than two.
 */

static void
ngx_http_phota_keep_memory(void)
{
#ifdef M_ARENA_MAX

    (void) mallopt(M_MMAP_THRESHOLD, NGX_HTTP_PHOTA_MMAPPED);
    (void) mallopt(M_TRIM_THRESHOLD, NGX_HTTP_PHOTA_KEPT);
    (void) mallopt(M_ARENA_MAX, 2);

#endif
}


static void
ngx_http_phota_tick(ngx_event_t *ev)
{
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    ngx_http_phota_meter_tick((ngx_msec_int_t) (ngx_current_msec
                                                - ngx_http_phota_tick_due));

    ngx_http_phota_care_tick();
    ngx_http_phota_count_flush();
    ngx_http_phota_flight_sweep();
    ngx_http_phota_pin_tick();
    ngx_http_phota_hot_tick();
    ngx_http_phota_memory_tick();
    ngx_http_phota_say_rest(0);

    if (worker->books_open) {
        ngx_http_phota_settle_unsettled();

        /* every worker once, then one of them, which is always there */

        if (ngx_worker == 0 || !ngx_http_phota_recovery_at) {
            ngx_http_phota_recovery();
        }

        if (ngx_worker == 0) {
            ngx_http_phota_tally();
            ngx_http_phota_follow();
        }
    }

    if (worker->cache_open && ngx_worker == 0) {
        ngx_http_phota_sweep();
    }

    ngx_http_phota_tick_due = ngx_current_msec + NGX_HTTP_PHOTA_TICK;

    ngx_add_timer(ev, NGX_HTTP_PHOTA_TICK);
}


/* free hits get their entries hour by hour, not one for each second */

static void
ngx_http_phota_tally(void)
{
    if (ngx_http_phota_tallying
        || (ngx_http_phota_tally_at && !ngx_http_phota_tally_more
            && ngx_current_msec - ngx_http_phota_tally_at
               < NGX_HTTP_PHOTA_TALLY))
    {
        return;
    }

    ngx_http_phota_tally_at = ngx_max(ngx_current_msec, 1);
    ngx_http_phota_tallying = 1;

    ngx_http_phota_post(&ngx_http_phota_worker.books_writer,
                        &ngx_http_phota_tally_job);
}


static int
ngx_http_phota_tally_run(ngx_http_phota_job_t *job, MDB_txn *txn)
{
    ngx_http_phota_tally_more = 0;

    return phota_ledger_tally(&ngx_http_phota_worker.ledger, txn,
                              NGX_HTTP_PHOTA_TALLIES,
                              &ngx_http_phota_tally_more, &job->err);
}


static void
ngx_http_phota_tallied(ngx_http_phota_job_t *job)
{
    ngx_http_phota_tallying = 0;

    if (job->rc != PHOTA_OK) {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0, NULL,
                                "free hits got no entries yet", "%s",
                                job->err.text);
    }
}


/* once when it begins, not at every tick */

void
ngx_http_phota_complain(const char *what, const char *text, char *said,
    size_t size)
{
    if (ngx_strcmp(text, said) == 0) {
        return;
    }

    if (text[0]) {
        ngx_http_phota_say(NGX_LOG_ERR, ngx_cycle->log, 0, NULL, what, "%s",
                           text);

    } else {
        ngx_http_phota_say(NGX_LOG_NOTICE, ngx_cycle->log, 0, NULL,
                           "this has healed", "%s", said);
    }

    (void) ngx_cpystrn((u_char *) said, (u_char *) text, size);
}


static void
ngx_http_phota_recovery(void)
{
    if (ngx_http_phota_worker.recovering
        || (ngx_http_phota_recovery_at
            && ngx_current_msec - ngx_http_phota_recovery_at
               < NGX_HTTP_PHOTA_RECOVERY))
    {
        return;
    }

    ngx_http_phota_recovery_at = ngx_max(ngx_current_msec, 1);
    ngx_http_phota_worker.recovering = 1;

    ngx_http_phota_post(&ngx_http_phota_worker.books_writer,
                        &ngx_http_phota_recovery_job);
}


static void
ngx_http_phota_recovered(ngx_http_phota_job_t *job)
{
    static char  said[sizeof(phota_error_t)];

    ngx_http_phota_worker.recovering = 0;

    if (job->rc == PHOTA_OK || job->rc == PHOTA_INVALID) {
        ngx_http_phota_recover_count();
    }

    ngx_http_phota_complain("open charges can't be looked after",
                            job->rc == PHOTA_OK ? "" : job->err.text, said,
                            sizeof(said));
}


static void
ngx_http_phota_sweep(void)
{
    if (ngx_http_phota_sweeping) {
        return;
    }

    ngx_http_phota_sweeping = 1;

    ngx_http_phota_post(&ngx_http_phota_worker.cache_writer,
                        &ngx_http_phota_sweep_job);
}


static int
ngx_http_phota_sweep_run(ngx_http_phota_job_t *job, MDB_txn *txn)
{
    ngx_http_phota_sweep_more = 0;

    return phota_cache_sweep(&ngx_http_phota_worker.cache, phota_now(),
                             &ngx_http_phota_sweep_more, &job->err);
}


static void
ngx_http_phota_swept(ngx_http_phota_job_t *job)
{
    ngx_http_phota_sweeping = 0;

    if (job->rc == PHOTA_ERROR) {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0, NULL,
                                "the cache could not be swept", "%s",
                                job->err.text);
        return;
    }

    if (ngx_http_phota_sweep_more && !ngx_exiting
        && !ngx_http_phota_worker.exiting)
    {
        ngx_http_phota_sweep();
    }
}


static void
ngx_http_phota_settle_unsettled(void)
{
    ngx_queue_t  *q, again;

    if (ngx_queue_empty(&ngx_http_phota_worker.unsettled)) {
        return;
    }

    ngx_queue_init(&again);
    ngx_queue_add(&again, &ngx_http_phota_worker.unsettled);
    ngx_queue_init(&ngx_http_phota_worker.unsettled);

    while (!ngx_queue_empty(&again)) {
        q = ngx_queue_head(&again);
        ngx_queue_remove(q);

        ngx_http_phota_settle_again(q);
    }
}


void
ngx_http_phota_job_begin(void)
{
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (worker->working++ == 0 && !worker->exiting) {
        ngx_add_timer(&worker->exit_guard, NGX_HTTP_PHOTA_GUARD);
    }
}


void
ngx_http_phota_job_end(void)
{
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (--worker->working == 0 && worker->exit_guard.timer_set) {
        ngx_del_timer(&worker->exit_guard);
    }
}


static void
ngx_http_phota_guard(ngx_event_t *ev)
{
    ngx_http_phota_say(NGX_LOG_WARN, ev->log, 0, NULL,
                       "a disk has taken more than a minute", "for %ui jobs",
                       ngx_http_phota_worker.working);

    ngx_add_timer(ev, NGX_HTTP_PHOTA_GUARD);
}


void
ngx_http_phota_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (!worker->active) {
        return;
    }

    /*
     * The thread pool has gone before us: what was posted is finished, what
     * waits is done here.  Then the owner's lock goes with the process, and
     * holds that are left read as unknown.
     */

    worker->exiting = 1;
    ngx_http_phota_shared->meters.seen[ngx_process_slot] = 0;
    ngx_http_phota_care_opened();

    if (worker->books_open) {
        ngx_http_phota_writer_flush(&worker->books_writer);
        ngx_http_phota_settle_unsettled();
        ngx_http_phota_count_flush();
        ngx_http_phota_writer_flush(&worker->books_writer);
    }

    if (worker->cache_open) {
        ngx_http_phota_writer_flush(&worker->cache_writer);
    }

    ngx_http_phota_care_close();
    ngx_http_phota_say_rest(1);
}
