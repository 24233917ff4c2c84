
/*
 * Jobs in the books: a row for each, what the upstream said of it last, and
 * three indexes, whose keys all end in the id of its charge.  An index is
 * changed by the row that is there, so none ever points to what has gone.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "phota_jobs_record.h"
#include "phota_order.h"


#define PHOTA_JOBS_BATCH  16


typedef struct {
    phota_id_t       next;              /* the batch begins here */
    uint32_t         tenant;            /* 0: of everybody */
    unsigned         more;
    unsigned         n;
    unsigned         damaged;
    phota_error_t    damage;            /* the first */
    phota_job_t      jobs[PHOTA_JOBS_BATCH];
} phota_job_batch_t;


static int phota_job_read_row(phota_jobs_t *j, MDB_txn *txn,
    const phota_id_t *charge, phota_job_t *job);
static int phota_job_write_row(phota_jobs_t *j, MDB_txn *txn,
    const phota_job_t *job);
static int phota_job_write_text(phota_jobs_t *j, MDB_txn *txn,
    const phota_id_t *charge, const u_char *text, size_t len);
static int phota_job_index(phota_jobs_t *j, MDB_txn *txn,
    const phota_job_keys_t *old, const phota_job_keys_t *new);
static int phota_job_move(MDB_txn *txn, MDB_dbi index, const u_char *old,
    const u_char *new, size_t len);
static int phota_job_first(MDB_txn *txn, MDB_dbi index, const u_char *prefix,
    size_t len, phota_id_t *charge);
static int phota_job_take(phota_jobs_t *j, MDB_txn *txn,
    const phota_id_t *charge);
static int phota_job_sweep(MDB_txn *txn, MDB_dbi index,
    const phota_id_t *charge);
static int phota_job_delete(MDB_txn *txn, MDB_dbi table, const void *name,
    size_t len);
static int phota_job_batch(phota_jobs_t *j, phota_job_batch_t *batch,
    phota_error_t *err);
static int phota_job_batch_fill(MDB_cursor *cursor,
    phota_job_batch_t *batch);
static void phota_job_batch_add(phota_job_batch_t *batch,
    const MDB_val *value);
static int phota_job_fail(phota_jobs_t *j, const phota_id_t *charge, int rc,
    phota_error_t *err);


int
phota_jobs_open(phota_jobs_t *j, phota_store_t *store, phota_error_t *err)
{
    int     rc;
    size_t  i;

    const struct {
        const char  *name;
        MDB_dbi     *dbi;
    } tables[] = {
        { "jobs", &j->jobs },
        { "jobs_texts", &j->texts },
        { "jobs_names", &j->names },
        { "jobs_due", &j->due },
        { "jobs_open", &j->open }
    };

    j->store = store;

    for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {

        rc = phota_store_table(store, tables[i].name, tables[i].dbi, err);

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return PHOTA_OK;
}


int
phota_job_put(phota_jobs_t *j, MDB_txn *txn, const phota_job_t *job,
    const u_char *text, size_t len, phota_error_t *err)
{
    int               rc, there;
    phota_job_t       row;
    phota_job_keys_t  old, new;

    if (phota_job_check(job, err) != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    rc = phota_job_read_row(j, txn, &job->charge, &row);
    there = (rc == 0);

    if (rc == MDB_NOTFOUND) {
        rc = 0;
    }

    if (rc == 0
        && ((there && phota_job_keys(&old, &row) != PHOTA_OK)
            || phota_job_keys(&new, job) != PHOTA_OK))
    {
        phota_error(err, "a job's id can't be hashed");
        return PHOTA_ERROR;
    }

    if (rc == 0) {
        rc = phota_job_index(j, txn, there ? &old : NULL, &new);
    }

    if (rc == 0) {
        rc = phota_job_write_row(j, txn, job);
    }

    if (rc == 0 && text != NULL) {
        rc = phota_job_write_text(j, txn, &job->charge, text, len);
    }

    return (rc == 0) ? PHOTA_OK : phota_job_fail(j, &job->charge, rc, err);
}


/* an MDB code, as all that follow unless they take err */

static int
phota_job_read_row(phota_jobs_t *j, MDB_txn *txn, const phota_id_t *charge,
    phota_job_t *job)
{
    int      rc;
    MDB_val  key, value;

    key.mv_data = (void *) charge->b;
    key.mv_size = sizeof(phota_id_t);

    rc = mdb_get(txn, j->jobs, &key, &value);

    if (rc == 0
        && phota_job_decode(job, charge, value.mv_data, value.mv_size)
           != PHOTA_OK)
    {
        return MDB_CORRUPTED;
    }

    return rc;
}


static int
phota_job_write_row(phota_jobs_t *j, MDB_txn *txn, const phota_job_t *job)
{
    size_t   len;
    u_char   buf[PHOTA_JOB_RECORD];
    MDB_val  key, value;

    len = sizeof(buf);

    if (phota_job_encode(job, buf, &len) != PHOTA_OK) {
        return MDB_BAD_VALSIZE;
    }

    key.mv_data = (void *) job->charge.b;
    key.mv_size = sizeof(phota_id_t);
    value.mv_data = buf;
    value.mv_size = len;

    return mdb_put(txn, j->jobs, &key, &value, 0);
}


static int
phota_job_write_text(phota_jobs_t *j, MDB_txn *txn, const phota_id_t *charge,
    const u_char *text, size_t len)
{
    MDB_val  key, value;

    if (len == 0 || len > PHOTA_JOB_TEXT_MAX) {
        return phota_job_delete(txn, j->texts, charge->b, sizeof(phota_id_t));
    }

    key.mv_data = (void *) charge->b;
    key.mv_size = sizeof(phota_id_t);
    value.mv_data = (void *) text;
    value.mv_size = len;

    return mdb_put(txn, j->texts, &key, &value, 0);
}


/* old NULL: there was none; new NULL: it goes */

static int
phota_job_index(phota_jobs_t *j, MDB_txn *txn, const phota_job_keys_t *old,
    const phota_job_keys_t *new)
{
    int  rc;

    rc = phota_job_move(txn, j->names, old ? old->name : NULL,
                        new ? new->name : NULL, PHOTA_JOB_NAME_KEY);

    if (rc == 0) {
        rc = phota_job_move(txn, j->due, old ? old->due : NULL,
                            new ? new->due : NULL, PHOTA_JOB_DUE_KEY);
    }

    if (rc == 0) {
        rc = phota_job_move(txn, j->open,
                            (old && old->is_open) ? old->open : NULL,
                            (new && new->is_open) ? new->open : NULL,
                            PHOTA_JOB_OPEN_KEY);
    }

    return rc;
}


static int
phota_job_move(MDB_txn *txn, MDB_dbi index, const u_char *old,
    const u_char *new, size_t len)
{
    int      rc;
    MDB_val  key, value;

    if (old != NULL && new != NULL && memcmp(old, new, len) == 0) {
        return 0;
    }

    rc = (old != NULL) ? phota_job_delete(txn, index, old, len) : 0;

    if (rc != 0 || new == NULL) {
        return rc;
    }

    key.mv_data = (void *) new;
    key.mv_size = len;
    value.mv_data = NULL;
    value.mv_size = 0;

    return mdb_put(txn, index, &key, &value, 0);
}


int
phota_job_get(phota_jobs_t *j, MDB_txn *txn, const phota_id_t *charge,
    phota_job_t *job, phota_error_t *err)
{
    int  rc;

    rc = phota_job_read_row(j, txn, charge, job);

    if (rc == MDB_NOTFOUND) {
        return PHOTA_DECLINED;
    }

    return (rc == 0) ? PHOTA_OK : phota_job_fail(j, charge, rc, err);
}


int
phota_job_named(phota_jobs_t *j, MDB_txn *txn, uint32_t tenant,
    unsigned provider, const char *upstream, phota_id_t *charge)
{
    u_char  key[PHOTA_JOB_NAME_KEY];

    if (upstream[0] == '\0'
        || strnlen(upstream, PHOTA_JOB_ID_MAX + 1) > PHOTA_JOB_ID_MAX)
    {
        return PHOTA_DECLINED;
    }

    if (phota_job_name_key(key, tenant, PHOTA_JOB_IMAGES, provider, upstream)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    return phota_job_first(txn, j->names, key,
                           sizeof(key) - sizeof(phota_id_t), charge);
}


int
phota_job_alike(phota_jobs_t *j, MDB_txn *txn, uint32_t tenant,
    const u_char fingerprint[PHOTA_SHA256_LEN], uint32_t asked,
    phota_id_t *charge)
{
    u_char  key[PHOTA_JOB_OPEN_KEY];

    phota_job_open_key(key, tenant, fingerprint, asked);

    return phota_job_first(txn, j->open, key,
                           sizeof(key) - sizeof(phota_id_t), charge);
}


/* the first charge, which is the earliest, behind a prefix; a code of ours */

static int
phota_job_first(MDB_txn *txn, MDB_dbi index, const u_char *prefix, size_t len,
    phota_id_t *charge)
{
    int          rc;
    MDB_val      key, value;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, index, &cursor);

    if (rc != 0) {
        return PHOTA_ERROR;
    }

    key.mv_data = (void *) prefix;
    key.mv_size = len;

    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

    if (rc == 0
        && (key.mv_size != len + sizeof(phota_id_t)
            || memcmp(key.mv_data, prefix, len) != 0))
    {
        rc = MDB_NOTFOUND;
    }

    if (rc == 0) {
        memcpy(charge->b, (u_char *) key.mv_data + len, sizeof(phota_id_t));
    }

    mdb_cursor_close(cursor);

    return (rc == 0) ? PHOTA_OK
           : (rc == MDB_NOTFOUND) ? PHOTA_DECLINED : PHOTA_ERROR;
}


int
phota_jobs_waiting(phota_jobs_t *j, MDB_txn *txn, uint32_t tenant,
    unsigned *n)
{
    int          rc;
    size_t       len;
    u_char       prefix[PHOTA_JOB_OPEN_KEY];
    MDB_val      key, value;
    unsigned     most;
    MDB_cursor  *cursor;

    most = *n;
    *n = 0;

    if (mdb_cursor_open(txn, j->open, &cursor) != 0) {
        return PHOTA_ERROR;
    }

    phota_job_waiting_key(prefix, tenant);

    len = sizeof(prefix) - sizeof(phota_id_t);
    key.mv_data = prefix;
    key.mv_size = len;

    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

    while (rc == 0 && *n < most && key.mv_size == sizeof(prefix)
           && memcmp(key.mv_data, prefix, len) == 0)
    {
        (*n)++;

        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }

    mdb_cursor_close(cursor);

    return (rc == 0 || rc == MDB_NOTFOUND) ? PHOTA_OK : PHOTA_ERROR;
}


int
phota_job_text(phota_jobs_t *j, MDB_txn *txn, const phota_id_t *charge,
    const u_char **text, size_t *len)
{
    int      rc;
    MDB_val  key, value;

    key.mv_data = (void *) charge->b;
    key.mv_size = sizeof(phota_id_t);

    rc = mdb_get(txn, j->texts, &key, &value);

    if (rc != 0) {
        return (rc == MDB_NOTFOUND) ? PHOTA_DECLINED : PHOTA_ERROR;
    }

    *text = value.mv_data;
    *len = value.mv_size;

    return PHOTA_OK;
}


int
phota_jobs_due(phota_jobs_t *j, MDB_txn *txn, uint64_t now,
    phota_id_t *charges, unsigned *n)
{
    int          rc;
    MDB_val      key, value;
    unsigned     room;
    MDB_cursor  *cursor;

    room = *n;
    *n = 0;

    if (mdb_cursor_open(txn, j->due, &cursor) != 0) {
        return PHOTA_ERROR;
    }

    rc = 0;

    while (*n < room) {

        rc = mdb_cursor_get(cursor, &key, &value, *n ? MDB_NEXT : MDB_FIRST);

        if (rc == 0 && key.mv_size != PHOTA_JOB_DUE_KEY) {
            rc = MDB_CORRUPTED;
        }

        if (rc != 0 || phota_get_be(key.mv_data, 8) > now) {
            break;
        }

        memcpy(charges[(*n)++].b, (u_char *) key.mv_data + 8,
               sizeof(phota_id_t));
    }

    mdb_cursor_close(cursor);

    return (rc == 0 || rc == MDB_NOTFOUND) ? PHOTA_OK : PHOTA_ERROR;
}


int
phota_job_hurry(phota_jobs_t *j, MDB_txn *txn, const phota_id_t *charge,
    uint64_t now, phota_error_t *err)
{
    int          rc;
    phota_job_t  job;

    rc = phota_job_get(j, txn, charge, &job, err);

    if (rc != PHOTA_OK || job.due <= now) {
        return rc;
    }

    job.due = now;

    return phota_job_put(j, txn, &job, NULL, 0, err);
}


int
phota_job_remove(phota_jobs_t *j, MDB_txn *txn, const phota_id_t *charge,
    phota_error_t *err)
{
    int  rc;

    rc = phota_job_take(j, txn, charge);

    if (rc == MDB_NOTFOUND) {
        return PHOTA_DECLINED;
    }

    return (rc == 0) ? PHOTA_OK : phota_job_fail(j, charge, rc, err);
}


/* what can't be read doesn't say where it is listed: it is looked for */

static int
phota_job_take(phota_jobs_t *j, MDB_txn *txn, const phota_id_t *charge)
{
    int               rc;
    phota_job_t       job;
    phota_job_keys_t  keys;

    rc = phota_job_read_row(j, txn, charge, &job);

    if (rc == 0 && phota_job_keys(&keys, &job) == PHOTA_OK) {
        rc = phota_job_index(j, txn, &keys, NULL);

    } else if (rc == 0 || rc == MDB_CORRUPTED) {

        rc = phota_job_sweep(txn, j->names, charge);

        if (rc == 0) {
            rc = phota_job_sweep(txn, j->due, charge);
        }

        if (rc == 0) {
            rc = phota_job_sweep(txn, j->open, charge);
        }
    }

    if (rc == 0) {
        rc = phota_job_delete(txn, j->texts, charge->b, sizeof(phota_id_t));
    }

    if (rc == 0) {
        rc = phota_job_delete(txn, j->jobs, charge->b, sizeof(phota_id_t));
    }

    return rc;
}


static int
phota_job_sweep(MDB_txn *txn, MDB_dbi index, const phota_id_t *charge)
{
    int          rc;
    size_t       i;
    MDB_val      key, value;
    MDB_cursor  *cursor;

    i = sizeof(phota_id_t);

    rc = mdb_cursor_open(txn, index, &cursor);

    if (rc != 0) {
        return rc;
    }

    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {

        if (key.mv_size < i
            || memcmp((u_char *) key.mv_data + key.mv_size - i, charge->b, i)
               != 0)
        {
            continue;
        }

        rc = mdb_cursor_del(cursor, 0);

        if (rc != 0) {
            break;
        }
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


static int
phota_job_delete(MDB_txn *txn, MDB_dbi table, const void *name, size_t len)
{
    int      rc;
    MDB_val  key;

    key.mv_data = (void *) name;
    key.mv_size = len;

    rc = mdb_del(txn, table, &key, NULL);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


int
phota_jobs_each(phota_jobs_t *j, uint32_t tenant, phota_job_pt handler,
    void *ctx, phota_error_t *err)
{
    int                 rc;
    unsigned            i;
    phota_job_batch_t  *batch;

    batch = calloc(1, sizeof(phota_job_batch_t));

    if (batch == NULL) {
        phota_error(err, "no memory");
        return PHOTA_ERROR;
    }

    batch->tenant = tenant;

    do {
        rc = phota_job_batch(j, batch, err);

        for (i = 0; rc == PHOTA_OK && i < batch->n; i++) {
            rc = handler(ctx, &batch->jobs[i]);
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
phota_job_batch(phota_jobs_t *j, phota_job_batch_t *batch, phota_error_t *err)
{
    int          rc;
    MDB_txn     *txn;
    MDB_cursor  *cursor;

    if (phota_store_begin(j->store, 0, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = mdb_cursor_open(txn, j->jobs, &cursor);

    if (rc == 0) {
        rc = phota_job_batch_fill(cursor, batch);
        mdb_cursor_close(cursor);
    }

    phota_store_abort(txn);

    return (rc == 0) ? PHOTA_OK : phota_job_fail(j, NULL, rc, err);
}


static int
phota_job_batch_fill(MDB_cursor *cursor, phota_job_batch_t *batch)
{
    int      rc;
    MDB_val  key, value;

    batch->n = 0;
    batch->more = 0;

    key.mv_data = batch->next.b;
    key.mv_size = sizeof(phota_id_t);

    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

    while (rc == 0) {

        if (key.mv_size != sizeof(phota_id_t)) {
            return MDB_CORRUPTED;
        }

        memcpy(batch->next.b, key.mv_data, sizeof(phota_id_t));

        if (batch->n == PHOTA_JOBS_BATCH) {
            batch->more = 1;
            return 0;
        }

        phota_job_batch_add(batch, &value);

        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


static void
phota_job_batch_add(phota_job_batch_t *batch, const MDB_val *value)
{
    char          id[PHOTA_ID_TEXT];
    phota_job_t  *job;

    job = &batch->jobs[batch->n];

    if (phota_job_decode(job, &batch->next, value->mv_data, value->mv_size)
        == PHOTA_OK)
    {
        batch->n += (batch->tenant == 0 || job->tenant == batch->tenant);
        return;
    }

    if (batch->damaged++ == 0) {
        phota_id_format(id, &batch->next);
        phota_error(&batch->damage, "the record of job %s is damaged", id);
    }
}


/* by their names, which also those have that can't be read */

int
phota_jobs_forget(phota_jobs_t *j, MDB_txn *txn, uint32_t tenant,
    phota_error_t *err)
{
    int          rc;
    u_char       name[PHOTA_JOB_NAME_KEY];
    MDB_val      key, value;
    phota_id_t   charge;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, j->names, &cursor);

    if (rc != 0) {
        return phota_job_fail(j, NULL, rc, err);
    }

    for ( ;; ) {
        phota_put_be(name, tenant, 4);

        key.mv_data = name;
        key.mv_size = 4;

        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

        if (rc == 0 && key.mv_size != PHOTA_JOB_NAME_KEY) {
            rc = MDB_CORRUPTED;
        }

        if (rc != 0 || phota_get_be(key.mv_data, 4) != tenant) {
            break;
        }

        memcpy(name, key.mv_data, sizeof(name));
        memcpy(charge.b, name + sizeof(name) - sizeof(phota_id_t),
               sizeof(phota_id_t));

        /* the name itself first: a row may have gone or have another */

        rc = phota_job_delete(txn, j->names, name, sizeof(name));

        if (rc == 0) {
            rc = phota_job_take(j, txn, &charge);
        }

        if (rc != 0 && rc != MDB_NOTFOUND) {
            break;
        }
    }

    mdb_cursor_close(cursor);

    return (rc == 0 || rc == MDB_NOTFOUND) ? PHOTA_OK
                                           : phota_job_fail(j, NULL, rc, err);
}


const char *
phota_job_state_name(unsigned state)
{
    static const char  *names[] = { "open", "done", "failed", "lost" };

    return (state <= PHOTA_JOB_LOST) ? names[state] : "?";
}


const char *
phota_delivery_name(unsigned delivery)
{
    static const char  *names[] = { "none", "waiting", "done", "given_up" };

    return (delivery <= PHOTA_DELIVERY_GIVEN_UP) ? names[delivery] : "?";
}


/* charge NULL: of no one in particular */

static int
phota_job_fail(phota_jobs_t *j, const phota_id_t *charge, int rc,
    phota_error_t *err)
{
    char  id[PHOTA_ID_TEXT];
    char  what[sizeof(j->store->path) + 64];

    id[0] = '\0';

    if (charge != NULL) {
        phota_id_format(id, charge);
    }

    (void) snprintf(what, sizeof(what), "%.120s, table \"jobs\"%s%s",
                    j->store->path, (charge != NULL) ? ", job " : "", id);

    return phota_store_fail(err, what, rc);
}
