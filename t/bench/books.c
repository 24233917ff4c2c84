
/*
 * What the books cost, in the ledger's own calls: books of a given size are
 * made once, then measured.  What is compared alternates, so that both sides
 * see the same disk and the same neighbours.  Rows on stdout, a repetition
 * each: NAME, tab, value.
 */


#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "phota_ledger.h"
#include "phota_order.h"
#include "phota_zone.h"


#define BENCH_TENANTS    20
#define BENCH_TOKENS     2              /* of each tenant */
#define BENCH_TAGS       4
#define BENCH_GROUP      64             /* charges in flight */
#define BENCH_BATCH      4096           /* charges in a commit when made */
#define BENCH_DAY        ((uint64_t) 86400000)
#define BENCH_MONTH      (30 * BENCH_DAY)
#define BENCH_SAMPLES    20000

#define BENCH_ROUNDS     32             /* groups in a repetition */
#define BENCH_COMMITS    500            /* commits of a kind in a repetition */
#define BENCH_USAGES     40
#define BENCH_PAGE       4096           /* bytes */
#define BENCH_RECORD     64             /* bytes, of the bare commit */
#define BENCH_RECORDS    10000          /* there before it */


typedef struct {
    phota_store_t    store;
    phota_ledger_t   ledger;
    uint64_t         made;              /* charges, so that no two are alike */
} bench_books_t;


typedef struct {
    unsigned         n;
    double           values[BENCH_SAMPLES];
} bench_samples_t;


/* of commits of a kind */

typedef struct {
    bench_samples_t  seconds;
    double           pages;             /* written, of all */
    double           began;
    double           pages_before;
} bench_cost_t;


typedef struct {
    const char      *name;
    int              nargs;
    void           (*handler)(char **arg);
} bench_command_t;


static uint64_t       bench_clock;      /* ms, 0: the real one */
static phota_error_t  bench_err;

/* high enough to allow all, but asked as any */

static phota_limits_t  bench_limits = {
    (int64_t) 1000000000000000, (int64_t) 1000000000000000,
    (int64_t) 1000000000000000
};


static void bench_die(const char *what) __attribute__((noreturn));

uint64_t __real_phota_now(void);
uint64_t __wrap_phota_now(void);


/* the linker puts it in the place of the library's, for a year in a minute */

uint64_t
__wrap_phota_now(void)
{
    return bench_clock ? bench_clock : __real_phota_now();
}


static void
bench_die(const char *what)
{
    fprintf(stderr, "books: %s: %s\n", what, bench_err.text);
    exit(1);
}


static double
bench_seconds(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static void
bench_sample(bench_samples_t *samples, double value)
{
    if (samples->n < BENCH_SAMPLES) {
        samples->values[samples->n++] = value;
    }
}


static int
bench_compare(const void *one, const void *two)
{
    double  a, b;

    a = *(const double *) one;
    b = *(const double *) two;

    return (a > b) - (a < b);
}


static double
bench_median(bench_samples_t *samples)
{
    qsort(samples->values, samples->n, sizeof(double), bench_compare);

    return samples->values[samples->n / 2];
}


/* in microseconds */

static void
bench_print_median(const char *name, bench_samples_t *samples)
{
    printf("%s\t%.2f\n", name, bench_median(samples) * 1e6);
    samples->n = 0;
}


static void
bench_open(bench_books_t *b, const char *dir)
{
    if (phota_store_open(&b->store, dir, "books", PHOTA_BOOKS_SCHEMA,
                         PHOTA_BOOKS_MAP, PHOTA_STORE_CREATE, &bench_err)
        != PHOTA_OK
        || phota_ledger_open(&b->ledger, &b->store, &bench_err) != PHOTA_OK
        || phota_ledger_own(&b->ledger, &bench_err) != PHOTA_OK)
    {
        bench_die(dir);
    }

    b->made = 0;
}


static void
bench_close(bench_books_t *b)
{
    phota_ledger_close(&b->ledger);
    phota_store_close(&b->store);
}


static MDB_txn *
bench_begin(phota_store_t *store)
{
    MDB_txn  *txn;

    if (phota_store_begin(store, 1, &txn, &bench_err) != PHOTA_OK) {
        bench_die("begin");
    }

    return txn;
}


static void
bench_commit(MDB_txn *txn)
{
    if (phota_store_commit(txn, &bench_err) != PHOTA_OK) {
        bench_die("commit");
    }
}


/* in turn for every tenant, operation, token and tag */

static void
bench_charge(bench_books_t *b, phota_charge_t *c)
{
    uint64_t  n, now;

    n = b->made++;
    now = phota_now();

    memset(c, 0, sizeof(phota_charge_t));

    if (phota_id_create(&c->id, now) != PHOTA_OK) {
        bench_die("no random bytes");
    }

    c->tenant = 1 + (uint32_t) (n % BENCH_TENANTS);
    n /= BENCH_TENANTS;
    c->operation = (uint8_t) (n % PHOTA_OP_TRAINING);
    n /= PHOTA_OP_TRAINING;
    c->token = c->tenant * BENCH_TOKENS + (uint32_t) (n % BENCH_TOKENS);
    n /= BENCH_TOKENS;
    (void) snprintf(c->tag, sizeof(c->tag), "campaign-%u",
                    (unsigned) (n % BENCH_TAGS));

    c->provider = PHOTA_PROVIDER_PHOTA;
    c->cached = PHOTA_CACHED_MISS;
    c->windows.day = phota_zone_day(NULL, now);
    c->windows.month = phota_zone_month(NULL, now);
    c->terms.rate = 120000;
    c->terms.identity_rate = 150000;
    c->terms.markup = PHOTA_PPM / 5;
    c->terms.share = PHOTA_PPM;
    c->terms.version = 1;
    c->asked = 1 + (uint32_t) (b->made % 4);

    memcpy(c->fingerprint, c->id.b, sizeof(c->id.b));
    memcpy(c->fingerprint + sizeof(c->id.b), c->id.b, sizeof(c->id.b));
}


static void
bench_hold(bench_books_t *b, MDB_txn *txn, phota_charge_t *c)
{
    phota_allowance_t  allowance;

    memset(&allowance, 0, sizeof(phota_allowance_t));

    allowance.tenant = &bench_limits;
    allowance.token = &bench_limits;

    if (phota_ledger_hold(&b->ledger, txn, c, &allowance, &bench_err)
        != PHOTA_OK)
    {
        bench_die("hold");
    }
}


static void
bench_settle(bench_books_t *b, MDB_txn *txn, const phota_charge_t *c)
{
    char             hex[2 * sizeof(phota_id_t) + 1];
    phota_outcome_t  outcome;

    memset(&outcome, 0, sizeof(phota_outcome_t));

    outcome.state = PHOTA_STATE_SETTLED;
    outcome.reason = PHOTA_REASON_DELIVERED;
    outcome.status = 200;
    outcome.outputs = c->asked;

    phota_hex_format(hex, c->id.b, sizeof(c->id.b));
    (void) snprintf(outcome.request_id, sizeof(outcome.request_id), "req-%s",
                    hex);

    if (phota_ledger_end(&b->ledger, txn, &c->id, &outcome, NULL, &bench_err)
        != PHOTA_OK)
    {
        bench_die("settle");
    }
}


/*
 * DIR ENTRIES DAYS: held and settled evenly over the days before today's
 * midnight.  Not synced before the end: nobody needs half of it.
 */

static void
bench_make(char **arg)
{
    MDB_txn         *txn;
    uint64_t         i, j, n, span, start;
    bench_books_t    b;
    phota_charge_t  *charges;

    n = strtoull(arg[1], NULL, 10) / 2;
    span = strtoull(arg[2], NULL, 10) * BENCH_DAY;
    start = phota_now() / BENCH_DAY * BENCH_DAY - span;

    charges = calloc(BENCH_BATCH, sizeof(phota_charge_t));

    if (charges == NULL || n == 0) {
        bench_die("make");
    }

    (void) mkdir(arg[0], 0700);

    bench_open(&b, arg[0]);

    if (mdb_env_set_flags(b.store.env, MDB_NOSYNC, 1) != 0) {
        bench_die("flags");
    }

    for (i = 0; i < n; i += BENCH_BATCH) {

        txn = bench_begin(&b.store);

        for (j = i; j < i + BENCH_BATCH && j < n; j++) {
            bench_clock = start + (uint64_t) ((double) span * (double) j
                                              / (double) n);
            bench_charge(&b, &charges[j - i]);
            bench_hold(&b, txn, &charges[j - i]);

            /* with others in flight, as in life */

            if (j - i >= BENCH_GROUP) {
                bench_settle(&b, txn, &charges[j - i - BENCH_GROUP]);
            }
        }

        for (j = (j - i > BENCH_GROUP) ? j - i - BENCH_GROUP : 0;
             i + j < n && j < BENCH_BATCH;
             j++)
        {
            bench_settle(&b, txn, &charges[j]);
        }

        bench_commit(txn);
    }

    if (mdb_env_sync(b.store.env, 1) != 0) {
        bench_die("sync");
    }

    free(charges);
    bench_close(&b);
}


/* charges a second, of those that fill a group */

static double
bench_groups(bench_books_t *b, unsigned rounds)
{
    double           began, spent;
    MDB_txn         *txn;
    unsigned         i, round;
    phota_charge_t   charges[BENCH_GROUP];

    spent = 0;

    for (round = 0; round < rounds; round++) {

        for (i = 0; i < BENCH_GROUP; i++) {
            bench_charge(b, &charges[i]);
        }

        began = bench_seconds();

        txn = bench_begin(&b->store);

        for (i = 0; i < BENCH_GROUP; i++) {
            bench_hold(b, txn, &charges[i]);
        }

        bench_commit(txn);

        txn = bench_begin(&b->store);

        for (i = 0; i < BENCH_GROUP; i++) {
            bench_settle(b, txn, &charges[i]);
        }

        bench_commit(txn);

        spent += bench_seconds() - began;
    }

    return rounds * BENCH_GROUP / spent;
}


/* the same for charges that come one after another */

static double
bench_singles(bench_books_t *b, unsigned n, int whole)
{
    double           began, spent;
    MDB_txn         *txn;
    unsigned         i;
    phota_charge_t   charge;

    spent = 0;

    for (i = 0; i < n; i++) {

        bench_charge(b, &charge);

        began = bench_seconds();

        txn = bench_begin(&b->store);
        bench_hold(b, txn, &charge);

        if (!whole) {
            bench_commit(txn);
            txn = bench_begin(&b->store);
        }

        bench_settle(b, txn, &charge);
        bench_commit(txn);

        spent += bench_seconds() - began;
    }

    return n / spent;
}


/* DIR REPETITIONS: 64 in flight against one commit for each */

static void
bench_group(char **arg)
{
    int            i;
    bench_books_t  b;

    bench_open(&b, arg[0]);

    for (i = atoi(arg[1]); i > 0; i--) {
        printf("group\t%.1f\n", bench_groups(&b, BENCH_ROUNDS));
        printf("single\t%.1f\n", bench_singles(&b, BENCH_COMMITS, 0));
        printf("whole\t%.1f\n", bench_singles(&b, BENCH_COMMITS, 1));
    }

    bench_close(&b);
}


static uint64_t
bench_count(MDB_txn *txn, MDB_dbi table)
{
    MDB_stat  st;

    if (mdb_stat(txn, table, &st) != 0) {
        bench_die("stat");
    }

    return st.ms_entries;
}


static void
bench_put(MDB_txn *txn, MDB_dbi table, uint64_t n)
{
    u_char   name[8], buf[BENCH_RECORD];
    MDB_val  key, value;

    memset(buf, 'x', sizeof(buf));
    phota_put_be(name, n, sizeof(name));

    key.mv_data = name;
    key.mv_size = sizeof(name);
    value.mv_data = buf;
    value.mv_size = sizeof(buf);

    if (mdb_put(txn, table, &key, &value, MDB_APPEND) != 0) {
        bench_die("put");
    }
}


/* that this process wrote; LMDB's own head is written too, but not as a page */

static double
bench_pages(void)
{
    FILE                *file;
    char                 line[128];
    unsigned long long   bytes;

    bytes = 0;
    file = fopen("/proc/self/io", "r");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        (void) sscanf(line, "wchar: %llu", &bytes);
    }

    if (file != NULL) {
        (void) fclose(file);
    }

    return (double) bytes / BENCH_PAGE;
}


static void
bench_begins(bench_cost_t *cost)
{
    cost->pages_before = bench_pages();
    cost->began = bench_seconds();
}


static void
bench_ends(bench_cost_t *cost)
{
    bench_sample(&cost->seconds, bench_seconds() - cost->began);

    cost->pages += bench_pages() - cost->pages_before;
}


/* the time's median, in microseconds, and the pages' mean */

static void
bench_print_cost(const char *name, bench_cost_t *cost)
{
    printf("%s_pages\t%.2f\n", name, cost->pages / cost->seconds.n);
    bench_print_median(name, &cost->seconds);
    cost->pages = 0;
}


static void
bench_bare(phota_store_t *store, MDB_dbi table, uint64_t n,
    bench_cost_t *cost)
{
    MDB_txn  *txn;

    bench_begins(cost);

    txn = bench_begin(store);
    bench_put(txn, table, n);
    bench_commit(txn);

    bench_ends(cost);
}


static void
bench_one(bench_books_t *b, bench_cost_t *hold, bench_cost_t *settle)
{
    MDB_txn         *txn;
    phota_charge_t   charge;

    bench_charge(b, &charge);

    bench_begins(hold);

    txn = bench_begin(&b->store);
    bench_hold(b, txn, &charge);
    bench_commit(txn);

    bench_ends(hold);
    bench_begins(settle);

    txn = bench_begin(&b->store);
    bench_settle(b, txn, &charge);
    bench_commit(txn);

    bench_ends(settle);
}


/* as many records as the books have entries: a tree as deep as theirs */

static uint64_t
bench_fill(phota_store_t *store, MDB_dbi table)
{
    MDB_txn   *txn;
    uint64_t   n;

    txn = bench_begin(store);

    for (n = bench_count(txn, table); n < BENCH_RECORDS; n++) {
        bench_put(txn, table, n);
    }

    bench_commit(txn);

    return n;
}


/*
 * DIR REPETITIONS: hold and settle, each alone in its commit, against the
 * commit of one small record, in an environment beside it of the same kind.
 */

static void
bench_latency(char **arg)
{
    int                     i, j;
    MDB_dbi                 table;
    uint64_t                n;
    bench_books_t           b;
    phota_store_t           bare;
    static bench_cost_t     hold, settle, commit;

    bench_open(&b, arg[0]);

    if (phota_store_open(&bare, arg[0], "bare", PHOTA_BOOKS_SCHEMA,
                         PHOTA_BOOKS_MAP, PHOTA_STORE_CREATE, &bench_err)
        != PHOTA_OK
        || phota_store_table(&bare, "bare", &table, &bench_err) != PHOTA_OK)
    {
        bench_die(arg[0]);
    }

    n = bench_fill(&bare, table);

    for (i = atoi(arg[1]); i > 0; i--) {

        for (j = 0; j < BENCH_COMMITS; j++) {
            bench_bare(&bare, table, n++, &commit);
            bench_one(&b, &hold, &settle);
        }

        bench_print_cost("commit", &commit);
        bench_print_cost("hold", &hold);
        bench_print_cost("settle", &settle);
    }

    phota_store_close(&bare);
    bench_close(&b);
}


static int
bench_usage_row(void *ctx, const phota_usage_t *usage)
{
    *(int64_t *) ctx += usage->sum.calls;

    return PHOTA_OK;
}


static double
bench_usage(bench_books_t *b)
{
    double    began;
    int64_t   calls;
    uint64_t  to;

    calls = 0;
    to = phota_now() / BENCH_DAY * BENCH_DAY;

    began = bench_seconds();

    if (phota_ledger_usage(&b->ledger, to - BENCH_MONTH, to,
                           PHOTA_USAGE_OPERATION, bench_usage_row, &calls,
                           &bench_err)
        != PHOTA_OK
        || calls == 0)
    {
        bench_die("usage");
    }

    return bench_seconds() - began;
}


/* SMALL BIG REPETITIONS: whether the books' size is felt */

static void
bench_size(char **arg)
{
    int                     i, j;
    bench_books_t           small, big;
    static bench_cost_t     hold[2], settle[2];
    static bench_samples_t  usage[2];

    bench_open(&small, arg[0]);
    bench_open(&big, arg[1]);

    for (i = atoi(arg[2]); i > 0; i--) {

        for (j = 0; j < BENCH_COMMITS; j++) {
            bench_one(&small, &hold[0], &settle[0]);
            bench_one(&big, &hold[1], &settle[1]);
        }

        for (j = 0; j < BENCH_USAGES; j++) {
            bench_sample(&usage[0], bench_usage(&small));
            bench_sample(&usage[1], bench_usage(&big));
        }

        bench_print_cost("hold_small", &hold[0]);
        bench_print_cost("hold_big", &hold[1]);
        bench_print_cost("settle_small", &settle[0]);
        bench_print_cost("settle_big", &settle[1]);
        bench_print_median("usage_small", &usage[0]);
        bench_print_median("usage_big", &usage[1]);
    }

    bench_close(&small);
    bench_close(&big);
}


/* DIR REPETITIONS: entries a second */

static void
bench_verify(char **arg)
{
    int            i;
    double         began;
    u_char         chain[PHOTA_SHA256_LEN];
    uint64_t       entries;
    bench_books_t  b;

    bench_open(&b, arg[0]);

    for (i = atoi(arg[1]); i > 0; i--) {

        began = bench_seconds();

        if (phota_ledger_verify(&b.ledger, &entries, chain, &bench_err)
            != PHOTA_OK)
        {
            bench_die("verify");
        }

        printf("verify\t%.0f\n", (double) entries
                                 / (bench_seconds() - began));
    }

    bench_close(&b);
}


static void
bench_about(char **arg)
{
    (void) arg;

    printf("lmdb\t%d.%d.%d\n", MDB_VERSION_MAJOR, MDB_VERSION_MINOR,
           MDB_VERSION_PATCH);
    printf("openssl\t%s\n", OpenSSL_version(OPENSSL_VERSION));
}


int
main(int argc, char **argv)
{
    size_t  i;

    static const bench_command_t  commands[] = {
        { "about", 0, bench_about },
        { "make", 3, bench_make },
        { "group", 2, bench_group },
        { "latency", 2, bench_latency },
        { "size", 3, bench_size },
        { "verify", 2, bench_verify }
    };

    (void) setvbuf(stdout, NULL, _IOLBF, 0);

    for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (argc == 2 + commands[i].nargs
            && strcmp(argv[1], commands[i].name) == 0)
        {
            commands[i].handler(argv + 2);
            return 0;
        }
    }

    fprintf(stderr, "usage: books about | make DIR ENTRIES DAYS | "
            "group DIR N | latency DIR N | size SMALL BIG N | verify DIR N\n");

    return 2;
}
