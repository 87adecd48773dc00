#include "queue/completion.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "queue/acquire.h"
#include "queue/dispatch.h"
#include "queue/handover.h"
#include "queue/params.h"
#include "queue/runner_state.h"
#include "queue/settle.h"
#include "queue_sql.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    COMPLETION_TIMEOUT_MS = 30000,
    COMPLETION_AGAIN_US = 100000,
    LANE_STATEMENTS = 5, /* of one transaction, at most */
    UNITS_MAX = 2,
    BATCH_JOBS = 4096,           /* of one transaction */
    BATCH_JOBS_NEXT = 512,       /* of one that does not wait for another's end, at least */
    BATCH_EFFECT_JOBS = 256,     /* of one with effects */
    BATCH_RESULT_BYTES = 8 << 20 /* of one, about */
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

static struct entry *job_entry(const struct errand_job *job)
{
    return job->owner;
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

/* ---- Putting a unit together ---- */

struct completing {
    struct runner *runner;
    int64_t finished_us; /* database's clock, about */
    bool with_statistic;
    struct errand_job *jobs;
    size_t count;
    /* The statements on jobs, and how many rows each should touch. */
    struct {
        size_t statement, rows;
        struct lane *lane;
    } * checks;
    size_t check_count;
};

static enum kind_keep entry_keep(const struct entry *entry)
{
    return kind_settings_of(&entry->lane->runner->kind_settings, entry->kind)->keep;
}

static bool entry_is_unkept(const struct entry *entry)
{
    return entry->job->outcome.code == OUTCOME_DONE && entry_keep(entry) != KIND_KEEP_ALL;
}

static bool entry_is_done(const struct entry *entry)
{
    return entry->job->outcome.code == OUTCOME_DONE && !entry->job->outcome.result &&
           entry_keep(entry) == KIND_KEEP_ALL;
}

/* Never written to since it was enqueued, which most are: a shorter statement does. */
static bool entry_is_done_first(const struct entry *entry)
{
    return !entry->claimed && entry->attempt == 0 && entry->revision == 0 && entry_is_done(entry);
}

static bool outcome_is_again(enum outcome_code code)
{
    return code == OUTCOME_RETRY || code == OUTCOME_SNOOZE;
}

static bool entry_is_again(const struct entry *entry)
{
    return outcome_is_again(entry->job->outcome.code);
}

static bool entry_is_any(const struct entry *entry)
{
    (void)entry;
    return true;
}

static const char *outcome_name(enum outcome_code code)
{
    return code == OUTCOME_DONE        ? "done"
           : code == OUTCOME_CANCELLED ? "cancelled"
           : code == OUTCOME_UNKNOWN   ? "unknown"
                                       : "dead";
}

/* The entries of the list that are of the sort, as a list of their own; the others stay. */
static struct entry *list_split(struct entry **list, bool (*is_of_sort)(const struct entry *entry),
                                size_t *count)
{
    struct entry *taken = NULL, **last = &taken, **at = list;
    *count = 0;
    while (*at) {
        struct entry *entry = *at;
        if (!is_of_sort(entry)) {
            at = &entry->next;
            continue;
        }
        *at = entry->next;
        entry->next = NULL;
        *last = entry;
        last = &entry->next;
        ++*count;
    }
    return taken;
}

static void params_add_classes(struct params *params, const struct entry *list)
{
    struct buf *buf = params_open_array(params);
    for (const struct entry *entry = list; entry; entry = entry->next) {
        const char *error_class = entry->job->outcome.error_class;
        buf_array_text(buf, error_class ? error_class : "");
    }
    params_close_array(params);
}

static const char *outcome_reason(const struct outcome *outcome)
{
    return outcome->code == OUTCOME_DONE || outcome->text ? outcome->text : "";
}

static void params_add_end(struct params *params, const struct entry *list)
{
    struct buf *buf = params_open_array(params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_text(buf, outcome_name(entry->job->outcome.code));
    params_close_array(params);
    buf = params_open_array(params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_text(buf, outcome_reason(&entry->job->outcome));
    params_close_array(params);
    params_add_classes(params, list);
    buf = params_open_array(params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_text(buf, entry_keep(entry) == KIND_KEEP_NONE ? "f" : "t");
    params_close_array(params);
    buf = params_open_array(params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_text(buf, entry->job->outcome.result);
    params_close_array(params);
}

/* The attempt to be written down: a claim has counted it already; a snooze takes it back. */
static int entry_next_attempt(const struct entry *entry)
{
    bool failed = entry->job->outcome.code == OUTCOME_RETRY;
    return entry->attempt + (failed ? 1 : 0) - (entry->claimed ? 1 : 0);
}

static void params_add_again(struct params *params, const struct entry *list)
{
    struct buf *buf = params_open_array(params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_int(buf, entry_next_attempt(entry));
    params_close_array(params);
    buf = params_open_array(params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_int(buf, entry->job->outcome.run_at_us);
    params_close_array(params);
    buf = params_open_array(params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_text(buf, entry->job->outcome.text);
    params_close_array(params);
    buf = params_open_array(params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_text(buf, entry->job->outcome.code == OUTCOME_RETRY ? "t" : "f");
    params_close_array(params);
    params_add_classes(params, list);
}

static void lane_add_statement(struct lane *lane, struct db_unit *unit, int statement,
                               struct entry *list, size_t count,
                               void (*add)(struct params *params, const struct entry *list))
{
    struct completing *completing = unit->owner;
    struct params params;
    if (!list)
        return;
    /* The order of a key needs to know that the one before is over. */
    bool checked = completing->jobs->outcome.effects || completing->jobs->alone ||
                   lane->queue->limits.config.key_ordered;
    params_init(&params, lane);
    params_add_int(&params, checked ? (long long)count : -1);
    if (statement == QUEUE_SQL_JOB_DONE_FIRST)
        params_add_first(&params, list);
    else
        params_add_entries(&params, list);
    params_add_text(&params, lane->runner->id_text);
    params_add_int(&params, lane->queue->history_days);
    if (add)
        add(&params, list);
    size_t i = completing->check_count++;
    for (struct entry *entry = list; entry; entry = entry->next)
        entry->check = i;
    completing->checks[i].statement = unit->count;
    completing->checks[i].rows = count;
    completing->checks[i].lane = lane;
    params_add_to(&params, unit, statement, false);
    params_clear(&params);
}

static void lane_add_completions(struct lane *lane, struct db_unit *unit)
{
    size_t count;
    struct entry *list = lane_list_take(lane);
    struct entry *first = list_split(&list, entry_is_done_first, &count);
    lane_add_statement(lane, unit, QUEUE_SQL_JOB_DONE_FIRST, first, count, NULL);
    struct entry *done = list_split(&list, entry_is_done, &count);
    lane_add_statement(lane, unit, QUEUE_SQL_JOB_DONE, done, count, NULL);
    struct entry *unkept = list_split(&list, entry_is_unkept, &count);
    lane_add_statement(lane, unit, QUEUE_SQL_JOB_DONE_UNKEPT, unkept, count, NULL);
    struct entry *again = list_split(&list, entry_is_again, &count);
    lane_add_statement(lane, unit, QUEUE_SQL_JOB_AGAIN, again, count, params_add_again);
    struct entry *ended = list_split(&list, entry_is_any, &count);
    lane_add_statement(lane, unit, QUEUE_SQL_JOB_END, ended, count, params_add_end);
    assert(!list);
}

/* What runs again in a lane that is no longer ours, and what it counted as running here: its owner
 * must hear of it. */
static void unit_add_wakes(struct db_unit *unit, const struct errand_job *jobs)
{
    char number[16], run_at[24];
    for (const struct errand_job *job = jobs; job; job = job->next) {
        const struct lane *lane = job_entry(job)->lane;
        if (!lane->lost)
            continue;
        snprintf(number, sizeof number, "%d", lane->number);
        if (lane->queue->limits.counting) {
            char id[24];
            snprintf(id, sizeof id, "%" PRId64, job->id);
            const char *ended[] = {number, id};
            db_unit_add(unit, &queue_sql[QUEUE_SQL_LANE_TELL_ENDED], 2, ended);
        }
        if (!outcome_is_again(job->outcome.code))
            continue;
        snprintf(run_at, sizeof run_at, "%" PRId64, job->outcome.run_at_us);
        const char *params[] = {number, run_at};
        db_unit_add(unit, &queue_sql[QUEUE_SQL_LANE_WAKE], 2, params);
    }
}

static void unit_add_effects(struct db_unit *unit, const struct errand_job *jobs)
{
    for (const struct errand_job *job = jobs; job; job = job->next)
        for (const struct effect *effect = job->outcome.effects; effect; effect = effect->next)
            db_unit_add(unit, effect->statement, effect->count, effect->params);
}

static bool job_goes_singly(const struct errand_job *job)
{
    return job->outcome.effects || job->alone;
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
    struct db_unit *unit = db_unit_new(DB_TRANSACTION, completing_on_done, NULL);
    struct completing *completing = arena_alloc(&unit->arena, sizeof *completing);
    *completing = (struct completing){
        .runner = runner,
        .finished_us = clock_database_us(&runner->clock),
        .jobs = jobs,
        .count = count,
    };
    completing->checks = arena_alloc(&unit->arena, LANE_STATEMENTS * runner->lane_count *
                                                       sizeof completing->checks[0]);
    unit->owner = completing;
    for (struct errand_job *job = jobs; job; job = job->next)
        lane_list(job_entry(job)->lane, job_entry(job));
    for (struct lane *lane = runner->lanes; lane; lane = lane->next)
        if (lane->listed)
            lane_add_completions(lane, unit);
    unit_add_wakes(unit, jobs);
    if (jobs->outcome.effects)
        db_unit_add(unit, &queue_sql[QUEUE_SQL_EFFECTS_PATIENCE], 0, NULL);
    unit_add_effects(unit, jobs);
    if (!jobs->outcome.effects && !jobs->alone)
        completing->with_statistic = statistic_join(runner, unit);
    jobs_reach_failpoint(jobs, "before_commit");
    completion->under_way++;
    completion->effects_under_way |= job_goes_singly(jobs);
    db_pool_submit(&runner->writes, unit, COMPLETION_TIMEOUT_MS);
    completion_schedule(runner);
}

/* ---- The answer ---- */

/* Whether the id stands in the list, whose ids are separated by blanks. */
static bool ids_have(const char *ids, int64_t id)
{
    for (const char *at = ids; *at;) {
        char *end;
        if (strtoll(at, &end, 10) == id)
            return true;
        at = end + (*end == ' ');
    }
    return false;
}

/* Those of a statement whose rows were not as they were seen did not end here, unless they did so
 * when the statement was sent before and its answer was lost. */
static void completing_leave_uncounted(struct completing *completing, size_t check, const char *ids)
{
    for (struct errand_job *job = completing->jobs; job; job = job->next)
        job->uncounted |=
            job_entry(job)->check == check && !job->sent_before && !ids_have(ids, job->id);
}

/* Fewer rows than jobs: somebody changed one meanwhile, or the lane is another's. */
static void completing_check(struct completing *completing, const struct db_unit *unit)
{
    for (size_t i = 0; i < completing->check_count; i++) {
        struct lane *lane = completing->checks[i].lane;
        const PGresult *result = db_unit_result(unit, completing->checks[i].statement);
        if (strcmp(PQgetvalue(result, 0, 1), "0") != 0)
            dependents_release(completing->runner, lane->number);
        size_t rows = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
        if (rows >= completing->checks[i].rows)
            continue;
        completing_leave_uncounted(completing, i, PQgetvalue(result, 0, 2));
        log_event(LOG_INFO, "jobs were changed while they ran", "lane", log_int(lane->number),
                  NULL);
        /* Or it was done already, by a unit whose answer was lost. */
        dependents_release(completing->runner, lane->number);
        lane->pass_at_us = clock_mono_us();
        lane_read_at_least(lane, lane->pass_at_us);
        acquire_check_owned(completing->runner);
    }
}

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
    if (look)
        lane_look(lane, run_at_us);
    runner->completion.count--;
    if (--attempt->unsettled == 0)
        attempt_free(attempt);
}

static void job_log(const struct errand_job *job)
{
    static const enum log_level levels[] = {LOG_DEBUG, LOG_DEBUG, LOG_INFO, LOG_ERROR,
                                            LOG_ERROR, LOG_WARN,  LOG_DEBUG};
    static const char *const events[] = {"",         "job done",  "job cancelled", "job unknown",
                                         "job dead", "job again", "job snoozed"};
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

/* One job by itself was refused: changed by somebody else meanwhile (then nothing of this attempt
 * counts), or by an effect (then the attempt failed with its message). */
static void job_on_refused(struct runner *runner, struct errand_job *job, const struct err *err)
{
    struct entry *entry = job_entry(job);
    if (strcmp(err->sqlstate, "ER001") == 0 || !job->outcome.effects) {
        log_event(LOG_INFO, "job changed while it ran", "kind", job->attempt->kind->name, "job",
                  log_int(job->id), "error", err->text, NULL);
        job->outcome.code = OUTCOME_SNOOZE; /* looked at again from where it stood */
        job->outcome.run_at_us = entry->run_at_us;
        job_leave(runner, job);
        return;
    }
    job->outcome = (struct outcome){.code = OUTCOME_RETRY, .delay_ms = -1};
    job->outcome.text =
        arena_printf(&job->attempt->arena, "completing the job failed: %s", err->text);
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
    if (err->code == ERR_NONE) {
        jobs_reach_failpoint(completing->jobs, "after_commit");
        completing_check(completing, unit);
        jobs_leave(runner, completing->jobs, completing->finished_us);
    } else if (strcmp(err->sqlstate, "55P03") == 0) {
        completing_on_locked(completing, err);
    } else if (err->code == ERR_TEMPORARY || err->code == ERR_UNKNOWN_OUTCOME ||
               err->code == ERR_CANCELLED) {
        log_event(LOG_WARN, "committing failed, trying again", "jobs",
                  log_int((long long)completing->count), "error", err->text, NULL);
        for (struct errand_job *job = completing->jobs; job; job = job->next)
            job->sent_before |= err->code == ERR_UNKNOWN_OUTCOME;
        jobs_put_back(completion, completing->jobs, completing->jobs->alone);
        loop_timer_set(&completion->again, clock_mono_us() + COMPLETION_AGAIN_US);
        return;
    } else if (completing->count > 1) {
        jobs_put_back(completion, completing->jobs, true);
    } else {
        job_on_refused(runner, completing->jobs, err);
    }
    handover_check(runner);
    completion_schedule(runner);
    dispatch_schedule(runner);
}
