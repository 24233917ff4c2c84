
/*
 * fingerprint: what two requests have to share to be one purchase, what each
 * refusal says and where it points; all of it however the body is cut.
 */


#include "fingerprint.h"


/* the definition, byte for byte; a change of it needs a new version */

static void
test_definition(void **state)
{
    u_char         digest[PHOTA_SHA256_LEN];
    phota_hash_t   hash;
    test_result_t  res;

    static const u_char  form[] =
        "\x02"
        "\0\0\0\0\0\0\0\x04" "acme"
        "\0\0\0\0\0\0\0\x05" "phota"
        "\0\0\0\0\0\0\0\x07" "enhance"
        "\0\0\0\0\0\0\0\0"
        "{"
        "ka\xff" "i\x0c" "[#1.0\xff" "ntf[]]"
        "kb\xff" "i\x0f" "{kx\xff" "i\x01" "nky\xff" "i\x02" "{}}"
        "kimage\xff" "i\x06" "@bQUI\xff"
        "kprompt\xff" "i\x0b" "shi [[me]]\xff"
        "}"
        "pme\xff" "you\xff";

    (void) state;

    test_accepted(&res, ENHANCE,
                  "{\"prompt\": \"hi [[me]]\", \"b\": {\"y\":{},\"x\":null},"
                  " \"async\": false, \"profile_ids\":[\"you\", \"me\"],"
                  " \"image\":\"QUI=\", \"a\":[1.0,null,true,false,[]]}");

    phota_hash_init(&hash);
    phota_hash_update(&hash, test_key(), form, sizeof(form) - 1);
    assert_int_equal(phota_hash_final(&hash, test_key(), digest), PHOTA_OK);
    assert_int_equal(phota_hash_show(test_key(), digest, digest), PHOTA_OK);

    assert_memory_equal(res.scan.digest, digest, PHOTA_SHA256_LEN);
}


/* and under another key all are others */

static void
test_keys(void **state)
{
    unsigned              i;
    phota_scan_t          scans[2];
    phota_master_t        master;
    phota_hash_key_t      key;
    phota_fingerprint_t  *fp;

    (void) state;

    memset(&master, 0, sizeof(phota_master_t));
    memset(master.b, 1, PHOTA_MASTER_LEN);
    assert_int_equal(phota_hash_key_init(&key, &master), PHOTA_OK);

    for (i = 0; i < 2; i++) {
        fp = phota_fingerprint_create(EDIT, i ? &key : test_key(), NULL, 0);
        assert_non_null(fp);
        assert_int_equal(phota_fingerprint_update(fp, (u_char *) "{}", 2),
                         PHOTA_OK);
        assert_int_equal(phota_fingerprint_final(fp, &test_scope, &test_none,
                                                 &scans[i]), PHOTA_OK);
        phota_fingerprint_destroy(fp);
    }

    assert_memory_not_equal(scans[0].digest, scans[1].digest,
                            PHOTA_SHA256_LEN);
}


static void
test_whole_body(void **state)
{
    (void) state;

    /* order of members, white space, escapes */

    test_one(ENHANCE, "{\"image\":\"QUJD\",\"x\":1,\"y\":[{\"b\":1,\"a\":2}]}",
             " { \"y\" :\t[ {\"a\" : 2,\n \"b\":1 } ],\"\\u0078\":1 ,\r"
             "\"im\\u0061ge\":\"\\u0051UJD\"} ");

    test_one(GENERATE, "{\"prompt\":\"a/\xc3\xa9\xf0\x9f\x98\x80\"}",
             "{\"prompt\":\"\\u0061\\/\\u00E9\\uD83D\\uDE00\"}");

    /* names sort by their bytes: shorter first, U+FFFF before U+10000 */

    test_one(GENERATE, "{\"a\":1,\"ab\":2,\"\":3,\"b\":4}",
             "{\"b\":4,\"ab\":2,\"a\":1,\"\":3}");
    test_one(GENERATE, "{\"\xef\xbf\xbf\":1,\"\xf0\x90\x80\x80\":2}",
             "{\"\xf0\x90\x80\x80\":2,\"\xef\xbf\xbf\":1}");

    /* numbers count as written, values by type */

    test_two(GENERATE, "{\"a\":1}", "{\"a\":1.0}");
    test_two(GENERATE, "{\"a\":1}", "{\"a\":\"1\"}");
    test_two(GENERATE, "{\"a\":1}", "{\"a\":true}");
    test_two(GENERATE, "{\"a\":null}", "{\"a\":\"null\"}");
    test_two(GENERATE, "{\"a\":\"n\"}", "{\"a\":null}");
    test_two(GENERATE, "{\"a\":null}", "{}");
    test_two(GENERATE, "{\"a\":false}", "{\"a\":null}");
    test_two(GENERATE, "{\"a\":1e2}", "{\"a\":1E2}");

    /* structure */

    test_two(GENERATE, "{\"a\":[1,2]}", "{\"a\":[2,1]}");
    test_two(GENERATE, "{\"a\":[1,2]}", "{\"a\":[12]}");
    test_two(GENERATE, "{\"a\":[]}", "{\"a\":{}}");
    test_two(GENERATE, "{\"a\":[[]]}", "{\"a\":[]}");
    test_two(GENERATE, "{\"a\":[[],[]]}", "{\"a\":[[[]]]}");
    test_two(GENERATE, "{\"a\":[\"x\",\"y\"]}", "{\"a\":[\"x,y\"]}");
    test_two(GENERATE, "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":{}}}");
    test_two(GENERATE, "{\"a\":{\"b\":1},\"c\":2}",
             "{\"a\":{\"b\":1,\"c\":2}}");
    test_two(GENERATE, "{\"a\":\"b\"}", "{\"b\":\"a\"}");
    test_two(GENERATE, "{\"a\":\"\"}", "{\"a\":\"\\u0000\"}");
    test_two(GENERATE, "{\"a\\u0000\":1}", "{\"a\":1}");
    test_two(GENERATE, "{\"\":1}", "{}");
    test_two(GENERATE, "{\"\":{\"\":{}}}", "{\"\":{}}");

    /* not of this level */

    test_two(GENERATE, "{\"a\":{\"async\":true}}", "{\"a\":{}}");
    test_two(GENERATE, "{\"a\":{\"prompt\":\"\"}}", "{\"a\":{}}");
    test_two(EDIT, "{\"a\":{\"images\":[\"QUI=\"]}}",
             "{\"a\":{\"images\":[\"QUI\"]}}");
}


/* values are kept as they are up to a length, and digested past it */

static void
test_value_lengths(void **state)
{
    char           text[700], longer[400];
    size_t         i, k;
    test_result_t  res[3];

    (void) state;

    for (i = 0; i < 300; i++) {
        memset(longer, 'x', sizeof(longer));
        longer[i] = '\0';

        for (k = 0; k < 3; k++) {
            snprintf(text, sizeof(text), "{\"a\":[%s\"%s\",1],\"b\":{}}",
                     (k == 0) ? " " : "", longer);

            test_feed(&res[k], GENERATE, text, strlen(text), NULL, 0);
            assert_int_equal(res[k].rc, PHOTA_OK);

            if (k == 1 && i) {
                longer[i / 2] = 'y';
            }
        }

        assert_memory_equal(res[0].scan.digest, res[1].scan.digest,
                            PHOTA_SHA256_LEN);

        if (i) {
            assert_memory_not_equal(res[1].scan.digest, res[2].scan.digest,
                                    PHOTA_SHA256_LEN);
        }
    }
}


static void
test_parts(void **state)
{
    u_char                digests[7][PHOTA_SHA256_LEN];
    unsigned              i, k;
    phota_scan_t          scan;
    phota_fingerprint_t  *fp;

    static const struct {
        phota_op_e   op;
        phota_str_t  scope;
        phota_str_t  args;
    } parts[] = {
        { PHOTA_OP_EDIT, phota_string("acme"), phota_string("") },
        { PHOTA_OP_GENERATE, phota_string("acme"), phota_string("") },
        { PHOTA_OP_EDIT, phota_string("acm"), phota_string("") },
        { PHOTA_OP_EDIT, phota_string("acme"), phota_string("a=1") },
        { PHOTA_OP_EDIT, phota_string("acme"), phota_string("a=%31") },
        { PHOTA_OP_EDIT, phota_string("acmea=1"), phota_string("") },
        { PHOTA_OP_EDIT, phota_string(""), phota_string("acme") }
    };

    (void) state;

    for (i = 0; i < 7; i++) {
        fp = phota_fingerprint_create(&phota_operations[parts[i].op],
                                      test_key(), NULL, 0);
        assert_non_null(fp);
        assert_int_equal(phota_fingerprint_update(fp, (u_char *) "{}", 2),
                         PHOTA_OK);
        assert_int_equal(phota_fingerprint_final(fp, &parts[i].scope,
                                                 &parts[i].args, &scan),
                         PHOTA_OK);
        memcpy(digests[i], scan.digest, PHOTA_SHA256_LEN);
        phota_fingerprint_destroy(fp);

        for (k = 0; k < i; k++) {
            assert_memory_not_equal(digests[i], digests[k], PHOTA_SHA256_LEN);
        }
    }

    phota_fingerprint_destroy(NULL);
}


static void
test_presets(void **state)
{
    (void) state;

    test_one(EDIT, "{}", "{\"base_model\":\"nb2\",\"aspect_ratio\":\"auto\","
             "\"resolution\":\"1K\",\"prompt\":\"\"}");
    test_one(EDIT, "{}", "{\"base_model\":null,\"aspect_ratio\":null,"
             "\"resolution\":null,\"prompt\":null}");
    test_one(GENERATE, "{}", "{\"base_model\":\"nb\\u0032\"}");
    test_one(REMIX, "{\"input_image\":\"QQ\",\"reference_image\":\"QQ\"}",
             "{\"input_image\":\"QQ\",\"reference_image\":\"QQ\","
             "\"prompt\":null}");

    test_two(EDIT, "{}", "{\"base_model\":\"reve\"}");
    test_two(EDIT, "{}", "{\"base_model\":\"nb2 \"}");
    test_two(EDIT, "{}", "{\"base_model\":\"NB2\"}");
    test_two(EDIT, "{}", "{\"base_model\":\"\"}");
    test_two(EDIT, "{}", "{\"base_model\":[\"nb2\"]}");
    test_two(EDIT, "{}", "{\"base_model\":[null]}");
    test_two(EDIT, "{}", "{\"resolution\":\"2K\"}");
    test_two(EDIT, "{}", "{\"aspect_ratio\":\"1:1\"}");
    test_two(EDIT, "{}", "{\"prompt\":\" \"}");
    test_two(EDIT, "{\"prompt\":1}", "{\"prompt\":\"1\"}");

    /* no certain default */

    test_two(EDIT, "{}", "{\"output_format\":\"png\"}");
    test_two(EDIT, "{}", "{\"output_format\":\"jpg\"}");
    test_two(EDIT, "{}", "{\"output_format\":null}");
    test_two(EDIT, "{}", "{\"quality\":\"auto\"}");
    test_two(EDIT, "{}", "{\"quality\":null}");
    test_two(ENHANCE, "{\"image\":\"QQ\"}",
             "{\"image\":\"QQ\",\"base_model\":\"nb2\"}");
    test_two(ENHANCE, "{\"image\":\"QQ\"}",
             "{\"image\":\"QQ\",\"resolution\":\"2K\"}");
    test_two(ENHANCE, "{\"image\":\"QQ\"}",
             "{\"image\":\"QQ\",\"aspect_ratio\":null}");
}


static void
test_left_out(void **state)
{
    (void) state;

    test_one(GENERATE, "{}", "{\"response_mode\":\"urls\",\"async\":false,"
             "\"callback_url\":\"https://x\",\"client_request_id\":\"r1\","
             "\"num_output_images\":4}");
    test_one(GENERATE, "{}", "{\"callback_url\":{\"a\":[1,{\"b\":2}]},"
             "\"client_request_id\":{},\"response_mode\":[],"
             "\"num_output_images\":{\"x\":{}},\"async\":null}");

    test_two(GENERATE, "{}", "{\"Async\":false}");
    test_two(GENERATE, "{}", "{\"pro_mode\":true}");
    test_two(GENERATE, "{\"callback_url\":1,\"x\":2}", "{\"callback_url\":1}");

    /* but it has to be JSON */

    test_fault(GENERATE, "{\"callback_url\":{\"a\":1,\"a\":2}}",
               "duplicate key", "callback_url.a", 23);
    test_fault(GENERATE, "{\"client_request_id\":\"\\ud800\"}",
               "lone surrogate", "client_request_id", 22);
}


static void
test_faults(void **state)
{
    (void) state;

    test_fault(EDIT, "[]", "body must be a JSON object", "", 0);
    test_fault(EDIT, "  \"x\"", "body must be a JSON object", "", 2);
    test_fault(EDIT, " 1", "body must be a JSON object", "", 1);
    test_fault(EDIT, "null ", "body must be a JSON object", "", 0);
    test_fault(EDIT, "", "unexpected end", "", 0);
    test_fault(EDIT, "{", "unexpected end", "", 1);
    test_fault(EDIT, "{\"images\":[\"QU", "unexpected end", "images.0", 14);
    test_fault(EDIT, "{\"images\":[\"QUJD\",", "unexpected end", "images",
               18);
    test_fault(EDIT, "{} x", "unexpected character", "", 3);
    test_fault(EDIT, "{\"a\":1,}", "unexpected character", "", 7);
    test_fault(EDIT, "{\"prompt\":\"\xff\"}", "invalid UTF-8", "prompt", 11);
    test_fault(EDIT, "{\"prompt\":\"ab\\ud800\"}", "lone surrogate",
               "prompt", 13);
    test_fault(EDIT, "{\"a\":{\"b\":[0,{\"c\":tru}]}}",
               "unexpected character", "a.b.1.c", 21);
    test_fault(EDIT, "\xef\xbb\xbf{}", "unexpected character", "", 0);

    test_fault(EDIT, "{\"a\":1,\"a\":2}", "duplicate key", "a", 7);
    test_fault(EDIT, "{\"a\":1,\"\\u0061\":2}", "duplicate key", "a", 7);
    test_fault(EDIT, "{\"async\":false, \"async\":false}", "duplicate key",
               "async", 16);
    test_fault(EDIT, "{\"a\":[{\"b\":{\"c\":1,\"d\":2,\"c\":1}}]}",
               "duplicate key", "a.0.b.c", 24);
    test_fault(EDIT, "{\"\":1,\"\":2}", "duplicate key", "", 6);
    test_fault(EDIT, "{\"a\":[1,{\"\xc3\xa9\":1,\"\\u00E9\":2}]}",
               "duplicate key", "a.1.\xc3\xa9", 16);

    /* a control would spoil a log line */

    test_fault(EDIT, "{\"a\\nb\\u0000c\":1,\"a\\nb\\u0000c\":1}",
               "duplicate key", "a?b?c", 17);
}


/* "no", 0 and an empty list are as good as true to some who read it */

static void
test_async(void **state)
{
    char           text[64];
    size_t         i;
    test_result_t  res;

    static const char  *asked[] = {
        "true", "1", "0", "\"no\"", "\"false\"", "[]", "{}", "-0.0"
    };

    (void) state;

    test_accepted(&res, EDIT, "{}");
    assert_int_equal(res.scan.async, 0);
    test_accepted(&res, EDIT, "{\"async\":false}");
    assert_int_equal(res.scan.async, 0);
    test_accepted(&res, EDIT, "{\"async\":null}");
    assert_int_equal(res.scan.async, 0);
    test_accepted(&res, EDIT, "{\"x\":{\"async\":true}}");
    assert_int_equal(res.scan.async, 0);

    for (i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        snprintf(text, sizeof(text), "{\"\\u0061sync\": %s}", asked[i]);
        test_accepted(&res, EDIT, text);
        assert_int_equal(res.scan.async, 1);
        test_one(GENERATE, text, "{}");
    }

    /* no word of theirs */

    test_accepted(&res, TRAINING, "{\"async\":true}");
    assert_int_equal(res.scan.async, 0);
    test_two(TRAINING, "{\"async\":true}", "{}");
}


static void
test_depth(void **state)
{
    unsigned       i;
    test_body_t    body;
    test_result_t  res;

    (void) state;

    memset(&body, 0, sizeof(body));

    for (i = 0; i < 32; i++) {
        test_add(&body, "{\"a\":");
    }

    test_add(&body, "1");

    for (i = 0; i < 32; i++) {
        test_add(&body, "}");
    }

    test_run_body(&res, EDIT, &body);
    assert_int_equal(res.rc, PHOTA_OK);

    for (i = 0; i < 16; i++) {
        test_add(&body, "{\"b\":[");
    }

    test_add(&body, "[");
    test_run_body(&res, EDIT, &body);
    test_result_is(&res, "33", "nested too deeply",
                   "b.0.b.0.b.0.b.0.b.0.b.0.b.0.b.0."
                   "b.0.b.0.b.0.b.0.b.0.b.0.b.0.b", 96);
}


static void
test_member_limits(void **state)
{
    unsigned       i;
    test_body_t    body;
    test_result_t  res, reverse;

    (void) state;

    memset(&body, 0, sizeof(body));

    /* 1024 members, backwards and forwards */

    for (i = 0; i < 1024; i++) {
        test_add(&body, "%s\"k%04u\":%u", i ? "," : "{", i, i);
    }

    test_add(&body, "}");
    test_run_body(&res, GENERATE, &body);
    assert_int_equal(res.rc, PHOTA_OK);

    for (i = 1024; i-- > 0; /* void */ ) {
        test_add(&body, "%s\"k%04u\":%u", (i < 1023) ? "," : "{", i, i);
    }

    test_add(&body, "}");
    test_run_body(&reverse, GENERATE, &body);
    assert_int_equal(reverse.rc, PHOTA_OK);
    assert_memory_equal(res.scan.digest, reverse.scan.digest,
                        PHOTA_SHA256_LEN);

    /* one more, at any depth */

    for (i = 0; i < 1025; i++) {
        test_add(&body, "%s\"k%04u\":0", i ? "," : "{\"x\":{", i);
    }

    test_add(&body, "}}");
    test_run_body(&res, GENERATE, &body);
    test_result_is(&res, "1025", "too many members", "x", 6 + 1024 * 10);

    /* many objects of many members: each has a count of its own */

    test_add(&body, "{\"x\":[");

    for (i = 0; i < 3000; i++) {
        test_add(&body, "%s\"k%04u\":{\"a\":0}",
                 (i % 1000) ? "," : i ? "},{" : "{", i);
    }

    test_add(&body, "}]}");
    test_run_body(&res, GENERATE, &body);
    assert_int_equal(res.rc, PHOTA_OK);
}


static void
test_key_limits(void **state)
{
    unsigned       i;
    test_body_t    body;
    test_result_t  res;

    (void) state;

    memset(&body, 0, sizeof(body));

    /* 64 KB in open objects: 64 of 1024 */

    for (i = 0; i < 64; i++) {
        test_add(&body, "%s\"%01024u\":0", i ? "," : "{", i);
    }

    test_add(&body, "}");
    test_run_body(&res, GENERATE, &body);
    assert_int_equal(res.rc, PHOTA_OK);

    for (i = 0; i < 64; i++) {
        test_add(&body, "%s\"%01024u\":0", i ? "," : "{", i);
    }

    test_add(&body, ",\"x\":0}");
    test_run_body(&res, GENERATE, &body);
    test_result_is(&res, "64 KB and one", "too many bytes of keys", "",
                   1 + 64 * 1029);

    /* those of closed objects don't count */

    test_add(&body, "{\"x\":[0");

    for (i = 0; i < 200; i++) {
        test_add(&body, ",{\"%01024u\":{\"%01000u\":0}}", i, i);
    }

    test_add(&body, "]}");
    test_run_body(&res, GENERATE, &body);
    assert_int_equal(res.rc, PHOTA_OK);

    /* those of the objects around do; a long path is cut */

    for (i = 0; i < 30; i++) {
        test_add(&body, "{\"%01023u\":0,\"%01023u\":0,\"%01023u\":", i, i + 1,
                 i + 2);
    }

    test_run_body(&res, GENERATE, &body);
    assert_int_equal(res.rc, PHOTA_INVALID);
    assert_string_equal(res.fault.detail, "too many bytes of keys");
    assert_int_equal(strlen(res.fault.field), PHOTA_FIELD_TEXT - 1);
}


/* more levels with many members than the tables begin with */

static void
test_stack(void **state)
{
    unsigned       i, k;
    test_body_t    body;
    test_result_t  res, reverse;

    (void) state;

    memset(&body, 0, sizeof(body));

    for (i = 0; i < 30; i++) {
        test_add(&body, "{");

        for (k = 0; k < 40; k++) {
            test_add(&body, "\"m%02u\":\"%u.%u\",", k, i, k);
        }

        test_add(&body, "\"a\":");
    }

    test_add(&body, "1");

    for (i = 0; i < 30; i++) {
        test_add(&body, ",\"z\":[{}]}");
    }

    test_run_body(&res, GENERATE, &body);
    assert_int_equal(res.rc, PHOTA_OK);

    for (i = 0; i < 30; i++) {
        test_add(&body, "{\"z\":[{}],\"a\":");
    }

    test_add(&body, "1");

    for (i = 30; i-- > 0; /* void */ ) {
        for (k = 40; k-- > 0; /* void */ ) {
            test_add(&body, ",\"m%02u\":\"%u.%u\"", k, i, k);
        }

        test_add(&body, "}");
    }

    test_run_body(&reverse, GENERATE, &body);
    assert_int_equal(reverse.rc, PHOTA_OK);
    assert_memory_equal(res.scan.digest, reverse.scan.digest,
                        PHOTA_SHA256_LEN);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_definition),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_whole_body),
        cmocka_unit_test(test_value_lengths),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_async),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_member_limits),
        cmocka_unit_test(test_key_limits),
        cmocka_unit_test(test_stack)
    };

    return cmocka_run_group_tests_name("fingerprint", tests, NULL, NULL);
}
