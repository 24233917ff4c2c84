
/*
 * The bill: rows of a CSV as lines with an amount each, found by request id.
 * It is read whole before anything is compared; a row that can't be understood
 * ends it, because a sum without it would be wrong.
 */


#include <stdlib.h>
#include <string.h>

#include "photactl_reconcile.h"


#define PHOTACTL_BILL_CHUNK  (1 << 20)

#define PHOTACTL_BILL_MOST   ((int64_t) 1000000 * 1000000)  /* for a call */


/* which of the row's fields says what, -1: none does */

typedef struct {
    int                 id;
    int                 amount;
    int                 time;
    int                 operation;
    int                 outputs;
    int                 identity;
    int64_t             unit;           /* how many make a micro-USD */
} photactl_columns_t;


static int photactl_bill_rows(photactl_t *ctl, photactl_bill_t *bill,
    photactl_csv_t *csv);
static int photactl_bill_sums(photactl_bill_t *bill, photactl_csv_t *csv,
    phota_error_t *err);
static int photactl_bill_columns(photactl_t *ctl, photactl_csv_t *csv,
    photactl_columns_t *columns);
static int photactl_bill_column(photactl_t *ctl, photactl_csv_t *csv,
    photactl_opt_e opt, const char *name, int *column);
static int photactl_bill_unit(photactl_t *ctl, int64_t *unit);
static int photactl_bill_row(photactl_bill_t *bill, photactl_csv_t *csv,
    const photactl_columns_t *columns, phota_error_t *err);
static int photactl_bill_parse(photactl_csv_t *csv,
    const photactl_columns_t *columns, photactl_line_t *line,
    phota_error_t *err);
static int photactl_bill_id(photactl_csv_t *csv, int column,
    phota_error_t *err);
static int photactl_bill_amount(photactl_csv_t *csv,
    const photactl_columns_t *columns, int64_t *amount, phota_error_t *err);
static int photactl_bill_counts(photactl_csv_t *csv,
    const photactl_columns_t *columns, photactl_line_t *line,
    phota_error_t *err);
static int photactl_bill_count(photactl_csv_t *csv, int column,
    uint32_t *n, phota_error_t *err);
static uint8_t photactl_bill_operation(const photactl_field_t *field);
static int photactl_bill_repeat(photactl_bill_t *bill, photactl_csv_t *csv,
    const photactl_columns_t *columns, photactl_line_t *line,
    const photactl_line_t *more, phota_error_t *err);
static int photactl_bill_add(photactl_bill_t *bill,
    const photactl_line_t *line);
static int photactl_bill_index(photactl_bill_t *bill);
static char *photactl_bill_keep(photactl_bill_t *bill, const char *id);
static size_t photactl_bill_hash(const char *id);


int
photactl_bill_read(photactl_t *ctl, photactl_bill_t *bill)
{
    int             rc;
    const char     *p;
    photactl_csv_t  csv;

    p = strrchr(ctl->input_name, '/');
    bill->name = (p != NULL) ? p + 1 : ctl->input_name;

    rc = photactl_csv_attach(&csv, ctl->input, ctl->input_name, &ctl->err);

    if (rc == PHOTA_OK) {
        rc = photactl_bill_rows(ctl, bill, &csv);
    }

    photactl_csv_close(&csv);

    return rc;
}


static int
photactl_bill_rows(photactl_t *ctl, photactl_bill_t *bill,
    photactl_csv_t *csv)
{
    int                 rc;
    photactl_columns_t  columns;

    rc = photactl_bill_columns(ctl, csv, &columns);

    while (rc == PHOTA_OK) {
        rc = photactl_csv_next(csv, &ctl->err);

        if (rc == PHOTA_DECLINED) {
            return photactl_bill_sums(bill, csv, &ctl->err);
        }

        if (rc == PHOTA_OK) {
            rc = photactl_bill_row(bill, csv, &columns, &ctl->err);
        }
    }

    return rc;
}


static int
photactl_bill_sums(photactl_bill_t *bill, photactl_csv_t *csv,
    phota_error_t *err)
{
    size_t            i;
    int64_t           sum;
    photactl_line_t  *line;

    sum = 0;

    for (i = 0; i < bill->n; i++) {
        line = &bill->lines[i];
        csv->line = line->row;

        if (line->amount < 0) {
            return photactl_csv_bad(csv, -1, err, "more was paid back for "
                                    "this request than was billed");
        }

        if (line->amount > PHOTACTL_BILL_MOST
            || __builtin_add_overflow(sum, line->amount, &sum))
        {
            return photactl_csv_bad(csv, -1, err, "too large an amount for "
                                    "a call, or for a bill");
        }

        bill->untimed += (line->time == 0);
    }

    return PHOTA_OK;
}


static int
photactl_bill_columns(photactl_t *ctl, photactl_csv_t *csv,
    photactl_columns_t *columns)
{
    int     rc;
    size_t  i;

    const struct {
        photactl_opt_e   opt;
        const char      *name;
        int             *column;
    } wanted[] = {
        { PHOTACTL_OPT_ID_COLUMN, "request_id", &columns->id },
        { PHOTACTL_OPT_AMOUNT_COLUMN, "amount", &columns->amount },
        { PHOTACTL_OPT_TIME_COLUMN, "time", &columns->time },
        { PHOTACTL_OPT_OPERATION_COLUMN, "operation", &columns->operation },
        { PHOTACTL_OPT_OUTPUTS_COLUMN, "outputs", &columns->outputs },
        { PHOTACTL_OPT_IDENTITY_COLUMN, "identity_outputs",
          &columns->identity }
    };

    for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        rc = photactl_bill_column(ctl, csv, wanted[i].opt, wanted[i].name,
                                  wanted[i].column);

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return photactl_bill_unit(ctl, &columns->unit);
}


/* what isn't asked for by name may be missing, but for id and amount */

static int
photactl_bill_column(photactl_t *ctl, photactl_csv_t *csv, photactl_opt_e opt,
    const char *name, int *column)
{
    if (ctl->opts[opt] != NULL) {
        name = ctl->opts[opt];
    }

    *column = photactl_csv_column(csv, name, &ctl->err);

    if (*column == PHOTA_DECLINED && ctl->opts[opt] == NULL
        && opt != PHOTACTL_OPT_ID_COLUMN && opt != PHOTACTL_OPT_AMOUNT_COLUMN)
    {
        ctl->err.text[0] = '\0';
        *column = -1;
        return PHOTA_OK;
    }

    return *column < 0 ? PHOTA_INVALID : PHOTA_OK;
}


/* an amount is read as if in USD and divided by this */

static int
photactl_bill_unit(photactl_t *ctl, int64_t *unit)
{
    size_t       i;
    const char  *text;

    static const struct {
        const char  *name;
        int64_t      unit;
    } units[] = {
        { "usd", 1 },
        { "cents", 100 },
        { "micro", 1000000 }
    };

    text = ctl->opts[PHOTACTL_OPT_UNIT];

    if (text == NULL) {
        *unit = 1;
        return PHOTA_OK;
    }

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text, units[i].name) == 0) {
            *unit = units[i].unit;
            return PHOTA_OK;
        }
    }

    return photactl_wrong(ctl, "--unit \"%.64s\": not usd, cents or micro",
                          text);
}


static int
photactl_bill_row(photactl_bill_t *bill, photactl_csv_t *csv,
    const photactl_columns_t *columns, phota_error_t *err)
{
    photactl_line_t   line, *found;

    if (photactl_bill_parse(csv, columns, &line, err) != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    bill->rows++;

    if (line.time != 0 && (line.time < bill->from
                           || (bill->to != 0 && line.time >= bill->to)))
    {
        bill->outside++;
        return PHOTA_OK;
    }

    if (line.time != 0) {
        if (bill->first == 0 || line.time < bill->first) {
            bill->first = line.time;
        }

        if (line.time > bill->last) {
            bill->last = line.time;
        }
    }

    found = photactl_bill_find(bill, line.id);

    if (found != NULL) {
        return photactl_bill_repeat(bill, csv, columns, found, &line, err);
    }

    if (photactl_bill_add(bill, &line) != PHOTA_OK) {
        phota_error(err, "no memory for the bill");
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


static int
photactl_bill_parse(photactl_csv_t *csv, const photactl_columns_t *columns,
    photactl_line_t *line, phota_error_t *err)
{
    photactl_field_t  *field;

    memset(line, 0, sizeof(photactl_line_t));

    if (csv->line > UINT32_MAX) {
        return photactl_csv_bad(csv, -1, err, "too many lines");
    }

    if (photactl_bill_id(csv, columns->id, err) != PHOTA_OK
        || photactl_bill_amount(csv, columns, &line->amount, err) != PHOTA_OK
        || photactl_bill_counts(csv, columns, line, err) != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    line->id = csv->fields[columns->id].text;
    line->row = (uint32_t) csv->line;
    line->operation = PHOTA_OP_OTHER;

    if (columns->operation >= 0) {
        line->operation =
                     photactl_bill_operation(&csv->fields[columns->operation]);
    }

    if (columns->time < 0) {
        return PHOTA_OK;
    }

    /* a day alone doesn't say when: taken for its midnight, it would lie */

    field = &csv->fields[columns->time];

    if (field->len != 0
        && phota_time_parse(&line->time, field->text, field->len) != PHOTA_OK)
    {
        return photactl_csv_bad(csv, columns->time, err, "\"%.40s\" is no "
                                "time (as 2026-11-21T12:00:00Z)",
                                field->text);
    }

    if (field->len == sizeof("2026-11-21") - 1) {
        line->time = 0;
    }

    return PHOTA_OK;
}


static int
photactl_bill_id(photactl_csv_t *csv, int column, phota_error_t *err)
{
    size_t             i;
    photactl_field_t  *field;

    field = &csv->fields[column];

    if (field->len == 0) {
        return photactl_csv_bad(csv, column, err, "no request id, so the row "
                                "can't be matched");
    }

    /* charges keep so much of an id */

    if (field->len > PHOTA_REQUEST_ID_MAX) {
        ((char *) field->text)[PHOTA_REQUEST_ID_MAX] = '\0';
    }

    for (i = 0; field->text[i] != '\0'; i++) {
        if ((u_char) field->text[i] < ' ' || field->text[i] == 0x7f) {
            return photactl_csv_bad(csv, column, err, "a control character "
                                    "in a request id");
        }
    }

    return PHOTA_OK;
}


/* a minus is for what was paid back, which must not be more than was billed */

static int
photactl_bill_amount(photactl_csv_t *csv, const photactl_columns_t *columns,
    int64_t *amount, phota_error_t *err)
{
    size_t             len, minus;
    photactl_field_t  *field;

    field = &csv->fields[columns->amount];

    len = field->len;
    minus = (len != 0 && field->text[0] == '-');

    /* "0.1200000000" is as exact as "0.12" */

    if (memchr(field->text, '.', len) != NULL) {
        while (len > 1 && field->text[len - 1] == '0'
               && field->text[len - 2] != '.')
        {
            len--;
        }
    }

    if (phota_usd_parse(amount, field->text + minus, len - minus) != PHOTA_OK
        || *amount % columns->unit != 0)
    {
        return photactl_csv_bad(csv, columns->amount, err, "\"%.40s\" is no "
                                "amount (digits and a point, no finer than a "
                                "micro-USD)", field->text);
    }

    *amount /= columns->unit;

    if (minus) {
        *amount = -*amount;
    }

    return PHOTA_OK;
}


static int
photactl_bill_counts(photactl_csv_t *csv, const photactl_columns_t *columns,
    photactl_line_t *line, phota_error_t *err)
{
    if (columns->outputs < 0 || csv->fields[columns->outputs].len == 0) {
        return PHOTA_OK;
    }

    if (photactl_bill_count(csv, columns->outputs, &line->outputs, err)
        != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    if (columns->identity < 0 || csv->fields[columns->identity].len == 0) {
        return PHOTA_OK;
    }

    line->counted = 1;

    if (photactl_bill_count(csv, columns->identity, &line->identity, err)
        != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    if (line->identity > line->outputs) {
        return photactl_csv_bad(csv, columns->identity, err, "more of them "
                                "than outputs");
    }

    return PHOTA_OK;
}


static int
photactl_bill_count(photactl_csv_t *csv, int column, uint32_t *n,
    phota_error_t *err)
{
    size_t             i;
    uint64_t           value;
    photactl_field_t  *field;

    value = 0;
    field = &csv->fields[column];

    for (i = 0; i < field->len; i++) {
        if (field->text[i] < '0' || field->text[i] > '9'
            || value > UINT16_MAX)
        {
            return photactl_csv_bad(csv, column, err, "\"%.40s\" is no "
                                    "number of outputs", field->text);
        }

        value = value * 10 + (uint64_t) (field->text[i] - '0');
    }

    *n = (uint32_t) value;

    return PHOTA_OK;
}


static uint8_t
photactl_bill_operation(const photactl_field_t *field)
{
    const phota_operation_t  *op;

    op = phota_operation_by_name(PHOTA_PROVIDER_PHOTA,
                                 (const u_char *) field->text, field->len);

    return op != NULL ? (uint8_t) op->id : PHOTA_OP_OTHER;
}


static int
photactl_bill_repeat(photactl_bill_t *bill, photactl_csv_t *csv,
    const photactl_columns_t *columns, photactl_line_t *line,
    const photactl_line_t *more, phota_error_t *err)
{
    bill->repeats++;

    if (__builtin_add_overflow(line->amount, more->amount, &line->amount)) {
        return photactl_csv_bad(csv, columns->amount, err, "the sum of its "
                                "request is too large");
    }

    /* what is paid back takes no outputs away, and then they say nothing */

    line->counted &= more->counted && more->amount >= 0;
    line->outputs += more->outputs;
    line->identity += more->identity;

    if (more->time > line->time) {
        line->time = more->time;
    }

    return PHOTA_OK;
}


static int
photactl_bill_add(photactl_bill_t *bill, const photactl_line_t *line)
{
    char             *id;
    size_t            size;
    photactl_line_t  *lines;

    if (bill->n == bill->size) {
        size = bill->size ? 2 * bill->size : 1024;

        lines = realloc(bill->lines, size * sizeof(photactl_line_t));
        if (lines == NULL) {
            return PHOTA_ERROR;
        }

        bill->lines = lines;
        bill->size = size;

        if (photactl_bill_index(bill) != PHOTA_OK) {
            return PHOTA_ERROR;
        }
    }

    id = photactl_bill_keep(bill, line->id);

    if (id == NULL) {
        return PHOTA_ERROR;
    }

    bill->lines[bill->n] = *line;
    bill->lines[bill->n].id = id;
    bill->n++;

    size = photactl_bill_hash(id);

    while (bill->table[size & bill->mask] != 0) {
        size++;
    }

    bill->table[size & bill->mask] = (uint32_t) bill->n;

    return PHOTA_OK;
}


static int
photactl_bill_index(photactl_bill_t *bill)
{
    size_t     i, size, slot;
    uint32_t  *table;

    size = 2048;

    while (size < 2 * bill->size) {
        size *= 2;
    }

    table = calloc(size, sizeof(uint32_t));

    if (table == NULL) {
        return PHOTA_ERROR;
    }

    free(bill->table);
    bill->table = table;
    bill->mask = size - 1;

    for (i = 0; i < bill->n; i++) {
        slot = photactl_bill_hash(bill->lines[i].id);

        while (table[slot & bill->mask] != 0) {
            slot++;
        }

        table[slot & bill->mask] = (uint32_t) i + 1;
    }

    return PHOTA_OK;
}


/* in chunks that never move */

static char *
photactl_bill_keep(photactl_bill_t *bill, const char *id)
{
    char    *chunk, **chunks;
    size_t   len;

    len = strlen(id) + 1;

    if (len > bill->left) {
        chunk = malloc(PHOTACTL_BILL_CHUNK);

        chunks = realloc(bill->chunks, (bill->nchunks + 1) * sizeof(char *));

        if (chunks != NULL) {
            bill->chunks = chunks;
        }

        if (chunk == NULL || chunks == NULL) {
            free(chunk);
            return NULL;
        }

        bill->chunks[bill->nchunks++] = chunk;
        bill->left = PHOTACTL_BILL_CHUNK;
    }

    chunk = bill->chunks[bill->nchunks - 1] + PHOTACTL_BILL_CHUNK
            - bill->left;
    memcpy(chunk, id, len);
    bill->left -= len;

    return chunk;
}


photactl_line_t *
photactl_bill_find(photactl_bill_t *bill, const char *id)
{
    size_t            slot;
    photactl_line_t  *line;

    if (bill->n == 0) {
        return NULL;
    }

    slot = photactl_bill_hash(id);

    while (bill->table[slot & bill->mask] != 0) {
        line = &bill->lines[bill->table[slot & bill->mask] - 1];

        if (strcmp(line->id, id) == 0) {
            return line;
        }

        slot++;
    }

    return NULL;
}


static size_t
photactl_bill_hash(const char *id)
{
    uint64_t  hash;

    hash = 0xcbf29ce484222325;

    while (*id != '\0') {
        hash = (hash ^ (u_char) *id++) * 0x100000001b3;
    }

    return (size_t) (hash ^ hash >> 29);
}


void
photactl_bill_free(photactl_bill_t *bill)
{
    size_t  i;

    for (i = 0; i < bill->nchunks; i++) {
        free(bill->chunks[i]);
    }

    free(bill->chunks);
    free(bill->lines);
    free(bill->table);

    memset(bill, 0, sizeof(photactl_bill_t));
}
