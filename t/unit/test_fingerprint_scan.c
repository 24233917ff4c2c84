
/*
 * fingerprint: the profiles that a request names, and what else the gateway
 * learns of it; all of it however the body is cut.
 */


#include "fingerprint.h"


static void
test_prompt(void **state)
{
    char           text[64];
    size_t         i;
    test_result_t  res;

    /* shapes of which the upstream may make a profile: held for as one */

    static const char  *vague[] = {
        "\"a\"", "\"\"", "{}", "{\"a\":\"b\"}", "[1]", "[\"a\",\"b\",1]",
        "[\"a\",null]", "[[\"a\"]]", "[null]", "1", "true", "false"
    };

    (void) state;

    test_two(GENERATE, "{\"prompt\":\"a b\"}", "{\"prompt\":\"a  b\"}");
    test_two(GENERATE, "{\"prompt\":\"a\"}", "{\"prompt\":\"A\"}");
    test_two(GENERATE, "{\"prompt\":\"\xc3\xa9\"}",
             "{\"prompt\":\"e\xcc\x81\"}");

    /* profiles are a set, named in the text or beside it */

    test_one(EDIT, "{\"prompt\":\"[[a]]\",\"profile_ids\":[\"b\",\"c\"]}",
             "{\"profile_ids\":[\"c\",\"a\",\"b\",\"b\"],"
             "\"prompt\":\"[[a]]\"}");
    test_one(EDIT, "{\"prompt\":\"[[a]]\"}",
             "{\"prompt\":\"[[a]]\",\"profile_ids\":[\"a\"]}");
    test_one(EDIT, "{}", "{\"profile_ids\":[]}");
    test_one(EDIT, "{}", "{\"profile_ids\":null}");
    test_two(EDIT, "{}", "{\"profile_ids\":[\"a\"]}");
    test_two(EDIT, "{}", "{\"profile_ids\":[\"\"]}");
    test_two(EDIT, "{\"profile_ids\":[\"a\",\"b\"]}",
             "{\"profile_ids\":[\"ab\"]}");
    test_two(EDIT, "{\"prompt\":\"[[a]]\"}", "{\"profile_ids\":[\"a\"]}");

    /* of another shape they are a value as it stands */

    test_two(EDIT, "{}", "{\"profile_ids\":\"a\"}");
    test_two(EDIT, "{}", "{\"profile_ids\":{}}");
    test_two(EDIT, "{\"profile_ids\":{\"a\":\"b\"}}", "{\"profile_ids\":{}}");
    test_two(EDIT, "{\"profile_ids\":[\"a\",\"b\",1]}",
             "{\"profile_ids\":[\"b\",\"a\",1]}");
    test_two(EDIT, "{\"profile_ids\":[[\"a\"]]}", "{\"profile_ids\":[\"a\"]}");
    test_two(EDIT, "{\"profile_ids\":[\"a\",null]}",
             "{\"profile_ids\":[\"a\"]}");
    test_one(EDIT, "{\"profile_ids\":[\"a\",1],\"prompt\":\"[[a]][[b]]\"}",
             "{\"prompt\":\"[[a]][[b]]\",\"profile_ids\":[\"a\",1]}");

    test_accepted(&res, EDIT, "{\"profile_ids\":[\"x\",\"y\",1],"
                  "\"prompt\":\"[[a]] [[b]] [[x]] [[a]]\"}");
    assert_int_equal(res.scan.profiles, 3);

    for (i = 0; i < sizeof(vague) / sizeof(vague[0]); i++) {
        snprintf(text, sizeof(text), "{\"profile_ids\":%s}", vague[i]);
        test_accepted(&res, EDIT, text);

        if (res.scan.profiles != 1) {
            fail_msg("%s: %u", text, res.scan.profiles);
        }
    }

    test_accepted(&res, EDIT, "{\"profile_ids\":null}");
    assert_int_equal(res.scan.profiles, 0);
    test_accepted(&res, EDIT, "{\"profile_ids\":[]}");
    assert_int_equal(res.scan.profiles, 0);
}


static void
test_prompt_syntax(void **state)
{
    char           text[700], id[300];
    size_t         i;
    test_result_t  res;

    static const struct {
        const char  *prompt;
        unsigned     profiles;
    } prompts[] = {
        { "", 0 },
        { "no", 0 },
        { "[[a]]", 1 },
        { "x[[a]]y[[b]]z[[a]]", 2 },
        { "[[a]][[b]]", 2 },
        { "[a]", 0 },
        { "[[]]", 1 },
        { "[[ ]]", 1 },
        { "[[a]", 1 },
        { "[a]]", 0 },
        { "[[a] ]", 1 },
        { "[ [a]]", 0 },
        { "[[[a]]]", 1 },
        { "[[[[a]]", 1 },
        { "[[a[b]]", 1 },
        { "[[a[[b]]", 1 },
        { "[[a]b]]", 1 },
        { "[[a][[b]]", 1 },
        { "[[a]]]]", 1 },
        { "[[]a]]", 1 },
        { "[[a]][", 1 },
        { "[[a", 1 },
        { "[[", 1 },
        { "\\u005b[\\u0061\\u005D]", 1 },
        { "[[\\u00e9\xc3\xa9]]", 1 },
        { "[[a\\nb]]", 1 }
    };

    (void) state;

    for (i = 0; i < sizeof(prompts) / sizeof(prompts[0]); i++) {
        snprintf(text, sizeof(text), "{\"prompt\":\"%s\"}", prompts[i].prompt);
        test_accepted(&res, GENERATE, text);

        if (res.scan.profiles != prompts[i].profiles) {
            fail_msg("%s: %u", text, res.scan.profiles);
        }
    }

    /* 1 to 256 bytes, of which the set is made */

    for (i = 255; i < 259; i++) {
        memset(id, 'x', i);
        id[i] = '\0';

        snprintf(text, sizeof(text), "{\"prompt\":\"[[%s]] [[a]]\"}", id);
        test_accepted(&res, GENERATE, text);
        assert_int_equal(res.scan.profiles, (i <= 256) ? 2 : 1);
    }

    /* and none of these, but something that may be more than we know */

    test_accepted(&res, GENERATE, "{\"prompt\":\"[[\\u005b\"}");
    assert_int_equal(res.scan.profiles, 1);
    snprintf(text, sizeof(text), "{\"prompt\":\"[[%s]]\"}", id);
    test_accepted(&res, GENERATE, text);
    assert_int_equal(res.scan.profiles, 1);

    /* not where it isn't a prompt, but something that may be one */

    test_accepted(&res, GENERATE, "{\"prompt\":1,\"x\":\"[[a]]\"}");
    assert_int_equal(res.scan.profiles, 0);
    assert_int_equal(res.scan.vague, 0);
    test_accepted(&res, GENERATE, "{\"prompt\":[\"[[a]]\"]}");
    assert_int_equal(res.scan.profiles, 1);
    assert_int_equal(res.scan.vague, 1);
}


static void
test_profile_limits(void **state)
{
    unsigned       i;
    test_body_t    body;
    test_result_t  res;

    (void) state;

    memset(&body, 0, sizeof(body));

    /* as often as you like, if there are 1024 of them at most */

    for (i = 0; i < 2048; i++) {
        test_add(&body, "%s\"p%u\"", i ? "," : "{\"profile_ids\":[", i % 1024);
    }

    test_add(&body, "],\"prompt\":\"[[p7]]\"}");
    test_run_body(&res, EDIT, &body);
    assert_int_equal(res.rc, PHOTA_OK);
    assert_int_equal(res.scan.profiles, 1024);

    for (i = 0; i < 1025; i++) {
        test_add(&body, "%s\"p%04u\"", i ? "," : "{\"profile_ids\":[", i);
    }

    test_add(&body, "]}");
    test_run_body(&res, EDIT, &body);
    test_result_is(&res, "1025", "too many profiles", "profile_ids.1024",
                   16 + 1024 * 8);

    for (i = 0; i < 1025; i++) {
        test_add(&body, "%s[[p%04u]]", i ? "" : "{\"prompt\":\"", i);
    }

    test_add(&body, "\"}");
    test_run_body(&res, GENERATE, &body);
    test_result_is(&res, "1025", "too many profiles", "prompt", 10);

    /* 64 KB of them */

    for (i = 0; i < 65; i++) {
        test_add(&body, "%s\"%03u%01021u\"", i ? "," : "{\"profile_ids\":[", i,
                 0);
    }

    test_add(&body, "]}");
    test_run_body(&res, EDIT, &body);
    test_result_is(&res, "65 KB", "too many profiles", "profile_ids.64",
                   16 + 64 * 1027);

    for (i = 0; i < 257; i++) {
        test_add(&body, "%s[[%0256u]]", i ? "" : "{\"prompt\":\"", i);
    }

    test_add(&body, "\"}");
    test_run_body(&res, EDIT, &body);
    test_result_is(&res, "64 KB", "too many profiles", "prompt", 10);
}


static void
test_scanned(void **state)
{
    size_t         i;
    char           text[300];
    test_result_t  res;

    static const struct {
        const char    *value;
        unsigned       outputs;
    } counts[] = {
        { "1", 1 }, { "4", 4 }, { "64", 64 }, { "10", 10 }, { "\"2\"", 2 },
        { "2.0", 2 }, { "\"2.0\"", 2 }, { "64.00", 64 }, { "null", 1 },
        { "0", 0 }, { "-1", 0 }, { "65", 0 }, { "100", 0 }, { "1.5", 0 },
        { "1e0", 0 }, { "\"\"", 0 }, { "\"x\"", 0 }, { "\"02\"", 0 },
        { "\"2.\"", 0 }, { "\"2 \"", 0 }, { "true", 0 }, { "[]", 0 },
        { "[2]", 0 }, { "{\"a\":2}", 0 }, { "\"2\\u0000\"", 0 },
        { "99999999999999999999999", 0 },
        { "1.00000000000000000000000000000000000000000000000000000000000001",
          0 },
        { "1.000000000000000000000000000000000000000000000000000000000000001",
          0 }
    };

    static const struct {
        const char    *value;
        phota_mode_e   mode;
    } modes[] = {
        { "null", PHOTA_MODE_BYTES }, { "\"bytes\"", PHOTA_MODE_BYTES },
        { "\"urls\"", PHOTA_MODE_URLS }, { "\"\\u0075rls\"", PHOTA_MODE_URLS },
        { "\"URLS\"", PHOTA_MODE_OTHER }, { "\"\"", PHOTA_MODE_OTHER },
        { "1", PHOTA_MODE_OTHER }, { "false", PHOTA_MODE_OTHER },
        { "[\"urls\"]", PHOTA_MODE_OTHER }, { "{}", PHOTA_MODE_OTHER }
    };

    (void) state;

    for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        snprintf(text, sizeof(text), "{\"num_output_images\":%s}",
                 counts[i].value);
        test_accepted(&res, GENERATE, text);

        if (res.scan.outputs != counts[i].outputs) {
            fail_msg("%s: %u", text, res.scan.outputs);
        }
    }

    for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        snprintf(text, sizeof(text), "{\"response_mode\":%s}",
                 modes[i].value);
        test_accepted(&res, GENERATE, text);

        if (res.scan.mode != modes[i].mode) {
            fail_msg("%s: %u", text, res.scan.mode);
        }
    }

    test_accepted(&res, GENERATE, "{}");
    assert_int_equal(res.scan.outputs, 1);
    assert_int_equal(res.scan.mode, PHOTA_MODE_BYTES);
    assert_int_equal(res.scan.profiles, 0);
    assert_string_equal(res.scan.model, "");
    assert_string_equal(res.scan.resolution, "");

    test_accepted(&res, EDIT, "{\"base_model\":\"gpt-image-2\","
                  "\"resolution\":\"4K\"}");
    assert_string_equal(res.scan.model, "gpt-image-2");
    assert_string_equal(res.scan.resolution, "4K");

    test_accepted(&res, EDIT, "{\"base_model\":7,\"resolution\":null}");
    assert_string_equal(res.scan.model, "");
    assert_string_equal(res.scan.resolution, "");

    /* cut between characters */

    test_accepted(&res, EDIT, "{\"base_model\":\"012345678901234567890123456"
                  "78901234567890123456789012345678901\xc3\xa9zzz\"}");
    assert_string_equal(res.scan.model, "012345678901234567890123456"
                        "78901234567890123456789012345678901");

    /* what stands before a NUL is another name */

    test_accepted(&res, EDIT, "{\"base_model\":\"nb2\\u0000pro\","
                  "\"resolution\":\"4K\\u0000\"}");
    assert_string_equal(res.scan.model, "nb2?pro");
    assert_string_equal(res.scan.resolution, "4K?");
    test_accepted(&res, EDIT, "{\"base_model\":\"\\u0000\"}");
    assert_string_equal(res.scan.model, "?");

    /* elsewhere the model can't be chosen */

    test_accepted(&res, ENHANCE, "{\"image\":\"QQ\",\"base_model\":\"reve\"}");
    assert_string_equal(res.scan.model, "");
}


/* what lies between the two is the value, and nothing around it */

static void
test_place(const char *body, const phota_spot_t *spot, const char *value)
{
    uint64_t  at, end;

    at = spot->at;
    end = spot->end;

    if (value == NULL) {
        assert_int_equal(at, 0);
        assert_int_equal(end, 0);
        return;
    }

    if (at >= end || end > strlen(body) || end - at != strlen(value)
        || memcmp(body + at, value, end - at) != 0)
    {
        fail_msg("%s: %u to %u, expected %s", body, (unsigned) at,
                 (unsigned) end, value);
    }
}


static void
test_places(void **state)
{
    size_t         i;
    test_result_t  res;

    static const struct {
        const char  *body;
        const char  *count;
        const char  *mode;
    } places[] = {
        { "{}", NULL, NULL },
        { "{\"x\":{\"num_output_images\":2,\"response_mode\":\"urls\"}}", NULL,
          NULL },
        { "{\"x\":[\"num_output_images\",2],\"response_modes\":1}", NULL,
          NULL },
        { "{\"num_output_images\":2}", "2", NULL },
        { "{\"response_mode\":\"urls\"}", NULL, "\"urls\"" },
        { "{\"num_output_images\":4,\"response_mode\":\"bytes\"}", "4",
          "\"bytes\"" },
        { "\r\n {\t\"response_mode\"\n:\t \"urls\" \n,\"num_output_images\" : "
          "12\t} ", "12", "\"urls\"" },
        { "{\"num_\\u006futput_images\":3,\"\\u0072esponse_mode\":"
          "\"\\u0075rls\"}", "3", "\"\\u0075rls\"" },
        { "{\"prompt\":\"\xc3\xa9\\ud83d\\ude00\",\"num_output_images\":"
          "\"2\",\"response_mode\":\"\"}", "\"2\"", "\"\"" },
        { "{\"num_output_images\":null,\"response_mode\":null}", "null",
          "null" },
        { "{\"num_output_images\":true ,\"response_mode\": false}", "true",
          "false" },
        { "{\"num_output_images\":-1.50e+3,\"response_mode\":0}", "-1.50e+3",
          "0" },
        { "{\"num_output_images\": [ 1, [2] ] ,\"response_mode\":[]}",
          "[ 1, [2] ]", "[]" },
        { "{\"num_output_images\":{\"a\" : {\"b\":2 } } ,\"response_mode\":"
          "{ }}", "{\"a\" : {\"b\":2 } }", "{ }" },
        { "{\"response_mode\":\"a\\\"b]}\",\"num_output_images\":{\"}\":1}}",
          "{\"}\":1}", "\"a\\\"b]}\"" },
        { "{\"response_mode\":\"\xf0\x9f\x98\x80\"}", NULL,
          "\"\xf0\x9f\x98\x80\"" }
    };

    (void) state;

    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        test_accepted(&res, EDIT, places[i].body);
        test_place(places[i].body, &res.scan.spots[PHOTA_SPOT_COUNT],
                   places[i].count);
        test_place(places[i].body, &res.scan.spots[PHOTA_SPOT_MODE],
                   places[i].mode);
        assert_int_equal(res.scan.async, 0);
    }
}


static int
test_is_marked(const phota_scan_t *scan, const char *id)
{
    uint64_t  mark;
    unsigned  i;

    mark = phota_profile_mark((const u_char *) id, strlen(id));

    for (i = 0; i < scan->nmarks; i++) {
        if (scan->marks[i] == mark) {
            return 1;
        }
    }

    return 0;
}


static void
test_marks(void **state)
{
    size_t         i, k;
    test_result_t  res;

    static const struct {
        const char  *body;
        const char  *ids[3];
        unsigned     unmarked;
    } bodies[] = {
        { "{}", { NULL }, 0 },
        { "{\"profile_ids\":[]}", { NULL }, 0 },
        { "{\"profile_ids\":null,\"prompt\":\"[a] b]]\"}", { NULL }, 0 },
        { "{\"profile_ids\":[\"a\"]}", { "a" }, 0 },
        { "{\"profile_ids\":[\"b\",\"a\",\"b\"]}", { "a", "b" }, 0 },
        { "{\"profile_ids\":[\"\\u0061\\u002d1\"]}", { "a-1" }, 0 },
        { "{\"prompt\":\"[[a]]\"}", { "a" }, 0 },
        { "{\"prompt\":\"x [[a]][[b_2.c]] [[a]], [y]\","
          "\"profile_ids\":[\"C\"]}", { "a", "b_2.c", "C" }, 0 },
        { "{\"prompt\":\"\\u005b[\\u0061]]\"}", { "a" }, 0 },

        /* what the upstream may read otherwise */

        { "{\"prompt\":\"[[[a]]]\"}", { "a" }, 1 },
        { "{\"prompt\":\"[[a]] [[b\"}", { "a" }, 1 },
        { "{\"prompt\":\"[[a]] [[]]\"}", { "a" }, 1 },
        { "{\"prompt\":\"[[a[[b]]\"}", { "b" }, 1 },
        { "{\"prompt\":\"[[a] ]\"}", { NULL }, 1 },
        { "{\"prompt\":\"[[ a ]]\"}", { " a " }, 1 },
        { "{\"prompt\":\"[[\xc3\xa9]]\"}", { "\xc3\xa9" }, 1 },
        { "{\"profile_ids\":[\"\"]}", { "" }, 1 },
        { "{\"profile_ids\":[\"a\\n\"]}", { "a\n" }, 1 },

        /* or what is no list of ids */

        { "{\"profile_ids\":\"a\"}", { NULL }, 1 },
        { "{\"profile_ids\":{}}", { NULL }, 1 },
        { "{\"profile_ids\":[\"a\",1],\"prompt\":\"[[b]]\"}", { "b" }, 1 },
        { "{\"profile_ids\":[[\"a\"]]}", { NULL }, 1 }
    };

    (void) state;

    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        test_accepted(&res, EDIT, bodies[i].body);

        for (k = 0; k < 3 && bodies[i].ids[k]; k++) {
            if (!test_is_marked(&res.scan, bodies[i].ids[k])) {
                fail_msg("%s: no %s", bodies[i].body, bodies[i].ids[k]);
            }
        }

        if (res.scan.nmarks != k || res.scan.unmarked != bodies[i].unmarked) {
            fail_msg("%s: %u marks, unmarked %u", bodies[i].body,
                     res.scan.nmarks, res.scan.unmarked);
        }
    }
}


static void
test_many_marks(void **state)
{
    unsigned       i, n;
    test_body_t    body;
    test_result_t  res;

    (void) state;

    memset(&body, 0, sizeof(body));

    for (n = PHOTA_MARKS_MAX; n < PHOTA_MARKS_MAX + 3; n++) {

        for (i = 0; i < n; i++) {
            test_add(&body, "%s\"p%u\"", i ? "," : "{\"profile_ids\":[", i);
        }

        test_add(&body, "]}");
        test_run_body(&res, EDIT, &body);

        assert_int_equal(res.rc, PHOTA_OK);
        assert_int_equal(res.scan.profiles, n);
        assert_int_equal(res.scan.nmarks, PHOTA_MARKS_MAX);
        assert_int_equal(res.scan.unmarked, n > PHOTA_MARKS_MAX);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_prompt_syntax),
        cmocka_unit_test(test_profile_limits),
        cmocka_unit_test(test_scanned),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_many_marks)
    };

    return cmocka_run_group_tests_name("fingerprint_scan", tests, NULL, NULL);
}
