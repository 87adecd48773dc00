/* probe.stream: an answer that is read as it comes; see stream.c. */
#ifndef PROBE_STREAM_H
#define PROBE_STREAM_H

#include <errand/errand.h>

void stream_run(struct errand_job *job);

#endif
