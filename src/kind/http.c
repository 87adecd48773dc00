/* Kinds that are endpoints: each attempt POSTs the job's args to a url, signed by Standard Webhooks
 * 1.0.0, and its answer says how the attempt ended; or, where it is a 202, what the endpoint sends
 * to the callback's url later: until then the job waits without a slot.
 *
 * Such a job goes in rounds. Two steps and a signal each, all with the round's number, tell where
 * it stands, whatever happens to the runner:
 *     (none) --202--> "sent" --signal "callback" or its time is up--> done | failed
 *                                                                   | "over": the next round */
#include "kind/callback.h"
#include "kind/endpoint.h"
#include "kind/file.h"
#include "kind/type.h"
#include "module/json_text.h"

#include "kind_sql.h"

#include <string.h>
#include <strings.h>

enum {
    HOLD_MS = 1000, /* of the queue, where an endpoint is slow and does not say how long */
    HOLD_MAX_MS = 60000,
    AGAIN_MS = 1000, /* at least, whatever an endpoint says */
    HEADERS_ALWAYS = 5,
    HEADERS = HEADERS_ALWAYS + 2, /* errand's own, at most */
    EXCERPT_MAX = 200
};

/* ---- The request ---- */

static const struct errand_header *http_headers(struct errand_job *job,
                                                const struct endpoint *endpoint,
                                                const char *callback_url, size_t *count)
{
    int64_t now_s = errand_now_us(job) / 1000000;
    const char *body = errand_args_text(job),
               *id = errand_printf(job, "job_%lld", (long long)errand_id(job));
    struct errand_header *headers =
        errand_alloc(job, (endpoint->header_count + HEADERS) * sizeof *headers);
    struct buf signature;
    buf_init(&signature, 0);
    signature_sign(&endpoint->keys, id, now_s, body, strlen(body), &signature);
    struct errand_header ours[HEADERS] = {
        {"webhook-id", id},
        {"webhook-timestamp", errand_printf(job, "%lld", (long long)now_s)},
        {"webhook-signature", errand_strdup(job, buf_text(&signature))},
        {"errand-kind", errand_kind_name(job)},
        {"errand-attempt", errand_printf(job, "%d", errand_attempt(job))},
    };
    size_t used = HEADERS_ALWAYS;
    buf_clear(&signature);
    if (!endpoint->has_content_type)
        ours[used++] = (struct errand_header){"content-type", "application/json"};
    if (callback_url)
        ours[used++] = (struct errand_header){"errand-callback-url", callback_url};
    memcpy(headers, ours, used * sizeof *ours);
    for (size_t i = 0; i < endpoint->header_count; i++)
        headers[used + i] = endpoint->headers[i];
    *count = used + endpoint->header_count;
    return headers;
}

static void http_send(struct errand_job *job, const struct endpoint *endpoint,
                      const char *callback_url, struct errand_response *response)
{
    struct errand_request request = {
        .size = sizeof request,
        .method = "POST",
        .url = endpoint->url,
        .body = errand_args_text(job),
        .body_bytes = strlen(errand_args_text(job)),
        .timeout_ms = endpoint->timeout_ms,
        .max_response_bytes = endpoint->max_response_bytes,
        .public_only = !endpoint->allow_private,
    };
    request.headers = http_headers(job, endpoint, callback_url, &request.header_count);
    errand_http(job, &request, response);
}

/* ---- The answer ---- */

static bool answer_is_json(const struct errand_job *job)
{
    const char *type = errand_http_header(job, "content-type");
    return type && strcasestr(type, "json");
}

static void http_done(struct errand_job *job, const struct errand_response *response)
{
    const char *error = NULL;
    bool is_json = answer_is_json(job) && response->body_bytes;
    if (response->result == ERRAND_HTTP_TOO_LARGE)
        error = response->error;
    else if (is_json)
        error = json_text_fault(response->body, ERRAND_RESULT_MAX);
    if (error)
        errand_log(job, ERRAND_WARN, "the answer is no result, the job has none: %s", error);
    else if (is_json)
        errand_result_text(job, response->body, NULL);
    errand_done(job);
}

/* "answer 500: what its first line says" */
static const char *http_error(struct errand_job *job, const struct errand_response *response)
{
    const char *line = response->body + strspn(response->body, " \t\r\n");
    size_t length = strcspn(line, "\r\n");
    return errand_printf(job, "answer %d%s%.*s", response->status, length ? ": " : "",
                         (int)(length < EXCERPT_MAX ? length : EXCERPT_MAX), line);
}

/* The endpoint wants nothing any more: no further job of the kind is sent until somebody resumes
 * it. */
static void http_gone(struct errand_job *job, const struct errand_response *response)
{
    const struct errand_rows *rows;
    const char *error, *params[] = {errand_kind_name(job)};
    if (!job_query(job, &kind_sql[KIND_SQL_KIND_GONE], 1, params, &rows, &error)) {
        errand_retry(job, -1, "the endpoint is gone, and pausing the kind failed: %s", error);
        return;
    }
    errand_log(job, ERRAND_WARN, "the endpoint is gone: the kind is paused");
    errand_fail(job, "%s", http_error(job, response));
}

static void http_again(struct errand_job *job, const struct errand_response *response)
{
    int64_t after_ms = errand_http_retry_after_ms(job);
    if (errand_http_class(response) == ERRAND_HTTP_CLASS_SLOW) {
        int64_t hold_ms = after_ms < HOLD_MS ? HOLD_MS : after_ms;
        errand_queue_hold(job, hold_ms < HOLD_MAX_MS ? hold_ms : HOLD_MAX_MS);
    }
    errand_error_class(job, errand_printf(job, "http.%d", response->status));
    errand_retry(job, after_ms >= 0 && after_ms < AGAIN_MS ? AGAIN_MS : after_ms, "%s",
                 http_error(job, response));
}

static void http_unanswered(struct errand_job *job, const struct errand_response *response)
{
    static const char *const classes[] = {[ERRAND_HTTP_NOT_SENT] = "http.not_sent",
                                          [ERRAND_HTTP_LOST] = "http.lost",
                                          [ERRAND_HTTP_TIMEOUT] = "http.timeout",
                                          [ERRAND_HTTP_TOO_LARGE] = "http.too_large"};
    errand_error_class(job, classes[response->result]);
    errand_retry(job, -1, "%s", response->error);
}

static void http_settle(struct errand_job *job, const struct errand_response *response)
{
    bool answered = response->result == ERRAND_HTTP_OK || response->result == ERRAND_HTTP_TOO_LARGE;
    if (answered && response->status >= 200 && response->status <= 299)
        http_done(job, response);
    else if (response->result != ERRAND_HTTP_OK)
        http_unanswered(job, response);
    else if (response->status == 410)
        http_gone(job, response);
    else
        http_again(job, response);
}

/* ---- The answer that comes later ---- */

struct round {
    struct errand_job *job;
    const struct endpoint *endpoint;
    int number;
};

/* False: the job is finished. */
static bool round_step(const struct round *round, const char *name, bool *taken)
{
    const char *result, *error;
    if (!errand_step(round->job, errand_printf(round->job, "%s.%d", name, round->number), &result,
                     &error)) {
        errand_retry(round->job, -1, "%s", error);
        return false;
    }
    *taken = result != NULL;
    return true;
}

static bool round_take_step(const struct round *round, const char *name)
{
    const char *error;
    if (errand_step_done_text(round->job, errand_printf(round->job, "%s.%d", name, round->number),
                              "true", &error))
        return true;
    errand_retry(round->job, -1, "%s", error);
    return false;
}

/* The job is tried again, with another request. */
static void round_fail(const struct round *round, const char *error_class, const char *error)
{
    if (!round_take_step(round, "over"))
        return;
    errand_error_class(round->job, error_class);
    errand_retry(round->job, -1, "%s", error);
}

static void value_give_back(void *context)
{
    json_decref(context);
}

static void round_settle(const struct round *round, const char *payload)
{
    struct errand_job *job = round->job;
    json_t *value = json_loads(payload, 0, NULL);
    errand_cleanup(job, value_give_back, value);
    const char *status = json_string_value(json_object_get(value, "status")),
               *told = json_string_value(json_object_get(value, "error")),
               *error = told ? told : "the endpoint says no more";
    const json_t *result = json_object_get(value, "result");
    if (status && strcmp(status, "done") == 0) {
        if (result)
            errand_result(job, result, NULL);
        errand_done(job);
    } else if (status && strcmp(status, "failed") == 0) {
        errand_fail(job, "callback: %s", error);
    } else {
        round_fail(round, "http.callback", errand_printf(job, "callback: %s", error));
    }
}

/* Comes back when the signal is there or its time is up, or not at all. */
static void round_wait(const struct round *round)
{
    char name[CALLBACK_SIGNAL_BYTES];
    const char *payload, *error;
    struct errand_job *job = round->job;
    callback_signal(round->number, name);
    if (!errand_wait(job, name, round->endpoint->callback_timeout_ms, &payload, &error))
        errand_retry(job, -1, "%s", error);
    else if (payload)
        round_settle(round, payload);
    else
        round_fail(
            round, "http.no_callback",
            errand_printf(job, "no callback within %lld ms", round->endpoint->callback_timeout_ms));
}

static void round_send(const struct round *round)
{
    struct errand_job *job = round->job;
    struct errand_response response;
    struct buf url;
    const char *base = settings_text(job->attempt->host->settings, "errand", "http_public_url");
    if (!base) {
        errand_retry(job, -1, "callback_timeout_ms is set, but errand's http_public_url is not");
        return;
    }
    buf_init(&url, 0);
    buf_printf(&url, "%s%scallbacks/", base, base[strlen(base) - 1] == '/' ? "" : "/");
    callback_add_path(&url, &round->endpoint->keys, errand_kind_name(job), errand_id(job),
                      round->number);
    const char *callback_url = errand_strdup(job, buf_text(&url));
    buf_clear(&url);
    http_send(job, round->endpoint, callback_url, &response);
    if (response.result != ERRAND_HTTP_OK || response.status != 202)
        http_settle(job, &response);
    else if (round_take_step(round, "sent"))
        round_wait(round);
}

static void http_run_rounds(struct errand_job *job, const struct endpoint *endpoint)
{
    for (struct round round = {job, endpoint, 1};; round.number++) {
        bool sent, over;
        if (!round_step(&round, "sent", &sent))
            return;
        if (!sent) {
            round_send(&round);
            return;
        }
        if (!round_step(&round, "over", &over))
            return;
        if (!over) {
            round_wait(&round);
            return;
        }
    }
}

static void http_run(struct errand_job *job)
{
    const struct endpoint *endpoint = kind_file_of(job)->endpoint;
    struct errand_response response;
    if (endpoint->callback_timeout_ms > 0) {
        http_run_rounds(job, endpoint);
        return;
    }
    http_send(job, endpoint, NULL, &response);
    http_settle(job, &response);
}

const struct kind_type kind_type_http = {
    .suffix = ".http",
    .claim = ERRAND_CLAIM_FIRST,
    .is_settings = true,
    .settings = endpoint_settings,
    .setting_count = ENDPOINT_SETTINGS,
    .open = endpoint_open,
    .run = http_run,
    .close = endpoint_close,
};
