
/*
 * Tenants as a table of the books, and the time zones beside it.  Every change
 * is a transaction of its own that raises the generation, so that the workers
 * see it; ids come from counters and are never used again.
 */


#include <string.h>

#include "phota_record.h"
#include "phota_tenant_record.h"


static int phota_tenant_free(phota_tenants_t *t, MDB_txn *txn,
    const char *name, phota_error_t *err);
static int phota_tenant_key(phota_tenants_t *t, MDB_txn *txn,
    phota_tenant_t *tenant, phota_error_t *err);
static int phota_tenant_edited(phota_tenants_t *t, MDB_txn *txn,
    phota_tenant_t *tenant, phota_tenant_edit_pt edit, void *ctx,
    const phota_zone_t *zone, phota_error_t *err);
static int phota_tenant_zone(phota_tenants_t *t, MDB_txn *txn,
    phota_tenant_t *tenant, const phota_zone_t *zone, phota_error_t *err);


int
phota_tenants_open(phota_tenants_t *t, phota_store_t *store,
    phota_error_t *err)
{
    int       rc;
    unsigned  i;

    struct {
        const char  *name;
        MDB_dbi     *dbi;
    } tables[] = {
        { "tenants", &t->tenants },
        { "tokens", &t->tokens },
        { "keys", &t->keys },
        { "zones", &t->zones }
    };

    t->store = store;

    for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        rc = phota_store_table(store, tables[i].name, tables[i].dbi, err);
        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return PHOTA_OK;
}


int
phota_tenant_begin(phota_tenants_t *t, MDB_txn **txn, phota_error_t *err)
{
    return phota_store_begin(t->store, 1, txn, err);
}


/* commits what went well under a new generation, drops the rest */

int
phota_tenant_finish(phota_tenants_t *t, MDB_txn *txn, int rc,
    phota_error_t *err)
{
    if (rc == PHOTA_OK) {
        rc = phota_store_touch(t->store, txn);

        if (rc != PHOTA_OK) {
            phota_error(err, "books: the generation can't be raised");
        }
    }

    if (rc != PHOTA_OK) {
        phota_store_abort(txn);
        return rc;
    }

    return phota_store_commit(txn, err);
}


int
phota_tenant_number(phota_tenants_t *t, MDB_txn *txn, const char *counter,
    uint32_t *id, phota_error_t *err)
{
    int       rc;
    u_char    buf[4];
    MDB_val   key, data;
    uint64_t  n;

    key.mv_data = (void *) counter;
    key.mv_size = strlen(counter);

    n = 0;

    rc = mdb_get(txn, t->store->meta, &key, &data);

    if (rc == 0) {
        if (data.mv_size != sizeof(buf)) {
            phota_error(err, "books: counter \"%s\" is damaged", counter);
            return PHOTA_ERROR;
        }

        n = phota_get_le(data.mv_data, sizeof(buf));

    } else if (rc != MDB_NOTFOUND) {
        return phota_store_fail(err, counter, rc);
    }

    if (n == UINT32_MAX) {
        phota_error(err, "books: counter \"%s\" is exhausted", counter);
        return PHOTA_ERROR;
    }

    *id = (uint32_t) n + 1;

    phota_put_le(buf, *id, sizeof(buf));
    data.mv_data = buf;
    data.mv_size = sizeof(buf);

    rc = mdb_put(txn, t->store->meta, &key, &data, 0);
    if (rc != 0) {
        return phota_store_fail(err, counter, rc);
    }

    return PHOTA_OK;
}


int
phota_tenant_name(const char *name, phota_error_t *err)
{
    size_t  len;

    static const char  chars[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";

    len = strlen(name);

    if (len == 0 || len > PHOTA_NAME_MAX || strspn(name, chars) != len) {
        phota_error(err, "not a tenant's name (1 to %d of a-z 0-9 - _)",
                    PHOTA_NAME_MAX);
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


int
phota_tenant_add(phota_tenants_t *t, const char *name, uint32_t *id,
    phota_error_t *err)
{
    int              rc;
    MDB_txn         *txn;
    phota_tenant_t   tenant;

    rc = phota_tenant_name(name, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    memset(&tenant, 0, sizeof(tenant));
    tenant.created = phota_now();
    tenant.limits = phota_no_limits;
    phota_plan_init(&tenant.plan);
    memcpy(tenant.name, name, strlen(name) + 1);

    rc = phota_tenant_begin(t, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_tenant_free(t, txn, name, err);

    if (rc == PHOTA_OK) {
        rc = phota_tenant_number(t, txn, "tenant-id", &tenant.id, err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_tenant_put(t, txn, &tenant, MDB_NOOVERWRITE, err);
    }

    rc = phota_tenant_finish(t, txn, rc, err);

    if (rc == PHOTA_OK && id != NULL) {
        *id = tenant.id;
    }

    return rc;
}


/* who had the name before may not be gone from everywhere */

static int
phota_tenant_free(phota_tenants_t *t, MDB_txn *txn, const char *name,
    phota_error_t *err)
{
    int       rc;
    uint32_t  id;

    rc = phota_tenant_marked(t, txn, name, &id, err);

    if (rc == PHOTA_OK) {
        phota_error(err, "tenant \"%s\": the one of this name isn't removed "
                    "all: run \"photactl tenant remove %s\" again", name,
                    name);
        return PHOTA_REFUSED;
    }

    return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
}


int
phota_tenant_put(phota_tenants_t *t, MDB_txn *txn,
    const phota_tenant_t *tenant, unsigned flags, phota_error_t *err)
{
    int      rc;
    u_char   buf[PHOTA_RECORD_MAX];
    MDB_val  key, data;

    key.mv_data = (void *) tenant->name;
    key.mv_size = strlen(tenant->name);

    data.mv_data = buf;
    data.mv_size = phota_tenant_encode(buf, sizeof(buf), tenant);

    rc = mdb_put(txn, t->tenants, &key, &data, flags);

    if (rc == MDB_KEYEXIST) {
        phota_error(err, "tenant \"%s\": the name is taken", tenant->name);
        return PHOTA_REFUSED;
    }

    if (rc != 0) {
        return phota_store_fail(err, "tenants", rc);
    }

    return PHOTA_OK;
}


int
phota_tenant_find(phota_tenants_t *t, MDB_txn *txn, const char *name,
    phota_tenant_t *tenant, phota_error_t *err)
{
    int      rc;
    MDB_val  key, data;

    rc = phota_tenant_name(name, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    key.mv_data = (void *) name;
    key.mv_size = strlen(name);

    rc = mdb_get(txn, t->tenants, &key, &data);

    if (rc == MDB_NOTFOUND) {
        phota_error(err, "tenant \"%s\": there is none of this name", name);
        return PHOTA_DECLINED;
    }

    if (rc != 0) {
        return phota_store_fail(err, "tenants", rc);
    }

    return phota_tenant_decode(tenant, &key, &data, err);
}


/* whether it has a key stands in one place only, the keys themselves */

static int
phota_tenant_key(phota_tenants_t *t, MDB_txn *txn, phota_tenant_t *tenant,
    phota_error_t *err)
{
    int                 rc;
    phota_key_record_t  record;

    rc = phota_key_get(t, txn, tenant->id, PHOTA_PROVIDER_PHOTA,
                       PHOTA_SECRET_KEY, &record, err);

    if (rc == PHOTA_OK) {
        tenant->flags |= PHOTA_TENANT_OWN_KEY;
    }

    return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
}


int
phota_tenant_get(phota_tenants_t *t, const char *name,
    phota_tenant_t *tenant, phota_error_t *err)
{
    int       rc;
    MDB_txn  *txn;

    rc = phota_store_begin(t->store, 0, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_tenant_find(t, txn, name, tenant, err);

    if (rc == PHOTA_OK) {
        rc = phota_tenant_key(t, txn, tenant, err);
    }

    phota_store_abort(txn);

    return rc;
}


int
phota_tenant_edit(phota_tenants_t *t, const char *name,
    phota_tenant_edit_pt edit, void *ctx, const phota_zone_t *zone,
    phota_error_t *err)
{
    int              rc;
    MDB_txn         *txn;
    phota_tenant_t   tenant;

    rc = phota_tenant_begin(t, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_tenant_find(t, txn, name, &tenant, err);

    if (rc == PHOTA_OK) {
        rc = phota_tenant_key(t, txn, &tenant, err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_tenant_edited(t, txn, &tenant, edit, ctx, zone, err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_tenant_put(t, txn, &tenant, 0, err);
    }

    return phota_tenant_finish(t, txn, rc, err);
}


static int
phota_tenant_edited(phota_tenants_t *t, MDB_txn *txn, phota_tenant_t *tenant,
    phota_tenant_edit_pt edit, void *ctx, const phota_zone_t *zone,
    phota_error_t *err)
{
    int             rc;
    uint32_t        flags;
    phota_tenant_t  edited;

    edited = *tenant;

    rc = edit(ctx, &edited, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    flags = PHOTA_TENANT_STORED|PHOTA_TENANT_OWN_KEY;

    if (edited.flags & ~flags) {
        phota_error(err, "tenant \"%s\": no such flag", tenant->name);
        return PHOTA_INVALID;
    }

    if (phota_limits_check(&edited.limits) != PHOTA_OK) {
        phota_error(err, "tenant \"%s\": a budget is out of bounds",
                    tenant->name);
        return PHOTA_INVALID;
    }

    if (phota_plan_check(&edited.plan) != PHOTA_OK) {
        phota_error(err, "tenant \"%s\": a markup is -100%% to 10000%%, the "
                    "price of a hit 0%% to 100%%, a fixed price with a "
                    "profile no less than without", tenant->name);
        return PHOTA_INVALID;
    }

    tenant->flags = edited.flags;
    tenant->limits = edited.limits;
    tenant->plan = edited.plan;

    return (zone != NULL) ? phota_tenant_zone(t, txn, tenant, zone, err)
                          : PHOTA_OK;
}


/*
 * Zones are shared, and one that is set anew reaches further ahead; a worker
 * takes UTC for granted.
 */

static int
phota_tenant_zone(phota_tenants_t *t, MDB_txn *txn, phota_tenant_t *tenant,
    const phota_zone_t *zone, phota_error_t *err)
{
    int      rc;
    size_t   len;
    u_char   buf[PHOTA_ZONE_RECORD];
    MDB_val  key, data;

    if (strcmp(zone->name, "UTC") == 0) {
        tenant->zone[0] = '\0';
        return PHOTA_OK;
    }

    len = sizeof(buf);

    if (zone->name[0] == '\0' || zone->n == 0
        || phota_zone_encode(zone, buf, &len) != PHOTA_OK)
    {
        phota_error(err, "tenant \"%s\": not a time zone", tenant->name);
        return PHOTA_INVALID;
    }

    memcpy(tenant->zone, zone->name, sizeof(tenant->zone));

    key.mv_data = tenant->zone;
    key.mv_size = strlen(tenant->zone);
    data.mv_data = buf;
    data.mv_size = len;

    rc = mdb_put(txn, t->zones, &key, &data, 0);
    if (rc != 0) {
        return phota_store_fail(err, "zones", rc);
    }

    return PHOTA_OK;
}


int
phota_tenant_each(phota_tenants_t *t, phota_tenant_pt handler, void *ctx,
    phota_error_t *err)
{
    int              rc, n;
    MDB_val          key, data;
    MDB_txn         *txn;
    MDB_cursor      *cursor;
    phota_tenant_t   tenant;

    rc = phota_store_begin(t->store, 0, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    n = mdb_cursor_open(txn, t->tenants, &cursor);

    if (n != 0) {
        phota_store_abort(txn);
        return phota_store_fail(err, "tenants", n);
    }

    while (rc == PHOTA_OK) {
        n = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);

        if (n != 0) {
            rc = (n == MDB_NOTFOUND) ? PHOTA_OK
                                     : phota_store_fail(err, "tenants", n);
            break;
        }

        rc = phota_tenant_decode(&tenant, &key, &data, err);

        if (rc == PHOTA_OK) {
            rc = phota_tenant_key(t, txn, &tenant, err);
        }

        if (rc == PHOTA_OK) {
            rc = handler(ctx, &tenant);
        }
    }

    mdb_cursor_close(cursor);
    phota_store_abort(txn);

    return rc;
}
