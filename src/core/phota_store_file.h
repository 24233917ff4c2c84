
/*
 * What opening an environment is made of.  Only the store knows it.
 */


#ifndef _PHOTA_STORE_FILE_H_INCLUDED_
#define _PHOTA_STORE_FILE_H_INCLUDED_


#include "phota_store.h"


/*
 * The environment of store->path, by store->flags.  PHOTA_ERROR, or
 * PHOTA_INVALID when it is none of LMDB's; err explains.
 */
int phota_store_env(phota_store_t *store, size_t map_size,
    phota_error_t *err);

/* PHOTA_INVALID, err says that the file is something else */
int phota_store_foreign(phota_store_t *store, phota_error_t *err);


#endif /* _PHOTA_STORE_FILE_H_INCLUDED_ */
