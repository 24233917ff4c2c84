
/*
 * picture: base64 held against OpenSSL's, cut at every place, in exactly the
 * room that was promised; types by the beginnings of real files.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/evp.h>

#include "phota_picture.h"


#define TEST_ALPHABET                                                         \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


static void *
test_copy(const void *p, size_t n)
{
    void  *copy;

    /* of its own size, so that a step outside is seen */

    copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, p, n);

    return copy;
}


static void
test_fill(u_char *p, size_t n, uint32_t seed)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        p[i] = (u_char) (seed >> 24);
    }
}


/* decodes pieces of step bytes; what it says when it ends or fails */

static int
test_decode(const u_char *text, size_t n, size_t step, u_char *out,
    size_t *out_len)
{
    int              rc;
    size_t           pos, k, len;
    u_char          *room, *piece, rest[2];
    phota_base64_t   b;

    *out_len = 0;
    phota_base64_init(&b);

    for (pos = 0; pos < n; pos += k) {
        k = (n - pos < step) ? n - pos : step;

        piece = test_copy(text + pos, k);
        room = malloc((k + 3) / 4 * 3);
        assert_non_null(room);

        rc = phota_base64_update(&b, piece, k, room, &len);

        if (rc == PHOTA_OK) {
            assert_true(len <= (k + 3) / 4 * 3);
            memcpy(out + *out_len, room, len);
            *out_len += len;
        }

        free(room);
        free(piece);

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    rc = phota_base64_final(&b, rest, &len);

    if (rc == PHOTA_OK) {
        assert_true(len <= 2);
        memcpy(out + *out_len, rest, len);
        *out_len += len;
    }

    return rc;
}


static void
test_encode(void **state)
{
    size_t   n, len;
    u_char  *p, *out, bytes[600], expected[1024];

    (void) state;

    test_fill(bytes, sizeof(bytes), 1);

    for (n = 0; n <= sizeof(bytes); n++) {
        len = EVP_EncodeBlock(expected, bytes, (int) n);

        assert_int_equal(len, phota_base64_length(n));

        p = test_copy(bytes, n);
        out = malloc(len ? len : 1);
        assert_non_null(out);

        assert_int_equal(phota_base64_encode(out, p, n), len);
        assert_memory_equal(out, expected, len);

        free(out);
        free(p);
    }
}


/* every value of twelve bits, both ways */

static void
test_pairs(void **state)
{
    size_t   len;
    u_char   p[3], text[4], out[3];
    unsigned  i, first, second;

    (void) state;

    for (i = 0; i < 4096; i++) {
        first = i >> 6;
        second = i & 0x3f;

        p[0] = (u_char) (i >> 4);
        p[1] = (u_char) (i << 4);
        p[2] = 0;

        assert_int_equal(phota_base64_encode(text, p, 3), 4);
        assert_int_equal(text[0], TEST_ALPHABET[first]);
        assert_int_equal(text[1], TEST_ALPHABET[second]);

        assert_int_equal(test_decode(text, 4, 4, out, &len), PHOTA_OK);
        assert_int_equal(len, 3);
        assert_memory_equal(out, p, 3);
    }
}


static void
test_round(void **state)
{
    size_t  i, n, k, len, step;
    u_char  bytes[120], text[160], broken[400], out[120];

    (void) state;

    test_fill(bytes, sizeof(bytes), 2);

    for (n = 0; n <= sizeof(bytes); n++) {
        k = phota_base64_encode(text, bytes, n);

        for (step = 1; step <= k + 1; step++) {
            assert_int_equal(test_decode(text, k, step, out, &len), PHOTA_OK);
            assert_int_equal(len, n);
            assert_memory_equal(out, bytes, n);
        }

        /* no padding, the other alphabet, lines of five */

        while (k && text[k - 1] == '=') {
            k--;
        }

        for (i = 0, len = 0; i < k; i++) {
            broken[len++] = (text[i] == '+') ? '-'
                            : (text[i] == '/') ? '_' : text[i];

            if (i % 5 == 4) {
                broken[len++] = "\r\n\t "[i % 4];
            }
        }

        k = len;

        for (step = 1; step <= k + 1; step += 7) {
            assert_int_equal(test_decode(broken, k, step, out, &len),
                             PHOTA_OK);
            assert_int_equal(len, n);
            assert_memory_equal(out, bytes, n);
        }
    }
}


/* each byte at each place of those that are read at once */

static void
test_places(void **state)
{
    int       rc;
    size_t    i, c, len, expected_len;
    u_char    text[104], out[104], expected[104];

    (void) state;

    for (i = 0; i < sizeof(text); i++) {
        for (c = 0; c < 256; c++) {
            test_fill(out, 78, (unsigned) (i * 256 + c));
            assert_int_equal(phota_base64_encode(text, out, 78), 104);

            text[i] = (u_char) c;

            rc = test_decode(text, sizeof(text), 1, expected, &expected_len);

            assert_int_equal(test_decode(text, sizeof(text), sizeof(text),
                                         out, &len), rc);

            if (rc == PHOTA_OK) {
                assert_int_equal(len, expected_len);
                assert_memory_equal(out, expected, len);
            }
        }
    }
}


static void
test_padding(void **state)
{
    int      rc;
    size_t   i, n, len, step;
    u_char   out[64];

    static const struct {
        const char  *text;
        int          rc;
        const char  *out;
    } texts[] = {
        { "", PHOTA_OK, "" },
        { "QQ==", PHOTA_OK, "A" },
        { "QQ", PHOTA_OK, "A" },
        { "QR==", PHOTA_OK, "A" },      /* the last bits are nobody's */
        { "QUI=", PHOTA_OK, "AB" },
        { "QUJ", PHOTA_OK, "AB" },
        { " Q Q = = \n", PHOTA_OK, "A" },
        { "QUJDQUJDQUJDQUJD", PHOTA_OK, "ABCABCABCABC" },
        { "QUJDQUJDQUJDQQ==", PHOTA_OK, "ABCABCABCA" },
        { "QQ=", PHOTA_INVALID, NULL },
        { "Q", PHOTA_INVALID, NULL },
        { "Q=", PHOTA_INVALID, NULL },
        { "Q===", PHOTA_INVALID, NULL },
        { "=", PHOTA_INVALID, NULL },
        { "====", PHOTA_INVALID, NULL },
        { "QUI==", PHOTA_INVALID, NULL },
        { "QQ===", PHOTA_INVALID, NULL },
        { "QUJD=", PHOTA_INVALID, NULL },
        { "QQ==QQ==", PHOTA_INVALID, NULL },
        { "QQ=Q", PHOTA_INVALID, NULL },
        { "QUJDQUJDQUJDQUJDQUJDQUJDQUJDQ", PHOTA_INVALID, NULL },
        { "QUJDQUJDQUJ.QUJDQUJDQUJDQUJDQUJD", PHOTA_INVALID, NULL },
        { "data:;base64,QUJD", PHOTA_INVALID, NULL },
        { "QUJ\f", PHOTA_INVALID, NULL },
        { "QUJ\xc3", PHOTA_INVALID, NULL },
        { "QUJ\xff", PHOTA_INVALID, NULL }
    };

    (void) state;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        n = strlen(texts[i].text);

        for (step = 1; step <= n + 1; step++) {
            rc = test_decode((const u_char *) texts[i].text, n, step, out,
                             &len);
            assert_int_equal(rc, texts[i].rc);

            if (rc == PHOTA_OK) {
                assert_int_equal(len, strlen(texts[i].out));
                assert_memory_equal(out, texts[i].out, len);
            }
        }
    }
}


/* each byte at each place of a long text */

static void
test_bytes(void **state)
{
    int       c, rc, alphabet, space;
    size_t    at, len;
    u_char    text[24], out[24];

    (void) state;

    for (c = 0; c < 256; c++) {
        alphabet = c && (strchr(TEST_ALPHABET, c) || c == '-' || c == '_');
        space = c && strchr(" \t\r\n", c);

        for (at = 0; at < sizeof(text); at++) {
            memset(text, 'A', sizeof(text));
            text[at] = (u_char) c;

            rc = test_decode(text, sizeof(text), sizeof(text), out, &len);

            if (alphabet || (c == '=' && at == sizeof(text) - 1)) {
                assert_int_equal(rc, PHOTA_OK);
                assert_int_equal(len, (c == '=') ? 17 : 18);

            } else if (space) {
                assert_int_equal(rc, PHOTA_OK);
                assert_int_equal(len, 17);

            } else {
                assert_int_equal(rc, PHOTA_INVALID);
            }
        }
    }
}


/* as written by ImageMagick, libheif and libavif, or by their standards */

static void
test_types(void **state)
{
    size_t   i, n;
    u_char  *copy;

    static const struct {
        const char  *head;
        size_t       len;
        size_t       least;     /* bytes that tell it; 0 none do */
        uint8_t      type;
        const char  *mime;
    } files[] = {
        { "\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00"
          "\x00\xff\xdb\x00\x43\x00\x03\x02\x02\x02\x02\x02\x03", 32, 3,
          PHOTA_PICTURE_JPEG, "image/jpeg" },
        { "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x03\x00\x00\x00"
          "\x02\x01\x03\x00\x00\x00\xa7\xba\xf4", 32, 8,
          PHOTA_PICTURE_PNG, "image/png" },
        { "RIFF\x3c\x00\x00\x00WEBPVP8 \x30\x00\x00\x00\xd0\x01\x00\x9d\x01"
          "\x2a\x03\x00\x02\x00\x02\x00", 32, 12,
          PHOTA_PICTURE_WEBP, "image/webp" },
        { "GIF89a\x03\x00\x02\x00\xf0\x00\x00\xff\x00\x00", 16, 6,
          PHOTA_PICTURE_GIF, "image/gif" },
        { "GIF87a\x03\x00\x02\x00", 10, 6, PHOTA_PICTURE_GIF, "image/gif" },
        { "\x00\x00\x00\x18" "ftypheic\x00\x00\x00\x00mif1heic\x00\x00\x01"
          "\xaameta", 32, 12, PHOTA_PICTURE_HEIC, "image/heic" },
        { "\x00\x00\x00\x18" "ftypheix\x00\x00\x00\x00mif1heix", 24, 12,
          PHOTA_PICTURE_HEIC, "image/heic" },
        { "\x00\x00\x00\x18" "ftypmsf1\x00\x00\x00\x00msf1hevc", 24, 12,
          PHOTA_PICTURE_HEIC, "image/heic" },
        { "\x00\x00\x00\x18" "ftyphevc\x00\x00\x00\x00msf1hevc", 24, 12,
          PHOTA_PICTURE_HEIC, "image/heic" },
        { "\x00\x00\x00\x18" "ftypmif1\x00\x00\x00\x00mif1heic", 24, 12,
          PHOTA_PICTURE_HEIC, "image/heic" },
        { "\x00\x00\x00\x1c" "ftypavif\x00\x00\x00\x00" "avifmif1miaf\x00\x00"
          "\x00\xea", 32, 12, PHOTA_PICTURE_AVIF, "image/avif" },
        { "\x00\x00\x00\x1c" "ftypavis\x00\x00\x00\x00" "avismsf1miaf", 28,
          12, PHOTA_PICTURE_AVIF, "image/avif" },

        /* the brand that decides is not the first; nor behind the box */

        { "\x00\x00\x00\x1c" "ftypmif1\x00\x00\x00\x00mif1miafavif", 28, 28,
          PHOTA_PICTURE_AVIF, "image/avif" },
        { "\x00\x00\x00\x18" "ftypmif1\x00\x00\x00\x00mif1miafavif", 28, 12,
          PHOTA_PICTURE_HEIC, "image/heic" },
        { "\xff\xff\xff\xff" "ftypmif1\x00\x00\x00\x00mif1miafavi", 27, 12,
          PHOTA_PICTURE_HEIC, "image/heic" },

        { "\x00\x00\x00\x18" "ftypmp42\x00\x00\x00\x00mp42isom", 24, 0,
          PHOTA_PICTURE_OTHER, "application/octet-stream" },
        { "RIFF\x3c\x00\x00\x00WAVEfmt ", 16, 0,
          PHOTA_PICTURE_OTHER, "application/octet-stream" },
        { "<svg xmlns=\"http://www.w3.org/", 30, 0,
          PHOTA_PICTURE_OTHER, "application/octet-stream" },
        { "GIF88a", 6, 0, PHOTA_PICTURE_OTHER, "application/octet-stream" },
        { "", 0, 0, PHOTA_PICTURE_OTHER, "application/octet-stream" }
    };

    (void) state;

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {

        for (n = 0; n <= files[i].len; n++) {
            copy = test_copy(files[i].head, n);

            if (n >= files[i].least) {
                assert_int_equal(phota_picture_type(copy, n), files[i].type);

            } else if (n < 12) {
                assert_int_equal(phota_picture_type(copy, n),
                                 PHOTA_PICTURE_OTHER);
            }

            free(copy);
        }

        assert_string_equal(phota_picture_mime(files[i].type),
                            files[i].mime);
    }
}


static void
test_names(void **state)
{
    uint8_t   type;
    unsigned  i;

    static const char  *extensions[] = {
        "bin", "jpg", "png", "webp", "gif", "heic", "avif"
    };

    static const char  *others[] = {
        "", "jpeg", "JPG", "jp", "jpgx", "svg", "html"
    };

    (void) state;

    for (i = 0; i < 7; i++) {
        assert_string_equal(phota_picture_extension(i), extensions[i]);
        assert_int_equal(
            phota_picture_by_extension((const u_char *) extensions[i],
                                       strlen(extensions[i]), &type),
            PHOTA_OK);
        assert_int_equal(type, i);
    }

    for (i = 0; i < 7; i++) {
        assert_int_equal(
            phota_picture_by_extension((const u_char *) others[i],
                                       strlen(others[i]), &type),
            PHOTA_DECLINED);
    }

    assert_string_equal(phota_picture_mime(7), "application/octet-stream");
    assert_string_equal(phota_picture_extension(255), "bin");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_names)
    };

    return cmocka_run_group_tests_name("picture", tests, NULL, NULL);
}
