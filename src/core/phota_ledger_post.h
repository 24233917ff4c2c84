
/*
 * What every writer of the books does: an entry at the end of the chain, and
 * whatever follows from it.  Only the ledger's own files know it.  It is called
 * when nothing is left to refuse: all here end in PHOTA_OK or PHOTA_ERROR.
 */


#ifndef _PHOTA_LEDGER_POST_H_INCLUDED_
#define _PHOTA_LEDGER_POST_H_INCLUDED_


#include "phota_ledger_record.h"


/*
 * Writes an entry of a charge, and with it the charge, roll-ups and budgets.
 * The caller fills type, charge, by and note; before is the charge's view until
 * now, NULL for the first entry, which sets span.  All else of the entry is set
 * here.  fresh: as phota_budget_post() has it.
 */
int phota_ledger_post(phota_ledger_t *l, MDB_txn *txn, phota_entry_t *entry,
    const phota_charge_t *before, phota_span_t *span, unsigned fresh,
    phota_error_t *err);

/* only the entry; its day is given.  chain, which the caller writes, follows */
int phota_ledger_append(phota_ledger_t *l, MDB_txn *txn,
    phota_chain_t *chain, phota_entry_t *entry, phota_error_t *err);

/* what has ended leaves the open ones; the caller writes chain */
int phota_ledger_sweep(phota_ledger_t *l, MDB_txn *txn, phota_chain_t *chain,
    phota_error_t *err);

/* zeros before the first entry */
int phota_ledger_chain(phota_ledger_t *l, MDB_txn *txn, phota_chain_t *chain,
    phota_error_t *err);
int phota_ledger_set_chain(phota_ledger_t *l, MDB_txn *txn,
    const phota_chain_t *chain, phota_error_t *err);

/*
 * On which day counts what happened at time and is written now: on its own
 * while that is open.  By the wall clock, or by the last entry's time where the
 * clock was set back a little: that opens no day again.  Where it was set back
 * by more than a day it was far ahead before, and shall misfile nothing later.
 */
uint32_t phota_ledger_day(const phota_chain_t *chain, uint64_t time);

/* printable ASCII, ended within size */
int phota_ledger_printable(const char *text, size_t size);

/* PHOTA_ERROR, with the name of the table */
int phota_ledger_fail(phota_ledger_t *l, const char *table, int rc,
    phota_error_t *err);

/* the same, of a charge that can't be read */
int phota_ledger_damaged(phota_ledger_t *l, const phota_id_t *id,
    phota_error_t *err);


#endif /* _PHOTA_LEDGER_POST_H_INCLUDED_ */
