
/*
 * Reading a file of archived entries.  No length and no count in it is
 * believed: what it says it is has to follow from its digest, its name and the
 * chain of its entries.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "phota_archive.h"
#include "phota_ledger_record.h"
#include "phota_record.h"


typedef struct {
    int              fd;
    unsigned         inflating:1;
    unsigned         ended:1;           /* the first member is */
    off_t            left;              /* bytes of it not read yet */
    const u_char    *pos;               /* of out */
    z_stream         z;
    phota_hasher_t   digest;            /* of the file */
    phota_hasher_t   chain;
    phota_error_t   *err;
    char             path[PHOTA_ARCHIVE_PATH];
    u_char           in[PHOTA_ARCHIVE_BUFFER];
    u_char           out[PHOTA_ARCHIVE_BUFFER];
} phota_archive_reader_t;


static int phota_archive_start(phota_archive_reader_t *r);
static int phota_archive_head(phota_archive_reader_t *r,
    const phota_archive_file_t *file, phota_archive_head_t *head);
static int phota_archive_entries(phota_archive_reader_t *r,
    const phota_archive_head_t *head, phota_archive_pt handler, void *ctx);
static int phota_archive_entry(phota_archive_reader_t *r, uint64_t sequence,
    u_char hash[PHOTA_SHA256_LEN], phota_archive_pt handler, void *ctx);
static int phota_archive_end(phota_archive_reader_t *r);
static int phota_archive_get(phota_archive_reader_t *r, void *p, size_t len);
static int phota_archive_fill(phota_archive_reader_t *r);
static int phota_archive_load(phota_archive_reader_t *r);
static int phota_archive_pull(phota_archive_reader_t *r, void *p,
    size_t len);
static int phota_archive_damaged(phota_archive_reader_t *r,
    const char *what);


int
phota_archive_read(phota_ledger_t *l, const phota_archive_file_t *file,
    phota_archive_head_t *head, phota_archive_pt handler, void *ctx,
    phota_error_t *err)
{
    int                      rc;
    phota_archive_reader_t  *r;

    r = calloc(1, sizeof(phota_archive_reader_t));

    if (r == NULL) {
        phota_error(err, "no memory");
        return PHOTA_ERROR;
    }

    r->fd = -1;
    r->err = err;
    phota_archive_path(l, file, r->path);

    rc = phota_archive_start(r);

    if (rc == PHOTA_OK) {
        rc = phota_archive_head(r, file, head);
    }

    if (rc == PHOTA_OK) {
        rc = phota_archive_entries(r, head, handler, ctx);
    }

    if (rc == PHOTA_OK) {
        rc = phota_archive_end(r);
    }

    if (r->inflating) {
        (void) inflateEnd(&r->z);
    }

    if (r->fd != -1) {
        (void) close(r->fd);
    }

    phota_hasher_free(&r->digest);
    phota_hasher_free(&r->chain);
    free(r);

    return rc;
}


static int
phota_archive_start(phota_archive_reader_t *r)
{
    int          rc;
    struct stat  st;

    if (phota_hasher_init(&r->digest, r->err) != PHOTA_OK
        || phota_hasher_init(&r->chain, r->err) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    rc = inflateInit2(&r->z, PHOTA_ARCHIVE_BITS);
    if (rc != Z_OK) {
        phota_error(r->err, "zlib: %s", zError(rc));
        return PHOTA_ERROR;
    }

    r->inflating = 1;
    r->pos = r->out;
    r->z.next_out = r->out;

    /* not blocked by a pipe that somebody put in its place */

    r->fd = open(r->path, O_RDONLY|O_NONBLOCK|O_CLOEXEC);

    if (r->fd == -1 || fstat(r->fd, &st) == -1) {
        return phota_archive_fail(r->path, "read", r->err);
    }

    if (!S_ISREG(st.st_mode) || st.st_size <= (off_t) PHOTA_ARCHIVE_TAIL) {
        return phota_archive_damaged(r, "is cut");
    }

    r->left = st.st_size - (off_t) PHOTA_ARCHIVE_TAIL;

    return PHOTA_OK;
}


static int
phota_archive_head(phota_archive_reader_t *r,
    const phota_archive_file_t *file, phota_archive_head_t *head)
{
    int             rc;
    u_char          buf[PHOTA_ARCHIVE_HEAD];
    const u_char   *magic, *hash;
    phota_reader_t  reader;

    rc = phota_archive_get(r, buf, sizeof(buf));
    if (rc != PHOTA_OK) {
        return rc;
    }

    phota_read_init(&reader, buf, sizeof(buf));
    magic = phota_read_bytes(&reader, 8);

    if (memcmp(magic, PHOTA_ARCHIVE_MAGIC, 8) != 0
        || phota_read_number(&reader, 4) != PHOTA_ARCHIVE_VERSION)
    {
        return phota_archive_damaged(r, "is of another kind or version");
    }

    head->first = phota_read_number(&reader, 8);
    head->last = phota_read_number(&reader, 8);

    if (head->first != file->first || head->last != file->last) {
        return phota_archive_damaged(r, "has other entries than its name "
                                     "says");
    }

    hash = phota_read_bytes(&reader, 2 * PHOTA_SHA256_LEN);
    memcpy(head->before, hash, PHOTA_SHA256_LEN);
    memcpy(head->after, hash + PHOTA_SHA256_LEN, PHOTA_SHA256_LEN);

    return PHOTA_OK;
}


static int
phota_archive_entries(phota_archive_reader_t *r,
    const phota_archive_head_t *head, phota_archive_pt handler, void *ctx)
{
    int       rc;
    u_char    hash[PHOTA_SHA256_LEN];
    uint64_t  sequence;

    memcpy(hash, head->before, PHOTA_SHA256_LEN);

    for (sequence = head->first; sequence <= head->last; sequence++) {

        rc = phota_archive_entry(r, sequence, hash, handler, ctx);

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    if (memcmp(hash, head->after, PHOTA_SHA256_LEN) != 0) {
        return phota_archive_damaged(r, "doesn't end with the entry that its "
                                     "head says");
    }

    return PHOTA_OK;
}


static int
phota_archive_entry(phota_archive_reader_t *r, uint64_t sequence,
    u_char hash[PHOTA_SHA256_LEN], phota_archive_pt handler, void *ctx)
{
    int            rc;
    size_t         len;
    u_char         size[4], record[PHOTA_LEDGER_RECORD];
    phota_entry_t  entry;

    rc = phota_archive_get(r, size, sizeof(size));
    if (rc != PHOTA_OK) {
        return rc;
    }

    len = phota_get_le(size, sizeof(size));

    if (len > sizeof(record)) {
        return phota_archive_damaged(r, "has a record that is too long");
    }

    rc = phota_archive_get(r, record, len);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_entry_decode(&entry, record, len);

    if (rc == PHOTA_OK
        && phota_hasher_link(&r->chain, hash, record, entry.covered, hash)
           != PHOTA_OK)
    {
        phota_error(r->err, "SHA-256 failed");
        return PHOTA_ERROR;
    }

    if (rc != PHOTA_OK || entry.sequence != sequence
        || memcmp(hash, entry.hash, PHOTA_SHA256_LEN) != 0)
    {
        phota_error(r->err, "entry %llu in \"%.160s\" is damaged",
                    (unsigned long long) sequence, r->path);
        return PHOTA_INVALID;
    }

    return (handler == NULL) ? PHOTA_OK : handler(ctx, &entry, record, len);
}


/* nothing more, and what makes even the bytes that zlib overlooks count */

static int
phota_archive_end(phota_archive_reader_t *r)
{
    int     rc;
    u_char  found[PHOTA_ARCHIVE_TAIL], tail[PHOTA_ARCHIVE_TAIL];

    if (r->pos == r->z.next_out && !r->ended) {

        rc = phota_archive_fill(r);
        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    if (r->pos != r->z.next_out || !r->ended || r->z.avail_in != 0
        || r->left != 0)
    {
        return phota_archive_damaged(r, "has more than its entries");
    }

    rc = phota_archive_pull(r, found, sizeof(found));
    if (rc != PHOTA_OK) {
        return rc;
    }

    if (phota_archive_tail(&r->digest, tail) != PHOTA_OK) {
        phota_error(r->err, "SHA-256 failed");
        return PHOTA_ERROR;
    }

    if (memcmp(found, tail, sizeof(tail)) != 0) {
        return phota_archive_damaged(r, "differs from its digest");
    }

    return PHOTA_OK;
}


static int
phota_archive_get(phota_archive_reader_t *r, void *p, size_t len)
{
    int      rc;
    size_t   n;
    u_char  *to;

    to = p;

    for ( ;; ) {
        n = (size_t) (r->z.next_out - r->pos);
        n = (n < len) ? n : len;

        memcpy(to, r->pos, n);
        r->pos += n;
        to += n;
        len -= n;

        if (len == 0) {
            return PHOTA_OK;
        }

        if (r->ended) {
            return phota_archive_damaged(r, "ends too early");
        }

        rc = phota_archive_fill(r);
        if (rc != PHOTA_OK) {
            return rc;
        }
    }
}


/* out anew, which has been read; nothing in it when the member has ended */

static int
phota_archive_fill(phota_archive_reader_t *r)
{
    int  rc;

    r->pos = r->out;
    r->z.next_out = r->out;
    r->z.avail_out = sizeof(r->out);

    while (r->z.next_out == r->out && !r->ended) {

        if (r->z.avail_in == 0) {

            rc = phota_archive_load(r);
            if (rc != PHOTA_OK) {
                return rc;
            }
        }

        rc = inflate(&r->z, Z_NO_FLUSH);

        switch (rc) {

        case Z_OK:
        case Z_BUF_ERROR:
            break;

        case Z_STREAM_END:
            r->ended = 1;
            break;

        case Z_MEM_ERROR:
            phota_error(r->err, "no memory");
            return PHOTA_ERROR;

        default:
            return phota_archive_damaged(r, "doesn't decompress");
        }
    }

    return PHOTA_OK;
}


static int
phota_archive_load(phota_archive_reader_t *r)
{
    int     rc;
    size_t  n;

    if (r->left == 0) {
        return phota_archive_damaged(r, "is cut");
    }

    n = (r->left < (off_t) sizeof(r->in)) ? (size_t) r->left : sizeof(r->in);

    rc = phota_archive_pull(r, r->in, n);
    if (rc != PHOTA_OK) {
        return rc;
    }

    if (!EVP_DigestUpdate(r->digest.ctx, r->in, n)) {
        phota_error(r->err, "SHA-256 failed");
        return PHOTA_ERROR;
    }

    r->left -= (off_t) n;
    r->z.next_in = r->in;
    r->z.avail_in = (uInt) n;

    return PHOTA_OK;
}


static int
phota_archive_pull(phota_archive_reader_t *r, void *p, size_t len)
{
    u_char   *to;
    ssize_t   n;

    for (to = p; len != 0; to += n, len -= (size_t) n) {

        n = read(r->fd, to, len);

        if (n == 0) {
            return phota_archive_damaged(r, "is cut");
        }

        if (n == -1) {
            if (errno != EINTR) {
                return phota_archive_fail(r->path, "read", r->err);
            }
            n = 0;
        }
    }

    return PHOTA_OK;
}


static int
phota_archive_damaged(phota_archive_reader_t *r, const char *what)
{
    phota_error(r->err, "\"%.160s\" %s", r->path, what);

    return PHOTA_INVALID;
}
