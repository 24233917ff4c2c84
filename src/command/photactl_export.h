
/*
 * Exports: entries that moved money, a line for each, in the order of the
 * chain, and the cursor from which the next one goes on.  All lines together
 * are the roll-ups, to the micro-dollar.
 */


#ifndef _PHOTACTL_EXPORT_H_INCLUDED_
#define _PHOTACTL_EXPORT_H_INCLUDED_


#include "photactl_books.h"


#define PHOTACTL_MARK         16        /* hex digits */
#define PHOTACTL_CURSOR_TEXT  48
#define PHOTACTL_SOURCE       64


/* an entry, and a mark by which it is told from that of other books */

typedef struct {
    uint64_t           sequence;        /* 0: before the first */
    char               mark[PHOTACTL_MARK + 1];

    int                fd;              /* of the next file, -1: none */
    unsigned           saved:1;
    const char        *path;
    char               next[1024];      /* what takes the place of path */
} photactl_cursor_t;


typedef struct {
    photactl_query_t   query;
    photactl_cursor_t  cursor;
    unsigned           format;
    const char        *issuer;          /* of FOCUS */
    char               source[PHOTACTL_SOURCE];     /* of CloudEvents */
    uint32_t           stranger;        /* a tenant that has no name */
    phota_entry_t      last;
} photactl_export_t;


/* SEQUENCE-MARK, as photactl_cursor_format() writes it */
int photactl_cursor_parse(photactl_t *ctl, photactl_cursor_t *cursor,
    const char *text);
void photactl_cursor_format(char buf[PHOTACTL_CURSOR_TEXT],
    const photactl_cursor_t *cursor);

/* PHOTA_ERROR when there is no digest */
int photactl_cursor_set(photactl_cursor_t *cursor,
    const phota_entry_t *entry);

/* PHOTA_INVALID when the books have no such entry */
int photactl_cursor_check(photactl_t *ctl, const photactl_cursor_t *cursor);

/*
 * Takes the file for this process and reads it, if it is there.  save replaces
 * it, whole and synced; close lets go of it, saved or not.
 */
int photactl_cursor_open(photactl_t *ctl, photactl_cursor_t *cursor,
    const char *path);
int photactl_cursor_save(photactl_t *ctl, photactl_cursor_t *cursor);
void photactl_cursor_close(photactl_cursor_t *cursor);

/* RFC 4180; texts that a spreadsheet would compute are guarded */
void photactl_sheet_head(FILE *out, const photactl_column_t *columns,
    unsigned n);
void photactl_sheet_row(FILE *out, const photactl_column_t *columns,
    unsigned n, const photactl_value_t *values);

/* a tenant's name, also that of one who came during the export */
const char *photactl_export_whose(photactl_export_t *export,
    uint32_t tenant, char buf[PHOTACTL_WHOSE]);

/* FOCUS 1.2: photactl_focus.c */
void photactl_focus_head(FILE *out);
int photactl_focus_row(photactl_export_t *export,
    const phota_entry_t *entry);


#endif /* _PHOTACTL_EXPORT_H_INCLUDED_ */
