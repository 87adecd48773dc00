/* The settings that a file says of itself in the comment lines at its top:
 *
 *     #!/bin/sh
 *     # errand: timeout_ms = 5000
 *
 * A comment begins with #, -- or //; errand may be written in any case. What comes after the first
 * line that is neither a comment nor blank is not looked at. */
#ifndef KIND_HEADER_H
#define KIND_HEADER_H

#include "config/settings_file.h"

#include <stddef.h>

/* name: of the file, for the message. on_pair gets the section "kind". False: on_pair was, or a
 * line that begins with errand: is no `key = value`, or the colon is forgotten. */
bool header_read(const char *name, const char *text, size_t bytes, settings_file_pair *on_pair,
                 void *context, struct err *err);

#endif
