/* One attempt of a handler outside of any queue, and what it did. Its statements run in the
 * database that is given, for real; steps, signals, the queue's rate and its pause are only noted.
 */
#ifndef TRIAL_TRIAL_H
#define TRIAL_TRIAL_H

#include "base/clock.h"
#include "config/settings.h"
#include "http/http.h"
#include "module/registry.h"

struct trial_options {
    const struct settings *settings;
    const struct kind *kind;
    const char *conninfo, *schema;
    struct clock_offset clock;
    const char *const *args; /* of each job, as PostgreSQL writes them; more than one: a batch */
    size_t count;
    int64_t id; /* of the first job; the next ones follow */
    int attempt;
    json_t *steps;     /* name: result. What was done before; steps that are taken are added */
    json_t *signals;   /* name: [payload], or []: the time for it is up */
    http_route *route; /* where requests go */
    void *route_owner;
};

/* Runs until the handler has returned and its effects are committed; SIGINT ends it. An object, the
 * caller's: "calls", an array in their order (one with "call": "http" is empty but for that, for
 * each request that was routed), and "jobs", an array of what came of each. */
json_t *trial_run(const struct trial_options *options);

#endif
