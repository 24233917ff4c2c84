
/*
 * Prints the tables of operations and routes, a JSON object a line, so that
 * tests can make their cases from them and no new path is forgotten.  Names in
 * the tables are plain ASCII: nothing needs to be escaped.
 */


#include <stdio.h>

#include "phota_operation.h"


static const char  *table_kinds[] = {
    [PHOTA_FIELD_PLAIN] = "plain",
    [PHOTA_FIELD_IMAGE] = "image",
    [PHOTA_FIELD_IMAGES] = "images",
    [PHOTA_FIELD_PROMPT] = "prompt",
    [PHOTA_FIELD_PROFILES] = "profiles",
    [PHOTA_FIELD_MODEL] = "model",
    [PHOTA_FIELD_RESOLUTION] = "resolution",
    [PHOTA_FIELD_COUNT] = "count",
    [PHOTA_FIELD_MODE] = "mode",
    [PHOTA_FIELD_ASYNC] = "async",
    [PHOTA_FIELD_CALLBACK] = "callback",
    [PHOTA_FIELD_REQUEST_ID] = "request_id",
    [PHOTA_FIELD_TAG] = "tag",
    [PHOTA_FIELD_SEED] = "seed"
};


static const char  *table_answers[] = {
    [PHOTA_ANSWER_IMAGES] = "images",
    [PHOTA_ANSWER_BODY] = "body",
    [PHOTA_ANSWER_PROFILE] = "profile"
};


static void
table_begin(const char *kind, phota_provider_e provider, const char *method,
    const phota_str_t *name)
{
    const phota_provider_t  *p;

    p = &phota_providers[provider];

    printf("{\"kind\":\"%s\",\"provider\":\"%s\",\"key_header\":\"%s\","
           "\"method\":\"%s\",\"name\":\"%s\",", kind, (char *) p->name.data,
           (char *) p->key_header.data, method, (char *) name->data);
}


static void
table_field(const phota_field_t *field)
{
    printf("{\"name\":\"%s\",\"kind\":\"%s\",\"required\":%s,\"preset\":",
           (char *) field->name.data, table_kinds[field->kind],
           field->required ? "true" : "false");

    if (field->preset.data == NULL) {
        printf("null}");

    } else if (field->number) {
        printf("%s}", (char *) field->preset.data);

    } else {
        printf("\"%s\"}", (char *) field->preset.data);
    }
}


static void
table_operation(const phota_operation_t *op)
{
    unsigned  i;

    table_begin("operation", op->provider, "POST", &op->name);

    printf("\"label\":\"%s\",\"path\":\"%s\",\"answer\":\"%s\","
           "\"max_outputs\":%u,\"cached\":%s,\"fields\":[",
           (char *) op->label.data, (char *) op->path.data,
           table_answers[op->answer], op->max_outputs,
           op->cached ? "true" : "false");

    for (i = 0; i < op->nfields; i++) {
        printf("%s", i ? "," : "");
        table_field(&op->fields[i]);
    }

    printf("]}\n");
}


static void
table_route(const phota_route_t *route)
{
    table_begin("route", route->provider, (char *) route->method.data,
                &route->name);

    printf("\"path\":\"%s%s%s\",\"named\":%s}\n",
           (char *) route->before.data, route->named ? "{id}" : "",
           (char *) route->after.data, route->named ? "true" : "false");
}


int
main(void)
{
    unsigned  i;

    for (i = 0; i < PHOTA_OP_MAX; i++) {
        table_operation(&phota_operations[i]);
    }

    for (i = 0; i < phota_nroutes; i++) {
        table_route(&phota_routes[i]);
    }

    return fflush(stdout) == 0 ? 0 : 1;
}
