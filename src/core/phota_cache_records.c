
/*
 * Checking the cache's records against each other: results, the pictures that
 * they hold, references, and the tables that lead to them.  It is one snapshot,
 * so that nothing is missing from it that nginx has just moved; when something
 * is wrong and is to be mended, all is looked at again with the writer's lock
 * and put right in the same transaction.  Pictures' bytes aren't read here.
 */


#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "phota_cache_check.h"
#include "phota_order.h"
#include "phota_record.h"


/* a picture with the number of results that hold it */

typedef struct {
    u_char                key[PHOTA_PICTURE_KEY];
    uint32_t              refs;
} phota_holder_t;


static int phota_records_run(phota_check_t *k, int write);
static int phota_records_pass(phota_records_t *r);
static int phota_records_results(phota_records_t *r);
static int phota_records_result(phota_records_t *r, const MDB_val *name,
    const MDB_val *value);
static int phota_records_broken(phota_records_t *r,
    const phota_result_t *result);
static int phota_records_hold(phota_records_t *r,
    const phota_result_t *result);
static int phota_records_listed(phota_records_t *r,
    const phota_result_t *result);
static int phota_records_entry(phota_records_t *r, MDB_dbi dbi,
    const phota_moment_t *moment, const phota_cache_key_t *key);
static int phota_records_retire(phota_records_t *r);
static int phota_records_list(phota_records_t *r);
static void phota_records_sum(phota_records_t *r);
static int phota_records_pictures(phota_records_t *r);
static int phota_records_picture(phota_records_t *r, const MDB_val *name,
    const MDB_val *value);
static uint32_t phota_records_refs(const phota_records_t *r,
    const u_char key[PHOTA_PICTURE_KEY]);
static int phota_records_collected(phota_records_t *r, uint32_t scope,
    const phota_kept_t *kept);
static int phota_records_count(phota_records_t *r);
static int phota_records_totals(phota_records_t *r);
static int phota_holder_cmp(const void *one, const void *two);
static int phota_list_add(phota_list_t *list, const void *item);


int
phota_check_records(phota_check_t *k)
{
    int  rc;

    k->wrong = 0;
    k->silent = k->mend;

    rc = phota_records_run(k, 0);

    if (rc == PHOTA_OK && k->mend && k->wrong != 0) {
        k->wrong = 0;
        k->silent = 0;

        rc = phota_records_run(k, 1);
    }

    return rc;
}


static int
phota_records_run(phota_check_t *k, int write)
{
    int                   rc;
    phota_records_t       r;
    phota_cache_report_t  before;

    memset(&r, 0, sizeof(phota_records_t));

    r.check = k;
    r.write = (write != 0);
    r.holders.size = sizeof(phota_holder_t);
    r.bad.size = sizeof(phota_cache_key_t);
    r.lost.size = sizeof(phota_cache_key_t);
    r.refs.size = sizeof(phota_holder_t);

    before = *k->report;

    if (phota_store_begin(k->cache->store, write, &r.txn, k->err) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    rc = phota_records_pass(&r);

    free(r.holders.items);
    free(r.bad.items);
    free(r.lost.items);
    free(r.refs.items);

    if (rc != 0 || !write) {
        phota_store_abort(r.txn);

        if (k->silent) {

            /* all of it will be said, and counted, when it is mended */

            before.results = k->report->results;
            *k->report = before;
        }

        return (rc == 0) ? PHOTA_OK : phota_check_fail(k, rc);
    }

    k->report->removed += r.removed;

    return phota_store_commit(r.txn, k->err);
}


/* an MDB code, as of all that follow */

static int
phota_records_pass(phota_records_t *r)
{
    int  rc;

    rc = phota_records_results(r);

    if (rc == 0 && r->write) {
        rc = phota_records_retire(r);
    }

    if (rc == 0) {
        phota_records_sum(r);
        rc = phota_records_pictures(r);
    }

    if (rc == 0 && r->write) {
        rc = phota_records_list(r);
    }

    if (rc == 0 && r->write) {
        rc = phota_records_count(r);
    }

    if (rc == 0) {
        rc = phota_records_indexes(r);
    }

    return (rc == 0) ? phota_records_totals(r) : rc;
}


static int
phota_records_results(phota_records_t *r)
{
    int          rc;
    MDB_val      key, value;
    MDB_cursor  *cursor;

    r->check->report->results = 0;

    rc = mdb_cursor_open(r->txn, r->check->cache->results, &cursor);

    if (rc != 0) {
        return rc;
    }

    for ( ;; ) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);

        if (rc != 0) {
            break;
        }

        if (key.mv_size == sizeof(phota_cache_key_t)) {
            r->check->report->results++;
            rc = phota_records_result(r, &key, &value);

        } else {
            phota_check_say(r->check, "a result has a key that is none");

            if (r->write) {
                r->removed++;
                rc = mdb_cursor_del(cursor, 0);
            }
        }

        if (rc != 0) {
            break;
        }
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


static int
phota_records_result(phota_records_t *r, const MDB_val *name,
    const MDB_val *value)
{
    int                rc;
    char               text[PHOTA_CHECK_NAME];
    phota_result_t     result;
    phota_cache_key_t  key;

    memcpy(&key, name->mv_data, sizeof(phota_cache_key_t));

    rc = phota_result_decode(&result, &key, value);

    if (rc == 0) {
        rc = phota_records_broken(r, &result);
    }

    if (rc == MDB_CORRUPTED) {
        phota_check_result_name(text, &key);
        phota_check_say(r->check, "%s is damaged, or a picture of it is gone",
                        text);
        r->check->report->damaged++;

        return phota_list_add(&r->bad, &key);
    }

    if (rc == 0) {
        rc = phota_records_hold(r, &result);
    }

    return (rc == 0) ? phota_records_listed(r, &result) : rc;
}


/* MDB_CORRUPTED when a picture isn't there, or is another than it says */

static int
phota_records_broken(phota_records_t *r, const phota_result_t *result)
{
    int           rc;
    unsigned      i;
    phota_kept_t  kept;

    for (i = 0; i < result->npictures; i++) {
        rc = phota_kept_read(r->check->cache, r->txn, result->scope,
                             result->pictures[i].digest, &kept);

        if (rc == MDB_NOTFOUND
            || (rc == 0
                && kept.picture.length != result->pictures[i].length))
        {
            return MDB_CORRUPTED;
        }

        if (rc != 0) {
            return rc;
        }
    }

    return 0;
}


static int
phota_records_hold(phota_records_t *r, const phota_result_t *result)
{
    int             rc;
    unsigned        i;
    phota_holder_t  holder;

    holder.refs = 1;

    for (i = 0; i < result->npictures; i++) {

        if (phota_result_repeats(result, i)) {
            continue;
        }

        phota_picture_key(holder.key, result->scope,
                          result->pictures[i].digest);

        rc = phota_list_add(&r->holders, &holder);

        if (rc != 0) {
            return rc;
        }
    }

    return 0;
}


/* the tables from which it is found when its time has come */

static int
phota_records_listed(phota_records_t *r, const phota_result_t *result)
{
    int              rc;
    char             text[PHOTA_CHECK_NAME];
    phota_cache_t   *c;
    phota_moment_t   moment;

    c = r->check->cache;

    moment.id = result->id;
    moment.time = result->used;

    rc = phota_records_entry(r, c->order, &moment, &result->key);

    if (rc == 0) {
        moment.time = phota_result_until(result);

        rc = phota_records_entry(r, c->expiry, &moment, &result->key);
    }

    if (rc != MDB_NOTFOUND) {
        return rc;
    }

    phota_check_result_name(text, &result->key);
    phota_check_say(r->check, "%s isn't in the tables of last use and expiry",
                    text);
    r->check->report->counters++;

    return phota_list_add(&r->lost, &result->key);
}


static int
phota_records_entry(phota_records_t *r, MDB_dbi dbi,
    const phota_moment_t *moment, const phota_cache_key_t *key)
{
    int      rc;
    u_char   buf[PHOTA_MOMENT_LEN];
    MDB_val  name, value;

    phota_moment_encode(buf, moment);

    name.mv_data = buf;
    name.mv_size = sizeof(buf);

    rc = mdb_get(r->txn, dbi, &name, &value);

    if (rc != 0) {
        return rc;
    }

    return (value.mv_size == sizeof(phota_cache_key_t)
            && memcmp(value.mv_data, key, sizeof(phota_cache_key_t)) == 0)
           ? 0 : MDB_NOTFOUND;
}


/* not while a cursor stands among them */

static int
phota_records_retire(phota_records_t *r)
{
    int                    rc;
    size_t                 i;
    phota_cache_t         *c;
    phota_cache_key_t      key;
    phota_cache_totals_t   totals;

    c = r->check->cache;

    rc = phota_totals_read(c, r->txn, &totals);

    for (i = 0; rc == 0 && i < r->bad.n; i++) {
        memcpy(&key, r->bad.items + i * r->bad.size, sizeof(key));

        rc = phota_cache_retire(c, r->txn, &totals, &key, r->check->now);
        r->removed++;
    }

    return rc;
}


static int
phota_records_list(phota_records_t *r)
{
    int                rc;
    size_t             i;
    phota_cache_t     *c;
    phota_result_t     result;
    phota_cache_key_t  key;

    rc = 0;
    c = r->check->cache;

    for (i = 0; rc == 0 && i < r->lost.n; i++) {
        memcpy(&key, r->lost.items + i * r->lost.size, sizeof(key));

        rc = phota_result_read(c, r->txn, &key, &result);

        if (rc == 0) {
            rc = phota_cache_list(c, r->txn, &result);
        }
    }

    return rc;
}


/* one holder for each picture, in the order of their keys */

static void
phota_records_sum(phota_records_t *r)
{
    size_t          i, n;
    phota_holder_t *holders;

    holders = (phota_holder_t *) (void *) r->holders.items;

    if (r->holders.n == 0) {
        return;
    }

    qsort(holders, r->holders.n, sizeof(phota_holder_t), phota_holder_cmp);

    n = 0;

    for (i = 1; i < r->holders.n; i++) {

        if (phota_holder_cmp(&holders[n], &holders[i]) == 0) {
            holders[n].refs++;

        } else {
            holders[++n] = holders[i];
        }
    }

    r->holders.n = n + 1;
}


static int
phota_records_pictures(phota_records_t *r)
{
    int          rc;
    MDB_val      key, value;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(r->txn, r->check->cache->pictures, &cursor);

    if (rc != 0) {
        return rc;
    }

    do {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);

        /* those that are damaged were found when their bytes were read */

        if (rc == 0 && key.mv_size == PHOTA_PICTURE_KEY) {
            rc = phota_records_picture(r, &key, &value);
        }

    } while (rc == 0);

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? 0 : rc;
}


static int
phota_records_picture(phota_records_t *r, const MDB_val *name,
    const MDB_val *value)
{
    int             rc;
    char            text[PHOTA_CHECK_NAME];
    uint32_t        scope;
    phota_kept_t    kept;
    phota_holder_t  holder;

    memcpy(holder.key, name->mv_data, PHOTA_PICTURE_KEY);

    scope = (uint32_t) phota_get_be(holder.key, 4);

    if (phota_kept_decode(&kept, scope, holder.key + 4, value) != 0) {
        return 0;
    }

    holder.refs = phota_records_refs(r, holder.key);

    if (kept.refs == holder.refs) {

        if (kept.refs != 0) {
            return 0;
        }

        rc = phota_records_collected(r, scope, &kept);

        if (rc != MDB_NOTFOUND) {
            return rc;
        }
    }

    phota_check_picture_name(text, scope, kept.picture.digest);

    if (kept.refs == holder.refs) {
        phota_check_say(r->check, "%s is held by nobody and would never be "
                        "deleted", text);
    } else {
        phota_check_say(r->check, "%s: %u results hold it, counted are %llu",
                        text, (unsigned) holder.refs,
                        (unsigned long long) kept.refs);
    }

    r->check->report->counters++;

    return phota_list_add(&r->refs, &holder);
}


static uint32_t
phota_records_refs(const phota_records_t *r,
    const u_char key[PHOTA_PICTURE_KEY])
{
    phota_holder_t         want;
    const phota_holder_t  *found;

    if (r->holders.n == 0) {
        return 0;
    }

    memcpy(want.key, key, PHOTA_PICTURE_KEY);

    found = bsearch(&want, r->holders.items, r->holders.n,
                    sizeof(phota_holder_t), phota_holder_cmp);

    return (found != NULL) ? found->refs : 0;
}


/* 0 when a picture that nobody holds will be deleted */

static int
phota_records_collected(phota_records_t *r, uint32_t scope,
    const phota_kept_t *kept)
{
    u_char   name[PHOTA_GARBAGE_KEY];
    MDB_val  key, value;

    phota_garbage_key(name, kept->due, scope, kept->picture.digest);

    key.mv_data = name;
    key.mv_size = sizeof(name);

    return mdb_get(r->txn, r->check->cache->garbage, &key, &value);
}


/* its old garbage entry, if there is one, is a stray then */

static int
phota_records_count(phota_records_t *r)
{
    int             rc;
    size_t          i;
    u_char          name[PHOTA_GARBAGE_KEY], bytes[8];
    MDB_val         key, value;
    uint32_t        scope;
    phota_kept_t    kept;
    phota_cache_t  *c;
    phota_holder_t  holder;

    rc = 0;
    c = r->check->cache;

    for (i = 0; rc == 0 && i < r->refs.n; i++) {
        memcpy(&holder, r->refs.items + i * r->refs.size, sizeof(holder));

        scope = (uint32_t) phota_get_be(holder.key, 4);

        rc = phota_kept_read(c, r->txn, scope, holder.key + 4, &kept);

        if (rc != 0) {
            break;
        }

        kept.refs = holder.refs;
        kept.due = holder.refs ? 0 : r->check->now;

        rc = phota_kept_write(c, r->txn, scope, &kept);

        if (rc == 0 && holder.refs == 0) {
            phota_garbage_key(name, kept.due, scope, kept.picture.digest);
            phota_put_le(bytes, phota_picture_size(kept.picture.length), 8);

            key.mv_data = name;
            key.mv_size = sizeof(name);
            value.mv_data = bytes;
            value.mv_size = sizeof(bytes);

            rc = mdb_put(r->txn, c->garbage, &key, &value, 0);
        }
    }

    return rc;
}


/* counted last, when all else is right */

static int
phota_records_totals(phota_records_t *r)
{
    int                    rc;
    phota_cache_t         *c;
    phota_cache_totals_t   stored, counted;

    c = r->check->cache;

    rc = phota_totals_read(c, r->txn, &stored);

    if (rc == 0) {
        rc = phota_totals_count(c, r->txn, &counted);
    }

    if (rc != 0) {
        return rc;
    }

    if (memcmp(&stored, &counted, sizeof(phota_cache_totals_t)) == 0) {
        return 0;
    }

    /* what was put right before has changed them, and is no second fault */

    if (!r->write || r->check->wrong == 0) {
        phota_check_say(r->check, "the totals are wrong: %llu results, %llu "
                        "bytes, counted are %llu, %llu",
                        (unsigned long long) stored.results,
                        (unsigned long long) stored.bytes,
                        (unsigned long long) counted.results,
                        (unsigned long long) counted.bytes);
        r->check->report->counters++;
    }

    return r->write ? phota_totals_write(c, r->txn, &counted) : 0;
}


static int
phota_holder_cmp(const void *one, const void *two)
{
    const phota_holder_t  *a, *b;

    a = one;
    b = two;

    return memcmp(a->key, b->key, PHOTA_PICTURE_KEY);
}


/* 0, or what LMDB says when there is no memory */

static int
phota_list_add(phota_list_t *list, const void *item)
{
    size_t   room;
    u_char  *items;

    if (list->n == list->room) {
        room = list->room ? 2 * list->room : 256;

        items = realloc(list->items, room * list->size);

        if (items == NULL) {
            return ENOMEM;
        }

        list->items = items;
        list->room = room;
    }

    memcpy(list->items + list->n * list->size, item, list->size);
    list->n++;

    return 0;
}
