
/*
 * photactl init: data directory, books with the shipped prices, cache
 * directory and master key, each where it is missing.  It says what it made
 * and what it found; running it again changes nothing.
 */


#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "photactl_shell.h"


#define PHOTACTL_OWNER_DEFAULT  "www-data"


typedef struct {
    uid_t           uid;
    gid_t           gid;
    struct stat     st;
    unsigned        exists:1;           /* the data directory, with content */
    unsigned        empty:1;            /* it is there, and may be taken */
} photactl_place_t;


static int photactl_init_look(photactl_t *ctl, photactl_place_t *place);
static int photactl_init_owner(photactl_t *ctl, photactl_place_t *place);
static int photactl_init_user(photactl_t *ctl, const char *name,
    photactl_place_t *place);
static int photactl_init_key(photactl_t *ctl);
static int photactl_init_data(photactl_t *ctl, photactl_place_t *place);
static int photactl_init_take(photactl_t *ctl, photactl_place_t *place);
static int photactl_init_books(photactl_t *ctl);
static int photactl_init_cache(photactl_t *ctl);
static int photactl_init_path(photactl_t *ctl, char *path, size_t size,
    const char *name);
static int photactl_init_parents(photactl_t *ctl, const char *path);
static int photactl_init_empty(const char *path);
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

    rc = photactl_init_look(ctl, &place);

    if (rc == PHOTA_OK) {
        rc = photactl_init_owner(ctl, &place);
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


static int
photactl_init_look(photactl_t *ctl, photactl_place_t *place)
{
    memset(place, 0, sizeof(photactl_place_t));

    if (lstat(ctl->data, &place->st) == -1) {
        if (errno == ENOENT) {
            return PHOTA_OK;
        }

        phota_error(&ctl->err, "data directory \"%.128s\": %s", ctl->data,
                    strerror(errno));
        return PHOTA_ERROR;
    }

    if (S_ISLNK(place->st.st_mode) && stat(ctl->data, &place->st) == -1) {
        phota_error(&ctl->err, "data directory \"%.128s\": a link to "
                    "nothing", ctl->data);
        return PHOTA_REFUSED;
    }

    if (!S_ISDIR(place->st.st_mode)) {
        phota_error(&ctl->err, "data directory \"%.128s\": not a directory",
                    ctl->data);
        return PHOTA_REFUSED;
    }

    place->empty = photactl_init_empty(ctl->data);
    place->exists = !place->empty;

    return PHOTA_OK;
}


/* a volume that was just mounted has a file system's own directory */

static int
photactl_init_empty(const char *path)
{
    DIR            *dir;
    struct dirent  *entry;

    dir = opendir(path);
    if (dir == NULL) {
        return 0;
    }

    do {
        entry = readdir(dir);

    } while (entry != NULL
             && (strcmp(entry->d_name, ".") == 0
                 || strcmp(entry->d_name, "..") == 0
                 || strcmp(entry->d_name, "lost+found") == 0));

    (void) closedir(dir);

    return entry == NULL;
}


static int
photactl_init_owner(photactl_t *ctl, photactl_place_t *place)
{
    int          rc;
    const char  *name;

    place->uid = geteuid();
    place->gid = getegid();

    name = ctl->opts[PHOTACTL_OPT_OWNER];

    if (name != NULL) {
        rc = photactl_init_user(ctl, name, place);
        if (rc != PHOTA_OK) {
            return rc;
        }

    } else if (place->exists) {
        place->uid = place->st.st_uid;
        place->gid = place->st.st_gid;

    } else if (geteuid() == 0 && getpwnam(PHOTACTL_OWNER_DEFAULT) != NULL) {
        rc = photactl_init_user(ctl, PHOTACTL_OWNER_DEFAULT, place);
        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    if (geteuid() != 0 && place->uid != geteuid()) {
        phota_error(&ctl->err, "data directory \"%.128s\": only root can "
                    "make it another user's", ctl->data);
        return PHOTA_REFUSED;
    }

    if (place->exists && place->st.st_uid != place->uid) {
        phota_error(&ctl->err, "data directory \"%.128s\": belongs to user "
                    "%u already (chown -R it, or leave --owner out)",
                    ctl->data, (unsigned) place->st.st_uid);
        return PHOTA_REFUSED;
    }

    return PHOTA_OK;
}


static int
photactl_init_user(photactl_t *ctl, const char *name,
    photactl_place_t *place)
{
    struct passwd  *pw;

    pw = getpwnam(name);

    if (pw == NULL) {
        phota_error(&ctl->err, "--owner \"%.64s\": no such user", name);
        return PHOTA_REFUSED;
    }

    place->uid = pw->pw_uid;
    place->gid = pw->pw_gid;

    return PHOTA_OK;
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

    rc = photactl_init_parents(ctl, path);

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

    if (!place->empty) {
        rc = photactl_init_parents(ctl, ctl->data);
        if (rc != PHOTA_OK) {
            return rc;
        }

        if (mkdir(ctl->data, 0700) == -1) {
            phota_error(&ctl->err, "data directory \"%.128s\": %s",
                        ctl->data, strerror(errno));
            return PHOTA_ERROR;
        }
    }

    rc = photactl_init_take(ctl, place);
    if (rc != PHOTA_OK) {
        return rc;
    }

    return photactl_init_said(ctl, "data directory", ctl->data, 1);
}


/* the directory itself, whatever its name comes to mean meanwhile */

static int
photactl_init_take(photactl_t *ctl, photactl_place_t *place)
{
    int  fd, rc;

    fd = open(ctl->data, O_RDONLY|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC);

    if (fd == -1) {
        phota_error(&ctl->err, "data directory \"%.128s\": %s%s", ctl->data,
                    strerror(errno), (errno == ELOOP || errno == ENOTDIR)
                    ? " (name the directory itself, not a link)" : "");
        return PHOTA_ERROR;
    }

    rc = PHOTA_OK;

    if ((geteuid() == 0 && fchown(fd, place->uid, place->gid) == -1)
        || fchmod(fd, 0700) == -1)
    {
        phota_error(&ctl->err, "data directory \"%.128s\": %s", ctl->data,
                    strerror(errno));
        rc = PHOTA_ERROR;
    }

    (void) close(fd);

    return rc;
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


/* all but the last part of the path, for everyone to pass */

static int
photactl_init_parents(photactl_t *ctl, const char *path)
{
    char    dir[1024];
    size_t  i, len;

    len = strlen(path);

    while (len > 1 && path[len - 1] == '/') {
        len--;
    }

    if (len >= sizeof(dir)) {
        phota_error(&ctl->err, "the path \"%.64s...\" is too long", path);
        return PHOTA_INVALID;
    }

    memcpy(dir, path, len);
    dir[len] = '\0';

    for (i = 1; i < len; i++) {

        if (dir[i] != '/' || dir[i - 1] == '/') {
            continue;
        }

        dir[i] = '\0';

        /* the umask took what parents need */

        if (mkdir(dir, 0755) == 0 ? chmod(dir, 0755) == -1
                                  : errno != EEXIST)
        {
            phota_error(&ctl->err, "directory \"%.128s\": %s", dir,
                        strerror(errno));
            return PHOTA_ERROR;
        }

        dir[i] = '/';
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

    (void) fprintf(ctl->out, "%s %s: %s\n", made ? "made" : "found", what, path);

    return PHOTA_OK;
}
