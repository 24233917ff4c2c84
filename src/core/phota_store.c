
/*
 * One LMDB environment: its schema checked, never wiped, never grown at run
 * time; its transactions and tables.  Whatever the file turns out to be,
 * opening it changes nothing but what PHOTA_STORE_CREATE asks for.
 */


#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "phota_record.h"
#include "phota_store_file.h"


static int phota_store_prepare(phota_store_t *store, const char *dir,
    phota_error_t *err);
static int phota_store_mkdir(const char *path, phota_error_t *err);
static int phota_store_check(phota_store_t *store, const char *kind,
    uint32_t schema, phota_error_t *err);
static int phota_store_examine(phota_store_t *store, MDB_txn *txn,
    const char *kind, uint32_t schema, phota_error_t *err);
static int phota_store_compare(phota_store_t *store, MDB_txn *txn,
    const char *kind, uint32_t schema, phota_error_t *err);
static int phota_store_write_schema(phota_store_t *store, MDB_txn *txn,
    const char *kind, uint32_t schema, phota_error_t *err);
static int phota_store_is_cache(const char *path);
static int phota_store_table_try(phota_store_t *store, const char *name,
    int create, MDB_dbi *dbi, phota_error_t *err);
static int phota_store_number(phota_store_t *store, MDB_txn *txn,
    const char *name, void *p, size_t len);
static int phota_store_set(phota_store_t *store, MDB_txn *txn,
    const char *name, const void *p, size_t len);


int
phota_store_open(phota_store_t *store, const char *dir, const char *kind,
    uint32_t schema, size_t map_size, unsigned flags, phota_error_t *err)
{
    int  n, rc;

    memset(store, 0, sizeof(phota_store_t));

    store->flags = flags;

    n = snprintf(store->path, sizeof(store->path), "%s/%s", dir, kind);

    /* LMDB appends the names of its files */

    if (n < 0 || (size_t) n >= sizeof(store->path) - sizeof("/data.mdb")) {
        phota_error(err, "the path of the data directory is too long");
        return PHOTA_INVALID;
    }

    if (phota_store_prepare(store, dir, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = phota_store_env(store, map_size, err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    /* those who died with a reader's slot would keep pages from reuse */

    (void) phota_store_reap(store, NULL);

    rc = phota_store_check(store, kind, schema, err);

    if (rc != PHOTA_OK) {
        phota_store_close(store);
    }

    return rc;
}


void
phota_store_close(phota_store_t *store)
{
    int  patch;

    if (store->env == NULL) {
        return;
    }

    /*
     * LMDB 0.9.26 to 0.9.31 destroys the mutexes that it shares with other
     * processes when it believes itself to be the last user, and it errs
     * (ITS#10095).  There the environment is left to the process's end.
     */

    (void) mdb_version(NULL, NULL, &patch);

    if (patch < 26 || patch > 31) {
        mdb_env_close(store->env);
    }

    store->env = NULL;
}


static int
phota_store_prepare(phota_store_t *store, const char *dir, phota_error_t *err)
{
    char         file[sizeof(store->path) + sizeof("/data.mdb")];
    struct stat  st;

    (void) snprintf(file, sizeof(file), "%s/data.mdb", store->path);

    if (stat(file, &st) == 0) {
        return PHOTA_OK;
    }

    if (errno != ENOENT) {
        phota_error(err, "\"%.160s\" can't be reached: %s", file,
                    strerror(errno));
        return PHOTA_ERROR;
    }

    if (!(store->flags & PHOTA_STORE_CREATE)) {
        phota_error(err, "\"%.120s\" does not exist: run \"photactl init\", "
                    "or name another data directory", file);
        return PHOTA_ERROR;
    }

    if (phota_store_mkdir(dir, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    return phota_store_mkdir(store->path, err);
}


static int
phota_store_mkdir(const char *path, phota_error_t *err)
{
    if (mkdir(path, 0700) == 0) {

        /* a strange umask may have taken the owner's own rights */

        if (chmod(path, 0700) == 0) {
            return PHOTA_OK;
        }

    } else if (errno == EEXIST) {
        return PHOTA_OK;
    }

    phota_error(err, "directory \"%.160s\" can't be made: %s", path,
                strerror(errno));

    return PHOTA_ERROR;
}


static int
phota_store_check(phota_store_t *store, const char *kind, uint32_t schema,
    phota_error_t *err)
{
    int       rc;
    MDB_txn  *txn;

    if (phota_store_begin(store, 0, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = phota_store_examine(store, txn, kind, schema, err);

    if (rc == PHOTA_OK) {
        return phota_store_commit(txn, err);
    }

    phota_store_abort(txn);

    if (rc != PHOTA_DECLINED || !(store->flags & PHOTA_STORE_CREATE)
        || (store->flags & PHOTA_STORE_RDONLY))
    {
        return (rc == PHOTA_DECLINED) ? PHOTA_INVALID : rc;
    }

    /* empty: once more under the writer's lock, another may have been first */

    if (phota_store_begin(store, 1, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = phota_store_examine(store, txn, kind, schema, err);

    if (rc == PHOTA_DECLINED) {
        rc = phota_store_write_schema(store, txn, kind, schema, err);
    }

    if (rc != PHOTA_OK) {
        phota_store_abort(txn);
        return rc;
    }

    return phota_store_commit(txn, err);
}


static int
phota_store_examine(phota_store_t *store, MDB_txn *txn, const char *kind,
    uint32_t schema, phota_error_t *err)
{
    int       rc;
    MDB_dbi   main;
    MDB_stat  st;

    rc = mdb_dbi_open(txn, "meta", 0, &store->meta);

    if (rc == 0) {
        return phota_store_compare(store, txn, kind, schema, err);
    }

    if (rc != MDB_NOTFOUND) {
        return (rc == MDB_INCOMPATIBLE) ? phota_store_foreign(store, err)
                                        : phota_store_fail(err, store->path,
                                                           rc);
    }

    rc = mdb_dbi_open(txn, NULL, 0, &main);

    if (rc == 0) {
        rc = mdb_stat(txn, main, &st);
    }

    if (rc != 0) {
        return phota_store_fail(err, store->path, rc);
    }

    if (st.ms_entries != 0) {
        return phota_store_foreign(store, err);
    }

    phota_error(err, "\"%.120s/data.mdb\" is empty: run \"photactl init\"",
                store->path);

    return PHOTA_DECLINED;
}


static int
phota_store_compare(phota_store_t *store, MDB_txn *txn, const char *kind,
    uint32_t schema, phota_error_t *err)
{
    int       rc;
    char      magic[32];
    MDB_val   key, value;
    u_char    buf[4];
    uint32_t  found;

    (void) snprintf(magic, sizeof(magic), "phota-%s", kind);

    key.mv_data = "magic";
    key.mv_size = sizeof("magic") - 1;

    rc = mdb_get(txn, store->meta, &key, &value);

    if (rc != 0 && rc != MDB_NOTFOUND) {
        return phota_store_fail(err, store->path, rc);
    }

    if (rc == MDB_NOTFOUND || value.mv_size != strlen(magic)
        || memcmp(value.mv_data, magic, value.mv_size) != 0
        || phota_store_number(store, txn, "schema", buf, 4) != PHOTA_OK)
    {
        return phota_store_foreign(store, err);
    }

    found = (uint32_t) phota_get_le(buf, 4);
    store->schema = found;

    if (found != schema && !(store->flags & PHOTA_STORE_ANY)) {
        if (phota_store_is_cache(store->path)) {
            phota_error(err, "the cache has schema %u, this version of phota "
                        "reads schema %u: with nginx stopped "
                        "\"rm %s/data.mdb\" begins it anew",
                        (unsigned) found, (unsigned) schema, store->path);
            return PHOTA_INVALID;
        }

        phota_error(err, "\"%.100s/data.mdb\" has schema %u, this version of "
                    "phota reads schema %u: %s",
                    store->path, (unsigned) found, (unsigned) schema,
                    found < schema ? "photactl migrate, with nginx stopped"
                                   : "use the version that wrote it");
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


static int
phota_store_write_schema(phota_store_t *store, MDB_txn *txn,
    const char *kind, uint32_t schema, phota_error_t *err)
{
    int     rc;
    char    magic[32];
    u_char  version[4], generation[8];

    (void) snprintf(magic, sizeof(magic), "phota-%s", kind);
    phota_put_le(version, schema, 4);
    phota_put_le(generation, 1, 8);

    rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &store->meta);

    if (rc == 0) {
        rc = phota_store_set(store, txn, "magic", magic, strlen(magic));
    }

    if (rc == 0) {
        rc = phota_store_set(store, txn, "schema", version, 4);
    }

    if (rc == 0) {
        rc = phota_store_set(store, txn, "generation", generation, 8);
    }

    return (rc == 0) ? PHOTA_OK : phota_store_fail(err, store->path, rc);
}


int
phota_store_schema(phota_store_t *store, MDB_txn *txn, uint32_t schema,
    phota_error_t *err)
{
    int     rc;
    u_char  version[4];

    phota_put_le(version, schema, 4);

    rc = phota_store_set(store, txn, "schema", version, 4);

    return (rc == 0) ? PHOTA_OK : phota_store_fail(err, store->path, rc);
}


int
phota_store_foreign(phota_store_t *store, phota_error_t *err)
{
    if (phota_store_is_cache(store->path)) {
        phota_error(err, "the cache is not a file of phota, or damaged: with "
                    "nginx stopped \"rm %s/data.mdb\" begins it anew",
                    store->path);
        return PHOTA_INVALID;
    }

    phota_error(err, "\"%.110s/data.mdb\" is not a file of phota, or damaged: "
                "restore a backup, or name another data directory",
                store->path);

    return PHOTA_INVALID;
}


/* losing it costs hits alone */

static int
phota_store_is_cache(const char *path)
{
    const char  *name;

    name = strrchr(path, '/');

    return name != NULL && strcmp(name, "/cache") == 0;
}


int
phota_store_table(phota_store_t *store, const char *name, MDB_dbi *dbi,
    phota_error_t *err)
{
    int  rc;

    rc = phota_store_table_try(store, name, 0, dbi, err);

    if (rc != PHOTA_DECLINED || !(store->flags & PHOTA_STORE_CREATE)
        || (store->flags & PHOTA_STORE_RDONLY))
    {
        return rc;
    }

    return phota_store_table_try(store, name, 1, dbi, err);
}


static int
phota_store_table_try(phota_store_t *store, const char *name, int create,
    MDB_dbi *dbi, phota_error_t *err)
{
    int       rc;
    MDB_txn  *txn;

    if (phota_store_begin(store, create, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = mdb_dbi_open(txn, name, create ? MDB_CREATE : 0, dbi);

    if (rc == 0) {

        /* the handle is the environment's only after a commit */

        return phota_store_commit(txn, err);
    }

    phota_store_abort(txn);

    if (rc == MDB_NOTFOUND) {
        phota_error(err, "\"%.120s/data.mdb\" has no table \"%s\": run "
                    "\"photactl init\"", store->path, name);
        return PHOTA_DECLINED;
    }

    return phota_store_fail(err, store->path, rc);
}


int
phota_store_begin(phota_store_t *store, int write, MDB_txn **txn,
    phota_error_t *err)
{
    int       rc;
    unsigned  flags;

    flags = write ? 0 : MDB_RDONLY;

    rc = mdb_txn_begin(store->env, NULL, flags, txn);

    if (rc == MDB_READERS_FULL
        && phota_store_reap(store, NULL) == PHOTA_OK)
    {
        rc = mdb_txn_begin(store->env, NULL, flags, txn);
    }

    if (rc == MDB_PANIC || rc == MDB_MAP_RESIZED) {
        store->broken = 1;
    }

    return (rc == 0) ? PHOTA_OK : phota_store_fail(err, store->path, rc);
}


int
phota_store_commit(MDB_txn *txn, phota_error_t *err)
{
    int          rc;
    MDB_env     *env;
    const char  *path;

    env = mdb_txn_env(txn);

    rc = mdb_txn_commit(txn);

    if (rc == 0) {
        return PHOTA_OK;
    }

    path = "LMDB";
    (void) mdb_env_get_path(env, &path);

    return phota_store_fail(err, path, rc);
}


void
phota_store_abort(MDB_txn *txn)
{
    mdb_txn_abort(txn);
}


int
phota_store_fail(phota_error_t *err, const char *what, int rc)
{
    if ((rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND)
        && phota_store_is_cache(what))
    {
        phota_error(err, "the cache is damaged (%.60s): with nginx stopped "
                    "\"rm %s/data.mdb\" begins it anew", mdb_strerror(rc),
                    what);
        return PHOTA_ERROR;
    }

    phota_error(err, "%.160s: %.80s", what, mdb_strerror(rc));

    return PHOTA_ERROR;
}


int
phota_store_generation(phota_store_t *store, uint64_t *generation)
{
    int       rc;
    u_char    buf[8];
    MDB_txn  *txn;

    if (phota_store_begin(store, 0, &txn, NULL) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = phota_store_number(store, txn, "generation", buf, 8);

    phota_store_abort(txn);

    if (rc != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    *generation = phota_get_le(buf, 8);

    return PHOTA_OK;
}


int
phota_store_touch(phota_store_t *store, MDB_txn *txn)
{
    u_char  buf[8];

    if (phota_store_number(store, txn, "generation", buf, 8) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    phota_put_le(buf, phota_get_le(buf, 8) + 1, 8);

    if (phota_store_set(store, txn, "generation", buf, 8) != 0) {
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


int
phota_store_moved(phota_store_t *store)
{
    int          fd;
    char         file[sizeof(store->path) + sizeof("/data.mdb")];
    struct stat  named, opened;

    (void) snprintf(file, sizeof(file), "%s/data.mdb", store->path);

    if (mdb_env_get_fd(store->env, &fd) != 0 || fstat(fd, &opened) != 0) {
        return 0;
    }

    /* while nothing is there the old one is as good as any */

    if (stat(file, &named) != 0) {
        return 0;
    }

    return named.st_ino != opened.st_ino || named.st_dev != opened.st_dev;
}


int
phota_store_reap(phota_store_t *store, int *dead)
{
    int  n;

    if (mdb_reader_check(store->env, &n) != 0) {
        return PHOTA_ERROR;
    }

    if (dead != NULL) {
        *dead = n;
    }

    return PHOTA_OK;
}


static int
phota_store_number(phota_store_t *store, MDB_txn *txn, const char *name,
    void *p, size_t len)
{
    MDB_val  key, value;

    key.mv_data = (void *) name;
    key.mv_size = strlen(name);

    if (mdb_get(txn, store->meta, &key, &value) != 0
        || value.mv_size != len)
    {
        return PHOTA_ERROR;
    }

    memcpy(p, value.mv_data, len);

    return PHOTA_OK;
}


static int
phota_store_set(phota_store_t *store, MDB_txn *txn, const char *name,
    const void *p, size_t len)
{
    MDB_val  key, value;

    key.mv_data = (void *) name;
    key.mv_size = strlen(name);

    value.mv_data = (void *) p;
    value.mv_size = len;

    return mdb_put(txn, store->meta, &key, &value, 0);
}
