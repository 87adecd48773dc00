#include "queue/cutoff.h"

#include "base/clock.h"
#include "base/log.h"
#include "queue/dispatch.h"
#include "queue/runner_state.h"

/* Less than what others wait when they see a backend gone (ACQUIRE_GRACE_US). */
enum { CUTOFF_DOUBT_US = 300000 };

/* Monotonic: from then on others may start what runs here. */
static int64_t cutoff_at_us(const struct runner *runner)
{
    int64_t at_us = runner->lease.valid_until_us;
    int64_t doubt_us = runner->lease.doubt_since_us;
    if (doubt_us && doubt_us + CUTOFF_DOUBT_US < at_us)
        at_us = doubt_us + CUTOFF_DOUBT_US;
    return at_us;
}

bool cutoff_may_go_on(const struct attempt *attempt)
{
    const struct workqueue *queue = attempt->queue;
    return !queue->limits.counting || clock_mono_us() < cutoff_at_us(queue->runner);
}

static size_t lane_cut_off(struct lane *lane)
{
    size_t count = 0;
    for (struct entry *entry = lane->held; entry; entry = entry->hh.next) {
        if (entry->gone || entry->state != ENTRY_RUNNING || entry->job->attempt->cut)
            continue;
        attempt_cut(entry->job->attempt, 0);
        count++;
    }
    return count;
}

static void cutoff_on_timer(void *owner)
{
    struct runner *runner = owner;
    size_t count = 0;
    if (clock_mono_us() < cutoff_at_us(runner)) {
        cutoff_schedule(runner);
        return;
    }
    for (struct lane *lane = runner->lanes; lane; lane = lane->next)
        if (lane->queue->limits.counting)
            count += lane_cut_off(lane);
    if (count)
        log_event(LOG_WARN, "handlers cut off, because other runners may take their lanes",
                  "attempts", log_int((long long)count), NULL);
}

void cutoff_init(struct runner *runner)
{
    loop_timer_init(&runner->cutoff, &runner->loop, cutoff_on_timer, runner);
}

void cutoff_schedule(struct runner *runner)
{
    if (runner->id)
        loop_timer_set(&runner->cutoff, cutoff_at_us(runner));
}
