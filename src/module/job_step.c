/* The public job API of errand/step.h for steps: what a job has done, kept for its next attempt. */
#include "module/ask.h"
#include "module/call.h"
#include "module/json_text.h"

static const char *const step_lost = "the job is no longer this attempt's own: it was changed, or "
                                     "another runner has it; nothing is written";

struct step {
    const char *name, *json; /* json NULL: ask for it */
};

static bool step_refuse(struct errand_job *job, const char *name, const char *fault,
                        const char **error)
{
    return ask_refuse(job, "step", name, fault, error);
}

static void step_build(struct errand_job *job, struct db_unit *unit, const void *owner)
{
    const struct step *step = owner;
    job->attempt->host->queue_calls->step(job, unit, step->name, step->json);
}

/* One row, borrowed until the attempt ends. What was sent and not answered is sent again as it is.
 */
static bool step_ask(struct errand_job *job, const char *name, const char *json, PGresult **result,
                     const char **error)
{
    const char *fault;
    job->has_steps = true;
    if (!ask_database(job, step_build, &(struct step){name, json}, result, 1, &fault))
        return step_refuse(job, name, fault, error);
    return *PQgetvalue(*result, 0, 0) == 't' || step_refuse(job, name, step_lost, error);
}

bool errand_step(struct errand_job *job, const char *name, const char **result, const char **error)
{
    PGresult *row;
    *result = NULL;
    if (!call_begins_waiting(job, "errand_step", error) ||
        !ask_name_is_valid(job, "step", name, error) || !step_ask(job, name, NULL, &row, error))
        return false;
    if (!PQgetisnull(row, 0, 1))
        *result = PQgetvalue(row, 0, 1);
    return true;
}

bool errand_step_done_text(struct errand_job *job, const char *name, const char *json,
                           const char **error)
{
    PGresult *row;
    if (!call_begins_waiting(job, "errand_step_done", error) ||
        !ask_name_is_valid(job, "step", name, error))
        return false;
    const char *fault = json_text_fault(json, ERRAND_STEP_RESULT_MAX);
    if (fault)
        return step_refuse(job, name,
                           arena_printf(&job->attempt->arena, "of its result: %s", fault), error);
    if (!step_ask(job, name, json, &row, error))
        return false;
    return *PQgetvalue(row, 0, 1) == 't' ||
           step_refuse(job, name, "the job has 1000 steps, which is the most", error);
}

bool errand_step_done(struct errand_job *job, const char *name, const json_t *result,
                      const char **error)
{
    const char *text = errand_json_text(job, result);
    return text ? errand_step_done_text(job, name, text, error)
                : step_refuse(job, name, "its result is no JSON value of at most 32 levels", error);
}
