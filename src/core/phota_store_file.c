
/*
 * The files of an environment: opened with the right flags, both of one
 * directory, with room for every reader; where the end of one was lost it gets
 * a hole there, and no byte that is there changes.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "phota_store_file.h"


#define PHOTA_STORE_READERS   1024
#define PHOTA_STORE_TABLES    32
#define PHOTA_STORE_ATTEMPTS  10
#define PHOTA_STORE_LOCK      (64 * PHOTA_STORE_READERS + 128)  /* bytes */


static int phota_store_env_open(phota_store_t *store, size_t map_size);
static int phota_store_files(phota_store_t *store, unsigned flags);
static int phota_store_lock_file(phota_store_t *store);
static int phota_store_map(phota_store_t *store, size_t map_size);
static void phota_store_end(phota_store_t *store, const MDB_envinfo *info);
static void phota_store_modes(phota_store_t *store);


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
