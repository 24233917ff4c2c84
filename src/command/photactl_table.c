
/*
 * The table of commands and of their options: what the command line, the API
 * and its description are made from.  Nothing here is said anywhere else.
 */


#include <limits.h>
#include <string.h>

#include "photactl.h"


#define PHOTACTL_ANY          INT_MAX   /* arguments */

#define opt(name)             ((photactl_opts_t) 1 << PHOTACTL_OPT_##name)

#define PHOTACTL_BUDGET_OPTS                                                  \
    (opt(BUDGET_DAY)|opt(BUDGET_MONTH)|opt(BUDGET_TOTAL))
#define PHOTACTL_PAGE_OPTS    (opt(LIMIT)|opt(AFTER))
#define PHOTACTL_COMMON_OPTS                                                  \
    (opt(DATA)|opt(MASTER_KEY)|opt(OLD_MASTER_KEY)|opt(JSON)|opt(HELP))


_Static_assert(PHOTACTL_OPT_MAX <= 8 * sizeof(photactl_opts_t),
               "a bit for each option");


const photactl_option_t  photactl_options[PHOTACTL_OPT_MAX] = {
    [PHOTACTL_OPT_DATA] = { "--data", "DIR" },
    [PHOTACTL_OPT_MASTER_KEY] = { "--master-key", "FILE" },
    [PHOTACTL_OPT_OLD_MASTER_KEY] = { "--old-master-key", "FILE" },
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
    [PHOTACTL_OPT_UNDELIVERED] = { "--undelivered", NULL },
    [PHOTACTL_OPT_LIMIT] = { "--limit", "N" },
    [PHOTACTL_OPT_ADMIN] = { "--admin", NULL },
    [PHOTACTL_OPT_SCOPE] = { "--scope", "read|write" },
    [PHOTACTL_OPT_CONF] = { "--conf", "FILE|-" },
    [PHOTACTL_OPT_ONLINE] = { "--online", NULL },
    [PHOTACTL_OPT_UPSTREAM] = { "--upstream", "URL" },
    [PHOTACTL_OPT_LOST] = { "--lost", NULL }
};


static const photactl_command_t  photactl_commands[] = {

    { "init", NULL, 0, 0, 0,
      opt(OWNER), NULL, NULL, NULL,
      "[--owner USER]",
      "make data directory, books and master key where missing" },

    { "tenant", "add", 1, 1, PHOTACTL_WRITE|PHOTACTL_POST,
      0, photactl_tenant_add, "tenant", NULL,
      "NAME",
      "a new tenant" },

    { "tenant", "list", 0, 0, PHOTACTL_READ|PHOTACTL_GET|PHOTACTL_LIST,
      PHOTACTL_PAGE_OPTS, photactl_tenant_list, NULL, NULL,
      "[--limit N] [--after CURSOR]",
      "all tenants" },

    { "tenant", "show", 1, 1, PHOTACTL_READ|PHOTACTL_GET,
      0, photactl_tenant_show, "tenant", NULL,
      "NAME",
      "one tenant, what it owes and spent" },

    { "tenant", "set", 1, 1, PHOTACTL_WRITE|PHOTACTL_POST,
      PHOTACTL_BUDGET_OPTS|opt(TIME_ZONE)|opt(MARKUP)|opt(HIT_PRICE)
      |opt(JOIN_PRICE)|opt(FIXED_PRICE)|opt(CACHE_SCOPE)|opt(FENCES),
      photactl_tenant_set, "tenant", NULL,
      "NAME [--budget-day|-month|-total AMOUNT|none] [--time-zone ZONE]"
      " [--markup P%] [--hit-price free|P%|full] [--join-price"
      " free|P%|full] [--fixed-price OPERATION=USD[/USD],...|none]"
      " [--cache-scope own|shared] [--fences on|off]",
      "budgets, what it owes, whose cached results it gets" },

    { "tenant", "suspend", 1, 1, PHOTACTL_WRITE|PHOTACTL_POST,
      0, photactl_tenant_suspend, "tenant", NULL,
      "NAME",
      "refuse its calls" },

    { "tenant", "resume", 1, 1, PHOTACTL_WRITE|PHOTACTL_POST,
      0, photactl_tenant_resume, "tenant", NULL,
      "NAME",
      "take its calls again" },

    { "tenant", "remove", 1, 1, PHOTACTL_WRITE|PHOTACTL_POST|PHOTACTL_CACHE,
      0, photactl_tenant_remove, "tenant", NULL,
      "NAME",
      "erase all that is its own, but no money; for good" },

    { "token", "issue", 0, 1, PHOTACTL_WRITE|PHOTACTL_POST,
      opt(LABEL)|opt(EXPIRES)|PHOTACTL_BUDGET_OPTS|opt(ADMIN)|opt(SCOPE),
      photactl_token_issue, "tenant", NULL,
      "NAME [--label TEXT] [--expires TIME|+30d]"
      " [--budget-day|-month|-total AMOUNT|none]"
      " | --admin [--scope read|write] [--label TEXT] [--expires TIME|+30d]",
      "print a new token of a tenant, or an operator, once" },

    { "token", "list", 0, 1, PHOTACTL_READ|PHOTACTL_GET|PHOTACTL_LIST,
      opt(ADMIN)|PHOTACTL_PAGE_OPTS, photactl_token_list, "tenant", NULL,
      "[NAME | --admin] [--limit N] [--after CURSOR]",
      "tokens, never their text" },

    { "token", "show", 1, 1, PHOTACTL_READ|PHOTACTL_GET,
      0, photactl_token_show, "token", NULL,
      "ID",
      "one token, what it spent" },

    { "token", "set", 1, 1, PHOTACTL_WRITE|PHOTACTL_POST,
      opt(LABEL)|PHOTACTL_BUDGET_OPTS, photactl_token_set, "token", NULL,
      "ID [--label TEXT] [--budget-day|-month|-total AMOUNT|none]",
      "what a token may spend" },

    { "token", "revoke", 1, 1, PHOTACTL_WRITE|PHOTACTL_POST,
      0, photactl_token_revoke, "token", NULL,
      "ID",
      "make a token void, for good" },

    { "key", "set", 0, 1, PHOTACTL_WRITE|PHOTACTL_MASTER|PHOTACTL_POST,
      opt(DEFAULT)|opt(PROVIDER)|opt(CALLBACK_SECRET),
      photactl_key_set, "tenant", "secret",
      "NAME | --default [--provider NAME] [--callback-secret]",
      "seal the upstream key that stdin gives" },

    { "key", "remove", 0, 1, PHOTACTL_WRITE|PHOTACTL_POST,
      opt(DEFAULT)|opt(PROVIDER)|opt(CALLBACK_SECRET),
      photactl_key_remove, "tenant", NULL,
      "NAME | --default [--provider NAME] [--callback-secret]",
      "forget an upstream key" },

    { "webhook-secret", NULL, 1, 1,
      PHOTACTL_READ|PHOTACTL_MASTER|PHOTACTL_POST,
      0, photactl_webhook_secret, "tenant", NULL,
      "NAME",
      "what the tenant's callbacks are signed with" },

    { "profile", "list", 0, 0, PHOTACTL_READ|PHOTACTL_GET|PHOTACTL_LIST,
      opt(TENANT)|PHOTACTL_PAGE_OPTS, photactl_profile_list, NULL, NULL,
      "[--tenant NAME] [--limit N] [--after CURSOR]",
      "profiles and whose they are" },

    { "profile", "adopt", 2, PHOTACTL_ANY, PHOTACTL_WRITE|PHOTACTL_POST,
      opt(TAG), photactl_profile_adopt, "tenant profile", NULL,
      "NAME ID... | - [--tag TAG]",
      "make profiles a tenant's that were there before" },

    { "profile", "release", 2, 2, PHOTACTL_WRITE|PHOTACTL_POST,
      0, photactl_profile_release, "tenant profile", NULL,
      "NAME ID",
      "make a profile nobody's again" },

    { "job", "list", 0, 0, PHOTACTL_READ|PHOTACTL_GET|PHOTACTL_LIST,
      opt(TENANT)|opt(STATE)|PHOTACTL_PAGE_OPTS, photactl_job_list, NULL, NULL,
      "[--tenant NAME] [--state open|done|failed|lost] [--limit N]"
      " [--after CURSOR]",
      "jobs of the upstream's that are followed, or were" },

    { "callback", "list", 0, 0, PHOTACTL_READ|PHOTACTL_GET|PHOTACTL_LIST,
      opt(TENANT)|opt(UNDELIVERED)|PHOTACTL_PAGE_OPTS,
      photactl_callback_list, NULL, NULL,
      "[--tenant NAME] [--undelivered] [--limit N] [--after CURSOR]",
      "what tenants are to be told, and what became of it" },

    { "callback", "retry", 0, 1, PHOTACTL_WRITE|PHOTACTL_POST,
      opt(ALL), photactl_callback_retry, "job", NULL,
      "JOB | --all",
      "deliver now what couldn't be delivered" },

    { "price", "list", 0, 0, PHOTACTL_READ|PHOTACTL_GET|PHOTACTL_LIST,
      PHOTACTL_PAGE_OPTS, photactl_price_list, NULL, NULL,
      "[--limit N] [--after CURSOR]",
      "all prices" },

    { "price", "add", 0, 0, PHOTACTL_WRITE|PHOTACTL_POST,
      opt(OPERATION)|opt(USD)|opt(IDENTITY_USD)|opt(BASE_MODEL)
      |opt(RESOLUTION)|opt(PROVIDER)|opt(TENANT)|opt(FROM)|opt(ESTIMATE)
      |opt(REFUND_ERROR), photactl_price_add, NULL, NULL,
      "--operation NAME --usd AMOUNT [--identity-usd AMOUNT]"
      " [--base-model NAME] [--resolution NAME] [--provider NAME]"
      " [--tenant NAME] [--from TIME] [--estimate] [--refund-error]",
      "a price of an output" },

    { "price", "import", 1, 1, PHOTACTL_WRITE|PHOTACTL_POST,
      0, photactl_price_import, "-", "prices",
      "FILE|-",
      "a list of prices as CSV, all or none" },

    { "usage", NULL, 0, 0, PHOTACTL_READ|PHOTACTL_GET,
      opt(TENANT)|opt(FROM)|opt(TO)|opt(BY), photactl_usage, NULL, NULL,
      "[--tenant NAME] [--from DAY] [--to DAY] [--by"
      " operation|day|token|tag]",
      "sums by tenant and operation" },

    { "ledger", "list", 0, 0, PHOTACTL_READ|PHOTACTL_GET|PHOTACTL_LIST,
      opt(TENANT)|opt(STATE)|opt(FROM)|opt(TO)|PHOTACTL_PAGE_OPTS,
      photactl_ledger_list, NULL, NULL,
      "[--tenant NAME] [--state STATE] [--from TIME] [--to TIME] [--limit"
      " N] [--after CURSOR]",
      "charges as they stand" },

    { "ledger", "show", 1, 1, PHOTACTL_READ|PHOTACTL_GET,
      0, photactl_ledger_show, "charge", NULL,
      "CHARGE",
      "one charge and its entries, archived ones too" },

    { "ledger", "pictures", 1, 1,
      PHOTACTL_READ|PHOTACTL_MASTER|PHOTACTL_GET|PHOTACTL_LIST
      |PHOTACTL_CACHE,
      0, photactl_ledger_pictures, "charge", NULL,
      "CHARGE",
      "links to a charge's pictures, as far as they are cached" },

    { "ledger", "verify", 0, 0, PHOTACTL_READ|PHOTACTL_GET|PHOTACTL_REPORT,
      0, photactl_ledger_verify, NULL, NULL,
      "",
      "check the chain of entries and all sums" },

    { "ledger", "reverse", 1, 1, PHOTACTL_WRITE|PHOTACTL_POST,
      opt(REASON), photactl_ledger_reverse, "charge", NULL,
      "CHARGE --reason TEXT",
      "take a settled charge back" },

    { "ledger", "archive", 0, 0, PHOTACTL_WRITE|PHOTACTL_POST,
      opt(BEFORE), photactl_ledger_archive, NULL, NULL,
      "--before DAY",
      "move entries of closed days to a file" },

    { "ledger", "export", 0, 0,
      PHOTACTL_READ|PHOTACTL_WRITE|PHOTACTL_GET|PHOTACTL_LIST
      |PHOTACTL_EXPORT,
      opt(FORMAT)|opt(AFTER)|opt(CURSOR)|opt(TENANT)|opt(TO)|opt(LABEL)
      |opt(LIMIT), photactl_ledger_export, NULL, NULL,
      "[--format csv|json|cloudevents|focus] [--after CURSOR | --cursor"
      " FILE] [--to TIME] [--tenant NAME] [--label ISSUER] [--limit N]",
      "entries that moved money, from where the last one ended" },

    { "holds", "list", 0, 0, PHOTACTL_READ|PHOTACTL_GET|PHOTACTL_LIST,
      opt(TENANT)|PHOTACTL_PAGE_OPTS, photactl_holds_list, NULL, NULL,
      "[--tenant NAME] [--limit N] [--after CURSOR]",
      "charges that are held or unknown" },

    { "holds", "settle", 1, 1, PHOTACTL_WRITE|PHOTACTL_POST,
      opt(OUTPUTS)|opt(IDENTITY)|opt(USD)|opt(REASON),
      photactl_holds_settle, "charge", NULL,
      "CHARGE [--outputs N [--identity N]] [--usd AMOUNT] --reason TEXT",
      "it was bought: as held for, or so many, or for that cost" },

    { "holds", "void", 1, 1, PHOTACTL_WRITE|PHOTACTL_POST,
      opt(REASON), photactl_holds_void, "charge", NULL,
      "CHARGE --reason TEXT",
      "it was not bought" },

    { "holds", "deadline", 0, 1, PHOTACTL_WRITE|PHOTACTL_GET|PHOTACTL_POST,
      opt(SETTLE)|opt(VOID), photactl_holds_deadline, "duration", NULL,
      "[none | DURATION --settle|--void]",
      "what becomes of unknown ones after a time" },

    { "reconcile", NULL, 0, 0,
      PHOTACTL_WRITE|PHOTACTL_INPUT|PHOTACTL_POST|PHOTACTL_LIST
      |PHOTACTL_REPORT,
      opt(BILL)|opt(APPLY)|opt(ID_COLUMN)|opt(AMOUNT_COLUMN)|opt(TIME_COLUMN)
      |opt(OPERATION_COLUMN)|opt(OUTPUTS_COLUMN)|opt(IDENTITY_COLUMN)
      |opt(UNIT)|opt(TENANT)|opt(FROM)|opt(TO),
      photactl_reconcile, NULL, "bill",
      "--bill FILE|- [--apply] [--from TIME] [--to TIME] [--tenant NAME]"
      " [--id-column NAME] [--amount-column NAME] [--time-column NAME]"
      " [--operation-column NAME] [--outputs-column NAME]"
      " [--identity-column NAME] [--unit usd|cents|micro]",
      "compare the provider's bill with the books, and correct them" },

    { "cache", "stats", 0, 0, PHOTACTL_OWNER|PHOTACTL_GET|PHOTACTL_CACHE,
      0, photactl_cache_stats, NULL, NULL,
      "",
      "how much is cached" },

    { "cache", "list", 0, 0,
      PHOTACTL_READ|PHOTACTL_GET|PHOTACTL_LIST|PHOTACTL_CACHE,
      opt(TENANT)|PHOTACTL_PAGE_OPTS, photactl_cache_list, NULL, NULL,
      "[--tenant NAME] [--limit N] [--after CURSOR]",
      "cached results" },

    { "cache", "purge", 0, 0, PHOTACTL_READ|PHOTACTL_POST|PHOTACTL_CACHE,
      opt(TENANT)|opt(FINGERPRINT)|opt(PROFILE)|opt(TAG)|opt(OLDER)|opt(ALL),
      photactl_cache_purge, NULL, NULL,
      "[--tenant NAME] [--fingerprint HEX] [--profile ID] [--tag TAG]"
      " [--older TIME|AGE] | --all",
      "remove the results to which all of it applies" },

    { "cache", "check", 0, 0,
      PHOTACTL_OWNER|PHOTACTL_REPORT
      |PHOTACTL_CACHE,
      opt(MEND), photactl_cache_check, NULL, NULL,
      "[--mend]",
      "read every byte; remove what is damaged" },

    { "cache", "compact", 0, 0, PHOTACTL_OWNER,
      0, photactl_cache_compact, NULL, NULL,
      "",
      "write it anew, without what was deleted" },

    { "doctor", NULL, 0, 0, 0,
      opt(CONF)|opt(ONLINE)|opt(UPSTREAM)|opt(ALL), NULL, NULL, NULL,
      "[--conf FILE|-] [--online [--upstream URL]] [--all]",
      "what is wrong, and the command that mends it" },

    { "completion", NULL, 1, 1, 0,
      0, NULL, NULL, NULL,
      "bash",
      "a script that completes command lines of photactl" },

    { "backup", NULL, 1, 1, 0,
      0, NULL, NULL, NULL,
      "DIR",
      "a verified copy of the books, nginx running or not" },

    { "restore", NULL, 1, 1, 0,
      opt(OWNER), NULL, NULL, NULL,
      "DIR --data NEW [--owner USER]",
      "make a new data directory of a backup" },

    { "rekey", NULL, 0, 0, PHOTACTL_WRITE|PHOTACTL_MASTER,
      opt(LOST), NULL, NULL, NULL,
      "--master-key NEW --old-master-key OLD | --lost",
      "seal all keys under a new master key, nginx running or not" },

    { "migrate", NULL, 0, 0, 0,
      0, NULL, NULL, NULL,
      "",
      "bring the books of an older version along, nginx stopped" },

    { "openapi", NULL, 0, 0, PHOTACTL_GET,
      0, photactl_openapi, NULL, NULL,
      "",
      "the API's description, OpenAPI 3.1" },

    { "help", NULL, 0, 1, 0,
      0, NULL, NULL, NULL,
      "[COMMAND]",
      "this list" }
};


#define PHOTACTL_COMMANDS                                                     \
    (sizeof(photactl_commands) / sizeof(photactl_command_t))


const photactl_command_t *
photactl_command(size_t n)
{
    return (n < PHOTACTL_COMMANDS) ? &photactl_commands[n] : NULL;
}


const photactl_command_t *
photactl_command_find(const char *name, const char *verb, int *subject)
{
    size_t                     i;
    const photactl_command_t  *cmd;

    *subject = 0;

    for (i = 0; i < PHOTACTL_COMMANDS; i++) {
        cmd = &photactl_commands[i];

        if (strcmp(cmd->name, name) != 0) {
            continue;
        }

        *subject = 1;

        if (cmd->verb == NULL || strcmp(cmd->verb, verb) == 0) {
            return cmd;
        }
    }

    return NULL;
}


int
photactl_check(photactl_t *ctl)
{
    int                        i;
    photactl_opts_t            allowed;
    const photactl_command_t  *cmd;

    cmd = ctl->command;
    allowed = cmd->opts | PHOTACTL_COMMON_OPTS;

    for (i = 0; i < PHOTACTL_OPT_MAX; i++) {
        if (ctl->opts[i] != NULL && !(allowed >> i & 1)) {
            return photactl_wrong(ctl, "%s: not an option of this command",
                                  photactl_options[i].name);
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

    return photactl_page_open(ctl);
}


/* whether fences may go is seen by keys */

int
photactl_needs_master(const photactl_t *ctl)
{
    const char  *fences;

    fences = ctl->opts[PHOTACTL_OPT_FENCES];

    return (ctl->command->flags & PHOTACTL_MASTER)
           || (fences != NULL && strcmp(fences, "off") == 0);
}
