/* The kinds that this process can run, each checked when it is added: every plug-in's, which stay,
 * and those of files, which are put, replaced and removed while it works. A kind's name keeps its
 * number for the registry's life; a version of it lives until the last one that holds it lets go.
 */
#ifndef MODULE_REGISTRY_H
#define MODULE_REGISTRY_H

#include "base/arena.h"
#include "base/err.h"
#include "config/settings.h"

#include <errand/errand.h>

/* Counts who uses a version of a kind. */
struct kind_life {
    size_t holders;
    struct kind *kind;
    void (*release)(void *owner); /* after the last holder; NULL: nothing to do */
    void *owner;
};

/* One version of a kind, with its defaults filled in; it does not change. */
struct kind {
    const struct errand_kind *errand;
    const struct errand_module *module;
    const char *name, *queue;
    int max_attempts, timeout_ms, batch_max, queue_lanes;
    int concurrency; /* at once in this runner, where operators have set none; 0: any number */
    size_t number;   /* of its name */
    struct kind_life *life;
};

const struct kind *kind_hold(const struct kind *kind);
void kind_release(const struct kind *kind);

/* What a module's start hook asked for. */
struct queue_rate {
    const char *queue;
    double per_second, burst;
};

struct registry {
    const struct kind **kinds; /* by number, the newest version; NULL: removed */
    char **names;              /* by number */
    size_t count;              /* of numbers */
    size_t started;            /* of the kinds, those whose module's start hook is done with */
    struct queue_rate *rates;
    size_t rate_count;
    struct arena arena; /* older plug-ins' structs in today's form */
};

/* A kind that may be replaced and removed. */
struct registry_offer {
    const struct errand_module *module;
    const struct errand_kind *errand;
    int concurrency;
    void (*release)(void *owner); /* nobody uses what is pointed to here any more */
    void *owner;
};

void registry_init(struct registry *registry);
/* Adds every module's kinds; false names the module, the kind and what is wrong with it, and of
 * that module none was added. */
bool registry_add(struct registry *registry, const struct errand_module *const *modules,
                  struct err *err);
/* After registry_start. Adds the kind, or puts it in the place of one of its name that was put
 * before. False, and nothing is taken over (release does not come): a module's kind has the name,
 * or it is not valid. */
bool registry_put(struct registry *registry, const struct registry_offer *offer, struct err *err);
/* Takes away a kind that was put; whoever holds a version of it goes on. */
void registry_remove(struct registry *registry, const char *name);
/* Calls the modules' start hooks with their settings. */
bool registry_start(struct registry *registry, const struct settings *settings, struct err *err);
void registry_clear(struct registry *registry); /* calls the stop hooks of what was started */
bool registry_class_is_valid(const char *error_class); /* of errors; "" is */
bool registry_name_is_valid(const char *name);         /* of a kind or a queue */
/* Within a start hook: whose it is, and what is set. */
const struct errand_module *registry_host_module(const struct errand_host *host);
const struct settings *registry_host_settings(const struct errand_host *host);
const struct kind *registry_find(const struct registry *registry,
                                 const char *name); /* NULL: not served here */

#endif
