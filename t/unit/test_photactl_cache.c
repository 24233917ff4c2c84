
/*
 * photactl on the cache, and what removing a tenant leaves: its money, and
 * nothing else.  Each command line is a process of its own.
 */


#include "../../src/photactl/photactl_open.c"
#include "../../src/photactl/photactl_place.c"
#include "../../src/photactl/photactl_init.c"
#include "../../src/photactl/photactl_copy.c"
#include "../../src/photactl/photactl_backup.c"
#include "../../src/photactl/photactl_migrate.c"
#include "../../src/photactl/photactl_rekey.c"
#include "../../src/photactl/photactl_restore.c"
#include "../../src/photactl/photactl_progress.c"
#include "../../src/photactl/photactl_completion.c"
#include "../../src/photactl/photactl_conf.c"
#include "../../src/photactl/photactl_doctor.c"
#include "../../src/photactl/photactl_doctor_files.c"
#include "../../src/photactl/photactl_doctor_books.c"
#include "../../src/photactl/photactl_doctor_conf.c"
#include "../../src/photactl/photactl_doctor_online.c"
#include "../../src/photactl/photactl_doctor_rekey.c"
#include "../../src/photactl/photactl_secret.c"

#define main  photactl_main
#include "../../src/photactl/photactl.c"
#undef main

#include <ftw.h>
#include <pwd.h>

#define test_setup  cached_setup
#define test_teardown  cached_teardown
#include "cached.h"
#undef test_setup
#undef test_teardown


#define TEST_KILLS  12


static char  test_said[16384];      /* by the last command */


/* a command in a process of its own, whose outputs go to fd */

static pid_t
test_start(char *text, int fd)
{
    int    argc, status;
    char  *argv[32], *rest;
    pid_t  pid;

    argc = 0;
    argv[argc++] = "photactl";

    for (rest = strtok(text, " "); rest != NULL; rest = strtok(NULL, " ")) {
        argv[argc++] = rest;
    }

    argv[argc] = NULL;

    (void) fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        (void) setenv("PHOTA_DATA", test_dir, 1);
        (void) snprintf(test_said, sizeof(test_said), "%s.key", test_dir);
        (void) setenv("PHOTA_MASTER_KEY", test_said, 1);

        (void) dup2(fd, STDOUT_FILENO);
        (void) dup2(fd, STDERR_FILENO);

        status = photactl_main(argc, argv);
        (void) fflush(NULL);
        _exit(status);
    }

    return pid;
}


/* the exit status; test_said has both outputs */

static int
test_run(const char *line, ...)
{
    int       fds[2], status;
    char      text[1024];
    pid_t     pid;
    size_t    len;
    ssize_t   n;
    va_list   args;

    va_start(args, line);
    (void) vsnprintf(text, sizeof(text), line, args);
    va_end(args);

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid = test_start(text, fds[1]);
    (void) close(fds[1]);

    for (len = 0; len < sizeof(test_said) - 1; len += (size_t) n) {
        n = read(fds[0], test_said + len, sizeof(test_said) - 1 - len);

        if (n <= 0) {
            break;
        }
    }

    test_said[len] = '\0';
    (void) close(fds[0]);

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));

    return WEXITSTATUS(status);
}


static void
test_says(const char *text)
{
    if (strstr(test_said, text) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", text, test_said);
    }
}


static void
test_hides(const char *text)
{
    if (strstr(test_said, text) != NULL) {
        fail_msg("\"%s\" is in \"%s\"", text, test_said);
    }
}


static int
test_unlink(const char *path, const struct stat *sb, int type,
    struct FTW *ftw)
{
    (void) sb;
    (void) type;
    (void) ftw;

    return remove(path);
}


static int
test_teardown(void **state)
{
    char  key[80];

    (void) state;

    (void) snprintf(key, sizeof(key), "%s.key", test_dir);
    (void) remove(key);

    return nftw(test_dir, test_unlink, 8, FTW_DEPTH|FTW_PHYS);
}


/* acme and bolt, 1 and 2; both have bought, acme with all that one can have */

static int
test_setup(void **state)
{
    size_t  i;

    static const test_buy_t  bought[] = {
        { .n = 1, .tenant = 1, .scope = 1, .seeds = { 11 }, .tag = "red" },
        { .n = 2, .tenant = 1, .scope = 0, .seeds = { 12 } },
        { .n = 3, .tenant = 2, .scope = 2, .seeds = { 11 }, .tag = "red",
          .stored = 1000000 },
        { .n = 4, .tenant = 2, .scope = 0, .seeds = { 12, 13 } }
    };

    (void) state;

    (void) snprintf(test_dir, sizeof(test_dir), "/tmp/phota-ctlc.XXXXXX");

    if (mkdtemp(test_dir) == NULL
        || test_run("init --owner %s", getpwuid(geteuid())->pw_name) != 0
        || test_run("tenant add acme") != 0
        || test_run("tenant add bolt") != 0
        || test_run("tenant set acme --budget-day 5") != 0
        || test_run("price add --operation edit --usd 0.2 --tenant bolt") != 0
        || test_run("price add --operation edit --usd 0.1 --tenant acme") != 0
        || test_run("token issue bolt") != 0
        || test_run("token issue acme") != 0)
    {
        print_message("  %s\n", test_said);
        return -1;
    }

    test_open(PHOTA_STORE_CREATE);

    for (i = 0; i < sizeof(bought) / sizeof(bought[0]); i++) {
        test_buy(&bought[i]);
    }

    phota_store_close(&test_store);

    return 0;
}


/* in a process of its own, that dies with what it holds */

static void
test_hold(uint32_t tenant, int settle, int stay, int *gate)
{
    int               status, ready[2];
    char              c;
    pid_t             pid;
    MDB_txn          *txn;
    phota_store_t     books;
    phota_charge_t    charge;
    phota_ledger_t    ledger;
    phota_replay_t    replay;
    phota_outcome_t   outcome;
    phota_replays_t   replays;

    assert_int_equal(pipe(ready), 0);
    (void) fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        memset(&charge, 0, sizeof(charge));
        memset(&replay, 0, sizeof(replay));
        memset(&outcome, 0, sizeof(outcome));

        charge.tenant = tenant;
        charge.operation = PHOTA_OP_REMIX;
        charge.cached = PHOTA_CACHED_MISS;
        charge.terms.rate = 120000;
        charge.terms.identity_rate = 150000;
        charge.terms.share = PHOTA_PPM;
        charge.terms.version = 1;
        charge.asked = 1;
        charge.windows.day = 20000;
        charge.windows.month = 600;

        outcome.state = PHOTA_STATE_SETTLED;
        outcome.reason = PHOTA_REASON_DELIVERED;
        outcome.status = 200;
        outcome.outputs = 1;

        status = phota_id_create(&charge.id, phota_now()) != PHOTA_OK
                 || phota_store_open(&books, test_dir, "books",
                                     PHOTA_BOOKS_SCHEMA, PHOTA_BOOKS_MAP, 0,
                                     &test_err) != PHOTA_OK
                 || phota_ledger_open(&ledger, &books, &test_err) != PHOTA_OK
                 || phota_replays_open(&replays, &books, &test_err)
                    != PHOTA_OK
                 || phota_ledger_own(&ledger, &test_err) != PHOTA_OK
                 || phota_store_begin(&books, 1, &txn, &test_err) != PHOTA_OK
                 || phota_ledger_hold(&ledger, txn, &charge, NULL, &test_err)
                    != PHOTA_OK
                 || (settle
                     && phota_ledger_end(&ledger, txn, &charge.id, &outcome,
                                         NULL, &test_err) != PHOTA_OK);

        replay.charge = charge.id;
        replay.expires = phota_now() + 1000000;

        if (status || phota_replay_put(&replays, txn, tenant,
                                       charge.fingerprint, &replay,
                                       phota_now(), &test_err) != PHOTA_OK
            || phota_store_commit(txn, &test_err) != PHOTA_OK)
        {
            (void) fprintf(stderr, "%s\n", test_err.text);
            _exit(1);
        }

        (void) !write(ready[1], "x", 1);

        if (stay) {
            (void) close(gate[1]);
            (void) !read(gate[0], &c, 1);
        }

        _exit(0);
    }

    (void) close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    (void) close(ready[0]);

    if (!stay) {
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}


static void
test_list(void **state)
{
    (void) state;

    assert_int_equal(test_run("cache stats --json"), 0);
    test_says("\"results\":4,\"pictures\":4,\"bytes\":");
    test_says("\"garbage\":0,\"file_bytes\":");

    assert_int_equal(test_run("cache list --json"), 0);
    test_says("{\"fingerprint\":\"0000000100000000000000000000000000000000"
              "000000000000000000000000\",\"charge_id\":\"ch_");
    test_says("\"tenant\":\"acme\",\"operation\":\"remix\",\"outputs\":1,"
              "\"bytes\":");
    test_says("\"tag\":\"red\"}");
    test_says("\"tenant\":\"bolt\"");

    assert_int_equal(test_run("cache list --tenant acme"), 0);
    test_says("acme");
    test_hides("bolt");

    assert_int_equal(test_run("cache list --tenant nobody"), 1);
    test_says("none of this name");

    assert_int_equal(test_run("cache check"), 0);
    test_says("ok: 4 results, 4 pictures of ");
    assert_int_equal(test_run("cache check --mend --json"), 0);
    test_says("{\"ok\":true,\"results\":4,\"pictures\":4,");
}


/* no cache yet is an empty one */

static void
test_none(void **state)
{
    char  path[128];

    (void) state;

    (void) snprintf(path, sizeof(path), "%s/cache", test_dir);
    assert_int_equal(nftw(path, test_unlink, 8, FTW_DEPTH|FTW_PHYS), 0);

    assert_int_equal(test_run("cache stats --json"), 0);
    test_says("\"results\":0");
    assert_int_equal(test_run("cache list --json"), 0);
    assert_string_equal(test_said, "");
    assert_int_equal(test_run("cache purge --all --json"), 0);
    assert_string_equal(test_said, "{\"results\":0}\n");
    assert_int_equal(test_run("cache check"), 0);
    test_says("ok: 0 results");
    assert_int_equal(test_run("cache compact --json"), 0);
    assert_string_equal(test_said, "{\"before\":0,\"after\":0}\n");
    assert_int_equal(access(path, F_OK), -1);
}


static void
test_purges(void **state)
{
    (void) state;

    assert_int_equal(test_run("cache purge --tenant acme --tag red --json"),
                     0);
    assert_string_equal(test_said, "{\"results\":1}\n");

    /* nobody sends: the bytes are gone from the tables at once */

    assert_int_equal(test_run("cache stats --json"), 0);
    test_says("\"results\":3,\"pictures\":3,");
    test_says("\"garbage\":0");

    assert_int_equal(test_run("cache purge --older 1d"), 0);
    test_says("1");
    assert_int_equal(test_run("cache purge --older 1d --json"), 0);
    test_says("{\"results\":0}");
    assert_int_equal(test_run("cache purge --older 2000-01-01 --json"), 0);
    test_says("{\"results\":0}");
    assert_int_equal(test_run("cache purge --profile nobody --json"), 0);
    test_says("{\"results\":0}");
    assert_int_equal(test_run("cache purge --json --fingerprint 00000002000000"
                              "0000000000000000000000000000000000000000000000"
                              "0000"), 0);
    test_says("{\"results\":1}");
    assert_int_equal(test_run("cache purge --tenant #2 --json"), 0);
    test_says("{\"results\":1}");
    assert_int_equal(test_run("cache purge --all --json"), 0);
    test_says("{\"results\":0}");
    assert_int_equal(test_run("cache check"), 0);
}


static void
test_purges_refused(void **state)
{
    size_t  i;

    static const char  *lines[] = {
        "cache purge",
        "cache purge --all --tag red",
        "cache purge --tag=",
        "cache purge --profile=",
        "cache purge --older soon",
        "cache purge --fingerprint 12",
        "cache purge --tenant #0",
        "cache purge --tenant #x",
        "cache purge --mend",
        "cache compact now"
    };

    (void) state;

    for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_equal(test_run("%s", lines[i]), 2);
        test_says("photactl: cache ");
    }

    assert_int_equal(test_run("cache stats --json"), 0);
    test_says("\"results\":4");
}


/* who was killed in mid-sending: while a worker lives, garbage has its grace */

static void
test_purges_beside(void **state)
{
    int  gate[2];

    (void) state;

    assert_int_equal(pipe(gate), 0);
    test_hold(2, 1, 1, gate);

    assert_int_equal(test_run("cache purge --tenant acme --json"), 0);
    test_says("{\"results\":2}");
    assert_int_equal(test_run("cache stats --json"), 0);
    test_hides("\"garbage\":0");

    (void) close(gate[1]);
    (void) close(gate[0]);
    (void) wait(NULL);

    assert_int_equal(test_run("cache purge --tenant acme"), 0);
    assert_int_equal(test_run("cache stats --json"), 0);
    test_says("\"garbage\":0");
}


static void
test_checks(void **state)
{
    MDB_txn  *txn;
    MDB_val   key, value;

    (void) state;

    test_open(0);

    key.mv_data = "junk";
    key.mv_size = 4;
    value = key;

    assert_int_equal(phota_store_begin(&test_store, 1, &txn, &test_err),
                     PHOTA_OK);
    assert_int_equal(mdb_put(txn, test_cache.chunks, &key, &value, 0), 0);
    assert_int_equal(phota_store_commit(txn, &test_err), PHOTA_OK);
    phota_store_close(&test_store);

    assert_int_equal(test_run("cache check"), 1);
    test_says("a chunk has a key that is none\n");
    test_says("photactl: cache check: ");
    test_says("1 things are wrong");

    assert_int_equal(test_run("cache check --json"), 1);
    test_says("{\"wrong\":\"a chunk has a key that is none\"}\n");
    test_says("{\"ok\":false,");

    assert_int_equal(test_run("cache check --mend"), 0);
    test_says("mended: 4 results");
    test_says("1 records removed");

    assert_int_equal(test_run("cache check"), 0);
    test_says("ok: ");
}


static void
test_compacts(void **state)
{
    (void) state;

    assert_true(test_search(13) > 0);
    assert_int_equal(test_run("cache purge --tenant bolt"), 0);
    assert_true(test_search(13) > 0);

    assert_int_equal(test_run("cache compact --json"), 0);
    test_says("{\"before\":");
    assert_int_equal(test_search(13), 0);
    assert_true(test_search(11) > 0);
    assert_int_equal(test_run("cache check"), 0);
    test_says("ok: 2 results");
}


static size_t
test_rows(const char *table)
{
    MDB_dbi        dbi;
    MDB_stat       st;
    MDB_txn       *txn;
    phota_store_t  books;

    assert_int_equal(phota_store_open(&books, test_dir, "books",
                                      PHOTA_BOOKS_SCHEMA, PHOTA_BOOKS_MAP, 0,
                                      &test_err), PHOTA_OK);
    assert_int_equal(phota_store_table(&books, table, &dbi, &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_store_begin(&books, 0, &txn, &test_err), PHOTA_OK);
    assert_int_equal(mdb_stat(txn, dbi, &st), 0);
    phota_store_abort(txn);
    phota_store_close(&books);

    return st.ms_entries;
}


static void
test_removes(void **state)
{
    char     usage[2048], *p;
    uint32_t  seed;

    (void) state;

    test_hold(1, 1, 0, NULL);
    test_hold(1, 1, 0, NULL);
    test_hold(2, 1, 0, NULL);

    assert_int_equal(test_run("usage --json"), 0);
    p = strstr(test_said, "\"total\"");
    assert_non_null(p);
    (void) snprintf(usage, sizeof(usage), "%.2000s", p);

    /* of two replays each tenant has one: both keys are the same */

    assert_int_equal(test_rows("replays"), 2);
    assert_int_equal(test_rows("tokens"), 2);

    assert_int_equal(test_run("tenant remove acme"), 0);
    assert_string_equal(test_said, "");

    assert_int_equal(test_run("tenant list"), 0);
    test_hides("acme");
    test_says("bolt");
    assert_int_equal(test_run("token list"), 0);
    test_hides("acme");
    test_hides("#1");
    assert_int_equal(test_run("price list --json"), 0);
    test_hides("acme");
    test_hides("#1");
    test_says("\"tenant\":\"bolt\"");
    assert_int_equal(test_rows("tokens"), 1);
    assert_int_equal(test_rows("replays"), 1);
    assert_int_equal(test_rows("replays_expiry"), 1);

    /* the money stays */

    assert_int_equal(test_run("usage --json"), 0);
    test_says(usage);
    test_says("\"tenant\":\"#1\"");
    assert_int_equal(test_run("ledger list --json"), 0);
    test_says("\"tenant\":\"#1\"");
    assert_int_equal(test_run("ledger export"), 0);
    test_says("#1");
    assert_int_equal(test_run("ledger verify"), 0);
    test_says("ok: ");

    /* its results don't, and what another holds too does */

    assert_int_equal(test_run("cache list --json"), 0);
    test_hides("#1");
    test_says("\"tenant\":\"bolt\"");
    assert_int_equal(test_run("cache check"), 0);
    test_says("ok: 2 results, 3 pictures");

    for (seed = 12; seed <= 13; seed++) {
        assert_true(test_search(seed) > 0);
    }

    assert_int_equal(test_run("tenant remove acme"), 1);
    test_says("none of this name");

    /* the next one of this name is another */

    assert_int_equal(test_run("tenant add acme"), 0);
    assert_int_equal(test_run("tenant show acme --json"), 0);
    test_says("\"tenant_id\":3");
    test_says("\"day\":{\"limit\":null,\"spent\":\"0.000000\"");
    assert_int_equal(test_run("usage --tenant acme --json"), 0);
    test_says("\"rows\":[]");
    assert_int_equal(test_run("cache list --tenant acme --json"), 0);
    assert_string_equal(test_said, "");
    assert_int_equal(test_run("ledger list --tenant acme --json"), 0);
    assert_string_equal(test_said, "");

    /* charges name the version of their price: it comes once */

    assert_int_equal(test_run("price add --operation edit --usd 0.3"), 0);
    assert_int_equal(test_run("price list --json"), 0);
    test_says("\"version\":4");
    test_hides("\"version\":3");

    assert_int_equal(test_run("ledger verify"), 0);
}


static void
test_remove_held(void **state)
{
    char  *p;
    char   id[PHOTA_ID_TEXT];

    (void) state;

    test_hold(1, 0, 0, NULL);

    assert_int_equal(test_run("tenant remove acme"), 1);
    test_says("1 charges are held or unknown (photactl holds list)");
    assert_int_equal(test_run("tenant show acme"), 0);
    test_says("active");
    assert_int_equal(test_run("cache stats --json"), 0);
    test_says("\"results\":4");

    assert_int_equal(test_run("holds list --json"), 0);
    p = strstr(test_said, "ch_");
    assert_non_null(p);
    (void) snprintf(id, sizeof(id), "%.*s", PHOTA_ID_TEXT - 1, p);
    assert_int_equal(test_run("holds void %s --reason gone", id), 0);

    assert_int_equal(test_run("tenant remove acme"), 0);
    assert_int_equal(test_run("ledger verify"), 0);
    assert_int_equal(test_run("tenant remove bolt"), 0);
    assert_int_equal(test_run("cache stats --json"), 0);
    test_says("\"results\":0");
    assert_int_equal(test_run("tenant list --json"), 0);
    assert_string_equal(test_said, "");
}


/* broken off when its part of the books had gone */

static void
test_remove_again(void **state)
{
    int              begun;
    MDB_txn         *txn;
    uint32_t         id;
    phota_store_t    books;
    phota_tenants_t  tenants;

    (void) state;

    assert_int_equal(phota_store_open(&books, test_dir, "books",
                                      PHOTA_BOOKS_SCHEMA, PHOTA_BOOKS_MAP, 0,
                                      &test_err), PHOTA_OK);
    assert_int_equal(phota_tenants_open(&tenants, &books, &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_store_begin(&books, 1, &txn, &test_err), PHOTA_OK);
    assert_int_equal(phota_tenant_remove(&tenants, txn, "acme", &id, &begun,
                                         &test_err), PHOTA_OK);
    assert_int_equal(begun, 0);
    assert_int_equal(phota_store_commit(txn, &test_err), PHOTA_OK);
    phota_store_close(&books);

    assert_int_equal(test_run("tenant add acme"), 1);
    test_says("photactl tenant remove acme");
    assert_int_equal(test_run("cache list --tenant #1 --json"), 0);
    test_says("\"tenant\":\"#1\"");

    assert_int_equal(test_run("tenant remove acme"), 0);
    assert_int_equal(test_run("cache list --tenant #1 --json"), 0);
    assert_string_equal(test_said, "");
    assert_int_equal(test_run("tenant add acme"), 0);
    assert_int_equal(test_run("tenant show acme --json"), 0);
    test_says("\"tenant_id\":3");
}


/* killed anywhere: run again it does what is left, or says that nothing is */

static void
test_remove_killed(void **state)
{
    int         rc, status, half;
    char        text[64], *p;
    pid_t       pid;
    unsigned    i, n;
    uint32_t    id;
    test_buy_t  buy;

    (void) state;

    half = 0;
    srandom(9);
    memset(&buy, 0, sizeof(buy));

    for (n = 0; n < TEST_KILLS; n++) {
        assert_int_equal(test_run("tenant add t%u", n), 0);
        assert_int_equal(test_run("tenant show t%u --json", n), 0);
        p = strstr(test_said, "\"tenant_id\":");
        assert_non_null(p);
        id = (uint32_t) strtoul(p + 12, NULL, 10);

        assert_int_equal(test_run("token issue t%u", n), 0);
        assert_int_equal(test_run("price add --operation edit --usd 0.1 "
                                  "--tenant t%u", n), 0);
        test_hold(id, 1, 0, NULL);

        test_open(0);

        for (i = 0; i < 20; i++) {
            buy.n = 100 + i;
            buy.tenant = id;
            buy.scope = (i % 2) ? id : 0;
            buy.seeds[0] = 1 + i % 7;
            test_buy(&buy);
        }

        phota_store_close(&test_store);

        (void) snprintf(text, sizeof(text), "tenant remove t%u", n);
        pid = test_start(text, STDOUT_FILENO);
        (void) usleep((useconds_t) random() % 20000);
        (void) kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);

        rc = test_run("tenant add t%u", n);
        test_hides("damaged");
        half += (rc == 1 && strstr(test_said, "again") != NULL);

        /* added, as the old one had gone: this removes the new one */

        assert_int_equal(test_run("tenant remove t%u", n), 0);

        assert_int_equal(test_run("cache list --json"), 0);
        (void) snprintf(text, sizeof(text), "\"tenant\":\"#%u\"", id);
        test_hides(text);
        assert_int_equal(test_run("cache check"), 0);
        test_says("ok: 4 results");
    }

    assert_int_equal(test_run("price list --json"), 0);
    test_hides("\"tenant\":\"#");
    assert_int_equal(test_run("ledger verify"), 0);
    assert_int_equal(test_rows("tokens"), 2);

    print_message("  %d of %d were half removed\n", half, TEST_KILLS);
}


/* a worker lives: it has to know before */

static void
test_remove_beside(void **state)
{
    int  gate[2];

    (void) state;

    assert_int_equal(pipe(gate), 0);
    test_hold(2, 0, 1, gate);

    assert_int_equal(test_run("tenant remove acme"), 0);
    assert_int_equal(test_run("tenant list"), 0);
    test_hides("acme");
    assert_int_equal(test_run("cache list --json"), 0);
    test_hides("#1");

    assert_int_equal(test_run("tenant remove bolt"), 1);
    test_says("1 charges are held or unknown");

    (void) close(gate[1]);
    (void) close(gate[0]);
    (void) wait(NULL);

    assert_int_equal(test_run("ledger verify"), 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_list),
        TEST(test_none),
        TEST(test_purges),
        TEST(test_purges_refused),
        TEST(test_purges_beside),
        TEST(test_checks),
        TEST(test_compacts),
        TEST(test_removes),
        TEST(test_remove_held),
        TEST(test_remove_again),
        TEST(test_remove_killed),
        TEST(test_remove_beside)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
