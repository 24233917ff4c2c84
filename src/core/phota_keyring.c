
/*
 * Two rows of the books: which master key is in force, and, sealed under it,
 * the keys that outlive it.  Neither is there before the first rekey: until
 * then all is as the only key, or the older one of two, derives it.
 */


#include <string.h>

#include "phota_keyring.h"
#include "phota_record.h"


#define PHOTA_STATE_VERSION    1
#define PHOTA_STATE_LEN        (1 + 2 * PHOTA_MASTER_ID + 8)

#define PHOTA_LASTING_VERSION  1
#define PHOTA_LASTING_WHAT     255      /* no secret of an account */
#define PHOTA_LASTING_LEN      (4 * 32 + 4 * PHOTA_HASH_WORDS)
#define PHOTA_LASTING_SEALED   (PHOTA_LASTING_LEN + PHOTA_SEAL_OVERHEAD)


_Static_assert(PHOTA_LASTING_LEN <= PHOTA_SEAL_MAX, "one seal holds them");


static int phota_keyring_read(phota_keyring_t *ring, phota_store_t *store,
    MDB_txn *txn, const phota_master_t *master, phota_error_t *err);
static int phota_master_first(phota_master_t *master,
    const u_char id[PHOTA_MASTER_ID], phota_error_t *err);
static int phota_master_has(const phota_master_t *master,
    const u_char id[PHOTA_MASTER_ID]);
static int phota_lasting_get(phota_keyring_t *ring, phota_store_t *store,
    MDB_txn *txn, const phota_master_t *master, phota_error_t *err);
static int phota_lasting_put(const phota_keyring_t *ring,
    phota_store_t *store, MDB_txn *txn, const phota_master_t *master,
    phota_error_t *err);


static const phota_seal_t  phota_lasting_bound = {
    0, PHOTA_LASTING_VERSION, 0, PHOTA_LASTING_WHAT
};

static const u_char        phota_master_none[PHOTA_MASTER_ID];


int
phota_keyring_load(phota_keyring_t *ring, phota_store_t *store,
    const phota_master_t *master, phota_error_t *err)
{
    int       rc;
    MDB_txn  *txn;

    rc = phota_store_begin(store, 0, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_keyring_read(ring, store, txn, master, err);

    phota_store_abort(txn);

    if (rc != PHOTA_OK) {
        phota_cleanse(ring, sizeof(phota_keyring_t));
    }

    return rc;
}


static int
phota_keyring_read(phota_keyring_t *ring, phota_store_t *store, MDB_txn *txn,
    const phota_master_t *master, phota_error_t *err)
{
    int             rc;
    phota_master_t  in_force;

    rc = phota_master_in_force(store, txn, master, 0, &in_force, err);

    if (rc == PHOTA_OK) {
        rc = phota_keyring_init(ring, &in_force, err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_lasting_get(ring, store, txn, &in_force, err);
    }

    phota_cleanse(&in_force, sizeof(in_force));

    return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
}


int
phota_keyring_init(phota_keyring_t *ring, const phota_master_t *master,
    phota_error_t *err)
{
    if (phota_hash_key_init(&ring->hash, master) != PHOTA_OK
        || phota_aliases_init(&ring->aliases, master) != PHOTA_OK
        || phota_link_init(&ring->linker, master) != PHOTA_OK)
    {
        phota_error(err, "no keys can be derived from the master key: OpenSSL "
                    "failed");
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


int
phota_master_state(phota_store_t *store, MDB_txn *txn,
    phota_master_state_t *state, phota_error_t *err)
{
    int             rc;
    MDB_val         key, data;
    phota_reader_t  r;

    memset(state, 0, sizeof(phota_master_state_t));

    key.mv_data = "master-key";
    key.mv_size = sizeof("master-key") - 1;

    rc = mdb_get(txn, store->meta, &key, &data);

    if (rc == MDB_NOTFOUND) {
        return PHOTA_DECLINED;
    }

    if (rc != 0) {
        return phota_store_fail(err, "master-key", rc);
    }

    if (data.mv_size != PHOTA_STATE_LEN
        || *(u_char *) data.mv_data != PHOTA_STATE_VERSION)
    {
        phota_error(err, "books: what they say of the master key is damaged, "
                    "or of a newer version of phota");
        return PHOTA_ERROR;
    }

    phota_read_init(&r, data.mv_data, data.mv_size);

    (void) phota_read_number(&r, 1);
    memcpy(state->current, phota_read_bytes(&r, PHOTA_MASTER_ID),
           PHOTA_MASTER_ID);
    memcpy(state->previous, phota_read_bytes(&r, PHOTA_MASTER_ID),
           PHOTA_MASTER_ID);
    state->time = phota_read_number(&r, 8);

    return PHOTA_OK;
}


int
phota_master_state_put(phota_store_t *store, MDB_txn *txn,
    const phota_master_state_t *state, phota_error_t *err)
{
    int             rc;
    u_char          buf[PHOTA_STATE_LEN];
    MDB_val         key, data;
    phota_writer_t  w;

    phota_write_init(&w, buf, sizeof(buf));
    phota_write_number(&w, PHOTA_STATE_VERSION, 1);
    phota_write_bytes(&w, state->current, PHOTA_MASTER_ID);
    phota_write_bytes(&w, state->previous, PHOTA_MASTER_ID);
    phota_write_number(&w, state->time, 8);

    key.mv_data = "master-key";
    key.mv_size = sizeof("master-key") - 1;
    data.mv_data = buf;
    data.mv_size = sizeof(buf);

    rc = mdb_put(txn, store->meta, &key, &data, 0);

    return (rc == 0) ? PHOTA_OK : phota_store_fail(err, "master-key", rc);
}


int
phota_master_pending(const phota_master_state_t *state)
{
    return memcmp(state->previous, phota_master_none, PHOTA_MASTER_ID) != 0;
}


int
phota_master_in_force(phota_store_t *store, MDB_txn *txn,
    const phota_master_t *master, int whole, phota_master_t *in_force,
    phota_error_t *err)
{
    int                   rc;
    phota_master_state_t  state;

    *in_force = *master;

    rc = phota_master_state(store, txn, &state, err);

    if (rc == PHOTA_DECLINED) {

        /* they were made with the older one */

        if (in_force->two) {
            phota_master_turn(in_force);
        }

        return PHOTA_OK;
    }

    if (rc == PHOTA_OK) {
        rc = phota_master_first(in_force, state.current, err);
    }

    if (rc == PHOTA_OK && whole && phota_master_pending(&state)
        && !phota_master_has(in_force, state.previous))
    {
        phota_error(err, "a rekey isn't finished, some keys are sealed under "
                    "the old master key: name it with --old-master-key, or "
                    "finish it with \"photactl rekey\"");
        rc = PHOTA_INVALID;
    }

    if (rc != PHOTA_OK) {
        phota_cleanse(in_force, sizeof(phota_master_t));
    }

    return rc;
}


static int
phota_master_first(phota_master_t *master, const u_char id[PHOTA_MASTER_ID],
    phota_error_t *err)
{
    u_char    found[PHOTA_MASTER_ID];
    unsigned  n;

    for (n = 0; n <= master->two; n++) {

        if (phota_master_id(master, found) != PHOTA_OK) {
            phota_error(err, "the master key has no id: OpenSSL failed");
            return PHOTA_ERROR;
        }

        if (memcmp(found, id, PHOTA_MASTER_ID) == 0) {
            return PHOTA_OK;
        }

        phota_master_turn(master);
    }

    phota_error(err, "the books are sealed under another master key than %s",
                master->two ? "these two" : "this one");

    return PHOTA_INVALID;
}


static int
phota_master_has(const phota_master_t *master,
    const u_char id[PHOTA_MASTER_ID])
{
    int             has;
    phota_master_t  copy;

    copy = *master;
    has = (phota_master_first(&copy, id, NULL) == PHOTA_OK);

    phota_cleanse(&copy, sizeof(copy));

    return has;
}


int
phota_lasting_seal(phota_store_t *store, MDB_txn *txn,
    const phota_master_t *master, const phota_master_t *from,
    phota_error_t *err)
{
    int              rc;
    phota_keyring_t  ring;

    rc = phota_keyring_init(&ring, from, err);

    if (rc == PHOTA_OK) {
        rc = phota_lasting_get(&ring, store, txn, master, err);
    }

    if (rc == PHOTA_OK || rc == PHOTA_DECLINED) {
        rc = phota_lasting_put(&ring, store, txn, master, err);
    }

    phota_cleanse(&ring, sizeof(ring));

    return rc;
}


int
phota_lasting_remove(phota_store_t *store, MDB_txn *txn, phota_error_t *err)
{
    int      rc;
    MDB_val  key;

    key.mv_data = "lasting-keys";
    key.mv_size = sizeof("lasting-keys") - 1;

    rc = mdb_del(txn, store->meta, &key, NULL);

    return (rc == 0 || rc == MDB_NOTFOUND)
           ? PHOTA_OK : phota_store_fail(err, "lasting-keys", rc);
}


/* changes nothing of ring when there are none (PHOTA_DECLINED) */

static int
phota_lasting_get(phota_keyring_t *ring, phota_store_t *store, MDB_txn *txn,
    const phota_master_t *master, phota_error_t *err)
{
    int             rc;
    size_t          len;
    u_char          plain[PHOTA_LASTING_LEN];
    MDB_val         key, data;
    unsigned        i;
    phota_reader_t  r;

    key.mv_data = "lasting-keys";
    key.mv_size = sizeof("lasting-keys") - 1;

    rc = mdb_get(txn, store->meta, &key, &data);

    if (rc == MDB_NOTFOUND) {
        return PHOTA_DECLINED;
    }

    if (rc != 0) {
        return phota_store_fail(err, "lasting-keys", rc);
    }

    len = sizeof(plain);

    rc = phota_unseal(master, &phota_lasting_bound, data.mv_data,
                      data.mv_size, plain, &len);

    if (rc != PHOTA_OK || len != sizeof(plain)) {
        phota_error(err, "the master key doesn't open the keys of "
                    "fingerprints and secrets that the books keep");
        phota_cleanse(plain, sizeof(plain));
        return PHOTA_INVALID;
    }

    phota_read_init(&r, plain, sizeof(plain));

    memcpy(ring->hash.prf, phota_read_bytes(&r, 32), 32);
    memcpy(ring->aliases.requests, phota_read_bytes(&r, 32), 32);
    memcpy(ring->aliases.tags, phota_read_bytes(&r, 32), 32);
    memcpy(ring->aliases.secrets, phota_read_bytes(&r, 32), 32);

    for (i = 0; i < PHOTA_HASH_WORDS; i++) {
        ring->hash.words[i] = (uint32_t) phota_read_number(&r, 4);
    }

    phota_cleanse(plain, sizeof(plain));

    return PHOTA_OK;
}


static int
phota_lasting_put(const phota_keyring_t *ring, phota_store_t *store,
    MDB_txn *txn, const phota_master_t *master, phota_error_t *err)
{
    int             rc;
    size_t          len;
    u_char          plain[PHOTA_LASTING_LEN], sealed[PHOTA_LASTING_SEALED];
    MDB_val         key, data;
    unsigned        i;
    phota_writer_t  w;

    phota_write_init(&w, plain, sizeof(plain));

    phota_write_bytes(&w, ring->hash.prf, 32);
    phota_write_bytes(&w, ring->aliases.requests, 32);
    phota_write_bytes(&w, ring->aliases.tags, 32);
    phota_write_bytes(&w, ring->aliases.secrets, 32);

    for (i = 0; i < PHOTA_HASH_WORDS; i++) {
        phota_write_number(&w, ring->hash.words[i], 4);
    }

    len = sizeof(sealed);

    rc = phota_seal(master, &phota_lasting_bound, plain, sizeof(plain),
                    sealed, &len);

    phota_cleanse(plain, sizeof(plain));

    if (rc != PHOTA_OK || w.rc != PHOTA_OK) {
        phota_error(err, "the keys of fingerprints and secrets can't be "
                    "sealed: OpenSSL failed");
        return PHOTA_ERROR;
    }

    key.mv_data = "lasting-keys";
    key.mv_size = sizeof("lasting-keys") - 1;
    data.mv_data = sealed;
    data.mv_size = len;

    rc = mdb_put(txn, store->meta, &key, &data, 0);

    return (rc == 0) ? PHOTA_OK : phota_store_fail(err, "lasting-keys", rc);
}
