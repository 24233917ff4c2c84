
/*
 * The books as a program of lines: a command a line on stdin, its fields parted
 * by tabs, answered by rows and a last line "= RESULT".  What writes outside of
 * "begin" and "commit" has a transaction of its own.
 */


#include "books.h"


#define BOOKS_MAP       ((size_t) 256 << 20)
#define BOOKS_FIELDS    64
#define BOOKS_LINE      4096


typedef int (*books_pt)(char **arg);


typedef struct {
    const char           *name;
    unsigned              nargs;
    books_pt              handler;
    unsigned              writes:1;
} books_command_t;


char               books_extra[256];
MDB_txn           *books_txn;
phota_error_t      books_err;
phota_store_t      books_store;
phota_ledger_t     books_ledger;
phota_prices_t     books_prices;
phota_replays_t    books_replays;
phota_tenants_t    books_tenants;

static int         books_opened;
static int         books_grouped;


static const char *
books_result(int rc)
{
    switch (rc) {
    case PHOTA_OK:
        return "OK";
    case PHOTA_INVALID:
        return "INVALID";
    case PHOTA_DECLINED:
        return "DECLINED";
    case PHOTA_REFUSED:
        return "REFUSED";
    case PHOTA_EXCEEDED:
        return "EXCEEDED";
    default:
        return "ERROR";
    }
}


/* opening, closing, time, faults */

static int
books_cmd_open(char **arg)
{
    int  rc;

    rc = phota_store_open(&books_store, arg[0], "books", PHOTA_BOOKS_SCHEMA,
                          BOOKS_MAP, PHOTA_STORE_CREATE, &books_err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    books_opened = 1;

    if (phota_ledger_open(&books_ledger, &books_store, &books_err) != PHOTA_OK
        || phota_prices_open(&books_prices, &books_store, &books_err)
           != PHOTA_OK
        || phota_replays_open(&books_replays, &books_store, &books_err)
           != PHOTA_OK
        || phota_tenants_open(&books_tenants, &books_store, &books_err)
           != PHOTA_OK
        || phota_ledger_own(&books_ledger, &books_err) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    (void) snprintf(books_extra, sizeof(books_extra), "\t%llu",
                    (unsigned long long) books_ledger.self.epoch);

    return PHOTA_OK;
}


static int
books_cmd_abort(char **arg)
{
    (void) arg;

    if (books_txn != NULL) {
        phota_store_abort(books_txn);
    }

    books_txn = NULL;
    books_grouped = 0;

    return PHOTA_OK;
}


static int
books_cmd_close(char **arg)
{
    if (books_opened) {
        (void) books_cmd_abort(arg);
        books_forget();
        phota_ledger_close(&books_ledger);
        phota_store_close(&books_store);
    }

    books_opened = 0;

    return PHOTA_OK;
}


static int
books_cmd_clock(char **arg)
{
    books_clock = (uint64_t) books_number(arg[0]);

    return PHOTA_OK;
}


/* the operation to come, and 0 or the number of the error */

static int
books_cmd_fault(char **arg)
{
    books_count = books_number(arg[0]);
    books_errno = (int) books_number(arg[1]);

    return PHOTA_OK;
}


static int
books_cmd_begin(char **arg)
{
    int  rc;

    (void) arg;

    rc = books_refresh();

    if (rc == PHOTA_OK) {
        rc = phota_store_begin(&books_store, 1, &books_txn, &books_err);
    }

    books_grouped = (rc == PHOTA_OK);

    return rc;
}


static int
books_cmd_commit(char **arg)
{
    int  rc;

    (void) arg;

    if (!books_grouped) {
        return PHOTA_DECLINED;
    }

    rc = phota_store_commit(books_txn, &books_err);

    books_txn = NULL;
    books_grouped = 0;

    return rc;
}


static const books_command_t  books_commands[] = {
    { "open", 1, books_cmd_open, 0 },
    { "close", 0, books_cmd_close, 0 },
    { "clock", 1, books_cmd_clock, 0 },
    { "fault", 2, books_cmd_fault, 0 },
    { "begin", 0, books_cmd_begin, 0 },
    { "commit", 0, books_cmd_commit, 0 },
    { "abort", 0, books_cmd_abort, 0 },
    { "tenant-add", 1, books_cmd_tenant_add, 0 },
    { "limits", 4, books_cmd_limits, 0 },
    { "plan", 12, books_cmd_plan, 0 },
    { "zone", 2, books_cmd_zone, 0 },
    { "token-add", 4, books_cmd_token_add, 0 },
    { "token-limits", 4, books_cmd_token_limits, 0 },
    { "price", 9, books_cmd_price, 0 },
    { "hold", 10, books_cmd_hold, 1 },
    { "sell", 13, books_cmd_sell, 1 },
    { "book", 21, books_cmd_book, 1 },
    { "accept", 3, books_cmd_accept, 1 },
    { "end", 12, books_cmd_end, 1 },
    { "resolve", 12, books_cmd_resolve, 1 },
    { "correct", 12, books_cmd_correct, 1 },
    { "reverse", 4, books_cmd_reverse, 1 },
    { "hit", 7, books_cmd_hit, 1 },
    { "tally", 1, books_cmd_tally, 1 },
    { "deadline", 2, books_cmd_deadline, 1 },
    { "expire", 1, books_cmd_expire, 1 },
    { "replay", 3, books_cmd_replay, 1 },
    { "replayed", 2, books_cmd_replayed, 0 },
    { "usage", 3, books_cmd_usage, 0 },
    { "archive", 1, books_cmd_archive, 0 },
    { "dump", 0, books_cmd_dump, 0 },
    { NULL, 0, NULL, 0 }
};


static int
books_run(const books_command_t *command, char **arg)
{
    int  rc;

    if (!command->writes || books_grouped) {
        return command->handler(arg);
    }

    rc = books_cmd_begin(arg);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = command->handler(arg);

    if (rc == PHOTA_ERROR) {
        (void) books_cmd_abort(arg);
        return rc;
    }

    return books_cmd_commit(arg) == PHOTA_OK ? rc : PHOTA_ERROR;
}


static int
books_line(char *line)
{
    int                     rc;
    char                   *arg[BOOKS_FIELDS];
    unsigned                n;
    const books_command_t  *command;

    line[strcspn(line, "\n")] = '\0';

    for (n = 0; line != NULL && n < BOOKS_FIELDS; n++) {
        arg[n] = strsep(&line, "\t");
    }

    for (command = books_commands; command->name != NULL; command++) {
        if (strcmp(command->name, arg[0]) == 0) {
            break;
        }
    }

    if (command->name == NULL || n - 1 < command->nargs) {
        fprintf(stderr, "books: \"%s\" with %u fields?\n", arg[0], n - 1);
        return PHOTA_ERROR;
    }

    books_extra[0] = '\0';
    books_err.text[0] = '\0';

    rc = books_run(command, arg + 1);

    if (command->handler != books_cmd_fault) {
        books_count = 0;
    }

    printf("= %s%s%s%s\n", books_result(rc), books_extra,
           rc == PHOTA_OK ? "" : "\t# ", rc == PHOTA_OK ? "" : books_err.text);

    return fflush(stdout) == 0 ? PHOTA_OK : PHOTA_ERROR;
}


int
main(void)
{
    char  line[BOOKS_LINE];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (books_line(line) != PHOTA_OK) {
            return 2;
        }
    }

    (void) books_cmd_abort(NULL);
    (void) books_cmd_close(NULL);

    return 0;
}
