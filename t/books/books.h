
/*
 * What the files of the driver of the books share.  A command takes its fields
 * and returns a code of the core; what it has to say goes to stdout, or, if it
 * belongs to the answer, to books_extra.
 */


#ifndef _BOOKS_H_INCLUDED_
#define _BOOKS_H_INCLUDED_


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "phota_ledger.h"
#include "phota_price.h"
#include "phota_replay.h"
#include "phota_tenant.h"


#define BOOKS_TENANTS   16
#define BOOKS_TOKENS    32


/* what a worker has in memory; read again when the generation has changed */

typedef struct {
    uint64_t              generation;
    unsigned              ntenants;
    unsigned              ntokens;
    phota_tenant_t        tenants[BOOKS_TENANTS];
    phota_token_t         tokens[BOOKS_TOKENS];
    phota_directory_t    *directory;
    phota_price_list_t   *prices;
} books_snapshot_t;


extern char               books_extra[256];
extern int64_t            books_count;      /* file operations to go */
extern int                books_errno;      /* 0: they end in a kill */
extern MDB_txn           *books_txn;
extern uint64_t           books_clock;
extern phota_error_t      books_err;
extern phota_store_t      books_store;
extern phota_ledger_t     books_ledger;
extern phota_prices_t     books_prices;
extern phota_replays_t    books_replays;
extern phota_tenants_t    books_tenants;
extern books_snapshot_t   books_now;


static inline int64_t
books_number(const char *text)
{
    return strtoll(text, NULL, 10);
}


static inline void
books_text(char *to, size_t size, const char *from)
{
    (void) snprintf(to, size, "%s", from);
}


static inline void
books_id(phota_id_t *id, const char *text)
{
    if (phota_hex_parse(id->b, sizeof(id->b), text, strlen(text))
        != PHOTA_OK)
    {
        fprintf(stderr, "books: \"%s\" is no id\n", text);
        exit(2);
    }
}


/* the snapshot, tenants, tokens, prices: books_terms.c */

void books_forget(void);
int books_refresh(void);
const phota_tenant_t *books_tenant(uint32_t id);
const phota_token_t *books_token(uint32_t id);
int books_cmd_tenant_add(char **arg);
int books_cmd_limits(char **arg);
int books_cmd_plan(char **arg);
int books_cmd_zone(char **arg);
int books_cmd_token_add(char **arg);
int books_cmd_token_limits(char **arg);
int books_cmd_price(char **arg);

/* what writes: books_write.c */

int books_cmd_hold(char **arg);
int books_cmd_sell(char **arg);
int books_cmd_book(char **arg);
int books_cmd_accept(char **arg);
int books_cmd_end(char **arg);
int books_cmd_resolve(char **arg);
int books_cmd_correct(char **arg);
int books_cmd_reverse(char **arg);
int books_cmd_hit(char **arg);
int books_cmd_tally(char **arg);
int books_cmd_deadline(char **arg);
int books_cmd_expire(char **arg);
int books_cmd_replay(char **arg);
int books_cmd_archive(char **arg);
int books_cmd_replayed(char **arg);

/* what shows: books_show.c */

int books_print_charge(void *ctx, const phota_charge_t *c);
int books_cmd_usage(char **arg);
int books_cmd_dump(char **arg);


#endif /* _BOOKS_H_INCLUDED_ */
