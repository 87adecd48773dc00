/* The runner: one `errand run` process. */
#ifndef QUEUE_RUNNER_H
#define QUEUE_RUNNER_H

#include "base/err.h"
#include "config/settings.h"
#include "loop/loop.h"

#include <errand/errand.h>

struct registry;
struct runner;

/* What a runner carries on its loop besides its jobs: the HTTP server. */
struct runner_front {
    bool (*start)(struct runner *runner, struct loop *loop, const struct settings *settings,
                  void *owner, struct err *err);
    void (*stop)(void *owner); /* at SIGTERM: nothing new */
    /* After stop: nothing is under way any more. When that becomes so, runner_front_quiet. */
    bool (*is_quiet)(const void *owner);
    void (*clear)(void *owner); /* before the loop ends; also when start failed */
    void *owner;
};

void runner_front_quiet(struct runner *runner);
/* Whether jobs can start: the lease holds and the database answers. False: *reason is a line that
 * says why not. */
bool runner_is_ready(const struct runner *runner, const char **reason);
const struct registry *runner_registry(const struct runner *runner);

/* Runs until SIGTERM or SIGINT: then nothing new is started, what runs may finish within
 * stop_timeout_ms, and everything is given back. A second signal ends at once. Returns the
 * process's exit code: 0 after a stop, 1 (err says why) otherwise. front NULL: none. */
int runner_run(const struct settings *settings, const struct errand_module *const *modules,
               const struct runner_front *front, struct err *err);

#endif
