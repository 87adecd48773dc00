/* A program's stderr as lines of its job's log, as they come. */
#ifndef MODULE_CHILD_LINES_H
#define MODULE_CHILD_LINES_H

#include <errand/errand.h>
#include <stddef.h>

struct child_lines;

struct child_lines *child_lines_new(struct errand_job *job); /* in the attempt's memory */
void child_lines_take(struct child_lines *lines, const char *data, size_t length);
/* It has ended: what stands behind the last line's end is a line, too. */
void child_lines_end(struct child_lines *lines);

#endif
