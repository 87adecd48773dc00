/* The public job API of errand/enqueue.h for further jobs: at once, or with the completion. */
#include "module/call.h"

#include "db/unit.h"
#include "module/job_trace.h"
#include "module/json_text.h"
#include "module_sql.h"

#include <stdlib.h>
#include <string.h>

enum { ENQUEUE_PARAMS = 16, ENQUEUE_ARGS_MAX = 16 << 20 };

static bool enqueue_refuse(struct errand_job *job, const char *fault, const char **error)
{
    job->attempt->sql_class = ERRAND_SQL_PERMANENT;
    errand_log(job, ERRAND_ERROR, "new job refused: %s", fault);
    if (error)
        *error = arena_printf(&job->attempt->arena, "new job: %s", fault);
    return false;
}

/* NULL: *fault says why. */
static const char *enqueue_args(struct errand_job *job, const struct errand_new_job *new_job,
                                const char **fault)
{
    const char *text = new_job->args_text ? new_job->args_text : "{}";
    *fault = new_job->args && new_job->args_text ? "it has args and args_text" : NULL;
    if (!*fault && new_job->args) {
        text = errand_json_text(job, new_job->args);
        *fault = text ? NULL : "its args are no JSON value of at most 32 levels";
    }
    if (!*fault && (*fault = json_text_fault(text, ENQUEUE_ARGS_MAX)))
        *fault = arena_printf(&job->attempt->arena, "of its args: %s", *fault);
    return *fault ? NULL : text;
}

/* NULL: the default. */
static const char *number_text(struct errand_job *job, int64_t value)
{
    return value ? errand_int_text(job, value) : NULL;
}

static const char *time_text(struct errand_job *job, int64_t at_us)
{
    return at_us ? errand_time_text(job, at_us) : NULL;
}

static const char *enqueue_fault(const struct errand_new_job *new_job)
{
    if (!new_job->kind)
        return "it has no kind, or no size (.size = sizeof(struct errand_new_job))";
    if (new_job->run_at_us && new_job->delay_ms)
        return "it has run_at_us and delay_ms";
    if (new_job->delay_ms < 0)
        return "its delay_ms is negative";
    if (new_job->priority < ERRAND_PRIORITY_DEFAULT || new_job->priority > ERRAND_PRIORITY_3)
        return "its priority is not one of ERRAND_PRIORITY_0 to 3";
    return NULL;
}

/* The parameters of the statement, in the attempt's memory. False: told. */
static bool enqueue_params(struct errand_job *job, const struct errand_new_job *new_job,
                           const char *params[ENQUEUE_PARAMS], const char **error)
{
    const char *fault = enqueue_fault(new_job);
    const char *args = fault ? NULL : enqueue_args(job, new_job, &fault);
    if (fault)
        return enqueue_refuse(job, fault, error);
    int at = 0;
    params[at++] = new_job->kind;
    params[at++] = args;
    params[at++] = new_job->queue;
    params[at++] = time_text(job, new_job->run_at_us);
    params[at++] = number_text(job, new_job->delay_ms);
    params[at++] =
        new_job->priority ? errand_int_text(job, new_job->priority - ERRAND_PRIORITY_0) : NULL;
    params[at++] = new_job->key;
    params[at++] = new_job->on_conflict;
    params[at++] = number_text(job, new_job->max_attempts);
    params[at++] = number_text(job, new_job->timeout_ms);
    params[at++] = new_job->trace ? new_job->trace : job_trace_span(job);
    params[at++] = number_text(job, new_job->unique_for_ms);
    params[at++] = time_text(job, new_job->expires_at_us);
    params[at++] =
        new_job->after_count ? errand_array_int(job, new_job->after_count, new_job->after) : NULL;
    params[at++] = new_job->on_parent;
    params[at++] =
        new_job->tag_count ? errand_array_text(job, new_job->tag_count, new_job->tags) : NULL;
    return true;
}

/* A plug-in's struct may be an older, smaller one. */
static struct errand_new_job new_job_read(const struct errand_new_job *given)
{
    struct errand_new_job new_job = {0};
    memcpy(&new_job, given, given->size < sizeof new_job ? given->size : sizeof new_job);
    return new_job;
}

bool errand_enqueue(struct errand_job *job, const struct errand_new_job *new_job, int64_t *id,
                    const char **error)
{
    const char *params[ENQUEUE_PARAMS];
    const struct errand_rows *rows;
    if (!call_begins_waiting(job, "errand_enqueue", error))
        return false;
    const struct errand_new_job asked = new_job_read(new_job);
    if (!enqueue_params(job, &asked, params, error) ||
        !job_query(job, &module_sql[MODULE_SQL_ENQUEUE], ENQUEUE_PARAMS, params, &rows, error))
        return false;
    if (id)
        *id = errand_rows_int(rows, 0, 0);
    return true;
}

bool errand_enqueue_effect(struct errand_job *job, const struct errand_new_job *new_job,
                           const char **error)
{
    const char *params[ENQUEUE_PARAMS];
    if (!call_begins_open(job, "errand_enqueue_effect", error))
        return false;
    const struct errand_new_job asked = new_job_read(new_job);
    if (!enqueue_params(job, &asked, params, error))
        return false;
    job_add_effect(job, &module_sql[MODULE_SQL_ENQUEUE], ENQUEUE_PARAMS, params);
    return true;
}
