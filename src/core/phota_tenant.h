
/*
 * Tenants, their tokens and their sealed upstream keys: tables of the books
 * that photactl changes, and the directory, a snapshot of them in memory that
 * a worker asks without touching LMDB.
 */


#ifndef _PHOTA_TENANT_H_INCLUDED_
#define _PHOTA_TENANT_H_INCLUDED_


#include "phota_budget.h"
#include "phota_operation.h"
#include "phota_plan.h"
#include "phota_seal.h"
#include "phota_zone.h"


#define PHOTA_TENANT_DEFAULT  0     /* owns the default upstream key */

#define PHOTA_TENANT_SUSPENDED  0x01
#define PHOTA_TENANT_SHARED     0x02    /* cache scope shared */
#define PHOTA_TENANT_OWN_KEY    0x04    /* has a key of its own (phota) */
#define PHOTA_TENANT_FENCED     0x08    /* fenced in though the key is its own:
                                           others share the account */

/* whether jobs, profiles and tags of others are kept from a tenant */

#define phota_tenant_fenced(tenant)                                           \
    (((tenant)->flags & (PHOTA_TENANT_OWN_KEY|PHOTA_TENANT_FENCED))           \
     != PHOTA_TENANT_OWN_KEY)


typedef struct {
    phota_store_t  *store;
    MDB_dbi         tenants;        /* name -> tenant */
    MDB_dbi         tokens;         /* SHA-256 of the token -> token */
    MDB_dbi         keys;           /* tenant id, provider, what -> sealed */
    MDB_dbi         zones;          /* name -> zone */
} phota_tenants_t;


typedef struct {
    uint32_t        id;             /* from 1, never used again */
    uint32_t        flags;
    uint64_t        created;        /* ms */
    phota_limits_t  limits;
    phota_plan_t    plan;
    char            name[PHOTA_NAME_MAX + 1];
    char            zone[PHOTA_ZONE_NAME + 1];      /* "": UTC */
} phota_tenant_t;


/* stored: what a token is for.  An operator's has no tenant, and no limits */

typedef enum {
    PHOTA_SCOPE_TENANT = 0,
    PHOTA_SCOPE_READ,
    PHOTA_SCOPE_WRITE               /* and read */
} phota_scope_e;


typedef struct {
    uint32_t        id;             /* from 1 within the books */
    uint32_t        tenant;         /* 0: an operator's */
    uint8_t         scope;          /* phota_scope_e */
    uint64_t        created;        /* ms */
    uint64_t        expires;        /* ms, 0 never */
    uint64_t        revoked;        /* ms, 0 not */
    phota_limits_t  limits;
    char            label[PHOTA_NAME_MAX + 1];
    u_char          digest[PHOTA_SHA256_LEN];
} phota_token_t;


/* changes what it is given, within the transaction that writes it */
typedef int (*phota_tenant_edit_pt)(void *ctx, phota_tenant_t *tenant,
    phota_error_t *err);
typedef int (*phota_token_edit_pt)(void *ctx, phota_token_t *token,
    phota_error_t *err);

typedef int (*phota_tenant_pt)(void *ctx, const phota_tenant_t *tenant);
typedef int (*phota_token_pt)(void *ctx, const phota_token_t *token);


int phota_tenants_open(phota_tenants_t *t, phota_store_t *store,
    phota_error_t *err);

/* all below: an own transaction, durable when they return PHOTA_OK */

/* PHOTA_REFUSED when the name is taken, PHOTA_INVALID when it is no name */
int phota_tenant_add(phota_tenants_t *t, const char *name, uint32_t *id,
    phota_error_t *err);

/* PHOTA_DECLINED when there is none */
int phota_tenant_get(phota_tenants_t *t, const char *name,
    phota_tenant_t *tenant, phota_error_t *err);

/*
 * Reads, edits and writes in one transaction, so that of two who change a
 * tenant at once neither is lost.  id, created, name and PHOTA_TENANT_OWN_KEY
 * stay as they are.  zone, if not NULL, is stored beside it, and the tenant's.
 * PHOTA_INVALID when limits or plan are none; what edit returns otherwise.
 */
int phota_tenant_edit(phota_tenants_t *t, const char *name,
    phota_tenant_edit_pt edit, void *ctx, const phota_zone_t *zone,
    phota_error_t *err);

/*
 * Takes a tenant with its tokens and its keys out, in the caller's transaction,
 * who removes what else is its own in the same and raises the generation.  A
 * mark of the name stays until phota_tenant_forget(), for what isn't in the
 * books: meanwhile the name is taken, and removing it again is PHOTA_OK with
 * the same id and *begun set.  PHOTA_DECLINED when there is none.
 */
int phota_tenant_remove(phota_tenants_t *t, MDB_txn *txn, const char *name,
    uint32_t *id, int *begun, phota_error_t *err);
int phota_tenant_forget(phota_tenants_t *t, const char *name,
    phota_error_t *err);

/*
 * PHOTA_OK when that tenant is there in this transaction; PHOTA_DECLINED when
 * it isn't any more, or another has its name.
 */
int phota_tenant_stays(phota_tenants_t *t, MDB_txn *txn, const char *name,
    uint32_t id, phota_error_t *err);

/* in order of names; stops at anything but PHOTA_OK and returns it */
int phota_tenant_each(phota_tenants_t *t, phota_tenant_pt handler, void *ctx,
    phota_error_t *err);

/*
 * token: buffer of PHOTA_TOKEN_LEN + 1, the only copy there will ever be.
 * limits NULL: none.
 */
int phota_token_issue(phota_tenants_t *t, const char *tenant,
    const char *label, uint64_t expires, const phota_limits_t *limits,
    char *token, uint32_t *id, phota_error_t *err);

/* the same for an operator: scope READ or WRITE */
int phota_admin_issue(phota_tenants_t *t, phota_scope_e scope,
    const char *label, uint64_t expires, char *token, uint32_t *id,
    phota_error_t *err);

/* as phota_tenant_edit(): of a token only limits and label may change */
int phota_token_edit(phota_tenants_t *t, uint32_t id,
    phota_token_edit_pt edit, void *ctx, phota_error_t *err);
int phota_token_revoke(phota_tenants_t *t, uint32_t id, phota_error_t *err);
int phota_token_each(phota_tenants_t *t, phota_token_pt handler, void *ctx,
    phota_error_t *err);

/* what is sealed for an account: its key, what its callbacks are signed with */

typedef enum {
    PHOTA_SECRET_KEY = 0,
    PHOTA_SECRET_CALLBACK
} phota_secret_e;

#define PHOTA_KEY_SHARED     0x01   /* another has this key (phota's) too */
#define PHOTA_KEY_CHANGED    0x02   /* there was another one, or none */
#define PHOTA_KEY_UNSIGNED   0x04   /* the old account's secret has gone */

/*
 * tenant NULL: the default account.  Seals; len <= PHOTA_KEY_MAX, printable;
 * len 0 takes it away, a key with the secret of its account's callbacks;
 * PHOTA_DECLINED when there is none.  PHOTA_REFUSED: a secret for a tenant that
 * has no key of its own.  A tenant that is given the very key (phota's) of
 * another, or the default one, shares an account: both are then fenced
 * (PHOTA_TENANT_FENCED).  One that is given another key than it had has another
 * account, and loses the old one's secret.  *told, if not NULL: PHOTA_KEY_...
 * PHOTA_INVALID as well when the books are sealed under a master key that isn't
 * among these.
 */
int phota_key_set(phota_tenants_t *t, const phota_master_t *master,
    const char *tenant, phota_provider_e provider, phota_secret_e what,
    const u_char *key, size_t len, unsigned *told, phota_error_t *err);

/*
 * *shared: whether a tenant's key (phota's) is the very same as another's, or
 * as the default one.  Changes nothing, and can be asked within an edit.
 * PHOTA_DECLINED when it has none, PHOTA_INVALID when master doesn't open it.
 */
int phota_key_shared(phota_tenants_t *t, const phota_master_t *master,
    uint32_t tenant, int *shared, phota_error_t *err);

/* whether a tenant has a key of its own there; PHOTA_DECLINED */
int phota_key_has(phota_tenants_t *t, uint32_t tenant,
    phota_provider_e provider, phota_error_t *err);


typedef struct phota_directory_s  phota_directory_t;


/* reads everything in one transaction; free it with destroy */
int phota_directory_load(phota_tenants_t *t, phota_directory_t **directory,
    phota_error_t *err);
void phota_directory_destroy(phota_directory_t *directory);

/*
 * PHOTA_OK; PHOTA_DECLINED when the token is unknown, revoked or expired at
 * now (ms).  The pointers live as long as the directory.
 */
int phota_directory_find(phota_directory_t *directory,
    const u_char digest[PHOTA_SHA256_LEN], uint64_t now,
    const phota_tenant_t **tenant, const phota_token_t **token);

/* the same for operators' tokens, which are no tenant's */
int phota_directory_admin(phota_directory_t *directory,
    const u_char digest[PHOTA_SHA256_LEN], uint64_t now,
    const phota_token_t **token);

/* the zone that a tenant names; NULL for UTC */
const phota_zone_t *phota_directory_zone(phota_directory_t *directory,
    const phota_tenant_t *tenant);

/* by id; PHOTA_DECLINED when there is none (any more) */
int phota_directory_tenant(phota_directory_t *directory, uint32_t id,
    const phota_tenant_t **tenant);

/*
 * The key for a tenant's calls of a provider: its own, else the default; the
 * secret of callbacks is of the same account as the key.  out has PHOTA_KEY_MAX
 * bytes.  PHOTA_DECLINED when there is none, PHOTA_INVALID when the master key
 * doesn't open it.
 */
int phota_directory_key(phota_directory_t *directory,
    const phota_master_t *master, const phota_tenant_t *tenant,
    phota_provider_e provider, phota_secret_e what, u_char *out, size_t *len);


#endif /* _PHOTA_TENANT_H_INCLUDED_ */
