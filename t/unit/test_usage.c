
/*
 * usage: free hits, their entries, a flood of tags, and sums by all that they
 * are listed by.
 */


#include "books.h"


#define TEST_ROWS  700


typedef struct {
    phota_usage_t   rows[TEST_ROWS];
    unsigned        n;
} test_rows_t;


static int
test_hits(uint64_t time, uint32_t tenant, uint32_t token, uint8_t operation,
    const char *tag, uint64_t hits, int64_t saved)
{
    MDB_txn  *txn;

    txn = test_begin(1);

    return test_wrote(txn, phota_ledger_hit(&test_ledger, txn, time, tenant,
                                            token, operation, tag, hits,
                                            saved, &test_err));
}


static int
test_tally(unsigned limit)
{
    int       more;
    MDB_txn  *txn;

    txn = test_begin(1);
    assert_int_equal(phota_ledger_tally(&test_ledger, txn, limit, &more,
                                        &test_err),
                     PHOTA_OK);
    test_commit(txn);

    return more;
}


static int
test_row(void *ctx, const phota_usage_t *usage)
{
    test_rows_t  *rows;

    rows = ctx;

    assert_true(rows->n < TEST_ROWS);
    rows->rows[rows->n++] = *usage;

    return PHOTA_OK;
}


/* of each tenant the same rows by themselves, and of a stranger none */

static void
test_usage_of(uint64_t from, uint64_t to, unsigned by,
    const test_rows_t *all)
{
    unsigned      i, n;
    uint32_t      tenant;
    test_rows_t  *rows;

    rows = calloc(1, sizeof(test_rows_t));
    assert_non_null(rows);

    for (tenant = 1; tenant < 100; tenant++) {
        rows->n = 0;

        assert_int_equal(phota_ledger_usage_of(&test_ledger, tenant, from, to,
                                               by, test_row, rows,
                                               &test_err),
                         PHOTA_OK);

        for (i = 0, n = 0; i < all->n; i++) {
            if (all->rows[i].tenant == tenant) {
                assert_true(n < rows->n);
                assert_memory_equal(&rows->rows[n], &all->rows[i],
                                    sizeof(phota_usage_t));
                n++;
            }
        }

        assert_int_equal(rows->n, n);
    }

    free(rows);
}


static test_rows_t *
test_usage(uint64_t from, uint64_t to, unsigned by)
{
    test_rows_t  *rows;

    rows = calloc(1, sizeof(test_rows_t));
    assert_non_null(rows);

    assert_int_equal(phota_ledger_usage(&test_ledger, from, to, by, test_row,
                                        rows, &test_err),
                     PHOTA_OK);

    test_usage_of(from, to, by, rows);

    return rows;
}


static int64_t
test_calls(uint64_t from, uint64_t to, unsigned by)
{
    int64_t       calls;
    unsigned      i;
    test_rows_t  *rows;

    calls = 0;
    rows = test_usage(from, to, by);

    for (i = 0; i < rows->n; i++) {
        calls += rows->rows[i].sum.calls;
    }

    free(rows);

    return calls;
}


static phota_rollup_t
test_detail(uint32_t day, uint32_t tenant, uint32_t token, uint8_t operation,
    const char *tag)
{
    size_t                len;
    u_char                key[PHOTA_DETAIL_KEY_MAX];
    MDB_txn              *txn;
    phota_rollup_t        row, all;
    phota_rollup_name_t   name;

    memset(&name, 0, sizeof(phota_rollup_name_t));

    name.day = day;
    name.tenant = tenant;
    name.token = token;
    name.operation = operation;
    memcpy(name.tag, tag, strlen(tag));

    len = phota_rollup_key(key, &name);

    txn = test_begin(0);
    assert_int_equal(phota_rollup_get(&test_ledger, txn, key, len, &row,
                                      &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_rollup_get(&test_ledger, txn, key,
                                      PHOTA_ROLLUP_KEY, &all, &test_err),
                     PHOTA_OK);
    phota_store_abort(txn);

    assert_true(all.sum.calls >= row.sum.calls);
    assert_true(all.loose_hits >= row.loose_hits);

    return row;
}


static unsigned
test_loose(void)
{
    MDB_txn   *txn;
    MDB_stat   stat;

    txn = test_begin(0);
    assert_int_equal(mdb_stat(txn, test_ledger.loose, &stat), 0);
    phota_store_abort(txn);

    return (unsigned) stat.ms_entries;
}


/* counted at once, in the chain later */

static void
test_free_hits(void **state)
{
    uint32_t        day;
    uint64_t        now;
    phota_entry_t   entry;
    phota_rollup_t  row;

    (void) state;

    now = phota_now();
    day = (uint32_t) (now / TEST_DAY);

    assert_int_equal(test_hits(now, 1, 7, 0, "a", 3, 360000), PHOTA_OK);
    assert_int_equal(test_hits(now, 1, 7, 0, "a", 1, 120000), PHOTA_OK);
    assert_int_equal(test_hits(now, 1, 8, 0, "a", 1, 0), PHOTA_OK);
    assert_int_equal(test_hits(now, 1, 7, 0, "", 0, 0), PHOTA_OK);
    test_verify_ok(0);

    row = test_detail(day, 1, 7, 0, "a");
    assert_true(row.sum.calls == 4 && row.sum.hits == 4);
    assert_true(row.sum.outputs == 0 && row.sum.cost == 0);
    assert_true(row.sum.saved == 480000);
    assert_true(row.loose_hits == 4 && row.loose_saved == 480000);
    assert_int_equal(test_loose(), 2);

    assert_int_equal(test_tally(1), 1);
    test_verify_ok(1);
    assert_int_equal(test_tally(1), 0);
    assert_int_equal(test_tally(10), 0);
    assert_int_equal(test_loose(), 0);
    test_verify_ok(2);

    row = test_detail(day, 1, 7, 0, "a");
    assert_true(row.sum.calls == 4 && row.sum.saved == 480000);
    assert_true(row.loose_hits == 0 && row.loose_saved == 0);

    test_entry(1, &entry);
    assert_int_equal(entry.type, PHOTA_ENTRY_HITS);
    assert_int_equal(entry.first, 0);
    assert_int_equal(entry.day, day);
    assert_int_equal(entry.charge.tenant, 1);
    assert_int_equal(entry.charge.token, 7);
    assert_string_equal(entry.charge.tag, "a");
    assert_true(entry.delta.calls == 4 && entry.delta.hits == 4);
    assert_true(entry.delta.saved == 480000 && entry.delta.price == 0);

    /* later ones have an entry of their own */

    assert_int_equal(test_hits(now, 1, 7, 0, "a", 5, 1), PHOTA_OK);
    assert_int_equal(test_tally(10), 0);
    test_entry(3, &entry);
    assert_true(entry.delta.calls == 5 && entry.delta.saved == 1);
    test_verify_ok(3);
}


static void
test_hits_invalid(void **state)
{
    char      tag[PHOTA_NAME_MAX + 2];
    uint64_t  now;

    (void) state;

    now = phota_now();

    memset(tag, 'x', sizeof(tag));
    tag[PHOTA_NAME_MAX + 1] = '\0';
    assert_int_equal(test_hits(now, 1, 7, 0, tag, 1, 1), PHOTA_INVALID);
    tag[PHOTA_NAME_MAX] = '\0';
    assert_int_equal(test_hits(now, 1, 7, 0, tag, 1, 1), PHOTA_OK);

    assert_int_equal(test_hits(now, 1, 7, 0, "", 1, -1), PHOTA_INVALID);
    assert_int_equal(test_hits(now, 1, 7, 0, "", 0, 1), PHOTA_INVALID);
    assert_int_equal(test_hits(now, 1, 7, 0, "", UINT64_MAX, 1),
                     PHOTA_INVALID);
    assert_int_equal(test_hits(now, 1, 7, 0, "", 1, INT64_MAX),
                     PHOTA_INVALID);
    assert_int_equal(test_hits(UINT64_MAX, 1, 7, 0, "", 1, 1),
                     PHOTA_INVALID);

    assert_int_equal(test_tally(10), 0);
    test_verify_ok(1);
}


/* tags are the client's: not more rows than are of use */

static void
test_flood(void **state)
{
    char            tag[16];
    unsigned        i;
    uint64_t        now;
    test_rows_t    *rows;
    phota_rollup_t  row;

    (void) state;

    now = phota_now();

    for (i = 0; i < 600; i++) {
        (void) snprintf(tag, sizeof(tag), "t%u", i);
        assert_int_equal(test_hits(now, 1, 7, 0, tag, 1, 120000), PHOTA_OK);
    }

    /* known ones go on, another tenant has its own, so has another day */

    assert_int_equal(test_hits(now, 1, 7, 0, "t3", 1, 120000), PHOTA_OK);
    assert_int_equal(test_hits(now, 2, 7, 0, "new", 1, 120000), PHOTA_OK);
    assert_int_equal(test_hits(now, 1, 7, 0, "new", 1, 120000), PHOTA_OK);
    assert_int_equal(test_hits(now + TEST_DAY, 1, 7, 0, "new", 1, 120000),
                     PHOTA_OK);

    row = test_detail((uint32_t) (now / TEST_DAY), 1, 7, 0, PHOTA_TAG_OTHER);
    assert_true(row.sum.calls == 101);
    row = test_detail((uint32_t) (now / TEST_DAY), 1, 7, 0, "t3");
    assert_true(row.sum.calls == 2);

    rows = test_usage(0, 0, PHOTA_USAGE_TAG);
    assert_int_equal(rows->n, 503);
    free(rows);

    assert_true(test_calls(0, 0, PHOTA_USAGE_TAG) == 604);
    assert_true(test_calls(0, 0, PHOTA_USAGE_OPERATION) == 604);

    while (test_tally(64)) { /* void */ }

    test_verify_ok(503);
}


/* hits of a day that has closed since, and of one that is archived */

static void
test_late_tally(void **state)
{
    uint32_t        day;
    uint64_t        now;
    MDB_txn        *txn;
    phota_chain_t   chain;
    phota_entry_t   entry;
    phota_rollup_t  row;

    (void) state;

    now = phota_now();
    day = (uint32_t) (now / TEST_DAY);

    assert_int_equal(test_hits(now, 1, 7, 0, "a", 3, 360000), PHOTA_OK);
    test_clock = 3 * (int64_t) TEST_DAY;
    assert_int_equal(test_tally(10), 0);
    test_entry(1, &entry);
    assert_int_equal(entry.day, day);

    /* told too late: counts today, on which there are others */

    assert_int_equal(test_hits(now, 1, 7, 0, "a", 2, 240000), PHOTA_OK);
    row = test_detail(day + 3, 1, 7, 0, "a");
    assert_true(row.sum.calls == 2 && row.loose_hits == 2);
    assert_int_equal(test_hits(now + 4 * TEST_DAY, 1, 7, 0, "a", 4, 480000),
                     PHOTA_OK);

    txn = test_begin(1);
    assert_int_equal(phota_chain_read(&test_ledger, txn, &chain), PHOTA_OK);
    chain.closed = day + 4;
    assert_int_equal(phota_chain_write(&test_ledger, txn, &chain), 0);
    test_commit(txn);

    assert_int_equal(test_tally(1), 1);
    assert_int_equal(test_loose(), 1);
    test_entry(2, &entry);
    assert_int_equal(entry.day, day + 4);
    assert_true(entry.delta.hits == 2 && entry.delta.saved == 240000);

    row = test_detail(day + 3, 1, 7, 0, "a");
    assert_true(phota_sum_zero(&row.sum) && row.loose_hits == 0);
    row = test_detail(day + 4, 1, 7, 0, "a");
    assert_true(row.sum.calls == 6 && row.loose_hits == 4);

    assert_int_equal(test_tally(1), 0);
    row = test_detail(day + 4, 1, 7, 0, "a");
    assert_true(row.sum.calls == 6 && row.loose_hits == 0);
    assert_true(row.sum.saved == 720000);
    assert_true(test_calls(0, 0, PHOTA_USAGE_DAY) == 9);
}


static void
test_days(void **state)
{
    uint64_t  day;

    (void) state;

    /* days to come are open: there may be hits under a clock that is ahead */

    day = 30000 * TEST_DAY;

    assert_int_equal(test_hits(day, 1, 7, 0, "", 1, 5), PHOTA_OK);
    assert_int_equal(test_hits(day + TEST_DAY - 1, 1, 7, 0, "", 10, 5),
                     PHOTA_OK);
    assert_int_equal(test_hits(day + TEST_DAY, 2, 7, 1, "", 100, 5),
                     PHOTA_OK);

    assert_true(test_calls(day, day + TEST_DAY, PHOTA_USAGE_OPERATION) == 11);
    assert_true(test_calls(day + 5, day + TEST_DAY + 1, PHOTA_USAGE_TAG)
                == 111);
    assert_true(test_calls(day + TEST_DAY, 0, PHOTA_USAGE_TOKEN) == 100);
    assert_true(test_calls(day + 2 * TEST_DAY, 0, PHOTA_USAGE_DAY) == 0);
    assert_true(test_calls(UINT64_MAX, 0, PHOTA_USAGE_DAY) == 0);

    assert_int_equal(phota_ledger_usage(&test_ledger, 0, 0, 99, test_row,
                                        NULL, &test_err),
                     PHOTA_INVALID);
}


static int
test_compare(const phota_usage_t *a, const phota_usage_t *b)
{
    if (a->tenant != b->tenant) {
        return (a->tenant < b->tenant) ? -1 : 1;
    }

    if (a->operation != b->operation) {
        return (int) a->operation - (int) b->operation;
    }

    if (a->day != b->day) {
        return (a->day < b->day) ? -1 : 1;
    }

    if (a->token != b->token) {
        return (a->token < b->token) ? -1 : 1;
    }

    return strcmp(a->tag, b->tag);
}


/* the rows come in their order, say only what was asked, and add up */

static void
test_orders(void **state)
{
    unsigned      i, by;
    test_rows_t  *rows;

    static const unsigned  n[] = { 12, 36, 24, 36 };

    (void) state;

    srand(7);

    for (i = 0; i < 2000; i++) {
        assert_int_equal(test_hits(phota_now()
                                   + (uint64_t) (rand() % 3) * TEST_DAY,
                                   1 + 300 * (uint32_t) (rand() % 3),
                                   7 + 1000 * (uint32_t) (rand() % 2),
                                   (uint8_t) (rand() % 4),
                                   &"bb\0b\0"[rand() % 3], 1, 1),
                         PHOTA_OK);
    }

    for (by = PHOTA_USAGE_OPERATION; by <= PHOTA_USAGE_TAG; by++) {

        rows = test_usage(0, 0, by);
        assert_int_equal(rows->n, n[by]);

        for (i = 0; i < rows->n; i++) {
            assert_true(i == 0 || test_compare(&rows->rows[i - 1],
                                               &rows->rows[i]) < 0);
            assert_true((rows->rows[i].day != 0) == (by == PHOTA_USAGE_DAY));
            assert_true((rows->rows[i].token != 0)
                        == (by == PHOTA_USAGE_TOKEN));
        }

        free(rows);
        assert_true(test_calls(0, 0, by) == 2000);
    }

    while (test_tally(100)) { /* void */ }

    test_verify_ok(3 * 3 * 2 * 4 * 3);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_free_hits),
        TEST(test_hits_invalid),
        TEST(test_flood),
        TEST(test_late_tally),
        TEST(test_days),
        TEST(test_orders)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
