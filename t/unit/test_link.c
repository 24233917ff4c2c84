
/*
 * links: what is written is read again until it expires, and no other text is;
 * one spelling each, whatever else stands in the query.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "phota_link.h"


#define TEST_BASE     "https://gate/phota/results/"
#define TEST_EXPIRES  1764000000

#define TEST_DIGEST                                                           \
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1dfeff"


static phota_linker_t  test_linker;


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

    return phota_link_init(&test_linker, &master);
}


static void
test_link(phota_link_t *link, uint32_t tenant, uint32_t scope, uint8_t type)
{
    unsigned  i;

    memset(link, 0, sizeof(phota_link_t));

    link->tenant = tenant;
    link->scope = scope;
    link->expires = TEST_EXPIRES;
    link->type = type;

    for (i = 0; i < PHOTA_SHA256_LEN; i++) {
        link->digest[i] = (u_char) i;
    }

    link->digest[30] = 0xfe;
    link->digest[31] = 0xff;
}


/* text gets the link without its base */

static void
test_format(char *text, const phota_link_t *link)
{
    u_char  buf[sizeof(TEST_BASE) - 1 + PHOTA_LINK_ROOM];
    size_t  len;

    static const phota_str_t  base = phota_string(TEST_BASE);

    assert_int_equal(phota_link_format(&test_linker, &base, link, buf, &len),
                     PHOTA_OK);
    assert_true(len > base.len && len - base.len < PHOTA_LINK_ROOM);
    assert_memory_equal(buf, TEST_BASE, base.len);

    memcpy(text, buf + base.len, len - base.len);
    text[len - base.len] = '\0';
}


/* both parts in memory of their own: not a byte beyond is read */

static int
test_parse_at(const char *text, uint64_t now, phota_link_t *link)
{
    int          rc;
    size_t       path, args;
    u_char      *p, *a;
    const char  *mark;

    mark = strchr(text, '?');
    path = (mark != NULL) ? (size_t) (mark - text) : strlen(text);
    args = (mark != NULL) ? strlen(mark + 1) : 0;

    p = malloc(path ? path : 1);
    a = malloc(args ? args : 1);
    assert_non_null(p);
    assert_non_null(a);

    memcpy(p, text, path);
    memcpy(a, text + path + (mark != NULL), args);

    rc = phota_link_parse(&test_linker, p, path, a, args, now, link);

    free(p);
    free(a);

    return rc;
}


static int
test_parse(const char *text, phota_link_t *link)
{
    return test_parse_at(text, TEST_EXPIRES - 1, link);
}


static void
test_refused(const char *text)
{
    phota_link_t  link, none;

    memset(&none, 0, sizeof(phota_link_t));

    if (test_parse(text, &link) != PHOTA_INVALID) {
        fail_msg("taken: %s", text);
    }

    assert_memory_equal(&link, &none, sizeof(phota_link_t));
}


static void
test_text(void **state)
{
    char          text[PHOTA_LINK_ROOM];
    phota_link_t  link;

    (void) state;

    test_link(&link, 7, 7, PHOTA_PICTURE_JPEG);
    test_format(text, &link);
    assert_memory_equal(text, "7/" TEST_DIGEST
                        ".jpg?Expires=1764000000&Signature=",
                        2 + 64 + 4 + 20 + 10);
    assert_int_equal(strlen(text), 2 + 64 + 4 + 20 + 10 + 43);
    assert_int_equal(strspn(text + 2 + 64 + 4 + 20 + 10,
                            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
                            "wxyz0123456789-_"), 43);

    test_link(&link, 4294967295u, PHOTA_SHARED, PHOTA_PICTURE_WEBP);
    test_format(text, &link);
    assert_memory_equal(text, "4294967295/shared/" TEST_DIGEST
                        ".webp?Expires=", 18 + 64 + 5 + 9);

    /* the longest there is */

    link.expires = UINT64_MAX;
    test_format(text, &link);
    assert_int_equal(test_parse(text, &link), PHOTA_OK);
    assert_int_equal(link.expires, UINT64_MAX);

    link.expires = 0;
    test_format(text, &link);
    test_refused(text);
}


/* by other means: the key of this label, the parts at fixed places */

static void
test_signature(void **state)
{
    char             text[PHOTA_LINK_ROOM], *signature;
    u_char           mac[32], base64[45];
    unsigned         i, len;
    phota_link_t     link;
    phota_master_t   master;
    phota_linker_t   key;

    static const u_char  data[] =
        "phota link 1"
        "\x04\x03\x02\x01" "\0\0\0\0"
        "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
        "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\xfe\xff"
        "\x02" "\x00\x81\x24\x69" "\0\0\0\0";

    (void) state;

    memset(&master, 0, sizeof(phota_master_t));

    for (i = 0; i < PHOTA_MASTER_LEN; i++) {
        master.b[i] = (u_char) (i * 7 + 1);
    }

    assert_int_equal(phota_master_derive(&master, "urls", key.key, 32),
                     PHOTA_OK);
    assert_non_null(HMAC(EVP_sha256(), key.key, 32, data, sizeof(data) - 1,
                         mac, &len));
    assert_int_equal(EVP_EncodeBlock(base64, mac, 32), 44);

    for (i = 0; i < 43; i++) {
        base64[i] = (base64[i] == '+') ? '-' : (base64[i] == '/') ? '_'
                                             : base64[i];
    }

    test_link(&link, 0x01020304, PHOTA_SHARED, PHOTA_PICTURE_PNG);
    test_format(text, &link);

    signature = strstr(text, "Signature=");
    assert_non_null(signature);
    assert_memory_equal(signature + 10, base64, 43);

    /* and of another master key nothing is taken */

    assert_int_equal(test_parse(text, &link), PHOTA_OK);

    master.b[31] ^= 1;
    assert_int_equal(phota_link_init(&test_linker, &master), PHOTA_OK);
    test_refused(text);
    assert_int_equal(test_setup(state), PHOTA_OK);
}


static void
test_there_and_back(void **state)
{
    char          text[PHOTA_LINK_ROOM], other[PHOTA_LINK_ROOM];
    uint8_t       type;
    unsigned      i;
    phota_link_t  link, read;

    static const struct {
        uint32_t  tenant;
        uint32_t  scope;
    } scopes[] = {
        { 1, 1 }, { 1, PHOTA_SHARED }, { 10, 10 }, { 4294967295u, 4294967295u },
        { 4294967295u, PHOTA_SHARED }
    };

    (void) state;

    other[0] = '\0';

    for (type = PHOTA_PICTURE_OTHER; type <= PHOTA_PICTURE_AVIF; type++) {
        for (i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
            test_link(&link, scopes[i].tenant, scopes[i].scope, type);
            test_format(text, &link);

            assert_int_equal(test_parse(text, &read), PHOTA_OK);
            assert_memory_equal(&read, &link, sizeof(phota_link_t));

            assert_string_not_equal(text, other);
            memcpy(other, text, sizeof(text));
        }
    }

    /* a type that this version doesn't know is sent as bytes */

    test_link(&link, 7, 7, 99);
    test_format(text, &link);
    assert_int_equal(test_parse(text, &read), PHOTA_OK);
    assert_int_equal(read.type, PHOTA_PICTURE_OTHER);
}


static void
test_no_link(void **state)
{
    u_char        buf[PHOTA_LINK_ROOM];
    size_t        len;
    phota_link_t  link;

    static const phota_str_t  none = { 0, NULL };

    (void) state;

    /* tenants have numbers, and see their own scope or the shared one */

    test_link(&link, 0, 0, PHOTA_PICTURE_JPEG);
    assert_int_equal(phota_link_format(&test_linker, &none, &link, buf, &len),
                     PHOTA_INVALID);

    test_link(&link, 7, 8, PHOTA_PICTURE_JPEG);
    assert_int_equal(phota_link_format(&test_linker, &none, &link, buf, &len),
                     PHOTA_INVALID);

    test_link(&link, 7, 7, PHOTA_PICTURE_JPEG);
    assert_int_equal(phota_link_format(&test_linker, &none, &link, buf, &len),
                     PHOTA_OK);

    assert_int_equal(phota_link_parse(&test_linker, NULL, 0, NULL, 0, 0,
                                      &link), PHOTA_INVALID);
}


static void
test_expiry(void **state)
{
    char          text[PHOTA_LINK_ROOM];
    phota_link_t  link, read;

    (void) state;

    test_link(&link, 7, 7, PHOTA_PICTURE_JPEG);
    test_format(text, &link);

    assert_int_equal(test_parse_at(text, 0, &read), PHOTA_OK);
    assert_int_equal(test_parse_at(text, TEST_EXPIRES - 1, &read), PHOTA_OK);
    assert_int_equal(test_parse_at(text, TEST_EXPIRES, &read), PHOTA_INVALID);
    assert_int_equal(test_parse_at(text, UINT64_MAX, &read), PHOTA_INVALID);
}


/* whatever byte takes the place of one, or is put in, or one or more are cut */

static void
test_every_byte(void **state)
{
    char          text[PHOTA_LINK_ROOM], wrong[PHOTA_LINK_ROOM + 1];
    size_t        i, len;
    unsigned      c, shared;
    phota_link_t  link;

    (void) state;

    for (shared = 0; shared < 2; shared++) {
        test_link(&link, 12, shared ? PHOTA_SHARED : 12, PHOTA_PICTURE_JPEG);
        test_format(text, &link);
        len = strlen(text);

        for (i = 0; i < len; i++) {

            for (c = 1; c < 256; c++) {
                memcpy(wrong, text, len + 1);
                wrong[i] = (char) c;

                if (c != (u_char) text[i]) {
                    test_refused(wrong);
                }

                /* before the name of a parameter an '&' is none's */

                if (c == '&' && (text[i] == 'E' || text[i] == '&'
                                 || text[i] == 'S'))
                {
                    continue;
                }

                memcpy(wrong, text, i);
                wrong[i] = (char) c;
                memcpy(wrong + i + 1, text + i, len + 1 - i);
                test_refused(wrong);
            }

            memcpy(wrong, text, i);
            memcpy(wrong + i, text + i + 1, len - i);
            test_refused(wrong);

            wrong[i] = '\0';
            test_refused(wrong);
            test_refused(text + i + 1);
        }
    }
}


static void
test_spellings(void **state)
{
    char          text[PHOTA_LINK_ROOM], sig[44], args[600];
    size_t        i;
    phota_link_t  link;

    /* first the digest, then the signature */

    static const char  *taken[] = {
        "7/%1$s.jpg?Expires=1764000000&Signature=%2$s",
        "7/%1$s.jpg?Signature=%2$s&Expires=1764000000",
        "7/%1$s.jpg?&&Signature=%2$s&&Expires=1764000000&",
        "7/%1$s.jpg?a&Signature=%2$s&b=%%20&Expires=1764000000&c==1",
        "7/%1$s.jpg?expires=1&signature=2&Signature=%2$s&Expires=1764000000",
        "7/%1$s.jpg?ExpiresX=1&XSignature=2&Expires=1764000000&Signature=%2$s"
    };

    static const char  *refused[] = {
        "",
        "?",
        "7",
        "7/",
        "7/shared/",
        "7/%1$s.jpg",
        "7/%1$s.jpg?",
        "7/%1$s.jpg?Expires=1764000000",
        "7/%1$s.jpg?Signature=%2$s",
        "7/%1$s.jpg?Expires&Signature=%2$s",
        "7/%1$s.jpg?Expires=&Signature=%2$s",
        "7/%1$s.jpg?Expires=1764000000&Signature",
        "7/%1$s.jpg?Expires=1764000000&Signature=",
        "7/%1$s.jpg?Expires=1764000000&Signature=%2$s=",
        "7/%1$s.jpg?Expires=1764000000&Signature=%2$s%%3D",
        "7/%1$s.jpg?Expires=%%31764000000&Signature=%2$s",
        "7/%1$s.jpg?Expires=1764000000&Expires=1764000000&Signature=%2$s",
        "7/%1$s.jpg?Expires=1&Expires=1764000000&Signature=%2$s",
        "7/%1$s.jpg?Expires=1764000000&Expires&Signature=%2$s",
        "7/%1$s.jpg?Expires=1764000000&Signature=%2$s&Signature=%2$s",
        "7/%1$s.jpg?Expires=1764000000&Signature=%2$s&Signature=",
        "7/%1$s.jpg?Expires=01764000000&Signature=%2$s",
        "7/%1$s.jpg?Expires=+1764000000&Signature=%2$s",
        "7/%1$s.jpg?Expires=-1764000000&Signature=%2$s",
        "7/%1$s.jpg?Expires= 1764000000&Signature=%2$s",
        "7/%1$s.jpg?Expires=1764000000.0&Signature=%2$s",
        "7/%1$s.jpg?Expires=0x69248100&Signature=%2$s",
        "7/%1$s.jpg?Expires=18446744075473551616&Signature=%2$s",
        "7/%1$s.jpg?Expires=1764000000&Signature=%2$s#",
        "07/%1$s.jpg?Expires=1764000000&Signature=%2$s",
        "+7/%1$s.jpg?Expires=1764000000&Signature=%2$s",
        "0/%1$s.jpg?Expires=1764000000&Signature=%2$s",
        "4294967303/%1$s.jpg?Expires=1764000000&Signature=%2$s",
        "/7/%1$s.jpg?Expires=1764000000&Signature=%2$s",
        "7//%1$s.jpg?Expires=1764000000&Signature=%2$s",
        "7/./%1$s.jpg?Expires=1764000000&Signature=%2$s",
        "7/shared/%1$s.jpg?Expires=1764000000&Signature=%2$s",
        "7/7/%1$s.jpg?Expires=1764000000&Signature=%2$s",
        "8/%1$s.jpg?Expires=1764000000&Signature=%2$s",
        "7/%1$s?Expires=1764000000&Signature=%2$s",
        "7/%1$s.?Expires=1764000000&Signature=%2$s",
        "7/%1$s.png?Expires=1764000000&Signature=%2$s",
        "7/%1$s.JPG?Expires=1764000000&Signature=%2$s",
        "7/%1$s.jpeg?Expires=1764000000&Signature=%2$s",
        "7/%1$s.jpg/?Expires=1764000000&Signature=%2$s",
        "7/00%1$s.jpg?Expires=1764000000&Signature=%2$s"
    };

    (void) state;

    test_link(&link, 7, 7, PHOTA_PICTURE_JPEG);
    test_format(text, &link);
    memcpy(sig, text + strlen(text) - 43, 44);

    for (i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        snprintf(args, sizeof(args), taken[i], TEST_DIGEST, sig);

        if (test_parse(args, &link) != PHOTA_OK) {
            fail_msg("refused: %s", args);
        }
    }

    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        snprintf(args, sizeof(args), refused[i], TEST_DIGEST, sig);
        test_refused(args);
    }

    /* hex in capitals */

    text[2 + 63] = 'F';
    test_refused(text);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_no_link),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_spellings)
    };

    return cmocka_run_group_tests_name("link", tests, test_setup, NULL);
}
