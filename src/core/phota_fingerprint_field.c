
/*
 * The fingerprint's strings and fields: what the members of the operation
 * table mean, which of them are values of their own, where they stand, and what
 * of them the gateway wants to know.
 */


#include "phota_fingerprint_field.h"

#include <stdlib.h>
#include <string.h>


#define PHOTA_FP_NOWHERE  PHOTA_SPOT_MAX


static phota_spot_e phota_fp_spot(const phota_field_t *field);
static int phota_fp_keep(phota_fingerprint_t *fp, const u_char *p, size_t len);
static int phota_fp_image_end(phota_fingerprint_t *fp, uint64_t offset);
static int phota_fp_text_is(phota_fingerprint_t *fp, const phota_str_t *s);
static void phota_fp_text_copy(phota_fingerprint_t *fp, char *buf);
static int phota_fp_preset(phota_fingerprint_t *fp, phota_json_event_e event);
static int phota_fp_seeded(phota_fingerprint_t *fp, phota_json_event_e event);
static unsigned phota_fp_count(phota_fingerprint_t *fp,
    phota_json_event_e event);
static phota_mode_e phota_fp_mode(phota_fingerprint_t *fp,
    phota_json_event_e event);


int
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

    fp->at = fp->offset;

    switch (fp->field->kind) {

    case PHOTA_FIELD_ASYNC:

        /* "true", 1 and "yes" are true to the upstream, too */

        if (event != PHOTA_JSON_FALSE && event != PHOTA_JSON_NULL) {
            fp->scan.async = 1;
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


void
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
    case PHOTA_FIELD_CALLBACK:
    case PHOTA_FIELD_REQUEST_ID:
        fp->sink->mute = 1;
        break;

    default:
        break;
    }
}


/* those of which it is asked where they stand */

static phota_spot_e
phota_fp_spot(const phota_field_t *field)
{
    switch (field->kind) {

    case PHOTA_FIELD_COUNT:
        return PHOTA_SPOT_COUNT;

    case PHOTA_FIELD_MODE:
        return PHOTA_SPOT_MODE;

    case PHOTA_FIELD_CALLBACK:
        return PHOTA_SPOT_CALLBACK;

    case PHOTA_FIELD_REQUEST_ID:
        return PHOTA_SPOT_REQUEST_ID;

    case PHOTA_FIELD_TAG:
        return PHOTA_SPOT_TAG;

    default:
        return PHOTA_FP_NOWHERE;
    }
}


int
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

    } else if ((kind == PHOTA_FIELD_CALLBACK || kind == PHOTA_FIELD_REQUEST_ID
                || kind == PHOTA_FIELD_TAG)
               && fp->depth == 1)
    {
        fp->string = fp_kept;
        fp->kept[phota_fp_spot(fp->field)].string = 1;
    }

    phota_sink_byte(fp->sink, 's');

    return PHOTA_OK;
}


int
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
        rc = phota_fp_prompt_ids(fp, p, len, offset);
        break;

    case fp_profile:
        rc = phota_table_append(&fp->profiles, p, len);

        if (rc == PHOTA_INVALID) {
            rc = phota_fp_fault(fp, "too many profiles", fp->offset);
        }

        break;

    case fp_kept:
        rc = phota_fp_keep(fp, p, len);
        break;

    default: /* fp_plain */
        rc = PHOTA_OK;
        break;
    }

    phota_fp_text(fp, p, len);
    phota_sink_put(fp->sink, p, len);

    return rc;
}


int
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
        rc = phota_fp_profile(fp, fp->name, PHOTA_FP_LISTED, fp->offset);
        break;

    default: /* fp_plain, fp_prompt, fp_kept */
        rc = PHOTA_OK;
        break;
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    phota_sink_byte(fp->sink, 0xff);

    return phota_fp_end(fp, PHOTA_JSON_STRING_END, offset + 1);
}


static int
phota_fp_keep(phota_fingerprint_t *fp, const u_char *p, size_t len)
{
    size_t            size;
    u_char           *data;
    phota_fp_kept_t  *kept;

    kept = &fp->kept[phota_fp_spot(fp->field)];

    if (len > PHOTA_SPOT_TEXT - kept->len) {
        return phota_fp_fault(fp, "text is too long", fp->offset);
    }

    if (len > kept->size - kept->len) {
        size = kept->size ? kept->size : 128;

        while (len > size - kept->len) {
            size *= 2;
        }

        data = realloc(kept->data, size);
        if (data == NULL) {
            return PHOTA_ERROR;
        }

        kept->data = data;
        kept->size = size;
    }

    memcpy(kept->data + kept->len, p, len);
    kept->len += len;

    return PHOTA_OK;
}


int
phota_fingerprint_text(phota_fingerprint_t *fp, phota_spot_e spot,
    phota_str_t *text)
{
    phota_fp_kept_t  *kept;

    kept = &fp->kept[spot];

    if (!kept->string) {
        return PHOTA_DECLINED;
    }

    text->data = kept->len ? kept->data : (const u_char *) "";
    text->len = kept->len;

    return PHOTA_OK;
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


void
phota_fp_image_write(void *ctx, const u_char *p, size_t n)
{
    phota_fingerprint_t  *fp = ctx;

    phota_sink_put(fp->sink, p, n);
}


void
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
    size_t  i, len;

    len = (fp->text_len > PHOTA_FP_TEXT) ? PHOTA_FP_TEXT : fp->text_len;
    len = phota_fp_cut(fp->text, len, PHOTA_FP_CHOICE - 1);

    /* or what stands before a NUL would be priced */

    for (i = 0; i < len; i++) {
        buf[i] = (fp->text[i] != '\0') ? (char) fp->text[i] : '?';
    }

    buf[len] = '\0';
}


/*
 * A top-level member of the table has come to its end; PHOTA_DECLINED when
 * it isn't part of the fingerprint as it stands.
 */

int
phota_fp_field(phota_fingerprint_t *fp, phota_json_event_e event,
    uint64_t end)
{
    int           string;
    phota_spot_e  spot;

    string = (event == PHOTA_JSON_STRING_END);
    spot = phota_fp_spot(fp->field);

    if (spot != PHOTA_FP_NOWHERE) {
        fp->scan.spots[spot].at = fp->at;
        fp->scan.spots[spot].end = end;
    }

    switch (fp->field->kind) {

    case PHOTA_FIELD_COUNT:
        fp->scan.outputs = phota_fp_count(fp, event);
        return PHOTA_DECLINED;

    case PHOTA_FIELD_MODE:
        fp->scan.mode = phota_fp_mode(fp, event);
        return PHOTA_DECLINED;

    case PHOTA_FIELD_ASYNC:
    case PHOTA_FIELD_CALLBACK:
        return PHOTA_DECLINED;

    case PHOTA_FIELD_REQUEST_ID:

        /* two quotes and nothing between them, or no text at all */

        fp->scan.nameless = (event != PHOTA_JSON_NULL
                             && (!string || end - fp->at <= 2));
        return PHOTA_DECLINED;

    case PHOTA_FIELD_PROFILES:
        if (event == PHOTA_JSON_NULL
            || (event == PHOTA_JSON_ARRAY_END && !fp->mixed))
        {
            return PHOTA_DECLINED;
        }

        phota_fp_forget_listed(fp);
        fp->vague = 1;
        return PHOTA_OK;

    case PHOTA_FIELD_PROMPT:

        /* in its texts there may be ids, for all we know */

        fp->vague |= (event == PHOTA_JSON_ARRAY_END
                      || event == PHOTA_JSON_OBJECT_END);
        break;

    case PHOTA_FIELD_MODEL:
        if (string) {
            phota_fp_text_copy(fp, fp->scan.model);
        }

        break;

    case PHOTA_FIELD_RESOLUTION:
        if (string) {
            phota_fp_text_copy(fp, fp->scan.resolution);
        }

        break;

    case PHOTA_FIELD_SEED:
        fp->scan.seeded = phota_fp_seeded(fp, event);
        break;

    default:
        break;
    }

    return phota_fp_preset(fp, event) ? PHOTA_DECLINED : PHOTA_OK;
}


static int
phota_fp_preset(phota_fingerprint_t *fp, phota_json_event_e event)
{
    const phota_field_t  *field;

    field = fp->field;

    if (field->preset.data == NULL) {
        return 0;
    }

    if (event == PHOTA_JSON_NULL) {
        return 1;
    }

    return event == (field->number ? PHOTA_JSON_NUMBER_END
                                   : PHOTA_JSON_STRING_END)
           && phota_fp_text_is(fp, &field->preset);
}


/*
 * -1.0 and -10e-1 are the preset, too; of a number that is too long to be read
 * that isn't known, and a call is bought again rather than once too seldom.
 */

static int
phota_fp_seeded(phota_fingerprint_t *fp, phota_json_event_e event)
{
    char  text[PHOTA_FP_TEXT + 1];

    if (event != PHOTA_JSON_NUMBER_END || fp->text_len > PHOTA_FP_TEXT) {
        return 0;
    }

    memcpy(text, fp->text, fp->text_len);
    text[fp->text_len] = '\0';

    return strtod(text, NULL)
           != strtod((const char *) fp->field->preset.data, NULL);
}


/* 1 to 64, also as "2" and 2.0, which the upstream takes; 0 for all else */

static unsigned
phota_fp_count(phota_fingerprint_t *fp, phota_json_event_e event)
{
    unsigned  i, count;

    if (event == PHOTA_JSON_NULL) {
        return 1;
    }

    if ((event != PHOTA_JSON_STRING_END && event != PHOTA_JSON_NUMBER_END)
        || fp->text_len > PHOTA_FP_TEXT)
    {
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
