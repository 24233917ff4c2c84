
/*
 * Prices: rows that are appended, each under the version of the list that
 * brought it, and removed only with the tenant whose own they are; no number
 * comes again.  A charge keeps the rate it was made by, so no row added later
 * changes it.
 */


#include <stdio.h>
#include <string.h>

#include "phota_order.h"
#include "phota_price.h"
#include "phota_record.h"


#define PHOTA_PRICE_VERSION  2
#define PHOTA_PRICE_ROW      4          /* big-endian: LMDB sorts by bytes */
#define PHOTA_PRICE_RECORD   256
#define PHOTA_PRICE_USED     "price-used"
#define PHOTA_PRICE_FLAGS    (PHOTA_PRICE_ESTIMATED|PHOTA_PRICE_REFUND)
#define PHOTA_PRICE_MAX      ((int64_t) 1000000000000)  /* a million USD */


static int phota_price_write(phota_prices_t *p, MDB_txn *txn,
    const phota_price_t *prices, size_t n, uint32_t row, phota_error_t *err);
static int phota_price_check(phota_price_t *price, phota_error_t *err);
static int phota_price_bounds(const phota_price_t *price);
static int phota_price_names(const phota_price_t *price);
static const phota_operation_t *phota_price_operation(
    const phota_price_t *price);
static int phota_price_complete(phota_price_t *price,
    const phota_operation_t *op, phota_error_t *err);
static int phota_price_fill(char *text, size_t size, const phota_str_t *own);
static int phota_price_chooses(const phota_operation_t *op,
    phota_field_e kind);
static int phota_price_text(const char *text, size_t size, int required);
static int phota_price_last(phota_prices_t *p, MDB_txn *txn, uint32_t *row,
    uint32_t *version, phota_error_t *err);
static int phota_price_used(phota_prices_t *p, MDB_txn *txn, uint32_t *row,
    uint32_t *version, phota_error_t *err);
static int phota_price_use(phota_prices_t *p, MDB_txn *txn,
    phota_error_t *err);
static int phota_price_put(phota_prices_t *p, MDB_txn *txn, uint32_t row,
    const phota_price_t *price, phota_error_t *err);
static int phota_price_finish(phota_prices_t *p, MDB_txn *txn, int rc,
    phota_error_t *err);
static int phota_price_decode(phota_price_t *price, const MDB_val *data,
    phota_error_t *err);


static const phota_price_t  phota_price_shipped[] = {

    { .base = 120000, .identity = 150000,
      .provider = "phota", .operation = "remix",
      .model = "nb2", .resolution = "2K" },

    { .base = 120000, .identity = 150000,
      .provider = "phota", .operation = "enhance",
      .model = "nb2", .resolution = "2K" },

    { .base = 2900000, .identity = 2900000,
      .provider = "phota", .operation = "training", .model = "standard" },

    { .base = 1490000, .identity = 1490000,
      .provider = "phota", .operation = "training", .model = "fast" }
};


#define PHOTA_PRICE_SHIPPED                                                   \
    (sizeof(phota_price_shipped) / sizeof(phota_price_t))


int
phota_prices_open(phota_prices_t *p, phota_store_t *store,
    phota_error_t *err)
{
    p->store = store;

    return phota_store_table(store, "prices", &p->prices, err);
}


int
phota_price_ship(phota_prices_t *p, phota_error_t *err)
{
    int            rc;
    size_t         i;
    MDB_txn       *txn;
    uint32_t       row, version;
    phota_price_t  prices[PHOTA_PRICE_SHIPPED];

    memcpy(prices, phota_price_shipped, sizeof(prices));

    for (i = 0; i < PHOTA_PRICE_SHIPPED; i++) {
        prices[i].version = 1;
    }

    rc = phota_store_begin(p->store, 1, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_price_last(p, txn, &row, &version, err);

    if (rc == PHOTA_OK && row != 0) {
        phota_error(err, "there are prices already");
        rc = PHOTA_DECLINED;
    }

    if (rc == PHOTA_OK) {
        rc = phota_price_write(p, txn, prices, PHOTA_PRICE_SHIPPED, 0, err);
    }

    return phota_price_finish(p, txn, rc, err);
}


int
phota_price_add(phota_prices_t *p, phota_price_t *prices, size_t n,
    size_t *bad, phota_error_t *err)
{
    int        rc;
    size_t     i;
    MDB_txn   *txn;
    uint32_t   row, version;

    for (i = 0; i < n; i++) {
        rc = phota_price_check(&prices[i], err);

        if (rc != PHOTA_OK) {
            if (bad != NULL) {
                *bad = i;
            }

            return rc;
        }
    }

    rc = phota_store_begin(p->store, 1, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_price_last(p, txn, &row, &version, err);

    if (rc == PHOTA_OK && (n > UINT32_MAX - row || version == UINT32_MAX)) {
        phota_error(err, "prices: no number is left");
        rc = PHOTA_ERROR;
    }

    if (rc == PHOTA_OK) {
        for (i = 0; i < n; i++) {
            prices[i].version = version + 1;
        }

        rc = phota_price_write(p, txn, prices, n, row, err);
    }

    return phota_price_finish(p, txn, rc, err);
}


/* row: the last that there is */

static int
phota_price_write(phota_prices_t *p, MDB_txn *txn,
    const phota_price_t *prices, size_t n, uint32_t row, phota_error_t *err)
{
    int     rc;
    size_t  i;

    for (i = 0; i < n; i++) {
        rc = phota_price_put(p, txn, ++row, &prices[i], err);
        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return PHOTA_OK;
}


static int
phota_price_check(phota_price_t *price, phota_error_t *err)
{
    int                       rc;
    const phota_operation_t  *op;

    if (phota_price_bounds(price) != PHOTA_OK) {
        phota_error(err, "not a price: an output costs 0 to 1000000 USD");
        return PHOTA_INVALID;
    }

    /* a hold is for the highest rate that a call can reach */

    if (price->identity < price->base) {
        phota_error(err, "not a price: with a profile an output costs no "
                    "less than without");
        return PHOTA_INVALID;
    }

    if (phota_price_names(price) != PHOTA_OK) {
        phota_error(err, "not a price: a name in it is empty or not "
                    "printable");
        return PHOTA_INVALID;
    }

    /* a row that no call can match is a typing error */

    op = phota_price_operation(price);

    if (op == NULL) {
        phota_error(err, "provider \"%s\" has no operation \"%s\"",
                    price->provider, price->operation);
        return PHOTA_INVALID;
    }

    rc = phota_price_complete(price, op, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    if ((price->flags & PHOTA_PRICE_REFUND) && op->id != PHOTA_OP_TRAINING) {
        phota_error(err, "operation \"%s\" isn't given back: only a "
                    "training ends in ERROR", price->operation);
        return PHOTA_INVALID;
    }

    if (price->model[0] != '\0'
        && phota_operation_metered(op, price->model)
        && !(price->flags & PHOTA_PRICE_ESTIMATED))
    {
        phota_error(err, "model \"%s\" is metered by tokens, which no answer "
                    "tells: its price can only be an estimate",
                    price->model);
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


static int
phota_price_bounds(const phota_price_t *price)
{
    return (price->base < 0 || price->base > PHOTA_PRICE_MAX
            || price->identity < 0 || price->identity > PHOTA_PRICE_MAX
            || (price->flags & ~(uint32_t) PHOTA_PRICE_FLAGS) != 0)
           ? PHOTA_INVALID : PHOTA_OK;
}


static int
phota_price_names(const phota_price_t *price)
{
    return (phota_price_text(price->provider, sizeof(price->provider), 1)
            && phota_price_text(price->operation, sizeof(price->operation),
                                1)
            && phota_price_text(price->model, sizeof(price->model), 0)
            && phota_price_text(price->resolution,
                                sizeof(price->resolution), 0))
           ? PHOTA_OK : PHOTA_INVALID;
}


static const phota_operation_t *
phota_price_operation(const phota_price_t *price)
{
    unsigned                  i;
    const phota_operation_t  *op;

    for (i = 0; i < PHOTA_OP_MAX; i++) {
        op = &phota_operations[i];

        if (strcmp((char *) op->provider_name.data, price->provider) == 0
            && strcmp((char *) op->name.data, price->operation) == 0)
        {
            return op;
        }
    }

    return NULL;
}


/*
 * Where a request can't choose, a row without model and resolution means the
 * operation's own.  Left empty it would lose against the shipped row, which
 * names them, and a new price would do nothing.
 */

static int
phota_price_complete(phota_price_t *price, const phota_operation_t *op,
    phota_error_t *err)
{
    if (op->model.len == 0 && price->model[0] != '\0') {
        phota_error(err, "operation \"%s\" has no model", price->operation);
        return PHOTA_INVALID;
    }

    if (!phota_price_chooses(op, PHOTA_FIELD_MODEL)
        && phota_price_fill(price->model, sizeof(price->model), &op->model)
           != PHOTA_OK)
    {
        phota_error(err, "operation \"%s\" has only model \"%s\"",
                    price->operation, (char *) op->model.data);
        return PHOTA_INVALID;
    }

    if (op->resolution.len == 0 && price->resolution[0] != '\0') {
        phota_error(err, "operation \"%s\" has no resolution",
                    price->operation);
        return PHOTA_INVALID;
    }

    if (!phota_price_chooses(op, PHOTA_FIELD_RESOLUTION)
        && phota_price_fill(price->resolution, sizeof(price->resolution),
                            &op->resolution)
           != PHOTA_OK)
    {
        phota_error(err, "operation \"%s\" has only resolution \"%s\"",
                    price->operation, (char *) op->resolution.data);
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


static int
phota_price_fill(char *text, size_t size, const phota_str_t *own)
{
    if (text[0] == '\0') {
        (void) snprintf(text, size, "%s", (char *) own->data);
    }

    return strcmp(text, (char *) own->data) == 0 ? PHOTA_OK : PHOTA_INVALID;
}


static int
phota_price_chooses(const phota_operation_t *op, phota_field_e kind)
{
    unsigned  i;

    for (i = 0; i < op->nfields; i++) {
        if (op->fields[i].kind == kind) {
            return 1;
        }
    }

    return 0;
}


static int
phota_price_text(const char *text, size_t size, int required)
{
    size_t  i;

    for (i = 0; i < size && text[i] != '\0'; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return 0;
        }
    }

    return i < size && (i > 0 || !required);
}


/* number and version of the newest row, 0 when there is none */

static int
phota_price_last(phota_prices_t *p, MDB_txn *txn, uint32_t *row,
    uint32_t *version, phota_error_t *err)
{
    int             rc;
    MDB_val         key, data;
    uint32_t        last;
    MDB_cursor     *cursor;
    phota_price_t   price;

    if (phota_price_used(p, txn, row, version, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = mdb_cursor_open(txn, p->prices, &cursor);
    if (rc != 0) {
        return phota_store_fail(err, "prices", rc);
    }

    rc = mdb_cursor_get(cursor, &key, &data, MDB_LAST);

    mdb_cursor_close(cursor);

    if (rc == MDB_NOTFOUND) {
        return PHOTA_OK;
    }

    if (rc != 0) {
        return phota_store_fail(err, "prices", rc);
    }

    if (key.mv_size != PHOTA_PRICE_ROW) {
        phota_error(err, "books: the number of a price is damaged");
        return PHOTA_ERROR;
    }

    if (phota_price_decode(&price, &data, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    last = (uint32_t) phota_get_be(key.mv_data, PHOTA_PRICE_ROW);

    *row = (last > *row) ? last : *row;
    *version = (price.version > *version) ? price.version : *version;

    return PHOTA_OK;
}


/*
 * The last numbers when rows were removed, zeros where none ever was: charges
 * name the version they were made by, which must not come again.
 */

static int
phota_price_used(phota_prices_t *p, MDB_txn *txn, uint32_t *row,
    uint32_t *version, phota_error_t *err)
{
    int      rc;
    MDB_val  key, data;

    *row = 0;
    *version = 0;

    key.mv_data = PHOTA_PRICE_USED;
    key.mv_size = sizeof(PHOTA_PRICE_USED) - 1;

    rc = mdb_get(txn, p->store->meta, &key, &data);

    if (rc == MDB_NOTFOUND) {
        return PHOTA_OK;
    }

    if (rc != 0) {
        return phota_store_fail(err, "prices", rc);
    }

    if (data.mv_size != 8) {
        phota_error(err, "books: the last number of a price is damaged");
        return PHOTA_ERROR;
    }

    *row = (uint32_t) phota_get_le(data.mv_data, 4);
    *version = (uint32_t) phota_get_le((u_char *) data.mv_data + 4, 4);

    return PHOTA_OK;
}


static int
phota_price_use(phota_prices_t *p, MDB_txn *txn, phota_error_t *err)
{
    int       rc;
    u_char    buf[8];
    MDB_val   key, data;
    uint32_t  row, version;

    rc = phota_price_last(p, txn, &row, &version, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    phota_put_le(buf, row, 4);
    phota_put_le(buf + 4, version, 4);

    key.mv_data = PHOTA_PRICE_USED;
    key.mv_size = sizeof(PHOTA_PRICE_USED) - 1;
    data.mv_data = buf;
    data.mv_size = sizeof(buf);

    rc = mdb_put(txn, p->store->meta, &key, &data, 0);

    return (rc == 0) ? PHOTA_OK : phota_store_fail(err, "prices", rc);
}


int
phota_price_forget(phota_prices_t *p, MDB_txn *txn, uint32_t tenant,
    phota_error_t *err)
{
    int             rc;
    MDB_val         key, data;
    MDB_cursor     *cursor;
    phota_price_t   price;

    if (phota_price_use(p, txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = mdb_cursor_open(txn, p->prices, &cursor);
    if (rc != 0) {
        return phota_store_fail(err, "prices", rc);
    }

    for ( ;; ) {
        rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);

        if (rc != 0) {
            break;
        }

        if (phota_price_decode(&price, &data, err) != PHOTA_OK) {
            mdb_cursor_close(cursor);
            return PHOTA_ERROR;
        }

        if (price.tenant == tenant) {
            rc = mdb_cursor_del(cursor, 0);

            if (rc != 0) {
                break;
            }
        }
    }

    mdb_cursor_close(cursor);

    return (rc == MDB_NOTFOUND) ? PHOTA_OK
                                : phota_store_fail(err, "prices", rc);
}


static int
phota_price_put(phota_prices_t *p, MDB_txn *txn, uint32_t row,
    const phota_price_t *price, phota_error_t *err)
{
    int             rc;
    u_char          n[PHOTA_PRICE_ROW], buf[PHOTA_PRICE_RECORD];
    MDB_val         key, data;
    phota_writer_t  w;

    phota_put_be(n, row, sizeof(n));

    phota_write_init(&w, buf, sizeof(buf));

    phota_write_number(&w, PHOTA_PRICE_VERSION, 1);
    phota_write_number(&w, price->version, 4);
    phota_write_number(&w, price->tenant, 4);
    phota_write_number(&w, price->from, 8);
    phota_write_number(&w, price->flags, 4);
    phota_write_number(&w, (uint64_t) price->base, 8);
    phota_write_number(&w, (uint64_t) price->identity, 8);
    phota_write_text(&w, price->provider);
    phota_write_text(&w, price->operation);
    phota_write_text(&w, price->model);
    phota_write_text(&w, price->resolution);

    if (w.rc != PHOTA_OK) {
        phota_error(err, "prices: the row is too long");
        return PHOTA_ERROR;
    }

    key.mv_data = n;
    key.mv_size = sizeof(n);
    data.mv_data = buf;
    data.mv_size = w.pos - w.start;

    rc = mdb_put(txn, p->prices, &key, &data, MDB_NOOVERWRITE);
    if (rc != 0) {
        return phota_store_fail(err, "prices", rc);
    }

    return PHOTA_OK;
}


static int
phota_price_finish(phota_prices_t *p, MDB_txn *txn, int rc,
    phota_error_t *err)
{
    if (rc == PHOTA_OK) {
        rc = phota_store_touch(p->store, txn);

        if (rc != PHOTA_OK) {
            phota_error(err, "books: the generation can't be raised");
        }
    }

    if (rc != PHOTA_OK) {
        phota_store_abort(txn);
        return rc;
    }

    return phota_store_commit(txn, err);
}


static int
phota_price_decode(phota_price_t *price, const MDB_val *data,
    phota_error_t *err)
{
    phota_reader_t  r;

    memset(price, 0, sizeof(phota_price_t));

    phota_read_init(&r, data->mv_data, data->mv_size);

    if (phota_read_number(&r, 1) != PHOTA_PRICE_VERSION) {
        phota_error(err, "books: the record of a price has an unknown "
                    "version");
        return PHOTA_ERROR;
    }

    price->version = phota_read_number(&r, 4);
    price->tenant = phota_read_number(&r, 4);
    price->from = phota_read_number(&r, 8);
    price->flags = (uint32_t) phota_read_number(&r, 4);
    price->base = (int64_t) phota_read_number(&r, 8);
    price->identity = (int64_t) phota_read_number(&r, 8);
    phota_read_text(&r, price->provider, sizeof(price->provider));
    phota_read_text(&r, price->operation, sizeof(price->operation));
    phota_read_text(&r, price->model, sizeof(price->model));
    phota_read_text(&r, price->resolution, sizeof(price->resolution));

    if (phota_read_end(&r) != PHOTA_OK
        || price->version == 0
        || price->identity < price->base
        || phota_price_bounds(price) != PHOTA_OK)
    {
        phota_error(err, "books: the record of a price is damaged");
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


int
phota_price_each(phota_prices_t *p, phota_price_pt handler, void *ctx,
    phota_error_t *err)
{
    int             rc, n;
    MDB_val         key, data;
    MDB_txn        *txn;
    MDB_cursor     *cursor;
    phota_price_t   price;

    rc = phota_store_begin(p->store, 0, &txn, err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    n = mdb_cursor_open(txn, p->prices, &cursor);

    if (n != 0) {
        phota_store_abort(txn);
        return phota_store_fail(err, "prices", n);
    }

    while (rc == PHOTA_OK) {
        n = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);

        if (n != 0) {
            rc = (n == MDB_NOTFOUND) ? PHOTA_OK
                                     : phota_store_fail(err, "prices", n);
            break;
        }

        rc = phota_price_decode(&price, &data, err);

        if (rc == PHOTA_OK) {
            price.row = (uint32_t) phota_get_be(key.mv_data, 4);
            rc = handler(ctx, &price);
        }
    }

    mdb_cursor_close(cursor);
    phota_store_abort(txn);

    return rc;
}
