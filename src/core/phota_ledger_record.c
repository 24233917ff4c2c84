
/*
 * Encoding and decoding of what the ledger stores, and the arithmetic of a
 * charge.  Decoders accept exactly what the encoders write.
 */


#include <string.h>

#include "phota_ledger_record.h"
#include "phota_order.h"
#include "phota_record.h"
#include "phota_seal.h"


#define PHOTA_RECORD_VERSION  2

#define PHOTA_CHAIN_LEN       (1 + 8 * 4 + 4 + 2 * PHOTA_SHA256_LEN           \
                               + 1 + PHOTA_CHAIN_ENDED * sizeof(phota_id_t))


static void phota_entry_write(phota_writer_t *w, const phota_entry_t *entry);
static void phota_entry_read(phota_reader_t *r, phota_entry_t *entry);
static int phota_entry_known(const phota_entry_t *entry);
static int phota_entry_adds(const phota_entry_t *entry);
static uint8_t phota_entry_state(unsigned type);
static void phota_hits_write(phota_writer_t *w, const phota_charge_t *charge);
static void phota_hits_read(phota_reader_t *r, phota_charge_t *charge);
/* five kinds and flags, counts and whose, amounts, terms, fingerprint */

#define PHOTA_BODY_FIXED      (5 + 6 * 4 + 4 * 8 + (4 * 8 + 3 * 4 + 1)         \
                               + PHOTA_SHA256_LEN)


static void phota_body_write(phota_writer_t *w, const phota_charge_t *charge);
static void phota_body_read(phota_reader_t *r, phota_charge_t *charge);
static void phota_terms_write(phota_writer_t *w, const phota_terms_t *terms);
static inline void phota_terms_read(phota_reader_t *r, phota_terms_t *terms);
static void phota_origin_write(phota_writer_t *w,
    const phota_charge_t *charge);
static void phota_origin_read(phota_reader_t *r, phota_charge_t *charge);
static void phota_sum_write(phota_writer_t *w, const phota_sum_t *sum);
static void phota_sum_read(phota_reader_t *r, phota_sum_t *sum);
static int phota_charge_held(phota_charge_t *charge);
static int phota_charge_cost(phota_charge_t *charge);
static int phota_charge_served(const phota_charge_t *charge);


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
    phota_entry_write(&w, entry);

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


static void
phota_entry_write(phota_writer_t *w, const phota_entry_t *entry)
{
    phota_write_number(w, PHOTA_RECORD_VERSION, 1);
    phota_write_number(w, entry->type, 1);
    phota_write_number(w, entry->first, 1);
    phota_write_number(w, entry->sequence, 8);
    phota_write_number(w, entry->time, 8);
    phota_write_number(w, entry->day, 4);
    phota_write_text(w, entry->by);
    phota_write_text(w, entry->note);

    if (entry->type == PHOTA_ENTRY_HITS) {
        phota_hits_write(w, &entry->charge);

    } else {
        phota_write_bytes(w, entry->charge.id.b, sizeof(phota_id_t));
        phota_body_write(w, &entry->charge);
    }

    if (entry->first) {
        phota_origin_write(w, &entry->charge);
    }

    if (phota_entry_adds(entry)) {
        phota_sum_write(w, &entry->delta);
    }
}


int
phota_entry_decode(phota_entry_t *entry, const void *p, size_t len)
{
    unsigned        first;
    phota_reader_t  r;

    memset(entry, 0, sizeof(phota_entry_t));

    phota_read_init(&r, p, len);

    if (phota_read_number(&r, 1) != PHOTA_RECORD_VERSION) {
        return PHOTA_ERROR;
    }

    entry->type = (uint8_t) phota_read_number(&r, 1);

    first = (unsigned) phota_read_number(&r, 1);
    entry->first = (first == 1);

    if (first > 1 || !phota_entry_known(entry)) {
        return PHOTA_ERROR;
    }

    phota_entry_read(&r, entry);

    entry->covered = (size_t) (r.pos - (const u_char *) p);
    entry->hash = phota_read_bytes(&r, PHOTA_SHA256_LEN);

    return phota_read_end(&r);
}


/* what follows type and first */

static void
phota_entry_read(phota_reader_t *r, phota_entry_t *entry)
{
    const u_char    *id;
    phota_charge_t  *charge;

    charge = &entry->charge;

    entry->sequence = phota_read_number(r, 8);
    entry->time = phota_read_number(r, 8);
    entry->day = (uint32_t) phota_read_number(r, 4);
    phota_read_text(r, entry->by, sizeof(entry->by));
    phota_read_text(r, entry->note, sizeof(entry->note));

    if (entry->type == PHOTA_ENTRY_HITS) {
        phota_hits_read(r, charge);
        phota_sum_read(r, &entry->delta);
        return;
    }

    id = phota_read_bytes(r, sizeof(phota_id_t));

    if (id == NULL) {
        return;
    }

    memcpy(charge->id.b, id, sizeof(phota_id_t));

    charge->time = phota_get_be(id, 6);
    charge->updated = entry->time;
    charge->state = phota_entry_state(entry->type);

    phota_body_read(r, charge);

    if (entry->first) {
        phota_origin_read(r, charge);

    } else if (entry->type == PHOTA_ENTRY_ACCEPTED) {
        charge->owner.slot = PHOTA_OWNER_JOB;
        charge->owner.epoch = entry->sequence;
    }

    if (phota_entry_adds(entry)) {
        phota_sum_read(r, &entry->delta);

    } else {
        phota_charge_sum(charge, &entry->delta);
    }
}


/* whether there are entries of this type, as a first one or not */

static int
phota_entry_known(const phota_entry_t *entry)
{
    switch (entry->type) {

    case PHOTA_ENTRY_HELD:
        return entry->first;

    case PHOTA_ENTRY_SETTLED:
        return 1;

    case PHOTA_ENTRY_VOID:
    case PHOTA_ENTRY_UNKNOWN:
    case PHOTA_ENTRY_REVERSED:
    case PHOTA_ENTRY_CORRECTED:
    case PHOTA_ENTRY_HITS:
    case PHOTA_ENTRY_ACCEPTED:
        return !entry->first;

    default:
        return 0;
    }
}


/* of the others what they add follows from the charge */

static int
phota_entry_adds(const phota_entry_t *entry)
{
    return entry->type == PHOTA_ENTRY_REVERSED
           || entry->type == PHOTA_ENTRY_CORRECTED
           || entry->type == PHOTA_ENTRY_HITS;
}


/* in which an entry leaves its charge */

static uint8_t
phota_entry_state(unsigned type)
{
    switch (type) {

    case PHOTA_ENTRY_CORRECTED:
        return PHOTA_STATE_SETTLED;

    case PHOTA_ENTRY_ACCEPTED:
        return PHOTA_STATE_HELD;

    default: /* the first five are states */
        return (uint8_t) type;
    }
}


static void
phota_hits_write(phota_writer_t *w, const phota_charge_t *charge)
{
    phota_write_number(w, charge->tenant, 4);
    phota_write_number(w, charge->token, 4);
    phota_write_number(w, charge->operation, 1);
    phota_write_text(w, charge->tag);
}


static void
phota_hits_read(phota_reader_t *r, phota_charge_t *charge)
{
    charge->tenant = (uint32_t) phota_read_number(r, 4);
    charge->token = (uint32_t) phota_read_number(r, 4);
    charge->operation = (uint8_t) phota_read_number(r, 1);
    phota_read_text(r, charge->tag, sizeof(charge->tag));
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

    if (charge->state < PHOTA_STATE_HELD
        || charge->state > PHOTA_STATE_REVERSED)
    {
        return PHOTA_ERROR;
    }

    span->first = phota_read_number(&r, 8);
    span->last = phota_read_number(&r, 8);
    charge->updated = phota_read_number(&r, 8);

    charge->time = phota_get_be(charge->id.b, 6);

    phota_body_read(&r, charge);
    phota_origin_read(&r, charge);

    return phota_read_end(&r);
}


/* what may change with an entry, and what an entry is understood by */

static void
phota_body_write(phota_writer_t *w, const phota_charge_t *charge)
{
    phota_write_number(w, charge->provider, 1);
    phota_write_number(w, charge->operation, 1);
    phota_write_number(w, charge->cached, 1);
    phota_write_number(w, charge->reason, 1);
    phota_write_number(w, charge->flags, 1);
    phota_write_number(w, charge->tenant, 4);
    phota_write_number(w, charge->token, 4);
    phota_write_number(w, charge->outputs, 4);
    phota_write_number(w, charge->identity_low, 4);
    phota_write_number(w, charge->identity_high, 4);
    phota_write_number(w, charge->status, 4);
    phota_write_number(w, (uint64_t) charge->cost, 8);
    phota_write_number(w, (uint64_t) charge->cost_high, 8);
    phota_write_number(w, (uint64_t) charge->price, 8);
    phota_write_number(w, (uint64_t) charge->saved, 8);
    phota_terms_write(w, &charge->terms);
    phota_write_bytes(w, charge->fingerprint, PHOTA_SHA256_LEN);
    phota_write_text(w, charge->request_id);
    phota_write_text(w, charge->tag);
}


static void
phota_body_read(phota_reader_t *r, phota_charge_t *charge)
{
    const u_char    *p;
    phota_reader_t   fixed;

    /* one look at the end for all of them: the compiler drops the others */

    p = phota_read_bytes(r, PHOTA_BODY_FIXED);

    if (p == NULL) {
        return;
    }

    phota_read_init(&fixed, p, PHOTA_BODY_FIXED);

    charge->provider = (uint8_t) phota_read_number(&fixed, 1);
    charge->operation = (uint8_t) phota_read_number(&fixed, 1);
    charge->cached = (uint8_t) phota_read_number(&fixed, 1);
    charge->reason = (uint8_t) phota_read_number(&fixed, 1);
    charge->flags = (uint8_t) phota_read_number(&fixed, 1);
    charge->tenant = (uint32_t) phota_read_number(&fixed, 4);
    charge->token = (uint32_t) phota_read_number(&fixed, 4);
    charge->outputs = (uint32_t) phota_read_number(&fixed, 4);
    charge->identity_low = (uint32_t) phota_read_number(&fixed, 4);
    charge->identity_high = (uint32_t) phota_read_number(&fixed, 4);
    charge->status = (uint32_t) phota_read_number(&fixed, 4);
    charge->cost = (int64_t) phota_read_number(&fixed, 8);
    charge->cost_high = (int64_t) phota_read_number(&fixed, 8);
    charge->price = (int64_t) phota_read_number(&fixed, 8);
    charge->saved = (int64_t) phota_read_number(&fixed, 8);
    phota_terms_read(&fixed, &charge->terms);

    memcpy(charge->fingerprint, fixed.pos, PHOTA_SHA256_LEN);

    phota_read_text(r, charge->request_id, sizeof(charge->request_id));
    phota_read_text(r, charge->tag, sizeof(charge->tag));
}


static void
phota_terms_write(phota_writer_t *w, const phota_terms_t *terms)
{
    phota_write_number(w, (uint64_t) terms->rate, 8);
    phota_write_number(w, (uint64_t) terms->identity_rate, 8);
    phota_write_number(w, (uint64_t) terms->fixed, 8);
    phota_write_number(w, (uint64_t) terms->fixed_identity, 8);
    phota_write_number(w, (uint32_t) terms->markup, 4);
    phota_write_number(w, terms->share, 4);
    phota_write_number(w, terms->version, 4);
    phota_write_number(w, terms->flags, 1);
}


static inline void
phota_terms_read(phota_reader_t *r, phota_terms_t *terms)
{
    terms->rate = (int64_t) phota_read_number(r, 8);
    terms->identity_rate = (int64_t) phota_read_number(r, 8);
    terms->fixed = (int64_t) phota_read_number(r, 8);
    terms->fixed_identity = (int64_t) phota_read_number(r, 8);
    terms->markup = (int32_t) phota_read_number(r, 4);
    terms->share = (uint32_t) phota_read_number(r, 4);
    terms->version = (uint32_t) phota_read_number(r, 4);
    terms->flags = (uint8_t) phota_read_number(r, 1);
}


/* what a charge begins with, for good; its time is in its id */

static void
phota_origin_write(phota_writer_t *w, const phota_charge_t *charge)
{
    phota_write_number(w, charge->owner.slot, 4);
    phota_write_number(w, charge->owner.epoch, 8);
    phota_write_number(w, charge->windows.day, 4);
    phota_write_number(w, charge->windows.month, 4);
    phota_write_number(w, charge->asked, 4);
    phota_write_number(w, charge->asked_identity, 4);
    phota_write_number(w, (uint64_t) charge->held, 8);
}


static void
phota_origin_read(phota_reader_t *r, phota_charge_t *charge)
{
    charge->owner.slot = (uint32_t) phota_read_number(r, 4);
    charge->owner.epoch = phota_read_number(r, 8);
    charge->windows.day = (uint32_t) phota_read_number(r, 4);
    charge->windows.month = (uint32_t) phota_read_number(r, 4);
    charge->asked = (uint32_t) phota_read_number(r, 4);
    charge->asked_identity = (uint32_t) phota_read_number(r, 4);
    charge->held = (int64_t) phota_read_number(r, 8);
}


static void
phota_sum_write(phota_writer_t *w, const phota_sum_t *sum)
{
    phota_write_number(w, (uint64_t) sum->calls, 8);
    phota_write_number(w, (uint64_t) sum->hits, 8);
    phota_write_number(w, (uint64_t) sum->outputs, 8);
    phota_write_number(w, (uint64_t) sum->identity_outputs, 8);
    phota_write_number(w, (uint64_t) sum->cost, 8);
    phota_write_number(w, (uint64_t) sum->price, 8);
    phota_write_number(w, (uint64_t) sum->saved, 8);
}


static void
phota_sum_read(phota_reader_t *r, phota_sum_t *sum)
{
    sum->calls = (int64_t) phota_read_number(r, 8);
    sum->hits = (int64_t) phota_read_number(r, 8);
    sum->outputs = (int64_t) phota_read_number(r, 8);
    sum->identity_outputs = (int64_t) phota_read_number(r, 8);
    sum->cost = (int64_t) phota_read_number(r, 8);
    sum->price = (int64_t) phota_read_number(r, 8);
    sum->saved = (int64_t) phota_read_number(r, 8);
}


int
phota_charge_read(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    phota_charge_t *charge, phota_span_t *span)
{
    int      rc, open;
    MDB_val  key, value;

    key.mv_data = (void *) id->b;
    key.mv_size = sizeof(phota_id_t);

    rc = mdb_get(txn, l->open, &key, &value);
    open = (rc == 0);

    if (rc == MDB_NOTFOUND) {
        rc = mdb_get(txn, l->charges, &key, &value);
    }

    if (rc != 0) {
        return (rc == MDB_NOTFOUND) ? PHOTA_DECLINED : PHOTA_ERROR;
    }

    charge->id = *id;

    return phota_charge_row(charge, span, open, &value);
}


int
phota_charge_row(phota_charge_t *charge, phota_span_t *span, int open,
    const MDB_val *value)
{
    if (phota_charge_decode(charge, span, value->mv_data, value->mv_size)
        != PHOTA_OK
        || (!open && phota_charge_open(charge)))
    {
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


int
phota_charge_open(const phota_charge_t *charge)
{
    return charge->state == PHOTA_STATE_HELD
           || charge->state == PHOTA_STATE_UNKNOWN;
}


int
phota_charge_amounts(phota_charge_t *charge)
{
    int64_t  cost;

    if (charge->identity_low > charge->identity_high
        || charge->identity_high > charge->outputs
        || phota_charge_held(charge) != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    if (charge->state != PHOTA_STATE_SETTLED) {
        charge->cost = 0;
        charge->cost_high = 0;
        charge->price = 0;
        return PHOTA_OK;
    }

    if (phota_charge_cost(charge) != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    charge->price = 0;

    if (charge->tenant == 0) {
        return PHOTA_OK;
    }

    cost = phota_charge_served(charge) ? charge->saved : charge->cost;

    if (phota_terms_price(&charge->terms, charge->outputs,
                          charge->identity_low, cost, &charge->price)
        != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    return (charge->price < 0 || charge->price > PHOTA_AMOUNT_MAX)
           ? PHOTA_INVALID : PHOTA_OK;
}


/* nothing is held for what is sold, nor in the name of nobody */

static int
phota_charge_held(phota_charge_t *charge)
{
    int64_t  cost;

    charge->held = 0;

    if (charge->tenant == 0 || phota_charge_served(charge)) {
        return PHOTA_OK;
    }

    if (phota_terms_cost(&charge->terms, charge->asked,
                         charge->asked_identity, &cost)
        != PHOTA_OK
        || phota_terms_price(&charge->terms, charge->asked,
                             charge->asked_identity, cost, &charge->held)
           != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    return (charge->held < 0 || charge->held > PHOTA_AMOUNT_MAX)
           ? PHOTA_INVALID : PHOTA_OK;
}


static int
phota_charge_cost(phota_charge_t *charge)
{
    if (phota_charge_served(charge)) {
        charge->cost = 0;
        charge->cost_high = 0;

        return (charge->saved < 0 || charge->saved > PHOTA_AMOUNT_MAX)
               ? PHOTA_INVALID : PHOTA_OK;
    }

    if (charge->flags & PHOTA_CHARGE_BILLED) {
        charge->cost_high = charge->cost;

    } else if (phota_terms_cost(&charge->terms, charge->outputs,
                                charge->identity_low, &charge->cost)
               != PHOTA_OK
               || phota_terms_cost(&charge->terms, charge->outputs,
                                   charge->identity_high, &charge->cost_high)
                  != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    return (charge->cost < 0 || charge->cost > PHOTA_AMOUNT_MAX
            || charge->cost_high < 0 || charge->cost_high > PHOTA_AMOUNT_MAX)
           ? PHOTA_INVALID : PHOTA_OK;
}


static int
phota_charge_served(const phota_charge_t *charge)
{
    return charge->cached == PHOTA_CACHED_HIT
           || charge->cached == PHOTA_CACHED_JOIN;
}


void
phota_charge_sum(const phota_charge_t *charge, phota_sum_t *sum)
{
    memset(sum, 0, sizeof(phota_sum_t));

    if (charge->state != PHOTA_STATE_SETTLED) {
        return;
    }

    sum->calls = 1;

    if (phota_charge_served(charge)) {
        sum->hits = 1;

    } else {
        sum->outputs = charge->outputs;
        sum->identity_outputs = charge->identity_low;
    }

    sum->cost = charge->cost;
    sum->price = charge->price;
    sum->saved = charge->saved;
}


int
phota_chain_key(const MDB_val *key)
{
    return key->mv_size == PHOTA_CHAIN_KEY_LEN
           && memcmp(key->mv_data, PHOTA_CHAIN_KEY, PHOTA_CHAIN_KEY_LEN) == 0;
}


int
phota_chain_ended(const phota_chain_t *chain, const phota_id_t *id)
{
    unsigned  i;

    for (i = 0; i < chain->nended; i++) {
        if (memcmp(&chain->ended[i], id, sizeof(phota_id_t)) == 0) {
            return 1;
        }
    }

    return 0;
}


int
phota_chain_read(phota_ledger_t *l, MDB_txn *txn, phota_chain_t *chain)
{
    int              rc;
    MDB_val          key, value;
    const u_char    *hash, *archived, *ended;
    phota_reader_t   r;

    memset(chain, 0, sizeof(phota_chain_t));

    key.mv_data = PHOTA_CHAIN_KEY;
    key.mv_size = PHOTA_CHAIN_KEY_LEN;

    rc = mdb_get(txn, l->open, &key, &value);

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
    chain->archived = phota_read_number(&r, 8);
    archived = phota_read_bytes(&r, PHOTA_SHA256_LEN);
    chain->closed = (uint32_t) phota_read_number(&r, 4);
    chain->nended = (unsigned) phota_read_number(&r, 1);

    if (chain->nended > PHOTA_CHAIN_ENDED) {
        return PHOTA_ERROR;
    }

    ended = phota_read_bytes(&r, chain->nended * sizeof(phota_id_t));

    if (phota_read_end(&r) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    memcpy(chain->ended, ended, chain->nended * sizeof(phota_id_t));

    memcpy(chain->hash, hash, PHOTA_SHA256_LEN);
    memcpy(chain->archived_hash, archived, PHOTA_SHA256_LEN);

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
    phota_write_number(&w, chain->archived, 8);
    phota_write_bytes(&w, chain->archived_hash, PHOTA_SHA256_LEN);
    phota_write_number(&w, chain->closed, 4);
    phota_write_number(&w, chain->nended, 1);
    phota_write_bytes(&w, chain->ended, chain->nended * sizeof(phota_id_t));

    key.mv_data = PHOTA_CHAIN_KEY;
    key.mv_size = PHOTA_CHAIN_KEY_LEN;
    value.mv_data = buf;
    value.mv_size = (size_t) (w.pos - w.start);

    return mdb_put(txn, l->open, &key, &value, 0);
}
