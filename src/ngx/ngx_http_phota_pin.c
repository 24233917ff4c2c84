
/*
 * Pictures that this worker's requests may still send: from the lookup to the
 * request's end they are counted here, and tick by tick the workers' common
 * memory is told that they are in use for some seconds more.  A worker that
 * dies says nothing more, and what a client had no time for may go.
 */


#include "ngx_http_phota_module.h"


/*
 * s that one word is good for, and that it lasts when the last request has
 * ended: other workers who need it longer say so at their next tick
 */

#define NGX_HTTP_PHOTA_WORD  5
#define NGX_HTTP_PHOTA_REST  2


typedef struct {
    ngx_uint_t             n;
    uint16_t               slots[PHOTA_PICTURES_MAX];
} ngx_http_phota_pin_t;


static void ngx_http_phota_unpin(void *data);


/* requests that may send a picture of a slot */

static ngx_uint_t  ngx_http_phota_pins[PHOTA_BEATS];


ngx_int_t
ngx_http_phota_pin(ngx_http_request_t *r, const phota_piece_t *pictures,
    ngx_uint_t n)
{
    ngx_uint_t             i;
    phota_beats_t         *beats;
    ngx_http_cleanup_t    *cln;
    ngx_http_phota_pin_t  *pin;

    cln = ngx_http_cleanup_add(r, sizeof(ngx_http_phota_pin_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_phota_unpin;

    pin = cln->data;
    pin->n = ngx_min(n, PHOTA_PICTURES_MAX);

    beats = ngx_http_phota_zone_beats();

    for (i = 0; i < pin->n; i++) {
        pin->slots[i] = (uint16_t)
                         (phota_beat_slot(beats, pictures[i].picture->digest)
                          - beats->until);

        ngx_http_phota_pins[pin->slots[i]]++;

        phota_beat_at(&beats->until[pin->slots[i]],
                      (uint32_t) ngx_time() + NGX_HTTP_PHOTA_WORD);
    }

    return NGX_OK;
}


static void
ngx_http_phota_unpin(void *data)
{
    ngx_http_phota_pin_t *pin = data;

    ngx_uint_t      i;
    phota_beats_t  *beats;

    beats = ngx_http_phota_zone_beats();

    for (i = 0; i < pin->n; i++) {
        if (--ngx_http_phota_pins[pin->slots[i]] == 0) {
            beats->until[pin->slots[i]] = (uint32_t) ngx_time()
                                          + NGX_HTTP_PHOTA_REST;
        }
    }
}


void
ngx_http_phota_pin_tick(void)
{
    ngx_uint_t      i;
    phota_beats_t  *beats;

    beats = ngx_http_phota_zone_beats();

    for (i = 0; i < PHOTA_BEATS; i++) {
        if (ngx_http_phota_pins[i]) {
            phota_beat_at(&beats->until[i],
                          (uint32_t) ngx_time() + NGX_HTTP_PHOTA_WORD);
        }
    }
}
