
/*
 * Writing the books: holds, their ends, hits, and who owns a hold.  Whatever
 * can be refused is refused before the first write, so that only PHOTA_ERROR
 * leaves a transaction that has to be aborted.
 *
 * An entry's time is the wall clock's, or the last entry's where the clock was
 * set back, so that it never decreases along the chain.  One that was written
 * under a clock far ahead would so date all that follow: sums go by the day of
 * the hold instead, which is the charge's id's.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "phota_ledger_record.h"
#include "phota_order.h"
#include "phota_record.h"


#define PHOTA_OWNERS  1024


static int phota_ledger_lock_file(phota_ledger_t *l, int create,
    phota_error_t *err);
static int phota_ledger_take_slot(phota_ledger_t *l, uint32_t *slot,
    phota_error_t *err);
static int phota_ledger_take_epoch(phota_ledger_t *l, uint32_t slot,
    uint64_t *epoch, phota_error_t *err);
static int phota_ledger_fcntl(phota_ledger_t *l, int cmd, short type,
    uint32_t slot);
static int phota_ledger_hold_check(phota_ledger_t *l,
    const phota_charge_t *charge, phota_error_t *err);
static int phota_ledger_end_check(const phota_charge_t *charge,
    const phota_outcome_t *outcome, phota_error_t *err);
static int phota_ledger_apply(phota_charge_t *charge,
    const phota_outcome_t *outcome);
static int phota_ledger_append(phota_ledger_t *l, MDB_txn *txn,
    phota_charge_t *charge, uint64_t *sequence, phota_error_t *err);
static int phota_ledger_put_charge(phota_ledger_t *l, MDB_txn *txn,
    const phota_charge_t *charge, const phota_span_t *span,
    phota_error_t *err);
static int phota_ledger_put_open(phota_ledger_t *l, MDB_txn *txn,
    const phota_charge_t *charge, phota_error_t *err);
static int phota_ledger_roll_up(phota_ledger_t *l, MDB_txn *txn,
    const phota_charge_t *charge, phota_error_t *err);
static int phota_ledger_rollup_get(phota_ledger_t *l, MDB_txn *txn,
    u_char *key, phota_rollup_t *rollup, phota_error_t *err);
static int phota_ledger_rollup_put(phota_ledger_t *l, MDB_txn *txn,
    u_char *key, const phota_rollup_t *rollup, phota_error_t *err);
static int phota_ledger_fail(phota_ledger_t *l, const char *table, int rc,
    phota_error_t *err);


int
phota_ledger_open(phota_ledger_t *l, phota_store_t *store, phota_error_t *err)
{
    int     rc;
    size_t  i;

    const struct {
        const char  *name;
        MDB_dbi     *dbi;
    } tables[] = {
        { "entries", &l->entries },
        { "charges", &l->charges },
        { "open", &l->open },
        { "owners", &l->owners },
        { "rollups", &l->rollups }
    };

    memset(l, 0, sizeof(phota_ledger_t));

    l->store = store;
    l->lock_fd = -1;

    for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {

        rc = phota_store_table(store, tables[i].name, tables[i].dbi, err);

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return PHOTA_OK;
}


void
phota_ledger_close(phota_ledger_t *l)
{
    if (l->lock_fd != -1) {
        (void) close(l->lock_fd);
    }

    l->lock_fd = -1;
    l->self.epoch = 0;
}


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

    if (phota_chain_read(l, txn, &chain) == PHOTA_ERROR) {
        phota_store_abort(txn);
        return phota_ledger_fail(l, "meta", MDB_CORRUPTED, err);
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
        rc = phota_chain_write(l, txn, &chain);
    }

    if (rc != 0) {
        phota_store_abort(txn);
        return phota_ledger_fail(l, "owners", rc, err);
    }

    return phota_store_commit(txn, err);
}


int
phota_ledger_alive(phota_ledger_t *l, MDB_txn *txn,
    const phota_owner_t *owner)
{
    int      rc;
    u_char   name[4];
    MDB_val  key, value;

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


int
phota_ledger_hold(phota_ledger_t *l, MDB_txn *txn, phota_charge_t *charge,
    phota_error_t *err)
{
    int             rc;
    phota_span_t    span;
    phota_charge_t  other;

    rc = phota_ledger_hold_check(l, charge, err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = phota_charge_read(l, txn, &charge->id, &other, &span);

    if (rc != PHOTA_DECLINED) {
        phota_error(err, "a charge with this id exists already");
        return (rc == PHOTA_OK) ? PHOTA_REFUSED : PHOTA_ERROR;
    }

    /* charges lie in the order of their ids: time is what the id says */

    charge->time = phota_get_be(charge->id.b, 6);

    charge->state = PHOTA_STATE_HELD;
    charge->reason = PHOTA_REASON_NONE;
    charge->owner = l->self;
    charge->outputs = 0;
    charge->identity_low = 0;
    charge->identity_high = 0;
    charge->status = 0;
    charge->cost = 0;
    charge->cost_high = 0;
    charge->price = 0;
    charge->saved = 0;
    charge->request_id[0] = '\0';

    if (phota_ledger_append(l, txn, charge, &span.first, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    span.last = span.first;

    if (phota_ledger_put_charge(l, txn, charge, &span, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    return phota_ledger_put_open(l, txn, charge, err);
}


static int
phota_ledger_hold_check(phota_ledger_t *l, const phota_charge_t *charge,
    phota_error_t *err)
{
    if (l->self.epoch == 0) {
        phota_error(err, "only a process that owns a slot may hold");
        return PHOTA_INVALID;
    }

    if (charge->rate < 0 || charge->identity_rate < 0 || charge->held < 0) {
        phota_error(err, "a hold with a negative amount");
        return PHOTA_INVALID;
    }

    if (memchr(charge->tag, '\0', sizeof(charge->tag)) == NULL) {
        phota_error(err, "a hold with a tag that is too long");
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


int
phota_ledger_end(phota_ledger_t *l, MDB_txn *txn, const phota_id_t *id,
    const phota_outcome_t *outcome, phota_charge_t *charge,
    phota_error_t *err)
{
    int             rc;
    phota_span_t    span;
    phota_charge_t  view, next;

    rc = phota_charge_read(l, txn, id, &view, &span);

    if (rc == PHOTA_ERROR) {
        return phota_ledger_fail(l, "charges", MDB_CORRUPTED, err);
    }

    if (rc == PHOTA_DECLINED) {
        phota_error(err, "there is no such charge");
        return PHOTA_DECLINED;
    }

    if (charge != NULL) {
        *charge = view;
    }

    rc = phota_ledger_end_check(&view, outcome, err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    next = view;

    if (phota_ledger_apply(&next, outcome) != PHOTA_OK) {
        phota_error(err, "outputs of an outcome don't fit together");
        return PHOTA_INVALID;
    }

    if (phota_ledger_append(l, txn, &next, &span.last, err) != PHOTA_OK
        || phota_ledger_put_charge(l, txn, &next, &span, err) != PHOTA_OK
        || phota_ledger_put_open(l, txn, &next, err) != PHOTA_OK
        || phota_ledger_roll_up(l, txn, &next, err) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    if (charge != NULL) {
        *charge = next;
    }

    return PHOTA_OK;
}


static int
phota_ledger_end_check(const phota_charge_t *charge,
    const phota_outcome_t *outcome, phota_error_t *err)
{
    if (outcome->state < PHOTA_STATE_SETTLED
        || outcome->state > PHOTA_STATE_UNKNOWN
        || memchr(outcome->request_id, '\0', sizeof(outcome->request_id))
           == NULL)
    {
        phota_error(err, "an outcome that is none");
        return PHOTA_INVALID;
    }

    if (charge->state == PHOTA_STATE_HELD
        || (charge->state == PHOTA_STATE_UNKNOWN
            && outcome->state != PHOTA_STATE_UNKNOWN))
    {
        return PHOTA_OK;
    }

    phota_error(err, "the charge is %s already",
                phota_state_name(charge->state));

    return PHOTA_REFUSED;
}


static int
phota_ledger_apply(phota_charge_t *charge, const phota_outcome_t *outcome)
{
    charge->state = outcome->state;
    charge->reason = outcome->reason;

    /* who resolves an unknown needn't know what the upstream once said */

    if (outcome->status != 0) {
        charge->status = outcome->status;
    }

    if (outcome->request_id[0] != '\0') {
        memcpy(charge->request_id, outcome->request_id,
               sizeof(charge->request_id));
    }

    if (outcome->state != PHOTA_STATE_SETTLED) {
        return PHOTA_OK;
    }

    charge->outputs = outcome->outputs;
    charge->identity_low = outcome->identity_low;
    charge->identity_high = outcome->identity_high;

    return phota_charge_amounts(charge);
}


int
phota_ledger_hit(phota_ledger_t *l, MDB_txn *txn, uint64_t time,
    uint32_t tenant, uint8_t operation, uint64_t hits, int64_t saved,
    phota_error_t *err)
{
    u_char          key[PHOTA_ROLLUP_KEY];
    phota_rollup_t  rollup;

    phota_rollup_key(key, (uint32_t) (time / PHOTA_DAY), tenant, operation);

    if (phota_ledger_rollup_get(l, txn, key, &rollup, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    rollup.hits += hits;
    rollup.hits_saved += saved;

    return phota_ledger_rollup_put(l, txn, key, &rollup, err);
}


/* the charge's next entry; sets updated */

static int
phota_ledger_append(phota_ledger_t *l, MDB_txn *txn, phota_charge_t *charge,
    uint64_t *sequence, phota_error_t *err)
{
    int             rc;
    size_t          len;
    u_char          name[8], buf[PHOTA_LEDGER_RECORD];
    MDB_val         key, value;
    uint64_t        now;
    phota_chain_t   chain;
    phota_entry_t   entry;

    if (phota_chain_read(l, txn, &chain) == PHOTA_ERROR) {
        return phota_ledger_fail(l, "meta", MDB_CORRUPTED, err);
    }

    now = phota_now();

    chain.count++;
    chain.time = (now > chain.time) ? now : chain.time;

    charge->updated = chain.time;

    memset(&entry, 0, sizeof(phota_entry_t));

    entry.sequence = chain.count;
    entry.time = chain.time;
    entry.type = charge->state;
    entry.charge = *charge;

    len = sizeof(buf);

    if (phota_entry_encode(&entry, chain.hash, buf, &len, chain.hash)
        != PHOTA_OK)
    {
        phota_error(err, "an entry can't be hashed");
        return PHOTA_ERROR;
    }

    phota_put_be(name, chain.count, sizeof(name));

    key.mv_data = name;
    key.mv_size = sizeof(name);
    value.mv_data = buf;
    value.mv_size = len;

    rc = mdb_put(txn, l->entries, &key, &value, MDB_APPEND);

    if (rc == 0) {
        rc = phota_chain_write(l, txn, &chain);
    }

    if (rc != 0) {
        return phota_ledger_fail(l, "entries", rc, err);
    }

    *sequence = chain.count;

    return PHOTA_OK;
}


static int
phota_ledger_put_charge(phota_ledger_t *l, MDB_txn *txn,
    const phota_charge_t *charge, const phota_span_t *span,
    phota_error_t *err)
{
    int      rc;
    size_t   len;
    u_char   buf[PHOTA_LEDGER_RECORD];
    MDB_val  key, value;

    len = sizeof(buf);

    if (phota_charge_encode(charge, span, buf, &len) != PHOTA_OK) {
        return phota_ledger_fail(l, "charges", MDB_BAD_VALSIZE, err);
    }

    key.mv_data = (void *) charge->id.b;
    key.mv_size = sizeof(phota_id_t);
    value.mv_data = buf;
    value.mv_size = len;

    rc = mdb_put(txn, l->charges, &key, &value, 0);

    return (rc == 0) ? PHOTA_OK : phota_ledger_fail(l, "charges", rc, err);
}


static int
phota_ledger_put_open(phota_ledger_t *l, MDB_txn *txn,
    const phota_charge_t *charge, phota_error_t *err)
{
    int      rc;
    MDB_val  key, value;

    key.mv_data = (void *) charge->id.b;
    key.mv_size = sizeof(phota_id_t);

    if (charge->state == PHOTA_STATE_HELD
        || charge->state == PHOTA_STATE_UNKNOWN)
    {
        value.mv_data = NULL;
        value.mv_size = 0;

        rc = mdb_put(txn, l->open, &key, &value, 0);

    } else {
        rc = mdb_del(txn, l->open, &key, NULL);
    }

    return (rc == 0) ? PHOTA_OK : phota_ledger_fail(l, "open", rc, err);
}


static int
phota_ledger_roll_up(phota_ledger_t *l, MDB_txn *txn,
    const phota_charge_t *charge, phota_error_t *err)
{
    u_char          key[PHOTA_ROLLUP_KEY];
    phota_rollup_t  rollup;

    if (charge->state != PHOTA_STATE_SETTLED) {
        return PHOTA_OK;
    }

    phota_rollup_key(key, (uint32_t) (charge->time / PHOTA_DAY),
                     charge->tenant, charge->operation);

    if (phota_ledger_rollup_get(l, txn, key, &rollup, err) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    phota_rollup_add(&rollup, charge);

    return phota_ledger_rollup_put(l, txn, key, &rollup, err);
}


/* zeros where there is none */

static int
phota_ledger_rollup_get(phota_ledger_t *l, MDB_txn *txn, u_char *key,
    phota_rollup_t *rollup, phota_error_t *err)
{
    int      rc;
    MDB_val  name, value;

    memset(rollup, 0, sizeof(phota_rollup_t));

    name.mv_data = key;
    name.mv_size = PHOTA_ROLLUP_KEY;

    rc = mdb_get(txn, l->rollups, &name, &value);

    if (rc == MDB_NOTFOUND) {
        return PHOTA_OK;
    }

    if (rc == 0 && phota_rollup_decode(rollup, value.mv_data, value.mv_size)
                   != PHOTA_OK)
    {
        rc = MDB_CORRUPTED;
    }

    return (rc == 0) ? PHOTA_OK : phota_ledger_fail(l, "rollups", rc, err);
}


static int
phota_ledger_rollup_put(phota_ledger_t *l, MDB_txn *txn, u_char *key,
    const phota_rollup_t *rollup, phota_error_t *err)
{
    int      rc;
    u_char   buf[PHOTA_ROLLUP_LEN];
    MDB_val  name, value;

    phota_rollup_encode(rollup, buf);

    name.mv_data = key;
    name.mv_size = PHOTA_ROLLUP_KEY;
    value.mv_data = buf;
    value.mv_size = sizeof(buf);

    rc = mdb_put(txn, l->rollups, &name, &value, 0);

    return (rc == 0) ? PHOTA_OK : phota_ledger_fail(l, "rollups", rc, err);
}


static int
phota_ledger_fail(phota_ledger_t *l, const char *table, int rc,
    phota_error_t *err)
{
    char  what[sizeof(l->store->path) + 64];

    (void) snprintf(what, sizeof(what), "%.120s, table \"%s\"",
                    l->store->path, table);

    return phota_store_fail(err, what, rc);
}


const char *
phota_state_name(unsigned state)
{
    static const char  *names[] = {
        "?", "held", "settled", "void", "unknown", "reversed"
    };

    return (state <= PHOTA_STATE_REVERSED) ? names[state] : names[0];
}


const char *
phota_cached_name(unsigned cached)
{
    static const char  *names[] = {
        "?", "miss", "hit", "join", "bypass"
    };

    return (cached <= PHOTA_CACHED_BYPASS) ? names[cached] : names[0];
}


const char *
phota_reason_name(unsigned reason)
{
    static const char  *names[] = {
        "none", "delivered", "not_sent", "refused", "server_error",
        "redirect", "truncated", "unparsable", "timeout", "reset",
        "accepted", "abandoned", "recovered", "operator"
    };

    return (reason <= PHOTA_REASON_OPERATOR) ? names[reason] : "?";
}
