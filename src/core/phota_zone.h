
/*
 * Time zones: when a tenant's day and month begin.  A zone is a list of moments
 * at which its offset changes, worked out once with the C library, for years
 * ahead; a worker needs neither the system's zone files nor a lock.
 */


#ifndef _PHOTA_ZONE_H_INCLUDED_
#define _PHOTA_ZONE_H_INCLUDED_


#include "phota_core.h"


#define PHOTA_ZONE_NAME    40
#define PHOTA_ZONE_YEARS   30
#define PHOTA_ZONE_SHIFTS  512          /* at most */
#define PHOTA_ZONE_RECORD  (5 + 12 * PHOTA_ZONE_SHIFTS)


typedef struct {
    uint64_t        from;           /* ms */
    int32_t         offset;         /* s, local time minus UTC */
} phota_shift_t;


typedef struct {
    char            name[PHOTA_ZONE_NAME + 1];
    uint32_t        n;              /* at least 1, the first from 0 */
    phota_shift_t  *shifts;
} phota_zone_t;


/*
 * "UTC", "+05:30", or a name of the system's zone database; from the beginning
 * of the year before now.  Changes TZ for a while: for a program with one
 * thread.  PHOTA_INVALID when there is no such zone.
 */
int phota_zone_create(phota_zone_t *zone, const char *name, uint64_t now,
    phota_error_t *err);
void phota_zone_free(phota_zone_t *zone);

/* records, for a table; decode allocates.  *len: room in, length out */
int phota_zone_encode(const phota_zone_t *zone, u_char *buf, size_t *len);
int phota_zone_decode(phota_zone_t *zone, const char *name, const void *p,
    size_t len);

/*
 * zone NULL is UTC in all that follow.  Where clocks go back over a midnight,
 * the day that has begun goes on: a number never gets less with time.
 */

/* the number of the local day since 1970-01-01, of the month since 1970-01 */
uint32_t phota_zone_day(const phota_zone_t *zone, uint64_t now);
uint32_t phota_zone_month(const phota_zone_t *zone, uint64_t now);

/* ms, when the local day or month of now ends */
uint64_t phota_zone_day_end(const phota_zone_t *zone, uint64_t now);
uint64_t phota_zone_month_end(const phota_zone_t *zone, uint64_t now);


#endif /* _PHOTA_ZONE_H_INCLUDED_ */
