
/*
 * The doctor on files: that the data directory and all in it is its owner's
 * alone, that the master key is nobody's to read who shouldn't, and that there
 * is room on the disk.
 */


#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "photactl_doctor.h"


typedef struct {
    photactl_doctor_t  *doctor;
    unsigned            foreign;        /* another owner's */
    unsigned            wide;           /* others may read or write it */
    char                first_foreign[1024];
    char                first_wide[1024];
} photactl_walk_t;


static void photactl_files_walk(photactl_walk_t *walk, int dir,
    const char *path, unsigned depth);
static void photactl_files_look(photactl_walk_t *walk, const char *path,
    const struct stat *st);
static void photactl_files_said(photactl_walk_t *walk);
static void photactl_files_master(photactl_doctor_t *d);


void
photactl_doctor_files(photactl_doctor_t *d)
{
    int              fd;
    char             mend[1200];
    const char      *data;
    struct stat      st;
    photactl_walk_t  walk;

    data = d->ctl->data;

    memset(&walk, 0, sizeof(photactl_walk_t));
    walk.doctor = d;

    fd = open(data, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1 || fstat(fd, &st) == -1) {
        (void) snprintf(mend, sizeof(mend), "photactl init, or name another "
                        "directory with --data");

        photactl_found(d, PHOTACTL_FAULT, "data", data, mend,
                       "the data directory can't be opened: %s",
                       strerror(errno));

        if (fd != -1) {
            (void) close(fd);
        }

        photactl_files_master(d);
        return;
    }

    d->uid = st.st_uid;
    d->gid = st.st_gid;

    if (st.st_mode & 077) {
        (void) snprintf(mend, sizeof(mend), "chmod 700 %s", data);
        photactl_found(d, PHOTACTL_FAULT, "modes", data, mend,
                       "mode %04o lets others in",
                       (unsigned) (st.st_mode & 07777));
    }

    if (st.st_uid == 0) {
        photactl_found(d, PHOTACTL_REMARK, "owner", data, NULL,
                       "the data directory belongs to root: nginx's workers "
                       "have to run as root to use it");
    }

    photactl_files_walk(&walk, fd, data, 0);
    photactl_files_said(&walk);
    photactl_files_master(d);
}


/* takes dir over */

static void
photactl_files_walk(photactl_walk_t *walk, int dir, const char *path,
    unsigned depth)
{
    int             fd;
    DIR            *d;
    char            name[1024];
    struct stat     st;
    struct dirent  *entry;

    d = fdopendir(dir);

    if (d == NULL) {
        (void) close(dir);
        return;
    }

    while ((entry = readdir(d)) != NULL) {

        if (strcmp(entry->d_name, ".") == 0
            || strcmp(entry->d_name, "..") == 0
            || strcmp(entry->d_name, "lost+found") == 0
            || fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1)
        {
            continue;
        }

        (void) snprintf(name, sizeof(name), "%.700s/%.255s", path,
                        entry->d_name);

        photactl_files_look(walk, name, &st);

        if (!S_ISDIR(st.st_mode) || depth == 4) {
            continue;
        }

        fd = openat(dir, entry->d_name,
                    O_RDONLY|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC);

        if (fd != -1) {
            photactl_files_walk(walk, fd, name, depth + 1);
        }
    }

    (void) closedir(d);
}


static void
photactl_files_look(photactl_walk_t *walk, const char *path,
    const struct stat *st)
{
    if (st->st_uid != walk->doctor->uid && walk->foreign++ == 0) {
        (void) snprintf(walk->first_foreign, sizeof(walk->first_foreign),
                        "%s", path);
    }

    /* of files below a closed directory, too: it may be opened some day */

    if (!S_ISLNK(st->st_mode) && (st->st_mode & 077) && walk->wide++ == 0) {
        (void) snprintf(walk->first_wide, sizeof(walk->first_wide), "%s",
                        path);
    }
}


static void
photactl_files_said(photactl_walk_t *walk)
{
    char                mend[1200];
    const char         *data, *name;
    struct passwd      *pw;
    photactl_doctor_t  *d;

    d = walk->doctor;
    data = d->ctl->data;

    pw = getpwuid(d->uid);
    name = (pw != NULL) ? pw->pw_name : "OWNER";

    if (walk->foreign) {
        (void) snprintf(mend, sizeof(mend), "chown -R %s: %s", name, data);
        photactl_found(d, PHOTACTL_FAULT, "owner", walk->first_foreign, mend,
                       "this and %u more don't belong to %s, as the data "
                       "directory does", walk->foreign - 1, name);

    } else {
        photactl_found(d, PHOTACTL_FINE, "owner", data, NULL,
                       "all files belong to %s", name);
    }

    if (walk->wide) {
        (void) snprintf(mend, sizeof(mend), "chmod -R go= %s", data);
        photactl_found(d, PHOTACTL_WARNING, "modes", walk->first_wide, mend,
                       "this and %u more are open to others, but for the "
                       "directory above", walk->wide - 1);

    } else {
        photactl_found(d, PHOTACTL_FINE, "modes", data, NULL,
                       "nothing is open to others");
    }
}


static void
photactl_files_master(photactl_doctor_t *d)
{
    char         mend[1200];
    const char  *path;
    struct stat  st;

    path = photactl_shell(d->ctl)->master_path;

    if (phota_master_read(&d->ctl->master, path, &d->ctl->err) != PHOTA_OK) {

        if (stat(path, &st) == 0 && S_ISREG(st.st_mode)
            && (st.st_mode & 077))
        {
            (void) snprintf(mend, sizeof(mend), "chmod 600 %s", path);

        } else {
            (void) snprintf(mend, sizeof(mend), "name it with --master-key, "
                            "or put the saved one in its place");
        }

        photactl_found(d, (errno == EACCES && geteuid() != 0)
                          ? PHOTACTL_REMARK : PHOTACTL_FAULT,
                       "master-key", path, mend, "%s", d->ctl->err.text);
        return;
    }

    d->master = 1;

    if (stat(path, &st) == 0 && st.st_uid != 0 && geteuid() == 0) {
        (void) snprintf(mend, sizeof(mend), "chown root: %s", path);
        photactl_found(d, PHOTACTL_REMARK, "master-key", path, mend,
                       "it isn't root's: whoever takes over a worker could "
                       "replace it");
        return;
    }

    photactl_found(d, PHOTACTL_FINE, "master-key", path, NULL,
                   "it can be read, by nobody else");
}


void
photactl_doctor_disk(photactl_doctor_t *d)
{
    const char      *mend;
    uint64_t         left, total;
    struct statvfs   st;

    if (statvfs(d->ctl->data, &st) == -1) {
        return;
    }

    left = (uint64_t) st.f_bavail * st.f_frsize;
    total = (uint64_t) st.f_blocks * st.f_frsize;

    mend = "make room: photactl ledger archive --before DAY, photactl cache "
           "compact, or a smaller phota_cache_max_size";

    if (left < ((uint64_t) 64 << 20) || left < total / 200) {
        photactl_found(d, PHOTACTL_FAULT, "disk", d->ctl->data, mend,
                       "%llu MB are left: soon nothing can be bought",
                       (unsigned long long) (left >> 20));

    } else if (left < ((uint64_t) 1 << 30) || left < total / 20) {
        photactl_found(d, PHOTACTL_WARNING, "disk", d->ctl->data, mend,
                       "%llu MB of %llu are left",
                       (unsigned long long) (left >> 20),
                       (unsigned long long) (total >> 20));

    } else {
        photactl_found(d, PHOTACTL_FINE, "disk", d->ctl->data, NULL,
                       "%llu MB are left",
                       (unsigned long long) (left >> 20));
    }

    if (st.f_favail != 0 && st.f_favail < 1000) {
        photactl_found(d, PHOTACTL_WARNING, "disk", d->ctl->data,
                       "remove files", "%llu inodes are left",
                       (unsigned long long) st.f_favail);
    }
}
