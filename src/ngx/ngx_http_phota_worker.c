
/*
 * A worker's life: it opens books and cache, reads the directory and the price
 * list again when they change, looks after holds of the dead and the size of
 * the cache, and leaves nothing undone when it exits.  All of it happens in
 * threads; the event loop swaps in what they bring.
 */


#include "ngx_http_phota_module.h"


/* ms */

#define NGX_HTTP_PHOTA_TICK       400
#define NGX_HTTP_PHOTA_RECOVERY   10000
#define NGX_HTTP_PHOTA_REAP       60000
#define NGX_HTTP_PHOTA_GUARD      60000


/* what a thread looks after; its results wait for the event loop */

typedef struct {
    ngx_thread_task_t         task;
    phota_directory_t        *directory;
    phota_price_list_t       *price_list;
    uint64_t                  generation;
    phota_error_t             err;
    phota_error_t             cache_err;
    char                      said[sizeof(phota_error_t)];
    char                      cache_said[sizeof(phota_error_t)];
    ngx_msec_t                reaped;
    unsigned                  busy:1;
    unsigned                  books:1;      /* open, seen by the thread */
    unsigned                  cache:1;
    unsigned                  books_env:1;  /* its environment alone */
    unsigned                  books_alien:1;
    unsigned                  cache_alien:1;
} ngx_http_phota_care_t;


static void ngx_http_phota_care_thread(void *data, ngx_log_t *log);
static int ngx_http_phota_open_books(ngx_http_phota_care_t *care);
static int ngx_http_phota_open_cache(ngx_http_phota_care_t *care);
static int ngx_http_phota_read_again(ngx_http_phota_care_t *care);
static void ngx_http_phota_care_done(ngx_event_t *ev);
static void ngx_http_phota_complain(const char *text, char *said,
    size_t size);
static void ngx_http_phota_tick(ngx_event_t *ev);
static void ngx_http_phota_recovery(void);
static void ngx_http_phota_recovered(ngx_http_phota_job_t *job);
static void ngx_http_phota_sweep(void);
static int ngx_http_phota_sweep_run(ngx_http_phota_job_t *job, MDB_txn *txn);
static void ngx_http_phota_swept(ngx_http_phota_job_t *job);
static void ngx_http_phota_settle_unsettled(void);
static void ngx_http_phota_guard(ngx_event_t *ev);


ngx_http_phota_worker_t  ngx_http_phota_worker;


static ngx_http_phota_care_t   ngx_http_phota_care;
static ngx_http_phota_job_t    ngx_http_phota_recovery_job;
static ngx_http_phota_job_t    ngx_http_phota_sweep_job;
static ngx_event_t             ngx_http_phota_timer;
static ngx_msec_t              ngx_http_phota_recovery_at;
static ngx_uint_t              ngx_http_phota_recovering;
static ngx_uint_t              ngx_http_phota_sweeping;
static int                     ngx_http_phota_sweep_more;


ngx_int_t
ngx_http_phota_init_process(ngx_cycle_t *cycle)
{
    ngx_http_phota_care_t       *care;
    ngx_http_phota_worker_t     *worker;
    ngx_http_phota_main_conf_t  *pmcf;

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
    care = &ngx_http_phota_care;

    ngx_memzero(worker, sizeof(ngx_http_phota_worker_t));
    ngx_memzero(care, sizeof(ngx_http_phota_care_t));

    worker->conf = pmcf;
    worker->active = 1;

    ngx_queue_init(&worker->unsettled);

    ngx_http_phota_writer_init(&worker->books_writer, &worker->books,
                               cycle->log);
    ngx_http_phota_writer_init(&worker->cache_writer, NULL, cycle->log);
    ngx_http_phota_count_init();

    worker->exit_guard.handler = ngx_http_phota_guard;
    worker->exit_guard.data = worker;
    worker->exit_guard.log = cycle->log;

    care->task.ctx = care;
    care->task.handler = ngx_http_phota_care_thread;
    care->task.event.data = care;
    care->task.event.handler = ngx_http_phota_care_done;
    care->task.event.log = cycle->log;

    ngx_http_phota_recovery_job.run = ngx_http_phota_recover;
    ngx_http_phota_recovery_job.done = ngx_http_phota_recovered;
    ngx_http_phota_sweep_job.run = ngx_http_phota_sweep_run;
    ngx_http_phota_sweep_job.done = ngx_http_phota_swept;

    /* once here, before the first request: nothing waits for it yet */

    ngx_http_phota_care_thread(care, cycle->log);
    ngx_http_phota_care_done(&care->task.event);

    ngx_http_phota_timer.handler = ngx_http_phota_tick;
    ngx_http_phota_timer.data = worker;
    ngx_http_phota_timer.log = cycle->log;
    ngx_http_phota_timer.cancelable = 1;

    ngx_add_timer(&ngx_http_phota_timer, NGX_HTTP_PHOTA_TICK);

    return NGX_OK;
}


static void
ngx_http_phota_care_thread(void *data, ngx_log_t *log)
{
    ngx_http_phota_care_t *care = data;

    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    care->err.text[0] = '\0';
    care->cache_err.text[0] = '\0';

    if (!care->books && ngx_http_phota_open_books(care) == PHOTA_OK) {
        care->books = 1;
        care->err.text[0] = '\0';
    }

    if (!care->cache && ngx_http_phota_open_cache(care) == PHOTA_OK) {
        care->cache = 1;
        care->cache_err.text[0] = '\0';
    }

    if (care->books) {
        (void) ngx_http_phota_read_again(care);
    }

    if (ngx_current_msec - care->reaped > NGX_HTTP_PHOTA_REAP) {
        care->reaped = ngx_current_msec;

        if (care->books) {
            (void) phota_store_reap(&worker->books, NULL);
        }

        if (care->cache) {
            (void) phota_store_reap(&worker->cache_store, NULL);
        }
    }
}


static int
ngx_http_phota_open_books(ngx_http_phota_care_t *care)
{
    int                       rc;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    /* what is no books of ours doesn't become so by asking again */

    if (care->books_alien) {
        (void) ngx_cpystrn((u_char *) care->err.text, (u_char *) care->said,
                           sizeof(care->err.text));
        return PHOTA_INVALID;
    }

    if (!care->books_env) {
        rc = phota_store_open(&worker->books,
                              (char *) worker->conf->data.data, "books",
                              PHOTA_BOOKS_SCHEMA, PHOTA_BOOKS_MAP, 0,
                              &care->err);

        if (rc != PHOTA_OK) {
            care->books_alien = (rc == PHOTA_INVALID);
            return rc;
        }

        /* it stays open whatever comes: a process opens it once */

        care->books_env = 1;
    }

    if (phota_tenants_open(&worker->tenants, &worker->books, &care->err)
           == PHOTA_OK
        && phota_prices_open(&worker->prices, &worker->books, &care->err)
           == PHOTA_OK
        && phota_ledger_open(&worker->ledger, &worker->books, &care->err)
           == PHOTA_OK)
    {
        if (phota_ledger_own(&worker->ledger, &care->err) == PHOTA_OK) {
            return PHOTA_OK;
        }

        phota_ledger_close(&worker->ledger);
    }

    return PHOTA_ERROR;
}


static int
ngx_http_phota_open_cache(ngx_http_phota_care_t *care)
{
    int                       rc;
    uint64_t                  max;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;
    max = worker->conf->cache_max_size;

    if (care->cache_alien) {
        (void) ngx_cpystrn((u_char *) care->cache_err.text,
                           (u_char *) care->cache_said,
                           sizeof(care->cache_err.text));
        return PHOTA_INVALID;
    }

    rc = phota_store_open(&worker->cache_store,
                          (char *) worker->conf->data.data, "cache",
                          PHOTA_CACHE_SCHEMA, phota_cache_map(max),
                          PHOTA_STORE_CREATE|PHOTA_STORE_NOMETASYNC,
                          &care->cache_err);

    if (rc == PHOTA_OK) {
        rc = phota_cache_open(&worker->cache, &worker->cache_store, max,
                              &care->cache_err);

        if (rc != PHOTA_OK) {
            phota_store_close(&worker->cache_store);
            rc = PHOTA_INVALID;
        }
    }

    care->cache_alien = (rc == PHOTA_INVALID);

    return rc;
}


static int
ngx_http_phota_read_again(ngx_http_phota_care_t *care)
{
    uint64_t                  generation;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (phota_store_generation(&worker->books, &generation) != PHOTA_OK) {
        phota_error(&care->err, "the books can't be read; if this does not "
                    "heal, reload nginx");
        return PHOTA_ERROR;
    }

    if (worker->directory && generation == care->generation) {
        return PHOTA_OK;
    }

    if (phota_directory_load(&worker->tenants, &care->directory, &care->err)
        != PHOTA_OK)
    {
        care->directory = NULL;
        return PHOTA_ERROR;
    }

    if (phota_price_list_load(&worker->prices, &care->price_list, &care->err)
        != PHOTA_OK)
    {
        phota_directory_destroy(care->directory);

        care->directory = NULL;
        care->price_list = NULL;
        return PHOTA_ERROR;
    }

    /* a change during the load is seen at the next tick */

    care->generation = generation;

    return PHOTA_OK;
}


static void
ngx_http_phota_care_done(ngx_event_t *ev)
{
    ngx_http_phota_care_t *care = ev->data;

    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    care->busy = 0;

    ngx_http_phota_complain(care->err.text, care->said, sizeof(care->said));
    ngx_http_phota_complain(care->cache_err.text, care->cache_said,
                            sizeof(care->cache_said));

    if (care->directory) {
        if (worker->directory) {
            phota_directory_destroy(worker->directory);
            phota_price_list_destroy(worker->price_list);
        }

        worker->directory = care->directory;
        worker->price_list = care->price_list;

        care->directory = NULL;
        care->price_list = NULL;
    }

    worker->books_open = care->books;
    worker->cache_open = care->cache;
}


/* once when it begins, not at every tick */

static void
ngx_http_phota_complain(const char *text, char *said, size_t size)
{
    if (ngx_strcmp(text, said) == 0) {
        return;
    }

    if (text[0]) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "phota: %s", text);

    } else {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "phota: this has healed: %s", said);
    }

    (void) ngx_cpystrn((u_char *) said, (u_char *) text, size);
}


static void
ngx_http_phota_tick(ngx_event_t *ev)
{
    ngx_http_phota_care_t    *care;
    ngx_http_phota_worker_t  *worker;

    care = &ngx_http_phota_care;
    worker = &ngx_http_phota_worker;

    if (!care->busy) {
        care->busy = 1;

        if (ngx_thread_task_post(worker->conf->pool, &care->task) != NGX_OK) {
            care->busy = 0;
        }
    }

    ngx_http_phota_count_flush();

    if (worker->books_open) {
        ngx_http_phota_settle_unsettled();

        /* every worker once, then one of them, which is always there */

        if (ngx_worker == 0 || !ngx_http_phota_recovery_at) {
            ngx_http_phota_recovery();
        }
    }

    if (worker->cache_open && ngx_worker == 0) {
        ngx_http_phota_sweep();
    }

    ngx_add_timer(ev, NGX_HTTP_PHOTA_TICK);
}


static void
ngx_http_phota_recovery(void)
{
    if (ngx_http_phota_recovering
        || (ngx_http_phota_recovery_at
            && ngx_current_msec - ngx_http_phota_recovery_at
               < NGX_HTTP_PHOTA_RECOVERY))
    {
        return;
    }

    ngx_http_phota_recovery_at = ngx_max(ngx_current_msec, 1);
    ngx_http_phota_recovering = 1;

    ngx_http_phota_post(&ngx_http_phota_worker.books_writer,
                        &ngx_http_phota_recovery_job);
}


static void
ngx_http_phota_recovered(ngx_http_phota_job_t *job)
{
    static char  said[sizeof(phota_error_t)];

    ngx_http_phota_recovering = 0;

    ngx_http_phota_complain(job->rc == PHOTA_OK ? "" : job->err.text, said,
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
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "phota: the cache could not be swept: %s",
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

    if (worker->jobs++ == 0 && !worker->exiting) {
        ngx_add_timer(&worker->exit_guard, NGX_HTTP_PHOTA_GUARD);
    }
}


void
ngx_http_phota_job_end(void)
{
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (--worker->jobs == 0 && worker->exit_guard.timer_set) {
        ngx_del_timer(&worker->exit_guard);
    }
}


static void
ngx_http_phota_guard(ngx_event_t *ev)
{
    ngx_log_error(NGX_LOG_WARN, ev->log, 0,
                  "phota: a disk has taken more than a minute for %ui jobs",
                  ngx_http_phota_worker.jobs);

    ngx_add_timer(ev, NGX_HTTP_PHOTA_GUARD);
}


void
ngx_http_phota_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_phota_care_t    *care;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;
    care = &ngx_http_phota_care;

    if (!worker->active) {
        return;
    }

    /*
     * The thread pool has gone before us: what was posted is finished, what
     * waits is done here.  Then the owner's lock goes with the process, and
     * holds that are left read as unknown.
     */

    worker->exiting = 1;
    worker->books_open = care->books;
    worker->cache_open = care->cache;

    if (worker->books_open) {
        ngx_http_phota_writer_flush(&worker->books_writer);
        ngx_http_phota_settle_unsettled();
        ngx_http_phota_count_flush();
        ngx_http_phota_writer_flush(&worker->books_writer);
    }

    if (worker->cache_open) {
        ngx_http_phota_writer_flush(&worker->cache_writer);

        if (worker->cache_txn) {
            phota_store_abort(worker->cache_txn);
        }

        phota_store_close(&worker->cache_store);
    }

    if (worker->directory) {
        phota_directory_destroy(worker->directory);
        phota_price_list_destroy(worker->price_list);
    }

    if (worker->books_open) {
        phota_ledger_close(&worker->ledger);
    }

    if (care->books_env) {
        phota_store_close(&worker->books);
    }
}
