
/*
 * A strict RFC 8259 scanner that is fed a text in pieces and calls back as it
 * goes.  It keeps no text: its memory is the struct, whatever the size of the
 * body, and the same text gives the same calls, but for where string pieces
 * are cut, however it is split.
 */


#ifndef _PHOTA_JSON_H_INCLUDED_
#define _PHOTA_JSON_H_INCLUDED_


#include "phota_core.h"


#define PHOTA_JSON_MAX_DEPTH  32        /* the top object or array is 1 */


typedef enum {
    PHOTA_JSON_OBJECT = 0,              /* '{' */
    PHOTA_JSON_OBJECT_END,
    PHOTA_JSON_ARRAY,                   /* '[' */
    PHOTA_JSON_ARRAY_END,
    PHOTA_JSON_KEY,                     /* opening quote of a member's name */
    PHOTA_JSON_STRING,                  /* opening quote of a value */
    PHOTA_JSON_PIECE,                   /* some unescaped bytes of either */
    PHOTA_JSON_STRING_END,              /* closing quote of either */
    PHOTA_JSON_NUMBER,                  /* first byte of a number */
    PHOTA_JSON_NUMBER_PIECE,            /* its text, as written */
    PHOTA_JSON_NUMBER_END,
    PHOTA_JSON_TRUE,
    PHOTA_JSON_FALSE,
    PHOTA_JSON_NULL
} phota_json_event_e;


typedef struct phota_json_s  phota_json_t;


/*
 * offset: 0-based byte of the text where the token, or the first byte that
 * became this piece, stands.  p is valid during the call only.  Pieces hold
 * whole characters, and what an escape stood for is a piece of its own.
 * Anything but PHOTA_OK stops the scan and is returned by phota_json_update().
 */
typedef int (*phota_json_pt)(void *ctx, phota_json_event_e event,
    const u_char *p, size_t len, uint64_t offset);


struct phota_json_s {
    phota_json_pt   handler;
    void           *ctx;

    uint64_t        offset;         /* of the next byte to come */
    const char     *fault;          /* a static text, once it is invalid */
    uint64_t        fault_offset;   /* first thing wrong */

    /* private */

    unsigned        state;
    unsigned        depth;
    uint32_t        arrays;         /* bit per depth: is it an array */
    uint32_t        code;           /* \u being read, high surrogate */
    uint32_t        high;
    unsigned        count;
    unsigned        utf8_left;
    u_char          utf8_min;       /* what the next byte may be */
    u_char          utf8_max;
    u_char          utf8[4];        /* a character cut by the end of a call */
    unsigned        key:1;
    uint64_t        token;          /* offset where the present token began */
    const char     *literal;
};


void phota_json_init(phota_json_t *json, phota_json_pt handler, void *ctx);

/*
 * PHOTA_OK, or PHOTA_INVALID with fault and fault_offset set, or whatever the
 * handler returned.  Linear in n.  Not to be called again after a failure.
 */
int phota_json_update(phota_json_t *json, const u_char *p, size_t n);

/* the text ends here: PHOTA_OK when it was exactly one JSON value */
int phota_json_final(phota_json_t *json);


#endif /* _PHOTA_JSON_H_INCLUDED_ */
