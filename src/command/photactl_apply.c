
/*
 * Writing what makes the books equal to a bill: in short transactions beside a
 * running nginx.  Each correction looks at its charge again and leaves it when
 * it has changed since.
 */


#include <stdio.h>
#include <string.h>
#include <time.h>

#include "photactl_reconcile.h"


#define PHOTACTL_BATCH  200             /* corrections in a transaction */

#define PHOTACTL_RECONCILE_BY  "reconcile"


static int photactl_apply_batch(photactl_match_t *match, size_t from,
    size_t to);
static int photactl_apply_item(photactl_match_t *match, MDB_txn *txn,
    photactl_item_t *item);
static int photactl_apply_same(const photactl_claim_t *claim,
    const phota_charge_t *charge);
static int photactl_apply_end(photactl_match_t *match, MDB_txn *txn,
    photactl_item_t *item, const phota_charge_t *charge);
static void photactl_apply_outputs(const photactl_item_t *item,
    const photactl_line_t *line, const phota_charge_t *charge,
    phota_outcome_t *outcome);
static int photactl_apply_book(photactl_match_t *match, MDB_txn *txn,
    photactl_item_t *item, const phota_charge_t *reversed);
static void photactl_apply_whose(photactl_match_t *match,
    phota_charge_t *charge, uint64_t time);
static void photactl_apply_outcome(photactl_match_t *match,
    const photactl_item_t *item, unsigned state, phota_outcome_t *outcome);
static void photactl_apply_note(photactl_match_t *match,
    const photactl_item_t *item, char note[PHOTA_NOTE_MAX + 1]);


/* purchases want the lock that it holds: it lets go between its batches */

int
photactl_apply(photactl_match_t *match)
{
    int              rc;
    size_t           i, n;
    struct timespec  pause;

    pause.tv_sec = 0;
    pause.tv_nsec = 1000000;

    for (i = 0; i < match->nitems; i += n) {

        n = match->nitems - i;

        if (n > PHOTACTL_BATCH) {
            n = PHOTACTL_BATCH;
        }

        rc = photactl_apply_batch(match, i, i + n);

        if (rc != PHOTA_OK) {
            return rc;
        }

        (void) nanosleep(&pause, NULL);
    }

    return PHOTA_OK;
}


static int
photactl_apply_batch(photactl_match_t *match, size_t from, size_t to)
{
    int       rc;
    size_t    i;
    MDB_txn  *txn;

    rc = phota_store_begin(match->ctl->store, 1, &txn, &match->ctl->err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    for (i = from; i < to && rc == PHOTA_OK; i++) {
        rc = photactl_apply_item(match, txn, &match->items[i]);
    }

    if (rc == PHOTA_OK) {
        rc = phota_store_commit(txn, &match->ctl->err);

    } else {
        phota_store_abort(txn);
    }

    for (i = from; i < to && rc != PHOTA_OK; i++) {
        match->items[i].done = 0;
    }

    return rc;
}


/* what the ledger refuses has changed since it was read */

static int
photactl_apply_item(photactl_match_t *match, MDB_txn *txn,
    photactl_item_t *item)
{
    int                rc;
    phota_charge_t     charge;
    photactl_claim_t  *claim;

    if (item->action >= PHOTACTL_LEFT_HELD) {
        return PHOTA_OK;
    }

    claim = NULL;

    if (item->claim != 0) {
        claim = &match->claims[item->claim - 1];

        rc = phota_ledger_get(&match->ctl->ledger, txn, &claim->id, &charge);

        if (rc != PHOTA_OK && rc != PHOTA_DECLINED) {
            phota_error(&match->ctl->err, "a charge can't be read again");
            return rc;
        }

        if (rc == PHOTA_DECLINED || !photactl_apply_same(claim, &charge)) {
            item->changed = 1;
            return PHOTA_OK;
        }
    }

    rc = (item->action == PHOTACTL_BOOK)
         ? photactl_apply_book(match, txn, item, claim ? &charge : NULL)
         : photactl_apply_end(match, txn, item, &charge);

    if (rc == PHOTA_REFUSED || rc == PHOTA_DECLINED) {
        match->ctl->err.text[0] = '\0';
        item->changed = 1;
        return PHOTA_OK;
    }

    item->done = (rc == PHOTA_OK);

    return rc;
}


/* one whose worker is dead is read as unknown, but written as held */

static int
photactl_apply_same(const photactl_claim_t *claim,
    const phota_charge_t *charge)
{
    int64_t   cost;
    unsigned  state;

    state = charge->state;
    cost = (state == PHOTA_STATE_SETTLED) ? charge->cost : 0;

    if (state == PHOTA_STATE_HELD && claim->state == PHOTA_STATE_UNKNOWN) {
        state = PHOTA_STATE_UNKNOWN;
    }

    return state == claim->state && cost == claim->cost
           && charge->updated == claim->updated
           && (charge->request_id[0] != '\0') == claim->named;
}


static int
photactl_apply_end(photactl_match_t *match, MDB_txn *txn,
    photactl_item_t *item, const phota_charge_t *charge)
{
    char             note[PHOTA_NOTE_MAX + 1];
    photactl_t      *ctl;
    phota_outcome_t  outcome;

    ctl = match->ctl;

    if (item->action == PHOTACTL_REVERSE) {
        photactl_apply_note(match, item, note);

        return phota_ledger_reverse(&ctl->ledger, txn, &charge->id,
                                    PHOTA_REASON_BILL, PHOTACTL_RECONCILE_BY,
                                    note, NULL, &ctl->err);
    }

    if (item->action == PHOTACTL_VOID) {
        photactl_apply_outcome(match, item, PHOTA_STATE_VOID, &outcome);

        return phota_ledger_resolve(&ctl->ledger, txn, &charge->id, &outcome,
                                    NULL, &ctl->err);
    }

    photactl_apply_outcome(match, item, PHOTA_STATE_SETTLED, &outcome);
    photactl_apply_outputs(item, &match->bill.lines[item->line - 1], charge,
                           &outcome);

    if (item->action == PHOTACTL_SETTLE) {
        return phota_ledger_resolve(&ctl->ledger, txn, &charge->id, &outcome,
                                    NULL, &ctl->err);
    }

    return phota_ledger_correct(&ctl->ledger, txn, &charge->id, &outcome,
                                NULL, &ctl->err);
}


/* as the bill says, else as many as the amount pays for */

static void
photactl_apply_outputs(const photactl_item_t *item,
    const photactl_line_t *line, const phota_charge_t *charge,
    phota_outcome_t *outcome)
{
    uint32_t  n, identity;

    if (line->counted && item->billed == line->amount) {
        outcome->outputs = line->outputs;
        outcome->identity_low = line->identity;
        outcome->identity_high = line->identity;
        return;
    }

    n = charge->outputs ? charge->outputs : charge->asked;

    if (phota_terms_outputs(&charge->terms, n, item->billed, &n, &identity)
        != PHOTA_OK)
    {
        identity = (charge->identity_low < n) ? charge->identity_low : n;
    }

    outcome->outputs = n;
    outcome->identity_low = identity;
    outcome->identity_high = identity;
}


/*
 * A charge of its own: nobody's, the tenant's whose bill this is, or, instead
 * of one that was reversed, for the same tenant and on the same terms.
 */

static int
photactl_apply_book(photactl_match_t *match, MDB_txn *txn,
    photactl_item_t *item, const phota_charge_t *reversed)
{
    uint64_t          now, time;
    photactl_t       *ctl;
    phota_charge_t    charge;
    phota_outcome_t   outcome;
    photactl_line_t  *line;

    ctl = match->ctl;
    line = &match->bill.lines[item->line - 1];
    now = phota_now();

    time = (line->time != 0) ? line->time
           : (match->bill.to != 0) ? match->bill.to - 1 : now;

    if (time > now) {
        time = now;
    }

    memset(&charge, 0, sizeof(phota_charge_t));

    charge.provider = PHOTA_PROVIDER_PHOTA;
    charge.operation = line->operation;

    photactl_apply_outcome(match, item, PHOTA_STATE_SETTLED, &outcome);

    if (reversed != NULL) {
        charge.tenant = reversed->tenant;
        charge.token = reversed->token;
        charge.operation = reversed->operation;
        charge.windows = reversed->windows;
        charge.terms = reversed->terms;
        memcpy(charge.tag, reversed->tag, sizeof(charge.tag));

        photactl_apply_outputs(item, line, reversed, &outcome);

    } else {
        photactl_apply_whose(match, &charge, time);

        outcome.outputs = line->counted ? line->outputs : 1;
        outcome.identity_low = line->counted ? line->identity : 0;
        outcome.identity_high = outcome.identity_low;
    }

    if (phota_id_create(&charge.id, time) != PHOTA_OK) {
        phota_error(&ctl->err, "no random bytes for a charge");
        return PHOTA_ERROR;
    }

    item->booked = charge.id;

    return phota_ledger_book(&ctl->ledger, txn, &charge, &outcome, &ctl->err);
}


static void
photactl_apply_whose(photactl_match_t *match, phota_charge_t *charge,
    uint64_t time)
{
    charge->terms.share = PHOTA_PPM;

    if (match->tenant.id != 0) {
        charge->tenant = match->tenant.id;

        phota_plan_terms(&match->tenant.plan, charge->operation, NULL,
                         PHOTA_PPM, &charge->terms);
    }

    charge->windows.day = phota_zone_day(match->zone, time);
    charge->windows.month = phota_zone_month(match->zone, time);
}


static void
photactl_apply_outcome(photactl_match_t *match, const photactl_item_t *item,
    unsigned state, phota_outcome_t *outcome)
{
    memset(outcome, 0, sizeof(phota_outcome_t));

    outcome->state = (uint8_t) state;
    outcome->reason = PHOTA_REASON_BILL;

    if (state == PHOTA_STATE_SETTLED) {
        outcome->billed = 1;
        outcome->cost = item->billed;

        (void) snprintf(outcome->request_id, sizeof(outcome->request_id),
                        "%s", match->bill.lines[item->line - 1].id);
    }

    memcpy(outcome->by, PHOTACTL_RECONCILE_BY, sizeof(PHOTACTL_RECONCILE_BY));

    photactl_apply_note(match, item, outcome->note);
}


static void
photactl_apply_note(photactl_match_t *match, const photactl_item_t *item,
    char note[PHOTA_NOTE_MAX + 1])
{
    char  *p;

    if (item->line != 0) {
        (void) snprintf(note, PHOTA_NOTE_MAX + 1, "bill %.96s line %u",
                        match->bill.name,
                        (unsigned) match->bill.lines[item->line - 1].row);

    } else {
        (void) snprintf(note, PHOTA_NOTE_MAX + 1, "bill %.96s, no line",
                        match->bill.name);
    }

    for (p = note; *p != '\0'; p++) {
        if (*p < ' ' || *p > '~') {
            *p = '?';
        }
    }
}
