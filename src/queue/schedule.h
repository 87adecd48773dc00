/* The clock of schedules: computes when each fires next and, when that time has come, has the
 * database make its job and move it on, in one transaction. One runner does it, the one with the
 * least number of those that live (as of its last beat): no more than thrift, because a fire is
 * compared with what was seen, and a second one changes nothing. */
#ifndef QUEUE_SCHEDULE_H
#define QUEUE_SCHEDULE_H

#include "base/err.h"
#include "cron/zone.h"
#include "loop/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct runner;

struct schedule_clock {
    struct loop_timer timer;
    struct zone_set zones;
    bool ours;
    bool under_way;   /* a look, or a fire */
    bool again;       /* something changed meanwhile */
    int64_t next_us;  /* database's clock: of the first fire time that is not dealt with; INT64_MIN:
                         look at once; INT64_MAX: none */
    int64_t pause_us; /* after a failure, doubles */
    int64_t not_before_us; /* monotonic: until then it lasts */
    /* The database refused a batch for good: one schedule at a time, to find which it is for. That
     * one gets the refusal as its problem, so that it holds up no others. */
    bool alone;
    char refused[128]; /* its name; "": not found yet */
    char refusal[ERR_TEXT_BYTES];
};

void schedule_init(struct runner *runner);
void schedule_clear(struct runner *runner);
/* As the beat told: whether the clock is ours, and the first time of all schedules. */
void schedule_on_beat(struct runner *runner, bool ours, int64_t next_us);
/* Somebody changed schedules. */
void schedule_on_notify(struct runner *runner);
/* tzdata may be another by now. */
void schedule_forget_zones(struct runner *runner);

#endif
