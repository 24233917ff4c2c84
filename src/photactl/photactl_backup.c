
/*
 * photactl backup: a copy of the books as they are at one moment, of all the
 * entries that were archived until then, and a list with the digest of each
 * file.  nginx goes on meanwhile: LMDB copies out of one read transaction, and
 * no lock of a writer is taken.  The list is written last, when the copy was
 * verified and synced: without it a directory is no backup.
 */


#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "phota_archive.h"
#include "photactl_copy.h"


#define PHOTACTL_BACKUP_GROWTH  ((uint64_t) 256 << 20)      /* bytes */


typedef struct {
    photactl_t       *ctl;
    photactl_copy_t   copy;
    int               parent;
    int               dir;              /* of the backup */
    int               books;            /* in it */
    json_t           *files;
    uint64_t          made;             /* ms: not older than this */
    uint64_t          entries;
    uint64_t          open;
    char              chain[2 * PHOTA_SHA256_LEN + 1];
} photactl_backup_t;


/* LMDB writes to one end of a pipe in a thread of its own */

typedef struct {
    MDB_env          *env;
    int               fd;
    unsigned          flags;
    int               rc;
} photactl_dump_t;


static int photactl_backup_make(photactl_backup_t *b, const char *path);
static int photactl_backup_run(photactl_backup_t *b);
static int photactl_backup_books(photactl_backup_t *b);
static int photactl_backup_dump(photactl_backup_t *b, int out,
    unsigned flags, photactl_copied_t *copied);
static void *photactl_backup_thread(void *data);
static int photactl_backup_archive(photactl_backup_t *b);
static int photactl_backup_file(photactl_backup_t *b, int to,
    const char *path);
static int photactl_backup_add(photactl_backup_t *b, const char *path,
    const photactl_copied_t *copied);
static int photactl_backup_manifest(photactl_backup_t *b);
static int photactl_backup_said(photactl_backup_t *b, const char *path);


static const photactl_column_t  photactl_backup_columns[] = {
    { "path", "PATH", PHOTACTL_TEXT },
    { "made", "MADE", PHOTACTL_TIME },
    { "entries", "ENTRIES", PHOTACTL_NUMBER },
    { "chain", "CHAIN", PHOTACTL_TEXT },
    { "open", "OPEN", PHOTACTL_NUMBER },
    { "files", "FILES", PHOTACTL_NUMBER },
    { "bytes", "BYTES", PHOTACTL_NUMBER }
};


int
photactl_backup(photactl_t *ctl)
{
    int                rc;
    char               name[1024];
    size_t             len;
    const char        *last;
    photactl_backup_t  b;

    memset(&b, 0, sizeof(photactl_backup_t));

    b.ctl = ctl;
    b.copy.ctl = ctl;
    b.copy.what = "backup";
    b.parent = -1;
    b.dir = -1;
    b.books = -1;

    /* a slash at the end is no part of the name */

    len = strlen(ctl->args[0]);

    while (len > 1 && ctl->args[0][len - 1] == '/') {
        len--;
    }

    if (len == 0 || len >= sizeof(name)) {
        return photactl_wrong(ctl, "the path is empty or too long");
    }

    memcpy(name, ctl->args[0], len);
    name[len] = '\0';

    rc = photactl_backup_make(&b, name);

    if (rc == PHOTA_OK) {
        rc = photactl_backup_run(&b);

        if (rc != PHOTA_OK) {

            /* what is in it is of no use; root's directory may hold it */

            photactl_copy_erase(b.dir, "books");
            photactl_copy_erase(b.dir, PHOTACTL_MANIFEST ".tmp");

            last = strrchr(name, '/');
            (void) unlinkat(b.parent, last ? last + 1 : name, AT_REMOVEDIR);
        }
    }

    if (rc == PHOTA_OK) {
        rc = photactl_backup_said(&b, name);
    }

    json_decref(b.files);

    if (b.books != -1) {
        (void) close(b.books);
    }

    if (b.dir != -1) {
        (void) close(b.dir);
    }

    if (b.parent != -1) {
        (void) close(b.parent);
    }

    return rc;
}


/* made by root, who may write there, and given to the owner of the data */

static int
photactl_backup_make(photactl_backup_t *b, const char *path)
{
    char         parent[1024];
    char        *slash;
    const char  *name;
    struct stat  st;

    if (stat(b->ctl->data, &st) == -1) {

        /* which says it better */

        return photactl_become_owner(b->ctl);
    }

    (void) snprintf(parent, sizeof(parent), "%s", path);

    slash = strrchr(parent, '/');
    name = (slash != NULL) ? path + (slash - parent) + 1 : path;

    if (slash == NULL) {
        (void) snprintf(parent, sizeof(parent), ".");

    } else if (slash == parent) {
        parent[1] = '\0';

    } else {
        *slash = '\0';
    }

    b->parent = open(parent, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (b->parent == -1) {
        phota_error(&b->ctl->err, "\"%.128s\": %s", parent, strerror(errno));
        return PHOTA_ERROR;
    }

    if (faccessat(b->parent, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        phota_error(&b->ctl->err, "\"%.128s\" is there already: a backup is "
                    "never written over another", path);
        return PHOTA_REFUSED;
    }

    b->dir = photactl_copy_mkdir(b->ctl, b->parent, name);

    if (b->dir == -1) {
        return PHOTA_ERROR;
    }

    if (geteuid() == 0 && fchown(b->dir, st.st_uid, st.st_gid) == -1) {
        phota_error(&b->ctl->err, "\"%.128s\" can't be given to the owner of "
                    "the data: %s", path, strerror(errno));
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


static int
photactl_backup_run(photactl_backup_t *b)
{
    int   rc;
    char  self[64];

    rc = photactl_become_owner(b->ctl);

    if (rc == PHOTA_OK) {
        rc = photactl_open(b->ctl, PHOTA_STORE_RDONLY);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    b->files = json_array();
    b->made = phota_now();
    b->books = photactl_copy_mkdir(b->ctl, b->dir, "books");

    if (b->books == -1) {
        return PHOTA_ERROR;
    }

    /* books first: what is archived meanwhile is in both, not in neither */

    if (photactl_backup_books(b) != PHOTA_OK
        || photactl_backup_archive(b) != PHOTA_OK
        || photactl_copy_sync(b->ctl, b->books, "books") != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    /* its parents may be closed to the owner of the data */

    (void) snprintf(self, sizeof(self), "/proc/self/fd/%d", b->dir);

    rc = photactl_copy_verify(b->ctl, self, &b->entries, b->chain, &b->open);

    return (rc == PHOTA_OK) ? photactl_backup_manifest(b) : rc;
}


static int
photactl_backup_books(photactl_backup_t *b)
{
    int                out, rc;
    struct stat        st;
    photactl_copied_t  copied;

    if (mdb_env_get_fd(b->ctl->store->env, &b->copy.source) != 0
        || fstat(b->copy.source, &st) == -1)
    {
        phota_error(&b->ctl->err, "the books have no file");
        return PHOTA_ERROR;
    }

    b->copy.total = (uint64_t) st.st_size;
    b->copy.limit = 2 * (uint64_t) st.st_size + PHOTACTL_BACKUP_GROWTH;

    out = photactl_copy_create(b->ctl, b->books, "data.mdb");

    if (out == -1) {
        return PHOTA_ERROR;
    }

    /*
     * Without free pages it is smaller, and LMDB needs no writer's lock for it.
     * An environment that has lost pages can't be copied so.
     */

    rc = photactl_backup_dump(b, out, MDB_CP_COMPACT, &copied);

    if (rc == PHOTA_DECLINED) {
        b->copy.done = 0;

        if (lseek(out, 0, SEEK_SET) == -1 || ftruncate(out, 0) == -1) {
            phota_error(&b->ctl->err, "the copy can't be begun again: %s",
                        strerror(errno));
            rc = PHOTA_ERROR;

        } else {
            rc = photactl_backup_dump(b, out, 0, &copied);
        }
    }

    (void) close(out);

    b->copy.source = -1;

    return (rc == PHOTA_OK) ? photactl_backup_add(b, "books/data.mdb", &copied)
                            : PHOTA_ERROR;
}


/* PHOTA_DECLINED when LMDB can't, with these flags */

static int
photactl_backup_dump(photactl_backup_t *b, int out, unsigned flags,
    photactl_copied_t *copied)
{
    int              rc, pipes[2];
    pthread_t        thread;
    photactl_dump_t  dump;

    if (pipe2(pipes, O_CLOEXEC) == -1) {
        phota_error(&b->ctl->err, "no pipe: %s", strerror(errno));
        return PHOTA_ERROR;
    }

    /* a pipe whose reader has given up is an error, not the end */

    (void) signal(SIGPIPE, SIG_IGN);

    dump.env = b->ctl->store->env;
    dump.fd = pipes[1];
    dump.flags = flags;
    dump.rc = 0;

    if (pthread_create(&thread, NULL, photactl_backup_thread, &dump) != 0) {
        phota_error(&b->ctl->err, "no thread");
        (void) close(pipes[0]);
        (void) close(pipes[1]);
        return PHOTA_ERROR;
    }

    rc = photactl_copy(&b->copy, pipes[0], out, "books/data.mdb", copied);

    (void) close(pipes[0]);
    (void) pthread_join(thread, NULL);

    (void) signal(SIGPIPE, SIG_DFL);

    if (rc == PHOTA_OK && dump.rc != 0) {
        (void) phota_store_fail(&b->ctl->err, b->ctl->store->path, dump.rc);
        return PHOTA_DECLINED;
    }

    return rc;
}


static void *
photactl_backup_thread(void *data)
{
    photactl_dump_t  *dump = data;

    dump->rc = mdb_env_copyfd2(dump->env, dump->fd, dump->flags);

    (void) close(dump->fd);

    return NULL;
}


static int
photactl_backup_archive(photactl_backup_t *b)
{
    int                   rc, to;
    char                  path[PHOTA_ARCHIVE_PATH];
    size_t                i;
    phota_archive_list_t  list;

    if (phota_archive_list(&b->ctl->ledger, &list, &b->ctl->err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    if (list.n == 0) {
        phota_archive_list_free(&list);
        return PHOTA_OK;
    }

    rc = PHOTA_ERROR;
    to = photactl_copy_mkdir(b->ctl, b->books, "archive");

    if (to != -1) {
        rc = PHOTA_OK;

        for (i = 0; rc == PHOTA_OK && i < list.n; i++) {
            phota_archive_path(&b->ctl->ledger, &list.files[i], path);
            rc = photactl_backup_file(b, to, path);
        }

        if (rc == PHOTA_OK) {
            rc = photactl_copy_sync(b->ctl, to, "books/archive");
        }

        (void) close(to);
    }

    phota_archive_list_free(&list);

    return rc;
}


static int
photactl_backup_file(photactl_backup_t *b, int to, const char *path)
{
    int                in, out, rc;
    char               name[PHOTA_ARCHIVE_PATH];
    const char        *last;
    struct stat        st;
    photactl_copied_t  copied;

    last = strrchr(path, '/') + 1;

    (void) snprintf(name, sizeof(name), "books/archive/%s", last);

    in = open(path, O_RDONLY|O_NOFOLLOW|O_CLOEXEC);

    if (in == -1 || fstat(in, &st) == -1) {
        phota_error(&b->ctl->err, "\"%.128s\" can't be opened: %s", path,
                    strerror(errno));

        if (in != -1) {
            (void) close(in);
        }

        return PHOTA_ERROR;
    }

    b->copy.total = b->copy.done + (uint64_t) st.st_size;
    rc = PHOTA_ERROR;

    out = photactl_copy_create(b->ctl, to, last);

    if (out != -1) {
        rc = photactl_copy(&b->copy, in, out, name, &copied);
        (void) close(out);
    }

    (void) close(in);

    return (rc == PHOTA_OK) ? photactl_backup_add(b, name, &copied) : rc;
}


static int
photactl_backup_add(photactl_backup_t *b, const char *path,
    const photactl_copied_t *copied)
{
    if (json_array_append_new(b->files,
                              json_pack("{s:s, s:I, s:s}", "path", path,
                                        "bytes", (json_int_t) copied->bytes,
                                        "sha256", copied->sha256))
        != 0)
    {
        phota_error(&b->ctl->err, "no memory for the list of files");
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


/* whole under its name, or not there */

static int
photactl_backup_manifest(photactl_backup_t *b)
{
    int      fd, rc;
    char     made[PHOTA_TIME_TEXT];
    json_t  *json;

    phota_time_format(made, b->made);

    json = json_pack("{s:s, s:i, s:s, s:s, s:i, s:I, s:s, s:I, s:O}",
                     "backup", "nginx-phota",
                     "format", PHOTACTL_MANIFEST_FORMAT,
                     "version", PHOTA_VERSION,
                     "made", made,
                     "schema", PHOTA_BOOKS_SCHEMA,
                     "entries", (json_int_t) b->entries,
                     "chain", b->chain,
                     "open", (json_int_t) b->open,
                     "files", b->files);

    if (json == NULL) {
        phota_error(&b->ctl->err, "no memory for the list of files");
        return PHOTA_ERROR;
    }

    rc = PHOTA_ERROR;
    fd = photactl_copy_create(b->ctl, b->dir, PHOTACTL_MANIFEST ".tmp");

    if (fd != -1) {
        rc = PHOTA_OK;

        if (json_dumpfd(json, fd, JSON_INDENT(2)) != 0
            || write(fd, "\n", 1) != 1)
        {
            phota_error(&b->ctl->err, "\"" PHOTACTL_MANIFEST "\" can't be "
                        "written: %s", strerror(errno));
            rc = PHOTA_ERROR;
        }

        if (rc == PHOTA_OK) {
            rc = photactl_copy_sync(b->ctl, fd, PHOTACTL_MANIFEST);
        }

        (void) close(fd);
    }

    json_decref(json);

    if (rc == PHOTA_OK
        && renameat(b->dir, PHOTACTL_MANIFEST ".tmp", b->dir,
                    PHOTACTL_MANIFEST)
           == -1)
    {
        phota_error(&b->ctl->err, "\"" PHOTACTL_MANIFEST "\": %s",
                    strerror(errno));
        rc = PHOTA_ERROR;
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = photactl_copy_sync(b->ctl, b->dir, "the backup");

    if (rc == PHOTA_OK) {
        rc = photactl_copy_sync(b->ctl, b->parent, "the backup's directory");
    }

    if (rc != PHOTA_OK) {
        (void) unlinkat(b->dir, PHOTACTL_MANIFEST, 0);
    }

    return rc;
}


static int
photactl_backup_said(photactl_backup_t *b, const char *path)
{
    photactl_value_t  values[] = {
        photactl_text(path),
        photactl_time(b->made),
        photactl_number(b->entries),
        photactl_text(b->chain),
        photactl_number(b->open),
        photactl_number(json_array_size(b->files)),
        photactl_number(b->copy.done)
    };

    return photactl_record(b->ctl, photactl_backup_columns,
                           sizeof(values) / sizeof(values[0]), values);
}
