
/*
 * Writing JSON: into memory that grows or that is given, with one check at the
 * end; and what the gateway says of jobs itself.
 */


#include "phota_job_text.h"

#include <stdlib.h>
#include <string.h>

#include "phota_job.h"


static void phota_job_begin(phota_out_t *out, const phota_str_t *id,
    const char *status, u_char *buf, size_t len);
static void phota_job_member(phota_out_t *out, const char *name,
    const phota_str_t *text);
static int phota_job_end(const phota_out_t *out, size_t *len);


int
phota_job_handle(const phota_str_t *id, const phota_str_t *poll_url,
    const phota_str_t *request_id, const char *status, u_char *buf,
    size_t *len)
{
    phota_out_t  out;

    phota_job_begin(&out, id, status, buf, *len);
    phota_job_member(&out, ",\"poll_url\":", poll_url);

    if (request_id->len) {
        phota_job_member(&out, ",\"client_request_id\":", request_id);
    }

    phota_out_text(&out, "}");

    return phota_job_end(&out, len);
}


int
phota_job_before(const phota_str_t *id, const phota_str_t *request_id,
    u_char *buf, size_t *len)
{
    phota_out_t  out;

    phota_job_begin(&out, id, "completed", buf, *len);

    if (request_id->len) {
        phota_job_member(&out, ",\"client_request_id\":", request_id);
    }

    phota_out_text(&out, ",\"result\":");

    return phota_job_end(&out, len);
}


int
phota_job_behind(u_char *buf, size_t *len)
{
    phota_out_t  out;

    memset(&out, 0, sizeof(phota_out_t));

    out.data = buf;
    out.room = *len;

    phota_out_text(&out, "}");

    return phota_job_end(&out, len);
}


static void
phota_job_begin(phota_out_t *out, const phota_str_t *id, const char *status,
    u_char *buf, size_t len)
{
    memset(out, 0, sizeof(phota_out_t));

    out->data = buf;
    out->room = len;

    phota_job_member(out, "{\"job_id\":", id);
    phota_out_text(out, ",\"status\":\"");
    phota_out_text(out, status);
    phota_out_text(out, "\"");
}


static void
phota_job_member(phota_out_t *out, const char *name, const phota_str_t *text)
{
    phota_out_text(out, name);
    phota_out_string(out, text);
}


static int
phota_job_end(const phota_out_t *out, size_t *len)
{
    if (out->rc != PHOTA_OK) {
        return PHOTA_INVALID;
    }

    *len = out->len;

    return PHOTA_OK;
}


void
phota_value_add(phota_value_t *value, const u_char *p, size_t len)
{
    size_t  n;

    if (value->len < value->room) {
        n = value->room - value->len;
        memcpy(value->data + value->len, p, (len < n) ? len : n);
    }

    value->len += len;
}


void
phota_out_put(phota_out_t *out, const void *p, size_t len)
{
    if (out->rc != PHOTA_OK || len == 0) {
        return;
    }

    if (len > out->room - out->len && phota_out_grow(out, len) != PHOTA_OK) {
        return;
    }

    memcpy(out->data + out->len, p, len);
    out->len += len;
}


int
phota_out_grow(phota_out_t *out, size_t len)
{
    size_t   room;
    u_char  *data;

    data = NULL;

    if (out->len < out->max && len <= out->max - out->len) {
        room = out->len + len;
        room = (room < out->max / 2) ? 2 * room : out->max;
        data = realloc(out->data, room);
    }

    if (data == NULL) {
        out->rc = PHOTA_ERROR;
        return PHOTA_ERROR;
    }

    out->data = data;
    out->room = room;

    return PHOTA_OK;
}


void
phota_out_text(phota_out_t *out, const char *text)
{
    phota_out_put(out, text, strlen(text));
}


void
phota_out_string(phota_out_t *out, const phota_str_t *text)
{
    size_t  i, from;
    u_char  c, escape[6];

    static const char  hex[] = "0123456789abcdef";

    phota_out_text(out, "\"");

    for (i = 0, from = 0; i < text->len; i++) {
        c = text->data[i];

        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }

        phota_out_put(out, text->data + from, i - from);
        from = i + 1;

        if (c >= 0x20) {
            escape[0] = '\\';
            escape[1] = c;
            phota_out_put(out, escape, 2);
            continue;
        }

        memcpy(escape, "\\u00", 4);
        escape[4] = (u_char) hex[c >> 4];
        escape[5] = (u_char) hex[c & 15];
        phota_out_put(out, escape, 6);
    }

    phota_out_put(out, text->data + from, text->len - from);
    phota_out_text(out, "\"");
}
