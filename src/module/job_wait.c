/* The public job API of include/errand/errand.h that waits: statements, HTTP, time, the queue's
 * rate. */
#include "module/attempt.h"

#include "http/http.h"
#include "module/rows.h"

#include <string.h>

enum { QUERY_TIMEOUT_MS = 30000 };

static void on_query_done(struct db_unit *unit, void *owner)
{
    struct attempt *attempt = owner;
    attempt->err = NULL;
    if (unit->err.code == ERR_NONE) {
        rows_add(&attempt->rows, unit->statements[0].result);
        unit->statements[0].result = NULL;
    } else {
        struct err *err = arena_alloc(&attempt->arena, sizeof *err);
        *err = unit->err;
        attempt->err = err;
    }
    attempt_wake(attempt);
}

bool errand_query(struct errand_job *job, int statement, size_t count, const char *const *params,
                  const struct errand_rows **rows, const char **error)
{
    struct attempt *attempt = job->attempt;
    struct db_unit *unit = db_unit_new(DB_TRANSACTION, on_query_done, attempt);
    db_unit_add(unit, &attempt->kind->module->statements[statement], count, params);
    db_pool_submit(attempt->host->db, unit, QUERY_TIMEOUT_MS);
    attempt_sleep(attempt, WAIT_QUERY);
    attempt->sql_class = ERRAND_SQL_OK;
    if (!attempt->err) {
        *rows = (const struct errand_rows *)attempt->rows;
        return true;
    }
    attempt->sql_class =
        attempt->err->code == ERR_PERMANENT ? ERRAND_SQL_PERMANENT : ERRAND_SQL_TEMPORARY;
    if (error)
        *error = attempt->err->text;
    return false;
}

enum errand_sql_class errand_query_class(const struct errand_job *job)
{
    return job->attempt->sql_class;
}

static void on_http_done(struct http_call *call, void *owner)
{
    (void)call;
    attempt_wake(owner);
}

static void response_fill(struct attempt *attempt, struct errand_response *response)
{
    *response = (struct errand_response){
        .result = ERRAND_HTTP_CANCELLED, .body = "", .error = "the job was asked to end"};
    if (!attempt->call)
        return;
    const struct http_answer *answer = http_call_answer(attempt->call);
    response->result = answer->result;
    response->status = answer->status;
    response->body = arena_strndup(&attempt->arena, answer->body, answer->body_bytes);
    response->body_bytes = answer->body_bytes;
    response->error = arena_strdup(&attempt->arena, answer->error);
}

void errand_http(struct errand_job *job, const struct errand_request *request,
                 struct errand_response *response)
{
    struct attempt *attempt = job->attempt;
    int64_t started_us = errand_now_us(job);
    if (attempt->call) {
        http_call_free(attempt->call);
        attempt->call = NULL;
    }
    if (!attempt->cancelled) {
        attempt->call = http_start(attempt->host->http, request, on_http_done, attempt);
        attempt_sleep(attempt, WAIT_HTTP);
    }
    response_fill(attempt, response);
    response->started_us = started_us;
    response->ended_us = errand_now_us(job);
}

const char *errand_http_header(const struct errand_job *job, const char *name)
{
    struct attempt *attempt = job->attempt;
    const char *value = attempt->call ? http_call_header(attempt->call, name) : NULL;
    return value ? arena_strdup(&attempt->arena, value) : NULL;
}

void errand_sleep(struct errand_job *job, int ms)
{
    struct attempt *attempt = job->attempt;
    if (attempt->cancelled)
        return;
    loop_timer_set(&attempt->sleep, clock_mono_us() + (int64_t)ms * 1000);
    attempt_sleep(attempt, WAIT_TIME);
}

void errand_rate_wait(struct errand_job *job)
{
    struct attempt *attempt = job->attempt;
    if (attempt->cancelled || attempt->host->queue_calls->rate_wait(attempt->queue, attempt))
        return;
    attempt_sleep(attempt, WAIT_RATE);
}
