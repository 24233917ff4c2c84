
/*
 * The machinery of an entry: the chain, the charge's present view, roll-ups,
 * budgets, all in the caller's transaction.
 *
 * An entry's time is the wall clock's, or the last entry's where the clock was
 * set back, so that it never decreases along the chain.
 */


#include <stdio.h>
#include <string.h>

#include "phota_ledger_post.h"
#include "phota_order.h"
#include "phota_rollup.h"


static void phota_ledger_delta(phota_entry_t *entry,
    const phota_charge_t *before);
static int64_t phota_ledger_held(const phota_charge_t *charge);
static int phota_ledger_put_charge(phota_ledger_t *l, MDB_txn *txn,
    const phota_chain_t *chain, const phota_charge_t *charge,
    const phota_span_t *span, phota_error_t *err);
static int phota_ledger_ended(phota_ledger_t *l, MDB_txn *txn,
    phota_chain_t *chain, const phota_id_t *id, phota_error_t *err);
static int phota_ledger_move(phota_ledger_t *l, MDB_txn *txn,
    const phota_id_t *id, phota_error_t *err);
static int phota_ledger_roll_up(phota_ledger_t *l, MDB_txn *txn,
    const phota_entry_t *entry, phota_error_t *err);
static int phota_ledger_roll_up_row(phota_ledger_t *l, MDB_txn *txn,
    const u_char *key, size_t len, const phota_sum_t *delta,
    phota_error_t *err);


int
phota_ledger_post(phota_ledger_t *l, MDB_txn *txn, phota_entry_t *entry,
    const phota_charge_t *before, phota_span_t *span, unsigned fresh,
    phota_error_t *err)
{
    phota_chain_t    chain;
    phota_charge_t  *charge;

    charge = &entry->charge;

    if (phota_ledger_chain(l, txn, &chain, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    entry->first = (before == NULL);
    entry->day = phota_ledger_day(&chain, charge->time);
    phota_ledger_delta(entry, before);

    if (phota_ledger_append(l, txn, &chain, entry, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    charge->updated = entry->time;

    if (entry->type == PHOTA_ENTRY_ACCEPTED) {
        charge->owner.slot = PHOTA_OWNER_JOB;
        charge->owner.epoch = entry->sequence;
    }

    if (entry->first) {
        span->first = entry->sequence;
    }

    span->last = entry->sequence;

    if (before != NULL && phota_charge_open(before)
        && !phota_charge_open(charge)
        && phota_ledger_ended(l, txn, &chain, &charge->id, err) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    if (phota_ledger_put_charge(l, txn, &chain, charge, span, err) != PHOTA_OK
        || phota_ledger_set_chain(l, txn, &chain, err) != PHOTA_OK
        || phota_ledger_roll_up(l, txn, entry, err) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    return phota_budget_post(&l->budgets, txn, charge->tenant, charge->token,
                             &charge->windows, entry->delta.price,
                             phota_ledger_held(charge)
                             - phota_ledger_held(before),
                             fresh, err);
}


static void
phota_ledger_delta(phota_entry_t *entry, const phota_charge_t *before)
{
    phota_sum_t  sum, *delta;

    delta = &entry->delta;

    phota_charge_sum(&entry->charge, delta);

    if (before == NULL) {
        return;
    }

    phota_charge_sum(before, &sum);

    delta->calls -= sum.calls;
    delta->hits -= sum.hits;
    delta->outputs -= sum.outputs;
    delta->identity_outputs -= sum.identity_outputs;
    delta->cost -= sum.cost;
    delta->price -= sum.price;
    delta->saved -= sum.saved;
}


/* what the budgets keep for a charge as it stands */

static int64_t
phota_ledger_held(const phota_charge_t *charge)
{
    return (charge != NULL && phota_charge_open(charge)) ? charge->held : 0;
}


int
phota_ledger_append(phota_ledger_t *l, MDB_txn *txn, phota_chain_t *chain,
    phota_entry_t *entry, phota_error_t *err)
{
    int       rc;
    size_t    len;
    u_char    name[8], buf[PHOTA_LEDGER_RECORD];
    MDB_val   key, value;
    uint64_t  now;

    now = phota_now();

    chain->count++;
    chain->time = (now > chain->time) ? now : chain->time;

    entry->sequence = chain->count;
    entry->time = chain->time;

    len = sizeof(buf);

    if (phota_entry_encode(entry, chain->hash, buf, &len, chain->hash)
        != PHOTA_OK)
    {
        phota_error(err, "an entry can't be hashed");
        return PHOTA_ERROR;
    }

    phota_put_be(name, chain->count, sizeof(name));

    key.mv_data = name;
    key.mv_size = sizeof(name);
    value.mv_data = buf;
    value.mv_size = len;

    rc = mdb_put(txn, l->entries, &key, &value, MDB_APPEND);

    return (rc == 0) ? PHOTA_OK : phota_ledger_fail(l, "entries", rc, err);
}


int
phota_ledger_chain(phota_ledger_t *l, MDB_txn *txn, phota_chain_t *chain,
    phota_error_t *err)
{
    if (phota_chain_read(l, txn, chain) == PHOTA_ERROR) {
        return phota_ledger_fail(l, "open", MDB_CORRUPTED, err);
    }

    return PHOTA_OK;
}


int
phota_ledger_set_chain(phota_ledger_t *l, MDB_txn *txn,
    const phota_chain_t *chain, phota_error_t *err)
{
    int  rc;

    rc = phota_chain_write(l, txn, chain);

    return (rc == 0) ? PHOTA_OK : phota_ledger_fail(l, "open", rc, err);
}


uint32_t
phota_ledger_day(const phota_chain_t *chain, uint64_t time)
{
    uint64_t  now, day;

    now = phota_now();
    day = time / PHOTA_DAY;

    if (chain->time > now && chain->time - now <= PHOTA_DAY) {
        now = chain->time;
    }

    if (now >= (day + 1) * PHOTA_DAY + PHOTA_CLOSES) {
        day = now / PHOTA_DAY;
    }

    if (day < chain->closed) {

        /* archived: on the first day that isn't, or today */

        day = now / PHOTA_DAY;
        day = (day < chain->closed) ? chain->closed : day;
    }

    return (uint32_t) day;
}


/*
 * What is open lies whole in a small table of its own, so that a hold, which
 * somebody waits for, writes fewer pages.
 */

static int
phota_ledger_put_charge(phota_ledger_t *l, MDB_txn *txn,
    const phota_chain_t *chain, const phota_charge_t *charge,
    const phota_span_t *span, phota_error_t *err)
{
    int          rc, open;
    size_t       len;
    u_char       buf[PHOTA_LEDGER_RECORD];
    MDB_val      key, value;
    const char  *table;

    len = sizeof(buf);
    open = phota_charge_open(charge) || phota_chain_ended(chain, &charge->id);
    table = open ? "open" : "charges";

    if (phota_charge_encode(charge, span, buf, &len) != PHOTA_OK) {
        return phota_ledger_fail(l, table, MDB_BAD_VALSIZE, err);
    }

    key.mv_data = (void *) charge->id.b;
    key.mv_size = sizeof(phota_id_t);
    value.mv_data = buf;
    value.mv_size = len;

    rc = mdb_put(txn, open ? l->open : l->charges, &key, &value, 0);

    return (rc == 0) ? PHOTA_OK : phota_ledger_fail(l, table, rc, err);
}


/* one more that has ended and stays where it is for now */

static int
phota_ledger_ended(phota_ledger_t *l, MDB_txn *txn, phota_chain_t *chain,
    const phota_id_t *id, phota_error_t *err)
{
    if (chain->nended == PHOTA_CHAIN_ENDED
        && phota_ledger_sweep(l, txn, chain, err) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    chain->ended[chain->nended++] = *id;

    return PHOTA_OK;
}


int
phota_ledger_sweep(phota_ledger_t *l, MDB_txn *txn, phota_chain_t *chain,
    phota_error_t *err)
{
    unsigned  i;

    for (i = 0; i < chain->nended; i++) {
        if (phota_ledger_move(l, txn, &chain->ended[i], err) != PHOTA_OK) {
            return PHOTA_ERROR;
        }
    }

    chain->nended = 0;

    return PHOTA_OK;
}


static int
phota_ledger_move(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    phota_error_t *err)
{
    int      rc;
    u_char   buf[PHOTA_LEDGER_RECORD];
    MDB_val  key, value;

    key.mv_data = (void *) id->b;
    key.mv_size = sizeof(phota_id_t);

    rc = mdb_get(txn, l->open, &key, &value);

    if (rc == MDB_NOTFOUND || (rc == 0 && value.mv_size > sizeof(buf))) {
        return phota_ledger_damaged(l, id, err);
    }

    if (rc == 0) {
        memcpy(buf, value.mv_data, value.mv_size);
        value.mv_data = buf;

        rc = mdb_del(txn, l->open, &key, NULL);
    }

    if (rc != 0) {
        return phota_ledger_fail(l, "open", rc, err);
    }

    rc = mdb_put(txn, l->charges, &key, &value, 0);

    return (rc == 0) ? PHOTA_OK : phota_ledger_fail(l, "charges", rc, err);
}


static int
phota_ledger_roll_up(phota_ledger_t *l, MDB_txn *txn,
    const phota_entry_t *entry, phota_error_t *err)
{
    size_t                 len;
    u_char                 key[PHOTA_DETAIL_KEY_MAX];
    phota_rollup_name_t    name;
    const phota_charge_t  *charge;

    if (phota_sum_zero(&entry->delta)) {
        return PHOTA_OK;
    }

    charge = &entry->charge;

    name.day = entry->day;
    name.tenant = charge->tenant;
    name.token = charge->token;
    name.operation = charge->operation;
    memcpy(name.tag, charge->tag, sizeof(name.tag));

    len = phota_rollup_key(key, &name);

    if (phota_ledger_roll_up_row(l, txn, key, PHOTA_ROLLUP_KEY, &entry->delta,
                                 err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    return phota_ledger_roll_up_row(l, txn, key, len, &entry->delta, err);
}


static int
phota_ledger_roll_up_row(phota_ledger_t *l, MDB_txn *txn, const u_char *key,
    size_t len, const phota_sum_t *delta, phota_error_t *err)
{
    phota_rollup_t  row;

    if (phota_rollup_get(l, txn, key, len, &row, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    phota_sum_add(&row.sum, delta);

    return phota_rollup_put(l, txn, key, len, &row, err);
}


int
phota_ledger_printable(const char *text, size_t size)
{
    size_t  i;

    for (i = 0; i < size; i++) {

        if (text[i] == '\0') {
            return 1;
        }

        if (text[i] < 0x20 || text[i] > 0x7e) {
            return 0;
        }
    }

    return 0;
}


int
phota_ledger_fail(phota_ledger_t *l, const char *table, int rc,
    phota_error_t *err)
{
    char  what[sizeof(l->store->path) + 64];

    (void) snprintf(what, sizeof(what), "%.120s, table \"%s\"",
                    l->store->path, table);

    return phota_store_fail(err, what, rc);
}


int
phota_ledger_damaged(phota_ledger_t *l, const phota_id_t *id,
    phota_error_t *err)
{
    char  text[PHOTA_ID_TEXT];
    char  what[sizeof(l->store->path) + 64];

    phota_id_format(text, id);
    (void) snprintf(what, sizeof(what), "%.120s, charge %s", l->store->path,
                    text);

    return phota_store_fail(err, what, MDB_CORRUPTED);
}
