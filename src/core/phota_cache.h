
/*
 * Bought results: an answer's body in chunks of 16 LMDB pages, a record that
 * says what it is and which charge paid for it, and the order in which results
 * go when there is no room.  The environment may be deleted at any time while
 * nothing runs; losing it costs hits, never money.
 */


#ifndef _PHOTA_CACHE_H_INCLUDED_
#define _PHOTA_CACHE_H_INCLUDED_


#include "phota_store.h"


#define PHOTA_CHUNK         65520   /* bytes of body in a chunk: with LMDB's
                                       page header 16 pages of 4096 */
#define PHOTA_CONTENT_TYPE  64


typedef struct {
    phota_store_t  *store;
    MDB_dbi         results;        /* key -> result */
    MDB_dbi         chunks;         /* result id, index -> bytes */
    MDB_dbi         charges;        /* charge id -> what it bought */
    MDB_dbi         order;          /* last use (ms), result id -> key */
    MDB_dbi         expiry;         /* expires (ms), result id -> key */
    MDB_dbi         garbage;        /* due (ms), result id -> bytes */
    uint64_t        max_size;       /* bytes of bodies */
    uint64_t        full;           /* ms, when making room didn't help */
} phota_cache_t;


/* what is asked for: compared as bytes, no padding */

typedef struct {
    u_char          fingerprint[PHOTA_SHA256_LEN];
    u_char          mode;           /* phota_mode_e */
    u_char          outputs;
} phota_cache_key_t;


typedef struct {
    phota_id_t      id;             /* the charge that bought it */
    uint64_t        stored;         /* ms */
    uint64_t        expires;        /* ms */
    uint64_t        used;           /* ms, coarse: within a minute */
    uint64_t        length;         /* bytes of body */
    uint32_t        tenant;
    uint32_t        status;         /* the upstream's, 200 */
    uint32_t        outputs;
    uint32_t        identity_low;
    uint32_t        identity_high;
    int64_t         cost;           /* micro-USD, what was paid */
    u_char          digest[PHOTA_SHA256_LEN];   /* of the body */
    char            content_type[PHOTA_CONTENT_TYPE + 1];
    char            request_id[PHOTA_REQUEST_ID_MAX + 1];
} phota_result_t;


/* fills buf with exactly len bytes of the body from offset */
typedef int (*phota_cache_read_pt)(void *ctx, u_char *buf, size_t len,
    uint64_t offset);


int phota_cache_open(phota_cache_t *c, phota_store_t *store,
    uint64_t max_size, phota_error_t *err);

/* address space for a cache of that size, for phota_store_open() */
size_t phota_cache_map(uint64_t max_size);

/*
 * PHOTA_OK with the result; PHOTA_DECLINED when there is none, it has expired
 * at now (ms), or its record is damaged.
 */
int phota_cache_find(phota_cache_t *c, MDB_txn *txn,
    const phota_cache_key_t *key, uint64_t now, phota_result_t *result);

/*
 * What a charge bought, for recovery: known for two days, whether its result is
 * still there or not.  Fills id, stored, tenant, status, outputs, identity_low,
 * identity_high, cost and request_id; all else is zero.  PHOTA_DECLINED when
 * nothing, or its record is damaged.
 */
int phota_cache_find_charge(phota_cache_t *c, MDB_txn *txn,
    const phota_id_t *id, phota_result_t *result);

/*
 * Where chunk number index of a result lies in the map, valid while txn is.
 * PHOTA_DECLINED when it is gone or has not the length that it must have.
 */
int phota_cache_chunk(phota_cache_t *c, MDB_txn *txn,
    const phota_result_t *result, uint32_t index, const u_char **p,
    size_t *len);

/*
 * Stores a result, own transactions: first makes room, then writes everything
 * in one.  A result under the same key is replaced; its chunks stay for
 * a while for those who are still sending it, as long as a quarter of max_size
 * holds them.  Sets digest, used, and stored if it is 0.  PHOTA_OK also when
 * this very charge's result is there already; PHOTA_DECLINED when it is larger
 * than the cache; PHOTA_ERROR when read fails or LMDB does.  Where the map is
 * full the oldest quarter goes, once: when that doesn't help, not again for
 * a minute.
 */
int phota_cache_store(phota_cache_t *c, const phota_cache_key_t *key,
    phota_result_t *result, phota_cache_read_pt read, void *ctx,
    phota_error_t *err);

/* moves used results to the young end; n keys; durable with the next commit */
int phota_cache_touch(phota_cache_t *c, const phota_cache_key_t *keys,
    unsigned n, uint64_t now, phota_error_t *err);

/*
 * One bounded batch of background work: expired results, garbage that is due,
 * the least recently used when over max_size, records of what charges of more
 * than two days ago bought.  *more is set when there is work left.
 */
int phota_cache_sweep(phota_cache_t *c, uint64_t now, int *more,
    phota_error_t *err);

int phota_cache_stats(phota_cache_t *c, uint64_t *results, uint64_t *bytes,
    phota_error_t *err);


#endif /* _PHOTA_CACHE_H_INCLUDED_ */
