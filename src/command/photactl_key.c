
/*
 * photactl key: the key of an account at a provider, or the secret that signs
 * its callbacks, comes in by stdin, is sealed, and is never shown at all.  What
 * follows from a change is said: who is fenced in, which jobs it is about.
 */


#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

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
static int photactl_key_read(photactl_t *ctl, u_char *key, size_t *len);
static int photactl_key_terminal(photactl_t *ctl, u_char *key, size_t *len);
static int photactl_key_quiet(photactl_t *ctl, const struct termios *old);
static int photactl_key_bytes(photactl_t *ctl, u_char *key, size_t *len,
    int line);
static void photactl_signalled(int signo);


static volatile sig_atomic_t  photactl_signal;


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

    rc = photactl_key_read(ctl, key, &len);

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
        (void) fprintf(stderr, "photactl: key set: this key is another's "
                       "too, they share an account: its tenants are fenced "
                       "from now on\n");
    }

    if (told & PHOTA_KEY_UNSIGNED) {
        (void) fprintf(stderr, "photactl: key set: the callback secret was "
                       "the old account's, it is removed: set the new one's "
                       "with --callback-secret\n");
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
        (void) fprintf(stderr, "photactl: key %s: %u open job%s will be asked "
                       "for %s from now on\n", ctl->command->verb, jobs.n,
                       jobs.n == 1 ? "" : "s", with);
    }

    if (rc != PHOTA_OK) {
        (void) fprintf(stderr, "photactl: key %s: it is done, but not all "
                       "open jobs could be counted: %s\n",
                       ctl->command->verb, jobs.err.text);
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


static int
photactl_key_read(photactl_t *ctl, u_char *key, size_t *len)
{
    int  rc;

    if (isatty(STDIN_FILENO)) {
        rc = photactl_key_terminal(ctl, key, len);

    } else {
        rc = photactl_key_bytes(ctl, key, len, 0);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    if (*len > 0 && key[*len - 1] == '\n') {
        (*len)--;
    }

    if (*len > 0 && key[*len - 1] == '\r') {
        (*len)--;
    }

    return PHOTA_OK;
}


/* without echo, which comes back whichever way this ends */

static int
photactl_key_terminal(photactl_t *ctl, u_char *key, size_t *len)
{
    int               rc;
    unsigned          i;
    struct termios    old;
    struct sigaction  sa, before[4];

    static const int  signals[4] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

    if (tcgetattr(STDIN_FILENO, &old) == -1) {
        phota_error(&ctl->err, "the terminal: %s", strerror(errno));
        return PHOTA_ERROR;
    }

    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = photactl_signalled;
    (void) sigemptyset(&sa.sa_mask);

    for (i = 0; i < 4; i++) {
        (void) sigaction(signals[i], &sa, &before[i]);
    }

    rc = photactl_key_quiet(ctl, &old);

    if (rc == PHOTA_OK) {
        (void) fprintf(stderr, "%s (not shown): ",
                       ctl->opts[PHOTACTL_OPT_CALLBACK_SECRET] != NULL
                       ? "Callback secret" : "Upstream key");
        rc = photactl_key_bytes(ctl, key, len, 1);
        (void) fprintf(stderr, "\n");
    }

    (void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);

    for (i = 0; i < 4; i++) {
        (void) sigaction(signals[i], &before[i], NULL);
    }

    if (photactl_signal) {
        phota_cleanse(key, *len);
        (void) raise(photactl_signal);
    }

    return rc;
}


static int
photactl_key_quiet(photactl_t *ctl, const struct termios *old)
{
    struct termios  quiet, now;

    quiet = *old;
    quiet.c_lflag &= ~(tcflag_t) ECHO;

    /* nobody could put the echo back for a process that was stopped */

    quiet.c_cc[VSUSP] = _POSIX_VDISABLE;

    /* it succeeds when any of the changes was made */

    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == -1
        || tcgetattr(STDIN_FILENO, &now) == -1
        || (now.c_lflag & ECHO))
    {
        phota_error(&ctl->err, "the terminal would show the key (give it by "
                    "a pipe or a file)");
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


static void
photactl_signalled(int signo)
{
    photactl_signal = signo;
}


/* to the end of the input, or of the line; what is too long is cut */

static int
photactl_key_bytes(photactl_t *ctl, u_char *key, size_t *len, int line)
{
    size_t   n;
    ssize_t  got;

    for (n = 0; n < *len; n += got) {

        got = read(STDIN_FILENO, key + n, *len - n);

        if (got == 0) {
            break;
        }

        if (got == -1) {
            if (errno == EINTR && !photactl_signal) {
                got = 0;
                continue;
            }

            phota_error(&ctl->err, "stdin: %s", strerror(errno));
            return PHOTA_ERROR;
        }

        if (line && memchr(key + n, '\n', got) != NULL) {
            n += got;
            break;
        }
    }

    *len = n;

    return PHOTA_OK;
}
