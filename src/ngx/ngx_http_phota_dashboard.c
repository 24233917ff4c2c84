
/*
 * phota_dashboard: the operator's page.  It is one file, read when nginx is
 * configured and served from memory; its scripts and styles may run because
 * the policy that goes with it names their hashes, and nothing else may.  The
 * page has no secrets: what it shows it asks the API for, with a token that
 * its reader types in.
 */


#include "ngx_http_phota_module.h"


#define NGX_HTTP_PHOTA_PAGE_FILE   "/usr/share/nginx-phota/dashboard.html"
#define NGX_HTTP_PHOTA_PAGE_MAX    (4 * 1024 * 1024)    /* bytes */
#define NGX_HTTP_PHOTA_PAGE_PARTS  16                   /* of each kind */
#define NGX_HTTP_PHOTA_PAGE_ETAG   34   /* 32 hex digits between quotes */

/* " 'sha256-...'", in base64 */
#define NGX_HTTP_PHOTA_PAGE_HASH   (sizeof(" 'sha256-'") - 1 + 44)


#define NGX_HTTP_PHOTA_PAGE_POLICY                                            \
    "; img-src 'self' data:; connect-src 'self'; base-uri 'none'"             \
    "; form-action 'none'; frame-ancestors 'none'"                            \
    "; require-trusted-types-for 'script'; trusted-types 'none'"


struct ngx_http_phota_page_s {
    ngx_str_t   name;           /* of its location */
    ngx_str_t   body;
    ngx_str_t   policy;
    u_char      etag[NGX_HTTP_PHOTA_PAGE_ETAG];
};


/* what stands between the tags of an element that runs, or styles */

typedef struct {
    ngx_str_t   parts[NGX_HTTP_PHOTA_PAGE_PARTS];
    ngx_uint_t  n;
} ngx_http_phota_parts_t;


static char *ngx_http_phota_page_read(ngx_conf_t *cf,
    ngx_http_phota_page_t *page, ngx_str_t *file);
static char *ngx_http_phota_page_load(ngx_conf_t *cf,
    ngx_http_phota_page_t *page, ngx_str_t *path, ngx_fd_t fd);
static char *ngx_http_phota_page_sign(ngx_conf_t *cf,
    ngx_http_phota_page_t *page, ngx_str_t *path);
static char *ngx_http_phota_page_scan(ngx_http_phota_page_t *page,
    ngx_http_phota_parts_t *scripts, ngx_http_phota_parts_t *styles);
static char *ngx_http_phota_page_part(u_char **pos, u_char *last,
    const char *name, ngx_http_phota_parts_t *parts);
static ngx_uint_t ngx_http_phota_page_is(u_char *p, u_char *last,
    const char *name);
static u_char *ngx_http_phota_page_hashes(u_char *p,
    ngx_http_phota_parts_t *parts);
static ngx_int_t ngx_http_phota_page_headers(ngx_http_request_t *r,
    ngx_http_phota_page_t *page);


char *
ngx_http_phota_dashboard(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_phota_loc_conf_t *plcf = conf;

    ngx_str_t                 *value, file;
    ngx_http_phota_page_t     *page;
    ngx_http_core_loc_conf_t  *clcf;

    if (plcf->page) {
        return "is duplicate";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->named || clcf->noname
#if (NGX_PCRE)
        || clcf->regex
#endif
        || clcf->name.len == 0
        || clcf->name.data[clcf->name.len - 1] != '/')
    {
        return "needs a prefix location that ends with \"/\"";
    }

    if (clcf->handler) {
        return "is duplicate, or the location has a handler already";
    }

    page = ngx_pcalloc(cf->pool, sizeof(ngx_http_phota_page_t));
    if (page == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    ngx_str_set(&file, NGX_HTTP_PHOTA_PAGE_FILE);

    if (cf->args->nelts == 2) {
        file = value[1];
    }

    page->name = clcf->name;

    if (ngx_http_phota_page_read(cf, page, &file) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    plcf->page = page;
    clcf->handler = ngx_http_phota_page_handler;

    /* the page asks for "../usage": its address ends with a slash */

    clcf->auto_redirect = 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_phota_page_read(ngx_conf_t *cf, ngx_http_phota_page_t *page,
    ngx_str_t *file)
{
    char       *rc;
    ngx_fd_t    fd;
    ngx_str_t   path;

    path = *file;

    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    fd = ngx_open_file(path.data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "phota_dashboard: \"%V\" can't be opened "
                           "(\"make dashboard\" builds it, \"make install\" "
                           "puts it there)", &path);
        return NGX_CONF_ERROR;
    }

    rc = ngx_http_phota_page_load(cf, page, &path, fd);

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", &path);
    }

    return (rc == NGX_CONF_OK) ? ngx_http_phota_page_sign(cf, page, &path)
                               : rc;
}


static char *
ngx_http_phota_page_load(ngx_conf_t *cf, ngx_http_phota_page_t *page,
    ngx_str_t *path, ngx_fd_t fd)
{
    ssize_t          n;
    ngx_file_t       file;
    ngx_file_info_t  fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", path);
        return NGX_CONF_ERROR;
    }

    if (!ngx_is_file(&fi) || ngx_file_size(&fi) == 0
        || ngx_file_size(&fi) > NGX_HTTP_PHOTA_PAGE_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "phota_dashboard: \"%V\" is not a file of 1 to %d "
                           "bytes", path, NGX_HTTP_PHOTA_PAGE_MAX);
        return NGX_CONF_ERROR;
    }

    page->body.len = ngx_file_size(&fi);

    page->body.data = ngx_pnalloc(cf->pool, page->body.len);
    if (page->body.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.fd = fd;
    file.name = *path;
    file.log = cf->log;

    n = ngx_read_file(&file, page->body.data, page->body.len, 0);

    if (n != (ssize_t) page->body.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "phota_dashboard: \"%V\" can't be read whole",
                           path);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* its policy and its ETag */

static char *
ngx_http_phota_page_sign(ngx_conf_t *cf, ngx_http_phota_page_t *page,
    ngx_str_t *path)
{
    char                    *rc;
    size_t                   len;
    u_char                  *p, digest[PHOTA_SHA256_LEN];
    ngx_http_phota_parts_t   scripts, styles;

    rc = ngx_http_phota_page_scan(page, &scripts, &styles);

    if (rc != NGX_CONF_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "phota_dashboard: \"%V\" %s", path, rc);
        return NGX_CONF_ERROR;
    }

    if (phota_sha256(digest, page->body.data, page->body.len) != PHOTA_OK) {
        return NGX_CONF_ERROR;
    }

    page->etag[0] = '"';
    p = ngx_hex_dump(page->etag + 1, digest,
                     (NGX_HTTP_PHOTA_PAGE_ETAG - 2) / 2);
    *p = '"';

    len = sizeof("default-src 'none'; script-src 'none'; style-src 'none'")
          + sizeof(NGX_HTTP_PHOTA_PAGE_POLICY)
          + (scripts.n + styles.n) * NGX_HTTP_PHOTA_PAGE_HASH;

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    page->policy.data = p;

    p = ngx_cpymem(p, "default-src 'none'; script-src",
                   sizeof("default-src 'none'; script-src") - 1);
    p = ngx_http_phota_page_hashes(p, &scripts);

    if (p) {
        p = ngx_cpymem(p, "; style-src", sizeof("; style-src") - 1);
        p = ngx_http_phota_page_hashes(p, &styles);
    }

    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    p = ngx_cpymem(p, NGX_HTTP_PHOTA_PAGE_POLICY,
                   sizeof(NGX_HTTP_PHOTA_PAGE_POLICY) - 1);

    page->policy.len = p - page->policy.data;

    return NGX_CONF_OK;
}


/*
 * Finds scripts and styles as a browser does, in a page that doesn't try to
 * deceive: what is missed here only doesn't run.
 */

static char *
ngx_http_phota_page_scan(ngx_http_phota_page_t *page,
    ngx_http_phota_parts_t *scripts, ngx_http_phota_parts_t *styles)
{
    char    *rc;
    u_char  *p, *last;

    scripts->n = 0;
    styles->n = 0;

    p = page->body.data;
    last = p + page->body.len;

    /* a browser hashes lines that end with LF alone */

    if (ngx_strlchr(p, last, '\r')) {
        return "has a carriage return";
    }

    while (p < last) {

        p = ngx_strlchr(p, last, '<');
        if (p == NULL) {
            break;
        }

        p++;

        if (last - p >= 3 && ngx_strncmp(p, "!--", 3) == 0) {
            p = ngx_strlcasestrn(p + 3, last, (u_char *) "-->", 3 - 1);

            if (p == NULL) {
                return "has a comment without an end";
            }

            continue;
        }

        rc = ngx_http_phota_page_part(&p, last, "script", scripts);

        if (rc == NGX_CONF_OK) {
            rc = ngx_http_phota_page_part(&p, last, "style", styles);
        }

        if (rc != NGX_CONF_OK) {
            return rc;
        }
    }

    return NGX_CONF_OK;
}


/* *pos is behind a '<' */

static char *
ngx_http_phota_page_part(u_char **pos, u_char *last, const char *name,
    ngx_http_phota_parts_t *parts)
{
    u_char  *p, *start;

    p = *pos;

    if (!ngx_http_phota_page_is(p, last, name)) {
        return NGX_CONF_OK;
    }

    start = ngx_strlchr(p, last, '>');

    if (start) {
        start++;

        for (p = start; p < last; p++) {
            if (*p == '<' && last - p > 2 && p[1] == '/'
                && ngx_http_phota_page_is(p + 2, last, name))
            {
                break;
            }
        }
    }

    if (start == NULL || p == last) {
        return "has a script or style without an end";
    }

    if (parts->n == NGX_HTTP_PHOTA_PAGE_PARTS) {
        return "has too many scripts or styles";
    }

    parts->parts[parts->n].data = start;
    parts->parts[parts->n].len = p - start;
    parts->n++;

    /* on its end tag, which is no element */

    *pos = p + 1;

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_http_phota_page_is(u_char *p, u_char *last, const char *name)
{
    size_t  len;

    len = ngx_strlen(name);

    return (size_t) (last - p) > len
           && ngx_strncasecmp(p, (u_char *) name, len) == 0
           && (p[len] == '>' || p[len] == '/' || p[len] <= ' ');
}


static u_char *
ngx_http_phota_page_hashes(u_char *p, ngx_http_phota_parts_t *parts)
{
    u_char      digest[PHOTA_SHA256_LEN];
    ngx_str_t   from, to;
    ngx_uint_t  i;

    if (parts->n == 0) {
        return ngx_cpymem(p, " 'none'", sizeof(" 'none'") - 1);
    }

    from.data = digest;
    from.len = PHOTA_SHA256_LEN;

    for (i = 0; i < parts->n; i++) {
        if (phota_sha256(digest, parts->parts[i].data, parts->parts[i].len)
            != PHOTA_OK)
        {
            return NULL;
        }

        p = ngx_cpymem(p, " 'sha256-", sizeof(" 'sha256-") - 1);

        to.data = p;
        ngx_encode_base64(&to, &from);

        p += to.len;
        *p++ = '\'';
    }

    return p;
}


ngx_int_t
ngx_http_phota_page_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_buf_t                  *b;
    ngx_chain_t                 out;
    ngx_http_phota_page_t      *page;
    ngx_http_phota_loc_conf_t  *plcf;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);
    page = plcf->page;

    if (r->uri.len != page->name.len) {
        return NGX_HTTP_NOT_FOUND;
    }

    if (ngx_http_phota_page_headers(r, page) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->memory = 1;
    b->pos = page->body.data;
    b->last = b->pos + page->body.len;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static ngx_int_t
ngx_http_phota_page_headers(ngx_http_request_t *r,
    ngx_http_phota_page_t *page)
{
    ngx_uint_t        i;
    ngx_table_elt_t  *etag;

    /* "no-cache": it may be kept, and is asked for again: a 304 */

    static struct {
        const char  *name;
        ngx_str_t    value;
    } headers[] = {
        { "Cache-Control", ngx_string("private, no-cache") },
        { "X-Content-Type-Options", ngx_string("nosniff") },
        { "Referrer-Policy", ngx_string("no-referrer") },
        { "Cross-Origin-Opener-Policy", ngx_string("same-origin") },
        { "Cross-Origin-Resource-Policy", ngx_string("same-origin") }
    };

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = page->body.len;

    ngx_str_set(&r->headers_out.content_type, "text/html");
    r->headers_out.content_type_len = sizeof("text/html") - 1;
    ngx_str_set(&r->headers_out.charset, "utf-8");

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (ngx_http_phota_header(r, headers[i].name, headers[i].value.data,
                                  headers[i].value.len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_http_phota_header(r, "Content-Security-Policy",
                              page->policy.data, page->policy.len)
        != NGX_OK
        || ngx_http_phota_header(r, "ETag", page->etag,
                                 NGX_HTTP_PHOTA_PAGE_ETAG)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* the last one that was pushed */

    etag = r->headers_out.headers.last->elts;
    r->headers_out.etag = &etag[r->headers_out.headers.last->nelts - 1];

    return NGX_OK;
}
