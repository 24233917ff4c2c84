
/*
 * store: what opening makes, checks and refuses, on real files, and that two
 * processes may do it at once.
 */


#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "phota_store.h"


#define TEST_MAP  ((size_t) 16 << 20)


static char  test_dir[64];


static int
test_setup(void **state)
{
    (void) state;

    memcpy(test_dir, "/tmp/phota-store.XXXXXX",
           sizeof("/tmp/phota-store.XXXXXX"));

    return (mkdtemp(test_dir) == NULL) ? -1 : 0;
}


static int
test_teardown(void **state)
{
    size_t  i;
    char    path[256];

    static const char  *names[] = {
        "books/data.mdb", "books/lock.mdb", "books", "cache/data.mdb",
        "cache/lock.mdb", "cache", ""
    };

    (void) state;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void) snprintf(path, sizeof(path), "%s/%s", test_dir, names[i]);
        (void) remove(path);
    }

    return 0;
}


static int
test_open(phota_store_t *store, unsigned flags, phota_error_t *err)
{
    return phota_store_open(store, test_dir, "books", PHOTA_BOOKS_SCHEMA,
                            TEST_MAP, flags, err);
}


static unsigned
test_mode(const char *name)
{
    char         path[256];
    struct stat  st;

    (void) snprintf(path, sizeof(path), "%s/%s", test_dir, name);
    assert_int_equal(stat(path, &st), 0);

    return st.st_mode & 07777;
}


static void
test_put(phota_store_t *store, MDB_dbi dbi, const char *name, const void *p,
    size_t len)
{
    MDB_txn        *txn;
    MDB_val         key, value;
    phota_error_t   err;

    assert_int_equal(phota_store_begin(store, 1, &txn, &err), PHOTA_OK);

    key.mv_data = (void *) name;
    key.mv_size = strlen(name);
    value.mv_data = (void *) p;
    value.mv_size = len;

    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    assert_int_equal(phota_store_commit(txn, &err), PHOTA_OK);
}


static void
test_create(void **state)
{
    mode_t         old;
    MDB_dbi        dbi;
    phota_error_t  err;
    phota_store_t  store;

    (void) state;

    assert_int_equal(test_open(&store, 0, &err), PHOTA_ERROR);
    assert_non_null(strstr(err.text, "photactl init"));
    assert_non_null(strstr(err.text, test_dir));

    old = umask(0);
    assert_int_equal(test_open(&store, PHOTA_STORE_CREATE, &err), PHOTA_OK);
    (void) umask(old);

    assert_int_equal(test_mode("books"), 0700);
    assert_int_equal(test_mode("books/data.mdb"), 0600);
    assert_int_equal(test_mode("books/lock.mdb"), 0600);

    assert_int_equal(phota_store_table(&store, "first", &dbi, &err),
                     PHOTA_OK);
    test_put(&store, dbi, "a", "b", 1);
    phota_store_close(&store);

    /* without CREATE: what is there, and nothing new */

    assert_int_equal(test_open(&store, 0, &err), PHOTA_OK);
    assert_int_equal(phota_store_table(&store, "first", &dbi, &err),
                     PHOTA_OK);
    assert_int_equal(phota_store_table(&store, "second", &dbi, &err),
                     PHOTA_DECLINED);
    assert_non_null(strstr(err.text, "second"));
    phota_store_close(&store);

    assert_int_equal(test_open(&store, PHOTA_STORE_RDONLY, &err), PHOTA_OK);
    assert_int_equal(phota_store_table(&store, "first", &dbi, &err),
                     PHOTA_OK);
    phota_store_close(&store);
    phota_store_close(&store);
}


static void
test_umask(void **state)
{
    mode_t         old;
    phota_error_t  err;
    phota_store_t  store;

    (void) state;

    old = umask(0277);
    assert_int_equal(test_open(&store, PHOTA_STORE_CREATE, &err), PHOTA_OK);
    (void) umask(old);

    assert_int_equal(test_mode("books"), 0700);
    assert_int_equal(test_mode("books/data.mdb"), 0600);
    assert_int_equal(test_mode("books/lock.mdb"), 0600);

    phota_store_close(&store);
}


static void
test_map_size(void **state)
{
    size_t         i;
    MDB_dbi        dbi;
    MDB_envinfo    info;
    phota_error_t  err;
    phota_store_t  store;

    /* asked for, and what it is then: it never shrinks */

    static const size_t  sizes[][2] = {
        { TEST_MAP - 1, TEST_MAP },
        { 0, TEST_MAP },
        { TEST_MAP / 2, TEST_MAP },
        { TEST_MAP * 2, TEST_MAP * 2 },
        { TEST_MAP, TEST_MAP * 2 }
    };

    (void) state;

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(phota_store_open(&store, test_dir, "cache", 1,
                                          sizes[i][0], PHOTA_STORE_CREATE
                                          | PHOTA_STORE_NOMETASYNC, &err),
                         PHOTA_OK);
        assert_int_equal(mdb_env_info(store.env, &info), 0);
        assert_int_equal(info.me_mapsize, sizes[i][1]);
        assert_int_equal(info.me_maxreaders, 1024);

        assert_int_equal(phota_store_table(&store, "t", &dbi, &err),
                         PHOTA_OK);
        test_put(&store, dbi, "k", &i, sizeof(i));
        phota_store_close(&store);
    }
}


static void
test_generation(void **state)
{
    MDB_txn        *txn;
    uint64_t        before, after;
    phota_error_t   err;
    phota_store_t   store;

    (void) state;

    assert_int_equal(test_open(&store, PHOTA_STORE_CREATE, &err), PHOTA_OK);
    assert_int_equal(phota_store_generation(&store, &before), PHOTA_OK);

    assert_int_equal(phota_store_begin(&store, 1, &txn, &err), PHOTA_OK);
    assert_int_equal(phota_store_touch(&store, txn), PHOTA_OK);
    phota_store_abort(txn);

    assert_int_equal(phota_store_generation(&store, &after), PHOTA_OK);
    assert_true(after == before);

    assert_int_equal(phota_store_begin(&store, 1, &txn, &err), PHOTA_OK);
    assert_int_equal(phota_store_touch(&store, txn), PHOTA_OK);
    assert_int_equal(phota_store_commit(txn, &err), PHOTA_OK);

    phota_store_close(&store);
    assert_int_equal(test_open(&store, 0, &err), PHOTA_OK);

    assert_int_equal(phota_store_generation(&store, &after), PHOTA_OK);
    assert_true(after == before + 1);

    phota_store_close(&store);
}


static void
test_schema(void **state)
{
    phota_error_t  err;
    phota_store_t  store;

    (void) state;

    assert_int_equal(test_open(&store, PHOTA_STORE_CREATE, &err), PHOTA_OK);
    test_put(&store, store.meta, "schema", "\x63\0\0\0", 4);
    phota_store_close(&store);

    assert_int_equal(test_open(&store, PHOTA_STORE_CREATE, &err),
                     PHOTA_INVALID);
    assert_non_null(strstr(err.text, "schema 99"));
    assert_non_null(strstr(err.text, test_dir));
    assert_null(store.env);

    /* and it is as it was */

    assert_int_equal(phota_store_open(&store, test_dir, "books", 99, TEST_MAP,
                                      0, &err),
                     PHOTA_OK);

    test_put(&store, store.meta, "schema", "\1\0\0", 3);
    phota_store_close(&store);
    assert_int_equal(test_open(&store, PHOTA_STORE_CREATE, &err),
                     PHOTA_INVALID);
}


static void
test_foreign_magic(void **state)
{
    phota_error_t  err;
    phota_store_t  store;

    (void) state;

    assert_int_equal(test_open(&store, PHOTA_STORE_CREATE, &err), PHOTA_OK);
    test_put(&store, store.meta, "magic", "phota-cache", 11);
    phota_store_close(&store);

    assert_int_equal(test_open(&store, PHOTA_STORE_CREATE, &err),
                     PHOTA_INVALID);
    assert_non_null(strstr(err.text, "books/data.mdb"));
}


/* an LMDB environment of another program: refused and left alone */

static void
test_foreign_lmdb(void **state)
{
    int             rc;
    char            path[256];
    MDB_dbi         dbi;
    MDB_env        *env;
    MDB_txn        *txn;
    MDB_val         key, value;
    phota_error_t   err;
    phota_store_t   store;

    (void) state;

    (void) snprintf(path, sizeof(path), "%s/books", test_dir);
    assert_int_equal(mkdir(path, 0700), 0);

    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    key.mv_data = "k";
    key.mv_size = 1;
    value = key;
    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);

    assert_int_equal(test_open(&store, PHOTA_STORE_CREATE, &err),
                     PHOTA_INVALID);

    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    rc = mdb_get(txn, dbi, &key, &value);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    assert_int_equal(rc, 0);
}


static void
test_foreign_file(void **state)
{
    char            path[256];
    FILE           *f;
    struct stat     st;
    phota_error_t   err;
    phota_store_t   store;

    (void) state;

    (void) snprintf(path, sizeof(path), "%s/books", test_dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void) snprintf(path, sizeof(path), "%s/books/data.mdb", test_dir);

    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fputs("these are not the books\n", f) < 0, 0);
    assert_int_equal(fclose(f), 0);

    assert_int_equal(test_open(&store, PHOTA_STORE_CREATE, &err),
                     PHOTA_INVALID);
    assert_non_null(strstr(err.text, "books/data.mdb"));

    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, strlen("these are not the books\n"));
}


/* a file with nothing in it: init died early */

static void
test_empty(void **state)
{
    char            path[256];
    FILE           *f;
    phota_error_t   err;
    phota_store_t   store;

    (void) state;

    (void) snprintf(path, sizeof(path), "%s/books", test_dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void) snprintf(path, sizeof(path), "%s/books/data.mdb", test_dir);

    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);

    assert_int_equal(test_open(&store, 0, &err), PHOTA_INVALID);
    assert_non_null(strstr(err.text, "photactl init"));

    assert_int_equal(test_open(&store, PHOTA_STORE_CREATE, &err), PHOTA_OK);
    phota_store_close(&store);
    assert_int_equal(test_open(&store, 0, &err), PHOTA_OK);
    phota_store_close(&store);
}


static void
test_path(void **state)
{
    char           path[2048];
    phota_error_t  err;
    phota_store_t  store;

    (void) state;

    memset(path, 'x', sizeof(path));
    path[sizeof(path) - 1] = '\0';

    assert_int_equal(phota_store_open(&store, path, "books", 1, TEST_MAP,
                                      PHOTA_STORE_CREATE, &err),
                     PHOTA_INVALID);

    assert_int_equal(phota_store_open(&store, "/nonexistent/phota", "books",
                                      1, TEST_MAP, PHOTA_STORE_CREATE, &err),
                     PHOTA_ERROR);
    assert_non_null(strstr(err.text, "/nonexistent/phota"));
}


static void
test_first_open_race(void **state)
{
    int            i, status;
    pid_t          pids[4];
    MDB_dbi        dbi;
    phota_error_t  err;
    phota_store_t  store;

    (void) state;

    for (i = 0; i < 4; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);

        if (pids[i] == 0) {
            if (test_open(&store, PHOTA_STORE_CREATE, &err) != PHOTA_OK
                || phota_store_table(&store, "t", &dbi, &err) != PHOTA_OK)
            {
                (void) fprintf(stderr, "%s\n", err.text);
                _exit(1);
            }

            phota_store_close(&store);
            _exit(0);
        }
    }

    for (i = 0; i < 4; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }

    assert_int_equal(test_open(&store, 0, &err), PHOTA_OK);
    assert_int_equal(phota_store_table(&store, "t", &dbi, &err), PHOTA_OK);
    phota_store_close(&store);
}


/* all slots taken by one that died: begin frees them and goes on */

static void
test_readers(void **state)
{
    int             i, status;
    pid_t           pid;
    MDB_txn        *txn;
    phota_error_t   err;
    phota_store_t   store, child;

    static MDB_txn  *txns[1024];

    (void) state;

    assert_int_equal(test_open(&store, PHOTA_STORE_CREATE, &err), PHOTA_OK);
    phota_store_close(&store);

    assert_int_equal(test_open(&store, 0, &err), PHOTA_OK);

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        if (test_open(&child, 0, &err) != PHOTA_OK) {
            _exit(1);
        }

        for (i = 0; i < 1024; i++) {
            if (mdb_txn_begin(child.env, NULL, MDB_RDONLY, &txns[i]) != 0) {
                _exit(i < 1000);
            }
        }

        _exit(0);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);

    assert_int_equal(mdb_txn_begin(store.env, NULL, MDB_RDONLY, &txn),
                     MDB_READERS_FULL);
    assert_int_equal(phota_store_begin(&store, 0, &txn, &err), PHOTA_OK);
    phota_store_abort(txn);

    assert_int_equal(phota_store_reap(&store, &i), PHOTA_OK);
    assert_int_equal(i, 0);

    phota_store_close(&store);
}


/*
 * Another was told of a larger size, and has let the file grow beyond our map:
 * opened again it can be read, as after other things that LMDB gives up.
 */

static void
test_outgrown(void **state)
{
    int             status;
    char           *big;
    pid_t           pid;
    MDB_dbi         dbi;
    MDB_txn        *txn;
    phota_store_t   store;
    phota_error_t   err;

    (void) state;

    assert_int_equal(test_open(&store, PHOTA_STORE_CREATE, &err), PHOTA_OK);

    (void) fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        big = calloc(1, 2 * TEST_MAP);

        if (big == NULL
            || phota_store_open(&store, test_dir, "books",
                                PHOTA_BOOKS_SCHEMA, 4 * TEST_MAP,
                                PHOTA_STORE_CREATE, &err) != PHOTA_OK
            || phota_store_table(&store, "big", &dbi, &err) != PHOTA_OK)
        {
            _exit(1);
        }

        test_put(&store, dbi, "big", big, 2 * TEST_MAP);
        _exit(0);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);

    assert_int_equal(phota_store_begin(&store, 0, &txn, &err), PHOTA_ERROR);
    assert_int_equal(store.broken, 1);

    phota_store_close(&store);
    assert_int_equal(test_open(&store, 0, &err), PHOTA_OK);
    assert_int_equal(phota_store_begin(&store, 0, &txn, &err), PHOTA_OK);
    phota_store_abort(txn);
    phota_store_close(&store);
}


/* what was dropped from memory isn't there; a little of it is read again */

static void
test_resident(void **state)
{
    int             fd;
    char           *big;
    MDB_dbi         dbi;
    phota_store_t   store;
    phota_error_t   err;

    (void) state;

    big = calloc(1, TEST_MAP / 2);
    assert_non_null(big);

    assert_int_equal(test_open(&store, PHOTA_STORE_CREATE, &err), PHOTA_OK);
    assert_int_equal(phota_store_table(&store, "big", &dbi, &err), PHOTA_OK);

    test_put(&store, dbi, "big", big, TEST_MAP / 2);
    free(big);

    assert_int_equal(phota_store_resident(&store), 1);

    assert_int_equal(mdb_env_get_fd(store.env, &fd), 0);
    assert_int_equal(fsync(fd), 0);
    (void) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);

    assert_int_equal(phota_store_resident(&store), 1);

    /* who can't say how long the file is can't say where it lies */

    assert_int_equal(ftruncate(fd, 2 * 4096), 0);
    assert_int_equal(phota_store_resident(&store), 0);

    phota_store_close(&store);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(test_create, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_umask, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_map_size, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_generation, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_schema, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_foreign_magic, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_foreign_lmdb, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_foreign_file, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_empty, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_path, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_first_open_race, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_readers, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_outgrown, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(test_resident, test_setup,
                                        test_teardown)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
