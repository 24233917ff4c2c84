
/*
 * Where a tenant may send the gateway: URLs that everybody reads in the same
 * way, and every range of addresses that isn't public, bare or within another.
 */


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "phota_address.h"


typedef union {
    struct sockaddr      sa;
    struct sockaddr_in   sin;
    struct sockaddr_in6  sin6;
} test_address_t;


static void
test_is(const phota_str_t *s, const char *text)
{
    assert_int_equal(s->len, strlen(text));
    assert_memory_equal(s->data, text, s->len);
}


/* from memory of its own length, so that a step too far is seen */

static int
test_parse(const char *text, size_t len, phota_url_t *url)
{
    int            rc;
    u_char        *copy;
    phota_url_t    mine;
    phota_error_t  err;

    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);

    err.text[0] = '\0';
    rc = phota_url_parse(copy, len, url ? url : &mine, &err);
    free(copy);

    assert_true(rc == PHOTA_OK || rc == PHOTA_INVALID);
    assert_true(rc == PHOTA_OK || err.text[0] != '\0');

    return rc;
}


static void
urls(void **state)
{
    unsigned     i;
    phota_url_t  url;

    static const struct {
        const char  *text;
        unsigned     secure;
        const char  *host;
        const char  *authority;
        uint16_t     port;
        const char  *target;
    } good[] = {
        { "https://a", 1, "a", "a", 443, "" },
        { "http://a.example/", 0, "a.example", "a.example", 80, "/" },
        { "HTTPS://A.Example:8443/x?y=z@w:/", 1, "A.Example",
          "A.Example:8443", 8443, "/x?y=z@w:/" },
        { "https://a_b-c.example.?q=1", 1, "a_b-c.example.",
          "a_b-c.example.", 443, "?q=1" },
        { "https://192.0.2.1:1/", 1, "192.0.2.1", "192.0.2.1:1", 1, "/" },
        { "https://[::1]/a", 1, "::1", "[::1]", 443, "/a" },
        { "https://[::ffff:10.0.0.1]:65535", 1, "::ffff:10.0.0.1",
          "[::ffff:10.0.0.1]:65535", 65535, "" },
        { "https://1e100.net/", 1, "1e100.net", "1e100.net", 443, "/" },
        { "https://1.2.3.4.example/", 1, "1.2.3.4.example",
          "1.2.3.4.example", 443, "/" },
        { "https://abc.de", 1, "abc.de", "abc.de", 443, "" },
        { "https://x.0xyz", 1, "x.0xyz", "x.0xyz", 443, "" }
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(phota_url_parse((const u_char *) good[i].text,
                                         strlen(good[i].text), &url, NULL),
                         PHOTA_OK);
        assert_int_equal(url.secure, good[i].secure);
        test_is(&url.host, good[i].host);
        test_is(&url.authority, good[i].authority);
        assert_int_equal(url.port, good[i].port);
        test_is(&url.target, good[i].target);
    }
}


static void
urls_refused(void **state)
{
    char      text[PHOTA_URL_MAX + 64];
    size_t    len;
    unsigned  i;

    static const char  *bad[] = {
        "", "h", "https", "https:", "https:/", "https://", "https:///x",
        "https://?x", "https://:443/", "//a/", "/a", "a.example",
        "ftp://a/", "httpss://a/", "https:a", "https:\\\\a/",
        "https://a\\b/", "https://a/\\b", "https://a/#b", "https://a#b",
        "https://u@a/", "https://u:p@a/", "https://a@b", "https://a:@b",
        "https://a b/", "https://a/ b", " https://a/", "https://a/ ",
        "https://a/\n", "https://a\t/", "https://a/\x7f", "https://a/\xc3\xa9",
        "https://\xc3\xa9.example/", "https://a%2eb/", "https://a,b/",
        "https://a;b/", "https://$a/", "https://a*b/", "https://(a)/",
        "https://.a/", "https://a..b/", "https://./", "https://a../",
        "https://a:/", "https://a:0/", "https://a:080/", "https://a:65536/",
        "https://a:99999/", "https://a:123456/", "https://a:8x/",
        "https://a:-1/", "https://a:80:80/", "https://a: 80/",
        "https://[/", "https://[]/", "https://[::1/", "https://[::1]x/",
        "https://[::1]:/", "https://[1.2.3.4]/", "https://[a]/",
        "https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/",
        "https://[::g]/", "https://[v1.a]/", "https://[[::1]]/",
        "https://::1/", "https://[1:2:3:4:5:6:7:8:9]/",

        /* addresses to some, names to others */

        "https://0x7f.1/", "https://0X7F.0.0.1/", "https://2130706433/",
        "https://127.1/", "https://127.0.1/", "https://017700000001/",
        "https://0177.0.0.1/", "https://0x7f000001/", "https://0x7f.0.0.0x1",
        "https://127.0.0.01/", "https://127.0.0.1./", "https://127.0.0.256/",
        "https://1.2.3.4.5/", "https://0/", "https://0x/", "https://a.0x/",
        "https://a.1/", "https://a.0x1f", "https://00000000000000000001/",
        "https://1.2.3.08/", "https://4294967296/", "https://127.0.0.1.:80/",
        "https://999999999999999999999999999999999999999999999999999999/"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (test_parse(bad[i], strlen(bad[i]), NULL) != PHOTA_INVALID) {
            fail_msg("\"%s\" is taken", bad[i]);
        }
    }

    assert_int_equal(test_parse("https://a\0b/", 12, NULL), PHOTA_INVALID);

    /* as long as may be, and a byte more */

    len = (size_t) snprintf(text, sizeof(text), "https://a/");
    memset(text + len, 'x', sizeof(text) - len);
    assert_int_equal(test_parse(text, PHOTA_URL_MAX, NULL), PHOTA_OK);
    assert_int_equal(test_parse(text, PHOTA_URL_MAX + 1, NULL),
                     PHOTA_INVALID);

    memset(text + 8, 'y', 63);
    memcpy(text + 8 + 63, "/", 1);
    assert_int_equal(test_parse(text, 8 + 64, NULL), PHOTA_OK);
    memset(text + 8, 'y', 64);
    assert_int_equal(test_parse(text, 8 + 64, NULL), PHOTA_INVALID);

    for (i = 0; i < 300; i++) {
        text[8 + i] = (i % 2) ? '.' : 'y';
    }

    assert_int_equal(test_parse(text, 8 + 253, NULL), PHOTA_OK);
    assert_int_equal(test_parse(text, 8 + 254, NULL), PHOTA_INVALID);
}


static const struct sockaddr *
test_address(const char *text, test_address_t *address)
{
    memset(address, 0, sizeof(test_address_t));

    if (inet_pton(AF_INET, text, &address->sin.sin_addr) == 1) {
        address->sin.sin_family = AF_INET;

    } else {
        assert_int_equal(inet_pton(AF_INET6, text,
                                   &address->sin6.sin6_addr), 1);
        address->sin6.sin6_family = AF_INET6;
    }

    return &address->sa;
}


/* first and last of what isn't public, and their neighbours where they are */

static const struct {
    const char  *before;
    const char  *first;
    const char  *last;
    const char  *after;
} test_ranges_v4[] = {
    { NULL, "0.0.0.0", "0.255.255.255", "1.0.0.0" },
    { "9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0" },
    { "100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0" },
    { "126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0" },
    { "168.63.129.15", "168.63.129.16", "168.63.129.16", "168.63.129.17" },
    { "169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0" },
    { "172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0" },
    { "191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0" },
    { "192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0" },
    { "192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0" },
    { "192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0" },
    { "198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0" },
    { "198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0" },
    { "203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0" },
    { "223.255.255.255", "224.0.0.0", "239.255.255.255", NULL },
    { NULL, "240.0.0.0", "255.255.255.255", NULL },
    { NULL, "127.0.0.1", "169.254.169.254", NULL },
    { "8.8.8.8", "10.1.2.3", "100.100.100.200", "1.1.1.1" }
};


/* bare, and in all the ways in which v6 holds it */

static void
test_public_v4(const char *text, int public)
{
    char            v6[64];
    u_char          b[4];
    unsigned        i;
    test_address_t  address;

    enum { BARE, MAPPED, NAT64, SIXTO4, SERVER, CLIENT, COMPATIBLE, SIIT,
           LOCAL64, WAYS };

    if (text == NULL) {
        return;
    }

    assert_int_equal(inet_pton(AF_INET, text, b), 1);

    for (i = 0; i < WAYS; i++) {

        switch (i) {

        case BARE:
            (void) snprintf(v6, sizeof(v6), "%s", text);
            break;

        case MAPPED:
            (void) snprintf(v6, sizeof(v6), "::ffff:%s", text);
            break;

        case NAT64:
            (void) snprintf(v6, sizeof(v6), "64:ff9b::%s", text);
            break;

        case SIXTO4:
            (void) snprintf(v6, sizeof(v6), "2002:%02x%02x:%02x%02x::1",
                            b[0], b[1], b[2], b[3]);
            break;

        case SERVER:
            (void) snprintf(v6, sizeof(v6),
                            "2001:0:%02x%02x:%02x%02x:0:1:f7f7:f7f7",
                            b[0], b[1], b[2], b[3]);
            break;

        case CLIENT:
            (void) snprintf(v6, sizeof(v6),
                            "2001:0:0808:0808:0:1:%02x%02x:%02x%02x",
                            b[0] ^ 0xff, b[1] ^ 0xff, b[2] ^ 0xff,
                            b[3] ^ 0xff);
            break;

        case COMPATIBLE:
            public = 0;
            (void) snprintf(v6, sizeof(v6), "::%s", text);
            break;

        case SIIT:
            (void) snprintf(v6, sizeof(v6), "::ffff:0:%s", text);
            break;

        case LOCAL64:
            (void) snprintf(v6, sizeof(v6), "64:ff9b:1::%s", text);
            break;
        }

        if (phota_address_public(test_address(v6, &address)) != public) {
            fail_msg("%s is %spublic", v6, public ? "not " : "");
        }
    }
}


static void
addresses_v4(void **state)
{
    unsigned  i;

    (void) state;

    for (i = 0; i < sizeof(test_ranges_v4) / sizeof(test_ranges_v4[0]); i++) {
        test_public_v4(test_ranges_v4[i].before, 1);
        test_public_v4(test_ranges_v4[i].first, 0);
        test_public_v4(test_ranges_v4[i].last, 0);
        test_public_v4(test_ranges_v4[i].after, 1);
    }
}


static void
addresses_v6(void **state)
{
    unsigned        i;
    test_address_t  address;

    static const char  *public[] = {
        "2001:200::1", "2001:4860:4860::8888", "2606:4700:4700::1111",
        "2a00::1", "2000::1", "3ffe:ffff::1", "2001:db7:ffff::1",
        "2001:db9::1", "3ffe:ffff:ffff::", "3fff:1000::1",
        "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::1"
    };

    static const char  *private[] = {
        "::", "::1", "::2", "fe80::1", "febf::1", "fec0::1", "fc00::1",
        "fd00:ec2::254", "fdff::1", "ff02::1", "ff0e::1", "2001:db8::1",
        "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "3fff::1",
        "3fff:fff:ffff::1", "2001:1::1", "2001:2::1", "2001:3::1",
        "2001:4:112::1", "2001:10::1", "2001:20::1", "2001:1ff:ffff::1",
        "100::1", "64:ff9b:1::1", "5f00::1", "4000::1", "1fff::1",
        "8000::1", "64:ff9b::7f00:1", "64:ff9b::1:808:808",
        "2002:7f00:1::1", "2002:a9fe:a9fe::"
    };

    (void) state;

    for (i = 0; i < sizeof(public) / sizeof(public[0]); i++) {
        if (!phota_address_public(test_address(public[i], &address))) {
            fail_msg("%s isn't public", public[i]);
        }
    }

    for (i = 0; i < sizeof(private) / sizeof(private[0]); i++) {
        if (phota_address_public(test_address(private[i], &address))) {
            fail_msg("%s is public", private[i]);
        }
    }

    address.sa.sa_family = AF_UNIX;
    assert_int_equal(phota_address_public(&address.sa), 0);
    address.sa.sa_family = AF_UNSPEC;
    assert_int_equal(phota_address_public(&address.sa), 0);
}


static int
test_match(const char *net, const char *text)
{
    phota_net_t     nets[2];
    test_address_t  address;

    assert_int_equal(phota_net_parse("192.0.2.255", 11, &nets[0]), PHOTA_OK);
    assert_int_equal(phota_net_parse(net, strlen(net), &nets[1]), PHOTA_OK);

    return phota_net_match(nets, 2, test_address(text, &address));
}


static void
nets(void **state)
{
    unsigned        i;
    phota_net_t     net;
    test_address_t  address;

    static const char  *bad[] = {
        "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08",
        "10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0/8", "10/8", "10.0.0.0/-1",
        "10.0.0.0/8/8", "::1/129", "::1/", "::g", "[::1]", "localhost",
        "::1/1000", "0x7f.0.0.1", "010.0.0.1", "fe80::1%eth0", "10.0.0.0/+8"
    };

    (void) state;

    assert_int_equal(test_match("10.0.0.0/8", "10.255.0.1"), 1);
    assert_int_equal(test_match("10.1.2.3/8", "10.255.0.1"), 1);
    assert_int_equal(test_match("10.0.0.0/8", "11.0.0.1"), 0);
    assert_int_equal(test_match("10.0.0.0/8", "192.0.2.255"), 1);
    assert_int_equal(test_match("127.0.0.1", "127.0.0.1"), 1);
    assert_int_equal(test_match("127.0.0.1", "127.0.0.2"), 0);
    assert_int_equal(test_match("0.0.0.0/0", "8.8.8.8"), 1);
    assert_int_equal(test_match("0.0.0.0/0", "2001::1"), 0);
    assert_int_equal(test_match("172.16.0.0/12", "172.31.0.1"), 1);
    assert_int_equal(test_match("172.16.0.0/12", "172.32.0.1"), 0);
    assert_int_equal(test_match("::1", "::1"), 1);
    assert_int_equal(test_match("::1", "::2"), 0);
    assert_int_equal(test_match("fd00::/8", "fdab::1"), 1);
    assert_int_equal(test_match("::/0", "fdab::1"), 1);

    /* v4 in v6 is v4, on either side */

    assert_int_equal(test_match("10.0.0.0/8", "::ffff:10.0.0.1"), 1);
    assert_int_equal(test_match("::ffff:10.0.0.0/104", "10.0.0.1"), 1);
    assert_int_equal(test_match("::ffff:10.0.0.0/104", "11.0.0.1"), 0);
    assert_int_equal(test_match("::ffff:10.0.0.1", "::ffff:10.0.0.1"), 1);
    assert_int_equal(test_match("::/0", "::ffff:10.0.0.1"), 0);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (phota_net_parse(bad[i], strlen(bad[i]), &net) != PHOTA_INVALID) {
            fail_msg("\"%s\" is taken", bad[i]);
        }
    }

    assert_int_equal(phota_net_parse("10.0.0.1\0x", 10, &net),
                     PHOTA_INVALID);

    assert_int_equal(phota_net_match(NULL, 0, test_address("10.0.0.1",
                                                           &address)), 0);

    assert_int_equal(phota_net_parse("0.0.0.0/0", 9, &net), PHOTA_OK);
    address.sa.sa_family = AF_UNIX;
    assert_int_equal(phota_net_match(&net, 1, &address.sa), 0);
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(urls_refused),
        cmocka_unit_test(addresses_v4),
        cmocka_unit_test(addresses_v6),
        cmocka_unit_test(nets)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
