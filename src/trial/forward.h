/* A request that is sent on as it came, and what came back. Blocks: for a thread of its own. */
#ifndef TRIAL_FORWARD_H
#define TRIAL_FORWARD_H

#include "base/buf.h"

#include <jansson.h>

struct curl_slist;

struct forward {
    struct curl_slist *sent; /* headers */
    int status;              /* 0: no whole answer came */
    const char *error;       /* why; NULL: it was not sent on, or one came */
    json_t *headers;         /* of the answer, but what belongs to the connection, and cookies */
    struct buf body;
};

void forward_init(struct forward *forward);
void forward_clear(struct forward *forward); /* also one that is all zero */
void forward_add_header(struct forward *forward, const char *name, const char *value);
/* False: no whole answer came within two minutes. */
bool forward_run(struct forward *forward, const char *method, const char *url, const char *body,
                 size_t length);

#endif
