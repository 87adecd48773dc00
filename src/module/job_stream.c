/* The public job API of errand/http.h for answers that are read as they come: pieces of a
 * body, and server-sent events. */
#include "module/call.h"

#include "base/mem.h"
#include "http/http.h"
#include "http/sse.h"
#include "module/job_trace.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { IDLE_MS = 60000 };

struct errand_http_stream {
    struct attempt *attempt;
    int64_t number;
    struct http_call *call; /* NULL: the attempt was cancelled */
    struct loop_timer idle;
    int idle_ms;
    bool waited_for;
    struct buf chunk; /* what the handler has in its hands */
    struct sse *sse;  /* NULL: not read as events */
    size_t sse_at;    /* how far the chunk was read as such */
    struct errand_http_stream *next;
};

static void stream_wake(struct errand_http_stream *stream)
{
    if (!stream->waited_for)
        return;
    stream->waited_for = false;
    loop_timer_stop(&stream->idle);
    attempt_wake(stream->attempt);
}

static void on_news(struct http_call *call, void *owner)
{
    (void)call;
    stream_wake(owner);
}

static void on_idle(void *owner)
{
    struct errand_http_stream *stream = owner;
    char error[80];
    snprintf(error, sizeof error, "nothing came for %d ms", stream->idle_ms);
    http_call_time_out(stream->call, error);
    stream_wake(stream);
}

static int request_idle_ms(const struct errand_request *request)
{
    bool has = request->size >= offsetof(struct errand_request, idle_ms) + sizeof request->idle_ms;
    return has && request->idle_ms > 0 ? request->idle_ms : IDLE_MS;
}

static struct errand_http_stream *stream_new(struct attempt *attempt,
                                             const struct errand_request *request)
{
    struct errand_http_stream *stream = mem_zalloc(sizeof *stream);
    stream->attempt = attempt;
    stream->number = ++attempt->streams_opened;
    stream->idle_ms = request_idle_ms(request);
    buf_init(&stream->chunk, 0);
    loop_timer_init(&stream->idle, attempt->host->loop, on_idle, stream);
    stream->next = attempt->streams;
    attempt->streams = stream;
    return stream;
}

int64_t stream_number(const struct errand_http_stream *stream)
{
    return stream->number;
}

struct errand_http_stream *stream_of(const struct attempt *attempt, int64_t number)
{
    struct errand_http_stream *stream = attempt->streams;
    while (stream && stream->number != number)
        stream = stream->next;
    return stream;
}

size_t streams_count(const struct attempt *attempt)
{
    size_t count = 0;
    for (const struct errand_http_stream *each = attempt->streams; each; each = each->next)
        count++;
    return count;
}

static void stream_end_call(struct errand_http_stream *stream)
{
    loop_timer_stop(&stream->idle);
    if (!stream->call)
        return;
    if (stream->attempt->head == stream->call)
        stream->attempt->head = NULL;
    http_call_free(stream->call);
    stream->call = NULL;
}

void streams_end_all(struct attempt *attempt)
{
    for (struct errand_http_stream *stream = attempt->streams; stream; stream = stream->next) {
        stream->waited_for = false;
        stream_end_call(stream);
    }
}

static void stream_free(struct errand_http_stream *stream)
{
    stream_end_call(stream);
    buf_clear(&stream->chunk);
    if (stream->sse)
        sse_clear(stream->sse);
    free(stream->sse);
    free(stream);
}

void streams_free_all(struct attempt *attempt)
{
    while (attempt->streams) {
        struct errand_http_stream *stream = attempt->streams;
        attempt->streams = stream->next;
        stream_free(stream);
    }
}

void errand_http_close(struct errand_job *job, struct errand_http_stream *stream)
{
    if (!call_begins(job, "errand_http_close"))
        return;
    struct errand_http_stream **at = &job->attempt->streams;
    while (*at && *at != stream)
        at = &(*at)->next;
    assert(*at);
    *at = stream->next;
    stream_free(stream);
}

/* Until there is news, nothing has come for too long, or the attempt is cancelled, which ends the
 * exchange. */
static void stream_wait(struct errand_http_stream *stream)
{
    struct attempt *attempt = stream->attempt;
    if (attempt->cancelled) {
        stream_end_call(stream);
        return;
    }
    stream->waited_for = true;
    loop_timer_set(&stream->idle, clock_mono_us() + (int64_t)stream->idle_ms * 1000);
    attempt_sleep(attempt, WAIT_STREAM);
}

struct errand_http_stream *errand_http_open(struct errand_job *job,
                                            const struct errand_request *request,
                                            struct errand_response *response)
{
    *response = (struct errand_response){.result = ERRAND_HTTP_NOT_SENT, .body = ""};
    if (!call_begins_waiting(job, "errand_http_open", &response->error))
        return NULL;
    struct attempt *attempt = job->attempt;
    attempt->head = NULL;
    if ((response->error = http_request_fault(request)))
        return NULL;
    int64_t started_us = errand_now_us(job);
    struct errand_http_stream *stream = stream_new(attempt, request);
    if (!attempt->cancelled)
        stream->call =
            http_open(attempt->host->http, job_trace_request(job, request), on_news, stream);
    while (stream->call && !http_call_has_head(stream->call) && !http_call_has_ended(stream->call))
        stream_wait(stream);
    attempt_fill_response(attempt, stream->call, response);
    response->started_us = started_us;
    response->ended_us = errand_now_us(job);
    if (stream->call && http_call_has_head(stream->call)) {
        attempt->head = stream->call;
        response->result = ERRAND_HTTP_OK;
        response->error = "";
        return stream;
    }
    errand_http_close(job, stream);
    return NULL;
}

/* What the end of the body is: how the exchange ended. */
static enum errand_http_result stream_result(struct errand_http_stream *stream, const char **error)
{
    struct errand_response response;
    attempt_fill_response(stream->attempt, stream->call, &response);
    *error = response.error;
    return response.result;
}

/* False: no further piece. */
static bool stream_read(struct errand_http_stream *stream)
{
    buf_reset(&stream->chunk);
    while (stream->call) {
        http_call_take(stream->call, &stream->chunk);
        if (stream->chunk.length > 0)
            return true;
        if (http_call_has_ended(stream->call))
            return false;
        stream_wait(stream);
    }
    return false;
}

bool errand_http_read(struct errand_job *job, struct errand_http_stream *stream,
                      struct errand_chunk *chunk)
{
    *chunk = (struct errand_chunk){.size = chunk->size, .data = "", .result = ERRAND_HTTP_LOST};
    if (!call_begins_waiting(job, "errand_http_read", &chunk->error))
        return false;
    bool more = stream_read(stream);
    chunk->data = buf_text(&stream->chunk);
    chunk->bytes = stream->chunk.length;
    chunk->result = ERRAND_HTTP_OK;
    chunk->error = "";
    if (!more)
        chunk->result = stream_result(stream, &chunk->error);
    return more;
}

/* False: no further event. */
static bool stream_read_event(struct errand_http_stream *stream)
{
    bool whole = false;
    if (!stream->sse) {
        stream->sse = mem_zalloc(sizeof *stream->sse);
        sse_init(stream->sse, ERRAND_SSE_EVENT_MAX);
    }
    for (;;) {
        stream->sse_at += sse_take(stream->sse, buf_text(&stream->chunk) + stream->sse_at,
                                   stream->chunk.length - stream->sse_at, &whole);
        if (whole || stream->sse->too_large)
            return whole;
        stream->sse_at = 0;
        if (!stream_read(stream))
            return false;
    }
}

bool errand_sse_next(struct errand_job *job, struct errand_http_stream *stream,
                     struct errand_sse_event *event)
{
    *event = (struct errand_sse_event){
        .size = event->size, .type = "message", .data = "", .id = "", .result = ERRAND_HTTP_LOST};
    if (!call_begins_waiting(job, "errand_sse_next", &event->error))
        return false;
    bool more = stream_read_event(stream);
    const struct sse *sse = stream->sse;
    event->type = sse->type.length ? buf_text(&sse->type) : "message";
    event->data = buf_text(&sse->data);
    event->data_bytes = sse->data.length;
    event->id = buf_text(&sse->id);
    event->retry_ms = sse->retry_ms;
    event->result = ERRAND_HTTP_OK;
    event->error = "";
    if (more)
        return true;
    event->data = "";
    event->data_bytes = 0;
    event->result = stream_result(stream, &event->error);
    if (sse->too_large) {
        event->result = ERRAND_HTTP_TOO_LARGE;
        event->error = errand_printf(job, "an event is larger than %d bytes", ERRAND_SSE_EVENT_MAX);
        stream_end_call(stream);
    }
    return false;
}
