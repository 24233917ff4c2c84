
/*
 * The fingerprint's profiles: those that a request names in a list or as [[id]]
 * in its prompt, once each; what of the prompt may be one that isn't read; and
 * their marks.
 */


#include "phota_fingerprint_field.h"

#include <stdlib.h>
#include <string.h>


static int phota_fp_prompt_byte(phota_fingerprint_t *fp, u_char c,
    uint64_t offset);
static int phota_fp_prompt_id(phota_fingerprint_t *fp);
static int phota_fp_mention(phota_fingerprint_t *fp, unsigned index,
    uint64_t offset);
static int phota_fp_legible(const u_char *id, size_t len);


int
phota_fp_prompt_ids(phota_fingerprint_t *fp, const u_char *p, size_t len,
    uint64_t offset)
{
    int            rc;
    const u_char  *last, *start;

    start = p;
    last = p + len;

    while (p < last) {

        if (fp->brackets == 0) {
            p = memchr(p, '[', last - p);

            if (p == NULL) {
                break;
            }
        }

        /* what an escape stood for comes alone: no two bytes lie apart */

        rc = phota_fp_prompt_byte(fp, *p, offset + (p - start));
        if (rc != PHOTA_OK) {
            return rc;
        }

        p++;
    }

    return PHOTA_OK;
}


/* brackets: 1 after "[", 2 after "[[" and within the id, 3 after its "]" */

static int
phota_fp_prompt_byte(phota_fingerprint_t *fp, u_char c, uint64_t offset)
{
    if (c == '[') {
        fp->opening = fp->bracket;
        fp->bracket = offset;
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

        return phota_fp_prompt_id(fp);
    }

    if (fp->brackets == 2 && fp->id_len < PHOTA_FP_ID) {
        fp->id[fp->id_len++] = c;

    } else {
        fp->brackets = 0;
    }

    return PHOTA_OK;
}


static int
phota_fp_prompt_id(phota_fingerprint_t *fp)
{
    int     rc;
    size_t  id;

    id = fp->profiles.keys_len;

    rc = phota_table_append(&fp->profiles, fp->id, fp->id_len);

    if (rc == PHOTA_INVALID) {
        return phota_fp_fault(fp, "too many profiles", fp->offset);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    return phota_fp_profile(fp, id, PHOTA_FP_PROMPT, fp->opening);
}


/* id: where it begins in the table's keys; offset: in the body */

int
phota_fp_profile(phota_fingerprint_t *fp, size_t id, u_char flag,
    uint64_t offset)
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

    if (rc == PHOTA_OK) {
        rc = phota_fp_mention(fp, index, offset);
        if (rc != PHOTA_OK) {
            return rc;
        }

        if (flag == PHOTA_FP_PROMPT) {
            flag |= PHOTA_FP_FIRST;
        }
    }

    fp->profiles.members[index].flags |= flag;

    return PHOTA_OK;
}


static int
phota_fp_mention(phota_fingerprint_t *fp, unsigned index, uint64_t offset)
{
    unsigned   n;
    uint64_t  *mentions;

    if (index == fp->nmentions) {
        n = fp->nmentions ? fp->nmentions * 2 : 8;

        mentions = realloc(fp->mentions, n * sizeof(uint64_t));
        if (mentions == NULL) {
            return PHOTA_ERROR;
        }

        fp->mentions = mentions;
        fp->nmentions = n;
    }

    fp->mentions[index] = offset;

    return PHOTA_OK;
}


/* also of a list that isn't one of ids alone */

int
phota_fingerprint_named(phota_fingerprint_t *fp, unsigned i,
    phota_named_t *named)
{
    phota_member_t  *member;

    if (i >= fp->profiles.nmembers) {
        return PHOTA_DECLINED;
    }

    member = &fp->profiles.members[i];

    named->id.data = fp->profiles.keys + member->key;
    named->id.len = member->len;
    named->offset = fp->mentions[i];
    named->prompt = ((member->flags & PHOTA_FP_FIRST) != 0);

    return PHOTA_OK;
}


void
phota_fp_forget_listed(phota_fingerprint_t *fp)
{
    unsigned  i;

    for (i = 0; i < fp->profiles.nmembers; i++) {
        fp->profiles.members[i].flags &= ~PHOTA_FP_LISTED;
    }
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

    scan->vague = (fp->vague || fp->unread);
    scan->unmarked = scan->vague;

    phota_sink_byte(fp->sink, 'p');

    for (i = 0; i < profiles->nmembers; i++) {
        member = &profiles->members[profiles->order[i]];

        if ((member->flags & (PHOTA_FP_PROMPT|PHOTA_FP_LISTED)) == 0) {
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
