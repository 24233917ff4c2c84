
/*
 * The books: holds, what became of them, and roll-ups, in micro-USD.  Entries
 * are append-only, each with a hash over itself and its predecessor; a charge
 * is the present view of its entries.  Writers take a transaction so that a
 * thread can commit many at once; after PHOTA_ERROR it has to be aborted, any
 * other code leaves it good.
 */


#ifndef _PHOTA_LEDGER_H_INCLUDED_
#define _PHOTA_LEDGER_H_INCLUDED_


#include "phota_budget.h"
#include "phota_plan.h"
#include "phota_seal.h"
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
    PHOTA_REASON_OPERATOR,          /* by hand */
    PHOTA_REASON_BILL,              /* by the provider's bill */
    PHOTA_REASON_DEADLINE,          /* unknown for too long */
    PHOTA_REASON_SERVED,            /* a hit or join that has a price */
    PHOTA_REASON_JOB_FAILED,        /* the upstream's job came to nothing */
    PHOTA_REASON_JOB_LOST,          /* it is gone, or never ends */
    PHOTA_REASON_DUPLICATE,         /* the upstream had the job already */
    PHOTA_REASON_TRAINING           /* a training that ended in ERROR */
} phota_reason_e;


#define PHOTA_TAG_OTHER      "(other)"  /* of free hits, when they are many */

#define PHOTA_CHARGE_BILLED  0x01   /* cost is the bill's, not the terms' */


/*
 * Who holds: a slot of books/owners and a number never used again.  A job's
 * hold has PHOTA_OWNER_JOB for a slot, and for a number that of the entry by
 * which it was accepted: it always lives.
 */

#define PHOTA_OWNER_JOB  UINT32_MAX


typedef struct {
    uint32_t         slot;
    uint64_t         epoch;
} phota_owner_t;


typedef struct {
    phota_id_t       id;
    uint64_t         time;          /* ms, of the first entry, the id's */
    uint64_t         updated;       /* ms, of the last entry */
    uint32_t         tenant;        /* 0: nobody's, found on a bill */
    uint32_t         token;         /* 0: none */
    uint8_t          provider;      /* phota_provider_e */
    uint8_t          operation;     /* phota_op_e or PHOTA_OP_OTHER */
    uint8_t          state;         /* phota_state_e */
    uint8_t          cached;        /* phota_cached_e */
    uint8_t          reason;        /* phota_reason_e */
    uint8_t          flags;         /* PHOTA_CHARGE_... */
    phota_owner_t    owner;
    phota_windows_t  windows;       /* of the budgets that it counts in */
    phota_terms_t    terms;

    uint32_t         asked;         /* outputs held for */
    uint32_t         asked_identity;    /* of them at the identity rate */
    uint32_t         outputs;       /* delivered */
    uint32_t         identity_low;
    uint32_t         identity_high;
    uint32_t         status;        /* the upstream's, 0 for none */

    int64_t          held;          /* price held, by asked */
    int64_t          cost;
    int64_t          cost_high;     /* by identity_high */
    int64_t          price;
    int64_t          saved;

    u_char           fingerprint[PHOTA_SHA256_LEN];
    char             request_id[PHOTA_REQUEST_ID_MAX + 1];  /* upstream's */
    char             tag[PHOTA_NAME_MAX + 1];
} phota_charge_t;


/* how a charge ended, or what it should have been */

typedef struct {
    uint8_t          state;         /* SETTLED, VOID or UNKNOWN */
    uint8_t          reason;
    unsigned         billed:1;      /* cost is given, and counts */
    uint32_t         status;
    uint32_t         outputs;
    uint32_t         identity_low;
    uint32_t         identity_high;
    int64_t          cost;          /* if billed */
    char             request_id[PHOTA_REQUEST_ID_MAX + 1];
    char             by[PHOTA_NAME_MAX + 1];    /* who; "": the gateway */
    char             note[PHOTA_NOTE_MAX + 1];  /* why */
} phota_outcome_t;


/* sums of what entries add to the books; reversals subtract */

typedef struct {
    int64_t          calls;         /* bought ones and hits */
    int64_t          hits;          /* and joins */
    int64_t          outputs;       /* bought */
    int64_t          identity_outputs;
    int64_t          cost;
    int64_t          price;
    int64_t          saved;
} phota_sum_t;


/* stored: never renumber.  What kind an entry is; the first five as a state */

typedef enum {
    PHOTA_ENTRY_HELD = 1,
    PHOTA_ENTRY_SETTLED,
    PHOTA_ENTRY_VOID,
    PHOTA_ENTRY_UNKNOWN,
    PHOTA_ENTRY_REVERSED,
    PHOTA_ENTRY_CORRECTED,          /* settled or void -> settled anew */
    PHOTA_ENTRY_HITS,               /* free hits of a day, no charge */
    PHOTA_ENTRY_ACCEPTED            /* held -> held, for a job */
} phota_entry_e;


/*
 * An entry.  charge is the view after it; of a REVERSED one its amounts are 0
 * and those that were taken back stand in delta, with a minus.  Of HITS only
 * tenant, token, operation and tag of charge are set.  owner, windows, asked,
 * asked_identity and held are in a charge's first entry only; an ACCEPTED one
 * is the owner itself.
 */

typedef struct {
    uint64_t         sequence;      /* from 1, no gaps */
    uint64_t         time;          /* ms, never goes back */
    uint32_t         day;           /* UTC, on which delta counts */
    uint8_t          type;          /* phota_entry_e */
    unsigned         first:1;       /* its charge begins with it */
    phota_sum_t      delta;
    phota_charge_t   charge;
    char             by[PHOTA_NAME_MAX + 1];
    char             note[PHOTA_NOTE_MAX + 1];
    size_t           covered;       /* bytes that the hash covers */
    const u_char    *hash;          /* in the record */
} phota_entry_t;


typedef enum {
    PHOTA_USAGE_OPERATION = 0,      /* by tenant and operation */
    PHOTA_USAGE_DAY,                /* and by one of these */
    PHOTA_USAGE_TOKEN,
    PHOTA_USAGE_TAG
} phota_usage_e;


/* a row of what was used; day, token and tag only where asked for */

typedef struct {
    uint32_t         day;           /* since 1970-01-01, UTC */
    uint32_t         tenant;
    uint32_t         token;
    uint8_t          operation;
    char             tag[PHOTA_NAME_MAX + 1];
    phota_sum_t      sum;
} phota_usage_t;


/* what becomes of unknown charges that nobody resolves */

typedef struct {
    uint64_t         after;         /* ms since the hold, 0: nothing */
    uint8_t          state;         /* SETTLED (as held for) or VOID */
} phota_deadline_t;


typedef struct {
    phota_store_t   *store;
    phota_budgets_t  budgets;
    MDB_dbi          entries;       /* sequence -> entry */
    MDB_dbi          charges;       /* charge id -> charge that has ended */
    MDB_dbi          open;          /* held, unknown, or ended just now; the
                                       chain's end */
    MDB_dbi          owners;        /* slot -> epoch; slot, 'k' -> epoch and
                                       ids of its master keys */
    MDB_dbi          rollups;       /* day, tenant, operation -> sums; the
                                       same, token, tag -> details */
    MDB_dbi          loose;         /* key of a detail: hits not in entries */
    int              lock_fd;       /* books/owners, -1 until needed */
    unsigned         lock_rdonly:1; /* enough to ask, not to own */
    phota_owner_t    self;          /* epoch 0: not an owner */
    u_char           known[2 * PHOTA_MASTER_ID];
    size_t           nknown;        /* bytes */
} phota_ledger_t;


/* PHOTA_EXCEEDED and shortage say why a limit refused */

typedef struct {
    const phota_limits_t  *tenant;  /* NULL: none */
    const phota_limits_t  *token;
    phota_shortage_t       shortage;
} phota_allowance_t;


/* how far the books go */

typedef struct {
    uint64_t         entries;       /* in all */
    uint64_t         archived;
    uint64_t         checked;       /* the latest, that were looked at */
    uint64_t         time;          /* ms, of the last one; 0: none */
    uint32_t         closed;        /* days before it take no more */
} phota_outline_t;


typedef int (*phota_charge_pt)(void *ctx, const phota_charge_t *charge);
typedef int (*phota_usage_pt)(void *ctx, const phota_usage_t *usage);
typedef int (*phota_entry_pt)(void *ctx, const phota_entry_t *entry);


int phota_ledger_open(phota_ledger_t *l, phota_store_t *store,
    phota_error_t *err);
void phota_ledger_close(phota_ledger_t *l);

/* once more, after the store was: the lock and the epoch stay as they are */
int phota_ledger_reopen(phota_ledger_t *l, phota_error_t *err);

/*
 * Takes a free slot by a kernel lock and a new epoch; the lock lives as long
 * as the process.  Waits for the writer's lock.
 */
int phota_ledger_own(phota_ledger_t *l, phota_error_t *err);

/* before it takes a slot: which master keys this process knows */
int phota_ledger_know(phota_ledger_t *l, const phota_master_t *master,
    phota_error_t *err);

/* owners that live and don't know the key of this id; or can't be asked */
unsigned phota_ledger_ignorant(phota_ledger_t *l, MDB_txn *txn,
    const u_char id[PHOTA_MASTER_ID]);

/* 1 when the owner's process lives, or can't be asked about; or is a job */
int phota_ledger_alive(phota_ledger_t *l, MDB_txn *txn,
    const phota_owner_t *owner);

/* 1 when another process is an owner, or that can't be found out */
int phota_ledger_inhabited(phota_ledger_t *l);

/*
 * Writes the hold, after the limits were asked in the same transaction.  The
 * caller fills id, tenant, token, provider, operation, cached, windows, terms,
 * asked, asked_identity, fingerprint and tag; held follows from them, all else
 * is set here.  allowance NULL: no limits.  PHOTA_EXCEEDED; PHOTA_REFUSED when
 * there is a charge of this id; PHOTA_INVALID when an amount doesn't fit or
 * phota_ledger_own() has not been called.
 */
int phota_ledger_hold(phota_ledger_t *l, MDB_txn *txn, phota_charge_t *charge,
    phota_allowance_t *allowance, phota_error_t *err);

/*
 * A hit or join that has a price: settled by its first entry, under the same
 * limits.  Beside what a hold needs the caller fills outputs, identity_low and
 * saved; cost is 0.
 */
int phota_ledger_sell(phota_ledger_t *l, MDB_txn *txn, phota_charge_t *charge,
    phota_allowance_t *allowance, phota_error_t *err);

/*
 * What the provider billed and no charge explains: settled by its first entry,
 * at the cost that the outcome gives.  The caller fills id, tenant (0: nobody,
 * then the price is 0), token (0: none), provider, operation, terms, windows
 * and tag.
 */
int phota_ledger_book(phota_ledger_t *l, MDB_txn *txn, phota_charge_t *charge,
    const phota_outcome_t *outcome, phota_error_t *err);

/*
 * The upstream took a held charge on as a job: from now on it is held without
 * an owner, however long, until phota_ledger_end().  PHOTA_REFUSED when it is
 * so already, or not held (charge is filled all the same); PHOTA_DECLINED when
 * there is none.  An unknown one is held again.
 */
int phota_ledger_accept(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    unsigned status, const char *request_id, phota_charge_t *charge,
    phota_error_t *err);

/*
 * Ends a held charge, or resolves an unknown one; amounts follow from its terms
 * or from what was billed.  charge, if not NULL, receives the new view.
 * PHOTA_REFUSED when it has ended already, or is unknown and would be so again
 * (charge is filled all the same), PHOTA_DECLINED when there is none.  A status
 * of 0 or an empty request_id keeps what an earlier entry said.
 */
int phota_ledger_end(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    const phota_outcome_t *outcome, phota_charge_t *charge,
    phota_error_t *err);

/*
 * The same for those who are not its worker: PHOTA_REFUSED also while the
 * owner of a held one lives, unless that is a job: it has no worker.
 */
int phota_ledger_resolve(phota_ledger_t *l, MDB_txn *txn,
    const phota_id_t *id, const phota_outcome_t *outcome,
    phota_charge_t *charge, phota_error_t *err);

/*
 * Settles anew what is settled or void; PHOTA_REFUSED in any other state, of a
 * hit or join, and when these are its amounts already.
 */
int phota_ledger_correct(phota_ledger_t *l, MDB_txn *txn,
    const phota_id_t *id, const phota_outcome_t *outcome,
    phota_charge_t *charge, phota_error_t *err);

/* takes a settled charge back, once: PHOTA_REFUSED in any other state */
int phota_ledger_reverse(phota_ledger_t *l, MDB_txn *txn,
    const phota_id_t *id, unsigned reason, const char *by, const char *note,
    phota_charge_t *charge, phota_error_t *err);

/*
 * Free hits: roll-ups at once, an entry for them later.  Beyond some hundred
 * tags of a tenant and day the rest counts under "(other)".  time in ms, saved
 * in micro-USD.
 */
int phota_ledger_hit(phota_ledger_t *l, MDB_txn *txn, uint64_t time,
    uint32_t tenant, uint32_t token, uint8_t operation, const char *tag,
    uint64_t hits, int64_t saved, phota_error_t *err);

/*
 * Writes entries for free hits that have none, at most limit of them; *more is
 * set when some are left.
 */
int phota_ledger_tally(phota_ledger_t *l, MDB_txn *txn, unsigned limit,
    int *more, phota_error_t *err);

/* as it is written, whoever lives; PHOTA_DECLINED when there is none */
int phota_ledger_get(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    phota_charge_t *charge);

/* the sequence number of its first entry; PHOTA_DECLINED as above */
int phota_ledger_begins(phota_ledger_t *l, const phota_id_t *id,
    uint64_t *sequence, phota_error_t *err);

/*
 * In order of time, from <= time < to (ms; 0: unbounded).  A held charge whose
 * owner is dead reads as unknown, abandoned; phota_ledger_get() tells it from
 * one that is written so.  The list of open ones: held and unknown.  No
 * transaction is open during the calls of phota_ledger_each().  Both stop when
 * a handler returns anything but PHOTA_OK, and return that.  A charge whose
 * record is damaged is left out: at the end phota_ledger_each() returns
 * PHOTA_ERROR, phota_ledger_each_open() PHOTA_INVALID, for the rest was visited
 * and the transaction is good; err names the first of them.
 */
int phota_ledger_each(phota_ledger_t *l, uint64_t from, uint64_t to,
    phota_charge_pt handler, void *ctx, phota_error_t *err);
int phota_ledger_each_open(phota_ledger_t *l, MDB_txn *txn,
    phota_charge_pt handler, void *ctx, phota_error_t *err);

/*
 * Settles or voids, by the deadline, what has been unknown for longer; at most
 * limit of them.  *done counts them.  Damaged ones are left out, as of
 * phota_ledger_each_open().
 */
int phota_ledger_expire(phota_ledger_t *l, MDB_txn *txn, uint64_t now,
    unsigned limit, unsigned *done, phota_error_t *err);

/* after 0 where none is set */
int phota_ledger_deadline(phota_ledger_t *l, MDB_txn *txn,
    phota_deadline_t *deadline, phota_error_t *err);
int phota_ledger_set_deadline(phota_ledger_t *l, MDB_txn *txn,
    const phota_deadline_t *deadline, phota_error_t *err);

/*
 * Entries after a sequence number, in their order, from the archive's files
 * first; no transaction is open during the calls.  The pointer of hash is not
 * valid in them.  Stops when handler returns anything but PHOTA_OK.
 * PHOTA_ERROR when one is damaged or missing.
 */
int phota_ledger_entries(phota_ledger_t *l, uint64_t after,
    phota_entry_pt handler, void *ctx, phota_error_t *err);

/*
 * Sums in order of tenant, operation and what by adds, of the whole UTC days of
 * from <= time < to (ms, 0: open).  A charge counts on the day of its hold as
 * long as that day is open: it closes an hour after its end, or when it is
 * archived, and what is written later counts on the day it is written.
 */
int phota_ledger_usage(phota_ledger_t *l, uint64_t from, uint64_t to,
    unsigned by, phota_usage_pt handler, void *ctx, phota_error_t *err);

/* the same of one tenant: the rows of others aren't even passed over */
int phota_ledger_usage_of(phota_ledger_t *l, uint32_t tenant, uint64_t from,
    uint64_t to, unsigned by, phota_usage_pt handler, void *ctx,
    phota_error_t *err);

/*
 * Walks the chain, archived files and live entries, and recomputes roll-ups,
 * budgets and the charges' view of it.  PHOTA_INVALID with what is wrong and
 * where in err.
 */
int phota_ledger_verify(phota_ledger_t *l, uint64_t *entries,
    u_char chain[PHOTA_SHA256_LEN], phota_error_t *err);

/*
 * The same of so many of the latest entries alone, and of nothing but the
 * chain: quick, whatever the size of the books.
 */
int phota_ledger_outline(phota_ledger_t *l, uint64_t recent,
    phota_outline_t *o, phota_error_t *err);

/*
 * Moves entries of days before (ms, a UTC midnight that has closed) to a
 * compressed file of its own in books/archive, and final charges with them; in
 * short transactions, so that purchases go on meanwhile.  It can be broken off
 * at any point and begun again.  *entries: moved.  path: of the file, "" when
 * there was nothing to move.
 */
int phota_ledger_archive(phota_ledger_t *l, uint64_t before,
    uint64_t *entries, char *path, size_t size, phota_error_t *err);

const char *phota_state_name(unsigned state);
const char *phota_cached_name(unsigned cached);
const char *phota_reason_name(unsigned reason);
const char *phota_entry_name(unsigned type);


#endif /* _PHOTA_LEDGER_H_INCLUDED_ */
