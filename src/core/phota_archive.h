
/*
 * Archived entries: files of books/archive, each a run of the chain, gzip'ed,
 * with the hash before it and after it in its head.  A file is whole and synced
 * before an entry leaves the database; it is never changed.  Only the ledger's
 * own files know it.
 */


#ifndef _PHOTA_ARCHIVE_H_INCLUDED_
#define _PHOTA_ARCHIVE_H_INCLUDED_


#include "phota_ledger.h"


typedef struct {
    uint64_t        first;              /* sequence numbers */
    uint64_t        last;
    u_char          before[PHOTA_SHA256_LEN];   /* of entry first - 1 */
    u_char          after[PHOTA_SHA256_LEN];    /* of entry last */
} phota_archive_head_t;


/* an entry's record, as it lay in its table */
typedef int (*phota_archive_pt)(void *ctx, const u_char *record, size_t len);


/*
 * Records after a sequence number, of all files in their order.  PHOTA_INVALID
 * when a file is missing, cut, or doesn't follow the one before; *last receives
 * the number of the last record that there is, 0 for none.
 */
int phota_archive_read(phota_ledger_t *l, uint64_t after, uint64_t *last,
    phota_archive_pt handler, void *ctx, phota_error_t *err);


#endif /* _PHOTA_ARCHIVE_H_INCLUDED_ */
