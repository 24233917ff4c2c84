
/*
 * What of the bill and the books belongs together: first by request id, then
 * lines without a charge among the charges that never learnt theirs, and last
 * what is left on our side.  A tenant is never given a line that could as well
 * be another's.
 */


#include <stdlib.h>
#include <string.h>

#include "photactl_reconcile.h"


/* what could explain a line */

typedef struct {
    photactl_loose_t   *best;
    unsigned            rank;           /* of the best, the less the better */
    unsigned            several:1;      /* tenants */
    unsigned            held:1;         /* one of them may yet learn its id */
    uint32_t            tenant;
} photactl_chosen_t;


static int photactl_match_lines(photactl_match_t *match);
static int photactl_match_kept(photactl_match_t *match, uint32_t n);
static int photactl_match_line(photactl_match_t *match, uint32_t n);
static int photactl_match_more(photactl_match_t *match, uint32_t n,
    int64_t more);
static int photactl_match_less(photactl_match_t *match, uint32_t n,
    int64_t less);

static int photactl_match_nameless(photactl_match_t *match);
static int photactl_match_order(const void *one, const void *two, void *ctx);
static int photactl_match_assign(photactl_match_t *match, uint32_t n);
static void photactl_match_choose(photactl_match_t *match,
    const photactl_line_t *line, photactl_chosen_t *chosen);
static photactl_loose_t *photactl_match_next(photactl_match_t *match,
    const photactl_line_t *line, size_t *at);
static size_t photactl_match_first(photactl_match_t *match, uint64_t time);
static int photactl_match_when(photactl_match_t *match,
    const photactl_loose_t *job, const photactl_line_t *line);
static int photactl_match_fits(photactl_match_t *match,
    const photactl_loose_t *loose, const photactl_line_t *line);
static void photactl_match_contend(photactl_match_t *match,
    const photactl_line_t *line);

static int photactl_match_present(photactl_match_t *match);
static void photactl_match_begin(photactl_match_t *match);
static int photactl_match_rest(photactl_match_t *match);
static int photactl_match_unbilled(photactl_match_t *match, uint32_t n);
static int photactl_match_apart(photactl_match_t *match,
    const photactl_claim_t *claim);

static int photactl_match_item(photactl_match_t *match, unsigned class,
    unsigned action, uint32_t line, uint32_t claim, int64_t billed,
    int64_t charged);


int
photactl_match(photactl_match_t *match)
{
    int  rc;

    rc = photactl_gather(match);

    /* by its number alone anything might be meant */

    if (rc == PHOTA_OK && match->tenant.id != 0 && match->nclaims == 0
        && match->tenant.name[0] == '\0')
    {
        phota_error(&match->ctl->err, "tenant #%u: no charge of it is there",
                    (unsigned) match->tenant.id);
        return PHOTA_REFUSED;
    }

    if (rc == PHOTA_OK) {
        rc = photactl_match_lines(match);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_match_nameless(match);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_match_present(match);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_match_rest(match);
    }

    return rc;
}


void
photactl_match_free(photactl_match_t *match)
{
    photactl_bill_free(&match->bill);

    free(match->claims);
    free(match->loose);
    free(match->jobs);
    free(match->items);
    free(match->present);
}


static int
photactl_match_lines(photactl_match_t *match)
{
    int               rc;
    uint32_t          n;
    photactl_line_t  *line;

    for (n = 0; n < match->bill.n; n++) {
        line = &match->bill.lines[n];
        match->billed += line->amount;

        if (line->foreign) {
            rc = photactl_match_item(match, PHOTACTL_NOT_CHARGED,
                                     PHOTACTL_LEFT_FOREIGN, n + 1, 0,
                                     line->amount, 0);

        } else if (line->archived) {
            rc = photactl_match_kept(match, n);

        } else if (line->claim != 0) {
            rc = photactl_match_line(match, n);

        } else {
            rc = PHOTA_OK;
        }

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return PHOTA_OK;
}


static int
photactl_match_kept(photactl_match_t *match, uint32_t n)
{
    photactl_line_t  *line;

    line = &match->bill.lines[n];
    match->charged += line->kept;

    if (line->amount == line->kept) {
        match->matched++;
        return PHOTA_OK;
    }

    return photactl_match_item(match, line->kept ? PHOTACTL_DIFFERENT
                                                 : PHOTACTL_NOT_CHARGED,
                               PHOTACTL_LEFT_ARCHIVED, n + 1, 0,
                               line->amount, line->kept);
}


/* a line and the charges that have its id: one, unless ids are used twice */

static int
photactl_match_line(photactl_match_t *match, uint32_t n)
{
    int64_t            charged;
    uint32_t           i;
    unsigned           held, several;
    photactl_line_t   *line;
    photactl_claim_t  *claim, *first;

    line = &match->bill.lines[n];
    first = &match->claims[line->claim - 1];

    held = 0;
    several = 0;
    charged = 0;

    for (i = line->claim; i != 0; i = claim->next) {
        claim = &match->claims[i - 1];

        held |= (claim->state == PHOTA_STATE_HELD);
        several |= (claim->tenant != first->tenant);
        charged += claim->cost;
    }

    match->charged += charged;

    if (charged == line->amount) {
        match->matched++;

        /* one that is still unknown has nothing to do with it */

        for (i = line->claim; i != 0; i = claim->next) {
            claim = &match->claims[i - 1];

            if (claim->state == PHOTA_STATE_UNKNOWN) {
                claim->line = 0;
            }
        }

        return PHOTA_OK;
    }

    if (held || several) {
        return photactl_match_item(match, charged ? PHOTACTL_DIFFERENT
                                                  : PHOTACTL_NOT_CHARGED,
                                   held ? PHOTACTL_LEFT_HELD
                                        : PHOTACTL_LEFT_SHARED,
                                   n + 1, several ? 0 : line->claim,
                                   line->amount, charged);
    }

    return charged < line->amount
           ? photactl_match_more(match, n, line->amount - charged)
           : photactl_match_less(match, n, charged - line->amount);
}


/* what is missing goes to the charge that is most in want of it */

static int
photactl_match_more(photactl_match_t *match, uint32_t n, int64_t more)
{
    uint32_t           i, best;
    unsigned           class, action;
    photactl_claim_t  *claim;

    static const unsigned  ranks[] = {
        [PHOTA_STATE_UNKNOWN] = 4,
        [PHOTA_STATE_SETTLED] = 3,
        [PHOTA_STATE_VOID] = 2,
        [PHOTA_STATE_REVERSED] = 1
    };

    best = match->bill.lines[n].claim;

    for (i = best; i != 0; i = match->claims[i - 1].next) {
        if (ranks[match->claims[i - 1].state]
            >= ranks[match->claims[best - 1].state])
        {
            best = i;
        }
    }

    claim = &match->claims[best - 1];

    class = PHOTACTL_NOT_CHARGED;
    action = PHOTACTL_CORRECT;

    if (claim->state == PHOTA_STATE_UNKNOWN) {
        action = PHOTACTL_SETTLE;

    } else if (claim->state == PHOTA_STATE_REVERSED) {
        action = PHOTACTL_BOOK;

    } else if (claim->state == PHOTA_STATE_SETTLED && claim->cost != 0) {
        class = PHOTACTL_DIFFERENT;
    }

    return photactl_match_item(match, class, action, n + 1, best,
                               claim->cost + more, claim->cost);
}


static int
photactl_match_less(photactl_match_t *match, uint32_t n, int64_t less)
{
    int                rc;
    int64_t            cut;
    uint32_t           i;
    photactl_claim_t  *claim;

    rc = PHOTA_OK;

    for (i = match->bill.lines[n].claim; i != 0 && rc == PHOTA_OK && less > 0;
         i = match->claims[i - 1].next)
    {
        claim = &match->claims[i - 1];
        cut = (claim->cost < less) ? claim->cost : less;

        if (cut <= 0) {
            continue;
        }

        less -= cut;

        rc = photactl_match_item(match, cut == claim->cost
                                        ? PHOTACTL_NOT_BILLED
                                        : PHOTACTL_DIFFERENT,
                                 cut == claim->cost ? PHOTACTL_REVERSE
                                                    : PHOTACTL_CORRECT,
                                 n + 1, i, claim->cost - cut, claim->cost);
    }

    return rc;
}


/* lines whose id no charge has, in order of time */

static int
photactl_match_nameless(photactl_match_t *match)
{
    int               rc;
    uint32_t          i, n, *order;
    photactl_line_t  *line;

    order = malloc((match->bill.n + 1) * sizeof(uint32_t));

    if (order == NULL) {
        phota_error(&match->ctl->err, "no memory to match the bill");
        return PHOTA_ERROR;
    }

    n = 0;

    for (i = 0; i < match->bill.n; i++) {
        line = &match->bill.lines[i];

        if (line->claim != 0 || line->foreign || line->archived) {
            continue;
        }

        if (line->amount == 0) {
            match->matched++;
            continue;
        }

        order[n++] = i;
    }

    qsort_r(order, n, sizeof(uint32_t), photactl_match_order, match);

    rc = PHOTA_OK;

    for (i = 0; i < n && rc == PHOTA_OK; i++) {
        rc = photactl_match_assign(match, order[i]);
    }

    free(order);

    return rc;
}


static int
photactl_match_order(const void *one, const void *two, void *ctx)
{
    photactl_match_t  *match = ctx;

    uint32_t          a, b;
    photactl_line_t  *lines;

    a = *(const uint32_t *) one;
    b = *(const uint32_t *) two;
    lines = match->bill.lines;

    if (lines[a].time != lines[b].time) {
        return (lines[a].time > lines[b].time) ? 1 : -1;
    }

    return (a > b) - (a < b);
}


static int
photactl_match_assign(photactl_match_t *match, uint32_t n)
{
    uint32_t            i;
    photactl_line_t    *line;
    photactl_claim_t   *claim;
    photactl_chosen_t   chosen;

    line = &match->bill.lines[n];

    photactl_match_choose(match, line, &chosen);

    if (chosen.held) {
        photactl_match_contend(match, line);
        return photactl_match_item(match, PHOTACTL_NOT_CHARGED,
                                   PHOTACTL_LEFT_HELD, n + 1, 0,
                                   line->amount, 0);
    }

    if (chosen.several || chosen.best == NULL) {
        return photactl_match_item(match, PHOTACTL_NOT_CHARGED,
                                   PHOTACTL_BOOK, n + 1, 0, line->amount, 0);
    }

    i = chosen.best->claim;
    claim = &match->claims[i];

    claim->line = n + 1;
    line->claim = i + 1;

    if (claim->state == PHOTA_STATE_SETTLED) {
        match->matched++;
        match->charged += claim->cost;
        return PHOTA_OK;
    }

    return photactl_match_item(match, PHOTACTL_NOT_CHARGED,
                               claim->state == PHOTA_STATE_UNKNOWN
                               ? PHOTACTL_SETTLE : PHOTACTL_CORRECT,
                               n + 1, i + 1, line->amount, 0);
}


/*
 * Whether all that could be the line's are of one tenant, those too that
 * another line has taken; and of those that are left the earliest, the
 * settled ones first, for they need no correction.
 */

static void
photactl_match_choose(photactl_match_t *match, const photactl_line_t *line,
    photactl_chosen_t *chosen)
{
    size_t             at;
    unsigned           rank, any;
    photactl_loose_t  *loose;
    photactl_claim_t  *claim;

    any = 0;
    memset(chosen, 0, sizeof(photactl_chosen_t));

    at = photactl_match_first(match, line->time);

    while ((loose = photactl_match_next(match, line, &at)) != NULL) {

        claim = &match->claims[loose->claim];

        chosen->several |= (any && claim->tenant != chosen->tenant);
        chosen->tenant = claim->tenant;
        any = 1;

        if (claim->state == PHOTA_STATE_HELD) {
            chosen->held = 1;
            continue;
        }

        rank = (claim->state == PHOTA_STATE_SETTLED) ? 1
               : (claim->state == PHOTA_STATE_UNKNOWN) ? 2 : 3;

        if (claim->line == 0
            && (chosen->best == NULL || rank < chosen->rank))
        {
            chosen->best = loose;
            chosen->rank = rank;
        }
    }
}


/* the next that fits, those first that lie in order; NULL: no more */

static photactl_loose_t *
photactl_match_next(photactl_match_t *match, const photactl_line_t *line,
    size_t *at)
{
    uint64_t           held;
    photactl_loose_t  *loose;

    while (*at < match->nloose) {
        loose = &match->loose[(*at)++];
        held = photactl_claim_time(&match->claims[loose->claim]);

        if (line->time != 0 && held > line->time + PHOTACTL_CLOCKS) {
            *at = match->nloose;
            break;
        }

        if (photactl_match_fits(match, loose, line)) {
            return loose;
        }
    }

    while (*at - match->nloose < match->njobs) {
        loose = &match->jobs[(*at)++ - match->nloose];

        if (photactl_match_when(match, loose, line)
            && photactl_match_fits(match, loose, line))
        {
            return loose;
        }
    }

    return NULL;
}


/* the first that is late enough for a line of this time */

static size_t
photactl_match_first(photactl_match_t *match, uint64_t time)
{
    size_t    low, high, middle;
    uint64_t  held;

    low = 0;
    high = match->nloose;

    while (time != 0 && low < high) {
        middle = low + (high - low) / 2;
        held = photactl_claim_time(&match->claims[match->loose[middle].claim]);

        if (held + PHOTACTL_CALL_MAX + PHOTACTL_CLOCKS < time) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return low;
}


/* a job is billed between its beginning and its end, which is to come yet */

static int
photactl_match_when(photactl_match_t *match, const photactl_loose_t *job,
    const photactl_line_t *line)
{
    photactl_claim_t  *claim;

    claim = &match->claims[job->claim];

    if (line->time == 0) {
        return 1;
    }

    return photactl_claim_time(claim) <= line->time + PHOTACTL_CLOCKS
           && (claim->state == PHOTA_STATE_HELD
               || line->time
                  <= claim->updated + PHOTACTL_CALL_MAX + PHOTACTL_CLOCKS);
}


/* the time apart */

static int
photactl_match_fits(photactl_match_t *match, const photactl_loose_t *loose,
    const photactl_line_t *line)
{
    uint32_t           outputs, identity;
    photactl_claim_t  *claim;

    claim = &match->claims[loose->claim];

    if (line->operation != PHOTA_OP_OTHER
        && line->operation != claim->operation)
    {
        return 0;
    }

    if (claim->state == PHOTA_STATE_SETTLED) {
        return claim->cost == line->amount;
    }

    return phota_terms_outputs(&loose->terms, loose->asked, line->amount,
                               &outputs, &identity)
           == PHOTA_OK;
}


static void
photactl_match_contend(photactl_match_t *match, const photactl_line_t *line)
{
    size_t             at;
    photactl_loose_t  *loose;

    at = photactl_match_first(match, line->time);

    while ((loose = photactl_match_next(match, line, &at)) != NULL) {
        match->claims[loose->claim].contended = 1;
    }
}


/* which tenants are on the bill, and the first call that is */

static int
photactl_match_present(photactl_match_t *match)
{
    size_t             i;
    photactl_t        *ctl;
    photactl_claim_t  *claim;

    ctl = match->ctl;

    if (ctl->names.n != 0) {
        match->npresent = ctl->names.tenants[ctl->names.n - 1].id + 1;
    }

    match->present = calloc((size_t) match->npresent + 1, 1);

    if (match->present == NULL) {
        phota_error(&ctl->err, "no memory to match the bill");
        return PHOTA_ERROR;
    }

    for (i = 0; i < match->nclaims; i++) {
        claim = &match->claims[i];

        if (claim->line != 0 && claim->tenant < match->npresent) {
            match->present[claim->tenant] = 1;
        }
    }

    photactl_match_begin(match);

    return PHOTA_OK;
}


/* a period that isn't given begins with the hold of the first line */

static void
photactl_match_begin(photactl_match_t *match)
{
    size_t             i;
    uint64_t           held, time;
    photactl_claim_t  *claim;

    if (match->bill.from != 0) {
        return;
    }

    for (i = 0; i < match->nclaims; i++) {
        claim = &match->claims[i];

        if (claim->line == 0) {
            continue;
        }

        held = photactl_claim_time(claim);
        time = match->bill.lines[claim->line - 1].time;

        if (held < match->begin && time <= held + PHOTACTL_CALL_MAX) {
            match->begin = held;
        }
    }

    if (match->before > match->begin) {
        match->before = match->begin;
    }
}


static int
photactl_match_rest(photactl_match_t *match)
{
    int       rc;
    uint32_t  i;

    rc = PHOTA_OK;

    for (i = 0; i < match->nclaims && match->end != 0 && rc == PHOTA_OK; i++) {

        if (match->claims[i].line == 0 && !match->claims[i].contended) {
            rc = photactl_match_unbilled(match, i);
        }
    }

    return rc;
}


/*
 * What had ended by the bill's end is on it, or is not billed.  What is unknown
 * may have ended long after its hold, and so may the next bill's; and so may a
 * job, of which only its end says when it is over.
 */

static int
photactl_match_unbilled(photactl_match_t *match, uint32_t n)
{
    uint64_t           held;
    unsigned           over;
    photactl_claim_t  *claim;

    claim = &match->claims[n];
    held = photactl_claim_time(claim);
    over = ((claim->job ? claim->updated : held) + PHOTACTL_CALL_MAX
            < match->end);

    if (held < match->before || held > match->end) {
        return PHOTA_OK;
    }

    if (claim->state == PHOTA_STATE_SETTLED
        && (over || claim->updated <= match->end + PHOTACTL_CLOCKS))
    {
        if (photactl_match_apart(match, claim)) {
            match->apart++;
            return PHOTA_OK;
        }

        match->charged += claim->cost;

        return photactl_match_item(match, PHOTACTL_NOT_BILLED,
                                   held < match->begin ? PHOTACTL_LEFT_BEFORE
                                                       : PHOTACTL_REVERSE,
                                   0, n + 1, 0, claim->cost);
    }

    if (claim->state == PHOTA_STATE_UNKNOWN && over && held >= match->begin
        && !photactl_match_apart(match, claim))
    {
        return photactl_match_item(match, PHOTACTL_NOT_BILLED, PHOTACTL_VOID,
                                   0, n + 1, 0, 0);
    }

    return PHOTA_OK;
}


/*
 * A tenant that has a key of its own and nothing on this bill: his calls are
 * on the bill of that key.  Of one that was removed nobody knows any more
 * whether he had one.
 */

static int
photactl_match_apart(photactl_match_t *match, const photactl_claim_t *claim)
{
    size_t           i;
    phota_tenant_t  *tenant;

    if (match->tenant.id != 0
        || (claim->tenant < match->npresent && match->present[claim->tenant]))
    {
        return 0;
    }

    for (i = 0; i < match->ctl->names.n; i++) {
        tenant = &match->ctl->names.tenants[i];

        if (tenant->id == claim->tenant) {
            return (tenant->flags & PHOTA_TENANT_OWN_KEY) != 0;
        }
    }

    return 1;
}


static int
photactl_match_item(photactl_match_t *match, unsigned class, unsigned action,
    uint32_t line, uint32_t claim, int64_t billed, int64_t charged)
{
    photactl_item_t  *item;

    item = photactl_match_room(match, match->items, match->nitems,
                               &match->items_size, sizeof(photactl_item_t));
    if (item == NULL) {
        return PHOTA_ERROR;
    }

    match->items = item;
    item += match->nitems++;

    memset(item, 0, sizeof(photactl_item_t));

    item->class = (uint8_t) class;
    item->action = (uint8_t) action;
    item->line = line;
    item->claim = claim;
    item->billed = billed;
    item->charged = charged;

    return PHOTA_OK;
}
