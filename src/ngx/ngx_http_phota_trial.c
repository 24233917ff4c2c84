
/*
 * Phota-Dry-Run: what a request would do, hit or miss, what it would cost and
 * what the budgets have left, by the very code that would do it, and nothing is
 * bought or written.
 */


#include "ngx_http_phota_module.h"


/* what a call may come to: with no, and with every subject recognised */

typedef struct {
    int64_t           cost;
    int64_t           cost_max;
    int64_t           price;
    int64_t           price_max;
    int64_t           saved;
} ngx_http_phota_quote_t;


static ngx_int_t ngx_http_phota_quote(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_quote_t *quote);
static u_char *ngx_http_phota_trial_money(u_char *p, u_char *last,
    const char *name, int64_t amount);
static u_char *ngx_http_phota_trial_budgets(ngx_http_phota_ctx_t *ctx,
    u_char *p, u_char *last);
static ngx_uint_t ngx_http_phota_trial_affordable(ngx_http_phota_ctx_t *ctx,
    MDB_txn *txn);
static u_char *ngx_http_phota_trial_budget(ngx_http_phota_ctx_t *ctx,
    MDB_txn *txn, uint32_t token, const phota_limits_t *limits, u_char *p,
    u_char *last);


ngx_int_t
ngx_http_phota_trial(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_uint_t                  needs;
    ngx_http_phota_loc_conf_t  *plcf;

    ngx_http_phota_quote_t      quote;

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    if (ctx->hit == NULL && ctx->storable && !ctx->no_cache && plcf->top_up
        && !ctx->scan.async)
    {
        needs = ngx_http_phota_needs(r, ctx);

        ctx->buys = (needs > ctx->pooled) ? needs - ctx->pooled : 1;
        ctx->buys = ngx_min(ctx->buys, ctx->scan.outputs);
    }

    /* refused as the call itself would be */

    if (ngx_http_phota_quote(r, ctx, &quote) != NGX_OK) {
        return ctx->refusal.status ? NGX_DECLINED : NGX_ERROR;
    }

    ctx->quote = ngx_palloc(r->pool, sizeof(ngx_http_phota_quote_t));
    if (ctx->quote == NULL) {
        return NGX_ERROR;
    }

    *(ngx_http_phota_quote_t *) ctx->quote = quote;

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_phota_quote(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_quote_t *quote)
{
    ngx_int_t        rc;
    phota_terms_t    terms;
    phota_charge_t   charge;

    ngx_memzero(quote, sizeof(ngx_http_phota_quote_t));

    if (ctx->replay) {
        return NGX_OK;
    }

    if (ctx->hit) {
        quote->saved = ctx->hit->saved;

        if (ngx_http_phota_hit_price(ctx, &terms, &quote->price) != NGX_OK) {
            return NGX_ERROR;
        }

        quote->price_max = quote->price;

        return NGX_OK;
    }

    if (ngx_http_phota_worker.directory == NULL) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "BOOKS_UNAVAILABLE",
                              "the books cannot be read");
        ctx->refusal.retry_after = 1;
        return NGX_DECLINED;
    }

    ngx_memzero(&charge, sizeof(phota_charge_t));

    charge.time = phota_now();

    rc = ngx_http_phota_offer(r, ctx, &charge);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx->buys = charge.asked;

    if (phota_terms_cost(&charge.terms, charge.asked, 0, &quote->cost)
        != PHOTA_OK
        || phota_terms_cost(&charge.terms, charge.asked,
                            charge.asked_identity, &quote->cost_max)
           != PHOTA_OK
        || phota_terms_price(&charge.terms, charge.asked, 0, quote->cost,
                             &quote->price)
           != PHOTA_OK
        || phota_terms_price(&charge.terms, charge.asked,
                             charge.asked_identity, quote->cost_max,
                             &quote->price_max)
           != PHOTA_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_phota_send_trial(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    u_char                  *p, *last;
    ngx_buf_t               *b;
    const char              *cache;
    ngx_http_phota_quote_t  *quote;

    quote = ctx->quote;

    b = ngx_create_temp_buf(r->pool, 2048);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cache = (ctx->hit || ctx->replay) ? "hit"
            : (ctx->cache == NGX_HTTP_PHOTA_CACHE_BYPASS) ? "bypass" : "miss";

    p = b->last;
    last = b->end;

    p = ngx_slprintf(p, last, "{\"cache\":\"%s\",\"operation\":\"%*s\","
                     "\"outputs\":%ud,\"stored\":%ui,\"buys\":%ui",
                     cache, ctx->operation->name.len,
                     ctx->operation->name.data, ctx->scan.outputs,
                     ctx->pooled, ctx->hit ? 0 : ctx->buys);

    p = ngx_http_phota_trial_money(p, last, "cost", quote->cost);
    p = ngx_http_phota_trial_money(p, last, "cost_max", quote->cost_max);
    p = ngx_http_phota_trial_money(p, last, "price", quote->price);
    p = ngx_http_phota_trial_money(p, last, "price_max", quote->price_max);
    p = ngx_http_phota_trial_money(p, last, "saved", quote->saved);

    p = ngx_http_phota_trial_budgets(ctx, p, last);

    p = ngx_slprintf(p, last, "}");

    b->last = p;
    b->last_buf = 1;
    b->last_in_chain = 1;

    if (ctx->named) {
        r->expect_tested = 1;

        if (ngx_http_discard_request_body(r) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    r->headers_out.status = NGX_HTTP_OK;

    if (ngx_http_phota_common_headers(r, ctx) != NGX_OK
        || ngx_http_phota_cache_status(r, ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_phota_send_json(r, b);
}


static u_char *
ngx_http_phota_trial_money(u_char *p, u_char *last, const char *name,
    int64_t amount)
{
    char  text[PHOTA_USD_TEXT];

    phota_usd_format(text, amount);

    return ngx_slprintf(p, last, ",\"%s\":\"%s\"", name, text);
}


/* what is left of each; null: there is no such limit, or it can't be read */

static u_char *
ngx_http_phota_trial_budgets(ngx_http_phota_ctx_t *ctx, u_char *p,
    u_char *last)
{
    MDB_txn  *txn;

    txn = ngx_http_phota_read_books();

    p = ngx_slprintf(p, last, ",\"budget\":{\"tenant\":{");
    p = ngx_http_phota_trial_budget(ctx, txn, 0, &ctx->tenant.limits, p,
                                    last);

    p = ngx_slprintf(p, last, "},\"token\":{");
    p = ngx_http_phota_trial_budget(ctx, txn, ctx->token, &ctx->token_limits,
                                    p, last);

    p = ngx_slprintf(p, last, "}},\"within_budget\":%s",
                     ngx_http_phota_trial_affordable(ctx, txn) ? "true"
                                                               : "false");

    if (txn) {
        ngx_http_phota_read_end(txn);
    }

    return p;
}


/* by the most that it may come to, which is what a purchase would hold */

static ngx_uint_t
ngx_http_phota_trial_affordable(ngx_http_phota_ctx_t *ctx, MDB_txn *txn)
{
    uint64_t                  now;
    const phota_zone_t       *zone;
    phota_windows_t           windows;
    phota_shortage_t          shortage;
    ngx_http_phota_quote_t   *quote;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;
    quote = ctx->quote;

    if (quote->price_max == 0) {
        return 1;
    }

    if (txn == NULL || worker->directory == NULL) {
        return 0;
    }

    now = phota_now();
    zone = phota_directory_zone(worker->directory, &ctx->tenant);

    windows.day = phota_zone_day(zone, now);
    windows.month = phota_zone_month(zone, now);

    return phota_budget_check(&worker->ledger.budgets, txn, ctx->tenant.id,
                              &ctx->tenant.limits, ctx->token,
                              &ctx->token_limits, &windows, quote->price_max,
                              &shortage, NULL)
           == PHOTA_OK;
}


static u_char *
ngx_http_phota_trial_budget(ngx_http_phota_ctx_t *ctx, MDB_txn *txn,
    uint32_t token, const phota_limits_t *limits, u_char *p, u_char *last)
{
    char                      text[PHOTA_USD_TEXT];
    int64_t                   left;
    uint64_t                  now;
    ngx_uint_t                i;
    const phota_zone_t       *zone;
    phota_spending_t          spending;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;
    now = phota_now();
    zone = worker->directory
           ? phota_directory_zone(worker->directory, &ctx->tenant) : NULL;

    const struct {
        unsigned  period;
        uint32_t  window;
        int64_t   limit;
    } periods[] = {
        { PHOTA_BUDGET_DAY, phota_zone_day(zone, now), limits->day },
        { PHOTA_BUDGET_MONTH, phota_zone_month(zone, now), limits->month },
        { PHOTA_BUDGET_TOTAL, 0, limits->total }
    };

    for (i = 0; i < sizeof(periods) / sizeof(periods[0]); i++) {

        p = ngx_slprintf(p, last, "%s\"%s\":", i ? "," : "",
                         phota_budget_period_name(periods[i].period));

        if (periods[i].limit < 0 || txn == NULL
            || phota_budget_get(&worker->ledger.budgets, txn, ctx->tenant.id,
                                token, periods[i].period, periods[i].window,
                                &spending, NULL)
               != PHOTA_OK)
        {
            p = ngx_slprintf(p, last, "null");
            continue;
        }

        left = periods[i].limit - spending.spent - spending.held;

        phota_usd_format(text, ngx_max(left, 0));

        p = ngx_slprintf(p, last, "\"%s\"", text);
    }

    return p;
}
