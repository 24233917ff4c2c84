
/*
 * How far a command is, on standard error if that is a terminal: a bar from the
 * first second on, drawn ten times a second at most, and gone when the command
 * says anything else.
 */


#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "photactl_shell.h"


#define PHOTACTL_PROGRESS_AFTER  1000       /* ms */
#define PHOTACTL_PROGRESS_EVERY  100
#define PHOTACTL_PROGRESS_BAR    40         /* characters */


static struct {
    uint64_t  began;                /* ms, 0: not yet */
    uint64_t  drawn;
    int       tty;
} photactl_bar;


void
photactl_progress(photactl_t *ctl, const char *what, uint64_t done,
    uint64_t total)
{
    int       full, percent;
    char      bar[PHOTACTL_PROGRESS_BAR + 1];
    uint64_t  now;

    (void) ctl;

    now = phota_now();

    if (photactl_bar.began == 0) {
        photactl_bar.began = now;
        photactl_bar.tty = isatty(STDERR_FILENO);
    }

    if (!photactl_bar.tty || total == 0
        || now - photactl_bar.began < PHOTACTL_PROGRESS_AFTER
        || now - photactl_bar.drawn < PHOTACTL_PROGRESS_EVERY)
    {
        return;
    }

    photactl_bar.drawn = now;

    if (done > total) {
        done = total;
    }

    percent = (int) (100.0 * (double) done / (double) total);
    full = percent * PHOTACTL_PROGRESS_BAR / 100;

    memset(bar, '.', PHOTACTL_PROGRESS_BAR);
    memset(bar, '#', (size_t) full);
    bar[PHOTACTL_PROGRESS_BAR] = '\0';

    (void) fprintf(stderr, "\r%-16.16s [%s] %3d%%", what, bar, percent);
    (void) fflush(stderr);
}


void
photactl_progress_end(void)
{
    if (photactl_bar.drawn != 0) {
        (void) fprintf(stderr, "\r\033[K");
        (void) fflush(stderr);
    }

    photactl_bar.began = 0;
    photactl_bar.drawn = 0;
}
