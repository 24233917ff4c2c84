
/*
 * The error log: lines of one grammar, which whoever reads logs by machine can
 * rely on, and which no client can fill the disk with.  Each worker has a fixed
 * number of buckets, by what is said and of which tenant; each gives twenty
 * lines at once and then one in three seconds.  What was left out is counted,
 * and told in a line of its own.
 */


#include "ngx_http_phota_module.h"


#define NGX_HTTP_PHOTA_SAYINGS    64        /* buckets of a worker */
#define NGX_HTTP_PHOTA_BURST      20        /* lines */
#define NGX_HTTP_PHOTA_EVERY      3000      /* ms, for one more */
#define NGX_HTTP_PHOTA_REST       10000     /* ms, until the rest is told */
#define NGX_HTTP_PHOTA_LINE       1024      /* bytes, with its end */


typedef struct {
    ngx_msec_t                  due;        /* when it is full again */
    ngx_msec_t                  since;      /* of the first left out */
    ngx_uint_t                  left;       /* lines that were left out */
    ngx_uint_t                  level;      /* the gravest of them */
    const char                 *what;       /* the first of them */
    uint32_t                    tenant;
    char                        name[PHOTA_NAME_MAX + 1];
    unsigned                    mixed:1;    /* there are others, too */
} ngx_http_phota_saying_t;


static ngx_uint_t ngx_http_phota_left_out(ngx_uint_t level,
    const ngx_http_phota_about_t *about, const char *what);
static void ngx_http_phota_write_line(ngx_uint_t level, ngx_log_t *log,
    ngx_err_t err, const ngx_http_phota_about_t *about, const char *what,
    const char *why, va_list args);
static u_char *ngx_http_phota_write_about(u_char *p, u_char *last,
    const ngx_http_phota_about_t *about);


static ngx_http_phota_saying_t
    ngx_http_phota_sayings[NGX_HTTP_PHOTA_SAYINGS];


const ngx_http_phota_about_t *
ngx_http_phota_about(ngx_http_phota_about_t *about,
    const ngx_http_phota_ctx_t *ctx)
{
    ngx_memzero(about, sizeof(ngx_http_phota_about_t));

    if (ctx == NULL) {
        return about;
    }

    if (ctx->purchase && ctx->purchase->metered) {
        (void) ngx_http_phota_about_purchase(about, ctx->purchase);
    }

    if (ctx->tenant.id) {
        about->tenant = ctx->tenant.id;
        about->name = ctx->tenant.name;
    }

    if (ctx->operation) {
        about->operation = phota_operation_name(ctx->operation->id);
    }

    if (ctx->job && ctx->job->kind != PHOTA_JOB_STORED
        && about->charge == NULL)
    {
        about->charge = &ctx->job->charge;
    }

    return about;
}


const ngx_http_phota_about_t *
ngx_http_phota_about_purchase(ngx_http_phota_about_t *about,
    const ngx_http_phota_purchase_t *p)
{
    (void) ngx_http_phota_about_id(about, p->charge.tenant,
                                   p->metered ? &p->charge.id : NULL);

    if (p->tenant[0]) {
        about->name = p->tenant;
    }

    if (p->metered) {
        about->operation = phota_operation_name(p->charge.operation);
    }

    return about;
}


const ngx_http_phota_about_t *
ngx_http_phota_about_job(ngx_http_phota_about_t *about,
    const phota_job_t *row)
{
    const phota_tenant_t  *tenant;

    (void) ngx_http_phota_about_id(about, row->tenant,
                                   (row->kind == PHOTA_JOB_STORED)
                                   ? NULL : &row->charge);

    about->operation = phota_operation_name(row->operation);

    if (phota_directory_tenant(ngx_http_phota_worker.directory, row->tenant,
                               &tenant)
        == PHOTA_OK)
    {
        about->name = tenant->name;
    }

    return about;
}


const ngx_http_phota_about_t *
ngx_http_phota_about_tenant(ngx_http_phota_about_t *about,
    const phota_tenant_t *tenant)
{
    (void) ngx_http_phota_about_id(about, tenant->id, NULL);

    about->name = tenant->name;

    return about;
}


const ngx_http_phota_about_t *
ngx_http_phota_about_id(ngx_http_phota_about_t *about, uint32_t tenant,
    const phota_id_t *charge)
{
    ngx_memzero(about, sizeof(ngx_http_phota_about_t));

    about->tenant = tenant;
    about->charge = charge;

    return about;
}


void
ngx_http_phota_say(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const ngx_http_phota_about_t *about, const char *what, const char *why,
    ...)
{
    va_list  args;

    if (log->log_level < level) {
        return;
    }

    va_start(args, why);
    ngx_http_phota_write_line(level, log, err, about, what, why, args);
    va_end(args);
}


void
ngx_http_phota_say_some(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const ngx_http_phota_about_t *about, const char *what, const char *why,
    ...)
{
    va_list  args;

    if (log->log_level < level
        || ngx_http_phota_left_out(level, about, what))
    {
        return;
    }

    va_start(args, why);
    ngx_http_phota_write_line(level, log, err, about, what, why, args);
    va_end(args);
}


/*
 * Two that meet in one bucket share it: the number of lines stays bounded by
 * that of the buckets, however many tenants there are.
 */

static ngx_uint_t
ngx_http_phota_left_out(ngx_uint_t level, const ngx_http_phota_about_t *about,
    const char *what)
{
    uint32_t                  hash, tenant;
    ngx_msec_t                now;
    ngx_http_phota_saying_t  *saying;

    tenant = about ? about->tenant : 0;

    hash = ngx_murmur_hash2((u_char *) what, ngx_strlen(what)) ^ tenant;

    saying = &ngx_http_phota_sayings[hash % NGX_HTTP_PHOTA_SAYINGS];

    now = ngx_current_msec;

    if ((ngx_msec_int_t) (saying->due - now) < 0) {
        saying->due = now;
    }

    if (saying->due - now
        <= (NGX_HTTP_PHOTA_BURST - 1) * NGX_HTTP_PHOTA_EVERY)
    {
        saying->due += NGX_HTTP_PHOTA_EVERY;
        return 0;
    }

    if (saying->left++ == 0) {
        saying->since = now;
        saying->level = level;
        saying->what = what;
        saying->tenant = tenant;
        saying->mixed = 0;
        saying->name[0] = '\0';

        if (about && about->name) {
            (void) ngx_cpystrn((u_char *) saying->name,
                               (u_char *) about->name, sizeof(saying->name));
        }

        return 1;
    }

    saying->level = ngx_min(saying->level, level);

    if (saying->tenant != tenant || ngx_strcmp(saying->what, what) != 0) {
        saying->mixed = 1;
    }

    return 1;
}


void
ngx_http_phota_say_rest(ngx_uint_t all)
{
    ngx_uint_t                i;
    ngx_http_phota_about_t    about;
    ngx_http_phota_saying_t  *saying;

    for (i = 0; i < NGX_HTTP_PHOTA_SAYINGS; i++) {
        saying = &ngx_http_phota_sayings[i];

        if (saying->left == 0
            || (!all && ngx_current_msec - saying->since
                        < NGX_HTTP_PHOTA_REST))
        {
            continue;
        }

        (void) ngx_http_phota_about_id(&about,
                                       saying->mixed ? 0 : saying->tenant,
                                       NULL);

        if (saying->name[0] && !saying->mixed) {
            about.name = saying->name;
        }

        ngx_http_phota_say(saying->level, ngx_cycle->log, 0, &about,
                           "lines were left out", "%ui like \"%s\"%s",
                           saying->left, saying->what,
                           saying->mixed ? " and others" : "");

        saying->left = 0;
    }
}


static void
ngx_http_phota_write_line(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const ngx_http_phota_about_t *about, const char *what, const char *why,
    va_list args)
{
    u_char  *p, *last, *text;
    u_char   line[NGX_HTTP_PHOTA_LINE];

    last = line + sizeof(line);

    p = ngx_slprintf(line, last, "phota: %s", what);

    if (about) {
        p = ngx_http_phota_write_about(p, last, about);
    }

    if (why) {
        p = ngx_slprintf(p, last, ": ");
        text = p;
        p = ngx_vslprintf(p, last, why, args);

        /* a client's or an upstream's words begin no line of their own */

        for ( /* void */ ; text < p; text++) {
            if (*text < ' ' || *text == 0x7f) {
                *text = ' ';
            }
        }
    }

    ngx_log_error(level, log, err, "%*s", (size_t) (p - line), line);
}


static u_char *
ngx_http_phota_write_about(u_char *p, u_char *last,
    const ngx_http_phota_about_t *about)
{
    char         id[PHOTA_ID_TEXT];
    const char  *comma;

    comma = " (";

    if (about->name) {
        p = ngx_slprintf(p, last, "%stenant \"%s\"", comma, about->name);
        comma = ", ";

    } else if (about->tenant) {
        p = ngx_slprintf(p, last, "%stenant #%uD", comma, about->tenant);
        comma = ", ";
    }

    if (about->operation) {
        p = ngx_slprintf(p, last, "%soperation %s", comma, about->operation);
        comma = ", ";
    }

    if (about->charge) {
        phota_id_format(id, about->charge);
        p = ngx_slprintf(p, last, "%scharge %s", comma, id);
        comma = ", ";
    }

    return (*comma == ',') ? ngx_slprintf(p, last, ")") : p;
}
