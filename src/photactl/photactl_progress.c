
/*
 * How far a command is, on standard error if that is a terminal: a bar from the
 * first second on, drawn ten times a second at most, and gone when the command
 * says anything else.
 */


#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "photactl_shell.h"


#define PHOTACTL_PROGRESS_AFTER  1000       /* ms */
#define PHOTACTL_PROGRESS_EVERY  100
#define PHOTACTL_PROGRESS_BAR    40         /* characters */
#define PHOTACTL_PROGRESS_ROOM   25         /* for all beside the bar */


static void photactl_progress_draw(const char *what, uint64_t done,
    uint64_t total);
static void photactl_progress_erase(void);
static ssize_t photactl_progress_write(void *cookie, const char *buf,
    size_t size);
static unsigned photactl_progress_width(int fd);


static struct {
    pthread_mutex_t  mutex;
    uint64_t         began;         /* ms, 0: not yet */
    uint64_t         drawn;
    int              tty;
    int              width;         /* characters of the bar */
} photactl_bar = { PTHREAD_MUTEX_INITIALIZER, 0, 0, 0, 0 };


void
photactl_progress(const char *what, uint64_t done, uint64_t total)
{
    /* who comes while another draws has nothing newer to show */

    if (pthread_mutex_trylock(&photactl_bar.mutex) != 0) {
        return;
    }

    photactl_progress_draw(what, done, total);

    (void) pthread_mutex_unlock(&photactl_bar.mutex);
}


static void
photactl_progress_draw(const char *what, uint64_t done, uint64_t total)
{
    int       full, percent;
    char      bar[PHOTACTL_PROGRESS_BAR + 1];
    uint64_t  now;
    unsigned  width;

    now = phota_now();

    if (photactl_bar.began == 0) {
        photactl_bar.began = now;
        photactl_bar.tty = isatty(STDERR_FILENO);

        width = photactl_progress_width(STDERR_FILENO);

        photactl_bar.width = PHOTACTL_PROGRESS_BAR;

        if (width < PHOTACTL_PROGRESS_BAR + PHOTACTL_PROGRESS_ROOM) {
            photactl_bar.width = (width > PHOTACTL_PROGRESS_ROOM)
                                 ? (int) width - PHOTACTL_PROGRESS_ROOM : 0;
        }
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
    full = percent * photactl_bar.width / 100;

    memset(bar, '.', (size_t) photactl_bar.width);
    memset(bar, '#', (size_t) full);
    bar[photactl_bar.width] = '\0';

    (void) fprintf(stderr, "\r%-16.16s [%s] %3d%%", what, bar, percent);
    (void) fflush(stderr);
}


void
photactl_progress_end(void)
{
    (void) pthread_mutex_lock(&photactl_bar.mutex);

    photactl_progress_erase();
    photactl_bar.began = 0;

    (void) pthread_mutex_unlock(&photactl_bar.mutex);
}


static void
photactl_progress_erase(void)
{
    if (photactl_bar.drawn != 0) {
        (void) fprintf(stderr, "\r\033[K");
        (void) fflush(stderr);
    }

    photactl_bar.drawn = 0;
}


FILE *
photactl_progress_out(unsigned *width)
{
    FILE                     *out;
    cookie_io_functions_t     functions;

    phota_work = photactl_progress;
    *width = 0;

    if (!isatty(STDOUT_FILENO)) {
        return stdout;
    }

    *width = photactl_progress_width(STDOUT_FILENO);

    memset(&functions, 0, sizeof(functions));
    functions.write = photactl_progress_write;

    out = fopencookie(NULL, "w", functions);

    if (out == NULL) {
        return stdout;
    }

    (void) setvbuf(out, NULL, _IOLBF, BUFSIZ);

    return out;
}


/* 0, as every error is told by such a stream, when it couldn't be written */

static ssize_t
photactl_progress_write(void *cookie, const char *buf, size_t size)
{
    size_t   done;
    ssize_t  n;

    (void) cookie;

    (void) pthread_mutex_lock(&photactl_bar.mutex);
    photactl_progress_erase();
    (void) pthread_mutex_unlock(&photactl_bar.mutex);

    for (done = 0; done < size; done += (size_t) n) {
        n = write(STDOUT_FILENO, buf + done, size - done);

        if (n <= 0) {
            return 0;
        }
    }

    return (ssize_t) size;
}


/* COLUMNS counts, as elsewhere; where nobody knows it is what it always was */

static unsigned
photactl_progress_width(int fd)
{
    char            *end;
    const char      *text;
    unsigned long    columns;
    struct winsize   size;

    text = getenv("COLUMNS");

    if (text != NULL) {
        columns = strtoul(text, &end, 10);

        if (*text != '\0' && *end == '\0' && columns < 10000) {
            return (unsigned) columns;
        }
    }

    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col != 0) {
        return size.ws_col;
    }

    return 80;
}
