
/*
 * How a result lies in its table, and the keys of the other tables.  Only the
 * cache's own files know it.  Functions return MDB codes.
 */


#ifndef _PHOTA_CACHE_RECORD_H_INCLUDED_
#define _PHOTA_CACHE_RECORD_H_INCLUDED_


#include "phota_cache.h"


#define PHOTA_RESULT_MAX   512      /* no record is longer */
#define PHOTA_MOMENT_LEN   (8 + sizeof(phota_id_t))
#define PHOTA_CHUNK_KEY    (sizeof(phota_id_t) + 4)


/* keys of order, expiry and garbage */

typedef struct {
    uint64_t        time;
    phota_id_t      id;
} phota_moment_t;


/* kept with the tables, in the same transactions */

typedef struct {
    uint64_t        results;
    uint64_t        bytes;          /* of results */
    uint64_t        garbage;        /* bytes that wait to be deleted */
} phota_cache_totals_t;


void phota_moment_encode(u_char buf[PHOTA_MOMENT_LEN],
    const phota_moment_t *moment);
int phota_moment_decode(phota_moment_t *moment, const MDB_val *key);

int phota_cache_key_decode(phota_cache_key_t *key, const MDB_val *value);

/* the key is part of the checksum: a record counts in its place only */
int phota_result_encode(const phota_cache_key_t *key,
    const phota_result_t *result, u_char *buf, size_t *len);

/* MDB_NOTFOUND when there is none, MDB_CORRUPTED when it is damaged */
int phota_result_read(phota_cache_t *c, MDB_txn *txn,
    const phota_cache_key_t *key, phota_result_t *result);
int phota_result_write(phota_cache_t *c, MDB_txn *txn,
    const phota_cache_key_t *key, const phota_result_t *result,
    unsigned flags);

/*
 * What a charge bought: a record of its own, for who buys has to know it when
 * the result has been replaced or has gone.  MDB_KEYEXIST when there is one.
 */
int phota_bought_read(phota_cache_t *c, MDB_txn *txn, const phota_id_t *id,
    phota_result_t *result);
int phota_bought_write(phota_cache_t *c, MDB_txn *txn,
    const phota_result_t *result);

int phota_totals_read(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals);
int phota_totals_write(phota_cache_t *c, MDB_txn *txn,
    const phota_cache_totals_t *totals);

void phota_chunk_key(u_char buf[PHOTA_CHUNK_KEY], const phota_id_t *id,
    uint32_t index);

/*
 * phota_cache_room.c: takes results out of the tables.  A pass does at most
 * PHOTA_CACHE_BATCH of each kind of work; limit is the bytes of results that
 * may stay, force deletes garbage before it is due; *more is set when work is
 * left.
 */

#define PHOTA_CACHE_BATCH  64

int phota_cache_pass(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t limit, uint64_t now, int force,
    int *more);

/* takes out what charges bought that are too old to be recovered */
int phota_cache_prune(phota_cache_t *c, MDB_txn *txn, uint64_t now,
    int *more);

/* one result; grace: keep its chunks however long ago it was used */
int phota_cache_retire(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, const phota_moment_t *moment,
    uint64_t now, int grace);


#endif /* _PHOTA_CACHE_RECORD_H_INCLUDED_ */
