
/*
 * Whose profiles are: on an account that several tenants share the upstream
 * shows all of them to everybody, so the books say who added which.  A row is
 * written in the transaction that settles the training, or by an operator who
 * adopts what was there before.
 */


#ifndef _PHOTA_PROFILE_H_INCLUDED_
#define _PHOTA_PROFILE_H_INCLUDED_


#include "phota_store.h"


typedef struct {
    uint32_t         tenant;
    uint64_t         created;           /* ms */
    phota_id_t       charge;            /* of its training; zeroes: adopted */
    char             id[PHOTA_PROFILE_ID_MAX + 1];
    char             tag[PHOTA_PROFILE_TAG_MAX + 1];    /* as the tenant wrote
                                           it, "" none */
} phota_profile_t;


typedef struct {
    phota_store_t   *store;
    MDB_dbi          profiles;          /* id -> profile */
    MDB_dbi          owned;             /* tenant, id */
} phota_profiles_t;


typedef int (*phota_profile_pt)(void *ctx, const phota_profile_t *profile);


int phota_profiles_open(phota_profiles_t *p, phota_store_t *store,
    phota_error_t *err);

/*
 * PHOTA_REFUSED when it is another tenant's: it stays so.  The same tenant's
 * is written anew.  PHOTA_INVALID when it is no id: empty, too long, or with
 * controls or '/'.
 */
int phota_profile_put(phota_profiles_t *p, MDB_txn *txn,
    const phota_profile_t *profile, phota_error_t *err);

/* PHOTA_DECLINED when nobody has it; any bytes may be asked for */
int phota_profile_get(phota_profiles_t *p, MDB_txn *txn, const u_char *id,
    size_t len, phota_profile_t *profile, phota_error_t *err);

/* the one of a tenant's that a charge has paid for; PHOTA_DECLINED */
int phota_profile_trained(phota_profiles_t *p, MDB_txn *txn, uint32_t tenant,
    const phota_id_t *charge, phota_profile_t *profile, phota_error_t *err);

/* PHOTA_DECLINED when the tenant has no such profile */
int phota_profile_remove(phota_profiles_t *p, MDB_txn *txn, uint32_t tenant,
    const u_char *id, size_t len, phota_error_t *err);

/* in order of tenant and id; tenant 0: everybody's.  Own transactions */
int phota_profiles_each(phota_profiles_t *p, uint32_t tenant,
    phota_profile_pt handler, void *ctx, phota_error_t *err);

/* takes all of a tenant's out */
int phota_profiles_forget(phota_profiles_t *p, MDB_txn *txn, uint32_t tenant,
    phota_error_t *err);


#endif /* _PHOTA_PROFILE_H_INCLUDED_ */
