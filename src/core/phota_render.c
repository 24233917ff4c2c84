
/*
 * Answers made of stored pictures.  The text is the skeleton of the last
 * result, with one list filled and, unless it is one result whole, its counts
 * of subjects replaced by sums.  What is read comes from the disk: nothing of
 * it is believed before it has been held against its bounds.
 */


#include "phota_render.h"

#include <stdio.h>
#include <string.h>

#include "phota_record.h"


#define PHOTA_RENDER_LENGTH   (1ull << 40)  /* no picture is that long */
#define PHOTA_RENDER_ELEMENT  64            /* a quoted picture's beginning */
#define PHOTA_RENDER_NUMBER   (sizeof("\"\":4294967295,") - 1)

#define PHOTA_SUBJECT_HEAD    6             /* a number and a length */
#define PHOTA_SUMS_MAX                                                        \
    (PHOTA_PICTURES_MAX * (PHOTA_SUBJECTS_MAX / PHOTA_SUBJECT_HEAD))
#define PHOTA_SUMS_SLOTS      16384         /* a power of 2, a third empty */


typedef struct {
    const u_char          *name;
    uint32_t               len;
    uint32_t               count;
} phota_subject_t;


/* in the order in which the names come; slots: index + 1, found by hash */

typedef struct {
    unsigned               nsums;
    phota_subject_t        sums[PHOTA_SUMS_MAX];
    uint16_t               slots[PHOTA_SUMS_SLOTS];
} phota_sums_t;


typedef struct {
    phota_rendering_t     *rendering;
    u_char                *start;       /* of the piece of text */
    u_char                *pos;
} phota_render_t;


static int phota_render_check(const phota_pick_t *picks, unsigned npicks);
static int phota_render_result(const phota_result_t *result);
static int phota_render_places(const phota_result_t *result);
static int phota_render_place(const phota_result_t *result, uint32_t at,
    const char *empty);
static int phota_render_subject(const phota_result_t *result, size_t *pos,
    phota_subject_t *subject);
static int phota_render_whole(const phota_pick_t *picks, unsigned npicks);
static void phota_render_put(phota_render_t *out, const void *p, size_t n);
static void phota_render_text(phota_render_t *out, const char *text);
static void phota_render_flush(phota_render_t *out);
static int phota_render_list(phota_render_t *out, const phota_pick_t *picks,
    unsigned npicks, const phota_telling_t *telling);
static void phota_render_picture(phota_render_t *out,
    const phota_picture_t *picture, uint32_t scope);
static int phota_render_link(phota_render_t *out,
    const phota_picture_t *picture, uint32_t scope,
    const phota_telling_t *telling);
static void phota_render_counts(phota_render_t *out,
    const phota_pick_t *picks, unsigned npicks);
static unsigned phota_render_told(const phota_pick_t *picks, unsigned npicks,
    unsigned pick);
static void phota_render_add(phota_sums_t *sums,
    const phota_subject_t *subject);


/* what phota_render() refuses needs no room */

size_t
phota_render_room(const phota_pick_t *picks, unsigned npicks,
    const phota_telling_t *telling)
{
    size_t                 room, element;
    unsigned               i;
    const phota_result_t  *result;

    if (phota_render_check(picks, npicks) != PHOTA_OK) {
        return 1;
    }

    element = PHOTA_RENDER_ELEMENT;

    if (telling->linker) {
        element += telling->base.len + PHOTA_LINK_ROOM;
    }

    room = picks[npicks - 1].result->skeleton_len + sizeof("{}") - 1;

    for (i = 0; i < npicks; i++) {
        result = picks[i].result;

        room += picks[i].count * element
                + result->subjects_len
                + result->subjects_len / PHOTA_SUBJECT_HEAD
                  * PHOTA_RENDER_NUMBER;
    }

    return room;
}


int
phota_render(const phota_pick_t *picks, unsigned npicks,
    const phota_telling_t *telling, u_char *text,
    phota_rendering_t *rendering)
{
    int                    rc, sums;
    uint32_t               at, from;
    phota_render_t         out;
    const phota_result_t  *last;

    rc = phota_render_check(picks, npicks);
    if (rc != PHOTA_OK) {
        return rc;
    }

    last = picks[npicks - 1].result;
    at = (telling->linker && last->urls_at) ? last->urls_at
                                            : last->images_at;
    sums = (last->counts_len && !phota_render_whole(picks, npicks));
    from = 0;

    rendering->npieces = 0;
    rendering->length = 0;

    out.rendering = rendering;
    out.start = text;
    out.pos = text;

    if (sums && last->counts_at < at) {
        phota_render_put(&out, last->skeleton, last->counts_at);
        phota_render_counts(&out, picks, npicks);
        from = last->counts_at + last->counts_len;
    }

    phota_render_put(&out, last->skeleton + from, at - from);
    from = at;

    rc = phota_render_list(&out, picks, npicks, telling);
    if (rc != PHOTA_OK) {
        return rc;
    }

    if (sums && last->counts_at > at) {
        phota_render_put(&out, last->skeleton + from, last->counts_at - from);
        phota_render_counts(&out, picks, npicks);
        from = last->counts_at + last->counts_len;
    }

    phota_render_put(&out, last->skeleton + from, last->skeleton_len - from);
    phota_render_flush(&out);

    return PHOTA_OK;
}


static int
phota_render_check(const phota_pick_t *picks, unsigned npicks)
{
    unsigned               i, total;
    const phota_pick_t    *pick;

    if (npicks == 0) {
        return PHOTA_INVALID;
    }

    total = 0;

    for (i = 0; i < npicks; i++) {
        pick = &picks[i];

        /* a body is one picture */

        if (pick->result->urls_at == 0 && npicks != 1) {
            return PHOTA_INVALID;
        }

        if (pick->count == 0 || pick->count > PHOTA_PICTURES_MAX - total
            || phota_render_result(pick->result) != PHOTA_OK
            || pick->first > pick->result->npictures
            || pick->count > pick->result->npictures - pick->first)
        {
            return PHOTA_INVALID;
        }

        total += pick->count;
    }

    return PHOTA_OK;
}


static int
phota_render_result(const phota_result_t *result)
{
    size_t           pos;
    uint32_t         end;
    unsigned         i;
    phota_subject_t  subject;

    if (result->npictures > PHOTA_PICTURES_MAX
        || result->skeleton_len > PHOTA_SKELETON_MAX
        || result->subjects_len > PHOTA_SUBJECTS_MAX
        || result->counts_at > result->skeleton_len
        || result->counts_len > result->skeleton_len - result->counts_at
        || phota_render_places(result) != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    for (i = 0; i < result->npictures; i++) {
        if (result->pictures[i].length == 0
            || result->pictures[i].length >= PHOTA_RENDER_LENGTH)
        {
            return PHOTA_INVALID;
        }
    }

    if (result->counts_len == 0) {
        return (result->subjects_len == 0) ? PHOTA_OK : PHOTA_INVALID;
    }

    end = result->counts_at + result->counts_len;

    if (result->counts_len < 2 || result->skeleton[result->counts_at] != '{'
        || result->skeleton[end - 1] != '}')
    {
        return PHOTA_INVALID;
    }

    for (pos = 0; pos < result->subjects_len; /* void */ ) {
        if (phota_render_subject(result, &pos, &subject) != PHOTA_OK) {
            return PHOTA_INVALID;
        }
    }

    return PHOTA_OK;
}


static int
phota_render_places(const phota_result_t *result)
{
    if (result->urls_at == 0) {
        return (result->npictures == 1 && result->counts_at == 0
                && result->counts_len == 0)
               ? phota_render_place(result, result->images_at, "\"\"")
               : PHOTA_INVALID;
    }

    if (result->images_at == result->urls_at
        || phota_render_place(result, result->images_at, "[]") != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    return phota_render_place(result, result->urls_at, "[]");
}


/* in the middle of an empty list or string that isn't in the counts */

static int
phota_render_place(const phota_result_t *result, uint32_t at,
    const char *empty)
{
    if (at == 0 || at >= result->skeleton_len
        || memcmp(result->skeleton + at - 1, empty, 2) != 0)
    {
        return PHOTA_INVALID;
    }

    if (at >= result->counts_at
        && at - result->counts_at < result->counts_len)
    {
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


static int
phota_render_subject(const phota_result_t *result, size_t *pos,
    phota_subject_t *subject)
{
    phota_reader_t  r;

    phota_read_init(&r, result->subjects + *pos, result->subjects_len - *pos);

    subject->count = (uint32_t) phota_read_number(&r, 4);
    subject->len = (uint32_t) phota_read_number(&r, 2);
    subject->name = r.pos;

    if (r.rc != PHOTA_OK || subject->len > (size_t) (r.end - r.pos)) {
        return PHOTA_INVALID;
    }

    *pos += PHOTA_SUBJECT_HEAD + subject->len;

    return PHOTA_OK;
}


static int
phota_render_whole(const phota_pick_t *picks, unsigned npicks)
{
    return npicks == 1 && picks->count == picks->result->npictures;
}


static void
phota_render_put(phota_render_t *out, const void *p, size_t n)
{
    if (n) {
        memcpy(out->pos, p, n);
        out->pos += n;
    }
}


static void
phota_render_text(phota_render_t *out, const char *text)
{
    phota_render_put(out, text, strlen(text));
}


/* the text since the last piece becomes one */

static void
phota_render_flush(phota_render_t *out)
{
    phota_piece_t      *piece;
    phota_rendering_t  *rendering;

    rendering = out->rendering;

    piece = &rendering->pieces[rendering->npieces++];

    memset(piece, 0, sizeof(phota_piece_t));

    piece->text = out->start;
    piece->len = out->pos - out->start;

    rendering->length += piece->len;
    out->start = out->pos;
}


static int
phota_render_list(phota_render_t *out, const phota_pick_t *picks,
    unsigned npicks, const phota_telling_t *telling)
{
    int                     rc;
    unsigned                i, k;
    const phota_result_t   *result;
    const phota_picture_t  *picture;

    /* a body has its quotes in the skeleton, and is never a link */

    if (picks->result->urls_at == 0) {
        phota_render_picture(out, picks->result->pictures,
                             picks->result->scope);
        return PHOTA_OK;
    }

    for (i = 0; i < npicks; i++) {
        result = picks[i].result;

        for (k = 0; k < picks[i].count; k++) {
            picture = &result->pictures[picks[i].first + k];

            phota_render_text(out, (i + k) ? ",\"" : "\"");

            if (telling->linker == NULL) {
                phota_render_picture(out, picture, result->scope);

            } else {
                rc = phota_render_link(out, picture, result->scope, telling);
                if (rc != PHOTA_OK) {
                    return rc;
                }
            }

            phota_render_text(out, "\"");
        }
    }

    return PHOTA_OK;
}


static void
phota_render_picture(phota_render_t *out, const phota_picture_t *picture,
    uint32_t scope)
{
    phota_piece_t      *piece;
    phota_rendering_t  *rendering;

    if (picture->prefixed) {
        phota_render_text(out, "data:");
        phota_render_text(out, phota_picture_mime(picture->type));
        phota_render_text(out, ";base64,");
    }

    phota_render_flush(out);

    rendering = out->rendering;

    piece = &rendering->pieces[rendering->npieces++];

    piece->text = NULL;
    piece->len = 0;
    piece->picture = picture;
    piece->scope = scope;

    rendering->length += phota_base64_length(picture->length);
}


static int
phota_render_link(phota_render_t *out, const phota_picture_t *picture,
    uint32_t scope, const phota_telling_t *telling)
{
    int           rc;
    size_t        len;
    phota_link_t  link;

    link.tenant = telling->tenant;
    link.scope = scope;
    link.expires = telling->expires;
    link.type = picture->type;
    memcpy(link.digest, picture->digest, PHOTA_SHA256_LEN);

    rc = phota_link_format(telling->linker, &telling->base, &link, out->pos,
                           &len);

    if (rc == PHOTA_OK) {
        out->pos += len;
    }

    return rc;
}


/*
 * Which of a result's pictures show a subject isn't known: in k of them it
 * can't be more than k times.
 */

static void
phota_render_counts(phota_render_t *out, const phota_pick_t *picks,
    unsigned npicks)
{
    int                    n;
    char                   number[sizeof("\":4294967295")];
    size_t                 pos;
    unsigned               i, told;
    phota_sums_t           sums;
    phota_subject_t        subject, *sum;
    const phota_result_t  *result;

    sums.nsums = 0;
    memset(sums.slots, 0, sizeof(sums.slots));

    for (i = 0; i < npicks; i++) {
        result = picks[i].result;
        told = phota_render_told(picks, npicks, i);

        for (pos = 0; told && pos < result->subjects_len; /* void */ ) {
            (void) phota_render_subject(result, &pos, &subject);

            if (subject.count > told) {
                subject.count = told;
            }

            phota_render_add(&sums, &subject);
        }
    }

    phota_render_text(out, "{");

    for (i = 0; i < sums.nsums; i++) {
        sum = &sums.sums[i];

        n = snprintf(number, sizeof(number), "\":%u", (unsigned) sum->count);

        phota_render_text(out, i ? ",\"" : "\"");
        phota_render_put(out, sum->name, sum->len);
        phota_render_put(out, number, n);
    }

    phota_render_text(out, "}");
}


/* pictures of this pick's result, in all picks; 0 when an earlier one has it */

static unsigned
phota_render_told(const phota_pick_t *picks, unsigned npicks, unsigned pick)
{
    unsigned  i, told;

    told = 0;

    for (i = 0; i < npicks; i++) {

        if (picks[i].result != picks[pick].result) {
            continue;
        }

        if (i < pick) {
            return 0;
        }

        told += picks[i].count;
    }

    return told;
}


static void
phota_render_add(phota_sums_t *sums, const phota_subject_t *subject)
{
    uint64_t          slot;
    phota_subject_t  *sum;

    slot = phota_profile_mark(subject->name, subject->len);

    for ( ;; ) {
        slot &= PHOTA_SUMS_SLOTS - 1;

        if (sums->slots[slot] == 0) {
            break;
        }

        sum = &sums->sums[sums->slots[slot] - 1];

        if (sum->len == subject->len
            && memcmp(sum->name, subject->name, sum->len) == 0)
        {
            sum->count += subject->count;
            return;
        }

        slot++;
    }

    sums->sums[sums->nsums++] = *subject;
    sums->slots[slot] = (uint16_t) sums->nsums;
}
