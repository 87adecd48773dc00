/* Lines that come from elsewhere as lines of a job's log: what a program writes to its stderr, what
 * SQL raises as notices. Bounded, as nobody knows how many will come. */
#ifndef MODULE_JOB_LINES_H
#define MODULE_JOB_LINES_H

#include <errand/errand.h>
#include <stddef.h>

struct job_lines;

/* In the attempt's memory. of: what they are lines of, in the line that says how many were left
 * out. */
struct job_lines *job_lines_new(struct errand_job *job, const char *of);
/* A piece of the text; a line is told where it ends, blank ones are not. */
void job_lines_take(struct job_lines *lines, enum errand_level level, const char *data,
                    size_t length);
/* It has ended: what stands behind the last line's end is a line, too. */
void job_lines_end(struct job_lines *lines);

#endif
