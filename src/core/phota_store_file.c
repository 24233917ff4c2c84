
/*
 * The files of an environment: opened with the right flags, both of one
 * directory, with room for every reader; where the end of one was lost it gets
 * a hole there, and no byte that is there changes.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "phota_store_file.h"


#define PHOTA_STORE_READERS   1024
#define PHOTA_STORE_TABLES    32
#define PHOTA_STORE_ATTEMPTS  10
#define PHOTA_STORE_LOOK      1024      /* pages of a look at memory */
#define PHOTA_STORE_ABSENT    16384     /* pages that are read with it */
#define PHOTA_STORE_READ      500       /* ms for them, at most */
#define PHOTA_STORE_LOCK      (64 * PHOTA_STORE_READERS + 128)  /* bytes */


static int phota_store_env_open(phota_store_t *store, size_t map_size);
static int phota_store_files(phota_store_t *store, unsigned flags);
static int phota_store_lock_file(phota_store_t *store);
static int phota_store_map(phota_store_t *store, size_t map_size);
static void phota_store_end(phota_store_t *store, const MDB_envinfo *info);
static void phota_store_modes(phota_store_t *store);
static size_t phota_store_absent(u_char *start, size_t pages, size_t page,
    size_t *absent);


int
phota_store_env(phota_store_t *store, size_t map_size, phota_error_t *err)
{
    int              i, rc;
    struct timespec  pause;

    pause.tv_sec = 0;
    pause.tv_nsec = 10 * 1000 * 1000;

    /* two that open a new environment at once may meet half of it */

    for (i = 0; i < PHOTA_STORE_ATTEMPTS; i++) {

        rc = phota_store_env_open(store, map_size);

        if (rc != ENOENT && rc != EAGAIN) {
            break;
        }

        (void) nanosleep(&pause, NULL);
    }

    switch (rc) {

    case 0:
        phota_store_modes(store);
        return PHOTA_OK;

    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return phota_store_foreign(store, err);

    default:
        return phota_store_fail(err, store->path, rc);
    }
}


static int
phota_store_env_open(phota_store_t *store, size_t map_size)
{
    int       rc;
    unsigned  flags;

    rc = mdb_env_create(&store->env);

    if (rc != 0) {
        store->env = NULL;
        return rc;
    }

    flags = MDB_NOTLS;
    flags |= (store->flags & PHOTA_STORE_RDONLY) ? MDB_RDONLY : 0;
    flags |= (store->flags & PHOTA_STORE_NOMETASYNC) ? MDB_NOMETASYNC : 0;
    flags |= (store->flags & PHOTA_STORE_RANDOM) ? MDB_NORDAHEAD : 0;

    rc = mdb_env_set_maxreaders(store->env, PHOTA_STORE_READERS);

    if (rc == 0) {
        rc = mdb_env_set_maxdbs(store->env, PHOTA_STORE_TABLES);
    }

    if (rc == 0) {
        rc = phota_store_lock_file(store);
    }

    if (rc == 0) {
        rc = phota_store_files(store, flags);
    }

    if (rc == 0) {
        rc = phota_store_map(store, map_size);
    }

    if (rc != 0) {

        /* required after a failure, and harmless: nobody has used it */

        mdb_env_close(store->env);
        store->env = NULL;
    }

    return rc;
}


/*
 * LMDB opens its files by name, one after the other: if another environment
 * takes this one's place meanwhile they are of both, and two that write have a
 * lock each.  A directory that is open keeps its number, and what was exchanged
 * never comes back.
 */

static int
phota_store_files(phota_store_t *store, unsigned flags)
{
    int          fd, rc;
    struct stat  before, after;

    fd = open(store->path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return errno;
    }

    rc = mdb_env_open(store->env, store->path, flags, 0600);

    if (rc == 0
        && (fstat(fd, &before) == -1 || stat(store->path, &after) == -1))
    {
        rc = errno;
    }

    if (rc == 0
        && (before.st_ino != after.st_ino || before.st_dev != after.st_dev))
    {
        rc = EAGAIN;
    }

    (void) close(fd);

    return rc;
}


/*
 * LMDB maps its table of readers from a file with holes: on a disk that is full
 * a reader in a new page of it would die of SIGBUS.  Before LMDB opens the
 * file, for closing it later would drop LMDB's locks.
 */

static int
phota_store_lock_file(phota_store_t *store)
{
    int   fd, rc;
    char  file[sizeof(store->path) + sizeof("/lock.mdb")];

    (void) snprintf(file, sizeof(file), "%s/lock.mdb", store->path);

    fd = open(file, O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW, 0600);

    if (fd == -1) {

        /* read-only: LMDB says what it thinks of it */

        return 0;
    }

    rc = posix_fallocate(fd, 0, PHOTA_STORE_LOCK);

    (void) close(fd);

    return (rc == EOPNOTSUPP || rc == EINVAL) ? 0 : rc;
}


/*
 * Never less than the file was made with: another process may still let it
 * grow to that, and a smaller map could not follow.
 */

static int
phota_store_map(phota_store_t *store, size_t map_size)
{
    int          rc;
    size_t       page;
    MDB_envinfo  info;

    page = (size_t) sysconf(_SC_PAGESIZE);
    map_size = (map_size + page - 1) / page * page;

    rc = mdb_env_info(store->env, &info);

    if (rc != 0) {
        return rc;
    }

    phota_store_end(store, &info);

    return (map_size > info.me_mapsize)
           ? mdb_env_set_mapsize(store->env, map_size) : 0;
}


/*
 * A file that was cut off, by a copy that broke off or a disk that lost its
 * end: whoever reads a page behind it would die of SIGBUS, each worker anew.
 * In a hole LMDB sees that a page is none.  What lies in the file stays as it
 * is; where it is in order there may be free pages that were never written.
 */

static void
phota_store_end(phota_store_t *store, const MDB_envinfo *info)
{
    int          fd;
    char         file[sizeof(store->path) + sizeof("/data.mdb")];
    off_t        end;
    MDB_stat     env;
    struct stat  st;

    (void) snprintf(file, sizeof(file), "%s/data.mdb", store->path);

    if (mdb_env_stat(store->env, &env) != 0) {
        return;
    }

    end = ((off_t) info->me_last_pgno + 1) * env.ms_psize;

    if (stat(file, &st) == -1 || st.st_size >= end) {
        return;
    }

    fd = open(file, O_WRONLY|O_CLOEXEC|O_NOFOLLOW);

    if (fd == -1) {
        return;
    }

    /* unlike ftruncate() never shortens what somebody lengthens meanwhile */

    (void) posix_fallocate(fd, end - 1, 1);
    (void) close(fd);
}


static void
phota_store_modes(phota_store_t *store)
{
    char  file[sizeof(store->path) + sizeof("/data.mdb")];

    if (!(store->flags & PHOTA_STORE_CREATE)) {
        return;
    }

    /*
     * By name, as opening and closing the lock file would drop LMDB's locks.
     * Who isn't the owner can't, and needn't.
     */

    (void) snprintf(file, sizeof(file), "%s/data.mdb", store->path);
    (void) chmod(file, 0600);

    (void) snprintf(file, sizeof(file), "%s/lock.mdb", store->path);
    (void) chmod(file, 0600);
}


int
phota_store_resident(phota_store_t *store)
{
    int           fd;
    char          byte;
    void         *start;
    size_t        i, n, page, pages, absent[PHOTA_STORE_ABSENT];
    MDB_stat      st;
    uint64_t      until;
    struct stat   file;
    MDB_envinfo   info;

    if (mdb_env_info(store->env, &info) != 0
        || mdb_env_stat(store->env, &st) != 0
        || mdb_env_get_fd(store->env, &fd) != 0 || fstat(fd, &file) != 0)
    {
        return 0;
    }

    page = (size_t) sysconf(_SC_PAGESIZE);
    pages = (info.me_last_pgno + 1) * st.ms_psize / page;

    if (pages == 0 || pages * page > (size_t) file.st_size) {
        return 0;
    }

    /* LMDB doesn't say where its own map lies */

    start = mmap(NULL, pages * page, PROT_READ, MAP_SHARED, fd, 0);

    if (start == MAP_FAILED) {
        return 0;
    }

    n = phota_store_absent(start, pages, page, absent);

    (void) munmap(start, pages * page);

    if (n > PHOTA_STORE_ABSENT) {
        return 0;
    }

    /* all are asked for before the first is waited for */

    for (i = 0; i < n; i++) {
        (void) posix_fadvise(fd, (off_t) (absent[i] * page), (off_t) page,
                             POSIX_FADV_WILLNEED);
    }

    until = phota_now() + PHOTA_STORE_READ;

    for (i = 0; i < n; i++) {

        if (phota_now() > until
            || pread(fd, &byte, 1, (off_t) (absent[i] * page)) != 1)
        {
            return 0;
        }
    }

    return 1;
}


/*
 * The pages that aren't in memory; more than PHOTA_STORE_ABSENT: too many.  The
 * kernel is asked for some at a time: meanwhile nobody can map or unmap.
 */

static size_t
phota_store_absent(u_char *start, size_t pages, size_t page, size_t *absent)
{
    size_t  i, k, n, some;
    u_char  seen[PHOTA_STORE_LOOK];

    n = 0;

    for (i = 0; i < pages; i += some) {
        some = (pages - i < PHOTA_STORE_LOOK) ? pages - i : PHOTA_STORE_LOOK;

        if (mincore(start + i * page, some * page, seen) != 0) {
            return PHOTA_STORE_ABSENT + 1;
        }

        for (k = 0; k < some; k++) {

            if (seen[k] & 1) {
                continue;
            }

            if (n == PHOTA_STORE_ABSENT) {
                return PHOTA_STORE_ABSENT + 1;
            }

            absent[n++] = i + k;
        }
    }

    return n;
}
