
/*
 * Plans and terms.  Every amount is worked out in 128 bits and rounded once, at
 * the end: half up, which for amounts below zero too means towards the greater
 * one, so that -0.5 is 0 and an amount and its negative may differ by one.
 */


#include <stdio.h>
#include <string.h>

#include "phota_plan.h"


#define PHOTA_PERCENT        (PHOTA_PPM / 100)
#define PHOTA_PERCENT_MAX    ((int64_t) 1000000000000)


static int phota_terms_fit(__int128 amount, int64_t *result);
static __int128 phota_terms_sum(int64_t base, int64_t identity_rate,
    unsigned outputs, unsigned identity);
static __int128 phota_terms_round(__int128 n, __int128 unit);
static int phota_percent_digits(int64_t *ppm, const char *text, size_t len);


void
phota_plan_init(phota_plan_t *plan)
{
    unsigned  i;

    memset(plan, 0, sizeof(phota_plan_t));

    for (i = 0; i < PHOTA_OP_MAX; i++) {
        plan->fixed[i].base = -1;
        plan->fixed[i].identity = -1;
    }
}


int
phota_plan_check(const phota_plan_t *plan)
{
    unsigned              i;
    const phota_fixed_t  *fixed;

    if (plan->markup < -PHOTA_PPM || plan->markup > PHOTA_MARKUP_MAX
        || plan->hit > PHOTA_PPM || plan->join > PHOTA_PPM)
    {
        return PHOTA_INVALID;
    }

    for (i = 0; i < PHOTA_OP_MAX; i++) {
        fixed = &plan->fixed[i];

        if (fixed->base == -1) {
            continue;
        }

        /* a hold is for the highest price that a call can reach */

        if (fixed->base < 0 || fixed->identity < fixed->base
            || fixed->identity > PHOTA_FIXED_MAX)
        {
            return PHOTA_INVALID;
        }
    }

    return PHOTA_OK;
}


void
phota_plan_terms(const phota_plan_t *plan, unsigned operation,
    const phota_rate_t *rate, uint32_t share, phota_terms_t *terms)
{
    memset(terms, 0, sizeof(phota_terms_t));

    terms->markup = plan->markup;
    terms->share = share;

    if (rate != NULL) {
        terms->rate = rate->base;
        terms->identity_rate = rate->identity;
        terms->version = rate->version;

        if (rate->flags & PHOTA_PRICE_ESTIMATED) {
            terms->flags |= PHOTA_TERMS_ESTIMATED;
        }
    }

    if (operation < PHOTA_OP_MAX && plan->fixed[operation].base >= 0) {
        terms->flags |= PHOTA_TERMS_FIXED;
        terms->fixed = plan->fixed[operation].base;
        terms->fixed_identity = plan->fixed[operation].identity;
    }
}


int
phota_terms_cost(const phota_terms_t *terms, unsigned outputs,
    unsigned identity, int64_t *cost)
{
    if (identity > outputs) {
        return PHOTA_INVALID;
    }

    return phota_terms_fit(phota_terms_sum(terms->rate, terms->identity_rate,
                                           outputs, identity),
                           cost);
}


int
phota_terms_price(const phota_terms_t *terms, unsigned outputs,
    unsigned identity, int64_t cost, int64_t *price)
{
    int64_t   full;
    __int128  n, unit;

    if (identity > outputs) {
        return PHOTA_INVALID;
    }

    if (terms->flags & PHOTA_TERMS_FIXED) {

        /* a full price that fits leaves room for any share of it */

        if (phota_terms_fit(phota_terms_sum(terms->fixed,
                                            terms->fixed_identity, outputs,
                                            identity),
                            &full)
            != PHOTA_OK)
        {
            return PHOTA_INVALID;
        }

        n = full;
        unit = PHOTA_PPM;

    } else {
        n = (__int128) cost * ((int64_t) PHOTA_PPM + terms->markup);
        unit = (__int128) PHOTA_PPM * PHOTA_PPM;
    }

    return phota_terms_fit(phota_terms_round(n * terms->share, unit), price);
}


static int
phota_terms_fit(__int128 amount, int64_t *result)
{
    if (amount > INT64_MAX || amount < INT64_MIN) {
        return PHOTA_INVALID;
    }

    *result = (int64_t) amount;

    return PHOTA_OK;
}


static __int128
phota_terms_sum(int64_t base, int64_t identity_rate, unsigned outputs,
    unsigned identity)
{
    return (__int128) base * (outputs - identity)
           + (__int128) identity_rate * identity;
}


/* n / unit; division in C cuts towards zero, which below it is up */

static __int128
phota_terms_round(__int128 n, __int128 unit)
{
    __int128  result, rest;

    result = n / unit;
    rest = n % unit;

    if (rest < 0) {
        result--;
        rest += unit;
    }

    return result + (rest >= unit - rest);
}


int
phota_terms_outputs(const phota_terms_t *terms, unsigned asked,
    int64_t cost, uint32_t *outputs, uint32_t *identity)
{
    unsigned  n, with;
    __int128  extra, step;

    step = (__int128) terms->identity_rate - terms->rate;
    n = asked;

    for ( ;; ) {
        extra = cost - (__int128) terms->rate * n;
        with = 0;

        if (step != 0 && extra % step == 0 && extra / step >= 0
            && extra / step <= n)
        {
            with = (unsigned) (extra / step);
            extra = 0;
        }

        if (extra == 0) {
            *outputs = n;
            *identity = with;
            return PHOTA_OK;
        }

        if (n-- == 0) {
            return PHOTA_DECLINED;
        }
    }
}


int
phota_percent_parse(int64_t *ppm, const char *text, size_t len)
{
    int      minus;
    int64_t  n;

    if (len == 4 && memcmp(text, "free", 4) == 0) {
        *ppm = 0;
        return PHOTA_OK;
    }

    if (len == 4 && memcmp(text, "full", 4) == 0) {
        *ppm = PHOTA_PPM;
        return PHOTA_OK;
    }

    if (len == 0 || text[len - 1] != '%') {
        return PHOTA_INVALID;
    }

    len--;
    minus = (len != 0 && text[0] == '-');

    if (phota_percent_digits(&n, text + minus, len - minus) != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    *ppm = minus ? -n : n;

    return PHOTA_OK;
}


static int
phota_percent_digits(int64_t *ppm, const char *text, size_t len)
{
    size_t    i;
    int64_t   n, unit;
    unsigned  point;

    n = 0;
    point = 0;
    unit = PHOTA_PERCENT;

    for (i = 0; i < len; i++) {

        if (text[i] == '.' && i > 0 && !point) {
            point = 1;
            continue;
        }

        if (text[i] < '0' || text[i] > '9' || (point && unit == 1)) {
            return PHOTA_INVALID;
        }

        if (point) {
            unit /= 10;
        }

        n = n * 10 + (text[i] - '0');

        if (n > PHOTA_PERCENT_MAX) {
            return PHOTA_INVALID;
        }
    }

    if (len == 0 || text[len - 1] == '.') {
        return PHOTA_INVALID;
    }

    *ppm = n * unit;

    return PHOTA_OK;
}


void
phota_percent_format(char *buf, int64_t ppm)
{
    int       len;
    uint64_t  n;

    /* the least int64_t has no positive counterpart */

    n = (ppm < 0) ? 0 - (uint64_t) ppm : (uint64_t) ppm;

    len = snprintf(buf, PHOTA_USD_TEXT, "%s%llu.%04llu", ppm < 0 ? "-" : "",
                   (unsigned long long) (n / PHOTA_PERCENT),
                   (unsigned long long) (n % PHOTA_PERCENT));

    while (buf[len - 1] == '0') {
        len--;
    }

    if (buf[len - 1] == '.') {
        len--;
    }

    buf[len] = '%';
    buf[len + 1] = '\0';
}
