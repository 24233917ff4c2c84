
/*
 * Writes the cache anew without what was deleted, and puts the new environment
 * in the old one's place in one step.  Whatever breaks it off, a whole
 * environment is in place, the old one or the new.
 *
 * Hits read the old one meanwhile and stores wait for its writer's lock.  Who
 * gets that lock after the exchange would write into a file that nobody will
 * read again: therefore each store asks phota_store_moved() when it has the
 * lock, and opens the environment anew if so.  That compares the file that is
 * open with the one in place and is true from the exchange on, also when
 * compact was killed right then.  The mark "moved" in the old meta table, which
 * is committed last and lets go of the lock, says the same to those who can't
 * ask the file system any more: a second compact that waited.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "phota_cache_record.h"
#include "phota_order.h"


#define PHOTA_COMPACT_BATCH  ((size_t) 32 << 20)    /* bytes in a commit */
#define PHOTA_COMPACT_PATH   1024


typedef struct {
    phota_store_t          old_store;
    phota_store_t          new_store;
    phota_cache_t          old;
    phota_cache_t          new;
    MDB_txn               *from;        /* has the writer's lock */
    MDB_txn               *to;
    int                    turn;        /* the directory, locked */
    size_t                 written;     /* bytes since the last commit */
    unsigned               exchanged:1;
    phota_error_t         *err;

    char                   place[PHOTA_COMPACT_PATH];   /* the cache's */
    char                   beside[PHOTA_COMPACT_PATH];  /* of what is made */
    char                   fresh[PHOTA_COMPACT_PATH];   /* in it, the new */
} phota_compact_t;


/* what becomes of a row: 0 to copy it, MDB_NOTFOUND to leave it out */
typedef int (*phota_compact_pt)(phota_compact_t *k, const MDB_val *key,
    MDB_val *value);


static int phota_compact_paths(phota_compact_t *k, const char *dir);
static int phota_compact_turn(phota_compact_t *k, const char *dir);
static int phota_compact_run(phota_compact_t *k, const char *dir,
    uint64_t *before, uint64_t *after);
static int phota_compact_lock(phota_compact_t *k, const char *dir);
static int phota_compact_remove(phota_compact_t *k);
static int phota_compact_unlink(phota_compact_t *k, const char *dir,
    const char *name);
static int phota_compact_try(phota_compact_t *k);
static int phota_compact_exchange(phota_compact_t *k, const char *one,
    const char *other);
static int phota_compact_create(phota_compact_t *k);
static int phota_compact_copy(phota_compact_t *k);
static int phota_compact_table(phota_compact_t *k, MDB_dbi from, MDB_dbi to,
    unsigned flags, phota_compact_pt wanted);
static int phota_compact_row(phota_compact_t *k, MDB_dbi to, unsigned flags,
    MDB_val *key, MDB_val *value);
static int phota_compact_meta(phota_compact_t *k, const MDB_val *key,
    MDB_val *value);
static int phota_compact_picture(phota_compact_t *k, const MDB_val *key,
    MDB_val *value);
static int phota_compact_chunk(phota_compact_t *k, const MDB_val *key,
    MDB_val *value);
static int phota_compact_kept(phota_compact_t *k, const u_char *key,
    const MDB_val *value, phota_kept_t *kept);
static int phota_compact_finish(phota_compact_t *k);
static int phota_compact_own(phota_compact_t *k);
static int phota_compact_sync(phota_compact_t *k, const char *path);
static int phota_compact_place(phota_compact_t *k, const char *dir);
static void phota_compact_mark(phota_compact_t *k);
static int phota_compact_marked(phota_compact_t *k, MDB_val *value);
static uint64_t phota_compact_size(const char *dir);
static int phota_compact_fail(phota_compact_t *k, const char *what);


int
phota_cache_compact(const char *dir, uint64_t *before, uint64_t *after,
    phota_error_t *err)
{
    int              rc;
    phota_compact_t  k;

    memset(&k, 0, sizeof(phota_compact_t));

    k.err = err;

    rc = phota_compact_paths(&k, dir);

    if (rc == PHOTA_OK) {
        rc = phota_compact_turn(&k, dir);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_compact_run(&k, dir, before, after);

    (void) close(k.turn);

    return rc;
}


/*
 * One after the other, to the end: what lies beside is removed when LMDB's lock
 * is given back already, and would be what the next has begun.
 */

static int
phota_compact_turn(phota_compact_t *k, const char *dir)
{
    int  rc;

    k->turn = open(dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (k->turn == -1) {
        return phota_compact_fail(k, dir);
    }

    do {
        rc = flock(k->turn, LOCK_EX);
    } while (rc == -1 && errno == EINTR);

    if (rc == -1) {
        rc = phota_compact_fail(k, dir);
        (void) close(k->turn);
    }

    return rc;
}


static int
phota_compact_run(phota_compact_t *k, const char *dir, uint64_t *before,
    uint64_t *after)
{
    int  rc;

    rc = phota_compact_lock(k, dir);

    if (rc != PHOTA_OK) {
        return rc;
    }

    *before = phota_compact_size(k->place);

    rc = phota_compact_remove(k);

    if (rc == PHOTA_OK) {
        rc = phota_compact_try(k);
    }

    if (rc == PHOTA_OK) {
        rc = phota_compact_create(k);
    }

    if (rc == PHOTA_OK) {
        rc = phota_compact_place(k, dir);
    }

    if (k->from != NULL) {
        phota_store_abort(k->from);
    }

    phota_store_close(&k->old_store);

    /* the old one, or what there is of the new */

    if (rc == PHOTA_OK) {
        *after = phota_compact_size(k->place);
        return phota_compact_remove(k);
    }

    /* nothing is given up for an exchange that may not be on the disk */

    if (!k->exchanged) {
        k->err = NULL;
        (void) phota_compact_remove(k);
    }

    return rc;
}


static int
phota_compact_paths(phota_compact_t *k, const char *dir)
{
    /* the longest that is made of them is "FRESH/data.mdb" */

    if (strlen(dir) > PHOTA_COMPACT_PATH - 64) {
        phota_error(k->err, "the path of the data directory is too long");
        return PHOTA_INVALID;
    }

    (void) snprintf(k->place, sizeof(k->place), "%.960s/cache", dir);
    (void) snprintf(k->beside, sizeof(k->beside), "%.960s/cache.new", dir);
    (void) snprintf(k->fresh, sizeof(k->fresh), "%.960s/cache.new/cache",
                    dir);

    return PHOTA_OK;
}


/* the lock comes first: what lies beside may be another's who is at work */

static int
phota_compact_lock(phota_compact_t *k, const char *dir)
{
    int      rc;
    MDB_val  value;

    rc = phota_store_open(&k->old_store, dir, "cache", PHOTA_CACHE_SCHEMA, 0,
                          0, k->err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_cache_open(&k->old, &k->old_store, UINT64_MAX, NULL, k->err);

    if (rc == PHOTA_OK) {
        rc = phota_store_begin(&k->old_store, 1, &k->from, k->err);
    }

    if (rc == PHOTA_OK && (phota_compact_marked(k, &value) != MDB_NOTFOUND
                           || phota_store_moved(&k->old_store)))
    {
        phota_error(k->err, "\"%.160s\" was replaced meanwhile: run it again",
                    k->place);
        phota_store_abort(k->from);
        rc = PHOTA_REFUSED;
    }

    if (rc != PHOTA_OK) {
        phota_store_close(&k->old_store);
    }

    return rc;
}


/* only what compact itself makes: anything else there is somebody's */

static int
phota_compact_remove(phota_compact_t *k)
{
    if (phota_compact_unlink(k, k->fresh, "data.mdb") != PHOTA_OK
        || phota_compact_unlink(k, k->fresh, "lock.mdb") != PHOTA_OK
        || phota_compact_unlink(k, k->fresh, NULL) != PHOTA_OK
        || phota_compact_unlink(k, k->beside, "1") != PHOTA_OK
        || phota_compact_unlink(k, k->beside, "2") != PHOTA_OK
        || phota_compact_unlink(k, k->beside, NULL) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


static int
phota_compact_unlink(phota_compact_t *k, const char *dir, const char *name)
{
    char  path[PHOTA_COMPACT_PATH + 16];

    (void) snprintf(path, sizeof(path), "%s%s%s", dir, name ? "/" : "",
                    name ? name : "");

    if (remove(path) == 0 || errno == ENOENT) {
        return PHOTA_OK;
    }

    return phota_compact_fail(k, path);
}


/* found out with empty directories, before gigabytes are written in vain */

static int
phota_compact_try(phota_compact_t *k)
{
    int   rc;
    char  one[PHOTA_COMPACT_PATH + 16], other[PHOTA_COMPACT_PATH + 16];

    (void) snprintf(one, sizeof(one), "%s/1", k->beside);
    (void) snprintf(other, sizeof(other), "%s/2", k->beside);

    if (mkdir(k->beside, 0700) == -1 || mkdir(one, 0700) == -1
        || mkdir(other, 0700) == -1)
    {
        return phota_compact_fail(k, k->beside);
    }

    rc = phota_compact_exchange(k, one, other);

    if (rc == PHOTA_OK && (rmdir(one) == -1 || rmdir(other) == -1)) {
        return phota_compact_fail(k, k->beside);
    }

    return rc;
}


static int
phota_compact_exchange(phota_compact_t *k, const char *one, const char *other)
{
    if (renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) == 0) {
        return PHOTA_OK;
    }

    if (errno == EINVAL || errno == ENOSYS) {
        phota_error(k->err, "the file system of \"%.120s\" can't exchange two "
                    "directories: stop nginx and delete it instead",
                    k->place);
        return PHOTA_REFUSED;
    }

    return phota_compact_fail(k, other);
}


static int
phota_compact_create(phota_compact_t *k)
{
    int          rc;
    MDB_envinfo  info;

    rc = mdb_env_info(k->old_store.env, &info);

    if (rc != 0) {
        return phota_store_fail(k->err, k->place, rc);
    }

    rc = phota_store_open(&k->new_store, k->beside, "cache",
                          PHOTA_CACHE_SCHEMA, info.me_mapsize,
                          PHOTA_STORE_CREATE|PHOTA_STORE_NOMETASYNC, k->err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_cache_open(&k->new, &k->new_store, UINT64_MAX, NULL, k->err);

    if (rc == PHOTA_OK) {
        rc = phota_compact_copy(k);
    }

    if (rc == PHOTA_OK) {
        rc = phota_compact_finish(k);
    }

    phota_store_close(&k->new_store);

    return rc;
}


static int
phota_compact_copy(phota_compact_t *k)
{
    int                    rc;
    unsigned               i;
    phota_cache_t         *old, *new;
    phota_cache_totals_t   totals;

    old = &k->old;
    new = &k->new;

    const struct {
        MDB_dbi           from;
        MDB_dbi           to;
        unsigned          flags;
        phota_compact_pt  wanted;
    } tables[] = {
        { old->results, new->results, MDB_APPEND, NULL },
        { old->pictures, new->pictures, MDB_APPEND, phota_compact_picture },
        { old->chunks, new->chunks, MDB_APPEND, phota_compact_chunk },
        { old->charges, new->charges, MDB_APPEND, NULL },
        { old->order, new->order, MDB_APPEND, NULL },
        { old->expiry, new->expiry, MDB_APPEND, NULL },

        /* it has rows already */

        { k->old_store.meta, k->new_store.meta, 0, phota_compact_meta }
    };

    if (phota_store_begin(&k->new_store, 1, &k->to, k->err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = 0;

    for (i = 0; rc == 0 && i < sizeof(tables) / sizeof(tables[0]); i++) {
        rc = phota_compact_table(k, tables[i].from, tables[i].to,
                                 tables[i].flags, tables[i].wanted);
    }

    if (rc == 0) {
        rc = phota_totals_count(new, k->to, &totals);
    }

    if (rc == 0) {
        rc = phota_totals_write(new, k->to, &totals);
    }

    if (rc == 0) {
        rc = mdb_txn_commit(k->to);
        k->to = NULL;
    }

    if (k->to != NULL) {
        phota_store_abort(k->to);
    }

    return (rc == 0) ? PHOTA_OK : phota_store_fail(k->err, k->fresh, rc);
}


/* an MDB code, as of all that copies; to is NULL when a commit has failed */

static int
phota_compact_table(phota_compact_t *k, MDB_dbi from, MDB_dbi to,
    unsigned flags, phota_compact_pt wanted)
{
    int          rc;
    MDB_val      key, value;
    uint64_t     done;
    MDB_stat     st;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(k->from, from, &cursor);

    if (rc != 0) {
        return rc;
    }

    done = 0;
    st.ms_entries = 0;
    (void) mdb_stat(k->from, from, &st);

    for ( ;; ) {
        phota_working("compacting", done++, st.ms_entries);

        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);

        if (rc != 0) {
            break;
        }

        rc = (wanted != NULL) ? wanted(k, &key, &value) : 0;

        if (rc == 0) {
            rc = phota_compact_row(k, to, flags, &key, &value);
        }

        if (rc != 0 && rc != MDB_NOTFOUND) {
            break;
        }
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


static int
phota_compact_row(phota_compact_t *k, MDB_dbi to, unsigned flags,
    MDB_val *key, MDB_val *value)
{
    int  rc;

    rc = mdb_put(k->to, to, key, value, flags);

    if (rc != 0) {
        return rc;
    }

    k->written += key->mv_size + value->mv_size;

    if (k->written < PHOTA_COMPACT_BATCH) {
        return 0;
    }

    k->written = 0;

    rc = mdb_txn_commit(k->to);
    k->to = NULL;

    return (rc == 0) ? mdb_txn_begin(k->new_store.env, NULL, 0, &k->to) : rc;
}


/* a new environment is no moved one, and its totals are counted */

static int
phota_compact_meta(phota_compact_t *k, const MDB_val *key, MDB_val *value)
{
    (void) k;
    (void) value;

    return ((key->mv_size == 5 && memcmp(key->mv_data, "moved", 5) == 0)
            || (key->mv_size == 6 && memcmp(key->mv_data, "totals", 6) == 0))
           ? MDB_NOTFOUND : 0;
}


static int
phota_compact_picture(phota_compact_t *k, const MDB_val *key, MDB_val *value)
{
    phota_kept_t  kept;

    return (key->mv_size == PHOTA_PICTURE_KEY)
           ? phota_compact_kept(k, key->mv_data, value, &kept) : MDB_NOTFOUND;
}


static int
phota_compact_chunk(phota_compact_t *k, const MDB_val *key, MDB_val *value)
{
    phota_kept_t  kept;

    (void) value;

    if (key->mv_size != PHOTA_CHUNK_KEY) {
        return MDB_NOTFOUND;
    }

    return phota_compact_kept(k, key->mv_data, NULL, &kept);
}


/*
 * A picture that is copied, by its key, which is also how the keys of its
 * chunks begin.  One that is damaged can't be read by anybody; the results that
 * hold it are found by those who ask for them.
 */

static int
phota_compact_kept(phota_compact_t *k, const u_char *key,
    const MDB_val *value, phota_kept_t *kept)
{
    int       rc;
    uint32_t  scope;

    scope = (uint32_t) phota_get_be(key, 4);

    rc = (value != NULL) ? phota_kept_decode(kept, scope, key + 4, value)
                         : phota_kept_read(&k->old, k->from, scope, key + 4,
                                           kept);

    if (rc != 0) {
        return (rc == MDB_CORRUPTED) ? MDB_NOTFOUND : rc;
    }

    return (kept->refs == 0) ? MDB_NOTFOUND : 0;
}


/* all of it is on the disk before it takes anybody's place */

static int
phota_compact_finish(phota_compact_t *k)
{
    int  rc;

    rc = mdb_env_sync(k->new_store.env, 1);

    if (rc != 0) {
        return phota_store_fail(k->err, k->fresh, rc);
    }

    if (phota_compact_own(k) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    return phota_compact_sync(k, k->fresh);
}


/* by name: closing the lock file would drop LMDB's locks */

static int
phota_compact_own(phota_compact_t *k)
{
    size_t       i;
    char         from[PHOTA_COMPACT_PATH + 16], to[PHOTA_COMPACT_PATH + 16];
    struct stat  st;

    static const char  *names[] = { "", "/data.mdb", "/lock.mdb" };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void) snprintf(from, sizeof(from), "%s%s", k->place, names[i]);
        (void) snprintf(to, sizeof(to), "%s%s", k->fresh, names[i]);

        if (stat(from, &st) == -1) {
            return phota_compact_fail(k, from);
        }

        /* who isn't root has the right owner, or could not write here */

        if ((geteuid() == 0 && chown(to, st.st_uid, st.st_gid) == -1)
            || chmod(to, st.st_mode & 07777) == -1)
        {
            return phota_compact_fail(k, to);
        }
    }

    return PHOTA_OK;
}


static int
phota_compact_sync(phota_compact_t *k, const char *path)
{
    int  fd, rc;

    fd = open(path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return phota_compact_fail(k, path);
    }

    rc = fsync(fd);

    if (rc == -1) {
        rc = phota_compact_fail(k, path);
    }

    (void) close(fd);

    return rc;
}


static int
phota_compact_place(phota_compact_t *k, const char *dir)
{
    int  rc;

    rc = phota_compact_exchange(k, k->fresh, k->place);

    if (rc != PHOTA_OK) {
        return rc;
    }

    k->exchanged = 1;

    rc = phota_compact_sync(k, dir);

    if (rc == PHOTA_OK) {
        rc = phota_compact_sync(k, k->beside);
    }

    if (rc == PHOTA_OK) {
        phota_compact_mark(k);
    }

    return rc;
}


/* who waits finds out by the file, too: a full disk is no failure here */

static void
phota_compact_mark(phota_compact_t *k)
{
    MDB_txn  *txn;
    MDB_val   key, value;

    key.mv_data = "moved";
    key.mv_size = sizeof("moved") - 1;
    value.mv_data = NULL;
    value.mv_size = 0;

    txn = k->from;
    k->from = NULL;

    if (mdb_put(txn, k->old_store.meta, &key, &value, 0) == 0) {
        (void) mdb_txn_commit(txn);

    } else {
        phota_store_abort(txn);
    }
}


static int
phota_compact_marked(phota_compact_t *k, MDB_val *value)
{
    MDB_val  key;

    key.mv_data = "moved";
    key.mv_size = sizeof("moved") - 1;

    return mdb_get(k->from, k->old_store.meta, &key, value);
}


/* as they lie on the disk: the files are sparse */

static uint64_t
phota_compact_size(const char *dir)
{
    char         path[PHOTA_COMPACT_PATH + 16];
    struct stat  st;

    (void) snprintf(path, sizeof(path), "%s/data.mdb", dir);

    return (stat(path, &st) == 0) ? (uint64_t) st.st_blocks * 512 : 0;
}


static int
phota_compact_fail(phota_compact_t *k, const char *what)
{
    phota_error(k->err, "\"%.160s\": %s", what, strerror(errno));

    return PHOTA_ERROR;
}
