/* The public job API of include/errand/errand.h that only looks at a job or tells something of it:
 * identity, memory, telling, finishing. What waits is in job_wait.c, progress and result in
 * job_report.c. */
#include "module/call.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "module/job_trace.h"
#include "module/json_text.h"
#include "module/log_line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int64_t errand_id(const struct errand_job *job)
{
    return job->id;
}

const char *errand_kind_name(const struct errand_job *job)
{
    return job->attempt->kind->name;
}

const char *errand_queue_name(const struct errand_job *job)
{
    return job->queue;
}

int errand_attempt(const struct errand_job *job)
{
    return job->number;
}

int errand_max_attempts(const struct errand_job *job)
{
    return job->max_attempts;
}

int64_t errand_run_at_us(const struct errand_job *job)
{
    return job->run_at_us;
}

int64_t errand_now_us(const struct errand_job *job)
{
    return clock_database_us(job->attempt->host->clock);
}

const char *errand_args_text(const struct errand_job *job)
{
    return job->args_text;
}

const json_t *errand_args(struct errand_job *job)
{
    if (!call_is_own(job, "errand_args"))
        return NULL;
    if (!job->args_parsed) {
        json_error_t error;
        job->args_parsed = true;
        if (json_text_is_shallow(job->args_text))
            job->args = json_loads(job->args_text, JSON_DECODE_ANY, &error);
    }
    return job->args;
}

bool errand_is_cancelled(const struct errand_job *job)
{
    return job->cancelled || job->attempt->cancelled;
}

/* Memory is never NULL. What the attempt's arena may not give is nobody's, and stays. */
void *errand_alloc(struct errand_job *job, size_t size)
{
    if (!call_is_own(job, "errand_alloc"))
        return mem_zalloc(size);
    return arena_zalloc(&job->attempt->arena, size);
}

char *errand_strdup(struct errand_job *job, const char *text)
{
    if (!call_is_own(job, "errand_strdup"))
        return mem_strdup(text);
    return arena_strdup(&job->attempt->arena, text);
}

char *errand_printf(struct errand_job *job, const char *format, ...)
{
    if (!call_is_own(job, "errand_printf"))
        return mem_strdup("");
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(&job->attempt->arena, format, args);
    va_end(args);
    return text;
}

void job_add_effect(struct errand_job *job, const struct errand_statement *statement, size_t count,
                    const char *const *params)
{
    struct arena *arena = &job->attempt->arena;
    struct effect *effect = arena_alloc(arena, sizeof *effect);
    *effect = (struct effect){
        .statement = statement,
        .count = count,
        .params = arena_alloc(arena, (count + 1) * sizeof *effect->params),
    };
    for (size_t i = 0; i < count; i++)
        effect->params[i] = params[i] ? arena_strdup(arena, params[i]) : NULL;
    *job->outcome.effects_last = effect;
    job->outcome.effects_last = &effect->next;
}

void errand_effect(struct errand_job *job, int statement, size_t count, const char *const *params)
{
    const char *mistake;
    if (!call_begins(job, "errand_effect"))
        return;
    if (job->outcome.code != OUTCOME_NONE && job->outcome.code != OUTCOME_WAIT)
        call_is_wrong(job, "errand_effect", "the job is finished; it is added all the same", NULL);
    if (call_has_statement(job, "errand_effect", statement, count, &mistake))
        job_add_effect(job, &job->attempt->kind->module->statements[statement], count, params);
    else
        job->mistake = arena_printf(&job->attempt->arena, "errand_effect: %s", mistake);
}

void errand_queue_rate(struct errand_job *job, double per_second, double burst)
{
    if (!call_begins(job, "errand_queue_rate"))
        return;
    job->attempt->host->queue_calls->rate(job->attempt->queue, per_second, burst);
}

void errand_queue_hold(struct errand_job *job, int64_t ms)
{
    if (!call_begins(job, "errand_queue_hold"))
        return;
    job->attempt->host->queue_calls->hold(job->attempt->queue, ms);
}

void errand_queue_pause(struct errand_job *job, int64_t ms, const char *format, ...)
{
    if (!call_begins(job, "errand_queue_pause"))
        return;
    va_list args;
    va_start(args, format);
    char *reason = arena_vprintf(&job->attempt->arena, format, args);
    va_end(args);
    job->attempt->host->queue_calls->pause(job->attempt->queue, ms, reason);
}

void job_keep_line(struct errand_job *job, enum errand_level level, const char *line)
{
    const struct attempt_host *host = job->attempt->host;
    if ((int)level >= host->log_kept)
        host->queue_calls->log(job, (int)level, line);
}

static void job_tell_line(struct errand_job *job, enum errand_level level, const char *line)
{
    log_event((enum log_level)level, line, "kind", job->attempt->kind->name, "job",
              log_int(job->id), "trace", job_trace_span(job), NULL);
    job_keep_line(job, level, line);
}

void errand_log(struct errand_job *job, enum errand_level level, const char *format, ...)
{
    if (!call_begins(job, "errand_log"))
        return;
    struct buf line;
    va_list args;
    if ((int)level < job->attempt->host->log_kept && !log_enabled((enum log_level)level))
        return;
    va_start(args, format);
    log_line_format(&line, format, args);
    va_end(args);
    job_tell_line(job, level, buf_text(&line));
    buf_clear(&line);
}

void job_tell(struct errand_job *job, enum errand_level level, const char *text, size_t length)
{
    struct buf line;
    log_line_clean(&line, text, length);
    job_tell_line(job, level, buf_text(&line));
    buf_clear(&line);
}

const char *errand_setting(struct errand_job *job, const char *name)
{
    return settings_text(job->attempt->host->settings, job->attempt->kind->module->name, name);
}

void errand_failpoint(struct errand_job *job, const char *name)
{
    failpoint_reach(job->attempt->kind->module->name, name);
}

/* ---- Finishing ---- */

/* The first finish stands. Of a job that waits nothing counts that is done behind errand_wait. */
static struct outcome *job_finish(struct errand_job *job, const char *call, enum outcome_code code)
{
    if (!call_begins(job, call) || job->outcome.code == OUTCOME_WAIT)
        return NULL;
    if (job->attempt->cleaning) {
        call_is_wrong(job, call, "a cleanup function may not finish a job", NULL);
        return NULL;
    }
    if (job->outcome.code != OUTCOME_NONE) {
        call_is_wrong(job, call, "the job is finished twice, the first one counts", NULL);
        return NULL;
    }
    job->outcome.code = code;
    return &job->outcome;
}

static __attribute__((format(printf, 4, 0))) struct outcome *
job_finish_with(struct errand_job *job, const char *call, enum outcome_code code,
                const char *format, va_list args)
{
    struct outcome *outcome = job_finish(job, call, code);
    struct buf line;
    if (!outcome)
        return NULL;
    log_line_format(&line, format, args);
    outcome->text = arena_strdup(&job->attempt->arena, buf_text(&line));
    buf_clear(&line);
    return outcome;
}

static const int64_t DELAY_MAX_MS = INT64_C(3650) * 86400000;

void errand_done(struct errand_job *job)
{
    job_finish(job, "errand_done", OUTCOME_DONE);
}

void errand_fail(struct errand_job *job, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    job_finish_with(job, "errand_fail", OUTCOME_DEAD, format, args);
    va_end(args);
}

void errand_cancelled(struct errand_job *job, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    job_finish_with(job, "errand_cancelled", OUTCOME_CANCELLED, format, args);
    va_end(args);
}

void errand_unknown(struct errand_job *job, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    job_finish_with(job, "errand_unknown", OUTCOME_UNKNOWN, format, args);
    va_end(args);
}

void errand_retry(struct errand_job *job, int64_t delay_ms, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct outcome *outcome = job_finish_with(job, "errand_retry", OUTCOME_RETRY, format, args);
    if (outcome)
        outcome->delay_ms = delay_ms < DELAY_MAX_MS ? delay_ms : DELAY_MAX_MS;
    va_end(args);
}

void errand_error_class(struct errand_job *job, const char *error_class)
{
    if (!call_begins(job, "errand_error_class"))
        return;
    if (error_class && !registry_class_is_valid(error_class)) {
        log_event(LOG_ERROR, "handler named a class of errors that is none", "kind",
                  job->attempt->kind->name, "job", log_int(job->id), "class", error_class, NULL);
        return;
    }
    job->outcome.error_class = error_class ? arena_strdup(&job->attempt->arena, error_class) : NULL;
}

void errand_snooze(struct errand_job *job, int64_t run_at_us, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct outcome *outcome = job_finish_with(job, "errand_snooze", OUTCOME_SNOOZE, format, args);
    if (outcome)
        outcome->run_at_us = run_at_us;
    va_end(args);
}
