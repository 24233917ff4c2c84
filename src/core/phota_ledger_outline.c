
/*
 * A look at the end of the books: how far the chain goes, and whether the
 * latest entries hang together.  In one short read transaction; the whole is
 * phota_ledger_verify()'s.
 */


#include <string.h>

#include "phota_chain.h"
#include "phota_ledger_post.h"
#include "phota_ledger_record.h"
#include "phota_order.h"


static int phota_outline_walk(phota_ledger_t *l, MDB_txn *txn,
    const phota_chain_t *chain, uint64_t recent, phota_hasher_t *hasher,
    phota_outline_t *o, phota_error_t *err);
static int phota_outline_bad(uint64_t sequence, phota_error_t *err);


int
phota_ledger_outline(phota_ledger_t *l, uint64_t recent, phota_outline_t *o,
    phota_error_t *err)
{
    int             rc;
    MDB_txn        *txn;
    phota_chain_t   chain;
    phota_hasher_t  hasher;

    memset(o, 0, sizeof(phota_outline_t));

    if (phota_hasher_init(&hasher, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = phota_store_begin(l->store, 0, &txn, err);

    if (rc == PHOTA_OK) {
        rc = phota_ledger_chain(l, txn, &chain, err);

        if (rc == PHOTA_OK) {
            o->entries = chain.count;
            o->archived = chain.archived;
            o->time = chain.time;
            o->closed = chain.closed;

            rc = phota_outline_walk(l, txn, &chain, recent, &hasher, o, err);
        }

        phota_store_abort(txn);
    }

    phota_hasher_free(&hasher);

    return rc;
}


static int
phota_outline_walk(phota_ledger_t *l, MDB_txn *txn,
    const phota_chain_t *chain, uint64_t recent, phota_hasher_t *hasher,
    phota_outline_t *o, phota_error_t *err)
{
    int            rc;
    u_char         name[8], hash[PHOTA_SHA256_LEN];
    MDB_val        key, value;
    uint64_t       first, sequence;
    phota_entry_t  entry;

    first = chain->archived + 1;

    if (chain->count > recent && chain->count - recent > first) {
        first = chain->count - recent;
    }

    memcpy(hash, chain->archived_hash, PHOTA_SHA256_LEN);

    for (sequence = first; sequence <= chain->count; sequence++) {

        phota_put_be(name, sequence, sizeof(name));

        key.mv_data = name;
        key.mv_size = sizeof(name);

        rc = mdb_get(txn, l->entries, &key, &value);

        if (rc == MDB_NOTFOUND) {
            return phota_outline_bad(sequence, err);
        }

        if (rc != 0) {
            return phota_ledger_fail(l, "entries", rc, err);
        }

        if (phota_entry_decode(&entry, value.mv_data, value.mv_size)
            != PHOTA_OK)
        {
            return phota_outline_bad(sequence, err);
        }

        /* the first one's predecessor isn't looked at, unless it is archived */

        if (sequence == first && first != chain->archived + 1) {
            memcpy(hash, entry.hash, PHOTA_SHA256_LEN);
            continue;
        }

        if (phota_hasher_link(hasher, hash, value.mv_data, entry.covered,
                              hash)
            != PHOTA_OK)
        {
            phota_error(err, "SHA-256 failed");
            return PHOTA_ERROR;
        }

        if (entry.sequence != sequence
            || memcmp(hash, entry.hash, PHOTA_SHA256_LEN) != 0)
        {
            return phota_outline_bad(sequence, err);
        }

        o->checked++;
    }

    if (chain->count > chain->archived
        && memcmp(hash, chain->hash, PHOTA_SHA256_LEN) != 0)
    {
        return phota_outline_bad(chain->count, err);
    }

    return PHOTA_OK;
}


static int
phota_outline_bad(uint64_t sequence, phota_error_t *err)
{
    phota_error(err, "entry %llu is missing, damaged, or doesn't follow the "
                "one before", (unsigned long long) sequence);

    return PHOTA_INVALID;
}
