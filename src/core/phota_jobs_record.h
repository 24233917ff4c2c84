
/*
 * How a job lies in its tables: its record, and the keys by which it is found.
 * Only the jobs' own files know it.
 */


#ifndef _PHOTA_JOBS_RECORD_H_INCLUDED_
#define _PHOTA_JOBS_RECORD_H_INCLUDED_


#include "phota_jobs.h"


#define PHOTA_JOB_RECORD    4096        /* no record is longer */

#define PHOTA_JOB_NAME_KEY  (4 + PHOTA_SHA256_LEN + sizeof(phota_id_t))
#define PHOTA_JOB_DUE_KEY   (8 + sizeof(phota_id_t))
#define PHOTA_JOB_OPEN_KEY  (4 + PHOTA_SHA256_LEN + 4 + sizeof(phota_id_t))


/* all keys end in the charge's id */

typedef struct {
    u_char           name[PHOTA_JOB_NAME_KEY];
    u_char           due[PHOTA_JOB_DUE_KEY];
    u_char           open[PHOTA_JOB_OPEN_KEY];
    unsigned         is_open:1;
} phota_job_keys_t;


/* PHOTA_INVALID when it isn't one; err says why */
int phota_job_check(const phota_job_t *job, phota_error_t *err);

/* of a job that was checked.  *len: room in, length out */
int phota_job_encode(const phota_job_t *job, u_char *buf, size_t *len);

/* PHOTA_ERROR when it is not what was written for this charge */
int phota_job_decode(phota_job_t *job, const phota_id_t *charge,
    const void *p, size_t len);

int phota_job_keys(phota_job_keys_t *keys, const phota_job_t *job);

/* what a name begins with: all but the charge's id */
int phota_job_name_key(u_char key[PHOTA_JOB_NAME_KEY], uint32_t tenant,
    unsigned kind, unsigned provider, const char *upstream);
void phota_job_open_key(u_char key[PHOTA_JOB_OPEN_KEY], uint32_t tenant,
    const u_char fingerprint[PHOTA_SHA256_LEN], uint32_t asked);

/* the same of a stored result that waits to be told */
void phota_job_waiting_key(u_char key[PHOTA_JOB_OPEN_KEY], uint32_t tenant);


#endif /* _PHOTA_JOBS_RECORD_H_INCLUDED_ */
