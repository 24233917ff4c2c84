
/*
 * What the commands that work on the cache share.
 */


#ifndef _PHOTACTL_CACHE_H_INCLUDED_
#define _PHOTACTL_CACHE_H_INCLUDED_


#include "photactl.h"


/*
 * PHOTA_DECLINED, and no error, when there is no cache yet.  flags of
 * phota_store_open(); *size: bytes of the file.
 */
int photactl_cache_open(photactl_t *ctl, phota_store_t *store,
    phota_cache_t *cache, unsigned flags, uint64_t *size);

void photactl_cache_close(photactl_t *ctl, phota_store_t *store);

/*
 * Purges, and where no worker of nginx lives that could be sending it deletes
 * what was garbage at once.  The ledger has to be open.
 */
int photactl_purge(photactl_t *ctl, const phota_purge_t *purge,
    uint64_t *results);


#endif /* _PHOTACTL_CACHE_H_INCLUDED_ */
