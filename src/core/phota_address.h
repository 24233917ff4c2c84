
/*
 * Where the gateway may go on a tenant's word: a URL taken apart, and which
 * addresses are nobody's but the operator's.
 */


#ifndef _PHOTA_ADDRESS_H_INCLUDED_
#define _PHOTA_ADDRESS_H_INCLUDED_


#include <sys/socket.h>

#include "phota_core.h"


/* pointers into the URL that was parsed */

typedef struct {
    unsigned         secure:1;      /* https */
    phota_str_t      host;          /* a name or address, without brackets */
    phota_str_t      authority;     /* host and port as they stand */
    uint16_t         port;          /* 443, 80 or as written */
    phota_str_t      target;        /* path and query, "" for "/" */
} phota_url_t;


/* a network: address and how many of its bits count */

typedef struct {
    int              family;        /* AF_INET, AF_INET6 */
    u_char           address[16];
    unsigned         bits;
} phota_net_t;


/*
 * http or https, absolute, without user info, fragment, white space, controls,
 * backslashes or bytes beyond ASCII, at most PHOTA_URL_MAX long; a host of
 * letters, digits, '-', '_' and '.', or an address as inet_pton() takes it (an
 * IPv6 one in brackets).  PHOTA_INVALID; err says what is wrong.
 */
int phota_url_parse(const u_char *text, size_t len, phota_url_t *url,
    phota_error_t *err);

/* "10.0.0.0/8", "::1" */
int phota_net_parse(const char *text, size_t len, phota_net_t *net);

/* 1 when the address is in one of n networks; v4 in v6 is v4 */
int phota_net_match(const phota_net_t *nets, unsigned n,
    const struct sockaddr *address);

/*
 * 1 when an address is public: not this host's, private, link-local, shared
 * (100.64/10), multicast, documentation, reserved, or one of these within v6
 * (mapped, 6to4, NAT64, Teredo).  What isn't AF_INET or AF_INET6 is not.
 */
int phota_address_public(const struct sockaddr *address);


#endif /* _PHOTA_ADDRESS_H_INCLUDED_ */
