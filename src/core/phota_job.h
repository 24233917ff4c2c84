
/*
 * What an upstream says of a job, in whatever way: the handle of a submit, the
 * answer to a poll, the body of a callback.  Little of it is documented, so all
 * readings that are accepted stand in one file, phota_job.c, as tables: the
 * names of members, the words of states, where a result may lie.  And a text of
 * the upstream's as the tenant is to see it: word for word, but for ids and
 * links.
 */


#ifndef _PHOTA_JOB_H_INCLUDED_
#define _PHOTA_JOB_H_INCLUDED_


#include "phota_answer.h"
#include "phota_picture.h"


#define PHOTA_REPORT_MAX  ((size_t) 64 << 20)   /* bytes that are read */


typedef enum {
    PHOTA_REPORT_NOTHING = 0,   /* it doesn't tell: ask again later */
    PHOTA_REPORT_PENDING,
    PHOTA_REPORT_DONE,          /* with outputs in delivery */
    PHOTA_REPORT_FAILED,        /* nothing was made, nothing is charged */
    PHOTA_REPORT_LOST           /* gone, expired, done without a picture or
                                   with results that lie side by side: what was
                                   charged isn't known */
} phota_report_e;


/* all strings unescaped, in memory of the report */

typedef struct {
    phota_report_e      state;
    phota_str_t         id;             /* the upstream's job id, len 0 none */
    phota_str_t         poll_url;
    phota_str_t         status;         /* its own word */
    phota_delivery_t    delivery;       /* of the result, when DONE */
    size_t              result_at;      /* in the text: the object that has the
                                           pictures, from '{' ... */
    size_t              result_len;     /* ... to '}', 0: there is none */
    phota_str_t         links[PHOTA_PICTURES_MAX];  /* of its pictures */
    unsigned            nlinks;
    void               *memory;
} phota_report_t;


/*
 * status: of the HTTP answer; that of a callback counts as 200.  PHOTA_OK, and
 * the report is to be freed; PHOTA_ERROR: no memory.  What isn't a JSON object,
 * or is longer than PHOTA_REPORT_MAX, tells nothing but by its HTTP status.
 */
int phota_report_read(unsigned status, const u_char *text, size_t len,
    phota_report_t *report);

/* the same of a profile's status: READY, ERROR and INACTIVE end a training */
int phota_report_training(unsigned status, const u_char *text, size_t len,
    phota_report_t *report);

void phota_report_free(phota_report_t *report);


/*
 * A string value to be told otherwise: wherever the whole of it is from, or,
 * with within, wherever from stands in it as the last segment of a URL's path.
 * to is unescaped; data NULL: null, without quotes.
 */

typedef struct {
    phota_str_t         from;
    phota_str_t         to;
    unsigned            within:1;
} phota_swap_t;


/*
 * A JSON text with some of its string values replaced, all else as it stands;
 * names of members never are.  *out is to be freed.  PHOTA_INVALID when it is
 * no JSON: then nothing of it may be passed on as it is.
 */
int phota_swap(const u_char *text, size_t len, const phota_swap_t *swaps,
    unsigned n, u_char **out, size_t *out_len);


/*
 * The list of profiles without those that keep() declines, tags as it says:
 * elements of "profiles" that are strings, or objects with "profile_id" or
 * "id".  An element without an id goes.  own: the element's tag, unescaped,
 * data NULL: there is none, or it is too long.  keep: PHOTA_OK, and tag->data
 * not NULL takes the place of the element's "tag"; PHOTA_DECLINED; PHOTA_ERROR
 * ends it.  *out is to be freed.  PHOTA_INVALID when it isn't such a list.
 */
typedef int (*phota_keep_pt)(void *ctx, const phota_str_t *id,
    const phota_str_t *own, phota_str_t *tag);

int phota_profiles_filter(const u_char *text, size_t len, phota_keep_pt keep,
    void *ctx, u_char **out, size_t *out_len);


/*
 * What the gateway says itself of a job, in the shape that we take to be the
 * upstream's: the handle of a submit, and of a poll that has a result what
 * stands before and behind that object.  *len: the room in, the length out;
 * PHOTA_INVALID when it doesn't fit.  request_id: the client's own, len 0 none;
 * all texts are escaped here but status, a word of our own.
 */
int phota_job_handle(const phota_str_t *id, const phota_str_t *poll_url,
    const phota_str_t *request_id, const char *status, u_char *buf,
    size_t *len);
int phota_job_before(const phota_str_t *id, const phota_str_t *request_id,
    u_char *buf, size_t *len);
int phota_job_behind(u_char *buf, size_t *len);


#endif /* _PHOTA_JOB_H_INCLUDED_ */
