
/*
 * photactl ledger: charges as they stand, one of them with its history, the
 * check of the whole, and what an operator may do to it: take a charge back,
 * move closed days to files.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "photactl_books.h"
#include "phota_order.h"


#define PHOTACTL_CHARGE_COLUMNS  photactl_columns(photactl_charge_columns)
#define PHOTACTL_ENTRY_COLUMNS   photactl_columns(photactl_entry_columns)


/* a charge that is looked for, and its entries */

typedef struct {
    photactl_query_t   query;
    phota_id_t         id;
    phota_charge_t     charge;
    unsigned           found:1;         /* charge is the ledger's view */
    phota_entry_t     *entries;
    size_t             n;
    size_t             size;
} photactl_history_t;


static uint64_t photactl_charge_from(photactl_t *ctl);
static int photactl_charge_row(void *ctx, const phota_charge_t *charge);
static int photactl_charge_find(void *ctx, const phota_charge_t *charge);
static void photactl_charge_values(photactl_t *ctl,
    const phota_charge_t *charge, char whose[PHOTACTL_WHOSE],
    char id[PHOTA_ID_TEXT], char hex[2 * PHOTA_SHA256_LEN + 1],
    photactl_value_t *values);

static int photactl_history(photactl_t *ctl, photactl_history_t *history);
static int photactl_history_entry(void *ctx, const phota_entry_t *entry);
static void photactl_history_view(photactl_history_t *history);
static int photactl_history_print(photactl_t *ctl,
    photactl_history_t *history);
static json_t *photactl_history_json(photactl_t *ctl,
    photactl_history_t *history);
static void photactl_entry_values(const phota_entry_t *entry,
    char day[PHOTA_TIME_TEXT], photactl_value_t *values);


/* the order of the keys is the contract's; what it doesn't name comes last */

static const photactl_column_t  photactl_charge_columns[] = {
    { "charge_id", "CHARGE", PHOTACTL_TEXT },
    { "time", "TIME", PHOTACTL_TIME },
    { "tenant", "TENANT", PHOTACTL_TEXT },
    { "operation", "OPERATION", PHOTACTL_TEXT },
    { "state", "STATE", PHOTACTL_TEXT },
    { "cache", "CACHE", PHOTACTL_TEXT },
    { "outputs", "OUTPUTS", PHOTACTL_NUMBER },
    { "identity_outputs", NULL, PHOTACTL_NUMBER },
    { "cost", "COST", PHOTACTL_MONEY },
    { "price", "PRICE", PHOTACTL_MONEY },
    { "saved", "SAVED", PHOTACTL_MONEY },
    { "upstream_request_id", NULL, PHOTACTL_TEXT },
    { "fingerprint", NULL, PHOTACTL_TEXT },
    { "tag", NULL, PHOTACTL_TEXT },

    { "reason", "REASON", PHOTACTL_TEXT },
    { "held", NULL, PHOTACTL_MONEY },
    { "status", NULL, PHOTACTL_NUMBER },
    { "cost_high", NULL, PHOTACTL_MONEY },
    { "identity_outputs_high", NULL, PHOTACTL_NUMBER },
    { "updated", NULL, PHOTACTL_TIME },
    { "token_id", NULL, PHOTACTL_NUMBER },
    { "price_version", NULL, PHOTACTL_NUMBER },
    { "asked", NULL, PHOTACTL_NUMBER },
    { "asked_identity", NULL, PHOTACTL_NUMBER },
    { "estimated", NULL, PHOTACTL_BOOL },
    { "billed", NULL, PHOTACTL_BOOL }
};


/* the amounts after an entry, and what it changed */

static const photactl_column_t  photactl_entry_columns[] = {
    { "sequence", "ENTRY", PHOTACTL_NUMBER },
    { "time", "TIME", PHOTACTL_TIME },
    { "type", "TYPE", PHOTACTL_TEXT },
    { "state", NULL, PHOTACTL_TEXT },
    { "reason", "REASON", PHOTACTL_TEXT },
    { "day", "DAY", PHOTACTL_TEXT },
    { "outputs", NULL, PHOTACTL_NUMBER },
    { "identity_outputs", NULL, PHOTACTL_NUMBER },
    { "cost", NULL, PHOTACTL_MONEY },
    { "price", NULL, PHOTACTL_MONEY },
    { "saved", NULL, PHOTACTL_MONEY },
    { "delta_calls", NULL, PHOTACTL_NUMBER },
    { "delta_hits", NULL, PHOTACTL_NUMBER },
    { "delta_outputs", "OUTPUTS", PHOTACTL_NUMBER },
    { "delta_identity_outputs", NULL, PHOTACTL_NUMBER },
    { "delta_cost", "COST", PHOTACTL_MONEY },
    { "delta_price", "PRICE", PHOTACTL_MONEY },
    { "delta_saved", "SAVED", PHOTACTL_MONEY },
    { "by", "BY", PHOTACTL_TEXT },
    { "note", "NOTE", PHOTACTL_TEXT }
};


int
photactl_ledger_list(photactl_t *ctl)
{
    int               rc;
    uint64_t          from;
    photactl_query_t  query;

    rc = photactl_query(ctl, &query);
    if (rc != PHOTA_OK) {
        return rc;
    }

    photactl_table_init(&query.table, ctl, photactl_charge_columns,
                        PHOTACTL_CHARGE_COLUMNS);

    from = photactl_charge_from(ctl);

    rc = phota_ledger_each(&ctl->ledger,
                           (from > query.from) ? from : query.from, query.to,
                           photactl_charge_row, &query, &ctl->err);

    return photactl_table_close(&query.table, rc);
}


/* an id begins with its time: a page has no need to look before it */

static uint64_t
photactl_charge_from(photactl_t *ctl)
{
    return (ctl->page.after_len == sizeof(phota_id_t))
           ? phota_get_be(ctl->page.after, 6) : 0;
}


static int
photactl_charge_row(void *ctx, const phota_charge_t *charge)
{
    photactl_query_t  *query = ctx;

    int                rc;
    char               id[PHOTA_ID_TEXT], whose[PHOTACTL_WHOSE];
    char               hex[2 * PHOTA_SHA256_LEN + 1];
    photactl_value_t   values[PHOTACTL_CHARGE_COLUMNS];

    if (!photactl_query_wants(query, charge->tenant)
        || (query->state != 0 && query->state != charge->state))
    {
        return PHOTA_OK;
    }

    rc = photactl_page(query->ctl, charge->id.b, sizeof(charge->id.b));

    if (rc != PHOTA_OK) {
        return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
    }

    photactl_charge_values(query->ctl, charge, whose, id, hex, values);

    return photactl_table_row(&query->table, values);
}


static void
photactl_charge_values(photactl_t *ctl, const phota_charge_t *charge,
    char whose[PHOTACTL_WHOSE], char id[PHOTA_ID_TEXT],
    char hex[2 * PHOTA_SHA256_LEN + 1], photactl_value_t *values)
{
    static const u_char  none[PHOTA_SHA256_LEN];

    phota_id_format(id, &charge->id);
    hex[0] = '\0';

    if (memcmp(charge->fingerprint, none, PHOTA_SHA256_LEN) != 0) {
        phota_hex_format(hex, charge->fingerprint, PHOTA_SHA256_LEN);
    }

    photactl_value_t  row[PHOTACTL_CHARGE_COLUMNS] = {
        photactl_text(id),
        photactl_time(charge->time),
        photactl_text(photactl_whose(ctl, charge->tenant, whose)),
        photactl_text(phota_operation_name(charge->operation)),
        photactl_text(phota_state_name(charge->state)),
        photactl_text(phota_cached_name(charge->cached)),
        photactl_number(charge->outputs),
        photactl_number(charge->identity_low),
        photactl_money(charge->cost),
        photactl_money(charge->price),
        photactl_money(charge->saved),
        photactl_text(charge->request_id),
        photactl_text(hex),
        photactl_text(charge->tag),

        photactl_text(photactl_why(charge->reason)),
        photactl_money(charge->held),
        photactl_number(charge->status),
        photactl_money(charge->cost_high),
        photactl_number(charge->identity_high),
        photactl_time(charge->updated),
        photactl_number(charge->token),
        photactl_number(charge->terms.version),
        photactl_number(charge->asked),
        photactl_number(charge->asked_identity),
        photactl_bool((charge->terms.flags & PHOTA_TERMS_ESTIMATED) != 0),
        photactl_bool((charge->flags & PHOTA_CHARGE_BILLED) != 0)
    };

    memcpy(values, row, sizeof(row));
}


int
photactl_ledger_show(photactl_t *ctl)
{
    int                 rc;
    photactl_history_t  history;

    memset(&history, 0, sizeof(history));

    rc = photactl_parse_charge(ctl, &history.id);

    if (rc == PHOTA_OK) {
        rc = photactl_query(ctl, &history.query);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_history(ctl, &history);
    }

    free(history.entries);

    return rc;
}


static int
photactl_history(photactl_t *ctl, photactl_history_t *history)
{
    int       rc, shown;
    uint64_t  from, first;

    /*
     * An id begins with its time: the list of that millisecond has it, and
     * knows whether the owner of a hold lives.
     */

    from = phota_get_be(history->id.b, 6);

    (void) phota_ledger_each(&ctl->ledger, from, from + 1,
                             photactl_charge_find, history, NULL);

    /* an archived one may begin anywhere */

    first = 1;

    (void) phota_ledger_begins(&ctl->ledger, &history->id, &first, NULL);

    rc = phota_ledger_entries(&ctl->ledger, first - 1,
                              photactl_history_entry, history, &ctl->err);

    if (rc == PHOTA_DECLINED) {
        rc = PHOTA_OK;
    }

    if (!history->found && history->n == 0) {
        if (rc == PHOTA_OK) {
            phota_error(&ctl->err, "charge %s: there is none of this id",
                        ctl->args[0]);
            rc = PHOTA_DECLINED;
        }

        return rc;
    }

    photactl_history_view(history);

    shown = photactl_history_print(ctl, history);

    return (rc != PHOTA_OK) ? rc : shown;
}


static int
photactl_charge_find(void *ctx, const phota_charge_t *charge)
{
    photactl_history_t  *history = ctx;

    if (memcmp(charge->id.b, history->id.b, sizeof(charge->id.b)) == 0) {
        history->charge = *charge;
        history->found = 1;
    }

    return PHOTA_OK;
}


/* PHOTA_DECLINED: no later entry can be the charge's */

static int
photactl_history_entry(void *ctx, const phota_entry_t *entry)
{
    photactl_history_t  *history = ctx;

    size_t          size;
    phota_entry_t  *entries;

    if (history->found && entry->time > history->charge.updated) {
        return PHOTA_DECLINED;
    }

    if (entry->type == PHOTA_ENTRY_HITS
        || memcmp(entry->charge.id.b, history->id.b, sizeof(phota_id_t)) != 0)
    {
        return PHOTA_OK;
    }

    if (history->n == history->size) {
        size = history->size ? 2 * history->size : 4;

        entries = realloc(history->entries, size * sizeof(phota_entry_t));
        if (entries == NULL) {
            phota_error(&history->query.ctl->err, "no memory for the entries");
            return PHOTA_ERROR;
        }

        history->entries = entries;
        history->size = size;
    }

    history->entries[history->n++] = *entry;

    return PHOTA_OK;
}


/* of an archived charge the last entry is the view, but for what was held */

static void
photactl_history_view(photactl_history_t *history)
{
    const phota_charge_t  *first;

    if (history->found) {
        return;
    }

    first = &history->entries[0].charge;

    history->charge = history->entries[history->n - 1].charge;
    history->charge.held = first->held;
    history->charge.asked = first->asked;
    history->charge.asked_identity = first->asked_identity;
}


static int
photactl_history_print(photactl_t *ctl, photactl_history_t *history)
{
    int                rc;
    char               id[PHOTA_ID_TEXT], whose[PHOTACTL_WHOSE];
    char               hex[2 * PHOTA_SHA256_LEN + 1], day[PHOTA_TIME_TEXT];
    size_t             i;
    photactl_value_t   values[PHOTACTL_CHARGE_COLUMNS];
    photactl_table_t   table;

    if (ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
        return photactl_print(ctl, photactl_history_json(ctl, history));
    }

    photactl_charge_values(ctl, &history->charge, whose, id, hex, values);

    rc = photactl_record(ctl, photactl_charge_columns,
                         PHOTACTL_CHARGE_COLUMNS, values);

    (void) fprintf(ctl->out, "\n");

    photactl_table_init(&table, ctl, photactl_entry_columns,
                        PHOTACTL_ENTRY_COLUMNS);

    for (i = 0; rc == PHOTA_OK && i < history->n; i++) {
        photactl_entry_values(&history->entries[i], day, values);
        rc = photactl_table_row(&table, values);
    }

    if (rc != PHOTA_OK) {
        photactl_table_free(&table);
        return rc;
    }

    return photactl_table_end(&table);
}


/* NULL when there is no memory */

static json_t *
photactl_history_json(photactl_t *ctl, photactl_history_t *history)
{
    int                rc;
    char               id[PHOTA_ID_TEXT], whose[PHOTACTL_WHOSE];
    char               hex[2 * PHOTA_SHA256_LEN + 1], day[PHOTA_TIME_TEXT];
    json_t            *json, *entries;
    size_t             i;
    photactl_value_t   values[PHOTACTL_CHARGE_COLUMNS];

    photactl_charge_values(ctl, &history->charge, whose, id, hex, values);

    json = photactl_object(photactl_charge_columns, PHOTACTL_CHARGE_COLUMNS,
                           values);
    entries = json_array();
    rc = 0;

    for (i = 0; rc == 0 && i < history->n; i++) {
        photactl_entry_values(&history->entries[i], day, values);

        rc = json_array_append_new(entries,
                                   photactl_object(photactl_entry_columns,
                                                   PHOTACTL_ENTRY_COLUMNS,
                                                   values));
    }

    if (rc != 0) {
        json_decref(entries);
        entries = NULL;
    }

    if (json_object_set_new(json, "entries", entries) != 0) {
        json_decref(json);
        return NULL;
    }

    return json;
}


static void
photactl_entry_values(const phota_entry_t *entry, char day[PHOTA_TIME_TEXT],
    photactl_value_t *values)
{
    const phota_sum_t     *delta;
    const phota_charge_t  *charge;

    delta = &entry->delta;
    charge = &entry->charge;

    photactl_day_format(day, entry->day);

    photactl_value_t  row[PHOTACTL_ENTRY_COLUMNS] = {
        photactl_number(entry->sequence),
        photactl_time(entry->time),
        photactl_text(phota_entry_name(entry->type)),
        photactl_text(phota_state_name(charge->state)),
        photactl_text(photactl_why(charge->reason)),
        photactl_text(day),
        photactl_number(charge->outputs),
        photactl_number(charge->identity_low),
        photactl_money(charge->cost),
        photactl_money(charge->price),
        photactl_money(charge->saved),
        photactl_number(delta->calls),
        photactl_number(delta->hits),
        photactl_number(delta->outputs),
        photactl_number(delta->identity_outputs),
        photactl_money(delta->cost),
        photactl_money(delta->price),
        photactl_money(delta->saved),
        photactl_text(entry->by),
        photactl_text(entry->note)
    };

    memcpy(values, row, sizeof(row));
}


int
photactl_ledger_verify(photactl_t *ctl)
{
    int       rc;
    char      hex[2 * PHOTA_SHA256_LEN + 1];
    u_char    chain[PHOTA_SHA256_LEN];
    uint64_t  n;

    rc = phota_ledger_verify(&ctl->ledger, &n, chain, &ctl->err);

    if (rc == PHOTA_OK) {
        phota_hex_format(hex, chain, sizeof(chain));

        if (ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
            return photactl_print(ctl, json_pack("{s:b, s:I, s:s}", "ok", 1,
                                                 "entries", (json_int_t) n,
                                                 "chain", hex));
        }

        (void) fprintf(ctl->out, "ok: %llu entries, chain %s\n",
                       (unsigned long long) n, hex);

        return PHOTA_OK;
    }

    if (ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
        (void) photactl_print(ctl, json_pack("{s:b, s:s}", "ok", 0, "error",
                                             ctl->err.text));
    }

    return rc;
}


int
photactl_ledger_reverse(photactl_t *ctl)
{
    int         rc;
    char        note[PHOTA_NOTE_MAX + 1];
    MDB_txn    *txn;
    phota_id_t  id;

    if (photactl_parse_charge(ctl, &id) != PHOTA_OK
        || photactl_parse_note(ctl, note) != PHOTA_OK)
    {
        return PHOTACTL_USAGE;
    }

    rc = phota_store_begin(ctl->store, 1, &txn, &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_ledger_reverse(&ctl->ledger, txn, &id, PHOTA_REASON_OPERATOR,
                              ctl->by, note, NULL, &ctl->err);

    if (rc != PHOTA_OK) {
        phota_store_abort(txn);
        return rc;
    }

    return phota_store_commit(txn, &ctl->err);
}


int
photactl_ledger_archive(photactl_t *ctl)
{
    int       rc;
    char      path[sizeof(ctl->store->path) + 128];
    uint64_t  n, before;

    before = 0;

    if (ctl->opts[PHOTACTL_OPT_BEFORE] == NULL) {
        return photactl_wrong(ctl, "--before DAY is missing");
    }

    if (photactl_parse_day(ctl, PHOTACTL_OPT_BEFORE, &before) != PHOTA_OK) {
        return PHOTACTL_USAGE;
    }

    n = 0;
    path[0] = '\0';

    rc = phota_ledger_archive(&ctl->ledger, before, &n, path, sizeof(path),
                              &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    if (ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
        return photactl_print(ctl, json_pack("{s:I, s:s}", "entries",
                                             (json_int_t) n, "path", path));
    }

    if (n == 0) {
        (void) fprintf(ctl->out, "nothing to archive\n");

    } else {
        (void) fprintf(ctl->out, "%llu entries are in %s\n",
                       (unsigned long long) n, path);
    }

    return PHOTA_OK;
}
