
/*
 * Fuzzes what is read from the upstream's words of jobs and what is told
 * otherwise in its texts.  jansson says what a text was and what has become of
 * it: a swap leaves all but the strings that it is about, a filter none but
 * elements of the list, an assembly all but its two lists.
 *
 * Where jansson can't judge: it keeps one of several members of one name, and
 * refuses NUL in a name and numbers that are too large for it.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "phota_assembly.h"
#include "phota_job.h"


#define FUZZ_LOAD  (JSON_ALLOW_NUL|JSON_DECODE_ANY|JSON_REJECT_DUPLICATES)


#define fuzz_assert(cond)                                                     \
    if (!(cond)) {                                                            \
        fprintf(stderr, "line %d: %s\n", __LINE__, #cond);                    \
        abort();                                                              \
    }


int LLVMFuzzerTestOneInput(const u_char *data, size_t size);


static const phota_swap_t  fuzz_swaps[] = {
    { phota_string("job_up"), phota_string("https://gate/jobs/\"mine\""), 1 },
    { phota_string("alias"), phota_string("\x01\\\xc3\xa9"), 0 },
    { phota_string("none"), { 0, NULL }, 0 }
};

#define FUZZ_SWAPS  (sizeof(fuzz_swaps) / sizeof(fuzz_swaps[0]))


/* the upstream's words in a piece of memory of their own */

static u_char *
fuzz_copy(const u_char *data, size_t size)
{
    u_char  *copy;

    copy = malloc(size ? size : 1);
    fuzz_assert(copy != NULL);

    if (size) {
        memcpy(copy, data, size);
    }

    return copy;
}


static void
fuzz_string(const phota_str_t *str, size_t max)
{
    size_t  i;

    fuzz_assert(str->len <= max && (str->len == 0 || str->data != NULL));

    for (i = 0; i < str->len; i++) {
        fuzz_assert(str->data[i] >= 0x20 && str->data[i] != 0x7f);
    }
}


static void
fuzz_report(int training, unsigned status, const u_char *data, size_t size,
    json_t *root)
{
    int              rc;
    u_char          *copy;
    json_t          *result;
    unsigned         i;
    phota_report_t   r;

    copy = fuzz_copy(data, size);

    rc = training ? phota_report_training(status, copy, size, &r)
                  : phota_report_read(status, copy, size, &r);

    fuzz_assert(rc == PHOTA_OK);
    free(copy);

    fuzz_assert(r.state <= PHOTA_REPORT_LOST);
    fuzz_string(&r.id, PHOTA_JOB_ID_MAX);
    fuzz_string(&r.poll_url, PHOTA_URL_MAX);
    fuzz_string(&r.status, PHOTA_NAME_MAX);
    fuzz_assert(r.nlinks <= PHOTA_PICTURES_MAX);

    for (i = 0; i < r.nlinks; i++) {
        fuzz_assert(r.links[i].len > 0);
        fuzz_string(&r.links[i], PHOTA_URL_MAX);
    }

    fuzz_assert((r.state == PHOTA_REPORT_DONE) == (r.delivery.outputs != 0));
    fuzz_assert(status / 100 == 2 || r.state != PHOTA_REPORT_DONE);

    if (r.state != PHOTA_REPORT_DONE || training) {
        fuzz_assert(r.result_len == 0 && r.nlinks == 0);

    } else {
        fuzz_assert(r.result_at < size
                    && r.result_len <= size - r.result_at);
        fuzz_assert(r.nlinks <= r.delivery.outputs);

        result = json_loadb((const char *) data + r.result_at, r.result_len,
                            FUZZ_LOAD, NULL);
        fuzz_assert(result != NULL || root == NULL);
        fuzz_assert(result == NULL
                    || json_array_size(json_object_get(result, "images"))
                       + json_array_size(json_object_get(result,
                                                         "download_urls")));
        json_decref(result);
    }

    phota_report_free(&r);
    fuzz_assert(r.memory == NULL);
}


/* what a string is told as; -1: as itself */

static int
fuzz_swapped(const char *p, size_t len)
{
    size_t       i, end, from;
    const char  *text;

    for (i = 0; i < FUZZ_SWAPS; i++) {
        text = (const char *) fuzz_swaps[i].from.data;
        from = fuzz_swaps[i].from.len;

        if (len == from && memcmp(p, text, len) == 0) {
            return (int) i;
        }

        if (!fuzz_swaps[i].within || len > 16384
            || (strncasecmp(p, "http://", 7) != 0
                && strncasecmp(p, "https://", 8) != 0 && p[0] != '/'))
        {
            continue;
        }

        for (end = 0; end < len && p[end] != '?' && p[end] != '#'; end++) {
            /* void */
        }

        if (end && p[end - 1] == '/') {
            end--;
        }

        if (end > from && p[end - from - 1] == '/'
            && memcmp(p + end - from, text, from) == 0)
        {
            return (int) i;
        }
    }

    return -1;
}


static void
fuzz_equal(const json_t *was, const json_t *is)
{
    int           swapped;
    size_t        i;
    const char   *name;
    json_t       *value;

    switch (json_typeof(was)) {

    case JSON_STRING:
        swapped = fuzz_swapped(json_string_value(was),
                               json_string_length(was));

        if (swapped == -1) {
            fuzz_assert(json_equal(was, is));

        } else if (fuzz_swaps[swapped].to.data == NULL) {
            fuzz_assert(json_is_null(is));

        } else {
            fuzz_assert(json_is_string(is)
                        && json_string_length(is)
                           == fuzz_swaps[swapped].to.len
                        && memcmp(json_string_value(is),
                                  fuzz_swaps[swapped].to.data,
                                  fuzz_swaps[swapped].to.len) == 0);
        }

        break;

    case JSON_OBJECT:
        fuzz_assert(json_object_size(was) == json_object_size(is));

        json_object_foreach((json_t *) was, name, value) {
            fuzz_assert(json_object_get(is, name) != NULL);
            fuzz_equal(value, json_object_get(is, name));
        }

        break;

    case JSON_ARRAY:
        fuzz_assert(json_array_size(was) == json_array_size(is));

        json_array_foreach(was, i, value) {
            fuzz_equal(value, json_array_get(is, i));
        }

        break;

    default:
        fuzz_assert(json_equal(was, is));
        break;
    }
}


static void
fuzz_swap(const u_char *data, size_t size, const json_t *root)
{
    int      rc;
    size_t   len, again;
    u_char  *copy, *out, *same;
    json_t  *is;

    copy = fuzz_copy(data, size);
    rc = phota_swap(copy, size, fuzz_swaps, FUZZ_SWAPS, &out, &len);

    fuzz_assert(rc == PHOTA_OK || rc == PHOTA_INVALID);
    fuzz_assert(phota_swap(copy, size, NULL, 0, &same, &again) == rc);
    free(copy);

    if (rc != PHOTA_OK) {
        return;
    }

    fuzz_assert(again == size && memcmp(same, data, size) == 0);
    free(same);

    is = json_loadb((const char *) out, len, FUZZ_LOAD, NULL);

    if (root) {
        fuzz_assert(is != NULL);
        fuzz_equal(root, is);
    }

    json_decref(is);
    free(out);
}


/* every other profile, by its length; "tag" becomes another, or none */

static int
fuzz_keep(void *ctx, const phota_str_t *id, const phota_str_t *own,
    phota_str_t *tag)
{
    unsigned  *kept = ctx;

    fuzz_assert(id->len && id->len <= PHOTA_PROFILE_ID_MAX);
    fuzz_assert(own->data == NULL || own->len <= PHOTA_PROFILE_TAG_MAX);

    if (id->len % 2) {
        return PHOTA_DECLINED;
    }

    if (id->len % 4) {
        tag->data = (const u_char *) "\"\n";
        tag->len = (id->len % 3) ? 2 : 0;
    }

    (*kept)++;

    return PHOTA_OK;
}


static const json_t *
fuzz_id(const json_t *element)
{
    const json_t  *id;

    id = json_object_get(element, "profile_id");

    if (id == NULL) {
        id = json_is_object(element) ? json_object_get(element, "id")
                                     : element;
    }

    return json_is_string(id) ? id : NULL;
}


static void
fuzz_profiles(const json_t *was, const json_t *is)
{
    size_t         i, n, len;
    json_t        *element, *other, *copy;
    const json_t  *id;

    fuzz_assert(json_is_array(was) && json_is_array(is));
    n = 0;

    json_array_foreach(was, i, element) {
        id = fuzz_id(element);
        len = id ? json_string_length(id) : 0;

        if (len == 0 || len % 2 || len > PHOTA_PROFILE_ID_MAX) {
            continue;
        }

        other = json_array_get(is, n++);
        fuzz_assert(other != NULL);

        if (json_is_object(element)) {
            copy = json_copy(element);

            if (json_object_get(copy, "tag") && len % 4
                && (json_is_string(json_object_get(copy, "tag"))
                    || json_is_null(json_object_get(copy, "tag"))))
            {
                json_object_set_new(copy, "tag",
                                    len % 3 ? json_string("\"\n")
                                            : json_null());
            }

            fuzz_assert(json_equal(copy, other));
            json_decref(copy);

        } else {
            fuzz_assert(json_equal(element, other));
        }
    }

    fuzz_assert(n == json_array_size(is));
}


static void
fuzz_filter(const u_char *data, size_t size, const json_t *root)
{
    int        rc;
    size_t     len;
    u_char    *copy, *out;
    json_t    *is;
    unsigned   kept;

    kept = 0;
    copy = fuzz_copy(data, size);
    rc = phota_profiles_filter(copy, size, fuzz_keep, &kept, &out, &len);
    free(copy);

    fuzz_assert(rc == PHOTA_OK || rc == PHOTA_INVALID);

    if (rc != PHOTA_OK) {
        return;
    }

    is = json_loadb((const char *) out, len, FUZZ_LOAD, NULL);

    if (root) {
        fuzz_assert(is != NULL && json_object_size(is) == 1);
        fuzz_assert(json_array_size(json_object_get(is, "profiles")) == kept);
        fuzz_profiles(json_object_get(root, "profiles"),
                      json_object_get(is, "profiles"));
    }

    json_decref(is);
    free(out);
}


static int
fuzz_file(void *ctx, u_char *buf, size_t len, uint64_t offset)
{
    const uint64_t  *length = ctx;

    fuzz_assert(len && offset < *length && len <= *length - offset);
    memset(buf, 0, len);

    return PHOTA_OK;
}


/* whether an assembly can be made of a text */

static int
fuzz_is_result(const json_t *root)
{
    const json_t  *images, *urls;

    images = json_object_get(root, "images");
    urls = json_object_get(root, "download_urls");

    return (images || urls)
           && (images == NULL || json_is_array(images) || json_is_null(images))
           && (urls == NULL || json_is_array(urls) || json_is_null(urls));
}


static void
fuzz_assembled(phota_assembly_t *a, const json_t *root)
{
    u_char    *whole, *byte;
    json_t    *is, *was, *images;
    uint64_t   i, len;

    len = phota_assembly_length(a);
    whole = fuzz_copy(NULL, 0);
    whole = realloc(whole, (size_t) len);
    byte = fuzz_copy(NULL, 0);

    fuzz_assert(whole != NULL);
    fuzz_assert(phota_assembly_read(a, whole, (size_t) len, 0) == PHOTA_OK);
    fuzz_assert(phota_assembly_read(a, byte, 1, len) == PHOTA_ERROR);

    for (i = 0; i < len; i++) {
        fuzz_assert(phota_assembly_read(a, byte, 1, i) == PHOTA_OK);
        fuzz_assert(byte[0] == whole[i]);
    }

    free(byte);

    if (root == NULL) {
        free(whole);
        return;
    }

    is = json_loadb((char *) whole, (size_t) len, FUZZ_LOAD, NULL);
    free(whole);

    images = json_object_get(is, "images");
    fuzz_assert(json_array_size(images) == 2);
    fuzz_assert(strcmp(json_string_value(json_array_get(images, 0)), "AAAAAA==")
                == 0);
    fuzz_assert(strcmp(json_string_value(json_array_get(images, 1)), "AAA=")
                == 0);

    was = json_copy((json_t *) root);
    fuzz_assert(was != NULL);
    json_object_set_new(was, "images", json_incref(images));

    if (json_object_get(was, "download_urls")) {
        json_object_set_new(was, "download_urls", json_array());
    }

    fuzz_assert(json_equal(was, is));
    json_decref(was);
    json_decref(is);
}


static void
fuzz_assembly(const u_char *data, size_t size, const json_t *root)
{
    int                rc;
    u_char            *copy;
    phota_assembly_t   a;

    static uint64_t  lengths[] = { 4, 2 };

    copy = fuzz_copy(data, size);
    rc = phota_assembly_init(&a, copy, size);
    free(copy);

    fuzz_assert(rc == PHOTA_OK || rc == PHOTA_INVALID);
    fuzz_assert(root == NULL || rc == (fuzz_is_result(root) ? PHOTA_OK
                                                            : PHOTA_INVALID));

    if (rc == PHOTA_OK) {
        fuzz_assert(phota_assembly_add(&a, fuzz_file, &lengths[0], 4)
                    == PHOTA_OK);
        fuzz_assert(phota_assembly_add(&a, fuzz_file, &lengths[1], 2)
                    == PHOTA_OK);
        fuzz_assembled(&a, root);
        phota_assembly_free(&a);
    }
}


static void
fuzz_handle(const u_char *data, size_t size)
{
    size_t              len, before;
    u_char              buf[1024];
    json_t             *json;
    phota_str_t         text;
    static const phota_str_t  id = phota_string("job_1");

    text.data = data;
    text.len = size % 256;
    len = size % sizeof(buf);

    if (text.len > size
        || phota_job_handle(&id, &text, &text, "queued", buf, &len)
           != PHOTA_OK)
    {
        return;
    }

    fuzz_assert(len <= size % sizeof(buf));

    before = sizeof(buf);
    fuzz_assert(phota_job_before(&id, &text, buf, &before) == PHOTA_OK
                || text.len > 128);

    /* what isn't UTF-8 is the caller's affair */

    len = sizeof(buf);
    fuzz_assert(phota_job_handle(&id, &text, &text, "queued", buf, &len)
                == PHOTA_OK);

    json = json_loadb((const char *) buf, len, FUZZ_LOAD, NULL);

    if (json) {
        fuzz_assert(json_string_length(json_object_get(json, "poll_url"))
                    == text.len);
        fuzz_assert(text.len == 0
                    || memcmp(json_string_value(json_object_get(json,
                                                                "poll_url")),
                              text.data, text.len) == 0);
        json_decref(json);
    }
}


int
LLVMFuzzerTestOneInput(const u_char *data, size_t size)
{
    size_t    i;
    json_t   *root;

    static const unsigned  statuses[] = { 200, 202, 400, 404, 500 };

    /* a text that jansson ends at a NUL is none to us */

    root = memchr(data, '\0', size)
           ? NULL : json_loadb((const char *) data, size, FUZZ_LOAD, NULL);

    for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        fuzz_report(0, statuses[i], data, size, root);
        fuzz_report(1, statuses[i], data, size, root);
    }

    fuzz_swap(data, size, root);
    fuzz_filter(data, size, root);
    fuzz_assembly(data, size, root);
    fuzz_handle(data, size);

    json_decref(root);

    return 0;
}
