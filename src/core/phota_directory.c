
/*
 * The directory: tenants, live tokens, sealed keys and time zones as they stood
 * in one transaction, in memory and never changed.  A token is found by an open
 * hash over its digest, so a request touches neither LMDB nor a lock.
 */


#include <stdlib.h>
#include <string.h>

#include "phota_tenant_record.h"


typedef struct {
    phota_token_t             token;
    const phota_tenant_t     *tenant;
} phota_directory_token_t;


struct phota_directory_s {
    phota_tenant_t           *tenants;      /* by id */
    size_t                    ntenants;

    phota_directory_token_t  *tokens;
    size_t                    ntokens;

    phota_key_record_t       *keys;         /* by tenant, provider, what */
    size_t                    nkeys;

    phota_zone_t             *zones;        /* by name */
    size_t                    nzones;

    uint32_t                 *slots;        /* index of a token + 1, or 0 */
    size_t                    mask;
};


typedef int (*phota_directory_row_pt)(phota_directory_t *d,
    const MDB_val *key, const MDB_val *data, phota_error_t *err);


static int phota_directory_read(phota_directory_t *d, phota_tenants_t *t,
    MDB_txn *txn, phota_error_t *err);
static void *phota_directory_rows(MDB_txn *txn, MDB_dbi dbi, size_t size,
    phota_error_t *err);
static int phota_directory_walk(phota_directory_t *d, MDB_txn *txn,
    MDB_dbi dbi, phota_directory_row_pt handler, phota_error_t *err);
static int phota_directory_tenant_row(phota_directory_t *d,
    const MDB_val *key, const MDB_val *data, phota_error_t *err);
static int phota_directory_token_row(phota_directory_t *d,
    const MDB_val *key, const MDB_val *data, phota_error_t *err);
static int phota_directory_key_row(phota_directory_t *d, const MDB_val *key,
    const MDB_val *data, phota_error_t *err);
static int phota_directory_zone_row(phota_directory_t *d, const MDB_val *key,
    const MDB_val *data, phota_error_t *err);
static int phota_directory_zones(phota_directory_t *d, phota_error_t *err);
static phota_tenant_t *phota_directory_by_id(phota_directory_t *d,
    uint32_t id);
static int phota_directory_cmp_tenants(const void *id, const void *row);
static int phota_directory_cmp_keys(const void *bound, const void *row);
static int phota_directory_cmp_zones(const void *name, const void *row);
static int phota_directory_sort_tenants(const void *one, const void *two);
static int phota_directory_index(phota_directory_t *d, phota_error_t *err);
static size_t phota_directory_hash(const u_char digest[PHOTA_SHA256_LEN]);
static const phota_directory_token_t *phota_directory_token(
    phota_directory_t *d, const u_char digest[PHOTA_SHA256_LEN],
    uint64_t now);
static const phota_key_record_t *phota_directory_key_of(
    phota_directory_t *d, uint32_t tenant, phota_provider_e provider,
    phota_secret_e what);
static int phota_directory_account(phota_directory_t *d,
    const phota_tenant_t *tenant, phota_provider_e provider,
    uint32_t *account);


int
phota_directory_load(phota_tenants_t *t, phota_directory_t **directory,
    phota_error_t *err)
{
    int                 rc;
    MDB_txn            *txn;
    phota_directory_t  *d;

    d = calloc(1, sizeof(phota_directory_t));
    if (d == NULL) {
        phota_error(err, "directory: no memory");
        return PHOTA_ERROR;
    }

    rc = phota_store_begin(t->store, 0, &txn, err);

    if (rc == PHOTA_OK) {
        rc = phota_directory_read(d, t, txn, err);
        phota_store_abort(txn);
    }

    if (rc == PHOTA_OK) {
        rc = phota_directory_index(d, err);
    }

    if (rc != PHOTA_OK) {
        phota_directory_destroy(d);
        return rc;
    }

    *directory = d;

    return PHOTA_OK;
}


void
phota_directory_destroy(phota_directory_t *d)
{
    size_t  i;

    if (d == NULL) {
        return;
    }

    for (i = 0; i < d->nzones; i++) {
        phota_zone_free(&d->zones[i]);
    }

    free(d->zones);
    free(d->tenants);
    free(d->tokens);
    free(d->keys);
    free(d->slots);
    free(d);
}


static int
phota_directory_read(phota_directory_t *d, phota_tenants_t *t, MDB_txn *txn,
    phota_error_t *err)
{
    d->tenants = phota_directory_rows(txn, t->tenants,
                                      sizeof(phota_tenant_t), err);
    d->tokens = phota_directory_rows(txn, t->tokens,
                                     sizeof(phota_directory_token_t), err);
    d->keys = phota_directory_rows(txn, t->keys,
                                   sizeof(phota_key_record_t), err);
    d->zones = phota_directory_rows(txn, t->zones, sizeof(phota_zone_t), err);

    if (d->tenants == NULL || d->tokens == NULL || d->keys == NULL
        || d->zones == NULL)
    {
        return PHOTA_ERROR;
    }

    if (phota_directory_walk(d, txn, t->tenants, phota_directory_tenant_row,
                             err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    /* tokens and keys look for them by id */

    qsort(d->tenants, d->ntenants, sizeof(phota_tenant_t),
          phota_directory_sort_tenants);

    if (phota_directory_walk(d, txn, t->tokens, phota_directory_token_row,
                             err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    if (phota_directory_walk(d, txn, t->keys, phota_directory_key_row, err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    if (phota_directory_walk(d, txn, t->zones, phota_directory_zone_row, err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    return phota_directory_zones(d, err);
}


/* room for every row of the table, and never none */

static void *
phota_directory_rows(MDB_txn *txn, MDB_dbi dbi, size_t size,
    phota_error_t *err)
{
    int       rc;
    void     *rows;
    MDB_stat  st;

    rc = mdb_stat(txn, dbi, &st);

    if (rc != 0) {
        (void) phota_store_fail(err, "directory", rc);
        return NULL;
    }

    rows = calloc(st.ms_entries + 1, size);

    if (rows == NULL) {
        phota_error(err, "directory: no memory for %zu rows", st.ms_entries);
    }

    return rows;
}


static int
phota_directory_walk(phota_directory_t *d, MDB_txn *txn, MDB_dbi dbi,
    phota_directory_row_pt handler, phota_error_t *err)
{
    int          rc;
    MDB_val      key, data;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc != 0) {
        return phota_store_fail(err, "directory", rc);
    }

    for ( ;; ) {
        rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);

        if (rc != 0) {
            rc = (rc == MDB_NOTFOUND) ? PHOTA_OK
                                      : phota_store_fail(err, "directory",
                                                         rc);
            break;
        }

        rc = handler(d, &key, &data, err);
        if (rc != PHOTA_OK) {
            break;
        }
    }

    mdb_cursor_close(cursor);

    return rc;
}


static int
phota_directory_tenant_row(phota_directory_t *d, const MDB_val *key,
    const MDB_val *data, phota_error_t *err)
{
    return phota_tenant_decode(&d->tenants[d->ntenants++], key, data, err);
}


static int
phota_directory_token_row(phota_directory_t *d, const MDB_val *key,
    const MDB_val *data, phota_error_t *err)
{
    phota_directory_token_t  *row;

    row = &d->tokens[d->ntokens];

    if (phota_token_decode(&row->token, key, data, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    row->tenant = phota_directory_by_id(d, row->token.tenant);

    /* what opens no door needs no place */

    if (row->token.revoked == 0
        && (row->tenant != NULL || row->token.scope != PHOTA_SCOPE_TENANT))
    {
        d->ntokens++;
    }

    return PHOTA_OK;
}


static int
phota_directory_key_row(phota_directory_t *d, const MDB_val *key,
    const MDB_val *data, phota_error_t *err)
{
    phota_tenant_t      *tenant;
    phota_key_record_t  *record;

    record = &d->keys[d->nkeys];

    if (phota_key_decode(record, key, data, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    d->nkeys++;

    tenant = phota_directory_by_id(d, record->bound.tenant);

    if (tenant != NULL && record->bound.provider == PHOTA_PROVIDER_PHOTA
        && record->bound.what == PHOTA_SECRET_KEY)
    {
        tenant->flags |= PHOTA_TENANT_OWN_KEY;
    }

    return PHOTA_OK;
}


static int
phota_directory_zone_row(phota_directory_t *d, const MDB_val *key,
    const MDB_val *data, phota_error_t *err)
{
    if (phota_zone_row(&d->zones[d->nzones], key, data, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    d->nzones++;

    return PHOTA_OK;
}


/* a tenant whose zone is lost would have its days end at other hours */

static int
phota_directory_zones(phota_directory_t *d, phota_error_t *err)
{
    size_t           i;
    phota_tenant_t  *tenant;

    for (i = 0; i < d->ntenants; i++) {
        tenant = &d->tenants[i];

        if (tenant->zone[0] != '\0'
            && phota_directory_zone(d, tenant) == NULL)
        {
            phota_error(err, "books: tenant \"%s\": its time zone \"%s\" is "
                        "missing", tenant->name, tenant->zone);
            return PHOTA_ERROR;
        }
    }

    return PHOTA_OK;
}


const phota_zone_t *
phota_directory_zone(phota_directory_t *d, const phota_tenant_t *tenant)
{
    if (tenant->zone[0] == '\0') {
        return NULL;
    }

    /* the table gave them in order of their names */

    return bsearch(tenant->zone, d->zones, d->nzones, sizeof(phota_zone_t),
                   phota_directory_cmp_zones);
}


static phota_tenant_t *
phota_directory_by_id(phota_directory_t *d, uint32_t id)
{
    return bsearch(&id, d->tenants, d->ntenants, sizeof(phota_tenant_t),
                   phota_directory_cmp_tenants);
}


int
phota_directory_tenant(phota_directory_t *d, uint32_t id,
    const phota_tenant_t **tenant)
{
    *tenant = phota_directory_by_id(d, id);

    return (*tenant != NULL) ? PHOTA_OK : PHOTA_DECLINED;
}


static int
phota_directory_cmp_tenants(const void *id, const void *row)
{
    uint32_t               n;
    const phota_tenant_t  *tenant;

    tenant = row;
    memcpy(&n, id, sizeof(n));

    return (n > tenant->id) - (n < tenant->id);
}


/* as the table gave them: by tenant, provider, and what it is */

static int
phota_directory_cmp_keys(const void *bound, const void *row)
{
    u_char                     one[PHOTA_KEY_ID], two[PHOTA_KEY_ID];
    const phota_key_record_t  *key;

    key = row;

    phota_key_id_encode(one, bound);
    phota_key_id_encode(two, &key->bound);

    return memcmp(one, two, PHOTA_KEY_ID);
}


static int
phota_directory_cmp_zones(const void *name, const void *row)
{
    const phota_zone_t  *zone;

    zone = row;

    return strcmp(name, zone->name);
}


/* for qsort: both are tenants */

static int
phota_directory_sort_tenants(const void *one, const void *two)
{
    const phota_tenant_t  *tenant;

    tenant = one;

    return phota_directory_cmp_tenants(&tenant->id, two);
}


static int
phota_directory_index(phota_directory_t *d, phota_error_t *err)
{
    size_t  i, n;

    /* at least half of the slots stay empty, so probes are short and end */

    for (n = 16; n < 2 * d->ntokens; n *= 2) { /* void */ }

    d->slots = calloc(n, sizeof(uint32_t));
    if (d->slots == NULL) {
        phota_error(err, "directory: no memory for %zu tokens", d->ntokens);
        return PHOTA_ERROR;
    }

    d->mask = n - 1;

    for (i = 0; i < d->ntokens; i++) {
        n = phota_directory_hash(d->tokens[i].token.digest) & d->mask;

        while (d->slots[n] != 0) {
            n = (n + 1) & d->mask;
        }

        d->slots[n] = (uint32_t) i + 1;
    }

    return PHOTA_OK;
}


/* a digest is its own hash; the byte order doesn't matter in memory */

static size_t
phota_directory_hash(const u_char digest[PHOTA_SHA256_LEN])
{
    uint64_t  n;

    memcpy(&n, digest, sizeof(n));

    return (size_t) n;
}


int
phota_directory_find(phota_directory_t *d,
    const u_char digest[PHOTA_SHA256_LEN], uint64_t now,
    const phota_tenant_t **tenant, const phota_token_t **token)
{
    const phota_directory_token_t  *row;

    row = phota_directory_token(d, digest, now);

    if (row == NULL || row->tenant == NULL
        || row->token.scope != PHOTA_SCOPE_TENANT)
    {
        return PHOTA_DECLINED;
    }

    *tenant = row->tenant;
    *token = &row->token;

    return PHOTA_OK;
}


int
phota_directory_admin(phota_directory_t *d,
    const u_char digest[PHOTA_SHA256_LEN], uint64_t now,
    const phota_token_t **token)
{
    const phota_directory_token_t  *row;

    row = phota_directory_token(d, digest, now);

    if (row == NULL || row->token.scope == PHOTA_SCOPE_TENANT) {
        return PHOTA_DECLINED;
    }

    *token = &row->token;

    return PHOTA_OK;
}


/* NULL: there is none, or it has expired */

static const phota_directory_token_t *
phota_directory_token(phota_directory_t *d,
    const u_char digest[PHOTA_SHA256_LEN], uint64_t now)
{
    size_t                          n;
    const phota_directory_token_t  *row;

    n = phota_directory_hash(digest) & d->mask;

    for ( /* void */ ; d->slots[n] != 0; n = (n + 1) & d->mask) {
        row = &d->tokens[d->slots[n] - 1];

        if (phota_memcmp(row->token.digest, digest, PHOTA_SHA256_LEN) != 0) {
            continue;
        }

        return (row->token.expires != 0 && row->token.expires <= now) ? NULL
                                                                      : row;
    }

    return NULL;
}


static const phota_key_record_t *
phota_directory_key_of(phota_directory_t *d, uint32_t tenant,
    phota_provider_e provider, phota_secret_e what)
{
    phota_seal_t  bound;

    bound.tenant = tenant;
    bound.version = 0;
    bound.provider = (uint8_t) provider;
    bound.what = (uint8_t) what;

    return bsearch(&bound, d->keys, d->nkeys, sizeof(phota_key_record_t),
                   phota_directory_cmp_keys);
}


/* whose account a tenant's calls of a provider go to */

static int
phota_directory_account(phota_directory_t *d, const phota_tenant_t *tenant,
    phota_provider_e provider, uint32_t *account)
{
    if (phota_directory_key_of(d, tenant->id, provider, PHOTA_SECRET_KEY)
        != NULL)
    {
        *account = tenant->id;
        return PHOTA_OK;
    }

    /*
     * A call that was let in without fences, for its tenant had a key of its
     * own, must not get to the account that others share; one of a tenant that
     * has gone gets to none.
     */

    if (phota_directory_by_id(d, tenant->id) == NULL
        || (provider == PHOTA_PROVIDER_PHOTA
            && (tenant->flags & PHOTA_TENANT_OWN_KEY)))
    {
        return PHOTA_DECLINED;
    }

    *account = PHOTA_TENANT_DEFAULT;

    return PHOTA_OK;
}


int
phota_directory_key(phota_directory_t *d, const phota_master_t *master,
    const phota_tenant_t *tenant, phota_provider_e provider,
    phota_secret_e what, u_char *out, size_t *len)
{
    uint32_t                   account;
    const phota_key_record_t  *record;

    if (phota_directory_account(d, tenant, provider, &account) != PHOTA_OK) {
        return PHOTA_DECLINED;
    }

    record = phota_directory_key_of(d, account, provider, what);

    if (record == NULL) {
        return PHOTA_DECLINED;
    }

    *len = PHOTA_KEY_MAX;

    return phota_unseal(master, &record->bound, record->sealed, record->len,
                        out, len);
}
