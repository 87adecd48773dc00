/* The public job API of errand/http.h for HTTP. */
#include "module/call.h"

#include "http/http.h"
#include "module/job_trace.h"

static void on_http_done(struct http_call *call, void *owner)
{
    (void)call;
    attempt_wake(owner);
}

void attempt_fill_response(struct attempt *attempt, const struct http_call *call,
                           struct errand_response *response)
{
    *response = (struct errand_response){
        .result = ERRAND_HTTP_CANCELLED, .body = "", .error = "the job was asked to end"};
    if (!call)
        return;
    const struct http_answer *answer = http_call_answer(call);
    response->result = answer->result;
    response->status = answer->status;
    response->body = arena_strndup(&attempt->arena, answer->body, answer->body_bytes);
    response->body_bytes = answer->body_bytes;
    response->error = arena_strdup(&attempt->arena, answer->error);
}

void errand_http(struct errand_job *job, const struct errand_request *request,
                 struct errand_response *response)
{
    *response = (struct errand_response){.result = ERRAND_HTTP_NOT_SENT, .body = ""};
    if (!call_begins_waiting(job, "errand_http", &response->error))
        return;
    struct attempt *attempt = job->attempt;
    attempt->head = NULL;
    if ((response->error = http_request_fault(request)))
        return;
    int64_t started_us = errand_now_us(job);
    if (attempt->call) {
        http_call_free(attempt->call);
        attempt->call = NULL;
    }
    if (!attempt->cancelled) {
        attempt->call =
            http_start(attempt->host->http, job_trace_request(job, request), on_http_done, attempt);
        attempt_sleep(attempt, WAIT_HTTP);
        attempt->head = attempt->call;
    }
    attempt_fill_response(attempt, attempt->call, response);
    response->started_us = started_us;
    response->ended_us = errand_now_us(job);
}

const char *errand_http_header(const struct errand_job *job, const char *name)
{
    struct attempt *attempt = job->attempt;
    const char *value = attempt->head ? http_call_header(attempt->head, name) : NULL;
    return value ? arena_strdup(&attempt->arena, value) : NULL;
}

int64_t errand_http_retry_after_ms(const struct errand_job *job)
{
    return job->attempt->head ? http_call_retry_after_ms(job->attempt->head) : -1;
}
