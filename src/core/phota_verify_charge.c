
/*
 * An entry against its charge.  Each charge has one first and one last entry,
 * by the span that its row keeps: when all rows have both, no entry and no row
 * is left over.  What lies between them is weighed.
 */


#include <stdlib.h>
#include <string.h>

#include "phota_order.h"
#include "phota_verify.h"


#define PHOTA_GONE_MIN  1024


static int phota_verify_hits(phota_verify_part_t *part,
    const phota_entry_t *entry);
static int phota_verify_span(const phota_entry_t *entry,
    const phota_span_t *span);
static int phota_verify_constant(const phota_charge_t *entry,
    const phota_charge_t *charge);
static int phota_verify_terms(const phota_terms_t *a, const phota_terms_t *b);
static int phota_verify_origin(const phota_charge_t *entry,
    const phota_charge_t *charge);
static int phota_verify_owner(const phota_entry_t *entry,
    const phota_charge_t *charge);
static int phota_verify_amounts(const phota_entry_t *entry);
static int phota_verify_view(const phota_charge_t *entry,
    const phota_charge_t *charge);
static int phota_verify_last(phota_verify_part_t *part,
    const phota_charge_t *charge);
static int phota_verify_gone(phota_verify_part_t *part,
    const phota_entry_t *entry);
static phota_gone_slot_t *phota_gone_slot(phota_gone_t *gone,
    const phota_id_t *id);
static int phota_gone_grow(phota_gone_t *gone);


int
phota_verify_entry(phota_verify_part_t *part, const phota_entry_t *entry)
{
    int                    rc;
    const phota_seen_t    *row;
    const phota_charge_t  *e, *charge;

    if (entry->type == PHOTA_ENTRY_HITS) {
        return phota_verify_hits(part, entry);
    }

    e = &entry->charge;

    if (!phota_verify_amounts(entry)) {
        return phota_verify_bad(part, "has amounts that don't follow from "
                                "its terms");
    }

    rc = phota_verify_row(part, &e->id, &row);

    if (rc == PHOTA_DECLINED) {
        return phota_verify_gone(part, entry);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    charge = &row->charge;

    if (!phota_verify_span(entry, &row->span)) {
        return phota_verify_bad_charge(part, &e->id, "has other entries");
    }

    if (!phota_verify_constant(e, charge)
        || (entry->first && !phota_verify_origin(e, charge))
        || !phota_verify_owner(entry, charge)
        || (entry->sequence == row->span.last && !phota_verify_view(e, charge)))
    {
        return phota_verify_bad_charge(part, &e->id, "differs from it");
    }

    part->firsts += entry->first;
    part->accepts += (entry->type == PHOTA_ENTRY_ACCEPTED
                      && entry->sequence == charge->owner.epoch);

    rc = phota_verify_windows(part, entry);
    if (rc != PHOTA_OK) {
        return rc;
    }

    phota_verify_weigh(part, &e->id, &entry->delta,
                       phota_verify_opened(entry), 1);

    if (entry->sequence == row->span.last) {

        rc = phota_verify_last(part, charge);
        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return phota_verify_sum(part, entry, &charge->windows);
}


static int
phota_verify_hits(phota_verify_part_t *part, const phota_entry_t *entry)
{
    const phota_sum_t  *delta;

    delta = &entry->delta;

    if (delta->calls != delta->hits || delta->outputs != 0
        || delta->identity_outputs != 0 || delta->cost != 0
        || delta->price != 0)
    {
        return phota_verify_bad(part, "counts more than free hits");
    }

    return phota_verify_sum(part, entry, NULL);
}


int
phota_verify_row(phota_verify_part_t *part, const phota_id_t *id,
    const phota_seen_t **row)
{
    int            rc, open;
    MDB_val        key, value;
    phota_seen_t  *seen;

    seen = &part->seen[phota_get_be(id->b + 12, 4) & (PHOTA_VERIFY_SEEN - 1)];
    *row = seen;

    if (seen->used
        && memcmp(&seen->charge.id, id, sizeof(phota_id_t)) == 0)
    {
        return PHOTA_OK;
    }

    seen->used = 0;

    key.mv_data = (void *) id->b;
    key.mv_size = sizeof(phota_id_t);

    rc = mdb_cursor_get(part->charges, &key, &value, MDB_SET);
    open = 0;

    /* most have ended */

    if (rc == MDB_NOTFOUND) {
        rc = mdb_cursor_get(part->open, &key, &value, MDB_SET);
        open = 1;
    }

    if (rc == MDB_NOTFOUND) {
        return (part->sequence <= part->snapshot->chain.archived)
               ? PHOTA_DECLINED
               : phota_verify_bad_charge(part, id, "is missing");
    }

    if (rc != 0) {
        return phota_store_fail(&part->err,
                                part->snapshot->ledger->store->path, rc);
    }

    seen->charge.id = *id;

    if (phota_charge_decode(&seen->charge, &seen->span, value.mv_data,
                            value.mv_size)
        != PHOTA_OK)
    {
        return phota_verify_bad_charge(part, id, "is damaged");
    }

    if (phota_charge_open(&seen->charge)
        != (open && !phota_chain_ended(&part->snapshot->chain, id)))
    {
        return phota_verify_bad_charge(part, id,
                                       phota_charge_open(&seen->charge)
                                       ? "is not listed as open"
                                       : "is listed as open");
    }

    seen->used = 1;

    return PHOTA_OK;
}


static int
phota_verify_span(const phota_entry_t *entry, const phota_span_t *span)
{
    return entry->sequence >= span->first
           && entry->sequence <= span->last
           && entry->first == (entry->sequence == span->first);
}


static int
phota_verify_constant(const phota_charge_t *e, const phota_charge_t *charge)
{
    return e->provider == charge->provider
           && e->operation == charge->operation
           && e->cached == charge->cached
           && e->tenant == charge->tenant
           && e->token == charge->token
           && phota_verify_terms(&e->terms, &charge->terms)
           && memcmp(e->fingerprint, charge->fingerprint, PHOTA_SHA256_LEN)
              == 0
           && strcmp(e->tag, charge->tag) == 0;
}


static int
phota_verify_terms(const phota_terms_t *a, const phota_terms_t *b)
{
    return a->rate == b->rate
           && a->identity_rate == b->identity_rate
           && a->fixed == b->fixed
           && a->fixed_identity == b->fixed_identity
           && a->markup == b->markup
           && a->share == b->share
           && a->version == b->version
           && a->flags == b->flags;
}


static int
phota_verify_origin(const phota_charge_t *e, const phota_charge_t *charge)
{
    return e->windows.day == charge->windows.day
           && e->windows.month == charge->windows.month
           && e->asked == charge->asked
           && e->asked_identity == charge->asked_identity
           && e->held == charge->held;
}


/*
 * By the first entry or the last that accepted it: of those that say of a row
 * that it was accepted there have to be as many as rows that say so.
 */

static int
phota_verify_owner(const phota_entry_t *entry, const phota_charge_t *charge)
{
    const phota_owner_t  *owner;

    owner = &entry->charge.owner;

    if (entry->type == PHOTA_ENTRY_ACCEPTED) {
        return charge->owner.slot == PHOTA_OWNER_JOB
               && charge->owner.epoch >= entry->sequence;
    }

    if (!entry->first) {
        return 1;
    }

    if (charge->owner.slot == PHOTA_OWNER_JOB) {
        return owner->slot != PHOTA_OWNER_JOB
               && charge->owner.epoch > entry->sequence;
    }

    return owner->slot == charge->owner.slot
           && owner->epoch == charge->owner.epoch;
}


/* a first entry holds by what was asked, which the others don't know */

static int
phota_verify_amounts(const phota_entry_t *entry)
{
    phota_charge_t         again;
    const phota_charge_t  *e;

    e = &entry->charge;
    again = *e;

    if (phota_charge_amounts(&again) != PHOTA_OK
        || again.held != e->held
        || again.cost != e->cost
        || again.cost_high != e->cost_high
        || again.price != e->price)
    {
        return 0;
    }

    return e->state == PHOTA_STATE_SETTLED
           || (e->saved == 0 && e->outputs == 0);
}


static int
phota_verify_view(const phota_charge_t *e, const phota_charge_t *charge)
{
    return e->state == charge->state
           && e->reason == charge->reason
           && e->flags == charge->flags
           && e->updated == charge->updated
           && e->status == charge->status
           && e->outputs == charge->outputs
           && e->identity_low == charge->identity_low
           && e->identity_high == charge->identity_high
           && e->cost == charge->cost
           && e->cost_high == charge->cost_high
           && e->price == charge->price
           && e->saved == charge->saved
           && strcmp(e->request_id, charge->request_id) == 0;
}


/* the row is known to be what its last entry says */

static int
phota_verify_last(phota_verify_part_t *part, const phota_charge_t *charge)
{
    int          open;
    phota_sum_t  sum;

    part->lasts++;
    part->accepts -= (charge->owner.slot == PHOTA_OWNER_JOB);

    open = phota_charge_open(charge);

    phota_charge_sum(charge, &sum);

    phota_verify_weigh(part, &charge->id, &sum, open, -1);

    if (!open) {
        return PHOTA_OK;
    }

    part->opens++;

    return phota_verify_held(part, charge);
}


/* of a charge that was archived as a whole: it has to be closed */

static int
phota_verify_gone(phota_verify_part_t *part, const phota_entry_t *entry)
{
    phota_sum_t            none;
    phota_gone_slot_t     *slot;
    const phota_charge_t  *e;

    e = &entry->charge;

    memset(&none, 0, sizeof(phota_sum_t));
    phota_verify_weigh(part, &e->id, &none, phota_verify_opened(entry), 1);

    if (entry->first
        && phota_verify_counted(part->snapshot, e->tenant, e->token,
                                &e->windows))
    {
        if (part->gone.count * 2 >= part->gone.size
            && phota_gone_grow(&part->gone) != PHOTA_OK)
        {
            phota_error(&part->err, "no memory");
            return PHOTA_ERROR;
        }

        slot = phota_gone_slot(&part->gone, &e->id);
        slot->id = e->id;
        slot->windows = e->windows;
        part->gone.count++;
    }

    slot = part->gone.size ? phota_gone_slot(&part->gone, &e->id) : NULL;

    return phota_verify_sum(part, entry,
                            (slot == NULL || phota_get_be(slot->id.b, 8) == 0)
                            ? NULL : &slot->windows);
}


/* its own, or the free one where it belongs */

static phota_gone_slot_t *
phota_gone_slot(phota_gone_t *gone, const phota_id_t *id)
{
    size_t              i;
    phota_gone_slot_t  *slot;

    for (i = phota_get_be(id->b + 8, 8); /* void */ ; i++) {
        slot = &gone->slots[i & (gone->size - 1)];

        if (phota_get_be(slot->id.b, 8) == 0
            || memcmp(&slot->id, id, sizeof(phota_id_t)) == 0)
        {
            return slot;
        }
    }
}


static int
phota_gone_grow(phota_gone_t *gone)
{
    size_t         i;
    phota_gone_t   bigger;

    bigger.count = gone->count;
    bigger.size = gone->size ? gone->size * 2 : PHOTA_GONE_MIN;
    bigger.slots = calloc(bigger.size, sizeof(phota_gone_slot_t));

    if (bigger.slots == NULL) {
        return PHOTA_ERROR;
    }

    for (i = 0; i < gone->size; i++) {
        if (phota_get_be(gone->slots[i].id.b, 8) != 0) {
            *phota_gone_slot(&bigger, &gone->slots[i].id) = gone->slots[i];
        }
    }

    free(gone->slots);
    *gone = bigger;

    return PHOTA_OK;
}
