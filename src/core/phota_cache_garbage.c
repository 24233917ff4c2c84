
/*
 * Pictures that go.  One that no result holds any more is garbage: it lies
 * there until it is due and nobody sends it, then its chunks are deleted, never
 * more than a batch in a transaction.  Until then it can come back to life.
 */


#include <string.h>

#include "phota_cache_record.h"
#include "phota_order.h"
#include "phota_record.h"


#define PHOTA_CACHE_LOOK      4096  /* pieces of garbage seen in one pass */
#define PHOTA_CACHE_PATIENCE  (3600 * 1000)     /* ms that sending delays it */


/* an entry of the garbage table */

typedef struct {
    u_char         key[PHOTA_GARBAGE_KEY];
    const u_char  *digest;          /* in key */
    uint32_t       scope;
    uint64_t       due;             /* ms */
    uint64_t       bytes;
} phota_garbage_t;


static int phota_garbage_decode(phota_garbage_t *garbage, const MDB_val *key,
    const MDB_val *value);
static int phota_cache_collect_one(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, const phota_garbage_t *garbage,
    unsigned *left);
static int phota_garbage_is_due(const phota_garbage_t *garbage, uint64_t due,
    uint64_t now);
static int phota_garbage_is_sent(phota_cache_t *c,
    const phota_garbage_t *garbage, uint64_t now);
static int phota_cache_discard(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint32_t scope, phota_kept_t *kept,
    uint64_t now);
static int phota_cache_drop_chunks(phota_cache_t *c, MDB_txn *txn,
    uint32_t scope, const u_char digest[PHOTA_SHA256_LEN], unsigned *left);
static int phota_cache_drop_record(phota_cache_t *c, MDB_txn *txn,
    uint32_t scope, const u_char digest[PHOTA_SHA256_LEN]);

int
phota_cache_collect(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t due, uint64_t now, uint64_t *sent,
    int *more)
{
    int              rc;
    MDB_val          key, value;
    unsigned         n, left, waits;
    MDB_cursor      *cursor;
    phota_garbage_t  garbage;

    *sent = 0;
    waits = 0;
    left = PHOTA_CACHE_BATCH;

    rc = mdb_cursor_open(txn, c->garbage, &cursor);

    if (rc != 0) {
        return rc;
    }

    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);

    for (n = 0; rc == 0 && n < PHOTA_CACHE_LOOK; n++) {

        if (phota_garbage_decode(&garbage, &key, &value) != 0) {
            rc = mdb_cursor_del(cursor, 0);

            if (rc == 0) {
                rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
            }

            continue;
        }

        if (left == 0 && phota_garbage_is_due(&garbage, due, now)) {
            *more = 1;
            break;
        }

        if (phota_garbage_is_sent(c, &garbage, now)) {

            /* it stays where it is, and so must not hide what is behind it */

            *sent += garbage.bytes;
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
            continue;
        }

        if (!phota_garbage_is_due(&garbage, due, now)) {

            /* behind it may be what is being sent, which counts at once */

            waits = 1;
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
            continue;
        }

        rc = phota_cache_collect_one(c, txn, totals, &garbage, &left);

        if (rc == 0) {
            key.mv_data = garbage.key;
            key.mv_size = sizeof(garbage.key);

            rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        }
    }

    mdb_cursor_close(cursor);

    if (rc == MDB_NOTFOUND) {
        totals->garbage = (*sent == 0 && !waits) ? 0 : totals->garbage;
        rc = 0;
    }

    return rc;
}


static int
phota_garbage_decode(phota_garbage_t *garbage, const MDB_val *key,
    const MDB_val *value)
{
    if (key->mv_size != PHOTA_GARBAGE_KEY || value->mv_size != 8) {
        return MDB_CORRUPTED;
    }

    memcpy(garbage->key, key->mv_data, PHOTA_GARBAGE_KEY);

    garbage->due = phota_get_be(garbage->key, 8);
    garbage->scope = (uint32_t) phota_get_be(garbage->key + 8, 4);
    garbage->digest = garbage->key + 8 + 4;
    garbage->bytes = phota_get_le(value->mv_data, 8);

    return 0;
}


/* its chunks, as many as are left to do; with the last of them all of it */

static int
phota_cache_collect_one(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, const phota_garbage_t *garbage,
    unsigned *left)
{
    int           rc;
    MDB_val       key;
    phota_kept_t  kept;

    rc = phota_kept_read(c, txn, garbage->scope, garbage->digest, &kept);

    if (rc != 0 || (kept.refs == 0 && kept.due == garbage->due)) {

        rc = phota_cache_drop_chunks(c, txn, garbage->scope, garbage->digest,
                                     left);

        if (rc != 0 || *left == 0) {
            return rc;
        }

        totals->garbage = phota_cache_less(totals->garbage, garbage->bytes);

        rc = phota_cache_drop_record(c, txn, garbage->scope, garbage->digest);

        if (rc != 0) {
            return rc;
        }
    }

    /* an entry is work too; one whose picture came back to life is only that */

    (*left)--;

    key.mv_data = (void *) garbage->key;
    key.mv_size = sizeof(garbage->key);

    return mdb_del(txn, c->garbage, &key, NULL);
}


/* what is due in a far future was made when the clock was wrong */

static int
phota_garbage_is_due(const phota_garbage_t *garbage, uint64_t due,
    uint64_t now)
{
    return garbage->due <= due || garbage->due > now + PHOTA_CACHE_PATIENCE;
}


/*
 * A slot is shared by many pictures, and who reads slowly may do so for ever:
 * he keeps none of them longer than an hour.
 */

static int
phota_garbage_is_sent(phota_cache_t *c, const phota_garbage_t *garbage,
    uint64_t now)
{
    uint64_t  until;

    if (c->beats == NULL || now > garbage->due + PHOTA_CACHE_PATIENCE) {
        return 0;
    }

    until = *phota_beat_slot(c->beats, garbage->digest);

    return until >= now / 1000 && until - now / 1000 <= PHOTA_BEAT_MAX;
}


int
phota_cache_release(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN], uint64_t now)
{
    int           rc;
    phota_kept_t  kept;

    rc = phota_kept_read(c, txn, scope, digest, &kept);

    if (rc == MDB_CORRUPTED) {
        return phota_cache_drop_picture(c, txn, totals, scope, digest);
    }

    if (rc != 0 || kept.refs == 0) {
        return (rc == MDB_NOTFOUND) ? 0 : rc;
    }

    kept.refs--;

    if (kept.refs == 0) {
        return phota_cache_discard(c, txn, totals, scope, &kept, now);
    }

    return phota_kept_write(c, txn, scope, &kept);
}


/* nobody holds it any more */

static int
phota_cache_discard(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint32_t scope, phota_kept_t *kept,
    uint64_t now)
{
    int       rc;
    u_char    name[PHOTA_GARBAGE_KEY], bytes[8];
    MDB_val   key, value;
    uint64_t  size;

    size = phota_picture_size(kept->picture.length);

    totals->pictures = phota_cache_less(totals->pictures, 1);
    totals->bytes = phota_cache_less(totals->bytes, size);
    totals->garbage += size;

    kept->due = now + PHOTA_CACHE_GRACE;

    phota_garbage_key(name, kept->due, scope, kept->picture.digest);
    phota_put_le(bytes, size, sizeof(bytes));

    key.mv_data = name;
    key.mv_size = sizeof(name);
    value.mv_data = bytes;
    value.mv_size = sizeof(bytes);

    rc = mdb_put(txn, c->garbage, &key, &value, 0);

    return (rc == 0) ? phota_kept_write(c, txn, scope, kept) : rc;
}


int
phota_cache_revive(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint32_t scope, const phota_kept_t *kept)
{
    int       rc;
    u_char    name[PHOTA_GARBAGE_KEY];
    MDB_val   key;
    uint64_t  size;

    size = phota_picture_size(kept->picture.length);

    totals->pictures++;
    totals->bytes += size;
    totals->garbage = phota_cache_less(totals->garbage, size);

    phota_garbage_key(name, kept->due, scope, kept->picture.digest);

    key.mv_data = name;
    key.mv_size = sizeof(name);

    rc = mdb_del(txn, c->garbage, &key, NULL);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


int
phota_cache_drop_picture(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN])
{
    int           rc;
    phota_kept_t  kept;

    rc = phota_kept_read(c, txn, scope, digest, &kept);

    if (rc == 0 && kept.refs == 0) {

        /* as if it were alive, then its garbage is gone as well */

        rc = phota_cache_revive(c, txn, totals, scope, &kept);
    }

    if (rc == 0) {
        totals->pictures = phota_cache_less(totals->pictures, 1);
        totals->bytes = phota_cache_less(totals->bytes,
                                  phota_picture_size(kept.picture.length));

    } else if (rc != MDB_NOTFOUND && rc != MDB_CORRUPTED) {
        return rc;
    }

    rc = phota_cache_drop_chunks(c, txn, scope, digest, NULL);

    return (rc == 0) ? phota_cache_drop_record(c, txn, scope, digest) : rc;
}


int
phota_cache_hollow(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN])
{
    int           rc;
    phota_kept_t  kept;

    rc = phota_kept_read(c, txn, scope, digest, &kept);

    if (rc != 0 || kept.refs == 0) {
        return phota_cache_drop_picture(c, txn, totals, scope, digest);
    }

    totals->bytes = phota_cache_less(totals->bytes,
                                     phota_picture_size(kept.picture.length));
    kept.picture.length = 0;

    rc = phota_cache_drop_chunks(c, txn, scope, digest, NULL);

    return (rc == 0) ? phota_kept_write(c, txn, scope, &kept) : rc;
}


/* left NULL: all of them; else at most as many, and it is lowered */

static int
phota_cache_drop_chunks(phota_cache_t *c, MDB_txn *txn, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN], unsigned *left)
{
    int          rc;
    u_char       name[PHOTA_CHUNK_KEY];
    MDB_val      key, value;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, c->chunks, &cursor);

    if (rc != 0) {
        return rc;
    }

    phota_chunk_key(name, scope, digest, 0);

    while (left == NULL || *left) {
        key.mv_data = name;
        key.mv_size = sizeof(name);

        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

        if (rc != 0 || key.mv_size < PHOTA_PICTURE_KEY
            || memcmp(key.mv_data, name, PHOTA_PICTURE_KEY) != 0)
        {
            break;
        }

        rc = mdb_cursor_del(cursor, 0);

        if (rc != 0) {
            break;
        }

        if (left != NULL) {
            (*left)--;
        }
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


static int
phota_cache_drop_record(phota_cache_t *c, MDB_txn *txn, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN])
{
    int      rc;
    u_char   name[PHOTA_PICTURE_KEY];
    MDB_val  key;

    phota_picture_key(name, scope, digest);

    key.mv_data = name;
    key.mv_size = sizeof(name);

    rc = mdb_del(txn, c->pictures, &key, NULL);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}
