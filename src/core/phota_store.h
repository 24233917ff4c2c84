
/*
 * One LMDB environment: opened with the right flags, its schema checked, never
 * wiped, never grown at run time.  Tables belong to the modules that open them.
 */


#ifndef _PHOTA_STORE_H_INCLUDED_
#define _PHOTA_STORE_H_INCLUDED_


#include <lmdb.h>

#include "phota_core.h"


#define PHOTA_STORE_CREATE      0x01    /* make directory and schema if new */
#define PHOTA_STORE_RDONLY      0x02
#define PHOTA_STORE_NOMETASYNC  0x04    /* may lose the last commit */
#define PHOTA_STORE_RANDOM      0x08    /* nothing is read ahead */
#define PHOTA_STORE_ANY         0x10    /* of any schema */

#define PHOTA_BOOKS_SCHEMA      3
#define PHOTA_CACHE_SCHEMA      2

#define PHOTA_BOOKS_MAP         ((size_t) 64 << 30)     /* address space */


typedef struct {
    MDB_env        *env;
    MDB_dbi         meta;
    char            path[1024];
    unsigned        flags;
    uint32_t        schema;         /* that was found; 0: none */
    volatile int    broken;         /* LMDB refuses all: open it again */
} phota_store_t;


/*
 * kind: "books" or "cache", the directory's name below dir and the magic in
 * its meta table.  map_size: bytes of address space, the file is sparse; it is
 * never less than what the file was made with.  PHOTA_ERROR, or PHOTA_INVALID
 * when the schema is unknown or the file is something else; err explains.  A
 * process opens a directory once, and not across a fork().
 */
int phota_store_open(phota_store_t *store, const char *dir, const char *kind,
    uint32_t schema, size_t map_size, unsigned flags, phota_error_t *err);
void phota_store_close(phota_store_t *store);

/*
 * Opens a table; created when the store was opened with PHOTA_STORE_CREATE.
 * PHOTA_DECLINED when it isn't there.
 */
int phota_store_table(phota_store_t *store, const char *name, MDB_dbi *dbi,
    phota_error_t *err);

/*
 * write: waits for the writer's lock, so never in an event loop.  After a write
 * of LMDB's own head has failed there is no transaction any more until the
 * environment is closed and opened again: broken is set.  So it is when another
 * has let the file grow beyond this one's map.
 */
int phota_store_begin(phota_store_t *store, int write, MDB_txn **txn,
    phota_error_t *err);

/* the transaction is gone after either */
int phota_store_commit(MDB_txn *txn, phota_error_t *err);
void phota_store_abort(MDB_txn *txn);

/* mdb_strerror with the name of what failed */
int phota_store_fail(phota_error_t *err, const char *what, int rc);

/* from now on it is of this schema */
int phota_store_schema(phota_store_t *store, MDB_txn *txn, uint32_t schema,
    phota_error_t *err);

/*
 * The counter that every change of configuration (tenants, tokens, keys,
 * prices) raises, so that workers see when to read it again.
 */
int phota_store_generation(phota_store_t *store, uint64_t *generation);
int phota_store_touch(phota_store_t *store, MDB_txn *txn);

/*
 * 1 when another environment has taken this one's place in the directory: close
 * it and open it again.  Asks the file system, so it is for threads.
 */
int phota_store_moved(phota_store_t *store);

/*
 * 1 when all that the file holds is in memory; 0 when it isn't, or nobody can
 * tell.  What little isn't, as pages that were never written, is read, for half
 * a second at most.  It takes 30 ms for each GB: for threads.
 */
int phota_store_resident(phota_store_t *store);

/* frees the slots of dead readers; *dead may be NULL */
int phota_store_reap(phota_store_t *store, int *dead);


#endif /* _PHOTA_STORE_H_INCLUDED_ */
