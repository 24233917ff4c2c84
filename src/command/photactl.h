
/*
 * The command line over core/: what its files share.  A command is a row of a
 * table and one function; the rest (options, data directory, privileges,
 * output as table or JSON, exit codes) is done here once for all of them.
 */


#ifndef _PHOTACTL_H_INCLUDED_
#define _PHOTACTL_H_INCLUDED_


#include <stdio.h>

#include "phota_cache.h"
#include "phota_jobs.h"
#include "phota_ledger.h"
#include "phota_price.h"
#include "phota_profile.h"
#include "phota_tenant.h"


#define PHOTACTL_VERSION     "0.1.0"

#define PHOTACTL_DATA        "/var/lib/phota"
#define PHOTACTL_MASTER_KEY  "/etc/phota/master.key"

/* beside the codes of core/: the command line itself is wrong, exit code 2 */
#define PHOTACTL_USAGE       -20


typedef enum {
    PHOTACTL_OPT_DATA = 0,
    PHOTACTL_OPT_MASTER_KEY,
    PHOTACTL_OPT_JSON,
    PHOTACTL_OPT_HELP,
    PHOTACTL_OPT_VERSION,

    PHOTACTL_OPT_OWNER,
    PHOTACTL_OPT_CACHE_SCOPE,
    PHOTACTL_OPT_LABEL,
    PHOTACTL_OPT_EXPIRES,
    PHOTACTL_OPT_DEFAULT,
    PHOTACTL_OPT_OPERATION,
    PHOTACTL_OPT_USD,
    PHOTACTL_OPT_IDENTITY_USD,
    PHOTACTL_OPT_BASE_MODEL,
    PHOTACTL_OPT_RESOLUTION,
    PHOTACTL_OPT_PROVIDER,
    PHOTACTL_OPT_TENANT,
    PHOTACTL_OPT_FROM,
    PHOTACTL_OPT_TO,
    PHOTACTL_OPT_STATE,

    PHOTACTL_OPT_BUDGET_DAY,
    PHOTACTL_OPT_BUDGET_MONTH,
    PHOTACTL_OPT_BUDGET_TOTAL,
    PHOTACTL_OPT_TIME_ZONE,
    PHOTACTL_OPT_MARKUP,
    PHOTACTL_OPT_HIT_PRICE,
    PHOTACTL_OPT_JOIN_PRICE,
    PHOTACTL_OPT_FIXED_PRICE,
    PHOTACTL_OPT_ESTIMATE,

    PHOTACTL_OPT_BY,
    PHOTACTL_OPT_FORMAT,
    PHOTACTL_OPT_AFTER,
    PHOTACTL_OPT_CURSOR,
    PHOTACTL_OPT_BEFORE,
    PHOTACTL_OPT_OUTPUTS,
    PHOTACTL_OPT_IDENTITY,
    PHOTACTL_OPT_REASON,
    PHOTACTL_OPT_SETTLE,
    PHOTACTL_OPT_VOID,

    PHOTACTL_OPT_BILL,
    PHOTACTL_OPT_APPLY,
    PHOTACTL_OPT_ID_COLUMN,
    PHOTACTL_OPT_AMOUNT_COLUMN,
    PHOTACTL_OPT_TIME_COLUMN,
    PHOTACTL_OPT_OPERATION_COLUMN,
    PHOTACTL_OPT_OUTPUTS_COLUMN,
    PHOTACTL_OPT_IDENTITY_COLUMN,
    PHOTACTL_OPT_UNIT,

    PHOTACTL_OPT_FINGERPRINT,
    PHOTACTL_OPT_PROFILE,
    PHOTACTL_OPT_TAG,
    PHOTACTL_OPT_OLDER,
    PHOTACTL_OPT_ALL,
    PHOTACTL_OPT_MEND,

    PHOTACTL_OPT_CALLBACK_SECRET,
    PHOTACTL_OPT_FENCES,
    PHOTACTL_OPT_REFUND_ERROR,
    PHOTACTL_OPT_UNDELIVERED,
    PHOTACTL_OPT_MAX
} photactl_opt_e;


typedef struct photactl_command_s  photactl_command_t;


/* tenants by id, for the names that people read */

typedef struct {
    phota_tenant_t            *tenants;
    size_t                     n;
    size_t                     size;
} photactl_names_t;


typedef struct {
    const photactl_command_t  *command;
    const char                *opts[PHOTACTL_OPT_MAX];  /* NULL: not given */
    char                     **words;       /* all that are no options */
    char                     **args;        /* after the command's own */
    int                        nargs;

    const char                *data;
    const char                *master_path;

    phota_master_t             master;      /* if the command asks for it */
    FILE                      *input;       /* so too; NULL: stdin */
    phota_store_t              store;       /* the books, if it opens them */
    phota_tenants_t            tenants;
    phota_prices_t             prices;
    phota_ledger_t             ledger;
    phota_jobs_t               jobs;
    phota_profiles_t           profiles;
    photactl_names_t           names;

    char                       by[PHOTA_NAME_MAX + 1];  /* who is asking */

    phota_error_t              err;
} photactl_t;


typedef int (*photactl_handler_pt)(photactl_t *ctl);


/* what main does before the command's own function */

#define PHOTACTL_MASTER      0x01       /* reads the master key */
#define PHOTACTL_READ        0x02       /* opens the books to read */
#define PHOTACTL_WRITE       0x04       /* to write */
#define PHOTACTL_OWNER       0x08       /* no books, but their owner's rights */
#define PHOTACTL_INPUT       0x10       /* opens the file of --bill first */


struct photactl_command_s {
    const char                *name;
    const char                *verb;        /* NULL: has none */
    int                        min_args;
    int                        max_args;
    unsigned                   flags;
    uint64_t                   opts;        /* bits of photactl_opt_e */
    photactl_handler_pt        handler;
    const char                *usage;       /* its arguments */
    const char                *help;
};


/* the subjects */

int photactl_init(photactl_t *ctl);

int photactl_tenant_add(photactl_t *ctl);
int photactl_tenant_list(photactl_t *ctl);
int photactl_tenant_show(photactl_t *ctl);
int photactl_tenant_set(photactl_t *ctl);
int photactl_tenant_suspend(photactl_t *ctl);
int photactl_tenant_resume(photactl_t *ctl);
int photactl_tenant_remove(photactl_t *ctl);

int photactl_token_issue(photactl_t *ctl);
int photactl_token_list(photactl_t *ctl);
int photactl_token_show(photactl_t *ctl);
int photactl_token_set(photactl_t *ctl);
int photactl_token_revoke(photactl_t *ctl);

int photactl_key_set(photactl_t *ctl);
int photactl_key_remove(photactl_t *ctl);
int photactl_webhook_secret(photactl_t *ctl);

int photactl_price_list(photactl_t *ctl);
int photactl_price_add(photactl_t *ctl);
int photactl_price_import(photactl_t *ctl);

int photactl_profile_list(photactl_t *ctl);
int photactl_profile_adopt(photactl_t *ctl);
int photactl_profile_release(photactl_t *ctl);

int photactl_job_list(photactl_t *ctl);
int photactl_callback_list(photactl_t *ctl);
int photactl_callback_retry(photactl_t *ctl);

int photactl_usage(photactl_t *ctl);
int photactl_ledger_list(photactl_t *ctl);
int photactl_ledger_show(photactl_t *ctl);
int photactl_ledger_verify(photactl_t *ctl);
int photactl_ledger_reverse(photactl_t *ctl);
int photactl_ledger_archive(photactl_t *ctl);
int photactl_ledger_export(photactl_t *ctl);
int photactl_holds_list(photactl_t *ctl);
int photactl_holds_settle(photactl_t *ctl);
int photactl_holds_void(photactl_t *ctl);
int photactl_holds_deadline(photactl_t *ctl);
int photactl_reconcile(photactl_t *ctl);
int photactl_cache_stats(photactl_t *ctl);
int photactl_cache_list(photactl_t *ctl);
int photactl_cache_purge(photactl_t *ctl);
int photactl_cache_check(photactl_t *ctl);
int photactl_cache_compact(photactl_t *ctl);


/* privileges, directories, the books: photactl_open.c */

/* as root: becomes the owner of the data directory, for good */
int photactl_become(photactl_t *ctl, uid_t uid, gid_t gid);
int photactl_become_owner(photactl_t *ctl);

/*
 * "operator NAME", for entries: the login, or who called sudo.  Before root
 * becomes another.
 */
void photactl_operator(photactl_t *ctl);

/* flags of phota_store_open */
int photactl_open(photactl_t *ctl, unsigned flags);
void photactl_close(photactl_t *ctl);


/* what a word of the command line means: photactl_parse.c */

/* an option's time; *ms is kept when it isn't given */
int photactl_parse_time(photactl_t *ctl, photactl_opt_e opt, uint64_t *ms);

/* the same, or "+30d" (s, m, h, d, w) from now */
int photactl_parse_expiry(photactl_t *ctl, photactl_opt_e opt, uint64_t *ms);
int photactl_parse_duration(photactl_t *ctl, const char *text, uint64_t *ms);

int photactl_parse_usd(photactl_t *ctl, photactl_opt_e opt, int64_t *micro);
int photactl_parse_number(photactl_t *ctl, const char *text, uint32_t *n);

/* reads all tenants; then by id ("#7" in buf for an unknown one), by option */
int photactl_names_load(photactl_t *ctl);
const char *photactl_name(photactl_t *ctl, uint32_t id, char buf[16]);
int photactl_parse_tenant(photactl_t *ctl, photactl_opt_e opt,
    uint32_t *tenant);

/* also by number, as one that was removed */
int photactl_parse_whose(photactl_t *ctl, photactl_opt_e opt,
    uint32_t *tenant);

/* takes what looks like a token out of a text */
void photactl_conceal(char *text);

/* fills err with what is wrong with the command line */
int photactl_wrong(photactl_t *ctl, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


/* output: photactl_output.c */

typedef enum {
    PHOTACTL_TEXT = 0,
    PHOTACTL_NUMBER,                        /* may be less than 0 */
    PHOTACTL_MONEY,
    PHOTACTL_TIME,                          /* 0: none */
    PHOTACTL_BOOL
} photactl_kind_e;


typedef struct {
    const char                *key;         /* in JSON */
    const char                *title;       /* in a table, NULL: left out */
    photactl_kind_e            kind;
} photactl_column_t;


typedef struct {
    const char                *text;        /* NULL: null */
    uint64_t                   number;      /* and time, and bool */
    int64_t                    money;
} photactl_value_t;


#define photactl_text(s)    { .text = s }
#define photactl_number(n)  { .number = n }
#define photactl_time(ms)   { .number = ms }
#define photactl_bool(b)    { .number = b }
#define photactl_money(m)   { .money = m }


/*
 * Rows: with --json printed as they come, one object a line; else kept until
 * the end, when the widths are known.
 */

typedef struct {
    photactl_t                *ctl;
    const photactl_column_t   *columns;
    unsigned                   ncolumns;
    char                     **cells;
    size_t                     ncells;
    size_t                     size;
} photactl_table_t;


void photactl_table_init(photactl_table_t *table, photactl_t *ctl,
    const photactl_column_t *columns, unsigned ncolumns);
int photactl_table_row(photactl_table_t *table,
    const photactl_value_t *values);

/* prints what was kept, frees it */
int photactl_table_end(photactl_table_t *table);
void photactl_table_free(photactl_table_t *table);

/* a single thing: an object, or a line for each member */
int photactl_record(photactl_t *ctl, const photactl_column_t *columns,
    unsigned ncolumns, const photactl_value_t *values);

/* a JSON object of the values, NULL when there is no memory */
struct json_t *photactl_object(const photactl_column_t *columns,
    unsigned ncolumns, const photactl_value_t *values);

/* prints an object and a line end, and frees it */
int photactl_print(photactl_t *ctl, struct json_t *json);


#endif /* _PHOTACTL_H_INCLUDED_ */
