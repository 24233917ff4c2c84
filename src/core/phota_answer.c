
/*
 * What an answer delivered, counted as it streams by.  The counts of subjects
 * may come before the images do, so that only their greatest and their sum are
 * kept, and held against the number of outputs at the end.  In which members
 * an answer of some kind has it stands in one table.
 */


#include "phota_answer.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>


#define PHOTA_ANSWER_TEXT  PHOTA_PROFILE_ID_MAX     /* the names that we know
                                                       are shorter */
#define PHOTA_ANSWER_GOOD  200                      /* status_code */


typedef enum {
    answer_other = 0,
    answer_images = 0x01,
    answer_urls = 0x02,
    answer_subjects = 0x04,
    answer_counts = 0x08,
    answer_status = 0x10,
    answer_body = 0x20,
    answer_profile = 0x40
} phota_answer_member_e;


struct phota_answer_s {
    phota_json_t           json;
    phota_answer_e         kind;
    int                    rc;          /* once it isn't PHOTA_OK */

    unsigned               depth;
    phota_answer_member_e  member;      /* of the answer */
    phota_answer_member_e  inner;       /* of the object in it */
    unsigned               seen;        /* bits of phota_answer_member_e */
    unsigned               list:1;      /* depth 2 is an array */
    unsigned               map:1;       /* depth 3 is an object */
    unsigned               key:1;
    unsigned               integer:1;   /* the number has but digits */
    unsigned               links:1;
    unsigned               body:1;
    unsigned               told:1;      /* status_code isn't null */

    size_t                 len;         /* of key or string */
    u_char                 text[PHOTA_ANSWER_TEXT];

    unsigned               value;
    unsigned               images;
    unsigned               urls;
    unsigned               subjects;
    unsigned               greatest;
    unsigned               sum;
    unsigned               status;
    char                   profile[PHOTA_PROFILE_ID_MAX + 1];
};


static int phota_answer_event(void *ctx, phota_json_event_e event,
    const u_char *p, size_t len, uint64_t offset);
static void phota_answer_images(const phota_answer_t *answer,
    phota_delivery_t *delivery);
static void phota_answer_value(phota_answer_t *answer,
    phota_json_event_e event);
static void phota_answer_open(phota_answer_t *answer,
    phota_json_event_e event);
static void phota_answer_text(phota_answer_t *answer, const u_char *p,
    size_t len);
static int phota_answer_key(phota_answer_t *answer);
static phota_answer_member_e phota_answer_name(phota_answer_t *answer);
static void phota_answer_string(phota_answer_t *answer);
static void phota_answer_picture(phota_answer_t *answer);
static void phota_answer_id(phota_answer_t *answer);
static void phota_answer_digits(phota_answer_t *answer, const u_char *p,
    size_t len);
static void phota_answer_number(phota_answer_t *answer);
static void phota_answer_count(phota_answer_t *answer);
static unsigned phota_answer_add(unsigned a, unsigned b);
static unsigned phota_answer_min(unsigned a, unsigned b);


phota_answer_t *
phota_answer_create(phota_answer_e kind)
{
    phota_answer_t  *answer;

    answer = calloc(1, sizeof(phota_answer_t));
    if (answer == NULL) {
        return NULL;
    }

    answer->kind = kind;

    phota_json_init(&answer->json, phota_answer_event, answer);

    return answer;
}


void
phota_answer_destroy(phota_answer_t *answer)
{
    free(answer);
}


int
phota_answer_update(phota_answer_t *answer, const u_char *p, size_t n)
{
    if (answer->rc == PHOTA_OK) {
        answer->rc = phota_json_update(&answer->json, p, n);
    }

    return answer->rc;
}


int
phota_answer_final(phota_answer_t *answer, phota_delivery_t *delivery)
{
    if (answer->rc == PHOTA_OK) {
        answer->rc = phota_json_final(&answer->json);
    }

    if (answer->rc != PHOTA_OK) {
        return answer->rc;
    }

    memset(delivery, 0, sizeof(phota_delivery_t));

    switch (answer->kind) {

    case PHOTA_ANSWER_BODY:
        delivery->status = answer->status;

        if (answer->body
            && (!answer->told || answer->status == PHOTA_ANSWER_GOOD))
        {
            delivery->outputs = 1;
            delivery->images = 1;
            delivery->links = answer->links;
        }

        break;

    case PHOTA_ANSWER_PROFILE:
        delivery->outputs = (answer->profile[0] != '\0');
        memcpy(delivery->profile, answer->profile, sizeof(answer->profile));
        break;

    default:
        phota_answer_images(answer, delivery);
        break;
    }

    return PHOTA_OK;
}


static void
phota_answer_images(const phota_answer_t *answer, phota_delivery_t *delivery)
{
    unsigned  n;

    n = (answer->images > answer->urls) ? answer->images : answer->urls;

    delivery->outputs = n;
    delivery->images = answer->images;
    delivery->urls = answer->urls;
    delivery->links = answer->links;
    delivery->subjects = answer->subjects;
    delivery->identity_low = phota_answer_min(n, answer->greatest);
    delivery->identity_high = phota_answer_min(n, answer->sum);
}


static int
phota_answer_event(void *ctx, phota_json_event_e event, const u_char *p,
    size_t len, uint64_t offset)
{
    phota_answer_t  *answer = ctx;

    (void) offset;

    switch (event) {

    case PHOTA_JSON_PIECE:
        phota_answer_text(answer, p, len);
        return PHOTA_OK;

    case PHOTA_JSON_NUMBER_PIECE:
        phota_answer_digits(answer, p, len);
        return PHOTA_OK;

    case PHOTA_JSON_NUMBER_END:
        phota_answer_number(answer);
        return PHOTA_OK;

    case PHOTA_JSON_STRING_END:
        if (answer->key) {
            return phota_answer_key(answer);
        }

        phota_answer_string(answer);
        return PHOTA_OK;

    case PHOTA_JSON_OBJECT_END:
    case PHOTA_JSON_ARRAY_END:
        answer->depth--;
        return PHOTA_OK;

    case PHOTA_JSON_KEY:
        answer->key = 1;
        answer->len = 0;
        return PHOTA_OK;

    default:
        break;
    }

    /* a value begins */

    if (answer->depth == 0 && event != PHOTA_JSON_OBJECT) {
        return PHOTA_INVALID;
    }

    phota_answer_value(answer, event);

    return PHOTA_OK;
}


static void
phota_answer_value(phota_answer_t *answer, phota_json_event_e event)
{
    if (answer->depth == 1 && answer->member == answer_status) {
        answer->told = (event != PHOTA_JSON_NULL);
    }

    switch (event) {

    case PHOTA_JSON_OBJECT:
    case PHOTA_JSON_ARRAY:
        phota_answer_open(answer, event);
        break;

    case PHOTA_JSON_STRING:
        answer->key = 0;
        answer->len = 0;
        break;

    case PHOTA_JSON_NUMBER:
        answer->integer = 1;
        answer->value = 0;
        break;

    default:
        break;
    }
}


static void
phota_answer_open(phota_answer_t *answer, phota_json_event_e event)
{
    answer->depth++;

    if (answer->depth == 2) {
        answer->list = (event == PHOTA_JSON_ARRAY);
        answer->inner = answer_other;

    } else if (answer->depth == 3) {
        answer->map = (event == PHOTA_JSON_OBJECT);
    }
}


static void
phota_answer_text(phota_answer_t *answer, const u_char *p, size_t len)
{
    size_t  n;

    if (answer->len < PHOTA_ANSWER_TEXT) {
        n = PHOTA_ANSWER_TEXT - answer->len;
        memcpy(&answer->text[answer->len], p, (len < n) ? len : n);
    }

    answer->len += len;
}


/* of two members of one name a client may read either: refused */

static int
phota_answer_key(phota_answer_t *answer)
{
    phota_answer_member_e  member;

    member = phota_answer_name(answer);

    if (answer->depth == 1) {

        if (member == answer_counts) {
            member = answer_other;
        }

        answer->member = member;

    } else if (answer->depth == 2 && answer->member == answer_subjects) {

        if (member != answer_counts) {
            member = answer_other;
        }

        answer->inner = member;

    } else {
        return PHOTA_OK;
    }

    if (answer->seen & member) {
        return PHOTA_INVALID;
    }

    answer->seen |= member;

    return PHOTA_OK;
}


static phota_answer_member_e
phota_answer_name(phota_answer_t *answer)
{
    unsigned  i;

    static const struct {
        phota_str_t            name;
        phota_answer_e         kind;
        phota_answer_member_e  member;
    } names[] = {
        { phota_string("images"), PHOTA_ANSWER_IMAGES, answer_images },
        { phota_string("download_urls"), PHOTA_ANSWER_IMAGES, answer_urls },
        { phota_string("known_subjects"), PHOTA_ANSWER_IMAGES,
          answer_subjects },
        { phota_string("counts"), PHOTA_ANSWER_IMAGES, answer_counts },
        { phota_string("status_code"), PHOTA_ANSWER_BODY, answer_status },
        { phota_string("body"), PHOTA_ANSWER_BODY, answer_body },
        { phota_string("profile_id"), PHOTA_ANSWER_PROFILE, answer_profile }
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

        if (answer->kind == names[i].kind
            && answer->len == names[i].name.len
            && memcmp(answer->text, names[i].name.data, answer->len) == 0)
        {
            return names[i].member;
        }
    }

    return answer_other;
}


static void
phota_answer_string(phota_answer_t *answer)
{
    if (answer->len == 0) {
        return;
    }

    if (answer->depth == 1) {

        if (answer->member == answer_body) {
            answer->body = 1;
            phota_answer_picture(answer);

        } else if (answer->member == answer_profile) {
            phota_answer_id(answer);
        }

        return;
    }

    if (answer->depth != 2 || !answer->list) {
        return;
    }

    switch (answer->member) {

    case answer_images:
        answer->images = phota_answer_add(answer->images, 1);
        break;

    case answer_urls:
        answer->urls = phota_answer_add(answer->urls, 1);
        break;

    default:
        return;
    }

    phota_answer_picture(answer);
}


static void
phota_answer_picture(phota_answer_t *answer)
{
    char  *text;

    text = (char *) answer->text;

    if ((answer->len >= 7 && strncasecmp(text, "http://", 7) == 0)
        || (answer->len >= 8 && strncasecmp(text, "https://", 8) == 0))
    {
        answer->links = 1;
    }
}


/* one that no path could have, or that isn't kept whole, is none */

static void
phota_answer_id(phota_answer_t *answer)
{
    size_t  i;

    if (answer->len > PHOTA_PROFILE_ID_MAX) {
        return;
    }

    for (i = 0; i < answer->len; i++) {

        if (answer->text[i] < 0x20 || answer->text[i] == 0x7f
            || answer->text[i] == '/')
        {
            return;
        }
    }

    memcpy(answer->profile, answer->text, answer->len);
}


static void
phota_answer_digits(phota_answer_t *answer, const u_char *p, size_t len)
{
    size_t    i;
    unsigned  digit;

    for (i = 0; i < len; i++) {

        if (p[i] < '0' || p[i] > '9') {
            answer->integer = 0;
            return;
        }

        digit = p[i] - '0';

        if (answer->value > (UINT_MAX - digit) / 10) {
            answer->value = UINT_MAX;

        } else {
            answer->value = answer->value * 10 + digit;
        }
    }
}


/* a status that isn't understood is told as none, beside no output */

static void
phota_answer_number(phota_answer_t *answer)
{
    if (answer->depth != 1 || answer->member != answer_status) {
        phota_answer_count(answer);

    } else if (answer->integer) {
        answer->status = answer->value;
    }
}


static void
phota_answer_count(phota_answer_t *answer)
{
    if (answer->depth != 3
        || answer->member != answer_subjects
        || answer->inner != answer_counts
        || answer->list || !answer->map
        || !answer->integer || answer->value == 0)
    {
        return;
    }

    answer->subjects = phota_answer_add(answer->subjects, 1);
    answer->sum = phota_answer_add(answer->sum, answer->value);

    if (answer->value > answer->greatest) {
        answer->greatest = answer->value;
    }
}


static unsigned
phota_answer_add(unsigned a, unsigned b)
{
    return (a > UINT_MAX - b) ? UINT_MAX : a + b;
}


static unsigned
phota_answer_min(unsigned a, unsigned b)
{
    return (a < b) ? a : b;
}
