
/*
 * What the upstream says of jobs.  This is the one place that would change when
 * more of it is documented: members' names, words, where a result may lie, what
 * an HTTP status tells.  All else is reading: nothing is believed before the
 * text has come to its end as JSON, and of two members of one name the first
 * counts.
 */


#include "phota_job.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "phota_job_seek.h"


#define PHOTA_REPORT_WORD  32           /* those that we know are shorter */


typedef struct {
    phota_str_t            word;
    phota_report_e         state;
} phota_word_t;


typedef struct {
    phota_report_member_e  ids[2];      /* by these names, the best first */
    const phota_word_t    *words;
    unsigned               nwords;
    unsigned               training:1;
} phota_reading_t;


static int phota_report(const phota_reading_t *reading, unsigned status,
    const u_char *text, size_t len, phota_report_t *report);
static int phota_report_told(const phota_reading_t *reading, unsigned status,
    phota_seek_t *s, phota_report_t *report);
static phota_report_e phota_report_http(const phota_reading_t *reading,
    unsigned status, unsigned trouble);
static phota_report_e phota_report_state(const phota_reading_t *reading,
    unsigned status, phota_report_e word, unsigned outputs);
static phota_report_e phota_report_words(const phota_reading_t *reading,
    const phota_seek_t *s, u_char *buf, phota_str_t *status);
static phota_report_e phota_report_word(const phota_reading_t *reading,
    const phota_str_t *text);
static void phota_report_find(const phota_seek_t *s,
    phota_report_member_e member, size_t max, u_char *buf, phota_str_t *text);
static int phota_report_deliver(const phota_seek_t *s,
    phota_delivery_t *delivery);
static void phota_report_links(const phota_seek_t *s, u_char *buf,
    phota_report_t *report);
static int phota_report_is_link(const phota_str_t *text);


/* pictures in a copy of the request are those that were sent */

static const phota_report_name_t  phota_report_names[] = {
    { phota_string("job_id"), report_job_id },
    { phota_string("profile_id"), report_profile_id },
    { phota_string("id"), report_id },
    { phota_string("poll_url"), report_poll_url },
    { phota_string("status"), report_status },
    { phota_string("state"), report_state },

    { phota_string("job"), report_job },
    { phota_string("data"), report_data },

    { phota_string("images"), report_images },
    { phota_string("download_urls"), report_urls },

    { phota_string("code"), report_trouble },
    { phota_string("detail"), report_trouble },
    { phota_string("error"), report_trouble },

    { phota_string("request"), report_request },
    { phota_string("input"), report_request },
    { phota_string("inputs"), report_request },
    { phota_string("params"), report_request },
    { phota_string("parameters"), report_request }
};

#define PHOTA_REPORT_NAMES                                                    \
    (sizeof(phota_report_names) / sizeof(phota_report_names[0]))


/*
 * In small letters, without what separates their parts.  Any other word is one
 * of going on: queued, pending, submitted, accepted, created, in_progress,
 * processing, running, started, or what nobody has thought of.
 */

static const phota_word_t  phota_job_words[] = {
    { phota_string("completed"), PHOTA_REPORT_DONE },
    { phota_string("complete"), PHOTA_REPORT_DONE },
    { phota_string("succeeded"), PHOTA_REPORT_DONE },
    { phota_string("success"), PHOTA_REPORT_DONE },
    { phota_string("successful"), PHOTA_REPORT_DONE },
    { phota_string("done"), PHOTA_REPORT_DONE },
    { phota_string("finished"), PHOTA_REPORT_DONE },
    { phota_string("ready"), PHOTA_REPORT_DONE },

    { phota_string("failed"), PHOTA_REPORT_FAILED },
    { phota_string("failure"), PHOTA_REPORT_FAILED },
    { phota_string("error"), PHOTA_REPORT_FAILED },
    { phota_string("errored"), PHOTA_REPORT_FAILED },
    { phota_string("rejected"), PHOTA_REPORT_FAILED },
    { phota_string("canceled"), PHOTA_REPORT_FAILED },
    { phota_string("cancelled"), PHOTA_REPORT_FAILED },
    { phota_string("aborted"), PHOTA_REPORT_FAILED },
    { phota_string("blocked"), PHOTA_REPORT_FAILED },
    { phota_string("moderated"), PHOTA_REPORT_FAILED },
    { phota_string("contentmoderation"), PHOTA_REPORT_FAILED },

    { phota_string("expired"), PHOTA_REPORT_LOST },
    { phota_string("notfound"), PHOTA_REPORT_LOST },
    { phota_string("gone"), PHOTA_REPORT_LOST },
    { phota_string("deleted"), PHOTA_REPORT_LOST },
    { phota_string("timedout"), PHOTA_REPORT_LOST },
    { phota_string("timeout"), PHOTA_REPORT_LOST },

    /* the call's, not the job's */

    { phota_string("ok"), PHOTA_REPORT_NOTHING }
};


static const phota_word_t  phota_training_words[] = {
    { phota_string("ready"), PHOTA_REPORT_DONE },
    { phota_string("error"), PHOTA_REPORT_FAILED },
    { phota_string("inactive"), PHOTA_REPORT_LOST }
};


static const phota_reading_t  phota_job_reading = {
    { report_job_id, report_id }, phota_job_words,
    sizeof(phota_job_words) / sizeof(phota_job_words[0]), 0
};


static const phota_reading_t  phota_training_reading = {
    { report_profile_id, report_id }, phota_training_words,
    sizeof(phota_training_words) / sizeof(phota_training_words[0]), 1
};


int
phota_report_read(unsigned status, const u_char *text, size_t len,
    phota_report_t *report)
{
    return phota_report(&phota_job_reading, status, text, len, report);
}


int
phota_report_training(unsigned status, const u_char *text, size_t len,
    phota_report_t *report)
{
    return phota_report(&phota_training_reading, status, text, len, report);
}


void
phota_report_free(phota_report_t *report)
{
    free(report->memory);
    memset(report, 0, sizeof(phota_report_t));
}


static int
phota_report(const phota_reading_t *reading, unsigned status,
    const u_char *text, size_t len, phota_report_t *report)
{
    int            rc;
    phota_seek_t  *s;

    memset(report, 0, sizeof(phota_report_t));

    s = calloc(1, sizeof(phota_seek_t));
    if (s == NULL) {
        return PHOTA_ERROR;
    }

    s->names = phota_report_names;
    s->nnames = PHOTA_REPORT_NAMES;

    if (len <= PHOTA_REPORT_MAX && phota_seek_run(s, text, len) == PHOTA_OK) {
        rc = phota_report_told(reading, status, s, report);

    } else {
        report->state = phota_report_http(reading, status, 0);
        rc = PHOTA_OK;
    }

    free(s);

    if (rc != PHOTA_OK) {
        phota_report_free(report);
    }

    return rc;
}


static int
phota_report_told(const phota_reading_t *reading, unsigned status,
    phota_seek_t *s, phota_report_t *report)
{
    int              rc;
    u_char          *buf;
    phota_report_e   word;

    buf = malloc(PHOTA_JOB_ID_MAX + PHOTA_NAME_MAX
                 + PHOTA_URL_MAX * (1 + PHOTA_PICTURES_MAX));
    if (buf == NULL) {
        return PHOTA_ERROR;
    }

    report->memory = buf;

    phota_report_find(s, reading->ids[0], PHOTA_JOB_ID_MAX, buf, &report->id);

    if (report->id.len == 0) {
        phota_report_find(s, reading->ids[1], PHOTA_JOB_ID_MAX, buf,
                          &report->id);
    }

    buf += PHOTA_JOB_ID_MAX;
    word = phota_report_words(reading, s, buf, &report->status);

    buf += PHOTA_NAME_MAX;
    phota_report_find(s, report_poll_url, PHOTA_URL_MAX, buf,
                      &report->poll_url);

    if (status / 100 != 2) {
        report->state = phota_report_http(reading, status, s->trouble);
        return PHOTA_OK;
    }

    if (reading->training) {
        report->state = phota_report_state(reading, status, word, 0);
        report->delivery.outputs = (report->state == PHOTA_REPORT_DONE);
        return PHOTA_OK;
    }

    rc = phota_report_deliver(s, &report->delivery);
    if (rc != PHOTA_OK) {
        return rc;
    }

    if (s->several
        && (word == PHOTA_REPORT_DONE || word == PHOTA_REPORT_FAILED))
    {
        word = PHOTA_REPORT_LOST;
    }

    report->state = phota_report_state(reading, status, word,
                                       report->delivery.outputs);

    if (report->state != PHOTA_REPORT_DONE) {
        memset(&report->delivery, 0, sizeof(phota_delivery_t));
        return PHOTA_OK;
    }

    report->result_at = s->result_at;
    report->result_len = s->result_len;
    phota_report_links(s, buf + PHOTA_URL_MAX, report);

    return PHOTA_OK;
}


/* without a text that tells more */

static phota_report_e
phota_report_http(const phota_reading_t *reading, unsigned status,
    unsigned trouble)
{
    if (status == 202) {
        return PHOTA_REPORT_PENDING;
    }

    if (status == 404 || status == 410) {
        return PHOTA_REPORT_LOST;
    }

    /*
     * As a call that waits is told that it was blocked.  Any other 4xx speaks
     * of the poll, and what was paid for isn't void because of that.
     */

    return (status == 400 && trouble && !reading->training)
           ? PHOTA_REPORT_FAILED : PHOTA_REPORT_NOTHING;
}


/* word: what the text's means, PHOTA_REPORT_NOTHING where it has none */

static phota_report_e
phota_report_state(const phota_reading_t *reading, unsigned status,
    phota_report_e word, unsigned outputs)
{
    switch (word) {

    case PHOTA_REPORT_NOTHING:
        return outputs ? PHOTA_REPORT_DONE
                       : phota_report_http(reading, status, 0);

    case PHOTA_REPORT_DONE:

        /* a submit that succeeded is no job that did */

        if (outputs || reading->training) {
            return PHOTA_REPORT_DONE;
        }

        return (status == 202) ? PHOTA_REPORT_PENDING : PHOTA_REPORT_LOST;

    case PHOTA_REPORT_FAILED:

        /* it has made something: who knows what that costs */

        return outputs ? PHOTA_REPORT_LOST : PHOTA_REPORT_FAILED;

    default:
        return word;
    }
}


static phota_report_e
phota_report_words(const phota_reading_t *reading, const phota_seek_t *s,
    u_char *buf, phota_str_t *status)
{
    unsigned             place, member;
    phota_report_e       state;
    const phota_find_t  *find;

    for (place = 0; place < report_places; place++) {

        for (member = report_status; member <= report_state; member++) {
            find = &s->finds[place][member];

            if (find->at == 0) {
                continue;
            }

            (void) phota_seek_plain(s, find, PHOTA_NAME_MAX, buf, status);

            state = phota_report_word(reading, status);

            if (state != PHOTA_REPORT_NOTHING) {
                return state;
            }
        }
    }

    return PHOTA_REPORT_NOTHING;
}


static phota_report_e
phota_report_word(const phota_reading_t *reading, const phota_str_t *text)
{
    size_t              i, n;
    u_char              c, word[PHOTA_REPORT_WORD];
    const phota_str_t  *known;

    n = 0;

    for (i = 0; i < text->len; i++) {
        c = text->data[i];

        if (c == '_' || c == '-' || c == ' ') {
            continue;
        }

        if (n == sizeof(word)) {
            return PHOTA_REPORT_PENDING;
        }

        word[n++] = (u_char) ((c >= 'A' && c <= 'Z') ? c | 0x20 : c);
    }

    for (i = 0; i < reading->nwords; i++) {
        known = &reading->words[i].word;

        if (n == known->len && memcmp(word, known->data, n) == 0) {
            return reading->words[i].state;
        }
    }

    return PHOTA_REPORT_PENDING;
}


static void
phota_report_find(const phota_seek_t *s, phota_report_member_e member,
    size_t max, u_char *buf, phota_str_t *text)
{
    unsigned  place;

    for (place = 0; place < report_places; place++) {

        if (phota_seek_plain(s, &s->finds[place][member], max, buf, text)
            == PHOTA_OK)
        {
            return;
        }
    }
}


static int
phota_report_deliver(const phota_seek_t *s, phota_delivery_t *delivery)
{
    phota_answer_t  *answer;

    if (!s->picked || s->several) {
        return PHOTA_OK;
    }

    answer = phota_answer_create(PHOTA_ANSWER_IMAGES);
    if (answer == NULL) {
        return PHOTA_ERROR;
    }

    (void) phota_answer_update(answer, s->text + s->result_at, s->result_len);

    /* one that is ambiguous delivers nothing that we know of */

    if (phota_answer_final(answer, delivery) != PHOTA_OK) {
        memset(delivery, 0, sizeof(phota_delivery_t));
    }

    phota_answer_destroy(answer);

    return PHOTA_OK;
}


static void
phota_report_links(const phota_seek_t *s, u_char *buf, phota_report_t *report)
{
    unsigned             i, n;
    phota_str_t         *link;
    const phota_find_t  *finds;

    finds = s->nurls ? s->urls : s->images;
    n = s->nurls ? s->nurls : s->nimages;

    for (i = 0; i < n; i++) {
        link = &report->links[report->nlinks];

        if (phota_seek_plain(s, &finds[i], PHOTA_URL_MAX, buf, link)
            != PHOTA_OK)
        {
            continue;
        }

        if (s->nurls == 0 && !phota_report_is_link(link)) {
            memset(link, 0, sizeof(phota_str_t));
            continue;
        }

        report->nlinks++;
        buf += link->len;
    }
}


static int
phota_report_is_link(const phota_str_t *text)
{
    const char  *p;

    p = (const char *) text->data;

    return (text->len > 7 && strncasecmp(p, "http://", 7) == 0)
           || (text->len > 8 && strncasecmp(p, "https://", 8) == 0);
}
