
/*
 * The fingerprint: two requests that would buy the same thing have one, and no
 * others do.  The body is fed in as it arrives; no copy of it is kept, memory
 * is bounded (well under 4 MB for a hostile body, some KB for a usual one) and
 * time is linear in its size however it is split.
 *
 * The definition is versioned: PHOTA_FINGERPRINT_VERSION is hashed first, so
 * that a new definition never reads old results as its own.
 */


#ifndef _PHOTA_FINGERPRINT_H_INCLUDED_
#define _PHOTA_FINGERPRINT_H_INCLUDED_


#include "phota_operation.h"
#include "phota_unpack.h"


#define PHOTA_FINGERPRINT_VERSION  1

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

    /*
     * where these values stand in the body, from the first byte to the one
     * after the last, quotes and all; both 0 when the member is absent
     */
    uint64_t        count_at;       /* of num_output_images */
    uint64_t        count_end;
    uint64_t        mode_at;        /* of response_mode */
    uint64_t        mode_end;

    /* phota_profile_mark() of the profiles named */
    uint64_t        marks[PHOTA_MARKS_MAX];
    unsigned        nmarks;
    unsigned        unmarked:1;     /* some are not in marks */
    unsigned        async:1;        /* the answer may be a job */
} phota_scan_t;


/*
 * signing: nparams names of URL parameters that only sign the URL, a trailing
 * '*' stands for any rest; NULL for the built-in list.  It must outlive the
 * fingerprint.  NULL when there is no memory.
 */
phota_fingerprint_t *phota_fingerprint_create(const phota_operation_t *op,
    const phota_str_t *signing, unsigned nparams);

/* PHOTA_OK, PHOTA_INVALID (ask phota_fingerprint_fault()) or PHOTA_ERROR */
int phota_fingerprint_update(phota_fingerprint_t *fp, const u_char *p,
    size_t n);

/*
 * Ends the body.  scope: the tenant's own bytes, or a word for a shared cache;
 * args: the query string without '?', verbatim, may be empty.
 */
int phota_fingerprint_final(phota_fingerprint_t *fp, const phota_str_t *scope,
    const phota_str_t *args, phota_scan_t *scan);

/* valid after PHOTA_INVALID, until destroyed */
const phota_fault_t *phota_fingerprint_fault(phota_fingerprint_t *fp);

void phota_fingerprint_destroy(phota_fingerprint_t *fp);


#endif /* _PHOTA_FINGERPRINT_H_INCLUDED_ */
