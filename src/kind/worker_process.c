#include "kind/worker_process.h"

#include "base/log.h"
#include "base/mem.h"
#include "kind/worker_line.h"
#include "kind/worker_pool.h"
#include "module/job_lines.h"
#include "module/json_text.h"
#include "module/log_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum {
    LINE_MAX_BYTES = ERRAND_RESULT_MAX + 65536, /* of stdout */
    ERR_LINE_MAX_BYTES = 2 * ERRAND_LOG_LINE_MAX,
    LINES_A_SECOND = 50, /* of a process, beside those of jobs */
    SENDING_KEPT_BYTES = 1 << 20
};

static struct loop *process_loop(const struct worker_process *process)
{
    return process->pool->children->loop;
}

/* ---- What it says beside answers ---- */

/* A line that belongs to no job, of which a flood must not fill the log. */
static void process_log(struct worker_process *process, const char *event, const char *fault,
                        const char *text, size_t length)
{
    int64_t now_us = clock_mono_us();
    struct buf line;
    if (now_us - process->logged_us >= 1000000) {
        if (process->log_dropped)
            log_event(LOG_WARN, "lines of a worker left out", "kind", process->pool->options.kind,
                      "lines", log_int(process->log_dropped), NULL);
        process->logged_us = now_us;
        process->logged = process->log_dropped = 0;
    }
    if (process->logged == LINES_A_SECOND) {
        process->log_dropped++;
        return;
    }
    process->logged++;
    log_line_clean(&line, text, length);
    log_event(LOG_WARN, event, "kind", process->pool->options.kind, "pid",
              log_int(process->child->spawn.pid), "fault", fault, "line", buf_text(&line), NULL);
    buf_clear(&line);
}

static void job_say(struct worker_job *worker, enum errand_level level, const char *text,
                    size_t length)
{
    if (!worker->lines)
        worker->lines = job_lines_new(worker->job, "the worker");
    job_lines_take(worker->lines, level, text, length);
    job_lines_take(worker->lines, level, "\n", 1);
}

static void on_err_line(void *owner, const char *text, size_t length, bool is_cut)
{
    struct worker_process *process = owner;
    (void)is_cut;
    while (length > 0 && memchr(" \t\r", text[length - 1], 3))
        length--;
    if (length == 0)
        return;
    snprintf(process->said, sizeof process->said, "%.*s", (int)length, text);
    if (process->held == 1)
        job_say(process->jobs, ERRAND_INFO, text, length);
    else
        process_log(process, "worker says", NULL, text, length);
}

static void on_err(void *owner, const char *data, size_t length)
{
    struct worker_process *process = owner;
    line_feed_take(&process->err, data, length);
}

/* ---- The end of a job ---- */

static void process_leave(struct worker_process *process, struct worker_job *worker)
{
    DL_DELETE(process->jobs, worker);
    process->held--;
    worker->process = NULL;
}

static void job_end(struct worker_job *worker, enum worker_end end)
{
    worker->end =
        worker->job->attempt->cancelled && end != WORKER_ANSWERED ? WORKER_CANCELLED : end;
    if (worker->lines)
        job_lines_end(worker->lines);
    attempt_wake(worker->job->attempt);
}

/* It has room for another one. */
static void process_release(struct worker_process *process, struct worker_job *worker,
                            enum worker_end end)
{
    process_leave(process, worker);
    worker_pool_feed(process->pool);
    if (!process->held) {
        process->idle_us = clock_mono_us();
        if (process->ending || process->pool->retired)
            worker_process_quit(process);
        else
            loop_timer_set_least(&process->timer,
                                 process->idle_us + process->pool->options.idle_ms * INT64_C(1000));
    }
    job_end(worker, end);
}

/* ---- Its lines ---- */

static struct worker_job *process_job(const struct worker_process *process, int64_t id)
{
    struct worker_job *worker = process->jobs;
    while (worker && worker->job->id != id)
        worker = worker->next;
    return worker;
}

static void process_refuse_line(struct worker_process *process, struct worker_job *worker,
                                const char *fault, const char *text, size_t length)
{
    process_log(process, "worker's line is wrong", fault, text, length);
    if (!worker)
        return;
    worker->text =
        arena_printf(&worker->job->attempt->arena, "the worker's line is wrong: %s", fault);
    worker->error_class = "worker.line";
    process_release(process, worker, WORKER_BAD_LINE);
}

static void job_take_progress(struct worker_job *worker, const json_t *progress)
{
    const char *fault = "it is more than 32 levels deep";
    char *text = json_text_of(progress);
    if (!text || !job_show_progress(worker->job, text, &fault))
        job_say(worker, ERRAND_WARN, fault, strlen(fault));
    free(text);
}

static void job_take_line(struct worker_job *worker, json_t *line)
{
    const json_t *progress = json_object_get(line, "progress"), *log = json_object_get(line, "log");
    if (progress)
        job_take_progress(worker, progress);
    if (json_is_string(log))
        job_say(worker, worker_line_level(line), json_string_value(log), json_string_length(log));
    if (!json_object_get(line, "outcome"))
        return;
    worker->answer = json_incref(line);
    worker->process->answered = true;
    worker->pool->failures = 0;
    process_release(worker->process, worker, WORKER_ANSWERED);
}

/* NULL: fault says why. jansson takes no integer past 64 bits, and no \u0000. */
static json_t *line_read(const char *text, size_t length, char *fault, size_t size)
{
    json_error_t error;
    json_t *line = json_loadb(text, length, 0, &error);
    if (json_is_object(line))
        return line;
    snprintf(fault, size, "the line is no JSON object%s%s", line ? "" : ": ",
             line ? "" : error.text);
    json_decref(line);
    return NULL;
}

static void on_out_line(void *owner, const char *text, size_t length, bool is_cut)
{
    struct worker_process *process = owner;
    struct worker_job *worker = NULL;
    char unread[200];
    int64_t id;
    json_t *line = is_cut ? NULL : line_read(text, length, unread, sizeof unread);
    const char *fault = is_cut ? "the line is too long" : line ? worker_line_fault(line) : unread;
    bool named = line ? worker_line_id(line, &id) : worker_line_find_id(text, length, &id);
    if (named)
        worker = process_job(process, id);
    if (fault)
        process_refuse_line(process, worker, fault, text, length);
    else if (worker)
        job_take_line(worker, line);
    else if (named || !json_object_get(line, "heartbeat"))
        process_log(process, "worker's line is about no job that it holds", NULL, text, length);
    json_decref(line);
}

static void on_out(void *owner, const char *data, size_t length)
{
    struct worker_process *process = owner;
    process->heard_us = clock_mono_us();
    line_feed_take(&process->out, data, length);
}

/* ---- What it is sent ---- */

static void process_flush(void *owner)
{
    struct worker_process *process = owner;
    struct buf written = process->sending;
    if (process->child->input_bytes || !process->following.length ||
        !child_takes_input(process->child))
        return;
    process->sending = process->following;
    process->following = written;
    if (process->following.capacity > SENDING_KEPT_BYTES)
        buf_clear(&process->following);
    else
        buf_reset(&process->following);
    child_write(process->child, process->sending.data, process->sending.length);
}

/* All that is sent in one turn of the loop goes out together. */
static void process_send(struct worker_process *process, size_t length_before)
{
    process->queued_bytes += (int64_t)(process->following.length - length_before);
    loop_defer(process_loop(process), &process->flush);
}

/* What a process that reads no more was not sent goes to another. */
static void process_take_unsent(struct worker_process *process)
{
    int64_t sent = process->queued_bytes - (int64_t)process->following.length -
                   (int64_t)process->child->input_bytes;
    while (process->jobs) {
        struct worker_job *last = process->jobs->prev;
        if (last->begins_at < sent || last->job->attempt->cancelled)
            return;
        process_leave(process, last);
        worker_pool_take_back(process->pool, last);
    }
}

static void on_written(void *owner)
{
    struct worker_process *process = owner;
    if (child_takes_input(process->child)) {
        process_flush(process);
        return;
    }
    process->ending = true;
    process_take_unsent(process);
    if (!process->held)
        worker_process_quit(process);
    worker_pool_feed(process->pool);
}

bool worker_process_has_room(const struct worker_process *process)
{
    return !process->ending && process->held < process->pool->options.jobs_at_once;
}

void worker_process_give(struct worker_process *process, struct worker_job *worker)
{
    size_t before = process->following.length;
    const struct worker_options *options = &process->pool->options;
    if (!process->held) {
        process->heard_us = clock_mono_us();
        if (options->heartbeat_ms)
            loop_timer_set_least(&process->timer,
                                 process->heard_us + options->heartbeat_ms * INT64_C(1000));
    }
    DL_APPEND(process->jobs, worker);
    process->held++;
    worker->process = process;
    worker->begins_at = process->queued_bytes;
    worker_line_add_job(&process->following, worker->job);
    process_send(process, before);
}

/* ---- Its end ---- */

void worker_process_quit(struct worker_process *process)
{
    if (process->quit_us)
        return;
    process->ending = true;
    child_close_input(process->child);
    process->quit_us = clock_mono_us() + process->pool->options.grace_ms * INT64_C(1000);
    loop_timer_set_least(&process->timer, process->quit_us);
}

/* With the jobs that it holds. */
static void process_stop(struct worker_process *process, enum worker_end others, int grace_ms)
{
    if (process->others == WORKER_DIED)
        process->others = others;
    process->ending = true;
    child_cancel(process->child, grace_ms);
}

static void process_forget(struct worker_process *process, struct worker_job *worker)
{
    process_stop(process, WORKER_PUT_BACK, 0);
    process_leave(process, worker);
    job_end(worker, WORKER_CANCELLED);
}

void worker_process_call_off(struct worker_process *process, struct worker_job *worker)
{
    const struct attempt *attempt = worker->job->attempt;
    int grace_ms = process->pool->options.grace_ms;
    size_t before = process->following.length;
    if (attempt->unwinding) {
        process_forget(process, worker);
    } else if (attempt->cut) {
        process_stop(process, WORKER_PUT_BACK,
                     grace_ms < attempt->child_grace_ms ? grace_ms : attempt->child_grace_ms);
    } else if (!worker->end_us) {
        worker->end_us = clock_mono_us() + grace_ms * INT64_C(1000);
        loop_timer_set_least(&process->timer, worker->end_us);
        worker_line_add_cancel(&process->following, worker->job->id);
        process_send(process, before);
    }
}

/* True: the time has come; else *next is not later. */
static bool is_due(int64_t at_us, int64_t now_us, int64_t *next)
{
    if (at_us > now_us && at_us < *next)
        *next = at_us;
    return at_us <= now_us;
}

static void on_timer(void *owner)
{
    struct worker_process *process = owner;
    const struct worker_options *options = &process->pool->options;
    int64_t now_us = clock_mono_us(), next = INT64_MAX;
    struct worker_job *worker;
    DL_FOREACH(process->jobs, worker)
    if (worker->end_us && is_due(worker->end_us, now_us, &next))
        process_stop(process, WORKER_PUT_BACK, options->grace_ms);
    if (process->held && options->heartbeat_ms &&
        is_due(process->heard_us + options->heartbeat_ms * INT64_C(1000), now_us, &next))
        process_stop(process, WORKER_SILENT, options->grace_ms);
    if (process->quit_us && is_due(process->quit_us, now_us, &next))
        child_cancel(process->child, options->grace_ms);
    if (!process->held && !process->quit_us &&
        is_due(process->idle_us + options->idle_ms * INT64_C(1000), now_us, &next))
        worker_process_quit(process);
    loop_timer_set_least(&process->timer, next);
}

/* ---- Its life ---- */

static const char *child_end_text(const struct child *child, char text[600], char class[32])
{
    if (child->end == CHILD_NOT_STARTED) {
        snprintf(text, 600, "the worker cannot be started: %s", child->err.text);
        snprintf(class, 32, "worker.start");
    } else if (child->signal) {
        snprintf(text, 600, "the worker was ended by signal %d (%s)", child->signal,
                 strsignal(child->signal));
        snprintf(class, 32, "signal.%d", child->signal);
    } else {
        snprintf(text, 600, "the worker ended: exit status %d", child->status);
        snprintf(class, 32, "exit.%d", child->status);
    }
    return text;
}

static void job_describe_end(struct worker_job *worker, const struct worker_process *process)
{
    char text[600], class[32];
    struct arena *arena = &worker->job->attempt->arena;
    if (process->others == WORKER_SILENT) {
        worker->text = arena_printf(arena, "the worker said nothing for %d ms",
                                    process->pool->options.heartbeat_ms);
        worker->error_class = "worker.silent";
        return;
    }
    child_end_text(process->child, text, class);
    worker->text = arena_printf(arena, "%s%s%s", text, *process->said ? ": " : "", process->said);
    worker->error_class = arena_strdup(arena, class);
}

static void process_log_end(const struct worker_process *process)
{
    char text[600], class[32];
    bool own = process->others == WORKER_DIED && !process->quit_us;
    if (own || process->others == WORKER_SILENT)
        log_event(LOG_WARN, "worker ended", "kind", process->pool->options.kind, "pid",
                  log_int(process->child->spawn.pid), "end",
                  child_end_text(process->child, text, class), "said",
                  *process->said ? process->said : NULL, "jobs", log_int(process->held), NULL);
}

static void on_done(struct child *child, void *owner)
{
    struct worker_process *process = owner;
    struct worker_job *jobs, *worker, *next;
    line_feed_end(&process->out);
    line_feed_end(&process->err);
    if (child->end != CHILD_NOT_STARTED)
        process_take_unsent(process);
    process_log_end(process);
    jobs = process->jobs;
    process->jobs = NULL;
    process->held = 0;
    DL_FOREACH(jobs, worker)
    {
        worker->process = NULL;
        job_describe_end(worker, process);
    }
    enum worker_end others = process->others;
    worker_pool_on_ended(process->pool, process);
    DL_FOREACH_SAFE(jobs, worker, next)
    job_end(worker, others);
}

struct worker_process *worker_process_start(struct worker_pool *pool)
{
    const struct worker_options *options = &pool->options;
    struct worker_process *process = mem_zalloc(sizeof *process);
    char kind[128];
    snprintf(kind, sizeof kind, "ERRAND_KIND=%s", options->kind);
    const char *const argv[] = {options->path, NULL}, *const env[] = {kind, NULL};
    const struct child_options child = {
        .plan = {.argv = argv, .env = env, .limits = options->limits},
        .grace_ms = options->grace_ms,
        .on_err = on_err,
        .on_out = on_out,
        .on_written = on_written,
    };
    process->pool = pool;
    process->others = WORKER_DIED;
    process->flush = (struct loop_deferred){.run = process_flush, .owner = process};
    process->idle_us = clock_mono_us();
    line_feed_init(&process->out, LINE_MAX_BYTES, on_out_line, process);
    line_feed_init(&process->err, ERR_LINE_MAX_BYTES, on_err_line, process);
    buf_init(&process->sending, 0);
    buf_init(&process->following, 0);
    loop_timer_init(&process->timer, pool->children->loop, on_timer, process);
    process->child = child_start(pool->children, &child, on_done, process);
    return process;
}

void worker_process_free(struct worker_process *process)
{
    loop_timer_stop(&process->timer);
    loop_defer_cancel(process_loop(process), &process->flush);
    line_feed_clear(&process->out);
    line_feed_clear(&process->err);
    buf_clear(&process->sending);
    buf_clear(&process->following);
    child_free(process->child);
    free(process);
}
