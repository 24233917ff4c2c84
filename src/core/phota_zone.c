
/*
 * Time zones.  Within a zone local time never goes back: while the clocks
 * repeat an hour it stands still, so that a day that has begun stays begun, and
 * where a midnight is missing or comes twice the day begins at its first
 * moment.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "phota_record.h"
#include "phota_zone.h"


#define PHOTA_ZONE_DIR      "/usr/share/zoneinfo"
#define PHOTA_ZONE_VERSION  1
#define PHOTA_ZONE_HEAD     5           /* version, number of shifts */
#define PHOTA_ZONE_SHIFT    12
#define PHOTA_ZONE_OFFSET   (26 * 3600)
#define PHOTA_ZONE_STEP     (6 * 3600)
#define PHOTA_ZONE_LAST     ((uint64_t) 253402300800000)    /* year 10000 */

#define PHOTA_DAY           ((int64_t) 86400000)


static int phota_zone_fixed(const char *name, int32_t *offset);
static int phota_zone_named(const char *name, char *path, size_t size);
static int phota_zone_system(phota_zone_t *zone, const char *path,
    uint64_t now, phota_error_t *err);
static int phota_zone_walk(phota_zone_t *zone, uint64_t now,
    phota_error_t *err);
static int phota_zone_add(phota_zone_t *zone, uint64_t from, int32_t offset,
    phota_error_t *err);
static time_t phota_zone_year(uint64_t now, int years);
static int32_t phota_zone_libc(time_t sec);
static int64_t phota_zone_local(const phota_zone_t *zone, uint64_t now);
static uint32_t phota_zone_shift(const phota_zone_t *zone, uint64_t now);
static uint64_t phota_zone_reach(const phota_zone_t *zone, uint64_t now,
    int64_t local);
static uint32_t phota_zone_first(uint32_t month);


int
phota_zone_create(phota_zone_t *zone, const char *name, uint64_t now,
    phota_error_t *err)
{
    int      rc;
    char     path[sizeof(PHOTA_ZONE_DIR) + PHOTA_ZONE_NAME + 2];
    int32_t  offset;

    memset(zone, 0, sizeof(phota_zone_t));

    if (strlen(name) > PHOTA_ZONE_NAME) {
        phota_error(err, "not a time zone: its name is too long");
        return PHOTA_INVALID;
    }

    memcpy(zone->name, name, strlen(name) + 1);

    if (now > PHOTA_ZONE_LAST) {
        now = PHOTA_ZONE_LAST;
    }

    if (strcmp(name, "UTC") == 0) {
        return phota_zone_add(zone, 0, 0, err);
    }

    if (phota_zone_fixed(name, &offset) == PHOTA_OK) {
        return phota_zone_add(zone, 0, offset, err);
    }

    if (phota_zone_named(name, path, sizeof(path)) != PHOTA_OK) {
        phota_error(err, "\"%.40s\": not a time zone (UTC, +05:30, or a name "
                    "that " PHOTA_ZONE_DIR " has, as Europe/Berlin)", name);
        return PHOTA_INVALID;
    }

    rc = phota_zone_system(zone, path, now, err);

    if (rc != PHOTA_OK) {
        phota_zone_free(zone);
    }

    return rc;
}


void
phota_zone_free(phota_zone_t *zone)
{
    free(zone->shifts);

    zone->shifts = NULL;
    zone->n = 0;
}


/* as far as clocks are set anywhere: -12:00 to +14:00 */

static int
phota_zone_fixed(const char *name, int32_t *offset)
{
    int  i, hour, min;

    static const char  form[] = "+00:00";

    if (strlen(name) != sizeof(form) - 1
        || (name[0] != '+' && name[0] != '-') || name[3] != ':')
    {
        return PHOTA_INVALID;
    }

    for (i = 1; i < (int) sizeof(form) - 1; i++) {
        if (i != 3 && (name[i] < '0' || name[i] > '9')) {
            return PHOTA_INVALID;
        }
    }

    hour = (name[1] - '0') * 10 + (name[2] - '0');
    min = (name[4] - '0') * 10 + (name[5] - '0');

    *offset = hour * 3600 + min * 60;

    if (name[0] == '-') {
        *offset = -*offset;
    }

    return (min > 59 || *offset > 14 * 3600 || *offset < -12 * 3600)
           ? PHOTA_INVALID : PHOTA_OK;
}


/*
 * All names of the database begin with a capital letter; what doesn't is no
 * zone, or one whose clock counts leap seconds.  libc would take a file that it
 * can't read for UTC.
 */

static int
phota_zone_named(const char *name, char *path, size_t size)
{
    char    magic[4];
    FILE   *file;
    size_t  n;

    static const char  chars[] = "abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/";

    if (name[0] < 'A' || name[0] > 'Z'
        || strspn(name, chars) != strlen(name))
    {
        return PHOTA_INVALID;
    }

    (void) snprintf(path, size, ":%s/%s", PHOTA_ZONE_DIR, name);

    file = fopen(path + 1, "re");
    if (file == NULL) {
        return PHOTA_INVALID;
    }

    n = fread(magic, 1, sizeof(magic), file);

    (void) fclose(file);

    return (n == sizeof(magic) && memcmp(magic, "TZif", n) == 0)
           ? PHOTA_OK : PHOTA_INVALID;
}


/* path: as TZ takes it */

static int
phota_zone_system(phota_zone_t *zone, const char *path, uint64_t now,
    phota_error_t *err)
{
    int          rc;
    char        *saved;
    const char  *old;

    old = getenv("TZ");
    saved = NULL;

    if (old != NULL) {
        saved = strdup(old);
        if (saved == NULL) {
            phota_error(err, "time zone: no memory");
            return PHOTA_ERROR;
        }
    }

    if (setenv("TZ", path, 1) != 0) {
        phota_error(err, "time zone: no memory");
        rc = PHOTA_ERROR;

    } else {
        tzset();
        rc = phota_zone_walk(zone, now, err);
    }

    if (saved == NULL) {
        (void) unsetenv("TZ");

    } else if (setenv("TZ", saved, 1) != 0) {
        phota_error(err, "time zone: no memory");
        rc = PHOTA_ERROR;
    }

    tzset();
    free(saved);

    return rc;
}


static int
phota_zone_walk(phota_zone_t *zone, uint64_t now, phota_error_t *err)
{
    int      rc;
    time_t   low, high, mid, step, end;
    int32_t  offset;

    low = phota_zone_year(now, -1);
    end = phota_zone_year(now, PHOTA_ZONE_YEARS);
    offset = phota_zone_libc(low);

    rc = phota_zone_add(zone, 0, offset, err);

    for (step = low; rc == PHOTA_OK && step < end; step = high) {
        low = step;
        high = step + PHOTA_ZONE_STEP;

        if (phota_zone_libc(high) == offset) {
            continue;
        }

        while (high - low > 1) {
            mid = low + (high - low) / 2;

            if (phota_zone_libc(mid) == offset) {
                low = mid;

            } else {
                high = mid;
            }
        }

        /* what was found may not be the last shift of this step */

        offset = phota_zone_libc(high);
        rc = phota_zone_add(zone, (uint64_t) high * 1000, offset, err);
    }

    return rc;
}


static int
phota_zone_add(phota_zone_t *zone, uint64_t from, int32_t offset,
    phota_error_t *err)
{
    phota_shift_t  *shifts;

    if (zone->n == PHOTA_ZONE_SHIFTS) {
        phota_error(err, "time zone \"%s\": changes too often", zone->name);
        return PHOTA_INVALID;
    }

    shifts = realloc(zone->shifts, (zone->n + 1) * sizeof(phota_shift_t));
    if (shifts == NULL) {
        phota_error(err, "time zone: no memory");
        return PHOTA_ERROR;
    }

    zone->shifts = shifts;
    zone->shifts[zone->n].from = from;
    zone->shifts[zone->n].offset = offset;
    zone->n++;

    return PHOTA_OK;
}


/* when the year of now begins, in UTC, and some years away from it */

static time_t
phota_zone_year(uint64_t now, int years)
{
    time_t     sec;
    struct tm  tm, year;

    sec = (time_t) (now / 1000);

    memset(&year, 0, sizeof(year));
    year.tm_mday = 1;
    year.tm_year = 70;

    if (gmtime_r(&sec, &tm) != NULL && tm.tm_year + years > 70) {
        year.tm_year = tm.tm_year + years;
    }

    return timegm(&year);
}


static int32_t
phota_zone_libc(time_t sec)
{
    struct tm  tm;

    return (localtime_r(&sec, &tm) == NULL) ? 0 : (int32_t) tm.tm_gmtoff;
}


int
phota_zone_encode(const phota_zone_t *zone, u_char *buf, size_t *len)
{
    uint32_t        i;
    phota_writer_t  w;

    phota_write_init(&w, buf, *len);

    phota_write_number(&w, PHOTA_ZONE_VERSION, 1);
    phota_write_number(&w, zone->n, 4);

    for (i = 0; i < zone->n; i++) {
        phota_write_number(&w, zone->shifts[i].from, 8);
        phota_write_number(&w, (uint32_t) zone->shifts[i].offset, 4);
    }

    *len = w.pos - w.start;

    return w.rc;
}


int
phota_zone_decode(phota_zone_t *zone, const char *name, const void *p,
    size_t len)
{
    size_t          n;
    uint32_t        i;
    phota_shift_t  *shift;
    phota_reader_t  r;

    memset(zone, 0, sizeof(phota_zone_t));

    phota_read_init(&r, p, len);

    if (phota_read_number(&r, 1) != PHOTA_ZONE_VERSION) {
        return PHOTA_INVALID;
    }

    n = phota_read_number(&r, 4);

    if (n == 0 || n > PHOTA_ZONE_SHIFTS || strlen(name) > PHOTA_ZONE_NAME
        || len != PHOTA_ZONE_HEAD + n * PHOTA_ZONE_SHIFT)
    {
        return PHOTA_INVALID;
    }

    zone->shifts = malloc(n * sizeof(phota_shift_t));
    if (zone->shifts == NULL) {
        return PHOTA_ERROR;
    }

    memcpy(zone->name, name, strlen(name) + 1);
    zone->n = (uint32_t) n;

    for (i = 0; i < zone->n; i++) {
        shift = &zone->shifts[i];

        shift->from = phota_read_number(&r, 8);
        shift->offset = (int32_t) phota_read_number(&r, 4);

        if ((i == 0) != (shift->from == 0)
            || (i > 0 && shift->from <= shift[-1].from)
            || shift->from > PHOTA_ZONE_LAST
            || shift->offset > PHOTA_ZONE_OFFSET
            || shift->offset < -PHOTA_ZONE_OFFSET)
        {
            phota_zone_free(zone);
            return PHOTA_INVALID;
        }
    }

    return PHOTA_OK;
}


static uint32_t
phota_zone_shift(const phota_zone_t *zone, uint64_t now)
{
    uint32_t  low, high, mid;

    low = 0;
    high = zone->n;

    while (high - low > 1) {
        mid = low + (high - low) / 2;

        if (zone->shifts[mid].from <= now) {
            low = mid;

        } else {
            high = mid;
        }
    }

    return low;
}


/* ms of local time since 1970-01-01, which never goes back */

static int64_t
phota_zone_local(const phota_zone_t *zone, uint64_t now)
{
    int64_t               local, before;
    uint32_t              i;
    const phota_shift_t  *shift;

    if (now > PHOTA_ZONE_LAST) {
        now = PHOTA_ZONE_LAST;
    }

    if (zone == NULL) {
        return (int64_t) now;
    }

    i = phota_zone_shift(zone, now);
    shift = &zone->shifts[i];

    local = (int64_t) now + (int64_t) shift->offset * 1000;

    if (i > 0) {
        before = (int64_t) shift->from + (int64_t) shift[-1].offset * 1000 - 1;

        if (local < before) {
            local = before;
        }
    }

    return local > 0 ? local : 0;
}


/* the first moment from now on at which local time is as far as that */

static uint64_t
phota_zone_reach(const phota_zone_t *zone, uint64_t now, int64_t local)
{
    int64_t               ms;
    uint32_t              i;
    const phota_shift_t  *shift;

    if (zone == NULL) {
        return (uint64_t) local;
    }

    for (i = phota_zone_shift(zone, now); /* void */ ; i++) {
        shift = &zone->shifts[i];

        ms = local - (int64_t) shift->offset * 1000;

        if (ms < (int64_t) shift->from) {
            ms = (int64_t) shift->from;
        }

        if (i + 1 == zone->n || ms < (int64_t) shift[1].from) {
            return (uint64_t) ms;
        }
    }
}


uint32_t
phota_zone_day(const phota_zone_t *zone, uint64_t now)
{
    return (uint32_t) (phota_zone_local(zone, now) / PHOTA_DAY);
}


/* 400 years are 146097 days and 4800 months: the quotient errs by one */

uint32_t
phota_zone_month(const phota_zone_t *zone, uint64_t now)
{
    uint32_t  day, month;

    day = phota_zone_day(zone, now);
    month = (uint32_t) ((uint64_t) day * 4800 / 146097);

    if (phota_zone_first(month) > day) {
        return month - 1;
    }

    return month + (phota_zone_first(month + 1) <= day);
}


/* the number of a month's first day */

static uint32_t
phota_zone_first(uint32_t month)
{
    uint32_t  year, before, days;

    static const uint16_t  months[] = {
        0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334
    };

    year = 1970 + month / 12;
    before = year - 1;

    /* 477 leap days were before 1970 */

    days = (year - 1970) * 365 + before / 4 - before / 100 + before / 400
           - 477 + months[month % 12];

    if (month % 12 > 1
        && ((year % 4 == 0 && year % 100 != 0) || year % 400 == 0))
    {
        days++;
    }

    return days;
}


uint64_t
phota_zone_day_end(const phota_zone_t *zone, uint64_t now)
{
    return phota_zone_reach(zone, now, (phota_zone_day(zone, now) + 1)
                                       * PHOTA_DAY);
}


uint64_t
phota_zone_month_end(const phota_zone_t *zone, uint64_t now)
{
    return phota_zone_reach(zone, now,
                            phota_zone_first(phota_zone_month(zone, now) + 1)
                            * PHOTA_DAY);
}
