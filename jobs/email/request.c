#include "request.h"

#include "email_sql.h"
#include "value.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ANSWER_BYTES = 256 << 10, SHOWN_BYTES = 1001 };

/* ---- Storing ---- */

/* Columns of request_store. */
enum store_column {
    STORE_REQUEST,
    STORE_FIRST_SENT_US,
    STORE_POSITION,
    STORE_VERDICT,
    STORE_REASON,
    STORE_ADDRESSES
};

/* Its text, for the attempt's life; the value is let go. */
static const char *json_keep(struct errand_job *job, json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);
    assert(text);
    const char *kept = errand_strdup(job, text);
    free(text);
    json_decref(value);
    return kept;
}

static const char *mails_describe(struct errand_job *job, struct mail *const *mails, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(
            list, json_pack("{s:s,s:s,s:s,s:s,s:O}", "id", mails[i]->id, "version",
                            mails[i]->version, "recipient", mails[i]->message.recipient, "subject",
                            mails[i]->message.subject, "copied", mails[i]->message.copied));
    return json_keep(job, list);
}

static char *mails_join(struct mail *const *mails, size_t count)
{
    struct message_bytes items[MESSAGE_MAX_BATCH];
    size_t length;
    for (size_t i = 0; i < count; i++)
        items[i] = (struct message_bytes){mails[i]->message.bytes, mails[i]->message.length};
    return message_join(items, count, &length);
}

/* Copies go without the addresses that are suppressed: built again. */
static void mail_leave_out(struct mail *mail, const char *addresses)
{
    json_error_t error;
    json_t *found = json_loads(addresses, 0, &error);
    if (!mail->suppressed)
        mail->suppressed = json_array();
    json_array_extend(mail->suppressed, found);
    json_decref(found);
    message_clear(&mail->message);
    mail->state = MAIL_WAITING;
}

static void mail_take_verdict(struct mail *mail, const struct errand_rows *rows, size_t row)
{
    const char *verdict = errand_rows_text(rows, row, STORE_VERDICT);
    if (strcmp(verdict, "suppressed") == 0)
        mail_refuse(mail, "suppressed",
                    errand_printf(mail->job, "suppressed: %s is on the suppression list: %s",
                                  mail->message.recipient,
                                  errand_rows_text(rows, row, STORE_REASON)));
    else if (strcmp(verdict, "copies") == 0)
        mail_leave_out(mail, errand_rows_text(rows, row, STORE_ADDRESSES));
    else if (strcmp(verdict, "changed") == 0)
        mail_later(mail, 200, "the message was changed a moment ago");
    else
        mail_later(mail, 1000, "another request with this message is on its way");
}

static enum request_result request_take_stored(struct request *request, struct mail **mails,
                                               const struct errand_rows *rows)
{
    request->id = errand_rows_text(rows, 0, STORE_REQUEST);
    if (!request->id) {
        for (size_t row = 0; row < errand_rows_count(rows); row++)
            mail_take_verdict(mails[strtoul(errand_rows_text(rows, row, STORE_POSITION), NULL, 10)],
                              rows, row);
        return REQUEST_NOT_READY;
    }
    request->first_sent_us = strtoll(errand_rows_text(rows, 0, STORE_FIRST_SENT_US), NULL, 10);
    request->mails = mails;
    for (size_t i = 0; i < request->count; i++) {
        mails[i]->state = MAIL_REQUESTED;
        mails[i]->request_id = request->id;
        mails[i]->position = i;
    }
    return REQUEST_READY;
}

enum request_result request_store(struct request *request, struct mail **mails, size_t count,
                                  const char **error)
{
    struct errand_job *job = mails[0]->job;
    const struct errand_rows *rows;
    *request = (struct request){.job = job, .batch = count > 1, .fresh = true, .count = count};
    char *body = count > 1 ? mails_join(mails, count) : NULL;
    request->body = errand_strdup(job, body ? body : mails[0]->message.bytes);
    free(body);
    const char *params[] = {request->batch ? "/emails/batch" : "/emails", request->body,
                            mails_describe(job, mails, count)};
    if (!errand_query(job, EMAIL_SQL_REQUEST_STORE, 3, params, &rows, error))
        return REQUEST_FAILED;
    return request_take_stored(request, mails, rows);
}

/* ---- Reading ---- */

/* Columns of request_read. */
enum read_column { READ_STATE, READ_PATH, READ_FIRST_SENT_US, READ_BODY };

enum request_result request_read(struct request *request, const char *id, struct mails *mails,
                                 const char **error)
{
    const struct errand_rows *rows;
    const char *params[] = {id};
    *request = (struct request){.job = mails->job, .id = id};
    if (!errand_query(mails->job, EMAIL_SQL_REQUEST_READ, 1, params, &rows, error))
        return REQUEST_FAILED;
    request->count = errand_rows_count(rows);
    if (!request->count || strcmp(errand_rows_text(rows, 0, READ_STATE), "open") != 0)
        return REQUEST_NOT_READY;
    request->batch = strcmp(errand_rows_text(rows, 0, READ_PATH), "/emails/batch") == 0;
    request->first_sent_us = strtoll(errand_rows_text(rows, 0, READ_FIRST_SENT_US), NULL, 10);
    request->body = errand_rows_text(rows, 0, READ_BODY);
    request->mails = errand_alloc(mails->job, request->count * sizeof(struct mail *));
    for (size_t i = 0; i < mails->count; i++) {
        struct mail *mail = &mails->list[i];
        if (mail->request_id && strcmp(mail->request_id, id) == 0 && mail->state == MAIL_WAITING &&
            mail->position < request->count) {
            mail->state = MAIL_REQUESTED;
            request->mails[mail->position] = mail;
        }
    }
    return REQUEST_READY;
}

/* ---- Sending ---- */

static enum answer_transport transport_of(enum errand_http_result result)
{
    switch (result) {
    case ERRAND_HTTP_OK:
        return ANSWER_ARRIVED;
    case ERRAND_HTTP_NOT_SENT:
        return ANSWER_NOT_CONNECTED;
    case ERRAND_HTTP_TOO_LARGE:
        return ANSWER_TOO_LARGE;
    default:
        return ANSWER_LOST;
    }
}

static void request_read_answer(const struct request *request,
                                const struct errand_response *response, struct answer *answer)
{
    const struct answer_input input = {
        .transport = transport_of(response->result),
        .status = response->status,
        .body = response->body,
        .body_length = response->body_bytes,
        .batch = request->batch,
        .item_count = request->count,
        .retry_after = errand_http_header(request->job, "retry-after"),
        .ratelimit_limit = errand_http_header(request->job, "ratelimit-limit"),
        .ratelimit_remaining = errand_http_header(request->job, "ratelimit-remaining"),
        .ratelimit_reset = errand_http_header(request->job, "ratelimit-reset"),
        .now_s = response->ended_us / 1000000,
    };
    answer_read(answer, &input);
}

static const char *response_describe(struct errand_job *job, const struct errand_response *response)
{
    char *shown = errand_alloc(job, SHOWN_BYTES);
    const char *text = response->body_bytes ? response->body : response->error;
    email_line_copy(shown, SHOWN_BYTES, text ? text : "",
                    response->body_bytes ? response->body_bytes : strlen(text ? text : ""));
    return shown;
}

bool request_send(const struct request *request, const struct email_settings *settings,
                  struct answer *answer, int *status, const char **shown)
{
    const struct errand_header headers[] = {
        {"authorization", settings->authorization},
        {"content-type", "application/json"},
        {"idempotency-key", request->id},
        {"x-batch-validation", "permissive"},
    };
    const struct errand_request sent = {
        .size = sizeof sent,
        .method = "POST",
        .url = errand_printf(request->job, "%s%s", settings->url,
                             request->batch ? "/emails/batch" : "/emails"),
        .headers = headers,
        .header_count = request->batch ? 4 : 3,
        .body = request->body,
        .body_bytes = strlen(request->body),
        .timeout_ms = settings->timeout_ms,
        .max_response_bytes = MAX_ANSWER_BYTES,
        .failpoint = "email",
    };
    struct errand_response response;
    errand_failpoint(request->job, "before_send");
    errand_http(request->job, &sent, &response);
    errand_failpoint(request->job, "after_answer");
    if (response.result == ERRAND_HTTP_CANCELLED)
        return false;
    request_read_answer(request, &response, answer);
    *status = response.status;
    *shown = response_describe(request->job, &response);
    return true;
}

/* ---- What became of it ---- */

void request_settle(const struct request *request, const struct mail_outcome *outcomes, int status,
                    const char *shown)
{
    char code[16], at[24];
    const struct errand_rows *rows;
    const char *error = "";
    json_t *list = json_array();
    for (size_t i = 0; i < request->count; i++)
        json_array_append_new(list, json_pack("{s:i,s:s,s:s?,s:s?}", "position", (int)i, "outcome",
                                              outcomes[i].word, "id", outcomes[i].provider_id,
                                              "error", outcomes[i].error));
    const char *text = json_keep(request->job, list);
    snprintf(code, sizeof code, "%d", status);
    snprintf(at, sizeof at, "%" PRId64, outcomes[0].at_us);
    const char *params[] = {request->id, status ? code : NULL, shown, at, text};
    if (!errand_query(request->job, EMAIL_SQL_REQUEST_SETTLE, 5, params, &rows, &error))
        errand_log(request->job, ERRAND_WARN, "storing a request's outcome failed: %s", error);
}

bool request_void(const struct request *request, int status, const char *shown)
{
    char code[16];
    const struct errand_rows *rows;
    const char *error = "";
    snprintf(code, sizeof code, "%d", status);
    const char *params[] = {request->id, status ? code : NULL, shown};
    bool ok = errand_query(request->job, EMAIL_SQL_REQUEST_VOID, 3, params, &rows, &error);
    if (!ok)
        errand_log(request->job, ERRAND_WARN, "storing that nothing was sent failed: %s", error);
    for (size_t i = 0; ok && i < request->count; i++)
        if (request->mails[i])
            request->mails[i]->request_id = NULL;
    return ok;
}

static bool item_has_own_sender(const json_t *item, const struct email_settings *settings)
{
    const char *from = json_string_value(json_object_get(item, "from"));
    return !from || !settings->message.from || strcmp(from, settings->message.from) != 0;
}

bool request_has_own_sender(const struct request *request, const struct email_settings *settings)
{
    json_error_t error;
    json_t *body = value_parse(request->body, strlen(request->body), &error);
    bool own = json_is_object(body) && item_has_own_sender(body, settings);
    for (size_t i = 0; i < json_array_size(body) && !own; i++)
        own = item_has_own_sender(json_array_get(body, i), settings);
    json_decref(body);
    return own;
}
