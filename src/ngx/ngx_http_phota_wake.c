
/*
 * Waking other workers: an eventfd for each, made before there are any, since
 * a worker can't hand a descriptor to those that live already.  Two sets, in
 * turns over reloads, so that workers that drain and those that replace them
 * are both woken.  A wake may get lost (a third generation reads what was
 * meant for the first): who must not miss one has a timer besides.
 */


#include "ngx_http_phota_module.h"
#include "ngx_http_phota_flight.h"

#include <sys/eventfd.h>


#define NGX_HTTP_PHOTA_WAKES  64


static void ngx_http_phota_wake_handler(ngx_event_t *ev);
static void ngx_http_phota_wake_write(ngx_uint_t set, ngx_uint_t worker);


/* the master's, and by fork its workers'; a generation listens to one set */

static int         ngx_http_phota_wakes[2][NGX_HTTP_PHOTA_WAKES];
static ngx_uint_t  ngx_http_phota_wakes_made;
static ngx_uint_t  ngx_http_phota_wake_set;

static void      (*ngx_http_phota_woken)(void);


ngx_int_t
ngx_http_phota_wake_create(ngx_cycle_t *cycle)
{
    ngx_uint_t  i, set;

    if (ngx_test_config) {
        return NGX_OK;
    }

    ngx_http_phota_wake_set = !ngx_http_phota_wake_set;

    if (ngx_http_phota_wakes_made) {
        return NGX_OK;
    }

    ngx_memset(ngx_http_phota_wakes, 0xff, sizeof(ngx_http_phota_wakes));
    ngx_http_phota_wakes_made = 1;

    for (i = 0; i < 2 * NGX_HTTP_PHOTA_WAKES; i++) {
        set = i % 2;

        ngx_http_phota_wakes[set][i / 2] = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

        if (ngx_http_phota_wakes[set][i / 2] == -1) {

            /* not worth ending a master that serves */

            ngx_http_phota_say(NGX_LOG_ALERT, cycle->log, ngx_errno, NULL,
                               "an eventfd can't be made", "from worker %ui "
                               "on they find out by timers what others bought",
                               i / 2);
            break;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_phota_wake_listen(ngx_cycle_t *cycle, void (*handler)(void))
{
    int                fd;
    ngx_connection_t  *c;

    fd = -1;

    if (ngx_http_phota_wakes_made && ngx_worker < NGX_HTTP_PHOTA_WAKES) {
        fd = ngx_http_phota_wakes[ngx_http_phota_wake_set][ngx_worker];
    }

    if (fd == -1) {
        return NGX_OK;
    }

    c = ngx_get_connection(fd, cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    ngx_http_phota_woken = handler;

    c->read->handler = ngx_http_phota_wake_handler;
    c->read->log = cycle->log;
    c->write->log = cycle->log;

    /* the descriptor outlives us: nobody is to miss its being closed */

    c->read->channel = 1;

    if (ngx_add_event(c->read, NGX_READ_EVENT, NGX_CLEAR_EVENT) != NGX_OK) {
        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_phota_wake_handler(ngx_event_t *ev)
{
    ssize_t            n;
    uint64_t           count;
    ngx_connection_t  *c;

    c = ev->data;

    do {
        n = read(c->fd, &count, sizeof(uint64_t));
    } while (n > 0 || (n == -1 && ngx_errno == NGX_EINTR));

    if (n == -1 && ngx_errno != NGX_EAGAIN) {
        ngx_http_phota_say_some(NGX_LOG_ALERT, ev->log, ngx_errno, NULL,
                                "an eventfd can't be read", NULL);
    }

    ngx_http_phota_woken();
}


void
ngx_http_phota_wake(uint64_t workers)
{
    ngx_uint_t  i;

    if (!ngx_http_phota_wakes_made) {
        return;
    }

    for (i = 0; workers; i++, workers >>= 1) {
        if (!(workers & 1)) {
            continue;
        }

        /* the caller needs no waking, its namesake of the other set does */

        if (i != ngx_worker) {
            ngx_http_phota_wake_write(ngx_http_phota_wake_set, i);
        }

        ngx_http_phota_wake_write(!ngx_http_phota_wake_set, i);
    }
}


static void
ngx_http_phota_wake_write(ngx_uint_t set, ngx_uint_t worker)
{
    int       fd;
    uint64_t  one;

    one = 1;
    fd = ngx_http_phota_wakes[set][worker];

    if (fd == -1) {
        return;
    }

    /* NGX_EAGAIN: woken so often that once more makes no difference */

    if (write(fd, &one, sizeof(uint64_t)) == -1 && ngx_errno != NGX_EAGAIN) {
        ngx_http_phota_say_some(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno, NULL,
                                "an eventfd can't be written", NULL);
    }
}
