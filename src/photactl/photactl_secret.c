
/*
 * What is read and must not be seen: from a pipe as it comes, from a terminal
 * without echo, which comes back whichever way that ends.
 */


#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "photactl_shell.h"


static int photactl_secret_terminal(photactl_t *ctl, u_char *buf,
    size_t *len);
static int photactl_secret_quiet(photactl_t *ctl, const struct termios *old);
static int photactl_secret_bytes(photactl_t *ctl, u_char *buf, size_t *len,
    int line);
static void photactl_signalled(int signo);


static volatile sig_atomic_t  photactl_signal;


int
photactl_secret(photactl_t *ctl, u_char *buf, size_t *len)
{
    int  rc;

    if (isatty(STDIN_FILENO)) {
        rc = photactl_secret_terminal(ctl, buf, len);

    } else {
        rc = photactl_secret_bytes(ctl, buf, len, 0);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    if (*len > 0 && buf[*len - 1] == '\n') {
        (*len)--;
    }

    if (*len > 0 && buf[*len - 1] == '\r') {
        (*len)--;
    }

    return PHOTA_OK;
}


/* without echo, which comes back whichever way this ends */

static int
photactl_secret_terminal(photactl_t *ctl, u_char *buf, size_t *len)
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

    rc = photactl_secret_quiet(ctl, &old);

    if (rc == PHOTA_OK) {
        (void) fprintf(stderr, "%s (not shown): ",
                       ctl->opts[PHOTACTL_OPT_CALLBACK_SECRET] != NULL
                       ? "Callback secret" : "Upstream key");
        rc = photactl_secret_bytes(ctl, buf, len, 1);
        (void) fprintf(stderr, "\n");
    }

    (void) tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);

    for (i = 0; i < 4; i++) {
        (void) sigaction(signals[i], &before[i], NULL);
    }

    if (photactl_signal) {
        phota_cleanse(buf, *len);
        (void) raise(photactl_signal);
    }

    return rc;
}


static int
photactl_secret_quiet(photactl_t *ctl, const struct termios *old)
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
        phota_error(&ctl->err, "the terminal would show the key (give it "
                    "by a pipe or a file)");
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
photactl_secret_bytes(photactl_t *ctl, u_char *buf, size_t *len, int line)
{
    size_t   n;
    ssize_t  got;

    for (n = 0; n < *len; n += got) {

        got = read(STDIN_FILENO, buf + n, *len - n);

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

        if (line && memchr(buf + n, '\n', got) != NULL) {
            n += got;
            break;
        }
    }

    *len = n;

    return PHOTA_OK;
}
