
/*
 * photactl cache: what is cached, whether it is sound, and writing it anew.  A
 * cache that isn't there yet is an empty one: it may be deleted at any time
 * while nginx is down.
 */


#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "photactl_books.h"
#include "photactl_cache.h"


typedef struct {
    photactl_t        *ctl;
    photactl_table_t   table;
} photactl_cache_list_t;


static int photactl_cache_lent(photactl_t *ctl, phota_cache_t *cache);
static int photactl_cache_own(photactl_t *ctl, phota_store_t *store,
    phota_cache_t *cache, unsigned flags);
static int photactl_cache_row(void *ctx, const phota_result_t *result);
static uint64_t photactl_cache_bytes(const phota_result_t *result);
static void photactl_cache_damage(void *ctx, const char *what);
static int photactl_cache_checked(photactl_t *ctl, int rc,
    const phota_cache_report_t *report);


static const photactl_column_t  photactl_cache_columns[] = {
    { "results", "RESULTS", PHOTACTL_NUMBER },
    { "pictures", "PICTURES", PHOTACTL_NUMBER },
    { "bytes", "BYTES", PHOTACTL_NUMBER },
    { "garbage", "GARBAGE", PHOTACTL_NUMBER },
    { "file_bytes", "FILE", PHOTACTL_NUMBER }
};


static const photactl_column_t  photactl_result_columns[] = {
    { "fingerprint", "FINGERPRINT", PHOTACTL_TEXT },
    { "charge_id", "CHARGE", PHOTACTL_TEXT },
    { "tenant", "TENANT", PHOTACTL_TEXT },
    { "operation", "OPERATION", PHOTACTL_TEXT },
    { "outputs", "OUTPUTS", PHOTACTL_NUMBER },
    { "bytes", "BYTES", PHOTACTL_NUMBER },
    { "stored", "STORED", PHOTACTL_TIME },
    { "expires", "EXPIRES", PHOTACTL_TIME },
    { "used", "USED", PHOTACTL_TIME },
    { "tag", "TAG", PHOTACTL_TEXT }
};


static const photactl_column_t  photactl_compact_columns[] = {
    { "before", NULL, PHOTACTL_NUMBER },
    { "after", NULL, PHOTACTL_NUMBER }
};


/* the size of the map is nginx's business: the file says what it is */

int
photactl_cache_open(photactl_t *ctl, phota_store_t *store,
    phota_cache_t *cache, unsigned flags, uint64_t *size)
{
    int          n;
    char         path[1024];
    struct stat  st;

    n = snprintf(path, sizeof(path), "%s/cache/data.mdb", ctl->data);

    if (n < 0 || (size_t) n >= sizeof(path)) {
        phota_error(&ctl->err, "the path of the data directory is too long");
        return PHOTA_INVALID;
    }

    if (stat(path, &st) == -1) {

        if (errno == ENOENT) {
            return PHOTA_DECLINED;
        }

        phota_error(&ctl->err, "cache \"%.128s\": %s", path, strerror(errno));
        return PHOTA_ERROR;
    }

    /* what it takes of the disk, not how far the sparse file reaches */

    *size = (uint64_t) st.st_blocks * 512;

    return ctl->lent ? photactl_cache_lent(ctl, cache)
                     : photactl_cache_own(ctl, store, cache, flags);
}


/* a copy: only a worker's writer keeps anything in it */

static int
photactl_cache_lent(photactl_t *ctl, phota_cache_t *cache)
{
    if (ctl->cache_store == NULL) {
        phota_error(&ctl->err, "the cache is closed, or being replaced");
        return PHOTA_ERROR;
    }

    *cache = ctl->cache;

    return PHOTA_OK;
}


static int
photactl_cache_own(photactl_t *ctl, phota_store_t *store,
    phota_cache_t *cache, unsigned flags)
{
    int  rc;

    rc = phota_store_open(store, ctl->data, "cache", PHOTA_CACHE_SCHEMA, 0,
                          flags, &ctl->err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    /* no limit: making room is nginx's business, too */

    rc = phota_cache_open(cache, store, UINT64_MAX, NULL, &ctl->err);

    if (rc != PHOTA_OK) {
        phota_store_close(store);

        /* a table that isn't there is no empty cache */

        rc = PHOTA_ERROR;
    }

    return rc;
}


void
photactl_cache_close(photactl_t *ctl, phota_store_t *store)
{
    if (!ctl->lent) {
        phota_store_close(store);
    }
}


int
photactl_cache_stats(photactl_t *ctl)
{
    int                    rc;
    uint64_t               size;
    phota_cache_t          cache;
    phota_store_t          store;
    phota_cache_totals_t   totals;

    size = 0;
    memset(&totals, 0, sizeof(totals));

    rc = photactl_cache_open(ctl, &store, &cache, PHOTA_STORE_RDONLY, &size);

    if (rc == PHOTA_OK) {
        rc = phota_cache_stats(&cache, &totals, &ctl->err);
        photactl_cache_close(ctl, &store);
    }

    if (rc != PHOTA_OK && rc != PHOTA_DECLINED) {
        return rc;
    }

    photactl_value_t  values[] = {
        photactl_number(totals.results),
        photactl_number(totals.pictures),
        photactl_number(totals.bytes),
        photactl_number(totals.garbage),
        photactl_number(size)
    };

    return photactl_record(ctl, photactl_cache_columns,
                           photactl_columns(photactl_cache_columns), values);
}


int
photactl_cache_list(photactl_t *ctl)
{
    int                    rc;
    uint32_t               tenant;
    uint64_t               size;
    phota_cache_t          cache;
    phota_store_t          store;
    photactl_cache_list_t  list;

    tenant = 0;

    rc = photactl_parse_whose(ctl, PHOTACTL_OPT_TENANT, &tenant);

    if (rc == PHOTA_OK) {
        rc = photactl_names_load(ctl);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    list.ctl = ctl;
    photactl_table_init(&list.table, ctl, photactl_result_columns,
                        photactl_columns(photactl_result_columns));

    rc = photactl_cache_open(ctl, &store, &cache, PHOTA_STORE_RDONLY, &size);

    if (rc == PHOTA_OK) {
        rc = phota_cache_each(&cache, tenant, photactl_cache_row, &list,
                              &ctl->err);
        photactl_cache_close(ctl, &store);

    } else if (rc == PHOTA_DECLINED) {
        rc = PHOTA_OK;
    }

    return photactl_table_close(&list.table, rc);
}


static int
photactl_cache_row(void *ctx, const phota_result_t *result)
{
    photactl_cache_list_t  *list = ctx;

    int   rc;
    char  fingerprint[2 * PHOTA_SHA256_LEN + 1];
    char  id[PHOTA_ID_TEXT], whose[PHOTACTL_WHOSE];

    rc = photactl_page(list->ctl, &result->key, sizeof(phota_cache_key_t));

    if (rc != PHOTA_OK) {
        return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
    }

    phota_hex_format(fingerprint, result->key.fingerprint, PHOTA_SHA256_LEN);
    phota_id_format(id, &result->id);

    photactl_value_t  values[] = {
        photactl_text(fingerprint),
        photactl_text(id),
        photactl_text(photactl_whose(list->ctl, result->tenant, whose)),
        photactl_text(phota_operation_name(result->operation)),
        photactl_number(result->outputs),
        photactl_number(photactl_cache_bytes(result)),
        photactl_time(result->stored),
        photactl_time(result->expires),
        photactl_time(result->used),
        photactl_text(result->tag)
    };

    return photactl_table_row(&list->table, values);
}


static uint64_t
photactl_cache_bytes(const phota_result_t *result)
{
    uint64_t  bytes;
    unsigned  i;

    bytes = 0;

    for (i = 0; i < result->npictures; i++) {
        bytes += result->pictures[i].length;
    }

    return bytes;
}


int
photactl_cache_check(photactl_t *ctl)
{
    int                   rc, mend;
    uint64_t              size;
    phota_cache_t         cache;
    phota_store_t         store;
    phota_cache_report_t  report;

    mend = (ctl->opts[PHOTACTL_OPT_MEND] != NULL);

    memset(&report, 0, sizeof(report));

    rc = photactl_cache_open(ctl, &store, &cache,
                             mend ? 0 : PHOTA_STORE_RDONLY, &size);

    if (rc == PHOTA_OK) {
        rc = phota_cache_check(&cache, mend, &report, photactl_cache_damage,
                               ctl, &ctl->err);
        photactl_cache_close(ctl, &store);

    } else if (rc == PHOTA_DECLINED) {
        rc = PHOTA_OK;
    }

    return photactl_cache_checked(ctl, rc, &report);
}


static void
photactl_cache_damage(void *ctx, const char *what)
{
    photactl_t  *ctl = ctx;

    if (ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
        (void) photactl_print(ctl, json_pack("{s:s}", "wrong", what));

    } else {
        (void) fprintf(ctl->out, "%s\n", what);
    }
}


static int
photactl_cache_checked(photactl_t *ctl, int rc,
    const phota_cache_report_t *report)
{
    int          shown;
    const char  *verdict;

    if (rc != PHOTA_OK && rc != PHOTA_INVALID) {
        return rc;
    }

    if (ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
        shown = photactl_print(ctl,
            json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
                      "ok", rc == PHOTA_OK,
                      "results", (json_int_t) report->results,
                      "pictures", (json_int_t) report->pictures,
                      "chunks", (json_int_t) report->chunks,
                      "bytes", (json_int_t) report->bytes,
                      "damaged", (json_int_t) report->damaged,
                      "removed", (json_int_t) report->removed,
                      "counters", (json_int_t) report->counters));

        return (rc == PHOTA_OK) ? shown : rc;
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    verdict = (report->damaged || report->removed || report->counters)
              ? "mended" : "ok";

    (void) fprintf(ctl->out, "%s: %llu results, %llu pictures of %llu bytes",
                   verdict, (unsigned long long) report->results,
                   (unsigned long long) report->pictures,
                   (unsigned long long) report->bytes);

    if (verdict[0] == 'm') {
        (void) fprintf(ctl->out, "; %llu damaged, %llu records removed, "
                       "%llu put right",
                       (unsigned long long) report->damaged,
                       (unsigned long long) report->removed,
                       (unsigned long long) report->counters);
    }

    (void) fprintf(ctl->out, "\n");

    return PHOTA_OK;
}


int
photactl_cache_compact(photactl_t *ctl)
{
    int            rc;
    uint64_t       before, after, size;
    phota_cache_t  cache;
    phota_store_t  store;

    before = 0;
    after = 0;

    rc = photactl_cache_open(ctl, &store, &cache, PHOTA_STORE_RDONLY, &size);

    if (rc == PHOTA_OK) {
        phota_store_close(&store);

        rc = phota_cache_compact(ctl->data, &before, &after, &ctl->err);
    }

    if (rc != PHOTA_OK && rc != PHOTA_DECLINED) {
        return rc;
    }

    photactl_value_t  values[] = {
        photactl_number(before),
        photactl_number(after)
    };

    return photactl_record(ctl, photactl_compact_columns,
                           photactl_columns(photactl_compact_columns),
                           values);
}
