
/*
 * The way of a request through PRECONTENT: its body is read and scanned as it
 * arrives, then it is a hit, a refusal or a purchase.  All waiting is done
 * here, where AGAIN means "come back later"; the content handler only answers.
 */


#include "ngx_http_phota_module.h"


static ngx_int_t ngx_http_phota_start(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static ngx_int_t ngx_http_phota_decide(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static void ngx_http_phota_choose(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static void ngx_http_phota_fetched(ngx_http_request_t *r, ngx_int_t rc);
static ngx_int_t ngx_http_phota_serve(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static void ngx_http_phota_proved(ngx_http_request_t *r, ngx_int_t rc);
static ngx_int_t ngx_http_phota_give(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static ngx_int_t ngx_http_phota_compose(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static void ngx_http_phota_composed(ngx_http_request_t *r, ngx_int_t rc);
static ngx_uint_t ngx_http_phota_forbidden_to_buy(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
static ngx_int_t ngx_http_phota_finish_scan(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);


ngx_int_t
ngx_http_phota_precontent(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_phota_ctx_t       *ctx;
    ngx_http_phota_loc_conf_t  *plcf;

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    if (plcf->pass.data == NULL || r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "phota state %d", ctx->state);

    rc = NGX_AGAIN;

    switch (ctx->state) {

    case NGX_HTTP_PHOTA_START:

        if (ctx->refusal.status == 0) {
            rc = ngx_http_phota_start(r, ctx);

        } else {
            rc = NGX_DECLINED;
        }

        break;

    case NGX_HTTP_PHOTA_DECIDE:
        rc = ngx_http_phota_decide(r, ctx);
        break;

    case NGX_HTTP_PHOTA_PROVE:
    case NGX_HTTP_PHOTA_JOIN:
    case NGX_HTTP_PHOTA_HOLD:
    case NGX_HTTP_PHOTA_CALL:
    case NGX_HTTP_PHOTA_SETTLE:

        /* a job, another or the subrequest moves it on, whatever wakes us */

        break;

    case NGX_HTTP_PHOTA_BODY:
        break;

    case NGX_HTTP_PHOTA_ANSWER:
        rc = ngx_http_phota_compose(r, ctx);
        break;
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_http_phota_repeat(r, ctx);
    }

    if (rc != NGX_DECLINED) {
        return rc;
    }

    /*
     * Decided.  What else is registered for this phase has no say any more:
     * a try_files must not turn into a 404 what was just paid for.
     */

    ctx->state = NGX_HTTP_PHOTA_ANSWER;

    ngx_http_phota_body_release(r, ctx);

    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_finalize_request(r, ngx_http_phota_content(r));

    return NGX_DONE;
}


void
ngx_http_phota_resume(ngx_http_request_t *r, ngx_http_phota_state_e state)
{
    ngx_connection_t      *c;
    ngx_http_phota_ctx_t  *ctx;

    c = r->connection;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);
    ctx->state = state;

    ngx_http_set_log_request(c->log, r);

    r->write_event_handler(r);

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_phota_start(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t                   rc;
    ngx_http_phota_loc_conf_t  *plcf;

    if (ctx->tenant.id == 0) {

        /* "satisfy any" may have let in whom our ACCESS didn't see */

        ngx_http_phota_refuse(ctx, NGX_HTTP_UNAUTHORIZED, "UNAUTHORIZED",
                              "a valid token is required");
        return NGX_DECLINED;
    }

    /* which isn't asked where another access rule was satisfied first */

    ngx_http_phota_authorize(r, ctx);

    if (ctx->refusal.status) {
        return NGX_DECLINED;
    }

    if (ctx->operation == NULL) {
        rc = ngx_http_discard_request_body(r);

        if (rc != NGX_OK) {
            return rc;
        }

        if (ctx->usage) {
            return ngx_http_phota_usage(r, ctx);
        }

        return ctx->route ? ngx_http_phota_fence_route(r, ctx)
                          : ngx_http_phota_relay(r, ctx);
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    if (r->headers_in.content_length_n > (off_t) plcf->max_body) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                              "BODY_TOO_LARGE",
                              "the body is larger than phota_max_body");
        return NGX_DECLINED;
    }

    rc = ngx_http_phota_read_controls(r, ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->named) {

        /* the fingerprint stands for the body, of which no byte is needed */

        r->write_event_handler = ngx_http_core_run_phases;

        return ngx_http_phota_decide(r, ctx);
    }

    return ngx_http_phota_read_body(r, ctx);
}


static ngx_int_t
ngx_http_phota_decide(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (!ctx->scanned) {
        rc = ngx_http_phota_finish_scan(r, ctx);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ctx->keyed) {
        rc = ngx_http_phota_replay(r, ctx);

        if (rc == NGX_OK) {
            return ngx_http_phota_serve(r, ctx);
        }

        if (rc == NGX_ERROR || ctx->refusal.status || ctx->replay) {
            return rc;
        }
    }

    ngx_http_phota_choose(r, ctx);

    if (ctx->storable && !ctx->no_cache) {
        rc = ngx_http_phota_fetch(r, ctx->scan.digest, 0, NULL,
                                  ngx_http_phota_fetched);

        if (rc != NGX_OK) {
            ctx->state = NGX_HTTP_PHOTA_PROVE;
            return rc;
        }

        rc = ngx_http_phota_lookup(r, ctx);

        if (rc != NGX_DECLINED) {
            return (rc == NGX_OK) ? ngx_http_phota_serve(r, ctx) : rc;
        }
    }

    if (ngx_http_phota_forbidden_to_buy(r, ctx)) {
        return NGX_DECLINED;
    }

    if (ctx->trial) {
        return ngx_http_phota_trial(r, ctx);
    }

    if (ctx->storable && ngx_http_phota_worker.cache_open) {
        rc = ngx_http_phota_join(r, ctx);

        if (rc == NGX_DECLINED) {
            return ngx_http_phota_serve(r, ctx);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        if (ctx->scan.async) {

            /* a job's result can't be told together with what was there */

            ctx->buys = ctx->scan.outputs;
        }
    }

    rc = ngx_http_phota_buy(r, ctx);

    ngx_http_phota_give_up(ctx);

    return rc;
}


/* whether the cache has a say, and what of it counts for this request */

static void
ngx_http_phota_choose(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    uint64_t                    now, age;
    ngx_uint_t                  cached;
    ngx_http_phota_loc_conf_t  *plcf;

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    ctx->storable = 0;
    ctx->buys = 0;

    if (!ctx->joined) {
        ctx->since = 0;
    }

    /* what makes the same picture each time may be kept of any operation */

    cached = (plcf->cached & (1 << ctx->operation->id))
             || (ctx->scan.seeded && plcf->cached);

    if (ctx->no_store || !cached) {
        ctx->cache = NGX_HTTP_PHOTA_CACHE_BYPASS;
        return;
    }

    ctx->cache = NGX_HTTP_PHOTA_CACHE_MISS;

    if (ctx->hopeless || ctx->scan.mode == PHOTA_MODE_OTHER
        || (ctx->scan.mode == PHOTA_MODE_URLS && !ngx_http_phota_has_links())
        || ctx->scan.outputs == 0 || ctx->scan.outputs > PHOTA_PICTURES_MAX)
    {
        return;
    }

    ctx->storable = 1;

    now = phota_now();

    if (ctx->no_cache) {
        ctx->cache = NGX_HTTP_PHOTA_CACHE_REFRESH;
        ctx->since = now;

    } else if (ctx->max_age >= 0 && !ctx->joined) {

        /* and so it stays: what is bought while it waits is younger */

        age = (uint64_t) ctx->max_age * 1000;
        ctx->since = (age < now) ? now - age : 0;
    }
}


static void
ngx_http_phota_fetched(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_phota_resume(r, NGX_HTTP_PHOTA_DECIDE);
}


static ngx_int_t
ngx_http_phota_serve(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_phota_prove(r, ctx->hit->pictures, ctx->hit->outputs,
                              ctx->scan.digest, ngx_http_phota_proved);

    if (rc == NGX_AGAIN) {
        ctx->state = NGX_HTTP_PHOTA_PROVE;
        return NGX_AGAIN;
    }

    return (rc == NGX_OK) ? ngx_http_phota_give(r, ctx) : rc;
}


static void
ngx_http_phota_proved(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_uint_t             replay;
    ngx_http_phota_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    if (rc == NGX_OK) {
        rc = ngx_http_phota_give(r, ctx);

        if (rc == NGX_AGAIN) {
            return;
        }

        if (rc == NGX_DECLINED) {
            ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
            return;
        }
    }

    replay = ctx->replay;

    ctx->hit = NULL;
    ctx->replay = 0;

    if (rc == NGX_DECLINED || (rc == NGX_ABORT && !replay)) {

        /* damaged, and removed or not: it is as if it had never been there */

        ctx->hopeless = (rc == NGX_ABORT);

        ngx_http_phota_resume(r, NGX_HTTP_PHOTA_DECIDE);
        return;
    }

    ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                          "BOOKS_UNAVAILABLE",
                          "the stored result cannot be read now; nothing was "
                          "bought");
    ctx->refusal.retry_after = 1;

    ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
}


/* NGX_DECLINED: to be answered; NGX_AGAIN: its price is being written */

static ngx_int_t
ngx_http_phota_give(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t  rc;

    ctx->cache = ctx->joined ? NGX_HTTP_PHOTA_CACHE_JOIN
                             : NGX_HTTP_PHOTA_CACHE_HIT;
    if (ctx->trial) {
        return ngx_http_phota_trial(r, ctx);
    }

    if (ctx->replay) {
        return NGX_DECLINED;
    }

    rc = ngx_http_phota_sell(r, ctx);

    return (rc == NGX_OK) ? NGX_DECLINED : rc;
}


/*
 * What was bought behind what the pool had is told together: nobody has looked
 * at the older ones yet.  If they are damaged, it is told alone, as it came.
 */

static ngx_int_t
ngx_http_phota_compose(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t                   rc;
    ngx_http_phota_purchase_t  *p;

    p = ctx->purchase;

    if (p == NULL || !p->stored || !p->settled
        || !(p->partial || p->unlinked)
        || ctx->composed || ctx->refusal.status)
    {
        return NGX_DECLINED;
    }

    ctx->composed = 1;

    rc = ngx_http_phota_bought(r, ctx);

    if (rc == NGX_OK) {
        rc = ngx_http_phota_prove(r, ctx->hit->pictures, ctx->hit->outputs,
                                  ctx->scan.digest, ngx_http_phota_composed);
    }

    if (rc == NGX_AGAIN) {
        ctx->state = NGX_HTTP_PHOTA_PROVE;
        return NGX_AGAIN;
    }

    if (rc != NGX_OK) {
        ctx->hit = NULL;
        ctx->bought = 0;
    }

    return NGX_DECLINED;
}


static void
ngx_http_phota_composed(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_phota_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    if (rc != NGX_OK) {
        ctx->hit = NULL;
        ctx->bought = 0;
    }

    ngx_http_phota_resume(r, NGX_HTTP_PHOTA_ANSWER);
}


/* what there is doesn't do: may this request, and this client, have more? */

static ngx_uint_t
ngx_http_phota_forbidden_to_buy(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx)
{
    ngx_http_phota_flight_e     landed;
    ngx_http_phota_loc_conf_t  *plcf;

    landed = ctx->landed;
    ctx->landed = NGX_HTTP_PHOTA_FLYING;

    if (landed == NGX_HTTP_PHOTA_UNKNOWN) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_BAD_GATEWAY, "OUTCOME_UNKNOWN",
                              "the purchase that this request joined has an "
                              "unknown outcome; nothing more was bought");
        return 1;
    }

    if (landed == NGX_HTTP_PHOTA_UNKEPT) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_BAD_GATEWAY, "UPSTREAM_FAILED",
                              "the result of the purchase that this request "
                              "joined could not be kept; nothing was bought "
                              "for it");
        return 1;
    }

    if (ctx->named) {
        ctx->cache = NGX_HTTP_PHOTA_CACHE_NONE;

        ngx_http_phota_refuse(ctx, 412, "NOT_CACHED",
                              "there is no stored result of this "
                              "fingerprint: send the body");
        return 1;
    }

    if (ctx->only_if_cached) {
        ctx->cache = NGX_HTTP_PHOTA_CACHE_NONE;

        ngx_http_phota_refuse(ctx, NGX_HTTP_GATEWAY_TIME_OUT, "NOT_CACHED",
                              "there is no stored result and only-if-cached "
                              "was asked for");
        return 1;
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    if (ctx->variation > plcf->variations && ctx->variation > ctx->pooled) {
        ngx_http_phota_refuse(ctx, 422, "INVALID_REQUEST",
                              "there are not so many variations, nor will be; "
                              "nothing was bought");
        ctx->refusal.field = "Phota-Variation";
        return 1;
    }

    return 0;
}


static ngx_int_t
ngx_http_phota_finish_scan(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    int          rc;
    phota_str_t  scope, args;

    if (ctx->spoilt || ngx_http_phota_removed(ctx)) {
        return NGX_DECLINED;
    }

    if (ctx->tenant.flags & PHOTA_TENANT_SHARED) {
        scope.data = (u_char *) "shared";
        scope.len = sizeof("shared") - 1;

    } else {

        /* the id, not the name: it is never used again; four bytes, so that
         * it can't be read as the word for the shared scope */

        scope.data = (u_char *) &ctx->tenant.id;
        scope.len = sizeof(ctx->tenant.id);
    }

    args.data = r->args.data;
    args.len = r->args.len;

    rc = phota_fingerprint_final(ctx->fingerprint, &scope, &args, &ctx->scan);

    if (rc == PHOTA_INVALID) {
        ngx_http_phota_refuse_body(ctx);
        return NGX_DECLINED;
    }

    if (rc != PHOTA_OK) {
        return NGX_ERROR;
    }

    ctx->scanned = 1;

    rc = ngx_http_phota_fence_body(r, ctx);

    if (rc == NGX_OK) {
        rc = ngx_http_phota_alias_body(r, ctx);
    }

    ngx_http_phota_forget_fingerprint(ctx);

    return rc;
}
