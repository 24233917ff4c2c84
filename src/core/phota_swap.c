
/*
 * The upstream's texts as tenants are to see them: with some strings told
 * otherwise, and its list of profiles without other people's.  The scanner says
 * where strings stand; all that isn't replaced is copied as it came.
 */


#include "phota_job.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "phota_job_text.h"


#define PHOTA_SWAP_URL    16384         /* bytes: no URL is that long */
#define PHOTA_SWAP_ROOM   256           /* beside the text's own length */
#define PHOTA_SWAP_GROWTH ((size_t) 64 << 20)   /* no text grows by more */


typedef struct {
    phota_json_t         json;
    const u_char        *text;
    const phota_swap_t  *swaps;
    unsigned             n;
    unsigned             key:1;
    size_t               at;            /* of the string, with its quote */
    size_t               taken;         /* of the text, so far */
    phota_value_t        value;
    phota_out_t          out;
} phota_swapping_t;


typedef enum {
    filter_other = 0,
    filter_profiles,
    filter_profile_id,
    filter_id,
    filter_tag
} phota_filter_member_e;


typedef struct {
    phota_json_t           json;
    const u_char          *text;
    phota_keep_pt          keep;
    void                  *ctx;

    unsigned               depth;
    phota_filter_member_e  member;
    unsigned               key:1;
    unsigned               found:1;     /* the list was */
    unsigned               listing:1;   /* in it */
    unsigned               some:1;      /* it has an element */

    /* the element */

    unsigned               object:1;
    unsigned               named:1;     /* it has a profile_id, or an id */
    unsigned               better:1;    /* it is the former */
    unsigned               tagged:1;
    size_t                 start;
    size_t                 tag_at;      /* 0: there is none */
    size_t                 tag_end;
    size_t                 id_len;
    u_char                 id[PHOTA_PROFILE_ID_MAX];
    phota_str_t            own;         /* tag, in own_buf; data NULL: none */
    u_char                 own_buf[PHOTA_PROFILE_TAG_MAX];

    size_t                 string_at;
    phota_filter_member_e  string;      /* what the string is */
    phota_value_t          value;
    u_char                 buf[PHOTA_PROFILE_TAG_MAX];
    phota_out_t            out;
} phota_filter_t;


static int phota_swap_event(void *ctx, phota_json_event_e event,
    const u_char *p, size_t len, uint64_t offset);
static int phota_swap_string(phota_swapping_t *s, size_t end);
static int phota_swap_fits(const phota_swap_t *swap,
    const phota_value_t *value);
static int phota_swap_within(const phota_str_t *from, const u_char *p,
    size_t len);
static int phota_filter_event(void *ctx, phota_json_event_e event,
    const u_char *p, size_t len, uint64_t offset);
static int phota_filter_value(phota_filter_t *f, phota_json_event_e event,
    size_t offset);
static void phota_filter_element(phota_filter_t *f, phota_json_event_e event,
    size_t offset);
static void phota_filter_member(phota_filter_t *f,
    phota_filter_member_e member, phota_json_event_e event, size_t offset);
static int phota_filter_string_end(phota_filter_t *f, size_t end);
static int phota_filter_close(phota_filter_t *f, phota_json_event_e event,
    size_t end);
static int phota_filter_keep(phota_filter_t *f, size_t end);
static phota_filter_member_e phota_filter_name(const phota_filter_t *f);


int
phota_swap(const u_char *text, size_t len, const phota_swap_t *swaps,
    unsigned n, u_char **out, size_t *out_len)
{
    int               rc;
    unsigned          i;
    phota_swapping_t  s;

    memset(&s, 0, sizeof(phota_swapping_t));

    s.text = text;
    s.swaps = swaps;
    s.n = n;
    s.out.max = len + PHOTA_SWAP_GROWTH;
    s.value.room = PHOTA_SWAP_URL;

    for (i = 0; i < n; i++) {
        if (swaps[i].from.len > s.value.room) {
            s.value.room = swaps[i].from.len;
        }
    }

    s.value.data = malloc(s.value.room);

    if (s.value.data == NULL
        || phota_out_grow(&s.out, len + PHOTA_SWAP_ROOM) != PHOTA_OK)
    {
        free(s.value.data);
        return PHOTA_ERROR;
    }

    phota_json_init(&s.json, phota_swap_event, &s);

    rc = phota_json_update(&s.json, text, len);

    if (rc == PHOTA_OK) {
        rc = phota_json_final(&s.json);
    }

    if (rc == PHOTA_OK) {
        phota_out_put(&s.out, text + s.taken, len - s.taken);
        rc = s.out.rc;
    }

    free(s.value.data);

    if (rc != PHOTA_OK) {
        free(s.out.data);
        return rc;
    }

    *out = s.out.data;
    *out_len = s.out.len;

    return PHOTA_OK;
}


static int
phota_swap_event(void *ctx, phota_json_event_e event, const u_char *p,
    size_t len, uint64_t offset)
{
    phota_swapping_t  *s = ctx;

    switch (event) {

    case PHOTA_JSON_KEY:
        s->key = 1;
        break;

    case PHOTA_JSON_STRING:
        s->key = 0;
        s->at = (size_t) offset;
        s->value.len = 0;
        break;

    case PHOTA_JSON_PIECE:
        if (!s->key) {
            phota_value_add(&s->value, p, len);
        }

        break;

    case PHOTA_JSON_STRING_END:
        if (!s->key) {
            return phota_swap_string(s, (size_t) offset + 1);
        }

        break;

    default:
        break;
    }

    return PHOTA_OK;
}


static int
phota_swap_string(phota_swapping_t *s, size_t end)
{
    unsigned            i;
    const phota_swap_t  *swap;

    for (i = 0; i < s->n; i++) {
        swap = &s->swaps[i];

        if (!phota_swap_fits(swap, &s->value)) {
            continue;
        }

        phota_out_put(&s->out, s->text + s->taken, s->at - s->taken);

        if (swap->to.data == NULL) {
            phota_out_text(&s->out, "null");

        } else {
            phota_out_string(&s->out, &swap->to);
        }

        s->taken = end;
        break;
    }

    return s->out.rc;
}


/* an id that isn't known is in no string */

static int
phota_swap_fits(const phota_swap_t *swap, const phota_value_t *value)
{
    const phota_str_t  *from;

    from = &swap->from;

    if (from->len == 0 || value->len < from->len || value->len > value->room) {
        return 0;
    }

    if (value->len == from->len
        && memcmp(value->data, from->data, from->len) == 0)
    {
        return 1;
    }

    return swap->within && phota_swap_within(from, value->data, value->len);
}


/*
 * A picture may lie in a folder that has the job's name, and its link is to
 * stay: only the last segment counts.
 */

static int
phota_swap_within(const phota_str_t *from, const u_char *p, size_t len)
{
    size_t  i, end;

    if (p[0] != '/'
        && !(len > 7 && strncasecmp((const char *) p, "http://", 7) == 0)
        && !(len > 8 && strncasecmp((const char *) p, "https://", 8) == 0))
    {
        return 0;
    }

    end = len;

    for (i = 0; i < len; i++) {
        if (p[i] == '?' || p[i] == '#') {
            end = i;
            break;
        }
    }

    if (end && p[end - 1] == '/') {
        end--;
    }

    return end > from->len && p[end - from->len - 1] == '/'
           && memcmp(p + end - from->len, from->data, from->len) == 0;
}


int
phota_profiles_filter(const u_char *text, size_t len, phota_keep_pt keep,
    void *ctx, u_char **out, size_t *out_len)
{
    int             rc;
    phota_filter_t  f;

    memset(&f, 0, sizeof(phota_filter_t));

    f.text = text;
    f.keep = keep;
    f.ctx = ctx;
    f.value.data = f.buf;
    f.value.room = sizeof(f.buf);
    f.out.max = len + PHOTA_SWAP_GROWTH;

    phota_json_init(&f.json, phota_filter_event, &f);

    /* what stands beside the list may tell of those that are not in it */

    phota_out_text(&f.out, "{\"profiles\":[");

    rc = phota_json_update(&f.json, text, len);

    if (rc == PHOTA_OK) {
        rc = phota_json_final(&f.json);
    }

    if (rc == PHOTA_OK && !f.found) {
        rc = PHOTA_INVALID;
    }

    if (rc == PHOTA_OK) {
        phota_out_text(&f.out, "]}");
        rc = f.out.rc;
    }

    if (rc != PHOTA_OK) {
        free(f.out.data);
        return rc;
    }

    *out = f.out.data;
    *out_len = f.out.len;

    return PHOTA_OK;
}


static int
phota_filter_event(void *ctx, phota_json_event_e event, const u_char *p,
    size_t len, uint64_t offset)
{
    phota_filter_t  *f = ctx;

    switch (event) {

    case PHOTA_JSON_KEY:
        f->key = 1;
        f->value.len = 0;
        return PHOTA_OK;

    case PHOTA_JSON_PIECE:
        phota_value_add(&f->value, p, len);
        return PHOTA_OK;

    case PHOTA_JSON_STRING_END:
        if (f->key) {
            f->key = 0;
            f->member = phota_filter_name(f);
            return PHOTA_OK;
        }

        return phota_filter_string_end(f, (size_t) offset + 1);

    case PHOTA_JSON_OBJECT_END:
    case PHOTA_JSON_ARRAY_END:
        return phota_filter_close(f, event, (size_t) offset + 1);

    case PHOTA_JSON_NUMBER_PIECE:
    case PHOTA_JSON_NUMBER_END:
        return PHOTA_OK;

    default:
        return phota_filter_value(f, event, (size_t) offset);
    }
}


static int
phota_filter_value(phota_filter_t *f, phota_json_event_e event,
    size_t offset)
{
    phota_filter_member_e  member;

    member = f->member;
    f->member = filter_other;
    f->string = filter_other;
    f->string_at = offset;
    f->value.len = 0;

    if (f->depth == 0 && event != PHOTA_JSON_OBJECT) {
        return PHOTA_INVALID;
    }

    if (f->depth == 1 && member == filter_profiles && !f->found) {

        if (event != PHOTA_JSON_ARRAY) {
            return PHOTA_INVALID;
        }

        f->found = 1;
        f->listing = 1;

    } else if (f->listing && f->depth == 2) {
        phota_filter_element(f, event, offset);

    } else if (f->listing && f->depth == 3 && f->object) {
        phota_filter_member(f, member, event, offset);
    }

    if (event == PHOTA_JSON_OBJECT || event == PHOTA_JSON_ARRAY) {
        f->depth++;
    }

    return PHOTA_OK;
}


static void
phota_filter_element(phota_filter_t *f, phota_json_event_e event,
    size_t offset)
{
    f->start = offset;
    f->object = (event == PHOTA_JSON_OBJECT);
    f->named = 0;
    f->better = 0;
    f->tagged = 0;
    f->tag_at = 0;
    f->own.len = 0;
    f->own.data = NULL;
    f->id_len = 0;

    if (event == PHOTA_JSON_STRING) {
        f->string = filter_profile_id;
    }
}


/* of two members of one name the first counts, whatever it is */

static void
phota_filter_member(phota_filter_t *f, phota_filter_member_e member,
    phota_json_event_e event, size_t offset)
{
    switch (member) {

    case filter_profile_id:
        if (f->better) {
            return;
        }

        f->better = 1;
        f->id_len = 0;
        break;

    case filter_id:
        if (f->named || f->better) {
            return;
        }

        f->named = 1;
        break;

    case filter_tag:
        if (f->tagged) {
            return;
        }

        f->tagged = 1;

        if (event == PHOTA_JSON_NULL) {
            f->tag_at = offset;
            f->tag_end = offset + sizeof("null") - 1;
        }

        break;

    default:
        return;
    }

    if (event == PHOTA_JSON_STRING) {
        f->string = member;
    }
}


static int
phota_filter_string_end(phota_filter_t *f, size_t end)
{
    phota_filter_member_e  string;

    string = f->string;
    f->string = filter_other;

    switch (string) {

    case filter_tag:
        f->tag_at = f->string_at;
        f->tag_end = end;

        if (f->value.len <= f->value.room) {
            f->own.len = f->value.len;
            f->own.data = f->own_buf;
            memcpy(f->own_buf, f->buf, f->own.len);
        }

        break;

    case filter_profile_id:
    case filter_id:

        /* one that is too long is nobody's */

        if (f->value.len <= sizeof(f->id)) {
            f->id_len = f->value.len;
            memcpy(f->id, f->buf, f->id_len);
        }

        break;

    default:
        break;
    }

    if (f->listing && f->depth == 2) {
        return phota_filter_keep(f, end);
    }

    return PHOTA_OK;
}


static int
phota_filter_close(phota_filter_t *f, phota_json_event_e event, size_t end)
{
    f->depth--;

    if (f->listing && f->depth == 1) {
        f->listing = 0;

    } else if (f->listing && f->depth == 2 && event == PHOTA_JSON_OBJECT_END) {
        return phota_filter_keep(f, end);
    }

    return PHOTA_OK;
}


static int
phota_filter_keep(phota_filter_t *f, size_t end)
{
    int          rc;
    phota_str_t  id, tag;

    if (f->id_len == 0) {
        return PHOTA_OK;
    }

    id.len = f->id_len;
    id.data = f->id;
    tag.len = 0;
    tag.data = NULL;

    rc = f->keep(f->ctx, &id, &f->own, &tag);

    if (rc != PHOTA_OK) {
        return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
    }

    if (f->some) {
        phota_out_text(&f->out, ",");
    }

    f->some = 1;

    if (tag.data && f->tag_at) {
        phota_out_put(&f->out, f->text + f->start, f->tag_at - f->start);

        if (tag.len) {
            phota_out_string(&f->out, &tag);

        } else {
            phota_out_text(&f->out, "null");
        }

        f->start = f->tag_end;
    }

    phota_out_put(&f->out, f->text + f->start, end - f->start);

    return f->out.rc;
}


static phota_filter_member_e
phota_filter_name(const phota_filter_t *f)
{
    size_t              i;
    const phota_str_t  *name;

    static const struct {
        phota_str_t            name;
        phota_filter_member_e  member;
    } names[] = {
        { phota_string("profiles"), filter_profiles },
        { phota_string("profile_id"), filter_profile_id },
        { phota_string("id"), filter_id },
        { phota_string("tag"), filter_tag }
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        name = &names[i].name;

        if (f->value.len == name->len
            && memcmp(f->value.data, name->data, name->len) == 0)
        {
            return names[i].member;
        }
    }

    return filter_other;
}
