
/*
 * Idempotency keys: which charge a tenant's key stands for, for 24 hours.  A
 * row is written in the transaction of its hold, so both share one fate.
 */


#ifndef _PHOTA_REPLAY_H_INCLUDED_
#define _PHOTA_REPLAY_H_INCLUDED_


#include "phota_store.h"


#define PHOTA_REPLAY_VALID    ((uint64_t) 86400000)     /* ms */
#define PHOTA_REPLAY_KEY_MAX  255                       /* bytes, as sent */


typedef struct {
    u_char          fingerprint[PHOTA_SHA256_LEN];
    phota_id_t      charge;
    uint64_t        expires;        /* ms */
} phota_replay_t;


typedef struct {
    phota_store_t  *store;
    MDB_dbi         replays;        /* tenant, SHA-256 of the key -> row */
    MDB_dbi         expiry;         /* expires, tenant, SHA-256 */
} phota_replays_t;


int phota_replays_open(phota_replays_t *p, phota_store_t *store,
    phota_error_t *err);

/* SHA-256 of the key's bytes: what get and put take */
int phota_replay_digest(u_char digest[PHOTA_SHA256_LEN], const u_char *key,
    size_t len);

/* PHOTA_DECLINED when there is none, or its time is over at now (ms) */
int phota_replay_get(phota_replays_t *p, MDB_txn *txn, uint32_t tenant,
    const u_char digest[PHOTA_SHA256_LEN], uint64_t now,
    phota_replay_t *replay);

/* replaces what is there; removes a few whose time was over at now (ms) */
int phota_replay_put(phota_replays_t *p, MDB_txn *txn, uint32_t tenant,
    const u_char digest[PHOTA_SHA256_LEN], const phota_replay_t *replay,
    uint64_t now, phota_error_t *err);

/* takes all of a tenant's keys out */
int phota_replay_remove(phota_replays_t *p, MDB_txn *txn, uint32_t tenant,
    phota_error_t *err);


#endif /* _PHOTA_REPLAY_H_INCLUDED_ */
