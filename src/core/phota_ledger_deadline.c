
/*
 * The operator's deadline: what becomes of unknown charges that nobody
 * resolves.  It lies in the store's meta table; without one they stay unknown.
 */


#include <string.h>

#include "phota_ledger_post.h"
#include "phota_record.h"


#define PHOTA_DEADLINE_VERSION  1
#define PHOTA_DEADLINE_LEN      (1 + 8 + 1)


typedef struct {
    phota_ledger_t    *ledger;
    MDB_txn           *txn;
    phota_deadline_t   deadline;
    uint64_t           now;
    unsigned           left;        /* that may still be ended */
    unsigned           done;
    unsigned           full:1;      /* stopped before the end of the list */
    phota_error_t     *err;
} phota_expiry_t;


static int phota_deadline_decode(phota_deadline_t *deadline,
    const MDB_val *value);
static int phota_expire_one(void *ctx, const phota_charge_t *charge);


int
phota_ledger_deadline(phota_ledger_t *l, MDB_txn *txn,
    phota_deadline_t *deadline, phota_error_t *err)
{
    int      rc;
    MDB_val  key, value;

    memset(deadline, 0, sizeof(phota_deadline_t));

    key.mv_data = "deadline";
    key.mv_size = sizeof("deadline") - 1;

    rc = mdb_get(txn, l->store->meta, &key, &value);

    if (rc == MDB_NOTFOUND) {
        return PHOTA_OK;
    }

    if (rc == 0 && phota_deadline_decode(deadline, &value) != PHOTA_OK) {
        rc = MDB_CORRUPTED;
    }

    return (rc == 0) ? PHOTA_OK : phota_ledger_fail(l, "meta", rc, err);
}


static int
phota_deadline_decode(phota_deadline_t *deadline, const MDB_val *value)
{
    phota_reader_t  r;

    phota_read_init(&r, value->mv_data, value->mv_size);

    if (phota_read_number(&r, 1) != PHOTA_DEADLINE_VERSION) {
        return PHOTA_ERROR;
    }

    deadline->after = phota_read_number(&r, 8);
    deadline->state = (uint8_t) phota_read_number(&r, 1);

    return phota_read_end(&r);
}


int
phota_ledger_set_deadline(phota_ledger_t *l, MDB_txn *txn,
    const phota_deadline_t *deadline, phota_error_t *err)
{
    int             rc;
    u_char          buf[PHOTA_DEADLINE_LEN];
    MDB_val         key, value;
    phota_writer_t  w;

    if (deadline->after != 0 && deadline->state != PHOTA_STATE_SETTLED
        && deadline->state != PHOTA_STATE_VOID)
    {
        phota_error(err, "a deadline settles or voids");
        return PHOTA_INVALID;
    }

    phota_write_init(&w, buf, sizeof(buf));

    phota_write_number(&w, PHOTA_DEADLINE_VERSION, 1);
    phota_write_number(&w, deadline->after, 8);
    phota_write_number(&w, deadline->state, 1);

    key.mv_data = "deadline";
    key.mv_size = sizeof("deadline") - 1;
    value.mv_data = buf;
    value.mv_size = sizeof(buf);

    rc = mdb_put(txn, l->store->meta, &key, &value, 0);

    return (rc == 0) ? PHOTA_OK : phota_ledger_fail(l, "meta", rc, err);
}


int
phota_ledger_expire(phota_ledger_t *l, MDB_txn *txn, uint64_t now,
    unsigned limit, unsigned *done, phota_error_t *err)
{
    int             rc;
    phota_expiry_t  expiry;

    *done = 0;

    memset(&expiry, 0, sizeof(phota_expiry_t));

    expiry.ledger = l;
    expiry.txn = txn;
    expiry.now = now;
    expiry.left = limit;
    expiry.err = err;

    if (phota_ledger_deadline(l, txn, &expiry.deadline, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    if (expiry.deadline.after == 0) {
        return PHOTA_OK;
    }

    rc = phota_ledger_each_open(l, txn, phota_expire_one, &expiry, err);

    *done = expiry.done;

    return expiry.full ? PHOTA_OK : rc;
}


/* PHOTA_DECLINED ends the list, which is in order of time */

static int
phota_expire_one(void *ctx, const phota_charge_t *charge)
{
    int               rc;
    phota_expiry_t   *expiry;
    phota_outcome_t   outcome;

    expiry = ctx;

    if (charge->time >= expiry->now
        || expiry->now - charge->time <= expiry->deadline.after
        || expiry->left == 0)
    {
        expiry->full = 1;
        return PHOTA_DECLINED;
    }

    /* one that is held by the living goes by its worker's own time-out */

    if (charge->state != PHOTA_STATE_UNKNOWN) {
        return PHOTA_OK;
    }

    memset(&outcome, 0, sizeof(phota_outcome_t));

    outcome.state = expiry->deadline.state;
    outcome.reason = PHOTA_REASON_DEADLINE;
    outcome.outputs = charge->asked;
    outcome.identity_low = charge->asked_identity;
    outcome.identity_high = charge->asked_identity;
    memcpy(outcome.by, "deadline", sizeof("deadline"));

    rc = phota_ledger_end(expiry->ledger, expiry->txn, &charge->id, &outcome,
                          NULL, expiry->err);

    if (rc == PHOTA_OK) {
        expiry->left--;
        expiry->done++;
    }

    /* what can't be settled as it was held for doesn't keep up the others */

    return (rc == PHOTA_ERROR) ? PHOTA_ERROR : PHOTA_OK;
}
