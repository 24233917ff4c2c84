
/*
 * How tenants, tokens, keys and zones lie in their tables: shared by the
 * tables' owner and the directory that reads them.  Encoders return the
 * record's length and fit any valid input into PHOTA_RECORD_MAX bytes; decoders
 * refuse what is damaged.
 */


#ifndef _PHOTA_TENANT_RECORD_H_INCLUDED_
#define _PHOTA_TENANT_RECORD_H_INCLUDED_


#include "phota_tenant.h"


#define PHOTA_RECORD_MAX     1024
#define PHOTA_KEY_ID         6      /* tenant (big-endian: LMDB sorts by
                                       bytes), provider, what */

/* PHOTA_TENANT_OWN_KEY is read off the table of keys */
#define PHOTA_TENANT_STORED                                                   \
    (PHOTA_TENANT_SUSPENDED|PHOTA_TENANT_SHARED|PHOTA_TENANT_FENCED)


typedef struct {
    phota_seal_t    bound;          /* version: from 1, never used again */
    uint64_t        created;        /* ms */
    size_t          len;
    u_char          sealed[PHOTA_SEALED_MAX];
} phota_key_record_t;


extern const phota_limits_t  phota_no_limits;


/*
 * What changes of all tables share: a transaction, which finish commits under
 * a new generation unless rc says that something went wrong; a counter's next
 * number; a tenant by name, PHOTA_DECLINED when there is none; and his row.
 */
int phota_tenant_begin(phota_tenants_t *t, MDB_txn **txn,
    phota_error_t *err);
int phota_tenant_finish(phota_tenants_t *t, MDB_txn *txn, int rc,
    phota_error_t *err);
int phota_tenant_number(phota_tenants_t *t, MDB_txn *txn,
    const char *counter, uint32_t *id, phota_error_t *err);
int phota_tenant_find(phota_tenants_t *t, MDB_txn *txn, const char *name,
    phota_tenant_t *tenant, phota_error_t *err);
int phota_tenant_put(phota_tenants_t *t, MDB_txn *txn,
    const phota_tenant_t *tenant, unsigned flags, phota_error_t *err);

/* PHOTA_INVALID when it can't be one */
int phota_tenant_name(const char *name, phota_error_t *err);

/* the id of one whose removal isn't finished; PHOTA_DECLINED: no such mark */
int phota_tenant_marked(phota_tenants_t *t, MDB_txn *txn, const char *name,
    uint32_t *id, phota_error_t *err);

/* PHOTA_INVALID when one is neither -1 nor an amount */
int phota_limits_check(const phota_limits_t *limits);

size_t phota_tenant_encode(u_char *buf, size_t size,
    const phota_tenant_t *tenant);
int phota_tenant_decode(phota_tenant_t *tenant, const MDB_val *key,
    const MDB_val *data, phota_error_t *err);

size_t phota_token_encode(u_char *buf, size_t size,
    const phota_token_t *token);
int phota_token_decode(phota_token_t *token, const MDB_val *key,
    const MDB_val *data, phota_error_t *err);

void phota_key_id_encode(u_char id[PHOTA_KEY_ID], const phota_seal_t *bound);
size_t phota_key_encode(u_char *buf, size_t size,
    const phota_key_record_t *record);
int phota_key_decode(phota_key_record_t *record, const MDB_val *key,
    const MDB_val *data, phota_error_t *err);

/* PHOTA_DECLINED when there is nothing of the kind */
int phota_key_get(phota_tenants_t *t, MDB_txn *txn, uint32_t tenant,
    phota_provider_e provider, phota_secret_e what,
    phota_key_record_t *record, phota_error_t *err);

/* all keys and secrets of a tenant */
int phota_key_forget(phota_tenants_t *t, MDB_txn *txn, uint32_t tenant,
    phota_error_t *err);

/* allocates: phota_zone_free() */
int phota_zone_row(phota_zone_t *zone, const MDB_val *key,
    const MDB_val *data, phota_error_t *err);


#endif /* _PHOTA_TENANT_RECORD_H_INCLUDED_ */
