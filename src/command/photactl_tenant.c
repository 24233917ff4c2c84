
/*
 * photactl tenant: adding, showing and changing tenants.  However many options
 * a change has, it is one transaction: all of it counts, or nothing.
 */


#include <string.h>

#include "photactl_plan.h"


/* what a row's values point to */

typedef struct {
    photactl_plan_text_t    plan;
    photactl_limits_text_t  limits;
} photactl_tenant_text_t;


static int photactl_tenant_row(void *ctx, const phota_tenant_t *tenant);
static void photactl_tenant_values(photactl_value_t *values,
    photactl_tenant_text_t *text, const phota_tenant_t *tenant);
static int photactl_tenant_zone(photactl_t *ctl, phota_zone_t *zone);
static int photactl_tenant_edit(void *ctx, phota_tenant_t *tenant,
    phota_error_t *err);
static int photactl_tenant_scope(photactl_t *ctl, phota_tenant_t *tenant);
static int photactl_tenant_fences(photactl_t *ctl, phota_tenant_t *tenant);
static int photactl_tenant_unfence(photactl_t *ctl, phota_tenant_t *tenant);
static int photactl_tenant_stop(void *ctx, phota_tenant_t *tenant,
    phota_error_t *err);
static int photactl_tenant_go(void *ctx, phota_tenant_t *tenant,
    phota_error_t *err);


static const photactl_column_t  photactl_tenant_columns[] = {
    { "tenant", "TENANT", PHOTACTL_TEXT },
    { "tenant_id", "ID", PHOTACTL_NUMBER },
    { "state", "STATE", PHOTACTL_TEXT },
    { "cache_scope", "CACHE", PHOTACTL_TEXT },
    { "key", "KEY", PHOTACTL_TEXT },
    { "fenced", "FENCED", PHOTACTL_BOOL },
    { "created", "CREATED", PHOTACTL_TIME },
    { "time_zone", NULL, PHOTACTL_TEXT },
    { "markup", NULL, PHOTACTL_TEXT },
    { "hit_price", NULL, PHOTACTL_TEXT },
    { "join_price", NULL, PHOTACTL_TEXT },
    { "fixed_price", NULL, PHOTACTL_TEXT },
    { "budget_day", NULL, PHOTACTL_TEXT },
    { "budget_month", NULL, PHOTACTL_TEXT },
    { "budget_total", NULL, PHOTACTL_TEXT }
};


/* budgets of one tenant are shown with what is spent of them */

#define PHOTACTL_TENANT_LIMITS  3


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

    return photactl_table_close(&table, rc);
}


static int
photactl_tenant_row(void *ctx, const phota_tenant_t *tenant)
{
    photactl_table_t  *table = ctx;

    int                     rc;
    photactl_value_t        values[PHOTACTL_TENANT_COLUMNS];
    photactl_tenant_text_t  text;

    rc = photactl_page(table->ctl, tenant->name, strlen(tenant->name));

    if (rc != PHOTA_OK) {
        return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
    }

    photactl_tenant_values(values, &text, tenant);

    return photactl_table_row(table, values);
}


static void
photactl_tenant_values(photactl_value_t *values,
    photactl_tenant_text_t *text, const phota_tenant_t *tenant)
{
    photactl_plan_text(&text->plan, &tenant->plan);
    photactl_limits_text(&text->limits, &tenant->limits);

    photactl_value_t  row[] = {
        photactl_text(tenant->name),
        photactl_number(tenant->id),
        photactl_text(tenant->flags & PHOTA_TENANT_SUSPENDED
                      ? "suspended" : "active"),
        photactl_text(tenant->flags & PHOTA_TENANT_SHARED
                      ? "shared" : "own"),
        photactl_text(tenant->flags & PHOTA_TENANT_OWN_KEY
                      ? "own" : "default"),
        photactl_bool(phota_tenant_fenced(tenant)),
        photactl_time(tenant->created),
        photactl_text(tenant->zone[0] != '\0' ? tenant->zone : "UTC"),
        photactl_text(text->plan.markup),
        photactl_text(text->plan.hit),
        photactl_text(text->plan.join),
        photactl_text(text->plan.fixed),
        photactl_text(text->limits.day),
        photactl_text(text->limits.month),
        photactl_text(text->limits.total)
    };

    memcpy(values, row, sizeof(row));
}


int
photactl_tenant_show(photactl_t *ctl)
{
    int                     rc;
    phota_tenant_t          tenant;
    photactl_value_t        values[PHOTACTL_TENANT_COLUMNS];
    photactl_tenant_text_t  text;

    rc = phota_tenant_get(&ctl->tenants, ctl->args[0], &tenant, &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    photactl_tenant_values(values, &text, &tenant);

    return photactl_show(ctl, photactl_tenant_columns,
                         PHOTACTL_TENANT_COLUMNS - PHOTACTL_TENANT_LIMITS,
                         values, 0, &tenant.limits, &tenant);
}


int
photactl_tenant_set(photactl_t *ctl)
{
    int           rc;
    phota_zone_t  zone;

    if (ctl->opts[PHOTACTL_OPT_CACHE_SCOPE] == NULL
        && ctl->opts[PHOTACTL_OPT_TIME_ZONE] == NULL
        && ctl->opts[PHOTACTL_OPT_FENCES] == NULL
        && !photactl_limits_given(ctl) && !photactl_plan_given(ctl))
    {
        return photactl_wrong(ctl, "nothing to set");
    }

    memset(&zone, 0, sizeof(zone));

    rc = photactl_tenant_zone(ctl, &zone);

    if (rc == PHOTA_OK) {
        rc = phota_tenant_edit(&ctl->tenants, ctl->args[0],
                               photactl_tenant_edit, ctl,
                               zone.n ? &zone : NULL, &ctl->err);
    }

    phota_zone_free(&zone);

    return rc;
}


static int
photactl_tenant_zone(photactl_t *ctl, phota_zone_t *zone)
{
    const char  *name;

    name = ctl->opts[PHOTACTL_OPT_TIME_ZONE];

    if (name == NULL) {
        return PHOTA_OK;
    }

    return phota_zone_create(zone, name, phota_now(), &ctl->err);
}


static int
photactl_tenant_edit(void *ctx, phota_tenant_t *tenant, phota_error_t *err)
{
    photactl_t  *ctl = ctx;

    int  rc;

    (void) err;                             /* it is ctl's */

    rc = photactl_tenant_scope(ctl, tenant);

    if (rc == PHOTA_OK) {
        rc = photactl_tenant_fences(ctl, tenant);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_parse_limits(ctl, &tenant->limits);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_parse_plan(ctl, &tenant->plan);
    }

    return rc;
}


static int
photactl_tenant_scope(photactl_t *ctl, phota_tenant_t *tenant)
{
    const char  *scope;

    scope = ctl->opts[PHOTACTL_OPT_CACHE_SCOPE];

    if (scope == NULL) {
        return PHOTA_OK;
    }

    if (strcmp(scope, "shared") == 0) {
        tenant->flags |= PHOTA_TENANT_SHARED;

    } else if (strcmp(scope, "own") == 0) {
        tenant->flags &= ~(uint32_t) PHOTA_TENANT_SHARED;

    } else {
        return photactl_wrong(ctl, "--cache-scope \"%.64s\": not own or "
                              "shared", scope);
    }

    return PHOTA_OK;
}


static int
photactl_tenant_fences(photactl_t *ctl, phota_tenant_t *tenant)
{
    const char  *fences;

    fences = ctl->opts[PHOTACTL_OPT_FENCES];

    if (fences == NULL) {
        return PHOTA_OK;
    }

    if (strcmp(fences, "on") == 0) {
        tenant->flags |= PHOTA_TENANT_FENCED;
        return PHOTA_OK;
    }

    if (strcmp(fences, "off") != 0) {
        return photactl_wrong(ctl, "--fences \"%.64s\": not on or off",
                              fences);
    }

    return photactl_tenant_unfence(ctl, tenant);
}


static int
photactl_tenant_unfence(photactl_t *ctl, phota_tenant_t *tenant)
{
    int  rc, shared;

    if (!(tenant->flags & PHOTA_TENANT_OWN_KEY)) {
        phota_error(&ctl->err, "tenant \"%.64s\" has no key of its own, it "
                    "shares an account with others: there fences stay",
                    tenant->name);
        return PHOTA_REFUSED;
    }

    rc = phota_key_shared(&ctl->tenants, &ctl->master, tenant->id, &shared,
                          &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    if (shared) {
        phota_error(&ctl->err, "tenant \"%.64s\" has the very key that is "
                    "another tenant's too, or the default one, it shares an "
                    "account: there fences stay", tenant->name);
        return PHOTA_REFUSED;
    }

    tenant->flags &= ~(uint32_t) PHOTA_TENANT_FENCED;

    return PHOTA_OK;
}


int
photactl_tenant_suspend(photactl_t *ctl)
{
    return phota_tenant_edit(&ctl->tenants, ctl->args[0],
                             photactl_tenant_stop, NULL, NULL, &ctl->err);
}


static int
photactl_tenant_stop(void *ctx, phota_tenant_t *tenant, phota_error_t *err)
{
    (void) ctx;
    (void) err;

    tenant->flags |= PHOTA_TENANT_SUSPENDED;

    return PHOTA_OK;
}


int
photactl_tenant_resume(photactl_t *ctl)
{
    return phota_tenant_edit(&ctl->tenants, ctl->args[0], photactl_tenant_go,
                             NULL, NULL, &ctl->err);
}


static int
photactl_tenant_go(void *ctx, phota_tenant_t *tenant, phota_error_t *err)
{
    (void) ctx;
    (void) err;

    tenant->flags &= ~(uint32_t) PHOTA_TENANT_SUSPENDED;

    return PHOTA_OK;
}
