
/*
 * What the books show, in rows: charges, open ones, budgets, entries, usage,
 * and whether they are sound.
 */


#include "books.h"


static void
books_print_sum(const phota_sum_t *sum)
{
    printf("\t%lld\t%lld\t%lld\t%lld\t%lld\t%lld\t%lld",
           (long long) sum->calls, (long long) sum->hits,
           (long long) sum->outputs, (long long) sum->identity_outputs,
           (long long) sum->cost, (long long) sum->price,
           (long long) sum->saved);
}


static void
books_print_terms(const phota_terms_t *terms)
{
    printf("\t%lld\t%lld\t%lld\t%lld\t%d\t%u\t%u\t%u",
           (long long) terms->rate, (long long) terms->identity_rate,
           (long long) terms->fixed, (long long) terms->fixed_identity,
           terms->markup, terms->share, terms->version, terms->flags);
}


int
books_print_charge(void *ctx, const phota_charge_t *c)
{
    char  id[2 * sizeof(phota_id_t) + 1];

    phota_hex_format(id, c->id.b, sizeof(c->id.b));

    printf("%s\t%s\t%llu\t%llu\t%u\t%u\t%u\t%u\t%u\t%u\t%u\t%u\t%llu\t%u\t%u",
           (char *) ctx, id, (unsigned long long) c->time,
           (unsigned long long) c->updated, c->tenant, c->token, c->provider,
           c->operation, c->state, c->cached, c->reason, c->flags,
           (unsigned long long) c->owner.epoch, c->windows.day,
           c->windows.month);

    books_print_terms(&c->terms);

    printf("\t%u\t%u\t%u\t%u\t%u\t%u\t%lld\t%lld\t%lld\t%lld\t%lld\t%u\t%s"
           "\t%s\n",
           c->asked, c->asked_identity, c->outputs, c->identity_low,
           c->identity_high, c->status, (long long) c->held,
           (long long) c->cost, (long long) c->cost_high,
           (long long) c->price, (long long) c->saved, c->fingerprint[0],
           c->request_id, c->tag);

    return PHOTA_OK;
}


static int
books_print_entry(void *ctx, const phota_entry_t *e)
{
    char  id[2 * sizeof(phota_id_t) + 1];

    (void) ctx;

    phota_hex_format(id, e->charge.id.b, sizeof(e->charge.id.b));

    printf("E\t%llu\t%llu\t%u\t%u\t%u", (unsigned long long) e->sequence,
           (unsigned long long) e->time, e->day, e->type, e->first);

    books_print_sum(&e->delta);

    printf("\t%s\t%u\t%u\t%u\t%s\t%s\t%s\n", id, e->charge.tenant,
           e->charge.token, e->charge.operation, e->charge.tag, e->by,
           e->note);

    return PHOTA_OK;
}


static int
books_print_usage(void *ctx, const phota_usage_t *u)
{
    /* a row whose charges were all taken back may be there or not */

    if (u->sum.calls == 0 && u->sum.hits == 0 && u->sum.outputs == 0
        && u->sum.identity_outputs == 0 && u->sum.cost == 0
        && u->sum.price == 0 && u->sum.saved == 0)
    {
        return PHOTA_OK;
    }

    printf("U\t%u\t%u\t%u\t%u\t%u\t%s", *(unsigned *) ctx, u->tenant,
           u->operation, u->day, u->token, u->tag);
    books_print_sum(&u->sum);
    printf("\n");

    return PHOTA_OK;
}


static int
books_print_budget(void *ctx, const phota_budget_row_t *row)
{
    (void) ctx;

    if (row->spending.spent != 0 || row->spending.held != 0) {
        printf("B\t%u\t%u\t%u\t%u\t%lld\t%lld\n", row->tenant,
               row->period, row->window, row->token,
               (long long) row->spending.spent,
               (long long) row->spending.held);
    }

    return PHOTA_OK;
}


/* from, to, by */

int
books_cmd_usage(char **arg)
{
    unsigned  by;

    by = (unsigned) books_number(arg[2]);

    return phota_ledger_usage(&books_ledger, (uint64_t) books_number(arg[0]),
                              (uint64_t) books_number(arg[1]), by,
                              books_print_usage, &by, &books_err);
}


static int
books_dump_tables(void)
{
    int       rc;
    MDB_txn  *txn;

    rc = phota_store_begin(&books_store, 0, &txn, &books_err);
    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_ledger_each_open(&books_ledger, txn, books_print_charge, "O",
                                &books_err);

    if (rc == PHOTA_OK) {
        rc = phota_budget_each(&books_ledger.budgets, txn, books_print_budget,
                               NULL, &books_err);
    }

    phota_store_abort(txn);

    return rc;
}


int
books_cmd_dump(char **arg)
{
    int       rc;
    u_char    chain[PHOTA_SHA256_LEN];
    uint64_t  entries;
    unsigned  by;

    (void) arg;

    rc = phota_ledger_each(&books_ledger, 0, 0, books_print_charge, "C",
                           &books_err);

    if (rc == PHOTA_OK) {
        rc = books_dump_tables();
    }

    if (rc == PHOTA_OK) {
        rc = phota_ledger_entries(&books_ledger, 0, books_print_entry, NULL,
                                  &books_err);
    }

    for (by = 0; rc == PHOTA_OK && by <= PHOTA_USAGE_TAG; by++) {
        rc = phota_ledger_usage(&books_ledger, 0, 0, by, books_print_usage,
                                &by, &books_err);
    }

    if (rc == PHOTA_OK) {
        rc = phota_ledger_verify(&books_ledger, &entries, chain, &books_err);
        printf("V\t%llu\n", (unsigned long long) entries);
    }

    return rc;
}
