
/*
 * The doctor's own: what is found, how bad it is, and the command that mends
 * it.  Looking changes nothing.
 */


#ifndef _PHOTACTL_DOCTOR_H_INCLUDED_
#define _PHOTACTL_DOCTOR_H_INCLUDED_


#include "photactl_shell.h"


typedef enum {
    PHOTACTL_FINE = 0,                  /* looked at, nothing found */
    PHOTACTL_REMARK,                    /* good to know */
    PHOTACTL_WARNING,                   /* will cost something some day */
    PHOTACTL_FAULT                      /* costs money, safety or calls */
} photactl_severity_e;


typedef struct {
    photactl_t      *ctl;
    unsigned         found[PHOTACTL_FAULT + 1];
    int              rc;                /* an output that can't be written */
    uid_t            uid;               /* the data directory's owner */
    gid_t            gid;
    unsigned         master:1;          /* it could be read */
    unsigned         books:1;           /* they are open */
    char            *old_master;        /* that nginx has, too; or NULL */
} photactl_doctor_t;


/*
 * A finding of a check; where is a path, a tenant or a place in nginx's
 * configuration, mend a command, or NULL.
 */
void photactl_found(photactl_doctor_t *d, photactl_severity_e severity,
    const char *check, const char *where, const char *mend, const char *fmt,
    ...)
    __attribute__((format(printf, 6, 7)));


/* as root, if it is: files and the master key; photactl_doctor_files.c */
void photactl_doctor_files(photactl_doctor_t *d);
void photactl_doctor_disk(photactl_doctor_t *d);

/* what nginx is told; by --conf, or by nginx -T: photactl_doctor_conf.c */
void photactl_doctor_conf(photactl_doctor_t *d);

/* as the owner: photactl_doctor_books.c */
void photactl_doctor_books(photactl_doctor_t *d);

/* the master key and the one before: photactl_doctor_rekey.c */
void photactl_doctor_old_master(photactl_doctor_t *d);
void photactl_doctor_rekey(photactl_doctor_t *d);

/* the keys, by the upstream's word: photactl_doctor_online.c */
void photactl_doctor_online(photactl_doctor_t *d);


#endif /* _PHOTACTL_DOCTOR_H_INCLUDED_ */
