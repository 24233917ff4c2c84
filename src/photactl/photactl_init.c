
/*
 * photactl init: data directory, books with the shipped prices, cache
 * directory and master key, each where it is missing.  It says what it made
 * and what it found; running it again changes nothing.
 */


#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "photactl_shell.h"


static int photactl_init_key(photactl_t *ctl);
static int photactl_init_data(photactl_t *ctl, photactl_place_t *place);
static int photactl_init_books(photactl_t *ctl);
static int photactl_init_cache(photactl_t *ctl);
static int photactl_init_path(photactl_t *ctl, char *path, size_t size,
    const char *name);
static int photactl_init_said(photactl_t *ctl, const char *what,
    const char *path, int made);


static const photactl_column_t  photactl_init_columns[] = {
    { "what", "WHAT", PHOTACTL_TEXT },
    { "path", "PATH", PHOTACTL_TEXT },
    { "done", "DONE", PHOTACTL_TEXT }
};


int
photactl_init(photactl_t *ctl)
{
    int               rc;
    photactl_place_t  place;

    rc = photactl_place_look(ctl, &place);

    if (rc == PHOTA_OK) {
        rc = photactl_place_owner(ctl, &place);
    }

    /* the key and the parents are root's, all below the owner's */

    if (rc == PHOTA_OK) {
        rc = photactl_init_key(ctl);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_init_data(ctl, &place);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_become(ctl, place.uid, place.gid);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_init_books(ctl);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_init_cache(ctl);
    }

    return rc;
}


/* one that is there must be good: nothing works with a bad one */

static int
photactl_init_key(photactl_t *ctl)
{
    int           rc;
    const char   *path;
    struct stat   st;

    path = photactl_shell(ctl)->master_path;

    if (lstat(path, &st) == 0) {
        rc = phota_master_read(&ctl->master, path, &ctl->err);
        if (rc != PHOTA_OK) {
            return rc;
        }

        return photactl_init_said(ctl, "master key", path, 0);
    }

    if (errno != ENOENT) {
        phota_error(&ctl->err, "master key \"%.128s\": %s", path,
                    strerror(errno));
        return PHOTA_ERROR;
    }

    rc = photactl_place_parents(ctl, path);

    if (rc == PHOTA_OK) {
        rc = phota_master_create(path, &ctl->err);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    return photactl_init_said(ctl, "master key", path, 1);
}


static int
photactl_init_data(photactl_t *ctl, photactl_place_t *place)
{
    int  rc;

    if (place->exists) {
        if (place->st.st_mode & 077) {
            photactl_note(ctl, "data directory \"%s\": mode %04o lets others "
                          "in (chmod 700)", ctl->data,
                          (unsigned) (place->st.st_mode & 07777));
        }

        return photactl_init_said(ctl, "data directory", ctl->data, 0);
    }

    rc = photactl_place_make(ctl, place);
    if (rc != PHOTA_OK) {
        return rc;
    }

    return photactl_init_said(ctl, "data directory", ctl->data, 1);
}


static int
photactl_init_books(photactl_t *ctl)
{
    int          rc;
    char         path[1024];
    unsigned     found;
    struct stat  st;

    rc = photactl_init_path(ctl, path, sizeof(path), "books/data.mdb");
    if (rc != PHOTA_OK) {
        return rc;
    }

    found = (stat(path, &st) == 0);

    rc = photactl_open(ctl, PHOTA_STORE_CREATE);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = photactl_init_path(ctl, path, sizeof(path), "books");

    if (rc == PHOTA_OK) {
        rc = photactl_init_said(ctl, "books", path, !found);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_price_ship(&ctl->prices, &ctl->err);

    if (rc == PHOTA_OK) {
        return photactl_init_said(ctl, "shipped prices", path, 1);
    }

    if (rc == PHOTA_DECLINED) {
        ctl->err.text[0] = '\0';
        return photactl_init_said(ctl, "prices", path, 0);
    }

    return rc;
}


/* its environment is made by nginx, which knows how large it may get */

static int
photactl_init_cache(photactl_t *ctl)
{
    int   rc;
    char  path[1024];

    rc = photactl_init_path(ctl, path, sizeof(path), "cache");
    if (rc != PHOTA_OK) {
        return rc;
    }

    if (mkdir(path, 0700) == 0) {
        return photactl_init_said(ctl, "cache", path, 1);
    }

    if (errno != EEXIST) {
        phota_error(&ctl->err, "cache \"%.128s\": %s", path,
                    strerror(errno));
        return PHOTA_ERROR;
    }

    return photactl_init_said(ctl, "cache", path, 0);
}


static int
photactl_init_path(photactl_t *ctl, char *path, size_t size,
    const char *name)
{
    int  n;

    n = snprintf(path, size, "%s/%s", ctl->data, name);

    if (n < 0 || (size_t) n >= size) {
        phota_error(&ctl->err, "the path of the data directory is too long");
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


static int
photactl_init_said(photactl_t *ctl, const char *what, const char *path,
    int made)
{
    photactl_value_t  values[] = {
        photactl_text(what),
        photactl_text(path),
        photactl_text(made ? "made" : "found")
    };

    if (ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
        return photactl_record(ctl, photactl_init_columns,
                               sizeof(values) / sizeof(values[0]), values);
    }

    (void) fprintf(ctl->out, "%s %s: %s\n", made ? "made" : "found", what,
                   path);

    return PHOTA_OK;
}
