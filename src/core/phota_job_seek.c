
/*
 * Reads a text once and remembers places, no text: a picture in it may be as
 * long as it likes.  Of two members of one name the first counts, whatever its
 * value is.
 */


#include "phota_job_seek.h"

#include <string.h>


#define PHOTA_SEEK_ESCAPE  6            /* bytes of "\u0041" */


/* a string as it is unescaped */

typedef struct {
    u_char                *data;
    size_t                 len;
    size_t                 max;
} phota_plain_t;


static int phota_seek_event(void *ctx, phota_json_event_e event,
    const u_char *p, size_t len, uint64_t offset);
static int phota_seek_value(phota_seek_t *s, phota_json_event_e event,
    uint64_t offset);
static phota_find_t *phota_seek_find(phota_seek_t *s,
    phota_report_member_e member);
static void phota_seek_open(phota_seek_t *s, phota_json_event_e event,
    phota_report_member_e member, uint64_t offset);
static void phota_seek_close(phota_seek_t *s, uint64_t offset);
static void phota_seek_string_end(phota_seek_t *s, uint64_t offset);
static void phota_seek_element(phota_seek_t *s, size_t len);
static void phota_seek_name(phota_seek_t *s, const u_char *p, size_t len);
static phota_report_member_e phota_seek_member(const phota_seek_t *s);
static int phota_seek_piece(void *ctx, phota_json_event_e event,
    const u_char *p, size_t len, uint64_t offset);


int
phota_seek_run(phota_seek_t *s, const u_char *text, size_t len)
{
    int  rc;

    s->text = text;
    s->member = report_other;
    s->inner = report_places;

    phota_json_init(&s->json, phota_seek_event, s);

    rc = phota_json_update(&s->json, text, len);

    return (rc == PHOTA_OK) ? phota_json_final(&s->json) : rc;
}


static int
phota_seek_event(void *ctx, phota_json_event_e event, const u_char *p,
    size_t len, uint64_t offset)
{
    phota_seek_t  *s = ctx;

    switch (event) {

    case PHOTA_JSON_KEY:
        s->key = 1;
        s->name_len = 0;
        return PHOTA_OK;

    case PHOTA_JSON_PIECE:
        if (s->key) {
            phota_seek_name(s, p, len);
        }

        return PHOTA_OK;

    case PHOTA_JSON_STRING_END:
        if (s->key) {
            s->key = 0;
            s->member = phota_seek_member(s);

        } else {
            phota_seek_string_end(s, offset);
        }

        return PHOTA_OK;

    case PHOTA_JSON_OBJECT_END:
    case PHOTA_JSON_ARRAY_END:
        phota_seek_close(s, offset);
        return PHOTA_OK;

    case PHOTA_JSON_NUMBER_PIECE:
    case PHOTA_JSON_NUMBER_END:
        return PHOTA_OK;

    default:
        return phota_seek_value(s, event, offset);
    }
}


static int
phota_seek_value(phota_seek_t *s, phota_json_event_e event, uint64_t offset)
{
    phota_find_t           *find;
    phota_report_member_e   member;

    member = s->member;
    s->member = report_other;

    if (s->depth == 0 && event != PHOTA_JSON_OBJECT) {
        return PHOTA_INVALID;
    }

    if (s->depth == 1 && member == report_trouble
        && event != PHOTA_JSON_NULL)
    {
        s->trouble = 1;
    }

    find = phota_seek_find(s, member);

    switch (event) {

    case PHOTA_JSON_OBJECT:
    case PHOTA_JSON_ARRAY:
        phota_seek_open(s, event, member, offset);
        break;

    case PHOTA_JSON_STRING:
        if (find) {
            find->at = (size_t) offset + 1;
            s->find = find;

        } else if (s->list && s->depth == s->list) {
            s->element = (size_t) offset + 1;
        }

        break;

    default:
        break;
    }

    return PHOTA_OK;
}


/* of a member that may be told, when it is the first of its name */

static phota_find_t *
phota_seek_find(phota_seek_t *s, phota_report_member_e member)
{
    phota_find_t          *find;
    phota_report_place_e   place;

    if (member >= report_told) {
        return NULL;
    }

    place = (s->depth == 1) ? report_in_top
            : (s->depth == 2) ? s->inner : report_places;

    if (place == report_places || s->finds[place][member].seen) {
        return NULL;
    }

    find = &s->finds[place][member];
    find->seen = 1;

    return find;
}


static void
phota_seek_open(phota_seek_t *s, phota_json_event_e event,
    phota_report_member_e member, uint64_t offset)
{
    unsigned  object;

    s->depth++;
    object = (event == PHOTA_JSON_OBJECT);

    if (s->depth <= PHOTA_SEEK_DEPTH) {
        s->starts[s->depth] = (size_t) offset;
    }

    if (s->depth == 2 && !(s->seen & 1u << member)) {

        if (object && member == report_job) {
            s->inner = report_in_job;

        } else if (object && member == report_data) {
            s->inner = report_in_data;
        }

        s->seen |= 1u << member;
    }

    if (member == report_request && s->request == 0) {
        s->request = s->depth;
    }

    if (!object && s->request == 0 && s->depth <= PHOTA_SEEK_DEPTH + 1
        && (member == report_images || member == report_urls))
    {
        s->list = s->depth;
        s->kind = member;
    }
}


static void
phota_seek_close(phota_seek_t *s, uint64_t offset)
{
    if (s->depth == s->list) {
        s->list = 0;
    }

    if (s->depth == s->request) {
        s->request = 0;
    }

    if (s->depth == s->result) {
        s->result = 0;
        s->result_len = (size_t) offset + 1 - s->result_at;
    }

    s->depth--;

    if (s->depth == 1) {
        s->inner = report_places;
    }
}


static void
phota_seek_string_end(phota_seek_t *s, uint64_t offset)
{
    if (s->find) {
        s->find->len = (size_t) offset - s->find->at;
        s->find = NULL;

    } else if (s->element) {
        phota_seek_element(s, (size_t) offset - s->element);
        s->element = 0;
    }
}


/*
 * Of objects that have pictures the result is the one around the others; where
 * there is none, nobody knows which was made and which was sent.
 */

static void
phota_seek_element(phota_seek_t *s, size_t len)
{
    size_t         start;
    unsigned      *n;
    phota_find_t  *find;

    start = s->starts[s->list - 1];

    if (len == 0) {
        return;
    }

    if (s->picked && start > s->result_at) {
        s->several |= (s->result == 0);
        return;
    }

    if (!s->picked || start < s->result_at) {
        s->picked = 1;
        s->several = 0;
        s->result = s->list - 1;
        s->result_at = start;
        s->nimages = 0;
        s->nurls = 0;
    }

    n = (s->kind == report_urls) ? &s->nurls : &s->nimages;

    if (*n == PHOTA_PICTURES_MAX) {
        return;
    }

    find = (s->kind == report_urls) ? &s->urls[*n] : &s->images[*n];

    find->at = s->element;
    find->len = len;

    (*n)++;
}


static void
phota_seek_name(phota_seek_t *s, const u_char *p, size_t len)
{
    size_t  n;

    if (s->name_len < sizeof(s->name)) {
        n = sizeof(s->name) - s->name_len;
        memcpy(&s->name[s->name_len], p, (len < n) ? len : n);
    }

    s->name_len += len;
}


static phota_report_member_e
phota_seek_member(const phota_seek_t *s)
{
    unsigned            i;
    const phota_str_t  *name;

    for (i = 0; i < s->nnames; i++) {
        name = &s->names[i].name;

        if (s->name_len == name->len
            && memcmp(s->name, name->data, name->len) == 0)
        {
            return s->names[i].member;
        }
    }

    return report_other;
}


int
phota_seek_plain(const phota_seek_t *s, const phota_find_t *find,
    size_t max, u_char *buf, phota_str_t *text)
{
    size_t         i;
    phota_json_t   json;
    phota_plain_t  plain;

    text->len = 0;
    text->data = NULL;

    if (find->len == 0 || find->len > max * PHOTA_SEEK_ESCAPE) {
        return PHOTA_DECLINED;
    }

    plain.data = buf;
    plain.len = 0;
    plain.max = max;

    /* with its quotes it is a text of its own */

    phota_json_init(&json, phota_seek_piece, &plain);

    if (phota_json_update(&json, s->text + find->at - 1, find->len + 2)
        != PHOTA_OK)
    {
        return PHOTA_DECLINED;
    }

    for (i = 0; i < plain.len; i++) {
        if (buf[i] < 0x20 || buf[i] == 0x7f) {
            return PHOTA_DECLINED;
        }
    }

    text->len = plain.len;
    text->data = buf;

    return PHOTA_OK;
}


static int
phota_seek_piece(void *ctx, phota_json_event_e event, const u_char *p,
    size_t len, uint64_t offset)
{
    phota_plain_t  *plain = ctx;

    (void) offset;

    if (event != PHOTA_JSON_PIECE) {
        return PHOTA_OK;
    }

    if (len > plain->max - plain->len) {
        return PHOTA_EXCEEDED;
    }

    memcpy(plain->data + plain->len, p, len);
    plain->len += len;

    return PHOTA_OK;
}
