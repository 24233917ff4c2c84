
/*
 * Output: rows and single things, as aligned text for people or as JSON for
 * programs.  Rows that are wider than a terminal stand one below the other.
 * One table of columns describes both, so that they can't differ.
 * Text for people never carries a control character to the terminal.
 */


#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "photactl.h"


static char *photactl_cell(const photactl_column_t *column,
    const photactl_value_t *value);
static json_t *photactl_member(const photactl_column_t *column,
    const photactl_value_t *value);
static int photactl_keep(photactl_table_t *table, char *cell);
static int photactl_fits(photactl_table_t *table, const size_t *widths,
    unsigned n);
static void photactl_stack(photactl_table_t *table, char **titles,
    unsigned n);
static void photactl_line(photactl_table_t *table, const size_t *widths,
    char **cells);


void
photactl_table_init(photactl_table_t *table, photactl_t *ctl,
    const photactl_column_t *columns, unsigned ncolumns)
{
    memset(table, 0, sizeof(photactl_table_t));

    table->ctl = ctl;
    table->columns = columns;
    table->ncolumns = ncolumns;
}


int
photactl_table_row(photactl_table_t *table, const photactl_value_t *values)
{
    unsigned  i;

    if (table->ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
        return photactl_print(table->ctl,
                              photactl_object(table->columns,
                                              table->ncolumns, values));
    }

    for (i = 0; i < table->ncolumns; i++) {
        if (table->columns[i].title == NULL) {
            continue;
        }

        if (photactl_keep(table, photactl_cell(&table->columns[i],
                                               &values[i]))
            != PHOTA_OK)
        {
            phota_error(&table->ctl->err, "no memory for the table");
            return PHOTA_ERROR;
        }
    }

    return PHOTA_OK;
}


/* takes the cell over, also when it can't be kept */

static int
photactl_keep(photactl_table_t *table, char *cell)
{
    char    **cells;
    size_t    size;

    if (cell == NULL) {
        return PHOTA_ERROR;
    }

    if (table->ncells == table->size) {
        size = table->size ? 2 * table->size : 256;

        cells = realloc(table->cells, size * sizeof(char *));
        if (cells == NULL) {
            free(cell);
            return PHOTA_ERROR;
        }

        table->cells = cells;
        table->size = size;
    }

    table->cells[table->ncells++] = cell;

    return PHOTA_OK;
}


int
photactl_table_end(photactl_table_t *table)
{
    size_t    i, len, widths[32];
    char     *titles[32];
    unsigned  n, column;

    n = 0;

    for (column = 0; column < table->ncolumns && n < 32; column++) {
        if (table->columns[column].title != NULL) {
            titles[n] = (char *) table->columns[column].title;
            widths[n] = strlen(titles[n]);
            n++;
        }
    }

    if (table->ctl->opts[PHOTACTL_OPT_JSON] == NULL) {
        for (i = 0; i < table->ncells; i++) {
            len = strlen(table->cells[i]);

            if (len > widths[i % n]) {
                widths[i % n] = len;
            }
        }

        if (photactl_fits(table, widths, n)) {
            photactl_line(table, widths, titles);

            for (i = 0; i < table->ncells; i += n) {
                photactl_line(table, widths, table->cells + i);
            }

        } else {
            photactl_stack(table, titles, n);
        }
    }

    photactl_table_free(table);

    return PHOTA_OK;
}


static int
photactl_fits(photactl_table_t *table, const size_t *widths, unsigned n)
{
    size_t    width;
    unsigned  i;

    width = 0;

    for (i = 0; i < n; i++) {
        width += widths[i] + (i ? 2 : 0);
    }

    return table->ctl->width == 0 || width <= table->ctl->width;
}


/*
 * Rows one below the other, a line for each cell: nothing is cut, since every
 * id may be wanted for the next command, and every amount is money.
 */

static void
photactl_stack(photactl_table_t *table, char **titles, unsigned n)
{
    size_t    i, len, width;
    unsigned  k;

    width = 0;

    for (k = 0; k < n; k++) {
        len = strlen(titles[k]);
        width = (len > width) ? len : width;
    }

    for (i = 0; i < table->ncells; i++) {
        k = (unsigned) (i % n);

        (void) fprintf(table->ctl->out, "%s%-*s  %s\n",
                       (k == 0 && i != 0) ? "\n" : "", (int) width, titles[k],
                       table->cells[i]);
    }
}


static void
photactl_line(photactl_table_t *table, const size_t *widths, char **cells)
{
    FILE      *out;
    unsigned   n, column, last;

    out = table->ctl->out;
    last = 0;

    for (column = 0; column < table->ncolumns; column++) {
        last += (table->columns[column].title != NULL);
    }

    n = 0;

    for (column = 0; column < table->ncolumns; column++) {

        if (table->columns[column].title == NULL) {
            continue;
        }

        if (table->columns[column].kind == PHOTACTL_NUMBER
            || table->columns[column].kind == PHOTACTL_MONEY)
        {
            (void) fprintf(out, "%*s", (int) widths[n], cells[n]);

        } else if (n + 1 < last) {
            (void) fprintf(out, "%-*s", (int) widths[n], cells[n]);

        } else {
            (void) fprintf(out, "%s", cells[n]);
        }

        n++;

        (void) fprintf(out, "%s", n < last ? "  " : "\n");
    }
}


int
photactl_table_close(photactl_table_t *table, int rc)
{
    int  shown;

    if (rc == PHOTACTL_FULL) {
        rc = PHOTA_OK;
    }

    shown = photactl_table_end(table);

    if (rc != PHOTA_OK) {
        return rc;
    }

    photactl_page_close(table->ctl);

    return shown;
}


void
photactl_table_free(photactl_table_t *table)
{
    size_t  i;

    for (i = 0; i < table->ncells; i++) {
        free(table->cells[i]);
    }

    free(table->cells);

    table->cells = NULL;
    table->ncells = 0;
    table->size = 0;
}


int
photactl_record(photactl_t *ctl, const photactl_column_t *columns,
    unsigned ncolumns, const photactl_value_t *values)
{
    int       width;
    char     *cell;
    unsigned  i;

    if (ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
        return photactl_print(ctl, photactl_object(columns, ncolumns,
                                                   values));
    }

    width = 0;

    for (i = 0; i < ncolumns; i++) {
        if ((int) strlen(columns[i].key) > width) {
            width = (int) strlen(columns[i].key);
        }
    }

    for (i = 0; i < ncolumns; i++) {
        cell = photactl_cell(&columns[i], &values[i]);

        if (cell == NULL) {
            phota_error(&ctl->err, "no memory for the output");
            return PHOTA_ERROR;
        }

        (void) fprintf(ctl->out, "%-*s  %s\n", width, columns[i].key, cell);
        free(cell);
    }

    return PHOTA_OK;
}


static char *
photactl_cell(const photactl_column_t *column, const photactl_value_t *value)
{
    char         buf[64], *cell, *p;
    const char  *text;

    text = buf;

    switch (column->kind) {

    case PHOTACTL_NUMBER:
        (void) snprintf(buf, sizeof(buf), "%lld", (long long) value->number);
        break;

    case PHOTACTL_BOOL:
        text = value->number ? "yes" : "no";
        break;

    case PHOTACTL_MONEY:
        phota_usd_format(buf, value->money);
        break;

    case PHOTACTL_TIME:
        buf[0] = '\0';

        if (value->number != 0) {
            phota_time_format(buf, value->number);
        }

        break;

    default: /* PHOTACTL_TEXT */
        text = (value->text != NULL) ? value->text : "";
    }

    cell = strdup(text[0] != '\0' ? text : "-");

    for (p = cell; p != NULL && *p != '\0'; p++) {
        if ((u_char) *p < ' ' || (u_char) *p > '~') {
            *p = '?';
        }
    }

    return cell;
}


static json_t *
photactl_member(const photactl_column_t *column,
    const photactl_value_t *value)
{
    char     buf[64], *cell;
    json_t  *json;

    switch (column->kind) {

    case PHOTACTL_NUMBER:
        return json_integer((json_int_t) value->number);

    case PHOTACTL_BOOL:
        return json_boolean(value->number);

    case PHOTACTL_MONEY:
        phota_usd_format(buf, value->money);
        return json_string(buf);

    case PHOTACTL_TIME:
        buf[0] = '\0';

        if (value->number != 0) {
            phota_time_format(buf, value->number);
        }

        return json_string(buf);

    default: /* PHOTACTL_TEXT */
        break;
    }

    if (value->text == NULL) {
        return json_null();
    }

    json = json_string(value->text);

    if (json == NULL) {

        /* bytes that aren't UTF-8: an upstream's request id may be so */

        cell = photactl_cell(column, value);
        json = (cell != NULL) ? json_string(cell) : NULL;
        free(cell);
    }

    return json;
}


json_t *
photactl_object(const photactl_column_t *columns, unsigned ncolumns,
    const photactl_value_t *values)
{
    json_t    *json;
    unsigned   i;

    json = json_object();
    if (json == NULL) {
        return NULL;
    }

    for (i = 0; i < ncolumns; i++) {
        if (json_object_set_new(json, columns[i].key,
                                photactl_member(&columns[i], &values[i]))
            != 0)
        {
            json_decref(json);
            return NULL;
        }
    }

    return json;
}


int
photactl_print(photactl_t *ctl, json_t *json)
{
    int  rc;

    if (json == NULL) {
        phota_error(&ctl->err, "no memory for the output");
        return PHOTA_ERROR;
    }

    rc = json_dumpf(json, ctl->out, JSON_COMPACT);

    json_decref(json);

    if (rc != 0 || fputc('\n', ctl->out) == EOF) {
        phota_error(&ctl->err, "the output can't be written");
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


void
photactl_conceal(char *text)
{
    char    *p;
    size_t   len;

    static const char  tail[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

    for (p = strchr(text, 'p'); p != NULL; p = strchr(p, 'p')) {

        if (strncmp(p, "phg_", 4) != 0 && strncmp(p, "pha_", 4) != 0) {
            p++;
            continue;
        }

        p += 4;
        len = strspn(p, tail);

        memmove(p, p + len, strlen(p + len) + 1);
    }
}


void
photactl_note(photactl_t *ctl, const char *fmt, ...)
{
    char     text[512];
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    ctl->host->note(ctl, text);
}
