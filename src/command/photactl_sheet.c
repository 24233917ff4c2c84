
/*
 * The writer of CSV, after RFC 4180: a line of names, lines of values, CR LF.
 * What a spreadsheet would take for a formula is text here and begins with an
 * apostrophe; amounts are numbers, and may begin with a minus.
 */


#include <stdio.h>
#include <string.h>

#include "photactl_export.h"


static void photactl_sheet_cell(const photactl_column_t *column,
    const photactl_value_t *value);
static void photactl_sheet_text(const char *text);


void
photactl_sheet_head(const photactl_column_t *columns, unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        (void) printf("%s%s", i ? "," : "", columns[i].key);
    }

    (void) printf("\r\n");
}


void
photactl_sheet_row(const photactl_column_t *columns, unsigned n,
    const photactl_value_t *values)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (i != 0) {
            (void) putchar(',');
        }

        photactl_sheet_cell(&columns[i], &values[i]);
    }

    (void) printf("\r\n");
}


static void
photactl_sheet_cell(const photactl_column_t *column,
    const photactl_value_t *value)
{
    char  buf[64];

    switch (column->kind) {

    case PHOTACTL_NUMBER:
        (void) printf("%lld", (long long) value->number);
        break;

    case PHOTACTL_MONEY:
        phota_usd_format(buf, value->money);
        (void) fputs(buf, stdout);
        break;

    case PHOTACTL_TIME:
        if (value->number != 0) {
            phota_time_format(buf, value->number);
            (void) fputs(buf, stdout);
        }

        break;

    case PHOTACTL_BOOL:
        (void) fputs(value->number ? "true" : "false", stdout);
        break;

    default: /* PHOTACTL_TEXT */
        photactl_sheet_text(value->text);
    }
}


static void
photactl_sheet_text(const char *text)
{
    unsigned     guard;
    const char  *p;

    guard = (*text != '\0' && strchr("=+-@\t\r", *text) != NULL);

    /* nobody's is a dash, which no spreadsheet computes */

    if (strcmp(text, "-") == 0) {
        guard = 0;
    }

    if (strpbrk(text, ",\"\r\n") == NULL) {
        (void) printf("%s%s", guard ? "'" : "", text);
        return;
    }

    (void) printf("\"%s", guard ? "'" : "");

    for (p = text; *p != '\0'; p++) {
        if (*p == '"') {
            (void) putchar('"');
        }

        (void) putchar(*p);
    }

    (void) putchar('"');
}
