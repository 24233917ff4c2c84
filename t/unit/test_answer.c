
/*
 * answer: how many outputs an answer delivered, the bounds of those with
 * a recognised profile, and which texts are no answer; of every kind.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "phota_answer.h"


static phota_answer_e  test_kind;


static int
test_feed(phota_delivery_t *d, const char *text, size_t len, size_t step)
{
    int              rc, end;
    size_t           pos, n;
    u_char          *copy;
    phota_answer_t  *answer;

    answer = phota_answer_create(test_kind);
    assert_non_null(answer);

    memset(d, 0, sizeof(phota_delivery_t));
    rc = PHOTA_OK;

    for (pos = 0; pos < len && rc == PHOTA_OK; pos += n) {
        n = (len - pos < step) ? len - pos : step;
        copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, text + pos, n);
        rc = phota_answer_update(answer, copy, n);
        free(copy);
    }

    end = phota_answer_final(answer, d);

    if (rc != PHOTA_OK) {
        assert_int_equal(end, rc);
        assert_int_equal(phota_answer_update(answer, (u_char *) "1", 1), rc);
    }

    phota_answer_destroy(answer);

    return end;
}


/* the delivery, once it has shown not to depend on the pieces' size */

static int
test_run(phota_delivery_t *d, const char *text)
{
    int               rc;
    size_t            len, step;
    phota_delivery_t  cut;

    len = strlen(text);
    rc = test_feed(d, text, len, len);

    for (step = 1; step < len; step++) {
        assert_int_equal(test_feed(&cut, text, len, step), rc);
        assert_memory_equal(d, &cut, sizeof(phota_delivery_t));
    }

    return rc;
}


static void
test_outputs(void **state)
{
    size_t            i;
    phota_delivery_t  d;

    static const struct {
        const char  *text;
        unsigned     outputs;
        unsigned     images;
        unsigned     urls;
        unsigned     links;
    } answers[] = {
        { "{}", 0, 0, 0, 0 },
        { "{\"images\":[]}", 0, 0, 0, 0 },
        { "{\"images\":null,\"download_urls\":null}", 0, 0, 0, 0 },
        { "{\"images\":[\"QUJD\"]}", 1, 1, 0, 0 },
        { "{\"images\":[\"QUJD\",\"QUJD\"],\"download_urls\":[]}",
          2, 2, 0, 0 },
        { "{\"images\":[],\"download_urls\":[\"https://x/1\","
          "\"https://x/2\",\"https://x/3\"]}", 3, 0, 3, 1 },
        { "{\"images\":[\"a\",\"b\"],\"download_urls\":[\"https://c\"]}",
          2, 2, 1, 1 },
        { "{\"images\":[\"http:\\/\\/x\"]}", 1, 1, 0, 1 },
        { "{\"images\":[\"HTTPS://x\"]}", 1, 1, 0, 1 },
        { "{\"images\":[\"http:/x\",\"https:/\",\"httpxxxxxxx\"]}",
          3, 3, 0, 0 },
        { "{\"images\":[\"http://\"]}", 1, 1, 0, 1 },

        /* what isn't a picture */

        { "{\"images\":[\"\",null,1,true,{},[\"x\"],{\"a\":\"x\"},\"y\"]}",
          1, 1, 0, 0 },
        { "{\"images\":\"QUJD\"}", 0, 0, 0, 0 },
        { "{\"images\":{\"a\":\"QUJD\"}}", 0, 0, 0, 0 },
        { "{\"images\":{\"images\":[\"x\"]}}", 0, 0, 0, 0 },
        { "{\"x\":{\"images\":[\"x\"]}}", 0, 0, 0, 0 },
        { "{\"imagesx\":[\"x\"],\"image\":[\"x\"],\"Images\":[\"x\"]}",
          0, 0, 0, 0 },
        { "{\"download_urls0123456789\":[\"http://x\"]}", 0, 0, 0, 0 },
        { "{\"x\":[\"http://x\"],\"images\":[\"y\"]}", 1, 1, 0, 0 },

        /* escapes, other members, other orders */

        { "{\"im\\u0061ges\":[\"\\u0051\"]}", 1, 1, 0, 0 },
        { " {\"a\":{\"b\":[{\"c\":[1]}]},\"images\" : [ \"a\" , \"b\" ] ,"
          "\"z\":[[\"images\"]] } ", 2, 2, 0, 0 },
        { "{\"images\":[{\"images\":1},\"a\"],\"counts\":{\"x\":5}}",
          1, 1, 0, 0 }
    };

    (void) state;

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        assert_int_equal(test_run(&d, answers[i].text), PHOTA_OK);

        if (d.outputs != answers[i].outputs || d.images != answers[i].images
            || d.urls != answers[i].urls || d.links != answers[i].links)
        {
            fail_msg("%s: %u outputs, %u images, %u URLs, links %u",
                     answers[i].text, d.outputs, d.images, d.urls,
                     (unsigned) d.links);
        }
    }
}


static void
test_identity(void **state)
{
    char              text[512];
    size_t            i, k;
    phota_delivery_t  d;

    static const struct {
        const char  *images;
        const char  *subjects;
        unsigned     n;
        unsigned     low;
        unsigned     high;
    } answers[] = {
        { "\"a\",\"b\"", "null", 0, 0, 0 },
        { "\"a\",\"b\"", "{}", 0, 0, 0 },
        { "\"a\",\"b\"", "{\"counts\":{}}", 0, 0, 0 },
        { "\"a\",\"b\"", "{\"counts\":null}", 0, 0, 0 },
        { "\"a\",\"b\"", "{\"counts\":{\"s\":2}}", 1, 2, 2 },
        { "\"a\",\"b\"", "{\"counts\":{\"s\":1}}", 1, 1, 1 },
        { "\"a\",\"b\"", "{\"counts\":{\"s\":0}}", 0, 0, 0 },
        { "\"a\",\"b\"", "{\"counts\":{\"s\":7}}", 1, 2, 2 },
        { "\"a\",\"b\"", "{\"counts\":{\"s\":1,\"t\":1}}", 2, 1, 2 },
        { "\"a\",\"b\"", "{\"counts\":{\"s\":2,\"t\":1}}", 2, 2, 2 },
        { "\"a\",\"b\",\"c\",\"d\"",
          "{\"counts\":{\"s\":1,\"t\":2,\"u\":0}}", 2, 2, 3 },
        { "\"a\",\"b\",\"c\",\"d\"",
          "{\"counts\":{\"s\":4,\"t\":4}}", 2, 4, 4 },
        { "", "{\"counts\":{\"s\":4,\"t\":4}}", 2, 0, 0 },

        /* what isn't a count */

        { "\"a\"", "{\"counts\":{\"s\":-1,\"t\":1.0,\"u\":1e0,\"v\":\"1\","
          "\"w\":true,\"x\":null,\"y\":[1],\"z\":{\"a\":1}}}", 0, 0, 0 },
        { "\"a\"", "{\"counts\":[1,2]}", 0, 0, 0 },
        { "\"a\"", "{\"counts\":1}", 0, 0, 0 },
        { "\"a\"", "{\"other\":{\"s\":1}}", 0, 0, 0 },
        { "\"a\"", "{\"other\":{\"counts\":{\"s\":1}}}", 0, 0, 0 },
        { "\"a\"", "{\"s\":1}", 0, 0, 0 },
        { "\"a\"", "[{\"counts\":{\"s\":1}}]", 0, 0, 0 },
        { "\"a\"", "[[1]]", 0, 0, 0 },

        /* too large for any integer */

        { "\"a\",\"b\"",
          "{\"counts\":{\"s\":99999999999999999999999999,\"t\":4294967295,"
          "\"u\":4294967296}}", 3, 2, 2 }
    };

    static const char  *orders[] = {
        "{\"images\":[%1$s],\"known_subjects\":%2$s}",
        "{\"known_subjects\":%2$s,\"images\":[%1$s]}",
        "{\"images\":[],\"known_subjects\":%2$s,\"download_urls\":[%1$s]}"
    };

    (void) state;

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {

        for (k = 0; k < 3; k++) {
            snprintf(text, sizeof(text), orders[k], answers[i].images,
                     answers[i].subjects);
            assert_int_equal(test_run(&d, text), PHOTA_OK);

            if (d.subjects != answers[i].n || d.identity_low != answers[i].low
                || d.identity_high != answers[i].high)
            {
                fail_msg("%s: %u subjects, %u to %u", text, d.subjects,
                         d.identity_low, d.identity_high);
            }
        }
    }
}


static void
test_invalid(void **state)
{
    size_t            i;
    phota_delivery_t  d;

    static const char  *texts[] = {
        "",
        " ",
        "null",
        "[]",
        "[{\"images\":[]}]",
        "\"images\"",
        "1",
        "{",
        "{\"images\":[\"QUJD\"]",
        "{\"images\":[\"QUJD\"",
        "{\"images\":[\"QUJD",
        "{\"images\":[\"QUJD\"]} x",
        "{\"images\":[\"QUJD\"]}{}",
        "{\"images\":[\"\xff\"]}",
        "{\"images\":[\"QUJD\",]}",
        "{'images':[]}",
        "<html>",

        /* of two, who knows which one counts */

        "{\"images\":[],\"images\":[\"a\"]}",
        "{\"images\":[],\"im\\u0061ges\":[]}",
        "{\"download_urls\":[],\"download_urls\":[]}",
        "{\"known_subjects\":{},\"known_subjects\":null}",
        "{\"known_subjects\":{\"counts\":{},\"counts\":{}}}"
    };

    static const char  *valid[] = {
        "{\"x\":1,\"x\":2}",
        "{\"counts\":1,\"counts\":2}",
        "{\"known_subjects\":{\"images\":1,\"images\":2,\"x\":1,\"x\":2}}",
        "{\"x\":{\"images\":1,\"images\":2,\"counts\":1,\"counts\":2}}",
        "{\"known_subjects\":{\"counts\":{\"counts\":1}},\"counts\":1}"
    };

    (void) state;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {

        if (test_run(&d, texts[i]) != PHOTA_INVALID) {
            fail_msg("accepted: %s", texts[i]);
        }
    }

    for (i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {

        if (test_run(&d, valid[i]) != PHOTA_OK) {
            fail_msg("refused: %s", valid[i]);
        }
    }
}


/* every proper beginning of an answer is no answer */

static void
test_cut(void **state)
{
    size_t            len;
    phota_answer_t   *answer;
    phota_delivery_t  d;

    static const char  text[] =
        "{\"known_subjects\":{\"counts\":{\"p\":1}},\"images\":[\"QUJD\"],"
        "\"download_urls\":[]}";

    (void) state;

    for (len = 0; len < sizeof(text); len++) {
        answer = phota_answer_create(test_kind);
        assert_non_null(answer);

        assert_int_equal(phota_answer_update(answer, (u_char *) text, len),
                         PHOTA_OK);
        assert_int_equal(phota_answer_final(answer, &d),
                         (len == sizeof(text) - 1) ? PHOTA_OK
                                                   : PHOTA_INVALID);
        phota_answer_destroy(answer);
    }

    phota_answer_destroy(NULL);
}


static void
test_body(void **state)
{
    size_t            i;
    phota_delivery_t  d;

    static const struct {
        const char  *text;
        unsigned     outputs;
        unsigned     status;
        unsigned     links;
    } answers[] = {
        { "{\"status_code\":200,\"body\":\"QUJD\"}", 1, 200, 0 },
        { "{\"body\":\"QUJD\",\"status_code\":200}", 1, 200, 0 },
        { "{\"body\":\"data:image/png;base64,QUJD\"}", 1, 0, 0 },
        { "{\"status_code\":null,\"b\\u006fdy\":\"x\"}", 1, 0, 0 },
        { "{\"status_code\":200,\"body\":\"https://x/1\"}", 1, 200, 1 },
        { "{\"status_code\":401,\"body\":\"Unauthorized\"}", 0, 401, 0 },
        { "{\"body\":\"QUJD\",\"status_code\":500}", 0, 500, 0 },
        { "{\"status_code\":500}", 0, 500, 0 },
        { "{\"status_code\":201,\"body\":\"QUJD\"}", 0, 201, 0 },
        { "{\"status_code\":2000,\"body\":\"QUJD\"}", 0, 2000, 0 },
        { "{\"status_code\":99999999999,\"body\":\"x\"}",
          0, UINT32_MAX, 0 },

        /* not understood */

        { "{\"status_code\":\"200\",\"body\":\"QUJD\"}", 0, 0, 0 },
        { "{\"status_code\":200.0,\"body\":\"QUJD\"}", 0, 0, 0 },
        { "{\"status_code\":-200,\"body\":\"QUJD\"}", 0, 0, 0 },
        { "{\"status_code\":[200],\"body\":\"QUJD\"}", 0, 0, 0 },
        { "{\"status_code\":{\"status_code\":200},\"body\":\"x\"}",
          0, 0, 0 },
        { "{\"status_code\":true,\"body\":\"QUJD\"}", 0, 0, 0 },

        /* no picture */

        { "{}", 0, 0, 0 },
        { "{\"status_code\":200}", 0, 200, 0 },
        { "{\"status_code\":200,\"body\":\"\"}", 0, 200, 0 },
        { "{\"status_code\":200,\"body\":null}", 0, 200, 0 },
        { "{\"status_code\":200,\"body\":[\"QUJD\"]}", 0, 200, 0 },
        { "{\"status_code\":200,\"body\":{\"body\":\"x\"}}", 0, 200, 0 },
        { "{\"status_code\":200,\"x\":{\"body\":\"x\"}}", 0, 200, 0 },
        { "{\"status_code\":200,\"images\":[\"QUJD\"]}", 0, 200, 0 },
        { "{\"images\":[\"a\"],\"images\":[\"b\"],\"body\":\"x\"}",
          1, 0, 0 }
    };

    (void) state;

    test_kind = PHOTA_ANSWER_BODY;

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        assert_int_equal(test_run(&d, answers[i].text), PHOTA_OK);

        if (d.outputs != answers[i].outputs || d.images != d.outputs
            || d.status != answers[i].status || d.urls != 0
            || d.links != answers[i].links)
        {
            fail_msg("%s: %u outputs, status %u, links %u", answers[i].text,
                     d.outputs, d.status, (unsigned) d.links);
        }
    }

    assert_int_equal(test_run(&d, "{\"body\":\"a\",\"body\":\"b\"}"),
                     PHOTA_INVALID);
    assert_int_equal(test_run(&d, "{\"status_code\":null,\"body\":\"a\","
                              "\"status_code\":200}"), PHOTA_INVALID);
    assert_int_equal(test_run(&d, "[\"body\"]"), PHOTA_INVALID);

    test_kind = PHOTA_ANSWER_IMAGES;
}


static void
test_profile(void **state)
{
    char              text[512], id[PHOTA_PROFILE_ID_MAX + 2];
    size_t            i;
    phota_delivery_t  d;

    static const struct {
        const char  *text;
        const char  *profile;
    } answers[] = {
        { "{\"profile_id\":\"prof_1\"}", "prof_1" },
        { "{\"a\":{\"profile_id\":\"x\"},\"profile\\u005fid\":\"\\u00e9\"}",
          "\xc3\xa9" },
        { "{}", "" },
        { "{\"profile_id\":\"\"}", "" },
        { "{\"profile_id\":null}", "" },
        { "{\"profile_id\":17}", "" },
        { "{\"profile_id\":[\"prof_1\"]}", "" },
        { "{\"profile_id\":{\"profile_id\":\"x\"}}", "" },
        { "{\"profile_id\":\"a\\u0000b\"}", "" },
        { "{\"profile_id\":\"a\\nb\"}", "" },
        { "{\"profile_id\":\"a\\u007f\"}", "" },
        { "{\"profile_id\":\"../a\"}", "" },
        { "{\"id\":\"prof_1\"}", "" }
    };

    (void) state;

    test_kind = PHOTA_ANSWER_PROFILE;

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        assert_int_equal(test_run(&d, answers[i].text), PHOTA_OK);
        assert_string_equal(d.profile, answers[i].profile);
        assert_int_equal(d.outputs, answers[i].profile[0] != '\0');
        assert_int_equal(d.images, 0);
    }

    assert_int_equal(test_run(&d, "{\"profile_id\":\"a\","
                              "\"profile_id\":\"a\"}"), PHOTA_INVALID);

    memset(id, 'x', sizeof(id));

    for (i = PHOTA_PROFILE_ID_MAX; i <= PHOTA_PROFILE_ID_MAX + 1; i++) {
        snprintf(text, sizeof(text), "{\"profile_id\":\"%.*s\"}", (int) i,
                 id);
        assert_int_equal(test_run(&d, text), PHOTA_OK);
        assert_int_equal(strlen(d.profile),
                         (i == PHOTA_PROFILE_ID_MAX) ? i : 0);
        assert_int_equal(d.outputs, i == PHOTA_PROFILE_ID_MAX);
    }

    test_kind = PHOTA_ANSWER_IMAGES;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_outputs),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_body),
        cmocka_unit_test(test_profile)
    };

    return cmocka_run_group_tests_name("answer", tests, NULL, NULL);
}
