
/*
 * photactl price: the rows of the price list, and adding one.  Nothing is ever
 * changed: a row of a later date or version takes an older one's place.
 */


#include <stdio.h>
#include <string.h>

#include "photactl.h"


static int photactl_price_row(void *ctx, const phota_price_t *price);
static int photactl_price_text(photactl_t *ctl, photactl_opt_e opt,
    const char *preset, char *buf, size_t size);


static const photactl_column_t  photactl_price_columns[] = {
    { "version", "VERSION", PHOTACTL_NUMBER },
    { "from", "FROM", PHOTACTL_TIME },
    { "provider", "PROVIDER", PHOTACTL_TEXT },
    { "operation", "OPERATION", PHOTACTL_TEXT },
    { "base_model", "MODEL", PHOTACTL_TEXT },
    { "resolution", "RESOLUTION", PHOTACTL_TEXT },
    { "tenant", "TENANT", PHOTACTL_TEXT },
    { "usd", "USD", PHOTACTL_MONEY },
    { "identity_usd", "IDENTITY", PHOTACTL_MONEY }
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

    if (rc != PHOTA_OK) {
        photactl_table_free(&table);
        return rc;
    }

    return photactl_table_end(&table);
}


static int
photactl_price_row(void *ctx, const phota_price_t *price)
{
    photactl_table_t  *table = ctx;

    char         buf[16];
    const char  *tenant;

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
        photactl_money(price->identity)
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

    rc = photactl_parse_usd(ctl, PHOTACTL_OPT_IDENTITY_USD, &price.identity);

    if (rc == PHOTA_OK) {
        rc = photactl_parse_tenant(ctl, PHOTACTL_OPT_TENANT, &price.tenant);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    return phota_price_add(&ctl->prices, &price, &ctl->err);
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
        return photactl_wrong(ctl, "\"%.64s\": too long", text);
    }

    return PHOTA_OK;
}
