
/*
 * The books as a program of lines: a command a line on stdin, its fields parted
 * by tabs, answered by rows and a last line "= RESULT".  Time is what "clock"
 * says.  A file operation to come can be made to kill the process or to fail,
 * so that a history breaks where no test could aim; nothing is synced, for what
 * a killed process has written stays.
 */


#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "phota_ledger.h"
#include "phota_price.h"
#include "phota_replay.h"
#include "phota_tenant.h"


#define BOOKS_MAP       ((size_t) 256 << 20)
#define BOOKS_FIELDS    64
#define BOOKS_LINE      4096
#define BOOKS_TENANTS   16
#define BOOKS_TOKENS    32
#define BOOKS_ROWS      4


typedef int (*books_pt)(char **arg);


typedef struct {
    const char           *name;
    unsigned              nargs;
    books_pt              handler;
    unsigned              writes:1;
} books_command_t;


/* what a worker has in memory; read again when the generation has changed */

typedef struct {
    uint64_t              generation;
    unsigned              ntenants;
    unsigned              ntokens;
    phota_tenant_t        tenants[BOOKS_TENANTS];
    phota_token_t         tokens[BOOKS_TOKENS];
    phota_directory_t    *directory;
    phota_price_list_t   *prices;
} books_snapshot_t;


static int                books_opened;
static int                books_grouped;
static char               books_extra[256];
static int64_t            books_count;      /* file operations to go */
static int                books_errno;      /* 0: they end in a kill */
static MDB_txn           *books_txn;
static uint64_t           books_clock;
static phota_error_t      books_err;
static phota_store_t      books_store;
static phota_ledger_t     books_ledger;
static phota_prices_t     books_prices;
static phota_replays_t    books_replays;
static phota_tenants_t    books_tenants;
static books_snapshot_t   books_now;


/* these take the place of libc's for this program */

int
clock_gettime(clockid_t id, struct timespec *ts)
{
    if (id != CLOCK_REALTIME) {
        return (int) syscall(SYS_clock_gettime, id, ts);
    }

    ts->tv_sec = (time_t) (books_clock / 1000);
    ts->tv_nsec = (long) (books_clock % 1000 * 1000000);

    return 0;
}


static int
books_fault(void)
{
    if (books_count == 0 || --books_count > 0) {
        return 0;
    }

    if (books_errno == 0) {
        (void) kill(getpid(), SIGKILL);
    }

    errno = books_errno;
    return -1;
}


ssize_t
write(int fd, const void *p, size_t n)
{
    return books_fault() ? -1 : syscall(SYS_write, fd, p, n);
}


ssize_t
pwrite(int fd, const void *p, size_t n, off_t offset)
{
    return books_fault() ? -1 : syscall(SYS_pwrite64, fd, p, n, offset);
}


ssize_t
pwrite64(int fd, const void *p, size_t n, off64_t offset)
{
    return books_fault() ? -1 : syscall(SYS_pwrite64, fd, p, n, offset);
}


ssize_t
writev(int fd, const struct iovec *iov, int n)
{
    return books_fault() ? -1 : syscall(SYS_writev, fd, iov, n);
}


int
fsync(int fd)
{
    (void) fd;

    return books_fault();
}


int
fdatasync(int fd)
{
    (void) fd;

    return books_fault();
}


int
msync(void *p, size_t n, int flags)
{
    (void) p;
    (void) n;
    (void) flags;

    return books_fault();
}


int
rename(const char *from, const char *to)
{
    return books_fault() ? -1
                         : (int) syscall(SYS_renameat2, -100, from, -100, to,
                                         0);
}


static int64_t
books_number(const char *text)
{
    return strtoll(text, NULL, 10);
}


static void
books_text(char *to, size_t size, const char *from)
{
    (void) snprintf(to, size, "%s", from);
}


static void
books_id(phota_id_t *id, const char *text)
{
    if (phota_hex_parse(id->b, sizeof(id->b), text, strlen(text))
        != PHOTA_OK)
    {
        fprintf(stderr, "books: \"%s\" is no id\n", text);
        exit(2);
    }
}


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


static void
books_print_sum(const phota_sum_t *sum)
{
    printf("\t%lld\t%lld\t%lld\t%lld\t%lld\t%lld\t%lld",
           (long long) sum->calls, (long long) sum->hits,
           (long long) sum->outputs, (long long) sum->identity_outputs,
           (long long) sum->cost, (long long) sum->price,
           (long long) sum->saved);
}


static void
books_print_terms(const phota_terms_t *terms)
{
    printf("\t%lld\t%lld\t%lld\t%lld\t%d\t%u\t%u\t%u",
           (long long) terms->rate, (long long) terms->identity_rate,
           (long long) terms->fixed, (long long) terms->fixed_identity,
           terms->markup, terms->share, terms->version, terms->flags);
}


static int
books_print_charge(void *ctx, const phota_charge_t *c)
{
    char  id[2 * sizeof(phota_id_t) + 1];

    phota_hex_format(id, c->id.b, sizeof(c->id.b));

    printf("%s\t%s\t%llu\t%llu\t%u\t%u\t%u\t%u\t%u\t%u\t%u\t%u\t%llu\t%u\t%u",
           (char *) ctx, id, (unsigned long long) c->time,
           (unsigned long long) c->updated, c->tenant, c->token, c->provider,
           c->operation, c->state, c->cached, c->reason, c->flags,
           (unsigned long long) c->owner.epoch, c->windows.day,
           c->windows.month);

    books_print_terms(&c->terms);

    printf("\t%u\t%u\t%u\t%u\t%u\t%u\t%lld\t%lld\t%lld\t%lld\t%lld\t%u\t%s"
           "\t%s\n",
           c->asked, c->asked_identity, c->outputs, c->identity_low,
           c->identity_high, c->status, (long long) c->held,
           (long long) c->cost, (long long) c->cost_high,
           (long long) c->price, (long long) c->saved, c->fingerprint[0],
           c->request_id, c->tag);

    return PHOTA_OK;
}


static int
books_print_entry(void *ctx, const phota_entry_t *e)
{
    char  id[2 * sizeof(phota_id_t) + 1];

    (void) ctx;

    phota_hex_format(id, e->charge.id.b, sizeof(e->charge.id.b));

    printf("E\t%llu\t%llu\t%u\t%u\t%u", (unsigned long long) e->sequence,
           (unsigned long long) e->time, e->day, e->type, e->first);

    books_print_sum(&e->delta);

    printf("\t%s\t%u\t%u\t%u\t%s\t%s\t%s\n", id, e->charge.tenant,
           e->charge.token, e->charge.operation, e->charge.tag, e->by,
           e->note);

    return PHOTA_OK;
}


static int
books_print_usage(void *ctx, const phota_usage_t *u)
{
    /* a row whose charges were all taken back may be there or not */

    if (u->sum.calls == 0 && u->sum.hits == 0 && u->sum.outputs == 0
        && u->sum.identity_outputs == 0 && u->sum.cost == 0
        && u->sum.price == 0 && u->sum.saved == 0)
    {
        return PHOTA_OK;
    }

    printf("U\t%u\t%u\t%u\t%u\t%u\t%s", *(unsigned *) ctx, u->tenant,
           u->operation, u->day, u->token, u->tag);
    books_print_sum(&u->sum);
    printf("\n");

    return PHOTA_OK;
}


static int
books_print_budget(void *ctx, const phota_budget_row_t *row)
{
    (void) ctx;

    if (row->spending.spent != 0 || row->spending.held != 0) {
        printf("B\t%u\t%u\t%u\t%u\t%lld\t%lld\n", row->scope, row->id,
               row->period, row->window, (long long) row->spending.spent,
               (long long) row->spending.held);
    }

    return PHOTA_OK;
}


static int
books_tenant_row(void *ctx, const phota_tenant_t *tenant)
{
    (void) ctx;

    if (books_now.ntenants == BOOKS_TENANTS) {
        return PHOTA_ERROR;
    }

    books_now.tenants[books_now.ntenants++] = *tenant;

    return PHOTA_OK;
}


static int
books_token_row(void *ctx, const phota_token_t *token)
{
    (void) ctx;

    if (books_now.ntokens == BOOKS_TOKENS) {
        return PHOTA_ERROR;
    }

    books_now.tokens[books_now.ntokens++] = *token;

    return PHOTA_OK;
}


static void
books_forget(void)
{
    if (books_now.directory != NULL) {
        phota_directory_destroy(books_now.directory);
    }

    if (books_now.prices != NULL) {
        phota_price_list_destroy(books_now.prices);
    }

    memset(&books_now, 0, sizeof(books_snapshot_t));
}


static int
books_refresh(void)
{
    int       rc;
    uint64_t  generation;

    rc = phota_store_generation(&books_store, &generation);

    if (rc != PHOTA_OK
        || (books_now.directory != NULL
            && books_now.generation == generation))
    {
        return rc;
    }

    books_forget();
    books_now.generation = generation;

    rc = phota_directory_load(&books_tenants, &books_now.directory,
                              &books_err);

    if (rc == PHOTA_OK) {
        rc = phota_price_list_load(&books_prices, &books_now.prices,
                                   &books_err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_tenant_each(&books_tenants, books_tenant_row, NULL,
                               &books_err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_token_each(&books_tenants, books_token_row, NULL,
                              &books_err);
    }

    return rc;
}


static const phota_tenant_t *
books_tenant(uint32_t id)
{
    unsigned  i;

    for (i = 0; i < books_now.ntenants; i++) {
        if (books_now.tenants[i].id == id) {
            return &books_now.tenants[i];
        }
    }

    return NULL;
}


static const phota_token_t *
books_token(uint32_t id)
{
    unsigned  i;

    for (i = 0; i < books_now.ntokens; i++) {
        if (books_now.tokens[i].id == id) {
            return &books_now.tokens[i];
        }
    }

    return NULL;
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


/* tenants, tokens, prices */

static int
books_cmd_tenant_add(char **arg)
{
    int       rc;
    uint32_t  id;

    rc = phota_tenant_add(&books_tenants, arg[0], &id, &books_err);

    if (rc == PHOTA_OK) {
        (void) snprintf(books_extra, sizeof(books_extra), "\t%u", id);
    }

    return rc;
}


static void
books_limits(phota_limits_t *limits, char **arg)
{
    limits->day = books_number(arg[0]);
    limits->month = books_number(arg[1]);
    limits->total = books_number(arg[2]);
}


static int
books_edit_limits(void *ctx, phota_tenant_t *tenant, phota_error_t *err)
{
    (void) err;

    books_limits(&tenant->limits, ctx);

    return PHOTA_OK;
}


static int
books_cmd_limits(char **arg)
{
    return phota_tenant_edit(&books_tenants, arg[0], books_edit_limits,
                             arg + 1, NULL, &books_err);
}


/* markup, hit, join, then base and identity for each of four operations */

static int
books_edit_plan(void *ctx, phota_tenant_t *tenant, phota_error_t *err)
{
    char      **arg;
    unsigned    i;

    (void) err;

    arg = ctx;

    phota_plan_init(&tenant->plan);

    tenant->plan.markup = (int32_t) books_number(arg[0]);
    tenant->plan.hit = (uint32_t) books_number(arg[1]);
    tenant->plan.join = (uint32_t) books_number(arg[2]);

    for (i = 0; i <= PHOTA_OP_GENERATE; i++) {
        tenant->plan.fixed[i].base = books_number(arg[3 + 2 * i]);
        tenant->plan.fixed[i].identity = books_number(arg[4 + 2 * i]);
    }

    return PHOTA_OK;
}


static int
books_cmd_plan(char **arg)
{
    return phota_tenant_edit(&books_tenants, arg[0], books_edit_plan, arg + 1,
                             NULL, &books_err);
}


static int
books_edit_zone(void *ctx, phota_tenant_t *tenant, phota_error_t *err)
{
    (void) ctx;
    (void) tenant;
    (void) err;

    return PHOTA_OK;
}


static int
books_cmd_zone(char **arg)
{
    int           rc;
    phota_zone_t  zone;

    rc = phota_zone_create(&zone, arg[1], books_clock, &books_err);

    if (rc == PHOTA_OK) {
        rc = phota_tenant_edit(&books_tenants, arg[0], books_edit_zone, NULL,
                               &zone, &books_err);
        phota_zone_free(&zone);
    }

    return rc;
}


static int
books_cmd_token_add(char **arg)
{
    int             rc;
    char            token[PHOTA_TOKEN_LEN + 1];
    uint32_t        id;
    phota_limits_t  limits;

    books_limits(&limits, arg + 1);

    rc = phota_token_issue(&books_tenants, arg[0], "", 0, &limits, token, &id,
                           &books_err);

    if (rc == PHOTA_OK) {
        (void) snprintf(books_extra, sizeof(books_extra), "\t%u", id);
    }

    return rc;
}


static int
books_edit_token(void *ctx, phota_token_t *token, phota_error_t *err)
{
    (void) err;

    books_limits(&token->limits, ctx);

    return PHOTA_OK;
}


static int
books_cmd_token_limits(char **arg)
{
    return phota_token_edit(&books_tenants, (uint32_t) books_number(arg[0]),
                            books_edit_token, arg + 1, &books_err);
}


/* rows of tenant, from, flags, base, identity, operation, model, resolution */

static int
books_cmd_price(char **arg)
{
    int             rc;
    size_t          i, n;
    phota_price_t  *p, prices[BOOKS_ROWS];

    memset(prices, 0, sizeof(prices));

    n = (size_t) books_number(*arg++);

    for (i = 0; i < n && i < BOOKS_ROWS; i++) {
        p = &prices[i];

        p->tenant = (uint32_t) books_number(arg[0]);
        p->from = (uint64_t) books_number(arg[1]);
        p->flags = (uint32_t) books_number(arg[2]);
        p->base = books_number(arg[3]);
        p->identity = books_number(arg[4]);
        books_text(p->provider, sizeof(p->provider), "phota");
        books_text(p->operation, sizeof(p->operation), arg[5]);
        books_text(p->model, sizeof(p->model), arg[6]);
        books_text(p->resolution, sizeof(p->resolution), arg[7]);

        arg += 8;
    }

    rc = phota_price_add(&books_prices, prices, i, NULL, &books_err);

    if (rc == PHOTA_OK) {
        (void) snprintf(books_extra, sizeof(books_extra), "\t%u",
                        prices[0].version);
    }

    return rc;
}


/* writers */

/*
 * What all new charges share.  arg: id, tenant, token, operation, cached,
 * asked, asked_identity, tag, model, resolution.
 */

static int
books_charge(phota_charge_t *c, char **arg, phota_allowance_t *allowance)
{
    int                      rc;
    unsigned                 share;
    phota_rate_t             rate;
    const phota_plan_t      *plan;
    const phota_zone_t      *zone;
    const phota_token_t     *token;
    const phota_tenant_t    *tenant;
    static phota_tenant_t    nobody;

    memset(c, 0, sizeof(phota_charge_t));
    memset(allowance, 0, sizeof(phota_allowance_t));

    books_id(&c->id, arg[0]);
    c->tenant = (uint32_t) books_number(arg[1]);
    c->token = (uint32_t) books_number(arg[2]);
    c->provider = PHOTA_PROVIDER_PHOTA;
    c->operation = (uint8_t) books_number(arg[3]);
    c->cached = (uint8_t) books_number(arg[4]);
    c->asked = (uint32_t) books_number(arg[5]);
    c->asked_identity = (uint32_t) books_number(arg[6]);
    memset(c->fingerprint, c->id.b[15], PHOTA_SHA256_LEN);
    books_text(c->tag, sizeof(c->tag), arg[7]);

    phota_plan_init(&nobody.plan);

    tenant = books_tenant(c->tenant);
    token = books_token(c->token);
    zone = tenant == NULL ? NULL
                          : phota_directory_zone(books_now.directory, tenant);
    plan = tenant == NULL ? &nobody.plan : &tenant->plan;

    allowance->tenant = tenant == NULL ? NULL : &tenant->limits;
    allowance->token = token == NULL ? NULL : &token->limits;

    c->windows.day = phota_zone_day(zone, books_clock);
    c->windows.month = phota_zone_month(zone, books_clock);

    if (c->cached == PHOTA_CACHED_HIT || c->cached == PHOTA_CACHED_JOIN) {
        share = c->cached == PHOTA_CACHED_HIT ? plan->hit : plan->join;
        phota_plan_terms(plan, c->operation, NULL, share, &c->terms);

        return PHOTA_OK;
    }

    rc = phota_price_find(books_now.prices, &phota_operations[c->operation],
                          arg[8], arg[9], c->tenant, books_clock, &rate);

    if (rc == PHOTA_OK) {
        phota_plan_terms(plan, c->operation, &rate, PHOTA_PPM, &c->terms);
    }

    return rc;
}


static int
books_allowed(int rc, const phota_allowance_t *allowance)
{
    const phota_shortage_t  *s;

    s = &allowance->shortage;

    if (rc == PHOTA_EXCEEDED) {
        (void) snprintf(books_extra, sizeof(books_extra),
                        "\t%u\t%u\t%lld\t%lld", s->scope, s->period,
                        (long long) s->limit, (long long) s->left);
    }

    return rc;
}


static int
books_cmd_hold(char **arg)
{
    int                rc;
    phota_charge_t     charge;
    phota_allowance_t  allowance;

    rc = books_charge(&charge, arg, &allowance);

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_ledger_hold(&books_ledger, books_txn, &charge, &allowance,
                           &books_err);

    if (rc == PHOTA_OK) {
        (void) books_print_charge("c", &charge);
    }

    return books_allowed(rc, &allowance);
}


/* and outputs, identity_low, saved */

static int
books_cmd_sell(char **arg)
{
    int                rc;
    phota_charge_t     charge;
    phota_allowance_t  allowance;

    rc = books_charge(&charge, arg, &allowance);

    if (rc != PHOTA_OK) {
        return rc;
    }

    charge.outputs = (uint32_t) books_number(arg[10]);
    charge.identity_low = (uint32_t) books_number(arg[11]);
    charge.saved = books_number(arg[12]);

    rc = phota_ledger_sell(&books_ledger, books_txn, &charge, &allowance,
                           &books_err);

    if (rc == PHOTA_OK) {
        (void) books_print_charge("c", &charge);
    }

    return books_allowed(rc, &allowance);
}


/* state, reason, status, outputs, low, high, billed, cost, id, by, note */

static void
books_outcome(phota_outcome_t *o, char **arg)
{
    memset(o, 0, sizeof(phota_outcome_t));

    o->state = (uint8_t) books_number(arg[0]);
    o->reason = (uint8_t) books_number(arg[1]);
    o->status = (uint32_t) books_number(arg[2]);
    o->outputs = (uint32_t) books_number(arg[3]);
    o->identity_low = (uint32_t) books_number(arg[4]);
    o->identity_high = (uint32_t) books_number(arg[5]);
    o->billed = books_number(arg[6]) != 0;
    o->cost = books_number(arg[7]);
    books_text(o->request_id, sizeof(o->request_id), arg[8]);
    books_text(o->by, sizeof(o->by), arg[9]);
    books_text(o->note, sizeof(o->note), arg[10]);
}


static int
books_cmd_book(char **arg)
{
    int                rc;
    phota_charge_t     charge;
    phota_outcome_t    outcome;
    phota_allowance_t  allowance;

    rc = books_charge(&charge, arg, &allowance);

    if (rc != PHOTA_OK) {
        return rc;
    }

    books_outcome(&outcome, arg + 10);

    rc = phota_ledger_book(&books_ledger, books_txn, &charge, &outcome,
                           &books_err);

    if (rc == PHOTA_OK) {
        (void) books_print_charge("c", &charge);
    }

    return rc;
}


static int
books_change(char **arg, int (*change)(phota_ledger_t *l, MDB_txn *txn,
    const phota_id_t *id, const phota_outcome_t *outcome,
    phota_charge_t *charge, phota_error_t *err))
{
    int              rc;
    phota_id_t       id;
    phota_charge_t   charge;
    phota_outcome_t  outcome;

    books_id(&id, arg[0]);
    books_outcome(&outcome, arg + 1);

    rc = change(&books_ledger, books_txn, &id, &outcome, &charge, &books_err);

    if (rc == PHOTA_OK) {
        (void) books_print_charge("c", &charge);
    }

    return rc;
}


static int
books_cmd_end(char **arg)
{
    return books_change(arg, phota_ledger_end);
}


static int
books_cmd_resolve(char **arg)
{
    return books_change(arg, phota_ledger_resolve);
}


static int
books_cmd_correct(char **arg)
{
    return books_change(arg, phota_ledger_correct);
}


static int
books_cmd_reverse(char **arg)
{
    int             rc;
    phota_id_t      id;
    phota_charge_t  charge;

    books_id(&id, arg[0]);

    rc = phota_ledger_reverse(&books_ledger, books_txn, &id,
                              (unsigned) books_number(arg[1]), arg[2], arg[3],
                              &charge, &books_err);

    if (rc == PHOTA_OK) {
        (void) books_print_charge("c", &charge);
    }

    return rc;
}


static int
books_cmd_hit(char **arg)
{
    return phota_ledger_hit(&books_ledger, books_txn,
                            (uint64_t) books_number(arg[0]),
                            (uint32_t) books_number(arg[1]),
                            (uint32_t) books_number(arg[2]),
                            (uint8_t) books_number(arg[3]), arg[4],
                            (uint64_t) books_number(arg[5]),
                            books_number(arg[6]), &books_err);
}


static int
books_cmd_tally(char **arg)
{
    int  rc, more;

    more = 0;

    rc = phota_ledger_tally(&books_ledger, books_txn,
                            (unsigned) books_number(arg[0]), &more,
                            &books_err);

    (void) snprintf(books_extra, sizeof(books_extra), "\t%d", more != 0);

    return rc;
}


static int
books_cmd_deadline(char **arg)
{
    phota_deadline_t  deadline;

    deadline.after = (uint64_t) books_number(arg[0]);
    deadline.state = (uint8_t) books_number(arg[1]);

    return phota_ledger_set_deadline(&books_ledger, books_txn, &deadline,
                                     &books_err);
}


static int
books_cmd_expire(char **arg)
{
    int       rc;
    unsigned  done;

    done = 0;

    rc = phota_ledger_expire(&books_ledger, books_txn, books_clock,
                             (unsigned) books_number(arg[0]), &done,
                             &books_err);

    (void) snprintf(books_extra, sizeof(books_extra), "\t%u", done);

    return rc;
}


/* tenant, key, charge id */

static int
books_cmd_replay(char **arg)
{
    u_char          digest[PHOTA_SHA256_LEN];
    phota_replay_t  replay;

    if (phota_replay_digest(digest, (u_char *) arg[1], strlen(arg[1]))
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    books_id(&replay.charge, arg[2]);
    memset(replay.fingerprint, replay.charge.b[15], PHOTA_SHA256_LEN);
    replay.expires = books_clock + PHOTA_REPLAY_VALID;

    return phota_replay_put(&books_replays, books_txn,
                            (uint32_t) books_number(arg[0]), digest, &replay,
                            books_clock, &books_err);
}


static int
books_cmd_archive(char **arg)
{
    int       rc;
    char      path[1024];
    uint64_t  entries;

    entries = 0;

    rc = phota_ledger_archive(&books_ledger, (uint64_t) books_number(arg[0]),
                              &entries, path, sizeof(path), &books_err);

    if (rc == PHOTA_OK) {
        (void) snprintf(books_extra, sizeof(books_extra), "\t%llu\t%d",
                        (unsigned long long) entries, path[0] != '\0');
    }

    return rc;
}


/* readers */

static int
books_cmd_replayed(char **arg)
{
    int              rc;
    char             id[2 * sizeof(phota_id_t) + 1];
    u_char           digest[PHOTA_SHA256_LEN];
    MDB_txn         *txn;
    phota_replay_t   replay;

    rc = phota_replay_digest(digest, (u_char *) arg[1], strlen(arg[1]));

    if (rc == PHOTA_OK) {
        rc = phota_store_begin(&books_store, 0, &txn, &books_err);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_replay_get(&books_replays, txn, (uint32_t) books_number(arg[0]),
                          digest, books_clock, &replay);

    phota_store_abort(txn);

    if (rc == PHOTA_OK) {
        phota_hex_format(id, replay.charge.b, sizeof(replay.charge.b));
        (void) snprintf(books_extra, sizeof(books_extra), "\t%s\t%llu", id,
                        (unsigned long long) replay.expires);
    }

    return rc;
}


/* from, to, by */

static int
books_cmd_usage(char **arg)
{
    unsigned  by;

    by = (unsigned) books_number(arg[2]);

    return phota_ledger_usage(&books_ledger, (uint64_t) books_number(arg[0]),
                              (uint64_t) books_number(arg[1]), by,
                              books_print_usage, &by, &books_err);
}


static int
books_dump_tables(void)
{
    int       rc;
    MDB_txn  *txn;

    rc = phota_store_begin(&books_store, 0, &txn, &books_err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_ledger_each_open(&books_ledger, txn, books_print_charge, "O",
                                &books_err);

    if (rc == PHOTA_OK) {
        rc = phota_budget_each(&books_ledger.budgets, txn, books_print_budget,
                               NULL, &books_err);
    }

    phota_store_abort(txn);

    return rc;
}


static int
books_cmd_dump(char **arg)
{
    int       rc;
    u_char    chain[PHOTA_SHA256_LEN];
    uint64_t  entries;
    unsigned  by;

    (void) arg;

    rc = phota_ledger_each(&books_ledger, 0, 0, books_print_charge, "C",
                           &books_err);

    if (rc == PHOTA_OK) {
        rc = books_dump_tables();
    }

    if (rc == PHOTA_OK) {
        rc = phota_ledger_entries(&books_ledger, 0, books_print_entry, NULL,
                                  &books_err);
    }

    for (by = 0; rc == PHOTA_OK && by <= PHOTA_USAGE_TAG; by++) {
        rc = phota_ledger_usage(&books_ledger, 0, 0, by, books_print_usage,
                                &by, &books_err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_ledger_verify(&books_ledger, &entries, chain, &books_err);
        printf("V\t%llu\n", (unsigned long long) entries);
    }

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


/* what writes outside of begin and commit has a transaction of its own */

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
