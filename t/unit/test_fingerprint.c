
/*
 * fingerprint: what two requests have to share to be one purchase, what each
 * refusal says and where it points, what the gateway learns of a request; all
 * of it however the body is cut.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/sha.h>

#include "phota_fingerprint.h"


#define REMIX     (&phota_operations[PHOTA_OP_REMIX])
#define ENHANCE   (&phota_operations[PHOTA_OP_ENHANCE])
#define EDIT      (&phota_operations[PHOTA_OP_EDIT])
#define GENERATE  (&phota_operations[PHOTA_OP_GENERATE])


typedef struct {
    int             rc;
    phota_scan_t    scan;
    phota_fault_t   fault;
} test_result_t;


typedef struct {
    char           *data;
    size_t          len;
    size_t          size;
} test_body_t;


static const phota_str_t  test_scope = phota_string("acme");
static const phota_str_t  test_none = { 0, NULL };


static void
test_feed(test_result_t *res, const phota_operation_t *op, const char *text,
    size_t len, const size_t *cuts, unsigned ncuts)
{
    size_t                pos, n;
    u_char               *copy;
    unsigned              i;
    phota_fingerprint_t  *fp;

    memset(res, 0, sizeof(test_result_t));

    fp = phota_fingerprint_create(op, NULL, 0);
    assert_non_null(fp);

    for (i = 0, pos = 0; i <= ncuts && res->rc == PHOTA_OK; i++) {
        n = ((i == ncuts) ? len : cuts[i]) - pos;
        copy = malloc(n ? n : 1);
        assert_non_null(copy);
        memcpy(copy, text + pos, n);

        res->rc = phota_fingerprint_update(fp, copy, n);

        free(copy);
        pos += n;
    }

    if (res->rc == PHOTA_OK) {
        res->rc = phota_fingerprint_final(fp, &test_scope, &test_none,
                                          &res->scan);
    }

    if (res->rc == PHOTA_INVALID) {
        res->fault = *phota_fingerprint_fault(fp);
        assert_int_equal(phota_fingerprint_update(fp, (u_char *) " ", 1),
                         PHOTA_INVALID);
    }

    phota_fingerprint_destroy(fp);
}


static void
test_same_result(const test_result_t *a, const test_result_t *b)
{
    assert_int_equal(a->rc, b->rc);

    if (a->rc == PHOTA_OK) {
        assert_memory_equal(&a->scan, &b->scan, sizeof(phota_scan_t));
        return;
    }

    assert_string_equal(a->fault.detail, b->fault.detail);
    assert_string_equal(a->fault.field, b->fault.field);
    assert_int_equal(a->fault.offset, b->fault.offset);
}


/* the result, once it has shown not to depend on how the body is cut */

static void
test_run_text(test_result_t *res, const phota_operation_t *op,
    const char *text, size_t len)
{
    size_t          i, *cuts;
    unsigned        n, round;
    test_result_t   cut;

    static unsigned  seed = 7;

    test_feed(res, op, text, len, NULL, 0);

    for (i = 0; i <= len && len < 400; i++) {
        test_feed(&cut, op, text, len, &i, 1);
        test_same_result(res, &cut);
    }

    cuts = malloc((len + 1) * sizeof(size_t));
    assert_non_null(cuts);

    for (i = 0; i < len; i++) {
        cuts[i] = i;
    }

    test_feed(&cut, op, text, len, cuts, len);
    test_same_result(res, &cut);

    for (round = 0; round < 4; round++) {

        for (i = 0, n = 0; i < len; i++) {
            if (rand_r(&seed) % 7 == 0) {
                cuts[n++] = i;
            }
        }

        test_feed(&cut, op, text, len, cuts, n);
        test_same_result(res, &cut);
    }

    free(cuts);
}


static void
test_run(test_result_t *res, const phota_operation_t *op, const char *text)
{
    test_run_text(res, op, text, strlen(text));
}


static void
test_accepted(test_result_t *res, const phota_operation_t *op,
    const char *text)
{
    test_run(res, op, text);

    if (res->rc != PHOTA_OK) {
        fail_msg("%s: %s, \"%s\" at %u", text, res->fault.detail,
                 res->fault.field, (unsigned) res->fault.offset);
    }
}


static void
test_one(const phota_operation_t *op, const char *a, const char *b)
{
    test_result_t  first, second;

    test_accepted(&first, op, a);
    test_accepted(&second, op, b);

    if (memcmp(first.scan.digest, second.scan.digest, PHOTA_SHA256_LEN)) {
        fail_msg("two fingerprints:\n%s\n%s", a, b);
    }
}


static void
test_two(const phota_operation_t *op, const char *a, const char *b)
{
    test_result_t  first, second;

    test_accepted(&first, op, a);
    test_accepted(&second, op, b);

    if (memcmp(first.scan.digest, second.scan.digest, PHOTA_SHA256_LEN) == 0) {
        fail_msg("one fingerprint:\n%s\n%s", a, b);
    }
}


static void
test_result_is(const test_result_t *res, const char *text,
    const char *detail, const char *field, uint64_t offset)
{
    if (res->rc != PHOTA_INVALID) {
        fail_msg("%s: %d, expected %s", text, res->rc, detail);
    }

    if (strcmp(res->fault.detail, detail) != 0
        || strcmp(res->fault.field, field) != 0
        || res->fault.offset != offset)
    {
        fail_msg("%s:\n%s, \"%s\" at %u; expected %s, \"%s\" at %u", text,
                 res->fault.detail, res->fault.field,
                 (unsigned) res->fault.offset, detail, field,
                 (unsigned) offset);
    }
}


static void
test_fault(const phota_operation_t *op, const char *text, const char *detail,
    const char *field, uint64_t offset)
{
    test_result_t  res;

    test_run(&res, op, text);
    test_result_is(&res, text, detail, field, offset);
}


static void
test_add(test_body_t *b, const char *fmt, ...)
{
    int      n;
    va_list  args;

    if (b->size - b->len < 4096) {
        b->size = b->size * 2 + 8192;
        b->data = realloc(b->data, b->size);
        assert_non_null(b->data);
    }

    va_start(args, fmt);
    n = vsnprintf(b->data + b->len, b->size - b->len, fmt, args);
    va_end(args);

    assert_true(n >= 0 && (size_t) n < b->size - b->len);
    b->len += n;
}


static void
test_run_body(test_result_t *res, const phota_operation_t *op,
    test_body_t *body)
{
    test_run_text(res, op, body->data, body->len);

    free(body->data);
    memset(body, 0, sizeof(test_body_t));
}


/* the definition, byte for byte; a change of it needs a new version */

static void
test_definition(void **state)
{
    u_char         digest[PHOTA_SHA256_LEN];
    test_result_t  res;

    static const u_char  form[] =
        "\x01"
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

    SHA256(form, sizeof(form) - 1, digest);
    assert_memory_equal(res.scan.digest, digest, PHOTA_SHA256_LEN);
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
        fp = phota_fingerprint_create(&phota_operations[parts[i].op], NULL, 0);
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

    /* not where it isn't a prompt */

    test_accepted(&res, GENERATE, "{\"prompt\":[\"[[a]]\"],\"x\":\"[[a]]\"}");
    assert_int_equal(res.scan.profiles, 0);
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


static void
test_base64(void **state)
{
    (void) state;

    /* one content */

    test_one(ENHANCE, "{\"image\":\"QUJDRA==\"}", "{\"image\":\"QUJDRA\"}");
    test_one(ENHANCE, "{\"image\":\"QUJDRA==\"}",
             "{\"image\":\"QUJD\\r\\nRA\\u003d=\\n\"}");
    test_one(ENHANCE, "{\"image\":\"QUJDRA==\"}",
             "{\"image\":\" Q\\tUJ DRA = = \"}");
    test_one(ENHANCE, "{\"image\":\"QUJDRA==\"}",
             "{\"image\":\"data:image/png;base64,QUJDRA==\"}");
    test_one(ENHANCE, "{\"image\":\"QUJDRA==\"}",
             "{\"image\":\"DATA:;x=;charset=utf-8;BASE64,QUJDRA\"}");
    test_one(ENHANCE, "{\"image\":\"QUJDRA==\"}",
             "{\"image\":\"data:;;base64,QUJDRA\"}");
    test_one(ENHANCE, "{\"image\":\"a+b/+/8=\"}",
             "{\"image\":\"a-b_-_8\"}");
    test_one(ENHANCE, "{\"image\":\"a+b/\"}", "{\"image\":\"a\\u002bb\\/\"}");

    /* bits that no decoder reads */

    test_one(ENHANCE, "{\"image\":\"QQ==\"}", "{\"image\":\"QR\"}");
    test_one(ENHANCE, "{\"image\":\"QQ==\"}", "{\"image\":\"Qf\"}");
    test_two(ENHANCE, "{\"image\":\"QQ==\"}", "{\"image\":\"Qg\"}");
    test_one(ENHANCE, "{\"image\":\"QUI=\"}", "{\"image\":\"QUL\"}");
    test_one(ENHANCE, "{\"image\":\"QU8\"}", "{\"image\":\"QU_\"}");
    test_two(ENHANCE, "{\"image\":\"QUI=\"}", "{\"image\":\"QUM=\"}");

    test_two(ENHANCE, "{\"image\":\"QUJD\"}", "{\"image\":\"QUJE\"}");
    test_two(ENHANCE, "{\"image\":\"QUJD\"}", "{\"image\":\"qUJD\"}");
    test_two(ENHANCE, "{\"image\":\"QUJD\"}", "{\"image\":\"QUJDQUJD\"}");

    /* what looks like a beginning of something else */

    test_one(ENHANCE, "{\"image\":\"http\"}", "{\"image\":\"ht\\ntp\"}");
    test_one(ENHANCE, "{\"image\":\"https///\"}",
             "{\"image\":\"https_/_\"}");
    test_one(ENHANCE, "{\"image\":\"data\"}", "{\"image\":\"d ata\"}");
    test_one(ENHANCE, "{\"image\":\"dat=\"}", "{\"image\":\"dat\"}");
    test_one(ENHANCE, "{\"image\":\"HTTPs+hH\"}",
             "{\"image\":\"data:a;base64,HTTPs-hH\"}");
}


/* each kind of byte in each place of the sixteen that are read at once */

static void
test_base64_places(void **state)
{
    char           text[120], plain[120], *image;
    size_t         i, k;
    test_result_t  res, same;

    static const char  bad[] = "!\"#$%&'()*,.:;<>?@[]^`{|}~\x7f";
    static const char  good[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    (void) state;

    memcpy(plain, "{\"image\":\"", 10);
    memset(plain + 10, 'Q', 48);
    memcpy(plain + 58, "\"}", 3);

    for (i = 0; i < 48; i++) {
        memcpy(text, plain, sizeof(text));
        image = text + 10;

        for (k = 0; k < sizeof(bad) - 1; k++) {

            if (bad[k] == '"') {
                continue;
            }

            image[i] = bad[k];
            test_feed(&res, ENHANCE, text, 60, NULL, 0);
            test_result_is(&res, text, "invalid base64", "image", 10 + i);
        }

        for (k = 0; k < 64; k++) {
            image[i] = good[k];
            test_feed(&res, ENHANCE, text, 60, NULL, 0);
            assert_int_equal(res.rc, PHOTA_OK);

            image[i] = (k == 62) ? '-' : (k == 63) ? '_' : good[k];
            test_feed(&same, ENHANCE, text, 60, NULL, 0);
            assert_memory_equal(res.scan.digest, same.scan.digest,
                                PHOTA_SHA256_LEN);
        }
    }
}


static void
test_bad_base64(void **state)
{
    char           text[400];
    test_result_t  res;

    static const char  bad[] = "invalid base64";

    (void) state;

    test_fault(ENHANCE, "{\"image\":\"QU!D\"}", bad, "image", 12);
    test_fault(ENHANCE, "{\"image\":\"QU\\u0021D\"}", bad, "image", 12);
    test_fault(ENHANCE, "{\"image\":\"Q\xc3\xa9\"}", bad, "image", 11);
    test_fault(ENHANCE, "{\"image\":\"Q\\u00e9\"}", bad, "image", 11);
    test_fault(ENHANCE, "{\"image\":\"\\u0000\"}", bad, "image", 10);
    test_fault(ENHANCE, "{\"image\":\"QUJD\\f\"}", bad, "image", 14);

    /* lengths and padding */

    test_fault(ENHANCE, "{\"image\":\"Q\"}", bad, "image", 11);
    test_fault(ENHANCE, "{\"image\":\"QUJDQ\"}", bad, "image", 15);
    test_fault(ENHANCE, "{\"image\":\"=\"}", bad, "image", 10);
    test_fault(ENHANCE, "{\"image\":\"Q=\"}", bad, "image", 11);
    test_fault(ENHANCE, "{\"image\":\"QQ=\"}", bad, "image", 13);
    test_fault(ENHANCE, "{\"image\":\"QQ===\"}", bad, "image", 14);
    test_fault(ENHANCE, "{\"image\":\"QUI==\"}", bad, "image", 14);
    test_fault(ENHANCE, "{\"image\":\"QUJD=\"}", bad, "image", 14);
    test_fault(ENHANCE, "{\"image\":\"QQ=Q\"}", bad, "image", 13);
    test_fault(ENHANCE, "{\"image\":\"QQ==QQ==\"}", bad, "image", 14);
    test_fault(ENHANCE, "{\"image\":\"QQ==-\"}", bad, "image", 14);

    /* almost a URL, almost a data URL: the colon isn't base64 */

    test_fault(ENHANCE, "{\"image\":\"ftp://x\"}", bad, "image", 13);
    test_fault(ENHANCE, "{\"image\":\"http:x\"}", bad, "image", 14);
    test_fault(ENHANCE, "{\"image\":\"http:/\"}", bad, "image", 14);
    test_fault(ENHANCE, "{\"image\":\"\\u0068ttps:/x\"}", bad, "image", 20);
    test_fault(ENHANCE, "{\"image\":\" http://x\"}", bad, "image", 15);
    test_fault(ENHANCE, "{\"image\":\"data:\"}", bad, "image", 14);
    test_fault(ENHANCE, "{\"image\":\"data:QUJD\"}", bad, "image", 14);
    test_fault(ENHANCE, "{\"image\":\"data:,QUJD\"}", bad, "image", 14);
    test_fault(ENHANCE, "{\"image\":\"data:text,;base64,QUJD\"}", bad,
               "image", 14);
    test_fault(ENHANCE, "{\"image\":\"data:;base64\\f,QUJD\"}", bad, "image",
               14);
    test_fault(ENHANCE, "{\"image\":\"data:;base64,QU:D\"}", bad, "image",
               25);

    /* ";base64," within the first 256 bytes */

    snprintf(text, sizeof(text), "{\"image\":\"data:%0243u;base64,QUJD\"}", 0);
    test_accepted(&res, ENHANCE, text);
    snprintf(text, sizeof(text), "{\"image\":\"data:%0244u;base64,QUJD\"}", 0);
    test_fault(ENHANCE, text, bad, "image", 14);

    /* where they are lists */

    test_fault(EDIT, "{\"images\":[\"QUJD\", \"QU!D\"]}", bad, "images.1",
               22);
    test_fault(EDIT, "{\"images\":[1,\"QQ\",{},\"Q\"]}", bad, "images.3",
               23);
}


static void
test_urls(void **state)
{
    char         a[400], b[400];
    size_t       i;
    test_result_t  res;

    static const char  *same[][2] = {
        { "http://x/a?sig=1", "http://x/a" },
        { "http://x/a?sig=1&b=2", "http://x/a?b=2" },
        { "http://x/a?b=2&sig=1", "http://x/a?b=2" },
        { "http://x/a?b=2&sig=1&c=3", "http://x/a?b=2&c=3" },
        { "http://x/a?sig=1&se=2&b&sp=3#f", "http://x/a?b#f" },
        { "http://x/a?sig", "http://x/a" },
        { "http://x/a?sig#f?sig", "http://x/a#f?sig" },
        { "http://x/a?sig=a=b?c", "http://x/a" },
        { "https://x?X-Goog-Signature=1&X-Goog-=2&X-Amz-Date=3", "https://x" },
        { "http://x?Expires=1&Signature=2&GoogleAccessId=3"
          "&AWSAccessKeyId=4&Key-Pair-Id=5&Policy=6&q=7", "http://x?q=7" },
        { "http://x?sv=1&sr=2&st=3&spr=4&q=5", "http://x?q=5" },
        { "http:\\/\\/x\\u003fsig=1", "http://x" },
        { "HTTP://x", "http://x" },
        { "hTTpS://x/a?sig=1", "https://x/a" },
        { "http://x/a?", "http://x/a" },
        { "http://x/a?#f", "http://x/a#f" },
        { "http://x/a?sig=1&", "http://x/a" },
        { "http://x/a?sig=1&#f", "http://x/a#f" }
    };

    static const char  *different[][2] = {
        { "http://x/a", "http://x/b" },
        { "http://x/a", "https://x/a" },
        { "http://x/A", "http://x/a" },
        { "http://U@x", "http://u@x" },
        { "http://x/a?b=1", "http://x/a?b=2" },
        { "http://x/a?b=1&c=2", "http://x/a?c=2&b=1" },
        { "http://x/a?SIG=1", "http://x/a" },
        { "http://x/a?s%69g=1", "http://x/a" },
        { "http://x/a?sig2=1", "http://x/a" },
        { "http://x/a?si=1", "http://x/a" },
        { "http://x/a?X-Amz=1", "http://x/a" },
        { "http://x/a?x-amz-date=1", "http://x/a" },
        { "http://x/a?b=sig&sig=1", "http://x/a" },
        { "http://x/a?=sig", "http://x/a" },
        { "http://x/a#f", "http://x/a" },
        { "http://x/a#?sig=1", "http://x/a" },
        { "http://x/a??", "http://x/a" },
        { "http://x/a?=", "http://x/a" },
        { "http://x/a?&", "http://x/a" },
        { "http://x/a#?", "http://x/a" },
        { "http://x/a?b&", "http://x/a?b" },
        { "http://x/a?b=1&&c=2", "http://x/a?b=1&c=2" },
        { "http://x/&sig=1", "http://x/" },
        { "http://QUJD", "httpQUJD" },
        { "http://x?a;sig=1", "http://x?a" }
    };

    (void) state;

    for (i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        snprintf(a, sizeof(a), "{\"image\":\"%s\"}", same[i][0]);
        snprintf(b, sizeof(b), "{\"image\":\"%s\"}", same[i][1]);
        test_one(ENHANCE, a, b);
    }

    for (i = 0; i < sizeof(different) / sizeof(different[0]); i++) {
        snprintf(a, sizeof(a), "{\"image\":\"%s\"}", different[i][0]);
        snprintf(b, sizeof(b), "{\"image\":\"%s\"}", different[i][1]);
        test_two(ENHANCE, a, b);
    }

    /* names are looked at up to 128 bytes */

    snprintf(a, sizeof(a), "{\"image\":\"http://x?X-Amz-%0122u=1\"}", 0);
    test_one(ENHANCE, a, "{\"image\":\"http://x\"}");
    snprintf(a, sizeof(a), "{\"image\":\"http://x?X-Amz-%0123u=1\"}", 0);
    test_two(ENHANCE, a, "{\"image\":\"http://x\"}");

    /* any text may be a URL */

    test_accepted(&res, ENHANCE, "{\"image\":\"hTtPs://\xc3\xa9 \\n!\"}");
    test_accepted(&res, ENHANCE, "{\"image\":\"http://\"}");
}


static void
test_signing_names(void **state)
{
    u_char                digests[3][PHOTA_SHA256_LEN];
    unsigned              i;
    phota_scan_t          scan;
    phota_fingerprint_t  *fp;

    static const phota_str_t  names[] = {
        phota_string("token"),
        phota_string("k*")
    };

    static const char  *bodies[] = {
        "{\"image\":\"http://x?token=1&k=2&key=3&sig=4\"}",
        "{\"image\":\"http://x?sig=4\"}",
        "{\"image\":\"http://x\"}"
    };

    (void) state;

    for (i = 0; i < 3; i++) {
        fp = phota_fingerprint_create(ENHANCE, names, 2);
        assert_non_null(fp);
        assert_int_equal(phota_fingerprint_update(fp, (u_char *) bodies[i],
                                                  strlen(bodies[i])),
                         PHOTA_OK);
        assert_int_equal(phota_fingerprint_final(fp, &test_scope, &test_none,
                                                 &scan),
                         PHOTA_OK);
        memcpy(digests[i], scan.digest, PHOTA_SHA256_LEN);
        phota_fingerprint_destroy(fp);
    }

    assert_memory_equal(digests[0], digests[1], PHOTA_SHA256_LEN);
    assert_memory_not_equal(digests[1], digests[2], PHOTA_SHA256_LEN);
}


static void
test_image_fields(void **state)
{
    test_result_t  res;

    static const char  missing[] = "required image is missing";
    static const char  wrong[] = "must be a URL or base64 string";

    (void) state;

    test_fault(ENHANCE, "{}", missing, "image", 1);
    test_fault(ENHANCE, " {\"x\":1 } ", missing, "image", 8);
    test_fault(ENHANCE, "{\"x\":{\"image\":\"QQ\"}}", missing, "image", 19);
    test_fault(ENHANCE, "{\"image\":null}", missing, "image", 9);
    test_fault(REMIX, "{\"input_image\":\"QQ\"}", missing, "reference_image",
               19);
    test_fault(REMIX, "{\"reference_image\":\"QQ\"}", missing, "input_image",
               23);
    test_fault(REMIX, "{}", missing, "input_image", 1);

    test_fault(ENHANCE, "{\"image\": 1}", wrong, "image", 10);
    test_fault(ENHANCE, "{\"image\":true}", wrong, "image", 9);
    test_fault(ENHANCE, "{\"image\":[\"QQ\"]}", wrong, "image", 9);
    test_fault(ENHANCE, "{\"image\":{}}", wrong, "image", 9);
    test_fault(ENHANCE, "{\"image\":\"\"}", wrong, "image", 9);
    test_fault(ENHANCE, "{\"image\":\" \\n\"}", wrong, "image", 9);
    test_fault(ENHANCE, "{\"image\":\"data:;base64,\"}", wrong, "image", 9);

    /* which of two images it is, counts */

    test_two(REMIX, "{\"input_image\":\"QQ\",\"reference_image\":\"Qg\"}",
             "{\"input_image\":\"Qg\",\"reference_image\":\"QQ\"}");

    /* lists: order counts, the upstream judges what isn't an image */

    test_one(EDIT, "{\"images\":[\"QQ==\",\"http://x?sig=1\"]}",
             "{\"images\":[\"data:;base64,QR\",\"http://x\"]}");
    test_two(EDIT, "{\"images\":[\"QQ\",\"Qg\"]}",
             "{\"images\":[\"Qg\",\"QQ\"]}");
    test_two(EDIT, "{\"images\":[\"QQ\"]}", "{\"images\":[\"QQ\",\"QQ\"]}");
    test_two(EDIT, "{\"images\":[]}", "{}");
    test_two(EDIT, "{\"images\":null}", "{}");
    test_two(EDIT, "{\"images\":[null]}", "{\"images\":[\"\"]}");
    test_two(EDIT, "{\"images\":[\"QUJD\",\"QUJD\"]}",
             "{\"images\":[\"QUJDQUJD\"]}");
    test_one(EDIT, "{\"images\":[\"\"]}", "{\"images\":[\" \"]}");

    test_accepted(&res, EDIT, "{\"images\":\"no image!\"}");
    test_accepted(&res, EDIT, "{\"images\":{\"a\":\"no image!\"}}");
    test_accepted(&res, EDIT, "{\"images\":[[\"no image!\"],1,null]}");
    test_accepted(&res, GENERATE, "{\"images\":[\"no image!\"]}");
    test_accepted(&res, GENERATE, "{\"image\":\"no image!\"}");
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


static void
test_async(void **state)
{
    test_result_t  res;

    static const char  refused[] = "asynchronous calls are not offered";

    (void) state;

    test_accepted(&res, EDIT, "{\"async\":false}");
    test_accepted(&res, EDIT, "{\"async\":null}");
    test_accepted(&res, EDIT, "{\"x\":{\"async\":true}}");

    test_fault(EDIT, "{\"async\": true}", refused, "async", 10);
    test_fault(REMIX, "{\"async\":1}", refused, "async", 9);
    test_fault(ENHANCE, "{\"async\":0}", refused, "async", 9);
    test_fault(GENERATE, "{\"async\":\"no\"}", refused, "async", 9);
    test_fault(EDIT, "{\"async\":\"false\"}", refused, "async", 9);
    test_fault(EDIT, "{\"async\":[]}", refused, "async", 9);
    test_fault(EDIT, "{\"async\":{}}", refused, "async", 9);
    test_fault(EDIT, "{\"\\u0061sync\":true}", refused, "async", 14);
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


static void
test_operations(void **state)
{
    unsigned                  i;
    const phota_operation_t  *op;

    (void) state;

    for (i = 0; i < PHOTA_OP_MAX; i++) {
        op = &phota_operations[i];

        assert_int_equal(op->id, i);
        assert_true(op->nfields <= 32);
        assert_ptr_equal(phota_operation_by_name(op->provider, op->name.data,
                                                 op->name.len), op);
        assert_string_equal(phota_operation_name(i), (char *) op->name.data);

        if (i == PHOTA_OP_TRAINING) {
            assert_null(phota_operation_by_path(op->provider, op->path.data,
                                                op->path.len));
            continue;
        }

        assert_ptr_equal(phota_operation_by_path(op->provider, op->path.data,
                                                 op->path.len), op);
        assert_null(phota_operation_by_path(PHOTA_PROVIDER_PHOTIO,
                                            op->path.data, op->path.len));
        assert_null(phota_operation_by_path(op->provider, op->path.data,
                                            op->path.len - 1));
        assert_non_null(phota_operation_field(op, (u_char *) "prompt", 6));
        assert_null(phota_operation_field(op, (u_char *) "prompt", 5));
        assert_null(phota_operation_field(op, (u_char *) "", 0));
    }

    assert_null(phota_operation_by_name(PHOTA_PROVIDER_PHOTA,
                                        (u_char *) "train", 5));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_definition),
        cmocka_unit_test(test_whole_body),
        cmocka_unit_test(test_value_lengths),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_prompt_syntax),
        cmocka_unit_test(test_profile_limits),
        cmocka_unit_test(test_scanned),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_base64_places),
        cmocka_unit_test(test_bad_base64),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_signing_names),
        cmocka_unit_test(test_image_fields),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_async),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_member_limits),
        cmocka_unit_test(test_key_limits),
        cmocka_unit_test(test_stack),
        cmocka_unit_test(test_operations)
    };

    return cmocka_run_group_tests_name("fingerprint", tests, NULL, NULL);
}
