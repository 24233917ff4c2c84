
/*
 * Bought results.  A fingerprint owns a pool of them, in the order in which
 * they were stored; each is a list of pictures, the text that was around them
 * and what was paid.  Pictures lie decoded in chunks of 16 LMDB pages, named by
 * scope and SHA-256, once in a scope however many results hold them.  The
 * environment may be deleted at any time while nothing runs; losing it costs
 * hits, never money.
 */


#ifndef _PHOTA_CACHE_H_INCLUDED_
#define _PHOTA_CACHE_H_INCLUDED_


#include "phota_picture.h"
#include "phota_store.h"
#include "phota_unpack.h"


#define PHOTA_CHUNK         65508   /* bytes of a picture in a chunk, divisible
                                       by 3: with its checksum and LMDB's page
                                       header 16 pages of 4096 */
#define PHOTA_POOL_MAX      16      /* results of one fingerprint */

#define PHOTA_BEATS         4096
#define PHOTA_BEAT_MAX      86400   /* s; who says more had another clock */


/*
 * Who sends a picture says every now and then until when it may take; what is
 * being sent is not deleted.  Seconds since 1970, by a hash of the digest, in
 * memory that all workers share; a store of 32 bits needs no lock.
 */

typedef struct {
    volatile uint32_t until[PHOTA_BEATS];
} phota_beats_t;


typedef struct {
    phota_store_t  *store;
    MDB_dbi         results;        /* fingerprint, number -> result */
    MDB_dbi         pictures;       /* scope, digest -> picture */
    MDB_dbi         chunks;         /* scope, digest, index -> bytes */
    MDB_dbi         charges;        /* charge id -> what it bought */
    MDB_dbi         order;          /* last use (ms), result id -> key */
    MDB_dbi         expiry;         /* ms, result id -> key */
    MDB_dbi         garbage;        /* due (ms), scope, digest -> bytes */
    uint64_t        max_size;       /* bytes, as they lie in the file */
    uint64_t        full;           /* ms, when making room didn't help */
    volatile uint64_t coarse;       /* ms between two touches of a result */
    phota_beats_t  *beats;          /* NULL: nobody says what he sends */
    uint64_t        evicted;        /* results, since somebody looked; what
                                       failed to commit counts as well */
    uint64_t        expired;
} phota_cache_t;


/* where a result lies: compared as bytes, no padding */

typedef struct {
    u_char           fingerprint[PHOTA_SHA256_LEN];
    u_char           number[4];     /* big-endian, from 1 */
} phota_cache_key_t;


typedef struct {
    phota_id_t       id;            /* unique; a purchase's is its charge's */
    phota_cache_key_t  key;
    u_char           origin[PHOTA_SHA256_LEN];  /* of the purchase: purges by
                                       fingerprint find it elsewhere, too */
    uint64_t         stored;        /* ms */
    uint64_t         expires;       /* ms, no hit from then on */
    uint64_t         linked;        /* ms, pictures stay until then, 0: no
                                       link was given */
    uint64_t         used;          /* ms, coarse: within a minute, or an hour
                                       while less than half the cache is full */
    uint32_t         tenant;        /* who bought it */
    uint32_t         scope;         /* whose it is: tenant or PHOTA_SHARED */
    uint32_t         status;        /* the upstream's, 200 */
    uint32_t         outputs;       /* as many as pictures */
    uint32_t         identity_low;
    uint32_t         identity_high;
    int64_t          cost;          /* micro-USD, what was paid */
    uint8_t          operation;
    char             tag[PHOTA_NAME_MAX + 1];
    char             request_id[PHOTA_REQUEST_ID_MAX + 1];

    unsigned         npictures;
    phota_picture_t  pictures[PHOTA_PICTURES_MAX];

    unsigned         nmarks;        /* profiles named or recognised */
    unsigned         unmarked:1;    /* there were more: any may be in it */
    uint64_t         marks[PHOTA_MARKS_MAX];

    /* see phota_unpacked_t; both lie in the map, valid while txn is */
    uint32_t         images_at;
    uint32_t         urls_at;
    uint32_t         counts_at;
    uint32_t         counts_len;
    uint32_t         skeleton_len;
    uint32_t         subjects_len;
    const u_char    *skeleton;
    const u_char    *subjects;
} phota_result_t;


/* one result to store; several may hold the same pictures */

typedef struct {
    u_char           fingerprint[PHOTA_SHA256_LEN];
    uint64_t         since;         /* ms: results of this pool that were
                                       stored before go, 0: none do */
    phota_result_t   result;
    uint32_t         written;       /* a bit for each picture whose bytes were
                                       written, and not there already */
} phota_deposit_t;


/* an answer that was bought, and what is to be stored of it */

typedef struct {
    phota_deposit_t         *deposits;
    unsigned                 ndeposits;
    unsigned                 bought;
    const phota_unpacked_t  *unpacked;
    phota_read_pt            read;
    void                    *ctx;
} phota_bought_t;


typedef int (*phota_result_pt)(void *ctx, const phota_result_t *result);


static inline volatile uint32_t *
phota_beat_slot(phota_beats_t *beats, const u_char digest[PHOTA_SHA256_LEN])
{
    return &beats->until[((unsigned) digest[0] << 8 | digest[1])
                         % PHOTA_BEATS];
}


/* that a slot's pictures may be being sent, until some second at least */

static inline void
phota_beat_at(volatile uint32_t *slot, uint32_t until)
{
    if (*slot < until || *slot - until > PHOTA_BEAT_MAX) {
        *slot = until;
    }
}


static inline void
phota_beat(phota_beats_t *beats, const u_char digest[PHOTA_SHA256_LEN],
    uint32_t until)
{
    phota_beat_at(phota_beat_slot(beats, digest), until);
}


/* beats NULL: as for one that nobody sends with */
int phota_cache_open(phota_cache_t *c, phota_store_t *store,
    uint64_t max_size, phota_beats_t *beats, phota_error_t *err);

/* address space for a cache of that size, for phota_store_open() */
size_t phota_cache_map(uint64_t max_size);

/*
 * The results of a pool that live at now (ms) and were stored at since or
 * later, oldest first, at most PHOTA_POOL_MAX; *n: how many, 0 when there are
 * none.  Damaged ones are left out, and counted in *damaged: the caller has
 * phota_cache_mend() see to them.
 */
int phota_cache_pool(phota_cache_t *c, MDB_txn *txn,
    const u_char fingerprint[PHOTA_SHA256_LEN], uint64_t now, uint64_t since,
    phota_result_t *results, unsigned *n, unsigned *damaged);

/*
 * A picture's record and both ends of its chunks, which go from first to last.
 * Fills length and type.  PHOTA_DECLINED when it isn't there whole.
 */
int phota_cache_picture(phota_cache_t *c, MDB_txn *txn, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN], phota_picture_t *picture);

/* bytes of chunk number index of a picture, 0 behind its end */
uint32_t phota_cache_chunk_len(const phota_picture_t *picture,
    uint32_t index);

/*
 * Where that chunk's bytes lie in the map, valid while txn is.  PHOTA_DECLINED
 * when it is gone or has not the length that it must have.  Nothing of it is
 * read: it may be on the disk.
 */
int phota_cache_chunk(phota_cache_t *c, MDB_txn *txn, uint32_t scope,
    const phota_picture_t *picture, uint32_t index, const u_char **p,
    size_t *len);

/*
 * Holds a chunk's bytes against the checksum that lies behind them, in place:
 * p and len as phota_cache_chunk() gave them.  PHOTA_DECLINED when they differ.
 */
int phota_cache_sound(uint32_t scope, const phota_picture_t *picture,
    uint32_t index, const u_char *p, size_t len);

/* has the kernel read a chunk's pages, all at once; it doesn't wait for them */
void phota_cache_ahead(const u_char *p, size_t len);

/*
 * Reads a whole picture, checksums and digest; own transaction.
 * PHOTA_DECLINED when it is damaged or gone.  For threads: it takes as long as
 * the disk.
 */
int phota_cache_prove(phota_cache_t *c, uint32_t scope,
    const phota_picture_t *picture, phota_error_t *err);

/*
 * What a charge bought, for recovery: known for two days, whether its result is
 * still there or not.  Fills id, stored, tenant, status, outputs, identity_low,
 * identity_high, cost and request_id; all else is zero.  PHOTA_DECLINED when
 * nothing, or its record is damaged.
 */
int phota_cache_find_charge(phota_cache_t *c, MDB_txn *txn,
    const phota_id_t *id, phota_result_t *result);

/*
 * Stores results with the pictures of one answer, own transactions: first makes
 * room, then writes everything in one.  unpacked: what phota_unpack() found in
 * it; read and ctx: the answer once more.  Of each deposit the caller fills
 * fingerprint, since, and of its result id, origin, expires, linked, tenant,
 * scope, status, identity_low, identity_high, cost, operation, tag, request_id
 * and the marks of profiles that were named; all else is set here, number,
 * written and stored too (stored only if it is 0).  bought: of which deposit a
 * record stays for recovery, by the id that is its charge's.
 *
 * PHOTA_OK also when a result of this id is there already; PHOTA_DECLINED when
 * it is larger than the cache, or this is full of what is being sent;
 * PHOTA_ERROR when read fails, doesn't give what it gave before, or LMDB fails.
 * Where the map is full the oldest quarter goes, once: when that doesn't help,
 * not again for a minute.
 *
 * What leaves a pool because of since, its age or PHOTA_POOL_MAX is no hit
 * from then on; its pictures stay while links to them live, and ten seconds at
 * least.
 */
int phota_cache_store(phota_cache_t *c, phota_deposit_t *deposits,
    unsigned ndeposits, unsigned bought, const phota_unpacked_t *unpacked,
    phota_read_pt read, void *ctx, phota_error_t *err);

/*
 * The same for several answers in one transaction, as long as nothing has to go
 * for them.  PHOTA_DECLINED: it has, or something is wrong with one; nothing
 * was stored then, and each has to be by itself.
 */
int phota_cache_store_together(phota_cache_t *c, phota_bought_t *all,
    unsigned n);

/* that a result was used, and that links to its pictures live until linked */

typedef struct {
    phota_cache_key_t  key;
    phota_id_t         id;
    uint64_t           linked;      /* ms, 0: none was given */
} phota_use_t;

/* moves used results to the young end; durable with the next commit */
int phota_cache_touch(phota_cache_t *c, const phota_use_t *uses, unsigned n,
    uint64_t now, phota_error_t *err);

/*
 * Removes what is damaged: of a pool the results that can't be read or whose
 * pictures aren't whole, by their records; and a picture (NULL: none) with its
 * chunks, so that the next who brings it stores it anew.
 */
int phota_cache_mend(phota_cache_t *c,
    const u_char fingerprint[PHOTA_SHA256_LEN], uint32_t scope,
    const phota_picture_t *picture, phota_error_t *err);

/*
 * One bounded batch of background work: expired results, garbage that is due
 * and that nobody sends, the least recently used when over max_size, records of
 * what charges of more than two days ago bought.  *more is set when there is
 * work left that can be done at once.
 */
int phota_cache_sweep(phota_cache_t *c, uint64_t now, int *more,
    phota_error_t *err);


typedef struct {
    uint64_t         results;
    uint64_t         pictures;      /* that results hold */
    uint64_t         bytes;         /* of both, in pages */
    uint64_t         garbage;       /* bytes that wait to be deleted */
} phota_cache_totals_t;

int phota_cache_stats(phota_cache_t *c, phota_cache_totals_t *totals,
    phota_error_t *err);


/* phota_cache_purge.c */

/* what all of it must be so that a result goes; {0}: every result */

typedef struct {
    uint32_t         tenant;        /* who bought it; 0: anyone */
    uint64_t         before;        /* ms, stored before; 0: whenever */
    const u_char    *fingerprint;   /* of it or its purchase, NULL: any */
    const char      *tag;           /* NULL: any */
    unsigned         profile:1;     /* named or recognised mark */
    uint64_t         mark;
} phota_purge_t;

/*
 * In short transactions, each a bounded batch; it can be broken off and begun
 * again.  From the first on no hit shows what it removed; bytes are deleted as
 * soon as nobody sends them.  *results: how many went.  PHOTA_REFUSED when the
 * environment was replaced meanwhile: open it again and begin anew.
 */
int phota_cache_purge(phota_cache_t *c, const phota_purge_t *purge,
    uint64_t *results, phota_error_t *err);

/*
 * All results, or those of a tenant (0: all), in order of their keys; no
 * transaction is open during the calls and text pointers are valid in them.
 */
int phota_cache_each(phota_cache_t *c, uint32_t tenant,
    phota_result_pt handler, void *ctx, phota_error_t *err);

/* phota_cache_check.c */

typedef struct {
    uint64_t         results;
    uint64_t         pictures;
    uint64_t         chunks;
    uint64_t         bytes;         /* of pictures */
    uint64_t         damaged;       /* results and pictures */
    uint64_t         removed;
    uint64_t         counters;      /* totals and references that were wrong */
} phota_cache_report_t;

/* one sentence about something wrong */
typedef void (*phota_damage_pt)(void *ctx, const char *what);

/*
 * Reads everything there is: records, references, every byte of every picture.
 * mend: removes what is damaged and puts counters right.  PHOTA_OK when all is
 * sound (or has been mended), PHOTA_INVALID when not, PHOTA_REFUSED when what
 * was mended had been replaced.
 */
int phota_cache_check(phota_cache_t *c, int mend, phota_cache_report_t *report,
    phota_damage_pt handler, void *ctx, phota_error_t *err);

/* phota_cache_compact.c */

/*
 * Writes what lives, and nothing else, into a new environment beside the old
 * one and puts it in its place; what was deleted is in no file afterwards.
 * dir: the data directory.  Works beside a running nginx: stores wait
 * meanwhile, hits don't, workers notice within a second that it has been
 * replaced.
 * before, after: bytes of the files.  The new ones belong to whom the directory
 * belongs.
 */
int phota_cache_compact(const char *dir, uint64_t *before, uint64_t *after,
    phota_error_t *err);

#endif /* _PHOTA_CACHE_H_INCLUDED_ */
