/* probe.wait: a job that waits for signals. */
#ifndef PROBE_WAITS_H
#define PROBE_WAITS_H

#include <errand/errand.h>

void waits_run(struct errand_job *job);
void signals_run(struct errand_job *job);
void waits_run_batch(struct errand_job *const *jobs, size_t count);

#endif
