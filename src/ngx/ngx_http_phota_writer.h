
/*
 * Queues of work for the writer threads: a job, and the queue that it waits in.
 * Part of ngx_http_phota_module.h, which it can't be read without.
 */


#ifndef _NGX_HTTP_PHOTA_WRITER_H_INCLUDED_
#define _NGX_HTTP_PHOTA_WRITER_H_INCLUDED_


#define NGX_HTTP_PHOTA_TOGETHER  16     /* jobs of run_all() at the most */


/*
 * Work for a writer thread.  run() is called in the thread, with a write
 * transaction when its queue groups commits; done() in the event loop, with rc
 * PHOTA_OK only when the work is durable.
 */

struct ngx_http_phota_job_s {
    ngx_queue_t                 queue;
    int                       (*run)(ngx_http_phota_job_t *job, MDB_txn *txn);

    /* instead, for those that see to their own transactions: n jobs at once */
    void                      (*run_all)(ngx_http_phota_job_t **jobs,
                                         ngx_uint_t n);

    void                      (*done)(ngx_http_phota_job_t *job);
    uint64_t                    posted;         /* us, if it is timed */
    ngx_http_phota_meter_e      meter;          /* that times it, or NONE */
    int                         rc;
    phota_error_t               err;
};


/* jobs that one thread at a time takes all together */

typedef struct {
    ngx_thread_task_t           task;
    ngx_event_t                 gather;         /* posts the task */
    ngx_queue_t                 waiting;        /* event loop's */
    ngx_queue_t                 taken;          /* the thread's, then done */
    phota_store_t              *store;          /* NULL: jobs see to it */
    unsigned                    busy:1;
    unsigned                    paused:1;       /* what comes, waits */
} ngx_http_phota_writer_t;


void ngx_http_phota_writer_init(ngx_http_phota_writer_t *w,
    phota_store_t *store, ngx_log_t *log);

/* never fails: when no thread takes it, done() comes with PHOTA_ERROR */
void ngx_http_phota_post(ngx_http_phota_writer_t *w,
    ngx_http_phota_job_t *job);

/* lets nothing begin any more; NGX_OK when nothing is under way */
ngx_int_t ngx_http_phota_writer_pause(ngx_http_phota_writer_t *w,
    const char *why);
void ngx_http_phota_writer_go_on(ngx_http_phota_writer_t *w);

/* at exit, when the threads are gone: runs what still waits */
void ngx_http_phota_writer_flush(ngx_http_phota_writer_t *w);


#endif /* _NGX_HTTP_PHOTA_WRITER_H_INCLUDED_ */
