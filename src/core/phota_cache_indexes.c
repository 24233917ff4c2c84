
/*
 * Checking the tables that lead to results and to garbage: each entry must lead
 * to what it was made for.  That none is missing is seen from the other side,
 * where results and pictures are looked at.
 */


#include <string.h>

#include "phota_cache_check.h"
#include "phota_order.h"


static int phota_records_index(phota_records_t *r, MDB_dbi dbi,
    const char *what);
static int phota_records_leads(phota_records_t *r, MDB_dbi dbi,
    const MDB_val *name, const MDB_val *value);
static int phota_records_waste(phota_records_t *r, const MDB_val *name);


int
phota_records_indexes(phota_records_t *r)
{
    int             rc;
    phota_cache_t  *c;

    c = r->check->cache;

    rc = phota_records_index(r, c->order, "last use");

    if (rc == 0) {
        rc = phota_records_index(r, c->expiry, "expiry");
    }

    return (rc == 0) ? phota_records_index(r, c->garbage, "garbage") : rc;
}


static int
phota_records_index(phota_records_t *r, MDB_dbi dbi, const char *what)
{
    int          rc;
    MDB_val      key, value;
    uint64_t     strays;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(r->txn, dbi, &cursor);

    if (rc != 0) {
        return rc;
    }

    strays = 0;

    for ( ;; ) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);

        if (rc != 0) {
            break;
        }

        rc = (dbi == r->check->cache->garbage)
             ? phota_records_waste(r, &key)
             : phota_records_leads(r, dbi, &key, &value);

        if (rc == MDB_NOTFOUND) {
            strays++;
            rc = r->write ? mdb_cursor_del(cursor, 0) : 0;
        }

        if (rc != 0) {
            break;
        }
    }

    mdb_cursor_close(cursor);

    if (strays != 0) {
        phota_check_say(r->check, "the table of %s has %llu entries that lead "
                        "to nothing", what, (unsigned long long) strays);
        r->check->report->counters++;
        r->removed += r->write ? strays : 0;
    }

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


/* MDB_NOTFOUND unless it is a result's own entry */

static int
phota_records_leads(phota_records_t *r, MDB_dbi dbi, const MDB_val *name,
    const MDB_val *value)
{
    int                rc;
    uint64_t           time;
    phota_moment_t     moment;
    phota_result_t     result;
    phota_cache_key_t  key;

    if (phota_moment_decode(&moment, name) != 0
        || phota_cache_key_decode(&key, value) != 0)
    {
        return MDB_NOTFOUND;
    }

    rc = phota_result_read(r->check->cache, r->txn, &key, &result);

    if (rc == MDB_CORRUPTED) {

        /* it goes with its result, and leads to it until then */

        return r->write ? MDB_NOTFOUND : 0;
    }

    if (rc != 0) {
        return rc;
    }

    time = (dbi == r->check->cache->order) ? result.used
                                           : phota_result_until(&result);

    return (moment.time == time
            && memcmp(&moment.id, &result.id, sizeof(phota_id_t)) == 0)
           ? 0 : MDB_NOTFOUND;
}


/* MDB_NOTFOUND unless it is garbage, and is due then */

static int
phota_records_waste(phota_records_t *r, const MDB_val *name)
{
    int            rc;
    u_char         key[PHOTA_GARBAGE_KEY];
    uint32_t       scope;
    phota_kept_t   kept;

    if (name->mv_size != PHOTA_GARBAGE_KEY) {
        return MDB_NOTFOUND;
    }

    memcpy(key, name->mv_data, PHOTA_GARBAGE_KEY);

    scope = (uint32_t) phota_get_be(key + 8, 4);

    rc = phota_kept_read(r->check->cache, r->txn, scope, key + 12, &kept);

    if (rc == MDB_CORRUPTED) {
        return r->write ? MDB_NOTFOUND : 0;
    }

    if (rc != 0) {
        return rc;
    }

    return (kept.refs == 0 && kept.due == phota_get_be(key, 8))
           ? 0 : MDB_NOTFOUND;
}
