
/*
 * CSV as RFC 4180 has it: a header, then rows of as many fields; quotes, CRLF
 * or LF, a byte order mark.  Read as a stream and in bounded memory; whatever
 * is wrong is said with the line, and no row after it is given out.
 */


#ifndef _PHOTACTL_CSV_H_INCLUDED_
#define _PHOTACTL_CSV_H_INCLUDED_


#include <stdio.h>

#include "phota_core.h"


#define PHOTACTL_CSV_FIELDS  128        /* in a row */
#define PHOTACTL_CSV_FIELD   4096       /* bytes in a field */
#define PHOTACTL_CSV_ROW     65536      /* and in all of a row's */
#define PHOTACTL_CSV_BUFFER  65536


/* text ends with a NUL that len doesn't count; there is no other in it */

typedef struct {
    const char            *text;
    size_t                 len;
} photactl_field_t;


typedef struct {
    photactl_field_t       fields[PHOTACTL_CSV_FIELDS];
    unsigned               nfields;
    uint64_t               line;        /* the row's first, from 1 */

    /* the reader's own */

    FILE                  *file;
    char                   name[128];
    char                  *header;      /* the names, a NUL after each */
    char                  *row;
    u_char                *buffer;
    size_t                 pos;
    size_t                 last;
    size_t                 used;        /* of row */
    uint64_t               at_line;
    uint64_t               at_byte;     /* in the line, from 1 */
    unsigned               columns;     /* of the header */
    unsigned               ended:1;
    unsigned               close:1;
} photactl_csv_t;


/*
 * Reads the header; "-" is stdin.  Close it whatever this returns.
 * PHOTA_ERROR when the file can't be read, PHOTA_INVALID when it is no CSV.
 */
int photactl_csv_open(photactl_csv_t *csv, const char *path,
    phota_error_t *err);
void photactl_csv_close(photactl_csv_t *csv);

/* the same with a file that is open; close doesn't close it */
int photactl_csv_attach(photactl_csv_t *csv, FILE *file, const char *name,
    phota_error_t *err);

/*
 * The index of the column of this very name.  PHOTA_DECLINED when there is
 * none, PHOTA_INVALID when there are two; err says so.
 */
int photactl_csv_column(photactl_csv_t *csv, const char *name,
    phota_error_t *err);

/*
 * The next row that isn't empty, valid until the one after.  PHOTA_DECLINED at
 * the end, PHOTA_INVALID when the text is no CSV or the number of fields isn't
 * the header's, PHOTA_ERROR when it can't be read.
 */
int photactl_csv_next(photactl_csv_t *csv, phota_error_t *err);

/*
 * PHOTA_INVALID, and err with file, line and the column's name before what is
 * said; column -1: of the whole row.
 */
int photactl_csv_bad(photactl_csv_t *csv, int column, phota_error_t *err,
    const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));


#endif /* _PHOTACTL_CSV_H_INCLUDED_ */
