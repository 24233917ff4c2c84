
/*
 * How the ledger lies in its tables: entries, charges and the chain's head,
 * each with a version first.  Only the ledger's own files know it.  A record
 * that is damaged is refused; none is trusted for its lengths.
 */


#ifndef _PHOTA_LEDGER_RECORD_H_INCLUDED_
#define _PHOTA_LEDGER_RECORD_H_INCLUDED_


#include "phota_ledger.h"


#define PHOTA_LEDGER_RECORD  1024       /* no record is longer */
#define PHOTA_DAY            86400000   /* ms */
#define PHOTA_CLOSES         3600000    /* ms after its end a day is closed */

/* of one charge, 10 million USD: so that no sum of them overflows */
#define PHOTA_AMOUNT_MAX     ((int64_t) 10000000000000)


/* which entries made a charge what it is */

typedef struct {
    uint64_t        first;
    uint64_t        last;
} phota_span_t;


/*
 * The end of the chain, kept apart from it so that a cut is seen.  Every writer
 * writes it: it lies where the open charges do, before the first of them, so
 * that it costs no page of its own.
 */

#define PHOTA_CHAIN_KEY      "\0"
#define PHOTA_CHAIN_KEY_LEN  1


/*
 * So many charges that have ended stay with the open ones, and then go to the
 * others together: their table is large, and its pages are written once for all
 * of them.
 */

#define PHOTA_CHAIN_ENDED    8

typedef struct {
    uint64_t        count;
    uint64_t        time;               /* of the last entry */
    uint64_t        epoch;              /* of the last owner */
    u_char          hash[PHOTA_SHA256_LEN];

    uint64_t        archived;           /* entries up to it are in files */
    u_char          archived_hash[PHOTA_SHA256_LEN];
    uint32_t        closed;             /* days before it take no more */

    unsigned        nended;
    phota_id_t      ended[PHOTA_CHAIN_ENDED];   /* but with the open ones */
} phota_chain_t;


/*
 * The predecessor's hash is hashed first, then the record up to the place of
 * its own hash, which is appended.  *len: room in, length out.
 */
int phota_entry_encode(const phota_entry_t *entry,
    const u_char previous[PHOTA_SHA256_LEN], u_char *buf, size_t *len,
    u_char hash[PHOTA_SHA256_LEN]);

/* hash points into p; sets covered */
int phota_entry_decode(phota_entry_t *entry, const void *p, size_t len);

int phota_charge_encode(const phota_charge_t *charge,
    const phota_span_t *span, u_char *buf, size_t *len);

/* the id is the record's key, not in it */
int phota_charge_decode(phota_charge_t *charge, phota_span_t *span,
    const void *p, size_t len);

/* a row; open: of their table.  PHOTA_ERROR when it can't be there */
int phota_charge_row(phota_charge_t *charge, phota_span_t *span, int open,
    const MDB_val *value);

/* held or unknown */
int phota_charge_open(const phota_charge_t *charge);

/* PHOTA_DECLINED when there is none; what lies there as it is written */
int phota_charge_read(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    phota_charge_t *charge, phota_span_t *span);

/*
 * Whether cost, cost_high, price and held are what terms, counts and flags say:
 * sets them.  PHOTA_INVALID when the counts don't fit together, or an amount
 * doesn't fit.
 */
int phota_charge_amounts(phota_charge_t *charge);

/* what a charge counts for as it stands, zeros unless it is settled */
void phota_charge_sum(const phota_charge_t *charge, phota_sum_t *sum);

/* whether a key of the open ones is the chain's end */
int phota_chain_key(const MDB_val *key);

/* whether a charge has ended, but is with the open ones */
int phota_chain_ended(const phota_chain_t *chain, const phota_id_t *id);

/* PHOTA_DECLINED, and zeros, before the first entry */
int phota_chain_read(phota_ledger_t *l, MDB_txn *txn, phota_chain_t *chain);

/* an MDB code */
int phota_chain_write(phota_ledger_t *l, MDB_txn *txn,
    const phota_chain_t *chain);


#endif /* _PHOTA_LEDGER_RECORD_H_INCLUDED_ */
