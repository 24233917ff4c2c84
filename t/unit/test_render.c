
/*
 * render: one result whole is told word for word, several and parts with sums;
 * as base64 and as links, however the text around the pictures is laid out, and
 * never beyond what a damaged result holds.
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
#include <openssl/evp.h>

#include "phota_record.h"
#include "phota_render.h"


#define TEST_TENANT   7
#define TEST_EXPIRES  1764000000
#define TEST_NOW      (TEST_EXPIRES - 3600)
#define TEST_BASE     "https://gate/r/"
#define TEST_ROUNDS   20000


/* what a result is made of, and the result: its texts in their own memory */

typedef struct {
    const char      *skeleton;
    const char      *counts;        /* as it stands in it, NULL: none */
    unsigned         npictures;
    uint32_t         scope;

    phota_result_t   result;
    u_char          *text;
    u_char          *subjects;
} test_result_t;


static phota_linker_t  test_linker;


static test_result_t  test_results[] = {

    /* behind, between, before the lists; the other way round; in its own way */

    { .skeleton = "{\"images\":[],\"download_urls\":[],"
                  "\"known_subjects\":{\"counts\":{\"ann\":2,\"bob\":1}}}",
      .counts = "{\"ann\":2,\"bob\":1}", .npictures = 2,
      .scope = TEST_TENANT },

    { .skeleton = "{ \"download_urls\" : [],\n \"known_subjects\": {"
                  "\"counts\" : {\"bob\": 5,\n\"c\\u0061t\":0 } },\n"
                  " \"images\":[]\n}\n",
      .counts = "{\"bob\": 5,\n\"c\\u0061t\":0 }", .npictures = 1,
      .scope = PHOTA_SHARED },

    { .skeleton = "{\"known_subjects\":{\"counts\":{}},\"download_urls\":[],"
                  "\"x\":[],\"images\":[],\"y\":{\"counts\":{\"ann\":9}}}",
      .counts = "{}", .npictures = 3, .scope = TEST_TENANT }
};

#define TEST_RESULTS  (sizeof(test_results) / sizeof(test_results[0]))


static int
test_setup(void **state)
{
    phota_master_t  master;

    (void) state;

    memset(&master, 0, sizeof(phota_master_t));
    memset(master.b, 0x5a, PHOTA_MASTER_LEN);

    return phota_link_init(&test_linker, &master);
}


static uint32_t
test_at(const char *text, const char *what)
{
    const char  *found;

    found = strstr(text, what);
    assert_non_null(found);

    return (uint32_t) (found - text);
}


/* in the order in which jansson keeps them: that of the text */

static void
test_subjects(test_result_t *t)
{
    char         raw[64];
    size_t       len;
    u_char      *p;
    json_t      *counts, *value;
    const char  *name;

    t->subjects = NULL;
    t->result.subjects_len = 0;

    if (t->counts == NULL) {
        return;
    }

    counts = json_loads(t->counts, 0, NULL);
    assert_non_null(counts);

    json_object_foreach(counts, name, value) {

        /* as it stands there */

        snprintf(raw, sizeof(raw), "%s",
                 (strcmp(name, "cat") == 0) ? "c\\u0061t" : name);
        len = strlen(raw);

        t->subjects = realloc(t->subjects, t->result.subjects_len + 6 + len);
        assert_non_null(t->subjects);

        p = t->subjects + t->result.subjects_len;
        phota_put_le(p, (uint64_t) json_integer_value(value), 4);
        phota_put_le(p + 4, len, 2);
        memcpy(p + 6, raw, len);
        t->result.subjects_len += 6 + len;
    }

    json_decref(counts);
}


static void
test_build(test_result_t *t)
{
    unsigned         i;
    phota_result_t  *r;
    static unsigned  seed;

    r = &t->result;
    memset(r, 0, sizeof(phota_result_t));

    r->scope = t->scope;
    r->npictures = t->npictures;
    r->skeleton_len = (uint32_t) strlen(t->skeleton);
    r->images_at = test_at(t->skeleton, "\"images\"");
    r->images_at += test_at(t->skeleton + r->images_at, "[") + 1;
    r->urls_at = test_at(t->skeleton, "\"download_urls\"");
    r->urls_at += test_at(t->skeleton + r->urls_at, "[") + 1;

    if (t->counts) {
        r->counts_at = test_at(t->skeleton, t->counts);
        r->counts_len = (uint32_t) strlen(t->counts);
    }

    for (i = 0; i < t->npictures; i++) {
        memset(r->pictures[i].digest, (int) seed++, PHOTA_SHA256_LEN);
        r->pictures[i].length = 1 + seed % 7;
        r->pictures[i].type = (uint8_t) (seed % 3);
        r->pictures[i].prefixed = (seed % 5 == 0);
    }

    t->text = malloc(r->skeleton_len);
    assert_non_null(t->text);
    memcpy(t->text, t->skeleton, r->skeleton_len);

    test_subjects(t);

    r->skeleton = t->text;
    r->subjects = t->subjects;
}


static void
test_drop(test_result_t *t)
{
    free(t->text);
    free(t->subjects);
}


static int
test_build_all(void **state)
{
    unsigned  i;

    (void) state;

    for (i = 0; i < TEST_RESULTS; i++) {
        test_build(&test_results[i]);
    }

    return 0;
}


static int
test_drop_all(void **state)
{
    unsigned  i;

    (void) state;

    for (i = 0; i < TEST_RESULTS; i++) {
        test_drop(&test_results[i]);
    }

    return 0;
}


/* its digest's first bytes are a picture's bytes */

static void
test_base64(char *text, const phota_picture_t *picture)
{
    assert_true(picture->length <= PHOTA_SHA256_LEN);
    (void) EVP_EncodeBlock((u_char *) text, picture->digest,
                           (int) picture->length);
}


static void
test_telling(phota_telling_t *telling, int links)
{
    static const phota_str_t  base = phota_string(TEST_BASE);

    memset(telling, 0, sizeof(phota_telling_t));

    if (links) {
        telling->linker = &test_linker;
        telling->base = base;
        telling->tenant = TEST_TENANT;
        telling->expires = TEST_EXPIRES;
    }
}


/* pieces in a row, with as much room as was asked for and no byte more */

static char *
test_render(const phota_pick_t *picks, unsigned npicks, int links, int *rc)
{
    char               *answer, base64[64];
    size_t              len, n;
    u_char             *text;
    unsigned            i;
    phota_piece_t      *piece;
    phota_telling_t     telling;
    phota_rendering_t   rendering;

    test_telling(&telling, links);

    text = malloc(phota_render_room(picks, npicks, &telling));
    assert_non_null(text);

    *rc = phota_render(picks, npicks, &telling, text, &rendering);

    if (*rc != PHOTA_OK) {
        free(text);
        return NULL;
    }

    assert_true(rendering.npieces <= PHOTA_PIECES_MAX);

    answer = malloc(rendering.length + 1);
    assert_non_null(answer);

    for (i = 0, len = 0; i < rendering.npieces; i++) {
        piece = &rendering.pieces[i];

        /* texts that lie together are one */

        assert_true((piece->text != NULL) == (i % 2 == 0));
        n = piece->len;

        if (piece->text == NULL) {
            test_base64(base64, piece->picture);
            n = strlen(base64);
        }

        assert_true(len + n <= rendering.length);
        memcpy(answer + len, piece->text ? (void *) piece->text : base64, n);
        len += n;
    }

    assert_int_equal(len, rendering.length);
    answer[len] = '\0';
    free(text);

    return answer;
}


static void
test_list(json_t *list, const phota_pick_t *picks, unsigned npicks, int links)
{
    char                    expected[128];
    size_t                  n;
    unsigned                i, k;
    const char             *text, *args;
    phota_link_t            link;
    const phota_picture_t  *picture;

    for (i = 0, n = 0; i < npicks; i++) {
        for (k = 0; k < picks[i].count; k++, n++) {
            picture = &picks[i].result->pictures[picks[i].first + k];
            text = json_string_value(json_array_get(list, n));
            assert_non_null(text);

            if (!links) {
                snprintf(expected, sizeof(expected), "%s%s%s",
                         picture->prefixed ? "data:" : "",
                         picture->prefixed
                         ? phota_picture_mime(picture->type) : "",
                         picture->prefixed ? ";base64," : "");
                test_base64(expected + strlen(expected), picture);
                assert_string_equal(text, expected);
                continue;
            }

            assert_memory_equal(text, TEST_BASE, strlen(TEST_BASE));
            text += strlen(TEST_BASE);
            args = strchr(text, '?');
            assert_non_null(args);
            assert_int_equal(phota_link_parse(&test_linker, (u_char *) text,
                                              args - text,
                                              (u_char *) args + 1,
                                              strlen(args + 1), TEST_NOW,
                                              &link),
                             PHOTA_OK);
            assert_int_equal(link.tenant, TEST_TENANT);
            assert_int_equal(link.scope, picks[i].result->scope);
            assert_int_equal(link.expires, TEST_EXPIRES);
            assert_int_equal(link.type, picture->type);
            assert_memory_equal(link.digest, picture->digest,
                                PHOTA_SHA256_LEN);
        }
    }

    assert_int_equal(json_array_size(list), n);
}


/* by result: how many of it are told, and what of its counts that leaves */

static json_t *
test_sums(const phota_pick_t *picks, unsigned npicks)
{
    json_t         *sums, *counts, *value;
    unsigned        i, k, told;
    json_int_t      n;
    const char     *name;
    test_result_t  *t;

    sums = json_object();

    for (k = 0; k < TEST_RESULTS; k++) {
        t = &test_results[k];

        for (i = 0, told = 0; i < npicks; i++) {
            if (picks[i].result == &t->result) {
                told += picks[i].count;
            }
        }

        if (told == 0 || t->counts == NULL) {
            continue;
        }

        counts = json_loads(t->counts, 0, NULL);

        json_object_foreach(counts, name, value) {
            n = json_integer_value(value);
            n = (n < told) ? n : told;
            n += json_integer_value(json_object_get(sums, name));
            json_object_set_new(sums, name, json_integer(n));
        }

        json_decref(counts);
    }

    return sums;
}


/* everything but lists and counts is the last one's */

static void
test_answer_is(const char *answer, const phota_pick_t *picks, unsigned npicks,
    int links)
{
    int             whole;
    json_t         *json, *expected, *list;
    test_result_t  *last;

    last = (test_result_t *) ((char *) picks[npicks - 1].result
                              - offsetof(test_result_t, result));

    json = json_loads(answer, JSON_REJECT_DUPLICATES, NULL);

    if (json == NULL) {
        fail_msg("not JSON: %s", answer);
    }

    list = json_object_get(json, links ? "download_urls" : "images");
    test_list(list, picks, npicks, links);
    json_array_clear(list);

    expected = json_loads(last->skeleton, 0, NULL);
    whole = (npicks == 1 && picks->count == picks->result->npictures);

    if (!whole && last->counts) {
        json_object_set_new(json_object_get(expected, "known_subjects"),
                            "counts", test_sums(picks, npicks));
    }

    if (!json_equal(json, expected)) {
        fail_msg("expected another: %s", answer);
    }

    json_decref(json);
    json_decref(expected);
}


/* every list of up to three picks, each result in any of them */

static void
test_all_picks(void **state)
{
    int            rc, links;
    char          *answer;
    unsigned       i, n, first, count, npicks, nparts, number, part;
    phota_pick_t   picks[3], parts[10];

    (void) state;

    nparts = 0;

    for (i = 0; i < TEST_RESULTS; i++) {
        for (first = 0; first < test_results[i].npictures; first++) {
            n = test_results[i].npictures - first;

            for (count = 1; count <= n; count++) {
                parts[nparts].result = &test_results[i].result;
                parts[nparts].first = first;
                parts[nparts].count = count;
                nparts++;
            }
        }
    }

    assert_int_equal(nparts, 10);

    for (npicks = 1, n = 10; npicks <= 3; npicks++, n *= 10) {
        for (number = 0; number < n; number++) {

            for (i = 0, part = number; i < npicks; i++, part /= 10) {
                picks[i] = parts[part % 10];
            }

            for (links = 0; links < 2; links++) {
                answer = test_render(picks, npicks, links, &rc);
                assert_int_equal(rc, PHOTA_OK);
                test_answer_is(answer, picks, npicks, links);
                free(answer);
            }
        }
    }
}


static void
test_text(const phota_pick_t *picks, unsigned npicks, const char *expected)
{
    int    rc;
    char  *answer;

    answer = test_render(picks, npicks, 0, &rc);
    assert_int_equal(rc, PHOTA_OK);
    assert_string_equal(answer, expected);
    free(answer);
}


static void
test_verbatim(void **state)
{
    unsigned         i;
    phota_pick_t     picks[3];
    phota_result_t  *r;

    (void) state;

    for (i = 0; i < TEST_RESULTS; i++) {
        r = &test_results[i].result;

        memset(r->pictures[0].digest, 'A', PHOTA_SHA256_LEN);
        memset(r->pictures[1].digest, 'B', PHOTA_SHA256_LEN);
        memset(r->pictures[2].digest, 'C', PHOTA_SHA256_LEN);

        r->pictures[0].length = 3;
        r->pictures[1].length = 2;
        r->pictures[2].length = 1;
        r->pictures[0].prefixed = 0;
        r->pictures[1].prefixed = 1;
        r->pictures[1].type = PHOTA_PICTURE_PNG;
        r->pictures[2].prefixed = 1;
        r->pictures[2].type = 99;

        picks[i].result = r;
        picks[i].first = 0;
        picks[i].count = r->npictures;
    }

    /* each whole: nothing else changes, zeros and white space stay */

    test_text(&picks[0], 1, "{\"images\":[\"QUFB\","
              "\"data:image/png;base64,QkI=\"],\"download_urls\":[],"
              "\"known_subjects\":{\"counts\":{\"ann\":2,\"bob\":1}}}");
    test_text(&picks[1], 1, "{ \"download_urls\" : [],\n \"known_subjects\": {"
              "\"counts\" : {\"bob\": 5,\n\"c\\u0061t\":0 } },\n"
              " \"images\":[\"QUFB\"]\n}\n");
    test_text(&picks[2], 1, "{\"known_subjects\":{\"counts\":{}},"
              "\"download_urls\":[],\"x\":[],\"images\":[\"QUFB\","
              "\"data:image/png;base64,QkI=\","
              "\"data:application/octet-stream;base64,Qw==\"],"
              "\"y\":{\"counts\":{\"ann\":9}}}");

    /* all three: 2 and 1, 5 of which one picture can't show more than 1 */

    test_text(picks, 3, "{\"known_subjects\":{\"counts\":{\"ann\":2,\"bob\":2,"
              "\"c\\u0061t\":0}},\"download_urls\":[],\"x\":[],\"images\":["
              "\"QUFB\",\"data:image/png;base64,QkI=\",\"QUFB\",\"QUFB\","
              "\"data:image/png;base64,QkI=\","
              "\"data:application/octet-stream;base64,Qw==\"],"
              "\"y\":{\"counts\":{\"ann\":9}}}");

    /* a part, and one in two parts */

    picks[0].count = 1;
    test_text(picks, 1, "{\"images\":[\"QUFB\"],\"download_urls\":[],"
              "\"known_subjects\":{\"counts\":{\"ann\":1,\"bob\":1}}}");

    picks[1] = picks[0];
    picks[0].first = 1;
    test_text(picks, 2, "{\"images\":[\"data:image/png;base64,QkI=\","
              "\"QUFB\"],\"download_urls\":[],"
              "\"known_subjects\":{\"counts\":{\"ann\":2,\"bob\":1}}}");
}


static void
test_no_counts(void **state)
{
    phota_pick_t   picks[2];
    test_result_t  none;

    (void) state;

    memset(&none, 0, sizeof(none));

    none.skeleton = "{\"images\":[],\"download_urls\":[],"
                    "\"known_subjects\":null}";
    none.npictures = 2;
    test_build(&none);

    memset(none.result.pictures[0].digest, 'X', PHOTA_SHA256_LEN);
    none.result.pictures[0].length = 3;
    none.result.pictures[0].prefixed = 0;

    picks[0].result = &none.result;
    picks[0].first = 0;
    picks[0].count = 1;

    /* a part of it is as it is, and so is the last */

    test_text(picks, 1, "{\"images\":[\"WFhY\"],\"download_urls\":[],"
              "\"known_subjects\":null}");

    memset(test_results[0].result.pictures[0].digest, 'A', PHOTA_SHA256_LEN);
    test_results[0].result.pictures[0].length = 3;
    test_results[0].result.pictures[0].prefixed = 0;

    picks[1] = picks[0];
    picks[0].result = &test_results[0].result;
    test_text(picks, 2, "{\"images\":[\"QUFB\",\"WFhY\"],\"download_urls\":[],"
              "\"known_subjects\":null}");

    /* and adds nothing to others */

    picks[0] = picks[1];
    picks[1].result = &test_results[0].result;
    test_text(picks, 2, "{\"images\":[\"WFhY\",\"QUFB\"],\"download_urls\":[],"
              "\"known_subjects\":{\"counts\":{\"ann\":1,\"bob\":1}}}");

    test_drop(&none);
}


static void
test_limits(void **state)
{
    int              rc, links;
    char            *answer;
    unsigned         i;
    phota_pick_t     picks[PHOTA_PICTURES_MAX + 1];
    test_result_t    many;

    (void) state;

    memset(&many, 0, sizeof(many));

    many.skeleton = "{\"images\":[],\"download_urls\":[]}";
    many.npictures = PHOTA_PICTURES_MAX;
    many.scope = TEST_TENANT;
    test_build(&many);

    for (i = 0; i <= PHOTA_PICTURES_MAX; i++) {
        picks[i].result = &many.result;
        picks[i].first = i % PHOTA_PICTURES_MAX;
        picks[i].count = 1;
    }

    for (links = 0; links < 2; links++) {

        answer = test_render(picks, PHOTA_PICTURES_MAX, links, &rc);
        assert_int_equal(rc, PHOTA_OK);
        test_answer_is(answer, picks, PHOTA_PICTURES_MAX, links);
        free(answer);

        assert_null(test_render(picks, PHOTA_PICTURES_MAX + 1, links, &rc));
        assert_int_equal(rc, PHOTA_INVALID);

        assert_null(test_render(picks, 0, links, &rc));
        assert_int_equal(rc, PHOTA_INVALID);
    }

    /* not there: before, behind, so many that it wraps around */

    picks[0].count = 0;
    assert_null(test_render(picks, 1, 0, &rc));
    assert_int_equal(rc, PHOTA_INVALID);

    picks[0].first = 1;
    picks[0].count = PHOTA_PICTURES_MAX;
    assert_null(test_render(picks, 1, 0, &rc));
    assert_int_equal(rc, PHOTA_INVALID);

    picks[0].count = UINT32_MAX;
    assert_null(test_render(picks, 1, 0, &rc));
    assert_int_equal(rc, PHOTA_INVALID);

    picks[0].first = UINT32_MAX;
    picks[0].count = 2;
    assert_null(test_render(picks, 1, 0, &rc));
    assert_int_equal(rc, PHOTA_INVALID);

    test_drop(&many);
}


/* as many names as there can be, all of them different, or all alike */

static void
test_many_subjects(void **state)
{
    int               rc;
    char             *answer, *name;
    u_char           *p;
    json_t           *json, *counts;
    unsigned          i, k, alike, n;
    phota_pick_t      picks[PHOTA_PICTURES_MAX];
    test_result_t    *many;

    (void) state;

    n = PHOTA_SUBJECTS_MAX / 9;

    many = calloc(PHOTA_PICTURES_MAX, sizeof(test_result_t));
    assert_non_null(many);

    for (alike = 0; alike < 2; alike++) {

        for (i = 0; i < PHOTA_PICTURES_MAX; i++) {
            many[i].skeleton = "{\"images\":[],\"download_urls\":[],"
                               "\"known_subjects\":{\"counts\":{}}}";
            many[i].counts = "{}";
            many[i].npictures = 2;
            test_build(&many[i]);

            p = calloc(n, 9);
            assert_non_null(p);

            many[i].subjects = p;
            many[i].result.subjects = p;
            many[i].result.subjects_len = n * 9;

            for (k = 0; k < n; k++, p += 9) {
                phota_put_le(p, UINT32_MAX, 4);
                phota_put_le(p + 4, 3, 2);
                p[6] = (u_char) (alike ? 'a' : 'a' + i);
                p[7] = (u_char) ('0' + k / 64);
                p[8] = (u_char) ('0' + k % 64);
                p[8] = (u_char) ((p[8] == '\\') ? '~' : p[8]);
            }

            picks[i].result = &many[i].result;
            picks[i].first = 0;
            picks[i].count = 1;
        }

        answer = test_render(picks, PHOTA_PICTURES_MAX, 0, &rc);
        assert_int_equal(rc, PHOTA_OK);

        json = json_loads(answer, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(json);

        counts = json_object_get(json_object_get(json, "known_subjects"),
                                 "counts");
        assert_int_equal(json_object_size(counts),
                         alike ? n : n * PHOTA_PICTURES_MAX);

        name = (char *) json_object_iter_key(json_object_iter(counts));
        assert_int_equal(json_integer_value(json_object_get(counts, name)),
                         alike ? PHOTA_PICTURES_MAX : 1);

        json_decref(json);
        free(answer);

        for (i = 0; i < PHOTA_PICTURES_MAX; i++) {
            test_drop(&many[i]);
        }
    }

    free(many);
}


static void
test_refused(phota_result_t *r)
{
    int           rc, links;
    phota_pick_t  pick;

    pick.result = r;
    pick.first = 0;
    pick.count = 1;

    for (links = 0; links < 2; links++) {
        assert_null(test_render(&pick, 1, links, &rc));
        assert_int_equal(rc, PHOTA_INVALID);
    }
}


#define test_broken(member, value)                                            \
    do {                                                                      \
        r = test_results[0].result;                                           \
        r.member = (value);                                                   \
        test_refused(&r);                                                     \
    } while (0)


static void
test_damaged(void **state)
{
    phota_result_t  r;

    (void) state;

    test_broken(skeleton_len, UINT32_MAX);
    test_broken(skeleton_len, PHOTA_SKELETON_MAX + 1);
    test_broken(skeleton_len, 0);
    test_broken(skeleton_len, r.images_at);
    test_broken(skeleton_len, r.counts_at + r.counts_len - 1);
    test_broken(images_at, 0);
    test_broken(images_at, UINT32_MAX);
    test_broken(images_at, r.skeleton_len);
    test_broken(images_at, r.images_at + 1);
    test_broken(images_at, r.urls_at);
    test_broken(urls_at, 0);
    test_broken(urls_at, r.skeleton_len);
    test_broken(urls_at, r.urls_at - 1);
    test_broken(counts_at, UINT32_MAX);
    test_broken(counts_at, r.skeleton_len);
    test_broken(counts_at, 0);
    test_broken(counts_len, UINT32_MAX);
    test_broken(counts_len, r.counts_len - 1);
    test_broken(counts_len, 1);
    test_broken(counts_len, 0);
    test_broken(subjects_len, UINT32_MAX);
    test_broken(subjects_len, PHOTA_SUBJECTS_MAX + 1);
    test_broken(subjects_len, 5);
    test_broken(subjects_len, r.subjects_len - 1);
    test_broken(npictures, 0);
    test_broken(npictures, PHOTA_PICTURES_MAX + 1);
    test_broken(npictures, UINT32_MAX);
    test_broken(pictures[0].length, 0);
    test_broken(pictures[0].length, UINT64_MAX);
    test_broken(pictures[1].length, 1ull << 62);

    /* a list within the counts: "counts":{"x":[]} would be cut in two */

    r = test_results[0].result;
    r.counts_at = 0;
    r.counts_len = r.skeleton_len;
    test_refused(&r);

    /* a list that isn't one, or isn't empty */

    r = test_results[0].result;

    test_results[0].text[r.images_at] = ' ';
    test_refused(&r);
    test_results[0].text[r.images_at] = ']';

    test_results[0].text[r.urls_at - 1] = '{';
    test_refused(&r);
}


/* a foreign result has no link */

static void
test_foreign(void **state)
{
    int             rc;
    char           *answer;
    phota_pick_t    pick;
    phota_result_t  r;

    (void) state;

    r = test_results[0].result;
    r.scope = TEST_TENANT + 1;

    pick.result = &r;
    pick.first = 0;
    pick.count = 1;

    assert_null(test_render(&pick, 1, 1, &rc));
    assert_int_equal(rc, PHOTA_INVALID);

    answer = test_render(&pick, 1, 0, &rc);
    assert_int_equal(rc, PHOTA_OK);
    free(answer);
}


/* some bytes of it are others: told or refused, but never beyond its memory */

static void
test_random_damage(void **state)
{
    int              rc, told;
    char            *answer;
    u_char          *text, *subjects;
    unsigned         i, k, seed;
    phota_pick_t     picks[2];
    phota_result_t   r, *good;

    static const size_t  members[] = {
        offsetof(phota_result_t, images_at),
        offsetof(phota_result_t, urls_at),
        offsetof(phota_result_t, counts_at),
        offsetof(phota_result_t, counts_len)
    };

    (void) state;

    seed = 1;
    told = 0;

    for (i = 0; i < TEST_ROUNDS; i++) {
        good = &test_results[i % TEST_RESULTS].result;
        r = *good;

        text = malloc(r.skeleton_len);
        subjects = malloc(r.subjects_len ? r.subjects_len : 1);
        assert_true(text && subjects);
        memcpy(text, good->skeleton, r.skeleton_len);

        if (r.subjects_len) {
            memcpy(subjects, good->subjects, r.subjects_len);
        }

        r.skeleton = text;
        r.subjects = subjects;

        for (k = 0; k < 2; k++) {
            switch (rand_r(&seed) % 3) {

            case 0:
                text[rand_r(&seed) % r.skeleton_len] =
                                       (u_char) "[]{}\"x"[rand_r(&seed) % 6];
                break;

            case 1:
                *(uint32_t *) ((u_char *) &r + members[rand_r(&seed) % 4]) =
                                           rand_r(&seed) % r.skeleton_len;
                break;

            default:
                if (r.subjects_len) {
                    subjects[rand_r(&seed) % r.subjects_len] =
                                               (u_char) (rand_r(&seed) % 8);
                }

                break;
            }
        }

        picks[0].result = good;
        picks[0].first = 0;
        picks[0].count = 1;
        picks[1].result = &r;
        picks[1].first = r.npictures - 1;
        picks[1].count = 1;

        for (k = 0; k < 2; k++) {
            answer = test_render(picks, 2, (int) k, &rc);
            assert_true(rc == PHOTA_OK || rc == PHOTA_INVALID);
            told += (rc == PHOTA_OK);
            free(answer);
        }

        free(text);
        free(subjects);
    }

    assert_in_range(told, TEST_ROUNDS / 10, 2 * TEST_ROUNDS - 1);
}


/* of a body: as base64 whatever is asked for, alone, and nowhere else */

static void
test_body(void **state)
{
    int             rc, links;
    char           *answer;
    phota_pick_t    picks[2];
    phota_result_t  r, good;

    static u_char  text[] = "{\"status_code\":200,\"body\" : \"\"}";

    (void) state;

    memset(&good, 0, sizeof(good));
    good.skeleton = text;
    good.skeleton_len = sizeof(text) - 1;
    good.images_at = sizeof(text) - 1 - 2;
    good.npictures = 1;
    good.scope = TEST_TENANT + 1;
    good.pictures[0].length = 3;
    memcpy(good.pictures[0].digest, "ABC", 3);

    r = good;
    picks[0].result = &r;
    picks[0].first = 0;
    picks[0].count = 1;
    picks[1] = picks[0];

    for (links = 0; links < 2; links++) {
        answer = test_render(picks, 1, links, &rc);
        assert_int_equal(rc, PHOTA_OK);
        assert_string_equal(answer,
                            "{\"status_code\":200,\"body\" : \"QUJD\"}");
        free(answer);

        assert_null(test_render(picks, 2, links, &rc));
        assert_int_equal(rc, PHOTA_INVALID);

        picks[1].result = &test_results[0].result;
        assert_null(test_render(picks, 2, links, &rc));
        assert_int_equal(rc, PHOTA_INVALID);
        picks[1].result = &r;
    }

    r.pictures[0].prefixed = 1;
    r.pictures[0].type = PHOTA_PICTURE_PNG;
    answer = test_render(picks, 1, 1, &rc);
    assert_int_equal(rc, PHOTA_OK);
    assert_string_equal(answer, "{\"status_code\":200,\"body\" : "
                        "\"data:image/png;base64,QUJD\"}");
    free(answer);

    r = good;
    r.npictures = 2;
    r.pictures[1] = r.pictures[0];
    test_refused(&r);

    r = good;
    r.images_at++;
    test_refused(&r);
    r.images_at = 0;
    test_refused(&r);
    r.images_at = r.skeleton_len;
    test_refused(&r);
    r.images_at = UINT32_MAX;
    test_refused(&r);

    r = good;
    r.counts_at = 1;
    test_refused(&r);
    r.counts_at = 0;
    r.counts_len = r.skeleton_len;
    test_refused(&r);

    r = good;
    r.urls_at = r.images_at;
    test_refused(&r);
    r.urls_at = 1;
    test_refused(&r);

    r = good;
    r.subjects = (u_char *) "\1\0\0\0\1\0a";
    r.subjects_len = 7;
    test_refused(&r);
}


#define TEST(name)                                                            \
    cmocka_unit_test_setup_teardown(name, test_build_all, test_drop_all)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_all_picks),
        TEST(test_verbatim),
        TEST(test_no_counts),
        TEST(test_limits),
        TEST(test_many_subjects),
        TEST(test_damaged),
        TEST(test_foreign),
        TEST(test_random_damage),
        TEST(test_body)
    };

    return cmocka_run_group_tests_name("render", tests, test_setup, NULL);
}
