
/*
 * What the commands that look at the books share: which part of them is asked
 * for, how people name what is in them, and why an operator changes it.
 */


#include <string.h>

#include <jansson.h>

#include "photactl_books.h"


static int photactl_query_tenant(photactl_t *ctl, photactl_query_t *query);
static int photactl_query_state(photactl_t *ctl, unsigned *state);


int
photactl_attach(photactl_t *ctl, phota_store_t *store)
{
    ctl->store = store;

    if (phota_tenants_open(&ctl->tenants, store, &ctl->err) != PHOTA_OK
        || phota_prices_open(&ctl->prices, store, &ctl->err) != PHOTA_OK
        || phota_ledger_open(&ctl->ledger, store, &ctl->err) != PHOTA_OK
        || phota_jobs_open(&ctl->jobs, store, &ctl->err) != PHOTA_OK
        || phota_profiles_open(&ctl->profiles, store, &ctl->err) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    /* one command needs them, but who makes the books makes all their tables */

    return phota_replays_open(&ctl->replays, store, &ctl->err);
}


/* a worker's own lock is none to itself */

int
photactl_inhabited(photactl_t *ctl)
{
    return ctl->lent || phota_ledger_inhabited(&ctl->ledger);
}


int
photactl_query(photactl_t *ctl, photactl_query_t *query)
{
    int  rc;

    memset(query, 0, sizeof(photactl_query_t));

    query->ctl = ctl;
    query->now = phota_now();

    if (photactl_parse_time(ctl, PHOTACTL_OPT_FROM, &query->from) != PHOTA_OK
        || photactl_parse_time(ctl, PHOTACTL_OPT_TO, &query->to) != PHOTA_OK
        || photactl_query_state(ctl, &query->state) != PHOTA_OK)
    {
        return PHOTACTL_USAGE;
    }

    if (ctl->opts[PHOTACTL_OPT_TO] != NULL && query->to <= query->from) {
        return photactl_wrong(ctl, "--to isn't later than --from");
    }

    rc = photactl_query_tenant(ctl, query);

    return (rc == PHOTA_OK) ? photactl_names_load(ctl) : rc;
}


static int
photactl_query_tenant(photactl_t *ctl, photactl_query_t *query)
{
    const char  *name;

    name = ctl->opts[PHOTACTL_OPT_TENANT];

    if (name == NULL) {
        return PHOTA_OK;
    }

    query->one_tenant = 1;

    if (strcmp(name, "-") == 0) {
        return PHOTA_OK;
    }

    return photactl_parse_whose(ctl, PHOTACTL_OPT_TENANT, &query->tenant);
}


static int
photactl_query_state(photactl_t *ctl, unsigned *state)
{
    unsigned     i;
    const char  *text;

    text = ctl->opts[PHOTACTL_OPT_STATE];

    if (text == NULL) {
        return PHOTA_OK;
    }

    for (i = PHOTA_STATE_HELD; i <= PHOTA_STATE_REVERSED; i++) {
        if (strcmp(text, phota_state_name(i)) == 0) {
            *state = i;
            return PHOTA_OK;
        }
    }

    return photactl_wrong(ctl, "--state \"%.64s\": not held, settled, void, "
                          "unknown or reversed", text);
}


int
photactl_query_wants(const photactl_query_t *query, uint32_t tenant)
{
    return !query->one_tenant || query->tenant == tenant;
}


int
photactl_parse_day(photactl_t *ctl, photactl_opt_e opt, uint64_t *ms)
{
    if (photactl_parse_time(ctl, opt, ms) != PHOTA_OK) {
        return PHOTACTL_USAGE;
    }

    if (*ms % PHOTACTL_DAY != 0) {
        ctl->blamed = ctl->opts[opt];

        return photactl_wrong(ctl, "\"%.64s\": not the beginning of a day in "
                              "UTC (as 2026-11-21)", ctl->opts[opt]);
    }

    return PHOTA_OK;
}


int
photactl_parse_charge(photactl_t *ctl, phota_id_t *id)
{
    if (phota_id_parse(id, ctl->args[0], strlen(ctl->args[0])) != PHOTA_OK) {
        ctl->blamed = ctl->args[0];

        return photactl_wrong(ctl, "\"%.64s\": not the id of a charge",
                              ctl->args[0]);
    }

    return PHOTA_OK;
}


int
photactl_parse_note(photactl_t *ctl, char note[PHOTA_NOTE_MAX + 1])
{
    size_t       len;
    json_t      *json;
    const char  *p, *text;

    text = ctl->opts[PHOTACTL_OPT_REASON];

    if (text == NULL || text[strspn(text, " ")] == '\0') {
        return photactl_wrong(ctl, "--reason: say why, it stays in the "
                              "books");
    }

    len = strlen(text);

    if (len > PHOTA_NOTE_MAX) {
        return photactl_wrong(ctl, "--reason: longer than %d bytes",
                              PHOTA_NOTE_MAX);
    }

    for (p = text; *p != '\0'; p++) {
        if ((u_char) *p < ' ' || *p == 0x7f) {
            return photactl_wrong(ctl, "--reason: has a control character");
        }
    }

    /* what no export could carry isn't taken either */

    json = json_string(text);
    if (json == NULL) {
        return photactl_wrong(ctl, "--reason: not UTF-8");
    }

    json_decref(json);
    memcpy(note, text, len + 1);

    return PHOTA_OK;
}


const char *
photactl_whose(photactl_t *ctl, uint32_t tenant, char buf[PHOTACTL_WHOSE])
{
    return (tenant == 0) ? "-" : photactl_name(ctl, tenant, buf);
}


const char *
photactl_why(unsigned reason)
{
    return (reason == PHOTA_REASON_NONE) ? "" : phota_reason_name(reason);
}


void
photactl_day_format(char buf[PHOTA_TIME_TEXT], uint32_t day)
{
    phota_time_format(buf, day * PHOTACTL_DAY);

    buf[sizeof("2026-11-21") - 1] = '\0';
}
