
/*
 * What a tenant owes: its plan, the terms that a charge keeps of plan and price
 * list, and the arithmetic of both.  Amounts are micro-USD, shares and markups
 * parts per million; a percentage rounds half up (-0.5 is 0), once.
 */


#ifndef _PHOTA_PLAN_H_INCLUDED_
#define _PHOTA_PLAN_H_INCLUDED_


#include "phota_operation.h"
#include "phota_price.h"


#define PHOTA_MARKUP_MAX  100000000     /* 10,000 % */
#define PHOTA_FIXED_MAX   ((int64_t) 1000000000000)     /* a million USD */

#define PHOTA_TERMS_FIXED      0x01     /* the price is per output */
#define PHOTA_TERMS_ESTIMATED  0x02     /* the rate is the operator's guess */


/* a price of an output that takes the place of cost and markup */

typedef struct {
    int64_t         base;               /* -1: not set */
    int64_t         identity;
} phota_fixed_t;


typedef struct {
    int32_t         markup;             /* on the cost, -PHOTA_PPM or more */
    uint32_t        hit;                /* of the full price, for a hit */
    uint32_t        join;
    phota_fixed_t   fixed[PHOTA_OP_MAX];
} phota_plan_t;


/* kept in a charge, so that no later list or plan changes it */

typedef struct {
    int64_t         rate;               /* cost of an output */
    int64_t         identity_rate;
    int64_t         fixed;              /* price of an output, if FIXED */
    int64_t         fixed_identity;
    int32_t         markup;
    uint32_t        share;              /* of the full price */
    uint32_t        version;            /* of the price list, 0 for hits */
    uint8_t         flags;
} phota_terms_t;


/* no markup, hits and joins free */
void phota_plan_init(phota_plan_t *plan);

/* PHOTA_INVALID when a markup, share or fixed price is out of bounds */
int phota_plan_check(const phota_plan_t *plan);

/* rate NULL: nothing is bought, as for a hit.  share: PHOTA_PPM when bought */
void phota_plan_terms(const phota_plan_t *plan, unsigned operation,
    const phota_rate_t *rate, uint32_t share, phota_terms_t *terms);

/*
 * What outputs cost, of which identity are with a recognised profile, and what
 * the tenant owes for them; cost is what they cost, or, for a hit or join, what
 * they would have.  PHOTA_INVALID when identity is more than outputs or the
 * amount doesn't fit.
 */
int phota_terms_cost(const phota_terms_t *terms, unsigned outputs,
    unsigned identity, int64_t *cost);
int phota_terms_price(const phota_terms_t *terms, unsigned outputs,
    unsigned identity, int64_t cost, int64_t *price);

/*
 * The other way round, for a bill that says only an amount: at most asked
 * outputs that cost it, as many as possible.  PHOTA_DECLINED when none do.
 */
int phota_terms_outputs(const phota_terms_t *terms, unsigned asked,
    int64_t cost, uint32_t *outputs, uint32_t *identity);

/* "20%", "-2.5%", "free" is 0, "full" PHOTA_PPM; PHOTA_INVALID otherwise */
int phota_percent_parse(int64_t *ppm, const char *text, size_t len);

/* "12.5%"; buf has PHOTA_USD_TEXT */
void phota_percent_format(char *buf, int64_t ppm);


#endif /* _PHOTA_PLAN_H_INCLUDED_ */
