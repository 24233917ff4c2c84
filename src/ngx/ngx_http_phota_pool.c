
/*
 * What a pool has for a request: which of its pictures answer it, what they
 * are worth, and the answer made of them.  A request for m is a hit when the
 * pool has the greater of m and phota_cache_variations; until then what lacks
 * is bought into it.
 */


#include "ngx_http_phota_module.h"


/* one picture of a result */

typedef struct {
    phota_result_t  *result;
    unsigned         index;
} ngx_http_phota_slot_t;


static ngx_int_t ngx_http_phota_preceding(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, MDB_txn *txn, const phota_charge_t *charge,
    ngx_uint_t before, ngx_http_phota_slot_t *slots);
static ngx_uint_t ngx_http_phota_behind_fence(ngx_http_phota_ctx_t *ctx,
    const phota_result_t *result);
static ngx_int_t ngx_http_phota_gather(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, MDB_txn *txn, const u_char *fingerprint,
    uint64_t since, phota_result_t *results, ngx_uint_t *n);
static ngx_uint_t ngx_http_phota_pictures(phota_result_t *results,
    ngx_uint_t n);
static ngx_uint_t ngx_http_phota_slots(phota_result_t *results, ngx_uint_t n,
    ngx_uint_t start, ngx_uint_t count, ngx_http_phota_slot_t *slots);
static ngx_int_t ngx_http_phota_compose_hit(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, MDB_txn *txn, ngx_http_phota_slot_t *slots,
    ngx_uint_t nslots);
static ngx_int_t ngx_http_phota_pick(ngx_http_request_t *r,
    ngx_http_phota_hit_t *hit, ngx_http_phota_slot_t *slots,
    ngx_uint_t nslots);
static void ngx_http_phota_weigh(ngx_http_phota_hit_t *hit);
static ngx_int_t ngx_http_phota_telling(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_phota_hit_t *hit,
    phota_telling_t *telling);


/* of one lookup: the event loop does one at a time, and keeps what it picks */

static phota_result_t  ngx_http_phota_found[PHOTA_POOL_MAX];
static phota_result_t  ngx_http_phota_first[PHOTA_POOL_MAX];


uint32_t
ngx_http_phota_scope(ngx_http_phota_ctx_t *ctx)
{
    return (ctx->tenant.flags & PHOTA_TENANT_SHARED) ? PHOTA_SHARED
                                                     : ctx->tenant.id;
}


ngx_uint_t
ngx_http_phota_needs(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    ngx_http_phota_loc_conf_t  *plcf;

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    /* who names one, or can buy none, is content with what there is */

    if ((ctx->variation && ctx->variation <= ctx->pooled)
        || ctx->only_if_cached || ctx->named)
    {
        return ctx->scan.outputs;
    }

    /* of what is the same each time there is one */

    return ctx->scan.seeded ? ctx->scan.outputs
                            : ngx_max(ctx->scan.outputs, plcf->variations);
}


ngx_int_t
ngx_http_phota_lookup(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    MDB_txn                    *txn;
    ngx_int_t                   rc;
    ngx_uint_t                  n, start;
    ngx_http_phota_slot_t       slots[PHOTA_PICTURES_MAX];
    ngx_http_phota_loc_conf_t  *plcf;

    ctx->hit = NULL;
    ctx->pooled = 0;

    txn = ngx_http_phota_read_cache();
    if (txn == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_http_phota_gather(r, ctx, txn, ctx->scan.digest, ctx->since,
                               ngx_http_phota_found, &n);

    if (rc == NGX_OK) {
        ctx->pooled = ngx_http_phota_pictures(ngx_http_phota_found, n);

        if (ctx->pooled < ngx_http_phota_needs(r, ctx)
            || ctx->variation > ctx->pooled)
        {
            rc = NGX_DECLINED;
        }
    }

    if (rc == NGX_OK) {
        plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

        start = ctx->variation ? ctx->variation - 1
                : (plcf->variations > 1 && !ctx->scan.seeded)
                  ? ngx_http_phota_zone_turn(ctx->scan.digest,
                                             ctx->scan.outputs)
                  : 0;

        ctx->first = start % ctx->pooled;

        n = ngx_http_phota_slots(ngx_http_phota_found, n, ctx->first,
                                 ctx->scan.outputs, slots);

        rc = ngx_http_phota_compose_hit(r, ctx, txn, slots, n);
    }

    ngx_http_phota_read_end(txn);

    return rc;
}


ngx_int_t
ngx_http_phota_bought(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    MDB_txn                    *txn;
    ngx_int_t                   rc;
    ngx_uint_t                  i, n, own, count;
    ngx_http_phota_slot_t       slots[PHOTA_PICTURES_MAX];
    ngx_http_phota_purchase_t  *p;

    p = ctx->purchase;

    txn = ngx_http_phota_read_cache();
    if (txn == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_http_phota_gather(r, ctx, txn, ctx->scan.digest, ctx->since,
                               ngx_http_phota_found, &n);

    for (own = 0; rc == NGX_OK && own < n; own++) {
        if (ngx_memcmp(&ngx_http_phota_found[own].id, &p->charge.id,
                       sizeof(phota_id_t))
            == 0)
        {
            break;
        }
    }

    if (rc == NGX_OK && own == n) {
        rc = NGX_DECLINED;
    }

    if (rc == NGX_OK) {

        /* what was stored before it comes first, as it will for repeats */

        count = (ctx->scan.outputs > ctx->buys)
                ? ctx->scan.outputs - ctx->buys : 0;
        count = ngx_http_phota_slots(ngx_http_phota_found, own, 0, count,
                                     slots);

        for (i = 0; i < ngx_http_phota_found[own].npictures
                    && count < PHOTA_PICTURES_MAX; i++)
        {
            slots[count].result = &ngx_http_phota_found[own];
            slots[count].index = i;
            count++;
        }

        rc = ngx_http_phota_compose_hit(r, ctx, txn, slots, count);
    }

    ngx_http_phota_read_end(txn);

    ctx->bought = (rc == NGX_OK);

    return rc;
}


ngx_int_t
ngx_http_phota_resold(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    MDB_txn                *txn;
    ngx_int_t               rc;
    ngx_uint_t              n;
    ngx_http_phota_slot_t   slots[PHOTA_PICTURES_MAX];

    txn = ngx_http_phota_read_cache();
    if (txn == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_http_phota_gather(r, ctx, txn, ctx->scan.digest, 0,
                               ngx_http_phota_found, &n);

    if (rc == NGX_OK) {
        n = ngx_http_phota_slots(ngx_http_phota_found, n,
                                 ctx->variation ? ctx->variation - 1 : 0,
                                 ctx->scan.outputs, slots);

        rc = (n == ctx->scan.outputs)
             ? ngx_http_phota_compose_hit(r, ctx, txn, slots, n)
             : NGX_DECLINED;
    }

    ngx_http_phota_read_end(txn);

    return rc;
}


ngx_int_t
ngx_http_phota_replayed(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    const u_char *fingerprint, const phota_charge_t *charge)
{
    MDB_txn                *txn;
    ngx_int_t               rc;
    ngx_uint_t              n, asked, before, outputs;
    ngx_http_phota_slot_t   slots[PHOTA_PICTURES_MAX];

    txn = ngx_http_phota_read_cache();
    if (txn == NULL) {
        return NGX_DECLINED;
    }

    rc = ngx_http_phota_gather(r, ctx, txn, fingerprint, 0,
                               ngx_http_phota_found, &n);

    if (rc == NGX_OK) {

        /* of an archived charge nobody knows how many it asked for */

        asked = charge->asked ? charge->asked
                : ngx_http_phota_pictures(ngx_http_phota_found, n);

        /* a number that only the upstream could read: all of them */

        outputs = ctx->scan.outputs ? ctx->scan.outputs : asked;
        before = (asked < outputs) ? outputs - asked : 0;

        rc = ngx_http_phota_preceding(r, ctx, txn, charge, before, slots);

        if (rc == NGX_OK) {
            n = ngx_http_phota_slots(ngx_http_phota_found, n, 0,
                                     outputs - before, slots + before);

            rc = ngx_http_phota_compose_hit(r, ctx, txn, slots, before + n);
        }
    }

    ngx_http_phota_read_end(txn);

    return rc;
}


/* the pictures that a purchase was told behind: the pool had them already */

static ngx_int_t
ngx_http_phota_preceding(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    MDB_txn *txn, const phota_charge_t *charge, ngx_uint_t before,
    ngx_http_phota_slot_t *slots)
{
    ngx_int_t   rc;
    ngx_uint_t  n, older;

    if (before == 0) {
        return NGX_OK;
    }

    rc = ngx_http_phota_gather(r, ctx, txn, ctx->scan.digest, 0,
                               ngx_http_phota_first, &n);

    if (rc != NGX_OK) {
        return rc;
    }

    /* others may have come in their place, which were never told */

    for (older = 0; older < n; older++) {
        if (ngx_http_phota_first[older].stored > ngx_http_phota_found->stored
            || ngx_memcmp(&ngx_http_phota_first[older].id, &charge->id,
                          sizeof(phota_id_t))
               == 0)
        {
            break;
        }
    }

    return (older
            && ngx_http_phota_slots(ngx_http_phota_first, older, 0, before,
                                    slots)
               == before)
           ? NGX_OK : NGX_DECLINED;
}


/*
 * Who knows a fingerprint of a scope that he shares has not said whom it shows:
 * a profile is its owner's.
 */

static ngx_uint_t
ngx_http_phota_behind_fence(ngx_http_phota_ctx_t *ctx,
    const phota_result_t *result)
{
    return ctx->named && phota_tenant_fenced(&ctx->tenant)
           && result->tenant != ctx->tenant.id
           && (result->nmarks || result->unmarked);
}


/* NGX_OK when there are some, all of which this request may see */

static ngx_int_t
ngx_http_phota_gather(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    MDB_txn *txn, const u_char *fingerprint, uint64_t since,
    phota_result_t *results, ngx_uint_t *n)
{
    unsigned                found, damaged;
    uint32_t                scope;
    ngx_uint_t              i;
    ngx_http_phota_about_t  about;

    *n = 0;

    if (phota_cache_pool(&ngx_http_phota_worker.cache, txn, fingerprint,
                         phota_now(), since, results, &found, &damaged)
        != PHOTA_OK)
    {
        return NGX_DECLINED;
    }

    scope = ngx_http_phota_scope(ctx);

    if (damaged) {
        ngx_http_phota_mend_cache(fingerprint, scope, NULL);
    }

    for (i = 0; i < found; i++) {

        if (results[i].scope == scope
            && results[i].operation == ctx->operation->id
            && !ngx_http_phota_behind_fence(ctx, &results[i]))
        {
            continue;
        }

        /* who names a fingerprint that isn't his is told that it isn't one */

        if (!ctx->named) {
            ngx_http_phota_say_some(NGX_LOG_ALERT, r->connection->log, 0,
                                    ngx_http_phota_about(&about, ctx),
                                    "a result of another scope was not shown",
                                    NULL);
        }

        return NGX_DECLINED;
    }

    *n = found;

    return found ? NGX_OK : NGX_DECLINED;
}


static ngx_uint_t
ngx_http_phota_pictures(phota_result_t *results, ngx_uint_t n)
{
    ngx_uint_t  i, pictures;

    pictures = 0;

    for (i = 0; i < n; i++) {
        pictures += results[i].npictures;
    }

    return pictures;
}


/* count pictures from start on, and again from the first; how many there are */

static ngx_uint_t
ngx_http_phota_slots(phota_result_t *results, ngx_uint_t n, ngx_uint_t start,
    ngx_uint_t count, ngx_http_phota_slot_t *slots)
{
    ngx_uint_t  i, k, total, index;

    total = ngx_http_phota_pictures(results, n);
    count = ngx_min(count, ngx_min(total, PHOTA_PICTURES_MAX));

    for (k = 0; k < count; k++) {
        index = (start + k) % total;

        for (i = 0; index >= results[i].npictures; i++) {
            index -= results[i].npictures;
        }

        slots[k].result = &results[i];
        slots[k].index = index;
    }

    return count;
}


/* makes ctx->hit of them, while their skeletons can be read */

static ngx_int_t
ngx_http_phota_compose_hit(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    MDB_txn *txn, ngx_http_phota_slot_t *slots, ngx_uint_t nslots)
{
    u_char                 *text;
    size_t                  room;
    ngx_uint_t              i;
    phota_piece_t          *piece;
    phota_picture_t         picture;
    phota_telling_t         telling;
    ngx_http_phota_hit_t   *hit;
    ngx_http_phota_about_t  about;

    hit = ngx_pcalloc(r->pool, sizeof(ngx_http_phota_hit_t));
    if (hit == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_phota_pick(r, hit, slots, nslots) != NGX_OK
        || ngx_http_phota_telling(r, ctx, hit, &telling) != NGX_OK)
    {
        return NGX_ERROR;
    }

    room = phota_render_room(hit->picks, hit->npicks, &telling);

    text = ngx_pnalloc(r->pool, room);
    if (text == NULL) {
        return NGX_ERROR;
    }

    if (phota_render(hit->picks, hit->npicks, &telling, text,
                     &hit->rendering)
        != PHOTA_OK)
    {
        ngx_http_phota_say_some(NGX_LOG_ERR, r->connection->log, 0,
                                ngx_http_phota_about(&about, ctx),
                                "stored results don't fit together", NULL);
        ngx_http_phota_mend_cache(ctx->scan.digest,
                                  ngx_http_phota_scope(ctx), NULL);
        return NGX_DECLINED;
    }

    ngx_http_phota_weigh(hit);

    if (!ctx->trial
        && ngx_http_phota_pin(r, hit->pictures, hit->outputs) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < hit->outputs; i++) {
        piece = &hit->pictures[i];

        if (phota_cache_picture(&ngx_http_phota_worker.cache, txn,
                                piece->scope, piece->picture->digest,
                                &picture)
            != PHOTA_OK)
        {
            ngx_http_phota_doubt(piece->picture->digest);
        }
    }

    ctx->hit = hit;

    return NGX_OK;
}


/* the results that are needed are copied, and their pictures with them */

static ngx_int_t
ngx_http_phota_pick(ngx_http_request_t *r, ngx_http_phota_hit_t *hit,
    ngx_http_phota_slot_t *slots, ngx_uint_t nslots)
{
    ngx_uint_t       i, k;
    phota_pick_t    *pick;
    phota_result_t  *from[PHOTA_PICTURES_MAX];

    for (i = 0; i < nslots; i++) {

        for (k = 0; k < hit->nresults; k++) {
            if (from[k] == slots[i].result) {
                break;
            }
        }

        if (k == hit->nresults) {
            from[hit->nresults++] = slots[i].result;
        }
    }

    hit->results = ngx_palloc(r->pool,
                              hit->nresults * sizeof(phota_result_t));
    if (hit->results == NULL) {
        return NGX_ERROR;
    }

    for (k = 0; k < hit->nresults; k++) {
        hit->results[k] = *from[k];
    }

    pick = NULL;

    for (i = 0; i < nslots; i++) {

        for (k = 0; from[k] != slots[i].result; k++) { /* void */ }

        if (pick && pick->result == &hit->results[k]
            && pick->first + pick->count == slots[i].index)
        {
            pick->count++;
            continue;
        }

        pick = &hit->picks[hit->npicks++];

        pick->result = &hit->results[k];
        pick->first = slots[i].index;
        pick->count = 1;
    }

    return NGX_OK;
}


/* what it is made of; m of n pictures saved their cost * m / n, rounded down */

static void
ngx_http_phota_weigh(ngx_http_phota_hit_t *hit)
{
    ngx_uint_t           i, k, told, rest;
    phota_result_t      *result;
    const phota_pick_t  *pick;

    hit->stored = UINT64_MAX;
    hit->expires = UINT64_MAX;

    for (i = 0; i < hit->npicks; i++) {
        pick = &hit->picks[i];

        for (k = 0; k < pick->count; k++) {
            hit->pictures[hit->outputs].scope = pick->result->scope;
            hit->pictures[hit->outputs].picture =
                                   &pick->result->pictures[pick->first + k];
            hit->outputs++;
        }
    }

    for (i = 0; i < hit->nresults; i++) {
        result = &hit->results[i];
        told = 0;

        for (k = 0; k < hit->npicks; k++) {
            if (hit->picks[k].result == result) {
                told += hit->picks[k].count;
            }
        }

        hit->saved += (int64_t) ((__int128) result->cost * told
                                 / result->npictures);

        rest = result->npictures - told;

        if (result->identity_low > rest) {
            hit->identity += result->identity_low - rest;
        }

        hit->stored = ngx_min(hit->stored, result->stored);
        hit->expires = ngx_min(hit->expires, result->expires);
    }
}


static ngx_int_t
ngx_http_phota_telling(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_http_phota_hit_t *hit, phota_telling_t *telling)
{
    ngx_memzero(telling, sizeof(phota_telling_t));

    if (ctx->scan.mode != PHOTA_MODE_URLS) {
        return NGX_OK;
    }

    telling->linker = &ngx_http_phota_worker.keyring.linker;
    telling->tenant = ctx->tenant.id;
    telling->expires = phota_now() / 1000
                       + ngx_http_phota_worker.conf->results_valid;

    hit->linked = telling->expires * 1000;

    return ngx_http_phota_results_base(r, &telling->base);
}
