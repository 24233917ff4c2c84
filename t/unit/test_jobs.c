
/*
 * jobs: what a row says comes back, the indexes follow it through all of its
 * changes, and what is damaged is refused and can be taken out.
 */


#include "books.h"
#include "phota_jobs_record.h"


#define TEST_JOB(name)                                                        \
    cmocka_unit_test_setup_teardown(name, test_begin_jobs, test_teardown)


static unsigned      test_seen;
static phota_jobs_t  test_jobs;


static int
test_begin_jobs(void **state)
{
    if (test_setup(state) != 0) {
        return -1;
    }

    return phota_jobs_open(&test_jobs, &test_store, &test_err);
}


static void
test_job(phota_job_t *job, uint32_t tenant, const char *upstream)
{
    memset(job, 0, sizeof(phota_job_t));

    assert_int_equal(phota_id_create(&job->charge, phota_now()), PHOTA_OK);

    job->tenant = tenant;
    job->operation = PHOTA_OP_EDIT;
    job->submitted = TEST_NOON;
    job->due = TEST_NOON + 5000;
    job->asked = 2;
    job->storable = 1;
    memset(job->fingerprint, 7, PHOTA_SHA256_LEN);
    (void) snprintf(job->upstream, sizeof(job->upstream), "%s", upstream);
}


/* all that a row can hold, to the last byte */

static void
test_full(phota_job_t *job)
{
    unsigned  i;

    test_job(job, UINT32_MAX, "");

    job->provider = PHOTA_PROVIDER_PHOTIO;
    job->kind = PHOTA_JOB_TRAINING;
    job->state = PHOTA_JOB_LOST;
    job->delivery = PHOTA_DELIVERY_GIVEN_UP;
    job->ended = UINT64_MAX;
    job->due = UINT64_MAX - 1;
    job->polls = 1;
    job->fetches = 2;
    job->tries = 3;
    job->answered = 599;
    job->scope = 4;
    job->since = 5;
    job->valid = 6;
    job->stored = 1;
    job->links = 1;
    job->unmarked = 1;
    job->nmarks = PHOTA_MARKS_MAX;

    for (i = 0; i < PHOTA_MARKS_MAX; i++) {
        job->marks[i] = UINT64_MAX - i;
    }

    memset(job->tag, 't', PHOTA_NAME_MAX);
    memset(job->upstream, 'u', PHOTA_JOB_ID_MAX);
    memset(job->request_id, 'r', PHOTA_JOB_ID_MAX);
    memset(job->door, 'd', sizeof(job->door) - 1);
    memset(job->callback, 'c', PHOTA_URL_MAX);
    memset(job->trouble, 'x', PHOTA_NOTE_MAX);
}


static int
test_put(const phota_job_t *job)
{
    MDB_txn  *txn;

    txn = test_begin(1);

    return test_wrote(txn, phota_job_put(&test_jobs, txn, job, NULL, 0,
                                         &test_err));
}


static int
test_get(const phota_id_t *charge, phota_job_t *job)
{
    int       rc;
    MDB_txn  *txn;

    txn = test_begin(0);
    rc = phota_job_get(&test_jobs, txn, charge, job, &test_err);
    phota_store_abort(txn);

    return rc;
}


static int
test_named(uint32_t tenant, const char *upstream, const phota_id_t *charge)
{
    int         rc;
    MDB_txn    *txn;
    phota_id_t  id;

    txn = test_begin(0);
    rc = phota_job_named(&test_jobs, txn, tenant, PHOTA_PROVIDER_PHOTA,
                         upstream, &id);
    phota_store_abort(txn);

    if (rc == PHOTA_OK) {
        assert_memory_equal(&id, charge, sizeof(phota_id_t));
    }

    return rc;
}


static int
test_alike(const phota_job_t *job, const phota_id_t *charge)
{
    int         rc;
    MDB_txn    *txn;
    phota_id_t  id;

    txn = test_begin(0);
    rc = phota_job_alike(&test_jobs, txn, job->tenant, job->fingerprint,
                         job->asked, &id);
    phota_store_abort(txn);

    if (rc == PHOTA_OK) {
        assert_memory_equal(&id, charge, sizeof(phota_id_t));
    }

    return rc;
}


static unsigned
test_due(uint64_t now, phota_id_t *charges, unsigned n)
{
    MDB_txn  *txn;

    txn = test_begin(0);
    assert_int_equal(phota_jobs_due(&test_jobs, txn, now, charges, &n),
                     PHOTA_OK);
    phota_store_abort(txn);

    return n;
}


static size_t
test_rows(MDB_dbi table)
{
    MDB_txn   *txn;
    MDB_stat   st;

    txn = test_begin(0);
    assert_int_equal(mdb_stat(txn, table, &st), 0);
    phota_store_abort(txn);

    return st.ms_entries;
}


static void
test_round(void **state)
{
    size_t       len;
    u_char       buf[PHOTA_JOB_RECORD];
    phota_job_t  job, again;

    (void) state;

    test_full(&job);
    assert_int_equal(test_get(&job.charge, &again), PHOTA_DECLINED);
    assert_int_equal(test_put(&job), PHOTA_OK);
    assert_int_equal(test_get(&job.charge, &again), PHOTA_OK);
    assert_memory_equal(&job, &again, sizeof(phota_job_t));

    /* the largest there is has room to spare */

    len = sizeof(buf);
    assert_int_equal(phota_job_encode(&job, buf, &len), PHOTA_OK);
    assert_true(len < sizeof(buf));
    len = 100;
    assert_int_equal(phota_job_encode(&job, buf, &len), PHOTA_ERROR);

    test_job(&job, 1, "job-1");
    assert_int_equal(test_put(&job), PHOTA_OK);
    assert_int_equal(test_get(&job.charge, &again), PHOTA_OK);
    assert_memory_equal(&job, &again, sizeof(phota_job_t));
}


static void
test_refused(void **state)
{
    phota_job_t  job;

    (void) state;

    test_job(&job, 0, "job-1");
    assert_int_equal(test_put(&job), PHOTA_INVALID);

    test_job(&job, 1, "job-1");
    memset(job.callback, 'c', sizeof(job.callback));
    assert_int_equal(test_put(&job), PHOTA_INVALID);
    assert_non_null(strstr(test_err.text, "callback"));

    test_job(&job, 1, "job-1");
    memset(job.upstream, 'u', sizeof(job.upstream));
    assert_int_equal(test_put(&job), PHOTA_INVALID);

    test_job(&job, 1, "job-1");
    job.nmarks = PHOTA_MARKS_MAX + 1;
    assert_int_equal(test_put(&job), PHOTA_INVALID);

    test_job(&job, 1, "job-1");
    job.state = PHOTA_JOB_LOST + 1;
    assert_int_equal(test_put(&job), PHOTA_INVALID);

    assert_int_equal(test_rows(test_jobs.jobs), 0);
    assert_int_equal(test_rows(test_jobs.due), 0);
}


static void
test_names(void **state)
{
    MDB_txn     *txn;
    phota_job_t  first, second, training;

    (void) state;

    test_job(&first, 1, "job-1");
    assert_int_equal(test_put(&first), PHOTA_OK);

    assert_int_equal(test_named(1, "job-1", &first.charge), PHOTA_OK);
    assert_int_equal(test_named(2, "job-1", NULL), PHOTA_DECLINED);
    assert_int_equal(test_named(1, "job-2", NULL), PHOTA_DECLINED);
    assert_int_equal(test_named(1, "", NULL), PHOTA_DECLINED);

    /* the upstream may use a name again: it is still the first one's */

    test_job(&second, 1, "job-1");
    memset(second.charge.b, 0xff, sizeof(phota_id_t));
    assert_int_equal(test_put(&second), PHOTA_OK);
    assert_int_equal(test_named(1, "job-1", &first.charge), PHOTA_OK);

    first.state = PHOTA_JOB_DONE;
    assert_int_equal(test_put(&first), PHOTA_OK);
    assert_int_equal(test_named(1, "job-1", &first.charge), PHOTA_OK);

    txn = test_begin(1);
    assert_int_equal(phota_job_remove(&test_jobs, txn, &first.charge,
                                      &test_err),
                     PHOTA_OK);
    test_commit(txn);
    assert_int_equal(test_named(1, "job-1", &second.charge), PHOTA_OK);

    test_job(&training, 1, "profile-1");
    training.kind = PHOTA_JOB_TRAINING;
    training.operation = PHOTA_OP_TRAINING;
    assert_int_equal(test_put(&training), PHOTA_OK);
    assert_int_equal(test_named(1, "profile-1", NULL), PHOTA_DECLINED);
    assert_int_equal(test_rows(test_jobs.names), 2);

    /* a name that is learnt later */

    test_job(&first, 3, "");
    assert_int_equal(test_put(&first), PHOTA_OK);
    memcpy(first.upstream, "late", 5);
    assert_int_equal(test_put(&first), PHOTA_OK);
    assert_int_equal(test_named(3, "late", &first.charge), PHOTA_OK);
    assert_int_equal(test_rows(test_jobs.names), 3);
}


static void
test_open_ones(void **state)
{
    phota_job_t  first, second, other;

    (void) state;

    test_job(&first, 1, "job-1");
    assert_int_equal(test_alike(&first, NULL), PHOTA_DECLINED);
    assert_int_equal(test_put(&first), PHOTA_OK);
    assert_int_equal(test_alike(&first, &first.charge), PHOTA_OK);

    other = first;
    other.asked = 3;
    assert_int_equal(test_alike(&other, NULL), PHOTA_DECLINED);
    other = first;
    other.tenant = 2;
    assert_int_equal(test_alike(&other, NULL), PHOTA_DECLINED);
    other = first;
    other.fingerprint[31] ^= 1;
    assert_int_equal(test_alike(&other, NULL), PHOTA_DECLINED);

    /* two that are: when the first ends, the second still is */

    test_job(&second, 1, "job-2");
    memset(second.charge.b, 0xff, sizeof(phota_id_t));
    assert_int_equal(test_put(&second), PHOTA_OK);
    assert_int_equal(test_alike(&first, &first.charge), PHOTA_OK);

    first.state = PHOTA_JOB_DONE;
    assert_int_equal(test_put(&first), PHOTA_OK);
    assert_int_equal(test_alike(&first, &second.charge), PHOTA_OK);

    second.storable = 0;
    assert_int_equal(test_put(&second), PHOTA_OK);
    assert_int_equal(test_alike(&first, NULL), PHOTA_DECLINED);
    assert_int_equal(test_rows(test_jobs.open), 0);

    test_job(&other, 1, "profile");
    other.kind = PHOTA_JOB_TRAINING;
    assert_int_equal(test_put(&other), PHOTA_OK);
    assert_int_equal(test_rows(test_jobs.open), 0);
}


static unsigned
test_waiting(uint32_t tenant, unsigned most)
{
    MDB_txn   *txn;
    unsigned   n;

    n = most;

    txn = test_begin(0);
    assert_int_equal(phota_jobs_waiting(&test_jobs, txn, tenant, &n),
                     PHOTA_OK);
    phota_store_abort(txn);

    return n;
}


static void
test_waiting_ones(void **state)
{
    unsigned     i;
    phota_job_t  job;

    (void) state;

    assert_int_equal(test_waiting(1, 10), 0);

    test_job(&job, 1, "stored");
    job.kind = PHOTA_JOB_STORED;
    job.state = PHOTA_JOB_DONE;
    job.delivery = PHOTA_DELIVERY_WAITING;

    for (i = 0; i < 5; i++) {
        job.charge.b[0] = (u_char) i;
        assert_int_equal(test_put(&job), PHOTA_OK);
    }

    assert_int_equal(test_waiting(1, 10), 5);
    assert_int_equal(test_waiting(1, 3), 3);
    assert_int_equal(test_waiting(0, 10), 0);
    assert_int_equal(test_waiting(2, 10), 0);

    /* nobody takes one for a purchase under way */

    assert_int_equal(test_alike(&job, NULL), PHOTA_DECLINED);

    job.delivery = PHOTA_DELIVERY_DONE;
    assert_int_equal(test_put(&job), PHOTA_OK);
    assert_int_equal(test_waiting(1, 10), 4);
}


static void
test_dues(void **state)
{
    MDB_txn     *txn;
    unsigned     i;
    phota_id_t   charges[4];
    phota_job_t  jobs[3];

    (void) state;

    assert_int_equal(test_due(UINT64_MAX, charges, 4), 0);

    for (i = 0; i < 3; i++) {
        test_job(&jobs[i], 1, "");
        jobs[i].due = TEST_NOON + 3000 - 1000 * i;
        assert_int_equal(test_put(&jobs[i]), PHOTA_OK);
    }

    assert_int_equal(test_due(TEST_NOON, charges, 4), 0);
    assert_int_equal(test_due(TEST_NOON + 999, charges, 4), 0);
    assert_int_equal(test_due(TEST_NOON + 2000, charges, 4), 2);
    assert_memory_equal(&charges[0], &jobs[2].charge, sizeof(phota_id_t));
    assert_memory_equal(&charges[1], &jobs[1].charge, sizeof(phota_id_t));
    assert_int_equal(test_due(TEST_NOON + 5000, charges, 2), 2);
    assert_int_equal(test_due(TEST_NOON + 5000, charges, 0), 0);

    /* later: it isn't there twice */

    jobs[2].due = TEST_NOON + 9000;
    jobs[2].polls++;
    assert_int_equal(test_put(&jobs[2]), PHOTA_OK);
    assert_int_equal(test_due(TEST_NOON + 9000, charges, 4), 3);
    assert_memory_equal(&charges[2], &jobs[2].charge, sizeof(phota_id_t));

    txn = test_begin(1);
    assert_int_equal(phota_job_hurry(&test_jobs, txn, &jobs[2].charge,
                                     TEST_NOON, &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_job_hurry(&test_jobs, txn, &jobs[2].charge,
                                     TEST_NOON + 1, &test_err),
                     PHOTA_OK);
    memset(&charges[3], 0, sizeof(phota_id_t));
    assert_int_equal(phota_job_hurry(&test_jobs, txn, &charges[3], TEST_NOON,
                                     &test_err),
                     PHOTA_DECLINED);
    assert_int_equal(phota_job_remove(&test_jobs, txn, &charges[3],
                                      &test_err),
                     PHOTA_DECLINED);
    test_commit(txn);

    assert_int_equal(test_due(TEST_NOON, charges, 4), 1);
    assert_memory_equal(&charges[0], &jobs[2].charge, sizeof(phota_id_t));
    assert_int_equal(test_rows(test_jobs.due), 3);
}


static void
test_texts(void **state)
{
    size_t         len;
    u_char        *large;
    MDB_txn       *txn;
    phota_job_t    job;
    const u_char  *text;

    (void) state;

    large = calloc(1, PHOTA_JOB_TEXT_MAX + 1);
    assert_non_null(large);

    test_job(&job, 1, "job-1");

    txn = test_begin(1);

    assert_int_equal(phota_job_put(&test_jobs, txn, &job,
                                   (const u_char *) "{}", 2, &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_job_put(&test_jobs, txn, &job, NULL, 0,
                                   &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_job_text(&test_jobs, txn, &job.charge, &text,
                                    &len),
                     PHOTA_OK);
    assert_int_equal(len, 2);
    assert_memory_equal(text, "{}", 2);

    assert_int_equal(phota_job_put(&test_jobs, txn, &job, large,
                                   PHOTA_JOB_TEXT_MAX, &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_job_text(&test_jobs, txn, &job.charge, &text,
                                    &len),
                     PHOTA_OK);
    assert_int_equal(len, PHOTA_JOB_TEXT_MAX);

    assert_int_equal(phota_job_put(&test_jobs, txn, &job, large,
                                   PHOTA_JOB_TEXT_MAX + 1, &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_job_text(&test_jobs, txn, &job.charge, &text,
                                    &len),
                     PHOTA_DECLINED);

    assert_int_equal(phota_job_put(&test_jobs, txn, &job,
                                   (const u_char *) "{}", 2, &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_job_put(&test_jobs, txn, &job,
                                   (const u_char *) "", 0, &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_job_text(&test_jobs, txn, &job.charge, &text,
                                    &len),
                     PHOTA_DECLINED);

    assert_int_equal(phota_job_put(&test_jobs, txn, &job,
                                   (const u_char *) "{}", 2, &test_err),
                     PHOTA_OK);
    test_commit(txn);

    txn = test_begin(1);
    assert_int_equal(phota_job_remove(&test_jobs, txn, &job.charge,
                                      &test_err),
                     PHOTA_OK);
    test_commit(txn);

    assert_int_equal(test_rows(test_jobs.texts), 0);
    assert_int_equal(test_rows(test_jobs.names), 0);

    free(large);
}


static int
test_count(void *ctx, const phota_job_t *job)
{
    phota_id_t  *last = ctx;

    assert_true(memcmp(last, &job->charge, sizeof(phota_id_t)) < 0);
    *last = job->charge;
    test_seen++;

    return PHOTA_OK;
}


static int
test_each(uint32_t tenant, unsigned n)
{
    int         rc;
    phota_id_t  last;

    memset(&last, 0, sizeof(last));
    test_seen = 0;

    rc = phota_jobs_each(&test_jobs, tenant, test_count, &last, &test_err);

    assert_int_equal(test_seen, n);

    return rc;
}


static void
test_lists(void **state)
{
    MDB_txn     *txn;
    unsigned     i;
    phota_job_t  job;

    (void) state;

    for (i = 0; i < 50; i++) {
        test_job(&job, 1 + i % 2, (i % 4) ? "job" : "");
        job.kind = (i % 5) ? PHOTA_JOB_IMAGES : PHOTA_JOB_TRAINING;
        assert_int_equal(test_put(&job), PHOTA_OK);
    }

    assert_int_equal(test_each(0, 50), PHOTA_OK);
    assert_int_equal(test_each(2, 25), PHOTA_OK);
    assert_int_equal(test_each(3, 0), PHOTA_OK);

    txn = test_begin(1);
    assert_int_equal(phota_jobs_forget(&test_jobs, txn, 1, &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_jobs_forget(&test_jobs, txn, 3, &test_err),
                     PHOTA_OK);
    test_commit(txn);

    assert_int_equal(test_each(1, 0), PHOTA_OK);
    assert_int_equal(test_each(0, 25), PHOTA_OK);
    assert_int_equal(test_rows(test_jobs.names), 25);
    assert_int_equal(test_rows(test_jobs.due), 25);
    assert_int_equal(test_rows(test_jobs.open), 20);
}


static void
test_spoil(const phota_id_t *charge, size_t at)
{
    u_char    buf[PHOTA_JOB_RECORD];
    MDB_txn  *txn;
    MDB_val   key, value;

    key.mv_data = (void *) charge->b;
    key.mv_size = sizeof(phota_id_t);

    txn = test_begin(1);
    assert_int_equal(mdb_get(txn, test_jobs.jobs, &key, &value), 0);
    memcpy(buf, value.mv_data, value.mv_size);
    buf[at] ^= 0x40;
    value.mv_data = buf;
    assert_int_equal(mdb_put(txn, test_jobs.jobs, &key, &value, 0), 0);
    test_commit(txn);
}


static void
test_damage(void **state)
{
    size_t       i, len;
    u_char       buf[PHOTA_JOB_RECORD];
    MDB_txn     *txn;
    phota_job_t  job, other, again;

    (void) state;

    test_full(&job);
    len = sizeof(buf);
    assert_int_equal(phota_job_encode(&job, buf, &len), PHOTA_OK);

    for (i = 0; i < len; i++) {
        buf[i] ^= (u_char) (1 << i % 8);
        assert_int_equal(phota_job_decode(&again, &job.charge, buf, len),
                         PHOTA_ERROR);
        buf[i] ^= (u_char) (1 << i % 8);
        assert_int_equal(phota_job_decode(&again, &job.charge, buf, i),
                         PHOTA_ERROR);
    }

    assert_int_equal(phota_job_decode(&again, &job.charge, buf, len),
                     PHOTA_OK);

    /* another's record, whole as it is */

    other = job;
    other.charge.b[0] ^= 1;
    assert_int_equal(phota_job_decode(&again, &other.charge, buf, len),
                     PHOTA_ERROR);

    test_job(&job, 1, "job-1");
    test_job(&other, 1, "job-2");
    assert_int_equal(test_put(&job), PHOTA_OK);
    assert_int_equal(test_put(&other), PHOTA_OK);
    test_spoil(&job.charge, 3);

    assert_int_equal(test_get(&job.charge, &again), PHOTA_ERROR);
    assert_int_equal(test_each(1, 1), PHOTA_ERROR);
    assert_non_null(strstr(test_err.text, "damaged"));

    /* it can't be written over, but it goes, and all that points to it */

    txn = test_begin(1);
    assert_int_equal(phota_job_put(&test_jobs, txn, &job, NULL, 0,
                                   &test_err),
                     PHOTA_ERROR);
    assert_int_equal(phota_job_remove(&test_jobs, txn, &job.charge,
                                      &test_err),
                     PHOTA_OK);
    test_commit(txn);

    assert_int_equal(test_rows(test_jobs.jobs), 1);
    assert_int_equal(test_rows(test_jobs.names), 1);
    assert_int_equal(test_rows(test_jobs.due), 1);
    assert_int_equal(test_rows(test_jobs.open), 1);
    assert_int_equal(test_named(1, "job-2", &other.charge), PHOTA_OK);

    test_spoil(&other.charge, 20);

    txn = test_begin(1);
    assert_int_equal(phota_jobs_forget(&test_jobs, txn, 1, &test_err),
                     PHOTA_OK);
    test_commit(txn);

    assert_int_equal(test_rows(test_jobs.jobs), 0);
    assert_int_equal(test_rows(test_jobs.due), 0);
    assert_int_equal(test_rows(test_jobs.open), 0);
}


static void
test_words(void **state)
{
    (void) state;

    assert_string_equal(phota_job_state_name(PHOTA_JOB_OPEN), "open");
    assert_string_equal(phota_job_state_name(PHOTA_JOB_LOST), "lost");
    assert_string_equal(phota_job_state_name(PHOTA_JOB_LOST + 1), "?");
    assert_string_equal(phota_delivery_name(PHOTA_DELIVERY_GIVEN_UP),
                        "given_up");
    assert_string_equal(phota_delivery_name(PHOTA_DELIVERY_GIVEN_UP + 1),
                        "?");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST_JOB(test_round),
        TEST_JOB(test_refused),
        TEST_JOB(test_names),
        TEST_JOB(test_open_ones),
        TEST_JOB(test_waiting_ones),
        TEST_JOB(test_dues),
        TEST_JOB(test_texts),
        TEST_JOB(test_lists),
        TEST_JOB(test_damage),
        cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
