/* The public job API of include/errand/errand.h for what a job has to show: progress while it runs,
 * a result when it has ended. */
#include "module/call.h"

#include "base/mem.h"
#include "module/json_text.h"

#include <stdlib.h>
#include <string.h>

static bool report_refuse(struct errand_job *job, const char *what, const char *fault,
                          const char **error)
{
    errand_log(job, ERRAND_ERROR, "%s refused: %s", what, fault);
    if (error)
        *error = arena_printf(&job->attempt->arena, "%s: %s", what, fault);
    return false;
}

static bool report_value(struct errand_job *job, const json_t *value, const char *what,
                         bool (*report)(struct errand_job *, const char *, const char **),
                         const char **error)
{
    char *text = json_text_of(value);
    if (!text)
        return report_refuse(job, what, "it is no JSON value of at most 32 levels", error);
    bool done = report(job, text, error);
    free(text);
    return done;
}

bool job_show_progress(struct errand_job *job, const char *json, const char **fault)
{
    *fault = json_text_fault(json, ERRAND_PROGRESS_MAX);
    if (*fault)
        return false;
    free(job->progress);
    job->progress = mem_strdup(json);
    job->progress_is_new = true;
    job->attempt->host->queue_calls->progress(job->attempt->queue);
    return true;
}

bool errand_progress_text(struct errand_job *job, const char *json, const char **error)
{
    const char *fault;
    if (!call_begins_open(job, "errand_progress", error))
        return false;
    return job_show_progress(job, json, &fault) || report_refuse(job, "progress", fault, error);
}

bool errand_progress(struct errand_job *job, const json_t *progress, const char **error)
{
    return report_value(job, progress, "progress", errand_progress_text, error);
}

bool errand_result_text(struct errand_job *job, const char *json, const char **error)
{
    if (!call_begins_open(job, "errand_result", error))
        return false;
    const char *fault = json_text_fault(json, ERRAND_RESULT_MAX);
    if (fault)
        return report_refuse(job, "result", fault, error);
    job->outcome.result = arena_strdup(&job->attempt->arena, json);
    job->outcome.result_bytes = strlen(json);
    return true;
}

bool errand_result(struct errand_job *job, const json_t *result, const char **error)
{
    return report_value(job, result, "result", errand_result_text, error);
}
