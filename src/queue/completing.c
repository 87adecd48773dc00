#include "queue/completing.h"

#include "base/log.h"
#include "queue/acquire.h"
#include "queue/params.h"
#include "queue/runner_state.h"
#include "queue/signal.h"
#include "queue/step.h"
#include "queue_sql.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum {
    LANE_STATEMENTS = 6, /* of one transaction, at most */
    NEAR_ROUNDS = 2      /* ids go round all lanes of a queue, at best */
};

struct entry *job_entry(const struct errand_job *job)
{
    return job->owner;
}

bool job_goes_singly(const struct errand_job *job)
{
    return job->outcome.effects || job->alone;
}

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

bool outcome_is_again(enum outcome_code code)
{
    return code == OUTCOME_RETRY || code == OUTCOME_SNOOZE || code == OUTCOME_WAIT;
}

static bool entry_is_again(const struct entry *entry)
{
    return outcome_is_again(entry->job->outcome.code);
}

static bool entry_waits(const struct entry *entry)
{
    return entry->job->outcome.code == OUTCOME_WAIT;
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

/* The attempt to be written down: a claim has counted it already; a snooze or a wait takes it back.
 */
static int entry_next_attempt(const struct entry *entry)
{
    bool failed = entry->job->outcome.code == OUTCOME_RETRY;
    return entry->attempt + (failed ? 1 : 0) - (entry->claimed ? 1 : 0);
}

static void params_add_next_attempts(struct params *params, const struct entry *list)
{
    struct buf *buf = params_open_array(params);
    for (const struct entry *entry = list; entry; entry = entry->next)
        buf_array_int(buf, entry_next_attempt(entry));
    params_close_array(params);
}

static void params_add_waits(struct params *params, const struct entry *list)
{
    params_add_next_attempts(params, list);
    signal_add_waits(params, list);
}

static void params_add_again(struct params *params, const struct entry *list)
{
    params_add_next_attempts(params, list);
    struct buf *buf = params_open_array(params);
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

static int entry_compare_ids(const struct entry *a, const struct entry *b)
{
    return (a->id > b->id) - (a->id < b->id);
}

/* Whether a walk through the lane from the first of them to the last meets few others. The list is
 * ascending. */
static bool list_is_near(const struct lane *lane, const struct entry *list, size_t count)
{
    const struct entry *last = list;
    while (last->next)
        last = last->next;
    return last->id - list->id < (int64_t)count * NEAR_ROUNDS * lane->queue->lanes;
}

/* Those of the list for the shorter statement, ascending; none where it would not be the faster
 * one. */
static struct entry *list_split_first(const struct lane *lane, struct entry **list, size_t *count)
{
    struct entry *first = list_split(list, entry_is_done_first, count);
    LL_SORT(first, entry_compare_ids);
    if (!first || list_is_near(lane, first, *count))
        return first;
    LL_CONCAT(*list, first);
    return NULL;
}

static void lane_add_completions(struct lane *lane, struct db_unit *unit)
{
    size_t count;
    struct entry *list = lane_list_take(lane);
    struct entry *first = list_split_first(lane, &list, &count);
    lane_add_statement(lane, unit, QUEUE_SQL_JOB_DONE_FIRST, first, count, NULL);
    struct entry *done = list_split(&list, entry_is_done, &count);
    lane_add_statement(lane, unit, QUEUE_SQL_JOB_DONE, done, count, NULL);
    struct entry *unkept = list_split(&list, entry_is_unkept, &count);
    lane_add_statement(lane, unit, QUEUE_SQL_JOB_DONE_UNKEPT, unkept, count, NULL);
    struct entry *waiting = list_split(&list, entry_waits, &count);
    if (waiting)
        signal_add_locks(unit, waiting);
    lane_add_statement(lane, unit, QUEUE_SQL_JOB_WAIT, waiting, count, params_add_waits);
    struct entry *again = list_split(&list, entry_is_again, &count);
    lane_add_statement(lane, unit, QUEUE_SQL_JOB_AGAIN, again, count, params_add_again);
    struct entry *ended = list_split(&list, entry_is_any, &count);
    lane_add_statement(lane, unit, QUEUE_SQL_JOB_END, ended, count, params_add_end);
    assert(!list);
}

static void unit_add_wake(struct db_unit *unit, const char *lane, int64_t run_at_us)
{
    char run_at[24];
    snprintf(run_at, sizeof run_at, "%" PRId64, run_at_us);
    const char *params[] = {lane, run_at};
    db_unit_add(unit, &queue_sql[QUEUE_SQL_LANE_WAKE], 2, params);
}

/* What runs again in a lane that is no longer ours, and what it counted as running here: its owner
 * must hear of it. */
static void unit_add_wakes(struct db_unit *unit, const struct errand_job *jobs)
{
    char number[16];
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
        /* Its signal may have come meanwhile. */
        if (job->outcome.code == OUTCOME_WAIT)
            unit_add_wake(unit, number, 0);
        if (job->outcome.run_at_us != INT64_MAX)
            unit_add_wake(unit, number, job->outcome.run_at_us);
    }
}

/* A batch whose effects are slow is given up early, well before the unit's deadline, which the
 * server knows nothing of; its jobs are committed alone then, and have more time each. */
enum { EACH_MS = 2500, EFFECTS_BETWEEN = 6 };

static void unit_add_patience(struct db_unit *unit, int statement, int each_ms)
{
    char each[16], all[16];
    const char *params[] = {each, all};
    snprintf(each, sizeof each, "%d", each_ms);
    snprintf(all, sizeof all, "%d", COMPLETING_EFFECTS_MS);
    db_unit_add(unit, &queue_sql[statement], statement == QUEUE_SQL_EFFECTS_PATIENCE ? 1 : 2,
                params);
}

static void unit_add_effects(struct db_unit *unit, const struct errand_job *jobs)
{
    int each_ms = jobs->alone ? COMPLETING_EFFECTS_MS : EACH_MS;
    size_t between = jobs->alone ? 1 : EFFECTS_BETWEEN, count = 0;
    if (!jobs->outcome.effects)
        return;
    unit_add_patience(unit, QUEUE_SQL_EFFECTS_PATIENCE, each_ms);
    for (const struct errand_job *job = jobs; job; job = job->next)
        for (const struct effect *effect = job->outcome.effects; effect; effect = effect->next) {
            if (count++ % between == 0 && count > 1)
                unit_add_patience(unit, QUEUE_SQL_EFFECTS_PATIENCE_LEFT, each_ms);
            db_unit_add(unit, effect->statement, effect->count, effect->params);
        }
    db_unit_add(unit, &queue_sql[QUEUE_SQL_EFFECTS_OVER], 0, NULL);
}

/* ---- The unit ---- */

struct db_unit *completing_new(struct runner *runner, struct errand_job *jobs, size_t count,
                               void (*on_done)(struct db_unit *unit, void *owner))
{
    struct db_unit *unit = db_unit_new(DB_TRANSACTION, on_done, NULL);
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
    step_add_drops(runner, unit, jobs);
    unit_add_wakes(unit, jobs);
    unit_add_effects(unit, jobs);
    if (!jobs->outcome.effects && !jobs->alone)
        completing->with_statistic = statistic_join(runner, unit);
    /* Last, as the upkeep takes them: it makes their partitions. */
    if (!jobs->alone)
        completing->lines = joblog_join(runner, unit);
    return unit;
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
void completing_check(struct completing *completing, const struct db_unit *unit)
{
    for (size_t i = 0; i < completing->check_count; i++) {
        struct lane *lane = completing->checks[i].lane;
        const PGresult *result = db_unit_result(unit, completing->checks[i].statement);
        if (strcmp(PQgetvalue(result, 0, 1), "0") != 0)
            dependents_release(completing->runner, lane->number);
        /* Of those that were to wait, some are due. */
        if (PQnfields(result) > 3 && !PQgetisnull(result, 0, 3))
            lane_look(lane, strtoll(PQgetvalue(result, 0, 3), NULL, 10));
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
