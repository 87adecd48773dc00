/* The calls of errand/errand.h whose answer the runner has. */
#include "host/host.h"
#include "host/rows.h"

#include "module/json_text.h"

bool errand_is_cancelled(const struct errand_job *job)
{
    if (host.cancelled || host.job_count == 1)
        return host.cancelled; /* SIGTERM says so, or an answer */
    call_begin(job, WIRE_IS_CANCELLED);
    struct frame_reader reader = call_ask();
    return frame_read_int(&reader) != 0;
}

/* ---- The database ---- */

bool errand_query(struct errand_job *job, int statement, size_t count, const char *const *params,
                  const struct errand_rows **rows, const char **error)
{
    call_begin(job, WIRE_QUERY);
    frame_int(&host.out, statement);
    frame_texts(&host.out, count, params);
    struct frame_reader reader = call_ask();
    host.sql_class = (enum errand_sql_class)frame_read_int(&reader);
    if (host.sql_class == ERRAND_SQL_OK) {
        *rows = rows_read(&reader);
        return true;
    }
    const char *text = frame_read_text(&reader);
    if (error)
        *error = text;
    return false;
}

enum errand_sql_class errand_query_class(const struct errand_job *job)
{
    (void)job;
    return host.sql_class;
}

/* ---- Steps, progress, result ---- */

bool errand_step(struct errand_job *job, const char *name, const char **result, const char **error)
{
    struct frame_reader reader;
    call_begin(job, WIRE_STEP);
    frame_text(&host.out, name);
    bool done = call_ask_done(&reader, error);
    *result = frame_read_text(&reader);
    return done;
}

bool errand_step_done_text(struct errand_job *job, const char *name, const char *json,
                           const char **error)
{
    struct frame_reader reader;
    call_begin(job, WIRE_STEP_DONE);
    frame_text(&host.out, name);
    frame_text(&host.out, json);
    return call_ask_done(&reader, error);
}

bool errand_step_done(struct errand_job *job, const char *name, const json_t *result,
                      const char **error)
{
    return errand_step_done_text(job, name, json_text_of(result), error);
}

/* json NULL: a value that is no JSON of at most 32 levels; the runner has the sentence for it. */
static bool report(struct errand_job *job, enum wire_call call, const char *json,
                   const char **error)
{
    struct frame_reader reader;
    call_begin(job, call);
    frame_text(&host.out, json);
    return call_ask_done(&reader, error);
}

bool errand_progress_text(struct errand_job *job, const char *json, const char **error)
{
    return report(job, WIRE_PROGRESS, json, error);
}

bool errand_progress(struct errand_job *job, const json_t *progress, const char **error)
{
    return report(job, WIRE_PROGRESS, json_text_of(progress), error);
}

bool errand_result_text(struct errand_job *job, const char *json, const char **error)
{
    return report(job, WIRE_RESULT, json, error);
}

bool errand_result(struct errand_job *job, const json_t *result, const char **error)
{
    return report(job, WIRE_RESULT, json_text_of(result), error);
}

/* ---- Time ---- */

void errand_sleep(struct errand_job *job, int ms)
{
    call_begin(job, WIRE_SLEEP);
    frame_int(&host.out, ms);
    call_ask();
}

void errand_rate_wait(struct errand_job *job)
{
    call_begin(job, WIRE_RATE_WAIT);
    call_ask();
}

void errand_failpoint(struct errand_job *job, const char *name)
{
    call_begin(job, WIRE_FAILPOINT);
    frame_text(&host.out, name);
    call_ask();
}
