
/*
 * The strings of the JSON scanner: UTF-8 checked, escapes resolved.  What lies
 * between quotes is searched by vectors and passed on where it stands.
 */


#include "phota_json_string.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif


static const u_char *phota_json_skip(const u_char *p, const u_char *last);
static int phota_json_utf8_lead(phota_json_t *json, u_char c);
static int phota_json_utf8(phota_json_t *json, const u_char **pos,
    const u_char *last);
static int phota_json_utf8_rest(phota_json_t *json, const u_char **pos,
    const u_char *last);
static int phota_json_hex(phota_json_t *json, u_char c);
static int phota_json_code(phota_json_t *json);


static const char  phota_json_bad_utf8[] = "invalid UTF-8";
static const char  phota_json_bad_escape[] = "invalid escape";
static const char  phota_json_lone[] = "lone surrogate";


int
phota_json_scan_string(phota_json_t *json, const u_char **pos,
    const u_char *last)
{
    int            rc;
    u_char         c;
    uint64_t       offset;
    const u_char  *p, *start;

    if (json->utf8_left) {
        rc = phota_json_utf8_rest(json, pos, last);
        if (rc != PHOTA_OK || json->utf8_left) {
            return rc;
        }
    }

    c = 0;
    start = *pos;
    offset = json->offset;

    for (p = start; /* void */ ; /* void */ ) {
        p = phota_json_skip(p, last);

        if (p == last) {
            break;
        }

        c = *p;

        if (c < 0x80 || phota_json_utf8(json, &p, last) != PHOTA_OK) {
            break;
        }
    }

    json->offset += p - start;
    *pos = p;

    rc = phota_json_piece(json, PHOTA_JSON_PIECE, start, p, offset);

    if (rc != PHOTA_OK || p == last) {
        return rc;
    }

    offset = json->offset;

    if (c >= 0x80) {

        if (json->utf8_left == 0) {
            return phota_json_fault(json, phota_json_bad_utf8, offset);
        }

        /* the character goes on in the next call */

        json->token = offset;
        json->offset += last - p;
        *pos = last;

        return PHOTA_OK;
    }

    if (c < 0x20) {
        return phota_json_fault(json, "control character in a string",
                                offset);
    }

    json->offset++;
    (*pos)++;

    if (c == '\\') {
        json->token = offset;
        json->state = json_escape;

        return PHOTA_OK;
    }

    json->state = json->key ? json_colon : json_after;

    return json->handler(json->ctx, PHOTA_JSON_STRING_END, NULL, 0, offset);
}


/*
 * The first byte that is '"', '\', a control or not ASCII, or the first of
 * fewer than 64.
 */

#if defined(__x86_64__)

__attribute__((target("avx2")))
static const u_char *
phota_json_skip_avx2(const u_char *p, const u_char *last)
{
    unsigned       first, second;
    __m256i        a, b, special, other;
    const __m256i  control = _mm256_set1_epi8(0x20);
    const __m256i  quote = _mm256_set1_epi8('"');
    const __m256i  escape = _mm256_set1_epi8('\\');

    while (last - p >= 64) {
        a = _mm256_loadu_si256((const __m256i *) p);
        b = _mm256_loadu_si256((const __m256i *) (p + 32));

        /* as signed bytes those from 0x80 on are below 0x20, too */

        special = _mm256_or_si256(_mm256_cmpgt_epi8(control, a),
                      _mm256_or_si256(_mm256_cmpeq_epi8(a, quote),
                                      _mm256_cmpeq_epi8(a, escape)));
        other = _mm256_or_si256(_mm256_cmpgt_epi8(control, b),
                    _mm256_or_si256(_mm256_cmpeq_epi8(b, quote),
                                    _mm256_cmpeq_epi8(b, escape)));

        first = (unsigned) _mm256_movemask_epi8(special);
        second = (unsigned) _mm256_movemask_epi8(other);

        if (first | second) {
            return first ? p + __builtin_ctz(first)
                         : p + 32 + __builtin_ctz(second);
        }

        p += 64;
    }

    return p;
}

#endif


/* to the first byte that is '"', '\', a control or not ASCII */

static const u_char *
phota_json_skip(const u_char *p, const u_char *last)
{
#if defined(__x86_64__)

    int      mask;
    __m128i  v, special;

    if (last - p >= 64 && __builtin_cpu_supports("avx2")) {
        p = phota_json_skip_avx2(p, last);
    }

    while (last - p >= 16) {
        v = _mm_loadu_si128((const __m128i *) p);

        /* as signed bytes those from 0x80 on are below 0x20, too */

        special = _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)),
                      _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                   _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));

        mask = _mm_movemask_epi8(special);

        if (mask) {
            return p + __builtin_ctz(mask);
        }

        p += 16;
    }

#endif

    while (p < last && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') {
        p++;
    }

    return p;
}


/* Unicode 15, table 3-7: only the second byte has ranges of its own */

static int
phota_json_utf8_lead(phota_json_t *json, u_char c)
{
    json->utf8_min = 0x80;
    json->utf8_max = 0xbf;

    if (c >= 0xc2 && c <= 0xdf) {
        json->utf8_left = 1;

    } else if (c >= 0xe0 && c <= 0xef) {
        json->utf8_left = 2;

        if (c == 0xe0) {
            json->utf8_min = 0xa0;

        } else if (c == 0xed) {
            json->utf8_max = 0x9f;
        }

    } else if (c >= 0xf0 && c <= 0xf4) {
        json->utf8_left = 3;

        if (c == 0xf0) {
            json->utf8_min = 0x90;

        } else if (c == 0xf4) {
            json->utf8_max = 0x8f;
        }

    } else {
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


/*
 * Passes one character.  When it isn't whole *pos stays: PHOTA_INVALID with
 * utf8_left 0 for a malformed one, PHOTA_DECLINED for one cut by the end, its
 * beginning in json->utf8.
 */

static int
phota_json_utf8(phota_json_t *json, const u_char **pos, const u_char *last)
{
    const u_char  *p;

    p = *pos;

    if (phota_json_utf8_lead(json, *p) != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    json->utf8[0] = *p++;
    json->count = 1;

    while (json->utf8_left && p < last) {

        if (*p < json->utf8_min || *p > json->utf8_max) {
            json->utf8_left = 0;
            return PHOTA_INVALID;
        }

        json->utf8[json->count++] = *p++;
        json->utf8_left--;
        json->utf8_min = 0x80;
        json->utf8_max = 0xbf;
    }

    if (json->utf8_left) {
        return PHOTA_DECLINED;
    }

    *pos = p;

    return PHOTA_OK;
}


static int
phota_json_utf8_rest(phota_json_t *json, const u_char **pos,
    const u_char *last)
{
    const u_char  *p;

    for (p = *pos; json->utf8_left && p < last; p++) {

        if (*p < json->utf8_min || *p > json->utf8_max) {
            return phota_json_fault(json, phota_json_bad_utf8, json->token);
        }

        json->utf8[json->count++] = *p;
        json->utf8_left--;
        json->utf8_min = 0x80;
        json->utf8_max = 0xbf;
    }

    json->offset += p - *pos;
    *pos = p;

    if (json->utf8_left) {
        return PHOTA_OK;
    }

    return phota_json_piece(json, PHOTA_JSON_PIECE, json->utf8,
                            json->utf8 + json->count, json->token);
}


/* token: the backslash, of a pair of surrogates the first one's */

int
phota_json_scan_escape(phota_json_t *json, const u_char **pos)
{
    u_char  c;

    static const char  names[] = "\"\\/bfnrt";
    static const char  bytes[] = "\"\\/\b\f\n\r\t";

    const char  *name;

    c = *(*pos)++;
    json->offset++;

    switch (json->state) {

    case json_unicode:
        return phota_json_hex(json, c);

    case json_surrogate:
        if (c != '\\') {
            break;
        }

        json->state = json_surrogate_u;
        return PHOTA_OK;

    case json_surrogate_u:
        if (c != 'u') {
            break;
        }

        json->state = json_unicode;
        return PHOTA_OK;

    default: /* json_escape */

        if (c == 'u') {
            json->code = 0;
            json->count = 0;
            json->high = 0;
            json->state = json_unicode;
            return PHOTA_OK;
        }

        name = memchr(names, c, sizeof(names) - 1);
        if (name == NULL) {
            return phota_json_fault(json, phota_json_bad_escape, json->token);
        }

        c = (u_char) bytes[name - names];
        json->state = json_string;

        return phota_json_piece(json, PHOTA_JSON_PIECE, &c, &c + 1,
                                json->token);
    }

    return phota_json_fault(json, phota_json_lone, json->token);
}


static int
phota_json_hex(phota_json_t *json, u_char c)
{
    unsigned  digit;

    if (c >= '0' && c <= '9') {
        digit = c - '0';

    } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
        digit = (c | 0x20) - 'a' + 10;

    } else {
        return phota_json_fault(json, json->high ? phota_json_lone
                                                 : phota_json_bad_escape,
                                json->token);
    }

    json->code = (json->code << 4) | digit;

    if (++json->count < 4) {
        return PHOTA_OK;
    }

    return phota_json_code(json);
}


static int
phota_json_code(phota_json_t *json)
{
    u_char    buf[4], *p;
    uint32_t  code;

    p = buf;
    code = json->code;
    json->code = 0;
    json->count = 0;

    if (json->high) {

        if (code < 0xdc00 || code > 0xdfff) {
            return phota_json_fault(json, phota_json_lone, json->token);
        }

        code = 0x10000 + ((json->high - 0xd800) << 10) + (code - 0xdc00);
        json->high = 0;

    } else if (code >= 0xd800 && code <= 0xdbff) {
        json->high = code;
        json->state = json_surrogate;
        return PHOTA_OK;

    } else if (code >= 0xdc00 && code <= 0xdfff) {
        return phota_json_fault(json, phota_json_lone, json->token);
    }

    if (code < 0x80) {
        *p++ = (u_char) code;

    } else {

        if (code < 0x800) {
            *p++ = (u_char) (0xc0 | (code >> 6));

        } else {

            if (code < 0x10000) {
                *p++ = (u_char) (0xe0 | (code >> 12));

            } else {
                *p++ = (u_char) (0xf0 | (code >> 18));
                *p++ = (u_char) (0x80 | ((code >> 12) & 0x3f));
            }

            *p++ = (u_char) (0x80 | ((code >> 6) & 0x3f));
        }

        *p++ = (u_char) (0x80 | (code & 0x3f));
    }

    json->state = json_string;

    return phota_json_piece(json, PHOTA_JSON_PIECE, buf, p, json->token);
}
