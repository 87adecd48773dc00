/* Sample events as Resend and Lemon Squeezy send them, for development: a template for each kind of
 * data, and what each type changes in it. */
#ifndef CLI_SAMPLE_H
#define CLI_SAMPLE_H

#include "base/err.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct sample {
    const char *type, *source;
    const char *body;    /* template: JSON with ' for " */
    const char *changes; /* PATH=VALUE, separated by blanks; "" when none */
};

extern const struct sample sample_table[];
extern const size_t sample_count;

const struct sample *sample_find(const char *type); /* NULL: there is none */

/* The event's body, made at that time: the template, its type's changes, then the caller's. A path
 * is names and numbers of array elements with dots between; what is missing on the way is made. A
 * value is a text where a text stood, else JSON when it can be read as that. $now, $now+30d (or s,
 * m, h) and $uuid stand for what they say. NULL: err says which change is wrong. */
json_t *sample_make(const struct sample *sample, int64_t now_us, const char *const *changes,
                    size_t count, struct err *err);

#endif
