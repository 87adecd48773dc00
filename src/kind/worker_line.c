#include "kind/worker_line.h"

#include "module/job_trace.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_LOOKED_AT = 200 };

static const int64_t DELAY_MAX_MS = INT64_C(3650) * 86400000;

void worker_line_add_job(struct buf *lines, struct errand_job *job)
{
    const char *span = job_trace_span(job);
    buf_printf(lines,
               "{\"id\":%lld,\"kind\":\"%s\",\"queue\":\"%s\",\"attempt\":%d,\"max_attempts\":%d,",
               (long long)errand_id(job), errand_kind_name(job), errand_queue_name(job),
               errand_attempt(job), errand_max_attempts(job));
    if (span)
        buf_printf(lines, "\"trace\":\"%s\",", span);
    buf_add_text(lines, "\"args\":");
    buf_add_text(lines, errand_args_text(job));
    buf_add_text(lines, "}\n");
}

void worker_line_add_cancel(struct buf *lines, int64_t id)
{
    buf_printf(lines, "{\"cancel\":%lld}\n", (long long)id);
}

bool worker_line_id(const json_t *line, int64_t *id)
{
    const json_t *value = json_object_get(line, "id");
    *id = json_integer_value(value);
    return json_is_integer(value);
}

bool worker_line_find_id(const char *text, size_t length, int64_t *id)
{
    char head[LINE_LOOKED_AT + 1], *end;
    length = length < LINE_LOOKED_AT ? length : LINE_LOOKED_AT;
    memcpy(head, text, length);
    head[length] = '\0';
    const char *at = strstr(head, "\"id\"");
    if (!at)
        return false;
    at += strlen("\"id\"");
    at += strspn(at, " \t:");
    *id = strtoll(at, &end, 10);
    return end > at;
}

static bool field_is(const json_t *line, const char *name, json_type type)
{
    const json_t *value = json_object_get(line, name);
    return !value || json_is_null(value) || json_typeof(value) == type;
}

static const char *field_text(const json_t *line, const char *name)
{
    return json_string_value(json_object_get(line, name));
}

static bool text_is_one_of(const char *text, const char *const *texts)
{
    for (; text && *texts; texts++)
        if (strcmp(text, *texts) == 0)
            return true;
    return false;
}

static bool line_says_anything(const json_t *line)
{
    static const char *const members[] = {"outcome", "progress", "log", "heartbeat"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (json_object_get(line, members[i]))
            return true;
    return false;
}

const char *worker_line_fault(const json_t *line)
{
    static const char *const outcomes[] = {"done", "retry", "fail", "snooze", "cancelled", NULL};
    const json_t *outcome = json_object_get(line, "outcome");
    if (outcome && !text_is_one_of(json_string_value(outcome), outcomes))
        return "outcome is none of done, retry, fail, snooze, cancelled";
    if (!field_is(line, "error", JSON_STRING) || !field_is(line, "class", JSON_STRING) ||
        !field_is(line, "log", JSON_STRING) || !field_is(line, "level", JSON_STRING))
        return "error, class, log and level are texts";
    const json_t *id = json_object_get(line, "id");
    if (id && !json_is_integer(id))
        return "id is no integer";
    if (id && !line_says_anything(line))
        return "it has neither outcome nor progress nor log";
    int64_t delay_ms = json_integer_value(json_object_get(line, "delay_ms"));
    if (!field_is(line, "delay_ms", JSON_INTEGER) || delay_ms < 0 || delay_ms > DELAY_MAX_MS)
        return "delay_ms is an integer, 0 to 315360000000 (ten years)";
    return NULL;
}

enum errand_level worker_line_level(const json_t *line)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    const char *level = field_text(line, "level");
    for (size_t i = 0; level && i < sizeof levels / sizeof *levels; i++)
        if (strcmp(level, levels[i]) == 0)
            return (enum errand_level)i;
    return ERRAND_INFO;
}

void worker_line_settle(const json_t *line, struct errand_job *job)
{
    const json_t *result = json_object_get(line, "result"),
                 *delay = json_object_get(line, "delay_ms");
    const char *outcome = field_text(line, "outcome"), *told = field_text(line, "error"),
               *error = told ? told : "the worker says no more", *error_class;
    int64_t delay_ms = json_is_integer(delay) ? json_integer_value(delay) : -1;
    if (result && !json_is_null(result))
        errand_result(job, result, NULL);
    if ((error_class = field_text(line, "class")))
        errand_error_class(job, error_class);
    if (strcmp(outcome, "done") == 0)
        errand_done(job);
    else if (strcmp(outcome, "fail") == 0)
        errand_fail(job, "%s", error);
    else if (strcmp(outcome, "retry") == 0)
        errand_retry(job, delay_ms, "%s", error);
    else if (strcmp(outcome, "snooze") == 0)
        errand_snooze(job, errand_now_us(job) + (delay_ms > 0 ? delay_ms : 0) * 1000, "%s",
                      told ? told : "");
    else
        errand_cancelled(job, "%s", error);
}
