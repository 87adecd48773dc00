#include "queue/workqueue.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/dispatch.h"
#include "queue/expiry.h"
#include "queue/lane.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

#include <stdlib.h>

enum { PAUSE_TIMEOUT_MS = 30000 };

struct workqueue *workqueue_new(struct runner *runner, const char *name)
{
    struct workqueue *queue = mem_zalloc(sizeof *queue);
    queue->runner = runner;
    queue->name = mem_strdup(name);
    queue->paused_until_us = INT64_MIN;
    queue->history_days = 14; /* until the first beat tells */
    queue->waiting_last = &queue->waiting_first;
    heap_init(&queue->due, entry_is_before);
    heap_init(&queue->later, entry_is_due_before);
    heap_init(&queue->suspects, entry_is_due_before);
    heap_init(&queue->expiring, expiry_is_before);
    return queue;
}

void workqueue_free(struct workqueue *queue)
{
    heap_clear(&queue->due);
    heap_clear(&queue->later);
    heap_clear(&queue->suspects);
    heap_clear(&queue->expiring);
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

static void workqueue_fill(struct workqueue *queue)
{
    int64_t now_us = clock_mono_us();
    queue->tokens += (double)(now_us - queue->filled_us) * queue->per_second / 1e6;
    if (queue->tokens > queue->burst)
        queue->tokens = queue->burst;
    queue->filled_us = now_us;
}

/* A token comes whole; half a microsecond of rounding must not make the runner look twice. */
static bool workqueue_has_token(const struct workqueue *queue)
{
    return queue->per_second <= 0 || queue->tokens >= 1 - 1e-6 * queue->per_second;
}

bool workqueue_may_start(struct workqueue *queue, int64_t *next_us)
{
    struct runner *runner = queue->runner;
    if (queue->paused_until_us > clock_database_us(&runner->clock)) {
        *next_us = queue->paused_until_us == INT64_MAX
                       ? INT64_MAX
                       : clock_database_to_mono_us(&runner->clock, queue->paused_until_us);
        return false;
    }
    if (queue->held_until_us > clock_mono_us()) {
        *next_us = queue->held_until_us;
        return false;
    }
    workqueue_fill(queue);
    if (workqueue_has_token(queue) && !queue->waiting_first)
        return true;
    double wait_us = queue->per_second > 0 ? (1 - queue->tokens) * 1e6 / queue->per_second : 0;
    *next_us = clock_mono_us() + (int64_t)wait_us;
    return false;
}

void workqueue_take_token(struct workqueue *queue)
{
    if (queue->per_second > 0)
        queue->tokens -= 1;
}

void workqueue_set_rate(struct workqueue *queue, double per_second, double burst)
{
    workqueue_fill(queue);
    bool first = queue->per_second <= 0;
    queue->per_second = per_second > 0 ? per_second : 0;
    queue->burst = burst >= 1 ? burst : 1;
    if (first || queue->tokens > queue->burst)
        queue->tokens = queue->burst;
}

void workqueue_serve_waiting(struct workqueue *queue)
{
    int64_t next_us;
    while (queue->waiting_first) {
        struct attempt *attempt = queue->waiting_first;
        queue->waiting_first = NULL; /* may_start asks whether a start may go before us */
        bool granted = workqueue_may_start(queue, &next_us);
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
    workqueue_set_rate(queue, per_second, burst);
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
        attempt->cancelled = true;
        return true;
    }
    if (workqueue_may_start(queue, &next_us)) {
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
    .rate_wait = on_rate_wait,
    .rate_wait_cancel = on_rate_wait_cancel,
};
