
/*
 * Image texts.  Base64 goes out in whole groups of four characters, so that
 * only the last group, whose unused bits decoders ignore, needs a copy; a
 * parameter of a URL is held back until its name is known.
 */


#include "phota_image.h"

#include <string.h>
#include <strings.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif


#define PHOTA_IMAGE_HEADER  256     /* "data:...;base64," ends within it */


typedef enum {
    image_head = 0,
    image_data,
    image_base64,
    image_url_path,
    image_url_name,
    image_url_keep,
    image_url_drop,
    image_url_fragment
} phota_image_state_e;


static int phota_image_head(phota_image_t *img, u_char c, uint64_t offset);
static int phota_image_is_base64(phota_image_t *img);
static int phota_image_data(phota_image_t *img, u_char c);
static int phota_image_base64(phota_image_t *img, const u_char *p, size_t n,
    uint64_t offset);
static const u_char *phota_image_plain(const u_char *p, const u_char *last);
static void phota_image_group(phota_image_t *img, const u_char *p, size_t n);
static int phota_image_base64_end(phota_image_t *img, uint64_t offset);
static void phota_image_url(phota_image_t *img, const u_char *p, size_t n);
static const u_char *phota_image_url_name(phota_image_t *img,
    const u_char *p);
static int phota_image_signs(phota_image_t *img);
static int phota_image_url_empty(phota_image_t *img);
static void phota_image_url_keep(phota_image_t *img);
static int phota_image_fault(phota_image_t *img, uint64_t offset);


static const phota_str_t  phota_image_signing[] = {
    phota_string("X-Goog-*"),
    phota_string("X-Amz-*"),
    phota_string("Expires"),
    phota_string("Signature"),
    phota_string("GoogleAccessId"),
    phota_string("AWSAccessKeyId"),
    phota_string("Key-Pair-Id"),
    phota_string("Policy"),
    phota_string("sig"),
    phota_string("se"),
    phota_string("sp"),
    phota_string("sv"),
    phota_string("sr"),
    phota_string("st"),
    phota_string("spr")
};


static const u_char  phota_image_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static const char  phota_image_base64_mark[] = ";base64,";


void
phota_image_init(phota_image_t *img, const phota_str_t *signing,
    unsigned nsigning, phota_image_pt write, void *ctx)
{
    memset(img, 0, sizeof(phota_image_t));

    if (signing == NULL) {
        signing = phota_image_signing;
        nsigning = sizeof(phota_image_signing) / sizeof(phota_str_t);
    }

    img->write = write;
    img->ctx = ctx;
    img->signing = signing;
    img->nsigning = nsigning;
}


void
phota_image_begin(phota_image_t *img)
{
    img->state = image_head;
    img->head_len = 0;
    img->header_len = 0;
    img->matched = 0;
    img->tail_len = 0;
    img->pad = 0;
    img->name_len = 0;
    img->some = 0;
    img->kept = 0;
}


int
phota_image_update(phota_image_t *img, const u_char *p, size_t n,
    uint64_t offset)
{
    int            rc;
    const u_char  *last;

    last = p + n;

    while (p < last && img->state <= image_data) {

        if (img->state == image_head) {
            rc = phota_image_head(img, *p, offset);

        } else {
            rc = phota_image_data(img, *p);
        }

        if (rc != PHOTA_OK) {
            return rc;
        }

        p++;
        offset++;
    }

    if (p == last) {
        return PHOTA_OK;
    }

    if (img->state == image_base64) {
        return phota_image_base64(img, p, last - p, offset);
    }

    phota_image_url(img, p, last - p);

    return PHOTA_OK;
}


int
phota_image_final(phota_image_t *img, uint64_t offset)
{
    int  rc;

    switch (img->state) {

    case image_head:
        rc = phota_image_is_base64(img);
        if (rc != PHOTA_OK) {
            return rc;
        }

        return phota_image_base64_end(img, offset);

    case image_data:
        return phota_image_fault(img, img->offsets[4]);

    case image_base64:
        return phota_image_base64_end(img, offset);

    case image_url_name:
        if (!phota_image_signs(img) && !phota_image_url_empty(img)) {
            phota_image_url_keep(img);
        }

        break;
    }

    return PHOTA_OK;
}


static int
phota_image_head(phota_image_t *img, u_char c, uint64_t offset)
{
    unsigned     i, len;
    const char  *head;

    static const char  *heads[] = { "http://", "https://", "data:" };

    img->head[img->head_len] = c;
    img->offsets[img->head_len] = offset;
    img->head_len++;

    for (i = 0; i < 3; i++) {
        head = heads[i];
        len = strlen(head);

        if (img->head_len > len
            || strncasecmp((char *) img->head, head, img->head_len) != 0)
        {
            continue;
        }

        if (img->head_len < len) {
            return PHOTA_OK;
        }

        if (i == 2) {
            img->state = image_data;
            img->header_len = len;
            return PHOTA_OK;
        }

        img->state = image_url_path;
        img->write(img->ctx, (const u_char *) "u", 1);
        img->write(img->ctx, (const u_char *) head, len);

        return PHOTA_OK;
    }

    return phota_image_is_base64(img);
}


/* the bytes may have been escapes: each has an offset of its own */

static int
phota_image_is_base64(phota_image_t *img)
{
    int       rc;
    unsigned  i;

    img->state = image_base64;
    img->write(img->ctx, (const u_char *) "b", 1);

    for (i = 0; i < img->head_len; i++) {
        rc = phota_image_base64(img, &img->head[i], 1, img->offsets[i]);
        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return PHOTA_OK;
}


/* without the mark "data:" is base64 whose ':' is wrong */

static int
phota_image_data(phota_image_t *img, u_char c)
{
    u_char  folded;

    folded = (c >= 'A' && c <= 'Z') ? (c | 0x20) : c;

    if (folded == (u_char) phota_image_base64_mark[img->matched]) {
        img->matched++;

    } else {
        img->matched = (c == ';');
    }

    img->header_len++;

    if (phota_image_base64_mark[img->matched] == '\0') {
        img->state = image_base64;
        img->write(img->ctx, (const u_char *) "b", 1);

        return PHOTA_OK;
    }

    if (c == ',' || img->header_len == PHOTA_IMAGE_HEADER) {
        return phota_image_fault(img, img->offsets[4]);
    }

    return PHOTA_OK;
}


static int
phota_image_base64(phota_image_t *img, const u_char *p, size_t n,
    uint64_t offset)
{
    u_char         c;
    const u_char  *start, *last, *end;

    start = p;
    last = p + n;

    while (p < last) {

        if (img->pad == 0) {
            end = phota_image_plain(p, last);

            if (end > p) {
                phota_image_group(img, p, end - p);
                p = end;
                continue;
            }
        }

        c = *p;

        switch (c) {

        case ' ':
        case '\t':
        case '\r':
        case '\n':
            break;

        case '-':
        case '_':
            if (img->pad) {
                return phota_image_fault(img, offset + (p - start));
            }

            c = (c == '-') ? '+' : '/';
            phota_image_group(img, &c, 1);
            break;

        case '=':
            if (img->tail_len < 2 || img->tail_len + img->pad == 4) {
                return phota_image_fault(img, offset + (p - start));
            }

            img->pad++;
            break;

        default:
            return phota_image_fault(img, offset + (p - start));
        }

        p++;
    }

    return PHOTA_OK;
}


/* the first that isn't of A-Z a-z 0-9 + /, or the first of fewer than 32 */

#if defined(__x86_64__)

__attribute__((target("avx2")))
static const u_char *
phota_image_plain_avx2(const u_char *p, const u_char *last)
{
    int      mask;
    __m256i  v, f, alpha, digit, plus;

    while (last - p >= 32) {
        v = _mm256_loadu_si256((const __m256i *) p);
        f = _mm256_or_si256(v, _mm256_set1_epi8(0x20));

        /* signed: those from 0x80 on are below all of them */

        alpha = _mm256_and_si256(
                    _mm256_cmpgt_epi8(f, _mm256_set1_epi8('a' - 1)),
                    _mm256_cmpgt_epi8(_mm256_set1_epi8('z' + 1), f));

        digit = _mm256_and_si256(
                    _mm256_cmpgt_epi8(v, _mm256_set1_epi8('/' - 1)),
                    _mm256_cmpgt_epi8(_mm256_set1_epi8('9' + 1), v));

        plus = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('+'));

        mask = _mm256_movemask_epi8(
                   _mm256_or_si256(_mm256_or_si256(alpha, digit), plus));

        if (mask != -1) {
            return p + __builtin_ctz(~(unsigned) mask);
        }

        p += 32;
    }

    return p;
}

#endif


/* to the first byte that isn't of A-Z a-z 0-9 + / */

static const u_char *
phota_image_plain(const u_char *p, const u_char *last)
{
    u_char  c, folded;

#if defined(__x86_64__)

    int      mask;
    __m128i  v, f, alpha, digit, plus;

    if (last - p >= 32 && __builtin_cpu_supports("avx2")) {
        p = phota_image_plain_avx2(p, last);
    }

    while (last - p >= 16) {
        v = _mm_loadu_si128((const __m128i *) p);
        f = _mm_or_si128(v, _mm_set1_epi8(0x20));

        /* signed: those from 0x80 on are below all of them */

        alpha = _mm_and_si128(_mm_cmpgt_epi8(f, _mm_set1_epi8('a' - 1)),
                              _mm_cmplt_epi8(f, _mm_set1_epi8('z' + 1)));

        digit = _mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8('/' - 1)),
                              _mm_cmplt_epi8(v, _mm_set1_epi8('9' + 1)));

        plus = _mm_cmpeq_epi8(v, _mm_set1_epi8('+'));

        mask = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(alpha, digit),
                                              plus));

        if (mask != 0xffff) {
            return p + __builtin_ctz(~mask);
        }

        p += 16;
    }

#endif

    while (p < last) {
        c = *p;
        folded = c | 0x20;

        if (!((folded >= 'a' && folded <= 'z') || (c >= '/' && c <= '9')
              || c == '+'))
        {
            break;
        }

        p++;
    }

    return p;
}


static void
phota_image_group(phota_image_t *img, const u_char *p, size_t n)
{
    size_t  whole;

    img->some = 1;

    if (img->tail_len) {

        while (n && img->tail_len < 4) {
            img->tail[img->tail_len++] = *p++;
            n--;
        }

        if (img->tail_len < 4) {
            return;
        }

        img->write(img->ctx, img->tail, 4);
        img->tail_len = 0;
    }

    whole = n & ~(size_t) 3;

    if (whole) {
        img->write(img->ctx, p, whole);
        p += whole;
    }

    while (n > whole) {
        img->tail[img->tail_len++] = *p++;
        n--;
    }
}


static int
phota_image_base64_end(phota_image_t *img, uint64_t offset)
{
    u_char         *c;
    size_t          value;
    const u_char   *found;

    if (!img->some) {
        return PHOTA_DECLINED;
    }

    if (img->tail_len == 1 || (img->pad && img->tail_len + img->pad != 4)) {
        return phota_image_fault(img, offset);
    }

    if (img->tail_len == 0) {
        return PHOTA_OK;
    }

    /* of the last character four or two bits count */

    c = &img->tail[img->tail_len - 1];
    found = memchr(phota_image_alphabet, *c, 64);
    value = found - phota_image_alphabet;

    value &= (img->tail_len == 2) ? 0x30 : 0x3c;
    *c = phota_image_alphabet[value];

    img->write(img->ctx, img->tail, img->tail_len);

    return PHOTA_OK;
}


static void
phota_image_url(phota_image_t *img, const u_char *p, size_t n)
{
    const u_char  *last, *start;

    last = p + n;

    while (p < last) {
        start = p;

        switch (img->state) {

        case image_url_path:
            while (p < last && *p != '?' && *p != '#') {
                p++;
            }

            img->write(img->ctx, start, p - start);

            if (p == last) {
                return;
            }

            if (*p == '#') {
                img->state = image_url_fragment;
                break;
            }

            img->state = image_url_name;
            p++;
            break;

        case image_url_name:
            p = phota_image_url_name(img, p);
            break;

        case image_url_keep:
        case image_url_drop:
            while (p < last && *p != '&' && *p != '#') {
                p++;
            }

            if (img->state == image_url_keep) {
                img->write(img->ctx, start, p - start);
            }

            if (p == last) {
                return;
            }

            if (*p == '#') {
                img->state = image_url_fragment;
                break;
            }

            img->state = image_url_name;
            img->name_len = 0;
            p++;
            break;

        default: /* image_url_fragment */
            img->write(img->ctx, p, last - p);
            return;
        }
    }
}


/* one byte of a name, or what follows it and is left to the next state */

static const u_char *
phota_image_url_name(phota_image_t *img, const u_char *p)
{
    int  ends;

    ends = (*p == '=' || *p == '&' || *p == '#');

    if (!ends && img->name_len < PHOTA_IMAGE_NAME) {
        img->name[img->name_len++] = *p;
        return p + 1;
    }

    if (ends && (phota_image_signs(img)
                 || (*p == '#' && phota_image_url_empty(img))))
    {
        img->state = image_url_drop;

    } else {
        phota_image_url_keep(img);
        img->state = image_url_keep;
    }

    return p;
}


static int
phota_image_signs(phota_image_t *img)
{
    size_t              len;
    unsigned            i;
    const phota_str_t  *name;

    for (i = 0; i < img->nsigning; i++) {
        name = &img->signing[i];
        len = name->len;

        if (len && name->data[len - 1] == '*') {
            len--;

            if (img->name_len < len) {
                continue;
            }

        } else if (img->name_len != len) {
            continue;
        }

        if (memcmp(img->name, name->data, len) == 0) {
            return 1;
        }
    }

    return 0;
}


/* a query that is over and had nothing to keep: the URL is as without it */

static int
phota_image_url_empty(phota_image_t *img)
{
    return img->name_len == 0 && !img->kept;
}


static void
phota_image_url_keep(phota_image_t *img)
{
    img->write(img->ctx, (const u_char *) (img->kept ? "&" : "?"), 1);
    img->write(img->ctx, img->name, img->name_len);

    img->kept = 1;
}


static int
phota_image_fault(phota_image_t *img, uint64_t offset)
{
    img->fault = "invalid base64";
    img->fault_offset = offset;

    return PHOTA_INVALID;
}
