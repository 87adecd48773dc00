/* A module whose functions are in another process: what the handlers need to know of it. */
#ifndef ISOLATE_MODULE_H
#define ISOLATE_MODULE_H

#include "base/arena.h"
#include "config/settings.h"
#include "isolate/process.h"

#include <errand/errand.h>

struct isolate_module {
    struct errand_module module; /* first: who has it, has this */
    const char *path;
    bool has_start;                  /* a start hook of its own */
    struct arena *arena;             /* that it lives in */
    struct fork_server *fork_server; /* NULL: none runs */
    int fork_failures;               /* of those that ran */
    int64_t asked_us;                /* for one, last; 0: never */
};

/* Its path, its name, and the limits that its settings name. */
struct process_plan isolate_plan(const struct errand_module *module,
                                 const struct settings *settings);
/* Adds all of its settings to a frame. */
void isolate_write_settings(struct buf *buf, const struct errand_module *module,
                            const struct settings *settings);

#endif
