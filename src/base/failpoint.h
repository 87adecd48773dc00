/* Places where a test can end the process as a crash would, in builds with ERRAND_FAILPOINTS only.
 * The environment variable ERRAND_FAILPOINT names one, "email.after_send", or "email.after_send:3"
 * for the third time it is reached. */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#include <stdbool.h>

bool failpoint_enabled(void); /* compiled in, and the variable is set */
/* Kills the process (SIGKILL) when the variable names "prefix.name"; prefix NULL is never one. */
void failpoint_reach(const char *prefix, const char *name);

#endif
