
/*
 * job: what is read from the upstream's words of a job or a training, in many
 * shapes; ids, links and the place of the result; and what an HTTP status says
 * alone.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "phota_job.h"


#define NOTHING  PHOTA_REPORT_NOTHING
#define PENDING  PHOTA_REPORT_PENDING
#define DONE     PHOTA_REPORT_DONE
#define FAILED   PHOTA_REPORT_FAILED
#define LOST     PHOTA_REPORT_LOST

#define ONE      "\"images\":[\"QUJD\"]"
#define LINK     "\"download_urls\":[\"https://x/1.jpg?Expires=1\"]"


typedef int (*test_read_pt)(unsigned status, const u_char *text, size_t len,
    phota_report_t *report);

typedef struct {
    unsigned         status;
    const char      *text;
    phota_report_e   state;
} test_shape_t;


static phota_report_t  test_report;


/* with not a byte behind the text */

static void
test_read_n(test_read_pt read, unsigned status, const char *text, size_t len)
{
    u_char  *copy;

    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);

    memset(&test_report, 0xaa, sizeof(test_report));
    assert_int_equal(read(status, copy, len, &test_report), PHOTA_OK);

    free(copy);
}


static void
test_read(unsigned status, const char *text)
{
    test_read_n(phota_report_read, status, text, strlen(text));
}


static void
test_is(const phota_str_t *str, const char *text)
{
    assert_int_equal(str->len, strlen(text));

    if (str->len) {
        assert_memory_equal(str->data, text, str->len);
    }
}


static void
test_shapes(test_read_pt read, const test_shape_t *shapes, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        test_read_n(read, shapes[i].status, shapes[i].text,
                    strlen(shapes[i].text));

        if (test_report.state != shapes[i].state) {
            fail_msg("%u %s: %d, not %d", shapes[i].status, shapes[i].text,
                     (int) test_report.state, (int) shapes[i].state);
        }

        assert_int_equal(test_report.state == DONE,
                         test_report.delivery.outputs != 0);

        if (test_report.state != DONE) {
            assert_int_equal(test_report.result_len, 0);
            assert_int_equal(test_report.nlinks, 0);
        }

        phota_report_free(&test_report);
    }
}


static void
test_states(void **state)
{
    static const test_shape_t  shapes[] = {

        /* a handle */

        { 202, "{\"job_id\":\"j\",\"status\":\"queued\",\"poll_url\":\"/j\"}",
          PENDING },
        { 202, "{\"job_id\":\"j\"}", PENDING },
        { 202, "{\"status\":\"success\",\"job_id\":\"j\"}", PENDING },
        { 202, "{\"status\":\"ok\",\"job_id\":\"j\"}", PENDING },
        { 202, "", PENDING },
        { 202, "accepted", PENDING },
        { 202, "{\"status\":\"failed\"}", FAILED },
        { 202, "{\"status\":\"expired\"}", LOST },
        { 202, "{\"status\":\"completed\"," ONE "}", DONE },

        /* where a result lies */

        { 200, "{" ONE "}", DONE },
        { 201, "{" ONE "}", DONE },
        { 200, "{" LINK "}", DONE },
        { 200, "{\"status\":\"completed\"," ONE "}", DONE },
        { 200, "{\"status\":\"completed\",\"result\":{" ONE "}}", DONE },
        { 200, "{\"job\":{\"status\":\"done\",\"output\":{" LINK "}}}",
          DONE },
        { 200, "{\"data\":{\"state\":\"SUCCEEDED\",\"a\":{\"b\":{" LINK
          "}}}}", DONE },
        { 200, "{\"a\":{\"b\":{\"c\":{\"d\":{" ONE "}}}}}", DONE },
        { 200, "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{" ONE "}}}}}}", NOTHING },
        { 200, "{\"results\":[{" ONE "}],\"status\":\"ready\"}", DONE },
        { 200, "{\"status\":\"completed\",\"images\":[],\"result\":{" ONE
          "}}", DONE },
        { 200, "{\"status\":\"completed\",\"result\":{\"images\":[],"
          "\"download_urls\":[\"\",\"https://x/2\"]}}", DONE },

        /* what is none */

        { 200, "{\"status\":\"completed\"}", LOST },
        { 200, "{\"status\":\"completed\",\"result\":null}", LOST },
        { 200, "{\"status\":\"completed\",\"result\":{\"images\":[]}}",
          LOST },
        { 200, "{\"status\":\"completed\",\"images\":[\"\"]}", LOST },
        { 200, "{\"status\":\"completed\",\"images\":[{\"url\":\"x\"}]}",
          LOST },
        { 200, "{\"status\":\"completed\",\"images\":\"x\"}", LOST },
        { 200, "{\"status\":\"completed\",\"request\":{" ONE "}}", LOST },
        { 200, "{\"status\":\"completed\",\"a\":{\"input\":{\"b\":{" ONE
          "}}}}", LOST },
        { 200, "{\"status\":\"completed\",\"result\":{" ONE "," ONE "}}",
          LOST },
        { 200, "{\"request\":{" ONE "},\"result\":{" ONE "}}", DONE },

        /* side by side: which of them was made nobody knows */

        { 200, "{\"status\":\"completed\",\"payload\":{" ONE "},"
          "\"result\":{" LINK "}}", LOST },
        { 200, "{\"status\":\"completed\",\"results\":[{" LINK "},{" LINK
          "}]}", LOST },
        { 200, "{\"a\":{" ONE "},\"b\":{" ONE "},"
          "\"status\":\"failed\"}", LOST },
        { 200, "{\"a\":{" ONE "},\"b\":{" ONE "}}", NOTHING },
        { 200, "{\"a\":{" ONE "},\"b\":{" ONE "},\"status\":\"queued\"}",
          PENDING },
        { 202, "{\"a\":{" ONE "},\"b\":{" ONE "}}", PENDING },
        { 200, "{\"a\":{" ONE "},\"b\":{" ONE "}," LINK "}", DONE },
        { 200, "{" LINK ",\"a\":{" ONE "},\"b\":{" ONE "}}", DONE },
        { 200, "{\"a\":{" ONE "},\"b\":{\"images\":[\"\"]}}", DONE },

        /* words against pictures, and against each other */

        { 200, "{\"status\":\"processing\"," ONE "}", PENDING },
        { 200, "{\"status\":\"whatever\"," ONE "}", PENDING },
        { 200, "{\"status\":\"\"," ONE "}", PENDING },
        { 200, "{\"status\":\"ok\"," ONE "}", DONE },
        { 200, "{\"status\":\"OK\"}", NOTHING },
        { 200, "{\"status\":null," ONE "}", DONE },
        { 200, "{\"status\":200," ONE "}", DONE },
        { 200, "{\"status\":\"failed\"," ONE "}", LOST },
        { 200, "{\"status\":\"expired\"," ONE "}", LOST },
        { 200, "{\"status\":\"success\",\"data\":{\"status\":\"running\"}}",
          PENDING },
        { 200, "{\"status\":\"success\",\"data\":{\"status\":\"new\"}}",
          PENDING },
        { 200, "{\"status\":\"processing\",\"job\":{\"state\":\"failed\"}}",
          FAILED },
        { 200, "{\"data\":{\"status\":\"ok\"},\"status\":\"failed\"}",
          FAILED },
        { 200, "{\"status\":\"failed\",\"status\":\"completed\"}", FAILED },
        { 200, "{\"status\":null,\"status\":\"failed\"}", NOTHING },
        { 200, "{\"data\":{\"status\":\"failed\"},\"data\":{\"status\":"
          "\"gone\"}}", FAILED },
        { 200, "{\"x\":{\"status\":\"failed\"}}", NOTHING },
        { 200, "{\"data\":[{\"status\":\"failed\"}]}", NOTHING },
        { 200, "{\"data\":{\"x\":{\"status\":\"failed\"}}}", NOTHING },
        { 200, "{\"st\\u0061tus\":\"f\\u0061iled\"}", FAILED },
        { 200, "{\"Status\":\"failed\"}", NOTHING },

        /* no text that could be read */

        { 200, "", NOTHING },
        { 200, "{}", NOTHING },
        { 200, "<html>", NOTHING },
        { 200, "[{\"status\":\"failed\"}]", NOTHING },
        { 200, "\"failed\"", NOTHING },
        { 200, "{\"status\":\"failed\"", NOTHING },
        { 200, "{\"status\":\"failed\"}}", NOTHING },
        { 200, "{\"status\":\"completed\"," ONE, NOTHING },
        { 204, "", NOTHING }
    };

    (void) state;

    test_shapes(phota_report_read, shapes,
                sizeof(shapes) / sizeof(shapes[0]));
}


static void
test_words(void **state)
{
    char    text[256];
    size_t  i;

    static const struct {
        const char      *word;
        phota_report_e   state;
    } words[] = {
        { "queued", PENDING }, { "pending", PENDING },
        { "SUBMITTED", PENDING }, { "accepted", PENDING },
        { "created", PENDING }, { "in_progress", PENDING },
        { "In Progress", PENDING }, { "processing", PENDING },
        { "running", PENDING }, { "started", PENDING },
        { "completed", DONE }, { "Complete", DONE }, { "SUCCEEDED", DONE },
        { "success", DONE }, { "successful", DONE }, { "done", DONE },
        { "finished", DONE }, { "READY", DONE },
        { "failed", FAILED }, { "Failure", FAILED }, { "ERROR", FAILED },
        { "errored", FAILED }, { "rejected", FAILED },
        { "canceled", FAILED }, { "cancelled", FAILED },
        { "aborted", FAILED }, { "blocked", FAILED },
        { "moderated", FAILED }, { "CONTENT_MODERATION", FAILED },
        { "content-moderation", FAILED }, { "content moderation", FAILED },
        { "expired", LOST }, { "not_found", LOST }, { "Not Found", LOST },
        { "gone", LOST }, { "deleted", LOST }, { "timed_out", LOST },
        { "timed-out", LOST }, { "TIMEOUT", LOST },
        { "failedfailedfailedfailedfailedfailed", PENDING },
        { "fail\\u0000ed", PENDING }, { "failed\\n", PENDING },
        { "faile", PENDING }, { "\\u00c9chec", PENDING }
    };

    (void) state;

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {

        /* done is what has pictures */

        snprintf(text, sizeof(text), "{\"status\":\"%s\"%s}", words[i].word,
                 (words[i].state == DONE) ? "," ONE : "");
        test_read(200, text);

        if (test_report.state != words[i].state) {
            fail_msg("%s: %d", words[i].word, (int) test_report.state);
        }

        if (strchr(words[i].word, '\\') == NULL) {
            test_is(&test_report.status, words[i].word);
        }

        phota_report_free(&test_report);
    }
}


static void
test_http(void **state)
{
    unsigned        status;
    phota_report_e  plain, trouble;

    (void) state;

    for (status = 100; status < 600; status++) {

        switch (status) {

        case 202:
            plain = PENDING;
            trouble = PENDING;
            break;

        case 404:
        case 410:
            plain = LOST;
            trouble = LOST;
            break;

        case 400:
            plain = NOTHING;
            trouble = FAILED;
            break;

        default:
            plain = NOTHING;
            trouble = NOTHING;
            break;
        }

        test_read(status, "<html>");
        assert_int_equal(test_report.state, plain);
        phota_report_free(&test_report);

        test_read(status, "{\"x\":1,\"detail\":null}");
        assert_int_equal(test_report.state, plain);
        phota_report_free(&test_report);

        test_read(status, "{\"detail\":[{\"loc\":[]}]}");
        assert_int_equal(test_report.state, trouble);
        phota_report_free(&test_report);

        test_read(status, "{\"code\":\"CONTENT_MODERATION\"}");
        assert_int_equal(test_report.state, trouble);
        phota_report_free(&test_report);

        test_read(status, "{\"error\":{}}");
        assert_int_equal(test_report.state, trouble);
        phota_report_free(&test_report);

        test_read(status, "{\"x\":{\"error\":\"no\"}}");
        assert_int_equal(test_report.state, plain);
        phota_report_free(&test_report);

        if (status / 100 != 2) {
            test_read(status, "{\"status\":\"completed\"," ONE "}");
            assert_int_not_equal(test_report.state, DONE);
            phota_report_free(&test_report);
        }
    }
}


static void
test_names(void **state)
{
    size_t  i;

    static const struct {
        const char  *text;
        const char  *id;
        const char  *url;
    } shapes[] = {
        { "{\"job_id\":\"a\",\"id\":\"b\",\"poll_url\":\"/a\"}", "a", "/a" },
        { "{\"id\":\"b\",\"poll_url\":\"https:\\/\\/x\\/b\"}", "b",
          "https://x/b" },
        { "{\"id\":\"evt\",\"data\":{\"job_id\":\"a\"}}", "a", "" },
        { "{\"id\":\"evt\",\"job\":{\"id\":\"a\",\"poll_url\":\"u\"},"
          "\"poll_url\":\"v\"}", "a", "u" },
        { "{\"job_id\":\"\\u006a\\\"\"}", "j\"", "" },
        { "{\"job_id\":17,\"id\":\"b\"}", "b", "" },
        { "{\"job_id\":17,\"job_id\":\"b\"}", "", "" },
        { "{\"job_id\":\"a\",\"job_id\":\"b\"}", "a", "" },
        { "{\"job_id\":\"\",\"id\":\"b\"}", "b", "" },
        { "{\"job_id\":\"a\\nb\",\"poll_url\":\"/a\\u0000\"}", "", "" },
        { "{\"job_id\":\"a\\u007f\"}", "", "" },
        { "{\"job\":\"a\",\"data\":{}}", "", "" },
        { "{\"job\":{\"x\":{\"job_id\":\"a\"}}}", "", "" },
        { "{\"job\":[\"job_id\",\"a\"]}", "", "" },
        { "{\"profile_id\":\"p\"}", "", "" }
    };

    (void) state;

    for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        test_read((i & 1) ? 200 : 202, shapes[i].text);
        test_is(&test_report.id, shapes[i].id);
        test_is(&test_report.poll_url, shapes[i].url);
        phota_report_free(&test_report);
    }
}


/* as long as they may be, and by one more; escaped they are longer */

static void
test_lengths(void **state)
{
    char      text[16 * PHOTA_URL_MAX], *p;
    size_t    i, n;
    unsigned  escaped, over;

    (void) state;

    for (escaped = 0; escaped < 2; escaped++) {
        for (over = 0; over < 2; over++) {
            p = text;
            p += snprintf(p, 32, "{\"job_id\":\"");

            for (i = 0; i < PHOTA_JOB_ID_MAX + over; i++) {
                n = escaped ? 6 : 1;
                memcpy(p, escaped ? "\\u0061" : "a", n);
                p += n;
            }

            p += snprintf(p, 32, "\",\"poll_url\":\"");

            for (i = 0; i < PHOTA_URL_MAX + over; i++) {
                n = escaped ? 6 : 1;
                memcpy(p, escaped ? "\\u0062" : "b", n);
                p += n;
            }

            p += snprintf(p, 8, "\"}");

            test_read_n(phota_report_read, 202, text, (size_t) (p - text));
            assert_int_equal(test_report.id.len, over ? 0 : PHOTA_JOB_ID_MAX);
            assert_int_equal(test_report.poll_url.len,
                             over ? 0 : PHOTA_URL_MAX);
            phota_report_free(&test_report);
        }
    }
}


static void
test_result_is(const char *text, const char *result)
{
    test_read(200, text);
    assert_int_equal(test_report.state, DONE);
    assert_int_equal(test_report.result_len, strlen(result));
    assert_memory_equal(text + test_report.result_at, result, strlen(result));
}


static void
test_results(void **state)
{
    size_t  i;
    char    text[4096], *p;

    (void) state;

    test_result_is("{\"status\":\"completed\",\"result\": {\"known_subjects\":"
                   "{\"counts\":{\"a\":2}},\"images\":[],\"download_urls\":["
                   "\"https:\\/\\/x\\/1\", \"http://y/2?a=\\u00e9\"]} }",
                   "{\"known_subjects\":{\"counts\":{\"a\":2}},\"images\":[],"
                   "\"download_urls\":[\"https:\\/\\/x\\/1\", "
                   "\"http://y/2?a=\\u00e9\"]}");
    assert_int_equal(test_report.delivery.outputs, 2);
    assert_int_equal(test_report.delivery.urls, 2);
    assert_int_equal(test_report.delivery.identity_low, 2);
    assert_int_equal(test_report.nlinks, 2);
    test_is(&test_report.links[0], "https://x/1");
    test_is(&test_report.links[1], "http://y/2?a=\xc3\xa9");
    phota_report_free(&test_report);

    assert_null(test_report.memory);
    phota_report_free(&test_report);

    /* links among the images, and what isn't one */

    test_result_is("{\"images\":[\"https://x/1\",\"QUJD\",\"HTTP://x/2\","
                   "\"http://\"]}",
                   "{\"images\":[\"https://x/1\",\"QUJD\",\"HTTP://x/2\","
                   "\"http://\"]}");
    assert_int_equal(test_report.delivery.outputs, 4);
    assert_int_equal(test_report.nlinks, 2);
    test_is(&test_report.links[0], "https://x/1");
    test_is(&test_report.links[1], "HTTP://x/2");
    phota_report_free(&test_report);

    /* the object around the others, wherever its list stands */

    test_result_is("{\"a\":{\"images\":[\"https://a/1\"]},"
                   "\"images\":[\"https://b/1\"],\"download_urls\":[]}",
                   "{\"a\":{\"images\":[\"https://a/1\"]},"
                   "\"images\":[\"https://b/1\"],\"download_urls\":[]}");
    assert_int_equal(test_report.nlinks, 1);
    test_is(&test_report.links[0], "https://b/1");
    phota_report_free(&test_report);

    test_result_is("{\"a\":{\"b\":{" LINK "},\"c\":[" "{" ONE "}],"
                   "\"download_urls\":[\"https://c/1\"]}}",
                   "{\"b\":{" LINK "},\"c\":[" "{" ONE "}],"
                   "\"download_urls\":[\"https://c/1\"]}");
    test_is(&test_report.links[0], "https://c/1");
    phota_report_free(&test_report);

    /* more than can be kept */

    p = text;
    p += snprintf(p, 32, "{\"download_urls\":[");

    for (i = 0; i < PHOTA_PICTURES_MAX + 4; i++) {
        p += snprintf(p, 64, "%s\"https://x/%u\"", i ? "," : "",
                      (unsigned) i);
    }

    p += snprintf(p, 8, "]}");

    test_read_n(phota_report_read, 200, text, (size_t) (p - text));
    assert_int_equal(test_report.delivery.outputs, PHOTA_PICTURES_MAX + 4);
    assert_int_equal(test_report.nlinks, PHOTA_PICTURES_MAX);
    test_is(&test_report.links[PHOTA_PICTURES_MAX - 1], "https://x/15");
    phota_report_free(&test_report);
}


static void
test_training(void **state)
{
    static const test_shape_t  shapes[] = {
        { 200, "{\"profile_id\":\"p\",\"status\":\"READY\",\"message\":null}",
          DONE },
        { 200, "{\"profile_id\":\"p\",\"status\":\"ready\"}", DONE },
        { 200, "{\"profile_id\":\"p\",\"status\":\"ERROR\",\"message\":\"no\"}",
          FAILED },
        { 200, "{\"profile_id\":\"p\",\"status\":\"INACTIVE\"}", LOST },
        { 200, "{\"profile_id\":\"p\",\"status\":\"VALIDATING\"}", PENDING },
        { 200, "{\"profile_id\":\"p\",\"status\":\"QUEUING\"}", PENDING },
        { 200, "{\"profile_id\":\"p\",\"status\":\"IN_PROGRESS\"}", PENDING },
        { 200, "{\"profile_id\":\"p\",\"status\":\"failed\"}", PENDING },
        { 200, "{\"profile_id\":\"p\",\"status\":\"ok\"}", PENDING },
        { 200, "{\"profile_id\":\"p\"}", NOTHING },
        { 200, "READY", NOTHING },
        { 200, "{" ONE "}", NOTHING },
        { 404, "{\"code\":\"NOT_FOUND\"}", LOST },
        { 410, "", LOST },
        { 400, "{\"code\":\"x\"}", NOTHING },
        { 401, "{\"detail\":\"x\"}", NOTHING },
        { 500, "{\"status\":\"ERROR\"}", NOTHING },
        { 503, "", NOTHING }
    };

    (void) state;

    test_shapes(phota_report_training, shapes,
                sizeof(shapes) / sizeof(shapes[0]));

    test_read_n(phota_report_training, 200, shapes[0].text,
                strlen(shapes[0].text));
    test_is(&test_report.id, "p");
    test_is(&test_report.status, "READY");
    phota_report_free(&test_report);
}


/* cut anywhere, or with any byte of it another: read or not, never beyond */

static void
test_damage(void **state)
{
    char    *copy;
    size_t   i, k;

    static const char  text[] =
        "{\"job_id\":\"j\\u00e9\",\"status\":\"completed\",\"poll_url\":\"/j\","
        "\"data\":{\"result\":{\"images\":[\"QUJD\",\"https://x/1\"],"
        "\"download_urls\":[],\"known_subjects\":{\"counts\":{\"a\":1}}}}}";

    static const char  bytes[] = "{}[]\",:\\\0a";

    (void) state;

    copy = malloc(sizeof(text));
    assert_non_null(copy);

    for (i = 0; i < sizeof(text) - 1; i++) {
        test_read_n(phota_report_read, 200, text, i);
        assert_int_equal(test_report.state, NOTHING);
        phota_report_free(&test_report);

        for (k = 0; k < sizeof(bytes); k++) {
            memcpy(copy, text, sizeof(text));
            copy[i] = bytes[k];
            test_read_n(phota_report_read, 200, copy, sizeof(text) - 1);
            assert_true(test_report.result_at + test_report.result_len
                        < sizeof(text));
            phota_report_free(&test_report);
        }
    }

    free(copy);

    /* too long to be read */

    copy = malloc(PHOTA_REPORT_MAX + 1);
    assert_non_null(copy);
    memset(copy, ' ', PHOTA_REPORT_MAX + 1);
    memcpy(copy, "{\"status\":\"failed\"}", 19);

    for (i = 0; i < 2; i++) {
        assert_int_equal(phota_report_read(200, (u_char *) copy,
                                           PHOTA_REPORT_MAX + i,
                                           &test_report), PHOTA_OK);
        assert_int_equal(test_report.state, i ? NOTHING : FAILED);
        phota_report_free(&test_report);
    }

    free(copy);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_training),
        cmocka_unit_test(test_damage)
    };

    return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}
