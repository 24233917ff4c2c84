
/*
 * Where in a text of the upstream's the strings stand that tell of a job, and
 * the object that has its pictures.  What to look for is said by phota_job.c,
 * which alone knows this.
 */


#ifndef _PHOTA_JOB_SEEK_H_INCLUDED_
#define _PHOTA_JOB_SEEK_H_INCLUDED_


#include "phota_json.h"
#include "phota_picture.h"


#define PHOTA_SEEK_DEPTH  5             /* of the object with the pictures */
#define PHOTA_SEEK_NAME   16            /* all names are shorter */


/* the first ones are told as they are */

typedef enum {
    report_job_id = 0,
    report_profile_id,
    report_id,
    report_poll_url,
    report_status,
    report_state,
    report_told,

    report_job,
    report_data,
    report_images,
    report_urls,
    report_trouble,
    report_request,
    report_other
} phota_report_member_e;


/* where the first ones may stand, the innermost first */

typedef enum {
    report_in_job = 0,
    report_in_data,
    report_in_top,
    report_places
} phota_report_place_e;


typedef struct {
    phota_str_t            name;
    phota_report_member_e  member;
} phota_report_name_t;


/* what is between the quotes of a string; at 0: there is none */

typedef struct {
    size_t                 at;
    size_t                 len;
    unsigned               seen:1;
} phota_find_t;


typedef struct {
    const phota_report_name_t  *names;
    unsigned               nnames;
    const u_char          *text;

    /* found: valid once the text was read */

    unsigned               trouble:1;   /* it says what was wrong */
    unsigned               picked:1;    /* there is a result */
    unsigned               several:1;   /* and another one beside it */
    size_t                 result_at;
    size_t                 result_len;
    phota_find_t           finds[report_places][report_told];
    phota_find_t           images[PHOTA_PICTURES_MAX];
    phota_find_t           urls[PHOTA_PICTURES_MAX];
    unsigned               nimages;
    unsigned               nurls;

    /* private */

    phota_json_t           json;
    unsigned               depth;
    phota_report_member_e  member;      /* of the value to come */
    phota_report_place_e   inner;       /* what depth 2 is */
    phota_report_member_e  kind;        /* of the list */
    unsigned               list;        /* depth of a list of pictures */
    unsigned               request;     /* depth of a copy of the request */
    unsigned               result;      /* depth of the result, while open */
    unsigned               seen;        /* bits of members that were */
    unsigned               key:1;
    size_t                 starts[PHOTA_SEEK_DEPTH + 1];
    size_t                 element;     /* of the list, 0: none is open */
    phota_find_t          *find;        /* that is open */
    size_t                 name_len;
    u_char                 name[PHOTA_SEEK_NAME];
} phota_seek_t;


/*
 * s is zeroed but for names.  PHOTA_INVALID when the text isn't a JSON object
 * to its end.
 */
int phota_seek_run(phota_seek_t *s, const u_char *text, size_t len);

/*
 * PHOTA_OK with the unescaped text in buf, which has max bytes; PHOTA_DECLINED
 * and no text when there is none, or it is too long or has controls.
 */
int phota_seek_plain(const phota_seek_t *s, const phota_find_t *find,
    size_t max, u_char *buf, phota_str_t *text);


#endif /* _PHOTA_JOB_SEEK_H_INCLUDED_ */
