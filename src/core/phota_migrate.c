
/*
 * The table of what was changed from schema to schema, and how.  Books that
 * aren't read to their end by this version are not touched: whatever was
 * written before the first release, without a number of its own, is found out
 * by that.
 */


#include <string.h>

#include "phota_ledger.h"
#include "phota_migrate.h"
#include "phota_order.h"
#include "phota_price.h"
#include "phota_record.h"
#include "phota_tenant_record.h"


#define PHOTA_KEY_ID_2       4          /* the tenant, big-endian */
#define PHOTA_KEY_VERSION_2  1


typedef int (*phota_migrate_pt)(MDB_txn *txn, const phota_master_t *master,
    phota_error_t *err);


typedef struct {
    uint32_t          from;
    uint32_t          to;
    phota_migrate_pt  run;
} phota_migrate_step_t;


static int phota_migrate_sound(phota_store_t *store, phota_error_t *err);
static int phota_migrate_tenant(void *ctx, const phota_tenant_t *tenant);
static int phota_migrate_token(void *ctx, const phota_token_t *token);
static int phota_migrate_run(phota_store_t *store,
    const phota_migrate_step_t *step, const phota_master_t *master,
    phota_error_t *err);
static int phota_migrate_2(MDB_txn *txn, const phota_master_t *master,
    phota_error_t *err);
static int phota_migrate_key(const MDB_val *id, const MDB_val *data,
    const phota_master_t *master, phota_key_record_t *record,
    phota_error_t *err);


/*
 * 2 to 3: jobs and profiles have tables, which are made when they are missing;
 * keys are bound to a vendor and to what they are.
 */

static const phota_migrate_step_t  phota_migrate_steps[] = {
    { 2, 3, phota_migrate_2 }
};


int
phota_migrate(phota_store_t *store, const phota_master_t *master,
    phota_error_t *err)
{
    int     rc;
    size_t  i;

    if (store->schema == PHOTA_BOOKS_SCHEMA) {
        return PHOTA_DECLINED;
    }

    if (store->schema > PHOTA_BOOKS_SCHEMA) {
        phota_error(err, "the books have schema %u, this version of phota "
                    "knows them up to %u: use the version that wrote them",
                    (unsigned) store->schema, PHOTA_BOOKS_SCHEMA);
        return PHOTA_INVALID;
    }

    for (i = 0;
         i < sizeof(phota_migrate_steps) / sizeof(phota_migrate_steps[0]);
         i++)
    {
        if (phota_migrate_steps[i].from == store->schema) {
            rc = phota_migrate_sound(store, err);

            return (rc == PHOTA_OK)
                   ? phota_migrate_run(store, &phota_migrate_steps[i], master,
                                       err)
                   : rc;
        }
    }

    phota_error(err, "the books have schema %u, from before the first release, "
                "which nothing brings along: export them with the version that "
                "wrote them, and begin with a new data directory",
                (unsigned) store->schema);

    return PHOTA_INVALID;
}


static int
phota_migrate_sound(phota_store_t *store, phota_error_t *err)
{
    int                  rc;
    u_char               chain[PHOTA_SHA256_LEN];
    uint64_t             entries;
    phota_error_t        why;
    phota_ledger_t       ledger;
    phota_prices_t       prices;
    phota_tenants_t      tenants;
    phota_price_list_t  *list;

    why.text[0] = '\0';

    rc = phota_ledger_open(&ledger, store, &why);

    if (rc == PHOTA_OK) {
        rc = phota_ledger_verify(&ledger, &entries, chain, &why);
    }

    phota_ledger_close(&ledger);

    if (rc == PHOTA_OK) {
        rc = phota_tenants_open(&tenants, store, &why);
    }

    if (rc == PHOTA_OK) {
        rc = phota_tenant_each(&tenants, phota_migrate_tenant, NULL, &why);
    }

    if (rc == PHOTA_OK) {
        rc = phota_token_each(&tenants, phota_migrate_token, NULL, &why);
    }

    if (rc == PHOTA_OK) {
        rc = phota_prices_open(&prices, store, &why);
    }

    if (rc == PHOTA_OK) {
        rc = phota_price_list_load(&prices, &list, &why);

        if (rc == PHOTA_OK) {
            phota_price_list_destroy(list);
        }
    }

    if (rc == PHOTA_OK) {
        return PHOTA_OK;
    }

    phota_error(err, "the books are damaged, or of an early form of schema %u "
                "that nothing brings along, and stay as they are: %.140s",
                (unsigned) store->schema, why.text);

    return PHOTA_INVALID;
}


static int
phota_migrate_tenant(void *ctx, const phota_tenant_t *tenant)
{
    (void) ctx;
    (void) tenant;

    return PHOTA_OK;
}


static int
phota_migrate_token(void *ctx, const phota_token_t *token)
{
    (void) ctx;
    (void) token;

    return PHOTA_OK;
}


static int
phota_migrate_run(phota_store_t *store, const phota_migrate_step_t *step,
    const phota_master_t *master, phota_error_t *err)
{
    int              rc;
    MDB_txn         *txn;
    phota_ledger_t   ledger;

    rc = phota_ledger_open(&ledger, store, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_store_begin(store, 1, &txn, err);

    if (rc != PHOTA_OK) {
        phota_ledger_close(&ledger);
        return rc;
    }

    /* whoever becomes a worker has to take the lock that this one has */

    if (phota_ledger_inhabited(&ledger)) {
        phota_error(err, "workers of nginx have the books open: stop nginx, "
                    "and wait for those that are shutting down");
        rc = PHOTA_REFUSED;
    }

    if (rc == PHOTA_OK) {
        rc = step->run(txn, master, err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_store_schema(store, txn, step->to, err);
    }

    if (rc == PHOTA_OK && phota_store_touch(store, txn) != PHOTA_OK) {
        phota_error(err, "books: the generation can't be raised");
        rc = PHOTA_ERROR;
    }

    if (rc == PHOTA_OK) {
        rc = phota_store_commit(txn, err);

    } else {
        phota_store_abort(txn);
    }

    if (rc == PHOTA_OK) {
        store->schema = step->to;
    }

    phota_ledger_close(&ledger);

    return rc;
}


static int
phota_migrate_2(MDB_txn *txn, const phota_master_t *master,
    phota_error_t *err)
{
    int                  rc;
    u_char               id[PHOTA_KEY_ID], buf[PHOTA_RECORD_MAX];
    MDB_dbi              keys;
    MDB_val              name, data;
    MDB_cursor          *cursor;
    phota_key_record_t   record;

    rc = mdb_dbi_open(txn, "keys", 0, &keys);

    if (rc == 0) {
        rc = mdb_cursor_open(txn, keys, &cursor);
    }

    if (rc != 0) {
        return phota_store_fail(err, "keys", rc);
    }

    /* the new name lies behind the old one, before the next */

    for (rc = mdb_cursor_get(cursor, &name, &data, MDB_FIRST);
         rc == 0;
         rc = mdb_cursor_get(cursor, &name, &data, MDB_NEXT))
    {
        if (name.mv_size == PHOTA_KEY_ID) {
            continue;
        }

        if (phota_migrate_key(&name, &data, master, &record, err)
            != PHOTA_OK)
        {
            mdb_cursor_close(cursor);
            return PHOTA_INVALID;
        }

        rc = mdb_cursor_del(cursor, 0);
        if (rc != 0) {
            break;
        }

        phota_key_id_encode(id, &record.bound);

        name.mv_data = id;
        name.mv_size = sizeof(id);
        data.mv_data = buf;
        data.mv_size = phota_key_encode(buf, sizeof(buf), &record);

        rc = mdb_cursor_put(cursor, &name, &data, 0);
        if (rc != 0) {
            break;
        }
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? PHOTA_OK
                                : phota_store_fail(err, "keys", rc);
}


/* there was one vendor, and nothing else was sealed */

static int
phota_migrate_key(const MDB_val *id, const MDB_val *data,
    const phota_master_t *master, phota_key_record_t *record,
    phota_error_t *err)
{
    int              rc;
    size_t           len;
    u_char           plain[PHOTA_KEY_MAX];
    const u_char    *sealed;
    phota_reader_t   r;

    memset(record, 0, sizeof(phota_key_record_t));

    phota_read_init(&r, data->mv_data, data->mv_size);

    rc = (phota_read_number(&r, 1) == PHOTA_KEY_VERSION_2) ? PHOTA_OK
                                                           : PHOTA_INVALID;

    record->bound.version = (uint32_t) phota_read_number(&r, 4);
    record->created = phota_read_number(&r, 8);
    record->len = phota_read_number(&r, 2);
    sealed = phota_read_bytes(&r, record->len);

    if (rc != PHOTA_OK || phota_read_end(&r) != PHOTA_OK
        || id->mv_size != PHOTA_KEY_ID_2)
    {
        phota_error(err, "books: the record of a key is damaged");
        return PHOTA_INVALID;
    }

    if (master == NULL) {
        phota_error(err, "keys are sealed: name the master key, --master-key");
        return PHOTA_INVALID;
    }

    record->bound.tenant = (uint32_t) phota_get_be(id->mv_data,
                                                   PHOTA_KEY_ID_2);
    record->bound.provider = PHOTA_PROVIDER_PHOTA;
    record->bound.what = PHOTA_SECRET_KEY;

    len = sizeof(plain);

    rc = phota_unseal_2(master, &record->bound, sealed, record->len, plain,
                        &len);

    if (rc == PHOTA_OK) {
        record->len = sizeof(record->sealed);
        rc = phota_seal(master, &record->bound, plain, len, record->sealed,
                        &record->len);
    }

    phota_cleanse(plain, sizeof(plain));

    if (rc != PHOTA_OK) {
        phota_error(err, "the master key doesn't open all sealed keys: name "
                    "the right one, --master-key");
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}
