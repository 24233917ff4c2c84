
/*
 * What writes entries, in the transaction that is open, and the archive, which
 * has its own.
 */


#include "books.h"


/* writers */

/*
 * What all new charges share.  arg: id, tenant, token, operation, cached,
 * asked, asked_identity, tag, model, resolution.
 */

static int
books_charge(phota_charge_t *c, char **arg, phota_allowance_t *allowance)
{
    int                      rc;
    unsigned                 share;
    phota_rate_t             rate;
    const phota_plan_t      *plan;
    const phota_zone_t      *zone;
    const phota_token_t     *token;
    const phota_tenant_t    *tenant;
    static phota_tenant_t    nobody;

    memset(c, 0, sizeof(phota_charge_t));
    memset(allowance, 0, sizeof(phota_allowance_t));

    books_id(&c->id, arg[0]);
    c->tenant = (uint32_t) books_number(arg[1]);
    c->token = (uint32_t) books_number(arg[2]);
    c->provider = PHOTA_PROVIDER_PHOTA;
    c->operation = (uint8_t) books_number(arg[3]);
    c->cached = (uint8_t) books_number(arg[4]);
    c->asked = (uint32_t) books_number(arg[5]);
    c->asked_identity = (uint32_t) books_number(arg[6]);
    memset(c->fingerprint, c->id.b[15], PHOTA_SHA256_LEN);
    books_text(c->tag, sizeof(c->tag), arg[7]);

    phota_plan_init(&nobody.plan);

    tenant = books_tenant(c->tenant);
    token = books_token(c->token);
    zone = tenant == NULL ? NULL
                          : phota_directory_zone(books_now.directory, tenant);
    plan = tenant == NULL ? &nobody.plan : &tenant->plan;

    allowance->tenant = tenant == NULL ? NULL : &tenant->limits;
    allowance->token = token == NULL ? NULL : &token->limits;

    c->windows.day = phota_zone_day(zone, books_clock);
    c->windows.month = phota_zone_month(zone, books_clock);

    if (c->cached == PHOTA_CACHED_HIT || c->cached == PHOTA_CACHED_JOIN) {
        share = c->cached == PHOTA_CACHED_HIT ? plan->hit : plan->join;
        phota_plan_terms(plan, c->operation, NULL, share, &c->terms);

        return PHOTA_OK;
    }

    rc = phota_price_find(books_now.prices, &phota_operations[c->operation],
                          arg[8], arg[9], c->tenant, books_clock, &rate);

    if (rc == PHOTA_OK) {
        phota_plan_terms(plan, c->operation, &rate, PHOTA_PPM, &c->terms);
    }

    return rc;
}


static int
books_allowed(int rc, const phota_allowance_t *allowance)
{
    const phota_shortage_t  *s;

    s = &allowance->shortage;

    if (rc == PHOTA_EXCEEDED) {
        (void) snprintf(books_extra, sizeof(books_extra),
                        "\t%u\t%u\t%lld\t%lld", s->scope, s->period,
                        (long long) s->limit, (long long) s->left);
    }

    return rc;
}


int
books_cmd_hold(char **arg)
{
    int                rc;
    phota_charge_t     charge;
    phota_allowance_t  allowance;

    rc = books_charge(&charge, arg, &allowance);

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_ledger_hold(&books_ledger, books_txn, &charge, &allowance,
                           &books_err);

    if (rc == PHOTA_OK) {
        (void) books_print_charge("c", &charge);
    }

    return books_allowed(rc, &allowance);
}


/* and outputs, identity_low, saved */

int
books_cmd_sell(char **arg)
{
    int                rc;
    phota_charge_t     charge;
    phota_allowance_t  allowance;

    rc = books_charge(&charge, arg, &allowance);

    if (rc != PHOTA_OK) {
        return rc;
    }

    charge.outputs = (uint32_t) books_number(arg[10]);
    charge.identity_low = (uint32_t) books_number(arg[11]);
    charge.saved = books_number(arg[12]);

    rc = phota_ledger_sell(&books_ledger, books_txn, &charge, &allowance,
                           &books_err);

    if (rc == PHOTA_OK) {
        (void) books_print_charge("c", &charge);
    }

    return books_allowed(rc, &allowance);
}


/* state, reason, status, outputs, low, high, billed, cost, id, by, note */

static void
books_outcome(phota_outcome_t *o, char **arg)
{
    memset(o, 0, sizeof(phota_outcome_t));

    o->state = (uint8_t) books_number(arg[0]);
    o->reason = (uint8_t) books_number(arg[1]);
    o->status = (uint32_t) books_number(arg[2]);
    o->outputs = (uint32_t) books_number(arg[3]);
    o->identity_low = (uint32_t) books_number(arg[4]);
    o->identity_high = (uint32_t) books_number(arg[5]);
    o->billed = books_number(arg[6]) != 0;
    o->cost = books_number(arg[7]);
    books_text(o->request_id, sizeof(o->request_id), arg[8]);
    books_text(o->by, sizeof(o->by), arg[9]);
    books_text(o->note, sizeof(o->note), arg[10]);
}


int
books_cmd_book(char **arg)
{
    int                rc;
    phota_charge_t     charge;
    phota_outcome_t    outcome;
    phota_allowance_t  allowance;

    rc = books_charge(&charge, arg, &allowance);

    if (rc != PHOTA_OK) {
        return rc;
    }

    books_outcome(&outcome, arg + 10);

    rc = phota_ledger_book(&books_ledger, books_txn, &charge, &outcome,
                           &books_err);

    if (rc == PHOTA_OK) {
        (void) books_print_charge("c", &charge);
    }

    return rc;
}


/* id, status, request id */

int
books_cmd_accept(char **arg)
{
    int             rc;
    phota_id_t      id;
    phota_charge_t  charge;

    books_id(&id, arg[0]);

    rc = phota_ledger_accept(&books_ledger, books_txn, &id,
                             (unsigned) books_number(arg[1]), arg[2],
                             &charge, &books_err);

    if (rc == PHOTA_OK) {
        (void) books_print_charge("c", &charge);
    }

    return rc;
}


static int
books_change(char **arg, int (*change)(phota_ledger_t *l, MDB_txn *txn,
    const phota_id_t *id, const phota_outcome_t *outcome,
    phota_charge_t *charge, phota_error_t *err))
{
    int              rc;
    phota_id_t       id;
    phota_charge_t   charge;
    phota_outcome_t  outcome;

    books_id(&id, arg[0]);
    books_outcome(&outcome, arg + 1);

    rc = change(&books_ledger, books_txn, &id, &outcome, &charge, &books_err);

    if (rc == PHOTA_OK) {
        (void) books_print_charge("c", &charge);
    }

    return rc;
}


int
books_cmd_end(char **arg)
{
    return books_change(arg, phota_ledger_end);
}


int
books_cmd_resolve(char **arg)
{
    return books_change(arg, phota_ledger_resolve);
}


int
books_cmd_correct(char **arg)
{
    return books_change(arg, phota_ledger_correct);
}


int
books_cmd_reverse(char **arg)
{
    int             rc;
    phota_id_t      id;
    phota_charge_t  charge;

    books_id(&id, arg[0]);

    rc = phota_ledger_reverse(&books_ledger, books_txn, &id,
                              (unsigned) books_number(arg[1]), arg[2], arg[3],
                              &charge, &books_err);

    if (rc == PHOTA_OK) {
        (void) books_print_charge("c", &charge);
    }

    return rc;
}


int
books_cmd_hit(char **arg)
{
    return phota_ledger_hit(&books_ledger, books_txn,
                            (uint64_t) books_number(arg[0]),
                            (uint32_t) books_number(arg[1]),
                            (uint32_t) books_number(arg[2]),
                            (uint8_t) books_number(arg[3]), arg[4],
                            (uint64_t) books_number(arg[5]),
                            books_number(arg[6]), &books_err);
}


int
books_cmd_tally(char **arg)
{
    int  rc, more;

    more = 0;

    rc = phota_ledger_tally(&books_ledger, books_txn,
                            (unsigned) books_number(arg[0]), &more,
                            &books_err);

    (void) snprintf(books_extra, sizeof(books_extra), "\t%d", more != 0);

    return rc;
}


int
books_cmd_deadline(char **arg)
{
    phota_deadline_t  deadline;

    deadline.after = (uint64_t) books_number(arg[0]);
    deadline.state = (uint8_t) books_number(arg[1]);

    return phota_ledger_set_deadline(&books_ledger, books_txn, &deadline,
                                     &books_err);
}


int
books_cmd_expire(char **arg)
{
    int       rc;
    unsigned  done;

    done = 0;

    rc = phota_ledger_expire(&books_ledger, books_txn, books_clock,
                             (unsigned) books_number(arg[0]), &done,
                             &books_err);

    (void) snprintf(books_extra, sizeof(books_extra), "\t%u", done);

    return rc;
}


/* tenant, key, charge id */

int
books_cmd_replay(char **arg)
{
    u_char          digest[PHOTA_SHA256_LEN];
    phota_replay_t  replay;

    if (phota_replay_digest(digest, (u_char *) arg[1], strlen(arg[1]))
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    books_id(&replay.charge, arg[2]);
    memset(replay.fingerprint, replay.charge.b[15], PHOTA_SHA256_LEN);
    replay.expires = books_clock + PHOTA_REPLAY_VALID;

    return phota_replay_put(&books_replays, books_txn,
                            (uint32_t) books_number(arg[0]), digest, &replay,
                            books_clock, &books_err);
}


int
books_cmd_archive(char **arg)
{
    int       rc;
    char      path[1024];
    uint64_t  entries;

    entries = 0;

    rc = phota_ledger_archive(&books_ledger, (uint64_t) books_number(arg[0]),
                              &entries, path, sizeof(path), &books_err);

    if (rc == PHOTA_OK) {
        (void) snprintf(books_extra, sizeof(books_extra), "\t%llu\t%d",
                        (unsigned long long) entries, path[0] != '\0');
    }

    return rc;
}


/* readers */

int
books_cmd_replayed(char **arg)
{
    int              rc;
    char             id[2 * sizeof(phota_id_t) + 1];
    u_char           digest[PHOTA_SHA256_LEN];
    MDB_txn         *txn;
    phota_replay_t   replay;

    rc = phota_replay_digest(digest, (u_char *) arg[1], strlen(arg[1]));

    if (rc == PHOTA_OK) {
        rc = phota_store_begin(&books_store, 0, &txn, &books_err);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_replay_get(&books_replays, txn, (uint32_t) books_number(arg[0]),
                          digest, books_clock, &replay);

    phota_store_abort(txn);

    if (rc == PHOTA_OK) {
        phota_hex_format(id, replay.charge.b, sizeof(replay.charge.b));
        (void) snprintf(books_extra, sizeof(books_extra), "\t%s\t%llu", id,
                        (unsigned long long) replay.expires);
    }

    return rc;
}
