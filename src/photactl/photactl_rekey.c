
/*
 * photactl rekey: from one master key to another, while nginx runs.  It may be
 * broken off at any moment, and begun again it goes on.  It ends by saying what
 * nobody needs any more.
 */


#include <stdio.h>
#include <string.h>

#include "phota_rekey.h"
#include "photactl_books.h"
#include "photactl_shell.h"


static int photactl_rekey_all(photactl_t *ctl, phota_rekey_t *r);
static int photactl_rekey_refused(photactl_t *ctl, const phota_rekey_t *r,
    int rc);
static int photactl_rekey_lost(photactl_t *ctl, phota_rekey_t *r);
static int photactl_rekey_said(photactl_t *ctl, const phota_rekey_t *r);


static const photactl_column_t  photactl_rekey_columns[] = {
    { "keys", "KEYS", PHOTACTL_NUMBER },
    { "sealed", "SEALED", PHOTACTL_NUMBER },
    { "old_master_key", "OLD MASTER KEY", PHOTACTL_TEXT }
};


int
photactl_rekey(photactl_t *ctl)
{
    int            rc;
    phota_rekey_t  r;

    memset(&r, 0, sizeof(phota_rekey_t));

    r.tenants = &ctl->tenants;
    r.ledger = &ctl->ledger;
    r.master = ctl->master;

    rc = (ctl->opts[PHOTACTL_OPT_LOST] != NULL)
         ? photactl_rekey_lost(ctl, &r) : photactl_rekey_all(ctl, &r);

    phota_rekey_forget(&r);

    return rc;
}


static int
photactl_rekey_all(photactl_t *ctl, phota_rekey_t *r)
{
    int  rc;

    rc = phota_rekey_begin(r, &ctl->err);

    if (rc == PHOTA_DECLINED) {

        if (r->lost) {
            phota_error(&ctl->err, "this master key is in force, and opens %u "
                        "of %u sealed keys: photactl doctor",
                        r->total - r->lost, r->total);
            return PHOTA_INVALID;
        }

        return photactl_rekey_said(ctl, r);
    }

    while (rc == PHOTA_OK) {
        photactl_progress("sealing anew", r->looked, r->total);

        rc = phota_rekey_step(r, &ctl->err);
    }

    photactl_progress_end();

    if (rc == PHOTA_DECLINED) {
        rc = phota_rekey_end(r, &ctl->err);
    }

    return (rc == PHOTA_OK) ? photactl_rekey_said(ctl, r)
                            : photactl_rekey_refused(ctl, r, rc);
}


static int
photactl_rekey_refused(photactl_t *ctl, const phota_rekey_t *r, int rc)
{
    char  name[16];

    if (r->ignorant) {
        phota_error(&ctl->err, "%u worker%s of nginx know%s the new master "
                    "key: \"phota_master_key NEW OLD;\", nginx -s reload, and "
                    "again when those that are shutting down have ended%s",
                    r->ignorant, r->ignorant == 1 ? "" : "s",
                    r->ignorant == 1 ? "s not" : " not",
                    r->sealed ? "; what is done stays" : "");
        return PHOTA_REFUSED;
    }

    if (r->lost && photactl_names_load(ctl) == PHOTA_OK) {
        phota_error(&ctl->err, "%u of %u sealed keys, of %.64s first, open "
                    "under neither master key: photactl key set them anew, or "
                    "photactl key remove, then again", r->lost, r->total,
                    r->first ? photactl_name(ctl, r->first, name)
                             : "--default");
        return PHOTA_INVALID;
    }

    return rc;
}


static int
photactl_rekey_lost(photactl_t *ctl, phota_rekey_t *r)
{
    int  rc;

    if (r->master.two) {
        return photactl_wrong(ctl, "--lost goes without --old-master-key");
    }

    rc = phota_rekey_give_up(r, &ctl->err);

    if (rc != PHOTA_OK) {
        return photactl_rekey_refused(ctl, r, rc);
    }

    photactl_note(ctl, "what the lost master key has sealed is lost: photactl "
                  "key set all keys anew; what was cached is bought again, and "
                  "tenants' callbacks have new secrets");

    return PHOTA_OK;
}


static int
photactl_rekey_said(photactl_t *ctl, const phota_rekey_t *r)
{
    const char  *old;

    old = ctl->opts[PHOTACTL_OPT_OLD_MASTER_KEY];

    if (ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
        photactl_value_t  values[] = {
            photactl_number(r->total),
            photactl_number(r->sealed),
            photactl_text(old)
        };

        return photactl_record(ctl, photactl_rekey_columns,
                               photactl_columns(photactl_rekey_columns),
                               values);
    }

    if (r->sealed == 0) {
        (void) fprintf(ctl->out, "nothing to do: all %u keys are sealed under "
                       "this master key\n", r->total);

    } else {
        (void) fprintf(ctl->out, "all %u keys are sealed under the new master "
                       "key, %u of them now\n", r->total, r->sealed);
    }

    if (old != NULL) {
        (void) fprintf(ctl->out, "\"%s\" may go: from phota_master_key when "
                       "what it has signed is over (phota_results_valid, "
                       "phota_job_limit; 24 h each unless set), then nginx -s "
                       "reload; the file when no backup from before now is "
                       "kept\n", old);
    }

    return PHOTA_OK;
}
