
/*
 * photactl ledger pictures: what a charge's answer showed, as far as it is
 * still in the cache, with links for whoever asks.  A link is good for an hour
 * and for that one picture; where it leads is nginx's to say.
 */


#include <stdlib.h>
#include <string.h>

#include "photactl_books.h"
#include "photactl_cache.h"
#include "phota_keyring.h"


#define PHOTACTL_LINK_VALID  3600       /* s */
#define PHOTACTL_LINK_BASE   512        /* bytes */


typedef struct {
    photactl_t        *ctl;
    photactl_table_t   table;
    phota_linker_t     linker;
    phota_charge_t     charge;
    uint64_t           now;             /* ms */
    uint32_t           left;            /* pictures that it may still show */
    phota_result_t     results[PHOTA_POOL_MAX];
    unsigned           nresults;
} photactl_pictures_t;


static int photactl_pictures_charge(photactl_pictures_t *list);
static int photactl_pictures_pool(photactl_pictures_t *list);
static int photactl_pictures_find(photactl_pictures_t *list,
    phota_cache_t *cache);
static int photactl_pictures_each(photactl_pictures_t *list,
    phota_cache_t *cache, MDB_txn *txn);
static int photactl_pictures_row(photactl_pictures_t *list,
    phota_cache_t *cache, MDB_txn *txn, const phota_result_t *result,
    unsigned n);
static int photactl_pictures_link(photactl_pictures_t *list,
    const phota_result_t *result, const phota_picture_t *picture, char *buf);


static const photactl_column_t  photactl_picture_columns[] = {
    { "picture", "PICTURE", PHOTACTL_NUMBER },
    { "type", "TYPE", PHOTACTL_TEXT },
    { "bytes", "BYTES", PHOTACTL_NUMBER },
    { "sha256", NULL, PHOTACTL_TEXT },
    { "link", "LINK", PHOTACTL_TEXT }
};


int
photactl_ledger_pictures(photactl_t *ctl)
{
    int                   rc;
    photactl_pictures_t  *list;

    list = calloc(1, sizeof(photactl_pictures_t));

    if (list == NULL) {
        phota_error(&ctl->err, "no memory for the pictures");
        return PHOTA_ERROR;
    }

    list->ctl = ctl;
    list->now = phota_now();

    photactl_table_init(&list->table, ctl, photactl_picture_columns,
                        photactl_columns(photactl_picture_columns));

    rc = photactl_pictures_charge(list);

    if (rc == PHOTA_OK) {
        rc = photactl_table_close(&list->table, photactl_pictures_pool(list));
    }

    phota_cleanse(&list->linker, sizeof(phota_linker_t));
    free(list);

    return rc;
}


static int
photactl_pictures_charge(photactl_pictures_t *list)
{
    int              rc;
    MDB_txn         *txn;
    photactl_t      *ctl;
    phota_id_t       id;
    phota_keyring_t  ring;

    ctl = list->ctl;

    if (photactl_parse_charge(ctl, &id) != PHOTA_OK) {
        return PHOTACTL_USAGE;
    }

    rc = phota_keyring_load(&ring, ctl->store, &ctl->master, &ctl->err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    list->linker = ring.linker;
    phota_cleanse(&ring, sizeof(ring));

    rc = phota_store_begin(ctl->store, 0, &txn, &ctl->err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_ledger_get(&ctl->ledger, txn, &id, &list->charge);

    phota_store_abort(txn);

    if (rc != PHOTA_OK) {
        phota_error(&ctl->err, (rc == PHOTA_DECLINED)
                    ? "no charge \"%.64s\"" : "\"%.64s\" can't be read",
                    ctl->args[0]);
    }

    list->left = list->charge.outputs;

    return rc;
}


/* of a charge that has bought or shown nothing there are none */

static int
photactl_pictures_pool(photactl_pictures_t *list)
{
    int            rc;
    uint64_t       size;
    phota_cache_t  cache;
    phota_store_t  store;

    if (list->left == 0) {
        return PHOTA_OK;
    }

    rc = photactl_cache_open(list->ctl, &store, &cache, PHOTA_STORE_RDONLY,
                             &size);

    if (rc == PHOTA_DECLINED) {
        return PHOTA_OK;
    }

    if (rc == PHOTA_OK) {
        rc = photactl_pictures_find(list, &cache);
        photactl_cache_close(list->ctl, &store);
    }

    return rc;
}


static int
photactl_pictures_find(photactl_pictures_t *list, phota_cache_t *cache)
{
    int          rc;
    MDB_txn     *txn;
    unsigned     damaged;
    photactl_t  *ctl;

    ctl = list->ctl;

    rc = phota_store_begin(cache->store, 0, &txn, &ctl->err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_cache_pool(cache, txn, list->charge.fingerprint, list->now, 0,
                          list->results, &list->nresults, &damaged);

    if (rc == PHOTA_OK) {
        rc = photactl_pictures_each(list, cache, txn);

    } else {
        phota_error(&ctl->err, "the cache can't be read");
    }

    phota_store_abort(txn);

    return rc;
}


/* a purchase has its own result; a hit had whatever is in the pool */

static int
photactl_pictures_each(photactl_pictures_t *list, phota_cache_t *cache,
    MDB_txn *txn)
{
    int                    rc;
    unsigned               i, n;
    const phota_result_t  *result;

    rc = PHOTA_OK;

    for (i = 0; rc == PHOTA_OK && i < list->nresults; i++) {
        result = &list->results[i];

        if (list->charge.cached != PHOTA_CACHED_HIT
            && list->charge.cached != PHOTA_CACHED_JOIN
            && memcmp(&result->id, &list->charge.id, sizeof(phota_id_t)) != 0)
        {
            continue;
        }

        for (n = 0; rc == PHOTA_OK && n < result->npictures && list->left;
             n++)
        {
            rc = photactl_pictures_row(list, cache, txn, result, n);
        }
    }

    return rc;
}


static int
photactl_pictures_row(photactl_pictures_t *list, phota_cache_t *cache,
    MDB_txn *txn, const phota_result_t *result, unsigned n)
{
    int              rc;
    char             hex[2 * PHOTA_SHA256_LEN + 1];
    char             link[PHOTACTL_LINK_BASE + PHOTA_LINK_ROOM + 1];
    phota_picture_t  picture;

    picture = result->pictures[n];

    rc = phota_cache_picture(cache, txn, result->scope, picture.digest,
                             &picture);

    if (rc == PHOTA_DECLINED) {
        return PHOTA_OK;
    }

    if (rc == PHOTA_OK) {
        rc = photactl_pictures_link(list, result, &picture, link);
    }

    if (rc != PHOTA_OK) {
        phota_error(&list->ctl->err, "a picture can't be linked");
        return rc;
    }

    phota_hex_format(hex, picture.digest, PHOTA_SHA256_LEN);

    photactl_value_t  values[] = {
        photactl_number(list->charge.outputs - list->left),
        photactl_text(phota_picture_mime(picture.type)),
        photactl_number(picture.length),
        photactl_text(hex),
        photactl_text((list->ctl->lent && list->ctl->links == NULL)
                      ? NULL : link)
    };

    list->left--;

    return photactl_table_row(&list->table, values);
}


/* without nginx: what follows the address of its phota_results */

static int
photactl_pictures_link(photactl_pictures_t *list,
    const phota_result_t *result, const phota_picture_t *picture, char *buf)
{
    int           rc;
    size_t        len;
    phota_str_t   base;
    phota_link_t  link;

    memset(&link, 0, sizeof(phota_link_t));

    link.tenant = result->tenant;
    link.scope = result->scope;
    link.expires = list->now / 1000 + PHOTACTL_LINK_VALID;
    link.type = picture->type;
    memcpy(link.digest, picture->digest, PHOTA_SHA256_LEN);

    base.data = (u_char *) (list->ctl->links ? list->ctl->links : "");
    base.len = strlen((char *) base.data);

    if (base.len > PHOTACTL_LINK_BASE) {
        return PHOTA_INVALID;
    }

    rc = phota_link_format(&list->linker, &base, &link, (u_char *) buf, &len);

    if (rc == PHOTA_OK) {
        buf[len] = '\0';
    }

    return rc;
}
