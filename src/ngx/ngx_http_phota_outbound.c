
/*
 * Calls to URLs that are not the operator's: receivers of callbacks, which
 * tenants name, and pictures that the upstream links to.  A name is resolved
 * here, all of its addresses are looked at, and the connection goes to the one
 * that was seen: what the name means a moment later doesn't matter.
 */


#include "ngx_http_phota_module.h"


/* $phota_outbound_*, by the data of their entries */

#define NGX_HTTP_PHOTA_OUTBOUND_URL   0
#define NGX_HTTP_PHOTA_OUTBOUND_HOST  1
#define NGX_HTTP_PHOTA_OUTBOUND_NAME  2


/* in the pool of the errand's request */

typedef struct {
    ngx_http_phota_errand_t   *errand;
    ngx_http_phota_target_t    target;
    phota_url_t                url;
    ngx_resolver_ctx_t        *resolving;       /* NULL: not now */
} ngx_http_phota_outbound_t;


static ngx_int_t ngx_http_phota_outbound_begin(
    ngx_http_phota_outbound_t *out);
static ngx_int_t ngx_http_phota_outbound_resolve(
    ngx_http_phota_outbound_t *out);
static void ngx_http_phota_outbound_cancel(void *data);
static void ngx_http_phota_outbound_resolved(ngx_resolver_ctx_t *ctx);
static const char *ngx_http_phota_outbound_choose(
    ngx_http_phota_outbound_t *out, ngx_resolver_ctx_t *ctx,
    ngx_sockaddr_t *address, socklen_t *len);
static const char *ngx_http_phota_outbound_unresolved(ngx_int_t state);
static void ngx_http_phota_outbound_connect(ngx_http_phota_outbound_t *out,
    ngx_sockaddr_t *address, socklen_t len);
static ngx_int_t ngx_http_phota_outbound_pin(ngx_http_phota_outbound_t *out,
    ngx_sockaddr_t *address, socklen_t len);
static void ngx_http_phota_outbound_give_up(ngx_http_phota_outbound_t *out,
    const char *trouble);
static ngx_uint_t ngx_http_phota_outbound_literal(const phota_url_t *url,
    ngx_sockaddr_t *address, socklen_t *len);
static const char *ngx_http_phota_outbound_refused(const phota_url_t *url,
    struct sockaddr *address);
static ngx_uint_t ngx_http_phota_outbound_allowed(struct sockaddr *address);
static void ngx_http_phota_outbound_name(ngx_str_t *host,
    ngx_http_variable_value_t *v);
static const char *ngx_http_phota_outbound_unsafe(ngx_http_request_t *r);
static ngx_http_upstream_conf_t *ngx_http_phota_outbound_conf(
    ngx_http_request_t *r);


char *
ngx_http_phota_outbound(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_phota_loc_conf_t *plcf = conf;

    ngx_str_t  *value;

    if (plcf->outbound.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len < 2 || value[1].data[0] != '/'
        || value[1].data[value[1].len - 1] != '/')
    {
        return "must name an internal location that begins and ends "
               "with \"/\"";
    }

    plcf->outbound = value[1];

    return NGX_CONF_OK;
}


char *
ngx_http_phota_outbound_allow(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_phota_main_conf_t *pmcf = conf;

    ngx_str_t    *value;
    ngx_uint_t    i;
    phota_net_t  *net;

    if (pmcf->outbound_allow == NULL) {
        pmcf->outbound_allow = ngx_array_create(cf->pool, 4,
                                                sizeof(phota_net_t));
        if (pmcf->outbound_allow == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        net = ngx_array_push(pmcf->outbound_allow);
        if (net == NULL) {
            return NGX_CONF_ERROR;
        }

        if (phota_net_parse((char *) value[i].data, value[i].len, net)
            != PHOTA_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" is no network, like 10.0.0.0/8 "
                               "or ::1", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


const char *
ngx_http_phota_outbound_fault(ngx_str_t *text)
{
    socklen_t       len;
    phota_url_t     url;
    ngx_sockaddr_t  address;

    if (phota_url_parse(text->data, text->len, &url, NULL) != PHOTA_OK) {
        return "not a URL that can be called: https, a host, perhaps a port "
               "and a path, nothing else";
    }

    if (ngx_http_phota_outbound_literal(&url, &address, &len)) {
        return ngx_http_phota_outbound_refused(&url, &address.sockaddr);
    }

    /* of a name it is asked again, once its addresses are known */

    if (!url.secure && ngx_http_phota_worker.conf->outbound_allow == NULL) {
        return "not a URL that begins with https://";
    }

    return NULL;
}


ngx_int_t
ngx_http_phota_outbound_go(ngx_http_phota_errand_t *errand,
    ngx_http_phota_target_t *target)
{
    ngx_http_request_t         *r;
    ngx_http_cleanup_t         *cln;
    ngx_http_phota_outbound_t  *out;

    r = errand->r;

    errand->outbound = 1;
    errand->complete = 0;
    errand->trouble = NULL;

    out = ngx_pcalloc(r->pool, sizeof(ngx_http_phota_outbound_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (out == NULL || cln == NULL) {
        goto failed;
    }

    cln->handler = ngx_http_phota_outbound_cancel;
    cln->data = out;

    out->errand = errand;
    out->target = *target;

    ngx_http_phota_errand_begin(errand);

    if (ngx_http_phota_outbound_begin(out) == NGX_OK) {
        return NGX_AGAIN;
    }

failed:

    ngx_http_phota_errand_free(errand);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_phota_outbound_begin(ngx_http_phota_outbound_t *out)
{
    u_char                     *p;
    socklen_t                   len;
    const char                 *trouble;
    ngx_sockaddr_t              address;
    ngx_http_request_t         *r;
    ngx_http_phota_errand_t    *errand;
    ngx_http_phota_loc_conf_t  *plcf;

    errand = out->errand;
    r = errand->r;
    plcf = ngx_http_get_module_loc_conf(r, ngx_http_phota_module);

    if (plcf->outbound.len == 0) {
        ngx_http_phota_outbound_give_up(out, "the door has no "
                                        "\"phota_outbound\"");
        return NGX_OK;
    }

    out->target.uri = plcf->outbound;
    ngx_str_null(&out->target.args);

    trouble = ngx_http_phota_outbound_fault(&errand->url);

    if (trouble) {
        ngx_http_phota_outbound_give_up(out, trouble);
        return NGX_OK;
    }

    /* whoever has told it may be gone before it is called */

    p = ngx_pstrdup(r->pool, &errand->url);
    if (p == NULL) {
        return NGX_ERROR;
    }

    errand->url.data = p;

    (void) phota_url_parse(p, errand->url.len, &out->url, NULL);

    errand->host.data = (u_char *) out->url.authority.data;
    errand->host.len = out->url.authority.len;

    if (ngx_http_phota_outbound_literal(&out->url, &address, &len)) {
        ngx_http_phota_outbound_connect(out, &address, len);
        return NGX_OK;
    }

    return ngx_http_phota_outbound_resolve(out);
}


static ngx_int_t
ngx_http_phota_outbound_resolve(ngx_http_phota_outbound_t *out)
{
    ngx_resolver_ctx_t        *ctx;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(out->errand->r, ngx_http_core_module);

    ctx = ngx_resolve_start(clcf->resolver, NULL);

    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (ctx == NGX_NO_RESOLVER) {
        ngx_http_phota_outbound_give_up(out, "a name can't be resolved: "
                                        "no \"resolver\" is set");
        return NGX_OK;
    }

    ctx->name.data = (u_char *) out->url.host.data;
    ctx->name.len = out->url.host.len;
    ctx->handler = ngx_http_phota_outbound_resolved;
    ctx->data = out;
    ctx->timeout = clcf->resolver_timeout;

    out->resolving = ctx;

    /* the handler may have been called when this returns */

    if (ngx_resolve_name(ctx) != NGX_OK) {
        out->resolving = NULL;
        ngx_http_phota_outbound_give_up(out, "the name could not be "
                                        "resolved");
    }

    return NGX_OK;
}


/* the request goes */

static void
ngx_http_phota_outbound_cancel(void *data)
{
    ngx_http_phota_outbound_t *out = data;

    if (out->resolving) {
        ngx_resolve_name_done(out->resolving);
        out->resolving = NULL;
    }
}


static void
ngx_http_phota_outbound_resolved(ngx_resolver_ctx_t *ctx)
{
    socklen_t                   len;
    const char                 *trouble;
    ngx_sockaddr_t              address;
    ngx_http_request_t         *r;
    ngx_http_phota_outbound_t  *out;

    out = ctx->data;
    r = out->errand->r;

    ngx_http_set_log_request(r->connection->log, r);

    trouble = ngx_http_phota_outbound_choose(out, ctx, &address, &len);

    out->resolving = NULL;

    ngx_resolve_name_done(ctx);

    if (trouble) {
        ngx_http_phota_outbound_give_up(out, trouble);
        return;
    }

    ngx_http_phota_outbound_connect(out, &address, len);
}


/*
 * A name with one address that is refused is refused: it would be somebody's
 * who answers now this, now that.
 */

static const char *
ngx_http_phota_outbound_choose(ngx_http_phota_outbound_t *out,
    ngx_resolver_ctx_t *ctx, ngx_sockaddr_t *address, socklen_t *len)
{
    ngx_uint_t        i;
    const char       *trouble;
    struct sockaddr  *sa;

    if (ctx->state != NGX_OK || ctx->naddrs == 0) {
        return ngx_http_phota_outbound_unresolved(ctx->state);
    }

    *len = 0;

    for (i = 0; i < ctx->naddrs; i++) {
        sa = ctx->addrs[i].sockaddr;

        trouble = ngx_http_phota_outbound_refused(&out->url, sa);

        if (trouble) {
            return trouble;
        }

        /* IPv4 goes first: it is what every host can reach */

        if (*len == 0
            || (address->sockaddr.sa_family != AF_INET
                && sa->sa_family == AF_INET))
        {
            *len = ctx->addrs[i].socklen;
            ngx_memcpy(address, sa, *len);
        }
    }

    return NULL;
}


static const char *
ngx_http_phota_outbound_unresolved(ngx_int_t state)
{
    switch (state) {

    case NGX_OK:
    case NGX_RESOLVE_NXDOMAIN:
        return "the name has no address";

    case NGX_RESOLVE_TIMEDOUT:
        return "the name could not be resolved in time";

    default:
        return "the name could not be resolved";
    }
}


/* as ngx_http_phota_errand_go(), but done() was promised already */

static void
ngx_http_phota_outbound_connect(ngx_http_phota_outbound_t *out,
    ngx_sockaddr_t *address, socklen_t len)
{
    ngx_connection_t         *c;
    ngx_http_phota_errand_t  *errand;

    errand = out->errand;
    c = errand->r->connection;

    if (ngx_http_phota_outbound_pin(out, address, len) != NGX_OK
        || ngx_http_phota_launch(errand->r, errand->ctx, &out->target)
           != NGX_AGAIN)
    {
        ngx_http_phota_outbound_give_up(out, "no memory");
        return;
    }

    ngx_http_run_posted_requests(c);
}


/* the URL with the address in place of the host */

static ngx_int_t
ngx_http_phota_outbound_pin(ngx_http_phota_outbound_t *out,
    ngx_sockaddr_t *address, socklen_t len)
{
    u_char                   *p, text[NGX_SOCKADDR_STRLEN];
    size_t                    n;
    phota_str_t              *target;
    ngx_http_phota_errand_t  *errand;

    errand = out->errand;
    target = &out->url.target;

    ngx_inet_set_port(&address->sockaddr, out->url.port);

    n = ngx_sock_ntop(&address->sockaddr, len, text, sizeof(text), 1);

    p = ngx_pnalloc(errand->r->pool, sizeof("https:///") - 1 + n
                                     + target->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    errand->resolved.data = p;

    p = out->url.secure ? ngx_cpymem(p, "https://", sizeof("https://") - 1)
                        : ngx_cpymem(p, "http://", sizeof("http://") - 1);
    p = ngx_cpymem(p, text, n);

    /* without a path proxy_pass would put the location's own */

    if (target->len == 0 || target->data[0] != '/') {
        *p++ = '/';
    }

    p = ngx_cpymem(p, target->data, target->len);

    errand->resolved.len = p - errand->resolved.data;

    return NGX_OK;
}


/* the errand ends, by the event loop: its caller isn't ready for it yet */

static void
ngx_http_phota_outbound_give_up(ngx_http_phota_outbound_t *out,
    const char *trouble)
{
    out->errand->trouble = trouble;

    ngx_post_event(&out->errand->end, &ngx_posted_events);
}


static ngx_uint_t
ngx_http_phota_outbound_literal(const phota_url_t *url,
    ngx_sockaddr_t *address, socklen_t *len)
{
    char  text[NGX_INET6_ADDRSTRLEN + 1];

    if (url->host.len >= sizeof(text)) {
        return 0;
    }

    ngx_memzero(address, sizeof(ngx_sockaddr_t));

    (void) ngx_cpystrn((u_char *) text, (u_char *) url->host.data,
                       url->host.len + 1);

    if (inet_pton(AF_INET, text, &address->sockaddr_in.sin_addr) == 1) {
        address->sockaddr_in.sin_family = AF_INET;
        *len = sizeof(struct sockaddr_in);
        return 1;
    }

#if (NGX_HAVE_INET6)

    if (inet_pton(AF_INET6, text, &address->sockaddr_in6.sin6_addr) == 1) {
        address->sockaddr_in6.sin6_family = AF_INET6;
        *len = sizeof(struct sockaddr_in6);
        return 1;
    }

#endif

    return 0;
}


/* NULL, or why the gateway doesn't go to this address by this URL */

static const char *
ngx_http_phota_outbound_refused(const phota_url_t *url,
    struct sockaddr *address)
{
    if (ngx_http_phota_outbound_allowed(address)) {
        return NULL;
    }

    if (!url->secure) {
        return "not a URL that begins with https://";
    }

    if (!phota_address_public(address)) {
        return "a URL that leads to an address which is not public";
    }

    return NULL;
}


static ngx_uint_t
ngx_http_phota_outbound_allowed(struct sockaddr *address)
{
    ngx_array_t  *allow;

    allow = ngx_http_phota_worker.conf->outbound_allow;

    return allow && phota_net_match(allow->elts, allow->nelts, address);
}


/*
 * proxy_pass asks for the URL before anything else, even the location's cache:
 * without one nothing goes out.
 */

ngx_int_t
ngx_http_phota_outbound_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    const char               *unsafe;
    ngx_http_phota_ctx_t     *ctx;
    ngx_http_phota_about_t    about;
    ngx_http_phota_errand_t  *errand;

    v->len = 0;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = (u_char *) "";

    ctx = ngx_http_phota_caller(r);

    if (ctx == NULL || ctx->state != NGX_HTTP_PHOTA_CALL
        || ctx->errand == NULL || !ctx->errand->outbound)
    {
        return NGX_OK;
    }

    errand = ctx->errand;

    if (data == NGX_HTTP_PHOTA_OUTBOUND_NAME) {
        ngx_http_phota_outbound_name(&errand->host, v);
        return NGX_OK;
    }

    if (data == NGX_HTTP_PHOTA_OUTBOUND_HOST) {
        v->data = errand->host.data;
        v->len = errand->host.len;
        return NGX_OK;
    }

    unsafe = ngx_http_phota_outbound_unsafe(r);

    if (unsafe) {
        ngx_http_phota_say_some(NGX_LOG_ERR, r->connection->log, 0,
                                ngx_http_phota_about(&about, ctx),
                                "a location lets nothing out",
                                "%s, that of \"%V\"", unsafe, &r->uri);

        errand->trouble = "the location of \"phota_outbound\" is not safe: "
                          "include phota_outbound_params";
        return NGX_OK;
    }

    v->data = errand->resolved.data;
    v->len = errand->resolved.len;

    return NGX_OK;
}


/* without port, and without the dot of the root, which no certificate has */

static void
ngx_http_phota_outbound_name(ngx_str_t *host, ngx_http_variable_value_t *v)
{
    size_t  len;

    /* an IPv6 address keeps its brackets, or it would end at a colon */

    len = 0;

    if (host->len && host->data[0] == '[') {
        while (len < host->len && host->data[len] != ']') {
            len++;
        }
    }

    while (len < host->len && host->data[len] != ':') {
        len++;
    }

    if (len && host->data[len - 1] == '.') {
        len--;
    }

    v->data = host->data;
    v->len = len;
}


/* what would send it twice, or answer it otherwise than its receiver does */

static const char *
ngx_http_phota_outbound_unsafe(ngx_http_request_t *r)
{
    ngx_http_upstream_conf_t  *conf;

    conf = ngx_http_phota_outbound_conf(r);

    if (conf == NULL) {
        return "it needs \"proxy_pass\"";
    }

    /* or a stranger would be shown around in here */

    if (!(conf->ignore_headers & NGX_HTTP_UPSTREAM_IGN_XA_REDIRECT)) {
        return "it needs \"proxy_ignore_headers X-Accel-Redirect\"";
    }

    return ngx_http_phota_unsafe(r, conf);
}


/*
 * proxy_pass works out its URL before it hangs its configuration into the
 * request, and its type is its own; but nginx has all such configurations begin
 * with what is read here.
 */

static ngx_http_upstream_conf_t *
ngx_http_phota_outbound_conf(ngx_http_request_t *r)
{
    ngx_uint_t  i;

    if (r->upstream == NULL) {
        return NULL;
    }

    if (r->upstream->conf) {
        return r->upstream->conf;
    }

    for (i = 0; ngx_cycle->modules[i]; i++) {

        if (ngx_strcmp(ngx_cycle->modules[i]->name, "ngx_http_proxy_module")
            == 0)
        {
            return r->loc_conf[ngx_cycle->modules[i]->ctx_index];
        }
    }

    return NULL;
}
