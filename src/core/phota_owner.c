
/*
 * Who owns a hold: a process that keeps a kernel lock on its slot of
 * books/owners while it lives, under an epoch that is never used again.  The
 * kernel lets go of the lock whatever the process dies of, and a slot that is
 * taken anew has another epoch: neither a crash nor a restart revives a hold.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "phota_ledger_post.h"
#include "phota_order.h"
#include "phota_record.h"


#define PHOTA_OWNERS  1024


static int phota_ledger_lock_file(phota_ledger_t *l, int create,
    phota_error_t *err);
static int phota_ledger_take_slot(phota_ledger_t *l, uint32_t *slot,
    phota_error_t *err);
static int phota_ledger_take_epoch(phota_ledger_t *l, uint32_t slot,
    uint64_t *epoch, phota_error_t *err);
static int phota_ledger_put_known(phota_ledger_t *l, MDB_txn *txn,
    uint32_t slot, uint64_t epoch);
static int phota_ledger_slot_knows(phota_ledger_t *l, MDB_txn *txn,
    uint32_t slot, const u_char id[PHOTA_MASTER_ID]);
static int phota_ledger_fcntl(phota_ledger_t *l, int cmd, short type,
    uint32_t slot);


int
phota_ledger_own(phota_ledger_t *l, phota_error_t *err)
{
    uint32_t  slot;
    uint64_t  epoch;

    if (l->self.epoch != 0) {
        return PHOTA_OK;
    }

    slot = 0;
    epoch = 0;

    if (phota_ledger_lock_file(l, 1, err) != PHOTA_OK
        || phota_ledger_take_slot(l, &slot, err) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    if (phota_ledger_take_epoch(l, slot, &epoch, err) != PHOTA_OK) {
        (void) phota_ledger_fcntl(l, F_SETLK, F_UNLCK, slot);
        return PHOTA_ERROR;
    }

    l->self.slot = slot;
    l->self.epoch = epoch;

    return PHOTA_OK;
}


/*
 * One descriptor for the life of the process: the kernel drops all of its
 * locks on a file when it closes any descriptor of it.  Only one that can't
 * lock is given up, before there are locks.  PHOTA_DECLINED when there is no
 * file.
 */

static int
phota_ledger_lock_file(phota_ledger_t *l, int create, phota_error_t *err)
{
    int   fd, rc;
    char  path[sizeof(l->store->path) + sizeof("/owners")];

    if (l->lock_fd != -1) {

        if (!create || !l->lock_rdonly) {
            return PHOTA_OK;
        }

        (void) close(l->lock_fd);
        l->lock_fd = -1;
    }

    l->lock_rdonly = 0;

    (void) snprintf(path, sizeof(path), "%s/owners", l->store->path);

    fd = open(path, O_RDWR|O_CLOEXEC | (create ? O_CREAT : 0), 0600);

    if (fd == -1 && !create) {

        /* enough to ask */

        fd = open(path, O_RDONLY|O_CLOEXEC);
        l->lock_rdonly = 1;
    }

    if (fd == -1) {
        rc = (errno == ENOENT) ? PHOTA_DECLINED : PHOTA_ERROR;
        phota_error(err, "\"%.160s\" can't be opened: %s", path,
                    strerror(errno));
        return rc;
    }

    l->lock_fd = fd;

    return PHOTA_OK;
}


static int
phota_ledger_take_slot(phota_ledger_t *l, uint32_t *slot, phota_error_t *err)
{
    uint32_t  i;

    for (i = 0; i < PHOTA_OWNERS; i++) {

        if (phota_ledger_fcntl(l, F_SETLK, F_WRLCK, i) == 0) {
            *slot = i;
            return PHOTA_OK;
        }

        if (errno != EAGAIN && errno != EACCES) {
            phota_error(err, "\"%.160s/owners\" can't be locked: %s",
                        l->store->path, strerror(errno));
            return PHOTA_ERROR;
        }
    }

    phota_error(err, "all %d slots of \"%.160s/owners\" are taken",
                PHOTA_OWNERS, l->store->path);

    return PHOTA_ERROR;
}


static int
phota_ledger_take_epoch(phota_ledger_t *l, uint32_t slot, uint64_t *epoch,
    phota_error_t *err)
{
    int             rc;
    u_char          name[4], number[8];
    MDB_txn        *txn;
    MDB_val         key, value;
    phota_chain_t   chain;

    if (phota_store_begin(l->store, 1, &txn, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    if (phota_ledger_chain(l, txn, &chain, err) != PHOTA_OK) {
        phota_store_abort(txn);
        return PHOTA_ERROR;
    }

    *epoch = ++chain.epoch;

    phota_put_be(name, slot, sizeof(name));
    phota_put_le(number, *epoch, sizeof(number));

    key.mv_data = name;
    key.mv_size = sizeof(name);
    value.mv_data = number;
    value.mv_size = sizeof(number);

    rc = mdb_put(txn, l->owners, &key, &value, 0);

    if (rc == 0) {
        rc = phota_ledger_put_known(l, txn, slot, *epoch);
    }

    if (rc == 0) {
        rc = phota_chain_write(l, txn, &chain);
    }

    if (rc != 0) {
        phota_store_abort(txn);
        return phota_ledger_fail(l, "owners", rc, err);
    }

    return phota_store_commit(txn, err);
}


int
phota_ledger_know(phota_ledger_t *l, const phota_master_t *master,
    phota_error_t *err)
{
    int             rc;
    phota_master_t  turned;

    rc = phota_master_id(master, l->known);

    l->nknown = PHOTA_MASTER_ID;

    if (rc == PHOTA_OK && master->two) {
        turned = *master;
        phota_master_turn(&turned);

        rc = phota_master_id(&turned, l->known + PHOTA_MASTER_ID);

        l->nknown += PHOTA_MASTER_ID;

        phota_cleanse(&turned, sizeof(turned));
    }

    if (rc != PHOTA_OK) {
        phota_error(err, "the master key has no id: OpenSSL failed");
    }

    return rc;
}


/* in a row of its own, which whoever doesn't know of it leaves alone */

static int
phota_ledger_put_known(phota_ledger_t *l, MDB_txn *txn, uint32_t slot,
    uint64_t epoch)
{
    u_char   name[5], buf[8 + sizeof(l->known)];
    MDB_val  key, value;

    phota_put_be(name, slot, 4);
    name[4] = 'k';

    phota_put_le(buf, epoch, 8);
    memcpy(buf + 8, l->known, l->nknown);

    key.mv_data = name;
    key.mv_size = sizeof(name);
    value.mv_data = buf;
    value.mv_size = 8 + l->nknown;

    return mdb_put(txn, l->owners, &key, &value, 0);
}


unsigned
phota_ledger_ignorant(phota_ledger_t *l, MDB_txn *txn,
    const u_char id[PHOTA_MASTER_ID])
{
    int       rc;
    uint32_t  slot;
    unsigned  n;

    rc = phota_ledger_lock_file(l, 0, NULL);

    if (rc != PHOTA_OK) {
        return rc != PHOTA_DECLINED;
    }

    n = 0;

    for (slot = 0; slot < PHOTA_OWNERS; slot++) {

        if (phota_ledger_fcntl(l, F_GETLK, F_WRLCK, slot) != 0
            && !phota_ledger_slot_knows(l, txn, slot, id))
        {
            n++;
        }
    }

    return n;
}


static int
phota_ledger_slot_knows(phota_ledger_t *l, MDB_txn *txn, uint32_t slot,
    const u_char id[PHOTA_MASTER_ID])
{
    size_t         i;
    u_char         name[5];
    MDB_val        key, epoch, value;
    const u_char  *known;

    phota_put_be(name, slot, 4);
    name[4] = 'k';

    key.mv_data = name;
    key.mv_size = 4;

    if (mdb_get(txn, l->owners, &key, &epoch) != 0 || epoch.mv_size != 8) {
        return 0;
    }

    key.mv_size = sizeof(name);

    /* one who was there before may have said more than who is there now */

    if (mdb_get(txn, l->owners, &key, &value) != 0 || value.mv_size < 8
        || memcmp(value.mv_data, epoch.mv_data, 8) != 0)
    {
        return 0;
    }

    known = value.mv_data;

    for (i = 8; i + PHOTA_MASTER_ID <= value.mv_size; i += PHOTA_MASTER_ID) {

        if (memcmp(known + i, id, PHOTA_MASTER_ID) == 0) {
            return 1;
        }
    }

    return 0;
}


int
phota_ledger_alive(phota_ledger_t *l, MDB_txn *txn,
    const phota_owner_t *owner)
{
    int      rc;
    u_char   name[4];
    MDB_val  key, value;

    if (owner->slot == PHOTA_OWNER_JOB) {
        return owner->epoch != 0;
    }

    if (owner->slot >= PHOTA_OWNERS || owner->epoch == 0) {
        return 0;
    }

    if (l->self.epoch != 0 && owner->slot == l->self.slot) {
        return owner->epoch == l->self.epoch;
    }

    phota_put_be(name, owner->slot, sizeof(name));

    key.mv_data = name;
    key.mv_size = sizeof(name);

    /*
     * Who can't be asked about is taken for alive: an unknown that nobody
     * resolves is found later, one that is resolved too early isn't.
     */

    rc = mdb_get(txn, l->owners, &key, &value);

    if (rc != 0) {
        return rc != MDB_NOTFOUND;
    }

    if (value.mv_size != 8 || phota_get_le(value.mv_data, 8) != owner->epoch) {
        return 0;
    }

    rc = phota_ledger_lock_file(l, 0, NULL);

    if (rc != PHOTA_OK) {
        return rc != PHOTA_DECLINED;
    }

    return phota_ledger_fcntl(l, F_GETLK, F_WRLCK, owner->slot) != 0;
}


int
phota_ledger_inhabited(phota_ledger_t *l)
{
    int           rc;
    struct flock  fl;

    rc = phota_ledger_lock_file(l, 0, NULL);

    if (rc != PHOTA_OK) {
        return rc != PHOTA_DECLINED;
    }

    memset(&fl, 0, sizeof(struct flock));

    fl.l_type = F_WRLCK;
    fl.l_whence = SEEK_SET;
    fl.l_start = 0;
    fl.l_len = PHOTA_OWNERS;

    return fcntl(l->lock_fd, F_GETLK, &fl) == -1 || fl.l_type != F_UNLCK;
}


/*
 * F_SETLK: 0 when done.  F_GETLK: 0 when another process could lock the slot,
 * that is, when nobody has; locks of this process don't count.
 */

static int
phota_ledger_fcntl(phota_ledger_t *l, int cmd, short type, uint32_t slot)
{
    struct flock  fl;

    memset(&fl, 0, sizeof(struct flock));

    fl.l_type = type;
    fl.l_whence = SEEK_SET;
    fl.l_start = (off_t) slot;
    fl.l_len = 1;

    if (fcntl(l->lock_fd, cmd, &fl) == -1) {
        return -1;
    }

    return (cmd == F_GETLK && fl.l_type != F_UNLCK) ? -1 : 0;
}
