#include "kind/lines.h"

#include <string.h>

enum { LAST_LINE_MAX = 200 };

static const char lines_blank[] = " \t\r\n";

bool kind_text_is_blank(const char *text)
{
    return text[strspn(text, lines_blank)] == '\0';
}

/* Without the blanks at its end. */
static size_t line_length(const char *line)
{
    size_t length = strcspn(line, "\n");
    while (length > 0 && strchr(lines_blank, line[length - 1]))
        length--;
    return length;
}

const char *kind_last_line(struct errand_job *job, const char *text)
{
    const char *last = NULL;
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (line_length(line))
            last = line;
    size_t length = last ? line_length(last) : 0;
    return !last ? NULL
                 : errand_printf(job, "%.*s",
                                 (int)(length < LAST_LINE_MAX ? length : LAST_LINE_MAX), last);
}
