
/*
 * Takes an image answer of the upstream apart into pictures and the text around
 * them, the skeleton, so that the same result can be told again with its
 * pictures as base64 or as links.  The answer is read twice, in pieces: first
 * to know its pictures, then to have their bytes; it is never in memory whole.
 */


#ifndef _PHOTA_UNPACK_H_INCLUDED_
#define _PHOTA_UNPACK_H_INCLUDED_


#include "phota_operation.h"
#include "phota_picture.h"


#define PHOTA_SKELETON_MAX  8192    /* bytes */
#define PHOTA_SUBJECTS_MAX  4096    /* bytes of phota_unpacked_t.subjects */
#define PHOTA_MARKS_MAX     32      /* profiles of a result, by their marks */


/* fills buf with exactly len bytes of the answer from offset */
typedef int (*phota_read_pt)(void *ctx, u_char *buf, size_t len,
    uint64_t offset);


/*
 * The skeleton is the answer as it came, but for the elements of "images" and
 * "download_urls", which are gone; a list that wasn't there, or was null,
 * stands in it as an empty one.  All positions are bytes of it: images_at and
 * urls_at follow the '[' of their list, counts_at and counts_len are the object
 * "counts" of "known_subjects", from '{' to '}', len 0 where there is none.
 *
 * Of a PHOTA_ANSWER_BODY the skeleton is without the base64 (or data: URI) of
 * "body", images_at follows the quote that opens it, and urls_at is 0: such a
 * result has one picture and is always told as bytes.
 *
 * subjects: what is in that object, for sums: again and again a number of 4
 * bytes, little-endian, 2 bytes of length, and as many bytes of the name as it
 * stands in the JSON, escapes and all, without quotes.
 */

typedef struct {
    uint64_t         length;        /* of the answer */

    phota_picture_t  pictures[PHOTA_PICTURES_MAX];
    uint64_t         sums[PHOTA_PICTURES_MAX];  /* phota_picture_sum() of the
                                       pieces that their bytes come in */
    unsigned         npictures;

    uint32_t         images_at;
    uint32_t         urls_at;
    uint32_t         counts_at;
    uint32_t         counts_len;
    uint32_t         skeleton_len;
    uint32_t         subjects_len;
    u_char           skeleton[PHOTA_SKELETON_MAX];
    u_char           subjects[PHOTA_SUBJECTS_MAX];

    /* of the profiles that were recognised, for purges; unescaped names */
    uint64_t         marks[PHOTA_MARKS_MAX];
    unsigned         nmarks;
    unsigned         unmarked:1;    /* there were more */
} phota_unpacked_t;


typedef int (*phota_picture_pt)(void *ctx, unsigned picture, const u_char *p,
    size_t n);


/* a profile's id, of length len, as a number: purges look for it */
uint64_t phota_profile_mark(const u_char *id, size_t len);

/*
 * PHOTA_OK with digests, lengths and types of all pictures;  PHOTA_DECLINED
 * when the answer can't be kept so (a picture is a link or no base64, there are
 * links besides, there are none at all or too many, the text around them is too
 * long), err says why; PHOTA_INVALID when it isn't an answer; PHOTA_ERROR when
 * read fails or there is no memory.
 */
int phota_unpack(phota_answer_e kind, phota_read_pt read, void *ctx,
    uint64_t length, phota_unpacked_t *unpacked, phota_error_t *err);

/*
 * Through the same answer once more: handler gets the bytes of each picture, in
 * pieces of at most 48 KB.  Returns what handler does, once that isn't
 * PHOTA_OK.
 */
int phota_unpack_pictures(phota_answer_e kind, phota_read_pt read, void *ctx,
    uint64_t length, phota_picture_pt handler, void *data);


#endif /* _PHOTA_UNPACK_H_INCLUDED_ */
