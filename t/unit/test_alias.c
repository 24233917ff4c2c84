
/*
 * Names that the gateway makes: the same for the same, another's for nobody
 * else, in the form that is promised; those that come back are taken in the one
 * spelling they were given in, and no other text is.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "phota_alias.h"
#include "phota_operation.h"


#define NOW  1764000000


static phota_aliases_t  test_aliases, test_others;


static int
test_setup(void **state)
{
    unsigned        i;
    phota_master_t  master;

    (void) state;

    memset(&master, 0, sizeof(phota_master_t));

    for (i = 0; i < PHOTA_MASTER_LEN; i++) {
        master.b[i] = (u_char) (i * 7 + 1);
    }

    if (phota_aliases_init(&test_aliases, &master) != PHOTA_OK) {
        return -1;
    }

    master.b[0] ^= 1;

    return phota_aliases_init(&test_others, &master);
}


static void
test_request(char *uuid, const phota_aliases_t *a, uint32_t tenant,
    const char *text, size_t len)
{
    assert_int_equal(phota_alias_request(a, tenant, (const u_char *) text,
                                         len, uuid), PHOTA_OK);
}


static void
requests(void **state)
{
    char      uuid[PHOTA_ALIAS_UUID], other[PHOTA_ALIAS_UUID];
    char      big[3000];
    unsigned  i;

    (void) state;

    test_request(uuid, &test_aliases, 7, "order-1", 7);
    assert_int_equal(strlen(uuid), 36);

    for (i = 0; i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            assert_int_equal(uuid[i], '-');

        } else {
            assert_non_null(strchr("0123456789abcdef", uuid[i]));
        }
    }

    assert_int_equal(uuid[14], '8');
    assert_non_null(strchr("89ab", uuid[19]));

    test_request(other, &test_aliases, 7, "order-1", 7);
    assert_string_equal(uuid, other);

    test_request(other, &test_aliases, 8, "order-1", 7);
    assert_string_not_equal(uuid, other);
    test_request(other, &test_aliases, 7, "order-2", 7);
    assert_string_not_equal(uuid, other);
    test_request(other, &test_others, 7, "order-1", 7);
    assert_string_not_equal(uuid, other);

    /* any bytes, any length */

    test_request(uuid, &test_aliases, 7, "order-1\0", 8);
    assert_string_not_equal(uuid, other);
    test_request(uuid, &test_aliases, 7, NULL, 0);
    test_request(other, &test_aliases, 7, "", 0);
    assert_string_equal(uuid, other);

    memset(big, 'x', sizeof(big));
    test_request(uuid, &test_aliases, 7, big, sizeof(big));
    test_request(other, &test_aliases, 7, big, sizeof(big) - 1);
    assert_string_not_equal(uuid, other);
}


static void
tags(void **state)
{
    char      tag[PHOTA_ALIAS_TAG], other[PHOTA_ALIAS_TAG];
    char      name[PHOTA_NAME_MAX + 1];
    unsigned  i;

    (void) state;

    assert_int_equal(phota_alias_tag(&test_aliases, 7, "acme",
                                     (const u_char *) "wedding", 7, tag),
                     PHOTA_OK);
    assert_memory_equal(tag, "acme:", 5);
    assert_int_equal(strlen(tag), 5 + 22);

    for (i = 5; tag[i] != '\0'; i++) {
        assert_non_null(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrs"
                               "tuvwxyz0123456789-_", tag[i]));
    }

    assert_int_equal(phota_alias_tag(&test_aliases, 8, "acme",
                                     (const u_char *) "wedding", 7, other),
                     PHOTA_OK);
    assert_string_not_equal(tag, other);
    assert_int_equal(phota_alias_tag(&test_aliases, 7, "acme",
                                     (const u_char *) "wedding", 7, other),
                     PHOTA_OK);
    assert_string_equal(tag, other);

    memset(name, 'n', PHOTA_NAME_MAX);
    name[PHOTA_NAME_MAX] = '\0';
    assert_int_equal(phota_alias_tag(&test_aliases, 8, name,
                                     (const u_char *) "", 0, tag), PHOTA_OK);
    assert_int_equal(strlen(tag), PHOTA_NAME_MAX + 1 + 22);
}


static void
secrets(void **state)
{
    char  secret[PHOTA_ALIAS_SECRET], other[PHOTA_ALIAS_SECRET];
    char  tag[PHOTA_ALIAS_TAG];

    (void) state;

    assert_int_equal(phota_alias_secret(&test_aliases, 7, secret), PHOTA_OK);
    assert_memory_equal(secret, "whsec_", 6);
    assert_int_equal(strlen(secret), 6 + 43);

    assert_int_equal(phota_alias_secret(&test_aliases, 7, other), PHOTA_OK);
    assert_string_equal(secret, other);
    assert_int_equal(phota_alias_secret(&test_aliases, 8, other), PHOTA_OK);
    assert_string_not_equal(secret, other);
    assert_int_equal(phota_alias_secret(&test_others, 7, other), PHOTA_OK);
    assert_string_not_equal(secret, other);

    /* what an upstream may see tells nothing of it */

    assert_int_equal(phota_alias_tag(&test_aliases, 7, "", NULL, 0, tag),
                     PHOTA_OK);
    assert_memory_not_equal(tag + 1, secret + 6, 22);
}


static int
test_ticket(const phota_aliases_t *a, const char *name, size_t len,
    uint64_t now, phota_ticket_t *ticket)
{
    int      rc;
    u_char  *copy;

    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, name, len);

    rc = phota_ticket_parse(a, copy, len, now, ticket);
    free(copy);

    return rc;
}


static void
bought(void **state)
{
    char            name[PHOTA_JOB_NAME], charge[PHOTA_ID_TEXT];
    size_t          i;
    phota_ticket_t  ticket, found;

    (void) state;

    memset(&ticket, 0, sizeof(ticket));
    ticket.bought = 1;
    assert_int_equal(phota_id_create(&ticket.charge, 1764000000000),
                     PHOTA_OK);

    assert_int_equal(phota_ticket_format(&test_aliases, &ticket, name),
                     PHOTA_OK);
    phota_id_format(charge, &ticket.charge);
    assert_memory_equal(name, "job_", 4);
    assert_string_equal(name + 4, charge + 3);

    assert_int_equal(test_ticket(&test_aliases, name, strlen(name), NOW,
                                 &found), PHOTA_OK);
    assert_int_equal(found.bought, 1);
    assert_memory_equal(&found.charge, &ticket.charge, sizeof(phota_id_t));

    /* no other length, no other spelling */

    for (i = 0; i < strlen(name); i++) {
        assert_int_equal(test_ticket(&test_aliases, name, i, NOW, &found),
                         PHOTA_INVALID);
    }

    assert_int_equal(test_ticket(&test_aliases, name, strlen(name) + 1, NOW,
                                 &found), PHOTA_INVALID);

    name[10] = 'O';
    assert_int_equal(test_ticket(&test_aliases, name, strlen(name), NOW,
                                 &found), PHOTA_INVALID);
    name[10] = 'a';
    assert_int_equal(test_ticket(&test_aliases, name, strlen(name), NOW,
                                 &found), PHOTA_INVALID);
    name[10] = '\0';
    assert_int_equal(test_ticket(&test_aliases, name, 30, NOW, &found),
                     PHOTA_INVALID);
    assert_int_equal(test_ticket(&test_aliases, charge, strlen(charge), NOW,
                                 &found), PHOTA_INVALID);
}


static void
stored(void **state)
{
    char            name[PHOTA_JOB_NAME], again[PHOTA_JOB_NAME];
    size_t          i, len;
    unsigned        bit;
    phota_ticket_t  ticket, found;

    (void) state;

    memset(&ticket, 0, sizeof(ticket));
    ticket.tenant = 0x01020304;
    memset(ticket.fingerprint, 0xab, sizeof(ticket.fingerprint));
    ticket.operation = PHOTA_OP_EDIT;
    ticket.outputs = 4;
    ticket.first = 255;
    ticket.links = 1;
    ticket.expires = NOW + 1;

    assert_int_equal(phota_ticket_format(&test_aliases, &ticket, name),
                     PHOTA_OK);
    len = strlen(name);
    assert_int_equal(len, 4 + 88);
    assert_int_equal(strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
                                  "qrstuvwxyz0123456789-_"), len);

    assert_int_equal(test_ticket(&test_aliases, name, len, NOW, &found),
                     PHOTA_OK);
    assert_int_equal(found.bought, 0);
    assert_int_equal(found.tenant, ticket.tenant);
    assert_memory_equal(found.fingerprint, ticket.fingerprint,
                        PHOTA_SHA256_LEN);
    assert_int_equal(found.operation, PHOTA_OP_EDIT);
    assert_int_equal(found.outputs, 4);
    assert_int_equal(found.first, 255);
    assert_int_equal(found.links, 1);
    assert_int_equal(found.expires, NOW + 1);

    assert_int_equal(phota_ticket_format(&test_aliases, &found, again),
                     PHOTA_OK);
    assert_string_equal(name, again);

    assert_int_equal(test_ticket(&test_aliases, name, len, NOW + 1, &found),
                     PHOTA_INVALID);
    assert_int_equal(test_ticket(&test_others, name, len, NOW, &found),
                     PHOTA_INVALID);

    for (i = 0; i < len; i++) {
        assert_int_equal(test_ticket(&test_aliases, name, i, NOW, &found),
                         PHOTA_INVALID);

        for (bit = 0; bit < 8; bit++) {
            name[i] ^= (char) (1 << bit);
            assert_int_equal(test_ticket(&test_aliases, name, len, NOW,
                                         &found), PHOTA_INVALID);
            name[i] ^= (char) (1 << bit);
        }
    }

    assert_int_equal(test_ticket(&test_aliases, name, len + 1, NOW, &found),
                     PHOTA_INVALID);

    /* of an operation that there is not */

    ticket.operation = PHOTA_OP_MAX;
    assert_int_equal(phota_ticket_format(&test_aliases, &ticket, name),
                     PHOTA_OK);
    assert_int_equal(test_ticket(&test_aliases, name, len, NOW, &found),
                     PHOTA_INVALID);
}


static int
test_callback(const phota_aliases_t *a, const char *name, size_t len,
    phota_id_t *charge)
{
    int      rc;
    u_char  *copy;

    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, name, len);

    rc = phota_callback_parse(a, copy, len, charge);
    free(copy);

    return rc;
}


static void
callbacks(void **state)
{
    char        name[PHOTA_CALLBACK_NAME], other[PHOTA_CALLBACK_NAME];
    size_t      i, len;
    unsigned    bit;
    phota_id_t  charge, found;

    (void) state;

    assert_int_equal(phota_id_create(&charge, 1764000000000), PHOTA_OK);
    assert_int_equal(phota_callback_format(&test_aliases, &charge, name),
                     PHOTA_OK);
    len = strlen(name);
    assert_int_equal(len, 26 + 1 + 24);

    assert_int_equal(test_callback(&test_aliases, name, len, &found),
                     PHOTA_OK);
    assert_memory_equal(&found, &charge, sizeof(phota_id_t));

    assert_int_equal(test_callback(&test_others, name, len, &found),
                     PHOTA_INVALID);

    for (i = 0; i < len; i++) {
        assert_int_equal(test_callback(&test_aliases, name, i, &found),
                         PHOTA_INVALID);

        for (bit = 0; bit < 8; bit++) {
            name[i] ^= (char) (1 << bit);
            assert_int_equal(test_callback(&test_aliases, name, len, &found),
                             PHOTA_INVALID);
            name[i] ^= (char) (1 << bit);
        }
    }

    assert_int_equal(test_callback(&test_aliases, name, len + 1, &found),
                     PHOTA_INVALID);

    charge.b[15] ^= 1;
    assert_int_equal(phota_callback_format(&test_aliases, &charge, other),
                     PHOTA_OK);
    assert_memory_not_equal(name + 27, other + 27, 24);
    memcpy(other + 27, name + 27, 24);
    assert_int_equal(test_callback(&test_aliases, other, len, &found),
                     PHOTA_INVALID);
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(tags),
        cmocka_unit_test(secrets),
        cmocka_unit_test(bought),
        cmocka_unit_test(stored),
        cmocka_unit_test(callbacks)
    };

    return cmocka_run_group_tests(tests, test_setup, NULL);
}
