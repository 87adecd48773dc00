/* The runner: one `errand run` process. */
#ifndef QUEUE_RUNNER_H
#define QUEUE_RUNNER_H

#include "base/err.h"
#include "config/settings.h"

#include <errand/errand.h>

/* Runs until SIGTERM or SIGINT: then nothing new is started, what runs may finish within
 * stop_timeout_ms, and everything is given back. A second signal ends at once. Returns the
 * process's exit code: 0 after a stop, 1 (err says why) otherwise. */
int runner_run(const struct settings *settings, const struct errand_module *const *modules,
               struct err *err);

#endif
