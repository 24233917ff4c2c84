
/*
 * photactl: the way from a command line to an exit code: 0 done, 1 refused or
 * failed, 2 the command line is wrong, 3 there are warnings.  Success is silent
 * unless a command's purpose is to print.
 */


#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "photactl_shell.h"


#define PHOTACTL_EXIT_OK      0
#define PHOTACTL_EXIT_FAILED  1
#define PHOTACTL_EXIT_USAGE   2
#define PHOTACTL_EXIT_WARNED  3


static int photactl_options_read(photactl_shell_t *shell, int argc,
    char **argv);
static int photactl_option(photactl_t *ctl, const char *arg, char **next);
static int photactl_find(photactl_t *ctl);
static int photactl_prepare(photactl_shell_t *shell);
static int photactl_books(photactl_t *ctl);
static int photactl_input(photactl_t *ctl);
static int photactl_run(photactl_t *ctl);
static int photactl_help(photactl_t *ctl);
static void photactl_help_command(photactl_t *ctl,
    const photactl_command_t *cmd, int width);
static void photactl_say(photactl_t *ctl, const char *text);
static void photactl_name_command(photactl_t *ctl);
static void photactl_report(photactl_t *ctl);
static int photactl_exit(photactl_shell_t *shell, int rc);


static const photactl_host_t  photactl_host = {
    photactl_say,
    photactl_secret,
    photactl_reread
};


/* what isn't in src/command */

static const struct {
    const char           *name;
    photactl_handler_pt   handler;
} photactl_local[] = {
    { "init", photactl_init },
    { "doctor", photactl_doctor },
    { "backup", photactl_backup },
    { "completion", photactl_completion },
    { "migrate", photactl_migrate },
    { "rekey", photactl_rekey },
    { "restore", photactl_restore },
    { "help", photactl_help }
};


int
main(int argc, char **argv)
{
    int                rc;
    photactl_t        *ctl;
    photactl_shell_t   shell;

    (void) umask(077);

    memset(&shell, 0, sizeof(shell));

    ctl = &shell.ctl;
    ctl->host = &photactl_host;
    ctl->out = photactl_progress_out(&ctl->width);
    ctl->input = stdin;
    ctl->input_name = "stdin";
    ctl->ledger.lock_fd = -1;

    shell.words = calloc(argc + 1, sizeof(char *));
    if (shell.words == NULL) {
        phota_error(&ctl->err, "no memory");
        return photactl_exit(&shell, PHOTA_ERROR);
    }

    ctl->args = shell.words;

    rc = photactl_options_read(&shell, argc, argv);

    if (rc == PHOTA_OK && ctl->opts[PHOTACTL_OPT_VERSION] != NULL) {
        (void) printf("photactl %s\n", PHOTA_VERSION);
        return photactl_exit(&shell, PHOTA_OK);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_find(ctl);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_check(ctl);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_prepare(&shell);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_run(ctl);
    }

    return photactl_exit(&shell, rc);
}


/* options may stand anywhere; "--" ends them */

static int
photactl_options_read(photactl_shell_t *shell, int argc, char **argv)
{
    int          i, n;
    photactl_t  *ctl;

    ctl = &shell->ctl;

    for (i = 1; i < argc; i++) {

        if (strcmp(argv[i], "--") == 0) {
            while (++i < argc) {
                ctl->args[ctl->nargs++] = argv[i];
            }

            break;
        }

        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            ctl->args[ctl->nargs++] = argv[i];
            continue;
        }

        n = photactl_option(ctl, argv[i], &argv[i + 1]);

        if (n < 0) {
            return n;
        }

        i += n;
    }

    return PHOTA_OK;
}


/* returns how many words after it belong to the option */

static int
photactl_option(photactl_t *ctl, const char *arg, char **next)
{
    int          i;
    size_t       len;
    const char  *value;

    value = strchr(arg, '=');
    len = (value == NULL) ? strlen(arg) : (size_t) (value - arg);

    for (i = 0; i < PHOTACTL_OPT_MAX; i++) {
        if (strlen(photactl_options[i].name) == len
            && memcmp(photactl_options[i].name, arg, len) == 0)
        {
            break;
        }
    }

    if (i == PHOTACTL_OPT_MAX) {
        return photactl_wrong(ctl, "%.*s: no such option", (int) len, arg);
    }

    if (photactl_options[i].value == NULL) {
        if (value != NULL) {
            return photactl_wrong(ctl, "%s: takes no value",
                                  photactl_options[i].name);
        }

        ctl->opts[i] = "";
        return 0;
    }

    if (value != NULL) {
        ctl->opts[i] = value + 1;
        return 0;
    }

    if (*next == NULL) {
        return photactl_wrong(ctl, "%s: needs a value, %s",
                              photactl_options[i].name,
                              photactl_options[i].value);
    }

    ctl->opts[i] = *next;

    return 1;
}


/* takes the command's own words off the arguments */

static int
photactl_find(photactl_t *ctl)
{
    int          subject, words;
    const char  *name, *verb;

    if (ctl->nargs == 0 && ctl->opts[PHOTACTL_OPT_HELP] == NULL) {
        return photactl_wrong(ctl, "no command");
    }

    name = ctl->nargs ? ctl->args[0] : "help";
    verb = (ctl->nargs > 1) ? ctl->args[1] : "";

    ctl->command = photactl_command_find(name, verb, &subject);

    if (ctl->command != NULL) {
        words = (ctl->command->verb != NULL) ? 2 : (ctl->nargs > 0);

        ctl->args += words;
        ctl->nargs -= words;

        return PHOTA_OK;
    }

    return photactl_wrong(ctl, "%s%s%s: %s", name, *verb ? " " : "", verb,
                          subject && *verb == '\0' ? "not a whole command"
                                                   : "no such command");
}


/* what may be root's is opened before root becomes the owner of the data */

static int
photactl_prepare(photactl_shell_t *shell)
{
    int          rc;
    unsigned     flags;
    const char  *env, *old;
    photactl_t  *ctl;

    ctl = &shell->ctl;

    if (ctl->opts[PHOTACTL_OPT_HELP] != NULL) {
        if (strcmp(ctl->command->name, "help") == 0) {
            return PHOTA_OK;
        }

        photactl_help_command(ctl, ctl->command, 0);
        return PHOTA_DECLINED;
    }

    env = getenv("PHOTA_DATA");
    ctl->data = (env != NULL && *env != '\0') ? env : PHOTACTL_DATA;

    env = getenv("PHOTA_MASTER_KEY");
    shell->master_path = (env != NULL && *env != '\0') ? env
                                                       : PHOTACTL_MASTER_KEY;

    if (ctl->opts[PHOTACTL_OPT_DATA] != NULL) {
        ctl->data = ctl->opts[PHOTACTL_OPT_DATA];
    }

    if (ctl->opts[PHOTACTL_OPT_MASTER_KEY] != NULL) {
        shell->master_path = ctl->opts[PHOTACTL_OPT_MASTER_KEY];
    }

    if (ctl->data[0] == '\0' || shell->master_path[0] == '\0') {
        return photactl_wrong(ctl, "--data, --master-key: an empty path");
    }

    old = ctl->opts[PHOTACTL_OPT_OLD_MASTER_KEY];

    photactl_operator(ctl);

    flags = ctl->command->flags;

    if (photactl_needs_master(ctl)) {
        rc = phota_master_read(&ctl->master, shell->master_path, &ctl->err);

        if (rc == PHOTA_OK && old != NULL) {
            rc = phota_master_add(&ctl->master, old, &ctl->err);
        }

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    if (flags & PHOTACTL_INPUT) {
        rc = photactl_input(ctl);
        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    if (flags & (PHOTACTL_READ|PHOTACTL_WRITE|PHOTACTL_OWNER)) {
        rc = photactl_become_owner(ctl);
        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return photactl_books(ctl);
}


static int
photactl_books(photactl_t *ctl)
{
    int       rc;
    unsigned  flags;

    flags = ctl->command->flags & (PHOTACTL_READ|PHOTACTL_WRITE);

    if (flags == 0) {
        return PHOTA_OK;
    }

    rc = photactl_open(ctl, (flags & PHOTACTL_WRITE) ? 0
                                                     : PHOTA_STORE_RDONLY);

    return (rc != PHOTA_OK && flags == (PHOTACTL_READ|PHOTACTL_WRITE))
           ? photactl_reread(ctl) : rc;
}


static int
photactl_run(photactl_t *ctl)
{
    size_t  i;

    if (ctl->command->handler != NULL) {
        return ctl->command->handler(ctl);
    }

    for (i = 0; strcmp(photactl_local[i].name, ctl->command->name) != 0; i++)
    {
        /* void */
    }

    return photactl_local[i].handler(ctl);
}


static int
photactl_input(photactl_t *ctl)
{
    FILE        *file;
    const char  *path;

    path = ctl->opts[PHOTACTL_OPT_BILL];

    if (path == NULL) {
        return photactl_wrong(ctl, "--bill is missing");
    }

    if (strcmp(path, "-") == 0) {
        return PHOTA_OK;
    }

    file = fopen(path, "re");

    if (file == NULL) {
        phota_error(&ctl->err, "\"%.128s\" can't be read: %s", path,
                    strerror(errno));
        return PHOTA_ERROR;
    }

    ctl->input = file;
    ctl->input_name = path;

    return PHOTA_OK;
}


static int
photactl_help(photactl_t *ctl)
{
    size_t                     i;
    unsigned                   found;
    const char                *name;
    const photactl_command_t  *cmd;

    found = 0;
    name = ctl->nargs ? ctl->args[0] : NULL;

    if (name == NULL) {
        (void) fprintf(ctl->out, "usage: photactl [--data DIR]"
                       " [--master-key FILE] [--old-master-key FILE]"
                       " [--json] COMMAND ...\n\n");
    }

    for (i = 0; (cmd = photactl_command(i)) != NULL; i++) {

        if (name == NULL || strcmp(cmd->name, name) == 0) {
            photactl_help_command(ctl, cmd, name == NULL ? 16 : 0);
            found = 1;
        }
    }

    if (!found) {
        return photactl_wrong(ctl, "%s: no such command", name);
    }

    return PHOTA_OK;
}


/* width: of the short form, or 0 for the whole command line */

static void
photactl_help_command(photactl_t *ctl, const photactl_command_t *cmd,
    int width)
{
    char         name[32];
    const char  *verb;

    verb = (cmd->verb != NULL) ? cmd->verb : "";

    (void) snprintf(name, sizeof(name), "%s%s%s", cmd->name,
                    *verb ? " " : "", verb);

    if (width) {
        (void) fprintf(ctl->out, "  %-*s  %s\n", width, name, cmd->help);
        return;
    }

    (void) fprintf(ctl->out, "photactl %s%s%s\n    %s\n", name,
                   *cmd->usage ? " " : "", cmd->usage, cmd->help);
}


static void
photactl_say(photactl_t *ctl, const char *text)
{
    photactl_name_command(ctl);

    (void) fprintf(stderr, "%s\n", text);
}


static void
photactl_name_command(photactl_t *ctl)
{
    photactl_progress_end();

    (void) fprintf(stderr, "photactl: ");

    if (ctl->command != NULL) {
        (void) fprintf(stderr, "%s%s%s: ", ctl->command->name,
                       ctl->command->verb ? " " : "",
                       ctl->command->verb ? ctl->command->verb : "");
    }
}


/*
 * Names come from command lines, texts from records: no escape sequences, and
 * no token that was typed where a name or a number belongs.
 */

static void
photactl_report(photactl_t *ctl)
{
    char  *p;

    photactl_conceal(ctl->err.text);

    for (p = ctl->err.text; *p != '\0'; p++) {
        if ((u_char) *p < ' ' || *p == 0x7f) {
            *p = '?';
        }
    }

    photactl_name_command(ctl);

    (void) fprintf(stderr, "%s", ctl->err.text);
}


static int
photactl_exit(photactl_shell_t *shell, int rc)
{
    photactl_t  *ctl;

    ctl = &shell->ctl;

    photactl_progress_end();

    photactl_close(ctl);
    free(shell->words);

    if (ctl->input != stdin) {
        (void) fclose(ctl->input);
    }

    phota_cleanse(&ctl->master, sizeof(ctl->master));

    /* what nobody could read was not done */

    if (fflush(ctl->out) != 0 || ferror(ctl->out)) {
        if (rc == PHOTA_OK || rc == PHOTA_DECLINED) {
            phota_error(&ctl->err, "the output can't be written");
            rc = PHOTA_ERROR;
        }
    }

    if (rc == PHOTA_OK && ctl->cursor[0] != '\0') {
        (void) fprintf(stderr, "cursor: %s\n", ctl->cursor);
    }

    if (rc == PHOTACTL_WARNED) {
        return PHOTACTL_EXIT_WARNED;
    }

    if (rc == PHOTA_OK
        || (rc == PHOTA_DECLINED && ctl->err.text[0] == '\0'))
    {
        return PHOTACTL_EXIT_OK;
    }

    photactl_report(ctl);

    if (rc == PHOTACTL_USAGE) {
        (void) fprintf(stderr, " (photactl help%s%s)\n",
                       ctl->command ? " " : "",
                       ctl->command ? ctl->command->name : "");
        return PHOTACTL_EXIT_USAGE;
    }

    (void) fprintf(stderr, "\n");

    return PHOTACTL_EXIT_FAILED;
}
