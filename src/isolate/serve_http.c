/* The calls for HTTP. */
#include "isolate/serve.h"

enum { HEADERS_MAX = 1000, STREAMS_MAX = 100 };

size_t serve_body_max(int64_t asked)
{
    return asked < 0 || asked > SERVE_BODY_MAX ? SERVE_BODY_MAX : (size_t)asked;
}

static void request_read(struct errand_job *job, struct frame_reader *in,
                         struct errand_request *request)
{
    *request = (struct errand_request){
        .size = sizeof *request, .method = frame_read_text(in), .url = frame_read_text(in)};
    request->header_count = frame_read_count(in, HEADERS_MAX);
    struct errand_header *headers =
        arena_alloc(&job->attempt->arena, (request->header_count + 1) * sizeof *headers);
    for (size_t i = 0; i < request->header_count; i++) {
        headers[i].name = frame_read_present(in);
        headers[i].value = frame_read_present(in);
    }
    request->headers = headers;
    request->body = frame_read_bytes(in, &request->body_bytes);
    request->timeout_ms = serve_read_ms(in);
    int64_t max_bytes = frame_read_int(in);
    request->max_response_bytes = max_bytes < 0 ? 0 : (size_t)max_bytes;
    request->failpoint = frame_read_text(in);
    request->public_only = frame_read_int(in) != 0;
    request->idle_ms = serve_read_ms(in);
}

static void response_write(struct errand_job *job, struct buf *out,
                           const struct errand_response *response)
{
    frame_int(out, response->result);
    frame_int(out, response->status);
    frame_bytes(out, response->body, response->body_bytes);
    frame_text(out, response->error);
    frame_int(out, response->started_us);
    frame_int(out, response->ended_us);
    frame_int(out, errand_http_retry_after_ms(job));
}

bool serve_HTTP(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    struct errand_request request;
    struct errand_response response;
    request_read(job, in, &request);
    if (!frame_is_read(in))
        return false;
    request.max_response_bytes = serve_body_max((int64_t)request.max_response_bytes);
    errand_http(job, &request, &response);
    response_write(job, out, &response);
    return true;
}

bool serve_HTTP_HEADER(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    const char *name = frame_read_present(in);
    if (!frame_is_read(in))
        return false;
    frame_text(out, errand_http_header(job, name));
    return true;
}

/* ---- Streams ---- */

bool serve_HTTP_OPEN(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    struct errand_request request;
    struct errand_response response = {
        .result = ERRAND_HTTP_NOT_SENT, .body = "", .error = "more than 100 streams are open"};
    struct errand_http_stream *stream = NULL;
    request_read(job, in, &request);
    if (!frame_is_read(in))
        return false;
    if (streams_count(job->attempt) < STREAMS_MAX)
        stream = errand_http_open(job, &request, &response);
    response_write(job, out, &response);
    frame_int(out, stream ? stream_number(stream) : 0);
    return true;
}

bool serve_HTTP_READ(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    struct errand_http_stream *stream = stream_of(job->attempt, frame_read_int(in));
    struct errand_chunk chunk = {.size = sizeof chunk};
    if (!frame_is_read(in) || !stream)
        return false;
    frame_int(out, errand_http_read(job, stream, &chunk));
    frame_bytes(out, chunk.data, chunk.bytes);
    frame_int(out, chunk.result);
    frame_text(out, chunk.error);
    return true;
}

bool serve_HTTP_CLOSE(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    struct errand_http_stream *stream = stream_of(job->attempt, frame_read_int(in));
    (void)out;
    if (!frame_is_read(in) || !stream)
        return false;
    errand_http_close(job, stream);
    return true;
}
