
/*
 * photactl tenant: adding, showing and changing tenants.
 */


#include <string.h>

#include "photactl.h"


static int photactl_tenant_row(void *ctx, const phota_tenant_t *tenant);
static void photactl_tenant_values(photactl_value_t *values,
    const phota_tenant_t *tenant);


static const photactl_column_t  photactl_tenant_columns[] = {
    { "tenant", "TENANT", PHOTACTL_TEXT },
    { "tenant_id", "ID", PHOTACTL_NUMBER },
    { "state", "STATE", PHOTACTL_TEXT },
    { "cache_scope", "CACHE", PHOTACTL_TEXT },
    { "key", "KEY", PHOTACTL_TEXT },
    { "created", "CREATED", PHOTACTL_TIME }
};


#define PHOTACTL_TENANT_COLUMNS                                               \
    (sizeof(photactl_tenant_columns) / sizeof(photactl_column_t))


int
photactl_tenant_add(photactl_t *ctl)
{
    return phota_tenant_add(&ctl->tenants, ctl->args[0], NULL, &ctl->err);
}


int
photactl_tenant_list(photactl_t *ctl)
{
    int               rc;
    photactl_table_t  table;

    photactl_table_init(&table, ctl, photactl_tenant_columns,
                        PHOTACTL_TENANT_COLUMNS);

    rc = phota_tenant_each(&ctl->tenants, photactl_tenant_row, &table,
                           &ctl->err);

    if (rc != PHOTA_OK) {
        photactl_table_free(&table);
        return rc;
    }

    return photactl_table_end(&table);
}


static int
photactl_tenant_row(void *ctx, const phota_tenant_t *tenant)
{
    photactl_table_t  *table = ctx;

    photactl_value_t  values[PHOTACTL_TENANT_COLUMNS];

    photactl_tenant_values(values, tenant);

    return photactl_table_row(table, values);
}


static void
photactl_tenant_values(photactl_value_t *values, const phota_tenant_t *tenant)
{
    photactl_value_t  row[] = {
        photactl_text(tenant->name),
        photactl_number(tenant->id),
        photactl_text(tenant->flags & PHOTA_TENANT_SUSPENDED
                      ? "suspended" : "active"),
        photactl_text(tenant->flags & PHOTA_TENANT_SHARED
                      ? "shared" : "own"),
        photactl_text(tenant->flags & PHOTA_TENANT_OWN_KEY
                      ? "own" : "default"),
        photactl_time(tenant->created)
    };

    memcpy(values, row, sizeof(row));
}


int
photactl_tenant_show(photactl_t *ctl)
{
    int               rc;
    phota_tenant_t    tenant;
    photactl_value_t  values[PHOTACTL_TENANT_COLUMNS];

    rc = phota_tenant_get(&ctl->tenants, ctl->args[0], &tenant, &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    photactl_tenant_values(values, &tenant);

    return photactl_record(ctl, photactl_tenant_columns,
                           PHOTACTL_TENANT_COLUMNS, values);
}


int
photactl_tenant_set(photactl_t *ctl)
{
    uint32_t     set, clear;
    const char  *scope;

    scope = ctl->opts[PHOTACTL_OPT_CACHE_SCOPE];

    if (scope == NULL) {
        return photactl_wrong(ctl, "nothing to set");
    }

    set = 0;
    clear = 0;

    if (strcmp(scope, "shared") == 0) {
        set = PHOTA_TENANT_SHARED;

    } else if (strcmp(scope, "own") == 0) {
        clear = PHOTA_TENANT_SHARED;

    } else {
        return photactl_wrong(ctl, "--cache-scope \"%.64s\": not own or "
                              "shared", scope);
    }

    return phota_tenant_change(&ctl->tenants, ctl->args[0], set, clear,
                               &ctl->err);
}


int
photactl_tenant_suspend(photactl_t *ctl)
{
    return phota_tenant_change(&ctl->tenants, ctl->args[0],
                               PHOTA_TENANT_SUSPENDED, 0, &ctl->err);
}


int
photactl_tenant_resume(photactl_t *ctl)
{
    return phota_tenant_change(&ctl->tenants, ctl->args[0], 0,
                               PHOTA_TENANT_SUSPENDED, &ctl->err);
}
