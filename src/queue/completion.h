/* Completions: what ended is committed in batches, each job's row, history and the handler's own
 * statements in one transaction. While one batch is under way the next one gathers; a large one
 * does not wait, so that the database works on one while the other's commit reaches the disk.
 * Batches with effects go one at a time, because their statements may want the same rows.
 *
 * Every statement names what was seen (epoch, attempt, revision), so one whose answer was lost is
 * sent again as it is: a row that is gone or changed is not touched twice. Jobs with effects are
 * checked: when a row is no longer as it was seen, or an effect fails, the transaction is undone
 * and its jobs are committed one by one. */
#ifndef QUEUE_COMPLETION_H
#define QUEUE_COMPLETION_H

#include "loop/loop.h"
#include "module/attempt.h"

struct runner;

struct completion {
    struct errand_job *first, **last;
    size_t count;           /* ended and not committed, those under way included */
    size_t under_way;       /* units */
    bool effects_under_way; /* one of them has effects, or a job alone */
    size_t gathered;        /* jobs that are not in one of them */
    struct loop_deferred soon;
    struct loop_timer again; /* after a failure */
};

void completion_init(struct runner *runner);
void completion_add(struct runner *runner, struct errand_job *job);
/* One that was put aside: its row is free again. */
void completion_add_again(struct runner *runner, struct errand_job *job);
void completion_schedule(struct runner *runner);

#endif
