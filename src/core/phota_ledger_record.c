
/*
 * Encoding and decoding of what the ledger stores, the arithmetic of a charge,
 * and sums by tenant and operation.  Decoders accept exactly what the encoders
 * write.
 */


#include <stdlib.h>
#include <string.h>

#include "phota_ledger_record.h"
#include "phota_order.h"
#include "phota_record.h"
#include "phota_seal.h"


#define PHOTA_RECORD_VERSION  1

#define PHOTA_SUMS_MIN        64


static void phota_body_write(phota_writer_t *w, const phota_charge_t *charge);
static void phota_body_read(phota_reader_t *r, phota_charge_t *charge);
static void phota_origin_write(phota_writer_t *w,
    const phota_charge_t *charge);
static void phota_origin_read(phota_reader_t *r, phota_charge_t *charge);
static int phota_amount(const phota_charge_t *charge, uint32_t identity,
    int64_t *amount);
static int phota_sums_grow(phota_sums_t *sums);
static phota_sum_t *phota_sums_slot(phota_sums_t *sums, uint32_t tenant,
    uint8_t operation);
static int phota_sums_compare(const void *one, const void *two);


/*
 * The predecessor's hash is hashed first, then the record up to the place of
 * the hash itself.
 */

int
phota_entry_encode(const phota_entry_t *entry,
    const u_char previous[PHOTA_SHA256_LEN], u_char *buf, size_t *len,
    u_char hash[PHOTA_SHA256_LEN])
{
    size_t          n;
    u_char          hashed[PHOTA_SHA256_LEN + PHOTA_LEDGER_RECORD];
    phota_writer_t  w;

    phota_write_init(&w, hashed, sizeof(hashed));

    phota_write_bytes(&w, previous, PHOTA_SHA256_LEN);
    phota_write_number(&w, PHOTA_RECORD_VERSION, 1);
    phota_write_number(&w, entry->type, 1);
    phota_write_number(&w, entry->sequence, 8);
    phota_write_number(&w, entry->time, 8);
    phota_write_bytes(&w, entry->charge.id.b, sizeof(phota_id_t));
    phota_body_write(&w, &entry->charge);

    if (entry->type == PHOTA_STATE_HELD) {
        phota_origin_write(&w, &entry->charge);
    }

    n = (size_t) (w.pos - w.start);

    if (w.rc != PHOTA_OK || n > *len
        || phota_sha256(hash, hashed, n) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    /* without the predecessor, with the hash: the same length */

    n -= PHOTA_SHA256_LEN;

    memcpy(buf, hashed + PHOTA_SHA256_LEN, n);
    memcpy(buf + n, hash, PHOTA_SHA256_LEN);
    *len = n + PHOTA_SHA256_LEN;

    return PHOTA_OK;
}


int
phota_entry_decode(phota_entry_t *entry, const void *p, size_t len)
{
    const u_char    *id;
    phota_reader_t   r;

    memset(entry, 0, offsetof(phota_entry_t, charge));
    memset(&entry->charge, 0, offsetof(phota_charge_t, fingerprint));

    phota_read_init(&r, p, len);

    if (phota_read_number(&r, 1) != PHOTA_RECORD_VERSION) {
        return PHOTA_ERROR;
    }

    entry->type = (uint8_t) phota_read_number(&r, 1);

    if (entry->type < PHOTA_STATE_HELD || entry->type > PHOTA_STATE_UNKNOWN) {
        return PHOTA_ERROR;
    }

    entry->sequence = phota_read_number(&r, 8);
    entry->time = phota_read_number(&r, 8);

    id = phota_read_bytes(&r, sizeof(phota_id_t));

    if (id == NULL) {
        return PHOTA_ERROR;
    }

    memcpy(entry->charge.id.b, id, sizeof(phota_id_t));

    phota_body_read(&r, &entry->charge);

    if (entry->type == PHOTA_STATE_HELD) {
        phota_origin_read(&r, &entry->charge);
    }

    entry->charge.state = entry->type;
    entry->charge.updated = entry->time;

    entry->covered = (size_t) (r.pos - (const u_char *) p);
    entry->hash = phota_read_bytes(&r, PHOTA_SHA256_LEN);

    return phota_read_end(&r);
}


int
phota_charge_encode(const phota_charge_t *charge, const phota_span_t *span,
    u_char *buf, size_t *len)
{
    phota_writer_t  w;

    phota_write_init(&w, buf, *len);

    phota_write_number(&w, PHOTA_RECORD_VERSION, 1);
    phota_write_number(&w, charge->state, 1);
    phota_write_number(&w, span->first, 8);
    phota_write_number(&w, span->last, 8);
    phota_write_number(&w, charge->updated, 8);
    phota_body_write(&w, charge);
    phota_origin_write(&w, charge);

    *len = (size_t) (w.pos - w.start);

    return w.rc;
}


int
phota_charge_decode(phota_charge_t *charge, phota_span_t *span, const void *p,
    size_t len)
{
    phota_reader_t  r;

    phota_read_init(&r, p, len);

    if (phota_read_number(&r, 1) != PHOTA_RECORD_VERSION) {
        return PHOTA_ERROR;
    }

    charge->state = (uint8_t) phota_read_number(&r, 1);
    span->first = phota_read_number(&r, 8);
    span->last = phota_read_number(&r, 8);
    charge->updated = phota_read_number(&r, 8);

    phota_body_read(&r, charge);
    phota_origin_read(&r, charge);

    return phota_read_end(&r);
}


/* what may change with an entry, and what money is worked out from */

static void
phota_body_write(phota_writer_t *w, const phota_charge_t *charge)
{
    phota_write_number(w, charge->provider, 1);
    phota_write_number(w, charge->operation, 1);
    phota_write_number(w, charge->cached, 1);
    phota_write_number(w, charge->reason, 1);
    phota_write_number(w, charge->tenant, 4);
    phota_write_number(w, charge->token, 4);
    phota_write_number(w, charge->price_version, 4);
    phota_write_number(w, charge->asked, 4);
    phota_write_number(w, charge->outputs, 4);
    phota_write_number(w, charge->identity_low, 4);
    phota_write_number(w, charge->identity_high, 4);
    phota_write_number(w, charge->status, 4);
    phota_write_number(w, (uint64_t) charge->rate, 8);
    phota_write_number(w, (uint64_t) charge->identity_rate, 8);
    phota_write_number(w, (uint64_t) charge->held, 8);
    phota_write_number(w, (uint64_t) charge->cost, 8);
    phota_write_number(w, (uint64_t) charge->cost_high, 8);
    phota_write_number(w, (uint64_t) charge->price, 8);
    phota_write_number(w, (uint64_t) charge->saved, 8);
    phota_write_text(w, charge->request_id);
}


static void
phota_body_read(phota_reader_t *r, phota_charge_t *charge)
{
    charge->provider = (uint8_t) phota_read_number(r, 1);
    charge->operation = (uint8_t) phota_read_number(r, 1);
    charge->cached = (uint8_t) phota_read_number(r, 1);
    charge->reason = (uint8_t) phota_read_number(r, 1);
    charge->tenant = (uint32_t) phota_read_number(r, 4);
    charge->token = (uint32_t) phota_read_number(r, 4);
    charge->price_version = (uint32_t) phota_read_number(r, 4);
    charge->asked = (uint32_t) phota_read_number(r, 4);
    charge->outputs = (uint32_t) phota_read_number(r, 4);
    charge->identity_low = (uint32_t) phota_read_number(r, 4);
    charge->identity_high = (uint32_t) phota_read_number(r, 4);
    charge->status = (uint32_t) phota_read_number(r, 4);
    charge->rate = (int64_t) phota_read_number(r, 8);
    charge->identity_rate = (int64_t) phota_read_number(r, 8);
    charge->held = (int64_t) phota_read_number(r, 8);
    charge->cost = (int64_t) phota_read_number(r, 8);
    charge->cost_high = (int64_t) phota_read_number(r, 8);
    charge->price = (int64_t) phota_read_number(r, 8);
    charge->saved = (int64_t) phota_read_number(r, 8);
    phota_read_text(r, charge->request_id, sizeof(charge->request_id));
}


/* what the hold says, for good */

static void
phota_origin_write(phota_writer_t *w, const phota_charge_t *charge)
{
    phota_write_number(w, charge->time, 8);
    phota_write_number(w, charge->owner.slot, 4);
    phota_write_number(w, charge->owner.epoch, 8);
    phota_write_bytes(w, charge->fingerprint, PHOTA_SHA256_LEN);
    phota_write_text(w, charge->tag);
}


static void
phota_origin_read(phota_reader_t *r, phota_charge_t *charge)
{
    const u_char  *p;

    charge->time = phota_read_number(r, 8);
    charge->owner.slot = (uint32_t) phota_read_number(r, 4);
    charge->owner.epoch = phota_read_number(r, 8);

    p = phota_read_bytes(r, PHOTA_SHA256_LEN);

    if (p != NULL) {
        memcpy(charge->fingerprint, p, PHOTA_SHA256_LEN);
    }

    phota_read_text(r, charge->tag, sizeof(charge->tag));
}


int
phota_charge_read(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    phota_charge_t *charge, phota_span_t *span)
{
    int      rc;
    MDB_val  key, value;

    key.mv_data = (void *) id->b;
    key.mv_size = sizeof(phota_id_t);

    rc = mdb_get(txn, l->charges, &key, &value);

    if (rc != 0) {
        return (rc == MDB_NOTFOUND) ? PHOTA_DECLINED : PHOTA_ERROR;
    }

    charge->id = *id;

    return phota_charge_decode(charge, span, value.mv_data, value.mv_size);
}


int
phota_charge_amounts(phota_charge_t *charge)
{
    if (charge->identity_low > charge->identity_high
        || charge->identity_high > charge->outputs)
    {
        return PHOTA_INVALID;
    }

    if (phota_amount(charge, charge->identity_low, &charge->cost) != PHOTA_OK
        || phota_amount(charge, charge->identity_high, &charge->cost_high)
           != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    charge->price = charge->cost;
    charge->saved = 0;

    return PHOTA_OK;
}


static int
phota_amount(const phota_charge_t *charge, uint32_t identity, int64_t *amount)
{
    int64_t  base, more;

    if (__builtin_mul_overflow(charge->rate,
                               (int64_t) (charge->outputs - identity), &base)
        || __builtin_mul_overflow(charge->identity_rate, (int64_t) identity,
                                  &more)
        || __builtin_add_overflow(base, more, amount))
    {
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


void
phota_rollup_encode(const phota_rollup_t *rollup,
    u_char buf[PHOTA_ROLLUP_LEN])
{
    phota_writer_t  w;

    phota_write_init(&w, buf, PHOTA_ROLLUP_LEN);

    phota_write_number(&w, PHOTA_RECORD_VERSION, 1);
    phota_write_number(&w, rollup->calls, 8);
    phota_write_number(&w, rollup->outputs, 8);
    phota_write_number(&w, rollup->identity_outputs, 8);
    phota_write_number(&w, (uint64_t) rollup->cost, 8);
    phota_write_number(&w, (uint64_t) rollup->price, 8);
    phota_write_number(&w, (uint64_t) rollup->saved, 8);
    phota_write_number(&w, rollup->hits, 8);
    phota_write_number(&w, (uint64_t) rollup->hits_saved, 8);
}


int
phota_rollup_decode(phota_rollup_t *rollup, const void *p, size_t len)
{
    phota_reader_t  r;

    phota_read_init(&r, p, len);

    if (phota_read_number(&r, 1) != PHOTA_RECORD_VERSION) {
        return PHOTA_ERROR;
    }

    rollup->calls = phota_read_number(&r, 8);
    rollup->outputs = phota_read_number(&r, 8);
    rollup->identity_outputs = phota_read_number(&r, 8);
    rollup->cost = (int64_t) phota_read_number(&r, 8);
    rollup->price = (int64_t) phota_read_number(&r, 8);
    rollup->saved = (int64_t) phota_read_number(&r, 8);
    rollup->hits = phota_read_number(&r, 8);
    rollup->hits_saved = (int64_t) phota_read_number(&r, 8);

    return phota_read_end(&r);
}


void
phota_rollup_key(u_char key[PHOTA_ROLLUP_KEY], uint32_t day, uint32_t tenant,
    uint8_t operation)
{
    phota_put_be(key, day, 4);
    phota_put_be(key + 4, tenant, 4);
    key[8] = operation;
}


void
phota_rollup_add(phota_rollup_t *rollup, const phota_charge_t *charge)
{
    rollup->calls++;
    rollup->outputs += charge->outputs;
    rollup->identity_outputs += charge->identity_low;
    rollup->cost += charge->cost;
    rollup->price += charge->price;
    rollup->saved += charge->saved;
}


int
phota_chain_read(phota_ledger_t *l, MDB_txn *txn, phota_chain_t *chain)
{
    int              rc;
    MDB_val          key, value;
    const u_char    *hash;
    phota_reader_t   r;

    memset(chain, 0, sizeof(phota_chain_t));

    key.mv_data = "chain";
    key.mv_size = sizeof("chain") - 1;

    rc = mdb_get(txn, l->store->meta, &key, &value);

    if (rc != 0) {
        return (rc == MDB_NOTFOUND) ? PHOTA_DECLINED : PHOTA_ERROR;
    }

    phota_read_init(&r, value.mv_data, value.mv_size);

    if (phota_read_number(&r, 1) != PHOTA_RECORD_VERSION) {
        return PHOTA_ERROR;
    }

    chain->count = phota_read_number(&r, 8);
    chain->time = phota_read_number(&r, 8);
    chain->epoch = phota_read_number(&r, 8);
    hash = phota_read_bytes(&r, PHOTA_SHA256_LEN);

    if (phota_read_end(&r) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    memcpy(chain->hash, hash, PHOTA_SHA256_LEN);

    return PHOTA_OK;
}


int
phota_chain_write(phota_ledger_t *l, MDB_txn *txn, const phota_chain_t *chain)
{
    u_char          buf[PHOTA_CHAIN_LEN];
    MDB_val         key, value;
    phota_writer_t  w;

    phota_write_init(&w, buf, sizeof(buf));

    phota_write_number(&w, PHOTA_RECORD_VERSION, 1);
    phota_write_number(&w, chain->count, 8);
    phota_write_number(&w, chain->time, 8);
    phota_write_number(&w, chain->epoch, 8);
    phota_write_bytes(&w, chain->hash, PHOTA_SHA256_LEN);

    key.mv_data = "chain";
    key.mv_size = sizeof("chain") - 1;
    value.mv_data = buf;
    value.mv_size = (size_t) (w.pos - w.start);

    return mdb_put(txn, l->store->meta, &key, &value, 0);
}


phota_rollup_t *
phota_sums_get(phota_sums_t *sums, uint32_t tenant, uint8_t operation)
{
    phota_sum_t  *sum;

    if (sums->count * 2 >= sums->size && phota_sums_grow(sums) != PHOTA_OK) {
        return NULL;
    }

    sum = phota_sums_slot(sums, tenant, operation);

    if (!sum->used) {
        sum->used = 1;
        sum->tenant = tenant;
        sum->operation = operation;
        sums->count++;
    }

    return &sum->sum;
}


static int
phota_sums_grow(phota_sums_t *sums)
{
    size_t         i;
    phota_sum_t   *slot;
    phota_sums_t   bigger;

    bigger.count = sums->count;
    bigger.size = sums->size ? sums->size * 2 : PHOTA_SUMS_MIN;
    bigger.slots = calloc(bigger.size, sizeof(phota_sum_t));

    if (bigger.slots == NULL) {
        return PHOTA_ERROR;
    }

    for (i = 0; i < sums->size; i++) {
        if (sums->slots[i].used) {
            slot = phota_sums_slot(&bigger, sums->slots[i].tenant,
                                   sums->slots[i].operation);
            *slot = sums->slots[i];
        }
    }

    free(sums->slots);
    *sums = bigger;

    return PHOTA_OK;
}


/* there is always a free one: at most half of them are used */

static phota_sum_t *
phota_sums_slot(phota_sums_t *sums, uint32_t tenant, uint8_t operation)
{
    size_t        i;
    phota_sum_t  *slot;

    i = (tenant * 2654435761u) ^ operation;

    for ( ;; i++) {
        slot = &sums->slots[i & (sums->size - 1)];

        if (!slot->used
            || (slot->tenant == tenant && slot->operation == operation))
        {
            return slot;
        }
    }
}


void
phota_sums_sort(phota_sums_t *sums)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < sums->size; i++) {
        if (sums->slots[i].used) {
            sums->slots[n++] = sums->slots[i];
        }
    }

    if (n > 1) {
        qsort(sums->slots, n, sizeof(phota_sum_t), phota_sums_compare);
    }
}


static int
phota_sums_compare(const void *one, const void *two)
{
    const phota_sum_t  *a, *b;

    a = one;
    b = two;

    if (a->tenant != b->tenant) {
        return (a->tenant < b->tenant) ? -1 : 1;
    }

    return (int) a->operation - (int) b->operation;
}


void
phota_sums_free(phota_sums_t *sums)
{
    free(sums->slots);
    memset(sums, 0, sizeof(phota_sums_t));
}
