
/*
 * Feeds an input in pieces: whole, byte by byte, or cut at random places that
 * depend on the input alone.  Each piece is an allocation of its own, so that
 * a read beyond it is seen.
 */


#ifndef _FUZZ_CUT_H_INCLUDED_
#define _FUZZ_CUT_H_INCLUDED_


#include <stdlib.h>
#include <string.h>

#include "phota_core.h"


#define FUZZ_CUTS  4        /* ways to cut */


typedef int (*fuzz_feed_pt)(void *ctx, const u_char *p, size_t n);


static inline int
fuzz_cut(fuzz_feed_pt feed, void *ctx, const u_char *data, size_t size,
    unsigned way)
{
    int        rc;
    size_t     pos, n;
    u_char    *piece;
    uint32_t   seed;

    rc = PHOTA_OK;
    seed = (uint32_t) size * 2654435761u + way;

    for (pos = 0; pos < size && rc == PHOTA_OK; pos += n) {
        seed = (seed ^ data[pos]) * 1664525u + 1013904223u;

        switch (way) {

        case 0:
            n = size;
            break;

        case 1:
            n = 1;
            break;

        default:
            n = 1 + (seed >> 16) % (way == 2 ? 8 : 64);
            break;
        }

        if (n > size - pos) {
            n = size - pos;
        }

        piece = malloc(n);
        if (piece == NULL) {
            abort();
        }

        memcpy(piece, data + pos, n);
        rc = feed(ctx, piece, n);
        free(piece);
    }

    return rc;
}


#endif /* _FUZZ_CUT_H_INCLUDED_ */
