
/*
 * Encoding and decoding of the cache's records.  A record that is too short,
 * too long or doesn't fit its checksum is damaged, and that is all that is
 * said of it.
 */


#include <string.h>

#include "phota_cache_record.h"
#include "phota_order.h"
#include "phota_record.h"


#define PHOTA_RECORD_VERSION  1
#define PHOTA_CHECKSUM        8
#define PHOTA_TOTALS_LEN      25


static uint64_t phota_checksum(const void *key, size_t size, const u_char *p,
    size_t len);
static int phota_result_decode(phota_result_t *result,
    const phota_cache_key_t *key, const MDB_val *value);


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


int
phota_result_encode(const phota_cache_key_t *key,
    const phota_result_t *result, u_char *buf, size_t *len)
{
    phota_writer_t  w;

    phota_write_init(&w, buf, *len);

    phota_write_number(&w, PHOTA_RECORD_VERSION, 1);
    phota_write_bytes(&w, result->id.b, sizeof(phota_id_t));
    phota_write_number(&w, result->stored, 8);
    phota_write_number(&w, result->expires, 8);
    phota_write_number(&w, result->used, 8);
    phota_write_number(&w, result->length, 8);
    phota_write_number(&w, result->tenant, 4);
    phota_write_number(&w, result->status, 4);
    phota_write_number(&w, result->outputs, 4);
    phota_write_number(&w, result->identity_low, 4);
    phota_write_number(&w, result->identity_high, 4);
    phota_write_number(&w, (uint64_t) result->cost, 8);
    phota_write_bytes(&w, result->digest, PHOTA_SHA256_LEN);
    phota_write_text(&w, result->content_type);
    phota_write_text(&w, result->request_id);
    phota_write_number(&w, phota_checksum(key, sizeof(phota_cache_key_t),
                                          w.start,
                                          (size_t) (w.pos - w.start)),
                       PHOTA_CHECKSUM);

    *len = (size_t) (w.pos - w.start);

    return (w.rc == PHOTA_OK) ? 0 : MDB_BAD_VALSIZE;
}


static int
phota_result_decode(phota_result_t *result, const phota_cache_key_t *key,
    const MDB_val *value)
{
    const u_char    *p;
    phota_reader_t   r;

    if (value->mv_size < PHOTA_CHECKSUM) {
        return MDB_CORRUPTED;
    }

    memset(result, 0, sizeof(phota_result_t));

    phota_read_init(&r, value->mv_data, value->mv_size);

    if (phota_read_number(&r, 1) != PHOTA_RECORD_VERSION) {
        return MDB_CORRUPTED;
    }

    p = phota_read_bytes(&r, sizeof(phota_id_t));

    if (p != NULL) {
        memcpy(result->id.b, p, sizeof(phota_id_t));
    }

    result->stored = phota_read_number(&r, 8);
    result->expires = phota_read_number(&r, 8);
    result->used = phota_read_number(&r, 8);
    result->length = phota_read_number(&r, 8);
    result->tenant = (uint32_t) phota_read_number(&r, 4);
    result->status = (uint32_t) phota_read_number(&r, 4);
    result->outputs = (uint32_t) phota_read_number(&r, 4);
    result->identity_low = (uint32_t) phota_read_number(&r, 4);
    result->identity_high = (uint32_t) phota_read_number(&r, 4);
    result->cost = (int64_t) phota_read_number(&r, 8);

    p = phota_read_bytes(&r, PHOTA_SHA256_LEN);

    if (p != NULL) {
        memcpy(result->digest, p, PHOTA_SHA256_LEN);
    }

    phota_read_text(&r, result->content_type, sizeof(result->content_type));
    phota_read_text(&r, result->request_id, sizeof(result->request_id));

    if (phota_read_number(&r, PHOTA_CHECKSUM)
        != phota_checksum(key, sizeof(phota_cache_key_t), value->mv_data,
                          value->mv_size - PHOTA_CHECKSUM))
    {
        return MDB_CORRUPTED;
    }

    return (phota_read_end(&r) == PHOTA_OK) ? 0 : MDB_CORRUPTED;
}


/* FNV-1a: against accidents, not against people */

static uint64_t
phota_checksum(const void *key, size_t size, const u_char *p, size_t len)
{
    size_t         i;
    uint64_t       sum;
    const u_char  *k;

    sum = 14695981039346656037u;
    k = key;

    for (i = 0; i < size; i++) {
        sum = (sum ^ k[i]) * 1099511628211u;
    }

    for (i = 0; i < len; i++) {
        sum = (sum ^ p[i]) * 1099511628211u;
    }

    return sum;
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
    const phota_cache_key_t *key, const phota_result_t *result,
    unsigned flags)
{
    int      rc;
    size_t   len;
    u_char   buf[PHOTA_RESULT_MAX];
    MDB_val  name, value;

    len = sizeof(buf);

    rc = phota_result_encode(key, result, buf, &len);

    if (rc != 0) {
        return rc;
    }

    name.mv_data = (void *) key;
    name.mv_size = sizeof(phota_cache_key_t);
    value.mv_data = buf;
    value.mv_size = len;

    return mdb_put(txn, c->results, &name, &value, flags);
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

    phota_read_init(&r, value.mv_data, value.mv_size);

    if (value.mv_size < PHOTA_CHECKSUM
        || phota_read_number(&r, 1) != PHOTA_RECORD_VERSION)
    {
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

    if (phota_read_number(&r, PHOTA_CHECKSUM)
        != phota_checksum(id, sizeof(phota_id_t), value.mv_data,
                          value.mv_size - PHOTA_CHECKSUM))
    {
        return MDB_CORRUPTED;
    }

    return (phota_read_end(&r) == PHOTA_OK) ? 0 : MDB_CORRUPTED;
}


int
phota_bought_write(phota_cache_t *c, MDB_txn *txn,
    const phota_result_t *result)
{
    u_char          buf[PHOTA_RESULT_MAX];
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
    phota_write_number(&w, phota_checksum(&result->id, sizeof(phota_id_t),
                                          w.start,
                                          (size_t) (w.pos - w.start)),
                       PHOTA_CHECKSUM);

    if (w.rc != PHOTA_OK) {
        return MDB_BAD_VALSIZE;
    }

    name.mv_data = (void *) result->id.b;
    name.mv_size = sizeof(phota_id_t);
    value.mv_data = buf;
    value.mv_size = (size_t) (w.pos - w.start);

    return mdb_put(txn, c->charges, &name, &value, MDB_NOOVERWRITE);
}


int
phota_totals_read(phota_cache_t *c, MDB_txn *txn,
    phota_cache_totals_t *totals)
{
    int             rc;
    MDB_val         key, value;
    phota_reader_t  r;

    memset(totals, 0, sizeof(phota_cache_totals_t));

    key.mv_data = "totals";
    key.mv_size = sizeof("totals") - 1;

    rc = mdb_get(txn, c->store->meta, &key, &value);

    if (rc != 0) {
        return (rc == MDB_NOTFOUND) ? 0 : rc;
    }

    phota_read_init(&r, value.mv_data, value.mv_size);

    if (phota_read_number(&r, 1) != PHOTA_RECORD_VERSION) {
        return MDB_CORRUPTED;
    }

    totals->results = phota_read_number(&r, 8);
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
    phota_write_number(&w, totals->bytes, 8);
    phota_write_number(&w, totals->garbage, 8);

    key.mv_data = "totals";
    key.mv_size = sizeof("totals") - 1;
    value.mv_data = buf;
    value.mv_size = sizeof(buf);

    return mdb_put(txn, c->store->meta, &key, &value, 0);
}


void
phota_chunk_key(u_char buf[PHOTA_CHUNK_KEY], const phota_id_t *id,
    uint32_t index)
{
    memcpy(buf, id->b, sizeof(phota_id_t));
    phota_put_be(buf + sizeof(phota_id_t), index, 4);
}
