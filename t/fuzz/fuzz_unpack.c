
/*
 * Fuzzes what takes answers of either kind apart, what counts them, and base64
 * by itself.  What is said is held against jansson's reading of the same text
 * and a decoder that takes one character after the other.
 *
 * Where jansson can't judge: it keeps one of several members of one name, and
 * refuses NUL in a name and numbers that are too large for it.
 */


#include <stdio.h>
#include <strings.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "fuzz_cut.h"
#include "phota_answer.h"
#include "phota_record.h"
#include "phota_unpack.h"


#define FUZZ_HEADER  256            /* "data:...;base64," ends within it */


#define fuzz_assert(cond)                                                     \
    if (!(cond)) {                                                            \
        fprintf(stderr, "line %d: %s\n", __LINE__, #cond);                    \
        abort();                                                              \
    }


typedef struct {
    const u_char     *data;
    size_t            size;
} fuzz_text_t;


typedef struct {
    u_char           *bytes[PHOTA_PICTURES_MAX];
    size_t            len[PHOTA_PICTURES_MAX];
} fuzz_pictures_t;


typedef struct {
    phota_base64_t    base64;
    u_char           *out;
    size_t            len;
} fuzz_decoder_t;


int LLVMFuzzerTestOneInput(const u_char *data, size_t size);


static const char  fuzz_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";


static void *
fuzz_alloc(size_t n)
{
    void  *p;

    p = malloc(n ? n : 1);
    fuzz_assert(p != NULL);

    return p;
}


/* one character after the other; -1 when it is no base64 */

static ssize_t
fuzz_decode(const u_char *p, size_t n, u_char *out)
{
    size_t       i, len, count, pad;
    uint32_t     bits;
    const char  *found;

    len = 0;
    pad = 0;
    bits = 0;
    count = 0;

    for (i = 0; i < n; i++) {

        if (p[i] == ' ' || p[i] == '\t' || p[i] == '\r' || p[i] == '\n') {
            continue;
        }

        if (p[i] == '=') {
            pad++;
            continue;
        }

        found = (p[i] == '-') ? strchr(fuzz_alphabet, '+')
                : (p[i] == '_') ? strchr(fuzz_alphabet, '/')
                : p[i] ? strchr(fuzz_alphabet, p[i]) : NULL;

        if (found == NULL || pad) {
            return -1;
        }

        bits = bits << 6 | (uint32_t) (found - fuzz_alphabet);
        count++;

        if (count % 4 != 1) {
            out[len++] = (u_char) (bits >> (6 - 2 * ((count - 1) % 4)));
        }
    }

    if (count % 4 == 1 || (pad && (count % 4 == 0 || count % 4 + pad != 4))) {
        return -1;
    }

    return (ssize_t) len;
}


static int
fuzz_feed(void *ctx, const u_char *p, size_t n)
{
    int              rc;
    size_t           len;
    u_char          *room;
    fuzz_decoder_t  *d = ctx;

    room = fuzz_alloc((n + 3) / 4 * 3);
    rc = phota_base64_update(&d->base64, p, n, room, &len);

    if (rc == PHOTA_OK) {
        fuzz_assert(len <= (n + 3) / 4 * 3);
        memcpy(d->out + d->len, room, len);
        d->len += len;
    }

    free(room);

    return rc;
}


static void
fuzz_base64(const u_char *data, size_t size)
{
    int             rc;
    size_t          len;
    u_char         *expected, *text;
    ssize_t         n;
    unsigned        way;
    fuzz_decoder_t  d;

    expected = fuzz_alloc(size);
    n = fuzz_decode(data, size, expected);
    d.out = fuzz_alloc(size + 3);

    for (way = 0; way < FUZZ_CUTS; way++) {
        d.len = 0;
        phota_base64_init(&d.base64);

        rc = fuzz_cut(fuzz_feed, &d, data, size, way);

        if (rc == PHOTA_OK) {
            rc = phota_base64_final(&d.base64, d.out + d.len, &len);
            d.len += len;
        }

        fuzz_assert(rc == ((n == -1) ? PHOTA_INVALID : PHOTA_OK));
        fuzz_assert(n == -1 || (d.len == (size_t) n
                                && memcmp(d.out, expected, n) == 0));
    }

    /* and back: any bytes are a picture */

    len = phota_base64_length(size);
    text = fuzz_alloc(len);

    fuzz_assert(phota_base64_encode(text, data, size) == len);

    free(expected);
    expected = fuzz_alloc(len);

    fuzz_assert(fuzz_decode(text, len, expected) == (ssize_t) size);
    fuzz_assert(memcmp(expected, data, size) == 0);

    (void) phota_picture_type(data, size);

    free(text);
    free(expected);
    free(d.out);
}


static int
fuzz_read(void *ctx, u_char *buf, size_t len, uint64_t offset)
{
    fuzz_text_t  *text = ctx;

    fuzz_assert(len && offset + len <= text->size);
    memcpy(buf, text->data + offset, len);

    return PHOTA_OK;
}


static int
fuzz_picture(void *ctx, unsigned picture, const u_char *p, size_t n)
{
    fuzz_pictures_t  *pictures = ctx;

    fuzz_assert(picture < PHOTA_PICTURES_MAX && n && n <= 49152);

    pictures->bytes[picture] = realloc(pictures->bytes[picture],
                                       pictures->len[picture] + n);
    fuzz_assert(pictures->bytes[picture]);

    memcpy(pictures->bytes[picture] + pictures->len[picture], p, n);
    pictures->len[picture] += n;

    return PHOTA_OK;
}


/* bytes of an element, -1 when it is none; out has as many as its text */

static ssize_t
fuzz_element(const json_t *element, u_char *out, unsigned *prefixed)
{
    size_t       n;
    ssize_t      len;
    const char  *p, *comma;

    if (!json_is_string(element)) {
        return -1;
    }

    *prefixed = 0;
    p = json_string_value(element);
    n = json_string_length(element);

    if (n >= 5 && strncasecmp(p, "data:", 5) == 0) {
        comma = memchr(p, ',', n);

        if (comma == NULL || comma - p >= FUZZ_HEADER || comma - p < 12
            || strncasecmp(comma - 7, ";base64,", 8) != 0)
        {
            return -1;
        }

        *prefixed = 1;
        n -= comma + 1 - p;
        p = comma + 1;
    }

    len = fuzz_decode((const u_char *) p, n, out);

    return (len == 0) ? -1 : len;
}


/* whether a picture can be kept; when it was, whether as it should */

static int
fuzz_told(const json_t *element, unsigned i, const phota_unpacked_t *unpacked,
    const fuzz_pictures_t *pictures)
{
    u_char   *out, digest[PHOTA_SHA256_LEN];
    ssize_t   len;
    unsigned  prefixed;

    out = fuzz_alloc(json_string_length(element));
    len = fuzz_element(element, out, &prefixed);

    if (unpacked && len > 0) {
        EVP_Digest(out, len, digest, NULL, EVP_sha256(), NULL);

        fuzz_assert(unpacked->pictures[i].length == (size_t) len);
        fuzz_assert(unpacked->pictures[i].prefixed == prefixed);
        fuzz_assert(unpacked->pictures[i].type
                    == phota_picture_type(out, len));
        fuzz_assert(memcmp(unpacked->pictures[i].digest, digest,
                           sizeof(digest)) == 0);
        fuzz_assert(pictures->len[i] == (size_t) len);
        fuzz_assert(memcmp(pictures->bytes[i], out, len) == 0);
    }

    free(out);

    return len > 0;
}


static int
fuzz_images(const json_t *images, const phota_unpacked_t *unpacked,
    const fuzz_pictures_t *pictures)
{
    size_t  i, n;

    n = json_array_size(images);

    if (!json_is_array(images) || n == 0 || n > PHOTA_PICTURES_MAX) {
        return 0;
    }

    if (unpacked) {
        fuzz_assert(unpacked->npictures == n);
    }

    for (i = 0; i < n; i++) {
        if (!fuzz_told(json_array_get(images, i), (unsigned) i, unpacked,
                       pictures))
        {
            return 0;
        }
    }

    return 1;
}


static int
fuzz_body(const json_t *root, const phota_unpacked_t *unpacked,
    const fuzz_pictures_t *pictures)
{
    const json_t  *status;

    status = json_object_get(root, "status_code");

    if (status && !json_is_null(status)
        && (!json_is_integer(status) || json_integer_value(status) != 200))
    {
        return 0;
    }

    if (unpacked) {
        fuzz_assert(unpacked->npictures == 1);
    }

    return fuzz_told(json_object_get(root, "body"), 0, unpacked, pictures);
}


static int
fuzz_kept(const json_t *root, const phota_unpacked_t *unpacked,
    const fuzz_pictures_t *pictures)
{
    const json_t  *urls;

    urls = json_object_get(root, "download_urls");

    if (urls && !json_is_null(urls)
        && (!json_is_array(urls) || json_array_size(urls)))
    {
        return 0;
    }

    return fuzz_images(json_object_get(root, "images"), unpacked, pictures);
}


static void
fuzz_sums(const json_t *counts, const phota_unpacked_t *u)
{
    char           text[PHOTA_SUBJECTS_MAX + 4];
    size_t         len;
    json_t        *name;
    uint32_t       pos;
    unsigned       n;
    const json_t  *value;

    n = 0;

    for (pos = 0; pos < u->subjects_len; pos += 6 + len) {
        fuzz_assert(u->subjects_len - pos >= 6);
        len = phota_get_le(u->subjects + pos + 4, 2);
        fuzz_assert(u->subjects_len - pos - 6 >= len);

        snprintf(text, sizeof(text), "\"%.*s\"", (int) len,
                 (char *) u->subjects + pos + 6);

        name = json_loads(text, JSON_DECODE_ANY, NULL);
        fuzz_assert(name != NULL);

        value = json_object_get(counts, json_string_value(name));
        fuzz_assert(json_is_integer(value));
        fuzz_assert(json_integer_value(value)
                    == (json_int_t) phota_get_le(u->subjects + pos, 4));

        json_decref(name);
        n++;
    }

    fuzz_assert(n == json_object_size(counts));
}


static void
fuzz_counts(json_t *counts, const phota_unpacked_t *u)
{
    json_t      *value;
    size_t       room;
    unsigned     i, sums;
    uint64_t     mark;
    const char  *name;

    sums = json_is_object(counts);
    room = 0;

    json_object_foreach(counts, name, value) {
        room += 6 + 6 * strlen(name);       /* escaped as long as may be */

        if (!json_is_integer(value) || json_integer_value(value) < 0
            || json_integer_value(value) > UINT32_MAX)
        {
            sums = 0;

        } else if (json_integer_value(value) == 0) {
            continue;
        }

        mark = phota_profile_mark((const u_char *) name, strlen(name));

        for (i = 0; i < u->nmarks && u->marks[i] != mark; i++) {
            /* void */
        }

        fuzz_assert(i < u->nmarks || u->unmarked);
    }

    fuzz_assert(sums || u->counts_len == 0);

    /* "-0" is 0 to jansson, and no count to us */

    fuzz_assert(!sums || u->counts_len || room > PHOTA_SUBJECTS_MAX
                || memchr(u->skeleton, '-', u->skeleton_len));

    if (u->counts_len) {
        fuzz_sums(counts, u);

    } else {
        fuzz_assert(u->subjects_len == 0);
    }
}


static void
fuzz_body_skeleton(json_t *root, const phota_unpacked_t *u)
{
    json_t      *skeleton;
    const char  *s;

    s = (const char *) u->skeleton;

    fuzz_assert(u->skeleton_len <= PHOTA_SKELETON_MAX);
    fuzz_assert(u->urls_at == 0);
    fuzz_assert(u->images_at && u->images_at < u->skeleton_len);
    fuzz_assert(memcmp(s + u->images_at - 1, "\"\"", 2) == 0);
    fuzz_assert(u->counts_at == 0 && u->counts_len == 0);
    fuzz_assert(u->subjects_len == 0 && u->nmarks == 0 && !u->unmarked);

    skeleton = json_loadb(s, u->skeleton_len,
                          JSON_ALLOW_NUL|JSON_REJECT_DUPLICATES, NULL);
    fuzz_assert(skeleton != NULL);

    json_object_set_new(root, "body", json_string(""));
    fuzz_assert(json_equal(root, skeleton));
    json_decref(skeleton);
}


static void
fuzz_skeleton(json_t *root, const phota_unpacked_t *u)
{
    json_t      *skeleton, *counts;
    const char  *s;

    s = (const char *) u->skeleton;

    fuzz_assert(u->skeleton_len <= PHOTA_SKELETON_MAX);
    fuzz_assert(u->images_at && u->images_at < u->skeleton_len);
    fuzz_assert(u->urls_at && u->urls_at < u->skeleton_len);
    fuzz_assert(memcmp(s + u->images_at - 1, "[]", 2) == 0);
    fuzz_assert(memcmp(s + u->urls_at - 1, "[]", 2) == 0);
    fuzz_assert(u->counts_at + u->counts_len <= u->skeleton_len);

    skeleton = json_loadb(s, u->skeleton_len,
                          JSON_ALLOW_NUL|JSON_REJECT_DUPLICATES, NULL);
    fuzz_assert(skeleton != NULL);

    json_object_set_new(root, "images", json_array());
    json_object_set_new(root, "download_urls", json_array());
    fuzz_assert(json_equal(root, skeleton));
    json_decref(skeleton);

    counts = json_object_get(json_object_get(root, "known_subjects"),
                             "counts");

    if (u->counts_len) {
        skeleton = json_loadb(s + u->counts_at, u->counts_len,
                              JSON_ALLOW_NUL, NULL);
        fuzz_assert(json_equal(skeleton, counts));
        json_decref(skeleton);
    }

    fuzz_counts(counts, u);
}


static void
fuzz_compare(phota_answer_e kind, json_t *root, int rc,
    const phota_unpacked_t *unpacked, const fuzz_pictures_t *pictures,
    const phota_error_t *err)
{
    int  kept;

    if (strstr(err->text, "nested too deeply")
        || strstr(err->text, "bytes of text beside"))
    {
        return;
    }

    if (!json_is_object(root)) {
        fuzz_assert(rc == PHOTA_INVALID);
        return;
    }

    if (rc != PHOTA_OK) {
        unpacked = NULL;
    }

    kept = (kind == PHOTA_ANSWER_BODY) ? fuzz_body(root, unpacked, pictures)
                                       : fuzz_kept(root, unpacked, pictures);
    fuzz_assert(rc == (kept ? PHOTA_OK : PHOTA_DECLINED));

    if (rc != PHOTA_OK) {
        return;
    }

    if (kind == PHOTA_ANSWER_BODY) {
        fuzz_body_skeleton(root, unpacked);

    } else {
        fuzz_skeleton(root, unpacked);
    }
}


static int
fuzz_answer_feed(void *ctx, const u_char *p, size_t n)
{
    return phota_answer_update(ctx, p, n);
}


/* what was taken apart was delivered, however it came */

static void
fuzz_answer(phota_answer_e kind, const u_char *data, size_t size,
    const phota_unpacked_t *unpacked)
{
    int                rc, first;
    unsigned           way;
    phota_answer_t    *answer;
    phota_delivery_t   d, whole;

    first = PHOTA_ERROR;
    memset(&whole, 0, sizeof(whole));

    for (way = 0; way < FUZZ_CUTS; way++) {
        memset(&d, 0, sizeof(d));

        answer = phota_answer_create(kind);
        fuzz_assert(answer != NULL);

        (void) fuzz_cut(fuzz_answer_feed, answer, data, size, way);
        rc = phota_answer_final(answer, &d);
        phota_answer_destroy(answer);

        if (way == 0) {
            first = rc;
            whole = d;
        }

        fuzz_assert(rc == first && memcmp(&d, &whole, sizeof(d)) == 0);
    }

    fuzz_assert(unpacked == NULL
                || (first == PHOTA_OK && !whole.links
                    && whole.outputs == unpacked->npictures));
}


static void
fuzz_unpack(phota_answer_e kind, const u_char *data, size_t size)
{
    int               rc, again;
    json_t           *root;
    unsigned          i;
    fuzz_text_t       text;
    phota_error_t     err;
    fuzz_pictures_t   pictures;

    static phota_unpacked_t  unpacked;

    text.data = data;
    text.size = size;
    err.text[0] = '\0';
    memset(&pictures, 0, sizeof(pictures));

    rc = phota_unpack(kind, fuzz_read, &text, size, &unpacked, &err);
    again = phota_unpack_pictures(kind, fuzz_read, &text, size, fuzz_picture,
                                  &pictures);

    fuzz_assert(rc == PHOTA_OK || rc == PHOTA_DECLINED
                || rc == PHOTA_INVALID);
    fuzz_assert(again == rc);
    fuzz_assert((rc == PHOTA_OK) == (err.text[0] == '\0'));
    fuzz_answer(kind, data, size, (rc == PHOTA_OK) ? &unpacked : NULL);

    /* a text that jansson ends at a NUL is none to us */

    if (memchr(data, '\0', size) == NULL) {
        root = json_loadb((const char *) data, size,
                          JSON_ALLOW_NUL|JSON_REJECT_DUPLICATES
                          |JSON_DECODE_ANY, NULL);
        if (root) {
            fuzz_compare(kind, root, rc, &unpacked, &pictures, &err);
            json_decref(root);
        }
    }

    for (i = 0; i < PHOTA_PICTURES_MAX; i++) {
        free(pictures.bytes[i]);
    }
}


int
LLVMFuzzerTestOneInput(const u_char *data, size_t size)
{
    fuzz_base64(data, size);
    fuzz_unpack(PHOTA_ANSWER_IMAGES, data, size);
    fuzz_unpack(PHOTA_ANSWER_BODY, data, size);
    fuzz_answer(PHOTA_ANSWER_PROFILE, data, size, NULL);

    return 0;
}
