
/*
 * The fingerprint: two requests that would buy the same thing have one, and no
 * others do.  The body is fed in as it arrives; no copy of it is kept, memory
 * is bounded (well under 4 MB for a hostile body, some KB for a usual one) and
 * time is linear in its size however it is split.
 *
 * The definition is versioned: PHOTA_FINGERPRINT_VERSION is hashed first, so
 * that a new definition never reads old results as its own.  It has a key, of
 * the master key: under another one all fingerprints are others.
 */


#ifndef _PHOTA_FINGERPRINT_H_INCLUDED_
#define _PHOTA_FINGERPRINT_H_INCLUDED_


#include "phota_hash.h"
#include "phota_operation.h"
#include "phota_unpack.h"


#define PHOTA_FINGERPRINT_VERSION  2

#define PHOTA_MAX_MEMBERS          1024     /* in one object */
#define PHOTA_MAX_KEYS             65536    /* bytes of keys, open objects */
#define PHOTA_MAX_PROFILES         1024     /* ids named by one request */
#define PHOTA_FIELD_TEXT           256      /* a dotted path, cut if longer */


typedef struct phota_fingerprint_s  phota_fingerprint_t;


typedef enum {
    PHOTA_MODE_BYTES = 0,
    PHOTA_MODE_URLS,
    PHOTA_MODE_OTHER            /* the upstream will say what it thinks */
} phota_mode_e;


/*
 * Members that a call may have to carry otherwise than its client wrote them:
 * where their values stand in the body, from the first byte to the one after
 * the last, quotes and all; both 0 when the member is absent.
 */

typedef enum {
    PHOTA_SPOT_COUNT = 0,       /* num_output_images */
    PHOTA_SPOT_MODE,            /* response_mode */
    PHOTA_SPOT_CALLBACK,        /* callback_url */
    PHOTA_SPOT_REQUEST_ID,      /* client_request_id */
    PHOTA_SPOT_TAG,             /* tag */
    PHOTA_SPOT_MAX
} phota_spot_e;


typedef struct {
    uint64_t        at;
    uint64_t        end;
} phota_spot_t;


#define PHOTA_SPOT_TEXT            2048     /* bytes, unescaped, that are kept;
                                               a longer one is a fault */


/* a profile that a request names */

typedef struct {
    phota_str_t     id;         /* unescaped */
    uint64_t        offset;     /* of its first mention, quote or "[[" */
    unsigned        prompt:1;   /* there by [[id]], else in profile_ids */
} phota_named_t;


/* what is wrong with a request, and where */

typedef struct {
    const char     *detail;                     /* static text */
    char            field[PHOTA_FIELD_TEXT];    /* "images.0", "" for none */
    uint64_t        offset;                     /* 0-based byte */
} phota_fault_t;


/* what the gateway needs to know of a request */

typedef struct {
    u_char          digest[PHOTA_SHA256_LEN];
    unsigned        outputs;        /* asked for; 1 when absent, 0 when it
                                       can't be told */
    phota_mode_e    mode;
    unsigned        profiles;       /* how many are named; at least 1 when
                                       some may be, which we can't read */
    char            model[64];      /* "" when absent, cut if longer, a NUL
                                       is '?': it is no part of a name */
    char            resolution[64];

    phota_spot_t    spots[PHOTA_SPOT_MAX];

    /* phota_profile_mark() of the profiles named */
    uint64_t        marks[PHOTA_MARKS_MAX];
    unsigned        nmarks;
    unsigned        unmarked:1;     /* some are not in marks */
    unsigned        async:1;        /* the answer may be a job */
    unsigned        vague:1;        /* it may name profiles that we can't
                                       read: who is fenced may not ask so */
    unsigned        nameless:1;     /* a client_request_id that can't be any
                                       tenant's own: empty, or no text */
    unsigned        seeded:1;       /* the same call makes the same picture */
} phota_scan_t;


/*
 * signing: nparams names of URL parameters that only sign the URL, a trailing
 * '*' stands for any rest; NULL for the built-in list.  It and the key must
 * outlive the fingerprint.  NULL when there is no memory.
 */
phota_fingerprint_t *phota_fingerprint_create(const phota_operation_t *op,
    const phota_hash_key_t *key, const phota_str_t *signing,
    unsigned nparams);

/* PHOTA_OK, PHOTA_INVALID (ask phota_fingerprint_fault()) or PHOTA_ERROR */
int phota_fingerprint_update(phota_fingerprint_t *fp, const u_char *p,
    size_t n);

/*
 * Ends the body.  scope: the tenant's own bytes, or a word for a shared cache;
 * args: the query string without '?', verbatim, may be empty.
 */
int phota_fingerprint_final(phota_fingerprint_t *fp, const phota_str_t *scope,
    const phota_str_t *args, phota_scan_t *scan);

/*
 * After phota_fingerprint_final(), until destroyed.  The unescaped text of a
 * callback_url, client_request_id or tag: PHOTA_DECLINED when it is absent,
 * null or no string.
 */
int phota_fingerprint_text(phota_fingerprint_t *fp, phota_spot_e spot,
    phota_str_t *text);

/* the profiles named, by index from 0, each once; PHOTA_DECLINED at the end */
int phota_fingerprint_named(phota_fingerprint_t *fp, unsigned i,
    phota_named_t *named);

/* valid after PHOTA_INVALID, until destroyed */
const phota_fault_t *phota_fingerprint_fault(phota_fingerprint_t *fp);

void phota_fingerprint_destroy(phota_fingerprint_t *fp);


#endif /* _PHOTA_FINGERPRINT_H_INCLUDED_ */
