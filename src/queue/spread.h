/* Spreading lanes: a runner that has less than its share of a queue's lanes, and free slots, asks
 * the owners that have most. */
#ifndef QUEUE_SPREAD_H
#define QUEUE_SPREAD_H

#include <stddef.h>

struct runner;
struct workqueue;

/* After a beat: asks where it should. */
void spread_check(struct runner *runner);
size_t spread_own_lanes(const struct workqueue *queue); /* that are ours and stay so */

#endif
