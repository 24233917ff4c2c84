
/*
 * What the parts of a check share: bytes, in phota_cache_check.c, records, in
 * phota_cache_records.c, and the tables that lead to them, in
 * phota_cache_indexes.c.  Only they know it.
 */


#ifndef _PHOTA_CACHE_CHECK_H_INCLUDED_
#define _PHOTA_CACHE_CHECK_H_INCLUDED_


#include "phota_cache_record.h"


#define PHOTA_CHECK_KEY   511       /* the longest of LMDB */
#define PHOTA_CHECK_NAME  96        /* "picture 7/DIGEST" */


/* a growing list of things of one size */

typedef struct {
    u_char                *items;
    size_t                 n;
    size_t                 room;
    size_t                 size;    /* of one */
} phota_list_t;


typedef struct {
    phota_cache_t         *cache;
    phota_cache_report_t  *report;
    phota_damage_pt        handler;
    void                  *ctx;
    phota_error_t         *err;
    uint64_t               now;
    uint64_t               wrong;   /* things, since it was set to 0 */
    unsigned               mend:1;
    unsigned               silent:1;
} phota_check_t;


/* one look at all records, or one in which they are mended */

typedef struct {
    phota_check_t        *check;
    MDB_txn              *txn;
    unsigned              write:1;
    uint64_t              removed;

    phota_list_t          holders;  /* pictures and how many hold each */
    phota_list_t          bad;      /* keys of results that must go */
    phota_list_t          lost;     /* keys of those nothing leads to */
    phota_list_t          refs;     /* those that count it wrong */
} phota_records_t;


/* counts one thing that is wrong, and says so */
void phota_check_say(phota_check_t *k, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* how messages call a picture and a result */
void phota_check_picture_name(char buf[PHOTA_CHECK_NAME], uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN]);
void phota_check_result_name(char buf[PHOTA_CHECK_NAME],
    const phota_cache_key_t *key);

/* PHOTA_ERROR for an MDB code, with the path of the environment */
int phota_check_fail(phota_check_t *k, int rc);

/* records against each other; in mend what doesn't fit is put right */
int phota_check_records(phota_check_t *k);

/* order, expiry and garbage: an MDB code */
int phota_records_indexes(phota_records_t *r);


#endif /* _PHOTA_CACHE_CHECK_H_INCLUDED_ */
