/* Reading of lanes: when, how far ahead, and what to do with what was found. One unit at a time,
 * all lanes that are due to be read in it.
 *
 * A lane is read forward from its cursor. When a read did not end at its limit, the lane is caught
 * up, and the cursor stays a little behind the present, because transactions commit in another
 * order than they began. What is committed still later is found by the notification, which says
 * from where on to look, and without one by the full pass, which begins at the beginning. Jobs of
 * the near future are read ahead of their time and wait in memory.
 *
 * A lane that polls and is caught up is mostly asked by lane_poll, a read of all classes at once
 * that tells nothing of what comes behind the horizon. All lanes that are idle are asked together
 * (look.h): so a runner with nothing to do asks as often with many lanes as with one. */
#ifndef QUEUE_READER_H
#define QUEUE_READER_H

#include "loop/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct lane;
struct runner;

enum {
    READER_LEAD_US = 500000,     /* a future job is read so long before it is due */
    READER_HORIZON_US = 1000000, /* and with it what is due until then */
    READER_OVERLAP_US =
        100000, /* how far behind the present the cursor of a caught-up lane stays */
    READER_PASS_FIRST_US = 1000000,
    READER_PASS_BUSY_US = 2000000,  /* between full passes of a lane that polls */
    READER_PASS_IDLE_US = 30000000, /* of one that is notified */
    READER_POLL_FIRST_US = 1000,
    READER_POLL_BUSY_US = 4000,   /* at most, while it may be armed */
    READER_POLL_ARM_US = 128000,  /* quiet for so long: arm */
    READER_POLL_MAX_US = 1000000, /* without LISTEN */
    READER_LIMIT_FIRST = 128,
    READER_LIMIT_LEAST = 32,
    READER_LIMIT_MAX = 1000 /* rows a lane, class and read */
};

/* So many rows, and more where kinds take batches: the next one must be whole while one runs. */
int reader_limit_least(const struct lane *lane, int rows);

void reader_init(struct runner *runner);
void reader_schedule(struct runner *runner);
/* Everything again from the beginning: notifications may have been missed. */
void reader_pass_all(struct runner *runner);
/* An entry of the lane left the waiting ones: reads on when few are left. */
void reader_on_taken(struct lane *lane);
void reader_arm(struct lane *lane, bool armed);
/* How long after the next full pass of a lane, if that finds nothing, another one comes. */
int64_t reader_pass_next(const struct lane *lane);

#endif
