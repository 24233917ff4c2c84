
/*
 * Answers that are made as the socket takes them: texts, and pictures out of
 * LMDB chunk by chunk, each under a read transaction that lives for one copy,
 * so that a slow client pins no page and costs one small buffer.  A chunk that
 * isn't in memory is fetched by a thread, never by the event loop.
 */


#include "ngx_http_phota_module.h"


/* what a client gets at a time once its socket has refused a write */

#define NGX_HTTP_PHOTA_SLICE  16384

/*
 * Buffers of a whole chunk that a worker has out at a time.  A client that
 * takes nothing any more keeps the one that it was being sent: whoever comes
 * beyond them gets slices, so that a thousand of those cost no more.
 */

#define NGX_HTTP_PHOTA_LARGE  128

/* buffers that a fast client may take before others have their turn */

#define NGX_HTTP_PHOTA_BURST  8

/* ms after the answer has begun, when all of it was held against checksums */

#define NGX_HTTP_PHOTA_SOUND  10000


typedef struct {
    ngx_thread_task_t         task;
    ngx_http_phota_sender_t  *sender;       /* NULL: the client left */
    phota_picture_t           picture;
    uint32_t                  scope;
    uint32_t                  index;
} ngx_http_phota_warm_t;


static ngx_int_t ngx_http_phota_send_warmly(ngx_http_request_t *r,
    ngx_http_phota_sender_t *sender);
static void ngx_http_phota_send_writer(ngx_http_request_t *r);
static ngx_int_t ngx_http_phota_send_pump(ngx_http_request_t *r,
    ngx_http_phota_sender_t *sender);
static ngx_int_t ngx_http_phota_send_next(ngx_http_request_t *r,
    ngx_http_phota_sender_t *sender, ngx_chain_t **out);
static ngx_int_t ngx_http_phota_send_hot(ngx_http_request_t *r,
    ngx_http_phota_sender_t *sender, ngx_chain_t **out);
static ngx_int_t ngx_http_phota_send_buffer(ngx_http_request_t *r,
    ngx_http_phota_sender_t *sender, ngx_buf_t *b);
static ngx_int_t ngx_http_phota_send_fill(ngx_http_request_t *r,
    ngx_http_phota_sender_t *sender, ngx_buf_t *b);
static ngx_int_t ngx_http_phota_send_picture(ngx_http_request_t *r,
    ngx_http_phota_sender_t *sender, MDB_txn *txn, ngx_buf_t *b);
static ngx_int_t ngx_http_phota_send_broken(ngx_http_request_t *r,
    const phota_piece_t *piece);
static ngx_int_t ngx_http_phota_warm(ngx_http_request_t *r,
    ngx_http_phota_sender_t *sender);
static void ngx_http_phota_warm_thread(void *data, ngx_log_t *log);
static void ngx_http_phota_warm_done(ngx_event_t *ev);
static void ngx_http_phota_send_cleanup(void *data);


ngx_int_t
ngx_http_phota_send(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    const phota_rendering_t *rendering, ngx_uint_t raw)
{
    ngx_http_cleanup_t       *cln;
    ngx_http_phota_sender_t  *sender;

    sender = ngx_pcalloc(r->pool, sizeof(ngx_http_phota_sender_t));
    if (sender == NULL) {
        return NGX_ERROR;
    }

    sender->r = r;
    sender->pieces = rendering->pieces;
    sender->npieces = rendering->npieces;
    sender->length = rendering->length;
    sender->checked = UINT64_MAX;
    sender->sound = ngx_current_msec + NGX_HTTP_PHOTA_SOUND;
    sender->raw = raw;

    if (!raw && ngx_http_phota_send_warmly(r, sender) != NGX_OK) {
        return NGX_ERROR;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_phota_send_cleanup;
    cln->data = sender;

    ctx->sender = sender;

    r->main->count++;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_phota_send_writer;

    ngx_http_phota_send_writer(r);

    return NGX_DONE;
}


/* from memory when all of its pictures are there */

static ngx_int_t
ngx_http_phota_send_warmly(ngx_http_request_t *r,
    ngx_http_phota_sender_t *sender)
{
    ngx_uint_t              i, missing, some;
    const phota_piece_t    *piece;
    ngx_http_phota_hot_t  **hot;

    hot = ngx_pcalloc(r->pool,
                      sender->npieces * sizeof(ngx_http_phota_hot_t *));
    if (hot == NULL) {
        return NGX_ERROR;
    }

    missing = 0;
    some = 0;

    for (i = 0; i < sender->npieces; i++) {
        piece = &sender->pieces[i];

        if (piece->picture == NULL) {
            continue;
        }

        hot[i] = ngx_http_phota_hot_hold(r, piece->scope, piece->picture);

        if (hot[i]) {
            some = 1;

        } else {
            missing = 1;
            ngx_http_phota_hot_want(piece->scope, piece->picture);
        }
    }

    if (some && !missing) {
        sender->hot = hot;

    } else if (some) {

        /* nobody has looked at what those have in the cache */

        sender->sound = ngx_current_msec;
    }

    return NGX_OK;
}


static void
ngx_http_phota_send_writer(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_event_t               *wev;
    ngx_connection_t          *c;
    ngx_http_phota_ctx_t      *ctx;
    ngx_http_core_loc_conf_t  *clcf;

    c = r->connection;
    wev = c->write;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (wev->timedout) {
        c->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (wev->delayed) {
        if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_ERROR);
        }

        return;
    }

    rc = ngx_http_phota_send_pump(r, ctx->sender);

    if (rc == NGX_DONE) {
        return;
    }

    if (rc == NGX_AGAIN) {

        /* the socket refused a write */

        ctx->sender->slow = 1;

        /* limit_rate has set a timer of its own, and its delay is not ours */

        if (!wev->delayed) {
            ngx_add_timer(wev, clcf->send_timeout);
        }

        if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_ERROR);
        }

        return;
    }

    if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }

    ngx_http_finalize_request(r, rc);
}


/*
 * NGX_OK: all is handed over; NGX_AGAIN: wait for the socket; NGX_DONE: some
 * other event goes on with it; NGX_ERROR.
 */

static ngx_int_t
ngx_http_phota_send_pump(ngx_http_request_t *r,
    ngx_http_phota_sender_t *sender)
{
    ngx_int_t                  rc;
    ngx_uint_t                 burst;
    ngx_chain_t               *out;
    ngx_http_core_loc_conf_t  *clcf;

    out = NULL;

    for (burst = 0; /* void */ ; burst++) {

        /* at first there is nothing to push: the header waits for the body */

        if (out || sender->busy || r->connection->buffered) {
            rc = ngx_http_output_filter(r, out);

            if (rc == NGX_ERROR) {
                return NGX_ERROR;
            }

            ngx_chain_update_chains(r->pool, &sender->free, &sender->busy,
                                    &out,
                                    (ngx_buf_tag_t) &ngx_http_phota_module);
        }

        if (sender->piece == sender->npieces) {

            /* what is left in buffers is nginx's to send */

            return NGX_OK;
        }

        if (sender->busy || r->connection->buffered) {
            return NGX_AGAIN;
        }

        if (burst == NGX_HTTP_PHOTA_BURST) {

            /* a worker that quits waits for timers, not for posted events */

            if (!r->connection->write->timer_set) {
                clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
                ngx_add_timer(r->connection->write, clcf->send_timeout);
            }

            ngx_post_event(r->connection->write, &ngx_posted_next_events);
            return NGX_DONE;
        }

        rc = ngx_http_phota_send_next(r, sender, &out);

        if (rc != NGX_OK) {
            return rc;
        }
    }
}


static ngx_int_t
ngx_http_phota_send_next(ngx_http_request_t *r,
    ngx_http_phota_sender_t *sender, ngx_chain_t **out)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (sender->hot) {
        return ngx_http_phota_send_hot(r, sender, out);
    }

    cl = ngx_chain_get_free_buf(r->pool, &sender->free);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b = cl->buf;

    if (ngx_http_phota_send_buffer(r, sender, b) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_phota_send_fill(r, sender, b);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (b->pos == b->last) {
        cl->next = sender->free;
        sender->free = cl;

        return ngx_http_phota_warm(r, sender);
    }

    b->last_in_chain = (sender->piece == sender->npieces);
    b->last_buf = (b->last_in_chain && r == r->main);
    b->flush = 0;

    *out = cl;

    return NGX_OK;
}


/* all of the answer: its texts and files of memory where they are */

static ngx_int_t
ngx_http_phota_send_hot(ngx_http_request_t *r,
    ngx_http_phota_sender_t *sender, ngx_chain_t **out)
{
    ngx_buf_t            *b;
    ngx_chain_t          *cl, **last;
    const phota_piece_t  *piece;

    b = NULL;
    last = out;

    for ( /* void */ ; sender->piece < sender->npieces; sender->piece++) {
        piece = &sender->pieces[sender->piece];

        if (piece->picture == NULL && piece->len == 0) {
            continue;
        }

        b = ngx_calloc_buf(r->pool);
        cl = ngx_alloc_chain_link(r->pool);

        if (b == NULL || cl == NULL) {
            return NGX_ERROR;
        }

        if (piece->picture) {
            ngx_http_phota_hot_buf(sender->hot[sender->piece], b);

        } else {
            b->memory = 1;
            b->pos = (u_char *) piece->text;
            b->last = b->pos + piece->len;
        }

        cl->buf = b;
        *last = cl;
        last = &cl->next;
    }

    *last = NULL;

    b->last_in_chain = 1;
    b->last_buf = (r == r->main);

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_send_buffer(ngx_http_request_t *r,
    ngx_http_phota_sender_t *sender, ngx_buf_t *b)
{
    size_t                    size;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (!sender->slow && !sender->large
        && sender->length > NGX_HTTP_PHOTA_SLICE
        && worker->large < NGX_HTTP_PHOTA_LARGE)
    {
        worker->large++;
        sender->large = 1;

    } else if (sender->slow && sender->large) {
        worker->large--;
        sender->large = 0;
    }

    size = !sender->large ? NGX_HTTP_PHOTA_SLICE
           : sender->raw ? PHOTA_CHUNK : phota_base64_length(PHOTA_CHUNK);

    size = ngx_min(size, sender->length);

    if (b->start && (size_t) (b->end - b->start) != size) {

        /* a slow client has no use for the large one */

        (void) ngx_pfree(r->pool, b->start);
        b->start = NULL;
    }

    if (b->start == NULL) {
        b->start = ngx_palloc(r->pool, size);
        if (b->start == NULL) {
            return NGX_ERROR;
        }

        b->end = b->start + size;
        b->tag = (ngx_buf_tag_t) &ngx_http_phota_module;
        b->temporary = 1;
    }

    b->pos = b->start;
    b->last = b->start;

    return NGX_OK;
}


/* NGX_AGAIN: what comes next has to be fetched, or doesn't fit any more */

static ngx_int_t
ngx_http_phota_send_fill(ngx_http_request_t *r,
    ngx_http_phota_sender_t *sender, ngx_buf_t *b)
{
    size_t                len;
    MDB_txn              *txn;
    ngx_int_t             rc;
    const phota_piece_t  *piece;

    rc = NGX_OK;
    txn = NULL;

    while (rc == NGX_OK && sender->piece < sender->npieces) {
        piece = &sender->pieces[sender->piece];

        if (piece->picture == NULL) {
            len = ngx_min(piece->len - sender->offset,
                          (size_t) (b->end - b->last));

            b->last = ngx_cpymem(b->last, piece->text + sender->offset, len);
            sender->offset += len;

            if (sender->offset < piece->len) {
                break;
            }

            sender->piece++;
            sender->offset = 0;
            continue;
        }

        if (txn == NULL) {
            txn = ngx_http_phota_read_cache();

            if (txn == NULL) {
                return NGX_ERROR;
            }
        }

        rc = ngx_http_phota_send_picture(r, sender, txn, b);
    }

    if (txn) {
        ngx_http_phota_read_end(txn);
    }

    return rc;
}


/*
 * As much of the present chunk as there is room for.  Chunks and slices are
 * multiples of three bytes: only a picture's end is padded.
 */

static ngx_int_t
ngx_http_phota_send_picture(ngx_http_request_t *r,
    ngx_http_phota_sender_t *sender, MDB_txn *txn, ngx_buf_t *b)
{
    size_t                len, skip, room;
    uint64_t              name;
    uint32_t              index;
    const u_char         *p;
    const phota_piece_t  *piece;

    piece = &sender->pieces[sender->piece];
    index = (uint32_t) (sender->offset / PHOTA_CHUNK);
    skip = sender->offset % PHOTA_CHUNK;

    if (phota_cache_chunk(&ngx_http_phota_worker.cache, txn, piece->scope,
                          piece->picture, index, &p, &len)
        != PHOTA_OK)
    {
        return ngx_http_phota_send_broken(r, piece);
    }

    room = b->end - b->last;

    if (!sender->raw) {
        room = room / 4 * 3;
    }

    if (room == 0) {
        return NGX_AGAIN;
    }

    if (!sender->warm && !ngx_http_phota_resident(p, len)) {
        return NGX_AGAIN;
    }

    name = (uint64_t) sender->piece << 32 | index;

    if (sender->checked != name
        && (ngx_msec_int_t) (ngx_current_msec - sender->sound) >= 0)
    {

        if (phota_cache_sound(piece->scope, piece->picture, index, p, len)
            != PHOTA_OK)
        {
            return ngx_http_phota_send_broken(r, piece);
        }

        sender->checked = name;
    }

    len = ngx_min(len - skip, room);

    if (sender->raw) {
        b->last = ngx_cpymem(b->last, p + skip, len);

    } else {
        b->last += phota_base64_encode(b->last, p + skip, len);
    }

    sender->warm = 0;
    sender->offset += len;

    if (sender->offset == piece->picture->length) {
        sender->piece++;
        sender->offset = 0;
    }

    return NGX_OK;
}


/* what has gone out can't be taken back: the connection breaks off */

static ngx_int_t
ngx_http_phota_send_broken(ngx_http_request_t *r, const phota_piece_t *piece)
{
    ngx_http_phota_ctx_t   *ctx;
    ngx_http_phota_about_t  about;

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    ngx_http_phota_say_some(NGX_LOG_ERR, r->connection->log, 0,
                            ngx_http_phota_about(&about, ctx),
                            "a stored picture ended early or is damaged",
                            NULL);

    ngx_http_phota_mend_cache(NULL, piece->scope, piece->picture);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_phota_warm(ngx_http_request_t *r, ngx_http_phota_sender_t *sender)
{
    const phota_piece_t    *piece;
    ngx_http_phota_warm_t  *warm;

    warm = ngx_calloc(sizeof(ngx_http_phota_warm_t), r->connection->log);
    if (warm == NULL) {
        return NGX_ERROR;
    }

    piece = &sender->pieces[sender->piece];

    warm->sender = sender;
    warm->picture = *piece->picture;
    warm->scope = piece->scope;
    warm->index = (uint32_t) (sender->offset / PHOTA_CHUNK);

    warm->task.ctx = warm;
    warm->task.handler = ngx_http_phota_warm_thread;
    warm->task.event.data = warm;
    warm->task.event.handler = ngx_http_phota_warm_done;
    warm->task.event.log = ngx_cycle->log;

    if (ngx_thread_task_post(ngx_http_phota_worker.conf->pool, &warm->task)
        != NGX_OK)
    {
        ngx_free(warm);
        return NGX_ERROR;
    }

    ngx_http_phota_worker.reading++;
    ngx_http_phota_job_begin();

    sender->warming = warm;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


static void
ngx_http_phota_warm_thread(void *data, ngx_log_t *log)
{
    ngx_http_phota_warm_t *warm = data;

    size_t                 i, len;
    MDB_txn               *txn;
    const u_char          *p;
    volatile u_char        sink;

    if (phota_store_begin(&ngx_http_phota_worker.cache_store, 0, &txn, NULL)
        != PHOTA_OK)
    {
        return;
    }

    if (phota_cache_chunk(&ngx_http_phota_worker.cache, txn, warm->scope,
                          &warm->picture, warm->index, &p, &len)
        == PHOTA_OK)
    {
        phota_cache_ahead(p, len);

        len += sizeof(uint64_t);

        for (i = 0; i < len; i += 4096) {
            sink = p[i];
        }

        sink = p[len - 1];

        (void) sink;
    }

    phota_store_abort(txn);
}


static void
ngx_http_phota_warm_done(ngx_event_t *ev)
{
    ngx_connection_t         *c;
    ngx_http_request_t       *r;
    ngx_http_phota_warm_t    *warm;
    ngx_http_phota_sender_t  *sender;

    warm = ev->data;
    sender = warm->sender;

    ngx_http_phota_worker.reading--;
    ngx_http_phota_job_end();
    ngx_free(warm);

    if (sender == NULL) {
        return;
    }

    r = sender->r;
    c = r->connection;

    sender->warming = NULL;
    sender->warm = 1;

    ngx_http_set_log_request(c->log, r);

    r->write_event_handler = ngx_http_phota_send_writer;
    ngx_http_phota_send_writer(r);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_phota_send_cleanup(void *data)
{
    ngx_http_phota_sender_t *sender = data;

    ngx_http_phota_warm_t  *warm;

    warm = sender->warming;

    if (warm) {
        warm->sender = NULL;
        sender->warming = NULL;
    }

    if (sender->large) {
        sender->large = 0;
        ngx_http_phota_worker.large--;
    }
}
