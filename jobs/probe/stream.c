/* probe.stream {"url": "http://..."}    reads the answer's body
 *              {"as": "events"}         as server-sent events
 *              {"idle_ms": 500, "timeout_ms": 5000, "max_bytes": 1000}  of the request
 *              {"nap_ms": 500}          waits behind the first piece
 *              {"beside": "http://..."} opens another first, and closes it behind the first piece
 * It logs each piece or event. Its result: status, content type, bytes and their sum, or the events
 * (type, data, id, retry), and how it ended. */
#include "stream.h"

#include <string.h>

static int stream_number(struct errand_job *job, const char *name)
{
    return (int)json_integer_value(json_object_get(errand_args(job), name));
}

static struct errand_http_stream *stream_open(struct errand_job *job, const char *url,
                                              struct errand_response *response)
{
    struct errand_request request = {.size = sizeof request,
                                     .method = "GET",
                                     .url = url,
                                     .timeout_ms = stream_number(job, "timeout_ms"),
                                     .max_response_bytes = (size_t)stream_number(job, "max_bytes"),
                                     .idle_ms = stream_number(job, "idle_ms")};
    return errand_http_open(job, &request, response);
}

static void stream_tell_end(json_t *result, enum errand_http_result end, const char *error)
{
    static const char *const ends[] = {"ok",      "not sent",  "lost",
                                       "timeout", "too large", "cancelled"};
    json_object_set_new(result, "end", json_string(ends[end]));
    json_object_set_new(result, "error", json_string(error));
}

/* Behind the first piece. */
static void stream_pause(struct errand_job *job, struct errand_http_stream **beside)
{
    if (stream_number(job, "nap_ms") > 0)
        errand_sleep(job, stream_number(job, "nap_ms"));
    if (*beside)
        errand_http_close(job, *beside);
    *beside = NULL;
}

static void stream_read_body(struct errand_job *job, struct errand_http_stream *stream,
                             struct errand_http_stream *beside, json_t *result)
{
    struct errand_chunk chunk = {.size = sizeof chunk};
    long long bytes = 0, sum = 0;
    while (errand_http_read(job, stream, &chunk)) {
        if (bytes == 0)
            errand_log(job, ERRAND_INFO, "first piece: %zu bytes", chunk.bytes);
        for (size_t i = 0; i < chunk.bytes; i++)
            sum += (unsigned char)chunk.data[i];
        if (bytes == 0)
            stream_pause(job, &beside);
        bytes += (long long)chunk.bytes;
    }
    json_object_set_new(result, "bytes", json_integer(bytes));
    json_object_set_new(result, "sum", json_integer(sum));
    stream_tell_end(result, chunk.result, chunk.error);
}

static void stream_read_events(struct errand_job *job, struct errand_http_stream *stream,
                               struct errand_http_stream *beside, json_t *result)
{
    struct errand_sse_event event = {.size = sizeof event};
    json_t *events = json_array();
    json_object_set_new(result, "events", events);
    while (errand_sse_next(job, stream, &event)) {
        errand_log(job, ERRAND_INFO, "event: %s", event.data);
        json_array_append_new(events, json_pack("[sssI]", event.type, event.data, event.id,
                                                (json_int_t)event.retry_ms));
        stream_pause(job, &beside);
    }
    stream_tell_end(result, event.result, event.error);
}

static void stream_read(struct errand_job *job, json_t *result)
{
    const json_t *args = errand_args(job);
    const char *as = json_string_value(json_object_get(args, "as")),
               *other = json_string_value(json_object_get(args, "beside"));
    struct errand_response response;
    struct errand_http_stream *beside = other ? stream_open(job, other, &response) : NULL;
    struct errand_http_stream *stream =
        stream_open(job, json_string_value(json_object_get(args, "url")), &response);
    json_object_set_new(result, "status", json_integer(response.status));
    if (!stream) {
        stream_tell_end(result, response.result, response.error);
        return;
    }
    const char *type = errand_http_header(job, "content-type");
    json_object_set_new(result, "type", json_string(type ? type : ""));
    if (as && strcmp(as, "events") == 0)
        stream_read_events(job, stream, beside, result);
    else
        stream_read_body(job, stream, beside, result);
}

static void result_give_back(void *context)
{
    json_decref(context);
}

void stream_run(struct errand_job *job)
{
    json_t *result = json_object();
    errand_cleanup(job, result_give_back, result);
    if (!json_is_string(json_object_get(errand_args(job), "url"))) {
        errand_fail(job, "args have no url");
        return;
    }
    stream_read(job, result);
    errand_result(job, result, NULL);
    errand_done(job);
}
