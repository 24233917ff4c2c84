
/*
 * All that is sealed in the books, together: which of it a master key opens,
 * and how it comes under another one.
 */


#ifndef _PHOTA_SEALED_H_INCLUDED_
#define _PHOTA_SEALED_H_INCLUDED_


#include "phota_tenant.h"


typedef int (*phota_sealed_pt)(void *ctx, const phota_seal_t *bound,
    const u_char *sealed, size_t len);


/* keys and secrets of all accounts; bound says whose and which */
int phota_sealed_each(phota_tenants_t *t, phota_sealed_pt handler, void *ctx,
    phota_error_t *err);


#endif /* _PHOTA_SEALED_H_INCLUDED_ */
