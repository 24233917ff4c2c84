
/*
 * Fuzzes what the cache reads from its file.  An input is a number of rows that
 * are put into its tables as they come, or with the checksum that lets them
 * through; then the pool is read, its pictures, the totals, and room is made.
 * What is decoded must be encoded as it was, point into the record, and be fit
 * to be told.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "phota_cache_record.h"
#include "phota_order.h"
#include "phota_record.h"
#include "phota_render.h"


#define FUZZ_NOW    1764000000000
#define FUZZ_VALUE  4096
#define FUZZ_ROWS   64

#define FUZZ_SEAL   0x01        /* version and checksum are put right */
#define FUZZ_PLACE  0x02        /* the key is one that is asked for */


typedef struct {
    MDB_dbi        dbi;
    u_char         key[64];
    size_t         key_len;
    u_char         value[FUZZ_VALUE];
    size_t         len;
} fuzz_row_t;


int LLVMFuzzerTestOneInput(const u_char *data, size_t size);


static char           fuzz_dir[64];
static phota_store_t  fuzz_store;
static phota_cache_t  fuzz_cache;
static phota_beats_t  fuzz_beats;

static volatile u_char  fuzz_sum;       /* so that it is read at all */
static const u_char   fuzz_fingerprint[PHOTA_SHA256_LEN] = { 5 };


static void
fuzz_remove(void)
{
    size_t  i;
    char    path[128];

    static const char  *names[] = { "/cache/data.mdb", "/cache/lock.mdb",
                                    "/cache", "" };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void) snprintf(path, sizeof(path), "%s%s", fuzz_dir, names[i]);
        (void) remove(path);
    }
}


static void
fuzz_open(void)
{
    phota_error_t  err;

    memcpy(fuzz_dir, "/tmp/phota-fuzz.XXXXXX",
           sizeof("/tmp/phota-fuzz.XXXXXX"));

    if (mkdtemp(fuzz_dir) == NULL || atexit(fuzz_remove) != 0
        || phota_store_open(&fuzz_store, fuzz_dir, "cache",
                            PHOTA_CACHE_SCHEMA, 64 << 20, PHOTA_STORE_CREATE,
                            &err)
           != PHOTA_OK
        || phota_cache_open(&fuzz_cache, &fuzz_store, 1 << 20, &fuzz_beats,
                            &err)
           != PHOTA_OK)
    {
        abort();
    }
}


/* the keys under which things are looked for, one of a few */

static void
fuzz_place(fuzz_row_t *row, unsigned table, unsigned which)
{
    u_char          digest[PHOTA_SHA256_LEN];
    phota_moment_t  moment;

    memset(digest, 0, sizeof(digest));
    memset(&moment, 0, sizeof(moment));
    digest[0] = which & 3;
    moment.time = FUZZ_NOW - 1000 + which;
    moment.id.b[0] = which & 3;

    switch (table) {

    case 0:
        memcpy(row->key, fuzz_fingerprint, PHOTA_SHA256_LEN);
        phota_put_be(row->key + PHOTA_SHA256_LEN, which, 4);
        row->key_len = sizeof(phota_cache_key_t);
        break;

    case 1:
        phota_picture_key(row->key, 0, digest);
        row->key_len = PHOTA_PICTURE_KEY;
        break;

    case 2:
        phota_chunk_key(row->key, 0, digest, which >> 4);
        row->key_len = PHOTA_CHUNK_KEY;
        break;

    case 3:
        memcpy(row->key, moment.id.b, sizeof(phota_id_t));
        row->key_len = sizeof(phota_id_t);
        break;

    case 4:
    case 5:
        phota_moment_encode(row->key, &moment);
        row->key_len = PHOTA_MOMENT_LEN;
        break;

    case 6:
        phota_garbage_key(row->key, moment.time, 0, digest);
        row->key_len = PHOTA_GARBAGE_KEY;
        break;

    default:
        memcpy(row->key, "totals", 6);
        row->key_len = 6;
        break;
    }
}


static void
fuzz_seal(fuzz_row_t *row, unsigned table)
{
    size_t  len;

    if (table == 2 || row->len < 9) {
        return;
    }

    len = row->len - 8;
    row->value[0] = 2;

    phota_put_le(row->value + len,
                 XXH3_64bits_withSeed(row->value, len,
                                      XXH3_64bits(row->key, row->key_len)),
                 8);
}


/* a row begins with table, flags, a number for the key, 2 bytes of length */

static int
fuzz_row(fuzz_row_t *row, phota_reader_t *r)
{
    size_t         len;
    unsigned       table, flags, which;
    const u_char  *p;

    const MDB_dbi  tables[] = {
        fuzz_cache.results, fuzz_cache.pictures, fuzz_cache.chunks,
        fuzz_cache.charges, fuzz_cache.order, fuzz_cache.expiry,
        fuzz_cache.garbage, fuzz_store.meta
    };

    table = (unsigned) phota_read_number(r, 1) % 8;
    flags = (unsigned) phota_read_number(r, 1);
    which = (unsigned) phota_read_number(r, 1);
    len = phota_read_number(r, 2) % FUZZ_VALUE;
    len = (len < (size_t) (r->end - r->pos)) ? len
                                             : (size_t) (r->end - r->pos);
    p = phota_read_bytes(r, len);

    if (r->rc != PHOTA_OK) {
        return PHOTA_DECLINED;
    }

    row->dbi = tables[table];
    row->len = len;

    if (len) {
        memcpy(row->value, p, len);
    }

    /* nobody damages the schema's record: the file isn't opened then */

    if (flags & FUZZ_PLACE || table == 7) {
        fuzz_place(row, table, which);

    } else {
        memset(row->key, (int) which, sizeof(row->key));
        row->key_len = 1 + which % sizeof(row->key);
    }

    if (flags & FUZZ_SEAL) {
        fuzz_seal(row, table);
    }

    return PHOTA_OK;
}


/* lists of pictures and of links, or a body */

static int
fuzz_places(const phota_result_t *result)
{
    const u_char  *s;

    s = result->skeleton;

    if (phota_result_kind(result) == PHOTA_ANSWER_BODY) {
        return (result->npictures == 1 && result->counts_len == 0
                && result->images_at < result->skeleton_len
                && memcmp(s + result->images_at - 1, "\"\"", 2) == 0)
               ? PHOTA_OK : PHOTA_INVALID;
    }

    return (s[result->images_at - 1] == '[' && s[result->urls_at - 1] == '[')
           ? PHOTA_OK : PHOTA_INVALID;
}


/* told, as base64 and as links, or refused: it may be no text at all */

static void
fuzz_render(const phota_result_t *result)
{
    int                       links;
    size_t                    i, room;
    u_char                   *text;
    uint64_t                  len;
    phota_pick_t              pick;
    phota_telling_t           telling;
    static phota_linker_t     linker;
    static phota_rendering_t  rendering;

    memset(&telling, 0, sizeof(telling));

    pick.result = result;
    pick.first = 0;
    pick.count = result->npictures;
    telling.tenant = result->scope;
    telling.base.data = (const u_char *) "https://x/";
    telling.base.len = 10;

    for (links = 0; links < 2; links++) {
        telling.linker = links ? &linker : NULL;
        room = phota_render_room(&pick, 1, &telling);
        text = malloc(room);

        if (text == NULL) {
            abort();
        }

        if (phota_render(&pick, 1, &telling, text, &rendering) == PHOTA_OK) {
            len = 0;

            for (i = 0; i < rendering.npieces; i++) {
                len += rendering.pieces[i].text
                       ? rendering.pieces[i].len
                       : phota_base64_length(
                                     rendering.pieces[i].picture->length);
            }

            if (len != rendering.length || rendering.npieces == 0) {
                abort();
            }
        }

        free(text);
    }
}


/* what is read is written as it was, and all of it lies in the record */

static void
fuzz_result(MDB_txn *txn, const phota_result_t *result)
{
    size_t          i, len;
    u_char          buf[PHOTA_RESULT_MAX];
    MDB_val         key, value;
    u_char          sum;

    key.mv_data = (void *) &result->key;
    key.mv_size = sizeof(phota_cache_key_t);
    len = sizeof(buf);

    if (mdb_get(txn, fuzz_cache.results, &key, &value) != 0
        || phota_result_encode(result, buf, &len) != 0
        || len != value.mv_size || memcmp(buf, value.mv_data, len) != 0
        || result->npictures == 0
        || fuzz_places(result) != PHOTA_OK
        || result->counts_at + result->counts_len > result->skeleton_len)
    {
        abort();
    }

    sum = 0;

    for (i = 0; i < result->skeleton_len; i++) {
        sum ^= result->skeleton[i];
    }

    for (i = 0; i < result->subjects_len; i++) {
        sum ^= result->subjects[i];
    }

    fuzz_sum = sum;

    fuzz_render(result);
}


static void
fuzz_look(MDB_txn *txn)
{
    size_t                 len;
    u_char                 digest[PHOTA_SHA256_LEN];
    unsigned               i, n, damaged;
    phota_id_t             id;
    const u_char          *p;
    phota_picture_t        picture;
    static phota_result_t  results[PHOTA_POOL_MAX];

    if (phota_cache_pool(&fuzz_cache, txn, fuzz_fingerprint, 0, 0, results,
                         &n, &damaged)
        != PHOTA_OK)
    {
        abort();
    }

    for (i = 0; i < n; i++) {
        fuzz_result(txn, &results[i]);
    }

    for (i = 0; i < 4; i++) {
        memset(digest, 0, sizeof(digest));
        memset(&id, 0, sizeof(id));
        digest[0] = (u_char) i;
        id.b[0] = (u_char) i;

        (void) phota_cache_find_charge(&fuzz_cache, txn, &id, &results[0]);

        if (phota_cache_picture(&fuzz_cache, txn, 0, digest, &picture)
            == PHOTA_OK
            && phota_cache_chunk(&fuzz_cache, txn, 0, &picture, 0, &p, &len)
               == PHOTA_OK)
        {
            (void) phota_cache_sound(0, &picture, 0, p, len);
        }
    }
}


static void
fuzz_room(MDB_txn *txn)
{
    int                    rc, more;
    unsigned               n;
    phota_cache_totals_t   totals;

    if (phota_totals_read(&fuzz_cache, txn, &totals) != 0) {
        abort();
    }

    n = 0;

    do {
        rc = phota_cache_pass(&fuzz_cache, txn, &totals, n ? 0 : 8192,
                              FUZZ_NOW + 20000 * n, &more);

        if (rc == 0) {
            rc = phota_cache_prune(&fuzz_cache, txn, FUZZ_NOW, &more);
        }

        if (rc != 0 || n++ > 2 * FUZZ_ROWS) {
            abort();
        }

    } while (more || n < 3);
}


int
LLVMFuzzerTestOneInput(const u_char *data, size_t size)
{
    MDB_val            key, value;
    MDB_txn           *txn;
    unsigned           n;
    phota_error_t      err;
    phota_reader_t     r;
    static fuzz_row_t  row;

    if (fuzz_store.env == NULL) {
        fuzz_open();
    }

    if (phota_store_begin(&fuzz_store, 1, &txn, &err) != PHOTA_OK) {
        abort();
    }

    phota_read_init(&r, data, size);

    for (n = 0; n < FUZZ_ROWS && fuzz_row(&row, &r) == PHOTA_OK; n++) {
        key.mv_data = row.key;
        key.mv_size = row.key_len;
        value.mv_data = row.value;
        value.mv_size = row.len;

        if (mdb_put(txn, row.dbi, &key, &value, 0) != 0) {
            abort();
        }
    }

    fuzz_look(txn);
    fuzz_room(txn);

    /* nothing is ever written: each input meets an empty cache */

    phota_store_abort(txn);

    return 0;
}
