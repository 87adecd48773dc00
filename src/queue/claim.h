/* Claims: writing jobs down as running, in batches. First, before the handler starts, where the
 * kind or caution asks for it; lazily for a job that has run for about a second, so that operators
 * see it and short jobs never pay for it. */
#ifndef QUEUE_CLAIM_H
#define QUEUE_CLAIM_H

#include "loop/loop.h"
#include "module/attempt.h"

struct runner;

struct claim {
    struct attempt *first, **last; /* to be claimed before they start */
    bool under_way;
    struct loop_deferred soon;
    struct loop_timer lazy;
    bool lazy_under_way; /* one unit at a time: its answer stands for all that is marked so */
    bool hurried;        /* and another one right behind it */
};

void claim_init(struct runner *runner);
/* Claims the attempt's jobs, then dispatch_begin with those that could be. */
void claim_add(struct runner *runner, struct attempt *attempt);
/* Writes down at once what runs in lanes that are handed over. */
void claim_hurry(struct runner *runner);

#endif
