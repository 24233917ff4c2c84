
/*
 * Fuzzes the JSON scanner: however a text is cut, the same events at the same
 * offsets and the same fault; and it takes what jansson takes.
 *
 * Where they may differ: jansson refuses NUL in a name and numbers that no
 * double can hold, allows more depth, and takes a NUL after the text for its
 * end.
 */


#include <jansson.h>
#include <stdio.h>

#include "fuzz_cut.h"
#include "phota_json.h"


typedef struct {
    phota_json_t   json;
    uint64_t       hash;        /* of the events */
    int            rc;
} fuzz_scan_t;


int LLVMFuzzerTestOneInput(const u_char *data, size_t size);


static void
fuzz_hash(fuzz_scan_t *scan, uint64_t value)
{
    scan->hash = (scan->hash ^ value) * 1099511628211u;
    scan->hash ^= scan->hash >> 29;
}


static int
fuzz_handler(void *ctx, phota_json_event_e event, const u_char *p, size_t len,
    uint64_t offset)
{
    size_t        i;
    fuzz_scan_t  *scan = ctx;

    if (event == PHOTA_JSON_PIECE || event == PHOTA_JSON_NUMBER_PIECE) {

        if (len == 0) {
            abort();
        }

        for (i = 0; i < len; i++) {
            fuzz_hash(scan, event);
            fuzz_hash(scan, p[i]);
            fuzz_hash(scan, offset + i);
        }

        return PHOTA_OK;
    }

    fuzz_hash(scan, event);
    fuzz_hash(scan, offset);

    return PHOTA_OK;
}


static int
fuzz_feed(void *ctx, const u_char *p, size_t n)
{
    fuzz_scan_t  *scan = ctx;

    return phota_json_update(&scan->json, p, n);
}


static void
fuzz_scan(fuzz_scan_t *scan, const u_char *data, size_t size, unsigned way)
{
    scan->hash = 14695981039346656037u;

    phota_json_init(&scan->json, fuzz_handler, scan);

    scan->rc = fuzz_cut(fuzz_feed, scan, data, size, way);

    if (scan->rc == PHOTA_OK) {
        scan->rc = phota_json_final(&scan->json);
    }

    if ((scan->rc == PHOTA_OK) != (scan->json.fault == NULL)
        || scan->json.fault_offset > size)
    {
        abort();
    }
}


static int
fuzz_excused(const fuzz_scan_t *scan, const u_char *data, size_t size)
{
    return strcmp(scan->json.fault, "nested too deeply") == 0
           || (scan->json.fault_offset < size
               && data[scan->json.fault_offset] == '\0');
}


static void
fuzz_compare(const fuzz_scan_t *scan, const u_char *data, size_t size)
{
    json_t                *json;
    json_error_t           error;
    enum json_error_code   code;

    json = json_loadb((const char *) data, size,
                      JSON_DECODE_ANY|JSON_ALLOW_NUL|JSON_DECODE_INT_AS_REAL,
                      &error);
    if (json) {
        json_decref(json);

        if (scan->rc != PHOTA_OK && !fuzz_excused(scan, data, size)) {
            fprintf(stderr, "only jansson takes it: %s at %llu\n",
                    scan->json.fault,
                    (unsigned long long) scan->json.fault_offset);
            abort();
        }

        return;
    }

    code = json_error_code(&error);

    if (scan->rc == PHOTA_OK && code != json_error_numeric_overflow
        && code != json_error_null_byte_in_key)
    {
        fprintf(stderr, "jansson refuses it: %s\n", error.text);
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const u_char *data, size_t size)
{
    unsigned     way;
    fuzz_scan_t  whole, cut;

    fuzz_scan(&whole, data, size, 0);

    for (way = 1; way < FUZZ_CUTS; way++) {
        fuzz_scan(&cut, data, size, way);

        if (cut.rc != whole.rc || cut.hash != whole.hash
            || cut.json.fault != whole.json.fault
            || cut.json.fault_offset != whole.json.fault_offset)
        {
            fprintf(stderr, "cut in way %u: %d, %s at %llu; whole: %d, %s "
                    "at %llu\n", way, cut.rc,
                    cut.json.fault ? cut.json.fault : "no fault",
                    (unsigned long long) cut.json.fault_offset, whole.rc,
                    whole.json.fault ? whole.json.fault : "no fault",
                    (unsigned long long) whole.json.fault_offset);
            abort();
        }
    }

    fuzz_compare(&whole, data, size);

    return 0;
}
