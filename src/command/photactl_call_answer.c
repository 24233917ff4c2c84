
/*
 * What a command wrote as one answer: rows between brackets, notes beside them,
 * and errors that name parameters as the API does.
 */


#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "photactl_call.h"


static ssize_t photactl_text_write(void *cookie, const char *data,
    size_t len);
static int photactl_text_add(photactl_text_t *text, const char *data,
    size_t len);
static int photactl_answer_ok(const photactl_call_t *call, int rc);
static int photactl_answer_rows(photactl_call_t *call);
static int photactl_answer_string(photactl_text_t *text, const char *name,
    const char *value);
static int photactl_answer_notes(photactl_call_t *call);
static void photactl_answer_error(photactl_call_t *call, int rc);
static void photactl_answer_field(photactl_call_t *call);
static void photactl_answer_words(char *text);


FILE *
photactl_text_open(photactl_text_t *text)
{
    const cookie_io_functions_t  io = { .write = photactl_text_write };

    return fopencookie(text, "w", io);
}


static ssize_t
photactl_text_write(void *cookie, const char *data, size_t len)
{
    if (photactl_text_add(cookie, data, len) != PHOTA_OK) {
        errno = ENOSPC;
        return 0;
    }

    return (ssize_t) len;
}


static int
photactl_text_add(photactl_text_t *text, const char *data, size_t len)
{
    char    *grown;
    size_t   size;

    if (text->full || len > PHOTACTL_CALL_OUT - text->len) {
        text->full = 1;
        return PHOTA_ERROR;
    }

    if (text->size - text->len < len) {
        size = 2 * (text->len + len) + 4096;

        /* not realloc(): what it leaves behind may be a token */

        grown = malloc(size);
        if (grown == NULL) {
            text->full = 1;
            return PHOTA_ERROR;
        }

        if (text->data != NULL) {
            memcpy(grown, text->data, text->len);
            phota_cleanse(text->data, text->len);
            free(text->data);
        }

        text->data = grown;
        text->size = size;
    }

    memcpy(text->data + text->len, data, len);
    text->len += len;

    return PHOTA_OK;
}


int
photactl_call_answer(photactl_call_t *call, int rc)
{
    if (rc == PHOTACTL_FULL) {
        rc = PHOTA_OK;
    }

    if (call->out.full) {
        return photactl_wrong(&call->ctl, "the answer is too large: ask for "
                              "less of it");
    }

    if (!photactl_answer_ok(call, rc)) {
        photactl_answer_error(call, rc);
        return rc;
    }

    if (call->ctl.plain) {
        return PHOTA_OK;
    }

    rc = (call->ctl.command->flags & PHOTACTL_LIST)
         ? photactl_answer_rows(call) : PHOTA_OK;

    if (rc == PHOTA_OK) {
        rc = photactl_answer_notes(call);
    }

    if (rc != PHOTA_OK) {
        phota_error(&call->ctl.err, "no memory for the answer");
    }

    return rc;
}


/* a report says what it found wrong, and that is what was asked for */

static int
photactl_answer_ok(const photactl_call_t *call, int rc)
{
    return rc == PHOTA_OK
           || ((call->ctl.command->flags & PHOTACTL_REPORT)
               && (rc == PHOTA_INVALID || rc == PHOTA_REFUSED)
               && call->out.len != 0);
}


/* a row a line: no other line end is in compact JSON */

static int
photactl_answer_rows(photactl_call_t *call)
{
    char             *p, *last;
    photactl_t       *ctl;
    photactl_text_t   rows;

    ctl = &call->ctl;
    rows = call->out;

    memset(&call->out, 0, sizeof(photactl_text_t));

    if (rows.len != 0) {
        rows.len--;
        last = rows.data + rows.len;

        for (p = memchr(rows.data, '\n', rows.len);
             p != NULL;
             p = memchr(p, '\n', last - p))
        {
            *p = ',';
        }
    }

    if (photactl_text_add(&call->out, "{\"rows\":[", 9) != PHOTA_OK
        || (rows.len != 0
            && photactl_text_add(&call->out, rows.data, rows.len) != PHOTA_OK)
        || photactl_text_add(&call->out, "]", 1) != PHOTA_OK)
    {
        free(rows.data);
        return PHOTA_ERROR;
    }

    free(rows.data);

    if (!call->post
        && photactl_answer_string(&call->out, "next",
                                  ctl->page.more ? ctl->cursor : NULL)
           != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    /* an export goes on some other day from where it ended */

    if ((ctl->command->flags & PHOTACTL_EXPORT)
        && photactl_answer_string(&call->out, "cursor", ctl->cursor)
           != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    return photactl_text_add(&call->out, "}\n", 2);
}


/* cursors are of characters that JSON takes as they are */

static int
photactl_answer_string(photactl_text_t *text, const char *name,
    const char *value)
{
    int   n;
    char  buf[2 * PHOTACTL_KEY_MAX + 64];

    if (value != NULL) {
        n = snprintf(buf, sizeof(buf), ",\"%s\":\"%s\"", name, value);

    } else {
        n = snprintf(buf, sizeof(buf), ",\"%s\":null", name);
    }

    return photactl_text_add(text, buf, (size_t) n);
}


/* success that has nothing to say is an object without members */

static int
photactl_answer_notes(photactl_call_t *call)
{
    int               rc;
    char             *notes;
    photactl_text_t  *out;

    out = &call->out;

    if (out->len == 0 && photactl_text_add(out, "{}\n", 3) != PHOTA_OK) {
        return PHOTA_ERROR;
    }

    if (call->notes == NULL) {
        return PHOTA_OK;
    }

    notes = json_dumps(call->notes, JSON_COMPACT);
    if (notes == NULL) {
        return PHOTA_ERROR;
    }

    /* into the object, before its end */

    out->len -= 2;

    rc = (out->data[out->len - 1] != '{') ? photactl_text_add(out, ",", 1)
                                          : PHOTA_OK;

    if (rc == PHOTA_OK
        && (photactl_text_add(out, "\"notes\":", 8) != PHOTA_OK
            || photactl_text_add(out, notes, strlen(notes)) != PHOTA_OK
            || photactl_text_add(out, "}\n", 2) != PHOTA_OK))
    {
        rc = PHOTA_ERROR;
    }

    free(notes);

    return rc;
}


void
photactl_call_note(photactl_t *ctl, const char *text)
{
    char              said[512];
    photactl_call_t  *call;

    call = (photactl_call_t *) ctl;

    (void) snprintf(said, sizeof(said), "%s", text);

    photactl_conceal(said);
    photactl_answer_words(said);

    if (call->notes == NULL) {
        call->notes = json_array();
    }

    (void) json_array_append_new(call->notes, json_string(said));
}


int
photactl_call_secret(photactl_t *ctl, u_char *buf, size_t *len)
{
    photactl_call_t  *call;

    call = (photactl_call_t *) ctl;

    /* what is too long is cut, and is then still too long */

    if (call->input_len < *len) {
        *len = call->input_len;
    }

    memcpy(buf, call->input, *len);

    return PHOTA_OK;
}


static void
photactl_answer_error(photactl_call_t *call, int rc)
{
    char  *text;

    text = call->ctl.err.text;

    photactl_conceal(text);

    if ((rc == PHOTACTL_USAGE || rc == PHOTA_INVALID)
        && call->field[0] == '\0')
    {
        photactl_answer_field(call);
    }

    photactl_answer_words(text);
}


/* what a sentence begins with, or the word that it blames */

static void
photactl_answer_field(photactl_call_t *call)
{
    int                n;
    char               buf[PHOTACTL_CALL_FIELD];
    size_t             len;
    const char        *name, *word;
    const photactl_t  *ctl;

    ctl = &call->ctl;
    word = ctl->blamed;
    name = NULL;

    for (n = 0; n < PHOTACTL_OPT_MAX && name == NULL; n++) {
        len = strlen(photactl_options[n].name);

        if ((word != NULL && ctl->opts[n] == word)
            || (strncmp(ctl->err.text, photactl_options[n].name, len) == 0
                && strchr(": ,", ctl->err.text[len]) != NULL))
        {
            name = photactl_param_name(n, buf);
        }
    }

    for (n = 0; n < ctl->nargs && name == NULL; n++) {
        if (word != NULL && ctl->args[n] == word) {
            name = photactl_param_arg(ctl->command, (unsigned) n, &len);
        }
    }

    if (name != NULL) {
        (void) snprintf(call->field, sizeof(call->field), "%.*s",
                        (int) strcspn(name, " "), name);
    }
}


/* "--budget-day" is "budget_day" here: in place, it gets shorter */

static void
photactl_answer_words(char *text)
{
    int          n, best;
    char        *p, buf[PHOTACTL_CALL_FIELD];
    size_t       len, found;
    const char  *name;

    for (p = strstr(text, "--"); p != NULL; p = strstr(p, "--")) {
        best = -1;
        found = 0;

        for (n = 0; n < PHOTACTL_OPT_MAX; n++) {
            len = strlen(photactl_options[n].name);

            if (len > found
                && strncmp(p, photactl_options[n].name, len) == 0)
            {
                best = n;
                found = len;
            }
        }

        name = (best != -1) ? photactl_param_name(best, buf) : NULL;

        if (name == NULL || strlen(name) > found) {
            p += 2;
            continue;
        }

        len = strlen(name);

        memcpy(p, name, len);
        memmove(p + len, p + found, strlen(p + found) + 1);
        p += len;
    }
}
