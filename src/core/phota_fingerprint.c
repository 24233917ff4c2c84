
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


#include "phota_fingerprint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "phota_canon.h"
#include "phota_image.h"
#include "phota_json.h"


#define PHOTA_FP_TEXT     64        /* of a short value that we understand */
#define PHOTA_FP_ID       256       /* of a profile in a prompt */

#define PHOTA_FP_DROPPED  0x01      /* a member that isn't fingerprinted */

#define PHOTA_FP_PROMPT   0x01      /* who named a profile */
#define PHOTA_FP_LISTED   0x02


typedef enum {
    fp_key = 0,
    fp_plain,
    fp_image,
    fp_prompt,
    fp_profile
} phota_fp_string_e;


/* an open object or array */

typedef struct {
    unsigned              array:1;
    unsigned              open:1;       /* inside of a member, an element */
    unsigned              member;       /* which; of an object */
    unsigned              base;         /* its members begin here */
    size_t                keys;         /* their names here */
    uint64_t              elements;     /* of an array, up to now */
} phota_fp_frame_t;


struct phota_fingerprint_s {
    phota_json_t                json;
    EVP_MD                     *md;
    const phota_operation_t    *op;

    int                         rc;         /* once it isn't PHOTA_OK */
    phota_fault_t               fault;

    unsigned                    depth;
    unsigned                    objects;    /* how many of depth are */
    phota_sink_t               *sink;       /* of the innermost object */
    const phota_field_t        *field;      /* of the top-level member */

    phota_fp_string_e           string;
    uint64_t                    offset;     /* of the key or value */
    size_t                      name;       /* of the key, in names.keys */

    unsigned                    text_len;   /* more than there is: cut */
    u_char                      text[PHOTA_FP_TEXT];

    unsigned                    brackets;   /* before, or after the id */
    unsigned                    id_len;
    u_char                      id[PHOTA_FP_ID];
    unsigned                    mixed:1;    /* profile_ids aren't strings */
    unsigned                    seen;       /* bit per field of op */

    unsigned                    outputs;
    phota_mode_e                mode;
    char                        model[PHOTA_FP_TEXT];
    char                        resolution[PHOTA_FP_TEXT];

    phota_table_t               names;
    phota_table_t               profiles;
    phota_image_t               image;
    phota_fp_frame_t            frames[PHOTA_JSON_MAX_DEPTH];
    phota_sink_t                sinks[PHOTA_JSON_MAX_DEPTH];
};


static int phota_fp_event(void *ctx, phota_json_event_e event,
    const u_char *p, size_t len, uint64_t offset);
static int phota_fp_begin(phota_fingerprint_t *fp, phota_json_event_e event,
    uint64_t offset);
static int phota_fp_begin_field(phota_fingerprint_t *fp,
    phota_json_event_e event);
static int phota_fp_end(phota_fingerprint_t *fp, phota_json_event_e event);
static int phota_fp_open(phota_fingerprint_t *fp, phota_json_event_e event);
static int phota_fp_close_object(phota_fingerprint_t *fp, uint64_t offset);
static int phota_fp_close_top(phota_fingerprint_t *fp, uint64_t offset);
static void phota_fp_put_members(phota_fingerprint_t *fp, unsigned base);
static int phota_fp_key(phota_fingerprint_t *fp, uint64_t offset);
static int phota_fp_key_end(phota_fingerprint_t *fp);
static void phota_fp_top_key(phota_fingerprint_t *fp);
static int phota_fp_string(phota_fingerprint_t *fp);
static int phota_fp_piece(phota_fingerprint_t *fp, const u_char *p,
    size_t len, uint64_t offset);
static int phota_fp_string_end(phota_fingerprint_t *fp, uint64_t offset);
static int phota_fp_image_end(phota_fingerprint_t *fp, uint64_t offset);
static void phota_fp_image_write(void *ctx, const u_char *p, size_t n);
static void phota_fp_text(phota_fingerprint_t *fp, const u_char *p,
    size_t len);
static int phota_fp_text_is(phota_fingerprint_t *fp, const phota_str_t *s);
static void phota_fp_text_copy(phota_fingerprint_t *fp, char *buf);
static int phota_fp_prompt_ids(phota_fingerprint_t *fp, const u_char *p,
    size_t len);
static int phota_fp_prompt_byte(phota_fingerprint_t *fp, u_char c);
static int phota_fp_profile(phota_fingerprint_t *fp, size_t id, u_char flag);
static void phota_fp_forget_listed(phota_fingerprint_t *fp);
static int phota_fp_field(phota_fingerprint_t *fp, phota_json_event_e event);
static unsigned phota_fp_count(phota_fingerprint_t *fp);
static phota_mode_e phota_fp_mode(phota_fingerprint_t *fp,
    phota_json_event_e event);
static void phota_fp_put_part(phota_sink_t *sink, const u_char *p,
    size_t len);
static unsigned phota_fp_put_profiles(phota_fingerprint_t *fp);
static size_t phota_fp_cut(const u_char *p, size_t len, size_t max);
static int phota_fp_fault(phota_fingerprint_t *fp, const char *detail,
    uint64_t offset);
static void phota_fp_path(phota_fingerprint_t *fp);
static size_t phota_fp_path_part(char *field, size_t used, const u_char *p,
    size_t len);


phota_fingerprint_t *
phota_fingerprint_create(const phota_operation_t *op,
    const phota_str_t *signing, unsigned nparams)
{
    unsigned              i;
    phota_fingerprint_t  *fp;

    fp = calloc(1, sizeof(phota_fingerprint_t));
    if (fp == NULL) {
        return NULL;
    }

    /* fetched once: looking it up by name costs as much as a digest */

    fp->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (fp->md == NULL) {
        free(fp);
        return NULL;
    }

    fp->op = op;
    fp->outputs = 1;
    fp->mode = PHOTA_MODE_BYTES;
    fp->sink = fp->sinks;

    for (i = 0; i < PHOTA_JSON_MAX_DEPTH; i++) {
        phota_sink_init(&fp->sinks[i], fp->md);
    }

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

    for (i = 0; i < PHOTA_JSON_MAX_DEPTH; i++) {
        phota_sink_free(&fp->sinks[i]);
    }

    phota_table_free(&fp->names);
    phota_table_free(&fp->profiles);

    EVP_MD_free(fp->md);
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
    u_char         version;
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

    memset(scan, 0, sizeof(phota_scan_t));

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

    scan->profiles = phota_fp_put_profiles(fp);
    scan->outputs = fp->outputs;
    scan->mode = fp->mode;
    memcpy(scan->model, fp->model, sizeof(fp->model));
    memcpy(scan->resolution, fp->resolution, sizeof(fp->resolution));

    fp->rc = phota_sink_digest(sink, scan->digest);

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
    phota_fingerprint_t  *fp = ctx;

    static const u_char  literals[] = { 't', 'f', 'n' };

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
        return phota_fp_end(fp, event);

    case PHOTA_JSON_ARRAY_END:
        phota_sink_byte(fp->sink, ']');
        fp->depth--;
        return phota_fp_end(fp, event);

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
        phota_sink_byte(fp->sink, literals[event - PHOTA_JSON_TRUE]);
        return phota_fp_end(fp, event);
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


static int
phota_fp_begin_field(phota_fingerprint_t *fp, phota_json_event_e event)
{
    if (fp->depth == 2) {

        if (fp->field->kind == PHOTA_FIELD_PROFILES
            && event != PHOTA_JSON_STRING)
        {
            fp->mixed = 1;
        }

        return PHOTA_OK;
    }

    switch (fp->field->kind) {

    case PHOTA_FIELD_ASYNC:

        /* "true", 1 and "yes" are true to the upstream, too */

        if (event != PHOTA_JSON_FALSE && event != PHOTA_JSON_NULL) {
            return phota_fp_fault(fp, "asynchronous calls are not offered",
                                  fp->offset);
        }

        break;

    case PHOTA_FIELD_IMAGE:
        if (!fp->field->required || event == PHOTA_JSON_STRING) {
            break;
        }

        if (event == PHOTA_JSON_NULL) {
            return phota_fp_fault(fp, "required image is missing",
                                  fp->offset);
        }

        return phota_fp_fault(fp, "must be a URL or base64 string",
                              fp->offset);

    default:
        break;
    }

    return PHOTA_OK;
}


/* event: the last of the value */

static int
phota_fp_end(phota_fingerprint_t *fp, phota_json_event_e event)
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

    if (phota_fp_field(fp, event) == PHOTA_DECLINED) {
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

    return phota_fp_end(fp, PHOTA_JSON_OBJECT_END);
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


static int
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


static void
phota_fp_top_key(phota_fingerprint_t *fp)
{
    const phota_field_t  *field;

    field = phota_operation_field(fp->op, fp->names.keys + fp->name,
                                  fp->names.keys_len - fp->name);
    fp->field = field;

    if (field == NULL) {
        return;
    }

    fp->seen |= 1u << (field - fp->op->fields);

    switch (field->kind) {

    case PHOTA_FIELD_COUNT:
    case PHOTA_FIELD_MODE:
    case PHOTA_FIELD_ASYNC:
    case PHOTA_FIELD_IGNORED:
        fp->sink->mute = 1;
        break;

    default:
        break;
    }
}


static int
phota_fp_string(phota_fingerprint_t *fp)
{
    phota_field_e  kind;

    kind = fp->field ? fp->field->kind : PHOTA_FIELD_PLAIN;

    fp->text_len = 0;
    fp->string = fp_plain;

    if ((kind == PHOTA_FIELD_IMAGE && fp->depth == 1)
        || (kind == PHOTA_FIELD_IMAGES && fp->depth == 2
            && fp->frames[1].array))
    {
        fp->string = fp_image;
        phota_image_begin(&fp->image);
        phota_sink_byte(fp->sink, '@');

        return PHOTA_OK;
    }

    if (kind == PHOTA_FIELD_PROMPT && fp->depth == 1) {
        fp->string = fp_prompt;
        fp->brackets = 0;
        fp->id_len = 0;

    } else if (kind == PHOTA_FIELD_PROFILES && fp->depth == 2
               && fp->frames[1].array)
    {
        fp->string = fp_profile;
        fp->name = fp->profiles.keys_len;
    }

    phota_sink_byte(fp->sink, 's');

    return PHOTA_OK;
}


static int
phota_fp_piece(phota_fingerprint_t *fp, const u_char *p, size_t len,
    uint64_t offset)
{
    int  rc;

    switch (fp->string) {

    case fp_key:
        rc = phota_table_append(&fp->names, p, len);

        if (rc == PHOTA_INVALID) {
            return phota_fp_fault(fp, "too many bytes of keys", fp->offset);
        }

        return rc;

    case fp_image:
        rc = phota_image_update(&fp->image, p, len, offset);

        if (rc == PHOTA_INVALID) {
            return phota_fp_fault(fp, fp->image.fault,
                                  fp->image.fault_offset);
        }

        return rc;

    case fp_prompt:
        rc = phota_fp_prompt_ids(fp, p, len);
        break;

    case fp_profile:
        rc = phota_table_append(&fp->profiles, p, len);

        if (rc == PHOTA_INVALID) {
            rc = phota_fp_fault(fp, "too many profiles", fp->offset);
        }

        break;

    default: /* fp_plain */
        rc = PHOTA_OK;
        break;
    }

    phota_fp_text(fp, p, len);
    phota_sink_put(fp->sink, p, len);

    return rc;
}


static int
phota_fp_string_end(phota_fingerprint_t *fp, uint64_t offset)
{
    int  rc;

    switch (fp->string) {

    case fp_key:
        return phota_fp_key_end(fp);

    case fp_image:
        rc = phota_fp_image_end(fp, offset);
        break;

    case fp_profile:
        rc = phota_fp_profile(fp, fp->name, PHOTA_FP_LISTED);
        break;

    default: /* fp_plain, fp_prompt */
        rc = PHOTA_OK;
        break;
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    phota_sink_byte(fp->sink, 0xff);

    return phota_fp_end(fp, PHOTA_JSON_STRING_END);
}


static int
phota_fp_image_end(phota_fingerprint_t *fp, uint64_t offset)
{
    int  rc;

    rc = phota_image_final(&fp->image, offset);

    if (rc == PHOTA_INVALID) {
        return phota_fp_fault(fp, fp->image.fault, fp->image.fault_offset);
    }

    if (rc == PHOTA_DECLINED && fp->field->required) {
        return phota_fp_fault(fp, "must be a URL or base64 string",
                              fp->offset);
    }

    return PHOTA_OK;
}


static void
phota_fp_image_write(void *ctx, const u_char *p, size_t n)
{
    phota_fingerprint_t  *fp = ctx;

    phota_sink_put(fp->sink, p, n);
}


static void
phota_fp_text(phota_fingerprint_t *fp, const u_char *p, size_t len)
{
    size_t  n;

    if (fp->depth != 1 || fp->text_len > PHOTA_FP_TEXT) {
        return;
    }

    n = PHOTA_FP_TEXT - fp->text_len;

    if (len <= n) {
        memcpy(&fp->text[fp->text_len], p, len);
        fp->text_len += len;

        return;
    }

    memcpy(&fp->text[fp->text_len], p, n);
    fp->text_len = PHOTA_FP_TEXT + 1;
}


static int
phota_fp_text_is(phota_fingerprint_t *fp, const phota_str_t *s)
{
    return fp->text_len == s->len && memcmp(fp->text, s->data, s->len) == 0;
}


static void
phota_fp_text_copy(phota_fingerprint_t *fp, char *buf)
{
    size_t  len;

    len = (fp->text_len > PHOTA_FP_TEXT) ? PHOTA_FP_TEXT : fp->text_len;
    len = phota_fp_cut(fp->text, len, PHOTA_FP_TEXT - 1);

    memcpy(buf, fp->text, len);
    buf[len] = '\0';
}


static int
phota_fp_prompt_ids(phota_fingerprint_t *fp, const u_char *p, size_t len)
{
    int            rc;
    const u_char  *last;

    last = p + len;

    while (p < last) {

        if (fp->brackets == 0) {
            p = memchr(p, '[', last - p);

            if (p == NULL) {
                break;
            }
        }

        rc = phota_fp_prompt_byte(fp, *p++);
        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return PHOTA_OK;
}


/* brackets: 1 after "[", 2 after "[[" and within the id, 3 after its "]" */

static int
phota_fp_prompt_byte(phota_fingerprint_t *fp, u_char c)
{
    int     rc;
    size_t  id;

    if (c == '[') {
        fp->brackets = (fp->brackets == 1
                        || (fp->brackets == 2 && fp->id_len == 0)) ? 2 : 1;
        fp->id_len = 0;

        return PHOTA_OK;
    }

    if (c == ']') {

        if (fp->brackets == 2 && fp->id_len) {
            fp->brackets = 3;
            return PHOTA_OK;
        }

        if (fp->brackets != 3) {
            fp->brackets = 0;
            return PHOTA_OK;
        }

        fp->brackets = 0;
        id = fp->profiles.keys_len;

        rc = phota_table_append(&fp->profiles, fp->id, fp->id_len);

        if (rc == PHOTA_INVALID) {
            return phota_fp_fault(fp, "too many profiles", fp->offset);
        }

        if (rc != PHOTA_OK) {
            return rc;
        }

        return phota_fp_profile(fp, id, PHOTA_FP_PROMPT);
    }

    if (fp->brackets == 2 && fp->id_len < PHOTA_FP_ID) {
        fp->id[fp->id_len++] = c;

    } else {
        fp->brackets = 0;
    }

    return PHOTA_OK;
}


static int
phota_fp_profile(phota_fingerprint_t *fp, size_t id, u_char flag)
{
    int       rc;
    unsigned  index;

    rc = phota_table_add(&fp->profiles, 0, id, &index);

    if (rc == PHOTA_ERROR) {
        return rc;
    }

    if (rc == PHOTA_INVALID) {
        return phota_fp_fault(fp, "too many profiles", fp->offset);
    }

    fp->profiles.members[index].flags |= flag;

    return PHOTA_OK;
}


static void
phota_fp_forget_listed(phota_fingerprint_t *fp)
{
    unsigned  i;

    for (i = 0; i < fp->profiles.nmembers; i++) {
        fp->profiles.members[i].flags &= ~PHOTA_FP_LISTED;
    }
}


/*
 * A top-level member of the table has come to its end; PHOTA_DECLINED when
 * it isn't part of the fingerprint as it stands.
 */

static int
phota_fp_field(phota_fingerprint_t *fp, phota_json_event_e event)
{
    int                   string;
    const phota_field_t  *field;

    field = fp->field;
    string = (event == PHOTA_JSON_STRING_END);

    switch (field->kind) {

    case PHOTA_FIELD_COUNT:
        if (string || event == PHOTA_JSON_NUMBER_END) {
            fp->outputs = phota_fp_count(fp);

        } else {
            fp->outputs = (event == PHOTA_JSON_NULL) ? 1 : 0;
        }

        return PHOTA_DECLINED;

    case PHOTA_FIELD_MODE:
        fp->mode = phota_fp_mode(fp, event);
        return PHOTA_DECLINED;

    case PHOTA_FIELD_ASYNC:
    case PHOTA_FIELD_IGNORED:
        return PHOTA_DECLINED;

    case PHOTA_FIELD_PROFILES:
        if (event == PHOTA_JSON_NULL
            || (event == PHOTA_JSON_ARRAY_END && !fp->mixed))
        {
            return PHOTA_DECLINED;
        }

        phota_fp_forget_listed(fp);
        return PHOTA_OK;

    case PHOTA_FIELD_MODEL:
        if (string) {
            phota_fp_text_copy(fp, fp->model);
        }

        break;

    case PHOTA_FIELD_RESOLUTION:
        if (string) {
            phota_fp_text_copy(fp, fp->resolution);
        }

        break;

    default:
        break;
    }

    if (field->preset.data == NULL) {
        return PHOTA_OK;
    }

    if (event == PHOTA_JSON_NULL
        || (string && phota_fp_text_is(fp, &field->preset)))
    {
        return PHOTA_DECLINED;
    }

    return PHOTA_OK;
}


/* 1 to 64, also as "2" and 2.0, which the upstream takes; 0 for all else */

static unsigned
phota_fp_count(phota_fingerprint_t *fp)
{
    unsigned  i, count;

    if (fp->text_len > PHOTA_FP_TEXT) {
        return 0;
    }

    count = 0;

    for (i = 0; i < fp->text_len; i++) {

        if (fp->text[i] < '0' || fp->text[i] > '9' || i == 2) {
            break;
        }

        count = count * 10 + (fp->text[i] - '0');
    }

    if (i == 0 || fp->text[0] == '0' || count > 64) {
        return 0;
    }

    if (i == fp->text_len) {
        return count;
    }

    if (fp->text[i] != '.' || i + 1 == fp->text_len) {
        return 0;
    }

    while (++i < fp->text_len) {

        if (fp->text[i] != '0') {
            return 0;
        }
    }

    return count;
}


static phota_mode_e
phota_fp_mode(phota_fingerprint_t *fp, phota_json_event_e event)
{
    static const phota_str_t  bytes = phota_string("bytes");
    static const phota_str_t  urls = phota_string("urls");

    if (event == PHOTA_JSON_NULL) {
        return PHOTA_MODE_BYTES;
    }

    if (event != PHOTA_JSON_STRING_END) {
        return PHOTA_MODE_OTHER;
    }

    if (phota_fp_text_is(fp, &bytes)) {
        return PHOTA_MODE_BYTES;
    }

    return phota_fp_text_is(fp, &urls) ? PHOTA_MODE_URLS : PHOTA_MODE_OTHER;
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


static unsigned
phota_fp_put_profiles(phota_fingerprint_t *fp)
{
    unsigned         i, n;
    phota_table_t   *profiles;
    phota_member_t  *member;

    n = 0;
    profiles = &fp->profiles;

    phota_sink_byte(fp->sink, 'p');

    for (i = 0; i < profiles->nmembers; i++) {
        member = &profiles->members[profiles->order[i]];

        if (member->flags == 0) {
            continue;
        }

        phota_sink_put(fp->sink, profiles->keys + member->key, member->len);
        phota_sink_byte(fp->sink, 0xff);
        n++;
    }

    return n;
}


/* at most max bytes, and no part of a character */

static size_t
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


static int
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
