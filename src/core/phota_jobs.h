
/*
 * Jobs that the gateway follows to their end, in the books: a charge that the
 * upstream took on (202), or a training that may have to be given back.  A row
 * is written in the transaction in which the charge was accepted, and changed
 * in the one in which it ends, so money and job share one fate.  Each has a
 * time at which something is to be done for it: a poll, fetching its pictures,
 * a delivery to the tenant, and, in the end, to be forgotten.
 */


#ifndef _PHOTA_JOBS_H_INCLUDED_
#define _PHOTA_JOBS_H_INCLUDED_


#include "phota_ledger.h"
#include "phota_unpack.h"


#define PHOTA_JOB_KEPT       ((uint64_t) 7 * 86400000)  /* ms after its end */
#define PHOTA_JOB_TEXT_MAX   ((size_t) 256 << 10)       /* bytes */


/* stored: never renumber */

typedef enum {
    PHOTA_JOB_IMAGES = 0,
    PHOTA_JOB_TRAINING,             /* no tenant asks for it by its id */
    PHOTA_JOB_STORED                /* of a stored result: only its delivery;
                                       upstream is its name, charge is none */
} phota_job_e;


typedef enum {
    PHOTA_JOB_OPEN = 0,
    PHOTA_JOB_DONE,
    PHOTA_JOB_FAILED,
    PHOTA_JOB_LOST
} phota_job_state_e;


/* the tenant's callback */

typedef enum {
    PHOTA_DELIVERY_NONE = 0,
    PHOTA_DELIVERY_WAITING,         /* for the end, or the next try */
    PHOTA_DELIVERY_DONE,
    PHOTA_DELIVERY_GIVEN_UP
} phota_delivery_e;


typedef struct {
    phota_id_t       charge;        /* what it is known by */
    uint32_t         tenant;
    uint8_t          provider;      /* phota_provider_e */
    uint8_t          operation;     /* phota_op_e */
    uint8_t          kind;          /* phota_job_e */
    uint8_t          state;         /* phota_job_state_e */
    uint8_t          delivery;      /* phota_delivery_e */
    uint64_t         submitted;     /* ms */
    uint64_t         ended;         /* ms, 0: open */
    uint64_t         due;           /* ms, when it is looked at again */
    uint32_t         polls;         /* since it was submitted */
    uint32_t         fetches;       /* tries to get its pictures */
    uint32_t         tries;         /* of its delivery */
    uint32_t         answered;      /* the receiver's last status, 0 none */

    uint32_t         asked;         /* outputs */
    uint32_t         scope;         /* of the cache */
    uint64_t         since;         /* ms, of its deposit */
    uint64_t         valid;         /* s, how long its result is kept */
    unsigned         storable:1;    /* its result goes into the cache ... */
    unsigned         stored:1;      /* ... and is there, or was */
    unsigned         links:1;       /* links were asked for */
    unsigned         nmarks;        /* profiles that it names */
    unsigned         unmarked:1;
    uint64_t         marks[PHOTA_MARKS_MAX];

    u_char           fingerprint[PHOTA_SHA256_LEN];
    char             tag[PHOTA_NAME_MAX + 1];
    char             upstream[PHOTA_JOB_ID_MAX + 1];    /* the upstream's id,
                                       or the profile's */
    char             request_id[PHOTA_JOB_ID_MAX + 1];  /* client_request_id
                                       as it was sent, "" none */
    char             door[256];     /* the phota_pass that it came by */
    char             callback[PHOTA_URL_MAX + 1];       /* "" none */
    char             trouble[PHOTA_NOTE_MAX + 1];       /* of the last try */
} phota_job_t;


typedef struct {
    phota_store_t   *store;
    MDB_dbi          jobs;          /* charge id -> job */
    MDB_dbi          texts;         /* charge id -> what the upstream said */
    MDB_dbi          names;         /* tenant, SHA-256 of kind, provider and
                                       upstream's id, charge id */
    MDB_dbi          due;           /* due (ms, big-endian), charge id */
    MDB_dbi          open;          /* tenant, fingerprint, asked, charge id
                                       of an open PHOTA_JOB_IMAGES that is
                                       storable; or tenant, zeroes, charge id
                                       of a PHOTA_JOB_STORED that waits */
} phota_jobs_t;


typedef int (*phota_job_pt)(void *ctx, const phota_job_t *job);


int phota_jobs_open(phota_jobs_t *j, phota_store_t *store,
    phota_error_t *err);

/*
 * Writes a job, new or changed, and keeps the indexes right: names from its
 * first row on, due, and open while its state is OPEN.  text NULL leaves what
 * is there, len 0 takes it away; longer than PHOTA_JOB_TEXT_MAX isn't kept,
 * nor is what was there before, which is no error.  PHOTA_INVALID, and nothing
 * is written, when the job isn't one: nobody's, a string without an end, a
 * number that is none of its kind.
 */
int phota_job_put(phota_jobs_t *j, MDB_txn *txn, const phota_job_t *job,
    const u_char *text, size_t len, phota_error_t *err);

/* PHOTA_DECLINED when there is none; PHOTA_ERROR also when it is damaged */
int phota_job_get(phota_jobs_t *j, MDB_txn *txn, const phota_id_t *charge,
    phota_job_t *job, phota_error_t *err);

/*
 * By what the upstream calls it, of one tenant: the first of that name that was
 * bought, no training; PHOTA_DECLINED.
 */
int phota_job_named(phota_jobs_t *j, MDB_txn *txn, uint32_t tenant,
    unsigned provider, const char *upstream, phota_id_t *charge);

/* an open one that buys the very same; PHOTA_DECLINED */
int phota_job_alike(phota_jobs_t *j, MDB_txn *txn, uint32_t tenant,
    const u_char fingerprint[PHOTA_SHA256_LEN], uint32_t asked,
    phota_id_t *charge);

/* how many PHOTA_JOB_STORED of a tenant's wait for their delivery, up to n */
int phota_jobs_waiting(phota_jobs_t *j, MDB_txn *txn, uint32_t tenant,
    unsigned *n);

/* valid as long as txn; PHOTA_DECLINED when nothing was kept */
int phota_job_text(phota_jobs_t *j, MDB_txn *txn, const phota_id_t *charge,
    const u_char **text, size_t *len);

/* the first n of those that are due at now (ms), soonest first */
int phota_jobs_due(phota_jobs_t *j, MDB_txn *txn, uint64_t now,
    phota_id_t *charges, unsigned *n);

/*
 * That something is to be done for it now, by whoever looks next;
 * PHOTA_DECLINED when there is none.
 */
int phota_job_hurry(phota_jobs_t *j, MDB_txn *txn, const phota_id_t *charge,
    uint64_t now, phota_error_t *err);

/* also one that is damaged; PHOTA_DECLINED when there is none */
int phota_job_remove(phota_jobs_t *j, MDB_txn *txn, const phota_id_t *charge,
    phota_error_t *err);

/*
 * All of a tenant's (what is open ends as unknown: the caller's matter), or
 * tenant 0: everybody's, in order of their charges.  Own transactions; those
 * that are damaged are left out: at the end it returns PHOTA_ERROR, and err
 * names the first.
 */
int phota_jobs_each(phota_jobs_t *j, uint32_t tenant, phota_job_pt handler,
    void *ctx, phota_error_t *err);
int phota_jobs_forget(phota_jobs_t *j, MDB_txn *txn, uint32_t tenant,
    phota_error_t *err);

const char *phota_job_state_name(unsigned state);
const char *phota_delivery_name(unsigned delivery);


#endif /* _PHOTA_JOBS_H_INCLUDED_ */
