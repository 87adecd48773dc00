#include "queue/retry.h"

#include "base/random.h"

#include <string.h>

static const char *class_text(const char *error_class)
{
    return error_class ? error_class : "";
}

static const struct errand_retry *lines_find(struct retry_lines set, const char *error_class)
{
    for (size_t i = 0; i < set.count; i++)
        if (strcmp(class_text(set.lines[i].error_class), class_text(error_class)) == 0)
            return &set.lines[i];
    return NULL;
}

const struct errand_retry *retry_line_of(struct retry_lines operators, struct retry_lines kind,
                                         const char *error_class)
{
    const struct errand_retry *line = lines_find(operators, error_class);
    return line ? line : lines_find(kind, error_class);
}

const struct errand_retry *retry_line_for(struct retry_lines operators, struct retry_lines kind,
                                          const char *error_class)
{
    const struct errand_retry *line = retry_line_of(operators, kind, error_class);
    return line ? line : retry_line_of(operators, kind, "");
}

/* Full jitter: those that failed together come back spread over the whole time. */
static int64_t exponential_ms(int64_t first_ms, int64_t last_ms, int attempt)
{
    int64_t bound_ms = first_ms;
    for (int i = 1; i < attempt && bound_ms < last_ms; i++)
        bound_ms *= 2;
    return random_below((bound_ms < last_ms ? bound_ms : last_ms) + 1);
}

int64_t retry_delay_ms(const struct errand_retry *line, int attempt)
{
    if (!line || !line->delay_count)
        return exponential_ms(RETRY_FIRST_MS, RETRY_LAST_MS, attempt);
    size_t last = line->delay_count - 1, at = attempt > 1 ? (size_t)attempt - 1 : 0;
    if (line->policy == ERRAND_RETRY_EXPONENTIAL)
        return exponential_ms(line->delays_ms[0], line->delays_ms[last], attempt);
    int64_t delay_ms = line->delays_ms[at < last ? at : last];
    return delay_ms + random_below(delay_ms * line->jitter_percent / 100 + 1);
}

bool retry_is_over(const struct errand_retry *line, int attempt, int max_attempts)
{
    if (line && line->policy == ERRAND_RETRY_NEVER)
        return true;
    return attempt >= (line && line->max_attempts ? line->max_attempts : max_attempts);
}
