#include "module/attempt.h"

#include "base/log.h"
#include "base/mem.h"
#include "http/http.h"
#include "module/cleanup.h"
#include "module/rows.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

enum { ASKED_TURN_US = 1000, THREAD_TELL_US = 2000000 };

static void attempt_on_timer(void *owner);
static void attempt_on_slept(void *owner);

void attempt_host_init(struct attempt_host *host, size_t threads)
{
    host->http = http_new(host->loop);
    coro_pool_init(&host->coros);
    children_init(&host->children, host->loop);
    watchdog_init(&host->watchdog);
    workers_init(&host->workers, host->loop, threads);
}

void attempt_host_clear(struct attempt_host *host)
{
    http_free(host->http);
    coro_pool_clear(&host->coros);
    children_clear(&host->children);
    watchdog_clear(&host->watchdog);
    workers_clear(&host->workers);
}

void attempt_host_abandon(struct attempt_host *host)
{
    children_kill(&host->children);
}

void attempt_host_cut(struct attempt_host *host, int child_grace_ms)
{
    for (struct attempt *attempt = host->running, *next; attempt; attempt = next) {
        next = attempt->running_next;
        attempt_cut(attempt, child_grace_ms);
    }
}

static void attempt_join_running(struct attempt *attempt)
{
    struct attempt **first = &attempt->host->running;
    attempt->running_next = *first;
    attempt->running_at = first;
    if (*first)
        (*first)->running_at = &attempt->running_next;
    *first = attempt;
}

static void attempt_leave_running(struct attempt *attempt)
{
    *attempt->running_at = attempt->running_next;
    if (attempt->running_next)
        attempt->running_next->running_at = attempt->running_at;
}

struct attempt *attempt_new(struct attempt_host *host, const struct kind *kind, size_t count,
                            void *queue)
{
    struct attempt *attempt = mem_zalloc(sizeof *attempt + count * sizeof attempt->jobs[0]);
    attempt->host = host;
    attempt->kind = kind_hold(kind);
    attempt->queue = queue;
    attempt->count = count;
    attempt->child_grace_ms = INT_MAX;
    arena_init(&attempt->arena);
    for (size_t i = 0; i < count; i++) {
        attempt->jobs[i].attempt = attempt;
        attempt->jobs[i].outcome.effects_last = &attempt->jobs[i].outcome.effects;
    }
    loop_timer_init(&attempt->timer, host->loop, attempt_on_timer, attempt);
    loop_timer_init(&attempt->sleep, host->loop, attempt_on_slept, attempt);
    return attempt;
}

void attempt_free(struct attempt *attempt)
{
    assert(attempt->returned || !attempt->coro);
    for (size_t i = 0; i < attempt->count; i++) {
        json_decref(attempt->jobs[i].args);
        free(attempt->jobs[i].progress);
    }
    if (attempt->call)
        http_call_free(attempt->call);
    rows_free_all(attempt->rows);
    arena_clear(&attempt->arena);
    kind_release(attempt->kind);
    free(attempt);
}

static void attempt_call_handler(void *owner)
{
    struct attempt *attempt = owner;
    const struct errand_kind *kind = attempt->kind->errand;
    if (kind->run) {
        kind->run(&attempt->jobs[0]);
        return;
    }
    struct errand_job **jobs =
        arena_alloc(&attempt->arena, attempt->count * sizeof(struct errand_job *));
    for (size_t i = 0; i < attempt->count; i++)
        jobs[i] = &attempt->jobs[i];
    kind->run_batch(jobs, attempt->count);
}

/* A handler that returns has done what it was asked. One that was unwound has done half of it. */
static void job_complete(struct errand_job *job, bool unwound)
{
    struct outcome *outcome = &job->outcome;
    if (job->mistake)
        *outcome = (struct outcome){
            .code = OUTCOME_DEAD, .text = job->mistake, .effects_last = &outcome->effects};
    if (outcome->code != OUTCOME_NONE)
        return;
    if (unwound)
        *outcome = (struct outcome){.effects_last = &outcome->effects};
    outcome->code = unwound ? OUTCOME_CANCELLED : OUTCOME_DONE;
}

static void attempt_body(void *owner)
{
    struct attempt *attempt = owner;
    attempt->coro = coro_current();
    bool unwound = !coro_try(attempt_call_handler, attempt);
    cleanup_run_all(attempt);
    if (attempt->child)
        child_free(attempt->child);
    streams_free_all(attempt);
    for (size_t i = 0; i < attempt->count; i++)
        job_complete(&attempt->jobs[i], unwound);
    attempt->returned = true;
}

/* ---- On and off its stack ---- */

static void attempt_go(struct attempt *attempt)
{
    slice_begin(&attempt->slice);
    watchdog_on(&attempt->host->watchdog, attempt->slice.begun_us, attempt->kind->name,
                attempt->jobs[0].id, attempt->slice.last);
}

static void attempt_come_back(struct attempt *attempt)
{
    watchdog_off(&attempt->host->watchdog);
    int64_t us = slice_end(&attempt->slice);
    if (us < SLICE_LONG_US)
        return;
    struct errand_job *job = &attempt->jobs[0];
    const char *after = attempt->slice.longest_after ? attempt->slice.longest_after : "its start";
    log_event(LOG_WARN, "handler kept the loop, all others waited", "kind", attempt->kind->name,
              "job", log_int(job->id), "ms", log_int(us / 1000), "after", after, NULL);
}

static void attempt_check_end(struct attempt *attempt)
{
    if (!attempt->returned)
        return;
    loop_timer_stop(&attempt->timer);
    attempt_leave_running(attempt);
    attempt->host->on_finished(attempt);
}

void attempt_start(struct attempt *attempt, int timeout_ms)
{
    attempt->timeout_ms = timeout_ms;
    attempt_join_running(attempt);
    attempt_go(attempt);
    coro_start(&attempt->host->coros, attempt_body, attempt);
    attempt_come_back(attempt);
    if (!attempt->returned && !attempt->cancelled)
        loop_timer_set(&attempt->timer, clock_mono_us() + (int64_t)timeout_ms * 1000);
    attempt_check_end(attempt);
}

void attempt_sleep(struct attempt *attempt, enum attempt_wait what)
{
    assert(attempt->coro == coro_current() && attempt->waiting == WAIT_NONE);
    attempt->waiting = what;
    coro_wait();
    if (attempt->unwinding && what != WAIT_HOST)
        coro_unwind();
}

void attempt_query(struct attempt *attempt, struct db_unit *unit, int timeout_ms)
{
    attempt->unit = unit;
    db_pool_submit(attempt->host->db, unit, timeout_ms);
    attempt_sleep(attempt, WAIT_QUERY);
}

/* One that only was asked gives the loop a turn: the handler may call again and again, and that is
 * how its grace comes to an end. */
void attempt_check(struct attempt *attempt)
{
    if (attempt->unwinding)
        coro_unwind();
    if (attempt->cancelled) {
        loop_timer_set(&attempt->sleep, clock_mono_us() + ASKED_TURN_US);
        attempt_sleep(attempt, WAIT_TIME);
    }
}

/* A handler that may go on for a while is unwound when that is over. */
void attempt_ask(struct attempt *attempt)
{
    int grace_ms = attempt->kind->errand->cancel_grace_ms;
    if (grace_ms <= 0)
        attempt->unwinding = true;
    else if (!attempt->cancelled)
        loop_timer_set(&attempt->timer, clock_mono_us() + (int64_t)grace_ms * 1000);
    attempt->cancelled = true;
}

static void attempt_ask_cut(struct attempt *attempt)
{
    attempt->cut = true;
    attempt_ask(attempt);
}

void attempt_wake(struct attempt *attempt)
{
    const struct attempt_host *host = attempt->host;
    assert(attempt->waiting != WAIT_NONE);
    attempt->waiting = WAIT_NONE;
    if (host->may_go_on && !host->may_go_on(attempt))
        attempt_ask_cut(attempt);
    attempt_go(attempt);
    coro_resume(attempt->coro);
    attempt_come_back(attempt);
    attempt_check_end(attempt);
}

static void attempt_on_slept(void *owner)
{
    attempt_wake(owner);
}

static void attempt_interrupt(struct attempt *attempt)
{
    int grace_ms;
    switch (attempt->waiting) {
    case WAIT_HTTP:
        http_call_free(attempt->call);
        attempt->call = NULL;
        attempt->head = NULL;
        attempt_wake(attempt);
        break;
    case WAIT_STREAM:
        streams_end_all(attempt);
        attempt_wake(attempt);
        break;
    case WAIT_TIME:
        loop_timer_stop(&attempt->sleep);
        attempt_wake(attempt);
        break;
    case WAIT_RATE:
        attempt->host->queue_calls->rate_wait_cancel(attempt->queue, attempt);
        attempt_wake(attempt);
        break;
    case WAIT_CHILD: /* it wakes by itself when nothing of its group is left */
        grace_ms = attempt->child->grace_ms;
        child_cancel(attempt->child,
                     grace_ms < attempt->child_grace_ms ? grace_ms : attempt->child_grace_ms);
        break;
    case WAIT_OTHER:
        attempt->call_off(attempt);
        break;
    case WAIT_QUERY: /* one that was sent has a deadline of its own, and its outcome matters */
        if (attempt->unwinding && db_pool_withdraw(attempt->host->db, attempt->unit))
            attempt_wake(attempt);
        break;
    case WAIT_THREAD: /* one that has begun ends when it likes */
        atomic_store(&attempt->task->cancelled, true);
        if (workers_withdraw(&attempt->host->workers, attempt->task))
            attempt_wake(attempt);
        else if (attempt->unwinding)
            loop_timer_set(&attempt->timer, clock_mono_us() + THREAD_TELL_US);
        break;
    case WAIT_HOST: /* its handler ends the process, and waits for that */
        attempt_wake(attempt);
        break;
    case WAIT_NONE:
        break;
    }
}

void attempt_cancel(struct attempt *attempt)
{
    attempt_ask(attempt);
    attempt_interrupt(attempt);
}

void attempt_cut(struct attempt *attempt, int child_grace_ms)
{
    attempt->child_grace_ms = child_grace_ms;
    attempt_ask_cut(attempt);
    attempt_interrupt(attempt);
}

/* Again and again: it keeps the slot. */
static void attempt_tell_thread(struct attempt *attempt)
{
    if (attempt->waiting != WAIT_THREAD)
        return;
    log_event(LOG_ERROR, "thread of a job that is to end does not return", "kind",
              attempt->kind->name, "job", log_int(attempt->jobs[0].id), NULL);
    loop_timer_set(&attempt->timer, clock_mono_us() + THREAD_TELL_US);
}

/* Its time is up, or, when it was asked to end, the grace for that. */
static void attempt_on_timer(void *owner)
{
    struct attempt *attempt = owner;
    bool asked = attempt->cancelled;
    if (attempt->unwinding) {
        attempt_tell_thread(attempt);
        return;
    }
    log_event(LOG_WARN, asked ? "handler does not end, and is ended" : "attempt timed out", "kind",
              attempt->kind->name, "job", log_int(attempt->jobs[0].id), NULL);
    attempt->timed_out |= !asked;
    attempt->unwinding = asked;
    attempt_cancel(attempt);
}
