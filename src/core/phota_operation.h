
/*
 * The tables of vendors, of the calls that are bought, and of what else passes
 * a door: everything in which one vendor's API, or one call of it, differs from
 * another stands there, once, as data.
 *
 * A vendor more takes: its number in phota_provider_e and row in
 * phota_providers[]; a number in phota_op_e, the fields and the row in
 * phota_operations[] of each call; rows in phota_routes[] if it is more than
 * calls.  Names, prices, bounds and digests follow from these.  If what it
 * answers is of no known shape, a phota_answer_e and one file that takes such
 * an answer apart.
 */


#ifndef _PHOTA_OPERATION_H_INCLUDED_
#define _PHOTA_OPERATION_H_INCLUDED_


#include "phota_core.h"


/* stored in the books: never renumber */

typedef enum {
    PHOTA_PROVIDER_PHOTA = 0,
    PHOTA_PROVIDER_PHOTIO,
    PHOTA_PROVIDER_MAX
} phota_provider_e;


/* stored in the books: never renumber */

typedef enum {
    PHOTA_OP_REMIX = 0,
    PHOTA_OP_ENHANCE,
    PHOTA_OP_EDIT,
    PHOTA_OP_GENERATE,
    PHOTA_OP_TRAINING,          /* profiles/add */
    PHOTA_OP_PHOTIO_REMIX,
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
    PHOTA_FIELD_CALLBACK,       /* callback_url: not fingerprinted */
    PHOTA_FIELD_REQUEST_ID,     /* client_request_id: not fingerprinted */
    PHOTA_FIELD_TAG,            /* a name in the account's namespace */
    PHOTA_FIELD_SEED            /* a number: other than the preset, the call
                                   can be repeated */
} phota_field_e;


/* what a complete 200 holds */

typedef enum {
    PHOTA_ANSWER_IMAGES = 0,    /* images or download_urls, known_subjects */
    PHOTA_ANSWER_BODY,          /* status_code, body: one picture, base64 */
    PHOTA_ANSWER_PROFILE        /* profile_id: one output, no picture */
} phota_answer_e;


typedef struct {
    phota_str_t           name;
    phota_field_e         kind;
    unsigned              required:1;

    /*
     * a certain default: absent, null and this string are one value; data is
     * NULL where the default isn't certain and absence is a value of its own;
     * number: it is one, not a string
     */
    phota_str_t           preset;
    unsigned              number:1;
} phota_field_t;


typedef struct {
    phota_op_e            id;
    phota_provider_e      provider;
    phota_str_t           provider_name;    /* "phota" */
    phota_str_t           name;             /* "remix", once per provider */
    phota_str_t           label;            /* "photio-remix", once */
    phota_str_t           path;             /* "/v1/phota/remix", POST */
    const phota_field_t  *fields;
    unsigned              nfields;
    phota_answer_e        answer;
    unsigned              max_outputs;
    unsigned              cached:1;         /* by default */

    /* what the price list is asked when the request can't choose */
    phota_str_t           model;
    phota_str_t           resolution;
} phota_operation_t;


/*
 * What passes a door besides, and is not bought: by whose id a path is fenced,
 * and who answers it.
 */

typedef enum {
    PHOTA_ROUTE_JOB = 0,        /* a job that the tenant submitted */
    PHOTA_ROUTE_SECRET,         /* of the tenant's callbacks, by the gateway */
    PHOTA_ROUTE_PROFILES,       /* the list: of the tenant's own */
    PHOTA_ROUTE_PROFILE_STATUS,
    PHOTA_ROUTE_PROFILE_PICTURE,
    PHOTA_ROUTE_PROFILE_DELETE
} phota_route_e;


typedef struct {
    phota_route_e         id;
    phota_provider_e      provider;
    phota_str_t           name;             /* "job" */
    phota_str_t           method;           /* "GET", for HEAD too */
    phota_str_t           before;           /* of the path, up to the id */
    phota_str_t           after;            /* what follows the id */
    unsigned              named:1;          /* there is an id */
} phota_route_t;


typedef struct {
    phota_provider_e      id;
    phota_str_t           name;             /* "phota" */
    phota_str_t           title;            /* "Phota", for people */
    phota_str_t           key_header;       /* that carries its key */

    /* models of which no answer tells the price, for it counts no tokens */
    const phota_str_t    *metered;
    unsigned              nmetered;
} phota_provider_t;


/* PHOTA_PROVIDER_MAX entries in the order of phota_provider_e */
extern const phota_provider_t  phota_providers[];

extern const phota_route_t  phota_routes[];
extern const unsigned  phota_nroutes;

/* NULL when there is none of this name */
const phota_provider_t *phota_provider_by_name(const u_char *name,
    size_t len);

/*
 * The route of a method (as the client wrote it; HEAD is GET's) and path, or
 * NULL.  id: what stands in the path, never empty, without '/'; len 0 where
 * the route has none.
 */
const phota_route_t *phota_route_find(phota_provider_e provider,
    const phota_str_t *method, const u_char *path, size_t len,
    phota_str_t *id);


/* PHOTA_OP_MAX entries in the order of phota_op_e */
extern const phota_operation_t  phota_operations[];


/* by exact path, or NULL */
const phota_operation_t *phota_operation_by_path(phota_provider_e provider,
    const u_char *path, size_t len);

/* by name within a provider, or NULL */
const phota_operation_t *phota_operation_by_name(phota_provider_e provider,
    const u_char *name, size_t len);

/*
 * What usage, ledger and bills call it, its label; "other" for PHOTA_OP_OTHER
 * and what isn't in the table.
 */
const char *phota_operation_name(unsigned operation);

/* the operation that is called so there, of whatever provider, or NULL */
const phota_operation_t *phota_operation_by_label(const u_char *label,
    size_t len);

/* whether a model is metered by tokens, which the answer doesn't tell */
int phota_operation_metered(const phota_operation_t *op, const char *model);

/* the table's entry for a member's unescaped name, or NULL */
const phota_field_t *phota_operation_field(const phota_operation_t *op,
    const u_char *name, size_t len);


#endif /* _PHOTA_OPERATION_H_INCLUDED_ */
