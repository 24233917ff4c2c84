
/*
 * Signatures of callbacks: ours by vectors of RFC 4231 and of our own form, the
 * upstream's in each way that is read, and what isn't taken for one.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "phota_signature.h"


#define NOW       1764000000
#define SECRET    "Jefe"
#define BODY      "what do ya want for nothing?"


/* RFC 4231, 4.3 */

#define SHA256    "5bdcc146bf60754e6a042426089575c7"                          \
                  "5a003f089d2739839dec58b964ec3843"
#define UPPER     "5BDCC146BF60754E6A042426089575C7"                          \
                  "5A003F089D2739839DEC58B964EC3843"
#define BASE256   "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="
#define SHA512    "164b7a7bfcf819e2e395fbe73b56e0a3"                          \
                  "87bd64222e831fd610270cd7ea250554"                          \
                  "9758bf75c05a994a6d034f65f8f0e6fd"                          \
                  "caeab1a34d4a6b4b636e070a38bce737"


/* by openssl dgst -sha256 -hmac Jefe, of "1764000000." and BODY */

#define OURS      "t=1764000000,v1="                                          \
                  "5a69bfde1efa679057c0e479ffb71239"                          \
                  "b5e86b5acad1945a56c0fc0a3c714843"


/* one that has both characters in which the alphabets differ */

#define ALPHABETS "0"
#define STANDARD  "DPsUCE+q2QvEHcHn7vJfzqGw8BtHv65os3eP/Xe0iBQ="
#define URLSAFE   "DPsUCE-q2QvEHcHn7vJfzqGw8BtHv65os3eP_Xe0iBQ="


static const phota_scheme_t  plain = { PHOTA_SIGNED_BODY, "SHA256", 0, 0 };


static int
check_with(const phota_scheme_t *scheme, const char *secret,
    const char *header, const char *timestamp, const char *body)
{
    int          rc;
    u_char      *copy;
    phota_str_t  said, when;

    said.len = strlen(header);
    when.len = strlen(timestamp);
    when.data = (const u_char *) timestamp;

    copy = malloc(said.len ? said.len : 1);
    assert_non_null(copy);
    memcpy(copy, header, said.len);
    said.data = copy;

    rc = phota_sign_check(scheme, (const u_char *) secret, strlen(secret),
                          &said, &when, (const u_char *) body, strlen(body),
                          NOW);
    free(copy);

    return rc;
}


static int
check(const phota_scheme_t *scheme, const char *header)
{
    return check_with(scheme, SECRET, header, "", BODY);
}


static void
ours(void **state)
{
    char            text[PHOTA_SIGNATURE_TEXT], altered[128];
    size_t          i;
    phota_scheme_t  scheme = { PHOTA_SIGNED_TIMED, "SHA256", 0, 300 };

    (void) state;

    assert_int_equal(phota_sign(SECRET, NOW, (const u_char *) BODY,
                                strlen(BODY), text), PHOTA_OK);
    assert_string_equal(text, OURS);
    assert_int_equal(check(&scheme, text), PHOTA_OK);

    assert_int_equal(check_with(&scheme, "jefe", text, "", BODY),
                     PHOTA_INVALID);
    assert_int_equal(check_with(&scheme, SECRET, text, "", BODY "?"),
                     PHOTA_INVALID);

    for (i = 0; text[i] != '\0'; i++) {
        memcpy(altered, text, sizeof(altered));
        altered[i] ^= 1;
        assert_int_equal(check(&scheme, altered), PHOTA_INVALID);
        altered[i] = '\0';
        assert_int_equal(check(&scheme, altered), PHOTA_INVALID);
    }

    assert_int_equal(phota_sign(SECRET, NOW, NULL, 0, text), PHOTA_OK);
    assert_int_equal(check_with(&scheme, SECRET, text, "", ""), PHOTA_OK);

    assert_int_equal(phota_sign(SECRET, UINT64_MAX, NULL, 0, text),
                     PHOTA_OK);
    assert_int_equal(strlen(text), 2 + 20 + 4 + 64);
}


static void
spellings(void **state)
{
    unsigned        i;
    phota_scheme_t  scheme;

    static const char  *good[] = {
        SHA256, "sha256=" SHA256, "SHA256=" SHA256, "v1=" SHA256,
        "sha512=" SHA256, " " SHA256 "\t", "v0=abc, v1=" SHA256,
        "v1=" SHA256 ",", ",,v1=" SHA256, "t=1,v1=" SHA256, "t=x, " SHA256,
        "v1=00,v1=" SHA256,
        UPPER
    };

    static const char  *bad[] = {
        "", ",", " ", "v1=", "sha256=", "t=1", SHA256 "0", "0" SHA256,
        "v1 =" SHA256, "v1=v1=" SHA256, "v2=" SHA256, SHA256 ";",
        SHA256 " " SHA256, BASE256, SHA512,
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec384"
    };

    static const char  *base[] = {
        BASE256, "v1=" BASE256, "sha256=" BASE256,
        "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM"
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (check(&plain, good[i]) != PHOTA_OK) {
            fail_msg("\"%s\" is refused", good[i]);
        }
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (check(&plain, bad[i]) != PHOTA_INVALID) {
            fail_msg("\"%s\" is taken", bad[i]);
        }
    }

    scheme = plain;
    scheme.base64 = 1;

    for (i = 0; i < sizeof(base) / sizeof(base[0]); i++) {
        assert_int_equal(check(&scheme, base[i]), PHOTA_OK);
    }

    assert_int_equal(check(&scheme, SHA256), PHOTA_INVALID);
    assert_int_equal(check(&scheme, BASE256 "="), PHOTA_OK);
    assert_int_equal(check(&scheme, BASE256 "=="), PHOTA_INVALID);

    scheme = plain;
    scheme.hash = "SHA512";
    assert_int_equal(check(&scheme, "sha512=" SHA512), PHOTA_OK);
    assert_int_equal(check(&scheme, "sha256=" SHA256), PHOTA_INVALID);

    scheme.hash = "no such hash";
    assert_int_equal(check(&scheme, SHA256), PHOTA_ERROR);
}


static void
alphabets(void **state)
{
    phota_scheme_t  scheme = { PHOTA_SIGNED_BODY, "SHA256", 1, 0 };

    (void) state;

    assert_int_equal(check_with(&scheme, SECRET, STANDARD, "", ALPHABETS),
                     PHOTA_OK);
    assert_int_equal(check_with(&scheme, SECRET, URLSAFE, "", ALPHABETS),
                     PHOTA_OK);
}


/* before: what stands before the digest, NULL: its time */

static int
timed(const char *before, uint64_t time, uint64_t tolerance,
    const char *timestamp)
{
    char            text[PHOTA_SIGNATURE_TEXT], header[256];
    phota_scheme_t  scheme = { PHOTA_SIGNED_TIMED, "SHA256", 0, 0 };

    scheme.tolerance = tolerance;

    assert_int_equal(phota_sign(SECRET, time, (const u_char *) BODY,
                                strlen(BODY), text), PHOTA_OK);

    (void) snprintf(header, sizeof(header), "%s%s",
                    (before != NULL) ? before : "",
                    (before != NULL) ? strchr(text, ',') + 1 : text);

    return check_with(&scheme, SECRET, header, timestamp, BODY);
}


static void
times(void **state)
{
    (void) state;

    assert_int_equal(timed(NULL, NOW - 300, 300, ""), PHOTA_OK);
    assert_int_equal(timed(NULL, NOW - 301, 300, ""), PHOTA_INVALID);
    assert_int_equal(timed(NULL, NOW + 300, 300, ""), PHOTA_OK);
    assert_int_equal(timed(NULL, NOW + 301, 300, ""), PHOTA_INVALID);
    assert_int_equal(timed(NULL, 1, 0, ""), PHOTA_OK);
    assert_int_equal(timed(NULL, (uint64_t) NOW * 1000, 1, ""), PHOTA_OK);
    assert_int_equal(timed(NULL, (uint64_t) (NOW - 9) * 1000, 1, ""),
                     PHOTA_INVALID);

    /* in a header of its own */

    assert_int_equal(timed("", NOW, 300, "1764000000"), PHOTA_OK);
    assert_int_equal(timed("", NOW, 300, " 1764000000 "), PHOTA_OK);
    assert_int_equal(timed("", NOW, 300, "1764000001"), PHOTA_INVALID);
    assert_int_equal(timed("", NOW, 300, ""), PHOTA_INVALID);
    assert_int_equal(timed(NULL, NOW, 300, "1"), PHOTA_OK);

    /* no time, or which */

    assert_int_equal(timed("t=,", NOW, 0, ""), PHOTA_INVALID);
    assert_int_equal(timed("t=,", NOW, 0, "1764000000"), PHOTA_INVALID);
    assert_int_equal(timed("t=1,t=1764000000,", NOW, 0, ""), PHOTA_INVALID);
    assert_int_equal(timed("", NOW, 0, "-1"), PHOTA_INVALID);
    assert_int_equal(timed("", NOW, 0, "99999999999999999999"),
                     PHOTA_INVALID);
    assert_int_equal(timed("", NOW, 0, "1.5"), PHOTA_INVALID);
}


static void
no_secret(void **state)
{
    char            text[PHOTA_SIGNATURE_TEXT];
    phota_scheme_t  scheme = { PHOTA_SIGNED_TIMED, "SHA256", 0, 0 };

    (void) state;

    assert_int_equal(phota_sign("", NOW, (const u_char *) BODY, strlen(BODY),
                                text), PHOTA_OK);
    assert_int_equal(check_with(&scheme, "", text, "", BODY), PHOTA_INVALID);
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(ours),
        cmocka_unit_test(spellings),
        cmocka_unit_test(alphabets),
        cmocka_unit_test(times),
        cmocka_unit_test(no_secret)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
