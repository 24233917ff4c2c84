
/*
 * The fingerprint's strings and fields: what the members of the operation
 * table mean, which of them are values of their own, what of them the gateway
 * wants to know, and the profiles that a request names.
 */


#include "phota_fingerprint_field.h"

#include <string.h>


static int phota_fp_image_end(phota_fingerprint_t *fp, uint64_t offset);
static int phota_fp_text_is(phota_fingerprint_t *fp, const phota_str_t *s);
static void phota_fp_text_copy(phota_fingerprint_t *fp, char *buf);
static int phota_fp_prompt_ids(phota_fingerprint_t *fp, const u_char *p,
    size_t len);
static int phota_fp_prompt_byte(phota_fingerprint_t *fp, u_char c);
static int phota_fp_profile(phota_fingerprint_t *fp, size_t id, u_char flag);
static void phota_fp_forget_listed(phota_fingerprint_t *fp);
static unsigned phota_fp_count(phota_fingerprint_t *fp,
    phota_json_event_e event);
static phota_mode_e phota_fp_mode(phota_fingerprint_t *fp,
    phota_json_event_e event);
static int phota_fp_legible(const u_char *id, size_t len);


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
    case PHOTA_FIELD_IGNORED:
        fp->sink->mute = 1;
        break;

    default:
        break;
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

    return phota_fp_end(fp, PHOTA_JSON_STRING_END, offset + 1);
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
    len = phota_fp_cut(fp->text, len, PHOTA_FP_TEXT - 1);

    /* or what stands before a NUL would be priced */

    for (i = 0; i < len; i++) {
        buf[i] = (fp->text[i] != '\0') ? (char) fp->text[i] : '?';
    }

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

        /* the upstream may read as an id what we don't */

        if (fp->brackets == 2) {
            fp->unread++;
        }

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
        fp->unread--;
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

int
phota_fp_field(phota_fingerprint_t *fp, phota_json_event_e event,
    uint64_t end)
{
    int                   string;
    const phota_field_t  *field;

    field = fp->field;
    string = (event == PHOTA_JSON_STRING_END);

    switch (field->kind) {

    case PHOTA_FIELD_COUNT:
        fp->scan.outputs = phota_fp_count(fp, event);
        fp->scan.count_at = fp->at;
        fp->scan.count_end = end;
        return PHOTA_DECLINED;

    case PHOTA_FIELD_MODE:
        fp->scan.mode = phota_fp_mode(fp, event);
        fp->scan.mode_at = fp->at;
        fp->scan.mode_end = end;
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
        fp->vague = 1;
        return PHOTA_OK;

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


void
phota_fp_put_profiles(phota_fingerprint_t *fp)
{
    unsigned         i;
    const u_char    *id;
    phota_scan_t    *scan;
    phota_table_t   *profiles;
    phota_member_t  *member;

    scan = &fp->scan;
    profiles = &fp->profiles;

    scan->unmarked = (fp->vague || fp->unread);

    phota_sink_byte(fp->sink, 'p');

    for (i = 0; i < profiles->nmembers; i++) {
        member = &profiles->members[profiles->order[i]];

        if (member->flags == 0) {
            continue;
        }

        id = profiles->keys + member->key;

        phota_sink_put(fp->sink, id, member->len);
        phota_sink_byte(fp->sink, 0xff);
        scan->profiles++;

        if (!phota_fp_legible(id, member->len)) {
            scan->unmarked = 1;
        }

        if (scan->nmarks < PHOTA_MARKS_MAX) {
            scan->marks[scan->nmarks++] = phota_profile_mark(id, member->len);

        } else {
            scan->unmarked = 1;
        }
    }

    if (scan->profiles == 0 && scan->unmarked) {
        scan->profiles = 1;
    }
}


/* of what else is in it, the upstream may make another id: white space, say */

static int
phota_fp_legible(const u_char *id, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {

        if ((id[i] < '0' || id[i] > '9') && (id[i] < 'A' || id[i] > 'Z')
            && (id[i] < 'a' || id[i] > 'z')
            && id[i] != '-' && id[i] != '_' && id[i] != '.')
        {
            return 0;
        }
    }

    return len != 0;
}
