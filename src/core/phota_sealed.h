
/*
 * All that is sealed in the books for accounts, one after the other: for who
 * asks what a master key opens, and for who brings it under another one.
 */


#ifndef _PHOTA_SEALED_H_INCLUDED_
#define _PHOTA_SEALED_H_INCLUDED_


#include "phota_tenant_record.h"


typedef int (*phota_sealed_pt)(void *ctx, const phota_seal_t *bound,
    const u_char *sealed, size_t len);


/* keys and secrets of all accounts; bound says whose and which */
int phota_sealed_each(phota_tenants_t *t, phota_sealed_pt handler, void *ctx,
    phota_error_t *err);

/*
 * The first record behind id (first: or at it), which its own becomes; an id
 * may have gone.  PHOTA_DECLINED: there are none.
 */
int phota_sealed_next(phota_tenants_t *t, MDB_txn *txn,
    u_char id[PHOTA_KEY_ID], int first, phota_key_record_t *record,
    phota_error_t *err);


#endif /* _PHOTA_SEALED_H_INCLUDED_ */
