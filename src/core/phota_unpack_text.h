
/*
 * The text of an answer while it is taken apart: what of it is kept as the
 * skeleton, and what the object "counts" in it says.  Known to phota_unpack
 * alone.
 */


#ifndef _PHOTA_UNPACK_TEXT_H_INCLUDED_
#define _PHOTA_UNPACK_TEXT_H_INCLUDED_


#include "phota_unpack.h"


/*
 * Offsets are those of the answer.  Up to taken it was kept or dropped, and
 * taken never lies before the piece that was read last.
 */

typedef struct {
    phota_unpacked_t  *unpacked;
    const u_char      *piece;
    uint64_t           piece_at;
    uint64_t           taken;
    unsigned           dropping:1;
    unsigned           summable:1;
    unsigned           integer:1;       /* the number has but digits */
    uint32_t           name_at;         /* of a member of "counts", in the
                                           skeleton, and its bytes there */
    uint32_t           name_len;
    uint64_t           value;
} phota_text_t;


/* nothing is kept before phota_text_resume() */
void phota_text_init(phota_text_t *t, phota_unpacked_t *unpacked,
    const u_char *buf);

/* buf holds the answer from offset now */
void phota_text_piece(phota_text_t *t, uint64_t offset);

/* where in the skeleton the byte at offset stands, if it is kept */
uint32_t phota_text_at(const phota_text_t *t, uint64_t offset);

/*
 * Those that return a code: PHOTA_DECLINED when the skeleton gets too long.
 * Keep all up to end, or drop it where text is being dropped.
 */
int phota_text_keep(phota_text_t *t, uint64_t end);

/* from offset on text is dropped, until it is kept again */
int phota_text_cut(phota_text_t *t, uint64_t offset);
void phota_text_resume(phota_text_t *t, uint64_t offset);

/* "[]" for the null that begins at offset; *at: what follows the '[' */
int phota_text_null(phota_text_t *t, uint64_t offset, uint32_t *at);

/* a member with an empty list before the '}' at offset */
int phota_text_list(phota_text_t *t, uint64_t offset, const char *name,
    unsigned first, uint32_t *at);


/* "counts", from its '{' at offset to its '}' */
void phota_counts_begin(phota_text_t *t, uint64_t offset);
void phota_counts_end(phota_text_t *t, uint64_t offset);

/* both quotes of a name; afterwards its text is in the skeleton */
void phota_counts_name(phota_text_t *t, uint64_t offset);
int phota_counts_name_end(phota_text_t *t, uint64_t offset);

/* its value, name being its unescaped name */
void phota_counts_number(phota_text_t *t);
void phota_counts_digits(phota_text_t *t, const u_char *p, size_t len);
void phota_counts_number_end(phota_text_t *t, const phota_str_t *name);
void phota_counts_other(phota_text_t *t, const phota_str_t *name);


#endif /* _PHOTA_UNPACK_TEXT_H_INCLUDED_ */
