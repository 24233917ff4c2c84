
/*
 * How records lie in a table: numbers little-endian, texts behind a byte of
 * length, a version first.  A writer that runs out of room and a reader that
 * runs out of bytes remember it, so that one check at the end covers all.
 */


#ifndef _PHOTA_RECORD_H_INCLUDED_
#define _PHOTA_RECORD_H_INCLUDED_


#include <endian.h>
#include <string.h>

#include "phota_core.h"


typedef struct {
    u_char        *start;
    u_char        *pos;
    u_char        *end;
    int            rc;
} phota_writer_t;


typedef struct {
    const u_char  *pos;
    const u_char  *end;
    int            rc;
} phota_reader_t;


/* at most 8 bytes; a number of them that is constant makes one instruction */

static inline void
phota_put_le(u_char *p, uint64_t n, unsigned bytes)
{
    n = htole64(n);
    memcpy(p, &n, bytes);
}


static inline uint64_t
phota_get_le(const u_char *p, unsigned bytes)
{
    uint64_t  n;

    n = 0;
    memcpy(&n, p, bytes);

    return le64toh(n);
}


static inline void
phota_write_init(phota_writer_t *w, void *buf, size_t size)
{
    w->start = buf;
    w->pos = buf;
    w->end = w->pos + size;
    w->rc = PHOTA_OK;
}


static inline void
phota_write_number(phota_writer_t *w, uint64_t n, unsigned bytes)
{
    if ((size_t) (w->end - w->pos) < bytes) {
        w->rc = PHOTA_ERROR;
        return;
    }

    phota_put_le(w->pos, n, bytes);
    w->pos += bytes;
}


static inline void
phota_write_bytes(phota_writer_t *w, const void *p, size_t len)
{
    if ((size_t) (w->end - w->pos) < len) {
        w->rc = PHOTA_ERROR;
        return;
    }

    memcpy(w->pos, p, len);
    w->pos += len;
}


static inline void
phota_write_text(phota_writer_t *w, const char *text)
{
    size_t  len;

    len = strlen(text);

    if (len > 255) {
        w->rc = PHOTA_ERROR;
        return;
    }

    phota_write_number(w, len, 1);
    phota_write_bytes(w, text, len);
}


static inline void
phota_read_init(phota_reader_t *r, const void *p, size_t len)
{
    r->pos = p;
    r->end = r->pos + len;
    r->rc = PHOTA_OK;
}


static inline uint64_t
phota_read_number(phota_reader_t *r, unsigned bytes)
{
    uint64_t  n;

    if ((size_t) (r->end - r->pos) < bytes) {
        r->rc = PHOTA_ERROR;
        r->pos = r->end;
        return 0;
    }

    n = phota_get_le(r->pos, bytes);
    r->pos += bytes;

    return n;
}


/* the bytes where they lie, or NULL */

static inline const u_char *
phota_read_bytes(phota_reader_t *r, size_t len)
{
    const u_char  *p;

    if ((size_t) (r->end - r->pos) < len) {
        r->rc = PHOTA_ERROR;
        r->pos = r->end;
        return NULL;
    }

    p = r->pos;
    r->pos += len;

    return p;
}


/* into a buffer of size bytes; a text never holds a NUL */

static inline void
phota_read_text(phota_reader_t *r, char *buf, size_t size)
{
    size_t         len;
    const u_char  *p;

    buf[0] = '\0';

    len = phota_read_number(r, 1);
    p = phota_read_bytes(r, len);

    if (p == NULL || len >= size || memchr(p, '\0', len) != NULL) {
        r->rc = PHOTA_ERROR;
        return;
    }

    memcpy(buf, p, len);
    buf[len] = '\0';
}


/* PHOTA_ERROR when the record was too short, too long or ill-formed */

static inline int
phota_read_end(const phota_reader_t *r)
{
    return (r->rc == PHOTA_OK && r->pos == r->end) ? PHOTA_OK : PHOTA_ERROR;
}


#endif /* _PHOTA_RECORD_H_INCLUDED_ */
