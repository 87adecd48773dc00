/* The calls of errand/http.h for HTTP. */
#include "host/host.h"

#include "http/sse.h"

#include <string.h>

static void request_write(const struct errand_request *given)
{
    struct errand_request request = {0};
    struct buf *out = &host.out;
    memcpy(&request, given, given->size < sizeof request ? given->size : sizeof request);
    frame_text(out, request.method);
    frame_text(out, request.url);
    frame_int(out, (int64_t)request.header_count);
    for (size_t i = 0; i < request.header_count; i++) {
        frame_text(out, request.headers[i].name);
        frame_text(out, request.headers[i].value);
    }
    frame_bytes(out, request.body, request.body_bytes);
    frame_int(out, request.timeout_ms);
    frame_int(out, (int64_t)request.max_response_bytes);
    frame_text(out, request.failpoint);
    frame_int(out, request.public_only);
    frame_int(out, request.idle_ms);
}

static void response_read(struct frame_reader *reader, struct errand_response *response)
{
    response->result = (enum errand_http_result)frame_read_int(reader);
    response->status = (int)frame_read_int(reader);
    response->body = frame_read_bytes(reader, &response->body_bytes);
    response->error = frame_read_text(reader);
    response->started_us = frame_read_int(reader);
    response->ended_us = frame_read_int(reader);
    host.retry_after_ms = frame_read_int(reader);
}

void errand_http(struct errand_job *job, const struct errand_request *request,
                 struct errand_response *response)
{
    call_begin(job, WIRE_HTTP);
    request_write(request);
    struct frame_reader reader = call_ask();
    response_read(&reader, response);
}

const char *errand_http_header(const struct errand_job *job, const char *name)
{
    call_begin(job, WIRE_HTTP_HEADER);
    frame_text(&host.out, name);
    struct frame_reader reader = call_ask();
    return frame_read_text(&reader);
}

int64_t errand_http_retry_after_ms(const struct errand_job *job)
{
    (void)job;
    return host.retry_after_ms;
}

/* ---- Streams ---- */

struct errand_http_stream {
    int64_t number;
    struct arena chunk; /* of the last read */
    const char *data;
    size_t bytes, sse_at;
    struct sse sse;
};

struct errand_http_stream *errand_http_open(struct errand_job *job,
                                            const struct errand_request *request,
                                            struct errand_response *response)
{
    call_begin(job, WIRE_HTTP_OPEN);
    request_write(request);
    struct frame_reader reader = call_ask();
    response_read(&reader, response);
    int64_t number = frame_read_int(&reader);
    if (!number)
        return NULL;
    struct errand_http_stream *stream = errand_alloc(job, sizeof *stream);
    stream->number = number;
    stream->data = "";
    sse_init(&stream->sse, ERRAND_SSE_EVENT_MAX);
    return stream;
}

void errand_http_close(struct errand_job *job, struct errand_http_stream *stream)
{
    call_begin(job, WIRE_HTTP_CLOSE);
    frame_int(&host.out, stream->number);
    call_tell();
    arena_clear(&stream->chunk);
    sse_clear(&stream->sse);
}

bool errand_http_read(struct errand_job *job, struct errand_http_stream *stream,
                      struct errand_chunk *chunk)
{
    struct arena kept = host.arena;
    call_begin(job, WIRE_HTTP_READ);
    frame_int(&host.out, stream->number);
    arena_clear(&stream->chunk);
    host.arena = stream->chunk; /* a piece stays until the next one, however many there are */
    struct frame_reader reader = call_ask();
    stream->chunk = host.arena;
    host.arena = kept;
    bool more = frame_read_int(&reader) != 0;
    stream->data = chunk->data = frame_read_bytes(&reader, &chunk->bytes);
    stream->bytes = chunk->bytes;
    chunk->result = (enum errand_http_result)frame_read_int(&reader);
    chunk->error = errand_strdup(job, frame_read_present(&reader));
    return more;
}

/* False: no further event, and chunk says why. */
static bool stream_read_event(struct errand_job *job, struct errand_http_stream *stream,
                              struct errand_chunk *chunk)
{
    bool whole = false;
    for (;;) {
        stream->sse_at += sse_take(&stream->sse, stream->data + stream->sse_at,
                                   stream->bytes - stream->sse_at, &whole);
        if (whole || stream->sse.too_large)
            return whole;
        stream->sse_at = 0;
        if (!errand_http_read(job, stream, chunk))
            return false;
    }
}

bool errand_sse_next(struct errand_job *job, struct errand_http_stream *stream,
                     struct errand_sse_event *event)
{
    const struct sse *sse = &stream->sse;
    struct errand_chunk chunk = {.size = sizeof chunk, .result = ERRAND_HTTP_OK, .error = ""};
    bool more = stream_read_event(job, stream, &chunk);
    event->type = sse->type.length ? buf_text(&sse->type) : "message";
    event->data = more ? buf_text(&sse->data) : "";
    event->data_bytes = more ? sse->data.length : 0;
    event->id = buf_text(&sse->id);
    event->retry_ms = sse->retry_ms;
    event->result = more ? ERRAND_HTTP_OK : chunk.result;
    event->error = more ? "" : chunk.error;
    if (!more && sse->too_large) {
        event->result = ERRAND_HTTP_TOO_LARGE;
        event->error = errand_printf(job, "an event is larger than %d bytes", ERRAND_SSE_EVENT_MAX);
    }
    return more;
}
