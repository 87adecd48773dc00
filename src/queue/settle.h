/* What an outcome means for the job's row, settled when the job ends: a retry becomes a time, or
 * the end. */
#ifndef QUEUE_SETTLE_H
#define QUEUE_SETTLE_H

#include "module/attempt.h"

struct entry;
struct runner;

void settle_outcome(struct runner *runner, struct errand_job *job);
/* How the loss of the runner that ran it counts; only for an entry that was lost: true when it must
 * not be run again at once, and the outcome says what becomes of it. */
bool settle_lost(struct runner *runner, const struct entry *entry, struct outcome *outcome);
/* "expired at ..." */
const char *settle_expired_text(struct arena *arena, const struct entry *entry);

#endif
