/* Drives the handler without errand and without a database: what it calls is played here. */
#include "../skeleton.c"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct errand_job {
    json_t *args;
    const char *row; /* what the statement answers; NULL: it fails */
    char said[200], ended[200];
};

const json_t *errand_args(struct errand_job *job)
{
    return job->args;
}

const char *errand_setting(struct errand_job *job, const char *name)
{
    (void)job;
    return strcmp(name, "greeting") == 0 ? "Hello" : NULL;
}

bool errand_query(struct errand_job *job, int statement, size_t count, const char *const *params,
                  const struct errand_rows **rows, const char **error)
{
    (void)statement, (void)count, (void)params;
    *rows = (const void *)job->row;
    *error = "no connection";
    return job->row != NULL;
}

enum errand_sql_class errand_query_class(const struct errand_job *job)
{
    (void)job;
    return ERRAND_SQL_TEMPORARY;
}

const char *errand_rows_text(const struct errand_rows *rows, size_t row, size_t column)
{
    (void)row, (void)column;
    return (const void *)rows;
}

void errand_log(struct errand_job *job, enum errand_level level, const char *format, ...)
{
    (void)job, (void)level, (void)format;
}

bool errand_result(struct errand_job *job, const json_t *result, const char **error)
{
    (void)error;
    snprintf(job->said, sizeof job->said, "%s", json_string_value(json_object_get(result, "said")));
    return true;
}

void errand_done(struct errand_job *job)
{
    snprintf(job->ended, sizeof job->ended, "done");
}

void errand_fail(struct errand_job *job, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(job->ended, sizeof job->ended, format, args);
    va_end(args);
}

void errand_retry(struct errand_job *job, int64_t delay_ms, const char *format, ...)
{
    va_list args;
    (void)delay_ms;
    va_start(args, format);
    vsnprintf(job->ended, sizeof job->ended, format, args);
    va_end(args);
}

static int wrong(json_t *args, const char *row, const char *ended, const char *said)
{
    struct errand_job job = {.args = args, .row = row};
    skeleton_module.kinds[0].run(&job);
    json_decref(args);
    if (strcmp(job.ended, ended) == 0 && strcmp(job.said, said) == 0)
        return 0;
    fprintf(stderr, "ended '%s', not '%s'; said '%s', not '%s'\n", job.ended, ended, job.said,
            said);
    return 1;
}

int main(void)
{
    return wrong(json_pack("{s:s}", "name", "Ada"), "Hello, Ada", "done", "Hello, Ada") +
           wrong(json_object(), "Hello, Ada", "args have no name", "") +
           wrong(json_pack("{s:s}", "name", "Ada"), NULL, "no connection", "");
}
