/* probe.steps: a job of several steps. */
#ifndef PROBE_STEPS_H
#define PROBE_STEPS_H

#include <errand/errand.h>

void steps_run(struct errand_job *job);

#endif
