
/*
 * A load generator that is cheap beside what it measures: one thread, one
 * epoll, keep-alive connections, a request that lies ready in memory, answers
 * that are read into one buffer and compared.  A request may have a place
 * where a number is written, so that no two are alike.
 *
 *   load [-c CONNECTIONS] [-t SECONDS | -n REQUESTS] [-w SECONDS] [-e TEXT]
 *        [-s STATUS] [-r NUMBERS] [-k FILE] [-v] PORT FILE
 *
 *   -e  a text that each answer's header must have
 *   -s  the status of each answer, 200 by default
 *   -r  the number is a random one below this, not another each time
 *   -k  lines of this file, each as long as the first run of '%', stand in its
 *       place, one at random in each request
 *   -v  answers vary: their lengths and bytes aren't compared
 *   -w  seconds that aren't counted, at the beginning
 *
 * FILE is a whole request.  The first run of '@' in it is the place: it gets a
 * number of as many digits.  One line of JSON on stdout; exit 1 when an answer
 * was wrong.
 */


#define XXH_INLINE_ALL

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <xxhash.h>


#define LOAD_BUFFER   (256 * 1024)
#define LOAD_HEADER   8192
#define LOAD_PATIENCE ((uint64_t) 20000000)         /* us */


typedef struct {
    int        fd;
    char      *request;             /* its own where it has a key's place */
    size_t     sent;
    char       number[24];          /* this request's, in its place */

    char       header[LOAD_HEADER];
    size_t     header_len;
    int        in_body;
    int        answered;            /* before it was all sent */
    int        idle;                /* has ended its last request */
    uint64_t   left;                /* bytes of body to come */
    uint64_t   length;
    uint64_t   begun;               /* us */
    XXH3_state_t  hash;
} load_connection_t;


static struct {
    const char          *expected;
    char                *request;
    size_t               len;
    size_t               place;     /* of the number, and its digits */
    size_t               digits;
    unsigned             varied;
    unsigned             status;
    uint16_t             port;

    char                *keys;      /* lines */
    size_t               nkeys;
    size_t               key_place;
    size_t               key_len;

    uint64_t             number;
    uint64_t             numbers;   /* below which it is, 0: counted up */
    uint64_t             seed;
    uint64_t             counted_from;
    uint64_t             until;
    uint64_t             most;

    uint32_t            *times;     /* us, of each answer that counts */
    size_t               ntimes;
    size_t               size;
    uint64_t             answers;
    uint64_t             bytes;
    uint64_t             wrong;
    unsigned             busy;      /* connections with a request */
    unsigned             over;      /* nothing more is begun */
    unsigned             seen;
    uint64_t             first_length;
    uint64_t             first_hash;
    char                 complaint[256];

    int                  epoll;
} load;


static char  load_buffer[LOAD_BUFFER];


static void load_options(int argc, char **argv);
static void load_read_request(const char *path);
static char *load_read_file(const char *path, size_t *len);
static size_t load_run(char c, size_t *place);
static void load_read_keys(const char *path);
static uint64_t load_random(void);
static void load_open(load_connection_t *c);
static void load_begin(load_connection_t *c);
static void load_send(load_connection_t *c);
static void load_receive(load_connection_t *c);
static size_t load_head(load_connection_t *c, const char *p, size_t n);
static void load_end(load_connection_t *c);
static void load_complain(const char *what, const char *detail);
static uint64_t load_now(void);
static int load_cmp(const void *a, const void *b);
static void load_report(uint64_t begun, uint64_t ended);
static void load_die(const char *what);


static unsigned  load_connections = 1;
static double    load_seconds = 5;
static double    load_warm = 0;
static char     *load_keys;


int
main(int argc, char **argv)
{
    int                  i, n;
    uint64_t             now;
    load_connection_t   *c, *connections;
    struct epoll_event   events[64];

    load_options(argc, argv);

    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc(load_connections, sizeof(load_connection_t));

    if (load.epoll == -1 || connections == NULL) {
        load_die("epoll");
    }

    now = load_now();
    load.counted_from = now + (uint64_t) (load_warm * 1e6);
    load.until = load.most ? UINT64_MAX - LOAD_PATIENCE
                           : load.counted_from
                             + (uint64_t) (load_seconds * 1e6);

    load.busy = load_connections;

    for (i = 0; i < (int) load_connections; i++) {
        connections[i].fd = -1;
        connections[i].request = load.request;

        if (load.nkeys) {
            connections[i].request = malloc(load.len);

            if (connections[i].request == NULL) {
                load_die("memory");
            }

            memcpy(connections[i].request, load.request, load.len);
        }

        load_begin(&connections[i]);
    }

    /*
     * What is under way at the end is waited for, uncounted: a server's time
     * is that of all answers, and of no half of a request.
     */

    while (load.busy && now < load.until + LOAD_PATIENCE) {

        if (now >= load.until || (load.most && load.answers >= load.most)) {
            load.over = 1;
        }

        n = epoll_wait(load.epoll, events, 64, 1000);

        for (i = 0; i < n; i++) {
            c = events[i].data.ptr;

            if (c->idle) {
                continue;
            }

            if (events[i].events & (EPOLLIN|EPOLLHUP|EPOLLERR)) {
                load_receive(c);
            }

            if ((events[i].events & EPOLLOUT) && c->fd != -1 && !c->idle) {
                load_send(c);
            }
        }

        now = load_now();

        if (load.wrong > 100) {
            break;
        }
    }

    load_report(load.counted_from, load.until < now ? load.until : now);

    return load.wrong ? 1 : 0;
}


static void
load_options(int argc, char **argv)
{
    int  opt;

    load.status = 200;

    while ((opt = getopt(argc, argv, "c:t:n:w:e:s:r:k:v")) != -1) {
        switch (opt) {
        case 'c':
            load_connections = (unsigned) atoi(optarg);
            break;
        case 't':
            load_seconds = atof(optarg);
            break;
        case 'n':
            load.most = (uint64_t) atoll(optarg);
            break;
        case 'w':
            load_warm = atof(optarg);
            break;
        case 'e':
            load.expected = optarg;
            break;
        case 's':
            load.status = (unsigned) atoi(optarg);
            break;
        case 'r':
            load.numbers = (uint64_t) atoll(optarg);
            break;
        case 'k':
            load_keys = optarg;
            break;
        case 'v':
            load.varied = 1;
            break;
        default:
            exit(2);
        }
    }

    if (argc - optind != 2 || load_connections == 0) {
        fprintf(stderr, "usage: load [options] PORT FILE\n");
        exit(2);
    }

    load.port = (uint16_t) atoi(argv[optind]);
    load_read_request(argv[optind + 1]);

    if (load_keys != NULL) {
        load_read_keys(load_keys);
    }
}


static void
load_read_request(const char *path)
{
    load.request = load_read_file(path, &load.len);
    load.digits = load_run('@', &load.place);

    if (load.digits > sizeof(((load_connection_t *) 0)->number) - 1) {
        load.digits = sizeof(((load_connection_t *) 0)->number) - 1;
    }

    /* other runs of this program, on the same gateway, are others */

    load.number = load_now();
    load.seed = load.number | 1;
}


static char *
load_read_file(const char *path, size_t *len)
{
    int          fd;
    char        *p;
    ssize_t      n;
    struct stat  st;

    fd = open(path, O_RDONLY|O_CLOEXEC);

    if (fd == -1 || fstat(fd, &st) == -1) {
        load_die(path);
    }

    p = malloc((size_t) st.st_size + 1);
    if (p == NULL) {
        load_die("memory");
    }

    *len = 0;

    while (*len < (size_t) st.st_size) {
        n = read(fd, p + *len, (size_t) st.st_size - *len);
        if (n <= 0) {
            load_die(path);
        }

        *len += (size_t) n;
    }

    (void) close(fd);

    return p;
}


/* the first run of a character in the request, how long it is and where */

static size_t
load_run(char c, size_t *place)
{
    char    *p;
    size_t   n;

    p = memchr(load.request, c, load.len);

    if (p == NULL) {
        return 0;
    }

    *place = (size_t) (p - load.request);

    for (n = 0; *place + n < load.len && p[n] == c; n++) {
        /* void */
    }

    return n;
}


static void
load_read_keys(const char *path)
{
    size_t  len;

    load.keys = load_read_file(path, &len);
    load.key_len = load_run('%', &load.key_place);
    load.nkeys = len / (load.key_len + 1);

    if (load.key_len == 0 || load.nkeys * (load.key_len + 1) != len
        || load.keys[load.key_len] != '\n')
    {
        load_die("keys");
    }
}


static uint64_t
load_random(void)
{
    load.seed ^= load.seed << 13;
    load.seed ^= load.seed >> 7;
    load.seed ^= load.seed << 17;

    return load.seed;
}


static void
load_open(load_connection_t *c)
{
    int                 on;
    struct epoll_event  event;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(load.port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    c->fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0);

    if (c->fd == -1
        || connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) == -1)
    {
        load_die("connect");
    }

    on = 1;
    (void) setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void) fcntl(c->fd, F_SETFL, O_NONBLOCK);

    event.events = EPOLLIN|EPOLLOUT|EPOLLET;
    event.data.ptr = c;

    if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &event) == -1) {
        load_die("epoll_ctl");
    }
}


static void
load_begin(load_connection_t *c)
{
    uint64_t  number;

    if (c->fd == -1) {
        load_open(c);
    }

    c->sent = 0;
    c->header_len = 0;
    c->in_body = 0;
    c->answered = 0;
    c->begun = load_now();

    if (load.nkeys) {
        memcpy(c->request + load.key_place,
               load.keys + load_random() % load.nkeys * (load.key_len + 1),
               load.key_len);
    }

    if (load.digits) {
        number = load.numbers ? load_random() % load.numbers : load.number++;

        (void) snprintf(c->number, sizeof(c->number), "%0*llu",
                        (int) load.digits, (unsigned long long) number);
        memmove(c->number, c->number + strlen(c->number) - load.digits,
                load.digits + 1);
    }

    load_send(c);
}


static void
load_send(load_connection_t *c)
{
    size_t       end;
    ssize_t      n;
    const char  *p;

    while (c->sent < load.len) {

        p = c->request + c->sent;
        end = load.len;

        if (load.digits) {
            if (c->sent < load.place) {
                end = load.place;

            } else if (c->sent < load.place + load.digits) {
                p = c->number + (c->sent - load.place);
                end = load.place + load.digits;
            }
        }

        n = send(c->fd, p, end - c->sent,
                 MSG_NOSIGNAL | (end < load.len ? MSG_MORE : 0));

        if (n == -1) {
            if (errno == EAGAIN) {
                return;
            }

            load_complain("send", strerror(errno));
            return;
        }

        c->sent += (size_t) n;
    }

    if (c->answered) {
        load_end(c);
    }
}


static void
load_receive(load_connection_t *c)
{
    size_t   used;
    ssize_t  n;

    for ( ;; ) {
        n = recv(c->fd, load_buffer, LOAD_BUFFER, 0);

        if (n == -1 && errno == EAGAIN) {
            return;
        }

        if (n <= 0) {

            /* between two requests a server may end a connection */

            if (n == -1 || c->header_len || c->in_body || c->sent > 0) {
                load_complain("closed", n ? strerror(errno) : "too early");
            }

            (void) close(c->fd);
            c->fd = -1;

            if (load.over) {
                c->idle = 1;
                load.busy--;
                return;
            }

            load_begin(c);
            return;
        }

        used = 0;

        while (used < (size_t) n) {

            if (!c->in_body) {
                used += load_head(c, load_buffer + used, (size_t) n - used);

            } else {
                size_t  part = (size_t) n - used;

                if (part > c->left) {
                    part = c->left;
                }

                if (!load.varied) {
                    (void) XXH3_64bits_update(&c->hash, load_buffer + used,
                                              part);
                }

                c->left -= part;
                used += part;
            }

            if (c->in_body && c->left == 0) {
                load_end(c);
            }
        }
    }
}


/* takes what belongs to the header; how much that was */

static size_t
load_head(load_connection_t *c, const char *p, size_t n)
{
    char      *end, *length;
    size_t     before;
    unsigned   status;

    before = c->header_len;

    if (n > LOAD_HEADER - 1 - before) {
        n = LOAD_HEADER - 1 - before;
    }

    memcpy(c->header + before, p, n);
    c->header_len += n;
    c->header[c->header_len] = '\0';

    end = strstr(c->header, "\r\n\r\n");

    if (end == NULL) {
        if (c->header_len == LOAD_HEADER - 1) {
            load_die("a header without end");
        }

        return n;
    }

    end[2] = '\0';
    status = (unsigned) atoi(c->header + sizeof("HTTP/1.1 ") - 1);
    length = strcasestr(c->header, "\r\nContent-Length:");

    if (status != load.status) {
        load_complain("status", c->header);
    }

    if (length == NULL) {
        load_die("an answer without length");
    }

    if (load.expected != NULL && strstr(c->header, load.expected) == NULL) {
        load_complain("header", c->header);
    }

    c->length = strtoull(length + sizeof("\r\nContent-Length:") - 1, NULL, 10);
    c->left = c->length;
    c->in_body = 1;

    (void) XXH3_64bits_reset(&c->hash);

    return (size_t) (end + 4 - c->header) - before;
}


static void
load_end(load_connection_t *c)
{
    uint32_t  *times;
    uint64_t   now, hash;

    /* who answers early reads on, or drops the connection */

    if (c->sent < load.len) {
        c->answered = 1;
        return;
    }

    now = load_now();

    if (!load.varied) {
        hash = XXH3_64bits_digest(&c->hash);

        if (!load.seen) {
            load.seen = 1;
            load.first_length = c->length;
            load.first_hash = hash;
        }

        if (c->length != load.first_length || hash != load.first_hash) {
            load_complain("body", "other bytes");
        }
    }

    if (now >= load.counted_from && now < load.until) {

        if (load.ntimes == load.size) {
            load.size = load.size ? 2 * load.size : 65536;

            times = realloc(load.times, load.size * sizeof(uint32_t));
            if (times == NULL) {
                load_die("memory");
            }

            load.times = times;
        }

        load.times[load.ntimes++] = (uint32_t) (now - c->begun);
        load.bytes += c->length;
    }

    load.answers++;

    if (load.over) {
        c->idle = 1;
        load.busy--;
        return;
    }

    load_begin(c);
}


static void
load_complain(const char *what, const char *detail)
{
    if (load.wrong++ == 0) {
        (void) snprintf(load.complaint, sizeof(load.complaint), "%s: %.200s",
                        what, detail);
        fprintf(stderr, "load: %s\n", load.complaint);
    }
}


static uint64_t
load_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


static int
load_cmp(const void *a, const void *b)
{
    uint32_t  x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    return (x > y) - (x < y);
}


static void
load_report(uint64_t begun, uint64_t ended)
{
    double  seconds;
    size_t  n;

    n = load.ntimes;
    seconds = (double) (ended - begun) / 1e6;

    if (n == 0) {
        fprintf(stderr, "load: no answer\n");
        load.wrong++;
        return;
    }

    qsort(load.times, n, sizeof(uint32_t), load_cmp);

    printf("{\"requests\":%zu,\"answers\":%llu,\"seconds\":%.3f,\"per_second\":%.1f,"
           "\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u,\"bytes\":%llu,"
           "\"length\":%llu,\"wrong\":%llu}\n", n,
           (unsigned long long) load.answers, seconds,
           (double) n / seconds, load.times[n / 2],
           load.times[n - 1 - n / 100], load.times[n - 1],
           (unsigned long long) load.bytes,
           (unsigned long long) load.first_length,
           (unsigned long long) load.wrong);
}


static void
load_die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}
