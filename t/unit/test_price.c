
/*
 * Tests for prices: which of many rows counts for a call at a moment, what is
 * shipped, lists that are added whole or not at all, what may only be an
 * estimate, and that damaged rows are refused.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "phota_price.h"


#define MAP       ((size_t) 64 << 20)
#define EDIT      (&phota_operations[PHOTA_OP_EDIT])
#define TRAINING  (&phota_operations[PHOTA_OP_TRAINING])
#define REMIX     (&phota_operations[PHOTA_OP_REMIX])
#define PHOTIO    (&phota_operations[PHOTA_OP_PHOTIO_REMIX])


static char            dir[64];
static phota_error_t   err;
static phota_store_t   store;
static phota_prices_t  prices;


static int
setup(void **state)
{
    (void) state;

    (void) snprintf(dir, sizeof(dir), "/tmp/phota_price.XXXXXX");

    if (mkdtemp(dir) == NULL
        || phota_store_open(&store, dir, "books", PHOTA_BOOKS_SCHEMA, MAP,
                            PHOTA_STORE_CREATE, &err) != PHOTA_OK
        || phota_prices_open(&prices, &store, &err) != PHOTA_OK)
    {
        return -1;
    }

    return 0;
}


static int
teardown(void **state)
{
    unsigned  i;
    char      name[128];

    static const char  *names[] = {
        "/books/data.mdb", "/books/lock.mdb", "/books", ""
    };

    (void) state;

    phota_store_close(&store);

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void) snprintf(name, sizeof(name), "%s%s", dir, names[i]);
        (void) remove(name);
    }

    return 0;
}


static phota_price_list_t *
load(void)
{
    phota_price_list_t  *list;

    assert_int_equal(phota_price_list_load(&prices, &list, &err), PHOTA_OK);

    return list;
}


static void
fill(phota_price_t *price, const char *operation, const char *model,
    const char *resolution, uint32_t tenant, uint64_t from, int64_t base)
{
    memset(price, 0, sizeof(phota_price_t));

    (void) snprintf(price->provider, sizeof(price->provider), "phota");
    (void) snprintf(price->operation, sizeof(price->operation), "%s",
                    operation);
    (void) snprintf(price->model, sizeof(price->model), "%s", model);
    (void) snprintf(price->resolution, sizeof(price->resolution), "%s",
                    resolution);

    price->tenant = tenant;
    price->from = from;
    price->base = base;
    price->identity = base + 1;
}


static int
add(const char *operation, const char *model, const char *resolution,
    uint32_t tenant, uint64_t from, int64_t base)
{
    phota_price_t  price;

    fill(&price, operation, model, resolution, tenant, from, base);

    return phota_price_add(&prices, &price, 1, NULL, &err);
}


static void
shipped(void **state)
{
    uint64_t             n, now;
    phota_rate_t         rate;
    phota_price_list_t  *list;

    (void) state;

    assert_int_equal(phota_store_generation(&store, &n), PHOTA_OK);
    assert_int_equal(phota_price_ship(&prices, &err), PHOTA_OK);
    assert_int_equal(phota_price_ship(&prices, &err), PHOTA_DECLINED);
    assert_int_equal(phota_store_generation(&store, &now), PHOTA_OK);
    assert_int_equal(now, n + 1);

    list = load();

    assert_int_equal(phota_price_find(list, &phota_operations[PHOTA_OP_REMIX],
                                      "", "", 1, 0, &rate), PHOTA_OK);
    assert_int_equal(rate.base, 120000);
    assert_int_equal(rate.identity, 150000);
    assert_int_equal(rate.version, 1);

    assert_int_equal(phota_price_find(list,
                                      &phota_operations[PHOTA_OP_ENHANCE],
                                      "", "", 1, phota_now(), &rate),
                     PHOTA_OK);
    assert_int_equal(rate.base, 120000);

    assert_int_equal(phota_price_find(list, &phota_operations[PHOTA_OP_EDIT],
                                      "", "", 1, phota_now(), &rate),
                     PHOTA_DECLINED);
    assert_int_equal(phota_price_find(list,
                                      &phota_operations[PHOTA_OP_GENERATE],
                                      "", "", 1, phota_now(), &rate),
                     PHOTA_DECLINED);

    assert_int_equal(phota_price_find(list, TRAINING, "", "", 1, 0, &rate),
                     PHOTA_OK);
    assert_int_equal(rate.base, 2900000);
    assert_int_equal(phota_price_find(list, TRAINING, "fast", "", 1, 0,
                                      &rate), PHOTA_OK);
    assert_int_equal(rate.base, 1490000);
    assert_int_equal(rate.identity, 1490000);
    assert_int_equal(phota_price_find(list, TRAINING, "slow", "", 1, 0,
                                      &rate), PHOTA_DECLINED);

    phota_price_list_destroy(list);
}


static void
precedence(void **state)
{
    unsigned             i;
    phota_rate_t         rate;
    phota_price_list_t  *list;

    static const struct {
        const char  *model, *resolution;
        uint32_t     tenant;
        uint64_t     from;
        int64_t      base;
    } rows[] = {
        { "", "", 0, 1000, 10 },
        { "", "", 0, 2000, 20 },
        { "", "", 0, 2000, 21 },            /* corrects the one before */
        { "", "", 0, 1500, 15 },            /* added late, effective early */
        { "nb2", "", 0, 1000, 30 },
        { "nb2", "4K", 0, 1000, 40 },
        { "", "4K", 0, 3000, 50 },
        { "other", "", 0, 1000, 60 },
        { "", "", 7, 4000, 70 },
        { "nb2", "4K", 8, 1000, 80 },
        { "", "4K", 8, 1000, 85 }
    };

    static const struct {
        const char  *model, *resolution;
        uint32_t     tenant;
        uint64_t     now;
        int64_t      base;                  /* 0: none */
    } calls[] = {
        { "x", "", 1, 999, 0 },
        { "x", "", 1, 1000, 10 },
        { "x", "", 1, 1499, 10 },
        { "x", "", 1, 1500, 15 },
        { "x", "", 1, 1999, 15 },
        { "x", "", 1, 2000, 21 },
        { "x", "1K", 1, 9000, 21 },
        { "", "", 1, 9000, 30 },            /* the operation's own model */
        { "nb2", "1K", 1, 9000, 30 },
        { "nb2", "4K", 1, 9000, 40 },
        { "", "4K", 1, 9000, 40 },
        { "x", "4K", 1, 2999, 21 },
        { "x", "4K", 1, 3000, 50 },
        { "other", "1K", 1, 9000, 60 },
        { "other", "4K", 1, 2999, 60 },
        { "other", "4K", 1, 3000, 50 },     /* as many names, but later */
        { "nb2", "4K", 7, 3999, 40 },
        { "nb2", "4K", 7, 4000, 70 },       /* a tenant's own, however vague */
        { "nb2", "4K", 8, 9000, 80 },
        { "x", "4K", 8, 9000, 85 },
        { "x", "1K", 8, 9000, 21 },
        { "nb", "", 1, 9000, 21 },
        { "nb22", "", 1, 9000, 21 }
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(add("edit", rows[i].model, rows[i].resolution,
                             rows[i].tenant, rows[i].from, rows[i].base),
                         PHOTA_OK);
    }

    assert_int_equal(add("remix", "", "", 0, 0, 1), PHOTA_OK);

    list = load();

    for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (phota_price_find(list, &phota_operations[PHOTA_OP_EDIT],
                             calls[i].model, calls[i].resolution,
                             calls[i].tenant, calls[i].now, &rate)
            != PHOTA_OK)
        {
            rate.base = 0;
        }

        if (rate.base != calls[i].base) {
            fail_msg("call %u: %lld, not %lld", i, (long long) rate.base,
                     (long long) calls[i].base);
        }

        if (rate.base != 0) {
            assert_int_equal(rate.identity, rate.base + 1);
        }
    }

    phota_price_list_destroy(list);
}


static void
versions(void **state)
{
    phota_price_t  price;

    (void) state;

    assert_int_equal(phota_price_ship(&prices, &err), PHOTA_OK);

    fill(&price, "edit", "", "", 0, 0, 100000);
    assert_int_equal(phota_price_add(&prices, &price, 1, NULL, &err), PHOTA_OK);
    assert_int_equal(price.version, 2);
    assert_int_equal(phota_price_add(&prices, &price, 1, NULL, &err), PHOTA_OK);
    assert_int_equal(price.version, 3);
}


/* a new price counts against the shipped one, though it names less */

static void
replaced(void **state)
{
    phota_rate_t         rate;
    phota_price_t        price;
    phota_price_list_t  *list;

    (void) state;

    assert_int_equal(phota_price_ship(&prices, &err), PHOTA_OK);

    fill(&price, "remix", "", "", 0, 1000, 130000);
    assert_int_equal(phota_price_add(&prices, &price, 1, NULL, &err), PHOTA_OK);
    assert_string_equal(price.model, "nb2");
    assert_string_equal(price.resolution, "2K");

    fill(&price, "edit", "", "", 0, 1000, 100000);
    assert_int_equal(phota_price_add(&prices, &price, 1, NULL, &err), PHOTA_OK);
    assert_string_equal(price.model, "");
    assert_string_equal(price.resolution, "");

    list = load();

    assert_int_equal(phota_price_find(list, &phota_operations[PHOTA_OP_REMIX],
                                      "", "", 1, 999, &rate), PHOTA_OK);
    assert_int_equal(rate.base, 120000);
    assert_int_equal(phota_price_find(list, &phota_operations[PHOTA_OP_REMIX],
                                      "", "", 1, 1000, &rate), PHOTA_OK);
    assert_int_equal(rate.base, 130000);

    phota_price_list_destroy(list);
}


static void
refused(void **state)
{
    phota_price_t  price;

    (void) state;

    assert_int_equal(add("edti", "", "", 0, 0, 1), PHOTA_INVALID);
    assert_int_equal(add("", "", "", 0, 0, 1), PHOTA_INVALID);
    assert_int_equal(add("remix", "other", "", 0, 0, 1), PHOTA_INVALID);
    assert_int_equal(add("remix", "", "4K", 0, 0, 1), PHOTA_INVALID);
    assert_int_equal(add("edit", "a b", "", 0, 0, 1), PHOTA_INVALID);
    assert_int_equal(add("edit", "", "\n", 0, 0, 1), PHOTA_INVALID);
    assert_int_equal(add("edit", "", "", 0, 0, -1), PHOTA_INVALID);
    assert_int_equal(add("edit", "", "", 0, 0, 1000000000001),
                     PHOTA_INVALID);
    assert_int_equal(add("edit", "", "", 0, 0, 0), PHOTA_OK);

    fill(&price, "edit", "", "", 0, 0, 1);
    price.identity = -1;
    assert_int_equal(phota_price_add(&prices, &price, 1, NULL, &err),
                     PHOTA_INVALID);
    price.identity = price.base - 1;
    assert_int_equal(phota_price_add(&prices, &price, 1, NULL, &err),
                     PHOTA_INVALID);
    assert_non_null(strstr(err.text, "no less"));

    fill(&price, "edit", "", "", 0, 0, 1);
    memset(price.model, 'm', sizeof(price.model));
    assert_int_equal(phota_price_add(&prices, &price, 1, NULL, &err),
                     PHOTA_INVALID);

    fill(&price, "edit", "", "", 0, 0, 1);
    price.provider[0] = 'P';
    assert_int_equal(phota_price_add(&prices, &price, 1, NULL, &err),
                     PHOTA_INVALID);
}


static int
tally(void *ctx, const phota_price_t *price)
{
    unsigned  *n = ctx;

    (void) price;
    (*n)++;

    return PHOTA_OK;
}


/* all rows under one version, or none of them */

static void
lists(void **state)
{
    size_t         bad;
    unsigned       n;
    uint64_t       one, two;
    phota_price_t  list[3];

    (void) state;

    assert_int_equal(phota_price_ship(&prices, &err), PHOTA_OK);
    assert_int_equal(phota_store_generation(&store, &one), PHOTA_OK);

    fill(&list[0], "edit", "", "1K", 0, 0, 1);
    fill(&list[1], "edit", "", "2K", 0, 0, 2);
    fill(&list[2], "nothing", "", "4K", 0, 0, 3);

    bad = 9;
    assert_int_equal(phota_price_add(&prices, list, 3, &bad, &err),
                     PHOTA_INVALID);
    assert_int_equal(bad, 2);
    assert_non_null(strstr(err.text, "nothing"));

    n = 0;
    assert_int_equal(phota_price_each(&prices, tally, &n, &err), PHOTA_OK);
    assert_int_equal(n, 4);
    assert_int_equal(phota_store_generation(&store, &two), PHOTA_OK);
    assert_true(one == two);

    fill(&list[2], "edit", "", "4K", 0, 0, 3);
    assert_int_equal(phota_price_add(&prices, list, 3, &bad, &err),
                     PHOTA_OK);
    assert_int_equal(list[0].version, 2);
    assert_int_equal(list[2].version, 2);

    n = 0;
    assert_int_equal(phota_price_each(&prices, tally, &n, &err), PHOTA_OK);
    assert_int_equal(n, 7);
    assert_int_equal(phota_store_generation(&store, &two), PHOTA_OK);
    assert_true(two == one + 1);
}


static void
metered(void **state)
{
    phota_rate_t         rate;
    phota_price_t        price;
    phota_price_list_t  *list;

    (void) state;

    assert_true(phota_operation_metered(EDIT, "gpt-image-2"));
    assert_false(phota_operation_metered(EDIT, "gpt-image-2x"));
    assert_false(phota_operation_metered(EDIT, "nb2"));
    assert_false(phota_operation_metered(EDIT, ""));
    assert_false(phota_operation_metered(&phota_operations[PHOTA_OP_REMIX],
                                         "gpt-image-2"));

    assert_int_equal(add("edit", "", "", 0, 0, 100000), PHOTA_OK);
    assert_int_equal(add("edit", "", "", 7, 0, 90000), PHOTA_OK);
    assert_int_equal(add("edit", "gpt-image-2", "", 0, 0, 200000),
                     PHOTA_INVALID);
    assert_non_null(strstr(err.text, "estimate"));

    list = load();
    assert_int_equal(phota_price_find(list, EDIT, "gpt-image-2", "", 7, 1,
                                      &rate), PHOTA_DECLINED);
    assert_int_equal(phota_price_find(list, EDIT, "flux-2", "", 7, 1, &rate),
                     PHOTA_OK);
    assert_int_equal(rate.flags, 0);
    phota_price_list_destroy(list);

    fill(&price, "edit", "gpt-image-2", "", 0, 0, 200000);
    price.flags = PHOTA_PRICE_ESTIMATED;
    assert_int_equal(phota_price_add(&prices, &price, 1, NULL, &err),
                     PHOTA_OK);

    list = load();
    assert_int_equal(phota_price_find(list, EDIT, "gpt-image-2", "4K", 7, 1,
                                      &rate), PHOTA_OK);
    assert_int_equal(rate.base, 200000);
    assert_int_equal(rate.flags, PHOTA_PRICE_ESTIMATED);
    phota_price_list_destroy(list);

    price.flags = 4;
    assert_int_equal(phota_price_add(&prices, &price, 1, NULL, &err),
                     PHOTA_INVALID);
}


/* a profile has a price by its tier, and no resolution */

static void
training(void **state)
{
    phota_rate_t         rate;
    phota_price_t        price;
    phota_price_list_t  *list;

    (void) state;

    assert_int_equal(add("training", "fast", "", 0, 0, 1), PHOTA_OK);
    assert_int_equal(add("training", "", "", 0, 0, 1), PHOTA_OK);
    assert_int_equal(add("training", "", "2K", 0, 0, 1), PHOTA_INVALID);
    assert_non_null(strstr(err.text, "no resolution"));

    /* what ends in ERROR may be given back, and nothing else ends so */

    fill(&price, "training", "fast", "", 0, 0, 1);
    price.flags = PHOTA_PRICE_REFUND;
    assert_int_equal(phota_price_add(&prices, &price, 1, NULL, &err),
                     PHOTA_OK);

    list = load();
    assert_int_equal(phota_price_find(list,
                                      &phota_operations[PHOTA_OP_TRAINING],
                                      "fast", "", 7, 1, &rate), PHOTA_OK);
    assert_int_equal(rate.flags, PHOTA_PRICE_REFUND);
    assert_int_equal(phota_price_find(list,
                                      &phota_operations[PHOTA_OP_TRAINING],
                                      "standard", "", 7, 1, &rate),
                     PHOTA_OK);
    assert_int_equal(rate.flags, 0);
    phota_price_list_destroy(list);

    fill(&price, "edit", "", "", 0, 0, 1);
    price.flags = PHOTA_PRICE_REFUND;
    assert_int_equal(phota_price_add(&prices, &price, 1, NULL, &err),
                     PHOTA_INVALID);
    assert_non_null(strstr(err.text, "training"));
}


/* a vendor's remix has nothing of another's, and none is shipped */

static void
vendors(void **state)
{
    phota_rate_t         rate;
    phota_price_t        price;
    phota_price_list_t  *list;

    (void) state;

    assert_int_equal(phota_price_ship(&prices, &err), PHOTA_OK);

    list = load();
    assert_int_equal(phota_price_find(list, PHOTIO, "", "", 0, UINT64_MAX,
                                      &rate), PHOTA_DECLINED);
    phota_price_list_destroy(list);

    fill(&price, "remix", "nb2", "", 0, 0, 7);
    (void) snprintf(price.provider, sizeof(price.provider), "photio");
    assert_int_equal(phota_price_add(&prices, &price, 1, NULL, &err),
                     PHOTA_INVALID);
    assert_non_null(strstr(err.text, "no model"));

    fill(&price, "remix", "", "2K", 0, 0, 7);
    (void) snprintf(price.provider, sizeof(price.provider), "photio");
    assert_int_equal(phota_price_add(&prices, &price, 1, NULL, &err),
                     PHOTA_INVALID);
    assert_non_null(strstr(err.text, "no resolution"));

    fill(&price, "photio-remix", "", "", 0, 0, 7);
    (void) snprintf(price.provider, sizeof(price.provider), "photio");
    assert_int_equal(phota_price_add(&prices, &price, 1, NULL, &err),
                     PHOTA_INVALID);
    assert_non_null(strstr(err.text, "no operation"));

    fill(&price, "remix", "", "", 0, 0, 7);
    (void) snprintf(price.provider, sizeof(price.provider), "photio");
    assert_int_equal(phota_price_add(&prices, &price, 1, NULL, &err),
                     PHOTA_OK);

    list = load();
    assert_int_equal(phota_price_find(list, PHOTIO, "", "", 0, UINT64_MAX,
                                      &rate), PHOTA_OK);
    assert_int_equal(rate.base, 7);
    assert_int_equal(phota_price_find(list, REMIX, "", "", 0, UINT64_MAX,
                                      &rate), PHOTA_OK);
    assert_int_equal(rate.base, 120000);
    phota_price_list_destroy(list);
}


static void
damaged(void **state)
{
    int                  rc;
    size_t               i, len;
    u_char               row[4], old[256], buf[257];
    MDB_txn             *txn;
    MDB_val              key, data;
    phota_price_t        price;
    phota_price_list_t  *list;

    (void) state;

    assert_int_equal(phota_price_ship(&prices, &err), PHOTA_OK);

    memcpy(row, "\0\0\0\4", 4);
    key.mv_data = row;
    key.mv_size = 4;

    assert_int_equal(phota_store_begin(&store, 0, &txn, &err), PHOTA_OK);
    assert_int_equal(mdb_get(txn, prices.prices, &key, &data), 0);
    len = data.mv_size;
    memcpy(old, data.mv_data, len);
    phota_store_abort(txn);

    for (i = 0; i <= 2 * len; i++) {
        memcpy(buf, old, len);
        buf[len] = 0;

        data.mv_data = buf;
        data.mv_size = (i < len) ? i : len + (i == len);

        if (i > len) {
            buf[i - len - 1] ^= 0xff;
        }

        assert_int_equal(phota_store_begin(&store, 1, &txn, &err), PHOTA_OK);
        assert_int_equal(mdb_put(txn, prices.prices, &key, &data, 0), 0);
        assert_int_equal(phota_store_commit(txn, &err), PHOTA_OK);

        list = NULL;
        rc = phota_price_list_load(&prices, &list, &err);

        if (i <= len + 1) {
            assert_int_equal(rc, PHOTA_ERROR);

            fill(&price, "edit", "", "", 0, 0, 1);
            assert_int_equal(phota_price_add(&prices, &price, 1, NULL,
                                             &err), PHOTA_ERROR);
        }

        phota_price_list_destroy(list);
    }
}


#define test(name)                                                            \
    cmocka_unit_test_setup_teardown(name, setup, teardown)


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        test(shipped),
        test(precedence),
        test(versions),
        test(replaced),
        test(refused),
        test(lists),
        test(metered),
        test(training),
        test(vendors),
        test(damaged)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
