
/*
 * photactl reconcile: compares a bill with the books, shows the differences
 * and, with --apply, what became of them.  Of two that apply at once the second
 * is refused.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "photactl_reconcile.h"


static int photactl_reconcile_period(photactl_t *ctl, photactl_bill_t *bill);
static int photactl_reconcile_tenant(photactl_match_t *match);
static int photactl_reconcile_lock(photactl_t *ctl, int *fd);
static int photactl_reconcile_run(photactl_match_t *match);
static void photactl_reconcile_notes(photactl_match_t *match);
static int photactl_reconcile_show(photactl_match_t *match);
static int photactl_reconcile_row(photactl_match_t *match,
    photactl_table_t *table, const photactl_item_t *item);
static const char *photactl_resolution(const photactl_item_t *item);
static int photactl_reconcile_sum(photactl_match_t *match);
static int photactl_reconcile_verdict(photactl_match_t *match);


static const char  *photactl_classes[] = {
    "billed_not_charged",
    "charged_not_billed",
    "different_amount"
};


static const photactl_column_t  photactl_item_columns[] = {
    { "class", "CLASS", PHOTACTL_TEXT },
    { "charge_id", "CHARGE", PHOTACTL_TEXT },
    { "upstream_request_id", "REQUEST", PHOTACTL_TEXT },
    { "tenant", "TENANT", PHOTACTL_TEXT },
    { "billed", "BILLED", PHOTACTL_MONEY },
    { "charged", "CHARGED", PHOTACTL_MONEY },
    { "state", "STATE", PHOTACTL_TEXT },
    { "resolution", "RESOLUTION", PHOTACTL_TEXT },
    { "line", NULL, PHOTACTL_NUMBER }
};


static const photactl_column_t  photactl_sum_columns[] = {
    { "class", NULL, PHOTACTL_TEXT },
    { "lines", NULL, PHOTACTL_NUMBER },
    { "repeated", NULL, PHOTACTL_NUMBER },
    { "outside", NULL, PHOTACTL_NUMBER },
    { "matched", NULL, PHOTACTL_NUMBER },
    { "billed_not_charged", NULL, PHOTACTL_NUMBER },
    { "charged_not_billed", NULL, PHOTACTL_NUMBER },
    { "different_amount", NULL, PHOTACTL_NUMBER },
    { "corrected", NULL, PHOTACTL_NUMBER },
    { "left", NULL, PHOTACTL_NUMBER },
    { "billed", NULL, PHOTACTL_MONEY },
    { "charged", NULL, PHOTACTL_MONEY },
    { "difference", NULL, PHOTACTL_MONEY }
};


int
photactl_reconcile(photactl_t *ctl)
{
    int               rc, fd;
    photactl_match_t  match;

    memset(&match, 0, sizeof(photactl_match_t));
    match.ctl = ctl;
    fd = -1;

    rc = photactl_reconcile_period(ctl, &match.bill);

    if (rc == PHOTA_OK && ctl->opts[PHOTACTL_OPT_TENANT] != NULL) {
        rc = photactl_reconcile_tenant(&match);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_names_load(ctl);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_bill_read(ctl, &match.bill);
    }

    if (rc == PHOTA_OK && ctl->opts[PHOTACTL_OPT_APPLY] != NULL) {
        rc = photactl_reconcile_lock(ctl, &fd);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_reconcile_run(&match);
    }

    if (fd != -1) {
        (void) close(fd);
    }

    photactl_match_free(&match);
    phota_directory_destroy(match.directory);

    return rc;
}


static int
photactl_reconcile_period(photactl_t *ctl, photactl_bill_t *bill)
{
    if (photactl_parse_time(ctl, PHOTACTL_OPT_FROM, &bill->from) != PHOTA_OK
        || photactl_parse_time(ctl, PHOTACTL_OPT_TO, &bill->to) != PHOTA_OK)
    {
        return PHOTACTL_USAGE;
    }

    if (ctl->opts[PHOTACTL_OPT_TO] != NULL && bill->to <= bill->from) {
        return photactl_wrong(ctl, "--to isn't later than --from");
    }

    return PHOTA_OK;
}


/* whose day and month a line falls in goes by his zone */

static int
photactl_reconcile_tenant(photactl_match_t *match)
{
    int          rc;
    photactl_t  *ctl;

    ctl = match->ctl;

    if (ctl->opts[PHOTACTL_OPT_TENANT][0] == '#') {

        /* removed: he has neither plan nor zone any more */

        phota_plan_init(&match->tenant.plan);

        return photactl_parse_whose(ctl, PHOTACTL_OPT_TENANT,
                                    &match->tenant.id);
    }

    rc = phota_tenant_get(&ctl->tenants, ctl->opts[PHOTACTL_OPT_TENANT],
                          &match->tenant, &ctl->err);

    if (rc == PHOTA_OK) {
        rc = phota_directory_load(&ctl->tenants, &match->directory,
                                  &ctl->err);
    }

    if (rc == PHOTA_OK) {
        match->zone = phota_directory_zone(match->directory, &match->tenant);
    }

    return rc;
}


/*
 * Goes with the process, however that ends.  The commit of one that was killed
 * behind its last write is there, but readers don't see it before the next who
 * writes: without that its lines would be booked again.
 */

static int
photactl_reconcile_lock(photactl_t *ctl, int *fd)
{
    MDB_txn  *txn;

    *fd = open(ctl->store->path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (*fd != -1 && flock(*fd, LOCK_EX|LOCK_NB) == 0) {

        if (phota_store_begin(ctl->store, 1, &txn, &ctl->err) != PHOTA_OK) {
            return PHOTA_ERROR;
        }

        phota_store_abort(txn);

        return PHOTA_OK;
    }

    if (*fd != -1 && errno == EWOULDBLOCK) {
        phota_error(&ctl->err, "another reconcile --apply is at work");
        return PHOTA_REFUSED;
    }

    phota_error(&ctl->err, "\"%.128s\" can't be locked: %s", ctl->store->path,
                strerror(errno));

    return PHOTA_ERROR;
}


/* what was done is shown even when it couldn't be done to the end */

static int
photactl_reconcile_run(photactl_match_t *match)
{
    int  rc, shown;

    rc = photactl_match(match);

    if (rc != PHOTA_OK) {
        return rc;
    }

    photactl_reconcile_notes(match);

    if (match->ctl->opts[PHOTACTL_OPT_APPLY] != NULL) {
        rc = photactl_apply(match);
    }

    shown = photactl_reconcile_show(match);

    if (rc == PHOTA_OK) {
        rc = shown;
    }

    return (rc == PHOTA_OK) ? photactl_reconcile_verdict(match) : rc;
}


static void
photactl_reconcile_notes(photactl_match_t *match)
{
    photactl_bill_t  *bill;

    bill = &match->bill;

    if (bill->repeats != 0) {
        photactl_note(match->ctl, "note: %llu rows repeat a request id and "
                      "are added to its first",
                      (unsigned long long) bill->repeats);
    }

    if (bill->outside != 0) {
        photactl_note(match->ctl, "note: %llu rows are outside of --from and "
                      "--to", (unsigned long long) bill->outside);
    }

    if (match->end == 0) {
        photactl_note(match->ctl, "note: the bill says no times; without "
                      "--from and --to charges that it lacks aren't looked "
                      "for");
    }

    if (match->apart != 0) {
        photactl_note(match->ctl, "note: %llu charges are of tenants with "
                      "keys of their own, or that were removed, none of "
                      "which is on this bill (--tenant)",
                      (unsigned long long) match->apart);
    }
}


/* class by class */

static int
photactl_reconcile_show(photactl_match_t *match)
{
    int               rc;
    size_t            i;
    unsigned          class;
    photactl_table_t  table;

    photactl_table_init(&table, match->ctl, photactl_item_columns,
                        sizeof(photactl_item_columns)
                        / sizeof(photactl_column_t));

    rc = PHOTA_OK;

    for (class = 0; class <= PHOTACTL_DIFFERENT; class++) {
        for (i = 0; i < match->nitems && rc == PHOTA_OK; i++) {
            if (match->items[i].class == class) {
                rc = photactl_reconcile_row(match, &table, &match->items[i]);
            }
        }
    }

    if (rc != PHOTA_OK || match->nitems == 0) {
        photactl_table_free(&table);

    } else {
        rc = photactl_table_end(&table);
    }

    return (rc == PHOTA_OK) ? photactl_reconcile_sum(match) : rc;
}


static int
photactl_reconcile_row(photactl_match_t *match, photactl_table_t *table,
    const photactl_item_t *item)
{
    char               id[PHOTA_ID_TEXT], name[16];
    uint32_t           tenant;
    photactl_line_t   *line;
    photactl_claim_t  *claim;

    line = item->line ? &match->bill.lines[item->line - 1] : NULL;
    claim = item->claim ? &match->claims[item->claim - 1] : NULL;

    tenant = (claim != NULL) ? claim->tenant
             : (item->action == PHOTACTL_BOOK) ? match->tenant.id : 0;

    id[0] = '\0';

    if (item->action == PHOTACTL_BOOK && item->done) {
        phota_id_format(id, &item->booked);

    } else if (claim != NULL) {
        phota_id_format(id, &claim->id);
    }

    photactl_value_t  values[] = {
        photactl_text(photactl_classes[item->class]),
        photactl_text(id),
        photactl_text(line ? line->id : ""),
        photactl_text(tenant ? photactl_name(match->ctl, tenant, name) : ""),
        photactl_money(item->billed),
        photactl_money(item->charged),
        photactl_text(claim ? phota_state_name(claim->state) : ""),
        photactl_text(photactl_resolution(item)),
        photactl_number(line ? line->row : 0)
    };

    return photactl_table_row(table, values);
}


static const char *
photactl_resolution(const photactl_item_t *item)
{
    static const struct {
        const char  *todo;
        const char  *done;
    } names[] = {
        [PHOTACTL_SETTLE] = { "settle", "settled" },
        [PHOTACTL_CORRECT] = { "correct", "corrected" },
        [PHOTACTL_REVERSE] = { "reverse", "reversed" },
        [PHOTACTL_VOID] = { "void", "voided" },
        [PHOTACTL_BOOK] = { "book", "booked" },
        [PHOTACTL_LEFT_HELD] = { "left: may be of a call that isn't over",
                                 NULL },
        [PHOTACTL_LEFT_SHARED] = { "left: charges of several tenants have "
                                   "this request id", NULL },
        [PHOTACTL_LEFT_FOREIGN] = { "left: the charge isn't this tenant's",
                                    NULL },
        [PHOTACTL_LEFT_ARCHIVED] = { "left: the charge is archived", NULL },
        [PHOTACTL_LEFT_BEFORE] = { "left: held before the bill begins "
                                   "(--from)", NULL }
    };

    if (item->changed) {
        return "left: changed meanwhile";
    }

    return item->done ? names[item->action].done : names[item->action].todo;
}


static int
photactl_reconcile_sum(photactl_match_t *match)
{
    char                 billed[PHOTA_USD_TEXT], charged[PHOTA_USD_TEXT];
    char                 difference[PHOTA_USD_TEXT];
    size_t               i;
    uint64_t             counts[PHOTACTL_DIFFERENT + 1], done;
    photactl_bill_t     *bill;

    memset(counts, 0, sizeof(counts));
    bill = &match->bill;
    done = 0;

    for (i = 0; i < match->nitems; i++) {
        counts[match->items[i].class]++;

        if (match->items[i].done) {
            match->charged += match->items[i].billed
                              - match->items[i].charged;
            done++;
        }
    }

    if (match->ctl->opts[PHOTACTL_OPT_JSON] != NULL) {
        photactl_value_t  values[] = {
            photactl_text("summary"),
            photactl_number(bill->rows - bill->outside),
            photactl_number(bill->repeats),
            photactl_number(bill->outside),
            photactl_number(match->matched),
            photactl_number(counts[PHOTACTL_NOT_CHARGED]),
            photactl_number(counts[PHOTACTL_NOT_BILLED]),
            photactl_number(counts[PHOTACTL_DIFFERENT]),
            photactl_number(done),
            photactl_number(match->nitems - done),
            photactl_money(match->billed),
            photactl_money(match->charged),
            photactl_money(match->billed - match->charged)
        };

        return photactl_record(match->ctl, photactl_sum_columns,
                               sizeof(photactl_sum_columns)
                               / sizeof(photactl_column_t), values);
    }

    phota_usd_format(billed, match->billed);
    phota_usd_format(charged, match->charged);
    phota_usd_format(difference, match->billed - match->charged);

    (void) fprintf(match->ctl->out, "%llu lines: billed %s, charged %s, "
                   "difference %s; %llu billed and not charged, %llu charged "
                   "and not billed, %llu with another amount; "
                   "%llu corrected\n",
                   (unsigned long long) (bill->rows - bill->outside), billed,
                   charged, difference,
                   (unsigned long long) counts[PHOTACTL_NOT_CHARGED],
                   (unsigned long long) counts[PHOTACTL_NOT_BILLED],
                   (unsigned long long) counts[PHOTACTL_DIFFERENT],
                   (unsigned long long) done);

    return PHOTA_OK;
}


static int
photactl_reconcile_verdict(photactl_match_t *match)
{
    size_t  i, left;

    left = 0;

    for (i = 0; i < match->nitems; i++) {
        left += !match->items[i].done;
    }

    if (left == 0) {
        return PHOTA_OK;
    }

    if (match->ctl->opts[PHOTACTL_OPT_APPLY] == NULL) {
        phota_error(&match->ctl->err, "bill and books differ in %zu places "
                    "(--apply corrects the books)", left);

    } else {
        phota_error(&match->ctl->err, "%zu differences are left", left);
    }

    return PHOTA_REFUSED;
}
