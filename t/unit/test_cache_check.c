
/*
 * cache: a check finds each kind of damage and mends it, takes nothing else
 * with it, and finds nothing where nginx is at work beside it.
 */


#include "cached.h"


#define TEST_BESIDE  500            /* checks while another writes */


/* 1 and 2 hold picture 11 both, 3 is for whom nothing may happen to */

static const test_buy_t  test_bought[] = {
    { .n = 1, .tenant = 1, .scope = 1, .seeds = { 11, 12 } },
    { .n = 2, .tenant = 1, .scope = 1, .seeds = { 11 } },
    { .n = 3, .tenant = 2, .scope = 2, .seeds = { 11, 21 } }
};


static char      test_said[4096];
static unsigned  test_lines;


static int
test_setup_bought(void **state)
{
    size_t  i;

    if (test_setup(state) != 0) {
        return -1;
    }

    for (i = 0; i < sizeof(test_bought) / sizeof(test_bought[0]); i++) {
        test_buy(&test_bought[i]);
    }

    return 0;
}


static void
test_hear(void *ctx, const char *what)
{
    size_t  len;

    (void) ctx;

    len = strlen(test_said);
    (void) snprintf(test_said + len, sizeof(test_said) - len, "%s\n", what);
    test_lines++;
}


static int
test_check(int mend, phota_cache_report_t *report)
{
    test_said[0] = '\0';
    test_lines = 0;

    return phota_cache_check(&test_cache, mend, report, test_hear, NULL,
                             &test_err);
}


/* found, and said to be; then mended; left: a bit for each result */

static void
test_mends(const char *what, unsigned left)
{
    unsigned              i, has;
    phota_cache_report_t  found, mended, after;

    assert_int_equal(test_check(0, &found), PHOTA_INVALID);
    assert_true(test_lines != 0);

    if (strstr(test_said, what) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", what, test_said);
    }

    /* nothing has changed by that */

    assert_int_equal(test_check(0, &after), PHOTA_INVALID);
    assert_memory_equal(&after, &found, sizeof(after));

    assert_int_equal(test_check(1, &mended), PHOTA_OK);
    assert_true(test_lines != 0);
    assert_true(mended.removed != 0 || mended.counters != 0);

    if (test_check(0, &after) != PHOTA_OK) {
        fail_msg("after \"%s\": %s", what, test_said);
    }

    assert_int_equal(test_lines, 0);

    has = 0;

    for (i = 1; i <= 3; i++) {
        has |= (unsigned) test_has(i) << i;
    }

    assert_int_equal(has, left);

    /* all of it can be bought again, and goes without a trace */

    for (i = 0; i < 3; i++) {
        if (!test_has(i + 1)) {
            test_buy(&test_bought[i]);
        }
    }

    test_sound();
    test_sweep();
    test_sound();

    (void) test_purge(&(phota_purge_t) { .tenant = 0 });
    test_sweep();
    test_sound();

    assert_int_equal(test_entries(test_cache.results), 0);
    assert_int_equal(test_entries(test_cache.pictures), 0);
    assert_int_equal(test_entries(test_cache.chunks), 0);
    assert_int_equal(test_entries(test_cache.order), 0);
    assert_int_equal(test_entries(test_cache.expiry), 0);
    assert_int_equal(test_entries(test_cache.garbage), 0);
}


static MDB_txn *
test_begin(void)
{
    MDB_txn  *txn;

    assert_int_equal(phota_store_begin(&test_store, 1, &txn, &test_err),
                     PHOTA_OK);

    return txn;
}


static void
test_commit(MDB_txn *txn)
{
    assert_int_equal(phota_store_commit(txn, &test_err), PHOTA_OK);
}


static void
test_digest(u_char digest[PHOTA_SHA256_LEN], uint32_t seed)
{
    u_char  *picture;

    picture = test_picture(seed);
    assert_int_equal(phota_sha256(digest, picture, test_length(seed)),
                     PHOTA_OK);
    free(picture);
}


static void
test_put(MDB_dbi dbi, const void *name, size_t len, const void *p, size_t n)
{
    MDB_txn  *txn;
    MDB_val   key, value;

    txn = test_begin();

    key.mv_data = (void *) name;
    key.mv_size = len;
    value.mv_data = (void *) p;
    value.mv_size = n;

    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    test_commit(txn);
}


/* the first row of a table, gone */

static void
test_lose(MDB_dbi dbi)
{
    MDB_txn     *txn;
    MDB_val      key, value;
    MDB_cursor  *cursor;

    txn = test_begin();

    assert_int_equal(mdb_cursor_open(txn, dbi, &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_FIRST), 0);
    assert_int_equal(mdb_cursor_del(cursor, 0), 0);
    mdb_cursor_close(cursor);
    test_commit(txn);
}


/* some bytes of a chunk, changed; len: of the chunk from now on, 0: as it is */

static void
test_spoil(uint32_t seed, uint32_t index, size_t at, size_t len)
{
    u_char     name[PHOTA_CHUNK_KEY], digest[PHOTA_SHA256_LEN];
    u_char    *bytes;
    MDB_txn   *txn;
    MDB_val    key, value;

    test_digest(digest, seed);
    phota_chunk_key(name, 1, digest, index);

    txn = test_begin();

    key.mv_data = name;
    key.mv_size = sizeof(name);
    assert_int_equal(mdb_get(txn, test_cache.chunks, &key, &value), 0);

    bytes = malloc(value.mv_size);
    assert_non_null(bytes);
    memcpy(bytes, value.mv_data, value.mv_size);
    bytes[at] ^= 1;

    value.mv_data = bytes;
    value.mv_size = len ? len : value.mv_size;
    assert_int_equal(mdb_put(txn, test_cache.chunks, &key, &value, 0), 0);
    test_commit(txn);

    free(bytes);
}


#define L1  (1 << 1)
#define L2  (1 << 2)
#define L3  (1 << 3)


static void
test_nothing(void **state)
{
    phota_cache_report_t  report;

    (void) state;

    assert_int_equal(test_check(0, &report), PHOTA_OK);
    assert_true(report.results == 3);
    assert_true(report.pictures == 4);
    assert_true(report.bytes == 2 * test_length(11) + test_length(12)
                                + test_length(21));
    assert_true(report.chunks >= 4);
    assert_true(report.damaged == 0 && report.removed == 0
                && report.counters == 0);

    assert_int_equal(test_check(1, &report), PHOTA_OK);
    assert_true(report.damaged == 0 && report.removed == 0
                && report.counters == 0);
}


static void
test_chunk_byte(void **state)
{
    (void) state;

    test_spoil(11, 1, 5, 0);
    test_mends("is damaged", L3);
}


static void
test_chunk_short(void **state)
{
    (void) state;

    test_spoil(12, 0, 0, 700);
    test_mends("is damaged", L2 | L3);
}


static void
test_chunk_lost(void **state)
{
    u_char    name[PHOTA_CHUNK_KEY], digest[PHOTA_SHA256_LEN];
    MDB_txn  *txn;
    MDB_val   key;

    (void) state;

    test_digest(digest, 11);
    phota_chunk_key(name, 1, digest, 0);

    key.mv_data = name;
    key.mv_size = sizeof(name);

    txn = test_begin();
    assert_int_equal(mdb_del(txn, test_cache.chunks, &key, NULL), 0);
    test_commit(txn);

    test_mends("is damaged", L3);
}


/* a checksum that fits bytes that don't fit the digest */

static void
test_chunk_other(void **state)
{
    u_char     name[PHOTA_CHUNK_KEY], digest[PHOTA_SHA256_LEN];
    u_char     bytes[PHOTA_CHUNK + PHOTA_CHUNK_SUM];

    (void) state;

    memset(bytes, 'x', sizeof(bytes));

    test_digest(digest, 12);
    phota_chunk_key(name, 1, digest, 0);
    phota_put_le(bytes + PHOTA_CHUNK,
                 phota_chunk_sum(1, digest, 0, bytes, PHOTA_CHUNK), 8);

    assert_true(test_length(12) > PHOTA_CHUNK);
    test_put(test_cache.chunks, name, sizeof(name), bytes, sizeof(bytes));

    test_mends("is damaged", L2 | L3);
}


/* the same picture's chunk, but another tenant's: it counts in its place */

static void
test_chunk_moved(void **state)
{
    u_char    name[PHOTA_CHUNK_KEY], digest[PHOTA_SHA256_LEN];
    u_char    bytes[PHOTA_CHUNK + PHOTA_CHUNK_SUM];
    MDB_txn  *txn;
    MDB_val   key, value;

    (void) state;

    test_digest(digest, 11);
    phota_chunk_key(name, 2, digest, 0);

    txn = test_begin();
    key.mv_data = name;
    key.mv_size = sizeof(name);
    assert_int_equal(mdb_get(txn, test_cache.chunks, &key, &value), 0);
    assert_true(value.mv_size == sizeof(bytes));
    memcpy(bytes, value.mv_data, sizeof(bytes));
    test_commit(txn);

    phota_chunk_key(name, 1, digest, 0);
    test_put(test_cache.chunks, name, sizeof(name), bytes, sizeof(bytes));

    test_mends("is damaged", L3);
}


static void
test_chunk_orphans(void **state)
{
    unsigned  i;
    u_char    name[PHOTA_CHUNK_KEY], digest[PHOTA_SHA256_LEN];

    (void) state;

    memset(digest, 0x55, sizeof(digest));

    for (i = 0; i < 200; i++) {
        phota_chunk_key(name, 1, digest, i);
        test_put(test_cache.chunks, name, sizeof(name), "bytes", 5);
    }

    /* behind a picture's end, and a key that is none */

    test_digest(digest, 11);
    phota_chunk_key(name, 1, digest, 77);
    test_put(test_cache.chunks, name, sizeof(name), "bytes", 5);
    test_put(test_cache.chunks, "junk", 4, "bytes", 5);

    test_mends("chunks that it doesn't have", L1 | L2 | L3);
}


static void
test_result_junk(void **state)
{
    phota_cache_key_t  key;

    (void) state;

    test_fingerprint(key.fingerprint, 2);
    phota_put_be(key.number, 1, 4);

    test_put(test_cache.results, &key, sizeof(key), "junk", 4);
    test_mends("is damaged, or a picture", L1 | L3);
}


static void
test_result_keys(void **state)
{
    (void) state;

    test_put(test_cache.results, "junk", 4, "junk", 4);
    test_put(test_cache.pictures, "junk", 4, "junk", 4);
    test_put(test_cache.order, "junk", 4, "junk", 4);
    test_put(test_cache.expiry, "junk", 4, "junk", 4);
    test_put(test_cache.garbage, "junk", 4, "junk", 4);

    test_mends("a key that is none", L1 | L2 | L3);
}


static void
test_picture_junk(void **state)
{
    u_char  name[PHOTA_PICTURE_KEY], digest[PHOTA_SHA256_LEN];

    (void) state;

    test_digest(digest, 11);
    phota_picture_key(name, 1, digest);
    test_put(test_cache.pictures, name, sizeof(name), "junk", 4);

    test_mends("is damaged", L3);
}


static void
test_picture_lost(void **state)
{
    u_char    name[PHOTA_PICTURE_KEY], digest[PHOTA_SHA256_LEN];
    MDB_val   key;
    MDB_txn  *txn;

    (void) state;

    test_digest(digest, 12);
    phota_picture_key(name, 1, digest);

    key.mv_data = name;
    key.mv_size = sizeof(name);

    txn = test_begin();
    assert_int_equal(mdb_del(txn, test_cache.pictures, &key, NULL), 0);
    test_commit(txn);

    test_mends("is damaged, or a picture of it is gone", L2 | L3);
}


static void
test_refs(uint64_t refs, uint64_t due)
{
    u_char         digest[PHOTA_SHA256_LEN];
    MDB_txn       *txn;
    phota_kept_t   kept;

    test_digest(digest, 11);

    txn = test_begin();
    assert_int_equal(phota_kept_read(&test_cache, txn, 1, digest, &kept), 0);
    kept.refs = refs;
    kept.due = due;
    assert_int_equal(phota_kept_write(&test_cache, txn, 1, &kept), 0);
    test_commit(txn);
}


static void
test_refs_many(void **state)
{
    (void) state;

    test_refs(3, 0);
    test_mends("2 results hold it, counted are 3", L1 | L2 | L3);
}


static void
test_refs_few(void **state)
{
    (void) state;

    test_refs(1, 0);
    test_mends("2 results hold it, counted are 1", L1 | L2 | L3);
}


/* it would be deleted under the results that hold it */

static void
test_refs_none(void **state)
{
    u_char  name[PHOTA_GARBAGE_KEY], bytes[8], digest[PHOTA_SHA256_LEN];

    (void) state;

    test_refs(0, 5);
    test_digest(digest, 11);
    phota_garbage_key(name, 5, 1, digest);
    phota_put_le(bytes, 1000, 8);
    test_put(test_cache.garbage, name, sizeof(name), bytes, sizeof(bytes));

    test_mends("2 results hold it, counted are 0", L1 | L2 | L3);
}


/* nobody's, and not known as garbage: bytes for ever */

static void
test_picture_forgotten(void **state)
{
    (void) state;

    (void) test_purge(&(phota_purge_t) { .tenant = 1 });
    assert_int_equal(test_entries(test_cache.garbage), 2);
    test_lose(test_cache.garbage);

    test_mends("would never be deleted", L3);
}


static void
test_order_lost(void **state)
{
    (void) state;

    test_lose(test_cache.order);
    test_mends("isn't in the tables", L1 | L2 | L3);
}


static void
test_expiry_lost(void **state)
{
    (void) state;

    test_lose(test_cache.expiry);
    test_mends("isn't in the tables", L1 | L2 | L3);
}


static void
test_strays(void **state)
{
    u_char             moment[PHOTA_MOMENT_LEN], waste[PHOTA_GARBAGE_KEY];
    phota_cache_key_t  key;

    (void) state;

    memset(moment, 0x11, sizeof(moment));
    test_fingerprint(key.fingerprint, 3);
    phota_put_be(key.number, 1, 4);

    test_put(test_cache.order, moment, sizeof(moment), &key, sizeof(key));
    phota_put_be(key.number, 9, 4);
    test_put(test_cache.expiry, moment, sizeof(moment), &key, sizeof(key));

    memset(waste, 0x11, sizeof(waste));
    test_put(test_cache.garbage, waste, sizeof(waste), moment, 8);

    test_mends("lead to nothing", L1 | L2 | L3);
}


static void
test_totals(void **state)
{
    MDB_txn               *txn;
    phota_cache_totals_t   totals;
    phota_cache_report_t   report;

    (void) state;

    txn = test_begin();
    assert_int_equal(phota_totals_read(&test_cache, txn, &totals), 0);
    totals.bytes += 4096;
    assert_int_equal(phota_totals_write(&test_cache, txn, &totals), 0);
    test_commit(txn);

    assert_int_equal(test_check(0, &report), PHOTA_INVALID);
    assert_true(report.counters == 1 && report.damaged == 0);

    test_mends("the totals are wrong", L1 | L2 | L3);
}


/* all at once, one after the other */

static void
test_everything(void **state)
{
    (void) state;

    test_spoil(12, 0, 9, 0);
    test_refs(7, 0);
    test_lose(test_cache.order);
    test_lose(test_cache.expiry);
    test_put(test_cache.chunks, "junk", 4, "bytes", 5);
    test_put(test_cache.results, "junk", 4, "junk", 4);

    test_mends("is damaged", L2 | L3);
}


/* another process buys, purges and sweeps all the while */

static void
test_beside(void **state)
{
    int                   status;
    pid_t                 pid;
    unsigned              i;
    test_buy_t            buy;
    phota_cache_report_t  report;

    (void) state;

    phota_store_close(&test_store);
    (void) fflush(NULL);

    pid = fork();
    assert_true(pid >= 0);

    test_open(0);

    if (pid == 0) {
        memset(&buy, 0, sizeof(buy));

        for (i = 4; ; i++) {
            buy.n = 4 + i % 50;
            buy.tenant = 5;
            buy.scope = i % 3;
            buy.seeds[0] = 1 + i % 31;
            buy.seeds[1] = 1 + i % 5;
            test_buy(&buy);

            if (i % 60 == 0) {
                (void) test_purge(&(phota_purge_t) { .tenant = 5 });
                test_sweep();
            }
        }
    }

    for (i = 0; i < TEST_BESIDE; i++) {

        if (test_check(i % 2, &report) != PHOTA_OK || test_lines != 0) {
            (void) kill(pid, SIGKILL);
            fail_msg("check %u: %s", i, test_said);
        }
    }

    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    (void) kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    test_sound();
}


#undef TEST
#define TEST(name)                                                            \
    cmocka_unit_test_setup_teardown(name, test_setup_bought, test_teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_nothing),
        TEST(test_chunk_byte),
        TEST(test_chunk_short),
        TEST(test_chunk_lost),
        TEST(test_chunk_other),
        TEST(test_chunk_moved),
        TEST(test_chunk_orphans),
        TEST(test_result_junk),
        TEST(test_result_keys),
        TEST(test_picture_junk),
        TEST(test_picture_lost),
        TEST(test_refs_many),
        TEST(test_refs_few),
        TEST(test_refs_none),
        TEST(test_picture_forgotten),
        TEST(test_order_lost),
        TEST(test_expiry_lost),
        TEST(test_strays),
        TEST(test_totals),
        TEST(test_everything),
        TEST(test_beside)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
