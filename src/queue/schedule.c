#include "queue/schedule.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "db/time_text.h"
#include "queue/runner_state.h"
#include "queue/schedule_plan.h"
#include "queue_sql.h"

#include <stdio.h>
#include <string.h>

enum {
    SCHEDULE_TIMEOUT_MS = 60000,
    SCHEDULE_FIRES_BATCH = 2000, /* of one transaction, about */
    SCHEDULE_BUSY_US = 20000,    /* until one is tried again that could not be moved on; doubles */
    SCHEDULE_BUSY_MAX_US = 1000000,
    SCHEDULE_PAUSE_US = 100000,
    SCHEDULE_PAUSE_MAX_US = 5000000
};

/* Columns of schedules_due. */
enum {
    DUE_NOW,
    DUE_NEXT,
    DUE_NAME,
    DUE_REVISION,
    DUE_CRON,
    DUE_TIMEZONE,
    DUE_MISSED,
    DUE_MISSED_MAX,
    DUE_STARTS,
    DUE_ENDS,
    DUE_LAST
};

/* The parameters of schedules_fire. */
enum {
    FIRE_NAMES,
    FIRE_REVISIONS,
    FIRE_SEEN,
    FIRE_NEXTS,
    FIRE_PROBLEMS,
    FIRE_PASSED,
    FIRE_FIRSTS,
    FIRE_COUNTS,
    FIRE_TIMES,
    FIRE_PARAMS
};

struct schedule_fire {
    struct buf params[FIRE_PARAMS];
    size_t schedules, fires;
    int64_t next_us; /* when to look again, as far as this one knows */
};

static void schedule_on_timer(void *owner);

void schedule_init(struct runner *runner)
{
    runner->schedule.next_us = INT64_MAX;
    zone_set_init(&runner->schedule.zones, NULL);
    loop_timer_init(&runner->schedule.timer, &runner->loop, schedule_on_timer, runner);
}

void schedule_clear(struct runner *runner)
{
    zone_set_clear(&runner->schedule.zones);
}

void schedule_forget_zones(struct runner *runner)
{
    zone_set_clear(&runner->schedule.zones);
}

/* ---- When ---- */

static void schedule_set_timer(struct runner *runner)
{
    struct schedule_clock *clock = &runner->schedule;
    int64_t now_us = clock_mono_us(), at_us = now_us;
    if (clock->under_way)
        return;
    if (!clock->ours || clock->next_us == INT64_MAX || runner->phase != RUNNER_RUNNING) {
        loop_timer_stop(&clock->timer);
        return;
    }
    if (clock->next_us != INT64_MIN)
        at_us = clock_database_to_mono_us(&runner->clock, clock->next_us);
    if (at_us < clock->not_before_us)
        at_us = clock->not_before_us;
    loop_timer_set(&clock->timer, at_us);
}

void schedule_on_beat(struct runner *runner, bool ours, int64_t next_us)
{
    struct schedule_clock *clock = &runner->schedule;
    if (ours != clock->ours)
        log_event(LOG_DEBUG,
                  ours ? "schedules are ours to fire" : "schedules are another's to fire", NULL);
    clock->ours = ours;
    if (clock->under_way)
        return; /* its answer is newer */
    clock->next_us = next_us;
    schedule_set_timer(runner);
}

void schedule_on_notify(struct runner *runner)
{
    struct schedule_clock *clock = &runner->schedule;
    if (!clock->ours)
        return;
    clock->again = clock->under_way;
    clock->next_us = INT64_MIN;
    schedule_set_timer(runner);
}

static void schedule_ended(struct runner *runner, int64_t next_us)
{
    struct schedule_clock *clock = &runner->schedule;
    clock->under_way = false;
    clock->next_us = clock->again ? INT64_MIN : next_us;
    clock->again = false;
    schedule_set_timer(runner);
}

static void schedule_pause(struct schedule_clock *clock, int64_t first_us, int64_t most_us)
{
    clock->pause_us = clock->pause_us ? 2 * clock->pause_us : first_us;
    if (clock->pause_us > most_us)
        clock->pause_us = most_us;
    clock->not_before_us = clock_mono_us() + clock->pause_us;
}

static void schedule_failed(struct runner *runner, const struct err *err)
{
    struct schedule_clock *clock = &runner->schedule;
    if (err->code != ERR_CANCELLED)
        log_event(runner->away_since_us ? LOG_DEBUG : LOG_WARN,
                  "schedules could not be fired, trying again", "error", err->text, NULL);
    schedule_pause(clock, SCHEDULE_PAUSE_US, SCHEDULE_PAUSE_MAX_US);
    schedule_ended(runner, INT64_MIN);
}

/* ---- What fires ---- */

static int64_t due_time_or(const PGresult *rows, int row, int column, int64_t none_us)
{
    return PQgetisnull(rows, row, column) ? none_us : db_get_time_us(rows, row, column);
}

static bool rule_take(struct schedule_rule *rule, struct zone_set *zones, const PGresult *rows,
                      int row, struct err *err)
{
    const char *missed = PQgetvalue(rows, row, DUE_MISSED);
    rule->missed = strcmp(missed, "skip") == 0   ? SCHEDULE_SKIP
                   : strcmp(missed, "once") == 0 ? SCHEDULE_ONCE
                                                 : SCHEDULE_ALL;
    rule->missed_max_us = db_get_int(rows, row, DUE_MISSED_MAX);
    rule->starts_us = due_time_or(rows, row, DUE_STARTS, INT64_MIN);
    rule->ends_us = due_time_or(rows, row, DUE_ENDS, INT64_MAX);
    rule->last_us = due_time_or(rows, row, DUE_LAST, INT64_MIN);
    if (!cron_parse(&rule->cron, PQgetvalue(rows, row, DUE_CRON), err))
        return false;
    if (rule->starts_us != INT64_MIN)
        rule->cron.anchor_us = rule->starts_us;
    rule->zone = zone_set_get(zones, PQgetvalue(rows, row, DUE_TIMEZONE), err);
    return rule->zone != NULL;
}

static void fire_init(struct schedule_fire *fire, int64_t next_us)
{
    *fire = (struct schedule_fire){.next_us = next_us};
    for (size_t i = 0; i < FIRE_PARAMS; i++) {
        buf_init(&fire->params[i], 0);
        buf_array_open(&fire->params[i]);
    }
}

static void fire_clear(struct schedule_fire *fire)
{
    for (size_t i = 0; i < FIRE_PARAMS; i++)
        buf_clear(&fire->params[i]);
}

static void fire_add_time(struct schedule_fire *fire, int param, int64_t at_us)
{
    char text[DB_TIME_BYTES];
    buf_array_text(&fire->params[param], db_time_text(text, at_us));
}

/* problem NULL: plan says what is to be done. */
static void fire_add(struct schedule_fire *fire, const PGresult *rows, int row,
                     const struct schedule_plan *plan, const char *problem)
{
    buf_array_text(&fire->params[FIRE_NAMES], PQgetvalue(rows, row, DUE_NAME));
    buf_array_int(&fire->params[FIRE_REVISIONS], db_get_int(rows, row, DUE_REVISION));
    fire_add_time(fire, FIRE_SEEN, db_get_time_us(rows, row, DUE_NEXT));
    fire_add_time(fire, FIRE_NEXTS, plan->next_us);
    buf_array_text(&fire->params[FIRE_PROBLEMS], problem);
    if (plan->passes)
        fire_add_time(fire, FIRE_PASSED, plan->passed_us);
    else
        buf_array_text(&fire->params[FIRE_PASSED], NULL);
    buf_array_int(&fire->params[FIRE_FIRSTS], (long long)fire->fires + 1);
    buf_array_int(&fire->params[FIRE_COUNTS], (long long)plan->count);
    for (size_t i = 0; i < plan->count; i++)
        fire_add_time(fire, FIRE_TIMES, plan->fires_us[i]);
    fire->schedules++;
    fire->fires += plan->count;
    if (!problem && plan->next_us < fire->next_us)
        fire->next_us = plan->next_us;
}

static void fire_add_row(struct schedule_fire *fire, struct schedule_clock *clock,
                         const PGresult *rows, int row)
{
    struct schedule_rule rule;
    struct schedule_plan plan;
    struct err err = {0};
    if (fire->fires >= SCHEDULE_FIRES_BATCH || (clock->alone && fire->schedules)) {
        fire->next_us = INT64_MIN; /* the others at once behind it */
        return;
    }
    if (strcmp(clock->refused, PQgetvalue(rows, row, DUE_NAME)) == 0) {
        err_set(&err, ERR_PERMANENT, "%s", clock->refusal);
    } else if (rule_take(&rule, &clock->zones, rows, row, &err)) {
        schedule_plan_make(&plan, &rule, db_get_time_us(rows, row, DUE_NEXT),
                           db_get_time_us(rows, row, DUE_NOW));
        fire_add(fire, rows, row, &plan, NULL);
        return;
    }
    plan = (struct schedule_plan){.next_us = CRON_NEVER};
    log_event(LOG_WARN, "a schedule cannot fire", "schedule", PQgetvalue(rows, row, DUE_NAME),
              "problem", err.text, NULL);
    fire_add(fire, rows, row, &plan, err.text);
}

/* ---- Asking ---- */

/* What a fire that is under way was to do. */
struct schedule_firing {
    struct runner *runner;
    int64_t next_us;
    size_t schedules;
    const char *name; /* of the first */
};

/* For good: which schedule is it for? Alone it shows. */
static void schedule_refused(struct schedule_clock *clock, const struct schedule_firing *firing,
                             const struct err *err)
{
    clock->alone = true;
    if (firing->schedules > 1)
        return;
    snprintf(clock->refused, sizeof clock->refused, "%s", firing->name);
    snprintf(clock->refusal, sizeof clock->refusal, "%s", err->text);
}

static void on_fired(struct db_unit *unit, void *owner)
{
    const struct schedule_firing *firing = owner;
    struct runner *runner = firing->runner;
    struct schedule_clock *clock = &runner->schedule;
    if (unit->err.code != ERR_NONE) {
        if (unit->err.code == ERR_PERMANENT)
            schedule_refused(clock, firing, &unit->err);
        schedule_failed(runner, &unit->err);
        return;
    }
    failpoint_reach("schedule", "after_fire");
    /* Those that were not moved on were changed meanwhile, are another runner's by now, or wait for
     * a job that somebody is just ending. */
    bool all = db_get_int(db_unit_result(unit, 0), 0, 0) == (int64_t)firing->schedules;
    if (all)
        clock->pause_us = 0;
    else
        schedule_pause(clock, SCHEDULE_BUSY_US, SCHEDULE_BUSY_MAX_US);
    if (all && strcmp(clock->refused, firing->name) == 0) { /* it has its problem */
        clock->refused[0] = '\0';
        clock->alone = false;
    }
    schedule_ended(runner, all ? firing->next_us : INT64_MIN);
}

static void schedule_fire(struct runner *runner, const struct schedule_fire *fire, const char *name)
{
    const char *params[FIRE_PARAMS];
    struct db_unit *unit = db_unit_new(DB_PLAIN, on_fired, NULL);
    struct schedule_firing *firing = arena_alloc(&unit->arena, sizeof *firing);
    *firing = (struct schedule_firing){runner, fire->next_us, fire->schedules,
                                       arena_strdup(&unit->arena, name)};
    unit->owner = firing;
    for (size_t i = 0; i < FIRE_PARAMS; i++)
        params[i] = buf_text(&fire->params[i]);
    db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_SCHEDULES_FIRE], FIRE_PARAMS, params);
    failpoint_reach("schedule", "before_fire");
    db_pool_submit(&runner->writes, unit, SCHEDULE_TIMEOUT_MS);
}

static void on_due(struct db_unit *unit, void *owner)
{
    struct runner *runner = owner;
    struct schedule_clock *clock = &runner->schedule;
    struct schedule_fire fire;
    if (unit->err.code != ERR_NONE) {
        schedule_failed(runner, &unit->err);
        return;
    }
    const PGresult *rows = db_unit_result(unit, 0);
    int last = PQntuples(rows) - 1; /* which tells the first time after those that have come */
    fire_init(&fire, due_time_or(rows, last, DUE_NEXT, INT64_MAX));
    for (int row = 0; row < last; row++)
        fire_add_row(&fire, clock, rows, row);
    for (size_t i = 0; i < FIRE_PARAMS; i++)
        buf_array_close(&fire.params[i]);
    if (last >= SCHEDULE_FIRES_BATCH)
        fire.next_us = INT64_MIN;
    if (fire.schedules && runner->phase == RUNNER_RUNNING) {
        schedule_fire(runner, &fire, PQgetvalue(rows, 0, DUE_NAME));
    } else {
        clock->pause_us = 0;
        clock->alone = false;
        clock->refused[0] = '\0';
        schedule_ended(runner, fire.next_us);
    }
    fire_clear(&fire);
}

static void schedule_on_timer(void *owner)
{
    struct runner *runner = owner;
    char limit[16];
    if (runner->schedule.under_way || !runner->schedule.ours || runner->phase != RUNNER_RUNNING)
        return;
    runner->schedule.under_way = true;
    snprintf(limit, sizeof limit, "%d", SCHEDULE_FIRES_BATCH);
    const char *params[] = {limit};
    struct db_unit *unit = db_unit_new(DB_PLAIN, on_due, runner);
    db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_SCHEDULES_DUE], 1, params);
    db_pool_submit(&runner->reads, unit, SCHEDULE_TIMEOUT_MS);
}
