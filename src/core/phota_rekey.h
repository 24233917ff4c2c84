
/*
 * From one master key to another, while workers serve: all that is sealed is
 * sealed anew, in transactions of a few records.  Whenever it breaks off, each
 * record opens under one of both keys, and who begins again goes on.
 */


#ifndef _PHOTA_REKEY_H_INCLUDED_
#define _PHOTA_REKEY_H_INCLUDED_


#include "phota_keyring.h"
#include "phota_ledger.h"
#include "phota_tenant.h"
#include "phota_tenant_record.h"


/* the caller sets the first three */

typedef struct {
    phota_tenants_t   *tenants;
    phota_ledger_t    *ledger;
    phota_master_t     master;      /* the new one first, then the old one */
    phota_master_t     alone[2];    /* each by itself */
    u_char             at[PHOTA_KEY_ID];
    uint32_t           total;       /* records */
    uint32_t           looked;      /* at, up to now */
    uint32_t           sealed;      /* anew */
    uint32_t           lost;        /* open under neither */
    uint32_t           first;       /* the account of the first of these */
    unsigned           ignorant;    /* workers that don't know the new one */
    unsigned           behind:1;    /* the first record was looked at */
} phota_rekey_t;


/*
 * From its return on all that is sealed and signed is so under the new key.
 * PHOTA_DECLINED when all is under the new key, and nothing to be done.
 * PHOTA_REFUSED, with ignorant set, when workers don't know it; PHOTA_INVALID
 * when the old key is missing or wrong, or, with lost set, when records open
 * under neither.
 */
int phota_rekey_begin(phota_rekey_t *r, phota_error_t *err);

/* some records: PHOTA_OK, PHOTA_DECLINED when it was the last; as above */
int phota_rekey_step(phota_rekey_t *r, phota_error_t *err);

/* the books' word that nothing needs the old key any more */
int phota_rekey_end(phota_rekey_t *r, phota_error_t *err);

/*
 * The old key is lost, and with it all that it has sealed: from now on the new
 * one is in force, and derives what had outlived the old one.
 */
int phota_rekey_give_up(phota_rekey_t *r, phota_error_t *err);

void phota_rekey_forget(phota_rekey_t *r);


#endif /* _PHOTA_REKEY_H_INCLUDED_ */
