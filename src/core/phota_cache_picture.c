
/*
 * Stored pictures: whether one is there, its chunks, and whether they are what
 * was stored.  What is damaged counts as absent.  Also what the cache's tables
 * hold in all, counted.
 */


#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <openssl/evp.h>

#include "phota_cache_record.h"
#include "phota_record.h"


#define PHOTA_PROVE_BATCH  16       /* chunks in one transaction */


static int phota_cache_prove_run(phota_cache_t *c, uint32_t scope,
    const phota_picture_t *picture, EVP_MD_CTX *md, phota_error_t *err);
static int phota_cache_prove_some(phota_cache_t *c, MDB_txn *txn,
    uint32_t scope, const phota_picture_t *picture, uint32_t index,
    EVP_MD_CTX *md);
static int phota_totals_add(phota_cache_t *c, phota_cache_totals_t *totals,
    MDB_dbi dbi, const MDB_val *key, const MDB_val *value);


int
phota_cache_picture(phota_cache_t *c, MDB_txn *txn, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN], phota_picture_t *picture)
{
    phota_kept_t  kept;

    if (phota_kept_read(c, txn, scope, digest, &kept) != 0 || kept.refs == 0
        || !phota_cache_whole(c, txn, scope, &kept.picture))
    {
        return PHOTA_DECLINED;
    }

    picture->length = kept.picture.length;
    picture->type = kept.picture.type;

    memmove(picture->digest, digest, PHOTA_SHA256_LEN);

    return PHOTA_OK;
}


int
phota_cache_whole(phota_cache_t *c, MDB_txn *txn, uint32_t scope,
    const phota_picture_t *picture)
{
    size_t         len;
    uint32_t       last;
    const u_char  *p;

    if (picture->length == 0) {
        return 0;
    }

    last = (uint32_t) ((picture->length - 1) / PHOTA_CHUNK);

    return phota_cache_chunk(c, txn, scope, picture, 0, &p, &len) == PHOTA_OK
           && (last == 0
               || phota_cache_chunk(c, txn, scope, picture, last, &p, &len)
                  == PHOTA_OK);
}


uint32_t
phota_cache_chunk_len(const phota_picture_t *picture, uint32_t index)
{
    uint64_t  offset;

    offset = (uint64_t) index * PHOTA_CHUNK;

    if (offset >= picture->length) {
        return 0;
    }

    return (picture->length - offset > PHOTA_CHUNK)
           ? PHOTA_CHUNK : (uint32_t) (picture->length - offset);
}


int
phota_cache_chunk(phota_cache_t *c, MDB_txn *txn, uint32_t scope,
    const phota_picture_t *picture, uint32_t index, const u_char **p,
    size_t *len)
{
    u_char    name[PHOTA_CHUNK_KEY];
    MDB_val   key, value;
    uint32_t  want;

    want = phota_cache_chunk_len(picture, index);

    if (want == 0) {
        return PHOTA_DECLINED;
    }

    phota_chunk_key(name, scope, picture->digest, index);

    key.mv_data = name;
    key.mv_size = sizeof(name);

    if (mdb_get(txn, c->chunks, &key, &value) != 0
        || value.mv_size != want + PHOTA_CHUNK_SUM)
    {
        return PHOTA_DECLINED;
    }

    *p = value.mv_data;
    *len = want;

    return PHOTA_OK;
}


int
phota_cache_sound(uint32_t scope, const phota_picture_t *picture,
    uint32_t index, const u_char *p, size_t len)
{
    return (phota_get_le(p + len, PHOTA_CHUNK_SUM)
            == phota_chunk_sum(scope, picture->digest, index, p, len))
           ? PHOTA_OK : PHOTA_DECLINED;
}


void
phota_cache_ahead(const u_char *p, size_t len)
{
    u_char  *start;

    start = (u_char *) ((uintptr_t) p
                        & ~((uintptr_t) sysconf(_SC_PAGESIZE) - 1));

    /* where it isn't taken, pages come one by one */

    (void) madvise(start, (size_t) (p + len + PHOTA_CHUNK_SUM - start),
                   MADV_WILLNEED);
}


int
phota_cache_prove(phota_cache_t *c, uint32_t scope,
    const phota_picture_t *picture, phota_error_t *err)
{
    int          rc;
    u_char       digest[PHOTA_SHA256_LEN];
    EVP_MD_CTX  *md;

    md = EVP_MD_CTX_new();

    if (md == NULL || !EVP_DigestInit_ex(md, EVP_sha256(), NULL)) {
        EVP_MD_CTX_free(md);
        phota_error(err, "no memory");
        return PHOTA_ERROR;
    }

    rc = phota_cache_prove_run(c, scope, picture, md, err);

    if (rc == PHOTA_OK) {

        if (!EVP_DigestFinal_ex(md, digest, NULL)) {
            phota_error(err, "a picture can't be hashed");
            rc = PHOTA_ERROR;

        } else if (memcmp(digest, picture->digest, PHOTA_SHA256_LEN) != 0) {
            phota_error(err, "a picture isn't the one that was stored");
            rc = PHOTA_DECLINED;
        }
    }

    EVP_MD_CTX_free(md);

    return rc;
}


/* a transaction for every megabyte: a slow disk is to keep no pages from use */

static int
phota_cache_prove_run(phota_cache_t *c, uint32_t scope,
    const phota_picture_t *picture, EVP_MD_CTX *md, phota_error_t *err)
{
    int       rc;
    MDB_txn  *txn;
    uint32_t  index;

    for (index = 0;
         phota_cache_chunk_len(picture, index) != 0;
         index += PHOTA_PROVE_BATCH)
    {
        if (phota_store_begin(c->store, 0, &txn, err) != PHOTA_OK) {
            return PHOTA_ERROR;
        }

        rc = phota_cache_prove_some(c, txn, scope, picture, index, md);

        phota_store_abort(txn);

        if (rc != PHOTA_OK) {
            phota_error(err, "a chunk of a picture is damaged or gone");
            return rc;
        }
    }

    return PHOTA_OK;
}


static int
phota_cache_prove_some(phota_cache_t *c, MDB_txn *txn, uint32_t scope,
    const phota_picture_t *picture, uint32_t index, EVP_MD_CTX *md)
{
    size_t         len;
    uint32_t       i, end;
    const u_char  *p;

    end = index + PHOTA_PROVE_BATCH;

    for (i = index; i < end; i++) {
        if (phota_cache_chunk(c, txn, scope, picture, i, &p, &len) == PHOTA_OK)
        {
            phota_cache_ahead(p, len);
        }
    }

    for ( /* void */ ; index < end; index++) {

        if (phota_cache_chunk_len(picture, index) == 0) {
            return PHOTA_OK;
        }

        if (phota_cache_chunk(c, txn, scope, picture, index, &p, &len)
            != PHOTA_OK
            || phota_cache_sound(scope, picture, index, p, len) != PHOTA_OK
            || !EVP_DigestUpdate(md, p, len))
        {
            return PHOTA_DECLINED;
        }
    }

    return PHOTA_OK;
}


int
phota_totals_count(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals)
{
    int          rc;
    size_t       i;
    MDB_val      key, value;
    MDB_cursor  *cursor;

    const MDB_dbi  tables[] = { c->results, c->pictures };

    memset(totals, 0, sizeof(phota_cache_totals_t));

    for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {

        rc = mdb_cursor_open(txn, tables[i], &cursor);

        if (rc != 0) {
            return rc;
        }

        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);

        while (rc == 0) {
            rc = phota_totals_add(c, totals, tables[i], &key, &value);

            if (rc == 0) {
                rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
            }
        }

        mdb_cursor_close(cursor);

        if (rc != MDB_NOTFOUND) {
            return rc;
        }
    }

    return 0;
}


static int
phota_totals_add(phota_cache_t *c, phota_cache_totals_t *totals, MDB_dbi dbi,
    const MDB_val *key, const MDB_val *value)
{
    u_char        digest[PHOTA_SHA256_LEN];
    uint32_t      scope;
    phota_kept_t  kept;

    if (dbi == c->results) {
        totals->results++;
        totals->bytes += phota_result_size(value->mv_size);
        return 0;
    }

    if (phota_picture_key_decode(&scope, digest, key) != 0
        || phota_kept_decode(&kept, scope, digest, value) != 0)
    {
        return 0;
    }

    if (kept.refs) {
        totals->pictures++;
        totals->bytes += phota_picture_size(kept.picture.length);

    } else {
        totals->garbage += phota_picture_size(kept.picture.length);
    }

    return 0;
}
