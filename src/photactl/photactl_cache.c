
/*
 * photactl cache: how much is cached.  A cache that isn't there yet is an empty
 * one: it may be deleted at any time while nginx is down.
 */


#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "photactl.h"


static int photactl_cache_read(photactl_t *ctl, uint64_t *results,
    uint64_t *bytes);


static const photactl_column_t  photactl_cache_columns[] = {
    { "results", "RESULTS", PHOTACTL_NUMBER },
    { "bytes", "BYTES", PHOTACTL_NUMBER },
    { "file_bytes", "FILE", PHOTACTL_NUMBER }
};


int
photactl_cache_stats(photactl_t *ctl)
{
    int           n, rc;
    char          path[1024];
    uint64_t      results, bytes, size;
    struct stat   st;

    n = snprintf(path, sizeof(path), "%s/cache/data.mdb", ctl->data);

    if (n < 0 || (size_t) n >= sizeof(path)) {
        phota_error(&ctl->err, "the path of the data directory is too long");
        return PHOTA_INVALID;
    }

    results = 0;
    bytes = 0;
    size = 0;

    if (stat(path, &st) == 0) {
        rc = photactl_cache_read(ctl, &results, &bytes);
        if (rc != PHOTA_OK) {
            return rc;
        }

        /* what it takes of the disk, not how far the sparse file reaches */

        size = (uint64_t) st.st_blocks * 512;

    } else if (errno != ENOENT) {
        phota_error(&ctl->err, "cache \"%.128s\": %s", path, strerror(errno));
        return PHOTA_ERROR;
    }

    photactl_value_t  values[] = {
        photactl_number(results),
        photactl_number(bytes),
        photactl_number(size)
    };

    return photactl_record(ctl, photactl_cache_columns,
                           sizeof(values) / sizeof(values[0]), values);
}


/* the size of the map is nginx's business: the file says what it is */

static int
photactl_cache_read(photactl_t *ctl, uint64_t *results, uint64_t *bytes)
{
    int            rc;
    phota_cache_t  cache;
    phota_store_t  store;

    rc = phota_store_open(&store, ctl->data, "cache", PHOTA_CACHE_SCHEMA, 0,
                          PHOTA_STORE_RDONLY, &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_cache_open(&cache, &store, 0, &ctl->err);

    if (rc == PHOTA_OK) {
        rc = phota_cache_stats(&cache, results, bytes, &ctl->err);
    }

    phota_store_close(&store);

    return rc;
}
