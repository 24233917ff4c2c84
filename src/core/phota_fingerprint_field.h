
/*
 * Inside of the fingerprint: its state, shared by the file that follows the
 * body's structure, the one that knows what strings and fields mean, and the
 * one that gathers the profiles that are named.
 */


#ifndef _PHOTA_FINGERPRINT_FIELD_H_INCLUDED_
#define _PHOTA_FINGERPRINT_FIELD_H_INCLUDED_


#include "phota_canon.h"
#include "phota_fingerprint.h"
#include "phota_image.h"
#include "phota_json.h"


#define PHOTA_FP_TEXT     128       /* of a short value that we understand */
#define PHOTA_FP_CHOICE   64        /* of a model, with its NUL */
#define PHOTA_FP_ID       256       /* of a profile in a prompt */

#define PHOTA_FP_DROPPED  0x01      /* a member that isn't fingerprinted */

#define PHOTA_FP_PROMPT   0x01      /* who named a profile */
#define PHOTA_FP_LISTED   0x02
#define PHOTA_FP_FIRST    0x04      /* the prompt did it first */


typedef enum {
    fp_key = 0,
    fp_plain,
    fp_image,
    fp_prompt,
    fp_profile,
    fp_kept
} phota_fp_string_e;


/* a string of which the text is asked for; no memory before it is there */

typedef struct {
    u_char               *data;
    size_t                len;
    size_t                size;
    unsigned              string:1;     /* it is one */
} phota_fp_kept_t;


/* an open object or array */

typedef struct {
    unsigned              array:1;
    unsigned              open:1;       /* inside of a member, an element */
    unsigned              member;       /* which; of an object */
    unsigned              base;         /* its members begin here */
    size_t                keys;         /* their names here */
    uint64_t              elements;     /* of an array, up to now */
} phota_fp_frame_t;


struct phota_fingerprint_s {
    phota_json_t                json;
    const phota_hash_key_t     *key;
    const phota_operation_t    *op;

    int                         rc;         /* once it isn't PHOTA_OK */
    phota_fault_t               fault;

    unsigned                    depth;
    unsigned                    objects;    /* how many of depth are */
    phota_sink_t               *sink;       /* of the innermost object */
    const phota_field_t        *field;      /* of the top-level member */

    phota_fp_string_e           string;
    uint64_t                    offset;     /* of the key or value */
    uint64_t                    at;         /* of the top-level value */
    size_t                      name;       /* of the key, in names.keys */

    unsigned                    text_len;   /* more than there is: cut */
    u_char                      text[PHOTA_FP_TEXT];

    phota_fp_kept_t             kept[PHOTA_SPOT_MAX];

    unsigned                    brackets;   /* before, or after the id */
    uint64_t                    bracket;    /* where the last '[' stood */
    uint64_t                    opening;    /* and the "[[" of the id */
    unsigned                    id_len;
    u_char                      id[PHOTA_FP_ID];
    unsigned                    mixed:1;    /* profile_ids aren't strings */
    unsigned                    vague:1;    /* what may name a profile */
    uint64_t                    unread;     /* "[[" that gave no id */
    unsigned                    seen;       /* bit per field of op */

    phota_scan_t                scan;

    phota_table_t               names;
    phota_table_t               profiles;
    uint64_t                   *mentions;   /* the first one of each */
    unsigned                    nmentions;  /* for which there is room */
    phota_image_t               image;

    /* from here on each is made when an object or array opens */

    phota_fp_frame_t            frames[PHOTA_JSON_MAX_DEPTH];
    phota_sink_t                sinks[PHOTA_JSON_MAX_DEPTH];
};


/* the structure */

int phota_fp_end(phota_fingerprint_t *fp, phota_json_event_e event,
    uint64_t end);
int phota_fp_key_end(phota_fingerprint_t *fp);
int phota_fp_fault(phota_fingerprint_t *fp, const char *detail,
    uint64_t offset);
size_t phota_fp_cut(const u_char *p, size_t len, size_t max);


/* strings and fields */

int phota_fp_begin_field(phota_fingerprint_t *fp, phota_json_event_e event);
void phota_fp_top_key(phota_fingerprint_t *fp);
int phota_fp_string(phota_fingerprint_t *fp);
int phota_fp_piece(phota_fingerprint_t *fp, const u_char *p, size_t len,
    uint64_t offset);
int phota_fp_string_end(phota_fingerprint_t *fp, uint64_t offset);
void phota_fp_image_write(void *ctx, const u_char *p, size_t n);
void phota_fp_text(phota_fingerprint_t *fp, const u_char *p, size_t len);
int phota_fp_field(phota_fingerprint_t *fp, phota_json_event_e event,
    uint64_t end);


/* the profiles that are named */

int phota_fp_prompt_ids(phota_fingerprint_t *fp, const u_char *p, size_t len,
    uint64_t offset);
int phota_fp_profile(phota_fingerprint_t *fp, size_t id, u_char flag,
    uint64_t offset);
void phota_fp_forget_listed(phota_fingerprint_t *fp);
void phota_fp_put_profiles(phota_fingerprint_t *fp);


#endif /* _PHOTA_FINGERPRINT_FIELD_H_INCLUDED_ */
