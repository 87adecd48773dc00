/* probe.values: parameters and fields of every type, there and back. */
#ifndef PROBE_VALUES_H
#define PROBE_VALUES_H

#include <errand/errand.h>

void probe_values(struct errand_job *job);

#endif
