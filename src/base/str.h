/* Questions about text: its UTF-8, its escaped form, the nearest name. Owns nothing. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

enum { STR_REPLACEMENT = 0xFFFD };

/* The character at the start of text (length >= 1): how many bytes it takes. A byte that is not
 * valid UTF-8 there counts as one character, STR_REPLACEMENT. */
size_t str_character(const char *text, size_t length, uint32_t *character);

/* Adds text as it stands between the quotes of a JSON string: one line, valid UTF-8, no control
 * characters (neither C0 nor C1), no line separators. */
void str_escape(struct buf *buf, const char *text, size_t length);

/* Adds text as people see it on a terminal: blanks for line ends and tabs, U+FFFD for other control
 * characters and for what is not UTF-8. */
void str_printable(struct buf *buf, const char *text);

/* How many columns text takes on a terminal, as characters. */
size_t str_width(const char *text);

/* The name that a misspelt one was probably meant to be: NULL when none is near. */
const char *str_nearest(const char *text, const char *const *names, size_t count);

#endif
