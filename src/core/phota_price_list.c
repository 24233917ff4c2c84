
/*
 * The list of prices in memory, and the search for the row that counts: of
 * those that match, the one that says most of the call.
 */


#include <stdlib.h>
#include <string.h>

#include "phota_price.h"


struct phota_price_list_s {
    phota_price_t  *rows;
    size_t          nrows;
    size_t          size;
};


typedef struct {
    phota_price_list_t  *list;
    phota_error_t       *err;
} phota_price_loader_t;


static int phota_price_append(void *ctx, const phota_price_t *price);
static int phota_price_match(const phota_price_t *price,
    const phota_operation_t *op, const char *model, const char *resolution,
    uint32_t tenant, uint64_t now);
static int phota_price_choice(const char *row, const char *asked,
    const phota_str_t *preset);
static int phota_price_better(const phota_price_t *a,
    const phota_price_t *b);


int
phota_price_list_load(phota_prices_t *p, phota_price_list_t **list,
    phota_error_t *err)
{
    int                   rc;
    phota_price_loader_t  loader;

    loader.err = err;
    loader.list = calloc(1, sizeof(phota_price_list_t));

    if (loader.list == NULL) {
        phota_error(err, "prices: no memory");
        return PHOTA_ERROR;
    }

    rc = phota_price_each(p, phota_price_append, &loader, err);

    if (rc != PHOTA_OK) {
        phota_price_list_destroy(loader.list);
        return rc;
    }

    *list = loader.list;

    return PHOTA_OK;
}


static int
phota_price_append(void *ctx, const phota_price_t *price)
{
    phota_price_loader_t  *loader = ctx;

    size_t               size;
    phota_price_t       *rows;
    phota_price_list_t  *list;

    list = loader->list;

    if (list->nrows == list->size) {
        size = list->size ? 2 * list->size : 16;

        rows = realloc(list->rows, size * sizeof(phota_price_t));
        if (rows == NULL) {
            phota_error(loader->err, "prices: no memory");
            return PHOTA_ERROR;
        }

        list->rows = rows;
        list->size = size;
    }

    list->rows[list->nrows++] = *price;

    return PHOTA_OK;
}


void
phota_price_list_destroy(phota_price_list_t *list)
{
    if (list == NULL) {
        return;
    }

    free(list->rows);
    free(list);
}


int
phota_price_find(phota_price_list_t *list, const phota_operation_t *op,
    const char *model, const char *resolution, uint32_t tenant, uint64_t now,
    phota_rate_t *rate)
{
    size_t                i;
    const phota_price_t  *best, *row;

    best = NULL;

    for (i = 0; i < list->nrows; i++) {
        row = &list->rows[i];

        if (phota_price_match(row, op, model, resolution, tenant, now)
            && (best == NULL || phota_price_better(row, best)))
        {
            best = row;
        }
    }

    if (best == NULL) {
        return PHOTA_DECLINED;
    }

    rate->base = best->base;
    rate->identity = best->identity;
    rate->version = best->version;
    rate->flags = best->flags;

    return PHOTA_OK;
}


static int
phota_price_match(const phota_price_t *price, const phota_operation_t *op,
    const char *model, const char *resolution, uint32_t tenant, uint64_t now)
{
    /* what any model costs says nothing about one that counts tokens */

    if (price->model[0] == '\0' && phota_operation_metered(op, model)) {
        return 0;
    }

    return price->from <= now
           && (price->tenant == 0 || price->tenant == tenant)
           && strcmp(price->operation, (char *) op->name.data) == 0
           && strcmp(price->provider, (char *) op->provider_name.data) == 0
           && phota_price_choice(price->model, model, &op->model)
           && phota_price_choice(price->resolution, resolution,
                                 &op->resolution);
}


/* an empty one in the row takes any, in the request the preset */

static int
phota_price_choice(const char *row, const char *asked,
    const phota_str_t *preset)
{
    if (row[0] == '\0') {
        return 1;
    }

    if (asked[0] != '\0') {
        return strcmp(row, asked) == 0;
    }

    return strlen(row) == preset->len
           && memcmp(row, preset->data, preset->len) == 0;
}


/* of two that match; rows come in the order in which they were added */

static int
phota_price_better(const phota_price_t *a, const phota_price_t *b)
{
    int  na, nb;

    if ((a->tenant != 0) != (b->tenant != 0)) {
        return a->tenant != 0;
    }

    na = (a->model[0] != '\0') + (a->resolution[0] != '\0');
    nb = (b->model[0] != '\0') + (b->resolution[0] != '\0');

    if (na != nb) {
        return na > nb;
    }

    if (a->from != b->from) {
        return a->from > b->from;
    }

    return a->version >= b->version;
}
