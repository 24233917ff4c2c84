
/*
 * Where an export ended: the number of an entry, and a mark of what stands in
 * it, so that a cursor of other books is refused instead of skipping what it
 * has never seen.  In a file it is replaced in one step, after the lines that
 * it stands for are out: a crash between repeats lines, it loses none.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "phota_record.h"
#include "photactl_export.h"


static int photactl_cursor_first(void *ctx, const phota_entry_t *entry);
static int photactl_cursor_take(photactl_t *ctl, photactl_cursor_t *cursor);
static int photactl_cursor_read(photactl_t *ctl, photactl_cursor_t *cursor);
static int photactl_cursor_write(const photactl_cursor_t *cursor);
static int photactl_cursor_sync(const char *path);
static int photactl_cursor_fail(photactl_t *ctl, const char *path);


int
photactl_cursor_parse(photactl_t *ctl, photactl_cursor_t *cursor,
    const char *text)
{
    char    *end;
    size_t   len;

    len = strspn(text, "0123456789");
    end = NULL;

    if (len > 0 && len < 20 && text[len] == '-') {
        cursor->sequence = strtoull(text, &end, 10);

        if (strspn(end + 1, "0123456789abcdef") == PHOTACTL_MARK
            && end[1 + PHOTACTL_MARK] == '\0')
        {
            memcpy(cursor->mark, end + 1, PHOTACTL_MARK + 1);
            return PHOTA_OK;
        }
    }

    ctl->blamed = text;

    return photactl_wrong(ctl, "\"%.64s\": not a cursor of an export", text);
}


void
photactl_cursor_format(char buf[PHOTACTL_CURSOR_TEXT],
    const photactl_cursor_t *cursor)
{
    (void) snprintf(buf, PHOTACTL_CURSOR_TEXT, "%llu-%s",
                    (unsigned long long) cursor->sequence, cursor->mark);
}


/* what of an entry is the same wherever it lies, and in no other books */

int
photactl_cursor_set(photactl_cursor_t *cursor, const phota_entry_t *entry)
{
    u_char          buf[128], digest[PHOTA_SHA256_LEN];
    phota_writer_t  w;

    phota_write_init(&w, buf, sizeof(buf));

    phota_write_number(&w, entry->sequence, 8);
    phota_write_number(&w, entry->time, 8);
    phota_write_number(&w, entry->day, 4);
    phota_write_number(&w, entry->type, 1);
    phota_write_number(&w, entry->charge.tenant, 4);
    phota_write_bytes(&w, entry->charge.id.b, sizeof(phota_id_t));
    phota_write_number(&w, (uint64_t) entry->delta.hits, 8);
    phota_write_number(&w, (uint64_t) entry->delta.cost, 8);
    phota_write_number(&w, (uint64_t) entry->delta.price, 8);
    phota_write_number(&w, (uint64_t) entry->delta.saved, 8);

    if (EVP_Digest(buf, (size_t) (w.pos - w.start), digest, NULL,
                   EVP_sha256(), NULL)
        != 1)
    {
        return PHOTA_ERROR;
    }

    cursor->sequence = entry->sequence;
    phota_hex_format(cursor->mark, digest, PHOTACTL_MARK / 2);

    return PHOTA_OK;
}


int
photactl_cursor_check(photactl_t *ctl, const photactl_cursor_t *cursor)
{
    int                rc;
    phota_entry_t      entry;
    photactl_cursor_t  here;

    if (cursor->sequence == 0) {
        return PHOTA_OK;
    }

    memset(&entry, 0, sizeof(entry));

    rc = phota_ledger_entries(&ctl->ledger, cursor->sequence - 1,
                              photactl_cursor_first, &entry, &ctl->err);

    if (rc != PHOTA_OK && rc != PHOTA_DECLINED) {
        return rc;
    }

    if (entry.sequence == cursor->sequence) {
        if (photactl_cursor_set(&here, &entry) != PHOTA_OK) {
            phota_error(&ctl->err, "OpenSSL has no SHA-256, or no memory");
            return PHOTA_ERROR;
        }

        if (strcmp(here.mark, cursor->mark) == 0) {
            return PHOTA_OK;
        }
    }

    phota_error(&ctl->err, "the cursor %llu-%s is one of other books",
                (unsigned long long) cursor->sequence, cursor->mark);

    return PHOTA_INVALID;
}


static int
photactl_cursor_first(void *ctx, const phota_entry_t *entry)
{
    *(phota_entry_t *) ctx = *entry;

    return PHOTA_DECLINED;
}


int
photactl_cursor_open(photactl_t *ctl, photactl_cursor_t *cursor,
    const char *path)
{
    int  n, rc;

    cursor->path = path;

    n = snprintf(cursor->next, sizeof(cursor->next), "%s.new", path);

    if (*path == '\0' || n < 0 || (size_t) n >= sizeof(cursor->next)) {
        return photactl_wrong(ctl, "--cursor: not a usable path");
    }

    /* before a line goes out, for lines without a cursor go out again */

    rc = photactl_cursor_take(ctl, cursor);

    return (rc == PHOTA_OK) ? photactl_cursor_read(ctl, cursor) : rc;
}


/*
 * One export at a time: the lock is on the file that takes the cursor's place,
 * and counts while that is still the file of this name.
 */

static int
photactl_cursor_take(photactl_t *ctl, photactl_cursor_t *cursor)
{
    struct stat  held, named;

    cursor->fd = open(cursor->next, O_RDWR|O_CREAT|O_NOFOLLOW|O_CLOEXEC,
                      0600);
    if (cursor->fd == -1) {
        return photactl_cursor_fail(ctl, cursor->next);
    }

    if (flock(cursor->fd, LOCK_EX|LOCK_NB) == -1
        || fstat(cursor->fd, &held) == -1
        || stat(cursor->next, &named) == -1
        || held.st_ino != named.st_ino || held.st_dev != named.st_dev)
    {
        (void) close(cursor->fd);
        cursor->fd = -1;

        phota_error(&ctl->err, "cursor \"%.128s\": another export is at it",
                    cursor->path);
        return PHOTA_REFUSED;
    }

    if (!S_ISREG(held.st_mode)) {
        phota_error(&ctl->err, "\"%.128s\": not a regular file",
                    cursor->next);
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


static int
photactl_cursor_read(photactl_t *ctl, photactl_cursor_t *cursor)
{
    int      fd, rc;
    char     text[128];
    ssize_t  n;

    fd = open(cursor->path, O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        return (errno == ENOENT) ? PHOTA_OK
                                 : photactl_cursor_fail(ctl, cursor->path);
    }

    n = read(fd, text, sizeof(text) - 1);

    (void) close(fd);

    if (n == -1) {
        return photactl_cursor_fail(ctl, cursor->path);
    }

    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';

    rc = photactl_cursor_parse(ctl, cursor, text);

    if (rc != PHOTA_OK) {
        phota_error(&ctl->err, "\"%.128s\" doesn't hold a cursor of an "
                    "export", cursor->path);
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


int
photactl_cursor_save(photactl_t *ctl, photactl_cursor_t *cursor)
{
    if (photactl_cursor_write(cursor) != PHOTA_OK
        || rename(cursor->next, cursor->path) == -1)
    {
        return photactl_cursor_fail(ctl, cursor->next);
    }

    cursor->saved = 1;

    if (photactl_cursor_sync(cursor->path) != PHOTA_OK) {
        return photactl_cursor_fail(ctl, cursor->path);
    }

    return PHOTA_OK;
}


static int
photactl_cursor_write(const photactl_cursor_t *cursor)
{
    char    text[PHOTACTL_CURSOR_TEXT + 1];
    size_t  len;

    photactl_cursor_format(text, cursor);

    len = strlen(text);
    text[len++] = '\n';

    if (ftruncate(cursor->fd, 0) == -1
        || pwrite(cursor->fd, text, len, 0) != (ssize_t) len
        || fsync(cursor->fd) == -1)
    {
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


/* the directory's entry too */

static int
photactl_cursor_sync(const char *path)
{
    int    fd, rc;
    char  *copy, *slash;

    copy = strdup(path);
    if (copy == NULL) {
        return PHOTA_ERROR;
    }

    slash = strrchr(copy, '/');

    if (slash != NULL) {
        slash[slash == copy] = '\0';
    }

    fd = open(slash != NULL ? copy : ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    rc = (fd != -1) ? fsync(fd) : -1;

    if (fd != -1) {
        (void) close(fd);
    }

    free(copy);

    return (rc == 0) ? PHOTA_OK : PHOTA_ERROR;
}


void
photactl_cursor_close(photactl_cursor_t *cursor)
{
    if (cursor->fd == -1) {
        return;
    }

    if (!cursor->saved) {
        (void) unlink(cursor->next);
    }

    (void) close(cursor->fd);
    cursor->fd = -1;
}


static int
photactl_cursor_fail(photactl_t *ctl, const char *path)
{
    phota_error(&ctl->err, "cursor \"%.128s\": %s%s", path, strerror(errno),
                errno == EACCES ? " (it is the data directory's owner who "
                                  "writes it)" : "");

    return PHOTA_ERROR;
}
