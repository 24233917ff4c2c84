
/*
 * Verifies the books: walks the chain in one snapshot, then holds against it
 * what else the books say: each charge, the list of open ones, the roll-ups.
 * Entries count; the rest has to follow from them.  Free hits have none: what
 * a roll-up says of those nothing can tell.
 */


#include <stdio.h>
#include <string.h>
#include <openssl/evp.h>

#include "phota_ledger_record.h"
#include "phota_order.h"


typedef struct {
    phota_ledger_t  *ledger;
    MDB_txn         *txn;
    MDB_cursor      *entries;
    MDB_cursor      *charges;
    MDB_cursor      *open;
    MDB_cursor      *rollups;
    EVP_MD          *md;
    EVP_MD_CTX      *digest;
    phota_error_t   *err;

    uint64_t         count;         /* entries seen */
    uint64_t         time;          /* of the last one */
    u_char           hash[PHOTA_SHA256_LEN];

    uint64_t         holds;
    uint64_t         ends;          /* entries that are their charge's last */
    uint64_t         opens;         /* charges that are left open */

    uint32_t         day;           /* of sums */
    phota_sums_t     sums;          /* of the day's settled charges */
    unsigned         rolled:1;      /* a roll-up waits in row */
    unsigned         no_rollups:1;  /* no row is left */
    u_char           row_key[PHOTA_ROLLUP_KEY];
    phota_rollup_t   row;
} phota_verify_t;


static int phota_verify_start(phota_verify_t *v);
static void phota_verify_stop(phota_verify_t *v);
static int phota_verify_all(phota_verify_t *v);
static int phota_verify_entries(phota_verify_t *v);
static int phota_verify_entry(phota_verify_t *v, const MDB_val *key,
    const MDB_val *value);
static int phota_verify_hash(phota_verify_t *v, const phota_entry_t *entry,
    const MDB_val *value);
static int phota_verify_charge(phota_verify_t *v, const phota_entry_t *entry);
static int phota_verify_find(phota_verify_t *v, const phota_id_t *id,
    phota_charge_t *charge, phota_span_t *span);
static int phota_verify_constant(const phota_entry_t *entry,
    const phota_charge_t *charge);
static int phota_verify_origin(const phota_entry_t *entry,
    const phota_charge_t *charge);
static int phota_verify_amounts(const phota_charge_t *charge);
static int phota_verify_view(phota_verify_t *v, const phota_entry_t *entry,
    const phota_charge_t *charge);
static int phota_verify_rollups(phota_verify_t *v);
static int phota_verify_settled(phota_verify_t *v,
    const phota_charge_t *charge);
static int phota_verify_day(phota_verify_t *v, uint32_t until);
static int phota_verify_row_next(phota_verify_t *v);
static int phota_verify_row(phota_verify_t *v);
static int phota_verify_chain(phota_verify_t *v);
static int phota_verify_counts(phota_verify_t *v);
static int phota_verify_bad(phota_verify_t *v, const char *what);
static int phota_verify_bad_charge(phota_verify_t *v, const phota_id_t *id,
    const char *what);
static int phota_verify_bad_day(phota_verify_t *v, uint32_t day,
    uint32_t tenant, uint8_t operation);


int
phota_ledger_verify(phota_ledger_t *l, uint64_t *entries,
    u_char chain[PHOTA_SHA256_LEN], phota_error_t *err)
{
    int             rc;
    phota_verify_t  v;

    memset(&v, 0, sizeof(phota_verify_t));

    v.ledger = l;
    v.err = err;

    if (phota_store_begin(l->store, 0, &v.txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = phota_verify_start(&v);

    if (rc == PHOTA_OK) {
        rc = phota_verify_all(&v);
    }

    phota_verify_stop(&v);

    *entries = v.count;
    memcpy(chain, v.hash, PHOTA_SHA256_LEN);

    return rc;
}


static int
phota_verify_start(phota_verify_t *v)
{
    int  rc;

    rc = mdb_cursor_open(v->txn, v->ledger->entries, &v->entries);

    if (rc == 0) {
        rc = mdb_cursor_open(v->txn, v->ledger->charges, &v->charges);
    }

    if (rc == 0) {
        rc = mdb_cursor_open(v->txn, v->ledger->open, &v->open);
    }

    if (rc == 0) {
        rc = mdb_cursor_open(v->txn, v->ledger->rollups, &v->rollups);
    }

    if (rc != 0) {
        return phota_store_fail(v->err, v->ledger->store->path, rc);
    }

    v->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    v->digest = EVP_MD_CTX_new();

    if (v->md == NULL || v->digest == NULL) {
        phota_error(v->err, "OpenSSL has no SHA-256, or no memory");
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


static void
phota_verify_stop(phota_verify_t *v)
{
    size_t       i;
    MDB_cursor  *cursors[4];

    cursors[0] = v->entries;
    cursors[1] = v->charges;
    cursors[2] = v->open;
    cursors[3] = v->rollups;

    for (i = 0; i < 4; i++) {
        if (cursors[i] != NULL) {
            mdb_cursor_close(cursors[i]);
        }
    }

    EVP_MD_CTX_free(v->digest);
    EVP_MD_free(v->md);
    phota_sums_free(&v->sums);
    phota_store_abort(v->txn);
}


static int
phota_verify_all(phota_verify_t *v)
{
    int  rc;

    rc = phota_verify_entries(v);

    if (rc == PHOTA_OK) {
        rc = phota_verify_chain(v);
    }

    if (rc == PHOTA_OK) {
        rc = phota_verify_counts(v);
    }

    if (rc == PHOTA_OK) {
        rc = phota_verify_rollups(v);
    }

    return rc;
}


static int
phota_verify_entries(phota_verify_t *v)
{
    int      rc;
    MDB_val  key, value;

    while ((rc = mdb_cursor_get(v->entries, &key, &value, MDB_NEXT)) == 0) {

        rc = phota_verify_entry(v, &key, &value);

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    if (rc != MDB_NOTFOUND) {
        return phota_store_fail(v->err, v->ledger->store->path, rc);
    }

    return PHOTA_OK;
}


static int
phota_verify_entry(phota_verify_t *v, const MDB_val *key,
    const MDB_val *value)
{
    int            rc;
    phota_entry_t  entry;

    v->count++;

    if (key->mv_size != 8 || phota_get_be(key->mv_data, 8) != v->count) {
        return phota_verify_bad(v, "is missing");
    }

    if (phota_entry_decode(&entry, value->mv_data, value->mv_size)
        != PHOTA_OK)
    {
        return phota_verify_bad(v, "is damaged");
    }

    rc = phota_verify_hash(v, &entry, value);

    if (rc != PHOTA_OK) {
        return rc;
    }

    if (entry.sequence != v->count) {
        return phota_verify_bad(v, "has another's number");
    }

    if (entry.time < v->time) {
        return phota_verify_bad(v, "is older than its predecessor");
    }

    v->time = entry.time;

    return phota_verify_charge(v, &entry);
}


static int
phota_verify_hash(phota_verify_t *v, const phota_entry_t *entry,
    const MDB_val *value)
{
    if (!EVP_DigestInit_ex2(v->digest, v->md, NULL)
        || !EVP_DigestUpdate(v->digest, v->hash, PHOTA_SHA256_LEN)
        || !EVP_DigestUpdate(v->digest, value->mv_data, entry->covered)
        || !EVP_DigestFinal_ex(v->digest, v->hash, NULL))
    {
        phota_error(v->err, "SHA-256 failed");
        return PHOTA_ERROR;
    }

    if (memcmp(v->hash, entry->hash, PHOTA_SHA256_LEN) != 0) {
        return phota_verify_bad(v, "does not fit its hash, or its "
                                "predecessor was changed");
    }

    return PHOTA_OK;
}


/*
 * Each charge has one first and one last entry: when all holds are firsts, all
 * ends but unknown are lasts, and there are as many lasts as charges, then no
 * entry and no charge is left over.
 */

static int
phota_verify_charge(phota_verify_t *v, const phota_entry_t *entry)
{
    int             rc;
    phota_span_t    span;
    phota_charge_t  charge;

    rc = phota_verify_find(v, &entry->charge.id, &charge, &span);

    if (rc != PHOTA_OK) {
        return rc;
    }

    if (entry->sequence < span.first || entry->sequence > span.last
        || (entry->sequence == span.first)
           != (entry->type == PHOTA_STATE_HELD)
        || (entry->sequence != span.last
            && (entry->type == PHOTA_STATE_SETTLED
                || entry->type == PHOTA_STATE_VOID)))
    {
        return phota_verify_bad_charge(v, &charge.id, "has other entries");
    }

    if (!phota_verify_constant(entry, &charge)
        || !phota_verify_amounts(&entry->charge))
    {
        return phota_verify_bad_charge(v, &charge.id, "differs from it");
    }

    if (entry->type == PHOTA_STATE_HELD) {

        v->holds++;

        if (!phota_verify_origin(entry, &charge)) {
            return phota_verify_bad_charge(v, &charge.id, "differs from it");
        }
    }

    if (entry->sequence == span.last) {
        return phota_verify_view(v, entry, &charge);
    }

    return PHOTA_OK;
}


static int
phota_verify_find(phota_verify_t *v, const phota_id_t *id,
    phota_charge_t *charge, phota_span_t *span)
{
    int      rc;
    MDB_val  key, value;

    key.mv_data = (void *) id->b;
    key.mv_size = sizeof(phota_id_t);

    rc = mdb_cursor_get(v->charges, &key, &value, MDB_SET);

    if (rc == MDB_NOTFOUND) {
        return phota_verify_bad_charge(v, id, "is missing");
    }

    if (rc != 0) {
        return phota_store_fail(v->err, v->ledger->store->path, rc);
    }

    charge->id = *id;

    if (phota_charge_decode(charge, span, value.mv_data, value.mv_size)
        != PHOTA_OK)
    {
        return phota_verify_bad_charge(v, id, "is damaged");
    }

    return PHOTA_OK;
}


static int
phota_verify_constant(const phota_entry_t *entry,
    const phota_charge_t *charge)
{
    const phota_charge_t  *e;

    e = &entry->charge;

    return e->provider == charge->provider
           && e->operation == charge->operation
           && e->cached == charge->cached
           && e->tenant == charge->tenant
           && e->token == charge->token
           && e->price_version == charge->price_version
           && e->asked == charge->asked
           && e->rate == charge->rate
           && e->identity_rate == charge->identity_rate
           && e->held == charge->held;
}


static int
phota_verify_origin(const phota_entry_t *entry, const phota_charge_t *charge)
{
    const phota_charge_t  *e;

    e = &entry->charge;

    return e->time == charge->time
           && e->time == phota_get_be(e->id.b, 6)
           && e->owner.slot == charge->owner.slot
           && e->owner.epoch == charge->owner.epoch
           && memcmp(e->fingerprint, charge->fingerprint, PHOTA_SHA256_LEN)
              == 0
           && strcmp(e->tag, charge->tag) == 0;
}


static int
phota_verify_amounts(const phota_charge_t *charge)
{
    phota_charge_t  again;

    again = *charge;

    /* outputs are 0 unless it is settled, and so are amounts */

    return (charge->state == PHOTA_STATE_SETTLED || charge->outputs == 0)
           && phota_charge_amounts(&again) == PHOTA_OK
           && again.cost == charge->cost
           && again.cost_high == charge->cost_high
           && again.price == charge->price
           && again.saved == charge->saved;
}


static int
phota_verify_view(phota_verify_t *v, const phota_entry_t *entry,
    const phota_charge_t *charge)
{
    int                    rc;
    MDB_val                key, value;
    const phota_charge_t  *e;

    e = &entry->charge;

    v->ends++;

    if (e->state != charge->state || e->reason != charge->reason
        || e->updated != charge->updated || e->status != charge->status
        || e->outputs != charge->outputs
        || e->identity_low != charge->identity_low
        || e->identity_high != charge->identity_high
        || e->cost != charge->cost || e->cost_high != charge->cost_high
        || e->price != charge->price || e->saved != charge->saved
        || strcmp(e->request_id, charge->request_id) != 0)
    {
        return phota_verify_bad_charge(v, &charge->id, "differs from it");
    }

    if (e->state != PHOTA_STATE_HELD && e->state != PHOTA_STATE_UNKNOWN) {
        return PHOTA_OK;
    }

    v->opens++;

    key.mv_data = (void *) charge->id.b;
    key.mv_size = sizeof(phota_id_t);

    rc = mdb_cursor_get(v->open, &key, &value, MDB_SET);

    if (rc == MDB_NOTFOUND) {
        return phota_verify_bad_charge(v, &charge->id,
                                       "is not listed as open");
    }

    return (rc == 0) ? PHOTA_OK
                     : phota_store_fail(v->err, v->ledger->store->path, rc);
}


/*
 * Charges, which by now are known to be what their entries say, lie in the
 * order of their holds, as the days of the roll-ups do.
 */

static int
phota_verify_rollups(phota_verify_t *v)
{
    int             rc, op;
    MDB_val         key, value;
    phota_span_t    span;
    phota_charge_t  charge;

    op = MDB_FIRST;

    while ((rc = mdb_cursor_get(v->charges, &key, &value, op)) == 0) {

        op = MDB_NEXT;

        if (phota_charge_decode(&charge, &span, value.mv_data, value.mv_size)
            != PHOTA_OK)
        {
            phota_error(v->err, "a charge is damaged");
            return PHOTA_INVALID;
        }

        if (charge.state != PHOTA_STATE_SETTLED) {
            continue;
        }

        rc = phota_verify_settled(v, &charge);

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    if (rc != MDB_NOTFOUND) {
        return phota_store_fail(v->err, v->ledger->store->path, rc);
    }

    rc = phota_verify_day(v, UINT32_MAX);

    if (rc == PHOTA_OK && v->rolled) {

        /* behind the last day that can be: usage would count it */

        return phota_verify_bad_day(v, UINT32_MAX,
                                    (uint32_t) phota_get_be(v->row_key + 4, 4),
                                    v->row_key[8]);
    }

    return rc;
}


static int
phota_verify_settled(phota_verify_t *v, const phota_charge_t *charge)
{
    int              rc;
    uint32_t         day;
    phota_rollup_t  *sum;

    day = (uint32_t) (charge->time / PHOTA_DAY);

    if (day != v->day) {

        rc = phota_verify_day(v, day);

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    sum = phota_sums_get(&v->sums, charge->tenant, charge->operation);

    if (sum == NULL) {
        phota_error(v->err, "no memory");
        return PHOTA_ERROR;
    }

    phota_rollup_add(sum, charge);

    return PHOTA_OK;
}


/*
 * Ends a day and goes to another: the rows before it have to be those of the
 * day's sums, or to hold nothing but free hits.
 */

static int
phota_verify_day(phota_verify_t *v, uint32_t until)
{
    int           rc;
    size_t        i;
    phota_sum_t  *sum;

    for ( ;; ) {
        rc = phota_verify_row_next(v);

        if (rc != PHOTA_OK) {
            return rc;
        }

        if (!v->rolled || phota_get_be(v->row_key, 4) >= until) {
            break;
        }

        rc = phota_verify_row(v);

        if (rc != PHOTA_OK) {
            return rc;
        }

        v->rolled = 0;
    }

    /* rows have been taken off their sums: nothing may be left */

    for (i = 0; i < v->sums.size; i++) {
        sum = &v->sums.slots[i];

        if (sum->used && sum->sum.calls != 0) {
            return phota_verify_bad_day(v, v->day, sum->tenant,
                                        sum->operation);
        }
    }

    phota_sums_free(&v->sums);
    v->day = until;

    return PHOTA_OK;
}


/* makes the next roll-up wait, if there is one and none does */

static int
phota_verify_row_next(phota_verify_t *v)
{
    int      rc;
    MDB_val  key, value;

    if (v->rolled || v->no_rollups) {
        return PHOTA_OK;
    }

    rc = mdb_cursor_get(v->rollups, &key, &value, MDB_NEXT);

    if (rc == MDB_NOTFOUND) {
        v->no_rollups = 1;
        return PHOTA_OK;
    }

    if (rc != 0) {
        return phota_store_fail(v->err, v->ledger->store->path, rc);
    }

    if (key.mv_size != PHOTA_ROLLUP_KEY
        || phota_rollup_decode(&v->row, value.mv_data, value.mv_size)
           != PHOTA_OK)
    {
        phota_error(v->err, "a roll-up is damaged");
        return PHOTA_INVALID;
    }

    memcpy(v->row_key, key.mv_data, PHOTA_ROLLUP_KEY);
    v->rolled = 1;

    return PHOTA_OK;
}


static int
phota_verify_row(phota_verify_t *v)
{
    uint32_t         day, tenant;
    phota_rollup_t   zero, *sum;

    day = (uint32_t) phota_get_be(v->row_key, 4);
    tenant = (uint32_t) phota_get_be(v->row_key + 4, 4);

    memset(&zero, 0, sizeof(phota_rollup_t));
    sum = &zero;

    if (day == v->day && v->sums.count != 0) {
        sum = phota_sums_get(&v->sums, tenant, v->row_key[8]);

        if (sum == NULL) {
            phota_error(v->err, "no memory");
            return PHOTA_ERROR;
        }
    }

    if (sum->calls != v->row.calls || sum->outputs != v->row.outputs
        || sum->identity_outputs != v->row.identity_outputs
        || sum->cost != v->row.cost || sum->price != v->row.price
        || sum->saved != v->row.saved)
    {
        return phota_verify_bad_day(v, day, tenant, v->row_key[8]);
    }

    memset(sum, 0, sizeof(phota_rollup_t));

    return PHOTA_OK;
}


static int
phota_verify_chain(phota_verify_t *v)
{
    phota_chain_t  chain;

    if (phota_chain_read(v->ledger, v->txn, &chain) == PHOTA_ERROR) {
        phota_error(v->err, "the record of the chain's end is damaged");
        return PHOTA_INVALID;
    }

    if (chain.count != v->count) {
        phota_error(v->err, "the chain ends with entry %llu, and should with "
                    "%llu", (unsigned long long) v->count,
                    (unsigned long long) chain.count);
        return PHOTA_INVALID;
    }

    if (chain.time != v->time
        || memcmp(chain.hash, v->hash, PHOTA_SHA256_LEN) != 0)
    {
        return phota_verify_bad(v, "is not the one that was written last");
    }

    return PHOTA_OK;
}


static int
phota_verify_counts(phota_verify_t *v)
{
    int       rc;
    MDB_stat  charges, open;

    rc = mdb_stat(v->txn, v->ledger->charges, &charges);

    if (rc == 0) {
        rc = mdb_stat(v->txn, v->ledger->open, &open);
    }

    if (rc != 0) {
        return phota_store_fail(v->err, v->ledger->store->path, rc);
    }

    if (charges.ms_entries != v->holds || v->ends != v->holds) {
        phota_error(v->err, "there are %llu charges, %llu holds and %llu "
                    "ends of them", (unsigned long long) charges.ms_entries,
                    (unsigned long long) v->holds,
                    (unsigned long long) v->ends);
        return PHOTA_INVALID;
    }

    if (open.ms_entries != v->opens) {
        phota_error(v->err, "%llu charges are listed as open, %llu are",
                    (unsigned long long) open.ms_entries,
                    (unsigned long long) v->opens);
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


static int
phota_verify_bad(phota_verify_t *v, const char *what)
{
    phota_error(v->err, "entry %llu %s", (unsigned long long) v->count, what);

    return PHOTA_INVALID;
}


static int
phota_verify_bad_charge(phota_verify_t *v, const phota_id_t *id,
    const char *what)
{
    char  text[PHOTA_ID_TEXT];

    phota_id_format(text, id);
    phota_error(v->err, "entry %llu: charge %s %s",
                (unsigned long long) v->count, text, what);

    return PHOTA_INVALID;
}


static int
phota_verify_bad_day(phota_verify_t *v, uint32_t day, uint32_t tenant,
    uint8_t operation)
{
    char  text[PHOTA_TIME_TEXT];

    phota_time_format(text, (uint64_t) day * PHOTA_DAY);
    phota_error(v->err, "the roll-up of %.10s, tenant %u, operation %u is not "
                "the sum of its entries", text, (unsigned) tenant,
                (unsigned) operation);

    return PHOTA_INVALID;
}
