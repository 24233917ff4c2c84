
/*
 * Signatures of callbacks and the secrets behind them: how the upstream signs,
 * as phota_callback_signature says, what a request brings of it, and what a
 * tenant checks the gateway's own callbacks by.
 */


#include "ngx_http_phota_signature.h"


static char *ngx_http_phota_signature_option(ngx_conf_t *cf,
    ngx_http_phota_main_conf_t *pmcf, ngx_str_t *value, ngx_uint_t *timed);
static char *ngx_http_phota_signature_name(ngx_str_t *value, size_t skip,
    ngx_str_t *name);
static ngx_int_t ngx_http_phota_signature_copy(ngx_http_request_t *r,
    ngx_str_t *name, u_char *buf, size_t size, size_t *len);


/* where phota_callback_signature says nothing */

static ngx_str_t       ngx_http_phota_signature_header =
    ngx_string("X-Phota-Signature");

static phota_scheme_t  ngx_http_phota_signature_scheme = {
    PHOTA_SIGNED_BODY, "SHA256", 0, 300
};


char *
ngx_http_phota_signature(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_phota_main_conf_t *pmcf = conf;

    char        *rv;
    ngx_str_t   *value;
    ngx_uint_t   i, timed;

    if (pmcf->signature.data) {
        return "is duplicate";
    }

    pmcf->signature = ngx_http_phota_signature_header;
    pmcf->scheme = ngx_http_phota_signature_scheme;

    timed = 0;
    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        rv = ngx_http_phota_signature_option(cf, pmcf, &value[i], &timed);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (timed && pmcf->scheme.over != PHOTA_SIGNED_TIMED) {
        return "has \"timestamp\" or \"tolerance\", which need \"over=timed\"";
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_phota_signature_option(ngx_conf_t *cf,
    ngx_http_phota_main_conf_t *pmcf, ngx_str_t *value, ngx_uint_t *timed)
{
    time_t           tolerance;
    ngx_str_t        time;
    phota_scheme_t  *scheme;

    scheme = &pmcf->scheme;

    if (ngx_strncmp(value->data, "header=", 7) == 0) {
        return ngx_http_phota_signature_name(value, 7, &pmcf->signature);
    }

    if (ngx_strncmp(value->data, "timestamp=", 10) == 0) {
        *timed = 1;
        return ngx_http_phota_signature_name(value, 10, &pmcf->timestamp);
    }

    if (ngx_strncmp(value->data, "tolerance=", 10) == 0) {
        time.data = value->data + 10;
        time.len = value->len - 10;

        tolerance = ngx_parse_time(&time, 1);

        if (tolerance == (time_t) NGX_ERROR) {
            return "has an invalid \"tolerance\"";
        }

        *timed = 1;
        scheme->tolerance = tolerance;

    } else if (ngx_strcmp(value->data, "over=body") == 0) {
        scheme->over = PHOTA_SIGNED_BODY;

    } else if (ngx_strcmp(value->data, "over=timed") == 0) {
        scheme->over = PHOTA_SIGNED_TIMED;

    } else if (ngx_strcmp(value->data, "hash=sha256") == 0) {
        scheme->hash = "SHA256";

    } else if (ngx_strcmp(value->data, "hash=sha512") == 0) {
        scheme->hash = "SHA512";

    } else if (ngx_strcmp(value->data, "encoding=hex") == 0) {
        scheme->base64 = 0;

    } else if (ngx_strcmp(value->data, "encoding=base64") == 0) {
        scheme->base64 = 1;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\"", value);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_phota_signature_name(ngx_str_t *value, size_t skip, ngx_str_t *name)
{
    size_t  i;

    name->data = value->data + skip;
    name->len = value->len - skip;

    for (i = 0; i < name->len; i++) {
        if (name->data[i] <= ' ' || name->data[i] > '~'
            || name->data[i] == ':')
        {
            break;
        }
    }

    return (name->len && i == name->len) ? NGX_CONF_OK
                                         : "has what is no header's name";
}


ngx_int_t
ngx_http_phota_signature_secret(ngx_http_phota_signed_t *sign,
    const phota_job_t *row)
{
    int                       rc;
    const phota_tenant_t     *tenant;
    ngx_http_phota_about_t    about;
    ngx_http_phota_worker_t  *worker;

    worker = &ngx_http_phota_worker;

    if (phota_directory_tenant(worker->directory, row->tenant, &tenant)
        != PHOTA_OK)
    {
        return NGX_DECLINED;
    }

    sign->secret_len = sizeof(sign->secret);

    rc = phota_directory_key(worker->directory, worker->conf->master, tenant,
                             row->provider, PHOTA_SECRET_CALLBACK,
                             sign->secret, &sign->secret_len);

    if (rc == PHOTA_INVALID) {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0,
                                ngx_http_phota_about_tenant(&about, tenant),
                                "the master key does not open the secret of "
                                "callbacks", "none is believed");
    }

    return (rc == PHOTA_OK) ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_phota_signature_read(ngx_http_request_t *r,
    ngx_http_phota_signed_t *sign)
{
    ngx_str_t                   *name;
    ngx_http_phota_main_conf_t  *pmcf;

    pmcf = ngx_http_phota_worker.conf;

    name = pmcf->signature.len ? &pmcf->signature
                               : &ngx_http_phota_signature_header;

    if (ngx_http_phota_signature_copy(r, name, sign->signature,
                                      sizeof(sign->signature),
                                      &sign->signature_len)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (pmcf->timestamp.len == 0) {
        return NGX_OK;
    }

    return ngx_http_phota_signature_copy(r, &pmcf->timestamp,
                                         sign->timestamp,
                                         sizeof(sign->timestamp),
                                         &sign->timestamp_len);
}


static ngx_int_t
ngx_http_phota_signature_copy(ngx_http_request_t *r, ngx_str_t *name,
    u_char *buf, size_t size, size_t *len)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NGX_DECLINED;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == name->len
            && ngx_strncasecmp(h[i].key.data, name->data, name->len) == 0)
        {
            break;
        }
    }

    if (h[i].value.len == 0 || h[i].value.len > size) {
        return NGX_DECLINED;
    }

    ngx_memcpy(buf, h[i].value.data, h[i].value.len);
    *len = h[i].value.len;

    return NGX_OK;
}


int
ngx_http_phota_signature_check(const ngx_http_phota_signed_t *sign,
    const u_char *body, size_t len)
{
    phota_str_t                  signature, timestamp;
    const phota_scheme_t        *scheme;
    ngx_http_phota_main_conf_t  *pmcf;

    pmcf = ngx_http_phota_worker.conf;

    scheme = pmcf->signature.len ? &pmcf->scheme
                                 : &ngx_http_phota_signature_scheme;

    signature.data = sign->signature;
    signature.len = sign->signature_len;
    timestamp.data = sign->timestamp;
    timestamp.len = sign->timestamp_len;

    return phota_sign_check(scheme, sign->secret, sign->secret_len,
                            &signature, &timestamp, body, len,
                            phota_now() / 1000);
}


ngx_int_t
ngx_http_phota_tell_secret(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx)
{
    char        secret[PHOTA_ALIAS_SECRET];
    u_char     *p, text[2 * PHOTA_ALIAS_SECRET + 64];
    ngx_int_t   rc;

    if (phota_alias_secret(ngx_http_phota_aliases,
                           ctx->tenant.id, secret)
        != PHOTA_OK)
    {
        return NGX_ERROR;
    }

    /* both names that a client may look for */

    p = ngx_snprintf(text, sizeof(text),
                     "{\"secret\":\"%s\",\"webhook_secret\":\"%s\"}",
                     secret, secret);

    rc = ngx_http_phota_tell(r, ctx, NGX_HTTP_OK, text, p - text);

    phota_cleanse(secret, sizeof(secret));
    phota_cleanse(text, sizeof(text));

    return rc;
}
