
/*
 * verify: what it must find, byte by byte, and that those who read and write
 * refuse what is damaged.
 */


#include "books.h"


/* what verify must find: each damage on fresh books of ten entries */

static void
test_ten(phota_id_t *first)
{
    int              i;
    phota_charge_t   charge;
    phota_outcome_t  outcome;

    test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 0);

    for (i = 0; i < 6; i++) {
        test_charge(&charge, 1, 0, 1);
        test_hold(&charge);

        if (i == 0) {
            *first = charge.id;
        }

        if (i < 4) {
            assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);
        }
    }

    test_verify_ok(10);
}


static void
test_entry_get(MDB_txn *txn, uint8_t n, MDB_val *value, u_char *copy)
{
    MDB_val  key;
    u_char   name[8];

    memset(name, 0, sizeof(name));
    name[7] = n;
    key.mv_data = name;
    key.mv_size = sizeof(name);

    assert_int_equal(mdb_get(txn, test_ledger.entries, &key, value), 0);
    assert_true(value->mv_size < 1024);
    memcpy(copy, value->mv_data, value->mv_size);
    value->mv_data = copy;
}


static void
test_entry_put(MDB_txn *txn, uint8_t n, MDB_val *value)
{
    MDB_val  key;
    u_char   name[8];

    memset(name, 0, sizeof(name));
    name[7] = n;
    key.mv_data = name;
    key.mv_size = sizeof(name);

    if (value == NULL) {
        assert_int_equal(mdb_del(txn, test_ledger.entries, &key, NULL), 0);
        return;
    }

    assert_int_equal(mdb_put(txn, test_ledger.entries, &key, value, 0), 0);
}


static void
test_found(const char *text)
{
    uint64_t  entries;

    assert_int_equal(test_verify(&entries), PHOTA_INVALID);

    if (strstr(test_err.text, text) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", text, test_err.text);
    }
}


static void
test_verify_bytes(void **state)
{
    size_t      i, len;
    u_char      buf[1024], keep[1024];
    MDB_val     value;
    MDB_txn    *txn;
    phota_id_t  id;

    (void) state;

    test_ten(&id);

    txn = test_begin(0);
    test_entry_get(txn, 5, &value, keep);
    phota_store_abort(txn);
    len = value.mv_size;

    /* every byte of an entry, and every length */

    for (i = 0; i < len; i++) {
        memcpy(buf, keep, len);
        buf[i] ^= 0x04;

        txn = test_begin(1);
        value.mv_data = buf;
        value.mv_size = len;
        test_entry_put(txn, 5, &value);
        test_commit(txn);

        test_found("entry 5");
    }

    for (i = 0; i < len; i += 7) {
        txn = test_begin(1);
        value.mv_data = keep;
        value.mv_size = i;
        test_entry_put(txn, 5, &value);
        test_commit(txn);

        test_found("entry 5");
    }

    txn = test_begin(1);
    value.mv_data = keep;
    value.mv_size = len;
    test_entry_put(txn, 5, &value);
    test_commit(txn);

    test_verify_ok(10);
}


static void
test_verify_missing(void **state)
{
    MDB_txn     *txn;
    phota_id_t   id;

    (void) state;

    test_ten(&id);

    txn = test_begin(1);
    test_entry_put(txn, 4, NULL);
    test_commit(txn);

    test_found("entry 4 is missing");
}


static void
test_verify_cut(void **state)
{
    MDB_txn     *txn;
    phota_id_t   id;

    (void) state;

    test_ten(&id);

    txn = test_begin(1);
    test_entry_put(txn, 10, NULL);
    test_commit(txn);

    test_found("ends with entry 9, and should with 10");
}


static void
test_verify_swapped(void **state)
{
    u_char       three[1024], four[1024];
    MDB_val      a, b;
    MDB_txn     *txn;
    phota_id_t   id;

    (void) state;

    test_ten(&id);

    txn = test_begin(1);
    test_entry_get(txn, 3, &a, three);
    test_entry_get(txn, 4, &b, four);
    test_entry_put(txn, 3, &b);
    test_entry_put(txn, 4, &a);
    test_commit(txn);

    test_found("entry 3");
}


static void
test_verify_end(void **state)
{
    u_char       buf[1024];
    MDB_val      key, value;
    MDB_txn     *txn;
    phota_id_t   id;

    (void) state;

    test_ten(&id);

    txn = test_begin(1);
    key.mv_data = "chain";
    key.mv_size = 5;
    assert_int_equal(mdb_get(txn, test_store.meta, &key, &value), 0);
    memcpy(buf, value.mv_data, value.mv_size);
    value.mv_data = buf;
    buf[value.mv_size - 1] ^= 1;
    assert_int_equal(mdb_put(txn, test_store.meta, &key, &value, 0), 0);
    test_commit(txn);
    test_found("entry 10 is not the one that was written last");

    txn = test_begin(1);
    value.mv_size--;
    assert_int_equal(mdb_put(txn, test_store.meta, &key, &value, 0), 0);
    test_commit(txn);
    test_found("the chain's end is damaged");
}


/* the views: a byte of a charge, a charge, an open one, a roll-up */

static void
test_verify_views(void **state)
{
    size_t       i, len;
    u_char       buf[1024], keep[1024], row[9];
    MDB_dbi      dbi;
    MDB_val      key, value;
    MDB_txn     *txn;
    MDB_cursor  *cursor;
    phota_id_t   id;

    (void) state;

    test_ten(&id);

    key.mv_data = id.b;
    key.mv_size = sizeof(phota_id_t);
    dbi = test_ledger.charges;

    txn = test_begin(0);
    assert_int_equal(mdb_get(txn, dbi, &key, &value), 0);
    len = value.mv_size;
    memcpy(keep, value.mv_data, len);
    phota_store_abort(txn);

    for (i = 0; i < len; i++) {
        memcpy(buf, keep, len);
        buf[i] ^= 0x10;
        value.mv_data = buf;

        txn = test_begin(1);
        assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
        test_commit(txn);

        test_found("charge ch_");
    }

    txn = test_begin(1);
    assert_int_equal(mdb_del(txn, dbi, &key, NULL), 0);
    test_commit(txn);
    test_found("is missing");

    value.mv_data = keep;
    txn = test_begin(1);
    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    test_commit(txn);
    test_verify_ok(10);

    /* one too many */

    memset(buf, 0x77, sizeof(phota_id_t));
    key.mv_data = buf;

    txn = test_begin(1);
    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    test_commit(txn);
    test_found("there are 7 charges, 6 holds");

    txn = test_begin(1);
    assert_int_equal(mdb_del(txn, dbi, &key, NULL), 0);
    value.mv_size = 0;
    assert_int_equal(mdb_put(txn, test_ledger.open, &key, &value, 0), 0);
    test_commit(txn);
    test_found("3 charges are listed as open, 2 are");

    txn = test_begin(1);
    assert_int_equal(mdb_del(txn, test_ledger.open, &key, NULL), 0);
    test_commit(txn);
    test_verify_ok(10);

    /* the roll-up, which is one row */

    txn = test_begin(1);
    assert_int_equal(mdb_cursor_open(txn, test_ledger.rollups, &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_FIRST), 0);
    memcpy(row, key.mv_data, 9);
    memcpy(keep, value.mv_data, value.mv_size);
    mdb_cursor_close(cursor);
    key.mv_data = row;
    value.mv_data = keep;
    keep[1]++;
    assert_int_equal(mdb_put(txn, test_ledger.rollups, &key, &value, 0), 0);
    test_commit(txn);
    test_found("roll-up");

    txn = test_begin(1);
    assert_int_equal(mdb_del(txn, test_ledger.rollups, &key, NULL), 0);
    test_commit(txn);
    test_found("roll-up");

    txn = test_begin(1);
    keep[1]--;
    assert_int_equal(mdb_put(txn, test_ledger.rollups, &key, &value, 0), 0);
    row[3]++;
    assert_int_equal(mdb_put(txn, test_ledger.rollups, &key, &value, 0), 0);
    test_commit(txn);
    test_found("roll-up");

    /* a day that no clock reaches, which usage counts all the same */

    txn = test_begin(1);
    assert_int_equal(mdb_del(txn, test_ledger.rollups, &key, NULL), 0);
    test_commit(txn);
    test_verify_ok(10);

    memset(row, 0xff, 4);

    txn = test_begin(1);
    assert_int_equal(mdb_put(txn, test_ledger.rollups, &key, &value, 0), 0);
    test_commit(txn);
    test_found("roll-up");
}


/* a charge that claims a later entry than it has */

static void
test_verify_last(void **state)
{
    u_char       id[16], buf[1024];
    MDB_val      key, value;
    MDB_txn     *txn;
    phota_id_t   first;
    MDB_cursor  *cursor;

    (void) state;

    test_ten(&first);

    txn = test_begin(1);
    assert_int_equal(mdb_cursor_open(txn, test_ledger.open, &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_FIRST), 0);
    memcpy(id, key.mv_data, sizeof(id));
    mdb_cursor_close(cursor);

    key.mv_data = id;
    assert_int_equal(mdb_get(txn, test_ledger.charges, &key, &value), 0);
    memcpy(buf, value.mv_data, value.mv_size);
    value.mv_data = buf;

    /* behind version, state and the first entry's number */

    buf[10] += 16;
    assert_int_equal(mdb_put(txn, test_ledger.charges, &key, &value, 0), 0);
    test_commit(txn);

    test_found("6 holds and 5 ends");
}


/* damaged records: refused by those who read and write, never a crash */

static void
test_damaged(void **state)
{
    size_t            i, len;
    u_char            keep[1024];
    MDB_val           key, value;
    MDB_txn          *txn;
    phota_id_t        id;
    test_list_t      *list;
    phota_charge_t    charge;
    phota_outcome_t   outcome;

    (void) state;

    list = calloc(1, sizeof(test_list_t));
    assert_non_null(list);

    test_ten(&id);

    key.mv_data = id.b;
    key.mv_size = sizeof(phota_id_t);

    txn = test_begin(0);
    assert_int_equal(mdb_get(txn, test_ledger.charges, &key, &value), 0);
    len = value.mv_size;
    memcpy(keep, value.mv_data, len);
    phota_store_abort(txn);

    test_outcome(&outcome, PHOTA_STATE_VOID, 0, 0, 0);

    for (i = 0; i < len; i++) {
        value.mv_data = keep;
        value.mv_size = i;

        txn = test_begin(1);
        assert_int_equal(mdb_put(txn, test_ledger.charges, &key, &value, 0),
                         0);
        assert_int_equal(phota_ledger_get(&test_ledger, txn, &id, &charge),
                         PHOTA_ERROR);
        assert_int_equal(phota_ledger_end(&test_ledger, txn, &id, &outcome,
                                          NULL, &test_err),
                         PHOTA_ERROR);
        test_commit(txn);
    }

    assert_int_equal(phota_ledger_each(&test_ledger, 0, 0, test_collect, list,
                                       &test_err),
                     PHOTA_ERROR);
    assert_non_null(strstr(test_err.text, "ch_"));
    assert_int_equal(list->n, 5);

    free(list);
}


/* ends what it is shown, and leaves another text where errors go */

static int
test_end_shown(void *ctx, const phota_charge_t *charge)
{
    phota_outcome_t  outcome;

    test_outcome(&outcome, PHOTA_STATE_VOID, 0, 0, 0);
    phota_error(&test_err, "another");

    return phota_ledger_end(&test_ledger, ctx, &charge->id, &outcome, NULL,
                            &test_err);
}


/* a damaged one and one without a record: the rest is seen, and can end */

static void
test_damaged_open(void **state)
{
    int              i;
    char             text[PHOTA_ID_TEXT];
    u_char           zero[16];
    MDB_val          key, value;
    MDB_txn         *txn;
    phota_id_t       first;
    phota_charge_t   charge;

    (void) state;

    memset(zero, 0, sizeof(zero));
    memset(&first, 0, sizeof(phota_id_t));

    for (i = 0; i < 5; i++) {
        test_charge(&charge, 1, 0, 1);
        assert_int_equal(phota_id_create(&charge.id, phota_now() + i),
                         PHOTA_OK);
        test_hold(&charge);

        key.mv_data = charge.id.b;
        key.mv_size = sizeof(phota_id_t);
        value.mv_data = zero;
        value.mv_size = sizeof(zero);

        if (i == 1) {
            first = charge.id;
            txn = test_begin(1);
            assert_int_equal(mdb_put(txn, test_ledger.charges, &key, &value,
                                     0), 0);
            test_commit(txn);
        }

        if (i == 3) {
            txn = test_begin(1);
            assert_int_equal(mdb_del(txn, test_ledger.charges, &key, NULL),
                             0);
            test_commit(txn);
        }
    }

    txn = test_begin(1);
    assert_int_equal(phota_ledger_each_open(&test_ledger, txn, test_end_shown,
                                            txn, &test_err),
                     PHOTA_INVALID);
    test_commit(txn);

    phota_id_format(text, &first);
    assert_non_null(strstr(test_err.text, text));

    txn = test_begin(0);
    assert_int_equal(phota_ledger_get(&test_ledger, txn, &charge.id, &charge),
                     PHOTA_OK);
    phota_store_abort(txn);
    assert_int_equal(charge.state, PHOTA_STATE_VOID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_verify_bytes),
        TEST(test_verify_missing),
        TEST(test_verify_cut),
        TEST(test_verify_swapped),
        TEST(test_verify_end),
        TEST(test_verify_views),
        TEST(test_verify_last),
        TEST(test_damaged),
        TEST(test_damaged_open)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
