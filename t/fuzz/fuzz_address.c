
/*
 * Fuzzes what tenants write of addresses: a URL that is taken has the parts
 * that it is made of, and a host that libc takes for an address is one that is
 * spelt as such; a network that is taken matches its own address; a public
 * address is in none of the ranges that every book lists.
 */


#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "phota_address.h"


int LLVMFuzzerTestOneInput(const u_char *data, size_t size);


static void
fuzz_url(const u_char *data, size_t size)
{
    char            host[256];
    u_char          v6[16];
    phota_url_t     url;
    struct in_addr  strict, loose;

    if (phota_url_parse(data, size, &url, NULL) != PHOTA_OK) {
        return;
    }

    if (url.host.len == 0 || url.host.len >= sizeof(host) || url.port == 0
        || size > PHOTA_URL_MAX
        || url.target.data + url.target.len != data + size
        || url.authority.data + url.authority.len != url.target.data
        || url.authority.data != data + (url.secure ? 8 : 7)
        || (url.target.len && url.target.data[0] != '/'
            && url.target.data[0] != '?'))
    {
        abort();
    }

    memcpy(host, url.host.data, url.host.len);
    host[url.host.len] = '\0';

    if (url.authority.data[0] == '[') {

        if (inet_pton(AF_INET6, host, v6) != 1) {
            abort();
        }

        return;
    }

    /* an address to one is none to the other: that is how checks are passed */

    if (inet_aton(host, &loose)
        && (inet_pton(AF_INET, host, &strict) != 1
            || strict.s_addr != loose.s_addr))
    {
        abort();
    }
}


static void
fuzz_net(const u_char *data, size_t size)
{
    phota_net_t          net;
    struct sockaddr_in   sin;
    struct sockaddr_in6  sin6;

    if (phota_net_parse((const char *) data, size, &net) != PHOTA_OK) {
        return;
    }

    if (net.family == AF_INET) {
        memset(&sin, 0, sizeof(sin));
        sin.sin_family = AF_INET;
        memcpy(&sin.sin_addr, net.address, 4);

        if (net.bits > 32
            || !phota_net_match(&net, 1, (struct sockaddr *) &sin))
        {
            abort();
        }

        return;
    }

    memset(&sin6, 0, sizeof(sin6));
    sin6.sin6_family = AF_INET6;
    memcpy(&sin6.sin6_addr, net.address, 16);

    if (net.bits > 128
        || (!IN6_IS_ADDR_V4MAPPED(&sin6.sin6_addr)
            && !phota_net_match(&net, 1, (struct sockaddr *) &sin6)))
    {
        abort();
    }
}


static void
fuzz_address(const u_char *data, size_t size)
{
    uint32_t             v4;
    struct sockaddr_in6  sin6;

    if (size < 16) {
        return;
    }

    memset(&sin6, 0, sizeof(sin6));
    sin6.sin6_family = AF_INET6;
    memcpy(&sin6.sin6_addr, data, 16);

    if (!phota_address_public((struct sockaddr *) &sin6)) {
        return;
    }

    memcpy(&v4, data + 12, sizeof(v4));
    v4 = ntohl(v4);

    if (IN6_IS_ADDR_LOOPBACK(&sin6.sin6_addr)
        || IN6_IS_ADDR_UNSPECIFIED(&sin6.sin6_addr)
        || IN6_IS_ADDR_LINKLOCAL(&sin6.sin6_addr)
        || IN6_IS_ADDR_SITELOCAL(&sin6.sin6_addr)
        || IN6_IS_ADDR_MULTICAST(&sin6.sin6_addr)
        || (data[0] & 0xfe) == 0xfc
        || (IN6_IS_ADDR_V4MAPPED(&sin6.sin6_addr)
            && (v4 >> 24 == 127 || v4 >> 24 == 10 || v4 >> 24 == 0
                || v4 >> 28 >= 14 || v4 >> 16 == 0xc0a8
                || v4 >> 16 == 0xa9fe || v4 >> 20 == 0xac1)))
    {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const u_char *data, size_t size)
{
    fuzz_url(data, size);
    fuzz_net(data, size);
    fuzz_address(data, size);

    return 0;
}
