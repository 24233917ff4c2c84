
/*
 * The place of a data directory: looked at before anything is made, made for
 * its owner alone, and never taken from anybody who has something in it.
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


static int photactl_place_empty(const char *path);
static int photactl_place_user(photactl_t *ctl, const char *name,
    photactl_place_t *place);
static int photactl_place_take(photactl_t *ctl, photactl_place_t *place);


int
photactl_place_look(photactl_t *ctl, photactl_place_t *place)
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

    place->empty = photactl_place_empty(ctl->data);
    place->exists = !place->empty;

    return PHOTA_OK;
}


/*
 * A volume that was just mounted has a file system's own directory, a restore
 * that broke off has left one that is of no use.
 */

static int
photactl_place_empty(const char *path)
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
                 || strcmp(entry->d_name, "lost+found") == 0
                 || strcmp(entry->d_name, PHOTACTL_RESTORE) == 0));

    (void) closedir(dir);

    return entry == NULL;
}


int
photactl_place_owner(photactl_t *ctl, photactl_place_t *place)
{
    int          rc;
    const char  *name;

    place->uid = geteuid();
    place->gid = getegid();

    name = ctl->opts[PHOTACTL_OPT_OWNER];

    if (name != NULL) {
        rc = photactl_place_user(ctl, name, place);
        if (rc != PHOTA_OK) {
            return rc;
        }

    } else if (place->exists) {
        place->uid = place->st.st_uid;
        place->gid = place->st.st_gid;

    } else if (geteuid() == 0 && getpwnam(PHOTACTL_OWNER_DEFAULT) != NULL) {
        rc = photactl_place_user(ctl, PHOTACTL_OWNER_DEFAULT, place);
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
photactl_place_user(photactl_t *ctl, const char *name,
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


int
photactl_place_make(photactl_t *ctl, photactl_place_t *place)
{
    int  rc;

    if (!place->empty) {
        rc = photactl_place_parents(ctl, ctl->data);
        if (rc != PHOTA_OK) {
            return rc;
        }

        if (mkdir(ctl->data, 0700) == -1) {
            phota_error(&ctl->err, "data directory \"%.128s\": %s",
                        ctl->data, strerror(errno));
            return PHOTA_ERROR;
        }
    }

    return photactl_place_take(ctl, place);
}


/* the directory itself, whatever its name comes to mean meanwhile */

static int
photactl_place_take(photactl_t *ctl, photactl_place_t *place)
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


/* all but the last part of the path, for everyone to pass */

int
photactl_place_parents(photactl_t *ctl, const char *path)
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
