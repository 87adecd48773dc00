/* Starting of jobs: which, when there is a free slot, its queue allows it and the lease holds. */
#ifndef QUEUE_DISPATCH_H
#define QUEUE_DISPATCH_H

#include "module/attempt.h"

struct entry;
struct runner;

void dispatch_init(struct runner *runner);
void dispatch_schedule(struct runner *runner); /* soon: after the present callbacks */
/* The attempt's jobs are claimed, or need no claim: runs the handler. Jobs without an owner are
 * left out. */
void dispatch_begin(struct runner *runner, struct attempt *attempt);
/* The attempt was claimed and must not start: its jobs go back, the attempt not counted. */
void dispatch_put_back(struct runner *runner, struct attempt *attempt);
/* A job that is in no heap and must not run: it ends so. Without a text it has expired. */
void dispatch_end(struct entry *entry, const struct outcome *outcome);
/* Asks a running job to end. */
void dispatch_cancel(struct errand_job *job);
/* attempt_host's on_finished. */
void dispatch_on_finished(struct attempt *attempt);
struct runner *dispatch_runner(const struct attempt *attempt);

#endif
