/* HTTP: a request and its whole answer, or an answer that is read as it comes, server-sent events
 * too. */
#ifndef ERRAND_HTTP_H
#define ERRAND_HTTP_H

#include <errand/errand.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

struct errand_header {
    const char *name, *value;
};

struct errand_request {
    size_t size;        /* sizeof(struct errand_request) */
    const char *method; /* "POST" */
    const char *url;    /* http or https */
    const struct errand_header *headers;
    size_t header_count;
    const void *body;
    size_t body_bytes;
    int timeout_ms;            /* for the whole exchange; default 30,000 */
    size_t max_response_bytes; /* body; default 1 MiB; past it the exchange is ended */
    const char *failpoint;     /* prefix of the failpoints of this exchange; NULL: none */
    bool public_only; /* the url comes from somebody else: https only, past no proxy, and only to an
                         address of the public internet (looked at when it connects, so what a name
                         resolves to then counts); else ERRAND_HTTP_NOT_SENT, and the error says
                         which address and why */
    int idle_ms;      /* of errand_http_open: the longest wait for the head, or for the next byte of
                         the body; default 60,000 */
};

enum errand_http_result {
    ERRAND_HTTP_OK,        /* an answer with a status came whole */
    ERRAND_HTTP_NOT_SENT,  /* nothing of the request can have been acted on: no connection */
    ERRAND_HTTP_LOST,      /* it was sent, at least in part, and no whole answer came */
    ERRAND_HTTP_TIMEOUT,   /* the same, because the time was up */
    ERRAND_HTTP_TOO_LARGE, /* the answer passed max_response_bytes */
    ERRAND_HTTP_CANCELLED  /* the job is to end */
};

struct errand_response {
    enum errand_http_result result;
    int status;       /* 0 unless ERRAND_HTTP_OK (or TOO_LARGE after the header) */
    const char *body; /* NUL-terminated behind body_bytes; "" when none; until the attempt ends */
    size_t body_bytes;
    const char *error;            /* one line when not ERRAND_HTTP_OK */
    int64_t started_us, ended_us; /* database's clock */
};

void errand_http(struct errand_job *job, const struct errand_request *request,
                 struct errand_response *response);
/* The last value of a response header of the last errand_http, by name without case; NULL when
 * absent. */
const char *errand_http_header(const struct errand_job *job, const char *name);

/* What an exchange says of trying again. */
enum errand_http_class {
    ERRAND_HTTP_CLASS_OK,    /* 200 to 299 */
    ERRAND_HTTP_CLASS_RETRY, /* no whole answer, 408, 425, and 500 to 599 but the next: later. What
                                was sent may have been acted on: use an idempotency key */
    ERRAND_HTTP_CLASS_SLOW,  /* 429, 502, 504: later, and less often from now on */
    ERRAND_HTTP_CLASS_FAIL   /* anything else, and ERRAND_HTTP_TOO_LARGE: the same again would end
                                the same way */
};
enum errand_http_class errand_http_class(const struct errand_response *response);
/* How long the last errand_http's answer asks to wait (Retry-After, in seconds or as a date, which
 * is taken against the answer's own Date), at most a day; -1 when it does not say: fit to be handed
 * to errand_retry as it is. */
int64_t errand_http_retry_after_ms(const struct errand_job *job);

/* ---- HTTP, read as it comes ---- */

/* An answer whose body is read piece by piece: one that is larger than memory, or that goes on for
 * minutes (a language model's). Several may be open at once, and errand_http be called in between.
 */
struct errand_http_stream;

/* Sends the request and waits for the answer's head. response is filled in as by errand_http, with
 * an empty body; errand_http_header and errand_http_retry_after_ms read this head. NULL: no head
 * came, and response says why. Of request, max_response_bytes 0 is no limit here, and timeout_ms 0
 * no time but the attempt's. The stream stands until errand_http_close or the end of the attempt,
 * which end the exchange. */
struct errand_http_stream *errand_http_open(struct errand_job *job,
                                            const struct errand_request *request,
                                            struct errand_response *response);
void errand_http_close(struct errand_job *job, struct errand_http_stream *stream);

struct errand_chunk {
    size_t size;      /* sizeof(struct errand_chunk), set by the caller */
    const char *data; /* until the next read; NUL-terminated behind its bytes */
    size_t bytes;
    enum errand_http_result result; /* at the end: ERRAND_HTTP_OK when the body came whole */
    const char *error;              /* one line when not; until the attempt ends */
};

/* Waits for the next piece of the body, cut anywhere. False: there is none any more, and
 * chunk->result says whether that was all. While nobody reads, some 256 KiB are taken in ahead;
 * then the other side has to wait. */
bool errand_http_read(struct errand_job *job, struct errand_http_stream *stream,
                      struct errand_chunk *chunk);

/* A server-sent event (text/event-stream). */
struct errand_sse_event {
    size_t size;      /* sizeof(struct errand_sse_event), set by the caller */
    const char *type; /* "message" where it names none; with data and id until the next call */
    const char
        *data; /* its lines joined by "\n"; what it means ("[DONE]") is the handler's business
                */
    size_t data_bytes;
    const char *id;                 /* the last that the stream has named; "" */
    int64_t retry_ms;               /* the time to wait before asking again; -1: not named */
    enum errand_http_result result; /* at the end, with error as of struct errand_chunk */
    const char *error;
};

/* Waits for the next event of the stream: of its body, to be read by this call alone. False: there
 * is none any more. An event that the end cuts off is none; one past 1 MiB (a single line counts,
 * too) ends the stream with ERRAND_HTTP_TOO_LARGE. */
enum { ERRAND_SSE_EVENT_MAX = 1048576 };
bool errand_sse_next(struct errand_job *job, struct errand_http_stream *stream,
                     struct errand_sse_event *event);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#endif
