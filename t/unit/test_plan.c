
/*
 * Tests for plans: what outputs cost and what a tenant owes, against arithmetic
 * done in another way; the outputs that an amount can be; percentages.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "phota_plan.h"


static uint64_t  seed = 0x5bd1e995;


static uint64_t
draw(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return seed % n;
}


static void
terms_init(phota_terms_t *terms, int32_t markup, uint32_t share)
{
    memset(terms, 0, sizeof(phota_terms_t));

    terms->rate = 120000;
    terms->identity_rate = 150000;
    terms->markup = markup;
    terms->share = share;
}


static int64_t
price_of(const phota_terms_t *terms, int64_t cost)
{
    int64_t  price;

    assert_int_equal(phota_terms_price(terms, 1, 0, cost, &price), PHOTA_OK);

    return price;
}


static void
costs(void **state)
{
    int64_t        cost;
    phota_terms_t  terms;

    (void) state;

    terms_init(&terms, 0, PHOTA_PPM);

    assert_int_equal(phota_terms_cost(&terms, 0, 0, &cost), PHOTA_OK);
    assert_int_equal(cost, 0);
    assert_int_equal(phota_terms_cost(&terms, 4, 1, &cost), PHOTA_OK);
    assert_int_equal(cost, 510000);
    assert_int_equal(phota_terms_cost(&terms, 2, 3, &cost), PHOTA_INVALID);

    terms.rate = INT64_MAX / 2;
    assert_int_equal(phota_terms_cost(&terms, 2, 0, &cost), PHOTA_OK);
    assert_int_equal(phota_terms_cost(&terms, 3, 0, &cost), PHOTA_INVALID);
    assert_int_equal(phota_terms_cost(&terms, UINT32_MAX, 7, &cost),
                     PHOTA_INVALID);
}


/* of a markup, and of a share of it, in one rounding */

static void
rounding(void **state)
{
    phota_terms_t  terms;

    (void) state;

    terms_init(&terms, 0, PHOTA_PPM);
    assert_int_equal(price_of(&terms, 123457), 123457);
    assert_int_equal(price_of(&terms, -5), -5);

    terms_init(&terms, 500000, PHOTA_PPM);
    assert_int_equal(price_of(&terms, 1), 2);           /* 1.5 */
    assert_int_equal(price_of(&terms, 3), 5);           /* 4.5 */
    assert_int_equal(price_of(&terms, -1), -1);         /* -1.5 */
    assert_int_equal(price_of(&terms, -3), -4);         /* -4.5 */

    terms_init(&terms, 0, 500000);
    assert_int_equal(price_of(&terms, 1), 1);           /* 0.5 */
    assert_int_equal(price_of(&terms, -1), 0);          /* -0.5 */

    /* 1.5 * 0.3 is 0.45; rounded twice it would be 2 * 0.3, 0.6, so 1 */

    terms_init(&terms, 500000, 300000);
    assert_int_equal(price_of(&terms, 1), 0);

    terms_init(&terms, -PHOTA_PPM, PHOTA_PPM);
    assert_int_equal(price_of(&terms, 1000000), 0);

    terms_init(&terms, PHOTA_MARKUP_MAX, PHOTA_PPM);
    assert_int_equal(price_of(&terms, 120000), 12120000);
}


static void
bounds(void **state)
{
    int64_t        price;
    phota_terms_t  terms;

    (void) state;

    terms_init(&terms, 1, PHOTA_PPM);
    assert_int_equal(phota_terms_price(&terms, 1, 2, 0, &price),
                     PHOTA_INVALID);
    assert_int_equal(phota_terms_price(&terms, 1, 1, INT64_MAX, &price),
                     PHOTA_INVALID);
    assert_int_equal(phota_terms_price(&terms, 1, 1, INT64_MIN, &price),
                     PHOTA_INVALID);

    terms_init(&terms, INT32_MAX, UINT32_MAX);
    assert_int_equal(phota_terms_price(&terms, 1, 1, INT64_MAX, &price),
                     PHOTA_INVALID);
    assert_int_equal(phota_terms_price(&terms, 1, 1, INT64_MIN, &price),
                     PHOTA_INVALID);

    terms_init(&terms, 0, PHOTA_PPM);
    assert_int_equal(price_of(&terms, INT64_MAX) == INT64_MAX, 1);
    assert_int_equal(price_of(&terms, INT64_MIN) == INT64_MIN, 1);

    terms.flags = PHOTA_TERMS_FIXED;
    terms.fixed = INT64_MAX;
    terms.fixed_identity = INT64_MAX;
    terms.share = UINT32_MAX;
    assert_int_equal(phota_terms_price(&terms, UINT32_MAX, 1, 0, &price),
                     PHOTA_INVALID);
    assert_int_equal(phota_terms_price(&terms, 1, 1, 0, &price),
                     PHOTA_INVALID);
    assert_int_equal(phota_terms_price(&terms, 0, 0, 5, &price), PHOTA_OK);
    assert_int_equal(price, 0);
}


/* the nearest whole number from below, in steps: r <= x + 1/2 < r + 1 */

static void
random_prices(void **state)
{
    int64_t        cost, price;
    unsigned       i, outputs, identity;
    __int128       twice, unit;
    phota_terms_t  terms;

    (void) state;

    for (i = 0; i < 200000; i++) {
        terms_init(&terms, (int32_t) draw(3000000) - PHOTA_PPM,
                   (uint32_t) draw(PHOTA_PPM + 1));

        outputs = (unsigned) draw(5);
        identity = (unsigned) draw(outputs + 1);
        cost = (int64_t) draw(2000001) - 1000000;

        if (i % 2) {
            terms.flags = PHOTA_TERMS_FIXED;
            terms.fixed = (int64_t) draw(1000000);
            terms.fixed_identity = terms.fixed + (int64_t) draw(1000);

            twice = 2 * ((__int128) terms.fixed * (outputs - identity)
                         + (__int128) terms.fixed_identity * identity)
                    * terms.share;
            unit = 2 * (__int128) PHOTA_PPM;

        } else {
            twice = 2 * (__int128) cost * (PHOTA_PPM + terms.markup)
                    * terms.share;
            unit = 2 * (__int128) PHOTA_PPM * PHOTA_PPM;
        }

        assert_int_equal(phota_terms_price(&terms, outputs, identity, cost,
                                           &price), PHOTA_OK);
        assert_true(price * unit <= twice + unit / 2);
        assert_true(twice + unit / 2 < (price + 1) * unit);
    }
}


static void
plans(void **state)
{
    int64_t        price;
    phota_plan_t   plan;
    phota_rate_t   rate;
    phota_terms_t  terms;

    (void) state;

    phota_plan_init(&plan);
    assert_int_equal(phota_plan_check(&plan), PHOTA_OK);
    assert_int_equal(plan.hit, 0);
    assert_int_equal(plan.join, 0);

    rate.base = 120000;
    rate.identity = 150000;
    rate.version = 3;
    rate.flags = PHOTA_PRICE_ESTIMATED;

    plan.markup = 250000;
    plan.fixed[PHOTA_OP_EDIT].base = 300000;
    plan.fixed[PHOTA_OP_EDIT].identity = 400000;
    assert_int_equal(phota_plan_check(&plan), PHOTA_OK);

    phota_plan_terms(&plan, PHOTA_OP_REMIX, &rate, PHOTA_PPM, &terms);
    assert_int_equal(terms.rate, 120000);
    assert_int_equal(terms.identity_rate, 150000);
    assert_int_equal(terms.version, 3);
    assert_int_equal(terms.flags, PHOTA_TERMS_ESTIMATED);
    assert_int_equal(price_of(&terms, 120000), 150000);

    rate.flags = 0;
    phota_plan_terms(&plan, PHOTA_OP_EDIT, &rate, PHOTA_PPM, &terms);
    assert_int_equal(terms.flags, PHOTA_TERMS_FIXED);
    assert_int_equal(phota_terms_price(&terms, 3, 1, 1, &price), PHOTA_OK);
    assert_int_equal(price, 1000000);

    /* a hit: nothing is bought, the full price is of what it saved */

    phota_plan_terms(&plan, PHOTA_OP_REMIX, NULL, 500000, &terms);
    assert_int_equal(terms.rate, 0);
    assert_int_equal(terms.version, 0);
    assert_int_equal(price_of(&terms, 120000), 75000);

    phota_plan_terms(&plan, PHOTA_OP_EDIT, NULL, 500000, &terms);
    assert_int_equal(phota_terms_price(&terms, 1, 0, 120000, &price),
                     PHOTA_OK);
    assert_int_equal(price, 150000);

    phota_plan_terms(&plan, PHOTA_OP_OTHER, &rate, PHOTA_PPM, &terms);
    assert_int_equal(terms.flags, 0);
}


/* against all there are, the most outputs first */

static void
outputs(void **state)
{
    int64_t        cost;
    unsigned       i, n, with, asked, found;
    uint32_t       got, identity;
    phota_terms_t  terms;

    (void) state;

    for (i = 0; i < 20000; i++) {
        terms_init(&terms, 0, PHOTA_PPM);
        terms.rate = (int64_t) draw(5);
        terms.identity_rate = terms.rate + (int64_t) draw(4);
        asked = (unsigned) draw(6);
        cost = (int64_t) draw(30) - 2;

        found = 0;

        for (n = asked + 1; n-- && !found; /* void */ ) {
            for (with = 0; with <= n && !found; with++) {
                found = (cost == terms.rate * (n - with)
                                 + terms.identity_rate * with);
            }

            if (found) {
                break;
            }
        }

        if (!found) {
            assert_int_equal(phota_terms_outputs(&terms, asked, cost, &got,
                                                 &identity),
                             PHOTA_DECLINED);
            continue;
        }

        assert_int_equal(phota_terms_outputs(&terms, asked, cost, &got,
                                             &identity), PHOTA_OK);
        assert_int_equal(got, n);
        assert_true(identity <= got);
        assert_int_equal(terms.rate * (got - identity)
                         + terms.identity_rate * identity, cost);
    }

    terms_init(&terms, 0, PHOTA_PPM);
    assert_int_equal(phota_terms_outputs(&terms, 4, 270000, &got, &identity),
                     PHOTA_OK);
    assert_int_equal(got, 2);
    assert_int_equal(identity, 1);
    assert_int_equal(phota_terms_outputs(&terms, 4, 600000, &got, &identity),
                     PHOTA_OK);
    assert_int_equal(got, 4);
    assert_int_equal(identity, 4);
    assert_int_equal(phota_terms_outputs(&terms, 4, INT64_MIN, &got,
                                         &identity), PHOTA_DECLINED);
}


static void
percentages(void **state)
{
    char      buf[PHOTA_USD_TEXT];
    int64_t   ppm;
    unsigned  i;

    static const struct {
        const char  *text;
        int64_t      ppm;
        const char  *back;
    } good[] = {
        { "free", 0, "0%" },
        { "full", PHOTA_PPM, "100%" },
        { "0%", 0, "0%" },
        { "20%", 200000, "20%" },
        { "-2.5%", -25000, "-2.5%" },
        { "12.5%", 125000, "12.5%" },
        { "0.0001%", 1, "0.0001%" },
        { "-0.0001%", -1, "-0.0001%" },
        { "33.3333%", 333333, "33.3333%" },
        { "100.00%", PHOTA_PPM, "100%" },
        { "10000%", PHOTA_MARKUP_MAX, "10000%" }
    };

    static const char  *bad[] = {
        "", "%", "-%", "20", "20.%", ".5%", "1.23456%", "1.00000%", "+5%",
        "--5%", "5%%", "5 %", " 5%", "1e3%", "0x5%", "Free", "freee", "1,5%",
        "1.2.3%", "99999999999999999999%", "-"
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(phota_percent_parse(&ppm, good[i].text,
                                             strlen(good[i].text)),
                         PHOTA_OK);
        assert_int_equal(ppm, good[i].ppm);
        phota_percent_format(buf, ppm);
        assert_string_equal(buf, good[i].back);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (phota_percent_parse(&ppm, bad[i], strlen(bad[i]))
            != PHOTA_INVALID)
        {
            fail_msg("\"%s\" was taken", bad[i]);
        }
    }

    phota_percent_format(buf, INT64_MIN);
    assert_string_equal(buf, "-922337203685477.5808%");
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(costs),
        cmocka_unit_test(rounding),
        cmocka_unit_test(bounds),
        cmocka_unit_test(random_prices),
        cmocka_unit_test(plans),
        cmocka_unit_test(outputs),
        cmocka_unit_test(percentages)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
