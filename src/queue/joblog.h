/* Log lines of jobs, kept in the database. A job's lines wait with it while it runs, and are
 * written at most once a second; when it has ended they go with the completions of that time, in
 * their transaction. A job without lines costs nothing here. What the database does not take is
 * dropped with a word in the runner's log: no job waits for its lines, or fails for them. */
#ifndef QUEUE_JOBLOG_H
#define QUEUE_JOBLOG_H

#include "base/err.h"
#include "db/unit.h"
#include "loop/loop.h"

#include <errand/errand.h>

struct joblog_line;
struct runner;

struct joblog {
    struct errand_job *jobs;           /* that run, and have lines which wait */
    struct joblog_line *first, **last; /* of jobs that have ended, and those to be written again */
    size_t bytes;                      /* of all lines in memory */
    bool under_way;                    /* a unit of its own */
    bool apart; /* together with a completion it failed: by itself until that went well */
    struct loop_timer timer;
};

void joblog_init(struct runner *runner);
void joblog_clear(struct runner *runner); /* what was not written is lost */

void joblog_add(struct errand_job *job, int level, const char *text);
/* The handler has returned, and the outcome stands: says how many lines were not kept, and forgets
 * them all where the history does not keep the job. */
void joblog_end(struct errand_job *job);

/* For a completion's unit: adds the lines of jobs that have ended. NULL: there are none; else
 * joblog_on_written must follow, with what it returned. */
struct joblog_line *joblog_join(struct runner *runner, struct db_unit *unit);
void joblog_on_written(struct runner *runner, struct joblog_line *lines, const struct err *err);
void joblog_flush(struct runner *runner); /* what waits, as far as it goes at once */
/* While stopping: true when nothing is left to be written; else sees to it. */
bool joblog_is_written(struct runner *runner);

#endif
