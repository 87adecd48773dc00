/* The public job API of include/errand/errand.h that waits: statements, time, the queue's rate
 * (HTTP: job_http.c). */
#include "module/call.h"

#include "module/rows.h"

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

bool job_query(struct errand_job *job, const struct errand_statement *statement, size_t count,
               const char *const *params, const struct errand_rows **rows, const char **error)
{
    struct attempt *attempt = job->attempt;
    struct db_unit *unit = db_unit_new(DB_TRANSACTION, on_query_done, attempt);
    db_unit_add(unit, statement, count, params);
    attempt_query(attempt, unit, QUERY_TIMEOUT_MS);
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

bool errand_query(struct errand_job *job, int statement, size_t count, const char *const *params,
                  const struct errand_rows **rows, const char **error)
{
    if (!call_begins_waiting(job, "errand_query", error) ||
        !call_has_statement(job, "errand_query", statement, count, error))
        return false;
    return job_query(job, &job->attempt->kind->module->statements[statement], count, params, rows,
                     error);
}

enum errand_sql_class errand_query_class(const struct errand_job *job)
{
    return job->attempt->sql_class;
}

void errand_sleep(struct errand_job *job, int ms)
{
    if (!call_begins_waiting(job, "errand_sleep", NULL))
        return;
    struct attempt *attempt = job->attempt;
    if (attempt->cancelled)
        return;
    loop_timer_set(&attempt->sleep, clock_mono_us() + (int64_t)ms * 1000);
    attempt_sleep(attempt, WAIT_TIME);
}

void errand_rate_wait(struct errand_job *job)
{
    if (!call_begins_waiting(job, "errand_rate_wait", NULL))
        return;
    struct attempt *attempt = job->attempt;
    if (attempt->cancelled)
        return;
    if (attempt->host->queue_calls->rate_wait(attempt->queue, attempt))
        attempt_check(attempt);
    else
        attempt_sleep(attempt, WAIT_RATE);
}
