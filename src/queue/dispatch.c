#include "queue/dispatch.h"

#include "queue/expiry.h"
#include "queue/lease.h"
#include "queue/reader.h"
#include "queue/runner_state.h"
#include "queue/settle.h"

#include <assert.h>

enum {
    STALE_US =
        1000000, /* what was read longer ago is claimed, and so looked at again, before it starts */
    UNCOMMITTED_MAX =
        16384 /* jobs that ended and are not committed: no more starts until they are fewer */
};

static void dispatch_run(void *owner);

void dispatch_init(struct runner *runner)
{
    loop_timer_init(&runner->dispatch.timer, &runner->loop, dispatch_run, runner);
    runner->dispatch.soon = (struct loop_deferred){.run = dispatch_run, .owner = runner};
}

void dispatch_schedule(struct runner *runner)
{
    loop_defer(&runner->loop, &runner->dispatch.soon);
}

struct runner *dispatch_runner(const struct attempt *attempt)
{
    const struct workqueue *queue = attempt->queue;
    return queue->runner;
}

/* ---- One attempt ---- */

static void job_fill(struct errand_job *job, struct entry *entry)
{
    job->id = entry->id;
    job->run_at_us = entry->run_at_us;
    job->number = entry->claimed ? entry->attempt : entry->attempt + 1;
    job->max_attempts = entry->max_attempts;
    job->queue = entry->lane->queue->name;
    job->args_text = entry->args;
    job->trace = entry->trace;
    job->cancelled = entry->cancel_requested;
    job->owner = entry;
    entry->job = job;
}

/* Leaves out the jobs without an owner; returns the longest timeout. */
static int attempt_fill(struct attempt *attempt)
{
    size_t kept = 0;
    int timeout_ms = 0;
    for (size_t i = 0; i < attempt->count; i++) {
        struct entry *entry = attempt->jobs[i].owner;
        if (!entry)
            continue;
        timeout_ms = entry->timeout_ms > timeout_ms ? entry->timeout_ms : timeout_ms;
        job_fill(&attempt->jobs[kept++], entry);
    }
    attempt->count = attempt->unsettled = kept;
    return timeout_ms;
}

static void attempt_leave(struct runner *runner, struct attempt *attempt)
{
    struct workqueue *queue = attempt->queue;
    if (attempt->promised)
        bucket_forgo(&queue->bucket);
    attempt->promised = false;
    runner->dispatch.in_flight--;
    runner->dispatch.suspects -= attempt->is_suspect;
    dispatch_schedule(runner);
}

void dispatch_begin(struct runner *runner, struct attempt *attempt)
{
    int timeout_ms = attempt_fill(attempt);
    int64_t now_us = clock_mono_us();
    attempt->started_us = clock_mono_to_database_us(&runner->clock, now_us);
    for (size_t i = 0; i < attempt->count; i++) {
        struct entry *entry = attempt->jobs[i].owner;
        entry->state = ENTRY_RUNNING;
        /* It was due by an estimate of the database's clock that may have been corrected since. */
        entry->started_us =
            attempt->started_us > entry->run_at_us ? attempt->started_us : entry->run_at_us;
        limit_start(entry);
    }
    if (attempt->count) {
        struct workqueue *queue = attempt->queue;
        if (attempt->promised) {
            bucket_redeem(&queue->bucket, now_us);
            if (queue->bucket.per_second > 0)
                dispatch_schedule(runner);
        }
        attempt->promised = false;
        queue->running += attempt->count;
        attempt_start(attempt, timeout_ms);
        return;
    }
    attempt_leave(runner, attempt);
    attempt_free(attempt);
}

void dispatch_put_back(struct runner *runner, struct attempt *attempt)
{
    attempt_fill(attempt);
    attempt_leave(runner, attempt);
    if (!attempt->count) {
        attempt_free(attempt);
        return;
    }
    /* With the last one the attempt may go. */
    for (size_t i = attempt->count; i-- > 0;) {
        struct errand_job *job = &attempt->jobs[i];
        struct entry *entry = job->owner;
        entry->state = ENTRY_ENDED;
        limit_leave(entry);
        job->outcome.code = OUTCOME_SNOOZE;
        job->outcome.run_at_us = entry->run_at_us;
        completion_add(runner, job);
    }
}

void dispatch_on_finished(struct attempt *attempt)
{
    struct runner *runner = dispatch_runner(attempt);
    struct workqueue *queue = attempt->queue;
    queue->running -= attempt->count;
    attempt_leave(runner, attempt);
    for (size_t i = 0; i < attempt->count; i++) {
        struct entry *entry = attempt->jobs[i].owner;
        entry->state = ENTRY_ENDED;
        limit_leave(entry);
        joblog_end(&attempt->jobs[i]);
        completion_add(runner, &attempt->jobs[i]);
    }
}

void dispatch_cancel(struct errand_job *job)
{
    struct attempt *attempt = job->attempt;
    job->cancelled = true;
    /* What a batch waits for is not this job's alone. */
    for (size_t i = 0; i < attempt->count; i++)
        if (!attempt->jobs[i].cancelled)
            return;
    attempt_cancel(attempt);
}

/* ---- Choosing ---- */

/* Whether a job must not run at all, and how it ends then. */
static bool entry_must_end(const struct entry *entry, struct outcome *outcome)
{
    struct runner *runner = entry->lane->runner;
    *outcome = (struct outcome){.code = OUTCOME_CANCELLED};
    if (entry->cancel_requested)
        outcome->text = "cancelled by errand.cancel";
    else if (!expiry_is_over(entry))
        return entry->lost_before && settle_lost(runner, entry, outcome);
    return true;
}

void dispatch_end(struct entry *entry, const struct outcome *outcome)
{
    struct attempt *attempt =
        attempt_new(&entry->lane->runner->host, entry->kind, 1, entry->lane->queue);
    struct errand_job *job = &attempt->jobs[0];
    attempt->unsettled = 1;
    entry->state = ENTRY_ENDED;
    entry->started_us = 0;
    job_fill(job, entry);
    job->outcome.code = outcome->code;
    job->outcome.delay_ms = outcome->delay_ms;
    job->outcome.error_class = outcome->error_class;
    job->outcome.text = outcome->text ? outcome->text : settle_expired_text(&attempt->arena, entry);
    completion_add(entry->lane->runner, job);
}

static bool entry_needs_claim(const struct entry *entry, int64_t mono_us)
{
    return entry->kind->errand->claim == ERRAND_CLAIM_FIRST || entry->cautious ||
           entry->lost_before || mono_us - entry->read_us > STALE_US;
}

/* A suspect first, when none is in flight, so that they end. */
static struct heap_item *workqueue_top(const struct workqueue *queue)
{
    struct heap_item *suspect =
        queue->runner->dispatch.suspects ? NULL : heap_top(&queue->suspects);
    return suspect ? suspect : heap_top(&queue->due);
}

static struct entry *workqueue_take(struct workqueue *queue, struct heap_item *item)
{
    struct entry *entry = entry_from_heap(item);
    workqueue_remove(queue, entry);
    reader_on_taken(entry->lane);
    return entry;
}

/* True when a gate holds the entry back: it is parked there, and the gate that had offered it may
 * offer another. */
static bool entry_is_held_back(struct entry *entry)
{
    struct gate *offered_by = entry->offered_by;
    gate_on_offered_gone(entry);
    struct gate *gate = limit_gate_against(entry);
    if (gate)
        gate_park(gate, entry);
    if (gate && offered_by && offered_by != gate)
        gate_kick(offered_by);
    return gate != NULL;
}

static bool entry_joins(struct entry *entry, const struct kind *kind)
{
    struct outcome outcome;
    return entry->kind == kind && !entry_is_suspect(entry) && !entry_must_end(entry, &outcome) &&
           limit_has_room(entry->lane->queue) && !limit_gate_against(entry);
}

/* The first due job, and for a kind that takes several the ones behind it. */
static void workqueue_start_one(struct workqueue *queue)
{
    struct runner *runner = queue->runner;
    struct entry *entry = workqueue_take(queue, workqueue_top(queue));
    struct outcome outcome;
    if (entry_must_end(entry, &outcome)) {
        dispatch_end(entry, &outcome);
        return;
    }
    if (entry_is_held_back(entry))
        return;
    const struct kind *kind = entry->kind;
    struct attempt *attempt = attempt_new(&runner->host, kind, (size_t)kind->batch_max, queue);
    bool claim = false;
    attempt->count = 0;
    attempt->is_suspect = entry_is_suspect(entry);
    for (;;) {
        limit_enter(entry);
        claim |= entry_needs_claim(entry, clock_mono_us());
        attempt->jobs[attempt->count++].owner = entry;
        struct heap_item *top = heap_top(&queue->due);
        if (attempt->is_suspect || attempt->count == (size_t)kind->batch_max || !top ||
            !entry_joins(entry_from_heap(top), kind))
            break;
        entry = workqueue_take(queue, top);
        gate_on_offered_gone(entry);
    }
    runner->dispatch.in_flight++;
    runner->dispatch.suspects += attempt->is_suspect;
    attempt->promised = !kind->errand->takes_no_token;
    if (attempt->promised)
        bucket_promise(&queue->bucket);
    if (claim)
        claim_add(runner, attempt);
    else
        dispatch_begin(runner, attempt);
}

static bool dispatch_has_room(const struct runner *runner)
{
    return !runner->lease.stale && runner->dispatch.in_flight < (size_t)runner->concurrency &&
           runner->completion.count < UNCOMMITTED_MAX;
}

static void dispatch_run(void *owner)
{
    struct runner *runner = owner;
    int64_t next_us = INT64_MAX;
    runner_bury_lanes(runner);
    runner_check_stopped(runner);
    if (runner->phase != RUNNER_RUNNING)
        return;
    for (struct workqueue *queue = runner->workqueues; queue; queue = queue->next) {
        int64_t look_us = INT64_MAX;
        workqueue_move_due(queue, clock_database_us(&runner->clock));
        int64_t expiry_us = expiry_run(queue);
        workqueue_serve_waiting(queue);
        int64_t open_us = limit_open_due(queue);
        queue->waits = NULL;
        while (lease_holds(runner) && dispatch_has_room(runner) && workqueue_top(queue) &&
               workqueue_may_start(queue, &look_us))
            workqueue_start_one(queue);
        if (!workqueue_top(queue) && !queue->waiting_first)
            look_us = INT64_MAX;
        else if (queue->waiting_first)
            workqueue_may_start(queue, &look_us);
        int64_t due_us = workqueue_next_due_us(queue);
        if (due_us != INT64_MAX)
            due_us = clock_database_to_mono_us(&runner->clock, due_us);
        look_us = due_us < look_us ? due_us : look_us;
        look_us = expiry_us < look_us ? expiry_us : look_us;
        look_us = open_us < look_us ? open_us : look_us;
        next_us = look_us < next_us ? look_us : next_us;
    }
    /* A full house is looked at again when an attempt ends, a lost lease when it is renewed. */
    loop_timer_set(&runner->dispatch.timer, next_us);
}
