
/*
 * Takes archived entries, and charges that have ended with them, out of the
 * database: some in a transaction, which says up to where, so that purchases go
 * on meanwhile and a crash leaves a place to go on from.
 */


#include <string.h>
#include <time.h>

#include "phota_archiver.h"


static int phota_archiver_take_batch(phota_archiver_t *a, MDB_txn *txn);
static int phota_archiver_take_one(phota_archiver_t *a, MDB_txn *txn,
    MDB_cursor *cursor);
static int phota_archiver_take_charge(phota_archiver_t *a, MDB_txn *txn,
    const phota_entry_t *entry);


int
phota_archiver_take_out(phota_archiver_t *a)
{
    int              rc;
    MDB_txn         *txn;
    uint64_t         archived;
    struct timespec  pause;

    pause.tv_sec = 0;
    pause.tv_nsec = 1000 * 1000;

    do {
        if (phota_store_begin(a->ledger->store, 1, &txn, a->err) != PHOTA_OK)
        {
            return PHOTA_ERROR;
        }

        archived = a->chain.archived;
        rc = phota_archiver_take_batch(a, txn);

        if (rc != PHOTA_OK) {
            phota_store_abort(txn);
            return PHOTA_ERROR;
        }

        if (phota_store_commit(txn, a->err) != PHOTA_OK) {
            return PHOTA_ERROR;
        }

        a->moved += a->chain.archived - archived;

        /* the writer's lock isn't fair: who buys goes first */

        (void) nanosleep(&pause, NULL);

    } while (a->chain.archived < a->file.last);

    return PHOTA_OK;
}


static int
phota_archiver_take_batch(phota_archiver_t *a, MDB_txn *txn)
{
    int          n, rc;
    MDB_cursor  *cursor;

    if (phota_ledger_chain(a->ledger, txn, &a->chain, a->err) != PHOTA_OK
        || phota_ledger_sweep(a->ledger, txn, &a->chain, a->err) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    rc = mdb_cursor_open(txn, a->ledger->entries, &cursor);
    if (rc != 0) {
        return phota_ledger_fail(a->ledger, "entries", rc, a->err);
    }

    rc = PHOTA_OK;

    for (n = 0;
         rc == PHOTA_OK && n < PHOTA_ARCHIVE_BATCH
         && a->chain.archived < a->file.last;
         n++)
    {
        rc = phota_archiver_take_one(a, txn, cursor);
    }

    mdb_cursor_close(cursor);

    return (rc == PHOTA_OK) ? phota_ledger_set_chain(a->ledger, txn,
                                                     &a->chain, a->err)
                            : rc;
}


static int
phota_archiver_take_one(phota_archiver_t *a, MDB_txn *txn,
    MDB_cursor *cursor)
{
    int            rc;
    MDB_val        value;
    phota_entry_t  entry;

    rc = phota_archiver_entry(a, a->chain.archived + 1, cursor, MDB_SET_KEY,
                              &entry, &value);
    if (rc != PHOTA_OK) {
        return rc;
    }

    a->chain.archived = entry.sequence;
    memcpy(a->chain.archived_hash, entry.hash, PHOTA_SHA256_LEN);

    /* the last one in the file is the one that its head was written for */

    if (entry.sequence == a->file.last
        && memcmp(entry.hash, a->head.after, PHOTA_SHA256_LEN) != 0)
    {
        phota_error(a->err, "entry %llu is not the one that was archived",
                    (unsigned long long) entry.sequence);
        return PHOTA_ERROR;
    }

    if (entry.type != PHOTA_ENTRY_HITS
        && phota_archiver_take_charge(a, txn, &entry) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    rc = mdb_cursor_del(cursor, 0);

    return (rc == 0) ? PHOTA_OK
                     : phota_ledger_fail(a->ledger, "entries", rc, a->err);
}


/* with the last of its entries, if that was its end */

static int
phota_archiver_take_charge(phota_archiver_t *a, MDB_txn *txn,
    const phota_entry_t *entry)
{
    int             rc;
    MDB_val         key;
    phota_span_t    span;
    phota_charge_t  charge;

    rc = phota_charge_read(a->ledger, txn, &entry->charge.id, &charge, &span);

    if (rc != PHOTA_OK) {
        return phota_ledger_damaged(a->ledger, &entry->charge.id, a->err);
    }

    if (span.last != entry->sequence || phota_charge_open(&charge)) {
        return PHOTA_OK;
    }

    key.mv_data = (void *) entry->charge.id.b;
    key.mv_size = sizeof(phota_id_t);

    rc = mdb_del(txn, a->ledger->charges, &key, NULL);

    return (rc == 0) ? PHOTA_OK
                     : phota_ledger_fail(a->ledger, "charges", rc, a->err);
}
