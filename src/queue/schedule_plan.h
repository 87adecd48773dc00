/* What is to become of a schedule's fire times: which of those that have come make a job, which are
 * passed over, and which one is next. Pure: no clock, no I/O. */
#ifndef QUEUE_SCHEDULE_PLAN_H
#define QUEUE_SCHEDULE_PLAN_H

#include "cron/cron.h"

#include <stddef.h>

enum {
    SCHEDULE_GRACE_S = 60,   /* a fire time is late so far, and missed beyond */
    SCHEDULE_FIRES_MAX = 500 /* of one plan; the next one goes on */
};

enum schedule_missed { SCHEDULE_SKIP, SCHEDULE_ONCE, SCHEDULE_ALL };

/* Times are microseconds since 1970. */
struct schedule_rule {
    struct cron cron;
    const struct zone *zone;
    enum schedule_missed missed;
    int64_t missed_max_us;
    int64_t starts_us; /* INT64_MIN: always */
    int64_t ends_us;   /* INT64_MAX: never */
    int64_t last_us;   /* the last fire time that was dealt with; INT64_MIN: none */
};

struct schedule_plan {
    int64_t next_us; /* behind those that are dealt with; CRON_NEVER: none */
    bool passes;
    int64_t passed_us; /* passes: those before it are passed over */
    size_t count;
    int64_t fires_us[SCHEDULE_FIRES_MAX]; /* in order */
};

/* seen_us: the fire time that is next as yet, or INT64_MIN when it is not known: then it is
 * computed, from now on, and nothing fires. */
void schedule_plan_make(struct schedule_plan *plan, const struct schedule_rule *rule,
                        int64_t seen_us, int64_t now_us);

#endif
