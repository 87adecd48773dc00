/* What a runner counts, for whoever shows it. Read only; nothing is asked of the database. Names
 * are borrowed until the call returns. */
#ifndef QUEUE_COUNTS_H
#define QUEUE_COUNTS_H

#include "db/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct runner;

struct counts_runner {
    bool ready;       /* as runner_is_ready */
    bool lease_valid; /* jobs may start */
    size_t slots, slots_used;
};

void counts_runner(const struct runner *runner, struct counts_runner *counts);

struct counts_queue {
    const char *name;
    size_t running, lanes; /* here */
    const char *waits;     /* what keeps its due jobs from starting, in a word; NULL: nothing */
};

/* Each queue that this runner has had something of. */
void counts_queues(const struct runner *runner,
                   void (*each)(const struct counts_queue *counts, void *context), void *context);

enum counts_outcome {
    COUNTS_DONE,
    COUNTS_CANCELLED,
    COUNTS_UNKNOWN,
    COUNTS_DEAD,
    COUNTS_RETRY, /* an attempt failed, and the job is tried again */
    COUNTS_OUTCOMES
};

const char *counts_outcome_name(enum counts_outcome outcome);

enum { COUNTS_BUCKETS = 32 }; /* of histograms; bounds by counts_bound_us */

/* What ended since the runner began. */
struct counts_kind {
    const char *queue, *kind;
    uint64_t ended[COUNTS_OUTCOMES];
    uint64_t timed; /* of these, those that had started */
    uint64_t waits[COUNTS_BUCKETS], runs[COUNTS_BUCKETS];
    int64_t wait_us, run_us; /* sums */
};

/* What is in the bucket took less than this and not less than the one before it; INT64_MAX for the
 * last. */
int64_t counts_bound_us(int bucket);

/* A bounded number of pairs of queue and kind; beyond that the names are "(others)". */
void counts_kinds(const struct runner *runner,
                  void (*each)(const struct counts_kind *counts, void *context), void *context);

void counts_pools(const struct runner *runner,
                  void (*each)(const struct db_pool_counts *counts, void *context), void *context);

#endif
