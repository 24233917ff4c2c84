
/*
 * Counting.  All of it is cheap enough for a hit: a request costs two atomic
 * adds more when it is logged, and five when it is sold.
 */


#include "ngx_http_phota_module.h"
#include "ngx_http_phota_zone.h"


static void ngx_http_phota_meter_put(ngx_http_phota_distribution_t *d,
    const uint64_t *bounds, ngx_uint_t n, uint64_t value);
static void ngx_http_phota_meter_refusal(const char *code);
static ngx_uint_t ngx_http_phota_meter_status(ngx_uint_t status);


#define ngx_http_phota_meter_add(counter, n)                                  \
    (void) ngx_atomic_fetch_add(&(counter), (ngx_atomic_int_t) (n))


const uint64_t  ngx_http_phota_meter_seconds[NGX_HTTP_PHOTA_METER_BOUNDS] = {
    1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000,
    2500000, 5000000, 10000000, 30000000, 60000000, 120000000, 300000000,
    600000000
};


const uint64_t  ngx_http_phota_meter_sizes[] = {
    1, 2, 4, 8, 16, 32, 64, 128, 256
};

const ngx_uint_t  ngx_http_phota_meter_nsizes
    = sizeof(ngx_http_phota_meter_sizes) / sizeof(uint64_t);


const char  *ngx_http_phota_meter_codes[NGX_HTTP_PHOTA_METER_CODES] = {
    "BODY_TOO_LARGE", "BOOKS_UNAVAILABLE", "BUDGET_EXCEEDED", "CONFLICT",
    "IDEMPOTENCY_MISMATCH", "INTERNAL_ERROR", "INVALID_REQUEST", "IN_FLIGHT",
    "NOT_CACHED", "NOT_FOUND", "OPERATION_NOT_ALLOWED", "OUTCOME_UNKNOWN",
    "PRICE_UNKNOWN", "RATE_LIMITED", "REPLAY_GONE", "TENANT_SUSPENDED",
    "TIMEOUT", "UNAUTHORIZED", "UNAVAILABLE", "UPSTREAM_AUTH",
    "UPSTREAM_BALANCE", "UPSTREAM_FAILED", "UPSTREAM_TIMEOUT", "other",
    NULL
};


const char  *ngx_http_phota_meter_results[NGX_HTTP_PHOTA_UPSTREAM_MAX] = {
    "2xx", "3xx", "401", "402", "403", "429", "4xx", "5xx", "unparsable",
    "truncated", "timeout", "reset", "not_sent"
};


ngx_http_phota_meters_t *
ngx_http_phota_meters(void)
{
    return &ngx_http_phota_shared->meters;
}


uint64_t
ngx_http_phota_meter_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


static void
ngx_http_phota_meter_put(ngx_http_phota_distribution_t *d,
    const uint64_t *bounds, ngx_uint_t n, uint64_t value)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (value <= bounds[i]) {
            break;
        }
    }

    ngx_http_phota_meter_add(d->buckets[i], 1);
    ngx_http_phota_meter_add(d->sum, value);
}


void
ngx_http_phota_meter_observe(ngx_http_phota_meter_e which, uint64_t value)
{
    ngx_http_phota_distribution_t  *d;

    d = &ngx_http_phota_shared->meters.times[which];

    if (which >= NGX_HTTP_PHOTA_METER_GROUP_BOOKS) {
        ngx_http_phota_meter_put(d, ngx_http_phota_meter_sizes,
                                 ngx_http_phota_meter_nsizes, value);
        return;
    }

    ngx_http_phota_meter_put(d, ngx_http_phota_meter_seconds,
                             NGX_HTTP_PHOTA_METER_BOUNDS, value);
}


void
ngx_http_phota_meter_sold(ngx_uint_t operation, ngx_uint_t cache,
    const phota_sum_t *sum)
{
    ngx_http_phota_sold_t  *sold;

    if (operation >= PHOTA_OP_MAX || cache >= NGX_HTTP_PHOTA_METER_CACHE) {
        return;
    }

    sold = &ngx_http_phota_shared->meters.sold[operation][cache];

    ngx_http_phota_meter_add(sold->calls, sum->calls);
    ngx_http_phota_meter_add(sold->outputs, sum->outputs);

    /* what is nothing, of a hit or of a purchase, is left alone */

    if (sum->cost > 0) {
        ngx_http_phota_meter_add(sold->cost, sum->cost);
    }

    if (sum->price > 0) {
        ngx_http_phota_meter_add(sold->price, sum->price);
    }

    if (sum->saved > 0) {
        ngx_http_phota_meter_add(sold->saved, sum->saved);
    }
}


/* by LOG, once for a request: how long it took, and what was refused */

void
ngx_http_phota_meter_request(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    int64_t      ms;
    ngx_time_t  *tp;

    if (!ngx_http_phota_worker.active || ctx->errand) {
        return;
    }

    if (ctx->refusal.status) {
        ngx_http_phota_meter_refusal(ctx->refusal.code);
    }

    if (ctx->operation == NULL || ctx->trial
        || ctx->cache == NGX_HTTP_PHOTA_CACHE_NONE)
    {
        return;
    }

    tp = ngx_timeofday();

    ms = (int64_t) (tp->sec - r->start_sec) * 1000
         + ((int64_t) tp->msec - (int64_t) r->start_msec);

    ngx_http_phota_meter_put(&ngx_http_phota_shared->meters
                                  .requests[ctx->cache],
                             ngx_http_phota_meter_seconds,
                             NGX_HTTP_PHOTA_METER_BOUNDS,
                             (uint64_t) ngx_max(ms, 0) * 1000);
}


static void
ngx_http_phota_meter_refusal(const char *code)
{
    ngx_uint_t  i;

    for (i = 0; ngx_http_phota_meter_codes[i + 1]; i++) {
        if (ngx_strcmp(ngx_http_phota_meter_codes[i], code) == 0) {
            break;
        }
    }

    ngx_http_phota_meter_add(ngx_http_phota_shared->meters.refusals[i], 1);
}


void
ngx_http_phota_meter_shortage(ngx_uint_t scope, ngx_uint_t period)
{
    if (scope < PHOTA_BUDGET_TENANT || scope > PHOTA_BUDGET_TOKEN
        || period < PHOTA_BUDGET_DAY || period > PHOTA_BUDGET_TOTAL)
    {
        return;
    }

    ngx_http_phota_meter_add(ngx_http_phota_shared->meters
                                 .budgets[scope - PHOTA_BUDGET_TENANT]
                                         [period - PHOTA_BUDGET_DAY], 1);
}


void
ngx_http_phota_meter_hit(const ngx_http_phota_ctx_t *ctx, int64_t saved)
{
    phota_sum_t  sum;

    ngx_memzero(&sum, sizeof(phota_sum_t));

    sum.calls = 1;
    sum.outputs = ctx->hit->outputs;
    sum.saved = saved;

    ngx_http_phota_meter_sold(ctx->operation->id, ctx->cache, &sum);
}


/* what is durable; what waits for its job isn't sold yet */

void
ngx_http_phota_meter_charge(const phota_charge_t *charge, ngx_uint_t cache)
{
    phota_sum_t  sum;

    if (charge->state != PHOTA_STATE_SETTLED) {
        return;
    }

    if (cache == NGX_HTTP_PHOTA_CACHE_NONE) {

        /* nobody is there who would know more than the books do */

        cache = (charge->cached == PHOTA_CACHED_BYPASS)
                ? NGX_HTTP_PHOTA_CACHE_BYPASS : NGX_HTTP_PHOTA_CACHE_MISS;
    }

    ngx_memzero(&sum, sizeof(phota_sum_t));

    sum.calls = 1;
    sum.outputs = charge->outputs;
    sum.cost = charge->cost;
    sum.price = charge->price;
    sum.saved = charge->saved;

    ngx_http_phota_meter_sold(charge->operation, cache, &sum);
}


void
ngx_http_phota_meter_upstream(const ngx_http_phota_purchase_t *p)
{
    ngx_uint_t  i, status;

    status = p->status;

    if (status == 0) {
        i = (p->outcome.reason == PHOTA_REASON_TIMEOUT)
                ? NGX_HTTP_PHOTA_UPSTREAM_TIMEOUT
            : (p->outcome.reason == PHOTA_REASON_NOT_SENT)
                ? NGX_HTTP_PHOTA_UPSTREAM_NOT_SENT
                : NGX_HTTP_PHOTA_UPSTREAM_RESET;

    } else if (!p->complete) {
        i = NGX_HTTP_PHOTA_UPSTREAM_TRUNCATED;

    } else if (p->metered && status == NGX_HTTP_OK
               && p->outcome.reason == PHOTA_REASON_UNPARSABLE)
    {
        i = NGX_HTTP_PHOTA_UPSTREAM_UNPARSABLE;

    } else {

        /* told by a member of the body where there is one */

        i = ngx_http_phota_meter_status((status == NGX_HTTP_OK && p->parsed
                                         && p->delivery.status)
                                        ? p->delivery.status : status);
    }

    ngx_http_phota_meter_add(ngx_http_phota_shared->meters.upstream[i], 1);
}


static ngx_uint_t
ngx_http_phota_meter_status(ngx_uint_t status)
{
    switch (status) {

    case NGX_HTTP_UNAUTHORIZED:
        return NGX_HTTP_PHOTA_UPSTREAM_401;

    case 402:
        return NGX_HTTP_PHOTA_UPSTREAM_402;

    case NGX_HTTP_FORBIDDEN:
        return NGX_HTTP_PHOTA_UPSTREAM_403;

    case NGX_HTTP_TOO_MANY_REQUESTS:
        return NGX_HTTP_PHOTA_UPSTREAM_429;

    default:
        break;
    }

    return (status >= 500) ? NGX_HTTP_PHOTA_UPSTREAM_5XX
           : (status >= 400) ? NGX_HTTP_PHOTA_UPSTREAM_4XX
           : (status >= 300) ? NGX_HTTP_PHOTA_UPSTREAM_3XX
                             : NGX_HTTP_PHOTA_UPSTREAM_2XX;
}


/* in the cache's writer, which alone counts what it removed */

void
ngx_http_phota_meter_removed(phota_cache_t *cache)
{
    if (cache->evicted) {
        ngx_http_phota_meter_add(ngx_http_phota_shared->meters.evicted,
                                 cache->evicted);
        cache->evicted = 0;
    }

    if (cache->expired) {
        ngx_http_phota_meter_add(ngx_http_phota_shared->meters.expired,
                                 cache->expired);
        cache->expired = 0;
    }
}


void
ngx_http_phota_meter_waited(void)
{
    ngx_http_phota_meter_add(ngx_http_phota_shared->meters.waited, 1);
}


void
ngx_http_phota_meter_tick(ngx_msec_int_t late)
{
    ngx_http_phota_meter_observe(NGX_HTTP_PHOTA_METER_LOOP,
                                 (uint64_t) ngx_max(late, 0) * 1000);

    ngx_http_phota_shared->meters.seen[ngx_process_slot]
        = (ngx_atomic_t) ngx_time();
}


ngx_uint_t
ngx_http_phota_meter_workers(void)
{
    time_t      now;
    ngx_uint_t  i, n;

    n = 0;
    now = ngx_time();

    for (i = 0; i < NGX_MAX_PROCESSES; i++) {
        if (now - (time_t) ngx_http_phota_shared->meters.seen[i]
            <= NGX_HTTP_PHOTA_METER_FRESH)
        {
            n++;
        }
    }

    return n;
}
