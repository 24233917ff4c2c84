
/*
 * Names that tenants and the upstream know a thing by when they may not share
 * one: an account has a single namespace of request ids and tags, its jobs are
 * told to tenants by ids of the gateway's, and its callbacks come by paths that
 * nobody can guess.  All are derived from the master key, none is stored.
 */


#ifndef _PHOTA_ALIAS_H_INCLUDED_
#define _PHOTA_ALIAS_H_INCLUDED_


#include "phota_seal.h"


#define PHOTA_ALIAS_UUID    37      /* bytes of texts, NUL included */
#define PHOTA_ALIAS_TAG     96
#define PHOTA_ALIAS_SECRET  64
#define PHOTA_JOB_NAME      160
#define PHOTA_CALLBACK_NAME 64


/* the first three outlive the master key, see phota_keyring.h */

typedef struct {
    u_char           requests[32];
    u_char           tags[32];
    u_char           secrets[32];
    u_char           jobs[32];
    u_char           callbacks[32];
    u_char           other_jobs[32];        /* that are read as well */
    u_char           other_callbacks[32];
    unsigned         two:1;
} phota_aliases_t;


/* of two master keys the one that seals makes names, and both are read */
int phota_aliases_init(phota_aliases_t *a, const phota_master_t *master);

/*
 * client_request_id on its way up: a UUID (version 8) by tenant and text, the
 * same for the same, and another's for no other tenant.
 */
int phota_alias_request(const phota_aliases_t *a, uint32_t tenant,
    const u_char *text, size_t len, char uuid[PHOTA_ALIAS_UUID]);

/*
 * tag on its way up: "NAME:" and 22 characters of a digest by tenant id and
 * text; printable ASCII, at most 95 bytes.  name: the tenant's, for people who
 * read the upstream's portal.
 */
int phota_alias_tag(const phota_aliases_t *a, uint32_t tenant,
    const char *name, const u_char *text, size_t len,
    char tag[PHOTA_ALIAS_TAG]);

/* what a tenant's callbacks are signed with: "whsec_" and 43 characters */
int phota_alias_secret(const phota_aliases_t *a, uint32_t tenant,
    char secret[PHOTA_ALIAS_SECRET]);


/*
 * Jobs as tenants know them.  One that was bought has the name of its charge;
 * one that is answered by a stored result holds all that is needed to find it
 * again, and a MAC over it: nothing is stored.
 */

typedef struct {
    unsigned         bought:1;
    phota_id_t       charge;        /* bought */
    uint32_t         tenant;        /* stored: for whom it was made */
    u_char           fingerprint[PHOTA_SHA256_LEN];
    uint8_t          operation;     /* phota_op_e */
    uint8_t          outputs;
    uint8_t          first;         /* in the pool, from 0 */
    uint8_t          links;         /* as links */
    uint64_t         expires;       /* s */
} phota_ticket_t;

/* "job_..."; characters of [0-9A-Za-z_-] */
int phota_ticket_format(const phota_aliases_t *a, const phota_ticket_t *ticket,
    char name[PHOTA_JOB_NAME]);

/* now: s.  PHOTA_INVALID when it isn't one, or has expired */
int phota_ticket_parse(const phota_aliases_t *a, const u_char *name,
    size_t len, uint64_t now, phota_ticket_t *ticket);


/* the last part of the URL by which the upstream calls back for a charge */
int phota_callback_format(const phota_aliases_t *a, const phota_id_t *charge,
    char name[PHOTA_CALLBACK_NAME]);
/* the other key's, where there are two */
int phota_callback_other(const phota_aliases_t *a, const phota_id_t *charge,
    char name[PHOTA_CALLBACK_NAME]);

int phota_callback_parse(const phota_aliases_t *a, const u_char *name,
    size_t len, phota_id_t *charge);


#endif /* _PHOTA_ALIAS_H_INCLUDED_ */
