
/*
 * Prices: rows with an effective date in the books, what they say about a
 * call, and what a delivery costs by them.  Amounts are micro-USD an output.
 */


#ifndef _PHOTA_PRICE_H_INCLUDED_
#define _PHOTA_PRICE_H_INCLUDED_


#include "phota_answer.h"
#include "phota_operation.h"
#include "phota_store.h"


#define PHOTA_PRICE_ESTIMATED  0x01     /* a guess: metered in another way */
#define PHOTA_PRICE_REFUND     0x02     /* a training that ends in ERROR is
                                           given back */


typedef struct {
    phota_store_t  *store;
    MDB_dbi         prices;         /* row number -> row */
} phota_prices_t;


typedef struct {
    uint32_t        row;            /* as phota_price_each() tells it */
    uint32_t        version;        /* of the list that brought it, from 1 */
    uint32_t        tenant;         /* 0: every tenant */
    uint32_t        flags;          /* PHOTA_PRICE_... */
    uint64_t        from;           /* ms, effective from then on */
    int64_t         base;           /* micro-USD an output */
    int64_t         identity;       /* with a recognised profile */
    char            provider[16];
    char            operation[32];
    char            model[64];      /* "" any */
    char            resolution[16]; /* "" any */
} phota_price_t;


typedef struct {
    int64_t         base;
    int64_t         identity;
    uint32_t        version;
    uint32_t        flags;
} phota_rate_t;


typedef int (*phota_price_pt)(void *ctx, const phota_price_t *price);


int phota_prices_open(phota_prices_t *p, phota_store_t *store,
    phota_error_t *err);

/* the shipped list; PHOTA_DECLINED when there are prices already */
int phota_price_ship(phota_prices_t *p, phota_error_t *err);

/*
 * Appends n rows, all or none, under one new version, which it fills in, as it
 * does an empty model or resolution where requests can't choose one.
 * PHOTA_INVALID when no call can match a row, or a model that the provider
 * meters by tokens has a price that isn't ESTIMATED, or anything but a training
 * has one with REFUND; *bad, if not NULL, is then the index of that row.
 */
int phota_price_add(phota_prices_t *p, phota_price_t *prices, size_t n,
    size_t *bad, phota_error_t *err);

/* takes a tenant's own rows out, for good: numbers aren't used again */
int phota_price_forget(phota_prices_t *p, MDB_txn *txn, uint32_t tenant,
    phota_error_t *err);

int phota_price_each(phota_prices_t *p, phota_price_pt handler, void *ctx,
    phota_error_t *err);


typedef struct phota_price_list_s  phota_price_list_t;


/* a snapshot in memory */
int phota_price_list_load(phota_prices_t *p, phota_price_list_t **list,
    phota_error_t *err);
void phota_price_list_destroy(phota_price_list_t *list);

/*
 * The rate at a moment: of the rows that match, a tenant's own before the
 * general, then the one that names more of model and resolution, then the
 * latest that is effective, then the newest version.  model, resolution: as
 * the request says them, "" takes the operation's default.  A row for any
 * model is none for a model that is metered by tokens.  PHOTA_DECLINED when no
 * row matches.
 */
int phota_price_find(phota_price_list_t *list, const phota_operation_t *op,
    const char *model, const char *resolution, uint32_t tenant, uint64_t now,
    phota_rate_t *rate);


#endif /* _PHOTA_PRICE_H_INCLUDED_ */
