
/*
 * Whose profiles are: a row for each, and a second table by tenant for lists.
 * Nobody is given what is another's, and a row that can't be read is nobody's.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "phota_digest.h"
#include "phota_order.h"
#include "phota_profile.h"


#define PHOTA_PROFILE_VERSION  1
#define PHOTA_PROFILE_CHARGE   (1 + 4 + 8)  /* where it stands in a row */
#define PHOTA_PROFILE_LEN      (PHOTA_PROFILE_CHARGE + sizeof(phota_id_t) + 2 \
                                + PHOTA_PROFILE_TAG_MAX + PHOTA_DIGEST_LEN)
#define PHOTA_OWNED_MAX        (4 + PHOTA_PROFILE_ID_MAX)   /* tenant, id */
#define PHOTA_PROFILES_BATCH   32


typedef struct {
    u_char            next[PHOTA_OWNED_MAX + 1];    /* the batch begins here */
    size_t            next_len;
    uint32_t          tenant;                       /* 0: of everybody */
    unsigned          more;
    unsigned          n;
    unsigned          damaged;
    phota_error_t     damage;                       /* the first */
    phota_profile_t   profiles[PHOTA_PROFILES_BATCH];
} phota_profile_batch_t;


static int phota_profile_check(const phota_profile_t *profile,
    phota_error_t *err);
static int phota_profile_write(phota_profiles_t *p, MDB_txn *txn,
    const phota_profile_t *profile);
static int phota_profile_decode(phota_profile_t *profile, const MDB_val *key,
    const MDB_val *value);
static int phota_profile_seek(phota_profiles_t *p, MDB_txn *txn,
    MDB_cursor *cursor, uint32_t tenant, const phota_id_t *charge,
    phota_profile_t *profile);
static void phota_profile_owned(u_char key[PHOTA_OWNED_MAX], uint32_t tenant,
    const void *id, size_t len);
static int phota_profile_batch(phota_profiles_t *p,
    phota_profile_batch_t *batch, phota_error_t *err);
static int phota_profile_batch_fill(phota_profiles_t *p, MDB_txn *txn,
    MDB_cursor *cursor, phota_profile_batch_t *batch);
static int phota_profile_batch_add(phota_profiles_t *p, MDB_txn *txn,
    phota_profile_batch_t *batch, const MDB_val *owned);
static int phota_profile_delete(MDB_txn *txn, MDB_dbi table, void *name,
    size_t len);
static int phota_profile_fail(phota_profiles_t *p, int rc,
    phota_error_t *err);


int
phota_profiles_open(phota_profiles_t *p, phota_store_t *store,
    phota_error_t *err)
{
    int  rc;

    p->store = store;

    rc = phota_store_table(store, "profiles", &p->profiles, err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    return phota_store_table(store, "profiles_owned", &p->owned, err);
}


int
phota_profile_put(phota_profiles_t *p, MDB_txn *txn,
    const phota_profile_t *profile, phota_error_t *err)
{
    int               rc;
    phota_profile_t   old;

    if (phota_profile_check(profile, err) != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    rc = phota_profile_get(p, txn, (const u_char *) profile->id,
                           strlen(profile->id), &old, err);

    if (rc == PHOTA_ERROR) {
        return PHOTA_ERROR;
    }

    if (rc == PHOTA_OK && old.tenant != profile->tenant) {
        phota_error(err, "profile \"%.128s\" is another tenant's",
                    profile->id);
        return PHOTA_REFUSED;
    }

    rc = phota_profile_write(p, txn, profile);

    return (rc == 0) ? PHOTA_OK : phota_profile_fail(p, rc, err);
}


static int
phota_profile_check(const phota_profile_t *profile, phota_error_t *err)
{
    size_t  i;

    if (profile->tenant == 0
        || memchr(profile->id, '\0', sizeof(profile->id)) == NULL
        || memchr(profile->tag, '\0', sizeof(profile->tag)) == NULL)
    {
        phota_error(err, "a profile that is nobody's, or with an id or tag "
                    "that is too long");
        return PHOTA_INVALID;
    }

    for (i = 0; profile->id[i] != '\0'; i++) {
        if ((u_char) profile->id[i] < ' ' || profile->id[i] == 0x7f
            || profile->id[i] == '/')
        {
            phota_error(err, "a profile's id has no controls and no '/'");
            return PHOTA_INVALID;
        }
    }

    if (i == 0) {
        phota_error(err, "a profile's id is empty");
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


/* an MDB code */

static int
phota_profile_write(phota_profiles_t *p, MDB_txn *txn,
    const phota_profile_t *profile)
{
    int             rc;
    size_t          len, tag;
    u_char          buf[PHOTA_PROFILE_LEN], owned[PHOTA_OWNED_MAX];
    MDB_val         key, value;
    phota_writer_t  w;

    len = strlen(profile->id);
    tag = strlen(profile->tag);

    phota_write_init(&w, buf, sizeof(buf));

    phota_write_number(&w, PHOTA_PROFILE_VERSION, 1);
    phota_write_number(&w, profile->tenant, 4);
    phota_write_number(&w, profile->created, 8);
    phota_write_bytes(&w, profile->charge.b, sizeof(phota_id_t));
    phota_write_number(&w, tag, 2);
    phota_write_bytes(&w, profile->tag, tag);
    phota_write_digest(&w, profile->id, len);

    if (w.rc != PHOTA_OK) {
        return MDB_BAD_VALSIZE;
    }

    key.mv_data = (void *) profile->id;
    key.mv_size = len;
    value.mv_data = buf;
    value.mv_size = (size_t) (w.pos - w.start);

    rc = mdb_put(txn, p->profiles, &key, &value, 0);

    if (rc != 0) {
        return rc;
    }

    phota_profile_owned(owned, profile->tenant, profile->id, len);

    key.mv_data = owned;
    key.mv_size = 4 + len;
    value.mv_data = NULL;
    value.mv_size = 0;

    return mdb_put(txn, p->owned, &key, &value, 0);
}


int
phota_profile_get(phota_profiles_t *p, MDB_txn *txn, const u_char *id,
    size_t len, phota_profile_t *profile, phota_error_t *err)
{
    int      rc;
    MDB_val  key, value;

    if (len == 0 || len > PHOTA_PROFILE_ID_MAX
        || memchr(id, '\0', len) != NULL)
    {
        return PHOTA_DECLINED;
    }

    key.mv_data = (void *) id;
    key.mv_size = len;

    rc = mdb_get(txn, p->profiles, &key, &value);

    if (rc == MDB_NOTFOUND) {
        return PHOTA_DECLINED;
    }

    if (rc == 0 && phota_profile_decode(profile, &key, &value) != PHOTA_OK) {
        rc = MDB_CORRUPTED;
    }

    return (rc == 0) ? PHOTA_OK : phota_profile_fail(p, rc, err);
}


static int
phota_profile_decode(phota_profile_t *profile, const MDB_val *key,
    const MDB_val *value)
{
    size_t           len;
    const u_char    *charge, *tag;
    phota_reader_t   r;

    if (key->mv_size > PHOTA_PROFILE_ID_MAX
        || phota_read_digest(&r, value->mv_data, value->mv_size, key->mv_data,
                             key->mv_size)
           != PHOTA_OK
        || phota_read_number(&r, 1) != PHOTA_PROFILE_VERSION)
    {
        return PHOTA_ERROR;
    }

    memset(profile, 0, sizeof(phota_profile_t));

    profile->tenant = (uint32_t) phota_read_number(&r, 4);
    profile->created = phota_read_number(&r, 8);
    charge = phota_read_bytes(&r, sizeof(phota_id_t));
    len = (size_t) phota_read_number(&r, 2);
    tag = phota_read_bytes(&r, len);

    if (phota_read_end(&r) != PHOTA_OK || len > PHOTA_PROFILE_TAG_MAX
        || profile->tenant == 0)
    {
        return PHOTA_ERROR;
    }

    memcpy(profile->charge.b, charge, sizeof(phota_id_t));
    memcpy(profile->tag, tag, len);
    memcpy(profile->id, key->mv_data, key->mv_size);

    return PHOTA_OK;
}


int
phota_profile_trained(phota_profiles_t *p, MDB_txn *txn, uint32_t tenant,
    const phota_id_t *charge, phota_profile_t *profile, phota_error_t *err)
{
    int          rc;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, p->owned, &cursor);

    if (rc == 0) {
        rc = phota_profile_seek(p, txn, cursor, tenant, charge, profile);
        mdb_cursor_close(cursor);
    }

    if (rc == MDB_NOTFOUND) {
        return PHOTA_DECLINED;
    }

    return (rc == 0) ? PHOTA_OK : phota_profile_fail(p, rc, err);
}


/* an MDB code; rows of other charges aren't taken apart */

static int
phota_profile_seek(phota_profiles_t *p, MDB_txn *txn, MDB_cursor *cursor,
    uint32_t tenant, const phota_id_t *charge, phota_profile_t *profile)
{
    int      rc;
    u_char   first[4];
    MDB_val  owned, key, value;

    phota_put_be(first, tenant, 4);

    owned.mv_data = first;
    owned.mv_size = 4;

    rc = mdb_cursor_get(cursor, &owned, &value, MDB_SET_RANGE);

    while (rc == 0) {

        if (owned.mv_size <= 4 || owned.mv_size > PHOTA_OWNED_MAX) {
            return MDB_CORRUPTED;
        }

        if (phota_get_be(owned.mv_data, 4) != tenant) {
            return MDB_NOTFOUND;
        }

        key.mv_data = (u_char *) owned.mv_data + 4;
        key.mv_size = owned.mv_size - 4;

        rc = mdb_get(txn, p->profiles, &key, &value);

        if (rc == 0
            && value.mv_size >= PHOTA_PROFILE_CHARGE + sizeof(phota_id_t)
            && memcmp((u_char *) value.mv_data + PHOTA_PROFILE_CHARGE, charge,
                      sizeof(phota_id_t))
               == 0)
        {
            return (phota_profile_decode(profile, &key, &value) == PHOTA_OK)
                   ? 0 : MDB_CORRUPTED;
        }

        if (rc == 0 || rc == MDB_NOTFOUND) {
            rc = mdb_cursor_get(cursor, &owned, &value, MDB_NEXT);
        }
    }

    return rc;
}


static void
phota_profile_owned(u_char key[PHOTA_OWNED_MAX], uint32_t tenant,
    const void *id, size_t len)
{
    phota_put_be(key, tenant, 4);
    memcpy(key + 4, id, len);
}


int
phota_profile_remove(phota_profiles_t *p, MDB_txn *txn, uint32_t tenant,
    const u_char *id, size_t len, phota_error_t *err)
{
    int               rc;
    u_char            owned[PHOTA_OWNED_MAX];
    phota_profile_t   profile;

    rc = phota_profile_get(p, txn, id, len, &profile, err);

    if (rc == PHOTA_OK && profile.tenant != tenant) {
        return PHOTA_DECLINED;
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    phota_profile_owned(owned, tenant, id, len);

    rc = phota_profile_delete(txn, p->owned, owned, 4 + len);

    if (rc == 0) {
        rc = phota_profile_delete(txn, p->profiles, profile.id, len);
    }

    return (rc == 0) ? PHOTA_OK : phota_profile_fail(p, rc, err);
}


int
phota_profiles_each(phota_profiles_t *p, uint32_t tenant,
    phota_profile_pt handler, void *ctx, phota_error_t *err)
{
    int                     rc;
    unsigned                i;
    phota_profile_batch_t  *batch;

    batch = calloc(1, sizeof(phota_profile_batch_t));

    if (batch == NULL) {
        phota_error(err, "no memory");
        return PHOTA_ERROR;
    }

    batch->tenant = tenant;
    phota_put_be(batch->next, tenant, 4);
    batch->next_len = 4;

    do {
        rc = phota_profile_batch(p, batch, err);

        for (i = 0; rc == PHOTA_OK && i < batch->n; i++) {
            rc = handler(ctx, &batch->profiles[i]);
        }

    } while (rc == PHOTA_OK && batch->more);

    if (rc == PHOTA_OK && batch->damaged) {
        phota_error(err, "%s", batch->damage.text);
        rc = PHOTA_ERROR;
    }

    free(batch);

    return rc;
}


static int
phota_profile_batch(phota_profiles_t *p, phota_profile_batch_t *batch,
    phota_error_t *err)
{
    int          rc;
    MDB_txn     *txn;
    MDB_cursor  *cursor;

    if (phota_store_begin(p->store, 0, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = mdb_cursor_open(txn, p->owned, &cursor);

    if (rc == 0) {
        rc = phota_profile_batch_fill(p, txn, cursor, batch);
        mdb_cursor_close(cursor);
    }

    phota_store_abort(txn);

    return (rc == 0) ? PHOTA_OK : phota_profile_fail(p, rc, err);
}


/* an MDB code */

static int
phota_profile_batch_fill(phota_profiles_t *p, MDB_txn *txn,
    MDB_cursor *cursor, phota_profile_batch_t *batch)
{
    int      rc;
    MDB_val  key, value;

    batch->n = 0;
    batch->more = 0;

    key.mv_data = batch->next;
    key.mv_size = batch->next_len;

    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

    while (rc == 0) {

        if (key.mv_size <= 4 || key.mv_size > PHOTA_OWNED_MAX) {
            return MDB_CORRUPTED;
        }

        if (batch->tenant != 0
            && phota_get_be(key.mv_data, 4) != batch->tenant)
        {
            return 0;
        }

        if (batch->n == PHOTA_PROFILES_BATCH) {
            memcpy(batch->next, key.mv_data, key.mv_size);
            batch->next_len = key.mv_size;
            batch->more = 1;
            return 0;
        }

        rc = phota_profile_batch_add(p, txn, batch, &key);

        if (rc == 0) {
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        }
    }

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


/* both tables have to say whose it is */

static int
phota_profile_batch_add(phota_profiles_t *p, MDB_txn *txn,
    phota_profile_batch_t *batch, const MDB_val *owned)
{
    int               rc;
    MDB_val           key, value;
    phota_profile_t  *profile;

    profile = &batch->profiles[batch->n];

    key.mv_data = (u_char *) owned->mv_data + 4;
    key.mv_size = owned->mv_size - 4;

    rc = mdb_get(txn, p->profiles, &key, &value);

    if (rc != 0 && rc != MDB_NOTFOUND) {
        return rc;
    }

    if (rc == MDB_NOTFOUND
        || phota_profile_decode(profile, &key, &value) != PHOTA_OK
        || profile->tenant != phota_get_be(owned->mv_data, 4))
    {
        if (batch->damaged++ == 0) {
            phota_error(&batch->damage, "the record of profile \"%.*s\" is "
                        "damaged", (int) key.mv_size, (char *) key.mv_data);
        }

        return 0;
    }

    batch->n++;

    return 0;
}


/* a damaged row of its own goes too */

int
phota_profiles_forget(phota_profiles_t *p, MDB_txn *txn, uint32_t tenant,
    phota_error_t *err)
{
    int          rc;
    u_char       owned[PHOTA_OWNED_MAX];
    size_t       len;
    MDB_val      key, value;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, p->owned, &cursor);

    if (rc != 0) {
        return phota_profile_fail(p, rc, err);
    }

    for ( ;; ) {
        phota_put_be(owned, tenant, 4);

        key.mv_data = owned;
        key.mv_size = 4;

        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

        if (rc != 0 || key.mv_size <= 4 || key.mv_size > PHOTA_OWNED_MAX
            || phota_get_be(key.mv_data, 4) != tenant)
        {
            break;
        }

        len = key.mv_size;
        memcpy(owned, key.mv_data, len);

        rc = mdb_cursor_del(cursor, 0);

        if (rc == 0) {
            rc = phota_profile_delete(txn, p->profiles, owned + 4, len - 4);
        }

        if (rc != 0) {
            break;
        }
    }

    mdb_cursor_close(cursor);

    return (rc == 0 || rc == MDB_NOTFOUND) ? PHOTA_OK
                                           : phota_profile_fail(p, rc, err);
}


/* an MDB code */

static int
phota_profile_delete(MDB_txn *txn, MDB_dbi table, void *name, size_t len)
{
    int      rc;
    MDB_val  key;

    key.mv_data = name;
    key.mv_size = len;

    rc = mdb_del(txn, table, &key, NULL);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


static int
phota_profile_fail(phota_profiles_t *p, int rc, phota_error_t *err)
{
    char  what[sizeof(p->store->path) + 64];

    (void) snprintf(what, sizeof(what), "%.120s, table \"profiles\"",
                    p->store->path);

    return phota_store_fail(err, what, rc);
}
