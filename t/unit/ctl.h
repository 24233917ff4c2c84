
/*
 * photactl as a whole, in a process of its own for each command line, upon
 * books of its own with one tenant, acme.
 */


#ifndef _CTL_H_INCLUDED_
#define _CTL_H_INCLUDED_


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

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <cmocka.h>


static char  test_dir[64];
static char  test_said[8192];           /* by the last command */
static char  test_input[1024];


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


static void __attribute__((unused))
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


#endif /* _CTL_H_INCLUDED_ */
