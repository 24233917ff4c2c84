
/*
 * Files of archived entries: named, listed and written.  A writer digests what
 * it writes and syncs it; a name tells which entries are in a file, so that one
 * that is missing is seen before any is read.
 */


#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "phota_archive.h"
#include "phota_record.h"



struct phota_archive_writer_s {
    int              fd;
    unsigned         deflating:1;
    z_stream         z;
    phota_hasher_t   digest;
    char             path[PHOTA_ARCHIVE_PATH];
    u_char           out[PHOTA_ARCHIVE_BUFFER];
};


static int phota_archive_name(const char *name, phota_archive_file_t *file);
static int phota_archive_number(const char **p, char end, uint64_t *n);
static int phota_archive_list_add(phota_archive_list_t *list,
    const phota_archive_file_t *file);
static int phota_archive_list_check(phota_ledger_t *l,
    phota_archive_list_t *list, phota_error_t *err);
static int phota_archive_compare(const void *one, const void *two);
static int phota_archive_open(phota_archive_writer_t *w, phota_error_t *err);
static int phota_archive_deflate(phota_archive_writer_t *w, const void *p,
    size_t len, int flush, phota_error_t *err);
static int phota_archive_write(phota_archive_writer_t *w, const void *p,
    size_t len, phota_error_t *err);


void
phota_archive_path(phota_ledger_t *l, const phota_archive_file_t *file,
    char *buf)
{
    if (file == NULL) {
        (void) snprintf(buf, PHOTA_ARCHIVE_PATH, "%s/archive",
                        l->store->path);
        return;
    }

    if (file->number == 0) {
        (void) snprintf(buf, PHOTA_ARCHIVE_PATH, "%s/archive/%s",
                        l->store->path, PHOTA_ARCHIVE_TEMP);
        return;
    }

    (void) snprintf(buf, PHOTA_ARCHIVE_PATH, "%s/archive/%04u-%llu-%llu.gz",
                    l->store->path, file->number,
                    (unsigned long long) file->first,
                    (unsigned long long) file->last);
}


int
phota_archive_list(phota_ledger_t *l, phota_archive_list_t *list,
    phota_error_t *err)
{
    int                    rc;
    DIR                   *dir;
    char                   path[PHOTA_ARCHIVE_PATH];
    struct dirent         *d;
    phota_archive_file_t   file;

    memset(list, 0, sizeof(phota_archive_list_t));

    phota_archive_path(l, NULL, path);

    dir = opendir(path);

    if (dir == NULL) {
        return (errno == ENOENT) ? PHOTA_OK
                                 : phota_archive_fail(path, "opened", err);
    }

    rc = PHOTA_OK;

    for ( ;; ) {
        errno = 0;
        d = readdir(dir);

        if (d == NULL) {
            if (errno != 0) {
                rc = phota_archive_fail(path, "read", err);
            }
            break;
        }

        if (phota_archive_name(d->d_name, &file) != PHOTA_OK) {
            continue;
        }

        if (phota_archive_list_add(list, &file) != PHOTA_OK) {
            phota_error(err, "no memory");
            rc = PHOTA_ERROR;
            break;
        }
    }

    (void) closedir(dir);

    if (rc == PHOTA_OK) {
        rc = phota_archive_list_check(l, list, err);
    }

    if (rc != PHOTA_OK) {
        phota_archive_list_free(list);
    }

    return rc;
}


void
phota_archive_list_free(phota_archive_list_t *list)
{
    free(list->files);
    memset(list, 0, sizeof(phota_archive_list_t));
}


static int
phota_archive_name(const char *name, phota_archive_file_t *file)
{
    uint64_t  number;

    if (phota_archive_number(&name, '-', &number) != PHOTA_OK
        || phota_archive_number(&name, '-', &file->first) != PHOTA_OK
        || phota_archive_number(&name, '.', &file->last) != PHOTA_OK
        || strcmp(name, "gz") != 0
        || number == 0 || number > UINT32_MAX || file->first > file->last)
    {
        return PHOTA_DECLINED;
    }

    file->number = (unsigned) number;

    return PHOTA_OK;
}


static int
phota_archive_number(const char **p, char end, uint64_t *n)
{
    const char  *text;

    *n = 0;

    for (text = *p; *text >= '0' && *text <= '9'; text++) {

        if (text - *p == 18) {
            return PHOTA_DECLINED;
        }

        *n = *n * 10 + (uint64_t) (*text - '0');
    }

    if (text == *p || *text != end) {
        return PHOTA_DECLINED;
    }

    *p = text + 1;

    return PHOTA_OK;
}


static int
phota_archive_list_add(phota_archive_list_t *list,
    const phota_archive_file_t *file)
{
    phota_archive_file_t  *files;

    /* room doubles when the count is a power of two */

    if ((list->n & (list->n - 1)) == 0) {

        files = realloc(list->files, (list->n ? list->n * 2 : 1)
                                     * sizeof(phota_archive_file_t));
        if (files == NULL) {
            return PHOTA_ERROR;
        }

        list->files = files;
    }

    list->files[list->n++] = *file;

    return PHOTA_OK;
}


static int
phota_archive_list_check(phota_ledger_t *l, phota_archive_list_t *list,
    phota_error_t *err)
{
    size_t                 i;
    phota_archive_file_t  *file;

    if (list->n > 1) {
        qsort(list->files, list->n, sizeof(phota_archive_file_t),
              phota_archive_compare);
    }

    for (i = 0; i < list->n; i++) {
        file = &list->files[i];

        if (file->number != i + 1 || file->first != list->last + 1) {
            phota_error(err, "%.120s/archive: entry %llu should be in file "
                        "%04u, which is missing", l->store->path,
                        (unsigned long long) list->last + 1,
                        (unsigned) i + 1);
            return PHOTA_INVALID;
        }

        list->last = file->last;
    }

    return PHOTA_OK;
}


static int
phota_archive_compare(const void *one, const void *two)
{
    const phota_archive_file_t  *a, *b;

    a = one;
    b = two;

    if (a->number != b->number) {
        return (a->number < b->number) ? -1 : 1;
    }

    return (a->first > b->first) - (a->first < b->first);
}


int
phota_archive_create(phota_archive_writer_t **created, const char *path,
    const phota_archive_head_t *head, phota_error_t *err)
{
    u_char                   buf[PHOTA_ARCHIVE_HEAD];
    phota_writer_t           w;
    phota_archive_writer_t  *a;

    a = calloc(1, sizeof(phota_archive_writer_t));
    *created = a;

    if (a == NULL) {
        phota_error(err, "no memory");
        return PHOTA_ERROR;
    }

    a->fd = -1;
    (void) snprintf(a->path, sizeof(a->path), "%s", path);

    if (phota_archive_open(a, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    phota_write_init(&w, buf, sizeof(buf));
    phota_write_bytes(&w, PHOTA_ARCHIVE_MAGIC, 8);
    phota_write_number(&w, PHOTA_ARCHIVE_VERSION, 4);
    phota_write_number(&w, head->first, 8);
    phota_write_number(&w, head->last, 8);
    phota_write_bytes(&w, head->before, PHOTA_SHA256_LEN);
    phota_write_bytes(&w, head->after, PHOTA_SHA256_LEN);

    return phota_archive_deflate(a, buf, sizeof(buf), Z_NO_FLUSH, err);
}


static int
phota_archive_open(phota_archive_writer_t *w, phota_error_t *err)
{
    int  rc;

    if (phota_hasher_init(&w->digest, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = deflateInit2(&w->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
                      PHOTA_ARCHIVE_BITS, 8, Z_DEFAULT_STRATEGY);
    if (rc != Z_OK) {
        phota_error(err, "zlib: %s", zError(rc));
        return PHOTA_ERROR;
    }

    w->deflating = 1;

    w->fd = open(w->path, O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0600);

    if (w->fd == -1) {
        return phota_archive_fail(w->path, "made", err);
    }

    return PHOTA_OK;
}


int
phota_archive_add(phota_archive_writer_t *w, const void *record, size_t len,
    phota_error_t *err)
{
    u_char  size[4];

    phota_put_le(size, len, sizeof(size));

    if (phota_archive_deflate(w, size, sizeof(size), Z_NO_FLUSH, err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    return phota_archive_deflate(w, record, len, Z_NO_FLUSH, err);
}


int
phota_archive_finish(phota_archive_writer_t *w, phota_error_t *err)
{
    u_char  tail[PHOTA_ARCHIVE_TAIL];

    if (phota_archive_deflate(w, NULL, 0, Z_FINISH, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    if (phota_archive_tail(&w->digest, tail) != PHOTA_OK) {
        phota_error(err, "SHA-256 failed");
        return PHOTA_ERROR;
    }

    if (phota_archive_write(w, tail, sizeof(tail), err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    return (fsync(w->fd) == 0) ? PHOTA_OK
                               : phota_archive_fail(w->path, "synced", err);
}


void
phota_archive_close(phota_archive_writer_t *w)
{
    if (w == NULL) {
        return;
    }

    if (w->deflating) {
        (void) deflateEnd(&w->z);
    }

    if (w->fd != -1) {
        (void) close(w->fd);
    }

    phota_hasher_free(&w->digest);
    free(w);
}


static int
phota_archive_deflate(phota_archive_writer_t *w, const void *p, size_t len,
    int flush, phota_error_t *err)
{
    int     rc;
    size_t  n;

    w->z.next_in = (void *) p;
    w->z.avail_in = (uInt) len;

    do {
        w->z.next_out = w->out;
        w->z.avail_out = sizeof(w->out);

        rc = deflate(&w->z, flush);

        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) {
            phota_error(err, "zlib: %s", zError(rc));
            return PHOTA_ERROR;
        }

        n = sizeof(w->out) - w->z.avail_out;

        if (n == 0) {
            break;
        }

        if (!EVP_DigestUpdate(w->digest.ctx, w->out, n)) {
            phota_error(err, "SHA-256 failed");
            return PHOTA_ERROR;
        }

        if (phota_archive_write(w, w->out, n, err) != PHOTA_OK) {
            return PHOTA_ERROR;
        }

    } while (w->z.avail_out == 0);

    return PHOTA_OK;
}


static int
phota_archive_write(phota_archive_writer_t *w, const void *p, size_t len,
    phota_error_t *err)
{
    ssize_t        n;
    const u_char  *pos;

    for (pos = p; len != 0; pos += n, len -= (size_t) n) {

        n = write(w->fd, pos, len);

        if (n == -1) {
            if (errno != EINTR) {
                return phota_archive_fail(w->path, "written", err);
            }
            n = 0;
        }
    }

    return PHOTA_OK;
}


int
phota_archive_tail(phota_hasher_t *digest, u_char tail[PHOTA_ARCHIVE_TAIL])
{
    u_char          hash[PHOTA_SHA256_LEN];
    phota_writer_t  w;

    static const u_char  header[PHOTA_ARCHIVE_HEADER] = {
        0x1f, 0x8b, Z_DEFLATED, 0x10, 0, 0, 0, 0, 0, 0x03
    };

    if (!EVP_DigestFinal_ex(digest->ctx, hash, NULL)) {
        return PHOTA_ERROR;
    }

    memset(tail, 0, PHOTA_ARCHIVE_TAIL);

    phota_write_init(&w, tail, PHOTA_ARCHIVE_TAIL);
    phota_write_bytes(&w, header, sizeof(header));
    phota_hex_format((char *) w.pos, hash, sizeof(hash));
    w.pos += PHOTA_ARCHIVE_COMMENT;
    phota_write_number(&w, 0x03, 2);

    return w.rc;
}


int
phota_archive_fail(const char *path, const char *what, phota_error_t *err)
{
    phota_error(err, "\"%.160s\" can't be %s: %.48s", path, what,
                strerror(errno));

    return PHOTA_ERROR;
}
