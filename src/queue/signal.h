/* Signals of jobs (errand.signal): the statements that ask for one, with what was seen of the job,
 * which fences them; what puts jobs to wait; and that signals go when the job ends. */
#ifndef QUEUE_SIGNAL_H
#define QUEUE_SIGNAL_H

#include "db/unit.h"
#include "module/attempt.h"

struct entry;
struct params;

/* As struct attempt_queue_calls says. */
void signal_add(struct errand_job *job, struct db_unit *unit, const char *name, int64_t timeout_ms);
/* Parameters of job_wait behind those that all completions have. */
void signal_add_waits(struct params *params, const struct entry *list);
/* Before job_wait, the locks under which it looks for signals. */
void signal_add_locks(struct db_unit *unit, const struct entry *list);

#endif
