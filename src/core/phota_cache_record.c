
/*
 * Encoding and decoding of the cache's records.  A record that is too short,
 * too long, doesn't fit its checksum or says what can't be is damaged, and that
 * is all that is said of it: who gets a result may trust its positions.
 */


#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "phota_cache_record.h"
#include "phota_record.h"


#define PHOTA_RECORD_VERSION  2
#define PHOTA_CHECKSUM        8
#define PHOTA_TOTALS_LEN      (1 + 4 * 8 + PHOTA_CHECKSUM)
#define PHOTA_KEPT_LEN        (1 + 8 + 1 + 8 + 8 + PHOTA_CHECKSUM)


static uint64_t phota_checksum(const void *key, size_t size, const u_char *p,
    size_t len);
static void phota_write_sum(phota_writer_t *w, const void *key, size_t size);
static int phota_read_open(phota_reader_t *r, const void *key, size_t size,
    const MDB_val *value);
static void phota_write_pictures(phota_writer_t *w,
    const phota_result_t *result);
static void phota_read_pictures(phota_reader_t *r, phota_result_t *result);
static void phota_write_marks(phota_writer_t *w,
    const phota_result_t *result);
static void phota_read_marks(phota_reader_t *r, phota_result_t *result);
static void phota_write_skeleton(phota_writer_t *w,
    const phota_result_t *result);
static void phota_read_skeleton(phota_reader_t *r, phota_result_t *result);
static int phota_result_sane(const phota_result_t *result);
static int phota_skeleton_sane(const phota_result_t *result);
static int phota_body_sane(const phota_result_t *result);
static int phota_subjects_sane(const u_char *p, size_t len);
static int phota_totals_decode(phota_cache_totals_t *totals,
    const MDB_val *value);


/*
 * XXH3: against accidents, not against people.  The key is the seed, so that a
 * record counts in its place only.
 */

static uint64_t
phota_checksum(const void *key, size_t size, const u_char *p, size_t len)
{
    return XXH3_64bits_withSeed(p, len, XXH3_64bits(key, size));
}


uint64_t
phota_chunk_sum(uint32_t scope, const u_char digest[PHOTA_SHA256_LEN],
    uint32_t index, const u_char *p, size_t len)
{
    u_char  key[PHOTA_CHUNK_KEY];

    phota_chunk_key(key, scope, digest, index);

    return phota_checksum(key, sizeof(key), p, len);
}


static void
phota_write_sum(phota_writer_t *w, const void *key, size_t size)
{
    phota_write_number(w, phota_checksum(key, size, w->start,
                                         (size_t) (w->pos - w->start)),
                       PHOTA_CHECKSUM);
}


/* a reader of what stands between version and checksum, if these are right */

static int
phota_read_open(phota_reader_t *r, const void *key, size_t size,
    const MDB_val *value)
{
    size_t         len;
    const u_char  *p;

    p = value->mv_data;

    if (value->mv_size < 1 + PHOTA_CHECKSUM || p[0] != PHOTA_RECORD_VERSION) {
        return MDB_CORRUPTED;
    }

    len = value->mv_size - PHOTA_CHECKSUM;

    if (phota_get_le(p + len, PHOTA_CHECKSUM)
        != phota_checksum(key, size, p, len))
    {
        return MDB_CORRUPTED;
    }

    phota_read_init(r, p + 1, len - 1);

    return 0;
}


int
phota_result_encode(const phota_result_t *result, u_char *buf, size_t *len)
{
    phota_writer_t  w;

    if (phota_result_sane(result) != PHOTA_OK) {
        return MDB_BAD_VALSIZE;
    }

    phota_write_init(&w, buf, *len);

    phota_write_number(&w, PHOTA_RECORD_VERSION, 1);
    phota_write_bytes(&w, result->id.b, sizeof(phota_id_t));
    phota_write_bytes(&w, result->origin, PHOTA_SHA256_LEN);
    phota_write_number(&w, result->stored, 8);
    phota_write_number(&w, result->expires, 8);
    phota_write_number(&w, result->linked, 8);
    phota_write_number(&w, result->used, 8);
    phota_write_number(&w, result->tenant, 4);
    phota_write_number(&w, result->scope, 4);
    phota_write_number(&w, result->status, 4);
    phota_write_number(&w, result->outputs, 4);
    phota_write_number(&w, result->identity_low, 4);
    phota_write_number(&w, result->identity_high, 4);
    phota_write_number(&w, (uint64_t) result->cost, 8);
    phota_write_number(&w, result->operation, 1);
    phota_write_text(&w, result->tag);
    phota_write_text(&w, result->request_id);
    phota_write_pictures(&w, result);
    phota_write_marks(&w, result);
    phota_write_skeleton(&w, result);
    phota_write_sum(&w, &result->key, sizeof(phota_cache_key_t));

    *len = (size_t) (w.pos - w.start);

    return (w.rc == PHOTA_OK) ? 0 : MDB_BAD_VALSIZE;
}


int
phota_result_decode(phota_result_t *result, const phota_cache_key_t *key,
    const MDB_val *value)
{
    const u_char    *p;
    phota_reader_t   r;

    memset(result, 0, sizeof(phota_result_t));

    if (phota_read_open(&r, key, sizeof(phota_cache_key_t), value) != 0) {
        return MDB_CORRUPTED;
    }

    result->key = *key;

    p = phota_read_bytes(&r, sizeof(phota_id_t));

    if (p != NULL) {
        memcpy(result->id.b, p, sizeof(phota_id_t));
    }

    p = phota_read_bytes(&r, PHOTA_SHA256_LEN);

    if (p != NULL) {
        memcpy(result->origin, p, PHOTA_SHA256_LEN);
    }

    result->stored = phota_read_number(&r, 8);
    result->expires = phota_read_number(&r, 8);
    result->linked = phota_read_number(&r, 8);
    result->used = phota_read_number(&r, 8);
    result->tenant = (uint32_t) phota_read_number(&r, 4);
    result->scope = (uint32_t) phota_read_number(&r, 4);
    result->status = (uint32_t) phota_read_number(&r, 4);
    result->outputs = (uint32_t) phota_read_number(&r, 4);
    result->identity_low = (uint32_t) phota_read_number(&r, 4);
    result->identity_high = (uint32_t) phota_read_number(&r, 4);
    result->cost = (int64_t) phota_read_number(&r, 8);
    result->operation = (uint8_t) phota_read_number(&r, 1);
    phota_read_text(&r, result->tag, sizeof(result->tag));
    phota_read_text(&r, result->request_id, sizeof(result->request_id));
    phota_read_pictures(&r, result);
    phota_read_marks(&r, result);
    phota_read_skeleton(&r, result);

    if (phota_read_end(&r) != PHOTA_OK) {
        return MDB_CORRUPTED;
    }

    return (phota_result_sane(result) == PHOTA_OK) ? 0 : MDB_CORRUPTED;
}


static void
phota_write_pictures(phota_writer_t *w, const phota_result_t *result)
{
    unsigned                i;
    const phota_picture_t  *picture;

    phota_write_number(w, result->npictures, 1);

    for (i = 0; i < result->npictures; i++) {
        picture = &result->pictures[i];

        phota_write_bytes(w, picture->digest, PHOTA_SHA256_LEN);
        phota_write_number(w, picture->length, 8);
        phota_write_number(w, picture->type, 1);
        phota_write_number(w, picture->prefixed, 1);
    }
}


static void
phota_read_pictures(phota_reader_t *r, phota_result_t *result)
{
    unsigned          i, prefixed;
    const u_char     *p;
    phota_picture_t  *picture;

    result->npictures = (unsigned) phota_read_number(r, 1);

    if (result->npictures > PHOTA_PICTURES_MAX) {
        r->rc = PHOTA_ERROR;
        result->npictures = 0;
    }

    for (i = 0; i < result->npictures; i++) {
        picture = &result->pictures[i];

        p = phota_read_bytes(r, PHOTA_SHA256_LEN);

        if (p != NULL) {
            memcpy(picture->digest, p, PHOTA_SHA256_LEN);
        }

        picture->length = phota_read_number(r, 8);
        picture->type = (uint8_t) phota_read_number(r, 1);

        prefixed = (unsigned) phota_read_number(r, 1);
        picture->prefixed = prefixed & 1;

        if (prefixed > 1) {
            r->rc = PHOTA_ERROR;
        }
    }
}


static void
phota_write_marks(phota_writer_t *w, const phota_result_t *result)
{
    unsigned  i;

    phota_write_number(w, result->unmarked, 1);
    phota_write_number(w, result->nmarks, 1);

    for (i = 0; i < result->nmarks; i++) {
        phota_write_number(w, result->marks[i], 8);
    }
}


static void
phota_read_marks(phota_reader_t *r, phota_result_t *result)
{
    unsigned  i, unmarked;

    unmarked = (unsigned) phota_read_number(r, 1);
    result->unmarked = unmarked & 1;
    result->nmarks = (unsigned) phota_read_number(r, 1);

    if (unmarked > 1 || result->nmarks > PHOTA_MARKS_MAX) {
        r->rc = PHOTA_ERROR;
        result->nmarks = 0;
    }

    for (i = 0; i < result->nmarks; i++) {
        result->marks[i] = phota_read_number(r, 8);
    }
}


static void
phota_write_skeleton(phota_writer_t *w, const phota_result_t *result)
{
    phota_write_number(w, result->images_at, 4);
    phota_write_number(w, result->urls_at, 4);
    phota_write_number(w, result->counts_at, 4);
    phota_write_number(w, result->counts_len, 4);
    phota_write_number(w, result->skeleton_len, 4);
    phota_write_number(w, result->subjects_len, 4);

    if (result->skeleton_len) {
        phota_write_bytes(w, result->skeleton, result->skeleton_len);
    }

    if (result->subjects_len) {
        phota_write_bytes(w, result->subjects, result->subjects_len);
    }
}


static void
phota_read_skeleton(phota_reader_t *r, phota_result_t *result)
{
    result->images_at = (uint32_t) phota_read_number(r, 4);
    result->urls_at = (uint32_t) phota_read_number(r, 4);
    result->counts_at = (uint32_t) phota_read_number(r, 4);
    result->counts_len = (uint32_t) phota_read_number(r, 4);
    result->skeleton_len = (uint32_t) phota_read_number(r, 4);
    result->subjects_len = (uint32_t) phota_read_number(r, 4);
    result->skeleton = phota_read_bytes(r, result->skeleton_len);
    result->subjects = phota_read_bytes(r, result->subjects_len);
}


/* what the renderer trusts, and how much there may be of each thing */

static int
phota_result_sane(const phota_result_t *result)
{
    unsigned  i;

    if (result->npictures == 0 || result->npictures > PHOTA_PICTURES_MAX
        || result->outputs != result->npictures
        || result->nmarks > PHOTA_MARKS_MAX
        || result->skeleton_len > PHOTA_SKELETON_MAX
        || result->subjects_len > PHOTA_SUBJECTS_MAX)
    {
        return PHOTA_INVALID;
    }

    for (i = 0; i < result->npictures; i++) {

        if (result->pictures[i].length == 0
            || result->pictures[i].length > UINT32_MAX
            || result->pictures[i].type > PHOTA_PICTURE_AVIF)
        {
            return PHOTA_INVALID;
        }
    }

    if (phota_skeleton_sane(result) != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    return phota_subjects_sane(result->subjects, result->subjects_len);
}


static int
phota_skeleton_sane(const phota_result_t *result)
{
    size_t  i;

    const uint32_t  lists[] = { result->images_at, result->urls_at };

    if (result->counts_at > result->skeleton_len
        || result->counts_len > result->skeleton_len - result->counts_at)
    {
        return PHOTA_INVALID;
    }

    if (phota_result_kind(result) == PHOTA_ANSWER_BODY) {
        return phota_body_sane(result);
    }

    for (i = 0; i < 2; i++) {

        if (lists[i] == 0 || lists[i] > result->skeleton_len
            || result->skeleton[lists[i] - 1] != '[')
        {
            return PHOTA_INVALID;
        }

        /* the counts are replaced as a whole */

        if (lists[i] > result->counts_at
            && lists[i] < result->counts_at + result->counts_len)
        {
            return PHOTA_INVALID;
        }
    }

    return (lists[0] != lists[1]) ? PHOTA_OK : PHOTA_INVALID;
}


/* one picture in an empty string, and nobody is counted in it */

static int
phota_body_sane(const phota_result_t *result)
{
    uint32_t  at;

    at = result->images_at;

    if (result->npictures != 1 || result->subjects_len
        || result->counts_at || result->counts_len
        || at == 0 || at >= result->skeleton_len
        || memcmp(result->skeleton + at - 1, "\"\"", 2) != 0)
    {
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


static int
phota_subjects_sane(const u_char *p, size_t len)
{
    size_t  n;

    while (len) {

        if (len < 6) {
            return PHOTA_INVALID;
        }

        n = 6 + (size_t) phota_get_le(p + 4, 2);

        if (n > len) {
            return PHOTA_INVALID;
        }

        p += n;
        len -= n;
    }

    return PHOTA_OK;
}


int
phota_result_read(phota_cache_t *c, MDB_txn *txn,
    const phota_cache_key_t *key, phota_result_t *result)
{
    int      rc;
    MDB_val  name, value;

    name.mv_data = (void *) key;
    name.mv_size = sizeof(phota_cache_key_t);

    rc = mdb_get(txn, c->results, &name, &value);

    return (rc == 0) ? phota_result_decode(result, key, &value) : rc;
}


int
phota_result_write(phota_cache_t *c, MDB_txn *txn,
    const phota_result_t *result)
{
    int      rc;
    size_t   len;
    u_char   buf[PHOTA_RESULT_MAX];
    MDB_val  name, value;

    len = sizeof(buf);

    rc = phota_result_encode(result, buf, &len);

    if (rc != 0) {
        return rc;
    }

    name.mv_data = (void *) &result->key;
    name.mv_size = sizeof(phota_cache_key_t);
    value.mv_data = buf;
    value.mv_size = len;

    return mdb_put(txn, c->results, &name, &value, 0);
}


int
phota_kept_decode(phota_kept_t *kept, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN], const MDB_val *value)
{
    u_char          key[PHOTA_PICTURE_KEY];
    phota_reader_t  r;

    memset(kept, 0, sizeof(phota_kept_t));

    phota_picture_key(key, scope, digest);

    if (phota_read_open(&r, key, sizeof(key), value) != 0) {
        return MDB_CORRUPTED;
    }

    memcpy(kept->picture.digest, digest, PHOTA_SHA256_LEN);
    kept->picture.length = phota_read_number(&r, 8);
    kept->picture.type = (uint8_t) phota_read_number(&r, 1);
    kept->refs = phota_read_number(&r, 8);
    kept->due = phota_read_number(&r, 8);

    if (phota_read_end(&r) != PHOTA_OK
        || kept->picture.length > UINT32_MAX
        || kept->picture.type > PHOTA_PICTURE_AVIF)
    {
        return MDB_CORRUPTED;
    }

    return 0;
}


int
phota_kept_read(phota_cache_t *c, MDB_txn *txn, uint32_t scope,
    const u_char digest[PHOTA_SHA256_LEN], phota_kept_t *kept)
{
    int      rc;
    u_char   buf[PHOTA_PICTURE_KEY];
    MDB_val  key, value;

    phota_picture_key(buf, scope, digest);

    key.mv_data = buf;
    key.mv_size = sizeof(buf);

    rc = mdb_get(txn, c->pictures, &key, &value);

    return (rc == 0) ? phota_kept_decode(kept, scope, digest, &value) : rc;
}


int
phota_kept_write(phota_cache_t *c, MDB_txn *txn, uint32_t scope,
    const phota_kept_t *kept)
{
    u_char          name[PHOTA_PICTURE_KEY], buf[PHOTA_KEPT_LEN];
    MDB_val         key, value;
    phota_writer_t  w;

    phota_picture_key(name, scope, kept->picture.digest);

    phota_write_init(&w, buf, sizeof(buf));

    phota_write_number(&w, PHOTA_RECORD_VERSION, 1);
    phota_write_number(&w, kept->picture.length, 8);
    phota_write_number(&w, kept->picture.type, 1);
    phota_write_number(&w, kept->refs, 8);
    phota_write_number(&w, kept->due, 8);
    phota_write_sum(&w, name, sizeof(name));

    key.mv_data = name;
    key.mv_size = sizeof(name);
    value.mv_data = buf;
    value.mv_size = sizeof(buf);

    return mdb_put(txn, c->pictures, &key, &value, 0);
}


int
phota_bought_read(phota_cache_t *c, MDB_txn *txn, const phota_id_t *id,
    phota_result_t *result)
{
    int             rc;
    MDB_val         name, value;
    phota_reader_t  r;

    name.mv_data = (void *) id->b;
    name.mv_size = sizeof(phota_id_t);

    rc = mdb_get(txn, c->charges, &name, &value);

    if (rc != 0) {
        return rc;
    }

    memset(result, 0, sizeof(phota_result_t));

    if (phota_read_open(&r, id, sizeof(phota_id_t), &value) != 0) {
        return MDB_CORRUPTED;
    }

    result->id = *id;
    result->stored = phota_read_number(&r, 8);
    result->tenant = (uint32_t) phota_read_number(&r, 4);
    result->status = (uint32_t) phota_read_number(&r, 4);
    result->outputs = (uint32_t) phota_read_number(&r, 4);
    result->identity_low = (uint32_t) phota_read_number(&r, 4);
    result->identity_high = (uint32_t) phota_read_number(&r, 4);
    result->cost = (int64_t) phota_read_number(&r, 8);
    phota_read_text(&r, result->request_id, sizeof(result->request_id));

    return (phota_read_end(&r) == PHOTA_OK) ? 0 : MDB_CORRUPTED;
}


int
phota_bought_write(phota_cache_t *c, MDB_txn *txn,
    const phota_result_t *result)
{
    u_char          buf[1 + 8 + 5 * 4 + 8 + 256 + PHOTA_CHECKSUM];
    MDB_val         name, value;
    phota_writer_t  w;

    phota_write_init(&w, buf, sizeof(buf));

    phota_write_number(&w, PHOTA_RECORD_VERSION, 1);
    phota_write_number(&w, result->stored, 8);
    phota_write_number(&w, result->tenant, 4);
    phota_write_number(&w, result->status, 4);
    phota_write_number(&w, result->outputs, 4);
    phota_write_number(&w, result->identity_low, 4);
    phota_write_number(&w, result->identity_high, 4);
    phota_write_number(&w, (uint64_t) result->cost, 8);
    phota_write_text(&w, result->request_id);
    phota_write_sum(&w, &result->id, sizeof(phota_id_t));

    if (w.rc != PHOTA_OK) {
        return MDB_BAD_VALSIZE;
    }

    name.mv_data = (void *) result->id.b;
    name.mv_size = sizeof(phota_id_t);
    value.mv_data = buf;
    value.mv_size = (size_t) (w.pos - w.start);

    return mdb_put(txn, c->charges, &name, &value, MDB_NOOVERWRITE);
}


/* counted anew where there is no record that can be believed */

int
phota_totals_read(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals)
{
    int      rc;
    MDB_val  key, value;

    key.mv_data = "totals";
    key.mv_size = sizeof("totals") - 1;

    rc = mdb_get(txn, c->store->meta, &key, &value);

    if (rc == 0) {
        rc = phota_totals_decode(totals, &value);
    }

    if (rc == MDB_NOTFOUND || rc == MDB_CORRUPTED) {
        rc = phota_totals_count(c, txn, totals);
    }

    return rc;
}


static int
phota_totals_decode(phota_cache_totals_t *totals, const MDB_val *value)
{
    phota_reader_t  r;

    if (phota_read_open(&r, "totals", sizeof("totals") - 1, value) != 0) {
        return MDB_CORRUPTED;
    }

    totals->results = phota_read_number(&r, 8);
    totals->pictures = phota_read_number(&r, 8);
    totals->bytes = phota_read_number(&r, 8);
    totals->garbage = phota_read_number(&r, 8);

    return (phota_read_end(&r) == PHOTA_OK) ? 0 : MDB_CORRUPTED;
}


int
phota_totals_write(phota_cache_t *c, MDB_txn *txn,
    const phota_cache_totals_t *totals)
{
    u_char          buf[PHOTA_TOTALS_LEN];
    MDB_val         key, value;
    phota_writer_t  w;

    phota_write_init(&w, buf, sizeof(buf));

    phota_write_number(&w, PHOTA_RECORD_VERSION, 1);
    phota_write_number(&w, totals->results, 8);
    phota_write_number(&w, totals->pictures, 8);
    phota_write_number(&w, totals->bytes, 8);
    phota_write_number(&w, totals->garbage, 8);
    phota_write_sum(&w, "totals", sizeof("totals") - 1);

    key.mv_data = "totals";
    key.mv_size = sizeof("totals") - 1;
    value.mv_data = buf;
    value.mv_size = sizeof(buf);

    return mdb_put(txn, c->store->meta, &key, &value, 0);
}
