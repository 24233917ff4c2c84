
/*
 * A job that is followed, from the look that found it due until what was done
 * is written: shared by those who poll, who fetch pictures and who deliver.
 */


#ifndef _NGX_HTTP_PHOTA_FOLLOW_H_INCLUDED_
#define _NGX_HTTP_PHOTA_FOLLOW_H_INCLUDED_


#include "ngx_http_phota_module.h"


#define NGX_HTTP_PHOTA_FETCHES    4         /* tries to get its pictures */


typedef struct ngx_http_phota_follow_s  ngx_http_phota_follow_t;


struct ngx_http_phota_follow_s {
    ngx_queue_t                 queue;
    phota_job_t                 row;
    phota_charge_t              charge;
    phota_tenant_t              tenant;
    u_char                     *text;       /* what the upstream said */
    size_t                      len;

    phota_report_t              report;     /* of the text */
    ngx_http_phota_spool_t     *files[PHOTA_PICTURES_MAX];
    ngx_uint_t                  nfiles;
    phota_assembly_t            assembly;
    phota_deposit_t             deposit;
    ngx_http_phota_job_t        store;

    void                      (*change)(phota_job_t *row, void *data);
    ngx_http_phota_job_t        write;

    ngx_uint_t                  answered;   /* the receiver's status */
    const char                 *trouble;

    unsigned                    known:1;    /* the tenant is */
    unsigned                    delivers:1; /* waits for a receiver */
    unsigned                    reported:1;
    unsigned                    remove:1;
    unsigned                    moved:1;    /* the cache is another now */
    unsigned                    damaged:1;  /* its row is */
};


/* ngx_http_phota_follow.c */

/*
 * Changes the row as it is in the books then, and lets the job go: f is gone.
 * change() has f for data; it is called in the writer's thread.
 */
void ngx_http_phota_follow_write(ngx_http_phota_follow_t *f,
    void (*change)(phota_job_t *row, void *data));

/* it can't be tried now */
void ngx_http_phota_follow_later(phota_job_t *row, void *data);

/* its pictures, or what is said of it, were not to be had */
void ngx_http_phota_follow_missed(phota_job_t *row, void *data);

/* ms: first, and half as long again with each of n, most at the most */
uint64_t ngx_http_phota_follow_delay(ngx_uint_t n, uint64_t first,
    uint64_t most);

/* ngx_http_phota_fetch.c */

/* brings the pictures of a job that is done into the cache */
void ngx_http_phota_follow_fetch(ngx_http_phota_follow_t *f);

/* ngx_http_phota_deliver.c */

/* calls the tenant back */
void ngx_http_phota_follow_deliver(ngx_http_phota_follow_t *f);


#endif /* _NGX_HTTP_PHOTA_FOLLOW_H_INCLUDED_ */
