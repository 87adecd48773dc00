/* Jobs that wait for others: a completion marks that a job has ended for which others wait, and the
 * lane's owner tells these afterwards, in a transaction of its own, because they stand in any lane.
 * What is marked stays so until it is told, and whoever acquires a lane looks for what the owner
 * before left. */
#ifndef QUEUE_DEPENDENTS_H
#define QUEUE_DEPENDENTS_H

#include "loop/loop.h"

#include <stddef.h>

struct runner;

struct dependents {
    int *lanes; /* to be told of; while under_way the first is */
    size_t count, capacity;
    bool under_way;
    int64_t pause_us; /* after a failure */
    struct loop_timer timer;
};

void dependents_init(struct runner *runner);
void dependents_clear(struct runner *runner);
/* Something was marked in the lane, or may have been. */
void dependents_release(struct runner *runner, int lane);
bool dependents_are_told(const struct runner *runner);

#endif
