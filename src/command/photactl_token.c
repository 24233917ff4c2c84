
/*
 * photactl token: a token is shown once, when it is issued; later only what it
 * may spend, and until when.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "photactl_plan.h"
#include "phota_order.h"


typedef struct {
    photactl_t     *ctl;
    unsigned        admin;              /* those of operators */
    phota_token_t  *tokens;
    size_t          n;
    size_t          size;
    uint32_t        tenant;             /* 0: all */
    uint32_t        id;                 /* 0: all */
    uint32_t        after;              /* a page begins behind this one */
} photactl_tokens_t;


static int photactl_token_scope(photactl_t *ctl, phota_scope_e *scope);
static const char *photactl_scope_name(unsigned scope);
static int photactl_tokens_load(photactl_t *ctl, photactl_tokens_t *tokens);
static int photactl_token_collect(void *ctx, const phota_token_t *token);
static void photactl_tokens_cut(photactl_tokens_t *t);
static int photactl_token_cmp(const void *one, const void *two);
static int photactl_token_table(photactl_t *ctl, photactl_tokens_t *tokens);
static void photactl_token_values(photactl_t *ctl, photactl_value_t *values,
    photactl_limits_text_t *limits, char buf[16],
    const phota_token_t *token);
static const char *photactl_token_state(const phota_token_t *token,
    uint64_t now);
static int photactl_token_one(photactl_t *ctl,
    const photactl_tokens_t *tokens);
static int photactl_token_edit(void *ctx, phota_token_t *token,
    phota_error_t *err);


static const photactl_column_t  photactl_issued_columns[] = {
    { "token_id", "ID", PHOTACTL_NUMBER },
    { "tenant", "TENANT", PHOTACTL_TEXT },
    { "scope", NULL, PHOTACTL_TEXT },
    { "label", "LABEL", PHOTACTL_TEXT },
    { "expires", "EXPIRES", PHOTACTL_TIME },
    { "token", "TOKEN", PHOTACTL_TEXT }
};


static const photactl_column_t  photactl_token_columns[] = {
    { "token_id", "ID", PHOTACTL_NUMBER },
    { "tenant", "TENANT", PHOTACTL_TEXT },
    { "scope", "SCOPE", PHOTACTL_TEXT },
    { "label", "LABEL", PHOTACTL_TEXT },
    { "created", "CREATED", PHOTACTL_TIME },
    { "expires", "EXPIRES", PHOTACTL_TIME },
    { "revoked", NULL, PHOTACTL_TIME },
    { "state", "STATE", PHOTACTL_TEXT },
    { "budget_day", "DAY", PHOTACTL_TEXT },
    { "budget_month", "MONTH", PHOTACTL_TEXT },
    { "budget_total", "TOTAL", PHOTACTL_TEXT }
};


/* budgets of one token are shown with what is spent of them */

#define PHOTACTL_TOKEN_LIMITS   3
#define PHOTACTL_TOKEN_COLUMNS                                                \
    (sizeof(photactl_token_columns) / sizeof(photactl_column_t))


int
photactl_token_issue(photactl_t *ctl)
{
    int             rc;
    char            token[PHOTA_TOKEN_LEN + 1];
    uint32_t        id;
    uint64_t        expires;
    const char     *label;
    phota_scope_e   scope;

    phota_limits_t  limits = { -1, -1, -1 };

    expires = 0;
    scope = PHOTA_SCOPE_TENANT;

    if (photactl_token_scope(ctl, &scope) != PHOTA_OK) {
        return PHOTACTL_USAGE;
    }

    rc = photactl_parse_expiry(ctl, PHOTACTL_OPT_EXPIRES, &expires);

    if (rc == PHOTA_OK) {
        rc = photactl_parse_limits(ctl, &limits);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    label = ctl->opts[PHOTACTL_OPT_LABEL];
    label = (label != NULL) ? label : "";

    rc = (scope == PHOTA_SCOPE_TENANT)
         ? phota_token_issue(&ctl->tenants, ctl->args[0], label, expires,
                             &limits, token, &id, &ctl->err)
         : phota_admin_issue(&ctl->tenants, scope, label, expires, token, &id,
                             &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    if (expires != 0 && expires <= phota_now()) {
        photactl_note(ctl, "token %u: has expired already (--expires lies in "
                      "the past)", (unsigned) id);
    }

    if (ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
        photactl_value_t  values[] = {
            photactl_number(id),
            photactl_text(ctl->nargs ? ctl->args[0] : NULL),
            photactl_text(photactl_scope_name(scope)),
            photactl_text(label),
            photactl_time(expires),
            photactl_text(token)
        };

        rc = photactl_record(ctl, photactl_issued_columns,
                             sizeof(values) / sizeof(values[0]), values);

    } else {
        (void) fprintf(ctl->out, "%s\n", token);
    }

    phota_cleanse(token, sizeof(token));

    if (rc != PHOTA_OK || fflush(ctl->out) != 0) {
        phota_error(&ctl->err, "token %u was issued, but can't be written "
                    "(revoke it)", (unsigned) id);
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


/* whose token: a tenant's, or an operator's by --admin and what it may do */

static int
photactl_token_scope(photactl_t *ctl, phota_scope_e *scope)
{
    const char  *text;

    text = ctl->opts[PHOTACTL_OPT_SCOPE];

    if ((ctl->nargs == 0) == (ctl->opts[PHOTACTL_OPT_ADMIN] == NULL)) {
        return photactl_wrong(ctl, "either a tenant or --admin");
    }

    if (ctl->nargs) {
        return (text == NULL)
               ? PHOTA_OK
               : photactl_wrong(ctl, "--scope: is said of --admin");
    }

    if (photactl_limits_given(ctl)) {
        return photactl_wrong(ctl, "--admin: an operator's token has no "
                              "budgets");
    }

    if (text == NULL || strcmp(text, "read") == 0) {
        *scope = PHOTA_SCOPE_READ;

    } else if (strcmp(text, "write") == 0) {
        *scope = PHOTA_SCOPE_WRITE;

    } else {
        return photactl_wrong(ctl, "--scope \"%.64s\": not read or write",
                              text);
    }

    return PHOTA_OK;
}


/* a tenant's has none: NULL */

static const char *
photactl_scope_name(unsigned scope)
{
    static const char  *names[] = { NULL, "read", "write" };

    return names[scope];
}


int
photactl_token_list(photactl_t *ctl)
{
    int                rc;
    phota_tenant_t     tenant;
    photactl_tokens_t  tokens;

    memset(&tokens, 0, sizeof(tokens));
    tokens.ctl = ctl;
    tokens.admin = (ctl->opts[PHOTACTL_OPT_ADMIN] != NULL);

    if (ctl->nargs && tokens.admin) {
        return photactl_wrong(ctl, "--admin: operators' tokens are no "
                              "tenant's");
    }

    if (ctl->nargs) {
        rc = phota_tenant_get(&ctl->tenants, ctl->args[0], &tenant,
                              &ctl->err);
        if (rc != PHOTA_OK) {
            return rc;
        }

        tokens.tenant = tenant.id;
    }

    if (ctl->page.after_len == 8) {
        tokens.after = (uint32_t) phota_get_be(ctl->page.after, 8);
    }

    rc = photactl_tokens_load(ctl, &tokens);

    if (rc == PHOTA_OK) {
        rc = photactl_token_table(ctl, &tokens);
    }

    free(tokens.tokens);

    return rc;
}


static int
photactl_tokens_load(photactl_t *ctl, photactl_tokens_t *tokens)
{
    int  rc;

    rc = photactl_names_load(ctl);

    if (rc == PHOTA_OK) {
        rc = phota_token_each(&ctl->tenants, photactl_token_collect, tokens,
                              &ctl->err);
    }

    return rc;
}


/* they lie in order of their digests, which says nothing to anyone */

static int
photactl_token_collect(void *ctx, const phota_token_t *token)
{
    photactl_tokens_t  *t = ctx;

    size_t          size;
    phota_token_t  *tokens;

    if ((t->tenant != 0 && t->tenant != token->tenant)
        || (t->id != 0 && t->id != token->id) || token->id <= t->after
        || (t->id == 0
            && t->admin != (token->scope != PHOTA_SCOPE_TENANT)))
    {
        return PHOTA_OK;
    }

    photactl_tokens_cut(t);

    if (t->n == t->size) {
        size = t->size ? 2 * t->size : 64;

        tokens = realloc(t->tokens, size * sizeof(phota_token_t));
        if (tokens == NULL) {
            phota_error(&t->ctl->err, "no memory for the tokens");
            return PHOTA_ERROR;
        }

        t->tokens = tokens;
        t->size = size;
    }

    t->tokens[t->n++] = *token;

    return PHOTA_OK;
}


/* of a page only the first ones are kept, and one behind them */

static void
photactl_tokens_cut(photactl_tokens_t *t)
{
    size_t  most;

    most = t->ctl->page.limit;

    if (most == 0 || t->n < 2 * (most + 1)) {
        return;
    }

    qsort(t->tokens, t->n, sizeof(phota_token_t), photactl_token_cmp);

    t->n = most + 1;
}


static int
photactl_token_cmp(const void *one, const void *two)
{
    const phota_token_t  *a, *b;

    a = one;
    b = two;

    return (a->id > b->id) - (a->id < b->id);
}


static int
photactl_token_table(photactl_t *ctl, photactl_tokens_t *tokens)
{
    int                     rc;
    char                    buf[16];
    size_t                  i;
    photactl_table_t        table;
    photactl_value_t        values[PHOTACTL_TOKEN_COLUMNS];
    photactl_limits_text_t  limits;

    if (tokens->n != 0) {
        qsort(tokens->tokens, tokens->n, sizeof(phota_token_t),
              photactl_token_cmp);
    }

    photactl_table_init(&table, ctl, photactl_token_columns,
                        PHOTACTL_TOKEN_COLUMNS);

    rc = PHOTA_OK;

    for (i = 0; rc == PHOTA_OK && i < tokens->n; i++) {
        rc = photactl_page_number(ctl, tokens->tokens[i].id);

        if (rc == PHOTA_OK) {
            photactl_token_values(ctl, values, &limits, buf,
                                  &tokens->tokens[i]);
            rc = photactl_table_row(&table, values);
        }
    }

    return photactl_table_close(&table, rc);
}


static void
photactl_token_values(photactl_t *ctl, photactl_value_t *values,
    photactl_limits_text_t *limits, char buf[16], const phota_token_t *token)
{
    photactl_limits_text(limits, &token->limits);

    photactl_value_t  row[] = {
        photactl_number(token->id),
        photactl_text(token->tenant ? photactl_name(ctl, token->tenant, buf)
                                    : NULL),
        photactl_text(photactl_scope_name(token->scope)),
        photactl_text(token->label),
        photactl_time(token->created),
        photactl_time(token->expires),
        photactl_time(token->revoked),
        photactl_text(photactl_token_state(token, phota_now())),
        photactl_text(limits->day),
        photactl_text(limits->month),
        photactl_text(limits->total)
    };

    memcpy(values, row, sizeof(row));
}


static const char *
photactl_token_state(const phota_token_t *token, uint64_t now)
{
    if (token->revoked != 0) {
        return "revoked";
    }

    if (token->expires != 0 && token->expires <= now) {
        return "expired";
    }

    return "active";
}


int
photactl_token_show(photactl_t *ctl)
{
    int                rc;
    photactl_tokens_t  tokens;

    memset(&tokens, 0, sizeof(tokens));
    tokens.ctl = ctl;

    rc = photactl_parse_number(ctl, ctl->args[0], &tokens.id);
    if (rc != PHOTA_OK) {
        return rc;
    }

    if (tokens.id != 0) {
        rc = photactl_tokens_load(ctl, &tokens);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_token_one(ctl, &tokens);
    }

    free(tokens.tokens);

    return rc;
}


static int
photactl_token_one(photactl_t *ctl, const photactl_tokens_t *tokens)
{
    int                     rc;
    char                    buf[16];
    phota_token_t          *token;
    phota_tenant_t          tenant;
    photactl_value_t        values[PHOTACTL_TOKEN_COLUMNS];
    photactl_limits_text_t  limits;

    if (tokens->n == 0) {
        phota_error(&ctl->err, "token %u: there is none of this number",
                    (unsigned) tokens->id);
        return PHOTA_DECLINED;
    }

    token = &tokens->tokens[0];

    photactl_token_values(ctl, values, &limits, buf, token);

    if (token->scope != PHOTA_SCOPE_TENANT) {
        return photactl_record(ctl, photactl_token_columns,
                               PHOTACTL_TOKEN_COLUMNS
                               - PHOTACTL_TOKEN_LIMITS, values);
    }

    /* its days are its tenant's */

    rc = phota_tenant_get(&ctl->tenants,
                          photactl_name(ctl, token->tenant, buf), &tenant,
                          &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    return photactl_show(ctl, photactl_token_columns,
                         PHOTACTL_TOKEN_COLUMNS - PHOTACTL_TOKEN_LIMITS,
                         values, token->id, &token->limits, &tenant);
}


int
photactl_token_set(photactl_t *ctl)
{
    int       rc;
    uint32_t  id;

    if (ctl->opts[PHOTACTL_OPT_LABEL] == NULL && !photactl_limits_given(ctl))
    {
        return photactl_wrong(ctl, "nothing to set");
    }

    rc = photactl_parse_number(ctl, ctl->args[0], &id);
    if (rc != PHOTA_OK) {
        return rc;
    }

    return phota_token_edit(&ctl->tenants, id, photactl_token_edit, ctl,
                            &ctl->err);
}


static int
photactl_token_edit(void *ctx, phota_token_t *token, phota_error_t *err)
{
    photactl_t  *ctl = ctx;

    size_t       len;
    const char  *label;

    label = ctl->opts[PHOTACTL_OPT_LABEL];

    if (label != NULL) {
        len = strlen(label);

        if (len > PHOTA_NAME_MAX) {
            phota_error(err, "--label: longer than %d characters",
                        PHOTA_NAME_MAX);
            return PHOTA_INVALID;
        }

        memcpy(token->label, label, len + 1);
    }

    return photactl_parse_limits(ctl, &token->limits);
}


int
photactl_token_revoke(photactl_t *ctl)
{
    int       rc;
    uint32_t  id;

    rc = photactl_parse_number(ctl, ctl->args[0], &id);
    if (rc != PHOTA_OK) {
        return rc;
    }

    return phota_token_revoke(&ctl->tenants, id, &ctl->err);
}
