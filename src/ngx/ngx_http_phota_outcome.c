
/*
 * What happened to a call: the one table that turns an upstream's behaviour
 * into the state of a charge, and the one that turns it into what the client
 * is told when the upstream's own answer can't be passed on.
 */


#include "ngx_http_phota_module.h"


static void ngx_http_phota_read_answer(ngx_http_phota_purchase_t *p);
static uint8_t ngx_http_phota_judge_failure(ngx_http_phota_purchase_t *p,
    ngx_int_t rc, ngx_uint_t sent);
static uint8_t ngx_http_phota_judge_status(ngx_http_phota_purchase_t *p);
static void ngx_http_phota_say_incomplete(ngx_http_phota_purchase_t *p,
    ngx_http_phota_ctx_t *ctx);


void
ngx_http_phota_judge(ngx_http_phota_purchase_t *p, ngx_http_phota_ctx_t *ctx,
    ngx_int_t rc, ngx_uint_t sent)
{
    phota_outcome_t  *o;

    o = &p->outcome;
    o->status = p->status;

    if (p->status && !p->diverted) {
        p->complete = (p->length >= 0) ? (p->received >= p->length)
                                       : p->last;
    }

    ngx_http_phota_read_answer(p);

    if (p->complete && p->status == NGX_HTTP_OK
        && p->parsed && p->delivery.outputs)
    {
        o->state = PHOTA_STATE_SETTLED;
        o->reason = PHOTA_REASON_DELIVERED;
        o->outputs = p->delivery.outputs;
        o->identity_low = p->delivery.identity_low;
        o->identity_high = p->delivery.identity_high;
        return;
    }

    if (p->metered && p->complete
        && (p->status == NGX_HTTP_ACCEPTED
            || (p->status == NGX_HTTP_OK && ctx->scan.async))
        && ngx_http_phota_async_accept(p, ctx) == NGX_OK)
    {
        o->state = PHOTA_STATE_HELD;
        o->reason = PHOTA_REASON_ACCEPTED;
        return;
    }

    o->reason = ngx_http_phota_judge_failure(p, rc, sent);

    o->state = (o->reason == PHOTA_REASON_NOT_SENT
                || o->reason == PHOTA_REASON_REFUSED)
               ? PHOTA_STATE_VOID : PHOTA_STATE_UNKNOWN;
}


static void
ngx_http_phota_read_answer(ngx_http_phota_purchase_t *p)
{
    if (p->answer == NULL) {
        return;
    }

    p->parsed = (phota_answer_final(p->answer, &p->delivery) == PHOTA_OK);

    phota_answer_destroy(p->answer);
    p->answer = NULL;
}


static uint8_t
ngx_http_phota_judge_failure(ngx_http_phota_purchase_t *p, ngx_int_t rc,
    ngx_uint_t sent)
{
    /*
     * Who has seen no key, or not the whole request, can't have sold us.  A
     * location that never asked for the key may have had one of its own.
     */

    if (!sent || (p->key_asked && !p->key_given)) {
        return PHOTA_REASON_NOT_SENT;
    }

    if (p->status == 0) {
        return (rc == NGX_HTTP_GATEWAY_TIME_OUT) ? PHOTA_REASON_TIMEOUT
                                                 : PHOTA_REASON_RESET;
    }

    if (!p->complete) {
        return PHOTA_REASON_TRUNCATED;
    }

    return ngx_http_phota_judge_status(p);
}


static uint8_t
ngx_http_phota_judge_status(ngx_http_phota_purchase_t *p)
{
    switch (p->status) {

    case NGX_HTTP_OK:

        /* an error that stands in the body of a 200 */

        return (p->parsed && p->delivery.status
                && p->delivery.status != NGX_HTTP_OK)
               ? PHOTA_REASON_REFUSED : PHOTA_REASON_UNPARSABLE;

    case NGX_HTTP_ACCEPTED:
        return PHOTA_REASON_ACCEPTED;

    case NGX_HTTP_SERVICE_UNAVAILABLE:
    case NGX_HTTP_GATEWAY_TIME_OUT:
        return PHOTA_REASON_REFUSED;

    default:
        break;
    }

    if (p->status >= 500) {
        return PHOTA_REASON_SERVER_ERROR;
    }

    return (p->status >= 400) ? PHOTA_REASON_REFUSED : PHOTA_REASON_REDIRECT;
}


void
ngx_http_phota_translate(ngx_http_phota_purchase_t *p,
    ngx_http_phota_ctx_t *ctx)
{
    ngx_uint_t              status;
    ngx_http_phota_about_t  about;

    if (p->key_asked && !p->key_given) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "UPSTREAM_AUTH",
                              "the gateway's upstream location is not safe "
                              "to buy through; nothing was bought");
        return;
    }

    if (!p->key_asked && p->outcome.state == PHOTA_STATE_VOID && p->status) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "UPSTREAM_AUTH",
                              "the gateway's upstream location does not hand "
                              "on a key; nothing was bought");
        return;
    }

    if (!p->complete) {
        ngx_http_phota_say_incomplete(p, ctx);
        return;
    }

    /* told by a member of the body where there is one */

    status = (p->status == NGX_HTTP_OK && p->parsed && p->delivery.status)
             ? p->delivery.status : p->status;

    switch (status) {

    case NGX_HTTP_UNAUTHORIZED:
    case NGX_HTTP_FORBIDDEN:
        ngx_http_phota_account_trouble(status,
                                       ngx_http_phota_about(&about, ctx));
        ngx_http_phota_refuse(ctx, NGX_HTTP_BAD_GATEWAY, "UPSTREAM_AUTH",
                              "the upstream refused the gateway's key; "
                              "nothing was bought");
        return;

    case 402:
        ngx_http_phota_account_trouble(status,
                                       ngx_http_phota_about(&about, ctx));
        ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                              "UPSTREAM_BALANCE",
                              "the upstream account has no balance left; "
                              "nothing was bought");
        return;

    case NGX_HTTP_OK:
        if (p->metered && !p->parsed) {
            ngx_http_phota_refuse(ctx, NGX_HTTP_BAD_GATEWAY,
                                  "OUTCOME_UNKNOWN",
                                  "the upstream's answer could not be read; "
                                  "the call may have been charged");
        }

        break;

    default:
        break;
    }

    if (ctx->refusal.status == 0 && p->lost) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_BAD_GATEWAY, "OUTCOME_UNKNOWN",
                              "the upstream answered, but the gateway had no "
                              "room to keep the answer");
    }
}


/* what no tenant can mend, for who can */

void
ngx_http_phota_account_trouble(ngx_uint_t status,
    const ngx_http_phota_about_t *about)
{
    if (status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_FORBIDDEN) {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0, about,
                                "the upstream refused the key",
                                "status %ui, set another with photactl key "
                                "set", status);

    } else if (status == 402) {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0, about,
                                "the upstream account has no balance left",
                                NULL);
    }
}


static void
ngx_http_phota_say_incomplete(ngx_http_phota_purchase_t *p,
    ngx_http_phota_ctx_t *ctx)
{
    if (!p->metered && p->outcome.reason != PHOTA_REASON_TIMEOUT) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_BAD_GATEWAY, "UPSTREAM_FAILED",
                              "the upstream did not answer whole");

    } else if (p->outcome.reason == PHOTA_REASON_NOT_SENT) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_BAD_GATEWAY, "UPSTREAM_FAILED",
                              "the upstream could not be reached; nothing "
                              "was bought");

    } else if (p->outcome.reason == PHOTA_REASON_TIMEOUT) {
        ngx_http_phota_refuse(ctx, NGX_HTTP_GATEWAY_TIME_OUT,
                              "UPSTREAM_TIMEOUT",
                              "the upstream did not answer in time; the call "
                              "may have been charged");

    } else {
        ngx_http_phota_refuse(ctx, NGX_HTTP_BAD_GATEWAY, "OUTCOME_UNKNOWN",
                              "the upstream's answer broke off; the call may "
                              "have been charged");
    }
}
