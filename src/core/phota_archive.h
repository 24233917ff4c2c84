
/*
 * Archived entries: files of books/archive, each a run of the chain, gzip'ed,
 * with the hash before it and after it in its head.  A file is whole and synced
 * before an entry leaves the database; it is never changed.  Only the ledger's
 * own files know it.
 *
 * NNNN-FIRST-LAST.gz, numbered from 1.  Its first gzip member holds, numbers
 * little-endian,
 *
 *     "PHOTABKS", version 4, first 8, last 8, hash before 32, hash after 32,
 *     for each entry: length 4, and the record as it lay in its table
 *
 * The second member is empty; its comment is the SHA-256, in hex, of all bytes
 * of the file before it.  zcat puts out the first and nothing else.
 */


#ifndef _PHOTA_ARCHIVE_H_INCLUDED_
#define _PHOTA_ARCHIVE_H_INCLUDED_


#include "phota_chain.h"
#include "phota_ledger.h"


#define PHOTA_ARCHIVE_PATH  (sizeof(((phota_store_t *) 0)->path) + 80)
#define PHOTA_ARCHIVE_TEMP  "new.tmp"

#define PHOTA_ARCHIVE_MAGIC    "PHOTABKS"
#define PHOTA_ARCHIVE_VERSION  1
#define PHOTA_ARCHIVE_HEAD     (8 + 4 + 2 * 8 + 2 * PHOTA_SHA256_LEN)
#define PHOTA_ARCHIVE_BUFFER   65536
#define PHOTA_ARCHIVE_BITS     (15 + 16)        /* of zlib: gzip */

/* a gzip header with a comment, an empty block, CRC and length of nothing */

#define PHOTA_ARCHIVE_HEADER   10
#define PHOTA_ARCHIVE_COMMENT  (2 * PHOTA_SHA256_LEN + 1)
#define PHOTA_ARCHIVE_TAIL     (PHOTA_ARCHIVE_HEADER + PHOTA_ARCHIVE_COMMENT  \
                                + 2 + 8)


typedef struct {
    uint64_t        first;              /* sequence numbers */
    uint64_t        last;
    u_char          before[PHOTA_SHA256_LEN];   /* of entry first - 1 */
    u_char          after[PHOTA_SHA256_LEN];    /* of entry last */
} phota_archive_head_t;


typedef struct {
    unsigned        number;
    uint64_t        first;
    uint64_t        last;
} phota_archive_file_t;


/* in their order, without gaps from entry 1 on */

typedef struct {
    phota_archive_file_t  *files;
    size_t                 n;
    uint64_t               last;        /* entry, 0 when there are no files */
} phota_archive_list_t;


/* an entry's record, as it lay in its table; it has been decoded once */
typedef int (*phota_archive_pt)(void *ctx, const phota_entry_t *entry,
    const u_char *record, size_t len);


typedef struct phota_archive_writer_s  phota_archive_writer_t;


/* PHOTA_INVALID when one is missing */
int phota_archive_list(phota_ledger_t *l, phota_archive_list_t *list,
    phota_error_t *err);
void phota_archive_list_free(phota_archive_list_t *list);

/*
 * buf has PHOTA_ARCHIVE_PATH.  file NULL: the directory; of number 0: the file
 * that is being written, PHOTA_ARCHIVE_TEMP.
 */
void phota_archive_path(phota_ledger_t *l, const phota_archive_file_t *file,
    char *buf);

/*
 * Reads a file to its end, each byte of which is checked: against its digest,
 * its head, and by the chain of its entries.  PHOTA_INVALID when it is damaged.
 * Stops when handler, which may be NULL, returns anything but PHOTA_OK.
 */
int phota_archive_read(phota_ledger_t *l, const phota_archive_file_t *file,
    phota_archive_head_t *head, phota_archive_pt handler, void *ctx,
    phota_error_t *err);

/* the second member of a file whose bytes so far were digested */
int phota_archive_tail(phota_hasher_t *digest,
    u_char tail[PHOTA_ARCHIVE_TAIL]);

/* PHOTA_ERROR with what couldn't be done and errno */
int phota_archive_fail(const char *path, const char *what,
    phota_error_t *err);

/* a new file, 0600, not there yet; finish syncs it.  close is always called */
int phota_archive_create(phota_archive_writer_t **w, const char *path,
    const phota_archive_head_t *head, phota_error_t *err);
int phota_archive_add(phota_archive_writer_t *w, const void *record,
    size_t len, phota_error_t *err);
int phota_archive_finish(phota_archive_writer_t *w, phota_error_t *err);
void phota_archive_close(phota_archive_writer_t *w);


#endif /* _PHOTA_ARCHIVE_H_INCLUDED_ */
