
/*
 * Answers that are made of what is stored: found in a pool, proved to be whole,
 * rendered, sent piece by piece, or told by links that lead to it.
 */


#ifndef _NGX_HTTP_PHOTA_STORED_H_INCLUDED_
#define _NGX_HTTP_PHOTA_STORED_H_INCLUDED_


#include "ngx_http_phota_module.h"


/* ngx_http_phota_pool.c */

/*
 * What the pool has for a request.  NGX_OK: enough, ctx->hit is set;
 * NGX_DECLINED: not enough, ctx->pooled says how much; NGX_ERROR.
 */
ngx_int_t ngx_http_phota_lookup(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* the pictures that a pool has to have before it answers this request */
ngx_uint_t ngx_http_phota_needs(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/*
 * Once it is stored: what was just bought behind what the pool had, together
 * as many as were asked for.
 */
ngx_int_t ngx_http_phota_bought(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* what an earlier charge was answered with, or the first that were asked for */
ngx_int_t ngx_http_phota_replayed(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, const u_char *fingerprint,
    const phota_charge_t *charge);
ngx_int_t ngx_http_phota_resold(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

uint32_t ngx_http_phota_scope(ngx_http_phota_ctx_t *ctx);

/* ngx_http_phota_hit.c */

ngx_int_t ngx_http_phota_send_hit(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* what a client's request added to the books, if anything yet; micro-USD */
ngx_int_t ngx_http_phota_hit_money(ngx_http_phota_ctx_t *ctx, int64_t *cost,
    int64_t *price, int64_t *saved);

/* ngx_http_phota_prove.c */

/*
 * That pictures are whole: NGX_OK when this worker has read them before and
 * they still fit their checksums, NGX_AGAIN when a thread reads them now:
 * handler is called with NGX_OK, or with NGX_DECLINED once what is damaged was
 * removed, NGX_ABORT when it couldn't be, NGX_ERROR when nothing can be read
 * now.  fingerprint: whose pool they are in, or NULL.
 */
typedef void (*ngx_http_phota_proven_pt)(ngx_http_request_t *r, ngx_int_t rc);

ngx_int_t ngx_http_phota_prove(ngx_http_request_t *r,
    const phota_piece_t *pictures, ngx_uint_t n, const u_char *fingerprint,
    ngx_http_phota_proven_pt handler);

/*
 * That the event loop finds a pool, or a picture (fingerprint NULL), in memory:
 * the whole cache is, or a thread has looked at it within the last minute, or
 * looks at it now: NGX_AGAIN, and handler is called with NGX_OK; NGX_ERROR.
 */
ngx_int_t ngx_http_phota_fetch(ngx_http_request_t *r,
    const u_char *fingerprint, uint32_t scope, const u_char *digest,
    ngx_http_phota_proven_pt handler);

/* something came from the disk: for a while little is taken for granted */
void ngx_http_phota_feel_cold(void);

/* that those of its pictures whose bytes it wrote needn't be read first */
void ngx_http_phota_written(const phota_deposit_t *deposit);

/* that it has to be read again before it is sent */
void ngx_http_phota_doubt(const u_char *digest);

/* has a pool's damaged records, or a damaged picture, removed */
void ngx_http_phota_mend_cache(const u_char *fingerprint, uint32_t scope,
    const phota_picture_t *picture);

/* ngx_http_phota_hot.c */

void ngx_http_phota_hot_init(void);

/*
 * A picture's base64 for as long as the request lives: then the picture needn't
 * be held against its checksums.  NULL: it isn't there, or no memory.
 */
ngx_http_phota_hot_t *ngx_http_phota_hot_hold(ngx_http_request_t *r,
    uint32_t scope, const phota_picture_t *picture);

/* somebody has asked for one that isn't there */
void ngx_http_phota_hot_want(uint32_t scope, const phota_picture_t *picture);

void ngx_http_phota_hot_buf(ngx_http_phota_hot_t *hot, ngx_buf_t *b);

/* it may be damaged */
void ngx_http_phota_hot_doubt(const u_char *digest);

/* by the worker's tick */
void ngx_http_phota_hot_tick(void);

/* ngx_http_phota_memory.c */

/* whether a chunk is in memory */
ngx_uint_t ngx_http_phota_resident(const u_char *p, size_t len);

/* that the whole of the cache is in memory, as a thread has seen lately */
ngx_uint_t ngx_http_phota_in_memory(void);

/* it isn't any more, or is another one */
void ngx_http_phota_memory_doubt(void);

/* by the worker's tick */
void ngx_http_phota_memory_tick(void);

/* ngx_http_phota_send.c */

/*
 * Sends an answer whose header has gone out.  raw: pictures as they are, not
 * as base64.  rendering lives as long as the request.  NGX_DONE, or an error.
 */
ngx_int_t ngx_http_phota_send(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, const phota_rendering_t *rendering,
    ngx_uint_t raw);

/* ngx_http_phota_pin.c */

/* until the request ends nobody deletes these pictures; NGX_ERROR: no memory */
ngx_int_t ngx_http_phota_pin(ngx_http_request_t *r,
    const phota_piece_t *pictures, ngx_uint_t n);

/* by the worker's tick */
void ngx_http_phota_pin_tick(void);

/* ngx_http_phota_results.c */

char *ngx_http_phota_results(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_phota_results_url(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* whether links lead anywhere */
ngx_uint_t ngx_http_phota_has_links(void);

/* what links of this request begin with; NGX_ERROR: no memory */
ngx_int_t ngx_http_phota_results_base(ngx_http_request_t *r,
    phota_str_t *base);

/* a URL of this nginx, as the client of this request would reach it */
ngx_int_t ngx_http_phota_absolute(ngx_http_request_t *r, ngx_str_t *path,
    phota_str_t *url);


#endif /* _NGX_HTTP_PHOTA_STORED_H_INCLUDED_ */
