
/*
 * swap: the upstream's texts as tenants see them: strings that are told
 * otherwise and all that isn't, profiles that are kept and those that go, and
 * what the gateway says of a job itself.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "phota_job.h"


#define TEST_NULL  { 0, NULL }

#define TEST_SWAPS(list)  list, sizeof(list) / sizeof(list[0])


typedef struct {
    const char    *text;
    const char    *expected;        /* NULL: PHOTA_INVALID */
} test_pair_t;


static int
test_swap(const char *text, const phota_swap_t *swaps, unsigned n,
    char **answer)
{
    int      rc;
    size_t   len;
    u_char  *copy, *out;

    len = strlen(text);
    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);

    out = NULL;
    rc = phota_swap(copy, len, swaps, n, &out, &len);
    free(copy);

    *answer = NULL;

    if (rc == PHOTA_OK) {
        *answer = malloc(len + 1);
        assert_non_null(*answer);
        memcpy(*answer, out, len);
        (*answer)[len] = '\0';
        free(out);
    }

    return rc;
}


static void
test_pairs(const test_pair_t *pairs, size_t npairs, const phota_swap_t *swaps,
    unsigned n)
{
    int      rc;
    char    *answer;
    size_t   i;

    for (i = 0; i < npairs; i++) {
        rc = test_swap(pairs[i].text, swaps, n, &answer);

        if (pairs[i].expected == NULL) {
            assert_int_equal(rc, PHOTA_INVALID);
            continue;
        }

        assert_int_equal(rc, PHOTA_OK);
        assert_string_equal(answer, pairs[i].expected);
        free(answer);
    }
}


static void
test_whole(void **state)
{
    static const phota_swap_t  swaps[] = {
        { phota_string("job_up"), phota_string("job_mine"), 0 },
        { phota_string("alias"), phota_string("a \"\\\n\x01\xc3\xa9/\x7f"),
          0 },
        { phota_string("none"), TEST_NULL, 0 },
        { phota_string("empty"), { 0, (const u_char *) "" }, 0 },
        { { 0, (const u_char *) "" }, phota_string("never"), 1 },
        { phota_string("job_up"), phota_string("second"), 0 },
        { phota_string("a\"b\\"), phota_string("quoted"), 0 }
    };

    static const test_pair_t  pairs[] = {
        { "{\"job_id\":\"job_up\",\"status\":\"queued\"}",
          "{\"job_id\":\"job_mine\",\"status\":\"queued\"}" },
        { " { \"x\" :\t[ \"job_up\" , \"job_up\",\"job_upp\",\"job_u\" ] }\n",
          " { \"x\" :\t[ \"job_mine\" , \"job_mine\",\"job_upp\",\"job_u\" "
          "] }\n" },
        { "{\"job_up\":\"x\",\"alias\":{\"none\":1}}",
          "{\"job_up\":\"x\",\"alias\":{\"none\":1}}" },
        { "{\"a\":\"j\\u006fb\\u005fup\",\"\\u0062\":\"\\u0063\"}",
          "{\"a\":\"job_mine\",\"\\u0062\":\"\\u0063\"}" },
        { "[\"alias\"]",
          "[\"a \\\"\\\\\\u000a\\u0001\xc3\xa9/\x7f\"]" },
        { "[\"none\",\"empty\",\"\",null,1.50e+1,true]",
          "[null,\"\",\"\",null,1.50e+1,true]" },
        { "[\"a\\\"b\\\\\",\"a\\u0022b\\u005c\"]", "[\"quoted\",\"quoted\"]" },
        { "\"job_up\"", "\"job_mine\"" },
        { "17", "17" },
        { "{\"x\":\"https://x/jobs/job_up\"}",
          "{\"x\":\"https://x/jobs/job_up\"}" },
        { "{}", "{}" },

        { "", NULL },
        { "job_up", NULL },
        { "{\"a\":\"job_up\"", NULL },
        { "{\"a\":\"job_up\"}x", NULL },
        { "{\"a\":\"job_up\xff\"}", NULL },
        { "{\"a\":\"\\ud800\"}", NULL }
    };

    (void) state;

    test_pairs(TEST_SWAPS(pairs), TEST_SWAPS(swaps));
}


static void
test_within(void **state)
{
    static const phota_swap_t  swaps[] = {
        { phota_string("job_up"), phota_string("/v1/jobs/mine"), 1 }
    };

    static const test_pair_t  pairs[] = {
        { "\"job_up\"", "\"/v1/jobs/mine\"" },
        { "\"https://x/jobs/job_up\"", "\"/v1/jobs/mine\"" },
        { "\"HTTP:\\/\\/x\\/jobs\\/job_up\"", "\"/v1/jobs/mine\"" },
        { "\"/v1/phota/jobs/job_up\"", "\"/v1/jobs/mine\"" },
        { "\"/job_up\"", "\"/v1/jobs/mine\"" },
        { "\"https://x/jobs/job_up?a=/b\"", "\"/v1/jobs/mine\"" },
        { "\"https://x/jobs/job_up#/b?c\"", "\"/v1/jobs/mine\"" },
        { "\"https://x/jobs/job_up/\"", "\"/v1/jobs/mine\"" },
        { "\"https://x/jobs/job_up/?a\"", "\"/v1/jobs/mine\"" },

        /* another's, or no such URL */

        { "\"https://x/jobs/job_upp\"", "\"https://x/jobs/job_upp\"" },
        { "\"https://x/jobs/ajob_up\"", "\"https://x/jobs/ajob_up\"" },
        { "\"https://x/job_up/0.jpg?s=1\"", "\"https://x/job_up/0.jpg?s=1\"" },
        { "\"https://x/a?b=/job_up\"", "\"https://x/a?b=/job_up\"" },
        { "\"https://x/a#/job_up\"", "\"https://x/a#/job_up\"" },
        { "\"AAAA/job_up\"", "\"AAAA/job_up\"" },
        { "\"see /jobs/job_up\"", "\"see /jobs/job_up\"" },
        { "\"/\"", "\"/\"" },
        { "\"https://\"", "\"https://\"" },
        { "{\"/job_up\":1}", "{\"/job_up\":1}" }
    };

    (void) state;

    test_pairs(TEST_SWAPS(pairs), TEST_SWAPS(swaps));
}


/* long strings beside, long ones in and out, and too much of it */

static void
test_large(void **state)
{
    char          *text, *answer, *from;
    size_t         n, len;
    u_char        *out;
    phota_swap_t   swap;

    (void) state;

    n = 100000;
    from = malloc(n);
    text = malloc(2 * n + 16);
    assert_true(from && text);

    memset(from, 'A', n);
    text[0] = '[';
    text[1] = '"';
    memcpy(text + 2, from, n);
    memcpy(text + 2 + n, "\",\"", 3);
    memcpy(text + 5 + n, from, n);
    memcpy(text + 4 + 2 * n, "\"]", 3);     /* the second is shorter by one */

    memset(&swap, 0, sizeof(swap));
    swap.from.data = (u_char *) from;
    swap.from.len = n;
    swap.to.data = (u_char *) "x";
    swap.to.len = 1;

    assert_int_equal(test_swap(text, &swap, 1, &answer), PHOTA_OK);
    assert_memory_equal(answer, "[\"x\",\"AA", 8);
    assert_int_equal(strlen(answer), n - 1 + 8);
    free(answer);

    swap.from.len = 1;
    swap.to.data = (u_char *) from;
    swap.to.len = n;
    assert_int_equal(test_swap("[\"A\",\"AA\",\"A\"]", &swap, 1, &answer),
                     PHOTA_OK);
    assert_int_equal(strlen(answer), 2 * n + 12);
    free(answer);

    /* no text makes hundreds of MB */

    memset(text, ' ', 2 * n);
    text[0] = '[';

    for (len = 1; len < 4000; len += 4) {
        memcpy(text + len, "\"A\",", 4);
    }

    text[len - 1] = ']';

    assert_int_equal(phota_swap((u_char *) text, len, &swap, 1, &out, &n),
                     PHOTA_ERROR);

    free(from);
    free(text);
}


typedef struct {
    unsigned       calls;
    int            fail;            /* at the call, 0: never */
    char           tags[64];        /* the elements' own, "-" for none */
} test_keep_t;


/* "mine..." is kept, with a tag of its own where the id says so */

static int
test_keep(void *ctx, const phota_str_t *id, const phota_str_t *own,
    phota_str_t *tag)
{
    test_keep_t  *keep = ctx;

    size_t        used;

    assert_in_range(id->len, 1, PHOTA_PROFILE_ID_MAX);
    assert_null(tag->data);

    used = strlen(keep->tags);
    (void) snprintf(keep->tags + used, sizeof(keep->tags) - used, "%.*s,",
                    own->data ? (int) own->len : 1,
                    own->data ? (const char *) own->data : "-");

    if ((int) ++keep->calls == keep->fail) {
        return PHOTA_ERROR;
    }

    if (id->len < 4 || memcmp(id->data, "mine", 4) != 0) {
        return PHOTA_DECLINED;
    }

    if (id->len == 5 && id->data[4] == 't') {
        tag->data = (u_char *) "my \"tag\"";
        tag->len = 8;

    } else if (id->len == 5 && id->data[4] == 'e') {
        tag->data = (u_char *) "";
        tag->len = 0;
    }

    return PHOTA_OK;
}


static int
test_filter(const char *text, test_keep_t *keep, char **answer)
{
    int      rc;
    size_t   len;
    u_char  *copy, *out;

    len = strlen(text);
    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);

    rc = phota_profiles_filter(copy, len, test_keep, keep, &out, &len);
    free(copy);

    *answer = NULL;

    if (rc == PHOTA_OK) {
        *answer = malloc(len + 1);
        assert_non_null(*answer);
        memcpy(*answer, out, len);
        (*answer)[len] = '\0';
        free(out);
    }

    return rc;
}


static void
test_profiles(void **state)
{
    int          rc;
    char        *answer, text[512], id[PHOTA_PROFILE_ID_MAX + 2];
    size_t       i;
    test_keep_t  keep;

    static const test_pair_t  pairs[] = {
        { "{\"profiles\":[]}", "{\"profiles\":[]}" },
        { "{\"profiles\":[\"mine1\",\"yours\",\"mine2\"]}",
          "{\"profiles\":[\"mine1\",\"mine2\"]}" },
        { "{ \"profiles\" : [ \"yours\" , \"m\\u0069ne1\" , \"yours\" ] }",
          "{\"profiles\":[\"m\\u0069ne1\"]}" },
        { "{\"total\":3,\"profiles\":[{\"profile_id\":\"yours\"},"
          "{ \"profile_id\" : \"mine1\", \"x\":[{\"id\":\"yours\"}] },"
          "{\"id\":\"mine2\"}],\"last\":\"yours\"}",
          "{\"profiles\":[{ \"profile_id\" : \"mine1\", \"x\":[{\"id\":"
          "\"yours\"}] },{\"id\":\"mine2\"}]}" },

        /* tags, before and behind the id */

        { "{\"profiles\":[{\"tag\":\"up\",\"profile_id\":\"minet\"},"
          "{\"profile_id\":\"minet\",\"tag\": \"\\u0075p\" ,\"a\":1},"
          "{\"profile_id\":\"minet\",\"tag\":null},"
          "{\"profile_id\":\"minet\"},"
          "{\"profile_id\":\"mine1\",\"tag\":\"up\"},"
          "{\"profile_id\":\"minee\",\"tag\":\"up\"}]}",
          "{\"profiles\":[{\"tag\":\"my \\\"tag\\\"\",\"profile_id\":"
          "\"minet\"},"
          "{\"profile_id\":\"minet\",\"tag\": \"my \\\"tag\\\"\" ,\"a\":1},"
          "{\"profile_id\":\"minet\",\"tag\":\"my \\\"tag\\\"\"},"
          "{\"profile_id\":\"minet\"},"
          "{\"profile_id\":\"mine1\",\"tag\":\"up\"},"
          "{\"profile_id\":\"minee\",\"tag\":null}]}" },

        /* whose is it */

        { "{\"profiles\":[{\"profile_id\":\"yours\",\"id\":\"mine1\"},"
          "{\"id\":\"mine1\",\"profile_id\":\"yours\"},"
          "{\"id\":\"yours\",\"profile_id\":\"mine1\"},"
          "{\"profile_id\":\"yours\",\"profile_id\":\"mine1\"},"
          "{\"profile_id\":null,\"id\":\"mine1\"},"
          "{\"profile_id\":[\"mine1\"]},{\"x\":{\"profile_id\":\"mine1\"}},"
          "{\"profile_id\":\"\"},\"\",{},[],[\"mine1\"],"
          "[{\"profile_id\":\"mine1\"}],null,1,true]}",
          "{\"profiles\":[{\"id\":\"yours\",\"profile_id\":\"mine1\"}]}" },
        { "{\"profiles\":[\"mine1\"],\"profiles\":[\"mine2\"]}",
          "{\"profiles\":[\"mine1\"]}" },
        { "{\"x\":{\"profiles\":[\"mine1\"]},\"pro\\u0066iles\":[\"mine2\"]}",
          "{\"profiles\":[\"mine2\"]}" },

        { "{}", NULL },
        { "[\"mine1\"]", NULL },
        { "{\"profiles\":null}", NULL },
        { "{\"profiles\":{\"id\":\"mine1\"}}", NULL },
        { "{\"data\":{\"profiles\":[\"mine1\"]}}", NULL },
        { "{\"profiles\":[\"mine1\"]", NULL },
        { "{\"profiles\":[\"mine1\"]}}", NULL },
        { "", NULL }
    };

    (void) state;

    memset(&keep, 0, sizeof(test_keep_t));

    for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        memset(&keep, 0, sizeof(keep));
        rc = test_filter(pairs[i].text, &keep, &answer);

        if (pairs[i].expected == NULL) {
            assert_int_equal(rc, PHOTA_INVALID);
            continue;
        }

        assert_int_equal(rc, PHOTA_OK);
        assert_string_equal(answer, pairs[i].expected);
        free(answer);
    }

    keep.calls = 0;
    keep.fail = 2;
    assert_int_equal(test_filter(pairs[1].text, &keep, &answer), PHOTA_ERROR);
    assert_int_equal(keep.calls, 2);

    /* an id that is too long is nobody's, whatever it begins with */

    memset(id, 'x', sizeof(id));
    memcpy(id, "mine", 4);
    memset(&keep, 0, sizeof(keep));

    for (i = PHOTA_PROFILE_ID_MAX; i <= PHOTA_PROFILE_ID_MAX + 1; i++) {
        snprintf(text, sizeof(text), "{\"profiles\":[{\"id\":\"%.*s\"}]}",
                 (int) i, id);
        assert_int_equal(test_filter(text, &keep, &answer), PHOTA_OK);
        assert_string_equal(answer, (i == PHOTA_PROFILE_ID_MAX)
                                    ? text : "{\"profiles\":[]}");
        free(answer);
    }
}


static void
test_tags(void **state)
{
    char         *answer;
    test_keep_t   keep;

    (void) state;

    memset(&keep, 0, sizeof(test_keep_t));

    assert_int_equal(test_filter("{\"profiles\":[\"mine1\","
                                 "{\"id\":\"a\",\"tag\":\"x\\u0079\"},"
                                 "{\"tag\":\"z\",\"id\":\"mine2\"},"
                                 "{\"id\":\"b\",\"tag\":null},"
                                 "{\"id\":\"c\"}]}", &keep, &answer),
                     PHOTA_OK);
    assert_string_equal(keep.tags, "-,xy,z,-,-,");
    assert_string_equal(answer, "{\"profiles\":[\"mine1\","
                                "{\"tag\":\"z\",\"id\":\"mine2\"}]}");
    free(answer);
}


static void
test_own(void **state)
{
    size_t   len, full, n;
    u_char   buf[512];
    json_t  *json;

    static const phota_str_t  id = phota_string("job_1");
    static const phota_str_t  url = phota_string("https://g/v1/jobs/job_1");
    static const phota_str_t  request = phota_string("r \"\\\t\xc3\xa9");
    static const phota_str_t  none = { 0, NULL };

    static const char  handle[] =
        "{\"job_id\":\"job_1\",\"status\":\"completed\",\"poll_url\":"
        "\"https://g/v1/jobs/job_1\"}";

    (void) state;

    len = sizeof(buf);
    assert_int_equal(phota_job_handle(&id, &url, &none, "completed", buf,
                                      &len), PHOTA_OK);
    assert_int_equal(len, strlen(handle));
    assert_memory_equal(buf, handle, len);

    len = sizeof(buf);
    assert_int_equal(phota_job_handle(&id, &url, &request, "queued", buf,
                                      &len), PHOTA_OK);
    json = json_loadb((char *) buf, len, 0, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json,
                                              "client_request_id")),
                        "r \"\\\t\xc3\xa9");
    assert_string_equal(json_string_value(json_object_get(json, "status")),
                        "queued");
    assert_int_equal(json_object_size(json), 4);
    json_decref(json);

    full = len;

    for (n = 0; n <= full; n++) {
        len = n;
        assert_int_equal(phota_job_handle(&id, &url, &request, "queued", buf,
                                          &len),
                         (n == full) ? PHOTA_OK : PHOTA_INVALID);
    }

    /* around a result */

    len = sizeof(buf);
    assert_int_equal(phota_job_before(&id, &request, buf, &len), PHOTA_OK);
    memcpy(buf + len, "{\"images\":[]}", 13);
    full = len + 13;
    len = sizeof(buf) - full;
    assert_int_equal(phota_job_behind(buf + full, &len), PHOTA_OK);

    json = json_loadb((char *) buf, full + len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    assert_int_equal(json_object_size(json), 4);
    assert_string_equal(json_string_value(json_object_get(json, "job_id")),
                        "job_1");
    assert_string_equal(json_string_value(json_object_get(json, "status")),
                        "completed");
    assert_true(json_is_object(json_object_get(json, "result")));
    json_decref(json);

    len = sizeof(buf);
    assert_int_equal(phota_job_before(&id, &none, buf, &len), PHOTA_OK);
    assert_int_equal(len, 48);
    assert_memory_equal(buf, "{\"job_id\":\"job_1\",\"status\":\"completed\","
                             "\"result\":", len);
    len = 47;
    assert_int_equal(phota_job_before(&id, &none, buf, &len), PHOTA_INVALID);
    len = 0;
    assert_int_equal(phota_job_behind(buf, &len), PHOTA_INVALID);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_within),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_own)
    };

    return cmocka_run_group_tests_name("swap", tests, NULL, NULL);
}
