/* What unit tests of attempts share: a host for one at a time, and what its handler left behind. */
#ifndef SUPPORT_ATTEMPT_BED_H
#define SUPPORT_ATTEMPT_BED_H

#include "module/call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

enum { LONG_MS = 60000, GUARD_MS = 20000, JOBS_MAX = 4 };

static struct loop loop;
static struct attempt_host host;
static struct db_pool pool;
static struct clock_offset clock_offset;
static struct loop_timer guard, actor;
static struct attempt *attempt;
static bool finished;

static inline void on_finished(struct attempt *ended)
{
    assert_ptr_equal(ended, attempt);
    assert_false(finished);
    finished = true;
    loop_stop(&loop);
}

static inline void on_late(void *owner)
{
    (void)owner;
    fail_msg("the attempt does not end");
}

static inline bool never_granted(void *queue, struct attempt *asking)
{
    (void)queue, (void)asking;
    return false;
}

static inline void rate_wait_cancel(void *queue, struct attempt *asking)
{
    (void)queue, (void)asking;
}

/* What the handlers leave behind. */
static struct {
    char trace[64]; /* a letter for each thing that happened */
    char line[200]; /* the last error in a job's log */
    int port;
    int calls;
} seen;

static inline void keep_line(struct errand_job *job, int level, const char *text)
{
    (void)job;
    if (level == ERRAND_ERROR)
        snprintf(seen.line, sizeof seen.line, "%s", text);
}

static const struct attempt_queue_calls queue_calls = {
    .rate_wait = never_granted, .rate_wait_cancel = rate_wait_cancel, .log = keep_line};

static inline void trace(const char *letter)
{
    strncat(seen.trace, letter, sizeof seen.trace - strlen(seen.trace) - 1);
}

static inline void on_act(void *owner)
{
    void (*act)(void) = NULL;
    memcpy(&act, owner, sizeof act);
    act();
}

static inline int set_up(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    finished = false;
    call_mistakes_are_fatal = false;
    loop_init(&loop);
    const struct db_pool_options nowhere = {
        .name = "test", .conninfo = "host=/nowhere dbname=x user=x", .size = 1};
    db_pool_init(&pool, &loop, &nowhere);
    host = (struct attempt_host){.loop = &loop,
                                 .db = &pool,
                                 .clock = &clock_offset,
                                 .queue_calls = &queue_calls,
                                 .on_finished = on_finished};
    attempt_host_init(&host, 2);
    loop_timer_init(&guard, &loop, on_late, NULL);
    loop_timer_set(&guard, clock_mono_us() + GUARD_MS * 1000);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    if (attempt)
        attempt_free(attempt);
    attempt = NULL;
    loop_timer_stop(&guard);
    loop_timer_stop(&actor);
    assert_null(host.running);
    assert_int_equal(host.coros.live_count, 0);
    attempt_host_clear(&host);
    db_pool_clear(&pool);
    loop_clear(&loop);
    return 0;
}

/* Runs it until it has ended; act, where there is one, is done in its first moments. */
static inline void run(struct errand_kind errand, size_t count, int timeout_ms, void (*act)(void))
{
    static struct errand_kind kept;
    static const struct errand_statement statements[] = {{"one", "select 1"}};
    static const struct errand_module module = {
        .name = "test", .statements = statements, .statement_count = 1};
    static struct kind_life life = {.holders = 1};
    static struct kind kind;
    kept = errand;
    kind = (struct kind){.errand = &kept, .module = &module, .name = "test.kind", .life = &life};
    attempt = attempt_new(&host, &kind, count, NULL);
    for (size_t i = 0; i < count; i++)
        attempt->jobs[i].id = (int64_t)i + 1;
    loop_timer_init(&actor, &loop, on_act, &act);
    if (act)
        loop_timer_set(&actor, clock_mono_us() + 20000);
    attempt_start(attempt, timeout_ms);
    if (!finished)
        loop_run(&loop);
}

static inline enum outcome_code outcome(size_t i)
{
    return attempt->jobs[i].outcome.code;
}

static inline void cancel(void)
{
    attempt_cancel(attempt);
}

static inline void cut(void)
{
    attempt_host_cut(&host, 0);
}

#endif
