
/*
 * Free hits: summed up in memory by tenant, token, operation and tag, and
 * written to the books by the writer thread within a second, so that a hit
 * costs no write.  While the books can't be written the sums wait.  The order
 * in which results were used goes the same way to the cache.
 */


#include "ngx_http_phota_module.h"


#define NGX_HTTP_PHOTA_BUCKETS  8192
#define NGX_HTTP_PHOTA_TOUCHES  256

/* sums at a time: tags are the clients' to choose, memory and rows aren't */

#define NGX_HTTP_PHOTA_SUMS     512

#define NGX_HTTP_PHOTA_DAY      86400000


typedef struct ngx_http_phota_sum_s  ngx_http_phota_sum_t;

struct ngx_http_phota_sum_s {
    ngx_http_phota_sum_t     *next;
    uint64_t                  time;         /* ms, of the first hit */
    uint64_t                  hits;
    int64_t                   saved;        /* micro-USD */
    uint32_t                  tenant;
    uint32_t                  token;
    uint8_t                   operation;
    char                      tag[PHOTA_NAME_MAX + 1];
};


typedef struct {
    ngx_http_phota_sum_t     *sums[NGX_HTTP_PHOTA_BUCKETS];
    ngx_uint_t                count;

    ngx_http_phota_job_t      job;
    ngx_http_phota_sum_t     *posted;

    phota_use_t               uses[NGX_HTTP_PHOTA_TOUCHES];
    ngx_uint_t                nuses;

    ngx_http_phota_job_t      touch;
    phota_use_t               touched[NGX_HTTP_PHOTA_TOUCHES];
    ngx_uint_t                ntouched;

    unsigned                  busy:1;
    unsigned                  touching:1;
} ngx_http_phota_count_t;


static void ngx_http_phota_count_add(const ngx_http_phota_sum_t *add);
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
ngx_http_phota_count_hit(ngx_http_phota_ctx_t *ctx, int64_t saved)
{
    ngx_http_phota_sum_t  sum;

    sum.next = NULL;
    sum.time = phota_now();
    sum.hits = 1;
    sum.saved = saved;
    sum.tenant = ctx->tenant.id;
    sum.token = ctx->token;
    sum.operation = (uint8_t) ctx->operation->id;

    ngx_memcpy(sum.tag, ctx->tag, sizeof(sum.tag));

    if (sum.tag[0] && ngx_http_phota_counts.count >= NGX_HTTP_PHOTA_SUMS) {
        (void) ngx_cpystrn((u_char *) sum.tag, (u_char *) PHOTA_TAG_OTHER,
                           sizeof(sum.tag));
    }

    ngx_http_phota_count_add(&sum);

    ngx_http_phota_meter_hit(ctx, saved);
}


void
ngx_http_phota_count_use(const phota_result_t *result, uint64_t linked)
{
    phota_use_t             *use;
    ngx_http_phota_count_t  *counts;

    counts = &ngx_http_phota_counts;

    if (linked && linked <= result->linked) {
        linked = 0;
    }

    if ((linked
         || phota_now() > result->used + ngx_http_phota_worker.cache.coarse)
        && counts->nuses < NGX_HTTP_PHOTA_TOUCHES)
    {
        use = &counts->uses[counts->nuses++];

        use->key = result->key;
        use->id = result->id;
        use->linked = linked ? linked + NGX_HTTP_PHOTA_LINK_SPARE : 0;
    }
}


static void
ngx_http_phota_count_add(const ngx_http_phota_sum_t *add)
{
    ngx_uint_t               i;
    ngx_http_phota_sum_t    *sum;
    ngx_http_phota_count_t  *counts;

    counts = &ngx_http_phota_counts;

    i = ngx_crc32_short((u_char *) add->tag, ngx_strlen(add->tag));
    i = ((add->tenant * 31 + add->token) * 31 + add->operation + i)
        % NGX_HTTP_PHOTA_BUCKETS;

    for (sum = counts->sums[i]; sum; sum = sum->next) {

        /* a sum never crosses midnight: it counts on its first hit's day */

        if (sum->tenant == add->tenant && sum->token == add->token
            && sum->operation == add->operation
            && sum->time / NGX_HTTP_PHOTA_DAY == add->time / NGX_HTTP_PHOTA_DAY
            && ngx_strcmp(sum->tag, add->tag) == 0)
        {
            sum->hits += add->hits;
            sum->saved += add->saved;
            return;
        }
    }

    sum = ngx_alloc(sizeof(ngx_http_phota_sum_t), ngx_cycle->log);
    if (sum == NULL) {
        return;
    }

    *sum = *add;

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
    int                     rc;
    ngx_http_phota_sum_t   *sum;
    ngx_http_phota_about_t  about;

    for (sum = ngx_http_phota_counts.posted; sum; sum = sum->next) {

        rc = phota_ledger_hit(&ngx_http_phota_worker.ledger, txn, sum->time,
                              sum->tenant, sum->token, sum->operation,
                              sum->tag, sum->hits, sum->saved, &job->err);

        if (rc == PHOTA_ERROR) {
            return PHOTA_ERROR;
        }

        if (rc != PHOTA_OK) {

            /* it will never do; the others shall not wait for it */

            ngx_http_phota_say(NGX_LOG_ALERT, ngx_cycle->log, 0,
                               ngx_http_phota_about_id(&about, sum->tenant,
                                                       NULL),
                               "free hits can't be counted", "%uL of them, %s",
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
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0, NULL,
                                "free hits could not be counted yet", "%s",
                                job->err.text);
    }

    for ( /* void */ ; sum; sum = next) {
        next = sum->next;

        if (job->rc != PHOTA_OK) {
            ngx_http_phota_count_add(sum);
        }

        ngx_free(sum);
    }
}


static void
ngx_http_phota_touch_flush(void)
{
    ngx_http_phota_count_t  *counts;

    counts = &ngx_http_phota_counts;

    if (counts->nuses == 0 || counts->touching
        || !ngx_http_phota_worker.cache_open)
    {
        return;
    }

    ngx_memcpy(counts->touched, counts->uses,
               counts->nuses * sizeof(phota_use_t));

    counts->ntouched = counts->nuses;
    counts->nuses = 0;
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
