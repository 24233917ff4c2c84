
/*
 * Books with a bit of everything: what tests of verify and of the archive
 * begin with.
 */


#ifndef _PHOTA_TEST_STORY_H_INCLUDED_
#define _PHOTA_TEST_STORY_H_INCLUDED_


#include "books.h"


#define STORY_CHARGES  64


/* charges that things may still happen to */

typedef struct {
    uint32_t         seed;
    unsigned         n;
    phota_id_t       ids[STORY_CHARGES];
} story_t;


static inline uint32_t
story_random(story_t *story, uint32_t n)
{
    story->seed = story->seed * 1664525 + 1013904223;

    return (story->seed >> 8) % n;
}


/* as it is done where losing the last second doesn't matter */

static inline void
story_begin(story_t *story)
{
    memset(story, 0, sizeof(story_t));
    story->seed = 1;

    assert_int_equal(mdb_env_set_flags(test_store.env, MDB_NOSYNC, 1), 0);
}


static inline void
story_keep(story_t *story, const phota_id_t *id)
{
    unsigned  i;

    i = (story->n < STORY_CHARGES) ? story->n++
                                   : story_random(story, STORY_CHARGES);
    story->ids[i] = *id;
}


static inline int
story_charge(story_t *story, MDB_txn *txn)
{
    int              rc;
    uint32_t         tenant;
    phota_charge_t   charge;
    phota_outcome_t  outcome;

    tenant = 1 + story_random(story, 3);

    switch (story_random(story, 8)) {

    case 0:
        test_hit(&charge, tenant, 1);
        rc = phota_ledger_sell(&test_ledger, txn, &charge, NULL, &test_err);
        break;

    case 1:
        test_charge(&charge, tenant - 1, 0, 1);
        charge.token = 0;
        test_bill(&outcome, 130000);
        rc = phota_ledger_book(&test_ledger, txn, &charge, &outcome,
                               &test_err);
        break;

    default:
        test_charge(&charge, tenant, (uint8_t) story_random(story, 2),
                    1 + story_random(story, 4));
        rc = phota_ledger_hold(&test_ledger, txn, &charge, NULL, &test_err);
    }

    story_keep(story, &charge.id);

    return rc;
}


/* what its state forbids is refused, which does no harm */

static inline int
story_change(story_t *story, MDB_txn *txn)
{
    int              rc;
    uint32_t         n;
    phota_id_t      *id;
    phota_outcome_t  outcome;

    if (story->n == 0) {
        return PHOTA_OK;
    }

    id = &story->ids[story_random(story, story->n)];
    n = story_random(story, 12);

    if (n > 9) {
        rc = phota_ledger_accept(&test_ledger, txn, id, 202, "req-job", NULL,
                                 &test_err);

    } else if (n == 0) {
        rc = phota_ledger_reverse(&test_ledger, txn, id,
                                  PHOTA_REASON_OPERATOR, "ann", "a mistake",
                                  NULL, &test_err);

    } else if (n == 1) {
        test_bill(&outcome, 110000);
        rc = phota_ledger_correct(&test_ledger, txn, id, &outcome, NULL,
                                  &test_err);

    } else if (n < 4) {
        test_outcome(&outcome, (n == 2) ? PHOTA_STATE_VOID
                                        : PHOTA_STATE_UNKNOWN, 0, 0, 0);
        rc = phota_ledger_end(&test_ledger, txn, id, &outcome, NULL,
                              &test_err);

    } else {
        test_outcome(&outcome, PHOTA_STATE_SETTLED,
                     1 + story_random(story, 2), 0, 1);
        (void) snprintf(outcome.request_id, sizeof(outcome.request_id),
                        "req-%u", story->seed);
        rc = phota_ledger_end(&test_ledger, txn, id, &outcome, NULL,
                              &test_err);
    }

    return (rc == PHOTA_ERROR) ? rc : PHOTA_OK;
}


static inline int
story_step(story_t *story, MDB_txn *txn)
{
    int   more;
    char  tag[PHOTA_NAME_MAX + 1];

    switch (story_random(story, 12)) {

    case 0:
        (void) snprintf(tag, sizeof(tag), "tag-%u", story_random(story, 3));

        return phota_ledger_hit(&test_ledger, txn, phota_now(),
                                1 + story_random(story, 3), 7, 1, tag, 2,
                                240000, &test_err);

    case 1:
        return phota_ledger_tally(&test_ledger, txn, 2, &more, &test_err);

    case 2:
    case 3:
    case 4:
    case 5:
        return story_charge(story, txn);

    default:
        return story_change(story, txn);
    }
}


static inline void
story_steps(story_t *story, unsigned n)
{
    int       rc;
    MDB_txn  *txn;

    while (n--) {
        txn = test_begin(1);
        rc = story_step(story, txn);

        if (rc != PHOTA_OK) {
            fail_msg("%d: %s", rc, test_err.text);
        }

        test_commit(txn);
    }
}


static inline phota_chain_t
story_chain(void)
{
    MDB_txn        *txn;
    phota_chain_t   chain;

    txn = test_begin(0);
    (void) phota_chain_read(&test_ledger, txn, &chain);
    phota_store_abort(txn);

    return chain;
}


#endif /* _PHOTA_TEST_STORY_H_INCLUDED_ */
