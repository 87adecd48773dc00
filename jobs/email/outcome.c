#include "outcome.h"

#include <string.h>

enum {
    RETRY_FIRST_MS = 1000,
    RETRY_MAX_MS = 7200000, /* 25 attempts reach past the time that a key is kept */
    BAD_KEY_PAUSE_MS = 300000
};

/* All mails of a request come back together, so that they are sent again by one run. */
static int64_t retry_delay_ms(const struct request *request, int64_t least_ms)
{
    int64_t delay_ms = RETRY_FIRST_MS;
    int attempt = errand_attempt(request->job);
    while (--attempt > 0 && delay_ms < RETRY_MAX_MS)
        delay_ms *= 2;
    delay_ms = delay_ms < RETRY_MAX_MS ? delay_ms : RETRY_MAX_MS;
    return delay_ms > least_ms ? delay_ms : least_ms;
}

/* ---- The outcome is known ---- */

static void request_finish(struct request *request, const struct mail_outcome *outcomes, int status,
                           const char *shown)
{
    request_settle(request, outcomes, status, shown);
    for (size_t i = 0; i < request->count; i++)
        if (request->mails[i])
            mail_finish(request->mails[i], &outcomes[i]);
}

static void request_finish_alike(struct request *request, const char *word, const char *error,
                                 int status, const char *shown)
{
    struct mail_outcome *outcomes = errand_alloc(request->job, request->count * sizeof *outcomes);
    for (size_t i = 0; i < request->count; i++)
        outcomes[i] = (struct mail_outcome){word, NULL, error, errand_now_us(request->job)};
    request_finish(request, outcomes, status, shown);
}

static void request_accept(struct request *request, const struct answer *answer, int status,
                           const char *shown)
{
    struct mail_outcome *outcomes = errand_alloc(request->job, request->count * sizeof *outcomes);
    for (size_t i = 0; i < request->count; i++) {
        const struct answer_item *item = &answer->items[i];
        outcomes[i] = (struct mail_outcome){
            item->accepted ? "sent" : "failed", item->accepted ? item->id : NULL,
            item->accepted ? NULL : item->reason, errand_now_us(request->job)};
    }
    request_finish(request, outcomes, status, shown);
}

static void request_end_unknown(struct request *request, const char *reason, int status,
                                const char *shown)
{
    const char *error = errand_printf(
        request->job, "unknown: the provider may or may not have sent this mail; %s", reason);
    request_finish_alike(request, "unknown", error, status, shown);
}

void outcome_give_up(struct request *request)
{
    request_end_unknown(request,
                        "its outcome was not known for so long that sending it again under its "
                        "key could send it twice",
                        0, "");
}

/* ---- The outcome is not known, or nothing was sent ---- */

static void request_each(struct request *request, int64_t delay_ms, const char *reason,
                         void (*act)(struct mail *mail, int64_t delay_ms, const char *reason))
{
    for (size_t i = 0; i < request->count; i++)
        if (request->mails[i])
            act(request->mails[i], delay_ms, reason);
}

/* Of a request that was sent before, this answer says nothing about what came of that. */
static void request_let_go(struct request *request, int status, const char *shown)
{
    if (request->fresh)
        request_void(request, status, shown);
}

static void request_split(struct request *request, int status, const char *shown)
{
    if (!request_void(request, status, shown)) {
        request_each(request, RETRY_FIRST_MS, "the database failed", mail_later);
        return;
    }
    for (size_t i = 0; i < request->count; i++) {
        struct mail *mail = request->mails[i];
        if (!mail)
            continue;
        mail->alone = true;
        if (mail->message.bytes)
            mail->state = MAIL_BUILT;
        else /* read as one of an open request, so without its content */
            mail_later(mail, 0, "to be sent by itself");
    }
}

static void stop_set(struct outcome_stop *stop, int64_t ms, const char *reason)
{
    *stop = (struct outcome_stop){true, ms, reason};
}

static void request_on_bad_key(struct request *request, const struct email_settings *settings,
                               const struct answer *answer, int status, const char *shown,
                               const char *reason, struct outcome_stop *stop)
{
    if (answer->is_sender_refused && request_has_own_sender(request, settings)) {
        if (request->batch)
            request_split(request, status, shown);
        else
            request_finish_alike(request, "failed", reason, status, shown);
        return;
    }
    request_let_go(request, status, shown);
    errand_queue_pause(request->job, BAD_KEY_PAUSE_MS, "%s", reason);
    request_each(request, 0, reason, mail_later);
    stop_set(stop, 0, reason);
}

void outcome_apply(struct request *request, const struct email_settings *settings,
                   const struct answer *answer, int status, const char *shown,
                   struct outcome_stop *stop)
{
    const char *reason = errand_strdup(request->job, answer->reason);
    switch (answer->action) {
    case ANSWER_ACCEPTED:
        request_accept(request, answer, status, shown);
        break;
    case ANSWER_REFUSED:
        request_finish_alike(request, "failed", reason, status, shown);
        break;
    case ANSWER_SPLIT:
        request_split(request, status, shown);
        break;
    case ANSWER_KEY_CONFLICT:
        request_end_unknown(request, reason, status, shown);
        break;
    case ANSWER_RATE_LIMITED:
        request_let_go(request, status, shown);
        errand_queue_hold(request->job, answer->wait_ms);
        request_each(request, answer->wait_ms, reason, mail_later);
        stop_set(stop, answer->wait_ms, reason);
        break;
    case ANSWER_QUOTA:
        request_let_go(request, status, shown);
        errand_queue_pause(request->job, answer->wait_ms, "%s", reason);
        request_each(request, 0, reason, mail_later);
        stop_set(stop, 0, reason);
        break;
    case ANSWER_BAD_KEY:
        request_on_bad_key(request, settings, answer, status, shown, reason, stop);
        break;
    case ANSWER_BUSY:
    case ANSWER_RETRY:
        request_each(request, retry_delay_ms(request, answer->wait_ms), reason, mail_retry);
        break;
    case ANSWER_NOT_SENT:
        request_let_go(request, status, shown);
        request_each(request, retry_delay_ms(request, answer->wait_ms), reason, mail_retry);
        stop_set(stop, retry_delay_ms(request, answer->wait_ms), reason);
        break;
    }
}
