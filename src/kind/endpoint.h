/* Where an http kind sends its jobs: what its file says of that, checked. */
#ifndef KIND_ENDPOINT_H
#define KIND_ENDPOINT_H

#include "signature/signature.h"

#include <errand/errand.h>

struct kind_file;

struct endpoint {
    const char *url;
    struct signature_keys keys;
    const struct errand_header *headers; /* the file's own, sent with each request */
    size_t header_count;
    bool has_content_type; /* among these */
    int timeout_ms;        /* of a request */
    size_t max_response_bytes;
    bool allow_private;            /* anywhere; else only https, and only to public addresses */
    long long callback_timeout_ms; /* how long it may take behind a 202; 0: its answer is the end */
};

enum { ENDPOINT_SETTINGS = 8 };
extern const struct errand_setting endpoint_settings[ENDPOINT_SETTINGS];

/* Sets file->endpoint, and what follows from it for the kind. */
bool endpoint_open(struct kind_file *file, struct err *err);
void endpoint_close(struct kind_file *file);

#endif
