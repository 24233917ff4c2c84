
/*
 * FOCUS 1.2: rows of cost and usage, for tools that compare vendors.  All
 * columns that are mandatory, those recommended or conditional that the books
 * can fill truthfully, and our own behind them.
 *
 * It is the operator's bill to the tenants: BilledCost is the price, and there
 * are neither commitments nor published unit prices, so list, contracted and
 * effective cost are that too.  What the provider bills the operator, and what
 * a hit saved, are x_Cost and x_Saved.  The billing account is the books, a
 * tenant is a sub account of it.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "photactl_export.h"


#define PHOTACTL_FOCUS_COLUMNS  photactl_columns(photactl_focus_columns)
#define PHOTACTL_FOCUS_TIME     24


/* texts of a row that are made for it */

typedef struct {
    char               day[PHOTACTL_FOCUS_TIME];
    char               day_end[PHOTACTL_FOCUS_TIME];
    char               month[PHOTACTL_FOCUS_TIME];
    char               month_end[PHOTACTL_FOCUS_TIME];
    char               charge[PHOTA_ID_TEXT];
    char               token[16];
    char               description[96];
    char               buf[PHOTACTL_WHOSE];
    const char        *whose;           /* "": nobody's */
    char              *tags;            /* NULL: none */
} photactl_focus_t;


static int photactl_focus_texts(photactl_export_t *export,
    const phota_entry_t *entry, photactl_focus_t *focus);
static void photactl_focus_periods(photactl_focus_t *focus, uint32_t day);
static void photactl_focus_time(char buf[PHOTACTL_FOCUS_TIME], time_t sec);
static void photactl_focus_month(struct tm *tm, uint32_t day);
static const char *photactl_focus_class(const phota_entry_t *entry);
static const char *photactl_focus_what(const phota_entry_t *entry);
static void photactl_focus_print(const photactl_export_t *export,
    const phota_entry_t *entry, const photactl_focus_t *focus);


static const photactl_column_t  photactl_focus_columns[] = {
    { "BilledCost", NULL, PHOTACTL_MONEY },
    { "BillingAccountId", NULL, PHOTACTL_TEXT },
    { "BillingAccountName", NULL, PHOTACTL_TEXT },
    { "BillingCurrency", NULL, PHOTACTL_TEXT },
    { "BillingPeriodEnd", NULL, PHOTACTL_TEXT },
    { "BillingPeriodStart", NULL, PHOTACTL_TEXT },
    { "ChargeCategory", NULL, PHOTACTL_TEXT },
    { "ChargeClass", NULL, PHOTACTL_TEXT },
    { "ChargeDescription", NULL, PHOTACTL_TEXT },
    { "ChargeFrequency", NULL, PHOTACTL_TEXT },
    { "ChargePeriodEnd", NULL, PHOTACTL_TEXT },
    { "ChargePeriodStart", NULL, PHOTACTL_TEXT },
    { "ConsumedQuantity", NULL, PHOTACTL_NUMBER },
    { "ConsumedUnit", NULL, PHOTACTL_TEXT },
    { "ContractedCost", NULL, PHOTACTL_MONEY },
    { "EffectiveCost", NULL, PHOTACTL_MONEY },
    { "InvoiceIssuerName", NULL, PHOTACTL_TEXT },
    { "ListCost", NULL, PHOTACTL_MONEY },
    { "PricingQuantity", NULL, PHOTACTL_NUMBER },
    { "PricingUnit", NULL, PHOTACTL_TEXT },
    { "ProviderName", NULL, PHOTACTL_TEXT },
    { "PublisherName", NULL, PHOTACTL_TEXT },
    { "ServiceCategory", NULL, PHOTACTL_TEXT },
    { "ServiceName", NULL, PHOTACTL_TEXT },
    { "ServiceSubcategory", NULL, PHOTACTL_TEXT },
    { "SubAccountId", NULL, PHOTACTL_TEXT },
    { "SubAccountName", NULL, PHOTACTL_TEXT },
    { "Tags", NULL, PHOTACTL_TEXT },

    { "x_Sequence", NULL, PHOTACTL_NUMBER },
    { "x_EntryType", NULL, PHOTACTL_TEXT },
    { "x_ChargeId", NULL, PHOTACTL_TEXT },
    { "x_Operation", NULL, PHOTACTL_TEXT },
    { "x_TokenId", NULL, PHOTACTL_TEXT },
    { "x_UpstreamRequestId", NULL, PHOTACTL_TEXT },
    { "x_Calls", NULL, PHOTACTL_NUMBER },
    { "x_Hits", NULL, PHOTACTL_NUMBER },
    { "x_Outputs", NULL, PHOTACTL_NUMBER },
    { "x_IdentityOutputs", NULL, PHOTACTL_NUMBER },
    { "x_Cost", NULL, PHOTACTL_MONEY },
    { "x_Saved", NULL, PHOTACTL_MONEY },
    { "x_Estimated", NULL, PHOTACTL_BOOL }
};


void
photactl_focus_head(FILE *out)
{
    photactl_sheet_head(out, photactl_focus_columns, PHOTACTL_FOCUS_COLUMNS);
}


int
photactl_focus_row(photactl_export_t *export, const phota_entry_t *entry)
{
    photactl_focus_t  focus;

    if (photactl_focus_texts(export, entry, &focus) != PHOTA_OK) {
        phota_error(&export->query.ctl->err, "no memory for the output");
        return PHOTA_ERROR;
    }

    photactl_focus_print(export, entry, &focus);
    free(focus.tags);

    return PHOTA_OK;
}


static int
photactl_focus_texts(photactl_export_t *export, const phota_entry_t *entry,
    photactl_focus_t *focus)
{
    json_t                *json;
    const phota_charge_t  *charge;

    memset(focus, 0, sizeof(photactl_focus_t));

    charge = &entry->charge;

    photactl_focus_periods(focus, entry->day);

    focus->whose = "";

    if (charge->tenant != 0) {
        focus->whose = photactl_export_whose(export, charge->tenant,
                                             focus->buf);
    }

    (void) snprintf(focus->description, sizeof(focus->description), "%s, %s",
                    phota_operation_name(charge->operation),
                    photactl_focus_what(entry));

    if (entry->type != PHOTA_ENTRY_HITS) {
        phota_id_format(focus->charge, &charge->id);
    }

    if (charge->token != 0) {
        (void) snprintf(focus->token, sizeof(focus->token), "%u",
                        (unsigned) charge->token);
    }

    if (charge->tag[0] == '\0') {
        return PHOTA_OK;
    }

    json = json_pack("{s:s}", "tag", charge->tag);
    focus->tags = (json != NULL) ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);

    return (focus->tags != NULL) ? PHOTA_OK : PHOTA_ERROR;
}


/* the UTC day and month on which the entry counts */

static void
photactl_focus_periods(photactl_focus_t *focus, uint32_t day)
{
    time_t     sec;
    struct tm  tm;

    sec = (time_t) day * 86400;

    photactl_focus_time(focus->day, sec);
    photactl_focus_time(focus->day_end, sec + 86400);

    photactl_focus_month(&tm, day);
    photactl_focus_time(focus->month, timegm(&tm));

    photactl_focus_month(&tm, day);
    tm.tm_mon++;
    photactl_focus_time(focus->month_end, timegm(&tm));
}


static void
photactl_focus_time(char buf[PHOTACTL_FOCUS_TIME], time_t sec)
{
    struct tm  tm;

    memset(&tm, 0, sizeof(tm));

    (void) gmtime_r(&sec, &tm);
    (void) strftime(buf, PHOTACTL_FOCUS_TIME, "%Y-%m-%dT%H:%M:%SZ", &tm);
}


static void
photactl_focus_month(struct tm *tm, uint32_t day)
{
    time_t  sec;

    sec = (time_t) day * 86400;
    memset(tm, 0, sizeof(struct tm));

    (void) gmtime_r(&sec, tm);
    tm->tm_mday = 1;
}


/* of a month that may have been invoiced, not of the one that is open */

static const char *
photactl_focus_class(const phota_entry_t *entry)
{
    struct tm  charged, counted;

    if (entry->type != PHOTA_ENTRY_CORRECTED
        && entry->type != PHOTA_ENTRY_REVERSED)
    {
        return "";
    }

    photactl_focus_month(&charged,
                         (uint32_t) (entry->charge.time / PHOTACTL_DAY));
    photactl_focus_month(&counted, entry->day);

    return (charged.tm_year == counted.tm_year
            && charged.tm_mon == counted.tm_mon) ? "" : "Correction";
}


static const char *
photactl_focus_what(const phota_entry_t *entry)
{
    switch (entry->type) {

    case PHOTA_ENTRY_REVERSED:
        return "taken back";

    case PHOTA_ENTRY_CORRECTED:
        return "corrected";

    case PHOTA_ENTRY_HITS:
        return "answered from the cache";
    }

    switch (entry->charge.cached) {

    case PHOTA_CACHED_HIT:
        return "answered from the cache";

    case PHOTA_CACHED_JOIN:
        return "answered with another's";
    }

    return "bought";
}


static void
photactl_focus_print(const photactl_export_t *export,
    const phota_entry_t *entry, const photactl_focus_t *focus)
{
    int64_t                quantity;
    const char            *unit, *publisher;
    const phota_sum_t     *delta;
    const phota_charge_t  *charge;

    delta = &entry->delta;
    charge = &entry->charge;

    /* images are bought; a hit delivers some, but what counts is that it hit */

    unit = (delta->hits != 0) ? "Requests" : "Images";
    quantity = (delta->hits != 0) ? delta->hits : delta->outputs;

    publisher = (charge->provider < PHOTA_PROVIDER_MAX)
                ? (const char *) phota_providers[charge->provider].title.data
                : "unknown";

    photactl_value_t  values[PHOTACTL_FOCUS_COLUMNS] = {
        photactl_money(delta->price),
        photactl_text(export->source),
        photactl_text(""),
        photactl_text("USD"),
        photactl_text(focus->month_end),
        photactl_text(focus->month),
        photactl_text("Usage"),
        photactl_text(photactl_focus_class(entry)),
        photactl_text(focus->description),
        photactl_text("Usage-Based"),
        photactl_text(focus->day_end),
        photactl_text(focus->day),
        photactl_number(quantity),
        photactl_text(unit),
        photactl_money(delta->price),
        photactl_money(delta->price),
        photactl_text(export->issuer),
        photactl_money(delta->price),
        photactl_number(quantity),
        photactl_text(unit),
        photactl_text(export->issuer),
        photactl_text(publisher),
        photactl_text("AI and Machine Learning"),
        photactl_text(publisher),
        photactl_text("Generative AI"),
        photactl_text(focus->whose),
        photactl_text(focus->whose),
        photactl_text(focus->tags != NULL ? focus->tags : ""),

        photactl_number(entry->sequence),
        photactl_text(phota_entry_name(entry->type)),
        photactl_text(focus->charge),
        photactl_text(phota_operation_name(charge->operation)),
        photactl_text(focus->token),
        photactl_text(charge->request_id),
        photactl_number(delta->calls),
        photactl_number(delta->hits),
        photactl_number(delta->outputs),
        photactl_number(delta->identity_outputs),
        photactl_money(delta->cost),
        photactl_money(delta->saved),
        photactl_bool((charge->terms.flags & PHOTA_TERMS_ESTIMATED) != 0)
    };

    photactl_sheet_row(export->query.ctl->out, photactl_focus_columns,
                       PHOTACTL_FOCUS_COLUMNS,
                       values);
}
