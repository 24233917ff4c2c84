
/*
 * Where an upstream's answer is kept until charge and picture are safe: blocks
 * of memory while the worker has room for them (phota_spool_memory), an
 * unlinked file beyond that.  It outlives the request, so it lives on the heap
 * and is counted; the count is the event loop's alone.
 */


#include "ngx_http_phota_module.h"


#define NGX_HTTP_PHOTA_BLOCK  65536


typedef struct ngx_http_phota_block_s  ngx_http_phota_block_t;

struct ngx_http_phota_block_s {
    ngx_http_phota_block_t   *next;
    size_t                    len;
    u_char                    data[NGX_HTTP_PHOTA_BLOCK];
};


struct ngx_http_phota_spool_s {
    ngx_http_phota_block_t   *first;
    ngx_http_phota_block_t  **last;
    ngx_http_phota_block_t   *tail;
    off_t                     in_memory;
    off_t                     in_file;          /* follows the memory */
    ngx_file_t                file;
    ngx_str_t                *path;
    ngx_uint_t                refs;
    unsigned                  no_file:1;
};


static ngx_int_t ngx_http_phota_spool_add_memory(
    ngx_http_phota_spool_t *spool, u_char *p, size_t len);
static ngx_int_t ngx_http_phota_spool_add_file(ngx_http_phota_spool_t *spool,
    u_char *p, size_t len);
static ngx_int_t ngx_http_phota_spool_open(ngx_http_phota_spool_t *spool);


ngx_http_phota_spool_t *
ngx_http_phota_spool_create(ngx_log_t *log, ngx_str_t *path)
{
    ngx_http_phota_spool_t  *spool;

    spool = ngx_calloc(sizeof(ngx_http_phota_spool_t), log);
    if (spool == NULL) {
        return NULL;
    }

    spool->last = &spool->first;
    spool->path = path;
    spool->refs = 1;
    spool->file.fd = NGX_INVALID_FILE;
    spool->file.log = ngx_cycle->log;

    return spool;
}


ngx_int_t
ngx_http_phota_spool_add(ngx_http_phota_spool_t *spool, u_char *p, size_t len)
{
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (spool->in_file == 0
        && (spool->no_file
            || worker->spooled + len <= worker->conf->spool_memory))
    {
        return ngx_http_phota_spool_add_memory(spool, p, len);
    }

    if (ngx_http_phota_spool_add_file(spool, p, len) == NGX_OK) {
        return NGX_OK;
    }

    /*
     * No room on the disk.  What comes in was paid for, so memory has to do,
     * unless a part is in the file already.
     */

    if (spool->in_file) {
        return NGX_ERROR;
    }

    spool->no_file = 1;

    return ngx_http_phota_spool_add_memory(spool, p, len);
}


static ngx_int_t
ngx_http_phota_spool_add_memory(ngx_http_phota_spool_t *spool, u_char *p,
    size_t len)
{
    size_t                   n;
    ngx_http_phota_block_t  *block;

    while (len) {
        block = spool->tail;

        if (block == NULL || block->len == NGX_HTTP_PHOTA_BLOCK) {
            block = ngx_alloc(sizeof(ngx_http_phota_block_t), ngx_cycle->log);
            if (block == NULL) {
                return NGX_ERROR;
            }

            block->next = NULL;
            block->len = 0;

            *spool->last = block;
            spool->last = &block->next;
            spool->tail = block;

            ngx_http_phota_worker.spooled += NGX_HTTP_PHOTA_BLOCK;
        }

        n = ngx_min(len, NGX_HTTP_PHOTA_BLOCK - block->len);

        ngx_memcpy(block->data + block->len, p, n);

        block->len += n;
        spool->in_memory += n;
        p += n;
        len -= n;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_spool_add_file(ngx_http_phota_spool_t *spool, u_char *p,
    size_t len)
{
    ssize_t  n;

    if (spool->file.fd == NGX_INVALID_FILE
        && ngx_http_phota_spool_open(spool) != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = ngx_write_file(&spool->file, p, len, spool->in_file);

    if (n != (ssize_t) len) {
        return NGX_ERROR;
    }

    spool->in_file += len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_spool_open(ngx_http_phota_spool_t *spool)
{
    ngx_fd_t  fd;

    static ngx_str_t  name = ngx_string("phota spool");

    fd = open((char *) spool->path->data, O_TMPFILE|O_RDWR|O_CLOEXEC|O_EXCL,
              0600);

    if (fd == NGX_INVALID_FILE) {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, ngx_errno, NULL,
                                "a spool file can't be made", "in \"%V\"",
                                spool->path);
        return NGX_ERROR;
    }

    spool->file.fd = fd;
    spool->file.name = name;

    return NGX_OK;
}


off_t
ngx_http_phota_spool_size(ngx_http_phota_spool_t *spool)
{
    return spool->in_memory + spool->in_file;
}


int
ngx_http_phota_spool_read(void *ctx, u_char *buf, size_t len, uint64_t offset)
{
    ngx_http_phota_spool_t *spool = ctx;

    size_t                   n, skip;
    ssize_t                  rc;
    ngx_http_phota_block_t  *block;

    /* every block but the last is full */

    skip = offset / NGX_HTTP_PHOTA_BLOCK;

    for (block = spool->first; block && skip; block = block->next) {
        skip--;
    }

    while (len && block && offset < (uint64_t) spool->in_memory) {
        skip = offset % NGX_HTTP_PHOTA_BLOCK;
        n = ngx_min(len, block->len - skip);

        ngx_memcpy(buf, block->data + skip, n);

        buf += n;
        len -= n;
        offset += n;
        block = block->next;
    }

    while (len) {
        rc = pread(spool->file.fd, buf, len, offset - spool->in_memory);

        if (rc <= 0) {
            return PHOTA_ERROR;
        }

        buf += rc;
        len -= rc;
        offset += rc;
    }

    return PHOTA_OK;
}


ngx_chain_t *
ngx_http_phota_spool_chain(ngx_http_phota_spool_t *spool, ngx_pool_t *pool)
{
    ngx_buf_t               *b;
    ngx_chain_t             *cl, *out, **ll;
    ngx_http_phota_block_t  *block;

    ll = &out;
    b = NULL;

    for (block = spool->first; block; block = block->next) {
        b = ngx_calloc_buf(pool);
        cl = ngx_alloc_chain_link(pool);

        if (b == NULL || cl == NULL) {
            return NULL;
        }

        b->memory = 1;
        b->pos = block->data;
        b->last = block->data + block->len;

        cl->buf = b;
        *ll = cl;
        ll = &cl->next;
    }

    if (spool->in_file || b == NULL) {
        b = ngx_calloc_buf(pool);
        cl = ngx_alloc_chain_link(pool);

        if (b == NULL || cl == NULL) {
            return NULL;
        }

        if (spool->in_file) {
            b->in_file = 1;
            b->file = &spool->file;
            b->file_last = spool->in_file;
        }

        cl->buf = b;
        *ll = cl;
        ll = &cl->next;
    }

    b->last_buf = 1;
    b->last_in_chain = 1;
    *ll = NULL;

    return out;
}


void
ngx_http_phota_spool_hold(ngx_http_phota_spool_t *spool)
{
    spool->refs++;
}


void
ngx_http_phota_spool_free(ngx_http_phota_spool_t *spool)
{
    ngx_http_phota_block_t  *block;

    if (--spool->refs) {
        return;
    }

    while (spool->first) {
        block = spool->first;
        spool->first = block->next;

        ngx_http_phota_worker.spooled -= NGX_HTTP_PHOTA_BLOCK;
        ngx_free(block);
    }

    if (spool->file.fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(spool->file.fd);
    }

    ngx_free(spool);
}
