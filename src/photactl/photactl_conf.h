
/*
 * nginx's configuration as "nginx -T" prints it: read into a tree, so that it
 * can be asked which directive is in force where.
 */


#ifndef _PHOTACTL_CONF_H_INCLUDED_
#define _PHOTACTL_CONF_H_INCLUDED_


#include <stddef.h>


#define PHOTACTL_CONF_ARGS  64


typedef struct photactl_directive_s  photactl_directive_t;


struct photactl_directive_s {
    char                  *args[PHOTACTL_CONF_ARGS];    /* the name first */
    unsigned               nargs;
    photactl_directive_t  *parent;      /* the block, NULL: of main */
    photactl_directive_t  *next;        /* in the order of the text */
    const char            *file;
    unsigned               line;
};


typedef struct {
    char                  *name;
    char                  *text;
} photactl_conf_file_t;


typedef struct {
    char                  *text;        /* what was read */
    char                 **copies;      /* cut into words */
    size_t                 ncopies;
    photactl_conf_file_t  *files;
    size_t                 nfiles;
    photactl_directive_t  *first;
    photactl_directive_t  *last;
    unsigned               depth;       /* of includes */
    char                   missing[256];    /* an included file, or "" */
} photactl_conf_t;


/* takes text over; 0, or -1 when there is no memory */
int photactl_conf_parse(photactl_conf_t *conf, char *text);
void photactl_conf_free(photactl_conf_t *conf);

/* the next of this name after a directive, NULL: from the first */
photactl_directive_t *photactl_conf_next(photactl_conf_t *conf,
    photactl_directive_t *after, const char *name);

/* of this name in the block itself, the next after one; NULL: none */
photactl_directive_t *photactl_conf_in(photactl_conf_t *conf,
    photactl_directive_t *block, photactl_directive_t *after,
    const char *name);

/*
 * What is in force in a block: its own, or that of the next block around it.
 * *level, if not NULL, is the block that has it.
 */
photactl_directive_t *photactl_conf_get(photactl_conf_t *conf,
    photactl_directive_t *block, const char *name,
    photactl_directive_t **level);

/* the block of this name around a directive */
photactl_directive_t *photactl_conf_around(photactl_directive_t *directive,
    const char *name);

/* seconds of "620s", "10m"; bytes of "32m"; -1: it is neither */
double photactl_conf_time(const char *text);
double photactl_conf_size(const char *text);


#endif /* _PHOTACTL_CONF_H_INCLUDED_ */
