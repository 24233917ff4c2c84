
/*
 * Fills a data directory for measurements: results, tenants and tokens by the
 * gateway's own functions, as it writes them, but many in a transaction, and
 * nothing is synced before the end.  Nothing else may have it open meanwhile.
 *
 *     fill results DIR KEYFILE SCOPE BODY FROM TO BYTES MB
 *     fill tenants DIR COUNT TOKENS
 *
 * results: for each number from FROM to TO - 1 the request in the file BODY,
 * with the number in place of the first run of "@", has an answer with a
 * picture of so many bytes; SCOPE: a tenant, by its id, or 0 for the shared
 * scope; MB: the limit of the cache.  tenants: named bench-1 and so on, their
 * results shared; a token a line on stdout.
 */


#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "phota_cache.h"
#include "phota_fingerprint.h"
#include "phota_tenant.h"


#define FILL_BATCH    4096              /* results or tokens in a commit */
#define FILL_BODY     65536             /* bytes */
#define FILL_PICTURE  65536             /* bytes, the largest */
#define FILL_VALID    (30 * (uint64_t) 86400000)
#define FILL_LINKED   (2 * (uint64_t) 86400000)


typedef struct {
    u_char           *text;
    size_t            len;
} fill_answer_t;


typedef struct {
    phota_store_t     store;
    phota_cache_t     cache;
    phota_hash_key_t  hash;
    fill_answer_t     answer;
    uint32_t          scope;
    size_t            bytes;
    size_t            place;            /* of the number, and its digits */
    size_t            digits;
    size_t            len;
    u_char            body[FILL_BODY];
} fill_results_t;


int __real_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags,
    MDB_txn **txn);
int __wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags,
    MDB_txn **txn);
int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);

static void fill_die(const char *what) __attribute__((noreturn));
static void fill_begin(phota_store_t *store);
static void fill_commit(void);
static void fill_end(phota_store_t *store);
static int fill_read(void *ctx, u_char *buf, size_t len, uint64_t offset);
static void fill_picture(fill_answer_t *answer, size_t length);
static void fill_result(fill_results_t *f, uint64_t number);
static void fill_body(fill_results_t *f, const char *path);
static void fill_results(char **arg);
static int fill_shared(void *ctx, phota_tenant_t *tenant, phota_error_t *err);
static void fill_tenants(char **arg);


static MDB_txn        *fill_txn;        /* in which all is done */
static uint64_t        fill_seed = 88172645463325252u;
static phota_error_t   fill_err;


/* the linker puts them in the place of LMDB's: one transaction for many */

int
__wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags,
    MDB_txn **txn)
{
    if (fill_txn == NULL) {
        return __real_mdb_txn_begin(env, parent, flags, txn);
    }

    *txn = fill_txn;

    return 0;
}


int
__wrap_mdb_txn_commit(MDB_txn *txn)
{
    return (txn == fill_txn) ? 0 : __real_mdb_txn_commit(txn);
}


static void
fill_die(const char *what)
{
    fprintf(stderr, "fill: %s: %s\n", what, fill_err.text);
    exit(1);
}


static void
fill_begin(phota_store_t *store)
{
    MDB_txn  *txn;

    if (__real_mdb_txn_begin(store->env, NULL, 0, &txn) != 0) {
        fill_die("begin");
    }

    fill_txn = txn;
}


static void
fill_commit(void)
{
    if (__real_mdb_txn_commit(fill_txn) != 0) {
        fill_die("commit");
    }

    fill_txn = NULL;
}


static void
fill_end(phota_store_t *store)
{
    fill_commit();

    if (mdb_env_sync(store->env, 1) != 0) {
        fill_die("sync");
    }

    phota_store_close(store);
}


static int
fill_read(void *ctx, u_char *buf, size_t len, uint64_t offset)
{
    fill_answer_t  *answer = ctx;

    memcpy(buf, answer->text + offset, len);

    return PHOTA_OK;
}


/* bytes that are nowhere else, in an answer */

static void
fill_picture(fill_answer_t *answer, size_t length)
{
    size_t         i, n;
    static u_char  picture[FILL_PICTURE + 8];

    static const char  head[] = "{\"images\":[\"";
    static const char  tail[] = "\"],\"download_urls\":[],"
                                "\"known_subjects\":{\"counts\":{}}}";

    for (i = 0; i < length; i += 8) {
        fill_seed ^= fill_seed << 13;
        fill_seed ^= fill_seed >> 7;
        fill_seed ^= fill_seed << 17;
        memcpy(picture + i, &fill_seed, 8);
    }

    memcpy(answer->text, head, sizeof(head) - 1);
    n = sizeof(head) - 1;
    n += phota_base64_encode(answer->text + n, picture, length);
    memcpy(answer->text + n, tail, sizeof(tail) - 1);
    answer->len = n + sizeof(tail) - 1;
}


static void
fill_result(fill_results_t *f, uint64_t number)
{
    char                      digits[32];
    uint64_t                  now;
    phota_str_t               scope, args;
    phota_scan_t              scan;
    phota_deposit_t           deposit;
    phota_fingerprint_t      *fp;
    static phota_unpacked_t   unpacked;

    if (f->digits) {
        (void) snprintf(digits, sizeof(digits), "%0*llu", (int) f->digits,
                        (unsigned long long) number);
        memcpy(f->body + f->place, digits, f->digits);
    }

    scope.data = f->scope ? (u_char *) &f->scope : (u_char *) "shared";
    scope.len = f->scope ? sizeof(f->scope) : sizeof("shared") - 1;
    args.data = (u_char *) "";
    args.len = 0;

    fp = phota_fingerprint_create(&phota_operations[PHOTA_OP_REMIX],
                                  &f->hash, NULL, 0);

    if (fp == NULL
        || phota_fingerprint_update(fp, f->body, f->len) != PHOTA_OK
        || phota_fingerprint_final(fp, &scope, &args, &scan) != PHOTA_OK)
    {
        fill_die("fingerprint");
    }

    phota_fingerprint_destroy(fp);
    fill_picture(&f->answer, f->bytes);

    if (phota_unpack(PHOTA_ANSWER_IMAGES, fill_read, &f->answer,
                     f->answer.len, &unpacked, &fill_err)
        != PHOTA_OK)
    {
        fill_die("unpack");
    }

    memset(&deposit, 0, sizeof(phota_deposit_t));

    now = phota_now();

    memcpy(deposit.fingerprint, scan.digest, PHOTA_SHA256_LEN);
    memcpy(deposit.result.origin, scan.digest, PHOTA_SHA256_LEN);

    deposit.result.tenant = f->scope ? f->scope : 1;
    deposit.result.scope = f->scope ? f->scope : PHOTA_SHARED;
    deposit.result.status = 200;
    deposit.result.cost = 120000;
    deposit.result.operation = PHOTA_OP_REMIX;
    deposit.result.expires = now + FILL_VALID;
    deposit.result.linked = now + FILL_LINKED;

    (void) snprintf(deposit.result.request_id,
                    sizeof(deposit.result.request_id), "req-%llu",
                    (unsigned long long) number);

    if (phota_id_create(&deposit.result.id, now) != PHOTA_OK
        || phota_cache_store(&f->cache, &deposit, 1, 0, &unpacked, fill_read,
                             &f->answer, &fill_err)
           != PHOTA_OK)
    {
        fill_die("store");
    }
}


static void
fill_body(fill_results_t *f, const char *path)
{
    int      fd;
    ssize_t  n;

    fd = open(path, O_RDONLY|O_CLOEXEC);
    n = (fd == -1) ? -1 : read(fd, f->body, sizeof(f->body));

    if (n <= 0 || n == sizeof(f->body)) {
        fill_die(path);
    }

    (void) close(fd);

    f->len = (size_t) n;
    f->place = 0;

    while (f->place < f->len && f->body[f->place] != '@') {
        f->place++;
    }

    f->digits = 0;

    while (f->place + f->digits < f->len
           && f->body[f->place + f->digits] == '@')
    {
        f->digits++;
    }
}


static void
fill_results(char **arg)
{
    uint64_t                number, from, to, max;
    phota_master_t          master;
    static fill_results_t   f;

    f.scope = (uint32_t) strtoul(arg[2], NULL, 10);
    from = strtoull(arg[4], NULL, 10);
    to = strtoull(arg[5], NULL, 10);
    f.bytes = strtoul(arg[6], NULL, 10);
    max = strtoull(arg[7], NULL, 10) << 20;

    fill_seed += from;
    fill_body(&f, arg[3]);

    f.answer.text = malloc(phota_base64_length(FILL_PICTURE) + 1024);

    if (f.answer.text == NULL || f.bytes == 0 || f.bytes > FILL_PICTURE
        || phota_master_read(&master, arg[1], &fill_err) != PHOTA_OK
        || phota_hash_key_init(&f.hash, &master) != PHOTA_OK
        || phota_store_open(&f.store, arg[0], "cache", PHOTA_CACHE_SCHEMA,
                            phota_cache_map(max),
                            PHOTA_STORE_CREATE|PHOTA_STORE_NOMETASYNC,
                            &fill_err)
           != PHOTA_OK
        || phota_cache_open(&f.cache, &f.store, max, NULL, &fill_err)
           != PHOTA_OK
        || mdb_env_set_flags(f.store.env, MDB_NOSYNC, 1) != 0)
    {
        fill_die(arg[0]);
    }

    fill_begin(&f.store);

    for (number = from; number < to; number++) {

        if ((number - from) % FILL_BATCH == FILL_BATCH - 1) {
            fill_commit();
            fill_begin(&f.store);
        }

        fill_result(&f, number);
    }

    fill_end(&f.store);
    free(f.answer.text);
}


static int
fill_shared(void *ctx, phota_tenant_t *tenant, phota_error_t *err)
{
    (void) ctx;
    (void) err;

    tenant->flags |= PHOTA_TENANT_SHARED;

    return PHOTA_OK;
}


static void
fill_tenants(char **arg)
{
    char             name[32], token[PHOTA_TOKEN_LEN + 1];
    uint32_t         id;
    unsigned         i, k, count, tokens;
    phota_store_t    store;
    phota_tenants_t  tenants;

    count = (unsigned) strtoul(arg[1], NULL, 10);
    tokens = (unsigned) strtoul(arg[2], NULL, 10);

    if (phota_store_open(&store, arg[0], "books", PHOTA_BOOKS_SCHEMA,
                         PHOTA_BOOKS_MAP, PHOTA_STORE_CREATE, &fill_err)
        != PHOTA_OK
        || phota_tenants_open(&tenants, &store, &fill_err) != PHOTA_OK
        || mdb_env_set_flags(store.env, MDB_NOSYNC, 1) != 0)
    {
        fill_die(arg[0]);
    }

    fill_begin(&store);

    for (i = 1; i <= count; i++) {

        (void) snprintf(name, sizeof(name), "bench-%u", i);

        if (phota_tenant_add(&tenants, name, &id, &fill_err) != PHOTA_OK
            || phota_tenant_edit(&tenants, name, fill_shared, NULL, NULL,
                                 &fill_err)
               != PHOTA_OK)
        {
            fill_die(name);
        }

        for (k = 0; k < tokens; k++) {

            if (phota_token_issue(&tenants, name, "", 0, NULL, token, &id,
                                  &fill_err)
                != PHOTA_OK)
            {
                fill_die(name);
            }

            printf("%s\n", token);
        }
    }

    fill_end(&store);
}


int
main(int argc, char **argv)
{
    if (argc == 10 && strcmp(argv[1], "results") == 0) {
        fill_results(argv + 2);
        return 0;
    }

    if (argc == 5 && strcmp(argv[1], "tenants") == 0) {
        fill_tenants(argv + 2);
        return 0;
    }

    fprintf(stderr, "usage: fill results DIR KEYFILE SCOPE BODY FROM TO BYTES "
            "MB | tenants DIR COUNT TOKENS\n");

    return 2;
}
