#include "send.h"

#include "outcome.h"
#include "request.h"

#include <string.h>

enum {
    DATABASE_WAIT_MS = 2000,
    NO_KEY_PAUSE_MS = 60000,
    IN_FLIGHT_WAIT_MS = 500,
    RUN_US = 5000000 /* no further request after so long: what was sent is told at a run's end */
};

struct sending {
    struct mails mails;
    const struct email_settings *settings;
    int64_t started_us;
    bool any_sent; /* the start's token is used up */
    bool stopped;  /* nothing more of this run goes out, for this reason, until so long from now: */
    const char *stop_reason;
    int64_t stop_ms;
};

/* A window of a second may hold a burst and what flows in meanwhile; a hundredth less, because
 * requests may arrive closer together than they left. */
void send_rate(double limit, double *per_second, double *burst)
{
    double saved = limit >= 4 ? (double)(int)(limit / 4) : 0;
    *burst = 1 + saved;
    *per_second = (limit - saved) * 0.99;
}

static void sending_stop(struct sending *sending, int64_t ms, const char *reason)
{
    sending->stopped = true;
    sending->stop_ms = ms;
    sending->stop_reason = reason;
}

/* Waits until another request may go out; false when this run shall send no more. */
static bool sending_may_go_on(struct sending *sending)
{
    static const char reason[] = "left for the next run";
    struct errand_job *job = sending->mails.job;
    if (sending->stopped)
        return false;
    if (sending->any_sent && errand_now_us(job) - sending->started_us >= RUN_US)
        sending_stop(sending, 0, reason);
    else if (sending->any_sent)
        errand_rate_wait(job);
    if (errand_is_cancelled(job))
        sending_stop(sending, 0, reason);
    return !sending->stopped;
}

static void sending_take_rate(const struct sending *sending, const struct answer *answer)
{
    double per_second, burst;
    if (answer->rate.limit <= 0)
        return;
    send_rate((double)answer->rate.limit, &per_second, &burst);
    errand_queue_rate(sending->mails.job, per_second, burst);
}

static void answer_give_back(void *context)
{
    answer_clear(context);
}

/* Sends a stored request and does what the answer asks for. */
static void sending_send(struct sending *sending, struct request *request)
{
    struct errand_job *job = sending->mails.job;
    struct answer *answer = errand_alloc(job, sizeof *answer);
    struct outcome_stop stop = {0};
    int status;
    const char *shown;
    sending->any_sent = true;
    if (!request_send(request, sending->settings, answer, &status, &shown)) {
        sending_stop(sending, 0, "asked to end; whether it was sent is unknown");
        return;
    }
    errand_cleanup(job, answer_give_back, answer);
    sending_take_rate(sending, answer);
    outcome_apply(request, sending->settings, answer, status, shown, &stop);
    errand_cleanup_now(job, answer_give_back, answer);
    if (stop.wanted)
        sending_stop(sending, stop.ms, stop.reason);
}

/* ---- Requests whose outcome is not known ---- */

/* Those that a run of this process is sending again. After a crash each mail of a batch comes by
 * itself, and one of them is enough to ask for all. */
struct in_flight {
    const char *id;
    struct in_flight *next;
};

static struct in_flight *in_flight_first;

static bool in_flight_has(const char *id)
{
    for (const struct in_flight *each = in_flight_first; each; each = each->next)
        if (strcmp(each->id, id) == 0)
            return true;
    return false;
}

static void in_flight_remove(void *context)
{
    const struct in_flight *gone = context;
    struct in_flight **at = &in_flight_first;
    while (*at != gone)
        at = &(*at)->next;
    *at = gone->next;
}

static bool request_is_too_old(const struct request *request, const struct email_settings *settings)
{
    return errand_now_us(request->job) > request->first_sent_us + settings->key_window_us;
}

static void mails_later_in(struct mails *mails, const char *request_id, int64_t delay_ms,
                           const char *reason)
{
    for (size_t i = 0; i < mails->count; i++) {
        struct mail *mail = &mails->list[i];
        if (mail->state == MAIL_WAITING && mail->request_id &&
            strcmp(mail->request_id, request_id) == 0)
            mail_later(mail, delay_ms, reason);
    }
}

static void sending_send_again(struct sending *sending, const char *id)
{
    struct request request;
    const char *error = "";
    switch (request_read(&request, id, &sending->mails, &error)) {
    case REQUEST_READY:
        if (request_is_too_old(&request, sending->settings))
            outcome_give_up(&request);
        else
            sending_send(sending, &request);
        break;
    case REQUEST_NOT_READY:
        mails_later_in(&sending->mails, id, 0, "the outcome of its request became known");
        break;
    case REQUEST_FAILED:
        sending_stop(sending, DATABASE_WAIT_MS,
                     errand_printf(sending->mails.job, "reading a request failed: %s", error));
    }
}

static struct in_flight *in_flight_add(struct errand_job *job, const char *id)
{
    struct in_flight *added = errand_alloc(job, sizeof *added);
    *added = (struct in_flight){id, in_flight_first};
    in_flight_first = added;
    errand_cleanup(job, in_flight_remove, added);
    return added;
}

static void sending_send_open(struct sending *sending)
{
    struct errand_job *job = sending->mails.job;
    for (size_t i = 0; i < sending->mails.count && !sending->stopped; i++) {
        const struct mail *mail = &sending->mails.list[i];
        if (mail->state != MAIL_WAITING || !mail->request_id)
            continue;
        if (in_flight_has(mail->request_id)) {
            mails_later_in(&sending->mails, mail->request_id, IN_FLIGHT_WAIT_MS,
                           "another run is asking what became of its request");
            continue;
        }
        struct in_flight *in_flight = in_flight_add(job, mail->request_id);
        if (sending_may_go_on(sending))
            sending_send_again(sending, mail->request_id);
        errand_cleanup_now(job, in_flight_remove, in_flight);
    }
}

/* ---- New requests ---- */

static bool mail_is_new(const struct mail *mail)
{
    return !mail->request_id && (mail->state == MAIL_WAITING || mail->state == MAIL_BUILT);
}

static bool mail_fits(const struct mail *mail, size_t count, size_t bytes)
{
    bool alone = mail->alone || message_has_attachments(&mail->message);
    return count == 0 || (!alone && count < MESSAGE_MAX_BATCH &&
                          bytes + mail->message.length <= REQUEST_BATCH_BYTES);
}

/* The mails of the next request: the first that is left, and those behind it that may travel with
 * it. */
static size_t sending_pack(struct sending *sending, struct mail **packed)
{
    size_t count = 0, bytes = 0;
    for (size_t i = 0; i < sending->mails.count; i++) {
        struct mail *mail = &sending->mails.list[i];
        if (!mail_is_new(mail))
            continue;
        if (mail->state == MAIL_WAITING)
            mail_build(mail, sending->settings);
        if (mail->state != MAIL_BUILT || !mail_fits(mail, count, bytes))
            continue;
        packed[count++] = mail;
        bytes += mail->message.length + 1;
        if (mail->alone || message_has_attachments(&mail->message))
            break;
    }
    return count;
}

static void sending_store_and_send(struct sending *sending, struct mail **packed, size_t count)
{
    struct request request;
    const char *error = "";
    switch (request_store(&request, packed, count, &error)) {
    case REQUEST_READY:
        sending_send(sending, &request);
        break;
    case REQUEST_NOT_READY: /* packed anew, without those that stood in the way */
        break;
    case REQUEST_FAILED:
        sending_stop(sending, DATABASE_WAIT_MS,
                     errand_printf(sending->mails.job, "storing a request failed: %s", error));
    }
}

static void sending_send_new(struct sending *sending)
{
    for (;;) {
        struct mail **packed =
            errand_alloc(sending->mails.job, sending->mails.count * sizeof(struct mail *));
        size_t count = sending_pack(sending, packed);
        if (count == 0 || !sending_may_go_on(sending))
            return;
        sending_store_and_send(sending, packed, count);
    }
}

/* ---- The run ---- */

static bool sending_has_key(struct sending *sending)
{
    static const char reason[] = "no API key: set RESEND_API_KEY";
    if (sending->settings->authorization)
        return true;
    errand_queue_pause(sending->mails.job, NO_KEY_PAUSE_MS, "%s", reason);
    sending_stop(sending, 0, reason);
    return false;
}

static void sending_clear(void *context)
{
    struct sending *sending = context;
    mails_clear(&sending->mails);
}

void send_run(const struct email_settings *settings, struct errand_job *const *jobs, size_t count)
{
    struct sending *sending = errand_alloc(jobs[0], sizeof *sending);
    *sending = (struct sending){.settings = settings, .started_us = errand_now_us(jobs[0])};
    errand_cleanup(jobs[0], sending_clear, sending);
    mails_load(&sending->mails, settings, jobs, count);
    if (!mails_are_finished(&sending->mails) && sending_has_key(sending)) {
        sending_send_open(sending);
        sending_send_new(sending);
    }
    mails_later(&sending->mails, sending->stop_ms,
                sending->stop_reason ? sending->stop_reason : "left for the next run");
}
