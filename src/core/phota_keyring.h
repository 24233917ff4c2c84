
/*
 * Which master key is in force, by the books' own word, and all that is derived
 * from it.  Whoever has two of them seals and signs with the one that the books
 * name: so nobody makes what a process that was started earlier can't read.
 *
 * What others keep for good doesn't change with the master key: fingerprints,
 * tags and request ids on their way up, the secrets of tenants' callbacks.  The
 * keys of these are derived from the first master key, and lie in the books,
 * sealed, from the first rekey on.
 */


#ifndef _PHOTA_KEYRING_H_INCLUDED_
#define _PHOTA_KEYRING_H_INCLUDED_


#include "phota_alias.h"
#include "phota_hash.h"
#include "phota_link.h"
#include "phota_store.h"


typedef struct {
    phota_hash_key_t   hash;        /* of fingerprints */
    phota_aliases_t    aliases;
    phota_linker_t     linker;
} phota_keyring_t;


/* ids of master keys */

typedef struct {
    u_char             current[PHOTA_MASTER_ID];
    u_char             previous[PHOTA_MASTER_ID];   /* that may still open some
                                                       records; or zeros */
    uint64_t           time;        /* ms, when that began, or ended */
} phota_master_state_t;


/* what these keys derive; without the books nobody knows more */
int phota_keyring_init(phota_keyring_t *ring, const phota_master_t *master,
    phota_error_t *err);

/*
 * PHOTA_INVALID when the books' master key isn't among these, or what they keep
 * can't be opened with it.  A read transaction of its own.
 */
int phota_keyring_load(phota_keyring_t *ring, phota_store_t *store,
    const phota_master_t *master, phota_error_t *err);

/* PHOTA_DECLINED when the master key has never been changed */
int phota_master_state(phota_store_t *store, MDB_txn *txn,
    phota_master_state_t *state, phota_error_t *err);
int phota_master_state_put(phota_store_t *store, MDB_txn *txn,
    const phota_master_state_t *state, phota_error_t *err);

/* whether there is one before the current that something is sealed under */
int phota_master_pending(const phota_master_state_t *state);

/*
 * The same keys, the one that has to seal first.  PHOTA_INVALID when it isn't
 * among them; whole: or one of two that records are sealed under isn't.
 */
int phota_master_in_force(phota_store_t *store, MDB_txn *txn,
    const phota_master_t *master, int whole, phota_master_t *in_force,
    phota_error_t *err);

/*
 * Seals the keys that outlive the master key under the first of master: as they
 * lie there, under either, else as from derives them.
 */
int phota_lasting_seal(phota_store_t *store, MDB_txn *txn,
    const phota_master_t *master, const phota_master_t *from,
    phota_error_t *err);

/* from then on they are as the master key derives them */
int phota_lasting_remove(phota_store_t *store, MDB_txn *txn,
    phota_error_t *err);


#endif /* _PHOTA_KEYRING_H_INCLUDED_ */
