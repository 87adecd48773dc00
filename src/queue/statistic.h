/* Statistics: what ended, counted in memory per minute, queue, kind and outcome, and written at
 * most once a second, with a completion that goes to the database anyway or, when no more comes, by
 * itself. A runner that is idle writes nothing; one that is killed loses what it counted in its
 * last second.
 *
 * A row is this runner's alone, and it is written whole each time: sent twice, it still counts
 * once. */
#ifndef QUEUE_STATISTIC_H
#define QUEUE_STATISTIC_H

#include "db/unit.h"
#include "loop/loop.h"
#include "module/attempt.h"
#include "queue/total.h"

struct runner;
struct statistic_cell;

enum { STATISTIC_BUCKETS = 32 };

struct statistic {
    struct statistic_cell *cells; /* the one counted last first */
    bool fresh;                   /* something was counted and not sent */
    bool under_way;
    bool apart;         /* together with a completion it failed: by itself from now on */
    int64_t runner;     /* whose rows */
    int64_t written_us; /* monotonic: sent last */
    struct loop_timer timer;
    struct totals totals; /* since the runner began */
};

void statistic_init(struct runner *runner);
void statistic_clear(struct runner *runner);
/* A job whose outcome was committed at finished_us, on the database's clock. */
void statistic_count(struct runner *runner, const struct errand_job *job, int64_t finished_us);

/* For a completion's unit: adds the statement when it is time for it; then statistic_on_written
 * must follow. */
bool statistic_join(struct runner *runner, struct db_unit *unit);
void statistic_on_written(struct runner *runner, const struct err *err);
/* While stopping: true when nothing is left to be written; else sees to it. */
bool statistic_is_written(struct runner *runner);

/* Of a histogram: n for what took less than 2^(n + 1) * 64 us; the last for all that took longer.
 */
int statistic_bucket(int64_t us);

#endif
