
/*
 * How the ledger lies in its tables: entries, charges, roll-ups and the chain's
 * head, each with a version first.  Only the ledger's own files know it.  A
 * record that is damaged is refused; none is trusted for its lengths.
 */


#ifndef _PHOTA_LEDGER_RECORD_H_INCLUDED_
#define _PHOTA_LEDGER_RECORD_H_INCLUDED_


#include "phota_ledger.h"


#define PHOTA_LEDGER_RECORD  1024       /* no record is longer */
#define PHOTA_ROLLUP_KEY     9          /* day, tenant, operation */
#define PHOTA_ROLLUP_LEN     65
#define PHOTA_CHAIN_LEN      57
#define PHOTA_DAY            86400000   /* ms */


/*
 * An entry: its type is the state (phota_state_e) to which it leads.  Owner,
 * fingerprint, tag and the charge's time are in holds only.
 */

typedef struct {
    uint64_t        sequence;           /* from 1, no gaps */
    uint64_t        time;               /* ms, never goes back */
    uint8_t         type;
    phota_charge_t  charge;
    size_t          covered;            /* bytes that the hash covers */
    const u_char   *hash;               /* in the record */
} phota_entry_t;


/* which entries made a charge what it is */

typedef struct {
    uint64_t        first;              /* its hold */
    uint64_t        last;
} phota_span_t;


/* the end of the chain, kept apart from it so that a cut is seen */

typedef struct {
    uint64_t        count;
    uint64_t        time;               /* of the last entry */
    uint64_t        epoch;              /* of the last owner */
    u_char          hash[PHOTA_SHA256_LEN];
} phota_chain_t;


/* the last two are of free hits, which have no entry */

typedef struct {
    uint64_t        calls;
    uint64_t        outputs;
    uint64_t        identity_outputs;
    int64_t         cost;
    int64_t         price;
    int64_t         saved;
    uint64_t        hits;
    int64_t         hits_saved;
} phota_rollup_t;


typedef struct {
    uint32_t        tenant;
    uint8_t         operation;
    uint8_t         used;
    phota_rollup_t  sum;
} phota_sum_t;


/* sums by tenant and operation, in memory */

typedef struct {
    phota_sum_t    *slots;
    size_t          size;               /* a power of two, or 0 */
    size_t          count;
} phota_sums_t;


/* the hash is appended; *len: room in, length out */
int phota_entry_encode(const phota_entry_t *entry,
    const u_char previous[PHOTA_SHA256_LEN], u_char *buf, size_t *len,
    u_char hash[PHOTA_SHA256_LEN]);
int phota_entry_decode(phota_entry_t *entry, const void *p, size_t len);

int phota_charge_encode(const phota_charge_t *charge,
    const phota_span_t *span, u_char *buf, size_t *len);

/* the id is the record's key, not in it */
int phota_charge_decode(phota_charge_t *charge, phota_span_t *span,
    const void *p, size_t len);

void phota_rollup_encode(const phota_rollup_t *rollup,
    u_char buf[PHOTA_ROLLUP_LEN]);
int phota_rollup_decode(phota_rollup_t *rollup, const void *p, size_t len);
void phota_rollup_key(u_char key[PHOTA_ROLLUP_KEY], uint32_t day,
    uint32_t tenant, uint8_t operation);

/* what a settled charge adds to its roll-up */
void phota_rollup_add(phota_rollup_t *rollup, const phota_charge_t *charge);

/* PHOTA_DECLINED, and zeros, before the first entry */
int phota_chain_read(phota_ledger_t *l, MDB_txn *txn, phota_chain_t *chain);
int phota_chain_write(phota_ledger_t *l, MDB_txn *txn,
    const phota_chain_t *chain);

/* PHOTA_DECLINED when there is none; what lies there as it is written */
int phota_charge_read(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    phota_charge_t *charge, phota_span_t *span);

/* cost, cost_high and price by the charge's rates; PHOTA_INVALID: too much */
int phota_charge_amounts(phota_charge_t *charge);

/* finds or makes one; NULL when there is no memory */
phota_rollup_t *phota_sums_get(phota_sums_t *sums, uint32_t tenant,
    uint8_t operation);

/* to the front, in order of tenant and operation; nothing is found after */
void phota_sums_sort(phota_sums_t *sums);
void phota_sums_free(phota_sums_t *sums);


#endif /* _PHOTA_LEDGER_RECORD_H_INCLUDED_ */
