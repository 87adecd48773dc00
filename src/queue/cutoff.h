/* Cutting off: where numbers of running jobs count (limit.h), what runs here ends before another
 * runner may start in its place: when the lease has run out, or the control connection, whose
 * backend others watch, is lost and not back at once. The attempts do not count; the jobs run
 * again. Elsewhere what runs goes on. */
#ifndef QUEUE_CUTOFF_H
#define QUEUE_CUTOFF_H

#include <stdbool.h>

struct attempt;
struct runner;

void cutoff_init(struct runner *runner);
/* Lease or connection have changed: looks again when it matters. */
void cutoff_schedule(struct runner *runner);
/* attempt_host's may_go_on: whether a handler that is about to be resumed may have effects. */
bool cutoff_may_go_on(const struct attempt *attempt);

#endif
