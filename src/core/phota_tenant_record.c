
/*
 * Encoding of tenants, tokens and sealed keys.  A record begins with its
 * version; one that isn't exactly what a record of this version must be is
 * damaged, and says so instead of being half believed.
 */


#include <string.h>

#include "phota_order.h"
#include "phota_record.h"
#include "phota_tenant_record.h"


#define PHOTA_TENANT_VERSION  2
#define PHOTA_TOKEN_VERSION   2
#define PHOTA_ADMIN_VERSION   3         /* of a token that is an operator's */
#define PHOTA_KEY_VERSION     2

#define PHOTA_LIMIT_MAX       ((int64_t) 1000000000000000000)


const phota_limits_t  phota_no_limits = { -1, -1, -1 };


static int phota_record_version(phota_reader_t *r, uint64_t version,
    const char *what, phota_error_t *err);
static void phota_limits_write(phota_writer_t *w,
    const phota_limits_t *limits);
static void phota_limits_read(phota_reader_t *r, phota_limits_t *limits);
static void phota_plan_write(phota_writer_t *w, const phota_plan_t *plan);
static void phota_plan_read(phota_reader_t *r, phota_plan_t *plan);


/* a newer program may have written it, which is no damage */

static int
phota_record_version(phota_reader_t *r, uint64_t version, const char *what,
    phota_error_t *err)
{
    uint64_t  n;

    n = phota_read_number(r, 1);

    if (n != version) {
        phota_error(err, "books: a record of %s has version %u, %u is known",
                    what, (unsigned) n, (unsigned) version);
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


int
phota_limits_check(const phota_limits_t *limits)
{
    return (limits->day < -1 || limits->day > PHOTA_LIMIT_MAX
            || limits->month < -1 || limits->month > PHOTA_LIMIT_MAX
            || limits->total < -1 || limits->total > PHOTA_LIMIT_MAX)
           ? PHOTA_INVALID : PHOTA_OK;
}


static void
phota_limits_write(phota_writer_t *w, const phota_limits_t *limits)
{
    phota_write_number(w, (uint64_t) limits->day, 8);
    phota_write_number(w, (uint64_t) limits->month, 8);
    phota_write_number(w, (uint64_t) limits->total, 8);
}


static void
phota_limits_read(phota_reader_t *r, phota_limits_t *limits)
{
    limits->day = (int64_t) phota_read_number(r, 8);
    limits->month = (int64_t) phota_read_number(r, 8);
    limits->total = (int64_t) phota_read_number(r, 8);

    if (phota_limits_check(limits) != PHOTA_OK) {
        r->rc = PHOTA_ERROR;
    }
}


/* fixed prices by the number of their operation: there will be more of them */

static void
phota_plan_write(phota_writer_t *w, const phota_plan_t *plan)
{
    unsigned  i, n;

    phota_write_number(w, (uint32_t) plan->markup, 4);
    phota_write_number(w, plan->hit, 4);
    phota_write_number(w, plan->join, 4);

    n = 0;

    for (i = 0; i < PHOTA_OP_MAX; i++) {
        n += (plan->fixed[i].base >= 0);
    }

    phota_write_number(w, n, 1);

    for (i = 0; i < PHOTA_OP_MAX; i++) {

        if (plan->fixed[i].base >= 0) {
            phota_write_number(w, i, 1);
            phota_write_number(w, (uint64_t) plan->fixed[i].base, 8);
            phota_write_number(w, (uint64_t) plan->fixed[i].identity, 8);
        }
    }
}


static void
phota_plan_read(phota_reader_t *r, phota_plan_t *plan)
{
    unsigned        n, op, next;
    phota_fixed_t  *fixed;

    phota_plan_init(plan);

    plan->markup = (int32_t) phota_read_number(r, 4);
    plan->hit = (uint32_t) phota_read_number(r, 4);
    plan->join = (uint32_t) phota_read_number(r, 4);

    next = 0;

    for (n = (unsigned) phota_read_number(r, 1); n; n--) {
        op = (unsigned) phota_read_number(r, 1);

        if (op < next || op >= PHOTA_OP_MAX) {
            r->rc = PHOTA_ERROR;
            return;
        }

        next = op + 1;
        fixed = &plan->fixed[op];

        fixed->base = (int64_t) phota_read_number(r, 8);
        fixed->identity = (int64_t) phota_read_number(r, 8);

        if (fixed->base < 0) {
            r->rc = PHOTA_ERROR;
            return;
        }
    }

    if (phota_plan_check(plan) != PHOTA_OK) {
        r->rc = PHOTA_ERROR;
    }
}


size_t
phota_tenant_encode(u_char *buf, size_t size, const phota_tenant_t *tenant)
{
    phota_writer_t  w;

    phota_write_init(&w, buf, size);

    phota_write_number(&w, PHOTA_TENANT_VERSION, 1);
    phota_write_number(&w, tenant->id, 4);
    phota_write_number(&w, tenant->flags & PHOTA_TENANT_STORED, 4);
    phota_write_number(&w, tenant->created, 8);
    phota_limits_write(&w, &tenant->limits);
    phota_plan_write(&w, &tenant->plan);
    phota_write_text(&w, tenant->zone);

    return w.pos - w.start;
}


int
phota_tenant_decode(phota_tenant_t *tenant, const MDB_val *key,
    const MDB_val *data, phota_error_t *err)
{
    phota_reader_t  r;

    memset(tenant, 0, sizeof(phota_tenant_t));

    phota_read_init(&r, data->mv_data, data->mv_size);

    if (phota_record_version(&r, PHOTA_TENANT_VERSION, "tenants", err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    tenant->id = phota_read_number(&r, 4);
    tenant->flags = phota_read_number(&r, 4);
    tenant->created = phota_read_number(&r, 8);
    phota_limits_read(&r, &tenant->limits);
    phota_plan_read(&r, &tenant->plan);
    phota_read_text(&r, tenant->zone, sizeof(tenant->zone));

    if (phota_read_end(&r) != PHOTA_OK
        || tenant->id == PHOTA_TENANT_DEFAULT
        || (tenant->flags & ~PHOTA_TENANT_STORED) != 0
        || key->mv_size == 0 || key->mv_size > PHOTA_NAME_MAX
        || memchr(key->mv_data, '\0', key->mv_size) != NULL)
    {
        phota_error(err, "books: the record of a tenant is damaged");
        return PHOTA_ERROR;
    }

    memcpy(tenant->name, key->mv_data, key->mv_size);

    return PHOTA_OK;
}


size_t
phota_token_encode(u_char *buf, size_t size, const phota_token_t *token)
{
    unsigned        admin;
    phota_writer_t  w;

    admin = (token->scope != PHOTA_SCOPE_TENANT);

    phota_write_init(&w, buf, size);

    phota_write_number(&w, admin ? PHOTA_ADMIN_VERSION : PHOTA_TOKEN_VERSION,
                       1);
    phota_write_number(&w, token->id, 4);
    phota_write_number(&w, token->tenant, 4);
    phota_write_number(&w, token->created, 8);
    phota_write_number(&w, token->expires, 8);
    phota_write_number(&w, token->revoked, 8);
    phota_limits_write(&w, &token->limits);
    phota_write_text(&w, token->label);

    if (admin) {
        phota_write_number(&w, token->scope, 1);
    }

    return w.pos - w.start;
}


int
phota_token_decode(phota_token_t *token, const MDB_val *key,
    const MDB_val *data, phota_error_t *err)
{
    unsigned        admin;
    phota_reader_t  r;

    memset(token, 0, sizeof(phota_token_t));

    phota_read_init(&r, data->mv_data, data->mv_size);

    admin = (data->mv_size != 0
             && *(u_char *) data->mv_data == PHOTA_ADMIN_VERSION);

    if (admin) {
        (void) phota_read_number(&r, 1);

    } else if (phota_record_version(&r, PHOTA_TOKEN_VERSION, "tokens", err)
               != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    token->id = phota_read_number(&r, 4);
    token->tenant = phota_read_number(&r, 4);
    token->created = phota_read_number(&r, 8);
    token->expires = phota_read_number(&r, 8);
    token->revoked = phota_read_number(&r, 8);
    phota_limits_read(&r, &token->limits);
    phota_read_text(&r, token->label, sizeof(token->label));

    if (admin) {
        token->scope = (uint8_t) phota_read_number(&r, 1);
    }

    if (phota_read_end(&r) != PHOTA_OK
        || token->id == 0
        || admin != (token->tenant == PHOTA_TENANT_DEFAULT)
        || admin != (token->scope != PHOTA_SCOPE_TENANT)
        || token->scope > PHOTA_SCOPE_WRITE
        || key->mv_size != PHOTA_SHA256_LEN)
    {
        phota_error(err, "books: the record of a token is damaged");
        return PHOTA_ERROR;
    }

    memcpy(token->digest, key->mv_data, PHOTA_SHA256_LEN);

    return PHOTA_OK;
}


void
phota_key_id_encode(u_char id[PHOTA_KEY_ID], const phota_seal_t *bound)
{
    phota_put_be(id, bound->tenant, 4);

    id[4] = bound->provider;
    id[5] = bound->what;
}


size_t
phota_key_encode(u_char *buf, size_t size, const phota_key_record_t *record)
{
    phota_writer_t  w;

    phota_write_init(&w, buf, size);

    phota_write_number(&w, PHOTA_KEY_VERSION, 1);
    phota_write_number(&w, record->bound.version, 4);
    phota_write_number(&w, record->created, 8);
    phota_write_number(&w, record->len, 2);
    phota_write_bytes(&w, record->sealed, record->len);

    return w.pos - w.start;
}


int
phota_key_decode(phota_key_record_t *record, const MDB_val *key,
    const MDB_val *data, phota_error_t *err)
{
    const u_char    *id, *sealed;
    phota_reader_t   r;

    id = key->mv_data;

    phota_read_init(&r, data->mv_data, data->mv_size);

    if (phota_record_version(&r, PHOTA_KEY_VERSION, "keys", err) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    record->bound.version = phota_read_number(&r, 4);
    record->created = phota_read_number(&r, 8);
    record->len = phota_read_number(&r, 2);
    sealed = phota_read_bytes(&r, record->len);

    if (phota_read_end(&r) != PHOTA_OK
        || record->bound.version == 0
        || record->len > sizeof(record->sealed)
        || key->mv_size != PHOTA_KEY_ID
        || id[4] >= PHOTA_PROVIDER_MAX
        || id[5] > PHOTA_SECRET_CALLBACK)
    {
        phota_error(err, "books: the record of a key is damaged");
        return PHOTA_ERROR;
    }

    memcpy(record->sealed, sealed, record->len);

    record->bound.tenant = (uint32_t) phota_get_be(id, 4);
    record->bound.provider = id[4];
    record->bound.what = id[5];

    return PHOTA_OK;
}


int
phota_zone_row(phota_zone_t *zone, const MDB_val *key, const MDB_val *data,
    phota_error_t *err)
{
    int   rc;
    char  name[PHOTA_ZONE_NAME + 1];

    rc = PHOTA_INVALID;

    if (key->mv_size != 0 && key->mv_size <= PHOTA_ZONE_NAME
        && memchr(key->mv_data, '\0', key->mv_size) == NULL)
    {
        memcpy(name, key->mv_data, key->mv_size);
        name[key->mv_size] = '\0';

        rc = phota_zone_decode(zone, name, data->mv_data, data->mv_size);
    }

    if (rc != PHOTA_OK) {
        phota_error(err, rc == PHOTA_INVALID
                         ? "books: the record of a time zone is damaged"
                         : "books: no memory for a time zone");
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}
