
/*
 * The module's lines in the error log, all of one grammar:
 *
 *     phota: WHAT (tenant "NAME", operation OP, charge ID): WHY
 *
 * of which only WHAT is always there.  What a client can bring about again and
 * again is limited: see ngx_http_phota_say.c.
 */


#ifndef _NGX_HTTP_PHOTA_SAY_H_INCLUDED_
#define _NGX_HTTP_PHOTA_SAY_H_INCLUDED_


typedef struct {
    const char                 *name;           /* the tenant's, or NULL */
    uint32_t                    tenant;         /* 0: nobody's */
    const char                 *operation;      /* NULL: none */
    const phota_id_t           *charge;         /* NULL: none */
} ngx_http_phota_about_t;


/*
 * What a line is about, valid as long as both arguments are.  Of a job's row
 * the tenant's name is looked up, for the event loop alone; of a tenant whose
 * name isn't at hand, as in threads, the number is told.
 */

const ngx_http_phota_about_t *ngx_http_phota_about(
    ngx_http_phota_about_t *about, const ngx_http_phota_ctx_t *ctx);
const ngx_http_phota_about_t *ngx_http_phota_about_purchase(
    ngx_http_phota_about_t *about, const ngx_http_phota_purchase_t *p);
const ngx_http_phota_about_t *ngx_http_phota_about_job(
    ngx_http_phota_about_t *about, const phota_job_t *row);
const ngx_http_phota_about_t *ngx_http_phota_about_tenant(
    ngx_http_phota_about_t *about, const phota_tenant_t *tenant);
const ngx_http_phota_about_t *ngx_http_phota_about_id(
    ngx_http_phota_about_t *about, uint32_t tenant, const phota_id_t *charge);

/*
 * A line: what is a literal without ':', '(' and quotes, about NULL where it is
 * nobody's, why NULL or a format of nginx's, whose control characters become
 * blanks.  For what happens once, or once for each charge; from any thread.
 */
void ngx_http_phota_say(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const ngx_http_phota_about_t *about, const char *what, const char *why,
    ...);

/* the same, limited; by the event loop alone */
void ngx_http_phota_say_some(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const ngx_http_phota_about_t *about, const char *what, const char *why,
    ...);

/* by the worker's tick, and at its end: tells what was left out */
void ngx_http_phota_say_rest(ngx_uint_t all);


#endif /* _NGX_HTTP_PHOTA_SAY_H_INCLUDED_ */
