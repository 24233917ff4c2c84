
/*
 * The fingerprint: what each member of a request's body contributes to it, and
 * what is refused.  The canonical form is written into sinks as the scanner
 * calls; only an object's names wait for its end, when they are in order.
 *
 *     null true false   n t f
 *     number, string    # text 0xff, s bytes 0xff
 *     array, object     [ values ], { members }, sorted by name
 *     member            k name 0xff and its value: i length bytes, d digest
 *     image             @ u URL 0xff, @ b base64 0xff
 *
 * UTF-8 has no byte 0xff, so that no two bodies share a form.
 */


#include "phota_fingerprint_field.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static int phota_fp_event(void *ctx, phota_json_event_e event, const u_char *p,
    size_t len, uint64_t offset);
static int phota_fp_begin(phota_fingerprint_t *fp, phota_json_event_e event,
    uint64_t offset);
static int phota_fp_open(phota_fingerprint_t *fp, phota_json_event_e event);
static int phota_fp_close_object(phota_fingerprint_t *fp, uint64_t offset);
static int phota_fp_close_top(phota_fingerprint_t *fp, uint64_t offset);
static void phota_fp_put_members(phota_fingerprint_t *fp, unsigned base);
static int phota_fp_key(phota_fingerprint_t *fp, uint64_t offset);
static void phota_fp_put_part(phota_sink_t *sink, const u_char *p, size_t len);
static void phota_fp_path(phota_fingerprint_t *fp);
static size_t phota_fp_path_part(char *field, size_t used, const u_char *p,
    size_t len);


phota_fingerprint_t *
phota_fingerprint_create(const phota_operation_t *op,
    const phota_hash_key_t *key, const phota_str_t *signing, unsigned nparams)
{
    phota_fingerprint_t  *fp;

    fp = malloc(sizeof(phota_fingerprint_t));
    if (fp == NULL) {
        return NULL;
    }

    memset(fp, 0, offsetof(phota_fingerprint_t, frames));

    fp->op = op;
    fp->key = key;
    fp->scan.outputs = 1;
    fp->scan.mode = PHOTA_MODE_BYTES;
    fp->sink = fp->sinks;

    phota_json_init(&fp->json, phota_fp_event, fp);

    phota_table_init(&fp->names, PHOTA_MAX_MEMBERS * PHOTA_JSON_MAX_DEPTH,
                     PHOTA_MAX_KEYS);
    phota_table_init(&fp->profiles, PHOTA_MAX_PROFILES, PHOTA_MAX_KEYS);

    phota_image_init(&fp->image, signing, nparams, phota_fp_image_write, fp);

    return fp;
}


void
phota_fingerprint_destroy(phota_fingerprint_t *fp)
{
    unsigned  i;

    if (fp == NULL) {
        return;
    }

    for (i = 0; i < PHOTA_SPOT_MAX; i++) {
        free(fp->kept[i].data);
    }

    phota_table_free(&fp->names);
    phota_table_free(&fp->profiles);
    free(fp->mentions);

    free(fp);
}


int
phota_fingerprint_update(phota_fingerprint_t *fp, const u_char *p, size_t n)
{
    if (fp->rc != PHOTA_OK) {
        return fp->rc;
    }

    fp->rc = phota_json_update(&fp->json, p, n);

    if (fp->rc == PHOTA_INVALID && fp->json.fault) {
        return phota_fp_fault(fp, fp->json.fault, fp->json.fault_offset);
    }

    return fp->rc;
}


int
phota_fingerprint_final(phota_fingerprint_t *fp, const phota_str_t *scope,
    const phota_str_t *args, phota_scan_t *scan)
{
    u_char         version, digest[PHOTA_SHA256_LEN];
    phota_sink_t  *sink;

    if (fp->rc != PHOTA_OK) {
        return fp->rc;
    }

    fp->rc = phota_json_final(&fp->json);

    if (fp->rc == PHOTA_INVALID && fp->json.fault) {
        return phota_fp_fault(fp, fp->json.fault, fp->json.fault_offset);
    }

    if (fp->rc != PHOTA_OK) {
        return fp->rc;
    }

    /* the top object's sink has nothing to hold any more */

    sink = fp->sink;
    phota_sink_reset(sink);

    version = PHOTA_FINGERPRINT_VERSION;
    phota_sink_byte(sink, version);

    phota_fp_put_part(sink, scope->data, scope->len);
    phota_fp_put_part(sink, fp->op->provider_name.data,
                      fp->op->provider_name.len);
    phota_fp_put_part(sink, fp->op->name.data, fp->op->name.len);
    phota_fp_put_part(sink, args->data, args->len);

    phota_fp_put_members(fp, 0);

    phota_fp_put_profiles(fp);

    memcpy(scan, &fp->scan, sizeof(phota_scan_t));

    fp->rc = phota_sink_digest(sink, digest);

    if (fp->rc == PHOTA_OK) {
        fp->rc = phota_hash_show(fp->key, digest, scan->digest);
    }

    return fp->rc;
}


const phota_fault_t *
phota_fingerprint_fault(phota_fingerprint_t *fp)
{
    return &fp->fault;
}


static int
phota_fp_event(void *ctx, phota_json_event_e event, const u_char *p,
    size_t len, uint64_t offset)
{
    int                   rc;
    const phota_str_t    *literal;
    phota_fingerprint_t  *fp = ctx;

    static const phota_str_t  literals[] = {
        phota_string("true"), phota_string("false"), phota_string("null")
    };

    switch (event) {

    case PHOTA_JSON_KEY:
        return phota_fp_key(fp, offset);

    case PHOTA_JSON_PIECE:
        return phota_fp_piece(fp, p, len, offset);

    case PHOTA_JSON_STRING_END:
        return phota_fp_string_end(fp, offset);

    case PHOTA_JSON_NUMBER_PIECE:
        phota_fp_text(fp, p, len);
        phota_sink_put(fp->sink, p, len);
        return PHOTA_OK;

    case PHOTA_JSON_NUMBER_END:
        phota_sink_byte(fp->sink, 0xff);
        return phota_fp_end(fp, event, offset);

    case PHOTA_JSON_ARRAY_END:
        phota_sink_byte(fp->sink, ']');
        fp->depth--;
        return phota_fp_end(fp, event, offset + 1);

    case PHOTA_JSON_OBJECT_END:
        return phota_fp_close_object(fp, offset);

    default:
        break;
    }

    /* a value begins */

    rc = phota_fp_begin(fp, event, offset);
    if (rc != PHOTA_OK) {
        return rc;
    }

    switch (event) {

    case PHOTA_JSON_OBJECT:
    case PHOTA_JSON_ARRAY:
        return phota_fp_open(fp, event);

    case PHOTA_JSON_STRING:
        return phota_fp_string(fp);

    case PHOTA_JSON_NUMBER:
        fp->text_len = 0;
        phota_sink_byte(fp->sink, '#');
        return PHOTA_OK;

    default: /* PHOTA_JSON_TRUE, PHOTA_JSON_FALSE, PHOTA_JSON_NULL */
        literal = &literals[event - PHOTA_JSON_TRUE];
        phota_sink_byte(fp->sink, literal->data[0]);
        return phota_fp_end(fp, event, offset + literal->len);
    }
}


static int
phota_fp_begin(phota_fingerprint_t *fp, phota_json_event_e event,
    uint64_t offset)
{
    phota_fp_frame_t  *frame;

    fp->offset = offset;

    if (fp->depth == 0) {

        if (event != PHOTA_JSON_OBJECT) {
            return phota_fp_fault(fp, "body must be a JSON object", offset);
        }

        return PHOTA_OK;
    }

    frame = &fp->frames[fp->depth - 1];

    if (frame->array) {
        frame->elements++;
        frame->open = 1;
    }

    if (fp->field == NULL || fp->depth > 2) {
        return PHOTA_OK;
    }

    return phota_fp_begin_field(fp, event);
}


/* event: the last of the value; end: the byte after it */

int
phota_fp_end(phota_fingerprint_t *fp, phota_json_event_e event, uint64_t end)
{
    int                rc;
    phota_member_t    *member;
    phota_fp_frame_t  *frame;

    frame = &fp->frames[fp->depth - 1];
    frame->open = 0;

    if (frame->array) {
        return PHOTA_OK;
    }

    member = &fp->names.members[frame->member];

    rc = phota_sink_value(fp->sink, &member->value);

    if (rc != PHOTA_OK || fp->depth > 1 || fp->field == NULL) {
        return rc;
    }

    if (phota_fp_field(fp, event, end) == PHOTA_DECLINED) {
        member->flags = PHOTA_FP_DROPPED;
    }

    fp->field = NULL;

    return PHOTA_OK;
}


static int
phota_fp_open(phota_fingerprint_t *fp, phota_json_event_e event)
{
    phota_fp_frame_t  *frame;

    frame = &fp->frames[fp->depth++];

    memset(frame, 0, sizeof(phota_fp_frame_t));

    if (event == PHOTA_JSON_ARRAY) {
        frame->array = 1;
        phota_sink_byte(fp->sink, '[');

        return PHOTA_OK;
    }

    frame->base = fp->names.nmembers;
    frame->keys = fp->names.keys_len;
    fp->sink = &fp->sinks[fp->objects++];

    phota_sink_init(fp->sink, fp->key);

    return PHOTA_OK;
}


static int
phota_fp_close_object(phota_fingerprint_t *fp, uint64_t offset)
{
    phota_fp_frame_t  *frame;

    if (fp->depth == 1) {
        return phota_fp_close_top(fp, offset);
    }

    frame = &fp->frames[--fp->depth];

    fp->objects--;
    fp->sink = &fp->sinks[fp->objects - 1];

    phota_fp_put_members(fp, frame->base);
    phota_table_cut(&fp->names, frame->base, frame->keys);

    return phota_fp_end(fp, PHOTA_JSON_OBJECT_END, offset + 1);
}


/* its members stay, for the end of the body */

static int
phota_fp_close_top(phota_fingerprint_t *fp, uint64_t offset)
{
    unsigned              i;
    const phota_field_t  *field;

    for (i = 0; i < fp->op->nfields; i++) {
        field = &fp->op->fields[i];

        if (field->required && !(fp->seen & (1u << i))) {
            phota_fp_fault(fp, "required image is missing", offset);
            (void) phota_fp_path_part(fp->fault.field, 0, field->name.data,
                                      field->name.len);
            return PHOTA_INVALID;
        }
    }

    fp->depth = 0;

    return PHOTA_OK;
}


static void
phota_fp_put_members(phota_fingerprint_t *fp, unsigned base)
{
    unsigned         i;
    phota_sink_t    *sink;
    phota_table_t   *names;
    phota_member_t  *member;

    sink = fp->sink;
    names = &fp->names;

    phota_sink_byte(sink, '{');

    for (i = base; i < names->nmembers; i++) {
        member = &names->members[names->order[i]];

        if (member->flags == PHOTA_FP_DROPPED) {
            continue;
        }

        phota_sink_byte(sink, 'k');
        phota_sink_put(sink, names->keys + member->key, member->len);
        phota_sink_byte(sink, 0xff);

        phota_sink_byte(sink, member->value.type);

        if (member->value.type == PHOTA_CANON_SHORT) {
            phota_sink_byte(sink, member->value.len);
        }

        phota_sink_put(sink, member->value.data, member->value.len);
    }

    phota_sink_byte(sink, '}');
}


static int
phota_fp_key(phota_fingerprint_t *fp, uint64_t offset)
{
    phota_fp_frame_t  *frame;

    frame = &fp->frames[fp->depth - 1];

    fp->string = fp_key;
    fp->offset = offset;
    fp->name = fp->names.keys_len;

    if (fp->names.nmembers - frame->base == PHOTA_MAX_MEMBERS) {
        return phota_fp_fault(fp, "too many members", offset);
    }

    return PHOTA_OK;
}


int
phota_fp_key_end(phota_fingerprint_t *fp)
{
    int                rc;
    phota_fp_frame_t  *frame;

    frame = &fp->frames[fp->depth - 1];

    rc = phota_table_add(&fp->names, frame->base, fp->name, &frame->member);

    if (rc == PHOTA_ERROR) {
        return rc;
    }

    frame->open = 1;

    if (rc == PHOTA_DECLINED) {
        return phota_fp_fault(fp, "duplicate key", fp->offset);
    }

    phota_sink_reset(fp->sink);

    if (fp->depth == 1) {
        phota_fp_top_key(fp);
    }

    return PHOTA_OK;
}


/* the length first, so that no two lists of parts are the same bytes */

static void
phota_fp_put_part(phota_sink_t *sink, const u_char *p, size_t len)
{
    int     shift;
    u_char  c;

    for (shift = 56; shift >= 0; shift -= 8) {
        c = (u_char) ((uint64_t) len >> shift);
        phota_sink_byte(sink, c);
    }

    if (len) {
        phota_sink_put(sink, p, len);
    }
}


/* at most max bytes, and no part of a character */

size_t
phota_fp_cut(const u_char *p, size_t len, size_t max)
{
    if (len <= max) {
        return len;
    }

    len = max;

    while (len && (p[len] & 0xc0) == 0x80) {
        len--;
    }

    return len;
}


int
phota_fp_fault(phota_fingerprint_t *fp, const char *detail, uint64_t offset)
{
    fp->rc = PHOTA_INVALID;
    fp->fault.detail = detail;
    fp->fault.offset = offset;

    phota_fp_path(fp);

    return PHOTA_INVALID;
}


static void
phota_fp_path(phota_fingerprint_t *fp)
{
    int                len;
    char               index[24];
    size_t             used;
    unsigned           i;
    phota_member_t    *member;
    phota_fp_frame_t  *frame;

    used = 0;
    fp->fault.field[0] = '\0';

    for (i = 0; i < fp->depth; i++) {
        frame = &fp->frames[i];

        if (!frame->open) {
            return;
        }

        if (frame->array) {
            len = snprintf(index, sizeof(index), "%llu",
                           (unsigned long long) frame->elements - 1);

            used = phota_fp_path_part(fp->fault.field, used,
                                      (u_char *) index, len);
            continue;
        }

        member = &fp->names.members[frame->member];

        used = phota_fp_path_part(fp->fault.field, used,
                                  fp->names.keys + member->key, member->len);
    }
}


/* controls would spoil a log line, and NUL would end the text */

static size_t
phota_fp_path_part(char *field, size_t used, const u_char *p, size_t len)
{
    size_t  i, n;

    if (used && used < PHOTA_FIELD_TEXT - 1) {
        field[used++] = '.';
    }

    n = phota_fp_cut(p, len, PHOTA_FIELD_TEXT - 1 - used);

    for (i = 0; i < n; i++) {
        field[used++] = (p[i] < 0x20 || p[i] == 0x7f) ? '?' : (char) p[i];
    }

    field[used] = '\0';

    /* what is cut stays cut */

    return (n < len) ? PHOTA_FIELD_TEXT - 1 : used;
}
