
/*
 * Checking the cache: every byte of every picture, and chunks that belong to
 * none.  Nothing is taken for damaged that nginx may just have changed: what
 * looks wrong is looked at again, under the writer's lock when it is to be
 * removed, and no transaction is longer than a picture.
 */


#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <openssl/evp.h>

#include "phota_cache_check.h"
#include "phota_order.h"


#define PHOTA_CHECK_LOOKS  512      /* keys of chunks in one transaction */


/* where a walk is: behind this key */

typedef struct {
    size_t       len;               /* 0: before the first */
    u_char       key[PHOTA_CHECK_KEY];
} phota_check_place_t;


/* a look at the picture to which chunks belong */

typedef struct {
    phota_check_place_t   place;
    phota_check_place_t   strays[PHOTA_CACHE_BATCH];
    unsigned              nstrays;
    unsigned              ended:1;
    u_char                said[PHOTA_PICTURE_KEY];
    u_char                known[PHOTA_PICTURE_KEY];
    int                   rc;       /* of known */
    phota_kept_t          kept;
} phota_check_chunks_t;


static int phota_check_pictures(phota_check_t *k);
static int phota_check_picture(phota_check_t *k,
    const phota_check_place_t *place, int rc, const phota_kept_t *kept);
static int phota_check_bytes(phota_check_t *k, uint32_t scope,
    const phota_kept_t *kept, int *sound);
static int phota_check_counts(const phota_kept_t *kept);
static int phota_check_again(phota_check_t *k, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN]);
static int phota_check_still(phota_check_t *k, MDB_txn *txn, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN], int *damaged);
static int phota_check_snapshot(phota_check_t *k, MDB_txn *txn,
    uint32_t scope, const phota_picture_t *picture, EVP_MD_CTX *md);
static int phota_check_drop(phota_check_t *k, MDB_txn *txn, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN]);
static int phota_check_chunks(phota_check_t *k);
static int phota_check_chunks_look(phota_check_t *k,
    phota_check_chunks_t *chunks);
static int phota_check_chunks_scan(phota_check_t *k,
    phota_check_chunks_t *chunks, MDB_txn *txn, MDB_cursor *cursor);
static int phota_check_stray(phota_check_t *k, phota_check_chunks_t *chunks,
    MDB_txn *txn, const MDB_val *key);
static void phota_check_stray_say(phota_check_t *k,
    phota_check_chunks_t *chunks, const MDB_val *key);
static int phota_check_chunks_mend(phota_check_t *k,
    phota_check_chunks_t *chunks);
static int phota_check_delete(phota_check_t *k, MDB_dbi dbi,
    const phota_check_place_t *place);
static int phota_check_next(const phota_check_place_t *place,
    MDB_cursor *cursor, MDB_val *key, MDB_val *value);
static void phota_check_here(phota_check_place_t *place, const MDB_val *key);


int
phota_cache_check(phota_cache_t *c, int mend, phota_cache_report_t *report,
    phota_damage_pt handler, void *ctx, phota_error_t *err)
{
    int            rc;
    uint64_t       wrong;
    phota_check_t  k;

    memset(&k, 0, sizeof(phota_check_t));
    memset(report, 0, sizeof(phota_cache_report_t));

    k.cache = c;
    k.report = report;
    k.handler = handler;
    k.ctx = ctx;
    k.err = err;
    k.now = phota_now();
    k.mend = (mend != 0);

    rc = phota_check_pictures(&k);

    if (rc == PHOTA_OK) {
        rc = phota_check_chunks(&k);
    }

    wrong = k.wrong;

    /* results whose pictures have just gone are found there */

    if (rc == PHOTA_OK) {
        rc = phota_check_records(&k);
    }

    wrong += k.wrong;

    if (rc != PHOTA_OK) {
        return rc;
    }

    if (wrong != 0 && mend && phota_store_moved(c->store)) {
        phota_error(err, "\"%.160s\" was replaced meanwhile: run it again",
                    c->store->path);
        return PHOTA_REFUSED;
    }

    if (wrong != 0 && !mend) {
        phota_error(err, "\"%.160s\": %llu things are wrong", c->store->path,
                    (unsigned long long) wrong);
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


void
phota_check_say(phota_check_t *k, const char *fmt, ...)
{
    char     text[256];
    va_list  args;

    k->wrong++;

    if (k->silent || k->handler == NULL) {
        return;
    }

    va_start(args, fmt);
    (void) vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    k->handler(k->ctx, text);
}


void
phota_check_picture_name(char buf[PHOTA_CHECK_NAME], uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN])
{
    char  hex[2 * PHOTA_SHA256_LEN + 1];

    phota_hex_format(hex, digest, PHOTA_SHA256_LEN);
    (void) snprintf(buf, PHOTA_CHECK_NAME, "picture %u/%s", (unsigned) scope,
                    hex);
}


void
phota_check_result_name(char buf[PHOTA_CHECK_NAME],
    const phota_cache_key_t *key)
{
    char  hex[2 * PHOTA_SHA256_LEN + 1];

    phota_hex_format(hex, key->fingerprint, PHOTA_SHA256_LEN);
    (void) snprintf(buf, PHOTA_CHECK_NAME, "result %s/%u", hex,
                    (unsigned) phota_get_be(key->number, 4));
}


int
phota_check_fail(phota_check_t *k, int rc)
{
    return phota_store_fail(k->err, k->cache->store->path, rc);
}


/* one after the other: reading one may take as long as the disk */

static int
phota_check_pictures(phota_check_t *k)
{
    int                   rc, n;
    MDB_val               key, value;
    MDB_txn              *txn;
    uint32_t              scope;
    uint64_t              done;
    MDB_stat              st;
    MDB_cursor           *cursor;
    phota_kept_t          kept;
    phota_check_place_t   place;

    place.len = 0;
    done = 0;

    for ( ;; ) {

        if (phota_store_begin(k->cache->store, 0, &txn, k->err) != PHOTA_OK) {
            return PHOTA_ERROR;
        }

        if (mdb_stat(txn, k->cache->pictures, &st) == 0) {
            phota_working("checking", done++, st.ms_entries);
        }

        n = MDB_CORRUPTED;

        rc = mdb_cursor_open(txn, k->cache->pictures, &cursor);

        if (rc == 0) {
            rc = phota_check_next(&place, cursor, &key, &value);

            if (rc == 0) {
                phota_check_here(&place, &key);

                if (key.mv_size == PHOTA_PICTURE_KEY) {
                    scope = (uint32_t) phota_get_be(place.key, 4);
                    n = phota_kept_decode(&kept, scope, place.key + 4,
                                          &value);
                }
            }

            mdb_cursor_close(cursor);
        }

        phota_store_abort(txn);

        if (rc != 0) {
            return (rc == MDB_NOTFOUND) ? PHOTA_OK : phota_check_fail(k, rc);
        }

        if (phota_check_picture(k, &place, n, &kept) != PHOTA_OK) {
            return PHOTA_ERROR;
        }
    }
}


/* rc: of decoding its record */

static int
phota_check_picture(phota_check_t *k, const phota_check_place_t *place,
    int rc, const phota_kept_t *kept)
{
    int       sound;
    uint32_t  scope;

    if (place->len != PHOTA_PICTURE_KEY) {
        phota_check_say(k, "a picture's record has a key that is none");
        return phota_check_delete(k, k->cache->pictures, place);
    }

    scope = (uint32_t) phota_get_be(place->key, 4);
    sound = 0;

    k->report->pictures++;

    if (rc == 0) {
        k->report->bytes += kept->picture.length;

        if (phota_check_bytes(k, scope, kept, &sound) != PHOTA_OK) {
            return PHOTA_ERROR;
        }
    }

    return sound ? PHOTA_OK : phota_check_again(k, scope, place->key + 4);
}


/* one after the other its chunks are read, and it may change meanwhile */

static int
phota_check_bytes(phota_check_t *k, uint32_t scope, const phota_kept_t *kept,
    int *sound)
{
    int  rc;

    *sound = 1;

    if (!phota_check_counts(kept)) {
        return PHOTA_OK;
    }

    rc = phota_cache_prove(k->cache, scope, &kept->picture, k->err);

    if (rc == PHOTA_DECLINED) {
        *sound = 0;
        rc = PHOTA_OK;
    }

    return rc;
}


/* garbage may be half deleted, and what has lost its chunks has none */

static int
phota_check_counts(const phota_kept_t *kept)
{
    return kept->refs != 0 && kept->picture.length != 0;
}


/* with the writer's lock, if it is to be mended: nothing changes any more */

static int
phota_check_again(phota_check_t *k, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN])
{
    int       rc, damaged;
    char      name[PHOTA_CHECK_NAME];
    MDB_txn  *txn;

    if (phota_store_begin(k->cache->store, k->mend, &txn, k->err) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    rc = phota_check_still(k, txn, scope, digest, &damaged);

    if (rc != PHOTA_OK || !damaged) {
        phota_store_abort(txn);
        return rc;
    }

    phota_check_picture_name(name, scope, digest);
    phota_check_say(k, "%s is damaged", name);
    k->report->damaged++;

    if (!k->mend) {
        phota_store_abort(txn);
        return PHOTA_OK;
    }

    return phota_check_drop(k, txn, scope, digest);
}


/* in one snapshot: what lacks in it never came, or was lost */

static int
phota_check_still(phota_check_t *k, MDB_txn *txn, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN], int *damaged)
{
    int            rc;
    EVP_MD_CTX    *md;
    phota_kept_t   kept;

    *damaged = 0;

    rc = phota_kept_read(k->cache, txn, scope, digest, &kept);

    if (rc == MDB_CORRUPTED) {
        *damaged = 1;
        return PHOTA_OK;
    }

    if (rc != 0) {
        return (rc == MDB_NOTFOUND) ? PHOTA_OK : phota_check_fail(k, rc);
    }

    if (!phota_check_counts(&kept)) {
        return PHOTA_OK;
    }

    md = EVP_MD_CTX_new();

    if (md == NULL || !EVP_DigestInit_ex(md, EVP_sha256(), NULL)) {
        EVP_MD_CTX_free(md);
        phota_error(k->err, "no memory");
        return PHOTA_ERROR;
    }

    *damaged = !phota_check_snapshot(k, txn, scope, &kept.picture, md);

    EVP_MD_CTX_free(md);

    return PHOTA_OK;
}


static int
phota_check_snapshot(phota_check_t *k, MDB_txn *txn, uint32_t scope,
    const phota_picture_t *picture, EVP_MD_CTX *md)
{
    size_t         len;
    u_char         digest[PHOTA_SHA256_LEN];
    uint32_t       index;
    const u_char  *p;

    for (index = 0; phota_cache_chunk_len(picture, index) != 0; index++) {

        if (phota_cache_chunk(k->cache, txn, scope, picture, index, &p, &len)
            != PHOTA_OK
            || phota_cache_sound(scope, picture, index, p, len) != PHOTA_OK
            || !EVP_DigestUpdate(md, p, len))
        {
            return 0;
        }
    }

    return EVP_DigestFinal_ex(md, digest, NULL)
           && memcmp(digest, picture->digest, PHOTA_SHA256_LEN) == 0;
}


/*
 * Ends the transaction.  A record that can be read stays while results hold the
 * picture: somebody may bring its bytes before they go.
 */

static int
phota_check_drop(phota_check_t *k, MDB_txn *txn, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN])
{
    int                    rc;
    phota_kept_t           kept;
    phota_cache_t         *c;
    phota_cache_totals_t   totals;

    c = k->cache;

    rc = phota_totals_read(c, txn, &totals);

    if (rc == 0) {
        rc = (phota_kept_read(c, txn, scope, digest, &kept) == 0)
             ? phota_cache_hollow(c, txn, &totals, scope, digest)
             : phota_cache_drop_picture(c, txn, &totals, scope, digest);
    }

    if (rc == 0) {
        rc = phota_totals_write(c, txn, &totals);
    }

    if (rc != 0) {
        phota_store_abort(txn);
        return phota_check_fail(k, rc);
    }

    k->report->removed++;

    return phota_store_commit(txn, k->err);
}


static int
phota_check_chunks(phota_check_t *k)
{
    int                   rc;
    phota_check_chunks_t  chunks;

    memset(&chunks, 0, sizeof(phota_check_chunks_t));

    do {
        chunks.nstrays = 0;

        rc = phota_check_chunks_look(k, &chunks);

        if (rc == PHOTA_OK && k->mend && chunks.nstrays != 0) {
            rc = phota_check_chunks_mend(k, &chunks);
        }

    } while (rc == PHOTA_OK && !chunks.ended);

    return rc;
}


static int
phota_check_chunks_look(phota_check_t *k, phota_check_chunks_t *chunks)
{
    int          rc;
    MDB_txn     *txn;
    MDB_cursor  *cursor;

    if (phota_store_begin(k->cache->store, 0, &txn, k->err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    /* what was known of a picture was true of another snapshot */

    memset(chunks->known, 0, sizeof(chunks->known));
    chunks->rc = MDB_NOTFOUND;

    rc = mdb_cursor_open(txn, k->cache->chunks, &cursor);

    if (rc == 0) {
        rc = phota_check_chunks_scan(k, chunks, txn, cursor);
        mdb_cursor_close(cursor);
    }

    phota_store_abort(txn);

    return (rc == 0) ? PHOTA_OK : phota_check_fail(k, rc);
}


static int
phota_check_chunks_scan(phota_check_t *k, phota_check_chunks_t *chunks,
    MDB_txn *txn, MDB_cursor *cursor)
{
    int       rc;
    MDB_val   key, value;
    unsigned  n;

    rc = phota_check_next(&chunks->place, cursor, &key, &value);

    for (n = 0; rc == 0; n++) {

        if (n == PHOTA_CHECK_LOOKS || chunks->nstrays == PHOTA_CACHE_BATCH) {
            return 0;
        }

        phota_check_here(&chunks->place, &key);

        k->report->chunks++;

        if (phota_check_stray(k, chunks, txn, &key)) {
            phota_check_stray_say(k, chunks, &key);
            chunks->strays[chunks->nstrays++] = chunks->place;
        }

        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }

    if (rc == MDB_NOTFOUND) {
        chunks->ended = 1;
        return 0;
    }

    return rc;
}


/* 1 for one that no picture has; a damaged picture's are its own affair */

static int
phota_check_stray(phota_check_t *k, phota_check_chunks_t *chunks,
    MDB_txn *txn, const MDB_val *key)
{
    uint32_t       index;
    const u_char  *p;

    if (key->mv_size != PHOTA_CHUNK_KEY) {
        return 1;
    }

    p = key->mv_data;

    if (memcmp(chunks->known, p, PHOTA_PICTURE_KEY) != 0) {
        memcpy(chunks->known, p, PHOTA_PICTURE_KEY);
        chunks->rc = phota_kept_read(k->cache, txn,
                                     (uint32_t) phota_get_be(p, 4), p + 4,
                                     &chunks->kept);
    }

    if (chunks->rc != 0) {
        return chunks->rc == MDB_NOTFOUND;
    }

    index = (uint32_t) phota_get_be(p + PHOTA_PICTURE_KEY, 4);

    return phota_cache_chunk_len(&chunks->kept.picture, index) == 0;
}


/* once of each picture */

static void
phota_check_stray_say(phota_check_t *k, phota_check_chunks_t *chunks,
    const MDB_val *key)
{
    char           name[PHOTA_CHECK_NAME];
    const u_char  *p;

    if (key->mv_size != PHOTA_CHUNK_KEY) {
        phota_check_say(k, "a chunk has a key that is none");
        return;
    }

    p = key->mv_data;

    if (memcmp(chunks->said, p, PHOTA_PICTURE_KEY) == 0) {
        k->wrong++;
        return;
    }

    memcpy(chunks->said, p, PHOTA_PICTURE_KEY);

    phota_check_picture_name(name, (uint32_t) phota_get_be(p, 4), p + 4);
    phota_check_say(k, "%s: there are chunks that it doesn't have", name);
}


static int
phota_check_chunks_mend(phota_check_t *k, phota_check_chunks_t *chunks)
{
    int       rc;
    MDB_txn  *txn;
    MDB_val   key;
    unsigned  i;

    if (phota_store_begin(k->cache->store, 1, &txn, k->err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    memset(chunks->known, 0, sizeof(chunks->known));
    chunks->rc = MDB_NOTFOUND;

    rc = 0;

    for (i = 0; rc == 0 && i < chunks->nstrays; i++) {
        key.mv_data = chunks->strays[i].key;
        key.mv_size = chunks->strays[i].len;

        /* its picture may have been stored meanwhile */

        if (phota_check_stray(k, chunks, txn, &key)) {
            rc = mdb_del(txn, k->cache->chunks, &key, NULL);
            rc = (rc == MDB_NOTFOUND) ? 0 : rc;
        }
    }

    if (rc != 0) {
        phota_store_abort(txn);
        return phota_check_fail(k, rc);
    }

    k->report->removed += chunks->nstrays;

    return phota_store_commit(txn, k->err);
}


/* what can't be anything under any circumstances */

static int
phota_check_delete(phota_check_t *k, MDB_dbi dbi,
    const phota_check_place_t *place)
{
    int       rc;
    MDB_txn  *txn;
    MDB_val   key;

    if (!k->mend) {
        return PHOTA_OK;
    }

    if (phota_store_begin(k->cache->store, 1, &txn, k->err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    key.mv_data = (void *) place->key;
    key.mv_size = place->len;

    rc = mdb_del(txn, dbi, &key, NULL);

    if (rc != 0 && rc != MDB_NOTFOUND) {
        phota_store_abort(txn);
        return phota_check_fail(k, rc);
    }

    k->report->removed++;

    return phota_store_commit(txn, k->err);
}


/* an MDB code: the first behind a place, whatever its key looks like */

static int
phota_check_next(const phota_check_place_t *place, MDB_cursor *cursor,
    MDB_val *key, MDB_val *value)
{
    int  rc;

    if (place->len == 0) {
        return mdb_cursor_get(cursor, key, value, MDB_FIRST);
    }

    key->mv_data = (void *) place->key;
    key->mv_size = place->len;

    rc = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);

    if (rc == 0 && key->mv_size == place->len
        && memcmp(key->mv_data, place->key, place->len) == 0)
    {
        rc = mdb_cursor_get(cursor, key, value, MDB_NEXT);
    }

    return rc;
}


static void
phota_check_here(phota_check_place_t *place, const MDB_val *key)
{
    place->len = (key->mv_size < sizeof(place->key)) ? key->mv_size
                                                     : sizeof(place->key);
    memcpy(place->key, key->mv_data, place->len);
}
