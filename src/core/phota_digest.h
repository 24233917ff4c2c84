
/*
 * Records that say whose something is end in eight bytes of a digest over their
 * key and all before: a byte that turned over on the disk gives nothing to
 * somebody else.  Against whoever may write the file it is no protection.
 */


#ifndef _PHOTA_DIGEST_H_INCLUDED_
#define _PHOTA_DIGEST_H_INCLUDED_


#include "phota_record.h"
#include "phota_seal.h"


#define PHOTA_DIGEST_LEN   8
#define PHOTA_DIGEST_KEY   256      /* bytes, of a key at most */
#define PHOTA_DIGEST_MAX   8192     /* of a record */


static inline int
phota_digest(u_char digest[PHOTA_SHA256_LEN], const void *key, size_t key_len,
    const void *record, size_t len)
{
    u_char          buf[1 + PHOTA_DIGEST_KEY + PHOTA_DIGEST_MAX];
    phota_writer_t  w;

    if (key_len >= PHOTA_DIGEST_KEY) {
        return PHOTA_ERROR;
    }

    phota_write_init(&w, buf, sizeof(buf));

    phota_write_number(&w, key_len, 1);
    phota_write_bytes(&w, key, key_len);
    phota_write_bytes(&w, record, len);

    return (w.rc == PHOTA_OK)
           ? phota_sha256(digest, buf, (size_t) (w.pos - w.start)) : w.rc;
}


/* the last of what is written */

static inline void
phota_write_digest(phota_writer_t *w, const void *key, size_t len)
{
    u_char  digest[PHOTA_SHA256_LEN];

    if (phota_digest(digest, key, len, w->start, (size_t) (w->pos - w->start))
        != PHOTA_OK)
    {
        w->rc = PHOTA_ERROR;
        return;
    }

    phota_write_bytes(w, digest, PHOTA_DIGEST_LEN);
}


/* a reader of what is before the digest, if that is right */

static inline int
phota_read_digest(phota_reader_t *r, const void *p, size_t size,
    const void *key, size_t len)
{
    u_char         digest[PHOTA_SHA256_LEN];
    const u_char  *end;

    if (size < PHOTA_DIGEST_LEN) {
        return PHOTA_ERROR;
    }

    size -= PHOTA_DIGEST_LEN;
    end = (const u_char *) p + size;

    if (phota_digest(digest, key, len, p, size) != PHOTA_OK
        || memcmp(digest, end, PHOTA_DIGEST_LEN) != 0)
    {
        return PHOTA_ERROR;
    }

    phota_read_init(r, p, size);

    return PHOTA_OK;
}


#endif /* _PHOTA_DIGEST_H_INCLUDED_ */
