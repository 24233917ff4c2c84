
/*
 * What is heard of a job, by a tenant's poll, one of the gateway's own or a
 * callback: read and written by the writer's thread, so that the first word of
 * its end settles the charge, and every later one changes nothing.
 */


#include "ngx_http_phota_module.h"


static int ngx_http_phota_news_run(ngx_http_phota_job_t *job, MDB_txn *txn);
static int ngx_http_phota_news_text(ngx_http_phota_news_t *news);
static int ngx_http_phota_news_read(ngx_http_phota_news_t *news,
    phota_report_t *report);
static ngx_uint_t ngx_http_phota_news_doubtful(
    const ngx_http_phota_news_t *news, const phota_report_t *report);
static int ngx_http_phota_news_apply(ngx_http_phota_news_t *news,
    MDB_txn *txn, const phota_report_t *report);
static int ngx_http_phota_news_keep(ngx_http_phota_news_t *news,
    MDB_txn *txn, const phota_report_t *report);
static size_t ngx_http_phota_news_kept(const ngx_http_phota_news_t *news,
    const phota_report_t *report);
static int ngx_http_phota_news_wait(ngx_http_phota_news_t *news,
    MDB_txn *txn);
static int ngx_http_phota_news_end(ngx_http_phota_news_t *news, MDB_txn *txn,
    const phota_report_t *report, phota_report_e state);
static int ngx_http_phota_news_training(ngx_http_phota_news_t *news,
    MDB_txn *txn, phota_report_e state);
static void ngx_http_phota_news_done(ngx_http_phota_job_t *job);


void
ngx_http_phota_news_post(ngx_http_phota_news_t *news)
{
    news->job.run = ngx_http_phota_news_run;
    news->job.done = ngx_http_phota_news_done;

    ngx_http_phota_post(&ngx_http_phota_worker.books_writer, &news->job);
}


void
ngx_http_phota_news_free(ngx_http_phota_news_t *news)
{
    if (news->spool) {
        ngx_http_phota_spool_free(news->spool);
    }

    if (news->text) {
        ngx_free(news->text);
    }

    ngx_free(news);
}


static int
ngx_http_phota_news_run(ngx_http_phota_job_t *job, MDB_txn *txn)
{
    int                     rc;
    phota_report_t          report;
    ngx_http_phota_news_t  *news;

    news = (ngx_http_phota_news_t *)
               ((u_char *) job - offsetof(ngx_http_phota_news_t, job));

    news->ended = 0;

    if (ngx_http_phota_news_text(news) != PHOTA_OK) {
        phota_error(&job->err, "an answer could not be read");
        return PHOTA_ERROR;
    }

    rc = phota_job_get(&ngx_http_phota_worker.jobs, txn, &news->charge,
                       &news->row, &job->err);

    if (rc != PHOTA_OK) {
        return rc;
    }

    rc = ngx_http_phota_news_read(news, &report);

    if (rc != PHOTA_OK) {
        return rc;
    }

    news->whole = (report.state == PHOTA_REPORT_DONE && !news->called_back);

    if (news->row.state == PHOTA_JOB_OPEN
        && ngx_http_phota_news_doubtful(news, &report))
    {
        rc = phota_job_hurry(&ngx_http_phota_worker.jobs, txn, &news->charge,
                             phota_now(), &job->err);

    } else if (news->row.state == PHOTA_JOB_OPEN
               || (news->row.state == PHOTA_JOB_LOST && news->whole))
    {
        /* what was lost and is found is paid for */

        rc = ngx_http_phota_news_apply(news, txn, &report);

    } else if (report.state == PHOTA_REPORT_DONE) {
        rc = ngx_http_phota_news_keep(news, txn, &report);
    }

    phota_report_free(&report);

    return rc;
}


/* a job that a callback has ended: what a poll says of it is kept, once */

static int
ngx_http_phota_news_keep(ngx_http_phota_news_t *news, MDB_txn *txn,
    const phota_report_t *report)
{
    size_t         len;
    const u_char  *text;

    if (news->called_back
        || phota_job_text(&ngx_http_phota_worker.jobs, txn, &news->charge,
                          &text, &len)
           != PHOTA_DECLINED)
    {
        return PHOTA_OK;
    }

    return phota_job_put(&ngx_http_phota_worker.jobs, txn, &news->row,
                         news->text, ngx_http_phota_news_kept(news, report),
                         &news->job.err);
}


/*
 * Of what is told by links all; pictures themselves have no place in the books,
 * which no purge, no limit and no end of a profile takes them out of again.
 */

static size_t
ngx_http_phota_news_kept(const ngx_http_phota_news_t *news,
    const phota_report_t *report)
{
    return (report->result_len && report->nlinks == 0) ? 0 : news->len;
}


static int
ngx_http_phota_news_text(ngx_http_phota_news_t *news)
{
    off_t  size;

    if (news->spool == NULL || news->text) {
        return PHOTA_OK;
    }

    size = ngx_http_phota_spool_size(news->spool);

    if (size == 0 || size > (off_t) PHOTA_REPORT_MAX) {
        return PHOTA_OK;
    }

    news->text = ngx_alloc(size, ngx_cycle->log);
    if (news->text == NULL) {
        return PHOTA_ERROR;
    }

    news->len = size;

    return ngx_http_phota_spool_read(news->spool, news->text, size, 0);
}


static int
ngx_http_phota_news_read(ngx_http_phota_news_t *news, phota_report_t *report)
{
    const u_char  *text;

    text = news->text ? news->text : (u_char *) "";

    if (news->row.kind == PHOTA_JOB_TRAINING) {
        return phota_report_training(news->status, text, news->len, report);
    }

    return phota_report_read(news->status, text, news->len, report);
}


/*
 * A callback proves who wrote it, not which job it was sent for; and one that
 * merely says that there is a result tells of no picture.  A tenant's poll has
 * the tenant's headers, and an error may be about these.  The upstream is asked
 * then.
 */

static ngx_uint_t
ngx_http_phota_news_doubtful(const ngx_http_phota_news_t *news,
    const phota_report_t *report)
{
    size_t  len;

    if (!news->called_back) {
        return news->by_tenant && news->status / 100 != 2
               && (report->state == PHOTA_REPORT_FAILED
                   || report->state == PHOTA_REPORT_LOST);
    }

    len = ngx_strlen(news->row.upstream);

    return report->state == PHOTA_REPORT_LOST
           || (report->id.len
               && (report->id.len != len
                   || ngx_memcmp(report->id.data, news->row.upstream, len)
                      != 0));
}


static int
ngx_http_phota_news_apply(ngx_http_phota_news_t *news, MDB_txn *txn,
    const phota_report_t *report)
{
    phota_report_e  state;

    state = report->state;

    if (report->id.len
        && (report->id.len != ngx_strlen(news->row.upstream)
            || ngx_memcmp(report->id.data, news->row.upstream, report->id.len)
               != 0))
    {
        /* it speaks of another one */

        state = PHOTA_REPORT_NOTHING;
    }

    if (state == PHOTA_REPORT_NOTHING || state == PHOTA_REPORT_PENDING) {

        if (!news->overdue) {
            return ngx_http_phota_news_wait(news, txn);
        }

        state = PHOTA_REPORT_LOST;
    }

    if (news->row.kind == PHOTA_JOB_TRAINING) {
        return ngx_http_phota_news_training(news, txn, state);
    }

    return ngx_http_phota_news_end(news, txn, report, state);
}


/* a tenant's poll leaves no trace; ours says when the next one is */

static int
ngx_http_phota_news_wait(ngx_http_phota_news_t *news, MDB_txn *txn)
{
    if (news->delay == 0) {
        return PHOTA_OK;
    }

    news->row.polls++;
    news->row.due = phota_now() + news->delay;

    return phota_job_put(&ngx_http_phota_worker.jobs, txn, &news->row, NULL,
                         0, &news->job.err);
}


static int
ngx_http_phota_news_end(ngx_http_phota_news_t *news, MDB_txn *txn,
    const phota_report_t *report, phota_report_e state)
{
    int               rc;
    phota_job_t      *row;
    phota_outcome_t   outcome;

    row = &news->row;

    ngx_memzero(&outcome, sizeof(phota_outcome_t));

    switch (state) {

    case PHOTA_REPORT_DONE:
        row->state = PHOTA_JOB_DONE;
        outcome.state = PHOTA_STATE_SETTLED;
        outcome.reason = PHOTA_REASON_DELIVERED;
        outcome.outputs = report->delivery.outputs;
        outcome.identity_low = report->delivery.identity_low;
        outcome.identity_high = report->delivery.identity_high;
        break;

    case PHOTA_REPORT_FAILED:
        row->state = PHOTA_JOB_FAILED;
        outcome.state = PHOTA_STATE_VOID;
        outcome.reason = PHOTA_REASON_JOB_FAILED;
        break;

    default: /* PHOTA_REPORT_LOST */
        row->state = PHOTA_JOB_LOST;
        outcome.state = PHOTA_STATE_UNKNOWN;
        outcome.reason = PHOTA_REASON_JOB_LOST;
    }

    rc = phota_ledger_end(&ngx_http_phota_worker.ledger, txn, &row->charge,
                          &outcome, &news->sold, &news->job.err);

    if (rc != PHOTA_OK) {
        news->sold.state = 0;
    }

    /* an operator may have ended it, or it is archived: the job ends so, too */

    if (rc != PHOTA_OK && rc != PHOTA_REFUSED && rc != PHOTA_DECLINED) {
        return rc;
    }

    row->ended = phota_now();
    row->due = row->ended;

    news->ended = 1;

    /* only what a later poll would be told as well */

    if (news->called_back || news->status != NGX_HTTP_OK) {
        return phota_job_put(&ngx_http_phota_worker.jobs, txn, row, NULL, 0,
                             &news->job.err);
    }

    return phota_job_put(&ngx_http_phota_worker.jobs, txn, row, news->text,
                         ngx_http_phota_news_kept(news, report),
                         &news->job.err);
}


/* it was charged when it was accepted; in ERROR it is given back, once */

static int
ngx_http_phota_news_training(ngx_http_phota_news_t *news, MDB_txn *txn,
    phota_report_e state)
{
    int  rc;

    if (state == PHOTA_REPORT_FAILED) {
        rc = phota_ledger_reverse(&ngx_http_phota_worker.ledger, txn,
                                  &news->charge, PHOTA_REASON_TRAINING, "",
                                  "the training ended in ERROR", NULL,
                                  &news->job.err);

        if (rc == PHOTA_ERROR) {
            return rc;
        }
    }

    news->ended = 1;

    return phota_job_remove(&ngx_http_phota_worker.jobs, txn, &news->charge,
                            &news->job.err);
}


static void
ngx_http_phota_news_done(ngx_http_phota_job_t *job)
{
    ngx_http_phota_news_t   *news;
    ngx_http_phota_about_t   about;

    news = (ngx_http_phota_news_t *)
               ((u_char *) job - offsetof(ngx_http_phota_news_t, job));

    if (job->rc == PHOTA_ERROR || job->rc == PHOTA_INVALID) {
        ngx_http_phota_say_some(NGX_LOG_ERR, ngx_cycle->log, 0,
                                ngx_http_phota_about_id(&about, 0,
                                                        &news->charge),
                                "what became of a job could not be written, "
                                "it is asked for again", "%s", job->err.text);

    } else if (news->ended && news->row.state == PHOTA_JOB_LOST) {
        ngx_http_phota_say(NGX_LOG_ERR, ngx_cycle->log, 0,
                           ngx_http_phota_about_job(&about, &news->row),
                           "a job is lost, its charge is unknown",
                           "upstream job \"%s\", status %ui",
                           news->row.upstream, news->status);
    }

    if (job->rc == PHOTA_OK && news->ended) {
        ngx_http_phota_meter_charge(&news->sold, NGX_HTTP_PHOTA_CACHE_NONE);
    }

    news->done(news);
}
