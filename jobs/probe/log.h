/* Lines that a probe logs. */
#ifndef PROBE_LOG_H
#define PROBE_LOG_H

#include <errand/errand.h>

void probe_log(struct errand_job *job, const json_t *args);

#endif
