
/*
 * Encoding and decoding of jobs.  A record is refused unless it is, to the
 * byte, what was written for its charge: it says whose pictures they are, and
 * where to call back.
 */


#include <string.h>

#include "phota_digest.h"
#include "phota_jobs_record.h"
#include "phota_order.h"


#define PHOTA_JOB_VERSION   1

#define PHOTA_JOB_STORABLE  0x01
#define PHOTA_JOB_IN_CACHE  0x02
#define PHOTA_JOB_LINKS     0x04
#define PHOTA_JOB_UNMARKED  0x08
#define PHOTA_JOB_FLAGS     0x0f


static int phota_job_sane(const phota_job_t *job);
static void phota_job_write(phota_writer_t *w, const phota_job_t *job);
static void phota_job_write_texts(phota_writer_t *w, const phota_job_t *job);
static void phota_job_read(phota_reader_t *r, phota_job_t *job);
static void phota_job_read_marks(phota_reader_t *r, phota_job_t *job);
static void phota_job_read_texts(phota_reader_t *r, phota_job_t *job);
static void phota_job_write_url(phota_writer_t *w, const char *url);
static void phota_job_read_url(phota_reader_t *r, char *buf, size_t size);


int
phota_job_check(const phota_job_t *job, phota_error_t *err)
{
    size_t  i;

    const struct {
        const char  *what;
        const char  *text;
        size_t       size;
    } texts[] = {
        { "tag", job->tag, sizeof(job->tag) },
        { "upstream's id", job->upstream, sizeof(job->upstream) },
        { "request id", job->request_id, sizeof(job->request_id) },
        { "door", job->door, sizeof(job->door) },
        { "callback", job->callback, sizeof(job->callback) },
        { "trouble", job->trouble, sizeof(job->trouble) }
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {

        if (memchr(texts[i].text, '\0', texts[i].size) == NULL) {
            phota_error(err, "a job's %s is longer than %d bytes",
                        texts[i].what, (int) texts[i].size - 1);
            return PHOTA_INVALID;
        }
    }

    if (!phota_job_sane(job)) {
        phota_error(err, "a job that is nobody's, or none that there can be");
        return PHOTA_INVALID;
    }

    return PHOTA_OK;
}


static int
phota_job_sane(const phota_job_t *job)
{
    return job->tenant != 0
           && job->provider < PHOTA_PROVIDER_MAX
           && job->operation < PHOTA_OP_MAX
           && job->kind <= PHOTA_JOB_STORED
           && job->state <= PHOTA_JOB_LOST
           && job->delivery <= PHOTA_DELIVERY_GIVEN_UP
           && job->nmarks <= PHOTA_MARKS_MAX;
}


int
phota_job_encode(const phota_job_t *job, u_char *buf, size_t *len)
{
    phota_writer_t  w;

    phota_write_init(&w, buf, *len);

    phota_job_write(&w, job);
    phota_job_write_texts(&w, job);
    phota_write_digest(&w, job->charge.b, sizeof(phota_id_t));

    *len = (size_t) (w.pos - w.start);

    return w.rc;
}


static void
phota_job_write(phota_writer_t *w, const phota_job_t *job)
{
    unsigned  i, flags;

    flags = (job->storable ? PHOTA_JOB_STORABLE : 0)
            | (job->stored ? PHOTA_JOB_IN_CACHE : 0)
            | (job->links ? PHOTA_JOB_LINKS : 0)
            | (job->unmarked ? PHOTA_JOB_UNMARKED : 0);

    phota_write_number(w, PHOTA_JOB_VERSION, 1);
    phota_write_number(w, job->tenant, 4);
    phota_write_number(w, job->provider, 1);
    phota_write_number(w, job->operation, 1);
    phota_write_number(w, job->kind, 1);
    phota_write_number(w, job->state, 1);
    phota_write_number(w, job->delivery, 1);
    phota_write_number(w, flags, 1);
    phota_write_number(w, job->submitted, 8);
    phota_write_number(w, job->ended, 8);
    phota_write_number(w, job->due, 8);
    phota_write_number(w, job->polls, 4);
    phota_write_number(w, job->fetches, 4);
    phota_write_number(w, job->tries, 4);
    phota_write_number(w, job->answered, 4);
    phota_write_number(w, job->asked, 4);
    phota_write_number(w, job->scope, 4);
    phota_write_number(w, job->since, 8);
    phota_write_number(w, job->valid, 8);
    phota_write_bytes(w, job->fingerprint, PHOTA_SHA256_LEN);
    phota_write_number(w, job->nmarks, 1);

    for (i = 0; i < job->nmarks; i++) {
        phota_write_number(w, job->marks[i], 8);
    }
}


static void
phota_job_write_texts(phota_writer_t *w, const phota_job_t *job)
{
    phota_write_text(w, job->tag);
    phota_write_text(w, job->upstream);
    phota_write_text(w, job->request_id);
    phota_write_text(w, job->door);
    phota_write_text(w, job->trouble);
    phota_job_write_url(w, job->callback);
}


int
phota_job_decode(phota_job_t *job, const phota_id_t *charge, const void *p,
    size_t len)
{
    phota_reader_t  r;

    if (phota_read_digest(&r, p, len, charge->b, sizeof(phota_id_t))
        != PHOTA_OK
        || phota_read_number(&r, 1) != PHOTA_JOB_VERSION)
    {
        return PHOTA_ERROR;
    }

    memset(job, 0, sizeof(phota_job_t));

    job->charge = *charge;

    phota_job_read(&r, job);
    phota_job_read_marks(&r, job);
    phota_job_read_texts(&r, job);

    return (phota_read_end(&r) == PHOTA_OK && phota_job_sane(job))
           ? PHOTA_OK : PHOTA_ERROR;
}


static void
phota_job_read(phota_reader_t *r, phota_job_t *job)
{
    unsigned  flags;

    job->tenant = (uint32_t) phota_read_number(r, 4);
    job->provider = (uint8_t) phota_read_number(r, 1);
    job->operation = (uint8_t) phota_read_number(r, 1);
    job->kind = (uint8_t) phota_read_number(r, 1);
    job->state = (uint8_t) phota_read_number(r, 1);
    job->delivery = (uint8_t) phota_read_number(r, 1);
    flags = (unsigned) phota_read_number(r, 1);
    job->submitted = phota_read_number(r, 8);
    job->ended = phota_read_number(r, 8);
    job->due = phota_read_number(r, 8);
    job->polls = (uint32_t) phota_read_number(r, 4);
    job->fetches = (uint32_t) phota_read_number(r, 4);
    job->tries = (uint32_t) phota_read_number(r, 4);
    job->answered = (uint32_t) phota_read_number(r, 4);
    job->asked = (uint32_t) phota_read_number(r, 4);
    job->scope = (uint32_t) phota_read_number(r, 4);
    job->since = phota_read_number(r, 8);
    job->valid = phota_read_number(r, 8);

    job->storable = (flags & PHOTA_JOB_STORABLE) != 0;
    job->stored = (flags & PHOTA_JOB_IN_CACHE) != 0;
    job->links = (flags & PHOTA_JOB_LINKS) != 0;
    job->unmarked = (flags & PHOTA_JOB_UNMARKED) != 0;

    if (flags & ~(unsigned) PHOTA_JOB_FLAGS) {
        r->rc = PHOTA_ERROR;
    }
}


static void
phota_job_read_marks(phota_reader_t *r, phota_job_t *job)
{
    unsigned       i;
    const u_char  *fingerprint;

    fingerprint = phota_read_bytes(r, PHOTA_SHA256_LEN);
    job->nmarks = (unsigned) phota_read_number(r, 1);

    if (fingerprint == NULL || job->nmarks > PHOTA_MARKS_MAX) {
        r->rc = PHOTA_ERROR;
        return;
    }

    memcpy(job->fingerprint, fingerprint, PHOTA_SHA256_LEN);

    for (i = 0; i < job->nmarks; i++) {
        job->marks[i] = phota_read_number(r, 8);
    }
}


static void
phota_job_read_texts(phota_reader_t *r, phota_job_t *job)
{
    phota_read_text(r, job->tag, sizeof(job->tag));
    phota_read_text(r, job->upstream, sizeof(job->upstream));
    phota_read_text(r, job->request_id, sizeof(job->request_id));
    phota_read_text(r, job->door, sizeof(job->door));
    phota_read_text(r, job->trouble, sizeof(job->trouble));
    phota_job_read_url(r, job->callback, sizeof(job->callback));
}


/* longer than a text of a record may be */

static void
phota_job_write_url(phota_writer_t *w, const char *url)
{
    size_t  len;

    len = strlen(url);

    phota_write_number(w, len, 2);
    phota_write_bytes(w, url, len);
}


static void
phota_job_read_url(phota_reader_t *r, char *buf, size_t size)
{
    size_t         len;
    const u_char  *p;

    len = (size_t) phota_read_number(r, 2);
    p = phota_read_bytes(r, len);

    if (p == NULL || len >= size || memchr(p, '\0', len) != NULL) {
        r->rc = PHOTA_ERROR;
        return;
    }

    memcpy(buf, p, len);
    buf[len] = '\0';
}


int
phota_job_keys(phota_job_keys_t *keys, const phota_job_t *job)
{
    size_t             i;
    const phota_id_t  *charge;

    charge = &job->charge;

    if (phota_job_name_key(keys->name, job->tenant, job->kind, job->provider,
                           job->upstream)
        != PHOTA_OK)
    {
        return PHOTA_ERROR;
    }

    phota_put_be(keys->due, job->due, 8);

    if (job->kind == PHOTA_JOB_IMAGES) {
        phota_job_open_key(keys->open, job->tenant, job->fingerprint,
                           job->asked);
        keys->is_open = (job->state == PHOTA_JOB_OPEN && job->storable);

    } else {
        phota_job_waiting_key(keys->open, job->tenant);
        keys->is_open = (job->kind == PHOTA_JOB_STORED
                         && job->delivery == PHOTA_DELIVERY_WAITING);
    }

    i = sizeof(phota_id_t);

    memcpy(keys->name + PHOTA_JOB_NAME_KEY - i, charge->b, i);
    memcpy(keys->due + PHOTA_JOB_DUE_KEY - i, charge->b, i);
    memcpy(keys->open + PHOTA_JOB_OPEN_KEY - i, charge->b, i);

    return PHOTA_OK;
}


/* ids are the upstream's word, of any length: keys have one of theirs */

int
phota_job_name_key(u_char key[PHOTA_JOB_NAME_KEY], uint32_t tenant,
    unsigned kind, unsigned provider, const char *upstream)
{
    size_t  len;
    u_char  text[2 + PHOTA_JOB_ID_MAX];

    len = strnlen(upstream, PHOTA_JOB_ID_MAX);

    text[0] = (u_char) kind;
    text[1] = (u_char) provider;
    memcpy(text + 2, upstream, len);

    phota_put_be(key, tenant, 4);

    return phota_sha256(key + 4, text, 2 + len);
}


void
phota_job_open_key(u_char key[PHOTA_JOB_OPEN_KEY], uint32_t tenant,
    const u_char fingerprint[PHOTA_SHA256_LEN], uint32_t asked)
{
    phota_put_be(key, tenant, 4);
    memcpy(key + 4, fingerprint, PHOTA_SHA256_LEN);
    phota_put_be(key + 4 + PHOTA_SHA256_LEN, asked, 4);
}


/* apart from all that are open: nothing has this fingerprint */

void
phota_job_waiting_key(u_char key[PHOTA_JOB_OPEN_KEY], uint32_t tenant)
{
    memset(key, 0, PHOTA_JOB_OPEN_KEY);
    phota_put_be(key, tenant, 4);
}
