
/*
 * replays: what a key stands for, for how long, and that the table doesn't
 * grow with what is over.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "phota_replay.h"


#define TEST(name)                                                            \
    cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)


static char             test_dir[64];
static MDB_txn         *test_txn;
static phota_store_t    test_store;
static phota_error_t    test_err;
static phota_replays_t  test_replays;


static int
test_setup(void **state)
{
    (void) state;

    memcpy(test_dir, "/tmp/phota-replay.XXXXXX",
           sizeof("/tmp/phota-replay.XXXXXX"));

    if (mkdtemp(test_dir) == NULL) {
        return -1;
    }

    if (phota_store_open(&test_store, test_dir, "books", PHOTA_BOOKS_SCHEMA,
                         (size_t) 64 << 20, PHOTA_STORE_CREATE, &test_err)
        != PHOTA_OK)
    {
        return -1;
    }

    if (phota_replays_open(&test_replays, &test_store, &test_err)
        != PHOTA_OK)
    {
        return -1;
    }

    return phota_store_begin(&test_store, 1, &test_txn, &test_err);
}


static int
test_teardown(void **state)
{
    size_t  i;
    char    path[256];

    static const char  *names[] = {
        "books/data.mdb", "books/lock.mdb", "books", ""
    };

    (void) state;

    phota_store_abort(test_txn);
    phota_store_close(&test_store);

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void) snprintf(path, sizeof(path), "%s/%s", test_dir, names[i]);
        (void) remove(path);
    }

    return 0;
}


static void
test_key(u_char digest[PHOTA_SHA256_LEN], unsigned n)
{
    char  key[32];

    (void) snprintf(key, sizeof(key), "key-%u", n);

    assert_int_equal(phota_replay_digest(digest, (u_char *) key,
                                         strlen(key)),
                     PHOTA_OK);
}


static void
test_put(uint32_t tenant, unsigned n, u_char mark, uint64_t now)
{
    u_char          digest[PHOTA_SHA256_LEN];
    phota_replay_t  replay;

    test_key(digest, n);

    memset(replay.fingerprint, mark, PHOTA_SHA256_LEN);
    memset(replay.charge.b, mark + 1, sizeof(phota_id_t));
    replay.expires = now + PHOTA_REPLAY_VALID;

    assert_int_equal(phota_replay_put(&test_replays, test_txn, tenant, digest,
                                      &replay, now, &test_err),
                     PHOTA_OK);
}


/* the mark, or the code of what went wrong */

static int
test_get(uint32_t tenant, unsigned n, uint64_t now)
{
    int             rc;
    u_char          digest[PHOTA_SHA256_LEN], same[PHOTA_SHA256_LEN];
    phota_replay_t  replay;

    test_key(digest, n);

    rc = phota_replay_get(&test_replays, test_txn, tenant, digest, now,
                          &replay);

    if (rc != PHOTA_OK) {
        return rc;
    }

    memset(same, replay.fingerprint[0], sizeof(same));
    assert_memory_equal(replay.fingerprint, same, sizeof(same));

    memset(same, replay.fingerprint[0] + 1, sizeof(same));
    assert_memory_equal(replay.charge.b, same, sizeof(phota_id_t));

    return replay.fingerprint[0];
}


static size_t
test_entries(MDB_dbi table)
{
    MDB_stat  st;

    assert_int_equal(mdb_stat(test_txn, table, &st), 0);

    return st.ms_entries;
}


static void
test_digest(void **state)
{
    char    hex[2 * PHOTA_SHA256_LEN + 1];
    u_char  digest[PHOTA_SHA256_LEN];

    (void) state;

    assert_int_equal(phota_replay_digest(digest, (u_char *) "abc", 3),
                     PHOTA_OK);
    phota_hex_format(hex, digest, sizeof(digest));
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223"
                             "b00361a396177a9cb410ff61f20015ad");
}


static void
test_life(void **state)
{
    uint64_t  now, over;

    (void) state;

    now = 1000000;
    over = now + PHOTA_REPLAY_VALID;

    assert_int_equal(test_get(1, 1, now), PHOTA_DECLINED);

    test_put(1, 1, 10, now);
    assert_int_equal(test_get(1, 1, now), 10);
    assert_int_equal(test_get(1, 1, over - 1), 10);
    assert_int_equal(test_get(1, 1, over), PHOTA_DECLINED);

    /* another key, another tenant */

    assert_int_equal(test_get(1, 2, now), PHOTA_DECLINED);
    assert_int_equal(test_get(2, 1, now), PHOTA_DECLINED);

    /* replaced: the old end takes nothing with it */

    test_put(1, 1, 20, now + 500);
    assert_int_equal(test_get(1, 1, over), 20);
    assert_int_equal(test_entries(test_replays.expiry), 1);

    test_put(2, 1, 30, over + 100);
    assert_int_equal(test_get(1, 1, over + 100), 20);
    assert_int_equal(test_entries(test_replays.replays), 2);

    /* and gone when it is over and another comes */

    test_put(2, 2, 40, over + 500);
    assert_int_equal(test_entries(test_replays.replays), 2);
    assert_int_equal(test_entries(test_replays.expiry), 2);
    assert_int_equal(test_get(2, 1, over + 500), 30);
}


static void
test_growth(void **state)
{
    unsigned  n;
    uint64_t  now;

    (void) state;

    now = 5000000;

    for (n = 0; n < 100; n++) {
        test_put(1, n, (u_char) n, now + n);
    }

    assert_int_equal(test_entries(test_replays.replays), 100);

    /* at one end each eight go: a hundred by the fourteenth */

    now += 2 * PHOTA_REPLAY_VALID;

    for (n = 0; n < 14; n++) {
        test_put(2, n, (u_char) n, now);
    }

    assert_int_equal(test_entries(test_replays.replays), 14);
    assert_int_equal(test_entries(test_replays.expiry), 14);

    for (n = 0; n < 14; n++) {
        assert_int_equal(test_get(2, n, now), n);
    }
}


static void
test_damaged(void **state)
{
    u_char          name[4 + PHOTA_SHA256_LEN];
    MDB_val         key, value;
    phota_replay_t  replay;

    (void) state;

    memset(name, 0, sizeof(name));
    name[3] = 1;
    test_key(name + 4, 1);
    test_put(1, 1, 1, 1000);

    key.mv_data = name;
    key.mv_size = sizeof(name);
    value.mv_data = "\001";
    value.mv_size = 1;

    assert_int_equal(mdb_put(test_txn, test_replays.replays, &key, &value, 0),
                     0);
    assert_int_equal(test_get(1, 1, 1000), PHOTA_ERROR);

    memset(&replay, 0, sizeof(replay));
    assert_int_equal(phota_replay_put(&test_replays, test_txn, 1, name + 4,
                                      &replay, 1000, &test_err),
                     PHOTA_ERROR);
    assert_non_null(strstr(test_err.text, "replays"));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_digest),
        TEST(test_life),
        TEST(test_growth),
        TEST(test_damaged)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
