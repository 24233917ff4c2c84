
/*
 * photactl: the table of commands, options, and the way from a command line to
 * an exit code: 0 done, 1 refused or failed, 2 the command line is wrong.
 * Success is silent unless a command's purpose is to print.
 */


#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "photactl.h"


#define PHOTACTL_EXIT_OK      0
#define PHOTACTL_EXIT_FAILED  1
#define PHOTACTL_EXIT_USAGE   2

#define PHOTACTL_ANY          INT_MAX   /* arguments */

#define opt(name)             ((uint64_t) 1 << PHOTACTL_OPT_##name)

#define PHOTACTL_BUDGET_OPTS                                                  \
    (opt(BUDGET_DAY)|opt(BUDGET_MONTH)|opt(BUDGET_TOTAL))
#define PHOTACTL_COMMON_OPTS  (opt(DATA)|opt(MASTER_KEY)|opt(JSON)|opt(HELP))


static int photactl_options(photactl_t *ctl, int argc, char **argv);
static int photactl_option(photactl_t *ctl, const char *arg, char **next);
static int photactl_find(photactl_t *ctl);
static int photactl_check(photactl_t *ctl);
static int photactl_prepare(photactl_t *ctl);
static int photactl_needs_master(photactl_t *ctl);
static int photactl_input(photactl_t *ctl);
static int photactl_help(photactl_t *ctl);
static void photactl_help_command(const photactl_command_t *cmd, int width);
static void photactl_report(photactl_t *ctl);
static int photactl_exit(photactl_t *ctl, int rc);


static const struct {
    const char  *name;
    const char  *value;                 /* NULL: takes none */
} photactl_opts[PHOTACTL_OPT_MAX] = {
    [PHOTACTL_OPT_DATA] = { "--data", "DIR" },
    [PHOTACTL_OPT_MASTER_KEY] = { "--master-key", "FILE" },
    [PHOTACTL_OPT_JSON] = { "--json", NULL },
    [PHOTACTL_OPT_HELP] = { "--help", NULL },
    [PHOTACTL_OPT_VERSION] = { "--version", NULL },
    [PHOTACTL_OPT_OWNER] = { "--owner", "USER" },
    [PHOTACTL_OPT_CACHE_SCOPE] = { "--cache-scope", "own|shared" },
    [PHOTACTL_OPT_LABEL] = { "--label", "TEXT" },
    [PHOTACTL_OPT_EXPIRES] = { "--expires", "TIME" },
    [PHOTACTL_OPT_DEFAULT] = { "--default", NULL },
    [PHOTACTL_OPT_OPERATION] = { "--operation", "NAME" },
    [PHOTACTL_OPT_USD] = { "--usd", "AMOUNT" },
    [PHOTACTL_OPT_IDENTITY_USD] = { "--identity-usd", "AMOUNT" },
    [PHOTACTL_OPT_BASE_MODEL] = { "--base-model", "NAME" },
    [PHOTACTL_OPT_RESOLUTION] = { "--resolution", "NAME" },
    [PHOTACTL_OPT_PROVIDER] = { "--provider", "NAME" },
    [PHOTACTL_OPT_TENANT] = { "--tenant", "NAME" },
    [PHOTACTL_OPT_FROM] = { "--from", "TIME" },
    [PHOTACTL_OPT_TO] = { "--to", "TIME" },
    [PHOTACTL_OPT_STATE] = { "--state", "STATE" },
    [PHOTACTL_OPT_BUDGET_DAY] = { "--budget-day", "AMOUNT|none" },
    [PHOTACTL_OPT_BUDGET_MONTH] = { "--budget-month", "AMOUNT|none" },
    [PHOTACTL_OPT_BUDGET_TOTAL] = { "--budget-total", "AMOUNT|none" },
    [PHOTACTL_OPT_TIME_ZONE] = { "--time-zone", "ZONE" },
    [PHOTACTL_OPT_MARKUP] = { "--markup", "P%" },
    [PHOTACTL_OPT_HIT_PRICE] = { "--hit-price", "free|P%|full" },
    [PHOTACTL_OPT_JOIN_PRICE] = { "--join-price", "free|P%|full" },
    [PHOTACTL_OPT_FIXED_PRICE] = { "--fixed-price", "LIST" },
    [PHOTACTL_OPT_ESTIMATE] = { "--estimate", NULL },
    [PHOTACTL_OPT_BY] = { "--by", "day|operation|tag|token" },
    [PHOTACTL_OPT_FORMAT] = { "--format", "FORMAT" },
    [PHOTACTL_OPT_AFTER] = { "--after", "CURSOR" },
    [PHOTACTL_OPT_CURSOR] = { "--cursor", "FILE" },
    [PHOTACTL_OPT_BEFORE] = { "--before", "DAY" },
    [PHOTACTL_OPT_OUTPUTS] = { "--outputs", "N" },
    [PHOTACTL_OPT_IDENTITY] = { "--identity", "N" },
    [PHOTACTL_OPT_REASON] = { "--reason", "TEXT" },
    [PHOTACTL_OPT_SETTLE] = { "--settle", NULL },
    [PHOTACTL_OPT_VOID] = { "--void", NULL },
    [PHOTACTL_OPT_BILL] = { "--bill", "FILE" },
    [PHOTACTL_OPT_APPLY] = { "--apply", NULL },
    [PHOTACTL_OPT_ID_COLUMN] = { "--id-column", "NAME" },
    [PHOTACTL_OPT_AMOUNT_COLUMN] = { "--amount-column", "NAME" },
    [PHOTACTL_OPT_TIME_COLUMN] = { "--time-column", "NAME" },
    [PHOTACTL_OPT_OPERATION_COLUMN] = { "--operation-column", "NAME" },
    [PHOTACTL_OPT_OUTPUTS_COLUMN] = { "--outputs-column", "NAME" },
    [PHOTACTL_OPT_IDENTITY_COLUMN] = { "--identity-column", "NAME" },
    [PHOTACTL_OPT_UNIT] = { "--unit", "usd|cents|micro" },
    [PHOTACTL_OPT_FINGERPRINT] = { "--fingerprint", "HEX" },
    [PHOTACTL_OPT_PROFILE] = { "--profile", "ID" },
    [PHOTACTL_OPT_TAG] = { "--tag", "TAG" },
    [PHOTACTL_OPT_OLDER] = { "--older", "TIME|AGE" },
    [PHOTACTL_OPT_ALL] = { "--all", NULL },
    [PHOTACTL_OPT_MEND] = { "--mend", NULL },
    [PHOTACTL_OPT_CALLBACK_SECRET] = { "--callback-secret", NULL },
    [PHOTACTL_OPT_FENCES] = { "--fences", "on|off" },
    [PHOTACTL_OPT_REFUND_ERROR] = { "--refund-error", NULL },
    [PHOTACTL_OPT_UNDELIVERED] = { "--undelivered", NULL }
};


static const photactl_command_t  photactl_commands[] = {

    { "init", NULL, 0, 0, 0, opt(OWNER), photactl_init,
      "[--owner USER]",
      "make data directory, books and master key where missing" },

    { "tenant", "add", 1, 1, PHOTACTL_WRITE, 0, photactl_tenant_add,
      "NAME",
      "a new tenant" },

    { "tenant", "list", 0, 0, PHOTACTL_READ, 0, photactl_tenant_list,
      "",
      "all tenants" },

    { "tenant", "show", 1, 1, PHOTACTL_READ, 0, photactl_tenant_show,
      "NAME",
      "one tenant, what it owes and spent" },

    { "tenant", "set", 1, 1, PHOTACTL_WRITE,
      PHOTACTL_BUDGET_OPTS|opt(TIME_ZONE)|opt(MARKUP)|opt(HIT_PRICE)
      |opt(JOIN_PRICE)|opt(FIXED_PRICE)|opt(CACHE_SCOPE)|opt(FENCES),
      photactl_tenant_set,
      "NAME [--budget-day|-month|-total AMOUNT|none] [--time-zone ZONE]"
      " [--markup P%] [--hit-price free|P%|full]"
      " [--join-price free|P%|full]"
      " [--fixed-price OPERATION=USD[/USD],...|none]"
      " [--cache-scope own|shared] [--fences on|off]",
      "budgets, what it owes, whose cached results it gets" },

    { "tenant", "suspend", 1, 1, PHOTACTL_WRITE, 0, photactl_tenant_suspend,
      "NAME",
      "refuse its calls" },

    { "tenant", "resume", 1, 1, PHOTACTL_WRITE, 0, photactl_tenant_resume,
      "NAME",
      "take its calls again" },

    { "tenant", "remove", 1, 1, PHOTACTL_WRITE, 0, photactl_tenant_remove,
      "NAME",
      "erase all that is its own, but no money; for good" },

    { "token", "issue", 1, 1, PHOTACTL_WRITE,
      opt(LABEL)|opt(EXPIRES)|PHOTACTL_BUDGET_OPTS, photactl_token_issue,
      "NAME [--label TEXT] [--expires TIME|+30d]"
      " [--budget-day|-month|-total AMOUNT|none]",
      "print a new token of the tenant, once" },

    { "token", "list", 0, 1, PHOTACTL_READ, 0, photactl_token_list,
      "[NAME]",
      "tokens, never their text" },

    { "token", "show", 1, 1, PHOTACTL_READ, 0, photactl_token_show,
      "ID",
      "one token, what it spent" },

    { "token", "set", 1, 1, PHOTACTL_WRITE, opt(LABEL)|PHOTACTL_BUDGET_OPTS,
      photactl_token_set,
      "ID [--label TEXT] [--budget-day|-month|-total AMOUNT|none]",
      "what a token may spend" },

    { "token", "revoke", 1, 1, PHOTACTL_WRITE, 0, photactl_token_revoke,
      "ID",
      "make a token void, for good" },

    { "key", "set", 0, 1, PHOTACTL_WRITE|PHOTACTL_MASTER,
      opt(DEFAULT)|opt(PROVIDER)|opt(CALLBACK_SECRET), photactl_key_set,
      "NAME | --default [--provider NAME] [--callback-secret]",
      "seal the upstream key that stdin gives" },

    { "key", "remove", 0, 1, PHOTACTL_WRITE,
      opt(DEFAULT)|opt(PROVIDER)|opt(CALLBACK_SECRET), photactl_key_remove,
      "NAME | --default [--provider NAME] [--callback-secret]",
      "forget an upstream key" },

    { "webhook-secret", NULL, 1, 1, PHOTACTL_READ|PHOTACTL_MASTER, 0,
      photactl_webhook_secret,
      "NAME",
      "what the tenant's callbacks are signed with" },

    { "profile", "list", 0, 0, PHOTACTL_READ, opt(TENANT),
      photactl_profile_list,
      "[--tenant NAME]",
      "profiles and whose they are" },

    { "profile", "adopt", 2, PHOTACTL_ANY, PHOTACTL_WRITE, opt(TAG),
      photactl_profile_adopt,
      "NAME ID... | - [--tag TAG]",
      "make profiles a tenant's that were there before" },

    { "profile", "release", 2, 2, PHOTACTL_WRITE, 0,
      photactl_profile_release,
      "NAME ID",
      "make a profile nobody's again" },

    { "job", "list", 0, 0, PHOTACTL_READ, opt(TENANT)|opt(STATE),
      photactl_job_list,
      "[--tenant NAME] [--state open|done|failed|lost]",
      "jobs of the upstream's that are followed, or were" },

    { "callback", "list", 0, 0, PHOTACTL_READ, opt(TENANT)|opt(UNDELIVERED),
      photactl_callback_list,
      "[--tenant NAME] [--undelivered]",
      "what tenants are to be told, and what became of it" },

    { "callback", "retry", 0, 1, PHOTACTL_WRITE, opt(ALL),
      photactl_callback_retry,
      "JOB | --all",
      "deliver now what couldn't be delivered" },

    { "price", "list", 0, 0, PHOTACTL_READ, 0, photactl_price_list,
      "",
      "all prices" },

    { "price", "add", 0, 0, PHOTACTL_WRITE,
      opt(OPERATION)|opt(USD)|opt(IDENTITY_USD)|opt(BASE_MODEL)
      |opt(RESOLUTION)|opt(PROVIDER)|opt(TENANT)|opt(FROM)|opt(ESTIMATE)
      |opt(REFUND_ERROR),
      photactl_price_add,
      "--operation NAME --usd AMOUNT [--identity-usd AMOUNT]"
      " [--base-model NAME] [--resolution NAME] [--provider NAME]"
      " [--tenant NAME] [--from TIME] [--estimate] [--refund-error]",
      "a price of an output" },

    { "price", "import", 1, 1, PHOTACTL_WRITE, 0, photactl_price_import,
      "FILE|-",
      "a list of prices as CSV, all or none" },

    { "usage", NULL, 0, 0, PHOTACTL_READ, opt(TENANT)|opt(FROM)|opt(TO)|opt(BY),
      photactl_usage,
      "[--tenant NAME] [--from DAY] [--to DAY]"
      " [--by operation|day|token|tag]",
      "sums by tenant and operation" },

    { "ledger", "list", 0, 0, PHOTACTL_READ,
      opt(TENANT)|opt(STATE)|opt(FROM)|opt(TO), photactl_ledger_list,
      "[--tenant NAME] [--state STATE] [--from TIME] [--to TIME]",
      "charges as they stand" },

    { "ledger", "show", 1, 1, PHOTACTL_READ, 0, photactl_ledger_show,
      "CHARGE",
      "one charge and its entries, archived ones too" },

    { "ledger", "verify", 0, 0, PHOTACTL_READ, 0, photactl_ledger_verify,
      "",
      "check the chain of entries and all sums" },

    { "ledger", "reverse", 1, 1, PHOTACTL_WRITE, opt(REASON),
      photactl_ledger_reverse,
      "CHARGE --reason TEXT",
      "take a settled charge back" },

    { "ledger", "archive", 0, 0, PHOTACTL_WRITE, opt(BEFORE),
      photactl_ledger_archive,
      "--before DAY",
      "move entries of closed days to a file" },

    { "ledger", "export", 0, 0, PHOTACTL_OWNER,
      opt(FORMAT)|opt(AFTER)|opt(CURSOR)|opt(TENANT)|opt(TO)|opt(LABEL),
      photactl_ledger_export,
      "[--format csv|json|cloudevents|focus] [--after CURSOR |"
      " --cursor FILE] [--to TIME] [--tenant NAME] [--label ISSUER]",
      "entries that moved money, from where the last one ended" },

    { "holds", "list", 0, 0, PHOTACTL_READ, opt(TENANT),
      photactl_holds_list,
      "[--tenant NAME]",
      "charges that are held or unknown" },

    { "holds", "settle", 1, 1, PHOTACTL_WRITE,
      opt(OUTPUTS)|opt(IDENTITY)|opt(USD)|opt(REASON), photactl_holds_settle,
      "CHARGE [--outputs N [--identity N]] [--usd AMOUNT] --reason TEXT",
      "it was bought: as held for, or so many, or for that cost" },

    { "holds", "void", 1, 1, PHOTACTL_WRITE, opt(REASON),
      photactl_holds_void,
      "CHARGE --reason TEXT",
      "it was not bought" },

    { "holds", "deadline", 0, 1, PHOTACTL_WRITE, opt(SETTLE)|opt(VOID),
      photactl_holds_deadline,
      "[none | DURATION --settle|--void]",
      "what becomes of unknown ones after a time" },

    { "reconcile", NULL, 0, 0, PHOTACTL_WRITE|PHOTACTL_INPUT,
      opt(BILL)|opt(APPLY)|opt(ID_COLUMN)|opt(AMOUNT_COLUMN)|opt(TIME_COLUMN)
      |opt(OPERATION_COLUMN)|opt(OUTPUTS_COLUMN)|opt(IDENTITY_COLUMN)
      |opt(UNIT)|opt(TENANT)|opt(FROM)|opt(TO),
      photactl_reconcile,
      "--bill FILE|- [--apply] [--from TIME] [--to TIME] [--tenant NAME]"
      " [--id-column NAME] [--amount-column NAME] [--time-column NAME]"
      " [--operation-column NAME] [--outputs-column NAME]"
      " [--identity-column NAME] [--unit usd|cents|micro]",
      "compare the provider's bill with the books, and correct them" },

    { "cache", "stats", 0, 0, PHOTACTL_OWNER, 0, photactl_cache_stats,
      "",
      "how much is cached" },

    { "cache", "list", 0, 0, PHOTACTL_READ, opt(TENANT), photactl_cache_list,
      "[--tenant NAME]",
      "cached results" },

    { "cache", "purge", 0, 0, PHOTACTL_READ,
      opt(TENANT)|opt(FINGERPRINT)|opt(PROFILE)|opt(TAG)|opt(OLDER)|opt(ALL),
      photactl_cache_purge,
      "[--tenant NAME] [--fingerprint HEX] [--profile ID] [--tag TAG]"
      " [--older TIME|AGE] | --all",
      "remove the results to which all of it applies" },

    { "cache", "check", 0, 0, PHOTACTL_OWNER, opt(MEND), photactl_cache_check,
      "[--mend]",
      "read every byte; remove what is damaged" },

    { "cache", "compact", 0, 0, PHOTACTL_OWNER, 0, photactl_cache_compact,
      "",
      "write it anew, without what was deleted" },

    { "help", NULL, 0, 1, 0, 0, photactl_help,
      "[COMMAND]",
      "this list" }
};


#define PHOTACTL_COMMANDS                                                     \
    (sizeof(photactl_commands) / sizeof(photactl_command_t))


int
main(int argc, char **argv)
{
    int         rc;
    photactl_t  ctl;

    (void) umask(077);

    memset(&ctl, 0, sizeof(ctl));
    ctl.ledger.lock_fd = -1;

    ctl.words = calloc(argc + 1, sizeof(char *));
    if (ctl.words == NULL) {
        phota_error(&ctl.err, "no memory");
        return photactl_exit(&ctl, PHOTA_ERROR);
    }

    ctl.args = ctl.words;

    rc = photactl_options(&ctl, argc, argv);

    if (rc == PHOTA_OK && ctl.opts[PHOTACTL_OPT_VERSION] != NULL) {
        (void) printf("photactl %s\n", PHOTACTL_VERSION);
        return photactl_exit(&ctl, PHOTA_OK);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_find(&ctl);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_check(&ctl);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_prepare(&ctl);
    }

    if (rc == PHOTA_OK) {
        rc = ctl.command->handler(&ctl);
    }

    return photactl_exit(&ctl, rc);
}


/* options may stand anywhere; "--" ends them */

static int
photactl_options(photactl_t *ctl, int argc, char **argv)
{
    int  i, n;

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
        if (strlen(photactl_opts[i].name) == len
            && memcmp(photactl_opts[i].name, arg, len) == 0)
        {
            break;
        }
    }

    if (i == PHOTACTL_OPT_MAX) {
        return photactl_wrong(ctl, "%.*s: no such option", (int) len, arg);
    }

    if (photactl_opts[i].value == NULL) {
        if (value != NULL) {
            return photactl_wrong(ctl, "%s: takes no value",
                                  photactl_opts[i].name);
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
                              photactl_opts[i].name, photactl_opts[i].value);
    }

    ctl->opts[i] = *next;

    return 1;
}


/* takes the command's own words off the arguments */

static int
photactl_find(photactl_t *ctl)
{
    size_t                     i;
    unsigned                   subject;
    const char                *name, *verb;
    const photactl_command_t  *cmd;

    if (ctl->nargs == 0 && ctl->opts[PHOTACTL_OPT_HELP] == NULL) {
        return photactl_wrong(ctl, "no command");
    }

    name = ctl->nargs ? ctl->args[0] : "help";
    verb = (ctl->nargs > 1) ? ctl->args[1] : "";
    subject = 0;

    for (i = 0; i < PHOTACTL_COMMANDS; i++) {
        cmd = &photactl_commands[i];

        if (strcmp(cmd->name, name) != 0) {
            continue;
        }

        subject = 1;

        if (cmd->verb == NULL) {
            ctl->command = cmd;
            ctl->args += (ctl->nargs > 0);
            ctl->nargs -= (ctl->nargs > 0);
            return PHOTA_OK;
        }

        if (strcmp(cmd->verb, verb) == 0) {
            ctl->command = cmd;
            ctl->args += 2;
            ctl->nargs -= 2;
            return PHOTA_OK;
        }
    }

    return photactl_wrong(ctl, "%s%s%s: %s", name, *verb ? " " : "", verb,
                          subject && *verb == '\0' ? "not a whole command"
                                                   : "no such command");
}


static int
photactl_check(photactl_t *ctl)
{
    int                        i;
    uint64_t                   allowed;
    const photactl_command_t  *cmd;

    cmd = ctl->command;
    allowed = cmd->opts | PHOTACTL_COMMON_OPTS;

    for (i = 0; i < PHOTACTL_OPT_MAX; i++) {
        if (ctl->opts[i] != NULL && !(allowed & (uint64_t) 1 << i)) {
            return photactl_wrong(ctl, "%s: not an option of this command",
                                  photactl_opts[i].name);
        }
    }

    if (ctl->opts[PHOTACTL_OPT_HELP] != NULL) {
        return PHOTA_OK;
    }

    if (ctl->nargs < cmd->min_args || ctl->nargs > cmd->max_args) {
        return photactl_wrong(ctl, "%s", ctl->nargs < cmd->min_args
                              ? "an argument is missing"
                              : "too many arguments");
    }

    return PHOTA_OK;
}


/* what may be root's is opened before root becomes the owner of the data */

static int
photactl_prepare(photactl_t *ctl)
{
    int          rc;
    unsigned     flags;
    const char  *env;

    if (ctl->opts[PHOTACTL_OPT_HELP] != NULL) {
        if (ctl->command->handler == photactl_help) {
            return PHOTA_OK;
        }

        photactl_help_command(ctl->command, 0);
        return PHOTA_DECLINED;
    }

    env = getenv("PHOTA_DATA");
    ctl->data = (env != NULL && *env != '\0') ? env : PHOTACTL_DATA;

    env = getenv("PHOTA_MASTER_KEY");
    ctl->master_path = (env != NULL && *env != '\0') ? env
                                                     : PHOTACTL_MASTER_KEY;

    if (ctl->opts[PHOTACTL_OPT_DATA] != NULL) {
        ctl->data = ctl->opts[PHOTACTL_OPT_DATA];
    }

    if (ctl->opts[PHOTACTL_OPT_MASTER_KEY] != NULL) {
        ctl->master_path = ctl->opts[PHOTACTL_OPT_MASTER_KEY];
    }

    if (ctl->data[0] == '\0' || ctl->master_path[0] == '\0') {
        return photactl_wrong(ctl, "--data, --master-key: an empty path");
    }

    photactl_operator(ctl);

    flags = ctl->command->flags;

    if (photactl_needs_master(ctl)) {
        rc = phota_master_read(&ctl->master, ctl->master_path, &ctl->err);
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

    if (flags & (PHOTACTL_READ|PHOTACTL_WRITE)) {
        return photactl_open(ctl, (flags & PHOTACTL_WRITE)
                                  ? 0 : PHOTA_STORE_RDONLY);
    }

    return PHOTA_OK;
}


/* whether fences may go is seen by keys */

static int
photactl_needs_master(photactl_t *ctl)
{
    const char  *fences;

    fences = ctl->opts[PHOTACTL_OPT_FENCES];

    return (ctl->command->flags & PHOTACTL_MASTER)
           || (fences != NULL && strcmp(fences, "off") == 0);
}


static int
photactl_input(photactl_t *ctl)
{
    const char  *path;

    path = ctl->opts[PHOTACTL_OPT_BILL];

    if (path == NULL) {
        return photactl_wrong(ctl, "--bill is missing");
    }

    if (strcmp(path, "-") == 0) {
        return PHOTA_OK;
    }

    ctl->input = fopen(path, "re");

    if (ctl->input == NULL) {
        phota_error(&ctl->err, "\"%.128s\" can't be read: %s", path,
                    strerror(errno));
        return PHOTA_ERROR;
    }

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
        (void) printf("usage: photactl [--data DIR] [--master-key FILE]"
                      " [--json] COMMAND ...\n\n");
    }

    for (i = 0; i < PHOTACTL_COMMANDS; i++) {
        cmd = &photactl_commands[i];

        if (name == NULL || strcmp(cmd->name, name) == 0) {
            photactl_help_command(cmd, name == NULL ? 16 : 0);
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
photactl_help_command(const photactl_command_t *cmd, int width)
{
    char         name[32];
    const char  *verb;

    verb = (cmd->verb != NULL) ? cmd->verb : "";

    (void) snprintf(name, sizeof(name), "%s%s%s", cmd->name,
                    *verb ? " " : "", verb);

    if (width) {
        (void) printf("  %-*s  %s\n", width, name, cmd->help);
        return;
    }

    (void) printf("photactl %s%s%s\n    %s\n", name, *cmd->usage ? " " : "",
                  cmd->usage, cmd->help);
}


int
photactl_wrong(photactl_t *ctl, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(ctl->err.text, sizeof(ctl->err.text), fmt, args);
    va_end(args);

    return PHOTACTL_USAGE;
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

    (void) fprintf(stderr, "photactl: ");

    if (ctl->command != NULL) {
        (void) fprintf(stderr, "%s%s%s: ", ctl->command->name,
                       ctl->command->verb ? " " : "",
                       ctl->command->verb ? ctl->command->verb : "");
    }

    (void) fprintf(stderr, "%s", ctl->err.text);
}


static int
photactl_exit(photactl_t *ctl, int rc)
{
    photactl_close(ctl);
    free(ctl->words);

    if (ctl->input != NULL) {
        (void) fclose(ctl->input);
    }

    phota_cleanse(&ctl->master, sizeof(ctl->master));

    /* what nobody could read was not done */

    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (rc == PHOTA_OK || rc == PHOTA_DECLINED) {
            phota_error(&ctl->err, "the output can't be written");
            rc = PHOTA_ERROR;
        }
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
