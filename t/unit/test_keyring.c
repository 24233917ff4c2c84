
/*
 * Two master keys: either opens and is read, the one that the books name seals
 * and signs, and what others keep for good is the same whichever that is; a
 * rekey that ends at any of its steps leaves each key under one of both.
 */


#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "phota_rekey.h"
#include "phota_sealed.h"


#define TEST_MAP   ((size_t) 16 << 20)
#define TEST_KEYS  150


static char             test_dir[64];
static phota_error_t    test_err;
static phota_store_t    test_store;
static phota_ledger_t   test_ledger;
static phota_tenants_t  test_tenants;

static phota_master_t   test_old, test_new, test_both;


static int
test_setup(void **state)
{
    (void) state;

    memset(test_old.b, 1, PHOTA_MASTER_LEN);
    memset(test_new.b, 2, PHOTA_MASTER_LEN);

    test_both = test_new;
    memcpy(test_both.other, test_old.b, PHOTA_MASTER_LEN);
    test_both.two = 1;

    (void) snprintf(test_dir, sizeof(test_dir), "/tmp/phota_keyring.XXXXXX");

    return (mkdtemp(test_dir) == NULL
            || phota_store_open(&test_store, test_dir, "books",
                                PHOTA_BOOKS_SCHEMA, TEST_MAP,
                                PHOTA_STORE_CREATE, &test_err) != PHOTA_OK
            || phota_tenants_open(&test_tenants, &test_store, &test_err)
               != PHOTA_OK
            || phota_ledger_open(&test_ledger, &test_store, &test_err)
               != PHOTA_OK)
           ? -1 : 0;
}


static int
test_teardown(void **state)
{
    unsigned  i;
    char      name[128];

    static const char  *names[] = {
        "/books/data.mdb", "/books/lock.mdb", "/books/owners", "/books", ""
    };

    (void) state;

    phota_ledger_close(&test_ledger);
    phota_store_close(&test_store);

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void) snprintf(name, sizeof(name), "%s%s", test_dir, names[i]);
        (void) remove(name);
    }

    return 0;
}


static int
test_set(const phota_master_t *master, const char *tenant, const char *key)
{
    return phota_key_set(&test_tenants, master, tenant, PHOTA_PROVIDER_PHOTA,
                         PHOTA_SECRET_KEY, (const u_char *) key, strlen(key),
                         NULL, &test_err);
}


typedef struct {
    const phota_master_t  *master;
    unsigned               opens;
} test_count_t;


static int
test_count(void *ctx, const phota_seal_t *bound, const u_char *sealed,
    size_t len)
{
    test_count_t  *count = ctx;

    size_t         n;
    u_char         plain[PHOTA_KEY_MAX];

    n = sizeof(plain);

    count->opens += (phota_unseal(count->master, bound, sealed, len, plain,
                                  &n) == PHOTA_OK);

    return PHOTA_OK;
}


static unsigned
test_opens(const phota_master_t *master)
{
    test_count_t  count = { master, 0 };

    assert_int_equal(phota_sealed_each(&test_tenants, test_count, &count,
                                       &test_err), PHOTA_OK);

    return count.opens;
}


/* what must never change */

static void
test_lasts(const phota_keyring_t *one, const phota_keyring_t *two)
{
    assert_memory_equal(&one->hash, &two->hash, sizeof(one->hash));
    assert_memory_equal(one->aliases.tags, two->aliases.tags, 32);
    assert_memory_equal(one->aliases.requests, two->aliases.requests, 32);
    assert_memory_equal(one->aliases.secrets, two->aliases.secrets, 32);
}


static void
both_are_read(void **state)
{
    char             name[PHOTA_CALLBACK_NAME], job[PHOTA_JOB_NAME];
    size_t           len;
    u_char           text[PHOTA_LINK_ROOM], *args;
    unsigned         i;
    phota_id_t       id, found;
    phota_str_t      base;
    phota_link_t     link;
    phota_ticket_t   ticket, told;
    phota_keyring_t  ring[2], both;

    (void) state;

    memset(&id, 7, sizeof(id));
    memset(&link, 0, sizeof(link));
    memset(&ticket, 0, sizeof(ticket));

    link.tenant = link.scope = 3;
    link.expires = 100;
    ticket.tenant = 3;
    ticket.expires = 100;
    base.len = 0;
    base.data = NULL;

    assert_int_equal(phota_keyring_init(&ring[0], &test_old, &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_keyring_init(&ring[1], &test_new, &test_err),
                     PHOTA_OK);
    assert_int_equal(phota_keyring_init(&both, &test_both, &test_err),
                     PHOTA_OK);

    for (i = 0; i < 2; i++) {
        assert_int_equal(phota_link_format(&ring[i].linker, &base, &link, text,
                                           &len), PHOTA_OK);
        args = memchr(text, '?', len);
        assert_non_null(args);
        assert_int_equal(phota_link_parse(&both.linker, text, args - text,
                                          args + 1, text + len - args - 1, 50,
                                          &link), PHOTA_OK);
        assert_int_equal(phota_link_parse(&ring[!i].linker, text, args - text,
                                          args + 1, text + len - args - 1, 50,
                                          &link), PHOTA_INVALID);
        link.tenant = link.scope = 3;
        link.expires = 100;

        assert_int_equal(phota_ticket_format(&ring[i].aliases, &ticket, job),
                         PHOTA_OK);
        assert_int_equal(phota_ticket_parse(&both.aliases, (u_char *) job,
                                            strlen(job), 50, &told), PHOTA_OK);
        assert_int_equal(phota_ticket_parse(&ring[!i].aliases, (u_char *) job,
                                            strlen(job), 50, &told),
                         PHOTA_INVALID);

        assert_int_equal(phota_callback_format(&ring[i].aliases, &id, name),
                         PHOTA_OK);
        assert_int_equal(phota_callback_parse(&both.aliases, (u_char *) name,
                                              strlen(name), &found), PHOTA_OK);
        assert_int_equal(phota_callback_parse(&ring[!i].aliases,
                                              (u_char *) name, strlen(name),
                                              &found), PHOTA_INVALID);
    }

    /* the first one makes them, the other's name is known */

    assert_int_equal(phota_callback_format(&both.aliases, &id, job), PHOTA_OK);
    assert_string_equal(job, name);
    assert_int_equal(phota_callback_other(&both.aliases, &id, job), PHOTA_OK);
    assert_int_equal(phota_callback_parse(&ring[0].aliases, (u_char *) job,
                                          strlen(job), &found), PHOTA_OK);
}


static void
books_decide(void **state)
{
    phota_rekey_t    r;
    phota_keyring_t  before, ring;

    (void) state;

    assert_int_equal(phota_keyring_load(&before, &test_store, &test_old,
                                        &test_err), PHOTA_OK);

    /* nothing was changed yet: the older one is in force */

    assert_int_equal(phota_keyring_load(&ring, &test_store, &test_both,
                                        &test_err), PHOTA_OK);
    test_lasts(&ring, &before);
    assert_memory_equal(ring.linker.key, before.linker.key, 32);

    assert_int_equal(test_set(&test_both, NULL, "default"), PHOTA_OK);
    assert_int_equal(test_opens(&test_old), 1);

    /* from the first moment on the new one is */

    memset(&r, 0, sizeof(r));
    r.tenants = &test_tenants;
    r.ledger = &test_ledger;
    r.master = test_both;

    assert_int_equal(phota_rekey_begin(&r, &test_err), PHOTA_OK);
    assert_int_equal(phota_keyring_load(&ring, &test_store, &test_both,
                                        &test_err), PHOTA_OK);
    test_lasts(&ring, &before);
    assert_memory_equal(ring.linker.other, before.linker.key, 32);
    assert_memory_not_equal(ring.linker.key, before.linker.key, 32);

    assert_int_equal(phota_keyring_load(&ring, &test_store, &test_old,
                                        &test_err), PHOTA_INVALID);

    /* neither key alone sets one, for what it can't compare */

    assert_int_equal(test_set(&test_old, NULL, "two"), PHOTA_INVALID);
    assert_int_equal(test_set(&test_new, NULL, "two"), PHOTA_INVALID);
    assert_int_equal(test_opens(&test_old), 1);

    assert_int_equal(phota_rekey_step(&r, &test_err), PHOTA_DECLINED);
    assert_int_equal(phota_rekey_end(&r, &test_err), PHOTA_OK);

    assert_int_equal(test_set(&test_new, NULL, "two"), PHOTA_OK);
    assert_int_equal(test_opens(&test_new), 1);
    assert_int_equal(phota_keyring_load(&ring, &test_store, &test_new,
                                        &test_err), PHOTA_OK);
    test_lasts(&ring, &before);

    /* and back again, with the keys in the other order */

    phota_master_turn(&r.master);
    r.behind = 0;
    assert_int_equal(phota_rekey_begin(&r, &test_err), PHOTA_OK);
    assert_int_equal(phota_rekey_step(&r, &test_err), PHOTA_DECLINED);
    assert_int_equal(phota_rekey_end(&r, &test_err), PHOTA_OK);
    assert_int_equal(phota_keyring_load(&ring, &test_store, &test_old,
                                        &test_err), PHOTA_OK);
    test_lasts(&ring, &before);
}


static void
any_step(void **state)
{
    int            rc;
    char           name[32];
    unsigned       i, steps, n;
    phota_rekey_t  r;

    (void) state;

    for (i = 0; i < TEST_KEYS; i++) {
        (void) snprintf(name, sizeof(name), "tenant-%u", i);
        assert_int_equal(phota_tenant_add(&test_tenants, name, NULL,
                                          &test_err), PHOTA_OK);
        assert_int_equal(test_set(&test_old, name, name), PHOTA_OK);
    }

    /* each try ends a step later than the last, without a word */

    for (steps = 0; /* void */ ; steps++) {
        memset(&r, 0, sizeof(r));
        r.tenants = &test_tenants;
        r.ledger = &test_ledger;
        r.master = test_both;

        rc = phota_rekey_begin(&r, &test_err);

        for (n = 0; rc == PHOTA_OK && n < steps; n++) {
            rc = phota_rekey_step(&r, &test_err);
        }

        assert_int_equal(test_opens(&test_old) + test_opens(&test_new),
                         TEST_KEYS);

        if (rc == PHOTA_DECLINED) {
            break;
        }

        assert_int_equal(rc, PHOTA_OK);
    }

    assert_true(steps > 2);
    assert_int_equal(test_opens(&test_new), TEST_KEYS);
    assert_int_equal(phota_rekey_end(&r, &test_err), PHOTA_OK);
    assert_int_equal(phota_rekey_begin(&r, &test_err), PHOTA_DECLINED);

    phota_rekey_forget(&r);
}


/* a process that owns holds and knows these keys, or says nothing of them */

static pid_t
test_worker(const phota_master_t *master)
{
    int             fds[2];
    char            c;
    pid_t           pid;
    phota_store_t   store;
    phota_ledger_t  ledger;

    assert_int_equal(pipe(fds), 0);

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        if (phota_store_open(&store, test_dir, "books", PHOTA_BOOKS_SCHEMA,
                             TEST_MAP, 0, NULL) != PHOTA_OK
            || phota_ledger_open(&ledger, &store, NULL) != PHOTA_OK
            || (master != NULL
                && phota_ledger_know(&ledger, master, NULL) != PHOTA_OK)
            || phota_ledger_own(&ledger, NULL) != PHOTA_OK
            || write(fds[1], "y", 1) != 1)
        {
            _exit(1);
        }

        for ( ;; ) {
            (void) pause();
        }
    }

    assert_int_equal(read(fds[0], &c, 1), 1);
    (void) close(fds[0]);
    (void) close(fds[1]);

    return pid;
}


static void
test_kill(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}


/* who couldn't read what it writes stops it, before it begins and on its way */

static void
workers_know(void **state)
{
    char           name[32];
    pid_t          both, old, mute;
    unsigned       i;
    phota_rekey_t  r;

    (void) state;

    for (i = 0; i < TEST_KEYS; i++) {
        (void) snprintf(name, sizeof(name), "tenant-%u", i);
        assert_int_equal(phota_tenant_add(&test_tenants, name, NULL,
                                          &test_err), PHOTA_OK);
        assert_int_equal(test_set(&test_old, name, name), PHOTA_OK);
    }

    memset(&r, 0, sizeof(r));
    r.tenants = &test_tenants;
    r.ledger = &test_ledger;
    r.master = test_both;

    both = test_worker(&test_both);
    old = test_worker(&test_old);
    mute = test_worker(NULL);

    assert_int_equal(phota_rekey_begin(&r, &test_err), PHOTA_REFUSED);
    assert_int_equal(r.ignorant, 2);

    test_kill(old);
    r.total = 0;
    assert_int_equal(phota_rekey_begin(&r, &test_err), PHOTA_REFUSED);
    assert_int_equal(r.ignorant, 1);

    test_kill(mute);
    r.total = 0;
    assert_int_equal(phota_rekey_begin(&r, &test_err), PHOTA_OK);
    assert_int_equal(phota_rekey_step(&r, &test_err), PHOTA_OK);

    /* one that comes now, in the slot of one that knew */

    test_kill(both);
    old = test_worker(&test_old);

    assert_int_equal(phota_rekey_step(&r, &test_err), PHOTA_REFUSED);
    assert_int_equal(r.ignorant, 1);
    assert_int_equal(test_opens(&test_new), 64);
    assert_int_equal(test_opens(&test_old), TEST_KEYS - 64);

    test_kill(old);
    assert_int_equal(phota_rekey_step(&r, &test_err), PHOTA_OK);
    assert_int_equal(phota_rekey_step(&r, &test_err), PHOTA_DECLINED);
    assert_int_equal(phota_rekey_end(&r, &test_err), PHOTA_OK);
    assert_int_equal(test_opens(&test_new), TEST_KEYS);
}


/* a damaged one, or under a third key, is nobody's to give up */

static void
under_neither(void **state)
{
    phota_rekey_t   r;
    phota_master_t  third;

    (void) state;

    third = test_old;
    third.b[0] ^= 1;

    assert_int_equal(phota_tenant_add(&test_tenants, "acme", NULL, &test_err),
                     PHOTA_OK);
    assert_int_equal(test_set(&test_old, NULL, "one"), PHOTA_OK);
    assert_int_equal(test_set(&third, "acme", "two"), PHOTA_OK);

    memset(&r, 0, sizeof(r));
    r.tenants = &test_tenants;
    r.ledger = &test_ledger;
    r.master = test_both;

    assert_int_equal(phota_rekey_begin(&r, &test_err), PHOTA_INVALID);
    assert_int_equal(r.lost, 1);
    assert_int_equal(r.first, 1);
    assert_int_equal(test_opens(&test_old), 1);
    assert_int_equal(test_opens(&third), 1);

    /* nor is an old key that opens nothing the right one */

    assert_int_equal(test_set(&third, NULL, "one"), PHOTA_OK);

    memset(&r, 0, sizeof(r));
    r.tenants = &test_tenants;
    r.ledger = &test_ledger;
    r.master = test_both;

    assert_int_equal(phota_rekey_begin(&r, &test_err), PHOTA_INVALID);
    assert_non_null(strstr(test_err.text, "opens none"));
}


#define TEST(name)                                                            \
    cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        TEST(both_are_read),
        TEST(books_decide),
        TEST(any_step),
        TEST(workers_know),
        TEST(under_neither)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
