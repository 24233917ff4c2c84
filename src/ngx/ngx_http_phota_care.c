
/*
 * Books and cache of a worker: opened as soon as they can be, read again when
 * tenants or prices change, opened once more when LMDB has given them up.  All
 * of it happens in a thread; the event loop swaps in what it brings.
 */


#include "ngx_http_phota_module.h"

#include <sys/resource.h>


/* ms; a reader that was killed keeps every page from reuse until it's found */

#define NGX_HTTP_PHOTA_REAP      1000
#define NGX_HTTP_PHOTA_PATIENCE  1000

/* us that a read may keep the event loop, and that need no explanation */

#define NGX_HTTP_PHOTA_STALL  5000
#define NGX_HTTP_PHOTA_QUICK  500


/* how long reads of the event loop take, us */

typedef struct {
    uint64_t                  begun;
    uint64_t                  longest;
    long                      faults;       /* that had to wait, ever */
    time_t                    said;
} ngx_http_phota_stall_t;


/* what a thread looks after; its results wait for the event loop */

typedef struct {
    ngx_thread_task_t         task;
    phota_directory_t        *directory;
    phota_price_list_t       *price_list;
    phota_keyring_t           keyring;
    uint64_t                  generation;
    phota_error_t             err;
    phota_error_t             cache_err;
    char                      said[sizeof(phota_error_t)];
    char                      cache_said[sizeof(phota_error_t)];
    ngx_msec_t                reaped;
    ngx_msec_t                moved;        /* since when, the old cache is
                                               still open; 0: it isn't old */
    ngx_event_t               exchange;
    unsigned                  busy:1;
    unsigned                  books:1;      /* open, seen by the thread */
    unsigned                  cache:1;
    unsigned                  books_env:1;  /* its environment alone */
    unsigned                  books_alien:1;
    unsigned                  cache_alien:1;
    unsigned                  reopen_books:1;
    unsigned                  reopen_cache:1;
    unsigned                  replaced:1;   /* the thread found another */
} ngx_http_phota_care_t;


static void ngx_http_phota_care_thread(void *data, ngx_log_t *log);
static void ngx_http_phota_reopen(ngx_http_phota_care_t *care);
static int ngx_http_phota_open_books(ngx_http_phota_care_t *care);
static int ngx_http_phota_open_tables(ngx_http_phota_care_t *care);
static int ngx_http_phota_open_cache(ngx_http_phota_care_t *care);
static int ngx_http_phota_read_again(ngx_http_phota_care_t *care);
static void ngx_http_phota_care_done(ngx_event_t *ev);
static void ngx_http_phota_mend(ngx_http_phota_care_t *care);
static void ngx_http_phota_exchange(ngx_event_t *ev);
static MDB_txn *ngx_http_phota_renew(phota_store_t *store, MDB_txn **txn);
static void ngx_http_phota_stall_tick(void);


static ngx_http_phota_care_t   ngx_http_phota_care;
static ngx_http_phota_stall_t  ngx_http_phota_stall;


void
ngx_http_phota_care_init(ngx_cycle_t *cycle)
{
    ngx_http_phota_care_t  *care;

    care = &ngx_http_phota_care;

    ngx_memzero(care, sizeof(ngx_http_phota_care_t));

    care->task.ctx = care;
    care->task.handler = ngx_http_phota_care_thread;
    care->task.event.data = care;
    care->task.event.handler = ngx_http_phota_care_done;
    care->task.event.log = cycle->log;

    care->exchange.handler = ngx_http_phota_exchange;
    care->exchange.data = care;
    care->exchange.log = cycle->log;

    /* once here, before the first request: nothing waits for it yet */

    ngx_http_phota_care_thread(care, cycle->log);
    ngx_http_phota_care_done(&care->task.event);
}


void
ngx_http_phota_care_tick(void)
{
    ngx_http_phota_care_t  *care;

    care = &ngx_http_phota_care;

    ngx_http_phota_stall_tick();

    if (care->busy) {
        return;
    }

    ngx_http_phota_mend(care);

    care->busy = 1;

    if (ngx_thread_task_post(ngx_http_phota_worker.conf->pool, &care->task)
        != NGX_OK)
    {
        care->busy = 0;
    }
}


/* has the environments that LMDB has given up opened again, once at rest */

static void
ngx_http_phota_mend(ngx_http_phota_care_t *care)
{
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    /* paused: they couldn't be opened the last time, and jobs may wait */

    if (worker->books.broken || worker->books_writer.paused) {
        worker->books_open = 0;

        if (ngx_http_phota_writer_pause(&worker->books_writer,
                                        "the books are broken and opened "
                                        "again")
            == NGX_OK
            && worker->asking == 0)
        {
            if (worker->books_txn) {
                phota_store_abort(worker->books_txn);
                worker->books_txn = NULL;
            }

            care->reopen_books = (worker->books.broken && care->books_env);
        }
    }

    if (worker->cache_store.broken
        || (worker->cache_writer.paused && !care->moved))
    {
        worker->cache_open = 0;

        if (ngx_http_phota_writer_pause(&worker->cache_writer,
                                        "the cache is broken and opened "
                                        "again")
            == NGX_OK
            && worker->reading == 0 && !worker->books_writer.busy)
        {
            /* the books' writer reads it too, where it is open */

            if (worker->cache_txn) {
                phota_store_abort(worker->cache_txn);
                worker->cache_txn = NULL;
            }

            care->reopen_cache = (worker->cache_store.broken && care->cache);
        }
    }
}


static void
ngx_http_phota_care_thread(void *data, ngx_log_t *log)
{
    ngx_http_phota_care_t *care = data;

    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    care->err.text[0] = '\0';
    care->cache_err.text[0] = '\0';

    ngx_http_phota_reopen(care);

    if (!care->books && ngx_http_phota_open_books(care) == PHOTA_OK) {
        care->books = 1;
        care->err.text[0] = '\0';
    }

    if (!care->cache && ngx_http_phota_open_cache(care) == PHOTA_OK) {
        care->cache = 1;
        care->cache_err.text[0] = '\0';
    }

    care->replaced = (care->cache
                      && phota_store_moved(&worker->cache_store));

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


/*
 * A write that failed at the wrong place makes LMDB refuse everything until its
 * environment has been closed.  Nobody uses it now: the event loop saw to that.
 */

static void
ngx_http_phota_reopen(ngx_http_phota_care_t *care)
{
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (care->reopen_books) {
        phota_store_close(&worker->books);

        care->reopen_books = 0;
        care->books_env = 0;
        care->books = 0;
    }

    if (care->reopen_cache) {
        phota_store_close(&worker->cache_store);

        care->reopen_cache = 0;
        care->cache = 0;
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

    return ngx_http_phota_open_tables(care);
}


static int
ngx_http_phota_open_tables(ngx_http_phota_care_t *care)
{
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (phota_tenants_open(&worker->tenants, &worker->books, &care->err)
           != PHOTA_OK
        || phota_prices_open(&worker->prices, &worker->books, &care->err)
           != PHOTA_OK
        || phota_replays_open(&worker->replays, &worker->books, &care->err)
           != PHOTA_OK
        || phota_jobs_open(&worker->jobs, &worker->books, &care->err)
           != PHOTA_OK
        || phota_profiles_open(&worker->profiles, &worker->books, &care->err)
           != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    /* a worker has one slot for its life: its holds name it */

    if (worker->ledger.self.epoch != 0) {
        return phota_ledger_reopen(&worker->ledger, &care->err);
    }

    if (phota_ledger_open(&worker->ledger, &worker->books, &care->err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    if (phota_ledger_know(&worker->ledger, worker->conf->master, &care->err)
           == PHOTA_OK
        && phota_ledger_own(&worker->ledger, &care->err) == PHOTA_OK)
    {
        return PHOTA_OK;
    }

    phota_ledger_close(&worker->ledger);

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
                          PHOTA_STORE_CREATE|PHOTA_STORE_NOMETASYNC
                          |PHOTA_STORE_RANDOM,
                          &care->cache_err);

    if (rc == PHOTA_OK) {
        rc = phota_cache_open(&worker->cache, &worker->cache_store, max,
                              ngx_http_phota_zone_beats(), &care->cache_err);

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
        phota_error(&care->err, "the books can't be read");
        return PHOTA_ERROR;
    }

    if (worker->directory && generation == care->generation) {
        return PHOTA_OK;
    }

    /* without the books' key nothing could be bought, or told from another */

    if (phota_keyring_load(&care->keyring, &worker->books,
                           worker->conf->master, &care->err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
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

    ngx_http_phota_complain("the books can't be used", care->err.text,
                            care->said, sizeof(care->said));
    ngx_http_phota_complain("the cache can't be used", care->cache_err.text,
                            care->cache_said, sizeof(care->cache_said));

    if (care->directory) {
        if (worker->directory) {
            phota_directory_destroy(worker->directory);
            phota_price_list_destroy(worker->price_list);
        }

        worker->directory = care->directory;
        worker->price_list = care->price_list;
        worker->keyring = care->keyring;

        care->directory = NULL;
        care->price_list = NULL;
    }

    phota_cleanse(&care->keyring, sizeof(phota_keyring_t));

    worker->books_open = (care->books && !worker->books.broken);

    if (care->replaced) {
        ngx_http_phota_cache_moved();
    }

    if (!care->moved) {
        worker->cache_open = (care->cache && !worker->cache_store.broken);
    }

    if (worker->books_open && worker->books_writer.paused) {
        ngx_http_phota_writer_go_on(&worker->books_writer);
    }

    if (worker->cache_open && worker->cache_writer.paused && !care->moved) {
        ngx_http_phota_writer_go_on(&worker->cache_writer);
    }
}


void
ngx_http_phota_cache_moved(void)
{
    ngx_http_phota_care_t  *care;

    care = &ngx_http_phota_care;

    if (care->moved || !care->cache
        || ngx_http_phota_worker.cache_store.broken)
    {
        return;
    }

    care->moved = ngx_max(ngx_current_msec, 1);

    ngx_http_phota_worker.cache_writer.paused = 1;

    ngx_add_timer(&care->exchange, 1);
}


/*
 * In the event loop, where nobody can ask in between: a hit that is missed is
 * bought again.
 */

static void
ngx_http_phota_exchange(ngx_event_t *ev)
{
    ngx_http_phota_care_t *care = ev->data;

    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (worker->exiting) {
        return;
    }

    if (care->busy || worker->cache_writer.busy || worker->reading
        || worker->recovering)
    {
        if (ngx_current_msec - care->moved > NGX_HTTP_PHOTA_PATIENCE) {

            /* there is always somebody: let no others begin */

            worker->cache_open = 0;
        }

        ngx_add_timer(ev, 1);
        return;
    }

    if (worker->cache_txn) {
        phota_store_abort(worker->cache_txn);
        worker->cache_txn = NULL;
    }

    phota_store_close(&worker->cache_store);
    ngx_http_phota_memory_doubt();

    care->moved = 0;
    care->cache_err.text[0] = '\0';
    care->cache = (ngx_http_phota_open_cache(care) == PHOTA_OK);

    ngx_http_phota_complain("the cache can't be used", care->cache_err.text,
                            care->cache_said, sizeof(care->cache_said));

    worker->cache_open = care->cache;

    if (worker->cache_open) {
        ngx_http_phota_writer_go_on(&worker->cache_writer);
    }
}


MDB_txn *
ngx_http_phota_read_books(void)
{
    if (!ngx_http_phota_worker.books_open) {
        return NULL;
    }

    return ngx_http_phota_renew(&ngx_http_phota_worker.books,
                                &ngx_http_phota_worker.books_txn);
}


MDB_txn *
ngx_http_phota_read_cache(void)
{
    if (!ngx_http_phota_worker.cache_open) {
        return NULL;
    }

    return ngx_http_phota_renew(&ngx_http_phota_worker.cache_store,
                                &ngx_http_phota_worker.cache_txn);
}


static MDB_txn *
ngx_http_phota_renew(phota_store_t *store, MDB_txn **txn)
{
    ngx_http_phota_stall.begun = ngx_http_phota_meter_clock();

    if (*txn == NULL) {
        if (phota_store_begin(store, 0, txn, NULL) != PHOTA_OK) {
            *txn = NULL;
        }

        return *txn;
    }

    if (mdb_txn_renew(*txn) != 0) {
        phota_store_abort(*txn);
        *txn = NULL;
    }

    return *txn;
}


/* what anything else had to wait for is not counted among our looks */

static void
ngx_http_phota_stall_tick(void)
{
    struct rusage  usage;

    if (getrusage(RUSAGE_THREAD, &usage) == 0) {
        ngx_http_phota_stall.faults = usage.ru_majflt;
    }
}


/* nobody else was served meanwhile: what took long is said, once a minute */

void
ngx_http_phota_read_end(MDB_txn *txn)
{
    uint64_t                 took;
    struct rusage            usage;
    ngx_http_phota_stall_t  *stall;

    mdb_txn_reset(txn);

    stall = &ngx_http_phota_stall;
    took = ngx_http_phota_meter_clock() - stall->begun;

    if (took <= stall->longest && took <= NGX_HTTP_PHOTA_STALL) {
        return;
    }

    /* a busy machine takes the processor away: that is not our waiting */

    if (took > NGX_HTTP_PHOTA_QUICK
        && (getrusage(RUSAGE_THREAD, &usage) == -1
            || usage.ru_majflt == stall->faults))
    {
        return;
    }

    if (took > NGX_HTTP_PHOTA_QUICK) {
        stall->faults = usage.ru_majflt;
        ngx_http_phota_feel_cold();
        ngx_http_phota_meter_waited();
    }

    stall->longest = ngx_max(stall->longest, took);

    if (took > NGX_HTTP_PHOTA_STALL
        && (stall->said == 0 || ngx_time() - stall->said >= 60))
    {
        stall->said = ngx_time();

        ngx_http_phota_say(NGX_LOG_WARN, ngx_cycle->log, 0, NULL,
                           "a look at books or cache held the worker up",
                           "%uL.%03uL ms, pages had to come from the disk",
                           took / 1000, took % 1000);
    }
}


/* at exit, when the threads are gone */

void
ngx_http_phota_care_opened(void)
{
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    worker->books_open = ngx_http_phota_care.books;
    worker->cache_open = ngx_http_phota_care.cache;
}


void
ngx_http_phota_care_close(void)
{
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    ngx_http_phota_say(NGX_LOG_INFO, ngx_cycle->log, 0, NULL,
                       "the longest look at books or cache", "%uL.%03uL ms",
                       ngx_http_phota_stall.longest / 1000,
                       ngx_http_phota_stall.longest % 1000);

    if (worker->cache_txn) {
        phota_store_abort(worker->cache_txn);
    }

    if (worker->cache_open) {
        phota_store_close(&worker->cache_store);
    }

    if (worker->directory) {
        phota_directory_destroy(worker->directory);
        phota_price_list_destroy(worker->price_list);
    }

    phota_cleanse(&worker->keyring, sizeof(phota_keyring_t));

    if (worker->books_open) {
        phota_ledger_close(&worker->ledger);
    }

    if (worker->books_txn) {
        phota_store_abort(worker->books_txn);
    }

    if (ngx_http_phota_care.books_env) {
        phota_store_close(&worker->books);
    }
}
