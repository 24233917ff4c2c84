
/*
 * Looks things up in the tables of vendors, operations and routes.  They are
 * short: every look-up goes through one from its beginning.
 */


#include "phota_operation.h"

#include <string.h>


static int phota_str_equal(const phota_str_t *s, const u_char *p, size_t len);
static int phota_route_match(const phota_route_t *route, const u_char *path,
    size_t len, phota_str_t *id);


static int
phota_str_equal(const phota_str_t *s, const u_char *p, size_t len)
{
    return s->len == len && memcmp(s->data, p, len) == 0;
}


const phota_provider_t *
phota_provider_by_name(const u_char *name, size_t len)
{
    unsigned  i;

    for (i = 0; i < PHOTA_PROVIDER_MAX; i++) {

        if (phota_str_equal(&phota_providers[i].name, name, len)) {
            return &phota_providers[i];
        }
    }

    return NULL;
}


const phota_route_t *
phota_route_find(phota_provider_e provider, const phota_str_t *method,
    const u_char *path, size_t len, phota_str_t *id)
{
    unsigned              i;
    const phota_str_t    *verb;
    const phota_route_t  *route;

    static const phota_str_t  get = phota_string("GET");
    static const phota_str_t  head = phota_string("HEAD");

    verb = phota_str_equal(&head, method->data, method->len) ? &get : method;

    for (i = 0; i < phota_nroutes; i++) {
        route = &phota_routes[i];

        if (route->provider == provider
            && phota_str_equal(&route->method, verb->data, verb->len)
            && phota_route_match(route, path, len, id))
        {
            return route;
        }
    }

    return NULL;
}


static int
phota_route_match(const phota_route_t *route, const u_char *path, size_t len,
    phota_str_t *id)
{
    const phota_str_t  *after, *before;

    before = &route->before;
    after = &route->after;

    if (len < before->len + after->len
        || memcmp(path, before->data, before->len) != 0
        || memcmp(path + len - after->len, after->data, after->len) != 0)
    {
        return 0;
    }

    id->data = path + before->len;
    id->len = len - before->len - after->len;

    if (!route->named) {
        return id->len == 0;
    }

    return id->len != 0 && memchr(id->data, '/', id->len) == NULL;
}


const phota_operation_t *
phota_operation_by_path(phota_provider_e provider, const u_char *path,
    size_t len)
{
    unsigned                  i;
    const phota_operation_t  *op;

    for (i = 0; i < PHOTA_OP_MAX; i++) {
        op = &phota_operations[i];

        if (op->provider == provider && phota_str_equal(&op->path, path, len))
        {
            return op;
        }
    }

    return NULL;
}


const phota_operation_t *
phota_operation_by_name(phota_provider_e provider, const u_char *name,
    size_t len)
{
    unsigned                  i;
    const phota_operation_t  *op;

    for (i = 0; i < PHOTA_OP_MAX; i++) {
        op = &phota_operations[i];

        if (op->provider == provider && phota_str_equal(&op->name, name, len))
        {
            return op;
        }
    }

    return NULL;
}


const phota_operation_t *
phota_operation_by_label(const u_char *label, size_t len)
{
    unsigned  i;

    for (i = 0; i < PHOTA_OP_MAX; i++) {

        if (phota_str_equal(&phota_operations[i].label, label, len)) {
            return &phota_operations[i];
        }
    }

    return NULL;
}


const char *
phota_operation_name(unsigned operation)
{
    if (operation >= PHOTA_OP_MAX) {
        return "other";
    }

    return (const char *) phota_operations[operation].label.data;
}


int
phota_operation_metered(const phota_operation_t *op, const char *model)
{
    size_t                   len;
    unsigned                 i, chooses;
    const phota_provider_t  *provider;

    chooses = 0;

    for (i = 0; i < op->nfields; i++) {
        chooses |= (op->fields[i].kind == PHOTA_FIELD_MODEL);
    }

    if (!chooses) {
        return 0;
    }

    if (model[0] == '\0') {
        model = (const char *) op->model.data;
    }

    len = strlen(model);
    provider = &phota_providers[op->provider];

    for (i = 0; i < provider->nmetered; i++) {

        if (phota_str_equal(&provider->metered[i], (const u_char *) model,
                            len))
        {
            return 1;
        }
    }

    return 0;
}


const phota_field_t *
phota_operation_field(const phota_operation_t *op, const u_char *name,
    size_t len)
{
    unsigned  i;

    for (i = 0; i < op->nfields; i++) {

        if (phota_str_equal(&op->fields[i].name, name, len)) {
            return &op->fields[i];
        }
    }

    return NULL;
}
