
/*
 * What the files that write texts of jobs and profiles share: a text that is
 * being written, and a string that is being read.
 */


#ifndef _PHOTA_JOB_TEXT_H_INCLUDED_
#define _PHOTA_JOB_TEXT_H_INCLUDED_


#include "phota_core.h"


/* max 0: the memory was given, and is all there is */

typedef struct {
    u_char              *data;
    size_t               len;
    size_t               room;
    size_t               max;           /* for room */
    int                  rc;            /* PHOTA_ERROR once it didn't fit */
} phota_out_t;


/* some string, unescaped: as much of it as there is room for */

typedef struct {
    u_char              *data;
    size_t               len;           /* may be more than room */
    size_t               room;
} phota_value_t;


void phota_value_add(phota_value_t *value, const u_char *p, size_t len);

void phota_out_put(phota_out_t *out, const void *p, size_t len);
void phota_out_text(phota_out_t *out, const char *text);

/* room for len bytes more, at least */
int phota_out_grow(phota_out_t *out, size_t len);

/* with quotes, and escapes where they are needed */
void phota_out_string(phota_out_t *out, const phota_str_t *text);


#endif /* _PHOTA_JOB_TEXT_H_INCLUDED_ */
