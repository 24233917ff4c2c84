
/*
 * What tenants are told of jobs: the upstream's own words, but for names that
 * are the account's, links that would die, and addresses that are the
 * upstream's; and handles and results of jobs that it has never heard of.
 */


#include "ngx_http_phota_module.h"


#define NGX_HTTP_PHOTA_SWAPS  (2 * PHOTA_PICTURES_MAX + 5)


/* texts are the pool's, links the report's */

typedef struct {
    ngx_pool_t             *pool;
    const phota_job_t      *row;
    unsigned                fenced:1;
    phota_str_t             poll_url;       /* absolute; len 0: its path */
    phota_str_t             base;           /* of links, len 0: none */
    phota_swap_t            swaps[NGX_HTTP_PHOTA_SWAPS];
    unsigned                n;
} ngx_http_phota_words_t;


typedef int (*ngx_http_phota_callback_pt)(const phota_aliases_t *a,
    const phota_id_t *charge, char name[PHOTA_CALLBACK_NAME]);


static ngx_int_t ngx_http_phota_words(ngx_http_phota_words_t *words,
    const u_char *text, size_t len, u_char **out, size_t *out_len);
static ngx_int_t ngx_http_phota_words_links(ngx_http_phota_words_t *words,
    const phota_report_t *report);
static phota_result_t *ngx_http_phota_words_result(
    ngx_http_phota_words_t *words);
static ngx_int_t ngx_http_phota_words_link(ngx_http_phota_words_t *words,
    const phota_result_t *result, ngx_uint_t i, uint64_t expires,
    const phota_str_t *from);
static ngx_int_t ngx_http_phota_words_names(ngx_http_phota_words_t *words,
    const phota_report_t *report);
static ngx_int_t ngx_http_phota_words_callback(
    ngx_http_phota_words_t *words, const phota_job_t *row,
    ngx_http_phota_callback_pt format);
static void ngx_http_phota_words_add(ngx_http_phota_words_t *words,
    const u_char *from, size_t from_len, const u_char *to, size_t to_len,
    unsigned within);
static ngx_int_t ngx_http_phota_tell_name(ngx_pool_t *pool,
    const phota_ticket_t *ticket, phota_str_t *name);
static ngx_int_t ngx_http_phota_tell_own(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, const phota_str_t *name, ngx_uint_t provider,
    const char *status);


ngx_int_t
ngx_http_phota_tell(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_uint_t status, const u_char *text, size_t len)
{
    ngx_http_phota_told_t  *told;

    told = ngx_palloc(r->pool, sizeof(ngx_http_phota_told_t));
    if (told == NULL) {
        return NGX_ERROR;
    }

    told->text = ngx_pnalloc(r->pool, len);
    if (told->text == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(told->text, text, len);

    told->len = len;
    told->status = status;

    ctx->told = told;

    return NGX_OK;
}


ngx_int_t
ngx_http_phota_tell_job(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_uint_t status, const u_char *text, size_t len)
{
    size_t                   n;
    u_char                  *out;
    ngx_int_t                rc;
    ngx_str_t                path;
    phota_str_t              name;
    phota_ticket_t           ticket;
    ngx_http_phota_words_t  *words;

    words = ngx_pcalloc(r->pool, sizeof(ngx_http_phota_words_t));
    if (words == NULL) {
        return NGX_ERROR;
    }

    words->pool = r->pool;
    words->row = ctx->job;
    words->fenced = phota_tenant_fenced(&ctx->tenant);

    ngx_memzero(&ticket, sizeof(phota_ticket_t));

    ticket.bought = 1;
    ticket.charge = ctx->job->charge;

    if (ngx_http_phota_tell_name(r->pool, &ticket, &name) != NGX_OK
        || ngx_http_phota_route_path(r->pool, ctx->job->provider,
                                     PHOTA_ROUTE_JOB, &name, &path)
           != NGX_OK
        || ngx_http_phota_absolute(r, &path, &words->poll_url) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->job->stored && ngx_http_phota_has_links()
        && ngx_http_phota_results_base(r, &words->base) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_phota_words(words, text, len, &out, &n);

    if (rc == NGX_OK) {
        rc = ngx_http_phota_tell(r, ctx, status, out, n);
        ngx_free(out);
    }

    return rc;
}


int
ngx_http_phota_tell_receiver(const phota_job_t *row,
    const phota_tenant_t *tenant, const u_char *text, size_t len,
    u_char **out, size_t *out_len)
{
    ngx_int_t                    rc;
    ngx_pool_t                  *pool;
    ngx_http_phota_words_t      *words;
    ngx_http_phota_main_conf_t  *pmcf;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return PHOTA_ERROR;
    }

    rc = NGX_ERROR;
    pmcf = ngx_http_phota_worker.conf;
    words = ngx_pcalloc(pool, sizeof(ngx_http_phota_words_t));

    if (words) {
        words->pool = pool;
        words->row = row;
        words->fenced = phota_tenant_fenced(tenant);

        /* what begins a link is known here only when it is configured */

        if (row->stored && ngx_http_phota_has_links()) {
            words->base.data = pmcf->results_url.data;
            words->base.len = pmcf->results_url.len;
        }

        rc = ngx_http_phota_words(words, text, len, out, out_len);
    }

    ngx_destroy_pool(pool);

    return (rc == NGX_OK) ? PHOTA_OK
                          : (rc == NGX_DECLINED) ? PHOTA_INVALID
                                                 : PHOTA_ERROR;
}


static ngx_int_t
ngx_http_phota_words(ngx_http_phota_words_t *words, const u_char *text,
    size_t len, u_char **out, size_t *out_len)
{
    int             rc;
    phota_report_t  report;

    if (phota_report_read(NGX_HTTP_OK, text, len, &report) != PHOTA_OK) {
        return NGX_ERROR;
    }

    /* links first: a name within one is none of ours */

    rc = ngx_http_phota_words_links(words, &report);

    if (rc == NGX_OK) {
        rc = ngx_http_phota_words_names(words, &report);
    }

    if (rc == NGX_OK) {
        rc = phota_swap(text, len, words->swaps, words->n, out, out_len);
        rc = (rc == PHOTA_OK) ? NGX_OK
                              : (rc == PHOTA_INVALID) ? NGX_DECLINED
                                                      : NGX_ERROR;
    }

    phota_report_free(&report);

    return rc;
}


/* pictures that are stored are told by links that live as long as they */

static ngx_int_t
ngx_http_phota_words_links(ngx_http_phota_words_t *words,
    const phota_report_t *report)
{
    uint64_t         expires;
    ngx_uint_t       i;
    phota_result_t  *result;

    result = NULL;
    expires = phota_now() / 1000 + ngx_http_phota_worker.conf->results_valid;

    if (words->base.len && report->nlinks) {
        result = ngx_http_phota_words_result(words);
    }

    if (result && result->npictures != report->nlinks) {
        result = NULL;
    }

    if (result) {
        ngx_http_phota_count_use(result, expires * 1000);
    }

    for (i = 0; i < report->nlinks; i++) {

        if (result == NULL) {
            ngx_http_phota_words_add(words, report->links[i].data,
                                     report->links[i].len,
                                     report->links[i].data,
                                     report->links[i].len, 0);

        } else if (ngx_http_phota_words_link(words, result, i, expires,
                                             &report->links[i])
                   != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* what the job has left in its pool, or NULL: it may be gone again */

static phota_result_t *
ngx_http_phota_words_result(ngx_http_phota_words_t *words)
{
    MDB_txn            *txn;
    unsigned            i, n, damaged;
    phota_result_t     *results, *found;
    const phota_job_t  *row;

    row = words->row;
    found = NULL;

    results = ngx_palloc(words->pool,
                         PHOTA_POOL_MAX * sizeof(phota_result_t));
    if (results == NULL) {
        return NULL;
    }

    txn = ngx_http_phota_read_cache();
    if (txn == NULL) {
        return NULL;
    }

    if (phota_cache_pool(&ngx_http_phota_worker.cache, txn, row->fingerprint,
                         phota_now(), 0, results, &n, &damaged)
        == PHOTA_OK)
    {
        for (i = 0; i < n && found == NULL; i++) {

            if (results[i].scope == row->scope
                && ngx_memcmp(&results[i].id, &row->charge,
                              sizeof(phota_id_t))
                   == 0)
            {
                found = &results[i];
            }
        }
    }

    ngx_http_phota_read_end(txn);

    return found;
}


static ngx_int_t
ngx_http_phota_words_link(ngx_http_phota_words_t *words,
    const phota_result_t *result, ngx_uint_t i, uint64_t expires,
    const phota_str_t *from)
{
    size_t        len;
    u_char       *p;
    phota_link_t  link;

    ngx_memzero(&link, sizeof(phota_link_t));

    link.tenant = words->row->tenant;
    link.scope = result->scope;
    link.expires = expires;
    link.type = result->pictures[i].type;

    ngx_memcpy(link.digest, result->pictures[i].digest, PHOTA_SHA256_LEN);

    p = ngx_pnalloc(words->pool, words->base.len + PHOTA_LINK_ROOM);

    if (p == NULL
        || phota_link_format(&ngx_http_phota_worker.keyring.linker,
                             &words->base, &link, p, &len)
           != PHOTA_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_phota_words_add(words, from->data, from->len, p, len, 0);

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_words_names(ngx_http_phota_words_t *words,
    const phota_report_t *report)
{
    char               *alias;
    ngx_str_t           path;
    phota_str_t         name;
    phota_ticket_t      ticket;
    const phota_job_t  *row;

    row = words->row;

    ngx_memzero(&ticket, sizeof(phota_ticket_t));

    ticket.bought = 1;
    ticket.charge = row->charge;

    if (ngx_http_phota_tell_name(words->pool, &ticket, &name) != NGX_OK
        || ngx_http_phota_route_path(words->pool, row->provider,
                                     PHOTA_ROUTE_JOB, &name, &path)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* absolute where the upstream's own is */

    if (words->poll_url.len == 0 || report->poll_url.len == 0
        || report->poll_url.data[0] == '/')
    {
        words->poll_url.data = path.data;
        words->poll_url.len = path.len;
    }

    ngx_http_phota_words_add(words, (u_char *) row->upstream,
                             ngx_strlen(row->upstream), name.data, name.len,
                             0);
    ngx_http_phota_words_add(words, (u_char *) row->upstream,
                             ngx_strlen(row->upstream), words->poll_url.data,
                             words->poll_url.len, 1);

    if (row->request_id[0] && words->fenced) {
        alias = ngx_pnalloc(words->pool, PHOTA_ALIAS_UUID);

        if (alias == NULL
            || phota_alias_request(ngx_http_phota_aliases, row->tenant,
                                   (u_char *) row->request_id,
                                   ngx_strlen(row->request_id), alias)
               != PHOTA_OK)
        {
            return NGX_ERROR;
        }

        ngx_http_phota_words_add(words, (u_char *) alias, ngx_strlen(alias),
                                 (u_char *) row->request_id,
                                 ngx_strlen(row->request_id), 0);
    }

    if (row->callback[0] && ngx_http_phota_worker.conf->callbacks_url.len) {

        if (ngx_http_phota_words_callback(words, row, phota_callback_format)
            != NGX_OK
            || (ngx_http_phota_aliases->two
                && ngx_http_phota_words_callback(words, row,
                                                 phota_callback_other)
                   != NGX_OK))
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* it may have gone up before the master key was changed */

static ngx_int_t
ngx_http_phota_words_callback(ngx_http_phota_words_t *words,
    const phota_job_t *row, ngx_http_phota_callback_pt format)
{
    char                         callback[PHOTA_CALLBACK_NAME];
    u_char                      *p, *path;
    ngx_http_phota_main_conf_t  *pmcf;

    pmcf = ngx_http_phota_worker.conf;

    path = ngx_pnalloc(words->pool,
                       pmcf->callbacks_url.len + PHOTA_CALLBACK_NAME);

    if (path == NULL
        || format(ngx_http_phota_aliases, &row->charge, callback) != PHOTA_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_cpymem(path, pmcf->callbacks_url.data, pmcf->callbacks_url.len);
    p = ngx_cpymem(p, callback, ngx_strlen(callback));

    ngx_http_phota_words_add(words, path, p - path, (u_char *) row->callback,
                             ngx_strlen(row->callback), 0);

    return NGX_OK;
}


static void
ngx_http_phota_words_add(ngx_http_phota_words_t *words, const u_char *from,
    size_t from_len, const u_char *to, size_t to_len, unsigned within)
{
    phota_swap_t  *swap;

    swap = &words->swaps[words->n++];

    swap->from.data = from;
    swap->from.len = from_len;
    swap->to.data = to;
    swap->to.len = to_len;
    swap->within = within;
}


static ngx_int_t
ngx_http_phota_tell_name(ngx_pool_t *pool, const phota_ticket_t *ticket,
    phota_str_t *name)
{
    char  *text;

    text = ngx_pnalloc(pool, PHOTA_JOB_NAME);

    if (text == NULL
        || phota_ticket_format(ngx_http_phota_aliases, ticket,
                               text)
           != PHOTA_OK)
    {
        return NGX_ERROR;
    }

    name->data = (u_char *) text;
    name->len = ngx_strlen(text);

    return NGX_OK;
}


ngx_int_t
ngx_http_phota_tell_handle(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    off_t                       size;
    u_char                     *text;
    ngx_int_t                   rc;
    phota_str_t                 name;
    phota_ticket_t              ticket;
    ngx_http_phota_purchase_t  *p;

    p = ctx->purchase;

    ngx_memzero(&ticket, sizeof(phota_ticket_t));

    if (p && p->job) {

        /* the upstream has just said it */

        ctx->job = p->job;
        size = ngx_http_phota_spool_size(p->spool);

        text = ngx_pnalloc(r->pool, size);

        if (text == NULL
            || ngx_http_phota_spool_read(p->spool, text, size, 0) != PHOTA_OK)
        {
            return NGX_ERROR;
        }

        rc = ngx_http_phota_tell_job(r, ctx, p->status, text, size);

        return (rc == NGX_DECLINED) ? NGX_ERROR : rc;
    }

    if (ctx->job) {
        ticket.bought = 1;
        ticket.charge = ctx->job->charge;

        if (ngx_http_phota_tell_name(r->pool, &ticket, &name) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_http_phota_tell_own(r, ctx, &name, ctx->job->provider,
                                       ctx->job->state == PHOTA_JOB_OPEN
                                       ? "queued" : "completed");
    }

    if (ngx_http_phota_tell_repeat(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_phota_tell_own(r, ctx, &ctx->handle,
                                   ctx->operation->provider, "completed");
}


ngx_int_t
ngx_http_phota_tell_repeat(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    phota_ticket_t  ticket;

    if (ctx->handle.len) {
        return NGX_OK;
    }

    ngx_memzero(&ticket, sizeof(phota_ticket_t));

    ticket.tenant = ctx->tenant.id;
    ticket.operation = ctx->operation->id;
    ticket.outputs = ctx->scan.outputs;
    ticket.first = ctx->first;
    ticket.links = (ctx->scan.mode == PHOTA_MODE_URLS);
    ticket.expires = phota_now() / 1000
                     + ngx_http_phota_worker.conf->results_valid;

    ngx_memcpy(ticket.fingerprint, ctx->scan.digest, PHOTA_SHA256_LEN);

    return ngx_http_phota_tell_name(r->pool, &ticket, &ctx->handle);
}


static ngx_int_t
ngx_http_phota_tell_own(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    const phota_str_t *name, ngx_uint_t provider, const char *status)
{
    size_t       len;
    u_char      *buf;
    ngx_str_t    path;
    phota_str_t  url, request_id;

    if (ngx_http_phota_route_path(r->pool, provider, PHOTA_ROUTE_JOB, name,
                                  &path)
        != NGX_OK
        || ngx_http_phota_absolute(r, &path, &url) != NGX_OK)
    {
        return NGX_ERROR;
    }

    request_id.data = ctx->upward ? ctx->upward->request_id.data : NULL;
    request_id.len = ctx->upward ? ctx->upward->request_id.len : 0;

    /* an escaped byte takes six at most */

    len = 256 + name->len + 6 * (url.len + request_id.len);

    buf = ngx_pnalloc(r->pool, len);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    if (phota_job_handle(name, &url, &request_id, status, buf, &len)
        != PHOTA_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_phota_tell(r, ctx, NGX_HTTP_ACCEPTED, buf, len);
}


ngx_int_t
ngx_http_phota_send_told(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    int64_t                     cost, price, saved;
    ngx_buf_t                  *b;
    ngx_int_t                   rc;
    ngx_http_phota_told_t      *told;
    ngx_http_phota_purchase_t  *p;

    told = ctx->told;
    p = ctx->purchase;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->memory = 1;
    b->pos = told->text;
    b->last = told->text + told->len;
    b->last_buf = 1;
    b->last_in_chain = 1;

    r->headers_out.status = told->status;

    rc = ngx_http_phota_common_headers(r, ctx);

    if (rc == NGX_OK && ctx->operation && ctx->route == NULL) {
        rc = ngx_http_phota_cache_status(r, ctx);
    }

    if (rc == NGX_OK && ctx->route == NULL) {
        rc = ngx_http_phota_charge_headers(r, ctx);
    }

    if (rc == NGX_OK && ctx->hit) {
        (void) ngx_http_phota_hit_money(ctx, &cost, &price, &saved);
        rc = ngx_http_phota_money_headers(r, cost, price, saved);

    } else if (rc == NGX_OK && ctx->replay && ctx->job == NULL) {
        rc = ngx_http_phota_money_headers(r, 0, 0, 0);

    } else if (rc == NGX_OK) {
        rc = ngx_http_phota_amount_headers(r, ctx);
    }

    if (rc == NGX_OK && p && ctx->call) {
        rc = ngx_http_phota_upstream_headers(r, ctx, 0);
    }

    if (rc == NGX_OK && p && ctx->call && p->retry_after[0]) {
        rc = ngx_http_phota_header(r, "Retry-After",
                                   (u_char *) p->retry_after,
                                   ngx_strlen(p->retry_after));
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_phota_send_json(r, b);
}


ngx_int_t
ngx_http_phota_send_result(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    size_t                 room, before, behind, len;
    u_char                *text;
    ngx_int_t              rc;
    phota_str_t            id, none;
    phota_piece_t         *piece;
    ngx_http_phota_hit_t  *hit;

    hit = ctx->hit;
    id = ctx->route_id;

    none.data = NULL;
    none.len = 0;

    /* around the answer that the same request would get by itself */

    piece = hit->rendering.pieces;
    room = 256 + id.len;
    before = room;

    text = ngx_pnalloc(r->pool, room + piece->len);

    if (text == NULL || piece->text == NULL
        || phota_job_before(&id, &none, text, &before) != PHOTA_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(text + before, piece->text, piece->len);

    piece->text = text;
    piece->len += before;

    piece = &hit->rendering.pieces[hit->rendering.npieces - 1];
    behind = 64;

    text = ngx_pnalloc(r->pool, piece->len + behind);

    if (text == NULL || piece->text == NULL
        || phota_job_behind(text + piece->len, &behind) != PHOTA_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(text, piece->text, piece->len);

    piece->text = text;
    piece->len += behind;

    len = hit->rendering.length + before + behind;
    hit->rendering.length = len;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = len;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->disable_not_modified = 1;

    if (ngx_http_phota_common_headers(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_phota_send(r, ctx, &hit->rendering, 0);
}
