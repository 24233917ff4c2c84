
/*
 * Copies of the books: bytes that are digested and synced on their way,
 * directories made and removed by their descriptors, and the same check that
 * ledger verify makes.
 */


#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "phota_chain.h"
#include "photactl_copy.h"


#define PHOTACTL_COPY_BUFFER  (1 << 20)


static int photactl_copy_bytes(photactl_copy_t *copy, int in, int out,
    const char *name, u_char *buf, phota_hasher_t *hasher,
    photactl_copied_t *copied);
static int photactl_copy_write(photactl_copy_t *copy, int out,
    const char *name, const u_char *p, size_t len);
static int photactl_copy_watch(photactl_copy_t *copy);
static int photactl_copy_open(void *ctx, const phota_charge_t *charge);


int
photactl_copy(photactl_copy_t *copy, int in, int out, const char *name,
    photactl_copied_t *copied)
{
    int             rc;
    u_char         *buf, hash[PHOTA_SHA256_LEN];
    phota_error_t  *err;
    phota_hasher_t  hasher;

    err = &copy->ctl->err;
    copied->bytes = 0;

    if (phota_hasher_init(&hasher, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    buf = malloc(PHOTACTL_COPY_BUFFER);

    if (buf == NULL) {
        phota_error(err, "no memory");
        phota_hasher_free(&hasher);
        return PHOTA_ERROR;
    }

    rc = photactl_copy_bytes(copy, in, out, name, buf, &hasher, copied);

    if (rc == PHOTA_OK && !EVP_DigestFinal_ex(hasher.ctx, hash, NULL)) {
        phota_error(err, "OpenSSL has no SHA-256");
        rc = PHOTA_ERROR;
    }

    free(buf);
    phota_hasher_free(&hasher);

    if (rc != PHOTA_OK) {
        return rc;
    }

    phota_hex_format(copied->sha256, hash, sizeof(hash));

    return photactl_copy_sync(copy->ctl, out, name);
}


static int
photactl_copy_bytes(photactl_copy_t *copy, int in, int out, const char *name,
    u_char *buf, phota_hasher_t *hasher, photactl_copied_t *copied)
{
    ssize_t  n;

    for ( ;; ) {
        n = read(in, buf, PHOTACTL_COPY_BUFFER);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1) {
            phota_error(&copy->ctl->err, "\"%.128s\" can't be read: %s", name,
                        strerror(errno));
            return PHOTA_ERROR;
        }

        if (n == 0) {
            return PHOTA_OK;
        }

        if (!EVP_DigestUpdate(hasher->ctx, buf, (size_t) n)) {
            phota_error(&copy->ctl->err, "OpenSSL has no SHA-256");
            return PHOTA_ERROR;
        }

        if (photactl_copy_write(copy, out, name, buf, (size_t) n) != PHOTA_OK
            || photactl_copy_watch(copy) != PHOTA_OK)
        {
            return PHOTA_ERROR;
        }

        copied->bytes += (uint64_t) n;
        copy->done += (uint64_t) n;

        photactl_progress(copy->what, copy->done, copy->total);
    }
}


static int
photactl_copy_write(photactl_copy_t *copy, int out, const char *name,
    const u_char *p, size_t len)
{
    ssize_t  n;

    while (len != 0) {
        n = write(out, p, len);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1) {
            phota_error(&copy->ctl->err, "\"%.128s\" can't be written: %s",
                        name, strerror(errno));
            return PHOTA_ERROR;
        }

        p += n;
        len -= (size_t) n;
    }

    return PHOTA_OK;
}


/* a copy that is too slow is given up before it costs the books their disk */

static int
photactl_copy_watch(photactl_copy_t *copy)
{
    struct stat  st;

    if (copy->source == -1 || fstat(copy->source, &st) == -1
        || (uint64_t) st.st_size <= copy->limit)
    {
        return PHOTA_OK;
    }

    phota_error(&copy->ctl->err, "the books grow while they are read: writing "
                "the copy takes too long, take a faster disk");

    return PHOTA_ERROR;
}


int
photactl_copy_mkdir(photactl_t *ctl, int dir, const char *name)
{
    int  fd;

    fd = -1;

    if (mkdirat(dir, name, 0700) == 0) {
        fd = openat(dir, name, O_RDONLY|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC);
    }

    if (fd == -1) {
        phota_error(&ctl->err, "directory \"%.128s\" can't be made: %s", name,
                    strerror(errno));
    }

    return fd;
}


int
photactl_copy_create(photactl_t *ctl, int dir, const char *name)
{
    int  fd;

    fd = openat(dir, name, O_RDWR|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0600);

    if (fd == -1) {
        phota_error(&ctl->err, "\"%.128s\" can't be made: %s", name,
                    strerror(errno));
    }

    return fd;
}


int
photactl_copy_sync(photactl_t *ctl, int fd, const char *name)
{
    if (fsync(fd) == -1) {
        phota_error(&ctl->err, "\"%.128s\" can't be synced: %s", name,
                    strerror(errno));
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


void
photactl_copy_erase(int dir, const char *name)
{
    int             fd;
    DIR            *d;
    struct dirent  *entry;

    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT) {
        return;
    }

    fd = openat(dir, name, O_RDONLY|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC);
    d = (fd != -1) ? fdopendir(fd) : NULL;

    if (d == NULL) {
        return;
    }

    while ((entry = readdir(d)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0
            && strcmp(entry->d_name, "..") != 0)
        {
            photactl_copy_erase(fd, entry->d_name);
        }
    }

    (void) closedir(d);
    (void) unlinkat(dir, name, AT_REMOVEDIR);
}


int
photactl_copy_verify(photactl_t *ctl, const char *dir, uint64_t *entries,
    char chain[2 * PHOTA_SHA256_LEN + 1], uint64_t *open)
{
    int             rc;
    char            lock[1100];
    u_char          hash[PHOTA_SHA256_LEN];
    MDB_txn        *txn;
    phota_store_t   store;
    phota_ledger_t  ledger;

    rc = phota_store_open(&store, dir, "books", PHOTA_BOOKS_SCHEMA, 0,
                          PHOTA_STORE_RDONLY, &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    *open = 0;

    rc = phota_ledger_open(&ledger, &store, &ctl->err);

    if (rc == PHOTA_OK) {
        rc = phota_ledger_verify(&ledger, entries, hash, &ctl->err);

        if (rc == PHOTA_OK) {
            rc = phota_store_begin(&store, 0, &txn, &ctl->err);
        }

        if (rc == PHOTA_OK) {
            rc = phota_ledger_each_open(&ledger, txn, photactl_copy_open,
                                        open, &ctl->err);
            phota_store_abort(txn);
        }

        phota_ledger_close(&ledger);
    }

    phota_store_close(&store);

    /* of this process alone */

    (void) snprintf(lock, sizeof(lock), "%s/books/lock.mdb", dir);
    (void) unlink(lock);

    phota_hex_format(chain, hash, sizeof(hash));

    return rc;
}


static int
photactl_copy_open(void *ctx, const phota_charge_t *charge)
{
    uint64_t  *n = ctx;

    (void) charge;

    ++*n;

    return PHOTA_OK;
}
