
/*
 * fingerprint: which images are one, as base64 and as URLs, and which are none;
 * all of it however the body is cut.
 */


#include "fingerprint.h"


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
        fp = phota_fingerprint_create(ENHANCE, test_key(), names, 2);
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


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_base64_places),
        cmocka_unit_test(test_bad_base64),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_signing_names),
        cmocka_unit_test(test_image_fields)
    };

    return cmocka_run_group_tests_name("fingerprint_image", tests, NULL, NULL);
}
