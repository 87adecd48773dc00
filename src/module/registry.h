/* The kinds that this process can run: every plug-in's, checked when it is added. */
#ifndef MODULE_REGISTRY_H
#define MODULE_REGISTRY_H

#include "base/arena.h"
#include "base/err.h"
#include "config/settings.h"

#include <errand/errand.h>

/* A kind with its defaults filled in. number is its place in the registry. */
struct kind {
    const struct errand_kind *errand;
    const struct errand_module *module;
    const char *name, *queue;
    int max_attempts, timeout_ms, batch_max, queue_lanes;
    size_t number;
};

/* What a module's start hook asked for. */
struct queue_rate {
    const char *queue;
    double per_second, burst;
};

struct registry {
    struct kind *kinds;
    size_t count;
    size_t started; /* of the kinds, those whose module's start hook is done with */
    struct queue_rate *rates;
    size_t rate_count;
    struct arena arena; /* older plug-ins' structs in today's form */
};

void registry_init(struct registry *registry);
/* Adds every module's kinds; false names the module, the kind and what is wrong with it, and of
 * that module none was added. */
bool registry_add(struct registry *registry, const struct errand_module *const *modules,
                  struct err *err);
/* Calls the modules' start hooks with their settings. */
bool registry_start(struct registry *registry, const struct settings *settings, struct err *err);
void registry_clear(struct registry *registry); /* calls the stop hooks of what was started */
bool registry_class_is_valid(const char *error_class); /* of errors; "" is */
const struct kind *registry_find(const struct registry *registry,
                                 const char *name); /* NULL: not served here */

#endif
