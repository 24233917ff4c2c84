
/*
 * How results and pictures lie in their tables, the keys of the other tables,
 * and what the cache's own files share.  Only they know it.  Functions return
 * MDB codes: MDB_NOTFOUND when there is no record, MDB_CORRUPTED when it is
 * damaged.
 */


#ifndef _PHOTA_CACHE_RECORD_H_INCLUDED_
#define _PHOTA_CACHE_RECORD_H_INCLUDED_


#include <string.h>

#include "phota_cache.h"


#define PHOTA_RESULT_MAX   (PHOTA_SKELETON_MAX + PHOTA_SUBJECTS_MAX + 2048)
#define PHOTA_MOMENT_LEN   (8 + sizeof(phota_id_t))
#define PHOTA_PICTURE_KEY  (4 + PHOTA_SHA256_LEN)
#define PHOTA_CHUNK_KEY    (PHOTA_PICTURE_KEY + 4)
#define PHOTA_GARBAGE_KEY  (8 + PHOTA_PICTURE_KEY)
#define PHOTA_CHUNK_SUM    8        /* bytes behind those of a chunk */

#define PHOTA_CACHE_BATCH  64       /* of each kind of work in one pass */
#define PHOTA_CACHE_SLACK  16       /* part of the cache that is kept free */
#define PHOTA_CACHE_GRACE  (10 * 1000)      /* ms that garbage waits */

/* ms between two touches of a result; RARE: while nothing is evicted soon */

#define PHOTA_CACHE_COARSE (60 * 1000)
#define PHOTA_CACHE_RARE   (3600 * 1000)


/* beside LMDB's own codes */

#define PHOTA_CACHE_UNREAD  (-20010)        /* the answer can't be read */
#define PHOTA_CACHE_CHANGED (-20011)        /* it isn't what it was */


/* keys of order and expiry; their values are keys of results */

typedef struct {
    uint64_t        time;
    phota_id_t      id;
} phota_moment_t;


/* a picture as it is stored */

typedef struct {
    phota_picture_t picture;        /* prefixed is a result's affair; length
                                       0: its chunks are lost, and its bytes
                                       count no more */
    uint64_t        refs;           /* results that hold it, each once however
                                       often it is in one; 0: garbage */
    uint64_t        due;            /* ms, of its garbage entry if refs is 0 */
} phota_kept_t;


static inline uint64_t
phota_cache_less(uint64_t n, uint64_t less)
{
    return (n > less) ? n - less : 0;
}


/*
 * What may stay when room is made: less than max_size, for pages that were
 * freed aren't used again by the next transaction.
 */

static inline uint64_t
phota_cache_low(const phota_cache_t *c)
{
    return c->max_size - c->max_size / PHOTA_CACHE_SLACK;
}


static inline void
phota_cache_weigh(phota_cache_t *c, const phota_cache_totals_t *totals)
{
    c->coarse = (totals->bytes < c->max_size / 2) ? PHOTA_CACHE_RARE
                                                  : PHOTA_CACHE_COARSE;
}


static inline int
phota_pool_left(const phota_cache_key_t *key)
{
    return (key->number[0] & 0x80) != 0;
}


static inline void
phota_pool_leave(phota_cache_key_t *key)
{
    key->number[0] |= 0x80;
}


/* when its entry in the expiry index is due */

static inline uint64_t
phota_result_until(const phota_result_t *result)
{
    return (result->linked > result->expires) ? result->linked
                                              : result->expires;
}


/* of which kind of answer a result is */

static inline phota_answer_e
phota_result_kind(const phota_result_t *result)
{
    return (result->urls_at == 0) ? PHOTA_ANSWER_BODY : PHOTA_ANSWER_IMAGES;
}


/* 1 when a picture of a result stands in it once more before */

static inline int
phota_result_repeats(const phota_result_t *result, unsigned picture)
{
    unsigned  i;

    for (i = 0; i < picture; i++) {

        if (memcmp(result->pictures[i].digest,
                   result->pictures[picture].digest, PHOTA_SHA256_LEN) == 0)
        {
            return 1;
        }
    }

    return 0;
}


void phota_moment_encode(u_char buf[PHOTA_MOMENT_LEN],
    const phota_moment_t *moment);
int phota_moment_decode(phota_moment_t *moment, const MDB_val *key);

/* the value of order and expiry */
int phota_cache_key_decode(phota_cache_key_t *key, const MDB_val *value);

/* a result's length in the file, in whole pages as far as it has its own */
uint64_t phota_result_size(size_t len);

/* a picture's length in the file: its chunks, in whole pages */
uint64_t phota_picture_size(uint64_t length);

void phota_picture_key(u_char buf[PHOTA_PICTURE_KEY], uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN]);
int phota_picture_key_decode(uint32_t *scope,
    u_char digest[PHOTA_SHA256_LEN], const MDB_val *key);
void phota_chunk_key(u_char buf[PHOTA_CHUNK_KEY], uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN], uint32_t index);
void phota_garbage_key(u_char buf[PHOTA_GARBAGE_KEY], uint64_t due,
    uint32_t scope, const u_char digest[PHOTA_SHA256_LEN]);

/* key is part of the checksum: a record counts in its place only */
int phota_result_encode(const phota_result_t *result, u_char *buf,
    size_t *len);
int phota_result_decode(phota_result_t *result, const phota_cache_key_t *key,
    const MDB_val *value);
int phota_result_read(phota_cache_t *c, MDB_txn *txn,
    const phota_cache_key_t *key, phota_result_t *result);
int phota_result_write(phota_cache_t *c, MDB_txn *txn,
    const phota_result_t *result);

int phota_kept_decode(phota_kept_t *kept, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN], const MDB_val *value);
int phota_kept_read(phota_cache_t *c, MDB_txn *txn, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN], phota_kept_t *kept);
int phota_kept_write(phota_cache_t *c, MDB_txn *txn, uint32_t scope,
    const phota_kept_t *kept);

/* of a chunk's bytes, in its place */
uint64_t phota_chunk_sum(uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN], uint32_t index, const u_char *p,
    size_t len);

/* phota_cache_picture.c: 1 when both ends of its chunks are there */
int phota_cache_whole(phota_cache_t *c, MDB_txn *txn, uint32_t scope,
    const phota_picture_t *picture);

/*
 * What a charge bought: a record of its own, for who buys has to know it when
 * the result has been replaced or has gone.  MDB_KEYEXIST when there is one.
 */
int phota_bought_read(phota_cache_t *c, MDB_txn *txn, const phota_id_t *id,
    phota_result_t *result);
int phota_bought_write(phota_cache_t *c, MDB_txn *txn,
    const phota_result_t *result);

/*
 * Counted anew where they are damaged or missing.  pictures: those that results
 * hold; bytes: of these and of the results; garbage: of those with no refs.
 */
int phota_totals_read(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals);
int phota_totals_count(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals);
int phota_totals_write(phota_cache_t *c, MDB_txn *txn,
    const phota_cache_totals_t *totals);


/*
 * phota_cache_hold.c: a new result's references to its pictures; those that are
 * not there are written, read and ctx give the answer once more, of which
 * unpacked tells.  *written: a bit for each that was.
 */
int phota_cache_hold(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, const phota_result_t *result,
    const phota_unpacked_t *unpacked, phota_read_pt read, void *ctx,
    uint32_t *written);


/*
 * phota_cache.c: the records of one fingerprint in their order, MDB_NOTFOUND
 * behind the last.  Those that have left the pool come last: they are no hits
 * any more, and are kept for the links that were given to their pictures.
 */
int phota_pool_first(MDB_cursor *cursor,
    const u_char fingerprint[PHOTA_SHA256_LEN], phota_cache_key_t *key,
    MDB_val *value);
int phota_pool_next(MDB_cursor *cursor, phota_cache_key_t *key,
    MDB_val *value);


/* phota_cache_room.c: takes results out of the tables */

/*
 * At most PHOTA_CACHE_BATCH of each kind of work; limit: bytes that may stay,
 * garbage among them; *more is set when work is left that can be done at once:
 * what is being sent is none.
 */
int phota_cache_pass(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t limit, uint64_t now, int *more);

/* takes out what charges bought that are too old to be recovered */
int phota_cache_prune(phota_cache_t *c, MDB_txn *txn, uint64_t now,
    int *more);

/*
 * One result, out of all tables; its pictures lose a reference and are garbage
 * with the last.  The record under key may be damaged or gone: what can be
 * found out is done.
 */
int phota_cache_retire(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, const phota_cache_key_t *key,
    uint64_t now);

/* a result's entries in order and expiry */
int phota_cache_list(phota_cache_t *c, MDB_txn *txn,
    const phota_result_t *result);
int phota_cache_unlist(phota_cache_t *c, MDB_txn *txn,
    const phota_result_t *result);

/* those of one that has changed; tables in which it hasn't are left alone */
int phota_cache_relist(phota_cache_t *c, MDB_txn *txn,
    const phota_result_t *old, const phota_result_t *result);


/* phota_cache_garbage.c: pictures that go */

/* a result's hold on a picture; with the last it is garbage */
int phota_cache_release(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN], uint64_t now);

/*
 * Deletes garbage that was due then and that nobody sends, up to a batch of
 * chunks.  *sent: the bytes that can't go because they are being sent; *more
 * is set, or left alone.
 */
int phota_cache_collect(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint64_t due, uint64_t now, uint64_t *sent,
    int *more);

/* a picture that was garbage is held again: what it counts as, and its entry */
int phota_cache_revive(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint32_t scope, const phota_kept_t *kept);

/*
 * A picture's chunks; its record stays if results hold it, so that they are
 * still counted when somebody brings it anew.
 */
int phota_cache_hollow(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN]);

/* a picture with all its chunks, at once, whoever holds it */
int phota_cache_drop_picture(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN]);


#endif /* _PHOTA_CACHE_RECORD_H_INCLUDED_ */
