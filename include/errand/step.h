/* Steps: what a long job has done stands under a name of its own, with a result, so that an attempt
 * after a crash, a retry, a snooze or a redrive goes on behind it. First ask; where *result is NULL
 * do the work, then errand_step_done, which commits at once:
 *     if (!errand_step(job, "outline", &result, &error)) {
 *         errand_retry(job, -1, "%s", error);
 *         return;
 *     }
 * Work between the two may happen twice when the runner ends there. Steps stand until the job has
 * ended; a dead letter keeps them, a job that is replaced loses them. */
#ifndef ERRAND_STEP_H
#define ERRAND_STEP_H

#include <errand/errand.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

enum { ERRAND_STEP_NAME_MAX = 200, ERRAND_STEP_RESULT_MAX = 1048576, ERRAND_STEPS_MAX = 1000 };
/* True: *result is the step's JSON as PostgreSQL writes it, until the attempt ends, or NULL: it was
 * not taken yet. False: it is not known, or the job is no longer this attempt's own (another
 * runner's, or changed), and the work must not be done: finish; *error (NULL: not wanted; until the
 * attempt ends) says why. */
bool errand_step(struct errand_job *job, const char *name, const char **result, const char **error);
/* Writes the step down and waits for it; what stands under the name already stays. False: *error as
 * above, says whether the database could not be reached, the job is no longer this attempt's own
 * (nothing was written), or what is wrong: the name (1 to 200 bytes), the result (JSON as of
 * errand_result, at most 1 MiB), more than 1000 steps. */
bool errand_step_done(struct errand_job *job, const char *name, const json_t *result,
                      const char **error);
bool errand_step_done_text(struct errand_job *job, const char *name, const char *json,
                           const char **error);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
