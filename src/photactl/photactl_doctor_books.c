
/*
 * The doctor on the books: that they open, hang together and have room, that
 * the clock fits them, that the master key opens what is sealed, and what waits
 * for somebody: unknown charges, callbacks, prices, a reader that doesn't end.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "phota_record.h"
#include "phota_sealed.h"
#include "photactl_books.h"
#include "photactl_cache.h"
#include "photactl_doctor.h"


#define PHOTACTL_RECENT       100000            /* entries */
#define PHOTACTL_DAY_MS       86400000          /* ms */
#define PHOTACTL_HELD_LONG    (20 * 60 * 1000)  /* no call takes so long */
#define PHOTACTL_JOB_LONG     PHOTACTL_DAY_MS
#define PHOTACTL_READERS      64                /* that are looked at twice */
#define PHOTACTL_READER_LAG   100               /* transactions */
#define PHOTACTL_READER_WAIT  300               /* ms */


typedef struct {
    unsigned            n;
    struct {
        unsigned        pid;
        unsigned long   thread;
        unsigned long   txn;
    } readers[PHOTACTL_READERS];
} photactl_readers_t;


typedef struct {
    uint64_t            now;
    unsigned            unknown;
    int64_t             amount;         /* micro-USD, of the unknown */
    unsigned            held;           /* for too long */
    unsigned            jobs;           /* the same */
} photactl_open_t;


typedef struct {
    photactl_doctor_t  *doctor;
    unsigned            opens;
    unsigned            lost;
    uint32_t            first;          /* whose doesn't open */
    unsigned            keyless:1;      /* there is no default key */
} photactl_keys_t;


typedef struct {
    unsigned            calls[PHOTA_OP_MAX];
} photactl_used_t;


static int photactl_books_open(photactl_doctor_t *d);
static void photactl_books_lmdb(photactl_doctor_t *d);
static void photactl_books_map(photactl_doctor_t *d);
static void photactl_books_readers(photactl_doctor_t *d);
static int photactl_reader_line(const char *text, void *ctx);
static void photactl_books_clock(photactl_doctor_t *d);
static void photactl_books_keys(photactl_doctor_t *d);
static int photactl_key_look(void *ctx, const phota_seal_t *bound,
    const u_char *sealed, size_t len);
static int photactl_key_opens(const phota_master_t *master,
    const phota_seal_t *bound, const u_char *sealed, size_t len);
static void photactl_books_charges(photactl_doctor_t *d);
static int photactl_charge_look(void *ctx, const phota_charge_t *charge);
static void photactl_books_callbacks(photactl_doctor_t *d);
static int photactl_callback_look(void *ctx, const phota_job_t *job);
static void photactl_books_prices(photactl_doctor_t *d);
static int photactl_usage_look(void *ctx, const phota_usage_t *usage);
static void photactl_books_cache(photactl_doctor_t *d);


void
photactl_doctor_books(photactl_doctor_t *d)
{
    photactl_books_lmdb(d);

    if (photactl_books_open(d) != PHOTA_OK) {
        return;
    }

    d->books = 1;

    photactl_books_map(d);
    photactl_books_readers(d);
    photactl_books_clock(d);
    photactl_books_keys(d);
    photactl_doctor_rekey(d);
    photactl_books_charges(d);
    photactl_books_callbacks(d);
    photactl_books_prices(d);
    photactl_books_cache(d);
}


static int
photactl_books_open(photactl_doctor_t *d)
{
    char      mend[1200];
    uint32_t  schema;

    if (photactl_open(d->ctl, PHOTA_STORE_RDONLY) == PHOTA_OK) {
        photactl_found(d, PHOTACTL_FINE, "schema", d->ctl->data, NULL,
                       "the books have schema %d", PHOTA_BOOKS_SCHEMA);
        return PHOTA_OK;
    }

    schema = photactl_shell(d->ctl)->store.schema;

    (void) snprintf(mend, sizeof(mend), "%s",
                    schema != 0 && schema < PHOTA_BOOKS_SCHEMA
                    ? "with nginx stopped, photactl migrate"
                    : "photactl restore BACKUP --data NEW, or the version of "
                      "phota that wrote them");

    photactl_found(d, PHOTACTL_FAULT, "books", d->ctl->data, mend, "%s",
                   d->ctl->err.text);

    return PHOTA_ERROR;
}


static void
photactl_books_lmdb(photactl_doctor_t *d)
{
    int          major, minor, patch;
    const char  *version;

    version = mdb_version(&major, &minor, &patch);

    if (major == 0 && minor == 9 && patch >= 26 && patch <= 31) {
        photactl_found(d, PHOTACTL_WARNING, "lmdb", NULL,
                       "install liblmdb 0.9.32 or newer, and use no mdb_stat "
                       "or mdb_copy beside nginx until then",
                       "%s: a program that ends can destroy the locks of one "
                       "that runs (ITS#10095); nginx and photactl go around "
                       "it, others don't", version);
        return;
    }

    photactl_found(d, PHOTACTL_FINE, "lmdb", NULL, NULL, "%s", version);
}


static void
photactl_books_map(photactl_doctor_t *d)
{
    MDB_stat     st;
    uint64_t     used, share;
    MDB_envinfo  info;

    if (mdb_env_info(d->ctl->store->env, &info) != 0
        || mdb_env_stat(d->ctl->store->env, &st) != 0)
    {
        return;
    }

    used = ((uint64_t) info.me_last_pgno + 1) * st.ms_psize;
    share = used / (info.me_mapsize / 100 + 1);

    photactl_found(d, share >= 95 ? PHOTACTL_FAULT
                      : share >= 80 ? PHOTACTL_WARNING : PHOTACTL_FINE,
                   "map", d->ctl->store->path,
                   share >= 80 ? "photactl ledger archive --before DAY"
                               : NULL,
                   "%llu of %llu MB of the books' map are used",
                   (unsigned long long) (used >> 20),
                   (unsigned long long) (info.me_mapsize >> 20));
}


/*
 * A reader that shows the same old transaction twice: pages that were freed
 * since can't be used again, and the file grows.
 */

static void
photactl_books_readers(photactl_doctor_t *d)
{
    char                where[64], mend[128];
    unsigned            i, k, stale;
    MDB_envinfo         info;
    struct timespec     pause;
    photactl_readers_t  before, after;

    memset(&before, 0, sizeof(before));
    memset(&after, 0, sizeof(after));

    (void) mdb_reader_list(d->ctl->store->env, photactl_reader_line, &before);

    if (before.n != 0) {
        pause.tv_sec = 0;
        pause.tv_nsec = PHOTACTL_READER_WAIT * 1000 * 1000;
        (void) nanosleep(&pause, NULL);

        (void) mdb_reader_list(d->ctl->store->env, photactl_reader_line,
                               &after);
    }

    if (mdb_env_info(d->ctl->store->env, &info) != 0) {
        return;
    }

    stale = 0;

    for (i = 0; i < before.n; i++) {
        for (k = 0; k < after.n; k++) {

            if (before.readers[i].pid != after.readers[k].pid
                || before.readers[i].thread != after.readers[k].thread
                || before.readers[i].txn != after.readers[k].txn
                || info.me_last_txnid - before.readers[i].txn
                   < PHOTACTL_READER_LAG)
            {
                continue;
            }

            stale++;

            (void) snprintf(where, sizeof(where), "process %u",
                            before.readers[i].pid);
            (void) snprintf(mend, sizeof(mend), "wait for it, or kill %u",
                            before.readers[i].pid);

            photactl_found(d, PHOTACTL_WARNING, "readers", where, mend,
                           "it reads the books as they were %lu transactions "
                           "ago: meanwhile the file grows",
                           (unsigned long) info.me_last_txnid
                           - before.readers[i].txn);
        }
    }

    if (!stale) {
        photactl_found(d, PHOTACTL_FINE, "readers", NULL, NULL,
                       "nobody reads an old state of the books");
    }
}


/* "  pid thread txn"; the head of the list has no numbers */

static int
photactl_reader_line(const char *text, void *ctx)
{
    photactl_readers_t  *list = ctx;

    unsigned       pid;
    unsigned long  thread, txn;

    if (list->n < PHOTACTL_READERS
        && sscanf(text, "%u %lx %lu", &pid, &thread, &txn) == 3)
    {
        list->readers[list->n].pid = pid;
        list->readers[list->n].thread = thread;
        list->readers[list->n].txn = txn;
        list->n++;
    }

    return 0;
}


static void
photactl_books_clock(photactl_doctor_t *d)
{
    int              rc;
    char             last[PHOTA_TIME_TEXT];
    uint64_t         now;
    phota_outline_t  o;

    rc = phota_ledger_outline(&d->ctl->ledger, PHOTACTL_RECENT, &o,
                              &d->ctl->err);

    if (rc != PHOTA_OK) {
        photactl_found(d, PHOTACTL_FAULT, "ledger", d->ctl->store->path,
                       "photactl ledger verify says where; then photactl "
                       "restore BACKUP --data NEW", "%s", d->ctl->err.text);
        return;
    }

    photactl_found(d, PHOTACTL_FINE, "ledger", NULL, NULL,
                   "the latest %llu of %llu entries follow one another",
                   (unsigned long long) o.checked,
                   (unsigned long long) o.entries);

    now = phota_now();
    phota_time_format(last, o.time);

    if (o.time > now + 1000) {
        photactl_found(d, PHOTACTL_FAULT, "clock", last,
                       "timedatectl set-ntp true; entries keep the time that "
                       "they have", "the last entry is of the future, by %llu "
                       "s: the clock was ahead, or is behind now",
                       (unsigned long long) ((o.time - now) / 1000));
        return;
    }

    if ((uint64_t) o.closed * PHOTACTL_DAY_MS > now) {
        photactl_found(d, PHOTACTL_FAULT, "clock", NULL,
                       "timedatectl set-ntp true",
                       "a day is closed that is yet to come");
        return;
    }

    photactl_found(d, PHOTACTL_FINE, "clock", NULL, NULL,
                   "no entry is of the future");
}


static void
photactl_books_keys(photactl_doctor_t *d)
{
    char             where[64], name[16];
    photactl_keys_t  keys;

    memset(&keys, 0, sizeof(keys));

    keys.doctor = d;
    keys.keyless = 1;

    if (!d->master || photactl_names_load(d->ctl) != PHOTA_OK) {
        return;
    }

    if (phota_sealed_each(&d->ctl->tenants, photactl_key_look, &keys,
                          &d->ctl->err)
        != PHOTA_OK)
    {
        photactl_found(d, PHOTACTL_FAULT, "keys", NULL,
                       "photactl key set for all", "%s", d->ctl->err.text);
        return;
    }

    if (keys.lost) {
        (void) snprintf(where, sizeof(where), "%.40s", keys.first
                        ? photactl_name(d->ctl, keys.first, name)
                        : "--default");

        photactl_found(d, PHOTACTL_FAULT, "keys", where,
                       "name the right one with --master-key; where it is "
                       "lost, photactl key set anew; in a rotation, photactl "
                       "rekey",
                       "the master key opens %u of %u sealed keys: calls of "
                       "the others get 502", keys.opens,
                       keys.opens + keys.lost);

    } else {
        photactl_found(d, PHOTACTL_FINE, "keys", NULL, NULL,
                       "the master key opens all %u sealed keys", keys.opens);
    }

    if (keys.keyless && keys.opens + keys.lost == 0) {
        photactl_found(d, PHOTACTL_WARNING, "keys", NULL,
                       "photactl key set --default",
                       "there is no upstream key: nothing can be bought");
    }
}


static int
photactl_key_look(void *ctx, const phota_seal_t *bound, const u_char *sealed,
    size_t len)
{
    photactl_keys_t  *keys = ctx;

    if (bound->tenant == PHOTA_TENANT_DEFAULT) {
        keys->keyless = 0;
    }

    if (photactl_key_opens(&keys->doctor->ctl->master, bound, sealed, len)) {
        keys->opens++;

    } else if (keys->lost++ == 0) {
        keys->first = bound->tenant;
    }

    return PHOTA_OK;
}


static int
photactl_key_opens(const phota_master_t *master, const phota_seal_t *bound,
    const u_char *sealed, size_t len)
{
    int     rc;
    size_t  room;
    u_char  plain[PHOTA_KEY_MAX];

    room = sizeof(plain);

    rc = phota_unseal(master, bound, sealed, len, plain, &room);

    phota_cleanse(plain, sizeof(plain));

    return rc == PHOTA_OK;
}


static void
photactl_books_charges(photactl_doctor_t *d)
{
    int              rc;
    char             usd[PHOTA_USD_TEXT];
    MDB_txn         *txn;
    photactl_open_t  open;

    memset(&open, 0, sizeof(open));
    open.now = phota_now();

    if (phota_store_begin(d->ctl->store, 0, &txn, &d->ctl->err) != PHOTA_OK) {
        return;
    }

    rc = phota_ledger_each_open(&d->ctl->ledger, txn, photactl_charge_look,
                                &open, &d->ctl->err);

    phota_store_abort(txn);

    if (rc != PHOTA_OK) {
        photactl_found(d, PHOTACTL_FAULT, "charges", NULL,
                       "photactl ledger verify", "%s", d->ctl->err.text);
    }

    if (open.unknown) {
        phota_usd_format(usd, open.amount);
        photactl_found(d, PHOTACTL_WARNING, "unknown", NULL,
                       "photactl holds list; photactl reconcile --bill FILE "
                       "--apply, or photactl holds settle|void CHARGE",
                       "%u charges are unknown, %s USD: nobody knows whether "
                       "they were bought", open.unknown, usd);

    } else {
        photactl_found(d, PHOTACTL_FINE, "unknown", NULL, NULL,
                       "no charge is unknown");
    }

    if (open.held) {
        photactl_found(d, PHOTACTL_WARNING, "holds", NULL,
                       "photactl holds list; end the worker that doesn't end "
                       "its calls",
                       "%u charges have been held for longer than any call "
                       "takes", open.held);
    }

    if (open.jobs) {
        photactl_found(d, PHOTACTL_WARNING, "jobs", NULL,
                       "photactl job list --state open",
                       "%u jobs have been open for more than a day",
                       open.jobs);
    }

    if (!open.held && !open.jobs) {
        photactl_found(d, PHOTACTL_FINE, "holds", NULL, NULL,
                       "no hold is past its age");
    }
}


static int
photactl_charge_look(void *ctx, const phota_charge_t *charge)
{
    photactl_open_t  *open = ctx;

    uint64_t  age;

    age = (open->now > charge->time) ? open->now - charge->time : 0;

    if (charge->state == PHOTA_STATE_UNKNOWN) {
        open->unknown++;
        open->amount += charge->held;

    } else if (charge->owner.slot == PHOTA_OWNER_JOB) {
        open->jobs += (age > PHOTACTL_JOB_LONG);

    } else {
        open->held += (age > PHOTACTL_HELD_LONG);
    }

    return PHOTA_OK;
}


static void
photactl_books_callbacks(photactl_doctor_t *d)
{
    unsigned  n[2];

    n[0] = 0;
    n[1] = 0;

    if (phota_jobs_each(&d->ctl->jobs, 0, photactl_callback_look, n,
                        &d->ctl->err)
        != PHOTA_OK)
    {
        photactl_found(d, PHOTACTL_FAULT, "callbacks", NULL,
                       "photactl job list", "%s", d->ctl->err.text);
        return;
    }

    if (n[0] + n[1] == 0) {
        photactl_found(d, PHOTACTL_FINE, "callbacks", NULL, NULL,
                       "all are delivered");
        return;
    }

    photactl_found(d, n[1] ? PHOTACTL_WARNING : PHOTACTL_REMARK, "callbacks",
                   NULL, "photactl callback list --undelivered; photactl "
                   "callback retry --all",
                   "%u wait to be tried again, %u were given up", n[0], n[1]);
}


static int
photactl_callback_look(void *ctx, const phota_job_t *job)
{
    unsigned  *n = ctx;

    if (job->callback[0] == '\0' || job->state == PHOTA_JOB_OPEN) {
        return PHOTA_OK;
    }

    /* one that was never tried is on its way */

    n[0] += (job->delivery == PHOTA_DELIVERY_WAITING && job->tries != 0);
    n[1] += (job->delivery == PHOTA_DELIVERY_GIVEN_UP);

    return PHOTA_OK;
}


/* an operation that is used, or could be, and has no price any more */

static void
photactl_books_prices(photactl_doctor_t *d)
{
    int                       i, missing;
    char                      mend[160];
    uint64_t                  now;
    phota_rate_t              rate;
    photactl_used_t           used;
    phota_price_list_t       *list;
    const phota_operation_t  *op;

    memset(&used, 0, sizeof(used));
    now = phota_now();

    if (phota_price_list_load(&d->ctl->prices, &list, &d->ctl->err)
        != PHOTA_OK)
    {
        photactl_found(d, PHOTACTL_FAULT, "prices", NULL,
                       "photactl price list", "%s", d->ctl->err.text);
        return;
    }

    (void) phota_ledger_usage(&d->ctl->ledger, now - 30 * (uint64_t)
                              PHOTACTL_DAY_MS, 0, PHOTA_USAGE_OPERATION,
                              photactl_usage_look, &used, NULL);

    missing = 0;

    for (i = 0; i < PHOTA_OP_MAX; i++) {
        op = &phota_operations[i];

        if (op->provider != PHOTA_PROVIDER_PHOTA && !used.calls[i]) {
            continue;
        }

        if (phota_price_find(list, op, "", "", 0, now, &rate) == PHOTA_OK) {
            continue;
        }

        missing++;

        (void) snprintf(mend, sizeof(mend), "photactl price add%s%.16s "
                        "--operation %.32s --usd AMOUNT",
                        op->provider != PHOTA_PROVIDER_PHOTA
                        ? " --provider " : "",
                        op->provider != PHOTA_PROVIDER_PHOTA
                        ? (char *) op->provider_name.data : "",
                        (char *) op->name.data);

        photactl_found(d, used.calls[i] ? PHOTACTL_WARNING : PHOTACTL_REMARK,
                       "prices", (char *) op->label.data, mend,
                       "it has no general price: its calls are answered 422 "
                       "PRICE_UNKNOWN%s", used.calls[i]
                       ? ", and there were some in the last 30 days" : "");
    }

    phota_price_list_destroy(list);

    if (!missing) {
        photactl_found(d, PHOTACTL_FINE, "prices", NULL, NULL,
                       "all operations have a price");
    }
}


static int
photactl_usage_look(void *ctx, const phota_usage_t *usage)
{
    photactl_used_t  *used = ctx;

    if (usage->operation < PHOTA_OP_MAX && usage->sum.calls > 0) {
        used->calls[usage->operation] = 1;
    }

    return PHOTA_OK;
}


/* whether it opens and counts; every byte is read by cache check */

static void
photactl_books_cache(photactl_doctor_t *d)
{
    int                   rc;
    char                  mend[1200];
    uint64_t              size;
    phota_cache_t         cache;
    phota_store_t         store;
    phota_cache_totals_t  totals;

    size = 0;

    rc = photactl_cache_open(d->ctl, &store, &cache, PHOTA_STORE_RDONLY,
                             &size);

    if (rc == PHOTA_DECLINED) {
        photactl_found(d, PHOTACTL_FINE, "cache", NULL, NULL,
                       "there is none yet");
        return;
    }

    if (rc == PHOTA_OK) {
        rc = phota_cache_stats(&cache, &totals, &d->ctl->err);
        photactl_cache_close(d->ctl, &store);
    }

    if (rc != PHOTA_OK) {
        (void) snprintf(mend, sizeof(mend), "stop nginx, rm "
                        "%s/cache/data.mdb, start nginx: it costs hits alone",
                        d->ctl->data);
        photactl_found(d, PHOTACTL_FAULT, "cache", d->ctl->data, mend, "%s",
                       d->ctl->err.text);
        return;
    }

    photactl_found(d, PHOTACTL_FINE, "cache", NULL, NULL,
                   "it opens; \"photactl cache check\" reads every byte");
}
