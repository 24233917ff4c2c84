
/*
 * Commands over core/: what their files share.  A command is a row of a table
 * and one function.  Who runs one, the command line or the API, prepares a
 * photactl_t with what it was told and with books that are open; a command
 * reads and writes nothing but what is in there, keeps nothing when it returns,
 * and never ends the process.
 */


#ifndef _PHOTACTL_H_INCLUDED_
#define _PHOTACTL_H_INCLUDED_


#include <stdio.h>

#include "phota_cache.h"
#include "phota_jobs.h"
#include "phota_ledger.h"
#include "phota_price.h"
#include "phota_profile.h"
#include "phota_replay.h"
#include "phota_tenant.h"


#define PHOTACTL_DATA        "/var/lib/phota"
#define PHOTACTL_MASTER_KEY  "/etc/phota/master.key"

/* beside the codes of core/: the command line itself is wrong, exit code 2 */
#define PHOTACTL_USAGE       -20

/* a handler of rows has enough of them: no error */
#define PHOTACTL_FULL        -21

/* done, and there are warnings: exit code 3 */
#define PHOTACTL_WARNED      -22

#define PHOTACTL_KEY_MAX     160        /* bytes of a row's place in a list */


typedef enum {
    PHOTACTL_OPT_DATA = 0,
    PHOTACTL_OPT_MASTER_KEY,
    PHOTACTL_OPT_OLD_MASTER_KEY,
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
    PHOTACTL_OPT_LIMIT,
    PHOTACTL_OPT_ADMIN,
    PHOTACTL_OPT_SCOPE,
    PHOTACTL_OPT_CONF,
    PHOTACTL_OPT_ONLINE,
    PHOTACTL_OPT_UPSTREAM,
    PHOTACTL_OPT_LOST,
    PHOTACTL_OPT_MAX
} photactl_opt_e;


typedef struct photactl_command_s  photactl_command_t;
typedef struct photactl_s          photactl_t;

typedef unsigned __int128          photactl_opts_t;     /* a bit for each */


typedef struct {
    const char                *name;        /* with its dashes */
    const char                *value;       /* NULL: takes none */
} photactl_option_t;


/* tenants by id, for the names that people read */

typedef struct {
    phota_tenant_t            *tenants;
    size_t                     n;
    size_t                     size;
} photactl_names_t;


/* which rows of a list are shown; places are bytes in the order of the list */

typedef struct {
    uint32_t                   limit;       /* 0: all */
    uint32_t                   shown;
    u_char                     after[PHOTACTL_KEY_MAX];
    size_t                     after_len;   /* 0: from the first */
    u_char                     last[PHOTACTL_KEY_MAX];  /* that was shown */
    size_t                     last_len;
    unsigned                   more:1;      /* there are rows behind it */
} photactl_page_t;


/* what only who runs a command can do for it */

typedef struct {

    /* something that its answer doesn't say */
    void                     (*note)(photactl_t *ctl, const char *text);

    /* what must not be seen; *len is the room in, the length out */
    int                      (*secret)(photactl_t *ctl, u_char *buf,
                                   size_t *len);

    /* the books once more, to read; NULL: they stay as they are */
    int                      (*reread)(photactl_t *ctl);
} photactl_host_t;


struct photactl_s {
    const photactl_command_t  *command;
    const photactl_host_t     *host;
    const char                *opts[PHOTACTL_OPT_MAX];  /* NULL: not given */
    char                     **args;        /* after the command's own */
    int                        nargs;
    FILE                      *out;
    unsigned                   width;       /* of the terminal, 0: is none */
    FILE                      *input;       /* what a command reads */
    const char                *input_name;

    const char                *data;
    phota_master_t             master;      /* if the command asks for it */
    phota_store_t             *store;       /* the books, if it opens them */
    phota_tenants_t            tenants;
    phota_prices_t             prices;
    phota_ledger_t             ledger;
    phota_jobs_t               jobs;
    phota_profiles_t           profiles;
    phota_replays_t            replays;
    photactl_names_t           names;

    /* books and cache are a worker's, who has them open: nobody opens more */
    unsigned                   lent:1;
    phota_store_t             *cache_store; /* NULL: is not open */
    phota_cache_t              cache;
    const char                *links;       /* where pictures are served, as a
                                               path, or NULL */

    char                       by[PHOTA_NAME_MAX + 1];  /* who is asking */

    phota_tenant_t             own;         /* a tenant who asks for its own */
    uint32_t                   own_token;
    phota_limits_t             own_limits;  /* of that token */

    const char                *blamed;      /* an option or argument that is
                                               wrong, as it was given */
    photactl_page_t            page;
    size_t                     most;        /* sums to show, 0: any number */
    char                       cursor[2 * PHOTACTL_KEY_MAX + 1];    /* where a
                                               list ended, "": nowhere */
    unsigned                   plain:1;     /* what was written is CSV */

    phota_error_t              err;
};


typedef int (*photactl_handler_pt)(photactl_t *ctl);


/* what is done before the command's own function */

#define PHOTACTL_MASTER      0x0001     /* reads the master key */
#define PHOTACTL_READ        0x0002     /* opens the books to read */
#define PHOTACTL_WRITE       0x0004     /* to write; with READ: if possible */
#define PHOTACTL_OWNER       0x0008     /* no books, but their owner's rights */
#define PHOTACTL_INPUT       0x0010     /* opens the file of --bill first */
#define PHOTACTL_CACHE       0x0020     /* looks at the cache */
#define PHOTACTL_EXPORT      0x0040     /* has cursors of its own */

/*
 * By which methods the API has it; none: not at all.  Of one that has both,
 * what is by GET takes no parameters.
 */

#define PHOTACTL_GET         0x0100
#define PHOTACTL_POST        0x0200
#define PHOTACTL_LIST        0x0400     /* its JSON is a row a line */
#define PHOTACTL_REPORT      0x0800     /* what it finds wrong is an answer */


struct photactl_command_s {
    const char                *name;
    const char                *verb;        /* NULL: has none */
    int                        min_args;
    int                        max_args;
    unsigned                   flags;
    photactl_opts_t            opts;        /* bits of photactl_opt_e */
    photactl_handler_pt        handler;     /* NULL: the command line's own */
    const char                *args;        /* their names for the API: the
                                               last one's may be many */
    const char                *input;       /* the same of what it reads */
    const char                *usage;       /* its arguments */
    const char                *help;
};


/* photactl_table.c */

extern const photactl_option_t  photactl_options[PHOTACTL_OPT_MAX];

/* NULL: there are no more */
const photactl_command_t *photactl_command(size_t n);

/* NULL: none; *subject: there are some of this name */
const photactl_command_t *photactl_command_find(const char *name,
    const char *verb, int *subject);

/* that options and arguments are the command's */
int photactl_check(photactl_t *ctl);
int photactl_needs_master(const photactl_t *ctl);


/* the subjects */

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

/* what a tenant may know: nothing of others; no command of operators */
extern const photactl_command_t  photactl_own_usage;

int photactl_ledger_list(photactl_t *ctl);
int photactl_ledger_show(photactl_t *ctl);
int photactl_ledger_pictures(photactl_t *ctl);
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
int photactl_openapi(photactl_t *ctl);


/* photactl_books.c */

/* the tables of books that are open */
int photactl_attach(photactl_t *ctl, phota_store_t *store);

/* whether workers may be at work: then what they send isn't pulled away */
int photactl_inhabited(photactl_t *ctl);


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

/* fills err with what is wrong with the command line */
int photactl_wrong(photactl_t *ctl, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* takes what looks like a token out of a text */
void photactl_conceal(char *text);


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

/* something beside the answer */
void photactl_note(photactl_t *ctl, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* shows what could be read, whatever else couldn't; returns what is worse */
int photactl_table_close(photactl_table_t *table, int rc);


/* pages: photactl_page.c */

/* --limit and --after */
int photactl_page_open(photactl_t *ctl);

/*
 * Whether the row at this place is shown: PHOTA_OK, PHOTA_DECLINED when it lies
 * before the page, PHOTACTL_FULL when the page is full.
 */
int photactl_page(photactl_t *ctl, const void *place, size_t len);

/* the same for rows that are numbered */
int photactl_page_number(photactl_t *ctl, uint64_t number);

/* when all rows were visited: where the next page begins */
void photactl_page_close(photactl_t *ctl);


#endif /* _PHOTACTL_H_INCLUDED_ */
