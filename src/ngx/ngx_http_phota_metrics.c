
/*
 * phota_metrics: numbers for Prometheus.  One scrape at a time reads in a
 * thread, others wait for their turn, so that whoever asks often takes no more
 * than one thread of a worker; the event loop touches no page of LMDB for it.
 */


#include "ngx_http_phota_metrics.h"


#define NGX_HTTP_PHOTA_SCRAPES  16      /* that may wait in a worker */


static ngx_http_phota_scrape_t *ngx_http_phota_scrape_create(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_phota_scrape_post(ngx_http_phota_scrape_t *scrape);
static void ngx_http_phota_scrape_thread(void *data, ngx_log_t *log);
static void ngx_http_phota_scrape_done(ngx_event_t *ev);
static void ngx_http_phota_scrape_next(void);
static void ngx_http_phota_scrape_gone(void *data);
static void ngx_http_phota_scrape_free(void *data);
static ngx_int_t ngx_http_phota_scrape_refuse(ngx_http_request_t *r);
static ngx_int_t ngx_http_phota_scrape_send(ngx_http_request_t *r,
    ngx_http_phota_scrape_t *scrape);


/* of this worker */

static ngx_queue_t          ngx_http_phota_scrapes;
static ngx_uint_t           ngx_http_phota_nscrapes;
static ngx_uint_t           ngx_http_phota_scraping;
static phota_survey_kept_t  ngx_http_phota_kept;


char *
ngx_http_phota_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_phota_loc_conf_t *plcf = conf;

    ngx_str_t                   *value;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_phota_main_conf_t  *pmcf;

    if (plcf->metrics) {
        return "is duplicate";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler) {
        return "is duplicate, or the location has a handler already";
    }

    plcf->metrics = NGX_HTTP_PHOTA_METRICS_ON;

    if (cf->args->nelts == 2) {
        value = cf->args->elts;

        if (ngx_strcmp(value[1].data, "tenants") != 0) {
            return "knows no other word than \"tenants\"";
        }

        plcf->metrics = NGX_HTTP_PHOTA_METRICS_TENANTS;
    }

    clcf->handler = ngx_http_phota_metrics_handler;

    pmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_phota_module);
    pmcf->measured = 1;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_phota_metrics_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_phota_scrape_t    *scrape;
    ngx_http_phota_loc_conf_t  *plcf;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_phota_worker.exiting
        || ngx_http_phota_nscrapes >= NGX_HTTP_PHOTA_SCRAPES)
    {
        return ngx_http_phota_scrape_refuse(r);
    }

    scrape = ngx_http_phota_scrape_create(r);
    if (scrape == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    scrape->tenants = (plcf->metrics == NGX_HTTP_PHOTA_METRICS_TENANTS);

    if (ngx_http_phota_scraping) {
        scrape->waiting = 1;
        ngx_queue_insert_tail(&ngx_http_phota_scrapes, &scrape->queue);

    } else if (ngx_http_phota_scrape_post(scrape) != NGX_OK) {
        return ngx_http_phota_scrape_refuse(r);
    }

    r->main->count++;
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


/* on the heap: it may outlive the request */

static ngx_http_phota_scrape_t *
ngx_http_phota_scrape_create(ngx_http_request_t *r)
{
    ngx_http_cleanup_t       *cln;
    ngx_http_phota_scrape_t  *scrape;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    scrape = ngx_calloc(sizeof(ngx_http_phota_scrape_t), ngx_cycle->log);
    if (scrape == NULL) {
        return NULL;
    }

    if (ngx_http_phota_nscrapes++ == 0) {
        ngx_queue_init(&ngx_http_phota_scrapes);
    }

    scrape->r = r;

    cln->handler = ngx_http_phota_scrape_gone;
    cln->data = scrape;

    return scrape;
}


static ngx_int_t
ngx_http_phota_scrape_post(ngx_http_phota_scrape_t *scrape)
{
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    scrape->kept = &ngx_http_phota_kept;
    scrape->books_open = worker->books_open;
    scrape->cache_open = worker->cache_open;

    scrape->task.ctx = scrape;
    scrape->task.handler = ngx_http_phota_scrape_thread;
    scrape->task.event.data = scrape;
    scrape->task.event.handler = ngx_http_phota_scrape_done;
    scrape->task.event.log = ngx_cycle->log;

    if (ngx_thread_task_post(worker->conf->pool, &scrape->task) != NGX_OK) {
        return NGX_ERROR;
    }

    scrape->posted = 1;
    ngx_http_phota_scraping = 1;

    /* neither environment is closed while a thread has it */

    worker->asking += scrape->books_open;
    worker->reading += scrape->cache_open;

    ngx_http_phota_job_begin();

    return NGX_OK;
}


static void
ngx_http_phota_scrape_thread(void *data, ngx_log_t *log)
{
    ngx_http_phota_scrape_t *scrape = data;

    uint64_t                  begun;
    phota_cache_t             cache;
    phota_error_t             err;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;
    begun = ngx_http_phota_meter_clock();

    if (scrape->books_open) {
        scrape->books_read = (phota_survey_books(&scrape->survey,
                                                 scrape->kept,
                                                 &worker->ledger,
                                                 &worker->jobs,
                                                 &worker->tenants,
                                                 scrape->tenants,
                                                 &scrape->err)
                              == PHOTA_OK);

        phota_survey_store(&scrape->books, &worker->books);
    }

    if (scrape->cache_open) {

        /* a copy: only the writer keeps anything in it */

        cache = worker->cache;

        scrape->cache_read = (phota_cache_stats(&cache, &scrape->totals, &err)
                              == PHOTA_OK);

        phota_survey_store(&scrape->cache, &worker->cache_store);
    }

    scrape->took = ngx_http_phota_meter_clock() - begun;

    ngx_http_phota_expose(scrape);
}


static void
ngx_http_phota_scrape_done(ngx_event_t *ev)
{
    ngx_http_phota_scrape_t *scrape = ev->data;

    ngx_connection_t         *c;
    ngx_http_request_t       *r;
    ngx_http_phota_worker_t  *worker;

    static char  said[sizeof(phota_error_t)];

    worker = &ngx_http_phota_worker;

    worker->asking -= scrape->books_open;
    worker->reading -= scrape->cache_open;

    ngx_http_phota_job_end();

    scrape->posted = 0;
    ngx_http_phota_scraping = 0;

    ngx_http_phota_complain("the books can't be measured",
                            scrape->books_open && !scrape->books_read
                            ? scrape->err.text : "", said, sizeof(said));

    r = scrape->r;

    if (r == NULL) {
        ngx_http_phota_scrape_free(scrape);
        ngx_http_phota_scrape_next();
        return;
    }

    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_phota_scrape_next();

    ngx_http_finalize_request(r, ngx_http_phota_scrape_send(r, scrape));
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_phota_scrape_next(void)
{
    ngx_queue_t              *q;
    ngx_connection_t         *c;
    ngx_http_request_t       *r;
    ngx_http_phota_scrape_t  *scrape;

    while (!ngx_http_phota_scraping
           && !ngx_queue_empty(&ngx_http_phota_scrapes))
    {
        q = ngx_queue_head(&ngx_http_phota_scrapes);
        ngx_queue_remove(q);

        scrape = ngx_queue_data(q, ngx_http_phota_scrape_t, queue);
        scrape->waiting = 0;

        if (!ngx_http_phota_worker.exiting
            && ngx_http_phota_scrape_post(scrape) == NGX_OK)
        {
            return;
        }

        r = scrape->r;
        c = r->connection;

        ngx_http_finalize_request(r, ngx_http_phota_scrape_refuse(r));
        ngx_http_run_posted_requests(c);
    }
}


/* the request ends: what isn't in a thread goes with it */

static void
ngx_http_phota_scrape_gone(void *data)
{
    ngx_http_phota_scrape_t *scrape = data;

    scrape->r = NULL;

    if (scrape->waiting) {
        ngx_queue_remove(&scrape->queue);
    }

    if (!scrape->posted) {
        ngx_http_phota_scrape_free(scrape);
    }
}


static void
ngx_http_phota_scrape_free(void *data)
{
    ngx_http_phota_scrape_t *scrape = data;

    ngx_http_phota_nscrapes--;

    phota_survey_free(&scrape->survey);

    if (scrape->text.data) {
        ngx_free(scrape->text.data);
    }

    ngx_free(scrape);
}


static ngx_int_t
ngx_http_phota_scrape_refuse(ngx_http_request_t *r)
{
    if (ngx_http_phota_header(r, "Retry-After", (u_char *) "1", 1) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_HTTP_SERVICE_UNAVAILABLE;
}


static ngx_int_t
ngx_http_phota_scrape_send(ngx_http_request_t *r,
    ngx_http_phota_scrape_t *scrape)
{
    ngx_buf_t    *b;
    ngx_int_t     rc;
    ngx_chain_t   out;

    if (scrape->text.failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = (off_t) scrape->text.len;

    ngx_str_set(&r->headers_out.content_type,
                "text/plain; version=0.0.4; charset=utf-8");
    r->headers_out.content_type_len = sizeof("text/plain") - 1;

    if (ngx_http_phota_header(r, "Cache-Control", (u_char *) "no-store",
                              sizeof("no-store") - 1)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    /* the text lives as long as the request does */

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = (u_char *) scrape->text.data;
    b->last = b->pos + scrape->text.len;
    b->memory = 1;
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
