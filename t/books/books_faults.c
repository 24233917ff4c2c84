
/*
 * The machine below the books: time is what "clock" says, nothing is synced,
 * for what a killed process has written stays, and a file operation to come can
 * be made to kill the process or to fail.
 */


#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "books.h"


uint64_t  books_clock;
int64_t   books_count;
int       books_errno;


/* these take the place of libc's for this program */

int
clock_gettime(clockid_t id, struct timespec *ts)
{
    if (id != CLOCK_REALTIME) {
        return (int) syscall(SYS_clock_gettime, id, ts);
    }

    ts->tv_sec = (time_t) (books_clock / 1000);
    ts->tv_nsec = (long) (books_clock % 1000 * 1000000);

    return 0;
}


static int
books_fault(void)
{
    if (books_count == 0 || --books_count > 0) {
        return 0;
    }

    if (books_errno == 0) {
        (void) kill(getpid(), SIGKILL);
    }

    errno = books_errno;
    return -1;
}


ssize_t
write(int fd, const void *p, size_t n)
{
    return books_fault() ? -1 : syscall(SYS_write, fd, p, n);
}


ssize_t
pwrite(int fd, const void *p, size_t n, off_t offset)
{
    return books_fault() ? -1 : syscall(SYS_pwrite64, fd, p, n, offset);
}


ssize_t
pwrite64(int fd, const void *p, size_t n, off64_t offset)
{
    return books_fault() ? -1 : syscall(SYS_pwrite64, fd, p, n, offset);
}


ssize_t
writev(int fd, const struct iovec *iov, int n)
{
    return books_fault() ? -1 : syscall(SYS_writev, fd, iov, n);
}


int
fsync(int fd)
{
    (void) fd;

    return books_fault();
}


int
fdatasync(int fd)
{
    (void) fd;

    return books_fault();
}


int
msync(void *p, size_t n, int flags)
{
    (void) p;
    (void) n;
    (void) flags;

    return books_fault();
}


int
rename(const char *from, const char *to)
{
    return books_fault() ? -1
                         : (int) syscall(SYS_renameat2, -100, from, -100, to,
                                         0);
}
