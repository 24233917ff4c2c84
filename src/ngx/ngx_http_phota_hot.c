
/*
 * Pictures that are asked for again and again, as answers tell them: base64 in
 * files of memory, which nginx sends without a copy.  Of the second request in
 * a minute a thread makes the file, held against its checksums; it is written
 * once, sealed, and gone a minute after its last request.  What a worker has of
 * them, also for clients that still take one, is bounded (phota_hot_memory).
 * Whether an answer is a hit, and whose, the cache alone says.
 */


#include "ngx_http_phota_module.h"

#include <sys/mman.h>


#define NGX_HTTP_PHOTA_HOT_BUCKETS  128
#define NGX_HTTP_PHOTA_HOT_ASKED    1024        /* pictures remembered */
#define NGX_HTTP_PHOTA_HOT_LEAST    65536       /* bytes: others are cheap */
#define NGX_HTTP_PHOTA_HOT_TIME     60          /* s */


struct ngx_http_phota_hot_s {
    ngx_queue_t           queue;        /* of those that are ready */
    ngx_queue_t           bucket;
    ngx_thread_task_t     task;
    ngx_file_t            file;
    phota_picture_t       picture;
    uint32_t              scope;
    size_t                size;         /* of the text, bytes */
    time_t                used;
    ngx_uint_t            refs;         /* of requests */
    unsigned              gone:1;       /* for those that have it alone */
};


typedef struct {
    uint64_t              name;
    time_t                time;
} ngx_http_phota_hot_asked_t;


static ngx_http_phota_hot_t *ngx_http_phota_hot_find(uint32_t scope,
    const phota_picture_t *picture);
static uint64_t ngx_http_phota_hot_name(const u_char *digest);
static void ngx_http_phota_hot_release(void *data);
static void ngx_http_phota_hot_thread(void *data, ngx_log_t *log);
static int ngx_http_phota_hot_fill(ngx_http_phota_hot_t *hot, u_char *text);
static void ngx_http_phota_hot_made(ngx_event_t *ev);
static ngx_uint_t ngx_http_phota_hot_room(size_t size);
static void ngx_http_phota_hot_out(ngx_http_phota_hot_t *hot);
static void ngx_http_phota_hot_free(ngx_http_phota_hot_t *hot);


static ngx_queue_t                 ngx_http_phota_hot_queue;
static ngx_queue_t                 ngx_http_phota_hot_buckets[
                                       NGX_HTTP_PHOTA_HOT_BUCKETS];
static ngx_http_phota_hot_asked_t  ngx_http_phota_hot_asked[
                                       NGX_HTTP_PHOTA_HOT_ASKED];
static size_t                      ngx_http_phota_hot_size;
static ngx_uint_t                  ngx_http_phota_hot_making;


void
ngx_http_phota_hot_init(void)
{
    ngx_uint_t  i;

    ngx_queue_init(&ngx_http_phota_hot_queue);

    for (i = 0; i < NGX_HTTP_PHOTA_HOT_BUCKETS; i++) {
        ngx_queue_init(&ngx_http_phota_hot_buckets[i]);
    }
}


/* digests are evenly spread: their own bytes are the hash */

static uint64_t
ngx_http_phota_hot_name(const u_char *digest)
{
    uint64_t  name;

    ngx_memcpy(&name, digest, sizeof(name));

    return name;
}


static ngx_http_phota_hot_t *
ngx_http_phota_hot_find(uint32_t scope, const phota_picture_t *picture)
{
    uint64_t               name;
    ngx_queue_t           *q, *bucket;
    ngx_http_phota_hot_t  *hot;

    name = ngx_http_phota_hot_name(picture->digest);
    bucket = &ngx_http_phota_hot_buckets[name % NGX_HTTP_PHOTA_HOT_BUCKETS];

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        hot = ngx_queue_data(q, ngx_http_phota_hot_t, bucket);

        if (hot->scope == scope
            && hot->picture.length == picture->length
            && ngx_memcmp(hot->picture.digest, picture->digest,
                          PHOTA_SHA256_LEN)
               == 0)
        {
            return hot;
        }
    }

    return NULL;
}


ngx_http_phota_hot_t *
ngx_http_phota_hot_hold(ngx_http_request_t *r, uint32_t scope,
    const phota_picture_t *picture)
{
    ngx_http_cleanup_t    *cln;
    ngx_http_phota_hot_t  *hot;

    if (picture->length < NGX_HTTP_PHOTA_HOT_LEAST
        || !r->connection->sendfile)
    {
        return NULL;
    }

    hot = ngx_http_phota_hot_find(scope, picture);
    if (hot == NULL) {
        return NULL;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_phota_hot_release;
    cln->data = hot;

    hot->refs++;
    hot->used = ngx_time();

    ngx_queue_remove(&hot->queue);
    ngx_queue_insert_head(&ngx_http_phota_hot_queue, &hot->queue);

    return hot;
}


static void
ngx_http_phota_hot_release(void *data)
{
    ngx_http_phota_hot_t *hot = data;

    if (--hot->refs == 0 && hot->gone) {
        ngx_http_phota_hot_free(hot);
    }
}


void
ngx_http_phota_hot_buf(ngx_http_phota_hot_t *hot, ngx_buf_t *b)
{
    b->in_file = 1;
    b->file = &hot->file;
    b->file_last = (off_t) hot->size;
}


/* one at a time: what is wanted still is asked for again */

void
ngx_http_phota_hot_want(uint32_t scope, const phota_picture_t *picture)
{
    size_t                       size;
    uint64_t                     name;
    ngx_http_phota_hot_t        *hot;
    ngx_http_phota_hot_asked_t  *asked;

    if (picture->length < NGX_HTTP_PHOTA_HOT_LEAST) {
        return;
    }

    name = ngx_http_phota_hot_name(picture->digest);
    asked = &ngx_http_phota_hot_asked[name % NGX_HTTP_PHOTA_HOT_ASKED];

    if (asked->name != name
        || ngx_time() - asked->time >= NGX_HTTP_PHOTA_HOT_TIME)
    {
        asked->name = name;
        asked->time = ngx_time();
        return;
    }

    if (ngx_http_phota_hot_making || ngx_http_phota_worker.exiting) {
        return;
    }

    size = phota_base64_length((size_t) picture->length);

    if (!ngx_http_phota_hot_room(size)) {
        return;
    }

    hot = ngx_calloc(sizeof(ngx_http_phota_hot_t), ngx_cycle->log);
    if (hot == NULL) {
        return;
    }

    ngx_str_set(&hot->file.name, "phota hot");

    hot->file.fd = NGX_INVALID_FILE;
    hot->file.log = ngx_cycle->log;
    hot->picture = *picture;
    hot->scope = scope;
    hot->size = size;

    hot->task.ctx = hot;
    hot->task.handler = ngx_http_phota_hot_thread;
    hot->task.event.data = hot;
    hot->task.event.handler = ngx_http_phota_hot_made;
    hot->task.event.log = ngx_cycle->log;

    if (ngx_thread_task_post(ngx_http_phota_worker.conf->pool, &hot->task)
        != NGX_OK)
    {
        ngx_free(hot);
        return;
    }

    ngx_http_phota_hot_making = 1;
    ngx_http_phota_hot_size += size;

    ngx_http_phota_worker.reading++;
    ngx_http_phota_job_begin();
}


static void
ngx_http_phota_hot_thread(void *data, ngx_log_t *log)
{
    ngx_http_phota_hot_t *hot = data;

    int      fd, rc;
    u_char  *text;

    fd = memfd_create("phota hot", MFD_CLOEXEC|MFD_ALLOW_SEALING);

    if (fd == -1) {
        return;
    }

    text = MAP_FAILED;

    if (ftruncate(fd, (off_t) hot->size) == 0) {
        text = mmap(NULL, hot->size, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
    }

    if (text == MAP_FAILED) {
        (void) close(fd);
        return;
    }

    rc = ngx_http_phota_hot_fill(hot, text);

    (void) munmap(text, hot->size);

    if (rc != PHOTA_OK
        || fcntl(fd, F_ADD_SEALS,
                 F_SEAL_SHRINK|F_SEAL_GROW|F_SEAL_WRITE|F_SEAL_SEAL)
           == -1)
    {
        (void) close(fd);
        return;
    }

    hot->file.fd = fd;
}


static int
ngx_http_phota_hot_fill(ngx_http_phota_hot_t *hot, u_char *text)
{
    int            rc;
    size_t         len;
    MDB_txn       *txn;
    uint32_t       index;
    const u_char  *p;

    rc = phota_store_begin(&ngx_http_phota_worker.cache_store, 0, &txn, NULL);

    if (rc != PHOTA_OK) {
        return rc;
    }

    for (index = 0;
         phota_cache_chunk_len(&hot->picture, index) != 0;
         index++)
    {
        rc = phota_cache_chunk(&ngx_http_phota_worker.cache, txn, hot->scope,
                               &hot->picture, index, &p, &len);

        if (rc == PHOTA_OK) {
            rc = phota_cache_sound(hot->scope, &hot->picture, index, p, len);
        }

        if (rc != PHOTA_OK) {
            break;
        }

        /* chunks are multiples of three bytes: only the last one is padded */

        text += phota_base64_encode(text, p, len);
    }

    phota_store_abort(txn);

    return rc;
}


static void
ngx_http_phota_hot_made(ngx_event_t *ev)
{
    uint64_t               name;
    ngx_http_phota_hot_t  *hot;

    hot = ev->data;

    ngx_http_phota_hot_making = 0;
    ngx_http_phota_worker.reading--;
    ngx_http_phota_job_end();

    if (hot->file.fd == NGX_INVALID_FILE
        || ngx_http_phota_hot_find(hot->scope, &hot->picture))
    {
        ngx_http_phota_hot_free(hot);
        return;
    }

    hot->used = ngx_time();
    name = ngx_http_phota_hot_name(hot->picture.digest);

    ngx_queue_insert_head(&ngx_http_phota_hot_queue, &hot->queue);
    ngx_queue_insert_head(
        &ngx_http_phota_hot_buckets[name % NGX_HTTP_PHOTA_HOT_BUCKETS],
        &hot->bucket);
}


/* the least recently used go; what clients still take stays, and counts */

static ngx_uint_t
ngx_http_phota_hot_room(size_t size)
{
    size_t                 limit;
    ngx_queue_t           *q;
    ngx_http_phota_hot_t  *hot;

    limit = ngx_http_phota_worker.conf->hot_memory;

    if (size > limit) {
        return 0;
    }

    q = ngx_queue_last(&ngx_http_phota_hot_queue);

    while (ngx_http_phota_hot_size > limit - size) {

        if (q == ngx_queue_sentinel(&ngx_http_phota_hot_queue)) {
            return 0;
        }

        hot = ngx_queue_data(q, ngx_http_phota_hot_t, queue);
        q = ngx_queue_prev(q);

        if (hot->refs == 0) {
            ngx_http_phota_hot_out(hot);
        }
    }

    return 1;
}


void
ngx_http_phota_hot_tick(void)
{
    ngx_queue_t           *q;
    ngx_http_phota_hot_t  *hot;

    q = ngx_queue_last(&ngx_http_phota_hot_queue);

    while (q != ngx_queue_sentinel(&ngx_http_phota_hot_queue)) {
        hot = ngx_queue_data(q, ngx_http_phota_hot_t, queue);
        q = ngx_queue_prev(q);

        if (ngx_time() - hot->used < NGX_HTTP_PHOTA_HOT_TIME) {
            return;
        }

        if (hot->refs == 0) {
            ngx_http_phota_hot_out(hot);
        }
    }
}


void
ngx_http_phota_hot_doubt(const u_char *digest)
{
    ngx_queue_t           *q;
    ngx_http_phota_hot_t  *hot;

    q = ngx_queue_head(&ngx_http_phota_hot_queue);

    while (q != ngx_queue_sentinel(&ngx_http_phota_hot_queue)) {
        hot = ngx_queue_data(q, ngx_http_phota_hot_t, queue);
        q = ngx_queue_next(q);

        if (ngx_memcmp(hot->picture.digest, digest, PHOTA_SHA256_LEN) == 0) {
            ngx_http_phota_hot_out(hot);
        }
    }
}


static void
ngx_http_phota_hot_out(ngx_http_phota_hot_t *hot)
{
    ngx_queue_remove(&hot->queue);
    ngx_queue_remove(&hot->bucket);

    hot->gone = 1;

    if (hot->refs == 0) {
        ngx_http_phota_hot_free(hot);
    }
}


static void
ngx_http_phota_hot_free(ngx_http_phota_hot_t *hot)
{
    ngx_http_phota_hot_size -= hot->size;

    if (hot->file.fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(hot->file.fd);
    }

    ngx_free(hot);
}
