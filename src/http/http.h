/* HTTP requests on the loop (libcurl's multi interface). Mechanism only: deadlines, size limits,
 * what was sent when it failed. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/buf.h"
#include "loop/loop.h"

#include <errand/errand.h>
#include <stdint.h>

struct http;
struct http_call;

/* What a finished call tells; body and headers stay until http_call_free. */
struct http_answer {
    enum errand_http_result result;
    int status;
    const char *body;
    size_t body_bytes;
    char error[256];
};

/* The library is set up at the first call, so that a runner that needs no HTTP pays nothing for it.
 */
struct http *http_new(struct loop *loop);
void http_free(struct http *http); /* no call may be under way */

/* Starts a request; everything it points to is copied. on_done comes once, later, never inside this
 * call. */
struct http_call *http_start(struct http *http, const struct errand_request *request,
                             void (*on_done)(struct http_call *call, void *owner), void *owner);
const struct http_answer *http_call_answer(const struct http_call *call);
/* The last value of a response header, by name without case; NULL when absent. */
const char *http_call_header(const struct http_call *call, const char *name);
/* What the answer's Retry-After asks for (see retry_after.h); -1: nothing. */
int64_t http_call_retry_after_ms(const struct http_call *call);
void http_call_free(struct http_call *call); /* also ends one that is under way, without on_done;
                                                not inside on_done */

#endif
