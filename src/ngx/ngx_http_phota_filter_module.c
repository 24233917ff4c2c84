
/*
 * The filters.  Down the request: the body is scanned as it arrives.  Up: the
 * answer of our own subrequest is swallowed into its spool, and errors that
 * nginx makes inside a door take the contract's shape.
 */


#include "ngx_http_phota_module.h"


static ngx_int_t ngx_http_phota_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_phota_body_out_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_phota_swallow_header(ngx_http_request_t *r,
    ngx_http_phota_purchase_t *p);
static void ngx_http_phota_note(ngx_table_elt_t *h, const char *name,
    char *buf, size_t max);
static ngx_int_t ngx_http_phota_swallow(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_chain_t *in);
static ngx_int_t ngx_http_phota_keep(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_buf_t *b);
static ngx_int_t ngx_http_phota_reshape(ngx_http_request_t *r,
    ngx_http_phota_loc_conf_t *plcf);
static void ngx_http_phota_name_error(ngx_http_request_t *r,
    ngx_http_phota_refusal_t *refusal);
static ngx_int_t ngx_http_phota_filter_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_phota_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_phota_filter_init,            /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_phota_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_phota_filter_module_ctx,     /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;
static ngx_http_request_body_filter_pt   ngx_http_next_request_body_filter;


static ngx_int_t
ngx_http_phota_header_filter(ngx_http_request_t *r)
{
    ngx_http_phota_ctx_t       *ctx;
    ngx_http_phota_loc_conf_t  *plcf;

    ctx = ngx_http_phota_caller(r);

    if (ctx) {
        if (ctx->state != NGX_HTTP_PHOTA_CALL) {
            return NGX_OK;
        }

        if (ctx->errand) {
            ctx->errand->status = r->headers_out.status;
        }

        return ngx_http_phota_swallow_header(r, ctx->purchase);
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    if (r == r->main
        && r->headers_out.status >= NGX_HTTP_BAD_REQUEST
        && (ctx == NULL || !ctx->answered))
    {
        plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

        if ((plcf->pass.data || plcf->api)
            && ngx_http_phota_reshape(r, plcf) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_phota_swallow_header(ngx_http_request_t *r,
    ngx_http_phota_purchase_t *p)
{
    size_t            n;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    r->filter_need_in_memory = 1;

    /* an internal redirect takes a request's contexts away */

    p->diverted = (p->key_given
                   && ngx_http_get_module_ctx(r, ngx_http_phota_module)
                      == NULL);

    p->status = r->headers_out.status;
    p->length = r->headers_out.content_length_n;

    n = ngx_min(r->headers_out.content_type.len, PHOTA_CONTENT_TYPE);
    ngx_memcpy(p->content_type, r->headers_out.content_type.data, n);
    p->content_type[n] = '\0';

    part = &r->headers_out.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].hash == 0) {
            continue;
        }

        ngx_http_phota_note(&h[i], "X-Request-Id", p->outcome.request_id,
                            PHOTA_REQUEST_ID_MAX);
        ngx_http_phota_note(&h[i], "Retry-After", p->retry_after,
                            sizeof(p->retry_after) - 1);
    }

    if (p->metered && p->status == NGX_HTTP_OK) {
        p->answer = phota_answer_create(
                              phota_operations[p->charge.operation].answer);

        if (p->answer == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_phota_note(ngx_table_elt_t *h, const char *name, char *buf,
    size_t max)
{
    size_t  n;

    n = ngx_strlen(name);

    if (h->key.len != n
        || ngx_strncasecmp(h->key.data, (u_char *) name, n) != 0)
    {
        return;
    }

    n = ngx_min(h->value.len, max);

    ngx_memcpy(buf, h->value.data, n);
    buf[n] = '\0';
}


static ngx_int_t
ngx_http_phota_body_out_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t             *b;
    ngx_chain_t           *cl;
    ngx_http_phota_ctx_t  *ctx;

    ctx = ngx_http_phota_caller(r);

    if (ctx) {
        return ngx_http_phota_swallow(r, ctx, in);
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_phota_module);

    if (ctx == NULL || r != r->main || !ctx->reshaped || in == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    /* nginx's own page: drop it, ours goes out with the last of it */

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;
        b->pos = b->last;

        if (b->last_buf && ctx->refusal.status) {
            b = ngx_http_phota_error_body(r, &ctx->refusal);
            if (b == NULL) {
                return NGX_ERROR;
            }

            ctx->refusal.status = 0;

            cl = ngx_alloc_chain_link(r->pool);
            if (cl == NULL) {
                return NGX_ERROR;
            }

            cl->buf = b;
            cl->next = NULL;

            return ngx_http_next_body_filter(r, cl);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_swallow(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_chain_t *in)
{
    ngx_buf_t                  *b;
    ngx_chain_t                *cl;
    ngx_http_phota_purchase_t  *p;

    p = ctx->purchase;

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b) && b->pos != b->last
            && ctx->state == NGX_HTTP_PHOTA_CALL)
        {
            if (ngx_http_phota_keep(r, ctx, b) != NGX_OK) {
                return NGX_ERROR;
            }
        }

        b->pos = b->last;
        b->file_pos = b->file_last;

        if (b->last_buf || b->last_in_chain) {
            p->last = 1;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_keep(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx,
    ngx_buf_t *b)
{
    ngx_http_phota_about_t      about;
    ngx_http_phota_purchase_t  *p;

    p = ctx->purchase;

    /*
     * Never an error to the upstream: what was bought is read to its end, so
     * that the charge is known even where the picture can't be kept.
     */

    p->received += b->last - b->pos;

    if (ctx->errand && p->received > ctx->errand->limit) {

        /* nobody pays for it: what is too long is not read to its end */

        p->lost = 1;
        return NGX_ERROR;
    }

    if (p->answer
        && phota_answer_update(p->answer, b->pos, b->last - b->pos)
           != PHOTA_OK)
    {
        phota_answer_destroy(p->answer);
        p->answer = NULL;
    }

    if (!p->lost
        && ngx_http_phota_spool_add(p->spool, b->pos, b->last - b->pos)
           != NGX_OK)
    {
        p->lost = 1;

        ngx_http_phota_say_some(NGX_LOG_ERR, r->connection->log, 0,
                                ngx_http_phota_about_purchase(&about, p),
                                "an answer could not be kept",
                                "no memory, no room for a spool file");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_reshape(ngx_http_request_t *r,
    ngx_http_phota_loc_conf_t *plcf)
{
    ngx_buf_t             *b;
    ngx_uint_t             limited;
    ngx_http_phota_ctx_t  *ctx;

    limited = (ngx_http_get_module_ctx(r, ngx_http_phota_module) != NULL);

    ctx = plcf->api ? ngx_http_phota_resolve_operator(r)
                    : ngx_http_phota_resolve(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->answered = 1;
    ctx->reshaped = 1;

    /* past PREACCESS a 503 of nginx's own is limit_req's or limit_conn's */

    if (r->headers_out.status == NGX_HTTP_SERVICE_UNAVAILABLE && limited) {
        r->headers_out.status = NGX_HTTP_TOO_MANY_REQUESTS;
        r->err_status = NGX_HTTP_TOO_MANY_REQUESTS;
    }

    /* ours only when it is what nginx was told, as a 413 of the body filter */

    if (ctx->refusal.status != r->headers_out.status) {
        ngx_http_phota_name_error(r, &ctx->refusal);
    }

    r->headers_out.status_line.len = 0;

    b = ngx_http_phota_error_body(r, &ctx->refusal);
    if (b == NULL) {
        return NGX_ERROR;
    }

    r->headers_out.content_length_n = b->last - b->pos;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    if (ngx_http_phota_common_headers(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_phota_linger(r);
}


static void
ngx_http_phota_name_error(ngx_http_request_t *r,
    ngx_http_phota_refusal_t *refusal)
{
    ngx_uint_t  i, status;

    static ngx_http_phota_refusal_t  names[] = {
        { 400, "INVALID_REQUEST", "the request is malformed",
          NULL, 0, 0, NULL, NULL },
        { 401, "UNAUTHORIZED", "authentication is required",
          NULL, 0, 0, NULL, NULL },
        { 403, "OPERATION_NOT_ALLOWED", "access is forbidden",
          NULL, 0, 0, NULL, NULL },
        { 404, "NOT_FOUND", "there is no such resource",
          NULL, 0, 0, NULL, NULL },
        { 405, "OPERATION_NOT_ALLOWED", "the method is not allowed",
          NULL, 0, 0, NULL, NULL },
        { 408, "TIMEOUT", "the request did not arrive in time",
          NULL, 0, 0, NULL, NULL },
        { 413, "BODY_TOO_LARGE", "the request body is too large",
          NULL, 0, 0, NULL, NULL },
        { 429, "RATE_LIMITED", "too many requests", NULL, 0, 1, NULL, NULL },
        { 503, "UNAVAILABLE", "the gateway is not available",
          NULL, 0, 1, NULL, NULL },
        { 0, NULL, NULL, NULL, 0, 0, NULL, NULL }
    };

    status = r->headers_out.status;

    for (i = 0; names[i].status; i++) {
        if (names[i].status == status) {
            *refusal = names[i];
            return;
        }
    }

    ngx_memzero(refusal, sizeof(ngx_http_phota_refusal_t));

    refusal->status = status;
    refusal->code = (status < 500) ? "INVALID_REQUEST" : "INTERNAL_ERROR";
    refusal->detail = (status < 500) ? "the request cannot be served"
                                     : "the gateway failed; nothing was "
                                       "bought for this answer";
}


static ngx_int_t
ngx_http_phota_request_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t  rc;

    rc = ngx_http_phota_body_filter(r, &in);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_next_request_body_filter(r, in);
}


static ngx_int_t
ngx_http_phota_filter_init(ngx_conf_t *cf)
{
    ngx_http_phota_main_conf_t  *pmcf;

    pmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_phota_module);

    if (!ngx_http_phota_usable(pmcf)) {
        return NGX_OK;
    }

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_phota_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_phota_body_out_filter;

    ngx_http_next_request_body_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = ngx_http_phota_request_body_filter;

    return NGX_OK;
}
