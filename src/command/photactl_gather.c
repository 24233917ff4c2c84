
/*
 * What of the books a bill is compared with: the charges of its period, and
 * those of any time that have an id of its lines.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "photactl_reconcile.h"


#define PHOTACTL_DAY_MS  (86400ull * 1000)


static void photactl_gather_period(photactl_match_t *match);
static void photactl_gather_scan(photactl_match_t *match);
static int photactl_gather_charges(photactl_match_t *match);
static int photactl_gather_charge(void *ctx, const phota_charge_t *charge);
static int photactl_gather_concerns(const phota_charge_t *charge);
static int photactl_gather_nameless(const phota_charge_t *charge);
static int photactl_gather_reopens(const phota_charge_t *charge);
static int photactl_gather_claim(photactl_match_t *match,
    const phota_charge_t *charge, photactl_line_t *line);
static int photactl_gather_loose(photactl_match_t *match,
    const phota_charge_t *charge);
static int photactl_gather_elsewhere(photactl_match_t *match);
static int photactl_gather_open_lines(photactl_match_t *match);
static int photactl_gather_entry(void *ctx, const phota_entry_t *entry);


int
photactl_gather(photactl_match_t *match)
{
    int  rc;

    photactl_gather_period(match);

    rc = photactl_gather_charges(match);

    return (rc == PHOTA_OK) ? photactl_gather_elsewhere(match) : rc;
}


/*
 * A bill that doesn't say when it begins may be one of many: what was held
 * before its first line is then shown, but not taken back.  Bills are cut at
 * midnight, so that nothing of the day before is even shown.
 */

static void
photactl_gather_period(photactl_match_t *match)
{
    uint64_t          now, midnight;
    photactl_bill_t  *bill;

    now = phota_now();
    bill = &match->bill;

    match->begin = (bill->from != 0) ? bill->from : bill->first;
    match->before = match->begin;
    match->end = (bill->to != 0) ? bill->to : bill->last;

    if (bill->from == 0 && bill->first != 0) {
        midnight = bill->first - bill->first % PHOTACTL_DAY_MS;
        match->before = bill->first > PHOTACTL_SLACK
                        ? bill->first - PHOTACTL_SLACK : 1;

        if (match->before < midnight) {
            match->before = midnight;
        }
    }

    if (match->begin == 0) {
        match->end = 0;
    }

    /* no bill knows what is to come */

    if (match->end > now) {
        match->end = now;
    }
}


/* a line without a time may be of any charge */

static void
photactl_gather_scan(photactl_match_t *match)
{
    uint64_t          from, to;
    photactl_bill_t  *bill;

    bill = &match->bill;

    from = (bill->from != 0) ? bill->from : bill->first;
    to = (bill->to != 0) ? bill->to : bill->last;

    if (from > PHOTACTL_SLACK && (bill->from != 0 || bill->untimed == 0)) {
        match->scan_from = from - PHOTACTL_SLACK;
    }

    if (bill->untimed == 0) {
        match->scan_to = to + PHOTACTL_SLACK;
    }
}


static int
photactl_gather_charges(photactl_match_t *match)
{
    photactl_gather_scan(match);

    return phota_ledger_each(&match->ctl->ledger, match->scan_from,
                             match->scan_to, photactl_gather_charge, match,
                             &match->ctl->err);
}


static int
photactl_gather_charge(void *ctx, const phota_charge_t *charge)
{
    photactl_match_t  *match = ctx;

    photactl_line_t  *line;

    if (charge->cached == PHOTA_CACHED_HIT
        || charge->cached == PHOTA_CACHED_JOIN
        || charge->provider != PHOTA_PROVIDER_PHOTA)
    {
        return PHOTA_OK;
    }

    line = NULL;

    if (charge->request_id[0] != '\0') {
        line = photactl_bill_find(&match->bill, charge->request_id);
    }

    if (match->tenant.id != 0 && charge->tenant != match->tenant.id) {
        if (line != NULL) {
            line->foreign = 1;
        }

        return PHOTA_OK;
    }

    /* of another time a job may have ended in this one, and none else */

    if (line == NULL
        && (!photactl_gather_concerns(charge)
            || (match->elsewhere
                && (charge->owner.slot != PHOTA_OWNER_JOB
                    || !photactl_gather_nameless(charge)))))
    {
        return PHOTA_OK;
    }

    return photactl_gather_claim(match, charge, line);
}


/* one that isn't on the bill by its id */

static int
photactl_gather_concerns(const phota_charge_t *charge)
{
    switch (charge->state) {

    case PHOTA_STATE_UNKNOWN:
        return 1;

    case PHOTA_STATE_SETTLED:
        return charge->cost != 0;

    case PHOTA_STATE_HELD:
        return photactl_gather_nameless(charge);

    default:
        return photactl_gather_reopens(charge);
    }
}


/* an open job was given an id when it began, and may be billed by its end's */

static int
photactl_gather_nameless(const phota_charge_t *charge)
{
    return charge->request_id[0] == '\0'
           || (charge->state == PHOTA_STATE_HELD
               && charge->owner.slot == PHOTA_OWNER_JOB);
}


/* void, but only because someone thought that it wouldn't be billed */

static int
photactl_gather_reopens(const phota_charge_t *charge)
{
    return charge->state == PHOTA_STATE_VOID
           && charge->request_id[0] == '\0'
           && (charge->reason == PHOTA_REASON_OPERATOR
               || charge->reason == PHOTA_REASON_DEADLINE
               || charge->reason == PHOTA_REASON_BILL);
}


static int
photactl_gather_claim(photactl_match_t *match, const phota_charge_t *charge,
    photactl_line_t *line)
{
    photactl_claim_t  *claim;

    claim = photactl_match_room(match, match->claims, match->nclaims,
                                &match->claims_size,
                                sizeof(photactl_claim_t));
    if (claim == NULL) {
        return PHOTA_ERROR;
    }

    match->claims = claim;
    claim += match->nclaims;

    memset(claim, 0, sizeof(photactl_claim_t));

    claim->id = charge->id;
    claim->updated = charge->updated;
    claim->cost = (charge->state == PHOTA_STATE_SETTLED) ? charge->cost : 0;
    claim->tenant = charge->tenant;
    claim->state = charge->state;
    claim->operation = charge->operation;
    claim->named = (charge->request_id[0] != '\0');
    claim->job = (charge->owner.slot == PHOTA_OWNER_JOB);

    if (line != NULL) {
        claim->line = (uint32_t) (line - match->bill.lines) + 1;
        claim->next = line->claim;
        line->claim = (uint32_t) match->nclaims + 1;
    }

    match->nclaims++;

    return (line == NULL && photactl_gather_nameless(charge))
           ? photactl_gather_loose(match, charge) : PHOTA_OK;
}


static int
photactl_gather_loose(photactl_match_t *match, const phota_charge_t *charge)
{
    int                 job;
    size_t             *n, *size;
    photactl_loose_t   *loose, **list;

    job = (charge->owner.slot == PHOTA_OWNER_JOB);

    n = job ? &match->njobs : &match->nloose;
    size = job ? &match->jobs_size : &match->loose_size;
    list = job ? &match->jobs : &match->loose;

    loose = photactl_match_room(match, *list, *n, size,
                                sizeof(photactl_loose_t));
    if (loose == NULL) {
        return PHOTA_ERROR;
    }

    *list = loose;
    loose += (*n)++;

    loose->claim = (uint32_t) match->nclaims - 1;
    loose->asked = charge->asked;
    loose->terms = charge->terms;

    return PHOTA_OK;
}


/*
 * A line that no charge has must not be booked when there is one after all: of
 * another time, for nobody knows what a bill takes for the time of a call, or
 * in the archive.
 */

static int
photactl_gather_elsewhere(photactl_match_t *match)
{
    int              rc;
    char             path[sizeof(match->ctl->store->path) + 16];
    photactl_t      *ctl;

    rc = PHOTA_OK;
    ctl = match->ctl;
    match->elsewhere = 1;

    if (match->scan_from != 0 && photactl_gather_open_lines(match)) {
        rc = phota_ledger_each(&ctl->ledger, 0, match->scan_from,
                               photactl_gather_charge, match, &ctl->err);
    }

    if (rc == PHOTA_OK && match->scan_to != 0
        && photactl_gather_open_lines(match))
    {
        rc = phota_ledger_each(&ctl->ledger, match->scan_to, 0,
                               photactl_gather_charge, match, &ctl->err);
    }

    (void) snprintf(path, sizeof(path), "%s/archive", ctl->store->path);

    if (rc == PHOTA_OK && access(path, F_OK) == 0
        && photactl_gather_open_lines(match))
    {
        rc = phota_ledger_entries(&ctl->ledger, 0, photactl_gather_entry,
                                  match, &ctl->err);
    }

    return rc;
}


/* whether there are lines that no charge has */

static int
photactl_gather_open_lines(photactl_match_t *match)
{
    size_t            i;
    photactl_line_t  *line;

    for (i = 0; i < match->bill.n; i++) {
        line = &match->bill.lines[i];

        if (line->claim == 0 && !line->foreign && line->amount != 0) {
            return 1;
        }
    }

    return 0;
}


static int
photactl_gather_entry(void *ctx, const phota_entry_t *entry)
{
    photactl_match_t  *match = ctx;

    photactl_line_t  *line;

    if (entry->type == PHOTA_ENTRY_HITS
        || entry->charge.request_id[0] == '\0'
        || entry->charge.cached == PHOTA_CACHED_HIT
        || entry->charge.cached == PHOTA_CACHED_JOIN)
    {
        return PHOTA_OK;
    }

    line = photactl_bill_find(&match->bill, entry->charge.request_id);

    if (line == NULL || line->claim != 0) {
        return PHOTA_OK;
    }

    if (match->tenant.id != 0 && entry->charge.tenant != match->tenant.id) {
        line->foreign = 1;
    }

    line->archived = 1;
    line->kept += entry->delta.cost;

    return PHOTA_OK;
}


uint64_t
photactl_claim_time(const photactl_claim_t *claim)
{
    unsigned  i;
    uint64_t  time;

    time = 0;

    for (i = 0; i < 6; i++) {
        time = time << 8 | claim->id.b[i];
    }

    return time;
}


void *
photactl_match_room(photactl_match_t *match, void *array, size_t n,
    size_t *size, size_t element)
{
    void    *grown;
    size_t   more;

    if (n < *size) {
        return array;
    }

    more = *size ? 2 * *size : 1024;
    grown = (more < UINT32_MAX) ? realloc(array, more * element) : NULL;

    if (grown == NULL) {
        phota_error(&match->ctl->err, "no memory to match the bill");
        return NULL;
    }

    *size = more;

    return grown;
}
