
/*
 * Budgets and plans on the command line: amounts, percentages and lists of
 * fixed prices in, and out again in the same form, with what is spent and held
 * in the windows of this moment.
 */


#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "photactl_plan.h"


#define PHOTACTL_PERIODS  3


typedef struct {
    int64_t           limit;            /* -1: none */
    int64_t           left;
    phota_spending_t  spending;
    unsigned          warning;
} photactl_budget_t;


static int photactl_parse_limit(photactl_t *ctl, photactl_opt_e opt,
    int64_t *limit);
static int photactl_parse_markup(photactl_t *ctl, int32_t *markup);
static int photactl_parse_share(photactl_t *ctl, photactl_opt_e opt,
    uint32_t *share);
static int photactl_parse_fixed(photactl_t *ctl, phota_plan_t *plan);
static int photactl_fixed_item(phota_plan_t *plan, const char *text,
    size_t len);
static void photactl_share_text(char *buf, uint32_t share);
static void photactl_fixed_text(char *buf, size_t size,
    const phota_plan_t *plan);
static int photactl_budgets(photactl_t *ctl, uint32_t token,
    const phota_limits_t *limits, const phota_tenant_t *tenant,
    photactl_budget_t budgets[PHOTACTL_PERIODS]);
static int photactl_windows(photactl_t *ctl, const phota_tenant_t *tenant,
    uint32_t windows[PHOTACTL_PERIODS]);
static void photactl_budget_judge(photactl_budget_t *budget, int64_t limit);
static int photactl_show_json(photactl_t *ctl,
    const photactl_column_t *columns, unsigned ncolumns,
    const photactl_value_t *values, const photactl_budget_t *budgets);
static json_t *photactl_budgets_json(const photactl_budget_t *budgets);
static json_t *photactl_budget_json(const photactl_budget_t *budget);
static int photactl_budget_table(photactl_t *ctl,
    const photactl_budget_t *budgets);


static const unsigned  photactl_periods[PHOTACTL_PERIODS] = {
    PHOTA_BUDGET_DAY, PHOTA_BUDGET_MONTH, PHOTA_BUDGET_TOTAL
};


static const photactl_column_t  photactl_budget_columns[] = {
    { "period", "BUDGET", PHOTACTL_TEXT },
    { "limit", "LIMIT", PHOTACTL_TEXT },
    { "spent", "SPENT", PHOTACTL_MONEY },
    { "held", "HELD", PHOTACTL_MONEY },
    { "left", "LEFT", PHOTACTL_TEXT },
    { "warning", "WARNING", PHOTACTL_BOOL }
};


#define PHOTACTL_BUDGET_COLUMNS                                               \
    (sizeof(photactl_budget_columns) / sizeof(photactl_column_t))


int
photactl_parse_limits(photactl_t *ctl, phota_limits_t *limits)
{
    if (photactl_parse_limit(ctl, PHOTACTL_OPT_BUDGET_DAY, &limits->day)
        != PHOTA_OK
        || photactl_parse_limit(ctl, PHOTACTL_OPT_BUDGET_MONTH,
                                &limits->month)
           != PHOTA_OK
        || photactl_parse_limit(ctl, PHOTACTL_OPT_BUDGET_TOTAL,
                                &limits->total)
           != PHOTA_OK)
    {
        return PHOTACTL_USAGE;
    }

    return PHOTA_OK;
}


static int
photactl_parse_limit(photactl_t *ctl, photactl_opt_e opt, int64_t *limit)
{
    const char  *text;

    text = ctl->opts[opt];

    if (text != NULL && strcmp(text, "none") == 0) {
        *limit = -1;
        return PHOTA_OK;
    }

    return photactl_parse_usd(ctl, opt, limit);
}


int
photactl_parse_plan(photactl_t *ctl, phota_plan_t *plan)
{
    if (photactl_parse_markup(ctl, &plan->markup) != PHOTA_OK
        || photactl_parse_share(ctl, PHOTACTL_OPT_HIT_PRICE, &plan->hit)
           != PHOTA_OK
        || photactl_parse_share(ctl, PHOTACTL_OPT_JOIN_PRICE, &plan->join)
           != PHOTA_OK)
    {
        return PHOTACTL_USAGE;
    }

    return photactl_parse_fixed(ctl, plan);
}


static int
photactl_parse_markup(photactl_t *ctl, int32_t *markup)
{
    int64_t      ppm;
    const char  *text;

    text = ctl->opts[PHOTACTL_OPT_MARKUP];

    if (text == NULL) {
        return PHOTA_OK;
    }

    /* words are for shares: a markup isn't "free" */

    if (strchr(text, '%') == NULL
        || phota_percent_parse(&ppm, text, strlen(text)) != PHOTA_OK
        || ppm < -PHOTA_PPM || ppm > PHOTA_MARKUP_MAX)
    {
        return photactl_wrong(ctl, "--markup \"%.64s\": not a percentage of "
                              "-100%% to 10000%%, as 20%% or -2.5%%", text);
    }

    *markup = (int32_t) ppm;

    return PHOTA_OK;
}


static int
photactl_parse_share(photactl_t *ctl, photactl_opt_e opt, uint32_t *share)
{
    int64_t      ppm;
    const char  *text;

    text = ctl->opts[opt];

    if (text == NULL) {
        return PHOTA_OK;
    }

    if (phota_percent_parse(&ppm, text, strlen(text)) != PHOTA_OK
        || ppm < 0 || ppm > PHOTA_PPM)
    {
        ctl->blamed = text;

        return photactl_wrong(ctl, "\"%.64s\": not the price of a hit (free, "
                              "full, or 0%% to 100%% of the full one)", text);
    }

    *share = (uint32_t) ppm;

    return PHOTA_OK;
}


/* "remix=0.20/0.25,edit=0.30": takes the place of all there were */

static int
photactl_parse_fixed(photactl_t *ctl, phota_plan_t *plan)
{
    size_t         len;
    const char    *text, *p;
    phota_plan_t   fresh;

    text = ctl->opts[PHOTACTL_OPT_FIXED_PRICE];

    if (text == NULL) {
        return PHOTA_OK;
    }

    phota_plan_init(&fresh);

    if (strcmp(text, "none") != 0) {

        for (p = text; /* void */ ; p += len + 1) {
            len = strcspn(p, ",");

            if (photactl_fixed_item(&fresh, p, len) != PHOTA_OK) {
                return photactl_wrong(ctl, "--fixed-price \"%.*s\": not "
                                      "OPERATION=USD or OPERATION=USD/USD, "
                                      "the second with a profile and no less "
                                      "than the first, each operation once",
                                      len < 64 ? (int) len : 64, p);
            }

            if (p[len] == '\0') {
                break;
            }
        }
    }

    memcpy(plan->fixed, fresh.fixed, sizeof(plan->fixed));

    return PHOTA_OK;
}


static int
photactl_fixed_item(phota_plan_t *plan, const char *text, size_t len)
{
    size_t                    n;
    const char               *slash, *usd, *end;
    phota_fixed_t            *fixed;
    const phota_operation_t  *op;

    end = text + len;
    usd = memchr(text, '=', len);

    if (usd == NULL) {
        return PHOTA_INVALID;
    }

    op = phota_operation_by_label((const u_char *) text, usd - text);
    usd++;

    if (op == NULL || plan->fixed[op->id].base != -1) {
        return PHOTA_INVALID;
    }

    fixed = &plan->fixed[op->id];
    slash = memchr(usd, '/', end - usd);
    n = ((slash != NULL) ? slash : end) - usd;

    if (phota_usd_parse(&fixed->base, usd, n) != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    fixed->identity = fixed->base;

    if (slash != NULL
        && phota_usd_parse(&fixed->identity, slash + 1, end - slash - 1)
           != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    return phota_plan_check(plan);
}


int
photactl_limits_given(photactl_t *ctl)
{
    return ctl->opts[PHOTACTL_OPT_BUDGET_DAY] != NULL
           || ctl->opts[PHOTACTL_OPT_BUDGET_MONTH] != NULL
           || ctl->opts[PHOTACTL_OPT_BUDGET_TOTAL] != NULL;
}


int
photactl_plan_given(photactl_t *ctl)
{
    return ctl->opts[PHOTACTL_OPT_MARKUP] != NULL
           || ctl->opts[PHOTACTL_OPT_HIT_PRICE] != NULL
           || ctl->opts[PHOTACTL_OPT_JOIN_PRICE] != NULL
           || ctl->opts[PHOTACTL_OPT_FIXED_PRICE] != NULL;
}


void
photactl_plan_text(photactl_plan_text_t *text, const phota_plan_t *plan)
{
    phota_percent_format(text->markup, plan->markup);
    photactl_share_text(text->hit, plan->hit);
    photactl_share_text(text->join, plan->join);
    photactl_fixed_text(text->fixed, sizeof(text->fixed), plan);
}


static void
photactl_share_text(char *buf, uint32_t share)
{
    if (share == 0 || share == PHOTA_PPM) {
        (void) snprintf(buf, PHOTA_USD_TEXT, "%s", share ? "full" : "free");
        return;
    }

    phota_percent_format(buf, share);
}


static void
photactl_fixed_text(char *buf, size_t size, const phota_plan_t *plan)
{
    int          n;
    char         base[PHOTA_USD_TEXT], identity[PHOTA_USD_TEXT];
    unsigned     i;
    const char  *comma;

    comma = "";
    buf[0] = '\0';

    for (i = 0; i < PHOTA_OP_MAX; i++) {

        if (plan->fixed[i].base < 0) {
            continue;
        }

        phota_usd_format(base, plan->fixed[i].base);
        phota_usd_format(identity, plan->fixed[i].identity);

        n = snprintf(buf, size, "%s%s=%s/%s", comma, phota_operation_name(i),
                     base, identity);

        if (n < 0 || (size_t) n >= size) {
            return;
        }

        comma = ",";
        buf += n;
        size -= n;
    }
}


void
photactl_limits_text(photactl_limits_text_t *text,
    const phota_limits_t *limits)
{
    phota_usd_format(text->buf[0], limits->day);
    phota_usd_format(text->buf[1], limits->month);
    phota_usd_format(text->buf[2], limits->total);

    text->day = (limits->day < 0) ? NULL : text->buf[0];
    text->month = (limits->month < 0) ? NULL : text->buf[1];
    text->total = (limits->total < 0) ? NULL : text->buf[2];
}


int
photactl_show(photactl_t *ctl, const photactl_column_t *columns,
    unsigned ncolumns, const photactl_value_t *values, uint32_t token,
    const phota_limits_t *limits, const phota_tenant_t *tenant)
{
    int                rc;
    photactl_budget_t  budgets[PHOTACTL_PERIODS];

    rc = photactl_budgets(ctl, token, limits, tenant, budgets);
    if (rc != PHOTA_OK) {
        return rc;
    }

    if (ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
        return photactl_show_json(ctl, columns, ncolumns, values, budgets);
    }

    rc = photactl_record(ctl, columns, ncolumns, values);
    if (rc != PHOTA_OK) {
        return rc;
    }

    (void) fprintf(ctl->out, "\n");

    return photactl_budget_table(ctl, budgets);
}


static int
photactl_budgets(photactl_t *ctl, uint32_t token,
    const phota_limits_t *limits, const phota_tenant_t *tenant,
    photactl_budget_t budgets[PHOTACTL_PERIODS])
{
    int        rc, i;
    MDB_txn   *txn;
    uint32_t   windows[PHOTACTL_PERIODS];

    const int64_t  each[PHOTACTL_PERIODS] = {
        limits->day, limits->month, limits->total
    };

    rc = photactl_windows(ctl, tenant, windows);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_store_begin(ctl->store, 0, &txn, &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    for (i = 0; rc == PHOTA_OK && i < PHOTACTL_PERIODS; i++) {
        rc = phota_budget_get(&ctl->ledger.budgets, txn, tenant->id, token,
                              photactl_periods[i], windows[i],
                              &budgets[i].spending, &ctl->err);

        photactl_budget_judge(&budgets[i], each[i]);
    }

    phota_store_abort(txn);

    return rc;
}


/* by the zone as the books have it, which is what the workers go by */

static int
photactl_windows(photactl_t *ctl, const phota_tenant_t *tenant,
    uint32_t windows[PHOTACTL_PERIODS])
{
    int                  rc;
    uint64_t             now;
    phota_directory_t   *directory;
    const phota_zone_t  *zone;

    rc = phota_directory_load(&ctl->tenants, &directory, &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    now = phota_now();
    zone = phota_directory_zone(directory, tenant);

    windows[0] = phota_zone_day(zone, now);
    windows[1] = phota_zone_month(zone, now);
    windows[2] = 0;

    phota_directory_destroy(directory);

    return PHOTA_OK;
}


static void
photactl_budget_judge(photactl_budget_t *budget, int64_t limit)
{
    __int128  used, left;

    used = (__int128) budget->spending.spent + budget->spending.held;
    left = limit - used;

    budget->limit = limit;
    budget->left = (left > 0 && left <= INT64_MAX) ? (int64_t) left : 0;
    budget->warning = (limit >= 0
                       && used * 100 >= (__int128) limit * PHOTA_WARN_PERCENT);
}


static int
photactl_show_json(photactl_t *ctl, const photactl_column_t *columns,
    unsigned ncolumns, const photactl_value_t *values,
    const photactl_budget_t *budgets)
{
    json_t  *json, *all;

    json = photactl_object(columns, ncolumns, values);
    all = photactl_budgets_json(budgets);

    /* takes all, even when it fails */

    if (json == NULL || json_object_set_new(json, "budgets", all) != 0) {
        if (json == NULL) {
            json_decref(all);
        }

        json_decref(json);
        json = NULL;
    }

    return photactl_print(ctl, json);
}


json_t *
photactl_budgets_of(photactl_t *ctl, uint32_t token,
    const phota_limits_t *limits, const phota_tenant_t *tenant)
{
    json_t             *json;
    photactl_budget_t   budgets[PHOTACTL_PERIODS];

    if (photactl_budgets(ctl, token, limits, tenant, budgets) != PHOTA_OK) {
        return NULL;
    }

    json = photactl_budgets_json(budgets);

    if (json == NULL) {
        phota_error(&ctl->err, "no memory for the budgets");
    }

    return json;
}


static json_t *
photactl_budgets_json(const photactl_budget_t *budgets)
{
    int      i;
    json_t  *all;

    all = json_object();

    for (i = 0; all != NULL && i < PHOTACTL_PERIODS; i++) {

        if (json_object_set_new(all,
                                phota_budget_period_name(photactl_periods[i]),
                                photactl_budget_json(&budgets[i]))
            != 0)
        {
            json_decref(all);
            all = NULL;
        }
    }

    return all;
}


static json_t *
photactl_budget_json(const photactl_budget_t *budget)
{
    char  limit[PHOTA_USD_TEXT], left[PHOTA_USD_TEXT];

    phota_usd_format(limit, budget->limit);
    phota_usd_format(left, budget->left);

    const photactl_value_t  values[] = {
        photactl_text((budget->limit < 0) ? NULL : limit),
        photactl_money(budget->spending.spent),
        photactl_money(budget->spending.held),
        photactl_text((budget->limit < 0) ? NULL : left),
        photactl_bool(budget->warning)
    };

    /* the period is its name in the object of all */

    return photactl_object(photactl_budget_columns + 1,
                           sizeof(values) / sizeof(values[0]), values);
}


static int
photactl_budget_table(photactl_t *ctl, const photactl_budget_t *budgets)
{
    int               i;
    char              limit[PHOTA_USD_TEXT], left[PHOTA_USD_TEXT];
    photactl_table_t  table;

    photactl_table_init(&table, ctl, photactl_budget_columns,
                        PHOTACTL_BUDGET_COLUMNS);

    for (i = 0; i < PHOTACTL_PERIODS; i++) {
        phota_usd_format(limit, budgets[i].limit);
        phota_usd_format(left, budgets[i].left);

        photactl_value_t  values[] = {
            photactl_text(phota_budget_period_name(photactl_periods[i])),
            photactl_text((budgets[i].limit < 0) ? NULL : limit),
            photactl_money(budgets[i].spending.spent),
            photactl_money(budgets[i].spending.held),
            photactl_text((budgets[i].limit < 0) ? NULL : left),
            photactl_bool(budgets[i].warning)
        };

        if (photactl_table_row(&table, values) != PHOTA_OK) {
            photactl_table_free(&table);
            return PHOTA_ERROR;
        }
    }

    return photactl_table_end(&table);
}
