
/*
 * photactl ledger export: every entry that moved money as a line of CSV, JSON,
 * a CloudEvent or a row of FOCUS, with what it changed, so that the sum of all
 * lines is what usage says.  Free hits are made entries first.
 */


#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "photactl_export.h"


#define PHOTACTL_TALLY           1000   /* entries in a transaction */
#define PHOTACTL_ISSUER          "nginx-phota"
#define PHOTACTL_EXPORT_COLUMNS  photactl_columns(photactl_export_columns)


typedef enum {
    PHOTACTL_EXPORT_CSV = 0,
    PHOTACTL_EXPORT_JSON,
    PHOTACTL_EXPORT_CLOUDEVENTS,
    PHOTACTL_EXPORT_FOCUS,
    PHOTACTL_EXPORT_MAX
} photactl_export_e;


static int photactl_export_options(photactl_t *ctl,
    photactl_export_t *export);
static int photactl_export_issuer(photactl_t *ctl,
    photactl_export_t *export);
static int photactl_export_prepare(photactl_t *ctl);
static int photactl_export_tally(photactl_t *ctl);
static int photactl_export_run(photactl_t *ctl, photactl_export_t *export);
static int photactl_export_source(photactl_t *ctl,
    photactl_export_t *export);
static int photactl_export_source_entry(void *ctx,
    const phota_entry_t *entry);
static int photactl_export_entry(void *ctx, const phota_entry_t *entry);
static int photactl_export_line(photactl_export_t *export,
    const phota_entry_t *entry);
static json_t *photactl_export_event(photactl_export_t *export,
    const phota_entry_t *entry, const char *whose, json_t *data);
static int photactl_export_finish(photactl_t *ctl,
    photactl_export_t *export);


static const char  *photactl_export_formats[] = {
    "csv", "json", "cloudevents", "focus"
};


static const photactl_column_t  photactl_export_columns[] = {
    { "sequence", NULL, PHOTACTL_NUMBER },
    { "time", NULL, PHOTACTL_TIME },
    { "type", NULL, PHOTACTL_TEXT },
    { "day", NULL, PHOTACTL_TEXT },
    { "charge_id", NULL, PHOTACTL_TEXT },
    { "tenant", NULL, PHOTACTL_TEXT },
    { "token_id", NULL, PHOTACTL_NUMBER },
    { "operation", NULL, PHOTACTL_TEXT },
    { "cache", NULL, PHOTACTL_TEXT },
    { "calls", NULL, PHOTACTL_NUMBER },
    { "hits", NULL, PHOTACTL_NUMBER },
    { "outputs", NULL, PHOTACTL_NUMBER },
    { "identity_outputs", NULL, PHOTACTL_NUMBER },
    { "cost", NULL, PHOTACTL_MONEY },
    { "price", NULL, PHOTACTL_MONEY },
    { "saved", NULL, PHOTACTL_MONEY },
    { "tag", NULL, PHOTACTL_TEXT },
    { "upstream_request_id", NULL, PHOTACTL_TEXT },
    { "fingerprint", NULL, PHOTACTL_TEXT },
    { "estimated", NULL, PHOTACTL_BOOL },
    { "billed", NULL, PHOTACTL_BOOL },
    { "reason", NULL, PHOTACTL_TEXT },
    { "by", NULL, PHOTACTL_TEXT },
    { "note", NULL, PHOTACTL_TEXT }
};


int
photactl_ledger_export(photactl_t *ctl)
{
    int                rc;
    photactl_export_t  export;

    memset(&export, 0, sizeof(export));
    memset(export.cursor.mark, '0', PHOTACTL_MARK);
    export.cursor.fd = -1;

    rc = photactl_export_options(ctl, &export);

    if (rc == PHOTA_OK) {
        rc = photactl_export_prepare(ctl);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_query(ctl, &export.query);
    }

    if (rc == PHOTA_OK && ctl->opts[PHOTACTL_OPT_CURSOR] != NULL) {
        rc = photactl_cursor_open(ctl, &export.cursor,
                                  ctl->opts[PHOTACTL_OPT_CURSOR]);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_cursor_check(ctl, &export.cursor);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_export_run(ctl, &export);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_export_finish(ctl, &export);
    }

    photactl_cursor_close(&export.cursor);

    return rc;
}


static int
photactl_export_options(photactl_t *ctl, photactl_export_t *export)
{
    unsigned     i;
    const char  *text;

    text = ctl->opts[PHOTACTL_OPT_FORMAT];

    if (text == NULL) {
        text = (ctl->opts[PHOTACTL_OPT_JSON] != NULL) ? "json" : "csv";
    }

    for (i = 0; i < PHOTACTL_EXPORT_MAX; i++) {
        if (strcmp(text, photactl_export_formats[i]) == 0) {
            break;
        }
    }

    if (i == PHOTACTL_EXPORT_MAX) {
        return photactl_wrong(ctl, "--format \"%.64s\": not csv, json, "
                              "cloudevents or focus", text);
    }

    export->format = i;
    ctl->plain = (i == PHOTACTL_EXPORT_CSV || i == PHOTACTL_EXPORT_FOCUS);

    if (photactl_export_issuer(ctl, export) != PHOTA_OK) {
        return PHOTACTL_USAGE;
    }

    text = ctl->opts[PHOTACTL_OPT_AFTER];

    if (text == NULL) {
        return PHOTA_OK;
    }

    if (ctl->opts[PHOTACTL_OPT_CURSOR] != NULL) {
        return photactl_wrong(ctl, "--after and --cursor: say one of them");
    }

    return photactl_cursor_parse(ctl, &export->cursor, text);
}


static int
photactl_export_issuer(photactl_t *ctl, photactl_export_t *export)
{
    size_t       i;
    json_t      *json;
    const char  *text;

    text = ctl->opts[PHOTACTL_OPT_LABEL];
    export->issuer = (text != NULL) ? text : PHOTACTL_ISSUER;

    if (text == NULL) {
        return PHOTA_OK;
    }

    if (export->format != PHOTACTL_EXPORT_FOCUS) {
        return photactl_wrong(ctl, "--label: only FOCUS names an issuer");
    }

    json = json_string(text);
    i = 0;

    while ((u_char) text[i] >= ' ' && text[i] != 0x7f) {
        i++;
    }

    if (json == NULL || text[i] != '\0' || i == 0 || i > PHOTA_NAME_MAX) {
        json_decref(json);
        return photactl_wrong(ctl, "--label: not 1 to %d printable bytes",
                              PHOTA_NAME_MAX);
    }

    json_decref(json);

    return PHOTA_OK;
}


/* free hits get entries; where that can't be, they are in the next export */

static int
photactl_export_prepare(photactl_t *ctl)
{
    if (ctl->store->flags & PHOTA_STORE_RDONLY) {
        return PHOTA_OK;
    }

    if (photactl_export_tally(ctl) == PHOTA_OK) {
        return PHOTA_OK;
    }

    if (ctl->host->reread != NULL) {
        return ctl->host->reread(ctl);
    }

    photactl_note(ctl, "the latest free hits are missing: %s", ctl->err.text);

    return PHOTA_OK;
}


static int
photactl_export_tally(photactl_t *ctl)
{
    int       rc, more;
    MDB_txn  *txn;

    do {
        more = 0;

        rc = phota_store_begin(ctl->store, 1, &txn, &ctl->err);
        if (rc != PHOTA_OK) {
            return rc;
        }

        rc = phota_ledger_tally(&ctl->ledger, txn, PHOTACTL_TALLY, &more,
                                &ctl->err);
        if (rc != PHOTA_OK) {
            phota_store_abort(txn);
            return rc;
        }

        rc = phota_store_commit(txn, &ctl->err);

    } while (rc == PHOTA_OK && more);

    return rc;
}


static int
photactl_export_run(photactl_t *ctl, photactl_export_t *export)
{
    int  rc;

    switch (export->format) {

    case PHOTACTL_EXPORT_CSV:
        photactl_sheet_head(ctl->out, photactl_export_columns,
                            PHOTACTL_EXPORT_COLUMNS);
        break;

    case PHOTACTL_EXPORT_FOCUS:
        photactl_focus_head(ctl->out);
        break;
    }

    rc = photactl_export_source(ctl, export);

    if (rc == PHOTA_OK) {
        rc = phota_ledger_entries(&ctl->ledger, export->cursor.sequence,
                                  photactl_export_entry, export, &ctl->err);
    }

    return (rc == PHOTA_DECLINED || rc == PHOTACTL_FULL) ? PHOTA_OK : rc;
}


/*
 * Where events and invoices come from is named by the first entry of the books:
 * it stays the same when they are moved, restored or archived.
 */

static int
photactl_export_source(photactl_t *ctl, photactl_export_t *export)
{
    int                rc;
    photactl_cursor_t  first;

    memset(&first, 0, sizeof(first));

    rc = phota_ledger_entries(&ctl->ledger, 0, photactl_export_source_entry,
                              &first, &ctl->err);

    if (rc == PHOTA_OK || rc == PHOTA_DECLINED) {
        (void) snprintf(export->source, sizeof(export->source), "/phota/%s",
                        first.mark);
        return PHOTA_OK;
    }

    return rc;
}


static int
photactl_export_source_entry(void *ctx, const phota_entry_t *entry)
{
    return (photactl_cursor_set(ctx, entry) == PHOTA_OK) ? PHOTA_DECLINED
                                                         : PHOTA_ERROR;
}


/* PHOTA_DECLINED: from here on entries are later than --to */

static int
photactl_export_entry(void *ctx, const phota_entry_t *entry)
{
    photactl_export_t  *export = ctx;

    int  rc;

    if (export->query.to != 0 && entry->time >= export->query.to) {
        return PHOTA_DECLINED;
    }

    rc = PHOTA_OK;

    switch (entry->type) {

    case PHOTA_ENTRY_SETTLED:
    case PHOTA_ENTRY_REVERSED:
    case PHOTA_ENTRY_CORRECTED:
    case PHOTA_ENTRY_HITS:
        if (photactl_query_wants(&export->query, entry->charge.tenant)) {
            rc = photactl_page_number(export->query.ctl, entry->sequence);

            if (rc == PHOTA_OK) {
                rc = photactl_export_line(export, entry);
            }
        }

        break;
    }

    /* a line that is left for the next page isn't behind the cursor */

    if (rc != PHOTACTL_FULL) {
        export->last = *entry;
    }

    return rc;
}


static int
photactl_export_line(photactl_export_t *export, const phota_entry_t *entry)
{
    char                   id[PHOTA_ID_TEXT], whose[PHOTACTL_WHOSE];
    char                   hex[2 * PHOTA_SHA256_LEN + 1];
    char                   day[PHOTA_TIME_TEXT];
    json_t                *json;
    const char            *tenant;
    unsigned               hits;
    const phota_sum_t     *delta;
    const phota_charge_t  *charge;

    if (export->format == PHOTACTL_EXPORT_FOCUS) {
        return photactl_focus_row(export, entry);
    }

    delta = &entry->delta;
    charge = &entry->charge;
    hits = (entry->type == PHOTA_ENTRY_HITS);
    tenant = photactl_export_whose(export, charge->tenant, whose);

    id[0] = '\0';
    hex[0] = '\0';

    /* free hits are no charge */

    if (!hits) {
        phota_id_format(id, &charge->id);
        phota_hex_format(hex, charge->fingerprint, PHOTA_SHA256_LEN);
    }

    /* all zeros: a line of a bill has none */

    if (strspn(hex, "0") == 2 * PHOTA_SHA256_LEN) {
        hex[0] = '\0';
    }

    photactl_day_format(day, entry->day);

    photactl_value_t  values[PHOTACTL_EXPORT_COLUMNS] = {
        photactl_number(entry->sequence),
        photactl_time(entry->time),
        photactl_text(phota_entry_name(entry->type)),
        photactl_text(day),
        photactl_text(id),
        photactl_text(tenant),
        photactl_number(charge->token),
        photactl_text(phota_operation_name(charge->operation)),
        photactl_text(phota_cached_name(hits ? PHOTA_CACHED_HIT
                                             : charge->cached)),
        photactl_number(delta->calls),
        photactl_number(delta->hits),
        photactl_number(delta->outputs),
        photactl_number(delta->identity_outputs),
        photactl_money(delta->cost),
        photactl_money(delta->price),
        photactl_money(delta->saved),
        photactl_text(charge->tag),
        photactl_text(charge->request_id),
        photactl_text(hex),
        photactl_bool((charge->terms.flags & PHOTA_TERMS_ESTIMATED) != 0),
        photactl_bool((charge->flags & PHOTA_CHARGE_BILLED) != 0),
        photactl_text(photactl_why(charge->reason)),
        photactl_text(entry->by),
        photactl_text(entry->note)
    };

    if (export->format == PHOTACTL_EXPORT_CSV) {
        photactl_sheet_row(export->query.ctl->out, photactl_export_columns,
                           PHOTACTL_EXPORT_COLUMNS, values);
        return PHOTA_OK;
    }

    json = photactl_object(photactl_export_columns, PHOTACTL_EXPORT_COLUMNS,
                           values);

    if (export->format == PHOTACTL_EXPORT_CLOUDEVENTS) {
        json = photactl_export_event(export, entry, tenant, json);
    }

    return photactl_print(export->query.ctl, json);
}


/*
 * CloudEvents 1.0, structured.  The entry by which a charge began to count has
 * the charge's id, as an event that is sent twice has to have the same one;
 * what came after has the number of its entry too.  Takes data over.
 */

static json_t *
photactl_export_event(photactl_export_t *export, const phota_entry_t *entry,
    const char *whose, json_t *data)
{
    int      rc;
    char     id[PHOTA_ID_TEXT], name[64], time[PHOTA_TIME_TEXT], type[64];
    json_t  *event;

    phota_id_format(id, &entry->charge.id);
    phota_time_format(time, entry->time);

    (void) snprintf(type, sizeof(type), "dev.nginx-phota.charge.%s",
                    phota_entry_name(entry->type));

    if (entry->type == PHOTA_ENTRY_HITS) {
        (void) snprintf(name, sizeof(name), "hits-%llu",
                        (unsigned long long) entry->sequence);
        (void) snprintf(type, sizeof(type), "dev.nginx-phota.hits");

    } else if (entry->delta.calls > 0) {
        (void) snprintf(name, sizeof(name), "%s", id);

    } else {
        (void) snprintf(name, sizeof(name), "%s.%llu", id,
                        (unsigned long long) entry->sequence);
    }

    event = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "specversion", "1.0",
                      "id", name, "source", export->source, "type", type,
                      "time", time, "datacontenttype", "application/json");

    rc = 0;

    if (entry->charge.tenant != 0) {
        rc = json_object_set_new(event, "subject", json_string(whose));
    }

    if (rc != 0) {
        json_decref(data);
        data = NULL;
    }

    if (json_object_set_new(event, "data", data) != 0) {
        json_decref(event);
        return NULL;
    }

    return event;
}


/* whoever came since the names were read has one as well */

const char *
photactl_export_whose(photactl_export_t *export, uint32_t tenant,
    char buf[PHOTACTL_WHOSE])
{
    const char  *name;
    photactl_t  *ctl;

    ctl = export->query.ctl;
    name = photactl_whose(ctl, tenant, buf);

    if (name != buf || tenant == export->stranger) {
        return name;
    }

    ctl->names.n = 0;
    export->stranger = tenant;

    (void) photactl_names_load(ctl);

    return photactl_whose(ctl, tenant, buf);
}


/* the cursor goes where it is kept when all lines are where they are kept */

static int
photactl_export_finish(photactl_t *ctl, photactl_export_t *export)
{
    int          fd;
    struct stat  st;

    fd = fileno(ctl->out);

    if (fflush(ctl->out) != 0 || ferror(ctl->out)
        || (fd != -1 && (fstat(fd, &st) == -1
                         || (S_ISREG(st.st_mode) && fsync(fd) == -1))))
    {
        phota_error(&ctl->err, "the output can't be written");
        return PHOTA_ERROR;
    }

    if (export->last.sequence != 0
        && photactl_cursor_set(&export->cursor, &export->last) != PHOTA_OK)
    {
        phota_error(&ctl->err, "OpenSSL has no SHA-256, or no memory");
        return PHOTA_ERROR;
    }

    if (export->cursor.fd != -1) {
        return photactl_cursor_save(ctl, &export->cursor);
    }

    photactl_cursor_format(ctl->cursor, &export->cursor);

    return PHOTA_OK;
}
