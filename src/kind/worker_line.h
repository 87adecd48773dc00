/* The lines of JSON that errand and a worker's process send each other; docs/writing-jobs.md has
 * them all. */
#ifndef KIND_WORKER_LINE_H
#define KIND_WORKER_LINE_H

#include "base/buf.h"

#include <errand/errand.h>

void worker_line_add_job(struct buf *lines, struct errand_job *job);
void worker_line_add_cancel(struct buf *lines, int64_t id);

/* What is wrong with what a process said, which is an object; NULL: nothing. */
const char *worker_line_fault(const json_t *line);
bool worker_line_id(const json_t *line, int64_t *id); /* false: it names no job */
/* The same of a text that is no JSON: what stands behind the first "id". */
bool worker_line_find_id(const char *text, size_t length, int64_t *id);
enum errand_level worker_line_level(const json_t *line); /* of its log */
/* In the job's handler: finishes the job as the line, which has an outcome, says. */
void worker_line_settle(const json_t *line, struct errand_job *job);

#endif
