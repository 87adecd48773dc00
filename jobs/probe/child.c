#include "child.h"

#include <string.h>

const char *const *child_argv(struct errand_job *job, const json_t *list)
{
    size_t count = json_array_size(list);
    const char **argv = errand_alloc(job, (count + 1) * sizeof *argv);
    for (size_t i = 0; i < count; i++) {
        argv[i] = json_string_value(json_array_get(list, i));
        if (!argv[i])
            return NULL;
    }
    return count ? argv : NULL;
}

static json_int_t child_number(const json_t *args, const char *name)
{
    return json_integer_value(json_object_get(args, name));
}

static void child_show(struct errand_job *job, const struct errand_child_result *result)
{
    static const char *const ends[] = {
        [ERRAND_CHILD_EXITED] = "exited",       [ERRAND_CHILD_SIGNALED] = "signaled",
        [ERRAND_CHILD_NOT_RUN] = "not_run",     [ERRAND_CHILD_TIMEOUT] = "timeout",
        [ERRAND_CHILD_CANCELLED] = "cancelled",
    };
    json_t *shown = json_pack("{s:s, s:i, s:i, s:s?, s:s, s:s, s:I, s:I}", "end", ends[result->end],
                              "status", result->status, "signal", result->signal, "error",
                              result->error, "out", result->out_bytes > 1000 ? "" : result->out,
                              "err", result->err_bytes > 1000 ? "" : result->err,
                              "out_dropped_bytes", (json_int_t)result->out_dropped_bytes,
                              "err_dropped_bytes", (json_int_t)result->err_dropped_bytes);
    errand_result(job, shown, NULL);
    json_decref(shown);
}

void probe_child(struct errand_job *job)
{
    const json_t *args = errand_args(job);
    const char *input = json_string_value(json_object_get(args, "input"));
    struct errand_child child = {
        .size = sizeof child,
        .argv = child_argv(job, json_object_get(args, "argv")),
        .input = input,
        .input_bytes = input ? strlen(input) : 0,
        .timeout_ms = (int)child_number(args, "timeout_ms"),
        .grace_ms = (int)child_number(args, "grace_ms"),
        .max_out_bytes = (size_t)child_number(args, "max_bytes"),
        .max_err_bytes = (size_t)child_number(args, "max_bytes"),
        .memory_bytes = child_number(args, "memory_bytes"),
        .err_is_log = json_is_true(json_object_get(args, "err_is_log")),
    };
    struct errand_child_result result = {.size = sizeof result};
    if (!child.argv) {
        errand_fail(job, "args have no argv of texts");
        return;
    }
    errand_child(job, &child, &result);
    child_show(job, &result);
    errand_done(job);
}
