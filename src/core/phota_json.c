
/*
 * The JSON scanner: RFC 8259 to the letter, UTF-8 checked, a state machine
 * over bytes that may stop after any of them.  What lies between the quotes is
 * searched sixteen bytes at a time and passed on where it stands.
 */


#include "phota_json.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif


/* those from number_start to number_exp_digits are inside a number */

typedef enum {
    json_value = 0,
    json_value_or_end,
    json_key,
    json_key_or_end,
    json_colon,
    json_after,
    json_literal,
    json_string,
    json_escape,
    json_unicode,
    json_surrogate,
    json_surrogate_u,
    json_number_start,
    json_number_minus,
    json_number_zero,
    json_number_int,
    json_number_dot,
    json_number_frac,
    json_number_exp,
    json_number_exp_sign,
    json_number_exp_digits
} phota_json_state_e;


static int phota_json_structure(phota_json_t *json, const u_char **pos,
    const u_char *last);
static int phota_json_token(phota_json_t *json, u_char c, uint64_t offset);
static int phota_json_begin_value(phota_json_t *json, u_char c,
    uint64_t offset);
static int phota_json_open(phota_json_t *json, u_char c, uint64_t offset);
static int phota_json_close(phota_json_t *json, u_char c, uint64_t offset);
static int phota_json_begin_literal(phota_json_t *json, const char *literal,
    uint64_t offset);
static int phota_json_scan_literal(phota_json_t *json, const u_char **pos,
    const u_char *last);
static int phota_json_scan_number(phota_json_t *json, const u_char **pos,
    const u_char *last);
static phota_json_state_e phota_json_number_next(unsigned state, u_char c);
static int phota_json_number_ends(unsigned state);
static int phota_json_scan_string(phota_json_t *json, const u_char **pos,
    const u_char *last);
static const u_char *phota_json_skip(const u_char *p, const u_char *last);
static int phota_json_utf8_lead(phota_json_t *json, u_char c);
static int phota_json_utf8(phota_json_t *json, const u_char **pos,
    const u_char *last);
static int phota_json_utf8_rest(phota_json_t *json, const u_char **pos,
    const u_char *last);
static int phota_json_scan_escape(phota_json_t *json, const u_char **pos);
static int phota_json_hex(phota_json_t *json, u_char c);
static int phota_json_code(phota_json_t *json);
static int phota_json_piece(phota_json_t *json, phota_json_event_e event,
    const u_char *start, const u_char *end, uint64_t offset);
static int phota_json_fault(phota_json_t *json, const char *fault,
    uint64_t offset);


static const char  phota_json_unexpected[] = "unexpected character";
static const char  phota_json_bad_utf8[] = "invalid UTF-8";
static const char  phota_json_bad_escape[] = "invalid escape";
static const char  phota_json_lone[] = "lone surrogate";


void
phota_json_init(phota_json_t *json, phota_json_pt handler, void *ctx)
{
    memset(json, 0, sizeof(phota_json_t));

    json->handler = handler;
    json->ctx = ctx;
}


int
phota_json_update(phota_json_t *json, const u_char *p, size_t n)
{
    int            rc;
    const u_char  *last;

    last = p + n;

    /* each of them keeps json->offset in step with p */

    while (p < last) {

        switch (json->state) {

        case json_string:
            rc = phota_json_scan_string(json, &p, last);
            break;

        case json_escape:
        case json_unicode:
        case json_surrogate:
        case json_surrogate_u:
            rc = phota_json_scan_escape(json, &p);
            break;

        case json_literal:
            rc = phota_json_scan_literal(json, &p, last);
            break;

        case json_value:
        case json_value_or_end:
        case json_key:
        case json_key_or_end:
        case json_colon:
        case json_after:
            rc = phota_json_structure(json, &p, last);
            break;

        default: /* json_number_* */
            rc = phota_json_scan_number(json, &p, last);
            break;
        }

        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    return PHOTA_OK;
}


int
phota_json_final(phota_json_t *json)
{
    int  rc;

    if (phota_json_number_ends(json->state)) {
        json->state = json_after;

        rc = json->handler(json->ctx, PHOTA_JSON_NUMBER_END, NULL, 0,
                           json->offset);
        if (rc != PHOTA_OK) {
            return rc;
        }
    }

    if (json->state != json_after || json->depth) {
        return phota_json_fault(json, "unexpected end", json->offset);
    }

    return PHOTA_OK;
}


static int
phota_json_structure(phota_json_t *json, const u_char **pos,
    const u_char *last)
{
    int            rc;
    u_char         c;
    uint64_t       offset;
    const u_char  *p;

    offset = json->offset;

    for (p = *pos; p < last; p++, offset++) {
        c = *p;

        if (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
            continue;
        }

        if (json->state > json_after) {
            break;
        }

        rc = phota_json_token(json, c, offset);
        if (rc == PHOTA_DECLINED) {
            break;
        }

        if (rc != PHOTA_OK) {
            return rc;
        }

        if (json->state == json_string) {
            p++;
            offset++;
            break;
        }
    }

    json->offset = offset;
    *pos = p;

    return PHOTA_OK;
}


/* PHOTA_DECLINED: the byte is the first of what the new state scans */

static int
phota_json_token(phota_json_t *json, u_char c, uint64_t offset)
{
    switch (json->state) {

    case json_value_or_end:
        if (c == ']') {
            return phota_json_close(json, c, offset);
        }

        /* fall through */

    case json_value:
        return phota_json_begin_value(json, c, offset);

    case json_key_or_end:
        if (c == '}') {
            return phota_json_close(json, c, offset);
        }

        /* fall through */

    case json_key:
        if (c != '"') {
            break;
        }

        json->key = 1;
        json->state = json_string;

        return json->handler(json->ctx, PHOTA_JSON_KEY, NULL, 0, offset);

    case json_colon:
        if (c != ':') {
            break;
        }

        json->state = json_value;

        return PHOTA_OK;

    default: /* json_after */

        if (c != ',' || json->depth == 0) {
            return phota_json_close(json, c, offset);
        }

        if (json->arrays & (1u << (json->depth - 1))) {
            json->state = json_value;

        } else {
            json->state = json_key;
        }

        return PHOTA_OK;
    }

    return phota_json_fault(json, phota_json_unexpected, offset);
}


static int
phota_json_begin_value(phota_json_t *json, u_char c, uint64_t offset)
{
    int  rc;

    switch (c) {

    case '"':
        json->key = 0;
        json->state = json_string;

        return json->handler(json->ctx, PHOTA_JSON_STRING, NULL, 0, offset);

    case '{':
    case '[':
        return phota_json_open(json, c, offset);

    case 't':
        return phota_json_begin_literal(json, "true", offset);

    case 'f':
        return phota_json_begin_literal(json, "false", offset);

    case 'n':
        return phota_json_begin_literal(json, "null", offset);
    }

    if (c != '-' && (c < '0' || c > '9')) {
        return phota_json_fault(json, phota_json_unexpected, offset);
    }

    json->state = json_number_start;

    rc = json->handler(json->ctx, PHOTA_JSON_NUMBER, NULL, 0, offset);

    return (rc == PHOTA_OK) ? PHOTA_DECLINED : rc;
}


static int
phota_json_open(phota_json_t *json, u_char c, uint64_t offset)
{
    uint32_t            bit;
    phota_json_event_e  event;

    if (json->depth == PHOTA_JSON_MAX_DEPTH) {
        return phota_json_fault(json, "nested too deeply", offset);
    }

    bit = 1u << json->depth++;

    if (c == '[') {
        event = PHOTA_JSON_ARRAY;
        json->arrays |= bit;
        json->state = json_value_or_end;

    } else {
        event = PHOTA_JSON_OBJECT;
        json->arrays &= ~bit;
        json->state = json_key_or_end;
    }

    return json->handler(json->ctx, event, NULL, 0, offset);
}


static int
phota_json_close(phota_json_t *json, u_char c, uint64_t offset)
{
    uint32_t            bit;
    phota_json_event_e  event;

    if (json->depth == 0) {
        return phota_json_fault(json, phota_json_unexpected, offset);
    }

    bit = 1u << (json->depth - 1);

    if (c != ((json->arrays & bit) ? ']' : '}')) {
        return phota_json_fault(json, phota_json_unexpected, offset);
    }

    event = (c == ']') ? PHOTA_JSON_ARRAY_END : PHOTA_JSON_OBJECT_END;

    json->depth--;
    json->state = json_after;

    return json->handler(json->ctx, event, NULL, 0, offset);
}


static int
phota_json_begin_literal(phota_json_t *json, const char *literal,
    uint64_t offset)
{
    json->state = json_literal;
    json->literal = literal;
    json->token = offset;
    json->count = 0;

    return PHOTA_DECLINED;
}


static int
phota_json_scan_literal(phota_json_t *json, const u_char **pos,
    const u_char *last)
{
    phota_json_event_e  event;

    while (*pos < last && json->literal[json->count]) {

        if (**pos != (u_char) json->literal[json->count]) {
            return phota_json_fault(json, phota_json_unexpected,
                                    json->offset);
        }

        json->count++;
        json->offset++;
        (*pos)++;
    }

    if (json->literal[json->count]) {
        return PHOTA_OK;
    }

    switch (json->literal[0]) {

    case 't':
        event = PHOTA_JSON_TRUE;
        break;

    case 'f':
        event = PHOTA_JSON_FALSE;
        break;

    default: /* 'n' */
        event = PHOTA_JSON_NULL;
        break;
    }

    json->state = json_after;

    return json->handler(json->ctx, event, NULL, 0, json->token);
}


static int
phota_json_scan_number(phota_json_t *json, const u_char **pos,
    const u_char *last)
{
    int                 rc;
    uint64_t            offset;
    const u_char       *p, *start;
    phota_json_state_e  next;

    start = *pos;
    offset = json->offset;
    next = json_after;

    for (p = start; p < last; p++) {
        next = phota_json_number_next(json->state, *p);

        if (next == json_after) {
            break;
        }

        json->state = next;
    }

    json->offset += p - start;
    *pos = p;

    rc = phota_json_piece(json, PHOTA_JSON_NUMBER_PIECE, start, p, offset);

    if (rc != PHOTA_OK || p == last) {
        return rc;
    }

    if (!phota_json_number_ends(json->state)) {
        return phota_json_fault(json, phota_json_unexpected, json->offset);
    }

    json->state = json_after;

    return json->handler(json->ctx, PHOTA_JSON_NUMBER_END, NULL, 0,
                         json->offset);
}


/* json_after when the byte doesn't continue the number */

static phota_json_state_e
phota_json_number_next(unsigned state, u_char c)
{
    int  digit;

    digit = (c >= '0' && c <= '9');

    switch (state) {

    case json_number_start:
        if (c == '-') {
            return json_number_minus;
        }

        /* fall through */

    case json_number_minus:
        if (c == '0') {
            return json_number_zero;
        }

        return digit ? json_number_int : json_after;

    case json_number_int:
        if (digit) {
            return json_number_int;
        }

        /* fall through */

    case json_number_zero:
        if (c == '.') {
            return json_number_dot;
        }

        break;

    case json_number_dot:
        return digit ? json_number_frac : json_after;

    case json_number_frac:
        if (digit) {
            return json_number_frac;
        }

        break;

    case json_number_exp:
        if (c == '+' || c == '-') {
            return json_number_exp_sign;
        }

        /* fall through */

    default: /* json_number_exp_sign, json_number_exp_digits */
        return digit ? json_number_exp_digits : json_after;
    }

    return (c == 'e' || c == 'E') ? json_number_exp : json_after;
}


static int
phota_json_number_ends(unsigned state)
{
    return state == json_number_zero
           || state == json_number_int
           || state == json_number_frac
           || state == json_number_exp_digits;
}


static int
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


/* to the first byte that is '"', '\', a control or not ASCII */

static const u_char *
phota_json_skip(const u_char *p, const u_char *last)
{
#ifdef __SSE2__

    int      mask;
    __m128i  v, special;

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

static int
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


static int
phota_json_piece(phota_json_t *json, phota_json_event_e event,
    const u_char *start, const u_char *end, uint64_t offset)
{
    if (start == end) {
        return PHOTA_OK;
    }

    return json->handler(json->ctx, event, start, end - start, offset);
}


static int
phota_json_fault(phota_json_t *json, const char *fault, uint64_t offset)
{
    json->fault = fault;
    json->fault_offset = offset;

    return PHOTA_INVALID;
}
