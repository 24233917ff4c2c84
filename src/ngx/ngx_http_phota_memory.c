
/*
 * What of the cache is in memory.  Whether the whole file is a thread looks now
 * and then.  As long as it is, the event loop looks for results itself, however
 * many there are; otherwise each that was not asked for lately is looked at by
 * a thread first.
 */


#include "ngx_http_phota_module.h"

#include <sys/mman.h>


/*
 * s: how long what was in memory is taken to be still there, and when the next
 * look is: before that, and the later the longer a look takes
 */

#define NGX_HTTP_PHOTA_MEMORY_VALID  60
#define NGX_HTTP_PHOTA_MEMORY_AGAIN  15
#define NGX_HTTP_PHOTA_MEMORY_LATE   45
#define NGX_HTTP_PHOTA_MEMORY_RETRY  60

/* a look is at most this part of the time */

#define NGX_HTTP_PHOTA_MEMORY_PART   100


typedef struct {
    ngx_thread_task_t  task;
    time_t             until;       /* all is in memory */
    time_t             next;        /* look */
    time_t             began;
    ngx_msec_t         started;
    ngx_uint_t         looking;
    ngx_uint_t         doubted;     /* since the look began */
    int                resident;
} ngx_http_phota_memory_t;


static void ngx_http_phota_memory_thread(void *data, ngx_log_t *log);
static void ngx_http_phota_memory_done(ngx_event_t *ev);


static ngx_http_phota_memory_t  ngx_http_phota_memory;


ngx_uint_t
ngx_http_phota_in_memory(void)
{
    return ngx_time() < ngx_http_phota_memory.until;
}


void
ngx_http_phota_memory_doubt(void)
{
    ngx_http_phota_memory.until = 0;
    ngx_http_phota_memory.next = ngx_time() + NGX_HTTP_PHOTA_MEMORY_RETRY;
    ngx_http_phota_memory.doubted = 1;
}


void
ngx_http_phota_memory_tick(void)
{
    ngx_http_phota_memory_t  *memory;

    memory = &ngx_http_phota_memory;

    if (memory->looking || ngx_time() < memory->next
        || !ngx_http_phota_worker.cache_open || ngx_exiting
        || ngx_http_phota_worker.exiting)
    {
        return;
    }

    memory->began = ngx_time();
    memory->started = ngx_current_msec;
    memory->doubted = 0;
    memory->resident = 0;

    memory->task.ctx = memory;
    memory->task.handler = ngx_http_phota_memory_thread;
    memory->task.event.data = memory;
    memory->task.event.handler = ngx_http_phota_memory_done;
    memory->task.event.log = ngx_cycle->log;

    if (ngx_thread_task_post(ngx_http_phota_worker.conf->pool, &memory->task)
        != NGX_OK)
    {
        memory->next = ngx_time() + NGX_HTTP_PHOTA_MEMORY_RETRY;
        return;
    }

    memory->looking = 1;

    ngx_http_phota_worker.reading++;
    ngx_http_phota_job_begin();
}


static void
ngx_http_phota_memory_thread(void *data, ngx_log_t *log)
{
    ngx_http_phota_memory_t *memory = data;

    memory->resident =
                  phota_store_resident(&ngx_http_phota_worker.cache_store);
}


static void
ngx_http_phota_memory_done(ngx_event_t *ev)
{
    ngx_http_phota_memory_t *memory = ev->data;

    ngx_msec_t  pause;

    ngx_http_phota_worker.reading--;
    ngx_http_phota_job_end();

    memory->looking = 0;

    if (memory->doubted) {
        return;
    }

    if (memory->resident) {
        pause = (ngx_current_msec - memory->started)
                * NGX_HTTP_PHOTA_MEMORY_PART / 1000;
        pause = ngx_max(pause, NGX_HTTP_PHOTA_MEMORY_AGAIN);

        memory->until = memory->began + NGX_HTTP_PHOTA_MEMORY_VALID;
        memory->next = ngx_time()
                       + (time_t) ngx_min(pause, NGX_HTTP_PHOTA_MEMORY_LATE);

    } else {
        memory->until = 0;
        memory->next = ngx_time() + NGX_HTTP_PHOTA_MEMORY_RETRY;
    }
}


/* with the checksum behind them */

ngx_uint_t
ngx_http_phota_resident(const u_char *p, size_t len)
{
    u_char      pages[(PHOTA_CHUNK + 64) / 4096 + 2], *start;
    ngx_uint_t  i, n;

    len += sizeof(uint64_t);

    start = (u_char *) ((uintptr_t) p & ~((uintptr_t) ngx_pagesize - 1));
    n = (p + len - start + ngx_pagesize - 1) / ngx_pagesize;

    if (n > sizeof(pages)
        || mincore(start, p + len - start, pages) == -1)
    {
        return 1;
    }

    for (i = 0; i < n; i++) {
        if (!(pages[i] & 1)) {
            return 0;
        }
    }

    return 1;
}
