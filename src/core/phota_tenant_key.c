
/*
 * What is sealed for the accounts at the providers: keys, and the secrets that
 * sign an account's callbacks.  They come in plain and lie here sealed, each
 * for its place alone.  Whoever sets a key that another has too is told so, and
 * the tenants of that account are fenced in from then on, as long as they have
 * it.
 */


#include <string.h>

#include "phota_keyring.h"
#include "phota_tenant_record.h"


static int phota_key_check(const u_char *key, size_t len,
    phota_error_t *err);
static int phota_key_account(phota_tenants_t *t, MDB_txn *txn,
    const char *tenant, phota_seal_t *bound, phota_error_t *err);
static int phota_key_change(phota_tenants_t *t, MDB_txn *txn,
    const phota_master_t *master, phota_seal_t *bound, const u_char *key,
    size_t len, unsigned *told, phota_error_t *err);
static int phota_key_replace(phota_tenants_t *t, MDB_txn *txn,
    const phota_master_t *master, const phota_seal_t *bound,
    const u_char *key, size_t len, unsigned *told, phota_error_t *err);
static int phota_key_signs(phota_tenants_t *t, MDB_txn *txn,
    const phota_seal_t *bound, phota_error_t *err);
static int phota_key_put(phota_tenants_t *t, MDB_txn *txn,
    const phota_master_t *master, phota_seal_t *bound, const u_char *key,
    size_t len, phota_error_t *err);
static int phota_key_remove(phota_tenants_t *t, MDB_txn *txn,
    const phota_seal_t *bound, phota_error_t *err);
static int phota_key_delete(phota_tenants_t *t, MDB_txn *txn,
    const phota_seal_t *bound, phota_error_t *err);
static int phota_key_unsigned(phota_tenants_t *t, MDB_txn *txn,
    const phota_seal_t *bound, phota_error_t *err);
static int phota_key_shares(phota_tenants_t *t, MDB_txn *txn,
    const phota_master_t *master, uint32_t tenant, int *shared,
    phota_error_t *err);
static int phota_key_compare(phota_tenants_t *t, MDB_txn *txn,
    const phota_master_t *master, const phota_seal_t *bound,
    const u_char *key, size_t len, int fence, int *shared,
    phota_error_t *err);
static int phota_key_same(const phota_master_t *master,
    const phota_key_record_t *record, const u_char *key, size_t len);
static int phota_key_fence(phota_tenants_t *t, MDB_txn *txn, uint32_t id,
    phota_error_t *err);


static int
phota_key_check(const u_char *key, size_t len, phota_error_t *err)
{
    size_t  i;

    if (len > PHOTA_KEY_MAX) {
        phota_error(err, "not a key: longer than %d bytes", PHOTA_KEY_MAX);
        return PHOTA_INVALID;
    }

    /* it becomes a header's value: a line end in it would make another */

    for (i = 0; i < len; i++) {
        if (key[i] <= ' ' || key[i] > '~') {
            phota_error(err, "not a key: byte %zu isn't printable ASCII", i);
            return PHOTA_INVALID;
        }
    }

    return PHOTA_OK;
}


int
phota_key_set(phota_tenants_t *t, const phota_master_t *master,
    const char *tenant, phota_provider_e provider, phota_secret_e what,
    const u_char *key, size_t len, unsigned *told, phota_error_t *err)
{
    int              rc;
    MDB_txn         *txn;
    unsigned         found;
    phota_seal_t     bound;
    phota_master_t   in_force;

    rc = phota_key_check(key, len, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_tenant_begin(t, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    memset(&bound, 0, sizeof(bound));
    bound.provider = (uint8_t) provider;
    bound.what = (uint8_t) what;

    found = 0;

    rc = phota_key_account(t, txn, tenant, &bound, err);

    if (rc == PHOTA_OK && len == 0) {
        rc = phota_key_remove(t, txn, &bound, err);

    } else if (rc == PHOTA_OK) {
        rc = phota_master_in_force(t->store, txn, master, 1, &in_force, err);

        if (rc == PHOTA_OK) {
            rc = phota_key_change(t, txn, &in_force, &bound, key, len, &found,
                                  err);

            phota_cleanse(&in_force, sizeof(in_force));
        }
    }

    rc = phota_tenant_finish(t, txn, rc, err);

    if (rc == PHOTA_OK && told != NULL) {
        *told = found;
    }

    return rc;
}


static int
phota_key_account(phota_tenants_t *t, MDB_txn *txn, const char *tenant,
    phota_seal_t *bound, phota_error_t *err)
{
    int             rc;
    phota_tenant_t  owner;

    if (tenant == NULL) {
        bound->tenant = PHOTA_TENANT_DEFAULT;
        return PHOTA_OK;
    }

    rc = phota_tenant_find(t, txn, tenant, &owner, err);

    if (rc == PHOTA_OK) {
        bound->tenant = owner.id;
    }

    return rc;
}


static int
phota_key_change(phota_tenants_t *t, MDB_txn *txn,
    const phota_master_t *master, phota_seal_t *bound, const u_char *key,
    size_t len, unsigned *told, phota_error_t *err)
{
    int  rc;

    rc = (bound->what == PHOTA_SECRET_KEY)
         ? phota_key_replace(t, txn, master, bound, key, len, told, err)
         : phota_key_signs(t, txn, bound, err);

    return (rc == PHOTA_OK) ? phota_key_put(t, txn, master, bound, key, len,
                                            err)
                            : rc;
}


/* one that doesn't open can't be told from another */

static int
phota_key_replace(phota_tenants_t *t, MDB_txn *txn,
    const phota_master_t *master, const phota_seal_t *bound,
    const u_char *key, size_t len, unsigned *told, phota_error_t *err)
{
    int                 rc, shared;
    phota_key_record_t  old;

    shared = 0;

    if (bound->provider == PHOTA_PROVIDER_PHOTA) {
        rc = phota_key_compare(t, txn, master, bound, key, len, 1, &shared,
                               err);
        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    *told |= shared ? PHOTA_KEY_SHARED : 0;

    rc = phota_key_get(t, txn, bound->tenant, bound->provider,
                       PHOTA_SECRET_KEY, &old, err);

    if (rc != PHOTA_OK && rc != PHOTA_DECLINED) {
        return rc;
    }

    if (rc == PHOTA_OK && phota_key_same(master, &old, key, len)) {
        return PHOTA_OK;
    }

    *told |= PHOTA_KEY_CHANGED;

    /* the default account is the operator's own, and gets new keys */

    if (bound->tenant == PHOTA_TENANT_DEFAULT) {
        return PHOTA_OK;
    }

    rc = phota_key_unsigned(t, txn, bound, err);

    if (rc == PHOTA_OK) {
        *told |= PHOTA_KEY_UNSIGNED;
    }

    return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
}


/* a secret that signs nothing: without a key callbacks are the default's */

static int
phota_key_signs(phota_tenants_t *t, MDB_txn *txn, const phota_seal_t *bound,
    phota_error_t *err)
{
    int                 rc;
    phota_key_record_t  own;

    if (bound->tenant == PHOTA_TENANT_DEFAULT) {
        return PHOTA_OK;
    }

    rc = phota_key_get(t, txn, bound->tenant, bound->provider,
                       PHOTA_SECRET_KEY, &own, err);

    if (rc == PHOTA_DECLINED) {
        phota_error(err, "the tenant has no key of its own there, so it "
                    "has no callbacks of its own");
        return PHOTA_REFUSED;
    }

    return rc;
}


int
phota_key_get(phota_tenants_t *t, MDB_txn *txn, uint32_t tenant,
    phota_provider_e provider, phota_secret_e what,
    phota_key_record_t *record, phota_error_t *err)
{
    int           rc;
    u_char        id[PHOTA_KEY_ID];
    MDB_val       name, data;
    phota_seal_t  bound;

    bound.tenant = tenant;
    bound.version = 0;
    bound.provider = (uint8_t) provider;
    bound.what = (uint8_t) what;

    phota_key_id_encode(id, &bound);

    name.mv_data = id;
    name.mv_size = sizeof(id);

    rc = mdb_get(txn, t->keys, &name, &data);

    if (rc == MDB_NOTFOUND) {
        return PHOTA_DECLINED;
    }

    if (rc != 0) {
        return phota_store_fail(err, "keys", rc);
    }

    return phota_key_decode(record, &name, &data, err);
}


/* each has a version of its own: an old record can't pose as it */

static int
phota_key_put(phota_tenants_t *t, MDB_txn *txn, const phota_master_t *master,
    phota_seal_t *bound, const u_char *key, size_t len, phota_error_t *err)
{
    int                 rc;
    u_char              id[PHOTA_KEY_ID], buf[PHOTA_RECORD_MAX];
    MDB_val             name, data;
    phota_key_record_t  record;

    rc = phota_tenant_number(t, txn, "key-version", &bound->version, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    record.bound = *bound;
    record.created = phota_now();
    record.len = sizeof(record.sealed);

    rc = phota_seal(master, bound, key, len, record.sealed, &record.len);

    if (rc != PHOTA_OK) {
        phota_error(err, "the key can't be sealed: OpenSSL failed");
        return rc;
    }

    phota_key_id_encode(id, bound);

    name.mv_data = id;
    name.mv_size = sizeof(id);
    data.mv_data = buf;
    data.mv_size = phota_key_encode(buf, sizeof(buf), &record);

    rc = mdb_put(txn, t->keys, &name, &data, 0);

    return (rc == 0) ? PHOTA_OK : phota_store_fail(err, "keys", rc);
}


/* with a key goes what signed that account's callbacks */

static int
phota_key_remove(phota_tenants_t *t, MDB_txn *txn, const phota_seal_t *bound,
    phota_error_t *err)
{
    int  rc;

    rc = phota_key_delete(t, txn, bound, err);

    if (rc == PHOTA_DECLINED) {
        phota_error(err, "there is none to remove");
        return rc;
    }

    if (rc != PHOTA_OK || bound->what != PHOTA_SECRET_KEY) {
        return rc;
    }

    rc = phota_key_unsigned(t, txn, bound, err);

    return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
}


static int
phota_key_unsigned(phota_tenants_t *t, MDB_txn *txn,
    const phota_seal_t *bound, phota_error_t *err)
{
    phota_seal_t  secret;

    secret = *bound;
    secret.what = PHOTA_SECRET_CALLBACK;

    return phota_key_delete(t, txn, &secret, err);
}


static int
phota_key_delete(phota_tenants_t *t, MDB_txn *txn, const phota_seal_t *bound,
    phota_error_t *err)
{
    int      rc;
    u_char   id[PHOTA_KEY_ID];
    MDB_val  name;

    phota_key_id_encode(id, bound);

    name.mv_data = id;
    name.mv_size = sizeof(id);

    rc = mdb_del(txn, t->keys, &name, NULL);

    if (rc == MDB_NOTFOUND) {
        return PHOTA_DECLINED;
    }

    return (rc == 0) ? PHOTA_OK : phota_store_fail(err, "keys", rc);
}


int
phota_key_forget(phota_tenants_t *t, MDB_txn *txn, uint32_t tenant,
    phota_error_t *err)
{
    int           rc;
    unsigned      provider, what;
    phota_seal_t  bound;

    bound.tenant = tenant;
    bound.version = 0;

    for (provider = 0; provider < PHOTA_PROVIDER_MAX; provider++) {
        for (what = 0; what <= PHOTA_SECRET_CALLBACK; what++) {
            bound.provider = (uint8_t) provider;
            bound.what = (uint8_t) what;

            rc = phota_key_delete(t, txn, &bound, err);

            if (rc != PHOTA_OK && rc != PHOTA_DECLINED) {
                return rc;
            }
        }
    }

    return PHOTA_OK;
}


int
phota_key_has(phota_tenants_t *t, uint32_t tenant, phota_provider_e provider,
    phota_error_t *err)
{
    int                 rc;
    MDB_txn            *txn;
    phota_key_record_t  own;

    rc = phota_store_begin(t->store, 0, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_key_get(t, txn, tenant, provider, PHOTA_SECRET_KEY, &own, err);

    phota_store_abort(txn);

    return rc;
}


int
phota_key_shared(phota_tenants_t *t, const phota_master_t *master,
    uint32_t tenant, int *shared, phota_error_t *err)
{
    int              rc;
    MDB_txn         *txn;
    phota_master_t   in_force;

    *shared = 0;

    rc = phota_store_begin(t->store, 0, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    /* what doesn't open can't be told from another */

    rc = phota_master_in_force(t->store, txn, master, 1, &in_force, err);

    if (rc == PHOTA_OK) {
        rc = phota_key_shares(t, txn, &in_force, tenant, shared, err);

        phota_cleanse(&in_force, sizeof(in_force));
    }

    phota_store_abort(txn);

    return rc;
}


static int
phota_key_shares(phota_tenants_t *t, MDB_txn *txn,
    const phota_master_t *master, uint32_t tenant, int *shared,
    phota_error_t *err)
{
    int                 rc;
    size_t              len;
    u_char              plain[PHOTA_KEY_MAX];
    phota_key_record_t  own;

    rc = phota_key_get(t, txn, tenant, PHOTA_PROVIDER_PHOTA,
                       PHOTA_SECRET_KEY, &own, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    len = sizeof(plain);

    if (phota_unseal(master, &own.bound, own.sealed, own.len, plain, &len)
        == PHOTA_OK)
    {
        rc = phota_key_compare(t, txn, master, &own.bound, plain, len, 0,
                               shared, err);

    } else {
        phota_error(err, "the master key doesn't open the tenant's key");
        rc = PHOTA_INVALID;
    }

    phota_cleanse(plain, sizeof(plain));

    return rc;
}


/* fence: whoever has the key too, and whom it is for, is fenced in */

static int
phota_key_compare(phota_tenants_t *t, MDB_txn *txn,
    const phota_master_t *master, const phota_seal_t *bound,
    const u_char *key, size_t len, int fence, int *shared,
    phota_error_t *err)
{
    int                  rc, n;
    MDB_val              name, data;
    MDB_cursor          *cursor;
    phota_key_record_t   record;

    n = mdb_cursor_open(txn, t->keys, &cursor);
    if (n != 0) {
        return phota_store_fail(err, "keys", n);
    }

    rc = PHOTA_OK;

    for ( ;; ) {
        n = mdb_cursor_get(cursor, &name, &data, MDB_NEXT);

        if (n != 0) {
            rc = (n == MDB_NOTFOUND) ? PHOTA_OK
                                     : phota_store_fail(err, "keys", n);
            break;
        }

        rc = phota_key_decode(&record, &name, &data, err);
        if (rc != PHOTA_OK) {
            break;
        }

        if (record.bound.tenant == bound->tenant
            || record.bound.provider != bound->provider
            || record.bound.what != bound->what
            || !phota_key_same(master, &record, key, len))
        {
            continue;
        }

        *shared = 1;

        if (!fence) {
            break;
        }

        rc = phota_key_fence(t, txn, record.bound.tenant, err);
        if (rc != PHOTA_OK) {
            break;
        }
    }

    mdb_cursor_close(cursor);

    return (rc == PHOTA_OK && *shared && fence)
           ? phota_key_fence(t, txn, bound->tenant, err) : rc;
}


/* one that another master key sealed opens for no call either */

static int
phota_key_same(const phota_master_t *master, const phota_key_record_t *record,
    const u_char *key, size_t len)
{
    int     same;
    size_t  n;
    u_char  plain[PHOTA_KEY_MAX];

    n = sizeof(plain);

    same = (phota_unseal(master, &record->bound, record->sealed, record->len,
                         plain, &n) == PHOTA_OK
            && n == len
            && phota_memcmp(plain, key, len) == 0);

    phota_cleanse(plain, sizeof(plain));

    return same;
}


/* they lie by name; whoever has the default key alone is fenced in anyway */

static int
phota_key_fence(phota_tenants_t *t, MDB_txn *txn, uint32_t id,
    phota_error_t *err)
{
    int              rc, n;
    MDB_val          key, data;
    MDB_cursor      *cursor;
    phota_tenant_t   tenant;

    if (id == PHOTA_TENANT_DEFAULT) {
        return PHOTA_OK;
    }

    n = mdb_cursor_open(txn, t->tenants, &cursor);
    if (n != 0) {
        return phota_store_fail(err, "tenants", n);
    }

    do {
        n = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);

        if (n != 0) {
            rc = (n == MDB_NOTFOUND) ? PHOTA_DECLINED
                                     : phota_store_fail(err, "tenants", n);
            break;
        }

        rc = phota_tenant_decode(&tenant, &key, &data, err);

    } while (rc == PHOTA_OK && tenant.id != id);

    mdb_cursor_close(cursor);

    if (rc != PHOTA_OK) {
        return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
    }

    tenant.flags |= PHOTA_TENANT_FENCED;

    return phota_tenant_put(t, txn, &tenant, 0, err);
}
