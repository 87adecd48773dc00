/* The public job API of errand/signal.h for signals: what a job waits for without a slot. */
#include "loop/coro.h"
#include "module/ask.h"
#include "module/call.h"
#include "module/json_text.h"
#include "module_sql.h"

#include <stdlib.h>

static const int64_t WAIT_MAX_MS = INT64_C(3650) * 86400 * 1000;

struct question {
    const char *name;
    int64_t timeout_ms;
};

static void signal_build(struct errand_job *job, struct db_unit *unit, const void *owner)
{
    const struct question *question = owner;
    job->attempt->host->queue_calls->signal(job, unit, question->name, question->timeout_ms);
}

/* Comes back only in a batch, of which other jobs go on. */
static bool signal_wait(struct errand_job *job, const char *name, int64_t until_us,
                        const char **error)
{
    struct outcome *outcome = &job->outcome;
    if (outcome->code != OUTCOME_NONE)
        return ask_refuse(job, "signal", name, "the job is finished, so it cannot wait", error);
    outcome->code = OUTCOME_WAIT;
    outcome->wait_until_us = until_us;
    outcome->text = arena_strdup(&job->attempt->arena, name);
    if (job->attempt->kind->errand->run)
        coro_unwind();
    if (error)
        *error = "the job waits for it, and goes on in another attempt";
    return false;
}

bool errand_wait(struct errand_job *job, const char *name, int64_t timeout_ms, const char **payload,
                 const char **error)
{
    PGresult *results[2];
    const char *fault;
    *payload = NULL;
    if (!call_begins_waiting(job, "errand_wait", error) ||
        !ask_name_is_valid(job, "signal", name, error))
        return false;
    if (timeout_ms > WAIT_MAX_MS)
        timeout_ms = WAIT_MAX_MS;
    job->has_signals = true;
    if (!ask_database(job, signal_build, &(struct question){name, timeout_ms}, results, 2, &fault))
        return ask_refuse(job, "signal", name, fault, error);
    if (PQntuples(results[0]) == 0)
        return ask_refuse(job, "signal", name,
                          "the job is no longer this attempt's own: it was changed, or another "
                          "runner has it",
                          error);
    if (!PQgetisnull(results[1], 0, 0)) {
        *payload = PQgetvalue(results[1], 0, 0);
        return true;
    }
    if (*PQgetvalue(results[1], 0, 1) == 't' || timeout_ms == 0)
        return true;
    bool is_bounded = !PQgetisnull(results[1], 0, 2);
    return signal_wait(
        job, name, is_bounded ? strtoll(PQgetvalue(results[1], 0, 2), NULL, 10) : INT64_MAX, error);
}

/* ---- To others ---- */

enum { SIGNAL_PARAMS = 3 };

/* False: told. */
static bool signal_params(struct errand_job *job, int64_t id, const char *name,
                          const json_t *payload, const char *params[SIGNAL_PARAMS],
                          const char **error)
{
    const char *text = payload ? errand_json_text(job, payload) : "null";
    const char *fault = text ? json_text_fault(text, ERRAND_SIGNAL_PAYLOAD_MAX)
                             : "it is no JSON value of at most 32 levels";
    if (fault) {
        job->attempt->sql_class = ERRAND_SQL_PERMANENT;
        return ask_refuse(job, "signal", name,
                          arena_printf(&job->attempt->arena, "of its payload: %s", fault), error);
    }
    params[0] = errand_int_text(job, id);
    params[1] = name;
    params[2] = text;
    return true;
}

bool errand_signal(struct errand_job *job, int64_t id, const char *name, const json_t *payload,
                   const char **became, const char **error)
{
    const char *params[SIGNAL_PARAMS];
    const struct errand_rows *rows;
    if (!call_begins_waiting(job, "errand_signal", error) ||
        !signal_params(job, id, name, payload, params, error) ||
        !job_query(job, &module_sql[MODULE_SQL_SIGNAL], SIGNAL_PARAMS, params, &rows, error))
        return false;
    if (became)
        *became = errand_rows_text(rows, 0, 0);
    return true;
}

bool errand_signal_effect(struct errand_job *job, int64_t id, const char *name,
                          const json_t *payload, const char **error)
{
    const char *params[SIGNAL_PARAMS];
    if (!call_begins_open(job, "errand_signal_effect", error) ||
        !signal_params(job, id, name, payload, params, error))
        return false;
    job_add_effect(job, &module_sql[MODULE_SQL_SIGNAL], SIGNAL_PARAMS, params);
    return true;
}
