
/*
 * Idempotency keys: a row for each, found by the key's digest, and a second
 * table in the order in which they end.  Every new key takes a few of those
 * that have ended with it, so that no transaction ever has many to remove.
 */


#include <stdio.h>
#include <string.h>

#include "phota_order.h"
#include "phota_record.h"
#include "phota_seal.h"
#include "phota_replay.h"


#define PHOTA_REPLAY_VERSION  1
#define PHOTA_REPLAY_NAME     (4 + PHOTA_SHA256_LEN)    /* tenant, digest */
#define PHOTA_REPLAY_EXPIRY   (8 + PHOTA_REPLAY_NAME)
#define PHOTA_REPLAY_LEN      (1 + PHOTA_SHA256_LEN + sizeof(phota_id_t) + 8)
#define PHOTA_REPLAY_REMOVES  8         /* more than a put adds */


static void phota_replay_name(u_char name[PHOTA_REPLAY_NAME],
    uint32_t tenant, const u_char digest[PHOTA_SHA256_LEN]);
static int phota_replay_read(phota_replays_t *p, MDB_txn *txn,
    const u_char name[PHOTA_REPLAY_NAME], phota_replay_t *replay);
static int phota_replay_write(phota_replays_t *p, MDB_txn *txn,
    const u_char name[PHOTA_REPLAY_NAME], const phota_replay_t *replay);
static int phota_replay_forget(phota_replays_t *p, MDB_txn *txn,
    const u_char name[PHOTA_REPLAY_NAME]);
static int phota_replay_expire(phota_replays_t *p, MDB_txn *txn,
    uint64_t now);
static int phota_replay_expire_row(phota_replays_t *p, MDB_txn *txn,
    const u_char expiry[PHOTA_REPLAY_EXPIRY]);
static int phota_replay_remove_rows(phota_replays_t *p, MDB_txn *txn,
    uint32_t tenant);
static int phota_replay_delete(MDB_txn *txn, MDB_dbi table,
    const u_char *name, size_t len);


int
phota_replays_open(phota_replays_t *p, phota_store_t *store,
    phota_error_t *err)
{
    int  rc;

    p->store = store;

    rc = phota_store_table(store, "replays", &p->replays, err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    return phota_store_table(store, "replays_expiry", &p->expiry, err);
}


int
phota_replay_digest(u_char digest[PHOTA_SHA256_LEN], const u_char *key,
    size_t len)
{
    return phota_sha256(digest, key, len);
}


int
phota_replay_get(phota_replays_t *p, MDB_txn *txn, uint32_t tenant,
    const u_char digest[PHOTA_SHA256_LEN], uint64_t now,
    phota_replay_t *replay)
{
    int     rc;
    u_char  name[PHOTA_REPLAY_NAME];

    phota_replay_name(name, tenant, digest);

    rc = phota_replay_read(p, txn, name, replay);

    if (rc == MDB_NOTFOUND) {
        return PHOTA_DECLINED;
    }

    if (rc != 0) {
        return PHOTA_ERROR;
    }

    return (now < replay->expires) ? PHOTA_OK : PHOTA_DECLINED;
}


static void
phota_replay_name(u_char name[PHOTA_REPLAY_NAME], uint32_t tenant,
    const u_char digest[PHOTA_SHA256_LEN])
{
    phota_put_be(name, tenant, 4);
    memcpy(name + 4, digest, PHOTA_SHA256_LEN);
}


/* an MDB code, as all that follow */

static int
phota_replay_read(phota_replays_t *p, MDB_txn *txn,
    const u_char name[PHOTA_REPLAY_NAME], phota_replay_t *replay)
{
    int              rc;
    MDB_val          key, value;
    const u_char    *fingerprint, *charge;
    phota_reader_t   r;

    key.mv_data = (void *) name;
    key.mv_size = PHOTA_REPLAY_NAME;

    rc = mdb_get(txn, p->replays, &key, &value);

    if (rc != 0) {
        return rc;
    }

    phota_read_init(&r, value.mv_data, value.mv_size);

    if (phota_read_number(&r, 1) != PHOTA_REPLAY_VERSION) {
        return MDB_CORRUPTED;
    }

    fingerprint = phota_read_bytes(&r, PHOTA_SHA256_LEN);
    charge = phota_read_bytes(&r, sizeof(phota_id_t));
    replay->expires = phota_read_number(&r, 8);

    if (fingerprint == NULL || charge == NULL
        || phota_read_end(&r) != PHOTA_OK)
    {
        return MDB_CORRUPTED;
    }

    memcpy(replay->fingerprint, fingerprint, PHOTA_SHA256_LEN);
    memcpy(replay->charge.b, charge, sizeof(phota_id_t));

    return 0;
}


int
phota_replay_put(phota_replays_t *p, MDB_txn *txn, uint32_t tenant,
    const u_char digest[PHOTA_SHA256_LEN], const phota_replay_t *replay,
    uint64_t now, phota_error_t *err)
{
    int     rc;
    char    what[sizeof(p->store->path) + 64];
    u_char  name[PHOTA_REPLAY_NAME];

    phota_replay_name(name, tenant, digest);

    rc = phota_replay_forget(p, txn, name);

    if (rc == 0) {
        rc = phota_replay_expire(p, txn, now);
    }

    if (rc == 0) {
        rc = phota_replay_write(p, txn, name, replay);
    }

    if (rc == 0) {
        return PHOTA_OK;
    }

    (void) snprintf(what, sizeof(what), "%.120s, table \"replays\"",
                    p->store->path);

    return phota_store_fail(err, what, rc);
}


static int
phota_replay_write(phota_replays_t *p, MDB_txn *txn,
    const u_char name[PHOTA_REPLAY_NAME], const phota_replay_t *replay)
{
    int             rc;
    u_char          buf[PHOTA_REPLAY_LEN], expiry[PHOTA_REPLAY_EXPIRY];
    MDB_val         key, value;
    phota_writer_t  w;

    phota_write_init(&w, buf, sizeof(buf));

    phota_write_number(&w, PHOTA_REPLAY_VERSION, 1);
    phota_write_bytes(&w, replay->fingerprint, PHOTA_SHA256_LEN);
    phota_write_bytes(&w, replay->charge.b, sizeof(phota_id_t));
    phota_write_number(&w, replay->expires, 8);

    key.mv_data = (void *) name;
    key.mv_size = PHOTA_REPLAY_NAME;
    value.mv_data = buf;
    value.mv_size = sizeof(buf);

    rc = mdb_put(txn, p->replays, &key, &value, 0);

    if (rc != 0) {
        return rc;
    }

    phota_put_be(expiry, replay->expires, 8);
    memcpy(expiry + 8, name, PHOTA_REPLAY_NAME);

    key.mv_data = expiry;
    key.mv_size = sizeof(expiry);
    value.mv_data = NULL;
    value.mv_size = 0;

    return mdb_put(txn, p->expiry, &key, &value, 0);
}


/* the end of a row that is to be replaced */

static int
phota_replay_forget(phota_replays_t *p, MDB_txn *txn,
    const u_char name[PHOTA_REPLAY_NAME])
{
    int             rc;
    u_char          expiry[PHOTA_REPLAY_EXPIRY];
    phota_replay_t  old;

    rc = phota_replay_read(p, txn, name, &old);

    if (rc != 0) {
        return (rc == MDB_NOTFOUND) ? 0 : rc;
    }

    phota_put_be(expiry, old.expires, 8);
    memcpy(expiry + 8, name, PHOTA_REPLAY_NAME);

    return phota_replay_delete(txn, p->expiry, expiry, sizeof(expiry));
}


static int
phota_replay_expire(phota_replays_t *p, MDB_txn *txn, uint64_t now)
{
    int          rc;
    u_char       expiry[PHOTA_REPLAY_EXPIRY];
    MDB_val      key, value;
    unsigned     n;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, p->expiry, &cursor);

    if (rc != 0) {
        return rc;
    }

    for (n = 0; n < PHOTA_REPLAY_REMOVES; n++) {

        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);

        if (rc == 0 && key.mv_size != PHOTA_REPLAY_EXPIRY) {
            rc = MDB_CORRUPTED;
        }

        if (rc != 0 || phota_get_be(key.mv_data, 8) > now) {
            break;
        }

        /* what a key points to is gone with its row */

        memcpy(expiry, key.mv_data, sizeof(expiry));

        rc = mdb_cursor_del(cursor, 0);

        if (rc == 0) {
            rc = phota_replay_expire_row(p, txn, expiry);
        }

        if (rc != 0) {
            break;
        }
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


/* unless the row was made anew and ends later */

static int
phota_replay_expire_row(phota_replays_t *p, MDB_txn *txn,
    const u_char expiry[PHOTA_REPLAY_EXPIRY])
{
    int             rc;
    phota_replay_t  row;

    rc = phota_replay_read(p, txn, expiry + 8, &row);

    if (rc != 0) {
        return (rc == MDB_NOTFOUND) ? 0 : rc;
    }

    if (row.expires != phota_get_be(expiry, 8)) {
        return 0;
    }

    return phota_replay_delete(txn, p->replays, expiry + 8,
                               PHOTA_REPLAY_NAME);
}


int
phota_replay_remove(phota_replays_t *p, MDB_txn *txn, uint32_t tenant,
    phota_error_t *err)
{
    int   rc;
    char  what[sizeof(p->store->path) + 64];

    rc = phota_replay_remove_rows(p, txn, tenant);

    if (rc == 0) {
        return PHOTA_OK;
    }

    (void) snprintf(what, sizeof(what), "%.120s, table \"replays\"",
                    p->store->path);

    return phota_store_fail(err, what, rc);
}


/* a row's end is found by the row, so it goes first */

static int
phota_replay_remove_rows(phota_replays_t *p, MDB_txn *txn, uint32_t tenant)
{
    int          rc;
    u_char       name[PHOTA_REPLAY_NAME];
    MDB_val      key, value;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, p->replays, &cursor);

    if (rc != 0) {
        return rc;
    }

    for ( ;; ) {
        memset(name, 0, sizeof(name));
        phota_put_be(name, tenant, 4);

        key.mv_data = name;
        key.mv_size = sizeof(name);

        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

        if (rc != 0 || key.mv_size != PHOTA_REPLAY_NAME
            || phota_get_be(key.mv_data, 4) != tenant)
        {
            break;
        }

        memcpy(name, key.mv_data, sizeof(name));

        rc = phota_replay_forget(p, txn, name);

        if (rc == 0 || rc == MDB_CORRUPTED) {
            rc = phota_replay_delete(txn, p->replays, name, sizeof(name));
        }

        if (rc != 0) {
            break;
        }
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


static int
phota_replay_delete(MDB_txn *txn, MDB_dbi table, const u_char *name,
    size_t len)
{
    int      rc;
    MDB_val  key;

    key.mv_data = (void *) name;
    key.mv_size = len;

    rc = mdb_del(txn, table, &key, NULL);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}
