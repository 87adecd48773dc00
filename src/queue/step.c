#include "queue/step.h"

#include "queue/completing.h"
#include "queue/params.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

void step_add(struct errand_job *job, struct db_unit *unit, const char *name, const char *result)
{
    struct params params;
    params_init_own(&params, job);
    params_add_text(&params, name);
    if (result)
        params_add_text(&params, result);
    params_add_to(&params, unit, result ? QUEUE_SQL_STEP_WRITE : QUEUE_SQL_STEP_READ, false);
    params_clear(&params);
}

/* Dead letters keep theirs. One whose attempt asked for none may have some of an attempt before. */
static bool job_drops(const struct errand_job *job, bool asked)
{
    enum outcome_code code = job->outcome.code;
    return !outcome_is_again(code) && code != OUTCOME_DEAD &&
           (asked || job->number > 1 || job_entry(job)->revision > 0);
}

static bool job_drops_steps(const struct errand_job *job)
{
    return job_drops(job, job->has_steps);
}

static bool job_drops_signals(const struct errand_job *job)
{
    return job_drops(job, job->has_signals);
}

/* Which jobs may have left something behind, and what removes it. */
struct drop {
    bool (*of)(const struct errand_job *job);
    int statement;
};

static void lane_add_drop(struct lane *lane, struct db_unit *unit, const struct errand_job *jobs,
                          const struct drop *drop)
{
    struct params params = {.count = 0};
    size_t count = 0;
    params_add_int(&params, lane->number);
    struct buf *buf = params_open_array(&params);
    for (const struct errand_job *job = jobs; job; job = job->next) {
        if (job_entry(job)->lane != lane || !drop->of(job))
            continue;
        buf_array_int(buf, job->id);
        count++;
    }
    params_close_array(&params);
    if (count)
        params_add_to(&params, unit, drop->statement, false);
    params_clear(&params);
}

void step_add_drops(struct runner *runner, struct db_unit *unit, const struct errand_job *jobs)
{
    static const struct drop drops[] = {{job_drops_steps, QUEUE_SQL_STEPS_DROP},
                                        {job_drops_signals, QUEUE_SQL_SIGNALS_DROP}};
    for (size_t i = 0; i < sizeof drops / sizeof *drops; i++) {
        bool any = false;
        for (const struct errand_job *job = jobs; job && !any; job = job->next)
            any = drops[i].of(job);
        for (struct lane *lane = any ? runner->lanes : NULL; lane; lane = lane->next)
            lane_add_drop(lane, unit, jobs, &drops[i]);
    }
}
