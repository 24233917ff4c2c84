
/*
 * All that is sealed in the books for accounts, in the order in which it lies
 * there.
 */


#include <string.h>

#include "phota_sealed.h"


int
phota_sealed_each(phota_tenants_t *t, phota_sealed_pt handler, void *ctx,
    phota_error_t *err)
{
    int                 rc, first;
    u_char              id[PHOTA_KEY_ID];
    MDB_txn            *txn;
    phota_key_record_t  record;

    rc = phota_store_begin(t->store, 0, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    memset(id, 0, sizeof(id));

    for (first = 1; /* void */ ; first = 0) {
        rc = phota_sealed_next(t, txn, id, first, &record, err);

        if (rc != PHOTA_OK) {
            break;
        }

        rc = handler(ctx, &record.bound, record.sealed, record.len);

        if (rc != PHOTA_OK) {
            break;
        }
    }

    phota_store_abort(txn);

    return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
}


int
phota_sealed_next(phota_tenants_t *t, MDB_txn *txn, u_char id[PHOTA_KEY_ID],
    int first, phota_key_record_t *record, phota_error_t *err)
{
    int          rc;
    MDB_val      key, data;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, t->keys, &cursor);
    if (rc != 0) {
        return phota_store_fail(err, "keys", rc);
    }

    key.mv_data = id;
    key.mv_size = PHOTA_KEY_ID;

    rc = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);

    if (rc == 0 && !first && key.mv_size == PHOTA_KEY_ID
        && memcmp(key.mv_data, id, PHOTA_KEY_ID) == 0)
    {
        rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
    }

    mdb_cursor_close(cursor);

    if (rc == MDB_NOTFOUND) {
        return PHOTA_DECLINED;
    }

    if (rc != 0) {
        return phota_store_fail(err, "keys", rc);
    }

    rc = phota_key_decode(record, &key, &data, err);

    if (rc == PHOTA_OK) {
        memcpy(id, key.mv_data, PHOTA_KEY_ID);
    }

    return rc;
}
