
/*
 * photactl callback, webhook-secret: what tenants are told when their jobs end,
 * what became of it, once more, and what it is signed with.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "photactl_job.h"
#include "phota_keyring.h"


typedef struct {
    photactl_t     *ctl;
    phota_error_t  *err;                /* while they are gathered */
    phota_id_t     *ids;
    size_t          n;
    size_t          size;
} photactl_retries_t;


static int photactl_callback_row(void *ctx, const phota_job_t *job);
static int photactl_callback_failed(const phota_job_t *job);
static int photactl_retry_gather(void *ctx, const phota_job_t *job);
static int photactl_retry_all(photactl_retries_t *retries, MDB_txn *txn);
static int photactl_retry_named(photactl_t *ctl, MDB_txn *txn,
    const phota_id_t *charge);
static int photactl_retry(photactl_t *ctl, MDB_txn *txn, phota_job_t *job);


static const photactl_column_t  photactl_callback_columns[] = {
    { "job_id", "JOB", PHOTACTL_TEXT },
    { "tenant", "TENANT", PHOTACTL_TEXT },
    { "state", NULL, PHOTACTL_TEXT },
    { "delivery", "DELIVERY", PHOTACTL_TEXT },
    { "tries", "TRIES", PHOTACTL_NUMBER },
    { "status", "STATUS", PHOTACTL_NUMBER },
    { "next", "NEXT", PHOTACTL_TIME },
    { "trouble", "TROUBLE", PHOTACTL_TEXT },
    { "url", "URL", PHOTACTL_TEXT }
};


static const photactl_column_t  photactl_secret_columns[] = {
    { "tenant", "TENANT", PHOTACTL_TEXT },
    { "secret", "SECRET", PHOTACTL_TEXT }
};


int
photactl_callback_list(photactl_t *ctl)
{
    int               rc;
    photactl_query_t  query;

    rc = photactl_query(ctl, &query);
    if (rc != PHOTA_OK) {
        return rc;
    }

    photactl_table_init(&query.table, ctl, photactl_callback_columns,
                        photactl_columns(photactl_callback_columns));

    rc = phota_jobs_each(&ctl->jobs, query.tenant, photactl_callback_row,
                         &query, &ctl->err);

    return photactl_table_close(&query.table, rc);
}


static int
photactl_callback_row(void *ctx, const phota_job_t *job)
{
    photactl_query_t  *query = ctx;

    int       rc;
    char      id[PHOTA_JOB_NAME], whose[PHOTACTL_WHOSE];
    uint64_t  next;

    if (job->callback[0] == '\0'
        || !photactl_query_wants(query, job->tenant)
        || (query->ctl->opts[PHOTACTL_OPT_UNDELIVERED] != NULL
            && !photactl_callback_failed(job)))
    {
        return PHOTA_OK;
    }

    rc = photactl_page(query->ctl, job->charge.b, sizeof(job->charge.b));

    if (rc != PHOTA_OK) {
        return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
    }

    photactl_job_name(job, id);

    /* until its job has ended, nobody knows when */

    next = (job->state != PHOTA_JOB_OPEN
            && job->delivery == PHOTA_DELIVERY_WAITING) ? job->due : 0;

    photactl_value_t  values[] = {
        photactl_text(id),
        photactl_text(photactl_whose(query->ctl, job->tenant, whose)),
        photactl_text(phota_job_state_name(job->state)),
        photactl_text(phota_delivery_name(job->delivery)),
        photactl_number(job->tries),
        photactl_number(job->answered),
        photactl_time(next),
        photactl_text(job->trouble),
        photactl_text(job->callback)
    };

    return photactl_table_row(&query->table, values);
}


/* there is something to deliver, and it isn't */

static int
photactl_callback_failed(const phota_job_t *job)
{
    return job->callback[0] != '\0' && job->state != PHOTA_JOB_OPEN
           && (job->delivery == PHOTA_DELIVERY_WAITING
               || job->delivery == PHOTA_DELIVERY_GIVEN_UP);
}


int
photactl_callback_retry(photactl_t *ctl)
{
    int                  rc, each;
    MDB_txn             *txn;
    phota_id_t           charge;
    phota_error_t        err;
    photactl_retries_t   retries;

    if ((ctl->nargs == 0) == (ctl->opts[PHOTACTL_OPT_ALL] == NULL)) {
        return photactl_wrong(ctl, "either a job or --all");
    }

    memset(&retries, 0, sizeof(retries));
    retries.ctl = ctl;
    retries.err = &err;

    rc = PHOTA_OK;
    each = PHOTA_OK;

    if (ctl->nargs) {
        rc = photactl_parse_job(ctl, ctl->args[0], &charge);

    } else {

        /* one that can't be read keeps no other from being delivered */

        each = phota_jobs_each(&ctl->jobs, 0, photactl_retry_gather, &retries,
                               &err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_store_begin(ctl->store, 1, &txn, &ctl->err);

        if (rc == PHOTA_OK) {
            rc = ctl->nargs ? photactl_retry_named(ctl, txn, &charge)
                            : photactl_retry_all(&retries, txn);

            if (rc == PHOTA_OK) {
                rc = phota_store_commit(txn, &ctl->err);

            } else {
                phota_store_abort(txn);
            }
        }
    }

    free(retries.ids);

    if (rc == PHOTA_OK && each != PHOTA_OK) {
        ctl->err = err;
        rc = each;
    }

    return rc;
}


static int
photactl_retry_gather(void *ctx, const phota_job_t *job)
{
    photactl_retries_t  *retries = ctx;

    size_t       size;
    phota_id_t  *ids;

    if (!photactl_callback_failed(job)) {
        return PHOTA_OK;
    }

    if (retries->n == retries->size) {
        size = retries->size ? 2 * retries->size : 64;

        ids = realloc(retries->ids, size * sizeof(phota_id_t));
        if (ids == NULL) {
            phota_error(retries->err, "no memory for the jobs");
            return PHOTA_ERROR;
        }

        retries->ids = ids;
        retries->size = size;
    }

    retries->ids[retries->n++] = job->charge;

    return PHOTA_OK;
}


/* what was delivered or forgotten meanwhile is left alone */

static int
photactl_retry_all(photactl_retries_t *retries, MDB_txn *txn)
{
    int           rc;
    size_t        i;
    photactl_t   *ctl;
    phota_job_t   job;

    ctl = retries->ctl;

    for (i = 0; i < retries->n; i++) {
        rc = phota_job_get(&ctl->jobs, txn, &retries->ids[i], &job,
                           &ctl->err);

        if (rc == PHOTA_OK && photactl_callback_failed(&job)) {
            rc = photactl_retry(ctl, txn, &job);
        }

        if (rc != PHOTA_OK && rc != PHOTA_DECLINED) {
            return rc;
        }
    }

    ctl->err.text[0] = '\0';

    return PHOTA_OK;
}


/* whoever names one may have it delivered again */

static int
photactl_retry_named(photactl_t *ctl, MDB_txn *txn, const phota_id_t *charge)
{
    int          rc;
    phota_job_t  job;

    rc = phota_job_get(&ctl->jobs, txn, charge, &job, &ctl->err);

    if (rc == PHOTA_DECLINED) {
        phota_error(&ctl->err, "job %.64s: there is none of this id (any "
                    "more)", ctl->args[0]);
        return rc;
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    if (job.callback[0] == '\0' || job.delivery == PHOTA_DELIVERY_NONE) {
        phota_error(&ctl->err, "job %.64s: has no callback", ctl->args[0]);
        return PHOTA_REFUSED;
    }

    if (job.state == PHOTA_JOB_OPEN) {
        phota_error(&ctl->err, "job %.64s: hasn't ended, there is nothing to "
                    "deliver", ctl->args[0]);
        return PHOTA_REFUSED;
    }

    return photactl_retry(ctl, txn, &job);
}


static int
photactl_retry(photactl_t *ctl, MDB_txn *txn, phota_job_t *job)
{
    job->delivery = PHOTA_DELIVERY_WAITING;
    job->tries = 0;
    job->due = phota_now();

    return phota_job_put(&ctl->jobs, txn, job, NULL, 0, &ctl->err);
}


int
photactl_webhook_secret(photactl_t *ctl)
{
    int              rc;
    char             secret[PHOTA_ALIAS_SECRET];
    phota_tenant_t   tenant;
    phota_keyring_t  ring;

    rc = phota_tenant_get(&ctl->tenants, ctl->args[0], &tenant, &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_keyring_load(&ring, ctl->store, &ctl->master, &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    if (phota_alias_secret(&ring.aliases, tenant.id, secret) != PHOTA_OK) {
        phota_error(&ctl->err, "the secret can't be made: OpenSSL failed");
        rc = PHOTA_ERROR;

    } else if (ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
        photactl_value_t  values[] = {
            photactl_text(tenant.name),
            photactl_text(secret)
        };

        rc = photactl_record(ctl, photactl_secret_columns,
                             photactl_columns(photactl_secret_columns),
                             values);

    } else {
        (void) fprintf(ctl->out, "%s\n", secret);
    }

    phota_cleanse(&ring, sizeof(ring));
    phota_cleanse(secret, sizeof(secret));

    return rc;
}
