
/*
 * How roll-ups lie in their table, and sums in memory by the same or other
 * keys.  The decoder accepts exactly what the encoder writes.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "phota_order.h"
#include "phota_record.h"
#include "phota_rollup.h"


#define PHOTA_ROLLUP_VERSION  2

#define PHOTA_SUMS_MIN        64


static int64_t phota_sum_plus(int64_t a, int64_t b);
static int phota_rollup_fail(phota_ledger_t *l, int rc, phota_error_t *err);
static int phota_sums_grow(phota_sums_t *sums);
static uint32_t phota_sums_hash(const u_char *key, size_t len);
static int phota_sums_compare(const void *one, const void *two);


void
phota_rollup_encode(const phota_rollup_t *rollup,
    u_char buf[PHOTA_ROLLUP_LEN])
{
    phota_writer_t      w;
    const phota_sum_t  *sum;

    sum = &rollup->sum;

    phota_write_init(&w, buf, PHOTA_ROLLUP_LEN);

    phota_write_number(&w, PHOTA_ROLLUP_VERSION, 1);
    phota_write_number(&w, (uint64_t) sum->calls, 8);
    phota_write_number(&w, (uint64_t) sum->hits, 8);
    phota_write_number(&w, (uint64_t) sum->outputs, 8);
    phota_write_number(&w, (uint64_t) sum->identity_outputs, 8);
    phota_write_number(&w, (uint64_t) sum->cost, 8);
    phota_write_number(&w, (uint64_t) sum->price, 8);
    phota_write_number(&w, (uint64_t) sum->saved, 8);
    phota_write_number(&w, (uint64_t) rollup->loose_hits, 8);
    phota_write_number(&w, (uint64_t) rollup->loose_saved, 8);
}


int
phota_rollup_decode(phota_rollup_t *rollup, const void *p, size_t len)
{
    phota_sum_t     *sum;
    phota_reader_t   r;

    sum = &rollup->sum;

    phota_read_init(&r, p, len);

    if (phota_read_number(&r, 1) != PHOTA_ROLLUP_VERSION) {
        return PHOTA_ERROR;
    }

    sum->calls = (int64_t) phota_read_number(&r, 8);
    sum->hits = (int64_t) phota_read_number(&r, 8);
    sum->outputs = (int64_t) phota_read_number(&r, 8);
    sum->identity_outputs = (int64_t) phota_read_number(&r, 8);
    sum->cost = (int64_t) phota_read_number(&r, 8);
    sum->price = (int64_t) phota_read_number(&r, 8);
    sum->saved = (int64_t) phota_read_number(&r, 8);
    rollup->loose_hits = (int64_t) phota_read_number(&r, 8);
    rollup->loose_saved = (int64_t) phota_read_number(&r, 8);

    return phota_read_end(&r);
}


size_t
phota_rollup_key(u_char key[PHOTA_DETAIL_KEY_MAX],
    const phota_rollup_name_t *name)
{
    size_t  len;

    len = strnlen(name->tag, PHOTA_NAME_MAX);

    phota_put_be(key, name->day, 4);
    phota_put_be(key + 4, name->tenant, 4);
    key[8] = name->operation;
    phota_put_be(key + PHOTA_ROLLUP_KEY, name->token, 4);
    memcpy(key + PHOTA_DETAIL_KEY, name->tag, len);

    return PHOTA_DETAIL_KEY + len;
}


size_t
phota_rollup_row(u_char row[PHOTA_ROLLUP_ROW_MAX], const u_char *key,
    size_t len)
{
    memcpy(row, key, 4);
    row[4] = (len != PHOTA_ROLLUP_KEY);
    memcpy(row + 5, key + 4, len - 4);

    return len + 1;
}


int
phota_rollup_row_key(u_char key[PHOTA_DETAIL_KEY_MAX], size_t *len,
    const MDB_val *row)
{
    const u_char  *p;

    if (row->mv_size <= PHOTA_ROLLUP_KEY
        || row->mv_size > PHOTA_ROLLUP_ROW_MAX)
    {
        return PHOTA_INVALID;
    }

    p = row->mv_data;
    *len = row->mv_size - 1;

    memcpy(key, p, 4);
    memcpy(key + 4, p + 5, *len - 4);

    return (p[4] == (*len != PHOTA_ROLLUP_KEY)) ? PHOTA_OK : PHOTA_INVALID;
}


int
phota_rollup_name(phota_rollup_name_t *name, const void *key, size_t len)
{
    const u_char  *p;

    memset(name, 0, sizeof(phota_rollup_name_t));

    if (len != PHOTA_ROLLUP_KEY
        && (len < PHOTA_DETAIL_KEY || len > PHOTA_DETAIL_KEY_MAX))
    {
        return PHOTA_INVALID;
    }

    p = key;

    name->day = (uint32_t) phota_get_be(p, 4);
    name->tenant = (uint32_t) phota_get_be(p + 4, 4);
    name->operation = p[8];

    if (len == PHOTA_ROLLUP_KEY) {
        return PHOTA_OK;
    }

    name->token = (uint32_t) phota_get_be(p + PHOTA_ROLLUP_KEY, 4);

    p += PHOTA_DETAIL_KEY;
    len -= PHOTA_DETAIL_KEY;

    if (memchr(p, '\0', len) != NULL) {
        return PHOTA_INVALID;
    }

    memcpy(name->tag, p, len);

    return PHOTA_OK;
}


int
phota_rollup_get(phota_ledger_t *l, MDB_txn *txn, const u_char *key,
    size_t len, phota_rollup_t *rollup, phota_error_t *err)
{
    int      rc;
    u_char   row[PHOTA_ROLLUP_ROW_MAX];
    MDB_val  name, value;

    name.mv_data = row;
    name.mv_size = phota_rollup_row(row, key, len);

    rc = mdb_get(txn, l->rollups, &name, &value);

    if (rc == MDB_NOTFOUND) {
        memset(rollup, 0, sizeof(phota_rollup_t));
        return PHOTA_OK;
    }

    if (rc == 0 && phota_rollup_decode(rollup, value.mv_data, value.mv_size)
                   != PHOTA_OK)
    {
        rc = MDB_CORRUPTED;
    }

    return (rc == 0) ? PHOTA_OK : phota_rollup_fail(l, rc, err);
}


int
phota_rollup_put(phota_ledger_t *l, MDB_txn *txn, const u_char *key,
    size_t len, const phota_rollup_t *rollup, phota_error_t *err)
{
    int      rc;
    u_char   row[PHOTA_ROLLUP_ROW_MAX], buf[PHOTA_ROLLUP_LEN];
    MDB_val  name, value;

    phota_rollup_encode(rollup, buf);

    name.mv_data = row;
    name.mv_size = phota_rollup_row(row, key, len);
    value.mv_data = buf;
    value.mv_size = sizeof(buf);

    rc = mdb_put(txn, l->rollups, &name, &value, 0);

    return (rc == 0) ? PHOTA_OK : phota_rollup_fail(l, rc, err);
}


int
phota_rollup_del(phota_ledger_t *l, MDB_txn *txn, const u_char *key,
    size_t len, phota_error_t *err)
{
    int      rc;
    u_char   row[PHOTA_ROLLUP_ROW_MAX];
    MDB_val  name;

    name.mv_data = row;
    name.mv_size = phota_rollup_row(row, key, len);

    rc = mdb_del(txn, l->rollups, &name, NULL);

    return (rc == 0) ? PHOTA_OK : phota_rollup_fail(l, rc, err);
}


static int
phota_rollup_fail(phota_ledger_t *l, int rc, phota_error_t *err)
{
    char  what[sizeof(l->store->path) + 64];

    (void) snprintf(what, sizeof(what), "%.120s, table \"rollups\"",
                    l->store->path);

    return phota_store_fail(err, what, rc);
}


void
phota_sum_add(phota_sum_t *to, const phota_sum_t *sum)
{
    to->calls = phota_sum_plus(to->calls, sum->calls);
    to->hits = phota_sum_plus(to->hits, sum->hits);
    to->outputs = phota_sum_plus(to->outputs, sum->outputs);
    to->identity_outputs = phota_sum_plus(to->identity_outputs,
                                          sum->identity_outputs);
    to->cost = phota_sum_plus(to->cost, sum->cost);
    to->price = phota_sum_plus(to->price, sum->price);
    to->saved = phota_sum_plus(to->saved, sum->saved);
}


/* what is read from a damaged record may be any number */

static int64_t
phota_sum_plus(int64_t a, int64_t b)
{
    return (int64_t) ((uint64_t) a + (uint64_t) b);
}


int
phota_sum_zero(const phota_sum_t *sum)
{
    return sum->calls == 0
           && sum->hits == 0
           && sum->outputs == 0
           && sum->identity_outputs == 0
           && sum->cost == 0
           && sum->price == 0
           && sum->saved == 0;
}


phota_rollup_t *
phota_sums_get(phota_sums_t *sums, const u_char *key, size_t len)
{
    size_t              i;
    uint32_t            hash;
    phota_sums_slot_t  *slot;

    if (sums->count * 2 >= sums->size && phota_sums_grow(sums) != PHOTA_OK) {
        return NULL;
    }

    hash = phota_sums_hash(key, len);

    for (i = hash; sums->index[i & (sums->size - 1)] != 0; i++) {

        slot = &sums->slots[sums->index[i & (sums->size - 1)] - 1];

        if (slot->hash == hash && slot->len == len
            && memcmp(slot->key, key, len) == 0)
        {
            return &slot->rollup;
        }
    }

    slot = &sums->slots[sums->count++];

    memset(slot, 0, sizeof(phota_sums_slot_t));
    memcpy(slot->key, key, len);
    slot->len = (uint8_t) len;
    slot->hash = hash;

    sums->index[i & (sums->size - 1)] = (uint32_t) sums->count;

    return &slot->rollup;
}


/* at most half of the index is used, and there is a slot for each half */

static int
phota_sums_grow(phota_sums_t *sums)
{
    size_t              i, j, size;
    uint32_t           *index;
    phota_sums_slot_t  *slots;

    size = sums->size ? sums->size * 2 : PHOTA_SUMS_MIN;

    if (size > UINT32_MAX) {
        return PHOTA_ERROR;
    }

    slots = realloc(sums->slots, size / 2 * sizeof(phota_sums_slot_t));

    if (slots == NULL) {
        return PHOTA_ERROR;
    }

    sums->slots = slots;

    index = calloc(size, sizeof(uint32_t));

    if (index == NULL) {
        return PHOTA_ERROR;
    }

    for (i = 0; i < sums->count; i++) {

        j = slots[i].hash;

        while (index[j & (size - 1)] != 0) {
            j++;
        }

        index[j & (size - 1)] = (uint32_t) i + 1;
    }

    free(sums->index);

    sums->index = index;
    sums->size = size;

    return PHOTA_OK;
}


/* eight bytes at a time: this is most of what a walk over all entries does */

static uint32_t
phota_sums_hash(const u_char *key, size_t len)
{
    size_t    i, n;
    uint64_t  hash, part;

    hash = len;

    for (i = 0; i < len; i += n) {
        n = (len - i < 8) ? len - i : 8;

        part = 0;
        memcpy(&part, key + i, n);

        hash = (hash ^ part) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 32;
    }

    return (uint32_t) hash;
}


void
phota_sums_sort(phota_sums_t *sums)
{
    if (sums->count > 1) {
        qsort(sums->slots, sums->count, sizeof(phota_sums_slot_t),
              phota_sums_compare);
    }
}


static int
phota_sums_compare(const void *one, const void *two)
{
    int                       rc;
    size_t                    len;
    const phota_sums_slot_t  *a, *b;

    a = one;
    b = two;

    len = (a->len < b->len) ? a->len : b->len;
    rc = memcmp(a->key, b->key, len);

    return (rc != 0) ? rc : (int) a->len - (int) b->len;
}


void
phota_sums_free(phota_sums_t *sums)
{
    free(sums->slots);
    free(sums->index);
    memset(sums, 0, sizeof(phota_sums_t));
}
