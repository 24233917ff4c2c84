
/*
 * photactl as a whole, in a process of its own for each command line: what it
 * must not say again, the terminal that shows what is typed, and whose
 * directories it takes.
 */


#include "../../src/photactl/photactl_output.c"
#include "../../src/photactl/photactl_parse.c"
#include "../../src/photactl/photactl_open.c"
#include "../../src/photactl/photactl_init.c"
#include "../../src/photactl/photactl_tenant.c"
#include "../../src/photactl/photactl_token.c"
#include "../../src/photactl/photactl_price.c"
#include "../../src/photactl/photactl_books.c"
#include "../../src/photactl/photactl_usage.c"
#include "../../src/photactl/photactl_ledger.c"
#include "../../src/photactl/photactl_holds.c"
#include "../../src/photactl/photactl_cursor.c"
#include "../../src/photactl/photactl_sheet.c"
#include "../../src/photactl/photactl_focus.c"
#include "../../src/photactl/photactl_export.c"
#include "../../src/photactl/photactl_cache.c"
#include "../../src/photactl/photactl_plan.c"
#include "../../src/photactl/photactl_csv.c"
#include "../../src/photactl/photactl_bill.c"
#include "../../src/photactl/photactl_match.c"
#include "../../src/photactl/photactl_reconcile.c"

#define main  photactl_main
#include "../../src/photactl/photactl.c"
#undef main

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <cmocka.h>


#define TEST_KEY  "sk-Test_KEY.1"


static char      test_dir[64];
static char      test_said[8192];       /* by the last command */
static char      test_input[64];
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


/* the exit status; test_said has both outputs */

static int
test_run(const char *line, ...)
{
    int       fds[2], in[2], argc, status;
    char     *argv[32], *rest, text[1024];
    pid_t     pid;
    size_t    len;
    ssize_t   n;
    va_list   args;

    va_start(args, line);
    (void) vsnprintf(text, sizeof(text), line, args);
    va_end(args);

    argc = 0;
    argv[argc++] = "photactl";

    for (rest = strtok(text, " "); rest != NULL; rest = strtok(NULL, " ")) {
        argv[argc++] = rest;
    }

    argv[argc] = NULL;

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(pipe(in), 0);
    len = strlen(test_input);
    assert_int_equal(write(in[1], test_input, len), len);
    (void) close(in[1]);

    (void) fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        (void) snprintf(test_said, sizeof(test_said), "%s/data", test_dir);
        (void) setenv("PHOTA_DATA", test_said, 0);
        (void) snprintf(test_said, sizeof(test_said), "%s/key", test_dir);
        (void) setenv("PHOTA_MASTER_KEY", test_said, 0);

        (void) dup2(in[0], STDIN_FILENO);
        (void) dup2(fds[1], STDOUT_FILENO);
        (void) dup2(fds[1], STDERR_FILENO);
        (void) close(fds[0]);

        status = photactl_main(argc, argv);
        (void) fflush(NULL);
        _exit(status);
    }

    (void) close(fds[1]);
    (void) close(in[0]);

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
test_setup(void **state)
{
    struct passwd  *pw;

    (void) state;

    test_input[0] = '\0';
    test_terminal = 0;

    (void) snprintf(test_dir, sizeof(test_dir), "/tmp/phota-ctl.XXXXXX");

    if (mkdtemp(test_dir) == NULL) {
        return -1;
    }

    pw = getpwuid(geteuid());

    if (pw == NULL || test_run("init --owner %s", pw->pw_name) != 0) {
        return -1;
    }

    return test_run("tenant add acme");
}


static int
test_teardown(void **state)
{
    size_t  i;
    char    name[128];

    static const char  *names[] = {
        "data/books/data.mdb", "data/books/lock.mdb", "data/books/owners",
        "data/books", "data/cache", "data", "key", "link", "target", ""
    };

    (void) state;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void) snprintf(name, sizeof(name), "%s/%s", test_dir, names[i]);
        (void) remove(name);
    }

    return 0;
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
        TEST(test_init_link)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
