
/*
 * A cache in a directory of its own for each test, with results that were
 * bought by several tenants, and pictures that any test can make again to look
 * for their bytes.
 */


#ifndef _PHOTA_TEST_CACHED_H_INCLUDED_
#define _PHOTA_TEST_CACHED_H_INCLUDED_


#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
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

#include "phota_cache_record.h"
#include "phota_operation.h"
#include "phota_order.h"
#include "phota_record.h"
#include "phota_seal.h"


#define TEST_MONTH  (30ull * 86400 * 1000)

#define TEST(name)                                                            \
    cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)


/* what to buy; 0 and NULL have their usual meanings */

typedef struct {
    uint32_t        n;              /* becomes the fingerprint */
    uint32_t        tenant;
    uint32_t        scope;
    uint32_t        seeds[4];       /* of its pictures */
    uint64_t        stored;         /* 0: now */
    uint64_t        mark;
    unsigned        unmarked:1;
    const char     *tag;
} test_buy_t;


typedef struct {
    const u_char   *p;
    size_t          len;
} test_answer_t;


static char           test_dir[64];
static phota_store_t  test_store;
static phota_cache_t  test_cache;
static phota_error_t  test_err;


static inline void
test_open(unsigned flags)
{
    assert_int_equal(phota_store_open(&test_store, test_dir, "cache",
                                      PHOTA_CACHE_SCHEMA,
                                      phota_cache_map(1 << 30),
                                      flags | PHOTA_STORE_NOMETASYNC,
                                      &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_cache_open(&test_cache, &test_store, 1 << 30, NULL,
                                      &test_err),
                     PHOTA_OK);
}


static inline int
test_setup(void **state)
{
    (void) state;

    (void) snprintf(test_dir, sizeof(test_dir), "/tmp/phota-cached.XXXXXX");

    if (mkdtemp(test_dir) == NULL) {
        return -1;
    }

    test_open(PHOTA_STORE_CREATE);

    return 0;
}


static inline int
test_teardown(void **state)
{
    size_t  i;
    char    path[256];

    static const char  *names[] = {
        "cache/data.mdb", "cache/lock.mdb", "cache",
        "cache.new/cache/data.mdb", "cache.new/cache/lock.mdb",
        "cache.new/cache", "cache.new/1", "cache.new/2", "cache.new", ""
    };

    (void) state;

    phota_store_close(&test_store);

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void) snprintf(path, sizeof(path), "%s/%s", test_dir, names[i]);
        (void) remove(path);
    }

    return 0;
}


/* lengths of one to several chunks, by the seed too */

static inline size_t
test_length(uint32_t seed)
{
    return 1000 + seed * 7919u % 170000;
}


static inline u_char *
test_picture(uint32_t seed)
{
    size_t    i, len;
    u_char   *p;
    uint64_t  x, z;

    len = test_length(seed);
    p = malloc(len + 8);
    assert_non_null(p);

    x = seed * 0xd1342543de82ef95ull + 1;

    for (i = 0; i < len; i += 8) {
        x += 0x9e3779b97f4a7c15ull;
        z = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        z ^= z >> 31;
        memcpy(p + i, &z, 8);
    }

    return p;
}


static inline int
test_answer_read(void *ctx, u_char *buf, size_t len, uint64_t offset)
{
    test_answer_t  *answer = ctx;

    if (offset > answer->len || len > answer->len - offset) {
        return PHOTA_ERROR;
    }

    memcpy(buf, answer->p + offset, len);

    return PHOTA_OK;
}


static inline void
test_answer_make(test_answer_t *answer, const test_buy_t *buy)
{
    size_t    size, len;
    u_char   *p, *picture;
    unsigned  i;

    size = 256;

    for (i = 0; i < 4; i++) {
        size += phota_base64_length(test_length(buy->seeds[i])) + 8;
    }

    p = malloc(size);
    assert_non_null(p);

    len = (size_t) snprintf((char *) p, size, "{\"images\":[");

    for (i = 0; i < 4 && buy->seeds[i] != 0; i++) {
        p[len++] = i ? ',' : ' ';
        p[len++] = '"';

        picture = test_picture(buy->seeds[i]);
        len += phota_base64_encode(p + len, picture,
                                   test_length(buy->seeds[i]));
        free(picture);

        p[len++] = '"';
    }

    len += (size_t) snprintf((char *) p + len, size - len,
                             "],\"known_subjects\":{\"counts\":"
                             "{\"p%u\":1}}}", (unsigned) buy->n);

    answer->p = p;
    answer->len = len;
}


static inline void
test_fingerprint(u_char fingerprint[PHOTA_SHA256_LEN], uint32_t n)
{
    memset(fingerprint, 0, PHOTA_SHA256_LEN);
    phota_put_be(fingerprint, n, 4);
}


static inline int
test_buy_try(const test_buy_t *buy)
{
    int                       rc;
    test_answer_t             answer;
    phota_result_t           *result;
    static phota_deposit_t    deposit;
    static phota_unpacked_t   unpacked;

    test_answer_make(&answer, buy);

    assert_int_equal(phota_unpack(PHOTA_ANSWER_IMAGES, test_answer_read,
                                  &answer, answer.len, &unpacked, &test_err),
                     PHOTA_OK);

    memset(&deposit, 0, sizeof(deposit));
    test_fingerprint(deposit.fingerprint, buy->n);

    result = &deposit.result;

    assert_int_equal(phota_id_create(&result->id, phota_now()), PHOTA_OK);
    result->stored = buy->stored;
    result->expires = phota_now() + TEST_MONTH;
    result->tenant = buy->tenant;
    result->scope = buy->scope;
    result->status = 200;
    result->cost = 120000;
    result->operation = PHOTA_OP_REMIX;
    result->unmarked = buy->unmarked;

    if (buy->mark != 0) {
        result->marks[result->nmarks++] = buy->mark;
    }

    (void) snprintf(result->tag, sizeof(result->tag), "%s",
                    buy->tag ? buy->tag : "");
    (void) snprintf(result->request_id, sizeof(result->request_id), "req-%u",
                    (unsigned) buy->n);

    rc = phota_cache_store(&test_cache, &deposit, 1, 0, &unpacked,
                           test_answer_read, &answer, &test_err);

    free((void *) answer.p);

    return rc;
}


static inline void
test_buy(const test_buy_t *buy)
{
    if (test_buy_try(buy) != PHOTA_OK) {
        fail_msg("not stored: %s", test_err.text);
    }
}


static inline uint64_t
test_purge(const phota_purge_t *purge)
{
    uint64_t  n;

    assert_int_equal(phota_cache_purge(&test_cache, purge, &n, &test_err),
                     PHOTA_OK);

    return n;
}


/* whether a fingerprint has a result that lives */

static inline int
test_has(uint32_t n)
{
    u_char                 fingerprint[PHOTA_SHA256_LEN];
    MDB_txn               *txn;
    unsigned               found, damaged;
    static phota_result_t  results[PHOTA_POOL_MAX];

    test_fingerprint(fingerprint, n);

    assert_int_equal(phota_store_begin(&test_store, 0, &txn, &test_err),
                     PHOTA_OK);

    found = 0;
    damaged = 0;
    (void) phota_cache_pool(&test_cache, txn, fingerprint, phota_now(), 0,
                            results, &found, &damaged);
    phota_store_abort(txn);

    return found != 0;
}


/* deletes all garbage there is */

static inline void
test_sweep(void)
{
    int  more;

    do {
        more = 0;
        assert_int_equal(phota_cache_sweep(&test_cache, phota_now() + 60000,
                                           &more, &test_err), PHOTA_OK);
    } while (more);
}


static inline size_t
test_entries(MDB_dbi dbi)
{
    MDB_stat   st;
    MDB_txn   *txn;

    assert_int_equal(phota_store_begin(&test_store, 0, &txn, &test_err),
                     PHOTA_OK);
    assert_int_equal(mdb_stat(txn, dbi, &st), 0);
    phota_store_abort(txn);

    return st.ms_entries;
}


static inline void
test_print_damage(void *ctx, const char *what)
{
    (void) ctx;

    print_message("  %s\n", what);
}


/* as photactl does it, and no reader's slot is left */

static inline void
test_sound(void)
{
    phota_cache_report_t  report;

    if (phota_cache_check(&test_cache, 0, &report, test_print_damage, NULL,
                          &test_err) != PHOTA_OK)
    {
        fail_msg("%s", test_err.text);
    }

    assert_true(report.damaged == 0 && report.counters == 0);
}


static inline int
test_file_has(const char *path, const u_char *p, size_t len)
{
    int      found;
    FILE    *file;
    u_char  *all;
    size_t   n;
    struct stat  st;

    file = fopen(path, "r");

    if (file == NULL || fstat(fileno(file), &st) != 0) {
        fail_msg("%s can't be read", path);
        return 0;
    }

    all = malloc((size_t) st.st_size + 1);
    assert_non_null(all);

    n = fread(all, 1, (size_t) st.st_size, file);
    found = (memmem(all, n, p, len) != NULL);

    free(all);
    (void) fclose(file);

    return found;
}


/* in any file below the directory */

static inline int
test_tree_has(const char *dir, const u_char *p, size_t len)
{
    DIR            *d;
    int             found;
    char            path[512];
    struct stat     st;
    struct dirent  *entry;

    d = opendir(dir);
    assert_non_null(d);

    found = 0;

    while (!found && (entry = readdir(d)) != NULL) {

        if (strcmp(entry->d_name, ".") == 0
            || strcmp(entry->d_name, "..") == 0)
        {
            continue;
        }

        (void) snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        assert_int_equal(lstat(path, &st), 0);

        found = S_ISDIR(st.st_mode) ? test_tree_has(path, p, len)
                                    : test_file_has(path, p, len);
    }

    (void) closedir(d);

    return found;
}


/* how many of some windows of 64 bytes, of every chunk, are in the files */

static inline unsigned
test_search(uint32_t seed)
{
    size_t    at, len;
    u_char   *picture;
    unsigned  n;

    n = 0;
    len = test_length(seed);
    picture = test_picture(seed);

    for (at = 0; at + 64 <= len; at += PHOTA_CHUNK / 3) {

        if (at % PHOTA_CHUNK + 64 <= PHOTA_CHUNK) {
            n += (unsigned) test_tree_has(test_dir, picture + at, 64);
        }
    }

    free(picture);

    return n;
}


#endif /* _PHOTA_TEST_CACHED_H_INCLUDED_ */
