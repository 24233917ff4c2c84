
/*
 * Pictures: their type by the first bytes, and its names; a sum of their bytes.
 */


#include "phota_picture.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>


#define PHOTA_BRAND_LEN     4


typedef struct {
    const char     *mime;
    const char     *extension;
} phota_picture_name_t;


static uint8_t phota_picture_brand(const u_char *head, size_t n);
static int phota_picture_is_avif(const u_char *brand);


static const phota_picture_name_t  phota_picture_names[] = {
    { "application/octet-stream", "bin" },
    { "image/jpeg", "jpg" },
    { "image/png", "png" },
    { "image/webp", "webp" },
    { "image/gif", "gif" },
    { "image/heic", "heic" },
    { "image/avif", "avif" }
};

#define PHOTA_PICTURE_TYPES                                                   \
    (sizeof(phota_picture_names) / sizeof(phota_picture_names[0]))


uint8_t
phota_picture_type(const u_char *head, size_t n)
{
    if (n >= 3 && memcmp(head, "\xff\xd8\xff", 3) == 0) {
        return PHOTA_PICTURE_JPEG;
    }

    if (n >= 8 && memcmp(head, "\x89PNG\r\n\x1a\n", 8) == 0) {
        return PHOTA_PICTURE_PNG;
    }

    if (n >= 12 && memcmp(head, "RIFF", 4) == 0
        && memcmp(head + 8, "WEBP", 4) == 0)
    {
        return PHOTA_PICTURE_WEBP;
    }

    if (n >= 6 && (memcmp(head, "GIF87a", 6) == 0
                   || memcmp(head, "GIF89a", 6) == 0))
    {
        return PHOTA_PICTURE_GIF;
    }

    if (n >= 12 && memcmp(head + 4, "ftyp", 4) == 0) {
        return phota_picture_brand(head, n);
    }

    return PHOTA_PICTURE_OTHER;
}


/*
 * ISO base media: the brand, a version, and brands it is compatible with, up
 * to the end of the box.  "mif1" and "msf1" say but that it is an image, so
 * that the others decide.
 */

static uint8_t
phota_picture_brand(const u_char *head, size_t n)
{
    size_t         i, size;
    unsigned       generic;
    const u_char  *brand;

    static const char  heic[][PHOTA_BRAND_LEN + 1] = {
        "mif1", "msf1", "heic", "heix", "hevc"
    };

    brand = head + 8;

    if (phota_picture_is_avif(brand)) {
        return PHOTA_PICTURE_AVIF;
    }

    for (i = 0; i < sizeof(heic) / sizeof(heic[0]); i++) {
        if (memcmp(brand, heic[i], PHOTA_BRAND_LEN) == 0) {
            break;
        }
    }

    if (i == sizeof(heic) / sizeof(heic[0])) {
        return PHOTA_PICTURE_OTHER;
    }

    generic = (i < 2);
    size = (size_t) head[0] << 24 | head[1] << 16 | head[2] << 8 | head[3];

    if (size > n) {
        size = n;
    }

    for (i = 16; generic && i + PHOTA_BRAND_LEN <= size; i += 4) {
        if (phota_picture_is_avif(head + i)) {
            return PHOTA_PICTURE_AVIF;
        }
    }

    return PHOTA_PICTURE_HEIC;
}


static int
phota_picture_is_avif(const u_char *brand)
{
    return memcmp(brand, "avif", PHOTA_BRAND_LEN) == 0
           || memcmp(brand, "avis", PHOTA_BRAND_LEN) == 0;
}


const char *
phota_picture_mime(unsigned type)
{
    if (type >= PHOTA_PICTURE_TYPES) {
        type = PHOTA_PICTURE_OTHER;
    }

    return phota_picture_names[type].mime;
}


const char *
phota_picture_extension(unsigned type)
{
    if (type >= PHOTA_PICTURE_TYPES) {
        type = PHOTA_PICTURE_OTHER;
    }

    return phota_picture_names[type].extension;
}


int
phota_picture_by_extension(const u_char *p, size_t len, uint8_t *type)
{
    unsigned     i;
    const char  *extension;

    for (i = 0; i < PHOTA_PICTURE_TYPES; i++) {
        extension = phota_picture_names[i].extension;

        if (strlen(extension) == len && memcmp(extension, p, len) == 0) {
            *type = (uint8_t) i;
            return PHOTA_OK;
        }
    }

    return PHOTA_DECLINED;
}


uint64_t
phota_picture_sum(uint64_t sum, const u_char *p, size_t n)
{
    return XXH3_64bits_withSeed(p, n, sum);
}
