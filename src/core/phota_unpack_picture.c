
/*
 * The bytes of pictures as their text streams by.  It is read by the rules that
 * hold for those in requests, decoded into one buffer, and digested or handed
 * on whenever that is full.
 */


#include "phota_unpack_picture.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>


static void phota_taking_base64(void *ctx, const u_char *p, size_t n);
static int phota_taking_no_base64(phota_taking_t *t);
static int phota_taking_flush(phota_taking_t *t);


void
phota_taking_init(phota_taking_t *t, phota_answer_e kind,
    phota_unpacked_t *unpacked, u_char *out, phota_error_t *err)
{
    t->kind = kind;
    t->unpacked = unpacked;
    t->out = out;
    t->err = err;

    phota_image_init(&t->image, NULL, 0, phota_taking_base64, t);
}


int
phota_taking_begin(phota_taking_t *t)
{
    t->told = 0;
    t->prefix_len = 0;
    phota_image_begin(&t->image);
    phota_base64_init(&t->base64);

    if (t->digest && EVP_DigestInit_ex2(t->digest, t->md, NULL) != 1) {
        phota_taking_complain(t, "fails at SHA-256");
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


int
phota_taking_piece(phota_taking_t *t, const u_char *p, size_t len,
    uint64_t offset)
{
    int     rc;
    size_t  n;

    n = PHOTA_TAKING_PREFIX - t->prefix_len;
    n = (len < n) ? len : n;

    memcpy(&t->prefix[t->prefix_len], p, n);
    t->prefix_len += (unsigned) n;

    rc = phota_image_update(&t->image, p, len, offset);

    if (t->rc != PHOTA_OK) {
        return t->rc;
    }

    return (rc == PHOTA_OK) ? PHOTA_OK : phota_taking_no_base64(t);
}


int
phota_taking_end(phota_taking_t *t, uint64_t offset)
{
    int               rc;
    size_t            len;
    phota_picture_t  *picture;

    rc = phota_image_final(&t->image, offset);

    if (t->rc != PHOTA_OK) {
        return t->rc;
    }

    if (rc == PHOTA_DECLINED) {
        phota_taking_complain(t, "is empty");
        return PHOTA_DECLINED;
    }

    if (rc != PHOTA_OK) {
        return phota_taking_no_base64(t);
    }

    /* room is left: all but the last characters became threes of bytes */

    rc = phota_base64_final(&t->base64, t->out + t->out_len, &len);
    if (rc != PHOTA_OK) {
        return phota_taking_no_base64(t);
    }

    t->out_len += len;

    rc = phota_taking_flush(t);
    if (rc != PHOTA_OK) {
        return rc;
    }

    picture = &t->unpacked->pictures[t->unpacked->npictures];

    picture->prefixed = (t->prefix_len == PHOTA_TAKING_PREFIX
                         && strncasecmp((char *) t->prefix, "data:",
                                        PHOTA_TAKING_PREFIX) == 0);

    if (t->digest
        && EVP_DigestFinal_ex(t->digest, picture->digest, NULL) != 1)
    {
        phota_taking_complain(t, "fails at SHA-256");
        return PHOTA_ERROR;
    }

    t->unpacked->npictures++;

    return PHOTA_OK;
}


/* the reader of images has checked all of it: only its kind is news */

static void
phota_taking_base64(void *ctx, const u_char *p, size_t n)
{
    size_t           len, room;
    phota_taking_t  *t = ctx;

    if (!t->told) {
        t->told = 1;

        if (*p == 'u') {
            phota_taking_complain(t, "is a link");
            t->rc = PHOTA_DECLINED;
        }

        return;
    }

    while (n && t->rc == PHOTA_OK) {
        room = (PHOTA_TAKING_OUT - t->out_len) / 3 * 4;

        if (room == 0) {
            t->rc = phota_taking_flush(t);
            continue;
        }

        room = (n < room) ? n : room;

        t->rc = phota_base64_update(&t->base64, p, room,
                                    t->out + t->out_len, &len);
        t->out_len += len;
        p += room;
        n -= room;
    }
}


static int
phota_taking_no_base64(phota_taking_t *t)
{
    char  what[64];

    (void) snprintf(what, sizeof(what), "is no base64 at byte %llu",
                    (unsigned long long) t->image.fault_offset);
    phota_taking_complain(t, what);

    return PHOTA_DECLINED;
}


static int
phota_taking_flush(phota_taking_t *t)
{
    size_t            n;
    uint64_t         *sum;
    phota_picture_t  *picture;

    if (t->out_len == 0) {
        return PHOTA_OK;
    }

    n = t->out_len;
    t->out_len = 0;
    picture = &t->unpacked->pictures[t->unpacked->npictures];

    if (picture->length == 0) {
        picture->type = phota_picture_type(t->out,
                                           (n < PHOTA_PICTURE_HEAD)
                                           ? n : PHOTA_PICTURE_HEAD);
    }

    picture->length += n;

    if (t->handler) {
        return t->handler(t->data, t->unpacked->npictures, t->out, n);
    }

    sum = &t->unpacked->sums[t->unpacked->npictures];
    *sum = phota_picture_sum(*sum, t->out, n);

    if (EVP_DigestUpdate(t->digest, t->out, n) != 1) {
        phota_taking_complain(t, "fails at SHA-256");
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


/* of the picture that is being read */

void
phota_taking_complain(phota_taking_t *t, const char *what)
{
    if (t->kind == PHOTA_ANSWER_BODY) {
        phota_error(t->err, "body %s", what);

    } else {
        phota_error(t->err, "images.%u %s", t->unpacked->npictures, what);
    }
}
