
/*
 * Keys of the cache's tables, and what records and pictures take up in its
 * file.
 */


#include <string.h>

#include "phota_cache_record.h"
#include "phota_order.h"


#define PHOTA_PAGE            4096
#define PHOTA_PAGE_HEAD       16
#define PHOTA_NODE_MAX        2038    /* what LMDB leaves in a shared page */
#define PHOTA_RESULT_INDEXES  512     /* its entries in the other tables */


void
phota_moment_encode(u_char buf[PHOTA_MOMENT_LEN],
    const phota_moment_t *moment)
{
    phota_put_be(buf, moment->time, 8);
    memcpy(buf + 8, moment->id.b, sizeof(phota_id_t));
}


int
phota_moment_decode(phota_moment_t *moment, const MDB_val *key)
{
    const u_char  *p;

    if (key->mv_size != PHOTA_MOMENT_LEN) {
        return MDB_CORRUPTED;
    }

    p = key->mv_data;

    moment->time = phota_get_be(p, 8);
    memcpy(moment->id.b, p + 8, sizeof(phota_id_t));

    return 0;
}


int
phota_cache_key_decode(phota_cache_key_t *key, const MDB_val *value)
{
    if (value->mv_size != sizeof(phota_cache_key_t)) {
        return MDB_CORRUPTED;
    }

    memcpy(key, value->mv_data, sizeof(phota_cache_key_t));

    return 0;
}


void
phota_picture_key(u_char buf[PHOTA_PICTURE_KEY], uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN])
{
    phota_put_be(buf, scope, 4);
    memcpy(buf + 4, digest, PHOTA_SHA256_LEN);
}


int
phota_picture_key_decode(uint32_t *scope, u_char digest[PHOTA_SHA256_LEN],
    const MDB_val *key)
{
    const u_char  *p;

    if (key->mv_size != PHOTA_PICTURE_KEY) {
        return MDB_CORRUPTED;
    }

    p = key->mv_data;

    *scope = (uint32_t) phota_get_be(p, 4);
    memcpy(digest, p + 4, PHOTA_SHA256_LEN);

    return 0;
}


void
phota_chunk_key(u_char buf[PHOTA_CHUNK_KEY], uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN], uint32_t index)
{
    phota_picture_key(buf, scope, digest);
    phota_put_be(buf + PHOTA_PICTURE_KEY, index, 4);
}


void
phota_garbage_key(u_char buf[PHOTA_GARBAGE_KEY], uint64_t due,
    uint32_t scope, const u_char digest[PHOTA_SHA256_LEN])
{
    phota_put_be(buf, due, 8);
    phota_picture_key(buf + 8, scope, digest);
}


/* small records share pages, which are two thirds full in the long run */

uint64_t
phota_result_size(size_t len)
{
    if (len + sizeof(phota_cache_key_t) + 8 <= PHOTA_NODE_MAX) {
        return len + len / 2 + PHOTA_RESULT_INDEXES;
    }

    return (len + PHOTA_PAGE_HEAD + PHOTA_PAGE - 1) / PHOTA_PAGE * PHOTA_PAGE
           + PHOTA_RESULT_INDEXES;
}


uint64_t
phota_picture_size(uint64_t length)
{
    uint64_t  rest, pages;

    rest = length % PHOTA_CHUNK;
    pages = length / PHOTA_CHUNK * (65536 / PHOTA_PAGE);

    if (rest) {
        pages += (rest + PHOTA_CHUNK_SUM + PHOTA_PAGE_HEAD + PHOTA_PAGE - 1)
                 / PHOTA_PAGE;
    }

    return pages * PHOTA_PAGE;
}
