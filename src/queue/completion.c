#include "queue/completion.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "queue/completing.h"
#include "queue/dispatch.h"
#include "queue/handover.h"
#include "queue/runner_state.h"
#include "queue/settle.h"

#include <string.h>

enum {
    COMPLETION_TIMEOUT_MS = 30000,
    COMPLETION_AGAIN_US = 100000,
    UNITS_MAX = 2,
    BATCH_JOBS = 4096,            /* of one transaction */
    BATCH_JOBS_NEXT = 512,        /* of one that does not wait for another's end, at least */
    BATCH_EFFECT_JOBS = 256,      /* of one with effects */
    BATCH_RESULT_BYTES = 8 << 20, /* of one, about */
    LOSSES_MAX = 4                /* of the connection, with the effects of one job */
};

static void completion_flush(void *owner);

void completion_init(struct runner *runner)
{
    struct completion *completion = &runner->completion;
    completion->last = &completion->first;
    completion->soon = (struct loop_deferred){.run = completion_flush, .owner = runner};
    loop_timer_init(&completion->again, &runner->loop, completion_flush, runner);
}

static bool completion_may_send(const struct completion *completion)
{
    return completion->first &&
           (!completion->under_way ||
            (completion->under_way < UNITS_MAX && completion->gathered >= BATCH_JOBS_NEXT));
}

void completion_schedule(struct runner *runner)
{
    if (completion_may_send(&runner->completion))
        loop_defer(&runner->loop, &runner->completion.soon);
}

static void completion_append(struct completion *completion, struct errand_job *job)
{
    job->next = NULL;
    *completion->last = job;
    completion->last = &job->next;
    completion->gathered++;
}

void completion_add(struct runner *runner, struct errand_job *job)
{
    settle_outcome(runner, job);
    completion_append(&runner->completion, job);
    runner->completion.count++;
    completion_schedule(runner);
}

void completion_add_again(struct runner *runner, struct errand_job *job)
{
    completion_append(&runner->completion, job);
    completion_schedule(runner);
}

/* The jobs of the next batch: the first that may go, and those behind it of the same sort. */
static struct errand_job *completion_take(struct completion *completion, size_t *count)
{
    struct errand_job *taken = NULL, **last = &taken, **at = &completion->first;
    size_t result_bytes = 0;
    *count = 0;
    while (*at) {
        struct errand_job *job = *at;
        bool effects = job->outcome.effects != NULL;
        bool fits =
            !taken || (!job->alone && !taken->alone && effects == (taken->outcome.effects != NULL));
        if (job_entry(job)->claim_under_way || !fits ||
            (completion->effects_under_way && job_goes_singly(job))) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        job->next = NULL;
        *last = job;
        last = &job->next;
        result_bytes += job->outcome.result_bytes;
        if (++*count == (effects ? BATCH_EFFECT_JOBS : BATCH_JOBS) || job->alone ||
            result_bytes >= BATCH_RESULT_BYTES)
            break;
    }
    if (!*at) /* the last one was taken, or left where it is */
        completion->last = at;
    completion->gathered -= *count;
    return taken;
}

static void completing_on_done(struct db_unit *unit, void *owner);

static void jobs_reach_failpoint(const struct errand_job *jobs, const char *name)
{
    if (failpoint_enabled() && jobs->outcome.effects)
        failpoint_reach(jobs->attempt->kind->module->name, name);
}

static void completion_flush(void *owner)
{
    struct runner *runner = owner;
    struct completion *completion = &runner->completion;
    size_t count;
    if (!completion_may_send(completion))
        return;
    struct errand_job *jobs = completion_take(completion, &count);
    if (!jobs)
        return;
    struct db_unit *unit = completing_new(runner, jobs, count, completing_on_done);
    jobs_reach_failpoint(jobs, "before_commit");
    completion->under_way++;
    completion->effects_under_way |= job_goes_singly(jobs);
    db_pool_submit(&runner->writes, unit, COMPLETION_TIMEOUT_MS);
    completion_schedule(runner);
}

/* ---- The answer ---- */

static void job_leave(struct runner *runner, struct errand_job *job)
{
    struct entry *entry = job_entry(job);
    struct lane *lane = entry->lane;
    struct attempt *attempt = job->attempt;
    bool look = entry->changed || outcome_is_again(job->outcome.code);
    if (!look)
        limit_ended(entry);
    int64_t run_at_us = entry->changed ? entry->changed_run_at_us : job->outcome.run_at_us;
    lane_drop(lane, entry);
    if (look && run_at_us != INT64_MAX)
        lane_look(lane, run_at_us);
    runner->completion.count--;
    if (--attempt->unsettled == 0)
        attempt_free(attempt);
}

static void job_log(const struct errand_job *job)
{
    static const enum log_level levels[] = {LOG_DEBUG, LOG_DEBUG, LOG_INFO,  LOG_ERROR,
                                            LOG_ERROR, LOG_WARN,  LOG_DEBUG, LOG_DEBUG};
    static const char *const events[] = {"",         "job done",  "job cancelled", "job unknown",
                                         "job dead", "job again", "job snoozed",   "job waits"};
    const struct outcome *outcome = &job->outcome;
    if (!log_enabled(levels[outcome->code]))
        return;
    log_event(levels[outcome->code], events[outcome->code], "kind", job->attempt->kind->name, "job",
              log_int(job->id), "attempt", log_int(job->number), "reason", outcome->text, NULL);
}

static void jobs_leave(struct runner *runner, struct errand_job *jobs, int64_t finished_us)
{
    while (jobs) {
        struct errand_job *next = jobs->next;
        if (!jobs->uncounted)
            statistic_count(runner, jobs, finished_us);
        job_log(jobs);
        job_leave(runner, jobs);
        jobs = next;
    }
}

/* Back to the front, in their order. */
static void jobs_put_back(struct completion *completion, struct errand_job *jobs, bool alone)
{
    struct errand_job *last = jobs;
    for (;; last = last->next) {
        completion->gathered++;
        last->alone = alone;
        if (!last->next)
            break;
    }
    last->next = completion->first;
    if (!completion->first)
        completion->last = &last->next;
    completion->first = jobs;
}

/* Behind those that wait, each to be committed alone. */
static void jobs_put_last(struct completion *completion, struct errand_job *jobs)
{
    while (jobs) {
        struct errand_job *next = jobs->next;
        jobs->alone = true;
        completion_append(completion, jobs);
        jobs = next;
    }
}

/* statement_timeout, which effects have one of their own of; or somebody has cancelled it. */
static bool err_is_slow(const struct err *err)
{
    return strcmp(err->sqlstate, "57014") == 0;
}

/* One job by itself was refused: changed by somebody else meanwhile (then nothing of this attempt
 * counts), or by an effect, or for its result, which the server does not take (then the attempt
 * failed with its message). */
static void job_on_refused(struct runner *runner, struct errand_job *job, const struct err *err)
{
    struct entry *entry = job_entry(job);
    bool by_value = job->outcome.result && strncmp(err->sqlstate, "22", 2) == 0;
    if (strcmp(err->sqlstate, "ER001") == 0 || (!job->outcome.effects && !by_value)) {
        log_event(LOG_INFO, "job changed while it ran", "kind", job->attempt->kind->name, "job",
                  log_int(job->id), "error", err->text, NULL);
        job->outcome.code = OUTCOME_SNOOZE; /* looked at again from where it stood */
        job->outcome.run_at_us = entry->run_at_us;
        job_leave(runner, job);
        return;
    }
    char class[DB_CLASS_BYTES];
    struct arena *arena = &job->attempt->arena;
    job->outcome = (struct outcome){.code = OUTCOME_RETRY, .delay_ms = -1};
    job->outcome.error_class = arena_strdup(arena, db_error_class(err, class));
    job->outcome.text =
        err_is_slow(err)
            ? arena_printf(arena,
                           "completing the job failed: what commits with it took longer than %d "
                           "ms, for which others wait",
                           COMPLETING_EFFECTS_MS)
            : arena_printf(arena, "completing the job failed: %s", err->text);
    settle_outcome(runner, job);
    jobs_put_back(&runner->completion, job, true);
}

/* Somebody holds a row. One of a job: the others go on without it. One that an effect needs: by
 * themselves the others are free of it. */
static void completing_on_locked(struct completing *completing, const struct err *err)
{
    struct runner *runner = completing->runner;
    if (!completing->jobs->outcome.effects || completing->jobs->alone) {
        blocked_add(runner, completing->jobs);
        return;
    }
    log_event(LOG_WARN, "committing failed, trying again", "jobs",
              log_int((long long)completing->count), "error", err->text, NULL);
    jobs_put_last(&runner->completion, completing->jobs);
}

/* The effects of one job are slow, which costs that one the attempt: by themselves the others are
 * not. */
static void completing_on_slow(struct completing *completing, const struct err *err)
{
    struct runner *runner = completing->runner;
    if (completing->jobs->alone) {
        job_on_refused(runner, completing->jobs, err);
        return;
    }
    log_event(LOG_WARN, "effects are slow, each job is committed alone", "jobs",
              log_int((long long)completing->count), NULL);
    jobs_put_last(&runner->completion, completing->jobs);
}

/* Nobody knows what became of it, or it was not sent: the same again. Effects may be the reason,
 * by what they do to the connection or the server: then each job goes alone, and one with which it
 * is lost again and again has failed the attempt. Where it was done after all, that changes no row.
 */
static void completing_on_lost(struct completing *completing, const struct err *err)
{
    struct runner *runner = completing->runner;
    struct errand_job *first = completing->jobs;
    bool sent = err->code == ERR_UNKNOWN_OUTCOME, suspect = sent && first->outcome.effects;
    log_event(LOG_WARN, "committing failed, trying again", "jobs",
              log_int((long long)completing->count), "error", err->text, NULL);
    for (struct errand_job *job = first; job; job = job->next)
        job->sent_before |= sent;
    if (suspect && first->alone && ++first->losses == LOSSES_MAX)
        job_on_refused(runner, first, err);
    else if (suspect && !first->alone)
        jobs_put_last(&runner->completion, first);
    else
        jobs_put_back(&runner->completion, first, first->alone);
}

static void completing_on_done(struct db_unit *unit, void *owner)
{
    struct completing *completing = owner;
    struct runner *runner = completing->runner;
    struct completion *completion = &runner->completion;
    const struct err *err = &unit->err;
    completion->under_way--;
    completion->effects_under_way &= !job_goes_singly(completing->jobs);
    if (completing->with_statistic)
        statistic_on_written(runner, err);
    if (completing->lines)
        joblog_on_written(runner, completing->lines, err);
    if (err->code == ERR_NONE) {
        jobs_reach_failpoint(completing->jobs, "after_commit");
        completing_check(completing, unit);
        jobs_leave(runner, completing->jobs, completing->finished_us);
    } else if (strcmp(err->sqlstate, "55P03") == 0) {
        completing_on_locked(completing, err);
    } else if (completing->jobs->outcome.effects && err_is_slow(err)) {
        completing_on_slow(completing, err);
    } else if (err->code == ERR_TEMPORARY || err->code == ERR_UNKNOWN_OUTCOME ||
               err->code == ERR_CANCELLED) {
        completing_on_lost(completing, err);
        loop_timer_set(&completion->again, clock_mono_us() + COMPLETION_AGAIN_US);
        return;
    } else if (completing->count > 1 || completing->with_statistic || completing->lines) {
        jobs_put_back(completion, completing->jobs, true);
    } else {
        job_on_refused(runner, completing->jobs, err);
    }
    handover_check(runner);
    completion_schedule(runner);
    dispatch_schedule(runner);
}
