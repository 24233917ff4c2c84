
/*
 * What tenants and tokens share on the command line: the options of budgets and
 * plans, and how both are shown.
 */


#ifndef _PHOTACTL_PLAN_H_INCLUDED_
#define _PHOTACTL_PLAN_H_INCLUDED_


#include "photactl.h"


/* a name, two amounts and what stands between them */
#define PHOTACTL_FIXED_TEXT  (PHOTA_OP_MAX * (2 * PHOTA_USD_TEXT + 40))


/* a plan and limits as people write them */

typedef struct {
    char            markup[PHOTA_USD_TEXT];
    char            hit[PHOTA_USD_TEXT];
    char            join[PHOTA_USD_TEXT];
    char            fixed[PHOTACTL_FIXED_TEXT];
} photactl_plan_text_t;


typedef struct {
    char            buf[3][PHOTA_USD_TEXT];
    const char     *day;                /* NULL: no limit */
    const char     *month;
    const char     *total;
} photactl_limits_text_t;


/* both change what an option names, and nothing else */
int photactl_parse_limits(photactl_t *ctl, phota_limits_t *limits);
int photactl_parse_plan(photactl_t *ctl, phota_plan_t *plan);

/* whether an option of either was given */
int photactl_limits_given(photactl_t *ctl);
int photactl_plan_given(photactl_t *ctl);

void photactl_plan_text(photactl_plan_text_t *text, const phota_plan_t *plan);
void photactl_limits_text(photactl_limits_text_t *text,
    const phota_limits_t *limits);

/*
 * A tenant (token 0) or a token of it: its columns, and then of day, month and
 * total what is spent, held and left, in the tenant's zone.
 */
/* those of a tenant, or of a token of its; NULL, and err says why */
struct json_t *photactl_budgets_of(photactl_t *ctl, uint32_t token,
    const phota_limits_t *limits, const phota_tenant_t *tenant);

int photactl_show(photactl_t *ctl, const photactl_column_t *columns,
    unsigned ncolumns, const photactl_value_t *values, uint32_t token,
    const phota_limits_t *limits, const phota_tenant_t *tenant);


#endif /* _PHOTACTL_PLAN_H_INCLUDED_ */
