
/*
 * photactl job: the jobs that the gateway follows, or followed, to their end at
 * the upstream, by the id that tenants know them by.
 */


#include <string.h>

#include "photactl_job.h"


/* a job of a stored result, by its name */

typedef struct {
    const char   *name;
    phota_id_t   *charge;
    unsigned      found:1;
} photactl_named_t;


static int photactl_job_state(photactl_t *ctl, unsigned *state);
static int photactl_job_row(void *ctx, const phota_job_t *job);
static int photactl_job_is_named(void *ctx, const phota_job_t *job);


/* jobs of any state are one more than those of each */

#define PHOTACTL_JOB_ANY  (PHOTA_JOB_LOST + 1)


static const photactl_column_t  photactl_job_columns[] = {
    { "job_id", "JOB", PHOTACTL_TEXT },
    { "tenant", "TENANT", PHOTACTL_TEXT },
    { "provider", NULL, PHOTACTL_TEXT },
    { "operation", "OPERATION", PHOTACTL_TEXT },
    { "kind", NULL, PHOTACTL_TEXT },
    { "state", "STATE", PHOTACTL_TEXT },
    { "submitted", "SUBMITTED", PHOTACTL_TIME },
    { "ended", "ENDED", PHOTACTL_TIME },
    { "next", NULL, PHOTACTL_TIME },
    { "polls", "POLLS", PHOTACTL_NUMBER },
    { "fetches", NULL, PHOTACTL_NUMBER },
    { "asked", NULL, PHOTACTL_NUMBER },
    { "stored", NULL, PHOTACTL_BOOL },
    { "charge_id", NULL, PHOTACTL_TEXT },
    { "upstream_id", "UPSTREAM", PHOTACTL_TEXT },
    { "client_request_id", NULL, PHOTACTL_TEXT },
    { "tag", NULL, PHOTACTL_TEXT },
    { "callback", NULL, PHOTACTL_TEXT },
    { "trouble", NULL, PHOTACTL_TEXT }
};


int
photactl_job_list(photactl_t *ctl)
{
    int               rc;
    unsigned          state;
    const char       *text;
    photactl_query_t  query;

    state = PHOTACTL_JOB_ANY;

    if (photactl_job_state(ctl, &state) != PHOTA_OK) {
        return PHOTACTL_USAGE;
    }

    /* the query would look for the states of charges */

    text = ctl->opts[PHOTACTL_OPT_STATE];
    ctl->opts[PHOTACTL_OPT_STATE] = NULL;
    rc = photactl_query(ctl, &query);
    ctl->opts[PHOTACTL_OPT_STATE] = text;

    if (rc != PHOTA_OK) {
        return rc;
    }

    query.state = state;

    photactl_table_init(&query.table, ctl, photactl_job_columns,
                        photactl_columns(photactl_job_columns));

    rc = phota_jobs_each(&ctl->jobs, query.tenant, photactl_job_row, &query,
                         &ctl->err);

    return photactl_table_close(&query.table, rc);
}


static int
photactl_job_state(photactl_t *ctl, unsigned *state)
{
    unsigned     i;
    const char  *text;

    text = ctl->opts[PHOTACTL_OPT_STATE];

    if (text == NULL) {
        return PHOTA_OK;
    }

    for (i = PHOTA_JOB_OPEN; i <= PHOTA_JOB_LOST; i++) {
        if (strcmp(text, phota_job_state_name(i)) == 0) {
            *state = i;
            return PHOTA_OK;
        }
    }

    return photactl_wrong(ctl, "--state \"%.64s\": not open, done, failed or "
                          "lost", text);
}


static int
photactl_job_row(void *ctx, const phota_job_t *job)
{
    photactl_query_t  *query = ctx;

    int          rc;
    char         id[PHOTA_JOB_NAME], charge[PHOTA_ID_TEXT];
    char         whose[PHOTACTL_WHOSE];
    const char  *provider;

    static const char  *kinds[] = { "images", "training", "stored" };

    if (!photactl_query_wants(query, job->tenant)
        || (query->state != PHOTACTL_JOB_ANY && query->state != job->state))
    {
        return PHOTA_OK;
    }

    rc = photactl_page(query->ctl, job->charge.b, sizeof(job->charge.b));

    if (rc != PHOTA_OK) {
        return (rc == PHOTA_DECLINED) ? PHOTA_OK : rc;
    }

    photactl_job_name(job, id);
    phota_id_format(charge, &job->charge);

    provider = (job->provider < PHOTA_PROVIDER_MAX)
               ? (const char *) phota_providers[job->provider].name.data
               : "?";

    photactl_value_t  values[] = {
        photactl_text(id),
        photactl_text(photactl_whose(query->ctl, job->tenant, whose)),
        photactl_text(provider),
        photactl_text(phota_operation_name(job->operation)),
        photactl_text(kinds[job->kind]),
        photactl_text(phota_job_state_name(job->state)),
        photactl_time(job->submitted),
        photactl_time(job->ended),
        photactl_time(job->due),
        photactl_number(job->polls),
        photactl_number(job->fetches),
        photactl_number(job->asked),
        photactl_bool(job->stored),
        photactl_text(charge),
        photactl_text(job->upstream),
        photactl_text(job->request_id),
        photactl_text(job->tag),
        photactl_text(phota_delivery_name(job->delivery)),
        photactl_text(job->trouble)
    };

    return photactl_table_row(&query->table, values);
}


/* a bought one is told by its charge alone: it takes no key to say it */

void
photactl_job_name(const phota_job_t *job, char name[PHOTA_JOB_NAME])
{
    phota_ticket_t   ticket;
    phota_aliases_t  none;

    if (job->kind == PHOTA_JOB_STORED) {
        (void) snprintf(name, PHOTA_JOB_NAME, "%.*s", PHOTA_JOB_NAME - 1,
                        job->upstream);
        return;
    }

    memset(&none, 0, sizeof(none));
    memset(&ticket, 0, sizeof(ticket));

    ticket.bought = 1;
    ticket.charge = job->charge;

    if (phota_ticket_format(&none, &ticket, name) != PHOTA_OK) {
        name[0] = '\0';
    }
}


int
photactl_parse_job(photactl_t *ctl, const char *text, phota_id_t *charge)
{
    int               rc;
    phota_ticket_t    ticket;
    phota_aliases_t   none;
    photactl_named_t  named;

    if (phota_id_parse(charge, text, strlen(text)) == PHOTA_OK) {
        return PHOTA_OK;
    }

    memset(&none, 0, sizeof(none));

    if (phota_ticket_parse(&none, (const u_char *) text, strlen(text),
                           phota_now() / 1000, &ticket) == PHOTA_OK
        && ticket.bought)
    {
        *charge = ticket.charge;
        return PHOTA_OK;
    }

    ctl->blamed = text;
    named.name = text;
    named.charge = charge;
    named.found = 0;

    rc = phota_jobs_each(&ctl->jobs, 0, photactl_job_is_named, &named,
                         &ctl->err);

    if (named.found) {
        return PHOTA_OK;
    }

    return (rc != PHOTA_OK)
           ? rc : photactl_wrong(ctl, "\"%.64s\": not the id of a job or of "
                                 "its charge", text);
}


/* of those that have one name it is the first that waits for a delivery */

static int
photactl_job_is_named(void *ctx, const phota_job_t *job)
{
    int                waits;
    photactl_named_t  *named = ctx;

    waits = (job->delivery == PHOTA_DELIVERY_WAITING
             || job->delivery == PHOTA_DELIVERY_GIVEN_UP);

    if (job->kind != PHOTA_JOB_STORED
        || strcmp(job->upstream, named->name) != 0
        || (named->found && !waits))
    {
        return PHOTA_OK;
    }

    *named->charge = job->charge;
    named->found = 1;

    return waits ? PHOTA_DECLINED : PHOTA_OK;
}
