
/*
 * photactl holds: what is held or unknown, and an operator's word on what
 * became of it: bought or not.  What is in flight belongs to its worker and is
 * refused; a job's hold has none.  A deadline says it once for all that are
 * unknown and nobody resolves.
 */


#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "photactl_books.h"


static int photactl_hold_row(void *ctx, const phota_charge_t *charge);
static int photactl_hold_resolve(photactl_t *ctl, phota_outcome_t *outcome);
static int photactl_hold_end(photactl_t *ctl, MDB_txn *txn,
    const phota_id_t *id, phota_outcome_t *outcome);
static int photactl_hold_counts(photactl_t *ctl, phota_outcome_t *outcome);
static int photactl_hold_delivered(photactl_t *ctl,
    const phota_charge_t *charge, phota_outcome_t *outcome);
static int photactl_deadline_set(photactl_t *ctl, MDB_txn *txn);
static int photactl_deadline_parse(photactl_t *ctl,
    phota_deadline_t *deadline);
static int photactl_deadline_show(photactl_t *ctl, MDB_txn *txn);


static const photactl_column_t  photactl_hold_columns[] = {
    { "charge_id", "CHARGE", PHOTACTL_TEXT },
    { "tenant", "TENANT", PHOTACTL_TEXT },
    { "state", "STATE", PHOTACTL_TEXT },
    { "amount", "AMOUNT", PHOTACTL_MONEY },
    { "age_s", "AGE", PHOTACTL_NUMBER },

    { "time", NULL, PHOTACTL_TIME },
    { "operation", "OPERATION", PHOTACTL_TEXT },
    { "reason", "REASON", PHOTACTL_TEXT },
    { "status", NULL, PHOTACTL_NUMBER },
    { "upstream_request_id", NULL, PHOTACTL_TEXT },
    { "asked", NULL, PHOTACTL_NUMBER },
    { "asked_identity", NULL, PHOTACTL_NUMBER },
    { "token_id", NULL, PHOTACTL_NUMBER },
    { "tag", NULL, PHOTACTL_TEXT }
};


int
photactl_holds_list(photactl_t *ctl)
{
    int               rc;
    MDB_txn          *txn;
    photactl_query_t  query;

    rc = photactl_query(ctl, &query);
    if (rc != PHOTA_OK) {
        return rc;
    }

    photactl_table_init(&query.table, ctl, photactl_hold_columns,
                        photactl_columns(photactl_hold_columns));

    rc = phota_store_begin(ctl->store, 0, &txn, &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_ledger_each_open(&ctl->ledger, txn, photactl_hold_row, &query,
                                &ctl->err);

    phota_store_abort(txn);

    return photactl_table_close(&query.table, rc);
}


static int
photactl_hold_row(void *ctx, const phota_charge_t *charge)
{
    photactl_query_t  *query = ctx;

    int       rc;
    char      id[PHOTA_ID_TEXT], whose[PHOTACTL_WHOSE];
    uint64_t  age;

    if (!photactl_query_wants(query, charge->tenant)) {
        return PHOTA_OK;
    }

    rc = photactl_page(query->ctl, charge->id.b, sizeof(charge->id.b));

    if (rc != PHOTA_OK) {
        return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
    }

    phota_id_format(id, &charge->id);
    age = (query->now > charge->time) ? query->now - charge->time : 0;

    photactl_value_t  values[] = {
        photactl_text(id),
        photactl_text(photactl_whose(query->ctl, charge->tenant, whose)),
        photactl_text(phota_state_name(charge->state)),
        photactl_money(charge->held),
        photactl_number(age / 1000),

        photactl_time(charge->time),
        photactl_text(phota_operation_name(charge->operation)),
        photactl_text(photactl_why(charge->reason)),
        photactl_number(charge->status),
        photactl_text(charge->request_id),
        photactl_number(charge->asked),
        photactl_number(charge->asked_identity),
        photactl_number(charge->token),
        photactl_text(charge->tag)
    };

    return photactl_table_row(&query->table, values);
}


int
photactl_holds_settle(photactl_t *ctl)
{
    phota_outcome_t  outcome;

    memset(&outcome, 0, sizeof(outcome));
    outcome.state = PHOTA_STATE_SETTLED;

    return photactl_hold_resolve(ctl, &outcome);
}


int
photactl_holds_void(photactl_t *ctl)
{
    phota_outcome_t  outcome;

    memset(&outcome, 0, sizeof(outcome));
    outcome.state = PHOTA_STATE_VOID;

    return photactl_hold_resolve(ctl, &outcome);
}


static int
photactl_hold_resolve(photactl_t *ctl, phota_outcome_t *outcome)
{
    int         rc;
    MDB_txn    *txn;
    phota_id_t  id;

    if (photactl_parse_charge(ctl, &id) != PHOTA_OK
        || photactl_parse_note(ctl, outcome->note) != PHOTA_OK
        || photactl_hold_counts(ctl, outcome) != PHOTA_OK)
    {
        return PHOTACTL_USAGE;
    }

    outcome->reason = PHOTA_REASON_OPERATOR;
    memcpy(outcome->by, ctl->by, sizeof(outcome->by));

    rc = phota_store_begin(ctl->store, 1, &txn, &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = photactl_hold_end(ctl, txn, &id, outcome);

    if (rc != PHOTA_OK) {
        phota_store_abort(txn);
        return rc;
    }

    return phota_store_commit(txn, &ctl->err);
}


/* what the command line itself says */

static int
photactl_hold_counts(photactl_t *ctl, phota_outcome_t *outcome)
{
    const char  *outputs, *identity;

    outputs = ctl->opts[PHOTACTL_OPT_OUTPUTS];
    identity = ctl->opts[PHOTACTL_OPT_IDENTITY];

    if (identity != NULL && outputs == NULL) {
        return photactl_wrong(ctl, "--identity is said of --outputs");
    }

    if (outputs != NULL
        && photactl_parse_number(ctl, outputs, &outcome->outputs) != PHOTA_OK)
    {
        return PHOTACTL_USAGE;
    }

    if (identity != NULL
        && photactl_parse_number(ctl, identity, &outcome->identity_low)
           != PHOTA_OK)
    {
        return PHOTACTL_USAGE;
    }

    if (outcome->identity_low > outcome->outputs) {
        return photactl_wrong(ctl, "--identity is more than --outputs");
    }

    outcome->billed = (ctl->opts[PHOTACTL_OPT_USD] != NULL);

    return photactl_parse_usd(ctl, PHOTACTL_OPT_USD, &outcome->cost);
}


static int
photactl_hold_end(photactl_t *ctl, MDB_txn *txn, const phota_id_t *id,
    phota_outcome_t *outcome)
{
    int             rc;
    phota_charge_t  charge;

    if (outcome->state == PHOTA_STATE_SETTLED) {
        rc = phota_ledger_get(&ctl->ledger, txn, id, &charge);

        if (rc == PHOTA_OK) {
            rc = photactl_hold_delivered(ctl, &charge, outcome);

        } else if (rc == PHOTA_DECLINED) {
            phota_error(&ctl->err, "charge %s: there is none of this id",
                        ctl->args[0]);
        } else {
            phota_error(&ctl->err, "charge %s can't be read", ctl->args[0]);
        }

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return phota_ledger_resolve(&ctl->ledger, txn, id, outcome, NULL,
                                &ctl->err);
}


/* as it was held for, as far as nothing else is said */

static int
photactl_hold_delivered(photactl_t *ctl, const phota_charge_t *charge,
    phota_outcome_t *outcome)
{
    uint32_t  most;

    if (ctl->opts[PHOTACTL_OPT_OUTPUTS] == NULL) {

        if (!outcome->billed) {
            outcome->outputs = charge->asked;
            outcome->identity_low = charge->asked_identity;

        } else if (phota_terms_outputs(&charge->terms, charge->asked,
                                       outcome->cost, &outcome->outputs,
                                       &outcome->identity_low)
                   != PHOTA_OK)
        {
            phota_error(&ctl->err, "no number of outputs costs that: say "
                        "--outputs N too");
            return PHOTA_INVALID;
        }

    } else if (ctl->opts[PHOTACTL_OPT_IDENTITY] == NULL) {
        most = charge->asked_identity;

        outcome->identity_low = (outcome->outputs < most) ? outcome->outputs
                                                          : most;
    }

    outcome->identity_high = outcome->identity_low;

    return PHOTA_OK;
}


int
photactl_holds_deadline(photactl_t *ctl)
{
    int       rc;
    MDB_txn  *txn;

    if (ctl->nargs == 0
        && (ctl->opts[PHOTACTL_OPT_SETTLE] != NULL
            || ctl->opts[PHOTACTL_OPT_VOID] != NULL))
    {
        return photactl_wrong(ctl, "a duration is missing (as 72h)");
    }

    rc = phota_store_begin(ctl->store, ctl->nargs != 0, &txn, &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    if (ctl->nargs == 0) {
        rc = photactl_deadline_show(ctl, txn);
        phota_store_abort(txn);

        return rc;
    }

    rc = photactl_deadline_set(ctl, txn);

    if (rc != PHOTA_OK) {
        phota_store_abort(txn);
        return rc;
    }

    return phota_store_commit(txn, &ctl->err);
}


static int
photactl_deadline_set(photactl_t *ctl, MDB_txn *txn)
{
    int               rc;
    phota_deadline_t  deadline;

    rc = photactl_deadline_parse(ctl, &deadline);
    if (rc != PHOTA_OK) {
        return rc;
    }

    return phota_ledger_set_deadline(&ctl->ledger, txn, &deadline, &ctl->err);
}


static int
photactl_deadline_parse(photactl_t *ctl, phota_deadline_t *deadline)
{
    unsigned     settle, none;
    const char  *text;

    memset(deadline, 0, sizeof(phota_deadline_t));

    text = ctl->args[0];
    none = (strcmp(text, "none") == 0);
    settle = (ctl->opts[PHOTACTL_OPT_SETTLE] != NULL);

    if (settle + (ctl->opts[PHOTACTL_OPT_VOID] != NULL) != !none) {
        return photactl_wrong(ctl, none ? "--settle and --void are said of a "
                                          "duration"
                                        : "say one of --settle and --void");
    }

    deadline->state = settle ? PHOTA_STATE_SETTLED : PHOTA_STATE_VOID;

    return none ? PHOTA_OK
                : photactl_parse_duration(ctl, text, &deadline->after);
}


static int
photactl_deadline_show(photactl_t *ctl, MDB_txn *txn)
{
    int                rc;
    const char        *action;
    phota_deadline_t   deadline;

    rc = phota_ledger_deadline(&ctl->ledger, txn, &deadline, &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    action = (deadline.state == PHOTA_STATE_SETTLED) ? "settle" : "void";

    if (deadline.after == 0) {
        action = "none";
    }

    if (ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
        return photactl_print(ctl, json_pack("{s:s, s:I}", "action", action,
                                             "after_s",
                                             (json_int_t) (deadline.after
                                                           / 1000)));
    }

    if (deadline.after == 0) {
        (void) fprintf(ctl->out, "none\n");

    } else {
        (void) fprintf(ctl->out, "%s after %llus\n", action,
                       (unsigned long long) (deadline.after / 1000));
    }

    return PHOTA_OK;
}
