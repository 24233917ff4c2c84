
/*
 * The reader of CSV.  A character at a time through one buffer: the states are
 * few, and what a spreadsheet of another opinion wrote is refused where it
 * begins to differ, with line and byte, not guessed at.
 */


#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "photactl_csv.h"


#define PHOTACTL_CSV_END  -1        /* of the file */


static int photactl_csv_start(photactl_csv_t *csv, phota_error_t *err);
static int photactl_csv_mark(photactl_csv_t *csv, phota_error_t *err);
static int photactl_csv_header(photactl_csv_t *csv, phota_error_t *err);
static int photactl_csv_fill(photactl_csv_t *csv, phota_error_t *err);
static int photactl_csv_peek(photactl_csv_t *csv);
static void photactl_csv_step(photactl_csv_t *csv);
static int photactl_csv_row(photactl_csv_t *csv, phota_error_t *err);
static int photactl_csv_field(photactl_csv_t *csv, phota_error_t *err);
static int photactl_csv_plain(photactl_csv_t *csv, phota_error_t *err);
static int photactl_csv_quoted(photactl_csv_t *csv, phota_error_t *err);
static int photactl_csv_keep(photactl_csv_t *csv, int ch,
    phota_error_t *err);
static int photactl_csv_line_end(photactl_csv_t *csv, phota_error_t *err);
static int photactl_csv_wrong(photactl_csv_t *csv, phota_error_t *err,
    const char *what);


int
photactl_csv_open(photactl_csv_t *csv, const char *path, phota_error_t *err)
{
    int    rc;
    FILE  *file;

    memset(csv, 0, sizeof(photactl_csv_t));

    if (strcmp(path, "-") == 0) {
        return photactl_csv_attach(csv, stdin, "stdin", err);
    }

    file = fopen(path, "re");

    if (file == NULL) {
        phota_error(err, "\"%.128s\" can't be read: %s", path,
                    strerror(errno));
        return PHOTA_ERROR;
    }

    rc = photactl_csv_attach(csv, file, path, err);

    csv->close = 1;

    return rc;
}


int
photactl_csv_attach(photactl_csv_t *csv, FILE *file, const char *name,
    phota_error_t *err)
{
    size_t  len;

    memset(csv, 0, sizeof(photactl_csv_t));

    csv->file = file;
    csv->at_line = 1;
    csv->at_byte = 1;

    /* of a long path the end tells more */

    len = strlen(name);

    if (len >= sizeof(csv->name)) {
        name += len - (sizeof(csv->name) - 1);
    }

    (void) snprintf(csv->name, sizeof(csv->name), "%s", name);

    csv->header = malloc(PHOTACTL_CSV_ROW);
    csv->row = malloc(PHOTACTL_CSV_ROW);
    csv->buffer = malloc(PHOTACTL_CSV_BUFFER);

    if (csv->header == NULL || csv->row == NULL || csv->buffer == NULL) {
        phota_error(err, "no memory to read \"%s\"", csv->name);
        return PHOTA_ERROR;
    }

    return photactl_csv_start(csv, err);
}


void
photactl_csv_close(photactl_csv_t *csv)
{
    if (csv->close) {
        (void) fclose(csv->file);
    }

    free(csv->header);
    free(csv->row);
    free(csv->buffer);

    memset(csv, 0, sizeof(photactl_csv_t));
}


static int
photactl_csv_start(photactl_csv_t *csv, phota_error_t *err)
{
    int  rc;

    rc = photactl_csv_fill(csv, err);

    if (rc == PHOTA_OK) {
        rc = photactl_csv_mark(csv, err);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_csv_header(csv, err);
    }

    return rc;
}


/* the marks that spreadsheets put before their text */

static int
photactl_csv_mark(photactl_csv_t *csv, phota_error_t *err)
{
    if (csv->last >= 3 && memcmp(csv->buffer, "\xef\xbb\xbf", 3) == 0) {
        csv->pos = 3;
        return PHOTA_OK;
    }

    if (csv->last >= 2 && (memcmp(csv->buffer, "\xff\xfe", 2) == 0
                           || memcmp(csv->buffer, "\xfe\xff", 2) == 0))
    {
        return photactl_csv_wrong(csv, err, "this is UTF-16, not UTF-8");
    }

    return PHOTA_OK;
}


/* the names keep a place of their own: rows come where they were read */

static int
photactl_csv_header(photactl_csv_t *csv, phota_error_t *err)
{
    int    rc;
    char  *row;

    rc = photactl_csv_next(csv, err);

    if (rc == PHOTA_DECLINED) {
        phota_error(err, "\"%s\" is empty: not even a header", csv->name);
        return PHOTA_INVALID;
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    csv->columns = csv->nfields;
    csv->nfields = 0;

    row = csv->header;
    csv->header = csv->row;
    csv->row = row;

    return PHOTA_OK;
}


int
photactl_csv_column(photactl_csv_t *csv, const char *name,
    phota_error_t *err)
{
    int          found;
    unsigned     i;
    const char  *p;

    p = csv->header;
    found = PHOTA_DECLINED;

    for (i = 0; i < csv->columns; i++) {

        if (strcmp(p, name) == 0) {
            if (found >= 0) {
                phota_error(err, "\"%s\": two columns \"%.64s\"", csv->name,
                            name);
                return PHOTA_INVALID;
            }

            found = (int) i;
        }

        p += strlen(p) + 1;
    }

    if (found < 0) {
        phota_error(err, "\"%s\": no column \"%.64s\" in its header",
                    csv->name, name);
    }

    return found;
}


int
photactl_csv_next(photactl_csv_t *csv, phota_error_t *err)
{
    int  rc;

    do {
        csv->used = 0;
        csv->nfields = 0;
        csv->line = csv->at_line;

        if (photactl_csv_fill(csv, err) != PHOTA_OK) {
            return PHOTA_ERROR;
        }

        if (photactl_csv_peek(csv) == PHOTACTL_CSV_END) {
            return PHOTA_DECLINED;
        }

        rc = photactl_csv_row(csv, err);

        if (rc != PHOTA_OK) {
            return rc;
        }

    } while (csv->nfields == 1 && csv->used == 1);

    if (csv->columns != 0 && csv->nfields != csv->columns) {
        return photactl_csv_bad(csv, -1, err, "%u fields, and %u in the "
                                "header", csv->nfields, csv->columns);
    }

    return PHOTA_OK;
}


int
photactl_csv_bad(photactl_csv_t *csv, int column, phota_error_t *err,
    const char *fmt, ...)
{
    char         text[160];
    int          i;
    va_list      args;
    const char  *p;

    va_start(args, fmt);
    (void) vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    if (column < 0) {
        phota_error(err, "\"%s\" line %llu: %s", csv->name,
                    (unsigned long long) csv->line, text);
        return PHOTA_INVALID;
    }

    p = csv->header;

    for (i = 0; i < column; i++) {
        p += strlen(p) + 1;
    }

    phota_error(err, "\"%s\" line %llu, column \"%.32s\": %s", csv->name,
                (unsigned long long) csv->line, p, text);

    return PHOTA_INVALID;
}


/* fills the buffer when it is used up; at the end it stays empty */

static int
photactl_csv_fill(photactl_csv_t *csv, phota_error_t *err)
{
    if (csv->pos < csv->last || csv->ended) {
        return PHOTA_OK;
    }

    csv->pos = 0;
    csv->last = fread(csv->buffer, 1, PHOTACTL_CSV_BUFFER, csv->file);

    if (csv->last == 0) {
        csv->ended = 1;

        if (ferror(csv->file)) {
            phota_error(err, "\"%s\" can't be read: %s", csv->name,
                        strerror(errno));
            return PHOTA_ERROR;
        }
    }

    return PHOTA_OK;
}


static int
photactl_csv_peek(photactl_csv_t *csv)
{
    return csv->pos < csv->last ? csv->buffer[csv->pos] : PHOTACTL_CSV_END;
}


static void
photactl_csv_step(photactl_csv_t *csv)
{
    if (csv->buffer[csv->pos++] == '\n') {
        csv->at_line++;
        csv->at_byte = 1;

    } else {
        csv->at_byte++;
    }
}


static int
photactl_csv_row(photactl_csv_t *csv, phota_error_t *err)
{
    int  rc, ch;

    for ( ;; ) {

        if (csv->nfields == PHOTACTL_CSV_FIELDS) {
            return photactl_csv_wrong(csv, err, "too many fields");
        }

        rc = photactl_csv_field(csv, err);

        if (rc != PHOTA_OK) {
            return rc;
        }

        ch = photactl_csv_peek(csv);

        if (ch != ',') {
            return photactl_csv_line_end(csv, err);
        }

        photactl_csv_step(csv);
    }
}


/* up to the comma or line end that follows */

static int
photactl_csv_field(photactl_csv_t *csv, phota_error_t *err)
{
    int                rc;
    photactl_field_t  *field;

    field = &csv->fields[csv->nfields];
    field->text = csv->row + csv->used;

    if (csv->used == PHOTACTL_CSV_ROW) {
        return photactl_csv_wrong(csv, err, "a row of more than 64 KB");
    }

    if (photactl_csv_fill(csv, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rc = (photactl_csv_peek(csv) == '"') ? photactl_csv_quoted(csv, err)
                                         : photactl_csv_plain(csv, err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    field->len = (size_t) (csv->row + csv->used - field->text);
    csv->nfields++;
    csv->row[csv->used++] = '\0';

    return PHOTA_OK;
}


static int
photactl_csv_plain(photactl_csv_t *csv, phota_error_t *err)
{
    int  ch;

    for ( ;; ) {

        if (photactl_csv_fill(csv, err) != PHOTA_OK) {
            return PHOTA_ERROR;
        }

        ch = photactl_csv_peek(csv);

        switch (ch) {

        case PHOTACTL_CSV_END:
        case ',':
        case '\r':
        case '\n':
            return PHOTA_OK;

        case '"':
            return photactl_csv_wrong(csv, err, "a quote in a field that "
                                      "doesn't begin with one");

        default:
            if (photactl_csv_keep(csv, ch, err) != PHOTA_OK) {
                return PHOTA_INVALID;
            }
        }
    }
}


/* two quotes are one; what follows the last one is a comma or a line end */

static int
photactl_csv_quoted(photactl_csv_t *csv, phota_error_t *err)
{
    int       ch;
    unsigned  quote;

    quote = 0;
    photactl_csv_step(csv);

    for ( ;; ) {

        if (photactl_csv_fill(csv, err) != PHOTA_OK) {
            return PHOTA_ERROR;
        }

        ch = photactl_csv_peek(csv);

        if (ch == '"' && !quote) {
            quote = 1;
            photactl_csv_step(csv);
            continue;
        }

        if (quote && ch != '"') {
            break;
        }

        if (ch == PHOTACTL_CSV_END) {
            return photactl_csv_bad(csv, -1, err, "a quote in this row isn't "
                                    "closed");
        }

        quote = 0;

        if (photactl_csv_keep(csv, ch, err) != PHOTA_OK) {
            return PHOTA_INVALID;
        }
    }

    if (ch != ',' && ch != '\r' && ch != '\n' && ch != PHOTACTL_CSV_END) {
        return photactl_csv_wrong(csv, err, "text behind a closing quote");
    }

    return PHOTA_OK;
}


static int
photactl_csv_keep(photactl_csv_t *csv, int ch, phota_error_t *err)
{
    size_t  len;

    if (ch == '\0') {
        return photactl_csv_wrong(csv, err, "a NUL byte: this is no text");
    }

    len = (size_t) (csv->row + csv->used - csv->fields[csv->nfields].text);

    if (len == PHOTACTL_CSV_FIELD) {
        return photactl_csv_wrong(csv, err, "a field of more than 4096 "
                                  "bytes; is a quote missing?");
    }

    /* with room for the NUL */

    if (csv->used + 2 > PHOTACTL_CSV_ROW) {
        return photactl_csv_wrong(csv, err, "a row of more than 64 KB");
    }

    csv->row[csv->used++] = (char) ch;
    photactl_csv_step(csv);

    return PHOTA_OK;
}


static int
photactl_csv_line_end(photactl_csv_t *csv, phota_error_t *err)
{
    if (photactl_csv_peek(csv) == '\r') {
        photactl_csv_step(csv);

        if (photactl_csv_fill(csv, err) != PHOTA_OK) {
            return PHOTA_ERROR;
        }

        if (photactl_csv_peek(csv) != '\n') {
            return photactl_csv_wrong(csv, err, "a CR without an LF");
        }
    }

    if (photactl_csv_peek(csv) == '\n') {
        photactl_csv_step(csv);
    }

    return PHOTA_OK;
}


static int
photactl_csv_wrong(photactl_csv_t *csv, phota_error_t *err, const char *what)
{
    phota_error(err, "\"%s\" line %llu, byte %llu: %s", csv->name,
                (unsigned long long) csv->at_line,
                (unsigned long long) csv->at_byte, what);

    return PHOTA_INVALID;
}
