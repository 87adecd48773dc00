/* Kinds that are workers: a program that stays up, is given jobs as lines of JSON and answers in
 * lines of JSON. Several of its processes may run, and each may hold several jobs. */
#include "kind/file.h"
#include "kind/type.h"
#include "kind/worker_line.h"
#include "kind/worker_pool.h"

#include <string.h>
#include <unistd.h>

/* For what a process still has to say when its job is to end: two graces of the longest, and some.
 */
enum { WORKER_END_MS = 60000 };

static const struct errand_setting worker_settings[] = {
    {"processes", ERRAND_SETTING_INTEGER, "1", NULL, 1, 1000, "at most"},
    {"jobs_at_once", ERRAND_SETTING_INTEGER, "1", NULL, 1, 10000, "in a process"},
    {"heartbeat_ms", ERRAND_SETTING_INTEGER, NULL, NULL, 100, 86400000,
     "after which a process that has jobs and says nothing is ended"},
    {"idle_ms", ERRAND_SETTING_INTEGER, "60000", NULL, 1, 86400000,
     "after which a process without jobs is ended"},
    {"grace_ms", ERRAND_SETTING_INTEGER, "2000", NULL, 1, 20000,
     "from cancel to SIGTERM, and from there to SIGKILL"},
    {"cpu_seconds", ERRAND_SETTING_INTEGER, NULL, NULL, 1, 31536000, "of the processor"},
    {"memory_bytes", ERRAND_SETTING_INTEGER, NULL, NULL, 1 << 20, INT64_MAX, "of address space"},
    {"open_files", ERRAND_SETTING_INTEGER, NULL, NULL, 4, 1000000, "at once"},
};

static bool worker_open(struct kind_file *file, struct err *err)
{
    const struct worker_options options = {
        .path = file->path,
        .kind = file->errand.name,
        .processes = (int)kind_file_integer(file, "processes"),
        .jobs_at_once = (int)kind_file_integer(file, "jobs_at_once"),
        .heartbeat_ms = (int)kind_file_integer(file, "heartbeat_ms"),
        .idle_ms = (int)kind_file_integer(file, "idle_ms"),
        .grace_ms = (int)kind_file_integer(file, "grace_ms"),
        .limits = {.cpu_seconds = kind_file_integer(file, "cpu_seconds"),
                   .memory_bytes = kind_file_integer(file, "memory_bytes"),
                   .open_files = kind_file_integer(file, "open_files")},
    };
    if (access(file->path, X_OK) != 0)
        return err_set(err, ERR_CONFIG, "the file may not be executed: chmod +x");
    if (!file->concurrency)
        file->concurrency = options.processes * options.jobs_at_once;
    file->pool = worker_pool_new(&options);
    return true;
}

static void worker_retire(struct kind_file *file)
{
    worker_pool_retire(file->pool);
}

static void worker_close(struct kind_file *file)
{
    worker_pool_free(file->pool);
}

static void worker_run(struct errand_job *job)
{
    struct worker_job *worker = errand_alloc(job, sizeof *worker);
    worker->job = job;
    worker_pool_run(kind_file_of(job)->pool, worker);
    switch (worker->end) {
    case WORKER_ANSWERED:
        worker_line_settle(worker->answer, job);
        json_decref(worker->answer);
        break;
    case WORKER_CANCELLED:
        errand_cancelled(job, "%s", worker->text ? worker->text : "the job was asked to end");
        break;
    case WORKER_PUT_BACK:
        errand_snooze(job, errand_run_at_us(job), "its worker was ended for another job");
        break;
    default:
        errand_error_class(job, worker->error_class);
        errand_retry(job, -1, "%s", worker->text);
    }
}

/* A worker acts outside the database: its attempt is written down and counted before it starts. */
const struct kind_type kind_type_worker = {
    .suffix = ".worker",
    .claim = ERRAND_CLAIM_FIRST,
    .cancel_grace_ms = WORKER_END_MS,
    .settings = worker_settings,
    .setting_count = sizeof worker_settings / sizeof *worker_settings,
    .open = worker_open,
    .run = worker_run,
    .retire = worker_retire,
    .close = worker_close,
};
