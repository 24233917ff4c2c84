
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


static void
test_damaged_record(void **state)
{
    size_t             i, len;
    u_char             keep[1024], buf[1024];
    MDB_val            name, value;
    MDB_txn           *txn;
    phota_result_t     result, found;
    phota_cache_key_t  key;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 100000, &result), PHOTA_OK);

    test_key(&key, 1);
    name.mv_data = &key;
    name.mv_size = sizeof(phota_cache_key_t);

    txn = test_begin(0);
    assert_int_equal(mdb_get(txn, test_cache.results, &name, &value), 0);
    len = value.mv_size;
    memcpy(keep, value.mv_data, len);
    phota_store_abort(txn);

    for (i = 0; i < len; i++) {
        memcpy(buf, keep, len);
        buf[i] ^= 0x20;
        value.mv_data = buf;
        value.mv_size = len;
        test_put(test_cache.results, &name, &value);
        assert_int_equal(test_find(1, &found), PHOTA_DECLINED);

        value.mv_data = keep;
        value.mv_size = i;
        test_put(test_cache.results, &name, &value);
        assert_int_equal(test_find(1, &found), PHOTA_DECLINED);

        txn = test_begin(0);
        assert_int_equal(phota_cache_find_charge(&test_cache, txn, &result.id,
                                                 &found),
                         PHOTA_OK);
        assert_int_equal(found.outputs, 2);
        phota_store_abort(txn);
    }

    assert_int_equal(phota_cache_touch(&test_cache, &key, 1,
                                       phota_now() + 100000, &test_err),
                     PHOTA_OK);

    /* another's record under this key is none */

    value.mv_data = keep;
    value.mv_size = len;
    test_put(test_cache.results, &name, &value);
    assert_int_equal(test_find(1, &found), PHOTA_OK);

    test_key(&key, 2);
    test_put(test_cache.results, &name, &value);
    assert_int_equal(test_find(2, &found), PHOTA_DECLINED);

    /* bought anew over a damaged one; all of it goes in the end */

    test_key(&key, 1);
    value.mv_size = 20;
    test_put(test_cache.results, &name, &value);
    assert_int_equal(test_store_one(1, 2, 200000, &result), PHOTA_OK);
    assert_int_equal(test_find(1, &found), PHOTA_OK);
    assert_int_equal(test_load(&found, 2), PHOTA_OK);
    test_stats(2, 300000);

    assert_int_equal(test_store_one(2, 2, 100, &result), PHOTA_OK);

    /* the damaged one's expiry can't be found before it comes */

    test_clock += TEST_MONTH + 1000;
    test_cache.max_size = 0;
    (void) test_sweep();
    test_all_gone();
}


/* every byte and length of what a charge bought, and the key that once lay */

static void
test_damaged_charge(void **state)
{
    size_t             i, len;
    u_char             keep[1024], buf[1024];
    MDB_val            name, value;
    MDB_txn           *txn;
    phota_id_t         other;
    phota_result_t     result, found;
    phota_cache_key_t  key;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 1000, &result), PHOTA_OK);

    name.mv_data = result.id.b;
    name.mv_size = sizeof(phota_id_t);

    txn = test_begin(0);
    assert_int_equal(mdb_get(txn, test_cache.charges, &name, &value), 0);
    len = value.mv_size;
    memcpy(keep, value.mv_data, len);
    phota_store_abort(txn);

    for (i = 0; i < 2 * len; i++) {
        memcpy(buf, keep, len);
        buf[i % len] ^= 0x20;
        value.mv_data = buf;
        value.mv_size = (i < len) ? len : i - len;
        test_put(test_cache.charges, &name, &value);

        txn = test_begin(0);
        assert_int_equal(phota_cache_find_charge(&test_cache, txn, &result.id,
                                                 &found),
                         PHOTA_DECLINED);
        phota_store_abort(txn);
    }

    memcpy(buf, keep, len);
    buf[len] = 0;
    value.mv_data = buf;
    value.mv_size = len + 1;
    test_put(test_cache.charges, &name, &value);

    txn = test_begin(0);
    assert_int_equal(phota_cache_find_charge(&test_cache, txn, &result.id,
                                             &found),
                     PHOTA_DECLINED);
    phota_store_abort(txn);

    test_key(&key, 1);
    key.fingerprint[0] = 1;
    value.mv_data = &key;
    value.mv_size = sizeof(phota_cache_key_t);
    test_put(test_cache.charges, &name, &value);

    txn = test_begin(0);
    assert_int_equal(phota_cache_find_charge(&test_cache, txn, &result.id,
                                             &found),
                     PHOTA_DECLINED);
    phota_store_abort(txn);

    /* another's under this id */

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


static void
test_damaged_chunk(void **state)
{
    u_char          name[20], *big;
    MDB_val         key, value;
    MDB_txn        *txn;
    phota_result_t  result;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 200000, &result), PHOTA_OK);
    assert_int_equal(test_load(&result, 1), PHOTA_OK);

    memcpy(name, &result.id, sizeof(phota_id_t));
    memset(name + 16, 0, 4);
    name[19] = 2;

    big = calloc(1, PHOTA_CHUNK + 1);
    assert_non_null(big);

    key.mv_data = name;
    key.mv_size = sizeof(name);
    value.mv_data = big;

    value.mv_size = PHOTA_CHUNK + 1;
    test_put(test_cache.chunks, &key, &value);
    assert_int_equal(test_load(&result, 1), PHOTA_DECLINED);

    value.mv_size = PHOTA_CHUNK - 1;
    test_put(test_cache.chunks, &key, &value);
    assert_int_equal(test_load(&result, 1), PHOTA_DECLINED);

    value.mv_size = 0;
    test_put(test_cache.chunks, &key, &value);
    assert_int_equal(test_load(&result, 1), PHOTA_DECLINED);

    txn = test_begin(1);
    assert_int_equal(mdb_del(txn, test_cache.chunks, &key, NULL), 0);
    assert_int_equal(phota_store_commit(txn, &test_err), PHOTA_OK);
    assert_int_equal(test_load(&result, 1), PHOTA_DECLINED);

    /* a length that the record can't have meant */

    result.length = UINT64_MAX;
    txn = test_begin(0);
    assert_int_equal(phota_cache_chunk(&test_cache, txn, &result, UINT32_MAX,
                                       (const u_char **) &value.mv_data,
                                       &value.mv_size),
                     PHOTA_DECLINED);
    phota_store_abort(txn);

    free(big);

    test_clock += 2 * 86400000ll + TEST_GRACE;
    test_cache.max_size = 0;
    (void) test_sweep();
    test_all_gone();
}


/* keys and values that are none, in every index: swept away, never a crash */

static void
test_damaged_index(void **state)
{
    size_t          i;
    u_char          junk[64];
    MDB_val         key, value;
    MDB_dbi         tables[4];
    phota_result_t  result;

    (void) state;

    assert_int_equal(test_store_one(1, 1, 1000, &result), PHOTA_OK);

    tables[0] = test_cache.order;
    tables[1] = test_cache.expiry;
    tables[2] = test_cache.garbage;
    tables[3] = test_cache.charges;

    memset(junk, 0, sizeof(junk));
    key.mv_data = junk;
    value.mv_data = junk;

    for (i = 0; i < 4; i++) {

        for (key.mv_size = 1; key.mv_size < 40; key.mv_size += 5) {
            value.mv_size = key.mv_size / 2;
            test_put(tables[i], &key, &value);
        }

        /* the form is right, what it names isn't there */

        key.mv_size = (i == 3) ? 16 : 24;
        value.mv_size = (i == 2) ? 8 : 34;
        test_put(tables[i], &key, &value);
    }

    test_clock += TEST_MONTH + TEST_GRACE;
    assert_int_equal(test_store_one(2, 1, 1000, &result), PHOTA_OK);

    test_clock += TEST_GRACE + 1000;
    test_cache.max_size = 0;
    (void) test_sweep();

    assert_int_equal(test_entries(test_cache.results), 0);
    assert_int_equal(test_entries(test_cache.chunks), 0);
    assert_int_equal(test_entries(test_cache.order), 0);
    assert_int_equal(test_entries(test_cache.expiry), 0);
    assert_int_equal(test_entries(test_cache.garbage), 0);
    assert_int_equal(test_entries(test_cache.charges), 1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_damaged_record),
        TEST(test_damaged_charge),
        TEST(test_damaged_chunk),
        TEST(test_damaged_index)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
