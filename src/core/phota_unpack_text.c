
/*
 * The skeleton and the counts of subjects.  A piece of the answer is copied
 * only when something is cut out of it or it ends, so that most answers take
 * three copies; names of subjects are taken from the copy.
 */


#include "phota_unpack_text.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "phota_record.h"


#define PHOTA_SUBJECT_HEAD  6           /* a number and a length */


static int phota_text_put(phota_text_t *t, const void *p, size_t n);
static void phota_counts_mark(phota_text_t *t, const phota_str_t *name);


uint64_t
phota_profile_mark(const u_char *id, size_t len)
{
    return XXH3_64bits(id, len);
}


void
phota_text_init(phota_text_t *t, phota_unpacked_t *unpacked,
    const u_char *buf)
{
    memset(t, 0, sizeof(phota_text_t));

    t->unpacked = unpacked;
    t->piece = buf;
    t->dropping = 1;
}


void
phota_text_piece(phota_text_t *t, uint64_t offset)
{
    t->piece_at = offset;
}


uint32_t
phota_text_at(const phota_text_t *t, uint64_t offset)
{
    return t->unpacked->skeleton_len + (uint32_t) (offset - t->taken);
}


int
phota_text_keep(phota_text_t *t, uint64_t end)
{
    uint64_t  from;

    from = t->taken;
    t->taken = end;

    if (t->dropping) {
        return PHOTA_OK;
    }

    return phota_text_put(t, t->piece + (from - t->piece_at), end - from);
}


static int
phota_text_put(phota_text_t *t, const void *p, size_t n)
{
    phota_unpacked_t  *unpacked;

    unpacked = t->unpacked;

    if (n > PHOTA_SKELETON_MAX - unpacked->skeleton_len) {
        return PHOTA_DECLINED;
    }

    memcpy(unpacked->skeleton + unpacked->skeleton_len, p, n);
    unpacked->skeleton_len += (uint32_t) n;

    return PHOTA_OK;
}


int
phota_text_cut(phota_text_t *t, uint64_t offset)
{
    int  rc;

    rc = phota_text_keep(t, offset);

    t->dropping = 1;

    return rc;
}


void
phota_text_resume(phota_text_t *t, uint64_t offset)
{
    t->taken = offset;
    t->dropping = 0;
}


int
phota_text_null(phota_text_t *t, uint64_t offset, uint32_t *at)
{
    int  rc;

    rc = PHOTA_OK;

    /* its first bytes may have ended the piece before, and been kept */

    if (t->taken > offset) {
        t->unpacked->skeleton_len = phota_text_at(t, offset);

    } else {
        rc = phota_text_keep(t, offset);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    t->taken = offset + sizeof("null") - 1;
    *at = t->unpacked->skeleton_len + 1;

    return phota_text_put(t, "[]", 2);
}


int
phota_text_list(phota_text_t *t, uint64_t offset, const char *name,
    unsigned first, uint32_t *at)
{
    if (phota_text_keep(t, offset) != PHOTA_OK
        || phota_text_put(t, first ? "\"" : ",\"", first ? 1 : 2) != PHOTA_OK
        || phota_text_put(t, name, strlen(name)) != PHOTA_OK
        || phota_text_put(t, "\":[]", 4) != PHOTA_OK)
    {
        return PHOTA_DECLINED;
    }

    *at = t->unpacked->skeleton_len - 1;

    return PHOTA_OK;
}


void
phota_counts_begin(phota_text_t *t, uint64_t offset)
{
    t->unpacked->counts_at = phota_text_at(t, offset);
    t->summable = 1;
}


/* what can't be added up is kept as it stands, and is no counts for others */

void
phota_counts_end(phota_text_t *t, uint64_t offset)
{
    phota_unpacked_t  *unpacked;

    unpacked = t->unpacked;

    if (t->summable) {
        unpacked->counts_len = phota_text_at(t, offset) + 1
                               - unpacked->counts_at;
        return;
    }

    unpacked->counts_at = 0;
    unpacked->subjects_len = 0;
}


void
phota_counts_name(phota_text_t *t, uint64_t offset)
{
    t->name_at = phota_text_at(t, offset) + 1;
}


int
phota_counts_name_end(phota_text_t *t, uint64_t offset)
{
    int  rc;

    rc = phota_text_keep(t, offset);
    if (rc != PHOTA_OK) {
        return rc;
    }

    t->name_len = t->unpacked->skeleton_len - t->name_at;

    return PHOTA_OK;
}


void
phota_counts_number(phota_text_t *t)
{
    t->integer = 1;
    t->value = 0;
}


void
phota_counts_digits(phota_text_t *t, const u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len && t->integer; i++) {

        if (p[i] < '0' || p[i] > '9') {
            t->integer = 0;
            return;
        }

        t->value = t->value * 10 + (p[i] - '0');

        if (t->value > UINT32_MAX) {
            t->integer = 0;
        }
    }
}


void
phota_counts_number_end(phota_text_t *t, const phota_str_t *name)
{
    u_char            *p;
    phota_unpacked_t  *unpacked;

    if (!t->integer) {
        phota_counts_other(t, name);
        return;
    }

    if (t->value) {
        phota_counts_mark(t, name);
    }

    unpacked = t->unpacked;

    if (!t->summable
        || PHOTA_SUBJECT_HEAD + t->name_len
           > PHOTA_SUBJECTS_MAX - unpacked->subjects_len)
    {
        t->summable = 0;
        return;
    }

    p = unpacked->subjects + unpacked->subjects_len;

    phota_put_le(p, t->value, 4);
    phota_put_le(p + 4, t->name_len, 2);
    memcpy(p + PHOTA_SUBJECT_HEAD, unpacked->skeleton + t->name_at,
           t->name_len);

    unpacked->subjects_len += PHOTA_SUBJECT_HEAD + t->name_len;
}


/* whoever it names may be in the picture */

void
phota_counts_other(phota_text_t *t, const phota_str_t *name)
{
    t->summable = 0;

    phota_counts_mark(t, name);
}


/* of two counts of one name a client may read either: no sum is right */

static void
phota_counts_mark(phota_text_t *t, const phota_str_t *name)
{
    uint64_t           mark;
    unsigned           i;
    phota_unpacked_t  *unpacked;

    unpacked = t->unpacked;
    mark = phota_profile_mark(name->data, name->len);

    for (i = 0; i < unpacked->nmarks; i++) {
        if (unpacked->marks[i] == mark) {
            t->summable = 0;
            return;
        }
    }

    if (unpacked->nmarks == PHOTA_MARKS_MAX) {
        unpacked->unmarked = 1;
        return;
    }

    unpacked->marks[unpacked->nmarks++] = mark;
}
