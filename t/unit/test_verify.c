
/*
 * verify: what it must find, byte by byte, and that those who read and write
 * refuse what is damaged.
 */


#include "story.h"

#include "phota_ledger_post.h"


/* as if more had ended since */

static void
test_sweep(void)
{
    MDB_txn        *txn;
    phota_chain_t   chain;

    txn = test_begin(1);
    assert_int_equal(phota_chain_read(&test_ledger, txn, &chain), PHOTA_OK);
    assert_int_equal(phota_ledger_sweep(&test_ledger, txn, &chain,
                                        &test_err), PHOTA_OK);
    assert_int_equal(phota_chain_write(&test_ledger, txn, &chain), 0);
    test_commit(txn);
}


/* what verify must find: each damage on fresh books of ten entries */

static void
test_ten(phota_id_t *first)
{
    int              i;
    phota_charge_t   charge;
    phota_outcome_t  outcome;

    assert_int_equal(mdb_env_set_flags(test_store.env, MDB_NOSYNC, 1), 0);
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
    test_sweep();
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
    key.mv_data = PHOTA_CHAIN_KEY;
    key.mv_size = PHOTA_CHAIN_KEY_LEN;
    assert_int_equal(mdb_get(txn, test_ledger.open, &key, &value), 0);
    memcpy(buf, value.mv_data, value.mv_size);
    value.mv_data = buf;

    /* the hash, behind version, count, time and epoch */

    buf[1 + 3 * 8] ^= 1;
    assert_int_equal(mdb_put(txn, test_ledger.open, &key, &value, 0), 0);
    test_commit(txn);
    test_found("entry 10 is not the one that was written last");

    txn = test_begin(1);
    value.mv_size--;
    assert_int_equal(mdb_put(txn, test_ledger.open, &key, &value, 0), 0);
    test_commit(txn);
    test_found("the chain's end is damaged");
}


/* the views: a byte of a charge, a charge, an open one, a roll-up */

static void
test_verify_views(void **state)
{
    size_t       i, len;
    u_char       buf[1024], keep[1024], row[10];
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
    test_found("has no such entry");

    txn = test_begin(1);
    assert_int_equal(mdb_del(txn, dbi, &key, NULL), 0);
    assert_int_equal(mdb_put(txn, test_ledger.open, &key, &value, 0), 0);
    test_commit(txn);
    test_found("has no such entry");

    txn = test_begin(1);
    assert_int_equal(mdb_del(txn, test_ledger.open, &key, NULL), 0);
    test_commit(txn);
    test_verify_ok(10);

    /* in the other table, in both */

    txn = test_begin(1);
    key.mv_data = id.b;
    assert_int_equal(mdb_del(txn, dbi, &key, NULL), 0);
    assert_int_equal(mdb_put(txn, test_ledger.open, &key, &value, 0), 0);
    test_commit(txn);
    test_found("is listed as open");

    txn = test_begin(1);
    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    test_commit(txn);
    test_found("is listed as open");

    txn = test_begin(1);
    assert_int_equal(mdb_del(txn, test_ledger.open, &key, NULL), 0);
    assert_int_equal(mdb_cursor_open(txn, test_ledger.open, &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_LAST), 0);
    memcpy(id.b, key.mv_data, sizeof(phota_id_t));
    memcpy(buf, value.mv_data, value.mv_size);
    mdb_cursor_close(cursor);
    value.mv_data = buf;
    key.mv_data = id.b;
    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    test_commit(txn);
    test_found("is not listed as open");

    txn = test_begin(1);
    assert_int_equal(mdb_del(txn, dbi, &key, NULL), 0);
    test_commit(txn);
    test_verify_ok(10);

    /* the roll-up, which is one row */

    txn = test_begin(1);
    assert_int_equal(mdb_cursor_open(txn, test_ledger.rollups, &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_FIRST), 0);
    memcpy(row, key.mv_data, sizeof(row));
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


/* what has ended and is with the open ones still, and a list that lies */

static void
test_verify_ended(void **state)
{
    MDB_val          key;
    MDB_txn         *txn;
    unsigned         i;
    phota_id_t       id;
    phota_chain_t    chain, lie;
    phota_charge_t   charge;
    phota_outcome_t  outcome;

    (void) state;

    test_ten(&id);
    test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 0);

    for (i = 1; i <= 2 * PHOTA_CHAIN_ENDED + 1; i++) {
        test_charge(&charge, 1, 0, 1);
        test_hold(&charge);
        assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);

        chain = story_chain();
        assert_int_equal(chain.nended, (i - 1) % PHOTA_CHAIN_ENDED + 1);
        test_verify_ok(10 + 2 * i);
    }

    /* it is reversed where it lies, and nowhere else */

    assert_int_equal(test_reverse(&charge.id, "ann", "once", NULL), PHOTA_OK);
    test_verify_ok(10 + 2 * i - 1);
    assert_int_equal(test_reverse(&charge.id, "ann", "twice", NULL),
                     PHOTA_REFUSED);

    chain = story_chain();
    assert_int_equal(chain.nended, 1);

    lie = chain;
    lie.nended = 0;
    txn = test_begin(1);
    assert_int_equal(phota_chain_write(&test_ledger, txn, &lie), 0);
    test_commit(txn);
    test_found("is listed as open");

    lie = chain;
    lie.ended[lie.nended++] = id;
    txn = test_begin(1);
    assert_int_equal(phota_chain_write(&test_ledger, txn, &lie), 0);
    test_commit(txn);
    test_found("there are");

    /* who would move it finds that it isn't there */

    txn = test_begin(1);
    assert_int_equal(phota_ledger_sweep(&test_ledger, txn, &lie, &test_err),
                     PHOTA_ERROR);
    phota_store_abort(txn);
    assert_non_null(strstr(test_err.text, "ch_"));

    txn = test_begin(1);
    assert_int_equal(phota_chain_write(&test_ledger, txn, &chain), 0);
    key.mv_data = charge.id.b;
    key.mv_size = sizeof(phota_id_t);
    assert_int_equal(mdb_del(txn, test_ledger.open, &key, NULL), 0);
    test_commit(txn);
    test_found("is missing");
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
    assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_LAST), 0);
    memcpy(id, key.mv_data, sizeof(id));
    mdb_cursor_close(cursor);

    key.mv_data = id;
    assert_int_equal(mdb_get(txn, test_ledger.open, &key, &value), 0);
    memcpy(buf, value.mv_data, value.mv_size);
    value.mv_data = buf;

    /* behind version, state and the first entry's number */

    buf[10] += 16;
    assert_int_equal(mdb_put(txn, test_ledger.open, &key, &value, 0), 0);
    test_commit(txn);

    test_found("has no such entry");
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


/* a damaged one and an empty one: the rest is seen, and can end */

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
            assert_int_equal(mdb_put(txn, test_ledger.open, &key, &value, 0),
                             0);
            test_commit(txn);
        }

        if (i == 3) {
            value.mv_size = 0;
            txn = test_begin(1);
            assert_int_equal(mdb_put(txn, test_ledger.open, &key, &value, 0),
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


/* every table, some bytes of it, some rows of it: nothing goes unseen */

typedef struct {
    u_char           key[128];
    u_char           value[1024];
    MDB_val          k;
    MDB_val          v;
} test_row_t;


static void
test_row_get(MDB_dbi dbi, uint32_t n, test_row_t *row)
{
    int          rc;
    MDB_txn     *txn;
    MDB_val      key, value;
    MDB_stat     st;
    MDB_cursor  *cursor;

    txn = test_begin(0);
    assert_int_equal(mdb_stat(txn, dbi, &st), 0);
    assert_true(st.ms_entries != 0);
    assert_int_equal(mdb_cursor_open(txn, dbi, &cursor), 0);

    /* the first of the open ones is the chain's end, tested elsewhere */

    n = (dbi == test_ledger.open)
        ? 1 + n % (uint32_t) (st.ms_entries - 1)
        : n % (uint32_t) st.ms_entries;

    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);

    while (n--) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }

    assert_int_equal(rc, 0);
    assert_true(key.mv_size <= sizeof(row->key));
    assert_true(value.mv_size <= sizeof(row->value));

    memcpy(row->key, key.mv_data, key.mv_size);
    memcpy(row->value, value.mv_data, value.mv_size);
    row->k.mv_data = row->key;
    row->k.mv_size = key.mv_size;
    row->v.mv_data = row->value;
    row->v.mv_size = value.mv_size;

    mdb_cursor_close(cursor);
    phota_store_abort(txn);
}


static void
test_row_put(MDB_dbi dbi, test_row_t *row)
{
    MDB_txn  *txn;

    txn = test_begin(1);
    assert_int_equal(mdb_put(txn, dbi, &row->k, &row->v, 0), 0);
    test_commit(txn);
}


static void
test_row_del(MDB_dbi dbi, test_row_t *row)
{
    MDB_txn  *txn;

    txn = test_begin(1);
    assert_int_equal(mdb_del(txn, dbi, &row->k, NULL), 0);
    test_commit(txn);
}


static int
test_row_is(MDB_dbi dbi, test_row_t *row)
{
    int       rc;
    MDB_txn  *txn;
    MDB_val   value;

    txn = test_begin(0);
    rc = mdb_get(txn, dbi, &row->k, &value);
    phota_store_abort(txn);

    return rc == 0;
}


static void
test_row_found(MDB_dbi dbi, const char *what)
{
    uint64_t  entries;

    if (test_verify(&entries) != PHOTA_INVALID) {
        fail_msg("the %s of table %u: %s", what, dbi, test_err.text);
    }
}


static void
test_row_hurt(story_t *story, MDB_dbi dbi)
{
    int         zero;
    u_char      byte;
    size_t      at;
    test_row_t  row, other;

    test_row_get(dbi, story_random(story, 100000), &row);

    /* a byte of its value */

    if (row.v.mv_size != 0) {
        at = story_random(story, (uint32_t) row.v.mv_size);
        byte = row.value[at];
        row.value[at] ^= (u_char) (1 << story_random(story, 8));
        test_row_put(dbi, &row);
        test_row_found(dbi, "value");
        row.value[at] = byte;
        test_row_put(dbi, &row);
    }

    /* cut */

    if (row.v.mv_size != 0) {
        at = row.v.mv_size;
        row.v.mv_size = story_random(story, (uint32_t) at);
        test_row_put(dbi, &row);
        test_row_found(dbi, "value");
        row.v.mv_size = at;
        test_row_put(dbi, &row);
    }

    /* gone, and under another key, unless it says nothing */

    zero = (row.v.mv_size > 1);

    for (at = 1; at < row.v.mv_size; at++) {
        zero &= (row.value[at] == 0);
    }

    if (zero) {
        return;
    }

    test_row_del(dbi, &row);
    test_row_found(dbi, "key");

    other = row;
    other.k.mv_data = other.key;
    other.v.mv_data = other.value;

    do {
        at = story_random(story, (uint32_t) row.k.mv_size);
        other.key[at] = (u_char) story_random(story, 256);
    } while (test_row_is(dbi, &other)
             || memcmp(other.key, row.key, row.k.mv_size) == 0);

    test_row_put(dbi, &other);
    test_row_found(dbi, "key");
    test_row_put(dbi, &row);
    test_row_found(dbi, "key");
    test_row_del(dbi, &other);
}


static void
test_verify_tables(void **state)
{
    size_t         i;
    story_t        story;
    unsigned       n;
    uint64_t       count;
    phota_chain_t  chain;

    const MDB_dbi  tables[] = {
        test_ledger.entries, test_ledger.charges, test_ledger.open,
        test_ledger.rollups, test_ledger.loose, test_ledger.budgets.budgets
    };

    (void) state;

    story_begin(&story);
    story_steps(&story, 640);

    chain = story_chain();
    count = chain.count;
    assert_true(count > 200);
    test_verify_ok(count);

    for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        for (n = 0; n < 40; n++) {
            test_row_hurt(&story, tables[i]);
        }

        test_verify_ok(count);
    }
}


/* the last entry anew, with a hash and an end of the chain that fit it */

static void
test_forge(phota_entry_t *entry)
{
    size_t          len;
    u_char          buf[PHOTA_LEDGER_RECORD], name[8];
    MDB_txn        *txn;
    MDB_val         key, value;
    phota_chain_t   chain;
    phota_entry_t   before;

    txn = test_begin(1);
    assert_int_equal(phota_chain_read(&test_ledger, txn, &chain), PHOTA_OK);
    assert_true(entry->sequence == chain.count);

    phota_put_be(name, chain.count - 1, sizeof(name));
    key.mv_data = name;
    key.mv_size = sizeof(name);
    assert_int_equal(mdb_get(txn, test_ledger.entries, &key, &value), 0);
    assert_int_equal(phota_entry_decode(&before, value.mv_data,
                                        value.mv_size), PHOTA_OK);

    len = sizeof(buf);
    assert_int_equal(phota_entry_encode(entry, before.hash, buf, &len,
                                        chain.hash), PHOTA_OK);

    phota_put_be(name, chain.count, sizeof(name));
    value.mv_data = buf;
    value.mv_size = len;
    assert_int_equal(mdb_put(txn, test_ledger.entries, &key, &value, 0), 0);
    assert_int_equal(phota_chain_write(&test_ledger, txn, &chain), 0);
    test_commit(txn);
}


/* a chain that is whole and lies: what a writer's mistake would look like */

static void
test_verify_forged(void **state)
{
    phota_id_t       ids[3];
    phota_entry_t    entry;
    phota_charge_t   charge;
    phota_outcome_t  outcome;

    (void) state;

    test_ten(&ids[0]);
    assert_int_equal(test_reverse(&ids[0], "ann", "once", NULL), PHOTA_OK);
    test_verify_ok(11);

    test_entry(11, &entry);
    entry.delta.cost += 120000;
    test_forge(&entry);
    test_found("is not the sum of its entries");
    entry.delta.cost -= 120000;
    test_forge(&entry);
    test_verify_ok(11);

    entry.day++;
    test_forge(&entry);
    test_found("is not the sum of its entries");
    entry.day--;

    entry.time -= 10 * TEST_HOUR;
    test_forge(&entry);
    test_found("entry 11 is older than its predecessor");
    entry.time += 10 * TEST_HOUR;

    entry.charge.outputs = 1;
    test_forge(&entry);
    test_found("entry 11 has amounts that don't follow");
    entry.charge.outputs = 0;

    entry.charge.tenant++;
    test_forge(&entry);
    test_found("differs from it");
    entry.charge.tenant--;

    entry.sequence = 11;
    test_forge(&entry);
    test_verify_ok(11);

    /* settled for more than its terms say */

    test_charge(&charge, 1, 0, 1);
    test_hold(&charge);
    test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 0);
    assert_int_equal(test_end(&charge.id, &outcome, NULL), PHOTA_OK);
    test_verify_ok(13);

    test_entry(13, &entry);
    entry.charge.price++;
    test_forge(&entry);
    test_found("entry 13 has amounts that don't follow");
}


/* somebody writes all the time */

static void
test_verify_while_written(void **state)
{
    int        n, rc, status;
    pid_t      pid;
    story_t    story;
    uint64_t   entries, last;

    (void) state;

    test_close();

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        test_open(0);
        story_begin(&story);

        if (phota_ledger_own(&test_ledger, &test_err) != PHOTA_OK) {
            _exit(1);
        }

        story_steps(&story, 20000);
        _exit(0);
    }

    test_open(0);
    last = 0;

    for (n = 0; waitpid(pid, &status, WNOHANG) == 0; n++) {
        rc = test_verify(&entries);

        if (rc != PHOTA_OK) {
            (void) kill(pid, SIGKILL);
            (void) waitpid(pid, &status, 0);
            fail_msg("%s", test_err.text);
        }

        assert_true(entries >= last);
        last = entries;
    }

    assert_int_equal(status, 0);
    assert_true(n > 3);
    test_verify_ok(story_chain().count);
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
        TEST(test_verify_ended),
        TEST(test_verify_last),
        TEST(test_verify_tables),
        TEST(test_verify_forged),
        TEST(test_verify_while_written),
        TEST(test_damaged),
        TEST(test_damaged_open)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
