/* probe.steps: a job of several steps. */
#ifndef PROBE_STEPS_H
#define PROBE_STEPS_H

#include <errand/errand.h>

void steps_run(struct errand_job *job);
/* One of them, with its result added to the results. True: go on. False: the job is finished. */
bool steps_one(struct errand_job *job, const char *name, size_t place, json_t *results);

#endif
