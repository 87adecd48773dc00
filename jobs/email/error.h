/* What is wrong with a message, as one line of text fit for failure_reason; and what all such lines
 * have in common. */
#ifndef EMAIL_ERROR_H
#define EMAIL_ERROR_H

#include <stdbool.h>
#include <stddef.h>

enum {
    EMAIL_ERROR_BYTES = 512,
    EMAIL_LINE_BYTES = 998 /* RFC 5322: a line without its end */
};

/* One line of valid UTF-8 without control characters. */
struct email_error {
    char text[EMAIL_ERROR_BYTES];
};

/* Sets the text (longer ones are cut on a character); returns false, so that `return
 * email_error_set(...)` ends a function. */
bool email_error_set(struct email_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Copies any bytes as one line of text into out (size bytes, NUL included): runs of spaces and
 * control characters become one space, each byte that is not UTF-8 a '?', and what is too long is
 * cut on a character. out must not overlap bytes. */
void email_line_copy(char *out, size_t size, const char *bytes, size_t length);

/* Whether text is UTF-8 without control characters and line separators. */
bool email_line_check(const char *text);

#endif
