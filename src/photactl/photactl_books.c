
/*
 * photactl usage, ledger and holds: the books as they stand.  Nothing here
 * writes.  Lists leave out what isn't asked for, and show a charge whose
 * worker has died as unknown, as everyone else does.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "photactl.h"


#define PHOTACTL_CHARGE_COLUMNS                                               \
    (sizeof(photactl_charge_columns) / sizeof(photactl_column_t))

#define PHOTACTL_USAGE_COLUMNS                                                \
    (sizeof(photactl_usage_columns) / sizeof(photactl_column_t))


/* what of the books is asked for */

typedef struct {
    photactl_t        *ctl;
    photactl_table_t   table;
    uint64_t           from;
    uint64_t           to;
    uint32_t           tenant;          /* 0: all */
    unsigned           state;           /* 0: all */

    const phota_id_t  *id;              /* of the one to show */
    phota_charge_t     charge;
    unsigned           found;

    uint64_t           now;
} photactl_query_t;


typedef struct {
    photactl_query_t   query;
    phota_usage_t     *rows;
    size_t             n;
    size_t             size;
    phota_usage_t      total;
} photactl_sums_t;


static int photactl_query(photactl_t *ctl, photactl_query_t *query);
static int photactl_query_state(photactl_t *ctl, unsigned *state);
static const char *photactl_operation(unsigned operation);
static const char *photactl_reason(unsigned reason);

static int photactl_usage_row(void *ctx, const phota_usage_t *usage);
static int photactl_usage_cmp(const void *one, const void *two, void *ctx);
static void photactl_usage_values(photactl_value_t *values,
    const phota_usage_t *usage, const char *tenant, const char *operation);
static int photactl_usage_table(photactl_t *ctl, photactl_sums_t *sums);
static int photactl_usage_json(photactl_t *ctl, photactl_sums_t *sums);

static int photactl_charge_row(void *ctx, const phota_charge_t *charge);
static int photactl_charge_find(void *ctx, const phota_charge_t *charge);
static int photactl_charge(photactl_t *ctl, photactl_table_t *table,
    const phota_charge_t *charge);
static int photactl_books_end(photactl_table_t *table, int rc);
static int photactl_hold_row(void *ctx, const phota_charge_t *charge);


static const photactl_column_t  photactl_usage_columns[] = {
    { "tenant", "TENANT", PHOTACTL_TEXT },
    { "operation", "OPERATION", PHOTACTL_TEXT },
    { "calls", "CALLS", PHOTACTL_NUMBER },
    { "hits", "HITS", PHOTACTL_NUMBER },
    { "outputs", "OUTPUTS", PHOTACTL_NUMBER },
    { "identity_outputs", "IDENTITY", PHOTACTL_NUMBER },
    { "cost", "COST", PHOTACTL_MONEY },
    { "price", "PRICE", PHOTACTL_MONEY },
    { "saved", "SAVED", PHOTACTL_MONEY }
};


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
    { "price_version", NULL, PHOTACTL_NUMBER }
};


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
    { "upstream_request_id", NULL, PHOTACTL_TEXT }
};


/* the filters of the command line, and the names for its answer */

static int
photactl_query(photactl_t *ctl, photactl_query_t *query)
{
    int  rc;

    memset(query, 0, sizeof(photactl_query_t));

    query->ctl = ctl;
    query->now = phota_now();

    if (photactl_parse_time(ctl, PHOTACTL_OPT_FROM, &query->from) != PHOTA_OK
        || photactl_parse_time(ctl, PHOTACTL_OPT_TO, &query->to) != PHOTA_OK
        || photactl_query_state(ctl, &query->state) != PHOTA_OK)
    {
        return PHOTACTL_USAGE;
    }

    if (ctl->opts[PHOTACTL_OPT_TO] != NULL && query->to <= query->from) {
        return photactl_wrong(ctl, "--to isn't later than --from");
    }

    rc = photactl_parse_tenant(ctl, PHOTACTL_OPT_TENANT, &query->tenant);

    if (rc == PHOTA_OK) {
        rc = photactl_names_load(ctl);
    }

    return rc;
}


static int
photactl_query_state(photactl_t *ctl, unsigned *state)
{
    unsigned     i;
    const char  *text;

    text = ctl->opts[PHOTACTL_OPT_STATE];

    if (text == NULL) {
        return PHOTA_OK;
    }

    for (i = PHOTA_STATE_HELD; i <= PHOTA_STATE_REVERSED; i++) {
        if (strcmp(text, phota_state_name(i)) == 0) {
            *state = i;
            return PHOTA_OK;
        }
    }

    return photactl_wrong(ctl, "--state \"%.64s\": not held, settled, void, "
                          "unknown or reversed", text);
}


static const char *
photactl_operation(unsigned operation)
{
    if (operation >= PHOTA_OP_MAX) {
        return "?";
    }

    return (const char *) phota_operations[operation].name.data;
}


static const char *
photactl_reason(unsigned reason)
{
    return (reason == PHOTA_REASON_NONE) ? "" : phota_reason_name(reason);
}


int
photactl_usage(photactl_t *ctl)
{
    int              rc;
    photactl_sums_t  sums;

    memset(&sums, 0, sizeof(sums));

    rc = photactl_query(ctl, &sums.query);

    if (rc == PHOTA_OK) {
        rc = phota_ledger_usage(&ctl->ledger, sums.query.from, sums.query.to,
                                photactl_usage_row, &sums, &ctl->err);
    }

    if (rc == PHOTA_OK) {
        if (sums.n != 0) {
            qsort_r(sums.rows, sums.n, sizeof(phota_usage_t),
                    photactl_usage_cmp, ctl);
        }

        rc = (ctl->opts[PHOTACTL_OPT_JSON] != NULL)
             ? photactl_usage_json(ctl, &sums)
             : photactl_usage_table(ctl, &sums);
    }

    free(sums.rows);

    return rc;
}


static int
photactl_usage_row(void *ctx, const phota_usage_t *usage)
{
    photactl_sums_t  *sums = ctx;

    size_t          size;
    phota_usage_t  *rows, *total;

    if (sums->query.tenant != 0 && sums->query.tenant != usage->tenant) {
        return PHOTA_OK;
    }

    if (sums->n == sums->size) {
        size = sums->size ? 2 * sums->size : 64;

        rows = realloc(sums->rows, size * sizeof(phota_usage_t));
        if (rows == NULL) {
            phota_error(&sums->query.ctl->err, "no memory for the sums");
            return PHOTA_ERROR;
        }

        sums->rows = rows;
        sums->size = size;
    }

    sums->rows[sums->n++] = *usage;

    total = &sums->total;

    total->calls += usage->calls;
    total->hits += usage->hits;
    total->outputs += usage->outputs;
    total->identity_outputs += usage->identity_outputs;
    total->cost += usage->cost;
    total->price += usage->price;
    total->saved += usage->saved;

    return PHOTA_OK;
}


/* people look for names, not for ids */

static int
photactl_usage_cmp(const void *one, const void *two, void *ctx)
{
    int                   n;
    char                  x[16], y[16];
    const phota_usage_t  *a, *b;

    a = one;
    b = two;

    n = strcmp(photactl_name(ctx, a->tenant, x),
               photactl_name(ctx, b->tenant, y));

    return n ? n : (a->operation > b->operation)
                   - (a->operation < b->operation);
}


static void
photactl_usage_values(photactl_value_t *values, const phota_usage_t *usage,
    const char *tenant, const char *operation)
{
    photactl_value_t  row[] = {
        photactl_text(tenant),
        photactl_text(operation),
        photactl_number(usage->calls),
        photactl_number(usage->hits),
        photactl_number(usage->outputs),
        photactl_number(usage->identity_outputs),
        photactl_money(usage->cost),
        photactl_money(usage->price),
        photactl_money(usage->saved)
    };

    memcpy(values, row, sizeof(row));
}


static int
photactl_usage_table(photactl_t *ctl, photactl_sums_t *sums)
{
    int               rc;
    char              buf[16];
    size_t            i;
    photactl_table_t  table;
    photactl_value_t  values[PHOTACTL_USAGE_COLUMNS];

    rc = PHOTA_OK;

    photactl_table_init(&table, ctl, photactl_usage_columns,
                        PHOTACTL_USAGE_COLUMNS);

    for (i = 0; rc == PHOTA_OK && i < sums->n; i++) {
        photactl_usage_values(values, &sums->rows[i],
                              photactl_name(ctl, sums->rows[i].tenant, buf),
                              photactl_operation(sums->rows[i].operation));

        rc = photactl_table_row(&table, values);
    }

    if (rc == PHOTA_OK) {
        photactl_usage_values(values, &sums->total, "total", "");
        rc = photactl_table_row(&table, values);
    }

    if (rc != PHOTA_OK) {
        photactl_table_free(&table);
        return rc;
    }

    return photactl_table_end(&table);
}


static int
photactl_usage_json(photactl_t *ctl, photactl_sums_t *sums)
{
    char              buf[16];
    size_t            i;
    json_t           *rows, *total, *row;
    photactl_value_t  values[PHOTACTL_USAGE_COLUMNS];

    rows = json_array();

    for (i = 0; i < sums->n; i++) {
        photactl_usage_values(values, &sums->rows[i],
                              photactl_name(ctl, sums->rows[i].tenant, buf),
                              photactl_operation(sums->rows[i].operation));

        row = photactl_object(photactl_usage_columns, PHOTACTL_USAGE_COLUMNS,
                              values);

        if (json_array_append_new(rows, row) != 0) {
            json_decref(rows);
            return photactl_print(ctl, NULL);
        }
    }

    /* all but who and what */

    photactl_usage_values(values, &sums->total, "", "");

    total = photactl_object(photactl_usage_columns + 2,
                            PHOTACTL_USAGE_COLUMNS - 2, values + 2);

    return photactl_print(ctl, json_pack("{s:o, s:o}", "rows", rows,
                                         "total", total));
}


int
photactl_ledger_list(photactl_t *ctl)
{
    int               rc;
    photactl_query_t  query;

    rc = photactl_query(ctl, &query);
    if (rc != PHOTA_OK) {
        return rc;
    }

    photactl_table_init(&query.table, ctl, photactl_charge_columns,
                        PHOTACTL_CHARGE_COLUMNS);

    rc = phota_ledger_each(&ctl->ledger, query.from, query.to,
                           photactl_charge_row, &query, &ctl->err);

    return photactl_books_end(&query.table, rc);
}


static int
photactl_charge_row(void *ctx, const phota_charge_t *charge)
{
    photactl_query_t  *query = ctx;

    if ((query->tenant != 0 && query->tenant != charge->tenant)
        || (query->state != 0 && query->state != charge->state))
    {
        return PHOTA_OK;
    }

    return photactl_charge(query->ctl, &query->table, charge);
}


/* what could be read is shown, whatever else couldn't */

static int
photactl_books_end(photactl_table_t *table, int rc)
{
    int  shown;

    shown = photactl_table_end(table);

    return (rc != PHOTA_OK) ? rc : shown;
}


/* as a row of the table, or as a single thing where there is none */

static int
photactl_charge(photactl_t *ctl, photactl_table_t *table,
    const phota_charge_t *charge)
{
    char  id[PHOTA_ID_TEXT], name[16], hex[2 * PHOTA_SHA256_LEN + 1];

    static const u_char  none[PHOTA_SHA256_LEN];

    phota_id_format(id, &charge->id);
    hex[0] = '\0';

    if (memcmp(charge->fingerprint, none, PHOTA_SHA256_LEN) != 0) {
        phota_hex_format(hex, charge->fingerprint, PHOTA_SHA256_LEN);
    }

    photactl_value_t  values[] = {
        photactl_text(id),
        photactl_time(charge->time),
        photactl_text(photactl_name(ctl, charge->tenant, name)),
        photactl_text(photactl_operation(charge->operation)),
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

        photactl_text(photactl_reason(charge->reason)),
        photactl_money(charge->held),
        photactl_number(charge->status),
        photactl_money(charge->cost_high),
        photactl_number(charge->identity_high),
        photactl_time(charge->updated),
        photactl_number(charge->token),
        photactl_number(charge->price_version)
    };

    if (table == NULL) {
        return photactl_record(ctl, photactl_charge_columns,
                               PHOTACTL_CHARGE_COLUMNS, values);
    }

    return photactl_table_row(table, values);
}


int
photactl_ledger_show(photactl_t *ctl)
{
    int               rc;
    u_char           *b;
    unsigned          i;
    phota_id_t        id;
    photactl_query_t  query;

    if (phota_id_parse(&id, ctl->args[0], strlen(ctl->args[0])) != PHOTA_OK) {
        return photactl_wrong(ctl, "\"%.64s\": not the id of a charge",
                              ctl->args[0]);
    }

    rc = photactl_query(ctl, &query);
    if (rc != PHOTA_OK) {
        return rc;
    }

    /* an id begins with its time: the list of that millisecond has it */

    b = id.b;

    for (i = 0; i < 6; i++) {
        query.from = query.from << 8 | b[i];
    }

    query.to = query.from + 1;
    query.id = &id;

    rc = phota_ledger_each(&ctl->ledger, query.from, query.to,
                           photactl_charge_find, &query, &ctl->err);

    /* another of its millisecond may be damaged */

    if (rc != PHOTA_OK && !query.found) {
        return rc;
    }

    if (!query.found) {
        phota_error(&ctl->err, "charge %s: there is none of this id",
                    ctl->args[0]);
        return PHOTA_DECLINED;
    }

    return photactl_charge(ctl, NULL, &query.charge);
}


static int
photactl_charge_find(void *ctx, const phota_charge_t *charge)
{
    photactl_query_t  *query = ctx;

    if (memcmp(charge->id.b, query->id->b, sizeof(charge->id.b)) == 0) {
        query->charge = *charge;
        query->found = 1;
    }

    return PHOTA_OK;
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

        (void) printf("ok: %llu entries, chain %s\n", (unsigned long long) n,
                      hex);

        return PHOTA_OK;
    }

    if (ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
        (void) photactl_print(ctl, json_pack("{s:b, s:s}", "ok", 0, "error",
                                             ctl->err.text));
    }

    return rc;
}


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
                        sizeof(photactl_hold_columns)
                        / sizeof(photactl_column_t));

    rc = phota_store_begin(&ctl->store, 0, &txn, &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_ledger_each_open(&ctl->ledger, txn, photactl_hold_row, &query,
                                &ctl->err);

    phota_store_abort(txn);

    return photactl_books_end(&query.table, rc);
}


static int
photactl_hold_row(void *ctx, const phota_charge_t *charge)
{
    photactl_query_t  *query = ctx;

    char      id[PHOTA_ID_TEXT], name[16];
    uint64_t  age;

    if (query->tenant != 0 && query->tenant != charge->tenant) {
        return PHOTA_OK;
    }

    phota_id_format(id, &charge->id);
    age = (query->now > charge->time) ? query->now - charge->time : 0;

    photactl_value_t  values[] = {
        photactl_text(id),
        photactl_text(photactl_name(query->ctl, charge->tenant, name)),
        photactl_text(phota_state_name(charge->state)),
        photactl_money(charge->held),
        photactl_number(age / 1000),

        photactl_time(charge->time),
        photactl_text(photactl_operation(charge->operation)),
        photactl_text(photactl_reason(charge->reason)),
        photactl_number(charge->status),
        photactl_text(charge->request_id)
    };

    return photactl_table_row(&query->table, values);
}
