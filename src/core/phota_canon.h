
/*
 * What a canonical form is made of: sinks, which keep a short value as it is
 * and only digest a long one, and tables of names sorted by their bytes.  Both
 * are bounded, whatever is put into them.
 */


#ifndef _PHOTA_CANON_H_INCLUDED_
#define _PHOTA_CANON_H_INCLUDED_


#include "phota_hash.h"


#define PHOTA_CANON_INLINE  64      /* bytes of a value kept as they are */
#define PHOTA_CANON_BUFFER  128     /* bytes gathered before they are hashed */

#define PHOTA_CANON_SHORT   'i'     /* data has len bytes of the value */
#define PHOTA_CANON_DIGEST  'd'     /* data has its digest */


typedef struct {
    u_char           type;
    u_char           len;
    u_char           data[PHOTA_CANON_INLINE];
} phota_canon_t;


typedef struct {
    unsigned         len;
    unsigned         hashing:1;     /* the buffer isn't all there is */
    unsigned         mute:1;        /* drops what it is given */
    u_char           buf[PHOTA_CANON_BUFFER];
    phota_hash_t     hash;          /* once hashing */

    const phota_hash_key_t  *key;
} phota_sink_t;


typedef struct {
    uint32_t         key;           /* offset in the table's keys */
    uint32_t         len;
    u_char           flags;         /* the owner's */
    phota_canon_t    value;
} phota_member_t;


typedef struct {
    phota_member_t  *members;
    uint16_t        *order;         /* indexes of members, sorted by key */
    u_char          *keys;
    unsigned         nmembers;
    unsigned         size;
    unsigned         max;
    size_t           keys_len;
    size_t           keys_size;
    size_t           keys_max;
} phota_table_t;


/* nothing of it has to be freed */
void phota_sink_init(phota_sink_t *sink, const phota_hash_key_t *key);

/* begins a new value */
void phota_sink_reset(phota_sink_t *sink);

void phota_sink_put(phota_sink_t *sink, const u_char *p, size_t n);
void phota_sink_byte(phota_sink_t *sink, u_char c);

/* end the value: PHOTA_OK, or PHOTA_ERROR */
int phota_sink_value(phota_sink_t *sink, phota_canon_t *value);
int phota_sink_digest(phota_sink_t *sink, u_char digest[PHOTA_SHA256_LEN]);


/* max members, 65535 at most, and max bytes of keys */
void phota_table_init(phota_table_t *t, unsigned max, size_t keys_max);
void phota_table_free(phota_table_t *t);

/* more bytes of the next key; PHOTA_INVALID when there are too many */
int phota_table_append(phota_table_t *t, const u_char *p, size_t n);

/*
 * Makes the bytes from key on a member of the group that begins at base, the
 * last one of the table.  PHOTA_DECLINED when the group has that key, and the
 * bytes are dropped; *index is the member in both cases.  PHOTA_INVALID when
 * there are too many members.
 */
int phota_table_add(phota_table_t *t, unsigned base, size_t key,
    unsigned *index);

/* drops the members from base and the bytes from key on */
void phota_table_cut(phota_table_t *t, unsigned base, size_t key);


#endif /* _PHOTA_CANON_H_INCLUDED_ */
