/* Log lines to stderr: logfmt or JSON, one line an event, values escaped. A secret that was
 * registered never appears, whatever the line holds. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

void log_configure(enum log_level least, enum log_format format);
bool log_enabled(enum log_level level);

/* Every later occurrence of text (at least 6 bytes; shorter ones are ignored) is written as ***. */
void log_secret(const char *text);

/* One line: time, level, event, then pairs of (key, value), ended by NULL. event is a few fixed
 * words; a value may be any text (NULL leaves the pair out). log_event(LOG_WARN, "database away",
 * "error", err.text, NULL); */
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));

/* A value for log_event from a number; the text lives until the eighth next call. */
const char *log_int(long long value);

/* text with every registered secret replaced by ***; in place, never longer. */
void log_redact(char *text);

bool log_level_parse(const char *text, enum log_level *level);
bool log_format_parse(const char *text, enum log_format *format);

#endif
