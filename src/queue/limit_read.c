#include "queue/limit_read.h"

#include "base/log.h"
#include "db/time_text.h"
#include "queue/dispatch.h"
#include "queue/limit.h"
#include "queue/reader.h"
#include "queue/row.h"
#include "queue/runner_state.h"
#include "queue_sql.h"

#include <inttypes.h>
#include <stdio.h>

enum { READ_TIMEOUT_MS = 10000, READ_RETRY_US = 200000, GATES_MAX = 64 /* of one unit */ };

/* One statement of the unit each. */
struct limit_reading {
    struct runner *runner;
    size_t count, capacity;
    struct limit_reading_item {
        struct lane *lane;
        struct gate *gate; /* NULL: what runs elsewhere; or the gate is gone */
        bool elsewhere;
    } items[];
};

static void limit_read_on_timer(void *owner);

void limit_read_init(struct runner *runner)
{
    loop_timer_init(&runner->limit_read.timer, &runner->loop, limit_read_on_timer, runner);
}

static void limit_read_schedule(struct runner *runner, int64_t at_us)
{
    if (!runner->limit_read.under_way)
        loop_timer_set_least(&runner->limit_read.timer, at_us);
}

void limit_read_lane(struct lane *lane)
{
    if (!lane->queue->limits.counting)
        return;
    lane->count_wanted = true;
    limit_read_schedule(lane->runner, clock_mono_us());
}

void limit_read_gate(struct gate *gate)
{
    struct runner *runner = gate->queue->runner;
    if (gate->wanted || gate->reading)
        return;
    gate->wanted = true;
    gate->next = runner->limit_read.wanted;
    runner->limit_read.wanted = gate;
    limit_read_schedule(runner, clock_mono_us());
}

void limit_read_forget(struct gate *gate)
{
    struct limit_read *reads = &gate->queue->runner->limit_read;
    for (struct gate **at = &reads->wanted; *at;) {
        if (*at == gate)
            *at = gate->next;
        else
            at = &(*at)->next;
    }
    for (size_t i = 0; reads->under_way && i < reads->under_way->count; i++)
        if (reads->under_way->items[i].gate == gate)
            reads->under_way->items[i].gate = NULL;
}

/* ---- Sending ---- */

static void reading_add(struct limit_reading *reading, struct lane *lane, struct gate *gate)
{
    reading->items[reading->count++] =
        (struct limit_reading_item){.lane = lane, .gate = gate, .elsewhere = !gate};
    lane->reading++;
}

static const char *ordered_text(const struct workqueue *queue)
{
    return queue->limits.config.key_ordered ? "true" : "false";
}

static void reading_add_lane(struct limit_reading *reading, struct db_unit *unit, struct lane *lane)
{
    char number[16];
    snprintf(number, sizeof number, "%d", lane->number);
    const char *params[] = {number, lane->runner->id_text};
    lane->count_wanted = false;
    db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_LANE_CLAIMED], 2, params);
    reading_add(reading, lane, NULL);
}

static void reading_add_key(struct limit_reading *reading, struct db_unit *unit, struct gate *gate,
                            const char *horizon)
{
    char number[16], limit[16];
    snprintf(number, sizeof number, "%d", gate->lane->number);
    snprintf(limit, sizeof limit, "%d", GATE_PARKED_MAX);
    const char *params[] = {
        number, gate->key, limit, horizon, reading->runner->kinds, ordered_text(gate->queue)};
    db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_LANE_READ_KEY], 6, params);
    reading_add(reading, gate->lane, gate);
}

static void reading_add_kind(struct limit_reading *reading, struct db_unit *unit, struct gate *gate,
                             const char *horizon)
{
    char number[16], limit[16], from[DB_TIME_BYTES];
    snprintf(limit, sizeof limit, "%d", GATE_PARKED_MAX);
    const char *from_text = db_time_text(from, gate->more_from_us);
    for (struct lane *lane = reading->runner->lanes; lane; lane = lane->next) {
        if (lane->queue != gate->queue || lane->lost || lane->leaving)
            continue;
        snprintf(number, sizeof number, "%d", lane->number);
        const char *params[] = {number,
                                gate->kind->name,
                                from_text,
                                limit,
                                horizon,
                                reading->runner->kinds,
                                ordered_text(gate->queue)};
        db_unit_add_binary(unit, &queue_sql[QUEUE_SQL_LANE_READ_KIND], 7, params);
        reading_add(reading, lane, gate);
    }
}

static void reading_add_gates(struct limit_reading *reading, struct db_unit *unit)
{
    struct runner *runner = reading->runner;
    char horizon[DB_TIME_BYTES];
    const char *horizon_text =
        db_time_text(horizon, clock_database_us(&runner->clock) + READER_HORIZON_US);
    for (int i = 0; i < GATES_MAX && runner->limit_read.wanted; i++) {
        struct gate *gate = runner->limit_read.wanted;
        runner->limit_read.wanted = gate->next;
        gate->wanted = gate->more = false;
        gate->reading = true;
        if (!gate->kind)
            reading_add_key(reading, unit, gate, horizon_text);
        else
            reading_add_kind(reading, unit, gate, horizon_text);
        gate->more_from_us = INT64_MAX;
    }
}

static void reading_on_done(struct db_unit *unit, void *owner);

static void limit_read_on_timer(void *owner)
{
    struct runner *runner = owner;
    if (runner->limit_read.under_way || runner->phase != RUNNER_RUNNING)
        return;
    size_t most = runner->lane_count * (1 + GATES_MAX) + GATES_MAX;
    struct db_unit *unit = db_unit_new(DB_PLAIN, reading_on_done, NULL);
    struct limit_reading *reading =
        arena_zalloc(&unit->arena, sizeof *reading + most * sizeof reading->items[0]);
    reading->runner = runner;
    unit->owner = reading;
    for (struct lane *lane = runner->lanes; lane; lane = lane->next)
        if (lane->count_wanted && !lane->lost && !lane->leaving)
            reading_add_lane(reading, unit, lane);
    reading_add_gates(reading, unit);
    if (!reading->count) {
        db_unit_free(unit);
        return;
    }
    runner->limit_read.under_way = reading;
    db_pool_submit(&runner->reads, unit, READ_TIMEOUT_MS);
}

/* ---- What was found ---- */

/* Columns of lane_claimed. */
enum { CLAIMED_ID, CLAIMED_KIND, CLAIMED_KEY };

static void lane_take_claimed(struct lane *lane, const PGresult *rows)
{
    struct entry *entry, *next;
    for (int row = 0; row < PQntuples(rows); row++) {
        int64_t id = db_get_int(rows, row, CLAIMED_ID);
        entry = lane_find(lane, id);
        if (!entry) {
            const char *key =
                PQgetisnull(rows, row, CLAIMED_KEY) ? NULL : PQgetvalue(rows, row, CLAIMED_KEY);
            entry = entry_new_elsewhere(
                lane, registry_find(&lane->runner->registry, PQgetvalue(rows, row, CLAIMED_KIND)),
                id, key);
            lane_hold_elsewhere(lane, entry);
        }
        entry->seen = true;
    }
    HASH_ITER(hh, lane->held, entry, next)
    {
        if (entry->state == ENTRY_ELSEWHERE && !entry->gone && !entry->seen)
            lane_drop(lane, entry);
        entry->seen = false;
    }
    lane->counted = true;
}

static void item_take_rows(struct limit_reading_item *item, const PGresult *rows)
{
    struct lane *lane = item->lane;
    if (lane->lost || lane->leaving)
        return;
    if (item->elsewhere) {
        lane_take_claimed(lane, rows);
        return;
    }
    for (int row = 0; row < PQntuples(rows); row++) {
        row_take(lane, rows, row);
        struct entry *entry = lane_find(lane, db_get_int(rows, row, ROW_ID));
        if (entry)
            entry->read_for_gate = true;
    }
    if (item->gate && PQntuples(rows) >= GATE_PARKED_MAX) {
        int64_t last_us = db_get_time_us(rows, PQntuples(rows) - 1, ROW_RUN_AT);
        item->gate->more = true;
        if (last_us < item->gate->more_from_us)
            item->gate->more_from_us = last_us;
    }
}

static void item_fail(struct limit_reading_item *item)
{
    if (item->elsewhere)
        item->lane->count_wanted = true;
    else if (item->gate) {
        item->gate->more = true;
        item->gate->more_from_us = INT64_MIN;
    }
}

static void reading_on_done(struct db_unit *unit, void *owner)
{
    struct limit_reading *reading = owner;
    struct runner *runner = reading->runner;
    bool failed = unit->err.code != ERR_NONE;
    if (failed && unit->err.code != ERR_CANCELLED)
        log_event(runner->away_since_us ? LOG_DEBUG : LOG_WARN, "reading for limits failed",
                  "error", unit->err.text, NULL);
    for (size_t i = 0; i < reading->count; i++) {
        struct limit_reading_item *item = &reading->items[i];
        item->lane->reading--;
        if (failed)
            item_fail(item);
        else
            item_take_rows(item, db_unit_result(unit, i));
        lane_drop_gone(item->lane);
    }
    runner->limit_read.under_way = NULL;
    for (size_t i = 0; i < reading->count; i++)
        if (reading->items[i].gate)
            reading->items[i].gate->reading = false;
    dispatch_schedule(runner);
    limit_read_schedule(runner, clock_mono_us() + (failed ? READ_RETRY_US : 0));
    if (failed)
        return;
    for (size_t i = 0; i < reading->count; i++)
        if (reading->items[i].gate)
            gate_kick(reading->items[i].gate);
}
