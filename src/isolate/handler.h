/* The handlers of plug-ins that run in a process of their own: one process an attempt. They stand
 * in the registry in place of the plug-in's and do for it, one after the other, the calls that it
 * makes there. */
#ifndef ISOLATE_HANDLER_H
#define ISOLATE_HANDLER_H

#include <errand/errand.h>

void handler_run(struct errand_job *job);
void handler_run_batch(struct errand_job *const *jobs, size_t count);

#endif
