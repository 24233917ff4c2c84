
/*
 * Fuzzes the fingerprint.  The first byte chooses the operation, the rest is
 * the body.  However it is cut, the same result, fault and digest; a body that
 * is refused for its JSON is refused by jansson, too; one that is accepted,
 * written anew by jansson with its images made canonical by other code, has
 * the same fingerprint.  What stands where count and mode are said to stand is
 * what jansson finds there, and can be written over; a profile that is named
 * has its mark, or it is said that some have none.
 */


#include <jansson.h>
#include <stdio.h>
#include <strings.h>

#include "fuzz_cut.h"
#include "phota_fingerprint.h"


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

    memset(res, 0, sizeof(fuzz_result_t));

    res->fp = phota_fingerprint_create(op, NULL, 0);
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

    phota_fingerprint_destroy(res->fp);
    res->fp = NULL;
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

    first.scan.count_at = second.scan.count_at;
    first.scan.count_end = second.scan.count_end;
    first.scan.mode_at = second.scan.mode_at;
    first.scan.mode_end = second.scan.mode_end;

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

    free(text);
}


static void
fuzz_place(const u_char *data, size_t size, uint64_t at, uint64_t end,
    json_t *expected)
{
    json_t  *value;

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


/* one value of the body in another's place, which is all that may change */

static void
fuzz_write_over(const fuzz_result_t *res, const phota_operation_t *op,
    const u_char *data, size_t size, uint64_t at, uint64_t end,
    const char *value)
{
    size_t         len;
    u_char        *body;
    fuzz_result_t  again, expected;

    if (end == 0) {
        return;
    }

    len = strlen(value);

    body = malloc(size + len);
    if (body == NULL) {
        abort();
    }

    memcpy(body, data, at);
    memcpy(body + at, value, len);
    memcpy(body + at + len, data + end, size - end);

    fuzz_run(&again, op, body, at + len + size - end, 0);

    expected = *res;

    if (at == res->scan.count_at) {
        expected.scan.outputs = 3;

    } else {
        expected.scan.mode = PHOTA_MODE_URLS;
    }

    fuzz_same_purchase(&expected, &again, "written over");

    free(body);
}


static void
fuzz_places(const fuzz_result_t *res, const phota_operation_t *op,
    const u_char *data, size_t size, json_t *body)
{
    unsigned             i;
    json_t              *count, *mode;
    const phota_scan_t  *scan;

    count = NULL;
    mode = NULL;
    scan = &res->scan;

    for (i = 0; i < op->nfields; i++) {

        if (op->fields[i].kind == PHOTA_FIELD_COUNT) {
            count = json_object_get(body, (char *) op->fields[i].name.data);

        } else if (op->fields[i].kind == PHOTA_FIELD_MODE) {
            mode = json_object_get(body, (char *) op->fields[i].name.data);
        }
    }

    fuzz_place(data, size, scan->count_at, scan->count_end, count);
    fuzz_place(data, size, scan->mode_at, scan->mode_end, mode);

    fuzz_write_over(res, op, data, size, scan->count_at, scan->count_end,
                    "3");
    fuzz_write_over(res, op, data, size, scan->mode_at, scan->mode_end,
                    "\"urls\"");
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

    if (scan->nmarks < PHOTA_MARKS_MAX || !scan->unmarked) {
        fprintf(stderr, "no mark of \"%.*s\"\n", (int) len, id);
        abort();
    }
}


static void
fuzz_prompt_marks(const phota_scan_t *scan, json_t *prompt)
{
    size_t       i, len, id;
    const char  *text;

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
            fuzz_mark(scan, text + i + 2, id - i - 2);

        } else if (!scan->unmarked) {
            fprintf(stderr, "something is left open in the prompt\n");
            abort();
        }
    }
}


static void
fuzz_listed_marks(const phota_scan_t *scan, json_t *list)
{
    size_t   i;
    json_t  *id;

    if (list == NULL || json_is_null(list)) {
        return;
    }

    json_array_foreach(list, i, id) {
        if (!json_is_string(id)) {
            list = NULL;
            break;
        }
    }

    if (!json_is_array(list)) {
        if (!scan->unmarked || scan->profiles == 0) {
            fprintf(stderr, "that is no list of ids\n");
            abort();
        }

        return;
    }

    json_array_foreach(list, i, id) {
        fuzz_mark(scan, json_string_value(id), json_string_length(id));
    }
}


static void
fuzz_marks(const fuzz_result_t *res, const phota_operation_t *op,
    json_t *body)
{
    unsigned              i;
    json_t               *value;
    const phota_scan_t   *scan;
    const phota_field_t  *field;

    scan = &res->scan;

    if (scan->nmarks > PHOTA_MARKS_MAX || scan->nmarks > scan->profiles
        || (scan->nmarks < scan->profiles && !scan->unmarked))
    {
        abort();
    }

    for (i = 0; i < op->nfields; i++) {
        field = &op->fields[i];
        value = json_object_get(body, (const char *) field->name.data);

        if (field->kind == PHOTA_FIELD_PROMPT && json_is_string(value)) {
            fuzz_prompt_marks(scan, value);

        } else if (field->kind == PHOTA_FIELD_PROFILES) {
            fuzz_listed_marks(scan, value);
        }
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
    fuzz_marks(res, op, body);

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
    }

    fuzz_compare(&whole, op, data, size);

    return 0;
}
