
/*
 * Budgets: how much of a tenant's and a token's day, month and total is spent
 * or held, in price.  The counters change in the transactions that write the
 * entries, whether there is a limit or not, so that a limit set at noon knows
 * the morning.
 */


#ifndef _PHOTA_BUDGET_H_INCLUDED_
#define _PHOTA_BUDGET_H_INCLUDED_


#include "phota_store.h"


/* stored: never renumber */

typedef enum {
    PHOTA_BUDGET_TENANT = 1,
    PHOTA_BUDGET_TOKEN
} phota_budget_scope_e;


typedef enum {
    PHOTA_BUDGET_DAY = 1,
    PHOTA_BUDGET_MONTH,
    PHOTA_BUDGET_TOTAL
} phota_budget_period_e;


#define PHOTA_WARN_PERCENT   80     /* from here on a budget is said to warn */

#define PHOTA_BUDGET_DAYS    40     /* a tenant's older rows are removed */
#define PHOTA_BUDGET_MONTHS  3


/* micro-USD of price, -1: no limit */

typedef struct {
    int64_t         day;
    int64_t         month;
    int64_t         total;
} phota_limits_t;


/* the windows of a moment in the tenant's zone, kept by a charge */

typedef struct {
    uint32_t        day;            /* phota_zone_day() */
    uint32_t        month;
} phota_windows_t;


typedef struct {
    int64_t         spent;
    int64_t         held;
} phota_spending_t;


/* the limit that forbids a hold */

typedef struct {
    uint8_t         scope;          /* phota_budget_scope_e */
    uint8_t         period;         /* phota_budget_period_e */
    int64_t         limit;
    int64_t         left;           /* 0 or more */
} phota_shortage_t;


typedef struct {
    phota_store_t  *store;
    MDB_dbi         budgets;        /* tenant, window, token -> spending */
} phota_budgets_t;


int phota_budgets_open(phota_budgets_t *b, phota_store_t *store,
    phota_error_t *err);

/*
 * Zeros where there is none.  token 0: the tenant's own counter; window: 0 for
 * the total.
 */
int phota_budget_get(phota_budgets_t *b, MDB_txn *txn, uint32_t tenant,
    uint32_t token, unsigned period, uint32_t window,
    phota_spending_t *spending, phota_error_t *err);

/*
 * Whether amount more fits into what spent and held leave of every limit.
 * limits NULL: none.  PHOTA_EXCEEDED with the shortage, of the limit that
 * leaves least, filled.
 */
int phota_budget_check(phota_budgets_t *b, MDB_txn *txn, uint32_t tenant,
    const phota_limits_t *tenant_limits, uint32_t token,
    const phota_limits_t *token_limits, const phota_windows_t *windows,
    int64_t amount, phota_shortage_t *shortage, phota_error_t *err);

/* windows so young that none of their rows was ever removed */

#define PHOTA_BUDGET_FRESH        0x03
#define PHOTA_BUDGET_FRESH_DAY    0x01
#define PHOTA_BUDGET_FRESH_MONTH  0x02


/*
 * Adds to all counters of tenant (0: nobody, there are none) and token (0: only
 * the tenant's).  Rows of fresh windows are made, and the tenant's old ones
 * removed; else a day or month whose row has gone stays gone.
 */
int phota_budget_post(phota_budgets_t *b, MDB_txn *txn, uint32_t tenant,
    uint32_t token, const phota_windows_t *windows, int64_t spent,
    int64_t held, unsigned fresh, phota_error_t *err);

/* rows, for verify and for those who watch; stops at anything but PHOTA_OK */

typedef struct {
    uint32_t          tenant;
    uint32_t          token;        /* 0: the tenant's own */
    uint32_t          window;
    uint8_t           period;
    phota_spending_t  spending;
} phota_budget_row_t;

typedef int (*phota_budget_pt)(void *ctx, const phota_budget_row_t *row);

int phota_budget_each(phota_budgets_t *b, MDB_txn *txn,
    phota_budget_pt handler, void *ctx, phota_error_t *err);

const char *phota_budget_scope_name(unsigned scope);

/* whose a counter is, and the id of that */
unsigned phota_budget_scope(uint32_t tenant, uint32_t token, uint32_t *id);

const char *phota_budget_period_name(unsigned period);


#endif /* _PHOTA_BUDGET_H_INCLUDED_ */
