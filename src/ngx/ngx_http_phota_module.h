
/*
 * The nginx side: what its files share.  A request has a context in its pool;
 * a purchase lives on the heap, since it must outlive a client that leaves;
 * a worker has its environments and queues.
 */


#ifndef _NGX_HTTP_PHOTA_MODULE_H_INCLUDED_
#define _NGX_HTTP_PHOTA_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#if !(NGX_THREADS)
#error nginx-phota needs an nginx that was built with threads
#endif

#include "ngx_http_phota_flight.h"
#include "ngx_http_phota_meter.h"
#include "phota_address.h"
#include "phota_answer.h"
#include "phota_assembly.h"
#include "phota_cache.h"
#include "phota_fingerprint.h"
#include "phota_job.h"
#include "phota_jobs.h"
#include "phota_keyring.h"
#include "phota_ledger.h"
#include "phota_price.h"
#include "phota_profile.h"
#include "phota_render.h"
#include "phota_replay.h"
#include "phota_signature.h"
#include "phota_tenant.h"


typedef struct ngx_http_phota_ctx_s       ngx_http_phota_ctx_t;
typedef struct ngx_http_phota_job_s       ngx_http_phota_job_t;
typedef struct ngx_http_phota_purchase_s  ngx_http_phota_purchase_t;
typedef struct ngx_http_phota_spool_s     ngx_http_phota_spool_t;
typedef struct ngx_http_phota_hit_s       ngx_http_phota_hit_t;
typedef struct ngx_http_phota_sender_s    ngx_http_phota_sender_t;
typedef struct ngx_http_phota_hot_s       ngx_http_phota_hot_t;
typedef struct ngx_http_phota_errand_s    ngx_http_phota_errand_t;
typedef struct ngx_http_phota_news_s      ngx_http_phota_news_t;
typedef struct ngx_http_phota_run_s       ngx_http_phota_run_t;
typedef struct ngx_http_phota_page_s      ngx_http_phota_page_t;
typedef struct ngx_http_phota_kept_s      ngx_http_phota_kept_t;


#include "ngx_http_phota_conf.h"


#define NGX_HTTP_PHOTA_NO_OFFSET  UINT64_MAX

/* errors in the contract's shape; they live in the request's pool */

typedef struct {
    ngx_uint_t                  status;
    const char                 *code;
    const char                 *detail;
    const char                 *field;          /* 422 only, or NULL */
    uint64_t                    offset;         /* of what is wrong, or
                                                   NGX_HTTP_PHOTA_NO_OFFSET */
    ngx_uint_t                  retry_after;    /* seconds, 0 none */
    const char                 *left;           /* USD, 402 only, or NULL */
    const char                 *resets;         /* when, or NULL */
} ngx_http_phota_refusal_t;


/* members of a body that go up otherwise than they came; len 0: as they came */

typedef struct {
    ngx_str_t                   request_id;     /* client_request_id */
    ngx_str_t                   tag;
    ngx_str_t                   callback;       /* the tenant's URL */
    ngx_str_t                   alias;          /* of client_request_id */
    unsigned                    called_back:1;  /* callback_url is replaced */
} ngx_http_phota_upward_t;


/* an answer of the upstream's that is told in the gateway's words */

typedef struct {
    ngx_uint_t                  status;
    u_char                     *text;
    size_t                      len;
} ngx_http_phota_told_t;


/* where a tenant's request stands; PRECONTENT is entered again at each step */

typedef enum {
    NGX_HTTP_PHOTA_START = 0,
    NGX_HTTP_PHOTA_BODY,        /* being read; the filter scans it */
    NGX_HTTP_PHOTA_DECIDE,      /* read: hit, refusal or purchase */
    NGX_HTTP_PHOTA_PROVE,       /* a thread reads what is to be sent */
    NGX_HTTP_PHOTA_JOIN,        /* waits for what another buys */
    NGX_HTTP_PHOTA_HOLD,        /* the hold is on its way to the disk */
    NGX_HTTP_PHOTA_CALL,        /* the subrequest runs */
    NGX_HTTP_PHOTA_SETTLE,      /* charge and picture are on their way */
    NGX_HTTP_PHOTA_ANSWER       /* the content handler has all it needs */
} ngx_http_phota_state_e;


typedef enum {
    NGX_HTTP_PHOTA_CACHE_NONE = 0,
    NGX_HTTP_PHOTA_CACHE_HIT,
    NGX_HTTP_PHOTA_CACHE_MISS,
    NGX_HTTP_PHOTA_CACHE_JOIN,
    NGX_HTTP_PHOTA_CACHE_BYPASS,
    NGX_HTTP_PHOTA_CACHE_REFRESH
} ngx_http_phota_cache_e;


struct ngx_http_phota_ctx_s {
    ngx_http_phota_state_e      state;
    ngx_http_phota_cache_e      cache;

    phota_tenant_t              tenant;         /* id 0: not known */
    uint32_t                    token;
    phota_limits_t              token_limits;
    phota_token_t              *admin;          /* an operator's, or NULL */
    ngx_http_phota_run_t       *run;            /* a command's answer */

    const phota_operation_t    *operation;      /* NULL: another path */
    const phota_route_t        *route;          /* of another path, or NULL */
    phota_str_t                 route_id;       /* that it is about */
    ngx_str_t                   listed;         /* tag of profiles, len 0:
                                                   all */
    ngx_http_phota_upward_t    *upward;         /* NULL: nothing is written
                                                   otherwise */
    ngx_http_phota_told_t      *told;           /* NULL: as it came */
    phota_ticket_t             *ticket;         /* a job that is asked for */
    phota_str_t                 handle;         /* of one that is stored */
    phota_job_t                *job;            /* in the books: that one, or
                                                   what a submit became */
    ngx_http_phota_errand_t    *errand;         /* nobody's request */
    phota_fingerprint_t        *fingerprint;
    phota_scan_t                scan;
    off_t                       received;       /* bytes of body seen */
    char                        field[PHOTA_FIELD_TEXT];

    ngx_http_phota_refusal_t    refusal;        /* status 0: none */
    ngx_http_phota_purchase_t  *purchase;
    ngx_http_phota_hit_t       *hit;
    ngx_http_phota_sender_t    *sender;
    void                       *quote;          /* of a trial */

    uint64_t                    since;          /* ms: what is older doesn't
                                                   count for this request */
    ngx_uint_t                  pooled;         /* pictures in the pool */
    ngx_uint_t                  first;          /* of them that the hit tells */
    ngx_uint_t                  variation;      /* from 1, 0: none asked for */
    ngx_http_phota_flight_t     flight;         /* taken off, not yet bought */
    ngx_uint_t                  buys;           /* pictures, by this request */
    ngx_http_phota_waiter_t    *waiter;
    ngx_http_phota_flight_e     landed;         /* what was waited for */

    int64_t                     max_age;        /* s, -1: not said */
    char                        tag[PHOTA_NAME_MAX + 1];
    u_char                      replay_key[PHOTA_SHA256_LEN];
    phota_id_t                  replayed;       /* the first one's charge */

    char                        detail[160];    /* of a 402 */
    char                        left[PHOTA_USD_TEXT];
    char                        resets[PHOTA_TIME_TEXT];

    ngx_http_event_handler_pt   body_reader;    /* nginx's */
    ngx_http_phota_kept_t      *kept;           /* the body, NULL: nginx has
                                                   it */
    ngx_http_request_t         *call;           /* the subrequest */

    unsigned                    resolved:1;     /* token looked up, masked */
    unsigned                    authorized:1;   /* path looked at */
    unsigned                    answered:1;     /* the reply is our own */
    unsigned                    reshaped:1;     /* nginx's error, our body */
    unsigned                    spoilt:1;       /* body refused, swallow it */
    unsigned                    scanned:1;      /* scan holds a fingerprint */
    unsigned                    no_cache:1;
    unsigned                    no_store:1;
    unsigned                    only_if_cached:1;
    unsigned                    keyed:1;        /* has an Idempotency-Key */
    unsigned                    replay:1;       /* the hit is a replay */
    unsigned                    trial:1;        /* Phota-Dry-Run */
    unsigned                    usage:1;        /* a tenant asks for its own */
    unsigned                    named:1;        /* by Phota-Fingerprint */
    unsigned                    joined:1;       /* waited for a purchase */
    unsigned                    bought:1;       /* the hit is a purchase's */
    unsigned                    composed:1;     /* it was tried, once */
    unsigned                    storable:1;     /* what is bought is kept */
    unsigned                    refund:1;       /* of a training in ERROR */
    unsigned                    repeated:1;     /* its callback is written */
    unsigned                    hopeless:1;     /* what is stored is damaged
                                                   and stays so */
};


/* pictures that answer a request: a pool's, or among them just bought ones */

struct ngx_http_phota_hit_s {
    phota_result_t             *results;        /* that were picked from */
    ngx_uint_t                  nresults;
    phota_pick_t                picks[PHOTA_PICTURES_MAX];
    ngx_uint_t                  npicks;
    phota_piece_t               pictures[PHOTA_PICTURES_MAX];
    phota_rendering_t           rendering;

    ngx_uint_t                  outputs;        /* how many pictures */
    ngx_uint_t                  identity;       /* of them, at least */
    int64_t                     saved;          /* micro-USD, their cost */
    uint64_t                    stored;         /* ms, of the oldest */
    uint64_t                    expires;        /* ms, of the first to go */
    uint64_t                    linked;         /* ms, 0: there are no links */
};


/* answers that are made as the socket takes them */

struct ngx_http_phota_sender_s {
    ngx_http_request_t         *r;
    const phota_piece_t        *pieces;
    ngx_uint_t                  npieces;
    uint64_t                    length;         /* of the whole answer */
    ngx_uint_t                  piece;          /* the next to send from */
    uint64_t                    offset;         /* in it: a picture's bytes */
    ngx_msec_t                  sound;          /* from then on chunks are
                                                   looked at once more */
    uint64_t                    checked;        /* chunk known to be sound, by
                                                   piece and index */
    ngx_chain_t                *free;
    ngx_chain_t                *busy;
    void                       *warming;        /* a thread reads for it */
    ngx_http_phota_hot_t      **hot;            /* by piece, or NULL: not all
                                                   pictures are in memory */
    unsigned                    raw:1;          /* pictures as they are */
    unsigned                    large:1;        /* counted among the large */
    unsigned                    slow:1;
    unsigned                    warm:1;         /* a thread has just read it */
};


#include "ngx_http_phota_writer.h"


/* what is asked of the upstream, or of a tenant's server */

typedef struct {
    ngx_str_t                   uri;            /* within this nginx */
    ngx_str_t                   args;
    ngx_uint_t                  method;
    ngx_str_t                   method_name;
    ngx_http_request_body_t    *body;           /* NULL: none */
    off_t                       length;
    unsigned                    clients:1;      /* the body is the client's */
} ngx_http_phota_target_t;


/* what is paid for: a call of the upstream, or a hit that has a price */

struct ngx_http_phota_purchase_s {
    ngx_http_request_t         *r;              /* NULL: the client left */
    ngx_uint_t                  refs;
    ngx_http_phota_job_t        hold;
    ngx_http_phota_job_t        settle;
    ngx_http_phota_job_t        store;
    ngx_queue_t                 retry;          /* settles that failed */
    phota_job_t                *job;            /* that the call became */
    phota_profile_t            *profile;        /* that it made ... */
    phota_job_t                *training;       /* ... and may give back */

    phota_charge_t              charge;
    phota_outcome_t             outcome;
    phota_limits_t              limits;
    phota_limits_t              token_limits;
    phota_shortage_t            shortage;
    u_char                      replay_key[PHOTA_SHA256_LEN];
    u_char                      name_key[PHOTA_SHA256_LEN];
    ngx_http_phota_flight_t     flight;         /* number 0: none */
    phota_scan_t                scan;
    ngx_uint_t                  variation;      /* from 1, 0: none asked for */
    ngx_http_phota_cache_e      cache;          /* how it is counted */
    uint64_t                    since;          /* ms: what it replaces */
    uint32_t                    scope;
    phota_deposit_t            *deposits;       /* the pool's, the replay's */
    ngx_uint_t                  ndeposits;
    phota_answer_t             *answer;
    phota_delivery_t            delivery;
    ngx_http_phota_spool_t     *spool;
    time_t                      valid;          /* s */

    off_t                       length;         /* Content-Length or -1 */
    off_t                       received;       /* bytes of body */
    ngx_uint_t                  status;         /* upstream's, 0 none */
    ngx_uint_t                  pending;        /* jobs the answer awaits */
    char                        tenant[PHOTA_NAME_MAX + 1];
    char                        content_type[PHOTA_CONTENT_TYPE + 1];
    char                        retry_after[32];
    const char                 *unsafe;         /* why the key was kept */

    unsigned                    metered:1;      /* has a charge */
    unsigned                    serves:1;       /* a hit, nothing to call */
    unsigned                    keyed:1;        /* has an Idempotency-Key */
    unsigned                    taken:1;        /* the key is another's */
    unsigned                    storable:1;
    unsigned                    partial:1;      /* buys less than was asked */
    unsigned                    unlinked:1;     /* bytes, links were asked */
    unsigned                    own_key:1;      /* the tenant's account pays */
    unsigned                    refund:1;       /* of a training in ERROR */
    unsigned                    collapses:1;    /* an open job like it does */
    unsigned                    alike:1;        /* there is one: job */
    unsigned                    named:1;        /* has a client_request_id */
    unsigned                    landed:1;       /* others were told */
    unsigned                    complete:1;
    unsigned                    last:1;         /* last buffer was seen */
    unsigned                    lost:1;         /* spool failed */
    unsigned                    parsed:1;       /* delivery is valid */
    unsigned                    called:1;       /* the subrequest began */
    unsigned                    held:1;         /* the hold is durable */
    unsigned                    ended:1;        /* the outcome was posted */
    unsigned                    settled:1;      /* the outcome is durable */
    unsigned                    stored:1;
    unsigned                    moved:1;        /* into a file that is gone */
    unsigned                    key_asked:1;
    unsigned                    key_given:1;
    unsigned                    diverted:1;     /* redirected inside */
};


typedef struct {
    phota_store_t               books;
    phota_tenants_t             tenants;
    phota_prices_t              prices;
    phota_ledger_t              ledger;
    phota_replays_t             replays;
    phota_jobs_t                jobs;
    phota_profiles_t            profiles;
    MDB_txn                    *books_txn;      /* event loop's, reset */
    phota_store_t               cache_store;
    phota_cache_t               cache;
    MDB_txn                    *cache_txn;      /* the same */

    phota_directory_t          *directory;
    phota_price_list_t         *price_list;

    ngx_http_phota_writer_t     books_writer;
    ngx_http_phota_writer_t     cache_writer;
    ngx_queue_t                 unsettled;      /* purchases to try again */

    phota_keyring_t             keyring;        /* with the directory */

    ngx_http_phota_main_conf_t *conf;
    ngx_event_t                 exit_guard;     /* holds a quitting worker */
    ngx_uint_t                  working;        /* jobs under way */
    ngx_uint_t                  reading;        /* threads that read cache */
    ngx_uint_t                  asking;         /* threads that read books */
    ngx_uint_t                  recovering;     /* so does the books' writer */
    ngx_uint_t                  large;          /* buffers of whole chunks */
    size_t                      spooled;        /* bytes in memory */

    unsigned                    active:1;
    unsigned                    books_open:1;
    unsigned                    cache_open:1;
    unsigned                    exiting:1;      /* the threads are gone */
} ngx_http_phota_worker_t;


extern ngx_module_t             ngx_http_phota_module;
extern ngx_module_t             ngx_http_phota_filter_module;
extern ngx_http_phota_worker_t  ngx_http_phota_worker;


/* in the event loop alone */
#define ngx_http_phota_aliases  (&ngx_http_phota_worker.keyring.aliases)


/* phota_metrics, and with tenants as a label */

#define NGX_HTTP_PHOTA_METRICS_ON       1
#define NGX_HTTP_PHOTA_METRICS_TENANTS  2


/* ms that pictures stay beyond their links, so that few hits move them */

#define NGX_HTTP_PHOTA_LINK_SPARE  (60 * 60 * 1000)


#define ngx_http_phota_usable(cf)  ((cf)->data.data != NULL)


#include "ngx_http_phota_say.h"


/* ngx_http_phota_door.c */

/*
 * The door that a job came by, by its phota_pass, or what has taken its place:
 * the first one of the provider; NULL: there is none.
 */
ngx_http_phota_door_t *ngx_http_phota_door(ngx_uint_t provider,
    const char *prefix);

/* the path of a provider's route with this id in it; NGX_ERROR: it has none */
ngx_int_t ngx_http_phota_route_path(ngx_pool_t *pool, ngx_uint_t provider,
    phota_route_e id, const phota_str_t *name, ngx_str_t *path);

/* ngx_http_phota_auth.c */

/* the door's context, made when absent; NULL outside of doors or no memory */
ngx_http_phota_ctx_t *ngx_http_phota_resolve(ngx_http_request_t *r);

/* the same of an API's location; a refusal is in it, NULL: no memory */
ngx_http_phota_ctx_t *ngx_http_phota_resolve_operator(ngx_http_request_t *r);
ngx_int_t ngx_http_phota_preaccess(ngx_http_request_t *r);
ngx_int_t ngx_http_phota_access(ngx_http_request_t *r);
ngx_int_t ngx_http_phota_log(ngx_http_request_t *r);

/* what the tenant may do here: operation, nothing to buy, or a refusal */
void ngx_http_phota_authorize(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* true, with a refusal, when the tenant is gone since he was let in */
ngx_uint_t ngx_http_phota_removed(ngx_http_phota_ctx_t *ctx);

/* ngx_http_phota_variables.c */

ngx_int_t ngx_http_phota_add_variables(ngx_conf_t *cf);

/* ngx_http_phota_request.c */

ngx_int_t ngx_http_phota_precontent(ngx_http_request_t *r);
void ngx_http_phota_resume(ngx_http_request_t *r,
    ngx_http_phota_state_e state);

/* ngx_http_phota_body.c */

/* begins to read the body; PRECONTENT is entered again when it is there */
ngx_int_t ngx_http_phota_read_body(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* scans what has arrived; *in is what of it nginx shall keep */
ngx_int_t ngx_http_phota_body_filter(ngx_http_request_t *r, ngx_chain_t **in);

/* once it is decided that nothing more is bought with it */
void ngx_http_phota_body_release(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* a 422 by what the fingerprint finds wrong */
void ngx_http_phota_refuse_body(ngx_http_phota_ctx_t *ctx);
void ngx_http_phota_forget_fingerprint(void *data);

/* ngx_http_phota_control.c */

/* Cache-Control, Phota-* and Idempotency-Key; NGX_DECLINED: refused */
ngx_int_t ngx_http_phota_read_controls(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* ngx_http_phota_hold.c */

/* NGX_AGAIN; NGX_DECLINED with a refusal set; NGX_ERROR */
ngx_int_t ngx_http_phota_buy(ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx);

/* what a hit costs the tenant: terms and price in micro-USD */
ngx_int_t ngx_http_phota_hit_price(ngx_http_phota_ctx_t *ctx,
    phota_terms_t *terms, int64_t *price);

/* terms of a purchase of ctx->buys pictures; NGX_DECLINED with a refusal */
ngx_int_t ngx_http_phota_offer(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, phota_charge_t *charge);

/* the same for ctx->hit; NGX_OK when it is free */
ngx_int_t ngx_http_phota_sell(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* ngx_http_phota_replay.c */

/*
 * What became of an earlier request with this Idempotency-Key: NGX_OK when
 * ctx->hit is its answer, NGX_DECLINED when nothing forbids to go on or
 * ctx->refusal is set, NGX_ERROR.
 */
ngx_int_t ngx_http_phota_replay(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* in the writer's transaction: PHOTA_REFUSED when another took the key */
int ngx_http_phota_replay_free(ngx_http_phota_purchase_t *p, MDB_txn *txn);
int ngx_http_phota_replay_take(ngx_http_phota_purchase_t *p, MDB_txn *txn,
    phota_error_t *err);

/*
 * A client_request_id names one job at the upstream, however often it is sent:
 * p->name_key.  In the writer's transaction: with the hold it is noted whose it
 * is, and once the job is known, a submit of which nothing was heard has come
 * to nothing else.
 */
ngx_int_t ngx_http_phota_name(ngx_http_phota_purchase_t *p,
    ngx_http_phota_ctx_t *ctx);
int ngx_http_phota_name_take(ngx_http_phota_purchase_t *p, MDB_txn *txn,
    phota_error_t *err);
int ngx_http_phota_name_known(ngx_http_phota_purchase_t *p, MDB_txn *txn,
    phota_error_t *err);

/* the fingerprint under which the copy of a charge's answer lies */
ngx_int_t ngx_http_phota_replay_where(const phota_id_t *charge,
    u_char fingerprint[PHOTA_SHA256_LEN]);

/* ngx_http_phota_purchase.c */

/* spool: keeps an answer.  It is ctx->purchase from now on; NULL: no memory */
ngx_http_phota_purchase_t *ngx_http_phota_purchase_create(
    ngx_http_request_t *r, ngx_http_phota_ctx_t *ctx, ngx_uint_t spool);
void ngx_http_phota_purchase_release(void *data);

/* one of the jobs that its answer awaits has ended; gives back a reference */
void ngx_http_phota_purchase_job_done(ngx_http_phota_purchase_t *p);

/* posts what became of a held charge, and its picture */
void ngx_http_phota_end(ngx_http_phota_purchase_t *p);

/* a hold or sale that could not be written: lest it be there after all */
void ngx_http_phota_undo(ngx_http_phota_purchase_t *p);

ngx_int_t ngx_http_phota_call(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* ctx->purchase's subrequest: NGX_AGAIN, or NGX_ERROR */
ngx_int_t ngx_http_phota_launch(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_phota_target_t *target);

/* within this nginx: a location's prefix and a path of the upstream's */
ngx_int_t ngx_http_phota_inside(ngx_pool_t *pool, ngx_str_t *prefix,
    u_char *path, size_t len, ngx_str_t *uri);
ngx_int_t ngx_http_phota_relay(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* the context whose call this subrequest carries, or NULL */
ngx_http_phota_ctx_t *ngx_http_phota_caller(ngx_http_request_t *r);

/* a purchase from the worker's queue of unsettled ones, already removed */
void ngx_http_phota_settle_again(ngx_queue_t *q);

/* ngx_http_phota_key.c */

/* NGX_DECLINED when the tenant has no key, not even the default one */
ngx_int_t ngx_http_phota_have_key(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/*
 * What in an operator's location would lose money, or lead elsewhere than the
 * module meant, or NULL.
 */
const char *ngx_http_phota_unsafe(ngx_http_request_t *r,
    ngx_http_upstream_conf_t *conf);

/* $phota_upstream_key */
ngx_int_t ngx_http_phota_upstream_key(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

/* ngx_http_phota_outcome.c */

/* by the table of what happened; fills outcome, complete and parsed */
void ngx_http_phota_judge(ngx_http_phota_purchase_t *p,
    ngx_http_phota_ctx_t *ctx, ngx_int_t rc, ngx_uint_t sent);

/* logs an upstream's 401, 402 or 403 */
void ngx_http_phota_account_trouble(ngx_uint_t status,
    const ngx_http_phota_about_t *about);

/* what the gateway itself must say instead of the upstream's answer, if so */
void ngx_http_phota_translate(ngx_http_phota_purchase_t *p,
    ngx_http_phota_ctx_t *ctx);

/* ngx_http_phota_answer.c */

ngx_int_t ngx_http_phota_content(ngx_http_request_t *r);
ngx_int_t ngx_http_phota_linger(ngx_http_request_t *r);
ngx_buf_t *ngx_http_phota_error_body(ngx_http_request_t *r,
    const ngx_http_phota_refusal_t *refusal);
void ngx_http_phota_refuse(ngx_http_phota_ctx_t *ctx, ngx_uint_t status,
    const char *code, const char *detail);
ngx_int_t ngx_http_phota_send_error(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* an answer of our own that is all in one buffer */
ngx_int_t ngx_http_phota_send_json(ngx_http_request_t *r, ngx_buf_t *b);

/* ngx_http_phota_dashboard.c */

char *ngx_http_phota_dashboard(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_phota_page_handler(ngx_http_request_t *r);

/* ngx_http_phota_headers.c */

ngx_int_t ngx_http_phota_header(ngx_http_request_t *r, const char *name,
    const u_char *value, size_t len);

/* Phota-Request-Id, Phota-Fingerprint, what a refusal says */
ngx_int_t ngx_http_phota_common_headers(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
ngx_int_t ngx_http_phota_cache_status(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* Phota-Charge-Id */
ngx_int_t ngx_http_phota_charge_headers(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* micro-USD */
ngx_int_t ngx_http_phota_money_headers(ngx_http_request_t *r, int64_t cost,
    int64_t price, int64_t saved);

/* the same of a purchase, once they are certain */
ngx_int_t ngx_http_phota_amount_headers(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
ngx_int_t ngx_http_phota_upstream_headers(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_uint_t whole);

/* NULL: no memory */
ngx_http_variable_value_t *ngx_http_phota_request_id(ngx_http_request_t *r);

/* ngx_http_phota_join.c */

/*
 * A purchase or a place in the waiting room: NGX_OK: ctx->buys and, if there is
 * one, ctx->flight are set; NGX_AGAIN: it waits; NGX_DECLINED: what another has
 * just stored is enough, ctx->hit is set; NGX_ERROR.
 */
ngx_int_t ngx_http_phota_join(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* of a flight that nothing was bought for */
void ngx_http_phota_give_up(ngx_http_phota_ctx_t *ctx);

/* tells those who wait for a purchase how it ended */
void ngx_http_phota_purchase_land(ngx_http_phota_purchase_t *p);

/* ngx_http_phota_store.c */

/* posts what is to be kept of a settled purchase, if anything */
void ngx_http_phota_store(ngx_http_phota_purchase_t *p);

/* the body of a call that isn't the client's, *body NULL where it is */
ngx_int_t ngx_http_phota_rewrite(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx, ngx_http_request_body_t **body,
    off_t *length);

/* ngx_http_phota_trial.c */

/*
 * What would happen, for the content handler.  NGX_DECLINED, with ctx->refusal
 * when it would be refused, or NGX_ERROR.
 */
ngx_int_t ngx_http_phota_trial(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
ngx_int_t ngx_http_phota_send_trial(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);

/* ngx_http_phota_spool.c */

ngx_http_phota_spool_t *ngx_http_phota_spool_create(ngx_log_t *log,
    ngx_str_t *path);
ngx_int_t ngx_http_phota_spool_add(ngx_http_phota_spool_t *spool, u_char *p,
    size_t len);
off_t ngx_http_phota_spool_size(ngx_http_phota_spool_t *spool);

/* phota_cache_read_pt: safe in a thread once nothing is added any more */
int ngx_http_phota_spool_read(void *ctx, u_char *buf, size_t len,
    uint64_t offset);

/* a chain over it in pool, valid while the spool lives; last_buf is set */
ngx_chain_t *ngx_http_phota_spool_chain(ngx_http_phota_spool_t *spool,
    ngx_pool_t *pool);
void ngx_http_phota_spool_hold(ngx_http_phota_spool_t *spool);
void ngx_http_phota_spool_free(ngx_http_phota_spool_t *spool);

/* ngx_http_phota_worker.c */

ngx_int_t ngx_http_phota_init_module(ngx_cycle_t *cycle);
ngx_int_t ngx_http_phota_init_process(ngx_cycle_t *cycle);
void ngx_http_phota_exit_process(ngx_cycle_t *cycle);

/* keep a quitting worker alive until its jobs are done */
void ngx_http_phota_job_begin(void);
void ngx_http_phota_job_end(void);

/* logs a trouble when it begins and when it has healed ("") */
void ngx_http_phota_complain(const char *what, const char *text, char *said,
    size_t size);

/* ngx_http_phota_care.c */

void ngx_http_phota_care_init(ngx_cycle_t *cycle);
void ngx_http_phota_care_tick(void);

/*
 * Another environment has taken the cache's place: it is opened as soon as
 * nobody reads the old one, which answers until then; what is to be stored
 * waits.
 */
void ngx_http_phota_cache_moved(void);
void ngx_http_phota_care_opened(void);
void ngx_http_phota_care_close(void);

/* the event loop's transactions, one at a time; NULL when not to be had */
MDB_txn *ngx_http_phota_read_books(void);
MDB_txn *ngx_http_phota_read_cache(void);
void ngx_http_phota_read_end(MDB_txn *txn);

/* ngx_http_phota_recover.c */

/*
 * For the books' writer: holds of dead workers become unknown, whatever is
 * unknown is settled where its result is in the cache, and what has been
 * unknown for too long ends as the operator's deadline says.
 */
int ngx_http_phota_recover(ngx_http_phota_job_t *job, MDB_txn *txn);

/* after it, when it is durable: counts what it has settled */
void ngx_http_phota_recover_count(void);

/* ngx_http_phota_count.c */

void ngx_http_phota_count_init(void);

/* a free hit, counted in the books within a second */
void ngx_http_phota_count_hit(ngx_http_phota_ctx_t *ctx, int64_t saved);

/* that a result was used; linked: ms until which links were given, or 0 */
void ngx_http_phota_count_use(const phota_result_t *result, uint64_t linked);

/* posts what was counted, when nothing of it is under way already */
void ngx_http_phota_count_flush(void);

/* ngx_http_phota_meter.c */

void ngx_http_phota_meter_request(ngx_http_request_t *r,
    ngx_http_phota_ctx_t *ctx);
void ngx_http_phota_meter_hit(const ngx_http_phota_ctx_t *ctx, int64_t saved);
void ngx_http_phota_meter_charge(const phota_charge_t *charge,
    ngx_uint_t cache);
void ngx_http_phota_meter_upstream(const ngx_http_phota_purchase_t *p);
void ngx_http_phota_meter_removed(phota_cache_t *cache);
void ngx_http_phota_meter_waited(void);

/* ngx_http_phota_metrics.c */

char *ngx_http_phota_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_phota_metrics_handler(ngx_http_request_t *r);


#include "ngx_http_phota_async.h"
#include "ngx_http_phota_run.h"
#include "ngx_http_phota_stored.h"


#endif /* _NGX_HTTP_PHOTA_MODULE_H_INCLUDED_ */
