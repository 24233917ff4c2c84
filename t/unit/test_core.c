
/*
 * core: identifiers, money, time and hex as text, there and back, and what is
 * refused.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "phota_core.h"


static void
test_error(void **state)
{
    char           big[1024];
    phota_error_t  err;

    (void) state;

    phota_error(NULL, "nobody listens to %s", "this");

    phota_error(&err, "\"%s\" is %d", "it", 7);
    assert_string_equal(err.text, "\"it\" is 7");

    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';

    phota_error(&err, "%s", big);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}


static void
test_id(void **state)
{
    int         i, k;
    char        text[PHOTA_ID_TEXT], last[PHOTA_ID_TEXT];
    phota_id_t  id, back;

    (void) state;

    memset(&id, 0, sizeof(phota_id_t));
    phota_id_format(text, &id);
    assert_string_equal(text, "ch_00000000000000000000000000");

    memset(&id, 0xff, sizeof(phota_id_t));
    phota_id_format(text, &id);
    assert_string_equal(text, "ch_7ZZZZZZZZZZZZZZZZZZZZZZZZZ");

    memset(&id, 0, sizeof(phota_id_t));
    id.b[15] = 33;
    phota_id_format(text, &id);
    assert_string_equal(text, "ch_00000000000000000000000011");

    memset(last, 0, sizeof(last));

    for (i = 0; i < 2000; i++) {
        assert_int_equal(phota_id_create(&id, 1790000000000 + i), PHOTA_OK);
        phota_id_format(text, &id);
        assert_int_equal(strlen(text), PHOTA_ID_TEXT - 1);

        /* the text sorts by time as the bytes do */

        assert_true(strcmp(last, text) < 0);
        memcpy(last, text, sizeof(last));

        assert_int_equal(phota_id_parse(&back, text, strlen(text)), PHOTA_OK);
        assert_memory_equal(&id, &back, sizeof(phota_id_t));

        for (k = 3; k < PHOTA_ID_TEXT - 1; k++) {
            if (text[k] >= 'A') {
                text[k] = (char) (text[k] - 'A' + 'a');
            }
        }

        assert_int_equal(phota_id_parse(&back, text, strlen(text)), PHOTA_OK);
        assert_memory_equal(&id, &back, sizeof(phota_id_t));
    }
}


static void
test_id_refused(void **state)
{
    size_t      i;
    phota_id_t  id;

    static const char  *bad[] = {
        "", "ch_", "ch_0000000000000000000000000",
        "CH_00000000000000000000000000",
        "ch_000000000000000000000000000", "ch_80000000000000000000000000",
        "ch_0000000000000000000000000U", "ch_000000000000I0000000000000",
        "ch_0000000000000000000000000 ", "xx_00000000000000000000000000",
        "ch_-0000000000000000000000000"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(phota_id_parse(&id, bad[i], strlen(bad[i])),
                         PHOTA_INVALID);
    }

    /* a zero byte is no digit */

    assert_int_equal(phota_id_parse(&id, "ch_0000000000000\0000000000000000",
                                    PHOTA_ID_TEXT - 1),
                     PHOTA_INVALID);
}


static void
test_usd(void **state)
{
    char     buf[PHOTA_USD_TEXT];
    size_t   i;
    int64_t  micro;

    static const struct {
        int64_t      micro;
        const char  *text;
    } amounts[] = {
        { 0, "0.000000" },
        { 1, "0.000001" },
        { 240000, "0.240000" },
        { 12345678, "12.345678" },
        { -120000, "-0.120000" },
        { INT64_MAX, "9223372036854.775807" },
        { INT64_MIN, "-9223372036854.775808" }
    };

    (void) state;

    for (i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++) {
        phota_usd_format(buf, amounts[i].micro);
        assert_string_equal(buf, amounts[i].text);

        if (amounts[i].micro >= 0) {
            assert_int_equal(phota_usd_parse(&micro, buf, strlen(buf)),
                             PHOTA_OK);
            assert_true(micro == amounts[i].micro);
        }
    }

    assert_int_equal(phota_usd_parse(&micro, "0.12", 4), PHOTA_OK);
    assert_true(micro == 120000);
    assert_int_equal(phota_usd_parse(&micro, "5", 1), PHOTA_OK);
    assert_true(micro == 5000000);
    assert_int_equal(phota_usd_parse(&micro, "0.1200001", 8), PHOTA_OK);
    assert_true(micro == 120000);
}


static void
test_usd_refused(void **state)
{
    size_t   i;
    int64_t  micro;

    static const char  *bad[] = {
        "", ".", ".5", "5.", "-1", "+1", "1.2.3", "1,5", " 1", "1 ", "1e3",
        "0x1", "0.1234567", "0.1200000", "9223372036854.775808",
        "9223372036855", "99999999999999999999", "$1"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(phota_usd_parse(&micro, bad[i], strlen(bad[i])),
                         PHOTA_INVALID);
    }
}


static void
test_time(void **state)
{
    char      buf[PHOTA_TIME_TEXT];
    size_t    i;
    uint64_t  ms;

    static const struct {
        const char  *text;
        uint64_t     ms;
    } times[] = {
        { "1970-01-01", 0 },
        { "1970-01-01T00:00:00Z", 0 },
        { "2026-11-21", 1795219200000 },
        { "2026-11-21T00:00:00.000Z", 1795219200000 },
        { "2026-11-21t00:00:00.1z", 1795219200100 },
        { "2026-11-21 00:00:00.123999Z", 1795219200123 },
        { "2026-11-21T02:30:00+02:30", 1795219200000 },
        { "2026-11-20T23:00:00-01:00", 1795219200000 },
        { "2024-02-29T12:00:00Z", 1709208000000 },
        { "2016-12-31T23:59:60Z", 1483228800000 }
    };

    (void) state;

    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        assert_int_equal(phota_time_parse(&ms, times[i].text,
                                          strlen(times[i].text)),
                         PHOTA_OK);
        assert_true(ms == times[i].ms);

        phota_time_format(buf, ms);
        assert_int_equal(phota_time_parse(&ms, buf, strlen(buf)), PHOTA_OK);
        assert_true(ms == times[i].ms);
    }

    phota_time_format(buf, 1795219200123);
    assert_string_equal(buf, "2026-11-21T00:00:00.123Z");

    phota_time_format(buf, UINT64_MAX);
    assert_string_equal(buf, "9999-12-31T23:59:59.999Z");

    assert_true(phota_now() > 1700000000000);
}


static void
test_time_refused(void **state)
{
    size_t    i;
    uint64_t  ms;

    static const char  *bad[] = {
        "", "2026", "2026-11", "2026-11-2", "2026-13-01", "2026-00-10",
        "2026-02-29", "2026-04-31", "2026-11-00", "1969-12-31",
        "1970-01-01T00:00:00+00:01", "2026-11-21T", "2026-11-21T10:00",
        "2026-11-21T10:00:00", "2026-11-21T10:00Z", "2026-11-21T24:00:00Z",
        "2026-11-21T10:60:00Z", "2026-11-21T10:00:61Z",
        "2026-11-21T10:00:00.Z", "2026-11-21T10:00:00+0100",
        "2026-11-21T10:00:00+24:00", "2026-11-21T10:00:00Zx", "2026-11-21Z",
        "21-11-2026", "2026/11/21", "-026-11-21"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(phota_time_parse(&ms, bad[i], strlen(bad[i])),
                         PHOTA_INVALID);
    }
}


static void
test_hex(void **state)
{
    char    text[9];
    u_char  p[4];

    (void) state;

    phota_hex_format(text, (const u_char *) "\x00\x7f\xa5\xff", 4);
    assert_string_equal(text, "007fa5ff");

    assert_int_equal(phota_hex_parse(p, 4, "007FA5ff", 8), PHOTA_OK);
    assert_memory_equal(p, "\x00\x7f\xa5\xff", 4);

    assert_int_equal(phota_hex_parse(p, 4, "007fa5f", 7), PHOTA_INVALID);
    assert_int_equal(phota_hex_parse(p, 4, "007fa5ff0", 9), PHOTA_INVALID);
    assert_int_equal(phota_hex_parse(p, 4, "007fa5fg", 8), PHOTA_INVALID);
    assert_int_equal(phota_hex_parse(p, 3, "007fa5ff", 8), PHOTA_INVALID);
    assert_int_equal(phota_hex_parse(p, 0, "", 0), PHOTA_OK);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_id),
        cmocka_unit_test(test_id_refused),
        cmocka_unit_test(test_usd),
        cmocka_unit_test(test_usd_refused),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_time_refused),
        cmocka_unit_test(test_hex)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
