
/*
 * The text of a token: a prefix that a secret scanner knows, random characters,
 * and a checksum, so that a mistyped one is refused without a look at the
 * books.
 */


#include "phota_seal.h"

#include <string.h>

#include <openssl/evp.h>


#define PHOTA_TOKEN_PREFIX   "phg_"
#define PHOTA_ADMIN_PREFIX   "pha_"
#define PHOTA_TOKEN_HEAD     (sizeof(PHOTA_TOKEN_PREFIX) - 1)
#define PHOTA_TOKEN_RANDOM   32
#define PHOTA_TOKEN_TEXT     47         /* prefix and 43 characters */
#define PHOTA_TOKEN_CHECK    6


static uint32_t phota_token_crc(const u_char *p, size_t len);
static void phota_token_check(u_char *out, const u_char *token);
static int phota_token_char(u_char c);
static int phota_token_make(char *buf, const char *prefix,
    u_char digest[PHOTA_SHA256_LEN]);
static int phota_token_read(const u_char *token, size_t len,
    const char *prefix, u_char digest[PHOTA_SHA256_LEN]);


/* CRC-32 as in zlib and Ethernet, four bits a step */

static uint32_t
phota_token_crc(const u_char *p, size_t len)
{
    size_t    i;
    uint32_t  crc;

    static const uint32_t  table[] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
        0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c
    };

    crc = 0xffffffff;

    for (i = 0; i < len; i++) {
        crc = table[(crc ^ p[i]) & 0x0f] ^ (crc >> 4);
        crc = table[(crc ^ (p[i] >> 4)) & 0x0f] ^ (crc >> 4);
    }

    return crc ^ 0xffffffff;
}


/*
 * The checksum isn't secret and needn't be: it spares a look-up and tells a
 * mistyped token from a revoked one.  A CRC finds every error of up to 32
 * bits in a row, so every wrong character and every swap of two neighbours.
 */

static void
phota_token_check(u_char *out, const u_char *token)
{
    unsigned  i;
    uint32_t  crc;

    static const u_char  digits[] =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    crc = phota_token_crc(token, PHOTA_TOKEN_TEXT);

    for (i = PHOTA_TOKEN_CHECK; i-- > 0; /* void */ ) {
        out[i] = digits[crc % 62];
        crc /= 62;
    }
}


static int
phota_token_char(u_char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
           || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}


int
phota_token_create(char *buf, u_char digest[PHOTA_SHA256_LEN])
{
    return phota_token_make(buf, PHOTA_TOKEN_PREFIX, digest);
}


int
phota_admin_create(char *buf, u_char digest[PHOTA_SHA256_LEN])
{
    return phota_token_make(buf, PHOTA_ADMIN_PREFIX, digest);
}


static int
phota_token_make(char *buf, const char *prefix,
    u_char digest[PHOTA_SHA256_LEN])
{
    size_t   i;
    u_char  *p, key[PHOTA_TOKEN_RANDOM], text[48];

    if (phota_random(key, sizeof(key)) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    /* 32 bytes are 43 characters and one of padding */

    (void) EVP_EncodeBlock(text, key, sizeof(key));

    p = (u_char *) buf;

    memcpy(p, prefix, PHOTA_TOKEN_HEAD);

    for (i = PHOTA_TOKEN_HEAD; i < PHOTA_TOKEN_TEXT; i++) {
        p[i] = text[i - PHOTA_TOKEN_HEAD];

        if (p[i] == '+') {
            p[i] = '-';

        } else if (p[i] == '/') {
            p[i] = '_';
        }
    }

    p[i++] = '_';
    phota_token_check(p + i, p);
    p[PHOTA_TOKEN_LEN] = '\0';

    phota_cleanse(key, sizeof(key));
    phota_cleanse(text, sizeof(text));

    return phota_sha256(digest, buf, PHOTA_TOKEN_LEN);
}


int
phota_token_digest(const u_char *token, size_t len,
    u_char digest[PHOTA_SHA256_LEN])
{
    return phota_token_read(token, len, PHOTA_TOKEN_PREFIX, digest);
}


int
phota_admin_digest(const u_char *token, size_t len,
    u_char digest[PHOTA_SHA256_LEN])
{
    return phota_token_read(token, len, PHOTA_ADMIN_PREFIX, digest);
}


int
phota_token_begins(const u_char *text)
{
    return memcmp(text, PHOTA_TOKEN_PREFIX, PHOTA_TOKEN_HEAD) == 0
           || memcmp(text, PHOTA_ADMIN_PREFIX, PHOTA_TOKEN_HEAD) == 0;
}


static int
phota_token_read(const u_char *token, size_t len, const char *prefix,
    u_char digest[PHOTA_SHA256_LEN])
{
    size_t  i;
    u_char  check[PHOTA_TOKEN_CHECK];

    if (len != PHOTA_TOKEN_LEN
        || memcmp(token, prefix, PHOTA_TOKEN_HEAD) != 0
        || token[PHOTA_TOKEN_TEXT] != '_')
    {
        return PHOTA_INVALID;
    }

    for (i = PHOTA_TOKEN_HEAD; i < PHOTA_TOKEN_TEXT; i++) {
        if (!phota_token_char(token[i])) {
            return PHOTA_INVALID;
        }
    }

    phota_token_check(check, token);

    if (memcmp(check, token + PHOTA_TOKEN_TEXT + 1, PHOTA_TOKEN_CHECK) != 0) {
        return PHOTA_INVALID;
    }

    return phota_sha256(digest, token, PHOTA_TOKEN_LEN);
}
