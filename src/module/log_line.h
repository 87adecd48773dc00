/* A line that a handler logs, in a form that goes everywhere: into the runner's log and the
 * database. */
#ifndef MODULE_LOG_LINE_H
#define MODULE_LOG_LINE_H

#include "base/buf.h"

#include <stdarg.h>

/* Valid UTF-8 without NUL, of at most ERRAND_LOG_LINE_MAX bytes (a longer one ends in "..."), with
 * secrets blanked. The caller clears it. */
void log_line_clean(struct buf *line, const char *text, size_t length);
void log_line_format(struct buf *line, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

#endif
