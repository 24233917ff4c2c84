
/*
 * photactl migrate: says of which schema books and cache are, and brings books
 * of an older one along, with nginx stopped.  What it can't bring along it
 * leaves as it is, and says what to do.
 */


#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "phota_migrate.h"
#include "photactl_books.h"
#include "photactl_shell.h"


typedef struct {
    uint32_t            books;
    uint32_t            were;           /* before */
    uint32_t            cache;          /* 0: there is none */
} photactl_schemas_t;


static int photactl_migrate_books(photactl_t *ctl,
    const phota_master_t *master, photactl_schemas_t *schemas);
static int photactl_migrate_cache(photactl_t *ctl,
    photactl_schemas_t *schemas);
static int photactl_migrate_said(photactl_t *ctl,
    const photactl_schemas_t *schemas);


static const photactl_column_t  photactl_migrate_columns[] = {
    { "books", "BOOKS", PHOTACTL_NUMBER },
    { "books_were", "BOOKS WERE", PHOTACTL_NUMBER },
    { "cache", "CACHE", PHOTACTL_NUMBER }
};


int
photactl_migrate(photactl_t *ctl)
{
    int                  rc, known;
    const char          *old;
    phota_error_t        why;
    photactl_schemas_t   schemas;

    memset(&schemas, 0, sizeof(schemas));

    /* most of the time nobody needs it */

    old = ctl->opts[PHOTACTL_OPT_OLD_MASTER_KEY];

    known = (phota_master_read(&ctl->master, photactl_shell(ctl)->master_path,
                               &why) == PHOTA_OK
             && (old == NULL
                 || phota_master_add(&ctl->master, old, &why) == PHOTA_OK));

    rc = photactl_become_owner(ctl);

    if (rc == PHOTA_OK) {
        rc = photactl_migrate_books(ctl, known ? &ctl->master : NULL,
                                    &schemas);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_migrate_cache(ctl, &schemas);
    }

    return (rc == PHOTA_OK) ? photactl_migrate_said(ctl, &schemas) : rc;
}


static int
photactl_migrate_books(photactl_t *ctl, const phota_master_t *master,
    photactl_schemas_t *schemas)
{
    int             rc;
    phota_store_t  *store;

    store = &photactl_shell(ctl)->store;

    if (phota_store_open(store, ctl->data, "books", PHOTA_BOOKS_SCHEMA,
                         PHOTA_BOOKS_MAP, PHOTA_STORE_ANY, &ctl->err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    schemas->were = store->schema;

    do {
        rc = phota_migrate(store, master, &ctl->err);
    } while (rc == PHOTA_OK);

    schemas->books = store->schema;

    if (rc != PHOTA_DECLINED) {
        return rc;
    }

    /* tables that an older version didn't have */

    store->flags |= PHOTA_STORE_CREATE;

    return photactl_attach(ctl, store);
}


static int
photactl_migrate_cache(photactl_t *ctl, photactl_schemas_t *schemas)
{
    int            rc;
    char           file[1024];
    struct stat    st;
    phota_store_t  cache;

    (void) snprintf(file, sizeof(file), "%.900s/cache/data.mdb", ctl->data);

    if (stat(file, &st) == -1) {
        return PHOTA_OK;
    }

    rc = phota_store_open(&cache, ctl->data, "cache", PHOTA_CACHE_SCHEMA, 0,
                          PHOTA_STORE_ANY|PHOTA_STORE_RDONLY, &ctl->err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    schemas->cache = cache.schema;

    phota_store_close(&cache);

    if (schemas->cache != PHOTA_CACHE_SCHEMA) {
        photactl_note(ctl, "the cache has schema %u, this version of phota "
                      "reads schema %u: with nginx stopped \"rm %s\" begins it "
                      "anew, which costs hits alone",
                      (unsigned) schemas->cache, PHOTA_CACHE_SCHEMA, file);
    }

    return PHOTA_OK;
}


static int
photactl_migrate_said(photactl_t *ctl, const photactl_schemas_t *schemas)
{
    if (ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
        photactl_value_t  values[] = {
            photactl_number(schemas->books),
            photactl_number(schemas->were),
            photactl_number(schemas->cache)
        };

        return photactl_record(ctl, photactl_migrate_columns,
                               photactl_columns(photactl_migrate_columns),
                               values);
    }

    if (schemas->books == schemas->were) {
        (void) fprintf(ctl->out, "books: schema %u, nothing to do\n",
                       (unsigned) schemas->books);

    } else {
        (void) fprintf(ctl->out, "books: schema %u, was %u\n",
                       (unsigned) schemas->books, (unsigned) schemas->were);
    }

    if (schemas->cache != 0) {
        (void) fprintf(ctl->out, "cache: schema %u%s\n",
                       (unsigned) schemas->cache,
                       schemas->cache == PHOTA_CACHE_SCHEMA ? ", nothing to do"
                                                            : "");
    }

    return PHOTA_OK;
}
