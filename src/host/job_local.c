/* The calls of errand/errand.h that need nobody: identity, args, memory. */
#include "host/host.h"

#include "base/clock.h"
#include "module/json_text.h"

int64_t errand_id(const struct errand_job *job)
{
    return job->id;
}

const char *errand_kind_name(const struct errand_job *job)
{
    return job->kind;
}

const char *errand_queue_name(const struct errand_job *job)
{
    return job->queue;
}

int errand_attempt(const struct errand_job *job)
{
    return job->attempt;
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
    (void)job;
    return clock_mono_us() + host.clock_offset_us;
}

const char *errand_args_text(const struct errand_job *job)
{
    return job->args_text;
}

const json_t *errand_args(struct errand_job *job)
{
    if (!job->args_parsed) {
        json_error_t error;
        job->args_parsed = true;
        if (json_text_is_shallow(job->args_text))
            job->args = json_loads(job->args_text, JSON_DECODE_ANY, &error);
    }
    return job->args;
}

const char *errand_trace(const struct errand_job *job)
{
    return job->trace;
}

const char *errand_trace_span(struct errand_job *job)
{
    return job->trace_span;
}

const char *errand_setting(struct errand_job *job, const char *name)
{
    (void)job;
    return host_setting(name);
}

void *errand_alloc(struct errand_job *job, size_t size)
{
    (void)job;
    return arena_zalloc(&host.arena, size);
}

char *errand_strdup(struct errand_job *job, const char *text)
{
    (void)job;
    return arena_strdup(&host.arena, text);
}

char *errand_printf(struct errand_job *job, const char *format, ...)
{
    (void)job;
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(&host.arena, format, args);
    va_end(args);
    return text;
}

/* ---- Heavy work: here it holds up nobody else ---- */

/* A call that waits, which does not come back when the attempt is to end. */
static void thread_check(struct errand_job *job)
{
    if (host.cancelled)
        errand_sleep(job, 0);
}

bool errand_thread(struct errand_job *job,
                   void (*work)(struct errand_thread *thread, void *context), void *context,
                   const char **error)
{
    (void)error;
    thread_check(job);
    work(NULL, context);
    thread_check(job);
    return true;
}

bool errand_thread_is_cancelled(const struct errand_thread *thread)
{
    (void)thread;
    return host.cancelled;
}
