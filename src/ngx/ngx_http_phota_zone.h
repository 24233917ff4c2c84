
/*
 * The shared zone as it lies in memory, for the files that work on it.
 *
 * A worker may be killed at any point, even while it holds the lock, which the
 * master then takes from it.  So a chain of flights has one link a node only,
 * and whatever changes it is a single store: a node that is whole already is
 * hung in, or one is left out.  At worst one is lost to the zone.
 */


#ifndef _NGX_HTTP_PHOTA_ZONE_H_INCLUDED_
#define _NGX_HTTP_PHOTA_ZONE_H_INCLUDED_


#include "ngx_http_phota_flight.h"
#include "ngx_http_phota_meter.h"


/* powers of two */

#define NGX_HTTP_PHOTA_TURNS     4096
#define NGX_HTTP_PHOTA_BUCKETS   1024
#define NGX_HTTP_PHOTA_LANDINGS  1024


typedef struct ngx_http_phota_node_s  ngx_http_phota_node_t;

struct ngx_http_phota_node_s {
    ngx_http_phota_node_t       *next;
    ngx_http_phota_flight_t      flight;
    ngx_http_phota_pilot_t       pilot;
    ngx_uint_t                   buys;          /* pictures */
    uint64_t                     waiting;       /* a bit for each worker */
    ngx_uint_t                   awaited;       /* by anybody, ever */
    ngx_msec_t                   seen;          /* by one who may wait */
    ngx_msec_t                   ended;
    ngx_http_phota_landing_t     landing;       /* body is the zone's */
    ngx_http_phota_flight_e      state;         /* written last of all */
};


typedef struct {
    ngx_atomic_t                 turns[NGX_HTTP_PHOTA_TURNS];
    phota_beats_t                beats;
    uint64_t                     serial;        /* the last flight's number */

    /* numbers of the last flights that ended, and how many ever did */

    uint64_t                     landed[NGX_HTTP_PHOTA_LANDINGS];
    uint64_t                     landings;

    ngx_msec_t                   swept;
    ngx_uint_t                   sweep_from;    /* a bucket */
    time_t                       complained;    /* that the zone is full */
    ngx_http_phota_meters_t      meters;
    ngx_http_phota_node_t       *buckets[NGX_HTTP_PHOTA_BUCKETS];
} ngx_http_phota_shared_t;


/* this worker's view, since ngx_http_phota_zone_attach() */

extern ngx_http_phota_shared_t  *ngx_http_phota_shared;
extern ngx_slab_pool_t          *ngx_http_phota_slab;


#define ngx_http_phota_lock()    ngx_shmtx_lock(&ngx_http_phota_slab->mutex)
#define ngx_http_phota_unlock()  ngx_shmtx_unlock(&ngx_http_phota_slab->mutex)


/* ngx_http_phota_flight.c */

/*
 * 1: it flies, and its end will wake us.  Both in one breath, or the end might
 * go by in between.
 */
ngx_uint_t ngx_http_phota_flight_mark(const ngx_http_phota_flight_t *flight);


/* ngx_http_phota_wait.c */

void ngx_http_phota_wait_init(void);

/* those of this worker who wait for that flight, soon */
void ngx_http_phota_call_landed(uint64_t number);


#endif /* _NGX_HTTP_PHOTA_ZONE_H_INCLUDED_ */
