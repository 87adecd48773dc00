/* An HTTP request as it was written to a file: an optional request line, headers, a blank line, the
 * body byte for byte. */
#ifndef CLI_REQUEST_FILE_H
#define CLI_REQUEST_FILE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum { REQUEST_FILE_HEADERS_MAX = 100, REQUEST_FILE_MAX_BYTES = 4 * 1024 * 1024 };

struct request_file {
    struct buf text;    /* what the rest points into */
    const char *target; /* of the request line: "/webhooks/resend"; NULL: there is none */
    size_t count;
    const char *names[REQUEST_FILE_HEADERS_MAX];
    const char *values[REQUEST_FILE_HEADERS_MAX];
    const char *body;
    size_t length;
};

/* path "-": standard input. Lives in place. False: nothing to clear; err says what is wrong where.
 */
bool request_file_read(struct request_file *request, const char *path, struct err *err);
void request_file_clear(struct request_file *request);

/* In whatever case. NULL: it is not there. */
const char *request_file_header(const struct request_file *request, const char *name);

#endif
