
/*
 * photactl as a whole, in a process of its own for each command line: what it
 * must not say again, the terminal that shows what is typed, whose directories
 * it takes; plans, budgets and lists of prices, in and out.
 */


#include "ctl.h"


#define TEST_KEY  "sk-Test_KEY.1"


static unsigned  test_terminal;         /* 1: one, 2: that fails, 3: that
                                           says it did and shows all */


/* these take libc's places: a terminal that is as a test wants it */

int
isatty(int fd)
{
    (void) fd;

    return test_terminal != 0;
}


int
tcgetattr(int fd, struct termios *tio)
{
    static unsigned  calls;

    (void) fd;

    memset(tio, 0, sizeof(struct termios));

    if (calls++ == 0 || test_terminal == 3) {
        tio->c_lflag = ECHO;
    }

    return 0;
}


int
tcsetattr(int fd, int actions, const struct termios *tio)
{
    (void) fd;
    (void) actions;
    (void) tio;

    return (test_terminal == 2) ? -1 : 0;
}


static void
test_token_said(void **state)
{
    size_t  i;

    static const char  *lines[] = {
        "token revoke phg_SeCrEt_123456",
        "token list phg_SeCrEt_123456",
        "token phg_SeCrEt_123456",
        "phg_SeCrEt_123456",
        "tenant show phg_SeCrEt_123456",
        "ledger show phg_SeCrEt_123456",
        "usage --tenant phg_SeCrEt_123456",
        "usage --from=phg_SeCrEt_123456",
        "--phg_SeCrEt_123456",
        "help phg_SeCrEt_123456",
        "tenant set acme --cache-scope xphg_SeCrEt_123456,phg_SeCrEt"
    };

    (void) state;

    for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_not_equal(test_run("%s", lines[i]), 0);
        test_says("photactl: ");
        test_hides("SeCrEt");
    }
}


static void
test_key_said(void **state)
{
    (void) state;

    /* what can't be a name may be the key itself */

    assert_int_equal(test_run("key set %s", TEST_KEY), 1);
    test_says("not a tenant's name");
    test_hides("Test");

    assert_int_equal(test_run("key set nobody"), 1);
    test_says("nobody");

    (void) snprintf(test_input, sizeof(test_input), "%s\n", TEST_KEY);
    assert_int_equal(test_run("key set acme"), 0);
    assert_string_equal(test_said, "");
}


static void
test_key_terminal(void **state)
{
    (void) state;

    (void) snprintf(test_input, sizeof(test_input), "%s\n", TEST_KEY);

    test_terminal = 1;
    assert_int_equal(test_run("key set acme"), 0);
    test_says("not shown");

    for (test_terminal = 2; test_terminal < 4; test_terminal++) {
        assert_int_equal(test_run("key set acme"), 1);
        test_says("would show the key");
        test_hides("not shown");
    }

    test_terminal = 0;
}


static void
test_price_identity(void **state)
{
    (void) state;

    assert_int_equal(test_run("price add --operation edit --usd 0.10 "
                              "--identity-usd 0.099999"), 1);
    test_says("no less");
    assert_int_equal(test_run("price add --operation edit --usd 0.10 "
                              "--identity-usd 0.10"), 0);
}


static void
test_plan(void **state)
{
    (void) state;

    assert_int_equal(test_run("--json tenant show acme"), 0);
    test_says("\"time_zone\":\"UTC\",\"markup\":\"0%\","
              "\"hit_price\":\"free\",\"join_price\":\"free\","
              "\"fixed_price\":\"\"");

    assert_int_equal(test_run("tenant set acme --markup -2.5%% --hit-price "
                              "12.5%% --join-price full --time-zone "
                              "Europe/Berlin --cache-scope shared "
                              "--fixed-price remix=0.20/0.25,training=3"),
                     0);
    assert_string_equal(test_said, "");

    assert_int_equal(test_run("--json tenant list"), 0);
    test_says("\"cache_scope\":\"shared\"");
    test_says("\"time_zone\":\"Europe/Berlin\",\"markup\":\"-2.5%\","
              "\"hit_price\":\"12.5%\",\"join_price\":\"full\","
              "\"fixed_price\":\"remix=0.200000/0.250000,"
              "training=3.000000/3.000000\"");
    test_says("\"budget_day\":null");

    /* the list takes the place of the one before, all else stays */

    assert_int_equal(test_run("tenant set acme --fixed-price edit=0"), 0);
    assert_int_equal(test_run("tenant show acme"), 0);
    test_says("fixed_price  edit=0.000000/0.000000\n");
    test_says("time_zone    Europe/Berlin\n");

    assert_int_equal(test_run("tenant set acme --fixed-price none "
                              "--time-zone UTC"), 0);
    assert_int_equal(test_run("tenant show acme"), 0);
    test_says("fixed_price  -\n");
    test_says("time_zone    UTC\n");
    test_says("markup       -2.5%\n");
}


/* of several changes all count, or none */

static void
test_plan_refused(void **state)
{
    size_t  i;

    static const struct {
        const char  *options;
        int          status;
    } cases[] = {
        { "", 2 },
        { "--markup 5", 2 },
        { "--markup free", 2 },
        { "--markup -100.0001%", 2 },
        { "--markup 10000.0001%", 2 },
        { "--hit-price 100.0001%", 2 },
        { "--hit-price -1%", 2 },
        { "--join-price half", 2 },
        { "--fixed-price remix", 2 },
        { "--fixed-price nothing=1", 2 },
        { "--fixed-price remix=1,", 2 },
        { "--fixed-price remix=1,remix=2", 2 },
        { "--fixed-price remix=0.2/0.1", 2 },
        { "--fixed-price remix=0.2/", 2 },
        { "--fixed-price remix=2000000", 2 },
        { "--fixed-price=", 2 },
        { "--budget-day -1", 2 },
        { "--budget-month 1.0000001", 2 },
        { "--budget-total nothing", 2 },
        { "--budget-total 2000000000000", 1 },
        { "--time-zone Berlin", 1 },
        { "--time-zone ../../etc/passwd", 1 },
        { "--time-zone /etc/localtime", 1 },
        { "--cache-scope all", 2 }
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(test_run("tenant set acme%s%s",
                                  i ? " --budget-month 7 --hit-price 7% "
                                    : "", cases[i].options),
                         cases[i].status);
        test_says("photactl: tenant set: ");
    }

    assert_int_equal(test_run("--json tenant list"), 0);
    test_says("\"hit_price\":\"free\"");
    test_says("\"budget_day\":null,\"budget_month\":null");

    assert_int_equal(test_run("tenant set nobody --markup 7%%"), 1);
}


/* as purchases of tenant and token 1 would leave it */

static void
test_spend(int64_t spent, int64_t held)
{
    char             path[96];
    MDB_txn         *txn;
    phota_store_t    store;
    phota_error_t    err;
    phota_budgets_t  budgets;
    phota_windows_t  windows;

    windows.day = phota_zone_day(NULL, phota_now());
    windows.month = phota_zone_month(NULL, phota_now());

    (void) snprintf(path, sizeof(path), "%s/data", test_dir);

    assert_int_equal(phota_store_open(&store, path, "books",
                                      PHOTA_BOOKS_SCHEMA, PHOTA_BOOKS_MAP, 0,
                                      &err), PHOTA_OK);
    assert_int_equal(phota_budgets_open(&budgets, &store, &err), PHOTA_OK);
    assert_int_equal(phota_store_begin(&store, 1, &txn, &err), PHOTA_OK);
    assert_int_equal(phota_budget_post(&budgets, txn, 1, 1, &windows, spent,
                                       held, PHOTA_BUDGET_FRESH, &err),
                     PHOTA_OK);
    assert_int_equal(phota_store_commit(txn, &err), PHOTA_OK);

    phota_store_close(&store);
}


static void
test_budgets(void **state)
{
    (void) state;

    assert_int_equal(test_run("token issue acme --budget-total 1.20"), 0);
    assert_int_equal(test_run("tenant set acme --budget-day 1 "
                              "--budget-month 1.000001"), 0);

    test_spend(500000, 300000);

    assert_int_equal(test_run("--json tenant show acme"), 0);
    test_says("\"budgets\":{\"day\":{\"limit\":\"1.000000\","
              "\"spent\":\"0.500000\",\"held\":\"0.300000\","
              "\"left\":\"0.200000\",\"warning\":true},"
              "\"month\":{\"limit\":\"1.000001\",\"spent\":\"0.500000\","
              "\"held\":\"0.300000\",\"left\":\"0.200001\","
              "\"warning\":false},"
              "\"total\":{\"limit\":null,\"spent\":\"0.500000\","
              "\"held\":\"0.300000\",\"left\":null,\"warning\":false}}");

    assert_int_equal(test_run("--json token show 1"), 0);
    test_says("\"total\":{\"limit\":\"1.200000\",\"spent\":\"0.500000\"");

    /* more than there was */

    test_spend(700000, -300000);

    assert_int_equal(test_run("--json tenant show acme"), 0);
    test_says("\"spent\":\"1.200000\",\"held\":\"0.000000\","
              "\"left\":\"0.000000\",\"warning\":true}");

    assert_int_equal(test_run("tenant set acme --budget-day none "
                              "--budget-month none"), 0);
    assert_int_equal(test_run("--json tenant show acme"), 0);
    test_hides("\"limit\":\"");
    assert_int_equal(test_run("tenant show acme"), 0);
    test_says("total   -");
    test_says("1.200000");
}


static void
test_token_budgets(void **state)
{
    (void) state;

    assert_int_equal(test_run("token issue acme --label a --budget-day 5"),
                     0);
    assert_int_equal(test_run("token issue acme --budget-day five"), 2);
    assert_int_equal(test_run("token set 1 --label b --budget-month 7"), 0);
    assert_int_equal(test_run("--json token list"), 0);
    test_says("\"label\":\"b\"");
    test_says("\"budget_day\":\"5.000000\",\"budget_month\":\"7.000000\","
              "\"budget_total\":null}");

    assert_int_equal(test_run("token set 1 --budget-day none"), 0);
    assert_int_equal(test_run("token list"), 0);
    test_says("7.000000");
    test_hides("5.000000");

    assert_int_equal(test_run("token set 1"), 2);
    assert_int_equal(test_run("token set 2 --label c"), 1);
    assert_int_equal(test_run("token set 1 --expires +1d"), 2);
    assert_int_equal(test_run("token show 2"), 1);
    assert_int_equal(test_run("token show 0"), 1);
}


static int
test_import(const char *text)
{
    int  rc;

    (void) snprintf(test_input, sizeof(test_input), "%s", text);
    rc = test_run("price import -");
    test_input[0] = '\0';

    return rc;
}


static void
test_price_import(void **state)
{
    (void) state;

    assert_int_equal(test_import("\xef\xbb\xbf" "identity_usd,usd,operation,"
                                 "tenant,from,estimate,base_model\r\n"
                                 "\"0.13\",0.10,edit,,2027-01-01,,\r\n"
                                 ",\"0.2\",edit,acme,,yes,"
                                 "\"gpt-image-2\"\r\n"), 0);
    assert_string_equal(test_said, "");

    assert_int_equal(test_run("price list --json"), 0);
    test_says("{\"version\":2,\"from\":\"2027-01-01T00:00:00.000Z\","
              "\"provider\":\"phota\",\"operation\":\"edit\","
              "\"base_model\":\"\",\"resolution\":\"\",\"tenant\":\"\","
              "\"usd\":\"0.100000\",\"identity_usd\":\"0.130000\","
              "\"estimate\":false,\"refund_error\":false}");
    test_says("\"base_model\":\"gpt-image-2\",\"resolution\":\"\","
              "\"tenant\":\"acme\",\"usd\":\"0.200000\","
              "\"identity_usd\":\"0.200000\",\"estimate\":true,"
              "\"refund_error\":false}");

    assert_int_equal(test_import("operation,base_model,usd,refund_error\n"
                                 "training,fast,1.49,yes\n"), 0);
    assert_int_equal(test_run("price list --json"), 0);
    test_says("\"usd\":\"1.490000\",\"identity_usd\":\"1.490000\","
              "\"estimate\":false,\"refund_error\":true}");

    assert_int_equal(test_run("price import /nonexistent.csv"), 1);
    test_says("/nonexistent.csv");
}


/* the line and the column are said, and nothing of the list counts */

static void
test_price_import_refused(void **state)
{
    size_t  i;

    static const struct {
        const char  *text;
        const char  *said;
    } bad[] = {
        { "", "not even a header" },
        { "usd,operation\n", "no prices" },
        { "usd,base_model\n1,nb2\n", "needs the columns" },
        { "usd,operation,identiy_usd\n1,edit,2\n", "isn't known" },
        { "usd,operation,usd\n1,edit,2\n", "two columns" },
        { "usd,operation\n1,edit\n2,edti\n", "\"stdin\" line 3: " },
        { "usd,operation\r\n1,edit\r\nx,edit\r\n",
          "line 3, column \"usd\": " },
        { "usd,operation\n,edit\n", "line 2, column \"usd\": " },
        { "usd,operation,identity_usd\n1,edit,0.9\n", "line 2: " },
        { "usd,operation,tenant\n1,edit,bolt\n", "column \"tenant\": " },
        { "usd,operation,from\n1,edit,soon\n", "column \"from\": " },
        { "usd,operation,estimate\n1,edit,maybe\n",
          "column \"estimate\": " },
        { "usd,operation,base_model\n1,edit,gpt-image-2\n", "estimate" },
        { "usd,operation,resolution\n1,edit,12345678901234567\n",
          "column \"resolution\": " }
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(test_import(bad[i].text), 1);
        test_says("photactl: price import: ");
        test_says(bad[i].said);
    }

    assert_int_equal(test_run("price list --json"), 0);
    test_hides("\"version\":2");
}


static void
test_price_estimate(void **state)
{
    (void) state;

    assert_int_equal(test_run("price add --operation edit --usd 0.2 "
                              "--base-model gpt-image-2"), 1);
    test_says("estimate");
    assert_int_equal(test_run("price add --operation edit --usd 0.2 "
                              "--base-model gpt-image-2 --estimate"), 0);
    assert_int_equal(test_run("price list"), 0);
    test_says("yes");
}


/* an empty directory is taken, but none that a link leads to */

static void
test_init_link(void **state)
{
    char            link[96], target[96];
    struct stat     st;
    struct passwd  *pw;

    (void) state;

    pw = getpwuid(geteuid());
    assert_non_null(pw);

    (void) snprintf(link, sizeof(link), "%s/link", test_dir);
    (void) snprintf(target, sizeof(target), "%s/target", test_dir);

    assert_int_equal(mkdir(target, 0755), 0);
    assert_int_equal(chmod(target, 0755), 0);
    assert_int_equal(symlink(target, link), 0);

    assert_int_equal(test_run("init --owner %s --data %s", pw->pw_name, link),
                     1);
    test_says("not a link");
    assert_int_equal(stat(target, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
}


#define TEST(name)                                                            \
    cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_token_said),
        TEST(test_key_said),
        TEST(test_key_terminal),
        TEST(test_price_identity),
        TEST(test_price_estimate),
        TEST(test_price_import),
        TEST(test_price_import_refused),
        TEST(test_plan),
        TEST(test_plan_refused),
        TEST(test_budgets),
        TEST(test_token_budgets),
        TEST(test_init_link)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
