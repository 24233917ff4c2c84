
/*
 * What the commands that look at the books share: which part of them is asked
 * for, how people name what is in them, and why an operator changes it.
 */


#ifndef _PHOTACTL_BOOKS_H_INCLUDED_
#define _PHOTACTL_BOOKS_H_INCLUDED_


#include "photactl.h"


#define PHOTACTL_WHOSE  16
#define PHOTACTL_DAY    ((uint64_t) 86400000)   /* ms */

#define photactl_columns(c)  (sizeof(c) / sizeof(photactl_column_t))


typedef struct {
    photactl_t        *ctl;
    photactl_table_t   table;
    uint64_t           from;            /* ms, 0: open */
    uint64_t           to;
    uint64_t           now;
    uint32_t           tenant;
    unsigned           one_tenant:1;    /* only this one, 0 for nobody's */
    unsigned           state;           /* 0: all */
} photactl_query_t;


/* the filters of the command line, and the names for its answer */
int photactl_query(photactl_t *ctl, photactl_query_t *query);
int photactl_query_wants(const photactl_query_t *query, uint32_t tenant);

/* midnight in UTC; *ms is kept when it isn't given */
int photactl_parse_day(photactl_t *ctl, photactl_opt_e opt, uint64_t *ms);
int photactl_parse_charge(photactl_t *ctl, phota_id_t *id);

/* --reason, for an entry: printable, and short enough */
int photactl_parse_note(photactl_t *ctl, char note[PHOTA_NOTE_MAX + 1]);

/* a tenant's name, "-" for nobody's */
const char *photactl_whose(photactl_t *ctl, uint32_t tenant,
    char buf[PHOTACTL_WHOSE]);
const char *photactl_why(unsigned reason);
void photactl_day_format(char buf[PHOTA_TIME_TEXT], uint32_t day);


#endif /* _PHOTACTL_BOOKS_H_INCLUDED_ */
