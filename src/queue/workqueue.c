#include "queue/workqueue.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/time_text.h"
#include "queue/dispatch.h"
#include "queue/expiry.h"
#include "queue/lane.h"
#include "queue/runner_state.h"
#include "queue/signal.h"
#include "queue/step.h"
#include "queue_sql.h"

#include <stdlib.h>
#include <string.h>

enum { PAUSE_TIMEOUT_MS = 30000 };

static int registry_batch_most(const struct registry *registry, const char *queue)
{
    int most = 1;
    for (size_t i = 0; i < registry->count; i++) {
        const struct kind *kind = registry->kinds[i];
        if (kind && kind->batch_max > most && strcmp(kind->queue, queue) == 0)
            most = kind->batch_max;
    }
    return most;
}

struct workqueue *workqueue_new(struct runner *runner, const char *name)
{
    struct workqueue *queue = mem_zalloc(sizeof *queue);
    queue->runner = runner;
    queue->name = mem_strdup(name);
    queue->paused_until_us = INT64_MIN;
    queue->batch_most = registry_batch_most(&runner->registry, name);
    queue->history_days = 14; /* until the first beat tells */
    queue->waiting_last = &queue->waiting_first;
    heap_init_keyed(&queue->due, entry_is_before, entry_key);
    heap_init_keyed(&queue->later, entry_is_due_before, entry_due_key);
    heap_init(&queue->suspects, entry_is_due_before);
    heap_init(&queue->expiring, expiry_is_before);
    limit_init(queue);
    return queue;
}

void workqueue_free(struct workqueue *queue)
{
    heap_clear(&queue->due);
    heap_clear(&queue->later);
    heap_clear(&queue->suspects);
    heap_clear(&queue->expiring);
    limit_clear(queue);
    free(queue->name);
    free(queue);
}

static struct heap *workqueue_heap(struct workqueue *queue, const struct entry *entry)
{
    return entry->state == ENTRY_LATER ? &queue->later
           : entry->state == ENTRY_DUE ? &queue->due
                                       : &queue->suspects;
}

static void workqueue_push_due(struct workqueue *queue, struct entry *entry)
{
    entry->state = entry_is_suspect(entry) ? ENTRY_SUSPECT : ENTRY_DUE;
    heap_push(workqueue_heap(queue, entry), &entry->in_heap);
}

void workqueue_add(struct workqueue *queue, struct entry *entry)
{
    entry->lane->waiting++;
    expiry_add(queue, entry);
    if (entry->run_at_us <= clock_database_us(&queue->runner->clock)) {
        workqueue_push_due(queue, entry);
        return;
    }
    entry->state = ENTRY_LATER;
    heap_push(&queue->later, &entry->in_heap);
}

void workqueue_remove(struct workqueue *queue, struct entry *entry)
{
    if (entry->parked_in) {
        gate_remove(entry->parked_in, entry);
        return;
    }
    heap_remove(workqueue_heap(queue, entry), &entry->in_heap);
    expiry_remove(queue, entry);
    entry->lane->waiting--;
}

void workqueue_move_due(struct workqueue *queue, int64_t database_now_us)
{
    for (struct heap_item *top; (top = heap_top(&queue->later));) {
        struct entry *entry = entry_from_heap(top);
        if (entry->run_at_us > database_now_us)
            return;
        heap_pop(&queue->later);
        workqueue_push_due(queue, entry);
    }
}

int64_t workqueue_next_due_us(const struct workqueue *queue)
{
    struct heap_item *top = heap_top(&queue->later);
    return top ? entry_from_heap(top)->run_at_us : INT64_MAX;
}

static bool workqueue_waits_for(struct workqueue *queue, const char *what)
{
    queue->waits = what;
    return false;
}

/* As far as pause, hold and rate say: for a start, and for a handler that waits for a token. */
static bool workqueue_may_go(struct workqueue *queue, int64_t *next_us)
{
    struct runner *runner = queue->runner;
    int64_t now_us = clock_mono_us();
    *next_us = INT64_MAX;
    if (queue->paused_until_us > clock_mono_to_database_us(&runner->clock, now_us)) {
        if (queue->paused_until_us != INT64_MAX)
            *next_us = clock_database_to_mono_us(&runner->clock, queue->paused_until_us);
        return workqueue_waits_for(queue, "pause");
    }
    if (queue->held_until_us > now_us) {
        *next_us = queue->held_until_us;
        return workqueue_waits_for(queue, "hold");
    }
    if (bucket_allows(&queue->bucket, 0, now_us) && !queue->waiting_first)
        return true;
    *next_us = bucket_next_us(&queue->bucket, 0);
    return workqueue_waits_for(queue, "rate");
}

bool workqueue_may_start(struct workqueue *queue, int64_t *next_us)
{
    if (!workqueue_may_go(queue, next_us))
        return false;
    *next_us = INT64_MAX;
    if (!limit_is_ready(queue))
        return workqueue_waits_for(queue, "lanes");
    return limit_has_room(queue) || workqueue_waits_for(queue, "concurrency");
}

const char *workqueue_waits(const struct workqueue *queue)
{
    const struct runner *runner = queue->runner;
    bool full = runner->dispatch.in_flight >= (size_t)runner->concurrency;
    return queue->waits ? queue->waits : full && heap_top(&queue->due) ? "slots" : NULL;
}

static void workqueue_take_token(struct workqueue *queue)
{
    bucket_take(&queue->bucket);
}

/* The lower rate counts, with its own burst. */
static void workqueue_apply_rate(struct workqueue *queue)
{
    bool asked = queue->asked.per_second > 0 &&
                 (queue->set.per_second <= 0 || queue->asked.per_second < queue->set.per_second);
    if (asked)
        bucket_set(&queue->bucket, queue->asked.per_second, queue->asked.burst, clock_mono_us());
    else
        bucket_set(&queue->bucket, queue->set.per_second, queue->set.burst, clock_mono_us());
}

void workqueue_ask_rate(struct workqueue *queue, double per_second, double burst)
{
    queue->asked.per_second = per_second;
    queue->asked.burst = burst;
    workqueue_apply_rate(queue);
}

void workqueue_limit_rate(struct workqueue *queue, double per_second, double burst)
{
    if (per_second == queue->set.per_second && burst == queue->set.burst)
        return;
    queue->set.per_second = per_second;
    queue->set.burst = burst;
    workqueue_apply_rate(queue);
}

void workqueue_serve_waiting(struct workqueue *queue)
{
    int64_t next_us;
    while (queue->waiting_first) {
        struct attempt *attempt = queue->waiting_first;
        queue->waiting_first = NULL; /* may_go asks whether a start may go before us */
        bool granted = workqueue_may_go(queue, &next_us);
        queue->waiting_first = attempt;
        if (!granted)
            return;
        queue->waiting_first = attempt->next;
        if (!queue->waiting_first)
            queue->waiting_last = &queue->waiting_first;
        attempt->next = NULL;
        workqueue_take_token(queue);
        attempt_wake(attempt);
    }
}

void workqueue_stop(struct workqueue *queue)
{
    while (queue->waiting_first)
        attempt_cancel(queue->waiting_first);
}

/* ---- What handlers ask for ---- */

static void on_rate(void *owner, double per_second, double burst)
{
    struct workqueue *queue = owner;
    workqueue_ask_rate(queue, per_second, burst);
    dispatch_schedule(queue->runner);
}

static void on_hold(void *owner, int64_t ms)
{
    struct workqueue *queue = owner;
    int64_t until_us = clock_mono_us() + ms * 1000;
    if (until_us > queue->held_until_us)
        queue->held_until_us = until_us;
    dispatch_schedule(queue->runner);
}

static void on_pause_done(struct db_unit *unit, void *owner)
{
    (void)owner;
    if (unit->err.code != ERR_NONE)
        log_event(LOG_ERROR, "pausing the queue failed", "error", unit->err.text, NULL);
}

static void on_pause(void *owner, int64_t ms, const char *reason)
{
    struct workqueue *queue = owner;
    char until[DB_TIME_BYTES];
    queue->paused_until_us =
        ms > 0 ? clock_database_us(&queue->runner->clock) + ms * 1000 : INT64_MAX;
    const char *params[] = {queue->name, reason, db_time_text(until, queue->paused_until_us)};
    log_event(LOG_ERROR, "queue paused", "queue", queue->name, "reason", reason, "until", params[2],
              NULL);
    struct db_unit *unit = db_unit_new(DB_PLAIN, on_pause_done, NULL);
    db_unit_add(unit, &queue_sql[QUEUE_SQL_QUEUE_PAUSE], 3, params);
    db_pool_submit(&queue->runner->work, unit, PAUSE_TIMEOUT_MS);
    dispatch_schedule(queue->runner);
}

static void on_progress(void *owner)
{
    const struct workqueue *queue = owner;
    progress_schedule(queue->runner);
}

static bool on_rate_wait(void *owner, struct attempt *attempt)
{
    struct workqueue *queue = owner;
    int64_t next_us;
    if (queue->runner->phase != RUNNER_RUNNING) {
        attempt_ask(attempt);
        return true;
    }
    if (workqueue_may_go(queue, &next_us)) {
        workqueue_take_token(queue);
        return true;
    }
    attempt->next = NULL;
    *queue->waiting_last = attempt;
    queue->waiting_last = &attempt->next;
    dispatch_schedule(queue->runner);
    return false;
}

static void on_rate_wait_cancel(void *owner, struct attempt *attempt)
{
    struct workqueue *queue = owner;
    struct attempt **at = &queue->waiting_first;
    while (*at && *at != attempt)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = attempt->next;
    if (queue->waiting_last == &attempt->next)
        queue->waiting_last = at;
    attempt->next = NULL;
}

const struct attempt_queue_calls workqueue_calls = {
    .rate = on_rate,
    .hold = on_hold,
    .pause = on_pause,
    .progress = on_progress,
    .log = joblog_add,
    .step = step_add,
    .signal = signal_add,
    .rate_wait = on_rate_wait,
    .rate_wait_cancel = on_rate_wait_cancel,
};
