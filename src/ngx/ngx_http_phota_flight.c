
/*
 * Purchases in flight, in chains by fingerprint, under the zone's lock: who may
 * take off, how a flight ended, and what becomes of those whose owner died.
 * Of who waits it knows one bit for each worker; nothing here grows with the
 * number of waiters.
 */


#include "ngx_http_phota_module.h"
#include "ngx_http_phota_zone.h"


/* ms */

#define NGX_HTTP_PHOTA_SWEEP   900
#define NGX_HTTP_PHOTA_KEPT    10000

#define NGX_HTTP_PHOTA_COMPLAINT  60        /* s */


/* chains swept before others get the lock */

#define NGX_HTTP_PHOTA_STRIDE  64

/* owners that one sweep asks the books about */

#define NGX_HTTP_PHOTA_DOUBTS  16


/* a flight whose owner may have died */

typedef struct {
    ngx_http_phota_flight_t   flight;
    ngx_http_phota_pilot_t    pilot;
    ngx_msec_t                seen;
} ngx_http_phota_doubt_t;


static ngx_int_t ngx_http_phota_look_shared(
    const ngx_http_phota_flight_t *flight, ngx_http_phota_pilot_t *pilot);
static ngx_http_phota_node_t **ngx_http_phota_bucket(
    const u_char *fingerprint);
static ngx_http_phota_node_t *ngx_http_phota_find_node(
    const ngx_http_phota_flight_t *flight);
static ngx_uint_t ngx_http_phota_flying(const u_char *fingerprint,
    ngx_http_phota_node_t **oldest);
static ngx_http_phota_node_t *ngx_http_phota_register(
    const u_char *fingerprint, ngx_uint_t buys, const phota_owner_t *owner);
static ngx_uint_t ngx_http_phota_zone_full(void);
static uint64_t ngx_http_phota_end_node(ngx_http_phota_node_t *node,
    const ngx_http_phota_landing_t *landing);
static void ngx_http_phota_keep_body(ngx_http_phota_node_t *node,
    const ngx_http_phota_landing_t *landing);
static ngx_uint_t ngx_http_phota_body_room(void);
static ngx_uint_t ngx_http_phota_sweep_due(void);
static ngx_uint_t ngx_http_phota_sweep_nodes(ngx_http_phota_doubt_t *doubts);
static ngx_uint_t ngx_http_phota_sweep_chain(ngx_uint_t bucket,
    ngx_http_phota_doubt_t *doubts, ngx_uint_t room);
static void ngx_http_phota_forget_node(ngx_http_phota_node_t *node);
static void ngx_http_phota_forget(ngx_http_phota_node_t **link);
static void ngx_http_phota_end_forsaken(const ngx_http_phota_doubt_t *doubt);
static ngx_uint_t ngx_http_phota_sent_nothing(
    const ngx_http_phota_pilot_t *pilot);
static ngx_msec_int_t ngx_http_phota_since(ngx_msec_t when);


/* how the flight ended that was looked at last: many look at the same */

static ngx_http_phota_landing_t  ngx_http_phota_last;
static uint64_t                  ngx_http_phota_last_number;
static u_char            ngx_http_phota_last_body[NGX_HTTP_PHOTA_LANDING_BODY];


ngx_int_t
ngx_http_phota_take_off(const u_char *fingerprint, ngx_uint_t asked,
    ngx_uint_t lacking, const phota_owner_t *owner,
    ngx_http_phota_flight_t *flight, ngx_uint_t *buys)
{
    ngx_int_t               rc;
    ngx_uint_t              wanted, flying, complain;
    ngx_http_phota_node_t  *node;

    complain = 0;

    ngx_http_phota_lock();

    flying = ngx_http_phota_flying(fingerprint, &node);
    wanted = asked;

    if (lacking) {
        wanted = (flying < lacking) ? ngx_min(asked, lacking - flying) : 0;
    }

    if (lacking && flying && wanted < asked) {
        node->seen = ngx_current_msec;
        node->awaited = 1;
        rc = NGX_BUSY;

    } else {
        node = ngx_http_phota_register(fingerprint, wanted, owner);
        rc = NGX_OK;

        if (node == NULL) {
            complain = ngx_http_phota_zone_full();
            rc = NGX_DECLINED;
        }
    }

    if (node) {
        *flight = node->flight;

    } else {
        ngx_memzero(flight, sizeof(ngx_http_phota_flight_t));
    }

    ngx_http_phota_unlock();

    *buys = (rc == NGX_BUSY) ? 0 : wanted;

    if (complain) {
        ngx_http_phota_say(NGX_LOG_WARN, ngx_cycle->log, 0, NULL,
                           "the zone is full, equal purchases may be made "
                           "more than once", "phota_zone should be larger");
    }

    return rc;
}


void
ngx_http_phota_flight_name(const ngx_http_phota_flight_t *flight,
    const phota_id_t *charge)
{
    ngx_http_phota_node_t  *node;

    ngx_http_phota_lock();

    node = ngx_http_phota_find_node(flight);

    if (node && node->state == NGX_HTTP_PHOTA_FLYING) {
        node->pilot.charge = *charge;
    }

    ngx_http_phota_unlock();
}


void
ngx_http_phota_land(const ngx_http_phota_flight_t *flight,
    const ngx_http_phota_landing_t *landing)
{
    uint64_t                workers;
    ngx_http_phota_node_t  *node;

    ngx_http_phota_lock();

    node = ngx_http_phota_find_node(flight);

    if (node == NULL || node->state != NGX_HTTP_PHOTA_FLYING) {
        ngx_http_phota_unlock();
        return;
    }

    workers = ngx_http_phota_end_node(node, landing);

    ngx_http_phota_unlock();

    ngx_http_phota_wake(workers);
    ngx_http_phota_call_landed(flight->number);
}


ngx_int_t
ngx_http_phota_flight_look(const ngx_http_phota_flight_t *flight,
    ngx_pool_t *pool, ngx_http_phota_pilot_t *pilot,
    ngx_http_phota_landing_t *landing)
{
    ngx_int_t  rc;

    if (flight->number == 0) {
        return NGX_DECLINED;
    }

    if (flight->number != ngx_http_phota_last_number) {
        rc = ngx_http_phota_look_shared(flight, pilot);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    *landing = ngx_http_phota_last;

    if (landing->body) {
        landing->body = ngx_pnalloc(pool, landing->len);
        if (landing->body == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(landing->body, ngx_http_phota_last_body, landing->len);
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_phota_flight_mark(const ngx_http_phota_flight_t *flight)
{
    ngx_uint_t              flying;
    ngx_http_phota_node_t  *node;

    ngx_http_phota_lock();

    node = ngx_http_phota_find_node(flight);
    flying = (node && node->state == NGX_HTTP_PHOTA_FLYING);

    if (flying) {
        node->seen = ngx_current_msec;

        if (ngx_worker < 64) {
            node->waiting |= (uint64_t) 1 << ngx_worker;
        }
    }

    ngx_http_phota_unlock();

    return flying;
}


/* the body goes through a buffer: no memory is asked for under the lock */

static ngx_int_t
ngx_http_phota_look_shared(const ngx_http_phota_flight_t *flight,
    ngx_http_phota_pilot_t *pilot)
{
    ngx_int_t               rc;
    ngx_http_phota_node_t  *node;

    ngx_http_phota_lock();

    node = ngx_http_phota_find_node(flight);

    if (node == NULL) {
        rc = NGX_DECLINED;

    } else if (node->state == NGX_HTTP_PHOTA_FLYING) {
        node->seen = ngx_current_msec;
        *pilot = node->pilot;
        rc = NGX_AGAIN;

    } else {
        ngx_http_phota_last = node->landing;
        ngx_http_phota_last_number = flight->number;

        if (node->landing.body) {
            ngx_memcpy(ngx_http_phota_last_body, node->landing.body,
                       node->landing.len);
        }

        rc = NGX_OK;
    }

    ngx_http_phota_unlock();

    return rc;
}


/* from here to the sweep all is called under the lock */

static ngx_http_phota_node_t **
ngx_http_phota_bucket(const u_char *fingerprint)
{
    ngx_uint_t  n;

    n = (ngx_uint_t) fingerprint[0] << 8 | fingerprint[1];

    return &ngx_http_phota_shared->buckets[n % NGX_HTTP_PHOTA_BUCKETS];
}


static ngx_http_phota_node_t *
ngx_http_phota_find_node(const ngx_http_phota_flight_t *flight)
{
    ngx_http_phota_node_t  *node;

    node = *ngx_http_phota_bucket(flight->fingerprint);

    while (node && node->flight.number != flight->number) {
        node = node->next;
    }

    return node;
}


/* pictures that are being bought; oldest: NULL none */

static ngx_uint_t
ngx_http_phota_flying(const u_char *fingerprint,
    ngx_http_phota_node_t **oldest)
{
    ngx_uint_t              buys;
    ngx_http_phota_node_t  *node;

    buys = 0;
    *oldest = NULL;

    for (node = *ngx_http_phota_bucket(fingerprint); node; node = node->next) {

        if (node->state != NGX_HTTP_PHOTA_FLYING
            || ngx_memcmp(node->flight.fingerprint, fingerprint,
                          PHOTA_SHA256_LEN)
               != 0)
        {
            continue;
        }

        buys += node->buys;

        if (*oldest == NULL || node->flight.number < (*oldest)->flight.number) {
            *oldest = node;
        }
    }

    return buys;
}


static ngx_http_phota_node_t *
ngx_http_phota_register(const u_char *fingerprint, ngx_uint_t buys,
    const phota_owner_t *owner)
{
    ngx_http_phota_node_t  *node, **bucket;

    node = ngx_slab_calloc_locked(ngx_http_phota_slab,
                                  sizeof(ngx_http_phota_node_t));
    if (node == NULL) {
        return NULL;
    }

    bucket = ngx_http_phota_bucket(fingerprint);

    ngx_memcpy(node->flight.fingerprint, fingerprint, PHOTA_SHA256_LEN);

    node->flight.number = ++ngx_http_phota_shared->serial;
    node->pilot.owner = *owner;
    node->buys = buys;
    node->seen = ngx_current_msec;
    node->state = NGX_HTTP_PHOTA_FLYING;
    node->next = *bucket;

    ngx_memory_barrier();

    *bucket = node;

    return node;
}


/* 1: it is to be said, which is once a minute */

static ngx_uint_t
ngx_http_phota_zone_full(void)
{
    time_t  now;

    now = ngx_time();

    if (now - ngx_http_phota_shared->complained < NGX_HTTP_PHOTA_COMPLAINT) {
        return 0;
    }

    ngx_http_phota_shared->complained = now;

    return 1;
}


/* the workers to be woken */

static uint64_t
ngx_http_phota_end_node(ngx_http_phota_node_t *node,
    const ngx_http_phota_landing_t *landing)
{
    ngx_http_phota_shared_t  *shared;

    if (!node->awaited) {

        /* or whoever is refused often would fill the zone with it */

        ngx_http_phota_forget_node(node);
        return 0;
    }

    shared = ngx_http_phota_shared;

    ngx_http_phota_keep_body(node, landing);
    node->ended = ngx_current_msec;

    ngx_memory_barrier();

    node->state = landing->state;

    shared->landed[shared->landings % NGX_HTTP_PHOTA_LANDINGS]
        = node->flight.number;

    ngx_memory_barrier();

    shared->landings++;

    return node->waiting;
}


static void
ngx_http_phota_keep_body(ngx_http_phota_node_t *node,
    const ngx_http_phota_landing_t *landing)
{
    u_char  *p;

    p = NULL;

    if (landing->body && landing->len
        && landing->len <= NGX_HTTP_PHOTA_LANDING_BODY
        && ngx_http_phota_body_room())
    {
        p = ngx_slab_alloc_locked(ngx_http_phota_slab, landing->len);
    }

    if (p) {
        ngx_memcpy(p, landing->body, landing->len);
    }

    /* a length without a body: there was one, but it can't be told */

    node->landing = *landing;
    node->landing.body = p;
}


/* what was said must not take the place of what is to be bought */

static ngx_uint_t
ngx_http_phota_body_room(void)
{
    ngx_slab_pool_t  *slab;

    slab = ngx_http_phota_slab;

    return slab->pfree > (ngx_uint_t) (slab->last - slab->pages) / 4;
}


void
ngx_http_phota_flight_sweep(void)
{
    MDB_txn                 *txn;
    ngx_uint_t               i, n;
    ngx_http_phota_doubt_t   doubts[NGX_HTTP_PHOTA_DOUBTS];

    if (!ngx_http_phota_sweep_due()) {
        return;
    }

    n = ngx_http_phota_sweep_nodes(doubts);

    if (n == 0) {
        return;
    }

    txn = ngx_http_phota_read_books();

    if (txn == NULL) {
        return;
    }

    for (i = 0; i < n; i++) {
        if (!phota_ledger_alive(&ngx_http_phota_worker.ledger, txn,
                                &doubts[i].pilot.owner))
        {
            ngx_http_phota_end_forsaken(&doubts[i]);
        }
    }

    ngx_http_phota_read_end(txn);
}


/* one worker a second is enough */

static ngx_uint_t
ngx_http_phota_sweep_due(void)
{
    ngx_uint_t  due;

    ngx_http_phota_lock();

    due = (ngx_http_phota_since(ngx_http_phota_shared->swept)
           >= NGX_HTTP_PHOTA_SWEEP);

    if (due) {
        ngx_http_phota_shared->swept = ngx_current_msec;
    }

    ngx_http_phota_unlock();

    return due;
}


/* begins where doubts were too many the last time, lest some never get asked */

static ngx_uint_t
ngx_http_phota_sweep_nodes(ngx_http_phota_doubt_t *doubts)
{
    ngx_uint_t  i, n, bucket, from, full;

    n = 0;
    full = 0;

    ngx_http_phota_lock();

    from = ngx_http_phota_shared->sweep_from;

    for (i = 0; i < NGX_HTTP_PHOTA_BUCKETS; i++) {
        bucket = (from + i) % NGX_HTTP_PHOTA_BUCKETS;

        n += ngx_http_phota_sweep_chain(bucket, &doubts[n],
                                        NGX_HTTP_PHOTA_DOUBTS - n);

        if (n == NGX_HTTP_PHOTA_DOUBTS && !full) {
            full = 1;
            ngx_http_phota_shared->sweep_from = bucket + 1;
        }

        if (i % NGX_HTTP_PHOTA_STRIDE == NGX_HTTP_PHOTA_STRIDE - 1) {
            ngx_http_phota_unlock();
            ngx_http_phota_lock();
        }
    }

    ngx_http_phota_unlock();

    return n;
}


/* flights that can't be told from dead ones, at most room of them */

static ngx_uint_t
ngx_http_phota_sweep_chain(ngx_uint_t bucket, ngx_http_phota_doubt_t *doubts,
    ngx_uint_t room)
{
    ngx_uint_t              n;
    ngx_http_phota_node_t  *node, **link;

    n = 0;
    link = &ngx_http_phota_shared->buckets[bucket];

    while (*link) {
        node = *link;

        if (node->state == NGX_HTTP_PHOTA_FLYING) {

            if (n < room
                && ngx_http_phota_since(node->seen) > NGX_HTTP_PHOTA_KEPT)
            {
                doubts[n].flight = node->flight;
                doubts[n].pilot = node->pilot;
                doubts[n].seen = node->seen;
                n++;
            }

        } else if (ngx_http_phota_since(node->ended) > NGX_HTTP_PHOTA_KEPT) {
            ngx_http_phota_forget(link);
            continue;
        }

        link = &node->next;
    }

    return n;
}


static void
ngx_http_phota_forget_node(ngx_http_phota_node_t *node)
{
    ngx_http_phota_node_t  **link;

    link = ngx_http_phota_bucket(node->flight.fingerprint);

    while (*link != node) {
        link = &(*link)->next;
    }

    ngx_http_phota_forget(link);
}


/* out of the chain first: who dies in between has lost memory, no more */

static void
ngx_http_phota_forget(ngx_http_phota_node_t **link)
{
    ngx_http_phota_node_t  *node;

    node = *link;
    *link = node->next;

    ngx_memory_barrier();

    if (node->landing.body) {
        ngx_slab_free_locked(ngx_http_phota_slab, node->landing.body);
    }

    ngx_slab_free_locked(ngx_http_phota_slab, node);
}


/*
 * Its owner is dead, and nobody has looked at it while the books were asked.
 * Not just forgotten: a worker that was held up for long may have waiters yet.
 */

static void
ngx_http_phota_end_forsaken(const ngx_http_phota_doubt_t *doubt)
{
    uint64_t                   workers;
    ngx_uint_t                 ended;
    ngx_http_phota_node_t     *node;
    ngx_http_phota_landing_t   landing;

    ngx_memzero(&landing, sizeof(ngx_http_phota_landing_t));

    workers = 0;

    ngx_http_phota_lock();

    node = ngx_http_phota_find_node(&doubt->flight);

    ended = (node && node->state == NGX_HTTP_PHOTA_FLYING
             && node->seen == doubt->seen);

    if (ended) {
        landing.state = ngx_http_phota_sent_nothing(&node->pilot)
                        ? NGX_HTTP_PHOTA_ABANDONED : NGX_HTTP_PHOTA_UNKNOWN;
        workers = ngx_http_phota_end_node(node, &landing);
    }

    ngx_http_phota_unlock();

    if (ended) {
        ngx_http_phota_wake(workers);
        ngx_http_phota_call_landed(doubt->flight.number);
    }
}


/* a charge is named before its hold is posted, and held before it is sent */

static ngx_uint_t
ngx_http_phota_sent_nothing(const ngx_http_phota_pilot_t *pilot)
{
    static const phota_id_t  none;

    return ngx_memcmp(&pilot->charge, &none, sizeof(phota_id_t)) == 0;
}


/* ms; another worker's clock may be ahead of ours */

static ngx_msec_int_t
ngx_http_phota_since(ngx_msec_t when)
{
    return (ngx_msec_int_t) (ngx_current_msec - when);
}
