
/*
 * photactl profile: whose profiles are.  What was trained through the gateway
 * is in the books anyway; what was there before is nobody's until an operator
 * says whose it is.
 */


#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "photactl_books.h"
#include "phota_order.h"


#define PHOTACTL_TAG_MAX  128           /* characters */


typedef struct {
    photactl_t       *ctl;
    MDB_txn          *txn;
    phota_profile_t   profile;          /* as they will be, but for their ids */
    char            **ids;
    size_t            n;
    size_t            size;
} photactl_adopt_t;


static int photactl_profile_row(void *ctx, const phota_profile_t *profile);
static int photactl_adopt_tag(photactl_t *ctl, char *tag);
static int photactl_adopt_words(photactl_adopt_t *adopt);
static int photactl_adopt_lines(photactl_adopt_t *adopt);
static int photactl_adopt_id(photactl_adopt_t *adopt, const char *id);
static int photactl_adopt_all(photactl_adopt_t *adopt);
static int photactl_adopt_one(photactl_adopt_t *adopt, const char *id);
static int photactl_profile_begin(photactl_t *ctl, MDB_txn **txn,
    uint32_t *tenant);
static int photactl_profile_end(photactl_t *ctl, MDB_txn *txn, int rc);


static const photactl_column_t  photactl_profile_columns[] = {
    { "profile_id", "PROFILE", PHOTACTL_TEXT },
    { "tenant", "TENANT", PHOTACTL_TEXT },
    { "tag", "TAG", PHOTACTL_TEXT },
    { "created", "CREATED", PHOTACTL_TIME },
    { "charge_id", "CHARGE", PHOTACTL_TEXT }
};


int
photactl_profile_list(photactl_t *ctl)
{
    int               rc;
    photactl_query_t  query;

    rc = photactl_query(ctl, &query);
    if (rc != PHOTA_OK) {
        return rc;
    }

    photactl_table_init(&query.table, ctl, photactl_profile_columns,
                        photactl_columns(photactl_profile_columns));

    rc = phota_profiles_each(&ctl->profiles, query.tenant,
                             photactl_profile_row, &query, &ctl->err);

    return photactl_table_close(&query.table, rc);
}


/* one that was adopted has no charge */

static int
photactl_profile_row(void *ctx, const phota_profile_t *profile)
{
    photactl_query_t  *query = ctx;

    int     rc;
    char    id[PHOTA_ID_TEXT], whose[PHOTACTL_WHOSE];
    size_t  len;
    u_char  place[4 + PHOTA_PROFILE_ID_MAX];

    static const phota_id_t  none;

    if (!photactl_query_wants(query, profile->tenant)) {
        return PHOTA_OK;
    }

    len = strlen(profile->id);

    phota_put_be(place, profile->tenant, 4);
    memcpy(place + 4, profile->id, len);

    rc = photactl_page(query->ctl, place, 4 + len);

    if (rc != PHOTA_OK) {
        return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
    }

    phota_id_format(id, &profile->charge);

    photactl_value_t  values[] = {
        photactl_text(profile->id),
        photactl_text(photactl_whose(query->ctl, profile->tenant, whose)),
        photactl_text(profile->tag),
        photactl_time(profile->created),
        photactl_text(memcmp(&profile->charge, &none, sizeof(none)) == 0
                      ? NULL : id)
    };

    return photactl_table_row(&query->table, values);
}


/*
 * All of them, or none.  They are all there before the transaction begins: a
 * pipe may be slow, and nobody else can write meanwhile.
 */

int
photactl_profile_adopt(photactl_t *ctl)
{
    int                rc;
    size_t             i;
    photactl_adopt_t   adopt;

    memset(&adopt, 0, sizeof(adopt));
    adopt.ctl = ctl;

    if (photactl_adopt_tag(ctl, adopt.profile.tag) != PHOTA_OK) {
        return PHOTACTL_USAGE;
    }

    rc = photactl_adopt_words(&adopt);

    if (rc == PHOTA_OK) {
        rc = photactl_adopt_all(&adopt);
    }

    for (i = 0; i < adopt.n; i++) {
        free(adopt.ids[i]);
    }

    free(adopt.ids);

    return rc;
}


static int
photactl_adopt_tag(photactl_t *ctl, char *tag)
{
    size_t       i, len, n;
    json_t      *json;
    const char  *text;

    text = ctl->opts[PHOTACTL_OPT_TAG];

    if (text == NULL) {
        return PHOTA_OK;
    }

    n = 0;
    len = strlen(text);

    for (i = 0; i < len; i++) {
        if ((u_char) text[i] < ' ' || text[i] == 0x7f) {
            return photactl_wrong(ctl, "--tag: has a control character");
        }

        /* what continues a character in UTF-8 begins none */

        n += (((u_char) text[i] & 0xc0) != 0x80);
    }

    if (n == 0 || n > PHOTACTL_TAG_MAX || len > PHOTA_PROFILE_TAG_MAX) {
        return photactl_wrong(ctl, "--tag: not 1 to %d characters",
                              PHOTACTL_TAG_MAX);
    }

    json = json_string(text);
    if (json == NULL) {
        return photactl_wrong(ctl, "--tag: not UTF-8");
    }

    json_decref(json);
    memcpy(tag, text, len + 1);

    return PHOTA_OK;
}


static int
photactl_adopt_words(photactl_adopt_t *adopt)
{
    int          i, rc;
    photactl_t  *ctl;

    ctl = adopt->ctl;

    for (i = 1; i < ctl->nargs; i++) {

        rc = (strcmp(ctl->args[i], "-") == 0)
             ? photactl_adopt_lines(adopt)
             : photactl_adopt_id(adopt, ctl->args[i]);

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return PHOTA_OK;
}


static int
photactl_adopt_lines(photactl_adopt_t *adopt)
{
    int      rc;
    char    *line, *id;
    size_t   size;
    ssize_t  n;

    static const char  space[] = " \t\r\n";

    line = NULL;
    size = 0;
    rc = PHOTA_OK;

    while (rc == PHOTA_OK) {
        errno = 0;
        n = getline(&line, &size, adopt->ctl->input);

        if (n == -1) {
            break;
        }

        if (memchr(line, '\0', n) != NULL) {
            phota_error(&adopt->ctl->err, "%.64s: not lines of text",
                        adopt->ctl->input_name);
            rc = PHOTA_INVALID;
            break;
        }

        while (n > 0 && strchr(space, line[n - 1]) != NULL) {
            line[--n] = '\0';
        }

        id = line + strspn(line, space);

        if (*id != '\0') {
            rc = photactl_adopt_id(adopt, id);
        }
    }

    if (rc == PHOTA_OK && ferror(adopt->ctl->input)) {
        phota_error(&adopt->ctl->err, "%.64s: %s", adopt->ctl->input_name,
                    strerror(errno));
        rc = PHOTA_ERROR;
    }

    free(line);

    return rc;
}


static int
photactl_adopt_id(photactl_adopt_t *adopt, const char *id)
{
    char    **ids;
    size_t    size;

    if (strlen(id) > PHOTA_PROFILE_ID_MAX) {
        phota_error(&adopt->ctl->err, "\"%.64s...\": a profile's id has at "
                    "most %d bytes", id, PHOTA_PROFILE_ID_MAX);
        return PHOTA_INVALID;
    }

    if (adopt->n == adopt->size) {
        size = adopt->size ? 2 * adopt->size : 64;

        ids = realloc(adopt->ids, size * sizeof(char *));
        if (ids == NULL) {
            phota_error(&adopt->ctl->err, "no memory for the ids");
            return PHOTA_ERROR;
        }

        adopt->ids = ids;
        adopt->size = size;
    }

    adopt->ids[adopt->n] = strdup(id);

    if (adopt->ids[adopt->n] == NULL) {
        phota_error(&adopt->ctl->err, "no memory for the ids");
        return PHOTA_ERROR;
    }

    adopt->n++;

    return PHOTA_OK;
}


static int
photactl_adopt_all(photactl_adopt_t *adopt)
{
    int          rc;
    size_t       i;
    photactl_t  *ctl;

    ctl = adopt->ctl;

    rc = photactl_profile_begin(ctl, &adopt->txn, &adopt->profile.tenant);
    if (rc != PHOTA_OK) {
        return rc;
    }

    adopt->profile.created = phota_now();

    for (i = 0; i < adopt->n && rc == PHOTA_OK; i++) {
        rc = photactl_adopt_one(adopt, adopt->ids[i]);
    }

    return photactl_profile_end(ctl, adopt->txn, rc);
}


/* one that is the tenant's already stays as it is, but for a new tag */

static int
photactl_adopt_one(photactl_adopt_t *adopt, const char *id)
{
    int               rc;
    size_t            len;
    photactl_t       *ctl;
    phota_profile_t   profile;

    ctl = adopt->ctl;
    len = strlen(id);

    rc = phota_profile_get(&ctl->profiles, adopt->txn, (const u_char *) id,
                           len, &profile, &ctl->err);

    if (rc != PHOTA_OK && rc != PHOTA_DECLINED) {
        return rc;
    }

    if (rc == PHOTA_DECLINED || profile.tenant != adopt->profile.tenant) {
        profile = adopt->profile;
        memcpy(profile.id, id, len + 1);

    } else if (adopt->profile.tag[0] != '\0') {
        memcpy(profile.tag, adopt->profile.tag, sizeof(profile.tag));

    } else {
        return PHOTA_OK;
    }

    return phota_profile_put(&ctl->profiles, adopt->txn, &profile,
                             &ctl->err);
}


int
photactl_profile_release(photactl_t *ctl)
{
    int          rc;
    MDB_txn     *txn;
    uint32_t     tenant;
    const char  *id;

    rc = photactl_profile_begin(ctl, &txn, &tenant);
    if (rc != PHOTA_OK) {
        return rc;
    }

    id = ctl->args[1];

    rc = phota_profile_remove(&ctl->profiles, txn, tenant,
                              (const u_char *) id, strlen(id), &ctl->err);

    if (rc == PHOTA_DECLINED) {
        phota_error(&ctl->err, "tenant \"%.64s\" has no profile \"%.128s\"",
                    ctl->args[0], id);
    }

    return photactl_profile_end(ctl, txn, rc);
}


/* one that is removed meanwhile must not be given more */

static int
photactl_profile_begin(photactl_t *ctl, MDB_txn **txn, uint32_t *tenant)
{
    int             rc;
    phota_tenant_t  found;

    rc = phota_tenant_get(&ctl->tenants, ctl->args[0], &found, &ctl->err);

    if (rc == PHOTA_OK) {
        rc = phota_store_begin(ctl->store, 1, txn, &ctl->err);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_tenant_stays(&ctl->tenants, *txn, ctl->args[0], found.id,
                            &ctl->err);

    if (rc != PHOTA_OK) {
        phota_store_abort(*txn);
        return rc;
    }

    *tenant = found.id;

    return PHOTA_OK;
}


static int
photactl_profile_end(photactl_t *ctl, MDB_txn *txn, int rc)
{
    if (rc != PHOTA_OK) {
        phota_store_abort(txn);
        return rc;
    }

    return phota_store_commit(txn, &ctl->err);
}
