/* HTTP requests on the loop (libcurl's multi interface). Mechanism only: deadlines, size limits,
 * what was sent when it failed. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/buf.h"
#include "loop/loop.h"

#include <errand/errand.h>
#include <stdbool.h>
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

/* Where a request goes in place of its url, whatever that is and without any guard: a recording.
 * NULL: to its url. */
typedef const char *http_route(const struct errand_request *request, void *owner);
void http_set_route(struct http *http, http_route *route, void *owner); /* NULL: each to its url */

/* What is wrong with a request that must not be sent; NULL: nothing. */
const char *http_request_fault(const struct errand_request *request);
/* Starts a request; everything it points to is copied. on_done comes once, later, never inside this
 * call. */
struct http_call *http_start(struct http *http, const struct errand_request *request,
                             void (*on_done)(struct http_call *call, void *owner), void *owner);
const struct http_answer *http_call_answer(const struct http_call *call);
/* The last value of a response header, by name without case; NULL when absent. */
const char *http_call_header(const struct http_call *call, const char *name);
/* What the answer's Retry-After asks for (see retry_after.h); -1: nothing. */
int64_t http_call_retry_after_ms(const struct http_call *call);
/* Also ends one that is under way, without on_done; also inside on_done. */
void http_call_free(struct http_call *call);

/* ---- Answers that are read as they come ---- */

enum { HTTP_STREAM_BYTES = 256 * 1024 };

/* As http_start, but the body is handed out piece by piece; timeout_ms 0 and max_response_bytes 0:
 * none. on_news comes when the head is there, when there is body to take, and when it has ended,
 * well or not: later, never inside a call of here. About HTTP_STREAM_BYTES wait to be taken; then
 * the other side waits. */
struct http_call *http_open(struct http *http, const struct errand_request *request,
                            void (*on_news)(struct http_call *call, void *owner), void *owner);
bool http_call_has_head(const struct http_call *call);  /* its answer has the status */
bool http_call_has_ended(const struct http_call *call); /* its answer has the result; no more news,
                                                           but some body may be left to take */
/* Puts what has come of the body in the place of into's contents. */
void http_call_take(struct http_call *call, struct buf *into);
/* Ends it as one whose time is up; without on_news. */
void http_call_time_out(struct http_call *call, const char *error);

#endif
