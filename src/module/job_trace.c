#include "module/job_trace.h"

#include "module/call.h"
#include "module/traceparent.h"

#include <string.h>
#include <strings.h>

const char *errand_trace(const struct errand_job *job)
{
    return job->trace;
}

const char *job_trace_span(struct errand_job *job)
{
    char span[TRACEPARENT_BYTES];
    if (!job->trace_span && job->trace && traceparent_child(span, job->trace, job->id, job->number))
        job->trace_span = arena_strdup(&job->attempt->arena, span);
    return job->trace_span;
}

const char *errand_trace_span(struct errand_job *job)
{
    return call_is_own(job, "errand_trace_span") ? job_trace_span(job) : NULL;
}

static bool request_has_header(const struct errand_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return true;
    return false;
}

const struct errand_request *job_trace_request(struct errand_job *job,
                                               const struct errand_request *request)
{
    const char *span = job_trace_span(job);
    size_t count = request->header_count;
    if (!span || request_has_header(request, "traceparent"))
        return request;
    struct arena *arena = &job->attempt->arena;
    struct errand_header *headers = arena_alloc(arena, (count + 1) * sizeof *headers);
    if (count)
        memcpy(headers, request->headers, count * sizeof *headers);
    headers[count] = (struct errand_header){"traceparent", span};
    struct errand_request *traced = arena_zalloc(arena, sizeof *traced);
    memcpy(traced, request, request->size < sizeof *traced ? request->size : sizeof *traced);
    traced->headers = headers;
    traced->header_count = count + 1;
    return traced;
}

const char *const *job_trace_env(struct errand_job *job, const char *const *env)
{
    const char *span = job_trace_span(job);
    size_t count = 0;
    if (!span)
        return env;
    for (; env && env[count]; count++)
        if (strncmp(env[count], "TRACEPARENT=", 12) == 0)
            return env;
    const char **traced = arena_zalloc(&job->attempt->arena, (count + 2) * sizeof *traced);
    if (count)
        memcpy(traced, env, count * sizeof *traced);
    traced[count] = arena_printf(&job->attempt->arena, "TRACEPARENT=%s", span);
    return traced;
}
