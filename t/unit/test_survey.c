
/*
 * survey: what watchers are told is what usage says, on whatever day it was
 * booked and however often they look; what is open, and who reads.
 */


#include "books.h"

#include "phota_survey.h"


static phota_survey_kept_t  test_kept;
static phota_jobs_t         test_jobs;


static void
test_look(phota_survey_t *survey)
{
    memset(survey, 0, sizeof(phota_survey_t));

    assert_int_equal(phota_survey_books(survey, &test_kept, &test_ledger,
                                        &test_jobs, NULL, 0, &test_err),
                     PHOTA_OK);
}


static int
test_row(void *ctx, const phota_usage_t *usage)
{
    phota_survey_t  *survey = ctx;

    size_t               i;
    phota_survey_sum_t  *row;

    for (i = 0; i < survey->sums.n; i++) {
        row = &survey->sums.rows[i];

        if (row->tenant == usage->tenant
            && row->operation == usage->operation)
        {
            assert_memory_equal(&row->sum, &usage->sum, sizeof(phota_sum_t));

            row->sum.calls = -1;
            return PHOTA_OK;
        }
    }

    fail_msg("a sum is missing");

    return PHOTA_ERROR;
}


/* the same rows, each once */

static void
test_agrees(void)
{
    size_t          i;
    phota_survey_t  survey;

    test_look(&survey);

    assert_int_equal(phota_ledger_usage(&test_ledger, 0, 0,
                                        PHOTA_USAGE_OPERATION, test_row,
                                        &survey, &test_err),
                     PHOTA_OK);

    for (i = 0; i < survey.sums.n; i++) {
        assert_true(survey.sums.rows[i].sum.calls == -1);
    }

    phota_survey_free(&survey);
}


static void
test_buy(uint32_t tenant, uint8_t operation)
{
    phota_charge_t   charge;
    phota_outcome_t  outcome;

    test_charge(&charge, tenant, operation, 1);
    test_hold(&charge);
    test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 0);

    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);
}


static void
test_begins(void)
{
    memset(&test_kept, 0, sizeof(test_kept));

    assert_int_equal(phota_jobs_open(&test_jobs, &test_store, &test_err),
                     PHOTA_OK);
}


static void
test_sums(void **state)
{
    unsigned  day;

    (void) state;

    test_begins();
    test_agrees();

    for (day = 0; day < 12; day++) {
        test_buy(1 + day % 5, (uint8_t) (day % 3));
        test_agrees();

        test_buy(3, 1);
        test_agrees();

        /* past midnight, while yesterday is open, and further */

        test_clock += TEST_DAY / 2 + 1800000;
        test_buy(2, 0);
        test_agrees();
        test_clock += TEST_DAY / 2 - 1800000;
    }

    /* a look after weeks, and one of who has seen nothing yet */

    test_clock += 30 * (int64_t) TEST_DAY;
    test_buy(4, 2);
    test_agrees();

    free(test_kept.closed.rows);
    memset(&test_kept, 0, sizeof(test_kept));
    test_agrees();

    free(test_kept.closed.rows);
}


static void
test_open_ones(void **state)
{
    phota_charge_t   one, two;
    phota_survey_t   survey;
    phota_outcome_t  outcome;

    (void) state;

    test_begins();

    test_charge(&one, 1, 0, 1);
    test_hold(&one);
    test_clock += 5000;
    test_charge(&two, 2, 0, 2);
    test_hold(&two);

    test_look(&survey);
    assert_true(survey.open[PHOTA_SURVEY_HELD].count == 2);
    assert_true(survey.open[PHOTA_SURVEY_HELD].amount
                == one.held + two.held);
    assert_true(survey.open[PHOTA_SURVEY_HELD].oldest == one.time);
    assert_true(survey.open[PHOTA_SURVEY_UNKNOWN].count == 0);
    phota_survey_free(&survey);

    test_outcome(&outcome, PHOTA_STATE_UNKNOWN, 0, 0, 0);
    assert_int_equal(test_end(&one.id, &outcome, NULL), PHOTA_OK);

    test_look(&survey);
    assert_true(survey.open[PHOTA_SURVEY_HELD].count == 1);
    assert_true(survey.open[PHOTA_SURVEY_HELD].oldest == two.time);
    assert_true(survey.open[PHOTA_SURVEY_UNKNOWN].count == 1);
    assert_true(survey.open[PHOTA_SURVEY_UNKNOWN].amount == one.held);
    assert_true(survey.open[PHOTA_SURVEY_UNKNOWN].oldest == one.time);
    phota_survey_free(&survey);

    free(test_kept.closed.rows);
}


static void
test_readers(void **state)
{
    unsigned              i;
    MDB_txn              *txn;
    phota_survey_store_t  survey;

    (void) state;

    test_begins();

    phota_survey_store(&survey, &test_store);
    assert_int_equal(survey.readers, 0);
    assert_true(survey.lag == 0);
    assert_true(survey.used > 0 && survey.used <= survey.map);

    txn = test_begin(0);

    for (i = 0; i < 10; i++) {
        test_buy(1, 0);
    }

    phota_survey_store(&survey, &test_store);
    assert_int_equal(survey.readers, 1);
    assert_true(survey.lag >= 20);

    phota_store_abort(txn);

    phota_survey_store(&survey, &test_store);
    assert_int_equal(survey.readers, 0);
    assert_true(survey.lag == 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_sums),
        TEST(test_open_ones),
        TEST(test_readers)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
