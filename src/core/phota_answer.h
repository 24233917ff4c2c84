
/*
 * Reads an image answer of the upstream as it streams by: how many outputs
 * were delivered, in how many a trained profile was recognised, and whether
 * the JSON came to its end.  Keeps no text.
 */


#ifndef _PHOTA_ANSWER_H_INCLUDED_
#define _PHOTA_ANSWER_H_INCLUDED_


#include "phota_json.h"


typedef struct phota_answer_s  phota_answer_t;


typedef struct {
    unsigned        outputs;            /* max of images and download_urls */
    unsigned        images;             /* non-empty strings in "images" */
    unsigned        urls;               /* in "download_urls" */
    unsigned        links:1;            /* some output is an http(s) URL */
    unsigned        subjects;           /* profiles with a positive count */
    unsigned        identity_low;       /* bounds of identity outputs */
    unsigned        identity_high;
} phota_delivery_t;


/* NULL when there is no memory */
phota_answer_t *phota_answer_create(void);

/* PHOTA_OK; PHOTA_INVALID once it isn't the JSON of an answer */
int phota_answer_update(phota_answer_t *answer, const u_char *p, size_t n);

/* PHOTA_OK with the delivery filled (outputs may be 0), or PHOTA_INVALID */
int phota_answer_final(phota_answer_t *answer, phota_delivery_t *delivery);

void phota_answer_destroy(phota_answer_t *answer);


#endif /* _PHOTA_ANSWER_H_INCLUDED_ */
