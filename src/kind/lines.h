/* What programs write to their stderr, as lines of the job's log. */
#ifndef KIND_LINES_H
#define KIND_LINES_H

#include <errand/errand.h>

enum { KIND_LOG_BYTES_MAX = 65536, KIND_LOG_LINES_MAX = 200, KIND_LOG_LINE_MAX = 2000 };

bool kind_text_is_blank(const char *text);
/* A line of the log for each line that is not blank, up to the bounds above; one more says how much
 * was left out. dropped_bytes: that were not kept to begin with. */
void kind_log_lines(struct errand_job *job, const char *text, int64_t dropped_bytes);
/* The last line that is not blank, at most 200 bytes of it; NULL: there is none. */
const char *kind_last_line(struct errand_job *job, const char *text);

#endif
