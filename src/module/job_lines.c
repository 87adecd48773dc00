#include "module/job_lines.h"

#include "module/attempt.h"

#include <stdio.h>
#include <string.h>

/* One less than are kept of an attempt: the last one says how many there were more. */
enum { LINES_MAX = ERRAND_LOG_LINES_MAX - 1 };

/* More than a line of the log holds, so that no part of a secret is left where it is cut. */
enum { LINE_BYTES = 2 * ERRAND_LOG_LINE_MAX };

struct job_lines {
    struct errand_job *job;
    const char *of;
    int count;
    int64_t dropped;
    size_t length; /* of the line that has begun */
    char text[LINE_BYTES];
};

struct job_lines *job_lines_new(struct errand_job *job, const char *of)
{
    struct job_lines *lines = arena_zalloc(&job->attempt->arena, sizeof *lines);
    lines->job = job;
    lines->of = of;
    return lines;
}

static void lines_add(struct job_lines *lines, const char *data, size_t length)
{
    size_t room = sizeof lines->text - lines->length;
    length = length < room ? length : room;
    memcpy(lines->text + lines->length, data, length);
    lines->length += length;
}

static void lines_tell(struct job_lines *lines, enum errand_level level)
{
    size_t length = lines->length;
    /* A NUL there is a blank, too. */
    while (length > 0 && strchr(" \t\r", lines->text[length - 1]))
        length--;
    lines->length = 0;
    if (length == 0)
        return;
    if (lines->count == LINES_MAX) {
        lines->dropped++;
        return;
    }
    lines->count++;
    job_tell(lines->job, level, lines->text, length);
}

void job_lines_take(struct job_lines *lines, enum errand_level level, const char *data,
                    size_t length)
{
    for (const char *end; (end = memchr(data, '\n', length));) {
        size_t part = (size_t)(end - data);
        lines_add(lines, data, part);
        lines_tell(lines, level);
        data += part + 1;
        length -= part + 1;
    }
    lines_add(lines, data, length);
}

void job_lines_end(struct job_lines *lines)
{
    char text[80];
    lines_tell(lines, ERRAND_INFO);
    if (!lines->dropped)
        return;
    int length = snprintf(text, sizeof text, "%lld more lines of %s were left out",
                          (long long)lines->dropped, lines->of);
    job_tell(lines->job, ERRAND_WARN, text, (size_t)length);
}
