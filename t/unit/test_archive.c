
/*
 * The archive: what leaves the database and what stays, that everything reads
 * on as before, that no damage to a file goes unseen, and that whoever is
 * killed at it loses nothing.
 */


#include <fcntl.h>
#include <sys/file.h>
#include <zlib.h>

#include "phota_archive.h"
#include "story.h"


typedef struct {
    phota_entry_t   *entries;
    size_t           n;
    size_t           room;
    uint64_t         archive;       /* before this day, at entry 100 */
} test_entries_t;


static int
test_archive(uint64_t day, uint64_t *moved, char *path)
{
    return phota_ledger_archive(&test_ledger, day * TEST_DAY, moved, path,
                                PHOTA_ARCHIVE_PATH, &test_err);
}


static void
test_archive_ok(uint64_t day)
{
    char      path[PHOTA_ARCHIVE_PATH];
    uint64_t  moved;

    if (test_archive(day, &moved, path) != PHOTA_OK) {
        fail_msg("%s", test_err.text);
    }
}


/* days from 20700 on, the clock stands at noon after them */

static void
test_days(story_t *story, unsigned days, unsigned steps)
{
    story_begin(story);

    while (days--) {
        story_steps(story, steps);
        test_clock += (int64_t) TEST_DAY;
    }
}


static void
test_invalid(const char *text)
{
    uint64_t  entries;

    if (test_verify(&entries) != PHOTA_INVALID) {
        fail_msg("not found: %s", text);
    }

    if (strstr(test_err.text, text) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", text, test_err.text);
    }
}


static int
test_keep(void *ctx, const phota_entry_t *entry)
{
    test_entries_t  *list;

    list = ctx;

    assert_true(list->n < list->room);
    assert_null(entry->hash);
    list->entries[list->n++] = *entry;

    if (list->archive != 0 && list->n == 100) {
        test_archive_ok(list->archive);
    }

    return PHOTA_OK;
}


static void
test_list(test_entries_t *list, uint64_t after)
{
    size_t  i;

    list->n = 0;

    if (phota_ledger_entries(&test_ledger, after, test_keep, list, &test_err)
        != PHOTA_OK)
    {
        fail_msg("%s", test_err.text);
    }

    for (i = 0; i < list->n; i++) {
        assert_true(list->entries[i].sequence == after + 1 + i);
    }
}


static void
test_list_init(test_entries_t *list)
{
    memset(list, 0, sizeof(test_entries_t));

    list->room = (size_t) story_chain().count + 1;
    list->entries = calloc(list->room, sizeof(phota_entry_t));
    assert_non_null(list->entries);
}


static int
test_used(void *ctx, const phota_usage_t *usage)
{
    phota_sum_add(ctx, &usage->sum);

    return PHOTA_OK;
}


static phota_sum_t
test_usage(void)
{
    phota_sum_t  sum;

    memset(&sum, 0, sizeof(phota_sum_t));
    assert_int_equal(phota_ledger_usage(&test_ledger, 0, 0,
                                        PHOTA_USAGE_OPERATION, test_used,
                                        &sum, &test_err),
                     PHOTA_OK);

    return sum;
}


static void
test_moves(void **state)
{
    char             path[PHOTA_ARCHIVE_PATH];
    story_t          story;
    uint64_t         moved, count;
    phota_sum_t      before, after;
    struct stat      st;
    phota_chain_t    chain;
    test_entries_t   one, two;

    (void) state;

    test_days(&story, 4, 150);

    /* an entry for what has none, that the counts may be compared */

    test_archive_ok(20700);

    before = test_usage();
    count = story_chain().count;
    test_list_init(&one);
    test_list_init(&two);
    test_list(&one, 0);
    test_verify_ok(count);

    assert_int_equal(test_archive(20702, &moved, path), PHOTA_OK);
    assert_true(moved > 50 && moved < count - 50);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);

    chain = story_chain();
    assert_true(chain.archived == moved);
    assert_true(chain.count == count);
    assert_int_equal(chain.closed, 20702);

    after = test_usage();
    assert_memory_equal(&before, &after, sizeof(phota_sum_t));
    test_verify_ok(count);

    test_list(&two, 0);
    assert_true(one.n == two.n);
    assert_memory_equal(one.entries, two.entries,
                        one.n * sizeof(phota_entry_t));
    test_list(&two, moved - 1);
    test_list(&two, moved);
    test_list(&two, moved + 1);
    assert_true(two.n == count - moved - 1);

    /* nothing more to do, then the next day */

    assert_int_equal(test_archive(20702, &moved, path), PHOTA_OK);
    assert_true(moved == 0);
    assert_string_equal(path, "");

    assert_int_equal(test_archive(20703, &moved, path), PHOTA_OK);
    assert_true(moved != 0);
    assert_non_null(strstr(path, "/0002-"));
    test_verify_ok(count);
    test_list(&two, 0);
    assert_memory_equal(one.entries, two.entries,
                        one.n * sizeof(phota_entry_t));

    /* life goes on */

    story_steps(&story, 300);
    test_verify_ok(story_chain().count);

    free(one.entries);
    free(two.entries);
}


static void
test_days_open(void **state)
{
    char      path[PHOTA_ARCHIVE_PATH];
    story_t   story;
    uint64_t  moved;

    (void) state;

    test_days(&story, 1, 20);

    assert_int_equal(phota_ledger_archive(&test_ledger, 20701 * TEST_DAY + 1,
                                          &moved, path, sizeof(path),
                                          &test_err),
                     PHOTA_INVALID);
    assert_int_equal(test_archive(20702, &moved, path), PHOTA_INVALID);

    /* half an hour after its end a day is open, an hour and a bit it isn't */

    test_clock -= (int64_t) (11 * TEST_HOUR + TEST_HOUR / 2);
    assert_int_equal(test_archive(20701, &moved, path), PHOTA_INVALID);
    test_clock += (int64_t) (TEST_HOUR / 2 + 60000);
    assert_int_equal(test_archive(20701, &moved, path), PHOTA_OK);
    assert_true(moved != 0);
}


/* which charges leave, and that those that stay can end */

static void
test_charges(void **state)
{
    char             path[PHOTA_ARCHIVE_PATH];
    story_t          story;
    uint64_t         moved;
    MDB_txn         *txn;
    phota_sum_t      sum;
    phota_charge_t   done, open, late, view;
    phota_outcome_t  outcome;

    (void) state;

    story_begin(&story);
    test_outcome(&outcome, PHOTA_STATE_SETTLED, 1, 0, 0);

    test_charge(&done, 1, 0, 1);
    test_hold(&done);
    assert_int_equal(test_end(&done.id, &outcome, NULL), PHOTA_OK);
    test_charge(&open, 1, 0, 1);
    test_hold(&open);
    test_charge(&late, 1, 0, 1);
    test_hold(&late);

    test_clock += (int64_t) TEST_DAY;
    assert_int_equal(test_end(&late.id, &outcome, NULL), PHOTA_OK);

    assert_int_equal(test_archive(20701, &moved, path), PHOTA_OK);
    assert_true(moved == 4);
    test_verify_ok(5);

    txn = test_begin(0);
    assert_int_equal(phota_ledger_get(&test_ledger, txn, &done.id, &view),
                     PHOTA_DECLINED);
    assert_int_equal(phota_ledger_get(&test_ledger, txn, &open.id, &view),
                     PHOTA_OK);
    assert_int_equal(phota_ledger_get(&test_ledger, txn, &late.id, &view),
                     PHOTA_OK);
    phota_store_abort(txn);

    assert_int_equal(test_reverse(&done.id, "ann", "", NULL),
                     PHOTA_DECLINED);
    assert_int_equal(test_end(&open.id, &outcome, NULL), PHOTA_OK);
    assert_int_equal(test_reverse(&late.id, "ann", "", NULL), PHOTA_OK);
    test_verify_ok(7);

    sum = test_usage();
    assert_true(sum.calls == 2);

    test_clock += (int64_t) TEST_DAY;
    assert_int_equal(test_archive(20702, &moved, path), PHOTA_OK);
    assert_true(moved == 3);
    test_verify_ok(7);
    assert_true(story_chain().archived == 7);
}


/* the same while somebody looks at them: each is given once */

static void
test_list_meanwhile(void **state)
{
    story_t         story;
    test_entries_t  one, two;

    (void) state;

    test_days(&story, 3, 400);
    test_archive_ok(20700);

    test_list_init(&one);
    test_list_init(&two);
    test_list(&one, 0);

    two.archive = 20702;
    test_list(&two, 0);
    assert_true(story_chain().archived > 256);
    assert_true(one.n == two.n);
    assert_memory_equal(one.entries, two.entries,
                        one.n * sizeof(phota_entry_t));

    free(one.entries);
    free(two.entries);
}


typedef struct {
    char     path[PHOTA_ARCHIVE_PATH];
    size_t   len;
    u_char   bytes[1 << 18];
} test_file_t;


static void
test_file_read(test_file_t *file, uint64_t day)
{
    FILE      *f;
    uint64_t   moved;

    assert_int_equal(test_archive(day, &moved, file->path), PHOTA_OK);
    assert_true(moved != 0);

    f = fopen(file->path, "rb");
    assert_non_null(f);
    file->len = fread(file->bytes, 1, sizeof(file->bytes), f);
    assert_true(file->len > 1000 && file->len < sizeof(file->bytes));
    (void) fclose(f);
}


static void
test_file_write(const test_file_t *file, size_t len)
{
    FILE  *f;

    f = fopen(file->path, "wb");
    assert_non_null(f);
    assert_true(fwrite(file->bytes, 1, len, f) == len);
    assert_int_equal(fclose(f), 0);
}


static int
test_nothing(void *ctx, const phota_entry_t *entry)
{
    (void) ctx;
    (void) entry;

    return PHOTA_OK;
}


static void
test_damage(void **state)
{
    char          name[PHOTA_ARCHIVE_PATH + 8];
    u_char        byte;
    size_t        i, at;
    story_t       story;
    uint64_t      count;
    test_file_t  *one, *two;

    (void) state;

    one = calloc(2, sizeof(test_file_t));
    assert_non_null(one);
    two = one + 1;

    test_days(&story, 3, 60);
    test_file_read(one, 20701);
    test_file_read(two, 20702);
    count = story_chain().count;
    test_verify_ok(count);

    /* the bytes of the head, of the tail, and some between */

    for (i = 0; i < 400; i++) {
        at = (i < 30) ? i : (i < 130) ? one->len - 1 - (i - 30)
             : story_random(&story, (uint32_t) one->len);

        byte = one->bytes[at];
        one->bytes[at] ^= (u_char) (1 << story_random(&story, 8));
        test_file_write(one, one->len);
        one->bytes[at] = byte;

        test_invalid("");
    }

    assert_int_equal(phota_ledger_entries(&test_ledger, 0, test_nothing, NULL,
                                          &test_err),
                     PHOTA_ERROR);

    /* cut, and with a byte too many */

    for (i = 0; i < 60; i++) {
        test_file_write(one, story_random(&story, (uint32_t) one->len));
        test_invalid("/0001-");
    }

    one->bytes[one->len] = 0;
    test_file_write(one, one->len + 1);
    test_invalid("/0001-");

    test_file_write(one, one->len);
    test_verify_ok(count);

    /* missing, the one or the other, or under a name that isn't its own */

    assert_int_equal(unlink(two->path), 0);
    test_invalid("is archived, and the file with it is missing");
    assert_int_equal(phota_ledger_entries(&test_ledger, 0, test_nothing, NULL,
                                          &test_err),
                     PHOTA_ERROR);
    test_file_write(two, two->len);

    assert_int_equal(unlink(one->path), 0);
    test_invalid("entry 1 should be in file 0001, which is missing");
    test_file_write(one, one->len);
    test_verify_ok(count);

    (void) snprintf(name, sizeof(name), "%s", two->path);
    memcpy(two->path, one->path, sizeof(two->path));
    test_file_write(two, two->len);
    test_invalid("has other entries than its name says");
    test_file_write(one, one->len);
    test_verify_ok(count);

    free(one);
}


/* what a gzip file may claim that zlib finds nothing wrong with */

static void
test_lies(void **state)
{
    gzFile        gz;
    size_t        i;
    u_char        head[PHOTA_ARCHIVE_HEAD + 4];
    story_t       story;
    uint64_t      last;
    test_file_t  *one;

    (void) state;

    one = calloc(1, sizeof(test_file_t));
    assert_non_null(one);

    test_days(&story, 2, 40);
    test_file_read(one, 20701);
    last = story_chain().archived;

    for (i = 0; i < 3; i++) {
        memset(head, 0, sizeof(head));
        memcpy(head, PHOTA_ARCHIVE_MAGIC, 8);
        head[8] = PHOTA_ARCHIVE_VERSION;
        head[12] = 1;
        memcpy(head + 20, &last, 8);
        memset(head + PHOTA_ARCHIVE_HEAD, i ? 0xff : 0, 4);

        gz = gzopen(one->path, "wb");
        assert_non_null(gz);
        assert_true(gzwrite(gz, head, (i == 2) ? 50 : sizeof(head)) > 0);
        assert_int_equal(gzclose(gz), Z_OK);
        assert_int_equal(truncate(one->path, 400), 0);
        test_invalid((i == 0) ? "entry 1 in"
                     : (i == 1) ? "a record that is too long"
                     : "ends too early");
    }

    /* no file at all */

    assert_int_equal(unlink(one->path), 0);
    assert_int_equal(mkdir(one->path, 0700), 0);
    test_invalid("/0001-");

    free(one);
}


static void
test_readable(void **state)
{
    char      path[PHOTA_ARCHIVE_PATH], cmd[PHOTA_ARCHIVE_PATH + 64];
    char      text[64];
    FILE     *f;
    story_t   story;
    uint64_t  moved;

    (void) state;

    test_days(&story, 2, 40);
    assert_int_equal(test_archive(20701, &moved, path), PHOTA_OK);

    (void) snprintf(cmd, sizeof(cmd), "zcat '%s' 2>&1 | head -c 8", path);
    f = popen(cmd, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof(text), f));
    (void) pclose(f);
    assert_string_equal(text, PHOTA_ARCHIVE_MAGIC);

    (void) snprintf(cmd, sizeof(cmd), "gzip -t '%s'", path);
    assert_int_equal(system(cmd), 0);
}


static void
test_child_archive(uint64_t day)
{
    char      path[PHOTA_ARCHIVE_PATH];
    uint64_t  moved;

    test_open(0);
    (void) mdb_env_set_flags(test_store.env, MDB_NOSYNC, 1);
    _exit(test_archive(day, &moved, path) == PHOTA_OK ? 0 : 1);
}


/* killed at any moment; who comes after goes on from there */

static void
test_killed(void **state)
{
    int              status;
    pid_t            pid;
    char             path[PHOTA_ARCHIVE_PATH];
    story_t          story;
    uint64_t         count, day;
    unsigned         kills, rounds, whole, longest;
    phota_sum_t      before, after;
    phota_chain_t    chain;
    struct timespec  pause;

    (void) state;

    test_days(&story, 6, 1200);
    test_archive_ok(20700);
    before = test_usage();
    count = story_chain().count;

    kills = 0;
    whole = 0;
    longest = 40000;

    for (day = 20701, rounds = 0; day <= 20706 && rounds < 400; rounds++) {

        test_close();

        pid = fork();
        assert_true(pid >= 0);

        if (pid == 0) {
            test_child_archive(day);
        }

        pause.tv_sec = 0;
        pause.tv_nsec = (long) story_random(&story, longest) * 1000;
        (void) nanosleep(&pause, NULL);
        (void) kill(pid, SIGKILL);
        assert_true(waitpid(pid, &status, 0) == pid);

        test_open(0);
        (void) mdb_env_set_flags(test_store.env, MDB_NOSYNC, 1);

        if (WIFSIGNALED(status)) {
            kills++;

        } else {
            assert_int_equal(WEXITSTATUS(status), 0);
            day++;
            whole++;

            /* a fast machine is killed sooner */

            longest = longest / 2 + 500;
        }

        test_verify_ok(count);

        chain = story_chain();
        assert_true(chain.count == count);
    }

    /* even if the machine was too slow for any of them to come through */

    for ( /* void */ ; day <= 20706; day++) {
        test_archive_ok(day);
        test_verify_ok(count);
    }

    after = test_usage();
    assert_memory_equal(&before, &after, sizeof(phota_sum_t));
    assert_true(kills > 5);

    phota_archive_path(&test_ledger, NULL, path);
    (void) snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s",
                    PHOTA_ARCHIVE_TEMP);
    assert_int_equal(access(path, F_OK), -1);
    print_message("%u killed, %u came through\n", kills, whole);
}


/* what is bought meanwhile is in the books, and no second archiver is let in */

static void
test_meanwhile(void **state)
{
    int        fd, status;
    char       path[PHOTA_ARCHIVE_PATH];
    pid_t      pid;
    story_t    story;
    uint64_t   moved;

    (void) state;

    test_days(&story, 3, 1500);
    test_close();

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        test_open(0);
        story_begin(&story);
        story.seed = 99;

        if (phota_ledger_own(&test_ledger, &test_err) != PHOTA_OK) {
            _exit(1);
        }

        story_steps(&story, 4000);
        _exit(0);
    }

    test_open(0);
    (void) mdb_env_set_flags(test_store.env, MDB_NOSYNC, 1);

    test_archive_ok(20701);
    test_archive_ok(20702);
    test_archive_ok(20703);

    assert_true(waitpid(pid, &status, 0) == pid);
    assert_int_equal(status, 0);
    test_verify_ok(story_chain().count);
    assert_true(story_chain().archived > 1000);

    phota_archive_path(&test_ledger, NULL, path);
    fd = open(path, O_RDONLY);
    assert_true(fd != -1);
    assert_int_equal(flock(fd, LOCK_EX|LOCK_NB), 0);
    assert_int_equal(test_archive(20703, &moved, path), PHOTA_ERROR);
    (void) close(fd);
}


/* a file that isn't the database's is not taken up, and nothing is lost */

static void
test_foreign(void **state)
{
    char       path[PHOTA_ARCHIVE_PATH], copy[PHOTA_ARCHIVE_PATH];
    story_t    story;
    uint64_t   moved, count;

    (void) state;

    test_days(&story, 2, 100);
    assert_int_equal(test_archive(20701, &moved, path), PHOTA_OK);
    (void) snprintf(copy, sizeof(copy), "%s/kept", test_dir);
    assert_int_equal(rename(path, copy), 0);

    /* new books, with the old ones' file */

    test_close();
    (void) snprintf(path + strlen(test_dir), sizeof(path) - strlen(test_dir),
                    "/books/data.mdb");
    assert_int_equal(unlink(path), 0);

    test_open(PHOTA_STORE_CREATE);
    assert_int_equal(phota_ledger_own(&test_ledger, &test_err), PHOTA_OK);
    test_clock = 0;
    test_days(&story, 2, 100);

    phota_archive_path(&test_ledger,
                       &(phota_archive_file_t) { 1, 1, moved }, path);
    assert_int_equal(rename(copy, path), 0);

    count = story_chain().count;

    assert_int_equal(test_archive(20701, &moved, path), PHOTA_ERROR);
    assert_true(story_chain().archived == 0);
    assert_true(story_chain().count == count);
    test_invalid("differs between archive and database");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        TEST(test_moves),
        TEST(test_days_open),
        TEST(test_charges),
        TEST(test_list_meanwhile),
        TEST(test_damage),
        TEST(test_lies),
        TEST(test_readable),
        TEST(test_killed),
        TEST(test_meanwhile),
        TEST(test_foreign)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
