/* What limits must know beyond the lanes' usual reads: which jobs other runners still run of a lane
 * (they count), and more jobs of a gate that had left some out. One unit at a time. */
#ifndef QUEUE_LIMIT_READ_H
#define QUEUE_LIMIT_READ_H

#include "loop/loop.h"

struct gate;
struct lane;
struct runner;

struct limit_read {
    struct gate *wanted; /* by gate->next */
    struct limit_reading *under_way;
    struct loop_timer timer;
};

void limit_read_init(struct runner *runner);
/* Asks what runs elsewhere of the lane; lane->counted when it is known. */
void limit_read_lane(struct lane *lane);
/* Reads more of the gate's jobs. */
void limit_read_gate(struct gate *gate);
/* The gate is about to be freed. */
void limit_read_forget(struct gate *gate);

#endif
