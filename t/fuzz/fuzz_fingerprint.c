
/*
 * Fuzzes the fingerprint.  The first byte chooses the operation, the rest is
 * the body.  However it is cut, the same result, fault and digest; a body that
 * is refused for its JSON is refused by jansson, too; one that is accepted,
 * written anew by jansson with its images made canonical by other code, has
 * the same fingerprint.  What stands where a member is said to stand is what
 * jansson finds there, its text is the same, and count and mode can be written
 * over.  The profiles that are named are those that other code finds, in this
 * order, and so is what may be one and isn't read; each has its mark, or it is
 * said that some have none.
 */


#include <jansson.h>
#include <stdio.h>
#include <strings.h>

#include "fuzz_cut.h"
#include "phota_fingerprint.h"


/* fp: of the whole body, to be asked until it is destroyed */

typedef struct {
    phota_fingerprint_t  *fp;
    int                   rc;
    phota_scan_t          scan;
    phota_fault_t         fault;
} fuzz_result_t;


typedef struct {
    char                 *data;
    size_t                len;
} fuzz_text_t;


int LLVMFuzzerTestOneInput(const u_char *data, size_t size);


static const char  *fuzz_signing[] = {
    "Expires", "Signature", "GoogleAccessId", "AWSAccessKeyId", "Key-Pair-Id",
    "Policy", "sig", "se", "sp", "sv", "sr", "st", "spr", NULL
};


static int
fuzz_feed(void *ctx, const u_char *p, size_t n)
{
    fuzz_result_t  *res = ctx;

    return phota_fingerprint_update(res->fp, p, n);
}


static void
fuzz_run(fuzz_result_t *res, const phota_operation_t *op, const u_char *data,
    size_t size, unsigned way)
{
    static const phota_str_t  scope = phota_string("scope");
    static const phota_str_t  args = phota_string("");

    static const phota_hash_key_t  key = { .words = { 1, 2, 3 } };

    memset(res, 0, sizeof(fuzz_result_t));

    /* which key it is doesn't matter */

    res->fp = phota_fingerprint_create(op, &key, NULL, 0);
    if (res->fp == NULL) {
        abort();
    }

    res->rc = fuzz_cut(fuzz_feed, res, data, size, way);

    if (res->rc == PHOTA_OK) {
        res->rc = phota_fingerprint_final(res->fp, &scope, &args, &res->scan);
    }

    if (res->rc == PHOTA_INVALID) {
        res->fault = *phota_fingerprint_fault(res->fp);

        if (res->fault.detail == NULL || res->fault.offset > size
            || strlen(res->fault.field) >= PHOTA_FIELD_TEXT)
        {
            abort();
        }

    } else if (res->rc != PHOTA_OK) {
        abort();
    }

}


static void
fuzz_end(fuzz_result_t *res)
{
    phota_fingerprint_destroy(res->fp);
    res->fp = NULL;
}


static void
fuzz_same_told(const fuzz_result_t *a, const fuzz_result_t *b)
{
    int            rc;
    unsigned       i;
    phota_str_t    text, other;
    phota_named_t  named, twin;

    for (i = 0; /* void */ ; i++) {
        rc = phota_fingerprint_named(a->fp, i, &named);

        if (rc != phota_fingerprint_named(b->fp, i, &twin)) {
            abort();
        }

        if (rc != PHOTA_OK) {
            break;
        }

        if (named.id.len != twin.id.len
            || memcmp(named.id.data, twin.id.data, twin.id.len) != 0
            || named.prompt != twin.prompt || named.offset != twin.offset)
        {
            abort();
        }
    }

    for (i = 0; i < PHOTA_SPOT_MAX; i++) {
        rc = phota_fingerprint_text(a->fp, i, &text);

        if (rc != phota_fingerprint_text(b->fp, i, &other)) {
            abort();
        }

        if (rc == PHOTA_OK
            && (text.len != other.len
                || memcmp(text.data, other.data, text.len) != 0))
        {
            abort();
        }
    }
}


static void
fuzz_same(const fuzz_result_t *a, const fuzz_result_t *b, const char *what)
{
    if (a->rc == b->rc
        && memcmp(&a->scan, &b->scan, sizeof(phota_scan_t)) == 0
        && a->fault.detail == b->fault.detail
        && strcmp(a->fault.field, b->fault.field) == 0
        && a->fault.offset == b->fault.offset)
    {
        return;
    }

    fprintf(stderr, "%s: %d, %s, \"%s\" at %llu; before: %d, %s, \"%s\" "
            "at %llu\n", what, b->rc,
            b->fault.detail ? b->fault.detail : "no fault", b->fault.field,
            (unsigned long long) b->fault.offset, a->rc,
            a->fault.detail ? a->fault.detail : "no fault", a->fault.field,
            (unsigned long long) a->fault.offset);
    abort();
}


/* where things stand is another body's affair */

static void
fuzz_same_purchase(const fuzz_result_t *a, const fuzz_result_t *b,
    const char *what)
{
    fuzz_result_t  first, second;

    first = *a;
    second = *b;

    memcpy(first.scan.spots, second.scan.spots, sizeof(first.scan.spots));

    fuzz_same(&first, &second, what);
}


/* jansson writes numbers in its own way, ours are as they stand */

static int
fuzz_has_number(json_t *json)
{
    size_t       i;
    json_t      *value;
    const char  *key;

    if (json_is_array(json)) {
        json_array_foreach(json, i, value) {
            if (fuzz_has_number(value)) {
                return 1;
            }
        }
    }

    if (json_is_object(json)) {
        json_object_foreach(json, key, value) {
            if (fuzz_has_number(value)) {
                return 1;
            }
        }
    }

    return json_is_number(json);
}


static int
fuzz_value(char c)
{
    const char  *p;

    static const char  alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    c = (c == '-') ? '+' : (c == '_') ? '/' : c;
    p = c ? strchr(alphabet, c) : NULL;

    return p ? (int) (p - alphabet) : -1;
}


/* decodes, and encodes with line breaks in the URL-safe alphabet */

static void
fuzz_base64(fuzz_text_t *out, const char *text, size_t len)
{
    int            value;
    size_t         i, n, pos;
    u_char        *bytes;
    unsigned       bits, group;
    const char    *comma;

    static const char  alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    if (len >= 5 && strncasecmp(text, "data:", 5) == 0) {
        comma = memchr(text, ',', len);
        len -= comma + 1 - text;
        text = comma + 1;
    }

    bytes = malloc(len + 1);
    out->data = malloc(2 * len + 64);

    if (bytes == NULL || out->data == NULL) {
        abort();
    }

    for (i = 0, n = 0, bits = 0, group = 0; i < len; i++) {
        value = fuzz_value(text[i]);

        if (value < 0) {
            continue;
        }

        group = group << 6 | (unsigned) value;
        bits += 6;

        if (bits >= 8) {
            bits -= 8;
            bytes[n++] = (u_char) (group >> bits);
        }
    }

    pos = 0;

    if (n % 2) {
        memcpy(out->data, "Data:a/b;c;base64,", 18);
        pos = 18;
    }

    for (i = 0; i < n; i += 3) {
        group = bytes[i] << 16;
        group |= (i + 1 < n) ? bytes[i + 1] << 8 : 0;
        group |= (i + 2 < n) ? bytes[i + 2] : 0;

        out->data[pos++] = alphabet[group >> 18];
        out->data[pos++] = alphabet[group >> 12 & 63];

        if (i + 1 < n) {
            out->data[pos++] = alphabet[group >> 6 & 63];
        }

        if (i + 2 < n) {
            out->data[pos++] = alphabet[group & 63];
        }

        if (i % 9 == 0) {
            out->data[pos++] = '\n';
        }
    }

    out->len = pos;
    free(bytes);
}


static int
fuzz_signs(const char *name, size_t len)
{
    unsigned  i;

    if (len > 128) {
        return 0;
    }

    for (i = 0; fuzz_signing[i]; i++) {
        if (strlen(fuzz_signing[i]) == len
            && memcmp(fuzz_signing[i], name, len) == 0)
        {
            return 1;
        }
    }

    return (len >= 7 && memcmp(name, "X-Goog-", 7) == 0)
           || (len >= 6 && memcmp(name, "X-Amz-", 6) == 0);
}


static void
fuzz_url(fuzz_text_t *out, const char *text, size_t len)
{
    size_t       path, query, end, name, kept;
    const char  *p;

    p = memchr(text, '#', len);
    query = p ? (size_t) (p - text) : len;
    p = memchr(text, '?', query);
    path = p ? (size_t) (p - text) : query;

    out->data = malloc(len + 32);
    if (out->data == NULL) {
        abort();
    }

    memcpy(out->data, text, path);
    out->len = path;

    for (kept = 0; path < query; path = end) {
        path++;
        p = memchr(text + path, '&', query - path);
        end = p ? (size_t) (p - text) : query;
        p = memchr(text + path, '=', end - path);
        name = p ? (size_t) (p - text) - path : end - path;

        if (fuzz_signs(text + path, name)) {
            continue;
        }

        /* a query that ends with nothing in it is none */

        if (end == path && end == query && kept == 0) {
            continue;
        }

        out->data[out->len++] = kept++ ? '&' : '?';
        memcpy(out->data + out->len, text + path, end - path);
        out->len += end - path;
    }

    /* and a signature of another day */

    memcpy(out->data + out->len, kept ? "&X-Amz-Date=1" : "?X-Amz-Date=1",
           13);
    out->len += 13;

    memcpy(out->data + out->len, text + query, len - query);
    out->len += len - query;
}


static json_t *
fuzz_image(json_t *json)
{
    size_t       len;
    json_t      *image;
    const char  *text;
    fuzz_text_t  out;

    text = json_string_value(json);
    len = json_string_length(json);

    if ((len >= 7 && strncasecmp(text, "http://", 7) == 0)
        || (len >= 8 && strncasecmp(text, "https://", 8) == 0))
    {
        fuzz_url(&out, text, len);

    } else {
        fuzz_base64(&out, text, len);
    }

    image = json_stringn(out.data, out.len);
    if (image == NULL) {
        abort();
    }

    free(out.data);

    return image;
}


static void
fuzz_images(const phota_operation_t *op, json_t *body)
{
    size_t                i;
    json_t               *value, *element;
    unsigned              k;
    const phota_field_t  *field;

    for (k = 0; k < op->nfields; k++) {
        field = &op->fields[k];
        value = json_object_get(body, (const char *) field->name.data);

        if (field->kind == PHOTA_FIELD_IMAGE && json_is_string(value)) {
            json_object_set_new(body, (const char *) field->name.data,
                                fuzz_image(value));
        }

        if (field->kind == PHOTA_FIELD_IMAGES && json_is_array(value)) {
            json_array_foreach(value, i, element) {
                if (json_is_string(element)) {
                    json_array_set_new(value, i, fuzz_image(element));
                }
            }
        }
    }
}


static void
fuzz_again(const fuzz_result_t *res, const phota_operation_t *op,
    json_t *body, size_t flags, const char *what)
{
    char           *text;
    fuzz_result_t   again;

    text = json_dumps(body, flags);
    if (text == NULL) {
        abort();
    }

    fuzz_run(&again, op, (u_char *) text, strlen(text), 0);
    fuzz_same_purchase(res, &again, what);
    fuzz_end(&again);

    free(text);
}


static void
fuzz_place(const u_char *data, size_t size, const phota_spot_t *spot,
    json_t *expected)
{
    json_t    *value;
    uint64_t   at, end;

    at = spot->at;
    end = spot->end;

    if (expected == NULL) {
        if (at || end) {
            abort();
        }

        return;
    }

    if (at == 0 || at >= end || end > size
        || strchr(" \t\r\n", data[at]) || strchr(" \t\r\n", data[end - 1]))
    {
        abort();
    }

    value = json_loadb((const char *) data + at, end - at,
                       JSON_DECODE_ANY|JSON_ALLOW_NUL|JSON_DECODE_INT_AS_REAL,
                       NULL);

    if (value == NULL || !json_equal(value, expected)) {
        fprintf(stderr, "another value from %llu to %llu\n",
                (unsigned long long) at, (unsigned long long) end);
        abort();
    }

    json_decref(value);
}


/* kept: it is one of those of which the text is kept */

static void
fuzz_text(const fuzz_result_t *res, phota_spot_e spot, json_t *expected,
    int kept)
{
    int          rc;
    phota_str_t  text;

    rc = phota_fingerprint_text(res->fp, spot, &text);

    if (!kept || !json_is_string(expected)) {
        if (rc != PHOTA_DECLINED) {
            abort();
        }

        return;
    }

    if (rc != PHOTA_OK || text.len > PHOTA_SPOT_TEXT
        || text.len != json_string_length(expected)
        || memcmp(text.data, json_string_value(expected), text.len) != 0)
    {
        fprintf(stderr, "another text\n");
        abort();
    }
}


/* one value of the body in another's place, which is all that may change */

static void
fuzz_write_over(const fuzz_result_t *res, const phota_operation_t *op,
    const u_char *data, size_t size, phota_spot_e spot, const char *value)
{
    size_t               len;
    u_char              *body;
    fuzz_result_t        again, expected;
    const phota_spot_t  *place;

    place = &res->scan.spots[spot];

    if (place->end == 0) {
        return;
    }

    len = strlen(value);

    body = malloc(size + len);
    if (body == NULL) {
        abort();
    }

    memcpy(body, data, place->at);
    memcpy(body + place->at, value, len);
    memcpy(body + place->at + len, data + place->end, size - place->end);

    fuzz_run(&again, op, body, place->at + len + size - place->end, 0);

    expected = *res;

    if (spot == PHOTA_SPOT_COUNT) {
        expected.scan.outputs = 3;

    } else if (spot == PHOTA_SPOT_MODE) {
        expected.scan.mode = PHOTA_MODE_URLS;

    } else if (spot == PHOTA_SPOT_REQUEST_ID) {
        expected.scan.nameless = 0;
    }

    fuzz_same_purchase(&expected, &again, "written over");
    fuzz_end(&again);

    free(body);
}


static void
fuzz_places(const fuzz_result_t *res, const phota_operation_t *op,
    const u_char *data, size_t size, json_t *body)
{
    json_t    *values[PHOTA_SPOT_MAX];
    unsigned   i, spot;

    static const phota_field_e  kinds[PHOTA_SPOT_MAX] = {
        [PHOTA_SPOT_COUNT] = PHOTA_FIELD_COUNT,
        [PHOTA_SPOT_MODE] = PHOTA_FIELD_MODE,
        [PHOTA_SPOT_CALLBACK] = PHOTA_FIELD_CALLBACK,
        [PHOTA_SPOT_REQUEST_ID] = PHOTA_FIELD_REQUEST_ID,
        [PHOTA_SPOT_TAG] = PHOTA_FIELD_TAG
    };

    static const char  *over[PHOTA_SPOT_MAX] = {
        [PHOTA_SPOT_COUNT] = "3",
        [PHOTA_SPOT_MODE] = "\"urls\"",
        [PHOTA_SPOT_CALLBACK] = "\"https://gateway.example/\"",
        [PHOTA_SPOT_REQUEST_ID] = "\"1-alias\""
    };

    for (spot = 0; spot < PHOTA_SPOT_MAX; spot++) {
        values[spot] = NULL;

        for (i = 0; i < op->nfields; i++) {
            if (op->fields[i].kind == kinds[spot]) {
                values[spot] = json_object_get(body, (const char *)
                                               op->fields[i].name.data);
            }
        }

        fuzz_place(data, size, &res->scan.spots[spot], values[spot]);
        fuzz_text(res, spot, values[spot], spot >= PHOTA_SPOT_CALLBACK);

        if (over[spot]) {
            fuzz_write_over(res, op, data, size, spot, over[spot]);
        }
    }
}


static void
fuzz_mark(const phota_scan_t *scan, const char *id, size_t len)
{
    uint64_t  mark;
    unsigned  i;

    mark = phota_profile_mark((const u_char *) id, len);

    for (i = 0; i < scan->nmarks; i++) {
        if (scan->marks[i] == mark) {
            return;
        }
    }

    /* of a list that isn't one of ids alone none has to have one */

    if ((scan->nmarks < PHOTA_MARKS_MAX && !scan->vague) || !scan->unmarked) {
        fprintf(stderr, "no mark of \"%.*s\"\n", (int) len, id);
        abort();
    }
}


/* what other code finds, in the order of the body */

typedef struct {
    const char           *id;
    size_t                len;
    unsigned              prompt;
} fuzz_id_t;


typedef struct {
    fuzz_id_t            *ids;
    size_t                n;
    int                   vague;
} fuzz_ids_t;


static void
fuzz_found(fuzz_ids_t *found, const char *id, size_t len, unsigned prompt)
{
    size_t  i;

    for (i = 0; i < found->n; i++) {
        if (found->ids[i].len == len
            && memcmp(found->ids[i].id, id, len) == 0)
        {
            return;
        }
    }

    found->ids = realloc(found->ids, (found->n + 1) * sizeof(fuzz_id_t));
    if (found->ids == NULL) {
        abort();
    }

    found->ids[found->n].id = id;
    found->ids[found->n].len = len;
    found->ids[found->n++].prompt = prompt;
}


static void
fuzz_find_prompt(fuzz_ids_t *found, json_t *prompt)
{
    size_t       i, len, id;
    const char  *text;

    if (!json_is_string(prompt)) {
        found->vague |= (json_is_array(prompt) || json_is_object(prompt));
        return;
    }

    text = json_string_value(prompt);
    len = json_string_length(prompt);

    for (i = 0; i + 1 < len; i++) {

        if (text[i] != '[' || text[i + 1] != '[') {
            continue;
        }

        for (id = i + 2; id < len; id++) {
            if (text[id] == '[' || text[id] == ']') {
                break;
            }
        }

        if (id + 1 < len && text[id] == ']' && text[id + 1] == ']'
            && id - i - 2 > 0 && id - i - 2 <= 256)
        {
            fuzz_found(found, text + i + 2, id - i - 2, 1);

        } else {
            found->vague = 1;
        }
    }
}


static void
fuzz_find_listed(fuzz_ids_t *found, json_t *list)
{
    size_t   i;
    json_t  *id;

    if (json_is_null(list)) {
        return;
    }

    if (!json_is_array(list)) {
        found->vague = 1;
        return;
    }

    json_array_foreach(list, i, id) {
        if (json_is_string(id)) {
            fuzz_found(found, json_string_value(id), json_string_length(id),
                       0);

        } else {
            found->vague = 1;
        }
    }
}


/* an object of jansson's keeps the order in which its members came */

static void
fuzz_find(fuzz_ids_t *found, const phota_operation_t *op, json_t *body)
{
    json_t               *value;
    const char           *key;
    const phota_field_t  *field;

    memset(found, 0, sizeof(fuzz_ids_t));

    json_object_foreach(body, key, value) {
        field = phota_operation_field(op, (const u_char *) key, strlen(key));

        if (field && field->kind == PHOTA_FIELD_PROMPT) {
            fuzz_find_prompt(found, value);

        } else if (field && field->kind == PHOTA_FIELD_PROFILES) {
            fuzz_find_listed(found, value);
        }
    }
}


static void
fuzz_profiles(const fuzz_result_t *res, const phota_operation_t *op,
    const u_char *data, size_t size, json_t *body)
{
    size_t               i;
    fuzz_ids_t           found;
    phota_named_t        named;
    const phota_scan_t  *scan;

    scan = &res->scan;

    fuzz_find(&found, op, body);

    if (scan->vague != (unsigned) found.vague
        || (scan->vague && (!scan->unmarked || scan->profiles == 0))
        || (!scan->vague && scan->profiles != found.n)
        || scan->nmarks > PHOTA_MARKS_MAX || scan->nmarks > scan->profiles
        || (scan->nmarks < scan->profiles && !scan->unmarked))
    {
        fprintf(stderr, "%u profiles, vague %u, expected %zu, %u\n",
                scan->profiles, scan->vague, found.n, (unsigned) found.vague);
        abort();
    }

    for (i = 0; i < found.n; i++) {

        if (phota_fingerprint_named(res->fp, i, &named) != PHOTA_OK
            || named.id.len != found.ids[i].len
            || memcmp(named.id.data, found.ids[i].id, named.id.len) != 0
            || named.prompt != found.ids[i].prompt
            || named.offset >= size
            || (!named.prompt && data[named.offset] != '"')
            || (named.prompt && data[named.offset] != '['
                && data[named.offset] != '\\'))
        {
            fprintf(stderr, "not \"%.*s\"\n", (int) found.ids[i].len,
                    found.ids[i].id);
            abort();
        }

        fuzz_mark(scan, found.ids[i].id, found.ids[i].len);
    }

    if (phota_fingerprint_named(res->fp, i, &named) != PHOTA_DECLINED) {
        abort();
    }

    free(found.ids);
}


/* a number that is no -1, as another parser reads it; too long ones are none */

static void
fuzz_seed(const fuzz_result_t *res, const phota_operation_t *op, json_t *body)
{
    json_t    *value;
    unsigned   i, seeded;

    seeded = 0;

    for (i = 0; i < op->nfields; i++) {

        if (op->fields[i].kind == PHOTA_FIELD_SEED) {
            value = json_object_get(body, (const char *)
                                    op->fields[i].name.data);
            seeded = json_is_number(value)
                     && json_number_value(value) != -1;
        }
    }

    if (res->scan.seeded > seeded) {
        fprintf(stderr, "that is no seed\n");
        abort();
    }
}


static int
fuzz_is_syntax(const char *detail)
{
    return strncmp(detail, "unexpected ", 11) == 0
           || strncmp(detail, "invalid UTF-8", 13) == 0
           || strncmp(detail, "invalid escape", 14) == 0
           || strncmp(detail, "control ", 8) == 0
           || strncmp(detail, "lone ", 5) == 0
           || strncmp(detail, "duplicate ", 10) == 0;
}


static void
fuzz_compare(const fuzz_result_t *res, const phota_operation_t *op,
    const u_char *data, size_t size)
{
    json_t                *body;
    json_error_t           error;
    enum json_error_code   code;

    body = json_loadb((const char *) data, size,
                      JSON_DECODE_ANY|JSON_ALLOW_NUL|JSON_DECODE_INT_AS_REAL
                      |JSON_REJECT_DUPLICATES, &error);

    if (res->rc != PHOTA_OK) {

        /* a NUL after the text is the end of it to jansson */

        if (body && fuzz_is_syntax(res->fault.detail)
            && (res->fault.offset == size || data[res->fault.offset]))
        {
            fprintf(stderr, "jansson takes it: %s\n", res->fault.detail);
            abort();
        }

        json_decref(body);
        return;
    }

    if (body == NULL) {
        code = json_error_code(&error);

        if (code != json_error_numeric_overflow
            && code != json_error_null_byte_in_key)
        {
            fprintf(stderr, "jansson refuses it: %s\n", error.text);
            abort();
        }

        return;
    }

    fuzz_places(res, op, data, size, body);
    fuzz_profiles(res, op, data, size, body);
    fuzz_seed(res, op, body);

    if (!fuzz_has_number(body)) {
        fuzz_again(res, op, body, JSON_SORT_KEYS|JSON_ENSURE_ASCII
                                  |JSON_INDENT(3), "sorted, in ASCII");

        fuzz_images(op, body);

        fuzz_again(res, op, body, JSON_COMPACT|JSON_ESCAPE_SLASH,
                   "other images");
    }

    json_decref(body);
}


int
LLVMFuzzerTestOneInput(const u_char *data, size_t size)
{
    unsigned                  way;
    fuzz_result_t             whole, cut;
    const phota_operation_t  *op;

    if (size == 0) {
        return 0;
    }

    op = &phota_operations[data[0] % PHOTA_OP_MAX];
    data++;
    size--;

    fuzz_run(&whole, op, data, size, 0);

    for (way = 1; way < FUZZ_CUTS; way++) {
        fuzz_run(&cut, op, data, size, way);
        fuzz_same(&whole, &cut, "cut");

        if (whole.rc == PHOTA_OK) {
            fuzz_same_told(&whole, &cut);
        }

        fuzz_end(&cut);
    }

    fuzz_compare(&whole, op, data, size);
    fuzz_end(&whole);

    return 0;
}
