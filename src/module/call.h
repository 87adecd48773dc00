/* What a call of the job API is looked at for before it does anything: that the job is the one
 * whose handler runs, that it is not finished, that the call may wait here. What is wrong is a
 * handler's mistake: it stands in the log and in the job's own, with the call's name, and the call
 * does nothing; in debug builds the process ends there. */
#ifndef MODULE_CALL_H
#define MODULE_CALL_H

#include "module/attempt.h"

/* Whether a mistake ends the process; at first what the build says. */
extern bool call_mistakes_are_fatal;

/* True: the job is of the attempt whose handler runs, here, on this thread. Also marks the time. */
bool call_begins(const struct errand_job *job, const char *call);
/* The same without the mark, for calls that are many. */
bool call_is_own(const struct errand_job *job, const char *call);
/* The same, and the job is not finished. */
bool call_begins_open(struct errand_job *job, const char *call, const char **error);
/* For a call that waits, or may: the same, and some job of the attempt is not finished, and the
 * handler is not over. Does not come back when the attempt is to end. False: *error (NULL: not
 * wanted) says why. */
bool call_begins_waiting(struct errand_job *job, const char *call, const char **error);

/* Whether the module has a statement of that number, which takes so many parameters (looked at in
 * debug builds; elsewhere the server says so). */
bool call_has_statement(struct errand_job *job, const char *call, int statement, size_t count,
                        const char **error);

/* Names a mistake. Returns false. */
bool call_is_wrong(struct errand_job *job, const char *call, const char *mistake,
                   const char **error);

#endif
