
/*
 * Makes writes fail on order: preloaded into nginx or photactl, counts what is
 * written below some directories and lets the calls that a test names fail.
 * Orders come through the file that PHOTA_FAIL names, shared by everyone who
 * maps it; t/lib/Phota/Fail.pm writes it.  They can have the clock go fast as
 * well, which is for times that no test waits for, and threads end late.
 */


#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>


#define FAIL_DIRS   4
#define FAIL_PATH   232
#define FAIL_TRACE  3072


/* how a call fails */

#define FAIL_REFUSE  0              /* it isn't done */
#define FAIL_SHORT   1              /* the first writes half of it */
#define FAIL_LATE    2              /* the first is done, and says it isn't */
#define FAIL_KILL    3              /* the process dies instead */


/* as pack('L9') sees it; a trace is a letter for each call, failed in capital */

typedef struct {
    volatile uint32_t  armed;       /* a bit for each directory */
    volatile uint32_t  first;       /* fail the calls from here, from 1 */
    volatile uint32_t  last;        /* to here */
    volatile uint32_t  error;
    volatile uint32_t  how;
    volatile uint32_t  calls;
    volatile uint32_t  failed;
    volatile uint32_t  clock;       /* seconds that the clock goes fast */
    volatile uint32_t  linger;      /* ms that a thread takes to end */
    char               under[FAIL_DIRS][FAIL_PATH];
    char               trace[FAIL_TRACE];
} fail_order_t;


typedef enum {
    FAIL_DO = 0,
    FAIL_NOT,                       /* errno is set */
    FAIL_HALF,
    FAIL_THEN                       /* do it, then say that it failed */
} fail_verdict_e;


static fail_order_t  *fail_order;


#define fail_real(name)                                                       \
    static __typeof__(name)  *real;                                           \
                                                                              \
    if (real == NULL) {                                                       \
        real = (__typeof__(real)) dlsym(RTLD_NEXT, #name);                    \
    }


static void fail_init(void) __attribute__((constructor));
static void fail_exit(void);
static fail_verdict_e fail_fd(int fd, char op);
static fail_verdict_e fail_path(const char *path, char op);
static unsigned fail_where(const char *path);
static fail_verdict_e fail_call(unsigned where, char op);
static int fail_makes(const char *path, int flags);


static void
fail_init(void)
{
    int          fd;
    void        *p;
    struct stat  st;
    const char  *name;

    name = getenv("PHOTA_FAIL");

    if (name == NULL) {
        return;
    }

    fd = open(name, O_RDWR|O_CLOEXEC);

    if (fd == -1) {
        (void) fprintf(stderr, "fail.so: \"%s\": %s\n", name,
                       strerror(errno));
        _exit(127);
    }

    p = MAP_FAILED;

    if (fstat(fd, &st) == 0 && (size_t) st.st_size >= sizeof(fail_order_t)) {
        p = mmap(NULL, sizeof(fail_order_t), PROT_READ|PROT_WRITE, MAP_SHARED,
                 fd, 0);
    }

    if (p == MAP_FAILED) {
        (void) fprintf(stderr, "fail.so: \"%s\" is no order\n", name);
        _exit(127);
    }

    (void) close(fd);

    fail_order = p;

    (void) atexit(fail_exit);
}


/* the process is there for as long as its threads take to end */

static void
fail_exit(void)
{
    (void) usleep(2 * fail_order->linger * 1000);
}


static fail_verdict_e
fail_fd(int fd, char op)
{
    int      saved;
    char     link[32], path[FAIL_PATH + 64];
    ssize_t  n;

    if (fail_order == NULL || fail_order->armed == 0) {
        return FAIL_DO;
    }

    saved = errno;

    (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);

    n = readlink(link, path, sizeof(path) - 1);
    errno = saved;

    if (n <= 0) {
        return FAIL_DO;
    }

    path[n] = '\0';

    return fail_call(fail_where(path), op);
}


static fail_verdict_e
fail_path(const char *path, char op)
{
    if (fail_order == NULL || fail_order->armed == 0) {
        return FAIL_DO;
    }

    return fail_call(fail_where(path), op);
}


/* the bit of the directory that it lies in */

static unsigned
fail_where(const char *path)
{
    size_t       len;
    unsigned     i;
    const char  *dir;

    for (i = 0; i < FAIL_DIRS; i++) {
        dir = fail_order->under[i];
        len = strnlen(dir, FAIL_PATH);

        if (len != 0 && strncmp(path, dir, len) == 0
            && (path[len] == '/' || path[len] == '\0'))
        {
            return 1u << i;
        }
    }

    return 0;
}


static fail_verdict_e
fail_call(unsigned where, char op)
{
    uint32_t       n, failed;
    fail_order_t  *order;

    order = fail_order;

    if ((order->armed & where) == 0) {
        return FAIL_DO;
    }

    n = __sync_add_and_fetch(&order->calls, 1);

    if (n < order->first || n > order->last) {
        if (n <= FAIL_TRACE) {
            order->trace[n - 1] = op;
        }

        return FAIL_DO;
    }

    if (n <= FAIL_TRACE) {
        order->trace[n - 1] = (char) (op - 'a' + 'A');
    }

    failed = __sync_add_and_fetch(&order->failed, 1);
    errno = (int) order->error;

    if (order->how == FAIL_KILL) {
        (void) kill(getpid(), SIGKILL);
        (void) pause();
    }

    if (failed == 1 && order->how == FAIL_SHORT) {
        return FAIL_HALF;
    }

    if (failed == 1 && order->how == FAIL_LATE) {
        return FAIL_THEN;
    }

    return FAIL_NOT;
}


/* a full disk keeps nobody from opening what is there */

static int
fail_makes(const char *path, int flags)
{
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        return 1;
    }

    return (flags & O_CREAT) && access(path, F_OK) == -1;
}


/* what is left is a body for each call; half of one byte is none: an error */

#define fail_done(rc)                                                         \
    do {                                                                      \
        (void) (rc);                                                          \
        errno = (int) fail_order->error;                                      \
        return -1;                                                            \
    } while (0)


#define fail_write(name, op, args, half)                                      \
    fail_real(name)                                                           \
                                                                              \
    switch (fail_fd(fd, op)) {                                                \
    case FAIL_NOT:                                                            \
        return -1;                                                            \
    case FAIL_HALF:                                                           \
        return half;                                                          \
    case FAIL_THEN:                                                           \
        fail_done(real args);                                                 \
    default:                                                                  \
        return real args;                                                     \
    }


#define fail_simple(name, verdict, args)                                      \
    fail_real(name)                                                           \
                                                                              \
    switch (verdict) {                                                        \
    case FAIL_DO:                                                             \
        return real args;                                                     \
    case FAIL_THEN:                                                           \
        fail_done(real args);                                                 \
    default:                                                                  \
        return -1;                                                            \
    }


ssize_t
write(int fd, const void *p, size_t n)
{
    fail_write(write, 'w', (fd, p, n), real(fd, p, n / 2))
}


ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
    fail_write(pwrite, 'p', (fd, p, n, at), real(fd, p, n / 2, at))
}


ssize_t
pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    fail_write(pwrite64, 'p', (fd, p, n, at), real(fd, p, n / 2, at))
}


/* half of a vector is its first part */

ssize_t
writev(int fd, const struct iovec *iov, int n)
{
    fail_write(writev, 'v', (fd, iov, n),
               write(fd, iov[0].iov_base, iov[0].iov_len / 2))
}


ssize_t
pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
    fail_write(pwritev, 'v', (fd, iov, n, at),
               pwrite(fd, iov[0].iov_base, iov[0].iov_len / 2, at))
}


ssize_t
pwritev64(int fd, const struct iovec *iov, int n, off64_t at)
{
    fail_write(pwritev64, 'v', (fd, iov, n, at),
               pwrite64(fd, iov[0].iov_base, iov[0].iov_len / 2, at))
}


int
fsync(int fd)
{
    fail_simple(fsync, fail_fd(fd, 's'), (fd))
}


int
fdatasync(int fd)
{
    fail_simple(fdatasync, fail_fd(fd, 's'), (fd))
}


int
ftruncate(int fd, off_t size)
{
    fail_simple(ftruncate, fail_fd(fd, 't'), (fd, size))
}


int
ftruncate64(int fd, off64_t size)
{
    fail_simple(ftruncate64, fail_fd(fd, 't'), (fd, size))
}


/* these return the error */

int
posix_fallocate(int fd, off_t at, off_t size)
{
    fail_real(posix_fallocate)

    return (fail_fd(fd, 't') == FAIL_DO) ? real(fd, at, size)
                                         : (int) fail_order->error;
}


int
posix_fallocate64(int fd, off64_t at, off64_t size)
{
    fail_real(posix_fallocate64)

    return (fail_fd(fd, 't') == FAIL_DO) ? real(fd, at, size)
                                         : (int) fail_order->error;
}


int
rename(const char *from, const char *to)
{
    fail_simple(rename, fail_path(to, 'n'), (from, to))
}


int
mkdir(const char *path, mode_t mode)
{
    fail_simple(mkdir, fail_makes(path, O_CREAT) ? fail_path(path, 'm')
                                                 : FAIL_DO, (path, mode))
}


#define fail_open(name)                                                       \
    mode_t   mode;                                                            \
    va_list  args;                                                            \
    fail_real(name)                                                           \
                                                                              \
    mode = 0;                                                                 \
                                                                              \
    if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) {              \
        va_start(args, flags);                                                \
        mode = va_arg(args, mode_t);                                          \
        va_end(args);                                                         \
    }                                                                         \
                                                                              \
    if (fail_makes(path, flags) && fail_path(path, 'o') != FAIL_DO) {         \
        return -1;                                                            \
    }                                                                         \
                                                                              \
    return real(path, flags, mode);


int
open(const char *path, int flags, ...)
{
    fail_open(open)
}


int
open64(const char *path, int flags, ...)
{
    fail_open(open64)
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int  rc;
    fail_real(clock_gettime)

    rc = real(id, ts);

    if (rc == 0 && id == CLOCK_REALTIME && fail_order != NULL) {
        ts->tv_sec += (time_t) fail_order->clock;
    }

    return rc;
}


/* what a thread leaves behind is put away as late as a busy machine does it */

void
pthread_exit(void *value)
{
    fail_real(pthread_exit)

    if (fail_order != NULL && fail_order->linger != 0) {
        (void) usleep(fail_order->linger * 1000);
    }

    real(value);

    abort();
}
