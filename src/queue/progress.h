/* Progress that jobs tell of themselves, written to their rows in batches, at most once a second.
 * Only a job that is written down as running has a place for it: others are claimed first. */
#ifndef QUEUE_PROGRESS_H
#define QUEUE_PROGRESS_H

#include "loop/loop.h"

struct runner;

struct progress {
    struct loop_timer timer;
    int64_t written_us; /* monotonic: the last batch */
    bool under_way;
};

void progress_init(struct runner *runner);
void progress_schedule(struct runner *runner); /* a job has told something new */

#endif
