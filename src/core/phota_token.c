
/*
 * Tokens as a table of the books.  Of a token only its digest is kept; it is
 * written once, and may be changed in what it may spend and made void for good.
 */


#include <string.h>

#include "phota_tenant_record.h"


static int phota_token_label(const char *label, phota_error_t *err);
static int phota_token_add(phota_tenants_t *t, phota_token_t *token,
    const char *tenant, const char *label, char *text, uint32_t *id,
    phota_error_t *err);
static int phota_token_written(phota_tenants_t *t, MDB_txn *txn,
    phota_token_t *token, const char *tenant, phota_error_t *err);
static int phota_token_put(phota_tenants_t *t, MDB_txn *txn,
    const phota_token_t *token, unsigned flags, phota_error_t *err);
static int phota_token_find(phota_tenants_t *t, MDB_txn *txn, uint32_t id,
    phota_token_t *token, phota_error_t *err);
static int phota_token_edited(phota_tenants_t *t, MDB_txn *txn, uint32_t id,
    phota_token_edit_pt edit, void *ctx, phota_error_t *err);
static int phota_token_revoked(phota_tenants_t *t, MDB_txn *txn, uint32_t id,
    phota_error_t *err);


static int
phota_token_label(const char *label, phota_error_t *err)
{
    size_t  i;

    for (i = 0; label[i] != '\0'; i++) {
        if (i == PHOTA_NAME_MAX || label[i] < ' ' || label[i] > '~') {
            phota_error(err, "not a label (at most %d printable ASCII "
                        "characters)", PHOTA_NAME_MAX);
            return PHOTA_INVALID;
        }
    }

    return PHOTA_OK;
}


int
phota_token_issue(phota_tenants_t *t, const char *tenant, const char *label,
    uint64_t expires, const phota_limits_t *limits, char *text, uint32_t *id,
    phota_error_t *err)
{
    phota_token_t  token;

    if (limits != NULL && phota_limits_check(limits) != PHOTA_OK) {
        phota_error(err, "token: a budget is out of bounds");
        return PHOTA_INVALID;
    }

    memset(&token, 0, sizeof(token));
    token.expires = expires;
    token.limits = (limits != NULL) ? *limits : phota_no_limits;

    return phota_token_add(t, &token, tenant, label, text, id, err);
}


int
phota_admin_issue(phota_tenants_t *t, phota_scope_e scope, const char *label,
    uint64_t expires, char *text, uint32_t *id, phota_error_t *err)
{
    phota_token_t  token;

    memset(&token, 0, sizeof(token));
    token.scope = (uint8_t) scope;
    token.expires = expires;
    token.limits = phota_no_limits;

    return phota_token_add(t, &token, NULL, label, text, id, err);
}


/* tenant NULL: an operator's */

static int
phota_token_add(phota_tenants_t *t, phota_token_t *token, const char *tenant,
    const char *label, char *text, uint32_t *id, phota_error_t *err)
{
    int       rc;
    MDB_txn  *txn;

    if (label == NULL) {
        label = "";
    }

    rc = phota_token_label(label, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    token->created = phota_now();
    memcpy(token->label, label, strlen(label) + 1);

    if ((tenant != NULL ? phota_token_create(text, token->digest)
                        : phota_admin_create(text, token->digest))
        != PHOTA_OK)
    {
        phota_error(err, "token: no random bytes");
        return PHOTA_ERROR;
    }

    rc = phota_tenant_begin(t, &txn, err);

    if (rc == PHOTA_OK) {
        rc = phota_token_written(t, txn, token, tenant, err);
        rc = phota_tenant_finish(t, txn, rc, err);
    }

    if (rc != PHOTA_OK) {
        phota_cleanse(text, PHOTA_TOKEN_LEN);
        return rc;
    }

    if (id != NULL) {
        *id = token->id;
    }

    return PHOTA_OK;
}


static int
phota_token_written(phota_tenants_t *t, MDB_txn *txn, phota_token_t *token,
    const char *tenant, phota_error_t *err)
{
    int             rc;
    phota_tenant_t  owner;

    if (tenant != NULL) {
        rc = phota_tenant_find(t, txn, tenant, &owner, err);
        if (rc != PHOTA_OK) {
            return rc;
        }

        token->tenant = owner.id;
    }

    rc = phota_tenant_number(t, txn, "token-id", &token->id, err);

    return (rc == PHOTA_OK)
           ? phota_token_put(t, txn, token, MDB_NOOVERWRITE, err) : rc;
}


static int
phota_token_put(phota_tenants_t *t, MDB_txn *txn, const phota_token_t *token,
    unsigned flags, phota_error_t *err)
{
    int      rc;
    u_char   buf[PHOTA_RECORD_MAX];
    MDB_val  key, data;

    key.mv_data = (void *) token->digest;
    key.mv_size = PHOTA_SHA256_LEN;

    data.mv_data = buf;
    data.mv_size = phota_token_encode(buf, sizeof(buf), token);

    rc = mdb_put(txn, t->tokens, &key, &data, flags);
    if (rc != 0) {
        return phota_store_fail(err, "tokens", rc);
    }

    return PHOTA_OK;
}


/* tokens lie by digest; an operator who names one by id can wait */

static int
phota_token_find(phota_tenants_t *t, MDB_txn *txn, uint32_t id,
    phota_token_t *token, phota_error_t *err)
{
    int          rc, n;
    MDB_val      key, data;
    MDB_cursor  *cursor;

    n = mdb_cursor_open(txn, t->tokens, &cursor);
    if (n != 0) {
        return phota_store_fail(err, "tokens", n);
    }

    rc = PHOTA_DECLINED;

    for ( ;; ) {
        n = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);

        if (n == MDB_NOTFOUND) {
            phota_error(err, "token %u: there is none of this number", id);
            break;
        }

        if (n != 0) {
            rc = phota_store_fail(err, "tokens", n);
            break;
        }

        if (phota_token_decode(token, &key, &data, err) != PHOTA_OK) {
            rc = PHOTA_ERROR;
            break;
        }

        if (token->id == id) {
            rc = PHOTA_OK;
            break;
        }
    }

    mdb_cursor_close(cursor);

    return rc;
}


int
phota_token_edit(phota_tenants_t *t, uint32_t id, phota_token_edit_pt edit,
    void *ctx, phota_error_t *err)
{
    int       rc;
    MDB_txn  *txn;

    rc = phota_tenant_begin(t, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_token_edited(t, txn, id, edit, ctx, err);

    return phota_tenant_finish(t, txn, rc, err);
}


static int
phota_token_edited(phota_tenants_t *t, MDB_txn *txn, uint32_t id,
    phota_token_edit_pt edit, void *ctx, phota_error_t *err)
{
    int            rc;
    phota_token_t  token, edited;

    rc = phota_token_find(t, txn, id, &token, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    edited = token;

    rc = edit(ctx, &edited, err);

    if (rc == PHOTA_OK) {
        rc = phota_token_label(edited.label, err);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    if (phota_limits_check(&edited.limits) != PHOTA_OK) {
        phota_error(err, "token %u: a budget is out of bounds", id);
        return PHOTA_INVALID;
    }

    if (token.scope != PHOTA_SCOPE_TENANT
        && memcmp(&edited.limits, &token.limits, sizeof(phota_limits_t)) != 0)
    {
        phota_error(err, "token %u: an operator's has no budgets", id);
        return PHOTA_REFUSED;
    }

    token.limits = edited.limits;
    memcpy(token.label, edited.label, sizeof(token.label));

    return phota_token_put(t, txn, &token, 0, err);
}


int
phota_token_revoke(phota_tenants_t *t, uint32_t id, phota_error_t *err)
{
    int       rc;
    MDB_txn  *txn;

    rc = phota_tenant_begin(t, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_token_revoked(t, txn, id, err);

    return phota_tenant_finish(t, txn, rc, err);
}


static int
phota_token_revoked(phota_tenants_t *t, MDB_txn *txn, uint32_t id,
    phota_error_t *err)
{
    int            rc;
    char           when[PHOTA_TIME_TEXT];
    phota_token_t  token;

    rc = phota_token_find(t, txn, id, &token, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    if (token.revoked != 0) {
        phota_time_format(when, token.revoked);
        phota_error(err, "token %u: revoked already, at %s", id, when);
        return PHOTA_REFUSED;
    }

    token.revoked = phota_now();

    return phota_token_put(t, txn, &token, 0, err);
}


int
phota_token_each(phota_tenants_t *t, phota_token_pt handler, void *ctx,
    phota_error_t *err)
{
    int             rc, n;
    MDB_val         key, data;
    MDB_txn        *txn;
    MDB_cursor     *cursor;
    phota_token_t   token;

    rc = phota_store_begin(t->store, 0, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    n = mdb_cursor_open(txn, t->tokens, &cursor);

    if (n != 0) {
        phota_store_abort(txn);
        return phota_store_fail(err, "tokens", n);
    }

    while (rc == PHOTA_OK) {
        n = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);

        if (n != 0) {
            rc = (n == MDB_NOTFOUND) ? PHOTA_OK
                                     : phota_store_fail(err, "tokens", n);
            break;
        }

        rc = phota_token_decode(&token, &key, &data, err);

        if (rc == PHOTA_OK) {
            rc = handler(ctx, &token);
        }
    }

    mdb_cursor_close(cursor);
    phota_store_abort(txn);

    return rc;
}
