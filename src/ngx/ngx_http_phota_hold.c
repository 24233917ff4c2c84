
/*
 * Before anything is bought or sold: what it may come to, by price list and
 * plan, and the transaction in which the limits are asked, the hold is written
 * and the Idempotency-Key is taken.  The call begins when it is durable.
 */


#include "ngx_http_phota_module.h"


static ngx_http_phota_purchase_t *ngx_http_phota_claim(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_uint_t spool);
static void ngx_http_phota_adapt(ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_purchase_t *p);
static void ngx_http_phota_post_hold(ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_purchase_t *p);
static int ngx_http_phota_hold_run(ngx_http_phota_job_t *job, MDB_txn *txn);
static int ngx_http_phota_hold_alike(ngx_http_phota_purchase_t *p,
    MDB_txn *txn, phota_error_t *err);
static int ngx_http_phota_hold_write(ngx_http_phota_purchase_t *p,
    MDB_txn *txn, phota_error_t *err);
static void ngx_http_phota_hold_done(ngx_http_phota_job_t *job);
static void ngx_http_phota_held(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_phota_purchase_t *p);
static void ngx_http_phota_not_held(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_phota_purchase_t *p, int rc);
static void ngx_http_phota_exceeded(ngx_http_phota_ctx_t *ctx,
    phota_shortage_t *shortage);


ngx_int_t
ngx_http_phota_buy(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t                   rc;
    ngx_http_phota_loc_conf_t  *plcf;
    ngx_http_phota_purchase_t  *p;

    p = ngx_http_phota_claim(r, ctx, 1);

    if (p == NULL) {
        return ctx->refusal.status ? NGX_DECLINED : NGX_ERROR;
    }

    rc = ngx_http_phota_offer(r, ctx, &p->charge);

    if (rc != NGX_OK) {
        return rc;
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    p->scope = ngx_http_phota_scope(ctx);
    p->valid = plcf->valid[ctx->operation->id];
    p->storable = ctx->storable;
    p->refund = ctx->refund;
    p->own_key = ((ctx->tenant.flags & PHOTA_TENANT_OWN_KEY) != 0);

    if (p->storable) {
        ngx_http_phota_adapt(ctx, p);

        /* what this request wouldn't take is replaced by what it gets */

        p->since = (!plcf->top_up && plcf->variations == 1)
                   ? p->charge.time : ctx->since;

        p->collapses = (ctx->scan.async && plcf->variations == 1
                        && ctx->since == 0);
    }

    if (ngx_http_phota_name(p, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->flight.number) {
        p->flight = ctx->flight;
        ctx->flight.number = 0;

        ngx_http_phota_flight_name(&p->flight, &p->charge.id);
    }

    ngx_http_phota_post_hold(ctx, p);

    return NGX_AGAIN;
}


/* what is asked of the upstream instead of what the client has asked for */

static void
ngx_http_phota_adapt(ngx_http_phota_ctx_t *ctx, ngx_http_phota_purchase_t *p)
{
    if (p->charge.asked < ctx->scan.outputs
        && ctx->scan.spots[PHOTA_SPOT_COUNT].end)
    {
        p->partial = 1;
    }

    if (ctx->scan.async) {
        return;
    }

    /* where nothing can be stored, the upstream's links are what there is */

    if (ctx->scan.mode == PHOTA_MODE_URLS
        && ctx->scan.spots[PHOTA_SPOT_MODE].end
        && ngx_http_phota_worker.cache_open)
    {
        p->unlinked = 1;
    }
}


ngx_int_t
ngx_http_phota_hit_price(ngx_http_phota_ctx_t *ctx, phota_terms_t *terms,
    int64_t *price)
{
    phota_plan_t          *plan;
    ngx_http_phota_hit_t  *hit;

    hit = ctx->hit;
    plan = &ctx->tenant.plan;

    phota_plan_terms(plan, ctx->operation->id, NULL,
                     ctx->joined ? plan->join : plan->hit, terms);

    return (phota_terms_price(terms, hit->outputs, hit->identity, hit->saved,
                              price)
            == PHOTA_OK)
           ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_phota_sell(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    int64_t                     price;
    phota_terms_t               terms;
    phota_charge_t             *charge;
    ngx_http_phota_hit_t       *hit;
    ngx_http_phota_purchase_t  *p;

    hit = ctx->hit;

    if (ngx_http_phota_hit_price(ctx, &terms, &price) == NGX_OK && price == 0)
    {
        return NGX_OK;
    }

    p = ngx_http_phota_claim(r, ctx, 0);

    if (p == NULL) {
        return ctx->refusal.status ? NGX_DECLINED : NGX_ERROR;
    }

    p->serves = 1;

    charge = &p->charge;

    charge->cached = ctx->joined ? PHOTA_CACHED_JOIN : PHOTA_CACHED_HIT;
    charge->terms = terms;
    charge->asked = hit->outputs;
    charge->outputs = hit->outputs;
    charge->identity_low = hit->identity;
    charge->identity_high = hit->identity;
    charge->saved = hit->saved;

    ngx_http_phota_post_hold(ctx, p);

    return NGX_AGAIN;
}


/* a purchase with a charge that says who asks; NULL with or without refusal */

static ngx_http_phota_purchase_t *
ngx_http_phota_claim(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_uint_t spool)
{
    uint64_t                    now;
    phota_charge_t             *charge;
    const phota_zone_t         *zone;
    ngx_http_phota_worker_t    *worker;
    ngx_http_phota_purchase_t  *p;

    worker = &ngx_http_phota_worker;

    /* while what was bought can't be written, nothing more is */

    if (!worker->books_open || worker->directory == NULL
        || !ngx_queue_empty(&worker->unsettled))
    {
        ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "BOOKS_UNAVAILABLE",
                              "the books cannot be written; nothing was "
                              "bought");
        ctx->refusal.retry_after = 1;
        return NULL;
    }

    p = ngx_http_phota_purchase_create(r, ctx, spool);
    if (p == NULL) {
        return NULL;
    }

    p->metered = 1;
    p->cache = ctx->cache;
    p->scan = ctx->scan;
    p->variation = ctx->variation;
    ngx_memcpy(p->tenant, ctx->tenant.name, sizeof(p->tenant));
    p->limits = ctx->tenant.limits;
    p->token_limits = ctx->token_limits;

    if (ctx->keyed) {
        p->keyed = 1;
        ngx_memcpy(p->replay_key, ctx->replay_key, PHOTA_SHA256_LEN);
    }

    now = phota_now();
    zone = phota_directory_zone(worker->directory, &ctx->tenant);
    charge = &p->charge;

    if (phota_id_create(&charge->id, now) != PHOTA_OK) {
        return NULL;
    }

    charge->time = now;
    charge->tenant = ctx->tenant.id;
    charge->token = ctx->token;
    charge->provider = ctx->operation->provider;
    charge->operation = ctx->operation->id;
    charge->windows.day = phota_zone_day(zone, now);
    charge->windows.month = phota_zone_month(zone, now);

    ngx_memcpy(charge->fingerprint, ctx->scan.digest, PHOTA_SHA256_LEN);
    ngx_memcpy(charge->tag, ctx->tag, sizeof(charge->tag));

    return p;
}


/* what the call may come to, at the most */

ngx_int_t
ngx_http_phota_offer(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    phota_charge_t *charge)
{
    phota_rate_t              rate;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (ngx_http_phota_removed(ctx)) {
        return NGX_DECLINED;
    }

    if (worker->price_list == NULL
        || phota_price_find(worker->price_list, ctx->operation,
                            ctx->scan.model, ctx->scan.resolution,
                            ctx->tenant.id, charge->time, &rate)
           != PHOTA_OK)
    {
        ngx_http_phota_refuse(ctx, 422, "PRICE_UNKNOWN",
                              "the price list has no price for this call; "
                              "nothing was bought");
        return NGX_DECLINED;
    }

    if (ngx_http_phota_have_key(r, ctx) != NGX_OK) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_BAD_GATEWAY, "UPSTREAM_AUTH",
                              "no upstream key is set for the tenant; "
                              "nothing was bought");
        return NGX_DECLINED;
    }

    ctx->refund = ((rate.flags & PHOTA_PRICE_REFUND) != 0);

    charge->cached = (ctx->cache == NGX_HTTP_PHOTA_CACHE_BYPASS)
                     ? PHOTA_CACHED_BYPASS : PHOTA_CACHED_MISS;

    phota_plan_terms(&ctx->tenant.plan, ctx->operation->id, &rate, PHOTA_PPM,
                     &charge->terms);

    charge->asked = ctx->buys ? ctx->buys
                    : ctx->scan.outputs ? ctx->scan.outputs
                                        : ctx->operation->max_outputs;

    charge->asked_identity = ctx->scan.profiles ? charge->asked : 0;

    return NGX_OK;
}


static void
ngx_http_phota_post_hold(ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_purchase_t *p)
{
    p->hold.run = ngx_http_phota_hold_run;
    p->hold.done = ngx_http_phota_hold_done;
    p->hold.meter = NGX_HTTP_PHOTA_METER_HOLD;

    ctx->state = NGX_HTTP_PHOTA_HOLD;

    p->refs++;
    ngx_http_phota_post(&ngx_http_phota_worker.books_writer, &p->hold);
}


static int
ngx_http_phota_hold_run(ngx_http_phota_job_t *job, MDB_txn *txn)
{
    int                         rc;
    ngx_http_phota_purchase_t  *p;

    p = (ngx_http_phota_purchase_t *)
            ((u_char *) job - offsetof(ngx_http_phota_purchase_t, hold));

    p->taken = 0;
    p->alike = 0;

    /* of a transaction that failed: it may be another one's by now */

    if (p->job) {
        ngx_free(p->job);
        p->job = NULL;
    }

    /* who was removed while the body came buys nothing any more */

    rc = phota_tenant_stays(&ngx_http_phota_worker.tenants, txn, p->tenant,
                            p->charge.tenant, &job->err);

    if (rc != PHOTA_OK) {
        return (rc == PHOTA_DECLINED) ? rc : PHOTA_ERROR;
    }

    if (p->keyed) {
        rc = ngx_http_phota_replay_free(p, txn);

        if (rc != PHOTA_OK) {
            p->taken = (rc == PHOTA_REFUSED);
            return rc;
        }
    }

    if (p->collapses) {
        rc = ngx_http_phota_hold_alike(p, txn, &job->err);

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    rc = ngx_http_phota_hold_write(p, txn, &job->err);

    if (rc == PHOTA_OK && p->keyed) {
        rc = ngx_http_phota_replay_take(p, txn, &job->err);
    }

    if (rc == PHOTA_OK && p->named) {
        rc = ngx_http_phota_name_take(p, txn, &job->err);
    }

    return rc;
}


/* an open job that buys the very same is this one, too: PHOTA_REFUSED */

static int
ngx_http_phota_hold_alike(ngx_http_phota_purchase_t *p, MDB_txn *txn,
    phota_error_t *err)
{
    int            rc;
    phota_id_t     id;
    phota_jobs_t  *jobs;

    jobs = &ngx_http_phota_worker.jobs;

    rc = phota_job_alike(jobs, txn, p->charge.tenant, p->charge.fingerprint,
                         p->charge.asked, &id);

    if (rc != PHOTA_OK) {
        return (rc == PHOTA_DECLINED) ? PHOTA_OK : PHOTA_ERROR;
    }

    if (p->job == NULL) {
        p->job = ngx_calloc(sizeof(phota_job_t), ngx_cycle->log);

        if (p->job == NULL) {
            phota_error(err, "no memory");
            return PHOTA_ERROR;
        }
    }

    rc = phota_job_get(jobs, txn, &id, p->job, err);

    if (rc != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    p->alike = 1;

    return PHOTA_REFUSED;
}


static int
ngx_http_phota_hold_write(ngx_http_phota_purchase_t *p, MDB_txn *txn,
    phota_error_t *err)
{
    int                rc;
    phota_charge_t     charge;
    phota_ledger_t    *ledger;
    phota_allowance_t  allowance;

    ledger = &ngx_http_phota_worker.ledger;

    ngx_memzero(&allowance, sizeof(phota_allowance_t));

    allowance.tenant = &p->limits;
    allowance.token = &p->token_limits;

    charge = p->charge;

    if (p->serves) {
        rc = phota_ledger_sell(ledger, txn, &charge, &allowance, err);

    } else {
        rc = phota_ledger_hold(ledger, txn, &charge, &allowance, err);
    }

    p->shortage = allowance.shortage;

    if (rc == PHOTA_REFUSED) {

        /*
         * Ids are random: one that is there already is this very charge, from
         * a commit that was durable and said that it failed.
         */

        rc = phota_ledger_get(ledger, txn, &p->charge.id, &charge);
    }

    if (rc == PHOTA_OK) {
        p->charge = charge;
    }

    return rc;
}


static void
ngx_http_phota_hold_done(ngx_http_phota_job_t *job)
{
    int                         rc;
    ngx_http_request_t         *r;
    ngx_http_phota_ctx_t       *ctx;
    ngx_http_phota_about_t      about;
    ngx_http_phota_purchase_t  *p;

    p = (ngx_http_phota_purchase_t *)
            ((u_char *) job - offsetof(ngx_http_phota_purchase_t, hold));

    r = p->r;
    rc = job->rc;

    p->held = (rc == PHOTA_OK);
    p->settled = (p->held && p->serves);

    if (p->settled) {
        ngx_http_phota_meter_charge(&p->charge, p->cache);

    } else if (rc == PHOTA_EXCEEDED) {
        ngx_http_phota_meter_shortage(p->shortage.scope, p->shortage.period);
    }

    if (!p->held && !p->taken && !p->alike && rc != PHOTA_EXCEEDED
        && rc != PHOTA_DECLINED)
    {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0,
                                ngx_http_phota_about_purchase(&about, p),
                                "a hold could not be written, nothing is "
                                "bought", "%s", job->err.text);
    }

    if (rc == PHOTA_ERROR && !p->taken) {
        ngx_http_phota_undo(p);
    }

    if (!p->held) {
        ngx_http_phota_purchase_land(p);
    }

    if (p->held && !p->serves
        && (r == NULL || r->connection->error
            || ngx_http_phota_worker.exiting))
    {
        /* the client, or this worker, left while nothing was sent yet */

        p->outcome.state = PHOTA_STATE_VOID;
        p->outcome.reason = PHOTA_REASON_NOT_SENT;

        ngx_http_phota_end(p);
    }

    if (r == NULL || ngx_http_phota_worker.exiting) {
        ngx_http_phota_purchase_release(p);
        return;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    /* the request's pool holds it as well */

    ngx_http_phota_purchase_release(p);

    if (ctx == NULL) {
        return;
    }

    ngx_http_set_log_request(r->connection->log, r);

    if (p->held) {
        ngx_http_phota_held(r, ctx, p);

    } else {
        ngx_http_phota_not_held(r, ctx, p, rc);
    }
}


static void
ngx_http_phota_held(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_purchase_t *p)
{
    ngx_connection_t  *c;

    if (p->serves) {
        ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
        return;
    }

    if (p->ended) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_BAD_GATEWAY, "UPSTREAM_FAILED",
                              "the client left before the call; nothing was "
                              "bought");
        ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
        return;
    }

    c = r->connection;

    if (ngx_http_phota_call(r, ctx) == NGX_AGAIN) {
        ngx_http_run_posted_requests(c);
        return;
    }

    p->outcome.state = PHOTA_STATE_VOID;
    p->outcome.reason = PHOTA_REASON_NOT_SENT;

    ngx_http_phota_end(p);

    ngx_http_phota_refuse(ctx, NGX_HTTP_INTERNAL_SERVER_ERROR,
                          "INTERNAL_ERROR",
                          "the call could not be made; nothing was bought");
    ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
}


static void
ngx_http_phota_not_held(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_purchase_t *p, int rc)
{
    /* nothing of it may be told, or sent */

    ctx->purchase = NULL;
    ctx->hit = NULL;

    if (p->alike) {
        ctx->job = ngx_palloc(r->pool, sizeof(phota_job_t));

        if (ctx->job) {
            *ctx->job = *p->job;
            ctx->joined = 1;
            ctx->cache = NGX_HTTP_PHOTA_CACHE_JOIN;

            ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
            return;
        }

        rc = PHOTA_ERROR;
    }

    if (p->taken) {

        /* another request with the key was first: now it can be seen */

        ngx_http_phota_resume(r, NGX_HTTP_PHOTA_DECIDE);
        return;
    }

    if (rc == PHOTA_EXCEEDED) {
        ngx_http_phota_exceeded(ctx, &p->shortage);

    } else if (rc == PHOTA_DECLINED) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_UNAUTHORIZED, "UNAUTHORIZED",
                              "the tenant was removed; nothing was bought");

    } else {
        ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "BOOKS_UNAVAILABLE",
                              "the books cannot be written; nothing was "
                              "bought");
        ctx->refusal.retry_after = 1;
    }

    ctx->cache = NGX_HTTP_PHOTA_CACHE_NONE;

    ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
}


static void
ngx_http_phota_exceeded(ngx_http_phota_ctx_t *ctx, phota_shortage_t *shortage)
{
    uint64_t                  now, end;
    const phota_zone_t       *zone;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    now = phota_now();
    zone = worker->directory
           ? phota_directory_zone(worker->directory, &ctx->tenant) : NULL;

    end = (shortage->period == PHOTA_BUDGET_DAY)
          ? phota_zone_day_end(zone, now)
          : (shortage->period == PHOTA_BUDGET_MONTH)
            ? phota_zone_month_end(zone, now) : 0;

    phota_usd_format(ctx->left, shortage->left);

    (void) snprintf(ctx->detail, sizeof(ctx->detail),
                    "the %s budget of the %s has %s USD left, which is less "
                    "than the call may cost; nothing was bought",
                    phota_budget_period_name(shortage->period),
                    phota_budget_scope_name(shortage->scope), ctx->left);

    ngx_http_phota_refuse(ctx, 402, "BUDGET_EXCEEDED", ctx->detail);

    ctx->refusal.left = ctx->left;

    if (end > now) {
        phota_time_format(ctx->resets, end);
        ctx->refusal.resets = ctx->resets;
        ctx->refusal.retry_after = (end - now + 999) / 1000;
    }
}
