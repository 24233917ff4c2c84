
/*
 * The operation table: everything in which one call of a vendor's API differs
 * from another stands here, once, as data.
 */


#ifndef _PHOTA_OPERATION_H_INCLUDED_
#define _PHOTA_OPERATION_H_INCLUDED_


#include "phota_core.h"


typedef enum {
    PHOTA_PROVIDER_PHOTA = 0,
    PHOTA_PROVIDER_PHOTIO
} phota_provider_e;


/* stored in the books: never renumber */

typedef enum {
    PHOTA_OP_REMIX = 0,
    PHOTA_OP_ENHANCE,
    PHOTA_OP_EDIT,
    PHOTA_OP_GENERATE,
    PHOTA_OP_TRAINING,          /* has prices; no path is bought by it yet */
    PHOTA_OP_MAX
} phota_op_e;

#define PHOTA_OP_OTHER  255     /* found on a bill, not known what it was */


/* what a top-level member of the request means to the gateway */

typedef enum {
    PHOTA_FIELD_PLAIN = 0,      /* counts as it stands, as unknown ones do */
    PHOTA_FIELD_IMAGE,          /* a string: URL or base64 */
    PHOTA_FIELD_IMAGES,         /* an array of them, order kept */
    PHOTA_FIELD_PROMPT,         /* may name profiles as [[id]] */
    PHOTA_FIELD_PROFILES,       /* array of ids, a set */
    PHOTA_FIELD_MODEL,          /* base_model: decides the price */
    PHOTA_FIELD_RESOLUTION,     /* decides the price */
    PHOTA_FIELD_COUNT,          /* num_output_images: not fingerprinted */
    PHOTA_FIELD_MODE,           /* response_mode: not fingerprinted */
    PHOTA_FIELD_ASYNC,          /* not fingerprinted */
    PHOTA_FIELD_IGNORED         /* not fingerprinted */
} phota_field_e;


typedef struct {
    phota_str_t           name;
    phota_field_e         kind;
    unsigned              required:1;

    /*
     * a certain default: absent, null and this string are one value; data is
     * NULL where the default isn't certain and absence is a value of its own
     */
    phota_str_t           preset;
} phota_field_t;


typedef struct {
    phota_op_e            id;
    phota_provider_e      provider;
    phota_str_t           provider_name;    /* "phota" */
    phota_str_t           name;             /* "remix" */
    phota_str_t           path;             /* "/v1/phota/remix", POST */
    const phota_field_t  *fields;
    unsigned              nfields;
    unsigned              max_outputs;
    unsigned              cached:1;         /* by default */

    /* what the price list is asked when the request can't choose */
    phota_str_t           model;
    phota_str_t           resolution;
} phota_operation_t;


/* PHOTA_OP_MAX entries in the order of phota_op_e */
extern const phota_operation_t  phota_operations[];


/* by exact path, or NULL */
const phota_operation_t *phota_operation_by_path(phota_provider_e provider,
    const u_char *path, size_t len);

/* by name within a provider, or NULL */
const phota_operation_t *phota_operation_by_name(phota_provider_e provider,
    const u_char *name, size_t len);

/* "remix"; "other" for PHOTA_OP_OTHER and what isn't in the table */
const char *phota_operation_name(unsigned operation);

/* whether a model is metered by tokens, which the answer doesn't tell */
int phota_operation_metered(const phota_operation_t *op, const char *model);

/* the table's entry for a member's unescaped name, or NULL */
const phota_field_t *phota_operation_field(const phota_operation_t *op,
    const u_char *name, size_t len);


#endif /* _PHOTA_OPERATION_H_INCLUDED_ */
