
/*
 * The tenant's callback: what a poll would tell, signed with the tenant's own
 * secret, to the URL that it gave, again and again for some hours until
 * somebody there says that it is well.
 */


#include "ngx_http_phota_follow.h"


#define NGX_HTTP_PHOTA_TRIES  12            /* in eight hours */


static ngx_int_t ngx_http_phota_follow_letter(ngx_http_phota_follow_t *f,
    ngx_http_phota_errand_t *errand, ngx_http_phota_target_t *target);
static ngx_int_t ngx_http_phota_follow_header(
    ngx_http_phota_errand_t *errand, const char *name, const char *value);
static void ngx_http_phota_follow_delivered(ngx_http_phota_errand_t *errand);
static void ngx_http_phota_follow_told(phota_job_t *row, void *data);


void
ngx_http_phota_follow_deliver(ngx_http_phota_follow_t *f)
{
    size_t                      len;
    ngx_http_phota_target_t     target;
    ngx_http_phota_errand_t    *errand;
    ngx_http_phota_loc_conf_t  *plcf;

    errand = ngx_http_phota_errand_create(f->row.provider, f->row.door);

    if (errand == NULL) {
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_later);
        return;
    }

    plcf = ngx_http_get_module_loc_conf(errand->r, ngx_http_phota_module);
    len = ngx_strlen(f->row.callback);

    errand->done = ngx_http_phota_follow_delivered;
    errand->data = f;
    errand->outbound = 1;
    errand->limit = 65536;
    errand->ctx->tenant = f->tenant;

    ngx_memzero(&target, sizeof(ngx_http_phota_target_t));

    errand->url.data = ngx_pnalloc(errand->r->pool, len);

    if (errand->url.data == NULL || plcf->outbound.len == 0
        || ngx_http_phota_follow_letter(f, errand, &target) != NGX_OK)
    {
        f->trouble = plcf->outbound.len ? "it could not be written"
                                        : "there is no phota_outbound";
        ngx_http_phota_errand_free(errand);
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_told);
        return;
    }

    errand->url.len = len;
    ngx_memcpy(errand->url.data, f->row.callback, len);

    if (ngx_http_phota_outbound_go(errand, &target) != NGX_AGAIN) {
        f->trouble = "it could not be sent";
        ngx_http_phota_follow_write(f, ngx_http_phota_follow_told);
    }
}


/* what a poll would tell, signed with the tenant's own secret */

static ngx_int_t
ngx_http_phota_follow_letter(ngx_http_phota_follow_t *f,
    ngx_http_phota_errand_t *errand, ngx_http_phota_target_t *target)
{
    int                           rc;
    char                          signature[PHOTA_SIGNATURE_TEXT];
    char                          secret[PHOTA_ALIAS_SECRET];
    u_char                       *out, *last;
    size_t                        len;
    ngx_buf_t                    *b;
    ngx_chain_t                  *cl;
    char                          name[PHOTA_JOB_ID_MAX + 1];
    phota_ticket_t                ticket;
    ngx_http_request_body_t      *body;

    out = NULL;
    rc = PHOTA_INVALID;

    ngx_memzero(&ticket, sizeof(phota_ticket_t));

    ticket.bought = 1;
    ticket.charge = f->row.charge;

    if (f->row.kind == PHOTA_JOB_STORED) {
        (void) ngx_cpystrn((u_char *) name, (u_char *) f->row.upstream,
                           sizeof(name));

    } else if (phota_ticket_format(ngx_http_phota_aliases, &ticket, name)
               != PHOTA_OK)
    {
        return NGX_ERROR;
    }

    if (f->text && f->row.kind == PHOTA_JOB_STORED) {

        /* it was told in our words to begin with */

        out = ngx_alloc(f->len, ngx_cycle->log);
        if (out == NULL) {
            return NGX_ERROR;
        }

        len = f->len;
        ngx_memcpy(out, f->text, len);

        rc = PHOTA_OK;

    } else if (f->text) {
        rc = ngx_http_phota_tell_receiver(&f->row, &f->tenant, f->text,
                                          f->len, &out, &len);
    }

    if (rc == PHOTA_ERROR) {
        return NGX_ERROR;
    }

    if (rc != PHOTA_OK) {
        len = sizeof("{\"job_id\":\"\",\"status\":\"\"}") + sizeof(name)
              + 16;

        out = ngx_alloc(len, ngx_cycle->log);
        if (out == NULL) {
            return NGX_ERROR;
        }

        last = ngx_slprintf(out, out + len,
                            "{\"job_id\":\"%s\",\"status\":\"%s\"}", name,
                            f->row.state == PHOTA_JOB_DONE ? "completed"
                            : f->row.state == PHOTA_JOB_FAILED ? "failed"
                                                               : "expired");
        len = last - out;
    }

    b = ngx_create_temp_buf(errand->r->pool, len);
    cl = ngx_alloc_chain_link(errand->r->pool);
    body = ngx_pcalloc(errand->r->pool, sizeof(ngx_http_request_body_t));

    if (b == NULL || cl == NULL || body == NULL) {
        ngx_free(out);
        return NGX_ERROR;
    }

    b->last = ngx_cpymem(b->last, out, len);
    b->last_buf = 1;

    ngx_free(out);

    cl->buf = b;
    cl->next = NULL;
    body->bufs = cl;

    rc = phota_alias_secret(ngx_http_phota_aliases, f->row.tenant, secret);

    if (rc == PHOTA_OK) {
        rc = phota_sign(secret, phota_now() / 1000, b->pos, len, signature);
    }

    phota_cleanse(secret, sizeof(secret));

    target->method = NGX_HTTP_POST;
    ngx_str_set(&target->method_name, "POST");
    target->body = body;
    target->length = len;

    if (rc != PHOTA_OK
        || ngx_http_phota_follow_header(errand, "Content-Type",
                                        "application/json")
           != NGX_OK
        || ngx_http_phota_follow_header(errand, "User-Agent", "nginx-phota")
           != NGX_OK
        || ngx_http_phota_follow_header(errand, "X-Phota-Job-Id", name)
           != NGX_OK
        || ngx_http_phota_follow_header(errand, "X-Phota-Signature",
                                        signature)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_phota_follow_header(ngx_http_phota_errand_t *errand,
    const char *name, const char *value)
{
    size_t            len;
    ngx_pool_t       *pool;
    ngx_table_elt_t  *h;

    pool = errand->r->pool;
    len = ngx_strlen(value);

    h = ngx_list_push(&errand->r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->key.len = ngx_strlen(name);
    h->key.data = (u_char *) name;
    h->value.len = len;
    h->value.data = ngx_pnalloc(pool, len);
    h->lowcase_key = ngx_pnalloc(pool, h->key.len);

    if (h->value.data == NULL || h->lowcase_key == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(h->value.data, value, len);
    h->hash = ngx_hash_strlow(h->lowcase_key, h->key.data, h->key.len);

    return NGX_OK;
}


static void
ngx_http_phota_follow_delivered(ngx_http_phota_errand_t *errand)
{
    ngx_http_phota_follow_t  *f;

    f = errand->data;

    /* who has said that it is well has it, whatever becomes of the rest */

    f->answered = errand->trouble ? 0 : errand->status;

    if (f->answered == 0) {
        f->trouble = errand->trouble ? errand->trouble
                                     : "the receiver did not answer";

    } else if (f->answered < 200 || f->answered >= 300) {
        f->trouble = "the receiver refused it";
    }

    ngx_http_phota_follow_write(f, ngx_http_phota_follow_told);
}


static void
ngx_http_phota_follow_told(phota_job_t *row, void *data)
{
    ngx_http_phota_follow_t *f = data;

    uint64_t  now;

    now = phota_now();

    row->tries++;
    row->answered = f->answered;
    row->due = now;

    if (f->trouble == NULL) {
        row->delivery = PHOTA_DELIVERY_DONE;
        row->trouble[0] = '\0';
        return;
    }

    (void) snprintf(row->trouble, sizeof(row->trouble), "%s", f->trouble);

    if (row->tries >= NGX_HTTP_PHOTA_TRIES) {
        row->delivery = PHOTA_DELIVERY_GIVEN_UP;
        return;
    }

    /* 5 s, then twice as long each time, 12 h at the most */

    row->due = now + ngx_http_phota_follow_delay(2 * (row->tries - 1), 5000,
                                                 43200000);
}
