
/*
 * Writing the books: how a charge begins and what becomes of it.  Whatever can
 * be refused is refused before the first write, so that only PHOTA_ERROR leaves
 * a transaction that has to be aborted.
 */


#include <string.h>
#include <unistd.h>

#include "phota_ledger_post.h"
#include "phota_order.h"
#include "phota_zone.h"


/* no budget's row has gone by then, wherever midnight is */

#define PHOTA_BOOK_DAYS    (PHOTA_BUDGET_DAYS - 10)
#define PHOTA_BOOK_MONTHS  (PHOTA_BUDGET_MONTHS - 1)


static int phota_ledger_tables(phota_ledger_t *l, phota_error_t *err);
static unsigned phota_ledger_fresh(const phota_windows_t *windows);
static int phota_ledger_prepare(phota_ledger_t *l, MDB_txn *txn,
    phota_charge_t *charge, phota_error_t *err);
static int phota_ledger_allow(phota_ledger_t *l, MDB_txn *txn,
    const phota_charge_t *charge, int64_t amount,
    phota_allowance_t *allowance, phota_error_t *err);
static int phota_ledger_first(phota_ledger_t *l, MDB_txn *txn,
    phota_charge_t *charge, const char *by, const char *note, unsigned fresh,
    phota_error_t *err);
static int phota_ledger_next(phota_ledger_t *l, MDB_txn *txn, unsigned type,
    const phota_charge_t *view, phota_charge_t *next, phota_span_t *span,
    const char *by, const char *note, phota_error_t *err);
static int phota_ledger_find(phota_ledger_t *l, MDB_txn *txn,
    const phota_id_t *id, phota_charge_t *view, phota_span_t *span,
    phota_charge_t *charge, phota_error_t *err);
static int phota_ledger_finish(phota_ledger_t *l, MDB_txn *txn,
    const phota_charge_t *view, phota_span_t *span,
    const phota_outcome_t *outcome, phota_charge_t *charge,
    phota_error_t *err);
static int phota_outcome_check(const phota_outcome_t *outcome,
    phota_error_t *err);
static int phota_ledger_signed(const char *by, size_t size, const char *note,
    size_t note_size, phota_error_t *err);
static int phota_ledger_apply(phota_charge_t *charge,
    const phota_outcome_t *outcome, phota_error_t *err);
static void phota_ledger_outputs(phota_charge_t *charge,
    const phota_outcome_t *outcome);
static int phota_ledger_amounts(phota_charge_t *charge, phota_error_t *err);
static int phota_ledger_same(const phota_charge_t *a,
    const phota_charge_t *b);


int
phota_ledger_open(phota_ledger_t *l, phota_store_t *store, phota_error_t *err)
{
    memset(l, 0, sizeof(phota_ledger_t));

    l->store = store;
    l->lock_fd = -1;

    return phota_ledger_tables(l, err);
}


int
phota_ledger_reopen(phota_ledger_t *l, phota_error_t *err)
{
    return phota_ledger_tables(l, err);
}


static int
phota_ledger_tables(phota_ledger_t *l, phota_error_t *err)
{
    int     rc;
    size_t  i;

    const struct {
        const char  *name;
        MDB_dbi     *dbi;
    } tables[] = {
        { "entries", &l->entries },
        { "charges", &l->charges },
        { "open", &l->open },
        { "owners", &l->owners },
        { "rollups", &l->rollups },
        { "loose", &l->loose }
    };

    for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {

        rc = phota_store_table(l->store, tables[i].name, tables[i].dbi, err);

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return phota_budgets_open(&l->budgets, l->store, err);
}


void
phota_ledger_close(phota_ledger_t *l)
{
    if (l->lock_fd != -1) {
        (void) close(l->lock_fd);
    }

    l->lock_fd = -1;
    l->self.epoch = 0;
}


int
phota_ledger_hold(phota_ledger_t *l, MDB_txn *txn, phota_charge_t *charge,
    phota_allowance_t *allowance, phota_error_t *err)
{
    int  rc;

    if (l->self.epoch == 0) {
        phota_error(err, "only a process that owns a slot may hold");
        return PHOTA_INVALID;
    }

    if (charge->cached != PHOTA_CACHED_MISS
        && charge->cached != PHOTA_CACHED_BYPASS)
    {
        phota_error(err, "a hold is for what is bought");
        return PHOTA_INVALID;
    }

    charge->state = PHOTA_STATE_HELD;
    charge->reason = PHOTA_REASON_NONE;
    charge->owner = l->self;
    charge->outputs = 0;
    charge->identity_low = 0;
    charge->identity_high = 0;
    charge->saved = 0;

    rc = phota_ledger_prepare(l, txn, charge, err);

    if (rc == PHOTA_OK) {
        rc = phota_ledger_amounts(charge, err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_ledger_allow(l, txn, charge, charge->held, allowance, err);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    return phota_ledger_first(l, txn, charge, "", "", PHOTA_BUDGET_FRESH, err);
}


int
phota_ledger_sell(phota_ledger_t *l, MDB_txn *txn, phota_charge_t *charge,
    phota_allowance_t *allowance, phota_error_t *err)
{
    int  rc;

    if (charge->cached != PHOTA_CACHED_HIT
        && charge->cached != PHOTA_CACHED_JOIN)
    {
        phota_error(err, "only a hit or join is sold without a hold");
        return PHOTA_INVALID;
    }

    charge->state = PHOTA_STATE_SETTLED;
    charge->reason = PHOTA_REASON_SERVED;
    charge->owner = l->self;
    charge->identity_high = charge->identity_low;

    rc = phota_ledger_prepare(l, txn, charge, err);

    if (rc == PHOTA_OK) {
        rc = phota_ledger_amounts(charge, err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_ledger_allow(l, txn, charge, charge->price, allowance,
                                err);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    return phota_ledger_first(l, txn, charge, "", "", PHOTA_BUDGET_FRESH, err);
}


int
phota_ledger_book(phota_ledger_t *l, MDB_txn *txn, phota_charge_t *charge,
    const phota_outcome_t *outcome, phota_error_t *err)
{
    int  rc;

    if (phota_outcome_check(outcome, err) != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    if (outcome->state != PHOTA_STATE_SETTLED || !outcome->billed) {
        phota_error(err, "only what was billed is booked");
        return PHOTA_INVALID;
    }

    memset(&charge->owner, 0, sizeof(phota_owner_t));

    charge->token = (charge->tenant != 0) ? charge->token : 0;
    charge->cached = PHOTA_CACHED_MISS;
    charge->asked = 0;
    charge->asked_identity = 0;
    charge->outputs = 0;
    charge->identity_low = 0;
    charge->identity_high = 0;
    charge->saved = 0;

    rc = phota_ledger_prepare(l, txn, charge, err);

    if (rc == PHOTA_OK) {
        rc = phota_ledger_apply(charge, outcome, err);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    return phota_ledger_first(l, txn, charge, outcome->by, outcome->note,
                              phota_ledger_fresh(&charge->windows), err);
}


/* a row that isn't there has never been, or was removed as too old */

static unsigned
phota_ledger_fresh(const phota_windows_t *windows)
{
    unsigned  fresh;
    uint64_t  now;

    now = phota_now();
    fresh = 0;

    if ((uint64_t) windows->day + PHOTA_BOOK_DAYS
        >= phota_zone_day(NULL, now))
    {
        fresh |= PHOTA_BUDGET_FRESH_DAY;
    }

    if ((uint64_t) windows->month + PHOTA_BOOK_MONTHS
        >= phota_zone_month(NULL, now))
    {
        fresh |= PHOTA_BUDGET_FRESH_MONTH;
    }

    return fresh;
}


/* what all that begin have in common; charges lie in the order of their ids */

static int
phota_ledger_prepare(phota_ledger_t *l, MDB_txn *txn, phota_charge_t *charge,
    phota_error_t *err)
{
    int                   rc;
    phota_span_t          span;
    phota_charge_t        other;
    const phota_terms_t  *terms;

    terms = &charge->terms;

    if (terms->rate < 0 || terms->identity_rate < 0
        || terms->markup < -PHOTA_PPM
        || ((terms->flags & PHOTA_TERMS_FIXED)
            && (terms->fixed < 0 || terms->fixed_identity < 0)))
    {
        phota_error(err, "a charge with a negative amount");
        return PHOTA_INVALID;
    }

    if (memchr(charge->tag, '\0', sizeof(charge->tag)) == NULL) {
        phota_error(err, "a charge with a tag that is too long");
        return PHOTA_INVALID;
    }

    rc = phota_charge_read(l, txn, &charge->id, &other, &span);

    if (rc == PHOTA_OK) {
        phota_error(err, "a charge with this id exists already");
        return PHOTA_REFUSED;
    }

    if (rc != PHOTA_DECLINED) {
        return phota_ledger_damaged(l, &charge->id, err);
    }

    charge->time = phota_get_be(charge->id.b, 6);
    charge->flags = 0;
    charge->status = 0;
    charge->cost = 0;
    charge->cost_high = 0;
    charge->price = 0;
    charge->request_id[0] = '\0';

    return PHOTA_OK;
}


static int
phota_ledger_allow(phota_ledger_t *l, MDB_txn *txn,
    const phota_charge_t *charge, int64_t amount,
    phota_allowance_t *allowance, phota_error_t *err)
{
    int                rc;
    char               left[PHOTA_USD_TEXT], asked[PHOTA_USD_TEXT];
    phota_shortage_t  *shortage;

    if (allowance == NULL) {
        return PHOTA_OK;
    }

    shortage = &allowance->shortage;

    rc = phota_budget_check(&l->budgets, txn, charge->tenant,
                            allowance->tenant, charge->token,
                            allowance->token, &charge->windows, amount,
                            shortage, err);

    if (rc == PHOTA_EXCEEDED) {
        phota_usd_format(left, shortage->left);
        phota_usd_format(asked, amount);
        phota_error(err, "the %s limit of the %s leaves %s USD, and %s are "
                    "needed",
                    phota_budget_period_name(shortage->period),
                    phota_budget_scope_name(shortage->scope), left, asked);
    }

    return rc;
}


static int
phota_ledger_first(phota_ledger_t *l, MDB_txn *txn, phota_charge_t *charge,
    const char *by, const char *note, unsigned fresh, phota_error_t *err)
{
    phota_span_t   span;
    phota_entry_t  entry;

    memset(&entry, 0, sizeof(phota_entry_t));

    entry.type = charge->state;
    entry.charge = *charge;
    memcpy(entry.by, by, strlen(by) + 1);
    memcpy(entry.note, note, strlen(note) + 1);

    if (phota_ledger_post(l, txn, &entry, NULL, &span, fresh, err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    charge->updated = entry.time;

    return PHOTA_OK;
}


static int
phota_ledger_next(phota_ledger_t *l, MDB_txn *txn, unsigned type,
    const phota_charge_t *view, phota_charge_t *next, phota_span_t *span,
    const char *by, const char *note, phota_error_t *err)
{
    phota_entry_t  entry;

    memset(&entry, 0, sizeof(phota_entry_t));

    entry.type = (uint8_t) type;
    entry.charge = *next;
    memcpy(entry.by, by, strlen(by) + 1);
    memcpy(entry.note, note, strlen(note) + 1);

    if (phota_ledger_post(l, txn, &entry, view, span, 0, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    next->updated = entry.time;

    return PHOTA_OK;
}


int
phota_ledger_end(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    const phota_outcome_t *outcome, phota_charge_t *charge,
    phota_error_t *err)
{
    int             rc;
    phota_span_t    span;
    phota_charge_t  view;

    rc = phota_ledger_find(l, txn, id, &view, &span, charge, err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    return phota_ledger_finish(l, txn, &view, &span, outcome, charge, err);
}


int
phota_ledger_resolve(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    const phota_outcome_t *outcome, phota_charge_t *charge,
    phota_error_t *err)
{
    int             rc;
    phota_span_t    span;
    phota_charge_t  view;

    rc = phota_ledger_find(l, txn, id, &view, &span, charge, err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    if (view.state == PHOTA_STATE_HELD
        && view.owner.slot != PHOTA_OWNER_JOB
        && phota_ledger_alive(l, txn, &view.owner))
    {
        phota_error(err, "the charge is in flight");
        return PHOTA_REFUSED;
    }

    return phota_ledger_finish(l, txn, &view, &span, outcome, charge, err);
}


static int
phota_ledger_find(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    phota_charge_t *view, phota_span_t *span, phota_charge_t *charge,
    phota_error_t *err)
{
    int  rc;

    rc = phota_charge_read(l, txn, id, view, span);

    if (rc == PHOTA_DECLINED) {
        phota_error(err, "there is no such charge, or it is archived");
        return PHOTA_DECLINED;
    }

    if (rc != PHOTA_OK) {
        return phota_ledger_damaged(l, id, err);
    }

    if (charge != NULL) {
        *charge = *view;
    }

    return PHOTA_OK;
}


static int
phota_ledger_finish(phota_ledger_t *l, MDB_txn *txn,
    const phota_charge_t *view, phota_span_t *span,
    const phota_outcome_t *outcome, phota_charge_t *charge,
    phota_error_t *err)
{
    phota_charge_t  next;

    if (phota_outcome_check(outcome, err) != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    if (view->state != PHOTA_STATE_HELD
        && (view->state != PHOTA_STATE_UNKNOWN
            || outcome->state == PHOTA_STATE_UNKNOWN))
    {
        phota_error(err, "the charge is %s already",
                    phota_state_name(view->state));
        return PHOTA_REFUSED;
    }

    next = *view;

    if (phota_ledger_apply(&next, outcome, err) != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    if (phota_ledger_next(l, txn, outcome->state, view, &next, span,
                          outcome->by, outcome->note, err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    if (charge != NULL) {
        *charge = next;
    }

    return PHOTA_OK;
}


int
phota_ledger_correct(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    const phota_outcome_t *outcome, phota_charge_t *charge,
    phota_error_t *err)
{
    int              rc;
    phota_span_t     span;
    phota_charge_t   view, next;
    phota_outcome_t  exact;

    rc = phota_ledger_find(l, txn, id, &view, &span, charge, err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    if (phota_outcome_check(outcome, err) != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    if (outcome->state != PHOTA_STATE_SETTLED) {
        phota_error(err, "a correction settles anew; to take a charge back, "
                    "reverse it");
        return PHOTA_INVALID;
    }

    if (view.state != PHOTA_STATE_SETTLED && view.state != PHOTA_STATE_VOID) {
        phota_error(err, "the charge is %s: only what is settled or void is "
                    "corrected", phota_state_name(view.state));
        return PHOTA_REFUSED;
    }

    if (view.cached == PHOTA_CACHED_HIT || view.cached == PHOTA_CACHED_JOIN) {
        phota_error(err, "the charge is a %s: it has no cost to correct",
                    phota_cached_name(view.cached));
        return PHOTA_REFUSED;
    }

    /* who corrects knows what it was: no bounds are left */

    exact = *outcome;
    exact.identity_high = exact.identity_low;

    next = view;

    if (phota_ledger_apply(&next, &exact, err) != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    if (phota_ledger_same(&view, &next)) {
        phota_error(err, "the charge has these amounts already");
        return PHOTA_REFUSED;
    }

    if (phota_ledger_next(l, txn, PHOTA_ENTRY_CORRECTED, &view, &next, &span,
                          outcome->by, outcome->note, err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    if (charge != NULL) {
        *charge = next;
    }

    return PHOTA_OK;
}


int
phota_ledger_reverse(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    unsigned reason, const char *by, const char *note,
    phota_charge_t *charge, phota_error_t *err)
{
    int             rc;
    phota_span_t    span;
    phota_charge_t  view, next;

    rc = phota_ledger_find(l, txn, id, &view, &span, charge, err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    if (phota_ledger_signed(by, PHOTA_NAME_MAX + 1, note, PHOTA_NOTE_MAX + 1,
                            err)
        != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    if (view.state != PHOTA_STATE_SETTLED) {
        phota_error(err, "the charge is %s: only what is settled is reversed",
                    phota_state_name(view.state));
        return PHOTA_REFUSED;
    }

    /* nothing is left of it: sums over views are sums over entries */

    next = view;

    next.state = PHOTA_STATE_REVERSED;
    next.reason = (uint8_t) reason;
    next.flags &= (uint8_t) ~PHOTA_CHARGE_BILLED;
    next.outputs = 0;
    next.identity_low = 0;
    next.identity_high = 0;
    next.cost = 0;
    next.cost_high = 0;
    next.price = 0;
    next.saved = 0;

    if (phota_ledger_next(l, txn, PHOTA_ENTRY_REVERSED, &view, &next, &span,
                          by, note, err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    if (charge != NULL) {
        *charge = next;
    }

    return PHOTA_OK;
}


static int
phota_outcome_check(const phota_outcome_t *outcome, phota_error_t *err)
{
    if (outcome->state < PHOTA_STATE_SETTLED
        || outcome->state > PHOTA_STATE_UNKNOWN
        || memchr(outcome->request_id, '\0', sizeof(outcome->request_id))
           == NULL)
    {
        phota_error(err, "an outcome that is none");
        return PHOTA_INVALID;
    }

    return phota_ledger_signed(outcome->by, sizeof(outcome->by),
                               outcome->note, sizeof(outcome->note), err);
}


static int
phota_ledger_signed(const char *by, size_t size, const char *note,
    size_t note_size, phota_error_t *err)
{
    if (!phota_ledger_printable(by, size)) {
        phota_error(err, "who did it is at most %d printable characters of "
                    "ASCII", PHOTA_NAME_MAX);
        return PHOTA_INVALID;
    }

    if (!phota_ledger_printable(note, note_size)) {
        phota_error(err, "a note is at most %d printable characters of "
                    "ASCII", PHOTA_NOTE_MAX);
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


static int
phota_ledger_apply(phota_charge_t *charge, const phota_outcome_t *outcome,
    phota_error_t *err)
{
    charge->state = outcome->state;
    charge->reason = outcome->reason;

    /* who resolves an unknown needn't know what the upstream once said */

    if (outcome->status != 0) {
        charge->status = outcome->status;
    }

    if (outcome->request_id[0] != '\0') {
        memcpy(charge->request_id, outcome->request_id,
               sizeof(charge->request_id));
    }

    if (outcome->state == PHOTA_STATE_SETTLED) {
        phota_ledger_outputs(charge, outcome);
    }

    return phota_ledger_amounts(charge, err);
}


/* of a bill that says only an amount, what was known before is kept */

static void
phota_ledger_outputs(phota_charge_t *charge, const phota_outcome_t *outcome)
{
    unsigned  most;
    uint32_t  outputs, identity;

    charge->flags &= (uint8_t) ~PHOTA_CHARGE_BILLED;

    if (!outcome->billed || outcome->outputs != 0) {
        charge->outputs = outcome->outputs;
        charge->identity_low = outcome->identity_low;
        charge->identity_high = outcome->identity_high;

    } else {
        most = (charge->asked > charge->outputs) ? charge->asked
                                                 : charge->outputs;

        if (phota_terms_outputs(&charge->terms, most, outcome->cost, &outputs,
                                &identity)
            == PHOTA_OK)
        {
            charge->outputs = outputs;
            charge->identity_low = identity;
        }

        charge->identity_high = charge->identity_low;
    }

    if (outcome->billed) {
        charge->flags |= PHOTA_CHARGE_BILLED;
        charge->cost = outcome->cost;
    }
}


static int
phota_ledger_amounts(phota_charge_t *charge, phota_error_t *err)
{
    if (phota_charge_amounts(charge) != PHOTA_OK) {
        phota_error(err, "the outputs of a charge don't fit together, or an "
                    "amount of it is out of range");
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


static int
phota_ledger_same(const phota_charge_t *a, const phota_charge_t *b)
{
    return a->state == b->state
           && a->outputs == b->outputs
           && a->identity_low == b->identity_low
           && a->identity_high == b->identity_high
           && a->cost == b->cost
           && a->cost_high == b->cost_high
           && a->price == b->price;
}
