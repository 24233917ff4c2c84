
/*
 * Sinks and tables.  A sink turns into a running digest only when its value is
 * long, so that bodies of a million small objects cost no digest each; a
 * table is one stack for all open objects, the innermost on top.
 */


#include "phota_canon.h"

#include <stdlib.h>
#include <string.h>


static void phota_sink_flush(phota_sink_t *sink);
static unsigned phota_table_find(phota_table_t *t, unsigned base, size_t key,
    int *found);
static int phota_table_room(phota_table_t *t, size_t n);
static int phota_table_grow(phota_table_t *t);


void
phota_sink_init(phota_sink_t *sink, const phota_hash_key_t *key)
{
    sink->key = key;

    phota_sink_reset(sink);
}


void
phota_sink_reset(phota_sink_t *sink)
{
    sink->len = 0;
    sink->hashing = 0;
    sink->mute = 0;
}


void
phota_sink_put(phota_sink_t *sink, const u_char *p, size_t n)
{
    if (sink->mute || n == 0) {
        return;
    }

    if (n > sizeof(sink->buf) - sink->len) {
        phota_sink_flush(sink);

        if (n >= sizeof(sink->buf)) {
            phota_hash_update(&sink->hash, sink->key, p, n);
            return;
        }
    }

    memcpy(&sink->buf[sink->len], p, n);
    sink->len += n;
}


void
phota_sink_byte(phota_sink_t *sink, u_char c)
{
    if (sink->mute) {
        return;
    }

    if (sink->len == sizeof(sink->buf)) {
        phota_sink_flush(sink);
    }

    sink->buf[sink->len++] = c;
}


int
phota_sink_value(phota_sink_t *sink, phota_canon_t *value)
{
    if (sink->hashing || sink->len > PHOTA_CANON_INLINE) {
        value->type = PHOTA_CANON_DIGEST;
        value->len = PHOTA_SHA256_LEN;

        return phota_sink_digest(sink, value->data);
    }

    value->type = PHOTA_CANON_SHORT;
    value->len = (u_char) sink->len;
    memcpy(value->data, sink->buf, sink->len);

    return PHOTA_OK;
}


int
phota_sink_digest(phota_sink_t *sink, u_char digest[PHOTA_SHA256_LEN])
{
    phota_sink_flush(sink);

    return phota_hash_final(&sink->hash, sink->key, digest);
}


static void
phota_sink_flush(phota_sink_t *sink)
{
    if (!sink->hashing) {
        phota_hash_init(&sink->hash);
        sink->hashing = 1;
    }

    phota_hash_update(&sink->hash, sink->key, sink->buf, sink->len);
    sink->len = 0;
}


void
phota_table_init(phota_table_t *t, unsigned max, size_t keys_max)
{
    memset(t, 0, sizeof(phota_table_t));

    t->max = max;
    t->keys_max = keys_max;
}


void
phota_table_free(phota_table_t *t)
{
    free(t->members);
    free(t->order);
    free(t->keys);
}


int
phota_table_append(phota_table_t *t, const u_char *p, size_t n)
{
    int  rc;

    rc = phota_table_room(t, n);

    if (rc == PHOTA_OK && n) {
        memcpy(t->keys + t->keys_len, p, n);
        t->keys_len += n;
    }

    return rc;
}


/* for n more bytes of keys */

static int
phota_table_room(phota_table_t *t, size_t n)
{
    size_t   size;
    u_char  *keys;

    if (n > t->keys_max - t->keys_len) {
        return PHOTA_INVALID;
    }

    if (t->keys && n <= t->keys_size - t->keys_len) {
        return PHOTA_OK;
    }

    size = t->keys_size ? t->keys_size : 256;

    while (n > size - t->keys_len) {
        size *= 2;
    }

    keys = realloc(t->keys, size);
    if (keys == NULL) {
        return PHOTA_ERROR;
    }

    t->keys = keys;
    t->keys_size = size;

    return PHOTA_OK;
}


int
phota_table_add(phota_table_t *t, unsigned base, size_t key, unsigned *index)
{
    int              rc, found;
    unsigned         pos;
    phota_member_t  *member;

    /* the only key may be the empty one: its place has to exist, too */

    rc = phota_table_room(t, 0);
    if (rc != PHOTA_OK) {
        return rc;
    }

    pos = phota_table_find(t, base, key, &found);

    if (found) {
        *index = t->order[pos];
        t->keys_len = key;

        return PHOTA_DECLINED;
    }

    if (t->nmembers == t->size) {
        rc = phota_table_grow(t);
        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    memmove(&t->order[pos + 1], &t->order[pos],
            (t->nmembers - pos) * sizeof(uint16_t));

    *index = t->nmembers;
    t->order[pos] = (uint16_t) t->nmembers;

    member = &t->members[t->nmembers++];
    member->key = (uint32_t) key;
    member->len = (uint32_t) (t->keys_len - key);
    member->flags = 0;
    member->value.type = PHOTA_CANON_SHORT;
    member->value.len = 0;

    return PHOTA_OK;
}


/* where in order it is, or belongs */

static unsigned
phota_table_find(phota_table_t *t, unsigned base, size_t key, int *found)
{
    int              rc;
    size_t           len, n;
    unsigned         low, high, mid;
    phota_member_t  *member;

    low = base;
    high = t->nmembers;
    len = t->keys_len - key;
    *found = 0;

    while (low < high) {
        mid = low + (high - low) / 2;
        member = &t->members[t->order[mid]];
        n = (len < member->len) ? len : member->len;

        rc = n ? memcmp(t->keys + key, t->keys + member->key, n) : 0;

        if (rc == 0 && len == member->len) {
            *found = 1;
            return mid;
        }

        if (rc < 0 || (rc == 0 && len < member->len)) {
            high = mid;

        } else {
            low = mid + 1;
        }
    }

    return low;
}


static int
phota_table_grow(phota_table_t *t)
{
    unsigned         size;
    uint16_t        *order;
    phota_member_t  *members;

    if (t->size == t->max) {
        return PHOTA_INVALID;
    }

    size = t->size ? t->size * 2 : 16;

    if (size > t->max) {
        size = t->max;
    }

    order = realloc(t->order, size * sizeof(uint16_t));
    if (order == NULL) {
        return PHOTA_ERROR;
    }

    t->order = order;

    members = realloc(t->members, size * sizeof(phota_member_t));
    if (members == NULL) {
        return PHOTA_ERROR;
    }

    t->members = members;
    t->size = size;

    return PHOTA_OK;
}


void
phota_table_cut(phota_table_t *t, unsigned base, size_t key)
{
    t->nmembers = base;
    t->keys_len = key;
}
