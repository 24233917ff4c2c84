
/*
 * Books of an older schema, brought to the present one: a version at a time,
 * each in one write transaction, so that they are of one schema or the next
 * whatever happens.
 */


#ifndef _PHOTA_MIGRATE_H_INCLUDED_
#define _PHOTA_MIGRATE_H_INCLUDED_


#include "phota_seal.h"
#include "phota_store.h"


/*
 * By one version.  store was opened with PHOTA_STORE_ANY; master NULL: there is
 * none, which is PHOTA_INVALID where something is sealed.  PHOTA_DECLINED when
 * they are current; PHOTA_REFUSED while a worker has them; PHOTA_INVALID when
 * this version can't bring them along, or they aren't sound: they stay as they
 * are.
 */
int phota_migrate(phota_store_t *store, const phota_master_t *master,
    phota_error_t *err);


#endif /* _PHOTA_MIGRATE_H_INCLUDED_ */
