
/*
 * Encoding of tenants, tokens and sealed keys.  A record begins with its
 * version; one that isn't exactly what a version 1 record must be is damaged,
 * and says so instead of being half believed.
 */


#include <string.h>

#include "phota_order.h"
#include "phota_record.h"
#include "phota_tenant_record.h"


#define PHOTA_TENANT_VERSION  1
#define PHOTA_TOKEN_VERSION   1
#define PHOTA_KEY_VERSION     1


static int phota_record_version(phota_reader_t *r, uint64_t version,
    const char *what, phota_error_t *err);


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


size_t
phota_tenant_encode(u_char *buf, size_t size, const phota_tenant_t *tenant)
{
    phota_writer_t  w;

    phota_write_init(&w, buf, size);

    phota_write_number(&w, PHOTA_TENANT_VERSION, 1);
    phota_write_number(&w, tenant->id, 4);
    phota_write_number(&w, tenant->flags & PHOTA_TENANT_STORED, 4);
    phota_write_number(&w, tenant->created, 8);

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
    phota_writer_t  w;

    phota_write_init(&w, buf, size);

    phota_write_number(&w, PHOTA_TOKEN_VERSION, 1);
    phota_write_number(&w, token->id, 4);
    phota_write_number(&w, token->tenant, 4);
    phota_write_number(&w, token->created, 8);
    phota_write_number(&w, token->expires, 8);
    phota_write_number(&w, token->revoked, 8);
    phota_write_text(&w, token->label);

    return w.pos - w.start;
}


int
phota_token_decode(phota_token_t *token, const MDB_val *key,
    const MDB_val *data, phota_error_t *err)
{
    phota_reader_t  r;

    memset(token, 0, sizeof(phota_token_t));

    phota_read_init(&r, data->mv_data, data->mv_size);

    if (phota_record_version(&r, PHOTA_TOKEN_VERSION, "tokens", err)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    token->id = phota_read_number(&r, 4);
    token->tenant = phota_read_number(&r, 4);
    token->created = phota_read_number(&r, 8);
    token->expires = phota_read_number(&r, 8);
    token->revoked = phota_read_number(&r, 8);
    phota_read_text(&r, token->label, sizeof(token->label));

    if (phota_read_end(&r) != PHOTA_OK
        || token->id == 0
        || token->tenant == PHOTA_TENANT_DEFAULT
        || key->mv_size != PHOTA_SHA256_LEN)
    {
        phota_error(err, "books: the record of a token is damaged");
        return PHOTA_ERROR;
    }

    memcpy(token->digest, key->mv_data, PHOTA_SHA256_LEN);

    return PHOTA_OK;
}


void
phota_key_id_encode(u_char id[PHOTA_KEY_ID], uint32_t tenant)
{
    phota_put_be(id, tenant, PHOTA_KEY_ID);
}


size_t
phota_key_encode(u_char *buf, size_t size, const phota_key_record_t *record)
{
    phota_writer_t  w;

    phota_write_init(&w, buf, size);

    phota_write_number(&w, PHOTA_KEY_VERSION, 1);
    phota_write_number(&w, record->version, 4);
    phota_write_number(&w, record->created, 8);
    phota_write_number(&w, record->len, 2);
    phota_write_bytes(&w, record->sealed, record->len);

    return w.pos - w.start;
}


int
phota_key_decode(phota_key_record_t *record, const MDB_val *key,
    const MDB_val *data, phota_error_t *err)
{
    const u_char    *sealed;
    phota_reader_t   r;

    phota_read_init(&r, data->mv_data, data->mv_size);

    if (phota_record_version(&r, PHOTA_KEY_VERSION, "keys", err) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    record->version = phota_read_number(&r, 4);
    record->created = phota_read_number(&r, 8);
    record->len = phota_read_number(&r, 2);
    sealed = phota_read_bytes(&r, record->len);

    if (phota_read_end(&r) != PHOTA_OK
        || record->version == 0
        || record->len > sizeof(record->sealed)
        || key->mv_size != PHOTA_KEY_ID)
    {
        phota_error(err, "books: the record of a key is damaged");
        return PHOTA_ERROR;
    }

    memcpy(record->sealed, sealed, record->len);

    record->tenant = (uint32_t) phota_get_be(key->mv_data, PHOTA_KEY_ID);

    return PHOTA_OK;
}
