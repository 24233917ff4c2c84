
/*
 * The doctor on master keys that are exchanged: which one the books are sealed
 * under, whether a rekey was begun and not finished, and whether nginx has one
 * that nobody needs any more.
 */


#include <stdio.h>
#include <string.h>

#include "phota_keyring.h"
#include "photactl_doctor.h"


#define PHOTACTL_REKEY_MEND  1200


static const char *photactl_rekey_old(photactl_doctor_t *d);
static void photactl_rekey_none(photactl_doctor_t *d, const char *mend);
static void photactl_rekey_state(photactl_doctor_t *d,
    const phota_master_state_t *state, const char *mend);


/* the other one, by --old-master-key or as nginx has it */

void
photactl_doctor_old_master(photactl_doctor_t *d)
{
    const char  *old;

    old = photactl_rekey_old(d);

    if (!d->master || old == NULL) {
        return;
    }

    if (phota_master_add(&d->ctl->master, old, &d->ctl->err) != PHOTA_OK) {
        photactl_found(d, PHOTACTL_FAULT, "master-key", old,
                       "name the right one, in phota_master_key or by "
                       "--old-master-key", "%s", d->ctl->err.text);
    }
}


static const char *
photactl_rekey_old(photactl_doctor_t *d)
{
    return d->ctl->opts[PHOTACTL_OPT_OLD_MASTER_KEY] != NULL
           ? d->ctl->opts[PHOTACTL_OPT_OLD_MASTER_KEY] : d->old_master;
}


void
photactl_doctor_rekey(photactl_doctor_t *d)
{
    int                    rc;
    char                   mend[PHOTACTL_REKEY_MEND];
    MDB_txn               *txn;
    const char            *old;
    phota_master_state_t   state;

    old = photactl_rekey_old(d);

    (void) snprintf(mend, sizeof(mend), "photactl rekey --master-key %s "
                    "--old-master-key %s",
                    photactl_shell(d->ctl)->master_path, old ? old : "OLD");

    if (phota_store_begin(d->ctl->store, 0, &txn, &d->ctl->err) != PHOTA_OK) {
        return;
    }

    rc = phota_master_state(d->ctl->store, txn, &state, &d->ctl->err);

    phota_store_abort(txn);

    if (rc == PHOTA_DECLINED) {
        photactl_rekey_none(d, mend);

    } else if (rc == PHOTA_OK) {
        photactl_rekey_state(d, &state, mend);

    } else {
        photactl_found(d, PHOTACTL_FAULT, "rekey", NULL,
                       "use the version that wrote it", "%s",
                       d->ctl->err.text);
    }
}


static void
photactl_rekey_none(photactl_doctor_t *d, const char *mend)
{
    if (d->old_master != NULL) {
        photactl_found(d, PHOTACTL_REMARK, "rekey", d->old_master, mend,
                       "nginx knows a new master key, and the old one is "
                       "still in force");
        return;
    }

    photactl_found(d, PHOTACTL_FINE, "rekey", NULL, NULL,
                   "the master key has never been changed");
}


static void
photactl_rekey_state(photactl_doctor_t *d, const phota_master_state_t *state,
    const char *mend)
{
    int              rc;
    char             since[PHOTA_TIME_TEXT];
    phota_keyring_t  ring;

    phota_time_format(since, state->time);

    rc = PHOTA_OK;

    if (d->master) {
        rc = phota_keyring_load(&ring, d->ctl->store, &d->ctl->master,
                                &d->ctl->err);
        phota_cleanse(&ring, sizeof(ring));
    }

    if (rc != PHOTA_OK) {
        photactl_found(d, PHOTACTL_FAULT, "rekey", NULL,
                       "name the right one with --master-key; where it is "
                       "lost, photactl rekey --lost", "%s since %s",
                       d->ctl->err.text, since);

    } else if (phota_master_pending(state)) {
        photactl_found(d, PHOTACTL_WARNING, "rekey", NULL, mend,
                       "a rekey began at %s and isn't finished: keys are "
                       "still sealed under the old master key", since);

    } else if (d->old_master != NULL) {
        photactl_found(d, PHOTACTL_REMARK, "rekey", d->old_master,
                       "take it out of phota_master_key when links and jobs "
                       "of before are over, then nginx -s reload",
                       "nginx knows a master key that nothing is sealed under "
                       "since %s", since);

    } else {
        photactl_found(d, PHOTACTL_FINE, "rekey", NULL, NULL,
                       "this master key is in force since %s", since);
    }
}
