
/*
 * What the two files of an archive's making share: the one that writes entries
 * to a file, and the one that takes them out of the database.
 */


#ifndef _PHOTA_ARCHIVER_H_INCLUDED_
#define _PHOTA_ARCHIVER_H_INCLUDED_


#include "phota_archive.h"
#include "phota_ledger_post.h"


#define PHOTA_ARCHIVE_BATCH  500            /* entries of a transaction */


typedef struct {
    phota_ledger_t         *ledger;
    uint64_t                before;         /* ms */
    int                     dir;            /* its lock is ours */
    phota_chain_t           chain;          /* when it was looked at */
    phota_archive_list_t    list;
    phota_archive_file_t    file;
    phota_archive_head_t    head;
    phota_archive_writer_t *writer;
    uint64_t                moved;
    phota_error_t          *err;
} phota_archiver_t;


/*
 * The entry of this number at the cursor, its record in value; op as for
 * mdb_cursor_get().  PHOTA_ERROR when it isn't there or is damaged.
 */
int phota_archiver_entry(phota_archiver_t *a, uint64_t sequence,
    MDB_cursor *cursor, MDB_cursor_op op, phota_entry_t *entry,
    MDB_val *value);

/* takes out what lies in the file, batch by batch; each is durable */
int phota_archiver_take_out(phota_archiver_t *a);


#endif /* _PHOTA_ARCHIVER_H_INCLUDED_ */
