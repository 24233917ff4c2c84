
/*
 * The order of a rekey is its safety.  First the books name the new key, with
 * the old one as what is still needed: then nobody seals under the old one any
 * more.  One pass over the records in their order finds all the others.  Only
 * then the old one's name goes.  Before each write it is asked, under the
 * writer's lock that a new worker has to take as well, whether any worker lives
 * that could not read what is written.
 */


#include <string.h>

#include "phota_rekey.h"
#include "phota_sealed.h"


#define PHOTA_REKEY_BATCH  64           /* records of a transaction */

#define PHOTA_REKEY_NEW    0
#define PHOTA_REKEY_OLD    1


static int phota_rekey_survey(phota_rekey_t *r, unsigned opens[2],
    phota_error_t *err);
static int phota_rekey_first(phota_rekey_t *r, MDB_txn *txn,
    unsigned opens_old, phota_error_t *err);
static int phota_rekey_check(phota_rekey_t *r, MDB_txn *txn,
    const u_char id[PHOTA_MASTER_ID], phota_error_t *err);
static int phota_rekey_look(void *ctx, const phota_seal_t *bound,
    const u_char *sealed, size_t len);
static int phota_rekey_batch(phota_rekey_t *r, MDB_txn *txn,
    phota_error_t *err);
static int phota_rekey_record(phota_rekey_t *r, MDB_txn *txn,
    phota_key_record_t *record, phota_error_t *err);
static int phota_rekey_seal(phota_rekey_t *r, phota_key_record_t *record,
    const u_char *plain, size_t len, phota_error_t *err);
static int phota_rekey_opens(const phota_master_t *master,
    const phota_key_record_t *record, u_char plain[PHOTA_KEY_MAX],
    size_t *len);
static int phota_rekey_ids(phota_rekey_t *r, u_char ids[2][PHOTA_MASTER_ID],
    phota_error_t *err);


typedef struct {
    phota_rekey_t   *rekey;
    unsigned        *opens;             /* of each key */
} phota_rekey_look_t;


int
phota_rekey_begin(phota_rekey_t *r, phota_error_t *err)
{
    int        rc;
    MDB_txn   *txn;
    unsigned   opens[2];

    r->alone[PHOTA_REKEY_NEW] = r->master;
    r->alone[PHOTA_REKEY_NEW].two = 0;
    r->alone[PHOTA_REKEY_OLD] = r->master;
    phota_master_turn(&r->alone[PHOTA_REKEY_OLD]);
    r->alone[PHOTA_REKEY_OLD].two = 0;

    rc = phota_rekey_survey(r, opens, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_tenant_begin(r->tenants, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_rekey_first(r, txn, opens[PHOTA_REKEY_OLD], err);

    if (rc == PHOTA_OK && r->lost) {

        /* what can't be opened now would be given up without a word */

        phota_error(err, "%u of %u sealed keys open under neither of the two "
                    "master keys", r->lost, r->total);
        rc = PHOTA_INVALID;

    } else if (rc != PHOTA_DECLINED) {
        r->lost = 0;
    }

    return phota_tenant_finish(r->tenants, txn, rc, err);
}


static int
phota_rekey_survey(phota_rekey_t *r, unsigned opens[2], phota_error_t *err)
{
    phota_rekey_look_t  look;

    opens[PHOTA_REKEY_NEW] = 0;
    opens[PHOTA_REKEY_OLD] = 0;

    look.rekey = r;
    look.opens = opens;

    return phota_sealed_each(r->tenants, phota_rekey_look, &look, err);
}


static int
phota_rekey_look(void *ctx, const phota_seal_t *bound, const u_char *sealed,
    size_t len)
{
    phota_rekey_look_t  *look = ctx;

    size_t               room;
    u_char               plain[PHOTA_KEY_MAX];
    unsigned             i;
    phota_rekey_t       *r;

    r = look->rekey;
    r->total++;

    for (i = 0; i <= r->master.two; i++) {
        room = sizeof(plain);

        if (phota_unseal(&r->alone[i], bound, sealed, len, plain, &room)
            == PHOTA_OK)
        {
            look->opens[i]++;
            phota_cleanse(plain, sizeof(plain));
            return PHOTA_OK;
        }
    }

    if (r->lost++ == 0) {
        r->first = bound->tenant;
    }

    return PHOTA_OK;
}


static int
phota_rekey_first(phota_rekey_t *r, MDB_txn *txn, unsigned opens_old,
    phota_error_t *err)
{
    int                    rc, begun;
    u_char                 ids[2][PHOTA_MASTER_ID];
    phota_store_t         *store;
    phota_master_state_t   state;

    store = r->tenants->store;

    rc = phota_rekey_ids(r, ids, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_master_state(store, txn, &state, err);
    if (rc == PHOTA_ERROR) {
        return rc;
    }

    begun = (rc == PHOTA_OK
             && memcmp(state.current, ids[PHOTA_REKEY_NEW], PHOTA_MASTER_ID)
                == 0);

    if (begun && !phota_master_pending(&state)) {
        return PHOTA_DECLINED;
    }

    if (!r->master.two) {
        phota_error(err, begun ? "a rekey to this master key isn't finished: "
                    "name the old one, --old-master-key FILE"
                    : "name the old master key, --old-master-key FILE");
        return PHOTA_INVALID;
    }

    if (rc == PHOTA_DECLINED) {

        /* nothing but what it opens says that it is the right one */

        if (opens_old == 0 && r->total != 0) {
            phota_error(err, "the old master key opens none of %u sealed keys",
                        r->total);
            return PHOTA_INVALID;
        }

    } else if (!begun
               && memcmp(state.current, ids[PHOTA_REKEY_OLD], PHOTA_MASTER_ID)
                  != 0)
    {
        phota_error(err, "the books are sealed under another master key than "
                    "these two");
        return PHOTA_INVALID;

    } else if (phota_master_pending(&state)
               && memcmp(state.previous, ids[begun], PHOTA_MASTER_ID) != 0)
    {
        phota_error(err, "another rekey isn't finished: some keys are sealed "
                    "under a master key that isn't among these two");
        return PHOTA_INVALID;
    }

    rc = phota_rekey_check(r, txn, ids[PHOTA_REKEY_NEW], err);

    if (rc != PHOTA_OK || begun || r->lost) {
        return rc;
    }

    rc = phota_lasting_seal(store, txn, &r->master,
                            &r->alone[PHOTA_REKEY_OLD], err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    memcpy(state.current, ids[PHOTA_REKEY_NEW], PHOTA_MASTER_ID);
    memcpy(state.previous, ids[PHOTA_REKEY_OLD], PHOTA_MASTER_ID);
    state.time = phota_now();

    return phota_master_state_put(store, txn, &state, err);
}


static int
phota_rekey_ids(phota_rekey_t *r, u_char ids[2][PHOTA_MASTER_ID],
    phota_error_t *err)
{
    if (phota_master_id(&r->alone[PHOTA_REKEY_NEW], ids[PHOTA_REKEY_NEW])
           != PHOTA_OK
        || phota_master_id(&r->alone[PHOTA_REKEY_OLD], ids[PHOTA_REKEY_OLD])
           != PHOTA_OK)
    {
        phota_error(err, "the master key has no id: OpenSSL failed");
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


static int
phota_rekey_check(phota_rekey_t *r, MDB_txn *txn,
    const u_char id[PHOTA_MASTER_ID], phota_error_t *err)
{
    r->ignorant = phota_ledger_ignorant(r->ledger, txn, id);

    if (r->ignorant == 0) {
        return PHOTA_OK;
    }

    phota_error(err, "%u workers of nginx don't know the new master key",
                r->ignorant);

    return PHOTA_REFUSED;
}


int
phota_rekey_step(phota_rekey_t *r, phota_error_t *err)
{
    int        rc, ended;
    u_char     id[PHOTA_MASTER_ID];
    MDB_txn   *txn;
    uint32_t   sealed;

    rc = phota_tenant_begin(r->tenants, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    sealed = r->sealed;

    rc = phota_master_id(&r->alone[PHOTA_REKEY_NEW], id);

    if (rc == PHOTA_OK) {
        rc = phota_rekey_check(r, txn, id, err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_rekey_batch(r, txn, err);
    }

    ended = (rc == PHOTA_DECLINED);

    if (ended) {
        rc = PHOTA_OK;
    }

    if (rc == PHOTA_OK && r->sealed == sealed) {
        phota_store_abort(txn);

    } else {
        rc = phota_tenant_finish(r->tenants, txn, rc, err);
    }

    return (rc == PHOTA_OK && ended) ? PHOTA_DECLINED : rc;
}


static int
phota_rekey_batch(phota_rekey_t *r, MDB_txn *txn, phota_error_t *err)
{
    int                  rc;
    unsigned             n;
    phota_key_record_t   record;

    for (n = 0; n < PHOTA_REKEY_BATCH; n++) {
        rc = phota_sealed_next(r->tenants, txn, r->at, !r->behind, &record,
                               err);
        if (rc != PHOTA_OK) {
            return rc;
        }

        r->behind = 1;
        r->looked++;

        rc = phota_rekey_record(r, txn, &record, err);
        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return PHOTA_OK;
}


static int
phota_rekey_record(phota_rekey_t *r, MDB_txn *txn,
    phota_key_record_t *record, phota_error_t *err)
{
    int      rc;
    size_t   len;
    u_char   plain[PHOTA_KEY_MAX], buf[PHOTA_RECORD_MAX];
    MDB_val  name, data;

    if (phota_rekey_opens(&r->alone[PHOTA_REKEY_NEW], record, plain, &len)) {
        phota_cleanse(plain, sizeof(plain));
        return PHOTA_OK;
    }

    if (!phota_rekey_opens(&r->alone[PHOTA_REKEY_OLD], record, plain, &len)) {
        r->lost = 1;
        r->first = record->bound.tenant;
        phota_error(err, "a sealed key opens under neither of the two master "
                    "keys");
        return PHOTA_INVALID;
    }

    rc = phota_rekey_seal(r, record, plain, len, err);

    phota_cleanse(plain, sizeof(plain));

    if (rc != PHOTA_OK) {
        return rc;
    }

    name.mv_data = r->at;
    name.mv_size = PHOTA_KEY_ID;
    data.mv_data = buf;
    data.mv_size = phota_key_encode(buf, sizeof(buf), record);

    rc = mdb_put(txn, r->tenants->keys, &name, &data, 0);

    if (rc != 0) {
        return phota_store_fail(err, "keys", rc);
    }

    r->sealed++;

    return PHOTA_OK;
}


/* what it was sealed for stays; it isn't believed before it was opened again */

static int
phota_rekey_seal(phota_rekey_t *r, phota_key_record_t *record,
    const u_char *plain, size_t len, phota_error_t *err)
{
    int     same;
    size_t  n;
    u_char  again[PHOTA_KEY_MAX];

    record->len = sizeof(record->sealed);

    same = (phota_seal(&r->alone[PHOTA_REKEY_NEW], &record->bound, plain, len,
                       record->sealed, &record->len) == PHOTA_OK
            && phota_rekey_opens(&r->alone[PHOTA_REKEY_NEW], record, again, &n)
            && n == len
            && phota_memcmp(again, plain, len) == 0);

    phota_cleanse(again, sizeof(again));

    if (!same) {
        phota_error(err, "a key can't be sealed anew: OpenSSL failed");
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


static int
phota_rekey_opens(const phota_master_t *master,
    const phota_key_record_t *record, u_char plain[PHOTA_KEY_MAX],
    size_t *len)
{
    *len = PHOTA_KEY_MAX;

    return phota_unseal(master, &record->bound, record->sealed, record->len,
                        plain, len) == PHOTA_OK;
}


int
phota_rekey_end(phota_rekey_t *r, phota_error_t *err)
{
    int                    rc;
    u_char                 ids[2][PHOTA_MASTER_ID];
    MDB_txn               *txn;
    phota_master_state_t   state;

    rc = phota_rekey_ids(r, ids, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_tenant_begin(r->tenants, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_master_state(r->tenants->store, txn, &state, err);

    if (rc == PHOTA_OK
        && memcmp(state.current, ids[PHOTA_REKEY_NEW], PHOTA_MASTER_ID) == 0)
    {
        memset(state.previous, 0, PHOTA_MASTER_ID);
        state.time = phota_now();

        rc = phota_master_state_put(r->tenants->store, txn, &state, err);

    } else if (rc != PHOTA_ERROR) {
        phota_error(err, "another rekey has begun meanwhile");
        rc = PHOTA_REFUSED;
    }

    return phota_tenant_finish(r->tenants, txn, rc, err);
}


int
phota_rekey_give_up(phota_rekey_t *r, phota_error_t *err)
{
    int                    rc;
    MDB_txn               *txn;
    phota_store_t         *store;
    phota_master_state_t   state;

    store = r->tenants->store;

    memset(&state, 0, sizeof(state));
    state.time = phota_now();

    if (phota_master_id(&r->master, state.current) != PHOTA_OK) {
        phota_error(err, "the master key has no id: OpenSSL failed");
        return PHOTA_ERROR;
    }

    rc = phota_tenant_begin(r->tenants, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_rekey_check(r, txn, state.current, err);

    if (rc == PHOTA_OK) {
        rc = phota_lasting_remove(store, txn, err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_master_state_put(store, txn, &state, err);
    }

    return phota_tenant_finish(r->tenants, txn, rc, err);
}


void
phota_rekey_forget(phota_rekey_t *r)
{
    phota_cleanse(r, sizeof(phota_rekey_t));
}
