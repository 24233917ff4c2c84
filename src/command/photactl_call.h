
/*
 * A command that is called by name, over the API: its parameters come from a
 * query or a JSON object, its answer is one text.  Nothing here knows HTTP, and
 * all of it may run in a thread: a call shares nothing with another.
 */


#ifndef _PHOTACTL_CALL_H_INCLUDED_
#define _PHOTACTL_CALL_H_INCLUDED_


#include "photactl.h"


#define PHOTACTL_CALL_JSON   (1024 * 1024)          /* bytes, of parameters */
#define PHOTACTL_CALL_OUT    (16 * 1024 * 1024)     /* bytes, of an answer */
#define PHOTACTL_CALL_ROWS   100                    /* of a page */
#define PHOTACTL_CALL_MOST   1000
#define PHOTACTL_CALL_SUMS   10000                  /* of usage */
#define PHOTACTL_CALL_ARGS   1024
#define PHOTACTL_CALL_FIELD  64

#define PHOTACTL_OPENAPI     "openapi.json"         /* where it lies */


/* bytes that grow as they are written, up to PHOTACTL_CALL_OUT */

typedef struct {
    char               *data;
    size_t              len;
    size_t              size;
    unsigned            full:1;         /* there was more */
} photactl_text_t;


typedef struct {
    photactl_t          ctl;            /* the first: a command has only it */
    unsigned            post:1;
    struct json_t      *params;         /* of a body */
    struct json_t      *notes;
    char               *query;          /* unescaped, words end with NUL */
    char               *args[PHOTACTL_CALL_ARGS];
    char                numbers[8][24]; /* of JSON, as text */
    unsigned            nnumbers;
    const char         *input;          /* what the command reads, or NULL */
    size_t              input_len;
    FILE               *file;           /* the same, not in memory */
    photactl_text_t     out;
    char                field[PHOTACTL_CALL_FIELD];     /* what is wrong, or
                                           "" */
} photactl_call_t;


void photactl_call_init(photactl_call_t *call);

/* also what was secret in it; not what it was lent */
void photactl_call_free(photactl_call_t *call);

/* "ledger/list"; PHOTA_DECLINED: the API has no such command */
int photactl_call_find(photactl_call_t *call, const u_char *path, size_t len);

/*
 * PHOTA_OK, or what is wrong with them (PHOTACTL_USAGE: err, field).  A query
 * is read as a form's: "+" is a space.
 */
int photactl_call_query(photactl_call_t *call, const u_char *text,
    size_t len);
int photactl_call_json(photactl_call_t *call, const char *text, size_t len);

/*
 * Runs it.  PHOTA_OK: out is the answer, JSON unless ctl.plain.  Otherwise a
 * code of core/ or PHOTACTL_USAGE, with err and perhaps a field.
 */
int photactl_call_run(photactl_call_t *call);

/* photactl_call_answer.c: for photactl_call_run(), and a host of calls */

FILE *photactl_text_open(photactl_text_t *text);
int photactl_call_answer(photactl_call_t *call, int rc);
void photactl_call_note(photactl_t *ctl, const char *text);
int photactl_call_secret(photactl_t *ctl, u_char *buf, size_t *len);

/* a parameter's name of an option, in buf; NULL: the API doesn't have it */
const char *photactl_param_name(photactl_opt_e opt,
    char buf[PHOTACTL_CALL_FIELD]);

/* the n-th word of a command's arguments, NULL: there are no more */
const char *photactl_param_arg(const photactl_command_t *cmd, unsigned n,
    size_t *len);


#endif /* _PHOTACTL_CALL_H_INCLUDED_ */
