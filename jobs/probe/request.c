#include "request.h"

#include <string.h>

static void end_by_class(struct errand_job *job, const struct errand_response *response)
{
    switch (errand_http_class(response)) {
    case ERRAND_HTTP_CLASS_OK:
        errand_done(job);
        break;
    case ERRAND_HTTP_CLASS_FAIL:
        errand_fail(job, "answer %d %s", response->status, response->error);
        break;
    default:
        errand_retry(job, errand_http_retry_after_ms(job), "answer %d %s", response->status,
                     response->error);
    }
}

void probe_http(struct errand_job *job)
{
    const json_t *args = errand_args(job);
    const char *url = json_string_value(json_object_get(args, "url"));
    if (!url) {
        errand_fail(job, "args have no url");
        return;
    }
    struct errand_request request = {
        .size = sizeof request,
        .method = "GET",
        .url = url,
        .timeout_ms = (int)json_integer_value(json_object_get(args, "timeout_ms"))};
    static const struct errand_header json = {"content-type", "application/json"};
    if (json_is_string(json_object_get(args, "method"))) {
        request.method = json_string_value(json_object_get(args, "method"));
        request.headers = &json;
        request.header_count = 1;
        request.body = errand_args_text(job);
        request.body_bytes = strlen(request.body);
    }
    struct errand_response response;
    errand_http(job, &request, &response);
    end_by_class(job, &response);
}
