
/*
 * What the upstream's callbacks are checked by, taken from a request so that a
 * thread can check it when the request has gone.
 */


#ifndef _NGX_HTTP_PHOTA_SIGNATURE_H_INCLUDED_
#define _NGX_HTTP_PHOTA_SIGNATURE_H_INCLUDED_


#include "ngx_http_phota_module.h"


#define NGX_HTTP_PHOTA_SIGNATURE_MAX  1024
#define NGX_HTTP_PHOTA_TIMESTAMP_MAX  64


typedef struct {
    size_t           secret_len;
    size_t           signature_len;
    size_t           timestamp_len;
    u_char           secret[PHOTA_KEY_MAX];
    u_char           signature[NGX_HTTP_PHOTA_SIGNATURE_MAX];
    u_char           timestamp[NGX_HTTP_PHOTA_TIMESTAMP_MAX];
} ngx_http_phota_signed_t;


/*
 * The secret of the account that a job was bought with; to be cleansed.
 * NGX_DECLINED when there is none: nothing of it can be believed.
 */
ngx_int_t ngx_http_phota_signature_secret(ngx_http_phota_signed_t *sign,
    const phota_job_t *row);

/* the headers; NGX_DECLINED when one is missing, or can't be right */
ngx_int_t ngx_http_phota_signature_read(ngx_http_request_t *r,
    ngx_http_phota_signed_t *sign);

/* for threads: PHOTA_OK, PHOTA_INVALID, or PHOTA_ERROR */
int ngx_http_phota_signature_check(const ngx_http_phota_signed_t *sign,
    const u_char *body, size_t len);


#endif /* _NGX_HTTP_PHOTA_SIGNATURE_H_INCLUDED_ */
