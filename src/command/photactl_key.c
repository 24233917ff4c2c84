
/*
 * photactl key: the key of an account at a provider, or the secret that signs
 * its callbacks, comes in hidden, is sealed, and is never shown at all.  What
 * follows from a change is said: who is fenced in, which jobs it is about.
 */


#include <stdio.h>
#include <string.h>

#include "photactl.h"


#define PHOTACTL_KEY_ROOM  (PHOTA_KEY_MAX + 3)      /* line end, too long */


typedef struct {
    const char        *tenant;          /* NULL: the default account */
    uint32_t           id;
    phota_provider_e   provider;
    phota_secret_e     what;
} photactl_key_t;


/* open jobs whose upstream is asked with that key, or was */

typedef struct {
    photactl_t             *ctl;
    const photactl_key_t   *which;
    unsigned                n;
    phota_error_t           err;
} photactl_key_jobs_t;


static int photactl_key_which(photactl_t *ctl, photactl_key_t *which);
static void photactl_key_told(photactl_t *ctl, const photactl_key_t *which,
    unsigned told);
static void photactl_key_jobs(photactl_t *ctl, const photactl_key_t *which,
    const char *with);
static int photactl_key_job(void *ctx, const phota_job_t *job);


int
photactl_key_set(photactl_t *ctl)
{
    int              rc;
    size_t           len;
    u_char           key[PHOTACTL_KEY_ROOM];
    unsigned         told;
    photactl_key_t   which;

    rc = photactl_key_which(ctl, &which);
    if (rc != PHOTA_OK) {
        return rc;
    }

    len = sizeof(key);
    told = 0;

    rc = ctl->host->secret(ctl, key, &len);

    /* nothing at all would take away what is there */

    if (rc == PHOTA_OK && len == 0) {
        phota_error(&ctl->err, "not a key: it is empty");
        rc = PHOTA_INVALID;
    }

    if (rc == PHOTA_OK) {
        rc = phota_key_set(&ctl->tenants, &ctl->master, which.tenant,
                           which.provider, which.what, key, len, &told,
                           &ctl->err);
    }

    phota_cleanse(key, sizeof(key));

    if (rc == PHOTA_OK) {
        photactl_key_told(ctl, &which, told);
    }

    return rc;
}


static void
photactl_key_told(photactl_t *ctl, const photactl_key_t *which,
    unsigned told)
{
    if (told & PHOTA_KEY_SHARED) {
        photactl_note(ctl, "this key is another's too, they share an account: "
                      "its tenants are fenced from now on");
    }

    if (told & PHOTA_KEY_UNSIGNED) {
        photactl_note(ctl, "the callback secret was the old account's, it is "
                      "removed: set the new one's with --callback-secret");
    }

    if (told & PHOTA_KEY_CHANGED) {
        photactl_key_jobs(ctl, which, "with the new key");
    }
}


int
photactl_key_remove(photactl_t *ctl)
{
    int              rc;
    photactl_key_t   which;

    rc = photactl_key_which(ctl, &which);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_key_set(&ctl->tenants, &ctl->master, which.tenant,
                       which.provider, which.what, NULL, 0, NULL, &ctl->err);

    if (rc != PHOTA_OK || which.what != PHOTA_SECRET_KEY) {
        return rc;
    }

    rc = (which.tenant != NULL)
         ? phota_key_has(&ctl->tenants, PHOTA_TENANT_DEFAULT, which.provider,
                         &ctl->err)
         : PHOTA_DECLINED;

    photactl_key_jobs(ctl, &which, (rc == PHOTA_DECLINED)
                                   ? "with no key" : "with the default key");

    return PHOTA_OK;
}


/* it is done by then: what can't be counted doesn't make it fail */

static void
photactl_key_jobs(photactl_t *ctl, const photactl_key_t *which,
    const char *with)
{
    int                  rc;
    photactl_key_jobs_t  jobs;

    memset(&jobs, 0, sizeof(jobs));
    jobs.ctl = ctl;
    jobs.which = which;

    rc = phota_jobs_each(&ctl->jobs, which->id, photactl_key_job, &jobs,
                         &jobs.err);

    if (jobs.n != 0) {
        photactl_note(ctl, "%u open job%s will be asked for %s from now on",
                      jobs.n, jobs.n == 1 ? "" : "s", with);
    }

    if (rc != PHOTA_OK) {
        photactl_note(ctl, "it is done, but not all open jobs could be "
                      "counted: %s", jobs.err.text);
    }
}


static int
photactl_key_job(void *ctx, const phota_job_t *job)
{
    photactl_key_jobs_t  *jobs = ctx;

    int  rc;

    if (job->state != PHOTA_JOB_OPEN || job->kind == PHOTA_JOB_STORED
        || job->provider != jobs->which->provider)
    {
        return PHOTA_OK;
    }

    if (jobs->which->tenant == NULL) {

        rc = phota_key_has(&jobs->ctl->tenants, job->tenant, job->provider,
                           &jobs->err);

        if (rc != PHOTA_DECLINED) {
            return rc;
        }
    }

    jobs->n++;

    return PHOTA_OK;
}


/* before someone has to type it */

static int
photactl_key_which(photactl_t *ctl, photactl_key_t *which)
{
    int                      rc;
    const char              *name;
    phota_tenant_t           tenant;
    const phota_provider_t  *provider;

    if ((ctl->nargs == 0) == (ctl->opts[PHOTACTL_OPT_DEFAULT] == NULL)) {
        return photactl_wrong(ctl, "either a tenant or --default");
    }

    which->tenant = ctl->nargs ? ctl->args[0] : NULL;
    which->id = PHOTA_TENANT_DEFAULT;
    which->provider = PHOTA_PROVIDER_PHOTA;
    which->what = (ctl->opts[PHOTACTL_OPT_CALLBACK_SECRET] != NULL)
                  ? PHOTA_SECRET_CALLBACK : PHOTA_SECRET_KEY;

    name = ctl->opts[PHOTACTL_OPT_PROVIDER];

    if (name != NULL) {
        provider = phota_provider_by_name((const u_char *) name,
                                          strlen(name));
        if (provider == NULL) {
            return photactl_wrong(ctl, "--provider \"%.64s\": there is none "
                                  "of this name", name);
        }

        which->provider = provider->id;
    }

    if (which->tenant == NULL) {
        return PHOTA_OK;
    }

    rc = phota_tenant_get(&ctl->tenants, which->tenant, &tenant, &ctl->err);

    if (rc == PHOTA_OK) {
        which->id = tenant.id;
    }

    return rc;
}
