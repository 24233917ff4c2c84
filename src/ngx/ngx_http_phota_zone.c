
/*
 * The shared zone: made once, kept over reloads of the same size, and what in
 * it needs no lock: whose turn it is in a pool, and which pictures are being
 * sent.  Flights have a file of their own.
 */


#include "ngx_http_phota_module.h"
#include "ngx_http_phota_zone.h"


/* pages for flights, below which it isn't worth having a zone */

#define NGX_HTTP_PHOTA_ZONE_PAGES  16


static ngx_int_t ngx_http_phota_zone_init(ngx_shm_zone_t *zone, void *data);


ngx_http_phota_shared_t  *ngx_http_phota_shared;
ngx_slab_pool_t          *ngx_http_phota_slab;


ngx_shm_zone_t *
ngx_http_phota_zone_create(ngx_conf_t *cf, size_t size)
{
    size_t           least;
    ngx_str_t        name;
    ngx_shm_zone_t  *zone;

    least = sizeof(ngx_http_phota_shared_t)
            + NGX_HTTP_PHOTA_ZONE_PAGES * ngx_pagesize;

    if (size < least) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the zone of phota is too small: %uzk are the "
                           "least", (least + 1023) / 1024);
        return NULL;
    }

    ngx_str_set(&name, "phota");

    zone = ngx_shared_memory_add(cf, &name, size, &ngx_http_phota_module);
    if (zone == NULL) {
        return NULL;
    }

    zone->init = ngx_http_phota_zone_init;

    return zone;
}


static ngx_int_t
ngx_http_phota_zone_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t          *slab;
    ngx_http_phota_shared_t  *shared;

    if (data) {
        zone->data = data;
        return NGX_OK;
    }

    slab = (ngx_slab_pool_t *) zone->shm.addr;

    if (zone->shm.exists) {
        zone->data = slab->data;
        return NGX_OK;
    }

    shared = ngx_slab_calloc(slab, sizeof(ngx_http_phota_shared_t));
    if (shared == NULL) {
        return NGX_ERROR;
    }

    shared->meters.started = ngx_time();

    /* a full zone is reported where it is noticed, not at each attempt */

    slab->log_nomem = 0;
    slab->data = shared;
    zone->data = shared;

    return NGX_OK;
}


void
ngx_http_phota_zone_attach(ngx_shm_zone_t *zone)
{
    ngx_http_phota_shared = zone->data;
    ngx_http_phota_slab = (ngx_slab_pool_t *) zone->shm.addr;

    ngx_http_phota_wait_init();
}


phota_beats_t *
ngx_http_phota_zone_beats(void)
{
    return &ngx_http_phota_shared->beats;
}


ngx_uint_t
ngx_http_phota_zone_turn(const u_char *fingerprint, ngx_uint_t step)
{
    ngx_uint_t  n;

    /* other bytes than those that choose a flight's bucket: any will do */

    n = (ngx_uint_t) fingerprint[2] << 8 | fingerprint[3];
    n %= NGX_HTTP_PHOTA_TURNS;

    return (ngx_uint_t) ngx_atomic_fetch_add(&ngx_http_phota_shared->turns[n],
                                             (ngx_atomic_int_t) step);
}
