
/*
 * nginx's configuration as a tree.  nginx itself has found it in order, so what
 * doesn't parse here, as a block of Lua, is passed over.  Includes are followed
 * within what nginx printed.
 */


#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "photactl_conf.h"


#define PHOTACTL_CONF_HEAD   "# configuration file "
#define PHOTACTL_CONF_DEPTH  16


typedef struct {
    photactl_conf_t       *conf;
    const char            *file;
    char                  *pos;
    unsigned               line;
    char                   stop;        /* ';', '{', '}', or '\0': the end */
} photactl_reader_t;


static int photactl_conf_split(photactl_conf_t *conf);
static int photactl_conf_file(photactl_conf_t *conf,
    photactl_conf_file_t *file, photactl_directive_t *parent);
static int photactl_conf_include(photactl_conf_t *conf,
    photactl_directive_t *directive);
static char *photactl_conf_copy(photactl_conf_t *conf, const char *text);
static int photactl_conf_read(photactl_reader_t *r,
    photactl_directive_t *parent, photactl_directive_t **directive);
static char *photactl_conf_word(photactl_reader_t *r);
static char *photactl_conf_quoted(photactl_reader_t *r, char quote);


int
photactl_conf_parse(photactl_conf_t *conf, char *text)
{
    memset(conf, 0, sizeof(photactl_conf_t));

    conf->text = text;

    if (photactl_conf_split(conf) != 0) {
        return -1;
    }

    return conf->nfiles ? photactl_conf_file(conf, &conf->files[0], NULL) : 0;
}


void
photactl_conf_free(photactl_conf_t *conf)
{
    size_t                 i;
    photactl_directive_t  *d, *next;

    for (d = conf->first; d != NULL; d = next) {
        next = d->next;
        free(d);
    }

    for (i = 0; i < conf->nfiles; i++) {
        free(conf->files[i].text);
    }

    for (i = 0; i < conf->ncopies; i++) {
        free(conf->copies[i]);
    }

    free(conf->copies);
    free(conf->files);
    free(conf->text);

    memset(conf, 0, sizeof(photactl_conf_t));
}


/* without heads it is one file */

static int
photactl_conf_split(photactl_conf_t *conf)
{
    char                  *p, *end, *head, *next;
    photactl_conf_file_t  *files;

    static char  none[] = "-";

    p = strstr(conf->text, PHOTACTL_CONF_HEAD);

    if (p != NULL && p != conf->text && p[-1] != '\n') {
        p = NULL;
    }

    do {
        files = realloc(conf->files, (conf->nfiles + 1)
                                     * sizeof(photactl_conf_file_t));
        if (files == NULL) {
            return -1;
        }

        conf->files = files;

        if (p == NULL) {
            files[0].name = none;
            files[0].text = strdup(conf->text);

            return (files[conf->nfiles++].text != NULL) ? 0 : -1;
        }

        head = p + sizeof(PHOTACTL_CONF_HEAD) - 1;
        end = strchr(head, '\n');

        if (end == NULL) {
            return 0;
        }

        next = strstr(end, "\n" PHOTACTL_CONF_HEAD);

        /* the line ends with a colon */

        *end = '\0';

        if (end > head && end[-1] == ':') {
            end[-1] = '\0';
        }

        if (next != NULL) {
            *next = '\0';
            next++;
        }

        files[conf->nfiles].name = head;
        files[conf->nfiles].text = strdup(end + 1);

        if (files[conf->nfiles].text == NULL) {
            return -1;
        }

        conf->nfiles++;

        p = next;

    } while (p != NULL);

    return 0;
}


static int
photactl_conf_file(photactl_conf_t *conf, photactl_conf_file_t *file,
    photactl_directive_t *parent)
{
    photactl_reader_t      r;
    photactl_directive_t  *d, *top;

    r.conf = conf;
    r.file = file->name;
    r.line = 1;
    r.stop = ';';

    /* a file that is included twice is cut twice */

    r.pos = photactl_conf_copy(conf, file->text);

    if (r.pos == NULL) {
        return -1;
    }

    top = parent;

    while (r.stop != '\0') {

        if (photactl_conf_read(&r, parent, &d) != 0) {
            return -1;
        }

        if (d != NULL && strcmp(d->args[0], "include") == 0 && d->nargs == 2
            && photactl_conf_include(conf, d) != 0)
        {
            return -1;
        }

        if (r.stop == '{' && d != NULL) {
            parent = d;

        } else if (r.stop == '}' && parent != top) {
            parent = parent->parent;
        }
    }

    return 0;
}


static char *
photactl_conf_copy(photactl_conf_t *conf, const char *text)
{
    char  *copy, **copies;

    copies = realloc(conf->copies, (conf->ncopies + 1) * sizeof(char *));

    if (copies == NULL) {
        return NULL;
    }

    conf->copies = copies;

    copy = strdup(text);

    if (copy != NULL) {
        copies[conf->ncopies++] = copy;
    }

    return copy;
}


/* relative names begin at the directory of the first file */

static int
photactl_conf_include(photactl_conf_t *conf, photactl_directive_t *directive)
{
    int          rc;
    char         pattern[2048];
    size_t       i, dir;
    unsigned     found;
    const char  *name, *slash;

    name = directive->args[1];
    slash = strrchr(conf->files[0].name, '/');
    dir = (*name == '/' || slash == NULL)
          ? 0 : (size_t) (slash + 1 - conf->files[0].name);

    (void) snprintf(pattern, sizeof(pattern), "%.*s%s", (int) dir,
                    conf->files[0].name, name);

    if (conf->depth == PHOTACTL_CONF_DEPTH) {
        return 0;
    }

    found = 0;
    rc = 0;
    conf->depth++;

    for (i = 0; rc == 0 && i < conf->nfiles; i++) {
        if (fnmatch(pattern, conf->files[i].name, FNM_PATHNAME) == 0) {
            found = 1;
            rc = photactl_conf_file(conf, &conf->files[i],
                                    directive->parent);
        }
    }

    conf->depth--;

    if (!found && strpbrk(name, "*?[") == NULL) {
        (void) snprintf(conf->missing, sizeof(conf->missing), "%s", name);
    }

    return rc;
}


/* *directive: NULL where there is none before the sign at which it stops */

static int
photactl_conf_read(photactl_reader_t *r, photactl_directive_t *parent,
    photactl_directive_t **directive)
{
    char                  *word;
    photactl_directive_t  *d;

    *directive = NULL;
    r->stop = ' ';
    d = NULL;

    while ((word = photactl_conf_word(r)) != NULL) {

        if (d == NULL) {
            d = calloc(1, sizeof(photactl_directive_t));

            if (d == NULL) {
                return -1;
            }

            d->parent = parent;
            d->file = r->file;
            d->line = r->line;

            if (r->conf->last == NULL) {
                r->conf->first = d;

            } else {
                r->conf->last->next = d;
            }

            r->conf->last = d;
        }

        if (d->nargs < PHOTACTL_CONF_ARGS) {
            d->args[d->nargs++] = word;
        }

        if (r->stop != ' ') {
            break;
        }
    }

    *directive = d;

    return 0;
}


/*
 * NULL at a sign that ends a directive, which r->stop is then; a word that is
 * followed by one at once is cut off there.
 */

static char *
photactl_conf_word(photactl_reader_t *r)
{
    char  c, *start;

    for ( ;; ) {
        c = *r->pos;

        if (c == '#') {
            r->pos += strcspn(r->pos, "\n");
            continue;
        }

        if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
            break;
        }

        r->line += (c == '\n');
        r->pos++;
    }

    if (c == '\0' || c == ';' || c == '{' || c == '}') {
        r->stop = c;
        r->pos += (c != '\0');
        return NULL;
    }

    if (c == '"' || c == '\'') {
        r->pos++;
        return photactl_conf_quoted(r, c);
    }

    for (start = r->pos; /* void */ ; r->pos++) {
        c = *r->pos;

        if (c == '\\' && r->pos[1] != '\0') {
            r->pos++;
            continue;
        }

        /* ${name} is part of the word */

        if (c == '{' && r->pos != start && r->pos[-1] == '$') {
            continue;
        }

        if (c == '\0' || strchr(" \t\r\n;{", c) != NULL) {
            break;
        }
    }

    r->line += (c == '\n');

    if (c == ';' || c == '{' || c == '\0') {
        r->stop = c;
    }

    if (c != '\0') {
        *r->pos++ = '\0';
    }

    return start;
}


static char *
photactl_conf_quoted(photactl_reader_t *r, char quote)
{
    char  *start;

    for (start = r->pos; *r->pos != '\0' && *r->pos != quote; r->pos++) {

        if (*r->pos == '\\' && r->pos[1] != '\0') {
            r->pos++;
        }

        r->line += (*r->pos == '\n');
    }

    if (*r->pos != '\0') {
        *r->pos++ = '\0';
    }

    return start;
}


photactl_directive_t *
photactl_conf_next(photactl_conf_t *conf, photactl_directive_t *after,
    const char *name)
{
    photactl_directive_t  *d;

    d = (after != NULL) ? after->next : conf->first;

    while (d != NULL && strcmp(d->args[0], name) != 0) {
        d = d->next;
    }

    return d;
}


photactl_directive_t *
photactl_conf_in(photactl_conf_t *conf, photactl_directive_t *block,
    photactl_directive_t *after, const char *name)
{
    photactl_directive_t  *d;

    d = after;

    do {
        d = photactl_conf_next(conf, d, name);

    } while (d != NULL && d->parent != block);

    return d;
}


photactl_directive_t *
photactl_conf_get(photactl_conf_t *conf, photactl_directive_t *block,
    const char *name, photactl_directive_t **level)
{
    photactl_directive_t  *d;

    for ( ;; ) {
        d = photactl_conf_in(conf, block, NULL, name);

        if (level != NULL) {
            *level = block;
        }

        if (d != NULL || block == NULL) {
            return d;
        }

        block = block->parent;
    }
}


photactl_directive_t *
photactl_conf_around(photactl_directive_t *directive, const char *name)
{
    photactl_directive_t  *d;

    d = directive->parent;

    while (d != NULL && strcmp(d->args[0], name) != 0) {
        d = d->parent;
    }

    return d;
}


double
photactl_conf_time(const char *text)
{
    char    *end;
    size_t   i;
    double   n, total;

    static const struct {
        const char  *unit;
        double       seconds;
    } units[] = {
        { "ms", 0.001 }, { "s", 1 }, { "m", 60 }, { "h", 3600 },
        { "d", 86400 }, { "w", 604800 }, { "M", 2592000 }, { "y", 31536000 }
    };

    total = 0;

    while (*text != '\0') {
        n = strtod(text, &end);

        if (end == text) {
            return -1;
        }

        if (*end == '\0') {
            return total + n;
        }

        for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
            if (strncmp(end, units[i].unit, strlen(units[i].unit)) == 0) {
                break;
            }
        }

        if (i == sizeof(units) / sizeof(units[0])) {
            return -1;
        }

        total += n * units[i].seconds;
        text = end + strlen(units[i].unit);
        text += strspn(text, " ");
    }

    return total;
}


double
photactl_conf_size(const char *text)
{
    char    *end;
    double   n;

    n = strtod(text, &end);

    if (end == text) {
        return -1;
    }

    switch (*end) {

    case '\0':
        return n;

    case 'k':
    case 'K':
        return n * 1024;

    case 'm':
    case 'M':
        return n * 1024 * 1024;

    case 'g':
    case 'G':
        return n * 1024 * 1024 * 1024;

    default:
        return -1;
    }
}
