
/*
 * The doctor's question to the upstream, with each key that is sealed in the
 * books: a list of profiles, which costs nothing.  A key goes into one header
 * of one request and is shown nowhere.
 */


#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "phota_sealed.h"
#include "photactl_doctor.h"


#define PHOTACTL_UPSTREAM      "https://api.photalabs.com"
#define PHOTACTL_ONLINE_PATH   "/v1/phota/profiles/ids"
#define PHOTACTL_ONLINE_WAIT   15L          /* s */


typedef struct {
    photactl_doctor_t  *d;
    CURL               *curl;
    char                url[1024];
} photactl_online_t;


static int photactl_online_key(void *ctx, const phota_seal_t *bound,
    const u_char *sealed, size_t len);
static void photactl_online_ask(photactl_online_t *o, const char *whose,
    const u_char *key, size_t len);
static size_t photactl_online_ignore(char *p, size_t size, size_t n,
    void *ctx);


void
photactl_doctor_online(photactl_doctor_t *d)
{
    size_t             len;
    const char        *url;
    photactl_online_t  o;

    if (!d->books || !d->master) {
        return;
    }

    url = d->ctl->opts[PHOTACTL_OPT_UPSTREAM];
    url = (url != NULL) ? url : PHOTACTL_UPSTREAM;
    len = strlen(url);

    while (len && url[len - 1] == '/') {
        len--;
    }

    o.d = d;
    (void) snprintf(o.url, sizeof(o.url), "%.*s" PHOTACTL_ONLINE_PATH,
                    (int) len, url);

    (void) curl_global_init(CURL_GLOBAL_DEFAULT);

    o.curl = curl_easy_init();

    if (o.curl == NULL) {
        photactl_found(d, PHOTACTL_REMARK, "online", NULL, NULL,
                       "libcurl doesn't start");
        return;
    }

    (void) phota_sealed_each(&d->ctl->tenants, photactl_online_key, &o,
                             &d->ctl->err);

    curl_easy_cleanup(o.curl);
    curl_global_cleanup();
}


static int
photactl_online_key(void *ctx, const phota_seal_t *bound,
    const u_char *sealed, size_t len)
{
    photactl_online_t  *o = ctx;

    char         name[16];
    size_t       n;
    u_char       key[PHOTA_KEY_MAX];
    const char  *whose;

    if (bound->what != PHOTA_SECRET_KEY
        || bound->provider != PHOTA_PROVIDER_PHOTA)
    {
        return PHOTA_OK;
    }

    whose = (bound->tenant == PHOTA_TENANT_DEFAULT)
            ? "--default" : photactl_name(o->d->ctl, bound->tenant, name);

    n = sizeof(key);

    if (phota_unseal(&o->d->ctl->master, bound, sealed, len, key, &n)
        == PHOTA_OK)
    {
        photactl_online_ask(o, whose, key, n);
    }

    phota_cleanse(key, sizeof(key));

    return PHOTA_OK;
}


static void
photactl_online_ask(photactl_online_t *o, const char *whose,
    const u_char *key, size_t len)
{
    char                mend[128], header[PHOTA_KEY_MAX + 16];
    long                status;
    CURLcode            rc;
    struct curl_slist  *headers;

    (void) snprintf(header, sizeof(header), "X-API-Key: %.*s", (int) len,
                    (const char *) key);

    headers = curl_slist_append(NULL, header);
    status = 0;

    (void) curl_easy_setopt(o->curl, CURLOPT_URL, o->url);
    (void) curl_easy_setopt(o->curl, CURLOPT_HTTPHEADER, headers);
    (void) curl_easy_setopt(o->curl, CURLOPT_TIMEOUT, PHOTACTL_ONLINE_WAIT);
    (void) curl_easy_setopt(o->curl, CURLOPT_NOSIGNAL, 1L);
    (void) curl_easy_setopt(o->curl, CURLOPT_WRITEFUNCTION,
                            photactl_online_ignore);

    rc = curl_easy_perform(o->curl);

    (void) curl_easy_getinfo(o->curl, CURLINFO_RESPONSE_CODE, &status);

    if (headers != NULL) {
        phota_cleanse(headers->data, strlen(headers->data));
    }

    curl_slist_free_all(headers);
    phota_cleanse(header, sizeof(header));

    (void) snprintf(mend, sizeof(mend), "photactl key set %.64s", whose);

    if (rc != CURLE_OK) {
        photactl_found(o->d, PHOTACTL_WARNING, "online", whose,
                       "look at DNS, the network, or --upstream",
                       "the upstream can't be asked: %s",
                       curl_easy_strerror(rc));

    } else if (status == 401 || status == 403) {
        photactl_found(o->d, PHOTACTL_FAULT, "online", whose, mend,
                       "the upstream refuses the key (%ld): calls get 502 "
                       "UPSTREAM_AUTH", status);

    } else if (status == 402) {
        photactl_found(o->d, PHOTACTL_FAULT, "online", whose,
                       "pay the provider", "the account has no balance (402)");

    } else if (status != 200) {
        photactl_found(o->d, PHOTACTL_WARNING, "online", whose, NULL,
                       "the upstream answers %ld", status);

    } else {
        photactl_found(o->d, PHOTACTL_FINE, "online", whose, NULL,
                       "the upstream takes the key");
    }
}


static size_t
photactl_online_ignore(char *p, size_t size, size_t n, void *ctx)
{
    (void) p;
    (void) ctx;

    return size * n;
}
