
/*
 * json: what RFC 8259 accepts and refuses, the events with their offsets, and
 * that neither depends on how the text is cut.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "phota_json.h"


#define test_text(s)  (const u_char *) s, sizeof(s) - 1


typedef struct {
    char          log[8192];
    size_t        used;
    unsigned      events;
    unsigned      stop;         /* at which event the handler fails */
    int           rc;
    const char   *fault;
    uint64_t      offset;
} test_scan_t;


typedef struct {
    const u_char  *text;
    size_t         len;
    const char    *fault;       /* NULL: valid */
    uint64_t       offset;
} test_case_t;


/* a line for each event, and one for each byte of a piece */

static int
test_handler(void *ctx, phota_json_event_e event, const u_char *p, size_t len,
    uint64_t offset)
{
    size_t        i;
    test_scan_t  *scan = ctx;

    static const char  names[] = "{}[]kspq#n.tf0";

    if (event == PHOTA_JSON_PIECE || event == PHOTA_JSON_NUMBER_PIECE) {
        assert_true(len > 0);

        for (i = 0; i < len && scan->used < sizeof(scan->log) - 32; i++) {
            scan->used += snprintf(scan->log + scan->used, 32, "%c%02x@%u ",
                                   names[event], p[i],
                                   (unsigned) (offset + i));
        }

        return PHOTA_OK;
    }

    assert_true(p == NULL && len == 0);

    if (scan->used < sizeof(scan->log) - 32) {
        scan->used += snprintf(scan->log + scan->used, 32, "%c@%u ",
                               names[event], (unsigned) offset);
    }

    return (++scan->events == scan->stop) ? PHOTA_DECLINED : PHOTA_OK;
}


/* cuts: ascending, the last one is len; each piece is a copy of its own */

static void
test_scan(test_scan_t *scan, const u_char *text, const size_t *cuts,
    unsigned ncuts)
{
    u_char        *copy;
    size_t         pos, n;
    unsigned       i;
    phota_json_t   json;

    scan->used = 0;
    scan->events = 0;
    scan->log[0] = '\0';
    scan->rc = PHOTA_OK;

    phota_json_init(&json, test_handler, scan);

    for (i = 0, pos = 0; i < ncuts && scan->rc == PHOTA_OK; i++) {
        n = cuts[i] - pos;
        copy = malloc(n ? n : 1);
        assert_non_null(copy);
        memcpy(copy, text + pos, n);

        scan->rc = phota_json_update(&json, copy, n);

        free(copy);
        pos = cuts[i];
    }

    if (scan->rc == PHOTA_OK) {
        assert_int_equal(json.offset, cuts[ncuts - 1]);
        scan->rc = phota_json_final(&json);
    }

    scan->fault = json.fault;
    scan->offset = json.fault_offset;
}


static void
test_equal(const test_scan_t *a, const test_scan_t *b)
{
    assert_int_equal(a->rc, b->rc);
    assert_ptr_equal(a->fault, b->fault);
    assert_int_equal(a->offset, b->offset);
    assert_string_equal(a->log, b->log);
}


/* whole, in all pairs, byte by byte, and at random */

static void
test_all_cuts(test_scan_t *whole, const u_char *text, size_t len)
{
    size_t        i, cuts[1024], pair[2];
    unsigned      n, round;
    test_scan_t   cut;

    static unsigned  seed = 1;

    assert_true(len < 1024);

    cut.stop = whole->stop;
    test_scan(whole, text, &len, 1);

    for (i = 0; i <= len; i++) {
        pair[0] = i;
        pair[1] = len;
        test_scan(&cut, text, pair, 2);
        test_equal(whole, &cut);
    }

    for (i = 0; i < len; i++) {
        cuts[i] = i + 1;
    }

    if (len) {
        test_scan(&cut, text, cuts, len);
        test_equal(whole, &cut);
    }

    for (round = 0; round < 20; round++) {

        for (i = 1, n = 0; i < len; i++) {
            if (rand_r(&seed) % 5 == 0) {
                cuts[n++] = i;
            }
        }

        cuts[n++] = len;
        test_scan(&cut, text, cuts, n);
        test_equal(whole, &cut);
    }
}


static void
test_table(const test_case_t *cases, size_t n)
{
    size_t        i;
    test_scan_t   scan;

    for (i = 0; i < n; i++) {
        scan.stop = 0;
        test_all_cuts(&scan, cases[i].text, cases[i].len);

        if (cases[i].fault == NULL) {

            if (scan.rc != PHOTA_OK) {
                fail_msg("\"%s\": %s at %u", (char *) cases[i].text,
                         scan.fault, (unsigned) scan.offset);
            }

            continue;
        }

        if (scan.rc != PHOTA_INVALID || scan.fault == NULL
            || strcmp(scan.fault, cases[i].fault) != 0
            || scan.offset != cases[i].offset)
        {
            fail_msg("\"%s\": %d, %s at %u, expected %s at %u",
                     (char *) cases[i].text, scan.rc,
                     scan.fault ? scan.fault : "no fault",
                     (unsigned) scan.offset, cases[i].fault,
                     (unsigned) cases[i].offset);
        }
    }
}


static void
test_accepts(void **state)
{
    static const test_case_t  cases[] = {
        { test_text("null"), NULL, 0 },
        { test_text("true"), NULL, 0 },
        { test_text(" false\t\r\n"), NULL, 0 },
        { test_text("\"\""), NULL, 0 },
        { test_text("\"text\""), NULL, 0 },
        { test_text("0"), NULL, 0 },
        { test_text("-0"), NULL, 0 },
        { test_text("-0.0e-0"), NULL, 0 },
        { test_text("10"), NULL, 0 },
        { test_text("1234567890"), NULL, 0 },
        { test_text("1.5"), NULL, 0 },
        { test_text("1e5"), NULL, 0 },
        { test_text("1E+05"), NULL, 0 },
        { test_text("0e1"), NULL, 0 },
        { test_text("123.456e-789"), NULL, 0 },
        { test_text("0 "), NULL, 0 },
        { test_text("[]"), NULL, 0 },
        { test_text("[ ]"), NULL, 0 },
        { test_text("{}"), NULL, 0 },
        { test_text(" { } "), NULL, 0 },
        { test_text("[1]"), NULL, 0 },
        { test_text("[1,2]"), NULL, 0 },
        { test_text("[ 1 , 2 ]"), NULL, 0 },
        { test_text("[[],[[]],{}]"), NULL, 0 },
        { test_text("{\"a\":1}"), NULL, 0 },
        { test_text("{\"\":0}"), NULL, 0 },
        { test_text("{\"a\":1,\"a\":2}"), NULL, 0 },
        { test_text("{ \"a\" : [ null , { } ] , \"b\" : -1 }"), NULL, 0 },
        { test_text("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), NULL, 0 },
        { test_text("\"\\u0000\\u001F\\u00e9\\uABCD\""), NULL, 0 },
        { test_text("\"\\ud83d\\ude00\\uDBFF\\uDFFF\""), NULL, 0 },
        { test_text("\"\\uFFFF\\uFDD0\""), NULL, 0 },
        { test_text("\"\x7f\""), NULL, 0 },
        { test_text("\"\xc2\x80\xdf\xbf\""), NULL, 0 },
        { test_text("\"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\""), NULL, 0 },
        { test_text("\"\xef\xbf\xbf\xef\xbb\xbf\""), NULL, 0 },
        { test_text("\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""), NULL, 0 },
        { test_text("\"0123456789abcdef0123456789abcde\\n0123456789\""),
          NULL, 0 },
        { test_text("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                    "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"), NULL, 0 }
    };

    (void) state;

    test_table(cases, sizeof(cases) / sizeof(cases[0]));
}


static void
test_refuses(void **state)
{
    static const char  what[] = "unexpected character";
    static const char  end[] = "unexpected end";

    const test_case_t  cases[] = {
        { test_text(""), end, 0 },
        { test_text("  "), end, 2 },
        { test_text("nul"), end, 3 },
        { test_text("{"), end, 1 },
        { test_text("["), end, 1 },
        { test_text("[1"), end, 2 },
        { test_text("[1,"), end, 3 },
        { test_text("{\"a\""), end, 4 },
        { test_text("{\"a\":"), end, 5 },
        { test_text("{\"a\":1"), end, 6 },
        { test_text("{\"a\":1,"), end, 7 },
        { test_text("\"abc"), end, 4 },
        { test_text("\"ab\\"), end, 4 },
        { test_text("\"\\u12"), end, 5 },
        { test_text("\"\\ud800"), end, 7 },
        { test_text("\"\\ud800\\"), end, 8 },
        { test_text("\"\xe2\x82"), end, 3 },
        { test_text("-"), end, 1 },
        { test_text("1."), end, 2 },
        { test_text("1e"), end, 2 },
        { test_text("1e+"), end, 3 },

        { test_text("\xef\xbb\xbf{}"), what, 0 },
        { test_text("\xff\xfe"), what, 0 },
        { test_text("nulL"), what, 3 },
        { test_text("True"), what, 0 },
        { test_text("truE"), what, 3 },
        { test_text("truee"), what, 4 },
        { test_text("nan"), what, 1 },
        { test_text("NaN"), what, 0 },
        { test_text("Infinity"), what, 0 },
        { test_text("-Infinity"), what, 1 },
        { test_text("+1"), what, 0 },
        { test_text(".5"), what, 0 },
        { test_text("01"), what, 1 },
        { test_text("-01"), what, 2 },
        { test_text("-a"), what, 1 },
        { test_text("1.e5"), what, 2 },
        { test_text("1.5.5"), what, 3 },
        { test_text("1e5.5"), what, 3 },
        { test_text("1ee5"), what, 2 },
        { test_text("1e+-5"), what, 3 },
        { test_text("0x10"), what, 1 },
        { test_text("1 2"), what, 2 },
        { test_text("{}{}"), what, 2 },
        { test_text("[]]"), what, 2 },
        { test_text("1,"), what, 1 },
        { test_text("[1}"), what, 2 },
        { test_text("{\"a\":1]"), what, 6 },
        { test_text("[}"), what, 1 },
        { test_text("{]"), what, 1 },
        { test_text("[,]"), what, 1 },
        { test_text("[1,]"), what, 3 },
        { test_text("[1,,2]"), what, 3 },
        { test_text("[1 2]"), what, 3 },
        { test_text("{,}"), what, 1 },
        { test_text("{\"a\":1,}"), what, 7 },
        { test_text("{\"a\" 1}"), what, 5 },
        { test_text("{\"a\",1}"), what, 4 },
        { test_text("{\"a\":}"), what, 5 },
        { test_text("{a:1}"), what, 1 },
        { test_text("{'a':1}"), what, 1 },
        { test_text("{1:1}"), what, 1 },
        { test_text("{\"a\":1 \"b\":2}"), what, 7 },
        { test_text("[\"a\":1]"), what, 4 },
        { test_text("// text\n1"), what, 0 },
        { test_text("[1,/**/2]"), what, 3 },
        { test_text("\v1"), what, 0 },
        { test_text("\f1"), what, 0 },
        { test_text("1\0"), what, 1 },
        { test_text("\0"), what, 0 },
        { test_text("\xc2\xa0" "1"), what, 0 },

        { test_text("\"a\nb\""), "control character in a string", 2 },
        { test_text("\"a\tb\""), "control character in a string", 2 },
        { test_text("\"\0\""), "control character in a string", 1 },
        { test_text("\"0123456789abcdef\x1f\""),
          "control character in a string", 17 },
        { test_text("{\"a\x01\":1}"), "control character in a string", 3 },

        { test_text("\"a\\x\""), "invalid escape", 2 },
        { test_text("\"\\'\""), "invalid escape", 1 },
        { test_text("\"\\\0\""), "invalid escape", 1 },
        { test_text("\"\\U0041\""), "invalid escape", 1 },
        { test_text("\"\\u004\""), "invalid escape", 1 },
        { test_text("\"ab\\u00g0\""), "invalid escape", 3 },
        { test_text("\"\\u+041\""), "invalid escape", 1 },

        { test_text("\"a\\ud800\""), "lone surrogate", 2 },
        { test_text("\"\\udc00\""), "lone surrogate", 1 },
        { test_text("\"\\ude00\\ud83d\""), "lone surrogate", 1 },
        { test_text("\"\\ud800\\ud800\""), "lone surrogate", 1 },
        { test_text("\"\\ud800\\u0041\""), "lone surrogate", 1 },
        { test_text("\"\\ud800\\n\""), "lone surrogate", 1 },
        { test_text("\"\\ud800x\""), "lone surrogate", 1 },
        { test_text("\"\\ud800\\uzzzz\""), "lone surrogate", 1 },

        { test_text("\"a\x80\""), "invalid UTF-8", 2 },
        { test_text("\"\xbf\""), "invalid UTF-8", 1 },
        { test_text("\"\xc0\x80\""), "invalid UTF-8", 1 },
        { test_text("\"\xc1\xbf\""), "invalid UTF-8", 1 },
        { test_text("\"\xc2\""), "invalid UTF-8", 1 },
        { test_text("\"\xc2\xc2\""), "invalid UTF-8", 1 },
        { test_text("\"\xe0\x9f\xbf\""), "invalid UTF-8", 1 },
        { test_text("\"\xed\xa0\x80\""), "invalid UTF-8", 1 },
        { test_text("\"\xed\xbf\xbf\""), "invalid UTF-8", 1 },
        { test_text("\"ab\xe2\x82x\""), "invalid UTF-8", 3 },
        { test_text("\"\xf0\x8f\xbf\xbf\""), "invalid UTF-8", 1 },
        { test_text("\"\xf4\x90\x80\x80\""), "invalid UTF-8", 1 },
        { test_text("\"\xf5\x80\x80\x80\""), "invalid UTF-8", 1 },
        { test_text("\"\xf0\x90\x80\""), "invalid UTF-8", 1 },
        { test_text("\"\xff\""), "invalid UTF-8", 1 },
        { test_text("{\"0123456789abcde\xfe\":1}"), "invalid UTF-8", 17 },

        { test_text("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["), "nested too deeply",
          32 },
        { test_text("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[{"), "nested too deeply",
          32 },
        { test_text("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1[]"),
          "unexpected character", 33 }
    };

    (void) state;

    test_table(cases, sizeof(cases) / sizeof(cases[0]));
}


static void
test_events(void **state)
{
    test_scan_t  scan;

    (void) state;

    scan.stop = 0;

    test_all_cuts(&scan, test_text("{\"k\": [1, \"a\\n\\u00e9\"], "
                                   "\"\": {}}"));
    assert_int_equal(scan.rc, PHOTA_OK);
    assert_string_equal(scan.log,
                        "{@0 k@1 p6b@2 q@3 [@6 #@7 n31@7 .@8 s@10 p61@11 "
                        "p0a@12 pc3@14 pa9@15 q@20 ]@21 k@24 q@25 {@28 "
                        "}@29 }@30 ");

    test_all_cuts(&scan, test_text(" [true,false , null,-1.5e+3]"));
    assert_int_equal(scan.rc, PHOTA_OK);
    assert_string_equal(scan.log,
                        "[@1 t@2 f@7 0@15 #@20 n2d@20 n31@21 n2e@22 n35@23 "
                        "n65@24 n2b@25 n33@26 .@27 ]@27 ");

    test_all_cuts(&scan, test_text("\"\\ud83d\\ude00\xe2\x82\xac\""));
    assert_int_equal(scan.rc, PHOTA_OK);
    assert_string_equal(scan.log,
                        "s@0 pf0@1 p9f@2 p98@3 p80@4 pe2@13 p82@14 pac@15 "
                        "q@16 ");

    /* a number that only the end of the text ends */

    test_all_cuts(&scan, test_text("12"));
    assert_int_equal(scan.rc, PHOTA_OK);
    assert_string_equal(scan.log, "#@0 n31@0 n32@1 .@2 ");

    /* what precedes a fault has been told, no part of a bad character */

    test_all_cuts(&scan, test_text("\"ab\xe2\x82x\""));
    assert_string_equal(scan.log, "s@0 p61@1 p62@2 ");
}


static void
test_handler_stops(void **state)
{
    unsigned      i;
    test_scan_t   scan;

    (void) state;

    for (i = 1; i < 12; i++) {
        scan.stop = i;
        test_all_cuts(&scan, test_text("{\"a\":[1,true,\"x\",{}]}"));
        assert_int_equal(scan.rc, PHOTA_DECLINED);
        assert_null(scan.fault);
        assert_int_equal(scan.events, i);
    }

    scan.stop = 2;
    test_all_cuts(&scan, test_text("1"));
    assert_int_equal(scan.rc, PHOTA_DECLINED);
}


/* a special byte at each place of those that are read at once */

static void
test_places(void **state)
{
    u_char        text[200];
    size_t        i;
    test_scan_t   scan;

    (void) state;

    scan.stop = 0;

    for (i = 0; i < 140; i++) {
        memset(text, 'a', sizeof(text));
        text[0] = '"';
        text[i + 1] = 0x1f;
        test_all_cuts(&scan, text, 180);
        assert_int_equal(scan.rc, PHOTA_INVALID);
        assert_int_equal(scan.offset, i + 1);

        text[i + 1] = 0xff;
        test_all_cuts(&scan, text, 180);
        assert_int_equal(scan.rc, PHOTA_INVALID);
        assert_int_equal(scan.offset, i + 1);

        text[i + 1] = '"';
        test_all_cuts(&scan, text, i + 2);
        assert_int_equal(scan.rc, PHOTA_OK);

        text[i + 1] = '\\';
        text[i + 2] = '"';
        text[i + 3] = '"';
        test_all_cuts(&scan, text, i + 4);
        assert_int_equal(scan.rc, PHOTA_OK);
    }
}


/* every code point, raw and escaped */

static void
test_code_points(void **state)
{
    int            rc;
    size_t         len;
    char           text[32];
    uint32_t       c;
    test_scan_t    raw, escaped;
    static size_t  cuts[1];

    (void) state;

    raw.stop = 0;
    escaped.stop = 0;

    for (c = 0x80; c < 0x110000; c += (c < 0x3000) ? 1 : 61) {

        if (c >= 0x10000) {
            len = snprintf(text, sizeof(text), "\"\\u%04x\\u%04X\"",
                           0xd800 + ((c - 0x10000) >> 10),
                           0xdc00 + ((c - 0x10000) & 0x3ff));
        } else {
            len = snprintf(text, sizeof(text), "\"\\u%04x\"", c);
        }

        cuts[0] = len;
        test_scan(&escaped, (u_char *) text, cuts, 1);

        if (c >= 0x10000) {
            len = snprintf(text, sizeof(text), "\"%c%c%c%c\"", 0xf0 | c >> 18,
                           0x80 | (c >> 12 & 0x3f), 0x80 | (c >> 6 & 0x3f),
                           0x80 | (c & 0x3f));

        } else if (c >= 0x800) {
            len = snprintf(text, sizeof(text), "\"%c%c%c\"", 0xe0 | c >> 12,
                           0x80 | (c >> 6 & 0x3f), 0x80 | (c & 0x3f));

        } else {
            len = snprintf(text, sizeof(text), "\"%c%c\"", 0xc0 | c >> 6,
                           0x80 | (c & 0x3f));
        }

        cuts[0] = len;
        test_scan(&raw, (u_char *) text, cuts, 1);

        rc = (c >= 0xd800 && c <= 0xdfff) ? PHOTA_INVALID : PHOTA_OK;

        assert_int_equal(escaped.rc, rc);
        assert_int_equal(raw.rc, rc);

        if (rc == PHOTA_OK) {
            raw.log[raw.used - 5] = '\0';
            assert_memory_equal(raw.log, escaped.log, raw.used - 5);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_handler_stops),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_code_points)
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
