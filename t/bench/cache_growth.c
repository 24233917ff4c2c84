
/*
 * How large the cache's file becomes: random sizes, much more of them than
 * there is room for, with hits, evictions, and what is being sent.  It prints
 * what the file has at the end beside the limit, and fails above 1.1.
 *
 *     cache-growth DIRECTORY [MB [TURNS [SECONDS]]]
 *
 * stores TURNS times MB in all, SECONDS apart by a clock of its own.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "phota_cache_record.h"


#define BENCH_SMALLEST  200000
#define BENCH_LARGEST   6000000
#define BENCH_BOUND     1.1


typedef struct {
    u_char           *text;
    size_t            len;
} bench_answer_t;


uint64_t __wrap_phota_now(void);


static uint64_t       bench_clock = 1764000000000;     /* ms */
static uint64_t       bench_seed = 88172645463325252u;
static phota_store_t  bench_store;
static phota_cache_t  bench_cache;
static phota_beats_t  bench_beats;
static phota_error_t  bench_err;


uint64_t
__wrap_phota_now(void)
{
    return bench_clock;
}


static void
bench_fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, bench_err.text);
    exit(1);
}


static uint64_t
bench_random(void)
{
    bench_seed ^= bench_seed << 13;
    bench_seed ^= bench_seed >> 7;
    bench_seed ^= bench_seed << 17;

    return bench_seed;
}


static int
bench_read(void *ctx, u_char *buf, size_t len, uint64_t offset)
{
    bench_answer_t  *answer = ctx;

    memcpy(buf, answer->text + offset, len);

    return PHOTA_OK;
}


/* bytes that are nowhere else, in an answer */

static void
bench_make(bench_answer_t *answer, size_t length)
{
    size_t         i, n;
    uint64_t       random;
    static u_char  picture[BENCH_LARGEST + 8];

    static const char  head[] = "{\"images\":[\"";
    static const char  tail[] = "\"],\"download_urls\":[],"
                                "\"known_subjects\":{\"counts\":{}}}";

    for (i = 0; i < length; i += 8) {
        random = bench_random();
        memcpy(picture + i, &random, 8);
    }

    memcpy(answer->text, head, sizeof(head) - 1);
    n = sizeof(head) - 1;
    n += phota_base64_encode(answer->text + n, picture, length);
    memcpy(answer->text + n, tail, sizeof(tail) - 1);
    answer->len = n + sizeof(tail) - 1;
}


static uint64_t
bench_put(bench_answer_t *answer, phota_use_t *use)
{
    size_t                    length;
    phota_deposit_t           deposit;
    static phota_unpacked_t   unpacked;

    length = BENCH_SMALLEST
             + bench_random() % (BENCH_LARGEST - BENCH_SMALLEST);

    bench_make(answer, length);

    if (phota_unpack(PHOTA_ANSWER_IMAGES, bench_read, answer, answer->len,
                     &unpacked, &bench_err)
        != PHOTA_OK)
    {
        bench_fail("unpack");
    }

    memset(&deposit, 0, sizeof(phota_deposit_t));
    memcpy(deposit.fingerprint, unpacked.pictures[0].digest,
           PHOTA_SHA256_LEN);

    deposit.result.tenant = 1;
    deposit.result.scope = 1;
    deposit.result.status = 200;
    deposit.result.expires = bench_clock + 30ull * 86400 * 1000;

    if (phota_id_create(&deposit.result.id, bench_clock) != PHOTA_OK
        || phota_cache_store(&bench_cache, &deposit, 1, 0, &unpacked,
                             bench_read, answer, &bench_err)
           != PHOTA_OK)
    {
        bench_fail("store");
    }

    use->key = deposit.result.key;
    use->id = deposit.result.id;
    use->linked = 0;

    return length;
}


/* hits keep results young in any order; every tenth picture is being sent */

static void
bench_hit(const phota_use_t *uses, unsigned n)
{
    const phota_use_t  *use;

    use = &uses[bench_random() % n];

    if (phota_cache_touch(&bench_cache, use, 1, bench_clock, &bench_err)
        != PHOTA_OK)
    {
        bench_fail("touch");
    }

    if (bench_random() % 10 == 0) {
        phota_beat(&bench_beats, use->key.fingerprint,
                   (uint32_t) (bench_clock / 1000) + 20);
    }
}


static void
bench_sweep(void)
{
    int  more;

    do {
        if (phota_cache_sweep(&bench_cache, bench_clock, &more, &bench_err)
            != PHOTA_OK)
        {
            bench_fail("sweep");
        }

    } while (more);
}


static double
bench_report(const char *dir, uint64_t max, uint64_t stored, uint64_t n)
{
    char                  path[4096];
    double                used;
    struct stat           st;
    MDB_envinfo           info;
    phota_cache_totals_t  totals;

    (void) snprintf(path, sizeof(path), "%s/cache/data.mdb", dir);

    if (stat(path, &st) != 0 || mdb_env_info(bench_store.env, &info) != 0
        || phota_cache_stats(&bench_cache, &totals, &bench_err) != PHOTA_OK)
    {
        bench_fail(path);
    }

    used = (double) (info.me_last_pgno + 1) * 4096;

    printf("stored %llu in %llu MB: file %.3f of the limit, on disk %.3f, "
           "in it %.3f, garbage %.3f\n",
           (unsigned long long) n, (unsigned long long) stored >> 20,
           used / (double) max, (double) st.st_blocks * 512 / (double) max,
           (double) totals.bytes / (double) max,
           (double) totals.garbage / (double) max);

    return used / (double) max;
}


int
main(int argc, char **argv)
{
    double           share;
    uint64_t         max, turns, step, stored, n;
    phota_use_t      uses[64];
    bench_answer_t   answer;

    if (argc < 2) {
        fprintf(stderr, "usage: cache-growth DIRECTORY [MB [TURNS "
                "[SECONDS]]]\n");
        return 2;
    }

    max = (argc > 2 ? strtoull(argv[2], NULL, 10) : 256) << 20;
    turns = argc > 3 ? strtoull(argv[3], NULL, 10) : 20;
    step = argc > 4 ? strtoull(argv[4], NULL, 10) : 30;

    answer.text = malloc(phota_base64_length(BENCH_LARGEST) + 1024);

    if (answer.text == NULL
        || phota_store_open(&bench_store, argv[1], "cache",
                            PHOTA_CACHE_SCHEMA, phota_cache_map(max),
                            PHOTA_STORE_CREATE|PHOTA_STORE_NOMETASYNC,
                            &bench_err)
           != PHOTA_OK
        || phota_cache_open(&bench_cache, &bench_store, max, &bench_beats,
                            &bench_err)
           != PHOTA_OK)
    {
        bench_fail("open");
    }

    stored = 0;

    for (n = 0; stored < turns * max; n++) {
        stored += bench_put(&answer, &uses[n % 64]);
        bench_hit(uses, n < 64 ? (unsigned) n + 1 : 64);
        bench_clock += step * 1000;

        if (step) {
            bench_sweep();
        }
    }

    share = bench_report(argv[1], max, stored, n);

    phota_store_close(&bench_store);
    free(answer.text);

    return (share <= BENCH_BOUND) ? 0 : 1;
}
