/* Completions whose rows somebody else has locked: an operator's transaction, or one that enqueues
 * jobs after these and is not over yet. A completion does not wait for them, or all that is
 * committed with it would: the writes give up soon (WRITE_LOCK_MS), and what is locked of that
 * batch is put aside here until its row is free. Nothing is waited for to find out. */
#ifndef QUEUE_BLOCKED_H
#define QUEUE_BLOCKED_H

#include "loop/loop.h"
#include "module/attempt.h"

struct runner;

enum { WRITE_LOCK_MS = 200 }; /* how long a statement of the writes waits for a lock */

struct blocked {
    struct errand_job *first; /* put aside, in no order */
    bool under_way;
    int64_t pause_us;
    struct loop_timer timer;
};

void blocked_init(struct runner *runner);
/* A batch that failed for a lock: those that are free go back to the completions at once. */
void blocked_add(struct runner *runner, struct errand_job *jobs);

#endif
