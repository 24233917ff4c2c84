
/*
 * Who waits for a flight, in this worker.  A worker that is woken reads the
 * numbers of what has landed and calls its own waiters, a few at a time, for
 * each of them may have work to do.  Should a wake get lost, or a worker die
 * before it woke anybody, timers call them.
 */


#include "ngx_http_phota_module.h"
#include "ngx_http_phota_zone.h"


/* ms */

#define NGX_HTTP_PHOTA_LOOK    250
#define NGX_HTTP_PHOTA_JITTER  50

/* waiters called before other events get their turn */

#define NGX_HTTP_PHOTA_BURST   32


static void ngx_http_phota_wait_timed(ngx_http_phota_waiter_t *waiter);
static ngx_queue_t *ngx_http_phota_waiters_of(uint64_t number);
static void ngx_http_phota_wait_timer(ngx_event_t *ev);
static void ngx_http_phota_call_soon(ngx_http_phota_waiter_t *waiter);
static void ngx_http_phota_call_waiters(ngx_event_t *ev);


/* this worker's waiters, by their flight's number, and those to be called */

static ngx_queue_t               ngx_http_phota_waiters[NGX_HTTP_PHOTA_BUCKETS];
static ngx_queue_t               ngx_http_phota_ready;
static ngx_event_t               ngx_http_phota_ready_event;
static ngx_uint_t                ngx_http_phota_waiting;

/* landings that we have heard of */

static uint64_t                  ngx_http_phota_heard;


void
ngx_http_phota_wait_init(void)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_PHOTA_BUCKETS; i++) {
        ngx_queue_init(&ngx_http_phota_waiters[i]);
    }

    ngx_queue_init(&ngx_http_phota_ready);

    ngx_http_phota_ready_event.handler = ngx_http_phota_call_waiters;
    ngx_http_phota_ready_event.data = ngx_http_phota_waiters;
    ngx_http_phota_ready_event.log = ngx_cycle->log;
}


void
ngx_http_phota_wait(ngx_http_phota_waiter_t *waiter)
{
    ngx_uint_t  flying;

    ngx_http_phota_wait_end(waiter);

    /* what landed while nobody of ours waited is none of our business */

    if (ngx_http_phota_waiting == 0) {
        ngx_http_phota_heard = ngx_http_phota_shared->landings;
    }

    flying = ngx_http_phota_flight_mark(&waiter->flight);

    ngx_memzero(&waiter->timer, sizeof(ngx_event_t));

    /* not cancelable: a worker that quits does so when they have ended */

    waiter->timer.handler = ngx_http_phota_wait_timer;
    waiter->timer.data = waiter;
    waiter->timer.log = ngx_cycle->log;
    waiter->waiting = 1;

    ngx_queue_insert_tail(ngx_http_phota_waiters_of(waiter->flight.number),
                          &waiter->queue);
    ngx_http_phota_waiting++;

    ngx_http_phota_wait_timed(waiter);

    if (!flying) {
        ngx_http_phota_call_soon(waiter);
    }
}


void
ngx_http_phota_wait_end(ngx_http_phota_waiter_t *waiter)
{
    if (!waiter->waiting) {
        return;
    }

    waiter->waiting = 0;
    ngx_http_phota_waiting--;

    ngx_queue_remove(&waiter->queue);

    if (waiter->timer.timer_set) {
        ngx_del_timer(&waiter->timer);
    }
}


static ngx_queue_t *
ngx_http_phota_waiters_of(uint64_t number)
{
    return &ngx_http_phota_waiters[number % NGX_HTTP_PHOTA_BUCKETS];
}


/* scattered, lest those who began together look all at the same moment */

static void
ngx_http_phota_wait_timed(ngx_http_phota_waiter_t *waiter)
{
    ngx_add_timer(&waiter->timer, NGX_HTTP_PHOTA_LOOK
                                  + ngx_random() % NGX_HTTP_PHOTA_JITTER);
}


/* set again at once: a worker that quits ends when there are no timers left */

static void
ngx_http_phota_wait_timer(ngx_event_t *ev)
{
    ngx_http_phota_waiter_t  *waiter;

    waiter = ev->data;

    ngx_http_phota_wait_timed(waiter);
    ngx_http_phota_call_soon(waiter);
}


/*
 * What landed so long ago that its number has been overwritten we would have
 * been woken for before; if we were too busy to hear it, timers do.
 */

void
ngx_http_phota_flight_woken(void)
{
    uint64_t                  numbers[NGX_HTTP_PHOTA_LANDINGS];
    ngx_uint_t                i, n;
    ngx_http_phota_shared_t  *shared;

    if (ngx_http_phota_waiting == 0) {
        return;
    }

    shared = ngx_http_phota_shared;

    ngx_http_phota_lock();

    n = ngx_min(shared->landings - ngx_http_phota_heard,
                NGX_HTTP_PHOTA_LANDINGS);

    for (i = 0; i < n; i++) {
        numbers[i] = shared->landed[(shared->landings - n + i)
                                    % NGX_HTTP_PHOTA_LANDINGS];
    }

    ngx_http_phota_heard = shared->landings;

    ngx_http_phota_unlock();

    for (i = 0; i < n; i++) {
        ngx_http_phota_call_landed(numbers[i]);
    }
}


void
ngx_http_phota_call_landed(uint64_t number)
{
    ngx_queue_t              *q, *next, *waiters;
    ngx_http_phota_waiter_t  *waiter;

    waiters = ngx_http_phota_waiters_of(number);

    for (q = ngx_queue_head(waiters); q != waiters; q = next) {
        next = ngx_queue_next(q);
        waiter = ngx_queue_data(q, ngx_http_phota_waiter_t, queue);

        if (waiter->flight.number == number) {
            ngx_http_phota_call_soon(waiter);
        }
    }
}


static void
ngx_http_phota_call_soon(ngx_http_phota_waiter_t *waiter)
{
    ngx_queue_remove(&waiter->queue);
    ngx_queue_insert_tail(&ngx_http_phota_ready, &waiter->queue);

    /* the next round, not this one: a handler that waits anew may call us */

    if (!ngx_http_phota_ready_event.posted) {
        ngx_post_event(&ngx_http_phota_ready_event, &ngx_posted_next_events);
    }
}


/* a handler may end its own waiting or another's, and free what waited */

static void
ngx_http_phota_call_waiters(ngx_event_t *ev)
{
    ngx_uint_t                i;
    ngx_queue_t              *q;
    ngx_http_phota_waiter_t  *waiter;

    for (i = 0; i < NGX_HTTP_PHOTA_BURST; i++) {

        if (ngx_queue_empty(&ngx_http_phota_ready)) {
            return;
        }

        q = ngx_queue_head(&ngx_http_phota_ready);
        waiter = ngx_queue_data(q, ngx_http_phota_waiter_t, queue);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(ngx_http_phota_waiters_of(waiter->flight.number),
                              q);

        waiter->handler(waiter);
    }

    if (!ngx_queue_empty(&ngx_http_phota_ready) && !ev->posted) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}
