/* All of a file, or of standard input, in memory. */
#ifndef CLI_SLURP_H
#define CLI_SLURP_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

/* path "-": standard input. Adds at most what the buffer's max_bytes says; more is an error, which
 * names the file. */
bool slurp_file(struct buf *text, const char *path, struct err *err);

/* An argument that is the text itself, @FILE, or "-". What is read holds a text, and not an empty
 * one.
 */
bool slurp_argument(struct buf *text, const char *argument, struct err *err);

#endif
