
/*
 * Reading the books: one charge, all of a time, the open ones, and what the
 * numbers in them are called.  Lists go from key to key, not with a
 * cursor kept open, so that a handler may write and a slow one pins no pages.
 */


#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "phota_ledger_record.h"
#include "phota_order.h"


#define PHOTA_LEDGER_BATCH  32


typedef struct {
    phota_id_t      next;           /* where the next batch begins */
    uint64_t        to;
    unsigned        more;
    unsigned        n;
    unsigned        damaged;
    uint64_t        total;          /* of all charges */
    phota_error_t   damage;         /* the first */
    phota_charge_t  charges[PHOTA_LEDGER_BATCH];
} phota_batch_t;


/* both tables of charges, as one in the order of ids */

typedef struct {
    MDB_cursor     *cursors[2];     /* of those that have ended, of the open */
    int             rc[2];          /* where each of them is: an MDB code */
    MDB_val         keys[2];
    MDB_val         values[2];
} phota_merge_t;


static int phota_ledger_batch(phota_ledger_t *l, phota_batch_t *batch,
    phota_error_t *err);
static int phota_ledger_batch_fill(phota_ledger_t *l, MDB_txn *txn,
    phota_merge_t *merge, phota_batch_t *batch);
static void phota_ledger_batch_add(phota_ledger_t *l, MDB_txn *txn,
    phota_batch_t *batch, int open, const MDB_val *value);
static int phota_merge_open(phota_merge_t *merge, phota_ledger_t *l,
    MDB_txn *txn, const phota_id_t *from);
static void phota_merge_close(phota_merge_t *merge);
static int phota_merge_next(phota_merge_t *merge, phota_id_t *id, int *open,
    MDB_val *value);
static int phota_merge_move(phota_merge_t *merge, int i, MDB_cursor_op op);
static int phota_ledger_next_open(phota_ledger_t *l, MDB_txn *txn,
    phota_id_t *id, MDB_val *value);
static void phota_ledger_present(phota_ledger_t *l, MDB_txn *txn,
    phota_charge_t *charge);
static int phota_ledger_id_after(phota_id_t *id);
static void phota_ledger_left_out(const char *what, const phota_id_t *id,
    phota_error_t *err);


int
phota_ledger_get(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    phota_charge_t *charge)
{
    phota_span_t  span;

    return phota_charge_read(l, txn, id, charge, &span);
}


int
phota_ledger_begins(phota_ledger_t *l, const phota_id_t *id,
    uint64_t *sequence, phota_error_t *err)
{
    int             rc;
    MDB_txn        *txn;
    phota_span_t    span;
    phota_charge_t  charge;

    if (phota_store_begin(l->store, 0, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = phota_charge_read(l, txn, id, &charge, &span);

    phota_store_abort(txn);

    if (rc == PHOTA_OK) {
        *sequence = span.first;
    }

    return rc;
}


int
phota_ledger_each(phota_ledger_t *l, uint64_t from, uint64_t to,
    phota_charge_pt handler, void *ctx, phota_error_t *err)
{
    int             rc;
    unsigned        i;
    uint64_t        done;
    phota_batch_t  *batch;

    done = 0;

    batch = calloc(1, sizeof(phota_batch_t));

    if (batch == NULL) {
        phota_error(err, "no memory");
        return PHOTA_ERROR;
    }

    batch->to = to;
    phota_put_be(batch->next.b, from, 6);

    do {
        rc = phota_ledger_batch(l, batch, err);

        done += batch->n;
        phota_working("reading", done, batch->total);

        for (i = 0; rc == PHOTA_OK && i < batch->n; i++) {
            rc = handler(ctx, &batch->charges[i]);
        }

    } while (rc == PHOTA_OK && batch->more);

    if (rc == PHOTA_OK && batch->damaged) {
        phota_error(err, "%s", batch->damage.text);
        rc = PHOTA_ERROR;
    }

    free(batch);

    return rc;
}


static int
phota_ledger_batch(phota_ledger_t *l, phota_batch_t *batch,
    phota_error_t *err)
{
    int            rc;
    MDB_txn       *txn;
    MDB_stat       ended, open;
    phota_merge_t  merge;

    if (phota_store_begin(l->store, 0, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    if (mdb_stat(txn, l->charges, &ended) == 0
        && mdb_stat(txn, l->open, &open) == 0)
    {
        batch->total = ended.ms_entries + open.ms_entries;
    }

    rc = phota_merge_open(&merge, l, txn, &batch->next);

    if (rc == 0) {
        rc = phota_ledger_batch_fill(l, txn, &merge, batch);
    }

    phota_merge_close(&merge);
    phota_store_abort(txn);

    return (rc == 0) ? PHOTA_OK : phota_store_fail(err, l->store->path, rc);
}


/* an MDB code */

static int
phota_ledger_batch_fill(phota_ledger_t *l, MDB_txn *txn, phota_merge_t *merge,
    phota_batch_t *batch)
{
    int      rc, open;
    MDB_val  value;

    batch->n = 0;
    batch->more = 0;

    while ((rc = phota_merge_next(merge, &batch->next, &open, &value)) == 0) {

        if (batch->to != 0 && phota_get_be(batch->next.b, 6) >= batch->to) {
            return 0;
        }

        if (batch->n == PHOTA_LEDGER_BATCH) {
            batch->more = 1;
            return 0;
        }

        phota_ledger_batch_add(l, txn, batch, open, &value);
    }

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


static void
phota_ledger_batch_add(phota_ledger_t *l, MDB_txn *txn, phota_batch_t *batch,
    int open, const MDB_val *value)
{
    phota_span_t     span;
    phota_charge_t  *charge;

    charge = &batch->charges[batch->n];

    charge->id = batch->next;

    if (phota_charge_row(charge, &span, open, value) != PHOTA_OK) {

        if (batch->damaged++ == 0) {
            phota_ledger_left_out("charge", &charge->id, &batch->damage);
        }

        return;
    }

    phota_ledger_present(l, txn, charge);

    batch->n++;
}


/* to be closed whatever it returns, an MDB code */

static int
phota_merge_open(phota_merge_t *merge, phota_ledger_t *l, MDB_txn *txn,
    const phota_id_t *from)
{
    int  i, rc;

    const MDB_dbi  tables[] = { l->charges, l->open };

    memset(merge, 0, sizeof(phota_merge_t));

    for (i = 0; i < 2; i++) {

        rc = mdb_cursor_open(txn, tables[i], &merge->cursors[i]);

        if (rc != 0) {
            merge->cursors[i] = NULL;
            return rc;
        }

        merge->keys[i].mv_data = (void *) from->b;
        merge->keys[i].mv_size = sizeof(phota_id_t);

        merge->rc[i] = phota_merge_move(merge, i, MDB_SET_RANGE);
    }

    return 0;
}


static void
phota_merge_close(phota_merge_t *merge)
{
    int  i;

    for (i = 0; i < 2; i++) {
        if (merge->cursors[i] != NULL) {
            mdb_cursor_close(merge->cursors[i]);
        }
    }
}


/* an MDB code; of one that is in both tables the open one, as it is read */

static int
phota_merge_next(phota_merge_t *merge, phota_id_t *id, int *open,
    MDB_val *value)
{
    int  i, order;

    for (i = 0; i < 2; i++) {
        if (merge->rc[i] != 0 && merge->rc[i] != MDB_NOTFOUND) {
            return merge->rc[i];
        }
    }

    if (merge->rc[0] != 0 && merge->rc[1] != 0) {
        return MDB_NOTFOUND;
    }

    if (merge->rc[0] == 0 && merge->rc[1] == 0) {
        order = memcmp(merge->keys[1].mv_data, merge->keys[0].mv_data,
                       sizeof(phota_id_t));

    } else {
        order = (merge->rc[1] == 0) ? -1 : 1;
    }

    i = (order <= 0);

    *open = i;
    *value = merge->values[i];
    memcpy(id->b, merge->keys[i].mv_data, sizeof(phota_id_t));

    merge->rc[i] = phota_merge_move(merge, i, MDB_NEXT);

    if (order == 0) {
        merge->rc[0] = phota_merge_move(merge, 0, MDB_NEXT);
    }

    return 0;
}


static int
phota_merge_move(phota_merge_t *merge, int i, MDB_cursor_op op)
{
    int  rc;

    rc = mdb_cursor_get(merge->cursors[i], &merge->keys[i], &merge->values[i],
                        op);

    return (rc == 0 && merge->keys[i].mv_size != sizeof(phota_id_t))
           ? MDB_CORRUPTED : rc;
}


int
phota_ledger_each_open(phota_ledger_t *l, MDB_txn *txn,
    phota_charge_pt handler, void *ctx, phota_error_t *err)
{
    int             rc;
    MDB_val         value;
    unsigned        damaged;
    phota_id_t      id;
    phota_span_t    span;
    phota_error_t   damage;
    phota_charge_t  charge;

    damaged = 0;
    memset(&id, 0, sizeof(phota_id_t));

    do {
        rc = phota_ledger_next_open(l, txn, &id, &value);

        if (rc == MDB_NOTFOUND) {
            break;
        }

        if (rc != 0) {
            return phota_store_fail(err, l->store->path, rc);
        }

        charge.id = id;

        if (phota_charge_row(&charge, &span, 1, &value) != PHOTA_OK) {

            /* kept apart: a handler may write to the same err */

            if (damaged++ == 0) {
                phota_ledger_left_out("open charge", &id, &damage);
            }

            continue;
        }

        if (!phota_charge_open(&charge)) {
            continue;
        }

        phota_ledger_present(l, txn, &charge);

        rc = handler(ctx, &charge);

        if (rc != PHOTA_OK) {
            return rc;
        }

    } while (phota_ledger_id_after(&id) == PHOTA_OK);

    if (damaged) {
        phota_error(err, "%s", damage.text);
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


/* the first open one from id on; an MDB code */

static int
phota_ledger_next_open(phota_ledger_t *l, MDB_txn *txn, phota_id_t *id,
    MDB_val *value)
{
    int          rc;
    MDB_val      key;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, l->open, &cursor);

    if (rc != 0) {
        return rc;
    }

    key.mv_data = id->b;
    key.mv_size = sizeof(phota_id_t);

    rc = mdb_cursor_get(cursor, &key, value, MDB_SET_RANGE);

    if (rc == 0 && key.mv_size != sizeof(phota_id_t)) {
        rc = MDB_CORRUPTED;
    }

    if (rc == 0) {
        memcpy(id->b, key.mv_data, sizeof(phota_id_t));
    }

    mdb_cursor_close(cursor);

    return rc;
}


static void
phota_ledger_present(phota_ledger_t *l, MDB_txn *txn, phota_charge_t *charge)
{
    if (charge->state == PHOTA_STATE_HELD
        && !phota_ledger_alive(l, txn, &charge->owner))
    {
        charge->state = PHOTA_STATE_UNKNOWN;
        charge->reason = PHOTA_REASON_ABANDONED;
    }
}


/* the id that follows; PHOTA_DECLINED when there is none */

static int
phota_ledger_id_after(phota_id_t *id)
{
    int  i;

    for (i = sizeof(phota_id_t) - 1; i >= 0; i--) {
        if (++id->b[i] != 0) {
            return PHOTA_OK;
        }
    }

    return PHOTA_DECLINED;
}


static void
phota_ledger_left_out(const char *what, const phota_id_t *id,
    phota_error_t *err)
{
    char  text[PHOTA_ID_TEXT];

    phota_id_format(text, id);
    phota_error(err, "the record of %s %s is damaged", what, text);
}


const char *
phota_state_name(unsigned state)
{
    static const char  *names[] = {
        "?", "held", "settled", "void", "unknown", "reversed"
    };

    return (state <= PHOTA_STATE_REVERSED) ? names[state] : names[0];
}


const char *
phota_cached_name(unsigned cached)
{
    static const char  *names[] = {
        "?", "miss", "hit", "join", "bypass"
    };

    return (cached <= PHOTA_CACHED_BYPASS) ? names[cached] : names[0];
}


const char *
phota_reason_name(unsigned reason)
{
    static const char  *names[] = {
        "none", "delivered", "not_sent", "refused", "server_error",
        "redirect", "truncated", "unparsable", "timeout", "reset",
        "accepted", "abandoned", "recovered", "operator", "bill",
        "deadline", "served", "job_failed", "job_lost", "duplicate",
        "training"
    };

    return (reason <= PHOTA_REASON_TRAINING) ? names[reason] : "?";
}


const char *
phota_entry_name(unsigned type)
{
    static const char  *names[] = {
        "?", "held", "settled", "void", "unknown", "reversed", "corrected",
        "hits", "accepted"
    };

    return (type <= PHOTA_ENTRY_ACCEPTED) ? names[type] : names[0];
}
