/* One unit of completions: the statements that commit the outcomes of some jobs, lane by lane, with
 * their effects and what others must hear of them; and what its answer says of their rows. Which
 * jobs go together, and what becomes of a unit that fails, is completion.c's. */
#ifndef QUEUE_COMPLETING_H
#define QUEUE_COMPLETING_H

#include "db/unit.h"
#include "module/attempt.h"

struct entry;
struct joblog_line;
struct lane;
struct runner;

/* How long all effects of a job may take, ms. */
enum { COMPLETING_EFFECTS_MS = 10000 };

struct completing {
    struct runner *runner;
    int64_t finished_us; /* database's clock, about */
    bool with_statistic;
    struct joblog_line *lines; /* that go with it; NULL: none */
    struct errand_job *jobs;
    size_t count;
    /* The statements on jobs, and how many rows each should touch. */
    struct {
        size_t statement, rows;
        struct lane *lane;
    } * checks;
    size_t check_count;
};

/* Builds the unit; on_done gets the struct completing, which lives in the unit. */
struct db_unit *completing_new(struct runner *runner, struct errand_job *jobs, size_t count,
                               void (*on_done)(struct db_unit *unit, void *owner));
/* After the answer: dependents are told; of rows that were not as they were seen the jobs are
 * marked (uncounted), and their lanes looked at again. */
void completing_check(struct completing *completing, const struct db_unit *unit);

struct entry *job_entry(const struct errand_job *job);
bool outcome_is_again(enum outcome_code code); /* the job stays: a retry, a snooze or a wait */
/* Commits apart from those without effects, or alone. */
bool job_goes_singly(const struct errand_job *job);

#endif
