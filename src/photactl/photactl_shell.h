
/*
 * The command line: what its files share.  It reads words, finds the data
 * directory, takes on its owner's rights and opens the books; then the commands
 * of src/command do the rest.
 */


#ifndef _PHOTACTL_SHELL_H_INCLUDED_
#define _PHOTACTL_SHELL_H_INCLUDED_


#include <sys/stat.h>

#include "photactl.h"


#define PHOTACTL_DATA        "/var/lib/phota"
#define PHOTACTL_MASTER_KEY  "/etc/phota/master.key"


typedef struct {
    photactl_t      ctl;                /* the first: a command has only it */
    char          **words;              /* all that are no options */
    const char     *master_path;
    phota_store_t   store;
} photactl_shell_t;


/* of a command that runs on the command line */
#define photactl_shell(ctl)  ((photactl_shell_t *) (ctl))


int photactl_init(photactl_t *ctl);
int photactl_backup(photactl_t *ctl);
int photactl_restore(photactl_t *ctl);
int photactl_rekey(photactl_t *ctl);
int photactl_migrate(photactl_t *ctl);
int photactl_doctor(photactl_t *ctl);
int photactl_completion(photactl_t *ctl);


/* where a data directory is, or will be: photactl_place.c */

#define PHOTACTL_RESTORE  "restore.tmp"     /* what a restore works in */

typedef struct {
    uid_t           uid;
    gid_t           gid;
    struct stat     st;
    unsigned        exists:1;           /* the data directory, with content */
    unsigned        empty:1;            /* it is there, and may be taken */
} photactl_place_t;


int photactl_place_look(photactl_t *ctl, photactl_place_t *place);

/* whose it is, or will be: by --owner, else as it is, else www-data's */
int photactl_place_owner(photactl_t *ctl, photactl_place_t *place);

/* one that doesn't exist yet; 0700 and the owner's */
int photactl_place_make(photactl_t *ctl, photactl_place_t *place);

/* all but the last part of the path, for everyone to pass */
int photactl_place_parents(photactl_t *ctl, const char *path);


/* privileges, directories, the books: photactl_open.c */

/* as root: becomes the owner of the data directory, for good */
int photactl_become(photactl_t *ctl, uid_t uid, gid_t gid);
int photactl_become_owner(photactl_t *ctl);

/*
 * "operator NAME", for entries: the login, or who called sudo.  Before root
 * becomes another.
 */
void photactl_operator(photactl_t *ctl);

/* flags of phota_store_open */
int photactl_open(photactl_t *ctl, unsigned flags);
void photactl_close(photactl_t *ctl);

/* can't be opened to write, or no more: says so, opens them to read */
int photactl_reread(photactl_t *ctl);


/*
 * photactl_progress.c: how much of it is done, in any unit; total 0: nobody
 * knows.  The end takes it off the terminal.  Any thread may tell.
 */
void photactl_progress(const char *what, uint64_t done, uint64_t total);
void photactl_progress_end(void);

/*
 * Standard output, from where the progress is taken off before anything is
 * written; what long works of core/ tell is shown from then on.  *width: of the
 * terminal that it is, or 0.
 */
FILE *photactl_progress_out(unsigned *width);


/* photactl_secret.c: by stdin, or typed without being shown */

int photactl_secret(photactl_t *ctl, u_char *buf, size_t *len);


#endif /* _PHOTACTL_SHELL_H_INCLUDED_ */
