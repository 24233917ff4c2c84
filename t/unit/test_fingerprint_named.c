
/*
 * fingerprint: what a fence and an asynchronous call need to know of a request:
 * each profile that is named and where, whether there may be more of them, the
 * texts that go up otherwise; and what Photio's numbers mean.  All of it
 * however the body is cut.
 */


#include "fingerprint.h"


#define IMAGES  "\"product_image\":\"QQ\",\"ref_image\":\"QQ\""


typedef struct {
    const char  *id;
    uint64_t     offset;
    unsigned     prompt;
} test_expected_t;


static void
test_names(const char *body, const test_result_t *res,
    const test_expected_t *expected)
{
    unsigned             i;
    const test_named_t  *named;

    for (i = 0; i < 4 && expected[i].id; i++) {
        named = &res->named[i];

        if (i >= res->nnamed || named->len != strlen(expected[i].id)
            || memcmp(named->id, expected[i].id, named->len) != 0
            || named->offset != expected[i].offset
            || named->prompt != expected[i].prompt)
        {
            fail_msg("%s: %u: %.*s at %u, %u of %u", body, i,
                     (int) named->len, (const char *) named->id,
                     (unsigned) named->offset, named->prompt, res->nnamed);
        }
    }

    if (i != res->nnamed) {
        fail_msg("%s: %u named", body, res->nnamed);
    }
}


static void
test_named(void **state)
{
    size_t         i;
    test_result_t  res;

    static const struct {
        const char       *body;
        test_expected_t   named[4];
    } bodies[] = {
        { "{}", { { NULL, 0, 0 } } },
        { "{\"profile_ids\":[]}", { { NULL, 0, 0 } } },
        { "{\"profile_ids\":null,\"prompt\":null}", { { NULL, 0, 0 } } },
        { "{\"x\":\"[[a]]\",\"y\":{\"profile_ids\":[\"a\"],\"prompt\":"
          "\"[[b]]\"}}", { { NULL, 0, 0 } } },

        { "{\"profile_ids\":[\"b\", \"a\",\"b\"]}",
          { { "b", 16, 0 }, { "a", 21, 0 } } },
        { "{\"prompt\":\"x [[b]][[a]] [[b]]\"}",
          { { "b", 13, 1 }, { "a", 18, 1 } } },

        /* the first mention counts, where it is */

        { "{\"prompt\":\"[[a]]\",\"profile_ids\":[\"b\",\"a\"]}",
          { { "a", 11, 1 }, { "b", 33, 0 } } },
        { "{\"profile_ids\":[\"b\",\"a\"],\"prompt\":\"[[a]] [[c]]\"}",
          { { "b", 16, 0 }, { "a", 20, 0 }, { "c", 41, 1 } } },

        /* bytes of the body, ids of what they mean */

        { "{\"prompt\":\"\xc3\xa9\\ud83d\\ude00\\u005b[\\u0061\\u00e9]\\u005d"
          "\"}", { { "a\xc3\xa9", 25, 1 } } },
        { "{\"prompt\":\"[\\u005b[a]]\"}", { { "a", 12, 1 } } },
        { "{\"prompt\":\"[[a[[b]]\"}", { { "b", 14, 1 } } },
        { "{\"prompt\":\"[ [[a]] [[ b ]]\"}",
          { { "a", 13, 1 }, { " b ", 19, 1 } } },
        { "{\"profile_ids\":[\"\\u0062\\n\"]}", { { "b\n", 16, 0 } } },
        { "{\"profile_ids\":[\"\",\"[[a]]\"]}",
          { { "", 16, 0 }, { "[[a]]", 19, 0 } } },

        /* also of a list that has something else in it */

        { "{\"profile_ids\":[\"a\",1],\"prompt\":\"[[a]]\"}",
          { { "a", 16, 0 } } }
    };

    (void) state;

    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        test_accepted(&res, EDIT, bodies[i].body);
        test_names(bodies[i].body, &res, bodies[i].named);
    }

    /* brackets are nobody's name where there are no profiles */

    test_accepted(&res, PHOTIO, "{" IMAGES ",\"prompt\":\"[[a]] [[\","
                  "\"profile_ids\":[\"a\",1]}");
    assert_int_equal(res.nnamed, 0);
    assert_int_equal(res.scan.vague, 0);
    assert_int_equal(res.scan.profiles, 0);
    assert_int_equal(res.scan.unmarked, 0);

    test_accepted(&res, TRAINING, "{\"image_urls\":[\"https://x/[[a]]\"],"
                  "\"tag\":\"[[a]]\"}");
    assert_int_equal(res.nnamed, 0);
    assert_int_equal(res.scan.vague, 0);
}


static void
test_named_many(void **state)
{
    unsigned              i;
    test_body_t           body;
    phota_named_t         named;
    test_result_t         res;
    phota_fingerprint_t  *fp;

    (void) state;

    memset(&body, 0, sizeof(body));

    for (i = 0; i < 1024; i++) {
        test_add(&body, "%s\"p%04u\"", i ? "," : "{\"profile_ids\":[",
                 1023 - i);
    }

    test_add(&body, "],\"prompt\":\"[[p0001]]\"}");

    fp = phota_fingerprint_create(EDIT, test_key(), NULL, 0);
    assert_non_null(fp);
    assert_int_equal(phota_fingerprint_update(fp, (u_char *) body.data,
                                              body.len), PHOTA_OK);
    assert_int_equal(phota_fingerprint_final(fp, &test_scope, &test_none,
                                             &res.scan), PHOTA_OK);
    assert_int_equal(res.scan.vague, 0);

    for (i = 0; phota_fingerprint_named(fp, i, &named) == PHOTA_OK; i++) {
        assert_int_equal(named.id.len, 5);
        assert_int_equal(named.offset, 16 + 8 * i);
        assert_memory_equal(named.id.data, body.data + named.offset + 1, 5);
        assert_int_equal(named.prompt, 0);
    }

    assert_int_equal(i, 1024);
    assert_int_equal(phota_fingerprint_named(fp, UINT32_MAX, &named),
                     PHOTA_DECLINED);

    phota_fingerprint_destroy(fp);
    free(body.data);
}


static void
test_vague(void **state)
{
    char           text[700], id[300];
    size_t         i;
    test_result_t  res;

    static const struct {
        const char  *body;
        unsigned     vague;
    } bodies[] = {
        { "{}", 0 },
        { "{\"profile_ids\":[]}", 0 },
        { "{\"profile_ids\":null}", 0 },
        { "{\"profile_ids\":[\"a\",\"\",\" b\"]}", 0 },
        { "{\"profile_ids\":\"\"}", 1 },
        { "{\"profile_ids\":\"a\"}", 1 },
        { "{\"profile_ids\":{}}", 1 },
        { "{\"profile_ids\":0}", 1 },
        { "{\"profile_ids\":false}", 1 },
        { "{\"profile_ids\":[null]}", 1 },
        { "{\"profile_ids\":[\"a\",1]}", 1 },
        { "{\"profile_ids\":[[\"a\"]]}", 1 },
        { "{\"profile_ids\":[{\"a\":\"b\"},\"c\"]}", 1 },

        { "{\"prompt\":\"\"}", 0 },
        { "{\"prompt\":\"[[a]]\"}", 0 },
        { "{\"prompt\":\"[[ a ]], [b], c]], [ [d]]\"}", 0 },
        { "{\"prompt\":\"[[\"}", 1 },
        { "{\"prompt\":\"[[a\"}", 1 },
        { "{\"prompt\":\"[[a]\"}", 1 },
        { "{\"prompt\":\"[[]]\"}", 1 },
        { "{\"prompt\":\"[[a]b]]\"}", 1 },
        { "{\"prompt\":\"[[[a]]]\"}", 1 },
        { "{\"prompt\":\"[[a[b]]\"}", 1 },
        { "{\"prompt\":\"[[a]] [[b]] [[\"}", 1 },
        { "{\"prompt\":\"\\u005b\\u005b\"}", 1 },

        { "{\"prompt\":null}", 0 },
        { "{\"prompt\":1}", 0 },
        { "{\"prompt\":true}", 0 },
        { "{\"prompt\":[]}", 1 },
        { "{\"prompt\":[\"[[a]]\"]}", 1 },
        { "{\"prompt\":{\"text\":\"[[a]]\"}}", 1 }
    };

    (void) state;

    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        test_accepted(&res, EDIT, bodies[i].body);

        if (res.scan.vague != bodies[i].vague) {
            fail_msg("%s: %u", bodies[i].body, res.scan.vague);
        }

        /* then it is held for as one with a profile, and nothing marks it */

        if (res.scan.vague) {
            assert_true(res.scan.profiles >= 1);
            assert_int_equal(res.scan.unmarked, 1);
        }
    }

    for (i = 255; i < 259; i++) {
        memset(id, 'x', i);
        id[i] = '\0';

        snprintf(text, sizeof(text), "{\"prompt\":\"[[%s]]\"}", id);
        test_accepted(&res, GENERATE, text);
        assert_int_equal(res.scan.vague, i > 256);
        assert_int_equal(res.nnamed, i <= 256);

        /* of the list they are told as long as they are */

        snprintf(text, sizeof(text), "{\"profile_ids\":[\"%s\"]}", id);
        test_accepted(&res, GENERATE, text);
        assert_int_equal(res.scan.vague, 0);
        assert_int_equal(res.nnamed, 1);
        assert_int_equal(res.named[0].len, i);
    }
}


static void
test_spot(const char *body, const test_result_t *res, phota_spot_e spot,
    const char *value, const char *text)
{
    const phota_spot_t  *s;

    s = &res->scan.spots[spot];

    if (value == NULL) {
        assert_int_equal(s->at, 0);
        assert_int_equal(s->end, 0);

    } else if (s->at >= s->end || s->end > strlen(body)
               || s->end - s->at != strlen(value)
               || memcmp(body + s->at, value, s->end - s->at) != 0)
    {
        fail_msg("%s: %u to %u, expected %s", body, (unsigned) s->at,
                 (unsigned) s->end, value);
    }

    if (text == NULL) {
        assert_int_equal(res->rcs[spot], PHOTA_DECLINED);
        return;
    }

    if (res->rcs[spot] != PHOTA_OK || res->lens[spot] != strlen(text)
        || memcmp(res->texts[spot], text, strlen(text)) != 0)
    {
        fail_msg("%s: %d, \"%.*s\", expected \"%s\"", body, res->rcs[spot],
                 (int) res->lens[spot], (const char *) res->texts[spot], text);
    }
}


static void
test_texts(void **state)
{
    size_t         i, k;
    char           body[300];
    test_result_t  res;

    static const struct {
        const char  *value;
        const char  *text;
    } values[] = {
        { "\"\"", "" },
        { "\"a\"", "a" },
        { "\"https://example.com/hook?a=1&b=%20\"",
          "https://example.com/hook?a=1&b=%20" },
        { "\"\\u0061\\/\\\"\\\\ \xc3\xa9\\ud83d\\ude00\\n\"",
          "a/\"\\ \xc3\xa9\xf0\x9f\x98\x80\n" },
        { "null", NULL },
        { "1.5", NULL },
        { "true", NULL },
        { "[ \"a\" ]", NULL },
        { "{\"a\":\"b\"}", NULL }
    };

    static const struct {
        const phota_operation_t  *op;
        const char               *name;
        phota_spot_e              spot;
    } members[] = {
        { EDIT, "callback_url", PHOTA_SPOT_CALLBACK },
        { GENERATE, "client_request_id", PHOTA_SPOT_REQUEST_ID },
        { TRAINING, "tag", PHOTA_SPOT_TAG }
    };

    (void) state;

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        for (k = 0; k < 3; k++) {
            snprintf(body, sizeof(body), "{\"x\":\"y\", \"%s\" : %s ,"
                     "\"z\":\"zz\"}", members[k].name, values[i].value);
            test_accepted(&res, members[k].op, body);
            test_spot(body, &res, members[k].spot, values[i].value,
                      values[i].text);

            if (k < 2) {
                test_one(members[k].op, body, "{\"x\":\"y\",\"z\":\"zz\"}");
            }
        }
    }

    for (k = 0; k < 3; k++) {
        snprintf(body, sizeof(body), "{\"x\":{\"%s\":\"a\"}}",
                 members[k].name);
        test_accepted(&res, members[k].op, body);
        test_spot(body, &res, members[k].spot, NULL, NULL);
    }

    /* all at once, and of others nothing is kept */

    snprintf(body, sizeof(body), "{\"client_request_id\":\"r-1\","
             "\"num_output_images\":\"2\",\"callback_url\":\"https://c\","
             "\"tag\":\"t\",\"response_mode\":\"urls\"}");
    test_accepted(&res, EDIT, body);
    test_spot(body, &res, PHOTA_SPOT_REQUEST_ID, "\"r-1\"", "r-1");
    test_spot(body, &res, PHOTA_SPOT_CALLBACK, "\"https://c\"", "https://c");
    test_spot(body, &res, PHOTA_SPOT_COUNT, "\"2\"", NULL);
    test_spot(body, &res, PHOTA_SPOT_MODE, "\"urls\"", NULL);
    test_spot(body, &res, PHOTA_SPOT_TAG, NULL, NULL);

    test_accepted(&res, EDIT, "{\"client_request_id\":\"a\\u0000b\"}");
    assert_int_equal(res.lens[PHOTA_SPOT_REQUEST_ID], 3);
    assert_memory_equal(res.texts[PHOTA_SPOT_REQUEST_ID], "a\0b", 3);

    /* a tag is a value as any other */

    test_two(TRAINING, "{\"tag\":\"a\"}", "{\"tag\":\"b\"}");
    test_two(TRAINING, "{\"tag\":\"a\"}", "{}");
    test_two(TRAINING, "{\"tag\":null}", "{}");
    test_one(TRAINING, "{\"tag\":\"\\u0061\"}", "{\"tag\":\"a\"}");
    test_one(TRAINING, "{\"training_tier\":\"standard\"}", "{}");
    test_two(TRAINING, "{\"training_tier\":\"fast\"}", "{}");

    test_accepted(&res, TRAINING, "{\"training_tier\":\"fast\"}");
    assert_string_equal(res.scan.model, "fast");
    assert_int_equal(res.scan.outputs, 1);
}


static void
test_long_texts(void **state)
{
    unsigned       i;
    test_body_t    body;
    test_result_t  res;

    static const struct {
        const phota_operation_t  *op;
        const char               *name;
        phota_spot_e              spot;
    } members[] = {
        { REMIX, "callback_url", PHOTA_SPOT_CALLBACK },
        { EDIT, "client_request_id", PHOTA_SPOT_REQUEST_ID },
        { TRAINING, "tag", PHOTA_SPOT_TAG }
    };

    (void) state;

    memset(&body, 0, sizeof(body));

    /* bytes of what is meant, not of what stands there */

    for (i = 0; i < 3; i++) {
        test_add(&body, "{\"input_image\":\"QQ\",\"reference_image\":\"QQ\","
                 "\"%s\":\"%02046u\\u00e9\"}", members[i].name, 0);
        test_run_body(&res, members[i].op, &body);
        assert_int_equal(res.rc, PHOTA_OK);
        assert_int_equal(res.lens[members[i].spot], PHOTA_SPOT_TEXT);
        assert_int_equal(res.texts[members[i].spot][2045], '0');
        assert_memory_equal(res.texts[members[i].spot] + 2046, "\xc3\xa9", 2);

        test_add(&body, "{\"%s\": \"%02047u\\u00e9\"}", members[i].name, 0);
        test_run_body(&res, members[i].op, &body);
        test_result_is(&res, members[i].name, "text is too long",
                       members[i].name, strlen(members[i].name) + 5);

        /* one of another kind is the upstream's affair */

        test_add(&body, "{\"input_image\":\"QQ\",\"reference_image\":\"QQ\","
                 "\"%s\":[\"%04000u\"]}", members[i].name, 0);
        test_run_body(&res, members[i].op, &body);
        assert_int_equal(res.rc, PHOTA_OK);
        assert_int_equal(res.rcs[members[i].spot], PHOTA_DECLINED);
    }
}


static void
test_seeds(void **state)
{
    char           text[300];
    size_t         i;
    test_result_t  res;

    static const struct {
        const char  *seed;
        unsigned     seeded;
    } seeds[] = {
        { "1", 1 }, { "4294967296", 1 }, { "0", 1 }, { "-2", 1 },
        { "1.0", 1 }, { "1e3", 1 }, { "-1.5", 1 }, { "-11", 1 }, { "-10", 1 },
        { "1e-1", 1 },

        { "-1", 0 }, { "-1.0", 0 }, { "-1.000", 0 }, { "-1e0", 0 },
        { "-1E+00", 0 }, { "-10e-1", 0 }, { "-0.1e1", 0 }, { "-0.01E+2", 0 },
        { "-1.0000000000000000000000000000000001", 0 },
        { "null", 0 }, { "\"7\"", 0 }, { "true", 0 }, { "[7]", 0 },
        { "{\"a\":7}", 0 },

        /* up to 128 characters */

        { "7.000000000000000000000000000000000000000000000000000000000000000"
          "0000000000000000000000000000000000000000000000000000000000000000",
          0 },
        { "7.000000000000000000000000000000000000000000000000000000000000000"
          "000000000000000000000000000000000000000000000000000000000000000",
          1 },
        { "-1.00000000000000000000000000000000000000000000000000000000000000"
          "0000000000000000000000000000000000000000000000000000000000000000",
          0 }
    };

    (void) state;

    test_accepted(&res, PHOTIO, "{" IMAGES "}");
    assert_int_equal(res.scan.seeded, 0);
    test_accepted(&res, EDIT, "{\"seed\":7}");
    assert_int_equal(res.scan.seeded, 0);
    test_accepted(&res, PHOTIO, "{" IMAGES ",\"x\":{\"seed\":7}}");
    assert_int_equal(res.scan.seeded, 0);

    for (i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        snprintf(text, sizeof(text), "{\"seed\":%s," IMAGES "}",
                 seeds[i].seed);
        test_accepted(&res, PHOTIO, text);

        if (res.scan.seeded != seeds[i].seeded) {
            fail_msg("%s: %u", text, res.scan.seeded);
        }
    }
}


static void
test_numbers(void **state)
{
    (void) state;

    test_one(PHOTIO, "{" IMAGES "}", "{" IMAGES ",\"seed\":-1,"
             "\"cfg_scale\":1.75,\"outline_fidelity\":1,"
             "\"style_fidelity\":0.7,\"negative_prompt\":\"worst quality, "
             "low quality, illustration, 3d, 2d, painting, cartoons, "
             "sketch\"}");
    test_one(PHOTIO, "{" IMAGES "}", "{" IMAGES ",\"seed\":null,"
             "\"cfg_scale\":null,\"outline_fidelity\":null,"
             "\"style_fidelity\":null,\"negative_prompt\":null}");

    test_two(PHOTIO, "{" IMAGES "}", "{" IMAGES ",\"seed\":1}");
    test_two(PHOTIO, "{" IMAGES "}", "{" IMAGES ",\"seed\":\"-1\"}");
    test_two(PHOTIO, "{" IMAGES ",\"seed\":1}", "{" IMAGES ",\"seed\":2}");
    test_two(PHOTIO, "{" IMAGES "}", "{" IMAGES ",\"cfg_scale\":1.5}");
    test_two(PHOTIO, "{" IMAGES "}", "{" IMAGES ",\"cfg_scale\":\"1.75\"}");
    test_two(PHOTIO, "{" IMAGES "}", "{" IMAGES ",\"outline_fidelity\":0}");
    test_two(PHOTIO, "{" IMAGES "}", "{" IMAGES ",\"style_fidelity\":0.71}");
    test_two(PHOTIO, "{" IMAGES "}", "{" IMAGES ",\"negative_prompt\":\"\"}");
    test_two(PHOTIO, "{" IMAGES "}", "{" IMAGES ",\"negative_prompt\":"
             "\"worst quality, low quality, illustration, 3d, 2d, painting, "
             "cartoons, sketches\"}");
    test_two(PHOTIO, "{" IMAGES "}", "{" IMAGES ",\"prompt\":\"\"}");
    test_two(PHOTIO, "{" IMAGES ",\"prompt\":\"[[a]]\"}",
             "{" IMAGES ",\"prompt\":\"a\"}");

    /* a string's preset is no number's */

    test_two(EDIT, "{}", "{\"prompt\":0}");
    test_two(TRAINING, "{}", "{\"training_tier\":1}");

    /* images by what they are, and both of them */

    test_one(PHOTIO, "{" IMAGES "}", "{\"ref_image\":\"data:image/png;base64,"
             "QQ==\",\"product_image\":\"Q\\nQ=\\n=\"}");
    test_one(PHOTIO, "{\"product_image\":\"https://h/a?X-Amz-Date=1\","
             "\"ref_image\":\"QQ\"}",
             "{\"product_image\":\"HTTPS://h/a\",\"ref_image\":\"QQ\"}");
    test_two(PHOTIO, "{\"product_image\":\"QQ\",\"ref_image\":\"QUI\"}",
             "{\"product_image\":\"QUI\",\"ref_image\":\"QQ\"}");

    test_fault(PHOTIO, "{\"product_image\":\"QQ\"}",
               "required image is missing", "ref_image", 21);
    test_fault(PHOTIO, "{\"ref_image\":\"QQ\",\"product_image\":null}",
               "required image is missing", "product_image", 34);
    test_fault(PHOTIO, "{\"ref_image\":\"QQ\",\"product_image\":\"!\"}",
               "invalid base64", "product_image", 35);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_named_many),
        cmocka_unit_test(test_vague),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_numbers)
    };

    return cmocka_run_group_tests_name("fingerprint_named", tests, NULL,
                                       NULL);
}
