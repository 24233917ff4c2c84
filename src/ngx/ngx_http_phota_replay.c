
/*
 * Idempotency keys: a retry with the key of an earlier request gets that one's
 * answer and charge, or is told what became of it; it never buys a second time.
 * The row that says so was written with the hold; what was answered lies in the
 * cache, as a copy of its own that nothing replaces.
 */


#include "ngx_http_phota_module.h"


/* ms: how long the upstream remembers a client_request_id isn't documented */

#define NGX_HTTP_PHOTA_NAMED  3600000


static int ngx_http_phota_replay_request(
    u_char digest[PHOTA_SHA256_LEN], const u_char *fingerprint,
    ngx_uint_t outputs, ngx_uint_t variation);
static ngx_int_t ngx_http_phota_replay_find(ngx_http_phota_ctx_t *ctx,
    phota_charge_t *charge);
static void ngx_http_phota_replay_unreadable(ngx_http_phota_ctx_t *ctx);
static ngx_int_t ngx_http_phota_replay_answer(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, phota_charge_t *charge);
static ngx_int_t ngx_http_phota_replay_tell(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, phota_charge_t *charge);
static void ngx_http_phota_replay_open(ngx_http_phota_ctx_t *ctx,
    phota_charge_t *charge);
static void ngx_http_phota_replay_refuse(ngx_http_phota_ctx_t *ctx,
    ngx_uint_t status, const char *code, const char *what,
    const phota_id_t *id);


ngx_int_t
ngx_http_phota_replay(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_int_t       rc;
    phota_charge_t  charge;

    rc = ngx_http_phota_replay_find(ctx, &charge);

    if (rc != NGX_OK) {
        return rc;
    }

    /* what became a job is told as one, whatever has become of that */

    if (ctx->operation->answer == PHOTA_ANSWER_IMAGES) {
        rc = ngx_http_phota_async_find(r, ctx, &charge.id);

        if (rc == NGX_OK) {
            return ngx_http_phota_replay_tell(r, ctx, &charge);
        }

        if (rc == NGX_ERROR || ctx->refusal.status) {
            return rc;
        }
    }

    switch (charge.state) {

    case PHOTA_STATE_HELD:
    case PHOTA_STATE_UNKNOWN:
        ngx_http_phota_replay_open(ctx, &charge);
        return NGX_DECLINED;

    case PHOTA_STATE_VOID:

        /* nothing came of it and nothing was paid: it may be tried again */

        return NGX_DECLINED;

    default: /* PHOTA_STATE_SETTLED, PHOTA_STATE_REVERSED */
        return ngx_http_phota_replay_answer(r, ctx, &charge);
    }
}


/*
 * What a key is bound to.  A fingerprint doesn't say how many pictures were
 * asked for, and which, but who paid for one doesn't get four by asking again.
 */

static int
ngx_http_phota_replay_request(u_char digest[PHOTA_SHA256_LEN],
    const u_char *fingerprint, ngx_uint_t outputs, ngx_uint_t variation)
{
    u_char    buf[PHOTA_SHA256_LEN + 2 * sizeof(uint32_t)];
    uint32_t  number;

    ngx_memcpy(buf, fingerprint, PHOTA_SHA256_LEN);

    number = htonl((uint32_t) outputs);
    ngx_memcpy(buf + PHOTA_SHA256_LEN, &number, sizeof(uint32_t));

    number = htonl((uint32_t) variation);
    ngx_memcpy(buf + PHOTA_SHA256_LEN + sizeof(uint32_t), &number,
               sizeof(uint32_t));

    return phota_sha256(digest, buf, sizeof(buf));
}


/* NGX_OK with the charge that the key stands for, owners looked after */

static ngx_int_t
ngx_http_phota_replay_find(ngx_http_phota_ctx_t *ctx, phota_charge_t *charge)
{
    int                       rc;
    u_char                    request[PHOTA_SHA256_LEN];
    MDB_txn                  *txn;
    phota_replay_t            replay;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (ngx_http_phota_replay_request(request, ctx->scan.digest,
                                      ctx->scan.outputs, ctx->variation)
        != PHOTA_OK)
    {
        return NGX_ERROR;
    }

    txn = ngx_http_phota_read_books();

    if (txn == NULL && !worker->books_open) {

        /* a purchase will be refused, for it needs the books as well */

        return NGX_DECLINED;
    }

    if (txn == NULL) {
        ngx_http_phota_replay_unreadable(ctx);
        return NGX_DECLINED;
    }

    rc = phota_replay_get(&worker->replays, txn, ctx->tenant.id,
                          ctx->replay_key, phota_now(), &replay);

    if (rc == PHOTA_OK
        && ngx_memcmp(replay.fingerprint, request, PHOTA_SHA256_LEN) != 0)
    {
        ngx_http_phota_read_end(txn);

        ngx_http_phota_refuse(ctx, 422, "IDEMPOTENCY_MISMATCH",
                              "the Idempotency-Key was used for another "
                              "request; nothing was bought");
        ctx->refusal.field = "Idempotency-Key";
        return NGX_DECLINED;
    }

    if (rc == PHOTA_OK) {
        rc = phota_ledger_get(&worker->ledger, txn, &replay.charge, charge);

        if (rc == PHOTA_DECLINED) {

            /* archived, and so it has ended; how doesn't matter any more */

            ngx_memzero(charge, sizeof(phota_charge_t));

            charge->id = replay.charge;
            charge->state = PHOTA_STATE_SETTLED;

            rc = PHOTA_OK;
        }
    }

    if (rc == PHOTA_OK && charge->state == PHOTA_STATE_HELD
        && !phota_ledger_alive(&worker->ledger, txn, &charge->owner))
    {
        charge->state = PHOTA_STATE_UNKNOWN;
    }

    ngx_http_phota_read_end(txn);

    if (rc == PHOTA_ERROR) {
        ngx_http_phota_replay_unreadable(ctx);
        return NGX_DECLINED;
    }

    return (rc == PHOTA_OK) ? NGX_OK : NGX_DECLINED;
}


static void
ngx_http_phota_replay_unreadable(ngx_http_phota_ctx_t *ctx)
{
    ngx_http_phota_refuse(ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                          "BOOKS_UNAVAILABLE",
                          "the books cannot be read; nothing was bought");
    ctx->refusal.retry_after = 1;
}


static ngx_int_t
ngx_http_phota_replay_answer(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    phota_charge_t *charge)
{
    u_char     fingerprint[PHOTA_SHA256_LEN];
    ngx_int_t  rc;

    if (ctx->operation->answer == PHOTA_ANSWER_PROFILE) {

        /* it is no picture, and stands in the books */

        rc = ngx_http_phota_profile_again(r, ctx, charge);

        if (rc == NGX_OK) {
            return ngx_http_phota_replay_tell(r, ctx, charge);
        }

        if (ctx->refusal.status) {
            return NGX_DECLINED;
        }

    } else if (charge->cached == PHOTA_CACHED_HIT
               || charge->cached == PHOTA_CACHED_JOIN)
    {
        /* what was sold then is what would be sold now */

        rc = ngx_http_phota_resold(r, ctx);

    } else {

        if (ngx_http_phota_replay_where(&charge->id, fingerprint) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = ngx_http_phota_replayed(r, ctx, fingerprint, charge);
    }

    if (rc == NGX_OK) {
        ctx->replay = 1;
        ctx->replayed = charge->id;
        return NGX_OK;
    }

    if (rc == NGX_DECLINED) {
        ngx_http_phota_replay_refuse(ctx, 410, "REPLAY_GONE",
                                     "has ended, and its answer is not stored "
                                     "any more; another Idempotency-Key buys "
                                     "anew", &charge->id);
    }

    return rc;
}


/* in ctx->told, or as ctx->job; NGX_DECLINED */

static ngx_int_t
ngx_http_phota_replay_tell(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    phota_charge_t *charge)
{
    ctx->replay = 1;
    ctx->replayed = charge->id;

    return ctx->trial ? ngx_http_phota_trial(r, ctx) : NGX_DECLINED;
}


static void
ngx_http_phota_replay_open(ngx_http_phota_ctx_t *ctx, phota_charge_t *charge)
{
    if (charge->state == PHOTA_STATE_HELD) {
        ngx_http_phota_replay_refuse(ctx, 409, "IN_FLIGHT",
                                     "is still under way", &charge->id);
        ctx->refusal.retry_after = 5;
        return;
    }

    ngx_http_phota_replay_refuse(ctx, 409, "OUTCOME_UNKNOWN",
                                 "has an unknown outcome until it is "
                                 "resolved, it may have been charged; "
                                 "nothing more was bought", &charge->id);
}


static void
ngx_http_phota_replay_refuse(ngx_http_phota_ctx_t *ctx, ngx_uint_t status,
    const char *code, const char *what, const phota_id_t *id)
{
    char  text[PHOTA_ID_TEXT];

    phota_id_format(text, id);

    (void) snprintf(ctx->detail, sizeof(ctx->detail), "charge %s %s", text,
                    what);

    ngx_http_phota_refuse(ctx, status, code, ctx->detail);

    ctx->replay = 1;
    ctx->replayed = *id;
}


int
ngx_http_phota_replay_free(ngx_http_phota_purchase_t *p, MDB_txn *txn)
{
    int                       rc;
    u_char                    request[PHOTA_SHA256_LEN];
    phota_charge_t            charge;
    phota_replay_t            replay;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    rc = phota_replay_get(&worker->replays, txn, p->charge.tenant,
                          p->replay_key, phota_now(), &replay);

    if (rc != PHOTA_OK) {
        return (rc == PHOTA_DECLINED) ? PHOTA_OK : PHOTA_ERROR;
    }

    /* ours, from a commit that was durable and said that it failed */

    if (ngx_memcmp(&replay.charge, &p->charge.id, sizeof(phota_id_t)) == 0) {
        return PHOTA_OK;
    }

    rc = phota_ledger_get(&worker->ledger, txn, &replay.charge, &charge);

    if (rc == PHOTA_ERROR
        || ngx_http_phota_replay_request(request, p->charge.fingerprint,
                                         p->scan.outputs, p->variation)
           != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    /* only what came to nothing may be tried again */

    if (rc == PHOTA_OK && charge.state == PHOTA_STATE_VOID
        && ngx_memcmp(replay.fingerprint, request, PHOTA_SHA256_LEN) == 0)
    {
        return PHOTA_OK;
    }

    return PHOTA_REFUSED;
}


int
ngx_http_phota_replay_take(ngx_http_phota_purchase_t *p, MDB_txn *txn,
    phota_error_t *err)
{
    uint64_t        now;
    phota_replay_t  replay;

    now = phota_now();

    if (ngx_http_phota_replay_request(replay.fingerprint,
                                      p->charge.fingerprint,
                                      p->scan.outputs, p->variation)
        != PHOTA_OK)
    {
        phota_error(err, "a digest could not be made");
        return PHOTA_ERROR;
    }

    replay.charge = p->charge.id;
    replay.expires = now + PHOTA_REPLAY_VALID;

    return phota_replay_put(&ngx_http_phota_worker.replays, txn,
                            p->charge.tenant, p->replay_key, &replay, now,
                            err);
}


ngx_int_t
ngx_http_phota_replay_where(const phota_id_t *charge,
    u_char fingerprint[PHOTA_SHA256_LEN])
{
    u_char  buf[sizeof("replay") - 1 + sizeof(phota_id_t)];

    /* a digest of its own, which no request's fingerprint can meet */

    ngx_memcpy(ngx_cpymem(buf, "replay", sizeof("replay") - 1), charge,
               sizeof(phota_id_t));

    return (phota_sha256(fingerprint, buf, sizeof(buf)) == PHOTA_OK)
           ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_phota_name(ngx_http_phota_purchase_t *p, ngx_http_phota_ctx_t *ctx)
{
    u_char   *buf;
    size_t    len;

    if (!ctx->scan.async || ctx->upward == NULL
        || ctx->upward->request_id.len == 0)
    {
        return NGX_OK;
    }

    /* a NUL first, which no Idempotency-Key can have: it is a header's value */

    len = ctx->upward->request_id.len;

    buf = ngx_pnalloc(p->r->pool, 1 + len);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    buf[0] = '\0';
    ngx_memcpy(buf + 1, ctx->upward->request_id.data, len);

    if (phota_replay_digest(p->name_key, buf, 1 + len) != PHOTA_OK) {
        return NGX_ERROR;
    }

    p->named = 1;

    return NGX_OK;
}


int
ngx_http_phota_name_take(ngx_http_phota_purchase_t *p, MDB_txn *txn,
    phota_error_t *err)
{
    int                       rc;
    uint64_t                  now;
    phota_charge_t            charge;
    phota_replay_t            replay;
    ngx_http_phota_worker_t  *worker;

    now = phota_now();
    worker = &ngx_http_phota_worker;

    rc = phota_replay_get(&worker->replays, txn, p->charge.tenant,
                          p->name_key, now, &replay);

    if (rc == PHOTA_OK) {
        rc = phota_ledger_get(&worker->ledger, txn, &replay.charge, &charge);

        /* the first one that nothing was heard of is the one to look for */

        if (rc == PHOTA_OK
            && (charge.state == PHOTA_STATE_HELD
                || charge.state == PHOTA_STATE_UNKNOWN))
        {
            return PHOTA_OK;
        }
    }

    if (rc == PHOTA_ERROR) {
        phota_error(err, "a client_request_id could not be looked up");
        return PHOTA_ERROR;
    }

    ngx_memcpy(replay.fingerprint, p->charge.fingerprint, PHOTA_SHA256_LEN);

    replay.charge = p->charge.id;
    replay.expires = now + NGX_HTTP_PHOTA_NAMED;

    return phota_replay_put(&worker->replays, txn, p->charge.tenant,
                            p->name_key, &replay, now, err);
}


int
ngx_http_phota_name_known(ngx_http_phota_purchase_t *p, MDB_txn *txn,
    phota_error_t *err)
{
    int                       rc;
    phota_charge_t            charge;
    phota_replay_t            replay;
    phota_outcome_t           outcome;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    rc = phota_replay_get(&worker->replays, txn, p->charge.tenant,
                          p->name_key, phota_now(), &replay);

    if (rc == PHOTA_OK
        && ngx_memcmp(&replay.charge, &p->charge.id, sizeof(phota_id_t)) == 0)
    {
        return PHOTA_OK;
    }

    if (rc == PHOTA_OK) {
        rc = phota_ledger_get(&worker->ledger, txn, &replay.charge, &charge);
    }

    if (rc == PHOTA_ERROR) {
        phota_error(err, "a client_request_id could not be looked up");
        return PHOTA_ERROR;
    }

    if (rc != PHOTA_OK
        || (charge.state != PHOTA_STATE_UNKNOWN
            && (charge.state != PHOTA_STATE_HELD
                || phota_ledger_alive(&worker->ledger, txn, &charge.owner))))
    {
        return PHOTA_OK;
    }

    ngx_memzero(&outcome, sizeof(phota_outcome_t));

    outcome.state = PHOTA_STATE_VOID;
    outcome.reason = PHOTA_REASON_DUPLICATE;

    rc = phota_ledger_end(&worker->ledger, txn, &replay.charge, &outcome,
                          NULL, err);

    return (rc == PHOTA_ERROR) ? rc : PHOTA_OK;
}
