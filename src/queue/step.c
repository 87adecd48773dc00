#include "queue/step.h"

#include "queue/completing.h"
#include "queue/params.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

void step_add(struct errand_job *job, struct db_unit *unit, const char *name, const char *result)
{
    const struct entry *entry = job_entry(job);
    struct params params;
    params_init(&params, entry->lane);
    params_add_text(&params, entry->lane->runner->id_text);
    params_add_int(&params, entry->id);
    params_add_int(&params, job->number);
    params_add_int(&params, entry->revision);
    params_add_text(&params, name);
    if (result)
        params_add_text(&params, result);
    params_add_to(&params, unit, result ? QUEUE_SQL_STEP_WRITE : QUEUE_SQL_STEP_READ, false);
    params_clear(&params);
}

/* Dead letters keep theirs. One whose attempt asked for none may have some of an attempt before. */
static bool job_drops_steps(const struct errand_job *job)
{
    enum outcome_code code = job->outcome.code;
    return !outcome_is_again(code) && code != OUTCOME_DEAD &&
           (job->has_steps || job->number > 1 || job_entry(job)->revision > 0);
}

static void lane_add_drop(struct lane *lane, struct db_unit *unit, const struct errand_job *jobs)
{
    struct params params = {.count = 0};
    size_t count = 0;
    params_add_int(&params, lane->number);
    struct buf *buf = params_open_array(&params);
    for (const struct errand_job *job = jobs; job; job = job->next) {
        if (job_entry(job)->lane != lane || !job_drops_steps(job))
            continue;
        buf_array_int(buf, job->id);
        count++;
    }
    params_close_array(&params);
    if (count)
        params_add_to(&params, unit, QUEUE_SQL_STEPS_DROP, false);
    params_clear(&params);
}

void step_add_drops(struct runner *runner, struct db_unit *unit, const struct errand_job *jobs)
{
    bool any = false;
    for (const struct errand_job *job = jobs; job && !any; job = job->next)
        any = job_drops_steps(job);
    for (struct lane *lane = any ? runner->lanes : NULL; lane; lane = lane->next)
        lane_add_drop(lane, unit, jobs);
}
