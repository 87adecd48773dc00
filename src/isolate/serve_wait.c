/* The calls that wait: statements, steps, programs, time. */
#include "isolate/serve.h"

#include "module/rows.h"

enum { PARAMS_MAX = 65535, ARGUMENTS_MAX = 100000 };

/* ---- The database ---- */

static bool statement_is_there(const struct errand_job *job, int64_t statement)
{
    return statement >= 0 && (uint64_t)statement < job->attempt->kind->module->statement_count;
}

static void rows_write(struct buf *out, const struct errand_rows *rows)
{
    size_t count = errand_rows_count(rows), columns = rows_columns(rows);
    frame_int(out, (int64_t)count);
    frame_int(out, (int64_t)columns);
    for (size_t row = 0; row < count; row++)
        for (size_t column = 0; column < columns; column++)
            frame_text(out, errand_rows_text(rows, row, column));
}

bool serve_QUERY(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    int64_t statement = frame_read_int(in);
    const struct errand_rows *rows;
    const char *error;
    size_t count, begun = out->length;
    const char *const *params = serve_read_texts(job, in, PARAMS_MAX, &count);
    if (!frame_is_read(in) || !statement_is_there(job, statement))
        return false;
    bool done = errand_query(job, (int)statement, count, params, &rows, &error);
    frame_int(out, errand_query_class(job));
    if (!done) {
        frame_text(out, error);
        return true;
    }
    rows_write(out, rows);
    if (out->length > FRAME_MAX_BYTES / 2) {
        out->length = begun;
        frame_int(out, ERRAND_SQL_PERMANENT);
        frame_text(out, "the statement's result is larger than 32 MiB");
    }
    return true;
}

bool serve_EFFECT(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    int64_t statement = frame_read_int(in);
    size_t count;
    const char *const *params = serve_read_texts(job, in, PARAMS_MAX, &count);
    (void)out;
    if (!frame_is_read(in) || !statement_is_there(job, statement))
        return false;
    errand_effect(job, (int)statement, count, params);
    return true;
}

/* ---- Steps ---- */

bool serve_STEP(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    const char *name = frame_read_present(in), *result = NULL, *error = NULL;
    if (!frame_is_read(in))
        return false;
    frame_int(out, errand_step(job, name, &result, &error));
    frame_text(out, error);
    frame_text(out, result);
    return true;
}

bool serve_STEP_DONE(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    const char *name = frame_read_present(in), *json = frame_read_text(in), *error = NULL;
    if (!frame_is_read(in))
        return false;
    frame_int(out, json ? errand_step_done_text(job, name, json, &error)
                        : errand_step_done(job, name, NULL, &error));
    frame_text(out, error);
    return true;
}

/* ---- Child processes ---- */

static void child_read(struct errand_job *job, struct frame_reader *in, struct errand_child *child)
{
    size_t count;
    *child = (struct errand_child){.size = sizeof *child,
                                   .argv = serve_read_texts(job, in, ARGUMENTS_MAX, &count),
                                   .env = serve_read_texts(job, in, ARGUMENTS_MAX, &count)};
    child->input = frame_read_bytes(in, &child->input_bytes);
    child->cwd = frame_read_text(in);
    child->timeout_ms = serve_read_ms(in);
    child->grace_ms = serve_read_ms(in);
    child->max_out_bytes = serve_body_max(frame_read_int(in));
    child->max_err_bytes = serve_body_max(frame_read_int(in));
    child->cpu_seconds = frame_read_int(in);
    child->memory_bytes = frame_read_int(in);
    child->file_bytes = frame_read_int(in);
    child->open_files = frame_read_int(in);
    child->err_is_log = frame_read_int(in) != 0;
}

bool serve_CHILD(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    struct errand_child child;
    struct errand_child_result result = {.size = sizeof result};
    child_read(job, in, &child);
    if (!frame_is_read(in))
        return false;
    errand_child(job, &child, &result);
    frame_int(out, result.end);
    frame_int(out, result.is_temporary);
    frame_int(out, result.status);
    frame_int(out, result.signal);
    frame_text(out, result.error);
    frame_bytes(out, result.out, result.out_bytes);
    frame_bytes(out, result.err, result.err_bytes);
    frame_int(out, result.out_dropped_bytes);
    frame_int(out, result.err_dropped_bytes);
    frame_int(out, result.started_us);
    frame_int(out, result.ended_us);
    return true;
}

/* ---- Time ---- */

bool serve_SLEEP(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    int ms = serve_read_ms(in);
    (void)out;
    if (!frame_is_read(in))
        return false;
    errand_sleep(job, ms);
    return true;
}

bool serve_RATE_WAIT(struct errand_job *job, struct frame_reader *in, struct buf *out)
{
    (void)out;
    if (!frame_is_read(in))
        return false;
    errand_rate_wait(job);
    return true;
}
