
/*
 * Privileges and the books: root takes on the owner of the data directory, so
 * that no file in it ever belongs to anyone else, and then the books are
 * opened, beside a running nginx or without one.
 */


#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "photactl_shell.h"


int
photactl_become(photactl_t *ctl, uid_t uid, gid_t gid)
{
    if (geteuid() != 0 || uid == 0) {
        return PHOTA_OK;
    }

    if (setgroups(1, &gid) == -1
        || setresgid(gid, gid, gid) == -1
        || setresuid(uid, uid, uid) == -1)
    {
        phota_error(&ctl->err, "can't become user %u: %s", (unsigned) uid,
                    strerror(errno));
        return PHOTA_ERROR;
    }

    if (geteuid() != uid || setresuid(0, 0, 0) != -1) {
        phota_error(&ctl->err, "user %u could become root again",
                    (unsigned) uid);
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


int
photactl_become_owner(photactl_t *ctl)
{
    struct stat  st;

    if (stat(ctl->data, &st) == -1) {
        phota_error(&ctl->err, "data directory \"%.128s\": %s%s", ctl->data,
                    strerror(errno),
                    errno == ENOENT ? " (run photactl init, or name another "
                                      "with --data)" : "");
        return PHOTA_ERROR;
    }

    if (!S_ISDIR(st.st_mode)) {
        phota_error(&ctl->err, "data directory \"%.128s\": not a directory",
                    ctl->data);
        return PHOTA_ERROR;
    }

    return photactl_become(ctl, st.st_uid, st.st_gid);
}


/* sudo's word counts only where root could say anything anyway */

void
photactl_operator(photactl_t *ctl)
{
    char           *p;
    uid_t           uid;
    const char     *name;
    struct passwd  *pw;

    uid = getuid();
    name = (uid == 0) ? getenv("SUDO_USER") : NULL;

    if (name == NULL || *name == '\0') {
        pw = getpwuid(uid);
        name = (pw != NULL) ? pw->pw_name : NULL;
    }

    if (name != NULL) {
        (void) snprintf(ctl->by, sizeof(ctl->by), "operator %.48s", name);

    } else {
        (void) snprintf(ctl->by, sizeof(ctl->by), "operator %u",
                        (unsigned) uid);
    }

    for (p = ctl->by; *p != '\0'; p++) {
        if (*p < ' ' || *p > '~') {
            *p = '?';
        }
    }
}


int
photactl_open(photactl_t *ctl, unsigned flags)
{
    phota_store_t  *store;

    store = &photactl_shell(ctl)->store;

    if (phota_store_open(store, ctl->data, "books", PHOTA_BOOKS_SCHEMA,
                         PHOTA_BOOKS_MAP, flags, &ctl->err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    return photactl_attach(ctl, store);
}


void
photactl_close(photactl_t *ctl)
{
    if (ctl->ledger.store != NULL) {
        phota_ledger_close(&ctl->ledger);
        ctl->ledger.store = NULL;
    }

    phota_store_close(&photactl_shell(ctl)->store);
    ctl->store = NULL;

    free(ctl->names.tenants);
    ctl->names.tenants = NULL;
    ctl->names.n = 0;
    ctl->names.size = 0;
}


int
photactl_reread(photactl_t *ctl)
{
    phota_error_t  why;

    why = ctl->err;

    photactl_close(ctl);

    if (photactl_open(ctl, PHOTA_STORE_RDONLY) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    photactl_note(ctl, "the latest free hits are missing: %s", why.text);

    return PHOTA_OK;
}
