#include "answer.h"

#include "error.h"
#include "value.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    RATE_WAIT_MS = 1000, /* a 429 that does not say how long: Resend's window is a second */
    BUSY_WAIT_MS = 1000, /* the request that holds the key is still being worked on */
    DAY_QUOTA_WAIT_MS = 3 * 3600000, /* its day is not our day: ask again a few times */
    MONTH_QUOTA_WAIT_MS = 24 * 3600000,
    MAX_WAIT_MS =
        3600000, /* but for a quota: asking again is cheap, and a key lives for 24 h only */
    SHOWN_BODY_BYTES = 161 /* of a body that is no error of Resend's */
};

/* The error in a body: {"statusCode","message","name"}, or any bytes. */
struct failure {
    json_t *body;     /* NULL when it is no JSON */
    const char *name; /* "" when there is none; borrowed from body */
    char text[ANSWER_REASON_BYTES];
};

struct failure_rule {
    int status;
    const char *name;
    enum answer_action action;
    const char *note; /* what a person should know besides the provider's words, or NULL */
};

static const char key_conflict_note[] =
    "another request was made with this key; an earlier send with it may have succeeded";
static const char key_note[] = "the API key is not accepted or may not send";
static const char domain_note[] = "the sender's domain or the account may not send this";
static const char url_note[] = "is the base URL right?";

/* Refused items of a batch are split unless the fault cannot lie in one of them. The first rule
 * that fits wins; name NULL fits any. */
static const struct failure_rule rules[] = {
    {400, "invalid_idempotency_key", ANSWER_REFUSED, NULL},
    {400, NULL, ANSWER_SPLIT, NULL},
    {401, NULL, ANSWER_BAD_KEY, key_note},
    {402, NULL, ANSWER_BAD_KEY, "the account wants payment"},
    {403, "validation_error", ANSWER_BAD_KEY, domain_note},
    {403, NULL, ANSWER_BAD_KEY, key_note},
    {404, "not_found", ANSWER_REFUSED, NULL},
    {404, NULL, ANSWER_BAD_KEY, url_note},
    {405, "method_not_allowed", ANSWER_REFUSED, NULL},
    {405, NULL, ANSWER_BAD_KEY, url_note},
    {407, NULL, ANSWER_BAD_KEY, "a proxy wants a password"},
    {408, NULL, ANSWER_RETRY, NULL},
    {409, "concurrent_idempotent_requests", ANSWER_BUSY, NULL},
    {409, "resource_locked", ANSWER_BUSY, NULL},
    {409, "invalid_idempotent_request", ANSWER_KEY_CONFLICT, key_conflict_note},
    {409, NULL, ANSWER_RETRY, NULL},
    {421, NULL, ANSWER_RETRY, NULL},
    {423, NULL, ANSWER_RETRY, NULL},
    {425, NULL, ANSWER_RETRY, NULL},
    {429, "rate_limit_exceeded", ANSWER_RATE_LIMITED, NULL},
    {429, "daily_quota_exceeded", ANSWER_QUOTA, "the day's quota is used up"},
    {429, "monthly_quota_exceeded", ANSWER_QUOTA, "the month's quota is used up"},
    {429, NULL, ANSWER_RATE_LIMITED, NULL},
};

static void reason_set(char reason[ANSWER_REASON_BYTES], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void reason_set(char reason[ANSWER_REASON_BYTES], const char *format, ...)
{
    char text[ANSWER_REASON_BYTES * 2];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    email_line_copy(reason, ANSWER_REASON_BYTES, text, strlen(text));
}

/* ---- the body of an error ---- */

static const char *text_get(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void failure_read(struct failure *failure, const struct answer_input *input)
{
    const char *body = input->body ? input->body : "", *message = "";
    size_t length = input->body ? input->body_length : 0;
    json_error_t error;
    failure->body = NULL;
    failure->name = "";
    if (length && input->transport == ANSWER_ARRIVED)
        failure->body = value_parse(body, length, &error);
    if (json_is_object(failure->body)) {
        failure->name = text_get(failure->body, "name");
        message = text_get(failure->body, "message");
        if (!*message)
            message = text_get(failure->body, "error");
    }
    if (*message)
        email_line_copy(failure->text, sizeof failure->text, message, strlen(message));
    else
        email_line_copy(failure->text, SHOWN_BODY_BYTES, body, length);
}

/* The reason of a whole request: what the provider answered, its words, and what we make of it. */
static void failure_describe(const struct failure *failure, const struct answer *answer, int status,
                             const char *note, char reason[ANSWER_REASON_BYTES])
{
    char name[80], words[ANSWER_REASON_BYTES - 200];
    const char *unknown = answer->action == ANSWER_RETRY ? "; whether it was sent is unknown" : "";
    email_line_copy(name, sizeof name, failure->name, strlen(failure->name));
    email_line_copy(words, sizeof words, failure->text, strlen(failure->text));
    reason_set(reason, "provider answered %d%s%s%s%s%s%s%s", status, *name ? " " : "", name,
               *words ? ": " : "", words, note ? "; " : "", note ? note : "", unknown);
}

/* ---- statuses that are no success ---- */

static const struct failure_rule *rule_find(int status, const char *name)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].status == status && (!rules[i].name || strcmp(rules[i].name, name) == 0))
            return &rules[i];
    return NULL;
}

/* Statuses without a rule: a redirect is a wrong base URL (none is followed); any other 4xx means
 * that this request will not do; the rest says nothing about what became of the mail. */
static struct failure_rule rule_for_class(int status)
{
    if (status >= 300 && status < 400)
        return (struct failure_rule){status, NULL, ANSWER_BAD_KEY, url_note};
    if (status >= 400 && status < 500)
        return (struct failure_rule){status, NULL, ANSWER_SPLIT, NULL};
    return (struct failure_rule){status, NULL, ANSWER_RETRY, NULL};
}

static bool text_holds(const char *text, const char *words)
{
    size_t length = strlen(words);
    for (; *text; text++)
        if (strncasecmp(text, words, length) == 0)
            return true;
    return false;
}

/* Resend answers an unknown key with validation_error and some 4xx, not with invalid_api_key; and a
 * 429 may carry a quota's name that is not in its documents. */
static struct failure_rule rule_choose(int status, const struct failure *failure)
{
    const struct failure_rule *rule = rule_find(status, failure->name);
    struct failure_rule chosen = rule ? *rule : rule_for_class(status);
    if (chosen.action == ANSWER_SPLIT && text_holds(failure->text, "API key is invalid")) {
        chosen.action = ANSWER_BAD_KEY;
        chosen.note = key_note;
    }
    if (chosen.action == ANSWER_RATE_LIMITED && text_holds(failure->name, "quota"))
        chosen.action = ANSWER_QUOTA;
    return chosen;
}

static int64_t least_wait_ms(enum answer_action action, const char *name)
{
    switch (action) {
    case ANSWER_BUSY:
        return BUSY_WAIT_MS;
    case ANSWER_QUOTA:
        return text_holds(name, "month") ? MONTH_QUOTA_WAIT_MS : DAY_QUOTA_WAIT_MS;
    default:
        return 0;
    }
}

static int64_t answer_wait_ms(const struct answer *answer, const struct answer_input *input,
                              const char *name)
{
    int64_t least_ms = least_wait_ms(answer->action, name);
    int64_t asked_ms = rate_wait_ms(input->retry_after, input->now_s);
    if (asked_ms == RATE_UNKNOWN && answer->action == ANSWER_RATE_LIMITED)
        asked_ms = answer->rate.reset_ms > 0 ? answer->rate.reset_ms : RATE_WAIT_MS;
    if (asked_ms > MAX_WAIT_MS && answer->action != ANSWER_QUOTA)
        asked_ms = MAX_WAIT_MS;
    return asked_ms > least_ms ? asked_ms : least_ms;
}

static void answer_read_failure(struct answer *answer, const struct answer_input *input)
{
    struct failure failure;
    struct failure_rule rule;
    failure_read(&failure, input);
    rule = rule_choose(input->status, &failure);
    answer->action = rule.action;
    answer->is_sender_refused = rule.note == domain_note;
    if (rule.action == ANSWER_SPLIT && (!input->batch || input->item_count <= 1))
        answer->action = ANSWER_REFUSED;
    answer->wait_ms = answer_wait_ms(answer, input, failure.name);
    failure_describe(&failure, answer, input->status, rule.note, answer->reason);
    json_decref(failure.body);
}

/* ---- success ---- */

static bool id_copy(char id[ANSWER_ID_BYTES], const json_t *holder)
{
    const json_t *value = json_object_get(holder, "id");
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);
    if (!text || length == 0 || length >= ANSWER_ID_BYTES)
        return false;
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    memcpy(id, text, length + 1);
    return true;
}

/* Marks the items that a permissive batch names as refused. False when an index is no item, or
 * named twice. */
static bool items_refuse(struct answer_item *items, size_t count, const json_t *errors)
{
    for (size_t i = 0; i < json_array_size(errors); i++) {
        const json_t *error = json_array_get(errors, i);
        const json_t *index = json_object_get(error, "index");
        json_int_t at = json_integer_value(index);
        const char *message = text_get(error, "message");
        if (!json_is_integer(index) || at < 0 || (size_t)at >= count || *items[at].reason)
            return false;
        reason_set(items[at].reason, "provider refused this mail of a batch%s%s",
                   *message ? ": " : "", message);
    }
    return true;
}

/* `data` leaves the refused items out: the n-th id belongs to the n-th item that was not refused.
 */
static bool items_accept(struct answer_item *items, size_t count, const json_t *data)
{
    size_t next = 0;
    for (size_t i = 0; i < count; i++) {
        if (*items[i].reason)
            continue;
        if (!id_copy(items[i].id, json_array_get(data, next++)))
            return false;
        items[i].accepted = true;
    }
    return next == json_array_size(data);
}

static bool batch_read(struct answer_item *items, size_t count, const json_t *body)
{
    const json_t *errors = json_object_get(body, "errors"), *data = json_object_get(body, "data");
    if (errors && !json_is_null(errors) && !json_is_array(errors))
        return false;
    return json_is_array(data) && items_refuse(items, count, errors) &&
           items_accept(items, count, data);
}

static bool answer_read_items(struct answer *answer, const struct answer_input *input)
{
    json_error_t error;
    json_t *body = NULL;
    bool ok = false;
    if (input->transport != ANSWER_ARRIVED || !input->body || input->item_count > ANSWER_MAX_ITEMS)
        return false;
    answer->items = calloc(input->item_count ? input->item_count : 1, sizeof *answer->items);
    body = value_parse(input->body, input->body_length, &error);
    if (answer->items && json_is_object(body))
        ok = input->batch ? batch_read(answer->items, input->item_count, body)
                          : id_copy(answer->items[0].id, body);
    if (ok && !input->batch)
        answer->items[0].accepted = true;
    json_decref(body);
    return ok;
}

static void answer_read_success(struct answer *answer, const struct answer_input *input)
{
    char shown[SHOWN_BODY_BYTES];
    if (answer_read_items(answer, input)) {
        answer->action = ANSWER_ACCEPTED;
        return;
    }
    free(answer->items);
    answer->items = NULL;
    answer->action = ANSWER_RETRY;
    email_line_copy(shown, sizeof shown, input->body ? input->body : "",
                    input->body ? input->body_length : 0);
    reason_set(answer->reason, "provider answered %d %s; whether it was sent is unknown%s%s",
               input->status,
               input->transport == ANSWER_TOO_LARGE ? "with a body past the limit"
               : input->batch                       ? "without an id for each mail"
                                                    : "without an id",
               *shown ? ": " : "", shown);
}

static void answer_set_retry(struct answer *answer, enum answer_action action, const char *reason)
{
    answer->action = action;
    reason_set(answer->reason, "%s", reason);
}

void answer_read(struct answer *answer, const struct answer_input *input)
{
    *answer = (struct answer){0};
    rate_read(&answer->rate, input->ratelimit_limit, input->ratelimit_remaining,
              input->ratelimit_reset);
    if (input->transport == ANSWER_NOT_CONNECTED)
        answer_set_retry(answer, ANSWER_NOT_SENT,
                         "provider could not be reached; nothing was sent");
    else if (input->transport == ANSWER_LOST)
        answer_set_retry(answer, ANSWER_RETRY,
                         "no whole answer from the provider; whether it was sent is unknown");
    else if (input->status >= 200 && input->status < 300)
        answer_read_success(answer, input);
    else if (input->status >= 300 && input->status < 600)
        answer_read_failure(answer, input);
    else
        answer_set_retry(answer, ANSWER_RETRY,
                         "provider's answer has no HTTP status; whether it was sent is unknown");
}

void answer_clear(struct answer *answer)
{
    free(answer->items);
    *answer = (struct answer){0};
}

const char *answer_action_name(enum answer_action action)
{
    static const char *const names[] = {"accepted", "refused",      "split", "key conflict",
                                        "busy",     "rate limited", "quota", "bad key",
                                        "retry",    "not sent"};
    return (unsigned)action < sizeof names / sizeof *names ? names[action] : "?";
}
