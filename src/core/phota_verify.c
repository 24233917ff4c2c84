
/*
 * Verifies the books: the chain, archived files and live entries, in one
 * snapshot, and what has to follow from it: charges, open ones and others,
 * roll-ups, budgets.  As each entry keeps its hash, the chain is cut into units
 * that several threads walk; of what they find the first in the chain counts.
 */


#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "phota_order.h"
#include "phota_seal.h"
#include "phota_verify.h"


#define PHOTA_VERIFY_THREADS   8
#define PHOTA_VERIFY_ATTEMPTS  100


typedef struct {
    phota_snapshot_t       snapshot;
    phota_verify_part_t    parts[PHOTA_VERIFY_THREADS];
    pthread_t              threads[PHOTA_VERIFY_THREADS];
    size_t                 nparts;
    pthread_mutex_t        mutex;
    size_t                 next;            /* unit, 0: the archive */
    size_t                 units;
} phota_verify_t;


typedef struct {
    phota_verify_t        *verify;
    phota_verify_part_t   *part;
} phota_verify_work_t;


static int phota_verify_run(phota_verify_t *v, phota_error_t *err);
static int phota_verify_begin(phota_verify_t *v, phota_error_t *err);
static int phota_verify_begin_all(phota_verify_t *v, phota_error_t *err);
static int phota_verify_snapshot(phota_verify_t *v, phota_error_t *err);
static int phota_verify_bounds(phota_snapshot_t *s, MDB_txn *txn,
    phota_error_t *err);
static int phota_verify_part(phota_verify_t *v, phota_verify_part_t *part,
    phota_error_t *err);
static int phota_verify_walk(phota_verify_t *v, phota_error_t *err);
static void *phota_verify_thread(void *data);
static int phota_verify_take(phota_verify_t *v, size_t *unit);
static void phota_verify_give_up(phota_verify_t *v);
static int phota_verify_end(phota_verify_t *v, phota_verify_part_t *all);
static int phota_verify_chain(phota_verify_t *v, phota_verify_part_t *all);
static int phota_verify_counts(phota_verify_part_t *all);
static int phota_verify_merge(phota_verify_part_t *to,
    const phota_verify_part_t *from);
static void phota_verify_part_free(phota_verify_part_t *part);
static void phota_verify_free(phota_verify_t *v);


int
phota_ledger_verify(phota_ledger_t *l, uint64_t *entries,
    u_char chain[PHOTA_SHA256_LEN], phota_error_t *err)
{
    int              rc;
    phota_verify_t  *v;

    *entries = 0;
    memset(chain, 0, PHOTA_SHA256_LEN);

    v = calloc(1, sizeof(phota_verify_t));

    if (v == NULL || pthread_mutex_init(&v->mutex, NULL) != 0) {
        free(v);
        phota_error(err, "no memory");
        return PHOTA_ERROR;
    }

    v->snapshot.ledger = l;

    rc = phota_verify_run(v, err);

    if (rc == PHOTA_OK) {
        *entries = v->snapshot.chain.count;
        memcpy(chain, v->snapshot.chain.hash, PHOTA_SHA256_LEN);
    }

    phota_verify_free(v);

    return rc;
}


static int
phota_verify_run(phota_verify_t *v, phota_error_t *err)
{
    int                   rc;
    size_t                i;
    phota_verify_part_t  *all;

    rc = phota_verify_begin(v, err);

    if (rc == PHOTA_OK) {
        rc = phota_verify_snapshot(v, err);
    }

    for (i = 0; rc == PHOTA_OK && i < v->nparts; i++) {
        rc = phota_verify_part(v, &v->parts[i], err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_verify_walk(v, err);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    all = &v->parts[0];

    for (i = 1; rc == PHOTA_OK && i < v->nparts; i++) {
        rc = phota_verify_merge(all, &v->parts[i]);
    }

    if (rc == PHOTA_OK) {
        rc = phota_verify_end(v, all);
    }

    if (rc != PHOTA_OK) {
        phota_error(err, "%s", all->err.text);
    }

    return rc;
}


/*
 * A transaction is for one thread, so each has its own; they see the same as
 * long as nobody commits in between.
 */

static int
phota_verify_begin(phota_verify_t *v, phota_error_t *err)
{
    int   i, rc;
    long  n;

    n = sysconf(_SC_NPROCESSORS_ONLN);
    n = (n < 1) ? 1 : n;
    v->nparts = (n < PHOTA_VERIFY_THREADS) ? (size_t) n
                                           : PHOTA_VERIFY_THREADS;

    for (i = 0; i < PHOTA_VERIFY_ATTEMPTS; i++) {

        rc = phota_verify_begin_all(v, err);

        if (rc != PHOTA_DECLINED) {
            return rc;
        }
    }

    v->nparts = 1;

    return phota_verify_begin_all(v, err);
}


/* PHOTA_DECLINED when they don't see the same */

static int
phota_verify_begin_all(phota_verify_t *v, phota_error_t *err)
{
    size_t  i;

    for (i = 0; i < v->nparts; i++) {

        if (v->parts[i].txn != NULL) {
            phota_store_abort(v->parts[i].txn);
            v->parts[i].txn = NULL;
        }
    }

    for (i = 0; i < v->nparts; i++) {

        if (phota_store_begin(v->snapshot.ledger->store, 0, &v->parts[i].txn,
                              err)
            != PHOTA_OK)
        {
            v->parts[i].txn = NULL;
            return PHOTA_ERROR;
        }

        if (mdb_txn_id(v->parts[i].txn) != mdb_txn_id(v->parts[0].txn)) {
            return PHOTA_DECLINED;
        }
    }

    return PHOTA_OK;
}


static int
phota_verify_snapshot(phota_verify_t *v, phota_error_t *err)
{
    int                rc;
    uint64_t           live;
    phota_snapshot_t  *s;

    s = &v->snapshot;

    if (phota_chain_read(s->ledger, v->parts[0].txn, &s->chain)
        == PHOTA_ERROR
        || s->chain.archived > s->chain.count)
    {
        phota_error(err, "the record of the chain's end is damaged");
        return PHOTA_INVALID;
    }

    rc = phota_verify_bounds(s, v->parts[0].txn, err);

    if (rc == PHOTA_OK) {
        rc = phota_verify_counters(s, v->parts[0].txn, err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_archive_list(s->ledger, &v->snapshot.archive, err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_random(s->seed, sizeof(s->seed));
    }

    live = (s->last > s->chain.archived) ? s->last - s->chain.archived : 0;
    v->units = 1 + (live + PHOTA_VERIFY_UNIT - 1) / PHOTA_VERIFY_UNIT;

    return rc;
}


/* the last entry there is, which the chain's end may know better */

static int
phota_verify_bounds(phota_snapshot_t *s, MDB_txn *txn, phota_error_t *err)
{
    int          rc;
    MDB_val      key, value;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, s->ledger->entries, &cursor);
    if (rc != 0) {
        return phota_store_fail(err, s->ledger->store->path, rc);
    }

    s->last = s->chain.archived;

    rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);

    if (rc == 0 && key.mv_size == 8) {
        s->last = phota_get_be(key.mv_data, 8);
    }

    mdb_cursor_close(cursor);

    if (rc != 0 && rc != MDB_NOTFOUND) {
        return phota_store_fail(err, s->ledger->store->path, rc);
    }

    /* no more units than there should be */

    if (s->last > s->chain.count) {
        s->last = s->chain.count;
    }

    return PHOTA_OK;
}


static int
phota_verify_part(phota_verify_t *v, phota_verify_part_t *part,
    phota_error_t *err)
{
    int              rc;
    size_t           counters;
    phota_ledger_t  *l;

    l = v->snapshot.ledger;
    part->snapshot = &v->snapshot;

    rc = mdb_cursor_open(part->txn, l->entries, &part->entries);

    if (rc == 0) {
        rc = mdb_cursor_open(part->txn, l->charges, &part->charges);
    }

    if (rc == 0) {
        rc = mdb_cursor_open(part->txn, l->open, &part->open);
    }

    if (rc != 0) {
        return phota_store_fail(err, l->store->path, rc);
    }

    counters = v->snapshot.counters.size;

    part->seen = calloc(PHOTA_VERIFY_SEEN, sizeof(phota_seen_t));
    part->balance = calloc(PHOTA_VERIFY_BUCKETS, sizeof(uint64_t));
    part->spending = calloc(counters + 1, sizeof(phota_spending_t));

    if (part->seen == NULL || part->balance == NULL || part->spending == NULL)
    {
        phota_error(err, "no memory");
        return PHOTA_ERROR;
    }

    return phota_hasher_init(&part->hasher, err);
}


static int
phota_verify_walk(phota_verify_t *v, phota_error_t *err)
{
    size_t                i, n;
    phota_verify_part_t  *first;
    phota_verify_work_t   work[PHOTA_VERIFY_THREADS];

    for (i = 0; i < v->nparts; i++) {
        work[i].verify = v;
        work[i].part = &v->parts[i];
    }

    /* what can't be given to a thread the others do */

    for (n = 1; n < v->nparts; n++) {
        if (pthread_create(&v->threads[n], NULL, phota_verify_thread,
                           &work[n])
            != 0)
        {
            break;
        }
    }

    (void) phota_verify_thread(&work[0]);

    for (i = 1; i < n; i++) {
        (void) pthread_join(v->threads[i], NULL);
    }

    first = NULL;

    for (i = 0; i < n; i++) {
        if (v->parts[i].rc != PHOTA_OK
            && (first == NULL || v->parts[i].unit < first->unit))
        {
            first = &v->parts[i];
        }
    }

    if (first == NULL) {
        return PHOTA_OK;
    }

    phota_error(err, "%s", first->err.text);

    return first->rc;
}


static void *
phota_verify_thread(void *data)
{
    phota_verify_t       *v;
    phota_verify_work_t  *work;
    phota_verify_part_t  *part;

    work = data;
    v = work->verify;
    part = work->part;

    while (part->rc == PHOTA_OK
           && phota_verify_take(v, &part->unit) == PHOTA_OK)
    {
        part->rc = phota_verify_unit(part);
    }

    if (part->rc != PHOTA_OK) {
        phota_verify_give_up(v);
    }

    return NULL;
}


/* in their order: when one fails, those before it have been taken */

static int
phota_verify_take(phota_verify_t *v, size_t *unit)
{
    int  rc;

    (void) pthread_mutex_lock(&v->mutex);

    rc = (v->next < v->units) ? PHOTA_OK : PHOTA_DECLINED;

    if (rc == PHOTA_OK) {
        *unit = v->next++;
    }

    (void) pthread_mutex_unlock(&v->mutex);

    phota_working("verifying", *unit, v->units);

    return rc;
}


static void
phota_verify_give_up(phota_verify_t *v)
{
    (void) pthread_mutex_lock(&v->mutex);
    v->next = v->units;
    (void) pthread_mutex_unlock(&v->mutex);
}


static int
phota_verify_end(phota_verify_t *v, phota_verify_part_t *all)
{
    int  rc;

    rc = phota_verify_chain(v, all);

    if (rc == PHOTA_OK) {
        rc = phota_verify_counts(all);
    }

    if (rc == PHOTA_OK) {
        rc = phota_verify_balance(all);
    }

    if (rc == PHOTA_OK) {
        rc = phota_verify_sums(all);
    }

    if (rc == PHOTA_OK) {
        rc = phota_verify_budgets(all);
    }

    return rc;
}


static int
phota_verify_chain(phota_verify_t *v, phota_verify_part_t *all)
{
    int                   rc;
    u_char                hash[PHOTA_SHA256_LEN];
    MDB_stat              st;
    const phota_chain_t  *chain;

    chain = &v->snapshot.chain;

    rc = mdb_stat(all->txn, v->snapshot.ledger->entries, &st);
    if (rc != 0) {
        return phota_store_fail(&all->err, v->snapshot.ledger->store->path,
                                rc);
    }

    if (v->snapshot.last != chain->count
        || st.ms_entries != chain->count - chain->archived)
    {
        phota_error(&all->err, "the chain ends with entry %llu, and should "
                    "with %llu; %llu entries are in the database",
                    (unsigned long long) v->snapshot.last,
                    (unsigned long long) chain->count,
                    (unsigned long long) st.ms_entries);
        return PHOTA_INVALID;
    }

    all->sequence = chain->archived + 1;

    if (chain->count > chain->archived
        && all->live_time < all->archive_time)
    {
        return phota_verify_bad(all, "is older than its predecessor");
    }

    all->sequence = chain->count;

    rc = phota_verify_before(all, chain->count + 1, hash);
    if (rc != PHOTA_OK) {
        return rc;
    }

    if (((chain->count == chain->archived) ? all->archive_time : all->time)
        != chain->time
        || memcmp(hash, chain->hash, PHOTA_SHA256_LEN) != 0)
    {
        return phota_verify_bad(all, "is not the one that was written last");
    }

    return PHOTA_OK;
}


static int
phota_verify_counts(phota_verify_part_t *all)
{
    int              rc;
    MDB_stat         charges, open;
    uint64_t         rows, opens;
    phota_chain_t    chain;
    phota_ledger_t  *l;

    l = all->snapshot->ledger;

    rc = mdb_stat(all->txn, l->charges, &charges);

    if (rc == 0) {
        rc = mdb_stat(all->txn, l->open, &open);
    }

    if (rc != 0) {
        return phota_store_fail(&all->err, l->store->path, rc);
    }

    /* one row is the chain's end */

    opens = open.ms_entries
            - (phota_chain_read(l, all->txn, &chain) == PHOTA_OK);
    rows = charges.ms_entries + opens;

    if (rows == all->firsts && all->lasts == all->firsts
        && opens == all->opens + chain.nended && all->accepts == 0)
    {
        return PHOTA_OK;
    }

    rc = phota_verify_stray(all);

    if (rc == PHOTA_OK) {
        phota_error(&all->err, "there are %llu charges, %llu of them open, "
                    "%llu beginnings and %llu ends of them, and %lld jobs "
                    "that no entry accepted",
                    (unsigned long long) rows,
                    (unsigned long long) opens,
                    (unsigned long long) all->firsts,
                    (unsigned long long) all->lasts,
                    (long long) -all->accepts);
        rc = PHOTA_INVALID;
    }

    return rc;
}


static int
phota_verify_merge(phota_verify_part_t *to, const phota_verify_part_t *from)
{
    size_t              i;
    phota_rollup_t     *row;
    phota_sums_slot_t  *slot;

    to->firsts += from->firsts;
    to->lasts += from->lasts;
    to->opens += from->opens;
    to->accepts += from->accepts;

    /* the archive and the first live entry are one part's each */

    to->archive_time += from->archive_time;
    to->live_time += from->live_time;

    for (i = 0; i < PHOTA_VERIFY_BUCKETS; i++) {
        to->balance[i] += from->balance[i];
    }

    for (i = 0; i < to->snapshot->counters.size; i++) {
        phota_verify_spending_add(&to->spending[i], from->spending[i].spent,
                                  from->spending[i].held);
    }

    for (i = 0; i < from->details.count; i++) {

        slot = &from->details.slots[i];
        row = phota_sums_get(&to->details, slot->key, slot->len);

        if (row == NULL) {
            phota_error(&to->err, "no memory");
            return PHOTA_ERROR;
        }

        phota_sum_add(&row->sum, &slot->rollup.sum);
    }

    return PHOTA_OK;
}


static void
phota_verify_free(phota_verify_t *v)
{
    size_t  i;

    for (i = 0; i < PHOTA_VERIFY_THREADS; i++) {
        phota_verify_part_free(&v->parts[i]);
    }

    phota_archive_list_free(&v->snapshot.archive);
    free(v->snapshot.counters.slots);
    (void) pthread_mutex_destroy(&v->mutex);
    free(v);
}


static void
phota_verify_part_free(phota_verify_part_t *part)
{
    size_t       i;
    MDB_cursor  *cursors[3];

    cursors[0] = part->entries;
    cursors[1] = part->charges;
    cursors[2] = part->open;

    for (i = 0; i < sizeof(cursors) / sizeof(cursors[0]); i++) {
        if (cursors[i] != NULL) {
            mdb_cursor_close(cursors[i]);
        }
    }

    if (part->txn != NULL) {
        phota_store_abort(part->txn);
    }

    phota_hasher_free(&part->hasher);
    phota_sums_free(&part->details);
    free(part->gone.slots);
    free(part->seen);
    free(part->balance);
    free(part->spending);
}


int
phota_verify_bad(phota_verify_part_t *part, const char *what)
{
    phota_error(&part->err, "entry %llu %s",
                (unsigned long long) part->sequence, what);

    return PHOTA_INVALID;
}


int
phota_verify_bad_charge(phota_verify_part_t *part, const phota_id_t *id,
    const char *what)
{
    char  text[PHOTA_ID_TEXT];

    phota_id_format(text, id);
    phota_error(&part->err, "entry %llu: charge %s %s",
                (unsigned long long) part->sequence, text, what);

    return PHOTA_INVALID;
}
