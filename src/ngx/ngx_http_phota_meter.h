
/*
 * What is counted while it happens, in the shared zone: by all workers, kept
 * over reloads, gone with nginx.  Counters only grow, each by one atomic add,
 * also from threads; who reads them sees each as it is, not all at one moment.
 */


#ifndef _NGX_HTTP_PHOTA_METER_H_INCLUDED_
#define _NGX_HTTP_PHOTA_METER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "phota_ledger.h"
#include "phota_operation.h"


#define NGX_HTTP_PHOTA_METER_BOUNDS  18     /* the last bucket has none */
#define NGX_HTTP_PHOTA_METER_CACHE   6      /* ngx_http_phota_cache_e */
#define NGX_HTTP_PHOTA_METER_CODES   25     /* and a NULL */
#define NGX_HTTP_PHOTA_METER_FRESH   3      /* s: who ticks so often lives */


/* distributions: of seconds, and from GROUP_BOOKS on of sizes */

typedef enum {
    NGX_HTTP_PHOTA_METER_NONE = 0,
    NGX_HTTP_PHOTA_METER_HOLD,      /* asked for until it is durable */
    NGX_HTTP_PHOTA_METER_SETTLE,
    NGX_HTTP_PHOTA_METER_JOIN,      /* waited for another's purchase */
    NGX_HTTP_PHOTA_METER_LOOP,      /* how late a timer was */
    NGX_HTTP_PHOTA_METER_BOOKS,     /* a transaction of the writer's */
    NGX_HTTP_PHOTA_METER_CACHE_WRITE,
    NGX_HTTP_PHOTA_METER_GROUP_BOOKS,
    NGX_HTTP_PHOTA_METER_GROUP_CACHE,
    NGX_HTTP_PHOTA_METER_DISTRIBUTIONS
} ngx_http_phota_meter_e;


/* what the upstream, or the way to it, has answered */

typedef enum {
    NGX_HTTP_PHOTA_UPSTREAM_2XX = 0,
    NGX_HTTP_PHOTA_UPSTREAM_3XX,
    NGX_HTTP_PHOTA_UPSTREAM_401,
    NGX_HTTP_PHOTA_UPSTREAM_402,
    NGX_HTTP_PHOTA_UPSTREAM_403,
    NGX_HTTP_PHOTA_UPSTREAM_429,
    NGX_HTTP_PHOTA_UPSTREAM_4XX,
    NGX_HTTP_PHOTA_UPSTREAM_5XX,
    NGX_HTTP_PHOTA_UPSTREAM_UNPARSABLE,
    NGX_HTTP_PHOTA_UPSTREAM_TRUNCATED,
    NGX_HTTP_PHOTA_UPSTREAM_TIMEOUT,
    NGX_HTTP_PHOTA_UPSTREAM_RESET,
    NGX_HTTP_PHOTA_UPSTREAM_NOT_SENT,
    NGX_HTTP_PHOTA_UPSTREAM_MAX
} ngx_http_phota_upstream_e;


typedef struct {
    ngx_atomic_t  buckets[NGX_HTTP_PHOTA_METER_BOUNDS + 1];
    ngx_atomic_t  sum;                  /* us, or sizes */
} ngx_http_phota_distribution_t;


/* what was sold, by operation and how: pictures and micro-USD */

typedef struct {
    ngx_atomic_t  calls;
    ngx_atomic_t  outputs;
    ngx_atomic_t  cost;
    ngx_atomic_t  price;
    ngx_atomic_t  saved;
} ngx_http_phota_sold_t;


typedef struct {
    ngx_http_phota_sold_t          sold[PHOTA_OP_MAX]
                                       [NGX_HTTP_PHOTA_METER_CACHE];
    ngx_http_phota_distribution_t  requests[NGX_HTTP_PHOTA_METER_CACHE];
    ngx_http_phota_distribution_t
                              times[NGX_HTTP_PHOTA_METER_DISTRIBUTIONS];
    ngx_atomic_t                   refusals[NGX_HTTP_PHOTA_METER_CODES];
    ngx_atomic_t                   budgets[2][3];   /* scope, period */
    ngx_atomic_t                   upstream[NGX_HTTP_PHOTA_UPSTREAM_MAX];
    ngx_atomic_t                   evicted;
    ngx_atomic_t                   expired;
    ngx_atomic_t                   waited;      /* looks, for the disk */
    ngx_atomic_t                   seen[NGX_MAX_PROCESSES];     /* s */
    time_t                         started;
} ngx_http_phota_meters_t;


extern const uint64_t  ngx_http_phota_meter_seconds[];      /* us */
extern const uint64_t  ngx_http_phota_meter_sizes[];
extern const ngx_uint_t  ngx_http_phota_meter_nsizes;
extern const char  *ngx_http_phota_meter_codes[];   /* up to NULL */
extern const char  *ngx_http_phota_meter_results[];


/* this worker's view, since the zone was attached */

ngx_http_phota_meters_t *ngx_http_phota_meters(void);

/* us, and only differences mean something */
uint64_t ngx_http_phota_meter_clock(void);

/* us, or a size */
void ngx_http_phota_meter_observe(ngx_http_phota_meter_e which,
    uint64_t value);

/* cache: ngx_http_phota_cache_e; sum: calls, outputs that were delivered, and
   money */
void ngx_http_phota_meter_sold(ngx_uint_t operation, ngx_uint_t cache,
    const phota_sum_t *sum);

/* phota_shortage_t's */
void ngx_http_phota_meter_shortage(ngx_uint_t scope, ngx_uint_t period);

/* by a worker's tick: how late it is, ms; and that the worker lives */
void ngx_http_phota_meter_tick(ngx_msec_int_t late);
ngx_uint_t ngx_http_phota_meter_workers(void);


#endif /* _NGX_HTTP_PHOTA_METER_H_INCLUDED_ */
