
/*
 * An answer made of stored pictures: of one result, word for word what the
 * upstream said but for its lists; of several, or of a part, with the counts of
 * subjects added up.  The outcome is a list of pieces, text or picture, whose
 * length is known before the first byte goes out.
 */


#ifndef _PHOTA_RENDER_H_INCLUDED_
#define _PHOTA_RENDER_H_INCLUDED_


#include "phota_cache.h"
#include "phota_link.h"


#define PHOTA_PIECES_MAX   (2 * PHOTA_PICTURES_MAX + 1)


/* some pictures of a result: count of them from first, no wrap-around */

typedef struct {
    const phota_result_t   *result;
    unsigned                first;
    unsigned                count;
} phota_pick_t;


/* how pictures are told; linker NULL: as base64 */

typedef struct {
    const phota_linker_t   *linker;
    phota_str_t             base;       /* of links */
    uint32_t                tenant;
    uint64_t                expires;    /* s */
} phota_telling_t;


typedef struct {
    const u_char           *text;       /* NULL: a picture, as base64 */
    size_t                  len;        /* of the text */
    const phota_picture_t  *picture;
    uint32_t                scope;
} phota_piece_t;


typedef struct {
    phota_piece_t           pieces[PHOTA_PIECES_MAX];
    unsigned                npieces;
    uint64_t                length;     /* bytes of the whole answer */
} phota_rendering_t;


/* bytes that the texts of an answer need at the most */
size_t phota_render_room(const phota_pick_t *picks, unsigned npicks,
    const phota_telling_t *telling);

/*
 * text has phota_render_room() bytes and must live as long as the rendering,
 * as must the results' pictures; of their other pointers nothing is kept.
 * The skeleton is the last pick's.  A result of a PHOTA_ANSWER_BODY is picked
 * alone, and told as base64 whatever telling says.  PHOTA_INVALID when a result
 * doesn't fit together (then it is damaged) or there are more than
 * PHOTA_PICTURES_MAX.
 */
int phota_render(const phota_pick_t *picks, unsigned npicks,
    const phota_telling_t *telling, u_char *text,
    phota_rendering_t *rendering);


#endif /* _PHOTA_RENDER_H_INCLUDED_ */
