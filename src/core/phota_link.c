
/*
 * Links to stored pictures: written, signed and read again.  A link has one
 * spelling; any other text, a wrong signature and an expired link are refused
 * in the same way, so that nothing can be learned from a refusal.
 */


#include "phota_link.h"

#include <stdio.h>
#include <string.h>

#include "phota_record.h"


#define PHOTA_LINK_LABEL      "phota link 1"
#define PHOTA_LINK_SIGNED     (sizeof(PHOTA_LINK_LABEL) - 1 + 4 + 4           \
                               + PHOTA_SHA256_LEN + 1 + 8)

#define PHOTA_LINK_SIGNATURE  43        /* characters, without padding */


static int phota_link_path(const u_char *p, size_t len, phota_link_t *link);
static int phota_link_args(const u_char *p, size_t len, phota_str_t *expires,
    phota_str_t *signature);
static int phota_link_arg(const u_char *p, size_t len, const phota_str_t *name,
    phota_str_t *value);
static int phota_link_number(const u_char *p, size_t len, uint64_t max,
    uint64_t *number);
static int phota_link_digest(const u_char *p, u_char *digest);
static int phota_link_check(const u_char key[32], const phota_link_t *link,
    const u_char *signature);
static int phota_link_sign(const u_char key[32], const phota_link_t *link,
    u_char *text);


static const phota_str_t  phota_link_shared = phota_string("shared/");
static const phota_str_t  phota_link_expires = phota_string("Expires");
static const phota_str_t  phota_link_signature = phota_string("Signature");


int
phota_link_init(phota_linker_t *linker, const phota_master_t *master)
{
    int             rc;
    phota_master_t  turned;

    linker->two = master->two;

    rc = phota_master_derive(master, "urls", linker->key,
                             sizeof(linker->key));

    if (rc == PHOTA_OK && master->two) {
        turned = *master;
        phota_master_turn(&turned);

        rc = phota_master_derive(&turned, "urls", linker->other,
                                 sizeof(linker->other));

        phota_cleanse(&turned, sizeof(turned));
    }

    return rc;
}


int
phota_link_format(const phota_linker_t *linker, const phota_str_t *base,
    const phota_link_t *link, u_char *buf, size_t *len)
{
    int            n, rc;
    char           digest[2 * PHOTA_SHA256_LEN + 1];
    u_char        *p;
    const char    *extension;
    phota_link_t   told;

    if (link->tenant == 0
        || (link->scope != link->tenant && link->scope != PHOTA_SHARED))
    {
        return PHOTA_INVALID;
    }

    told = *link;
    extension = phota_picture_extension(link->type);

    /* a type that has no name of its own is told as another */

    rc = phota_picture_by_extension((const u_char *) extension,
                                    strlen(extension), &told.type);
    if (rc != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    phota_hex_format(digest, told.digest, PHOTA_SHA256_LEN);

    p = buf;

    if (base->len) {
        memcpy(p, base->data, base->len);
        p += base->len;
    }

    n = snprintf((char *) p, PHOTA_LINK_ROOM,
                 "%u/%s%s.%s?Expires=%llu&Signature=",
                 (unsigned) told.tenant,
                 (told.scope == PHOTA_SHARED) ? "shared/" : "", digest,
                 extension, (unsigned long long) told.expires);

    if (n < 0 || n > PHOTA_LINK_ROOM - PHOTA_LINK_SIGNATURE) {
        return PHOTA_INVALID;
    }

    *len = base->len + n + PHOTA_LINK_SIGNATURE;

    return phota_link_sign(linker->key, &told, p + n);
}


int
phota_link_parse(const phota_linker_t *linker, const u_char *path, size_t len,
    const u_char *args, size_t args_len, uint64_t now, phota_link_t *link)
{
    int           rc;
    phota_str_t   expires, signature;
    phota_link_t  said;

    memset(&said, 0, sizeof(phota_link_t));
    memset(link, 0, sizeof(phota_link_t));

    if (phota_link_path(path, len, &said) != PHOTA_OK
        || phota_link_args(args, args_len, &expires, &signature) != PHOTA_OK
        || phota_link_number(expires.data, expires.len, UINT64_MAX,
                             &said.expires) != PHOTA_OK
        || signature.len != PHOTA_LINK_SIGNATURE)
    {
        return PHOTA_INVALID;
    }

    rc = phota_link_check(linker->key, &said, signature.data);

    if (rc == PHOTA_INVALID && linker->two) {
        rc = phota_link_check(linker->other, &said, signature.data);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    if (now >= said.expires) {
        return PHOTA_INVALID;
    }

    *link = said;

    return PHOTA_OK;
}


/* "7/DIGEST.jpg", "7/shared/DIGEST.jpg" */

static int
phota_link_path(const u_char *p, size_t len, phota_link_t *link)
{
    size_t         n;
    uint64_t       tenant;
    const u_char  *slash;

    slash = len ? memchr(p, '/', len) : NULL;

    if (slash == NULL
        || phota_link_number(p, slash - p, UINT32_MAX, &tenant) != PHOTA_OK
        || tenant == 0)
    {
        return PHOTA_INVALID;
    }

    link->tenant = (uint32_t) tenant;
    link->scope = link->tenant;

    n = slash + 1 - p;
    p += n;
    len -= n;

    if (len > phota_link_shared.len
        && memcmp(p, phota_link_shared.data, phota_link_shared.len) == 0)
    {
        link->scope = PHOTA_SHARED;
        p += phota_link_shared.len;
        len -= phota_link_shared.len;
    }

    n = 2 * PHOTA_SHA256_LEN;

    if (len <= n || p[n] != '.'
        || phota_link_digest(p, link->digest) != PHOTA_OK
        || phota_picture_by_extension(p + n + 1, len - n - 1, &link->type)
           != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


/* each of both exactly once, others don't matter */

static int
phota_link_args(const u_char *p, size_t len, phota_str_t *expires,
    phota_str_t *signature)
{
    size_t         n;
    const u_char  *end;

    expires->data = NULL;
    signature->data = NULL;

    while (len) {
        end = memchr(p, '&', len);
        n = (end != NULL) ? (size_t) (end - p) : len;

        if (phota_link_arg(p, n, &phota_link_expires, expires) != PHOTA_OK
            || phota_link_arg(p, n, &phota_link_signature, signature)
               != PHOTA_OK)
        {
            return PHOTA_INVALID;
        }

        if (end == NULL) {
            break;
        }

        p += n + 1;
        len -= n + 1;
    }

    if (expires->data == NULL || signature->data == NULL) {
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


/* PHOTA_INVALID when a parameter of that name had come, or has no value */

static int
phota_link_arg(const u_char *p, size_t len, const phota_str_t *name,
    phota_str_t *value)
{
    if (len < name->len || memcmp(p, name->data, name->len) != 0
        || (len > name->len && p[name->len] != '='))
    {
        return PHOTA_OK;
    }

    if (len == name->len || value->data != NULL) {
        return PHOTA_INVALID;
    }

    value->data = p + name->len + 1;
    value->len = len - name->len - 1;

    return PHOTA_OK;
}


/* decimal, no sign, no leading zeros */

static int
phota_link_number(const u_char *p, size_t len, uint64_t max, uint64_t *number)
{
    size_t    i;
    uint64_t  n, digit;

    if (len == 0 || (p[0] == '0' && len > 1)) {
        return PHOTA_INVALID;
    }

    n = 0;

    for (i = 0; i < len; i++) {

        if (p[i] < '0' || p[i] > '9') {
            return PHOTA_INVALID;
        }

        digit = p[i] - '0';

        if (n > (max - digit) / 10) {
            return PHOTA_INVALID;
        }

        n = n * 10 + digit;
    }

    *number = n;

    return PHOTA_OK;
}


static int
phota_link_digest(const u_char *p, u_char *digest)
{
    size_t  i;

    for (i = 0; i < 2 * PHOTA_SHA256_LEN; i++) {
        if (p[i] >= 'A' && p[i] <= 'F') {
            return PHOTA_INVALID;
        }
    }

    return phota_hex_parse(digest, PHOTA_SHA256_LEN, (const char *) p,
                           2 * PHOTA_SHA256_LEN);
}


static int
phota_link_check(const u_char key[32], const phota_link_t *link,
    const u_char *signature)
{
    u_char  text[PHOTA_LINK_SIGNATURE];

    if (phota_link_sign(key, link, text) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    /* as text: the last character has bits that no decoder looks at */

    return (phota_memcmp(text, signature, PHOTA_LINK_SIGNATURE) == 0)
           ? PHOTA_OK : PHOTA_INVALID;
}


/* every part has its fixed length, so that no two links share a text */

static int
phota_link_sign(const u_char key[32], const phota_link_t *link, u_char *text)
{
    size_t          i;
    u_char          data[PHOTA_LINK_SIGNED], mac[PHOTA_SHA256_LEN];
    u_char          base64[phota_base64_length(PHOTA_SHA256_LEN)];
    phota_writer_t  w;

    phota_write_init(&w, data, sizeof(data));
    phota_write_bytes(&w, PHOTA_LINK_LABEL, sizeof(PHOTA_LINK_LABEL) - 1);
    phota_write_number(&w, link->tenant, 4);
    phota_write_number(&w, link->scope, 4);
    phota_write_bytes(&w, link->digest, PHOTA_SHA256_LEN);
    phota_write_number(&w, link->type, 1);
    phota_write_number(&w, link->expires, 8);

    if (w.rc != PHOTA_OK
        || phota_hmac(mac, key, data, sizeof(data)) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    (void) phota_base64_encode(base64, mac, PHOTA_SHA256_LEN);

    for (i = 0; i < PHOTA_LINK_SIGNATURE; i++) {

        switch (base64[i]) {

        case '+':
            text[i] = '-';
            break;

        case '/':
            text[i] = '_';
            break;

        default:
            text[i] = base64[i];
            break;
        }
    }

    return PHOTA_OK;
}
