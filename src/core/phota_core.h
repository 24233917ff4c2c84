
/*
 * What every file of core/ shares: return codes, strings, errors that explain
 * themselves, identifiers, money and time as text.  core/ is plain C11 and
 * knows neither nginx nor the command line.
 */


#ifndef _PHOTA_CORE_H_INCLUDED_
#define _PHOTA_CORE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


#define PHOTA_VERSION    "0.1.0"


#define PHOTA_OK         0
#define PHOTA_ERROR     -1      /* the machine failed: disk, memory, LMDB */
#define PHOTA_INVALID   -2      /* the caller's data is wrong */
#define PHOTA_DECLINED  -5      /* no such thing, or nothing to do */
#define PHOTA_REFUSED   -6      /* it exists and its state forbids this */
#define PHOTA_EXCEEDED  -7      /* a limit forbids it */


#define PHOTA_SHA256_LEN     32
#define PHOTA_NAME_MAX       64     /* a tenant's name, a tag, a label */
#define PHOTA_NOTE_MAX       128    /* why an operator did something */
#define PHOTA_REQUEST_ID_MAX 128    /* the upstream's request id, kept bytes */

#define PHOTA_PROFILE_ID_MAX 128    /* bytes; a longer one is nobody's */
#define PHOTA_PROFILE_TAG_MAX 512   /* bytes: 128 characters */
#define PHOTA_JOB_ID_MAX     255    /* bytes, the upstream's */
#define PHOTA_URL_MAX        2048   /* bytes, of callbacks and links */
#define PHOTA_ID_TEXT        30     /* "ch_" + 26 characters + NUL */
#define PHOTA_USD_TEXT       32
#define PHOTA_TIME_TEXT      32


#define PHOTA_PPM            1000000    /* a share of one, and 100 % */


typedef struct {
    size_t          len;
    const u_char   *data;
} phota_str_t;


#define phota_string(s)  { sizeof(s) - 1, (const u_char *) s }


/* a sentence for a human: what, where, and what to do; never a secret */

typedef struct {
    char            text[256];
} phota_error_t;


/* time-ordered and unguessable: 48 bits of ms since 1970, 80 random bits */

typedef struct {
    u_char          b[16];
} phota_id_t;


/* err may be NULL */
void phota_error(phota_error_t *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Told by long works, from any of their threads, how far they are, in any unit.
 * NULL: nobody wants to know, as in nginx.
 */
typedef void (*phota_work_pt)(const char *what, uint64_t done,
    uint64_t total);

extern phota_work_pt  phota_work;

#define phota_working(what, done, total)                                      \
    do {                                                                      \
        if (phota_work != NULL) {                                             \
            phota_work(what, done, total);                                    \
        }                                                                     \
    } while (0)


/* ms since 1970, wall clock */
uint64_t phota_now(void);

/* PHOTA_ERROR when the system has no random bytes */
int phota_id_create(phota_id_t *id, uint64_t ms);

/* "ch_" and 26 characters of Crockford's base 32; buf has PHOTA_ID_TEXT */
void phota_id_format(char *buf, const phota_id_t *id);
int phota_id_parse(phota_id_t *id, const char *text, size_t len);

/* "0.240000"; negative amounts begin with '-'; buf has PHOTA_USD_TEXT */
void phota_usd_format(char *buf, int64_t micro);

/* "0.12", "5", "0.120000": at most six decimals; PHOTA_INVALID otherwise */
int phota_usd_parse(int64_t *micro, const char *text, size_t len);

/* RFC 3339 in UTC with milliseconds; buf has PHOTA_TIME_TEXT */
void phota_time_format(char *buf, uint64_t ms);

/* "2026-11-21" or RFC 3339 with Z or an offset */
int phota_time_parse(uint64_t *ms, const char *text, size_t len);

/* lower-case hex and NUL: buf has 2 * len + 1 */
void phota_hex_format(char *buf, const u_char *p, size_t len);

/* PHOTA_INVALID unless text is 2 * len hex digits */
int phota_hex_parse(u_char *p, size_t len, const char *text, size_t n);


#endif /* _PHOTA_CORE_H_INCLUDED_ */
