/* Work on a thread: probe.thread {"ms": 500}      keeps a thread for so long
 *                               {"looks": true}  and ends early when it is to end */
#ifndef PROBE_HEAVY_H
#define PROBE_HEAVY_H

#include <errand/errand.h>

void probe_thread(struct errand_job *job);

#endif
