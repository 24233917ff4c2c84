
/*
 * photactl price: the rows of the price list, adding one, and taking over a
 * list of them.  Nothing is ever changed: a row of a later date or version
 * takes an older one's place.
 */


#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "photactl.h"
#include "photactl_csv.h"


#define PHOTACTL_PRICE_FILE  ((size_t) 1 << 20)


typedef enum {
    PHOTACTL_PRICE_PROVIDER = 0,
    PHOTACTL_PRICE_OPERATION,
    PHOTACTL_PRICE_MODEL,
    PHOTACTL_PRICE_RESOLUTION,
    PHOTACTL_PRICE_USD,
    PHOTACTL_PRICE_IDENTITY,
    PHOTACTL_PRICE_TENANT,
    PHOTACTL_PRICE_FROM,
    PHOTACTL_PRICE_ESTIMATE,
    PHOTACTL_PRICE_REFUND,
    PHOTACTL_PRICE_MAX
} photactl_price_column_e;


typedef struct {
    photactl_t      *ctl;
    photactl_csv_t   csv;
    int              columns[PHOTACTL_PRICE_MAX];   /* -1: not in the file */
    uint64_t         now;
    phota_price_t   *prices;
    uint64_t        *lines;             /* on which each of them stands */
    size_t           n;
    size_t           size;
} photactl_prices_t;


static int photactl_price_row(void *ctx, const phota_price_t *price);
static int photactl_price_text(photactl_t *ctl, photactl_opt_e opt,
    const char *preset, char *buf, size_t size);
static FILE *photactl_price_open(photactl_t *ctl, const char *path,
    char **text);
static char *photactl_price_read(photactl_t *ctl, FILE *file,
    const char *path, size_t *len);
static int photactl_price_rows(photactl_prices_t *p);
static int photactl_price_header(photactl_prices_t *p);
static phota_price_t *photactl_price_next(photactl_prices_t *p);
static int photactl_price_fields(photactl_prices_t *p, phota_price_t *price);
static const char *photactl_price_field(photactl_prices_t *p,
    photactl_price_column_e column);
static int photactl_price_name(photactl_prices_t *p,
    photactl_price_column_e column, const char *preset, char *buf,
    size_t size);
static int photactl_price_amount(photactl_prices_t *p,
    photactl_price_column_e column, int64_t preset, int64_t *micro);
static int photactl_price_tenant(photactl_prices_t *p, uint32_t *tenant);
static int photactl_price_from(photactl_prices_t *p, uint64_t *from);
static int photactl_price_flag(photactl_prices_t *p,
    photactl_price_column_e column, uint32_t flag, uint32_t *flags);


static const photactl_column_t  photactl_price_columns[] = {
    { "version", "VERSION", PHOTACTL_NUMBER },
    { "from", "FROM", PHOTACTL_TIME },
    { "provider", "PROVIDER", PHOTACTL_TEXT },
    { "operation", "OPERATION", PHOTACTL_TEXT },
    { "base_model", "MODEL", PHOTACTL_TEXT },
    { "resolution", "RESOLUTION", PHOTACTL_TEXT },
    { "tenant", "TENANT", PHOTACTL_TEXT },
    { "usd", "USD", PHOTACTL_MONEY },
    { "identity_usd", "IDENTITY", PHOTACTL_MONEY },
    { "estimate", "ESTIMATE", PHOTACTL_BOOL },
    { "refund_error", "REFUND", PHOTACTL_BOOL }
};


/* in the header of a list */

static const char  *photactl_price_names[PHOTACTL_PRICE_MAX] = {
    [PHOTACTL_PRICE_PROVIDER] = "provider",
    [PHOTACTL_PRICE_OPERATION] = "operation",
    [PHOTACTL_PRICE_MODEL] = "base_model",
    [PHOTACTL_PRICE_RESOLUTION] = "resolution",
    [PHOTACTL_PRICE_USD] = "usd",
    [PHOTACTL_PRICE_IDENTITY] = "identity_usd",
    [PHOTACTL_PRICE_TENANT] = "tenant",
    [PHOTACTL_PRICE_FROM] = "from",
    [PHOTACTL_PRICE_ESTIMATE] = "estimate",
    [PHOTACTL_PRICE_REFUND] = "refund_error"
};


int
photactl_price_list(photactl_t *ctl)
{
    int               rc;
    photactl_table_t  table;

    rc = photactl_names_load(ctl);
    if (rc != PHOTA_OK) {
        return rc;
    }

    photactl_table_init(&table, ctl, photactl_price_columns,
                        sizeof(photactl_price_columns)
                        / sizeof(photactl_column_t));

    rc = phota_price_each(&ctl->prices, photactl_price_row, &table,
                          &ctl->err);

    return photactl_table_close(&table, rc);
}


static int
photactl_price_row(void *ctx, const phota_price_t *price)
{
    photactl_table_t  *table = ctx;

    int          rc;
    char         buf[16];
    const char  *tenant;

    rc = photactl_page_number(table->ctl, price->row);

    if (rc != PHOTA_OK) {
        return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
    }

    tenant = price->tenant ? photactl_name(table->ctl, price->tenant, buf)
                           : "";

    photactl_value_t  values[] = {
        photactl_number(price->version),
        photactl_time(price->from),
        photactl_text(price->provider),
        photactl_text(price->operation),
        photactl_text(price->model),
        photactl_text(price->resolution),
        photactl_text(tenant),
        photactl_money(price->base),
        photactl_money(price->identity),
        photactl_bool((price->flags & PHOTA_PRICE_ESTIMATED) != 0),
        photactl_bool((price->flags & PHOTA_PRICE_REFUND) != 0)
    };

    return photactl_table_row(table, values);
}


int
photactl_price_add(photactl_t *ctl)
{
    int            rc;
    phota_price_t  price;

    if (ctl->opts[PHOTACTL_OPT_OPERATION] == NULL
        || ctl->opts[PHOTACTL_OPT_USD] == NULL)
    {
        return photactl_wrong(ctl, "--operation and --usd are needed");
    }

    memset(&price, 0, sizeof(price));
    price.from = phota_now();

    if (photactl_price_text(ctl, PHOTACTL_OPT_OPERATION, "", price.operation,
                            sizeof(price.operation)) != PHOTA_OK
        || photactl_price_text(ctl, PHOTACTL_OPT_PROVIDER, "phota",
                               price.provider, sizeof(price.provider))
           != PHOTA_OK
        || photactl_price_text(ctl, PHOTACTL_OPT_BASE_MODEL, "", price.model,
                               sizeof(price.model)) != PHOTA_OK
        || photactl_price_text(ctl, PHOTACTL_OPT_RESOLUTION, "",
                               price.resolution, sizeof(price.resolution))
           != PHOTA_OK
        || photactl_parse_time(ctl, PHOTACTL_OPT_FROM, &price.from)
           != PHOTA_OK
        || photactl_parse_usd(ctl, PHOTACTL_OPT_USD, &price.base) != PHOTA_OK)
    {
        return PHOTACTL_USAGE;
    }

    price.identity = price.base;

    if (ctl->opts[PHOTACTL_OPT_ESTIMATE] != NULL) {
        price.flags |= PHOTA_PRICE_ESTIMATED;
    }

    if (ctl->opts[PHOTACTL_OPT_REFUND_ERROR] != NULL) {
        price.flags |= PHOTA_PRICE_REFUND;
    }

    rc = photactl_parse_usd(ctl, PHOTACTL_OPT_IDENTITY_USD, &price.identity);

    if (rc == PHOTA_OK) {
        rc = photactl_parse_tenant(ctl, PHOTACTL_OPT_TENANT, &price.tenant);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    return phota_price_add(&ctl->prices, &price, 1, NULL, &ctl->err);
}


static int
photactl_price_text(photactl_t *ctl, photactl_opt_e opt, const char *preset,
    char *buf, size_t size)
{
    int          n;
    const char  *text;

    text = (ctl->opts[opt] != NULL) ? ctl->opts[opt] : preset;

    n = snprintf(buf, size, "%s", text);

    if (n < 0 || (size_t) n >= size) {
        ctl->blamed = text;

        return photactl_wrong(ctl, "\"%.64s\": too long", text);
    }

    return PHOTA_OK;
}


int
photactl_price_import(photactl_t *ctl)
{
    int                 rc;
    char               *text;
    FILE               *file;
    const char         *name;
    photactl_prices_t   p;

    memset(&p, 0, sizeof(p));
    p.ctl = ctl;
    p.now = phota_now();

    file = photactl_price_open(ctl, ctl->args[0], &text);
    if (file == NULL) {
        return PHOTA_ERROR;
    }

    name = (strcmp(ctl->args[0], "-") == 0) ? ctl->input_name : ctl->args[0];

    rc = photactl_csv_attach(&p.csv, file, name, &ctl->err);

    if (rc == PHOTA_OK) {
        rc = photactl_price_rows(&p);
    }

    photactl_csv_close(&p.csv);
    (void) fclose(file);
    free(text);
    free(p.prices);
    free(p.lines);

    return rc;
}


/* a list is short: all of it is there before anything is looked at */

static FILE *
photactl_price_open(photactl_t *ctl, const char *path, char **text)
{
    FILE    *file;
    size_t   len;

    file = ctl->input;

    if (strcmp(path, "-") != 0) {
        file = fopen(path, "re");

        if (file == NULL) {
            phota_error(&ctl->err, "\"%.128s\": %s", path, strerror(errno));
            return NULL;
        }
    }

    *text = photactl_price_read(ctl, file, path, &len);

    if (file != ctl->input) {
        (void) fclose(file);
    }

    if (*text == NULL) {
        return NULL;
    }

    file = fmemopen(*text, len, "r");

    if (file == NULL) {
        phota_error(&ctl->err, "\"%.128s\": %s", path, strerror(errno));
        free(*text);
    }

    return file;
}


static char *
photactl_price_read(photactl_t *ctl, FILE *file, const char *path,
    size_t *len)
{
    char  *text;

    text = malloc(PHOTACTL_PRICE_FILE + 1);
    if (text == NULL) {
        phota_error(&ctl->err, "no memory for the prices");
        return NULL;
    }

    errno = 0;
    *len = fread(text, 1, PHOTACTL_PRICE_FILE + 1, file);

    if (ferror(file)) {
        phota_error(&ctl->err, "\"%.128s\": %s", path, strerror(errno));
        free(text);
        return NULL;
    }

    if (*len > PHOTACTL_PRICE_FILE) {
        phota_error(&ctl->err, "\"%.128s\": more than 1 MB is no list of "
                    "prices", path);
        free(text);
        return NULL;
    }

    return text;
}


static int
photactl_price_rows(photactl_prices_t *p)
{
    int             rc;
    size_t          bad;
    phota_error_t   why;
    phota_price_t  *price;

    rc = photactl_price_header(p);

    while (rc == PHOTA_OK) {
        rc = photactl_csv_next(&p->csv, &p->ctl->err);

        if (rc == PHOTA_OK) {
            price = photactl_price_next(p);
            rc = (price != NULL) ? photactl_price_fields(p, price)
                                 : PHOTA_ERROR;
        }
    }

    if (rc != PHOTA_DECLINED) {
        return rc;
    }

    if (p->n == 0) {
        return photactl_csv_bad(&p->csv, -1, &p->ctl->err, "no prices");
    }

    bad = p->n;

    rc = phota_price_add(&p->ctl->prices, p->prices, p->n, &bad, &why);

    if (rc == PHOTA_INVALID && bad < p->n) {
        p->csv.line = p->lines[bad];
        return photactl_csv_bad(&p->csv, -1, &p->ctl->err, "%s", why.text);
    }

    if (rc != PHOTA_OK) {
        p->ctl->err = why;
    }

    return rc;
}


/* what is misspelt must not pass as missing */

static int
photactl_price_header(photactl_prices_t *p)
{
    int       i, column;
    unsigned  known;

    known = 0;

    for (i = 0; i < PHOTACTL_PRICE_MAX; i++) {
        column = photactl_csv_column(&p->csv, photactl_price_names[i],
                                     &p->ctl->err);

        if (column == PHOTA_INVALID) {
            return PHOTA_INVALID;
        }

        p->columns[i] = (column >= 0) ? column : -1;
        known += (column >= 0);
    }

    if (p->columns[PHOTACTL_PRICE_OPERATION] == -1
        || p->columns[PHOTACTL_PRICE_USD] == -1)
    {
        return photactl_csv_bad(&p->csv, -1, &p->ctl->err, "a list needs the "
                                "columns \"operation\" and \"usd\"");
    }

    if (known != p->csv.columns) {
        return photactl_csv_bad(&p->csv, -1, &p->ctl->err, "a column that "
                                "isn't known (provider operation base_model "
                                "resolution usd identity_usd tenant from "
                                "estimate refund_error are)");
    }

    p->ctl->err.text[0] = '\0';

    return PHOTA_OK;
}


static phota_price_t *
photactl_price_next(photactl_prices_t *p)
{
    size_t          size;
    uint64_t       *lines;
    phota_price_t  *prices;

    if (p->n == p->size) {
        size = p->size ? 2 * p->size : 64;

        prices = realloc(p->prices, size * sizeof(phota_price_t));
        if (prices != NULL) {
            p->prices = prices;
        }

        lines = realloc(p->lines, size * sizeof(uint64_t));
        if (lines != NULL) {
            p->lines = lines;
        }

        if (prices == NULL || lines == NULL) {
            phota_error(&p->ctl->err, "no memory for the prices");
            return NULL;
        }

        p->size = size;
    }

    memset(&p->prices[p->n], 0, sizeof(phota_price_t));
    p->lines[p->n] = p->csv.line;

    return &p->prices[p->n++];
}


static int
photactl_price_fields(photactl_prices_t *p, phota_price_t *price)
{
    int  rc;

    if (photactl_price_name(p, PHOTACTL_PRICE_PROVIDER, "phota",
                            price->provider, sizeof(price->provider))
        != PHOTA_OK
        || photactl_price_name(p, PHOTACTL_PRICE_OPERATION, "",
                               price->operation, sizeof(price->operation))
           != PHOTA_OK
        || photactl_price_name(p, PHOTACTL_PRICE_MODEL, "", price->model,
                               sizeof(price->model)) != PHOTA_OK
        || photactl_price_name(p, PHOTACTL_PRICE_RESOLUTION, "",
                               price->resolution, sizeof(price->resolution))
           != PHOTA_OK
        || photactl_price_amount(p, PHOTACTL_PRICE_USD, -1, &price->base)
           != PHOTA_OK
        || photactl_price_amount(p, PHOTACTL_PRICE_IDENTITY, price->base,
                                 &price->identity) != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    rc = photactl_price_from(p, &price->from);

    if (rc == PHOTA_OK) {
        rc = photactl_price_flag(p, PHOTACTL_PRICE_ESTIMATE,
                                 PHOTA_PRICE_ESTIMATED, &price->flags);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_price_flag(p, PHOTACTL_PRICE_REFUND,
                                 PHOTA_PRICE_REFUND, &price->flags);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_price_tenant(p, &price->tenant);
    }

    return rc;
}


/* "" also where the file has no such column */

static const char *
photactl_price_field(photactl_prices_t *p, photactl_price_column_e column)
{
    return (p->columns[column] == -1)
           ? "" : p->csv.fields[p->columns[column]].text;
}


static int
photactl_price_name(photactl_prices_t *p, photactl_price_column_e column,
    const char *preset, char *buf, size_t size)
{
    int          n;
    const char  *text;

    text = photactl_price_field(p, column);

    if (text[0] == '\0') {
        text = preset;
    }

    n = snprintf(buf, size, "%s", text);

    if (n < 0 || (size_t) n >= size) {
        return photactl_csv_bad(&p->csv, p->columns[column], &p->ctl->err,
                                "\"%.32s\" is too long", text);
    }

    return PHOTA_OK;
}


/* preset -1: there must be one */

static int
photactl_price_amount(photactl_prices_t *p, photactl_price_column_e column,
    int64_t preset, int64_t *micro)
{
    const char  *text;

    text = photactl_price_field(p, column);

    if (text[0] == '\0' && preset != -1) {
        *micro = preset;
        return PHOTA_OK;
    }

    if (phota_usd_parse(micro, text, strlen(text)) != PHOTA_OK) {
        return photactl_csv_bad(&p->csv, p->columns[column], &p->ctl->err,
                                "\"%.32s\" is not an amount (USD with at "
                                "most six decimals, as 0.12)", text);
    }

    return PHOTA_OK;
}


static int
photactl_price_tenant(photactl_prices_t *p, uint32_t *tenant)
{
    int              rc;
    const char      *text;
    phota_error_t    why;
    phota_tenant_t   found;

    text = photactl_price_field(p, PHOTACTL_PRICE_TENANT);

    if (text[0] == '\0') {
        return PHOTA_OK;
    }

    rc = phota_tenant_get(&p->ctl->tenants, text, &found, &why);

    if (rc == PHOTA_DECLINED || rc == PHOTA_INVALID) {
        return photactl_csv_bad(&p->csv, p->columns[PHOTACTL_PRICE_TENANT],
                                &p->ctl->err, "%s", why.text);
    }

    if (rc != PHOTA_OK) {
        p->ctl->err = why;
        return rc;
    }

    *tenant = found.id;

    return PHOTA_OK;
}


static int
photactl_price_from(photactl_prices_t *p, uint64_t *from)
{
    const char  *text;

    text = photactl_price_field(p, PHOTACTL_PRICE_FROM);

    if (text[0] == '\0') {
        *from = p->now;
        return PHOTA_OK;
    }

    if (phota_time_parse(from, text, strlen(text)) != PHOTA_OK) {
        return photactl_csv_bad(&p->csv, p->columns[PHOTACTL_PRICE_FROM],
                                &p->ctl->err, "\"%.32s\" is not a time (as "
                                "2026-11-21 or 2026-11-21T12:00:00Z)", text);
    }

    return PHOTA_OK;
}


static int
photactl_price_flag(photactl_prices_t *p, photactl_price_column_e column,
    uint32_t flag, uint32_t *flags)
{
    size_t       i;
    const char  *text;

    static const struct {
        const char  *text;
        unsigned     yes;
    } words[] = {
        { "", 0 },
        { "no", 0 },
        { "false", 0 },
        { "0", 0 },
        { "yes", 1 },
        { "true", 1 },
        { "1", 1 }
    };

    text = photactl_price_field(p, column);

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i].text) == 0) {
            *flags |= words[i].yes ? flag : 0;
            return PHOTA_OK;
        }
    }

    return photactl_csv_bad(&p->csv, p->columns[column], &p->ctl->err,
                            "\"%.32s\" is neither yes nor no", text);
}
