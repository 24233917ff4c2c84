
/*
 * URLs and addresses that a tenant names.  A URL is taken only in a form that
 * everybody reads in the same way; an address counts as public only where it is
 * known to be, and an address that holds another is judged by that too.
 */


#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "phota_address.h"


#define PHOTA_HOST_MAX   253
#define PHOTA_LABEL_MAX  63


typedef struct {
    u_char           address[16];
    unsigned         bits;
} phota_block_t;


static int phota_url_characters(const u_char *text, size_t len,
    phota_error_t *err);
static int phota_url_scheme(const u_char *text, size_t len, phota_url_t *url,
    size_t *at, phota_error_t *err);
static int phota_url_authority(phota_url_t *url, phota_error_t *err);
static int phota_url_port(phota_url_t *url, const u_char *p, const u_char *end,
    phota_error_t *err);
static int phota_url_name(const phota_str_t *host, phota_error_t *err);
static int phota_url_label(const u_char *p, size_t len, int *number);
static int phota_url_pton(int family, const u_char *p, size_t len,
    u_char *address);
static int phota_net_bits(const char *text, size_t len, unsigned max,
    unsigned *bits);
static int phota_address_bytes(const struct sockaddr *address, u_char *bytes);
static int phota_address_within(const u_char *address, const u_char *net,
    unsigned bits);
static int phota_address_listed(const u_char *address,
    const phota_block_t *blocks, unsigned n);
static int phota_address_public_v4(const u_char *v4);
static int phota_address_public_v6(const u_char *v6);


/* addresses by IANA's registries of those for special purposes */

static const phota_block_t  phota_address_private_v4[] = {
    { { 0 }, 8 },                           /* this network */
    { { 10 }, 8 },                          /* private */
    { { 100, 64 }, 10 },                    /* shared by carriers */
    { { 127 }, 8 },                         /* loopback */
    { { 168, 63, 129, 16 }, 32 },           /* the host, of virtual machines
                                               at one provider */
    { { 169, 254 }, 16 },                   /* link-local */
    { { 172, 16 }, 12 },                    /* private */
    { { 192, 0, 0 }, 24 },                  /* protocol assignments */
    { { 192, 0, 2 }, 24 },                  /* documentation */
    { { 192, 88, 99 }, 24 },                /* relays of 6to4 */
    { { 192, 168 }, 16 },                   /* private */
    { { 198, 18 }, 15 },                    /* benchmarks */
    { { 198, 51, 100 }, 24 },               /* documentation */
    { { 203, 0, 113 }, 24 },                /* documentation */
    { { 224 }, 4 },                         /* multicast */
    { { 240 }, 4 }                          /* reserved, broadcast */
};


/* of 2000::/3, which is all that is routed */

static const phota_block_t  phota_address_private_v6[] = {
    { { 0x20, 0x01 }, 23 },                 /* protocol assignments */
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32 },     /* documentation */
    { { 0x3f, 0xff }, 20 }                  /* documentation */
};


static const u_char  phota_address_mapped[16] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff
};

static const u_char  phota_address_nat64[16] = { 0, 0x64, 0xff, 0x9b };
static const u_char  phota_address_6to4[16] = { 0x20, 0x02 };
static const u_char  phota_address_teredo[16] = { 0x20, 0x01 };
static const u_char  phota_address_global[16] = { 0x20 };


int
phota_url_parse(const u_char *text, size_t len, phota_url_t *url,
    phota_error_t *err)
{
    int     rc;
    size_t  at, end;

    memset(url, 0, sizeof(phota_url_t));

    rc = phota_url_characters(text, len, err);

    if (rc == PHOTA_OK) {
        rc = phota_url_scheme(text, len, url, &at, err);
    }

    if (rc != PHOTA_OK) {
        return rc;
    }

    for (end = at; end < len && text[end] != '/' && text[end] != '?'; end++) {
        /* void */
    }

    url->authority.data = text + at;
    url->authority.len = end - at;
    url->target.data = text + end;
    url->target.len = len - end;

    return phota_url_authority(url, err);
}


static int
phota_url_characters(const u_char *text, size_t len, phota_error_t *err)
{
    size_t  i;

    if (len > PHOTA_URL_MAX) {
        phota_error(err, "not a URL: longer than %d bytes", PHOTA_URL_MAX);
        return PHOTA_INVALID;
    }

    for (i = 0; i < len; i++) {

        if (text[i] <= ' ' || text[i] > '~' || text[i] == '\\') {
            phota_error(err, "not a URL: byte %zu can't stand in one", i);
            return PHOTA_INVALID;
        }

        if (text[i] == '#') {
            phota_error(err, "a URL with a fragment, which is never sent");
            return PHOTA_INVALID;
        }
    }

    return PHOTA_OK;
}


static int
phota_url_scheme(const u_char *text, size_t len, phota_url_t *url, size_t *at,
    phota_error_t *err)
{
    size_t    n;
    unsigned  i;

    static const struct {
        const char  *text;
        unsigned     secure;
        uint16_t     port;
    } schemes[] = {
        { "https://", 1, 443 },
        { "http://", 0, 80 }
    };

    for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        n = strlen(schemes[i].text);

        if (len > n
            && strncasecmp((const char *) text, schemes[i].text, n) == 0)
        {
            url->secure = schemes[i].secure;
            url->port = schemes[i].port;
            *at = n;

            return PHOTA_OK;
        }
    }

    phota_error(err, "not a URL that begins with https:// or http://");

    return PHOTA_INVALID;
}


static int
phota_url_authority(phota_url_t *url, phota_error_t *err)
{
    u_char         address[16];
    const u_char  *p, *end, *host;

    p = url->authority.data;
    end = p + url->authority.len;

    if (p != end && memchr(p, '@', url->authority.len) != NULL) {
        phota_error(err, "a URL with a user's name in it");
        return PHOTA_INVALID;
    }

    host = p;

    if (p != end && *p == '[') {
        host = ++p;

        while (p != end && *p != ']') {
            p++;
        }

        url->host.data = host;
        url->host.len = p - host;

        if (p == end
            || phota_url_pton(AF_INET6, url->host.data, url->host.len,
                              address) != PHOTA_OK)
        {
            phota_error(err, "a URL with brackets around what is no IPv6 "
                        "address");
            return PHOTA_INVALID;
        }

        return phota_url_port(url, p + 1, end, err);
    }

    while (p != end && *p != ':') {
        p++;
    }

    url->host.data = host;
    url->host.len = p - host;

    if (phota_url_name(&url->host, err) != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    return phota_url_port(url, p, end, err);
}


/* from the colon on, if there is one */

static int
phota_url_port(phota_url_t *url, const u_char *p, const u_char *end,
    phota_error_t *err)
{
    unsigned  port;

    if (p == end) {
        return PHOTA_OK;
    }

    port = 0;

    if (*p != ':' || end - p < 2 || end - p > 6 || p[1] == '0') {
        phota_error(err, "a URL with a port that is none");
        return PHOTA_INVALID;
    }

    while (++p != end) {

        if (*p < '0' || *p > '9') {
            phota_error(err, "a URL with a port that is none");
            return PHOTA_INVALID;
        }

        port = port * 10 + (*p - '0');
    }

    if (port > UINT16_MAX) {
        phota_error(err, "a URL with a port that is none");
        return PHOTA_INVALID;
    }

    url->port = (uint16_t) port;

    return PHOTA_OK;
}


/*
 * Whose last label is a number would be taken for an address by some (0x7f.1,
 * 127.1, 2130706433), and for a name by others.
 */

static int
phota_url_name(const phota_str_t *host, phota_error_t *err)
{
    int            number;
    u_char         address[16];
    const u_char  *p, *end, *dot;

    if (host->len == 0 || host->len > PHOTA_HOST_MAX) {
        phota_error(err, "a URL without a host, or one that is too long");
        return PHOTA_INVALID;
    }

    number = 0;
    p = host->data;
    end = p + host->len;

    /* a dot at the end is the root's */

    while (p != end) {
        dot = memchr(p, '.', end - p);

        if (dot == NULL) {
            dot = end;
        }

        if (phota_url_label(p, dot - p, &number) != PHOTA_OK) {
            phota_error(err, "a URL whose host is no name (letters, digits, "
                        "'-', '_', dots between them)");
            return PHOTA_INVALID;
        }

        p = (dot == end) ? end : dot + 1;
    }

    if (number
        && phota_url_pton(AF_INET, host->data, host->len, address)
           != PHOTA_OK)
    {
        phota_error(err, "a URL whose host is neither a name nor an address "
                    "of four decimal numbers");
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


/* number: decimal, octal or, behind 0x, hexadecimal, were it an address */

static int
phota_url_label(const u_char *p, size_t len, int *number)
{
    size_t  i, digits, hex;

    if (len == 0 || len > PHOTA_LABEL_MAX) {
        return PHOTA_INVALID;
    }

    digits = 0;
    hex = 0;

    for (i = 0; i < len; i++) {

        if (p[i] >= '0' && p[i] <= '9') {
            digits++;
            hex++;

        } else if ((p[i] >= 'a' && p[i] <= 'f')
                   || (p[i] >= 'A' && p[i] <= 'F'))
        {
            hex++;

        } else if ((p[i] < 'a' || p[i] > 'z') && (p[i] < 'A' || p[i] > 'Z')
                   && p[i] != '-' && p[i] != '_')
        {
            return PHOTA_INVALID;
        }
    }

    /* of "0x" only the x is no digit of theirs */

    *number = (digits == len
               || (len >= 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X')
                   && hex == len - 1));

    return PHOTA_OK;
}


static int
phota_url_pton(int family, const u_char *p, size_t len, u_char *address)
{
    char  text[INET6_ADDRSTRLEN];

    if (len == 0 || len >= sizeof(text) || memchr(p, '\0', len) != NULL) {
        return PHOTA_INVALID;
    }

    memcpy(text, p, len);
    text[len] = '\0';

    return inet_pton(family, text, address) == 1 ? PHOTA_OK : PHOTA_INVALID;
}


int
phota_net_parse(const char *text, size_t len, phota_net_t *net)
{
    unsigned     max;
    const char  *slash;

    memset(net, 0, sizeof(phota_net_t));

    slash = len ? memchr(text, '/', len) : NULL;

    if (slash == NULL) {
        slash = text + len;
    }

    net->family = (len && memchr(text, ':', slash - text) != NULL) ? AF_INET6
                                                                   : AF_INET;
    max = (net->family == AF_INET6) ? 128 : 32;
    net->bits = max;

    if (phota_url_pton(net->family, (const u_char *) text, slash - text,
                       net->address) != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    if (slash != text + len
        && phota_net_bits(slash + 1, text + len - slash - 1, max, &net->bits)
           != PHOTA_OK)
    {
        return PHOTA_INVALID;
    }

    if (net->family == AF_INET6 && net->bits >= 96
        && phota_address_within(net->address, phota_address_mapped, 96))
    {
        net->family = AF_INET;
        net->bits -= 96;

        memmove(net->address, net->address + 12, 4);
        memset(net->address + 4, 0, 12);
    }

    return PHOTA_OK;
}


static int
phota_net_bits(const char *text, size_t len, unsigned max, unsigned *bits)
{
    size_t    i;
    unsigned  n;

    if (len == 0 || len > 3 || (text[0] == '0' && len > 1)) {
        return PHOTA_INVALID;
    }

    n = 0;

    for (i = 0; i < len; i++) {

        if (text[i] < '0' || text[i] > '9') {
            return PHOTA_INVALID;
        }

        n = n * 10 + (unsigned) (text[i] - '0');
    }

    *bits = n;

    return (n <= max) ? PHOTA_OK : PHOTA_INVALID;
}


/* the family that counts, with its bytes; 0 for others */

static int
phota_address_bytes(const struct sockaddr *address, u_char *bytes)
{
    struct sockaddr_in   sin;
    struct sockaddr_in6  sin6;

    switch (address->sa_family) {

    case AF_INET:
        memcpy(&sin, address, sizeof(sin));
        memcpy(bytes, &sin.sin_addr, 4);

        return AF_INET;

    case AF_INET6:
        memcpy(&sin6, address, sizeof(sin6));
        memcpy(bytes, &sin6.sin6_addr, 16);

        if (phota_address_within(bytes, phota_address_mapped, 96)) {
            memmove(bytes, bytes + 12, 4);
            return AF_INET;
        }

        return AF_INET6;

    default:
        return 0;
    }
}


static int
phota_address_within(const u_char *address, const u_char *net, unsigned bits)
{
    u_char    mask;
    unsigned  n;

    n = bits / 8;

    if (memcmp(address, net, n) != 0) {
        return 0;
    }

    if (bits % 8 == 0) {
        return 1;
    }

    mask = (u_char) (0xff << (8 - bits % 8));

    return ((address[n] ^ net[n]) & mask) == 0;
}


int
phota_net_match(const phota_net_t *nets, unsigned n,
    const struct sockaddr *address)
{
    int       family;
    u_char    bytes[16];
    unsigned  i;

    family = phota_address_bytes(address, bytes);

    for (i = 0; family != 0 && i < n; i++) {
        if (nets[i].family == family
            && phota_address_within(bytes, nets[i].address, nets[i].bits))
        {
            return 1;
        }
    }

    return 0;
}


int
phota_address_public(const struct sockaddr *address)
{
    u_char  bytes[16];

    switch (phota_address_bytes(address, bytes)) {

    case AF_INET:
        return phota_address_public_v4(bytes);

    case AF_INET6:
        return phota_address_public_v6(bytes);

    default:
        return 0;
    }
}


static int
phota_address_listed(const u_char *address, const phota_block_t *blocks,
    unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (phota_address_within(address, blocks[i].address, blocks[i].bits))
        {
            return 1;
        }
    }

    return 0;
}


static int
phota_address_public_v4(const u_char *v4)
{
    return !phota_address_listed(v4, phota_address_private_v4,
                                 sizeof(phota_address_private_v4)
                                 / sizeof(phota_block_t));
}


static int
phota_address_public_v6(const u_char *v6)
{
    unsigned  i;
    u_char    client[4];

    if (phota_address_within(v6, phota_address_nat64, 96)) {
        return phota_address_public_v4(v6 + 12);
    }

    if (phota_address_within(v6, phota_address_6to4, 16)) {
        return phota_address_public_v4(v6 + 2);
    }

    /* the server's address, and the client's with all bits turned over */

    if (phota_address_within(v6, phota_address_teredo, 32)) {
        for (i = 0; i < 4; i++) {
            client[i] = v6[12 + i] ^ 0xff;
        }

        return phota_address_public_v4(v6 + 4)
               && phota_address_public_v4(client);
    }

    return phota_address_within(v6, phota_address_global, 3)
           && !phota_address_listed(v6, phota_address_private_v6,
                                    sizeof(phota_address_private_v6)
                                    / sizeof(phota_block_t));
}
