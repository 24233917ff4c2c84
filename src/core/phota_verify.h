
/*
 * Verify's own: one snapshot of the books, walked in units by several threads,
 * and what each of them gathers.  Entries count; the rest has to follow from
 * them.
 */


#ifndef _PHOTA_VERIFY_H_INCLUDED_
#define _PHOTA_VERIFY_H_INCLUDED_


#include "phota_archive.h"
#include "phota_chain.h"
#include "phota_ledger_record.h"
#include "phota_rollup.h"


#define PHOTA_VERIFY_UNIT     8192      /* entries */
#define PHOTA_VERIFY_SEEN     4096      /* a power of two */
#define PHOTA_VERIFY_BUCKETS  4096      /* the same */


/*
 * The counters that there are, found by tenant, token and window.  The
 * table doesn't change while threads look into it; each has sums of its own,
 * by the counter's place in it.
 */

typedef struct {
    phota_budget_row_t   row;           /* period 0: the slot is free */
    uint32_t             newest_day;    /* in a tenant's total: of all of it */
    uint32_t             newest_month;
} phota_counter_t;

typedef struct {
    phota_counter_t     *slots;
    size_t               size;          /* a power of two, or 0 */
    size_t               count;
} phota_counters_t;


/* windows of charges that are archived and have no row any more */

typedef struct {
    phota_id_t           id;            /* all zeros: the slot is free */
    phota_windows_t      windows;
} phota_gone_slot_t;

typedef struct {
    phota_gone_slot_t   *slots;
    size_t               size;
    size_t               count;
} phota_gone_t;


/* rows of charges that were looked at lately, as most have two entries */

typedef struct {
    unsigned             used;
    phota_span_t         span;
    phota_charge_t       charge;
} phota_seen_t;


typedef struct {
    phota_ledger_t      *ledger;
    phota_chain_t        chain;
    uint64_t             last;          /* the last live entry there is */
    phota_archive_list_t archive;
    phota_counters_t     counters;
    uint64_t             seed[10];      /* secret, of the balance */
} phota_snapshot_t;


/* what a thread works with and finds */

typedef struct {
    const phota_snapshot_t  *snapshot;
    MDB_txn             *txn;
    MDB_cursor          *entries;
    MDB_cursor          *charges;
    MDB_cursor          *open;
    phota_hasher_t       hasher;
    phota_seen_t        *seen;
    phota_gone_t         gone;

    uint64_t             sequence;      /* at work on */
    uint64_t             time;          /* of the entry before */
    int                  rc;
    size_t               unit;          /* at work on, or where rc arose */
    phota_error_t        err;

    uint64_t             archive_time;  /* of the last archived entry */
    uint64_t             live_time;     /* of the first that isn't */

    uint64_t             firsts;        /* entries that are their charge's */
    uint64_t             lasts;
    uint64_t             opens;         /* charges that are left open */
    int64_t              accepts;       /* entries that are a charge's owner,
                                           less charges that have such one */
    uint64_t            *balance;       /* by bucket of charges */
    phota_sums_t         details;
    phota_spending_t    *spending;      /* by place in counters */
} phota_verify_part_t;


/* the unit that part is at work on, 0: the archive */
int phota_verify_unit(phota_verify_part_t *part);

/* the hash and, in part, the time of the entry before first */
int phota_verify_before(phota_verify_part_t *part, uint64_t first,
    u_char hash[PHOTA_SHA256_LEN]);

/*
 * An entry against its charge, and its share of all sums.  PHOTA_INVALID with
 * what is wrong.
 */
int phota_verify_entry(phota_verify_part_t *part, const phota_entry_t *entry);

/* sums of what an entry adds; windows NULL: of its charge nobody knows them */
int phota_verify_sum(phota_verify_part_t *part, const phota_entry_t *entry,
    const phota_windows_t *windows);

/* to the counters of a charge's tenant and token */
int phota_verify_spend(phota_verify_part_t *part,
    const phota_charge_t *charge, const phota_windows_t *windows,
    int64_t spent, int64_t held);

/* a first entry made counters, which go when there are much newer ones */
int phota_verify_windows(phota_verify_part_t *part,
    const phota_entry_t *entry);

/* a charge that stays open keeps what it holds */
int phota_verify_held(phota_verify_part_t *part, const phota_charge_t *charge);

/* whether a counter of the windows is there */
int phota_verify_counted(const phota_snapshot_t *s, uint32_t tenant,
    uint32_t token, const phota_windows_t *windows);

/* the counters that there are */
int phota_verify_counters(phota_snapshot_t *s, MDB_txn *txn,
    phota_error_t *err);

/*
 * What an entry does to its charge, or, with a minus, what came of it: each
 * charge has a secret weight, and all of them together come to nothing.
 */
void phota_verify_weigh(phota_verify_part_t *part, const phota_id_t *id,
    const phota_sum_t *sum, int64_t opened, int sign);

/* 1 when an entry opens a charge, -1 when it ends it, 0 when neither or both */
int phota_verify_opened(const phota_entry_t *entry);

/* whether they come to nothing: if not, whose do not */
int phota_verify_balance(phota_verify_part_t *part);

/* looks for a row without the entries that it says it has */
int phota_verify_stray(phota_verify_part_t *part);

/* damaged records may hold any number */
void phota_verify_spending_add(phota_spending_t *to, int64_t spent,
    int64_t held);

/* what tables say against the sums of a part, by now those of all entries */
int phota_verify_sums(phota_verify_part_t *part);
int phota_verify_budgets(phota_verify_part_t *part);

/*
 * The row of a charge, until the next is asked for; PHOTA_DECLINED when there
 * is none and needn't be.
 */
int phota_verify_row(phota_verify_part_t *part, const phota_id_t *id,
    const phota_seen_t **row);

/* the record of a live entry; op: MDB_SET_KEY or MDB_NEXT */
int phota_verify_get(phota_verify_part_t *part, uint64_t sequence,
    MDB_cursor_op op, MDB_val *value);

int phota_verify_bad(phota_verify_part_t *part, const char *what);
int phota_verify_bad_charge(phota_verify_part_t *part, const phota_id_t *id,
    const char *what);


#endif /* _PHOTA_VERIFY_H_INCLUDED_ */
