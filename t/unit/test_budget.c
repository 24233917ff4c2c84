
/*
 * budgets: what fits, what a counter holds after random posts, and which rows
 * stay.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "phota_budget.h"


#define TEST(name)                                                            \
    cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)

#define TEST_IDS      3
#define TEST_WINDOWS  120


static char             test_dir[64];
static MDB_txn         *test_txn;
static phota_store_t    test_store;
static phota_error_t    test_err;
static phota_budgets_t  test_budgets;


static int
test_setup(void **state)
{
    (void) state;

    memcpy(test_dir, "/tmp/phota-budget.XXXXXX",
           sizeof("/tmp/phota-budget.XXXXXX"));

    if (mkdtemp(test_dir) == NULL) {
        return -1;
    }

    if (phota_store_open(&test_store, test_dir, "books", PHOTA_BOOKS_SCHEMA,
                         (size_t) 64 << 20, PHOTA_STORE_CREATE, &test_err)
        != PHOTA_OK)
    {
        return -1;
    }

    if (phota_budgets_open(&test_budgets, &test_store, &test_err)
        != PHOTA_OK)
    {
        return -1;
    }

    return phota_store_begin(&test_store, 1, &test_txn, &test_err);
}


static int
test_teardown(void **state)
{
    size_t  i;
    char    path[256];

    static const char  *names[] = {
        "books/data.mdb", "books/lock.mdb", "books", ""
    };

    (void) state;

    phota_store_abort(test_txn);
    phota_store_close(&test_store);

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void) snprintf(path, sizeof(path), "%s/%s", test_dir, names[i]);
        (void) remove(path);
    }

    return 0;
}


static void
test_post(uint32_t tenant, uint32_t token, uint32_t day, uint32_t month,
    int64_t spent, int64_t held, int fresh)
{
    phota_windows_t  windows = { .day = day, .month = month };

    assert_int_equal(phota_budget_post(&test_budgets, test_txn, tenant, token,
                                       &windows, spent, held,
                                       fresh ? PHOTA_BUDGET_FRESH : 0,
                                       &test_err),
                     PHOTA_OK);
}


static phota_spending_t
test_get(uint32_t tenant, uint32_t token, unsigned period, uint32_t window)
{
    phota_spending_t  spending;

    assert_int_equal(phota_budget_get(&test_budgets, test_txn, tenant, token,
                                      period, window, &spending, &test_err),
                     PHOTA_OK);
    return spending;
}


static int
test_count(void *ctx, const phota_budget_row_t *row)
{
    (void) row;

    ++*(unsigned *) ctx;

    return PHOTA_OK;
}


static unsigned
test_rows(void)
{
    unsigned  n;

    n = 0;
    assert_int_equal(phota_budget_each(&test_budgets, test_txn, test_count,
                                       &n, &test_err),
                     PHOTA_OK);
    return n;
}


static void
test_counters(void **state)
{
    (void) state;

    assert_int_equal(test_get(1, 0, PHOTA_BUDGET_DAY,
                              100).spent, 0);

    test_post(1, 7, 100, 3, 0, 150000, 1);
    assert_int_equal(test_rows(), 6);

    test_post(1, 7, 100, 3, 120000, -150000, 0);

    assert_int_equal(test_get(1, 0, PHOTA_BUDGET_DAY,
                              100).spent, 120000);
    assert_int_equal(test_get(1, 7, PHOTA_BUDGET_MONTH,
                              3).spent, 120000);
    assert_int_equal(test_get(1, 7, PHOTA_BUDGET_TOTAL,
                              0).spent, 120000);
    assert_int_equal(test_get(1, 0, PHOTA_BUDGET_TOTAL,
                              0).held, 0);

    /* a number below zero is one */

    test_post(1, 7, 100, 3, -200000, 0, 0);
    assert_int_equal(test_get(1, 0, PHOTA_BUDGET_TOTAL,
                              0).spent, -80000);

    /* no token, nobody, nothing */

    test_post(2, 0, 100, 3, 1, 0, 1);
    assert_int_equal(test_rows(), 9);
    test_post(0, 0, 100, 3, 1, 0, 1);
    test_post(3, 3, 100, 3, 0, 0, 0);
    assert_int_equal(test_rows(), 9);

    /* what was free at first, and isn't later, counts in its day and month */

    test_post(3, 3, 100, 3, 0, 0, 1);
    test_post(3, 3, 100, 3, 5, 0, 0);
    assert_int_equal(test_get(3, 0, PHOTA_BUDGET_DAY,
                              100).spent, 5);
    assert_int_equal(test_get(3, 3, PHOTA_BUDGET_MONTH,
                              3).spent, 5);
}


static void
test_check(void **state)
{
    phota_limits_t    tenant, token;
    phota_windows_t   windows;
    phota_shortage_t  shortage;

    (void) state;

    windows.day = 100;
    windows.month = 3;

    tenant.day = 1000;
    tenant.month = 500;
    tenant.total = -1;
    token.day = -1;
    token.month = -1;
    token.total = 400;

#define check(amount)                                                         \
    phota_budget_check(&test_budgets, test_txn, 1, &tenant, 7, &token,        \
                       &windows, amount, &shortage, &test_err)

    assert_int_equal(check(400), PHOTA_OK);
    assert_int_equal(check(401), PHOTA_EXCEEDED);
    assert_int_equal(shortage.scope, PHOTA_BUDGET_TOKEN);
    assert_int_equal(shortage.period, PHOTA_BUDGET_TOTAL);
    assert_int_equal(shortage.limit, 400);
    assert_int_equal(shortage.left, 400);

    test_post(1, 7, 100, 3, 50, 250, 1);
    assert_int_equal(check(100), PHOTA_OK);
    assert_int_equal(check(501), PHOTA_EXCEEDED);
    assert_int_equal(shortage.left, 100);

    /* another token of it, on another day: only the month knows of it */

    test_post(1, 8, 101, 3, 150, 0, 1);
    assert_int_equal(check(100), PHOTA_EXCEEDED);
    assert_int_equal(shortage.scope, PHOTA_BUDGET_TENANT);
    assert_int_equal(shortage.period, PHOTA_BUDGET_MONTH);
    assert_int_equal(shortage.left, 50);

    /* overdrawn leaves nothing, and nothing always fits */

    test_post(1, 7, 100, 3, 1000, 0, 1);
    assert_int_equal(check(1), PHOTA_EXCEEDED);
    assert_int_equal(shortage.left, 0);
    assert_int_equal(shortage.period, PHOTA_BUDGET_TOTAL);
    assert_int_equal(check(0), PHOTA_OK);
    assert_int_equal(check(-1), PHOTA_INVALID);

    tenant.day = tenant.month = -1;
    token.total = -1;
    assert_int_equal(check(INT64_MAX), PHOTA_OK);
    assert_int_equal(phota_budget_check(&test_budgets, test_txn, 1, NULL, 7,
                                        NULL, &windows, 5, &shortage,
                                        &test_err),
                     PHOTA_OK);
}


static void
test_extremes(void **state)
{
    phota_limits_t    limits;
    phota_windows_t   windows;
    phota_shortage_t  shortage;

    (void) state;

    windows.day = 1;
    windows.month = 1;
    limits.day = limits.month = limits.total = INT64_MAX;

    /* far below zero, then up to the brim */

    test_post(1, 0, 1, 1, INT64_MIN, INT64_MIN, 1);
    assert_int_equal(phota_budget_check(&test_budgets, test_txn, 1, &limits,
                                        0, NULL, &windows, INT64_MAX,
                                        &shortage, &test_err),
                     PHOTA_OK);

    test_post(2, 0, 1, 1, INT64_MAX, INT64_MAX, 1);
    assert_int_equal(phota_budget_check(&test_budgets, test_txn, 2, &limits,
                                        0, NULL, &windows, 1, &shortage,
                                        &test_err),
                     PHOTA_EXCEEDED);
    assert_int_equal(shortage.left, 0);

    assert_int_equal(phota_budget_post(&test_budgets, test_txn, 2, 0,
                                       &windows, 1, 0, 1, &test_err),
                     PHOTA_ERROR);
    assert_non_null(strstr(test_err.text, "overflows"));
}


static void
test_trim(void **state)
{
    uint32_t  day;

    (void) state;

    for (day = 1000; day <= 1100; day++) {
        test_post(1, 0, day, day / 30, 1, 0, 1);
        test_post(2, 0, day, day / 30, 1, 0, 1);
    }

    /* 41 days, 4 months and the total, of each */

    assert_int_equal(test_get(1, 0, PHOTA_BUDGET_DAY,
                              1060).spent, 1);
    assert_int_equal(test_get(1, 0, PHOTA_BUDGET_DAY,
                              1059).spent, 0);
    assert_int_equal(test_get(2, 0, PHOTA_BUDGET_TOTAL,
                              0).spent, 101);
    assert_int_equal(test_rows(), 2 * (41 + 4 + 1));

    /* what has gone stays gone, but the total */

    test_post(1, 0, 1059, 1, 5, 0, 0);
    assert_int_equal(test_get(1, 0, PHOTA_BUDGET_DAY,
                              1059).spent, 0);
    assert_int_equal(test_get(1, 0, PHOTA_BUDGET_TOTAL,
                              0).spent, 106);
    assert_int_equal(test_rows(), 2 * (41 + 4 + 1));

    /* a clock that is set back removes nothing */

    test_post(1, 0, 900, 2, 1, 0, 1);
    assert_int_equal(test_rows(), 2 * (41 + 4 + 1) + 2);

    /* a token's rows go with its tenant's */

    test_post(2, 7, 1100, 36, 1, 0, 1);
    assert_int_equal(test_get(2, 7, PHOTA_BUDGET_DAY, 1100).spent, 1);
    test_post(2, 0, 1141, 39, 1, 0, 1);
    assert_int_equal(test_get(2, 7, PHOTA_BUDGET_DAY, 1100).spent, 0);
    assert_int_equal(test_get(2, 7, PHOTA_BUDGET_MONTH, 36).spent, 1);
    assert_int_equal(test_get(2, 7, PHOTA_BUDGET_TOTAL, 0).spent, 1);
}


static void
test_random(void **state)
{
    int               i, spent, held;
    uint32_t          id, window;
    phota_spending_t  got;

    static int64_t    sums[TEST_IDS][TEST_WINDOWS][2];

    (void) state;

    srand(11);

    for (i = 0; i < 20000; i++) {
        id = (uint32_t) (rand() % TEST_IDS);
        window = (uint32_t) (i * (TEST_WINDOWS - 1) / 20000);
        spent = rand() % 2001 - 1000;
        held = rand() % 2001 - 1000;

        test_post(id + 1, 0, window, 0, spent, held, 1);

        sums[id][window][0] += spent;
        sums[id][window][1] += held;
    }

    for (id = 0; id < TEST_IDS; id++) {
        for (window = TEST_WINDOWS - 42; window < TEST_WINDOWS; window++) {
            got = test_get(id + 1, 0, PHOTA_BUDGET_DAY,
                           window);
            assert_int_equal(got.spent, sums[id][window][0]);
            assert_int_equal(got.held, sums[id][window][1]);
        }
    }
}


static void
test_damaged(void **state)
{
    MDB_val           key, value;
    unsigned          n;
    phota_spending_t  spending;

    (void) state;

    n = 0;
    key.mv_data = "\0\0\0\001\374\377\377\377\377\0\0\0\0";
    key.mv_size = 13;
    value.mv_data = "\001short";
    value.mv_size = 6;

    assert_int_equal(mdb_put(test_txn, test_budgets.budgets, &key, &value, 0),
                     0);
    assert_int_equal(phota_budget_get(&test_budgets, test_txn, 1, 0,
                                      PHOTA_BUDGET_TOTAL, 0, &spending,
                                      &test_err),
                     PHOTA_ERROR);
    assert_non_null(strstr(test_err.text, "budgets"));
    assert_int_equal(phota_budget_each(&test_budgets, test_txn, test_count,
                                       &n, &test_err),
                     PHOTA_ERROR);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_counters),
        TEST(test_check),
        TEST(test_extremes),
        TEST(test_trim),
        TEST(test_random),
        TEST(test_damaged)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
