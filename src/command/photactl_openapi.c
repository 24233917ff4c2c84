
/*
 * photactl openapi: the API's description in OpenAPI 3.1, made from the table
 * of commands, so that it can't say anything else than what is done.
 */


#include <string.h>

#include <jansson.h>

#include "photactl_call.h"


static json_t *photactl_openapi_make(void);
static json_t *photactl_openapi_paths(void);
static json_t *photactl_openapi_methods(const photactl_command_t *cmd);
static json_t *photactl_openapi_operation(const photactl_command_t *cmd,
    int post);
static json_t *photactl_openapi_query(const photactl_command_t *cmd,
    int args);
static json_t *photactl_openapi_parameter(const char *name, size_t len,
    int required, json_t *schema);
static json_t *photactl_openapi_body(const photactl_command_t *cmd);
static json_t *photactl_openapi_object(const photactl_command_t *cmd);
static json_t *photactl_openapi_option(unsigned opt);
static json_t *photactl_openapi_words(const char *value);
static json_t *photactl_openapi_responses(const photactl_command_t *cmd,
    int post);
static json_t *photactl_openapi_components(void);


/* any command's, by their number among the components */

static const char  *photactl_openapi_errors[] = {
    "401", "403", "404", "409", "422", "503"
};


int
photactl_openapi(photactl_t *ctl)
{
    int      rc;
    json_t  *json;

    json = photactl_openapi_make();

    if (json == NULL) {
        phota_error(&ctl->err, "no memory for the description");
        return PHOTA_ERROR;
    }

    rc = json_dumpf(json, ctl->out, JSON_INDENT(2));

    json_decref(json);

    if (rc != 0 || fputc('\n', ctl->out) == EOF) {
        phota_error(&ctl->err, "the output can't be written");
        return PHOTA_ERROR;
    }

    return PHOTA_OK;
}


/* NULL: no memory, here and below; what is packed is taken over */

static json_t *
photactl_openapi_make(void)
{
    return json_pack("{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:[{s:[]}], s:o,"
                     " s:o}",
                     "openapi", "3.1.0",
                     "info",
                     "title", "nginx-phota",
                     "version", PHOTA_VERSION,
                     "description", "What an operator reads and changes: the "
                     "commands of photactl, below the location of phota_api.",
                     "servers",
                     "url", ".",
                     "security",
                     "operator",
                     "paths", photactl_openapi_paths(),
                     "components", photactl_openapi_components());
}


static json_t *
photactl_openapi_paths(void)
{
    char                       path[80];
    size_t                     i;
    json_t                    *paths;
    const photactl_command_t  *cmd;

    paths = json_object();

    for (i = 0; (cmd = photactl_command(i)) != NULL; i++) {

        if (!(cmd->flags & (PHOTACTL_GET|PHOTACTL_POST))) {
            continue;
        }

        (void) snprintf(path, sizeof(path), "/%s%s%s", cmd->name,
                        cmd->verb != NULL ? "/" : "",
                        cmd->verb != NULL ? cmd->verb : "");

        if (strcmp(path, "/openapi") == 0) {
            (void) snprintf(path, sizeof(path), "/%s", PHOTACTL_OPENAPI);
        }

        if (json_object_set_new(paths, path, photactl_openapi_methods(cmd))
            != 0)
        {
            json_decref(paths);
            return NULL;
        }
    }

    return paths;
}


static json_t *
photactl_openapi_methods(const photactl_command_t *cmd)
{
    json_t  *methods;

    methods = json_object();

    if (((cmd->flags & PHOTACTL_GET)
         && json_object_set_new(methods, "get",
                                photactl_openapi_operation(cmd, 0))
            != 0)
        || ((cmd->flags & PHOTACTL_POST)
            && json_object_set_new(methods, "post",
                                   photactl_openapi_operation(cmd, 1))
               != 0))
    {
        json_decref(methods);
        return NULL;
    }

    return methods;
}


static json_t *
photactl_openapi_operation(const photactl_command_t *cmd, int post)
{
    char     id[80], *p;
    json_t  *params;

    (void) snprintf(id, sizeof(id), "%s%s%s%s",
                    post && (cmd->flags & PHOTACTL_GET) ? "set_" : "",
                    cmd->name, cmd->verb != NULL ? "_" : "",
                    cmd->verb != NULL ? cmd->verb : "");

    for (p = strchr(id, '-'); p != NULL; p = strchr(p, '-')) {
        *p = '_';
    }

    /* what may be CSV has the rest of its parameters in the query then */

    params = (!post && (cmd->flags & PHOTACTL_POST)) ? json_array()
             : (!post || (cmd->input != NULL
                          && strcmp(cmd->input, "secret") != 0))
             ? photactl_openapi_query(cmd, !post) : json_array();

    if (!post) {
        return json_pack("{s:s, s:s, s:[s], s:o, s:o}",
                         "operationId", id,
                         "summary", cmd->help,
                         "tags", cmd->name,
                         "parameters", params,
                         "responses", photactl_openapi_responses(cmd, post));
    }

    return json_pack("{s:s, s:s, s:[s], s:o, s:o, s:o}",
                     "operationId", id,
                     "summary", cmd->help,
                     "tags", cmd->name,
                     "parameters", params,
                     "requestBody", photactl_openapi_body(cmd),
                     "responses", photactl_openapi_responses(cmd, post));
}


static json_t *
photactl_openapi_query(const photactl_command_t *cmd, int args)
{
    char         buf[PHOTACTL_CALL_FIELD];
    size_t       len;
    json_t      *params;
    unsigned     n;
    const char  *name;

    params = json_array();

    for (n = 0; args && (name = photactl_param_arg(cmd, n, &len)) != NULL;
         n++)
    {
        if (json_array_append_new(params,
                photactl_openapi_parameter(name, len,
                                           (int) n < cmd->min_args,
                                           json_pack("{s:s}", "type",
                                                     "string")))
            != 0)
        {
            json_decref(params);
            return NULL;
        }
    }

    for (n = 0; n < PHOTACTL_OPT_MAX; n++) {
        name = (cmd->opts >> n & 1) ? photactl_param_name(n, buf) : NULL;

        if (name != NULL
            && json_array_append_new(params,
                   photactl_openapi_parameter(name, strlen(name), 0,
                                              photactl_openapi_option(n)))
               != 0)
        {
            json_decref(params);
            return NULL;
        }
    }

    return params;
}


static json_t *
photactl_openapi_parameter(const char *name, size_t len, int required,
    json_t *schema)
{
    return json_pack("{s:s%, s:s, s:b, s:o}",
                     "name", name, len,
                     "in", "query",
                     "required", required,
                     "schema", schema);
}


static json_t *
photactl_openapi_body(const photactl_command_t *cmd)
{
    json_t  *object;

    object = photactl_openapi_object(cmd);

    if (cmd->input == NULL || strcmp(cmd->input, "secret") == 0) {
        return json_pack("{s:b, s:{s:{s:o}}}",
                         "required", cmd->min_args != 0,
                         "content",
                         "application/json",
                         "schema", object);
    }

    return json_pack("{s:b, s:{s:{s:o}, s:{s:{s:s, s:s}}}}",
                     "required", 1,
                     "content",
                     "application/json",
                     "schema", object,
                     "text/csv",
                     "schema",
                     "type", "string",
                     "description", "in place of the member; the other "
                     "parameters stand in the query then");
}


static json_t *
photactl_openapi_object(const photactl_command_t *cmd)
{
    int          rc;
    char         buf[PHOTACTL_CALL_FIELD];
    size_t       len;
    json_t      *members, *required;
    unsigned     n;
    const char  *name;

    members = json_object();
    required = json_array();
    rc = 0;

    for (n = 0; (name = photactl_param_arg(cmd, n, &len)) != NULL; n++) {

        if (name[0] == '-') {
            continue;
        }

        (void) snprintf(buf, sizeof(buf), "%.*s", (int) len, name);

        /* there may be many of the last one */

        if (name[len] == '\0' && (int) n + 1 < cmd->max_args) {
            rc |= json_object_set_new(members, buf,
                      json_pack("{s:[ss], s:{s:s}}",
                                "type", "string", "array",
                                "items", "type", "string"));

        } else {
            rc |= json_object_set_new(members, buf,
                                      json_pack("{s:s}", "type", "string"));
        }

        if ((int) n < cmd->min_args) {
            rc |= json_array_append_new(required, json_string(buf));
        }
    }

    if (cmd->input != NULL) {
        rc |= json_object_set_new(members, cmd->input,
                                  json_pack("{s:s}", "type", "string"));
        rc |= json_array_append_new(required, json_string(cmd->input));
    }

    for (n = 0; n < PHOTACTL_OPT_MAX; n++) {
        name = (cmd->opts >> n & 1) ? photactl_param_name(n, buf) : NULL;

        if (name != NULL) {
            rc |= json_object_set_new(members, name,
                                      photactl_openapi_option(n));
        }
    }

    if (rc != 0) {
        json_decref(members);
        members = NULL;
    }

    return json_pack("{s:s, s:o, s:o, s:b}",
                     "type", "object",
                     "properties", members,
                     "required", required,
                     "additionalProperties", 0);
}


static json_t *
photactl_openapi_option(unsigned opt)
{
    json_t      *words;
    const char  *value;

    value = photactl_options[opt].value;

    if (opt == PHOTACTL_OPT_LIMIT) {
        return json_pack("{s:s, s:i, s:i, s:i}", "type", "integer",
                         "minimum", 1, "maximum", PHOTACTL_CALL_MOST,
                         "default", PHOTACTL_CALL_ROWS);
    }

    if (value == NULL) {
        return json_pack("{s:s}", "type", "boolean");
    }

    if (strcmp(value, "N") == 0) {
        return json_pack("{s:s, s:i}", "type", "integer", "minimum", 0);
    }

    words = photactl_openapi_words(value);

    if (words != NULL) {
        return json_pack("{s:s, s:o}", "type", "string", "enum", words);
    }

    return json_pack("{s:s, s:s}", "type", "string", "description", value);
}


/* "own|shared": these and no others; NULL: it is said otherwise */

static json_t *
photactl_openapi_words(const char *value)
{
    size_t   len;
    json_t  *words;

    if (strchr(value, '|') == NULL
        || value[strspn(value, "abcdefghijklmnopqrstuvwxyz|")] != '\0')
    {
        return NULL;
    }

    words = json_array();

    for ( /* void */ ; *value != '\0'; value += len + (value[len] == '|')) {
        len = strcspn(value, "|");

        if (json_array_append_new(words, json_stringn(value, len)) != 0) {
            json_decref(words);
            return NULL;
        }
    }

    return words;
}


static json_t *
photactl_openapi_responses(const photactl_command_t *cmd, int post)
{
    char         ref[64];
    size_t       i;
    json_t      *responses, *content;
    const char  *schema;

    schema = (cmd->flags & PHOTACTL_LIST)
             ? (post ? "#/components/schemas/rows"
                     : "#/components/schemas/page")
             : "#/components/schemas/answer";

    content = json_pack("{s:{s:{s:s}}}", "application/json", "schema", "$ref",
                        schema);

    if ((cmd->flags & PHOTACTL_EXPORT)
        && json_object_set_new(content, "text/csv",
                               json_pack("{s:{s:s}}", "schema", "type",
                                         "string"))
           != 0)
    {
        json_decref(content);
        content = NULL;
    }

    responses = json_pack("{s:{s:s, s:o}}", "200",
                          "description", "done",
                          "content", content);

    for (i = 0; i < sizeof(photactl_openapi_errors) / sizeof(char *); i++) {
        (void) snprintf(ref, sizeof(ref), "#/components/responses/%s",
                        photactl_openapi_errors[i]);

        if (json_object_set_new(responses, photactl_openapi_errors[i],
                                json_pack("{s:s}", "$ref", ref))
            != 0)
        {
            json_decref(responses);
            return NULL;
        }
    }

    return responses;
}


static json_t *
photactl_openapi_components(void)
{
    json_error_t  error;

    /* with the other kind of quotes, for it to be read */

    static const char  text[] =
        "{ 'securitySchemes': { 'operator': { 'type': 'http',"
        "  'scheme': 'bearer', 'description':"
        "  'photactl token issue --admin [--scope write]' } },"
        "  'responses': {"
        "  '401': { 'description': 'no token of an operator',"
        "  'content': { 'application/json': { 'schema': {"
        "  '$ref': '#/components/schemas/error' } } } },"
        "  '403': { 'description': 'a change that is not allowed here, or to"
        " this token',"
        "  'content': { 'application/json': { 'schema': {"
        "  '$ref': '#/components/schemas/error' } } } },"
        "  '404': { 'description': 'what is asked for is not there',"
        "  'content': { 'application/json': { 'schema': {"
        "  '$ref': '#/components/schemas/error' } } } },"
        "  '409': { 'description': 'it is there, but in no state that allows"
        " this',"
        "  'content': { 'application/json': { 'schema': {"
        "  '$ref': '#/components/schemas/error' } } } },"
        "  '422': { 'description': 'a parameter is wrong: field',"
        "  'content': { 'application/json': { 'schema': {"
        "  '$ref': '#/components/schemas/error' } } } },"
        "  '503': { 'description': 'it can not be done now: Retry-After',"
        "  'content': { 'application/json': { 'schema': {"
        "  '$ref': '#/components/schemas/error' } } } }"
        "  },"
        "  'schemas': {"
        "  'answer': { 'type': 'object', 'description':"
        "  'what --json prints, and notes where there are any' },"
        "  'rows': { 'type': 'object', 'required': [ 'rows' ],"
        "  'properties': { 'rows': { 'type': 'array',"
        "  'items': { 'type': 'object' } } } },"
        "  'page': { 'type': 'object', 'required': [ 'rows', 'next' ],"
        "  'properties': { 'rows': { 'type': 'array',"
        "  'items': { 'type': 'object' } },"
        "  'next': { 'type': [ 'string', 'null' ],"
        "  'description': 'the cursor of the rows that follow' },"
        "  'cursor': { 'type': 'string',"
        "  'description': 'of exports: where the next one begins' } } },"
        "  'error': { 'type': 'object',"
        "  'required': [ 'code', 'detail', 'request_id' ],"
        "  'properties': { 'code': { 'type': 'string' },"
        "  'detail': { 'type': 'string' },"
        "  'request_id': { 'type': 'string' },"
        "  'field': { 'type': 'string' } } } } }";

    char    buf[sizeof(text)], *p;

    memcpy(buf, text, sizeof(text));

    for (p = strchr(buf, '\''); p != NULL; p = strchr(p, '\'')) {
        *p = '"';
    }

    return json_loads(buf, 0, &error);
}
