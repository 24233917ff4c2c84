
/*
 * The walk along the chain: archived files as one unit, live entries in units
 * of some thousand, each of which begins with the hash that the entry before it
 * keeps.
 */


#include <string.h>

#include "phota_order.h"
#include "phota_verify.h"


static int phota_verify_segment(phota_verify_part_t *part, uint64_t first,
    uint64_t last);
static int phota_verify_live(phota_verify_part_t *part, MDB_cursor_op op,
    u_char hash[PHOTA_SHA256_LEN]);
static int phota_verify_archive(phota_verify_part_t *part);
static int phota_verify_archived(void *ctx, const phota_entry_t *entry,
    const u_char *record, size_t len);
static int phota_verify_both(phota_verify_part_t *part, const u_char *record,
    size_t len);
static int phota_verify_time(phota_verify_part_t *part, uint64_t time);


int
phota_verify_unit(phota_verify_part_t *part)
{
    uint64_t                 first, last;
    const phota_snapshot_t  *s;

    s = part->snapshot;

    if (part->unit == 0) {
        return phota_verify_archive(part);
    }

    first = s->chain.archived + 1
            + (uint64_t) (part->unit - 1) * PHOTA_VERIFY_UNIT;
    last = first + PHOTA_VERIFY_UNIT - 1;

    if (last > s->last) {
        last = s->last;
    }

    return phota_verify_segment(part, first, last);
}


static int
phota_verify_segment(phota_verify_part_t *part, uint64_t first, uint64_t last)
{
    int            rc;
    u_char         hash[PHOTA_SHA256_LEN];
    MDB_cursor_op  op;

    rc = phota_verify_before(part, first, hash);

    op = MDB_SET_KEY;

    for (part->sequence = first;
         rc == PHOTA_OK && part->sequence <= last;
         part->sequence++)
    {
        rc = phota_verify_live(part, op, hash);
        op = MDB_NEXT;
    }

    return rc;
}


/* the entry before: that it is right is found by who has its unit */

int
phota_verify_before(phota_verify_part_t *part, uint64_t first,
    u_char hash[PHOTA_SHA256_LEN])
{
    int                   rc;
    MDB_val               value;
    phota_entry_t         entry;
    const phota_chain_t  *chain;

    chain = &part->snapshot->chain;

    if (first == chain->archived + 1) {
        part->time = 0;
        memcpy(hash, chain->archived_hash, PHOTA_SHA256_LEN);
        return PHOTA_OK;
    }

    part->sequence = first - 1;

    rc = phota_verify_get(part, first - 1, MDB_SET_KEY, &value);
    if (rc != PHOTA_OK) {
        return rc;
    }

    if (phota_entry_decode(&entry, value.mv_data, value.mv_size)
        != PHOTA_OK)
    {
        return phota_verify_bad(part, "is damaged");
    }

    part->time = entry.time;
    memcpy(hash, entry.hash, PHOTA_SHA256_LEN);

    return PHOTA_OK;
}


static int
phota_verify_live(phota_verify_part_t *part, MDB_cursor_op op,
    u_char hash[PHOTA_SHA256_LEN])
{
    int            rc;
    MDB_val        value;
    phota_entry_t  entry;

    rc = phota_verify_get(part, part->sequence, op, &value);
    if (rc != PHOTA_OK) {
        return rc;
    }

    if (phota_entry_decode(&entry, value.mv_data, value.mv_size)
        != PHOTA_OK)
    {
        return phota_verify_bad(part, "is damaged");
    }

    if (phota_hasher_link(&part->hasher, hash, value.mv_data, entry.covered,
                          hash)
        != PHOTA_OK)
    {
        phota_error(&part->err, "SHA-256 failed");
        return PHOTA_ERROR;
    }

    if (memcmp(hash, entry.hash, PHOTA_SHA256_LEN) != 0) {
        return phota_verify_bad(part, "does not fit its hash, or its "
                                "predecessor was changed");
    }

    if (entry.sequence != part->sequence) {
        return phota_verify_bad(part, "has another's number");
    }

    if (entry.sequence == part->snapshot->chain.archived + 1) {
        part->live_time = entry.time;
    }

    rc = phota_verify_time(part, entry.time);

    return (rc == PHOTA_OK) ? phota_verify_entry(part, &entry) : rc;
}


int
phota_verify_get(phota_verify_part_t *part, uint64_t sequence,
    MDB_cursor_op op, MDB_val *value)
{
    int      rc;
    u_char   name[8];
    MDB_val  key;

    phota_put_be(name, sequence, sizeof(name));

    key.mv_data = name;
    key.mv_size = sizeof(name);

    rc = mdb_cursor_get(part->entries, &key, value, op);

    if (rc == MDB_NOTFOUND
        || (rc == 0 && (key.mv_size != sizeof(name)
                        || phota_get_be(key.mv_data, 8) != sequence)))
    {
        return phota_verify_bad(part, "is missing");
    }

    return (rc == 0) ? PHOTA_OK
                     : phota_store_fail(&part->err,
                                        part->snapshot->ledger->store->path,
                                        rc);
}


/* file after file, by one thread: some of it is known by what came before */

static int
phota_verify_archive(phota_verify_part_t *part)
{
    int                      rc;
    size_t                   i;
    u_char                   after[PHOTA_SHA256_LEN];
    phota_archive_head_t     head;
    const phota_snapshot_t  *s;

    s = part->snapshot;

    part->time = 0;
    memset(after, 0, sizeof(after));

    for (i = 0; i < s->archive.n; i++) {

        rc = phota_archive_read(s->ledger, &s->archive.files[i],
                                &head, phota_verify_archived, part,
                                &part->err);
        if (rc != PHOTA_OK) {
            return rc;
        }

        if (memcmp(head.before, after, PHOTA_SHA256_LEN) != 0) {
            phota_error(&part->err, "the archived entries from %llu on don't "
                        "follow those before",
                        (unsigned long long) head.first);
            return PHOTA_INVALID;
        }

        memcpy(after, head.after, PHOTA_SHA256_LEN);
    }

    if (s->archive.last < s->chain.archived) {
        phota_error(&part->err, "entry %llu is archived, and the file with "
                    "it is missing",
                    (unsigned long long) s->archive.last + 1);
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


/* in the database as well, or even after the snapshot, if not taken out yet */

static int
phota_verify_archived(void *ctx, const phota_entry_t *entry,
    const u_char *record, size_t len)
{
    int                   rc;
    phota_verify_part_t  *part;
    const phota_chain_t  *chain;

    part = ctx;
    part->sequence = entry->sequence;
    chain = &part->snapshot->chain;

    if (entry->sequence > chain->archived) {
        return (entry->sequence > chain->count)
               ? PHOTA_OK : phota_verify_both(part, record, len);
    }

    if (entry->sequence == chain->archived
        && memcmp(entry->hash, chain->archived_hash, PHOTA_SHA256_LEN) != 0)
    {
        return phota_verify_bad(part, "is not the one that was archived");
    }

    if (entry->day >= chain->closed) {
        return phota_verify_bad(part, "is archived, its day is not closed");
    }

    part->archive_time = entry->time;

    rc = phota_verify_time(part, entry->time);

    return (rc == PHOTA_OK) ? phota_verify_entry(part, entry) : rc;
}


static int
phota_verify_both(phota_verify_part_t *part, const u_char *record, size_t len)
{
    int      rc;
    MDB_val  value;

    rc = phota_verify_get(part, part->sequence, MDB_SET_KEY, &value);

    if (rc == PHOTA_OK
        && (value.mv_size != len || memcmp(value.mv_data, record, len) != 0))
    {
        return phota_verify_bad(part, "differs between archive and database");
    }

    return rc;
}


static int
phota_verify_time(phota_verify_part_t *part, uint64_t time)
{
    if (time < part->time) {
        return phota_verify_bad(part, "is older than its predecessor");
    }

    part->time = time;

    return PHOTA_OK;
}
