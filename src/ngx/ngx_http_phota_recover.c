
/*
 * What dead workers left behind.  A hold whose owner lives no more reads as
 * unknown to everybody; here it is written so, or settled, when the result
 * that it bought lies in the cache and names it.  What nobody resolves ends as
 * the operator's deadline says.
 */


#include "ngx_http_phota_module.h"


/* charges that a deadline ends in one transaction */

#define NGX_HTTP_PHOTA_EXPIRE  200


typedef struct {
    MDB_txn         *books;
    MDB_txn         *cache;         /* NULL: no cache to ask */
    phota_error_t   *err;
    ngx_uint_t       settled;
    ngx_uint_t       unknown;
} ngx_http_phota_recovery_t;


static int ngx_http_phota_recover_charge(void *ctx,
    const phota_charge_t *charge);


/* by operation, what the last run has settled: counted when it is durable */

static phota_sum_t  ngx_http_phota_recovered_sums[PHOTA_OP_MAX];


int
ngx_http_phota_recover(ngx_http_phota_job_t *job, MDB_txn *txn)
{
    int                        rc, expired;
    unsigned                   ended;
    ngx_http_phota_recovery_t  rec;

    ngx_memzero(&rec, sizeof(ngx_http_phota_recovery_t));

    ngx_memzero(ngx_http_phota_recovered_sums,
                sizeof(ngx_http_phota_recovered_sums));

    rec.books = txn;
    rec.err = &job->err;

    if (ngx_http_phota_worker.cache_open
        && phota_store_begin(&ngx_http_phota_worker.cache_store, 0,
                             &rec.cache, NULL)
           != PHOTA_OK)
    {
        rec.cache = NULL;
    }

    rc = phota_ledger_each_open(&ngx_http_phota_worker.ledger, txn,
                                ngx_http_phota_recover_charge, &rec,
                                &job->err);

    if (rec.cache) {
        phota_store_abort(rec.cache);
    }

    /* PHOTA_INVALID: some are damaged, the others were seen to */

    if (rc != PHOTA_ERROR && (rec.settled || rec.unknown)) {
        ngx_http_phota_say(NGX_LOG_WARN, ngx_cycle->log, 0, NULL,
                           "holds of dead workers were found",
                           "%ui settled by their stored results, %ui unknown",
                           rec.settled, rec.unknown);
    }

    if (rc == PHOTA_ERROR || rec.cache == NULL) {

        /* what the cache may settle yet isn't ended without having asked it */

        return rc;
    }

    expired = phota_ledger_expire(&ngx_http_phota_worker.ledger, txn,
                                  phota_now(), NGX_HTTP_PHOTA_EXPIRE, &ended,
                                  &job->err);

    if (expired == PHOTA_OK && ended) {
        ngx_http_phota_say(NGX_LOG_WARN, ngx_cycle->log, 0, NULL,
                           "charges were unknown for too long and ended by "
                           "the operator's deadline", "%ui of them",
                           (ngx_uint_t) ended);
    }

    return (expired == PHOTA_OK) ? rc : expired;
}


void
ngx_http_phota_recover_count(void)
{
    ngx_uint_t  i;

    for (i = 0; i < PHOTA_OP_MAX; i++) {
        ngx_http_phota_meter_sold(i, NGX_HTTP_PHOTA_CACHE_MISS,
                                  &ngx_http_phota_recovered_sums[i]);
    }
}


static int
ngx_http_phota_recover_charge(void *ctx, const phota_charge_t *charge)
{
    ngx_http_phota_recovery_t *rec = ctx;

    int              rc;
    phota_sum_t     *sum;
    phota_charge_t   settled;
    phota_result_t   result;
    phota_outcome_t  outcome;

    if (charge->state != PHOTA_STATE_UNKNOWN) {
        return PHOTA_OK;
    }

    ngx_memzero(&outcome, sizeof(phota_outcome_t));

    if (rec->cache
        && phota_cache_find_charge(&ngx_http_phota_worker.cache, rec->cache,
                                   &charge->id, &result)
           == PHOTA_OK)
    {
        outcome.state = PHOTA_STATE_SETTLED;
        outcome.reason = PHOTA_REASON_RECOVERED;
        outcome.status = result.status;
        outcome.outputs = result.outputs;
        outcome.identity_low = result.identity_low;
        outcome.identity_high = result.identity_high;

        ngx_memcpy(outcome.request_id, result.request_id,
                   sizeof(outcome.request_id));

    } else {
        outcome.state = PHOTA_STATE_UNKNOWN;
        outcome.reason = PHOTA_REASON_ABANDONED;
    }

    rc = phota_ledger_end(&ngx_http_phota_worker.ledger, rec->books,
                          &charge->id, &outcome, &settled, rec->err);

    if (rc == PHOTA_OK) {
        if (outcome.state == PHOTA_STATE_SETTLED) {
            rec->settled++;

            if (settled.operation < PHOTA_OP_MAX) {
                sum = &ngx_http_phota_recovered_sums[settled.operation];

                sum->calls++;
                sum->outputs += settled.outputs;
                sum->cost += settled.cost;
                sum->price += settled.price;
            }

        } else {
            rec->unknown++;
        }
    }

    /* refused: it is written as unknown already */

    return (rc == PHOTA_ERROR) ? PHOTA_ERROR : PHOTA_OK;
}
