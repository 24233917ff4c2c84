
/*
 * An answer put together from a result's text and the files of its pictures:
 * the lists of the text are found by the scanner, "images" gets the files as
 * base64, made as it is read, and "download_urls" is left empty.
 */


#include "phota_assembly.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "phota_json.h"


#define PHOTA_ASSEMBLY_PART  3072       /* bytes of a file read at once */
#define PHOTA_ASSEMBLY_NAME  16


typedef enum {
    assembly_images = 0,
    assembly_urls,
    assembly_other
} phota_assembly_list_e;


/* where a list stands in the result, both 0: nowhere */

typedef struct {
    size_t                 at;
    size_t                 end;
} phota_assembly_span_t;


typedef struct {
    phota_json_t           json;
    unsigned               depth;
    unsigned               key:1;
    unsigned               object:1;
    size_t                 name_len;
    u_char                 name[PHOTA_ASSEMBLY_NAME];
    phota_assembly_list_e  list;        /* of the member that is read */
    phota_assembly_span_t  spans[2];
} phota_assembly_scan_t;


/* what is still asked for: nothing, or no byte before the segment at at */

typedef struct {
    u_char                *buf;
    size_t                 len;
    uint64_t               offset;
    uint64_t               at;
} phota_assembly_piece_t;


static int phota_assembly_event(void *ctx, phota_json_event_e event,
    const u_char *p, size_t len, uint64_t offset);
static int phota_assembly_value(phota_assembly_scan_t *scan,
    phota_json_event_e event, uint64_t offset);
static phota_assembly_list_e phota_assembly_name(
    const phota_assembly_scan_t *scan);
static int phota_assembly_text(phota_assembly_t *a, const u_char *result,
    size_t len, const phota_assembly_span_t *spans);
static void phota_assembly_put(phota_assembly_t *a, const void *p,
    size_t len);
static void phota_assembly_copy(phota_assembly_piece_t *piece, const void *p,
    size_t size);
static int phota_assembly_file(phota_assembly_piece_t *piece,
    const phota_file_t *file);
static size_t phota_assembly_part(const phota_assembly_piece_t *piece,
    uint64_t size);
static void phota_assembly_pass(phota_assembly_piece_t *piece, size_t n,
    uint64_t size);
static int phota_assembly_base64(const phota_file_t *file, u_char *buf,
    size_t len, uint64_t offset);


int
phota_assembly_init(phota_assembly_t *a, const u_char *result, size_t len)
{
    int                     rc;
    phota_assembly_scan_t  *scan;

    memset(a, 0, sizeof(phota_assembly_t));

    scan = calloc(1, sizeof(phota_assembly_scan_t));
    if (scan == NULL) {
        return PHOTA_ERROR;
    }

    scan->list = assembly_other;

    phota_json_init(&scan->json, phota_assembly_event, scan);

    rc = phota_json_update(&scan->json, result, len);

    if (rc == PHOTA_OK) {
        rc = phota_json_final(&scan->json);
    }

    if (rc == PHOTA_OK && !scan->object) {
        rc = PHOTA_INVALID;
    }

    if (rc == PHOTA_OK) {
        rc = phota_assembly_text(a, result, len, scan->spans);
    }

    free(scan);

    return rc;
}


static int
phota_assembly_event(void *ctx, phota_json_event_e event, const u_char *p,
    size_t len, uint64_t offset)
{
    size_t                  n;
    phota_assembly_scan_t  *scan = ctx;

    switch (event) {

    case PHOTA_JSON_KEY:
        scan->key = (scan->depth == 1);
        scan->name_len = 0;
        return PHOTA_OK;

    case PHOTA_JSON_PIECE:

        if (scan->key) {
            n = sizeof(scan->name) - scan->name_len;
            n = (len < n) ? len : n;

            memcpy(scan->name + scan->name_len, p, n);
            scan->name_len += n;
        }

        return PHOTA_OK;

    case PHOTA_JSON_STRING_END:

        if (scan->key) {
            scan->key = 0;
            scan->list = phota_assembly_name(scan);
        }

        return PHOTA_OK;

    case PHOTA_JSON_NUMBER_PIECE:
    case PHOTA_JSON_NUMBER_END:
        return PHOTA_OK;

    case PHOTA_JSON_OBJECT_END:
    case PHOTA_JSON_ARRAY_END:
        scan->depth--;

        if (scan->depth == 1 && scan->list != assembly_other) {
            scan->spans[scan->list].end = (size_t) offset + 1;
            scan->list = assembly_other;
        }

        return PHOTA_OK;

    default:
        return phota_assembly_value(scan, event, offset);
    }
}


/* of two lists of one name nobody knows which is meant */

static int
phota_assembly_value(phota_assembly_scan_t *scan, phota_json_event_e event,
    uint64_t offset)
{
    phota_assembly_span_t  *span;

    if (scan->depth == 0) {
        scan->object = (event == PHOTA_JSON_OBJECT);

    } else if (scan->depth == 1 && scan->list != assembly_other) {
        span = &scan->spans[scan->list];

        if (span->end != 0
            || (event != PHOTA_JSON_ARRAY && event != PHOTA_JSON_NULL))
        {
            return PHOTA_INVALID;
        }

        span->at = (size_t) offset;

        if (event == PHOTA_JSON_NULL) {
            span->end = span->at + sizeof("null") - 1;
            scan->list = assembly_other;
        }
    }

    if (event == PHOTA_JSON_OBJECT || event == PHOTA_JSON_ARRAY) {
        scan->depth++;
    }

    return PHOTA_OK;
}


static phota_assembly_list_e
phota_assembly_name(const phota_assembly_scan_t *scan)
{
    if (scan->name_len == sizeof("images") - 1
        && memcmp(scan->name, "images", scan->name_len) == 0)
    {
        return assembly_images;
    }

    if (scan->name_len == sizeof("download_urls") - 1
        && memcmp(scan->name, "download_urls", scan->name_len) == 0)
    {
        return assembly_urls;
    }

    return assembly_other;
}


static int
phota_assembly_text(phota_assembly_t *a, const u_char *result, size_t len,
    const phota_assembly_span_t *spans)
{
    size_t                        from;
    unsigned                      i, order[2];
    const phota_assembly_span_t  *span;

    static const char  absent[] = "{\"images\":[],";

    a->text = malloc(len + sizeof(absent) + 2 * sizeof("[]"));
    if (a->text == NULL) {
        return PHOTA_ERROR;
    }

    from = 0;

    if (spans[assembly_images].end == 0) {

        if (spans[assembly_urls].end == 0) {
            phota_assembly_free(a);
            return PHOTA_INVALID;
        }

        /* there is another member, so that the comma has something behind */

        while (result[from] != '{') {
            from++;
        }

        from++;

        phota_assembly_put(a, absent, sizeof(absent) - 1);
        a->before = a->len - (sizeof("],") - 1);
    }

    order[0] = (spans[assembly_images].at < spans[assembly_urls].at)
               ? assembly_images : assembly_urls;
    order[1] = 1 - order[0];

    for (i = 0; i < 2; i++) {
        span = &spans[order[i]];

        if (span->end == 0) {
            continue;
        }

        phota_assembly_put(a, result + from, span->at - from);
        phota_assembly_put(a, "[]", 2);

        if (order[i] == assembly_images) {
            a->before = a->len - 1;
        }

        from = span->end;
    }

    phota_assembly_put(a, result + from, len - from);

    return PHOTA_OK;
}


static void
phota_assembly_put(phota_assembly_t *a, const void *p, size_t len)
{
    memcpy(a->text + a->len, p, len);
    a->len += len;
}


int
phota_assembly_add(phota_assembly_t *a, phota_read_pt read, void *ctx,
    uint64_t length)
{
    phota_file_t  *file;

    if (a->nfiles == PHOTA_PICTURES_MAX) {
        return PHOTA_INVALID;
    }

    file = &a->files[a->nfiles++];

    file->read = read;
    file->ctx = ctx;
    file->length = length;

    return PHOTA_OK;
}


static uint64_t
phota_assembly_chars(const phota_file_t *file)
{
    return (file->length + 2) / 3 * 4;
}


uint64_t
phota_assembly_length(const phota_assembly_t *a)
{
    unsigned  i;
    uint64_t  length;

    length = a->len;

    for (i = 0; i < a->nfiles; i++) {

        /* its quotes, and the comma before it */

        length += phota_assembly_chars(&a->files[i]) + 2 + (i != 0);
    }

    return length;
}


int
phota_assembly_read(void *ctx, u_char *buf, size_t len, uint64_t offset)
{
    int                      rc;
    unsigned                 i;
    phota_assembly_t        *a = ctx;
    phota_assembly_piece_t   piece;

    piece.buf = buf;
    piece.len = len;
    piece.offset = offset;
    piece.at = 0;

    phota_assembly_copy(&piece, a->text, a->before);

    for (i = 0; i < a->nfiles && piece.len; i++) {
        phota_assembly_copy(&piece, i ? ",\"" : "\"", i ? 2 : 1);

        rc = phota_assembly_file(&piece, &a->files[i]);
        if (rc != PHOTA_OK) {
            return rc;
        }

        phota_assembly_copy(&piece, "\"", 1);
    }

    phota_assembly_copy(&piece, a->text + a->before, a->len - a->before);

    return piece.len ? PHOTA_ERROR : PHOTA_OK;
}


/* the next segment, as far as it is asked for */

static void
phota_assembly_copy(phota_assembly_piece_t *piece, const void *p, size_t size)
{
    size_t  n;

    n = phota_assembly_part(piece, size);

    if (n) {
        memcpy(piece->buf, (const u_char *) p + (piece->offset - piece->at),
               n);
    }

    phota_assembly_pass(piece, n, size);
}


static int
phota_assembly_file(phota_assembly_piece_t *piece, const phota_file_t *file)
{
    int       rc;
    size_t    n;
    uint64_t  chars;

    chars = phota_assembly_chars(file);
    n = phota_assembly_part(piece, chars);

    rc = phota_assembly_base64(file, piece->buf, n, piece->offset - piece->at);

    if (rc == PHOTA_OK) {
        phota_assembly_pass(piece, n, chars);
    }

    return rc;
}


/* bytes that are asked for of a segment of this size */

static size_t
phota_assembly_part(const phota_assembly_piece_t *piece, uint64_t size)
{
    uint64_t  n;

    if (piece->len == 0 || piece->offset - piece->at >= size) {
        return 0;
    }

    n = size - (piece->offset - piece->at);

    return (n < piece->len) ? (size_t) n : piece->len;
}


static void
phota_assembly_pass(phota_assembly_piece_t *piece, size_t n, uint64_t size)
{
    piece->buf += n;
    piece->len -= n;
    piece->offset += n;
    piece->at += size;
}


/* characters from offset of a file's base64 */

static int
phota_assembly_base64(const phota_file_t *file, u_char *buf, size_t len,
    uint64_t offset)
{
    int       rc;
    size_t    n, skip, chars;
    u_char    raw[PHOTA_ASSEMBLY_PART];
    u_char    text[PHOTA_ASSEMBLY_PART / 3 * 4 + 1];
    uint64_t  from;

    while (len) {
        from = offset / 4 * 3;
        skip = (size_t) (offset % 4);

        n = (file->length - from < sizeof(raw))
            ? (size_t) (file->length - from) : sizeof(raw);

        rc = file->read(file->ctx, raw, n, from);
        if (rc != PHOTA_OK) {
            return rc;
        }

        chars = (size_t) EVP_EncodeBlock(text, raw, (int) n) - skip;

        if (chars > len) {
            chars = len;
        }

        memcpy(buf, text + skip, chars);

        buf += chars;
        len -= chars;
        offset += chars;
    }

    return PHOTA_OK;
}


void
phota_assembly_free(phota_assembly_t *a)
{
    free(a->text);

    memset(a, 0, sizeof(phota_assembly_t));
}
