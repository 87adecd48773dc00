#include "isolate/handler.h"

#include "isolate/fork_server.h"
#include "isolate/serve.h"
#include "module/job_lines.h"
#include "module/rows.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    GRACE_MS = 2000,
    CLOSED_MS = 500,    /* a process that ends closes its socket first */
    FRAMES_A_TURN = 64, /* then the others' turn */
    GONE_US = 2000000   /* until it is looked whether a file is there again */
};

struct handler {
    struct attempt *attempt;
    struct errand_job *const *jobs;
    size_t count;
    struct process process;
    struct job_lines *lines; /* of its output */
    struct loop_deferred wake;
    struct loop_timer closed;
    const char *last_call; /* NULL: it made none yet */
    const char *fault;     /* what it did that ends it; NULL: nothing */
    const char *refusal;   /* of its start hook; NULL: none */
    size_t kept_bytes;
    bool unwinds; /* it was told that a call does not come back */
    bool is_over; /* its handler returned, or was unwound */
};

/* One call, which the attempt's end may unwind. */
struct serving {
    struct handler *handler;
    struct errand_job *job;
    const struct serve_row *row;
    struct frame_reader *in;
};

/* ---- Waking ---- */

static void handler_on_event(void *owner)
{
    struct handler *handler = owner;
    loop_defer(handler->attempt->host->loop, &handler->wake);
}

/* In the middle of a call for it, the call goes first. */
static void handler_wake(void *owner)
{
    struct handler *handler = owner;
    if (handler->attempt->waiting == WAIT_HOST)
        attempt_wake(handler->attempt);
}

static void handler_on_output(void *owner, const char *data, size_t length)
{
    struct handler *handler = owner;
    job_lines_take(handler->lines, ERRAND_INFO, data, length);
}

/* ---- Calls ---- */

static void handler_fault(struct handler *handler, const char *fault)
{
    if (!handler->fault)
        handler->fault = fault;
    child_cancel(handler->process.child, 0);
}

static void handler_answer(struct handler *handler, size_t begun, size_t end_at, enum wire_end end)
{
    struct buf *out = &handler->process.channel.out;
    const int64_t told = end;
    memcpy(out->data + end_at, &told, sizeof told);
    if (!frame_end(out, begun))
        handler_fault(handler, "an answer was too large for it");
    channel_send(&handler->process.channel);
}

static void serving_run(void *owner)
{
    struct serving *serving = owner;
    struct handler *handler = serving->handler;
    if (!serving->row->serve(serving->job, serving->in, &handler->process.channel.out))
        handler_fault(handler, "it sent what is no call");
}

/* A program of errand_child's has ended when its call is unwound. */
static void serving_unwound(struct attempt *attempt)
{
    if (attempt->child)
        child_free(attempt->child);
    attempt->child = NULL;
}

static void handler_serve_row(struct serving *serving)
{
    struct handler *handler = serving->handler;
    struct buf *out = &handler->process.channel.out;
    size_t begun = frame_begin(out, WIRE_ANSWER), end_at = out->length;
    frame_int(out, WIRE_GOES_ON);
    bool comes_back = coro_try(serving_run, serving);
    enum wire_end end = !comes_back                         ? WIRE_UNWIND
                        : errand_is_cancelled(serving->job) ? WIRE_IS_ASKED
                                                            : WIRE_GOES_ON;
    handler->unwinds |= !comes_back;
    if (!comes_back)
        serving_unwound(handler->attempt);
    if (serving->row->keeps)
        handler->kept_bytes += out->length;
    if (!handler->fault && serving->row->is_answered)
        handler_answer(handler, begun, end_at, end);
    else
        out->length = begun;
}

/* What a call leaves behind is in the answer, so its memory ends with it, however many it makes. */
static void handler_serve_alone(struct serving *serving)
{
    struct attempt *attempt = serving->handler->attempt;
    struct arena kept = attempt->arena;
    arena_init(&attempt->arena);
    handler_serve_row(serving);
    rows_free_all(attempt->rows);
    attempt->rows = NULL;
    attempt->err = NULL;
    attempt->child_lines = NULL;
    arena_clear(&attempt->arena);
    attempt->arena = kept;
}

static void handler_serve_call(struct handler *handler, unsigned call, struct frame_reader *in)
{
    const struct serve_row *row = &serve_rows[call];
    size_t bytes = (size_t)(in->end - in->at), number = frame_read_count(in, handler->count - 1);
    struct serving serving = {handler, handler->jobs[number], row, in};
    handler->last_call = row->name;
    handler->kept_bytes += row->keeps ? bytes : 0;
    if (in->failed)
        handler_fault(handler, "it sent what is no call");
    else if (handler->kept_bytes > SERVE_KEPT_MAX)
        handler_fault(handler, "its effects and results are more than 64 MiB");
    else if (row->keeps)
        handler_serve_row(&serving);
    else
        handler_serve_alone(&serving);
}

static void handler_take(struct handler *handler, unsigned what, struct frame_reader *in)
{
    struct attempt *attempt = handler->attempt;
    if (what < WIRE_CALL_COUNT) {
        handler_serve_call(handler, what, in);
    } else if (what == WIRE_END) {
        handler->is_over = true;
        child_cancel(handler->process.child, 0);
    } else if (what == WIRE_REFUSED) {
        handler->refusal = arena_strdup(&attempt->arena, frame_read_present(in));
        child_cancel(handler->process.child, 0);
    } else {
        handler_fault(handler, "it sent what is no frame");
    }
}

/* ---- The attempt ---- */

static bool handler_is_done(const struct handler *handler)
{
    return handler->is_over || handler->fault || handler->refusal;
}

static void handler_on_closed(void *owner)
{
    handler_fault(owner, "it closed its socket to errand");
}

/* One that computes is unwound at its next call; when it makes none, it gets SIGKILL. */
static int handler_grace_ms(const struct attempt *attempt)
{
    int own_ms = attempt->unwinding ? 0 : attempt->kind->errand->cancel_grace_ms;
    int grace_ms = own_ms + GRACE_MS;
    return grace_ms < attempt->child_grace_ms ? grace_ms : attempt->child_grace_ms;
}

static void handler_check(struct handler *handler)
{
    struct attempt *attempt = handler->attempt;
    const struct channel *channel = &handler->process.channel;
    if (attempt->cancelled)
        child_cancel(handler->process.child, handler_grace_ms(attempt));
    if (!channel->has_ended || handler_is_done(handler) || handler->process.has_ended)
        return;
    if (channel->fault)
        handler_fault(handler, channel->fault);
    else
        loop_timer_set_least(&handler->closed, clock_mono_us() + CLOSED_MS * 1000);
}

/* Until the process has ended and all that it sent is read. */
static void handler_converse(struct handler *handler)
{
    struct channel *channel = &handler->process.channel;
    for (int frames = 0;;) {
        struct frame_reader in;
        unsigned what;
        bool had_ended = handler->process.has_ended;
        channel_send(channel);
        bool reads = !handler_is_done(handler) && channel_is_sent(channel);
        if (reads && frames < FRAMES_A_TURN && channel_next(channel, &in, &what)) {
            handler_take(handler, what, &in);
            frames++;
            continue;
        }
        if (had_ended && frames < FRAMES_A_TURN)
            return;
        if (frames == FRAMES_A_TURN)
            handler_on_event(handler);
        frames = 0;
        handler_check(handler);
        attempt_sleep(handler->attempt, WAIT_HOST);
    }
}

static bool handler_send_work(struct handler *handler)
{
    struct attempt *attempt = handler->attempt;
    const struct errand_module *module = attempt->kind->module;
    struct buf *out = &handler->process.channel.out;
    size_t begun = frame_begin(out, WIRE_WORK);
    isolate_write_settings(out, module, attempt->host->settings);
    frame_int(out, clock_database_us(attempt->host->clock) - clock_mono_us());
    frame_int(out, attempt->kind->errand - module->kinds);
    frame_int(out, (int64_t)handler->count);
    for (size_t i = 0; i < handler->count; i++) {
        struct errand_job *job = handler->jobs[i];
        frame_int(out, job->id);
        frame_int(out, job->run_at_us);
        frame_int(out, job->number);
        frame_int(out, job->max_attempts);
        frame_text(out, job->queue);
        frame_text(out, job->args_text);
        frame_text(out, errand_trace(job));
        frame_text(out, errand_trace_span(job)); /* also made in time: it stays */
    }
    if (!frame_end(out, begun))
        return false;
    channel_send(&handler->process.channel);
    return true;
}

/* ---- The end ---- */

static void job_crash(struct handler *handler, struct errand_job *job, const char *how)
{
    const char *last = handler->last_call;
    errand_error_class(job, "crashed");
    errand_retry(job, -1, "its process %s: %s, %s%s", handler->fault ? "was ended" : "ended", how,
                 last ? "after a call of " : "before any call", last ? last : "");
}

/* Its file may be about to be replaced: that is no fault of the job. True: it waits for that. */
static bool job_wait_for_file(const struct handler *handler, struct errand_job *job)
{
    const struct attempt *attempt = handler->attempt;
    const char *path = isolate_plan(attempt->kind->module, attempt->host->settings).path;
    if (access(path, F_OK) == 0)
        return false;
    errand_snooze(job, errand_now_us(job) + GONE_US, "%s: %s", path, strerror(errno));
    return true;
}

/* Nothing that it added stays, as with one that is unwound. */
static void job_drop(struct errand_job *job)
{
    job->outcome = (struct outcome){.effects_last = &job->outcome.effects};
}

static void job_conclude(struct handler *handler, struct errand_job *job)
{
    char how[160];
    process_end_text(&handler->process, how, sizeof how);
    if (job->outcome.code != OUTCOME_NONE) {
        errand_log(job, ERRAND_ERROR, "its process ended behind the job's end: %s",
                   handler->fault ? handler->fault : how);
        return;
    }
    job_drop(job);
    if (handler->attempt->cancelled)
        return; /* it is unwound */
    if (handler->refusal && job_wait_for_file(handler, job))
        return;
    if (handler->refusal)
        errand_retry(job, -1, "the plug-in does not start: %s", handler->refusal);
    else if (handler->process.child->end == CHILD_NOT_STARTED)
        errand_retry(job, -1, "%s", how);
    else
        job_crash(handler, job, handler->fault ? handler->fault : how);
}

static void handler_conclude(struct handler *handler)
{
    job_lines_end(handler->lines);
    for (size_t i = 0; i < handler->count && !handler->is_over; i++)
        job_conclude(handler, handler->jobs[i]);
}

/* A copy of the fork server, or else the program anew. */
static bool handler_start(struct handler *handler, struct err *err)
{
    struct attempt *attempt = handler->attempt;
    struct children *children = &attempt->host->children;
    const struct errand_module *module = attempt->kind->module;
    const struct process_plan plan = isolate_plan(module, attempt->host->settings);
    const struct process_events events = {handler_on_event, handler_on_output, handler};
    struct forked forked = {.on_answer = handler_on_event, .owner = handler};
    if (fork_server_ask((struct isolate_module *)(uintptr_t)module, children, &plan, &forked)) {
        while (!forked.is_answered)
            attempt_sleep(attempt, WAIT_HOST);
        if (process_adopt(&handler->process, children, &forked, &events))
            return true;
    }
    if (access(plan.path, F_OK) != 0) /* which a process would find, too, but it costs more */
        return err_set(err, ERR_TEMPORARY, "%s: %s", plan.path, strerror(errno));
    return process_start(&handler->process, children, &plan, &events, err);
}

void handler_run_batch(struct errand_job *const *jobs, size_t count)
{
    struct attempt *attempt = jobs[0]->attempt;
    struct handler handler = {.attempt = attempt, .jobs = jobs, .count = count};
    struct err err;
    attempt->is_isolated = true;
    handler.lines = job_lines_new(jobs[0], "its output");
    handler.wake = (struct loop_deferred){.run = handler_wake, .owner = &handler};
    loop_timer_init(&handler.closed, attempt->host->loop, handler_on_closed, &handler);
    if (!handler_start(&handler, &err)) {
        for (size_t i = 0; i < count; i++)
            if (!job_wait_for_file(&handler, jobs[i]))
                errand_retry(jobs[i], -1, "%s", err.text);
        loop_defer_cancel(attempt->host->loop, &handler.wake);
        return;
    }
    if (!handler_send_work(&handler))
        handler_fault(&handler, "the args are more than 64 MiB");
    handler_converse(&handler);
    handler_conclude(&handler);
    loop_defer_cancel(attempt->host->loop, &handler.wake);
    loop_timer_stop(&handler.closed);
    process_clear(&handler.process);
    if (attempt->cancelled && (handler.unwinds || !handler.is_over))
        coro_unwind();
}

void handler_run(struct errand_job *job)
{
    handler_run_batch(&job, 1);
}
