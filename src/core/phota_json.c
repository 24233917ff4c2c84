
/*
 * The JSON scanner: RFC 8259 to the letter, a state machine over bytes that
 * may stop after any of them.  This file has the structure, the numbers and
 * the literals.
 */


#include "phota_json_string.h"

#include <string.h>


#define PHOTA_JSON_SCAN  1          /* a code that no handler returns */


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


static const char  phota_json_unexpected[] = "unexpected character";


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

        rc = phota_json_token(json, c, offset);
        if (rc == PHOTA_JSON_SCAN) {
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


/* PHOTA_JSON_SCAN: the byte is the first of what the new state scans */

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

    return (rc == PHOTA_OK) ? PHOTA_JSON_SCAN : rc;
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

    return PHOTA_JSON_SCAN;
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


int
phota_json_piece(phota_json_t *json, phota_json_event_e event,
    const u_char *start, const u_char *end, uint64_t offset)
{
    if (start == end) {
        return PHOTA_OK;
    }

    return json->handler(json->ctx, event, start, end - start, offset);
}


int
phota_json_fault(phota_json_t *json, const char *fault, uint64_t offset)
{
    json->fault = fault;
    json->fault_offset = offset;

    return PHOTA_INVALID;
}
