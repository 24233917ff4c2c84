
/*
 * Numbers in keys: big-endian, so that LMDB's order of bytes is their order.
 */


#ifndef _PHOTA_ORDER_H_INCLUDED_
#define _PHOTA_ORDER_H_INCLUDED_


#include "phota_core.h"


static inline void
phota_put_be(u_char *p, uint64_t n, unsigned bytes)
{
    while (bytes--) {
        p[bytes] = (u_char) n;
        n >>= 8;
    }
}


static inline uint64_t
phota_get_be(const u_char *p, unsigned bytes)
{
    uint64_t  n;

    n = 0;

    while (bytes--) {
        n = n << 8 | *p++;
    }

    return n;
}


#endif /* _PHOTA_ORDER_H_INCLUDED_ */
