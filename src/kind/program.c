/* Kinds that are programs: any file that may be executed, run once for each attempt. It gets the
 * args as one line of JSON on its stdin; its exit status says how the attempt ended, JSON on its
 * stdout is the job's result, lines on its stderr are the job's log. */
#include "kind/file.h"
#include "kind/lines.h"
#include "kind/type.h"
#include "module/json_text.h"

#include <string.h>
#include <unistd.h>

enum { EXIT_DATA = 65, EXIT_LATER = 75, EXIT_CONFIG = 78 }; /* of sysexits.h */
enum { ERR_BYTES_MAX = 65536 };  /* of its stderr, in which the last line is looked for */
enum { PROGRAM_END_MS = 60000 }; /* for its last lines */
enum { GONE_US = 1000000 };      /* until the directory has been looked at */

static const struct errand_setting program_settings[] = {
    {"grace_ms", ERRAND_SETTING_INTEGER, "2000", NULL, 1, 60000, "from SIGTERM to SIGKILL"},
    {"cpu_seconds", ERRAND_SETTING_INTEGER, NULL, NULL, 1, 86400, "of the processor"},
    {"memory_bytes", ERRAND_SETTING_INTEGER, NULL, NULL, 1 << 20, INT64_MAX, "of address space"},
    {"open_files", ERRAND_SETTING_INTEGER, NULL, NULL, 4, 1000000, "at once"},
};

static void program_take_result(struct errand_job *job, const struct errand_child_result *result)
{
    const char *fault;
    if (result->out_dropped_bytes)
        errand_log(job, ERRAND_WARN, "stdout is longer than 1 MiB: the job has no result");
    else if (kind_text_is_blank(result->out))
        return;
    else if ((fault = json_text_fault(result->out, ERRAND_RESULT_MAX)))
        errand_log(job, ERRAND_WARN, "stdout is no result, the job has none: %s", fault);
    else
        errand_result_text(job, result->out, NULL);
}

/* What failed, with the last thing that it said. */
static const char *program_error(struct errand_job *job, const struct errand_child_result *result)
{
    const char *last = kind_last_line(job, result->err);
    return last ? errand_printf(job, "%s: %s", result->error, last) : result->error;
}

static void program_settle_exit(struct errand_job *job, const struct errand_child_result *result)
{
    if (result->status == 0) {
        program_take_result(job, result);
        errand_done(job);
        return;
    }
    if (result->status == EXIT_DATA || result->status == EXIT_CONFIG) {
        errand_fail(job, "%s", program_error(job, result));
        return;
    }
    errand_error_class(job, errand_printf(job, "exit.%d", result->status));
    errand_retry(job, -1, "%s", program_error(job, result));
}

/* Its file may have been removed, or be about to be replaced: that is no fault of the job. */
static void program_settle_not_run(struct errand_job *job, const struct errand_child_result *result)
{
    if (access(kind_file_of(job)->path, F_OK) != 0)
        errand_snooze(job, errand_now_us(job) + GONE_US, "%s", result->error);
    else
        errand_retry(job, -1, "%s", result->error);
}

static void program_settle(struct errand_job *job, const struct errand_child_result *result)
{
    switch (result->end) {
    case ERRAND_CHILD_EXITED:
        program_settle_exit(job, result);
        break;
    case ERRAND_CHILD_SIGNALED:
        errand_error_class(job, errand_printf(job, "signal.%d", result->signal));
        errand_retry(job, -1, "%s", program_error(job, result));
        break;
    case ERRAND_CHILD_CANCELLED:
        errand_cancelled(job, "%s", program_error(job, result));
        break;
    case ERRAND_CHILD_NOT_RUN:
        program_settle_not_run(job, result);
        break;
    default:
        errand_retry(job, -1, "%s", program_error(job, result));
    }
}

static const char *const *program_env(struct errand_job *job)
{
    const char **env = errand_alloc(job, 6 * sizeof(const char *));
    env[0] = errand_printf(job, "ERRAND_JOB_ID=%lld", (long long)errand_id(job));
    env[1] = errand_printf(job, "ERRAND_ATTEMPT=%d", errand_attempt(job));
    env[2] = errand_printf(job, "ERRAND_MAX_ATTEMPTS=%d", errand_max_attempts(job));
    env[3] = errand_printf(job, "ERRAND_KIND=%s", errand_kind_name(job));
    env[4] = errand_printf(job, "ERRAND_QUEUE=%s", errand_queue_name(job));
    return env;
}

static void program_run(struct errand_job *job)
{
    const struct kind_file *file = kind_file_of(job);
    const char *input = errand_printf(job, "%s\n", errand_args_text(job));
    const char *const argv[] = {file->path, NULL};
    const struct errand_child child = {
        .size = sizeof child,
        .argv = argv,
        .input = input,
        .input_bytes = strlen(input),
        .env = program_env(job),
        .grace_ms = (int)kind_file_integer(file, "grace_ms"),
        .max_err_bytes = ERR_BYTES_MAX,
        .err_is_log = true,
        .cpu_seconds = kind_file_integer(file, "cpu_seconds"),
        .memory_bytes = kind_file_integer(file, "memory_bytes"),
        .open_files = kind_file_integer(file, "open_files"),
    };
    struct errand_child_result result = {.size = sizeof result};
    errand_child(job, &child, &result);
    program_settle(job, &result);
}

/* A program acts outside the database: its attempt is written down and counted before it starts. */
const struct kind_type kind_type_program = {
    .suffix = "",
    .claim = ERRAND_CLAIM_FIRST,
    .cancel_grace_ms = PROGRAM_END_MS,
    .settings = program_settings,
    .setting_count = sizeof program_settings / sizeof *program_settings,
    .run = program_run,
};
