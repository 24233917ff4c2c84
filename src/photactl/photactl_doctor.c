
/*
 * photactl doctor: looks at files, books, configuration and keys, and says what
 * is wrong and which command mends it.  It changes nothing.  Exit status 0 when
 * there is nothing worse than a note, 3 when there are warnings, 1 when there
 * are errors.
 */


#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "photactl_doctor.h"


static const photactl_column_t  photactl_doctor_columns[] = {
    { "severity", "SEVERITY", PHOTACTL_TEXT },
    { "check", "CHECK", PHOTACTL_TEXT },
    { "where", "WHERE", PHOTACTL_TEXT },
    { "what", "WHAT", PHOTACTL_TEXT },
    { "mend", "MEND", PHOTACTL_TEXT }
};


static const char  *photactl_severities[] = {
    "ok",
    "note",
    "warning",
    "error"
};


static int photactl_doctor_end(photactl_doctor_t *d);


int
photactl_doctor(photactl_t *ctl)
{
    int                rc;
    photactl_doctor_t  d;

    memset(&d, 0, sizeof(photactl_doctor_t));

    d.ctl = ctl;

    if (ctl->opts[PHOTACTL_OPT_UPSTREAM] != NULL
        && ctl->opts[PHOTACTL_OPT_ONLINE] == NULL)
    {
        return photactl_wrong(ctl, "--upstream goes with --online");
    }

    photactl_doctor_files(&d);
    photactl_doctor_conf(&d);
    photactl_doctor_old_master(&d);

    rc = photactl_become_owner(ctl);

    if (rc == PHOTA_OK) {
        photactl_doctor_disk(&d);
        photactl_doctor_books(&d);

        if (ctl->opts[PHOTACTL_OPT_ONLINE] != NULL) {
            photactl_doctor_online(&d);
        }
    }

    /* what was found says it */

    ctl->err.text[0] = '\0';

    free(d.old_master);

    return photactl_doctor_end(&d);
}


static int
photactl_doctor_end(photactl_doctor_t *d)
{
    if (d->rc != PHOTA_OK) {
        return d->rc;
    }

    if (d->ctl->opts[PHOTACTL_OPT_JSON] == NULL) {
        (void) fprintf(d->ctl->out, "%u errors, %u warnings, %u notes, "
                       "%u checks without a finding\n",
                       d->found[PHOTACTL_FAULT], d->found[PHOTACTL_WARNING],
                       d->found[PHOTACTL_REMARK], d->found[PHOTACTL_FINE]);
    }

    if (d->found[PHOTACTL_FAULT]) {
        phota_error(&d->ctl->err, "%u errors were found",
                    d->found[PHOTACTL_FAULT]);
        return PHOTA_INVALID;
    }

    return d->found[PHOTACTL_WARNING] ? PHOTACTL_WARNED : PHOTA_OK;
}


void
photactl_found(photactl_doctor_t *d, photactl_severity_e severity,
    const char *check, const char *where, const char *mend, const char *fmt,
    ...)
{
    char     *p, what[640];
    va_list   args;

    va_start(args, fmt);
    (void) vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);

    photactl_conceal(what);
    photactl_progress_end();

    d->found[severity]++;

    if (d->ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
        photactl_value_t  values[] = {
            photactl_text(photactl_severities[severity]),
            photactl_text(check),
            photactl_text(where),
            photactl_text(what),
            photactl_text(mend)
        };

        if (photactl_record(d->ctl, photactl_doctor_columns,
                            sizeof(values) / sizeof(values[0]), values)
            != PHOTA_OK)
        {
            d->rc = PHOTA_ERROR;
        }

        return;
    }

    if (severity == PHOTACTL_FINE && d->ctl->opts[PHOTACTL_OPT_ALL] == NULL) {
        return;
    }

    for (p = what; *p != '\0'; p++) {
        if ((u_char) *p < ' ' || *p == 0x7f) {
            *p = '?';
        }
    }

    (void) fprintf(d->ctl->out, "%-8s %s%s%s\n         %s\n",
                   photactl_severities[severity], check, where ? ": " : "",
                   where ? where : "", what);

    if (mend != NULL) {
        (void) fprintf(d->ctl->out, "         mend: %s\n", mend);
    }
}
