/* The ledger of a test: a file that says, outside the database, which handlers ran and when. One
 * line a write, appended:
 *     start PID JOB ATTEMPT KIND MONOTONIC_US WALL_US LABEL
 *     end   PID JOB ATTEMPT OUTCOME MONOTONIC_US WALL_US
 * A start without an end is a run that ended with its process. */
#ifndef PROBE_LEDGER_H
#define PROBE_LEDGER_H

#include <errand/errand.h>

bool ledger_open(const char *path);
void ledger_close(void);
bool ledger_is_open(void);
/* False: the line could not be written. label: from the job's args, a word. */
bool ledger_start(const struct errand_job *job, const char *label);
bool ledger_end(const struct errand_job *job, const char *outcome);

#endif
