/* The public job API of include/errand/errand.h for steps: what a job has done, kept for its next
 * attempt. */
#include "module/attempt.h"

#include "module/json_text.h"
#include "module/rows.h"

#include <stdlib.h>
#include <string.h>

enum {
    STEP_TIMEOUT_MS = 30000,
    STEP_TRIES = 5, /* while the database is away: the work is done, its step is worth a wait */
    STEP_AGAIN_MS = 200
};

static const char *const step_lost = "the job is no longer this attempt's own: it was changed, or "
                                     "another runner has it; nothing is written";

struct step_call {
    struct attempt *attempt;
    struct err err;
    PGresult *result;
};

static void on_step_done(struct db_unit *unit, void *owner)
{
    struct step_call *call = owner;
    call->err = unit->err;
    if (unit->err.code == ERR_NONE) {
        call->result = unit->statements[0].result;
        rows_add(&call->attempt->rows, call->result);
        unit->statements[0].result = NULL;
    }
    attempt_wake(call->attempt);
}

static bool step_refuse(struct errand_job *job, const char *name, const char *fault,
                        const char **error)
{
    struct arena *arena = &job->attempt->arena;
    const char *text =
        *name ? arena_printf(arena, "step \"%.*s\": %s", ERRAND_STEP_NAME_MAX, name, fault)
              : arena_printf(arena, "step: %s", fault);
    errand_log(job, ERRAND_ERROR, "%s", text);
    if (error)
        *error = text;
    return false;
}

static bool step_name_is_valid(struct errand_job *job, const char *name, const char **error)
{
    if (*name && strlen(name) <= ERRAND_STEP_NAME_MAX)
        return true;
    return step_refuse(job, name, "its name is not 1 to 200 bytes long", error);
}

/* One row, in call->result, borrowed until the attempt ends. What was sent and not answered is sent
 * again as it is. */
static bool step_ask(struct errand_job *job, const char *name, const char *json,
                     struct step_call *call, const char **error)
{
    struct attempt *attempt = job->attempt;
    job->has_steps = true;
    for (int i = 1;; i++) {
        *call = (struct step_call){.attempt = attempt};
        struct db_unit *unit = db_unit_new(DB_TRANSACTION, on_step_done, call);
        attempt->host->queue_calls->step(job, unit, name, json);
        db_pool_submit(attempt->host->db, unit, STEP_TIMEOUT_MS);
        attempt_sleep(attempt, WAIT_QUERY);
        if (call->err.code == ERR_NONE)
            break;
        if (call->err.code == ERR_PERMANENT || i == STEP_TRIES || attempt->cancelled)
            return step_refuse(job, name, arena_strdup(&attempt->arena, call->err.text), error);
        errand_sleep(job, STEP_AGAIN_MS * i);
    }
    return *PQgetvalue(call->result, 0, 0) == 't' || step_refuse(job, name, step_lost, error);
}

bool errand_step(struct errand_job *job, const char *name, const char **result, const char **error)
{
    struct step_call call;
    *result = NULL;
    if (!step_name_is_valid(job, name, error) || !step_ask(job, name, NULL, &call, error))
        return false;
    if (!PQgetisnull(call.result, 0, 1))
        *result = PQgetvalue(call.result, 0, 1);
    return true;
}

bool errand_step_done_text(struct errand_job *job, const char *name, const char *json,
                           const char **error)
{
    struct step_call call;
    if (!step_name_is_valid(job, name, error))
        return false;
    const char *fault = json_text_fault(json, ERRAND_STEP_RESULT_MAX);
    if (fault)
        return step_refuse(job, name,
                           arena_printf(&job->attempt->arena, "of its result: %s", fault), error);
    if (!step_ask(job, name, json, &call, error))
        return false;
    return *PQgetvalue(call.result, 0, 1) == 't' ||
           step_refuse(job, name, "the job has 1000 steps, which is the most", error);
}

bool errand_step_done(struct errand_job *job, const char *name, const json_t *result,
                      const char **error)
{
    char *text = json_text_of(result);
    if (!text)
        return step_refuse(job, name, "its result is no JSON value of at most 32 levels", error);
    bool done = errand_step_done_text(job, name, text, error);
    free(text);
    return done;
}
