/* Texts for the parameters of statements, from values of other types: what errand_int_text and its
 * like bring, in the arena. Also of errand-host. */
#ifndef MODULE_PARAM_TEXT_H
#define MODULE_PARAM_TEXT_H

#include "base/arena.h"

#include <jansson.h>
#include <stdint.h>

const char *param_text_int(struct arena *arena, int64_t value);
const char *param_text_time(struct arena *arena, int64_t at_us);
const char *param_text_array(struct arena *arena, size_t count, const char *const *values);
const char *param_text_array_int(struct arena *arena, size_t count, const int64_t *values);
const char *param_text_bytea(struct arena *arena, const void *bytes, size_t length);
const char *param_text_json(struct arena *arena, const json_t *value); /* NULL: none, or too deep */

#endif
