/* JSON that handlers hand over, as text that PostgreSQL takes as jsonb: checked here, because a
 * completion that the server refuses would take others with it. */
#ifndef MODULE_JSON_TEXT_H
#define MODULE_JSON_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { JSON_TEXT_DEPTH_MAX = 32 };

/* jansson descends by recursion, and a handler's stack is small. */
bool json_text_is_shallow(const char *text);
/* What is wrong with the text as a jsonb of at most max_bytes; NULL: nothing. The sentence's start
 * is up to the caller. */
const char *json_text_fault(const char *text, size_t max_bytes);
/* The value as compact text, freed by the caller with free(); NULL: deeper than 32 levels, or none
 * at all. */
char *json_text_of(const json_t *value);

#endif
