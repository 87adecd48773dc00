/* Steps of jobs (errand.step): the statements on them, with what was seen of the job, which fences
 * them; and that they go when it ends. */
#ifndef QUEUE_STEP_H
#define QUEUE_STEP_H

#include "db/unit.h"
#include "module/attempt.h"

struct runner;

/* As struct attempt_queue_calls says. */
void step_add(struct errand_job *job, struct db_unit *unit, const char *name, const char *result);
/* To a unit of completions: the steps and signals of those jobs that end in it go, too. Jobs that
 * can have none add nothing. */
void step_add_drops(struct runner *runner, struct db_unit *unit, const struct errand_job *jobs);

#endif
