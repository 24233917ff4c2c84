
/*
 * Jobs by the id that tenants know them by.
 */


#ifndef _PHOTACTL_JOB_H_INCLUDED_
#define _PHOTACTL_JOB_H_INCLUDED_


#include "phota_alias.h"
#include "photactl_books.h"


void photactl_job_name(const phota_job_t *job, char name[PHOTA_JOB_NAME]);

/* "job_..." as tenants have it, or "ch_..." of its charge */
int photactl_parse_job(photactl_t *ctl, const char *text,
    phota_id_t *charge);


#endif /* _PHOTACTL_JOB_H_INCLUDED_ */
