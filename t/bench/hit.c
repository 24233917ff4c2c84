
/*
 * What a hit is charged with beside its body: the check of the token, the
 * lookup of its tenant, and what the fingerprint takes before and after the
 * body, in the gateway's own calls, over all tokens of a directory at random.
 *
 *     hit DIR KEYFILE TOKENS BODY ROUNDS
 *
 * TOKENS: a file with a token a line; BODY: a file with a request.  Rows on
 * stdout: NAME, tab, nanoseconds.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "phota_fingerprint.h"
#include "phota_tenant.h"


#define HIT_LINE  (PHOTA_TOKEN_LEN + 1)
#define HIT_BODY  65536                         /* bytes */


typedef struct {
    char               *tokens;                 /* lines */
    size_t              ntokens;
    phota_directory_t  *directory;
    phota_hash_key_t    hash;
    u_char              body[HIT_BODY];
    size_t              len;
} hit_bench_t;


static void hit_die(const char *what) __attribute__((noreturn));
static double hit_seconds(void);
static char *hit_read(const char *path, size_t *len);
static void hit_token(hit_bench_t *b, unsigned rounds);
static void hit_fingerprint(hit_bench_t *b, unsigned rounds);


static uint64_t        hit_seed = 88172645463325252u;
static phota_error_t   hit_err;


static void
hit_die(const char *what)
{
    fprintf(stderr, "hit: %s: %s\n", what, hit_err.text);
    exit(1);
}


static double
hit_seconds(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static char *
hit_read(const char *path, size_t *len)
{
    char    *p;
    long     size;
    FILE    *file;

    file = fopen(path, "rb");

    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        hit_die(path);
    }

    size = ftell(file);
    rewind(file);

    p = malloc((size_t) size + 1);

    if (size <= 0 || p == NULL
        || fread(p, 1, (size_t) size, file) != (size_t) size)
    {
        hit_die(path);
    }

    (void) fclose(file);

    *len = (size_t) size;

    return p;
}


static void
hit_token(hit_bench_t *b, unsigned rounds)
{
    double                 began, check, lookup;
    u_char                 digest[PHOTA_SHA256_LEN], *digests;
    unsigned               i;
    uint64_t               now;
    const phota_token_t   *token;
    const phota_tenant_t  *tenant;
    static phota_tenant_t  copy;

    now = phota_now();
    digests = malloc((size_t) rounds * PHOTA_SHA256_LEN);

    if (digests == NULL) {
        hit_die("memory");
    }

    began = hit_seconds();

    for (i = 0; i < rounds; i++) {
        hit_seed ^= hit_seed << 13;
        hit_seed ^= hit_seed >> 7;
        hit_seed ^= hit_seed << 17;

        if (phota_token_digest((u_char *) b->tokens
                               + hit_seed % b->ntokens * HIT_LINE,
                               PHOTA_TOKEN_LEN, digest)
            != PHOTA_OK)
        {
            hit_die("no token");
        }

        memcpy(digests + (size_t) i * PHOTA_SHA256_LEN, digest,
               PHOTA_SHA256_LEN);
    }

    check = hit_seconds() - began;
    began = hit_seconds();

    for (i = 0; i < rounds; i++) {

        if (phota_directory_find(b->directory,
                                 digests + (size_t) i * PHOTA_SHA256_LEN, now,
                                 &tenant, &token)
            != PHOTA_OK)
        {
            hit_die("an unknown token");
        }

        /* as a request keeps it */

        copy = *tenant;
    }

    lookup = hit_seconds() - began;

    free(digests);

    if (copy.id == 0) {
        hit_die("no tenant");
    }

    printf("token\t%.0f\n", check / rounds * 1e9);
    printf("tenant\t%.0f\n", lookup / rounds * 1e9);
}


/* all of it, and the same without the body */

static void
hit_fingerprint(hit_bench_t *b, unsigned rounds)
{
    int                   whole;
    double                began, spent[2];
    unsigned              i;
    uint32_t              id;
    phota_str_t           scope, args;
    phota_scan_t          scan;
    phota_fingerprint_t  *fp;

    id = 1;
    scope.data = (u_char *) &id;
    scope.len = sizeof(id);
    args.data = (u_char *) "";
    args.len = 0;

    for (whole = 0; whole < 2; whole++) {
        spent[whole] = 0;

        for (i = 0; i < rounds; i++) {
            began = hit_seconds();

            fp = phota_fingerprint_create(&phota_operations[PHOTA_OP_REMIX],
                                          &b->hash, NULL, 0);

            if (fp == NULL) {
                hit_die("memory");
            }

            if (!whole) {
                spent[0] += hit_seconds() - began;
            }

            if (phota_fingerprint_update(fp, b->body, b->len) != PHOTA_OK) {
                hit_die("the body is none");
            }

            if (!whole) {
                began = hit_seconds();
            }

            if (phota_fingerprint_final(fp, &scope, &args, &scan)
                != PHOTA_OK)
            {
                hit_die("the body is none");
            }

            phota_fingerprint_destroy(fp);

            spent[whole] += hit_seconds() - began;
        }
    }

    /* the clock was asked four times, and twice */

    began = hit_seconds();

    for (i = 0; i < rounds; i++) {
        (void) hit_seconds();
    }

    began = hit_seconds() - began;

    printf("fingerprint\t%.0f\n", (spent[0] - 2 * began) / rounds * 1e9);
    printf("fingerprint_body\t%.0f\n", (spent[1] - began) / rounds * 1e9);
}


int
main(int argc, char **argv)
{
    char                *body;
    size_t               len;
    unsigned             rounds;
    phota_store_t        store;
    phota_master_t       master;
    phota_tenants_t      tenants;
    static hit_bench_t   b;

    if (argc != 6) {
        fprintf(stderr, "usage: hit DIR KEYFILE TOKENS BODY ROUNDS\n");
        return 2;
    }

    rounds = (unsigned) strtoul(argv[5], NULL, 10);

    b.tokens = hit_read(argv[3], &len);
    b.ntokens = len / HIT_LINE;

    body = hit_read(argv[4], &b.len);

    if (b.ntokens == 0 || b.len > sizeof(b.body) || rounds == 0) {
        hit_die("nothing to do");
    }

    memcpy(b.body, body, b.len);
    free(body);

    if (phota_master_read(&master, argv[2], &hit_err) != PHOTA_OK
        || phota_hash_key_init(&b.hash, &master) != PHOTA_OK
        || phota_store_open(&store, argv[1], "books", PHOTA_BOOKS_SCHEMA,
                            PHOTA_BOOKS_MAP, PHOTA_STORE_RDONLY, &hit_err)
           != PHOTA_OK
        || phota_tenants_open(&tenants, &store, &hit_err) != PHOTA_OK
        || phota_directory_load(&tenants, &b.directory, &hit_err) != PHOTA_OK)
    {
        hit_die(argv[1]);
    }

    hit_token(&b, rounds);
    hit_fingerprint(&b, rounds);

    phota_directory_destroy(b.directory);
    phota_store_close(&store);
    free(b.tokens);

    return 0;
}
