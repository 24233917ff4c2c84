
/*
 * cache: what is damaged is a miss, never a crash, and goes away in time.
 */


#include "results.h"


static void
test_put(MDB_dbi dbi, MDB_val *key, MDB_val *value)
{
    MDB_txn  *txn;

    txn = test_begin(1);
    assert_int_equal(mdb_put(txn, dbi, key, value, 0), 0);
    assert_int_equal(phota_store_commit(txn, &test_err), PHOTA_OK);
}


static size_t
test_get(MDB_dbi dbi, MDB_val *key, u_char *buf, size_t size)
{
    MDB_txn  *txn;
    MDB_val   value;

    txn = test_begin(0);
    assert_int_equal(mdb_get(txn, dbi, key, &value), 0);
    assert_true(value.mv_size <= size);
    memcpy(buf, value.mv_data, value.mv_size);
    phota_store_abort(txn);

    return value.mv_size;
}


static void
test_mend(uint32_t n, const phota_picture_t *picture)
{
    u_char  fingerprint[PHOTA_SHA256_LEN];

    test_fingerprint(fingerprint, n);
    assert_int_equal(phota_cache_mend(&test_cache, fingerprint, 3, picture,
                                      &test_err),
                     PHOTA_OK);
}


static void
test_damaged_record(void **state)
{
    size_t             i, len;
    u_char             keep[2048], buf[2049];
    MDB_val            name, value;
    unsigned           damaged;
    phota_result_t     result, found, results[PHOTA_POOL_MAX];
    phota_cache_key_t  key;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 100000, &result), PHOTA_OK);

    key = result.key;
    name.mv_data = &key;
    name.mv_size = sizeof(phota_cache_key_t);
    len = test_get(test_cache.results, &name, keep, sizeof(keep));

    for (i = 0; i < 2 * len; i++) {
        memcpy(buf, keep, len);
        buf[i % len] ^= (i < len) ? 0x20 : 0;
        value.mv_data = buf;
        value.mv_size = (i < len) ? len : i - len;
        test_put(test_cache.results, &name, &value);
        assert_int_equal(test_pool(1, 0, results, &damaged), 0);
        assert_int_equal(damaged, 1);
    }

    memcpy(buf, keep, len);
    buf[len] = 0;
    value.mv_size = len + 1;
    test_put(test_cache.results, &name, &value);
    assert_int_equal(test_find(1, &found), PHOTA_DECLINED);
    test_touch(&result, phota_now() + 100000);

    /* in its place it counts, and under another's key it doesn't */

    value.mv_size = len;
    test_put(test_cache.results, &name, &value);
    assert_int_equal(test_find(1, &found), PHOTA_OK);
    key.fingerprint[0] = 2;
    test_put(test_cache.results, &name, &value);
    assert_int_equal(test_pool(2, 0, results, &damaged), 0);
    assert_int_equal(damaged, 1);

    key = result.key;
    key.number[3] = 9;
    test_put(test_cache.results, &name, &value);
    assert_int_equal(test_pool(1, 0, results, &damaged), 1);
    assert_int_equal(damaged, 1);

    test_mend(1, NULL);
    test_mend(2, NULL);
    assert_int_equal(test_entries(test_cache.results), 1);
    assert_int_equal(test_pool(1, 0, results, &damaged), 1);
    assert_int_equal(damaged, 0);

    test_empty();
    assert_int_equal(test_entries(test_cache.chunks), 0);
}


/* bought anew over a damaged one; what it held is found in the end */

static void
test_damaged_replaced(void **state)
{
    u_char          keep[2048];
    MDB_val         name, value;
    phota_result_t  result, found;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 100000, &result), PHOTA_OK);

    name.mv_data = &result.key;
    name.mv_size = sizeof(phota_cache_key_t);
    value.mv_data = keep;
    value.mv_size = test_get(test_cache.results, &name, keep, sizeof(keep));
    keep[40] ^= 1;
    test_put(test_cache.results, &name, &value);

    assert_int_equal(test_store_one(1, 2, 200000, &found), PHOTA_OK);
    assert_int_equal(test_find(1, &found), PHOTA_OK);
    assert_int_equal(test_load(3, &found.pictures[0], 2), PHOTA_OK);
    test_stats(1, 2);

    /* its expiry entry leads to nothing, its picture to no result */

    test_clock += TEST_MONTH + 1000;
    test_empty();
    test_all_gone();
}


static void
test_damaged_kept(void **state)
{
    size_t          i, len;
    u_char          key[PHOTA_PICTURE_KEY], keep[256], buf[257];
    MDB_val         name, value;
    unsigned        damaged;
    phota_result_t  result, again, results[PHOTA_POOL_MAX];

    (void) state;

    assert_int_equal(test_store_one(1, 1, 100000, &result), PHOTA_OK);

    phota_picture_key(key, 3, result.pictures[0].digest);
    name.mv_data = key;
    name.mv_size = sizeof(key);
    len = test_get(test_cache.pictures, &name, keep, sizeof(keep));

    for (i = 0; i < 2 * len; i++) {
        memcpy(buf, keep, len);
        buf[i % len] ^= (i < len) ? 0x40 : 0;
        value.mv_data = buf;
        value.mv_size = (i < len) ? len : i - len;
        test_put(test_cache.pictures, &name, &value);
        assert_int_equal(test_pool(1, 0, results, &damaged), 0);
        assert_int_equal(damaged, 1);
    }

    /* bought again: written anew, under another fingerprint too */

    assert_int_equal(test_store_one(2, 1, 100000, &again), PHOTA_OK);
    assert_int_equal(test_load(3, &again.pictures[0], 1), PHOTA_OK);
    assert_int_equal(test_pool(2, 0, results, &damaged), 1);

    test_empty();
    assert_int_equal(test_entries(test_cache.results), 0);
    assert_int_equal(test_entries(test_cache.pictures), 0);
    assert_int_equal(test_entries(test_cache.chunks), 0);
}


/* every byte and length of what a charge bought, and another's */

static void
test_damaged_charge(void **state)
{
    size_t          i, len;
    u_char          keep[1024], buf[1024];
    MDB_val         name, value;
    MDB_txn        *txn;
    phota_id_t      other;
    phota_result_t  result, found;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 1000, &result), PHOTA_OK);

    name.mv_data = result.id.b;
    name.mv_size = sizeof(phota_id_t);
    len = test_get(test_cache.charges, &name, keep, sizeof(keep));

    for (i = 0; i <= 2 * len; i++) {
        memcpy(buf, keep, len);
        buf[len] = 0;
        buf[i % len] ^= (i < len) ? 0x20 : 0;
        value.mv_data = buf;
        value.mv_size = (i < len) ? len : i - len;
        value.mv_size += (i == 2 * len);
        test_put(test_cache.charges, &name, &value);

        txn = test_begin(0);
        assert_int_equal(phota_cache_find_charge(&test_cache, txn, &result.id,
                                                 &found),
                         PHOTA_DECLINED);
        phota_store_abort(txn);
    }

    other = result.id;
    other.b[15] ^= 1;
    name.mv_data = other.b;
    value.mv_data = keep;
    value.mv_size = len;
    test_put(test_cache.charges, &name, &value);

    txn = test_begin(0);
    assert_int_equal(phota_cache_find_charge(&test_cache, txn, &other,
                                             &found),
                     PHOTA_DECLINED);
    phota_store_abort(txn);
}


/* the totals are counted again when nobody can believe them */

static void
test_damaged_totals(void **state)
{
    size_t                 i, len;
    u_char                 keep[256], buf[256];
    MDB_val                name, value;
    MDB_txn               *txn;
    phota_result_t         result;
    phota_cache_totals_t   before, totals;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 100000, &result), PHOTA_OK);
    test_totals(&before);

    name.mv_data = "totals";
    name.mv_size = sizeof("totals") - 1;
    len = test_get(test_store.meta, &name, keep, sizeof(keep));

    for (i = 0; i < 2 * len; i++) {
        memcpy(buf, keep, len);
        buf[i % len] ^= (i < len) ? 0x01 : 0;
        value.mv_data = buf;
        value.mv_size = (i < len) ? len : i - len;
        test_put(test_store.meta, &name, &value);
        test_totals(&totals);
        assert_memory_equal(&totals, &before, sizeof(totals));
    }

    txn = test_begin(1);
    assert_int_equal(mdb_del(txn, test_store.meta, &name, NULL), 0);
    assert_int_equal(phota_store_commit(txn, &test_err), PHOTA_OK);

    assert_int_equal(test_store_one(2, 2, 100000, &result), PHOTA_OK);
    test_stats(2, 2);
}


static void
test_damaged_chunk(void **state)
{
    size_t          i, len;
    u_char          name[PHOTA_CHUNK_KEY], *big;
    MDB_val         key, value;
    MDB_txn        *txn;
    unsigned        damaged;
    phota_result_t  result, again, results[PHOTA_POOL_MAX];

    (void) state;

    assert_int_equal(test_store_one(1, 1, 2 * PHOTA_CHUNK + 300, &result),
                     PHOTA_OK);

    big = malloc(PHOTA_CHUNK + PHOTA_CHUNK_SUM + 1);
    assert_non_null(big);

    phota_chunk_key(name, 3, result.pictures[0].digest, 2);
    key.mv_data = name;
    key.mv_size = sizeof(name);
    value.mv_data = big;
    len = test_get(test_cache.chunks, &key, big, PHOTA_CHUNK);
    assert_int_equal(len, 300 + PHOTA_CHUNK_SUM);

    for (i = 0; i < len; i++) {
        big[i] ^= 0x80;
        value.mv_size = len;
        test_put(test_cache.chunks, &key, &value);
        assert_int_equal(test_load(3, &result.pictures[0], 1),
                         PHOTA_DECLINED);
        big[i] ^= 0x80;
    }

    for (i = 0; i < len; i += 7) {
        value.mv_size = i;
        test_put(test_cache.chunks, &key, &value);
        assert_int_equal(test_load(3, &result.pictures[0], 1),
                         PHOTA_DECLINED);
    }

    /* one chunk in another's place */

    name[sizeof(name) - 1] = 0;
    (void) test_get(test_cache.chunks, &key, big, 65536);
    name[sizeof(name) - 1] = 1;
    value.mv_size = PHOTA_CHUNK + PHOTA_CHUNK_SUM;
    test_put(test_cache.chunks, &key, &value);
    txn = test_begin(0);
    assert_int_equal(phota_cache_sound(3, &result.pictures[0], 0, big,
                                       PHOTA_CHUNK),
                     PHOTA_OK);
    assert_int_equal(phota_cache_sound(3, &result.pictures[0], 1, big,
                                       PHOTA_CHUNK),
                     PHOTA_DECLINED);
    assert_int_equal(phota_cache_sound(4, &result.pictures[0], 0, big,
                                       PHOTA_CHUNK),
                     PHOTA_DECLINED);
    phota_store_abort(txn);
    assert_int_equal(test_load(3, &result.pictures[0], 1), PHOTA_DECLINED);

    /* the picture is taken out, and its result with it; bought again once */

    assert_int_equal(test_store_one(5, 1, 2 * PHOTA_CHUNK + 300, &again),
                     PHOTA_OK);
    test_mend(1, &result.pictures[0]);
    assert_int_equal(test_entries(test_cache.chunks), 0);
    assert_int_equal(test_pool(1, 0, results, &damaged), 0);
    assert_int_equal(test_pool(5, 0, results, &damaged), 0);
    assert_int_equal(damaged, 1);

    assert_int_equal(test_store_one(1, 1, 2 * PHOTA_CHUNK + 300, &again),
                     PHOTA_OK);
    assert_int_equal(test_load(3, &again.pictures[0], 1), PHOTA_OK);
    test_stats(2, 1);

    /* the other who held it holds it still */

    assert_int_equal(test_pool(5, 0, results, &damaged), 1);
    assert_int_equal(damaged, 0);

    test_empty();
    test_all_gone();
    free(big);
}


/* keys and values that are none, in every table: never a crash */

static void
test_damaged_index(void **state)
{
    size_t          i;
    u_char          junk[64];
    MDB_val         key, value;
    MDB_dbi         tables[7];
    phota_result_t  result;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 1000, &result), PHOTA_OK);

    tables[0] = test_cache.order;
    tables[1] = test_cache.expiry;
    tables[2] = test_cache.garbage;
    tables[3] = test_cache.charges;
    tables[4] = test_cache.results;
    tables[5] = test_cache.pictures;
    tables[6] = test_cache.chunks;

    memset(junk, 0, sizeof(junk));
    key.mv_data = junk;
    value.mv_data = junk;

    for (i = 0; i < 7; i++) {

        for (key.mv_size = 1; key.mv_size < 48; key.mv_size++) {
            value.mv_size = key.mv_size / 2;
            test_put(tables[i], &key, &value);
        }
    }

    test_clock += TEST_MONTH + TEST_GRACE;
    assert_int_equal(test_store_one(2, 1, 1000, &result), PHOTA_OK);
    (void) test_sweep();

    test_cache.max_size = 0;
    (void) test_sweep();
    test_clock += TEST_GRACE + 1000;
    (void) test_sweep();

    assert_int_equal(test_entries(test_cache.order), 0);
    assert_int_equal(test_entries(test_cache.expiry), 0);
    assert_int_equal(test_entries(test_cache.garbage), 0);
    assert_int_equal(test_entries(test_cache.charges), 1);
}


/* the order is lost as a whole: room is made all the same */

static void
test_lost_order(void **state)
{
    uint32_t        i;
    MDB_txn        *txn;
    phota_result_t  result;

    (void) state;

    for (i = 0; i < 14; i++) {
        assert_int_equal(test_store_one(i, i, 1 << 20, &result), PHOTA_OK);
    }

    txn = test_begin(1);
    assert_int_equal(mdb_drop(txn, test_cache.order, 0), 0);
    assert_int_equal(mdb_drop(txn, test_cache.results, 0), 0);
    assert_int_equal(phota_store_commit(txn, &test_err), PHOTA_OK);

    for (i = 20; i < 40; i++) {
        assert_int_equal(test_store_one(i, i, 1 << 20, &result), PHOTA_OK);
        test_clock += TEST_GRACE + 1000;
        (void) test_sweep();
    }

    assert_int_equal(test_find(39, &result), PHOTA_OK);
    assert_int_equal(test_load(3, &result.pictures[0], 39), PHOTA_OK);

    /* what is left in the expiry index goes when its time has come */

    test_clock += TEST_MONTH + 1000;
    test_empty();
    test_all_gone();
}


static int
test_count(void *ctx, const phota_result_t *result)
{
    unsigned  *n = ctx;

    (void) result;

    (*n)++;

    return PHOTA_OK;
}


/* keys of another length, more than one look sees, don't hold anybody up */

static void
test_foreign_keys(void **state)
{
    u_char          name[sizeof(phota_cache_key_t) + 1];
    MDB_txn        *txn;
    MDB_val         key, value;
    unsigned        i, n;
    uint64_t        removed;
    phota_purge_t   purge;
    phota_result_t  result;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 100, &result), PHOTA_OK);
    assert_int_equal(test_store_one(0xffffffff, 2, 100, &result), PHOTA_OK);

    memset(name, 0x55, sizeof(name));
    key.mv_data = name;
    key.mv_size = sizeof(name);
    value.mv_data = name;
    value.mv_size = sizeof(name);

    txn = test_begin(1);

    for (i = 0; i < 1000; i++) {
        phota_put_be(name + 8, i, 4);
        assert_int_equal(mdb_put(txn, test_cache.results, &key, &value, 0),
                         0);
    }

    assert_int_equal(phota_store_commit(txn, &test_err), PHOTA_OK);

    (void) alarm(20);

    n = 0;
    assert_int_equal(phota_cache_each(&test_cache, 0, test_count, &n,
                                      &test_err), PHOTA_OK);
    assert_int_equal(n, 2);

    memset(&purge, 0, sizeof(purge));
    assert_int_equal(phota_cache_purge(&test_cache, &purge, &removed,
                                       &test_err), PHOTA_OK);
    assert_int_equal(removed, 2);

    (void) alarm(0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_damaged_record),
        TEST(test_damaged_replaced),
        TEST(test_damaged_kept),
        TEST(test_damaged_charge),
        TEST(test_damaged_totals),
        TEST(test_damaged_chunk),
        TEST(test_damaged_index),
        TEST(test_lost_order),
        TEST(test_foreign_keys)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
