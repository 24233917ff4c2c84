
/*
 * exports: after random histories all lines together are what usage says, in
 * each format, in one piece or from cursor to cursor, archived or not.
 */


#include <fcntl.h>
#include <sys/file.h>

#include "books.h"

#include "../../src/command/photactl_focus.c"
#include "../../src/command/photactl_export.c"


#define TEST_STEPS    1500
#define TEST_ROWS     4096
#define TEST_CELLS    48


typedef struct {
    char             key[160];
    phota_sum_t      sum;
} test_row_t;


typedef struct {
    test_row_t      *rows;
    unsigned         n;
    unsigned         by;
} test_rows_t;


static photactl_t      test_ctl;
static char           *test_out;            /* of the last export */
static char            test_said[1024];     /* on its stderr */
static unsigned        test_seed;
static phota_tenants_t test_tenants;

static const char     *test_tags[] = {
    "", "summer", "=1+1", "a,\"b\"", "-minus", "@at", "gr\xc3\xbcn"
};


static void
test_note(photactl_t *ctl, const char *text)
{
    (void) ctl;
    (void) snprintf(test_said, sizeof(test_said), "%s", text);
}


static const photactl_host_t  test_host = { test_note, NULL, NULL };
static const photactl_command_t  test_command = {
    .flags = PHOTACTL_EXPORT
};


static unsigned
test_random(unsigned n)
{
    test_seed = test_seed * 1103515245 + 12345;

    return (test_seed >> 16) % n;
}


static int
test_export_setup(void **state)
{
    uint32_t          id;
    phota_jobs_t      jobs;
    phota_prices_t    prices;
    phota_replays_t   replays;
    phota_profiles_t  profiles;

    if (test_setup(state) != 0
        || phota_tenants_open(&test_tenants, &test_store, &test_err)
           != PHOTA_OK
        || phota_prices_open(&prices, &test_store, &test_err) != PHOTA_OK
        || phota_jobs_open(&jobs, &test_store, &test_err) != PHOTA_OK
        || phota_profiles_open(&profiles, &test_store, &test_err) != PHOTA_OK
        || phota_replays_open(&replays, &test_store, &test_err) != PHOTA_OK
        || phota_tenant_add(&test_tenants, "acme", &id, &test_err)
           != PHOTA_OK
        || phota_tenant_add(&test_tenants, "globex", &id, &test_err)
           != PHOTA_OK)
    {
        return -1;
    }

    return 0;
}


static int
test_export_teardown(void **state)
{
    char  line[256];

    free(test_out);
    test_out = NULL;

    (void) snprintf(line, sizeof(line), "rm -rf %s/books/archive %s/cursor*",
                    test_dir, test_dir);

    return (system(line) == 0) ? test_teardown(state) : -1;
}


static char *
test_slurp(const char *path)
{
    long   size;
    char  *text;
    FILE  *file;

    file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size = ftell(file);
    rewind(file);

    text = calloc(1, (size_t) size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t) size, file), size);
    (void) fclose(file);
    (void) remove(path);

    return text;
}


/* what the command line says behind an export is in test_said */

static int
test_export(const char *format, const char *after, const char *cursor)
{
    int   rc;
    char  path[96];

    (void) snprintf(path, sizeof(path), "%s/cursor.out", test_dir);

    test_said[0] = '\0';

    memset(&test_ctl, 0, sizeof(test_ctl));
    test_ctl.host = &test_host;
    test_ctl.command = &test_command;
    test_ctl.data = test_dir;
    test_ctl.opts[PHOTACTL_OPT_FORMAT] = format;
    test_ctl.opts[PHOTACTL_OPT_AFTER] = after;
    test_ctl.opts[PHOTACTL_OPT_CURSOR] = cursor;

    assert_int_equal(photactl_attach(&test_ctl, &test_store), PHOTA_OK);

    /* a process has one lock */

    test_ctl.ledger = test_ledger;
    test_ctl.out = fopen(path, "w");
    assert_non_null(test_ctl.out);

    rc = photactl_ledger_export(&test_ctl);

    (void) fclose(test_ctl.out);
    free(test_ctl.names.tenants);

    free(test_out);
    test_out = test_slurp(path);

    if (test_ctl.cursor[0] != '\0') {
        (void) snprintf(test_said, sizeof(test_said), "cursor: %s\n",
                        test_ctl.cursor);
    }

    return rc;
}


static void
test_export_ok(const char *format, const char *after, const char *cursor)
{
    if (test_export(format, after, cursor) != PHOTA_OK) {
        fail_msg("export: %s", test_ctl.err.text);
    }
}


/* what it may do to a charge that is there already */

static void
test_change(phota_charge_t *charge)
{
    int              rc;
    MDB_txn         *txn;
    phota_outcome_t  outcome;

    txn = test_begin(1);

    test_outcome(&outcome, (uint8_t) (PHOTA_STATE_SETTLED + test_random(3)),
                 test_random(4), 0, 0);

    if (outcome.state == PHOTA_STATE_SETTLED) {
        outcome.identity_low = test_random(outcome.outputs + 1);
        outcome.identity_high = outcome.outputs;
        outcome.billed = test_random(2);
        outcome.cost = outcome.billed ? test_random(500000) : 0;
    }

    switch (test_random(4)) {

    case 0:
        rc = phota_ledger_reverse(&test_ledger, txn, &charge->id,
                                  PHOTA_REASON_OPERATOR, "operator t", "why",
                                  NULL, &test_err);
        break;

    case 1:
        rc = phota_ledger_correct(&test_ledger, txn, &charge->id, &outcome,
                                  NULL, &test_err);
        break;

    default:
        rc = phota_ledger_end(&test_ledger, txn, &charge->id, &outcome, NULL,
                              &test_err);
    }

    if (rc == PHOTA_ERROR) {
        fail_msg("%s", test_err.text);
    }

    test_commit(txn);
}


static void
test_step(phota_charge_t *charges, unsigned *n)
{
    int              more;
    MDB_txn         *txn;
    const char      *tag;
    phota_charge_t   charge;
    phota_outcome_t  outcome;

    tag = test_tags[test_random(sizeof(test_tags) / sizeof(char *))];

    switch (test_random(8)) {

    case 0:
    case 1:
        test_charge(&charge, 1 + test_random(3),
                    (uint8_t) test_random(PHOTA_OP_MAX), 1 + test_random(4));
        charge.token = test_random(3);
        (void) snprintf(charge.tag, sizeof(charge.tag), "%s", tag);
        test_hold(&charge);
        charges[(*n)++] = charge;
        return;

    case 2:
        txn = test_begin(1);
        test_hit(&charge, 1 + test_random(2), PHOTA_OP_REMIX);
        (void) snprintf(charge.tag, sizeof(charge.tag), "%s", tag);
        assert_int_equal(phota_ledger_sell(&test_ledger, txn, &charge, NULL,
                                           &test_err),
                         PHOTA_OK);
        test_commit(txn);
        charges[(*n)++] = charge;
        return;

    case 3:
        txn = test_begin(1);
        assert_int_equal(phota_ledger_hit(&test_ledger, txn, phota_now(),
                                          1 + test_random(2), test_random(3),
                                          PHOTA_OP_ENHANCE, tag,
                                          1 + test_random(9),
                                          test_random(900000), &test_err),
                         PHOTA_OK);
        test_commit(txn);
        return;

    case 4:
        if (test_random(4) != 0) {
            test_clock += (int64_t) test_random(7200000);
            return;
        }

        txn = test_begin(1);
        assert_int_equal(phota_ledger_tally(&test_ledger, txn, 5, &more,
                                            &test_err),
                         PHOTA_OK);
        test_commit(txn);
        return;

    case 5:
        test_charge(&charge, 0, PHOTA_OP_OTHER, 0);
        memset(&charge.terms, 0, sizeof(charge.terms));
        charge.token = 0;
        charge.asked_identity = 0;
        test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 0);
        outcome.reason = PHOTA_REASON_BILL;
        outcome.billed = 1;
        outcome.cost = test_random(300000);
        txn = test_begin(1);
        assert_int_equal(phota_ledger_book(&test_ledger, txn, &charge,
                                           &outcome, &test_err),
                         PHOTA_OK);
        test_commit(txn);
        return;

    default:
        if (*n != 0) {
            test_change(&charges[test_random(*n)]);
        }
    }
}


static void
test_history(unsigned seed, unsigned steps)
{
    unsigned         i, n;
    phota_charge_t  *charges;

    charges = calloc(steps, sizeof(phota_charge_t));
    assert_non_null(charges);

    n = 0;
    test_seed = seed;

    for (i = 0; i < steps; i++) {
        test_step(charges, &n);
    }

    free(charges);
}


static phota_sum_t *
test_rows_get(test_rows_t *rows, const char *key)
{
    unsigned  i;

    for (i = 0; i < rows->n; i++) {
        if (strcmp(rows->rows[i].key, key) == 0) {
            return &rows->rows[i].sum;
        }
    }

    assert_true(rows->n < TEST_ROWS);
    (void) snprintf(rows->rows[rows->n].key, sizeof(rows->rows[0].key), "%s",
                    key);

    return &rows->rows[rows->n++].sum;
}


/* a CSV line into its cells, in place; the next line */

static char *
test_cells(char *p, char *cells[TEST_CELLS], unsigned *n)
{
    char  *to;

    *n = 0;

    for ( ;; ) {
        assert_true(*n < TEST_CELLS);
        cells[(*n)++] = p;

        if (*p == '"') {
            to = p++;

            while (p[0] != '"' || p[1] == '"') {
                assert_true(*p != '\0');
                p += (*p == '"');
                *to++ = *p++;
            }

            p++;

        } else {
            p += strcspn(p, ",\r");
            to = p;
        }

        if (*p == ',') {
            *to = '\0';
            p++;
            continue;
        }

        assert_true(p[0] == '\r' && p[1] == '\n');
        *to = '\0';

        return p + 2;
    }
}


static int64_t
test_micro(const char *text)
{
    int64_t  micro;

    assert_int_equal(phota_usd_parse(&micro, text + (*text == '-'),
                                     strlen(text) - (*text == '-')),
                     PHOTA_OK);

    return (*text == '-') ? -micro : micro;
}


/* sequence 0, day 3, tenant 5, token 6, operation 7, sums from 9, tag 16 */

static unsigned
test_csv_add(test_rows_t *rows)
{
    char         *p, *cells[TEST_CELLS], key[160];
    unsigned      n, lines;
    const char   *detail, *tag;
    phota_sum_t  *sum;

    p = test_cells(test_out, cells, &n);
    assert_int_equal(n, PHOTACTL_EXPORT_COLUMNS);
    assert_string_equal(cells[0], "sequence");

    for (lines = 0; *p != '\0'; lines++) {
        p = test_cells(p, cells, &n);
        assert_int_equal(n, PHOTACTL_EXPORT_COLUMNS);

        tag = cells[16];

        if (*tag == '\'') {
            tag++;

        } else {
            assert_null(strchr("=+-@", *tag != '\0' ? *tag : ' '));
        }

        detail = (rows->by == PHOTA_USAGE_DAY) ? cells[3]
                 : (rows->by == PHOTA_USAGE_TOKEN) ? cells[6]
                 : (rows->by == PHOTA_USAGE_TAG) ? tag : "";

        (void) snprintf(key, sizeof(key), "%s|%s|%s", cells[5], cells[7],
                        detail);

        sum = test_rows_get(rows, key);
        sum->calls += atoll(cells[9]);
        sum->hits += atoll(cells[10]);
        sum->outputs += atoll(cells[11]);
        sum->identity_outputs += atoll(cells[12]);
        sum->cost += test_micro(cells[13]);
        sum->price += test_micro(cells[14]);
        sum->saved += test_micro(cells[15]);
    }

    return lines;
}


static int
test_usage_row(void *ctx, const phota_usage_t *usage)
{
    test_rows_t  *rows = ctx;

    char          key[160], detail[PHOTA_NAME_MAX + 1];
    const char   *name;
    phota_sum_t  *sum;

    static const char  *names[] = { "-", "acme", "globex" };

    detail[0] = '\0';

    if (rows->by == PHOTA_USAGE_DAY) {
        photactl_day_format(detail, usage->day);

    } else if (rows->by == PHOTA_USAGE_TOKEN) {
        (void) snprintf(detail, sizeof(detail), "%u", usage->token);

    } else if (rows->by == PHOTA_USAGE_TAG) {
        memcpy(detail, usage->tag, sizeof(detail));
    }

    name = (usage->tenant < 3) ? names[usage->tenant] : "#3";

    (void) snprintf(key, sizeof(key), "%s|%s|%s", name,
                    phota_operation_name(usage->operation), detail);

    sum = test_rows_get(rows, key);

    sum->calls -= usage->sum.calls;
    sum->hits -= usage->sum.hits;
    sum->outputs -= usage->sum.outputs;
    sum->identity_outputs -= usage->sum.identity_outputs;
    sum->cost -= usage->sum.cost;
    sum->price -= usage->sum.price;
    sum->saved -= usage->sum.saved;

    return PHOTA_OK;
}


/* takes usage away from what was exported: nothing is left of any row */

static void
test_rows_equal(test_rows_t *rows)
{
    unsigned     i;
    phota_sum_t  none;

    memset(&none, 0, sizeof(none));

    assert_int_equal(phota_ledger_usage(&test_ledger, 0, 0, rows->by,
                                        test_usage_row, rows, &test_err),
                     PHOTA_OK);

    for (i = 0; i < rows->n; i++) {
        if (memcmp(&rows->rows[i].sum, &none, sizeof(none)) != 0) {
            fail_msg("%s: export and usage differ by %lld calls, cost %lld, "
                     "price %lld, saved %lld", rows->rows[i].key,
                     (long long) rows->rows[i].sum.calls,
                     (long long) rows->rows[i].sum.cost,
                     (long long) rows->rows[i].sum.price,
                     (long long) rows->rows[i].sum.saved);
        }
    }
}


static void
test_equals_usage(void **state)
{
    unsigned     seed, by;
    test_rows_t  rows;

    (void) state;

    for (seed = 1; seed <= 3; seed++) {
        test_history(seed, TEST_STEPS / 3);

        for (by = PHOTA_USAGE_OPERATION; by <= PHOTA_USAGE_TAG; by++) {
            rows.rows = calloc(TEST_ROWS, sizeof(test_row_t));
            assert_non_null(rows.rows);
            rows.n = 0;
            rows.by = by;

            test_export_ok("csv", NULL, NULL);
            assert_true(test_csv_add(&rows) > 50);
            test_rows_equal(&rows);
            assert_true(rows.n > 4);
            free(rows.rows);
        }
    }
}


static void
test_from_cursor(void **state)
{
    int          i;
    char         path[96], next[128], *text, *p;
    unsigned     lines;
    test_rows_t  rows;

    (void) state;

    rows.rows = calloc(TEST_ROWS, sizeof(test_row_t));
    assert_non_null(rows.rows);
    rows.n = 0;
    rows.by = PHOTA_USAGE_DAY;

    (void) snprintf(path, sizeof(path), "%s/cursor", test_dir);
    (void) snprintf(next, sizeof(next), "%s.new", path);

    /* books in which nothing happened yet have a cursor too */

    test_export_ok("csv", NULL, path);
    assert_int_equal(test_csv_add(&rows), 0);

    for (i = 0; i < 8; i++) {
        test_history((unsigned) i + 20, 60);
        test_export_ok("csv", NULL, path);
        (void) test_csv_add(&rows);
        assert_string_equal(test_said, "");
        assert_int_equal(access(next, F_OK), -1);
    }

    test_export_ok("csv", NULL, path);
    lines = test_csv_add(&rows);
    assert_int_equal(lines, 0);

    test_rows_equal(&rows);
    free(rows.rows);

    /* by hand, with the same end; what is no cursor of these is refused */

    test_export_ok("json", NULL, NULL);
    assert_int_equal(strncmp(test_said, "cursor: ", 8), 0);
    test_said[strcspn(test_said, "\n")] = '\0';

    text = test_slurp(path);
    text[strcspn(text, "\n")] = '\0';
    assert_string_equal(text, test_said + 8);

    test_export_ok("csv", text, NULL);
    assert_true(strchr(test_out, '\n')[1] == '\0');

    p = text + strlen(text) - 1;
    *p = (*p == '0') ? '1' : '0';
    assert_int_equal(test_export("csv", text, NULL), PHOTA_INVALID);
    assert_non_null(strstr(test_ctl.err.text, "other books"));
    assert_string_equal(test_out, "");
    free(text);

    assert_int_equal(test_export("csv", "99999999-0123456789abcdef", NULL),
                     PHOTA_INVALID);
    assert_int_equal(test_export("csv", "nonsense", NULL), PHOTACTL_USAGE);
    assert_int_equal(test_export("xml", NULL, NULL), PHOTACTL_USAGE);
}


static void
test_formats(void **state)
{
    char         *p, *q, *cells[TEST_CELLS];
    json_t       *line, *data, *seen, *sums[2];
    unsigned      i, n, lines;
    const char   *id, *key;
    phota_sum_t   focus, all;

    static const char  *formats[] = { "json", "cloudevents" };

    (void) state;

    test_history(77, TEST_STEPS / 3);

    seen = json_object();
    memset(&all, 0, sizeof(all));
    memset(&focus, 0, sizeof(focus));

    for (i = 0; i < 2; i++) {
        test_export_ok(formats[i], NULL, NULL);
        sums[i] = json_object();

        for (p = test_out; *p != '\0'; p = q + 1) {
            q = strchr(p, '\n');
            assert_non_null(q);
            *q = '\0';

            line = json_loads(p, 0, NULL);
            assert_non_null(line);
            data = line;

            if (i == 1) {
                data = json_object_get(line, "data");
                id = json_string_value(json_object_get(line, "id"));

                assert_null(json_object_get(seen, id));
                assert_int_equal(json_object_set_new(seen, id, json_true()),
                                 0);
                assert_string_equal(json_string_value(
                                        json_object_get(line, "specversion")),
                                    "1.0");

                key = json_string_value(json_object_get(data, "charge_id"));
                assert_true(*key == '\0'
                            ? strncmp(id, "hits-", 5) == 0
                            : strncmp(id, key, strlen(key)) == 0);

                all.cost += test_micro(json_string_value(
                                           json_object_get(data, "cost")));
                all.price += test_micro(json_string_value(
                                            json_object_get(data, "price")));
                all.hits += json_integer_value(json_object_get(data,
                                                               "hits"));
            }

            assert_int_equal(json_object_set(sums[i], json_string_value(
                                 json_object_get(data, "time")), data), 0);
            json_decref(line);
        }
    }

    assert_true(json_equal(sums[0], sums[1]));
    json_decref(sums[0]);
    json_decref(sums[1]);
    json_decref(seen);

    test_export_ok("focus", NULL, NULL);
    p = test_cells(test_out, cells, &n);
    assert_int_equal(n, PHOTACTL_FOCUS_COLUMNS);

    for (lines = 0; *p != '\0'; lines++) {
        p = test_cells(p, cells, &n);
        assert_int_equal(n, PHOTACTL_FOCUS_COLUMNS);
        focus.price += test_micro(cells[0]);
        focus.hits += atoll(cells[35]);
        focus.cost += test_micro(cells[n - 3]);
        assert_string_equal(cells[3], "USD");
    }

    assert_true(lines > 50);
    assert_true(focus.price == all.price);
    assert_true(focus.cost == all.cost);
    assert_true(focus.hits == all.hits);
}


static void
test_archived(void **state)
{
    char         path[256], *whole, cursor[64];
    uint64_t     n, day;

    (void) state;

    test_history(5, TEST_STEPS / 3);
    test_export_ok("csv", NULL, NULL);
    (void) snprintf(cursor, sizeof(cursor), "%.*s",
                    (int) strcspn(test_said + 8, "\n"), test_said + 8);
    whole = strdup(test_out);

    test_clock += 2 * (int64_t) TEST_DAY;
    day = phota_now() / TEST_DAY * TEST_DAY;

    if (phota_ledger_archive(&test_ledger, day, &n, path, sizeof(path),
                             &test_err)
        != PHOTA_OK)
    {
        fail_msg("%s", test_err.text);
    }

    assert_true(n > 100);

    /* the same bytes, and the cursor is one of these books still */

    test_export_ok("csv", NULL, NULL);
    assert_string_equal(test_out, whole);
    test_export_ok("csv", cursor, NULL);
    assert_true(strchr(test_out, '\n')[1] == '\0');

    free(whole);
}


static void
test_one_at_a_time(void **state)
{
    int   fd;
    char  path[96], next[128];

    (void) state;

    (void) snprintf(path, sizeof(path), "%s/cursor", test_dir);
    (void) snprintf(next, sizeof(next), "%s.new", path);

    fd = open(next, O_RDWR|O_CREAT, 0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);

    assert_int_equal(test_export("csv", NULL, path), PHOTA_REFUSED);
    assert_string_equal(test_out, "");

    (void) close(fd);

    /* what a killed one has left is in nobody's way */

    test_export_ok("csv", NULL, path);

    fd = open(path, O_WRONLY|O_TRUNC);
    assert_int_equal(write(fd, "who knows\n", 10), 10);
    (void) close(fd);

    assert_int_equal(test_export("csv", NULL, path), PHOTA_INVALID);
    assert_int_equal(access(next, F_OK), -1);

    (void) snprintf(path, sizeof(path), "%s/nowhere/cursor", test_dir);
    assert_int_equal(test_export("csv", NULL, path), PHOTA_ERROR);
    assert_string_equal(test_out, "");
}


#define TEST_EXPORT(name)                                                     \
    cmocka_unit_test_setup_teardown(name, test_export_setup,                  \
                                    test_export_teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST_EXPORT(test_equals_usage),
        TEST_EXPORT(test_from_cursor),
        TEST_EXPORT(test_formats),
        TEST_EXPORT(test_archived),
        TEST_EXPORT(test_one_at_a_time)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
