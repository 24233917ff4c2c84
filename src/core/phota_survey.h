
/*
 * What stands in books and cache, for those who watch them: sums, what is held
 * and unknown, jobs, budgets, who reads.  In threads: own transactions, and as
 * long as the disk takes.
 */


#ifndef _PHOTA_SURVEY_H_INCLUDED_
#define _PHOTA_SURVEY_H_INCLUDED_


#include "phota_cache.h"
#include "phota_jobs.h"
#include "phota_ledger.h"
#include "phota_tenant.h"


typedef enum {
    PHOTA_SURVEY_HELD = 0,          /* by a worker that lives */
    PHOTA_SURVEY_JOB,               /* for the upstream's job */
    PHOTA_SURVEY_UNKNOWN,           /* or whose worker has died */
    PHOTA_SURVEY_STATES
} phota_survey_e;


typedef struct {
    uint64_t         count;
    int64_t          amount;        /* micro-USD of price */
    uint64_t         oldest;        /* ms, when its hold was written; 0: none */
} phota_survey_open_t;


typedef struct {
    uint32_t         tenant;        /* 0: nobody's */
    uint8_t          operation;
    phota_sum_t      sum;
} phota_survey_sum_t;


/* in order of tenants and operations */

typedef struct {
    phota_survey_sum_t  *rows;
    size_t           n;
    size_t           size;
} phota_survey_sums_t;


typedef struct {
    uint32_t         id;
    char             name[PHOTA_NAME_MAX + 1];
    int64_t          limits[3];     /* micro-USD by day, month, total; -1 */
    int64_t          used[3];       /* spent and held */
} phota_survey_tenant_t;


typedef struct {
    unsigned         readers;
    uint64_t         lag;           /* transactions since the oldest's began */
    uint64_t         map;           /* bytes */
    uint64_t         used;          /* bytes of it */
} phota_survey_store_t;


/*
 * What doesn't change any more is kept from one survey to the next: the sums of
 * days that have closed, and for a while the jobs.  All zero at first.
 */

typedef struct {
    phota_survey_sums_t  closed;
    uint32_t         day;           /* up to this one, 0: nothing is kept */
    uint64_t         summed;        /* ms, when */
    uint64_t         sum_took;      /* ms */

    uint64_t         jobs_open;
    uint64_t         waiting;       /* callbacks that are tried again */
    uint64_t         given_up;
    uint64_t         listed;        /* ms, when; 0: never */
    uint64_t         list_took;     /* ms */
} phota_survey_kept_t;


typedef struct {
    phota_survey_sums_t     sums;
    phota_survey_open_t     open[PHOTA_SURVEY_STATES];
    phota_survey_tenant_t  *tenants;
    size_t           ntenants;
    size_t           size;
} phota_survey_t;


/*
 * survey is all zero, and to be freed whatever this returns.  tenants: names
 * and budgets are wanted too.
 */
int phota_survey_books(phota_survey_t *survey, phota_survey_kept_t *kept,
    phota_ledger_t *l, phota_jobs_t *j, phota_tenants_t *t, int tenants,
    phota_error_t *err);
void phota_survey_free(phota_survey_t *survey);

void phota_survey_plus(phota_sum_t *to, const phota_sum_t *sum);

void phota_survey_store(phota_survey_store_t *survey, phota_store_t *store);


#endif /* _PHOTA_SURVEY_H_INCLUDED_ */
