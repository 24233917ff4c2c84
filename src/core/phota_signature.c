
/*
 * Signatures of callbacks: the one that tenants get, and the upstream's in
 * whatever of the usual ways it may be written.  What was received is brought
 * into the spelling of what was expected, and the two are compared as text.
 */


#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "phota_picture.h"
#include "phota_signature.h"


#define PHOTA_SIGNATURE_DIGITS  20      /* of a time */
#define PHOTA_SIGNATURE_MS      100000000000ULL     /* a time that isn't less
                                                       is one in ms */
#define PHOTA_SIGNATURE_ROOM    (2 * EVP_MAX_MD_SIZE + 4)


static int phota_sign_mac(const char *hash, const u_char *secret,
    size_t secret_len, const phota_str_t *time, const u_char *body,
    size_t len, u_char mac[EVP_MAX_MD_SIZE], size_t *mac_len);
static int phota_sign_feed(EVP_MAC_CTX *ctx, const phota_str_t *time,
    const u_char *body, size_t len);
static int phota_sign_part(phota_str_t *rest, phota_str_t *part);
static void phota_sign_trim(phota_str_t *s);
static int phota_sign_prefix(phota_str_t *part, const char *prefix);
static int phota_sign_time(const phota_str_t *header,
    const phota_str_t *timestamp, phota_str_t *time);
static int phota_sign_recent(const phota_str_t *time, uint64_t tolerance,
    uint64_t now);
static size_t phota_sign_expected(const phota_scheme_t *scheme,
    const u_char *mac, size_t len, char text[PHOTA_SIGNATURE_ROOM]);
static int phota_sign_fits(const phota_scheme_t *scheme, phota_str_t *part,
    const char *expected, size_t len);
static u_char phota_sign_spelling(const phota_scheme_t *scheme, u_char c);


int
phota_sign(const char *secret, uint64_t time, const u_char *body, size_t len,
    char text[PHOTA_SIGNATURE_TEXT])
{
    int          n;
    char         digits[PHOTA_SIGNATURE_DIGITS + 1];
    char         hex[2 * PHOTA_SHA256_LEN + 1];
    size_t       mac_len;
    u_char       mac[EVP_MAX_MD_SIZE];
    phota_str_t  said;

    n = snprintf(digits, sizeof(digits), "%llu", (unsigned long long) time);

    said.data = (u_char *) digits;
    said.len = (size_t) n;

    if (phota_sign_mac("SHA256", (const u_char *) secret, strlen(secret),
                       &said, body, len, mac, &mac_len) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    phota_hex_format(hex, mac, PHOTA_SHA256_LEN);

    (void) snprintf(text, PHOTA_SIGNATURE_TEXT, "t=%s,v1=%s", digits, hex);

    return PHOTA_OK;
}


/* time NULL: the body alone */

static int
phota_sign_mac(const char *hash, const u_char *secret, size_t secret_len,
    const phota_str_t *time, const u_char *body, size_t len,
    u_char mac[EVP_MAX_MD_SIZE], size_t *mac_len)
{
    int           rc;
    EVP_MAC      *hmac;
    OSSL_PARAM    params[2];
    EVP_MAC_CTX  *ctx;

    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (hmac == NULL) {
        return PHOTA_ERROR;
    }

    ctx = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac);

    if (ctx == NULL) {
        return PHOTA_ERROR;
    }

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                                 (char *) hash, 0);
    params[1] = OSSL_PARAM_construct_end();

    rc = PHOTA_ERROR;

    if (EVP_MAC_init(ctx, secret, secret_len, params) == 1
        && phota_sign_feed(ctx, time, body, len) == PHOTA_OK
        && EVP_MAC_final(ctx, mac, mac_len, EVP_MAX_MD_SIZE) == 1)
    {
        rc = PHOTA_OK;
    }

    EVP_MAC_CTX_free(ctx);

    return rc;
}


static int
phota_sign_feed(EVP_MAC_CTX *ctx, const phota_str_t *time,
    const u_char *body, size_t len)
{
    if (time != NULL
        && (EVP_MAC_update(ctx, time->data, time->len) != 1
            || EVP_MAC_update(ctx, (const u_char *) ".", 1) != 1))
    {
        return PHOTA_ERROR;
    }

    if (len != 0 && EVP_MAC_update(ctx, body, len) != 1) {
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


int
phota_sign_check(const phota_scheme_t *scheme, const u_char *secret,
    size_t secret_len, const phota_str_t *header,
    const phota_str_t *timestamp, const u_char *body, size_t len,
    uint64_t now)
{
    char          text[PHOTA_SIGNATURE_ROOM];
    size_t        n;
    u_char        mac[EVP_MAX_MD_SIZE];
    unsigned      timed;
    phota_str_t   time, rest, part;

    /* whoever forgets the secret must not have everybody know it */

    if (secret_len == 0) {
        return PHOTA_INVALID;
    }

    /* a time that isn't signed proves nothing, and isn't looked at */

    timed = (scheme->over == PHOTA_SIGNED_TIMED);

    if (timed
        && (phota_sign_time(header, timestamp, &time) != PHOTA_OK
            || phota_sign_recent(&time, scheme->tolerance, now) != PHOTA_OK))
    {
        return PHOTA_INVALID;
    }

    if (phota_sign_mac(scheme->hash, secret, secret_len,
                       timed ? &time : NULL, body, len, mac, &n) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    n = phota_sign_expected(scheme, mac, n, text);
    rest = *header;

    while (phota_sign_part(&rest, &part) == PHOTA_OK) {
        if (phota_sign_fits(scheme, &part, text, n) == PHOTA_OK) {
            return PHOTA_OK;
        }
    }

    return PHOTA_INVALID;
}


/* what is before the next comma; PHOTA_DECLINED when nothing is left */

static int
phota_sign_part(phota_str_t *rest, phota_str_t *part)
{
    const u_char  *comma;

    if (rest->len == 0) {
        return PHOTA_DECLINED;
    }

    comma = memchr(rest->data, ',', rest->len);

    part->data = rest->data;
    part->len = (comma != NULL) ? (size_t) (comma - rest->data) : rest->len;

    rest->data += part->len + (comma != NULL);
    rest->len -= part->len + (comma != NULL);

    phota_sign_trim(part);

    return PHOTA_OK;
}


static void
phota_sign_trim(phota_str_t *s)
{
    while (s->len && (s->data[0] == ' ' || s->data[0] == '\t')) {
        s->data++;
        s->len--;
    }

    while (s->len
           && (s->data[s->len - 1] == ' ' || s->data[s->len - 1] == '\t'))
    {
        s->len--;
    }
}


/* takes the prefix off */

static int
phota_sign_prefix(phota_str_t *part, const char *prefix)
{
    size_t  len;

    len = strlen(prefix);

    if (part->len < len
        || strncasecmp((const char *) part->data, prefix, len) != 0)
    {
        return PHOTA_DECLINED;
    }

    part->data += len;
    part->len -= len;

    return PHOTA_OK;
}


/* said twice, it isn't clear which is meant */

static int
phota_sign_time(const phota_str_t *header, const phota_str_t *timestamp,
    phota_str_t *time)
{
    phota_str_t  rest, part;

    time->data = NULL;
    time->len = 0;

    rest = *header;

    while (phota_sign_part(&rest, &part) == PHOTA_OK) {

        if (phota_sign_prefix(&part, "t=") != PHOTA_OK) {
            continue;
        }

        if (time->data != NULL) {
            return PHOTA_INVALID;
        }

        *time = part;
    }

    if (time->data == NULL && timestamp->len != 0) {
        *time = *timestamp;
        phota_sign_trim(time);
    }

    return (time->len != 0) ? PHOTA_OK : PHOTA_INVALID;
}


static int
phota_sign_recent(const phota_str_t *time, uint64_t tolerance, uint64_t now)
{
    size_t    i;
    uint64_t  n;

    n = 0;

    if (time->len >= PHOTA_SIGNATURE_DIGITS) {
        return PHOTA_INVALID;
    }

    for (i = 0; i < time->len; i++) {

        if (time->data[i] < '0' || time->data[i] > '9') {
            return PHOTA_INVALID;
        }

        n = n * 10 + (time->data[i] - '0');
    }

    if (n >= PHOTA_SIGNATURE_MS) {
        n /= 1000;
    }

    if (tolerance != 0
        && ((n > now && n - now > tolerance)
            || (n < now && now - n > tolerance)))
    {
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


/* hex in small letters, or base64 as URLs have it and without padding */

static size_t
phota_sign_expected(const phota_scheme_t *scheme, const u_char *mac,
    size_t len, char text[PHOTA_SIGNATURE_ROOM])
{
    size_t  i, n;

    if (!scheme->base64) {
        phota_hex_format(text, mac, len);
        return 2 * len;
    }

    n = phota_base64_encode((u_char *) text, mac, len);

    while (n && text[n - 1] == '=') {
        n--;
    }

    for (i = 0; i < n; i++) {
        text[i] = (char) phota_sign_spelling(scheme, (u_char) text[i]);
    }

    return n;
}


static int
phota_sign_fits(const phota_scheme_t *scheme, phota_str_t *part,
    const char *expected, size_t len)
{
    char      text[PHOTA_SIGNATURE_ROOM];
    size_t    i;
    unsigned  n;

    static const char  *prefixes[] = { "sha256=", "sha512=", "v1=" };

    for (n = 0; n < sizeof(prefixes) / sizeof(prefixes[0]); n++) {
        if (phota_sign_prefix(part, prefixes[n]) == PHOTA_OK) {
            break;
        }
    }

    for (n = 0; scheme->base64 && n < 2; n++) {
        if (part->len > len && part->data[part->len - 1] == '=') {
            part->len--;
        }
    }

    if (part->len != len) {
        return PHOTA_INVALID;
    }

    for (i = 0; i < len; i++) {
        text[i] = (char) phota_sign_spelling(scheme, part->data[i]);
    }

    return phota_memcmp(text, expected, len) == 0 ? PHOTA_OK : PHOTA_INVALID;
}


static u_char
phota_sign_spelling(const phota_scheme_t *scheme, u_char c)
{
    if (!scheme->base64) {
        return (c >= 'A' && c <= 'F') ? c - 'A' + 'a' : c;
    }

    return (c == '+') ? '-' : (c == '/') ? '_' : c;
}
