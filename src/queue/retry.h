/* Retry policies: how long a failed job waits before its next attempt, and how many it has. Pure:
 * the lines come from the kind and from operators. */
#ifndef QUEUE_RETRY_H
#define QUEUE_RETRY_H

#include <errand/errand.h>

enum { RETRY_FIRST_MS = 2000, RETRY_LAST_MS = 3600000 }; /* of a kind that says nothing else */

struct retry_lines {
    const struct errand_retry *lines;
    size_t count;
};

/* The line of a class (NULL or "": of none); NULL when it has none of its own. Operators' go before
 * the kind's. */
const struct errand_retry *retry_line_of(struct retry_lines operators, struct retry_lines kind,
                                         const char *error_class);
/* The same; without one of its own that of all other classes; NULL: the default holds. */
const struct errand_retry *retry_line_for(struct retry_lines operators, struct retry_lines kind,
                                          const char *error_class);

/* After attempt 1, 2, ...; line NULL: the default. Not for a line that says never. */
int64_t retry_delay_ms(const struct errand_retry *line, int attempt);
/* Whether no attempt follows this one, which failed: max_attempts is the job's. */
bool retry_is_over(const struct errand_retry *line, int attempt, int max_attempts);

#endif
