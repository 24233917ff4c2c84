
/*
 * photactl restore: a data directory made of a backup.  Each file is digested
 * on its way and the books are verified before they get their name, so that a
 * directory has all of a backup that is whole, or no books.  It is made where
 * nothing is, so that it takes no books away.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "photactl_copy.h"


typedef struct {
    photactl_t         *ctl;
    photactl_copy_t     copy;
    photactl_place_t    place;
    json_t             *manifest;
    json_t             *files;
    const char         *made;
    const char         *chain;
    json_int_t          entries;
    uint64_t            open;
    int                 from;           /* the backup */
    int                 data;           /* the data directory */
    int                 stage;          /* what becomes of it */
    int                 books;          /* in the stage */
    int                 archive;        /* -1: there is none */
} photactl_restore_t;


static int photactl_restore_read(photactl_restore_t *r);
static int photactl_restore_manifest(photactl_restore_t *r);
static int photactl_restore_listed(photactl_restore_t *r);
static int photactl_restore_name(const char *path);
static int photactl_restore_place(photactl_restore_t *r);
static int photactl_restore_files(photactl_restore_t *r);
static int photactl_restore_file(photactl_restore_t *r, json_t *file);
static int photactl_restore_own(photactl_restore_t *r, int fd);
static int photactl_restore_check(photactl_restore_t *r);
static int photactl_restore_put(photactl_restore_t *r);
static int photactl_restore_said(photactl_restore_t *r);
static int photactl_restore_bad(photactl_restore_t *r, const char *what);


static const photactl_column_t  photactl_restore_columns[] = {
    { "data", "DATA", PHOTACTL_TEXT },
    { "made", "MADE", PHOTACTL_TEXT },
    { "entries", "ENTRIES", PHOTACTL_NUMBER },
    { "chain", "CHAIN", PHOTACTL_TEXT },
    { "open", "OPEN", PHOTACTL_NUMBER }
};


int
photactl_restore(photactl_t *ctl)
{
    int                 i, rc;
    photactl_restore_t  r;

    memset(&r, 0, sizeof(photactl_restore_t));

    r.ctl = ctl;
    r.copy.ctl = ctl;
    r.copy.what = "restore";
    r.copy.source = -1;
    r.from = -1;
    r.data = -1;
    r.stage = -1;
    r.books = -1;
    r.archive = -1;

    rc = photactl_restore_read(&r);

    if (rc == PHOTA_OK) {
        rc = photactl_restore_place(&r);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_restore_files(&r);

        if (rc == PHOTA_OK) {
            rc = photactl_restore_check(&r);
        }

        if (rc == PHOTA_OK) {
            rc = photactl_restore_put(&r);
        }

        if (rc != PHOTA_OK) {
            photactl_copy_erase(r.data, PHOTACTL_RESTORE);
        }
    }

    if (rc == PHOTA_OK) {
        rc = photactl_restore_said(&r);
    }

    json_decref(r.manifest);

    int  fds[] = { r.archive, r.books, r.stage, r.data, r.from };

    for (i = 0; i < (int) (sizeof(fds) / sizeof(fds[0])); i++) {
        if (fds[i] != -1) {
            (void) close(fds[i]);
        }
    }

    return rc;
}


static int
photactl_restore_read(photactl_restore_t *r)
{
    int           fd;
    const char   *path;
    struct stat   st;
    json_error_t  error;

    path = r->ctl->args[0];

    r->from = open(path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (r->from == -1) {
        phota_error(&r->ctl->err, "backup \"%.128s\": %s", path,
                    strerror(errno));
        return PHOTA_ERROR;
    }

    fd = openat(r->from, PHOTACTL_MANIFEST, O_RDONLY|O_NOFOLLOW|O_CLOEXEC);

    if (fd == -1) {
        phota_error(&r->ctl->err, "backup \"%.128s\" has no "
                    PHOTACTL_MANIFEST ": it isn't one, or broke off", path);
        return PHOTA_REFUSED;
    }

    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)
        && st.st_size <= PHOTACTL_MANIFEST_MAX)
    {
        r->manifest = json_loadfd(fd, JSON_REJECT_DUPLICATES, &error);
    }

    (void) close(fd);

    return photactl_restore_manifest(r);
}


static int
photactl_restore_manifest(photactl_restore_t *r)
{
    int          format, schema;
    const char  *backup;

    if (r->manifest == NULL
        || json_unpack(r->manifest, "{s:s, s:i, s:s, s:i, s:I, s:s, s:o}",
                       "backup", &backup, "format", &format,
                       "made", &r->made, "schema", &schema,
                       "entries", &r->entries, "chain", &r->chain,
                       "files", &r->files)
           != 0
        || strcmp(backup, "nginx-phota") != 0)
    {
        return photactl_restore_bad(r, "its list of files is damaged");
    }

    if (format != PHOTACTL_MANIFEST_FORMAT) {
        return photactl_restore_bad(r, "it is of another version of photactl");
    }

    if (schema != PHOTA_BOOKS_SCHEMA) {
        phota_error(&r->ctl->err, "backup \"%.128s\": its books have schema "
                    "%d, this version of phota reads schema %d: restore it "
                    "with the version that wrote it", r->ctl->args[0], schema,
                    PHOTA_BOOKS_SCHEMA);
        return PHOTA_REFUSED;
    }

    return photactl_restore_listed(r);
}


/* names that lead out of the directory are nobody's backup */

static int
photactl_restore_listed(photactl_restore_t *r)
{
    size_t       i;
    unsigned     books;
    json_int_t   bytes;
    const char  *path, *sha256;

    books = 0;

    for (i = 0; i < json_array_size(r->files); i++) {

        if (json_unpack(json_array_get(r->files, i), "{s:s, s:I, s:s}",
                        "path", &path, "bytes", &bytes, "sha256", &sha256)
            != 0
            || bytes < 0
            || photactl_restore_name(path) != PHOTA_OK)
        {
            return photactl_restore_bad(r, "its list of files is damaged");
        }

        books += (strcmp(path, "books/data.mdb") == 0);
        r->copy.total += (uint64_t) bytes;
    }

    return (books == 1) ? PHOTA_OK
                        : photactl_restore_bad(r, "there are no books in it");
}


static int
photactl_restore_name(const char *path)
{
    const char  *name;

    if (strcmp(path, "books/data.mdb") == 0) {
        return PHOTA_OK;
    }

    if (strncmp(path, "books/archive/", sizeof("books/archive/") - 1) != 0) {
        return PHOTA_INVALID;
    }

    name = path + sizeof("books/archive/") - 1;

    return (*name != '\0' && *name != '.' && strchr(name, '/') == NULL
            && strlen(name) < 128)
           ? PHOTA_OK : PHOTA_INVALID;
}


static int
photactl_restore_place(photactl_restore_t *r)
{
    int          rc;
    photactl_t  *ctl;

    ctl = r->ctl;

    rc = photactl_place_look(ctl, &r->place);

    if (rc == PHOTA_OK && r->place.exists) {
        phota_error(&ctl->err, "data directory \"%.128s\" isn't empty: name a "
                    "new one with --data, a restore never overwrites",
                    ctl->data);
        return PHOTA_REFUSED;
    }

    if (rc == PHOTA_OK) {
        rc = photactl_place_owner(ctl, &r->place);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_place_make(ctl, &r->place);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    r->data = open(ctl->data, O_RDONLY|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC);

    if (r->data == -1) {
        phota_error(&ctl->err, "data directory \"%.128s\": %s", ctl->data,
                    strerror(errno));
        return PHOTA_ERROR;
    }

    photactl_copy_erase(r->data, PHOTACTL_RESTORE);

    r->stage = photactl_copy_mkdir(ctl, r->data, PHOTACTL_RESTORE);

    if (r->stage == -1) {
        return PHOTA_ERROR;
    }

    r->books = photactl_copy_mkdir(ctl, r->stage, "books");

    return (r->books != -1) ? PHOTA_OK : PHOTA_ERROR;
}


/* the backup may be root's alone: only what it made becomes the owner's */

static int
photactl_restore_files(photactl_restore_t *r)
{
    int     rc;
    size_t  i;

    rc = PHOTA_OK;

    for (i = 0; rc == PHOTA_OK && i < json_array_size(r->files); i++) {
        rc = photactl_restore_file(r, json_array_get(r->files, i));
    }

    if (rc == PHOTA_OK && r->archive != -1) {
        rc = photactl_restore_own(r, r->archive);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_restore_own(r, r->books);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_restore_own(r, r->stage);
    }

    return (rc == PHOTA_OK) ? photactl_become(r->ctl, r->place.uid,
                                              r->place.gid)
                            : rc;
}


static int
photactl_restore_file(photactl_restore_t *r, json_t *file)
{
    int                in, out, rc, to;
    json_int_t         bytes;
    const char        *path, *sha256;
    photactl_copied_t  copied;

    bytes = 0;
    path = "";
    sha256 = "";

    (void) json_unpack(file, "{s:s, s:I, s:s}", "path", &path,
                       "bytes", &bytes, "sha256", &sha256);

    to = r->books;

    if (strncmp(path, "books/archive/", sizeof("books/archive/") - 1) == 0) {

        if (r->archive == -1) {
            r->archive = photactl_copy_mkdir(r->ctl, r->books, "archive");
        }

        to = r->archive;
    }

    if (to == -1) {
        return PHOTA_ERROR;
    }

    in = openat(r->from, path, O_RDONLY|O_NOFOLLOW|O_CLOEXEC);

    if (in == -1) {
        phota_error(&r->ctl->err, "backup: \"%.128s\" can't be opened: %s",
                    path, strerror(errno));
        return PHOTA_ERROR;
    }

    rc = PHOTA_ERROR;
    out = photactl_copy_create(r->ctl, to, strrchr(path, '/') + 1);

    if (out != -1) {
        rc = photactl_copy(&r->copy, in, out, path, &copied);

        if (rc == PHOTA_OK
            && (copied.bytes != (uint64_t) bytes
                || strcmp(copied.sha256, sha256) != 0))
        {
            phota_error(&r->ctl->err, "backup \"%.100s\": %.100s is not what "
                        "was written: it is damaged, take another backup",
                        r->ctl->args[0], path);
            rc = PHOTA_INVALID;
        }

        if (rc == PHOTA_OK) {
            rc = photactl_restore_own(r, out);
        }

        (void) close(out);
    }

    (void) close(in);

    return rc;
}


static int
photactl_restore_own(photactl_restore_t *r, int fd)
{
    if (geteuid() == 0
        && fchown(fd, r->place.uid, r->place.gid) == -1)
    {
        phota_error(&r->ctl->err, "what was restored can't be given to its "
                    "owner: %s", strerror(errno));
        return PHOTA_ERROR;
    }

    return photactl_copy_sync(r->ctl, fd, "what was restored");
}


static int
photactl_restore_check(photactl_restore_t *r)
{
    int       rc;
    char      self[64], chain[2 * PHOTA_SHA256_LEN + 1];
    uint64_t  entries;

    (void) snprintf(self, sizeof(self), "/proc/self/fd/%d", r->stage);

    entries = 0;

    rc = photactl_copy_verify(r->ctl, self, &entries, chain, &r->open);

    if (rc == PHOTA_OK
        && (entries != (uint64_t) r->entries || strcmp(chain, r->chain) != 0))
    {
        return photactl_restore_bad(r, "its books are not those that were "
                                    "verified");
    }

    return rc;
}


/* from here on there are books */

static int
photactl_restore_put(photactl_restore_t *r)
{
    if (renameat(r->stage, "books", r->data, "books") == -1
        || unlinkat(r->data, PHOTACTL_RESTORE, AT_REMOVEDIR) == -1
        || (mkdirat(r->data, "cache", 0700) == -1 && errno != EEXIST))
    {
        phota_error(&r->ctl->err, "data directory \"%.128s\": %s",
                    r->ctl->data, strerror(errno));
        return PHOTA_ERROR;
    }

    return photactl_copy_sync(r->ctl, r->data, "the data directory");
}


static int
photactl_restore_said(photactl_restore_t *r)
{
    photactl_value_t  values[] = {
        photactl_text(r->ctl->data),
        photactl_text(r->made),
        photactl_number((uint64_t) r->entries),
        photactl_text(r->chain),
        photactl_number(r->open)
    };

    photactl_note(r->ctl, "what was bought after %s is not in these books: "
                  "\"photactl reconcile --bill FILE\" finds it in the bill; "
                  "tokens, keys, prices and Idempotency-Keys are as they were "
                  "then", r->made);

    if (r->open != 0) {
        photactl_note(r->ctl, "%llu charges were open then: those of calls "
                      "under way are unknown now, \"photactl holds list\" has "
                      "them", (unsigned long long) r->open);
    }

    return photactl_record(r->ctl, photactl_restore_columns,
                           sizeof(values) / sizeof(values[0]), values);
}


static int
photactl_restore_bad(photactl_restore_t *r, const char *what)
{
    phota_error(&r->ctl->err, "backup \"%.128s\": %s", r->ctl->args[0], what);

    return PHOTA_INVALID;
}
