
/*
 * The doctor on nginx's configuration: what in it loses money, pictures or
 * keys, by the text that "nginx -T" prints.  The module refuses some of that
 * itself, when a call is to go out; here it is seen before.
 */


#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "photactl_conf.h"
#include "photactl_doctor.h"


#define PHOTACTL_CONF_MAX     (64 << 20)        /* bytes */
#define PHOTACTL_CALL         600               /* s, that a call may take */
#define PHOTACTL_BODY         (32 * 1024 * 1024)

#define PHOTACTL_PARAMS       "include phota_params; in that location"


typedef struct {
    photactl_doctor_t     *d;
    photactl_conf_t        conf;
    photactl_directive_t  *location;    /* at work on: one out of which calls
                                           go */
    char                   where[512];
    unsigned               found;       /* in it */
} photactl_look_t;


static char *photactl_conf_text(photactl_doctor_t *d);
static char *photactl_conf_all(FILE *file);
static void photactl_conf_main(photactl_look_t *look);
static void photactl_conf_place(photactl_look_t *look, const char *name,
    const char *option, const char *ours);
static void photactl_conf_user(photactl_look_t *look);
static void photactl_conf_logs(photactl_look_t *look);
static void photactl_conf_listens(photactl_look_t *look);
static void photactl_conf_door(photactl_look_t *look,
    photactl_directive_t *pass);
static photactl_directive_t *photactl_conf_way(photactl_look_t *look,
    photactl_directive_t *pass);
static void photactl_conf_out(photactl_look_t *look);
static void photactl_conf_value(photactl_look_t *look, const char *name,
    const char *wanted, const char *otherwise, const char *why);
static void photactl_conf_waits(photactl_look_t *look, const char *name);
static void photactl_conf_headers(photactl_look_t *look);
static void photactl_conf_tls(photactl_look_t *look);
static int photactl_conf_near(const char *server);
static void photactl_conf_bad(photactl_look_t *look,
    photactl_severity_e severity, photactl_directive_t *at,
    const char *mend, const char *what, const char *why);


void
photactl_doctor_conf(photactl_doctor_t *d)
{
    char                  *text;
    unsigned               doors;
    photactl_look_t        look;
    photactl_directive_t  *pass;

    text = photactl_conf_text(d);

    if (text == NULL) {
        return;
    }

    memset(&look, 0, sizeof(look));
    look.d = d;

    if (photactl_conf_parse(&look.conf, text) != 0) {
        photactl_conf_free(&look.conf);
        return;
    }

    if (look.conf.missing[0] != '\0') {
        photactl_found(d, PHOTACTL_REMARK, "conf", look.conf.missing,
                       "nginx -T | photactl doctor --conf -",
                       "this file is included and isn't in what was read");
    }

    doors = 0;

    for (pass = photactl_conf_next(&look.conf, NULL, "phota_pass");
         pass != NULL;
         pass = photactl_conf_next(&look.conf, pass, "phota_pass"))
    {
        doors++;
        photactl_conf_door(&look, pass);
    }

    if (doors == 0) {
        photactl_found(d, PHOTACTL_REMARK, "conf", NULL,
                       "nginx -T -c FILE | photactl doctor --conf -",
                       "there is no phota_pass in nginx's configuration");

    } else {
        photactl_conf_main(&look);
    }

    photactl_conf_free(&look.conf);
}


/* NULL: said what is wrong */

static char *
photactl_conf_text(photactl_doctor_t *d)
{
    int          rc;
    char        *text;
    FILE        *file;
    const char  *path;

    path = d->ctl->opts[PHOTACTL_OPT_CONF];
    rc = 0;

    if (path == NULL) {
        file = popen("PATH=$PATH:/usr/local/sbin:/usr/sbin nginx -T "
                     "2>/dev/null </dev/null", "re");

    } else if (strcmp(path, "-") == 0) {
        file = stdin;

    } else {
        file = fopen(path, "re");
    }

    if (file == NULL) {
        photactl_found(d, PHOTACTL_FAULT, "conf", path, NULL,
                       "it can't be read: %s", strerror(errno));
        return NULL;
    }

    text = photactl_conf_all(file);

    if (path == NULL) {
        rc = pclose(file);

    } else if (file != stdin) {
        (void) fclose(file);
    }

    if (text == NULL || text[0] == '\0' || rc != 0) {
        photactl_found(d, PHOTACTL_REMARK, "conf", path,
                       "nginx -T | photactl doctor --conf -", "%s",
                       path ? "it is empty, or too large"
                            : "nginx -T can't be run here: nginx's "
                              "configuration was not looked at");
        free(text);
        return NULL;
    }

    return text;
}


static char *
photactl_conf_all(FILE *file)
{
    char    *text, *more;
    size_t   n, len, size;

    len = 0;
    size = 65536;
    text = malloc(size);

    while (text != NULL) {
        n = fread(text + len, 1, size - len - 1, file);
        len += n;
        text[len] = '\0';

        if (n == 0 || size >= PHOTACTL_CONF_MAX) {
            break;
        }

        if (len == size - 1) {
            size *= 2;
            more = realloc(text, size);

            if (more == NULL) {
                free(text);
            }

            text = more;
        }
    }

    return text;
}


static void
photactl_conf_main(photactl_look_t *look)
{
    double                 seconds;
    photactl_directive_t  *d;

    photactl_conf_place(look, "phota_data", "--data", look->d->ctl->data);
    photactl_conf_place(look, "phota_master_key", "--master-key",
                        photactl_shell(look->d->ctl)->master_path);
    photactl_conf_user(look);
    photactl_conf_logs(look);
    photactl_conf_listens(look);

    d = photactl_conf_next(&look->conf, NULL, "worker_shutdown_timeout");

    if (d != NULL && d->nargs > 1) {
        seconds = photactl_conf_time(d->args[1]);

        if (seconds >= 0 && seconds < PHOTACTL_CALL + 20) {
            photactl_conf_bad(look, PHOTACTL_FAULT, d,
                              "worker_shutdown_timeout 630s; or none",
                              "worker_shutdown_timeout is shorter than a call "
                              "may take", "each reload makes unknown charges "
                              "of calls under way");
        }
    }

    d = photactl_conf_next(&look->conf, NULL, "master_process");

    if (d != NULL && d->nargs > 1 && strcmp(d->args[1], "off") == 0) {
        photactl_conf_bad(look, PHOTACTL_WARNING, d, "remove it",
                          "master_process is off", "it is for nginx's "
                          "developers");
    }
}


/* what is looked at should be what nginx works with */

static void
photactl_conf_place(photactl_look_t *look, const char *name,
    const char *option, const char *ours)
{
    char                   mend[1200];
    struct stat            one, two;
    photactl_directive_t  *d;

    d = photactl_conf_next(&look->conf, NULL, name);

    if (d == NULL || d->nargs < 2) {
        return;
    }

    if (d->nargs > 2 && strcmp(name, "phota_master_key") == 0
        && look->d->old_master == NULL)
    {
        look->d->old_master = strdup(d->args[2]);
    }

    if (strcmp(d->args[1], ours) == 0
        || (stat(d->args[1], &one) == 0 && stat(ours, &two) == 0
            && one.st_dev == two.st_dev && one.st_ino == two.st_ino))
    {
        return;
    }

    (void) snprintf(mend, sizeof(mend), "photactl doctor %s %s", option,
                    d->args[1]);

    photactl_conf_bad(look, PHOTACTL_WARNING, d, mend, name,
                      "nginx has another one than the doctor looks at");
}


static void
photactl_conf_user(photactl_look_t *look)
{
    char                   mend[1200];
    struct passwd         *pw;
    photactl_directive_t  *d;

    d = photactl_conf_next(&look->conf, NULL, "user");

    if (d == NULL || d->nargs < 2 || look->d->uid == 0) {
        return;
    }

    pw = getpwnam(d->args[1]);

    if (pw == NULL || pw->pw_uid == look->d->uid) {
        return;
    }

    (void) snprintf(mend, sizeof(mend), "chown -R %s: %s", d->args[1],
                    look->d->ctl->data);

    photactl_conf_bad(look, PHOTACTL_FAULT, d, mend,
                      "workers run as another user than the data directory's",
                      "they can't open the books");
}


static void
photactl_conf_logs(photactl_look_t *look)
{
    size_t                 k;
    unsigned               i;
    photactl_directive_t  *d;

    static const char  *secrets[] = {
        "$http_x_api_key", "$http_authorization", "$http_x_photio_key",
        "$phota_upstream_key", "$request_body"
    };

    for (d = photactl_conf_next(&look->conf, NULL, "log_format");
         d != NULL;
         d = photactl_conf_next(&look->conf, d, "log_format"))
    {
        for (i = 2; i < d->nargs; i++) {
            for (k = 0; k < sizeof(secrets) / sizeof(secrets[0]); k++) {

                if (strstr(d->args[i], secrets[k]) != NULL) {
                    photactl_conf_bad(look, PHOTACTL_WARNING, d,
                                      "take it out of the log_format",
                                      secrets[k], "outside a door it writes "
                                      "tokens or pictures to the log");
                }
            }
        }
    }
}


/* tokens are worth money */

static void
photactl_conf_listens(photactl_look_t *look)
{
    unsigned               i, tls;
    photactl_directive_t  *d, *server;

    for (d = photactl_conf_next(&look->conf, NULL, "listen");
         d != NULL;
         d = photactl_conf_next(&look->conf, d, "listen"))
    {
        server = photactl_conf_around(d, "server");

        if (server == NULL || d->nargs < 2 || photactl_conf_near(d->args[1])) {
            continue;
        }

        tls = 0;

        for (i = 2; i < d->nargs; i++) {
            tls |= (strcmp(d->args[i], "ssl") == 0
                    || strcmp(d->args[i], "quic") == 0);
        }

        if (!tls) {
            photactl_conf_bad(look, PHOTACTL_REMARK, d,
                              "listen 443 ssl; or TLS in front of it",
                              "listens without TLS",
                              "tokens go over the network as they are");
        }
    }
}


static void
photactl_conf_door(photactl_look_t *look, photactl_directive_t *pass)
{
    double                 size;
    photactl_directive_t  *d, *door;

    door = pass->parent;

    d = photactl_conf_get(&look->conf, door, "phota_max_body", NULL);
    size = (d != NULL && d->nargs > 1) ? photactl_conf_size(d->args[1]) : -1;

    if (size > 0 && size < PHOTACTL_BODY) {
        photactl_conf_bad(look, PHOTACTL_WARNING, d, "phota_max_body 32m;",
                          "phota_max_body is less than 32m",
                          "calls with large pictures are refused");
    }

    if (pass->nargs < 2) {
        return;
    }

    look->location = photactl_conf_way(look, pass);

    if (look->location == NULL) {
        photactl_conf_bad(look, PHOTACTL_FAULT, pass, NULL, pass->args[1],
                          "there is no location of this prefix in the server");
        return;
    }

    photactl_conf_out(look);
}


/* the longest prefix wins, as in nginx */

static photactl_directive_t *
photactl_conf_way(photactl_look_t *look, photactl_directive_t *pass)
{
    size_t                 len, longest;
    const char            *prefix;
    photactl_directive_t  *d, *best, *server;

    best = NULL;
    longest = 0;
    server = photactl_conf_around(pass, "server");

    for (d = photactl_conf_next(&look->conf, NULL, "location");
         d != NULL;
         d = photactl_conf_next(&look->conf, d, "location"))
    {
        if (d->nargs < 2 || photactl_conf_around(d, "server") != server) {
            continue;
        }

        prefix = d->args[d->nargs - 1];
        len = strlen(prefix);

        if (prefix[0] == '/' && len > longest
            && strncmp(prefix, pass->args[1], len) == 0)
        {
            longest = len;
            best = d;
        }
    }

    return best;
}


static void
photactl_conf_out(photactl_look_t *look)
{
    look->found = 0;

    photactl_conf_value(look, "proxy_ignore_client_abort", "on", "off",
                        "what a client that leaves has bought is lost");
    photactl_conf_value(look, "proxy_next_upstream", "off", "error timeout",
                        "a call can be bought twice");
    photactl_conf_value(look, "proxy_buffering", "on", "on",
                        "a client that reads slowly holds up the upstream");
    photactl_conf_value(look, "proxy_store", "off", "off",
                        "what was paid for lies outside the cache");
    photactl_conf_value(look, "proxy_cache", "off", "off",
                        "another's picture may be the answer");

    photactl_conf_waits(look, "proxy_read_timeout");
    photactl_conf_waits(look, "proxy_send_timeout");
    photactl_conf_headers(look);
    photactl_conf_tls(look);

    if (look->found == 0) {
        (void) snprintf(look->where, sizeof(look->where), "%.300s:%u",
                        look->location->file, look->location->line);
        photactl_found(look->d, PHOTACTL_FINE, "conf", look->where, NULL,
                       "location %.64s loses no money",
                       look->location->args[look->location->nargs - 1]);
    }
}


static void
photactl_conf_value(photactl_look_t *look, const char *name,
    const char *wanted, const char *otherwise, const char *why)
{
    unsigned               i, twice;
    char                   what[160];
    photactl_directive_t  *d;

    d = photactl_conf_get(&look->conf, look->location, name, NULL);

    if (strcmp((d != NULL && d->nargs > 1) ? d->args[1] : otherwise, wanted)
        == 0)
    {
        return;
    }

    twice = 0;

    for (i = 1; d != NULL && i < d->nargs; i++) {
        twice |= (strcmp(d->args[i], "non_idempotent") == 0);
    }

    (void) snprintf(what, sizeof(what), "%s%s is not %s", name,
                    twice ? " with non_idempotent" : "", wanted);

    photactl_conf_bad(look, strcmp(name, "proxy_buffering") == 0
                            ? PHOTACTL_WARNING : PHOTACTL_FAULT,
                      d ? d : look->location, PHOTACTL_PARAMS, what, why);
}


static void
photactl_conf_waits(photactl_look_t *look, const char *name)
{
    char                   what[160];
    double                 seconds;
    photactl_directive_t  *d;

    d = photactl_conf_get(&look->conf, look->location, name, NULL);
    seconds = (d != NULL && d->nargs > 1) ? photactl_conf_time(d->args[1])
                                          : 60;

    if (seconds < 0 || seconds > PHOTACTL_CALL) {
        return;
    }

    (void) snprintf(what, sizeof(what), "%s is %.0f s, and a call may take "
                    "%d", name, seconds, PHOTACTL_CALL);

    photactl_conf_bad(look, PHOTACTL_FAULT, d ? d : look->location,
                      PHOTACTL_PARAMS, what,
                      "a timeout of our own makes an unknown charge");
}


/* all of the nearest block that has any are in force, and no others */

static void
photactl_conf_headers(photactl_look_t *look)
{
    size_t                 i;
    unsigned               key, missing;
    photactl_directive_t  *d, *level;

    static const char  *empty[] = {
        "Authorization", "Range", "Accept-Encoding", "Cookie", "If-None-Match"
    };

    key = 0;
    level = NULL;

    (void) photactl_conf_get(&look->conf, look->location, "proxy_set_header",
                             &level);

    for (d = photactl_conf_in(&look->conf, level, NULL, "proxy_set_header");
         d != NULL;
         d = photactl_conf_in(&look->conf, level, d, "proxy_set_header"))
    {
        key |= (d->nargs == 3
                && strstr(d->args[2], "$phota_upstream_key") != NULL);
    }

    if (!key) {
        photactl_conf_bad(look, PHOTACTL_FAULT, look->location,
                          PHOTACTL_PARAMS, "no proxy_set_header hands on "
                          "$phota_upstream_key", "no call can be bought");
    }

    missing = 0;

    for (i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {

        d = photactl_conf_in(&look->conf, level, NULL, "proxy_set_header");

        while (d != NULL
               && (d->nargs < 2 || strcasecmp(d->args[1], empty[i]) != 0))
        {
            d = photactl_conf_in(&look->conf, level, d, "proxy_set_header");
        }

        missing |= (d == NULL);
    }

    if (missing) {
        photactl_conf_bad(look, PHOTACTL_WARNING, look->location,
                          PHOTACTL_PARAMS, "headers of clients go up that "
                          "phota_params takes off",
                          "an answer may be a part, compressed, or another's");
    }
}


static void
photactl_conf_tls(photactl_look_t *look)
{
    int                    near;
    char                   host[256];
    size_t                 len;
    const char            *url;
    photactl_directive_t  *d, *pass, *server, *upstream;

    pass = photactl_conf_in(&look->conf, look->location, NULL, "proxy_pass");

    if (pass == NULL || pass->nargs < 2) {
        photactl_conf_bad(look, PHOTACTL_FAULT, look->location,
                          "proxy_pass https://phota_api/;",
                          "there is no proxy_pass", "calls go nowhere");
        return;
    }

    url = strstr(pass->args[1], "://");

    if (url == NULL) {
        return;
    }

    url += 3;
    len = strcspn(url, "/");

    (void) snprintf(host, sizeof(host), "%.*s", (int) len, url);

    near = photactl_conf_near(host);

    for (upstream = photactl_conf_next(&look->conf, NULL, "upstream");
         upstream != NULL;
         upstream = photactl_conf_next(&look->conf, upstream, "upstream"))
    {
        if (upstream->nargs < 2 || strcmp(upstream->args[1], host) != 0) {
            continue;
        }

        near = 1;

        for (server = photactl_conf_in(&look->conf, upstream, NULL, "server");
             server != NULL;
             server = photactl_conf_in(&look->conf, upstream, server,
                                       "server"))
        {
            near &= (server->nargs > 1
                     && photactl_conf_near(server->args[1]));
        }

        d = photactl_conf_in(&look->conf, upstream, NULL, "keepalive");

        if (d != NULL) {
            photactl_conf_bad(look, PHOTACTL_WARNING, d, "take it out",
                              "keepalive in the upstream", "a call on a stale "
                              "connection makes an unknown charge");
        }
    }

    if (strncmp(pass->args[1], "https:", 6) != 0) {

        if (!near) {
            photactl_conf_bad(look, PHOTACTL_FAULT, pass,
                              "proxy_pass https://...;",
                              "proxy_pass without TLS",
                              "the upstream key goes over the network as it "
                              "is");
        }

        return;
    }

    photactl_conf_value(look, "proxy_ssl_verify", "on", "off",
                        "who answers isn't known, and gets the upstream key");
    photactl_conf_value(look, "proxy_ssl_server_name", "on", "off",
                        "the upstream may show another's certificate");
}


/* on this machine */

static int
photactl_conf_near(const char *server)
{
    return strncmp(server, "127.", 4) == 0
           || strncmp(server, "localhost", 9) == 0
           || strncmp(server, "[::1]", 5) == 0
           || strncmp(server, "unix:", 5) == 0;
}


static void
photactl_conf_bad(photactl_look_t *look, photactl_severity_e severity,
    photactl_directive_t *at, const char *mend, const char *what,
    const char *why)
{
    look->found++;

    (void) snprintf(look->where, sizeof(look->where), "%.300s:%u", at->file,
                    at->line);

    photactl_found(look->d, severity, "conf", look->where, mend, "%s: %s",
                   what, why);
}
