/* The public job API of include/errand/errand.h for heavy work on another thread. */
#include "module/call.h"

struct errand_thread {
    struct worker_task task; /* first: what the pool gives back */
    struct attempt *attempt;
    void (*work)(struct errand_thread *thread, void *context);
    void *context;
    bool has_run;
};

static struct errand_thread *thread_of(struct worker_task *task)
{
    return (struct errand_thread *)task;
}

static void on_work(struct worker_task *task)
{
    struct errand_thread *thread = thread_of(task);
    thread->work(thread, thread->context);
}

static void on_done(struct worker_task *task)
{
    struct errand_thread *thread = thread_of(task);
    thread->has_run = true;
    attempt_wake(thread->attempt);
}

static bool thread_refuse(struct errand_job *job, const char *why, const char **error)
{
    if (error)
        *error = arena_strdup(&job->attempt->arena, why);
    return false;
}

bool errand_thread(struct errand_job *job,
                   void (*work)(struct errand_thread *thread, void *context), void *context,
                   const char **error)
{
    struct err err;
    if (!call_begins_waiting(job, "errand_thread", error))
        return false;
    struct attempt *attempt = job->attempt;
    struct errand_thread *thread = arena_zalloc(&attempt->arena, sizeof *thread);
    thread->task.work = on_work;
    thread->task.on_done = on_done;
    thread->attempt = attempt;
    thread->work = work;
    thread->context = context;
    if (attempt->cancelled)
        return thread_refuse(job, "the job was asked to end", error);
    if (!workers_submit(&attempt->host->workers, &thread->task, &err))
        return thread_refuse(job, err.text, error);
    attempt->task = &thread->task;
    attempt_sleep(attempt, WAIT_THREAD);
    return thread->has_run || thread_refuse(job, "the job was asked to end", error);
}

bool errand_thread_is_cancelled(const struct errand_thread *thread)
{
    return atomic_load(&thread->task.cancelled);
}
