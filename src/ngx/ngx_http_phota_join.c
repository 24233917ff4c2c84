
/*
 * Equal purchases become one: who finds one in flight waits for it, in whatever
 * worker it is, and decides anew when it has ended.  A purchase is registered
 * before the pool is looked at for the last time, and ended after its pictures
 * can be found there, so that nobody slips in between.  Where its worker died,
 * the books say whether anything may have been sent.
 */


#include "ngx_http_phota_module.h"


/* ms: a pilot that lived then is not asked for again */

#define NGX_HTTP_PHOTA_ALIVE  200

/* looks at a pool that grows while we look */

#define NGX_HTTP_PHOTA_LOOKS  3


static ngx_uint_t ngx_http_phota_lacking(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static ngx_int_t ngx_http_phota_join_wait(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static void ngx_http_phota_join_leave(void *data);
static void ngx_http_phota_join_over(ngx_http_phota_waiter_t *waiter);
static void ngx_http_phota_join_check(ngx_http_phota_waiter_t *waiter);
static ngx_int_t ngx_http_phota_join_told(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_phota_landing_t *landing);
static ngx_uint_t ngx_http_phota_join_forsaken(ngx_http_request_t *r,
    const ngx_http_phota_flight_t *flight);
static ngx_uint_t ngx_http_phota_pilot_lives(
    const ngx_http_phota_pilot_t *pilot, ngx_msec_t trust);
static ngx_uint_t ngx_http_phota_pilot_died(ngx_http_request_t *r,
    const ngx_http_phota_flight_t *flight);
static ngx_http_phota_flight_e ngx_http_phota_pilot_left(
    ngx_http_request_t *r, const ngx_http_phota_flight_t *flight);
static ngx_uint_t ngx_http_phota_personal(const ngx_http_phota_purchase_t *p);


ngx_int_t
ngx_http_phota_join(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t   rc;
    ngx_uint_t  i, lacking, pooled;

    for (i = 0; i < NGX_HTTP_PHOTA_LOOKS; i++) {

        pooled = ctx->pooled;
        lacking = ngx_http_phota_lacking(r, ctx);

        rc = ngx_http_phota_take_off(ctx->scan.digest, ctx->scan.outputs,
                                     lacking,
                                     &ngx_http_phota_worker.ledger.self,
                                     &ctx->flight, &ctx->buys);

        if (rc == NGX_BUSY) {

            if (!ngx_http_phota_join_forsaken(r, &ctx->flight)) {
                return ngx_http_phota_join_wait(r, ctx);
            }

            ctx->flight.number = 0;
            continue;
        }

        if (rc != NGX_OK) {
            ctx->flight.number = 0;
        }

        if (rc != NGX_OK || ctx->cache == NGX_HTTP_PHOTA_CACHE_REFRESH) {
            break;
        }

        rc = ngx_http_phota_lookup(r, ctx);

        if (rc == NGX_DECLINED && ctx->pooled == pooled) {
            break;
        }

        ngx_http_phota_give_up(ctx);

        if (rc != NGX_DECLINED) {
            return (rc == NGX_OK) ? NGX_DECLINED : rc;
        }
    }

    if (i == NGX_HTTP_PHOTA_LOOKS) {

        /* it grows faster than we decide: without a flight, as it was */

        ctx->buys = ngx_min(ngx_http_phota_lacking(r, ctx),
                            ctx->scan.outputs);
    }

    ctx->joined = 0;

    return NGX_OK;
}


/* 0: a refresh, which buys whatever there is */

static ngx_uint_t
ngx_http_phota_lacking(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_uint_t                  lacking, needs;
    ngx_http_phota_loc_conf_t  *plcf;

    if (ctx->no_cache) {
        return 0;
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    needs = ngx_http_phota_needs(r, ctx);
    lacking = (needs > ctx->pooled) ? needs - ctx->pooled : 1;

    /* calls as they were asked for, not the rest of them */

    return plcf->top_up ? lacking : ngx_max(lacking, ctx->scan.outputs);
}


void
ngx_http_phota_give_up(ngx_http_phota_ctx_t *ctx)
{
    ngx_http_phota_landing_t  landing;

    if (ctx->flight.number == 0) {
        return;
    }

    ngx_memzero(&landing, sizeof(ngx_http_phota_landing_t));

    landing.state = NGX_HTTP_PHOTA_ABANDONED;

    ngx_http_phota_land(&ctx->flight, &landing);

    ctx->flight.number = 0;
}


static ngx_int_t
ngx_http_phota_join_wait(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_http_cleanup_t       *cln;
    ngx_http_phota_waiter_t  *waiter;

    waiter = ctx->waiter;

    if (waiter == NULL) {
        waiter = ngx_pcalloc(r->pool, sizeof(ngx_http_phota_waiter_t));
        cln = ngx_http_cleanup_add(r, 0);

        if (waiter == NULL || cln == NULL) {
            return NGX_ERROR;
        }

        cln->handler = ngx_http_phota_join_leave;
        cln->data = waiter;

        ctx->waiter = waiter;
    }

    waiter->flight = ctx->flight;
    waiter->handler = ngx_http_phota_join_check;
    waiter->data = r;
    waiter->since = ngx_current_msec;

    ctx->flight.number = 0;
    ctx->state = NGX_HTTP_PHOTA_JOIN;
    ctx->cache = NGX_HTTP_PHOTA_CACHE_JOIN;
    ctx->joined = 1;

    /* who waits pays nothing yet: when he leaves, he is forgotten */

    r->read_event_handler = ngx_http_test_reading;

    ngx_http_phota_wait(waiter);

    return NGX_AGAIN;
}


static void
ngx_http_phota_join_leave(void *data)
{
    ngx_http_phota_waiter_t *waiter = data;

    if (waiter->waiting) {
        ngx_http_phota_join_over(waiter);
    }
}


static void
ngx_http_phota_join_over(ngx_http_phota_waiter_t *waiter)
{
    ngx_http_phota_wait_end(waiter);

    ngx_http_phota_meter_observe(NGX_HTTP_PHOTA_METER_JOIN,
                                 (uint64_t) (ngx_current_msec - waiter->since)
                                 * 1000);
}


static void
ngx_http_phota_join_check(ngx_http_phota_waiter_t *waiter)
{
    ngx_int_t                  rc;
    ngx_http_request_t        *r;
    ngx_http_phota_ctx_t      *ctx;
    ngx_http_phota_pilot_t     pilot;
    ngx_http_phota_landing_t   landing;

    r = waiter->data;
    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    rc = ngx_http_phota_flight_look(&waiter->flight, r->pool, &pilot,
                                    &landing);

    if (rc == NGX_AGAIN) {

        if (!ngx_http_phota_pilot_lives(&pilot, NGX_HTTP_PHOTA_ALIVE)) {
            (void) ngx_http_phota_pilot_died(r, &waiter->flight);
        }

        return;
    }

    ngx_http_phota_join_over(waiter);

    r->read_event_handler = ngx_http_block_reading;

    /* who can't find out how it ended doesn't buy it a second time */

    ctx->landed = (rc == NGX_OK) ? landing.state : NGX_HTTP_PHOTA_UNKNOWN;

    if (ctx->landed == NGX_HTTP_PHOTA_REFUSED) {

        if (ngx_http_phota_join_told(r, ctx, &landing) != NGX_OK) {
            ngx_http_phota_refuse(ctx, NGX_HTTP_BAD_GATEWAY,
                                  "UPSTREAM_FAILED",
                                  "the purchase that this request joined was "
                                  "refused; nothing was bought");
        }

        ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
        return;
    }

    ngx_http_phota_resume(r, NGX_HTTP_PHOTA_DECIDE);
}


/* the upstream's refusal, as the one who called has it */

static ngx_int_t
ngx_http_phota_join_told(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_landing_t *landing)
{
    ngx_http_phota_purchase_t  *p;

    if (landing->len && landing->body == NULL) {
        return NGX_DECLINED;
    }

    p = ngx_http_phota_purchase_create(r, ctx, 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p->metered = 1;
    p->key_asked = 1;
    p->key_given = 1;
    p->status = landing->status;
    p->complete = (landing->status != 0);
    p->outcome.state = PHOTA_STATE_VOID;
    p->outcome.reason = (uint8_t) landing->reason;

    ngx_memcpy(p->content_type, landing->content_type,
               sizeof(p->content_type));
    ngx_memcpy(p->retry_after, landing->retry_after, sizeof(p->retry_after));
    ngx_memcpy(p->outcome.request_id, landing->request_id,
               sizeof(p->outcome.request_id));

    if (landing->len
        && ngx_http_phota_spool_add(p->spool, landing->body, landing->len)
           != NGX_OK)
    {
        ctx->purchase = NULL;
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* who comes after his death isn't one of those who joined */

static ngx_uint_t
ngx_http_phota_join_forsaken(ngx_http_request_t *r,
    const ngx_http_phota_flight_t *flight)
{
    ngx_http_phota_pilot_t     pilot;
    ngx_http_phota_landing_t   landing;

    if (ngx_http_phota_flight_look(flight, r->pool, &pilot, &landing)
        != NGX_AGAIN
        || ngx_http_phota_pilot_lives(&pilot, 0))
    {
        return 0;
    }

    return ngx_http_phota_pilot_died(r, flight);
}


/* trust: ms for which it does that he lived then */

static ngx_uint_t
ngx_http_phota_pilot_lives(const ngx_http_phota_pilot_t *pilot,
    ngx_msec_t trust)
{
    MDB_txn                  *txn;
    ngx_uint_t                lives;
    ngx_http_phota_worker_t  *worker;

    static ngx_msec_t         asked;
    static phota_owner_t      alive;

    worker = &ngx_http_phota_worker;

    if (pilot->owner.epoch == worker->ledger.self.epoch
        || (alive.slot == pilot->owner.slot
            && alive.epoch == pilot->owner.epoch
            && ngx_current_msec - asked < trust))
    {
        return 1;
    }

    txn = ngx_http_phota_read_books();
    if (txn == NULL) {
        return 1;
    }

    lives = phota_ledger_alive(&worker->ledger, txn, &pilot->owner);

    ngx_http_phota_read_end(txn);

    if (lives) {
        asked = ngx_current_msec;
        alive = pilot->owner;
    }

    return lives;
}


/* 1: the flight has ended, as the books have it */

static ngx_uint_t
ngx_http_phota_pilot_died(ngx_http_request_t *r,
    const ngx_http_phota_flight_t *flight)
{
    ngx_http_phota_ctx_t     *ctx;
    ngx_http_phota_about_t    about;
    ngx_http_phota_landing_t  landing;

    ngx_memzero(&landing, sizeof(ngx_http_phota_landing_t));

    landing.state = ngx_http_phota_pilot_left(r, flight);

    if (landing.state == NGX_HTTP_PHOTA_FLYING) {
        return 0;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    ngx_http_phota_say(NGX_LOG_WARN, ngx_cycle->log, 0,
                       ngx_http_phota_about(&about, ctx),
                       "the worker of a purchase that others joined is gone",
                       (landing.state == NGX_HTTP_PHOTA_ABANDONED)
                       ? "the books say that nothing was sent"
                       : "the books say that it may have been bought");

    ngx_http_phota_land(flight, &landing);

    return 1;
}


/*
 * He is dead now, but may have done something since we looked at the flight
 * and at the books, so that both are read again.
 */

static ngx_http_phota_flight_e
ngx_http_phota_pilot_left(ngx_http_request_t *r,
    const ngx_http_phota_flight_t *flight)
{
    int                        rc;
    MDB_txn                   *txn;
    phota_charge_t             charge;
    ngx_http_phota_pilot_t     pilot;
    ngx_http_phota_landing_t   landing;

    if (ngx_http_phota_flight_look(flight, r->pool, &pilot, &landing)
        != NGX_AGAIN)
    {
        return NGX_HTTP_PHOTA_FLYING;
    }

    txn = ngx_http_phota_read_books();
    if (txn == NULL) {
        return NGX_HTTP_PHOTA_FLYING;
    }

    rc = phota_ledger_get(&ngx_http_phota_worker.ledger, txn, &pilot.charge,
                          &charge);

    ngx_http_phota_read_end(txn);

    if (rc == PHOTA_DECLINED) {

        /* no hold was durable, and without one nothing is sent */

        return NGX_HTTP_PHOTA_ABANDONED;
    }

    if (rc != PHOTA_OK) {
        return NGX_HTTP_PHOTA_FLYING;
    }

    if (charge.state == PHOTA_STATE_HELD
        && charge.owner.slot == PHOTA_OWNER_JOB)
    {
        return NGX_HTTP_PHOTA_ABANDONED;
    }

    switch (charge.state) {

    case PHOTA_STATE_VOID:
        return NGX_HTTP_PHOTA_ABANDONED;

    case PHOTA_STATE_SETTLED:
    case PHOTA_STATE_REVERSED:
        return NGX_HTTP_PHOTA_UNKEPT;

    default:
        return NGX_HTTP_PHOTA_UNKNOWN;
    }
}


/*
 * A refusal that is about the account of one tenant, while those who wait may
 * be others, with accounts of their own.
 */

static ngx_uint_t
ngx_http_phota_personal(const ngx_http_phota_purchase_t *p)
{
    return p->own_key && p->scope == PHOTA_SHARED
           && p->outcome.state == PHOTA_STATE_VOID
           && (p->status == NGX_HTTP_UNAUTHORIZED || p->status == 402
               || p->status == NGX_HTTP_FORBIDDEN
               || p->status == NGX_HTTP_TOO_MANY_REQUESTS);
}


void
ngx_http_phota_purchase_land(ngx_http_phota_purchase_t *p)
{
    u_char                    body[NGX_HTTP_PHOTA_LANDING_BODY];
    ngx_http_phota_landing_t  landing;

    if (p->flight.number == 0 || p->landed) {
        return;
    }

    p->landed = 1;

    ngx_memzero(&landing, sizeof(ngx_http_phota_landing_t));

    landing.reason = p->outcome.reason;

    if (!p->held || (!p->called && p->outcome.state == PHOTA_STATE_VOID)
        || ngx_http_phota_personal(p))
    {
        landing.state = NGX_HTTP_PHOTA_ABANDONED;

    } else if (p->outcome.state == PHOTA_STATE_SETTLED) {
        landing.state = p->stored ? NGX_HTTP_PHOTA_STORED
                                  : NGX_HTTP_PHOTA_UNKEPT;

    } else if (p->outcome.state == PHOTA_STATE_HELD) {

        /* a job: who wants one as well finds it, others don't wait for it */

        landing.state = NGX_HTTP_PHOTA_ABANDONED;

    } else if (p->outcome.state != PHOTA_STATE_VOID) {
        landing.state = NGX_HTTP_PHOTA_UNKNOWN;

    } else {
        landing.state = NGX_HTTP_PHOTA_REFUSED;
    }

    if (landing.state == NGX_HTTP_PHOTA_REFUSED
        && p->complete && p->key_given)
    {
        landing.status = p->status;
        landing.len = ngx_http_phota_spool_size(p->spool);

        if (!p->lost && landing.len <= sizeof(body)
            && ngx_http_phota_spool_read(p->spool, body, landing.len, 0)
               == PHOTA_OK)
        {
            landing.body = body;
        }

        ngx_memcpy(landing.content_type, p->content_type,
                   sizeof(landing.content_type));
        ngx_memcpy(landing.request_id, p->outcome.request_id,
                   sizeof(landing.request_id));
        ngx_memcpy(landing.retry_after, p->retry_after,
                   sizeof(landing.retry_after));
    }

    ngx_http_phota_land(&p->flight, &landing);
}
