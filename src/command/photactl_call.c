
/*
 * Calling a command by name: which parameter is which option or argument, and
 * what its lines become as one answer.
 */


#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "photactl_call.h"


typedef enum {
    PHOTACTL_PARAM_NONE = 0,
    PHOTACTL_PARAM_OPTION,
    PHOTACTL_PARAM_ARG,
    PHOTACTL_PARAM_INPUT
} photactl_param_e;


static photactl_param_e photactl_param_find(const photactl_command_t *cmd,
    const char *name, unsigned *n);
static int photactl_call_blame(photactl_call_t *call, const char *field,
    const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int photactl_call_pair(photactl_call_t *call, const char *name,
    const char *value);
static int photactl_call_flag(photactl_call_t *call, const char *name,
    unsigned opt, const char *value);
static int photactl_call_unescape(char *text, char **name, char **value,
    char **next);
static int photactl_call_hex(const char *p);
static int photactl_call_member(photactl_call_t *call, const char *name,
    json_t *value);
static int photactl_call_array(photactl_call_t *call, const char *name,
    unsigned n, json_t *value);
static const char *photactl_call_text(photactl_call_t *call, json_t *value);
static int photactl_call_prepare(photactl_call_t *call);
static int photactl_call_args(photactl_call_t *call);
static int photactl_call_input(photactl_call_t *call);
static int photactl_call_bounds(photactl_call_t *call);


static const photactl_host_t  photactl_call_host = {
    photactl_call_note,
    photactl_call_secret,
    NULL
};


void
photactl_call_init(photactl_call_t *call)
{
    memset(call, 0, sizeof(photactl_call_t));

    call->ctl.ledger.lock_fd = -1;
    call->ctl.host = &photactl_call_host;
    call->ctl.lent = 1;
    call->ctl.most = PHOTACTL_CALL_SUMS;
    call->ctl.args = call->args;
    call->ctl.opts[PHOTACTL_OPT_JSON] = "";
}


void
photactl_call_free(photactl_call_t *call)
{
    const char  *key;
    json_t      *value;

    phota_cleanse(&call->ctl.master, sizeof(call->ctl.master));

    if (call->params != NULL) {
        json_object_foreach(call->params, key, value) {
            if (json_is_string(value)) {
                phota_cleanse((void *) json_string_value(value),
                              json_string_length(value));
            }
        }
    }

    if (call->out.data != NULL) {
        phota_cleanse(call->out.data, call->out.len);
    }

    json_decref(call->params);
    json_decref(call->notes);
    free(call->query);
    free(call->out.data);
    free(call->ctl.names.tenants);

    if (call->file != NULL) {
        (void) fclose(call->file);
    }
}


int
photactl_call_find(photactl_call_t *call, const u_char *path, size_t len)
{
    int                        subject;
    char                       text[64], *verb;
    const photactl_command_t  *cmd;

    if (len == 0 || len >= sizeof(text) || memchr(path, '\0', len) != NULL) {
        return PHOTA_DECLINED;
    }

    memcpy(text, path, len);
    text[len] = '\0';

    /* a file's name where a file is looked for */

    if (strcmp(text, PHOTACTL_OPENAPI) == 0) {
        memcpy(text, "openapi", sizeof("openapi"));

    } else if (strcmp(text, "openapi") == 0) {
        return PHOTA_DECLINED;
    }

    verb = strchr(text, '/');

    if (verb != NULL) {
        *verb++ = '\0';
    }

    cmd = photactl_command_find(text, verb != NULL ? verb : "", &subject);

    if (cmd == NULL || (cmd->verb == NULL) != (verb == NULL)
        || !(cmd->flags & (PHOTACTL_GET|PHOTACTL_POST)))
    {
        return PHOTA_DECLINED;
    }

    call->ctl.command = cmd;

    return PHOTA_OK;
}


/* paths of this machine and what is asked for elsewhere are no parameters */

const char *
photactl_param_name(photactl_opt_e opt, char buf[PHOTACTL_CALL_FIELD])
{
    char  *p;

    switch (opt) {

    case PHOTACTL_OPT_DATA:
    case PHOTACTL_OPT_MASTER_KEY:
    case PHOTACTL_OPT_OLD_MASTER_KEY:
    case PHOTACTL_OPT_JSON:
    case PHOTACTL_OPT_HELP:
    case PHOTACTL_OPT_VERSION:
    case PHOTACTL_OPT_CURSOR:
    case PHOTACTL_OPT_BILL:
        return NULL;

    case PHOTACTL_OPT_AFTER:
        return "cursor";

    default:
        break;
    }

    (void) snprintf(buf, PHOTACTL_CALL_FIELD, "%s",
                    photactl_options[opt].name + 2);

    for (p = strchr(buf, '-'); p != NULL; p = strchr(p, '-')) {
        *p = '_';
    }

    return buf;
}


const char *
photactl_param_arg(const photactl_command_t *cmd, unsigned n, size_t *len)
{
    const char  *p;

    p = cmd->args;

    while (p != NULL) {
        *len = strcspn(p, " ");

        if (n-- == 0) {
            return p;
        }

        p = (p[*len] == ' ') ? p + *len + 1 : NULL;
    }

    return NULL;
}


static photactl_param_e
photactl_param_find(const photactl_command_t *cmd, const char *name,
    unsigned *n)
{
    char         buf[PHOTACTL_CALL_FIELD];
    size_t       len;
    const char  *text;

    if (cmd->input != NULL && strcmp(cmd->input, name) == 0) {
        return PHOTACTL_PARAM_INPUT;
    }

    for (*n = 0; (text = photactl_param_arg(cmd, *n, &len)) != NULL; (*n)++) {
        if (text[0] != '-' && strlen(name) == len
            && memcmp(text, name, len) == 0)
        {
            return PHOTACTL_PARAM_ARG;
        }
    }

    for (*n = 0; *n < PHOTACTL_OPT_MAX; (*n)++) {

        if (!(cmd->opts >> *n & 1)) {
            continue;
        }

        text = photactl_param_name(*n, buf);

        if (text != NULL && strcmp(text, name) == 0) {
            return PHOTACTL_PARAM_OPTION;
        }
    }

    return PHOTACTL_PARAM_NONE;
}


static int
photactl_call_blame(photactl_call_t *call, const char *field,
    const char *fmt, ...)
{
    va_list  args;

    (void) snprintf(call->field, sizeof(call->field), "%s", field);

    va_start(args, fmt);
    (void) vsnprintf(call->ctl.err.text, sizeof(call->ctl.err.text), fmt,
                     args);
    va_end(args);

    return PHOTACTL_USAGE;
}


int
photactl_call_query(photactl_call_t *call, const u_char *text, size_t len)
{
    int    rc;
    char  *name, *value, *next;

    if (len == 0) {
        return PHOTA_OK;
    }

    call->query = malloc(len + 1);
    if (call->query == NULL) {
        phota_error(&call->ctl.err, "no memory for the query");
        return PHOTA_ERROR;
    }

    memcpy(call->query, text, len);
    call->query[len] = '\0';

    if (strlen(call->query) != len) {
        return photactl_wrong(&call->ctl, "the query has a NUL");
    }

    rc = PHOTA_OK;
    next = call->query;

    while (rc == PHOTA_OK && next) {
        rc = photactl_call_unescape(next, &name, &value, &next);

        if (rc != PHOTA_OK) {
            return photactl_wrong(&call->ctl, "the query isn't escaped as it "
                                  "has to be");
        }

        if (*name != '\0' || *value != '\0') {
            rc = photactl_call_pair(call, name, value);
        }
    }

    return rc;
}


/* in place; a NUL is part of no parameter */

static int
photactl_call_unescape(char *text, char **name, char **value, char **next)
{
    int    ch;
    char  *p, *end;

    end = text + strcspn(text, "&");
    *next = (*end == '&') ? end + 1 : NULL;

    *name = text;
    *value = NULL;

    for (p = text; text < end; text++) {
        ch = (u_char) *text;

        if (ch == '=' && *value == NULL) {
            *p++ = '\0';
            *value = p;
            continue;
        }

        if (ch == '+') {
            ch = ' ';

        } else if (ch == '%') {
            ch = photactl_call_hex(text + 1);

            if (ch <= 0) {
                return PHOTA_INVALID;
            }

            text += 2;
        }

        *p++ = (char) ch;
    }

    *p = '\0';

    if (*value == NULL) {
        *value = p;
    }

    return PHOTA_OK;
}


static int
photactl_call_hex(const char *p)
{
    u_char  c;

    return (p[0] != '\0' && p[1] != '\0'
            && phota_hex_parse(&c, 1, p, 2) == PHOTA_OK) ? c : -1;
}


static int
photactl_call_pair(photactl_call_t *call, const char *name,
    const char *value)
{
    unsigned                   n;
    const char               **slot;
    const photactl_command_t  *cmd;

    cmd = call->ctl.command;

    switch (photactl_param_find(cmd, name, &n)) {

    case PHOTACTL_PARAM_OPTION:

        if (photactl_options[n].value == NULL) {
            return photactl_call_flag(call, name, n, value);
        }

        slot = &call->ctl.opts[n];
        break;

    case PHOTACTL_PARAM_ARG:
        slot = (const char **) &call->args[n];
        break;

    default:
        return photactl_call_blame(call, name, "\"%.64s\": no parameter of "
                                   "this command, or not in a query", name);
    }

    if (*slot != NULL) {
        return photactl_call_blame(call, name, "\"%.64s\": is there twice",
                                   name);
    }

    *slot = value;

    return PHOTA_OK;
}


static int
photactl_call_flag(photactl_call_t *call, const char *name, unsigned opt,
    const char *value)
{
    if (call->ctl.opts[opt] != NULL) {
        return photactl_call_blame(call, name, "\"%.64s\": is there twice",
                                   name);
    }

    if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0) {
        return PHOTA_OK;
    }

    if (*value != '\0' && strcmp(value, "true") != 0
        && strcmp(value, "1") != 0)
    {
        return photactl_call_blame(call, name, "\"%.64s\": neither true nor "
                                   "false", name);
    }

    call->ctl.opts[opt] = "";

    return PHOTA_OK;
}


int
photactl_call_json(photactl_call_t *call, const char *text, size_t len)
{
    int           rc;
    json_t       *value;
    const char   *name;
    json_error_t  error;

    if (len == 0) {
        return PHOTA_OK;
    }

    call->params = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);

    if (!json_is_object(call->params)) {

        if (call->params != NULL) {
            return photactl_wrong(&call->ctl, "the body isn't a JSON object");
        }

        /* its text may be a secret's part: only where it is is told */

        return photactl_wrong(&call->ctl, "the body isn't JSON, or names a "
                              "member twice, or has a NUL (line %d, column "
                              "%d)", error.line, error.column);
    }

    rc = PHOTA_OK;

    json_object_foreach(call->params, name, value) {
        rc = photactl_call_member(call, name, value);

        if (rc != PHOTA_OK) {
            break;
        }
    }

    return rc;
}


static int
photactl_call_member(photactl_call_t *call, const char *name, json_t *value)
{
    unsigned                   n;
    const char                *text;
    const photactl_command_t  *cmd;

    cmd = call->ctl.command;

    switch (photactl_param_find(cmd, name, &n)) {

    case PHOTACTL_PARAM_OPTION:

        if (photactl_options[n].value != NULL) {
            break;
        }

        if (!json_is_boolean(value)) {
            return photactl_call_blame(call, name, "\"%.64s\": neither true "
                                       "nor false", name);
        }

        call->ctl.opts[n] = json_is_true(value) ? "" : NULL;

        return PHOTA_OK;

    case PHOTACTL_PARAM_ARG:

        if (json_is_array(value)) {
            return photactl_call_array(call, name, n, value);
        }

        break;

    case PHOTACTL_PARAM_INPUT:

        if (!json_is_string(value)) {
            return photactl_call_blame(call, name, "\"%.64s\": not a string",
                                       name);
        }

        call->input = json_string_value(value);
        call->input_len = json_string_length(value);

        return PHOTA_OK;

    default:
        return photactl_call_blame(call, name, "\"%.64s\": no parameter of "
                                   "this command", name);
    }

    if (json_is_null(value)) {
        return PHOTA_OK;
    }

    text = photactl_call_text(call, value);

    if (text == NULL) {
        return photactl_call_blame(call, name, "\"%.64s\": not a string, nor "
                                   "a whole number", name);
    }

    if (photactl_param_find(cmd, name, &n) == PHOTACTL_PARAM_ARG) {
        call->args[n] = (char *) text;

    } else {
        call->ctl.opts[n] = text;
    }

    return PHOTA_OK;
}


/* the last of the arguments, where there may be any number of it */

static int
photactl_call_array(photactl_call_t *call, const char *name, unsigned n,
    json_t *value)
{
    size_t                     i, len, many;
    json_t                    *word;
    const photactl_command_t  *cmd;

    cmd = call->ctl.command;
    many = json_array_size(value);

    if (photactl_param_arg(cmd, n + 1, &len) != NULL
        || many > (size_t) cmd->max_args - n
        || many > PHOTACTL_CALL_ARGS - n)
    {
        return photactl_call_blame(call, name, "\"%.64s\": not one, or too "
                                   "many", name);
    }

    json_array_foreach(value, i, word) {

        /* "-" would be what a command reads */

        if (!json_is_string(word)
            || strcmp(json_string_value(word), "-") == 0)
        {
            return photactl_call_blame(call, name, "\"%.64s\": not strings",
                                       name);
        }

        call->args[n + i] = (char *) json_string_value(word);
    }

    return PHOTA_OK;
}


/* NULL: amounts are strings, since a number with a point is none exactly */

static const char *
photactl_call_text(photactl_call_t *call, json_t *value)
{
    char  *number;

    if (json_is_string(value)) {
        return json_string_value(value);
    }

    if (!json_is_integer(value)
        || call->nnumbers == sizeof(call->numbers) / sizeof(call->numbers[0]))
    {
        return NULL;
    }

    number = call->numbers[call->nnumbers++];

    (void) snprintf(number, sizeof(call->numbers[0]), "%lld",
                    (long long) json_integer_value(value));

    return number;
}


int
photactl_call_run(photactl_call_t *call)
{
    int  rc;

    call->ctl.out = photactl_text_open(&call->out);

    if (call->ctl.out == NULL) {
        phota_error(&call->ctl.err, "no memory for the answer");
        return PHOTA_ERROR;
    }

    rc = photactl_call_prepare(call);

    if (rc == PHOTA_OK) {
        rc = call->ctl.command->handler(&call->ctl);
    }

    (void) fclose(call->ctl.out);
    call->ctl.out = NULL;

    return photactl_call_answer(call, rc);
}


static int
photactl_call_prepare(photactl_call_t *call)
{
    int  rc;

    rc = photactl_call_args(call);

    if (rc == PHOTA_OK) {
        rc = photactl_check(&call->ctl);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_call_bounds(call);
    }

    if (rc == PHOTA_OK) {
        rc = photactl_call_input(call);
    }

    return rc;
}


/* all before one that is there have to be there */

static int
photactl_call_args(photactl_call_t *call)
{
    int                        n;
    char                       name[PHOTACTL_CALL_FIELD];
    size_t                     len;
    const char                *text;
    const photactl_command_t  *cmd;

    cmd = call->ctl.command;

    text = photactl_param_arg(cmd, 0, &len);

    if (text != NULL && text[0] == '-') {
        call->args[0] = (char *) "-";
    }

    for (n = 0; n < PHOTACTL_CALL_ARGS && call->args[n] != NULL; n++) {
        /* void */
    }

    call->ctl.nargs = n;

    text = photactl_param_arg(cmd, (unsigned) n, &len);

    if (text == NULL
        || (n >= cmd->min_args
            && (n + 1 >= PHOTACTL_CALL_ARGS || call->args[n + 1] == NULL)))
    {
        return PHOTA_OK;
    }

    (void) snprintf(name, sizeof(name), "%.*s", (int) len, text);

    return photactl_call_blame(call, name, "\"%s\" is missing", name);
}


static int
photactl_call_bounds(photactl_call_t *call)
{
    photactl_page_t           *page;
    const photactl_command_t  *cmd;

    cmd = call->ctl.command;
    page = &call->ctl.page;

    if (!call->post && (cmd->flags & PHOTACTL_POST)
        && (call->ctl.nargs || call->query != NULL))
    {
        return photactl_wrong(&call->ctl, "by GET it takes no parameters: "
                              "changes are made by POST");
    }

    if (!(cmd->flags & PHOTACTL_LIST) || call->post) {
        return PHOTA_OK;
    }

    if (page->limit > PHOTACTL_CALL_MOST) {
        return photactl_call_blame(call, "limit", "limit: more than %d rows",
                                   PHOTACTL_CALL_MOST);
    }

    if (page->limit == 0) {
        page->limit = PHOTACTL_CALL_ROWS;
    }

    return PHOTA_OK;
}


static int
photactl_call_input(photactl_call_t *call)
{
    photactl_t                *ctl;
    const photactl_command_t  *cmd;

    ctl = &call->ctl;
    cmd = ctl->command;

    if (cmd->input == NULL) {
        return PHOTA_OK;
    }

    ctl->input_name = cmd->input;

    if (call->file == NULL && call->input_len == 0) {
        return photactl_call_blame(call, cmd->input, "\"%s\" is missing",
                                   cmd->input);
    }

    if (call->file == NULL) {
        call->file = fmemopen((void *) call->input, call->input_len, "r");
    }

    if (call->file == NULL) {
        phota_error(&ctl->err, "no memory for \"%s\"", cmd->input);
        return PHOTA_ERROR;
    }

    ctl->input = call->file;

    return PHOTA_OK;
}
