
/*
 * phota_metrics: a scrape from the request to its text.  A thread reads books
 * and cache and writes the text; the event loop sends it.
 */


#ifndef _NGX_HTTP_PHOTA_METRICS_H_INCLUDED_
#define _NGX_HTTP_PHOTA_METRICS_H_INCLUDED_


#include "ngx_http_phota_module.h"
#include "phota_survey.h"


/* grows as it is written; failed: there was no memory, and it is worthless */

typedef struct {
    char                   *data;
    size_t                  len;
    size_t                  size;
    unsigned                failed:1;
} ngx_http_phota_text_t;


typedef struct {
    ngx_queue_t             queue;          /* of those that wait */
    ngx_thread_task_t       task;
    ngx_http_request_t     *r;              /* NULL: the client has left */
    ngx_http_phota_text_t   text;

    /* what the thread has, and found */

    phota_survey_t          survey;
    phota_survey_kept_t    *kept;
    phota_survey_store_t    books;
    phota_survey_store_t    cache;
    phota_cache_totals_t    totals;
    uint64_t                took;           /* us */
    phota_error_t           err;
    unsigned                tenants:1;
    unsigned                waiting:1;
    unsigned                posted:1;
    unsigned                books_open:1;
    unsigned                cache_open:1;
    unsigned                books_read:1;   /* the survey is there */
    unsigned                cache_read:1;
} ngx_http_phota_scrape_t;


/* ngx_http_phota_expose.c */

/* the whole text, of what scrape and the zone have */
void ngx_http_phota_expose(ngx_http_phota_scrape_t *scrape);


#endif /* _NGX_HTTP_PHOTA_METRICS_H_INCLUDED_ */
