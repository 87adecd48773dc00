#include "queue/lease.h"

#include "base/buf.h"
#include "base/log.h"
#include "queue/acquire.h"
#include "queue/cutoff.h"
#include "queue/dispatch.h"
#include "queue/handover.h"
#include "queue/reader.h"
#include "queue/report.h"
#include "queue/runner_state.h"
#include "queue/served.h"
#include "queue/spread.h"
#include "queue_sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEASE_TIMEOUT_MS = 5000,
    LEASE_BEATS = 5,
    LEASE_MARGIN_PERCENT = 10,
    BEAT_AMONG_OTHERS_US = 1300000
};

static void on_timer(void *owner)
{
    lease_beat(owner);
}

void lease_init(struct runner *runner, long long ttl_ms)
{
    runner->lease.ttl_us = ttl_ms * 1000;
    loop_timer_init(&runner->lease.timer, &runner->loop, on_timer, runner);
}

bool lease_holds(const struct runner *runner)
{
    return !runner->lease.unchecked && clock_mono_us() < runner->lease.valid_until_us;
}

void lease_settings_read(struct runner *runner)
{
    if (!runner->lease.stale || runner->lease.again || runner->kind_settings.loading ||
        !served_is_told(runner))
        return;
    runner->lease.stale = false;
    dispatch_schedule(runner);
}

void lease_on_settings(struct runner *runner)
{
    runner->lease.stale = true;
    lease_beat(runner);
}

void lease_doubt(struct runner *runner)
{
    if (!runner->id || db_pool_is_pooled(&runner->control))
        return;
    runner->lease.unchecked = true;
    if (!runner->lease.doubt_since_us)
        runner->lease.doubt_since_us = clock_mono_us();
    cutoff_schedule(runner);
}

static void lease_confirm(struct runner *runner, const struct db_unit *unit, int64_t database_us)
{
    struct lease *lease = &runner->lease;
    clock_offset_sample(&runner->clock, unit->sent_us, unit->received_us, database_us);
    lease->valid_until_us =
        unit->sent_us + lease->ttl_us - lease->ttl_us * LEASE_MARGIN_PERCENT / 100;
    cutoff_schedule(runner);
    int64_t beat_us = lease->ttl_us / LEASE_BEATS;
    if (runner->runners > 1 && beat_us > BEAT_AMONG_OTHERS_US)
        beat_us = BEAT_AMONG_OTHERS_US;
    loop_timer_set(&lease->timer, clock_mono_us() + beat_us);
}

static const char *lease_ttl_text(const struct runner *runner, char text[24])
{
    snprintf(text, 24, "%" PRId64, runner->lease.ttl_us / 1000);
    return text;
}

/* ---- Registering ---- */

static void on_listening(struct db_unit *unit, void *owner)
{
    struct runner *runner = owner;
    runner->listen = unit->err.code == ERR_NONE;
    if (!runner->listen)
        log_event(LOG_WARN, "listening failed, polling instead", "error", unit->err.text, NULL);
    reader_pass_all(runner);
}

static void lease_listen(struct runner *runner)
{
    const char *params[] = {runner->id_text};
    if (!settings_boolean(runner->settings, "errand", "listen") ||
        db_pool_is_pooled(&runner->control)) {
        log_event(LOG_INFO, "polling without notifications", "pooled",
                  db_pool_is_pooled(&runner->control) ? "true" : "false", NULL);
        reader_pass_all(runner);
        return;
    }
    struct db_unit *unit = db_unit_new(DB_TRANSACTION, on_listening, runner);
    db_unit_add(unit, &queue_sql[QUEUE_SQL_RUNNER_LISTEN], 1, params);
    db_pool_submit(&runner->control, unit, LEASE_TIMEOUT_MS);
}

static void on_registered(struct db_unit *unit, void *owner)
{
    struct runner *runner = owner;
    if (unit->err.code == ERR_CONFIG || unit->err.code == ERR_PERMANENT) {
        runner_fail(runner, &unit->err);
        return;
    }
    if (unit->err.code != ERR_NONE) {
        log_event(LOG_WARN, "registering failed, trying again", "error", unit->err.text, NULL);
        loop_timer_set(&runner->lease.timer, clock_mono_us() + 200000);
        return;
    }
    const PGresult *rows = db_unit_result(unit, 0);
    runner->id = db_get_int(rows, 0, 0);
    snprintf(runner->id_text, sizeof runner->id_text, "%" PRId64, runner->id);
    lease_confirm(runner, unit, db_get_time_us(rows, 0, 1));
    kind_settings_take(runner, db_unit_result(unit, unit->count - 1));
    if (runner->phase != RUNNER_STARTING)
        return;
    runner->phase = RUNNER_RUNNING;
    log_event(LOG_INFO, "runner started", "runner", runner->id_text, "name", runner->name,
              "version", ERRAND_VERSION, NULL);
    lease_listen(runner);
    lease_beat(runner);
    served_tell(runner);
}

void lease_register(struct runner *runner)
{
    char ttl[24], concurrency[16];
    struct db_unit *unit = db_unit_new(DB_TRANSACTION, on_registered, runner);
    snprintf(concurrency, sizeof concurrency, "%d", runner->concurrency);
    const char *params[] = {runner->name,
                            ERRAND_VERSION,
                            runner->queues ? runner->queues : "{*}",
                            concurrency,
                            lease_ttl_text(runner, ttl),
                            db_pool_is_pooled(&runner->control) ? "false" : "true",
                            runner->kinds};
    db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_RUNNER_REGISTER], 7, params);
    served_add(runner, unit);
    kind_settings_add(unit, runner); /* the last: on_registered takes it */
    db_pool_submit(&runner->control, unit, LEASE_TIMEOUT_MS);
}

/* ---- Renewing ---- */

/* Columns of runner_beat. */
enum {
    BEAT_NOW,
    BEAT_ALIVE,
    BEAT_QUEUE,
    BEAT_PAUSED_UNTIL,
    BEAT_PAUSE_REASON,
    BEAT_FREE,
    BEAT_RUNNERS,
    BEAT_LANES,
    BEAT_HISTORY_DAYS,
    BEAT_MOST,
    BEAT_SATURATED,
    BEAT_WANTED,
    BEAT_KINDS_MARKER,
    BEAT_WHOLE,
    BEAT_CONCURRENCY,
    BEAT_RATE,
    BEAT_BURST,
    BEAT_KEY_CONCURRENCY,
    BEAT_KEY_RATE,
    BEAT_KEY_BURST,
    BEAT_KEY_ORDERED,
    BEAT_CLOCK,
    BEAT_SCHEDULE_AT
};

static double beat_double(const PGresult *rows, int row, int column)
{
    return PQgetisnull(rows, row, column) ? 0 : strtod(PQgetvalue(rows, row, column), NULL);
}

static int beat_int(const PGresult *rows, int row, int column)
{
    return PQgetisnull(rows, row, column) ? 0 : (int)db_get_int(rows, row, column);
}

static void lease_take_limits(struct workqueue *queue, const PGresult *rows, int row)
{
    const struct limit_config config = {
        .whole = db_get_int(rows, row, BEAT_WHOLE) != 0,
        .concurrency = beat_int(rows, row, BEAT_CONCURRENCY),
        .rate = beat_double(rows, row, BEAT_RATE),
        .burst = beat_double(rows, row, BEAT_BURST),
        .key_concurrency = beat_int(rows, row, BEAT_KEY_CONCURRENCY),
        .key_rate = beat_double(rows, row, BEAT_KEY_RATE),
        .key_burst = beat_double(rows, row, BEAT_KEY_BURST),
        .key_ordered = db_get_int(rows, row, BEAT_KEY_ORDERED) != 0,
    };
    limit_configure(queue, &config);
    limit_sweep(queue);
    handover_check_whole(queue);
}

static void lease_take_wanted(struct runner *runner, const char *lanes)
{
    for (const char *at = lanes; *at;) {
        char *end;
        struct lane *lane = runner_lane(runner, (int)strtol(at, &end, 10));
        if (lane)
            handover_start(lane);
        if (end == at)
            break;
        at = end + (*end == ' ');
    }
}

static void lease_take_queue(struct runner *runner, const PGresult *rows, int row)
{
    struct workqueue *queue = runner_workqueue(runner, PQgetvalue(rows, row, BEAT_QUEUE));
    int64_t until_us = PQgetisnull(rows, row, BEAT_PAUSED_UNTIL)
                           ? INT64_MIN
                           : db_get_time_us(rows, row, BEAT_PAUSED_UNTIL);
    queue->runners = (int)db_get_int(rows, row, BEAT_RUNNERS);
    queue->lanes = (int)db_get_int(rows, row, BEAT_LANES);
    queue->history_days = (int)db_get_int(rows, row, BEAT_HISTORY_DAYS);
    queue->most_lanes =
        PQgetisnull(rows, row, BEAT_MOST) ? 0 : (int)db_get_int(rows, row, BEAT_MOST);
    queue->saturated = db_get_int(rows, row, BEAT_SATURATED) != 0;
    lease_take_limits(queue, rows, row);
    lease_take_wanted(runner, PQgetvalue(rows, row, BEAT_WANTED));
    if (until_us == queue->paused_until_us)
        return;
    queue->paused_until_us = until_us;
    dispatch_schedule(runner);
}

/* When a runner has gone, what it was still running of lanes that it handed over is ours to look
 * at. */
static void lease_count_runners(struct runner *runner)
{
    int runners = 0;
    for (const struct workqueue *queue = runner->workqueues; queue; queue = queue->next)
        if (queue->runners > runners)
            runners = queue->runners;
    if (runners < runner->runners)
        reader_pass_all(runner);
    runner->runners = runners;
}

/* The runner's row is gone: it was away for so long that somebody cleared it up. Its lanes are
 * others' by now; it joins as a new one. */
static void lease_rejoin(struct runner *runner)
{
    log_event(LOG_WARN, "the lease was lost, joining again", "runner", runner->id_text, NULL);
    for (struct lane *lane = runner->lanes; lane; lane = lane->next)
        lane_lose(lane);
    runner->id = 0;
    runner->phase = RUNNER_STARTING;
    lease_register(runner);
}

static void on_beat(struct db_unit *unit, void *owner)
{
    struct runner *runner = owner;
    struct lease *lease = &runner->lease;
    bool free_lanes = false;
    lease->sent_us = 0;
    if (unit->err.code != ERR_NONE) {
        log_event(runner->away_since_us ? LOG_DEBUG : LOG_WARN, "renewing the lease failed",
                  "error", unit->err.text, NULL);
        loop_timer_set(&lease->timer, clock_mono_us() + lease->ttl_us / (4 * LEASE_BEATS));
        return;
    }
    const PGresult *rows = db_unit_result(unit, 0);
    int count = PQntuples(rows);
    if (db_get_int(rows, 0, BEAT_ALIVE) == 0) {
        lease_rejoin(runner);
        return;
    }
    for (int row = 0; row < count && !PQgetisnull(rows, row, BEAT_QUEUE); row++) {
        lease_take_queue(runner, rows, row);
        free_lanes |= db_get_int(rows, row, BEAT_FREE) != 0;
    }
    lease->unchecked |= !lease_holds(runner);
    lease_confirm(runner, unit, db_get_time_us(rows, 0, BEAT_NOW));
    lease_count_runners(runner);
    kind_settings_check(runner, db_get_int(rows, 0, BEAT_KINDS_MARKER));
    served_tell(runner);
    lease_settings_read(runner);
    schedule_on_beat(runner, db_get_int(rows, 0, BEAT_CLOCK) != 0,
                     PQgetisnull(rows, 0, BEAT_SCHEDULE_AT)
                         ? INT64_MAX
                         : db_get_time_us(rows, 0, BEAT_SCHEDULE_AT));
    if (lease->unchecked)
        acquire_check_owned(runner);
    if (free_lanes)
        acquire_start(runner);
    else
        acquire_tell_ready(runner);
    spread_check(runner);
    handover_ask_cancelled(runner);
    if (lease->again)
        lease_beat(runner);
}

void lease_beat(struct runner *runner)
{
    char ttl[24], running[24];
    struct buf state;
    if (runner->phase == RUNNER_STARTING && !runner->id) {
        if (db_pool_is_up(&runner->control))
            lease_register(runner);
        return;
    }
    if (runner->phase >= RUNNER_LEAVING)
        return;
    if (runner->lease.sent_us) {
        runner->lease.again = true; /* the one under way may not see what this was asked for */
        return;
    }
    runner->lease.again = false;
    runner->lease.sent_us = clock_mono_us();
    snprintf(running, sizeof running, "%zu", runner->dispatch.in_flight);
    buf_init(&state, 0);
    report_add(&state, runner);
    const char *params[] = {runner->id_text, lease_ttl_text(runner, ttl),
                            running,         runner->phase == RUNNER_STOPPING ? "true" : "false",
                            runner->queues,  db_pool_is_pooled(&runner->control) ? "false" : "true",
                            buf_text(&state)};
    struct db_unit *unit = db_unit_new(DB_PLAIN, on_beat, runner);
    db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_RUNNER_BEAT], 7, params);
    buf_clear(&state);
    db_pool_submit(&runner->control, unit, LEASE_TIMEOUT_MS);
}

void lease_on_reconnect(struct runner *runner)
{
    lease_listen(runner);
    lease_beat(runner);
}

/* ---- Leaving ---- */

static void on_told(struct db_unit *unit, void *owner)
{
    (void)unit, (void)owner;
}

void lease_tell_stopping(struct runner *runner)
{
    const char *params[] = {runner->id_text};
    struct db_unit *unit = db_unit_new(DB_TRANSACTION, on_told, NULL);
    db_unit_add(unit, &queue_sql[QUEUE_SQL_RUNNER_STOPPING], 1, params);
    db_unit_add(unit, &queue_sql[QUEUE_SQL_RUNNERS_TELL_FREE], 1, params); /* the clock, too */
    db_pool_submit(&runner->control, unit, LEASE_TIMEOUT_MS);
}

static void on_left(struct db_unit *unit, void *owner)
{
    struct runner *runner = owner;
    if (unit->err.code != ERR_NONE && unit->err.code != ERR_CANCELLED)
        log_event(LOG_WARN, "giving the lanes back failed, the lease ends by itself", "error",
                  unit->err.text, NULL);
    runner->phase = RUNNER_STOPPED;
    loop_stop(&runner->loop);
}

/* Claims of handlers that did not end are given back with the lanes, in one transaction. */
static void unit_add_hand_back(struct db_unit *unit, const struct lane *lane)
{
    char number[16];
    struct buf ids;
    bool any = false;
    buf_init(&ids, 0);
    buf_array_open(&ids);
    for (const struct entry *entry = lane->held; entry; entry = entry->hh.next)
        if (entry->claimed && !entry->gone) {
            buf_array_int(&ids, entry->id);
            any = true;
        }
    buf_array_close(&ids);
    snprintf(number, sizeof number, "%d", lane->number);
    const char *params[] = {number, buf_text(&ids), lane->runner->id_text};
    if (any)
        db_unit_add(unit, &queue_sql[QUEUE_SQL_JOB_HAND_BACK], 3, params);
    buf_clear(&ids);
}

void lease_leave(struct runner *runner)
{
    const char *params[] = {runner->id_text};
    runner->phase = RUNNER_LEAVING;
    loop_timer_stop(&runner->lease.timer);
    if (!runner->id) {
        runner->phase = RUNNER_STOPPED;
        loop_stop(&runner->loop);
        return;
    }
    struct db_unit *unit = db_unit_new(DB_TRANSACTION, on_left, runner);
    for (struct lane *lane = runner->lanes; lane; lane = lane->next) {
        unit_add_hand_back(unit, lane);
        handover_add_release(lane, unit);
    }
    db_unit_add(unit, &queue_sql[QUEUE_SQL_RUNNER_LEAVE], 1, params);
    db_pool_submit(&runner->control, unit, LEASE_TIMEOUT_MS);
}
