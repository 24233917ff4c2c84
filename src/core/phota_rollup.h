
/*
 * Roll-ups: sums by day, tenant and operation, and details, which are the same
 * by token and tag.  How they lie in their table, a day's sums before all of
 * its details, and sums in memory by such keys.  Only the ledger's own files
 * know it.
 */


#ifndef _PHOTA_ROLLUP_H_INCLUDED_
#define _PHOTA_ROLLUP_H_INCLUDED_


#include "phota_ledger.h"


/* day 4, tenant 4, operation 1, big-endian; details: token 4 and the tag */

#define PHOTA_ROLLUP_KEY      9
#define PHOTA_DETAIL_KEY      (PHOTA_ROLLUP_KEY + 4)        /* without tag */
#define PHOTA_DETAIL_KEY_MAX  (PHOTA_DETAIL_KEY + PHOTA_NAME_MAX)
#define PHOTA_ROLLUP_ROW_MAX  (PHOTA_DETAIL_KEY_MAX + 1)
#define PHOTA_ROLLUP_LEN      (1 + 9 * 8)


typedef struct {
    phota_sum_t     sum;
    int64_t         loose_hits;         /* of sum: not in entries yet */
    int64_t         loose_saved;
} phota_rollup_t;


typedef struct {
    uint32_t        day;
    uint32_t        tenant;
    uint32_t        token;
    uint8_t         operation;
    char            tag[PHOTA_NAME_MAX + 1];
} phota_rollup_name_t;


void phota_rollup_encode(const phota_rollup_t *rollup,
    u_char buf[PHOTA_ROLLUP_LEN]);
int phota_rollup_decode(phota_rollup_t *rollup, const void *p, size_t len);

/* the length: PHOTA_ROLLUP_KEY bytes of it are the key of the sum of all */
size_t phota_rollup_key(u_char key[PHOTA_DETAIL_KEY_MAX],
    const phota_rollup_name_t *name);

/* the key of its row: behind the day it says which kind it is; the length */
size_t phota_rollup_row(u_char row[PHOTA_ROLLUP_ROW_MAX], const u_char *key,
    size_t len);

/* the key back from that of a row; PHOTA_INVALID when it is none */
int phota_rollup_row_key(u_char key[PHOTA_DETAIL_KEY_MAX], size_t *len,
    const MDB_val *row);

/* either kind of key; PHOTA_INVALID when it is none */
int phota_rollup_name(phota_rollup_name_t *name, const void *key, size_t len);

/* zeros where there is none */
int phota_rollup_get(phota_ledger_t *l, MDB_txn *txn, const u_char *key,
    size_t len, phota_rollup_t *rollup, phota_error_t *err);
int phota_rollup_del(phota_ledger_t *l, MDB_txn *txn, const u_char *key,
    size_t len, phota_error_t *err);
int phota_rollup_put(phota_ledger_t *l, MDB_txn *txn, const u_char *key,
    size_t len, const phota_rollup_t *rollup, phota_error_t *err);

void phota_sum_add(phota_sum_t *to, const phota_sum_t *sum);
int phota_sum_zero(const phota_sum_t *sum);


/*
 * Sums in memory: one beside the other in the order in which they came, so that
 * those of a day are neighbours, and an index of them.
 */

typedef struct {
    u_char          key[PHOTA_DETAIL_KEY_MAX];
    uint8_t         len;
    uint32_t        hash;
    phota_rollup_t  rollup;
} phota_sums_slot_t;


typedef struct {
    phota_sums_slot_t  *slots;
    size_t              count;
    uint32_t           *index;          /* number of a slot + 1, 0: free */
    size_t              size;           /* of index: a power of two, or 0;
                                           twice as many as slots */
} phota_sums_t;


/* finds or makes one, valid until the next; NULL when there is no memory */
phota_rollup_t *phota_sums_get(phota_sums_t *sums, const u_char *key,
    size_t len);

/* in order of keys; nothing is found after */
void phota_sums_sort(phota_sums_t *sums);
void phota_sums_free(phota_sums_t *sums);


#endif /* _PHOTA_ROLLUP_H_INCLUDED_ */
