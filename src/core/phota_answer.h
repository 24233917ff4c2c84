
/*
 * Reads an image answer of the upstream as it streams by: how many outputs
 * were delivered, in how many a trained profile was recognised, and whether
 * the JSON came to its end.  Keeps no text.
 */


#ifndef _PHOTA_ANSWER_H_INCLUDED_
#define _PHOTA_ANSWER_H_INCLUDED_


#include "phota_json.h"
#include "phota_operation.h"


typedef struct phota_answer_s  phota_answer_t;


typedef struct {
    unsigned        outputs;            /* max of images and download_urls */
    unsigned        images;             /* non-empty strings in "images" */
    unsigned        urls;               /* in "download_urls" */
    unsigned        links:1;            /* some output is an http(s) URL */
    unsigned        subjects;           /* profiles with a positive count */
    unsigned        identity_low;       /* bounds of identity outputs */
    unsigned        identity_high;
    unsigned        status;             /* status_code, 0 where there is none */
    char            profile[PHOTA_PROFILE_ID_MAX + 1];     /* "" none; one that
                                           is longer is none */
} phota_delivery_t;


/* of which kind it has to be; NULL when there is no memory */
phota_answer_t *phota_answer_create(phota_answer_e kind);

/* PHOTA_OK; PHOTA_INVALID once it isn't the JSON of an answer */
int phota_answer_update(phota_answer_t *answer, const u_char *p, size_t n);

/*
 * PHOTA_OK with the delivery filled (outputs may be 0), or PHOTA_INVALID.  Of a
 * PHOTA_ANSWER_PROFILE outputs is 1 when it names a profile; of a
 * PHOTA_ANSWER_BODY outputs is 0 when status_code isn't 200, which it tells.
 */
int phota_answer_final(phota_answer_t *answer, phota_delivery_t *delivery);

void phota_answer_destroy(phota_answer_t *answer);


#endif /* _PHOTA_ANSWER_H_INCLUDED_ */
