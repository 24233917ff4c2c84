
/*
 * photactl usage: what was used, by tenant and operation and, if asked for, by
 * day, token or tag, and the total of what is shown.  A tenant may ask for its
 * own, with what is left of its budgets.
 */


#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "photactl_books.h"
#include "photactl_plan.h"


/* who and what, by, and sums */

#define PHOTACTL_USAGE_HEAD     2
#define PHOTACTL_USAGE_SUMS     7
#define PHOTACTL_USAGE_COLUMNS                                                \
    (PHOTACTL_USAGE_HEAD + 1 + PHOTACTL_USAGE_SUMS)


typedef struct {
    photactl_query_t    query;
    unsigned            by;             /* phota_usage_e */
    photactl_column_t   columns[PHOTACTL_USAGE_COLUMNS];
    unsigned            ncolumns;
    phota_usage_t      *rows;
    size_t              n;
    size_t              size;
    phota_sum_t         total;
} photactl_sums_t;


static int photactl_usage_query(photactl_t *ctl, photactl_sums_t *sums);
static int photactl_usage_by(photactl_t *ctl, photactl_sums_t *sums);
static int photactl_usage_row(void *ctx, const phota_usage_t *usage);
static int photactl_usage_read(photactl_sums_t *sums);
static int photactl_usage_own(photactl_t *ctl);
static int photactl_usage_mine(photactl_t *ctl, photactl_query_t *query);
static int photactl_usage_tell(photactl_sums_t *sums);
static json_t *photactl_usage_json(photactl_sums_t *sums);
static int photactl_usage_add(phota_sum_t *to, const phota_sum_t *sum);
static int photactl_usage_cmp(const void *one, const void *two, void *ctx);
static void photactl_usage_sums(photactl_value_t *values,
    const phota_sum_t *sum);
static int photactl_usage_print(photactl_sums_t *sums);
static int photactl_usage_each(photactl_sums_t *sums, photactl_table_t *table,
    json_t *rows);
static int photactl_usage_total(photactl_sums_t *sums,
    photactl_table_t *table);


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


/* by the numbers of phota_usage_e */

static const struct {
    const char         *name;           /* of --by */
    photactl_column_t   column;
} photactl_usage_bys[] = {
    [PHOTA_USAGE_OPERATION] = { "operation", { NULL, NULL, 0 } },
    [PHOTA_USAGE_DAY] = { "day", { "day", "DAY", PHOTACTL_TEXT } },
    [PHOTA_USAGE_TOKEN] = { "token", { "token_id", "TOKEN",
                                       PHOTACTL_NUMBER } },
    [PHOTA_USAGE_TAG] = { "tag", { "tag", "TAG", PHOTACTL_TEXT } }
};


#define opt(name)  ((photactl_opts_t) 1 << PHOTACTL_OPT_##name)


const photactl_command_t  photactl_own_usage = {
    .name = "usage",
    .flags = PHOTACTL_READ|PHOTACTL_GET,
    .opts = opt(FROM)|opt(TO)|opt(BY),
    .handler = photactl_usage_own
};


int
photactl_usage(photactl_t *ctl)
{
    int              rc;
    photactl_sums_t  sums;

    memset(&sums, 0, sizeof(sums));

    rc = photactl_usage_query(ctl, &sums);

    if (rc == PHOTA_OK) {
        rc = photactl_usage_read(&sums);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_usage_print(&sums);
    }

    free(sums.rows);

    return rc;
}


static int
photactl_usage_read(photactl_sums_t *sums)
{
    int                rc;
    photactl_t        *ctl;
    photactl_query_t  *query;

    query = &sums->query;
    ctl = query->ctl;

    /* of nobody's there is no index */

    rc = phota_ledger_usage_of(&ctl->ledger,
                               query->one_tenant ? query->tenant : 0,
                               query->from, query->to, sums->by,
                               photactl_usage_row, sums, &ctl->err);

    if (rc == PHOTA_OK && sums->n != 0) {
        qsort_r(sums->rows, sums->n, sizeof(phota_usage_t),
                photactl_usage_cmp, sums);
    }

    return rc;
}


static int
photactl_usage_own(photactl_t *ctl)
{
    int              rc;
    photactl_sums_t  sums;

    memset(&sums, 0, sizeof(sums));

    rc = photactl_usage_mine(ctl, &sums.query);

    if (rc == PHOTA_OK) {
        rc = photactl_usage_by(ctl, &sums);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_usage_read(&sums);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_usage_tell(&sums);
    }

    free(sums.rows);

    return rc;
}


/* whatever is asked for, it is this tenant's; who is none has nothing */

static int
photactl_usage_mine(photactl_t *ctl, photactl_query_t *query)
{
    memset(query, 0, sizeof(photactl_query_t));

    if (ctl->own.id == 0) {
        phota_error(&ctl->err, "nobody is asking");
        return PHOTA_REFUSED;
    }

    query->ctl = ctl;
    query->now = phota_now();
    query->one_tenant = 1;
    query->tenant = ctl->own.id;

    if (photactl_parse_day(ctl, PHOTACTL_OPT_FROM, &query->from) != PHOTA_OK
        || photactl_parse_day(ctl, PHOTACTL_OPT_TO, &query->to) != PHOTA_OK)
    {
        return PHOTACTL_USAGE;
    }

    if (ctl->opts[PHOTACTL_OPT_TO] != NULL && query->to <= query->from) {
        return photactl_wrong(ctl, "--to isn't later than --from");
    }

    ctl->names.tenants = malloc(sizeof(phota_tenant_t));
    if (ctl->names.tenants == NULL) {
        phota_error(&ctl->err, "no memory for the tenant");
        return PHOTA_ERROR;
    }

    ctl->names.tenants[0] = ctl->own;
    ctl->names.n = 1;
    ctl->names.size = 1;

    return PHOTA_OK;
}


static int
photactl_usage_tell(photactl_sums_t *sums)
{
    json_t      *json, *budgets, *token;
    photactl_t  *ctl;

    ctl = sums->query.ctl;

    budgets = photactl_budgets_of(ctl, 0, &ctl->own.limits, &ctl->own);
    token = photactl_budgets_of(ctl, ctl->own_token, &ctl->own_limits,
                                &ctl->own);

    if (budgets == NULL || token == NULL) {
        json_decref(budgets);
        json_decref(token);
        return PHOTA_ERROR;
    }

    json = photactl_usage_json(sums);

    if (json_object_set_new(json, "budgets", budgets)
        + json_object_set_new(json, "token",
                              json_pack("{s:i, s:o}", "token_id",
                                        (int) ctl->own_token, "budgets",
                                        token))
        != 0)
    {
        json_decref(json);
        json = NULL;
    }

    return photactl_print(ctl, json);
}


static int
photactl_usage_query(photactl_t *ctl, photactl_sums_t *sums)
{
    uint64_t  day;

    day = 0;

    /* sums are of whole days: half of one can't be told */

    if (photactl_parse_day(ctl, PHOTACTL_OPT_FROM, &day) != PHOTA_OK
        || photactl_parse_day(ctl, PHOTACTL_OPT_TO, &day) != PHOTA_OK
        || photactl_usage_by(ctl, sums) != PHOTA_OK)
    {
        return PHOTACTL_USAGE;
    }

    return photactl_query(ctl, &sums->query);
}


static int
photactl_usage_by(photactl_t *ctl, photactl_sums_t *sums)
{
    size_t              i;
    const char         *text;
    photactl_column_t  *column;

    text = ctl->opts[PHOTACTL_OPT_BY];

    if (text == NULL) {
        text = photactl_usage_bys[PHOTA_USAGE_OPERATION].name;
    }

    for (i = 0; i <= PHOTA_USAGE_TAG; i++) {
        if (strcmp(text, photactl_usage_bys[i].name) == 0) {
            break;
        }
    }

    if (i > PHOTA_USAGE_TAG) {
        return photactl_wrong(ctl, "--by \"%.64s\": not operation, day, token "
                              "or tag", text);
    }

    sums->by = (unsigned) i;

    memcpy(sums->columns, photactl_usage_columns,
           sizeof(photactl_usage_columns));
    sums->ncolumns = photactl_columns(photactl_usage_columns);

    if (sums->by != PHOTA_USAGE_OPERATION) {
        column = sums->columns + PHOTACTL_USAGE_HEAD;

        memmove(column + 1, column,
                PHOTACTL_USAGE_SUMS * sizeof(photactl_column_t));
        *column = photactl_usage_bys[i].column;
        sums->ncolumns++;
    }

    return PHOTA_OK;
}


static int
photactl_usage_row(void *ctx, const phota_usage_t *usage)
{
    photactl_sums_t  *sums = ctx;

    size_t          size;
    phota_usage_t  *rows;

    if (!photactl_query_wants(&sums->query, usage->tenant)) {
        return PHOTA_OK;
    }

    if (sums->query.ctl->most != 0 && sums->n == sums->query.ctl->most) {
        return photactl_wrong(sums->query.ctl, "--from, --to: more than %zu "
                              "sums: ask for fewer days, or for one tenant",
                              sums->query.ctl->most);
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

    if (photactl_usage_add(&sums->total, &usage->sum) != PHOTA_OK) {
        phota_error(&sums->query.ctl->err, "the total is too large");
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


static int
photactl_usage_add(phota_sum_t *to, const phota_sum_t *sum)
{
    int  over;

    over = __builtin_add_overflow(to->calls, sum->calls, &to->calls);
    over |= __builtin_add_overflow(to->hits, sum->hits, &to->hits);
    over |= __builtin_add_overflow(to->outputs, sum->outputs, &to->outputs);
    over |= __builtin_add_overflow(to->identity_outputs,
                                   sum->identity_outputs,
                                   &to->identity_outputs);
    over |= __builtin_add_overflow(to->cost, sum->cost, &to->cost);
    over |= __builtin_add_overflow(to->price, sum->price, &to->price);
    over |= __builtin_add_overflow(to->saved, sum->saved, &to->saved);

    return over ? PHOTA_INVALID : PHOTA_OK;
}


/* people look for names, not for ids */

static int
photactl_usage_cmp(const void *one, const void *two, void *ctx)
{
    photactl_sums_t  *sums = ctx;

    int                   n;
    char                  x[PHOTACTL_WHOSE], y[PHOTACTL_WHOSE];
    const phota_usage_t  *a, *b;

    a = one;
    b = two;

    n = strcmp(photactl_whose(sums->query.ctl, a->tenant, x),
               photactl_whose(sums->query.ctl, b->tenant, y));

    if (n == 0) {
        n = (a->operation > b->operation) - (a->operation < b->operation);
    }

    if (n == 0 && sums->by == PHOTA_USAGE_DAY) {
        n = (a->day > b->day) - (a->day < b->day);
    }

    if (n == 0 && sums->by == PHOTA_USAGE_TOKEN) {
        n = (a->token > b->token) - (a->token < b->token);
    }

    if (n == 0 && sums->by == PHOTA_USAGE_TAG) {
        n = strcmp(a->tag, b->tag);
    }

    return n;
}


static void
photactl_usage_sums(photactl_value_t *values, const phota_sum_t *sum)
{
    photactl_value_t  row[PHOTACTL_USAGE_SUMS] = {
        photactl_number(sum->calls),
        photactl_number(sum->hits),
        photactl_number(sum->outputs),
        photactl_number(sum->identity_outputs),
        photactl_money(sum->cost),
        photactl_money(sum->price),
        photactl_money(sum->saved)
    };

    memcpy(values, row, sizeof(row));
}


static int
photactl_usage_print(photactl_sums_t *sums)
{
    int                rc;
    photactl_t        *ctl;
    photactl_table_t   table;

    ctl = sums->query.ctl;

    if (ctl->opts[PHOTACTL_OPT_JSON] == NULL) {
        photactl_table_init(&table, ctl, sums->columns, sums->ncolumns);

        rc = photactl_usage_each(sums, &table, NULL);

        if (rc == PHOTA_OK) {
            rc = photactl_usage_total(sums, &table);
        }

        if (rc != PHOTA_OK) {
            photactl_table_free(&table);
            return rc;
        }

        return photactl_table_end(&table);
    }

    return photactl_print(ctl, photactl_usage_json(sums));
}


/* NULL when there is no memory */

static json_t *
photactl_usage_json(photactl_sums_t *sums)
{
    json_t            *rows, *total;
    photactl_value_t   values[PHOTACTL_USAGE_SUMS];

    rows = json_array();

    if (photactl_usage_each(sums, NULL, rows) != PHOTA_OK) {
        json_decref(rows);
        return NULL;
    }

    photactl_usage_sums(values, &sums->total);

    total = photactl_object(photactl_usage_columns + PHOTACTL_USAGE_HEAD,
                            PHOTACTL_USAGE_SUMS, values);

    return json_pack("{s:o, s:o}", "rows", rows, "total", total);
}


/* into a table, or into rows where there is none */

static int
photactl_usage_each(photactl_sums_t *sums, photactl_table_t *table,
    json_t *rows)
{
    int                rc;
    char               whose[PHOTACTL_WHOSE], day[PHOTA_TIME_TEXT];
    size_t             i;
    unsigned           n;
    phota_usage_t     *row;
    photactl_value_t   values[PHOTACTL_USAGE_COLUMNS];

    rc = PHOTA_OK;
    memset(values, 0, sizeof(values));

    for (i = 0; rc == PHOTA_OK && i < sums->n; i++) {
        row = &sums->rows[i];
        n = PHOTACTL_USAGE_HEAD;

        values[0].text = photactl_whose(sums->query.ctl, row->tenant, whose);
        values[1].text = phota_operation_name(row->operation);

        if (sums->by != PHOTA_USAGE_OPERATION) {
            photactl_day_format(day, row->day);

            values[n].number = row->token;
            values[n].text = (sums->by == PHOTA_USAGE_DAY) ? day : row->tag;
            n++;
        }

        photactl_usage_sums(values + n, &row->sum);

        if (table != NULL) {
            rc = photactl_table_row(table, values);

        } else if (json_array_append_new(rows,
                                         photactl_object(sums->columns,
                                                         sums->ncolumns,
                                                         values))
                   != 0)
        {
            rc = PHOTA_ERROR;
        }
    }

    return rc;
}


static int
photactl_usage_total(photactl_sums_t *sums, photactl_table_t *table)
{
    photactl_value_t  values[PHOTACTL_USAGE_COLUMNS];

    memset(values, 0, sizeof(values));

    values[0].text = "total";
    values[1].text = "";

    /* a total is of no token: a word's place, where there are none */

    if (sums->by != PHOTA_USAGE_OPERATION) {
        sums->columns[PHOTACTL_USAGE_HEAD].kind = PHOTACTL_TEXT;
        values[PHOTACTL_USAGE_HEAD].text = "";
    }

    photactl_usage_sums(values + sums->ncolumns - PHOTACTL_USAGE_SUMS,
                        &sums->total);

    return photactl_table_row(table, values);
}
