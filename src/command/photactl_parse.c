
/*
 * What the words of a command line mean: times, amounts, numbers, and tenants
 * by name and back.  What can't be read is an error of usage; a tenant that
 * doesn't exist is one of the books.
 */


#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "photactl.h"


static int photactl_names_add(void *ctx, const phota_tenant_t *tenant);
static int photactl_names_cmp(const void *one, const void *two);


int
photactl_wrong(photactl_t *ctl, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(ctl->err.text, sizeof(ctl->err.text), fmt, args);
    va_end(args);

    return PHOTACTL_USAGE;
}


int
photactl_parse_time(photactl_t *ctl, photactl_opt_e opt, uint64_t *ms)
{
    const char  *text;

    text = ctl->opts[opt];

    if (text == NULL) {
        return PHOTA_OK;
    }

    if (phota_time_parse(ms, text, strlen(text)) != PHOTA_OK) {
        ctl->blamed = text;

        return photactl_wrong(ctl, "\"%.64s\": not a time (as 2026-11-21 or "
                              "2026-11-21T12:00:00Z)", text);
    }

    return PHOTA_OK;
}


int
photactl_parse_expiry(photactl_t *ctl, photactl_opt_e opt, uint64_t *ms)
{
    int          rc;
    uint64_t     duration;
    const char  *text;

    text = ctl->opts[opt];

    if (text == NULL || text[0] != '+') {
        return photactl_parse_time(ctl, opt, ms);
    }

    rc = photactl_parse_duration(ctl, text + 1, &duration);

    if (rc != PHOTA_OK) {
        ctl->blamed = text;
        return rc;
    }

    *ms = phota_now() + duration;

    return PHOTA_OK;
}


int
photactl_parse_duration(photactl_t *ctl, const char *text, uint64_t *ms)
{
    char      *end;
    uint64_t   n;
    unsigned   i;

    static const struct {
        char      unit;
        uint64_t  ms;
    } units[] = {
        { 's', 1000 },
        { 'm', 60 * 1000 },
        { 'h', 3600 * 1000 },
        { 'd', 86400 * 1000 },
        { 'w', 7 * 86400 * 1000 }
    };

    n = 0;
    end = NULL;

    if (text[0] >= '0' && text[0] <= '9') {
        n = strtoull(text, &end, 10);
    }

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (n > 0 && n <= 1000000000 && end[0] == units[i].unit
            && end[1] == '\0')
        {
            *ms = n * units[i].ms;
            return PHOTA_OK;
        }
    }

    ctl->blamed = text;

    return photactl_wrong(ctl, "\"%.64s\": not a duration (as 12h or 30d: "
                          "s, m, h, d, w)", text);
}


int
photactl_parse_usd(photactl_t *ctl, photactl_opt_e opt, int64_t *micro)
{
    const char  *text;

    text = ctl->opts[opt];

    if (text == NULL) {
        return PHOTA_OK;
    }

    if (phota_usd_parse(micro, text, strlen(text)) != PHOTA_OK) {
        ctl->blamed = text;

        return photactl_wrong(ctl, "\"%.64s\": not an amount (USD with at "
                              "most six decimals, as 0.12)", text);
    }

    return PHOTA_OK;
}


int
photactl_parse_number(photactl_t *ctl, const char *text, uint32_t *n)
{
    char           *end;
    unsigned long   value;

    if (strlen(text) <= 10 && strspn(text, "0123456789") == strlen(text)) {
        value = strtoul(text, &end, 10);

        if (end != text && value <= UINT32_MAX) {
            *n = (uint32_t) value;
            return PHOTA_OK;
        }
    }

    ctl->blamed = text;

    return photactl_wrong(ctl, "\"%.64s\": not a number", text);
}


int
photactl_names_load(photactl_t *ctl)
{
    int  rc;

    rc = phota_tenant_each(&ctl->tenants, photactl_names_add, ctl, &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    if (ctl->names.n != 0) {
        qsort(ctl->names.tenants, ctl->names.n, sizeof(phota_tenant_t),
              photactl_names_cmp);
    }

    return PHOTA_OK;
}


static int
photactl_names_add(void *ctx, const phota_tenant_t *tenant)
{
    photactl_t  *ctl = ctx;

    size_t            size;
    phota_tenant_t   *tenants;
    photactl_names_t *names;

    names = &ctl->names;

    if (names->n == names->size) {
        size = names->size ? 2 * names->size : 64;

        tenants = realloc(names->tenants, size * sizeof(phota_tenant_t));
        if (tenants == NULL) {
            phota_error(&ctl->err, "no memory for the tenants");
            return PHOTA_ERROR;
        }

        names->tenants = tenants;
        names->size = size;
    }

    names->tenants[names->n++] = *tenant;

    return PHOTA_OK;
}


static int
photactl_names_cmp(const void *one, const void *two)
{
    const phota_tenant_t  *a, *b;

    a = one;
    b = two;

    return (a->id > b->id) - (a->id < b->id);
}


const char *
photactl_name(photactl_t *ctl, uint32_t id, char buf[16])
{
    phota_tenant_t  key, *tenant;

    tenant = NULL;

    memset(&key, 0, sizeof(key));
    key.id = id;

    if (ctl->names.n != 0) {
        tenant = bsearch(&key, ctl->names.tenants, ctl->names.n,
                         sizeof(phota_tenant_t), photactl_names_cmp);
    }

    if (tenant != NULL) {
        return tenant->name;
    }

    (void) snprintf(buf, 16, "#%u", (unsigned) id);

    return buf;
}


int
photactl_parse_tenant(photactl_t *ctl, photactl_opt_e opt, uint32_t *tenant)
{
    int             rc;
    const char     *name;
    phota_tenant_t  found;

    name = ctl->opts[opt];

    if (name == NULL) {
        return PHOTA_OK;
    }

    rc = phota_tenant_get(&ctl->tenants, name, &found, &ctl->err);

    if (rc == PHOTA_OK) {
        *tenant = found.id;
    }

    return rc;
}


/* by name, or by "#7": one that was removed has none any more */

int
photactl_parse_whose(photactl_t *ctl, photactl_opt_e opt, uint32_t *tenant)
{
    const char  *name;

    name = ctl->opts[opt];

    if (name == NULL || name[0] != '#') {
        return photactl_parse_tenant(ctl, opt, tenant);
    }

    if (photactl_parse_number(ctl, name + 1, tenant) != PHOTA_OK) {
        ctl->blamed = name;
        return PHOTACTL_USAGE;
    }

    ctl->blamed = name;

    return *tenant ? PHOTA_OK
                   : photactl_wrong(ctl, "\"%.64s\": nobody's number", name);
}
