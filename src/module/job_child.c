/* The public job API of errand/child.h for child processes. */
#include "module/call.h"

#include "loop/child.h"
#include "module/job_lines.h"
#include "module/job_trace.h"

#include <string.h>

enum {
    CHILD_MAX_BYTES = 1048576,
    CHILD_GRACE_MS = 2000,
    RESULT_LEAST = sizeof(struct errand_child_result) /* of the first one, and up to now of all */
};

static void on_child_done(struct child *child, void *owner)
{
    struct attempt *attempt = owner;
    (void)child;
    if (attempt->child_lines)
        job_lines_end(attempt->child_lines);
    attempt_wake(attempt);
}

static void on_child_err(void *owner, const char *data, size_t length)
{
    struct attempt *attempt = owner;
    job_lines_take(attempt->child_lines, ERRAND_INFO, data, length);
}

static size_t or_initial(size_t value, size_t initial)
{
    return value ? value : initial;
}

static struct child_options child_options_of(const struct errand_child *asked)
{
    return (struct child_options){
        .plan = {.argv = asked->argv,
                 .env = asked->env,
                 .cwd = asked->cwd,
                 .limits = {.cpu_seconds = asked->cpu_seconds,
                            .memory_bytes = asked->memory_bytes,
                            .file_bytes = asked->file_bytes,
                            .open_files = asked->open_files}},
        .input = asked->input,
        .input_bytes = asked->input_bytes,
        .timeout_ms = asked->timeout_ms,
        .grace_ms = asked->grace_ms > 0 ? asked->grace_ms : CHILD_GRACE_MS,
        .max_out_bytes = or_initial(asked->max_out_bytes, CHILD_MAX_BYTES),
        .max_err_bytes = or_initial(asked->max_err_bytes, CHILD_MAX_BYTES),
        .on_err = asked->err_is_log ? on_child_err : NULL,
    };
}

static const char *result_error(struct attempt *attempt, const struct child *child)
{
    switch (child->end) {
    case CHILD_EXITED:
        return child->status == 0 ? NULL
                                  : arena_printf(&attempt->arena, "exit status %d", child->status);
    case CHILD_SIGNALED:
        return arena_printf(&attempt->arena, "ended by signal %d (%s)", child->signal,
                            strsignal(child->signal));
    case CHILD_NOT_STARTED:
        return arena_strdup(&attempt->arena, child->err.text);
    case CHILD_TIMEOUT:
        return "its time was up";
    default:
        return "the job was asked to end";
    }
}

static void result_fill(struct attempt *attempt, const struct child *child,
                        struct errand_child_result *result)
{
    static const enum errand_child_end ends[] = {
        [CHILD_EXITED] = ERRAND_CHILD_EXITED,       [CHILD_SIGNALED] = ERRAND_CHILD_SIGNALED,
        [CHILD_TIMEOUT] = ERRAND_CHILD_TIMEOUT,     [CHILD_CANCELLED] = ERRAND_CHILD_CANCELLED,
        [CHILD_NOT_STARTED] = ERRAND_CHILD_NOT_RUN,
    };
    const struct buf *out = &child->out.kept, *err = &child->err_out.kept;
    result->end = ends[child->end];
    result->is_temporary = child->end == CHILD_NOT_STARTED && child->err.code == ERR_TEMPORARY;
    result->status = child->status;
    result->signal = child->signal;
    result->error = result_error(attempt, child);
    result->out = arena_strndup(&attempt->arena, buf_text(out), out->length);
    result->out_bytes = out->length;
    result->out_dropped_bytes = child->out.dropped_bytes;
    result->err = arena_strndup(&attempt->arena, buf_text(err), err->length);
    result->err_bytes = err->length;
    result->err_dropped_bytes = child->err_out.dropped_bytes;
}

void errand_child(struct errand_job *job, const struct errand_child *child,
                  struct errand_child_result *result)
{
    struct errand_child asked = {0};
    struct errand_child_result told = {.end = ERRAND_CHILD_CANCELLED,
                                       .status = -1,
                                       .error = "the job was asked to end",
                                       .out = "",
                                       .err = ""};
    size_t size = result->size < sizeof told ? result->size : sizeof told;
    if (size < RESULT_LEAST) { /* which it could not be told of otherwise */
        call_is_wrong(job, "errand_child",
                      "its result has no size (.size = sizeof(struct errand_child_result))", NULL);
        return;
    }
    memcpy(&asked, child, child->size < sizeof asked ? child->size : sizeof asked);
    told.size = result->size;
    if (!call_begins_waiting(job, "errand_child", &told.error)) {
        told.end = ERRAND_CHILD_NOT_RUN;
        memcpy(result, &told, size);
        return;
    }
    struct attempt *attempt = job->attempt;
    asked.env = job_trace_env(job, asked.env);
    told.started_us = errand_now_us(job);
    if (!attempt->cancelled) {
        struct child_options options = child_options_of(&asked);
        attempt->child_lines = asked.err_is_log ? job_lines_new(job, "stderr") : NULL;
        attempt->child = child_start(&attempt->host->children, &options, on_child_done, attempt);
        attempt_sleep(attempt, WAIT_CHILD);
        result_fill(attempt, attempt->child, &told);
        child_free(attempt->child);
        attempt->child = NULL;
    }
    told.ended_us = errand_now_us(job);
    if (attempt->host->on_child)
        attempt->host->on_child(job, &asked, &told);
    memcpy(result, &told, size);
}
