/* probe.enqueue: a job that makes another one. */
#ifndef PROBE_ENQUEUE_H
#define PROBE_ENQUEUE_H

#include <errand/errand.h>

void probe_enqueue(struct errand_job *job);

#endif
