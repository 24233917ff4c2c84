
/*
 * The provider's bill and our charges side by side: the bill as it was read,
 * what of the books its period covers, and the differences between them, each
 * with what corrects it.
 */


#ifndef _PHOTACTL_RECONCILE_H_INCLUDED_
#define _PHOTACTL_RECONCILE_H_INCLUDED_


#include "photactl.h"
#include "photactl_csv.h"


#define PHOTACTL_CALL_MAX  (900 * 1000)     /* ms, from a hold to its line */
#define PHOTACTL_CLOCKS    (2 * 1000)       /* ms, between theirs and ours */
#define PHOTACTL_SLACK     (3600 * 1000)    /* ms, of holds before the bill */


/* what the bill says of a call; lines of the same id are one, summed */

typedef struct {
    const char         *id;
    uint64_t            time;           /* ms, of the latest, 0: not said */
    int64_t             amount;
    uint32_t            row;            /* in the file, of the first one */
    uint32_t            outputs;
    uint32_t            identity;
    uint32_t            claim;          /* the first of its charges, 0: none */
    uint8_t             operation;      /* PHOTA_OP_OTHER: not said */
    unsigned            counted:1;      /* outputs are said */
    unsigned            foreign:1;      /* is another tenant's */
    unsigned            archived:1;     /* its charge is in the archive */
    int64_t             kept;           /* and costs this */
} photactl_line_t;


typedef struct {
    photactl_line_t    *lines;
    size_t              n;
    size_t              size;
    uint32_t           *table;          /* hash -> index + 1 */
    size_t              mask;
    char              **chunks;         /* where the ids lie */
    size_t              nchunks;
    size_t              left;           /* in the last of them */

    const char         *name;           /* of the file, without directories */
    uint64_t            from;           /* ms, as asked for, 0: not */
    uint64_t            to;
    uint64_t            first;          /* ms, of its lines, 0: not said */
    uint64_t            last;
    uint64_t            rows;
    uint64_t            repeats;        /* rows of an id that was there */
    uint64_t            outside;        /* rows left out: not in from..to */
    uint64_t            untimed;        /* lines */
} photactl_bill_t;


/* reads all of it; from and to are set before */
int photactl_bill_read(photactl_t *ctl, photactl_bill_t *bill);
void photactl_bill_free(photactl_bill_t *bill);

/* NULL when there is no such line */
photactl_line_t *photactl_bill_find(photactl_bill_t *bill, const char *id);


/* a charge of ours that is on the bill, or could or should be */

typedef struct {
    phota_id_t          id;
    uint64_t            updated;
    int64_t             cost;           /* 0 unless it is settled */
    uint32_t            tenant;
    uint32_t            line;           /* index + 1, 0: none */
    uint32_t            next;           /* of the same line */
    uint8_t             state;
    uint8_t             operation;
    unsigned            named:1;        /* knows its request id */
    unsigned            job:1;          /* may have taken any time */
    unsigned            contended:1;    /* may be of a line left alone */
} photactl_claim_t;


/*
 * One that doesn't know its request id, or is an open job's, whose id on the
 * bill may be that of its end.
 */

typedef struct {
    uint32_t            claim;          /* index */
    uint32_t            asked;
    phota_terms_t       terms;
} photactl_loose_t;


typedef enum {
    PHOTACTL_NOT_CHARGED = 0,           /* billed, but not charged */
    PHOTACTL_NOT_BILLED,                /* charged, but not billed */
    PHOTACTL_DIFFERENT                  /* another amount */
} photactl_class_e;


typedef enum {
    PHOTACTL_SETTLE = 0,                /* unknown -> settled */
    PHOTACTL_CORRECT,                   /* settled, void -> settled anew */
    PHOTACTL_REVERSE,
    PHOTACTL_VOID,                      /* unknown -> void */
    PHOTACTL_BOOK,                      /* a new charge */

    /* nothing is done, and why */

    PHOTACTL_LEFT_HELD,
    PHOTACTL_LEFT_SHARED,
    PHOTACTL_LEFT_FOREIGN,
    PHOTACTL_LEFT_ARCHIVED,
    PHOTACTL_LEFT_BEFORE
} photactl_action_e;


typedef struct {
    uint8_t             class;
    uint8_t             action;
    unsigned            done:1;
    unsigned            changed:1;      /* meanwhile, so nothing was done */
    uint32_t            line;           /* index + 1, 0: none */
    uint32_t            claim;          /* index + 1, 0: none */
    int64_t             billed;         /* what it shall cost */
    int64_t             charged;        /* what it costs */
    phota_id_t          booked;         /* the new one's id */
} photactl_item_t;


typedef struct {
    photactl_t         *ctl;
    photactl_bill_t     bill;
    phota_tenant_t      tenant;         /* whose the bill is, id 0: not said */
    phota_directory_t  *directory;      /* only if it is said */
    const phota_zone_t *zone;

    photactl_claim_t   *claims;         /* in order of time */
    size_t              nclaims;
    size_t              claims_size;
    photactl_loose_t   *loose;          /* in order of time */
    size_t              nloose;
    size_t              loose_size;
    photactl_loose_t   *jobs;           /* the same, of jobs, in no order */
    size_t              njobs;
    size_t              jobs_size;
    photactl_item_t    *items;
    size_t              nitems;
    size_t              items_size;

    /*
     * ms: holds of before .. begin are shown when they aren't billed, those of
     * begin .. end corrected.  end 0: the bill doesn't say how far it goes.
     */

    uint64_t            before;
    uint64_t            begin;
    uint64_t            end;

    uint64_t            scan_from;      /* ms, of the charges to look at */
    uint64_t            scan_to;
    unsigned            elsewhere:1;    /* now at those that aren't in it */

    /* by tenant, up to the greatest id: has charges on the bill */

    u_char             *present;
    uint32_t            npresent;
    uint64_t            apart;          /* charges of other keys, left out */

    uint64_t            matched;        /* lines that the books agree with */
    int64_t             billed;
    int64_t             charged;
} photactl_match_t;


/* reads the charges; sets the period */
int photactl_gather(photactl_match_t *match);

/* does so, and finds all differences */
int photactl_match(photactl_match_t *match);
void photactl_match_free(photactl_match_t *match);

/* writes what makes books and bill equal */
int photactl_apply(photactl_match_t *match);

/* the array with room for one more, where it is now; NULL without memory */
void *photactl_match_room(photactl_match_t *match, void *array, size_t n,
    size_t *size, size_t element);

uint64_t photactl_claim_time(const photactl_claim_t *claim);


#endif /* _PHOTACTL_RECONCILE_H_INCLUDED_ */
