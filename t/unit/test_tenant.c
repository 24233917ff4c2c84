
/*
 * Tests for tenants, tokens, keys and the directory: names and ids, what a
 * token opens and when no longer, whose key a call gets, and that damaged
 * records are refused, whichever byte it is.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "phota_tenant_record.h"


#define MAP      ((size_t) 64 << 20)
#define FOREVER  ((uint64_t) 1 << 60)


static char             dir[64];
static phota_error_t    err;
static phota_store_t    store;
static phota_tenants_t  tenants;
static phota_master_t   master;


static int
setup(void **state)
{
    (void) state;

    (void) snprintf(dir, sizeof(dir), "/tmp/phota_tenant.XXXXXX");

    if (mkdtemp(dir) == NULL
        || phota_store_open(&store, dir, "books", PHOTA_BOOKS_SCHEMA, MAP,
                            PHOTA_STORE_CREATE, &err) != PHOTA_OK
        || phota_tenants_open(&tenants, &store, &err) != PHOTA_OK)
    {
        return -1;
    }

    memset(&master, 0, sizeof(phota_master_t));
    memset(master.b, 5, PHOTA_MASTER_LEN);

    return 0;
}


static int
teardown(void **state)
{
    unsigned     i;
    char         name[128];

    static const char  *names[] = {
        "/books/data.mdb", "/books/lock.mdb", "/books", ""
    };

    (void) state;

    phota_store_close(&store);

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void) snprintf(name, sizeof(name), "%s%s", dir, names[i]);
        (void) remove(name);
    }

    return 0;
}


static uint64_t
generation(void)
{
    uint64_t  n;

    assert_int_equal(phota_store_generation(&store, &n), PHOTA_OK);

    return n;
}


static phota_directory_t *
directory(void)
{
    phota_directory_t  *d;

    assert_int_equal(phota_directory_load(&tenants, &d, &err), PHOTA_OK);

    return d;
}


static void
issue(const char *tenant, uint64_t expires, uint32_t *id, u_char *digest)
{
    char  token[PHOTA_TOKEN_LEN + 1];

    assert_int_equal(phota_token_issue(&tenants, tenant, "label", expires,
                                       NULL, token, id, &err), PHOTA_OK);
    assert_int_equal(phota_token_digest((u_char *) token, PHOTA_TOKEN_LEN,
                                        digest), PHOTA_OK);
}


static int
find(const u_char *digest, uint64_t now, uint32_t tenant, uint32_t token)
{
    int                    rc;
    phota_directory_t     *d;
    const phota_token_t   *found;
    const phota_tenant_t  *owner;

    d = directory();
    rc = phota_directory_find(d, digest, now, &owner, &found);

    if (rc == PHOTA_OK) {
        assert_int_equal(owner->id, tenant);
        assert_int_equal(found->id, token);
        assert_int_equal(found->tenant, tenant);
    }

    phota_directory_destroy(d);

    return rc;
}


static void
names(void **state)
{
    char      name[80];
    unsigned  i;
    uint32_t  id;

    static const char  *bad[] = {
        "", "A", "a b", "a.b", "a/b", "\xc3\xa4", "a\n", "Acme"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(phota_tenant_add(&tenants, bad[i], &id, &err),
                         PHOTA_INVALID);
    }

    memset(name, 'a', 65);
    name[65] = '\0';
    assert_int_equal(phota_tenant_add(&tenants, name, &id, &err),
                     PHOTA_INVALID);
    name[64] = '\0';
    assert_int_equal(phota_tenant_add(&tenants, name, &id, &err), PHOTA_OK);
    assert_int_equal(phota_tenant_add(&tenants, "a-0_z", NULL, NULL),
                     PHOTA_OK);
}


static void
ids(void **state)
{
    uint32_t        one, two;
    uint64_t        n;
    phota_tenant_t  tenant;

    (void) state;

    n = generation();
    assert_int_equal(phota_tenant_add(&tenants, "acme", &one, &err),
                     PHOTA_OK);
    assert_int_equal(one, 1);
    assert_int_equal(generation(), n + 1);

    /* what is refused raises nothing, and takes no number */

    assert_int_equal(phota_tenant_add(&tenants, "acme", &two, &err),
                     PHOTA_REFUSED);
    assert_int_equal(generation(), n + 1);
    assert_int_equal(phota_tenant_add(&tenants, "bolt", &two, &err),
                     PHOTA_OK);
    assert_int_equal(two, 2);

    assert_int_equal(phota_tenant_get(&tenants, "acme", &tenant, &err),
                     PHOTA_OK);
    assert_int_equal(tenant.id, one);
    assert_int_equal(tenant.flags, 0);
    assert_string_equal(tenant.name, "acme");
    assert_true(tenant.created <= phota_now());
    assert_int_equal(phota_tenant_get(&tenants, "none", &tenant, &err),
                     PHOTA_DECLINED);
}


typedef struct {
    uint32_t        set;
    uint32_t        clear;
    phota_limits_t  limits;
    phota_plan_t    plan;
    int             rc;
} change_t;


static int
apply(void *ctx, phota_tenant_t *tenant, phota_error_t *e)
{
    change_t  *change = ctx;

    (void) e;

    tenant->flags &= ~change->clear;
    tenant->flags |= change->set;
    tenant->limits = change->limits;
    tenant->plan = change->plan;

    /* what isn't to be changed */

    tenant->id += 7;
    tenant->created = 1;
    tenant->name[0] = 'x';
    tenant->zone[0] = 'x';

    return change->rc;
}


static void
change_init(change_t *change)
{
    memset(change, 0, sizeof(change_t));

    change->limits = phota_no_limits;
    phota_plan_init(&change->plan);
}


static int
change(const char *name, change_t *c, const phota_zone_t *zone)
{
    return phota_tenant_edit(&tenants, name, apply, c, zone, &err);
}


static void
flags(void **state)
{
    uint64_t        n;
    change_t        c;
    phota_tenant_t  tenant;

    (void) state;

    assert_int_equal(phota_tenant_add(&tenants, "acme", NULL, &err),
                     PHOTA_OK);
    n = generation();

    change_init(&c);
    c.set = PHOTA_TENANT_SUSPENDED|PHOTA_TENANT_SHARED;
    assert_int_equal(change("acme", &c, NULL), PHOTA_OK);
    assert_int_equal(generation(), n + 1);

    c.set = 0;
    c.clear = PHOTA_TENANT_SUSPENDED;
    assert_int_equal(change("acme", &c, NULL), PHOTA_OK);
    assert_int_equal(phota_tenant_get(&tenants, "acme", &tenant, &err),
                     PHOTA_OK);
    assert_int_equal(tenant.flags, PHOTA_TENANT_SHARED);

    c.set = PHOTA_TENANT_OWN_KEY;
    assert_int_equal(change("acme", &c, NULL), PHOTA_OK);
    assert_int_equal(phota_tenant_get(&tenants, "acme", &tenant, &err),
                     PHOTA_OK);
    assert_int_equal(tenant.flags, PHOTA_TENANT_SHARED);
    assert_int_equal(tenant.id, 1);
    assert_true(tenant.created > 1);
    assert_string_equal(tenant.name, "acme");
    assert_string_equal(tenant.zone, "");

    c.set = 0x80;
    assert_int_equal(change("acme", &c, NULL), PHOTA_INVALID);

    change_init(&c);
    assert_int_equal(change("none", &c, NULL), PHOTA_DECLINED);

    n = generation();
    c.rc = PHOTA_REFUSED;
    c.set = PHOTA_TENANT_SUSPENDED;
    assert_int_equal(change("acme", &c, NULL), PHOTA_REFUSED);
    assert_int_equal(generation(), n);
}


static void
plans(void **state)
{
    unsigned        i;
    change_t        c;
    phota_tenant_t  tenant;

    static const struct {
        int32_t   markup;
        uint32_t  hit, join;
        int64_t   base, identity, day;
        int       rc;
    } cases[] = {
        { 200000, 0, PHOTA_PPM, -1, -1, 0, PHOTA_OK },
        { -PHOTA_PPM, PHOTA_PPM, 0, 0, 0, -1, PHOTA_OK },
        { PHOTA_MARKUP_MAX, 1, 1, 5, 6, 5000000, PHOTA_OK },
        { PHOTA_MARKUP_MAX + 1, 0, 0, -1, -1, -1, PHOTA_INVALID },
        { -PHOTA_PPM - 1, 0, 0, -1, -1, -1, PHOTA_INVALID },
        { 0, PHOTA_PPM + 1, 0, -1, -1, -1, PHOTA_INVALID },
        { 0, 0, PHOTA_PPM + 1, -1, -1, -1, PHOTA_INVALID },
        { 0, 0, 0, 6, 5, -1, PHOTA_INVALID },
        { 0, 0, 0, -2, 5, -1, PHOTA_INVALID },
        { 0, 0, 0, 1, PHOTA_FIXED_MAX + 1, -1, PHOTA_INVALID },
        { 0, 0, 0, -1, -1, -2, PHOTA_INVALID },
        { 0, 0, 0, -1, -1, INT64_MAX, PHOTA_INVALID }
    };

    (void) state;

    assert_int_equal(phota_tenant_add(&tenants, "acme", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(phota_tenant_get(&tenants, "acme", &tenant, &err),
                     PHOTA_OK);
    assert_true(tenant.limits.day == -1 && tenant.limits.month == -1
                && tenant.limits.total == -1);
    assert_true(tenant.plan.fixed[PHOTA_OP_REMIX].base == -1);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        change_init(&c);
        c.plan.markup = cases[i].markup;
        c.plan.hit = cases[i].hit;
        c.plan.join = cases[i].join;
        c.plan.fixed[PHOTA_OP_TRAINING].base = cases[i].base;
        c.plan.fixed[PHOTA_OP_TRAINING].identity = cases[i].identity;
        c.limits.day = cases[i].day;

        assert_int_equal(change("acme", &c, NULL), cases[i].rc);

        if (cases[i].rc == PHOTA_OK) {
            assert_int_equal(phota_tenant_get(&tenants, "acme", &tenant,
                                              &err), PHOTA_OK);
            assert_memory_equal(&tenant.plan, &c.plan, sizeof(c.plan));
            assert_memory_equal(&tenant.limits, &c.limits, sizeof(c.limits));
        }
    }
}


static void
zones(void **state)
{
    MDB_txn             *txn;
    MDB_val              key;
    change_t             c;
    phota_zone_t         zone;
    phota_tenant_t       tenant;
    phota_directory_t   *d;
    const phota_zone_t  *found;

    (void) state;

    assert_int_equal(phota_tenant_add(&tenants, "acme", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(phota_tenant_add(&tenants, "bolt", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(phota_zone_create(&zone, "Europe/Berlin", phota_now(),
                                       &err), PHOTA_OK);
    change_init(&c);
    assert_int_equal(change("acme", &c, &zone), PHOTA_OK);

    d = directory();
    assert_int_equal(phota_tenant_get(&tenants, "bolt", &tenant, &err),
                     PHOTA_OK);
    assert_null(phota_directory_zone(d, &tenant));
    assert_int_equal(phota_tenant_get(&tenants, "acme", &tenant, &err),
                     PHOTA_OK);
    assert_string_equal(tenant.zone, "Europe/Berlin");

    found = phota_directory_zone(d, &tenant);
    assert_non_null(found);
    assert_string_equal(found->name, "Europe/Berlin");
    assert_int_equal(found->n, zone.n);
    phota_directory_destroy(d);
    phota_zone_free(&zone);

    /* it stays when something else is changed */

    c.set = PHOTA_TENANT_SHARED;
    assert_int_equal(change("acme", &c, NULL), PHOTA_OK);
    assert_int_equal(phota_tenant_get(&tenants, "acme", &tenant, &err),
                     PHOTA_OK);
    assert_string_equal(tenant.zone, "Europe/Berlin");

    /* without its zone a tenant isn't served by another one's clock */

    assert_int_equal(phota_store_begin(&store, 1, &txn, &err), PHOTA_OK);
    key.mv_data = tenant.zone;
    key.mv_size = strlen(tenant.zone);
    assert_int_equal(mdb_del(txn, tenants.zones, &key, NULL), 0);
    assert_int_equal(phota_store_commit(txn, &err), PHOTA_OK);
    assert_int_equal(phota_directory_load(&tenants, &d, &err), PHOTA_ERROR);
    assert_non_null(strstr(err.text, "Europe/Berlin"));

    assert_int_equal(phota_zone_create(&zone, "UTC", phota_now(), &err),
                     PHOTA_OK);
    assert_int_equal(change("acme", &c, &zone), PHOTA_OK);
    phota_zone_free(&zone);
    assert_int_equal(phota_tenant_get(&tenants, "acme", &tenant, &err),
                     PHOTA_OK);
    assert_string_equal(tenant.zone, "");
    phota_directory_destroy(directory());
}


typedef struct {
    unsigned  n;
    unsigned  stop;
} counter_t;


static int
count(void *ctx, const phota_tenant_t *tenant)
{
    counter_t  *counter = ctx;

    static const char  *order[] = { "acme", "bolt", "zeta" };

    assert_true(counter->n < 3);
    assert_string_equal(tenant->name, order[counter->n]);

    return (++counter->n == counter->stop) ? PHOTA_REFUSED : PHOTA_OK;
}


static void
each(void **state)
{
    counter_t  counter;

    (void) state;

    counter.n = 0;
    counter.stop = 0;
    assert_int_equal(phota_tenant_each(&tenants, count, &counter, &err),
                     PHOTA_OK);
    assert_int_equal(counter.n, 0);

    assert_int_equal(phota_tenant_add(&tenants, "zeta", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(phota_tenant_add(&tenants, "acme", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(phota_tenant_add(&tenants, "bolt", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(phota_tenant_each(&tenants, count, &counter, &err),
                     PHOTA_OK);
    assert_int_equal(counter.n, 3);

    counter.n = 0;
    counter.stop = 2;
    assert_int_equal(phota_tenant_each(&tenants, count, &counter, &err),
                     PHOTA_REFUSED);
    assert_int_equal(counter.n, 2);
}


static void
tokens(void **state)
{
    char      token[PHOTA_TOKEN_LEN + 1], label[80];
    u_char    one[PHOTA_SHA256_LEN], two[PHOTA_SHA256_LEN];
    uint32_t  id, other;
    uint64_t  n;

    (void) state;

    assert_int_equal(phota_tenant_add(&tenants, "acme", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(phota_tenant_add(&tenants, "bolt", NULL, &err),
                     PHOTA_OK);

    n = generation();
    issue("acme", 0, &id, one);
    issue("bolt", 1000, &other, two);
    assert_int_equal(id, 1);
    assert_int_equal(other, 2);
    assert_int_equal(generation(), n + 2);

    assert_int_equal(find(one, FOREVER, 1, 1), PHOTA_OK);
    assert_int_equal(find(two, 999, 2, 2), PHOTA_OK);
    assert_int_equal(find(two, 1000, 2, 2), PHOTA_DECLINED);
    assert_int_equal(find(two, FOREVER, 2, 2), PHOTA_DECLINED);

    one[31] ^= 1;
    assert_int_equal(find(one, 0, 1, 1), PHOTA_DECLINED);
    one[31] ^= 1;
    one[0] ^= 1;
    assert_int_equal(find(one, 0, 1, 1), PHOTA_DECLINED);
    one[0] ^= 1;

    assert_int_equal(phota_token_revoke(&tenants, 1, &err), PHOTA_OK);
    assert_int_equal(generation(), n + 3);
    assert_int_equal(find(one, 0, 1, 1), PHOTA_DECLINED);
    assert_int_equal(phota_token_revoke(&tenants, 1, &err), PHOTA_REFUSED);
    assert_int_equal(phota_token_revoke(&tenants, 3, &err), PHOTA_DECLINED);
    assert_int_equal(phota_token_revoke(&tenants, 0, &err), PHOTA_DECLINED);
    assert_int_equal(generation(), n + 3);

    issue("acme", 0, &id, one);
    assert_int_equal(id, 3);

    assert_int_equal(phota_token_issue(&tenants, "none", "", 0, NULL, token,
                                       &id, &err), PHOTA_DECLINED);
    assert_int_equal(token[0], '\0');
    assert_int_equal(phota_token_issue(&tenants, "acme", "a\nb", 0, NULL,
                                       token, &id, &err), PHOTA_INVALID);
    memset(label, 'x', 65);
    label[65] = '\0';
    assert_int_equal(phota_token_issue(&tenants, "acme", label, 0, NULL, token,
                                       &id, &err), PHOTA_INVALID);
    label[64] = '\0';
    assert_int_equal(phota_token_issue(&tenants, "acme", label, 0, NULL, token,
                                       &id, &err), PHOTA_OK);
    assert_int_equal(phota_token_issue(&tenants, "acme", NULL, 0, NULL, token,
                                       &id, &err), PHOTA_OK);
}


static int
spend(void *ctx, phota_token_t *token, phota_error_t *e)
{
    int64_t  *limit = ctx;

    (void) e;

    token->limits.month = *limit;
    (void) snprintf(token->label, sizeof(token->label), "new");

    token->id = 9;
    token->tenant = 9;
    token->expires = 9;
    token->revoked = 9;

    return PHOTA_OK;
}


static void
token_edit(void **state)
{
    char                   token[PHOTA_TOKEN_LEN + 1];
    u_char                 digest[PHOTA_SHA256_LEN];
    int64_t                limit;
    uint32_t               id;
    phota_limits_t         limits;
    const phota_token_t   *found;
    phota_directory_t     *d;
    const phota_tenant_t  *owner;

    (void) state;

    limits = phota_no_limits;
    limits.day = 5000000;

    assert_int_equal(phota_tenant_add(&tenants, "acme", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(phota_token_issue(&tenants, "acme", "old", 0, &limits,
                                       token, &id, &err), PHOTA_OK);

    limit = 70000000;
    assert_int_equal(phota_token_edit(&tenants, id, spend, &limit, &err),
                     PHOTA_OK);
    limit = -2;
    assert_int_equal(phota_token_edit(&tenants, id, spend, &limit, &err),
                     PHOTA_INVALID);
    assert_int_equal(phota_token_edit(&tenants, 5, spend, &limit, &err),
                     PHOTA_DECLINED);

    limits.total = -3;
    assert_int_equal(phota_token_issue(&tenants, "acme", "", 0, &limits,
                                       token, &id, &err), PHOTA_INVALID);

    assert_int_equal(phota_token_issue(&tenants, "acme", "", 0, NULL, token,
                                       &id, &err), PHOTA_OK);
    assert_int_equal(id, 2);
    assert_int_equal(phota_token_digest((u_char *) token, PHOTA_TOKEN_LEN,
                                        digest), PHOTA_OK);

    d = directory();
    assert_int_equal(phota_directory_find(d, digest, FOREVER, &owner,
                                          &found), PHOTA_OK);
    assert_memory_equal(&found->limits, &phota_no_limits, sizeof(limits));
    phota_directory_destroy(d);
}


static int
edited(void *ctx, const phota_token_t *token)
{
    unsigned  *n = ctx;

    if (token->id == 1) {
        assert_int_equal(token->tenant, 1);
        assert_true(token->expires == 0 && token->revoked == 0);
        assert_true(token->limits.day == 5000000);
        assert_true(token->limits.month == 70000000);
        assert_true(token->limits.total == -1);
        assert_string_equal(token->label, "new");
        (*n)++;
    }

    return PHOTA_OK;
}


static void
token_edited(void **state)
{
    unsigned  n;

    token_edit(state);

    n = 0;
    assert_int_equal(phota_token_each(&tenants, edited, &n, &err), PHOTA_OK);
    assert_int_equal(n, 1);
}


/* the whole table in the directory, and how fast it answers */

static void
many(void **state)
{
    size_t                 i;
    u_char                 digest[PHOTA_SHA256_LEN];
    MDB_txn               *txn;
    MDB_val                key, data;
    u_char                 buf[1024];
    phota_token_t          token;
    struct timespec        begin, end;
    const phota_token_t   *found;
    phota_directory_t     *d;
    const phota_tenant_t  *owner;

    enum { N = 10000 };

    (void) state;

    assert_int_equal(phota_tenant_add(&tenants, "acme", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(phota_store_begin(&store, 1, &txn, &err), PHOTA_OK);

    memset(&token, 0, sizeof(token));
    token.limits = phota_no_limits;

    for (i = 0; i < N; i++) {
        token.id = i + 1;
        token.tenant = 1;

        assert_int_equal(phota_sha256(token.digest, &i, sizeof(i)), PHOTA_OK);

        /* a few share the bytes that are hashed */

        if (i % 100 == 0) {
            memset(token.digest, 0, 8);
        }

        key.mv_data = token.digest;
        key.mv_size = PHOTA_SHA256_LEN;
        data.mv_data = buf;
        data.mv_size = phota_token_encode(buf, sizeof(buf), &token);
        assert_int_equal(mdb_put(txn, tenants.tokens, &key, &data, 0), 0);
    }

    assert_int_equal(phota_store_commit(txn, &err), PHOTA_OK);

    d = directory();

    for (i = 0; i < N; i++) {
        assert_int_equal(phota_sha256(digest, &i, sizeof(i)), PHOTA_OK);

        if (i % 100 == 0) {
            memset(digest, 0, 8);
        }

        assert_int_equal(phota_directory_find(d, digest, 0, &owner, &found),
                         PHOTA_OK);
        assert_int_equal(found->id, i + 1);
        digest[9] ^= 1;
        assert_int_equal(phota_directory_find(d, digest, 0, &owner, &found),
                         PHOTA_DECLINED);
    }

    i = 1;
    assert_int_equal(phota_sha256(digest, &i, sizeof(i)), PHOTA_OK);
    (void) clock_gettime(CLOCK_MONOTONIC, &begin);

    for (i = 0; i < 1000000; i++) {
        (void) phota_directory_find(d, digest, i, &owner, &found);
    }

    (void) clock_gettime(CLOCK_MONOTONIC, &end);
    print_message("directory of %d tokens: %.0f ns a look-up\n", N,
                  ((end.tv_sec - begin.tv_sec) * 1e9
                   + (end.tv_nsec - begin.tv_nsec)) / 1e6);

    phota_directory_destroy(d);
}


static void
secret_is(const char *tenant, phota_provider_e provider, phota_secret_e what,
    int rc, const char *key)
{
    size_t              len;
    u_char              out[PHOTA_KEY_MAX];
    phota_tenant_t      t;
    phota_directory_t  *d;

    assert_int_equal(phota_tenant_get(&tenants, tenant, &t, &err), PHOTA_OK);

    d = directory();
    assert_int_equal(phota_directory_key(d, &master, &t, provider, what, out,
                                         &len), rc);

    if (rc == PHOTA_OK) {
        assert_int_equal(len, strlen(key));
        assert_memory_equal(out, key, len);
    }

    phota_directory_destroy(d);
}


static void
key_is(const char *tenant, int rc, const char *key)
{
    secret_is(tenant, PHOTA_PROVIDER_PHOTA, PHOTA_SECRET_KEY, rc, key);
}


static int
set_secret(const char *tenant, phota_provider_e provider,
    phota_secret_e what, const char *key)
{
    return phota_key_set(&tenants, &master, tenant, provider, what,
                         (u_char *) key, strlen(key), NULL, &err);
}


static int
set(const char *tenant, const char *key)
{
    return set_secret(tenant, PHOTA_PROVIDER_PHOTA, PHOTA_SECRET_KEY, key);
}


/* what there is to say of a new key */

static unsigned
told(const char *tenant, phota_provider_e provider, const char *key)
{
    unsigned  found;

    found = 0x80;
    assert_int_equal(phota_key_set(&tenants, &master, tenant, provider,
                                   PHOTA_SECRET_KEY, (u_char *) key,
                                   strlen(key), &found, &err), PHOTA_OK);

    return found;
}


/* 1 when the account turns out to be shared */

static int
shares(const char *tenant, const char *key)
{
    return (told(tenant, PHOTA_PROVIDER_PHOTA, key) & PHOTA_KEY_SHARED) != 0;
}


static unsigned
fenced(const char *name)
{
    phota_tenant_t  tenant;

    assert_int_equal(phota_tenant_get(&tenants, name, &tenant, &err),
                     PHOTA_OK);

    return phota_tenant_fenced(&tenant);
}


static void
keys(void **state)
{
    char            big[PHOTA_KEY_MAX + 2];
    uint64_t        n;
    phota_tenant_t  tenant;

    (void) state;

    assert_int_equal(phota_tenant_add(&tenants, "acme", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(phota_tenant_add(&tenants, "bolt", NULL, &err),
                     PHOTA_OK);

    key_is("acme", PHOTA_DECLINED, NULL);

    n = generation();
    assert_int_equal(set(NULL, "default-key"), PHOTA_OK);
    assert_int_equal(generation(), n + 1);
    key_is("acme", PHOTA_OK, "default-key");

    assert_int_equal(phota_tenant_get(&tenants, "acme", &tenant, &err),
                     PHOTA_OK);
    assert_int_equal(tenant.flags & PHOTA_TENANT_OWN_KEY, 0);

    assert_int_equal(set("acme", "one"), PHOTA_OK);
    assert_int_equal(set("acme", "another"), PHOTA_OK);
    key_is("acme", PHOTA_OK, "another");
    key_is("bolt", PHOTA_OK, "default-key");

    assert_int_equal(phota_tenant_get(&tenants, "acme", &tenant, &err),
                     PHOTA_OK);
    assert_int_equal(tenant.flags & PHOTA_TENANT_OWN_KEY,
                     PHOTA_TENANT_OWN_KEY);

    master.b[0] ^= 1;
    key_is("acme", PHOTA_INVALID, NULL);
    master.b[0] ^= 1;

    assert_int_equal(set("none", "key"), PHOTA_DECLINED);
    assert_int_equal(set("acme", "a b"), PHOTA_INVALID);
    assert_int_equal(set("acme", "key\r\nX-Other: 1"), PHOTA_INVALID);
    assert_int_equal(set("acme", "k\xc3\xa9y"), PHOTA_INVALID);

    memset(big, 'k', sizeof(big));
    big[PHOTA_KEY_MAX + 1] = '\0';
    assert_int_equal(set("acme", big), PHOTA_INVALID);
    key_is("acme", PHOTA_OK, "another");
    big[PHOTA_KEY_MAX] = '\0';
    assert_int_equal(set("acme", big), PHOTA_OK);
    key_is("acme", PHOTA_OK, big);
}


/* whoever had one of its own doesn't get to the shared account by itself */

static void
key_removed(void **state)
{
    size_t              len;
    u_char              out[PHOTA_KEY_MAX];
    phota_tenant_t      acme, bolt;
    phota_directory_t  *d;

    (void) state;

    assert_int_equal(phota_tenant_add(&tenants, "acme", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(phota_tenant_add(&tenants, "bolt", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(set(NULL, "default-key"), PHOTA_OK);
    assert_int_equal(set("acme", ""), PHOTA_DECLINED);
    assert_int_equal(set("acme", "own"), PHOTA_OK);
    assert_int_equal(set_secret("acme", PHOTA_PROVIDER_PHOTA,
                                PHOTA_SECRET_CALLBACK, "signs"), PHOTA_OK);

    assert_int_equal(phota_tenant_get(&tenants, "acme", &acme, &err),
                     PHOTA_OK);
    assert_int_equal(phota_tenant_get(&tenants, "bolt", &bolt, &err),
                     PHOTA_OK);

    assert_int_equal(set("acme", ""), PHOTA_OK);
    assert_int_equal(set("acme", ""), PHOTA_DECLINED);
    assert_int_equal(set("none", ""), PHOTA_DECLINED);

    key_is("acme", PHOTA_OK, "default-key");
    assert_int_equal(fenced("acme"), 1);

    /* a call that is under way */

    d = directory();
    assert_int_equal(phota_directory_key(d, &master, &acme,
                                         PHOTA_PROVIDER_PHOTA,
                                         PHOTA_SECRET_KEY, out, &len),
                     PHOTA_DECLINED);
    assert_int_equal(phota_directory_key(d, &master, &bolt,
                                         PHOTA_PROVIDER_PHOTA,
                                         PHOTA_SECRET_KEY, out, &len),
                     PHOTA_OK);

    bolt.id = 77;
    assert_int_equal(phota_directory_key(d, &master, &bolt,
                                         PHOTA_PROVIDER_PHOTA,
                                         PHOTA_SECRET_KEY, out, &len),
                     PHOTA_DECLINED);
    phota_directory_destroy(d);

    /* its secret went with it, and doesn't come back with another key */

    assert_int_equal(set("acme", "new"), PHOTA_OK);
    key_is("acme", PHOTA_OK, "new");
    secret_is("acme", PHOTA_PROVIDER_PHOTA, PHOTA_SECRET_CALLBACK,
              PHOTA_DECLINED, NULL);

    assert_int_equal(set(NULL, ""), PHOTA_OK);
    key_is("bolt", PHOTA_DECLINED, NULL);
}


/* of one account, the key and what signs its callbacks */

static void
key_accounts(void **state)
{
    (void) state;

    assert_int_equal(phota_tenant_add(&tenants, "acme", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(phota_tenant_add(&tenants, "bolt", NULL, &err),
                     PHOTA_OK);

    assert_int_equal(set(NULL, "default"), PHOTA_OK);
    assert_int_equal(set_secret(NULL, PHOTA_PROVIDER_PHOTA,
                                PHOTA_SECRET_CALLBACK, "signs"), PHOTA_OK);
    assert_int_equal(set_secret(NULL, PHOTA_PROVIDER_PHOTIO,
                                PHOTA_SECRET_KEY, "pt-default"), PHOTA_OK);
    assert_int_equal(set_secret("acme", PHOTA_PROVIDER_PHOTA,
                                PHOTA_SECRET_CALLBACK, "mine"),
                     PHOTA_REFUSED);

    secret_is("acme", PHOTA_PROVIDER_PHOTA, PHOTA_SECRET_CALLBACK, PHOTA_OK,
              "signs");
    secret_is("acme", PHOTA_PROVIDER_PHOTIO, PHOTA_SECRET_KEY, PHOTA_OK,
              "pt-default");
    secret_is("acme", PHOTA_PROVIDER_PHOTIO, PHOTA_SECRET_CALLBACK,
              PHOTA_DECLINED, NULL);

    /* a key of its own: never the default account's secret */

    assert_int_equal(set("acme", "own"), PHOTA_OK);
    secret_is("acme", PHOTA_PROVIDER_PHOTA, PHOTA_SECRET_CALLBACK,
              PHOTA_DECLINED, NULL);
    assert_int_equal(set_secret("acme", PHOTA_PROVIDER_PHOTA,
                                PHOTA_SECRET_CALLBACK, "mine"), PHOTA_OK);
    secret_is("acme", PHOTA_PROVIDER_PHOTA, PHOTA_SECRET_CALLBACK, PHOTA_OK,
              "mine");
    secret_is("bolt", PHOTA_PROVIDER_PHOTA, PHOTA_SECRET_CALLBACK, PHOTA_OK,
              "signs");

    /* each provider for itself, and fences follow phota's */

    secret_is("acme", PHOTA_PROVIDER_PHOTIO, PHOTA_SECRET_KEY, PHOTA_OK,
              "pt-default");
    assert_int_equal(set_secret("bolt", PHOTA_PROVIDER_PHOTIO,
                                PHOTA_SECRET_KEY, "pt-bolt"), PHOTA_OK);
    secret_is("bolt", PHOTA_PROVIDER_PHOTIO, PHOTA_SECRET_KEY, PHOTA_OK,
              "pt-bolt");
    secret_is("acme", PHOTA_PROVIDER_PHOTIO, PHOTA_SECRET_KEY, PHOTA_OK,
              "pt-default");
    key_is("bolt", PHOTA_OK, "default");
    assert_int_equal(fenced("acme"), 0);
    assert_int_equal(fenced("bolt"), 1);

    /* a secret goes alone */

    assert_int_equal(set_secret("acme", PHOTA_PROVIDER_PHOTA,
                                PHOTA_SECRET_CALLBACK, ""), PHOTA_OK);
    key_is("acme", PHOTA_OK, "own");
    secret_is("acme", PHOTA_PROVIDER_PHOTA, PHOTA_SECRET_CALLBACK,
              PHOTA_DECLINED, NULL);
}


static int
unfence(void *ctx, phota_tenant_t *tenant, phota_error_t *e)
{
    (void) ctx;
    (void) e;

    tenant->flags &= ~(uint32_t) PHOTA_TENANT_FENCED;

    return PHOTA_OK;
}


static void
key_shared(void **state)
{
    (void) state;

    assert_int_equal(phota_tenant_add(&tenants, "acme", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(phota_tenant_add(&tenants, "bolt", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(phota_tenant_add(&tenants, "corp", NULL, &err),
                     PHOTA_OK);

    assert_int_equal(shares(NULL, "default"), 0);
    assert_int_equal(shares("acme", "one"), 0);
    assert_int_equal(shares("acme", "one"), 0);
    assert_int_equal(shares("bolt", "on"), 0);
    assert_int_equal(shares("corp", "onetwo"), 0);
    assert_int_equal(fenced("acme") + fenced("bolt") + fenced("corp"), 0);

    assert_int_equal(shares("bolt", "one"), 1);
    assert_int_equal(fenced("acme"), 1);
    assert_int_equal(fenced("bolt"), 1);
    assert_int_equal(fenced("corp"), 0);

    /* the default one, from either side */

    assert_int_equal(shares("corp", "default"), 1);
    assert_int_equal(fenced("corp"), 1);

    assert_int_equal(phota_tenant_edit(&tenants, "acme", unfence, NULL, NULL,
                                       &err), PHOTA_OK);
    assert_int_equal(shares("bolt", "two"), 0);
    assert_int_equal(fenced("acme"), 0);

    /* fences stay until somebody says so */

    assert_int_equal(fenced("bolt"), 1);
    assert_int_equal(shares(NULL, "one"), 1);
    assert_int_equal(fenced("acme"), 1);

    /* of another provider, or a secret: no matter */

    assert_int_equal(phota_tenant_edit(&tenants, "bolt", unfence, NULL, NULL,
                                       &err), PHOTA_OK);
    assert_int_equal(set_secret("acme", PHOTA_PROVIDER_PHOTIO,
                                PHOTA_SECRET_KEY, "two"), PHOTA_OK);
    assert_int_equal(set_secret("acme", PHOTA_PROVIDER_PHOTA,
                                PHOTA_SECRET_CALLBACK, "two"), PHOTA_OK);
    assert_int_equal(set_secret("bolt", PHOTA_PROVIDER_PHOTIO,
                                PHOTA_SECRET_KEY, "two"), PHOTA_OK);
    assert_int_equal(fenced("bolt"), 0);

    /* what another master key sealed can't be compared, and is no hindrance */

    master.b[0] ^= 1;
    assert_int_equal(shares("corp", "two"), 0);
    master.b[0] ^= 1;
    key_is("corp", PHOTA_INVALID, NULL);
}


/* whether it is now, by what lies there; asked within an edit, as photactl */

static int
asked(void *ctx, phota_tenant_t *tenant, phota_error_t *e)
{
    int  *shared = ctx;

    return phota_key_shared(&tenants, &master, tenant->id, shared, e);
}


static int
still_shared(const char *name, int rc)
{
    int  shared;

    shared = -1;
    assert_int_equal(phota_tenant_edit(&tenants, name, asked, &shared, NULL,
                                       &err), rc);

    return shared;
}


static void
key_still_shared(void **state)
{
    (void) state;

    assert_int_equal(phota_tenant_add(&tenants, "acme", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(phota_tenant_add(&tenants, "bolt", NULL, &err),
                     PHOTA_OK);

    assert_int_equal(set(NULL, "default"), PHOTA_OK);
    (void) still_shared("acme", PHOTA_DECLINED);

    assert_int_equal(set("acme", "one"), PHOTA_OK);
    assert_int_equal(still_shared("acme", PHOTA_OK), 0);
    assert_int_equal(set("bolt", "onetwo"), PHOTA_OK);
    assert_int_equal(still_shared("acme", PHOTA_OK), 0);

    /* nobody is fenced in by the question */

    assert_int_equal(set("bolt", "one"), PHOTA_OK);
    assert_int_equal(phota_tenant_edit(&tenants, "acme", unfence, NULL, NULL,
                                       &err), PHOTA_OK);
    assert_int_equal(phota_tenant_edit(&tenants, "bolt", unfence, NULL, NULL,
                                       &err), PHOTA_OK);
    assert_int_equal(still_shared("acme", PHOTA_OK), 1);
    assert_int_equal(still_shared("bolt", PHOTA_OK), 1);
    assert_int_equal(fenced("acme") + fenced("bolt"), 0);

    /* the default one; and no other provider's, and no secret */

    assert_int_equal(set("bolt", "default"), PHOTA_OK);
    assert_int_equal(still_shared("acme", PHOTA_OK), 0);
    assert_int_equal(still_shared("bolt", PHOTA_OK), 1);

    assert_int_equal(set_secret("bolt", PHOTA_PROVIDER_PHOTIO,
                                PHOTA_SECRET_KEY, "one"), PHOTA_OK);
    assert_int_equal(set_secret("bolt", PHOTA_PROVIDER_PHOTA,
                                PHOTA_SECRET_CALLBACK, "one"), PHOTA_OK);
    assert_int_equal(still_shared("acme", PHOTA_OK), 0);

    /* what can't be seen isn't "no" */

    master.b[0] ^= 1;
    (void) still_shared("acme", PHOTA_INVALID);
    assert_non_null(strstr(err.text, "doesn't open"));
    master.b[0] ^= 1;
}


/* another key is of another account, whose callbacks another secret signs */

static void
key_changed(void **state)
{
    unsigned  another;

    (void) state;

    another = PHOTA_KEY_CHANGED|PHOTA_KEY_UNSIGNED;

    assert_int_equal(phota_tenant_add(&tenants, "acme", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(told("acme", PHOTA_PROVIDER_PHOTA, "one"),
                     PHOTA_KEY_CHANGED);
    assert_int_equal(set_secret("acme", PHOTA_PROVIDER_PHOTA,
                                PHOTA_SECRET_CALLBACK, "signs"), PHOTA_OK);

    assert_int_equal(told("acme", PHOTA_PROVIDER_PHOTA, "one"), 0);
    assert_int_equal(told("acme", PHOTA_PROVIDER_PHOTIO, "two"),
                     PHOTA_KEY_CHANGED);
    secret_is("acme", PHOTA_PROVIDER_PHOTA, PHOTA_SECRET_CALLBACK, PHOTA_OK,
              "signs");

    assert_int_equal(told("acme", PHOTA_PROVIDER_PHOTA, "two"), another);
    key_is("acme", PHOTA_OK, "two");
    secret_is("acme", PHOTA_PROVIDER_PHOTA, PHOTA_SECRET_CALLBACK,
              PHOTA_DECLINED, NULL);
    assert_int_equal(told("acme", PHOTA_PROVIDER_PHOTA, "three"),
                     PHOTA_KEY_CHANGED);

    /* the default account's own stays */

    assert_int_equal(told(NULL, PHOTA_PROVIDER_PHOTA, "default"),
                     PHOTA_KEY_CHANGED);
    assert_int_equal(set_secret(NULL, PHOTA_PROVIDER_PHOTA,
                                PHOTA_SECRET_CALLBACK, "theirs"), PHOTA_OK);
    assert_int_equal(told(NULL, PHOTA_PROVIDER_PHOTA, "next"),
                     PHOTA_KEY_CHANGED);
    assert_int_equal(set("acme", ""), PHOTA_OK);
    secret_is("acme", PHOTA_PROVIDER_PHOTA, PHOTA_SECRET_CALLBACK, PHOTA_OK,
              "theirs");

    /* one that doesn't open can't be told from another */

    assert_int_equal(set("acme", "four"), PHOTA_OK);
    assert_int_equal(set_secret("acme", PHOTA_PROVIDER_PHOTA,
                                PHOTA_SECRET_CALLBACK, "signs"), PHOTA_OK);
    master.b[0] ^= 1;
    assert_int_equal(told("acme", PHOTA_PROVIDER_PHOTA, "four"), another);
    master.b[0] ^= 1;
}


static void
key_there(void **state)
{
    uint32_t  id;

    (void) state;

    assert_int_equal(phota_tenant_add(&tenants, "acme", &id, &err),
                     PHOTA_OK);
    assert_int_equal(set(NULL, "default"), PHOTA_OK);
    assert_int_equal(phota_key_has(&tenants, PHOTA_TENANT_DEFAULT,
                                   PHOTA_PROVIDER_PHOTA, &err), PHOTA_OK);
    assert_int_equal(phota_key_has(&tenants, PHOTA_TENANT_DEFAULT,
                                   PHOTA_PROVIDER_PHOTIO, &err),
                     PHOTA_DECLINED);
    assert_int_equal(phota_key_has(&tenants, id, PHOTA_PROVIDER_PHOTA, &err),
                     PHOTA_DECLINED);
    assert_int_equal(set("acme", "one"), PHOTA_OK);
    assert_int_equal(phota_key_has(&tenants, id, PHOTA_PROVIDER_PHOTA, &err),
                     PHOTA_OK);
}


static void
by_id(void **state)
{
    uint32_t               id;
    phota_directory_t     *d;
    const phota_tenant_t  *tenant;

    (void) state;

    assert_int_equal(phota_tenant_add(&tenants, "acme", &id, &err),
                     PHOTA_OK);
    assert_int_equal(set("acme", "own"), PHOTA_OK);

    d = directory();
    assert_int_equal(phota_directory_tenant(d, id, &tenant), PHOTA_OK);
    assert_string_equal(tenant->name, "acme");
    assert_int_equal(tenant->flags, PHOTA_TENANT_OWN_KEY);
    assert_int_equal(phota_directory_tenant(d, id + 1, &tenant),
                     PHOTA_DECLINED);
    assert_int_equal(phota_directory_tenant(d, 0, &tenant), PHOTA_DECLINED);
    phota_directory_destroy(d);
}


static void
keys_gone(void **state)
{
    int                    begun;
    MDB_txn               *txn;
    uint32_t               id;
    MDB_stat               st;
    phota_directory_t     *d;
    const phota_tenant_t  *tenant;

    (void) state;

    assert_int_equal(phota_tenant_add(&tenants, "acme", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(set(NULL, "default"), PHOTA_OK);
    assert_int_equal(set("acme", "own"), PHOTA_OK);
    assert_int_equal(set_secret("acme", PHOTA_PROVIDER_PHOTA,
                                PHOTA_SECRET_CALLBACK, "mine"), PHOTA_OK);
    assert_int_equal(set_secret("acme", PHOTA_PROVIDER_PHOTIO,
                                PHOTA_SECRET_KEY, "pt-own"), PHOTA_OK);

    assert_int_equal(phota_store_begin(&store, 1, &txn, &err), PHOTA_OK);
    assert_int_equal(phota_tenant_remove(&tenants, txn, "acme", &id, &begun,
                                         &err), PHOTA_OK);
    assert_int_equal(mdb_stat(txn, tenants.keys, &st), 0);
    assert_int_equal(st.ms_entries, 1);
    assert_int_equal(phota_store_commit(txn, &err), PHOTA_OK);

    d = directory();
    assert_int_equal(phota_directory_tenant(d, id, &tenant), PHOTA_DECLINED);
    phota_directory_destroy(d);
}


/* one tenant's record under another's id doesn't open */

static void
move(uint8_t provider, uint8_t what, uint32_t tenant)
{
    u_char        id[PHOTA_KEY_ID], buf[1024];
    MDB_txn      *txn;
    MDB_val       key, data;
    phota_seal_t  bound;

    assert_int_equal(phota_store_begin(&store, 1, &txn, &err), PHOTA_OK);

    memset(&bound, 0, sizeof(bound));
    bound.tenant = 1;
    phota_key_id_encode(id, &bound);
    key.mv_data = id;
    key.mv_size = sizeof(id);
    assert_int_equal(mdb_get(txn, tenants.keys, &key, &data), 0);
    memcpy(buf, data.mv_data, data.mv_size);
    data.mv_data = buf;

    bound.tenant = tenant;
    bound.provider = provider;
    bound.what = what;
    phota_key_id_encode(id, &bound);
    assert_int_equal(mdb_put(txn, tenants.keys, &key, &data, 0), 0);
    assert_int_equal(phota_store_commit(txn, &err), PHOTA_OK);
}


static void
key_moved(void **state)
{
    phota_directory_t  *d;

    (void) state;

    assert_int_equal(phota_tenant_add(&tenants, "acme", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(phota_tenant_add(&tenants, "bolt", NULL, &err),
                     PHOTA_OK);
    assert_int_equal(set("acme", "acme-key"), PHOTA_OK);

    move(PHOTA_PROVIDER_PHOTA, PHOTA_SECRET_KEY, 2);
    move(PHOTA_PROVIDER_PHOTIO, PHOTA_SECRET_KEY, 1);
    move(PHOTA_PROVIDER_PHOTA, PHOTA_SECRET_CALLBACK, 1);

    key_is("acme", PHOTA_OK, "acme-key");
    key_is("bolt", PHOTA_INVALID, NULL);
    secret_is("acme", PHOTA_PROVIDER_PHOTIO, PHOTA_SECRET_KEY,
              PHOTA_INVALID, NULL);
    secret_is("acme", PHOTA_PROVIDER_PHOTA, PHOTA_SECRET_CALLBACK,
              PHOTA_INVALID, NULL);

    /* of no provider that there is */

    move(PHOTA_PROVIDER_MAX, PHOTA_SECRET_KEY, 1);
    d = NULL;
    assert_int_equal(phota_directory_load(&tenants, &d, &err), PHOTA_ERROR);
}


/*
 * Every shorter and one longer record is damaged; a changed byte is damage or
 * another valid value, but never a crash or a half-filled answer.
 */

static void
damage(MDB_dbi dbi)
{
    int                 rc;
    size_t              i, len;
    u_char              name[64], old[1024], buf[1025];
    MDB_txn            *txn;
    MDB_val             key, data;
    MDB_cursor         *cursor;
    phota_directory_t  *d;

    assert_int_equal(phota_store_begin(&store, 0, &txn, &err), PHOTA_OK);
    assert_int_equal(mdb_cursor_open(txn, dbi, &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &key, &data, MDB_FIRST), 0);

    memcpy(name, key.mv_data, key.mv_size);
    memcpy(old, data.mv_data, data.mv_size);
    len = data.mv_size;
    key.mv_data = name;

    mdb_cursor_close(cursor);
    phota_store_abort(txn);

    for (i = 0; i <= 2 * len + 1; i++) {
        memcpy(buf, old, len);
        buf[len] = 0;

        data.mv_data = buf;
        data.mv_size = (i <= len) ? i : len;

        if (i == len) {
            data.mv_size = len + 1;

        } else if (i > len) {
            buf[i - len - 1] ^= 0xff;
        }

        assert_int_equal(phota_store_begin(&store, 1, &txn, &err), PHOTA_OK);
        assert_int_equal(mdb_put(txn, dbi, &key, &data, 0), 0);
        assert_int_equal(phota_store_commit(txn, &err), PHOTA_OK);

        d = NULL;
        err.text[0] = '\0';
        rc = phota_directory_load(&tenants, &d, &err);

        if (i <= len + 1) {
            assert_int_equal(rc, PHOTA_ERROR);
        }

        assert_true(rc == PHOTA_OK || rc == PHOTA_ERROR);
        assert_true(rc == PHOTA_OK || err.text[0] != '\0');
        phota_directory_destroy(d);
    }

    data.mv_data = old;
    data.mv_size = len;
    assert_int_equal(phota_store_begin(&store, 1, &txn, &err), PHOTA_OK);
    assert_int_equal(mdb_put(txn, dbi, &key, &data, 0), 0);
    assert_int_equal(phota_store_commit(txn, &err), PHOTA_OK);
    phota_directory_destroy(directory());
}


static void
damaged(void **state)
{
    u_char        digest[PHOTA_SHA256_LEN];
    change_t      c;
    uint32_t      id;
    phota_zone_t  zone;

    (void) state;

    assert_int_equal(phota_tenant_add(&tenants, "acme", NULL, &err),
                     PHOTA_OK);
    issue("acme", 0, &id, digest);
    assert_int_equal(set("acme", "key"), PHOTA_OK);

    change_init(&c);
    c.plan.fixed[PHOTA_OP_EDIT].base = 1;
    c.plan.fixed[PHOTA_OP_EDIT].identity = 2;
    assert_int_equal(phota_zone_create(&zone, "+05:30", 0, &err), PHOTA_OK);
    assert_int_equal(change("acme", &c, &zone), PHOTA_OK);
    phota_zone_free(&zone);

    damage(tenants.zones);
    damage(tenants.tenants);
    damage(tenants.tokens);
    damage(tenants.keys);

    assert_int_equal(find(digest, 0, 1, 1), PHOTA_OK);
    key_is("acme", PHOTA_OK, "key");
}


#define test(name)                                                            \
    cmocka_unit_test_setup_teardown(name, setup, teardown)


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        test(names),
        test(ids),
        test(flags),
        test(plans),
        test(zones),
        test(each),
        test(tokens),
        test(token_edited),
        test(many),
        test(keys),
        test(key_removed),
        test(key_accounts),
        test(key_shared),
        test(key_still_shared),
        test(key_changed),
        test(key_there),
        test(by_id),
        test(keys_gone),
        test(key_moved),
        test(damaged)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
