
/*
 * The text that Prometheus reads, format 0.0.4: families one after the other,
 * each with what it means, its kind, and all of its series, also those that are
 * 0, so that a rate has where to begin.  Written in a thread.
 */


#include "ngx_http_phota_metrics.h"

#include <stdarg.h>


#define NGX_HTTP_PHOTA_EXPOSE_ROOM  32768


/* columns of what was sold, and of what is booked */

typedef struct {
    const char  *name;
    const char  *help;
    size_t       offset;
    unsigned     money:1;
} ngx_http_phota_column_t;


static void ngx_http_phota_put(ngx_http_phota_text_t *text,
    const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void ngx_http_phota_family(ngx_http_phota_text_t *text,
    const char *name, const char *type, const char *help);
static void ngx_http_phota_micro(ngx_http_phota_text_t *text, int64_t n);
static void ngx_http_phota_gauge(ngx_http_phota_text_t *text,
    const char *name, const char *help, uint64_t value);
static void ngx_http_phota_expose_gateway(ngx_http_phota_scrape_t *scrape);
static void ngx_http_phota_expose_sold(ngx_http_phota_text_t *text,
    const ngx_http_phota_meters_t *meters);
static void ngx_http_phota_expose_failed(ngx_http_phota_text_t *text,
    const ngx_http_phota_meters_t *meters);
static void ngx_http_phota_expose_times(ngx_http_phota_text_t *text,
    const ngx_http_phota_meters_t *meters);
static void ngx_http_phota_distribution(ngx_http_phota_text_t *text,
    const char *name, const char *label, const char *value,
    const ngx_http_phota_distribution_t *d, unsigned sizes);
static void ngx_http_phota_expose_booked(ngx_http_phota_scrape_t *scrape);
static void ngx_http_phota_expose_tenants(ngx_http_phota_scrape_t *scrape);
static const char *ngx_http_phota_tenant_name(
    ngx_http_phota_scrape_t *scrape, uint32_t id, char buf[16]);
static void ngx_http_phota_expose_budgets(ngx_http_phota_scrape_t *scrape);
static void ngx_http_phota_expose_open(ngx_http_phota_scrape_t *scrape);
static void ngx_http_phota_expose_cache(ngx_http_phota_scrape_t *scrape);
static void ngx_http_phota_expose_stores(ngx_http_phota_scrape_t *scrape);


static const char  *ngx_http_phota_expose_cached[] = {
    "none", "hit", "miss", "join", "bypass", "refresh"
};


static const ngx_http_phota_column_t  ngx_http_phota_sold_columns[] = {
    { "phota_calls_total", "Calls that were sold, since nginx was started.",
      offsetof(ngx_http_phota_sold_t, calls), 0 },
    { "phota_outputs_total", "Pictures that were delivered.",
      offsetof(ngx_http_phota_sold_t, outputs), 0 },
    { "phota_cost_usd_total", "What the provider bills for them.",
      offsetof(ngx_http_phota_sold_t, cost), 1 },
    { "phota_price_usd_total", "What tenants owe for them.",
      offsetof(ngx_http_phota_sold_t, price), 1 },
    { "phota_saved_usd_total", "Cost that hits and joins have avoided.",
      offsetof(ngx_http_phota_sold_t, saved), 1 }
};


static const ngx_http_phota_column_t  ngx_http_phota_booked_columns[] = {
    { "calls", "Calls in the books, ever.",
      offsetof(phota_sum_t, calls), 0 },
    { "hits", "Of the calls in the books: hits and joins.",
      offsetof(phota_sum_t, hits), 0 },
    { "outputs", "Pictures in the books that were bought.",
      offsetof(phota_sum_t, outputs), 0 },
    { "identity_outputs", "Of these: at the rate of identities.",
      offsetof(phota_sum_t, identity_outputs), 0 },
    { "cost_usd", "Cost in the books, less what was taken back.",
      offsetof(phota_sum_t, cost), 1 },
    { "price_usd", "Price in the books, less what was taken back.",
      offsetof(phota_sum_t, price), 1 },
    { "saved_usd", "Cost that was avoided, as the books have it.",
      offsetof(phota_sum_t, saved), 1 }
};


#define ngx_http_phota_columns(columns)                                       \
    (sizeof(columns) / sizeof(ngx_http_phota_column_t))


void
ngx_http_phota_expose(ngx_http_phota_scrape_t *scrape)
{
    ngx_http_phota_text_t          *text;
    const ngx_http_phota_meters_t  *meters;

    text = &scrape->text;
    meters = ngx_http_phota_meters();

    ngx_http_phota_expose_gateway(scrape);
    ngx_http_phota_expose_sold(text, meters);
    ngx_http_phota_expose_failed(text, meters);
    ngx_http_phota_expose_times(text, meters);

    if (scrape->books_read) {
        ngx_http_phota_expose_booked(scrape);
        ngx_http_phota_expose_open(scrape);

        if (scrape->tenants) {
            ngx_http_phota_expose_tenants(scrape);
            ngx_http_phota_expose_budgets(scrape);
        }
    }

    ngx_http_phota_expose_cache(scrape);
    ngx_http_phota_expose_stores(scrape);

    ngx_http_phota_family(text, "phota_scrape_duration_seconds", "gauge",
                          "How long this look at books and cache took.");
    ngx_http_phota_put(text, "phota_scrape_duration_seconds ");
    ngx_http_phota_micro(text, (int64_t) scrape->took);
}


static void
ngx_http_phota_put(ngx_http_phota_text_t *text, const char *fmt, ...)
{
    int      n;
    char    *data;
    size_t   size, room;
    va_list  args;

    if (text->failed) {
        return;
    }

    for ( ;; ) {
        room = text->size - text->len;

        va_start(args, fmt);
        n = vsnprintf(text->data ? text->data + text->len : NULL, room, fmt,
                      args);
        va_end(args);

        if (n < 0) {
            text->failed = 1;
            return;
        }

        if ((size_t) n < room) {
            text->len += (size_t) n;
            return;
        }

        size = text->size ? 2 * text->size : NGX_HTTP_PHOTA_EXPOSE_ROOM;

        data = realloc(text->data, size);
        if (data == NULL) {
            text->failed = 1;
            return;
        }

        text->data = data;
        text->size = size;
    }
}


static void
ngx_http_phota_family(ngx_http_phota_text_t *text, const char *name,
    const char *type, const char *help)
{
    ngx_http_phota_put(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                       type);
}


/* micro-USD or us, exactly, and the end of the line */

static void
ngx_http_phota_micro(ngx_http_phota_text_t *text, int64_t n)
{
    uint64_t  abs;

    abs = (n < 0) ? 0 - (uint64_t) n : (uint64_t) n;

    ngx_http_phota_put(text, "%s%llu.%06llu\n", (n < 0) ? "-" : "",
                       (unsigned long long) (abs / 1000000),
                       (unsigned long long) (abs % 1000000));
}


static void
ngx_http_phota_gauge(ngx_http_phota_text_t *text, const char *name,
    const char *help, uint64_t value)
{
    ngx_http_phota_family(text, name, "gauge", help);
    ngx_http_phota_put(text, "%s %llu\n", name, (unsigned long long) value);
}


static void
ngx_http_phota_expose_gateway(ngx_http_phota_scrape_t *scrape)
{
    ngx_http_phota_text_t  *text;

    text = &scrape->text;

    ngx_http_phota_family(text, "phota_build_info", "gauge",
                          "Versions: of the module and of nginx.");
    ngx_http_phota_put(text, "phota_build_info{version=\"%s\",nginx=\"%s\"} "
                       "1\n", PHOTA_VERSION, NGINX_VERSION);

    ngx_http_phota_gauge(text, "phota_start_time_seconds",
                         "Since when counters count, in Unix time.",
                         (uint64_t) ngx_http_phota_meters()->started);
    ngx_http_phota_gauge(text, "phota_workers", "Workers that live.",
                         ngx_http_phota_meter_workers());

    ngx_http_phota_family(text, "phota_store_up", "gauge",
                          "1 where the worker that answers can read it.");
    ngx_http_phota_put(text, "phota_store_up{store=\"books\"} %d\n"
                       "phota_store_up{store=\"cache\"} %d\n",
                       scrape->books_read, scrape->cache_read);
}


static void
ngx_http_phota_expose_sold(ngx_http_phota_text_t *text,
    const ngx_http_phota_meters_t *meters)
{
    ngx_uint_t                      i, op, cache;
    ngx_atomic_t                    n;
    const ngx_http_phota_column_t  *column;

    for (i = 0; i < ngx_http_phota_columns(ngx_http_phota_sold_columns); i++) {
        column = &ngx_http_phota_sold_columns[i];

        ngx_http_phota_family(text, column->name, "counter", column->help);

        for (op = 0; op < PHOTA_OP_MAX; op++) {

            for (cache = NGX_HTTP_PHOTA_CACHE_HIT;
                 cache < NGX_HTTP_PHOTA_METER_CACHE;
                 cache++)
            {
                n = *(const ngx_atomic_t *)
                        ((const u_char *) &meters->sold[op][cache]
                         + column->offset);

                ngx_http_phota_put(text, "%s{operation=\"%s\",cache=\"%s\"} ",
                                   column->name, phota_operation_name(op),
                                   ngx_http_phota_expose_cached[cache]);

                if (column->money) {
                    ngx_http_phota_micro(text, (int64_t) n);

                } else {
                    ngx_http_phota_put(text, "%lu\n", (unsigned long) n);
                }
            }
        }
    }
}


static void
ngx_http_phota_expose_failed(ngx_http_phota_text_t *text,
    const ngx_http_phota_meters_t *meters)
{
    ngx_uint_t  i, k;

    ngx_http_phota_family(text, "phota_refusals_total", "counter",
                          "Errors that the gateway itself has answered.");

    for (i = 0; ngx_http_phota_meter_codes[i]; i++) {
        ngx_http_phota_put(text, "phota_refusals_total{code=\"%s\"} %lu\n",
                           ngx_http_phota_meter_codes[i],
                           (unsigned long) meters->refusals[i]);
    }

    ngx_http_phota_family(text, "phota_budget_refusals_total", "counter",
                          "Calls that a budget has refused.");

    for (i = PHOTA_BUDGET_TENANT; i <= PHOTA_BUDGET_TOKEN; i++) {
        for (k = PHOTA_BUDGET_DAY; k <= PHOTA_BUDGET_TOTAL; k++) {
            ngx_http_phota_put(text, "phota_budget_refusals_total"
                               "{scope=\"%s\",period=\"%s\"} %lu\n",
                               phota_budget_scope_name(i),
                               phota_budget_period_name(k),
                               (unsigned long)
                                   meters->budgets[i - PHOTA_BUDGET_TENANT]
                                                  [k - PHOTA_BUDGET_DAY]);
        }
    }

    ngx_http_phota_family(text, "phota_upstream_responses_total", "counter",
                          "What became of calls to the provider.");

    for (i = 0; i < NGX_HTTP_PHOTA_UPSTREAM_MAX; i++) {
        ngx_http_phota_put(text, "phota_upstream_responses_total"
                           "{result=\"%s\"} %lu\n",
                           ngx_http_phota_meter_results[i],
                           (unsigned long) meters->upstream[i]);
    }

    ngx_http_phota_family(text, "phota_cache_evictions_total", "counter",
                          "Results that left the cache for room, or for "
                          "their age.");
    ngx_http_phota_put(text,
                       "phota_cache_evictions_total{reason=\"room\"} %lu\n"
                       "phota_cache_evictions_total{reason=\"age\"} %lu\n",
                       (unsigned long) meters->evicted,
                       (unsigned long) meters->expired);

    ngx_http_phota_family(text, "phota_event_loop_disk_waits_total",
                          "counter",
                          "Looks of an event loop at books or cache that had "
                          "to wait for the disk.");
    ngx_http_phota_put(text, "phota_event_loop_disk_waits_total %lu\n",
                       (unsigned long) meters->waited);
}


static void
ngx_http_phota_expose_times(ngx_http_phota_text_t *text,
    const ngx_http_phota_meters_t *meters)
{
    ngx_uint_t  i;

    static const struct {
        ngx_http_phota_meter_e   which;
        const char              *name;
        const char              *help;      /* NULL: of the family before */
        const char              *store;
    } times[] = {
        { NGX_HTTP_PHOTA_METER_HOLD, "phota_hold_duration_seconds",
          "From a hold's asking until it is on the disk.", NULL },
        { NGX_HTTP_PHOTA_METER_SETTLE, "phota_settle_duration_seconds",
          "From an outcome's asking until it is on the disk.", NULL },
        { NGX_HTTP_PHOTA_METER_JOIN, "phota_join_wait_seconds",
          "How long requests waited for a purchase of another's.", NULL },
        { NGX_HTTP_PHOTA_METER_LOOP, "phota_event_loop_lag_seconds",
          "How late a timer of 0.4 s was.", NULL },
        { NGX_HTTP_PHOTA_METER_BOOKS, "phota_write_duration_seconds",
          "A turn of a writer, from its lock to its commit.", "books" },
        { NGX_HTTP_PHOTA_METER_CACHE_WRITE, "phota_write_duration_seconds",
          NULL, "cache" },
        { NGX_HTTP_PHOTA_METER_GROUP_BOOKS, "phota_write_group_size",
          "Jobs that a writer did in one turn.", "books" },
        { NGX_HTTP_PHOTA_METER_GROUP_CACHE, "phota_write_group_size",
          NULL, "cache" }
    };

    ngx_http_phota_family(text, "phota_request_duration_seconds", "histogram",
                          "Calls, from their first byte to their answer's "
                          "last.");

    for (i = NGX_HTTP_PHOTA_CACHE_HIT; i < NGX_HTTP_PHOTA_METER_CACHE; i++) {
        ngx_http_phota_distribution(text, "phota_request_duration_seconds",
                                    "cache", ngx_http_phota_expose_cached[i],
                                    &meters->requests[i], 0);
    }

    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {

        if (times[i].help) {
            ngx_http_phota_family(text, times[i].name, "histogram",
                                  times[i].help);
        }

        ngx_http_phota_distribution(text, times[i].name, "store",
                                    times[i].store,
                                    &meters->times[times[i].which],
                                    times[i].which
                                    >= NGX_HTTP_PHOTA_METER_GROUP_BOOKS);
    }
}


/*
 * value NULL: there is no label.  The count is of what stands in the buckets
 * now: other workers go on counting while we look.
 */

static void
ngx_http_phota_distribution(ngx_http_phota_text_t *text, const char *name,
    const char *label, const char *value,
    const ngx_http_phota_distribution_t *d, unsigned sizes)
{
    char             own[64], le[32];
    uint64_t         bound;
    ngx_uint_t       i, n;
    unsigned long    count;

    own[0] = '\0';
    count = 0;
    n = sizes ? ngx_http_phota_meter_nsizes : NGX_HTTP_PHOTA_METER_BOUNDS;

    if (value) {
        (void) snprintf(own, sizeof(own), "%s=\"%s\"", label, value);
    }

    for (i = 0; i <= n; i++) {
        count += d->buckets[i];

        if (i == n) {
            (void) snprintf(le, sizeof(le), "+Inf");

        } else if (sizes) {
            bound = ngx_http_phota_meter_sizes[i];
            (void) snprintf(le, sizeof(le), "%llu",
                            (unsigned long long) bound);

        } else {
            bound = ngx_http_phota_meter_seconds[i];
            (void) snprintf(le, sizeof(le), "%g", (double) bound / 1000000);
        }

        ngx_http_phota_put(text, "%s_bucket{%s%sle=\"%s\"} %lu\n", name, own,
                           value ? "," : "", le, count);
    }

    ngx_http_phota_put(text, "%s_sum%s%s%s ", name, value ? "{" : "", own,
                       value ? "}" : "");

    if (sizes) {
        ngx_http_phota_put(text, "%lu\n", (unsigned long) d->sum);

    } else {
        ngx_http_phota_micro(text, (int64_t) d->sum);
    }

    ngx_http_phota_put(text, "%s_count%s%s%s %lu\n", name, value ? "{" : "",
                       own, value ? "}" : "", count);
}


/* by operation, of all tenants; what is none of ours counts as "other" */

static void
ngx_http_phota_expose_booked(ngx_http_phota_scrape_t *scrape)
{
    size_t                          k;
    int64_t                         n;
    ngx_uint_t                      i, op;
    phota_sum_t                     sums[PHOTA_OP_MAX + 1];
    phota_survey_sums_t            *booked;
    ngx_http_phota_text_t          *text;
    const ngx_http_phota_column_t  *column;

    text = &scrape->text;
    booked = &scrape->survey.sums;

    ngx_memzero(sums, sizeof(sums));

    for (k = 0; k < booked->n; k++) {
        op = ngx_min(booked->rows[k].operation, PHOTA_OP_MAX);
        phota_survey_plus(&sums[op], &booked->rows[k].sum);
    }

    for (i = 0; i < ngx_http_phota_columns(ngx_http_phota_booked_columns); i++)
    {
        column = &ngx_http_phota_booked_columns[i];

        ngx_http_phota_put(text, "# HELP phota_books_%s %s\n"
                           "# TYPE phota_books_%s gauge\n", column->name,
                           column->help, column->name);

        for (op = 0; op <= PHOTA_OP_MAX; op++) {
            n = *(int64_t *) ((u_char *) &sums[op] + column->offset);

            ngx_http_phota_put(text, "phota_books_%s{operation=\"%s\"} ",
                               column->name, phota_operation_name(op));

            if (column->money) {
                ngx_http_phota_micro(text, n);

            } else {
                ngx_http_phota_put(text, "%lld\n", (long long) n);
            }
        }
    }
}


static void
ngx_http_phota_expose_tenants(ngx_http_phota_scrape_t *scrape)
{
    char                            buf[16];
    size_t                          k;
    int64_t                         n;
    ngx_uint_t                      i;
    phota_survey_sum_t             *row;
    phota_survey_sums_t            *booked;
    ngx_http_phota_text_t          *text;
    const ngx_http_phota_column_t  *column;

    text = &scrape->text;
    booked = &scrape->survey.sums;

    for (i = 0; i < ngx_http_phota_columns(ngx_http_phota_booked_columns); i++)
    {
        column = &ngx_http_phota_booked_columns[i];

        ngx_http_phota_put(text, "# HELP phota_tenant_%s %s\n"
                           "# TYPE phota_tenant_%s gauge\n", column->name,
                           column->help, column->name);

        for (k = 0; k < booked->n; k++) {
            row = &booked->rows[k];
            n = *(int64_t *) ((u_char *) &row->sum + column->offset);

            ngx_http_phota_put(text, "phota_tenant_%s{tenant=\"%s\","
                               "operation=\"%s\"} ", column->name,
                               ngx_http_phota_tenant_name(scrape, row->tenant,
                                                          buf),
                               phota_operation_name(row->operation));

            if (column->money) {
                ngx_http_phota_micro(text, n);

            } else {
                ngx_http_phota_put(text, "%lld\n", (long long) n);
            }
        }
    }
}


/* names have no character that a label would have to escape */

static const char *
ngx_http_phota_tenant_name(ngx_http_phota_scrape_t *scrape, uint32_t id,
    char buf[16])
{
    size_t  i;

    for (i = 0; i < scrape->survey.ntenants; i++) {
        if (scrape->survey.tenants[i].id == id) {
            return scrape->survey.tenants[i].name;
        }
    }

    (void) snprintf(buf, 16, "#%u", id);

    return buf;
}


/* only where there is a limit, so that a share of it means something */

static void
ngx_http_phota_expose_budgets(ngx_http_phota_scrape_t *scrape)
{
    size_t                  i;
    ngx_uint_t              k, used;
    ngx_http_phota_text_t  *text;
    phota_survey_tenant_t  *tenant;

    static const char  *names[] = {
        "phota_tenant_budget_usd", "phota_tenant_budget_used_usd"
    };

    text = &scrape->text;

    for (used = 0; used < 2; used++) {
        ngx_http_phota_family(text, names[used], "gauge",
                              used ? "Of a tenant's budget: spent and held."
                                   : "A tenant's budget, where it has one.");

        for (i = 0; i < scrape->survey.ntenants; i++) {
            tenant = &scrape->survey.tenants[i];

            for (k = 0; k < 3; k++) {

                if (tenant->limits[k] < 0) {
                    continue;
                }

                ngx_http_phota_put(text, "%s{tenant=\"%s\",period=\"%s\"} ",
                                   names[used], tenant->name,
                                   phota_budget_period_name(PHOTA_BUDGET_DAY
                                                            + k));
                ngx_http_phota_micro(text, used ? tenant->used[k]
                                                : tenant->limits[k]);
            }
        }
    }
}


static void
ngx_http_phota_expose_open(ngx_http_phota_scrape_t *scrape)
{
    uint64_t                now, age;
    ngx_uint_t              i;
    phota_survey_open_t    *open;
    ngx_http_phota_text_t  *text;

    static const char  *states[] = { "held", "job", "unknown" };

    text = &scrape->text;
    open = scrape->survey.open;
    now = phota_now();

    ngx_http_phota_family(text, "phota_holds", "gauge",
                          "Charges that have no end: held by a worker, by a "
                          "job, or unknown.");

    for (i = 0; i < PHOTA_SURVEY_STATES; i++) {
        ngx_http_phota_put(text, "phota_holds{state=\"%s\"} %llu\n",
                           states[i], (unsigned long long) open[i].count);
    }

    ngx_http_phota_family(text, "phota_holds_usd", "gauge",
                          "What they hold, in price.");

    for (i = 0; i < PHOTA_SURVEY_STATES; i++) {
        ngx_http_phota_put(text, "phota_holds_usd{state=\"%s\"} ", states[i]);
        ngx_http_phota_micro(text, open[i].amount);
    }

    ngx_http_phota_family(text, "phota_holds_oldest_age_seconds", "gauge",
                          "Age of the oldest of them, 0 where there are "
                          "none.");

    for (i = 0; i < PHOTA_SURVEY_STATES; i++) {
        age = (open[i].oldest && now > open[i].oldest)
              ? now - open[i].oldest : 0;

        ngx_http_phota_put(text, "phota_holds_oldest_age_seconds"
                           "{state=\"%s\"} ", states[i]);
        ngx_http_phota_micro(text, (int64_t) (age * 1000));
    }

    ngx_http_phota_gauge(text, "phota_jobs_open",
                         "Jobs of the provider that are followed.",
                         scrape->kept->jobs_open);

    ngx_http_phota_family(text, "phota_callbacks_undelivered", "gauge",
                          "Callbacks of ended jobs that no tenant has taken: "
                          "tried again, or given up.");
    ngx_http_phota_put(text,
                       "phota_callbacks_undelivered{state=\"waiting\"} %llu\n"
                       "phota_callbacks_undelivered{state=\"given_up\"} "
                       "%llu\n", (unsigned long long) scrape->kept->waiting,
                       (unsigned long long) scrape->kept->given_up);
}


static void
ngx_http_phota_expose_cache(ngx_http_phota_scrape_t *scrape)
{
    phota_cache_totals_t   *totals;
    ngx_http_phota_text_t  *text;

    text = &scrape->text;
    totals = &scrape->totals;

    ngx_http_phota_gauge(text, "phota_cache_max_bytes",
                         "What the cache may take.",
                         (uint64_t) ngx_http_phota_worker.conf
                                        ->cache_max_size);

    if (!scrape->cache_read) {
        return;
    }

    ngx_http_phota_gauge(text, "phota_cache_bytes",
                         "What results and pictures take.", totals->bytes);
    ngx_http_phota_gauge(text, "phota_cache_garbage_bytes",
                         "What waits to be deleted.", totals->garbage);
    ngx_http_phota_gauge(text, "phota_cache_results", "Results.",
                         totals->results);
    ngx_http_phota_gauge(text, "phota_cache_pictures",
                         "Pictures that results have.", totals->pictures);
}


static void
ngx_http_phota_expose_stores(ngx_http_phota_scrape_t *scrape)
{
    ngx_uint_t              i, k;
    phota_survey_store_t   *stores[2];
    ngx_http_phota_text_t  *text;

    static const struct {
        const char  *name;
        const char  *help;
    } families[] = {
        { "phota_store_readers", "Read transactions of LMDB that are open." },
        { "phota_store_oldest_reader_lag_transactions",
          "Commits since the oldest of them began: what was freed since "
          "can't be used." },
        { "phota_store_map_bytes", "Address space: what it may grow to." },
        { "phota_store_used_bytes", "How much of that its file takes." }
    };

    static const char  *names[] = { "books", "cache" };

    text = &scrape->text;

    stores[0] = scrape->books_open ? &scrape->books : NULL;
    stores[1] = scrape->cache_open ? &scrape->cache : NULL;

    for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        ngx_http_phota_family(text, families[i].name, "gauge",
                              families[i].help);

        for (k = 0; k < 2; k++) {

            if (stores[k] == NULL) {
                continue;
            }

            ngx_http_phota_put(text, "%s{store=\"%s\"} %llu\n",
                               families[i].name, names[k],
                               (unsigned long long)
                               ((i == 0) ? stores[k]->readers
                                : (i == 1) ? stores[k]->lag
                                : (i == 2) ? stores[k]->map
                                           : stores[k]->used));
        }
    }
}
