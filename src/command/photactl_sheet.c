
/*
 * The writer of CSV, after RFC 4180: a line of names, lines of values, CR LF.
 * What a spreadsheet would take for a formula is text here and begins with an
 * apostrophe; amounts are numbers, and may begin with a minus.
 */


#include <stdio.h>
#include <string.h>

#include "photactl_export.h"


static void photactl_sheet_cell(FILE *out, const photactl_column_t *column,
    const photactl_value_t *value);
static void photactl_sheet_text(FILE *out, const char *text);


void
photactl_sheet_head(FILE *out, const photactl_column_t *columns, unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        (void) fprintf(out, "%s%s", i ? "," : "", columns[i].key);
    }

    (void) fprintf(out, "\r\n");
}


void
photactl_sheet_row(FILE *out, const photactl_column_t *columns, unsigned n,
    const photactl_value_t *values)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (i != 0) {
            (void) fputc(',', out);
        }

        photactl_sheet_cell(out, &columns[i], &values[i]);
    }

    (void) fprintf(out, "\r\n");
}


static void
photactl_sheet_cell(FILE *out, const photactl_column_t *column,
    const photactl_value_t *value)
{
    char  buf[64];

    switch (column->kind) {

    case PHOTACTL_NUMBER:
        (void) fprintf(out, "%lld", (long long) value->number);
        break;

    case PHOTACTL_MONEY:
        phota_usd_format(buf, value->money);
        (void) fputs(buf, out);
        break;

    case PHOTACTL_TIME:
        if (value->number != 0) {
            phota_time_format(buf, value->number);
            (void) fputs(buf, out);
        }

        break;

    case PHOTACTL_BOOL:
        (void) fputs(value->number ? "true" : "false", out);
        break;

    default: /* PHOTACTL_TEXT */
        photactl_sheet_text(out, value->text);
    }
}


static void
photactl_sheet_text(FILE *out, const char *text)
{
    unsigned     guard;
    const char  *p;

    guard = (*text != '\0' && strchr("=+-@\t\r", *text) != NULL);

    /* nobody's is a dash, which no spreadsheet computes */

    if (strcmp(text, "-") == 0) {
        guard = 0;
    }

    if (strpbrk(text, ",\"\r\n") == NULL) {
        (void) fprintf(out, "%s%s", guard ? "'" : "", text);
        return;
    }

    (void) fprintf(out, "\"%s", guard ? "'" : "");

    for (p = text; *p != '\0'; p++) {
        if (*p == '"') {
            (void) fputc('"', out);
        }

        (void) fputc(*p, out);
    }

    (void) fputc('"', out);
}
