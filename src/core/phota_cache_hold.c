
/*
 * A new result's hold on its pictures.  Those that are there already are held
 * once more; the others are written, in chunks that are filled where they lie,
 * and must turn out to be what was digested when the answer was taken apart.
 */


#include <string.h>

#include "phota_cache_record.h"
#include "phota_record.h"


typedef struct {
    phota_cache_t           *cache;
    MDB_txn                 *txn;
    phota_cache_totals_t    *totals;
    const phota_result_t    *result;
    uint32_t                 scope;
    const phota_unpacked_t  *unpacked;
    phota_read_pt            read;
    void                    *ctx;
    uint32_t                 wanted;        /* a bit for each picture */
    uint32_t                 written;
    int                      rc;

    /* the picture that is being written, NULL: none is */

    const phota_picture_t   *picture;
    uint64_t                 sum;           /* of its bytes so far */
    uint32_t                 index;
    u_char                  *chunk;         /* in a page of txn, or NULL */
    size_t                   len;
    size_t                   filled;
} phota_hold_t;


static int phota_hold_one(phota_hold_t *hold, unsigned i);
static int phota_hold_pictures(phota_hold_t *hold);
static int phota_hold_piece(void *ctx, unsigned picture, const u_char *p,
    size_t n);
static int phota_hold_bytes(phota_hold_t *hold, const u_char *p, size_t n);
static int phota_hold_chunk(phota_hold_t *hold);
static int phota_hold_end_picture(phota_hold_t *hold);


int
phota_cache_hold(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, const phota_result_t *result,
    const phota_unpacked_t *unpacked, phota_read_pt read, void *ctx,
    uint32_t *written)
{
    int           rc;
    unsigned      i;
    phota_hold_t  hold;

    memset(&hold, 0, sizeof(phota_hold_t));

    hold.cache = c;
    hold.txn = txn;
    hold.totals = totals;
    hold.result = result;
    hold.scope = result->scope;
    hold.unpacked = unpacked;
    hold.read = read;
    hold.ctx = ctx;

    for (i = 0; i < result->npictures; i++) {

        if (phota_result_repeats(result, i)) {
            continue;
        }

        rc = phota_hold_one(&hold, i);

        if (rc != 0) {
            return rc;
        }
    }

    rc = hold.wanted ? phota_hold_pictures(&hold) : 0;

    *written = hold.written;

    return rc;
}


/* one reference for a result, however often the picture is in it */

static int
phota_hold_one(phota_hold_t *hold, unsigned i)
{
    int                     rc;
    phota_kept_t            kept;
    phota_cache_t          *c;
    const phota_picture_t  *picture;

    c = hold->cache;
    picture = &hold->result->pictures[i];

    rc = phota_kept_read(c, hold->txn, hold->scope, picture->digest, &kept);

    if (rc == MDB_CORRUPTED) {
        rc = phota_cache_drop_picture(c, hold->txn, hold->totals, hold->scope,
                                      picture->digest);

        rc = (rc == 0) ? MDB_NOTFOUND : rc;
    }

    if (rc == 0 && kept.refs == 0) {
        rc = phota_cache_revive(c, hold->txn, hold->totals, hold->scope, &kept);

    } else if (rc == MDB_NOTFOUND) {
        memset(&kept, 0, sizeof(phota_kept_t));
        hold->totals->pictures++;
        rc = 0;
    }

    if (rc != 0) {
        return rc;
    }

    kept.refs++;
    kept.due = 0;

    if (kept.picture.length != picture->length
        || !phota_cache_whole(c, hold->txn, hold->scope, picture))
    {
        hold->wanted |= 1u << i;
        hold->totals->bytes += phota_picture_size(picture->length);
        hold->totals->bytes = phota_cache_less(hold->totals->bytes,
                                  phota_picture_size(kept.picture.length));
    }

    kept.picture = *picture;

    return phota_kept_write(c, hold->txn, hold->scope, &kept);
}


/* the bytes of those that are wanted */

static int
phota_hold_pictures(phota_hold_t *hold)
{
    int  rc;

    rc = phota_unpack_pictures(phota_result_kind(hold->result), hold->read,
                               hold->ctx, hold->unpacked->length,
                               phota_hold_piece, hold);

    if (rc == PHOTA_OK) {
        rc = phota_hold_end_picture(hold);
    }

    if (hold->rc != 0) {
        return hold->rc;
    }

    if (rc == PHOTA_ERROR) {
        return PHOTA_CACHE_UNREAD;
    }

    return (rc == PHOTA_OK && hold->written == hold->wanted)
           ? 0 : PHOTA_CACHE_CHANGED;
}


static int
phota_hold_piece(void *ctx, unsigned picture, const u_char *p, size_t n)
{
    phota_hold_t           *hold = ctx;
    const phota_picture_t  *next;

    if (picture >= hold->result->npictures) {
        hold->rc = PHOTA_CACHE_CHANGED;
        return PHOTA_ERROR;
    }

    next = &hold->result->pictures[picture];

    if (hold->picture != NULL && next != hold->picture
        && phota_hold_end_picture(hold) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    if (!(hold->wanted & 1u << picture)) {
        return PHOTA_OK;
    }

    if (hold->picture == NULL) {
        hold->picture = next;
        hold->sum = 0;
        hold->index = 0;
    }

    hold->sum = phota_picture_sum(hold->sum, p, n);

    return phota_hold_bytes(hold, p, n);
}


static int
phota_hold_bytes(phota_hold_t *hold, const u_char *p, size_t n)
{
    size_t  size;

    while (n) {

        if (hold->chunk == NULL) {
            hold->rc = phota_hold_chunk(hold);

            if (hold->rc != 0) {
                return PHOTA_ERROR;
            }
        }

        size = hold->len - hold->filled;
        size = (n < size) ? n : size;

        memcpy(hold->chunk + hold->filled, p, size);

        hold->filled += size;
        p += size;
        n -= size;

        if (hold->filled == hold->len) {
            phota_put_le(hold->chunk + hold->len,
                         phota_chunk_sum(hold->scope, hold->picture->digest,
                                         hold->index, hold->chunk,
                                         hold->len),
                         PHOTA_CHUNK_SUM);
            hold->chunk = NULL;
            hold->index++;
        }
    }

    return PHOTA_OK;
}


/* filled where it lies: nothing else is put until it is full */

static int
phota_hold_chunk(phota_hold_t *hold)
{
    int      rc;
    u_char   name[PHOTA_CHUNK_KEY];
    MDB_val  key, value;

    hold->len = phota_cache_chunk_len(hold->picture, hold->index);
    hold->filled = 0;

    if (hold->len == 0) {
        return PHOTA_CACHE_CHANGED;
    }

    phota_chunk_key(name, hold->scope, hold->picture->digest, hold->index);

    key.mv_data = name;
    key.mv_size = sizeof(name);
    value.mv_data = NULL;
    value.mv_size = hold->len + PHOTA_CHUNK_SUM;

    rc = mdb_put(hold->txn, hold->cache->chunks, &key, &value, MDB_RESERVE);

    if (rc == 0) {
        hold->chunk = value.mv_data;
    }

    return rc;
}


static int
phota_hold_end_picture(phota_hold_t *hold)
{
    size_t  i;

    if (hold->picture == NULL) {
        return PHOTA_OK;
    }

    i = (size_t) (hold->picture - hold->result->pictures);

    if (hold->chunk != NULL
        || phota_cache_chunk_len(hold->picture, hold->index) != 0
        || hold->sum != hold->unpacked->sums[i])
    {
        hold->rc = PHOTA_CACHE_CHANGED;
        return PHOTA_ERROR;
    }

    hold->written |= 1u << i;
    hold->picture = NULL;

    return PHOTA_OK;
}
