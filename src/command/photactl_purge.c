
/*
 * photactl cache purge: which results go, and their bytes with them as soon as
 * nobody can be sending them.
 */


#include <string.h>

#include "photactl_cache.h"
#include "phota_unpack.h"


#define PHOTACTL_PURGE_GRACE  60000     /* ms, more than garbage waits */


static int photactl_purge_parse(photactl_t *ctl, phota_purge_t *purge,
    u_char fingerprint[PHOTA_SHA256_LEN]);
static int photactl_purge_all(photactl_t *ctl);
static int photactl_purge_older(photactl_t *ctl, uint64_t *before);
static int photactl_purge_text(photactl_t *ctl, photactl_opt_e opt,
    const char **text);
static int photactl_purge_empty(photactl_t *ctl, phota_cache_t *cache);


static const photactl_opt_e  photactl_purge_opts[] = {
    PHOTACTL_OPT_TENANT, PHOTACTL_OPT_FINGERPRINT, PHOTACTL_OPT_PROFILE,
    PHOTACTL_OPT_TAG, PHOTACTL_OPT_OLDER
};


static const photactl_column_t  photactl_purge_columns[] = {
    { "results", NULL, PHOTACTL_NUMBER }
};


int
photactl_cache_purge(photactl_t *ctl)
{
    int            rc;
    u_char         fingerprint[PHOTA_SHA256_LEN];
    uint64_t       results;
    phota_purge_t  purge;

    results = 0;

    rc = photactl_purge_parse(ctl, &purge, fingerprint);

    if (rc == PHOTA_OK) {
        rc = photactl_purge(ctl, &purge, &results);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    photactl_value_t  values[] = {
        photactl_number(results)
    };

    return photactl_record(ctl, photactl_purge_columns, 1, values);
}


static int
photactl_purge_parse(photactl_t *ctl, phota_purge_t *purge,
    u_char fingerprint[PHOTA_SHA256_LEN])
{
    int          rc;
    const char  *hex, *profile;

    memset(purge, 0, sizeof(phota_purge_t));

    profile = NULL;

    rc = photactl_purge_all(ctl);

    if (rc == PHOTA_OK) {
        rc = photactl_purge_older(ctl, &purge->before);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_purge_text(ctl, PHOTACTL_OPT_TAG, &purge->tag);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_purge_text(ctl, PHOTACTL_OPT_PROFILE, &profile);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    if (profile != NULL) {
        purge->profile = 1;
        purge->mark = phota_profile_mark((const u_char *) profile,
                                         strlen(profile));
    }

    hex = ctl->opts[PHOTACTL_OPT_FINGERPRINT];

    if (hex != NULL) {
        purge->fingerprint = fingerprint;

        if (phota_hex_parse(fingerprint, PHOTA_SHA256_LEN, hex, strlen(hex))
            != PHOTA_OK)
        {
            ctl->blamed = hex;

            return photactl_wrong(ctl, "\"%.64s\": not a fingerprint (%d hex "
                                  "digits)", hex, 2 * PHOTA_SHA256_LEN);
        }
    }

    return photactl_parse_whose(ctl, PHOTACTL_OPT_TENANT, &purge->tenant);
}


/* everything goes by its own word only */

static int
photactl_purge_all(photactl_t *ctl)
{
    size_t    i;
    unsigned  given;

    given = 0;

    for (i = 0;
         i < sizeof(photactl_purge_opts) / sizeof(photactl_opt_e);
         i++)
    {
        given += (ctl->opts[photactl_purge_opts[i]] != NULL);
    }

    if (ctl->opts[PHOTACTL_OPT_ALL] != NULL) {
        return given ? photactl_wrong(ctl, "--all stands alone") : PHOTA_OK;
    }

    return given ? PHOTA_OK
                 : photactl_wrong(ctl, "say which: --tenant, --fingerprint, "
                                  "--profile, --tag, --older or --all");
}


/* a moment, or how long ago one is */

static int
photactl_purge_older(photactl_t *ctl, uint64_t *before)
{
    size_t       len;
    uint64_t     age, now;
    const char  *text;

    text = ctl->opts[PHOTACTL_OPT_OLDER];

    if (text == NULL) {
        return PHOTA_OK;
    }

    len = strlen(text);

    if (phota_time_parse(before, text, len) == PHOTA_OK) {

        /* 0 would mean any age */

        *before += (*before == 0);
        return PHOTA_OK;
    }

    if (photactl_parse_duration(ctl, text, &age) != PHOTA_OK) {
        return photactl_wrong(ctl, "\"%.64s\": neither a time (as 2026-11-21) "
                              "nor an age (as 30d)", text);
    }

    now = phota_now();
    *before = (age < now) ? now - age : 1;

    return PHOTA_OK;
}


static int
photactl_purge_text(photactl_t *ctl, photactl_opt_e opt, const char **text)
{
    *text = ctl->opts[opt];

    if (*text != NULL && **text == '\0') {
        return photactl_wrong(ctl, "%s is empty", opt == PHOTACTL_OPT_TAG
                                                  ? "--tag" : "--profile");
    }

    return PHOTA_OK;
}


int
photactl_purge(photactl_t *ctl, const phota_purge_t *purge, uint64_t *results)
{
    int            rc;
    uint64_t       size;
    phota_cache_t  cache;
    phota_store_t  store;

    *results = 0;

    rc = photactl_cache_open(ctl, &store, &cache, 0, &size);

    if (rc != PHOTA_OK) {
        return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
    }

    rc = phota_cache_purge(&cache, purge, results, &ctl->err);

    if (rc == PHOTA_OK && !photactl_inhabited(ctl)) {
        rc = photactl_purge_empty(ctl, &cache);
    }

    /* a worker's cache may lose its last commit, but not this one */

    if (rc == PHOTA_OK && ctl->lent
        && mdb_env_sync(ctl->cache_store->env, 1) != 0)
    {
        phota_error(&ctl->err, "the cache can't be synced");
        rc = PHOTA_ERROR;
    }

    photactl_cache_close(ctl, &store);

    return rc;
}


static int
photactl_purge_empty(photactl_t *ctl, phota_cache_t *cache)
{
    int  rc, more;

    do {
        more = 0;
        rc = phota_cache_sweep(cache, phota_now() + PHOTACTL_PURGE_GRACE,
                               &more, &ctl->err);

    } while (rc == PHOTA_OK && more);

    return rc;
}
