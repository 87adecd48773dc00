/* Small questions to JSON that somebody else wrote. */
#ifndef EMAIL_VALUE_H
#define EMAIL_VALUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { VALUE_MAX_DEPTH = 32 }; /* a handler's stack is small, and jansson parses by recursion */

/* There, and not null. */
bool value_is_present(const json_t *value);
/* A string's text; NULL when value is no string or holds a NUL character. */
const char *value_text(const json_t *value);

/* Whether nothing in the text is nested deeper than VALUE_MAX_DEPTH, be it JSON or not. */
bool value_depth_check(const char *text, size_t length);
/* The text parsed, or NULL: no JSON, nested too deep, or more than jansson holds (an integer past
 * 64 bits); then error->text says why. */
json_t *value_parse(const char *text, size_t length, json_error_t *error);

#endif
