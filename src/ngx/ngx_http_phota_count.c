
/*
 * Free hits: summed up in memory by tenant and operation, and written to the
 * books by the writer thread within a second, so that a hit costs no write.
 * While the books can't be written the sums wait.  The order in which results
 * were used goes the same way to the cache.
 */


#include "ngx_http_phota_module.h"


#define NGX_HTTP_PHOTA_BUCKETS  256
#define NGX_HTTP_PHOTA_TOUCHES  256

/* ms: a result used more often than this is not moved each time */

#define NGX_HTTP_PHOTA_FRESH    60000


typedef struct ngx_http_phota_sum_s  ngx_http_phota_sum_t;

struct ngx_http_phota_sum_s {
    ngx_http_phota_sum_t     *next;
    uint64_t                  time;         /* ms, of the first hit */
    uint64_t                  hits;
    int64_t                   saved;        /* micro-USD */
    uint32_t                  tenant;
    uint8_t                   operation;
};


typedef struct {
    ngx_http_phota_sum_t     *sums[NGX_HTTP_PHOTA_BUCKETS];
    ngx_uint_t                count;

    ngx_http_phota_job_t      job;
    ngx_http_phota_sum_t     *posted;

    phota_cache_key_t         keys[NGX_HTTP_PHOTA_TOUCHES];
    ngx_uint_t                nkeys;

    ngx_http_phota_job_t      touch;
    phota_cache_key_t         touched[NGX_HTTP_PHOTA_TOUCHES];
    ngx_uint_t                ntouched;

    unsigned                  busy:1;
    unsigned                  touching:1;
} ngx_http_phota_count_t;


static void ngx_http_phota_count_add(uint64_t time, uint32_t tenant,
    uint8_t operation, uint64_t hits, int64_t saved);
static int ngx_http_phota_count_run(ngx_http_phota_job_t *job, MDB_txn *txn);
static void ngx_http_phota_count_done(ngx_http_phota_job_t *job);
static void ngx_http_phota_touch_flush(void);
static int ngx_http_phota_touch_run(ngx_http_phota_job_t *job, MDB_txn *txn);
static void ngx_http_phota_touch_done(ngx_http_phota_job_t *job);


static ngx_http_phota_count_t  ngx_http_phota_counts;


void
ngx_http_phota_count_init(void)
{
    ngx_memzero(&ngx_http_phota_counts, sizeof(ngx_http_phota_count_t));

    ngx_http_phota_counts.job.run = ngx_http_phota_count_run;
    ngx_http_phota_counts.job.done = ngx_http_phota_count_done;
    ngx_http_phota_counts.touch.run = ngx_http_phota_touch_run;
    ngx_http_phota_counts.touch.done = ngx_http_phota_touch_done;
}


void
ngx_http_phota_count_hit(uint32_t tenant, ngx_uint_t operation,
    int64_t saved, const phota_cache_key_t *key, uint64_t used)
{
    uint64_t                 now;
    ngx_http_phota_count_t  *counts;

    counts = &ngx_http_phota_counts;
    now = phota_now();

    ngx_http_phota_count_add(now, tenant, (uint8_t) operation, 1, saved);

    if (now > used + NGX_HTTP_PHOTA_FRESH
        && counts->nkeys < NGX_HTTP_PHOTA_TOUCHES)
    {
        counts->keys[counts->nkeys++] = *key;
    }
}


static void
ngx_http_phota_count_add(uint64_t time, uint32_t tenant, uint8_t operation,
    uint64_t hits, int64_t saved)
{
    ngx_uint_t               i;
    ngx_http_phota_sum_t    *sum;
    ngx_http_phota_count_t  *counts;

    counts = &ngx_http_phota_counts;
    i = (tenant * PHOTA_OP_MAX + operation) % NGX_HTTP_PHOTA_BUCKETS;

    for (sum = counts->sums[i]; sum; sum = sum->next) {
        if (sum->tenant == tenant && sum->operation == operation) {
            sum->hits += hits;
            sum->saved += saved;
            return;
        }
    }

    sum = ngx_calloc(sizeof(ngx_http_phota_sum_t), ngx_cycle->log);
    if (sum == NULL) {
        return;
    }

    sum->time = time;
    sum->tenant = tenant;
    sum->operation = operation;
    sum->hits = hits;
    sum->saved = saved;
    sum->next = counts->sums[i];

    counts->sums[i] = sum;
    counts->count++;
}


void
ngx_http_phota_count_flush(void)
{
    ngx_uint_t               i;
    ngx_http_phota_sum_t    *sum;
    ngx_http_phota_count_t  *counts;

    counts = &ngx_http_phota_counts;

    ngx_http_phota_touch_flush();

    if (counts->count == 0 || counts->busy
        || !ngx_http_phota_worker.books_open)
    {
        return;
    }

    for (i = 0; i < NGX_HTTP_PHOTA_BUCKETS; i++) {
        while (counts->sums[i]) {
            sum = counts->sums[i];
            counts->sums[i] = sum->next;

            sum->next = counts->posted;
            counts->posted = sum;
        }
    }

    counts->count = 0;
    counts->busy = 1;

    ngx_http_phota_post(&ngx_http_phota_worker.books_writer, &counts->job);
}


static int
ngx_http_phota_count_run(ngx_http_phota_job_t *job, MDB_txn *txn)
{
    int                    rc;
    ngx_http_phota_sum_t  *sum;

    for (sum = ngx_http_phota_counts.posted; sum; sum = sum->next) {

        rc = phota_ledger_hit(&ngx_http_phota_worker.ledger, txn, sum->time,
                              sum->tenant, sum->operation, sum->hits,
                              sum->saved, &job->err);

        if (rc == PHOTA_ERROR) {
            return PHOTA_ERROR;
        }

        if (rc != PHOTA_OK) {

            /* it will never do; the others shall not wait for it */

            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "phota: %uL free hits can't be counted: %s",
                          sum->hits, job->err.text);
        }
    }

    return PHOTA_OK;
}


static void
ngx_http_phota_count_done(ngx_http_phota_job_t *job)
{
    ngx_http_phota_sum_t    *sum, *next;
    ngx_http_phota_count_t  *counts;

    counts = &ngx_http_phota_counts;
    sum = counts->posted;

    counts->posted = NULL;
    counts->busy = 0;

    if (job->rc != PHOTA_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "phota: free hits could not be counted yet: %s",
                      job->err.text);
    }

    for ( /* void */ ; sum; sum = next) {
        next = sum->next;

        if (job->rc != PHOTA_OK) {
            ngx_http_phota_count_add(sum->time, sum->tenant, sum->operation,
                                     sum->hits, sum->saved);
        }

        ngx_free(sum);
    }
}


static void
ngx_http_phota_touch_flush(void)
{
    ngx_http_phota_count_t  *counts;

    counts = &ngx_http_phota_counts;

    if (counts->nkeys == 0 || counts->touching
        || !ngx_http_phota_worker.cache_open)
    {
        return;
    }

    ngx_memcpy(counts->touched, counts->keys,
               counts->nkeys * sizeof(phota_cache_key_t));

    counts->ntouched = counts->nkeys;
    counts->nkeys = 0;
    counts->touching = 1;

    ngx_http_phota_post(&ngx_http_phota_worker.cache_writer, &counts->touch);
}


static int
ngx_http_phota_touch_run(ngx_http_phota_job_t *job, MDB_txn *txn)
{
    return phota_cache_touch(&ngx_http_phota_worker.cache,
                             ngx_http_phota_counts.touched,
                             ngx_http_phota_counts.ntouched, phota_now(),
                             &job->err);
}


static void
ngx_http_phota_touch_done(ngx_http_phota_job_t *job)
{
    /* lost order is lost luck, no more */

    ngx_http_phota_counts.touching = 0;
}
