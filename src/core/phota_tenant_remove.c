
/*
 * Removing a tenant from its tables.  What is its own elsewhere is removed by
 * those whose it is; the mark that stays meanwhile has its name and id, so that
 * a removal that was broken off can be finished, and nobody else gets the name
 * before.
 */


#include <stdio.h>
#include <string.h>

#include "phota_record.h"
#include "phota_tenant_record.h"


#define PHOTA_MARK_MAX  (sizeof("removed-") + PHOTA_NAME_MAX)


static void phota_tenant_mark_name(char buf[PHOTA_MARK_MAX],
    const char *name, MDB_val *key);
static int phota_tenant_mark(phota_tenants_t *t, MDB_txn *txn,
    const phota_tenant_t *tenant, phota_error_t *err);
static int phota_tenant_tokens(phota_tenants_t *t, MDB_txn *txn,
    uint32_t tenant, phota_error_t *err);


int
phota_tenant_remove(phota_tenants_t *t, MDB_txn *txn, const char *name,
    uint32_t *id, int *begun, phota_error_t *err)
{
    int              rc;
    MDB_val          key;
    phota_tenant_t   tenant;

    rc = phota_tenant_name(name, err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_tenant_marked(t, txn, name, id, err);

    if (rc != PHOTA_DECLINED) {
        *begun = 1;
        return rc;
    }

    *begun = 0;

    rc = phota_tenant_find(t, txn, name, &tenant, err);

    if (rc == PHOTA_OK) {
        rc = phota_tenant_tokens(t, txn, tenant.id, err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_key_forget(t, txn, tenant.id, err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_tenant_mark(t, txn, &tenant, err);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    *id = tenant.id;

    key.mv_data = tenant.name;
    key.mv_size = strlen(tenant.name);

    rc = mdb_del(txn, t->tenants, &key, NULL);

    return (rc == 0) ? PHOTA_OK : phota_store_fail(err, "tenants", rc);
}


int
phota_tenant_stays(phota_tenants_t *t, MDB_txn *txn, const char *name,
    uint32_t id, phota_error_t *err)
{
    int             rc;
    phota_tenant_t  tenant;

    rc = phota_tenant_find(t, txn, name, &tenant, err);

    if (rc == PHOTA_OK && tenant.id != id) {
        phota_error(err, "tenant \"%s\" was removed", name);
        rc = PHOTA_DECLINED;
    }

    return rc;
}


int
phota_tenant_forget(phota_tenants_t *t, const char *name, phota_error_t *err)
{
    int       rc;
    char      mark[PHOTA_MARK_MAX];
    MDB_txn  *txn;
    MDB_val   key;

    rc = phota_tenant_name(name, err);

    if (rc == PHOTA_OK) {
        rc = phota_store_begin(t->store, 1, &txn, err);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    phota_tenant_mark_name(mark, name, &key);

    rc = mdb_del(txn, t->store->meta, &key, NULL);

    if (rc != 0 && rc != MDB_NOTFOUND) {
        phota_store_abort(txn);
        return phota_store_fail(err, "meta", rc);
    }

    return phota_store_commit(txn, err);
}


int
phota_tenant_marked(phota_tenants_t *t, MDB_txn *txn, const char *name,
    uint32_t *id, phota_error_t *err)
{
    int      rc;
    char     mark[PHOTA_MARK_MAX];
    MDB_val  key, data;

    phota_tenant_mark_name(mark, name, &key);

    rc = mdb_get(txn, t->store->meta, &key, &data);

    if (rc == MDB_NOTFOUND) {
        return PHOTA_DECLINED;
    }

    if (rc != 0) {
        return phota_store_fail(err, "meta", rc);
    }

    if (data.mv_size != 4) {
        phota_error(err, "books: the mark of a removed tenant is damaged");
        return PHOTA_ERROR;
    }

    *id = (uint32_t) phota_get_le(data.mv_data, 4);

    return PHOTA_OK;
}


static void
phota_tenant_mark_name(char buf[PHOTA_MARK_MAX], const char *name,
    MDB_val *key)
{
    (void) snprintf(buf, PHOTA_MARK_MAX, "removed-%s", name);

    key->mv_data = buf;
    key->mv_size = strlen(buf);
}


static int
phota_tenant_mark(phota_tenants_t *t, MDB_txn *txn,
    const phota_tenant_t *tenant, phota_error_t *err)
{
    int      rc;
    char     mark[PHOTA_MARK_MAX];
    u_char   number[4];
    MDB_val  key, data;

    phota_tenant_mark_name(mark, tenant->name, &key);
    phota_put_le(number, tenant->id, sizeof(number));

    data.mv_data = number;
    data.mv_size = sizeof(number);

    rc = mdb_put(txn, t->store->meta, &key, &data, 0);

    return (rc == 0) ? PHOTA_OK : phota_store_fail(err, "meta", rc);
}


static int
phota_tenant_tokens(phota_tenants_t *t, MDB_txn *txn, uint32_t tenant,
    phota_error_t *err)
{
    int             rc;
    MDB_val         key, data;
    MDB_cursor     *cursor;
    phota_token_t   token;

    rc = mdb_cursor_open(txn, t->tokens, &cursor);

    if (rc != 0) {
        return phota_store_fail(err, "tokens", rc);
    }

    for ( ;; ) {
        rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);

        if (rc != 0) {
            break;
        }

        /* one that can't be read may be its own, and would still open doors */

        if (phota_token_decode(&token, &key, &data, err) != PHOTA_OK) {
            mdb_cursor_close(cursor);
            return PHOTA_ERROR;
        }

        if (token.tenant == tenant) {
            rc = mdb_cursor_del(cursor, 0);

            if (rc != 0) {
                break;
            }
        }
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? PHOTA_OK
                                : phota_store_fail(err, "tokens", rc);
}
