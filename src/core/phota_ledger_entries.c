
/*
 * Entries in their order, wherever they lie.  Batches are copied out, so that
 * no transaction is open while somebody looks at them; what is archived in
 * between is met in the archive, at the number where it was left off.
 */


#include <stdlib.h>
#include <string.h>

#include "phota_archive.h"
#include "phota_ledger_record.h"
#include "phota_order.h"


#define PHOTA_ENTRIES_BATCH  256


typedef struct {
    phota_ledger_t  *ledger;
    phota_entry_pt   handler;
    void            *ctx;
    phota_error_t   *err;

    uint64_t         after;             /* the last that was given */
    uint64_t         archived;          /* up to it they are in files */
    uint64_t         count;             /* the last there is */
    int              rc;                /* what the handler returned */
    size_t           n;
    phota_entry_t    entries[PHOTA_ENTRIES_BATCH];
} phota_entries_t;


static int phota_entries_walk(phota_entries_t *e);
static int phota_entries_batch(phota_entries_t *e);
static int phota_entries_fill(phota_entries_t *e, MDB_cursor *cursor);
static int phota_entries_files(phota_entries_t *e);
static int phota_entries_archived(void *ctx, const phota_entry_t *entry,
    const u_char *record, size_t len);
static int phota_entries_give(phota_entries_t *e, const phota_entry_t *entry);
static int phota_entries_bad(phota_entries_t *e, uint64_t sequence,
    const char *what);


int
phota_ledger_entries(phota_ledger_t *l, uint64_t after,
    phota_entry_pt handler, void *ctx, phota_error_t *err)
{
    int               rc;
    phota_entries_t  *e;

    e = calloc(1, sizeof(phota_entries_t));

    if (e == NULL) {
        phota_error(err, "no memory");
        return PHOTA_ERROR;
    }

    e->ledger = l;
    e->handler = handler;
    e->ctx = ctx;
    e->err = err;
    e->after = after;

    rc = phota_entries_walk(e);

    free(e);

    return rc;
}


static int
phota_entries_walk(phota_entries_t *e)
{
    int     rc;
    size_t  i;

    do {
        rc = phota_entries_batch(e);

        if (rc == PHOTA_OK && e->after < e->archived) {

            rc = phota_entries_files(e);

            if (e->rc != PHOTA_OK || rc != PHOTA_OK) {
                return (e->rc != PHOTA_OK) ? e->rc : PHOTA_ERROR;
            }

            continue;
        }

        if (rc != PHOTA_OK || e->n == 0) {
            return rc;
        }

        phota_working("reading", e->after, e->count);

        for (i = 0; rc == PHOTA_OK && i < e->n; i++) {
            rc = phota_entries_give(e, &e->entries[i]);
        }

    } while (rc == PHOTA_OK);

    return rc;
}


/* none when the next one is in a file, or there are no more */

static int
phota_entries_batch(phota_entries_t *e)
{
    int             rc;
    MDB_txn        *txn;
    MDB_cursor     *cursor;
    phota_chain_t   chain;

    e->n = 0;

    if (phota_store_begin(e->ledger->store, 0, &txn, e->err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    if (phota_chain_read(e->ledger, txn, &chain) == PHOTA_ERROR) {
        phota_store_abort(txn);
        phota_error(e->err, "the record of the chain's end is damaged");
        return PHOTA_ERROR;
    }

    e->archived = chain.archived;
    e->count = chain.count;

    if (e->after < chain.archived || e->after >= chain.count) {
        phota_store_abort(txn);
        return PHOTA_OK;
    }

    rc = mdb_cursor_open(txn, e->ledger->entries, &cursor);

    if (rc == 0) {
        e->n = (chain.count - e->after < PHOTA_ENTRIES_BATCH)
               ? (size_t) (chain.count - e->after) : PHOTA_ENTRIES_BATCH;
        rc = phota_entries_fill(e, cursor);
        mdb_cursor_close(cursor);

    } else {
        rc = phota_store_fail(e->err, e->ledger->store->path, rc);
    }

    phota_store_abort(txn);

    return rc;
}


static int
phota_entries_fill(phota_entries_t *e, MDB_cursor *cursor)
{
    int       rc;
    size_t    i;
    u_char    name[8];
    MDB_val   key, value;
    uint64_t  sequence;

    for (i = 0; i < e->n; i++) {
        sequence = e->after + 1 + i;

        phota_put_be(name, sequence, sizeof(name));
        key.mv_data = name;
        key.mv_size = sizeof(name);

        rc = mdb_cursor_get(cursor, &key, &value, i ? MDB_NEXT : MDB_SET_KEY);

        if (rc != 0 && rc != MDB_NOTFOUND) {
            return phota_store_fail(e->err, e->ledger->store->path, rc);
        }

        if (rc == MDB_NOTFOUND || key.mv_size != sizeof(name)
            || phota_get_be(key.mv_data, 8) != sequence)
        {
            return phota_entries_bad(e, sequence, "is missing");
        }

        if (phota_entry_decode(&e->entries[i], value.mv_data, value.mv_size)
            != PHOTA_OK
            || e->entries[i].sequence != sequence)
        {
            return phota_entries_bad(e, sequence, "is damaged");
        }

        e->entries[i].hash = NULL;
    }

    return PHOTA_OK;
}


static int
phota_entries_files(phota_entries_t *e)
{
    int                    rc;
    size_t                 i;
    phota_archive_head_t   head;
    phota_archive_list_t   list;

    rc = phota_archive_list(e->ledger, &list, e->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    for (i = 0; i < list.n; i++) {

        if (list.files[i].last <= e->after
            || list.files[i].first > e->archived)
        {
            continue;
        }

        rc = phota_archive_read(e->ledger, &list.files[i], &head,
                                phota_entries_archived, e, e->err);
        if (rc != PHOTA_OK) {
            break;
        }
    }

    phota_archive_list_free(&list);

    if (rc == PHOTA_OK && e->after < e->archived) {
        return phota_entries_bad(e, e->after + 1, "is archived, and the file "
                                 "with it is missing");
    }

    return rc;
}


static int
phota_entries_archived(void *ctx, const phota_entry_t *entry,
    const u_char *record, size_t len)
{
    phota_entry_t     copy;
    phota_entries_t  *e;

    (void) record;
    (void) len;

    e = ctx;

    if (entry->sequence <= e->after || entry->sequence > e->archived) {
        return PHOTA_OK;
    }

    copy = *entry;
    copy.hash = NULL;

    return phota_entries_give(e, &copy);
}


static int
phota_entries_give(phota_entries_t *e, const phota_entry_t *entry)
{
    e->after = entry->sequence;
    e->rc = e->handler(e->ctx, entry);

    return e->rc;
}


static int
phota_entries_bad(phota_entries_t *e, uint64_t sequence, const char *what)
{
    phota_error(e->err, "entry %llu %s", (unsigned long long) sequence, what);

    return PHOTA_ERROR;
}
