
/*
 * Everything cryptographic, each primitive OpenSSL's own.  Keys live on the
 * stack as long as they are used and are cleansed on every way out; nothing
 * here puts a secret into an error text.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "phota_record.h"
#include "phota_seal.h"


#define PHOTA_MASTER_HEX     (2 * PHOTA_MASTER_LEN)

#define PHOTA_SEAL_KEY       32
#define PHOTA_SEAL_VERSION   4
#define PHOTA_SEAL_NONCE     12
#define PHOTA_SEAL_TAG       16
#define PHOTA_SEAL_HEAD      (PHOTA_SEAL_VERSION + PHOTA_SEAL_NONCE)

#define PHOTA_SEAL_CONTEXT   "phota-key"
#define PHOTA_SEAL_AAD       (sizeof(PHOTA_SEAL_CONTEXT) - 1 + 10)
#define PHOTA_SEAL_AAD_2     (sizeof(PHOTA_SEAL_CONTEXT) - 1 + 8)

#define PHOTA_MASTER_SALT    "nginx-phota master key 1"


_Static_assert(PHOTA_SEAL_OVERHEAD == PHOTA_SEAL_HEAD + PHOTA_SEAL_TAG,
               "what a seal adds");


static int phota_master_load(u_char key[PHOTA_MASTER_LEN], const char *path,
    phota_error_t *err);
static int phota_master_text(u_char *text, size_t *len, const char *path,
    phota_error_t *err);
static int phota_master_link(const char *temp, const char *path,
    phota_error_t *err);
static int phota_master_write(int fd, const char *path, phota_error_t *err);
static int phota_master_sync_dir(const char *path);
static int phota_master_expand(const u_char key[PHOTA_MASTER_LEN],
    const char *label, u_char *out, size_t len);
static void phota_seal_aad(u_char *aad, const phota_seal_t *bound);
static int phota_seal_encrypt(EVP_CIPHER_CTX *ctx, const u_char *key,
    const u_char *aad, const u_char *plain, size_t len, u_char *out);
static int phota_seal_bound(const phota_master_t *master,
    const phota_seal_t *bound, size_t aad_len, const u_char *sealed,
    size_t len, u_char *out, size_t *out_len);
static int phota_seal_open(EVP_CIPHER_CTX *ctx,
    const u_char master[PHOTA_MASTER_LEN], const u_char *aad, size_t aad_len,
    const u_char *sealed, size_t len, u_char *out);
static int phota_seal_decrypt(EVP_CIPHER_CTX *ctx, const u_char *key,
    const u_char *aad, size_t aad_len, const u_char *sealed, size_t len,
    u_char *out);


int
phota_master_read(phota_master_t *master, const char *path,
    phota_error_t *err)
{
    memset(master, 0, sizeof(phota_master_t));

    return phota_master_load(master->b, path, err);
}


int
phota_master_add(phota_master_t *master, const char *path,
    phota_error_t *err)
{
    int  rc;

    rc = phota_master_load(master->other, path, err);

    if (rc == PHOTA_OK
        && phota_memcmp(master->b, master->other, PHOTA_MASTER_LEN) == 0)
    {
        phota_error(err, "master key \"%s\": the same key as the new one",
                    path);
        rc = PHOTA_INVALID;
    }

    master->two = (rc == PHOTA_OK);

    return rc;
}


void
phota_master_turn(phota_master_t *master)
{
    u_char  key[PHOTA_MASTER_LEN];

    memcpy(key, master->b, PHOTA_MASTER_LEN);
    memcpy(master->b, master->other, PHOTA_MASTER_LEN);
    memcpy(master->other, key, PHOTA_MASTER_LEN);

    phota_cleanse(key, sizeof(key));
}


int
phota_master_id(const phota_master_t *master, u_char id[PHOTA_MASTER_ID])
{
    return phota_master_derive(master, "id", id, PHOTA_MASTER_ID);
}


static int
phota_master_load(u_char key[PHOTA_MASTER_LEN], const char *path,
    phota_error_t *err)
{
    int     rc;
    size_t  len;
    u_char  text[PHOTA_MASTER_HEX + 3];

    len = sizeof(text);

    rc = phota_master_text(text, &len, path, err);
    if (rc != PHOTA_OK) {
        goto done;
    }

    /* one line end of either kind is what editors and echo leave */

    if (len > PHOTA_MASTER_HEX && text[len - 1] == '\n') {
        len--;
    }

    if (len > PHOTA_MASTER_HEX && text[len - 1] == '\r') {
        len--;
    }

    if (phota_hex_parse(key, PHOTA_MASTER_LEN, (char *) text, len)
        != PHOTA_OK)
    {
        phota_cleanse(key, PHOTA_MASTER_LEN);
        phota_error(err, "master key \"%s\": not %d hex digits", path,
                    PHOTA_MASTER_HEX);
        rc = PHOTA_INVALID;
    }

done:

    phota_cleanse(text, sizeof(text));

    return rc;
}


static int
phota_master_text(u_char *text, size_t *len, const char *path,
    phota_error_t *err)
{
    int          fd;
    size_t       n;
    ssize_t      got;
    struct stat  st;

    /* O_NONBLOCK: a fifo must not hang the one who asks */

    fd = open(path, O_RDONLY|O_CLOEXEC|O_NOCTTY|O_NONBLOCK);
    if (fd == -1) {
        phota_error(err, "master key \"%s\": %s%s", path, strerror(errno),
                    errno == ENOENT ? " (photactl init makes one)" : "");
        return PHOTA_INVALID;
    }

    if (fstat(fd, &st) == -1) {
        phota_error(err, "master key \"%s\": %s", path, strerror(errno));
        (void) close(fd);
        return PHOTA_ERROR;
    }

    if (!S_ISREG(st.st_mode)) {
        phota_error(err, "master key \"%s\": not a regular file", path);
        (void) close(fd);
        return PHOTA_INVALID;
    }

    if (st.st_mode & (S_IWGRP|S_IROTH|S_IWOTH)) {
        phota_error(err, "master key \"%s\": mode %04o lets %s (chmod 600)",
                    path, (unsigned) (st.st_mode & 07777),
                    (st.st_mode & (S_IROTH|S_IWOTH))
                    ? "others read or write it" : "the group write it");
        (void) close(fd);
        return PHOTA_INVALID;
    }

    n = 0;

    do {
        got = read(fd, text + n, *len - n);

        if (got == -1) {
            if (errno == EINTR) {
                continue;
            }

            phota_error(err, "master key \"%s\": %s", path, strerror(errno));
            (void) close(fd);
            return PHOTA_ERROR;
        }

        n += got;

    } while (got != 0 && n < *len);

    (void) close(fd);

    *len = n;

    return PHOTA_OK;
}


int
phota_master_create(const char *path, phota_error_t *err)
{
    int   fd, n, rc;
    char  temp[4096];

    n = snprintf(temp, sizeof(temp), "%s.XXXXXX", path);

    if (n < 0 || (size_t) n >= sizeof(temp)) {
        phota_error(err, "master key: its path is too long");
        return PHOTA_INVALID;
    }

    /* under its name the file is whole, or isn't there */

    fd = mkostemp(temp, O_CLOEXEC);

    if (fd == -1) {
        phota_error(err, "master key \"%s\": %s", path, strerror(errno));
        return PHOTA_ERROR;
    }

    rc = phota_master_write(fd, path, err);

    if (close(fd) == -1 && rc == PHOTA_OK) {
        phota_error(err, "master key \"%s\": %s", path, strerror(errno));
        rc = PHOTA_ERROR;
    }

    if (rc == PHOTA_OK) {
        rc = phota_master_link(temp, path, err);
    }

    (void) unlink(temp);

    return rc;
}


/* link() never replaces what is there */

static int
phota_master_link(const char *temp, const char *path, phota_error_t *err)
{
    if (link(temp, path) == -1) {
        phota_error(err, "master key \"%s\": %s", path, strerror(errno));
        return (errno == EEXIST) ? PHOTA_REFUSED : PHOTA_ERROR;
    }

    /* a key that is lost with the power takes every sealed key with it */

    if (phota_master_sync_dir(path) != PHOTA_OK) {
        phota_error(err, "directory of \"%s\": %s", path, strerror(errno));
        (void) unlink(path);
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


static int
phota_master_write(int fd, const char *path, phota_error_t *err)
{
    int     rc;
    char    text[PHOTA_MASTER_HEX + 1];
    size_t  n;
    u_char  key[PHOTA_MASTER_LEN];
    ssize_t  written;

    rc = PHOTA_ERROR;

    if (phota_random(key, sizeof(key)) != PHOTA_OK) {
        phota_error(err, "master key \"%s\": no random bytes", path);
        return PHOTA_ERROR;
    }

    phota_hex_format(text, key, sizeof(key));
    text[PHOTA_MASTER_HEX] = '\n';

    for (n = 0; n < sizeof(text); n += written) {
        written = write(fd, text + n, sizeof(text) - n);

        if (written == -1) {
            if (errno == EINTR) {
                written = 0;
                continue;
            }

            phota_error(err, "master key \"%s\": %s", path, strerror(errno));
            goto done;
        }
    }

    if (fsync(fd) == -1) {
        phota_error(err, "master key \"%s\": %s", path, strerror(errno));
        goto done;
    }

    rc = PHOTA_OK;

done:

    phota_cleanse(key, sizeof(key));
    phota_cleanse(text, sizeof(text));

    return rc;
}


static int
phota_master_sync_dir(const char *path)
{
    int          fd, rc;
    char         dir[4096];
    size_t       len;
    const char  *slash;

    slash = strrchr(path, '/');
    len = (slash == NULL) ? 0 : (size_t) (slash - path);

    if (len >= sizeof(dir)) {
        errno = ENAMETOOLONG;
        return PHOTA_ERROR;
    }

    if (slash == NULL) {
        dir[len++] = '.';

    } else if (len == 0) {
        dir[len++] = '/';

    } else {
        memcpy(dir, path, len);
    }

    dir[len] = '\0';

    fd = open(dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    if (fd == -1) {
        return PHOTA_ERROR;
    }

    rc = fsync(fd);
    (void) close(fd);

    return (rc == 0) ? PHOTA_OK : PHOTA_ERROR;
}


int
phota_master_derive(const phota_master_t *master, const char *label,
    u_char *out, size_t len)
{
    return phota_master_expand(master->b, label, out, len);
}


static int
phota_master_expand(const u_char key[PHOTA_MASTER_LEN], const char *label,
    u_char *out, size_t len)
{
    int           rc;
    EVP_KDF      *kdf;
    OSSL_PARAM    params[5];
    EVP_KDF_CTX  *ctx;

    kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    if (kdf == NULL) {
        return PHOTA_ERROR;
    }

    ctx = EVP_KDF_CTX_new(kdf);
    EVP_KDF_free(kdf);

    if (ctx == NULL) {
        return PHOTA_ERROR;
    }

    /* the constructors take non-const pointers; HKDF only reads them */

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                                 (char *) "SHA256", 0);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
                                                  (void *) key,
                                                  PHOTA_MASTER_LEN);
    params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
                                              (void *) PHOTA_MASTER_SALT,
                                              sizeof(PHOTA_MASTER_SALT) - 1);
    params[3] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
                                                  (void *) label,
                                                  strlen(label));
    params[4] = OSSL_PARAM_construct_end();

    rc = EVP_KDF_derive(ctx, out, len, params);

    EVP_KDF_CTX_free(ctx);

    return (rc == 1) ? PHOTA_OK : PHOTA_ERROR;
}


void
phota_cleanse(void *p, size_t len)
{
    OPENSSL_cleanse(p, len);
}


int
phota_random(void *p, size_t len)
{
    if (len > INT32_MAX || RAND_bytes(p, (int) len) != 1) {
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


int
phota_memcmp(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len);
}


static void
phota_seal_aad(u_char *aad, const phota_seal_t *bound)
{
    memcpy(aad, PHOTA_SEAL_CONTEXT, sizeof(PHOTA_SEAL_CONTEXT) - 1);
    aad += sizeof(PHOTA_SEAL_CONTEXT) - 1;

    phota_put_le(aad, bound->tenant, 4);
    phota_put_le(aad + 4, bound->version, 4);

    aad[8] = bound->provider;
    aad[9] = bound->what;
}


int
phota_seal(const phota_master_t *master, const phota_seal_t *bound,
    const u_char *plain, size_t len, u_char *out, size_t *out_len)
{
    int              rc;
    u_char           key[PHOTA_SEAL_KEY], aad[PHOTA_SEAL_AAD];
    EVP_CIPHER_CTX  *ctx;

    if (len > PHOTA_SEAL_MAX || *out_len < len + PHOTA_SEAL_OVERHEAD) {
        return PHOTA_ERROR;
    }

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return PHOTA_ERROR;
    }

    phota_seal_aad(aad, bound);
    phota_put_le(out, bound->version, PHOTA_SEAL_VERSION);

    rc = phota_random(out + PHOTA_SEAL_VERSION, PHOTA_SEAL_NONCE);

    if (rc == PHOTA_OK) {
        rc = phota_master_derive(master, "seal", key, sizeof(key));
    }

    if (rc == PHOTA_OK) {
        rc = phota_seal_encrypt(ctx, key, aad, plain, len, out);
    }

    phota_cleanse(key, sizeof(key));
    EVP_CIPHER_CTX_free(ctx);

    if (rc == PHOTA_OK) {
        *out_len = len + PHOTA_SEAL_OVERHEAD;
    }

    return rc;
}


static int
phota_seal_encrypt(EVP_CIPHER_CTX *ctx, const u_char *key, const u_char *aad,
    const u_char *plain, size_t len, u_char *out)
{
    int      n, last;
    u_char  *text;

    text = out + PHOTA_SEAL_HEAD;

    if (EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key,
                           out + PHOTA_SEAL_VERSION) != 1
        || EVP_EncryptUpdate(ctx, NULL, &n, aad, PHOTA_SEAL_AAD) != 1
        || EVP_EncryptUpdate(ctx, text, &n, plain, (int) len) != 1
        || EVP_EncryptFinal_ex(ctx, text + n, &last) != 1
        || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, PHOTA_SEAL_TAG,
                               text + len) != 1)
    {
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


int
phota_unseal(const phota_master_t *master, const phota_seal_t *bound,
    const u_char *sealed, size_t len, u_char *out, size_t *out_len)
{
    return phota_seal_bound(master, bound, PHOTA_SEAL_AAD, sealed, len, out,
                            out_len);
}


int
phota_unseal_2(const phota_master_t *master, const phota_seal_t *bound,
    const u_char *sealed, size_t len, u_char *out, size_t *out_len)
{
    return phota_seal_bound(master, bound, PHOTA_SEAL_AAD_2, sealed, len, out,
                            out_len);
}


static int
phota_seal_bound(const phota_master_t *master, const phota_seal_t *bound,
    size_t aad_len, const u_char *sealed, size_t len, u_char *out,
    size_t *out_len)
{
    int              rc;
    u_char           aad[PHOTA_SEAL_AAD];
    EVP_CIPHER_CTX  *ctx;

    if (len < PHOTA_SEAL_OVERHEAD
        || len > PHOTA_SEAL_MAX + PHOTA_SEAL_OVERHEAD
        || phota_get_le(sealed, PHOTA_SEAL_VERSION) != bound->version)
    {
        return PHOTA_INVALID;
    }

    len -= PHOTA_SEAL_OVERHEAD;

    if (*out_len < len) {
        return PHOTA_ERROR;
    }

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return PHOTA_ERROR;
    }

    phota_seal_aad(aad, bound);

    rc = phota_seal_open(ctx, master->b, aad, aad_len, sealed, len, out);

    if (rc == PHOTA_INVALID && master->two) {
        rc = phota_seal_open(ctx, master->other, aad, aad_len, sealed, len,
                             out);
    }

    EVP_CIPHER_CTX_free(ctx);

    if (rc == PHOTA_OK) {
        *out_len = len;
    }

    return rc;
}


static int
phota_seal_open(EVP_CIPHER_CTX *ctx, const u_char master[PHOTA_MASTER_LEN],
    const u_char *aad, size_t aad_len, const u_char *sealed, size_t len,
    u_char *out)
{
    int  rc;

    /* of the key that this thread had last: each purchase opens a seal twice */

    static _Thread_local int     known;
    static _Thread_local u_char  of[PHOTA_MASTER_LEN], key[PHOTA_SEAL_KEY];

    rc = PHOTA_OK;

    if (!known || phota_memcmp(of, master, PHOTA_MASTER_LEN) != 0) {
        rc = phota_master_expand(master, "seal", key, sizeof(key));

        known = (rc == PHOTA_OK);
        memcpy(of, master, PHOTA_MASTER_LEN);
    }

    if (rc == PHOTA_OK) {
        rc = phota_seal_decrypt(ctx, key, aad, aad_len, sealed, len, out);
    }

    /* GCM writes plain text before it knows whether it is genuine */

    if (rc != PHOTA_OK) {
        phota_cleanse(out, len);
    }

    return rc;
}


static int
phota_seal_decrypt(EVP_CIPHER_CTX *ctx, const u_char *key, const u_char *aad,
    size_t aad_len, const u_char *sealed, size_t len, u_char *out)
{
    int            n;
    u_char         none[EVP_MAX_BLOCK_LENGTH], tag[PHOTA_SEAL_TAG];
    const u_char  *text;

    text = sealed + PHOTA_SEAL_HEAD;
    memcpy(tag, text + len, PHOTA_SEAL_TAG);

    if (EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key,
                           sealed + PHOTA_SEAL_VERSION) != 1
        || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, PHOTA_SEAL_TAG,
                               tag) != 1
        || EVP_DecryptUpdate(ctx, NULL, &n, aad, (int) aad_len) != 1
        || EVP_DecryptUpdate(ctx, out, &n, text, (int) len) != 1)
    {
        return PHOTA_ERROR;
    }

    if (EVP_DecryptFinal_ex(ctx, none, &n) != 1) {
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}
