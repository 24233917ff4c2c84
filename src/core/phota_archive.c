
/*
 * Moves closed entries from the database to a file.  The file is written beside
 * its place, synced, read back and put in its place; only then do entries leave
 * the database, some at a time, each transaction saying up to where.  Whoever
 * begins again after a crash finds either no file, and writes one, or a whole
 * one that goes further than the database says, and goes on from there.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "phota_archiver.h"
#include "phota_order.h"


typedef int (*phota_archiver_pt)(phota_archiver_t *a,
    const phota_entry_t *entry, const MDB_val *record);


static int phota_archiver_check(phota_archiver_t *a);
static int phota_archiver_run(phota_archiver_t *a);
static int phota_archiver_open(phota_archiver_t *a);
static int phota_archiver_owner(phota_archiver_t *a, const char *path);
static int phota_archiver_close_days(phota_archiver_t *a);
static int phota_archiver_tally(phota_archiver_t *a);
static int phota_archiver_chain(phota_archiver_t *a);
static int phota_archiver_take_up(phota_archiver_t *a);
static int phota_archiver_agrees(void *ctx, const phota_entry_t *entry,
    const u_char *record, size_t len);
static int phota_archiver_next(phota_archiver_t *a);
static int phota_archiver_make(phota_archiver_t *a);
static int phota_archiver_each(phota_archiver_t *a, uint64_t last,
    phota_archiver_pt handler);
static int phota_archiver_batch(phota_archiver_t *a, uint64_t *next,
    uint64_t last, phota_archiver_pt handler);
static int phota_archiver_scan(phota_archiver_t *a,
    const phota_entry_t *entry, const MDB_val *record);
static int phota_archiver_write(phota_archiver_t *a,
    const phota_entry_t *entry, const MDB_val *record);
static int phota_archiver_sync(phota_archiver_t *a);


int
phota_ledger_archive(phota_ledger_t *l, uint64_t before, uint64_t *entries,
    char *path, size_t size, phota_error_t *err)
{
    int               rc;
    char              name[PHOTA_ARCHIVE_PATH];
    phota_archiver_t  a;

    memset(&a, 0, sizeof(phota_archiver_t));

    a.ledger = l;
    a.before = before;
    a.dir = -1;
    a.err = err;

    *entries = 0;
    path[0] = '\0';

    rc = phota_archiver_check(&a);

    if (rc == PHOTA_OK) {
        rc = phota_archiver_run(&a);
    }

    phota_archive_list_free(&a.list);

    if (a.dir != -1) {
        (void) close(a.dir);
    }

    *entries = a.moved;

    if (a.moved != 0) {
        phota_archive_path(l, &a.file, name);
        (void) snprintf(path, size, "%s", name);
    }

    return rc;
}


static int
phota_archiver_check(phota_archiver_t *a)
{
    char  text[PHOTA_TIME_TEXT];

    phota_time_format(text, a->before);

    if (a->before % PHOTA_DAY != 0) {
        phota_error(a->err, "%s is not the beginning of a day in UTC", text);
        return PHOTA_INVALID;
    }

    if (phota_now() < a->before
        || phota_now() - a->before < PHOTA_CLOSES)
    {
        phota_error(a->err, "the day before %.10s is not closed: it is an "
                    "hour after its end, UTC", text);
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


static int
phota_archiver_run(phota_archiver_t *a)
{
    int  rc;

    /*
     * Hits that have no entry yet get one on the day they count on.  Then days
     * are closed: from then on nothing new counts on them, and what came in
     * between is moved to a day that is open.
     */

    if (phota_archiver_open(a) != PHOTA_OK
        || phota_archiver_tally(a) != PHOTA_OK
        || phota_archiver_close_days(a) != PHOTA_OK
        || phota_archiver_tally(a) != PHOTA_OK
        || phota_archiver_chain(a) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    if (phota_archive_list(a->ledger, &a->list, a->err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    if (a->list.last < a->chain.archived) {
        phota_error(a->err, "entry %llu is archived, and the file with it is "
                    "missing", (unsigned long long) a->list.last + 1);
        return PHOTA_ERROR;
    }

    rc = phota_archiver_take_up(a);

    return (rc == PHOTA_OK) ? phota_archiver_next(a) : PHOTA_ERROR;
}


/* the directory; its lock is gone with the process */

static int
phota_archiver_open(phota_archiver_t *a)
{
    char  path[PHOTA_ARCHIVE_PATH];

    phota_archive_path(a->ledger, NULL, path);

    if (mkdir(path, 0700) == 0) {

        if (chmod(path, 0700) == -1) {
            return phota_archive_fail(path, "made", a->err);
        }

        if (phota_archiver_owner(a, path) != PHOTA_OK) {
            return PHOTA_ERROR;
        }

    } else if (errno != EEXIST) {
        return phota_archive_fail(path, "made", a->err);
    }

    a->dir = open(path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (a->dir == -1) {
        return phota_archive_fail(path, "opened", a->err);
    }

    if (flock(a->dir, LOCK_EX|LOCK_NB) == -1) {

        if (errno == EWOULDBLOCK) {
            phota_error(a->err, "\"%.160s\" is being written to by another "
                        "process", path);
            return PHOTA_ERROR;
        }

        return phota_archive_fail(path, "locked", a->err);
    }

    if (unlinkat(a->dir, PHOTA_ARCHIVE_TEMP, 0) == -1 && errno != ENOENT) {
        return phota_archive_fail(path, "cleaned", a->err);
    }

    return PHOTA_OK;
}


/* the books' own, when root works for it */

static int
phota_archiver_owner(phota_archiver_t *a, const char *path)
{
    struct stat  st;

    if (geteuid() != 0) {
        return PHOTA_OK;
    }

    if (stat(a->ledger->store->path, &st) == -1
        || chown(path, st.st_uid, st.st_gid) == -1)
    {
        return phota_archive_fail(path, "given to the books' owner", a->err);
    }

    return PHOTA_OK;
}


static int
phota_archiver_close_days(phota_archiver_t *a)
{
    int             rc;
    MDB_txn        *txn;
    uint32_t        day;
    phota_chain_t   chain;

    day = (uint32_t) (a->before / PHOTA_DAY);

    if (phota_store_begin(a->ledger->store, 1, &txn, a->err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = phota_ledger_chain(a->ledger, txn, &chain, a->err);

    if (rc == PHOTA_OK && chain.closed < day) {
        chain.closed = day;
        rc = phota_ledger_set_chain(a->ledger, txn, &chain, a->err);
    }

    if (rc != PHOTA_OK) {
        phota_store_abort(txn);
        return PHOTA_ERROR;
    }

    return phota_store_commit(txn, a->err);
}


static int
phota_archiver_tally(phota_archiver_t *a)
{
    int       more;
    MDB_txn  *txn;

    do {
        if (phota_store_begin(a->ledger->store, 1, &txn, a->err)
            != PHOTA_OK)
        {
            return PHOTA_ERROR;
        }

        if (phota_ledger_tally(a->ledger, txn, PHOTA_ARCHIVE_BATCH, &more,
                               a->err)
            != PHOTA_OK)
        {
            phota_store_abort(txn);
            return PHOTA_ERROR;
        }

        if (phota_store_commit(txn, a->err) != PHOTA_OK) {
            return PHOTA_ERROR;
        }

    } while (more);

    return PHOTA_OK;
}


static int
phota_archiver_chain(phota_archiver_t *a)
{
    int       rc;
    MDB_txn  *txn;

    if (phota_store_begin(a->ledger->store, 0, &txn, a->err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = phota_ledger_chain(a->ledger, txn, &a->chain, a->err);

    phota_store_abort(txn);

    return rc;
}


/* a file that goes further than the database says */

static int
phota_archiver_take_up(phota_archiver_t *a)
{
    int     rc;
    size_t  i;

    for (i = 0; i < a->list.n; i++) {

        if (a->list.files[i].last <= a->chain.archived) {
            continue;
        }

        a->file = a->list.files[i];

        rc = phota_archive_read(a->ledger, &a->file, &a->head,
                                phota_archiver_agrees, a, a->err);

        if (rc == PHOTA_OK
            && a->file.first == a->chain.archived + 1
            && memcmp(a->head.before, a->chain.archived_hash,
                      PHOTA_SHA256_LEN)
               != 0)
        {
            phota_error(a->err, "archive file %04u doesn't follow the one "
                        "before", a->file.number);
            rc = PHOTA_INVALID;
        }

        /* its name may not have been synced */

        if (rc == PHOTA_OK) {
            rc = phota_archiver_sync(a);
        }

        if (rc != PHOTA_OK) {
            return PHOTA_ERROR;
        }

        if (phota_archiver_take_out(a) != PHOTA_OK
            || phota_archiver_chain(a) != PHOTA_OK)
        {
            return PHOTA_ERROR;
        }
    }

    return PHOTA_OK;
}


/* what is in both has to be the same in both */

static int
phota_archiver_agrees(void *ctx, const phota_entry_t *entry,
    const u_char *record, size_t len)
{
    int                rc;
    MDB_txn           *txn;
    u_char             name[8];
    MDB_val            key, value;
    phota_archiver_t  *a;

    a = ctx;

    if (entry->sequence < a->chain.archived) {
        return PHOTA_OK;
    }

    if (entry->sequence == a->chain.archived) {
        rc = memcmp(entry->hash, a->chain.archived_hash, PHOTA_SHA256_LEN);

    } else {

        if (phota_store_begin(a->ledger->store, 0, &txn, a->err)
            != PHOTA_OK)
        {
            return PHOTA_ERROR;
        }

        phota_put_be(name, entry->sequence, sizeof(name));
        key.mv_data = name;
        key.mv_size = sizeof(name);

        rc = mdb_get(txn, a->ledger->entries, &key, &value);

        if (rc == 0) {
            rc = (value.mv_size != len
                  || memcmp(value.mv_data, record, len) != 0);
        }

        phota_store_abort(txn);
    }

    if (rc != 0) {
        phota_error(a->err, "entry %llu of archive file %04u is not the "
                    "database's", (unsigned long long) entry->sequence,
                    a->file.number);
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


/* the file that is due now, if there is anything for it */

static int
phota_archiver_next(phota_archiver_t *a)
{
    phota_archive_head_t  *head;

    if (phota_archiver_chain(a) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    head = &a->head;

    memset(head, 0, sizeof(phota_archive_head_t));

    head->first = a->chain.archived + 1;
    head->last = a->chain.archived;
    memcpy(head->before, a->chain.archived_hash, PHOTA_SHA256_LEN);

    if (phota_archiver_each(a, a->chain.count, phota_archiver_scan)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    if (head->last < head->first) {
        return PHOTA_OK;
    }

    a->file.number = 0;
    a->file.first = head->first;
    a->file.last = head->last;

    if (phota_archiver_make(a) != PHOTA_OK) {
        (void) unlinkat(a->dir, PHOTA_ARCHIVE_TEMP, 0);
        return PHOTA_ERROR;
    }

    return phota_archiver_take_out(a);
}


static int
phota_archiver_make(phota_archiver_t *a)
{
    int                    rc;
    char                   path[PHOTA_ARCHIVE_PATH];
    char                   temp[PHOTA_ARCHIVE_PATH];
    phota_archive_head_t   head;

    phota_archive_path(a->ledger, &a->file, temp);

    rc = phota_archive_create(&a->writer, temp, &a->head, a->err);

    if (rc == PHOTA_OK) {
        rc = phota_archiver_each(a, a->head.last, phota_archiver_write);
    }

    if (rc == PHOTA_OK) {
        rc = phota_archive_finish(a->writer, a->err);
    }

    phota_archive_close(a->writer);
    a->writer = NULL;

    if (rc == PHOTA_OK) {
        rc = phota_archiver_owner(a, temp);
    }

    if (rc == PHOTA_OK) {
        rc = phota_archive_read(a->ledger, &a->file, &head, NULL, NULL,
                                a->err);
    }

    if (rc != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    a->file.number = (unsigned) a->list.n + 1;
    phota_archive_path(a->ledger, &a->file, path);

    if (rename(temp, path) == -1) {
        return phota_archive_fail(path, "put in its place", a->err);
    }

    return phota_archiver_sync(a);
}


static int
phota_archiver_sync(phota_archiver_t *a)
{
    int   fd, rc;
    char  path[PHOTA_ARCHIVE_PATH];

    phota_archive_path(a->ledger, NULL, path);

    if (fsync(a->dir) == -1) {
        return phota_archive_fail(path, "synced", a->err);
    }

    /* the directory's own name, it may be new */

    fd = open(a->ledger->store->path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    rc = (fd == -1) ? -1 : fsync(fd);

    if (fd != -1) {
        (void) close(fd);
    }

    return (rc == 0) ? PHOTA_OK
                     : phota_archive_fail(a->ledger->store->path,
                                          "synced", a->err);
}


/* entries that aren't archived, up to last, or until handler has enough */

static int
phota_archiver_each(phota_archiver_t *a, uint64_t last,
    phota_archiver_pt handler)
{
    int       rc;
    uint64_t  next;

    next = a->chain.archived + 1;
    rc = PHOTA_OK;

    while (rc == PHOTA_OK && next <= last) {
        phota_working("archiving", next - a->chain.archived,
                      last - a->chain.archived);

        rc = phota_archiver_batch(a, &next, last, handler);
    }

    return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
}


/* transactions are short: a long one would keep pages from reuse */

static int
phota_archiver_batch(phota_archiver_t *a, uint64_t *next, uint64_t last,
    phota_archiver_pt handler)
{
    int             rc;
    unsigned        n;
    MDB_txn        *txn;
    MDB_val         value;
    MDB_cursor     *cursor;
    phota_entry_t   entry;

    if (phota_store_begin(a->ledger->store, 0, &txn, a->err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = mdb_cursor_open(txn, a->ledger->entries, &cursor);

    if (rc != 0) {
        phota_store_abort(txn);
        return phota_ledger_fail(a->ledger, "entries", rc, a->err);
    }

    for (n = 0; n < PHOTA_ARCHIVE_BATCH && *next <= last; n++) {

        rc = phota_archiver_entry(a, *next, cursor, n ? MDB_NEXT
                                                      : MDB_SET_KEY,
                                  &entry, &value);
        if (rc == PHOTA_OK) {
            rc = handler(a, &entry, &value);
        }

        if (rc != PHOTA_OK) {
            break;
        }

        ++*next;
    }

    mdb_cursor_close(cursor);
    phota_store_abort(txn);

    return rc;
}


int
phota_archiver_entry(phota_archiver_t *a, uint64_t sequence,
    MDB_cursor *cursor, MDB_cursor_op op, phota_entry_t *entry,
    MDB_val *value)
{
    int      rc;
    u_char   name[8];
    MDB_val  key;

    phota_put_be(name, sequence, sizeof(name));

    key.mv_data = name;
    key.mv_size = sizeof(name);

    rc = mdb_cursor_get(cursor, &key, value, op);

    if (rc != 0 && rc != MDB_NOTFOUND) {
        return phota_ledger_fail(a->ledger, "entries", rc, a->err);
    }

    if (rc == MDB_NOTFOUND || key.mv_size != sizeof(name)
        || phota_get_be(key.mv_data, 8) != sequence
        || phota_entry_decode(entry, value->mv_data, value->mv_size)
           != PHOTA_OK
        || entry->sequence != sequence)
    {
        phota_error(a->err, "entry %llu is missing or damaged: the books "
                    "can't be archived", (unsigned long long) sequence);
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


/* time never goes back along the chain; the day on which one counts may */

static int
phota_archiver_scan(phota_archiver_t *a, const phota_entry_t *entry,
    const MDB_val *record)
{
    (void) record;

    if (entry->time >= a->before || entry->day >= a->before / PHOTA_DAY) {
        return PHOTA_DECLINED;
    }

    a->head.last = entry->sequence;
    memcpy(a->head.after, entry->hash, PHOTA_SHA256_LEN);

    return PHOTA_OK;
}


static int
phota_archiver_write(phota_archiver_t *a, const phota_entry_t *entry,
    const MDB_val *record)
{
    (void) entry;

    return phota_archive_add(a->writer, record->mv_data, record->mv_size,
                             a->err);
}
