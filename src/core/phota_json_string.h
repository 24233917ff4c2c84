
/*
 * Inside of the JSON scanner: its states, and what its two files, structure
 * and strings, have of each other.
 */


#ifndef _PHOTA_JSON_STRING_H_INCLUDED_
#define _PHOTA_JSON_STRING_H_INCLUDED_


#include "phota_json.h"


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


int phota_json_piece(phota_json_t *json, phota_json_event_e event,
    const u_char *start, const u_char *end, uint64_t offset);
int phota_json_fault(phota_json_t *json, const char *fault, uint64_t offset);

/* both take bytes off *pos and keep json->offset in step */

int phota_json_scan_string(phota_json_t *json, const u_char **pos,
    const u_char *last);
int phota_json_scan_escape(phota_json_t *json, const u_char **pos);


#endif /* _PHOTA_JSON_STRING_H_INCLUDED_ */
