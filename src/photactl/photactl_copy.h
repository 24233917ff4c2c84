
/*
 * Backup and restore's own: a copy of the books in a directory, and the list of
 * what is in it.  Everything goes by descriptors of directories, never through
 * a link, so that nobody can put another file in the place of one.
 */


#ifndef _PHOTACTL_COPY_H_INCLUDED_
#define _PHOTACTL_COPY_H_INCLUDED_


#include "photactl_shell.h"


#define PHOTACTL_MANIFEST         "manifest.json"
#define PHOTACTL_MANIFEST_FORMAT  1
#define PHOTACTL_MANIFEST_MAX     (16 << 20)    /* bytes */


typedef struct {
    photactl_t     *ctl;
    const char     *what;               /* for the progress */
    uint64_t        done;               /* bytes, of all files */
    uint64_t        total;

    /* a reader of the books keeps pages from reuse: they may grow to this */
    int             source;             /* -1: nobody reads */
    uint64_t        limit;              /* bytes */
} photactl_copy_t;


typedef struct {
    uint64_t        bytes;
    char            sha256[2 * PHOTA_SHA256_LEN + 1];
} photactl_copied_t;


/* what is between the two to the end of in; out is synced */
int photactl_copy(photactl_copy_t *copy, int in, int out, const char *name,
    photactl_copied_t *copied);

/* a new directory, 0700, or file, 0600, below dir; -1 */
int photactl_copy_mkdir(photactl_t *ctl, int dir, const char *name);
int photactl_copy_create(photactl_t *ctl, int dir, const char *name);

int photactl_copy_sync(photactl_t *ctl, int fd, const char *name);

/* the name below dir and all in it, as far as that can be */
void photactl_copy_erase(int dir, const char *name);

/* opens and verifies the books in this directory, counts what is open */
int photactl_copy_verify(photactl_t *ctl, const char *dir, uint64_t *entries,
    char chain[2 * PHOTA_SHA256_LEN + 1], uint64_t *open);


#endif /* _PHOTACTL_COPY_H_INCLUDED_ */
