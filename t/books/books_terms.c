
/*
 * What an operator sets: tenants with limits, plans and zones, tokens, prices;
 * and what a worker knows of it.
 */


#include "books.h"


#define BOOKS_ROWS  4


books_snapshot_t  books_now;


static int
books_tenant_row(void *ctx, const phota_tenant_t *tenant)
{
    (void) ctx;

    if (books_now.ntenants == BOOKS_TENANTS) {
        return PHOTA_ERROR;
    }

    books_now.tenants[books_now.ntenants++] = *tenant;

    return PHOTA_OK;
}


static int
books_token_row(void *ctx, const phota_token_t *token)
{
    (void) ctx;

    if (books_now.ntokens == BOOKS_TOKENS) {
        return PHOTA_ERROR;
    }

    books_now.tokens[books_now.ntokens++] = *token;

    return PHOTA_OK;
}


void
books_forget(void)
{
    if (books_now.directory != NULL) {
        phota_directory_destroy(books_now.directory);
    }

    if (books_now.prices != NULL) {
        phota_price_list_destroy(books_now.prices);
    }

    memset(&books_now, 0, sizeof(books_snapshot_t));
}


int
books_refresh(void)
{
    int       rc;
    uint64_t  generation;

    rc = phota_store_generation(&books_store, &generation);

    if (rc != PHOTA_OK
        || (books_now.directory != NULL
            && books_now.generation == generation))
    {
        return rc;
    }

    books_forget();
    books_now.generation = generation;

    rc = phota_directory_load(&books_tenants, &books_now.directory,
                              &books_err);

    if (rc == PHOTA_OK) {
        rc = phota_price_list_load(&books_prices, &books_now.prices,
                                   &books_err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_tenant_each(&books_tenants, books_tenant_row, NULL,
                               &books_err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_token_each(&books_tenants, books_token_row, NULL,
                              &books_err);
    }

    return rc;
}


const phota_tenant_t *
books_tenant(uint32_t id)
{
    unsigned  i;

    for (i = 0; i < books_now.ntenants; i++) {
        if (books_now.tenants[i].id == id) {
            return &books_now.tenants[i];
        }
    }

    return NULL;
}


const phota_token_t *
books_token(uint32_t id)
{
    unsigned  i;

    for (i = 0; i < books_now.ntokens; i++) {
        if (books_now.tokens[i].id == id) {
            return &books_now.tokens[i];
        }
    }

    return NULL;
}


/* tenants, tokens, prices */

int
books_cmd_tenant_add(char **arg)
{
    int       rc;
    uint32_t  id;

    rc = phota_tenant_add(&books_tenants, arg[0], &id, &books_err);

    if (rc == PHOTA_OK) {
        (void) snprintf(books_extra, sizeof(books_extra), "\t%u", id);
    }

    return rc;
}


static void
books_limits(phota_limits_t *limits, char **arg)
{
    limits->day = books_number(arg[0]);
    limits->month = books_number(arg[1]);
    limits->total = books_number(arg[2]);
}


static int
books_edit_limits(void *ctx, phota_tenant_t *tenant, phota_error_t *err)
{
    (void) err;

    books_limits(&tenant->limits, ctx);

    return PHOTA_OK;
}


int
books_cmd_limits(char **arg)
{
    return phota_tenant_edit(&books_tenants, arg[0], books_edit_limits,
                             arg + 1, NULL, &books_err);
}


/* markup, hit, join, then base and identity for each of four operations */

static int
books_edit_plan(void *ctx, phota_tenant_t *tenant, phota_error_t *err)
{
    char      **arg;
    unsigned    i;

    (void) err;

    arg = ctx;

    phota_plan_init(&tenant->plan);

    tenant->plan.markup = (int32_t) books_number(arg[0]);
    tenant->plan.hit = (uint32_t) books_number(arg[1]);
    tenant->plan.join = (uint32_t) books_number(arg[2]);

    for (i = 0; i <= PHOTA_OP_GENERATE; i++) {
        tenant->plan.fixed[i].base = books_number(arg[3 + 2 * i]);
        tenant->plan.fixed[i].identity = books_number(arg[4 + 2 * i]);
    }

    return PHOTA_OK;
}


int
books_cmd_plan(char **arg)
{
    return phota_tenant_edit(&books_tenants, arg[0], books_edit_plan, arg + 1,
                             NULL, &books_err);
}


static int
books_edit_zone(void *ctx, phota_tenant_t *tenant, phota_error_t *err)
{
    (void) ctx;
    (void) tenant;
    (void) err;

    return PHOTA_OK;
}


int
books_cmd_zone(char **arg)
{
    int           rc;
    phota_zone_t  zone;

    rc = phota_zone_create(&zone, arg[1], books_clock, &books_err);

    if (rc == PHOTA_OK) {
        rc = phota_tenant_edit(&books_tenants, arg[0], books_edit_zone, NULL,
                               &zone, &books_err);
        phota_zone_free(&zone);
    }

    return rc;
}


int
books_cmd_token_add(char **arg)
{
    int             rc;
    char            token[PHOTA_TOKEN_LEN + 1];
    uint32_t        id;
    phota_limits_t  limits;

    books_limits(&limits, arg + 1);

    rc = phota_token_issue(&books_tenants, arg[0], "", 0, &limits, token, &id,
                           &books_err);

    if (rc == PHOTA_OK) {
        (void) snprintf(books_extra, sizeof(books_extra), "\t%u", id);
    }

    return rc;
}


static int
books_edit_token(void *ctx, phota_token_t *token, phota_error_t *err)
{
    (void) err;

    books_limits(&token->limits, ctx);

    return PHOTA_OK;
}


int
books_cmd_token_limits(char **arg)
{
    return phota_token_edit(&books_tenants, (uint32_t) books_number(arg[0]),
                            books_edit_token, arg + 1, &books_err);
}


/* rows of tenant, from, flags, base, identity, operation, model, resolution */

int
books_cmd_price(char **arg)
{
    int             rc;
    size_t          i, n;
    phota_price_t  *p, prices[BOOKS_ROWS];

    memset(prices, 0, sizeof(prices));

    n = (size_t) books_number(*arg++);

    for (i = 0; i < n && i < BOOKS_ROWS; i++) {
        p = &prices[i];

        p->tenant = (uint32_t) books_number(arg[0]);
        p->from = (uint64_t) books_number(arg[1]);
        p->flags = (uint32_t) books_number(arg[2]);
        p->base = books_number(arg[3]);
        p->identity = books_number(arg[4]);
        books_text(p->provider, sizeof(p->provider), "phota");
        books_text(p->operation, sizeof(p->operation), arg[5]);
        books_text(p->model, sizeof(p->model), arg[6]);
        books_text(p->resolution, sizeof(p->resolution), arg[7]);

        arg += 8;
    }

    rc = phota_price_add(&books_prices, prices, i, NULL, &books_err);

    if (rc == PHOTA_OK) {
        (void) snprintf(books_extra, sizeof(books_extra), "\t%u",
                        prices[0].version);
    }

    return rc;
}
