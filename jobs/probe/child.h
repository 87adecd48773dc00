/* The probe's child process: a program from the job's args. */
#ifndef PROBE_CHILD_H
#define PROBE_CHILD_H

#include <errand/errand.h>

/* Args {"argv": ["sh", "-c", "..."]} and any of "input", "timeout_ms", "grace_ms", "max_bytes" (of
 * each output), "memory_bytes"; the result says how it ended. */
void probe_child(struct errand_job *job);
/* A program and its arguments from a list of texts, for the attempt's life; NULL: it is none. */
const char *const *child_argv(struct errand_job *job, const json_t *list);

#endif
