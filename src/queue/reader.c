#include "queue/reader.h"

#include "base/buf.h"
#include "base/log.h"
#include "db/time_text.h"
#include "queue/dispatch.h"
#include "queue/lease.h"
#include "queue/limit_read.h"
#include "queue/look.h"
#include "queue/row.h"
#include "queue/runner_state.h"
#include "queue/yield.h"
#include "queue_sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    READ_TIMEOUT_MS = 10000,
    READ_RETRY_US = 200000,
    LATE_COMMIT_US = 60000000,
    READ_FEW_US = 200000,
    READ_MANY_US = 400000,
    WAITING_MAX = 4 * READER_LIMIT_MAX,
    READ_BYTES_MAX = 4 << 20 /* of args, about, a lane and read */
};

static void reader_on_timer(void *owner);

void reader_init(struct runner *runner)
{
    loop_timer_init(&runner->reader.timer, &runner->loop, reader_on_timer, runner);
}

void reader_schedule(struct runner *runner)
{
    if (runner->reader.under_way || runner->phase != RUNNER_RUNNING)
        return;
    int64_t next_us = INT64_MAX;
    for (struct lane *lane = runner->lanes; lane; lane = lane->next)
        if (lane->read_at_us < next_us)
            next_us = lane->read_at_us;
    loop_timer_set(&runner->reader.timer, next_us);
}

void reader_pass_all(struct runner *runner)
{
    for (struct lane *lane = runner->lanes; lane; lane = lane->next) {
        lane->pass_at_us = clock_mono_us();
        lane->pass_every_us = READER_PASS_FIRST_US;
        lane_read_at_least(lane, lane->pass_at_us);
    }
}

int reader_limit_least(const struct lane *lane, int rows)
{
    int wanted = 4 * lane->queue->batch_most; /* it reads on when half of it is left */
    if (lane->queue->batch_most == 1 || wanted < rows)
        wanted = rows;
    return wanted < READER_LIMIT_MAX ? wanted : READER_LIMIT_MAX;
}

static bool lane_is_low(const struct lane *lane, size_t waiting)
{
    return waiting <= (size_t)lane->limit / 2;
}

void reader_on_taken(struct lane *lane)
{
    bool put_off = lane->read_at_us == INT64_MAX; /* because too many were waiting */
    if (lane_is_low(lane, lane->waiting) && !lane->reading && (put_off || lane_wants_more(lane)))
        lane_read_at_least(lane, clock_mono_us());
}

/* ---- Sending ---- */

/* A pass begins at the beginning and goes on in pages until it has come to the cursor. */
static void lane_begin_pass(struct lane *lane)
{
    bool going_on = false;
    for (int i = 0; i < LANE_CLASSES; i++)
        going_on |= lane->classes[i].passing;
    lane->crowded &= going_on;
    for (int i = 0; i < LANE_CLASSES && !going_on; i++) {
        struct lane_class *class = &lane->classes[i];
        class->passing = true;
        class->pass_us = class->pass_id = INT64_MIN;
    }
}

/* All classes stand at their ends, what comes later is known, and the next look will be soon. */
static bool lane_may_poll(const struct lane *lane, int64_t horizon_us)
{
    return !lane->armed && !lane->pass && !lane_wants_more(lane) && lane->later_us > horizon_us &&
           lane->poll_us <= READER_LEAD_US / 2 && !lane->queue->limits.config.key_ordered;
}

static void lane_add_poll(struct lane *lane, struct db_unit *unit, int64_t horizon_us)
{
    char number[16], limit[16], from[DB_TIME_BYTES], horizon[DB_TIME_BYTES];
    int64_t from_us = INT64_MAX;
    for (int i = 0; i < LANE_CLASSES; i++)
        if (lane->classes[i].cursor_us < from_us)
            from_us = lane->classes[i].cursor_us;
    lane->read_limit = lane->limit;
    snprintf(number, sizeof number, "%d", lane->number);
    snprintf(limit, sizeof limit, "%d", lane->read_limit);
    const char *params[] = {number, db_time_text(from, from_us), db_time_text(horizon, horizon_us),
                            limit, lane->runner->kinds};
    db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_LANE_POLL], 5, params);
}

static void lane_add_read(struct lane *lane, struct db_unit *unit, int64_t horizon_us)
{
    static _Thread_local struct buf cursors, ids, limits;
    char number[16], horizon[DB_TIME_BYTES], at[DB_TIME_BYTES];
    if (lane->pass)
        lane_begin_pass(lane);
    buf_array_open(&cursors);
    buf_array_open(&ids);
    buf_array_open(&limits);
    for (int i = 0; i < LANE_CLASSES; i++) {
        struct lane_class *class = &lane->classes[i];
        bool pass = lane->pass && class->passing;
        /* A pass looks at much that is held already; all others bring what is not. */
        class->read_limit = pass && class->cursor_us != INT64_MIN ? lane->limit_most : lane->limit;
        buf_array_text(&cursors, db_time_text(at, pass ? class->pass_us : class->cursor_us));
        buf_array_int(&ids, pass ? class->pass_id : class->cursor_id);
        buf_array_int(&limits, class->read_limit);
    }
    buf_array_close(&cursors);
    buf_array_close(&ids);
    buf_array_close(&limits);
    snprintf(number, sizeof number, "%d", lane->number);
    const char *params[] = {number,
                            "{0,1,2,3}",
                            buf_text(&cursors),
                            buf_text(&ids),
                            buf_text(&limits),
                            db_time_text(horizon, horizon_us),
                            lane->runner->kinds,
                            lane->queue->limits.config.key_ordered ? "true" : "false"};
    db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_LANE_READ], 8, params);
}

/* A reader's unit: which lanes, in the order of its statements. Behind those that are read by
 * themselves come those of the look, which is one statement. */
struct reading {
    struct runner *runner;
    int64_t mono_us, now_us; /* when it was sent; now_us: on the database's clock */
    size_t count, alone;
    struct lane *lanes[];
};

static void reading_on_done(struct db_unit *unit, void *owner);

static void reading_add(struct reading *reading, struct lane *lane)
{
    lane->read_at_us = INT64_MAX;
    lane->reading++;
    reading->lanes[reading->count++] = lane;
}

static void lane_ask_elsewhere(struct lane *lane)
{
    if (lane->pass && (lane->elsewhere || !lane->counted))
        limit_read_lane(lane);
}

static void reading_add_alone(struct reading *reading, struct db_unit *unit, struct lane *lane)
{
    int64_t horizon_us = reading->now_us + READER_HORIZON_US;
    if (lane->waiting >= WAITING_MAX) {
        lane->read_at_us = INT64_MAX;
        return; /* reader_on_taken comes back */
    }
    reading_add(reading, lane);
    lane->pass = lane->pass_at_us <= reading->mono_us;
    lane_ask_elsewhere(lane);
    lane->polled = lane_may_poll(lane, horizon_us);
    if (lane->polled)
        lane_add_poll(lane, unit, horizon_us);
    else
        lane_add_read(lane, unit, horizon_us);
}

/* With those in which nothing but a look is due go those in which it will be soon. */
static void reading_add_look(struct reading *reading, struct db_unit *unit)
{
    struct lane *const *lanes = &reading->lanes[reading->alone];
    int64_t horizon_us = reading->now_us + READER_HORIZON_US;
    for (struct lane *lane = reading->runner->lanes; lane; lane = lane->next)
        if (look_may_join(lane, reading->mono_us, horizon_us))
            reading_add(reading, lane);
    look_add(unit, lanes, reading->count - reading->alone, reading->mono_us, reading->now_us);
    for (size_t i = reading->alone; i < reading->count; i++) {
        reading->lanes[i]->polled = false;
        lane_ask_elsewhere(reading->lanes[i]);
    }
}

static void reading_add_lanes(struct reading *reading, struct db_unit *unit)
{
    int64_t horizon_us = reading->now_us + READER_HORIZON_US;
    bool look = false;
    for (struct lane *lane = reading->runner->lanes; lane; lane = lane->next) {
        if (lane->read_at_us > reading->mono_us)
            continue;
        if (look_is_due(lane, reading->mono_us, horizon_us))
            look = true;
        else
            reading_add_alone(reading, unit, lane);
    }
    reading->alone = reading->count;
    if (look)
        reading_add_look(reading, unit);
}

static void reader_on_timer(void *owner)
{
    struct runner *runner = owner;
    if (runner->reader.under_way || runner->phase != RUNNER_RUNNING)
        return;
    struct db_unit *unit = db_unit_new(DB_PLAIN, reading_on_done, NULL);
    struct reading *reading =
        arena_zalloc(&unit->arena, sizeof *reading + runner->lane_count * sizeof reading->lanes[0]);
    *reading = (struct reading){
        .runner = runner, .mono_us = clock_mono_us(), .now_us = clock_database_us(&runner->clock)};
    unit->owner = reading;
    reading_add_lanes(reading, unit);
    if (!reading->count) {
        db_unit_free(unit);
        reader_schedule(runner);
        return;
    }
    runner->reader.under_way = true;
    db_pool_submit(&runner->reads, unit, READ_TIMEOUT_MS);
}

/* ---- What was found ---- */

struct found {
    int rows[LANE_CLASSES];
    int64_t last_us[LANE_CLASSES], last_id[LANE_CLASSES];
    int fresh;
    int64_t later_us; /* the first after the horizon; INT64_MAX: none */
};

static bool is_beyond(int64_t us, int64_t id, int64_t cursor_us, int64_t cursor_id)
{
    return us > cursor_us || (us == cursor_us && id > cursor_id);
}

/* What a pass finds behind the cursor of a class that has more is read when its turn comes: held
 * now, it would wait for long. */
static bool class_leaves_for_later(const struct lane_class *class, bool pass, int64_t run_at_us,
                                   int64_t id)
{
    return pass && class->passing && class->more &&
           is_beyond(run_at_us, id, class->cursor_us, class->cursor_id);
}

static void lane_take_row(struct lane *lane, const PGresult *rows, int row, struct found *found)
{
    int priority = (int)db_get_int(rows, row, ROW_PRIORITY);
    int64_t run_at_us = db_get_time_us(rows, row, ROW_RUN_AT);
    if (priority < 0 || priority >= LANE_CLASSES)
        return;
    if (db_get_int(rows, row, ROW_LATER)) {
        if (run_at_us < found->later_us)
            found->later_us = run_at_us;
        return;
    }
    found->rows[priority]++;
    found->last_us[priority] = run_at_us;
    found->last_id[priority] = db_get_int(rows, row, ROW_ID);
    if (class_leaves_for_later(&lane->classes[priority], lane->pass, run_at_us,
                               found->last_id[priority]))
        return;
    found->fresh += row_take(lane, rows, row);
}

static void class_move_cursor(struct lane_class *class, bool pass, bool full, int64_t last_us,
                              int64_t last_id, int64_t now_us)
{
    bool ahead = full && is_beyond(last_us, last_id, class->cursor_us, class->cursor_id);
    if (pass && full && !ahead) { /* the pass has not come to the cursor yet */
        class->pass_us = last_us;
        class->pass_id = last_id;
        return;
    }
    class->passing = class->passing && !pass;
    if (pass && class->more) /* class_leaves_for_later */
        return;
    class->more = full;
    if (ahead) {
        class->cursor_us = last_us;
        class->cursor_id = last_id;
    } else if (!full) {
        class->cursor_us = now_us - READER_OVERLAP_US;
        class->cursor_id = INT64_MIN;
    }
}

static bool lane_is_passing(const struct lane *lane)
{
    for (int i = 0; i < LANE_CLASSES; i++)
        if (lane->classes[i].passing)
            return true;
    return false;
}

static void lane_move_cursors(struct lane *lane, const struct found *found, int64_t now_us)
{
    for (int i = 0; i < LANE_CLASSES; i++) {
        struct lane_class *class = &lane->classes[i];
        lane->crowded |= lane->pass && found->rows[i] >= LOOK_ROWS;
        class_move_cursor(class, lane->pass && class->passing, found->rows[i] >= class->read_limit,
                          found->last_us[i], found->last_id[i], now_us);
    }
}

/* The number of rows follows how fast they are used up: a read's rows last for 200 to 400 ms. Twice
 * as many are held at most, and so few wait for a second, after which they would have to be claimed
 * before they start (dispatch.c). */
static void lane_adapt_limit(struct lane *lane, const PGresult *rows, size_t waiting_before,
                             int64_t mono_us)
{
    int64_t bytes = 0;
    int count = PQntuples(rows);
    for (int row = 0; row < count; row++)
        bytes += PQgetlength(rows, row, ROW_ARGS);
    if (lane_wants_more(lane) && lane_is_low(lane, waiting_before)) {
        int64_t since_us = mono_us - lane->last_full_us;
        lane->last_full_us = mono_us;
        if (since_us < READ_FEW_US)
            lane->limit *= 2;
        else if (since_us > READ_MANY_US)
            lane->limit /= 2;
    }
    if (count) {
        int64_t most = READ_BYTES_MAX / (bytes / count + 1);
        lane->limit_most = most >= READER_LIMIT_MAX ? READER_LIMIT_MAX : most > 0 ? (int)most : 1;
    }
    if (lane->limit < reader_limit_least(lane, READER_LIMIT_LEAST))
        lane->limit = reader_limit_least(lane, READER_LIMIT_LEAST);
    if (lane->limit > lane->limit_most)
        lane->limit = lane->limit_most;
}

/* What a lost runner had sent may be committed when the lane has been taken over already: for as
 * long as the server may work on it, those that wait for jobs that ended there are looked for
 * again. */
static void lane_tell_late(const struct lane *lane, int64_t mono_us)
{
    if (lane->crashed && mono_us - lane->acquired_us < LATE_COMMIT_US)
        dependents_release(lane->runner, lane->number);
}

int64_t reader_pass_next(const struct lane *lane)
{
    int64_t longest_us = lane->armed ? READER_PASS_IDLE_US : READER_PASS_BUSY_US;
    return 2 * lane->pass_every_us < longest_us ? 2 * lane->pass_every_us : longest_us;
}

static void lane_plan_pass(struct lane *lane, const struct found *found, int64_t mono_us,
                           int64_t took_us)
{
    if (!lane->pass)
        return;
    if (lane_is_passing(lane)) {
        lane->pass_at_us = mono_us + 2 * took_us;
        return;
    }
    lane_tell_late(lane, mono_us);
    lane->pass_every_us = found->fresh ? READER_PASS_FIRST_US : reader_pass_next(lane);
    if (lane->pass_every_us < 30 * took_us) /* where passes are dear, they are rare */
        lane->pass_every_us = 30 * took_us;
    lane->pass_at_us = mono_us + lane->pass_every_us;
}

/* Intervals double while nothing is found, up to a bound that an enqueue does not feel; where there
 * are notifications, a lane that is quiet is armed instead. Looks at growing intervals follow that,
 * because who enqueued before the arming was seen does not notify and may commit after the first
 * look. */
static void lane_plan_poll(struct lane *lane, const struct found *found, int64_t mono_us)
{
    bool listens = lane->runner->listen;
    int64_t most_us = listens && !lane->armed ? READER_POLL_BUSY_US : READER_POLL_MAX_US;
    lane->busy_us = found->fresh ? mono_us : lane->busy_us;
    lane->poll_us = found->fresh && !lane->armed ? READER_POLL_FIRST_US : lane->poll_us * 2;
    if (lane->poll_us < READER_POLL_FIRST_US)
        lane->poll_us = READER_POLL_FIRST_US;
    if (lane->poll_us > most_us)
        lane->poll_us = most_us;
    if (lane->armed)
        lane->settling = lane->poll_us < READER_POLL_MAX_US;
    else if (listens && mono_us - lane->busy_us > READER_POLL_ARM_US)
        reader_arm(lane, true);
}

static void lane_plan_next(struct lane *lane, const struct found *found, int64_t mono_us)
{
    int64_t next_us = lane->pass_at_us;
    if (lane_wants_more(lane)) {
        /* Read on at once while there is room; else reader_on_taken does. */
        if (lane->waiting <= (size_t)lane->limit)
            next_us = mono_us;
        lane->poll_us = READER_POLL_FIRST_US;
    } else if (!lane->armed || lane->settling) {
        lane_plan_poll(lane, found, mono_us);
        if (mono_us + lane->poll_us < next_us)
            next_us = mono_us + lane->poll_us;
    }
    lane->idle_at_us = look_will_do(lane) ? next_us : INT64_MAX;
    if (lane->later_us == INT64_MIN) {
        next_us = mono_us;
    } else if (lane->later_us != INT64_MAX) {
        int64_t lead_us =
            clock_database_to_mono_us(&lane->runner->clock, lane->later_us) - READER_LEAD_US;
        if (lead_us < next_us)
            next_us = lead_us > mono_us ? lead_us : mono_us;
    }
    if (next_us < lane->read_at_us)
        lane->read_at_us = next_us;
}

static void lane_take_rows(struct lane *lane, const PGresult *rows, const struct reading *reading,
                           int64_t took_us)
{
    struct found found = {.later_us = INT64_MAX};
    int64_t mono_us = clock_mono_us();
    int count = PQntuples(rows);
    size_t waiting_before = lane->waiting;
    for (int row = 0; row < count; row++)
        lane_take_row(lane, rows, row, &found);
    if (!lane->polled)
        lane->later_us = found.later_us;
    else if (count >= lane->read_limit)
        lane->later_us = INT64_MIN; /* more than a poll tells: read in order from where it stood */
    if (lane->later_us != INT64_MIN)
        lane_move_cursors(lane, &found, reading->now_us);
    lane_adapt_limit(lane, rows, waiting_before, mono_us);
    lane_plan_pass(lane, &found, mono_us, took_us);
    lane_plan_next(lane, &found, mono_us);
}

/* What is new in it is brought by a full pass of its own, at once. */
static void lane_take_look(struct lane *lane, const PGresult *rows, int *row,
                           const struct reading *reading, int64_t took_us)
{
    struct found found = {.later_us = INT64_MAX};
    struct look_found looked;
    int64_t mono_us = clock_mono_us();
    look_take_rows(lane, rows, row, &looked);
    if (looked.fresh) {
        lane->pass_at_us = mono_us;
        lane_read_at_least(lane, mono_us);
        return;
    }
    if (looked.later_us < lane->later_us)
        lane->later_us = looked.later_us;
    if (lane->later_us != INT64_MIN)
        lane_move_cursors(lane, &found, reading->now_us);
    lane_plan_pass(lane, &found, mono_us, took_us);
    lane_plan_next(lane, &found, mono_us);
}

static void reading_take_lane(const struct reading *reading, const struct db_unit *unit, size_t i,
                              int *row)
{
    struct lane *lane = reading->lanes[i];
    int64_t took_us = unit->received_us - unit->sent_us;
    bool ours = !lane->lost && !lane->leaving && reading->runner->phase == RUNNER_RUNNING;
    if (i < reading->alone) {
        if (ours)
            lane_take_rows(lane, db_unit_result(unit, i), reading, took_us);
        return;
    }
    const PGresult *rows = db_unit_result(unit, reading->alone);
    if (ours)
        lane_take_look(lane, rows, row, reading, took_us);
    else
        look_skip_rows(lane, rows, row);
}

static void reading_on_done(struct db_unit *unit, void *owner)
{
    struct reading *reading = owner;
    struct runner *runner = reading->runner;
    bool failed = unit->err.code != ERR_NONE;
    int row = 0; /* of the look */
    runner->reader.under_way = false;
    if (failed && unit->err.code != ERR_CANCELLED)
        log_event(runner->away_since_us ? LOG_DEBUG : LOG_WARN, "reading lanes failed", "error",
                  unit->err.text, NULL);
    for (size_t i = 0; i < reading->count; i++) {
        struct lane *lane = reading->lanes[i];
        lane->reading--;
        if (failed)
            lane_read_at_least(lane, clock_mono_us() + READ_RETRY_US);
        else
            reading_take_lane(reading, unit, i, &row);
        lane_drop_gone(lane);
        yield_check(lane);
        if (lane->look_us != INT64_MAX) {
            int64_t look_us = lane->look_us;
            lane->look_us = INT64_MAX;
            lane_look(lane, look_us);
        }
    }
    reader_schedule(runner);
    dispatch_schedule(runner);
}

/* ---- Arming ---- */

struct arming {
    struct lane *lane;
    bool armed;
};

static void arming_on_done(struct db_unit *unit, void *owner)
{
    struct arming *arming = owner;
    struct lane *lane = arming->lane;
    lane->arming = false;
    if (unit->err.code != ERR_NONE || lane->lost || lane->leaving)
        return;
    lane->armed = arming->armed;
    lane->poll_us = READER_POLL_FIRST_US;
    lane->settling = lane->armed;
    lane->busy_us = clock_mono_us();
    /* What was enqueued before the arming was seen did not notify: the last look comes after it,
     * and a full pass soon. */
    lane->pass_every_us = READER_PASS_FIRST_US;
    lane->pass_at_us = clock_mono_us() + READER_PASS_FIRST_US;
    lane_read_at_least(lane, clock_mono_us());
}

void reader_arm(struct lane *lane, bool armed)
{
    char number[16], epoch[24];
    if (lane->arming || lane->armed == armed)
        return;
    lane->arming = true;
    struct db_unit *unit = db_unit_new(DB_PLAIN, arming_on_done, NULL);
    struct arming *arming = arena_alloc(&unit->arena, sizeof *arming);
    *arming = (struct arming){.lane = lane, .armed = armed};
    unit->owner = arming;
    snprintf(number, sizeof number, "%d", lane->number);
    snprintf(epoch, sizeof epoch, "%" PRId64, lane->epoch);
    const char *params[] = {number, epoch, armed ? "true" : "false"};
    db_unit_add(unit, &queue_sql[QUEUE_SQL_LANE_ARM], 3, params);
    db_pool_submit(&lane->runner->control, unit, READ_TIMEOUT_MS);
}
