#include "module/attempt.h"

#include "base/log.h"
#include "base/mem.h"
#include "http/http.h"
#include "module/rows.h"

#include <assert.h>
#include <stdlib.h>

static void attempt_on_timeout(void *owner);
static void attempt_on_slept(void *owner);

void attempt_host_init(struct attempt_host *host)
{
    host->http = http_new(host->loop);
    coro_pool_init(&host->coros);
    children_init(&host->children, host->loop);
}

void attempt_host_clear(struct attempt_host *host)
{
    http_free(host->http);
    coro_pool_clear(&host->coros);
    children_clear(&host->children);
}

void attempt_host_abandon(struct attempt_host *host)
{
    children_kill(&host->children);
}

struct attempt *attempt_new(struct attempt_host *host, const struct kind *kind, size_t count,
                            void *queue)
{
    struct attempt *attempt = mem_zalloc(sizeof *attempt + count * sizeof attempt->jobs[0]);
    attempt->host = host;
    attempt->kind = kind_hold(kind);
    attempt->queue = queue;
    attempt->count = count;
    arena_init(&attempt->arena);
    for (size_t i = 0; i < count; i++) {
        attempt->jobs[i].attempt = attempt;
        attempt->jobs[i].outcome.effects_last = &attempt->jobs[i].outcome.effects;
    }
    loop_timer_init(&attempt->timer, host->loop, attempt_on_timeout, attempt);
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

static void attempt_call_handler(struct attempt *attempt)
{
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

static void attempt_body(void *owner)
{
    struct attempt *attempt = owner;
    attempt->coro = coro_current();
    attempt_call_handler(attempt);
    /* A handler that returns has done what it was asked. */
    for (size_t i = 0; i < attempt->count; i++)
        if (attempt->jobs[i].outcome.code == OUTCOME_NONE)
            attempt->jobs[i].outcome.code = OUTCOME_DONE;
    attempt->returned = true;
}

static void attempt_check_end(struct attempt *attempt)
{
    if (!attempt->returned)
        return;
    loop_timer_stop(&attempt->timer);
    attempt->host->running--;
    attempt->host->on_finished(attempt);
}

void attempt_start(struct attempt *attempt, int timeout_ms)
{
    attempt->started_us = clock_database_us(attempt->host->clock);
    attempt->timeout_ms = timeout_ms;
    attempt->host->running++;
    coro_start(&attempt->host->coros, attempt_body, attempt);
    if (!attempt->returned)
        loop_timer_set(&attempt->timer, clock_mono_us() + (int64_t)timeout_ms * 1000);
    attempt_check_end(attempt);
}

void attempt_sleep(struct attempt *attempt, enum attempt_wait what)
{
    assert(attempt->coro == coro_current() && attempt->waiting == WAIT_NONE);
    attempt->waiting = what;
    coro_wait();
}

void attempt_wake(struct attempt *attempt)
{
    const struct attempt_host *host = attempt->host;
    assert(attempt->waiting != WAIT_NONE);
    attempt->waiting = WAIT_NONE;
    if (host->may_go_on && !host->may_go_on(attempt))
        attempt->cut = attempt->cancelled = true;
    coro_resume(attempt->coro);
    attempt_check_end(attempt);
}

static void attempt_on_slept(void *owner)
{
    attempt_wake(owner);
}

void attempt_cancel(struct attempt *attempt)
{
    attempt->cancelled = true;
    switch (attempt->waiting) {
    case WAIT_HTTP:
        http_call_free(attempt->call);
        attempt->call = NULL;
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
        child_cancel(attempt->child, attempt->cut ? 0 : attempt->child->grace_ms);
        break;
    case WAIT_QUERY: /* it has a deadline of its own, and its outcome matters */
        if (attempt->call_off)
            attempt->call_off(attempt);
        break;
    default:
        break;
    }
}

void attempt_cut(struct attempt *attempt)
{
    attempt->cut = true;
    attempt_cancel(attempt);
}

static void attempt_on_timeout(void *owner)
{
    struct attempt *attempt = owner;
    log_event(LOG_WARN, "attempt timed out", "kind", attempt->kind->name, "job",
              log_int(attempt->jobs[0].id), NULL);
    attempt->timed_out = true;
    attempt_cancel(attempt);
}
