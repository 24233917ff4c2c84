
/*
 * photactl reconcile against books that have everything which can come between
 * a bill and its charges: what is shown, what is corrected, for whom, and that
 * a second run finds nothing left to do.
 */


#include <fcntl.h>
#include <sys/file.h>

#include "books.h"
#include "photactl.h"


#define TEST_CALL   20000               /* ms, from a hold to its line */
#define TEST_HEAD   "time,request_id,key,operation,outputs,"                  \
                    "identity_outputs,amount\n"


static char        test_csv[65536];
static char        test_out[131072];    /* stdout of the last run */
static photactl_t  test_ctl;
static uint32_t    test_acme, test_globex;


static void
test_note(photactl_t *ctl, const char *text)
{
    (void) ctl;
    (void) text;
}


static const photactl_host_t  test_host = { test_note, NULL, NULL };


static int
reconcile_setup(void **state)
{
    if (test_setup(state) != PHOTA_OK) {
        return -1;
    }

    memset(&test_ctl, 0, sizeof(photactl_t));
    test_ctl.host = &test_host;
    test_ctl.input_name = "/somewhere/bill.csv";

    if (photactl_attach(&test_ctl, &test_store) != PHOTA_OK) {
        return -1;
    }

    /* a process has one lock */

    test_ctl.ledger = test_ledger;

    if (phota_tenant_add(&test_ctl.tenants, "acme", &test_acme, &test_err)
           != PHOTA_OK
        || phota_tenant_add(&test_ctl.tenants, "globex", &test_globex,
                            &test_err)
           != PHOTA_OK)
    {
        return -1;
    }

    (void) snprintf(test_csv, sizeof(test_csv), TEST_HEAD);

    return 0;
}


#define CASE(name)                                                            \
    cmocka_unit_test_setup_teardown(name, reconcile_setup, test_teardown)


/* a line of the bill; identity outputs cost 0.15, the others 0.12 */

static void
bill_line(uint64_t time, const char *id, const char *operation,
    unsigned outputs, unsigned identity)
{
    char    text[PHOTA_TIME_TEXT], usd[PHOTA_USD_TEXT];
    size_t  len;

    phota_time_format(text, time);
    phota_usd_format(usd, (int64_t) outputs * 120000 + identity * 30000);

    len = strlen(test_csv);
    (void) snprintf(test_csv + len, sizeof(test_csv) - len,
                    "%s,%s,shared,%s,%u,%u,%s\n", text, id, operation,
                    outputs, identity, usd);
}


/* a run over test_csv; options: "--apply", "--tenant acme" and so on */

static int
run(const char *options)
{
    int      rc;
    char     text[256], *word, *rest;
    FILE    *out;
    size_t   len;

    memset(test_ctl.opts, 0, sizeof(test_ctl.opts));
    memset(&test_ctl.err, 0, sizeof(test_ctl.err));

    test_ctl.opts[PHOTACTL_OPT_JSON] = "";

    (void) snprintf(text, sizeof(text), "%s", options);

    for (word = strtok_r(text, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest))
    {
        if (strcmp(word, "--apply") == 0) {
            test_ctl.opts[PHOTACTL_OPT_APPLY] = "";
        } else if (strcmp(word, "--tenant") == 0) {
            test_ctl.opts[PHOTACTL_OPT_TENANT] = strtok_r(NULL, " ", &rest);
        } else if (strcmp(word, "--from") == 0) {
            test_ctl.opts[PHOTACTL_OPT_FROM] = strtok_r(NULL, " ", &rest);
        } else if (strcmp(word, "--to") == 0) {
            test_ctl.opts[PHOTACTL_OPT_TO] = strtok_r(NULL, " ", &rest);
        } else if (strcmp(word, "--unit") == 0) {
            test_ctl.opts[PHOTACTL_OPT_UNIT] = strtok_r(NULL, " ", &rest);
        } else if (strcmp(word, "--amount-column") == 0) {
            test_ctl.opts[PHOTACTL_OPT_AMOUNT_COLUMN] =
                                                  strtok_r(NULL, " ", &rest);
        } else {
            fail_msg("what is %s?", word);
        }
    }

    test_ctl.input = tmpfile();
    assert_non_null(test_ctl.input);
    (void) fputs(test_csv, test_ctl.input);
    rewind(test_ctl.input);

    out = tmpfile();
    assert_non_null(out);

    test_ctl.out = out;
    rc = photactl_reconcile(&test_ctl);

    rewind(out);
    len = fread(test_out, 1, sizeof(test_out) - 1, out);
    test_out[len] = '\0';
    (void) fclose(out);
    (void) fclose(test_ctl.input);

    free(test_ctl.names.tenants);
    memset(&test_ctl.names, 0, sizeof(test_ctl.names));

    return rc;
}


/* the one row that has this text, or that there is none: NULL */

static const char *
row(const char *text)
{
    char         *p, *end;
    static char   found[1024];

    p = strstr(test_out, text);

    if (p == NULL) {
        return NULL;
    }

    while (p > test_out && p[-1] != '\n') {
        p--;
    }

    end = strchr(p, '\n');
    assert_non_null(end);
    (void) snprintf(found, sizeof(found), "%.*s", (int) (end - p), p);

    return found;
}


static void
row_is(const char *text, const char *class, const char *tenant,
    const char *resolution)
{
    char         part[128];
    const char  *found;

    found = row(text);

    if (found == NULL) {
        fail_msg("no %s in %s", text, test_out);
        return;
    }

    (void) snprintf(part, sizeof(part), "\"class\":\"%s\"", class);

    if (strstr(found, part) == NULL) {
        fail_msg("not %s: %s", part, found);
    }

    (void) snprintf(part, sizeof(part), "\"tenant\":\"%s\"", tenant);

    if (strstr(found, part) == NULL) {
        fail_msg("not %s: %s", part, found);
    }

    (void) snprintf(part, sizeof(part), "\"resolution\":\"%s", resolution);

    if (strstr(found, part) == NULL) {
        fail_msg("not %s: %s", part, found);
    }
}


static int
sum_charge(void *ctx, const phota_charge_t *charge)
{
    int64_t  *sum = ctx;

    *sum += (charge->state == PHOTA_STATE_SETTLED) ? charge->cost : 0;

    return PHOTA_OK;
}


/* what the books say that was bought, in all */

static int64_t
settled(void)
{
    int64_t  sum;

    sum = 0;
    assert_int_equal(phota_ledger_each(&test_ledger, 0, 0, sum_charge, &sum,
                                       &test_err),
                     PHOTA_OK);

    return sum;
}


static uint64_t
entries(void)
{
    uint64_t  n;

    if (test_verify(&n) != PHOTA_OK) {
        fail_msg("%s", test_err.text);
    }

    return n;
}


static void
view(const phota_id_t *id, phota_charge_t *charge)
{
    MDB_txn  *txn;

    txn = test_begin(0);
    assert_int_equal(phota_ledger_get(&test_ledger, txn, id, charge),
                     PHOTA_OK);
    phota_store_abort(txn);
}


/* applies, and then once more, which must find nothing and write nothing */

static void
apply(const char *options)
{
    char      text[256], out[sizeof(test_out)];
    uint64_t  before;

    (void) snprintf(text, sizeof(text), "--apply %s", options);

    if (run(text) != PHOTA_OK) {
        fail_msg("%s\n%s", test_ctl.err.text, test_out);
    }

    memcpy(out, test_out, sizeof(out));
    before = entries();

    if (run(text) != PHOTA_OK) {
        fail_msg("the second time: %s\n%s", test_ctl.err.text, test_out);
    }

    assert_null(strstr(test_out, "\"charge_id\""));
    assert_true(entries() == before);

    memcpy(test_out, out, sizeof(out));
}


/* a charge that began so long ago, and how it ended */

static void
charge(phota_charge_t *c, uint32_t tenant, int64_t ago, uint8_t state,
    const char *id)
{
    int64_t          clock;
    phota_outcome_t  outcome;

    clock = test_clock;
    test_clock -= ago;

    test_charge(c, tenant, PHOTA_OP_REMIX, 2);
    test_hold(c);

    if (state != PHOTA_STATE_HELD) {
        test_clock += TEST_CALL;
        test_outcome(&outcome, state, state == PHOTA_STATE_SETTLED ? 2 : 0, 0,
                     0);
        (void) snprintf(outcome.request_id, sizeof(outcome.request_id), "%s",
                        id);
        assert_int_equal(test_end(&c->id, &outcome, c), PHOTA_OK);
    }

    test_clock = clock;
}


/* a job that was taken on so long ago and, unless it is held, ended then */

static void
job(phota_charge_t *c, int64_t ago, int64_t ended, uint8_t state,
    const char *id)
{
    MDB_txn          *txn;
    int64_t           clock;
    phota_outcome_t   outcome;

    clock = test_clock;
    test_clock -= ago;

    test_charge(c, test_acme, PHOTA_OP_REMIX, 2);
    test_hold(c);

    txn = test_begin(1);
    assert_int_equal(phota_ledger_accept(&test_ledger, txn, &c->id, 202, id,
                                         c, &test_err),
                     PHOTA_OK);
    test_commit(txn);

    if (state != PHOTA_STATE_HELD) {
        test_clock = clock - ended;
        test_outcome(&outcome, state, state == PHOTA_STATE_SETTLED ? 2 : 0, 0,
                     0);
        assert_int_equal(test_end(&c->id, &outcome, c), PHOTA_OK);
    }

    test_clock = clock;
}


static uint64_t
at(const phota_charge_t *c)
{
    return c->time + TEST_CALL - 1000;
}


static void
test_equal(void **state)
{
    int              i;
    char             id[32];
    phota_charge_t   c;

    (void) state;

    test_clock += (int64_t) TEST_DAY;

    for (i = 20; i > 0; i--) {
        (void) snprintf(id, sizeof(id), "req_%d", i);
        charge(&c, i % 2 ? test_acme : test_globex, i * 60000,
               PHOTA_STATE_SETTLED, id);
        bill_line(at(&c), id, "remix", 2, 0);
    }

    assert_int_equal(run(""), PHOTA_OK);
    assert_null(strstr(test_out, "charge_id"));
    assert_non_null(strstr(test_out, "\"lines\":20"));
    assert_non_null(strstr(test_out, "\"matched\":20"));
    assert_non_null(strstr(test_out, "\"billed\":\"4.800000\",\"charged\":"
                                     "\"4.800000\",\"difference\":"
                                     "\"0.000000\""));
    apply("");
}


static void
test_classes(void **state)
{
    uint64_t         before;
    phota_charge_t   same, lost, refused, more, absent, dead, young, c;

    (void) state;

    test_clock += (int64_t) TEST_DAY;

    charge(&same, test_acme, 3600000, PHOTA_STATE_SETTLED, "req_same");
    charge(&lost, test_acme, 3500000, PHOTA_STATE_UNKNOWN, "req_lost");
    charge(&refused, test_globex, 3400000, PHOTA_STATE_VOID, "req_void");
    charge(&more, test_globex, 3300000, PHOTA_STATE_SETTLED, "req_more");
    charge(&absent, test_acme, 3200000, PHOTA_STATE_SETTLED, "req_absent");
    charge(&dead, test_acme, 3100000, PHOTA_STATE_UNKNOWN, "req_dead");
    charge(&young, test_acme, 600000, PHOTA_STATE_UNKNOWN, "req_young");
    charge(&c, test_acme, 300000, PHOTA_STATE_SETTLED, "req_last");

    bill_line(at(&same), "req_same", "remix", 2, 0);
    bill_line(at(&lost), "req_lost", "remix", 2, 1);
    bill_line(at(&refused), "req_void", "remix", 1, 0);
    bill_line(at(&more), "req_more", "remix", 2, 2);
    bill_line(at(&c), "req_last", "remix", 2, 0);

    before = entries();

    assert_int_equal(run(""), PHOTA_REFUSED);
    assert_non_null(strstr(test_ctl.err.text, "differ in 5 places"));
    row_is("req_lost", "billed_not_charged", "acme", "settle\"");
    row_is("req_void", "billed_not_charged", "globex", "correct\"");
    row_is("req_more", "different_amount", "globex", "correct\"");
    assert_null(row("req_same"));
    assert_null(row("req_young"));
    assert_non_null(strstr(test_out, "\"billed_not_charged\":2,"
                                     "\"charged_not_billed\":2,"
                                     "\"different_amount\":1"));
    assert_true(entries() == before);

    apply("");
    assert_non_null(strstr(test_out, "\"difference\":\"0.000000\""));
    assert_int_equal(settled(), 240000 + 270000 + 120000 + 300000 + 240000);

    view(&lost.id, &c);
    assert_int_equal(c.state, PHOTA_STATE_SETTLED);
    assert_int_equal(c.reason, PHOTA_REASON_BILL);
    assert_int_equal(c.cost, 270000);
    assert_int_equal(c.price, 324000);
    assert_int_equal(c.outputs, 2);
    assert_int_equal(c.identity_low, 1);

    view(&absent.id, &c);
    assert_int_equal(c.state, PHOTA_STATE_REVERSED);
    view(&dead.id, &c);
    assert_int_equal(c.state, PHOTA_STATE_VOID);
    view(&young.id, &c);
    assert_int_equal(c.state, PHOTA_STATE_UNKNOWN);

    /* a later bill has it all the same: it is charged once more */

    bill_line(at(&absent), "req_absent", "remix", 2, 0);
    assert_int_equal(run(""), PHOTA_REFUSED);
    row_is("req_absent", "billed_not_charged", "acme", "book\"");
    apply("");
    row_is("req_absent", "billed_not_charged", "acme", "booked\"");
    assert_int_equal(settled(), 1170000 + 240000);
}


/* who never learnt its request id */

static void
test_nameless(void **state)
{
    phota_charge_t   one, two, mixed, other, free, by_hand, c;
    phota_outcome_t  outcome;

    (void) state;

    test_clock += (int64_t) TEST_DAY;

    charge(&one, test_acme, 9000000, PHOTA_STATE_UNKNOWN, "");
    charge(&two, test_acme, 8990000, PHOTA_STATE_UNKNOWN, "");
    charge(&mixed, test_acme, 6000000, PHOTA_STATE_UNKNOWN, "");
    charge(&other, test_globex, 5990000, PHOTA_STATE_UNKNOWN, "");
    charge(&by_hand, test_globex, 4000000, PHOTA_STATE_UNKNOWN, "");
    charge(&free, test_globex, 3980000, PHOTA_STATE_UNKNOWN, "");

    /* an operator's guess, and a deadline's */

    test_outcome(&outcome, PHOTA_STATE_SETTLED, 2, 0, 0);
    outcome.reason = PHOTA_REASON_OPERATOR;
    assert_int_equal(test_end(&by_hand.id, &outcome, NULL), PHOTA_OK);
    test_outcome(&outcome, PHOTA_STATE_VOID, 0, 0, 0);
    outcome.reason = PHOTA_REASON_DEADLINE;
    assert_int_equal(test_end(&free.id, &outcome, NULL), PHOTA_OK);

    bill_line(at(&one), "req_1", "remix", 1, 0);
    bill_line(at(&two), "req_2", "remix", 2, 0);
    bill_line(at(&two) + 5000, "req_3", "remix", 2, 0);     /* one too many */
    bill_line(at(&mixed), "req_4", "remix", 2, 0);
    bill_line(at(&by_hand), "req_5", "remix", 2, 0);
    bill_line(at(&by_hand) + 25000, "req_6", "remix", 2, 0);
    bill_line(at(&by_hand) + 26000, "req_7", "enhance", 2, 0);
    bill_line(test_clock ? phota_now() - 1000 : 0, "req_8", "edit", 1, 0);

    assert_int_equal(run(""), PHOTA_REFUSED);
    row_is("req_1", "billed_not_charged", "acme", "settle\"");
    row_is("req_2", "billed_not_charged", "acme", "settle\"");
    row_is("req_3", "billed_not_charged", "", "book\"");
    row_is("req_4", "billed_not_charged", "", "book\"");
    assert_null(row("req_5"));
    row_is("req_6", "billed_not_charged", "globex", "correct\"");
    row_is("req_7", "billed_not_charged", "", "book\"");

    apply("");
    assert_int_equal(settled(), 120000 * 14);

    view(&one.id, &c);
    assert_string_equal(c.request_id, "req_1");
    view(&mixed.id, &c);
    assert_int_equal(c.state, PHOTA_STATE_VOID);
    view(&other.id, &c);
    assert_int_equal(c.state, PHOTA_STATE_VOID);
    view(&free.id, &c);
    assert_int_equal(c.state, PHOTA_STATE_SETTLED);
    assert_string_equal(c.request_id, "req_6");
}


/* what is in flight is no one's to decide */

static void
test_held(void **state)
{
    uint64_t         before;
    phota_charge_t   held, lost, c;
    phota_outcome_t  outcome;

    (void) state;

    test_clock += (int64_t) TEST_DAY;

    charge(&lost, test_acme, 40000, PHOTA_STATE_UNKNOWN, "");
    charge(&held, test_acme, 30000, PHOTA_STATE_HELD, "");
    bill_line(held.time + 1000, "req_1", "remix", 2, 0);

    before = entries();
    assert_int_equal(run("--apply"), PHOTA_REFUSED);
    row_is("req_1", "billed_not_charged", "", "left: may be of a call");
    assert_true(entries() == before);

    test_outcome(&outcome, PHOTA_STATE_SETTLED, 2, 0, 0);
    memcpy(outcome.request_id, "req_1", 6);
    assert_int_equal(test_end(&held.id, &outcome, NULL), PHOTA_OK);
    apply("");

    view(&lost.id, &c);
    assert_int_equal(c.state, PHOTA_STATE_UNKNOWN);
}


static void
test_tenant(void **state)
{
    phota_charge_t  his, mine;

    (void) state;

    test_clock += (int64_t) TEST_DAY;

    charge(&his, test_globex, 5000000, PHOTA_STATE_SETTLED, "req_his");
    charge(&mine, test_acme, 4900000, PHOTA_STATE_SETTLED, "req_mine");

    bill_line(at(&mine), "req_mine", "remix", 2, 0);
    bill_line(at(&mine) + 1, "req_more", "remix", 2, 0);

    apply("--tenant acme");
    row_is("req_more", "billed_not_charged", "acme", "booked\"");
    assert_int_equal(settled(), 720000);

    bill_line(at(&his), "req_his", "remix", 2, 0);
    assert_int_equal(run("--apply --tenant acme"), PHOTA_REFUSED);
    row_is("req_his", "billed_not_charged", "", "left: the charge isn't");
    assert_int_equal(settled(), 720000);

    assert_int_equal(run("--tenant nobody"), PHOTA_DECLINED);
}


/* two lines of one request, and what was paid back */

static void
test_repeated(void **state)
{
    char             time[PHOTA_TIME_TEXT];
    size_t           len;
    phota_charge_t   c;

    (void) state;

    test_clock += (int64_t) TEST_DAY;

    charge(&c, test_acme, 4000000, PHOTA_STATE_SETTLED, "req_1");
    bill_line(at(&c), "req_1", "remix", 1, 0);
    bill_line(at(&c), "req_1", "remix", 1, 0);

    charge(&c, test_acme, 3000000, PHOTA_STATE_SETTLED, "req_2");
    bill_line(at(&c), "req_2", "remix", 2, 0);

    assert_int_equal(run(""), PHOTA_OK);
    assert_non_null(strstr(test_out, "\"repeated\":1"));

    phota_time_format(time, at(&c) + 1);
    len = strlen(test_csv);
    (void) snprintf(test_csv + len, sizeof(test_csv) - len,
                    "%s,req_2,shared,remix,2,0,-0.24\n", time);

    apply("");
    view(&c.id, &c);
    assert_int_equal(c.state, PHOTA_STATE_REVERSED);
    assert_int_equal(settled(), 240000);
}


static void
test_period(void **state)
{
    char             from[PHOTA_TIME_TEXT], options[128], to[PHOTA_TIME_TEXT];
    phota_charge_t   early, first, last, c;

    (void) state;

    test_clock += (int64_t) TEST_DAY;

    charge(&early, test_acme, 5000000, PHOTA_STATE_SETTLED, "req_early");
    charge(&first, test_acme, 4000000, PHOTA_STATE_SETTLED, "req_first");
    charge(&last, test_acme, 3000000, PHOTA_STATE_SETTLED, "req_last");

    bill_line(at(&first), "req_first", "remix", 2, 0);

    /* before the first line: shown, but another bill may have it */

    assert_int_equal(run("--apply"), PHOTA_REFUSED);
    row_is("\"charged_not_billed\",", "charged_not_billed", "acme",
           "left: held before");
    assert_non_null(strstr(test_out, "\"charged_not_billed\":1"));
    assert_int_equal(settled(), 720000);

    phota_time_format(from, early.time);
    phota_time_format(to, last.time);
    (void) snprintf(options, sizeof(options), "--from %s --to %s", from, to);
    apply(options);
    assert_int_equal(settled(), 480000);

    /* it was held in time, but ended later */

    phota_time_format(to, last.time + 1000);
    (void) snprintf(options, sizeof(options), "--from %s --to %s", from, to);
    assert_int_equal(run(options), PHOTA_OK);

    phota_time_format(to, last.time + TEST_CALL);
    (void) snprintf(options, sizeof(options), "--from %s --to %s", from, to);
    apply(options);
    assert_int_equal(settled(), 240000);

    view(&last.id, &c);
    assert_int_equal(c.state, PHOTA_STATE_REVERSED);

    /* nothing but what lies within */

    (void) snprintf(options, sizeof(options), "--from %s", to);
    assert_int_equal(run(options), PHOTA_OK);
    assert_non_null(strstr(test_out, "\"lines\":0"));
    assert_non_null(strstr(test_out, "\"outside\":1"));
}


/* only what must be there */

static void
test_columns(void **state)
{
    phota_charge_t  one, two, c;

    (void) state;

    test_clock += (int64_t) TEST_DAY;

    charge(&one, test_acme, 5000000, PHOTA_STATE_UNKNOWN, "req_1");
    charge(&two, test_acme, 4000000, PHOTA_STATE_SETTLED, "req_2");

    (void) snprintf(test_csv, sizeof(test_csv),
                    "request_id,fee\r\n\"req_1\",12.00\r\n\"req_3\",15\r\n");

    apply("--unit cents --amount-column fee");
    assert_int_equal(settled(), 240000 + 120000 + 150000);

    view(&one.id, &c);
    assert_int_equal(c.outputs, 1);
    assert_int_equal(c.cost, 120000);
}


static void
test_hostile(void **state)
{
    size_t          i;
    uint64_t        before;
    phota_charge_t  c;

    static const struct {
        const char  *text;
        const char  *said;
    } bills[] = {
        { "", "empty" },
        { "request_id\nreq_1\n", "no column \"amount\"" },
        { "amount\n1\n", "no column \"request_id\"" },
        { "request_id,amount,amount\nr,1,1\n", "two columns" },
        { "request_id,amount\nreq_1,0.12\nreq_2\n", "line 3" },
        { "request_id,amount\nreq_1,0.12\n,0.12\n", "line 3, column" },
        { "request_id,amount\nreq_1,0.12\nr,0.1200001\n", "line 3" },
        { "request_id,amount\nreq_1,0.12\nr,1e3\n", "line 3" },
        { "request_id,amount\nreq_1,0.12\nr,\n", "line 3" },
        { "request_id,amount\nreq_1,0.12\nr,99999999999999\n", "line 3" },
        { "request_id,amount\nreq_1,0.12\nr,\"1,5\"\n", "line 3" },
        { "request_id,amount\nreq_1,0.12\nr,-1\n", "line 3: more was paid" },
        { "request_id,amount\nr,9000000000000\nr,9000000000000\n", "large" },
        { "request_id,amount\nr,1000001\n", "line 2: too large" },
        { "request_id,amount,time\nreq_1,1,\nreq_2,1,soon\n", "line 3" },
        { "request_id,amount,outputs,identity_outputs\nr,1,x,0\n", "line 2" },
        { "request_id,amount,outputs,identity_outputs\nr,1,1,2\n", "line 2" },
        { "request_id,amount,outputs,identity_outputs\nr,1,1,-1\n",
          "line 2" },
        { "request_id,amount\nreq_1,0.12\n\"req_2,0.12\n", "isn't closed" },
        { "request_id,amount\nr\tq,0.12\n", "control character" }
    };

    (void) state;

    test_clock += (int64_t) TEST_DAY;

    charge(&c, test_acme, 5000000, PHOTA_STATE_UNKNOWN, "req_1");
    before = entries();

    for (i = 0; i < sizeof(bills) / sizeof(bills[0]); i++) {
        (void) snprintf(test_csv, sizeof(test_csv), "%s", bills[i].text);
        assert_int_equal(run("--apply"), PHOTA_INVALID);

        if (strstr(test_ctl.err.text, bills[i].said) == NULL) {
            fail_msg("%s: %s", bills[i].said, test_ctl.err.text);
        }

        assert_string_equal(test_out, "");
    }

    assert_true(entries() == before);

    (void) snprintf(test_csv, sizeof(test_csv), "request_id,amount\n");
    assert_int_equal(run("--unit pounds"), PHOTACTL_USAGE);
    assert_int_equal(run("--from 2026-01-02 --to 2026-01-01"),
                     PHOTACTL_USAGE);
}


/* what a bill takes for the time of a call may be days or hours off */

static void
test_times(void **state)
{
    phota_charge_t  one, two;

    (void) state;

    test_clock += 5 * (int64_t) TEST_DAY;

    charge(&one, test_acme, 3 * TEST_DAY, PHOTA_STATE_SETTLED, "req_1");
    charge(&two, test_acme, 5000000, PHOTA_STATE_SETTLED, "req_2");
    bill_line(one.time + TEST_DAY, "req_1", "remix", 2, 0);
    bill_line(one.time + TEST_DAY, "req_2", "remix", 2, 0);
    assert_int_equal(run(""), PHOTA_OK);
    assert_non_null(strstr(test_out, "\"matched\":2"));

    (void) snprintf(test_csv, sizeof(test_csv),
                    "time,request_id,amount\n2026-01-01,req_1,0.24\n"
                    "2026-01-01,req_2,0.24\n");
    assert_int_equal(run(""), PHOTA_OK);
    assert_non_null(strstr(test_out, "\"matched\":2"));
}


/* ids that several charges have: an upstream's fault, and nobody pays for it */

static void
test_shared_id(void **state)
{
    phota_charge_t  one, two;

    (void) state;

    test_clock += (int64_t) TEST_DAY;

    charge(&one, test_acme, 5000000, PHOTA_STATE_SETTLED, "req_1");
    charge(&two, test_acme, 4900000, PHOTA_STATE_SETTLED, "req_1");
    bill_line(at(&one), "req_1", "remix", 2, 0);
    bill_line(at(&two), "req_1", "remix", 2, 0);
    assert_int_equal(run(""), PHOTA_OK);

    (void) snprintf(test_csv, sizeof(test_csv), TEST_HEAD);
    bill_line(at(&one), "req_1", "remix", 3, 0);
    apply("");
    assert_int_equal(settled(), 360000);

    charge(&two, test_globex, 4800000, PHOTA_STATE_UNKNOWN, "req_1");
    bill_line(at(&two), "req_1", "remix", 2, 0);
    assert_int_equal(run("--apply"), PHOTA_REFUSED);
    row_is("req_1", "different_amount", "", "left: charges of several");
    assert_int_equal(settled(), 360000);
}


/* a bill of days that were archived: nothing of it is booked again */

static void
test_archived(void **state)
{
    char             path[2048];
    uint64_t         before, moved;
    phota_charge_t   one, two;

    (void) state;

    test_clock += (int64_t) TEST_DAY;
    charge(&one, test_acme, 4000000, PHOTA_STATE_SETTLED, "req_1");
    charge(&two, test_acme, 3000000, PHOTA_STATE_SETTLED, "req_2");
    bill_line(at(&one), "req_1", "remix", 2, 0);
    bill_line(at(&two), "req_2", "remix", 2, 0);

    test_clock += 3 * (int64_t) TEST_DAY;
    before = (phota_now() / TEST_DAY - 1) * TEST_DAY;

    assert_int_equal(phota_ledger_archive(&test_ledger, before, &moved, path,
                                          sizeof(path), &test_err),
                     PHOTA_OK);
    assert_true(moved == 4);
    assert_int_equal(run("--apply"), PHOTA_OK);
    assert_non_null(strstr(test_out, "\"matched\":2"));

    (void) snprintf(test_csv, sizeof(test_csv), TEST_HEAD);
    bill_line(at(&one), "req_1", "remix", 1, 0);
    bill_line(at(&two), "req_3", "remix", 2, 0);
    assert_int_equal(run("--apply"), PHOTA_REFUSED);
    row_is("req_1", "different_amount", "", "left: the charge is archived");
    row_is("req_3", "billed_not_charged", "", "booked\"");

    assert_int_equal(run("--tenant globex"), PHOTA_REFUSED);
    row_is("req_1", "billed_not_charged", "", "left: the charge isn't");
}


/* more corrections than one transaction takes, beside another that applies */

static void
test_many(void **state)
{
    int              i, fd;
    char             id[32];
    phota_charge_t   c;

    (void) state;

    test_clock += (int64_t) TEST_DAY;

    for (i = 0; i < 220; i++) {
        (void) snprintf(id, sizeof(id), "req_%d", i);
        charge(&c, test_acme, 5000000 - i * 1000, PHOTA_STATE_UNKNOWN, id);
        bill_line(at(&c), id, "remix", 1, 0);
    }

    fd = open(test_store.path, O_RDONLY|O_DIRECTORY);
    assert_int_equal(flock(fd, LOCK_EX|LOCK_NB), 0);
    assert_int_equal(run("--apply"), PHOTA_REFUSED);
    assert_non_null(strstr(test_ctl.err.text, "another reconcile"));
    assert_int_equal(settled(), 0);
    (void) close(fd);

    apply("");
    assert_int_equal(settled(), 220 * 120000);
}


/*
 * Of what isn't over nothing is booked or settled, whenever the line says that
 * it was, by whichever id; what had not ended by the bill's end isn't missed.
 */

static void
test_jobs(void **state)
{
    uint64_t         now;
    phota_charge_t   own, other, late, lost, c;

    (void) state;

    now = phota_now();

    job(&own, 9000000, 0, PHOTA_STATE_HELD, "req_own");
    job(&other, 30000000, 0, PHOTA_STATE_HELD, "req_other");
    charge(&c, test_acme, 3600000, PHOTA_STATE_SETTLED, "req_first");
    job(&late, 3500000, 60000, PHOTA_STATE_SETTLED, "req_late");
    charge(&c, test_acme, 300000, PHOTA_STATE_SETTLED, "req_last");

    bill_line(now - 3590000, "req_first", "remix", 2, 0);
    bill_line(now - 3000000, "req_own", "remix", 2, 0);
    bill_line(now - 2000000, "req_end_of_other", "remix", 2, 0);
    bill_line(at(&c), "req_last", "remix", 2, 0);

    assert_int_equal(run("--apply"), PHOTA_REFUSED);
    row_is("req_own", "billed_not_charged", "acme",
           "left: may be of a call that isn't over");
    row_is("req_end_of_other", "billed_not_charged", "",
           "left: may be of a call that isn't over");
    assert_null(row("req_late"));
    assert_true(settled() == 3 * 240000);

    view(&late.id, &c);
    assert_int_equal(c.state, PHOTA_STATE_SETTLED);
    view(&other.id, &c);
    assert_int_equal(c.state, PHOTA_STATE_HELD);

    /* one that was lost, long after it began */

    (void) snprintf(test_csv, sizeof(test_csv), TEST_HEAD);
    job(&lost, 50000000, 200000, PHOTA_STATE_UNKNOWN, "");
    bill_line(now - 250000, "req_of_lost", "remix", 2, 1);

    (void) entries();
    assert_int_equal(run("--apply"), PHOTA_REFUSED);
    row_is("req_of_lost", "billed_not_charged", "", "left: may be");

    (void) entries();
}


static void
test_lost_job(void **state)
{
    phota_charge_t  first, lost, c;

    (void) state;

    charge(&first, test_globex, 600000, PHOTA_STATE_SETTLED, "req_first");
    job(&lost, 50000000, 200000, PHOTA_STATE_UNKNOWN, "");

    bill_line(at(&first), "req_first", "remix", 2, 0);
    bill_line(phota_now() - 250000, "req_of_lost", "remix", 2, 1);

    apply("");
    row_is("req_of_lost", "billed_not_charged", "acme", "settled");

    view(&lost.id, &c);
    assert_int_equal(c.state, PHOTA_STATE_SETTLED);
    assert_true(c.cost == 270000);
    assert_string_equal(c.request_id, "req_of_lost");
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        CASE(test_equal),
        CASE(test_classes),
        CASE(test_nameless),
        CASE(test_held),
        CASE(test_tenant),
        CASE(test_repeated),
        CASE(test_period),
        CASE(test_columns),
        CASE(test_hostile),
        CASE(test_times),
        CASE(test_shared_id),
        CASE(test_archived),
        CASE(test_many),
        CASE(test_jobs),
        CASE(test_lost_job)
    };

    return cmocka_run_group_tests_name("reconcile", tests, NULL, NULL);
}
