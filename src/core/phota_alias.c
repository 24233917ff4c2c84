
/*
 * Names derived from the master key: each kind has a key of its own, and what
 * goes into a digest begins with parts of fixed length, so that no two things
 * share a name and none can be made up or guessed.
 */


#include <stdio.h>
#include <string.h>

#include "phota_alias.h"
#include "phota_operation.h"
#include "phota_picture.h"
#include "phota_record.h"


#define PHOTA_ALIAS_MAC      PHOTA_SHA256_LEN
#define PHOTA_ALIAS_ROOM     (phota_base64_length(PHOTA_ALIAS_MAC) + 1)

#define PHOTA_ALIAS_PREFIX   "ch_"      /* of a charge as text */
#define PHOTA_ALIAS_CHARGE   26         /* characters behind it */

#define PHOTA_TICKET_PREFIX  "job_"
#define PHOTA_TICKET_BODY    48         /* bytes: what it holds */
#define PHOTA_TICKET_MAC     18         /* so that no character is padding */
#define PHOTA_TICKET_LEN     (PHOTA_TICKET_BODY + PHOTA_TICKET_MAC)
#define PHOTA_TICKET_TEXT    phota_base64_length(PHOTA_TICKET_LEN)

#define PHOTA_CALLBACK_MAC   18
#define PHOTA_CALLBACK_TEXT  phota_base64_length(PHOTA_CALLBACK_MAC)


static int phota_alias_mac(const u_char key[32], const u_char *head,
    size_t head_len, const u_char *text, size_t len,
    u_char mac[PHOTA_ALIAS_MAC]);
static int phota_alias_tenant(const u_char key[32], uint32_t tenant,
    const u_char *text, size_t len, u_char mac[PHOTA_ALIAS_MAC]);
static void phota_alias_text(char *out, const u_char *p, size_t n,
    size_t characters);
static int phota_alias_bytes(u_char *out, const u_char *text, size_t n);
static int phota_alias_digit(u_char c);
static int phota_alias_charge(phota_id_t *id, const u_char *text);
static int phota_ticket_check(const u_char key[32],
    const u_char bytes[PHOTA_TICKET_LEN]);
static size_t phota_ticket_write(const phota_ticket_t *ticket,
    u_char body[PHOTA_TICKET_BODY]);
static void phota_ticket_read(phota_ticket_t *ticket,
    const u_char body[PHOTA_TICKET_BODY]);
static int phota_callback_name(const u_char key[32], const phota_id_t *charge,
    char name[PHOTA_CALLBACK_NAME]);


int
phota_aliases_init(phota_aliases_t *a, const phota_master_t *master)
{
    int             rc;
    unsigned        i;
    phota_master_t  turned;

    struct {
        const char  *label;
        u_char      *key;
        u_char      *other;
    } keys[] = {
        { "request ids", a->requests, NULL },
        { "tags", a->tags, NULL },
        { "callback secrets", a->secrets, NULL },
        { "jobs", a->jobs, a->other_jobs },
        { "callbacks", a->callbacks, a->other_callbacks }
    };

    rc = PHOTA_OK;

    turned = *master;
    phota_master_turn(&turned);

    a->two = master->two;

    for (i = 0; rc == PHOTA_OK && i < sizeof(keys) / sizeof(keys[0]); i++) {
        rc = phota_master_derive(master, keys[i].label, keys[i].key, 32);

        if (rc == PHOTA_OK && a->two && keys[i].other != NULL) {
            rc = phota_master_derive(&turned, keys[i].label, keys[i].other,
                                     32);
        }
    }

    phota_cleanse(&turned, sizeof(turned));

    return rc;
}


/* the length of the head is fixed for a key */

static int
phota_alias_mac(const u_char key[32], const u_char *head, size_t head_len,
    const u_char *text, size_t len, u_char mac[PHOTA_ALIAS_MAC])
{
    u_char  data[PHOTA_TICKET_BODY + PHOTA_SHA256_LEN];

    /* a text of any length counts by its digest */

    memcpy(data, head, head_len);

    if (phota_sha256(data + head_len, len ? (const void *) text : "", len)
        != PHOTA_OK
        || phota_hmac(mac, key, data, head_len + PHOTA_SHA256_LEN)
           != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


static int
phota_alias_tenant(const u_char key[32], uint32_t tenant, const u_char *text,
    size_t len, u_char mac[PHOTA_ALIAS_MAC])
{
    u_char  head[4];

    phota_put_le(head, tenant, sizeof(head));

    return phota_alias_mac(key, head, sizeof(head), text, len, mac);
}


/* base64 as URLs have it, without padding, NUL behind it */

static void
phota_alias_text(char *out, const u_char *p, size_t n, size_t characters)
{
    size_t  i;
    u_char  base64[phota_base64_length(PHOTA_TICKET_LEN)];

    (void) phota_base64_encode(base64, p, n);

    for (i = 0; i < characters; i++) {

        switch (base64[i]) {

        case '+':
            out[i] = '-';
            break;

        case '/':
            out[i] = '_';
            break;

        default:
            out[i] = (char) base64[i];
            break;
        }
    }

    out[characters] = '\0';
}


/* n bytes, a multiple of 3, so that every text has one meaning */

static int
phota_alias_bytes(u_char *out, const u_char *text, size_t n)
{
    int       digit;
    size_t    i;
    unsigned  k;
    uint32_t  bits;

    for (i = 0; i < n; i += 3) {
        bits = 0;

        for (k = 0; k < 4; k++) {
            digit = phota_alias_digit(*text++);

            if (digit == -1) {
                return PHOTA_INVALID;
            }

            bits = bits << 6 | (uint32_t) digit;
        }

        out[i] = (u_char) (bits >> 16);
        out[i + 1] = (u_char) (bits >> 8);
        out[i + 2] = (u_char) bits;
    }

    return PHOTA_OK;
}


static int
phota_alias_digit(u_char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }

    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }

    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }

    return (c == '-') ? 62 : (c == '_') ? 63 : -1;
}


/* a charge behind its prefix, in its one spelling */

static int
phota_alias_charge(phota_id_t *id, const u_char *text)
{
    char  whole[PHOTA_ID_TEXT], again[PHOTA_ID_TEXT];

    memcpy(whole, PHOTA_ALIAS_PREFIX, sizeof(PHOTA_ALIAS_PREFIX) - 1);
    memcpy(whole + sizeof(PHOTA_ALIAS_PREFIX) - 1, text, PHOTA_ALIAS_CHARGE);

    if (phota_id_parse(id, whole, PHOTA_ID_TEXT - 1) != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    phota_id_format(again, id);

    return memcmp(whole, again, PHOTA_ID_TEXT - 1) == 0 ? PHOTA_OK
                                                        : PHOTA_INVALID;
}


int
phota_alias_request(const phota_aliases_t *a, uint32_t tenant,
    const u_char *text, size_t len, char uuid[PHOTA_ALIAS_UUID])
{
    char    hex[2 * 16 + 1];
    u_char  mac[PHOTA_ALIAS_MAC];

    if (phota_alias_tenant(a->requests, tenant, text, len, mac) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    /* RFC 9562: version 8, made in a way of one's own; the usual variant */

    mac[6] = (mac[6] & 0x0f) | 0x80;
    mac[8] = (mac[8] & 0x3f) | 0x80;

    phota_hex_format(hex, mac, 16);

    (void) snprintf(uuid, PHOTA_ALIAS_UUID, "%.8s-%.4s-%.4s-%.4s-%.12s", hex,
                    hex + 8, hex + 12, hex + 16, hex + 20);

    return PHOTA_OK;
}


int
phota_alias_tag(const phota_aliases_t *a, uint32_t tenant, const char *name,
    const u_char *text, size_t len, char tag[PHOTA_ALIAS_TAG])
{
    char    digest[23];
    u_char  mac[PHOTA_ALIAS_MAC];

    if (phota_alias_tenant(a->tags, tenant, text, len, mac) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    phota_alias_text(digest, mac, 16, sizeof(digest) - 1);

    (void) snprintf(tag, PHOTA_ALIAS_TAG, "%.*s:%s", PHOTA_NAME_MAX, name,
                    digest);

    return PHOTA_OK;
}


int
phota_alias_secret(const phota_aliases_t *a, uint32_t tenant,
    char secret[PHOTA_ALIAS_SECRET])
{
    char    text[44];
    u_char  mac[PHOTA_ALIAS_MAC];

    if (phota_alias_tenant(a->secrets, tenant, NULL, 0, mac) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    phota_alias_text(text, mac, sizeof(mac), sizeof(text) - 1);

    (void) snprintf(secret, PHOTA_ALIAS_SECRET, "whsec_%s", text);

    phota_cleanse(mac, sizeof(mac));
    phota_cleanse(text, sizeof(text));

    return PHOTA_OK;
}


int
phota_ticket_format(const phota_aliases_t *a, const phota_ticket_t *ticket,
    char name[PHOTA_JOB_NAME])
{
    char    charge[PHOTA_ID_TEXT];
    u_char  bytes[PHOTA_TICKET_BODY + PHOTA_ALIAS_MAC];

    memcpy(name, PHOTA_TICKET_PREFIX, sizeof(PHOTA_TICKET_PREFIX));
    name += sizeof(PHOTA_TICKET_PREFIX) - 1;

    if (ticket->bought) {
        phota_id_format(charge, &ticket->charge);
        memcpy(name, charge + sizeof(PHOTA_ALIAS_PREFIX) - 1,
               PHOTA_ALIAS_CHARGE + 1);

        return PHOTA_OK;
    }

    if (phota_ticket_write(ticket, bytes) != PHOTA_TICKET_BODY
        || phota_alias_mac(a->jobs, bytes, PHOTA_TICKET_BODY, NULL, 0,
                           bytes + PHOTA_TICKET_BODY) != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    phota_alias_text(name, bytes, PHOTA_TICKET_LEN, PHOTA_TICKET_TEXT);

    return PHOTA_OK;
}


int
phota_ticket_parse(const phota_aliases_t *a, const u_char *name, size_t len,
    uint64_t now, phota_ticket_t *ticket)
{
    int     rc;
    u_char  bytes[PHOTA_TICKET_LEN];

    memset(ticket, 0, sizeof(phota_ticket_t));

    if (len < sizeof(PHOTA_TICKET_PREFIX) - 1
        || memcmp(name, PHOTA_TICKET_PREFIX, sizeof(PHOTA_TICKET_PREFIX) - 1)
           != 0)
    {
        return PHOTA_INVALID;
    }

    name += sizeof(PHOTA_TICKET_PREFIX) - 1;
    len -= sizeof(PHOTA_TICKET_PREFIX) - 1;

    if (len == PHOTA_ALIAS_CHARGE) {
        ticket->bought = 1;
        return phota_alias_charge(&ticket->charge, name);
    }

    if (len != PHOTA_TICKET_TEXT
        || phota_alias_bytes(bytes, name, PHOTA_TICKET_LEN) != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    rc = phota_ticket_check(a->jobs, bytes);

    if (rc == PHOTA_INVALID && a->two) {
        rc = phota_ticket_check(a->other_jobs, bytes);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    phota_ticket_read(ticket, bytes);

    return (ticket->expires > now && ticket->operation < PHOTA_OP_MAX)
           ? PHOTA_OK : PHOTA_INVALID;
}


static int
phota_ticket_check(const u_char key[32],
    const u_char bytes[PHOTA_TICKET_LEN])
{
    u_char  mac[PHOTA_ALIAS_MAC];

    if (phota_alias_mac(key, bytes, PHOTA_TICKET_BODY, NULL, 0, mac)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    return (phota_memcmp(mac, bytes + PHOTA_TICKET_BODY, PHOTA_TICKET_MAC)
            == 0) ? PHOTA_OK : PHOTA_INVALID;
}


static size_t
phota_ticket_write(const phota_ticket_t *ticket,
    u_char body[PHOTA_TICKET_BODY])
{
    phota_writer_t  w;

    phota_write_init(&w, body, PHOTA_TICKET_BODY);

    phota_write_number(&w, ticket->tenant, 4);
    phota_write_bytes(&w, ticket->fingerprint, PHOTA_SHA256_LEN);
    phota_write_number(&w, ticket->operation, 1);
    phota_write_number(&w, ticket->outputs, 1);
    phota_write_number(&w, ticket->first, 1);
    phota_write_number(&w, ticket->links, 1);
    phota_write_number(&w, ticket->expires, 8);

    return w.pos - w.start;
}


static void
phota_ticket_read(phota_ticket_t *ticket,
    const u_char body[PHOTA_TICKET_BODY])
{
    phota_reader_t  r;

    phota_read_init(&r, body, PHOTA_TICKET_BODY);

    ticket->tenant = (uint32_t) phota_read_number(&r, 4);
    memcpy(ticket->fingerprint, phota_read_bytes(&r, PHOTA_SHA256_LEN),
           PHOTA_SHA256_LEN);
    ticket->operation = (uint8_t) phota_read_number(&r, 1);
    ticket->outputs = (uint8_t) phota_read_number(&r, 1);
    ticket->first = (uint8_t) phota_read_number(&r, 1);
    ticket->links = (uint8_t) phota_read_number(&r, 1);
    ticket->expires = phota_read_number(&r, 8);
}


/* the charge can be read by who looks for it in a log */

int
phota_callback_format(const phota_aliases_t *a, const phota_id_t *charge,
    char name[PHOTA_CALLBACK_NAME])
{
    return phota_callback_name(a->callbacks, charge, name);
}


int
phota_callback_other(const phota_aliases_t *a, const phota_id_t *charge,
    char name[PHOTA_CALLBACK_NAME])
{
    return phota_callback_name(a->other_callbacks, charge, name);
}


static int
phota_callback_name(const u_char key[32], const phota_id_t *charge,
    char name[PHOTA_CALLBACK_NAME])
{
    char    id[PHOTA_ID_TEXT], text[PHOTA_CALLBACK_TEXT + 1];
    u_char  mac[PHOTA_ALIAS_MAC];

    if (phota_alias_mac(key, charge->b, sizeof(charge->b), NULL, 0, mac)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    phota_id_format(id, charge);
    phota_alias_text(text, mac, PHOTA_CALLBACK_MAC, PHOTA_CALLBACK_TEXT);

    (void) snprintf(name, PHOTA_CALLBACK_NAME, "%s-%s",
                    id + sizeof(PHOTA_ALIAS_PREFIX) - 1, text);

    return PHOTA_OK;
}


int
phota_callback_parse(const phota_aliases_t *a, const u_char *name, size_t len,
    phota_id_t *charge)
{
    int         right;
    char        text[PHOTA_CALLBACK_NAME];
    phota_id_t  id;

    memset(charge, 0, sizeof(phota_id_t));

    if (len != PHOTA_ALIAS_CHARGE + 1 + PHOTA_CALLBACK_TEXT
        || phota_alias_charge(&id, name) != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    if (phota_callback_name(a->callbacks, &id, text) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    right = (phota_memcmp(text, name, len) == 0);

    if (!right && a->two) {
        if (phota_callback_name(a->other_callbacks, &id, text) != PHOTA_OK) {
            return PHOTA_ERROR;
        }

        right = (phota_memcmp(text, name, len) == 0);
    }

    if (!right) {
        return PHOTA_INVALID;
    }

    *charge = id;

    return PHOTA_OK;
}
