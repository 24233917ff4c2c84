
/*
 * photactl on accounts and what tenants have there: keys by provider, who
 * shares one, fences, profiles, jobs, callbacks and their secret.
 */


#include "ctl.h"


#define SUBMITTED  ((uint64_t) 1764000000000)


static phota_jobs_t   test_jobs;
static phota_store_t  test_store;


static void
test_set_key(const char *line, const char *key, int status)
{
    (void) snprintf(test_input, sizeof(test_input), "%s\n", key);
    assert_int_equal(test_run("key set %s", line), status);
    test_input[0] = '\0';
}


static void
keys(void **state)
{
    (void) state;

    test_set_key("--default", "one", 0);
    test_set_key("--default --callback-secret", "signs", 0);
    test_set_key("acme", "", 1);
    test_says("empty");
    test_set_key("acme --callback-secret", "mine", 1);
    test_says("no key of its own");
    test_set_key("acme --provider photio", "pt-one", 0);
    test_set_key("acme --provider other", "pt-one", 2);
    test_says("none of this name");
    test_set_key("acme --default", "one", 2);

    assert_int_equal(test_run("--json tenant show acme"), 0);
    test_says("\"key\":\"default\",\"fenced\":true");

    assert_int_equal(test_run("key remove acme"), 1);
    test_says("none to remove");
    assert_int_equal(test_run("key remove acme --provider photio"), 0);
    assert_string_equal(test_said, "");
    assert_int_equal(test_run("key remove acme --provider photio"), 1);
    assert_int_equal(test_run("key remove"), 2);
    assert_int_equal(test_run("key remove nobody"), 1);

    test_set_key("acme", "own", 0);
    test_set_key("acme --callback-secret", "mine", 0);
    assert_int_equal(test_run("key remove acme --callback-secret"), 0);
    assert_int_equal(test_run("key remove acme"), 0);
    assert_int_equal(test_run("key remove --default"), 0);
    assert_int_equal(test_run("key remove --default --callback-secret"), 1);
}


static void
fences(void **state)
{
    (void) state;

    assert_int_equal(test_run("tenant add bolt"), 0);
    assert_int_equal(test_run("tenant set acme --fences off"), 1);
    test_says("no key of its own");

    test_set_key("acme", "own", 0);
    assert_string_equal(test_said, "");
    assert_int_equal(test_run("--json tenant list"), 0);
    test_says("\"key\":\"own\",\"fenced\":false");

    test_set_key("bolt", "own", 0);
    test_says("share an account");
    test_hides("own\"");
    assert_int_equal(test_run("--json tenant list"), 0);
    test_hides("\"fenced\":false");

    /* as long as the key is another's; then all of the line, or nothing */

    assert_int_equal(test_run("tenant set acme --markup 5%% --fences off"),
                     1);
    test_says("another tenant's too");
    test_hides("own\"");
    assert_int_equal(test_run("tenant show acme"), 0);
    test_says("fenced       yes\n");
    test_says("markup       0%\n");

    test_set_key("--default", "shared", 0);
    test_set_key("bolt", "shared", 0);
    assert_int_equal(test_run("tenant set bolt --fences off"), 1);
    test_says("or the default one");
    assert_int_equal(test_run("--json tenant list"), 0);
    test_hides("\"fenced\":false");

    assert_int_equal(test_run("tenant set acme --fences off "
                              "--master-key=/nowhere"), 1);
    test_says("/nowhere");
    assert_int_equal(test_run("tenant set acme --fences on "
                              "--master-key=/nowhere"), 0);

    assert_int_equal(test_run("tenant set acme --fences off"), 0);
    assert_int_equal(test_run("tenant show acme"), 0);
    test_says("fenced       no\n");
    assert_int_equal(test_run("tenant show bolt"), 0);
    test_says("fenced       yes\n");
    assert_int_equal(test_run("tenant set acme --fences on"), 0);
    assert_int_equal(test_run("tenant show acme"), 0);
    test_says("fenced       yes\n");

    assert_int_equal(test_run("tenant set acme --fences maybe --markup 5%%"),
                     2);
    assert_int_equal(test_run("tenant show acme"), 0);
    test_says("markup       0%\n");
}


static void
profiles(void **state)
{
    char  id[PHOTA_PROFILE_ID_MAX + 2];

    (void) state;

    assert_int_equal(test_run("tenant add bolt"), 0);
    assert_int_equal(test_run("profile adopt acme p1 p2 --tag wedding"), 0);
    assert_string_equal(test_said, "");

    /* once more, and with another tag; or not at all */

    assert_int_equal(test_run("profile adopt acme p1 p2 p1"), 0);
    assert_int_equal(test_run("profile adopt acme p2 --tag b"), 0);
    assert_int_equal(test_run("profile adopt bolt p3 p1"), 1);
    test_says("another tenant's");

    assert_int_equal(test_run("--json profile list"), 0);
    test_says("{\"profile_id\":\"p1\",\"tenant\":\"acme\","
              "\"tag\":\"wedding\",\"created\":\"2");
    test_says("\"profile_id\":\"p2\",\"tenant\":\"acme\",\"tag\":\"b\"");
    test_says("\"charge_id\":null}\n");
    test_hides("p3");

    (void) snprintf(test_input, sizeof(test_input), "p4\r\n\n p5\t\np6");
    assert_int_equal(test_run("profile adopt bolt p3 -"), 0);
    (void) snprintf(test_input, sizeof(test_input), "p7\np1\n");
    assert_int_equal(test_run("profile adopt bolt -"), 1);
    test_input[0] = '\0';

    assert_int_equal(test_run("profile list --tenant bolt"), 0);
    test_says("\np3 ");
    test_says("\np4 ");
    test_says("\np5 ");
    test_says("\np6 ");
    test_hides("p7");
    test_hides("p1");

    memset(id, 'x', sizeof(id));
    id[sizeof(id) - 1] = '\0';
    assert_int_equal(test_run("profile adopt bolt %s", id), 1);
    test_says("at most");
    assert_int_equal(test_run("profile adopt bolt %s", id + 1), 0);
    assert_int_equal(test_run("profile adopt bolt a/b"), 1);
    assert_int_equal(test_run("profile adopt bolt a\x01" "b"), 1);
    assert_int_equal(test_run("profile adopt bolt p8 --tag \xff"), 2);
    test_says("UTF-8");
    assert_int_equal(test_run("profile adopt bolt p8 --tag="), 2);
    assert_int_equal(test_run("profile adopt bolt p8 --tag %s%s", id, id), 2);
    assert_int_equal(test_run("profile adopt bolt"), 2);
    assert_int_equal(test_run("profile adopt nobody p8"), 1);

    assert_int_equal(test_run("profile release bolt p1"), 1);
    test_says("has no profile");
    assert_int_equal(test_run("profile release acme p1"), 0);
    assert_int_equal(test_run("profile release acme p1"), 1);
    assert_int_equal(test_run("profile adopt bolt p1"), 0);
}


static void
test_open(void)
{
    char           path[96];
    phota_error_t  err;

    (void) snprintf(path, sizeof(path), "%s/data", test_dir);

    assert_int_equal(phota_store_open(&test_store, path, "books",
                                      PHOTA_BOOKS_SCHEMA, PHOTA_BOOKS_MAP, 0,
                                      &err), PHOTA_OK);
    assert_int_equal(phota_jobs_open(&test_jobs, &test_store, &err),
                     PHOTA_OK);
}


static void
test_put(const phota_job_t *job)
{
    MDB_txn        *txn;
    phota_error_t   err;

    test_open();
    assert_int_equal(phota_store_begin(&test_store, 1, &txn, &err),
                     PHOTA_OK);
    assert_int_equal(phota_job_put(&test_jobs, txn, job, NULL, 0, &err),
                     PHOTA_OK);
    assert_int_equal(phota_store_commit(txn, &err), PHOTA_OK);
    phota_store_close(&test_store);
}


static void
test_get(phota_job_t *job)
{
    MDB_txn        *txn;
    phota_id_t      charge;
    phota_error_t   err;

    charge = job->charge;

    test_open();
    assert_int_equal(phota_store_begin(&test_store, 0, &txn, &err),
                     PHOTA_OK);
    assert_int_equal(phota_job_get(&test_jobs, txn, &charge, job, &err),
                     PHOTA_OK);
    phota_store_abort(txn);
    phota_store_close(&test_store);
}


static void
test_job(phota_job_t *job, uint32_t tenant, const char *upstream,
    unsigned state, unsigned delivery)
{
    memset(job, 0, sizeof(phota_job_t));

    assert_int_equal(phota_id_create(&job->charge, SUBMITTED + tenant),
                     PHOTA_OK);
    job->tenant = tenant;
    job->operation = PHOTA_OP_EDIT;
    job->state = (uint8_t) state;
    job->delivery = (uint8_t) delivery;
    job->submitted = SUBMITTED;
    job->ended = (state == PHOTA_JOB_OPEN) ? 0 : SUBMITTED + 1000;
    job->due = SUBMITTED + ((uint64_t) 86400000 << 9);
    job->polls = 3;
    job->tries = 5;
    job->answered = 503;
    job->asked = 2;

    (void) snprintf(job->upstream, sizeof(job->upstream), "%s", upstream);
    (void) snprintf(job->door, sizeof(job->door), "/upstream/");

    if (delivery != PHOTA_DELIVERY_NONE) {
        (void) snprintf(job->callback, sizeof(job->callback),
                        "https://%s.example/done", upstream);
        (void) snprintf(job->trouble, sizeof(job->trouble),
                        "the receiver said 503");
    }

    test_put(job);
}


static void
jobs(void **state)
{
    phota_job_t  job;

    (void) state;

    assert_int_equal(test_run("tenant add bolt"), 0);
    test_job(&job, 1, "up-a", PHOTA_JOB_OPEN, PHOTA_DELIVERY_NONE);
    test_job(&job, 2, "up-b", PHOTA_JOB_DONE, PHOTA_DELIVERY_NONE);
    test_job(&job, 1, "up-c", PHOTA_JOB_LOST, PHOTA_DELIVERY_NONE);

    assert_int_equal(test_run("--json job list"), 0);
    test_says("{\"job_id\":\"job_0");
    test_says("\"tenant\":\"bolt\",\"provider\":\"phota\","
              "\"operation\":\"edit\",\"kind\":\"images\","
              "\"state\":\"done\",\"submitted\":\"2025-11-24T16:00:00.000Z\","
              "\"ended\":\"2025-11-24T16:00:01.000Z\"");
    test_says("\"state\":\"open\",\"submitted\":\"2025-11-24T16:00:00.000Z\","
              "\"ended\":\"\"");
    test_says("\"polls\":3,\"fetches\":0,\"asked\":2,\"stored\":false,"
              "\"charge_id\":\"ch_0");
    test_says("\"upstream_id\":\"up-b\"");

    assert_int_equal(test_run("job list --tenant acme"), 0);
    test_says("up-a");
    test_says("up-c");
    test_hides("up-b");

    assert_int_equal(test_run("job list --state lost"), 0);
    test_says("up-c");
    test_hides("up-a");

    assert_int_equal(test_run("job list --tenant bolt --state open"), 0);
    test_hides("up-");
    assert_int_equal(test_run("job list --state held"), 2);
    assert_int_equal(test_run("job list --tenant nobody"), 1);
}


/* whose key is changed is told how many jobs that is about */

static void
rekeyed(void **state)
{
    unsigned     i;
    phota_job_t  job;

    (void) state;

    assert_int_equal(test_run("tenant add bolt"), 0);
    test_set_key("--default", "one", 0);
    assert_string_equal(test_said, "");

    test_job(&job, 1, "up-a", PHOTA_JOB_OPEN, PHOTA_DELIVERY_NONE);
    test_job(&job, 2, "up-b", PHOTA_JOB_OPEN, PHOTA_DELIVERY_NONE);
    test_job(&job, 2, "up-c", PHOTA_JOB_DONE, PHOTA_DELIVERY_WAITING);
    test_job(&job, 1, "up-d", PHOTA_JOB_LOST, PHOTA_DELIVERY_NONE);

    test_set_key("--default", "one", 0);
    assert_string_equal(test_said, "");
    test_set_key("--default", "two", 0);
    assert_string_equal(test_said, "photactl: key set: 2 open jobs will be "
                        "asked for with the new key from now on\n");

    test_set_key("bolt", "own", 0);
    assert_string_equal(test_said, "photactl: key set: 1 open job will be "
                        "asked for with the new key from now on\n");
    test_set_key("bolt", "own", 0);
    assert_string_equal(test_said, "");
    test_set_key("--default", "three", 0);
    test_says("1 open job will");

    /* nothing asks for a job of Photio's, and a secret asks for nothing */

    test_set_key("bolt --provider photio", "pt", 0);
    assert_string_equal(test_said, "");
    assert_int_equal(test_run("key remove bolt --provider photio"), 0);
    assert_string_equal(test_said, "");

    for (i = 0; i < 2; i++) {
        test_set_key("bolt --callback-secret", "signs", 0);
        assert_string_equal(test_said, "");
    }

    test_set_key("bolt", "own", 0);
    assert_string_equal(test_said, "");
    test_set_key("bolt", "other", 0);
    test_says("secret was the old account's, it is removed");
    test_says("1 open job will be asked for with the new key");
    assert_int_equal(test_run("key remove bolt --callback-secret"), 1);

    assert_int_equal(test_run("key remove bolt"), 0);
    assert_string_equal(test_said, "photactl: key remove: 1 open job will be "
                        "asked for with the default key from now on\n");
    test_set_key("bolt", "own", 0);
    assert_int_equal(test_run("key remove --default"), 0);
    test_says("1 open job will be asked for with no key");
    assert_int_equal(test_run("key remove bolt"), 0);
    test_says("1 open job will be asked for with no key");
}


static void
callbacks(void **state)
{
    phota_job_t  job;

    (void) state;

    test_job(&job, 1, "up-a", PHOTA_JOB_OPEN, PHOTA_DELIVERY_WAITING);
    test_job(&job, 1, "up-b", PHOTA_JOB_DONE, PHOTA_DELIVERY_WAITING);
    test_job(&job, 1, "up-c", PHOTA_JOB_DONE, PHOTA_DELIVERY_DONE);
    test_job(&job, 1, "up-d", PHOTA_JOB_FAILED, PHOTA_DELIVERY_GIVEN_UP);
    test_job(&job, 1, "up-e", PHOTA_JOB_DONE, PHOTA_DELIVERY_NONE);

    assert_int_equal(test_run("--json callback list --tenant acme"), 0);
    test_says("\"tenant\":\"acme\",\"state\":\"failed\","
              "\"delivery\":\"given_up\",\"tries\":5,\"status\":503,"
              "\"next\":\"\",\"trouble\":\"the receiver said 503\","
              "\"url\":\"https://up-d.example/done\"}");
    test_says("up-a.example");
    test_says("up-b.example");
    test_says("up-c.example");
    test_hides("up-e");

    assert_int_equal(test_run("callback list --undelivered"), 0);
    test_says("up-b.example");
    test_says("up-d.example");
    test_hides("up-a");
    test_hides("up-c");
}


static void
test_retried(phota_job_t *job, int again)
{
    uint64_t  now;

    now = phota_now();

    test_get(job);

    assert_int_equal(job->delivery, again ? PHOTA_DELIVERY_WAITING
                                          : PHOTA_DELIVERY_DONE);
    assert_int_equal(job->tries, again ? 0 : 5);
    assert_int_equal(job->due <= now, again);
}


static void
retries(void **state)
{
    char         charge[PHOTA_ID_TEXT];
    phota_job_t  open, done, given_up, waiting, none;

    (void) state;

    test_job(&open, 1, "up-a", PHOTA_JOB_OPEN, PHOTA_DELIVERY_WAITING);
    test_job(&waiting, 1, "up-b", PHOTA_JOB_DONE, PHOTA_DELIVERY_WAITING);
    test_job(&done, 1, "up-c", PHOTA_JOB_DONE, PHOTA_DELIVERY_DONE);
    test_job(&given_up, 1, "up-d", PHOTA_JOB_DONE, PHOTA_DELIVERY_GIVEN_UP);
    test_job(&none, 1, "up-e", PHOTA_JOB_DONE, PHOTA_DELIVERY_NONE);

    assert_int_equal(test_run("callback retry --all"), 0);
    assert_string_equal(test_said, "");

    test_retried(&waiting, 1);
    test_retried(&given_up, 1);
    test_retried(&done, 0);
    test_get(&open);
    assert_int_equal(open.tries, 5);

    /* by either name of a job, one that was delivered too */

    phota_id_format(charge, &done.charge);
    assert_int_equal(test_run("callback retry %s", charge), 0);
    test_retried(&done, 1);

    test_put(&given_up);
    phota_id_format(charge, &given_up.charge);
    assert_int_equal(test_run("callback retry job_%s", charge + 3), 0);
    test_retried(&given_up, 1);

    phota_id_format(charge, &open.charge);
    assert_int_equal(test_run("callback retry %s", charge), 1);
    test_says("hasn't ended");

    phota_id_format(charge, &none.charge);
    assert_int_equal(test_run("callback retry %s", charge), 1);
    test_says("no callback");

    assert_int_equal(test_run("callback retry ch_%026d", 7), 1);
    test_says("none of this id");
    assert_int_equal(test_run("callback retry job_7"), 2);
    assert_int_equal(test_run("callback retry"), 2);
    assert_int_equal(test_run("callback retry --all %s", charge), 2);
}


/* one that can't be read is told, and all others are delivered again */

static void
damaged(void **state)
{
    MDB_val         key, value;
    MDB_txn        *txn;
    phota_job_t     job;
    phota_error_t   err;

    (void) state;

    test_job(&job, 1, "up-a", PHOTA_JOB_DONE, PHOTA_DELIVERY_GIVEN_UP);

    test_open();
    assert_int_equal(phota_store_begin(&test_store, 1, &txn, &err),
                     PHOTA_OK);

    key.mv_data = (u_char *) "0123456789abcdef";
    key.mv_size = sizeof(phota_id_t);
    value.mv_data = (u_char *) "nothing of the kind";
    value.mv_size = 19;

    assert_int_equal(mdb_put(txn, test_jobs.jobs, &key, &value, 0), 0);
    assert_int_equal(phota_store_commit(txn, &err), PHOTA_OK);
    phota_store_close(&test_store);

    assert_int_equal(test_run("callback retry --all"), 1);
    test_says("is damaged");
    test_retried(&job, 1);

    /* it is done all the same where jobs are merely counted */

    test_set_key("acme", "own", 0);
    test_says("it is done, but");
    test_says("is damaged");
    assert_int_equal(test_run("key remove acme"), 0);
    test_says("it is done, but");
}


/* a job of a stored result is shown by its own name, and found by it */

static void
stored(void **state)
{
    phota_job_t  job;

    (void) state;

    test_job(&job, 1, "job_stored-1", PHOTA_JOB_DONE,
             PHOTA_DELIVERY_GIVEN_UP);
    job.kind = PHOTA_JOB_STORED;
    test_put(&job);

    assert_int_equal(test_run("callback list --undelivered"), 0);
    test_says("job_stored-1");

    assert_int_equal(test_run("callback retry job_stored-2"), 2);
    test_says("not the id of a job");
    assert_int_equal(test_run("callback retry job_stored-1"), 0);
    assert_string_equal(test_said, "");
    test_retried(&job, 1);
}


static void
webhook_secret(void **state)
{
    char  secret[sizeof(test_said)];

    (void) state;

    assert_int_equal(test_run("tenant add bolt"), 0);
    assert_int_equal(test_run("webhook-secret acme"), 0);
    assert_memory_equal(test_said, "whsec_", 6);
    assert_int_equal(strlen(test_said), 6 + 43 + 1);
    memcpy(secret, test_said, sizeof(secret));

    assert_int_equal(test_run("webhook-secret bolt"), 0);
    assert_string_not_equal(test_said, secret);

    secret[strlen(secret) - 1] = '\0';
    assert_int_equal(test_run("--json webhook-secret acme"), 0);
    test_says("{\"tenant\":\"acme\",\"secret\":\"");
    test_says(secret);

    assert_int_equal(test_run("webhook-secret nobody"), 1);
    assert_int_equal(test_run("webhook-secret"), 2);
}


#define TEST(name)                                                            \
    cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(keys),
        TEST(fences),
        TEST(profiles),
        TEST(jobs),
        TEST(rekeyed),
        TEST(callbacks),
        TEST(retries),
        TEST(damaged),
        TEST(stored),
        TEST(webhook_secret)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
