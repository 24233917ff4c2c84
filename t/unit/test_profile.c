
/*
 * profiles: whose they are stays so, lists are by tenant, and what is damaged
 * is nobody's.
 */


#include "books.h"
#include "phota_profile.h"


static phota_profiles_t  test_profiles;


typedef struct {
    unsigned         n;
    phota_profile_t  profiles[256];
} test_profiles_t;


static int
test_begin_profiles(void **state)
{
    if (test_setup(state) != 0) {
        return -1;
    }

    return phota_profiles_open(&test_profiles, &test_store, &test_err);
}


#define TEST_PROFILE(name)                                                    \
    cmocka_unit_test_setup_teardown(name, test_begin_profiles, test_teardown)


static void
test_profile(phota_profile_t *profile, uint32_t tenant, const char *id,
    const char *tag)
{
    memset(profile, 0, sizeof(phota_profile_t));

    profile->tenant = tenant;
    profile->created = TEST_NOON;
    memset(profile->charge.b, (int) tenant, sizeof(phota_id_t));
    (void) snprintf(profile->id, sizeof(profile->id), "%s", id);
    (void) snprintf(profile->tag, sizeof(profile->tag), "%s", tag);
}


static int
test_put(uint32_t tenant, const char *id, const char *tag)
{
    MDB_txn          *txn;
    phota_profile_t   profile;

    test_profile(&profile, tenant, id, tag);
    txn = test_begin(1);

    return test_wrote(txn, phota_profile_put(&test_profiles, txn, &profile,
                                             &test_err));
}


static int
test_get(const char *id, size_t len, phota_profile_t *profile)
{
    int       rc;
    MDB_txn  *txn;

    txn = test_begin(0);
    rc = phota_profile_get(&test_profiles, txn, (const u_char *) id, len,
                           profile, &test_err);
    phota_store_abort(txn);

    return rc;
}


static int
test_collect_profile(void *ctx, const phota_profile_t *profile)
{
    test_profiles_t  *list = ctx;

    assert_true(list->n < 256);
    list->profiles[list->n++] = *profile;

    return PHOTA_OK;
}


static void
test_list(uint32_t tenant, test_profiles_t *list)
{
    list->n = 0;
    assert_int_equal(phota_profiles_each(&test_profiles, tenant,
                                         test_collect_profile, list,
                                         &test_err),
                     PHOTA_OK);
}


static void
test_owner(void **state)
{
    MDB_txn          *txn;
    phota_profile_t   profile, again;

    (void) state;

    assert_int_equal(test_get("p-1", 3, &profile), PHOTA_DECLINED);
    assert_int_equal(test_put(1, "p-1", "Ann \xc3\xa9"), PHOTA_OK);

    test_profile(&again, 1, "p-1", "Ann \xc3\xa9");
    assert_int_equal(test_get("p-1", 3, &profile), PHOTA_OK);
    assert_memory_equal(&profile, &again, sizeof(phota_profile_t));

    /* a part of it is another, and so is one that is longer */

    assert_int_equal(test_get("p-", 2, &profile), PHOTA_DECLINED);
    assert_int_equal(test_get("p-1\0x", 5, &profile), PHOTA_DECLINED);
    assert_int_equal(test_get("", 0, &profile), PHOTA_DECLINED);

    assert_int_equal(test_put(2, "p-1", "mine"), PHOTA_REFUSED);
    assert_int_equal(test_get("p-1", 3, &profile), PHOTA_OK);
    assert_int_equal(profile.tenant, 1);

    assert_int_equal(test_put(1, "p-1", "Ann"), PHOTA_OK);
    assert_int_equal(test_get("p-1", 3, &profile), PHOTA_OK);
    assert_string_equal(profile.tag, "Ann");

    txn = test_begin(1);
    assert_int_equal(phota_profile_remove(&test_profiles, txn, 2,
                                          (const u_char *) "p-1", 3,
                                          &test_err),
                     PHOTA_DECLINED);
    assert_int_equal(phota_profile_remove(&test_profiles, txn, 1,
                                          (const u_char *) "p-1", 3,
                                          &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_profile_remove(&test_profiles, txn, 1,
                                          (const u_char *) "p-1", 3,
                                          &test_err),
                     PHOTA_DECLINED);
    test_commit(txn);

    assert_int_equal(test_put(2, "p-1", "mine"), PHOTA_OK);
}


/* by the charge whose id has such bytes */

static int
test_trained(uint32_t tenant, int charge, phota_profile_t *profile)
{
    int         rc;
    MDB_txn    *txn;
    phota_id_t  id;

    memset(id.b, charge, sizeof(phota_id_t));

    txn = test_begin(0);
    rc = phota_profile_trained(&test_profiles, txn, tenant, &id, profile,
                               &test_err);
    phota_store_abort(txn);

    return rc;
}


static void
test_by_charge(void **state)
{
    int              i;
    char             id[32];
    MDB_txn         *txn;
    phota_profile_t  profile;

    (void) state;

    assert_int_equal(test_trained(1, 1, &profile), PHOTA_DECLINED);

    txn = test_begin(1);

    for (i = 1; i <= 100; i++) {
        (void) snprintf(id, sizeof(id), "p-%d", i);
        test_profile(&profile, 1 + (i > 50), id, "");
        memset(profile.charge.b, i, sizeof(phota_id_t));
        assert_int_equal(phota_profile_put(&test_profiles, txn, &profile,
                                           &test_err),
                         PHOTA_OK);
    }

    test_commit(txn);

    assert_int_equal(test_trained(1, 37, &profile), PHOTA_OK);
    assert_string_equal(profile.id, "p-37");
    assert_int_equal(profile.tenant, 1);

    /* another's, nobody's */

    assert_int_equal(test_trained(1, 51, &profile), PHOTA_DECLINED);
    assert_int_equal(test_trained(2, 51, &profile), PHOTA_OK);
    assert_string_equal(profile.id, "p-51");
    assert_int_equal(test_trained(2, 101, &profile), PHOTA_DECLINED);
    assert_int_equal(test_trained(3, 51, &profile), PHOTA_DECLINED);
}


static void
test_ids(void **state)
{
    char             id[PHOTA_PROFILE_ID_MAX + 2];
    MDB_txn         *txn;
    phota_profile_t  profile;

    (void) state;

    assert_int_equal(test_put(1, "", ""), PHOTA_INVALID);
    assert_int_equal(test_put(1, "a/b", ""), PHOTA_INVALID);
    assert_int_equal(test_put(1, "a\nb", ""), PHOTA_INVALID);
    assert_int_equal(test_put(1, "a\x7f", ""), PHOTA_INVALID);
    assert_int_equal(test_put(0, "nobody's", ""), PHOTA_INVALID);

    memset(id, 'x', sizeof(id));
    id[PHOTA_PROFILE_ID_MAX] = '\0';
    assert_int_equal(test_put(1, id, ""), PHOTA_OK);
    assert_int_equal(test_get(id, PHOTA_PROFILE_ID_MAX, &profile), PHOTA_OK);

    id[PHOTA_PROFILE_ID_MAX] = 'x';
    assert_int_equal(test_get(id, sizeof(id), &profile), PHOTA_DECLINED);

    /* without an end */

    test_profile(&profile, 1, "y", "");
    memset(profile.tag, 't', sizeof(profile.tag));

    txn = test_begin(1);
    assert_int_equal(phota_profile_put(&test_profiles, txn, &profile,
                                       &test_err),
                     PHOTA_INVALID);
    profile.tag[PHOTA_PROFILE_TAG_MAX] = '\0';
    assert_int_equal(phota_profile_put(&test_profiles, txn, &profile,
                                       &test_err),
                     PHOTA_OK);
    memset(profile.id, 'y', sizeof(profile.id));
    assert_int_equal(phota_profile_put(&test_profiles, txn, &profile,
                                       &test_err),
                     PHOTA_INVALID);
    test_commit(txn);

    assert_int_equal(test_get("y", 1, &profile), PHOTA_OK);
    assert_int_equal(strlen(profile.tag), PHOTA_PROFILE_TAG_MAX);
}


static int
test_stop(void *ctx, const phota_profile_t *profile)
{
    (void) ctx;
    (void) profile;

    return PHOTA_EXCEEDED;
}


static void
test_lists(void **state)
{
    char              id[32];
    MDB_txn          *txn;
    unsigned          i;
    test_profiles_t  *list;

    (void) state;

    list = malloc(sizeof(test_profiles_t));
    assert_non_null(list);

    for (i = 0; i < 100; i++) {
        (void) snprintf(id, sizeof(id), "p-%02u", 99 - i);
        assert_int_equal(test_put(1 + i % 3, id, ""), PHOTA_OK);
    }

    test_list(2, list);
    assert_int_equal(list->n, 33);

    for (i = 1; i < list->n; i++) {
        assert_true(strcmp(list->profiles[i - 1].id, list->profiles[i].id)
                    < 0);
        assert_int_equal(list->profiles[i].tenant, 2);
    }

    test_list(0, list);
    assert_int_equal(list->n, 100);
    assert_int_equal(list->profiles[0].tenant, 1);
    assert_int_equal(list->profiles[99].tenant, 3);

    assert_int_equal(phota_profiles_each(&test_profiles, 0, test_stop, NULL,
                                         &test_err),
                     PHOTA_EXCEEDED);

    txn = test_begin(1);
    assert_int_equal(phota_profiles_forget(&test_profiles, txn, 2,
                                           &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_profiles_forget(&test_profiles, txn, 7,
                                           &test_err),
                     PHOTA_OK);
    test_commit(txn);

    test_list(2, list);
    assert_int_equal(list->n, 0);
    test_list(0, list);
    assert_int_equal(list->n, 67);

    free(list);
}


/* no byte of it turns over unseen: who owns it is among them */

static void
test_damage(void **state)
{
    size_t           i;
    u_char           record[1024];
    MDB_val          key, value;
    MDB_txn         *txn;
    test_profiles_t  list;
    phota_profile_t  profile;

    (void) state;

    assert_int_equal(test_put(1, "p-1", "a tag"), PHOTA_OK);
    assert_int_equal(test_put(1, "p-2", "a tag"), PHOTA_OK);

    key.mv_data = "p-1";
    key.mv_size = 3;

    txn = test_begin(1);
    assert_int_equal(mdb_get(txn, test_profiles.profiles, &key, &value), 0);
    assert_true(value.mv_size < sizeof(record));
    memcpy(record, value.mv_data, value.mv_size);
    value.mv_data = record;

    for (i = 0; i < value.mv_size; i++) {
        record[i] ^= 1;
        assert_int_equal(mdb_put(txn, test_profiles.profiles, &key, &value,
                                 0),
                         0);
        assert_int_equal(phota_profile_get(&test_profiles, txn,
                                           (const u_char *) "p-1", 3,
                                           &profile, &test_err),
                         PHOTA_ERROR);
        record[i] ^= 1;
    }

    for (i = 0; i < value.mv_size; i += 5) {
        MDB_val  cut = { i, record };

        assert_int_equal(mdb_put(txn, test_profiles.profiles, &key, &cut, 0),
                         0);
        assert_int_equal(phota_profile_get(&test_profiles, txn,
                                           (const u_char *) "p-1", 3,
                                           &profile, &test_err),
                         PHOTA_ERROR);
    }

    test_profile(&profile, 1, "p-1", "anew");
    assert_int_equal(phota_profile_put(&test_profiles, txn, &profile,
                                       &test_err),
                     PHOTA_ERROR);
    test_commit(txn);

    list.n = 0;
    assert_int_equal(phota_profiles_each(&test_profiles, 1,
                                         test_collect_profile, &list,
                                         &test_err),
                     PHOTA_ERROR);
    assert_int_equal(list.n, 1);
    assert_non_null(strstr(test_err.text, "p-1"));

    txn = test_begin(1);
    assert_int_equal(phota_profiles_forget(&test_profiles, txn, 1,
                                           &test_err),
                     PHOTA_OK);
    test_commit(txn);

    assert_int_equal(test_get("p-1", 3, &profile), PHOTA_DECLINED);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST_PROFILE(test_owner),
        TEST_PROFILE(test_by_charge),
        TEST_PROFILE(test_ids),
        TEST_PROFILE(test_lists),
        TEST_PROFILE(test_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
