
/*
 * Takes answers apart as the scanner reads them: the members that matter, the
 * elements of the lists or the body.  What is around them becomes the skeleton
 * (phota_unpack_text), what is in them the pictures (phota_unpack_picture).
 */


#include "phota_unpack.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "phota_json.h"
#include "phota_unpack_picture.h"
#include "phota_unpack_text.h"


#define PHOTA_UNPACK_READ  65536
#define PHOTA_UNPACK_GOOD  200          /* status_code */


typedef enum {
    unpack_other = 0,
    unpack_images = 0x01,
    unpack_urls = 0x02,
    unpack_subjects = 0x04,
    unpack_lists = 0x03,
    unpack_counts = 0x08,
    unpack_status = 0x10,
    unpack_body = 0x20
} phota_unpack_member_e;


typedef struct {
    phota_answer_e         kind;
    phota_json_t           json;
    phota_text_t           text;
    phota_taking_t         taking;
    phota_unpacked_t      *unpacked;
    phota_error_t         *err;

    unsigned               depth;
    phota_unpack_member_e  member;      /* of the answer */
    phota_unpack_member_e  inner;       /* of "known_subjects" */
    unsigned               seen;        /* bits of phota_unpack_member_e */
    unsigned               key:1;
    unsigned               some:1;      /* the answer has a member */
    unsigned               list:1;      /* in one of the two lists */
    unsigned               body:1;      /* in the string "body" */
    unsigned               counting:1;  /* in "counts" */

    uint64_t               name_at;
    size_t                 name_len;    /* may be more than was kept */

    /* what follows isn't zeroed */

    u_char                 name[PHOTA_SKELETON_MAX];
    u_char                 in[PHOTA_UNPACK_READ];
    u_char                 out[PHOTA_TAKING_OUT];
} phota_unpack_t;


static phota_unpack_t *phota_unpack_create(phota_answer_e kind,
    phota_unpacked_t *unpacked, phota_error_t *err);
static int phota_unpack_run(phota_unpack_t *u, phota_read_pt read, void *ctx,
    uint64_t length);
static int phota_unpack_fault(phota_unpack_t *u, int rc);
static int phota_unpack_text(phota_unpack_t *u, int rc);
static int phota_unpack_event(void *ctx, phota_json_event_e event,
    const u_char *p, size_t len, uint64_t offset);
static int phota_unpack_value(phota_unpack_t *u, phota_json_event_e event,
    uint64_t offset);
static int phota_unpack_list(phota_unpack_t *u, phota_json_event_e event,
    uint64_t offset);
static int phota_unpack_body(phota_unpack_t *u, phota_json_event_e event,
    uint64_t offset);
static int phota_unpack_body_end(phota_unpack_t *u, uint64_t offset);
static int phota_unpack_status(phota_unpack_t *u, int good);
static void phota_unpack_subjects(phota_unpack_t *u,
    phota_json_event_e event, uint64_t offset);
static int phota_unpack_close(phota_unpack_t *u, uint64_t offset);
static int phota_unpack_end(phota_unpack_t *u, uint64_t offset);
static void phota_unpack_name(phota_unpack_t *u, const u_char *p, size_t len);
static int phota_unpack_name_end(phota_unpack_t *u, uint64_t offset);
static phota_unpack_member_e phota_unpack_member(phota_unpack_t *u);
static int phota_unpack_number_end(phota_unpack_t *u);
static int phota_unpack_element(phota_unpack_t *u, phota_json_event_e event);


static const struct {
    phota_str_t            name;
    phota_answer_e         kind;
    phota_unpack_member_e  member;
} phota_unpack_members[] = {
    { phota_string("images"), PHOTA_ANSWER_IMAGES, unpack_images },
    { phota_string("download_urls"), PHOTA_ANSWER_IMAGES, unpack_urls },
    { phota_string("known_subjects"), PHOTA_ANSWER_IMAGES, unpack_subjects },
    { phota_string("counts"), PHOTA_ANSWER_IMAGES, unpack_counts },
    { phota_string("status_code"), PHOTA_ANSWER_BODY, unpack_status },
    { phota_string("body"), PHOTA_ANSWER_BODY, unpack_body }
};

#define PHOTA_UNPACK_MEMBERS                                                  \
    (sizeof(phota_unpack_members) / sizeof(phota_unpack_members[0]))


int
phota_unpack(phota_answer_e kind, phota_read_pt read, void *ctx,
    uint64_t length, phota_unpacked_t *unpacked, phota_error_t *err)
{
    int              rc;
    phota_unpack_t  *u;

    u = phota_unpack_create(kind, unpacked, err);

    if (u != NULL) {
        u->taking.md = EVP_MD_fetch(NULL, "SHA256", NULL);
        u->taking.digest = EVP_MD_CTX_new();
    }

    if (u == NULL || u->taking.md == NULL || u->taking.digest == NULL) {
        phota_error(err, "answer: no memory to take it apart");
        rc = PHOTA_ERROR;

    } else {
        rc = phota_unpack_run(u, read, ctx, length);
        unpacked->length = length;
    }

    if (u != NULL) {
        EVP_MD_CTX_free(u->taking.digest);
        EVP_MD_free(u->taking.md);
        free(u);
    }

    return rc;
}


int
phota_unpack_pictures(phota_answer_e kind, phota_read_pt read, void *ctx,
    uint64_t length, phota_picture_pt handler, void *data)
{
    int                rc;
    phota_unpack_t    *u;
    phota_unpacked_t  *again;

    /* the same way once more, so that it ends where it did */

    again = malloc(sizeof(phota_unpacked_t));
    if (again == NULL) {
        return PHOTA_ERROR;
    }

    u = phota_unpack_create(kind, again, NULL);
    if (u == NULL) {
        free(again);
        return PHOTA_ERROR;
    }

    u->taking.handler = handler;
    u->taking.data = data;

    rc = phota_unpack_run(u, read, ctx, length);

    free(u);
    free(again);

    return rc;
}


static phota_unpack_t *
phota_unpack_create(phota_answer_e kind, phota_unpacked_t *unpacked,
    phota_error_t *err)
{
    phota_unpack_t  *u;

    memset(unpacked, 0, sizeof(phota_unpacked_t));

    u = malloc(sizeof(phota_unpack_t));
    if (u == NULL) {
        return NULL;
    }

    memset(u, 0, offsetof(phota_unpack_t, name));

    u->kind = kind;
    u->unpacked = unpacked;
    u->err = err;

    phota_json_init(&u->json, phota_unpack_event, u);
    phota_text_init(&u->text, unpacked, u->in);
    phota_taking_init(&u->taking, kind, unpacked, u->out, err);

    return u;
}


static int
phota_unpack_run(phota_unpack_t *u, phota_read_pt read, void *ctx,
    uint64_t length)
{
    int       rc;
    size_t    n;
    uint64_t  offset;

    if (u->kind == PHOTA_ANSWER_PROFILE) {
        phota_error(u->err, "answer: no pictures");
        return PHOTA_DECLINED;
    }

    for (offset = 0; offset < length; offset += n) {
        n = PHOTA_UNPACK_READ;

        if (n > length - offset) {
            n = (size_t) (length - offset);
        }

        if (read(ctx, u->in, n, offset) != PHOTA_OK) {
            phota_error(u->err, "answer: can't be read at byte %llu",
                        (unsigned long long) offset);
            return PHOTA_ERROR;
        }

        phota_text_piece(&u->text, offset);

        rc = phota_json_update(&u->json, u->in, n);
        if (rc != PHOTA_OK) {
            return phota_unpack_fault(u, rc);
        }

        rc = phota_unpack_text(u, phota_text_keep(&u->text, offset + n));
        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    rc = phota_json_final(&u->json);
    if (rc != PHOTA_OK) {
        return phota_unpack_fault(u, rc);
    }

    if (u->unpacked->npictures == 0) {
        phota_error(u->err, "answer: no pictures");
        return PHOTA_DECLINED;
    }

    return PHOTA_OK;
}


/* what isn't the scanner's was told where it was seen */

static int
phota_unpack_fault(phota_unpack_t *u, int rc)
{
    if (u->json.fault) {
        phota_error(u->err, "answer: %s at byte %llu", u->json.fault,
                    (unsigned long long) u->json.fault_offset);
    }

    return rc;
}


static int
phota_unpack_text(phota_unpack_t *u, int rc)
{
    if (rc != PHOTA_OK) {
        phota_error(u->err, "answer: over %d bytes of text beside its "
                    "pictures", PHOTA_SKELETON_MAX);
    }

    return rc;
}


static int
phota_unpack_event(void *ctx, phota_json_event_e event, const u_char *p,
    size_t len, uint64_t offset)
{
    phota_unpack_t  *u = ctx;

    switch (event) {

    case PHOTA_JSON_PIECE:
        if (u->key) {
            phota_unpack_name(u, p, len);
            return PHOTA_OK;
        }

        return (u->list || u->body)
               ? phota_taking_piece(&u->taking, p, len, offset) : PHOTA_OK;

    case PHOTA_JSON_STRING_END:
        if (u->key) {
            return phota_unpack_name_end(u, offset);
        }

        return u->list ? phota_taking_end(&u->taking, offset)
               : u->body ? phota_unpack_body_end(u, offset) : PHOTA_OK;

    case PHOTA_JSON_KEY:
        u->key = 1;
        u->name_at = offset;
        u->name_len = 0;

        if (u->counting && u->depth == 3) {
            phota_counts_name(&u->text, offset);
        }

        return PHOTA_OK;

    case PHOTA_JSON_NUMBER_PIECE:
        phota_counts_digits(&u->text, p, len);
        return PHOTA_OK;

    case PHOTA_JSON_NUMBER_END:
        return phota_unpack_number_end(u);

    case PHOTA_JSON_OBJECT_END:
    case PHOTA_JSON_ARRAY_END:
        return phota_unpack_close(u, offset);

    default:
        return phota_unpack_value(u, event, offset);
    }
}


static int
phota_unpack_value(phota_unpack_t *u, phota_json_event_e event,
    uint64_t offset)
{
    int  rc;

    rc = PHOTA_OK;
    u->key = 0;

    if (event == PHOTA_JSON_NUMBER) {
        phota_counts_number(&u->text);
    }

    if (u->depth == 0) {

        if (event != PHOTA_JSON_OBJECT) {
            phota_error(u->err, "answer: not an object");
            return PHOTA_INVALID;
        }

        phota_text_resume(&u->text, offset);

    } else if (u->list) {
        rc = phota_unpack_element(u, event);

    } else if (u->depth == 1 && (u->member & unpack_lists)) {
        rc = phota_unpack_list(u, event, offset);

    } else if (u->depth == 1 && u->member == unpack_body) {
        rc = phota_unpack_body(u, event, offset);

    } else if (u->depth == 1 && u->member == unpack_status) {
        rc = phota_unpack_status(u, event == PHOTA_JSON_NUMBER
                                    || event == PHOTA_JSON_NULL);

    } else if (u->member == unpack_subjects) {
        phota_unpack_subjects(u, event, offset);
    }

    if (event == PHOTA_JSON_OBJECT || event == PHOTA_JSON_ARRAY) {
        u->depth++;
    }

    return rc;
}


static int
phota_unpack_list(phota_unpack_t *u, phota_json_event_e event,
    uint64_t offset)
{
    int        rc;
    uint32_t  *at;

    at = (u->member == unpack_images) ? &u->unpacked->images_at
                                      : &u->unpacked->urls_at;
    switch (event) {

    case PHOTA_JSON_ARRAY:
        u->list = 1;
        rc = phota_text_cut(&u->text, offset + 1);
        *at = u->unpacked->skeleton_len;
        break;

    case PHOTA_JSON_NULL:
        rc = phota_text_null(&u->text, offset, at);
        break;

    default:
        phota_error(u->err, "%s is no list",
                    (u->member == unpack_images) ? "images"
                                                 : "download_urls");
        return PHOTA_DECLINED;
    }

    return phota_unpack_text(u, rc);
}


static int
phota_unpack_body(phota_unpack_t *u, phota_json_event_e event,
    uint64_t offset)
{
    int  rc;

    if (event == PHOTA_JSON_NULL) {
        return PHOTA_OK;
    }

    if (event != PHOTA_JSON_STRING) {
        phota_taking_complain(&u->taking, "is no string");
        return PHOTA_DECLINED;
    }

    u->body = 1;

    rc = phota_unpack_text(u, phota_text_cut(&u->text, offset + 1));
    if (rc != PHOTA_OK) {
        return rc;
    }

    u->unpacked->images_at = u->unpacked->skeleton_len;

    return phota_taking_begin(&u->taking);
}


static int
phota_unpack_body_end(phota_unpack_t *u, uint64_t offset)
{
    u->body = 0;
    phota_text_resume(&u->text, offset);

    return phota_taking_end(&u->taking, offset);
}


static int
phota_unpack_status(phota_unpack_t *u, int good)
{
    if (good) {
        return PHOTA_OK;
    }

    phota_error(u->err, "answer: status_code isn't %d", PHOTA_UNPACK_GOOD);

    return PHOTA_DECLINED;
}


static void
phota_unpack_subjects(phota_unpack_t *u, phota_json_event_e event,
    uint64_t offset)
{
    phota_str_t  name;

    if (u->depth == 2 && u->inner == unpack_counts
        && event == PHOTA_JSON_OBJECT)
    {
        u->counting = 1;
        phota_counts_begin(&u->text, offset);

    } else if (u->depth == 3 && u->counting && event != PHOTA_JSON_NUMBER) {
        name.data = u->name;
        name.len = u->name_len;
        phota_counts_other(&u->text, &name);
    }

    if (event == PHOTA_JSON_STRING) {
        u->unpacked->unmarked = 1;
    }
}


static int
phota_unpack_close(phota_unpack_t *u, uint64_t offset)
{
    u->depth--;

    if (u->depth == 2 && u->counting) {
        u->counting = 0;
        phota_counts_end(&u->text, offset);

    } else if (u->depth == 1 && u->list) {
        u->list = 0;
        phota_text_resume(&u->text, offset);

    } else if (u->depth == 0) {
        return phota_unpack_text(u, phota_unpack_end(u, offset));
    }

    return PHOTA_OK;
}


/* a list that is told has its place in every skeleton */

static int
phota_unpack_end(phota_unpack_t *u, uint64_t offset)
{
    int  rc;

    if (u->kind == PHOTA_ANSWER_BODY) {
        return phota_text_cut(&u->text, offset + 1);
    }

    if (!(u->seen & unpack_images)) {
        rc = phota_text_list(&u->text, offset, "images", !u->some,
                             &u->unpacked->images_at);
        if (rc != PHOTA_OK) {
            return rc;
        }

        u->some = 1;
    }

    if (!(u->seen & unpack_urls)) {
        rc = phota_text_list(&u->text, offset, "download_urls", !u->some,
                             &u->unpacked->urls_at);
        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return phota_text_cut(&u->text, offset + 1);
}


static void
phota_unpack_name(phota_unpack_t *u, const u_char *p, size_t len)
{
    size_t  n;

    if (u->name_len < sizeof(u->name)) {
        n = sizeof(u->name) - u->name_len;
        memcpy(&u->name[u->name_len], p, (len < n) ? len : n);
    }

    u->name_len += len;
}


/* of two members of one name a client may read either: refused */

static int
phota_unpack_name_end(phota_unpack_t *u, uint64_t offset)
{
    phota_unpack_member_e  member;

    if (u->depth == 1) {
        u->some = 1;
        member = phota_unpack_member(u) & ~unpack_counts;
        u->member = member;

    } else if (u->member != unpack_subjects) {
        return PHOTA_OK;

    } else if (u->depth == 2) {
        member = phota_unpack_member(u) & unpack_counts;
        u->inner = member;

    } else if (u->depth == 3 && u->counting) {
        return phota_unpack_text(u, phota_counts_name_end(&u->text, offset));

    } else {
        member = unpack_other;
    }

    if (u->seen & member) {
        phota_error(u->err, "answer: two members of one name at byte %llu",
                    (unsigned long long) u->name_at);
        return PHOTA_INVALID;
    }

    u->seen |= member;

    /* an unknown name beside the subjects may be one of theirs */

    if (u->depth > 1 && member == unpack_other) {
        u->unpacked->unmarked = 1;
    }

    return PHOTA_OK;
}


static phota_unpack_member_e
phota_unpack_member(phota_unpack_t *u)
{
    unsigned            i;
    const phota_str_t  *name;

    for (i = 0; i < PHOTA_UNPACK_MEMBERS; i++) {
        name = &phota_unpack_members[i].name;

        if (u->kind == phota_unpack_members[i].kind
            && u->name_len == name->len
            && memcmp(u->name, name->data, name->len) == 0)
        {
            return phota_unpack_members[i].member;
        }
    }

    return unpack_other;
}


static int
phota_unpack_number_end(phota_unpack_t *u)
{
    phota_str_t  name;

    if (u->depth == 3 && u->counting) {
        name.data = u->name;
        name.len = u->name_len;
        phota_counts_number_end(&u->text, &name);

    } else if (u->depth == 1 && u->member == unpack_status) {
        return phota_unpack_status(u, u->text.integer
                                      && u->text.value == PHOTA_UNPACK_GOOD);
    }

    return PHOTA_OK;
}


static int
phota_unpack_element(phota_unpack_t *u, phota_json_event_e event)
{
    if (u->member == unpack_urls) {
        phota_error(u->err, "download_urls has links");
        return PHOTA_DECLINED;
    }

    if (event != PHOTA_JSON_STRING) {
        phota_taking_complain(&u->taking, "is no string");
        return PHOTA_DECLINED;
    }

    if (u->unpacked->npictures == PHOTA_PICTURES_MAX) {
        phota_error(u->err, "images has more than %d", PHOTA_PICTURES_MAX);
        return PHOTA_DECLINED;
    }

    return phota_taking_begin(&u->taking);
}
