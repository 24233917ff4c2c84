
/*
 * What all workers share: purchases in flight, so that equal ones become one;
 * whose turn it is in a pool; which pictures are being sent.  And the way to
 * wake those who wait in another worker.
 *
 * A flight is a purchase that others may join.  It is known by its fingerprint
 * and a number that is never used again.  Who waits for one is told how it
 * ended, or that it has gone; both mean that he decides anew, or answers.
 */


#ifndef _NGX_HTTP_PHOTA_FLIGHT_H_INCLUDED_
#define _NGX_HTTP_PHOTA_FLIGHT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "phota_cache.h"
#include "phota_ledger.h"


#define PHOTA_CONTENT_TYPE  64


/* bytes of an upstream's refusal that waiters are told; longer ones aren't */

#define NGX_HTTP_PHOTA_LANDING_BODY  8192


typedef enum {
    NGX_HTTP_PHOTA_FLYING = 0,
    NGX_HTTP_PHOTA_STORED,      /* its pictures are in the pool */
    NGX_HTTP_PHOTA_ABANDONED,   /* nothing was sent: another may try */
    NGX_HTTP_PHOTA_REFUSED,     /* not bought; the landing says what was said */
    NGX_HTTP_PHOTA_UNKNOWN,     /* perhaps bought: nobody buys for waiters */
    NGX_HTTP_PHOTA_UNKEPT       /* bought, but its pictures weren't kept */
} ngx_http_phota_flight_e;


typedef struct {
    u_char                      fingerprint[PHOTA_SHA256_LEN];
    uint64_t                    number;         /* 0: none */
} ngx_http_phota_flight_t;


/* how a flight ended */

typedef struct {
    ngx_http_phota_flight_e     state;
    ngx_uint_t                  reason;         /* phota_reason_e */
    ngx_uint_t                  status;         /* upstream's, 0 none */
    char                        content_type[PHOTA_CONTENT_TYPE + 1];
    char                        request_id[PHOTA_REQUEST_ID_MAX + 1];
    char                        retry_after[32];    /* "" none */
    size_t                      len;
    u_char                     *body;           /* NULL: none or too long */
} ngx_http_phota_landing_t;


/* who flies it, for those who doubt that he lives */

typedef struct {
    phota_owner_t               owner;
    phota_id_t                  charge;         /* all zero: not yet named */
} ngx_http_phota_pilot_t;


/*
 * Somebody in this worker who waits for a flight.  handler is called from the
 * event loop, soon after any flight has ended, and every 250 ms besides; never
 * from within a function of this file.  It may end the waiting and free the
 * waiter.  All zero before it waits for the first time.
 */

typedef struct ngx_http_phota_waiter_s  ngx_http_phota_waiter_t;

struct ngx_http_phota_waiter_s {
    ngx_queue_t                 queue;
    ngx_event_t                 timer;
    ngx_http_phota_flight_t     flight;
    void                      (*handler)(ngx_http_phota_waiter_t *waiter);
    void                       *data;
    ngx_msec_t                  since;          /* the joiner's own */
    unsigned                    waiting:1;
};


/* ngx_http_phota_zone.c */

/* the zone "phota" of that size for this configuration; NULL: an error */
ngx_shm_zone_t *ngx_http_phota_zone_create(ngx_conf_t *cf, size_t size);

/* in a worker, before anything below; zone: what the master has made */
void ngx_http_phota_zone_attach(ngx_shm_zone_t *zone);

phota_beats_t *ngx_http_phota_zone_beats(void);

/*
 * Repeats get the pictures of a pool in turn: the place to begin from, a count
 * that step is added to, for all workers.  Fingerprints may share a count.
 */
ngx_uint_t ngx_http_phota_zone_turn(const u_char *fingerprint,
    ngx_uint_t step);


/* ngx_http_phota_flight.c */

/*
 * Decides for one who lacks pictures.  asked: how many he wants; lacking: how
 * many the pool lacks until it has enough for him, 0: he buys all he asked for
 * whatever flies (a refresh).
 *
 * NGX_OK: he buys *buys pictures, flight is his, and ngx_http_phota_land() must
 * be called; NGX_BUSY: what flies already is enough, or he needs it to know
 * what lacks: flight is the oldest of them, to wait for; NGX_DECLINED: the zone
 * is full, he buys *buys pictures without a flight.
 */
ngx_int_t ngx_http_phota_take_off(const u_char *fingerprint,
    ngx_uint_t asked, ngx_uint_t lacking, const phota_owner_t *owner,
    ngx_http_phota_flight_t *flight, ngx_uint_t *buys);

/* the charge by which the books know it, before its hold is posted */
void ngx_http_phota_flight_name(const ngx_http_phota_flight_t *flight,
    const phota_id_t *charge);

/*
 * Ends it, for all, once: what comes second changes nothing.  Wakes all who
 * wait for it.  landing->body is copied, as far as the zone has room.
 */
void ngx_http_phota_land(const ngx_http_phota_flight_t *flight,
    const ngx_http_phota_landing_t *landing);

/*
 * NGX_AGAIN: it flies, pilot is filled; NGX_OK: it has ended, landing is
 * filled, its body in pool; NGX_DECLINED: it isn't known any more; NGX_ERROR.
 */
ngx_int_t ngx_http_phota_flight_look(const ngx_http_phota_flight_t *flight,
    ngx_pool_t *pool, ngx_http_phota_pilot_t *pilot,
    ngx_http_phota_landing_t *landing);

/*
 * From now on the waiter's handler is called, after this call has returned.
 * The caller fills flight, handler and data.
 */
void ngx_http_phota_wait(ngx_http_phota_waiter_t *waiter);
void ngx_http_phota_wait_end(ngx_http_phota_waiter_t *waiter);

/* what ngx_http_phota_wake_listen() is to call: somebody's flight has ended */
void ngx_http_phota_flight_woken(void);

/*
 * By the worker's tick: forgets flights that ended long ago (ten seconds), and
 * ends those that nobody waits for and whose owner has died.
 */
void ngx_http_phota_flight_sweep(void);


/* ngx_http_phota_wake.c */

/* init_module: makes the eventfds, once in a master's life */
ngx_int_t ngx_http_phota_wake_create(ngx_cycle_t *cycle);

/* init_process: listens; handler is called when somebody has woken us */
ngx_int_t ngx_http_phota_wake_listen(ngx_cycle_t *cycle,
    void (*handler)(void));

/* workers: a bit for each, of this generation and the last */
void ngx_http_phota_wake(uint64_t workers);


#endif /* _NGX_HTTP_PHOTA_FLIGHT_H_INCLUDED_ */
