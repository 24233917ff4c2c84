
/*
 * The books: holds, what became of them, and roll-ups, in micro-USD.  Entries
 * are append-only, each with a hash over itself and its predecessor; a charge
 * is the present view of its entries.  Writers take a transaction so that a
 * thread can commit many at once; after PHOTA_ERROR it has to be aborted, any
 * other code leaves it good.
 */


#ifndef _PHOTA_LEDGER_H_INCLUDED_
#define _PHOTA_LEDGER_H_INCLUDED_


#include "phota_store.h"


/* stored: never renumber */

typedef enum {
    PHOTA_STATE_HELD = 1,
    PHOTA_STATE_SETTLED,
    PHOTA_STATE_VOID,
    PHOTA_STATE_UNKNOWN,
    PHOTA_STATE_REVERSED
} phota_state_e;


typedef enum {
    PHOTA_CACHED_MISS = 1,
    PHOTA_CACHED_HIT,
    PHOTA_CACHED_JOIN,
    PHOTA_CACHED_BYPASS
} phota_cached_e;


/* why an entry was written */

typedef enum {
    PHOTA_REASON_NONE = 0,
    PHOTA_REASON_DELIVERED,         /* a complete answer with outputs */
    PHOTA_REASON_NOT_SENT,          /* the request never left whole */
    PHOTA_REASON_REFUSED,           /* a complete 4xx, 503 or 504 */
    PHOTA_REASON_SERVER_ERROR,      /* 500, 502, other 5xx */
    PHOTA_REASON_REDIRECT,          /* 3xx, or another status not awaited */
    PHOTA_REASON_TRUNCATED,         /* cut before its end */
    PHOTA_REASON_UNPARSABLE,        /* 200, but no answer or no outputs */
    PHOTA_REASON_TIMEOUT,           /* our own */
    PHOTA_REASON_RESET,             /* no status after the last byte */
    PHOTA_REASON_ACCEPTED,          /* 202: a job */
    PHOTA_REASON_ABANDONED,         /* its worker died or was stopped */
    PHOTA_REASON_RECOVERED,         /* settled by its result in the cache */
    PHOTA_REASON_OPERATOR
} phota_reason_e;


/* who holds: a slot of books/owners and a number never used again */

typedef struct {
    uint32_t        slot;
    uint64_t        epoch;
} phota_owner_t;


typedef struct {
    phota_id_t      id;
    uint64_t        time;           /* ms, of the hold */
    uint64_t        updated;        /* ms, of the last entry */
    uint32_t        tenant;
    uint32_t        token;
    uint32_t        price_version;
    uint8_t         provider;       /* phota_provider_e */
    uint8_t         operation;      /* phota_op_e */
    uint8_t         state;          /* phota_state_e */
    uint8_t         cached;         /* phota_cached_e */
    uint8_t         reason;         /* phota_reason_e */
    phota_owner_t   owner;

    uint32_t        asked;          /* outputs held for */
    uint32_t        outputs;        /* delivered */
    uint32_t        identity_low;
    uint32_t        identity_high;
    uint32_t        status;         /* the upstream's, 0 for none */

    int64_t         rate;           /* micro-USD an output */
    int64_t         identity_rate;
    int64_t         held;           /* price held */
    int64_t         cost;
    int64_t         cost_high;      /* by identity_high */
    int64_t         price;
    int64_t         saved;

    u_char          fingerprint[PHOTA_SHA256_LEN];
    char            request_id[PHOTA_REQUEST_ID_MAX + 1];  /* upstream's */
    char            tag[PHOTA_NAME_MAX + 1];
} phota_charge_t;


/* how a held or unknown charge ended */

typedef struct {
    uint8_t         state;          /* SETTLED, VOID or UNKNOWN */
    uint8_t         reason;
    uint32_t        status;
    uint32_t        outputs;
    uint32_t        identity_low;
    uint32_t        identity_high;
    char            request_id[PHOTA_REQUEST_ID_MAX + 1];
} phota_outcome_t;


typedef struct {
    uint32_t        tenant;
    uint8_t         operation;
    uint64_t        calls;          /* settled ones and hits */
    uint64_t        hits;
    uint64_t        outputs;        /* bought */
    uint64_t        identity_outputs;
    int64_t         cost;
    int64_t         price;
    int64_t         saved;
} phota_usage_t;


typedef struct {
    phota_store_t  *store;
    MDB_dbi         entries;        /* sequence -> entry */
    MDB_dbi         charges;        /* charge id -> charge */
    MDB_dbi         open;           /* charge id of the held and unknown */
    MDB_dbi         owners;         /* slot -> epoch */
    MDB_dbi         rollups;        /* day, tenant, operation -> usage */
    int             lock_fd;        /* books/owners, -1 until needed */
    unsigned        lock_rdonly:1;  /* enough to ask, not to own */
    phota_owner_t   self;           /* epoch 0: not an owner */
} phota_ledger_t;


typedef int (*phota_charge_pt)(void *ctx, const phota_charge_t *charge);
typedef int (*phota_usage_pt)(void *ctx, const phota_usage_t *usage);


int phota_ledger_open(phota_ledger_t *l, phota_store_t *store,
    phota_error_t *err);
void phota_ledger_close(phota_ledger_t *l);

/*
 * Takes a free slot by a kernel lock and a new epoch; the lock lives as long
 * as the process.  Waits for the writer's lock.
 */
int phota_ledger_own(phota_ledger_t *l, phota_error_t *err);

/* 1 when the owner's process lives, or that can't be found out */
int phota_ledger_alive(phota_ledger_t *l, MDB_txn *txn,
    const phota_owner_t *owner);

/*
 * Writes the hold.  The caller fills tenant, token, provider, operation,
 * cached, asked, rates and their version, held, fingerprint, tag and id;
 * state, owner, updated and time, which is the id's, are set here.
 * PHOTA_REFUSED when there is a charge of this id, PHOTA_INVALID when amounts
 * are negative or phota_ledger_own() has not been called.
 */
int phota_ledger_hold(phota_ledger_t *l, MDB_txn *txn, phota_charge_t *charge,
    phota_error_t *err);

/*
 * Ends a held charge, or resolves an unknown one; amounts follow from the
 * rates that it holds.  charge, if not NULL, receives the new view.
 * PHOTA_REFUSED when it has ended already, or is unknown and would be so again
 * (charge is filled all the same), PHOTA_DECLINED when there is none.  A status
 * of 0 or an empty request_id keeps what an earlier entry said.
 */
int phota_ledger_end(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    const phota_outcome_t *outcome, phota_charge_t *charge,
    phota_error_t *err);

/* a free hit: roll-up only.  saved in micro-USD; time in ms */
int phota_ledger_hit(phota_ledger_t *l, MDB_txn *txn, uint64_t time,
    uint32_t tenant, uint8_t operation, uint64_t hits, int64_t saved,
    phota_error_t *err);

/* as it is written, whoever lives; PHOTA_DECLINED when there is none */
int phota_ledger_get(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    phota_charge_t *charge);

/*
 * In order of time, from <= time < to (ms; 0: unbounded).  A held charge whose
 * owner is dead reads as unknown, abandoned; phota_ledger_get() tells it from
 * one that is written so.  The list of open ones: held and unknown.  No
 * transaction is open during the calls of phota_ledger_each().  Both stop when
 * a handler returns anything but PHOTA_OK, and return that.  A charge whose
 * record is missing or damaged is left out: at the end phota_ledger_each()
 * returns PHOTA_ERROR, phota_ledger_each_open() PHOTA_INVALID, for the rest was
 * visited and the transaction is good; err names the first of them.
 */
int phota_ledger_each(phota_ledger_t *l, uint64_t from, uint64_t to,
    phota_charge_pt handler, void *ctx, phota_error_t *err);
int phota_ledger_each_open(phota_ledger_t *l, MDB_txn *txn,
    phota_charge_pt handler, void *ctx, phota_error_t *err);

/*
 * Sums by tenant and operation, in that order, of the whole UTC days of
 * from <= time < to (ms, 0: open).  A charge counts on the day of its hold,
 * which is its time, whenever it was settled.
 */
int phota_ledger_usage(phota_ledger_t *l, uint64_t from, uint64_t to,
    phota_usage_pt handler, void *ctx, phota_error_t *err);

/*
 * Walks the chain and recomputes the roll-ups' and charges' view of it.
 * PHOTA_INVALID with what is wrong and where in err.
 */
int phota_ledger_verify(phota_ledger_t *l, uint64_t *entries,
    u_char chain[PHOTA_SHA256_LEN], phota_error_t *err);

const char *phota_state_name(unsigned state);
const char *phota_cached_name(unsigned cached);
const char *phota_reason_name(unsigned reason);


#endif /* _PHOTA_LEDGER_H_INCLUDED_ */
