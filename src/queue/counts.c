#include "queue/counts.h"

#include "queue/lease.h"
#include "queue/runner_state.h"

_Static_assert((int)COUNTS_BUCKETS == (int)STATISTIC_BUCKETS, "the same histograms");

void counts_runner(const struct runner *runner, struct counts_runner *counts)
{
    const char *reason;
    *counts = (struct counts_runner){
        .ready = runner_is_ready(runner, &reason),
        .lease_valid = lease_holds(runner),
        .slots = (size_t)runner->concurrency,
        .slots_used = runner->dispatch.in_flight,
    };
}

static size_t counts_lanes(const struct runner *runner, const struct workqueue *queue)
{
    size_t count = 0;
    for (const struct lane *lane = runner->lanes; lane; lane = lane->next)
        count += lane->queue == queue && !lane->lost;
    return count;
}

void counts_queues(const struct runner *runner,
                   void (*each)(const struct counts_queue *counts, void *context), void *context)
{
    for (const struct workqueue *queue = runner->workqueues; queue; queue = queue->next)
        each(&(struct counts_queue){.name = queue->name,
                                    .running = queue->running,
                                    .lanes = counts_lanes(runner, queue),
                                    .waits = workqueue_waits(queue)},
             context);
}

const char *counts_outcome_name(enum counts_outcome outcome)
{
    static const char *const names[COUNTS_OUTCOMES] = {"done", "cancelled", "unknown", "dead",
                                                       "retry"};
    return names[outcome];
}

int64_t counts_bound_us(int bucket)
{
    return bucket < COUNTS_BUCKETS - 1 ? INT64_C(64) << (bucket + 1) : INT64_MAX;
}

void counts_kinds(const struct runner *runner,
                  void (*each)(const struct counts_kind *counts, void *context), void *context)
{
    for (const struct total *total = runner->statistic.totals.first; total; total = total->next)
        each(&total->counts, context);
}

void counts_pools(const struct runner *runner,
                  void (*each)(const struct db_pool_counts *counts, void *context), void *context)
{
    const struct db_pool *const pools[] = {&runner->control, &runner->reads, &runner->writes,
                                           &runner->work, &runner->sql};
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) {
        struct db_pool_counts counts;
        db_pool_counts(pools[i], &counts);
        each(&counts, context);
    }
}
