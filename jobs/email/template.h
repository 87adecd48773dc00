/* Logic-less templates: the part of Mustache that needs no code and no files. A mail with a hole in
 * it must not go out, so a value that is missing is an error with its name and place. Pure: text
 * in, text out.
 *
 *   {{name}}              the value; escaped when the part is HTML
 *   {{{name}}} {{&name}}  the value as it is
 *   {{a.b.c}} {{.}}       a member of a member; the current value
 *   {{#name}}..{{/name}}  once an element of an array; once for any other value that counts as true
 *   {{^name}}..{{/name}}  when the value counts as false
 *   {{! words }}          nothing
 *
 * Missing, null, false, "", 0 and [] count as false; only as the name of a section may a value be
 * missing. A name's first part is looked for in the innermost section first, then outwards; the
 * other parts only inside what the first one named. A section or comment tag alone on its line
 * takes the line with it. There are no partials, no lambdas and no change of delimiters. */
#ifndef EMAIL_TEMPLATE_H
#define EMAIL_TEMPLATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    TEMPLATE_MAX_DEPTH = 32,    /* sections inside sections */
    TEMPLATE_NAME_BYTES = 64,   /* a whole dotted name */
    TEMPLATE_MAX_STEPS = 250000 /* tags and texts passed in one rendering, loops unrolled */
};

enum template_escape { TEMPLATE_PLAIN, TEMPLATE_HTML };

struct template_error {
    unsigned line, column; /* from 1, in characters; 0 when the error has no place */
    char text[256];        /* names the place too: "line 3, column 5: no value for 'name'" */
};

/* Renders text (length bytes of UTF-8) with data (borrowed; NULL counts as {}). *out is
 * NUL-terminated, holds no other NUL and at most max_bytes, and is the caller's to free. Fails,
 * with *out NULL, on a mistake in the template, a value that is missing, null, an array or an
 * object, a NUL character anywhere, and on more output or work than allowed. Integers are printed
 * exactly, reals with the fewest digits that read back as the same number. */
bool template_render(const char *text, size_t length, const json_t *data,
                     enum template_escape escape, size_t max_bytes, char **out,
                     struct template_error *error);

/* Whether text is a template at all; for the moment it is loaded. */
bool template_check(const char *text, size_t length, struct template_error *error);

#endif
