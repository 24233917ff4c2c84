
/*
 * A charge that the upstream took on as a job: it stays held, or is held again,
 * and its owner is no process any more but the entry that says so.  That entry
 * is how verify knows an owner of this kind from a forged one.
 */


#include <string.h>

#include "phota_ledger_post.h"


static int phota_accept_check(const phota_charge_t *view,
    const char *request_id, phota_error_t *err);
static int phota_accept_post(phota_ledger_t *l, MDB_txn *txn,
    const phota_charge_t *view, phota_span_t *span, unsigned status,
    const char *request_id, phota_charge_t *charge, phota_error_t *err);


int
phota_ledger_accept(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    unsigned status, const char *request_id, phota_charge_t *charge,
    phota_error_t *err)
{
    int             rc;
    phota_span_t    span;
    phota_charge_t  view;

    rc = phota_charge_read(l, txn, id, &view, &span);

    if (rc == PHOTA_DECLINED) {
        phota_error(err, "there is no such charge, or it is archived");
        return PHOTA_DECLINED;
    }

    if (rc != PHOTA_OK) {
        return phota_ledger_damaged(l, id, err);
    }

    if (charge != NULL) {
        *charge = view;
    }

    request_id = (request_id != NULL) ? request_id : "";

    rc = phota_accept_check(&view, request_id, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    return phota_accept_post(l, txn, &view, &span, status, request_id, charge,
                             err);
}


static int
phota_accept_check(const phota_charge_t *view, const char *request_id,
    phota_error_t *err)
{
    if (view->state == PHOTA_STATE_HELD
        && view->owner.slot == PHOTA_OWNER_JOB)
    {
        phota_error(err, "the charge is a job's already");
        return PHOTA_REFUSED;
    }

    if (!phota_charge_open(view)) {
        phota_error(err, "the charge is %s already",
                    phota_state_name(view->state));
        return PHOTA_REFUSED;
    }

    if (strnlen(request_id, PHOTA_REQUEST_ID_MAX + 1) > PHOTA_REQUEST_ID_MAX)
    {
        phota_error(err, "a request id of more than %d bytes",
                    PHOTA_REQUEST_ID_MAX);
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


/* what it holds stays as it is: no limit is asked again, none is overrun */

static int
phota_accept_post(phota_ledger_t *l, MDB_txn *txn, const phota_charge_t *view,
    phota_span_t *span, unsigned status, const char *request_id,
    phota_charge_t *charge, phota_error_t *err)
{
    phota_entry_t    entry;
    phota_charge_t  *next;

    memset(&entry, 0, sizeof(phota_entry_t));

    entry.type = PHOTA_ENTRY_ACCEPTED;
    entry.charge = *view;

    next = &entry.charge;

    next->state = PHOTA_STATE_HELD;
    next->reason = PHOTA_REASON_ACCEPTED;

    if (status != 0) {
        next->status = status;
    }

    if (request_id[0] != '\0') {
        memcpy(next->request_id, request_id, strlen(request_id) + 1);
    }

    if (phota_ledger_post(l, txn, &entry, view, span, 0, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    if (charge != NULL) {
        *charge = *next;
    }

    return PHOTA_OK;
}
