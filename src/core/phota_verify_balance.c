
/*
 * Whether the entries of each charge come to what the charge is, without a
 * table of all charges: what entries add and what rows are is summed up, each
 * charge's share under a secret weight of its own, so that two errors never
 * make up for each other.  Only when the sum is off is looked for who it is.
 */


#include <string.h>

#include "phota_order.h"
#include "phota_verify.h"


typedef struct {
    phota_verify_part_t  *part;
    size_t                bucket;
    phota_sums_t          charges;      /* of the bucket, by id */
} phota_unbalanced_t;


static size_t phota_verify_bucket(const phota_id_t *id);
static int phota_unbalanced_collect(phota_unbalanced_t *u);
static int phota_unbalanced_archived(void *ctx, const phota_entry_t *entry,
    const u_char *record, size_t len);
static int phota_unbalanced_add(phota_unbalanced_t *u,
    const phota_entry_t *entry);
static int phota_unbalanced_find(phota_unbalanced_t *u);
static int phota_unbalanced_charge(phota_unbalanced_t *u,
    const phota_sums_slot_t *slot);
static int phota_stray_rows(phota_verify_part_t *part, MDB_cursor *cursor);
static int phota_stray_row(phota_verify_part_t *part, MDB_cursor *cursor,
    const MDB_val *key, const MDB_val *value);
static int phota_stray_twice(phota_verify_part_t *part, MDB_val *key);
static int phota_stray_entry(phota_verify_part_t *part, const phota_id_t *id,
    uint64_t sequence, unsigned type);


int
phota_verify_opened(const phota_entry_t *entry)
{
    return (int) entry->first
           - (entry->type == PHOTA_ENTRY_SETTLED
              || entry->type == PHOTA_ENTRY_VOID);
}


void
phota_verify_weigh(phota_verify_part_t *part, const phota_id_t *id,
    const phota_sum_t *sum, int64_t opened, int sign)
{
    uint64_t         weight, share;
    const uint64_t  *seed;

    seed = part->snapshot->seed;

    weight = (phota_get_be(id->b, 8) ^ seed[8]) * 0x9e3779b97f4a7c15;
    weight = (weight ^ weight >> 32) + (phota_get_be(id->b + 8, 8) ^ seed[9]);
    weight = weight * 0xbf58476d1ce4e5b9;
    weight = (weight ^ weight >> 29) * 0x94d049bb133111eb;
    weight ^= weight >> 32;

    share = (uint64_t) sum->calls * seed[0]
            + (uint64_t) sum->hits * seed[1]
            + (uint64_t) sum->outputs * seed[2]
            + (uint64_t) sum->identity_outputs * seed[3]
            + (uint64_t) sum->cost * seed[4]
            + (uint64_t) sum->price * seed[5]
            + (uint64_t) sum->saved * seed[6]
            + (uint64_t) opened * seed[7];

    share *= weight;

    part->balance[phota_verify_bucket(id)] += (sign < 0) ? 0 - share : share;
}


/* by random bits of the id */

static size_t
phota_verify_bucket(const phota_id_t *id)
{
    return phota_get_be(id->b + 14, 2) & (PHOTA_VERIFY_BUCKETS - 1);
}


int
phota_verify_balance(phota_verify_part_t *part)
{
    int                 rc;
    phota_unbalanced_t  u;

    memset(&u, 0, sizeof(phota_unbalanced_t));

    u.part = part;

    while (part->balance[u.bucket] == 0) {
        if (++u.bucket == PHOTA_VERIFY_BUCKETS) {
            return PHOTA_OK;
        }
    }

    rc = phota_unbalanced_collect(&u);

    if (rc == PHOTA_OK) {
        rc = phota_unbalanced_find(&u);
    }

    phota_sums_free(&u.charges);

    return rc;
}


static int
phota_unbalanced_collect(phota_unbalanced_t *u)
{
    int                      rc;
    size_t                   i;
    MDB_val                  value;
    phota_entry_t            entry;
    phota_archive_head_t     head;
    phota_verify_part_t     *part;
    const phota_snapshot_t  *s;

    part = u->part;
    s = part->snapshot;

    for (i = 0; i < s->archive.n; i++) {

        rc = phota_archive_read(s->ledger, &s->archive.files[i], &head,
                                phota_unbalanced_archived, u, &part->err);
        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    for (part->sequence = s->chain.archived + 1;
         part->sequence <= s->last;
         part->sequence++)
    {
        rc = phota_verify_get(part, part->sequence, MDB_SET_KEY, &value);

        if (rc == PHOTA_OK
            && phota_entry_decode(&entry, value.mv_data, value.mv_size)
               != PHOTA_OK)
        {
            rc = phota_verify_bad(part, "is damaged");
        }

        if (rc == PHOTA_OK) {
            rc = phota_unbalanced_add(u, &entry);
        }

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return PHOTA_OK;
}


static int
phota_unbalanced_archived(void *ctx, const phota_entry_t *entry,
    const u_char *record, size_t len)
{
    phota_unbalanced_t  *u;

    (void) record;
    (void) len;

    u = ctx;

    return (entry->sequence > u->part->snapshot->chain.archived)
           ? PHOTA_OK : phota_unbalanced_add(u, entry);
}


static int
phota_unbalanced_add(phota_unbalanced_t *u, const phota_entry_t *entry)
{
    phota_rollup_t  *row;

    if (entry->type == PHOTA_ENTRY_HITS
        || phota_verify_bucket(&entry->charge.id) != u->bucket)
    {
        return PHOTA_OK;
    }

    row = phota_sums_get(&u->charges, entry->charge.id.b,
                         sizeof(phota_id_t));
    if (row == NULL) {
        phota_error(&u->part->err, "no memory");
        return PHOTA_ERROR;
    }

    /* loose_hits counts how often it was opened, less how often ended */

    phota_sum_add(&row->sum, &entry->delta);
    row->loose_hits += phota_verify_opened(entry);
    row->loose_saved = (int64_t) entry->sequence;

    return PHOTA_OK;
}


static int
phota_unbalanced_find(phota_unbalanced_t *u)
{
    int     rc;
    size_t  i;

    phota_sums_sort(&u->charges);

    for (i = 0; i < u->charges.count; i++) {

        rc = phota_unbalanced_charge(u, &u->charges.slots[i]);

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    /* a row without entries would have been found before */

    phota_error(&u->part->err, "entries and charges don't add up");

    return PHOTA_INVALID;
}


static int
phota_unbalanced_charge(phota_unbalanced_t *u, const phota_sums_slot_t *slot)
{
    int                  rc;
    int64_t              open;
    phota_id_t           id;
    phota_sum_t          sum;
    const phota_seen_t  *row;

    memcpy(id.b, slot->key, sizeof(phota_id_t));
    u->part->sequence = (uint64_t) slot->rollup.loose_saved;

    rc = phota_verify_row(u->part, &id, &row);

    if (rc != PHOTA_OK && rc != PHOTA_DECLINED) {
        return rc;
    }

    open = (rc == PHOTA_OK && phota_charge_open(&row->charge));

    if (slot->rollup.loose_hits != open) {
        return phota_verify_bad_charge(u->part, &id, "was not opened and "
                                       "ended once");
    }

    if (rc == PHOTA_DECLINED) {
        return PHOTA_OK;
    }

    phota_charge_sum(&row->charge, &sum);

    if (memcmp(&sum, &slot->rollup.sum, sizeof(phota_sum_t)) != 0) {
        return phota_verify_bad_charge(u->part, &id, "is not the sum of its "
                                       "entries");
    }

    return PHOTA_OK;
}


int
phota_verify_stray(phota_verify_part_t *part)
{
    int  rc;

    rc = phota_stray_rows(part, part->charges);

    return (rc == PHOTA_OK) ? phota_stray_rows(part, part->open) : rc;
}


static int
phota_stray_rows(phota_verify_part_t *part, MDB_cursor *cursor)
{
    int            rc;
    MDB_val        key, value;
    MDB_cursor_op  op;

    op = MDB_FIRST;

    while ((rc = mdb_cursor_get(cursor, &key, &value, op)) == 0) {

        op = MDB_NEXT;

        if (cursor == part->open && phota_chain_key(&key)) {
            continue;
        }

        rc = phota_stray_row(part, cursor, &key, &value);
        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return (rc == MDB_NOTFOUND)
           ? PHOTA_OK
           : phota_store_fail(&part->err,
                              part->snapshot->ledger->store->path, rc);
}


static int
phota_stray_row(phota_verify_part_t *part, MDB_cursor *cursor,
    const MDB_val *key, const MDB_val *value)
{
    int             rc;
    MDB_val         name;
    phota_span_t    span;
    phota_charge_t  charge;

    if (key->mv_size != sizeof(phota_id_t)) {
        phota_error(&part->err, "a charge has no id");
        return PHOTA_INVALID;
    }

    memcpy(charge.id.b, key->mv_data, sizeof(phota_id_t));

    if (phota_charge_row(&charge, &span, cursor == part->open, value)
        != PHOTA_OK)
    {
        part->sequence = 0;
        return phota_verify_bad_charge(part, &charge.id, "is damaged");
    }

    rc = phota_stray_entry(part, &charge.id, span.first, 0);

    if (rc == PHOTA_OK) {
        rc = phota_stray_entry(part, &charge.id, span.last, 0);
    }

    if (rc == PHOTA_OK && charge.owner.slot == PHOTA_OWNER_JOB) {
        rc = phota_stray_entry(part, &charge.id, charge.owner.epoch,
                               PHOTA_ENTRY_ACCEPTED);
    }

    if (rc != PHOTA_OK || cursor != part->open) {
        return rc;
    }

    name.mv_data = charge.id.b;
    name.mv_size = sizeof(phota_id_t);

    return phota_stray_twice(part, &name);
}


/* an open one among those that have ended */

static int
phota_stray_twice(phota_verify_part_t *part, MDB_val *key)
{
    int         rc;
    MDB_val     value;
    phota_id_t  id;

    rc = mdb_cursor_get(part->charges, key, &value, MDB_SET);

    if (rc == MDB_NOTFOUND) {
        return PHOTA_OK;
    }

    if (rc != 0) {
        return phota_store_fail(&part->err,
                                part->snapshot->ledger->store->path, rc);
    }

    memcpy(id.b, key->mv_data, sizeof(phota_id_t));

    return phota_verify_bad_charge(part, &id, "is listed as open");
}


/* one that is archived isn't looked for; type 0: of any */

static int
phota_stray_entry(phota_verify_part_t *part, const phota_id_t *id,
    uint64_t sequence, unsigned type)
{
    u_char         name[8];
    MDB_val        key, value;
    phota_entry_t  entry;

    if (sequence != 0 && sequence <= part->snapshot->chain.archived) {
        return PHOTA_OK;
    }

    phota_put_be(name, sequence, sizeof(name));
    part->sequence = sequence;

    key.mv_data = name;
    key.mv_size = sizeof(name);

    if (mdb_cursor_get(part->entries, &key, &value, MDB_SET_KEY) != 0
        || phota_entry_decode(&entry, value.mv_data, value.mv_size)
           != PHOTA_OK
        || (type != 0 && entry.type != type)
        || memcmp(&entry.charge.id, id, sizeof(phota_id_t)) != 0)
    {
        return phota_verify_bad_charge(part, id, "has no such entry");
    }

    return PHOTA_OK;
}
